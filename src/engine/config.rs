//! What an engine is told at the start. A `Config` can only be built valid.

use core::net::IpAddr;

use alloc::string::String;
use alloc::vec::Vec;

use crate::message::GatewayId;
use crate::time::Duration;

/// Settings of one engine; see each field for its unit and default.
#[derive(Clone)]
pub struct Config {
    /// Base URLs of directories, asked in turn; paths are appended after one slash.
    pub directories: Vec<String>,
    /// A hard-coded topology (JSON) instead of a directory.
    pub topology: Option<String>,
    /// The gateway the user named; default: the registered one, else one drawn: the better the directory rates it, the
    /// likelier.
    pub gateway: Option<GatewayId>,
    /// Asks which gateway to register with, by [`Event::GatewayWanted`](super::Event::GatewayWanted), instead of drawing
    /// one. Default false.
    pub ask_for_gateway: bool,
    /// Tells of every packet that leaves or comes in, by [`Event::Packets`](super::Event::Packets). Default false.
    pub trace: bool,
    /// The page is a secure one, so only `wss://` links can be opened. Default false.
    pub secure_page: bool,
    /// Unix time at the driver's [`crate::time::Instant::ZERO`].
    pub unix_zero: Duration,
    /// What the traffic looks like.
    pub traffic: Traffic,
    /// How links are reopened.
    pub reconnect: Reconnect,
    /// Mean time between two topology refreshes. Default 5 min.
    pub refresh: Duration,
    /// Nodes below this performance are not used, percent. Default 50.
    pub minimum_performance: u8,
    /// May ask a peer for more SURBs, which tells it our address. Default true.
    pub ask_for_more: bool,
    /// The driver keeps pages ([`Record::Page`](super::Record::Page)) for whoever goes on with this identity. Default
    /// false: then none are made.
    pub keeps_pages: bool,
    /// Where pages are kept: messages that came in stay in the store until the application is done with them. Default
    /// false.
    pub keeps_inbox: bool,
    /// The tag that a recipient knows us by is the same in every run, instead of a new one in each: it follows from our
    /// keys and its address. Default false.
    pub keeps_pseudonyms: bool,
}

/// The traffic parameters; the defaults are Nym's, so that all share one crowd.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Mean gap of the main stream. Default 20 ms.
    pub slot: Duration,
    /// Mean gap of loop cover. Default 200 ms.
    pub loop_cover: Duration,
    /// Mean delay at each mix node. Default 15 ms.
    pub hop_delay: Duration,
    /// Mean delay of acks at each mix node. Default 15 ms.
    pub ack_delay: Duration,
    /// Send as fast as the link takes it, and no cover in the main stream. It shows everyone on the line when and how
    /// much the user sends.
    pub danger_no_pacing: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            slot: Duration::from_millis(20),
            loop_cover: Duration::from_millis(200),
            hop_delay: Duration::from_millis(15),
            ack_delay: Duration::from_millis(15),
            danger_no_pacing: false,
        }
    }
}

impl Traffic {
    /// Whether every duration is in its range.
    pub(super) fn is_valid(&self) -> bool {
        let gaps = Duration::from_millis(1)..=Duration::from_secs(10);
        let delays = Duration::ZERO..=Duration::from_secs(10);
        [self.slot, self.loop_cover].iter().all(|gap| gaps.contains(gap))
            && [self.hop_delay, self.ack_delay].iter().all(|delay| delays.contains(delay))
    }
}

/// Back-off between two links.
#[derive(Clone, Copy, Debug)]
pub struct Reconnect {
    /// First wait. Default 0.5 s.
    pub min: Duration,
    /// Longest wait. Default 60 s.
    pub max: Duration,
    /// Give up after so many attempts in a row; `None`: never.
    pub max_attempts: Option<u32>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(60), max_attempts: None }
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither a directory nor a topology was named.
    #[error("name a directory or a topology")]
    NoNetwork,
    /// A directory is not an `http://` or `https://` URL.
    #[error("a directory must be an http:// or https:// URL")]
    DirectoryUrl,
    /// A duration of the traffic is out of range.
    #[error("slot and loop cover must lie between 1 ms and 10 s, delays between 0 and 10 s")]
    Traffic,
    /// Back-off out of range.
    #[error("reconnect needs 0 < min <= max <= 1 h and at least one attempt")]
    Reconnect,
    /// Refresh out of range.
    #[error("the topology refresh must lie between 10 s and 1 h")]
    Refresh,
    /// Performance above 100.
    #[error("the minimum performance is a percentage")]
    Performance,
}

impl Config {
    /// The defaults with these directories.
    ///
    /// # Errors
    /// When there is none, or one is not an http(s) URL.
    pub fn new(directories: Vec<String>, unix_zero: Duration) -> Result<Self, ConfigError> {
        let config = Self {
            directories,
            topology: None,
            gateway: None,
            ask_for_gateway: false,
            trace: false,
            secure_page: false,
            unix_zero,
            traffic: Traffic::default(),
            reconnect: Reconnect::default(),
            refresh: Duration::from_secs(300),
            minimum_performance: 50,
            ask_for_more: true,
            keeps_pages: false,
            keeps_inbox: false,
            keeps_pseudonyms: false,
        };
        if config.directories.is_empty() {
            return Err(ConfigError::NoNetwork);
        }
        config.checked()
    }

    /// The defaults with a hard-coded topology.
    pub fn with_topology(topology: String, unix_zero: Duration) -> Self {
        Self {
            directories: Vec::new(),
            topology: Some(topology),
            gateway: None,
            ask_for_gateway: false,
            trace: false,
            secure_page: false,
            unix_zero,
            traffic: Traffic::default(),
            reconnect: Reconnect::default(),
            refresh: Duration::from_secs(300),
            minimum_performance: 50,
            ask_for_more: true,
            keeps_pages: false,
            keeps_inbox: false,
            keeps_pseudonyms: false,
        }
    }

    /// Whether a secure page may ask one of the directories: browsers except this machine.
    pub(super) fn has_secure_directory(&self) -> bool {
        self.directories.iter().any(|url| url.starts_with("https://") || is_loopback(url))
    }

    /// This, if every field is in its range.
    ///
    /// # Errors
    /// Which range was left.
    pub fn checked(self) -> Result<Self, ConfigError> {
        if self.directories.is_empty() && self.topology.is_none() {
            Err(ConfigError::NoNetwork)
        } else if !self.directories.iter().all(|url| url.starts_with("http://") || url.starts_with("https://")) {
            Err(ConfigError::DirectoryUrl)
        } else if !self.traffic.is_valid() {
            Err(ConfigError::Traffic)
        } else if self.reconnect.min.is_zero()
            || self.reconnect.min > self.reconnect.max
            || self.reconnect.max > Duration::from_secs(3600)
            || self.reconnect.max_attempts == Some(0)
        {
            Err(ConfigError::Reconnect)
        } else if self.refresh < Duration::from_secs(10) || self.refresh > Duration::from_secs(3600) {
            Err(ConfigError::Refresh)
        } else if self.minimum_performance > 100 {
            Err(ConfigError::Performance)
        } else {
            Ok(self)
        }
    }
}

/// Whether the host of a URL is this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(bracketed),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in ["http://127.0.0.1:8080/api", "http://localhost", "http://[::1]:1/x", "http://127.9.9.9/"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["https://localhost.example.org", "http://10.0.0.1", "http://example.org/127.0.0.1", "http://[fe80::1]"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let valid = Config::new(alloc::vec!["http://127.0.0.1/api".to_owned()], Duration::ZERO).unwrap();
        let refused = |change: fn(&mut Config)| {
            let mut config = valid.clone();
            change(&mut config);
            config.checked().err()
        };
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|config| config.directories.clear()), Some(ConfigError::NoNetwork));
        assert_eq!(refused(|config| config.directories[0].insert(0, ' ')), Some(ConfigError::DirectoryUrl));
        assert_eq!(refused(|config| config.traffic.slot = Duration::ZERO), Some(ConfigError::Traffic));
        assert_eq!(refused(|config| config.traffic.hop_delay = Duration::from_secs(11)), Some(ConfigError::Traffic));
        assert_eq!(refused(|config| config.reconnect.max_attempts = Some(0)), Some(ConfigError::Reconnect));
        assert_eq!(refused(|config| config.refresh = Duration::from_secs(1)), Some(ConfigError::Refresh));
        assert_eq!(refused(|config| config.minimum_performance = 101), Some(ConfigError::Performance));
    }
}
