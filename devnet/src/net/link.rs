//! Links from one node to the others: a TCP connection each, with the faults that were asked for.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use mixlet::sphinx::{NodeAddress, NodeFrame};
use mixlet::time::Instant;
use rand_chacha::ChaCha20Rng;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::node::{Mode, Shared, running, system_rng};
use crate::faults::{Fate, Position};
use crate::record::{DropReason, Fingerprint, NodeName, What};

/// How many packets wait for one link. Further ones are dropped.
const QUEUE_COUNT_MAX: usize = 4096;

/// How many packets one link holds up for latency. Further ones wait in the queue.
const DELAYED_COUNT_MAX: usize = 65_536;

/// The links of one node. They live in a task set of the node and end with it.
pub struct Links {
    shared: Shared,
    own: NodeName,
    position: Position,
    mode: watch::Receiver<Mode>,
    queues: BTreeMap<NodeAddress, mpsc::Sender<Cargo>>,
}

/// One packet for a link.
struct Cargo {
    bytes: Vec<u8>,
    packet: Fingerprint,
    len: usize,
}

impl Links {
    /// The links of the node `own`, which stand at `position` of each packet's way.
    pub fn new(shared: Shared, own: NodeName, position: Position, mode: watch::Receiver<Mode>) -> Self {
        Self { shared, own, position, mode, queues: BTreeMap::new() }
    }

    /// Sends a packet, after whatever the link does to it, and says what its fingerprint is. Opens the link if need be.
    pub fn send(&mut self, tasks: &mut JoinSet<()>, to: NodeAddress, frame: &NodeFrame) -> Fingerprint {
        let bytes = frame.packet.as_bytes();
        let (packet, len) = (Fingerprint::of(bytes), bytes.len());
        let queue = self.queues.entry(to).or_insert_with(|| {
            let (queue, cargo) = mpsc::channel(QUEUE_COUNT_MAX);
            let end = LinkEnd {
                shared: self.shared.clone(),
                own: self.own,
                position: self.position,
                to: to.into(),
                stream: None,
                rng: system_rng(),
                delayed: BTreeMap::new(),
                sequence: 0,
                in_order: Instant::ZERO,
            };
            tasks.spawn(end.run(cargo, self.mode.clone()));
            queue
        });
        if queue.try_send(Cargo { bytes: frame.to_v8(), packet, len }).is_err() {
            self.shared.note(self.own, What::Dropped { packet, len, why: DropReason::Full });
        }
        packet
    }
}

/// The task's side of a link.
struct LinkEnd {
    shared: Shared,
    own: NodeName,
    position: Position,
    to: SocketAddr,
    stream: Option<TcpStream>,
    rng: ChaCha20Rng,
    /// By the time they are to arrive, then by when they were sent.
    delayed: BTreeMap<(Instant, u64), Cargo>,
    sequence: u64,
    /// The latest arrival of a packet that keeps its place; the next one arrives no earlier.
    in_order: Instant,
}

impl LinkEnd {
    async fn run(mut self, mut cargo: mpsc::Receiver<Cargo>, mut mode: watch::Receiver<Mode>) {
        loop {
            let due = self.delayed.first_key_value().map(|((when, _), _)| *when);
            let deadline = self.shared.clock.deadline(due.unwrap_or_default());
            tokio::select! {
                next = cargo.recv(), if self.delayed.len() < DELAYED_COUNT_MAX => match next {
                    Some(cargo) => self.take(cargo),
                    None => return,
                },
                () = sleep_until(deadline), if due.is_some() => {
                    if !running(&mut mode).await {
                        return;
                    }
                    self.deliver().await;
                }
            }
        }
    }

    /// Decides what happens to a packet.
    fn take(&mut self, cargo: Cargo) {
        let faults = *self.shared.faults.borrow();
        let now = self.shared.clock.now();
        match faults.fate(self.position, &mut self.rng) {
            Fate::Lost => self.drop_cargo(&cargo, DropReason::Lost),
            Fate::Passes { after, overtaken, double } => {
                if let Some(after) = double {
                    self.shared.note(self.own, What::Doubled { packet: cargo.packet });
                    let copy = Cargo { bytes: cargo.bytes.clone(), ..cargo };
                    self.delay(now + after, copy);
                }
                let mut when = now + after;
                if !overtaken {
                    when = when.max(self.in_order);
                    self.in_order = when;
                }
                self.delay(when, cargo);
            }
        }
    }

    fn delay(&mut self, when: Instant, cargo: Cargo) {
        self.delayed.insert((when, self.sequence), cargo);
        self.sequence += 1;
    }

    /// Writes all packets whose time has come.
    async fn deliver(&mut self) {
        let now = self.shared.clock.now();
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let cargo = first.remove();
            if self.write(&cargo.bytes).await.is_err() {
                self.stream = None;
                self.drop_cargo(&cargo, DropReason::Unreachable);
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Nodes never write back, so a stream that can be read has ended: the other node was restarted.
        let ended = |stream: &TcpStream| match stream.try_read(&mut [0]) {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        };
        let stream = match self.stream.take().filter(|stream| !ended(stream)) {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.to).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        self.stream.insert(stream).write_all(bytes).await
    }

    fn drop_cargo(&self, cargo: &Cargo, why: DropReason) {
        self.shared.note(self.own, What::Dropped { packet: cargo.packet, len: cargo.len, why });
    }
}
