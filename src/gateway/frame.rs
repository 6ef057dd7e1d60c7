//! Text frames: encode, decode, nothing else.
//!
//! A text frame is one JSON object with a `type`. The set of fields is open: unknown ones are ignored. There are no
//! request numbers; answers come in the order of requests, with `send` answers in between.

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};

use super::keys::ClientId;
use crate::json::{Json, Value, object, or_default};
use crate::limits;

/// What a client says in text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientText {
    /// The login before version 4. Retired: recognised so that the answer can say so; its fields are not looked at.
    Authenticate,
    /// A login.
    AuthenticateV2(LoginRequest),
    /// A ticket before version 2. Retired.
    BandwidthCredential,
    /// A ticket before tickets were unlinkable. Retired.
    BandwidthCredentialV2,
    /// Asks for free bandwidth until the next midnight in UTC.
    ClaimFreeTestnetBandwidth,
    /// A ticket, sealed with the shared key.
    EcashCredential {
        /// The ticket and the tag.
        enc_credential: Vec<u8>,
        /// The nonce. Also read under the name `nonce`, but not twice.
        iv: [u8; 12],
    },
    /// A [`super::ControlRequest`], sealed with the shared key.
    EncryptedRequest {
        /// JSON and the tag.
        ciphertext: Vec<u8>,
        /// The nonce.
        nonce: [u8; 12],
    },
    /// The client gives the handshake up.
    HandshakeError {
        /// Prose, at most [`limits::FRAME_PROSE_MAX`] bytes.
        message: String,
    },
    /// A step of the handshake. The first one is also read under the type `registerHandshakeInitRequest`.
    HandshakePayload {
        /// The version the client proposes. Zero when it was missing.
        protocol_version: u8,
        /// The step; lengths are checked by the state that waits for it.
        data: Vec<u8>,
    },
    /// Asks which version the gateway speaks. Allowed at any time, costs nothing.
    SupportedProtocol,
    /// A signed token that switches the gateway to upgrade mode.
    UpgradeModeJwt {
        /// The token.
        token: String,
    },
}

impl ClientText {
    /// The frame.
    pub fn to_text(&self) -> String {
        match self {
            Self::Authenticate => frame("authenticate", &[]),
            Self::AuthenticateV2(login) => login.to_text(),
            Self::BandwidthCredential => frame("bandwidthCredential", &[]),
            Self::BandwidthCredentialV2 => frame("bandwidthCredentialV2", &[]),
            Self::ClaimFreeTestnetBandwidth => frame("claimFreeTestnetBandwidth", &[]),
            Self::EcashCredential { enc_credential, iv } => {
                frame("ecashCredential", &[("enc_credential", Value::Bytes(enc_credential)), ("iv", Value::Bytes(iv))])
            }
            Self::EncryptedRequest { ciphertext, nonce } => sealed("encryptedRequest", ciphertext, nonce),
            Self::HandshakeError { message } => frame("handshakeError", &[("message", Value::Text(message))]),
            Self::HandshakePayload { protocol_version, data } => handshake(*protocol_version, data),
            Self::SupportedProtocol => frame("supportedProtocol", &[]),
            Self::UpgradeModeJwt { token } => frame("upgradeModeJWT", &[("token", Value::Text(token))]),
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`], [`FrameError::UnknownType`], and [`FrameError::Malformed`] for everything else that is
    /// not the object its type asks for.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let kind = kind(text)?;
        let known = match kind.as_str() {
            "authenticate" => Some(Self::Authenticate),
            "bandwidthCredential" => Some(Self::BandwidthCredential),
            "bandwidthCredentialV2" => Some(Self::BandwidthCredentialV2),
            "claimFreeTestnetBandwidth" => Some(Self::ClaimFreeTestnetBandwidth),
            "supportedProtocol" => Some(Self::SupportedProtocol),
            "authenticateV2" => LoginRequest::read(text).map(Self::AuthenticateV2),
            "ecashCredential" => Self::credential(text),
            "encryptedRequest" => {
                read_sealed(text).map(|(ciphertext, nonce)| Self::EncryptedRequest { ciphertext, nonce })
            }
            "handshakeError" => read_prose(text).map(|message| Self::HandshakeError { message }),
            "handshakePayload" | "registerHandshakeInitRequest" => {
                read_handshake(text).map(|(protocol_version, data)| Self::HandshakePayload { protocol_version, data })
            }
            "upgradeModeJWT" => read_text(text, "token").map(|token| Self::UpgradeModeJwt { token }),
            _ => return Err(FrameError::UnknownType),
        };
        known.ok_or(FrameError::Malformed)
    }

    fn credential(text: &str) -> Option<Self> {
        let [enc_credential, iv, nonce] = fields(text, ["enc_credential", "iv", "nonce"])?;
        if iv.is_some() && nonce.is_some() {
            return None;
        }
        let enc_credential = enc_credential?.bytes(limits::FRAME_CREDENTIAL_MAX)?;
        Some(Self::EcashCredential { enc_credential, iv: iv.or(nonce)?.array()? })
    }
}

/// The fields of a login. They are written flat beside `type`, in camelCase, unlike those of any other frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRequest {
    /// The negotiated version.
    pub protocol_version: u8,
    /// Who logs in.
    pub client: ClientId,
    /// The client's own 32 bytes, sealed with the shared key: proves that both still have the same one.
    pub address_ciphertext: [u8; 48],
    /// The nonce of that.
    pub nonce: [u8; 12],
    /// When the request was signed, in seconds since 1970.
    pub unix_seconds: u64,
    /// The client's signature over [`LoginRequest::signed_bytes`].
    pub signature: [u8; 64],
}

impl LoginRequest {
    /// What is signed: version, client, ciphertext, nonce, and the time as eight bytes, big endian.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(101);
        bytes.push(self.protocol_version);
        bytes.extend_from_slice(&self.client.0);
        bytes.extend_from_slice(&self.address_ciphertext);
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.unix_seconds.to_be_bytes());
        bytes
    }
}

/// Identity and signature are arrays of integers, ciphertext and nonce are base64.
impl LoginRequest {
    fn to_text(&self) -> String {
        let base64 = |bytes: &[u8]| Base64::encode_string(bytes);
        let fields = [
            ("protocolVersion", Value::Unsigned(self.protocol_version.into())),
            ("clientIdentity", Value::Bytes(&self.client.0)),
            ("addressCiphertext", Value::Text(&base64(&self.address_ciphertext))),
            ("nonce", Value::Text(&base64(&self.nonce))),
            ("requestUnixTimestamp", Value::Unsigned(self.unix_seconds)),
            ("requestSignature", Value::Bytes(&self.signature)),
        ];
        frame("authenticateV2", &fields)
    }

    fn read(text: &str) -> Option<Self> {
        let names = [
            "protocolVersion",
            "clientIdentity",
            "addressCiphertext",
            "nonce",
            "requestUnixTimestamp",
            "requestSignature",
        ];
        let [version, client, ciphertext, nonce, time, signature] = fields(text, names)?;
        Some(Self {
            protocol_version: version?.unsigned()?,
            client: ClientId(client?.array()?),
            address_ciphertext: base64(ciphertext?)?,
            nonce: base64(nonce?)?,
            unix_seconds: time?.unsigned()?,
            signature: signature?.array()?,
        })
    }
}

/// `N` bytes as standard base64 with padding.
fn base64<const N: usize>(json: Json<'_>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let len = Base64::decode(json.text()?, &mut bytes).ok()?.len();
    (len == N).then_some(bytes)
}

/// What a gateway says in text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerText {
    /// A login has ended.
    Authenticate {
        /// The version of the login. Zero when it was missing.
        protocol_version: u8,
        /// Whether the client is in.
        status: bool,
        /// The balance in bytes; can be negative.
        bandwidth_remaining: i64,
        /// Whether nothing is metered at present. False when it was missing.
        upgrade_mode: bool,
    },
    /// A claim has been granted.
    Bandwidth {
        /// The balance in bytes.
        available_total: i64,
        /// As in [`ServerText::Authenticate`].
        upgrade_mode: bool,
    },
    /// A [`super::ControlReply`], sealed with the shared key.
    EncryptedResponse {
        /// JSON and the tag.
        ciphertext: Vec<u8>,
        /// The nonce.
        nonce: [u8; 12],
    },
    /// Something was refused.
    Error {
        /// Prose, cut to [`limits::FRAME_PROSE_MAX`] bytes. Untrusted: to be shown as plain text if at all.
        message: String,
    },
    /// The gateway gives the handshake up.
    HandshakeError {
        /// Prose, cut to [`limits::FRAME_PROSE_MAX`] bytes.
        message: String,
    },
    /// A step of the handshake.
    HandshakePayload {
        /// The version the gateway chose. Zero when it was missing.
        protocol_version: u8,
        /// The step; lengths are checked by the state that waits for it.
        data: Vec<u8>,
    },
    /// A registration has ended.
    Register {
        /// The version of the handshake. Zero when it was missing.
        protocol_version: u8,
        /// Whether the client is in.
        status: bool,
        /// As in [`ServerText::Authenticate`].
        upgrade_mode: bool,
    },
    /// One packet was taken. It may still be dropped later without notice.
    Send {
        /// The balance in bytes.
        remaining_bandwidth: i64,
        /// As in [`ServerText::Authenticate`].
        upgrade_mode: bool,
    },
    /// Answers [`ClientText::SupportedProtocol`].
    SupportedProtocol {
        /// The newest version that the gateway speaks.
        version: u8,
    },
    /// Something was refused for a reason that programs can read.
    TypedError {
        /// The reason.
        error: TypedError,
    },
    /// A type that we do not know. To be ignored once the client is in, and a failure before.
    Unknown,
}

impl ServerText {
    /// The frame.
    pub fn to_text(&self) -> String {
        let mode = |on: bool| ("upgrade_mode", Value::Boolean(on));
        let version = |version: u8| ("protocol_version", Value::Unsigned(version.into()));
        match self {
            Self::Authenticate { protocol_version, status, bandwidth_remaining, upgrade_mode } => {
                let fields = [
                    version(*protocol_version),
                    ("status", Value::Boolean(*status)),
                    ("bandwidth_remaining", Value::Signed(*bandwidth_remaining)),
                    mode(*upgrade_mode),
                ];
                frame("authenticate", &fields)
            }
            Self::Bandwidth { available_total, upgrade_mode } => {
                frame("bandwidth", &[("available_total", Value::Signed(*available_total)), mode(*upgrade_mode)])
            }
            Self::EncryptedResponse { ciphertext, nonce } => sealed("encryptedResponse", ciphertext, nonce),
            Self::Error { message } => frame("error", &[("message", Value::Text(message))]),
            Self::HandshakeError { message } => frame("handshakeError", &[("message", Value::Text(message))]),
            Self::HandshakePayload { protocol_version, data } => handshake(*protocol_version, data),
            Self::Register { protocol_version, status, upgrade_mode } => frame(
                "register",
                &[version(*protocol_version), ("status", Value::Boolean(*status)), mode(*upgrade_mode)],
            ),
            Self::Send { remaining_bandwidth, upgrade_mode } => {
                frame("send", &[("remaining_bandwidth", Value::Signed(*remaining_bandwidth)), mode(*upgrade_mode)])
            }
            Self::SupportedProtocol { version } => {
                frame("supportedProtocol", &[("version", Value::Unsigned((*version).into()))])
            }
            Self::TypedError { error } => frame("typedError", &[("error", Value::Json(&error.to_json()))]),
            Self::Unknown => frame("unknown", &[]),
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`], and [`FrameError::Malformed`] for what is not the object its type asks for. An unknown
    /// type is no error.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let kind = kind(text)?;
        Self::read(&kind, text).ok_or(FrameError::Malformed)
    }

    fn read(kind: &str, text: &str) -> Option<Self> {
        let flag = |field| or_default(field, Json::boolean);
        Some(match kind {
            "authenticate" => {
                let names = ["protocol_version", "status", "bandwidth_remaining", "upgrade_mode"];
                let [version, status, bandwidth_remaining, upgrade_mode] = fields(text, names)?;
                Self::Authenticate {
                    protocol_version: or_default(version, Json::unsigned)?,
                    status: status?.boolean()?,
                    bandwidth_remaining: bandwidth_remaining?.signed()?,
                    upgrade_mode: flag(upgrade_mode)?,
                }
            }
            "bandwidth" => {
                let [total, upgrade_mode] = fields(text, ["available_total", "upgrade_mode"])?;
                Self::Bandwidth { available_total: total?.signed()?, upgrade_mode: flag(upgrade_mode)? }
            }
            "encryptedResponse" => {
                let (ciphertext, nonce) = read_sealed(text)?;
                Self::EncryptedResponse { ciphertext, nonce }
            }
            "error" => Self::Error { message: read_prose(text)? },
            "handshakeError" => Self::HandshakeError { message: read_prose(text)? },
            "handshakePayload" => {
                let (protocol_version, data) = read_handshake(text)?;
                Self::HandshakePayload { protocol_version, data }
            }
            "register" => {
                let [version, status, upgrade_mode] = fields(text, ["protocol_version", "status", "upgrade_mode"])?;
                Self::Register {
                    protocol_version: or_default(version, Json::unsigned)?,
                    status: status?.boolean()?,
                    upgrade_mode: flag(upgrade_mode)?,
                }
            }
            "send" => {
                let [remaining, upgrade_mode] = fields(text, ["remaining_bandwidth", "upgrade_mode"])?;
                Self::Send { remaining_bandwidth: remaining?.signed()?, upgrade_mode: flag(upgrade_mode)? }
            }
            "supportedProtocol" => {
                let [version] = fields(text, ["version"])?;
                Self::SupportedProtocol { version: version?.unsigned()? }
            }
            "typedError" => {
                let [error] = fields(text, ["error"])?;
                Self::TypedError { error: TypedError::read(error?)? }
            }
            _ => Self::Unknown,
        })
    }
}

/// Why a request was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypedError {
    /// The packet was not forwarded: there is not enough bandwidth left.
    OutOfBandwidth {
        /// What the packet costs, in bytes.
        required: i64,
        /// What is left, in bytes; can be negative.
        available: i64,
    },
    /// The ticket has been spent before.
    TicketReplay,
}

impl TypedError {
    fn to_json(self) -> String {
        match self {
            Self::OutOfBandwidth { required, available } => {
                let fields = object(&[("required", Value::Signed(required)), ("available", Value::Signed(available))]);
                object(&[("out_of_bandwidth", Value::Json(&fields))])
            }
            Self::TicketReplay => String::from("\"ticket_replay\""),
        }
    }

    fn read(error: Json<'_>) -> Option<Self> {
        match error.text() {
            Some(name) => (name == "ticket_replay").then_some(Self::TicketReplay),
            None => {
                let ("out_of_bandwidth", fields) = error.only(&["out_of_bandwidth"])? else { return None };
                let [required, available] = fields.fields(["required", "available"])?;
                Some(Self::OutOfBandwidth { required: required?.signed()?, available: available?.signed()? })
            }
        }
    }
}

/// Why a frame is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A sealed part does not open: altered, or for another key.
    #[error("not authentic")]
    Authentication,
    /// A binary frame that is not marked as sealed.
    #[error("unsealed or unknown flag {0}")]
    Flag(u8),
    /// A binary frame of another kind.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// A text frame that is not the object its type asks for.
    #[error("malformed text frame")]
    Malformed,
    /// A push whose content has none of the five lengths; also what a reflected request looks like.
    #[error("a push of {0} bytes")]
    PushLength(usize),
    /// Longer than any legal frame.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// Too short to be a binary frame.
    #[error("a frame of {0} bytes is too short")]
    TooShort(usize),
    /// A text frame of a type that a gateway does not know.
    #[error("unknown type of request")]
    UnknownType,
}

/// The type of a frame. Reads the whole frame once, so that what follows the fields has to be JSON too.
fn kind(text: &str) -> Result<String, FrameError> {
    if text.len() > limits::FRAME_LEN_MAX {
        return Err(FrameError::TooLong(text.len()));
    }
    read_text(text, "type").ok_or(FrameError::Malformed)
}

/// The fields of a frame whose type is known.
fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[Option<Json<'a>>; N]> {
    Json(text.as_bytes()).fields(names)
}

fn read_text(text: &str, name: &str) -> Option<String> {
    let [field] = fields(text, [name])?;
    field?.text()
}

/// A message to show, at most as much as is worth it, cut between characters.
fn read_prose(text: &str) -> Option<String> {
    let mut message = read_text(text, "message")?;
    if message.len() > limits::FRAME_PROSE_MAX {
        let end = (0..=limits::FRAME_PROSE_MAX).rev().find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or(0));
    }
    Some(message)
}

fn read_handshake(text: &str) -> Option<(u8, Vec<u8>)> {
    let [version, data] = fields(text, ["protocol_version", "data"])?;
    Some((or_default(version, Json::unsigned)?, data?.bytes(limits::FRAME_HANDSHAKE_MAX)?))
}

fn read_sealed(text: &str) -> Option<(Vec<u8>, [u8; 12])> {
    let [ciphertext, nonce] = fields(text, ["ciphertext", "nonce"])?;
    Some((ciphertext?.bytes(limits::FRAME_CIPHERTEXT_MAX)?, nonce?.array()?))
}

fn handshake(version: u8, data: &[u8]) -> String {
    let fields = [("protocol_version", Value::Unsigned(version.into())), ("data", Value::Bytes(data))];
    frame("handshakePayload", &fields)
}

fn sealed(kind: &str, ciphertext: &[u8], nonce: &[u8; 12]) -> String {
    frame(kind, &[("ciphertext", Value::Bytes(ciphertext)), ("nonce", Value::Bytes(nonce))])
}

/// A frame: its type, then its fields.
fn frame(kind: &str, fields: &[(&str, Value<'_>)]) -> String {
    let mut all = Vec::from([("type", Value::Text(kind))]);
    all.extend_from_slice(fields);
    object(&all)
}
