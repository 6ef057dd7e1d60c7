//! The cryptography of one packet, as the engine needs it.
//!
//! [`Sphinx`] is what is shipped and the default everywhere. The parameter exists so that worlds with thousands of
//! clients can run on packets that have the same sizes and the same failures without the public-key work; such a format
//! lives beside the simulation, outside this crate.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::gateway::{self, FrameError, SharedKey};
use crate::message::{self, ACK_LEN, AckContent, AckKey, EncryptionKey, MessageError, ReplyKey};
use crate::sphinx::{self, Delay, Destination, Hop, NodeAddress, Packet, PacketSize, SphinxError, Surb};

/// Everything that is computed for one packet on its way out and for one push on its way in. Each function has the
/// meaning, the lengths and the errors of the one that [`Sphinx`] calls.
pub trait PacketFormat: 'static {
    /// As [`sphinx::build`].
    ///
    /// # Errors
    /// As there.
    fn build(
        size: PacketSize,
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        plaintext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Packet, SphinxError>;

    /// As [`Surb::make`].
    ///
    /// # Errors
    /// As there.
    fn make_surb(
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        rng: &mut dyn CryptoRng,
    ) -> Result<Surb, SphinxError>;

    /// As [`Surb::apply`].
    ///
    /// # Errors
    /// As there.
    fn apply_surb(surb: Surb, size: PacketSize, plaintext: &[u8]) -> Result<(NodeAddress, Packet), SphinxError>;

    /// As [`message::seal_to`].
    ///
    /// # Errors
    /// As there.
    fn seal_to(recipient_key: &[u8; 32], fragment: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, MessageError>;

    /// As [`message::open`].
    ///
    /// # Errors
    /// As there.
    fn open(own: &EncryptionKey, pushed: &[u8]) -> Result<Vec<u8>, MessageError>;

    /// As [`message::seal_with`].
    fn seal_with(key: &ReplyKey, fragment: &[u8]) -> Vec<u8>;

    /// As [`message::open_with`].
    fn open_with(key: &ReplyKey, sealed: &[u8]) -> Vec<u8>;

    /// As [`AckKey::seal`].
    fn seal_ack(key: &AckKey, content: AckContent, rng: &mut dyn CryptoRng) -> [u8; ACK_LEN];

    /// As [`AckKey::open`].
    fn open_ack(key: &AckKey, pushed: &[u8]) -> Option<AckContent>;

    /// As [`gateway::seal_request`].
    fn seal_request(shared: &SharedKey, mix_packet: &[u8], v2: bool, rng: &mut dyn CryptoRng) -> Vec<u8>;

    /// As [`gateway::open_push`].
    ///
    /// # Errors
    /// As there.
    fn open_push(shared: &SharedKey, frame: &[u8]) -> Result<Vec<u8>, FrameError>;
}

/// The real format of the network.
pub enum Sphinx {}

impl PacketFormat for Sphinx {
    fn build(
        size: PacketSize,
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        plaintext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Packet, SphinxError> {
        sphinx::build(size, route, delays, destination, plaintext, rng)
    }

    fn make_surb(
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        rng: &mut dyn CryptoRng,
    ) -> Result<Surb, SphinxError> {
        Surb::make(route, delays, destination, rng)
    }

    fn apply_surb(surb: Surb, size: PacketSize, plaintext: &[u8]) -> Result<(NodeAddress, Packet), SphinxError> {
        surb.apply(size, plaintext)
    }

    fn seal_to(recipient_key: &[u8; 32], fragment: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, MessageError> {
        message::seal_to(recipient_key, fragment, rng)
    }

    fn open(own: &EncryptionKey, pushed: &[u8]) -> Result<Vec<u8>, MessageError> {
        message::open(own, pushed)
    }

    fn seal_with(key: &ReplyKey, fragment: &[u8]) -> Vec<u8> {
        message::seal_with(key, fragment)
    }

    fn open_with(key: &ReplyKey, sealed: &[u8]) -> Vec<u8> {
        message::open_with(key, sealed)
    }

    fn seal_ack(key: &AckKey, content: AckContent, rng: &mut dyn CryptoRng) -> [u8; ACK_LEN] {
        key.seal(content, rng)
    }

    fn open_ack(key: &AckKey, pushed: &[u8]) -> Option<AckContent> {
        key.open(pushed)
    }

    fn seal_request(shared: &SharedKey, mix_packet: &[u8], v2: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        gateway::seal_request(shared, mix_packet, v2, rng)
    }

    fn open_push(shared: &SharedKey, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
        gateway::open_push(shared, frame)
    }
}
