//! Binary frames, and the control requests that travel sealed inside text frames.
//!
//! A binary frame is a kind, a flag, a nonce and a sealed text:
//! `kind[1] || flag[1] || nonce[12] || ciphertext || tag[16]`. Kind and flag are not authenticated, and the same key
//! serves both directions: what opens can still be a replay, or one of our own frames sent back.

use alloc::vec::Vec;
use rand_core::CryptoRng;

use super::frame::{ClientText, FrameError, ServerText};
use super::keys::{SharedKey, nonce};
use crate::json::{Json, Value, object};
use crate::limits;

/// What a binary frame adds to its text: kind, flag, nonce and tag.
pub const FRAME_OVERHEAD_LEN: usize = 30;
/// The lengths a push can have: an ack, or what is left of a fragment packet when its ack has been cut off.
pub const PUSH_LENS: [usize; 5] = [21, 1643, 7787, 15_979, 32_363];

/// Kind of a mix packet without rotation byte; towards the client, of a push.
const KIND_V1: u8 = 1;
/// Kind of a mix packet with rotation byte.
const KIND_V2: u8 = 2;
/// The flag of a sealed frame. Flag 0 means plain text, which we neither send nor take: anybody between client and
/// gateway could make such frames.
const SEALED: u8 = 1;

/// A request to forward `mix_packet`: as kind 2 when `v2` (it then has a rotation byte), else as kind 1.
///
/// Takes the nonce from `rng`.
pub fn seal_request(shared: &SharedKey, mix_packet: &[u8], v2: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
    seal(shared, if v2 { KIND_V2 } else { KIND_V1 }, mix_packet, rng)
}

/// Opens a request as the gateway: its kind, 1 or 2, and the mix packet.
///
/// # Errors
///
/// [`FrameError::TooLong`], [`FrameError::TooShort`], [`FrameError::Kind`], [`FrameError::Flag`] or
/// [`FrameError::Authentication`], checked in this order.
pub fn open_request(shared: &SharedKey, frame: &[u8]) -> Result<(u8, Vec<u8>), FrameError> {
    let (kind, nonce, sealed) = split(frame, &[KIND_V1, KIND_V2])?;
    Ok((kind, shared.open(nonce, sealed).ok_or(FrameError::Authentication)?))
}

/// A push of `payload` to the client. Takes the nonce from `rng`.
pub fn seal_push(shared: &SharedKey, payload: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    seal(shared, KIND_V1, payload, rng)
}

/// Opens a push as the client. 21 bytes are an ack, everything else is for the message room.
///
/// # Errors
///
/// [`FrameError::TooLong`], [`FrameError::TooShort`], [`FrameError::Kind`], [`FrameError::Flag`],
/// [`FrameError::PushLength`] or [`FrameError::Authentication`], checked in this order.
pub fn open_push(shared: &SharedKey, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let (_, nonce, sealed) = split(frame, &[KIND_V1])?;
    // Before anything is decrypted: it costs nothing, and it is what tells a push from our own request sent back.
    let len = frame.len().saturating_sub(FRAME_OVERHEAD_LEN);
    if !PUSH_LENS.contains(&len) {
        return Err(FrameError::PushLength(len));
    }
    shared.open(nonce, sealed).ok_or(FrameError::Authentication)
}

/// What a client asks its gateway beside the traffic. The complete list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlRequest {
    /// Asks to be forgotten.
    ForgetMe {
        /// Delete inbox, bandwidth and shared key. The registration is gone afterwards.
        client: bool,
        /// Without effect.
        stats: bool,
    },
    /// Lets the gateway count the session in its statistics. Not for a client that wants to be private.
    RememberMe {
        /// What kind of client this is.
        session_type: SessionKind,
    },
}

impl ControlRequest {
    /// The request, sealed. Takes the nonce from `rng`.
    pub fn seal(&self, shared: &SharedKey, rng: &mut dyn CryptoRng) -> ClientText {
        let (name, fields) = match self {
            Self::ForgetMe { client, stats } => {
                ("ForgetMe", object(&[("client", Value::Boolean(*client)), ("stats", Value::Boolean(*stats))]))
            }
            Self::RememberMe { session_type } => {
                ("RememberMe", object(&[("session_type", Value::Text(session_type.name()))]))
            }
        };
        let (ciphertext, nonce) = seal_json(shared, name, &fields, rng);
        ClientText::EncryptedRequest { ciphertext, nonce }
    }

    /// Opens a request as the gateway.
    ///
    /// # Errors
    ///
    /// [`FrameError::Authentication`] or [`FrameError::Malformed`].
    pub fn open(shared: &SharedKey, ciphertext: &[u8], nonce: &[u8; 12]) -> Result<Self, FrameError> {
        let json = shared.open(nonce, ciphertext).ok_or(FrameError::Authentication)?;
        Self::read(Json(&json)).ok_or(FrameError::Malformed)
    }

    fn read(json: Json<'_>) -> Option<Self> {
        Some(match json.only(&["ForgetMe", "RememberMe"])? {
            ("ForgetMe", fields) => {
                let [client, stats] = fields.fields(["client", "stats"])?;
                Self::ForgetMe { client: client?.boolean()?, stats: stats?.boolean()? }
            }
            (_, fields) => {
                let [kind] = fields.fields(["session_type"])?;
                let kind = kind?.text()?;
                Self::RememberMe { session_type: *SESSION_KINDS.iter().find(|known| known.name() == kind)? }
            }
        })
    }
}

/// Kinds of clients that a gateway counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are all there is to say")]
#[non_exhaustive]
pub enum SessionKind {
    Mixnet,
    Native,
    Socks5,
    Unknown,
    Vpn,
    Wasm,
}

const SESSION_KINDS: [SessionKind; 6] = [
    SessionKind::Mixnet,
    SessionKind::Native,
    SessionKind::Socks5,
    SessionKind::Unknown,
    SessionKind::Vpn,
    SessionKind::Wasm,
];

impl SessionKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Mixnet => "Mixnet",
            Self::Native => "Native",
            Self::Socks5 => "Socks5",
            Self::Unknown => "Unknown",
            Self::Vpn => "Vpn",
            Self::Wasm => "Wasm",
        }
    }
}

/// What a gateway answers to a [`ControlRequest`]. Written as an object with an empty object in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlReply {
    /// To [`ControlRequest::ForgetMe`].
    ForgetMeAck,
    /// To [`ControlRequest::RememberMe`].
    RememberMeAck,
}

impl ControlReply {
    /// The reply, sealed. Takes the nonce from `rng`.
    pub fn seal(&self, shared: &SharedKey, rng: &mut dyn CryptoRng) -> ServerText {
        let name = match self {
            Self::ForgetMeAck => "ForgetMeAck",
            Self::RememberMeAck => "RememberMeAck",
        };
        let (ciphertext, nonce) = seal_json(shared, name, "{}", rng);
        ServerText::EncryptedResponse { ciphertext, nonce }
    }

    /// Opens a reply as the client.
    ///
    /// # Errors
    ///
    /// [`FrameError::Authentication`] or [`FrameError::Malformed`].
    pub fn open(shared: &SharedKey, ciphertext: &[u8], nonce: &[u8; 12]) -> Result<Self, FrameError> {
        let json = shared.open(nonce, ciphertext).ok_or(FrameError::Authentication)?;
        let (name, fields) = Json(&json).only(&["ForgetMeAck", "RememberMeAck"]).ok_or(FrameError::Malformed)?;
        fields.fields([]).ok_or(FrameError::Malformed)?;
        Ok(if name == "ForgetMeAck" { Self::ForgetMeAck } else { Self::RememberMeAck })
    }
}

/// An object with one object of this name in it, sealed.
fn seal_json(shared: &SharedKey, name: &str, fields: &str, rng: &mut dyn CryptoRng) -> (Vec<u8>, [u8; 12]) {
    let nonce = nonce(rng);
    (shared.seal(&nonce, object(&[(name, Value::Json(fields))]).as_bytes()), nonce)
}

fn seal(shared: &SharedKey, kind: u8, text: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    let nonce = nonce(rng);
    let mut frame = Vec::with_capacity(text.len().saturating_add(FRAME_OVERHEAD_LEN));
    frame.extend_from_slice(&[kind, SEALED]);
    frame.extend_from_slice(&nonce);
    frame.extend_from_slice(text);
    if let Some((_, text)) = frame.split_first_chunk_mut::<14>() {
        let tag = shared.seal_in_place(&nonce, text);
        frame.extend_from_slice(&tag);
    }
    frame
}

/// Kind, nonce and sealed text of a frame that has a possible length, one of `kinds`, and is marked as sealed.
fn split<'a>(frame: &'a [u8], kinds: &[u8]) -> Result<(u8, &'a [u8; 12], &'a [u8]), FrameError> {
    if frame.len() > limits::FRAME_LEN_MAX {
        return Err(FrameError::TooLong(frame.len()));
    }
    let too_short = FrameError::TooShort(frame.len());
    let ([kind, flag], rest) = frame.split_first_chunk().ok_or(too_short)?;
    let (nonce, sealed) = rest.split_first_chunk().ok_or(too_short)?;
    if sealed.len() < SharedKey::TAG_LEN {
        return Err(too_short);
    }
    if !kinds.contains(kind) {
        return Err(FrameError::Kind(*kind));
    }
    if *flag != SEALED {
        return Err(FrameError::Flag(*flag));
    }
    Ok((*kind, nonce, sealed))
}
