//! Nodes as routes and links need them.

use core::net::IpAddr;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::message::GatewayId;
use crate::sphinx::{NodeAddress, NodePublicKey};

/// A mix node with a layer in this epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixNode {
    /// The directory's number for it.
    pub node_id: u32,
    /// Its identity.
    pub id: GatewayId,
    /// Where other nodes and gateways reach it.
    pub address: NodeAddress,
    /// Its Sphinx key in the rotation of the snapshot.
    pub key: NodePublicKey,
}

/// A node that is no mix node of this epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayNode {
    /// Its identity, which is part of the addresses of its clients.
    pub id: GatewayId,
    /// Where mix nodes reach it.
    pub address: NodeAddress,
    /// Its Sphinx key in the rotation of the snapshot.
    pub key: NodePublicKey,
    /// Where clients reach it, if it takes any.
    pub entry: Option<Entry>,
    /// Its performance in percent, as the directory has measured it; 100 in a hard-coded topology.
    pub performance: u8,
}

/// Where clients reach a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, checked to be one, in lower case.
    pub hostname: Option<String>,
    /// Its addresses, the preferred one first.
    pub ips: Vec<IpAddr>,
    /// The port without TLS.
    pub ws_port: u16,
    /// The port with TLS. Useless without a name, since certificates are for names.
    pub wss_port: Option<u16>,
}

impl GatewayNode {
    /// The URL to link to: with TLS whenever the gateway offers it. Without it by name, and by address if there is no
    /// name.
    ///
    /// `None` when clients cannot link to it from here: it takes none, browsers block the port, or the page is secure
    /// (`secure_page`) and may not open a link without TLS.
    pub fn url(&self, secure_page: bool) -> Option<String> {
        let entry = self.entry.as_ref()?;
        if let (Some(hostname), Some(port)) = (&entry.hostname, entry.wss_port.filter(|port| !is_blocked(*port))) {
            return Some(format!("wss://{hostname}:{port}"));
        }
        if secure_page || is_blocked(entry.ws_port) {
            return None;
        }
        let port = entry.ws_port;
        if let Some(hostname) = &entry.hostname {
            return Some(format!("ws://{hostname}:{port}"));
        }
        Some(match entry.ips.first()? {
            IpAddr::V4(ip) => format!("ws://{ip}:{port}"),
            IpAddr::V6(ip) => format!("ws://[{ip}]:{port}"),
        })
    }
}

/// Whether browsers refuse to connect to a port: the list of the Fetch standard, and zero.
fn is_blocked(port: u16) -> bool {
    matches!(
        port,
        0 | 1 | 7 | 9 | 11 | 13 | 15 | 17 | 19..=23 | 25 | 37 | 42 | 43 | 53 | 69 | 77 | 79 | 87 | 95 | 101..=104
            | 109..=111 | 113 | 115 | 117 | 119 | 123 | 135 | 137 | 139 | 143 | 161 | 179 | 389 | 427 | 465
            | 512..=515 | 526 | 530..=532 | 540 | 548 | 554 | 556 | 563 | 587 | 601 | 636 | 989 | 990 | 993 | 995
            | 1719 | 1720 | 1723 | 2049 | 3659 | 4045 | 4190 | 5060 | 5061 | 6000 | 6566 | 6665..=6669 | 6679 | 6697
            | 10_080
    )
}

/// A DNS name in lower case; `None` when `text` is not one. It ends in a label that begins with a letter, so no reader of
/// URLs can take it for an address, and there is nothing in it that could end the host part of a URL.
pub(super) fn checked_hostname(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next()?;
    let is_name = text.len() <= 253
        && text.split('.').all(is_label)
        && last.starts_with(|first: char| first.is_ascii_alphabetic());
    is_name.then(|| text.to_ascii_lowercase())
}

/// Whether a checked name can be one of the public network.
pub(super) fn is_public_hostname(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, last)| !matches!(last, "internal" | "local" | "localhost"))
}
