//! A mix node without I/O: peel, hold for the delay, forward.
//!
//! Packets go in with [`MixNode::handle_frame`] and come out of [`MixNode::poll_transmit`] when their delay has passed,
//! in the order of their deadlines. The node knows the addresses of the network's nodes and forwards to no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use mixlet::engine::Sphinx;
use mixlet::sphinx::{NodeAddress, NodeFrame, NodePrivateKey, Peeled};
use mixlet::time::{Duration, Instant};

use crate::format::NodeFormat;
use crate::keyring::{KeyRing, Rotations};
use crate::record::{DropReason, Fingerprint, NodeName};

/// How many packets a node holds at a time. Further ones are dropped.
pub const HELD_COUNT_MAX: usize = 100_000;

/// The nodes of a network by the address on which they take packets.
pub type Peers = Arc<BTreeMap<NodeAddress, NodeName>>;

/// A packet on its way out.
#[derive(Debug)]
pub struct Departure {
    /// Where to.
    pub to: NodeAddress,
    /// The same as a name.
    pub to_name: NodeName,
    /// What to send.
    pub frame: NodeFrame,
    /// What it was when it arrived.
    pub arrived: Fingerprint,
    /// When that was.
    pub since: Instant,
    /// How long it was to be held; not yet clamped.
    pub asked: Duration,
}

/// One mix node.
pub struct MixNode<F: NodeFormat = Sphinx> {
    keys: KeyRing<F>,
    peers: Peers,
    /// By deadline, then by arrival.
    held: BTreeMap<(Instant, u64), Departure>,
    arrivals: u64,
}

impl<F: NodeFormat> MixNode<F> {
    /// A node without keys; give it some with [`MixNode::hold_keys`].
    pub fn new(peers: Peers) -> Self {
        Self { keys: KeyRing::default(), peers, held: BTreeMap::new(), arrivals: 0 }
    }

    /// Says which keys the node has from now on, see [`KeyRing::hold`].
    pub fn hold_keys(&mut self, rotations: Rotations, key_of: impl Fn(u32) -> NodePrivateKey) {
        self.keys.hold(rotations, key_of);
    }

    /// Takes a packet that arrived at `now`.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_frame(&mut self, frame: NodeFrame, now: Instant) -> Result<(), DropReason> {
        let arrived = F::fingerprint(&frame.packet);
        let rotation = frame.rotation;
        let Peeled::Forward { next, delay, packet } = self.keys.peel(frame)? else {
            return Err(DropReason::WrongRole);
        };
        let to_name = *self.peers.get(&next).ok_or(DropReason::UnknownNextHop)?;
        if self.held.len() >= HELD_COUNT_MAX {
            return Err(DropReason::Full);
        }
        let departure = Departure {
            to: next,
            to_name,
            frame: NodeFrame { rotation, packet },
            arrived,
            since: now,
            asked: Duration::from_nanos(delay.nanos()),
        };
        // Clamped before any arithmetic: senders may ask for centuries.
        self.held.insert((now + delay.to_duration(), self.arrivals), departure);
        self.arrivals += 1;
        Ok(())
    }

    /// The next packet whose delay has passed at `now`.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Departure> {
        let first = self.held.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next packet is to leave.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((when, _), _)| *when)
    }
}
