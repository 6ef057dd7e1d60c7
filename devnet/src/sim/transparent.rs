//! Packets that hide nothing: the sizes and the failures of Sphinx packets without their cryptography.
//!
//! A header of the usual length holds the route in clear and how far the packet has come; a node reads its hop and
//! moves the mark. What is sealed elsewhere lies here in clear behind the name of the key it is for. Nodes refuse what
//! was made for another key, what was here before, and what was garbled, as they do with real packets. A packet's
//! bytes are made once and moved from event to event.

use mixlet::engine::PacketFormat;
use mixlet::gateway::{FrameError, SharedKey};
use mixlet::message::{ACK_LEN, AckContent, AckKey, EncryptionKey, FragmentId, MessageError, ReplyKey};
use mixlet::sphinx::params::{HEADER_LEN, HOPS_MAX, PAYLOAD_SEED_LEN};
use mixlet::sphinx::{
    Delay, Destination, Hop, NodeAddress, NodePrivateKey, Packet, PacketSize, Peeled, ReplayTag, SphinxError, Surb,
};
use rand_core::CryptoRng;

use crate::format::{Fault, NodeFormat};
use crate::record::Fingerprint;

/// The format of large runs.
pub enum Transparent {}

impl PacketFormat for Transparent {
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

    fn open(own: &EncryptionKey, pushed: &[u8]) -> Result<Vec<u8>, MessageError> {
        // Whether it was sealed to this key is not looked at, as it cannot be seen of real bytes either.
        let _ = own;
        let (_, fragment) = pushed.split_first_chunk::<32>().ok_or(MessageError::Length(pushed.len()))?;
        Ok(fragment.to_vec())
    }

    fn seal_with(key: &ReplyKey, fragment: &[u8]) -> Vec<u8> {
        [&key.digest().0, fragment].concat()
    }

    fn open_with(_: &ReplyKey, sealed: &[u8]) -> Vec<u8> {
        sealed.to_vec()
    }

    fn seal_ack(key: &AckKey, content: AckContent, _: &mut dyn CryptoRng) -> [u8; ACK_LEN] {
        let mut sealed = [0; ACK_LEN];
        sealed[..16].copy_from_slice(key.as_bytes());
        if let AckContent::Fragment(id) = content {
            sealed[16..].copy_from_slice(&id.to_bytes());
        }
        sealed
    }

    fn open_ack(key: &AckKey, pushed: &[u8]) -> Option<AckContent> {
        let (owner, id) = pushed.split_first_chunk::<16>()?;
        let id: &[u8; 5] = id.try_into().ok().filter(|_| owner == key.as_bytes())?;
        if *id == [0; 5] { Some(AckContent::Cover) } else { FragmentId::from_bytes(id).map(AckContent::Fragment) }
    }

    fn seal_request(shared: &SharedKey, mix_packet: &[u8], v2: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        frame(if v2 { 2 } else { 1 }, shared, mix_packet)
    }

    fn open_push(shared: &SharedKey, bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
        let (kind, payload) = open_frame(shared, bytes)?;
        if kind == 1 { Ok(payload.to_vec()) } else { Err(FrameError::Kind(kind)) }
    }
}

impl NodeFormat for Transparent {
    type Key = [u8; 8];

    fn key(key: NodePrivateKey) -> Self::Key {
        key_name(key.public().as_bytes())
    }

    fn peel(packet: Packet, key: &Self::Key, is_new: impl FnOnce(&ReplayTag) -> bool) -> Result<Peeled, Fault> {
        let size = packet.size();
        let header = packet.as_bytes();
        let (at, hops) = (usize::from(header[MARK]), usize::from(header[HOPS]));
        if hops > HOPS_MAX || at >= hops {
            return Err(Fault::Malformed);
        }
        let hop = &header[FIRST_HOP + at * HOP_LEN..][..HOP_LEN];
        if hop[KEY_NAME..] != *key {
            return Err(Fault::OtherKey(packet));
        }
        let mut tag = [0; 32];
        tag[..8].copy_from_slice(&header[..MARK]);
        if !is_new(&ReplayTag(tag)) {
            return Err(Fault::Replay);
        }
        if at + 1 < hops {
            let (next, _) =
                NodeAddress::parse(&header[FIRST_HOP + (at + 1) * HOP_LEN..]).map_err(|_| Fault::Malformed)?;
            let delay = Delay::from_nanos(number(&hop[DELAY..KEY_NAME]));
            let mut bytes = packet.into_bytes();
            bytes[MARK] += 1;
            let packet = Packet::from_bytes(bytes).map_err(|_| Fault::Malformed)?;
            return Ok(Peeled::Forward { next, delay, packet });
        }
        let mut destination = [0; 32];
        destination.copy_from_slice(&header[DESTINATION..][..32]);
        let payload = &packet.as_bytes()[HEADER_LEN..];
        let len = usize::try_from(number(&payload[..8])).unwrap_or(usize::MAX);
        let plaintext = payload[8..].get(..len).ok_or(Fault::Malformed)?.to_vec();
        Ok(Peeled::Final { destination: Destination(destination), identifier: [0; 16], size, plaintext })
    }

    fn fingerprint(packet: &Packet) -> Fingerprint {
        let header = packet.as_bytes();
        // The number of the packet, turned by how far it has come, so that each point of the way has its own.
        Fingerprint(number(&header[..MARK]).rotate_left(u32::from(header[MARK])))
    }

    fn open_request(shared: &SharedKey, bytes: &[u8]) -> Result<(u8, Vec<u8>), FrameError> {
        let (kind, packet) = open_frame(shared, bytes)?;
        Ok((kind, packet.to_vec()))
    }

    fn seal_push(shared: &SharedKey, payload: &[u8], _: &mut dyn CryptoRng) -> Vec<u8> {
        frame(1, shared, payload)
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
    header[..MARK].copy_from_slice(&rng.next_u64().to_be_bytes());
    header[HOPS] = route.len() as u8;
    for (at, (hop, delay)) in route.iter().zip(delays).enumerate() {
        let place = &mut header[FIRST_HOP + at * HOP_LEN..][..HOP_LEN];
        place[..DELAY].copy_from_slice(&hop.address.to_padded_19());
        place[DELAY..KEY_NAME].copy_from_slice(&delay.nanos().to_be_bytes());
        place[KEY_NAME..].copy_from_slice(&key_name(hop.key.as_bytes()));
    }
    header[DESTINATION..][..32].copy_from_slice(&destination.0);
    Ok(header)
}

fn packet(header: &[u8; HEADER_LEN], size: PacketSize, plaintext: &[u8]) -> Result<Packet, SphinxError> {
    if plaintext.len() > size.plaintext_len() {
        return Err(SphinxError::TooLong(plaintext.len()));
    }
    let mut bytes = Vec::with_capacity(size.packet_len());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(&(plaintext.len() as u64).to_be_bytes());
    bytes.extend_from_slice(plaintext);
    bytes.resize(size.packet_len(), 0);
    Packet::from_bytes(bytes)
}

/// `kind ‖ 1 ‖ name of the key[12] ‖ text ‖ 0[16]`: the length of a sealed frame.
fn frame(kind: u8, shared: &SharedKey, text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEAD_LEN + text.len() + SharedKey::TAG_LEN);
    frame.extend_from_slice(&[kind, 1]);
    frame.extend_from_slice(&shared.as_bytes()[..12]);
    frame.extend_from_slice(text);
    frame.resize(frame.len() + SharedKey::TAG_LEN, 0);
    frame
}

fn open_frame<'a>(shared: &SharedKey, bytes: &'a [u8]) -> Result<(u8, &'a [u8]), FrameError> {
    let text = bytes.len().checked_sub(FRAME_HEAD_LEN + SharedKey::TAG_LEN).ok_or(FrameError::TooShort(bytes.len()))?;
    if bytes[2..FRAME_HEAD_LEN] != shared.as_bytes()[..12] {
        return Err(FrameError::Authentication);
    }
    Ok((bytes[0], &bytes[FRAME_HEAD_LEN..][..text]))
}

fn key_name(key: &[u8; 32]) -> [u8; 8] {
    let mut name = [0; 8];
    name.copy_from_slice(&key[..8]);
    name
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// In a header: the packet's number, how far it has come, how many hops it has, the hops, the destination.
const MARK: usize = 8;
const HOPS: usize = 9;
const FIRST_HOP: usize = 16;
/// In a hop: address, delay in nanoseconds, name of the key.
const DELAY: usize = NodeAddress::V6_LEN;
const KEY_NAME: usize = DELAY + 8;
const HOP_LEN: usize = KEY_NAME + 8;
const DESTINATION: usize = FIRST_HOP + HOPS_MAX * HOP_LEN;
const _: () = assert!(DESTINATION + 32 <= HEADER_LEN);

const FRAME_HEAD_LEN: usize = 14;
