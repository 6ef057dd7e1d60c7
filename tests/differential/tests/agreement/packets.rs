//! Sphinx packets, header versions 258, 259 and 260.

use mixlet::sphinx::{
    Checked, Delay, Destination, Hop, NodeAddress, NodePrivateKey, NodePublicKey, Packet, PacketSize, Peeled, Surb,
    Version, build,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sphinx_packet::{
    ProcessedPacketData, SphinxPacket, SphinxPacketBuilder,
    header::delays,
    route::{self, DestinationAddressBytes, Node, NodeAddressBytes},
    surb::{SURB, SURBMaterial},
    version::{PAYLOAD_KEYS_SEEDS_VERSION, SINGLE_SEED_SURB_VERSION, X25519_WITH_EXPLICIT_PAYLOAD_KEYS_VERSION},
};
use x25519_dalek::{PublicKey, StaticSecret};

use super::network::{body, bytes};

#[test]
fn the_peer_peels_what_we_build_as_259() {
    for (hops, size) in all_shapes() {
        let Case { mut rng, route, destination, plaintext } = Case::new(hops, size);
        let packet =
            build(size, &route.ours(), &route.delays(), &Destination(destination), &plaintext, &mut rng).unwrap();
        assert_eq!(route.walk_theirs(packet.as_bytes(), 259), (destination, plaintext));
    }
}

#[test]
fn we_peel_what_the_peer_builds_as_258_259_and_260() {
    for (hops, size) in all_shapes() {
        for version in [X25519_WITH_EXPLICIT_PAYLOAD_KEYS_VERSION, PAYLOAD_KEYS_SEEDS_VERSION, SINGLE_SEED_SURB_VERSION]
        {
            let Case { route, destination, plaintext, .. } = Case::new(hops, size);
            let packet = SphinxPacketBuilder::new()
                .with_version(version)
                .with_payload_size(size.payload_len())
                .build_packet(&plaintext, &route.theirs(), &their_destination(destination), &route.their_delays())
                .unwrap()
                .to_bytes();
            assert_eq!(route.walk_ours(&packet), (destination, plaintext));
        }
    }
}

/// The last hop's padding is random on both sides and part of the MACs, so all but these agree: the group element, and
/// the payload under all its layers.
#[test]
fn the_same_secret_makes_the_same_packet() {
    for (hops, size) in all_shapes() {
        for (version, theirs) in
            [(Version::CURRENT, PAYLOAD_KEYS_SEEDS_VERSION), (Version(258), X25519_WITH_EXPLICIT_PAYLOAD_KEYS_VERSION)]
        {
            let Case { mut rng, route, destination, plaintext } = Case::new(hops, size);
            let secret = StaticSecret::from(bytes::<32>(&mut rng.clone()));
            let header = mixlet::sphinx::header::Header::build(
                version,
                &route.ours(),
                &route.delays(),
                &Destination(destination),
                &mut rng,
            )
            .unwrap();
            let keys = header.payload_keys(version);
            let ours = mixlet::sphinx::packet::seal(header.as_bytes(), &keys, size.payload_len(), &plaintext);
            let theirs = SphinxPacketBuilder::new()
                .with_version(theirs)
                .with_payload_size(size.payload_len())
                .with_initial_secret(&secret)
                .build_packet(&plaintext, &route.theirs(), &their_destination(destination), &route.their_delays())
                .unwrap()
                .to_bytes();
            assert_eq!(ours[..32], theirs[..32]);
            assert_eq!(ours[348..], theirs[348..]);
            assert_eq!(route.walk_theirs(&ours, version.0), (destination, plaintext));
        }
    }
}

#[test]
fn the_peer_uses_our_surbs() {
    for (hops, size) in all_shapes() {
        let Case { mut rng, route, destination, plaintext } = Case::new(hops, size);
        let surb = Surb::make(&route.ours(), &route.delays(), &Destination(destination), &mut rng).unwrap();
        let surb = SURB::from_bytes(&surb.to_bytes()).unwrap();
        let (packet, first_hop) = surb.use_surb(&plaintext, size.payload_len()).unwrap();
        assert_eq!(first_hop.to_bytes(), route.0[0].address.to_padded_32());
        let packet = packet.to_bytes();
        assert_eq!(route.walk_ours(&packet), (destination, plaintext.clone()));
        assert_eq!(route.walk_theirs(&packet, 259), (destination, plaintext));
    }
}

#[test]
fn we_use_the_peers_surbs() {
    for (hops, size) in all_shapes() {
        let Case { route, destination, plaintext, .. } = Case::new(hops, size);
        let made = SURBMaterial::new(
            route.theirs(),
            route.their_delays(),
            their_destination(destination),
            PAYLOAD_KEYS_SEEDS_VERSION,
        )
        .construct_SURB()
        .unwrap();
        let surb = Surb::from_bytes(&made.to_bytes()).unwrap();
        assert_eq!(surb.hops(), hops);
        let (first_hop, packet) = surb.apply(size, &plaintext).unwrap();
        assert_eq!(first_hop, route.0[0].address);
        assert_eq!(route.walk_theirs(packet.as_bytes(), 259), (destination, plaintext.clone()));
        assert_eq!(route.walk_ours(packet.as_bytes()), (destination, plaintext));
    }
}

/// A SURB used by both sides for the same plaintext gives the same packet: nothing in it is left to chance.
#[test]
fn both_sides_make_the_same_of_a_surb() {
    let Case { mut rng, route, destination, plaintext } = Case::new(4, PacketSize::Regular);
    let surb = Surb::make(&route.ours(), &route.delays(), &Destination(destination), &mut rng).unwrap();
    let theirs = SURB::from_bytes(&surb.to_bytes()).unwrap();
    let (packet, _) = theirs.use_surb(&plaintext, PacketSize::Regular.payload_len()).unwrap();
    let (_, ours) = surb.apply(PacketSize::Regular, &plaintext).unwrap();
    assert_eq!(ours.as_bytes(), packet.to_bytes());
}

#[test]
fn both_sides_read_the_same_surbs() {
    let Case { mut rng, route, destination, .. } = Case::new(5, PacketSize::Regular);
    let surb = Surb::make(&route.ours(), &route.delays(), &Destination(destination), &mut rng).unwrap().to_bytes();
    let longer = [&surb[..], &[7; 2000]].concat();
    for len in 0..longer.len() {
        assert_eq!(Surb::from_bytes(&longer[..len]).is_ok(), SURB::from_bytes(&longer[..len]).is_ok(), "{len} bytes");
    }
}

fn all_shapes() -> impl Iterator<Item = (usize, PacketSize)> {
    (1..=5).flat_map(|hops| PacketSize::ALL.map(|size| (hops, size)))
}

struct Case {
    rng: ChaCha20Rng,
    route: Route,
    destination: [u8; 32],
    plaintext: Vec<u8>,
}

impl Case {
    fn new(hops: usize, size: PacketSize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(10 * hops as u64 + u64::from(size.tag()));
        let hop = |i| {
            let private = bytes(&mut rng);
            RouteHop {
                address: NodeAddress::V4([10, 0, 0, i].into(), 1789),
                private,
                public: NodePrivateKey::from_bytes(private).public(),
                delay: 1_000_007 * u64::from(i),
            }
        };
        let route = Route((1_u8..).take(hops).map(hop).collect());
        // Shorter than what fits for the odd numbers of hops.
        let plaintext = body(size.plaintext_len() - hops % 2, &mut rng);
        Self { destination: bytes(&mut rng), route, plaintext, rng }
    }
}

struct Route(Vec<RouteHop>);

struct RouteHop {
    address: NodeAddress,
    private: [u8; 32],
    public: NodePublicKey,
    delay: u64,
}

impl Route {
    fn ours(&self) -> Vec<Hop<'_>> {
        self.0.iter().map(|hop| Hop { address: hop.address, key: &hop.public }).collect()
    }

    fn theirs(&self) -> Vec<Node> {
        let node = |hop: &RouteHop| {
            Node::new(NodeAddressBytes::from_bytes(hop.address.to_padded_32()), PublicKey::from(*hop.public.as_bytes()))
        };
        self.0.iter().map(node).collect()
    }

    fn delays(&self) -> Vec<Delay> {
        self.0.iter().map(|hop| Delay::from_nanos(hop.delay)).collect()
    }

    fn their_delays(&self) -> Vec<delays::Delay> {
        self.0.iter().map(|hop| delays::Delay::new_from_nanos(hop.delay)).collect()
    }

    fn walk_ours(&self, packet: &[u8]) -> ([u8; 32], Vec<u8>) {
        let mut packet = Packet::from_bytes(packet.to_vec()).unwrap();
        for (i, hop) in self.0.iter().enumerate() {
            match Checked::new(packet, &NodePrivateKey::from_bytes(hop.private)).and_then(Checked::peel).unwrap() {
                Peeled::Forward { next, delay, packet: inner } => {
                    assert_eq!((next, delay.nanos()), (self.0[i + 1].address, hop.delay));
                    packet = inner;
                }
                Peeled::Final { destination, plaintext, identifier, .. } => {
                    assert_eq!((i, identifier), (self.0.len() - 1, [0; 16]));
                    return (destination.0, plaintext);
                }
            }
        }
        panic!("the route has ended");
    }

    fn walk_theirs(&self, packet: &[u8], version: u16) -> ([u8; 32], Vec<u8>) {
        let mut packet = SphinxPacket::from_bytes(packet).unwrap();
        for (i, hop) in self.0.iter().enumerate() {
            let processed = packet.process(&StaticSecret::from(hop.private)).unwrap();
            assert_eq!(processed.version.value(), version);
            match processed.data {
                ProcessedPacketData::ForwardHop { next_hop_packet, next_hop_address, delay } => {
                    assert_eq!(next_hop_address.to_bytes(), self.0[i + 1].address.to_padded_32());
                    assert_eq!(delay.to_nanos(), hop.delay);
                    packet = next_hop_packet;
                }
                ProcessedPacketData::FinalHop { destination, identifier, payload } => {
                    assert_eq!((i, identifier), (self.0.len() - 1, [0; 16]));
                    return (destination.as_bytes(), payload.recover_plaintext().unwrap());
                }
            }
        }
        panic!("the route has ended");
    }
}

fn their_destination(destination: [u8; 32]) -> route::Destination {
    route::Destination::new(DestinationAddressBytes::from_bytes(destination), [0; 16])
}
