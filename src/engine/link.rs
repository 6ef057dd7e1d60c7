//! The link to the gateway: closed, opening, authenticating, up, backing off.
//!
//! The handshake itself is the gateway room's; here are its timeouts, what to do when it fails, and when the link is
//! believed to be dead although nobody said so.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use rand_core::Rng;

use super::output::{Code, Event, Incoming, LinkId, Phase, Record, Request, State};
use super::{Engine, PacketFormat};
use crate::gateway::client::{
    HandshakeError, LoginFailure, Registered, Registering, Step, login_reply, login_request, negotiate,
};
use crate::gateway::frame::TypedError;
use crate::gateway::{self, ClientText, ServerText};
use crate::identity::Registration;
use crate::limits;
use crate::message::{Address, GatewayId};
use crate::time::{Duration, Instant};

/// The link, and what is remembered between two of them.
pub(super) struct Link {
    state: LinkState,
    next_id: u64,
    url: String,
    /// Attempts in a row that did not lead to traffic.
    failures: u32,
    /// Failures of the gateway now tried, while connecting for the first time.
    gateway_failures: u32,
    /// Gateways that failed while connecting for the first time.
    refused: Vec<GatewayId>,
    /// How far this machine's clock is behind the gateway's, seconds.
    clock_offset: i64,
    skew_corrected: bool,
    was_up: bool,
    /// The registration was made in this attempt to connect, and its address never handed out.
    registered_now: bool,
    lost_at: Option<Instant>,
    /// The last time something authentic came back.
    heard: Instant,
    degraded: bool,
    bandwidth: Bandwidth,
}

/// Bandwidth as the gateway counts it.
#[derive(Clone, Copy, Default)]
struct Bandwidth {
    /// The gateway refused a packet; nothing leaves until a claim is answered.
    spent: bool,
    /// A claim is under way since.
    claimed: Option<Instant>,
    not_before: Option<Instant>,
}

/// A type per state: each holds only what it needs.
enum LinkState {
    /// No link and none wanted yet.
    Closed,
    /// Waiting before the next attempt.
    Backoff { until: Instant },
    /// The WebSocket is being opened.
    Opening { id: LinkId, gateway: GatewayId, deadline: Instant },
    /// Asked for the gateway's version.
    Negotiating { id: LinkId, gateway: GatewayId, deadline: Instant },
    /// The registration handshake.
    Registering { id: LinkId, gateway: GatewayId, deadline: Instant, handshake: Box<Registering> },
    /// Sent the login.
    LoggingIn { id: LinkId, deadline: Instant, version: u8 },
    /// Authenticated; waiting for bandwidth.
    Claiming { id: LinkId, deadline: Instant, session: Session },
    /// Traffic flows.
    Up { id: LinkId },
}

/// What was agreed with the gateway; the key is in the registration.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub(super) version: u8,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            state: LinkState::Closed,
            next_id: 0,
            url: String::new(),
            failures: 0,
            gateway_failures: 0,
            refused: Vec::new(),
            clock_offset: 0,
            skew_corrected: false,
            was_up: false,
            registered_now: false,
            lost_at: None,
            heard: Instant::ZERO,
            degraded: false,
            bandwidth: Bandwidth::default(),
        }
    }

    pub(super) fn id(&self) -> Option<LinkId> {
        match &self.state {
            LinkState::Closed | LinkState::Backoff { .. } => None,
            LinkState::Opening { id, .. }
            | LinkState::Negotiating { id, .. }
            | LinkState::Registering { id, .. }
            | LinkState::LoggingIn { id, .. }
            | LinkState::Claiming { id, .. }
            | LinkState::Up { id } => Some(*id),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            LinkState::Closed => None,
            LinkState::Backoff { until } => Some(*until),
            LinkState::Opening { deadline, .. }
            | LinkState::Negotiating { deadline, .. }
            | LinkState::Registering { deadline, .. }
            | LinkState::LoggingIn { deadline, .. }
            | LinkState::Claiming { deadline, .. } => Some(*deadline),
            LinkState::Up { .. } => Some(self.silence_deadline()),
        }
    }

    /// When the silence next means something: `degraded` first, then the end of the link.
    fn silence_deadline(&self) -> Instant {
        self.heard + if self.degraded { limits::SILENCE_DEAD } else { limits::SILENCE_DEGRADED }
    }

    /// A new attempt to connect: what was before it does not count.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.was_up = false;
    }

    /// After a sleep the link is not believed: it has the time to `degraded` once more to show itself.
    pub(super) fn slept(&mut self, now: Instant) {
        self.heard = now;
    }
}

impl<P: PacketFormat> Engine<P> {
    // ── what happened ────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn link_opened(&mut self, link: LinkId, now: Instant) {
        let LinkState::Opening { id, gateway, .. } = self.link.state else { return };
        if id != link {
            return;
        }
        self.progress(Phase::Auth);
        self.say(id, &ClientText::SupportedProtocol);
        self.link.state = LinkState::Negotiating { id, gateway, deadline: now + limits::LINK_AUTH_TIME };
    }

    pub(super) fn link_closed(&mut self, link: LinkId, now: Instant) {
        if self.link.id() == Some(link) {
            self.lose_link(Code::GatewayRefused, now);
        }
    }

    pub(super) fn link_frame(&mut self, link: LinkId, frame: Incoming<'_>, now: Instant) {
        if self.link.id() != Some(link) {
            return;
        }
        let len = match frame {
            Incoming::Binary(bytes) => bytes.len(),
            Incoming::Text(text) => text.len(),
        };
        self.stats.bytes_in += len as u64;
        if len > limits::FRAME_LEN_MAX {
            self.stats.dropped.frame += 1;
            self.break_link(Code::GatewayRefused, now);
            return;
        }
        match frame {
            Incoming::Binary(bytes) => self.link_binary(bytes, now),
            Incoming::Text(text) => match ServerText::parse(text) {
                Ok(text) => self.link_text(text, now),
                Err(_) => {
                    self.stats.dropped.frame += 1;
                    // Before login nothing may be misunderstood; afterwards traffic does not depend on control frames.
                    if self.session.is_none() {
                        self.break_link(Code::GatewayRefused, now);
                    }
                }
            },
        }
    }

    /// A push. Stored ones come before the answer to registration or login.
    fn link_binary(&mut self, frame: &[u8], now: Instant) {
        let shared = match &self.link.state {
            LinkState::Up { .. } | LinkState::Claiming { .. } | LinkState::LoggingIn { .. } => {
                self.registration.as_ref().map(|known| &known.shared)
            }
            LinkState::Registering { handshake, .. } => handshake.shared(),
            _ => None,
        };
        match shared.map(|shared| P::open_push(shared, frame)) {
            Some(Ok(payload)) => self.handle_push(&payload, now),
            Some(Err(_)) | None => self.stats.dropped.frame += 1,
        }
    }

    fn link_text(&mut self, text: ServerText, now: Instant) {
        let state = core::mem::replace(&mut self.link.state, LinkState::Closed);
        match (state, text) {
            (LinkState::Negotiating { id, gateway, deadline }, ServerText::SupportedProtocol { version }) => {
                match negotiate(version) {
                    Ok(version) => self.authenticate(id, gateway, deadline, version, now),
                    Err(_) => self.refuse(id, Code::ProtocolVersion, now),
                }
            }
            (LinkState::Registering { id, gateway, deadline, handshake }, text) => {
                match handshake.next(&text, &self.identity.signing) {
                    Ok(Step::Wait(handshake)) => {
                        let handshake = Box::new(handshake);
                        self.link.state = LinkState::Registering { id, gateway, deadline, handshake };
                    }
                    Ok(Step::Send(handshake, reply)) => {
                        self.say(id, &reply);
                        let handshake = Box::new(handshake);
                        self.link.state = LinkState::Registering { id, gateway, deadline, handshake };
                    }
                    Ok(Step::Done(registered)) => {
                        // The gateway counts a registration as a login: the next one needs a later second.
                        let time = self.gateway_unix(now);
                        let url = self.link.url.clone();
                        let Registered { shared, version, .. } = registered;
                        self.save_registration(Registration { gateway, url, shared, last_login: time });
                        self.link.registered_now = true;
                        self.own = self.identity.address(gateway).ok();
                        self.authenticated(id, deadline, Session { version }, 0, now);
                    }
                    Err(error) => self.handshake_failed(id, error, now),
                }
            }
            (LinkState::LoggingIn { id, deadline, version }, text) => match login_reply(&text) {
                None => self.link.state = LinkState::LoggingIn { id, deadline, version },
                Some(Ok(login)) => self.authenticated(id, deadline, Session { version }, login.bandwidth, now),
                Some(Err(error)) => self.handshake_failed(id, error, now),
            },
            (LinkState::Claiming { id, session, .. }, ServerText::Bandwidth { .. }) => self.up(id, session, now),
            (LinkState::Claiming { id, .. }, ServerText::Error { message }) => {
                let failure = LoginFailure::from_message(&message);
                let code =
                    if failure == LoginFailure::Credentials { Code::BandwidthExhausted } else { Code::GatewayRefused };
                self.refuse(id, code, now);
            }
            (state @ LinkState::Up { .. }, text) => {
                self.link.state = state;
                self.up_text(text, now);
            }
            // A gateway that refuses before login says so and drops the connection.
            (LinkState::Negotiating { id, .. }, ServerText::Error { .. }) => self.refuse(id, Code::GatewayRefused, now),
            (state, _) => self.link.state = state,
        }
    }

    fn up_text(&mut self, text: ServerText, now: Instant) {
        match text {
            ServerText::Send { remaining_bandwidth, .. } => self.bandwidth_seen(remaining_bandwidth, now),
            ServerText::Bandwidth { available_total, .. } => {
                self.link.bandwidth.claimed = None;
                self.link.bandwidth.spent = false;
                self.bandwidth_seen(available_total, now);
            }
            ServerText::TypedError { error: TypedError::OutOfBandwidth { .. } } => {
                // The packet was discarded; it goes again when its ack is missed.
                self.link.bandwidth.spent = true;
                self.claim_bandwidth(now);
            }
            ServerText::Error { message } => {
                if self.link.bandwidth.claimed.take().is_some()
                    && LoginFailure::from_message(&message) == LoginFailure::Credentials
                {
                    self.break_link(Code::BandwidthExhausted, now);
                } else {
                    self.stats.dropped.frame += 1;
                }
            }
            _ => {}
        }
    }

    /// The online event: what waits for the next attempt waits no more.
    pub(super) fn link_hurry(&mut self, now: Instant) {
        if let LinkState::Backoff { until } = &mut self.link.state {
            *until = now;
        }
    }

    pub(super) fn link_new_topology(&mut self, now: Instant) {
        if self.state == State::Connecting && matches!(self.link.state, LinkState::Closed) {
            self.open_link(now);
        }
    }

    pub(super) fn link_timeout(&mut self, now: Instant) {
        if self.link.next_timeout().is_none_or(|at| at > now) {
            return;
        }
        match &self.link.state {
            LinkState::Closed => {}
            LinkState::Backoff { .. } => self.open_link(now),
            LinkState::Opening { .. }
            | LinkState::Negotiating { .. }
            | LinkState::Registering { .. }
            | LinkState::LoggingIn { .. }
            | LinkState::Claiming { .. } => self.break_link(Code::GatewayTimeout, now),
            LinkState::Up { .. } if self.link.degraded => self.break_link(Code::GatewayTimeout, now),
            LinkState::Up { .. } => {
                self.link.degraded = true;
                self.enter(State::Degraded, Some(Code::GatewayTimeout));
            }
        }
    }

    /// Something authentic came back.
    pub(super) fn heard(&mut self, now: Instant) {
        self.link.heard = now;
        if self.session.is_some() {
            self.link.failures = 0;
            if self.link.degraded {
                self.link.degraded = false;
                self.enter(State::Ready, None);
            }
        }
    }

    // ── the way up ───────────────────────────────────────────────────────────────────────────────────────────────

    fn open_link(&mut self, now: Instant) {
        let Some((gateway, url)) = self.choose_gateway() else { return };
        let id = LinkId(self.link.next_id);
        self.link.next_id += 1;
        self.link.url.clone_from(&url);
        self.progress(Phase::Gateway);
        self.link.state = LinkState::Opening { id, gateway, deadline: now + limits::LINK_OPEN_TIME };
        self.requests.push_back(Request::OpenLink { link: id, url });
    }

    /// The gateway of our address, or the one the user named, or else a random usable one. Fails the connecting where
    /// there is none.
    fn choose_gateway(&mut self) -> Option<(GatewayId, String)> {
        let topology = self.topology.as_ref()?;
        let secure = self.config.secure_page;
        if let Some(known) = &self.registration {
            let node_url = topology.gateway(&known.gateway).map(|node| node.url(secure));
            // A gateway that is not in the topology just now is tried where it was last.
            let url = node_url.unwrap_or_else(|| Some(known.url.clone()));
            let usable = url.filter(|url| !secure || url.starts_with("wss://"));
            let chosen = usable.map(|url| (known.gateway, url));
            if chosen.is_none() {
                self.fail(Code::MixedContent, Phase::Gateway);
            }
            return chosen;
        }
        if let Some(wanted) = self.config.gateway {
            let code = match topology.gateway(&wanted).map(|node| node.url(secure)) {
                Some(Some(url)) => return Some((wanted, url)),
                Some(None) if secure => Code::MixedContent,
                Some(None) | None => Code::NoGateway,
            };
            self.fail(code, Phase::Gateway);
            return None;
        }
        let open: Vec<_> = topology
            .gateways()
            .filter(|node| !self.link.refused.contains(&node.id))
            .filter_map(|node| node.url(secure).map(|url| (node.id, url)))
            .collect();
        if open.is_empty() {
            let plain_only = secure && topology.gateways().any(|node| node.url(false).is_some());
            let code = if plain_only && self.link.refused.is_empty() { Code::MixedContent } else { Code::NoGateway };
            self.fail(code, Phase::Gateway);
            return None;
        }
        // Uniform: the bias of the remainder is below 2⁻⁵⁰.
        let at = (self.rng.next_u64() % open.len() as u64) as usize;
        open.into_iter().nth(at)
    }

    fn authenticate(&mut self, id: LinkId, gateway: GatewayId, deadline: Instant, version: u8, now: Instant) {
        let unix = self.gateway_unix(now);
        match &mut self.registration {
            Some(known) => {
                // Logins of one client have different seconds, also over a reload: the gateway insists.
                let time = known.next_login(unix);
                known.last_login = time;
                let text = login_request(&self.identity.signing, &known.shared, version, time, &mut *self.rng);
                let bytes = known.to_bytes();
                self.requests.push_back(Request::Save { record: Record::Registration, bytes });
                self.say(id, &text);
                self.link.state = LinkState::LoggingIn { id, deadline, version };
            }
            None => {
                let (handshake, text) = Registering::start(&self.identity.signing, gateway, version, &mut *self.rng);
                self.say(id, &text);
                self.link.state = LinkState::Registering { id, gateway, deadline, handshake: Box::new(handshake) };
            }
        }
    }

    fn authenticated(&mut self, id: LinkId, deadline: Instant, session: Session, bandwidth: i64, now: Instant) {
        self.link.skew_corrected = false;
        if bandwidth < gateway::BANDWIDTH_REFILL {
            self.progress(Phase::Bandwidth);
            self.say(id, &ClientText::ClaimFreeTestnetBandwidth);
            self.link.state = LinkState::Claiming { id, deadline, session };
        } else {
            self.up(id, session, now);
        }
    }

    fn up(&mut self, id: LinkId, session: Session, now: Instant) {
        self.link.state = LinkState::Up { id };
        self.link.bandwidth = Bandwidth::default();
        self.link.heard = now;
        self.link.degraded = false;
        self.link.registered_now = false;
        self.session = Some(session);
        self.sealing_failed = false;
        self.thaw(now);
        self.pacing.start(now);
        if self.link.was_up {
            self.stats.reconnects += 1;
        } else {
            self.link.was_up = true;
            if let Some(address) = self.own.clone() {
                self.events.push_back(Event::Ready { address });
            }
        }
        self.enter(State::Ready, None);
    }

    /// The clocks of acks and messages go on. What left just before the link broke goes again soon.
    fn thaw(&mut self, now: Instant) {
        let Some(since) = self.frozen_since.take() else { return };
        self.paused(now.since(since));
        if self.link.lost_at.take().is_some() {
            let tail = limits::LOST_TAIL.max(self.rtt.mean());
            self.outbound.hurry(now.before(tail), now + RESEND_GRACE);
        }
    }

    // ── the way down ─────────────────────────────────────────────────────────────────────────────────────────────

    fn handshake_failed(&mut self, id: LinkId, error: HandshakeError, now: Instant) {
        match error {
            HandshakeError::Refused(failure) => self.login_failed(id, failure, now),
            HandshakeError::Version(_) => self.refuse(id, Code::ProtocolVersion, now),
            _ => self.refuse(id, Code::GatewayRefused, now),
        }
    }

    fn login_failed(&mut self, id: LinkId, failure: LoginFailure, now: Instant) {
        match failure {
            // The address stays: identity and gateway are the same, only the shared key is made anew.
            LoginFailure::NotRegistered | LoginFailure::KeysDiffer if self.registration.is_some() => {
                let gateway = self.registration.take().map(|known| known.gateway);
                self.config.gateway = self.config.gateway.or(gateway);
                self.requests.push_back(Request::Forget { record: Record::Registration });
                self.retry(id, Code::AuthRefused, Duration::ZERO, now);
            }
            LoginFailure::Stale | LoginFailure::TimestampUsed => {
                self.retry(id, Code::AuthRefused, Duration::from_secs(1), now);
            }
            LoginFailure::ClockSkew { server_unix: Some(server) } if !self.link.skew_corrected => {
                self.link.clock_offset = server as i64 - self.unix(now) as i64;
                self.link.skew_corrected = true;
                self.retry(id, Code::ClockSkew, Duration::ZERO, now);
            }
            LoginFailure::ClockSkew { .. } => self.refuse(id, Code::ClockSkew, now),
            LoginFailure::Version => self.refuse(id, Code::ProtocolVersion, now),
            LoginFailure::Credentials => self.refuse(id, Code::BandwidthExhausted, now),
            LoginFailure::AlreadyConnected => self.retry(id, Code::AuthRefused, Duration::from_secs(2), now),
            _ => self.refuse(id, Code::AuthRefused, now),
        }
    }

    /// Closes the link and tries the same again after exactly this time, as long as that is not hopeless.
    fn retry(&mut self, id: LinkId, code: Code, wait: Duration, now: Instant) {
        self.requests.push_back(Request::CloseLink { link: id });
        self.lose_link(code, now);
        if let LinkState::Backoff { until } = &mut self.link.state {
            *until = now + wait;
        }
    }

    /// The gateway said no.
    fn refuse(&mut self, id: LinkId, code: Code, now: Instant) {
        self.requests.push_back(Request::CloseLink { link: id });
        self.lose_link(code, now);
    }

    /// The link is of no use any more.
    fn break_link(&mut self, code: Code, now: Instant) {
        if let Some(id) = self.link.id() {
            self.refuse(id, code, now);
        }
    }

    fn lose_link(&mut self, code: Code, now: Instant) {
        let own = self.own.as_ref().map(Address::gateway);
        let (was_up, phase, gateway) = match &self.link.state {
            LinkState::Up { .. } => (true, Phase::Network, None),
            LinkState::Claiming { .. } => (false, Phase::Bandwidth, own),
            LinkState::Opening { gateway, .. } => (false, Phase::Gateway, Some(*gateway)),
            LinkState::Negotiating { gateway, .. } | LinkState::Registering { gateway, .. } => {
                (false, Phase::Auth, Some(*gateway))
            }
            _ => (false, Phase::Auth, own),
        };
        self.session = None;
        self.pacing.stop();
        self.controls.clear();
        self.drop_ahead();
        if was_up {
            self.frozen_since = Some(now);
            self.link.lost_at = Some(now);
        }
        self.link.failures = self.link.failures.saturating_add(1);
        self.link.state = LinkState::Backoff { until: now + self.backoff() };
        if self.link.was_up {
            self.enter(State::Reconnecting, Some(code));
            if self.config.reconnect.max_attempts.is_some_and(|max| self.link.failures > max) {
                self.fail(code, phase);
            }
        } else {
            self.first_connection_failed(code, phase, gateway, now);
        }
    }

    /// While connecting for the first time: the same gateway a few times, then another one where the user named none
    /// and there is no address to lose.
    fn first_connection_failed(&mut self, code: Code, phase: Phase, gateway: Option<GatewayId>, now: Instant) {
        self.link.gateway_failures += 1;
        let hopeless = matches!(code, Code::BandwidthExhausted | Code::ProtocolVersion | Code::MixedContent);
        if !hopeless && self.link.gateway_failures < limits::CONNECT_ATTEMPTS {
            return;
        }
        let may_move = self.config.gateway.is_none() && self.registration_is_new();
        self.link.gateway_failures = 0;
        if let Some(gateway) = gateway.filter(|_| may_move) {
            self.link.refused.push(gateway);
            let others = self.topology.as_ref().is_some_and(|topology| {
                topology
                    .gateways()
                    .any(|node| !self.link.refused.contains(&node.id) && node.url(self.config.secure_page).is_some())
            });
            if others && (self.link.refused.len() as u32) < limits::GATEWAYS_TRIED_MAX {
                if self.registration.take().is_some() {
                    self.own = None;
                    self.requests.push_back(Request::Forget { record: Record::Registration });
                }
                self.link.state = LinkState::Backoff { until: now };
                return;
            }
        }
        self.fail(code, phase);
    }

    /// Whether giving up this registration costs nobody an address: there is none, or it was made in this attempt and
    /// never seen by anyone.
    fn registration_is_new(&self) -> bool {
        self.registration.is_none() || self.link.registered_now
    }

    /// Between half and one and a half of a wait that doubles with each failure.
    fn backoff(&mut self) -> Duration {
        let exponent = self.link.failures.saturating_sub(1).min(16);
        let wait = (self.config.reconnect.min * (1 << exponent)).min(self.config.reconnect.max);
        wait * (500 + self.rng.next_u32() % 1_001) / 1_000
    }

    /// Closes whatever link there is; nothing more is tried.
    pub(super) fn link_shut(&mut self) {
        if let Some(link) = self.link.id() {
            self.requests.push_back(Request::CloseLink { link });
        }
        self.link.state = LinkState::Closed;
        self.link.gateway_failures = 0;
        self.link.refused.clear();
        self.session = None;
        self.pacing.stop();
        self.controls.clear();
        self.drop_ahead();
        if self.frozen_since.is_none() {
            self.frozen_since = Some(self.now);
        }
    }

    // ── bandwidth ────────────────────────────────────────────────────────────────────────────────────────────────

    fn bandwidth_seen(&mut self, remaining: i64, now: Instant) {
        if remaining < gateway::BANDWIDTH_REFILL {
            self.claim_bandwidth(now);
        }
    }

    /// One claim at a time, and not more than one in a while: the gateway's numbers are not to make us hammer it.
    fn claim_bandwidth(&mut self, now: Instant) {
        let bandwidth = &mut self.link.bandwidth;
        if bandwidth.claimed.is_some() || bandwidth.not_before.is_some_and(|at| at > now) {
            return;
        }
        bandwidth.claimed = Some(now);
        bandwidth.not_before = Some(now + limits::BANDWIDTH_CLAIM_GAP);
        if let Some(id) = self.link.id() {
            self.say(id, &ClientText::ClaimFreeTestnetBandwidth);
        }
    }

    pub(super) fn bandwidth_spent(&self) -> bool {
        self.link.bandwidth.spent
    }

    // ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    fn say(&mut self, link: LinkId, text: &ClientText) {
        self.controls.push_back((link, text.to_text()));
    }

    fn save_registration(&mut self, registration: Registration) {
        self.requests.push_back(Request::Save { record: Record::Registration, bytes: registration.to_bytes() });
        self.registration = Some(registration);
    }

    fn unix(&self, now: Instant) -> u64 {
        (self.config.unix_zero + now.since(Instant::ZERO)).as_secs()
    }

    /// The gateway's clock, as far as it is known.
    fn gateway_unix(&self, now: Instant) -> u64 {
        self.unix(now).saturating_add_signed(self.link.clock_offset)
    }
}

/// After a new link: acks that wait at the gateway come first, then what is missing goes again.
const RESEND_GRACE: Duration = Duration::from_millis(500);
