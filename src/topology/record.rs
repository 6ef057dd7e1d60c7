//! A snapshot as bytes for the store, so that a start needs no answer of a directory.
//!
//! `version[1] || checksum[8] || epoch || rotation || refreshed at || schedule || three layers || gateways`, numbers in
//! big endian. Compact, because a directory's answers for a large network have half a megabyte. The checksum finds
//! damage, not malice: whoever keeps the record seals it.

use core::net::IpAddr;

use alloc::string::String;
use alloc::vec::Vec;

use super::node::{Entry, GatewayNode, MixNode, checked_hostname};
use super::{Schedule, Topology, Warnings};
use crate::limits;
use crate::message::GatewayId;
use crate::sphinx::{NodeAddress, NodePublicKey};
use crate::table::Table;
use crate::time::Duration;

impl Topology {
    /// The record for the store.
    pub fn to_record(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_u32(&mut body, self.epoch);
        put_u32(&mut body, self.rotation_id);
        put_u64(&mut body, self.refreshed_at.unwrap_or(u64::MAX));
        body.push(u8::from(self.schedule.is_some()));
        if let Some(schedule) = &self.schedule {
            put_u32(&mut body, schedule.validity_epochs);
            put_u32(&mut body, schedule.initial_epoch);
            put_u32(&mut body, schedule.reference_epoch);
            put_u64(&mut body, schedule.reference_start);
            put_u64(&mut body, u64::try_from(schedule.epoch_duration.as_millis()).unwrap_or(u64::MAX));
        }
        for layer in &self.layers {
            put_count(&mut body, layer.len());
            for MixNode { node_id, id, address, key } in layer {
                put_u32(&mut body, *node_id);
                put_node(&mut body, id, *address, key);
            }
        }
        put_count(&mut body, self.gateways.len());
        for GatewayNode { id, address, key, entry, performance } in self.gateways.values() {
            put_node(&mut body, id, *address, key);
            body.push(*performance);
            body.push(u8::from(entry.is_some()));
            if let Some(entry) = entry {
                put_entry(&mut body, entry);
            }
        }
        let mut record = Vec::with_capacity(1 + CHECKSUM_LEN + body.len());
        record.push(VERSION);
        record.extend_from_slice(&checksum(&body));
        record.append(&mut body);
        record
    }

    /// Reads a record. `None` for one that is damaged or of another version; nobody is worse off without it.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let (sum, body) = record.strip_prefix(&[VERSION])?.split_first_chunk::<CHECKSUM_LEN>()?;
        if checksum(body) != *sum {
            return None;
        }
        let mut rest = Rest(body);
        let (epoch, rotation_id) = (rest.u32()?, rest.u32()?);
        let refreshed_at = Some(rest.u64()?).filter(|unix| *unix != u64::MAX);
        let schedule = match rest.flag()? {
            true => Some(rest.schedule()?),
            false => None,
        };
        let mut layers = [const { Vec::new() }; 3];
        for layer in &mut layers {
            for _ in 0..rest.count()? {
                let node_id = rest.u32()?;
                let (id, address, key) = rest.node()?;
                layer.push(MixNode { node_id, id, address, key });
            }
        }
        let mut gateways = Table::default();
        for _ in 0..rest.count()? {
            let (id, address, key) = rest.node()?;
            let performance = rest.byte()?;
            let entry = match rest.flag()? {
                true => Some(rest.entry()?),
                false => None,
            };
            gateways.insert(id, GatewayNode { id, address, key, entry, performance });
        }
        let is_whole = rest.0.is_empty() && layers.iter().all(|layer| !layer.is_empty());
        is_whole.then_some(Self {
            layers,
            gateways,
            epoch,
            rotation_id,
            refreshed_at,
            schedule,
            warnings: Warnings::default(),
        })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&blake3::hash(body).as_bytes()[..CHECKSUM_LEN]);
    sum
}

fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_be_bytes());
}

fn put_u64(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_be_bytes());
}

/// A list has at most [`limits::DIRECTORY_NODES_MAX`] elements.
fn put_count(bytes: &mut Vec<u8>, count: usize) {
    put_u32(bytes, u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_node(bytes: &mut Vec<u8>, id: &GatewayId, address: NodeAddress, key: &NodePublicKey) {
    bytes.extend_from_slice(&id.0);
    bytes.extend_from_slice(&address.to_bytes());
    bytes.extend_from_slice(key.as_bytes());
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    // A name has at most 253 characters, and there are at most 64 addresses.
    let name = entry.hostname.as_deref().unwrap_or_default();
    bytes.push(u8::try_from(name.len()).unwrap_or_default());
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(u8::try_from(entry.ips.len()).unwrap_or_default());
    for ip in &entry.ips {
        bytes.extend_from_slice(&NodeAddress::from(core::net::SocketAddr::new(*ip, 0)).to_bytes());
    }
    bytes.extend_from_slice(&entry.ws_port.to_be_bytes());
    bytes.extend_from_slice(&entry.wss_port.unwrap_or_default().to_be_bytes());
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Option<bool> {
        self.byte().map(|byte| byte != 0)
    }

    fn port(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok().filter(|count| *count <= limits::DIRECTORY_NODES_MAX)
    }

    fn address(&mut self) -> Option<NodeAddress> {
        let (address, len) = NodeAddress::parse(self.0).ok()?;
        self.slice(len)?;
        Some(address)
    }

    fn node(&mut self) -> Option<(GatewayId, NodeAddress, NodePublicKey)> {
        let id = GatewayId::from_bytes(self.take()?).ok()?;
        let address = self.address()?;
        let key = NodePublicKey::from_bytes(self.take()?).ok()?;
        Some((id, address, key))
    }

    fn entry(&mut self) -> Option<Entry> {
        let len = self.byte()?;
        let name = core::str::from_utf8(self.slice(len.into())?).ok()?;
        let hostname: Option<String> = if name.is_empty() { None } else { Some(checked_hostname(name)?) };
        let mut ips: Vec<IpAddr> = Vec::new();
        for _ in 0..self.byte()? {
            ips.push(self.address()?.ip());
        }
        let ws_port = self.port()?;
        let wss_port = self.port().map(|port| Some(port).filter(|port| *port != 0))?;
        Some(Entry { hostname, ips, ws_port, wss_port })
    }

    fn schedule(&mut self) -> Option<Schedule> {
        let schedule = Schedule {
            validity_epochs: self.u32()?,
            initial_epoch: self.u32()?,
            reference_epoch: self.u32()?,
            reference_start: self.u64()?,
            epoch_duration: Duration::from_millis(self.u64()?),
        };
        (schedule.validity_epochs > 0 && !schedule.epoch_duration.is_zero()).then_some(schedule)
    }
}

const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 8;
