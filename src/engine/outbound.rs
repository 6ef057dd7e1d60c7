//! Messages on their way out: the send queues, what is in flight, what goes again.
//!
//! Queues hold plaintext fragments, never packets. A fragment is in one of four places: not sent yet (behind its
//! message's cursor), in flight (with a deadline), waiting to go again, or acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::backlogs::{Backlogs, Load};
use super::flights::{Flight, Flights};
use super::output::{MessageId, Priority};
use super::unfinished::{
    Deadline, FRAGMENT_COST, FragmentKey, FragmentState, Message, MessageKey, NewMessage, Parked, Progress, Stage,
};
use crate::limits;
use crate::message::{FragmentId, Fragments, SET_FRAGMENTS_MAX, SenderTag, SetId};
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// All messages that are not finished.
#[derive(Default)]
pub(super) struct Outbound {
    messages: Table<MessageKey, Message>,
    by_id: Table<MessageId, MessageKey>,
    /// Which message a set belongs to, and which of its sets it is.
    by_set: Table<SetId, (MessageKey, usize)>,
    /// Messages with fragments that were never sent, by class. Keys of finished messages are skipped when met.
    queues: [VecDeque<MessageKey>; CLASS_COUNT],
    /// Long messages that have not begun, by class, and the bytes of those that have.
    line: [VecDeque<MessageKey>; CLASS_COUNT],
    under_way: [usize; CLASS_COUNT],
    /// Fragments that go again. Those acknowledged in the meantime are skipped when met.
    again: VecDeque<FragmentKey>,
    backlogs: Backlogs,
    flights: Flights,
    /// Deadlines of messages.
    deadlines: TableSet<(Instant, MessageKey)>,
    bytes: usize,
    /// Fragments that were never taken, of all messages.
    unsent: usize,
    next_key: u64,
    turn: u32,
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

impl Outbound {
    /// Accepts a message. The caller has checked [`Self::has_room`].
    pub(super) fn insert(&mut self, new: NewMessage) -> MessageKey {
        let NewMessage { id, to, kind, stage, reliable, planned, priority, deadline } = new;
        let key = MessageKey(self.next_key);
        self.next_key += 1;
        let len = stage.len();
        let (stage, cut) = match stage {
            Stage::Split(fragments) => (Stage::empty(), Some(fragments)),
            body => (body, None),
        };
        let estimate = len / FRAGMENT_COST + 1;
        let class = class_of(priority, estimate);
        self.bytes += len;
        if let Some(id) = id {
            self.by_id.insert(id, key);
        }
        if let Some(Deadline { at, .. }) = deadline {
            self.deadlines.insert((at, key));
        }
        let message = Message {
            id,
            to,
            kind,
            stage,
            reliable,
            planned,
            resumed: false,
            watched: false,
            parked: None,
            routeless: 0,
            surbs_until: 0,
            class,
            under_way: false,
            queued: true,
            shelved: Vec::new(),
            deadline,
            len,
            estimate,
            fragments: Vec::new(),
            cursor: 0,
            sent: 0,
            acked: 0,
            retransmissions: 0,
            last_left: Instant::ZERO,
        };
        self.unsent += message.unsent();
        self.backlogs.add(&message);
        self.messages.insert(key, message);
        if is_long(class) { &mut self.line[class] } else { &mut self.queues[class] }.push_back(key);
        if let Some(fragments) = cut {
            self.split(key, fragments);
        }
        key
    }

    /// A message that an earlier client has begun goes on: what is acknowledged does not leave again, and acks count that
    /// its packets bring. Whether every fragment is acknowledged.
    pub(super) fn resumed(&mut self, key: MessageKey, acked: &[u8], now: Instant) -> bool {
        let Some(message) = self.messages.get_mut(&key) else { return false };
        let is_acked = |index: usize| acked.get(index / 8).is_some_and(|bits| bits & (1 << (index % 8)) != 0);
        let before = message.unsent();
        message.resumed = true;
        message.last_left = now;
        for (index, state) in message.fragments.iter_mut().enumerate().filter(|(index, _)| is_acked(*index)) {
            (state.acked, state.left) = (true, true);
            message.acked += 1;
            message.sent += 1;
            debug_assert!(index >= message.cursor);
        }
        let acked = before - message.unsent();
        self.unsent -= acked;
        if let Some(load) = self.backlogs.load_mut(message) {
            load.waiting -= acked;
        }
        message.acked == message.fragments.len()
    }

    /// Which fragments were acknowledged, one bit for each.
    pub(super) fn acked_bits(&self, key: MessageKey) -> Option<Vec<u8>> {
        let message = self.messages.get(&key).filter(|message| !message.fragments.is_empty())?;
        let byte = |states: &[FragmentState]| {
            let set = states.iter().enumerate().filter(|(_, state)| state.acked);
            set.fold(0_u8, |bits, (at, _)| bits | 1 << at)
        };
        Some(message.fragments.chunks(8).map(byte).collect())
    }

    /// Whether an unfinished message has one of these sets.
    pub(super) fn has_any_set(&self, sets: &[SetId]) -> bool {
        sets.iter().any(|set| self.by_set.contains_key(set))
    }

    /// Nothing of the message leaves until [`Self::kept`]. It keeps its place.
    pub(super) fn wait_until_kept(&mut self, key: MessageKey) {
        if let Some(message) = self.messages.get_mut(&key) {
            message.parked = Some(Parked::Unkept);
        }
    }

    /// Whoever asked for the plan of a message has it. Whether it was waited for.
    pub(super) fn kept(&mut self, key: MessageKey) -> bool {
        let waits = self.messages.get(&key).is_some_and(|message| message.parked == Some(Parked::Unkept));
        if waits {
            self.unpark(key);
        }
        waits
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        self.messages.len() < limits::SEND_QUEUE_COUNT_MAX
            && (self.bytes == 0 || self.bytes + len <= limits::SEND_QUEUE_LEN_MAX)
    }

    /// Whether one more reply of this length may wait for this peer's SURBs or slots.
    pub(super) fn has_room_for(&self, tag: &SenderTag, len: usize) -> bool {
        self.backlogs.has_room_for(tag, len)
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
        self.flights.len()
    }

    pub(super) fn count(&self) -> usize {
        self.messages.len()
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
        let estimated = message.unsent();
        message.fragments = alloc::vec![FragmentState::default(); fragments.count()];
        message.stage = Stage::Split(fragments);
        let unsent = message.unsent();
        self.unsent = self.unsent + unsent - estimated;
        if let Some(load) = self.backlogs.load_mut(message) {
            load.waiting = load.waiting + unsent - estimated;
        }
    }

    /// The next message whose turn it is, with the fragment to send, or `None` when there is nothing to send. A
    /// message that turns out not to be sendable now is parked by the caller, who then asks again.
    ///
    /// What goes again and our own requests get every other slot while the user's messages wait too: they unblock
    /// others, but must not starve what is new. A priority has two classes, short messages before long ones, so that a
    /// line of chat does not wait for its turn among hundreds of files. Within a class messages take turns.
    pub(super) fn next(&mut self, window: usize) -> Option<Next> {
        let next = self.choose(window)?;
        // Only what leaves, or could not be cut yet, takes a turn: asking more often changes nothing.
        if matches!(next, Next::Fragment(_)) {
            self.turn = self.turn.wrapping_add(1);
        }
        Some(next)
    }

    fn choose(&mut self, window: usize) -> Option<Next> {
        if self.flights.len() >= window {
            return None;
        }
        let urgent_first = self.turn.is_multiple_of(2);
        // What goes again was in flight and will be: nothing new until there is room for both.
        let full = self.flights.len() + self.again.len() >= window;
        if (urgent_first || full)
            && let Some(next) = self.next_again()
        {
            return Some(next);
        }
        if self.flights.len() + self.again.len() >= window {
            return None;
        }
        if urgent_first && let Some(next) = self.next_of(CLASS_CONTROL) {
            return Some(next);
        }
        // One of eight turns begins with another class, each in its turn, so that all are slow but none is starved.
        let first = if self.turn % 8 == 7 { self.turn as usize / 8 % USER_CLASS_COUNT } else { 0 };
        for class in 0..USER_CLASS_COUNT {
            if let Some(next) = self.next_of((first + class) % USER_CLASS_COUNT) {
                return Some(next);
            }
        }
        if urgent_first { None } else { self.next_again().or_else(|| self.next_of(CLASS_CONTROL)) }
    }

    fn next_again(&mut self) -> Option<Next> {
        while let Some(key) = self.again.pop_front() {
            let Some(message) = self.messages.get_mut(&key.message) else { continue };
            let Some(state) = message.fragments.get_mut(key.index).filter(|state| state.waiting) else { continue };
            if message.parked.is_some() {
                message.shelved.push(key.index);
                continue;
            }
            state.waiting = false;
            if let Some(load) = self.backlogs.load_mut(message) {
                load.waiting -= 1;
            }
            return Some(Next::Fragment(key));
        }
        None
    }

    /// Lets the long messages begin for which there is room under way.
    fn begin_long(&mut self, class: usize) {
        while let Some(key) = self.line[class].front() {
            if let Some(message) = self.messages.get_mut(key) {
                let under_way = self.under_way[class];
                if under_way > 0 && under_way + message.len > limits::LONG_UNDER_WAY_LEN_MAX {
                    return;
                }
                message.under_way = true;
                self.under_way[class] += message.len;
                self.queues[class].push_back(*key);
            }
            self.line[class].pop_front();
        }
    }

    fn next_of(&mut self, class: usize) -> Option<Next> {
        self.begin_long(class);
        // Those whose plans are not kept yet are passed over and keep their places.
        let mut at = 0;
        while at < limits::PLANS_AHEAD_COUNT
            && let Some(key) = self.queues[class].get(at).copied()
        {
            let message = self.messages.get_mut(&key);
            if message.as_ref().is_some_and(|message| message.parked == Some(Parked::Unkept)) {
                at += 1;
                continue;
            }
            self.queues[class].remove(at);
            let Some(message) = message else { continue };
            message.queued = false;
            if message.parked.is_some() {
                message.leave_way(&mut self.under_way);
                continue;
            }
            if self.backlogs.waits(key, message) {
                message.parked = Some(Parked::NoSurbs);
                message.leave_way(&mut self.under_way);
                continue;
            }
            if matches!(message.stage, Stage::Body { .. }) {
                // It keeps its turn: once it is cut, its first fragment is next.
                message.queued = true;
                self.queues[class].insert(at, key);
                return Some(Next::Split(key));
            }
            message.skip_acked();
            let index = message.cursor;
            if index >= message.fragments.len() {
                message.leave_way(&mut self.under_way);
                continue;
            }
            message.cursor += 1;
            message.skip_acked();
            self.unsent -= 1;
            if let Some(load) = self.backlogs.load_mut(message) {
                load.waiting -= 1;
            }
            if message.cursor < message.fragments.len() {
                message.queued = true;
                // Each of our own messages helps a peer only when it is whole, so they do not take turns.
                if class == CLASS_CONTROL {
                    self.queues[class].push_front(key);
                } else {
                    self.queues[class].push_back(key);
                }
            } else {
                message.leave_way(&mut self.under_way);
            }
            return Some(Next::Fragment(FragmentKey { message: key, index }));
        }
        None
    }

    /// A message that could not be cut yet lets the others of its class go first.
    pub(super) fn defer(&mut self, key: MessageKey) {
        self.turn = self.turn.wrapping_add(1);
        if let Some(message) = self.messages.get(&key) {
            let queue = &mut self.queues[message.class];
            if let Some(at) = queue.iter().take(limits::PLANS_AHEAD_COUNT).position(|queued| *queued == key) {
                queue.remove(at);
                queue.push_back(key);
            }
        }
    }

    /// Takes a fragment back that was taken and did not leave.
    pub(super) fn put_back(&mut self, key: FragmentKey) {
        let Some(message) = self.messages.get_mut(&key.message) else { return };
        if let Some(state) = message.fragments.get_mut(key.index)
            && !state.acked
            && !state.waiting
        {
            state.waiting = true;
            if let Some(load) = self.backlogs.load_mut(message) {
                load.waiting += 1;
            }
            self.again.push_front(key);
        }
    }

    /// Takes a message out of the queues until it is unparked.
    pub(super) fn park(&mut self, key: MessageKey, why: Parked) {
        let Some(message) = self.messages.get_mut(&key) else { return };
        message.parked = Some(why);
        message.leave_way(&mut self.under_way);
        if why == Parked::NoSurbs {
            self.backlogs.ran_dry(key, message);
        }
    }

    fn unpark(&mut self, key: MessageKey) {
        let Some(message) = self.messages.get_mut(&key) else { return };
        message.parked = None;
        let again = message.shelved.drain(..).map(|index| FragmentKey { message: key, index });
        self.again.extend(again);
        if !message.queued && message.unsent() > 0 {
            message.queued = true;
            self.queues[message.class].push_back(key);
        }
    }

    /// The gateway threw the fragment's packet away: it goes again at once.
    pub(super) fn refused(&mut self, key: FragmentKey) {
        let Some((id, message)) = self.id_of(key).zip(self.messages.get(&key.message)) else { return };
        if self.flights.remove(id).is_none() {
            return;
        }
        if let Some(load) = self.backlogs.load_mut(message) {
            load.in_flight -= 1;
        }
        self.put_back(key);
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
        let first = !core::mem::replace(&mut state.left, true);
        state.attempts = state.attempts.saturating_add(1);
        message.last_left = now;
        if first {
            message.sent += 1;
        } else {
            message.retransmissions += 1;
        }
        if !state.acked {
            let is_new = self.flights.insert(id, Flight { key, sent_at: now, chosen, deadline: now + wait });
            if is_new && let Some(load) = self.backlogs.load_mut(message) {
                load.in_flight += 1;
            }
        }
        Some((message.progress(), first))
    }

    /// An ack came in. `None` when nothing waits for it.
    pub(super) fn acked(&mut self, id: FragmentId, now: Instant) -> Option<Acked> {
        let (key, set) = *self.by_set.get(&id.set)?;
        // Positions count from one; a zero would be the last fragment of the set before.
        let index = set * SET_FRAGMENTS_MAX + usize::from(id.position).checked_sub(1)?;
        let message = self.messages.get_mut(&key)?;
        let state = message.fragments.get_mut(index)?;
        if state.acked || (state.attempts == 0 && !message.resumed) {
            return None;
        }
        state.acked = true;
        let waited = core::mem::take(&mut state.waiting);
        let first_attempt = state.attempts == 1;
        // It has left by an earlier client, and need not leave again.
        let never_taken = index >= message.cursor;
        if !core::mem::replace(&mut state.left, true) {
            message.sent += 1;
        }
        message.acked += 1;
        self.unsent -= usize::from(never_taken);
        let in_flight = self.flights.remove(id);
        if let Some(load) = self.backlogs.load_mut(message) {
            load.waiting -= usize::from(waited) + usize::from(never_taken);
            load.in_flight -= usize::from(in_flight.is_some());
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
        self.flights.next_deadline()
    }

    /// Takes one fragment whose ack did not come in time.
    pub(super) fn take_missed(&mut self, now: Instant) -> Option<Missed> {
        let flight = self.flights.take_missed(now)?;
        let Some(message) = self.messages.get_mut(&flight.key.message) else { return Some(Missed::Again) };
        let reliable = message.reliable;
        let Some(state) = message.fragments.get_mut(flight.key.index) else { return Some(Missed::Again) };
        let last = !reliable || u32::from(state.attempts) >= limits::ATTEMPTS_MAX;
        state.waiting = !last;
        if let Some(load) = self.backlogs.load_mut(message) {
            load.in_flight -= 1;
            load.waiting += usize::from(!last);
        }
        if last {
            return Some(Missed::GivenUp(flight.key.message));
        }
        self.again.push_back(flight.key);
        Some(Missed::Again)
    }

    /// The earliest deadline of a message.
    pub(super) fn next_message_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// One message whose time is over.
    pub(super) fn overdue(&self, now: Instant) -> Option<MessageKey> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    /// The link was down, or the machine asleep, for this long: everything that waits for acks gets that time back.
    pub(super) fn shift(&mut self, by: Duration) {
        self.flights.shift(by);
        self.move_deadlines(by, |_| true);
    }

    /// The pace is slower: messages whose time was reckoned from it get so much more.
    pub(super) fn prolong(&mut self, by: Duration) {
        self.move_deadlines(by, |deadline| deadline.by_pace);
    }

    fn move_deadlines(&mut self, by: Duration, moves: impl Fn(&Deadline) -> bool) {
        self.deadlines.clear();
        for (key, message) in self.messages.iter_mut() {
            if let Some(deadline) = &mut message.deadline {
                if moves(deadline) {
                    deadline.at += by;
                }
                self.deadlines.insert((deadline.at, *key));
            }
        }
    }

    /// After a pause so long that recipients may have dropped what they had half received, unfinished messages go again
    /// whole, under the same identifiers, so that a recipient that does have it all sees repeats. Acks of before the
    /// pause do not count any more. Answers with the messages that cannot go again: those with one attempt, and those
    /// that may have arrived and may be forgotten by now.
    pub(super) fn begin_anew(&mut self, pause: Duration) -> Vec<MessageKey> {
        let mut hopeless = Vec::new();
        if pause < limits::PAUSE_DROPS_UNFINISHED {
            return hopeless;
        }
        for (key, message) in self.messages.iter_mut().filter(|(_, message)| message.sent > 0) {
            let may_be_whole = message.sent == message.fragments.len();
            if !message.reliable || (may_be_whole && pause >= limits::PAUSE_FORGETS_FINISHED) {
                hopeless.push(*key);
                continue;
            }
            let (waiting, unsent) = (message.waiting(), message.unsent());
            let Stage::Split(fragments) = &message.stage else { continue };
            let in_flight = self.flights.remove_all(fragments.ids());
            (message.cursor, message.acked, message.resumed) = (0, 0, false);
            message.shelved.clear();
            for state in &mut message.fragments {
                *state = FragmentState { left: state.left, ..FragmentState::default() };
            }
            self.unsent = self.unsent + message.unsent() - unsent;
            if let Some(load) = self.backlogs.load_mut(message) {
                load.waiting = load.waiting + message.waiting() - waiting;
                load.in_flight -= in_flight;
            }
            if message.parked.is_none() && !core::mem::replace(&mut message.queued, true) {
                self.queues[message.class].push_back(*key);
            }
        }
        hopeless
    }

    /// What left shortly before the link broke most likely never arrived: its deadline becomes `at`.
    pub(super) fn hurry(&mut self, sent_since: Instant, at: Instant) {
        self.flights.hurry(sent_since, at);
    }

    /// Lets the messages try again that had no route with an older topology, and those that had no SURB.
    pub(super) fn unpark_all(&mut self, generation: u64) {
        let old = |message: &Message| match message.parked {
            Some(Parked::NoRoute(seen)) => seen < generation,
            Some(Parked::NoSurbs) => true,
            Some(Parked::Unkept) | None => false,
        };
        let keys: Vec<_> = self.messages.iter().filter(|(_, message)| old(message)).map(|(key, _)| *key).collect();
        self.backlogs.clear_parked();
        for key in keys {
            self.unpark(key);
        }
    }

    /// SURBs of this peer came in, which are good for so many fragments: as many of its messages try again, the
    /// oldest first.
    pub(super) fn wake(&mut self, tag: &SenderTag, mut room: usize) {
        if room > 0 {
            self.backlogs.refilled(tag);
        }
        while room > 0
            && let Some(key) = self.backlogs.take_parked(tag)
        {
            room = room.saturating_sub(self.messages.get(&key).map_or(0, Message::waiting));
            self.unpark(key);
        }
    }

    /// Takes one message that waits for SURBs of this peer, to be ended.
    pub(super) fn take_parked(&mut self, tag: &SenderTag) -> Option<MessageKey> {
        self.backlogs.take_parked(tag)
    }

    /// Whether messages wait for SURBs of this peer.
    pub(super) fn is_parked(&self, tag: &SenderTag) -> bool {
        self.backlogs.is_parked(tag)
    }

    /// The fragments for this peer.
    pub(super) fn load_of(&self, tag: &SenderTag) -> Load {
        self.backlogs.load_of(tag)
    }

    /// Fragments that were never sent and have a turn before a new message of this class, roughly.
    pub(super) fn waiting_fragments(&self) -> usize {
        self.unsent
    }

    /// The nodes have new keys: SURBs made for the old ones are not attached any more.
    pub(super) fn drop_surbs(&mut self) {
        for message in self.messages.values_mut() {
            if let Stage::Body { surbs, .. } = &mut message.stage {
                surbs.clear();
            }
        }
    }

    /// Ends a message, whatever has become of it.
    pub(super) fn remove(&mut self, key: MessageKey) -> Option<Message> {
        let mut message = self.messages.remove(&key)?;
        self.bytes -= message.len;
        self.unsent -= message.unsent();
        message.leave_way(&mut self.under_way);
        if let Some(id) = message.id {
            self.by_id.remove(&id);
        }
        if let Some(Deadline { at, .. }) = message.deadline {
            self.deadlines.remove(&(at, key));
        }
        let mut in_flight = 0;
        if let Stage::Split(fragments) = &message.stage {
            for set in fragments.set_ids() {
                self.by_set.remove(set);
            }
            in_flight = self.flights.remove_all(fragments.ids());
        }
        self.backlogs.remove(key, &message, in_flight);
        self.tidy(message.class);
        Some(message)
    }

    /// Drops the keys of finished messages from the queues when they are the greater part, so that queues do not grow
    /// with what comes and goes.
    fn tidy(&mut self, class: usize) {
        let messages = &self.messages;
        for queue in [&mut self.queues[class], &mut self.line[class]] {
            if queue.len() > 2 * messages.len() + QUEUE_SLACK {
                queue.retain(|key| messages.contains_key(key));
            }
        }
        if self.again.len() > 2 * limits::IN_FLIGHT_COUNT_MAX || messages.is_empty() {
            self.again.retain(|key| messages.contains_key(&key.message));
        }
        if messages.is_empty() {
            self.queues.iter_mut().chain(&mut self.line).for_each(VecDeque::clear);
        }
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

/// The queue of a message with this priority, `None` for our own, and about so many fragments.
fn class_of(priority: Option<Priority>, fragments: usize) -> usize {
    let first = match priority {
        Some(Priority::High) => 0,
        Some(Priority::Normal) => 2,
        Some(Priority::Bulk) => 4,
        None => return CLASS_CONTROL,
    };
    first + usize::from(fragments > SHORT_FRAGMENT_COUNT)
}

/// Whether the messages of this class are long: they begin one after the other.
const fn is_long(class: usize) -> bool {
    class < USER_CLASS_COUNT && class % 2 == 1
}

/// A message of at most so many fragments is short.
const SHORT_FRAGMENT_COUNT: usize = 8;
/// Short and long ones of three priorities.
const USER_CLASS_COUNT: usize = 6;
/// Our own requests for SURBs and answers to such.
const CLASS_CONTROL: usize = USER_CLASS_COUNT;
const CLASS_COUNT: usize = USER_CLASS_COUNT + 1;

/// How many keys of finished messages a queue may hold before they are looked for.
const QUEUE_SLACK: usize = 64;

#[cfg(test)]
mod tests;
