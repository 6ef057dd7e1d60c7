//! What the engine says: frames for the link, chores for the driver, news for the user.
//!
//! Three kinds, kept apart so that a driver never has to look into news it should only pass on.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::pages::Shelf;
use crate::message::{Address, SenderTag};
use crate::time::{Duration, Instant};

/// One link to a gateway, from opening to closing. A later link has a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// One fetch the driver was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub u64);

/// The caller's number for a message it sends; must be unique among those not yet finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId(pub u64);

/// Bytes for the link.
#[derive(Debug)]
pub struct Frame {
    /// The link to write to. A driver that has lost it drops the frame.
    pub link: LinkId,
    /// What to write.
    pub data: Outgoing,
}

/// One WebSocket message to write.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A sealed packet.
    Binary(Vec<u8>),
    /// A control message.
    Text(String),
}

impl Outgoing {
    /// Length in bytes, as seen on the line.
    pub fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One WebSocket message that arrived.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a> {
    /// A binary message.
    Binary(&'a [u8]),
    /// A text message.
    Text(&'a str),
}

impl Incoming<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }
}

/// The complete list of what the engine cannot do itself.
pub enum Request {
    /// Close the link; closing an unknown one is fine.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// GET this URL, with the limits of the topology room: 10 s, 8 MiB, no redirect to another origin. Answer with
    /// `handle_fetched`.
    Fetch {
        /// Goes back with the answer.
        id: FetchId,
        /// Absolute.
        url: String,
    },
    /// Delete a record from the store.
    Forget {
        /// Which.
        record: Record,
    },
    /// Open a WebSocket, no subprotocol. Answer with `handle_link_open` or `handle_link_closed`.
    OpenLink {
        /// Name of the new link.
        link: LinkId,
        /// `ws://` or `wss://`.
        url: String,
    },
    /// Write a record to the store, over the old one. Chores are done in order.
    Save {
        /// Which.
        record: Record,
        /// Its bytes; they may hold secrets.
        bytes: Zeroizing<Vec<u8>>,
    },
}

/// What the store keeps for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// The client's long-term keys.
    Identity,
    /// The gateway, the key shared with it, the last login time.
    Registration,
    /// Sums over all visits. The driver's own, where the user wants them.
    Tally,
    /// The topology last used. No secret, and nothing is lost with it but a fetch.
    Topology,
    /// A page of what whoever goes on with this identity needs. One that is lost costs what is in it.
    Page(Shelf, u32),
}

/// Why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The server answered with this status.
    Status(u16),
    /// Nothing within the time limit.
    TimedOut,
    /// More bytes than allowed.
    TooLarge,
    /// No connection, a name that does not resolve, a refusal by the browser, a redirect elsewhere.
    Unreachable,
}

/// The complete list of what a user can observe.
pub enum Event {
    /// `close` is done: the link is closed and nothing more will happen.
    Closed,
    /// Every fragment was acknowledged by the recipient's gateway.
    Delivered {
        /// Which message.
        id: MessageId,
        /// From the last fragment's leaving to its ack.
        round_trip: Duration,
        /// Fragments that went again.
        retransmissions: u32,
    },
    /// Connecting failed for good; the engine is idle and can be dropped.
    Failed {
        /// Why.
        code: Code,
        /// How far it had come.
        phase: Phase,
    },
    /// How far a message has come that is watched, or of which something went again. Told now and then.
    Fragments {
        /// Which message.
        id: MessageId,
        /// Fragments that have left at least once.
        sent: u32,
        /// Fragments acknowledged.
        acked: u32,
        /// Fragments in all.
        total: u32,
        /// Fragments that went again.
        retransmissions: u32,
    },
    /// A new client is to have a gateway, and [`Config::ask_for_gateway`](super::Config::ask_for_gateway) was set. Waits
    /// for [`Engine::choose_gateway`](super::Engine::choose_gateway).
    GatewayWanted,
    /// Another gateway is ours, and with it another address.
    Moved {
        /// Where others reach this client now. For a while it still gets what comes for the old address.
        address: Address,
    },
    /// Moving to another gateway has failed; everything is as it was.
    MoveFailed {
        /// Why.
        code: Code,
        /// How far it had come.
        phase: Phase,
    },
    /// Something was dropped for lack of room.
    Overflow {
        /// What was full.
        what: Overflow,
        /// How many were dropped.
        count: u32,
        /// How many bytes they held.
        bytes: u64,
    },
    /// Packets that left or came in, in order; only with [`Config::trace`](super::Config::trace). Told now and then.
    Packets {
        /// At most [`crate::limits::TRACE_BATCH_COUNT_MAX`]; the others are counted as dropped.
        packets: Vec<Packet>,
    },
    /// A message whose plan was asked for is cut. Nothing of it leaves until [`Engine::kept`](super::Engine::kept).
    Planned {
        /// Which message.
        id: MessageId,
        /// For [`Plan::parse`](super::Plan::parse) and [`Engine::resume`](super::Engine::resume), by this client or another.
        plan: Vec<u8>,
    },
    /// How far connecting has come.
    Progress {
        /// The phase that begins.
        phase: Phase,
        /// Of the whole way, 0 to 1.
        fraction: f32,
    },
    /// Connected for the first time.
    Ready {
        /// Where others reach this client.
        address: Address,
    },
    /// A whole message arrived.
    Received {
        /// The sender's bytes.
        body: Vec<u8>,
        /// The handle to answer with, where the sender gave SURBs.
        tag: Option<SenderTag>,
        /// It came over one of our own SURBs, which had been given to this address: so it is from there.
        over: Option<Address>,
    },
    /// The send queue has room again, after `send` had refused with [`SendError::QueueFull`].
    Room,
    /// Every fragment was written to the link at least once.
    Sent {
        /// Which message.
        id: MessageId,
    },
    /// The state changed.
    State {
        /// Now.
        state: State,
        /// Why, when it got worse.
        code: Option<Code>,
    },
    /// A peer can be answered now, or not any more; where it is listened for, also every other change of what is held.
    /// Told now and then. That a message came with SURBs is not told beside [`Event::Received`].
    Surbs {
        /// Whose.
        tag: SenderTag,
        /// How many are held.
        held: u32,
        /// Whether a reply would be accepted.
        can_answer: bool,
    },
    /// Another topology is in use.
    Topology,
    /// The message will not be tried any more. It may have arrived all the same: acks can be lost.
    Undelivered {
        /// Which message.
        id: MessageId,
        /// Why.
        code: Code,
        /// What the time was spent on.
        phase: Phase,
        /// Fragments acknowledged.
        acked: u32,
        /// Fragments in all; 0 when it was never split.
        total: u32,
        /// Fragments that went again.
        retransmissions: u32,
    },
}

/// What is told only when somebody listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// [`Event::Fragments`] of every message of which a fragment went again.
    pub retransmissions: bool,
    /// Every change of what is held of a peer's SURBs.
    pub surbs: bool,
}

/// One packet that crossed the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it carried.
    pub kind: PacketKind,
    /// It left.
    pub outgoing: bool,
    /// Bytes of its frame.
    pub size: u32,
    /// When.
    pub at: Instant,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketKind {
    /// An ack.
    Ack,
    /// Loop cover.
    Cover,
    /// A fragment that came in.
    Message,
    /// A fragment addressed to a client, for the first time.
    Real,
    /// A fragment over a SURB, for the first time.
    Reply,
    /// A fragment again.
    Retransmission,
    /// Something else that came in.
    Unknown,
}

impl PacketKind {
    /// The name users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Cover => "cover",
            Self::Message => "message",
            Self::Real => "real",
            Self::Reply => "reply",
            Self::Retransmission => "retransmission",
            Self::Unknown => "unknown",
        }
    }
}

/// What was full when something was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Reply blocks of strangers.
    Surbs,
    /// Half-received messages.
    Unfinished,
}

/// Where the client stands, as the user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Closed for good.
    Closed,
    /// On the way to the first link.
    Connecting,
    /// Linked, but nothing comes back.
    Degraded,
    /// Not begun.
    Idle,
    /// Linked, and traffic flows.
    Ready,
    /// The link was lost; the next one is on its way.
    Reconnecting,
}

impl State {
    /// The name users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Connecting => "connecting",
            Self::Degraded => "degraded",
            Self::Idle => "idle",
            Self::Ready => "ready",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// What time is being spent on, in progress reports and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Registration or login.
    Auth,
    /// Claiming bandwidth.
    Bandwidth,
    /// Opening the link.
    Gateway,
    /// Under way in the mixnet, waiting for acks.
    Network,
    /// Waiting for SURBs of the peer.
    Peer,
    /// Waiting for a slot.
    Queue,
    /// Reading or writing keys.
    Storage,
    /// Fetching the topology.
    Topology,
}

impl Phase {
    /// The name users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Bandwidth => "bandwidth",
            Self::Gateway => "gateway",
            Self::Network => "network",
            Self::Peer => "peer",
            Self::Queue => "queue",
            Self::Storage => "storage",
            Self::Topology => "topology",
        }
    }
}

/// Whom a message is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    /// A client by its address.
    Address(Address),
    /// A stranger who gave us SURBs.
    Tag(SenderTag),
}

/// How a message is sent.
#[derive(Clone, Copy, Debug)]
pub struct SendOptions {
    /// Given up after this much time with the link up; `None`: 15 minutes, and what the fragments need at the present
    /// pace.
    pub timeout: Option<Duration>,
    /// Never give up, whatever `timeout` says.
    pub no_deadline: bool,
    /// SURBs to attach.
    pub replies: Replies,
    /// Retransmit what is not acknowledged.
    pub reliable: bool,
    /// Which queue.
    pub priority: Priority,
    /// Tell what it is cut into, by [`Event::Planned`], before any of it leaves.
    pub planned: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            timeout: None,
            no_deadline: false,
            replies: Replies::Auto,
            reliable: true,
            priority: Priority::Normal,
            planned: false,
        }
    }
}

/// How many SURBs a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// As many as bring the peer's estimated stock to [`crate::limits::SURBS_FIRST`].
    Auto,
    /// Exactly so many; 0 makes a plain message that can be neither answered nor linked to others.
    Exactly(u32),
}

/// Which queue a message waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// After everything else, but never starved.
    Bulk,
    /// Before the others.
    High,
    /// Between.
    Normal,
}

/// A caller's mistake, or a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// `close` was called.
    #[error("the client is closed")]
    Closed,
    /// This message number is in use.
    #[error("the message number is in use")]
    DuplicateId,
    /// An empty body cannot be sent as a reply.
    #[error("a reply needs at least one byte")]
    EmptyReply,
    /// No SURB of this peer is left and none can be had, or too many replies wait for such.
    #[error("no reply block of this peer is left")]
    NoSurbs,
    /// Nothing is kept here over a reload.
    #[error("there is no store")]
    NoStore,
    /// The send queue is full; [`Event::Room`] tells when to try again.
    #[error("the send queue is full")]
    QueueFull,
    /// Larger than [`crate::limits::MESSAGE_LEN_MAX`].
    #[error("the message is too large")]
    TooLarge,
    /// More than [`crate::limits::SURBS_PER_MESSAGE_MAX`] SURBs.
    #[error("too many reply blocks asked for")]
    TooManyReplies,
}

impl SendError {
    /// The code users see.
    pub const fn code(self) -> Code {
        match self {
            Self::Closed => Code::Closed,
            Self::DuplicateId | Self::EmptyReply | Self::NoStore | Self::TooManyReplies => Code::ConfigInvalid,
            Self::NoSurbs => Code::NoSurbs,
            Self::QueueFull => Code::QueueFull,
            Self::TooLarge => Code::TooLarge,
        }
    }
}

/// Why moving to a gateway cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// It offers only plain links, and the page is a secure one.
    #[error("the gateway offers only plain links")]
    MixedContent,
    /// Another move is under way.
    #[error("another move is under way")]
    Moving,
    /// It is not in the topology, or offers no link.
    #[error("the gateway is not on offer")]
    NoGateway,
    /// There is no gateway to move from.
    #[error("the client is not connected")]
    NotConnected,
}

impl SwitchError {
    /// The code users see.
    pub const fn code(self) -> Code {
        match self {
            Self::MixedContent => Code::MixedContent,
            Self::Moving => Code::ConfigInvalid,
            Self::NoGateway => Code::NoGateway,
            Self::NotConnected => Code::NotConnected,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal),* $(,)?) => {
        /// The error codes of the public API. Only ever added to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// All of them, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name users see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

codes! {
    /// Text that is not an address, or an address no message can be sealed for.
    AddressInvalid => "address-invalid",
    /// The gateway refused registration or login.
    AuthRefused => "auth-refused",
    /// The gateway gives no bandwidth without payment.
    BandwidthExhausted => "bandwidth-exhausted",
    /// This machine's clock is too far off for the gateway.
    ClockSkew => "clock-skew",
    /// The client is closed.
    Closed => "closed",
    /// `close` came before the acks did.
    ClosedBeforeDelivery => "closed-before-delivery",
    /// An option that makes no sense.
    ConfigInvalid => "config-invalid",
    /// The directory answers, but not with a usable topology.
    DirectoryInvalid => "directory-invalid",
    /// No directory answers.
    DirectoryUnreachable => "directory-unreachable",
    /// Our gateway has left the topology.
    GatewayGone => "gateway-gone",
    /// The gateway closed the link or answered with what is not in the protocol.
    GatewayRefused => "gateway-refused",
    /// The gateway does not answer.
    GatewayTimeout => "gateway-timeout",
    /// The peer's handler failed.
    HandlerFailed => "handler-failed",
    /// The profile has another identity already.
    IdentityConflict => "identity-conflict",
    /// The stored keys cannot be read.
    IdentityCorrupt => "identity-corrupt",
    /// A file that is no exported identity.
    IdentityFileInvalid => "identity-file-invalid",
    /// The profile is in use in another tab.
    InUse => "in-use",
    /// A secure page may not open the plain links that are on offer.
    MixedContent => "mixed-content",
    /// No directory was named.
    NetworkRequired => "network-required",
    /// The last attempt was not acknowledged.
    NoAcks => "no-acks",
    /// No gateway is usable.
    NoGateway => "no-gateway",
    /// The peer has no handler for this service.
    NoHandler => "no-handler",
    /// The peer sends no receipts.
    NoReceiptSupport => "no-receipt-support",
    /// The recipient's gateway is not in the topology.
    NoRoute => "no-route",
    /// No SURB of the peer is left and none can be had.
    NoSurbs => "no-surbs",
    /// `connect` was not called.
    NotConnected => "not-connected",
    /// The peer does not know this kind of envelope.
    PeerUnsupported => "peer-unsupported",
    /// The gateway speaks no version that we speak.
    ProtocolVersion => "protocol-version",
    /// Too much is waiting already.
    QueueFull => "queue-full",
    /// The peer did not answer in time.
    ResponseTimeout => "response-timeout",
    /// Storage is blocked or missing.
    StorageBlocked => "storage-blocked",
    /// Storage is full.
    StorageQuota => "storage-quota",
    /// The store was written by a newer mixlet.
    StoredByNewerVersion => "stored-by-newer-version",
    /// A deadline has passed.
    Timeout => "timeout",
    /// The message is too large.
    TooLarge => "too-large",
    /// The browser lacks something mixlet needs.
    UnsupportedRuntime => "unsupported-runtime",
    /// The wasm did not load.
    WasmLoad => "wasm-load",
    /// The worker died.
    WorkerCrashed => "worker-crashed",
    /// The passphrase is wrong.
    WrongPassphrase => "wrong-passphrase",
}
