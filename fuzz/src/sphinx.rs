//! Packets, frames and SURBs as anyone can write them.

use std::net::SocketAddr;
use std::sync::LazyLock;

use aes::Aes128;
use ctr::Ctr64BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use mixlet::sphinx::keys::{HopKeys, PayloadKey, x25519, x25519_public};
use mixlet::sphinx::params::{HEADER_LEN, KEY_STREAM_LEN, ROUTING_LEN};
use mixlet::sphinx::{
    Checked, Delay, Destination, Hop, MixPacket, NodeAddress, NodeFrame, NodePrivateKey, NodePublicKey, Packet,
    PacketSize, Peeled, RotationTag, SphinxError, Surb, Version, build, payload, wide_block,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::Sha256;

use crate::laws::input::Input;

/// Everything with a form in bytes: what is read is what would be written.
pub fn packet(data: &[u8]) {
    if let Ok((address, used)) = NodeAddress::parse(data) {
        assert_eq!(address.to_bytes(), &data[..used]);
        assert_eq!(address.encoded_len(), used);
        assert_eq!(NodeAddress::parse(&address.to_padded_19()), Ok((address, used)));
        assert_eq!(NodeAddress::parse(&address.to_padded_32()), Ok((address, used)));
        assert_eq!(NodeAddress::from(SocketAddr::from(address)), address);
    }
    if let Ok(mix_packet) = MixPacket::parse_v1(data) {
        assert_eq!(mix_packet.to_v1(), data);
        assert_eq!(mix_packet.rotation, RotationTag::Unknown);
    }
    if let Ok(mix_packet) = MixPacket::parse_v2(data) {
        assert_eq!(mix_packet.to_v2(), data);
    }
    let mut stream = data;
    while let Ok(Some((frame, used))) = NodeFrame::decode(stream) {
        let (taken, rest) = stream.split_at(used);
        assert!(frame.to_v8() == taken || frame.to_v7() == taken);
        assert!(used > HEADER_LEN);
        stream = rest;
    }
    if let Ok(packet) = Packet::from_bytes(data.to_vec()) {
        assert_eq!(packet.size().packet_len(), data.len());
        assert_eq!(packet.as_bytes(), data);
    }
    if let Ok(plaintext) = payload::unpad(data) {
        let mut padded = Vec::new();
        payload::pad(&mut padded, plaintext, data.len());
        assert_eq!(padded, data);
    }
    let (mut block, key) = (data.to_vec(), PayloadKey::from_seed(&Input(data).array()));
    wide_block::encrypt(&key, &mut block);
    wide_block::decrypt(&key, &mut block);
    assert_eq!(block, data, "whatever its length");
    if let Ok(key) = NodePublicKey::from_bytes(Input(data).array()) {
        assert_ne!(*x25519(&[7; 32], key.as_bytes()), [0; 32], "a key of low order was taken");
    }
}

/// SURBs in both forms, read and used.
pub fn surb(data: &[u8]) {
    let mut input = Input(data);
    let (size, len) = (input.choose(&PacketSize::ALL), usize::from(input.u16()));
    for (legacy, read) in [(false, Surb::from_bytes(input.0)), (true, Surb::from_legacy_bytes(input.0))] {
        let Ok(surb) = read else { continue };
        let hops = surb.hops();
        assert!((1..=5).contains(&hops));
        let written = surb.to_bytes();
        assert_eq!(written.len(), input.0.len());
        assert_eq!(written.len(), if legacy { Surb::legacy_len(hops) } else { Surb::len(hops) });
        let again = if legacy { Surb::from_legacy_bytes(&written) } else { Surb::from_bytes(&written) };
        assert!(again.is_ok_and(|again| again.to_bytes() == written));
        let (header, first_hop) = (*surb.header(), surb.first_hop());
        match surb.apply(size, &vec![1; len]) {
            Ok((to, packet)) => {
                assert!(len <= size.plaintext_len());
                assert_eq!(to, first_hop);
                assert_eq!(packet.size(), size);
                assert_eq!(packet.as_bytes()[..HEADER_LEN], header);
            }
            Err(error) => {
                assert_eq!(error, SphinxError::TooLong(len));
                assert!(len > size.plaintext_len());
            }
        }
    }
}

/// One node and what it is sent: bytes, an authentic header that says anything, or a packet that was changed on its way.
pub fn peel(data: &[u8]) {
    let mut input = Input(data);
    match input.below(4) {
        0 => noise(&mut input),
        1 | 2 => authentic(&mut input),
        _ => changed(&mut input),
    }
}

fn noise(input: &mut Input<'_>) {
    let size = input.choose(&PacketSize::ALL);
    let mut bytes = input.0.to_vec();
    bytes.resize(size.packet_len(), 0);
    let packet = Packet::from_bytes(bytes).expect("one of the five lengths");
    let refused = Checked::new(packet, &NODE).err();
    assert!(matches!(refused, Some(SphinxError::Authentication | SphinxError::SharedSecret)));
}

/// Whoever makes a packet chooses what each node reads.
fn authentic(input: &mut Input<'_>) {
    let secret: [u8; 32] = input.array();
    let size = input.choose(&[PacketSize::Ack, PacketSize::Ack, PacketSize::Regular]);
    let element = x25519_public(&secret);
    let keys = HopKeys::for_node(&NODE.shared_secret(&element).expect("a multiple of the base point"));
    let (is_padded, mut routing) = (input.flag(), [0; ROUTING_LEN]);
    let said = input.take(ROUTING_LEN);
    routing[..said.len()].copy_from_slice(said);
    let plain = routing;
    apply(&keys.stream_key, &mut routing);
    let mut hmac = Hmac::<Sha256>::new_from_slice(&keys.mac_key).expect("any length");
    hmac.update(&routing);
    let mut bytes = [&element[..], &hmac.finalize().into_bytes()[..16], &routing].concat();
    let version = Version(u16::from_be_bytes([plain[2], plain[3]]));
    let rest = input.0;
    let mut payload_bytes = Vec::new();
    if is_padded {
        let plaintext = &rest[..rest.len().min(size.plaintext_len())];
        payload::pad(&mut payload_bytes, plaintext, size.payload_len());
        wide_block::encrypt(&keys.payload_key(version), &mut payload_bytes);
    }
    bytes.extend_from_slice(&payload_bytes);
    bytes.resize(size.packet_len(), 0);

    let checked = Checked::new(Packet::from_bytes(bytes).expect("one of the lengths"), &NODE).expect("authentic");
    assert_eq!(checked.replay_tag().0, keys.replay_tag);
    match (plain[0], checked.peel()) {
        (1, Ok(Peeled::Forward { next, delay, packet })) => {
            assert_eq!(NodeAddress::parse(&plain[4..36]).map(|(address, _)| address), Ok(next));
            assert_eq!(delay.nanos().to_be_bytes(), plain[36..44]);
            assert!(delay.to_duration() <= Delay::MAX);
            assert_eq!(packet.size(), size);
            assert_eq!(packet.as_bytes()[32..48], plain[44..60]);
            assert_eq!(packet.as_bytes()[..32], *x25519(&keys.blinding_factor, &element));
        }
        (1, Err(error)) => {
            assert_eq!(error, SphinxError::Address);
            assert!(NodeAddress::parse(&plain[4..36]).is_err());
        }
        (2, Ok(Peeled::Final { destination, identifier, size: found, plaintext })) => {
            assert_eq!((destination.0, found), (plain[4..36].try_into().expect("32 bytes"), size));
            assert_eq!(identifier, plain[36..52]);
            assert!(plaintext.len() <= size.plaintext_len());
            assert!(!is_padded || rest.starts_with(&plaintext));
        }
        (2, Err(error)) => {
            assert_eq!(error, SphinxError::Payload);
            assert!(!is_padded);
        }
        (flag, found) => assert_eq!(found.map(|_| ()), Err(SphinxError::Flag(flag))),
    }
}

/// A real packet with some bits changed before one of the nodes.
fn changed(input: &mut Input<'_>) {
    let [hops, at_hop, bits] = input.array();
    let hops = 1 + usize::from(hops % 5);
    let at_hop = usize::from(at_hop) % hops;
    let place = usize::from(input.u16()) % PacketSize::Ack.packet_len();
    let route: Vec<_> = KEYS[..hops].iter().map(|(_, key)| Hop { address: ADDRESS, key }).collect();
    let delays = vec![Delay::from_nanos(input.u64()); hops];
    let mut rng = ChaCha20Rng::seed_from_u64(input.u64());
    let said = input.take(21);
    let destination = Destination(input.array());
    let mut packet =
        build(PacketSize::Ack, &route, &delays, &destination, said, &mut rng).expect("a packet that can be made");
    for (hop, (private, _)) in KEYS[..hops].iter().enumerate() {
        if hop == at_hop {
            let mut bytes = packet.into_bytes();
            bytes[place] ^= bits;
            packet = Packet::from_bytes(bytes).expect("as long as before");
        }
        // The top bit of the group element counts for nothing.
        let in_header = place < HEADER_LEN && bits != 0 && !(place == 31 && bits == 0x80);
        let in_payload = place >= HEADER_LEN && bits != 0;
        let checked = Checked::new(packet, private);
        if hop == at_hop && in_header {
            assert!(matches!(checked.err(), Some(SphinxError::Authentication | SphinxError::SharedSecret)));
            return;
        }
        match checked.expect("an authentic header").peel() {
            Ok(Peeled::Forward { next, delay, packet: inner }) => {
                assert!(hop + 1 < hops);
                assert_eq!((next, delay), (ADDRESS, delays[hop]));
                packet = inner;
            }
            Ok(Peeled::Final { destination: found, plaintext, .. }) => {
                assert_eq!(hop + 1, hops);
                assert_eq!((found, &plaintext[..]), (destination, said));
                assert!(!in_payload, "a changed payload was taken");
                return;
            }
            Err(error) => {
                assert_eq!((hop + 1, error), (hops, SphinxError::Payload));
                assert!(in_payload);
                return;
            }
        }
    }
    panic!("the route has ended");
}

fn apply(key: &[u8; 16], routing: &mut [u8; ROUTING_LEN]) {
    let mut stream = [0; KEY_STREAM_LEN];
    stream[..ROUTING_LEN].copy_from_slice(routing);
    Ctr64BE::<Aes128>::new(key.into(), &[0; 16].into()).apply_keystream(&mut stream);
    routing.copy_from_slice(&stream[..ROUTING_LEN]);
}

static NODE: LazyLock<NodePrivateKey> = LazyLock::new(|| NodePrivateKey::from_bytes([42; 32]));
static KEYS: LazyLock<Vec<(NodePrivateKey, NodePublicKey)>> = LazyLock::new(|| {
    let pair = |seed| {
        let private = NodePrivateKey::from_bytes([seed; 32]);
        let public = private.public();
        public.prepare();
        (private, public)
    };
    (1..=5).map(pair).collect()
});
const ADDRESS: NodeAddress = NodeAddress::V4(std::net::Ipv4Addr::new(10, 0, 0, 1), 1789);
