//! Packets and SURBs.

use mixlet::sphinx::{
    Checked, Delay, Destination, Hop, MixPacket, NodeAddress, NodeFrame, NodePrivateKey, NodePublicKey, Packet,
    PacketSize, Peeled, RotationTag, SphinxError, Surb, build, header,
    keys::{HopKeys, SenderChain, x25519, x25519_public},
    payload,
};
use proptest::{collection::vec, prelude::*};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The shortcut of one multiplication per hop against the definition: one clamped X25519 after the other.
    #[test]
    fn one_multiplication_is_the_whole_chain(secret: [u8; 32], nodes in vec(any::<[u8; 32]>(), 1..=5)) {
        let mut chain = SenderChain::new(&secret);
        let mut exponents = vec![secret];
        let mut element = x25519_public(&secret);
        for node in nodes {
            let private = NodePrivateKey::from_bytes(node);
            let public = private.public();
            prop_assert_eq!(public.as_bytes(), &x25519_public(&node));
            let expected = exponents.iter().fold(*public.as_bytes(), |point, exponent| *x25519(exponent, &point));
            let shared = chain.shared_secret(&public);
            prop_assert_eq!(&*shared, &expected);
            prop_assert_eq!(&private.shared_secret(&element).unwrap(), &shared);
            prop_assert_eq!(chain.group_element(), element);

            let factor = HopKeys::for_sender(&shared).blinding_factor;
            chain.blind(&factor);
            element = *x25519(&factor, &element);
            exponents.push(factor);
        }
    }

    /// Any 32 bytes: a key is refused, or the shortcut agrees with the chain, also for keys with a part of low order.
    #[test]
    fn accepted_keys_of_any_order_agree(secret: [u8; 32], factor: [u8; 32], key: [u8; 32]) {
        if let Ok(public) = NodePublicKey::from_bytes(key) {
            let mut chain = SenderChain::new(&secret);
            chain.blind(&factor);
            prop_assert_eq!(chain.shared_secret(&public), x25519(&factor, &x25519(&secret, &key)));
        }
    }

    #[test]
    fn packets_arrive(
        seed: u64,
        size in size(),
        nodes in vec((address(), any::<u64>()), 1..=5),
        destination: [u8; 32],
        plaintext in vec(any::<u8>(), 0..2100),
        full: bool,
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let network = Network::new(&nodes, &mut rng);
        let mut plaintext = plaintext;
        plaintext.truncate(size.plaintext_len());
        if full {
            plaintext.resize(size.plaintext_len(), 1);
        }
        let packet =
            build(size, &network.hops(), &network.delays, &Destination(destination), &plaintext, &mut rng).unwrap();
        prop_assert_eq!(packet.size(), size);
        prop_assert_eq!(packet.as_bytes().len(), size.packet_len());
        prop_assert_eq!(network.deliver(packet), (Destination(destination), plaintext));
    }

    #[test]
    fn replies_arrive(
        seed: u64,
        size in size(),
        nodes in vec((address(), any::<u64>()), 1..=5),
        destination: [u8; 32],
        plaintext in vec(any::<u8>(), 0..22),
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let network = Network::new(&nodes, &mut rng);
        let mut plaintext = plaintext;
        plaintext.truncate(size.plaintext_len());
        let made = Surb::make(&network.hops(), &network.delays, &Destination(destination), &mut rng).unwrap();
        let bytes = made.to_bytes();
        prop_assert_eq!(bytes.len(), Surb::len(nodes.len()));
        let surb = Surb::from_bytes(&bytes).unwrap();
        prop_assert_eq!(surb.to_bytes(), bytes);
        let (first_hop, packet) = surb.apply(size, &plaintext).unwrap();
        prop_assert_eq!(first_hop, nodes[0].0);
        prop_assert_eq!(network.deliver(packet), (Destination(destination), plaintext));
    }

    /// Any altered bit is noticed: in the header at once, in the payload at the last hop.
    #[test]
    fn altered_packets_do_not_arrive(seed: u64, bit in 0..386 * 8_usize) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let network = Network::new(&[(NodeAddress::V4([1, 2, 3, 4].into(), 5), 6); 3], &mut rng);
        let packet =
            build(PacketSize::Ack, &network.hops(), &network.delays, &Destination([7; 32]), b"ack", &mut rng).unwrap();
        let mut bytes = packet.into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let refused = network.walk(Packet::from_bytes(bytes).unwrap()).err();
        // The top bit of the group element does not count.
        let expected = if bit == 255 { None } else if bit < 348 * 8 { Some(0) } else { Some(2) };
        prop_assert_eq!(refused, expected);
    }

    /// Whoever shares a secret with a node chooses what it reads: any header is a step or an unknown flag.
    #[test]
    fn any_header_is_opened_or_refused(secret: [u8; 32], start in vec(any::<u8>(), 348), flag in prop_oneof![Just(1), Just(2), any::<u8>()]) {
        let keys = HopKeys::for_node(&secret);
        let mut bytes: [u8; 348] = start.try_into().unwrap();
        // The key stream begins behind group element and MAC; with its first byte known any flag can be written.
        let first = (0..=u8::MAX).find(|byte| {
            bytes[48] = *byte;
            header::open(&bytes, &keys).err() == Some(SphinxError::Flag(0))
        });
        bytes[48] = first.unwrap() ^ flag;
        match header::open(&bytes, &keys).map(|step| step.action) {
            Ok(header::Action::Forward { next, delay, header: inner }) => {
                prop_assert_eq!(flag, 1);
                prop_assert!(delay.to_duration() <= Delay::MAX);
                prop_assert!(NodeAddress::parse(&next).is_ok() == matches!(next[0], 4 | 6));
                prop_assert!(inner != bytes);
            }
            Ok(header::Action::Final { .. }) => prop_assert_eq!(flag, 2),
            Err(error) => {
                prop_assert_eq!(error, SphinxError::Flag(flag));
                prop_assert!(flag != 1 && flag != 2);
            }
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in vec(any::<u8>(), 0..2500), key: [u8; 32]) {
        if let Ok((address, used)) = NodeAddress::parse(&bytes) {
            prop_assert_eq!(address.to_bytes(), &bytes[..used]);
        }
        if let Ok(surb) = Surb::from_bytes(&bytes) {
            prop_assert_eq!(surb.to_bytes().len(), bytes.len());
        }
        let _ = Surb::from_legacy_bytes(&bytes);
        if let Ok(mix_packet) = MixPacket::parse_v1(&bytes) {
            prop_assert_eq!(mix_packet.to_v1(), &bytes[..]);
        }
        if let Ok(mix_packet) = MixPacket::parse_v2(&bytes) {
            prop_assert_eq!(mix_packet.to_v2(), &bytes[..]);
        }
        if let Ok(Some((frame, used))) = NodeFrame::decode(&bytes) {
            prop_assert!(frame.to_v8() == bytes[..used] || frame.to_v7() == bytes[..used]);
        }
        if let Ok(plaintext) = payload::unpad(&bytes) {
            let mut padded = Vec::new();
            payload::pad(&mut padded, plaintext, bytes.len());
            prop_assert_eq!(padded, bytes.clone());
        }
        let _ = NodePublicKey::from_bytes(key);
    }

    #[test]
    fn frames_come_back_from_a_stream(
        packets in vec((size(), 0_u8..3, any::<bool>()), 1..4),
        cut in 0..20_000_usize,
    ) {
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for (size, rotation, current) in packets {
            let mut frame = NodeFrame {
                rotation: RotationTag::from_byte(rotation).unwrap(),
                packet: Packet::from_bytes(vec![rotation; size.packet_len()]).unwrap(),
            };
            stream.extend(if current { frame.to_v8() } else { frame.to_v7() });
            if !current {
                frame.rotation = RotationTag::Unknown;
            }
            sent.push(frame);
        }
        // However much has come so far, what is decoded is a beginning of what was sent.
        stream.truncate(stream.len().saturating_sub(cut));
        let mut rest = &stream[..];
        let mut received = Vec::new();
        while let Some((frame, used)) = NodeFrame::decode(rest).unwrap() {
            received.push(frame);
            rest = &rest[used..];
        }
        prop_assert!(sent.starts_with(&received));
        prop_assert!(cut > 0 || received.len() == sent.len());
        prop_assert!(received.len() == sent.len() || rest.len() < sent[received.len()].to_v8().len());
    }

    #[test]
    fn delays_are_drawn_around_their_mean(seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mean = std::time::Duration::from_millis(15);
        let sum: f64 = (0..2000).map(|_| Delay::sample(mean, &mut rng).nanos() as f64).sum();
        // The mean of 2000 draws has a standard deviation of 2.2 %.
        prop_assert!((sum / 2000.0 / 15e6 - 1.0).abs() < 0.18, "{sum}");
        prop_assert_eq!(Delay::sample(std::time::Duration::ZERO, &mut rng), Delay::ZERO);
        prop_assert!(Delay::from_nanos(seed).to_duration() <= Delay::MAX);
    }
}

fn size() -> impl Strategy<Value = PacketSize> {
    prop::sample::select(&PacketSize::ALL[..])
}

fn address() -> impl Strategy<Value = NodeAddress> {
    any::<std::net::SocketAddr>().prop_map(NodeAddress::from)
}

/// Nodes that know their place in the only route there is.
struct Network {
    nodes: Vec<(NodeAddress, NodePrivateKey, NodePublicKey)>,
    delays: Vec<Delay>,
}

impl Network {
    fn new(nodes: &[(NodeAddress, u64)], rng: &mut ChaCha20Rng) -> Self {
        let node = |&(address, _): &(NodeAddress, u64)| {
            let private = NodePrivateKey::random(rng);
            let public = private.public();
            (address, private, public)
        };
        Self {
            nodes: nodes.iter().map(node).collect(),
            delays: nodes.iter().map(|&(_, nanos)| Delay::from_nanos(nanos)).collect(),
        }
    }

    fn hops(&self) -> Vec<Hop<'_>> {
        self.nodes.iter().map(|(address, _, key)| Hop { address: *address, key }).collect()
    }

    fn deliver(&self, packet: Packet) -> (Destination, Vec<u8>) {
        self.walk(packet).unwrap()
    }

    /// The destination and the plaintext, or the hop that refused the packet.
    fn walk(&self, mut packet: Packet) -> Result<(Destination, Vec<u8>), usize> {
        let sent_as = packet.size();
        for (hop, (_, key, _)) in self.nodes.iter().enumerate() {
            match Checked::new(packet, key).and_then(Checked::peel).map_err(|_| hop)? {
                Peeled::Forward { next, delay, packet: inner } => {
                    assert_eq!(next, self.nodes[hop + 1].0);
                    assert_eq!(delay, self.delays[hop]);
                    packet = inner;
                }
                Peeled::Final { destination, identifier, size, plaintext } => {
                    assert_eq!(hop, self.nodes.len() - 1);
                    assert_eq!(identifier, [0; 16]);
                    assert_eq!(size, sent_as);
                    return Ok((destination, plaintext));
                }
            }
        }
        panic!("the route has ended");
    }
}
