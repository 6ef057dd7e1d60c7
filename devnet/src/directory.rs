//! Keys from a seed, topology documents from keys, and the clock of epochs.
//!
//! The directory answers the requests that clients of the Nym mixnet make of its HTTP API: the rewarded set, which
//! says who mixes in which layer, the "skimmed" lists of nodes with addresses and keys, and the key rotation's
//! schedule. Everything follows from the seed, the addresses and the clock, so two networks with the same seed have
//! the same keys.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::str::FromStr;

use ed25519_dalek::SigningKey;
use mixlet::sphinx::NodePrivateKey;
use serde_json::{Value, json};

use crate::keyring::Rotations;

/// How many mix nodes one layer may have.
pub const NODES_PER_LAYER_MAX: u32 = 64;

/// How many gateways a network may have.
pub const GATEWAY_COUNT_MAX: u32 = 64;

/// The fewest epochs a rotation may last.
pub const ROTATION_EPOCHS_MIN: u32 = 3;

/// Epochs in one interval, as in the public network; clients only pass it on.
const INTERVAL_EPOCHS: u32 = 720;

/// What all long-term keys of a network are derived from.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

/// A seed was neither a number nor 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seed is a decimal number or 64 hexadecimal digits")]
pub struct SeedError;

impl Seed {
    /// A seed of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key for ed25519 of the node with this id.
    pub fn identity(&self, node: u32) -> SigningKey {
        SigningKey::from_bytes(&self.derive("identity", node, 0))
    }

    /// The Sphinx key of the node with this id in a rotation.
    pub fn sphinx(&self, node: u32, rotation: u32) -> NodePrivateKey {
        NodePrivateKey::from_bytes(self.derive("sphinx", node, rotation))
    }

    fn derive(&self, purpose: &str, node: u32, rotation: u32) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose.as_bytes()).update(&node.to_be_bytes()).update(&rotation.to_be_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let mut bytes = [0; 32];
        if text.len() == 64 && text.is_ascii() {
            for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                let digits = std::str::from_utf8(digits).map_err(|_| SeedError)?;
                *byte = u8::from_str_radix(digits, 16).map_err(|_| SeedError)?;
            }
        } else {
            let number: u64 = text.parse().map_err(|_| SeedError)?;
            bytes[24..].copy_from_slice(&number.to_be_bytes());
        }
        Ok(Self(bytes))
    }
}

impl std::fmt::Display for Seed {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When epochs and rotations begin.
///
/// Epochs are counted from a time that lies so far back that a new network begins in rotation 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochClock {
    /// When epoch 0 began, in unix seconds.
    pub zero: u64,
    /// How long an epoch lasts, in seconds; at least 1.
    pub epoch_len: u64,
    /// How many epochs a rotation lasts.
    pub rotation_epochs: u32,
}

impl EpochClock {
    /// A clock for a network that begins at the unix time `now`.
    pub fn new(now: u64, epoch_len: u64, rotation_epochs: u32) -> Self {
        let epoch_len = epoch_len.max(1);
        let rotation_epochs = rotation_epochs.max(ROTATION_EPOCHS_MIN);
        Self { zero: now.saturating_sub(epoch_len.saturating_mul(rotation_epochs.into())), epoch_len, rotation_epochs }
    }

    /// The epoch at the unix time `now`.
    pub fn epoch(&self, now: u64) -> u32 {
        u32::try_from(now.saturating_sub(self.zero) / self.epoch_len).unwrap_or(u32::MAX)
    }

    /// When an epoch begins, in unix seconds.
    pub fn start_of(&self, epoch: u32) -> u64 {
        self.zero.saturating_add(self.epoch_len.saturating_mul(epoch.into()))
    }

    /// The rotation an epoch belongs to.
    pub fn rotation(&self, epoch: u32) -> u32 {
        epoch / self.rotation_epochs
    }

    /// Which keys nodes have in an epoch: in the first one of a rotation also those of the rotation before.
    pub fn keys_in(&self, epoch: u32) -> Rotations {
        let primary = self.rotation(epoch);
        let first = epoch.is_multiple_of(self.rotation_epochs);
        Rotations { primary, secondary: first.then(|| primary.checked_sub(1)).flatten() }
    }

    /// Moves on by a number of epochs at once.
    pub fn advance(&mut self, epochs: u32) {
        self.zero = self.zero.saturating_sub(self.epoch_len.saturating_mul(epochs.into()));
    }
}

/// A mix node as the directory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixEntry {
    /// Its node id.
    pub id: u32,
    /// Its layer, 1 to 3.
    pub layer: u8,
    /// Where it takes packets.
    pub address: SocketAddr,
}

/// A gateway as the directory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayEntry {
    /// Its node id.
    pub id: u32,
    /// Where it takes packets from mix nodes.
    pub mix_address: SocketAddr,
    /// Where it takes clients.
    pub client_address: SocketAddr,
}

/// All that the directory knows.
#[derive(Clone)]
pub struct Directory {
    /// What keys follow from.
    pub seed: Seed,
    /// Mix nodes by rising id.
    pub mixes: Vec<MixEntry>,
    /// Gateways by rising id, above those of the mix nodes.
    pub gateways: Vec<GatewayEntry>,
    /// The epochs.
    pub clock: EpochClock,
}

/// Which nodes a list holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    All,
    Gateways,
    Mixes,
}

impl Directory {
    /// A gateway's identity in base58, which is part of its clients' addresses.
    pub fn gateway_id(&self, gateway: &GatewayEntry) -> String {
        self.identity_text(gateway.id)
    }

    /// The answer to a GET of `path` with `query` below the API's base at the unix time `now`, in milliseconds; nothing
    /// if there is no such document.
    pub fn answer(&self, path: &str, query: &str, now_ms: u64) -> Option<Value> {
        let role = query.split('&').find_map(|pair| pair.strip_prefix("role="));
        let choice_of_role = match role {
            Some("active-mixnode") => Choice::Mixes,
            Some("entry-gateway" | "entry" | "gateway" | "exit-gateway" | "exit") => Choice::Gateways,
            _ => Choice::All,
        };
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match *segments.as_slice() {
            ["v1", "nym-nodes", "rewarded-set"] => Some(self.rewarded_set(now_ms)),
            ["v1", "epoch", "key-rotation-info"] => Some(self.rotation_info(now_ms)),
            ["v1", "api-status", "health"] => Some(json!({"status": "up"})),
            ["v2", "unstable", "nym-nodes", "skimmed", ref rest @ ..] => match *rest {
                [] => Some(self.skimmed(choice_of_role, false, now_ms)),
                ["mixnodes", "active" | "all"] => Some(self.skimmed(Choice::Mixes, true, now_ms)),
                ["entry-gateways" | "exit-gateways"] | ["entry-gateways" | "exit-gateways", "active" | "all"] => {
                    Some(self.skimmed(Choice::Gateways, true, now_ms))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The network at the unix time `now_ms`, in milliseconds, in the form that clients can be given instead of a
    /// directory. It is good for as long as the key rotation lasts.
    pub fn document(&self, now_ms: u64) -> Value {
        let epoch = self.epoch(now_ms);
        let rotation = self.clock.rotation(epoch);
        let node = |id: u32, address: SocketAddr, entry: Value| {
            let sphinx = self.seed.sphinx(id, rotation).public();
            let details = json!({
                "node_id": id,
                "mix_host": address,
                "identity_key": self.seed.identity(id).verifying_key().as_bytes(),
                "sphinx_key": sphinx.as_bytes(),
                "supported_roles": {
                    "mixnode": entry.is_null(), "mixnet_entry": !entry.is_null(), "mixnet_exit": !entry.is_null(),
                },
                "entry": entry,
            });
            (id.to_string(), details)
        };
        let mixes = self.mixes.iter().map(|mix| node(mix.id, mix.address, Value::Null));
        let gateways = self.gateways.iter().map(|gateway| {
            let client = gateway.client_address;
            let entry = json!({
                "ip_addresses": [client.ip()],
                "clients_ws_port": client.port(),
                "hostname": null,
                "clients_wss_port": null,
            });
            node(gateway.id, gateway.mix_address, entry)
        });
        json!({
            "metadata": {
                "key_rotation_id": rotation,
                "absolute_epoch_id": epoch,
                "refreshed_at": rfc3339(now_ms / 1000),
            },
            "rewarded_set": self.rewarded_set(now_ms),
            "node_details": mixes.chain(gateways).collect::<serde_json::Map<_, _>>(),
        })
    }

    fn epoch(&self, now_ms: u64) -> u32 {
        self.clock.epoch(now_ms / 1000)
    }

    fn rewarded_set(&self, now_ms: u64) -> Value {
        let layer = |layer| self.mixes.iter().filter(|mix| mix.layer == layer).map(|mix| mix.id).collect::<Vec<_>>();
        let gateways: Vec<u32> = self.gateways.iter().map(|gateway| gateway.id).collect();
        json!({
            "epoch_id": self.epoch(now_ms),
            "entry_gateways": gateways,
            "exit_gateways": [],
            "layer1": layer(1),
            "layer2": layer(2),
            "layer3": layer(3),
            "standby": [],
        })
    }

    fn rotation_info(&self, now_ms: u64) -> Value {
        let epoch = self.epoch(now_ms);
        let rotation = self.clock.rotation(epoch);
        let starting = rotation * self.clock.rotation_epochs;
        json!({
            "key_rotation_state": {"validity_epochs": self.clock.rotation_epochs, "initial_epoch_id": 0},
            "current_absolute_epoch_id": epoch,
            "current_epoch_start": rfc3339(self.clock.start_of(epoch)),
            "epoch_duration": {"secs": self.clock.epoch_len, "nanos": 0},
            "progress": {
                "current_key_rotation_id": rotation,
                "current_rotation_starting_epoch": starting,
                "current_rotation_ending_epoch": starting + self.clock.rotation_epochs - 1,
            },
        })
    }

    /// A list of nodes; the list of all nodes has no status in its metadata.
    fn skimmed(&self, choice: Choice, with_status: bool, now_ms: u64) -> Value {
        let epoch = self.epoch(now_ms);
        let rotation = self.clock.rotation(epoch);
        let mixes = self.mixes.iter().filter(|_| choice != Choice::Gateways).map(|mix| self.mix_json(mix, rotation));
        let gateways = self.gateways.iter().filter(|_| choice != Choice::Mixes);
        let nodes: Vec<Value> = mixes.chain(gateways.map(|gateway| self.gateway_json(gateway, rotation))).collect();
        let status = with_status.then(|| {
            json!({"fresh": {
                "id": epoch / INTERVAL_EPOCHS,
                "epochs_in_interval": INTERVAL_EPOCHS,
                "current_epoch_start": rfc3339(self.clock.start_of(epoch)),
                "current_epoch_id": epoch % INTERVAL_EPOCHS,
                "epoch_length": {"secs": self.clock.epoch_len, "nanos": 0},
                "total_elapsed_epochs": epoch,
            }})
        });
        json!({
            "metadata": {
                "status": status,
                "absolute_epoch_id": epoch,
                "rotation_id": rotation,
                "refreshed_at": spaced_time(now_ms),
            },
            "nodes": {"pagination": {"total": nodes.len(), "page": 0, "size": nodes.len()}, "data": nodes},
        })
    }

    fn mix_json(&self, mix: &MixEntry, rotation: u32) -> Value {
        let mut node = self.node_json(mix.id, mix.address, rotation);
        node["role"] = json!({"Mixnode": {"layer": mix.layer}});
        node["supported_roles"] = json!({"mixnode": true, "entry": false, "exit_nr": false, "exit_ipr": false});
        node["entry"] = Value::Null;
        node
    }

    fn gateway_json(&self, gateway: &GatewayEntry, rotation: u32) -> Value {
        let mut node = self.node_json(gateway.id, gateway.mix_address, rotation);
        node["role"] = json!("EntryGateway");
        node["supported_roles"] = json!({"mixnode": false, "entry": true, "exit_nr": true, "exit_ipr": true});
        node["entry"] = json!({"hostname": null, "ws_port": gateway.client_address.port(), "wss_port": null});
        node
    }

    fn node_json(&self, id: u32, address: SocketAddr, rotation: u32) -> Value {
        let sphinx = self.seed.sphinx(id, rotation).public();
        json!({
            "node_id": id,
            "ed25519_identity_pubkey": self.identity_text(id),
            "ip_addresses": [address.ip()],
            "mix_port": address.port(),
            "x25519_sphinx_pubkey": bs58::encode(sphinx.as_bytes()).into_string(),
            "performance": "0.99",
        })
    }

    fn identity_text(&self, id: u32) -> String {
        bs58::encode(self.seed.identity(id).verifying_key().as_bytes()).into_string()
    }
}

/// A time as `2026-05-17T06:00:00Z`.
fn rfc3339(unix: u64) -> String {
    let (year, month, day) = date_of(unix / 86_400);
    let (hour, minute, second) = time_of(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A time as `2026-05-17 06:40:00.25 +00:00:00`, the form the public directory uses here.
fn spaced_time(unix_ms: u64) -> String {
    let unix = unix_ms / 1000;
    let (year, month, day) = date_of(unix / 86_400);
    let (hour, minute, second) = time_of(unix);
    let mut text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.");
    let fraction = format!("{:03}", unix_ms % 1000);
    let short = fraction.trim_end_matches('0');
    // Writing to a String cannot fail.
    let _ = write!(text, "{} +00:00:00", if short.is_empty() { "0" } else { short });
    text
}

fn time_of(unix: u64) -> (u64, u64, u64) {
    (unix / 3600 % 24, unix / 60 % 60, unix % 60)
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
///
/// Years are taken to begin in March, so that the day that some years have more is their last; an era has 400 years.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_779_000_000;

    #[test]
    fn seeds_parse_as_numbers_and_as_digits_and_keys_follow_from_them() {
        let one: Seed = "1".parse().unwrap();
        let same: Seed = one.to_string().parse().unwrap();
        assert!(one == same && one.identity(3) == same.identity(3));
        assert!(one.identity(3) != one.identity(4));
        assert!(one.sphinx(3, 1).public().as_bytes() != one.sphinx(3, 2).public().as_bytes());
        for bad in ["", "-1", "x", &"g".repeat(64), "18446744073709551616"] {
            assert!(bad.parse::<Seed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_begins_in_rotation_one_and_keeps_the_old_key_for_one_epoch() {
        let clock = EpochClock::new(NOW, 10, 4);
        assert_eq!((clock.epoch(NOW), clock.start_of(clock.epoch(NOW))), (4, NOW));
        assert_eq!(clock.keys_in(4), Rotations { primary: 1, secondary: Some(0) });
        assert_eq!(clock.keys_in(5), Rotations { primary: 1, secondary: None });
        assert_eq!(clock.keys_in(8), Rotations { primary: 2, secondary: Some(1) });
        let mut later = clock;
        later.advance(3);
        assert_eq!((later.epoch(NOW), later.start_of(7)), (7, NOW));
    }

    #[test]
    fn times_are_written_in_both_forms() {
        assert_eq!(rfc3339(1_779_000_000), "2026-05-17T06:40:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(spaced_time(1_779_000_000_000), "2026-05-17 06:40:00.0 +00:00:00");
        assert_eq!(spaced_time(1_779_000_000_250), "2026-05-17 06:40:00.25 +00:00:00");
    }
}
