//! What nodes compute for one packet. The real network's format is [`Sphinx`]; simulations may have a cheaper one.

use mixlet::engine::{PacketFormat, Sphinx};
use mixlet::gateway::{self, FrameError, SharedKey};
use mixlet::sphinx::{Checked, NodePrivateKey, Packet, Peeled, ReplayTag};
use rand_core::CryptoRng;

use crate::record::Fingerprint;

/// The half of a [`PacketFormat`] that mix nodes and gateways need.
pub trait NodeFormat: PacketFormat {
    /// A node's key of one rotation, ready for use.
    type Key;

    /// Takes a key.
    fn key(key: NodePrivateKey) -> Self::Key;

    /// Removes a node's layer. `is_new` is asked about a packet that is authentic and says false to a replay.
    ///
    /// # Errors
    /// What is wrong with the packet.
    fn peel(packet: Packet, key: &Self::Key, is_new: impl FnOnce(&ReplayTag) -> bool) -> Result<Peeled, Fault>;

    /// Names a packet at one point of its way.
    fn fingerprint(packet: &Packet) -> Fingerprint;

    /// As [`gateway::open_request`].
    ///
    /// # Errors
    /// As there.
    fn open_request(shared: &SharedKey, frame: &[u8]) -> Result<(u8, Vec<u8>), FrameError>;

    /// As [`gateway::seal_push`].
    fn seal_push(shared: &SharedKey, payload: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8>;
}

/// Why a packet is not taken.
pub enum Fault {
    /// It was not made for this key; perhaps for another one of the node.
    OtherKey(Packet),
    /// It was here before.
    Replay,
    /// It is authentic and makes no sense.
    Malformed,
}

impl NodeFormat for Sphinx {
    type Key = NodePrivateKey;

    fn key(key: NodePrivateKey) -> Self::Key {
        key
    }

    fn peel(packet: Packet, key: &Self::Key, is_new: impl FnOnce(&ReplayTag) -> bool) -> Result<Peeled, Fault> {
        let Ok(checked) = Checked::new(packet.clone(), key) else { return Err(Fault::OtherKey(packet)) };
        if !is_new(&checked.replay_tag()) {
            return Err(Fault::Replay);
        }
        checked.peel().map_err(|_| Fault::Malformed)
    }

    fn fingerprint(packet: &Packet) -> Fingerprint {
        Fingerprint::of(packet.as_bytes())
    }

    fn open_request(shared: &SharedKey, frame: &[u8]) -> Result<(u8, Vec<u8>), FrameError> {
        gateway::open_request(shared, frame)
    }

    fn seal_push(shared: &SharedKey, payload: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        gateway::seal_push(shared, payload, rng)
    }
}
