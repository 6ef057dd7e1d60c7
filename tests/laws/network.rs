//! Nodes whose keys are known, so that what an engine sends can be followed to its end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use mixlet::engine::PacketFormat;
use mixlet::gateway::IdentityKeypair;
use mixlet::message::{Address, GatewayId, ReplyKey, ReplySurb};
use mixlet::sphinx::{Checked, Delay, Destination, Hop, NodeAddress, NodePrivateKey, Packet, PacketSize, Peeled};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

/// Two mix nodes in each layer and two gateways.
pub struct Network {
    keys: BTreeMap<NodeAddress, NodePrivateKey>,
    document: String,
    answers: [String; 4],
}

/// Where a packet came out, and with what.
pub struct Arrived {
    pub destination: Destination,
    pub size: PacketSize,
    pub plaintext: Vec<u8>,
}

static NETWORK: LazyLock<Network> = LazyLock::new(Network::new);

impl Network {
    /// The one there is.
    pub fn get() -> &'static Self {
        &NETWORK
    }

    fn new() -> Self {
        let roles = json!({
            "epoch_id": EPOCH, "entry_gateways": [7, 8], "exit_gateways": [],
            "layer1": [1, 2], "layer2": [3, 4], "layer3": [5, 6], "standby": []
        });
        let details: serde_json::Map<String, Value> = (1..=8).map(|node| (node.to_string(), detail(node))).collect();
        let document = json!({
            "metadata": { "key_rotation_id": ROTATION, "absolute_epoch_id": EPOCH },
            "rewarded_set": roles, "node_details": details
        });
        let page = |nodes: Vec<Value>| {
            json!({
                "metadata": { "absolute_epoch_id": EPOCH, "rotation_id": ROTATION },
                "nodes": { "pagination": { "total": nodes.len() }, "data": nodes }
            })
        };
        let rotation = json!({
            "key_rotation_state": { "validity_epochs": 24, "initial_epoch_id": 0 },
            "current_absolute_epoch_id": EPOCH, "current_epoch_start": "2026-05-17T06:40:00Z",
            "epoch_duration": { "secs": 3600, "nanos": 0 }
        });
        let answers = [roles, page((1..=6).map(listed).collect()), page((7..=8).map(listed).collect()), rotation];
        Self {
            keys: (1..=8).map(|node| (address(node), key(node))).collect(),
            document: document.to_string(),
            answers: answers.map(|answer| answer.to_string()),
        }
    }

    /// The network as a hard-coded topology.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// The network as a directory tells it, in the order of the paths.
    pub fn answers(&self) -> &[String; 4] {
        &self.answers
    }

    /// The identity of one of the two gateways.
    pub fn gateway(place: u8) -> IdentityKeypair {
        identity(7 + place % 2)
    }

    /// Whether packets may go there first.
    pub fn is_first_layer(at: NodeAddress) -> bool {
        at == address(1) || at == address(2)
    }

    /// Takes a packet from node to node. Nothing where a node drops it.
    pub fn peel(&self, mut at: NodeAddress, mut packet: Packet) -> Option<Arrived> {
        loop {
            match Checked::new(packet, self.keys.get(&at)?).ok()?.peel().ok()? {
                Peeled::Forward { next, packet: inner, .. } => (at, packet) = (next, inner),
                Peeled::Final { destination, size, plaintext, .. } => {
                    return Some(Arrived { destination, size, plaintext });
                }
            }
        }
    }

    /// A SURB that leads to this client, and its key.
    pub fn surb<P: PacketFormat>(to: &Address, place: u8, seed: u64) -> ReplySurb {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let nodes = [1 + (seed % 2) as u8, 3, 5, 7 + place % 2].map(|node| (address(node), key(node).public()));
        let route = nodes.each_ref().map(|(address, key)| Hop { address: *address, key });
        let surb = P::make_surb(&route, &[Delay::ZERO; 4], &to.identity(), &mut rng).expect("a route of four hops");
        ReplySurb { key: ReplyKey::random(&mut rng), surb }
    }
}

fn detail(node: u8) -> Value {
    let entry = (node > 6).then(|| {
        json!({ "ip_addresses": ["127.0.0.1"], "clients_ws_port": 3000 + u16::from(node),
                "hostname": null, "clients_wss_port": null })
    });
    json!({
        "node_id": node, "mix_host": format!("127.0.0.1:{}", address(node).port()), "entry": entry,
        "identity_key": identity(node).gateway_id().to_string(), "sphinx_key": sphinx_key(node),
        "supported_roles": { "mixnode": node <= 6, "mixnet_entry": node > 6, "mixnet_exit": false }
    })
}

fn listed(node: u8) -> Value {
    let entry = (node > 6).then(|| json!({ "hostname": null, "ws_port": 3000 + u16::from(node), "wss_port": null }));
    json!({
        "node_id": node, "ed25519_identity_pubkey": identity(node).gateway_id().to_string(),
        "ip_addresses": ["127.0.0.1"], "mix_port": address(node).port(), "x25519_sphinx_pubkey": sphinx_key(node),
        "supported_roles": { "mixnode": node <= 6 }, "entry": entry, "performance": "1.0"
    })
}

fn address(node: u8) -> NodeAddress {
    NodeAddress::V4(Ipv4Addr::LOCALHOST, 1_000 + u16::from(node))
}

fn identity(node: u8) -> IdentityKeypair {
    IdentityKeypair::from_bytes(&[node; 32])
}

fn key(node: u8) -> NodePrivateKey {
    NodePrivateKey::from_bytes([100 + node; 32])
}

/// In base58, as identities are written.
fn sphinx_key(node: u8) -> String {
    GatewayId(*key(node).public().as_bytes()).to_string()
}

const EPOCH: u32 = 1_130;
const ROTATION: u32 = 47;
