//! The link to the gateway: closed, opening, authenticating, up, backing off.
//!
//! The handshake itself is the gateway room's; here are its timeouts, and when the link is believed to be dead although
//! nobody said so. What to do when a link fails is in `recovery.rs`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use rand_core::Rng;

use super::bandwidth::{Bandwidth, PACKET_COST};
use super::output::{Code, Event, Incoming, LinkId, Phase, Record, Request, State};
use super::{Engine, PacketFormat};
use crate::gateway::client::{
    LoggedIn, LoginFailure, Registered, Registering, Step, login_reply, login_request, negotiate,
};
use crate::gateway::frame::TypedError;
use crate::gateway::{self, ClientText, ServerText};
use crate::identity::Registration;
use crate::limits;
use crate::message::GatewayId;
use crate::time::{Duration, Instant};

/// The link, and what is remembered between two of them.
pub(super) struct Link {
    pub(super) state: LinkState,
    next_id: u64,
    url: String,
    /// The gateway of the present attempt, or the last one, and how far it has come.
    pub(super) tried: Option<GatewayId>,
    pub(super) phase: Phase,
    /// Attempts in a row that did not lead to a link that lasted.
    pub(super) failures: u32,
    /// Failures of the gateway now tried, while connecting for the first time.
    pub(super) gateway_failures: u32,
    /// Gateways that failed while connecting for the first time.
    pub(super) refused: Vec<GatewayId>,
    choice: Choice,
    /// How far this machine's clock is behind the gateway's, seconds.
    pub(super) clock_offset: i64,
    pub(super) skew_corrected: bool,
    pub(super) was_up: bool,
    /// What was said of the loss of the last link.
    pub(super) told: Option<Code>,
    /// The registration was made in this attempt to connect, and its address never handed out.
    pub(super) registered_now: bool,
    pub(super) lost_at: Option<Instant>,
    /// When the present link came up, or the last one.
    pub(super) up_since: Instant,
    /// The last time something authentic came back.
    heard: Instant,
    degraded: bool,
    pub(super) bandwidth: Bandwidth,
}

/// Who chooses the gateway of a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// Nobody was asked.
    Open,
    /// Whoever was asked has not answered.
    Asked,
    Made,
}

/// A type per state: each holds only what it needs.
pub(super) enum LinkState {
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
    /// Sent the login. `latest` is for one whose stored messages keep coming, `earlier` the login time before this one.
    LoggingIn { id: LinkId, deadline: Instant, latest: Instant, version: u8, earlier: u64 },
    /// Authenticated; waiting for bandwidth.
    Claiming { id: LinkId, deadline: Instant, session: Session },
    /// Traffic flows.
    Up { id: LinkId },
}

impl LinkState {
    pub(super) fn id(&self) -> Option<LinkId> {
        match self {
            Self::Closed | Self::Backoff { .. } => None,
            Self::Opening { id, .. }
            | Self::Negotiating { id, .. }
            | Self::Registering { id, .. }
            | Self::LoggingIn { id, .. }
            | Self::Claiming { id, .. }
            | Self::Up { id } => Some(*id),
        }
    }
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
            tried: None,
            phase: Phase::Gateway,
            failures: 0,
            gateway_failures: 0,
            refused: Vec::new(),
            choice: Choice::Open,
            clock_offset: 0,
            skew_corrected: false,
            was_up: false,
            told: None,
            registered_now: false,
            lost_at: None,
            up_since: Instant::ZERO,
            heard: Instant::ZERO,
            degraded: false,
            bandwidth: Bandwidth::new(),
        }
    }

    pub(super) fn id(&self) -> Option<LinkId> {
        self.state.id()
    }

    /// The name of the next link.
    pub(super) fn draw_id(&mut self) -> LinkId {
        let id = LinkId(self.next_id);
        self.next_id += 1;
        id
    }

    /// Another link takes its place, to another gateway and up already. Answers the state of the one before.
    pub(super) fn moved(&mut self, id: LinkId, url: String, gateway: GatewayId, now: Instant) -> LinkState {
        self.url = url;
        self.tried = Some(gateway);
        self.phase = Phase::Network;
        (self.failures, self.told, self.registered_now, self.degraded) = (0, None, false, false);
        (self.heard, self.up_since) = (now, now);
        core::mem::replace(&mut self.state, LinkState::Up { id })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn next_timeout(&self, silence: Duration) -> Option<Instant> {
        match &self.state {
            LinkState::Closed => None,
            LinkState::Backoff { until } => Some(*until),
            LinkState::Opening { deadline, .. }
            | LinkState::Negotiating { deadline, .. }
            | LinkState::Registering { deadline, .. }
            | LinkState::LoggingIn { deadline, .. }
            | LinkState::Claiming { deadline, .. } => Some(*deadline),
            LinkState::Up { .. } => {
                let deadline = self.silence_deadline(silence);
                Some(self.bandwidth.next_timeout().map_or(deadline, |at| at.min(deadline)))
            }
        }
    }

    /// When the silence next means something: `degraded` first, then the end of the link.
    fn silence_deadline(&self, silence: Duration) -> Instant {
        self.heard + if self.degraded { silence * limits::SILENCE_DEAD_FACTOR } else { silence }
    }

    /// A new attempt to connect: what was before it does not count.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.was_up = false;
    }

    /// Something came back, or nothing could: after a sleep, or a while in which nothing left, a link has the time to
    /// `degraded` once more to show itself.
    pub(super) fn heard_now(&mut self, now: Instant) {
        self.heard = now;
    }
}

impl<P: PacketFormat> Engine<P> {
    // ── what happened ────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn link_opened(&mut self, link: LinkId, now: Instant) {
        if self.is_second_link(link) {
            return self.second_link_opened(link, now);
        }
        let LinkState::Opening { id, gateway, .. } = self.link.state else { return };
        if id != link {
            return;
        }
        self.link_progress(Phase::Auth);
        self.say(id, &ClientText::SupportedProtocol);
        self.link.state = LinkState::Negotiating { id, gateway, deadline: now + limits::LINK_ANSWER_TIME };
    }

    pub(super) fn link_closed(&mut self, link: LinkId, now: Instant) {
        if self.link.id() == Some(link) {
            self.lose_link(Code::GatewayRefused, now);
        } else if self.is_second_link(link) {
            self.second_link_closed(link);
        }
    }

    pub(super) fn link_frame(&mut self, link: LinkId, frame: Incoming<'_>, now: Instant) {
        if self.is_second_link(link) {
            return self.second_link_frame(link, frame, now);
        }
        if self.link.id() != Some(link) {
            return;
        }
        let len = frame.len();
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
            Some(Ok(payload)) => {
                self.heard(now);
                self.handle_push(&payload, frame.len(), now);
            }
            Some(Err(_)) | None => self.stats.dropped.frame += 1,
        }
    }

    fn link_text(&mut self, text: ServerText, now: Instant) {
        let state = core::mem::replace(&mut self.link.state, LinkState::Closed);
        match (state, text) {
            (LinkState::Negotiating { id, gateway, .. }, ServerText::SupportedProtocol { version }) => {
                match negotiate(version) {
                    Ok(version) => self.authenticate(id, gateway, version, now),
                    Err(_) => self.refuse(id, Code::ProtocolVersion, now),
                }
            }
            (LinkState::Registering { id, gateway, deadline, handshake }, text) => {
                // A late answer to the version request is no step, and gives no more time.
                let is_step = !matches!(text, ServerText::SupportedProtocol { .. });
                let deadline = if is_step { now + limits::LINK_ANSWER_TIME } else { deadline };
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
                        let Registered { shared, version, upgrade_mode } = registered;
                        self.save_registration(Registration { gateway, url, shared, last_login: time });
                        self.link.registered_now = true;
                        self.own = self.identity.address(gateway).ok();
                        self.authenticated(id, Session { version }, LoggedIn { bandwidth: 0, upgrade_mode }, now);
                    }
                    Err(error) => self.handshake_failed(id, error, 0, now),
                }
            }
            (LinkState::LoggingIn { id, deadline, latest, version, earlier }, text) => match login_reply(&text) {
                None => self.link.state = LinkState::LoggingIn { id, deadline, latest, version, earlier },
                Some(Ok(login)) => self.authenticated(id, Session { version }, login, now),
                Some(Err(error)) => self.handshake_failed(id, error, earlier, now),
            },
            (LinkState::Claiming { id, session, .. }, ServerText::Bandwidth { available_total, upgrade_mode }) => {
                if upgrade_mode || available_total >= PACKET_COST {
                    self.up(id, session, upgrade_mode, now);
                } else {
                    self.refuse(id, Code::BandwidthExhausted, now);
                }
            }
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
            ServerText::Send { remaining_bandwidth, upgrade_mode } => {
                self.packet_taken(remaining_bandwidth, upgrade_mode, now);
            }
            ServerText::Bandwidth { available_total, upgrade_mode } => {
                self.bandwidth_granted(available_total, upgrade_mode, now);
            }
            ServerText::TypedError { error: TypedError::OutOfBandwidth { .. } } => self.packet_refused(now),
            ServerText::Error { message } => self.request_failed(&message, now),
            ServerText::EncryptedResponse { ciphertext, nonce } => self.link_reply(&ciphertext, &nonce),
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
        let silence = self.silence();
        if self.link.next_timeout(silence).is_none_or(|at| at > now) {
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
            LinkState::Up { .. } => {
                self.bandwidth_timeout(now);
                if self.session.is_some() && self.link.silence_deadline(silence) <= now {
                    self.silent_too_long(now);
                }
            }
        }
    }

    /// Nothing came back for a while, although each packet, real or cover, brings back at least an ack.
    fn silent_too_long(&mut self, now: Instant) {
        if self.is_held(now) {
            self.link.heard_now(now);
        } else if let Some(code) = self.no_echo(now) {
            // Another link would be as silent.
            self.link.heard_now(now);
            self.link.degraded = true;
            self.enter(State::Degraded, Some(code));
            self.directory.hasten(now);
        } else if self.link.degraded {
            // Perhaps it was not the link.
            self.directory.hasten(now);
            self.break_link(Code::GatewayTimeout, now);
        } else {
            self.link.degraded = true;
            self.enter(State::Degraded, Some(Code::GatewayTimeout));
        }
    }

    /// How long nothing may come back before it means something: where the user wants few packets or long delays, longer.
    pub(super) fn silence(&self) -> Duration {
        let traffic = &self.config.traffic;
        let gap = if traffic.danger_no_pacing { traffic.loop_cover } else { traffic.slot.min(traffic.loop_cover) };
        // With 20 packets expected, none in e²⁰ times comes by chance.
        limits::SILENCE_DEGRADED.max(gap * 20 + (traffic.hop_delay + traffic.ack_delay) * 10)
    }

    /// Something authentic came back.
    pub(super) fn heard(&mut self, now: Instant) {
        self.link.heard_now(now);
        if let LinkState::LoggingIn { deadline, latest, .. } = &mut self.link.state {
            // Stored messages come before the answer, and there may be many.
            *deadline = (now + limits::LINK_ANSWER_TIME).min(*latest);
        }
        if core::mem::take(&mut self.link.degraded) {
            self.enter_linked();
        }
    }

    /// The state of a client whose link is up.
    pub(super) fn enter_linked(&mut self) {
        if self.session.is_none() || self.link.degraded {
            return;
        }
        if self.is_gateway_gone() {
            self.enter(State::Degraded, Some(Code::GatewayGone));
        } else {
            self.enter(State::Ready, None);
        }
    }

    // ── the way up ───────────────────────────────────────────────────────────────────────────────────────────────

    fn open_link(&mut self, now: Instant) {
        let Some((gateway, url)) = self.next_gateway() else { return };
        let id = self.link.draw_id();
        self.link.url.clone_from(&url);
        self.link.tried = Some(gateway);
        self.link_progress(Phase::Gateway);
        self.link.state = LinkState::Opening { id, gateway, deadline: now + limits::LINK_OPEN_TIME };
        self.requests.push_back(Request::OpenLink { link: id, url });
    }

    /// Answers [`Event::GatewayWanted`]; `None`: any. Without having been asked it does nothing.
    pub fn choose_gateway(&mut self, gateway: Option<GatewayId>, now: Instant) {
        let now = self.advance(now);
        if self.link.choice != Choice::Asked {
            return;
        }
        self.link.choice = Choice::Made;
        if gateway.is_some() {
            self.config.gateway = gateway;
        }
        self.link_new_topology(now);
    }

    /// The gateway of our address, or the one the user named, or else one that is drawn or asked for. Fails the
    /// connecting where there is none.
    fn next_gateway(&mut self) -> Option<(GatewayId, String)> {
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
            .filter_map(|node| node.url(secure).map(|url| (node.id, url, u64::from(node.performance.max(1)))))
            .collect();
        if open.is_empty() {
            let plain_only = secure && topology.gateways().any(|node| node.url(false).is_some());
            let code = if plain_only && self.link.refused.is_empty() { Code::MixedContent } else { Code::NoGateway };
            self.fail(code, Phase::Gateway);
            return None;
        }
        if self.config.ask_for_gateway && self.link.choice != Choice::Made {
            if self.link.choice == Choice::Open {
                self.link.choice = Choice::Asked;
                self.events.push_back(Event::GatewayWanted);
            }
            return None;
        }
        // The bias of the remainder is below 2⁻⁴⁰.
        let mut at = self.rng.next_u64() % open.iter().map(|(.., weight)| weight).sum::<u64>();
        let drawn = open.into_iter().find(|(.., weight)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it
        });
        drawn.map(|(gateway, url, _)| (gateway, url))
    }

    fn authenticate(&mut self, id: LinkId, gateway: GatewayId, version: u8, now: Instant) {
        let unix = self.gateway_unix(now);
        let deadline = now + limits::LINK_ANSWER_TIME;
        match &mut self.registration {
            Some(known) => {
                // Logins of one client have different seconds, also over a reload: the gateway insists.
                let time = known.next_login(unix);
                let earlier = core::mem::replace(&mut known.last_login, time);
                let text = login_request(&self.identity.signing, &known.shared, version, time, &mut *self.rng);
                let bytes = known.to_bytes();
                self.requests.push_back(Request::Save { record: Record::Registration, bytes });
                self.say(id, &text);
                let latest = now + limits::LINK_LOGIN_TIME;
                self.link.state = LinkState::LoggingIn { id, deadline, latest, version, earlier };
            }
            None => {
                let (handshake, text) = Registering::start(&self.identity.signing, gateway, version, &mut *self.rng);
                self.say(id, &text);
                self.link.state = LinkState::Registering { id, gateway, deadline, handshake: Box::new(handshake) };
            }
        }
    }

    fn authenticated(&mut self, id: LinkId, session: Session, login: LoggedIn, now: Instant) {
        self.link.skew_corrected = false;
        if login.bandwidth < gateway::BANDWIDTH_REFILL && !login.upgrade_mode {
            self.link_progress(Phase::Bandwidth);
            self.say(id, &ClientText::ClaimFreeTestnetBandwidth);
            self.link.state = LinkState::Claiming { id, deadline: now + limits::LINK_ANSWER_TIME, session };
        } else {
            self.up(id, session, login.upgrade_mode, now);
        }
    }

    fn up(&mut self, id: LinkId, session: Session, unmetered: bool, now: Instant) {
        self.link.state = LinkState::Up { id };
        self.link.phase = Phase::Network;
        self.link.up_since = now;
        self.link.heard_now(now);
        self.link.degraded = false;
        self.link.registered_now = false;
        self.begin_bandwidth(unmetered, now);
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
        self.enter_linked();
    }

    /// The clocks of acks and messages go on. What left just before the link broke goes again soon.
    pub(super) fn thaw(&mut self, now: Instant) {
        let Some(since) = self.frozen_since.take() else { return };
        self.paused(now.since(since));
        if self.link.lost_at.take().is_some() {
            let tail = limits::LOST_TAIL.max(self.rtt.mean());
            self.outbound.hurry(now.before(tail), now + RESEND_GRACE);
        }
    }

    // ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    fn link_progress(&mut self, phase: Phase) {
        self.link.phase = phase;
        self.progress(phase);
    }

    /// Whether connecting has not got as far as a gateway.
    pub(super) fn link_waits_for_topology(&self) -> bool {
        self.state == State::Connecting && matches!(self.link.state, LinkState::Closed)
    }

    pub(super) fn say(&mut self, link: LinkId, text: &ClientText) {
        self.controls.push_back((link, text.to_text()));
    }

    pub(super) fn save_registration(&mut self, registration: Registration) {
        self.requests.push_back(Request::Save { record: Record::Registration, bytes: registration.to_bytes() });
        self.registration = Some(registration);
    }

    /// What time it is by this machine's clock, in seconds since 1970.
    pub fn unix(&self, now: Instant) -> u64 {
        (self.config.unix_zero + now.since(Instant::ZERO)).as_secs()
    }

    /// What time it is by the gateway's clock, as far as it is known, since 1970.
    pub(super) fn gateway_time(&self, now: Instant) -> Duration {
        let ours = self.config.unix_zero + now.since(Instant::ZERO);
        let offset = Duration::from_secs(self.link.clock_offset.unsigned_abs());
        if self.link.clock_offset < 0 { ours.saturating_sub(offset) } else { ours + offset }
    }

    pub(super) fn gateway_unix(&self, now: Instant) -> u64 {
        self.gateway_time(now).as_secs()
    }
}

/// After a new link: acks that wait at the gateway come first, then what is missing goes again.
const RESEND_GRACE: Duration = Duration::from_millis(500);
