//! What passed through the network, for tests: never contents, never keys.
//!
//! Every node notes what arrived, what it sent on and what it dropped. A packet is named by a [`Fingerprint`] of its
//! bytes, which change at every hop, so an entry for a packet that left names both what arrived and what left: a test
//! follows a packet by chaining these from node to node. Entries are kept in a ring of fixed length; the
//! [`Summary`] counts everything, also what the ring has forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use mixlet::time::{Duration, Instant};
use serde::{Serialize, Serializer};

/// How many entries are kept. The oldest are forgotten, and counted as forgotten.
pub const ENTRY_COUNT_MAX: usize = 400_000;

/// How many clients the summary counts for. Frames of further ones are not counted per client.
pub const CLIENT_COUNT_MAX: usize = 4096;

/// For how many seconds the summary keeps the number of frames per second of a client. The oldest are forgotten.
pub const SECOND_COUNT_MAX: usize = 3600;

/// Names a packet at one point of its way: the first 64 bits of the BLAKE3 hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    /// The fingerprint of a packet's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
        Self(u64::from_be_bytes(first))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A part of the network, as it is called in the record and by the control endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeName {
    /// The directory.
    Directory,
    /// The gateway with this place in the list of gateways, counted from zero.
    Gateway(u32),
    /// The mix node with this node id.
    Mix(u32),
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("directory"),
            Self::Gateway(place) => write!(f, "gateway-{place}"),
            Self::Mix(id) => write!(f, "mix-{id}"),
        }
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Numbers the connections of a gateway with clients, over the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ConnectionId(pub u64);

/// A client's identity key, which tests need to tell clients apart; in base58.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(pub [u8; 32]);

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(&self.0).into_string())
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ClientName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a node dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// The key of that rotation is gone.
    Expired,
    /// A packet for a client of a gateway at a mix node, or one to be forwarded at a gateway.
    WrongRole,
    /// The header's MAC did not match any key.
    Forged,
    /// What was inside did not parse.
    Malformed,
    /// The link to the next node could take no more.
    Full,
    /// A fault that was asked for.
    Lost,
    /// A packet with the same replay tag was seen before.
    Replay,
    /// The next node is not there.
    Unreachable,
    /// The next hop is no node of this network.
    UnknownNextHop,
    /// The inbox of that client, or all inboxes together, are full.
    InboxFull,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// A Sphinx packet came over a link from another node.
    Arrived {
        /// The packet as it came.
        packet: Fingerprint,
        /// Its length in bytes: 386 is an ack.
        len: usize,
        /// The key rotation byte of its frame.
        rotation: u8,
    },
    /// A gateway got a Sphinx packet from its own client.
    Entered {
        /// Who sent it.
        client: ClientName,
        /// The packet as it will leave.
        packet: Fingerprint,
        /// Its length in bytes.
        len: usize,
    },
    /// A Sphinx packet left over a link to another node.
    Left {
        /// What it was when it arrived. For an ack: the packet it was taken out of.
        arrived: Fingerprint,
        /// The packet as it left.
        packet: Fingerprint,
        /// Where to.
        to: NodeName,
        /// Its length in bytes.
        len: usize,
        /// The delay its header asked for, in microseconds.
        asked_us: u64,
        /// How long it was held, in microseconds.
        held_us: u64,
    },
    /// A fault that was asked for sent it twice.
    Doubled {
        /// The packet as it left.
        packet: Fingerprint,
    },
    /// A Sphinx packet went no further.
    Dropped {
        /// The packet as it arrived, or as it would have left.
        packet: Fingerprint,
        /// Its length in bytes.
        len: usize,
        /// Why.
        why: DropReason,
    },
    /// A packet reached the gateway of the client it was for.
    Final {
        /// The packet as it arrived.
        packet: Fingerprint,
        /// Its length in bytes: 386 is an ack.
        len: usize,
        /// Whom it was for.
        client: ClientName,
        /// Whether it was stored, as the client is away; else it was pushed.
        stored: bool,
        /// The ack packet that was inside.
        ack: Option<Fingerprint>,
    },
    /// A stored message was pushed to the client that came back.
    Delivered {
        /// Who came back.
        client: ClientName,
        /// The length of the message in bytes.
        len: usize,
    },
    /// A client's socket opened.
    Opened {
        /// The new connection.
        connection: ConnectionId,
    },
    /// A client's socket closed.
    Closed {
        /// The connection that ended.
        connection: ConnectionId,
        /// Who it was, when it had logged in.
        client: Option<ClientName>,
    },
    /// A client registered.
    Registered {
        /// On which connection.
        connection: ConnectionId,
        /// Who.
        client: ClientName,
    },
    /// A client logged in.
    LoggedIn {
        /// On which connection.
        connection: ConnectionId,
        /// Who.
        client: ClientName,
    },
    /// A gateway ended a connection that did not keep to the protocol or was not let in.
    Refused {
        /// Which connection.
        connection: ConnectionId,
    },
    /// A frame came from or went to a client.
    Frame {
        /// On which connection.
        connection: ConnectionId,
        /// Who it is, when it has logged in.
        client: Option<ClientName>,
        /// In which direction.
        way: Way,
        /// Whether it was a binary frame, else a text.
        binary: bool,
        /// The length of the frame's content in bytes.
        len: usize,
    },
    /// Somebody used the control endpoint.
    Control {
        /// What was asked for.
        action: String,
    },
}

/// The direction of a frame, seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From the client.
    In,
    /// To the client.
    Out,
}

impl What {
    /// The name of this kind of entry, as it stands in the field `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Arrived { .. } => "arrived",
            Self::Closed { .. } => "closed",
            Self::Control { .. } => "control",
            Self::Delivered { .. } => "delivered",
            Self::Doubled { .. } => "doubled",
            Self::Dropped { .. } => "dropped",
            Self::Entered { .. } => "entered",
            Self::Final { .. } => "final",
            Self::Frame { .. } => "frame",
            Self::Left { .. } => "left",
            Self::LoggedIn { .. } => "logged-in",
            Self::Opened { .. } => "opened",
            Self::Refused { .. } => "refused",
            Self::Registered { .. } => "registered",
        }
    }

    /// The client this entry is about.
    pub fn client(&self) -> Option<ClientName> {
        match self {
            Self::Delivered { client, .. }
            | Self::Entered { client, .. }
            | Self::Final { client, .. }
            | Self::LoggedIn { client, .. }
            | Self::Registered { client, .. } => Some(*client),
            Self::Closed { client, .. } | Self::Frame { client, .. } => *client,
            _ => None,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number, counted from zero over the life of the process.
    pub n: u64,
    /// When, in microseconds since the network started.
    pub t: u64,
    /// Where.
    pub node: NodeName,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of these kinds; all when empty.
    pub kinds: Vec<String>,
    /// Only at the part of the network with this name.
    pub node: Option<String>,
    /// Only about this client.
    pub client: Option<String>,
}

/// A piece of the record.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The number to ask from next.
    pub next: u64,
    /// The oldest number that is still kept.
    pub oldest: u64,
    /// Whether more entries follow.
    pub more: bool,
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
}

/// The record of a network.
#[derive(Debug, Default)]
pub struct Record {
    entries: VecDeque<Entry>,
    next: u64,
    summary: Summary,
}

impl Record {
    /// Adds what happened at `node` at `now`.
    pub fn push(&mut self, node: NodeName, now: Instant, what: What) {
        self.summary.count(node, now, &what);
        if self.entries.len() >= ENTRY_COUNT_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { n: self.next, t: now.as_micros(), node, what });
        self.next += 1;
    }

    /// At most `limit` entries that pass `filter`, beginning with number `since`.
    pub fn page(&self, since: u64, limit: usize, filter: &Filter) -> Page {
        let oldest = self.next - self.entries.len() as u64;
        let skip = usize::try_from(since.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let mut page = Page { next: since.max(oldest), oldest, more: false, entries: Vec::new() };
        for entry in self.entries.iter().skip(skip) {
            if page.entries.len() == limit {
                page.more = true;
                break;
            }
            page.next = entry.n + 1;
            if filter.passes(entry) {
                page.entries.push(entry.clone());
            }
        }
        page
    }

    /// The counts since the start or the last [`Record::clear`].
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Forgets all entries and counts. Numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.summary = Summary::default();
    }
}

impl Filter {
    fn passes(&self, entry: &Entry) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == entry.what.kind()))
            && self.node.as_ref().is_none_or(|name| *name == entry.node.to_string())
            && self.client.as_ref().is_none_or(|name| entry.what.client().is_some_and(|id| *name == id.to_string()))
    }
}

/// Counts of everything that passed.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// By name of the node.
    pub nodes: BTreeMap<NodeName, NodeCounts>,
    /// By identity of the client, in base58.
    pub clients: BTreeMap<ClientName, ClientCounts>,
}

/// Counts at one node.
#[derive(Debug, Default, Serialize)]
pub struct NodeCounts {
    /// Sphinx packets that came over links from other nodes.
    pub arrived: u64,
    /// Acks among them.
    pub arrived_acks: u64,
    /// Sphinx packets that came from clients.
    pub entered: u64,
    /// Sphinx packets that left.
    pub left: u64,
    /// Sphinx packets sent twice on purpose.
    pub doubled: u64,
    /// Packets dropped as replays.
    pub replays: u64,
    /// All dropped packets by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Connections opened by clients.
    pub opened: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Registrations.
    pub registrations: u64,
    /// Logins.
    pub logins: u64,
    /// Messages and acks pushed to clients as they came.
    pub pushed: u64,
    /// Messages and acks stored for clients that were away.
    pub stored: u64,
    /// Stored ones that were pushed later.
    pub delivered: u64,
}

/// Counts for one client.
#[derive(Debug, Default, Serialize)]
pub struct ClientCounts {
    /// Registrations, at any gateway.
    pub registrations: u64,
    /// Logins, at any gateway.
    pub logins: u64,
    /// Frames with Sphinx packets from the client.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Binary frames to the client.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Binary frames from the client by second since the network started, oldest first: second and count.
    pub frames_in_per_second: VecDeque<(u64, u32)>,
    /// When the first binary frame came, in microseconds since the network started.
    pub first_frame_us: Option<u64>,
    /// When the latest binary frame came, in microseconds since the network started.
    pub latest_frame_us: Option<u64>,
}

impl Summary {
    fn count(&mut self, node: NodeName, now: Instant, what: &What) {
        let counts = self.nodes.entry(node).or_default();
        match what {
            What::Arrived { len, .. } => {
                counts.arrived += 1;
                counts.arrived_acks += u64::from(*len == ACK_PACKET_LEN);
            }
            What::Entered { .. } => counts.entered += 1,
            What::Left { .. } => counts.left += 1,
            What::Doubled { .. } => counts.doubled += 1,
            What::Dropped { why, .. } => {
                counts.replays += u64::from(*why == DropReason::Replay);
                *counts.dropped.entry(*why).or_default() += 1;
            }
            What::Final { stored: true, .. } => counts.stored += 1,
            What::Final { stored: false, .. } => counts.pushed += 1,
            What::Delivered { .. } => counts.delivered += 1,
            What::Opened { .. } => counts.opened += 1,
            What::Closed { .. } => counts.closed += 1,
            What::Refused { .. } => counts.refused += 1,
            What::Registered { .. } => counts.registrations += 1,
            What::LoggedIn { .. } => counts.logins += 1,
            What::Frame { .. } | What::Control { .. } => {}
        }
        if let Some(client) = what.client() {
            self.count_client(client, now, what);
        }
    }

    fn count_client(&mut self, client: ClientName, now: Instant, what: &What) {
        if self.clients.len() >= CLIENT_COUNT_MAX && !self.clients.contains_key(&client) {
            return;
        }
        let counts = self.clients.entry(client).or_default();
        match what {
            What::Registered { .. } => counts.registrations += 1,
            What::LoggedIn { .. } => counts.logins += 1,
            What::Frame { way: Way::In, binary: true, len, .. } => {
                counts.frames_in += 1;
                counts.bytes_in += *len as u64;
                counts.first_frame_us.get_or_insert(now.as_micros());
                counts.latest_frame_us = Some(now.as_micros());
                counts.count_second(now.since(Instant::ZERO));
            }
            What::Frame { way: Way::Out, binary: true, len, .. } => {
                counts.frames_out += 1;
                counts.bytes_out += *len as u64;
            }
            _ => {}
        }
    }
}

impl ClientCounts {
    fn count_second(&mut self, now: Duration) {
        match self.frames_in_per_second.back_mut() {
            Some((second, count)) if *second == now.as_secs() => *count += 1,
            _ => {
                if self.frames_in_per_second.len() >= SECOND_COUNT_MAX {
                    self.frames_in_per_second.pop_front();
                }
                self.frames_in_per_second.push_back((now.as_secs(), 1));
            }
        }
    }
}

/// The length of an ack on its way.
const ACK_PACKET_LEN: usize = 386;

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeName = NodeName::Mix(3);

    fn arrived(number: u64) -> What {
        What::Arrived { packet: Fingerprint(number), len: 2413, rotation: 1 }
    }

    #[test]
    fn an_entry_reads_as_flat_json_with_hexadecimal_fingerprints() {
        let mut record = Record::default();
        record.push(NODE, Instant::from_micros(5), arrived(0xab));
        let text = serde_json::to_string(&record.page(0, 10, &Filter::default())).unwrap();
        assert_eq!(
            text,
            r#"{"next":1,"oldest":0,"more":false,"entries":[{"n":0,"t":5,"node":"mix-3","kind":"arrived","packet":"00000000000000ab","len":2413,"rotation":1}]}"#
        );
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_the_summary_counts_all() {
        let mut record = Record::default();
        for number in 0..ENTRY_COUNT_MAX as u64 + 5 {
            record.push(NODE, Instant::ZERO, arrived(number));
        }
        let page = record.page(0, 1, &Filter::default());
        assert_eq!((page.oldest, page.entries[0].n, page.more), (5, 5, true));
        assert_eq!(record.entries.len(), ENTRY_COUNT_MAX);
        assert_eq!(record.summary().nodes[&NODE].arrived, ENTRY_COUNT_MAX as u64 + 5);
    }

    #[test]
    fn pages_follow_each_other_without_gaps_and_filters_skip() {
        let mut record = Record::default();
        for number in 0..10 {
            record.push(NODE, Instant::ZERO, arrived(number));
            record.push(NODE, Instant::ZERO, What::Control { action: "x".into() });
        }
        let filter = Filter { kinds: vec!["arrived".into()], ..Filter::default() };
        let (mut since, mut seen) = (0, Vec::new());
        loop {
            let page = record.page(since, 3, &filter);
            since = page.next;
            seen.extend(page.entries.into_iter().map(|entry| entry.n));
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, (0..10).map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(since, 20);
        let nowhere = Filter { node: Some("mix-4".into()), ..Filter::default() };
        assert!(record.page(0, 100, &nowhere).entries.is_empty());
    }

    #[test]
    fn frames_are_counted_per_client_and_second() {
        let client = Some(ClientName([7; 32]));
        let frame = |way| What::Frame { connection: ConnectionId(1), client, way, binary: true, len: 10 };
        let mut record = Record::default();
        for (second, way) in [(1, Way::In), (1, Way::In), (1, Way::Out), (3, Way::In)] {
            record.push(NodeName::Gateway(0), Instant::ZERO + Duration::from_secs(second), frame(way));
        }
        let counts = &record.summary().clients[&ClientName([7; 32])];
        assert_eq!((counts.frames_in, counts.bytes_in, counts.frames_out), (3, 30, 1));
        assert_eq!(counts.frames_in_per_second, [(1, 2), (3, 1)]);
    }

    #[test]
    fn clearing_forgets_but_numbers_go_on() {
        let mut record = Record::default();
        record.push(NODE, Instant::ZERO, arrived(1));
        record.clear();
        record.push(NODE, Instant::ZERO, arrived(2));
        let page = record.page(0, 10, &Filter::default());
        assert_eq!((page.entries.len(), page.entries[0].n), (1, 1));
        assert_eq!(record.summary().nodes[&NODE].arrived, 1);
    }
}
