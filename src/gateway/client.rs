//! Registering and logging in, as seen by a client.
//!
//! A value per state, consumed by each reply. What is missing here is what a handshake must not know: timeouts,
//! back-off, giving up, saving the result.

use alloc::string::String;
use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};

use super::frame::{ClientText, LoginRequest, ServerText};
use super::keys::{IdentityKeypair, SharedKey, nonce, verify};
use super::{VERSION_MAX, VERSION_MIN};
use crate::date;
use crate::message::GatewayId;

/// The version to speak with a gateway that announces `announced`.
///
/// # Errors
///
/// [`HandshakeError::Version`] when the gateway is too old.
pub fn negotiate(announced: u8) -> Result<u8, HandshakeError> {
    if announced < VERSION_MIN { Err(HandshakeError::Version(announced)) } else { Ok(announced.min(VERSION_MAX)) }
}

/// A login for the time `unix_seconds`, which has to be later than that of any login before.
///
/// Takes the nonce from `rng`. The answer is for [`login_reply`].
pub fn login_request(
    identity: &IdentityKeypair,
    shared: &SharedKey,
    version: u8,
    unix_seconds: u64,
    rng: &mut dyn CryptoRng,
) -> ClientText {
    let client = identity.client_id();
    let nonce = nonce(rng);
    let mut address_ciphertext = [0; 48];
    for (place, byte) in address_ciphertext.iter_mut().zip(shared.seal(&nonce, &client.0)) {
        *place = byte;
    }
    let mut request =
        LoginRequest { protocol_version: version, client, address_ciphertext, nonce, unix_seconds, signature: [0; 64] };
    request.signature = identity.sign(&request.signed_bytes());
    ClientText::AuthenticateV2(request)
}

/// What a reply to a login means. `None`: nothing, keep waiting; a late answer to a version request is one such.
///
/// # Errors
///
/// [`HandshakeError`] when the login has failed.
pub fn login_reply(reply: &ServerText) -> Option<Result<LoggedIn, HandshakeError>> {
    match *reply {
        ServerText::Authenticate { protocol_version, status, bandwidth_remaining, upgrade_mode } => {
            Some(if protocol_version > VERSION_MAX {
                Err(HandshakeError::Version(protocol_version))
            } else if status {
                Ok(LoggedIn { bandwidth: bandwidth_remaining, upgrade_mode })
            } else {
                Err(HandshakeError::Refused(LoginFailure::Other))
            })
        }
        ServerText::SupportedProtocol { .. } => None,
        ref other => Some(Err(HandshakeError::from_unexpected(other))),
    }
}

/// A login that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The balance in bytes.
    pub bandwidth: i64,
    /// Whether nothing is metered at present.
    pub upgrade_mode: bool,
}

/// A registration on its way.
///
/// Four handshake steps and a confirmation. Both sides make an ephemeral X25519 key; the shared secret and the client's
/// salt give the [`SharedKey`]; each side signs both ephemeral keys, its own first, and sends the signature sealed
/// with that key.
pub struct Registering(State);

impl Registering {
    /// Begins a registration with the gateway that owns the identity `gateway`, whoever is on the other side of the link.
    ///
    /// Takes from `rng`, in this order: 32 bytes for the ephemeral key, 16 for the salt, 12 for the nonce.
    pub fn start(
        identity: &IdentityKeypair,
        gateway: GatewayId,
        version: u8,
        rng: &mut dyn CryptoRng,
    ) -> (Self, ClientText) {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        let ephemeral = StaticSecret::from(*secret);
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let nonce = nonce(rng);

        let public = PublicKey::from(&ephemeral);
        let mut data = identity.client_id().0.to_vec();
        data.extend_from_slice(public.as_bytes());
        data.extend_from_slice(&salt);
        let frame = ClientText::HandshakePayload { protocol_version: version, data };
        (Self(State::Material { gateway, ephemeral, public, salt, nonce }), frame)
    }

    /// Takes a reply. `identity` is the one that the registration was started with.
    ///
    /// # Errors
    ///
    /// Any error ends the attempt, and nothing of it may be kept; [`HandshakeError::farewell`] says what the gateway should be told.
    pub fn next(self, reply: &ServerText, identity: &IdentityKeypair) -> Result<Step, HandshakeError> {
        // The answer to a keep-alive of before can still be on its way.
        if let ServerText::SupportedProtocol { .. } = reply {
            return Ok(Step::Wait(self));
        }
        match (self.0, reply) {
            (
                State::Material { gateway, ephemeral, public, salt, nonce },
                ServerText::HandshakePayload { protocol_version, data },
            ) => {
                let version = *protocol_version;
                if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
                    return Err(HandshakeError::Version(version));
                }
                let theirs = Material::parse(data)?;
                let secret = ephemeral.diffie_hellman(&PublicKey::from(theirs.ephemeral));
                if !secret.was_contributory() {
                    return Err(HandshakeError::WeakKey);
                }
                let shared = SharedKey::derive(secret.as_bytes(), &salt);
                let signature =
                    shared.open(&theirs.nonce, theirs.sealed_signature).ok_or(HandshakeError::Authentication)?;
                let signature = signature.try_into().map_err(|_| HandshakeError::Signature)?;
                if !verify(&gateway.0, &both(&theirs.ephemeral, public.as_bytes()), &signature) {
                    return Err(HandshakeError::Signature);
                }
                let mut data = shared.seal(&nonce, &identity.sign(&both(public.as_bytes(), &theirs.ephemeral)));
                data.extend_from_slice(&nonce);
                let frame = ClientText::HandshakePayload { protocol_version: version, data };
                Ok(Step::Send(Self(State::Confirmation { shared, version }), frame))
            }
            (State::Confirmation { shared, version }, ServerText::HandshakePayload { data, .. }) => {
                match data.as_slice() {
                    [1] => Ok(Step::Wait(Self(State::Register { shared, version }))),
                    [_] => Err(HandshakeError::Refused(LoginFailure::Other)),
                    other => Err(HandshakeError::Length(other.len())),
                }
            }
            (State::Register { shared, version }, ServerText::Register { protocol_version, status, upgrade_mode }) => {
                match *protocol_version {
                    _ if !status => Err(HandshakeError::Refused(LoginFailure::Other)),
                    // An old gateway does not repeat it.
                    0 => Ok(Step::Done(Registered { shared, version, upgrade_mode: *upgrade_mode })),
                    VERSION_MIN..=VERSION_MAX => {
                        let version = version.min(*protocol_version);
                        Ok(Step::Done(Registered { shared, version, upgrade_mode: *upgrade_mode }))
                    }
                    other => Err(HandshakeError::Version(other)),
                }
            }
            (_, other) => Err(HandshakeError::from_unexpected(other)),
        }
    }

    /// The key that stored messages arrive under between the last handshake step and the end of the registration.
    ///
    /// `None` before the gateway has proved who it is.
    pub fn shared(&self) -> Option<&SharedKey> {
        match &self.0 {
            State::Material { .. } => None,
            State::Confirmation { shared, .. } | State::Register { shared, .. } => Some(shared),
        }
    }
}

/// What follows from a reply.
pub enum Step {
    /// Nothing yet.
    Wait(Registering),
    /// Send this and wait for the next reply. From now on pushes can come, sealed with [`Registering::shared`].
    Send(Registering, ClientText),
    /// The client is registered.
    Done(Registered),
}

/// A registration that has succeeded.
pub struct Registered {
    /// What it leaves, for this link and for every later one.
    pub shared: SharedKey,
    /// The version to speak on this link.
    pub version: u8,
    /// Whether nothing is metered at present.
    pub upgrade_mode: bool,
}

/// Which reply is waited for, and what it will be held against.
enum State {
    Material { gateway: GatewayId, ephemeral: StaticSecret, public: PublicKey, salt: [u8; 16], nonce: [u8; 12] },
    Confirmation { shared: SharedKey, version: u8 },
    Register { shared: SharedKey, version: u8 },
}

/// Why a registration or login has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The gateway's step does not open under the key that was agreed on.
    #[error("the gateway's handshake is not authentic")]
    Authentication,
    /// A step of a length that it cannot have.
    #[error("a handshake step of {0} bytes")]
    Length(usize),
    /// The gateway has refused.
    #[error("the gateway has refused: {0}")]
    Refused(LoginFailure),
    /// The signature is not by the gateway that was expected.
    #[error("the gateway is not the one that was expected")]
    Signature,
    /// A frame that nobody has asked for.
    #[error("the gateway has sent something unexpected")]
    Unexpected,
    /// The gateway speaks a version that we do not.
    #[error("the gateway speaks version {0}")]
    Version(u8),
    /// The gateway's ephemeral key gives a secret that everybody knows.
    #[error("the gateway has sent a degenerate key")]
    WeakKey,
}

impl HandshakeError {
    /// What to tell the gateway before the link is closed, if anything.
    pub fn farewell(self) -> Option<ClientText> {
        match self {
            Self::Refused(_) => None,
            _ => Some(ClientText::HandshakeError { message: String::from("handshake failed") }),
        }
    }

    /// The meaning of a frame in a state that does not wait for it.
    fn from_unexpected(frame: &ServerText) -> Self {
        match frame {
            ServerText::Error { message } | ServerText::HandshakeError { message } => {
                Self::Refused(LoginFailure::from_message(message))
            }
            _ => Self::Unexpected,
        }
    }
}

/// Why a gateway refuses a login or a registration, as far as its prose tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginFailure {
    /// The identity is connected elsewhere. Back off; do not loop.
    #[error("this identity is connected elsewhere")]
    AlreadyConnected,
    /// Our clock is wrong by more than two minutes. Correct it by an offset and sign again.
    #[error("the clock of this machine is wrong")]
    ClockSkew {
        /// The gateway's clock in seconds since 1970, if its text says so.
        server_unix: Option<u64>,
    },
    /// The gateway takes only tickets. Choose another one.
    #[error("the gateway wants to be paid")]
    Credentials,
    /// The shared keys differ. Register again.
    #[error("the gateway has another key")]
    KeysDiffer,
    /// The gateway does not know us. Forget the shared key and register.
    #[error("the gateway does not know this client")]
    NotRegistered,
    /// Anything else.
    #[error("no reason that is known")]
    Other,
    /// The time is not later than that of the session that is still open. Wait a second and sign again.
    #[error("a later session is open")]
    Stale,
    /// The gateway has trouble with its own store. Back off.
    #[error("the gateway has a problem of its own")]
    Storage,
    /// The time was used before. Wait until the clock has passed it and sign again.
    #[error("the login time was used before")]
    TimestampUsed,
    /// The gateway does not speak our version.
    #[error("the gateway speaks another version")]
    Version,
}

impl LoginFailure {
    /// Sorts the prose of an error by the phrases that gateways are known to use.
    pub fn from_message(message: &str) -> Self {
        let known = [
            ("client is not registered", Self::NotRegistered),
            ("already an open connection", Self::AlreadyConnected),
            ("stale", Self::Stale),
            ("smaller or equal to", Self::TimestampUsed),
            ("verify provided address ciphertext", Self::KeysDiffer),
            ("incompatible protocol version", Self::Version),
            ("only accepting coconut credentials", Self::Credentials),
            ("nternal gateway storage error", Self::Storage),
        ];
        if message.contains("excessively skewed") {
            return Self::ClockSkew { server_unix: server_time(message) };
        }
        known.into_iter().find(|(phrase, _)| message.contains(phrase)).map_or(Self::Other, |(_, failure)| failure)
    }
}

/// The gateway's time in a text that also holds ours: the first one after the last mention of the server, and if there
/// is none, the last one of all.
fn server_time(message: &str) -> Option<u64> {
    let after_server = message.rfind("server").and_then(|at| message.get(at..)).and_then(|rest| dates(rest).next());
    after_server.or_else(|| dates(message).last())
}

fn dates(text: &str) -> impl Iterator<Item = u64> {
    text.char_indices().filter_map(|(at, _)| date::parse_unix(text.get(at..)?))
}

/// The gateway's step.
struct Material<'a> {
    ephemeral: [u8; 32],
    sealed_signature: &'a [u8],
    nonce: [u8; 12],
}

impl<'a> Material<'a> {
    fn parse(data: &'a [u8]) -> Result<Self, HandshakeError> {
        let length = HandshakeError::Length(data.len());
        if data.len() != 32 + 80 + 12 {
            return Err(length);
        }
        let (ephemeral, rest) = data.split_first_chunk().ok_or(length)?;
        let (sealed_signature, nonce) = rest.split_last_chunk().ok_or(length)?;
        Ok(Self { ephemeral: *ephemeral, sealed_signature, nonce: *nonce })
    }
}

/// What a side signs: its own ephemeral key, then the other one.
pub(super) fn both(own: &[u8; 32], other: &[u8; 32]) -> [u8; 64] {
    let mut signed = [0; 64];
    let (first, second) = signed.split_at_mut(32);
    first.copy_from_slice(own);
    second.copy_from_slice(other);
    signed
}
