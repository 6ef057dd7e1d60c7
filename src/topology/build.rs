//! From parts that can be read to a snapshot that can be trusted as far as its source.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use alloc::vec::Vec;

use super::node::{Entry, GatewayNode, MixNode, is_public_hostname};
use super::{Policy, Schedule, Topology, TopologyError, Warnings};
use crate::limits;
use crate::message::GatewayId;
use crate::sphinx::{NodeAddress, NodePublicKey};
use crate::table::{Table, TableSet};

/// A node whose text was readable and whose keys have not been looked at.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub node_id: u32,
    pub identity: [u8; 32],
    pub address: NodeAddress,
    pub key: [u8; 32],
    pub entry: Option<Entry>,
    pub performance: u8,
}

/// Which role each node has, and that somebody is a gateway.
pub(super) struct Roles {
    /// The layers are 0 to 2.
    roles: Table<u32, usize>,
}

impl Roles {
    /// # Errors
    ///
    /// [`TopologyError::RolesOverlap`] when a node is in two lists, [`TopologyError::NoGateways`] when no node is one.
    pub(super) fn new(
        layers: [Vec<u32>; 3],
        gateways: [Vec<u32>; 2],
        standby: Vec<u32>,
    ) -> Result<Self, TopologyError> {
        if gateways.iter().all(Vec::is_empty) {
            return Err(TopologyError::NoGateways);
        }
        let mut seen = Table::new();
        for (role, ids) in layers.into_iter().chain(gateways).chain([standby]).enumerate() {
            for id in ids {
                if seen.insert(id, role).is_some_and(|earlier| earlier != role) {
                    return Err(TopologyError::RolesOverlap);
                }
            }
        }
        Ok(Self { roles: seen })
    }
}

/// Everything that a snapshot is made of.
pub(super) struct Parts<'a> {
    /// Of two with the same node id the later one counts.
    pub candidates: Vec<&'a Candidate>,
    pub roles: Roles,
    pub epoch: u32,
    pub rotation_id: u32,
    pub refreshed_at: Option<u64>,
    pub schedule: Option<Schedule>,
}

impl Parts<'_> {
    pub(super) fn build(self, policy: &Policy<'_>) -> Result<Topology, TopologyError> {
        let mut topology = Topology {
            layers: [const { Vec::new() }; 3],
            gateways: Table::new(),
            epoch: self.epoch,
            rotation_id: self.rotation_id,
            refreshed_at: self.refreshed_at,
            schedule: self.schedule,
            warnings: Warnings::default(),
        };
        let keys = KnownKeys::new(policy.previous);
        for node in unambiguous(self.candidates) {
            let usable =
                node.performance >= policy.minimum_performance && (!policy.public || is_public(node.address.ip()));
            if !usable {
                continue;
            }
            // Checked last, since it costs most.
            let (Ok(id), Some(key)) = (GatewayId::from_bytes(node.identity), keys.checked(&node.key)) else {
                continue;
            };
            let &Candidate { node_id, address, performance, .. } = node;
            match self.roles.roles.get(&node_id).and_then(|role| topology.layers.get_mut(*role)) {
                Some(layer) => layer.push(MixNode { node_id, id, address, key }),
                None => {
                    let entry = node.entry.as_ref().and_then(|entry| public_part(entry, policy.public));
                    topology.gateways.insert(id, GatewayNode { id, address, key, entry, performance });
                }
            }
        }
        let count_min = if policy.public { limits::LAYER_NODES_MIN } else { 1 };
        for (number, layer) in (1..).zip(&topology.layers) {
            if layer.len() < count_min {
                return Err(TopologyError::LayerTooSmall(number));
            }
        }
        if let Some(previous) = policy.previous {
            topology.warnings = compare(&topology, previous);
            if !policy.patience_over {
                if topology.warnings.epoch_in_past {
                    return Err(TopologyError::EpochInPast(topology.epoch));
                }
                if topology.warnings.mostly_new {
                    return Err(TopologyError::MostlyNew);
                }
            }
        }
        Ok(topology)
    }
}

impl Topology {
    /// The identities of all nodes.
    fn identities(&self) -> TableSet<GatewayId> {
        let mut identities = TableSet::new();
        for id in self.layers.iter().flatten().map(|node| node.id).chain(self.gateways.keys().copied()) {
            identities.insert(id);
        }
        identities
    }
}

/// Keys that have been checked before. Most keys stay for a whole rotation, and checking is most of the work.
struct KnownKeys<'a>(Table<[u8; 32], &'a NodePublicKey>);

impl<'a> KnownKeys<'a> {
    fn new(previous: Option<&'a Topology>) -> Self {
        let mix = previous.iter().flat_map(|topology| topology.layers.iter().flatten()).map(|node| &node.key);
        let rest = previous.iter().flat_map(|topology| topology.gateways.values()).map(|node| &node.key);
        let mut known = Table::new();
        for key in mix.chain(rest) {
            known.insert(*key.as_bytes(), key);
        }
        Self(known)
    }

    fn checked(&self, bytes: &[u8; 32]) -> Option<NodePublicKey> {
        match self.0.get(bytes) {
            Some(key) => Some((*key).clone()),
            None => NodePublicKey::from_bytes(*bytes).ok(),
        }
    }
}

/// The nodes by id, without those that contradict each other: one id with two identities or keys, or one identity with two
/// ids. Whoever made that up, no packet shall follow it.
fn unambiguous(candidates: Vec<&Candidate>) -> impl Iterator<Item = &Candidate> {
    let mut nodes = Table::new();
    let mut owners = Table::new();
    let mut contradictory = TableSet::new();
    for node in candidates {
        if let Some(earlier) = nodes.insert(node.node_id, node)
            && (earlier.identity, earlier.key) != (node.identity, node.key)
        {
            contradictory.insert(node.node_id);
        }
        if let Some(earlier) = owners.insert(node.identity, node.node_id)
            && earlier != node.node_id
        {
            contradictory.insert(earlier);
            contradictory.insert(node.node_id);
        }
    }
    nodes.into_values().filter(move |node| !contradictory.contains(&node.node_id))
}

/// What of an entry may be used: on a public network nothing that points into a private one.
fn public_part(entry: &Entry, public: bool) -> Option<Entry> {
    let mut entry = entry.clone();
    if public {
        entry.ips.retain(|ip| is_public(*ip));
        entry.hostname = entry.hostname.filter(|name| is_public_hostname(name));
    }
    (entry.hostname.is_some() || !entry.ips.is_empty()).then_some(entry)
}

fn compare(new: &Topology, old: &Topology) -> Warnings {
    let (before, after) = (old.identities(), new.identities());
    let common = before.iter().filter(|id| after.contains(id)).count();
    Warnings { epoch_in_past: new.epoch < old.epoch, mostly_new: common * 2 < before.len().max(after.len()) }
}

/// Whether an address can be one of a public network. Others would aim packets at somebody's own devices.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    // From 224 on: multicast, reserved, broadcast.
    !(a == 0 || a >= 224 || shared || ip.is_loopback() || ip.is_private() || ip.is_link_local())
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.to_ipv4_mapped() {
        Some(ip) => is_public_v4(ip),
        None => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_multicast())
        }
    }
}
