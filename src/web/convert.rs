//! Between the engine's types and the plain objects that cross to the page. Errors become objects here and nowhere
//! else. What the objects look like is written in `js/protocol.ts`.
//!
//! What leaves is written as JSON, which the browser makes an object of. Bodies do not pass through it: they are byte
//! arrays whose buffers move.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use js_sys::{Array, Function, JSON, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::convert_exchange::Call;
use crate::engine::{
    Code, Config, Event, Listening, MessageId, Overflow, Packet, Phase, Priority, Recipient, Reconnect, Replies,
    SendError, SendOptions, Stats, SwitchError, Traffic,
};
use crate::exchange::{Receipt, Sending};
use crate::json::{self, Value};
use crate::message::{Address, GatewayId, SenderTag};
use crate::time::{Duration, Instant};
use crate::topology::{GatewayNode, Topology};

/// The number of a request, chosen by the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestId(pub f64);

/// One message of the page.
pub enum Command {
    /// Drop a message.
    Cancel {
        /// To answer to.
        id: RequestId,
        /// Which message.
        message: MessageId,
    },
    /// Which gateway to register with.
    Choose {
        /// `None`: any.
        gateway: Option<GatewayId>,
    },
    /// Stop.
    Close {
        /// To answer to.
        id: RequestId,
        /// Wait for the acks of what was accepted.
        drain: bool,
        /// At most this long; `None`: as long as it takes.
        timeout: Option<Duration>,
    },
    /// Something between mixlet peers.
    Exchange {
        /// To answer to.
        id: RequestId,
        /// What.
        call: Call,
    },
    /// List the gateways of the topology.
    Gateways {
        /// To answer to.
        id: RequestId,
    },
    /// From now on this is told.
    Listen {
        /// What.
        listening: Listening,
    },
    /// The browser says that the network is back.
    Online,
    /// Start.
    Open {
        /// To answer to.
        id: RequestId,
        /// How.
        options: OpenOptions,
    },
    /// Queue a message.
    Send {
        /// To answer to.
        id: RequestId,
        /// What.
        outgoing: Outgoing,
    },
    /// Report the counters.
    Stats {
        /// To answer to.
        id: RequestId,
    },
    /// Give up a move to another gateway.
    Stay,
    /// Move to another gateway.
    Switch {
        /// To answer to.
        id: RequestId,
        /// Which.
        gateway: GatewayId,
    },
    /// Describe the topology.
    Topology {
        /// To answer to.
        id: RequestId,
    },
    /// Change the traffic.
    Traffic {
        /// To answer to.
        id: RequestId,
        /// To these settings.
        traffic: Traffic,
    },
    /// Tell how far a message comes, or do so no more.
    Watch {
        /// Which message.
        message: MessageId,
        /// Tell.
        watched: bool,
    },
}

/// A message on its way out.
pub struct Outgoing {
    /// Its number in later events.
    pub message: MessageId,
    /// Whom it is for.
    pub to: Recipient,
    /// The user's bytes.
    pub body: Vec<u8>,
    /// How it is sent.
    pub sending: Sending,
    /// It is told how far it comes.
    pub watched: bool,
}

/// What `open` says, checked.
pub struct OpenOptions {
    /// Name of the store.
    pub profile: String,
    /// Keep nothing over a reload.
    pub in_memory: bool,
    directories: Vec<String>,
    topology: Option<String>,
    gateway: Option<String>,
    ask_for_gateway: bool,
    trace: bool,
    traffic: Traffic,
    min_performance: Option<u8>,
    refresh: Option<Duration>,
    reconnect: Reconnect,
    secure_page: bool,
    ask_for_more: bool,
}

/// A failure on its way to the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub code: Code,
    /// What exactly, where more is known than the code says; else empty, and the page has a text for each code.
    pub text: String,
    /// What the time was spent on, where that is known.
    pub phase: Option<Phase>,
}

impl Command {
    /// Reads a message of the page. Its buffers are copied, so that the page may do with them what it likes.
    ///
    /// # Errors
    /// What to answer, and to which request where that could be read.
    pub fn from_js(message: &JsValue) -> Result<Self, (Option<RequestId>, Failure)> {
        let op = text(message, "op").map_err(|failure| (None, failure))?;
        if let Some(notice) = Self::notice(&op, message) {
            return notice.map_err(|failure| (None, failure));
        }
        let id = number(message, "id").map(RequestId).map_err(|failure| (None, failure))?;
        Self::request(&op, id, message).map_err(|failure| (Some(id), failure))
    }

    /// What has no answer; `None` where it has one.
    fn notice(op: &str, message: &JsValue) -> Option<Result<Self, Failure>> {
        let listen = || {
            let listening =
                Listening { retransmissions: flag(message, "retransmissions")?, surbs: flag(message, "surbs")? };
            Ok(Self::Listen { listening })
        };
        let watch = || Ok(Self::Watch { message: message_id(message)?, watched: flag(message, "watched")? });
        let choose = || Ok(Self::Choose { gateway: optional(message, "gatewayId", gateway_id)? });
        match op {
            "choose" => Some(choose()),
            "listen" => Some(listen()),
            "online" => Some(Ok(Self::Online)),
            "stay" => Some(Ok(Self::Stay)),
            "watch" => Some(watch()),
            _ => None,
        }
    }

    fn request(op: &str, id: RequestId, message: &JsValue) -> Result<Self, Failure> {
        Ok(match op {
            "cancel" => Self::Cancel { id, message: message_id(message)? },
            "close" => {
                let timeout = duration(message, "timeoutMs")?;
                let drain = field(message, "drain")?.is_truthy();
                Self::Close { id, drain, timeout: Some(timeout).filter(|timeout| !timeout.is_zero()) }
            }
            "gateways" => Self::Gateways { id },
            "open" => Self::Open { id, options: OpenOptions::from_js(&field(message, "options")?)? },
            "send" => Self::Send { id, outgoing: Outgoing::from_js(message)? },
            "stats" => Self::Stats { id },
            "switch" => Self::Switch { id, gateway: gateway_id(message, "gatewayId")? },
            "topology" => Self::Topology { id },
            "traffic" => Self::Traffic { id, traffic: traffic(&field(message, "traffic")?)? },
            _ => match Call::from_js(op, message)? {
                Some(call) => Self::Exchange { id, call },
                None => return Err(invalid(format!("there is no request `{op}`"))),
            },
        })
    }

    /// The request to answer, if it wants an answer.
    pub fn id(&self) -> Option<RequestId> {
        match self {
            Self::Choose { .. } | Self::Listen { .. } | Self::Online | Self::Stay | Self::Watch { .. } => None,
            Self::Cancel { id, .. }
            | Self::Close { id, .. }
            | Self::Exchange { id, .. }
            | Self::Gateways { id }
            | Self::Open { id, .. }
            | Self::Send { id, .. }
            | Self::Stats { id }
            | Self::Switch { id, .. }
            | Self::Topology { id }
            | Self::Traffic { id, .. } => Some(*id),
        }
    }
}

impl Outgoing {
    fn from_js(message: &JsValue) -> Result<Self, Failure> {
        let options = strict(field(message, "options")?, SEND_FIELDS)?;
        let receipt = match optional(&options, "receipt", flag)? {
            None => Receipt::Auto,
            Some(false) => Receipt::No,
            Some(true) => Receipt::Yes,
        };
        Ok(Self {
            message: message_id(message)?,
            to: recipient(&text(message, "to")?)?,
            body: bytes(message, "body")?,
            sending: Sending { options: send_options(&options)?, receipt },
            watched: flag(&options, "watched")?,
        })
    }
}

pub(super) fn send_options(options: &JsValue) -> Result<SendOptions, Failure> {
    let timeout = optional(options, "timeoutMs", duration)?;
    let replies = match field(options, "replies")?.as_string() {
        Some(word) if word == "auto" => Replies::Auto,
        Some(_) => return Err(invalid("replies must be a number or 'auto'".to_owned())),
        None => Replies::Exactly(whole(options, "replies")?),
    };
    let priority = match whole(options, "priority")? {
        0_u8 => Priority::High,
        1 => Priority::Normal,
        2 => Priority::Bulk,
        _ => return Err(invalid("priority must be 0, 1 or 2".to_owned())),
    };
    Ok(SendOptions {
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        no_deadline: timeout.is_some_and(|timeout| timeout.is_zero()),
        replies,
        reliable: flag(options, "reliable")?,
        priority,
    })
}

impl OpenOptions {
    /// # Errors
    /// An unknown name, a value of the wrong type or out of range.
    pub fn from_js(options: &JsValue) -> Result<Self, Failure> {
        let options = &strict(options.clone(), OPEN_FIELDS)?;
        let reconnect = &strict(field(options, "reconnect")?, RECONNECT_FIELDS)?;
        let in_memory = match text(options, "storage")?.as_str() {
            "indexeddb" => false,
            "memory" => true,
            _ => return Err(invalid("storage must be 'indexeddb' or 'memory'".to_owned())),
        };
        Ok(Self {
            profile: text(options, "profile")?,
            in_memory,
            directories: texts(options, "directories")?,
            topology: optional(options, "topology", text)?,
            gateway: optional(options, "gatewayId", text)?,
            ask_for_gateway: match text(options, "gatewaySelect")?.as_str() {
                "random" => false,
                "ask" | "fastest" => true,
                _ => return Err(invalid("gatewaySelect must be 'random', 'fastest' or 'ask'".to_owned())),
            },
            trace: flag(options, "trace")?,
            traffic: traffic(options)?,
            min_performance: optional(options, "minPerformance", whole)?,
            refresh: optional(options, "refreshMs", duration)?,
            reconnect: Reconnect {
                min: duration(reconnect, "minMs")?,
                max: duration(reconnect, "maxMs")?,
                max_attempts: optional(reconnect, "maxAttempts", whole)?,
            },
            secure_page: flag(options, "securePage")?,
            ask_for_more: flag(options, "askForMore")?,
        })
    }

    /// Whether the page may open `wss:` links only.
    pub fn secure_page(&self) -> bool {
        self.secure_page
    }

    /// The engine's settings.
    ///
    /// # Errors
    /// What is out of range.
    pub fn config(&self, unix_zero: Duration) -> Result<Config, Failure> {
        let mut config = match &self.topology {
            Some(topology) => Config::with_topology(topology.clone(), unix_zero),
            None => Config::new(self.directories.clone(), unix_zero).map_err(|error| invalid(error.to_string()))?,
        };
        config.directories.clone_from(&self.directories);
        config.gateway = match &self.gateway {
            Some(id) => Some(parsed_gateway_id(id)?),
            None => None,
        };
        config.ask_for_gateway = self.ask_for_gateway;
        config.trace = self.trace;
        config.traffic = self.traffic;
        if let Some(refresh) = self.refresh {
            config.refresh = refresh;
        }
        if let Some(performance) = self.min_performance {
            config.minimum_performance = performance;
        }
        config.reconnect = self.reconnect;
        config.secure_page = self.secure_page;
        config.ask_for_more = self.ask_for_more;
        config.checked().map_err(|error| invalid(error.to_string()))
    }
}

impl Failure {
    /// A failure of which the code says everything.
    pub fn new(code: Code) -> Self {
        Self { code, text: String::new(), phase: None }
    }

    /// The same in this phase.
    pub fn during(self, phase: Phase) -> Self {
        Self { phase: Some(phase), ..self }
    }

    /// As the page takes it.
    pub fn to_js(&self) -> JsValue {
        to_js(&self.to_json())
    }

    pub(super) fn to_json(&self) -> String {
        let mut fields = Vec::from([("code", Value::Text(self.code.as_str())), ("message", Value::Text(&self.text))]);
        if let Some(phase) = self.phase {
            fields.push(("phase", Value::Text(phase.as_str())));
        }
        fields.push(("retriable", Value::Boolean(is_retriable(self.code))));
        json::object(&fields)
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error.code() {
            Code::ConfigInvalid => invalid(error.to_string()),
            code => Self::new(code),
        }
    }
}

impl From<SwitchError> for Failure {
    fn from(error: SwitchError) -> Self {
        match error.code() {
            Code::ConfigInvalid => invalid("another switchGateway() is under way. Await it first.".to_owned()),
            code => Self::new(code),
        }
    }
}

/// Where answers and events go: the function that JavaScript gave us.
pub struct Post(Function);

impl Post {
    /// Posts through this function of a message and a list of buffers.
    pub fn new(function: Function) -> Self {
        Self(function)
    }

    /// Answers a request.
    pub fn answer(&self, id: RequestId, answer: Result<JsValue, Failure>) {
        let message = Object::new();
        set(&message, "id", &JsValue::from_f64(id.0));
        match answer {
            Ok(ok) => set(&message, "ok", &ok),
            Err(failure) => set(&message, "error", &failure.to_js()),
        }
        self.post(&message, &Array::new());
    }

    /// Reports that a request is done.
    pub fn done(&self, id: RequestId) {
        self.answer(id, Ok(Object::new().into()));
    }

    /// Reports a failure that belongs to no request.
    pub fn failure(&self, failure: &Failure) {
        self.plain("error", &[("error", Value::Json(&failure.to_json()))]);
    }

    /// Reports how far connecting has come.
    pub fn progress(&self, phase: Phase, fraction: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        let thousandths = (fraction.clamp(0.0, 1.0) * 1000.0 + 0.5) as u64;
        let fields = [("phase", Value::Text(phase.as_str())), ("fraction", Value::Thousandths(thousandths))];
        self.plain("progress", &fields);
    }

    /// Passes news of the engine on. `can_reply` says whether a tag can be answered.
    pub fn event(&self, event: Event, can_reply: impl Fn(&SenderTag) -> bool) {
        let message = |id: MessageId| ("message", Value::Unsigned(id.0));
        let count = |name: &'static str, count: u32| (name, Value::Unsigned(count.into()));
        match event {
            // What the driver answers, or knows more of.
            Event::Closed
            | Event::Moved { .. }
            | Event::MoveFailed { .. }
            | Event::Failed { .. }
            | Event::GatewayWanted
            | Event::Ready { .. }
            | Event::Topology => {}
            Event::Delivered { id, round_trip, retransmissions } => self.plain(
                "delivered",
                &[message(id), ("roundTripMs", millis(round_trip)), count("retransmissions", retransmissions)],
            ),
            Event::Fragments { id, sent, acked, total, retransmissions } => {
                let fields = [
                    message(id),
                    count("sent", sent),
                    count("acked", acked),
                    count("total", total),
                    count("retransmissions", retransmissions),
                ];
                self.plain("fragments", &fields);
            }
            Event::Overflow { what, count: messages, bytes } => {
                let reason = match what {
                    Overflow::Surbs => "surbs",
                    Overflow::Unfinished => "unfinished",
                };
                let fields =
                    [("reason", Value::Text(reason)), count("messages", messages), ("bytes", Value::Unsigned(bytes))];
                self.plain("overflow", &fields);
            }
            // The driver knows what time it was.
            Event::Packets { .. } => {}
            Event::Progress { phase, fraction } => self.progress(phase, fraction),
            Event::Received { body, tag, over } => {
                let from = tag.map(Recipient::Tag).or(over.map(Recipient::Address));
                self.received(&body, from.as_ref(), "plain", can_reply);
            }
            Event::Room => self.plain("room", &[]),
            Event::Sent { id } => self.plain("sent", &[message(id)]),
            Event::State { state, code } => {
                let state = ("state", Value::Text(state.as_str()));
                match code.map(|code| Failure::new(code).to_json()) {
                    Some(error) => self.plain("state", &[state, ("error", Value::Json(&error))]),
                    None => self.plain("state", &[state]),
                }
            }
            Event::Surbs { tag, held, can_answer } => {
                let tag = tag.to_string();
                let fields =
                    [("tag", Value::Text(&tag)), count("held", held), ("canReply", Value::Boolean(can_answer))];
                self.plain("surbs", &fields);
            }
            Event::Undelivered { id, code, phase, acked, total, retransmissions } => {
                let error = Failure::new(code).during(phase).to_json();
                let fields = [
                    message(id),
                    ("error", Value::Json(&error)),
                    count("acked", acked),
                    count("total", total),
                    count("retransmissions", retransmissions),
                ];
                self.plain("undelivered", &fields);
            }
        }
    }

    /// Asks which gateway to register with.
    pub fn gateway_wanted(&self, topology: &Topology, secure_page: bool) {
        self.plain("choose-gateway", &[("gateways", Value::Json(&gateways_json(topology, secure_page)))]);
    }

    /// Tells that another gateway is ours.
    pub fn moved(&self, address: &Address, gateway: Option<(&GatewayNode, &str)>) {
        let address = address.to_string();
        let gateway = gateway.map_or_else(|| "null".to_owned(), |(node, url)| used(node, url));
        self.plain("moved", &[("address", Value::Text(&address)), ("gateway", Value::Json(&gateway))]);
    }

    /// Tells which topology is in use.
    pub fn topology(&self, topology: &Topology, age: Option<Duration>) {
        self.plain("topology", &[("topology", Value::Json(&topology_json(topology, age)))]);
    }

    /// Tells of packets; `unix_zero` is Unix time at the zero of their times.
    pub fn packets(&self, packets: &[Packet], unix_zero: Duration) {
        let packets: Vec<_> = packets
            .iter()
            .map(|packet| {
                json::object(&[
                    ("kind", Value::Text(packet.kind.as_str())),
                    ("direction", Value::Text(if packet.outgoing { "out" } else { "in" })),
                    ("size", Value::Unsigned(packet.size.into())),
                    ("at", millis(unix_zero + packet.at.since(Instant::ZERO))),
                ])
            })
            .collect();
        self.plain("packets", &[("packets", Value::Json(&format!("[{}]", packets.join(","))))]);
    }

    pub(super) fn received(
        &self,
        body: &[u8],
        from: Option<&Recipient>,
        via: &str,
        can_reply: impl Fn(&SenderTag) -> bool,
    ) {
        let message = Object::new();
        set(&message, "event", &JsValue::from_str("received"));
        set(&message, "via", &JsValue::from_str(via));
        set_from(&message, from);
        let can_reply = match from {
            Some(Recipient::Address(_)) => true,
            Some(Recipient::Tag(tag)) => can_reply(tag),
            None => false,
        };
        set(&message, "canReply", &JsValue::from_bool(can_reply));
        self.with_bytes(&message, "body", body);
    }

    /// An event whose buffer moves.
    pub(super) fn with_bytes(&self, message: &Object, name: &str, bytes: &[u8]) {
        let bytes = Uint8Array::from(bytes);
        set(message, name, &bytes);
        self.post(message, &Array::of1(&bytes.buffer()));
    }

    /// An event without buffers.
    pub(super) fn plain(&self, event: &str, fields: &[(&str, Value<'_>)]) {
        let mut all = Vec::from([("event", Value::Text(event))]);
        all.extend_from_slice(fields);
        self.post(&to_js(&json::object(&all)), &Array::new());
    }

    /// What the function throws is its own business: there is nobody here to tell.
    pub(super) fn post(&self, message: &JsValue, transfer: &JsValue) {
        let _ = self.0.call2(&JsValue::UNDEFINED, message, transfer);
    }
}

/// The answer to `open`.
pub fn opened(address: &Address, gateway: Option<(&GatewayNode, &str)>) -> JsValue {
    let answer = Object::new();
    set(&answer, "address", &JsValue::from_str(&address.to_string()));
    if let Some((node, url)) = gateway {
        set(&answer, "gateway", &to_js(&used(node, url)));
    }
    answer.into()
}

/// The answer to `gateways`.
pub fn gateways(topology: &Topology, secure_page: bool) -> JsValue {
    to_js(&gateways_json(topology, secure_page))
}

fn gateways_json(topology: &Topology, secure_page: bool) -> String {
    let nodes: Vec<_> = topology.gateways().map(|node| offered(node, secure_page)).collect();
    format!("[{}]", nodes.join(","))
}

/// The answer to `topology`.
pub fn topology(topology: &Topology, age: Option<Duration>) -> JsValue {
    to_js(&topology_json(topology, age))
}

fn topology_json(topology: &Topology, age: Option<Duration>) -> String {
    let [first, second, third] = topology.layer_counts();
    json::object(&[
        ("epoch", Value::Unsigned(topology.epoch().into())),
        ("rotation", Value::Unsigned(topology.rotation_id().into())),
        ("layers", Value::Json(&format!("[{first},{second},{third}]"))),
        ("gateways", Value::Unsigned(topology.gateways().count() as u64)),
        ("ageMs", millis(age.unwrap_or_default())),
    ])
}

/// The answer to `send`.
pub fn sent(receipt: bool) -> JsValue {
    to_js(&json::object(&[("receipt", Value::Boolean(receipt))]))
}

/// The answer to a write.
pub fn room(room: bool) -> JsValue {
    to_js(&json::object(&[("room", Value::Boolean(room))]))
}

/// The answer that something is done.
pub fn nothing() -> JsValue {
    Object::new().into()
}

/// The answer to `stats`. `dropped` is what led to nothing between mixlet peers.
pub fn stats(stats: &Stats, dropped: &[(&str, u64)]) -> JsValue {
    let numbers = |entries: &[(&str, u64)]| {
        let fields: Vec<_> = entries.iter().map(|(name, number)| (*name, Value::Unsigned(*number))).collect();
        json::object(&fields)
    };
    let (sent, received) = (&stats.sent, &stats.received);
    let round_trip = stats
        .round_trip
        .map_or_else(|| "null".to_owned(), |(p50, p95)| json::object(&[("p50", millis(p50)), ("p95", millis(p95))]));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of bytes")]
    let wasm_bytes = super::client::wasm_bytes() as u64;
    to_js(&json::object(&[
        (
            "out",
            Value::Json(&numbers(&[
                ("real", sent.real),
                ("reply", sent.reply),
                ("retransmission", sent.retransmission),
                ("cover", sent.cover),
            ])),
        ),
        (
            "in",
            Value::Json(&numbers(&[
                ("message", received.message),
                ("ack", received.ack),
                ("cover", received.cover),
                ("unknown", received.unknown),
            ])),
        ),
        ("bytesIn", Value::Unsigned(stats.bytes_in)),
        ("bytesOut", Value::Unsigned(stats.bytes_out)),
        ("queuedBytes", Value::Unsigned(stats.queued_bytes)),
        ("inFlight", Value::Unsigned(stats.in_flight)),
        ("undelivered", Value::Unsigned(stats.undelivered)),
        ("dropped", Value::Json(&numbers(&[&stats.dropped.entries()[..], dropped].concat()))),
        ("roundTripMs", Value::Json(&round_trip)),
        ("reconnects", Value::Unsigned(stats.reconnects)),
        ("surbsHeld", Value::Unsigned(stats.surbs_held)),
        ("topologyAgeMs", millis(stats.topology_age.unwrap_or_default())),
        ("wasmBytes", Value::Unsigned(wasm_bytes)),
    ]))
}

/// A gateway that is in use.
fn used(node: &GatewayNode, url: &str) -> String {
    gateway(node, url, None)
}

/// A gateway as one to choose.
fn offered(node: &GatewayNode, secure_page: bool) -> String {
    if let Some(url) = node.url(secure_page) {
        return used(node, &url);
    }
    match node.url(false) {
        Some(url) => gateway(node, &url, Some("it offers only plain links, which a secure page may not open")),
        None => gateway(node, "", Some("it offers no link that a browser can open")),
    }
}

/// `why`: why it cannot be used.
fn gateway(node: &GatewayNode, url: &str, why: Option<&str>) -> String {
    let id = node.id.to_string();
    let mut fields = Vec::from([
        ("id", Value::Text(&id)),
        ("url", Value::Text(url)),
        ("host", Value::Text(host(url))),
        ("secure", Value::Boolean(url.starts_with("wss:"))),
        ("performance", Value::Unsigned(node.performance.into())),
        ("usable", Value::Boolean(why.is_none())),
    ]);
    if let Some(why) = why {
        fields.push(("why", Value::Text(why)));
    }
    json::object(&fields)
}

/// Whether trying the same again later can help. The page has the same table, with the texts.
pub const fn is_retriable(code: Code) -> bool {
    match code {
        Code::ClockSkew
        | Code::ClosedBeforeDelivery
        | Code::DirectoryInvalid
        | Code::DirectoryUnreachable
        | Code::GatewayRefused
        | Code::GatewayTimeout
        | Code::InUse
        | Code::NoAcks
        | Code::NoGateway
        | Code::NoRoute
        | Code::NotConnected
        | Code::QueueFull
        | Code::ResponseTimeout
        | Code::StorageQuota
        | Code::Timeout
        | Code::WorkerCrashed => true,
        Code::AddressInvalid
        | Code::AuthRefused
        | Code::BandwidthExhausted
        | Code::Closed
        | Code::ConfigInvalid
        | Code::GatewayGone
        | Code::HandlerFailed
        | Code::IdentityCorrupt
        | Code::MixedContent
        | Code::NetworkRequired
        | Code::NoHandler
        | Code::NoReceiptSupport
        | Code::NoSurbs
        | Code::PeerUnsupported
        | Code::ProtocolVersion
        | Code::StorageBlocked
        | Code::StoredByNewerVersion
        | Code::TooLarge
        | Code::UnsupportedRuntime
        | Code::WasmLoad
        | Code::WrongPassphrase => false,
    }
}

/// An object with these fields and no other.
pub(super) fn strict(value: JsValue, fields: &[&str]) -> Result<JsValue, Failure> {
    let object: &Object = value.dyn_ref().ok_or_else(|| invalid("options must be an object".to_owned()))?;
    for key in Object::keys(object).iter() {
        let key = key.as_string().unwrap_or_default();
        if !fields.contains(&key.as_str()) {
            return Err(invalid(format!("there is no option `{key}`")));
        }
    }
    Ok(value)
}

/// The traffic settings among the fields of an object; the engine checks their ranges.
fn traffic(object: &JsValue) -> Result<Traffic, Failure> {
    Ok(Traffic {
        slot: duration(object, "slotMs")?,
        loop_cover: duration(object, "loopMs")?,
        hop_delay: duration(object, "hopDelayMs")?,
        ack_delay: duration(object, "ackDelayMs")?,
        danger_no_pacing: flag(object, "dangerNoPacing")?,
    })
}

/// A reply tag or an address. Only addresses have dots.
pub(super) fn recipient(text: &str) -> Result<Recipient, Failure> {
    let bad = Failure::new(Code::AddressInvalid);
    match text.contains('.') {
        true => Address::parse(text).map(Recipient::Address).map_err(|_| bad),
        false => SenderTag::parse(text).map(Recipient::Tag).map_err(|_| bad),
    }
}

pub(super) fn field(object: &JsValue, name: &str) -> Result<JsValue, Failure> {
    Reflect::get(object, &JsValue::from_str(name)).map_err(|_| invalid("a request must be an object".to_owned()))
}

pub(super) fn text(object: &JsValue, name: &str) -> Result<String, Failure> {
    field(object, name)?.as_string().ok_or_else(|| invalid(format!("{name} must be a string")))
}

pub(super) fn number(object: &JsValue, name: &str) -> Result<f64, Failure> {
    field(object, name)?.as_f64().ok_or_else(|| invalid(format!("{name} must be a number")))
}

pub(super) fn flag(object: &JsValue, name: &str) -> Result<bool, Failure> {
    field(object, name)?.as_bool().ok_or_else(|| invalid(format!("{name} must be true or false")))
}

/// A copy of a byte array.
pub(super) fn bytes(object: &JsValue, name: &str) -> Result<Vec<u8>, Failure> {
    let bytes: Uint8Array =
        field(object, name)?.dyn_into().map_err(|_| invalid(format!("{name} must be a Uint8Array")))?;
    Ok(bytes.to_vec())
}

fn texts(object: &JsValue, name: &str) -> Result<Vec<String>, Failure> {
    let wrong = || invalid(format!("{name} must be an array of strings"));
    let array: Array = field(object, name)?.dyn_into().map_err(|_| wrong())?;
    array.iter().map(|text| text.as_string().ok_or_else(wrong)).collect()
}

/// What a field holds, if it is there and not `null`.
pub(super) fn optional<T>(
    object: &JsValue,
    name: &str,
    read: fn(&JsValue, &str) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let field = field(object, name)?;
    if field.is_undefined() || field.is_null() { Ok(None) } else { read(object, name).map(Some) }
}

fn gateway_id(object: &JsValue, name: &str) -> Result<GatewayId, Failure> {
    parsed_gateway_id(&text(object, name)?)
}

fn parsed_gateway_id(id: &str) -> Result<GatewayId, Failure> {
    GatewayId::parse(id).map_err(|_| invalid(GATEWAY_ID_ADVICE.to_owned()))
}

pub(super) fn message_id(message: &JsValue) -> Result<MessageId, Failure> {
    whole::<u64>(message, "message").map(MessageId)
}

/// A whole number that fits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and small enough")]
pub(super) fn whole<T: TryFrom<u64>>(object: &JsValue, name: &str) -> Result<T, Failure> {
    let number = number(object, name)?;
    let exact = (0.0..=WHOLE_MAX).contains(&number) && number == number.trunc();
    exact
        .then_some(number as u64)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| invalid(format!("{name} must be a whole number in range")))
}

/// Milliseconds, to the nearest microsecond.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be small enough")]
pub(super) fn duration(object: &JsValue, name: &str) -> Result<Duration, Failure> {
    let micros = number(object, name)? * 1000.0;
    if (0.0..=WHOLE_MAX).contains(&micros) {
        Ok(Duration::from_micros((micros + 0.5) as u64))
    } else {
        Err(invalid(format!("{name} must be a number of milliseconds, zero or more")))
    }
}

pub(super) fn millis(duration: Duration) -> Value<'static> {
    Value::Thousandths(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Host and port of a URL that the topology room made.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// A mistake in what the page asked for.
pub fn invalid(text: String) -> Failure {
    Failure { text, ..Failure::new(Code::ConfigInvalid) }
}

const GATEWAY_ID_ADVICE: &str =
    "this is not the identity of a gateway. Copy the whole of it, or leave gateway.id out for a random one.";

/// What the browser makes of JSON that we wrote.
pub(super) fn to_js(json: &str) -> JsValue {
    JSON::parse(json).unwrap_or(JsValue::UNDEFINED)
}

/// Who somebody is: under `tag` or under `address`, the other `null`.
pub(super) fn set_from(object: &Object, from: Option<&Recipient>) {
    let (tag, address) = match from {
        Some(Recipient::Tag(tag)) => (JsValue::from_str(&tag.to_string()), JsValue::NULL),
        Some(Recipient::Address(address)) => (JsValue::NULL, JsValue::from_str(&address.to_string())),
        None => (JsValue::NULL, JsValue::NULL),
    };
    set(object, "tag", &tag);
    set(object, "address", &address);
}

pub(super) fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}

const OPEN_FIELDS: &[&str] = &[
    "directories",
    "topology",
    "profile",
    "storage",
    "gatewayId",
    "gatewaySelect",
    "trace",
    "slotMs",
    "loopMs",
    "hopDelayMs",
    "ackDelayMs",
    "dangerNoPacing",
    "minPerformance",
    "refreshMs",
    "reconnect",
    "securePage",
    "askForMore",
];
const RECONNECT_FIELDS: &[&str] = &["minMs", "maxMs", "maxAttempts"];
const SEND_FIELDS: &[&str] = &["timeoutMs", "replies", "reliable", "priority", "watched", "receipt"];
/// The greatest whole number that a JavaScript number holds exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;
