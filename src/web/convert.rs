//! Between the engine's types and the plain objects that cross to the page. Errors become objects here and nowhere
//! else. What the objects look like is written in `js/protocol.ts`.
//!
//! Bodies are byte arrays whose buffers move; they never pass through serde.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};

use crate::engine::{
    Code, Config, Event, MessageId, Overflow, Phase, Priority, Recipient, Reconnect, Replies, SendError, SendOptions,
    Stats, Traffic,
};
use crate::message::{Address, GatewayId, SenderTag};
use crate::time::Duration;
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
    /// Stop.
    Close {
        /// To answer to.
        id: RequestId,
        /// Wait for the acks of what was accepted.
        drain: bool,
        /// At most this long; `None`: as long as it takes.
        timeout: Option<Duration>,
    },
    /// List the gateways of the topology.
    Gateways {
        /// To answer to.
        id: RequestId,
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
    pub options: SendOptions,
}

/// What `open` says, checked.
pub struct OpenOptions {
    /// Name of the store.
    pub profile: String,
    /// Keep nothing over a reload.
    pub in_memory: bool,
    traffic: Traffic,
    wire: WireOptions,
    reconnect: Reconnect,
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
        if op == "online" {
            return Ok(Self::Online);
        }
        let id = number(message, "id").map(RequestId).map_err(|failure| (None, failure))?;
        Self::request(&op, id, message).map_err(|failure| (Some(id), failure))
    }

    fn request(op: &str, id: RequestId, message: &JsValue) -> Result<Self, Failure> {
        Ok(match op {
            "cancel" => Self::Cancel { id, message: message_id(message)? },
            "close" => {
                let timeout = duration(number(message, "timeoutMs")?, "timeoutMs")?;
                let drain = field(message, "drain")?.is_truthy();
                Self::Close { id, drain, timeout: Some(timeout).filter(|timeout| !timeout.is_zero()) }
            }
            "gateways" => Self::Gateways { id },
            "open" => Self::Open { id, options: OpenOptions::from_js(&field(message, "options")?)? },
            "send" => Self::Send { id, outgoing: Outgoing::from_js(message)? },
            "stats" => Self::Stats { id },
            "topology" => Self::Topology { id },
            "traffic" => Self::Traffic { id, traffic: traffic(&field(message, "traffic")?)? },
            _ => return Err(invalid(format!("there is no request `{op}`"))),
        })
    }

    /// The request to answer, if it wants an answer.
    pub fn id(&self) -> Option<RequestId> {
        match self {
            Self::Online => None,
            Self::Cancel { id, .. }
            | Self::Close { id, .. }
            | Self::Gateways { id }
            | Self::Open { id, .. }
            | Self::Send { id, .. }
            | Self::Stats { id }
            | Self::Topology { id }
            | Self::Traffic { id, .. } => Some(*id),
        }
    }
}

impl Outgoing {
    fn from_js(message: &JsValue) -> Result<Self, Failure> {
        let options: WireSend = strict(field(message, "options")?, SEND_FIELDS)?;
        let body: Uint8Array =
            field(message, "body")?.dyn_into().map_err(|_| invalid("body must be a Uint8Array".to_owned()))?;
        Ok(Self {
            message: message_id(message)?,
            to: recipient(&text(message, "to")?)?,
            body: body.to_vec(),
            options: options.checked()?,
        })
    }
}

impl OpenOptions {
    /// # Errors
    /// An unknown name, a value of the wrong type or out of range.
    pub fn from_js(options: &JsValue) -> Result<Self, Failure> {
        let wire: WireOptions = strict(options.clone(), OPEN_FIELDS)?;
        let reconnect: WireReconnect = strict(wire.reconnect.clone(), RECONNECT_FIELDS)?;
        let reconnect = Reconnect {
            min: duration(reconnect.min_ms, "reconnect.minMs")?,
            max: duration(reconnect.max_ms, "reconnect.maxMs")?,
            max_attempts: reconnect.max_attempts,
        };
        let in_memory = match wire.storage.as_str() {
            "indexeddb" => false,
            "memory" => true,
            _ => return Err(invalid("storage must be 'indexeddb' or 'memory'".to_owned())),
        };
        Ok(Self { profile: wire.profile.clone(), in_memory, traffic: traffic(options)?, wire, reconnect })
    }

    /// Whether the page may open `wss:` links only.
    pub fn secure_page(&self) -> bool {
        self.wire.secure_page
    }

    /// The engine's settings.
    ///
    /// # Errors
    /// What is out of range.
    pub fn config(&self, unix_zero: Duration) -> Result<Config, Failure> {
        let wire = &self.wire;
        let mut config = match &wire.topology {
            Some(topology) => Config::with_topology(topology.clone(), unix_zero),
            None => Config::new(wire.directories.clone(), unix_zero).map_err(|error| invalid(error.to_string()))?,
        };
        config.directories.clone_from(&wire.directories);
        config.gateway = match &wire.gateway_id {
            Some(id) => Some(GatewayId::parse(id).map_err(|_| invalid(GATEWAY_ID_ADVICE.to_owned()))?),
            None => None,
        };
        config.traffic = self.traffic;
        if let Some(refresh) = wire.refresh_ms {
            config.refresh = duration(refresh, "refreshMs")?;
        }
        if let Some(performance) = wire.min_performance {
            config.minimum_performance = performance;
        }
        config.reconnect = self.reconnect;
        config.secure_page = wire.secure_page;
        config.ask_for_more = wire.ask_for_more;
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
        to_js(&WireError::from(self))
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
        self.plain(&WireEvent::Error { error: failure.into() });
    }

    /// Reports how far connecting has come.
    pub fn progress(&self, phase: Phase, fraction: f32) {
        self.plain(&WireEvent::Progress { phase: phase.as_str(), fraction: f64::from(fraction) });
    }

    /// Passes news of the engine on. `can_reply` says whether SURBs are held for a tag.
    pub fn event(&self, event: Event, can_reply: impl Fn(&SenderTag) -> bool) {
        let number = |id: MessageId| id.0;
        match event {
            // Answers to requests, which the driver gives.
            Event::Closed | Event::Failed { .. } | Event::Ready { .. } => {}
            Event::Delivered { id, round_trip, retransmissions } => self.plain(&WireEvent::Delivered {
                message: number(id),
                round_trip_ms: millis(round_trip),
                retransmissions,
            }),
            Event::Overflow { what, count, bytes } => {
                let reason = match what {
                    Overflow::Surbs => "surbs",
                    Overflow::Unfinished => "unfinished",
                };
                self.plain(&WireEvent::Overflow { reason, messages: count, bytes });
            }
            Event::Progress { phase, fraction } => self.progress(phase, fraction),
            Event::Received { body, tag } => self.received(&body, tag.as_ref(), can_reply),
            Event::Room => self.plain(&WireEvent::Room),
            Event::Sent { id } => self.plain(&WireEvent::Sent { message: number(id) }),
            Event::State { state, code } => {
                let error = code.map(|code| WireError::from(&Failure::new(code)));
                self.plain(&WireEvent::State { state: state.as_str(), error });
            }
            Event::Undelivered { id, code, phase, acked, total, retransmissions } => {
                let error = (&Failure::new(code).during(phase)).into();
                self.plain(&WireEvent::Undelivered { message: number(id), error, acked, total, retransmissions });
            }
        }
    }

    fn received(&self, body: &[u8], tag: Option<&SenderTag>, can_reply: impl Fn(&SenderTag) -> bool) {
        let body = Uint8Array::from(body);
        let message = Object::new();
        set(&message, "event", &JsValue::from_str("received"));
        set(&message, "body", &body);
        set(&message, "tag", &tag.map_or(JsValue::NULL, |tag| JsValue::from_str(&tag.to_string())));
        set(&message, "canReply", &JsValue::from_bool(tag.is_some_and(can_reply)));
        self.post(&message, &Array::of1(&body.buffer()));
    }

    fn plain(&self, event: &WireEvent) {
        self.post(&to_js(event), &Array::new());
    }

    /// What the function throws is its own business: there is nobody here to tell.
    fn post(&self, message: &JsValue, transfer: &JsValue) {
        let _ = self.0.call2(&JsValue::UNDEFINED, message, transfer);
    }
}

/// The answer to `open`.
pub fn opened(address: &Address, gateway: Option<(&GatewayNode, &str)>) -> JsValue {
    let answer = Object::new();
    set(&answer, "address", &JsValue::from_str(&address.to_string()));
    if let Some((node, url)) = gateway {
        set(&answer, "gateway", &to_js(&WireGateway::used(node, url)));
    }
    answer.into()
}

/// The answer to `gateways`.
pub fn gateways(topology: &Topology, secure_page: bool) -> JsValue {
    let nodes: Vec<_> = topology.gateways().map(|node| WireGateway::offered(node, secure_page)).collect();
    to_js(&nodes)
}

/// The answer to `topology`.
pub fn topology(topology: &Topology, age: Option<Duration>) -> JsValue {
    to_js(&WireTopology {
        epoch: topology.epoch(),
        rotation: topology.rotation_id(),
        layers: topology.layer_counts(),
        gateways: topology.gateways().count(),
        age_ms: age.map_or(0.0, millis),
    })
}

/// The answer to `stats`.
pub fn stats(stats: &Stats) -> JsValue {
    to_js(&WireStats {
        out: WireSent {
            real: stats.sent.real,
            reply: stats.sent.reply,
            retransmission: stats.sent.retransmission,
            cover: stats.sent.cover,
        },
        incoming: WireReceived {
            message: stats.received.message,
            ack: stats.received.ack,
            cover: stats.received.cover,
            unknown: stats.received.unknown,
        },
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        queued_bytes: stats.queued_bytes,
        in_flight: stats.in_flight,
        undelivered: stats.undelivered,
        dropped: stats.dropped.entries().into_iter().collect(),
        round_trip_ms: stats.round_trip.map(|(p50, p95)| WireRoundTrip { p50: millis(p50), p95: millis(p95) }),
        reconnects: stats.reconnects,
        surbs_held: stats.surbs_held,
        topology_age_ms: stats.topology_age.map_or(0.0, millis),
        wasm_bytes: super::client::wasm_bytes(),
    })
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOptions {
    directories: Vec<String>,
    topology: Option<String>,
    profile: String,
    storage: String,
    gateway_id: Option<String>,
    min_performance: Option<u8>,
    refresh_ms: Option<f64>,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    reconnect: JsValue,
    secure_page: bool,
    ask_for_more: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReconnect {
    min_ms: f64,
    max_ms: f64,
    max_attempts: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSend {
    timeout_ms: Option<f64>,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    replies: JsValue,
    reliable: bool,
    priority: u8,
}

impl WireSend {
    fn checked(self) -> Result<SendOptions, Failure> {
        let timeout = self.timeout_ms.map(|timeout| duration(timeout, "timeoutMs")).transpose()?;
        let replies = match self.replies.as_f64() {
            Some(count) => Replies::Exactly(whole(count, "replies")?),
            None if self.replies.as_string().is_some_and(|word| word == "auto") => Replies::Auto,
            None => return Err(invalid("replies must be a number or 'auto'".to_owned())),
        };
        let priority = match self.priority {
            0 => Priority::High,
            1 => Priority::Normal,
            2 => Priority::Bulk,
            _ => return Err(invalid("priority must be 0, 1 or 2".to_owned())),
        };
        Ok(SendOptions {
            timeout: timeout.filter(|timeout| !timeout.is_zero()),
            no_deadline: timeout.is_some_and(|timeout| timeout.is_zero()),
            replies,
            reliable: self.reliable,
            priority,
        })
    }
}

#[derive(Serialize)]
struct WireError {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    retriable: bool,
}

impl From<&Failure> for WireError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.as_str(),
            message: failure.text.clone(),
            phase: failure.phase.map(Phase::as_str),
            retriable: is_retriable(failure.code),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum WireEvent {
    Delivered {
        message: u64,
        round_trip_ms: f64,
        retransmissions: u32,
    },
    Error {
        error: WireError,
    },
    Overflow {
        reason: &'static str,
        messages: u32,
        bytes: u64,
    },
    Progress {
        phase: &'static str,
        fraction: f64,
    },
    Room,
    Sent {
        message: u64,
    },
    State {
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<WireError>,
    },
    Undelivered {
        message: u64,
        error: WireError,
        acked: u32,
        total: u32,
        retransmissions: u32,
    },
}

#[derive(Serialize)]
struct WireGateway {
    id: String,
    url: String,
    host: String,
    secure: bool,
    performance: u8,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

impl WireGateway {
    fn used(node: &GatewayNode, url: &str) -> Self {
        Self {
            id: node.id.to_string(),
            host: host(url),
            secure: url.starts_with("wss:"),
            url: url.to_owned(),
            performance: node.performance,
            usable: true,
            why: None,
        }
    }

    fn offered(node: &GatewayNode, secure_page: bool) -> Self {
        if let Some(url) = node.url(secure_page) {
            return Self::used(node, &url);
        }
        let plain = node.url(false);
        let why = match plain {
            Some(_) => "it offers only plain links, which a secure page may not open",
            None => "it offers no link that a browser can open",
        };
        Self { usable: false, why: Some(why), ..Self::used(node, &plain.unwrap_or_default()) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTopology {
    epoch: u32,
    rotation: u32,
    layers: [usize; 3],
    gateways: usize,
    age_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireStats {
    out: WireSent,
    #[serde(rename = "in")]
    incoming: WireReceived,
    bytes_in: u64,
    bytes_out: u64,
    queued_bytes: u64,
    in_flight: u64,
    undelivered: u64,
    dropped: BTreeMap<&'static str, u64>,
    round_trip_ms: Option<WireRoundTrip>,
    reconnects: u64,
    surbs_held: u64,
    topology_age_ms: f64,
    wasm_bytes: f64,
}

#[derive(Serialize)]
struct WireSent {
    real: u64,
    reply: u64,
    retransmission: u64,
    cover: u64,
}

#[derive(Serialize)]
struct WireReceived {
    message: u64,
    ack: u64,
    cover: u64,
    unknown: u64,
}

#[derive(Serialize)]
struct WireRoundTrip {
    p50: f64,
    p95: f64,
}

/// An object with these fields and no other. Serde alone would skip what it does not know.
fn strict<T: DeserializeOwned>(value: JsValue, fields: &[&str]) -> Result<T, Failure> {
    let object: &Object = value.dyn_ref().ok_or_else(|| invalid("options must be an object".to_owned()))?;
    for key in Object::keys(object).iter() {
        let key = key.as_string().unwrap_or_default();
        if !fields.contains(&key.as_str()) {
            return Err(invalid(format!("there is no option `{key}`")));
        }
    }
    serde_wasm_bindgen::from_value(value).map_err(|error| invalid(error.to_string()))
}

/// The traffic settings among the fields of an object; the engine checks their ranges.
fn traffic(object: &JsValue) -> Result<Traffic, Failure> {
    let time = |name| duration(number(object, name)?, name);
    Ok(Traffic {
        slot: time("slotMs")?,
        loop_cover: time("loopMs")?,
        hop_delay: time("hopDelayMs")?,
        ack_delay: time("ackDelayMs")?,
        danger_no_pacing: field(object, "dangerNoPacing")?
            .as_bool()
            .ok_or_else(|| invalid("dangerNoPacing must be true or false".to_owned()))?,
    })
}

/// A reply tag or an address. Only addresses have dots.
fn recipient(text: &str) -> Result<Recipient, Failure> {
    let bad = Failure::new(Code::AddressInvalid);
    match text.contains('.') {
        true => Address::parse(text).map(Recipient::Address).map_err(|_| bad),
        false => SenderTag::parse(text).map(Recipient::Tag).map_err(|_| bad),
    }
}

fn field(object: &JsValue, name: &str) -> Result<JsValue, Failure> {
    Reflect::get(object, &JsValue::from_str(name)).map_err(|_| invalid("a request must be an object".to_owned()))
}

fn text(object: &JsValue, name: &str) -> Result<String, Failure> {
    field(object, name)?.as_string().ok_or_else(|| invalid(format!("{name} must be a string")))
}

fn number(object: &JsValue, name: &str) -> Result<f64, Failure> {
    field(object, name)?.as_f64().ok_or_else(|| invalid(format!("{name} must be a number")))
}

fn message_id(message: &JsValue) -> Result<MessageId, Failure> {
    whole::<u64>(number(message, "message")?, "message").map(MessageId)
}

/// A whole number that fits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and small enough")]
fn whole<T: TryFrom<u64>>(number: f64, name: &str) -> Result<T, Failure> {
    let exact = (0.0..=WHOLE_MAX).contains(&number) && number == number.trunc();
    exact
        .then_some(number as u64)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| invalid(format!("{name} must be a whole number in range")))
}

fn duration(millis: f64, name: &str) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(millis / 1000.0)
        .map_err(|_| invalid(format!("{name} must be a number of milliseconds, zero or more")))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Host and port of a URL that the topology room made.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// A mistake in what the page asked for.
pub fn invalid(text: String) -> Failure {
    Failure { text, ..Failure::new(Code::ConfigInvalid) }
}

const GATEWAY_ID_ADVICE: &str =
    "gateway.id is not the identity of a gateway. Copy the whole of it, or leave it out for a random gateway.";

/// Plain data as plain objects, with `null` for what is missing. Nothing here can fail: there are no numbers beyond
/// 2^53 and no keys but strings.
fn to_js<T: Serialize + ?Sized>(value: &T) -> JsValue {
    let serializer =
        serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true).serialize_maps_as_objects(true);
    value.serialize(&serializer).unwrap_or(JsValue::UNDEFINED)
}

fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}

const OPEN_FIELDS: &[&str] = &[
    "directories",
    "topology",
    "profile",
    "storage",
    "gatewayId",
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
const SEND_FIELDS: &[&str] = &["timeoutMs", "replies", "reliable", "priority"];
/// The greatest whole number that a JavaScript number holds exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;
