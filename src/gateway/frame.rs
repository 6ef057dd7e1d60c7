//! Text frames: encode, decode, nothing else.
//!
//! A text frame is one JSON object with a `type`. The set of fields is open: unknown ones are ignored. There are no
//! request numbers; answers come in the order of requests, with `send` answers in between.

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::json::{Array, Base64Array, Bytes, object};
use super::keys::ClientId;
use crate::limits;

/// What a client says in text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
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
    #[serde(rename_all = "snake_case")]
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
    #[serde(rename_all = "snake_case")]
    HandshakePayload {
        /// The version the client proposes. Zero when it was missing.
        protocol_version: u8,
        /// The step; lengths are checked by the state that waits for it.
        data: Vec<u8>,
    },
    /// Asks which version the gateway speaks. Allowed at any time, costs nothing.
    SupportedProtocol,
    /// A signed token that switches the gateway to upgrade mode.
    #[serde(rename = "upgradeModeJWT")]
    UpgradeModeJwt {
        /// The token.
        token: String,
    },
}

impl ClientText {
    /// The frame.
    pub fn to_text(&self) -> String {
        to_text(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`], [`FrameError::UnknownType`], and [`FrameError::Malformed`] for everything else that is
    /// not the object its type asks for.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        Ok(match kind(text)?.as_str() {
            "authenticate" => Self::Authenticate,
            "authenticateV2" => Self::AuthenticateV2(fields::<LoginFields>(text)?.into()),
            "bandwidthCredential" => Self::BandwidthCredential,
            "bandwidthCredentialV2" => Self::BandwidthCredentialV2,
            "claimFreeTestnetBandwidth" => Self::ClaimFreeTestnetBandwidth,
            "ecashCredential" => {
                let CredentialFields { enc_credential, iv } = fields(text)?;
                Self::EcashCredential { enc_credential: enc_credential.0, iv: iv.0 }
            }
            "encryptedRequest" => {
                let SealedFields { ciphertext, nonce } = fields(text)?;
                Self::EncryptedRequest { ciphertext: ciphertext.0, nonce: nonce.0 }
            }
            "handshakeError" => Self::HandshakeError { message: fields::<MessageFields>(text)?.truncated() },
            "handshakePayload" | "registerHandshakeInitRequest" => {
                let HandshakeFields { protocol_version, data } = fields(text)?;
                Self::HandshakePayload { protocol_version, data: data.0 }
            }
            "supportedProtocol" => Self::SupportedProtocol,
            "upgradeModeJWT" => Self::UpgradeModeJwt { token: fields::<TokenFields>(text)?.token },
            _ => return Err(FrameError::UnknownType),
        })
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
impl Serialize for LoginRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("LoginRequest", 6)?;
        fields.serialize_field("protocolVersion", &self.protocol_version)?;
        fields.serialize_field("clientIdentity", &self.client.0)?;
        fields.serialize_field("addressCiphertext", &Base64::encode_string(&self.address_ciphertext))?;
        fields.serialize_field("nonce", &Base64::encode_string(&self.nonce))?;
        fields.serialize_field("requestUnixTimestamp", &self.unix_seconds)?;
        fields.serialize_field("requestSignature", self.signature.as_slice())?;
        fields.end()
    }
}

/// What a gateway says in text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[non_exhaustive]
pub enum ServerText {
    /// A login has ended.
    #[serde(rename_all = "snake_case")]
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
    #[serde(rename_all = "snake_case")]
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
    #[serde(rename_all = "snake_case")]
    HandshakePayload {
        /// The version the gateway chose. Zero when it was missing.
        protocol_version: u8,
        /// The step; lengths are checked by the state that waits for it.
        data: Vec<u8>,
    },
    /// A registration has ended.
    #[serde(rename_all = "snake_case")]
    Register {
        /// The version of the handshake. Zero when it was missing.
        protocol_version: u8,
        /// Whether the client is in.
        status: bool,
        /// As in [`ServerText::Authenticate`].
        upgrade_mode: bool,
    },
    /// One packet was taken. It may still be dropped later without notice.
    #[serde(rename_all = "snake_case")]
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
        to_text(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`], and [`FrameError::Malformed`] for what is not the object its type asks for. An unknown
    /// type is no error.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        Ok(match kind(text)?.as_str() {
            "authenticate" => {
                let AuthenticateFields { protocol_version, status, bandwidth_remaining, upgrade_mode } = fields(text)?;
                Self::Authenticate { protocol_version, status, bandwidth_remaining, upgrade_mode }
            }
            "bandwidth" => {
                let BandwidthFields { available_total, upgrade_mode } = fields(text)?;
                Self::Bandwidth { available_total, upgrade_mode }
            }
            "encryptedResponse" => {
                let SealedFields { ciphertext, nonce } = fields(text)?;
                Self::EncryptedResponse { ciphertext: ciphertext.0, nonce: nonce.0 }
            }
            "error" => Self::Error { message: fields::<MessageFields>(text)?.truncated() },
            "handshakeError" => Self::HandshakeError { message: fields::<MessageFields>(text)?.truncated() },
            "handshakePayload" => {
                let HandshakeFields { protocol_version, data } = fields(text)?;
                Self::HandshakePayload { protocol_version, data: data.0 }
            }
            "register" => {
                let RegisterFields { protocol_version, status, upgrade_mode } = fields(text)?;
                Self::Register { protocol_version, status, upgrade_mode }
            }
            "send" => {
                let SendFields { remaining_bandwidth, upgrade_mode } = fields(text)?;
                Self::Send { remaining_bandwidth, upgrade_mode }
            }
            "supportedProtocol" => Self::SupportedProtocol { version: fields::<VersionFields>(text)?.version },
            "typedError" => Self::TypedError { error: fields::<TypedErrorFields>(text)?.error },
            _ => Self::Unknown,
        })
    }
}

/// Why a request was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct AuthenticateFields {
    #[serde(default)]
    protocol_version: u8,
    status: bool,
    bandwidth_remaining: i64,
    #[serde(default)]
    upgrade_mode: bool,
}

#[derive(Deserialize)]
struct BandwidthFields {
    available_total: i64,
    #[serde(default)]
    upgrade_mode: bool,
}

#[derive(Deserialize)]
struct CredentialFields {
    enc_credential: Bytes<{ limits::FRAME_CREDENTIAL_MAX }>,
    #[serde(alias = "nonce")]
    iv: Array<12>,
}

#[derive(Deserialize)]
struct HandshakeFields {
    #[serde(default)]
    protocol_version: u8,
    data: Bytes<{ limits::FRAME_HANDSHAKE_MAX }>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginFields {
    protocol_version: u8,
    client_identity: Array<32>,
    address_ciphertext: Base64Array<48>,
    nonce: Base64Array<12>,
    request_unix_timestamp: u64,
    request_signature: Array<64>,
}

impl From<LoginFields> for LoginRequest {
    fn from(fields: LoginFields) -> Self {
        Self {
            protocol_version: fields.protocol_version,
            client: ClientId(fields.client_identity.0),
            address_ciphertext: fields.address_ciphertext.0,
            nonce: fields.nonce.0,
            unix_seconds: fields.request_unix_timestamp,
            signature: fields.request_signature.0,
        }
    }
}

#[derive(Deserialize)]
struct MessageFields {
    message: String,
}

impl MessageFields {
    /// At most as much as is worth showing, cut between characters.
    fn truncated(mut self) -> String {
        let end = (0..=limits::FRAME_PROSE_MAX).rev().find(|at| self.message.is_char_boundary(*at));
        if self.message.len() > limits::FRAME_PROSE_MAX {
            self.message.truncate(end.unwrap_or(0));
        }
        self.message
    }
}

#[derive(Deserialize)]
struct RegisterFields {
    #[serde(default)]
    protocol_version: u8,
    status: bool,
    #[serde(default)]
    upgrade_mode: bool,
}

#[derive(Deserialize)]
struct SealedFields {
    ciphertext: Bytes<{ limits::FRAME_CIPHERTEXT_MAX }>,
    nonce: Array<12>,
}

#[derive(Deserialize)]
struct SendFields {
    remaining_bandwidth: i64,
    #[serde(default)]
    upgrade_mode: bool,
}

#[derive(Deserialize)]
struct TokenFields {
    token: String,
}

#[derive(Deserialize)]
struct TypedErrorFields {
    error: TypedError,
}

#[derive(Deserialize)]
struct VersionFields {
    version: u8,
}

/// The type of a frame. Reads the whole frame once, so that what follows the fields has to be JSON too.
fn kind(text: &str) -> Result<String, FrameError> {
    if text.len() > limits::FRAME_LEN_MAX {
        return Err(FrameError::TooLong(text.len()));
    }
    Ok(fields::<Kind>(text)?.kind)
}

/// The fields of a frame whose type is known. A second reading costs little and needs no copy of the frame's parts,
/// which a reader that takes fields in any order would have to keep.
fn fields<T: DeserializeOwned>(text: &str) -> Result<T, FrameError> {
    object(text).ok_or(FrameError::Malformed)
}

fn to_text(frame: &impl Serialize) -> String {
    // Only maps with other keys than strings cannot be written, and there are none.
    serde_json::to_string(frame).unwrap_or_default()
}
