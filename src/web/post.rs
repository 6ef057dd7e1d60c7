//! What goes to the page: answers to its requests, and news.
//!
//! It is written as JSON, which the browser makes an object of. Bodies do not pass through it: they are byte arrays whose
//! buffers move.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use js_sys::{Array, Function, JSON, Object, Reflect, Uint8Array};
use wasm_bindgen::JsValue;

use super::convert::{Failure, RequestId};
use super::tally::Sums;
use crate::engine::{Event, MessageId, Overflow, Packet, Phase, Recipient, Stats};
use crate::exchange::envelope::Id;
use crate::exchange::{OutboxStage, OutboxState};
use crate::json::{self, Value};
use crate::message::{Address, SenderTag};
use crate::time::{Duration, Instant};
use crate::topology::{GatewayNode, Topology};

/// Where answers and events go: the function that JavaScript gave us.
#[derive(Clone)]
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
            | Event::Delivered { .. }
            | Event::Moved { .. }
            | Event::MoveFailed { .. }
            | Event::Failed { .. }
            | Event::GatewayWanted
            | Event::Ready { .. }
            | Event::Topology => {}
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
            Event::Planned { id, plan } => {
                let message = Object::new();
                set(&message, "event", &JsValue::from_str("planned"));
                #[expect(clippy::cast_precision_loss, reason = "pages number up to 2^52")]
                set(&message, "message", &JsValue::from_f64(id.0 as f64));
                self.with_bytes(&message, "plan", &plan);
            }
            Event::Progress { phase, fraction } => self.progress(phase, fraction),
            Event::Received { body, tag, over } => {
                let from = tag.map(Recipient::Tag).or(over.map(Recipient::Address));
                let from = from.as_ref();
                self.received(&Arrived { body: &body, enveloped: false, id: None, from, kept: None }, can_reply);
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

    /// Tells that every fragment was acknowledged, and whether a receipt is to come.
    pub fn delivered(&self, id: MessageId, round_trip: Duration, retransmissions: u32, receipt: bool) {
        let fields = [
            ("message", Value::Unsigned(id.0)),
            ("roundTripMs", millis(round_trip)),
            ("retransmissions", Value::Unsigned(retransmissions.into())),
            ("receipt", Value::Boolean(receipt)),
        ];
        self.plain("delivered", &fields);
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

    /// Asks for the passphrase of the store.
    pub fn passphrase_wanted(&self) {
        self.plain("passphrase-wanted", &[]);
    }

    /// Tells that nothing is kept, or that what was kept is gone.
    pub fn volatile(&self, why: &Failure) {
        self.plain("volatile", &[("error", Value::Json(&why.to_json()))]);
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

    /// A message.
    pub(super) fn received(&self, arrived: &Arrived<'_>, can_reply: impl Fn(&SenderTag) -> bool) {
        let Arrived { body, enveloped, id, from, kept } = arrived;
        let message = Object::new();
        set(&message, "event", &JsValue::from_str("received"));
        set(&message, "via", &JsValue::from_str(if *enveloped { "mixlet" } else { "plain" }));
        set(&message, "wire", &id.map_or(JsValue::NULL, |id| Uint8Array::from(&id.0[..]).into()));
        set_from(&message, *from);
        let can_reply = match from {
            Some(Recipient::Address(_)) => true,
            Some(Recipient::Tag(tag)) => can_reply(tag),
            None => false,
        };
        set(&message, "canReply", &JsValue::from_bool(can_reply));
        if let Some((number, at)) = kept {
            set(&message, "kept", &JsValue::from_f64(f64::from(*number)));
            set(&message, "at", &JsValue::from_f64(*at as f64 * 1000.0));
        }
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

/// A message that came in.
pub(super) struct Arrived<'a> {
    pub(super) body: &'a [u8],
    pub(super) enveloped: bool,
    /// That of its envelope, or of its entry in the store.
    pub(super) id: Option<Id>,
    pub(super) from: Option<&'a Recipient>,
    /// Its number in the store, and when it came, seconds since 1970.
    pub(super) kept: Option<(u32, u64)>,
}

/// The answer to `open`.
/// `exported`: whether the identity was exported under this address; `None` where it is not stored.
pub fn opened(address: &Address, gateway: Option<(&GatewayNode, &str)>, exported: Option<bool>) -> JsValue {
    let answer = Object::new();
    if let Some(exported) = exported {
        set(&answer, "exported", &JsValue::from_bool(exported));
    }
    set(&answer, "address", &JsValue::from_str(&address.to_string()));
    if let Some((node, url)) = gateway {
        set(&answer, "gateway", &to_js(&used(node, url)));
    }
    answer.into()
}

/// An exported identity, with the address that comes of it.
pub fn exported(file: &[u8], address: Option<&Address>) -> JsValue {
    let answer = addressed(address);
    set(&answer, "file", &Uint8Array::from(file));
    answer.into()
}

/// An answer with an address, where one is known.
pub fn addressed(address: Option<&Address>) -> Object {
    let answer = Object::new();
    set(&answer, "address", &address.map_or(JsValue::NULL, |address| JsValue::from_str(&address.to_string())));
    answer
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
pub fn stats(stats: &Stats, dropped: &[(&str, u64)], kept: Option<Sums>) -> JsValue {
    let numbers = |entries: &[(&str, u64)]| {
        let fields: Vec<_> = entries.iter().map(|(name, number)| (*name, Value::Unsigned(*number))).collect();
        json::object(&fields)
    };
    let kept =
        kept.map_or_else(|| "null".to_owned(), |sums| format!("[{}]", sums.map(|sum| sum.to_string()).join(",")));
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
        ("kept", Value::Json(&kept)),
    ]))
}

/// The number of a message of the outbox.
pub(super) fn persisted(id: MessageId) -> JsValue {
    to_js(&json::object(&[("message", Value::Unsigned(id.0))]))
}

/// The messages of the outbox.
pub(super) fn outbox(states: &[OutboxState]) -> JsValue {
    to_js(&listed(states))
}

/// The messages of an outbox that nobody sends, and what was refused.
pub(super) fn stored_outbox(states: &[OutboxState], refusals: &[(Id, Failure)]) -> JsValue {
    let refusal = |(id, failure): &(Id, Failure)| {
        json::object(&[("id", Value::Text(&hex(*id))), ("error", Value::Json(&failure.to_json()))])
    };
    let refused: Vec<_> = refusals.iter().map(refusal).collect();
    let refused = format!("[{}]", refused.join(","));
    to_js(&json::object(&[("outbox", Value::Json(&listed(states))), ("refused", Value::Json(&refused))]))
}

fn hex(id: Id) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn listed(states: &[OutboxState]) -> String {
    let states: Vec<_> = states
        .iter()
        .map(|state| {
            let id = hex(state.id);
            let to = match &state.to {
                Recipient::Address(address) => address.to_string(),
                Recipient::Tag(tag) => tag.to_string(),
            };
            let stage = match state.stage {
                OutboxStage::Writing => "writing",
                OutboxStage::Queued => "queued",
                OutboxStage::Sending => "sending",
                OutboxStage::Delivered => "delivered",
            };
            json::object(&[
                ("message", Value::Unsigned(state.number.0)),
                ("id", Value::Text(&id)),
                ("to", Value::Text(&to)),
                ("bytes", Value::Unsigned(state.len.into())),
                ("createdAt", Value::Unsigned(state.created)),
                ("expiresAt", Value::Unsigned(state.expires)),
                ("acked", Value::Unsigned(state.acked.into())),
                ("total", Value::Unsigned(state.total.into())),
                ("state", Value::Text(stage)),
            ])
        })
        .collect();
    format!("[{}]", states.join(","))
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

pub(super) fn millis(duration: Duration) -> Value<'static> {
    Value::Thousandths(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Host and port of a URL that the topology room made.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

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
