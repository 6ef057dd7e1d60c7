//! A network of which both sides know all keys: three layers of one node, and two gateways with a client each.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use mixlet::{
    message::{AckKey, Address, EncryptionKey, split_ack_blob},
    sphinx::{
        Checked, Delay, Destination, Hop, MixPacket, NodeAddress, NodeFrame, NodePrivateKey, NodePublicKey, PacketSize,
        Peeled, RotationTag,
    },
};
use nym_crypto::asymmetric::{ed25519, x25519};
use nym_sphinx::{
    acknowledgements,
    addressing::clients::Recipient,
    forwarding,
    framing::codec::NymCodec,
    framing::packet::FramedNymPacket,
    framing::processing::{MixProcessingResultData, process_framed_packet},
    params,
    preparer::MessagePreparer,
};
use nym_topology::{
    CachedEpochRewardedSet, NymRouteProvider, NymTopology, NymTopologyMetadata, RoutingNode, SupportedRoles,
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use tokio_util::codec::{Decoder, Encoder};

/// The rotation that all keys belong to.
pub const ROTATION_ID: u32 = 3;

pub struct Network {
    /// Layers one, two and three, then the gateways of Alice and of Bob.
    pub nodes: Vec<Node>,
    pub topology: NymRouteProvider,
    pub alice: Client,
    pub bob: Client,
}

pub struct Node {
    pub socket: SocketAddr,
    pub identity: ed25519::PublicKey,
    pub private: [u8; 32],
    pub public: NodePublicKey,
}

pub struct Client {
    pub recipient: Recipient,
    pub address: Address,
    pub encryption: [u8; 32],
    pub ack_key: [u8; 16],
    /// Where its gateway stands among the nodes.
    pub gateway: usize,
}

/// What a gateway does with a packet for one of its clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivered {
    pub destination: [u8; 32],
    pub pushed: Vec<u8>,
    /// The ack as it leaves, in the form of a mix packet.
    pub ack: Option<Vec<u8>>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let nodes: Vec<_> = (1..=5_u8).map(|i| Node::new(i, &mut rng)).collect();
        let roles = CachedEpochRewardedSet {
            entry_gateways: [4].into(),
            exit_gateways: [5].into(),
            layer1: [1].into(),
            layer2: [2].into(),
            layer3: [3].into(),
            ..CachedEpochRewardedSet::default()
        };
        let details = (1..).zip(&nodes).map(|(id, node)| node.to_routing_node(id)).collect();
        let metadata = NymTopologyMetadata::new(ROTATION_ID, 70, time::OffsetDateTime::UNIX_EPOCH);
        let topology = NymRouteProvider::new(Arc::new(NymTopology::new(metadata, roles, details)), true);
        let (alice, bob) = (Client::new(3, &nodes, &mut rng), Client::new(4, &nodes, &mut rng));
        Self { nodes, topology, alice, bob }
    }

    /// Our view of a route to a gateway.
    pub fn hops(&self, gateway: usize) -> Vec<Hop<'_>> {
        [0, 1, 2, gateway].map(|i| Hop { address: self.nodes[i].socket.into(), key: &self.nodes[i].public }).into()
    }

    /// The peer's maker of packets, for a client.
    pub fn preparer(&self, client: &Client, seed: u64) -> MessagePreparer<ChaCha20Rng> {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        MessagePreparer::new(rng, false, client.recipient, Duration::from_millis(15), Duration::from_millis(15), false)
    }

    /// Sends a mix packet through nodes that run our code.
    pub fn walk_ours(&self, mix_packet: &[u8]) -> Result<Delivered, usize> {
        let MixPacket { rotation, mut first_hop, mut packet } = MixPacket::parse_v2(mix_packet).unwrap();
        for hop in 0_usize.. {
            let key = NodePrivateKey::from_bytes(self.node(first_hop).private);
            match Checked::new(packet, &key).and_then(Checked::peel).map_err(|_| hop)? {
                Peeled::Forward { next, delay, packet: inner } => {
                    assert!(delay.to_duration() < Duration::from_secs(1));
                    // Over the wire between nodes, as it would travel.
                    let frame = NodeFrame { rotation, packet: inner }.to_v8();
                    packet = NodeFrame::decode(&frame).unwrap().unwrap().0.packet;
                    first_hop = next;
                }
                Peeled::Final { destination, size: PacketSize::Ack, plaintext, .. } => {
                    return Ok(Delivered { destination: destination.0, pushed: plaintext, ack: None });
                }
                Peeled::Final { destination, plaintext, .. } => {
                    let (first_hop, packet, pushed) = split_ack_blob(&plaintext).map_err(|_| hop)?;
                    let ack = MixPacket { rotation, first_hop, packet }.to_v2();
                    return Ok(Delivered { destination: destination.0, pushed: pushed.to_vec(), ack: Some(ack) });
                }
            }
        }
        unreachable!()
    }

    /// Sends a mix packet through nodes that run the peer's code.
    pub fn walk_theirs(&self, mix_packet: &[u8]) -> Result<Delivered, usize> {
        let mut mix_packet = forwarding::packet::MixPacket::try_from_v2_bytes(mix_packet).unwrap();
        for hop in 0_usize.. {
            let node = self.node(mix_packet.next_hop_address().into());
            let mut stream = BytesMut::new();
            NymCodec.encode(FramedNymPacket::from_mix_packet(mix_packet, false), &mut stream).unwrap();
            let frame = NymCodec.decode(&mut stream).unwrap().unwrap();
            let key = x25519_dalek::StaticSecret::from(node.private);
            match process_framed_packet(frame, &key).map_err(|_| hop)?.processing_data {
                MixProcessingResultData::ForwardHop { packet, .. } => mix_packet = packet,
                MixProcessingResultData::FinalHop { final_hop_data } => {
                    return Ok(Delivered {
                        destination: final_hop_data.destination.as_bytes(),
                        pushed: final_hop_data.message,
                        ack: final_hop_data.forward_ack.map(|ack| ack.into_v2_bytes().unwrap()),
                    });
                }
            }
        }
        unreachable!()
    }

    /// Through both kinds of nodes, which must agree.
    pub fn walk(&self, mix_packet: &[u8]) -> Delivered {
        let ours = self.walk_ours(mix_packet).unwrap();
        assert_eq!(self.walk_theirs(mix_packet).unwrap(), ours);
        ours
    }

    fn node(&self, address: NodeAddress) -> &Node {
        self.nodes.iter().find(|node| NodeAddress::from(node.socket) == address).expect("a node of this network")
    }
}

impl Node {
    fn new(i: u8, rng: &mut ChaCha20Rng) -> Self {
        let private = bytes(rng);
        // Every other node has an IPv6 address.
        let ip = if i.is_multiple_of(2) { [0xfd00, 0, 0, 0, 0, 0, 0, i.into()].into() } else { [10, 0, 0, i].into() };
        Self {
            socket: SocketAddr::new(ip, 1789 + u16::from(i)),
            identity: *ed25519::KeyPair::new(rng).public_key(),
            private,
            public: NodePrivateKey::from_bytes(private).public(),
        }
    }

    fn to_routing_node(&self, node_id: u32) -> RoutingNode {
        RoutingNode {
            node_id,
            mix_host: self.socket,
            entry: None,
            identity_key: self.identity,
            sphinx_key: x25519::PublicKey::from_byte_array(self.public.as_bytes()),
            supported_roles: SupportedRoles {
                mixnode: node_id <= 3,
                mixnet_entry: node_id > 3,
                mixnet_exit: node_id > 3,
            },
        }
    }
}

impl Client {
    fn new(gateway: usize, nodes: &[Node], rng: &mut ChaCha20Rng) -> Self {
        let encryption = bytes(rng);
        let public = x25519::PrivateKey::from_bytes(&encryption).unwrap().public_key();
        let identity = *ed25519::KeyPair::new(rng).public_key();
        let recipient = Recipient::new(identity, public, nodes[gateway].identity);
        let address = Address::from_bytes(&recipient.to_bytes()).unwrap();
        Self { recipient, address, encryption, ack_key: bytes(rng), gateway }
    }

    pub fn destination(&self) -> Destination {
        self.address.identity()
    }

    pub fn our_encryption_key(&self) -> EncryptionKey {
        EncryptionKey::from_bytes(self.encryption)
    }

    pub fn their_encryption_key(&self) -> x25519::PrivateKey {
        x25519::PrivateKey::from_bytes(&self.encryption).unwrap()
    }

    pub fn our_ack_key(&self) -> AckKey {
        AckKey::from_bytes(self.ack_key)
    }

    pub fn their_ack_key(&self) -> acknowledgements::AckKey {
        acknowledgements::AckKey::try_from_bytes(&self.ack_key).unwrap()
    }
}

pub fn bytes<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

pub fn body(len: usize, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut body = vec![0; len];
    rng.fill_bytes(&mut body);
    body
}

pub fn delays() -> [Delay; 4] {
    [1, 2, 3, 4].map(|millis| Delay::from_nanos(millis * 1_000_000))
}

pub fn rotation() -> RotationTag {
    RotationTag::from_rotation_id(ROTATION_ID)
}

/// The sizes that carry fragments, with the peer's names for them.
pub const DATA_SIZES: [(PacketSize, params::PacketSize); 4] = [
    (PacketSize::Regular, params::PacketSize::RegularPacket),
    (PacketSize::Extended8, params::PacketSize::ExtendedPacket8),
    (PacketSize::Extended16, params::PacketSize::ExtendedPacket16),
    (PacketSize::Extended32, params::PacketSize::ExtendedPacket32),
];
