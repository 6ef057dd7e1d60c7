//! Messages on their way out: the send queues, what is in flight, what goes again.
//!
//! Queues hold plaintext fragments, never packets. A fragment is in one of four places: not sent yet (behind its
//! message's cursor), in flight (with a deadline), waiting to go again, or acknowledged.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::output::{MessageId, Priority};
use crate::limits;
use crate::message::{Address, FragmentId, Fragments, ReplySurb, SET_FRAGMENTS_MAX, SenderTag, SetId};
use crate::time::{Duration, Instant};

/// All messages that are not finished.
#[derive(Default)]
pub(super) struct Outbound {
    messages: BTreeMap<MessageKey, Message>,
    by_id: BTreeMap<MessageId, MessageKey>,
    /// Which message a set belongs to, and which of its sets it is.
    by_set: BTreeMap<SetId, (MessageKey, usize)>,
    /// Messages with fragments that were never sent, by class. Keys of finished messages are skipped when met.
    queues: [VecDeque<MessageKey>; CLASS_COUNT],
    /// Fragments that go again. Those acknowledged in the meantime are skipped when met.
    again: VecDeque<FragmentKey>,
    in_flight: BTreeMap<FragmentId, InFlight>,
    ack_deadlines: BTreeSet<(Instant, FragmentId)>,
    /// Deadlines in wall time, and those that stand still while the link is down.
    wall_deadlines: BTreeSet<(Instant, MessageKey)>,
    link_deadlines: BTreeSet<(Instant, MessageKey)>,
    bytes: usize,
    next_key: u64,
    turn: u32,
}

/// Our own number of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageKey(u64);

/// One fragment of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentKey {
    pub(super) message: MessageKey,
    pub(super) index: usize,
}

/// Whom a message is for.
#[derive(Clone)]
pub(super) enum Target {
    Address(Address),
    Tag(SenderTag),
}

/// What a message says, apart from its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SURBs a peer asked for.
    AdditionalSurbs,
    /// The user's bytes, without a way to answer.
    Plain,
    /// The user's bytes over SURBs.
    Reply,
    /// The user's bytes with a sender tag and SURBs.
    Repliable,
    /// Asking for SURBs, over one of the last.
    SurbRequest(u32),
}

/// Where a message stands before and after it is cut into fragments.
pub(super) enum Stage {
    /// Waiting for its turn and its SURBs.
    Body { body: Vec<u8>, wanted: usize, surbs: Vec<ReplySurb> },
    /// Cut.
    Split(Fragments),
}

/// Why a message is not offered slots at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    /// No route with the topology of this generation.
    NoRoute(u64),
    /// No SURB of its peer is free.
    NoSurbs,
}

/// One message.
pub(super) struct Message {
    pub(super) id: Option<MessageId>,
    pub(super) to: Target,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) reliable: bool,
    pub(super) parked: Option<Parked>,
    /// How many newer topologies had no route either.
    pub(super) routeless: u32,
    deadline: Option<Deadline>,
    /// What it counts for in the send queue's budget.
    len: usize,
    fragments: Vec<FragmentState>,
    /// The first fragment that was never taken.
    cursor: usize,
    sent: usize,
    acked: usize,
    retransmissions: u32,
    last_left: Instant,
}

/// A message to be accepted.
pub(super) struct NewMessage {
    pub(super) id: Option<MessageId>,
    pub(super) to: Target,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) reliable: bool,
    pub(super) class: usize,
    pub(super) deadline: Option<Deadline>,
}

impl NewMessage {
    /// One of our own, that no user asked for.
    pub(super) fn control(to: Target, kind: Kind, stage: Stage, deadline: Option<Deadline>) -> Self {
        Self { id: None, to, kind, stage, reliable: true, class: CLASS_CONTROL, deadline }
    }
}

/// Until when a message is tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// Stands still while the link is down.
    Link(Instant),
    Wall(Instant),
}

#[derive(Clone, Copy, Default)]
struct FragmentState {
    attempts: u8,
    acked: bool,
    waiting: bool,
}

struct InFlight {
    key: FragmentKey,
    sent_at: Instant,
    chosen: Duration,
    deadline: Instant,
}

/// What an ack brought.
pub(super) struct Acked {
    pub(super) key: MessageKey,
    /// From the last sending to this ack; where it came after the deadline, from the last sending of the message.
    pub(super) round_trip: Duration,
    /// The delays chosen, when the round trip is a clean measurement.
    pub(super) clean: Option<Duration>,
    /// It was the message's last.
    pub(super) complete: bool,
}

/// What happened to a fragment whose ack did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// It goes again.
    Again,
    /// That was its last attempt.
    GivenUp(MessageKey),
}

/// How far a message has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) acked: u32,
    pub(super) total: u32,
    pub(super) retransmissions: u32,
    pub(super) all_sent: bool,
}

impl Outbound {
    /// Accepts a message. The caller has checked [`Self::has_room`].
    pub(super) fn insert(&mut self, new: NewMessage) -> MessageKey {
        let NewMessage { id, to, kind, stage, reliable, class, deadline } = new;
        let key = MessageKey(self.next_key);
        self.next_key += 1;
        let len = match &stage {
            Stage::Body { body, wanted, .. } => body.len() + wanted * SURB_COST,
            Stage::Split(_) => 0,
        };
        self.bytes += len;
        if let Some(id) = id {
            self.by_id.insert(id, key);
        }
        match deadline {
            Some(Deadline::Link(at)) => _ = self.link_deadlines.insert((at, key)),
            Some(Deadline::Wall(at)) => _ = self.wall_deadlines.insert((at, key)),
            None => {}
        }
        let message = Message {
            id,
            to,
            kind,
            stage,
            reliable,
            parked: None,
            routeless: 0,
            deadline,
            len,
            fragments: Vec::new(),
            cursor: 0,
            sent: 0,
            acked: 0,
            retransmissions: 0,
            last_left: Instant::ZERO,
        };
        self.messages.insert(key, message);
        self.queues[class].push_back(key);
        key
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        self.messages.len() < limits::SEND_QUEUE_COUNT_MAX
            && (self.bytes == 0 || self.bytes + len <= limits::SEND_QUEUE_LEN_MAX)
    }

    pub(super) fn key_of(&self, id: MessageId) -> Option<MessageKey> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn message(&self, key: MessageKey) -> Option<&Message> {
        self.messages.get(&key)
    }

    pub(super) fn message_mut(&mut self, key: MessageKey) -> Option<&mut Message> {
        self.messages.get_mut(&key)
    }

    pub(super) fn keys(&self) -> Vec<MessageKey> {
        self.messages.keys().copied().collect()
    }

    /// Whether a message of the user's is unfinished; our own requests and answers do not count.
    pub(super) fn holds_user_messages(&self) -> bool {
        !self.by_id.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Draws set ids that no unfinished message has: there are only 31 bits.
    pub(super) fn draw_sets(&self, count: usize, rng: &mut dyn CryptoRng) -> Vec<SetId> {
        // The largest message has fewer than a hundred sets.
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let id = SetId::random(rng);
            if !self.by_set.contains_key(&id) && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Replaces the body by fragments.
    pub(super) fn split(&mut self, key: MessageKey, fragments: Fragments) {
        let Some(message) = self.messages.get_mut(&key) else { return };
        for (number, set) in fragments.set_ids().iter().enumerate() {
            self.by_set.insert(*set, (key, number));
        }
        message.fragments = alloc::vec![FragmentState::default(); fragments.count()];
        message.stage = Stage::Split(fragments);
    }

    /// The next message whose turn it is, with the fragment to send, or `None` when there is nothing to send. A
    /// message that turns out not to be sendable now is parked by the caller, who then asks again.
    ///
    /// What goes again and our own requests get every other slot while the user's messages wait too: they unblock
    /// others, but must not starve what is new. Within a class messages take turns.
    pub(super) fn next(&mut self, window: usize) -> Option<Next> {
        if self.in_flight.len() >= window {
            // Only what is already counted may go again.
            return self.next_again();
        }
        self.turn = self.turn.wrapping_add(1);
        let urgent_first = self.turn.is_multiple_of(2);
        if urgent_first && let Some(next) = self.next_again().or_else(|| self.next_of(CLASS_CONTROL)) {
            return Some(next);
        }
        // One of eight turns begins with the lower classes, so that they are slow but never starved.
        let order = if self.turn % 8 == 7 {
            [CLASS_BULK, CLASS_NORMAL, CLASS_HIGH]
        } else {
            [CLASS_HIGH, CLASS_NORMAL, CLASS_BULK]
        };
        for class in order {
            if let Some(next) = self.next_of(class) {
                return Some(next);
            }
        }
        if urgent_first { None } else { self.next_again().or_else(|| self.next_of(CLASS_CONTROL)) }
    }

    fn next_again(&mut self) -> Option<Next> {
        // Each is looked at once: those that wait for something stay in the queue.
        for _ in 0..self.again.len() {
            let key = self.again.pop_front()?;
            let Some(message) = self.messages.get_mut(&key.message) else { continue };
            let Some(state) = message.fragments.get(key.index).copied() else { continue };
            if state.acked || !state.waiting {
                continue;
            }
            if message.parked.is_some() {
                self.again.push_back(key);
                continue;
            }
            if let Some(state) = message.fragments.get_mut(key.index) {
                state.waiting = false;
            }
            return Some(Next::Fragment(key));
        }
        None
    }

    fn next_of(&mut self, class: usize) -> Option<Next> {
        for _ in 0..self.queues[class].len() {
            let key = self.queues[class].pop_front()?;
            let Some(message) = self.messages.get_mut(&key) else { continue };
            if message.parked.is_some() {
                self.queues[class].push_back(key);
                continue;
            }
            if matches!(message.stage, Stage::Body { .. }) {
                self.queues[class].push_back(key);
                return Some(Next::Split(key));
            }
            let index = message.cursor;
            if index >= message.fragments.len() {
                continue;
            }
            message.cursor += 1;
            if message.cursor < message.fragments.len() {
                self.queues[class].push_back(key);
            }
            return Some(Next::Fragment(FragmentKey { message: key, index }));
        }
        None
    }

    /// Takes a fragment back that was taken and did not leave.
    pub(super) fn put_back(&mut self, key: FragmentKey) {
        let Some(message) = self.messages.get_mut(&key.message) else { return };
        if let Some(state) = message.fragments.get_mut(key.index)
            && !state.acked
            && !state.waiting
        {
            state.waiting = true;
            self.again.push_front(key);
        }
    }

    /// The gateway threw the fragment's packet away: it goes again at once.
    pub(super) fn refused(&mut self, key: FragmentKey) {
        let Some(id) = self.id_of(key) else { return };
        if let Some(flight) = self.in_flight.remove(&id) {
            self.ack_deadlines.remove(&(flight.deadline, id));
            self.put_back(key);
        }
    }

    /// Forgets the SURBs made for messages that are not cut yet; they are made anew.
    pub(super) fn drop_surbs(&mut self) {
        for message in self.messages.values_mut() {
            if let Stage::Body { surbs, .. } = &mut message.stage {
                surbs.clear();
            }
        }
    }

    pub(super) fn id_of(&self, key: FragmentKey) -> Option<FragmentId> {
        match &self.messages.get(&key.message)?.stage {
            Stage::Split(fragments) => fragments.id(key.index),
            Stage::Body { .. } => None,
        }
    }

    /// The attempt this sending of the fragment would be, from 1.
    pub(super) fn attempt_of(&self, key: FragmentKey) -> u32 {
        let state = self.messages.get(&key.message).and_then(|message| message.fragments.get(key.index));
        state.map_or(1, |state| u32::from(state.attempts) + 1)
    }

    /// The fragment has left: from now on its ack is waited for. Answers what the message has become.
    pub(super) fn left(
        &mut self,
        key: FragmentKey,
        chosen: Duration,
        wait: Duration,
        now: Instant,
    ) -> Option<(Progress, bool)> {
        let id = self.id_of(key)?;
        let message = self.messages.get_mut(&key.message)?;
        let state = message.fragments.get_mut(key.index)?;
        let first = state.attempts == 0;
        state.attempts = state.attempts.saturating_add(1);
        message.last_left = now;
        if first {
            message.sent += 1;
        } else {
            message.retransmissions += 1;
        }
        if !state.acked {
            let deadline = now + wait;
            if let Some(old) = self.in_flight.insert(id, InFlight { key, sent_at: now, chosen, deadline }) {
                self.ack_deadlines.remove(&(old.deadline, id));
            }
            self.ack_deadlines.insert((deadline, id));
        }
        Some((message.progress(), first))
    }

    /// An ack came in. `None` when nothing waits for it.
    pub(super) fn acked(&mut self, id: FragmentId, now: Instant) -> Option<Acked> {
        let (key, set) = *self.by_set.get(&id.set)?;
        let index = (set * SET_FRAGMENTS_MAX + usize::from(id.position)).checked_sub(1)?;
        let message = self.messages.get_mut(&key)?;
        let state = message.fragments.get_mut(index)?;
        if state.acked || state.attempts == 0 {
            return None;
        }
        state.acked = true;
        message.acked += 1;
        let first_attempt = state.attempts == 1;
        let in_flight = self.in_flight.remove(&id);
        if let Some(in_flight) = &in_flight {
            self.ack_deadlines.remove(&(in_flight.deadline, id));
        }
        Some(Acked {
            key,
            round_trip: now.since(in_flight.as_ref().map_or(message.last_left, |flight| flight.sent_at)),
            clean: in_flight.filter(|_| first_attempt).map(|flight| flight.chosen),
            complete: message.acked == message.fragments.len(),
        })
    }

    /// The earliest time at which an ack is missed.
    pub(super) fn next_ack_deadline(&self) -> Option<Instant> {
        self.ack_deadlines.first().map(|(at, _)| *at)
    }

    /// Takes one fragment whose ack did not come in time.
    pub(super) fn take_missed(&mut self, now: Instant) -> Option<Missed> {
        let (at, id) = *self.ack_deadlines.first()?;
        if at > now {
            return None;
        }
        self.ack_deadlines.pop_first();
        let flight = self.in_flight.remove(&id)?;
        let Some(message) = self.messages.get_mut(&flight.key.message) else { return Some(Missed::Again) };
        let reliable = message.reliable;
        let Some(state) = message.fragments.get_mut(flight.key.index) else { return Some(Missed::Again) };
        if !reliable || u32::from(state.attempts) >= limits::ATTEMPTS_MAX {
            return Some(Missed::GivenUp(flight.key.message));
        }
        state.waiting = true;
        self.again.push_back(flight.key);
        Some(Missed::Again)
    }

    /// The earliest deadline of a message; those of link time only while the link is up.
    pub(super) fn next_message_deadline(&self, link_up: bool) -> Option<Instant> {
        let wall = self.wall_deadlines.first().map(|(at, _)| *at);
        let link = self.link_deadlines.first().filter(|_| link_up).map(|(at, _)| *at);
        [wall, link].into_iter().flatten().min()
    }

    /// One message whose time is over.
    pub(super) fn overdue(&self, link_up: bool, now: Instant) -> Option<MessageKey> {
        let wall = self.wall_deadlines.first().copied();
        let link = self.link_deadlines.first().copied().filter(|_| link_up);
        [wall, link].into_iter().flatten().find(|(at, _)| *at <= now).map(|(_, key)| key)
    }

    /// The link was down, or the machine asleep, for this long: everything that waits for acks gets that time back.
    pub(super) fn shift(&mut self, by: Duration) {
        self.ack_deadlines.clear();
        for (id, flight) in &mut self.in_flight {
            flight.deadline += by;
            flight.sent_at += by;
            self.ack_deadlines.insert((flight.deadline, *id));
        }
        let old = core::mem::take(&mut self.link_deadlines);
        for (at, key) in old {
            let at = at + by;
            self.link_deadlines.insert((at, key));
            if let Some(message) = self.messages.get_mut(&key) {
                message.deadline = Some(Deadline::Link(at));
            }
        }
    }

    /// What left shortly before the link broke most likely never arrived: its deadline becomes `at`.
    pub(super) fn hurry(&mut self, sent_since: Instant, at: Instant) {
        for (id, flight) in &mut self.in_flight {
            if flight.sent_at >= sent_since && flight.deadline > at {
                self.ack_deadlines.remove(&(flight.deadline, *id));
                flight.deadline = at;
                self.ack_deadlines.insert((at, *id));
            }
        }
    }

    /// Lets every message try again that was parked for this reason.
    pub(super) fn unpark(&mut self, mut which: impl FnMut(&Message, Parked) -> bool) {
        for message in self.messages.values_mut() {
            if message.parked.is_some_and(|parked| which(message, parked)) {
                message.parked = None;
            }
        }
    }

    /// Fragments that wait for SURBs of this peer.
    pub(super) fn waiting_for(&self, tag: &SenderTag) -> usize {
        let of_peer = |message: &&Message| matches!(&message.to, Target::Tag(known) if known == tag);
        let again =
            self.again.iter().filter(|key| self.messages.get(&key.message).as_ref().is_some_and(of_peer)).count();
        let new: usize = self
            .messages
            .values()
            .filter(|message| of_peer(message) && !matches!(message.kind, Kind::SurbRequest(_)))
            .map(Message::unsent)
            .sum();
        new + again
    }

    /// Peers whose SURBs are waited for.
    pub(super) fn waiting_peers(&self) -> Vec<SenderTag> {
        let mut tags: Vec<_> = self
            .messages
            .values()
            .filter(|message| message.parked == Some(Parked::NoSurbs))
            .filter_map(|message| match &message.to {
                Target::Tag(tag) => Some(*tag),
                Target::Address(_) => None,
            })
            .collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Messages to this peer.
    pub(super) fn messages_to(&self, tag: &SenderTag) -> Vec<MessageKey> {
        let of_peer = |message: &Message| matches!(&message.to, Target::Tag(known) if known == tag);
        self.messages.iter().filter(|(_, message)| of_peer(message)).map(|(key, _)| *key).collect()
    }

    /// Fragments that were never sent and have a turn before a new message of this class, roughly.
    pub(super) fn waiting_fragments(&self) -> usize {
        self.messages.values().map(Message::unsent).sum()
    }

    /// Ends a message, whatever has become of it.
    pub(super) fn remove(&mut self, key: MessageKey) -> Option<Message> {
        let message = self.messages.remove(&key)?;
        self.bytes -= message.len;
        if let Some(id) = message.id {
            self.by_id.remove(&id);
        }
        match message.deadline {
            Some(Deadline::Link(at)) => _ = self.link_deadlines.remove(&(at, key)),
            Some(Deadline::Wall(at)) => _ = self.wall_deadlines.remove(&(at, key)),
            None => {}
        }
        if let Stage::Split(fragments) = &message.stage {
            for set in fragments.set_ids() {
                self.by_set.remove(set);
            }
            for id in (0..fragments.count()).filter_map(|index| fragments.id(index)) {
                if let Some(flight) = self.in_flight.remove(&id) {
                    self.ack_deadlines.remove(&(flight.deadline, id));
                }
            }
        }
        if self.messages.is_empty() {
            // Everything left in the queues is the key of a finished message.
            self.queues.iter_mut().for_each(VecDeque::clear);
            self.again.clear();
        }
        Some(message)
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send this fragment.
    Fragment(FragmentKey),
    /// Cut this message into fragments, then ask again.
    Split(MessageKey),
}

impl Message {
    pub(super) fn progress(&self) -> Progress {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Progress {
            acked: count(self.acked),
            total: count(self.fragments.len()),
            retransmissions: self.retransmissions,
            all_sent: !self.fragments.is_empty() && self.sent == self.fragments.len(),
        }
    }

    /// Fragments that were never taken; estimated while the message is not cut.
    fn unsent(&self) -> usize {
        match &self.stage {
            Stage::Body { body, wanted, .. } => (body.len() + wanted * SURB_COST) / FRAGMENT_COST + 1,
            Stage::Split(_) => self.fragments.len() - self.cursor,
        }
    }
}

/// The queue of a priority.
pub(super) const fn class_of(priority: Priority) -> usize {
    match priority {
        Priority::High => CLASS_HIGH,
        Priority::Normal => CLASS_NORMAL,
        Priority::Bulk => CLASS_BULK,
    }
}

/// Our own requests for SURBs and answers to such.
const CLASS_CONTROL: usize = 0;
const CLASS_HIGH: usize = 1;
const CLASS_NORMAL: usize = 2;
const CLASS_BULK: usize = 3;
const CLASS_COUNT: usize = 4;

/// A SURB with its key on the wire, for four hops.
pub(super) const SURB_COST: usize = 460;
/// The user's bytes in one unlinked fragment of a regular packet.
pub(super) const FRAGMENT_COST: usize = 1_604;
