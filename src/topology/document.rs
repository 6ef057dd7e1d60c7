//! Hard-coded topologies.

use core::fmt;
use core::net::SocketAddr;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::answers::{RoleFields, base58, parse};
use super::build::{Candidate, Parts};
use super::node::{Entry, checked_hostname};
use super::{Policy, Topology, TopologyError};
use crate::date;
use crate::json::{Capped, Object};
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
        let document: Document = parse(json)?;
        if document.node_details.len() > limits::DIRECTORY_NODES_MAX {
            return Err(TopologyError::TooMany);
        }
        let (rewarded, metadata) = (document.rewarded_set.0, document.metadata.map(|object| object.0));
        let candidates = document
            .node_details
            .into_iter()
            .map(|(id, Object(node))| node.into_candidate(&id))
            .collect::<Result<Vec<_>, _>>()?;
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

#[derive(serde::Deserialize)]
struct Document {
    metadata: Option<Object<Metadata>>,
    #[serde(alias = "rewardedSet")]
    rewarded_set: Object<RoleFields>,
    #[serde(alias = "nodeDetails")]
    node_details: BTreeMap<String, Object<Node>>,
}

#[derive(serde::Deserialize)]
struct Metadata {
    key_rotation_id: u32,
    absolute_epoch_id: u32,
    refreshed_at: Option<String>,
}

#[derive(serde::Deserialize)]
struct Node {
    #[serde(alias = "nodeId")]
    node_id: u32,
    #[serde(alias = "mixHost")]
    mix_host: String,
    entry: Option<Object<EntryFields>>,
    #[serde(alias = "identityKey")]
    identity_key: Key,
    #[serde(alias = "sphinxKey")]
    sphinx_key: Key,
    #[serde(alias = "supportedRoles")]
    supported_roles: Option<Object<SupportedRoles>>,
}

#[derive(serde::Deserialize)]
struct SupportedRoles {
    mixnode: bool,
}

#[derive(serde::Deserialize)]
struct EntryFields {
    ip_addresses: Capped<String, { limits::DIRECTORY_IPS_MAX }>,
    clients_ws_port: u16,
    hostname: Option<String>,
    clients_wss_port: Option<u16>,
}

impl Node {
    fn into_candidate(self, id: &str) -> Result<Candidate, TopologyError> {
        if id.parse() != Ok(self.node_id) {
            return Err(TopologyError::Malformed);
        }
        let host: SocketAddr = self.mix_host.parse().map_err(|_| TopologyError::Malformed)?;
        let is_mixnode = self.supported_roles.is_some_and(|roles| roles.0.mixnode);
        let entry = match self.entry.filter(|_| !is_mixnode) {
            Some(Object(entry)) if entry.ip_addresses.overflown => return Err(TopologyError::TooMany),
            Some(Object(entry)) => Some(Entry {
                hostname: entry.hostname.as_deref().and_then(checked_hostname),
                ips: entry.ip_addresses.items.iter().filter_map(|ip| ip.parse().ok()).collect(),
                ws_port: entry.clients_ws_port,
                wss_port: entry.clients_wss_port.filter(|port| *port != 0),
            }),
            None => None,
        };
        Ok(Candidate {
            node_id: self.node_id,
            identity: self.identity_key.0,
            address: NodeAddress::from(host),
            key: self.sphinx_key.0,
            entry,
            performance: 100,
        })
    }
}

/// 32 bytes, as an array of integers or in base58.
struct Key([u8; 32]);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 bytes as an array or in base58")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
                base58(text).map(Key).ok_or_else(|| E::custom("wrong base58"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Key, A::Error> {
                let mut key = [0; 32];
                for byte in &mut key {
                    *byte = array.next_element()?.ok_or_else(|| A::Error::custom("too short"))?;
                }
                match array.next_element::<u8>()? {
                    None => Ok(Key(key)),
                    Some(_) => Err(A::Error::custom("too long")),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}
