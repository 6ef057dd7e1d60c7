//! What to do when a link fails: the same again after a while, register anew, another gateway, or ask the user.
//!
//! | what happened | what follows |
//! |---|---|
//! | closed, silent, no answer in time, not in the protocol | the same again, backing off |
//! | the gateway does not know us, or has another key | register again, at once; the address stays |
//! | our clock is off and the gateway told its time | log in again by that time, at once and once |
//! | the login time was used, the gateway is in trouble | the same again, backing off |
//! | this identity is connected elsewhere | the same again, backing off, and the user is told |
//! | the clock is off and nobody knows how much, another version, no free bandwidth | the user is told; tried again seldom |
//!
//! While connecting for the first time the last three end it, unless another gateway may be tried.

use rand_core::Rng;

use super::link::LinkState;
use super::output::{Code, Event, LinkId, Phase, Record, Request, State};
use super::{Engine, PacketFormat};
use crate::gateway::client::{HandshakeError, LoginFailure};
use crate::gateway::server::LOGIN_SKEW_SECS;
use crate::limits;
use crate::time::{Duration, Instant};

impl<P: PacketFormat> Engine<P> {
    /// A registration or login has failed; `earlier` is the login time before this one.
    pub(super) fn handshake_failed(&mut self, id: LinkId, error: HandshakeError, earlier: u64, now: Instant) {
        match error {
            HandshakeError::Refused(failure) => self.login_failed(id, failure, earlier, now),
            HandshakeError::Version(_) => self.refuse(id, Code::ProtocolVersion, now),
            _ => self.refuse(id, Code::GatewayRefused, now),
        }
    }

    fn login_failed(&mut self, id: LinkId, failure: LoginFailure, earlier: u64, now: Instant) {
        match failure {
            // The address stays: identity and gateway are the same, only the shared key is made anew.
            LoginFailure::NotRegistered | LoginFailure::KeysDiffer if self.registration.is_some() => {
                let gateway = self.registration.take().map(|known| known.gateway);
                self.config.gateway = self.config.gateway.or(gateway);
                self.requests.push_back(Request::Forget { record: Record::Registration });
                self.again_at_once(id, now);
            }
            LoginFailure::ClockSkew { server_unix } => self.clock_is_off(id, server_unix, earlier, now),
            LoginFailure::AlreadyConnected => {
                self.refuse(id, Code::InUse, now);
                if let LinkState::Backoff { until } = &mut self.link.state {
                    *until = (*until).max(now + IN_USE_WAIT);
                }
            }
            LoginFailure::Version => self.refuse(id, Code::ProtocolVersion, now),
            LoginFailure::Credentials => self.refuse(id, Code::BandwidthExhausted, now),
            LoginFailure::Storage => self.refuse(id, Code::GatewayRefused, now),
            // The next login has a later time than any before.
            _ => self.refuse(id, Code::AuthRefused, now),
        }
    }

    /// The gateway's clock is the one that counts. A time that it refused was never used: the next login need not be
    /// later, which it could not be where our clock is ahead.
    fn clock_is_off(&mut self, id: LinkId, server: Option<u64>, earlier: u64, now: Instant) {
        let Some(server) = server else { return self.refuse(id, Code::ClockSkew, now) };
        self.link.clock_offset = (server as i64).saturating_sub(self.unix(now) as i64);
        if let Some(known) = &mut self.registration {
            // Nor was an earlier one that the gateway would have refused as well.
            known.last_login = if earlier > server.saturating_add(LOGIN_SKEW_SECS) { server } else { earlier };
        }
        if core::mem::replace(&mut self.link.skew_corrected, true) {
            self.refuse(id, Code::ClockSkew, now);
        } else {
            self.again_at_once(id, now);
        }
    }

    /// The gateway said no.
    pub(super) fn refuse(&mut self, id: LinkId, code: Code, now: Instant) {
        self.requests.push_back(Request::CloseLink { link: id });
        self.lose_link(code, now);
    }

    /// The link is of no use any more.
    pub(super) fn break_link(&mut self, code: Code, now: Instant) {
        if let Some(id) = self.link.id() {
            self.refuse(id, code, now);
        }
    }

    /// A new link without a wait. What leads here cannot lead here again before a login has succeeded.
    fn again_at_once(&mut self, id: LinkId, now: Instant) {
        self.requests.push_back(Request::CloseLink { link: id });
        self.let_go(now);
        self.link.state = LinkState::Backoff { until: now };
    }

    pub(super) fn lose_link(&mut self, code: Code, now: Instant) {
        let phase = self.link.phase;
        if self.session.is_some() && now.since(self.link.up_since) >= limits::LINK_STABLE_TIME {
            self.link.failures = 0;
        }
        self.let_go(now);
        self.link.failures = self.link.failures.saturating_add(1);
        let wait = self.backoff(code);
        self.link.state = LinkState::Backoff { until: now + wait };
        if self.link.was_up {
            self.tell_lost(if self.is_gateway_gone() { Code::GatewayGone } else { code });
            if self.config.reconnect.max_attempts.is_some_and(|max| self.link.failures > max) {
                self.fail(code, phase);
            }
        } else {
            self.first_connection_failed(code, phase, now);
        }
    }

    /// Tells that the link is lost, and later if it turns out that waiting alone may not bring it back.
    pub(super) fn tell_lost(&mut self, code: Code) {
        let is_news = self.state != State::Reconnecting
            || ((asks_user(code) || matches!(code, Code::GatewayGone | Code::InUse)) && self.link.told != Some(code));
        if is_news {
            self.link.told = Some(code);
            self.state = State::Reconnecting;
            self.events.push_back(Event::State { state: self.state, code: Some(code) });
        }
    }

    /// Nothing more leaves over the link there was.
    fn let_go(&mut self, now: Instant) {
        if self.session.take().is_some() {
            self.frozen_since = Some(now);
            self.link.lost_at = Some(now);
        }
        self.pacing.stop();
        let moving = self.moving.as_ref().map(|moving| moving.id());
        self.controls.retain(|(link, _)| Some(*link) == moving);
        self.drop_ahead();
    }

    /// While connecting for the first time: the same gateway a few times, then another one where the user named none
    /// and there is no address to lose.
    fn first_connection_failed(&mut self, code: Code, phase: Phase, now: Instant) {
        // A topology from the store may be older than the gateway's address.
        self.directory.hasten(now);
        self.link.gateway_failures += 1;
        if !asks_user(code) && self.link.gateway_failures < limits::CONNECT_ATTEMPTS {
            return;
        }
        self.link.gateway_failures = 0;
        let may_move = self.config.gateway.is_none() && self.registration_is_new() && code != Code::InUse;
        if let Some(gateway) = self.link.tried.filter(|_| may_move) {
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
    fn backoff(&mut self, code: Code) -> Duration {
        let exponent = if asks_user(code) { 16 } else { self.link.failures.saturating_sub(1).min(16) };
        let wait = (self.config.reconnect.min * (1 << exponent)).min(self.config.reconnect.max);
        wait * (500 + self.rng.next_u32() % 1_001) / 1_000
    }

    /// Closes whatever link there is; nothing more is tried.
    pub(super) fn link_shut(&mut self) {
        if let Some(link) = self.link.id() {
            self.requests.push_back(Request::CloseLink { link });
        }
        self.let_go(self.now);
        self.shut_second_links();
        self.link.state = LinkState::Closed;
        self.link.gateway_failures = 0;
        self.link.refused.clear();
        self.link.lost_at = None;
    }
}

/// Whether trying again soon is pointless: somebody has to do something first.
fn asks_user(code: Code) -> bool {
    matches!(code, Code::BandwidthExhausted | Code::ClockSkew | Code::MixedContent | Code::ProtocolVersion)
}

/// An earlier connection of ours may be about to close.
const IN_USE_WAIT: Duration = Duration::from_secs(2);
