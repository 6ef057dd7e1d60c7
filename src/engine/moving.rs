//! Moving to another gateway: registered with while the old link serves on, then the other way round.
//!
//! The address changes with the gateway, so what is under way to the old one would be lost: messages of others, acks of
//! what was sent before, answers over reply blocks that lead to it. The old link is therefore kept, only to be
//! listened to, until nothing has come over it for [`limits::LEAVING_QUIET_TIME`], and for at most
//! [`limits::LEAVING_TIME_MAX`]. What comes later is for an address that nobody has.

use alloc::boxed::Box;
use alloc::string::String;

use super::link::{LinkState, Session};
use super::output::{Code, Event, Incoming, LinkId, Phase, Request, State, SwitchError};
use super::{Engine, PacketFormat};
use crate::gateway::client::{HandshakeError, LoginFailure, Registered, Registering, Step, negotiate};
use crate::gateway::{ClientText, ServerText, SharedKey};
use crate::identity::Registration;
use crate::limits;
use crate::message::GatewayId;
use crate::time::Instant;

/// A move that is under way.
pub(super) struct Moving {
    id: LinkId,
    gateway: GatewayId,
    url: String,
    deadline: Instant,
    stage: Stage,
}

enum Stage {
    Opening,
    Negotiating,
    Registering(Box<Registering>),
    /// Waiting for bandwidth.
    Claiming(Box<Registered>),
}

impl Moving {
    pub(super) fn id(&self) -> LinkId {
        self.id
    }
}

impl Stage {
    const fn phase(&self) -> Phase {
        match self {
            Self::Opening => Phase::Gateway,
            Self::Negotiating | Self::Registering(_) => Phase::Auth,
            Self::Claiming(_) => Phase::Bandwidth,
        }
    }
}

/// The link that was left.
pub(super) struct Leaving {
    id: LinkId,
    gateway: GatewayId,
    shared: SharedKey,
    /// The last time something came.
    heard: Instant,
    until: Instant,
}

impl Leaving {
    fn end(&self) -> Instant {
        self.until.min(self.heard + limits::LEAVING_QUIET_TIME)
    }
}

impl<P: PacketFormat> Engine<P> {
    /// Begins to move to another gateway, under another address. Ends in [`Event::Moved`] or [`Event::MoveFailed`];
    /// until then everything stays as it is. Answers false when this is our gateway already.
    ///
    /// # Errors
    /// Each variant of [`SwitchError`] is something the caller can do something about.
    pub fn switch_gateway(&mut self, gateway: GatewayId, now: Instant) -> Result<bool, SwitchError> {
        let now = self.advance(now);
        if self.closing.is_some() || !matches!(self.state, State::Ready | State::Degraded | State::Reconnecting) {
            return Err(SwitchError::NotConnected);
        }
        if self.moving.is_some() {
            return Err(SwitchError::Moving);
        }
        if self.registration.as_ref().is_some_and(|known| known.gateway == gateway) {
            return Ok(false);
        }
        let node = self.topology.as_ref().and_then(|topology| topology.gateway(&gateway));
        let node = node.ok_or(SwitchError::NoGateway)?;
        let Some(url) = node.url(self.config.secure_page) else {
            let only_plain = self.config.secure_page && node.url(false).is_some();
            return Err(if only_plain { SwitchError::MixedContent } else { SwitchError::NoGateway });
        };
        if let Some(leaving) = self.leaving.take_if(|leaving| leaving.gateway == gateway) {
            // It would take us for two.
            self.requests.push_back(Request::CloseLink { link: leaving.id });
        }
        let id = self.link.draw_id();
        let deadline = now + limits::LINK_OPEN_TIME;
        self.requests.push_back(Request::OpenLink { link: id, url: url.clone() });
        self.moving = Some(Box::new(Moving { id, gateway, url, deadline, stage: Stage::Opening }));
        Ok(true)
    }

    /// Gives up a move that is under way, without a word. One that is done stays done.
    pub fn stay(&mut self, now: Instant) {
        self.advance(now);
        self.stop_moving();
    }

    /// The link that packets leave over, if there is one.
    pub fn link(&self) -> Option<LinkId> {
        self.link.id()
    }

    pub(super) fn is_second_link(&self, link: LinkId) -> bool {
        self.moving.as_ref().is_some_and(|moving| moving.id == link)
            || self.leaving.as_ref().is_some_and(|leaving| leaving.id == link)
    }

    /// When a second link is waited for no longer.
    pub(super) fn next_move(&self) -> Option<Instant> {
        let moving = self.moving.as_ref().map(|moving| moving.deadline);
        [moving, self.leaving.as_ref().map(Leaving::end)].into_iter().flatten().min()
    }

    pub(super) fn move_timeout(&mut self, now: Instant) {
        if self.moving.as_ref().is_some_and(|moving| moving.deadline <= now) {
            self.move_failed(Code::GatewayTimeout);
        }
        if let Some(leaving) = self.leaving.take_if(|leaving| leaving.end() <= now) {
            self.requests.push_back(Request::CloseLink { link: leaving.id });
        }
    }

    pub(super) fn second_link_opened(&mut self, link: LinkId, now: Instant) {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.id == link) else { return };
        if matches!(moving.stage, Stage::Opening) {
            moving.stage = Stage::Negotiating;
            moving.deadline = now + limits::LINK_ANSWER_TIME;
            self.say(link, &ClientText::SupportedProtocol);
        }
    }

    pub(super) fn second_link_closed(&mut self, link: LinkId) {
        if self.leaving.take_if(|leaving| leaving.id == link).is_none() {
            self.move_failed(Code::GatewayRefused);
        }
    }

    /// Closes all links but the one that packets leave over.
    pub(super) fn shut_second_links(&mut self) {
        self.stop_moving();
        if let Some(leaving) = self.leaving.take() {
            self.requests.push_back(Request::CloseLink { link: leaving.id });
        }
    }

    pub(super) fn second_link_frame(&mut self, link: LinkId, frame: Incoming<'_>, now: Instant) {
        let len = frame.len();
        self.stats.bytes_in += len as u64;
        if len > limits::FRAME_LEN_MAX {
            self.stats.dropped.frame += 1;
            self.requests.push_back(Request::CloseLink { link });
            self.second_link_closed(link);
            return;
        }
        match frame {
            Incoming::Binary(bytes) => self.second_link_push(link, bytes, now),
            Incoming::Text(text) => {
                // What the old gateway says does not matter any more.
                let Some(mut moving) = self.moving.take_if(|moving| moving.id == link) else { return };
                let phase = moving.stage.phase();
                let result = match ServerText::parse(text) {
                    Ok(text) => self.move_on(&mut moving, &text, now),
                    Err(_) => Err(Code::GatewayRefused),
                };
                match result {
                    Ok(Some(unmetered)) => self.moved(*moving, unmetered, now),
                    Ok(None) => self.moving = Some(moving),
                    Err(code) => {
                        self.requests.push_back(Request::CloseLink { link });
                        self.events.push_back(Event::MoveFailed { code, phase });
                    }
                }
            }
        }
    }

    /// Messages and acks that were under way to the old address; from the new gateway what it has kept of an earlier
    /// stay of ours.
    fn second_link_push(&mut self, link: LinkId, frame: &[u8], now: Instant) {
        let shared = match (&self.leaving, &self.moving) {
            (Some(leaving), _) if leaving.id == link => Some(&leaving.shared),
            (_, Some(moving)) if moving.id == link => match &moving.stage {
                Stage::Registering(handshake) => handshake.shared(),
                Stage::Claiming(registered) => Some(&registered.shared),
                Stage::Opening | Stage::Negotiating => None,
            },
            _ => None,
        };
        match shared.map(|shared| P::open_push(shared, frame)) {
            Some(Ok(payload)) => {
                if let Some(leaving) = self.leaving.as_mut().filter(|leaving| leaving.id == link) {
                    leaving.heard = now;
                }
                self.handle_push(&payload, frame.len(), now);
            }
            Some(Err(_)) | None => self.stats.dropped.frame += 1,
        }
    }

    /// One answer of the new gateway. With `Some` the move is done, and it says whether nothing is metered.
    fn move_on(&mut self, moving: &mut Moving, text: &ServerText, now: Instant) -> Result<Option<bool>, Code> {
        let id = moving.id;
        let stage = core::mem::replace(&mut moving.stage, Stage::Opening);
        moving.stage = match (stage, text) {
            (Stage::Negotiating, ServerText::SupportedProtocol { version }) => {
                let version = negotiate(*version).map_err(|_| Code::ProtocolVersion)?;
                let (gateway, signing) = (moving.gateway, &self.identity.signing);
                let (handshake, text) = Registering::start(signing, gateway, version, &mut *self.rng);
                self.say(id, &text);
                Stage::Registering(Box::new(handshake))
            }
            (Stage::Registering(handshake), text) => {
                let was_step = !matches!(text, ServerText::SupportedProtocol { .. });
                match handshake.next(text, &self.identity.signing).map_err(refusal)? {
                    Step::Wait(handshake) if !was_step => {
                        moving.stage = Stage::Registering(Box::new(handshake));
                        return Ok(None);
                    }
                    Step::Wait(handshake) => Stage::Registering(Box::new(handshake)),
                    Step::Send(handshake, reply) => {
                        self.say(id, &reply);
                        Stage::Registering(Box::new(handshake))
                    }
                    Step::Done(registered) => {
                        if registered.upgrade_mode {
                            moving.stage = Stage::Claiming(Box::new(registered));
                            return Ok(Some(true));
                        }
                        self.say(id, &ClientText::ClaimFreeTestnetBandwidth);
                        Stage::Claiming(Box::new(registered))
                    }
                }
            }
            (Stage::Claiming(registered), ServerText::Bandwidth { available_total, upgrade_mode }) => {
                moving.stage = Stage::Claiming(registered);
                let is_enough = *upgrade_mode || *available_total >= super::bandwidth::PACKET_COST;
                return if is_enough { Ok(Some(*upgrade_mode)) } else { Err(Code::BandwidthExhausted) };
            }
            (stage @ Stage::Claiming(_), ServerText::Error { message }) => {
                moving.stage = stage;
                let is_credentials = LoginFailure::from_message(message) == LoginFailure::Credentials;
                return Err(if is_credentials { Code::BandwidthExhausted } else { Code::GatewayRefused });
            }
            (stage @ Stage::Negotiating, ServerText::Error { .. }) => {
                moving.stage = stage;
                return Err(Code::GatewayRefused);
            }
            (stage, _) => {
                moving.stage = stage;
                return Ok(None);
            }
        };
        moving.deadline = now + limits::LINK_ANSWER_TIME;
        Ok(None)
    }

    /// The new gateway has taken us in: from now on packets leave for it, and the old link is only listened to.
    fn moved(&mut self, moving: Moving, unmetered: bool, now: Instant) {
        let Moving { id, gateway, url, stage, .. } = moving;
        let Stage::Claiming(registered) = stage else { return };
        let Registered { shared, version, .. } = *registered;
        // What was made for the old gateway, with its key and its address in the acks.
        self.drop_ahead();
        let old_link = self.link.moved(id, url.clone(), gateway, now);
        // The gateway counts a registration as a login: the next one needs a later second.
        let registration = Registration { gateway, url, shared, last_login: self.gateway_unix(now) };
        let old = self.registration.take();
        self.save_registration(registration);
        if let Some(leaving) = self.leaving.take() {
            self.requests.push_back(Request::CloseLink { link: leaving.id });
        }
        match (old_link, old) {
            (LinkState::Up { id }, Some(Registration { gateway, shared, .. })) => {
                let until = now + limits::LEAVING_TIME_MAX;
                self.leaving = Some(Leaving { id, gateway, shared, heard: now, until });
            }
            (state, _) => {
                if let Some(link) = state.id() {
                    self.requests.push_back(Request::CloseLink { link });
                }
            }
        }
        self.begin_bandwidth(unmetered, now);
        let was_up = self.session.replace(Session { version }).is_some();
        if !was_up {
            self.thaw(now);
            self.pacing.start(now);
        }
        self.own = self.identity.address(gateway).ok();
        self.gateway_missing = 0;
        self.config.gateway = self.config.gateway.map(|_| gateway);
        // SURBs lead to the old address: those in messages that are not cut, and those that peers have.
        self.outbound.drop_surbs();
        self.conversations.rotated();
        if let Some(address) = self.own.clone() {
            self.events.push_back(Event::Moved { address });
        }
        self.enter_linked();
    }

    fn move_failed(&mut self, code: Code) {
        let phase = self.moving.as_ref().map(|moving| moving.stage.phase());
        self.stop_moving();
        if let Some(phase) = phase {
            self.events.push_back(Event::MoveFailed { code, phase });
        }
    }

    fn stop_moving(&mut self) {
        if let Some(moving) = self.moving.take() {
            self.controls.retain(|(link, _)| *link != moving.id);
            self.requests.push_back(Request::CloseLink { link: moving.id });
        }
    }
}

fn refusal(error: HandshakeError) -> Code {
    match error {
        HandshakeError::Version(_) | HandshakeError::Refused(LoginFailure::Version) => Code::ProtocolVersion,
        HandshakeError::Refused(LoginFailure::AlreadyConnected) => Code::InUse,
        HandshakeError::Refused(LoginFailure::Credentials) => Code::BandwidthExhausted,
        HandshakeError::Refused(LoginFailure::Storage) => Code::GatewayRefused,
        HandshakeError::Refused(_) => Code::AuthRefused,
        _ => Code::GatewayRefused,
    }
}
