//! The answers of a directory.

use core::net::IpAddr;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::build::{Candidate, Parts, Roles};
use super::node::{Entry, checked_hostname};
use super::{Policy, Schedule, Topology, TopologyError};
use crate::date;
use crate::json::{Capped, Object, is_object};
use crate::limits;
use crate::sphinx::NodeAddress;

impl Topology {
    /// A snapshot from the answers to the first three of [`super::PATHS`] and, if it was asked for, the fourth. Each list
    /// has to be complete on its first page, as all known directories have it; see [`Topology::from_pages`].
    ///
    /// # Errors
    ///
    /// [`TopologyError::Inconsistent`] deserves one more try at once. For [`TopologyError::is_suspicion`] see
    /// [`super::Patience`]. After any other the caller keeps what it has.
    pub fn from_answers(
        rewarded: &[u8],
        mixnodes: &[u8],
        entries: &[u8],
        rotation: Option<&[u8]>,
        policy: &Policy<'_>,
    ) -> Result<Self, TopologyError> {
        let (mut mixnode_pages, mut entry_pages) = (Pages::new(), Pages::new());
        if mixnode_pages.add(mixnodes)? != More::Nothing || entry_pages.add(entries)? != More::Nothing {
            return Err(TopologyError::MorePages);
        }
        Self::from_pages(rewarded, &mixnode_pages, &entry_pages, rotation, policy)
    }

    /// As [`Topology::from_answers`], from lists on several pages.
    ///
    /// # Errors
    ///
    /// As [`Topology::from_answers`]; [`TopologyError::MorePages`] when a list is not complete.
    pub fn from_pages(
        rewarded: &[u8],
        mixnodes: &Pages,
        entries: &Pages,
        rotation: Option<&[u8]>,
        policy: &Policy<'_>,
    ) -> Result<Self, TopologyError> {
        let roles = parse::<RoleFields>(rewarded)?;
        let (metadata, other) = (mixnodes.complete()?, entries.complete()?);
        let epoch = roles.epoch_id;
        if !metadata.agrees_with(other) || metadata.absolute_epoch_id != epoch {
            return Err(TopologyError::Inconsistent);
        }
        let rotation_id = metadata.rotation_id;
        let schedule = match rotation {
            Some(body) => {
                let schedule = Schedule::parse(body)?;
                if schedule.rotation_of(epoch) != rotation_id {
                    return Err(TopologyError::RotationMismatch(rotation_id));
                }
                Some(schedule)
            }
            // Not asked for this time: the one of before still holds, unless it has become wrong.
            None => policy
                .previous
                .and_then(Self::schedule)
                .filter(|schedule| schedule.rotation_of(epoch) == rotation_id)
                .copied(),
        };
        Parts {
            // The gateways come later, so that they win over what the list of mix nodes says about the same node.
            candidates: mixnodes.nodes.iter().chain(&entries.nodes).collect(),
            roles: roles.into_roles()?,
            epoch,
            rotation_id,
            refreshed_at: metadata.refreshed_at(),
            schedule,
        }
        .build(policy)
    }
}

/// A list of nodes that a directory gives in pages.
///
/// Known directories ignore page numbers and give everything on page 0; others are followed page by page.
#[derive(Default)]
pub struct Pages {
    metadata: Option<Metadata>,
    nodes: Vec<Candidate>,
    ids: BTreeSet<u32>,
    received: usize,
    read: u32,
    complete: bool,
}

impl Pages {
    /// No page yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next page, beginning with page 0. Nodes that cannot be used, since an address or a key is no such, are
    /// left out.
    ///
    /// # Errors
    ///
    /// [`TopologyError::TooLong`], [`TopologyError::TooMany`], [`TopologyError::Malformed`], and
    /// [`TopologyError::Inconsistent`] when a page is of another epoch or rotation than the first.
    pub fn add(&mut self, body: &[u8]) -> Result<More, TopologyError> {
        let PageFields { metadata: Object(metadata), nodes: Object(list) } = parse(body)?;
        if self.read >= limits::DIRECTORY_PAGES_MAX || list.data.overflown {
            return Err(TopologyError::TooMany);
        }
        let total = usize::try_from(list.pagination.0.total).unwrap_or(usize::MAX);
        if total > limits::DIRECTORY_NODES_MAX {
            return Err(TopologyError::TooMany);
        }
        if self.metadata.as_ref().is_some_and(|first| !first.agrees_with(&metadata)) {
            return Err(TopologyError::Inconsistent);
        }
        let known = self.ids.len();
        self.received += list.data.items.len();
        for Object(node) in list.data.items {
            if node.ip_addresses.overflown {
                return Err(TopologyError::TooMany);
            }
            self.ids.insert(node.node_id);
            self.nodes.extend(node.into_candidate());
        }
        if self.received > limits::DIRECTORY_NODES_MAX {
            return Err(TopologyError::TooMany);
        }
        self.metadata.get_or_insert(metadata);
        self.read += 1;
        // A page without news is the end too: the directory repeats itself.
        self.complete = self.received >= total || self.ids.len() == known;
        Ok(if self.complete { More::Nothing } else { More::Page(self.read) })
    }

    /// What all pages agree on, once there are all.
    fn complete(&self) -> Result<&Metadata, TopologyError> {
        self.metadata.as_ref().filter(|_| self.complete).ok_or(TopologyError::MorePages)
    }
}

/// What is missing of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Nothing.
    Nothing,
    /// The page with this number: the path with `page=` and this number.
    Page(u32),
}

/// Reads the whole of `body` as one object, if it is not too long.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, TopologyError> {
    if body.len() > limits::DIRECTORY_BODY_MAX {
        return Err(TopologyError::TooLong(body.len()));
    }
    if !is_object(body) {
        return Err(TopologyError::Malformed);
    }
    serde_json::from_slice(body).map_err(|_| TopologyError::Malformed)
}

/// Exactly 32 bytes of base58.
pub(super) fn base58(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let len = bs58::decode(text).onto(&mut bytes).ok()?;
    (len == bytes.len()).then_some(bytes)
}

/// The hundredths of a decimal fraction from 0 to 1, rounded down; 0 for anything else.
pub(super) fn percent(text: &str) -> u8 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return 0;
    }
    let mut digits = fraction.bytes().map(|byte| byte - b'0').chain([0, 0]);
    match whole.trim_start_matches('0') {
        "" => digits.next().unwrap_or(0) * 10 + digits.next().unwrap_or(0),
        "1" if fraction.bytes().all(|byte| byte == b'0') => 100,
        _ => 0,
    }
}

/// Who has which role in an epoch.
#[derive(Deserialize)]
pub(super) struct RoleFields {
    #[serde(default)]
    pub epoch_id: u32,
    entry_gateways: Capped<u32, { limits::DIRECTORY_ROLE_MAX }>,
    exit_gateways: Capped<u32, { limits::DIRECTORY_ROLE_MAX }>,
    layer1: Capped<u32, { limits::DIRECTORY_ROLE_MAX }>,
    layer2: Capped<u32, { limits::DIRECTORY_ROLE_MAX }>,
    layer3: Capped<u32, { limits::DIRECTORY_ROLE_MAX }>,
    standby: Capped<u32, { limits::DIRECTORY_ROLE_MAX }>,
}

impl RoleFields {
    pub(super) fn into_roles(self) -> Result<Roles, TopologyError> {
        let lists =
            [&self.entry_gateways, &self.exit_gateways, &self.layer1, &self.layer2, &self.layer3, &self.standby];
        if lists.iter().any(|list| list.overflown) {
            return Err(TopologyError::TooMany);
        }
        Roles::new(
            [self.layer1.items, self.layer2.items, self.layer3.items],
            [self.entry_gateways.items, self.exit_gateways.items],
            self.standby.items,
        )
    }
}

#[derive(Deserialize)]
struct PageFields {
    metadata: Object<Metadata>,
    nodes: Object<ListFields>,
}

/// What a page says about itself.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    status: Option<Status>,
    absolute_epoch_id: u32,
    rotation_id: u32,
    #[serde(default)]
    refreshed_at: Option<String>,
}

impl Metadata {
    /// Whether two pages are of the same state of the network. They may have been made at different moments.
    fn agrees_with(&self, other: &Self) -> bool {
        (&self.status, self.absolute_epoch_id, self.rotation_id)
            == (&other.status, other.absolute_epoch_id, other.rotation_id)
    }

    fn refreshed_at(&self) -> Option<u64> {
        date::parse_unix(self.refreshed_at.as_ref()?)
    }
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Fresh(Interval),
    NoUpdates,
}

/// Compared between answers, and not used for anything else.
#[derive(PartialEq, Eq, Deserialize)]
struct Interval {
    id: u32,
    epochs_in_interval: u32,
    current_epoch_start: String,
    current_epoch_id: u32,
    total_elapsed_epochs: u32,
}

#[derive(Deserialize)]
struct ListFields {
    pagination: Object<PaginationFields>,
    data: Capped<Object<NodeFields>, { limits::DIRECTORY_NODES_MAX }>,
}

#[derive(Deserialize)]
struct PaginationFields {
    total: u64,
}

#[derive(Deserialize)]
struct NodeFields {
    node_id: u32,
    ed25519_identity_pubkey: String,
    ip_addresses: Capped<String, { limits::DIRECTORY_IPS_MAX }>,
    mix_port: u16,
    x25519_sphinx_pubkey: String,
    supported_roles: Option<Object<SupportedRoles>>,
    entry: Option<Object<EntryFields>>,
    performance: Option<Performance>,
}

#[derive(Deserialize)]
struct SupportedRoles {
    mixnode: bool,
}

#[derive(Deserialize)]
struct EntryFields {
    hostname: Option<String>,
    ws_port: u16,
    wss_port: Option<u16>,
}

/// A decimal fraction as text. Anything else counts as none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Performance {
    Text(String),
    Other(IgnoredAny),
}

impl NodeFields {
    /// `None` when the node cannot be reached or a key is not even 32 bytes.
    fn into_candidate(self) -> Option<Candidate> {
        // The first address is where other nodes reach it, whatever its family.
        let first: IpAddr = self.ip_addresses.items.first()?.parse().ok()?;
        if self.mix_port == 0 {
            return None;
        }
        let is_mixnode = self.supported_roles.is_some_and(|roles| roles.0.mixnode);
        let entry = self.entry.filter(|_| !is_mixnode).map(|Object(entry)| Entry {
            hostname: entry.hostname.as_deref().and_then(checked_hostname),
            ips: self.ip_addresses.items.iter().filter_map(|ip| ip.parse().ok()).collect(),
            ws_port: entry.ws_port,
            wss_port: entry.wss_port.filter(|port| *port != 0),
        });
        Some(Candidate {
            node_id: self.node_id,
            identity: base58(&self.ed25519_identity_pubkey)?,
            address: NodeAddress::from(core::net::SocketAddr::new(first, self.mix_port)),
            key: base58(&self.x25519_sphinx_pubkey)?,
            entry,
            performance: match self.performance {
                Some(Performance::Text(text)) => percent(&text),
                Some(Performance::Other(IgnoredAny)) | None => 0,
            },
        })
    }
}
