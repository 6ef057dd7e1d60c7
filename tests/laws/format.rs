//! The packets of a world: the real ones, or ones without the public-key work, which is nearly all of the time that a run
//! takes.

use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

use mixlet::engine::{PacketFormat, Sphinx};
use mixlet::gateway::{self, FrameError, SharedKey};
use mixlet::message::{
    ACK_LEN, AckContent, AckKey, EncryptionKey, MessageError, ReplyKey, ReplySurb, open_with, seal_with,
};
use mixlet::sphinx::params::{HEADER_LEN, HOPS_MAX, PAYLOAD_SEED_LEN};
use mixlet::sphinx::{Delay, Destination, Hop, NodeAddress, Packet, PacketSize, SphinxError, Surb};
use rand_core::CryptoRng;

use super::network::{Arrived, Network};
use super::peer::Peer;

/// SURBs that lead to the peer, with their keys.
pub type Pool = [([u8; 16], Vec<u8>); 16];

/// A format whose packets can be followed to their end.
pub trait Format: PacketFormat {
    /// From node to node. Nothing where a node drops it.
    fn follow(network: &Network, at: NodeAddress, packet: Packet) -> Option<Arrived>;

    /// Made once, since making takes long.
    fn pool() -> &'static Pool;
}

impl Format for Sphinx {
    fn follow(network: &Network, at: NodeAddress, packet: Packet) -> Option<Arrived> {
        network.peel(at, packet)
    }

    fn pool() -> &'static Pool {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(pool::<Self>)
    }
}

/// Packets whose header holds the destination in clear, behind a sum over all of it. Whatever needs no public keys is
/// as in real ones: acks, reply keys, frames.
pub enum Clear {}

impl Format for Clear {
    fn follow(_: &Network, at: NodeAddress, packet: Packet) -> Option<Arrived> {
        let size = packet.size();
        let (header, payload) = packet.as_bytes().split_first_chunk::<HEADER_LEN>()?;
        let is_whole = sum(header) == header[SUM..SUM + 8] && Network::is_first_layer(at);
        let destination = Destination(header[DESTINATION..][..32].try_into().ok()?);
        let (len, rest) = payload.split_first_chunk()?;
        let plaintext = rest.get(..u32::from_be_bytes(*len) as usize)?.to_vec();
        is_whole.then_some(Arrived { destination, size, plaintext })
    }

    fn pool() -> &'static Pool {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(pool::<Self>)
    }
}

impl PacketFormat for Clear {
    fn build(
        size: PacketSize,
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        plaintext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Packet, SphinxError> {
        packet(&header(route, delays, destination, rng)?, size, plaintext)
    }

    fn make_surb(
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        rng: &mut dyn CryptoRng,
    ) -> Result<Surb, SphinxError> {
        let first_hop = route.first().ok_or(SphinxError::Route(0))?.address;
        let mut bytes = header(route, delays, destination, rng)?.to_vec();
        bytes.extend_from_slice(&first_hop.to_padded_32());
        bytes.resize(bytes.len() + PAYLOAD_SEED_LEN * route.len(), 0);
        Surb::from_bytes(&bytes)
    }

    fn apply_surb(surb: Surb, size: PacketSize, plaintext: &[u8]) -> Result<(NodeAddress, Packet), SphinxError> {
        Ok((surb.first_hop(), packet(surb.header(), size, plaintext)?))
    }

    fn seal_to(recipient_key: &[u8; 32], fragment: &[u8], _: &mut dyn CryptoRng) -> Result<Vec<u8>, MessageError> {
        Ok([recipient_key, fragment].concat())
    }

    fn open(_: &EncryptionKey, pushed: &[u8]) -> Result<Vec<u8>, MessageError> {
        let (_, fragment) = pushed.split_first_chunk::<32>().ok_or(MessageError::Length(pushed.len()))?;
        Ok(fragment.to_vec())
    }

    fn seal_with(key: &ReplyKey, fragment: &[u8]) -> Vec<u8> {
        seal_with(key, fragment)
    }

    fn open_with(key: &ReplyKey, sealed: &[u8]) -> Vec<u8> {
        open_with(key, sealed)
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

fn header(
    route: &[Hop<'_>],
    delays: &[Delay],
    destination: &Destination,
    rng: &mut dyn CryptoRng,
) -> Result<[u8; HEADER_LEN], SphinxError> {
    if route.is_empty() || route.len() > HOPS_MAX {
        return Err(SphinxError::Route(route.len()));
    }
    if delays.len() != route.len() {
        return Err(SphinxError::Delays);
    }
    let mut header = [0; HEADER_LEN];
    rng.fill_bytes(&mut header[..DESTINATION]);
    header[DESTINATION..][..32].copy_from_slice(&destination.0);
    let sum = sum(&header);
    header[SUM..][..8].copy_from_slice(&sum);
    Ok(header)
}

fn packet(header: &[u8; HEADER_LEN], size: PacketSize, plaintext: &[u8]) -> Result<Packet, SphinxError> {
    if plaintext.len() > size.plaintext_len() {
        return Err(SphinxError::TooLong(plaintext.len()));
    }
    let len = (plaintext.len() as u32).to_be_bytes();
    let mut bytes = [&header[..], &len, plaintext].concat();
    bytes.resize(size.packet_len(), 0);
    Packet::from_bytes(bytes)
}

/// Over all of a header but itself.
fn sum(header: &[u8; HEADER_LEN]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(&header[..SUM]);
    hasher.write(&header[SUM + 8..]);
    hasher.finish().to_be_bytes()
}

fn pool<P: Format>() -> Pool {
    let peer = Peer::<P>::new();
    core::array::from_fn(|at| {
        let ReplySurb { key, surb } = Network::surb::<P>(&peer.address, 1, at as u64);
        (*key.as_bytes(), surb.to_bytes())
    })
}

/// In a header: random bytes, the destination, the sum.
const DESTINATION: usize = 16;
const SUM: usize = DESTINATION + 32;
