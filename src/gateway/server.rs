//! The link as a gateway sees it: one [`Session`] for each connection, and a [`Registry`] behind all of them.
//!
//! Nothing here touches a socket or the disk. A session takes a frame and says what to do; what outlives a session (keys,
//! balances, inboxes) is the registry's. Published clients of other make are served too: versions from 3 on in
//! handshakes, packets of kind 1 and 2 whatever was negotiated, unknown fields.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};

use super::client::both;
use super::frame::{ClientText, FrameError, LoginRequest, ServerText, TypedError};
use super::keys::{ClientId, IdentityKeypair, SharedKey, nonce, verify};
use super::sealed::{ControlReply, ControlRequest, open_request, seal_push};
use super::{BANDWIDTH_REFILL, FREE_BANDWIDTH, VERSION_MAX, VERSION_MIN};
use crate::date;
use crate::sphinx::MixPacket;
use crate::time::Duration;

/// How long a gateway waits for a message before a client is in. A version request starts it anew.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long either side waits for a step of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How far a login time may be from the gateway's clock, either way, in seconds.
pub const LOGIN_SKEW_SECS: u64 = 120;
/// What one ticket gives, in bytes.
pub const TICKET_BANDWIDTH: i64 = 200_000_000;

/// What a gateway knows beyond one connection.
pub trait Registry {
    /// The gateway's own key.
    fn identity(&self) -> &IdentityKeypair;

    /// The clock, in seconds since 1970.
    fn now_unix(&self) -> u64;

    /// The newest version to announce and to accept.
    fn version(&self) -> u8 {
        VERSION_MAX
    }

    /// The key of a client that is registered.
    fn shared_key(&self, client: &ClientId) -> Option<&SharedKey>;

    /// Keeps the key of a client, in place of an earlier one. Balance, inbox and last login stay.
    fn set_shared_key(&mut self, client: &ClientId, shared: SharedKey);

    /// Deletes key, balance and inbox of a client.
    fn forget(&mut self, client: &ClientId);

    /// The time of the last login that was accepted; zero without one.
    fn last_login(&self, client: &ClientId) -> u64;

    /// Keeps the time of a login.
    fn set_last_login(&mut self, client: &ClientId, unix_seconds: u64);

    /// What a client may still send; see [`Balance::at`].
    fn balance(&self, client: &ClientId) -> Balance;

    /// Keeps a balance.
    fn set_balance(&mut self, client: &ClientId, balance: Balance);

    /// A client has proved who it is and takes its place: an earlier session of the same identity has to be closed.
    /// `false` refuses the newcomer instead, as gateways do while the earlier one answers pings. The newest wins by
    /// default.
    fn take_over(&mut self, client: &ClientId) -> bool {
        let _ = client;
        true
    }

    /// Empties the inbox of a client, the oldest message first.
    fn take_stored(&mut self, client: &ClientId) -> Vec<Vec<u8>>;

    /// Whether bandwidth can be claimed for nothing.
    fn free_claims(&self) -> bool {
        true
    }

    /// Whether nothing is metered at present.
    fn upgrade_mode(&self) -> bool {
        false
    }

    /// Takes a ticket, opened but not checked. `false` refuses it.
    fn redeem(&mut self, client: &ClientId, ticket: &[u8]) -> bool {
        let _ = (client, ticket);
        false
    }

    /// Opens a packet request of a client; `None` when there is no such client. Only a simulation has another format.
    fn open_request(&self, client: &ClientId, frame: &[u8]) -> Option<Result<(u8, Vec<u8>), FrameError>> {
        Some(open_request(self.shared_key(client)?, frame))
    }

    /// The frame that hands `payload` to a client; `None` when there is no such client. Only a simulation has another
    /// format.
    fn seal_push(&self, client: &ClientId, payload: &[u8], rng: &mut dyn CryptoRng) -> Option<Vec<u8>> {
        Some(seal_push(self.shared_key(client)?, payload, rng))
    }

    /// Takes a token for the upgrade mode. `false` refuses it.
    fn upgrade(&mut self, token: &str) -> bool {
        let _ = token;
        false
    }
}

/// A client's bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Bytes left; can be negative.
    pub bytes: i64,
    /// From this second since 1970 on nothing is left.
    pub expires_unix: u64,
}

impl Balance {
    /// What is left at a time.
    pub fn at(self, now_unix: u64) -> i64 {
        if now_unix < self.expires_unix { self.bytes } else { 0 }
    }

    /// The balance after a claim. There is one expiry for all bytes, and each claim sets it: to a midnight in UTC, the
    /// next one or, with `days` above one, a later one.
    #[must_use]
    fn claimed(self, bytes: i64, days: u64, now_unix: u64) -> Self {
        let midnight = (now_unix / DAY_SECS).saturating_add(days).saturating_mul(DAY_SECS);
        Self { bytes: self.at(now_unix).saturating_add(bytes), expires_unix: midnight }
    }
}

/// What a gateway does about something, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a text frame.
    Text(String),
    /// Send a binary frame.
    Binary(Vec<u8>),
    /// Hand a packet to its first hop.
    Forward(MixPacket),
    /// Close the connection, without a close frame. The session is over.
    Close,
}

/// One connection of a client.
#[derive(Default)]
pub struct Session(State);

impl Session {
    /// A connection on which nothing was said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who this is, once proved.
    pub fn client(&self) -> Option<ClientId> {
        match self.0 {
            State::Active(client) => Some(client),
            _ => None,
        }
    }

    /// A text frame has arrived.
    ///
    /// Draws from `rng` for the second handshake step (32 bytes for the ephemeral key, 12 for the nonce), for every
    /// message from the inbox and for every sealed reply (12 bytes each).
    pub fn handle_text(&mut self, text: &str, registry: &mut dyn Registry, rng: &mut dyn CryptoRng) -> Vec<Output> {
        let frame = ClientText::parse(text);
        if let (Ok(ClientText::SupportedProtocol), State::Fresh | State::Active(_)) = (&frame, &self.0) {
            return say([ServerText::SupportedProtocol { version: registry.version() }]);
        }
        match core::mem::take(&mut self.0) {
            State::Fresh => match frame {
                Ok(ClientText::AuthenticateV2(request)) => self.login(&request, registry, rng),
                Ok(ClientText::HandshakePayload { protocol_version, data }) => {
                    self.handshake_init(protocol_version, &data, registry, rng)
                }
                Ok(ClientText::Authenticate) => self.refuse_once(
                    "this client uses a legacy authentication method that is not supported any more; please update it",
                ),
                _ => self.refuse_once("Only 'Register' or 'Authenticate' requests are allowed"),
            },
            State::Handshake(pending) => match frame {
                Ok(ClientText::HandshakePayload { data, .. }) => self.handshake_end(*pending, &data, registry, rng),
                Ok(ClientText::HandshakeError { message }) => {
                    self.refuse_handshake(&format!("error on the remote: {message}"))
                }
                // Others are waited through.
                _ => {
                    self.0 = State::Handshake(pending);
                    Vec::new()
                }
            },
            State::Active(client) => {
                self.0 = State::Active(client);
                match frame {
                    Ok(frame) => self.control(client, frame, registry, rng),
                    Err(FrameError::UnknownType) => say([error("received a text request of an unknown type")]),
                    Err(_) => say([error("received a malformed text request")]),
                }
            }
            State::Closed => {
                self.0 = State::Closed;
                Vec::new()
            }
        }
    }

    /// A binary frame has arrived.
    pub fn handle_binary(&mut self, frame: &[u8], registry: &mut dyn Registry) -> Vec<Output> {
        match &self.0 {
            State::Active(client) => forward(client, frame, registry),
            State::Fresh => self.refuse_once("Only 'Register' or 'Authenticate' requests are allowed"),
            State::Handshake(_) | State::Closed => Vec::new(),
        }
    }

    /// The client has been silent for [`LOGIN_TIMEOUT`], or for [`HANDSHAKE_TIMEOUT`] in a handshake. Means nothing
    /// once the client is in.
    pub fn handle_timeout(&mut self) -> Vec<Output> {
        match &self.0 {
            State::Fresh => self.refuse_once("timed out while waiting for the initial request"),
            State::Handshake(_) => self.refuse_handshake("timed out while waiting for a handshake message"),
            State::Active(_) | State::Closed => Vec::new(),
        }
    }

    /// The frame that hands `payload` to the client: 21 bytes of an ack, or what is left of a packet when its ack was cut
    /// off. `None` when the client is not in or was forgotten; then the payload belongs into the inbox.
    pub fn push(&self, payload: &[u8], registry: &dyn Registry, rng: &mut dyn CryptoRng) -> Option<Vec<u8>> {
        registry.seal_push(&self.client()?, payload, rng)
    }

    fn login(&mut self, request: &LoginRequest, registry: &mut dyn Registry, rng: &mut dyn CryptoRng) -> Vec<Output> {
        if let Err(reason) = check_login(request, registry) {
            return self.refuse_twice(&reason);
        }
        let client = request.client;
        if !registry.take_over(&client) {
            return self.refuse_twice(CONNECTED);
        }
        registry.set_last_login(&client, request.unix_seconds);
        self.0 = State::Active(client);
        let mut outputs = self.stored(&client, registry, rng);
        let (bandwidth_remaining, upgrade_mode) = report(&client, registry);
        outputs.extend(say([ServerText::Authenticate {
            protocol_version: request.protocol_version,
            status: true,
            bandwidth_remaining,
            upgrade_mode,
        }]));
        outputs
    }

    /// The first step, `client[32] || ephemeral[32] || salt[16]`, and the second as the answer.
    fn handshake_init(
        &mut self,
        proposed: u8,
        data: &[u8],
        registry: &dyn Registry,
        rng: &mut dyn CryptoRng,
    ) -> Vec<Output> {
        let Some((client, rest)) = data.split_first_chunk::<32>() else {
            return self.refuse_twice("the handshake message is too short to name a client");
        };
        let parts =
            rest.split_first_chunk::<32>().and_then(|(key, salt)| Some((*key, <[u8; 16]>::try_from(salt).ok()?)));
        let Some((theirs, salt)) = parts else {
            return self.refuse_handshake("received a handshake message of a wrong length");
        };
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        let ephemeral = StaticSecret::from(*secret);
        let ours = PublicKey::from(&ephemeral).to_bytes();
        let secret = ephemeral.diffie_hellman(&PublicKey::from(theirs));
        if !secret.was_contributory() {
            return self.refuse_handshake("received a degenerate key");
        }
        let shared = SharedKey::derive(secret.as_bytes(), &salt);
        let nonce = nonce(rng);
        let mut data = ours.to_vec();
        data.extend_from_slice(&shared.seal(&nonce, &registry.identity().sign(&both(&ours, &theirs))));
        data.extend_from_slice(&nonce);
        // Any older version is taken as it is: clients that log in with 4 or 5 later put 3 here.
        let version = proposed.min(registry.version());
        self.0 = State::Handshake(Box::new(Pending { client: ClientId(*client), shared, ours, theirs, version }));
        say([ServerText::HandshakePayload { protocol_version: version, data }])
    }

    /// The third step, a sealed signature and its nonce; the fourth, the inbox and the confirmation as the answer.
    fn handshake_end(
        &mut self,
        pending: Pending,
        data: &[u8],
        registry: &mut dyn Registry,
        rng: &mut dyn CryptoRng,
    ) -> Vec<Output> {
        let Pending { client, shared, ours, theirs, version } = pending;
        let Some((sealed, nonce)) = data.split_last_chunk::<12>() else {
            return self.refuse_handshake("received a handshake message of a wrong length");
        };
        // Only what has exactly 92 bytes holds a signature of 64.
        let signature = shared.open(nonce, sealed).and_then(|signature| <[u8; 64]>::try_from(signature).ok());
        let Some(signature) = signature else {
            return self.refuse_handshake("received a signature that does not open");
        };
        if !verify(&client.0, &both(&theirs, &ours), &signature) {
            return self.refuse_handshake("received invalid signature");
        }
        if !registry.take_over(&client) {
            return self.refuse_twice(CONNECTED);
        }
        registry.set_shared_key(&client, shared);
        self.0 = State::Active(client);
        let mut outputs = say([ServerText::HandshakePayload { protocol_version: version, data: Vec::from([1]) }]);
        outputs.extend(self.stored(&client, registry, rng));
        let upgrade_mode = registry.upgrade_mode();
        outputs.extend(say([ServerText::Register { protocol_version: version, status: true, upgrade_mode }]));
        outputs
    }

    /// Everything from the inbox, which comes before the answer that ends a login or registration.
    fn stored(&self, client: &ClientId, registry: &mut dyn Registry, rng: &mut dyn CryptoRng) -> Vec<Output> {
        let stored = registry.take_stored(client);
        stored.iter().filter_map(|payload| self.push(payload, registry, rng)).map(Output::Binary).collect()
    }

    /// A request of a client that is in.
    fn control(
        &mut self,
        client: ClientId,
        frame: ClientText,
        registry: &mut dyn Registry,
        rng: &mut dyn CryptoRng,
    ) -> Vec<Output> {
        let answer = match frame {
            ClientText::ClaimFreeTestnetBandwidth if registry.free_claims() => {
                claim(&client, FREE_BANDWIDTH, 1, registry)
            }
            ClientText::ClaimFreeTestnetBandwidth => {
                error("This gateway is only accepting coconut credentials for bandwidth")
            }
            ClientText::EcashCredential { enc_credential, iv } => {
                let ticket = registry.shared_key(&client).and_then(|shared| shared.open(&iv, &enc_credential));
                if ticket.is_some_and(|ticket| registry.redeem(&client, &ticket)) {
                    claim(&client, TICKET_BANDWIDTH, 7, registry)
                } else {
                    error("the credential was not accepted")
                }
            }
            ClientText::EncryptedRequest { ciphertext, nonce } => {
                let Some(shared) = registry.shared_key(&client) else {
                    return say([error("the client is not registered")]);
                };
                match ControlRequest::open(shared, &ciphertext, &nonce) {
                    Ok(ControlRequest::ForgetMe { client: forget, .. }) => {
                        let answer = ControlReply::ForgetMeAck.seal(shared, rng);
                        if forget {
                            registry.forget(&client);
                        }
                        answer
                    }
                    Ok(ControlRequest::RememberMe { .. }) => ControlReply::RememberMeAck.seal(shared, rng),
                    Err(_) => error("received a malformed encrypted request"),
                }
            }
            ClientText::UpgradeModeJwt { token } => {
                if registry.upgrade(&token) {
                    bandwidth(&client, registry)
                } else {
                    error("the upgrade mode token was not accepted")
                }
            }
            _ => error("this request is not allowed on an authenticated connection"),
        };
        say([answer])
    }

    /// One error, and the end.
    fn refuse_once(&mut self, reason: &str) -> Vec<Output> {
        self.0 = State::Closed;
        let mut outputs = say([error(reason)]);
        outputs.push(Output::Close);
        outputs
    }

    /// The error twice, as gateways do once they have understood what is wanted, and the end.
    fn refuse_twice(&mut self, reason: &str) -> Vec<Output> {
        let mut outputs = say([error(reason)]);
        outputs.extend(self.refuse_once(reason));
        outputs
    }

    /// The handshake's own error before the other two.
    fn refuse_handshake(&mut self, reason: &str) -> Vec<Output> {
        let mut outputs = say([ServerText::HandshakeError { message: String::from(reason) }]);
        outputs.extend(self.refuse_twice(reason));
        outputs
    }
}

#[derive(Default)]
enum State {
    #[default]
    Fresh,
    Handshake(Box<Pending>),
    Active(ClientId),
    Closed,
}

/// A handshake that waits for the client's signature.
struct Pending {
    client: ClientId,
    shared: SharedKey,
    ours: [u8; 32],
    theirs: [u8; 32],
    version: u8,
}

/// All checks of a login, in the order in which gateways make them.
fn check_login(request: &LoginRequest, registry: &dyn Registry) -> Result<(), String> {
    let version = request.protocol_version;
    if !(VERSION_MIN..=registry.version()).contains(&version) {
        return Err(format!(
            "incompatible protocol version: {version}, supported: {VERSION_MIN} to {}",
            registry.version()
        ));
    }
    let (now, signed) = (registry.now_unix(), request.unix_seconds);
    if now.abs_diff(signed) > LOGIN_SKEW_SECS {
        let (signed, now) = (date::to_rfc3339(signed), date::to_rfc3339(now));
        return Err(format!("the login time is excessively skewed: it is {signed}, that of the server {now}"));
    }
    if !verify(&request.client.0, &request.signed_bytes(), &request.signature) {
        return Err(String::from("failed to verify request signature"));
    }
    let Some(shared) = registry.shared_key(&request.client) else {
        return Err(String::from("the client is not registered"));
    };
    let expected = shared.seal(&request.nonce, &request.client.0);
    if !bool::from(expected.as_slice().ct_eq(request.address_ciphertext.as_slice())) {
        return Err(String::from("failed to verify provided address ciphertext"));
    }
    if signed <= registry.last_login(&request.client) {
        return Err(String::from("the login time is smaller or equal to one previously used"));
    }
    Ok(())
}

/// Opens a packet request, charges it and passes the packet on.
fn forward(client: &ClientId, frame: &[u8], registry: &mut dyn Registry) -> Vec<Output> {
    let Some(opened) = registry.open_request(client, frame) else {
        return say([error("the client is not registered")]);
    };
    let packet = match opened {
        Ok((1, bytes)) => MixPacket::parse_v1(&bytes),
        Ok((_, bytes)) => MixPacket::parse_v2(&bytes),
        Err(reason) => return say([error(&format!("received a malformed binary request: {reason}"))]),
    };
    let packet = match packet {
        Ok(packet) => packet,
        Err(reason) => return say([error(&format!("received a malformed mix packet: {reason}"))]),
    };
    let required = i64::try_from(packet.packet.as_bytes().len()).unwrap_or(i64::MAX);
    if !registry.upgrade_mode() {
        let (now, balance) = (registry.now_unix(), registry.balance(client));
        let available = balance.at(now);
        if available < required {
            return say([ServerText::TypedError { error: TypedError::OutOfBandwidth { required, available } }]);
        }
        registry.set_balance(client, Balance { bytes: available.saturating_sub(required), ..balance });
    }
    let (remaining_bandwidth, upgrade_mode) = report(client, registry);
    let mut outputs = Vec::from([Output::Forward(packet)]);
    outputs.extend(say([ServerText::Send { remaining_bandwidth, upgrade_mode }]));
    outputs
}

fn claim(client: &ClientId, bytes: i64, days: u64, registry: &mut dyn Registry) -> ServerText {
    let balance = registry.balance(client).claimed(bytes, days, registry.now_unix());
    registry.set_balance(client, balance);
    bandwidth(client, registry)
}

fn bandwidth(client: &ClientId, registry: &dyn Registry) -> ServerText {
    let (available_total, upgrade_mode) = report(client, registry);
    ServerText::Bandwidth { available_total, upgrade_mode }
}

/// The balance as clients are told it. In upgrade mode it is never so low that they would claim more.
fn report(client: &ClientId, registry: &dyn Registry) -> (i64, bool) {
    let left = registry.balance(client).at(registry.now_unix());
    if registry.upgrade_mode() { (left.max(BANDWIDTH_REFILL.saturating_add(1)), true) } else { (left, false) }
}

fn error(message: &str) -> ServerText {
    ServerText::Error { message: String::from(message) }
}

fn say<const N: usize>(frames: [ServerText; N]) -> Vec<Output> {
    frames.iter().map(|frame| Output::Text(frame.to_text())).collect()
}

const CONNECTED: &str = "there is already an open connection for this client";
const DAY_SECS: u64 = 24 * 60 * 60;
