//! What the page asks for, as the engine takes it. What goes to the page is in [`super::post`]; both are written down in
//! `js/protocol.ts`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use zeroize::Zeroizing;

use super::convert_exchange::Call;
use super::post::to_js;
use super::vault::Errand;
use crate::engine::{
    Code, Config, Listening, MessageId, Phase, Priority, Recipient, Reconnect, Replies, SendError, SendOptions,
    SwitchError, Traffic,
};
use crate::exchange::envelope::Id;
use crate::exchange::{Receipt, Sending, kept_number};
use crate::json::{self, Value};
use crate::message::{Address, GatewayId, SenderTag};
use crate::time::Duration;

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
        /// Have the gateway forget this client, and wait so long for it.
        forget: Option<Duration>,
    },
    /// Export the identity in use, which is in memory only.
    Export {
        /// To answer to.
        id: RequestId,
        /// What the file is sealed under.
        passphrase: Zeroizing<String>,
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
    /// A message of a durable inbox is done.
    Done {
        /// To answer to, when the store does not have it any more.
        id: RequestId,
        /// Its number in the store.
        kept: u32,
    },
    /// The page has the plan of a message.
    Kept {
        /// Which message.
        message: MessageId,
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
    /// The passphrase of the store, which was asked for.
    Passphrase(Zeroizing<String>),
    /// Queue a message.
    Send {
        /// To answer to.
        id: RequestId,
        /// What.
        outgoing: Outgoing,
    },
    /// List the outbox.
    Outbox {
        /// To answer to.
        id: RequestId,
    },
    /// Queue a message that outlives this client.
    Persist {
        /// To answer to.
        id: RequestId,
        /// Which.
        letter: Letter,
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
    /// Somebody takes the messages of a durable inbox, or nobody does any more.
    Take {
        /// Somebody does.
        taking: bool,
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
    /// Do something with the store of a profile that is not open.
    Vault {
        /// To answer to.
        id: RequestId,
        /// What.
        errand: Errand,
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
    /// The user's bytes, or its plan.
    pub body: Vec<u8>,
    /// An earlier client has begun to send it, by the plan in `body`.
    pub begun: bool,
    /// How it is sent.
    pub sending: Sending,
    /// It is told how far it comes.
    pub watched: bool,
}

/// What `open` says, checked.
pub struct OpenOptions {
    /// Name of the store.
    pub profile: String,
    /// Where it is kept.
    pub storage: Storage,
    /// There is a passphrase to ask for.
    pub has_passphrase: bool,
    /// An exported identity to begin with, where nothing is kept.
    pub imported: Option<Imported>,
    /// Sums over all visits are kept.
    pub keeps_stats: bool,
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
    keeps_inbox: bool,
    keeps_pseudonyms: bool,
}

/// Where an identity is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the store, or there is none.
    IndexedDb,
    /// In the store, or in memory where there is none.
    Either,
    /// In memory.
    Memory,
}

/// An exported identity, and what it is sealed under.
pub struct Imported {
    /// Its bytes.
    pub file: Vec<u8>,
    /// Its passphrase.
    pub passphrase: Zeroizing<String>,
}

impl Imported {
    fn from_js(object: &JsValue) -> Result<Self, Failure> {
        Ok(Self { file: bytes(object, "file")?, passphrase: secret(object, "secret")? })
    }
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
        let passphrase = || Ok(Self::Passphrase(secret(message, "secret")?));
        let choose = || Ok(Self::Choose { gateway: optional(message, "gatewayId", gateway_id)? });
        match op {
            "choose" => Some(choose()),
            "kept" => Some(message_id(message).map(|message| Self::Kept { message })),
            "listen" => Some(listen()),
            "online" => Some(Ok(Self::Online)),
            "passphrase" => Some(passphrase()),
            "stay" => Some(Ok(Self::Stay)),
            "take" => Some(flag(message, "taking").map(|taking| Self::Take { taking })),
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
                let timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
                Self::Close { id, drain, timeout, forget: optional(message, "forgetMs", duration)? }
            }
            "export" => Self::Export { id, passphrase: secret(message, "secret")? },
            "done" => Self::Done { id, kept: whole(message, "kept")? },
            "gateways" => Self::Gateways { id },
            "open" => Self::Open { id, options: OpenOptions::from_js(&field(message, "options")?)? },
            "outbox" => Self::Outbox { id },
            "persist" => Self::Persist { id, letter: Letter::from_js(message)? },
            "send" => Self::Send { id, outgoing: Outgoing::from_js(message)? },
            "stats" => Self::Stats { id },
            "switch" => Self::Switch { id, gateway: gateway_id(message, "gatewayId")? },
            "topology" => Self::Topology { id },
            "traffic" => Self::Traffic { id, traffic: traffic(&field(message, "traffic")?)? },
            "vault" => Self::Vault { id, errand: Errand::from_js(message)? },
            _ => match Call::from_js(op, message)? {
                Some(call) => Self::Exchange { id, call },
                None => return Err(invalid(format!("there is no request `{op}`"))),
            },
        })
    }

    /// Whether it is about messages of the outbox.
    pub fn is_of_outbox(&self) -> bool {
        match self {
            Self::Cancel { message, .. } => kept_number(*message).is_some(),
            Self::Outbox { .. } | Self::Persist { .. } => true,
            _ => false,
        }
    }

    /// The request to answer, if it wants an answer.
    pub fn id(&self) -> Option<RequestId> {
        match self {
            Self::Choose { .. }
            | Self::Kept { .. }
            | Self::Listen { .. }
            | Self::Online
            | Self::Passphrase(_)
            | Self::Stay
            | Self::Take { .. }
            | Self::Watch { .. } => None,
            Self::Cancel { id, .. }
            | Self::Close { id, .. }
            | Self::Done { id, .. }
            | Self::Exchange { id, .. }
            | Self::Export { id, .. }
            | Self::Gateways { id }
            | Self::Open { id, .. }
            | Self::Outbox { id }
            | Self::Persist { id, .. }
            | Self::Send { id, .. }
            | Self::Stats { id }
            | Self::Switch { id, .. }
            | Self::Topology { id }
            | Self::Vault { id, .. }
            | Self::Traffic { id, .. } => Some(*id),
        }
    }
}

/// A message that outlives its client.
pub struct Letter {
    /// What it is called in every run.
    pub key: Id,
    /// When it is given up, seconds since 1970; 0: never.
    pub expires: u64,
    /// What.
    pub outgoing: Outgoing,
}

impl Letter {
    /// # Errors
    /// What is missing or of the wrong type.
    pub fn from_js(message: &JsValue) -> Result<Self, Failure> {
        let (key, expires) = (wire(message, "key")?, whole(message, "expiresAt")?);
        Ok(Self { key, expires, outgoing: Outgoing::from_js(message)? })
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
            begun: field(message, "begun")?.is_truthy(),
            sending: Sending {
                options: SendOptions { planned: field(message, "planned")?.is_truthy(), ..send_options(&options)? },
                receipt,
                id: optional(message, "wire", wire)?,
            },
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
        planned: false,
    })
}

impl OpenOptions {
    /// # Errors
    /// An unknown name, a value of the wrong type or out of range.
    pub fn from_js(options: &JsValue) -> Result<Self, Failure> {
        let options = &strict(options.clone(), OPEN_FIELDS)?;
        let reconnect = &strict(field(options, "reconnect")?, RECONNECT_FIELDS)?;
        let storage = match text(options, "storage")?.as_str() {
            "indexeddb" => Storage::IndexedDb,
            "indexeddb-or-memory" => Storage::Either,
            "memory" => Storage::Memory,
            _ => return Err(invalid("storage must be 'indexeddb', 'memory' or 'indexeddb-or-memory'".to_owned())),
        };
        Ok(Self {
            profile: text(options, "profile")?,
            storage,
            has_passphrase: optional(options, "passphrase", flag)?.unwrap_or(false),
            imported: optional(options, "imported", |options, name| Imported::from_js(&field(options, name)?))?,
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
            keeps_inbox: either(options, "inbox", ["memory", "durable"])?,
            keeps_pseudonyms: either(options, "pseudonym", ["fresh", "kept"])?,
            keeps_stats: either(options, "stats", ["visit", "kept"])?,
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
        config.keeps_inbox = self.keeps_inbox;
        config.keeps_pseudonyms = self.keeps_pseudonyms;
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

    /// The same with a text that says more.
    #[must_use]
    pub fn saying(self, text: &str) -> Self {
        Self { text: text.to_owned(), ..self }
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
        | Code::IdentityConflict
        | Code::IdentityCorrupt
        | Code::IdentityFileInvalid
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

/// A text that is not left in memory.
pub(super) fn secret(object: &JsValue, name: &str) -> Result<Zeroizing<String>, Failure> {
    text(object, name).map(Zeroizing::new)
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

/// Whether it is the second of two words.
fn either(object: &JsValue, name: &str, [no, yes]: [&str; 2]) -> Result<bool, Failure> {
    let word = text(object, name)?;
    if word == no || word == yes { Ok(word == yes) } else { Err(invalid(format!("{name} must be '{no}' or '{yes}'"))) }
}

/// The id of an envelope, or of a message of the outbox.
pub(super) fn wire(object: &JsValue, name: &str) -> Result<Id, Failure> {
    id(&field(object, name)?)
}

pub(super) fn id(value: &JsValue) -> Result<Id, Failure> {
    let bytes = value.dyn_ref().map(Uint8Array::to_vec);
    bytes.and_then(|bytes| bytes.try_into().ok()).map(Id).ok_or_else(|| invalid("an id must have 16 bytes".to_owned()))
}

/// A copy of a byte array.
pub(super) fn bytes(object: &JsValue, name: &str) -> Result<Vec<u8>, Failure> {
    let bytes: Uint8Array =
        field(object, name)?.dyn_into().map_err(|_| invalid(format!("{name} must be a Uint8Array")))?;
    Ok(bytes.to_vec())
}

fn texts(object: &JsValue, name: &str) -> Result<Vec<String>, Failure> {
    let wrong = || invalid(format!("{name} must be an array of strings"));
    array(object, name)?.iter().map(|text| text.as_string().ok_or_else(wrong)).collect()
}

pub(super) fn array(object: &JsValue, name: &str) -> Result<Array, Failure> {
    field(object, name)?.dyn_into().map_err(|_| invalid(format!("{name} must be an array")))
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

/// A mistake in what the page asked for.
pub fn invalid(text: String) -> Failure {
    Failure { text, ..Failure::new(Code::ConfigInvalid) }
}

const GATEWAY_ID_ADVICE: &str =
    "this is not the identity of a gateway. Copy the whole of it, or leave gateway.id out for a random one.";

const OPEN_FIELDS: &[&str] = &[
    "directories",
    "topology",
    "profile",
    "storage",
    "passphrase",
    "imported",
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
    "inbox",
    "pseudonym",
    "stats",
];
const RECONNECT_FIELDS: &[&str] = &["minMs", "maxMs", "maxAttempts"];
const SEND_FIELDS: &[&str] = &["timeoutMs", "replies", "reliable", "priority", "watched", "receipt"];
/// The greatest whole number that a JavaScript number holds exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;
