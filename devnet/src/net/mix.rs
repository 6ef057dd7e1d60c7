//! Sockets and time around a mix node.

use mixlet::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::link::Links;
use super::node::{Arrival, Mode, Shared, Stop, accept, arrivals, read_frames};
use crate::directory::{MixEntry, Seed};
use crate::faults::Position;
use crate::mix::{Departure, MixNode};
use crate::record::{Fingerprint, NodeName, What};

/// A mix node with sockets.
pub struct MixTask {
    shared: Shared,
    entry: MixEntry,
    seed: Seed,
    node: MixNode,
    links: Links,
    tasks: JoinSet<()>,
    /// The epoch whose keys the node has.
    epoch: Option<u32>,
}

impl MixTask {
    /// Runs a node on a listener until it is stopped.
    pub async fn run(
        shared: Shared,
        entry: MixEntry,
        seed: Seed,
        listener: TcpListener,
        mut mode: watch::Receiver<Mode>,
        mut stop: oneshot::Receiver<Stop>,
    ) {
        let own = NodeName::Mix(entry.id);
        let mut task = Self {
            node: MixNode::new(shared.peers.clone()),
            links: Links::new(shared.clone(), own, Position::after_layer(entry.layer), mode.clone()),
            tasks: JoinSet::new(),
            epoch: None,
            shared,
            entry,
            seed,
        };
        let (arrived, mut packets) = arrivals();
        loop {
            let now_mode = *mode.borrow_and_update();
            let due = task.node.poll_timeout().filter(|_| now_mode == Mode::Running);
            let deadline = task.shared.clock.deadline(due.unwrap_or_default());
            tokio::select! {
                _ = &mut stop => break,
                Ok(stream) = accept(&listener, now_mode) => {
                    task.tasks.spawn(read_frames(stream, task.shared.clock, arrived.clone(), mode.clone()));
                }
                Some(arrival) = packets.recv(), if now_mode != Mode::Paused => {
                    if now_mode == Mode::Running {
                        task.take(arrival);
                    }
                }
                () = sleep_until(deadline), if due.is_some() => task.forward(),
                Ok(()) = mode.changed() => {}
                Some(_) = task.tasks.join_next() => {}
                else => break,
            }
        }
        task.tasks.shutdown().await;
    }

    fn take(&mut self, (frame, when): Arrival) {
        let epoch = self.shared.epoch();
        if self.epoch != Some(epoch) {
            let rotations = self.shared.epochs.borrow().keys_in(epoch);
            self.node.hold_keys(rotations, |rotation| self.seed.sphinx(self.entry.id, rotation));
            self.epoch = Some(epoch);
        }
        let bytes = frame.packet.as_bytes();
        let (packet, len, rotation) = (Fingerprint::of(bytes), bytes.len(), frame.rotation.to_byte());
        self.note_at(when, What::Arrived { packet, len, rotation });
        if let Err(why) = self.node.handle_frame(frame, when) {
            self.note_at(self.shared.clock.now(), What::Dropped { packet, len, why });
        }
        self.forward();
    }

    /// Sends what is due.
    fn forward(&mut self) {
        let now = self.shared.clock.now();
        while let Some(departure) = self.node.poll_transmit(now) {
            let Departure { to, to_name, frame, arrived, since, asked } = departure;
            let packet = self.links.send(&mut self.tasks, to, &frame);
            let (len, held) = (frame.packet.as_bytes().len(), now.since(since));
            let (asked_us, held_us) = (micros(asked), micros(held));
            self.note_at(now, What::Left { arrived, packet, to: to_name, len, asked_us, held_us });
        }
    }

    fn note_at(&self, when: Instant, what: What) {
        self.shared.note_at(NodeName::Mix(self.entry.id), when, what);
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
