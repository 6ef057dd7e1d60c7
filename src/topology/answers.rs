//! The answers of a directory.

use core::net::IpAddr;

use alloc::string::String;
use alloc::vec::Vec;

use super::build::{Candidate, Parts, Roles};
use super::node::{Entry, checked_hostname};
use super::{Policy, Schedule, Topology, TopologyError};
use crate::date;
use crate::json::{Json, optional, or_default};
use crate::limits;
use crate::sphinx::NodeAddress;
use crate::table::TableSet;

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
        let roles = RoleFields::read(checked(rewarded)?).ok_or(TopologyError::Malformed)?;
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
    ids: TableSet<u32>,
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
        let page = PageFields::read(checked(body)?).ok_or(TopologyError::Malformed)?;
        if self.read >= limits::DIRECTORY_PAGES_MAX || page.overflown {
            return Err(TopologyError::TooMany);
        }
        let total = usize::try_from(page.total).unwrap_or(usize::MAX);
        if total > limits::DIRECTORY_NODES_MAX {
            return Err(TopologyError::TooMany);
        }
        if self.metadata.as_ref().is_some_and(|first| !first.agrees_with(&page.metadata)) {
            return Err(TopologyError::Inconsistent);
        }
        let known = self.ids.len();
        self.received += page.nodes.len();
        for node in page.nodes {
            if node.ip_addresses.1 {
                return Err(TopologyError::TooMany);
            }
            self.ids.insert(node.node_id);
            self.nodes.extend(node.into_candidate());
        }
        if self.received > limits::DIRECTORY_NODES_MAX {
            return Err(TopologyError::TooMany);
        }
        self.metadata.get_or_insert(page.metadata);
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

/// An answer, if it is not too long.
pub(super) fn checked(body: &[u8]) -> Result<Json<'_>, TopologyError> {
    if body.len() > limits::DIRECTORY_BODY_MAX { Err(TopologyError::TooLong(body.len())) } else { Ok(Json(body)) }
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
pub(super) struct RoleFields {
    pub epoch_id: u32,
    /// Entry and exit gateways, the three layers, and those on standby; whether one of the lists is too long.
    lists: [Vec<u32>; 6],
    overflown: bool,
}

impl RoleFields {
    pub(super) fn read(json: Json<'_>) -> Option<Self> {
        let names = ["epoch_id", "entry_gateways", "exit_gateways", "layer1", "layer2", "layer3", "standby"];
        let [epoch_id, fields @ ..] = json.fields(names)?;
        let mut roles =
            Self { epoch_id: or_default(epoch_id, Json::unsigned)?, lists: Default::default(), overflown: false };
        for (list, field) in roles.lists.iter_mut().zip(fields) {
            let overflown;
            (*list, overflown) = field?.list(limits::DIRECTORY_ROLE_MAX, Json::unsigned)?;
            roles.overflown |= overflown;
        }
        Some(roles)
    }

    pub(super) fn into_roles(self) -> Result<Roles, TopologyError> {
        if self.overflown {
            return Err(TopologyError::TooMany);
        }
        let [entry, exit, layer1, layer2, layer3, standby] = self.lists;
        Roles::new([layer1, layer2, layer3], [entry, exit], standby)
    }
}

struct PageFields {
    metadata: Metadata,
    total: u64,
    nodes: Vec<NodeFields>,
    overflown: bool,
}

impl PageFields {
    fn read(json: Json<'_>) -> Option<Self> {
        let [metadata, nodes] = json.fields(["metadata", "nodes"])?;
        let [pagination, data] = nodes?.fields(["pagination", "data"])?;
        let [total] = pagination?.fields(["total"])?;
        let (nodes, overflown) = data?.list(limits::DIRECTORY_NODES_MAX, NodeFields::read)?;
        Some(Self { metadata: Metadata::read(metadata?)?, total: total?.unsigned()?, nodes, overflown })
    }
}

/// What a page says about itself.
struct Metadata {
    status: Option<Status>,
    absolute_epoch_id: u32,
    rotation_id: u32,
    refreshed_at: Option<String>,
}

impl Metadata {
    fn read(json: Json<'_>) -> Option<Self> {
        let names = ["status", "absolute_epoch_id", "rotation_id", "refreshed_at"];
        let [status, epoch, rotation, refreshed_at] = json.fields(names)?;
        Some(Self {
            status: optional(status, Status::read)?,
            absolute_epoch_id: epoch?.unsigned()?,
            rotation_id: rotation?.unsigned()?,
            refreshed_at: optional(refreshed_at, Json::text)?,
        })
    }

    /// Whether two pages are of the same state of the network. They may have been made at different moments.
    fn agrees_with(&self, other: &Self) -> bool {
        (&self.status, self.absolute_epoch_id, self.rotation_id)
            == (&other.status, other.absolute_epoch_id, other.rotation_id)
    }

    fn refreshed_at(&self) -> Option<u64> {
        date::parse_unix(self.refreshed_at.as_ref()?)
    }
}

/// Compared between answers, and not used for anything else.
#[derive(PartialEq, Eq)]
enum Status {
    /// Four numbers of the interval and the start of its epoch.
    Fresh([u32; 4], String),
    NoUpdates,
}

impl Status {
    fn read(json: Json<'_>) -> Option<Self> {
        if let Some(name) = json.text() {
            return (name == "no-updates").then_some(Self::NoUpdates);
        }
        let (_, interval) = json.only(&["fresh"])?;
        let names = ["id", "epochs_in_interval", "current_epoch_id", "total_elapsed_epochs", "current_epoch_start"];
        let [numbers @ .., start] = interval.fields(names)?;
        let mut read = [0; 4];
        for (place, number) in read.iter_mut().zip(numbers) {
            *place = number?.unsigned()?;
        }
        Some(Self::Fresh(read, start?.text()?))
    }
}

struct NodeFields {
    node_id: u32,
    identity: String,
    /// And whether there were more than there may be.
    ip_addresses: (Vec<String>, bool),
    mix_port: u16,
    key: String,
    is_mixnode: bool,
    entry: Option<EntryFields>,
    /// A decimal fraction as text. Anything else counts as none.
    performance: Option<String>,
}

struct EntryFields {
    hostname: Option<String>,
    ws_port: u16,
    wss_port: Option<u16>,
}

impl EntryFields {
    fn read(json: Json<'_>) -> Option<Self> {
        let [hostname, ws_port, wss_port] = json.fields(["hostname", "ws_port", "wss_port"])?;
        Some(Self {
            hostname: optional(hostname, Json::text)?,
            ws_port: ws_port?.unsigned()?,
            wss_port: optional(wss_port, Json::unsigned)?,
        })
    }
}

/// Whether the roles that a node supports make it a mix node.
pub(super) fn read_is_mixnode(supported_roles: Option<Json<'_>>) -> Option<bool> {
    let is_mixnode = optional(supported_roles, |roles| {
        let [mixnode] = roles.fields(["mixnode"])?;
        mixnode?.boolean()
    });
    Some(is_mixnode?.unwrap_or(false))
}

impl NodeFields {
    fn read(json: Json<'_>) -> Option<Self> {
        let names = [
            "node_id",
            "ed25519_identity_pubkey",
            "ip_addresses",
            "mix_port",
            "x25519_sphinx_pubkey",
            "supported_roles",
            "entry",
            "performance",
        ];
        let [node_id, identity, ip_addresses, mix_port, key, supported_roles, entry, performance] =
            json.fields(names)?;
        Some(Self {
            node_id: node_id?.unsigned()?,
            identity: identity?.text()?,
            ip_addresses: ip_addresses?.list(limits::DIRECTORY_IPS_MAX, Json::text)?,
            mix_port: mix_port?.unsigned()?,
            key: key?.text()?,
            is_mixnode: read_is_mixnode(supported_roles)?,
            entry: optional(entry, EntryFields::read)?,
            performance: performance.and_then(Json::text),
        })
    }

    /// `None` when the node cannot be reached or a key is not even 32 bytes.
    fn into_candidate(self) -> Option<Candidate> {
        let ips = &self.ip_addresses.0;
        // The first address is where other nodes reach it, whatever its family.
        let first: IpAddr = ips.first()?.parse().ok()?;
        if self.mix_port == 0 {
            return None;
        }
        let entry = self.entry.filter(|_| !self.is_mixnode).map(|entry| Entry {
            hostname: entry.hostname.as_deref().and_then(checked_hostname),
            ips: ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
            ws_port: entry.ws_port,
            wss_port: entry.wss_port.filter(|port| *port != 0),
        });
        Some(Candidate {
            node_id: self.node_id,
            identity: base58(&self.identity)?,
            address: NodeAddress::from(core::net::SocketAddr::new(first, self.mix_port)),
            key: base58(&self.key)?,
            entry,
            performance: self.performance.as_deref().map_or(0, percent),
        })
    }
}
