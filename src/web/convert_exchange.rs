//! The same as [`super::convert`] for what mixlet peers say to each other: requests, answers, streams.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use js_sys::{Array, Object};
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{
    Failure, bytes, duration, field, flag, invalid, message_id, optional, recipient, send_options, strict, text, whole,
    wire,
};
use super::post::{Arrived, Post, millis, set, set_from};
use crate::engine::{MessageId, Recipient, SendOptions};
use crate::exchange::{Event, Item, RequestHandle, RequestOptions, Speaks, StreamId, StreamOptions};
use crate::json::Value;
use crate::limits;
use crate::message::SenderTag;
use crate::time::Duration;

/// A call on the exchange.
pub enum Call {
    /// Forget a request.
    CancelRequest {
        /// The number it was asked under.
        message: MessageId,
    },
    /// Take streams.
    Listen {
        /// Of this service.
        service: String,
        /// With this window and patience.
        options: StreamOptions,
    },
    /// Open a stream.
    OpenStream {
        /// Its number.
        stream: StreamId,
        /// To whom.
        to: Recipient,
        /// For which service.
        service: String,
        /// With this window and patience.
        options: StreamOptions,
    },
    /// Ask whether a peer speaks mixlet.
    Probe {
        /// Its number.
        message: MessageId,
        /// Whom.
        to: Recipient,
        /// For how long.
        options: RequestOptions,
    },
    /// Ask.
    Request {
        /// Numbers, ids and bodies.
        items: Vec<Item>,
        /// Whom.
        to: Recipient,
        /// How.
        options: RequestOptions,
    },
    /// Answer.
    Respond {
        /// Which request.
        handle: RequestHandle,
        /// With this; `None`: it could not be handled.
        body: Option<Vec<u8>>,
        /// How.
        options: SendOptions,
    },
    /// Handle requests.
    Serve {
        /// For this service.
        service: String,
    },
    /// Nothing more is written.
    StreamEnd {
        /// To this stream.
        stream: StreamId,
    },
    /// The page has taken bytes.
    StreamRead {
        /// Of this stream.
        stream: StreamId,
        /// So many.
        len: u64,
    },
    /// End at once.
    StreamReset {
        /// This stream.
        stream: StreamId,
        /// With this code.
        code: u32,
        /// And this reason.
        reason: String,
    },
    /// Write.
    StreamWrite {
        /// To this stream.
        stream: StreamId,
        /// These bytes.
        bytes: Vec<u8>,
    },
    /// Take no more streams.
    Unlisten {
        /// Of this service.
        service: String,
    },
    /// Handle no more requests.
    Unserve {
        /// For this service.
        service: String,
    },
}

impl Call {
    /// Reads a call. `None`: it is none of these.
    ///
    /// # Errors
    /// A field that is missing or of the wrong type.
    pub fn from_js(op: &str, message: &JsValue) -> Result<Option<Self>, Failure> {
        let stream = || whole::<u64>(message, "stream").map(StreamId);
        let service = || text(message, "service");
        let to = || recipient(&text(message, "to")?);
        Ok(Some(match op {
            "cancelRequest" => Self::CancelRequest { message: message_id(message)? },
            "acceptStreams" => Self::Listen { service: service()?, options: stream_options(message)? },
            "openStream" => Self::OpenStream {
                stream: stream()?,
                to: to()?,
                service: service()?,
                options: stream_options(message)?,
            },
            "probe" => {
                let options = request_options(&field(message, "options")?)?;
                Self::Probe { message: message_id(message)?, to: to()?, options }
            }
            "request" => {
                let items: Array =
                    field(message, "items")?.dyn_into().map_err(|_| invalid("items must be an array".into()))?;
                let items = items.iter().map(|item| {
                    let (number, id) = (message_id(&item)?, optional(&item, "wire", wire)?);
                    Ok(Item { number, id, body: bytes(&item, "body")? })
                });
                let options = request_options(&field(message, "options")?)?;
                Self::Request { items: items.collect::<Result<_, Failure>>()?, to: to()?, options }
            }
            "respond" => Self::Respond {
                handle: RequestHandle(whole(message, "request")?),
                body: optional(message, "body", bytes)?,
                options: send_options(&field(message, "options")?)?,
            },
            "serve" => Self::Serve { service: service()? },
            "streamEnd" => Self::StreamEnd { stream: stream()? },
            "streamRead" => Self::StreamRead { stream: stream()?, len: whole(message, "bytes")? },
            "streamReset" => {
                Self::StreamReset { stream: stream()?, code: whole(message, "code")?, reason: text(message, "reason")? }
            }
            "streamWrite" => Self::StreamWrite { stream: stream()?, bytes: bytes(message, "bytes")? },
            "refuseStreams" => Self::Unlisten { service: service()? },
            "unserve" => Self::Unserve { service: service()? },
            _ => return Ok(None),
        }))
    }

    /// Whether a client that closes refuses it.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::OpenStream { .. } | Self::Probe { .. } | Self::Request { .. })
    }
}

fn stream_options(message: &JsValue) -> Result<StreamOptions, Failure> {
    let options = &strict(field(message, "options")?, STREAM_FIELDS)?;
    let window = optional(options, "windowBytes", whole)?.unwrap_or(limits::STREAM_WINDOW);
    if !(limits::STREAM_WINDOW_MIN..=limits::STREAM_WINDOW_MAX).contains(&window) {
        return Err(invalid("windowBytes is out of range".into()));
    }
    let or = |time: Option<Duration>, usual| time.unwrap_or(usual);
    Ok(StreamOptions {
        window,
        idle: or(optional(options, "idleTimeoutMs", duration)?, limits::STREAM_IDLE_TIME),
        timeout: or(optional(options, "timeoutMs", duration)?, limits::STREAM_OPEN_TIME),
    })
}

fn request_options(options: &JsValue) -> Result<RequestOptions, Failure> {
    let options = &strict(options.clone(), REQUEST_FIELDS)?;
    let mut read = RequestOptions {
        service: text(options, "service")?,
        label: text(options, "label")?,
        retry: flag(options, "retry")?,
        response_timeout: optional(options, "responseTimeoutMs", duration)?.filter(|time| !time.is_zero()),
        send: send_options(options)?,
        ..RequestOptions::default()
    };
    (read.timeout, read.no_deadline) = (read.send.timeout.take(), read.send.no_deadline);
    if let Some(len) = optional(options, "expectedReplyBytes", whole)? {
        read.expected_len = len;
    }
    Ok(read)
}

impl Post {
    /// Passes on what mixlet peers said. `can_reply` says whether SURBs are held for a tag.
    pub fn exchanged(&self, event: Event, can_reply: impl Fn(&SenderTag) -> bool) {
        let number = |name: &'static str, id: u64| (name, Value::Unsigned(id));
        match event {
            // Told by `event`.
            Event::Engine(_) => {}
            Event::Kept { number, id, enveloped, at, from, body } => {
                let (id, from, kept) = (Some(id), from.as_ref(), Some((number, at)));
                self.received(&Arrived { body: &body, enveloped, id, from, kept }, can_reply);
            }
            Event::Late { id, label, elapsed, body, from } => {
                let message = about("late", &from);
                set_number(&message, "message", id.0);
                set(&message, "label", &JsValue::from_str(&label));
                set(&message, "elapsedMs", &JsValue::from_f64(elapsed.as_secs_f64() * 1000.0));
                match body {
                    Some(body) => self.with_bytes(&message, "body", &body),
                    None => self.post(&message, &Array::new()),
                }
            }
            Event::Message { id, body, from } => {
                let from = from.as_ref();
                self.received(&Arrived { body: &body, enveloped: true, id: Some(id), from, kept: None }, can_reply);
            }
            Event::NotReceipted { id, code } => {
                let error = Failure::new(code).during(crate::engine::Phase::Peer).to_json();
                self.plain("notReceipted", &[number("message", id.0), ("error", Value::Json(&error))]);
            }
            Event::Overflow { from, bytes, store } => {
                let reason = if store { "storage" } else { "inbox" };
                let mut fields =
                    Vec::from([("reason", Value::Text(reason)), number("messages", 1), number("bytes", bytes as u64)]);
                let tag = match from {
                    Some(Recipient::Tag(tag)) => Some(tag.to_string()),
                    _ => None,
                };
                fields.extend(tag.as_deref().map(|tag| ("from", Value::Text(tag))));
                self.plain("overflow", &fields);
            }
            Event::Peer { peer, speaks } => {
                let message = about("peer", &peer);
                let (speaks, features) = match speaks {
                    Speaks::Mixlet { features } => ("mixlet", features),
                    Speaks::Plain => ("plain", 0),
                };
                set(&message, "speaks", &JsValue::from_str(speaks));
                set_number(&message, "features", features.into());
                self.post(&message, &Array::new());
            }
            Event::Receipted { id, round_trip } => {
                self.plain("receipted", &[number("message", id.0), ("roundTripMs", millis(round_trip))]);
            }
            Event::Request { handle, service, body, from } => {
                let message = about("request", &from);
                set_number(&message, "request", handle.0);
                set(&message, "service", &JsValue::from_str(&service));
                self.with_bytes(&message, "body", &body);
            }
            Event::RequestFailed { id, code, phase } => {
                let error = Failure::new(code).during(phase).to_json();
                self.plain("requestFailed", &[number("message", id.0), ("error", Value::Json(&error))]);
            }
            Event::Response { id, body, from } => {
                let message = about("response", &from);
                set_number(&message, "message", id.0);
                self.with_bytes(&message, "body", &body);
            }
            Event::ResponseLost { handle, code } => {
                let error = Failure::new(code).to_json();
                self.plain("responseLost", &[number("request", handle.0), ("error", Value::Json(&error))]);
            }
            Event::StreamClosed { id, code, reason } => {
                let fields = [number("stream", id.0), number("code", code.into()), ("reason", Value::Text(&reason))];
                self.plain("streamClosed", &fields);
            }
            Event::StreamData { id, bytes, last } => {
                let message = Object::new();
                set(&message, "event", &JsValue::from_str("streamData"));
                set_number(&message, "stream", id.0);
                set(&message, "last", &JsValue::from_bool(last));
                self.with_bytes(&message, "bytes", &bytes);
            }
            Event::StreamFailed { id, code, phase } => {
                let error = Failure::new(code).during(phase).to_json();
                self.plain("streamFailed", &[number("stream", id.0), ("error", Value::Json(&error))]);
            }
            Event::StreamOpened { id, service, from } => {
                let message = about("streamOpened", &from);
                set_number(&message, "stream", id.0);
                set(&message, "service", &JsValue::from_str(&service));
                self.post(&message, &Array::new());
            }
            Event::StreamReady { id } => self.plain("streamReady", &[number("stream", id.0)]),
            Event::StreamRoom { id } => self.plain("streamRoom", &[number("stream", id.0)]),
        }
    }
}

/// An event about somebody.
fn about(event: &str, from: &Recipient) -> Object {
    let message = Object::new();
    set(&message, "event", &JsValue::from_str(event));
    set_from(&message, Some(from));
    message
}

#[expect(clippy::cast_precision_loss, reason = "numbers of the page, and of ours from 2^52 on, are exact")]
fn set_number(object: &Object, name: &str, number: u64) {
    set(object, name, &JsValue::from_f64(number as f64));
}

const STREAM_FIELDS: &[&str] = &["windowBytes", "idleTimeoutMs", "timeoutMs"];
const REQUEST_FIELDS: &[&str] = &[
    "service",
    "label",
    "timeoutMs",
    "responseTimeoutMs",
    "expectedReplyBytes",
    "retry",
    "replies",
    "reliable",
    "priority",
];
