//! The links between clients and gateways, and what was counted on them.

use std::collections::BTreeMap;

use mixlet::time::Instant;
use mixlet_devnet::record::{ClientName, ConnectionId};
use serde_json::{Value, json};

/// How many links there are at a time, and how many are counted for: of those that have ended the oldest is forgotten.
pub const LINK_COUNT_MAX: usize = 4096;

/// The number of a link; rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkNumber(pub u32);

impl LinkNumber {
    /// What the gateway calls it.
    pub(crate) fn connection(self) -> ConnectionId {
        ConnectionId(self.0.into())
    }

    /// The link that a gateway calls so.
    pub(crate) fn of(connection: ConnectionId) -> Self {
        Self(u32::try_from(connection.0).unwrap_or(u32::MAX))
    }
}

/// What a link carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A binary message.
    Binary(Vec<u8>),
    /// A text message.
    Text(String),
}

/// What a client's socket is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is open.
    Opened,
    /// A message came.
    Frame(Frame),
    /// The gateway is gone, without a word of goodbye; nothing comes after this.
    Closed,
}

/// One link.
pub(crate) struct Link {
    pub(crate) gateway: usize,
    /// Known to the gateway.
    pub(crate) is_open: bool,
    /// It has ended and is kept only for what was counted.
    pub(crate) has_ended: bool,
    /// When the last thing on its way to the gateway arrives. Nothing overtakes it.
    last_up: Instant,
    /// The same to the client.
    last_down: Instant,
    /// Who it is, once logged in.
    client: Option<ClientName>,
    /// Sphinx packets that the client wrote, by their size. There are only few sizes.
    written: BTreeMap<usize, u64>,
    /// Frames that were pushed to the client, by their size.
    pushed: BTreeMap<usize, u64>,
}

impl Link {
    pub(crate) fn new(gateway: usize) -> Self {
        Self {
            gateway,
            is_open: false,
            has_ended: false,
            last_up: Instant::ZERO,
            last_down: Instant::ZERO,
            client: None,
            written: BTreeMap::new(),
            pushed: BTreeMap::new(),
        }
    }

    /// When something arrives at the gateway that would arrive at this time on an empty link.
    pub(crate) fn up_at(&mut self, at: Instant) -> Instant {
        self.last_up = self.last_up.max(at);
        self.last_up
    }

    /// The same towards the client.
    pub(crate) fn down_at(&mut self, at: Instant) -> Instant {
        self.last_down = self.last_down.max(at);
        self.last_down
    }

    pub(crate) fn belongs_to(&self, client: ClientName) -> bool {
        self.client == Some(client)
    }

    pub(crate) fn wrote(&mut self, packet_len: usize) {
        *self.written.entry(packet_len).or_default() += 1;
    }

    pub(crate) fn is_of(&mut self, client: ClientName) {
        self.client = Some(client);
    }

    pub(crate) fn was_pushed(&mut self, frame_len: usize) {
        *self.pushed.entry(frame_len).or_default() += 1;
    }

    /// What was counted.
    pub(crate) fn to_json(&self, number: LinkNumber) -> Value {
        json!({
            "link": number.0,
            "gateway": self.gateway,
            "client": self.client.map(|client| client.to_string()),
            "open": self.is_open && !self.has_ended,
            "written": self.written,
            "pushed": self.pushed,
        })
    }
}
