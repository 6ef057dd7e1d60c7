//! Addresses, mix packets and frames between nodes.

use bytes::BytesMut;
use mixlet::{
    message::Address,
    sphinx::{MixPacket, NodeAddress, NodeFrame, Packet, PacketSize, RotationTag},
};
use nym_sphinx::{
    addressing::{clients::Recipient, nodes::NymNodeRoutingAddress},
    forwarding,
    framing::{codec::NymCodec, packet::FramedNymPacket},
    params::SphinxKeyRotation,
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use tokio_util::codec::{Decoder, Encoder};

use super::network::{Network, body};

#[test]
fn client_addresses_have_the_same_text_and_bytes() {
    for seed in 0..20 {
        let network = Network::new(seed);
        for client in [&network.alice, &network.bob] {
            assert_eq!(client.address.to_string(), client.recipient.to_string());
            assert_eq!(client.address.to_bytes(), client.recipient.to_bytes());
            let parsed = Recipient::try_from_base58_string(client.address.to_string()).unwrap();
            assert_eq!(parsed.to_bytes(), client.address.to_bytes());
            assert!(Address::parse(&client.recipient.to_string()).unwrap() == client.address);
            assert_eq!(client.address.identity().0, client.recipient.as_sphinx_destination().address.as_bytes());
        }
    }
}

#[test]
fn the_same_bytes_are_client_addresses() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut read = 0;
    for _ in 0..200 {
        let mut bytes = [0; 96];
        rng.fill_bytes(&mut bytes);
        // Half of all strings are points, so a quarter of these are addresses.
        let (ours, theirs) = (Address::from_bytes(&bytes), Recipient::try_from_bytes(bytes));
        assert_eq!(ours.is_ok(), theirs.is_ok());
        read += usize::from(ours.is_ok());
    }
    assert!((20..100).contains(&read));
}

#[test]
fn node_addresses_are_the_same() {
    for socket in ["1.2.3.4:1789", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:1789", "[::ffff:1.2.3.4]:1"] {
        let socket: std::net::SocketAddr = socket.parse().unwrap();
        let (ours, theirs) = (NodeAddress::from(socket), NymNodeRoutingAddress::from(socket));
        assert_eq!(ours.to_bytes(), theirs.as_bytes());
        assert_eq!(ours.to_padded_19()[..], theirs.as_zero_padded_bytes(19));
        assert_eq!(ours.to_padded_32()[..], theirs.as_zero_padded_bytes(32));
    }
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for len in 0..40 {
        for family in [0, 4, 5, 6, 7] {
            let mut bytes = body(len, &mut rng);
            if let Some(first) = bytes.first_mut() {
                *first = family;
            }
            let ours = NodeAddress::parse(&bytes).ok().map(|(address, _)| std::net::SocketAddr::from(address));
            assert_eq!(ours, NymNodeRoutingAddress::try_from_bytes(&bytes).ok().map(Into::into));
        }
    }
}

#[test]
fn rotations_have_the_same_tags() {
    for id in [0, 1, 2, 3, 4, 1000, 1001, u32::MAX - 1, u32::MAX] {
        assert_eq!(RotationTag::from_rotation_id(id).to_byte(), SphinxKeyRotation::from(id) as u8);
    }
}

#[test]
fn mix_packets_are_the_same() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for size in PacketSize::ALL {
        for rotation in [RotationTag::Unknown, RotationTag::Odd, RotationTag::Even] {
            let packet = Packet::from_bytes(body(size.packet_len(), &mut rng)).unwrap();
            let first_hop = NodeAddress::V4([1, 2, 3, 4].into(), 5);
            let ours = MixPacket { rotation, first_hop, packet };

            let theirs = forwarding::packet::MixPacket::try_from_v2_bytes(&ours.to_v2()).unwrap();
            assert_eq!(theirs.key_rotation() as u8, rotation.to_byte());
            assert_eq!(NodeAddress::from(theirs.next_hop_address()), first_hop);
            assert_eq!(MixPacket::parse_v2(&theirs.into_v2_bytes().unwrap()), Ok(ours.clone()));

            let theirs = forwarding::packet::MixPacket::try_from_v1_bytes(&ours.to_v1()).unwrap();
            let forgetful = MixPacket { rotation: RotationTag::Unknown, ..ours };
            assert_eq!(MixPacket::parse_v1(&theirs.into_v1_bytes().unwrap()), Ok(forgetful));
        }
    }
}

#[test]
fn the_same_bytes_are_mix_packets() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let first_hop = NodeAddress::V6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), 5);
    let packet = Packet::from_bytes(body(386, &mut rng)).unwrap();
    let good = MixPacket { rotation: RotationTag::Odd, first_hop, packet }.to_v2();
    for position in 0..4 {
        for value in 0..=9 {
            let mut bytes = good.clone();
            bytes[position] = value;
            // The rotation byte of version 2 is the address of version 1, so most of these are read by neither.
            let theirs = forwarding::packet::MixPacket::try_from_v2_bytes(&bytes).is_ok();
            assert_eq!(MixPacket::parse_v2(&bytes).is_ok(), theirs, "{value} at {position}");
            let theirs = forwarding::packet::MixPacket::try_from_v1_bytes(&bytes).is_ok();
            assert_eq!(MixPacket::parse_v1(&bytes).is_ok(), theirs, "{value} at {position}");
        }
    }
    for len in 0..good.len() + 3 {
        let mut bytes = good.clone();
        bytes.resize(len, 0);
        assert_eq!(
            MixPacket::parse_v2(&bytes).is_ok(),
            forwarding::packet::MixPacket::try_from_v2_bytes(&bytes).is_ok(),
            "{len} bytes"
        );
    }
}

#[test]
fn frames_are_the_same() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for size in PacketSize::ALL {
        for rotation in [RotationTag::Unknown, RotationTag::Odd, RotationTag::Even] {
            let packet = Packet::from_bytes(body(size.packet_len(), &mut rng)).unwrap();
            let ours = NodeFrame { rotation, packet };
            for (frame, older) in [(ours.to_v8(), false), (ours.to_v7(), true)] {
                let theirs = NymCodec.decode(&mut BytesMut::from(&frame[..])).unwrap().unwrap();
                assert_eq!(theirs.packet_size() as u8, size.tag());
                let (packet_type, key_rotation) = (theirs.packet_type(), theirs.key_rotation());
                let again = FramedNymPacket::new(theirs.into_inner(), packet_type, key_rotation, older);
                let mut stream = BytesMut::new();
                NymCodec.encode(again, &mut stream).unwrap();
                assert_eq!(stream[..], frame);
                let (decoded, used) = NodeFrame::decode(&stream).unwrap().unwrap();
                assert_eq!(used, frame.len());
                assert_eq!(decoded.packet, ours.packet);
                assert_eq!(decoded.rotation, if older { RotationTag::Unknown } else { rotation });
            }
        }
    }
}

#[test]
fn the_same_bytes_are_frames() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for version in 0..=12 {
        for size in 0..=9 {
            for (kind, rotation) in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (3, 0), (0, 255)] {
                let mut bytes = body(400, &mut rng);
                bytes[..4].copy_from_slice(&[version, size, kind, rotation]);
                for len in [0, 1, 2, 3, 4, 100, 400] {
                    let ours = NodeFrame::decode(&bytes[..len]).map(|frame| frame.is_some());
                    let theirs = NymCodec.decode(&mut BytesMut::from(&bytes[..len])).map(|frame| frame.is_some());
                    // We refuse a version as soon as it is there; the peer waits for two bytes more.
                    if len < 3 && theirs.is_ok() {
                        assert!(matches!(ours, Ok(false)) || !(7..=8).contains(&version));
                    } else {
                        assert_eq!(ours.ok(), theirs.ok(), "{:?} of {len} bytes", &bytes[..4]);
                    }
                }
            }
        }
    }
}
