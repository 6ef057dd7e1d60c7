//! What leaves, and when: slots are served from one finished frame each, sealed right after the slot before.

use alloc::vec::Vec;
use core::marker::PhantomData;

use super::config::Traffic;
use super::forge::{Forge, SealError, Sealed};
use super::network::topology_for;
use super::outbound::Next;
use super::output::{Code, Event, Frame, LinkId, Outgoing, Phase};
use super::pacing::Stream;
use super::plan::Plan;
use super::replies::{Due, Stock, reserve_for};
use super::unfinished::{FragmentKey, Kind, Message, MessageKey, NewMessage, Parked, Stage, Target, Wants};
use super::window::Window;
use super::{Engine, PacketFormat};
use crate::gateway;
use crate::limits;
use crate::message::{
    Content, Fragments, MessageError, Repliable, ReplySurb, SET_FRAGMENTS_MAX, SenderTag, SurbList, fragment_count,
};
use crate::sphinx::RotationTag;
use crate::time::{Duration, Instant};

/// A frame that is ready to leave.
pub(super) struct Ready {
    data: Vec<u8>,
    /// The fragment inside; cover has none.
    inside: Option<Inside>,
}

/// What is needed when the frame has left.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    key: FragmentKey,
    chosen: Duration,
    over_surb: bool,
}

/// Frames finished ahead: one for each stream, never more.
#[derive(Default)]
pub(super) struct Ahead {
    main: Option<Ready>,
    cover: Option<Ready>,
}

impl<P: PacketFormat> Engine<P> {
    /// Serves the slots that are due. What leaves was sealed before; only where several slots are due at once the
    /// second is sealed now.
    pub(super) fn serve_slots(&mut self, now: Instant) {
        for stream in [Stream::Main, Stream::Cover] {
            if stream == Stream::Main && self.config.traffic.danger_no_pacing {
                continue;
            }
            let due = self.pacing.take_due(stream, now);
            self.stats.dropped.slot += due.forgotten;
            for _ in 0..due.now {
                if self.outgoing.len() >= limits::OUTGOING_COUNT_MAX || self.is_held(now) {
                    // The link takes nothing: real and cover packets are skipped alike, so that the rate does not
                    // depend on what is waiting.
                    self.stats.dropped.slot += 1;
                    continue;
                }
                let ready = match stream {
                    Stream::Main => self.ahead.main.take(),
                    Stream::Cover => self.ahead.cover.take(),
                };
                match ready.or_else(|| self.make_ready(stream, now)) {
                    Some(ready) => self.outgoing.push_back(ready),
                    None => self.stats.dropped.slot += 1,
                }
            }
        }
    }

    /// Whether a frame for a coming slot, or a SURB for a coming message, is still to be made.
    pub(super) fn wants_to_prepare(&self) -> bool {
        self.session.is_some()
            && self.topology.is_some()
            && !self.sealing_failed
            && (self.ahead.cover.is_none()
                || (self.ahead.main.is_none() && !self.config.traffic.danger_no_pacing)
                || self.ready_surbs.wants_more())
    }

    /// Finishes one frame or one SURB ahead of need.
    pub(super) fn prepare(&mut self, now: Instant) {
        if !self.wants_to_prepare() {
            return;
        }
        if self.ahead.main.is_none() && !self.config.traffic.danger_no_pacing {
            self.ahead.main = self.make_ready(Stream::Main, now);
            self.sealing_failed |= self.ahead.main.is_none();
        } else if self.ahead.cover.is_none() {
            self.ahead.cover = self.make_ready(Stream::Cover, now);
            self.sealing_failed |= self.ahead.cover.is_none();
        } else if let Some(Ok(surb)) = self.forge().map(|mut forge| forge.surb()) {
            self.ready_surbs.push(surb);
        } else {
            self.sealing_failed = true;
        }
    }

    /// Throws away what was made for another topology, gateway or link, or before a sleep. Fragments go back to the
    /// queue.
    pub(super) fn drop_ahead(&mut self) {
        let ahead = core::mem::take(&mut self.ahead);
        let outgoing = core::mem::take(&mut self.outgoing);
        self.put_back(ahead.main);
        self.put_back(ahead.cover);
        outgoing.into_iter().for_each(|ready| self.put_back(Some(ready)));
        self.ready_surbs.clear();
        self.sealing_failed = false;
    }

    /// The traffic settings are no longer these: what was decided by them and has not left is decided anew. Frames that
    /// wait for the link had their slots and leave as they are.
    pub(super) fn traffic_changed(&mut self, old: &Traffic, now: Instant) {
        let new = self.config.traffic;
        self.pacing.set_traffic(&new);
        if new.danger_no_pacing && !old.danger_no_pacing {
            // It grew while the slots were the limit, so it says nothing about what the path can take.
            self.window = Window::new();
        } else if old.danger_no_pacing && !new.danger_no_pacing {
            self.pacing.resume_main(now);
        }
        // Deadlines were reckoned at the old pace.
        let waiting = u32::try_from(self.outbound.waiting_fragments()).unwrap_or(u32::MAX);
        self.outbound.prolong(new.slot.saturating_sub(old.slot) * waiting);
        if new.hop_delay != old.hop_delay {
            self.ready_surbs.clear();
        }
        if new.hop_delay != old.hop_delay || new.ack_delay != old.ack_delay {
            // A frame over a SURB stays: its delays are those of the SURB's maker, and the SURB would be lost with it.
            let stale = |ready: &mut Ready| ready.inside.is_none_or(|inside| !inside.over_surb);
            let main = self.ahead.main.take_if(stale);
            let cover = self.ahead.cover.take();
            self.put_back(main);
            self.put_back(cover);
        }
    }

    /// A frame that does not leave: its fragment is queued again.
    fn put_back(&mut self, ready: Option<Ready>) {
        if let Some(inside) = ready.and_then(|ready| ready.inside) {
            self.outbound.put_back(inside.key);
        }
    }

    /// A cancelled message's fragment does not leave, not even from the frame made ahead.
    pub(super) fn drop_ahead_of(&mut self, key: MessageKey) {
        let of_it = |ready: &Ready| ready.inside.is_some_and(|inside| inside.key.message == key);
        if self.ahead.main.as_ref().is_some_and(of_it) {
            self.ahead.main = None;
        }
    }

    fn make_ready(&mut self, stream: Stream, now: Instant) -> Option<Ready> {
        if stream == Stream::Main
            && let Some((sealed, inside)) = self.seal_next(now)
        {
            return self.framed(sealed, Some(inside));
        }
        let sealed = self.forge()?.cover().ok()?;
        self.framed(sealed, None)
    }

    /// The next frame while pacing is off: as soon as the link takes it, and only what the user wants to send.
    pub(super) fn next_unpaced(&mut self, now: Instant) -> Option<Ready> {
        if !self.config.traffic.danger_no_pacing || self.session.is_none() {
            return None;
        }
        // One was made for a slot when pacing went off.
        if let Some(ready) = self.ahead.main.take_if(|ready| ready.inside.is_some()) {
            return Some(ready);
        }
        let (sealed, inside) = self.seal_next(now)?;
        self.framed(sealed, Some(inside))
    }

    /// Hands a frame out: from now on its fragment is in flight.
    pub(super) fn hand_out(&mut self, ready: Ready, link: LinkId, now: Instant) -> Frame {
        let before = self.stats.sent;
        self.stats.bytes_out += ready.data.len() as u64;
        self.link.bandwidth.left(ready.inside.map(|inside| inside.key));
        match ready.inside {
            None => self.stats.sent.cover += 1,
            Some(inside) => self.left(inside, now),
        }
        self.trace_sent(before, ready.data.len(), now);
        Frame { link, data: Outgoing::Binary(ready.data) }
    }

    fn left(&mut self, inside: Inside, now: Instant) {
        let attempt = self.outbound.attempt_of(inside.key);
        let paced = !self.config.traffic.danger_no_pacing;
        let asks = |message: &Message| matches!(message.kind, Kind::SurbRequest(_));
        let wait = if self.outbound.message(inside.key.message).is_some_and(asks) {
            // It goes again over another of the last SURBs, which have to last.
            let usual = self.rtt.ack_wait(inside.chosen, attempt.min(REQUESTS_QUICK), paced);
            let wait = usual * (1 << attempt.saturating_sub(REQUESTS_QUICK).min(8));
            wait.min(limits::SURB_REQUEST_WAIT_MAX.max(usual))
        } else {
            self.rtt.ack_wait(inside.chosen, attempt, paced)
        };
        let Some((progress, first)) = self.outbound.left(inside.key, inside.chosen, wait, now) else {
            // Its message ended while the frame waited for the link.
            self.stats.sent.real += 1;
            return;
        };
        match (first, inside.over_surb) {
            (false, _) => self.stats.sent.retransmission += 1,
            (true, true) => self.stats.sent.reply += 1,
            (true, false) => self.stats.sent.real += 1,
        }
        self.note_progress(inside.key.message, !first, now);
        if first
            && progress.all_sent
            && let Some(id) = self.outbound.message(inside.key.message).and_then(|message| message.id)
        {
            self.events.push_back(Event::Sent { id });
        }
    }

    /// Seals the next fragment that can be sent, cutting and parking messages on the way.
    fn seal_next(&mut self, now: Instant) -> Option<(Sealed, Inside)> {
        if self.is_outlived(now) {
            // Nothing real is sent with keys that are gone. Where only our clock is wrong, an answer says so.
            self.directory.hasten(now);
            return None;
        }
        let window = self.window.len(!self.config.traffic.danger_no_pacing);
        let mut deferred = 0;
        loop {
            match self.outbound.next(window)? {
                Next::Split(key) => {
                    if !self.split(key, now) {
                        // It waits for its SURBs, which are made one at a time; others may have what they need.
                        self.outbound.defer(key);
                        deferred += 1;
                        if deferred > DEFERRED_MAX {
                            return None;
                        }
                    }
                }
                Next::Fragment(key) => {
                    if let Some(sealed) = self.seal(key, now) {
                        return Some(sealed);
                    }
                }
            }
        }
    }

    fn seal(&mut self, key: FragmentKey, now: Instant) -> Option<(Sealed, Inside)> {
        let id = self.outbound.id_of(key)?;
        let message = self.outbound.message(key.message)?;
        let Stage::Split(fragments) = &message.stage else { return None };
        let fragment = fragments.fragment(key.index)?;
        let to = message.to.clone();
        let for_request = matches!(message.kind, Kind::SurbRequest(_));
        let (result, over_surb) = match &to {
            Target::Address(address) => (self.forge()?.for_address(address, id, &fragment), false),
            Target::Tag(tag) => match self.take_surb(*tag, for_request, now) {
                Stock::Surb(held) => {
                    // The ack travels under the tag of the packet that brings it, so it needs keys of that rotation.
                    let mut forge = self.forge_for(held.rotation)?;
                    (forge.over_surb(*held, id, &fragment), true)
                }
                Stock::Waiting if for_request => {
                    // Without SURBs nothing can be asked. An answer to what left before may still come.
                    self.remove(key.message, false);
                    return None;
                }
                Stock::Waiting => {
                    self.outbound.put_back(key);
                    self.outbound.park(key.message, Parked::NoSurbs);
                    self.ask_for_surbs(*tag, now);
                    self.replies.wait_for(*tag, now);
                    return None;
                }
                Stock::Unknown => {
                    self.give_up(key.message, Code::NoSurbs, Phase::Peer);
                    return None;
                }
            },
        };
        match result {
            Ok(sealed) => {
                let inside = Inside { key, chosen: sealed.chosen, over_surb };
                if let Target::Tag(tag) = to {
                    // Asked for before the last is gone, so that a long answer does not stop.
                    if !for_request {
                        self.ask_for_surbs(tag, now);
                    }
                }
                Some((sealed, inside))
            }
            Err(SealError::NoRoute) => {
                self.outbound.put_back(key);
                self.park_without_route(key.message, now);
                None
            }
            Err(SealError::Recipient) => {
                self.give_up(key.message, Code::AddressInvalid, Phase::Queue);
                None
            }
        }
    }

    /// A SURB whose first hop is a node of the first layer: any other would have our gateway connect to wherever a
    /// stranger likes.
    fn take_surb(&mut self, tag: SenderTag, for_request: bool, now: Instant) -> Stock {
        let load = self.outbound.load_of(&tag);
        let all_for_this = for_request || !self.config.ask_for_more;
        let reserve = if all_for_this { 0 } else { reserve_for(load.waiting + load.in_flight + 1) };
        let usable = self.usable_rotations();
        loop {
            match self.replies.take(tag, reserve, &usable, now) {
                Stock::Surb(held)
                    if !self.topology.as_ref().is_some_and(|known| known.is_first_layer(held.surb.first_hop())) =>
                {
                    self.stats.dropped.surb += 1;
                }
                other => return other,
            }
        }
    }

    /// Cuts a message into fragments once its SURBs are there. Answers false when they are not.
    fn split(&mut self, key: MessageKey, now: Instant) -> bool {
        let Some(message) = self.outbound.message_mut(key) else { return true };
        let Stage::Body { wanted, surbs, wants, .. } = &mut message.stage else { return true };
        if let (Wants::Refill, Target::Address(address)) = (*wants, &message.to) {
            *wanted = self.conversations.promise_refill(address, now, &mut *self.rng) as usize;
            *wants = Wants::Promised;
        }
        let missing = wanted.saturating_sub(surbs.len());
        if missing > 0 {
            let mut more = self.ready_surbs.take(missing);
            if self.config.traffic.danger_no_pacing {
                while more.len() < missing {
                    match self.forge().map(|mut forge| forge.surb()) {
                        Some(Ok(surb)) => more.push(surb),
                        _ => break,
                    }
                }
            }
            let Some(message) = self.outbound.message_mut(key) else { return true };
            let Stage::Body { surbs, wanted, .. } = &mut message.stage else { return true };
            surbs.append(&mut more);
            if surbs.len() < *wanted {
                return false;
            }
        }
        let Some(message) = self.outbound.message_mut(key) else { return true };
        let Stage::Body { body, surbs, wants, .. } = core::mem::replace(&mut message.stage, Stage::empty()) else {
            return true;
        };
        let (kind, to) = (message.kind, message.to.clone());
        let promised = if wants == Wants::Promised { surbs.len() as u32 } else { 0 };
        let rotation = self.rotation();
        let written = match (kind, &to) {
            (Kind::Plain, _) => Ok(Content::plain(&body)),
            (Kind::Reply, _) => Content::reply(&body),
            (Kind::SurbRequest(amount), _) => match &self.own {
                Some(own) => Ok(Content::surb_request(own, amount)),
                None => Err(MessageError::Address),
            },
            (Kind::Repliable | Kind::AdditionalSurbs(..), Target::Address(address)) => {
                let tag = match kind {
                    // Who asks knows us by the tag of that conversation, which may be one of an earlier run.
                    Kind::AdditionalSurbs(_, tag) if self.conversations.touch(tag, now) => tag,
                    _ => self.conversations.tag_for(address, now, &mut *self.rng),
                };
                let list = SurbList { rotation, surbs };
                let (written, surbs) = write_with_surbs(tag, list, body, kind);
                self.conversations.promise_ended(tag, promised);
                let place = self.keep_keys(tag, &surbs, now);
                let until = self.conversations.gave_out(tag, surbs, place, now);
                if let Some(message) = self.outbound.message_mut(key) {
                    message.surbs_until = until;
                }
                written
            }
            (Kind::Repliable | Kind::AdditionalSurbs(..), Target::Tag(_)) => Err(MessageError::Address),
        };
        let cut = written.and_then(|bytes| {
            let sets = fragment_count(bytes.len(), super::forge::SIZE)?.div_ceil(SET_FRAGMENTS_MAX);
            let ids = self.outbound.draw_sets(sets, &mut *self.rng);
            Fragments::with_set_ids(bytes, super::forge::SIZE, ids)
        });
        match cut {
            Ok(fragments) => self.cut(key, fragments),
            // Nothing the user can have asked for leads here: sizes and counts were checked by `send`.
            Err(_) => self.give_up(key, Code::ConfigInvalid, Phase::Queue),
        }
        true
    }

    /// The message is cut. Where its plan was asked for, nothing of it leaves before that is kept.
    fn cut(&mut self, key: MessageKey, fragments: Fragments) {
        let planned = self.outbound.message(key).filter(|message| message.planned).and_then(|message| message.id);
        let plan = planned.map(|id| Event::Planned { id, plan: Plan::write(&fragments) });
        self.outbound.split(key, fragments);
        if let Some(event) = plan {
            self.outbound.wait_until_kept(key);
            self.events.push_back(event);
        }
    }

    // ── asking for SURBs ─────────────────────────────────────────────────────────────────────────────────────────

    /// Asks a peer for SURBs where its fragments need more than there are.
    fn ask_for_surbs(&mut self, tag: SenderTag, now: Instant) {
        if !self.config.ask_for_more || self.own.is_none() {
            return;
        }
        let amount = self.replies.missing(&tag, self.outbound.load_of(&tag));
        if amount > 0 {
            let deadline = self.default_deadline(0, now);
            let kind = Kind::SurbRequest(amount);
            let key = self.outbound.insert(NewMessage::control(Target::Tag(tag), kind, Stage::empty(), deadline));
            self.replies.requested(tag, key, amount);
        }
    }

    /// SURBs of this peer came in: its messages may try again.
    pub(super) fn surbs_came(&mut self, tag: SenderTag, now: Instant) {
        while let Some(gone) = self.replies.take_gone() {
            self.give_up_parked(gone);
        }
        if let Some(request) = self.replies.take_answered(&tag) {
            self.drop_ahead_of(request);
            self.remove(request, true);
        }
        let load = self.outbound.load_of(&tag);
        let room = self.replies.room(&tag, load, self.config.ask_for_more);
        self.outbound.wake(&tag, room);
        if load.waiting > 0 {
            self.ask_for_surbs(tag, now);
        }
        if self.outbound.is_parked(&tag) {
            self.replies.wait_for(tag, now);
        }
    }

    /// Peers that were asked and gave nothing, or whose SURBs end with their rotation.
    pub(super) fn mind_peers(&mut self, now: Instant) {
        while let Some((tag, due)) = self.replies.take_due(self.config.ask_for_more, now) {
            match due {
                Due::Ask => {
                    self.ask_for_surbs(tag, now);
                    if self.outbound.is_parked(&tag) {
                        self.replies.wait_for(tag, now);
                    }
                }
                Due::GiveUp => self.give_up_parked(tag),
            }
        }
    }

    fn give_up_parked(&mut self, tag: SenderTag) {
        while let Some(key) = self.outbound.take_parked(&tag) {
            self.give_up(key, Code::NoSurbs, Phase::Peer);
        }
    }

    /// A message is gone: what it asked for or brought is settled.
    pub(super) fn settle_surbs(&mut self, key: MessageKey, message: &Message, delivered: bool) {
        match (message.kind, &message.to) {
            (Kind::SurbRequest(_), Target::Tag(tag)) => self.replies.request_ended(*tag, key, delivered, self.now),
            (Kind::Repliable | Kind::AdditionalSurbs(..), Target::Address(to)) => {
                let tag = match message.kind {
                    Kind::AdditionalSurbs(_, tag) => Some(tag),
                    _ => self.conversations.tag_of(to),
                };
                let Some(tag) = tag else { return };
                if let Stage::Body { wanted, wants: Wants::Promised, .. } = &message.stage {
                    self.conversations.promise_ended(tag, *wanted as u32);
                }
                if let Kind::AdditionalSurbs(count, _) = message.kind {
                    self.conversations.answer_ended(tag, count);
                }
                if !delivered {
                    self.conversations.not_given(tag, message.surbs_until);
                }
            }
            _ => {}
        }
    }

    // ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    /// No route to the recipient's gateway: it may have left, or our topology is old. Two newer ones decide.
    fn park_without_route(&mut self, key: MessageKey, now: Instant) {
        let generation = self.directory.generation();
        let Some(message) = self.outbound.message_mut(key) else { return };
        message.routeless += 1;
        let hopeless = message.routeless > ROUTELESS_MAX || self.config.directories.is_empty();
        if hopeless {
            self.give_up(key, Code::NoRoute, Phase::Queue);
        } else {
            self.outbound.park(key, Parked::NoRoute(generation));
            self.directory.hasten(now);
        }
    }

    fn framed(&mut self, sealed: Sealed, inside: Option<Inside>) -> Option<Ready> {
        let with_rotation = self.session.as_ref()?.version >= gateway::VERSION_ROTATION;
        let shared = &self.registration.as_ref()?.shared;
        let plaintext = if with_rotation { sealed.packet.to_v2() } else { sealed.packet.to_v1() };
        let data = P::seal_request(shared, &plaintext, with_rotation, &mut *self.rng);
        Some(Ready { data, inside })
    }

    pub(super) fn forge(&mut self) -> Option<Forge<'_, P>> {
        self.forge_for(RotationTag::Unknown)
    }

    fn forge_for(&mut self, rotation: RotationTag) -> Option<Forge<'_, P>> {
        Some(Forge {
            topology: topology_for(self.topology.as_ref()?, self.grace.as_ref(), rotation)?,
            ack_key: &self.identity.ack,
            own: self.own.as_ref()?,
            traffic: &self.config.traffic,
            rng: &mut *self.rng,
            format: PhantomData,
        })
    }
}

/// Writes a message that carries SURBs, and gives back the SURBs, whose keys are to be remembered.
fn write_with_surbs(
    tag: SenderTag,
    surbs: SurbList,
    body: Vec<u8>,
    kind: Kind,
) -> (Result<Vec<u8>, MessageError>, Vec<ReplySurb>) {
    if kind == Kind::Repliable {
        let written = Content::repliable(&tag, &surbs, &body);
        return (written, surbs.surbs);
    }
    let content = Content::Repliable { tag, data: Repliable::AdditionalSurbs(surbs) };
    let written = content.to_bytes();
    match content {
        Content::Repliable { data: Repliable::AdditionalSurbs(surbs), .. } => (written, surbs.surbs),
        _ => (written, Vec::new()),
    }
}

/// Sendings of a request after which its wait is doubled each time.
const REQUESTS_QUICK: u32 = 4;

/// Messages passed over at one slot because their SURBs are not made yet.
const DEFERRED_MAX: u32 = 4;

/// Topologies without a route to a recipient before its message is given up.
const ROUTELESS_MAX: u32 = 2;
