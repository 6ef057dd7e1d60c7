//! Hard-coded topologies.

use core::net::SocketAddr;

use alloc::string::String;
use alloc::vec::Vec;

use super::answers::{RoleFields, base58, checked, read_is_mixnode};
use super::build::{Candidate, Parts};
use super::node::{Entry, checked_hostname};
use super::{Policy, Topology, TopologyError};
use crate::date;
use crate::json::{Json, optional};
use crate::limits;
use crate::sphinx::NodeAddress;

impl Topology {
    /// Reads a hard-coded topology, in the spelling of native clients (snake_case, keys as arrays of integers) or of
    /// JavaScript ones (camelCase outside, keys in base58), mixed as it may be.
    ///
    /// There is no performance in it, so none is asked for. Without metadata the rotation is unknown.
    ///
    /// # Errors
    ///
    /// As [`Topology::from_answers`]. A node that contradicts its own number, or whose host is no address, makes the whole
    /// document [malformed](TopologyError::Malformed): someone has written it by hand and wants to know.
    pub fn from_document(json: &[u8], policy: &Policy<'_>) -> Result<Self, TopologyError> {
        let document = Document::read(checked(json)?).ok_or(TopologyError::Malformed)?;
        if document.nodes.len() > limits::DIRECTORY_NODES_MAX {
            return Err(TopologyError::TooMany);
        }
        let Document { metadata, rewarded_set: rewarded, nodes } = document;
        let candidates = nodes.into_iter().map(Node::into_candidate).collect::<Result<Vec<_>, _>>()?;
        Parts {
            candidates: candidates.iter().collect(),
            epoch: metadata.as_ref().map_or(rewarded.epoch_id, |metadata| metadata.absolute_epoch_id),
            rotation_id: metadata.as_ref().map_or(u32::MAX, |metadata| metadata.key_rotation_id),
            refreshed_at: metadata.and_then(|metadata| date::parse_unix(metadata.refreshed_at.as_ref()?)),
            roles: rewarded.into_roles()?,
            schedule: None,
        }
        .build(policy)
    }
}

struct Document {
    metadata: Option<Metadata>,
    rewarded_set: RoleFields,
    nodes: Vec<Node>,
}

impl Document {
    fn read(json: Json<'_>) -> Option<Self> {
        let names = ["metadata", "rewarded_set", "rewardedSet", "node_details", "nodeDetails"];
        let [metadata, rewarded, rewarded_camel, details, details_camel] = json.fields(names)?;
        let mut nodes = Vec::new();
        either(details, details_camel)?.entries(&mut |number, node| {
            nodes.push(Node::read(number.text()?, node)?);
            Some(())
        })?;
        Some(Self {
            metadata: optional(metadata, Metadata::read)?,
            rewarded_set: RoleFields::read(either(rewarded, rewarded_camel)?)?,
            nodes,
        })
    }
}

/// What is there in one of two spellings. Both, and none, are malformed.
fn either<'a>(snake: Option<Json<'a>>, camel: Option<Json<'a>>) -> Option<Json<'a>> {
    snake.xor(camel)
}

struct Metadata {
    key_rotation_id: u32,
    absolute_epoch_id: u32,
    refreshed_at: Option<String>,
}

impl Metadata {
    fn read(json: Json<'_>) -> Option<Self> {
        let [rotation, epoch, refreshed_at] = json.fields(["key_rotation_id", "absolute_epoch_id", "refreshed_at"])?;
        Some(Self {
            key_rotation_id: rotation?.unsigned()?,
            absolute_epoch_id: epoch?.unsigned()?,
            refreshed_at: optional(refreshed_at, Json::text)?,
        })
    }
}

struct Node {
    /// The number it is filed under.
    number: String,
    node_id: u32,
    mix_host: String,
    entry: Option<EntryFields>,
    identity: [u8; 32],
    key: [u8; 32],
    is_mixnode: bool,
}

struct EntryFields {
    /// And whether there were more than there may be.
    ip_addresses: (Vec<String>, bool),
    clients_ws_port: u16,
    hostname: Option<String>,
    clients_wss_port: Option<u16>,
}

impl EntryFields {
    fn read(json: Json<'_>) -> Option<Self> {
        let names = ["ip_addresses", "clients_ws_port", "hostname", "clients_wss_port"];
        let [ip_addresses, ws_port, hostname, wss_port] = json.fields(names)?;
        Some(Self {
            ip_addresses: ip_addresses?.list(limits::DIRECTORY_IPS_MAX, Json::text)?,
            clients_ws_port: ws_port?.unsigned()?,
            hostname: optional(hostname, Json::text)?,
            clients_wss_port: optional(wss_port, Json::unsigned)?,
        })
    }
}

impl Node {
    fn read(number: String, json: Json<'_>) -> Option<Self> {
        let names = ["node_id", "mix_host", "identity_key", "sphinx_key", "supported_roles", "entry"];
        let camel = ["nodeId", "mixHost", "identityKey", "sphinxKey", "supportedRoles"];
        let [node_id, mix_host, identity, key, roles, entry] = json.fields(names)?;
        let [node_id_camel, mix_host_camel, identity_camel, key_camel, roles_camel] = json.fields(camel)?;
        if roles.is_some() && roles_camel.is_some() {
            return None;
        }
        Some(Self {
            number,
            node_id: either(node_id, node_id_camel)?.unsigned()?,
            mix_host: either(mix_host, mix_host_camel)?.text()?,
            identity: read_key(either(identity, identity_camel)?)?,
            key: read_key(either(key, key_camel)?)?,
            is_mixnode: read_is_mixnode(roles.or(roles_camel))?,
            entry: optional(entry, EntryFields::read)?,
        })
    }

    fn into_candidate(self) -> Result<Candidate, TopologyError> {
        if self.number.parse() != Ok(self.node_id) {
            return Err(TopologyError::Malformed);
        }
        let host: SocketAddr = self.mix_host.parse().map_err(|_| TopologyError::Malformed)?;
        let entry = match self.entry.filter(|_| !self.is_mixnode) {
            Some(entry) if entry.ip_addresses.1 => return Err(TopologyError::TooMany),
            Some(entry) => Some(Entry {
                hostname: entry.hostname.as_deref().and_then(checked_hostname),
                ips: entry.ip_addresses.0.iter().filter_map(|ip| ip.parse().ok()).collect(),
                ws_port: entry.clients_ws_port,
                wss_port: entry.clients_wss_port.filter(|port| *port != 0),
            }),
            None => None,
        };
        Ok(Candidate {
            node_id: self.node_id,
            identity: self.identity,
            address: NodeAddress::from(host),
            key: self.key,
            entry,
            performance: 100,
        })
    }
}

/// 32 bytes, as an array of integers or in base58.
fn read_key(json: Json<'_>) -> Option<[u8; 32]> {
    match json.text() {
        Some(text) => base58(&text),
        None => json.array(),
    }
}
