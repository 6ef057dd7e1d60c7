//! Fragments put together in any order, with loss, duplicates and expiry.

use core::fmt;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::finished::Finished;
use super::{Fragment, FragmentHeader, Link, MessageError, SenderTag, SetId, unpad};
use crate::limits;
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// Puts fragments together.
///
/// Whether a message is complete is never searched for. Sets that name each other as neighbours are one record,
/// which counts its unfinished sets and its links without a partner; when both counts are zero it is complete. Both ends of a
/// link must agree, so the sets of a message form a line, and a fragment that would close the line to a circle is
/// refused. The cost of a fragment is therefore a few look-ups, however long the message is, and each byte is copied
/// twice: when it comes and when the message is joined.
///
/// A message lives and dies as a whole: a fragment of any of its sets keeps all of them, and when it is dropped for its
/// age or for want of room, no set of it stays behind.
pub struct Reassembler {
    budget: Budget,
    /// Fragments are compared by keyed digests; without the key nobody can make two that agree.
    digest_key: [u8; 32],
    sets: Table<(Context, SetId), Set>,
    messages: Table<MessageNumber, Message>,
    next_number: u64,
    unknown: Class,
    tags: Class,
    pushed_out: u64,
    pushed_out_bytes: u64,
    slept: Duration,
    /// Pages of the store in which a fragment is not needed any more, once for each fragment.
    released: Vec<u32>,
}

impl Reassembler {
    /// An empty reassembler. Takes 32 bytes from `rng`, the key of its digests.
    pub fn new(budget: Budget, rng: &mut dyn CryptoRng) -> Self {
        let mut digest_key = [0; 32];
        rng.fill_bytes(&mut digest_key);
        Self {
            budget,
            digest_key,
            sets: Table::new(),
            messages: Table::new(),
            next_number: 0,
            unknown: Class::default(),
            tags: Class::default(),
            pushed_out: 0,
            pushed_out_bytes: 0,
            slept: Duration::ZERO,
            released: Vec::new(),
        }
    }

    // ── what the store has ───────────────────────────────────────────────────────────────────────────────────────

    /// The key that fragments are compared with.
    pub fn digest_key(&self) -> &[u8; 32] {
        &self.digest_key
    }

    /// Takes the key of an earlier run, whose finished sets are remembered with it. For the beginning: what is here
    /// already is not recognised any more.
    pub fn set_digest_key(&mut self, key: [u8; 32]) {
        self.digest_key = key;
    }

    /// The digests of a set that was completed lately.
    pub fn finished_digests(&self, context: Context, set: SetId) -> Option<&[u64]> {
        let class = if context == Context::Unknown { &self.unknown } else { &self.tags };
        class.finished.digests(context, set)
    }

    /// A set that an earlier run has completed, with its digests under the key of now.
    pub fn restore_finished(&mut self, context: Context, set: SetId, digests: Vec<u64>, since: Instant) {
        self.remember(context, set, digests.into(), since);
    }

    /// The store has this fragment, which was just taken in and waits, in that page.
    pub fn file(&mut self, context: Context, fragment: &[u8], page: u32) {
        let slot = Fragment::parse(fragment).ok().and_then(|Fragment { header, .. }| {
            let slots = &mut self.sets.get_mut(&(context, header.id.set))?.slots;
            let at = slots.binary_search_by_key(&header.id.position, |slot| slot.position).ok()?;
            slots.get_mut(at)
        });
        match slot {
            Some(slot) => slot.page = Some(page),
            None => self.released.push(page),
        }
    }

    /// Pages of the store in which a fragment is not needed any more, once for each fragment.
    pub fn take_released(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.released)
    }

    /// Whether there are any.
    pub fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    // ── fragments ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes in a fragment, as it is after the end-to-end layer was taken off. Cover is to be sorted out before.
    pub fn insert(&mut self, context: Context, bytes: &[u8], now: Instant) -> Inserted {
        let Fragment { header, payload } = match Fragment::parse(bytes) {
            Ok(fragment) => fragment,
            Err(error) => return Inserted::Refused(Refusal::Fragment(error)),
        };
        let digest = self.digest(bytes);
        let now = now.before(self.slept);
        let finished_age = self.budget.finished_age;
        let finished = &mut self.class(context).finished;
        finished.expire(now, finished_age);
        if finished.knows(context, &header, digest) {
            return Inserted::Repeat;
        }

        let position = header.id.position;
        let set = self.sets.get(&(context, header.id.set));
        match set.map(|set| (set.total == header.total, set.slot(position))) {
            Some((false, _)) => Inserted::Refused(Refusal::Total),
            Some((true, Some(slot))) if slot.digest == digest => Inserted::Repeat,
            Some((true, Some(_))) => Inserted::Refused(Refusal::Position),
            None if header.total == 1 && header.link.is_none() => {
                self.finish_single(context, header.id.set, digest, payload, now)
            }
            Some((true, None)) | None => {
                self.keep(context, &header, Slot { position, digest, payload: payload.into(), page: None }, now)
            }
        }
    }

    /// Drops unfinished messages that nothing came for during [`Budget::age`], and says how many.
    pub fn expire(&mut self, now: Instant) -> usize {
        let now = now.before(self.slept);
        let mut dropped: usize = 0;
        while let Some((at, number)) = self.oldest()
            && now.since(at) >= self.budget.age
        {
            self.drop_message(number);
            dropped = dropped.saturating_add(1);
        }
        self.unknown.finished.expire(now, self.budget.finished_age);
        self.tags.finished.expire(now, self.budget.finished_age);
        dropped
    }

    /// When to call [`Reassembler::expire`] next; `None` when nothing is unfinished.
    #[expect(clippy::arithmetic_side_effects, reason = "points in time saturate")]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.oldest().map(|(at, _)| at + self.budget.age + self.slept)
    }

    /// Extends all ages: during this time the machine slept and nothing could come.
    pub fn note_sleep(&mut self, slept: Duration) {
        self.slept = self.slept.saturating_add(slept);
    }

    /// Memory taken by unfinished messages, bookkeeping included.
    pub fn bytes(&self) -> usize {
        self.unknown.bytes.saturating_add(self.tags.bytes)
    }

    /// As [`Reassembler::bytes`], of it what unknown senders have.
    pub fn unknown_bytes(&self) -> usize {
        self.unknown.bytes
    }

    /// Memory taken by the digests of finished sets, bookkeeping included.
    pub fn finished_bytes(&self) -> usize {
        self.unknown.finished.bytes().saturating_add(self.tags.finished.bytes())
    }

    /// The number of unfinished messages. Sets that did not find their neighbours yet count as messages of their own.
    pub fn unfinished(&self) -> usize {
        self.messages.len()
    }

    /// How many unfinished messages were dropped so far to make room for others.
    pub fn pushed_out(&self) -> u64 {
        self.pushed_out
    }

    /// How much memory those took.
    pub fn pushed_out_bytes(&self) -> u64 {
        self.pushed_out_bytes
    }

    /// Keeps a fragment whose place is free, unless a bound forbids it.
    fn keep(&mut self, context: Context, header: &FragmentHeader, slot: Slot, now: Instant) -> Inserted {
        let own = self.sets.get(&(context, header.id.set)).map(|set| set.message);
        let neighbour = self.neighbour(context, header);
        if own.is_some() && own == neighbour {
            return Inserted::Refused(Refusal::Link);
        }
        let parts = [own, neighbour];
        let messages = parts.iter().flatten().filter_map(|number| self.messages.get(number));
        let len = messages.fold(slot.payload.len(), |sum, message| sum.saturating_add(message.len));
        if len > self.budget.message_len {
            parts.into_iter().flatten().for_each(|number| self.drop_message(number));
            return Inserted::Refused(Refusal::TooLong);
        }
        let set_cost = if own.is_none() { SET_COST } else { 0 };
        if !self.make_room(context, slot.cost().saturating_add(set_cost), parts) {
            return Inserted::Refused(Refusal::Budget);
        }

        let number = own.unwrap_or_else(|| self.open(context, header.id.set, header.total, now));
        self.store(number, header, slot, now);
        let number = neighbour.map_or(number, |neighbour| self.join(number, neighbour));
        match self.messages.get(&number) {
            Some(message) if message.unfinished_sets == 0 && message.open_links == 0 => self.finish(number, now),
            _ => Inserted::Waiting,
        }
    }

    fn digest(&self, fragment: &[u8]) -> u64 {
        let hash = blake3::keyed_hash(&self.digest_key, fragment);
        hash.as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes)
    }

    /// The message of the set that the fragment's link names, if that set names this one in turn.
    fn neighbour(&self, context: Context, header: &FragmentHeader) -> Option<MessageNumber> {
        let (neighbour, named_in_turn) = match header.link? {
            Link::Next(id) => {
                let set = self.sets.get(&(context, id))?;
                (set, set.previous)
            }
            Link::Previous(id) => {
                let set = self.sets.get(&(context, id))?;
                (set, set.next)
            }
        };
        (named_in_turn == Some(header.id.set)).then_some(neighbour.message)
    }

    /// A message of one fragment, which is most of them, is never stored.
    fn finish_single(&mut self, context: Context, set: SetId, digest: u64, payload: &[u8], now: Instant) -> Inserted {
        if payload.len() > self.budget.message_len {
            return Inserted::Refused(Refusal::TooLong);
        }
        self.remember(context, set, Box::new([digest]), now);
        match unpad(payload).map(|len| payload.get(..len)) {
            Ok(Some(message)) => Inserted::Complete { message: message.to_vec(), set_ids: vec![set] },
            _ => Inserted::Refused(Refusal::Padding),
        }
    }

    /// Begins a message with one set.
    fn open(&mut self, context: Context, id: SetId, total: u8, now: Instant) -> MessageNumber {
        let number = MessageNumber(self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        let set = Set { total, slots: Vec::new(), previous: None, next: None, message: number };
        self.sets.insert((context, id), set);
        let message =
            Message { context, sets: vec![id], unfinished_sets: 1, open_links: 0, len: 0, cost: SET_COST, last: now };
        self.messages.insert(number, message);
        let class = self.class(context);
        class.bytes = class.bytes.saturating_add(SET_COST);
        class.ages.insert((now, number));
        number
    }

    /// Puts a fragment into its set, where its place is free.
    fn store(&mut self, number: MessageNumber, header: &FragmentHeader, slot: Slot, now: Instant) {
        let Some(message) = self.messages.get_mut(&number) else { return };
        let context = message.context;
        let Some(set) = self.sets.get_mut(&(context, header.id.set)) else { return };
        match header.link {
            Some(Link::Next(id)) => set.next = Some(id),
            Some(Link::Previous(id)) => set.previous = Some(id),
            None => {}
        }
        let cost = slot.cost();
        message.len = message.len.saturating_add(slot.payload.len());
        message.cost = message.cost.saturating_add(cost);
        message.open_links = message.open_links.saturating_add(usize::from(header.link.is_some()));
        let at = set.slots.partition_point(|other| other.position < slot.position);
        set.slots.insert(at, slot);
        if set.slots.len() == usize::from(set.total) {
            message.unfinished_sets = message.unfinished_sets.saturating_sub(1);
        }
        let last = core::mem::replace(&mut message.last, now);
        let class = self.class(context);
        class.bytes = class.bytes.saturating_add(cost);
        class.ages.remove(&(last, number));
        class.ages.insert((now, number));
    }

    /// Makes two messages one, since a set of each names a set of the other. The one with fewer sets is relabelled, so
    /// that a long message which grows set by set is not relabelled over and over.
    fn join(&mut self, a: MessageNumber, b: MessageNumber) -> MessageNumber {
        let set_count = |number| self.messages.get(&number).map_or(0, |message| message.sets.len());
        let (kept, gone) = if set_count(a) < set_count(b) { (b, a) } else { (a, b) };
        let Some(gone_message) = self.messages.remove(&gone) else { return kept };
        let Some(message) = self.messages.get_mut(&kept) else { return kept };
        let context = message.context;
        for id in &gone_message.sets {
            if let Some(set) = self.sets.get_mut(&(context, *id)) {
                set.message = kept;
            }
        }
        message.sets.extend_from_slice(&gone_message.sets);
        message.unfinished_sets = message.unfinished_sets.saturating_add(gone_message.unfinished_sets);
        message.open_links = message.open_links.saturating_add(gone_message.open_links).saturating_sub(2);
        message.len = message.len.saturating_add(gone_message.len);
        message.cost = message.cost.saturating_add(gone_message.cost);
        let last = message.last;
        message.last = last.max(gone_message.last);
        let newest = message.last;
        let ages = &mut self.class(context).ages;
        ages.remove(&(gone_message.last, gone));
        ages.remove(&(last, kept));
        ages.insert((newest, kept));
        kept
    }

    /// Takes a complete message out, set after set along its links.
    fn finish(&mut self, number: MessageNumber, now: Instant) -> Inserted {
        let Some(message) = self.take(number) else { return Inserted::Waiting };
        let context = message.context;
        let is_head = |id: &&SetId| self.sets.get(&(context, **id)).is_some_and(|set| set.previous.is_none());
        let mut next = message.sets.iter().find(is_head).copied();
        let mut joined = Vec::with_capacity(message.len);
        let mut set_ids = Vec::with_capacity(message.sets.len());
        // Each set is removed when it is met, so the walk ends even if the links did not form a line.
        while let Some(id) = next
            && let Some(set) = self.sets.remove(&(context, id))
        {
            next = set.next;
            set_ids.push(id);
            let mut digests = Vec::with_capacity(set.slots.len());
            for slot in set.slots {
                self.released.extend(slot.page);
                joined.extend_from_slice(&slot.payload);
                digests.push(slot.digest);
            }
            self.remember(context, id, digests.into(), now);
        }
        debug_assert_eq!(set_ids.len(), message.sets.len(), "the sets of a message form a line");
        match unpad(&joined) {
            Ok(len) => {
                joined.truncate(len);
                Inserted::Complete { message: joined, set_ids }
            }
            Err(_) => Inserted::Refused(Refusal::Padding),
        }
    }

    fn remember(&mut self, context: Context, set: SetId, digests: Box<[u64]>, now: Instant) {
        let bytes_max = self.budget.finished_bytes;
        self.class(context).finished.remember(context, set, digests, now, bytes_max);
    }

    /// Drops the messages that waited longest until `cost` more bytes fit. Unknown senders push out only each other.
    fn make_room(&mut self, context: Context, cost: usize, kept: [Option<MessageNumber>; 2]) -> bool {
        loop {
            let full = self.bytes().saturating_add(cost) > self.budget.total_bytes;
            let is_unknown = context == Context::Unknown;
            let full_of_unknown = is_unknown && self.unknown.bytes.saturating_add(cost) > self.budget.unknown_bytes;
            if !full && !full_of_unknown {
                return true;
            }
            let oldest = |class: &Class| class.ages.iter().find(|(_, number)| !kept.contains(&Some(*number))).copied();
            let of_unknown = oldest(&self.unknown);
            let of_tags = if is_unknown { None } else { oldest(&self.tags) };
            let Some((_, number)) = [of_unknown, of_tags].into_iter().flatten().min() else { return false };
            let before = self.bytes();
            self.drop_message(number);
            self.pushed_out = self.pushed_out.saturating_add(1);
            self.pushed_out_bytes = self.pushed_out_bytes.saturating_add(before.saturating_sub(self.bytes()) as u64);
        }
    }

    fn oldest(&self) -> Option<(Instant, MessageNumber)> {
        [self.unknown.ages.first(), self.tags.ages.first()].into_iter().flatten().min().copied()
    }

    fn drop_message(&mut self, number: MessageNumber) {
        let Some(message) = self.take(number) else { return };
        for id in message.sets {
            let set = self.sets.remove(&(message.context, id));
            self.released.extend(set.iter().flat_map(|set| &set.slots).filter_map(|slot| slot.page));
        }
    }

    /// Takes a message out of the accounts; its sets are left to the caller.
    fn take(&mut self, number: MessageNumber) -> Option<Message> {
        let message = self.messages.remove(&number)?;
        let class = self.class(message.context);
        class.bytes = class.bytes.saturating_sub(message.cost);
        class.ages.remove(&(message.last, number));
        Some(message)
    }

    fn class(&mut self, context: Context) -> &mut Class {
        match context {
            Context::Unknown => &mut self.unknown,
            Context::Tag(_) => &mut self.tags,
        }
    }
}

/// Numbers messages in the order they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MessageNumber(u64);

/// An unfinished message: a line of sets that are known to be neighbours.
struct Message {
    context: Context,
    /// In no particular order; the links of the sets have it.
    sets: Vec<SetId>,
    unfinished_sets: usize,
    /// Links whose other end is not there or names something else.
    open_links: usize,
    /// Bytes of payload.
    len: usize,
    /// Bytes of memory.
    cost: usize,
    /// When its last fragment came.
    last: Instant,
}

/// Fragments under one identifier. Memory is taken for those that came, not for those that are announced.
struct Set {
    total: u8,
    /// Sorted by position.
    slots: Vec<Slot>,
    previous: Option<SetId>,
    next: Option<SetId>,
    message: MessageNumber,
}

impl Set {
    fn slot(&self, position: u8) -> Option<&Slot> {
        let at = self.slots.binary_search_by_key(&position, |slot| slot.position).ok()?;
        self.slots.get(at)
    }
}

struct Slot {
    position: u8,
    digest: u64,
    payload: Box<[u8]>,
    /// The page of the store it is in.
    page: Option<u32>,
}

impl Slot {
    /// Bytes of memory.
    fn cost(&self) -> usize {
        SLOT_COST.saturating_add(self.payload.len())
    }
}

/// What unknown senders have, or what came over reply tags.
#[derive(Default)]
struct Class {
    bytes: usize,
    /// By the time of the last fragment.
    ages: TableSet<(Instant, MessageNumber)>,
    finished: Finished,
}

/// Bounds of a [`Reassembler`].
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes for all unfinished messages.
    pub total_bytes: usize,
    /// Bytes of it for those of unknown senders.
    pub unknown_bytes: usize,
    /// The largest message.
    pub message_len: usize,
    /// How long an unfinished message is kept after its last fragment.
    pub age: Duration,
    /// Bytes for remembering finished sets of unknown senders, and as many for those that came over reply tags.
    pub finished_bytes: usize,
    /// How long a finished set is remembered.
    pub finished_age: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            total_bytes: limits::REASSEMBLY_BYTES_MAX,
            unknown_bytes: limits::REASSEMBLY_UNKNOWN_BYTES_MAX,
            message_len: limits::REASSEMBLED_LEN_MAX,
            age: limits::REASSEMBLY_AGE_MAX,
            finished_bytes: limits::FINISHED_SETS_BYTES_MAX,
            finished_age: limits::FINISHED_SET_AGE_MAX,
        }
    }
}

/// Who a fragment can have come from, as far as that is known when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Sealed to our key: anyone.
    Unknown,
    /// Over a SURB that was given out under this tag of ours: whom the tag was given to.
    Tag(SenderTag),
}

/// What became of a fragment.
#[derive(PartialEq, Eq)]
pub enum Inserted {
    /// Kept; the message is not complete.
    Waiting,
    /// The same fragment was here before: its ack was lost on the way.
    Repeat,
    /// It was the last one that was missing.
    Complete {
        /// The message without padding, its kind first.
        message: Vec<u8>,
        /// Its sets, in order.
        set_ids: Vec<SetId>,
    },
    /// Not kept.
    Refused(Refusal),
}

impl fmt::Debug for Inserted {
    // Bodies never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("Waiting"),
            Self::Repeat => f.write_str("Repeat"),
            Self::Complete { message, set_ids } => {
                write!(f, "Complete({} bytes, {} sets)", message.len(), set_ids.len())
            }
            Self::Refused(refusal) => write!(f, "Refused({refusal:?})"),
        }
    }
}

/// Why a fragment was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no room, and nothing may be dropped for it.
    Budget,
    /// It is no fragment.
    Fragment(MessageError),
    /// Its link would close a circle of sets.
    Link,
    /// The message is complete, but its padding is malformed.
    Padding,
    /// Another fragment has its place.
    Position,
    /// The message would be too long. All of it was dropped.
    TooLong,
    /// The set has another number of fragments.
    Total,
}

/// Twice the entry, since a vector that grows is up to half empty, and what an allocation costs.
const SLOT_COST: usize = 2 * size_of::<Slot>() + 32;

/// Map entries and vectors of a set and of the message it begins, with the half of a map's nodes that may be empty.
const SET_COST: usize = 640;

#[cfg(test)]
mod tests;
