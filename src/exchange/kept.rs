//! Messages of ours that are in the store until they have arrived, whatever happens to this client.
//!
//! A message is written before it is accepted: first its body, then, before the first of its fragments leaves, the plan
//! it was cut by, in one go with the keys of the reply blocks in it. Which fragments are acknowledged is written now and
//! then. The next client goes on with the same fragments, so that any recipient sees the message once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::client::Client;
use super::envelope::{self, Id, Kind, Opened};
use super::event::{Event, Sending};
use super::outbox_entry::OutboxEntry;
use super::receipts::Promised;
#[cfg(doc)]
use crate::engine::Engine;
use crate::engine::{
    self, Code, MessageId, PacketFormat, Phase, Plan, Recipient, Record, Request, SendError, SendOptions, Shelf,
};
use crate::limits;
use crate::table::{Table, TableSet};
use crate::time::Instant;

/// How far a message of the outbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxStage {
    /// On its way to the store.
    Writing,
    /// Waiting for its turn.
    Queued,
    /// Some of it may have left.
    Sending,
    /// Every fragment was acknowledged, and its receipt is still to come.
    Delivered,
}

/// A message of the outbox, for who asks.
#[derive(Clone)]
pub struct OutboxState {
    /// Its number in events.
    pub number: MessageId,
    /// What the application calls it.
    pub id: Id,
    /// Whom it is for.
    pub to: Recipient,
    /// Length of the user's bytes.
    pub len: u32,
    /// When it was accepted and when it is given up, seconds since 1970; 0: never.
    pub created: u64,
    /// See `created`.
    pub expires: u64,
    /// Fragments acknowledged, and in all; 0 where it is not cut.
    pub acked: u32,
    /// See `acked`.
    pub total: u32,
    /// How far it is.
    pub stage: OutboxStage,
}

/// Those of one client.
pub(super) struct Kept {
    entries: Table<u32, Entry>,
    by_id: Table<Id, u32>,
    /// Those the engine does not have, the oldest first.
    waiting: VecDeque<u32>,
    /// What was acknowledged, of entries that are not restored yet.
    acked: Table<u32, (u64, Vec<u8>)>,
    /// Those of which more is acknowledged than is written.
    changed: TableSet<u32>,
    due: Option<Instant>,
    /// When they are given up.
    ends: TableSet<(u64, u32)>,
    bytes: usize,
    next: u32,
    /// There was no room for the first that waits.
    pub(super) full: bool,
}

struct Entry {
    /// Without its content where the engine has that.
    entry: OutboxEntry,
    stage: OutboxStage,
    /// The plan is on its way to the store.
    is_planning: bool,
    /// What it counts for.
    bytes: usize,
    acked: Vec<u8>,
    acked_count: u32,
    total: u32,
    /// What is acknowledged was written, or is on its way there.
    has_acked_record: bool,
}

/// One for the engine.
pub(super) struct Next {
    pub(super) id: MessageId,
    pub(super) to: Recipient,
    pub(super) sending: Sending,
    pub(super) is_cut: bool,
    pub(super) content: Vec<u8>,
    pub(super) acked: Vec<u8>,
}

/// What has become of a writing.
pub(super) enum Landed {
    /// It is in the store for the first time.
    Stored,
    /// It is not, and is forgotten.
    NotStored,
    /// Its plan is in the store, so that it may leave.
    Planned,
    /// Its plan is not.
    NotPlanned,
}

impl Kept {
    pub(super) fn new() -> Self {
        Self {
            entries: Table::new(),
            by_id: Table::new(),
            waiting: VecDeque::new(),
            acked: Table::new(),
            changed: TableSet::new(),
            due: None,
            ends: TableSet::new(),
            bytes: 0,
            next: 0,
            full: false,
        }
    }

    /// Takes a message. Answers its number and what to write.
    pub(super) fn add(&mut self, entry: OutboxEntry) -> Result<(MessageId, Request), SendError> {
        if self.by_id.contains_key(&entry.id) {
            return Err(SendError::DuplicateId);
        }
        if self.entries.len() >= limits::OUTBOX_COUNT_MAX || self.bytes + entry.content.len() > limits::OUTBOX_LEN_MAX {
            return Err(SendError::QueueFull);
        }
        while self.entries.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let record = Record::Page(Shelf::Outbox, number);
        let request = Request::Save { record, bytes: entry.to_bytes() };
        self.insert(number, entry, OutboxStage::Writing, Vec::new());
        Ok((message_of(number), request))
    }

    /// It is in the store for the first time.
    pub(super) fn stored(&mut self, id: MessageId) {
        if let Some(kept) = number_of(id).and_then(|number| self.entries.get_mut(&number)) {
            kept.stage = OutboxStage::Queued;
        }
    }

    /// The message that the application calls so.
    pub(super) fn find(&self, id: Id) -> Option<MessageId> {
        self.by_id.get(&id).copied().map(message_of)
    }

    fn insert(&mut self, number: u32, entry: OutboxEntry, stage: OutboxStage, acked: Vec<u8>) {
        let bytes = entry.content.len();
        self.bytes += bytes;
        if entry.expires != 0 {
            self.ends.insert((entry.expires, number));
        }
        self.by_id.insert(entry.id, number);
        let acked_count = acked.iter().map(|bits| bits.count_ones()).sum();
        let has_acked_record = !acked.is_empty();
        let entry = Entry { entry, stage, is_planning: false, bytes, acked, acked_count, total: 0, has_acked_record };
        self.entries.insert(number, entry);
    }

    /// A record that an earlier run left. False: it cannot be used. `unix`: what time it is.
    pub(super) fn restore(&mut self, shelf: Shelf, number: u32, bytes: Option<&[u8]>, unix: u64) -> bool {
        self.next = self.next.max(number.wrapping_add(1));
        if shelf == Shelf::Acked {
            let Some(([ACKED_VERSION], rest)) = bytes.and_then(|bytes| bytes.split_first_chunk()) else { return false };
            let Some((at, bits)) = rest.split_first_chunk() else { return false };
            self.acked.insert(number, (u64::from_be_bytes(*at), bits.to_vec()));
            return true;
        }
        let Some(entry) = bytes.and_then(OutboxEntry::from_bytes) else { return false };
        if self.entries.contains_key(&number) || self.by_id.contains_key(&entry.id) {
            return false;
        }
        let plan = if entry.is_cut { Plan::parse(&entry.content) } else { None };
        if entry.is_cut && plan.is_none() {
            return false;
        }
        let total = plan.map_or(0, |plan| plan.count());
        let (at, mut acked) = self.acked.remove(&number).unwrap_or_default();
        let is_whole = (0..total).all(|index| is_set(&acked, index));
        // Its recipient may have dropped the half that it had.
        let is_stale = unix.saturating_sub(at) >= limits::PAUSE_DROPS_UNFINISHED.as_secs();
        if total == 0 || (is_stale && !is_whole) {
            acked = Vec::new();
        }
        self.insert(number, entry, OutboxStage::Queued, acked);
        if let Some(kept) = self.entries.get_mut(&number) {
            kept.total = u32::try_from(total).unwrap_or(u32::MAX);
        }
        self.waiting.push_back(number);
        true
    }

    /// What is acknowledged of messages that are not there.
    pub(super) fn take_orphans(&mut self) -> Vec<Request> {
        let orphans = core::mem::take(&mut self.acked);
        orphans.keys().map(|number| Request::Forget { record: Record::Page(Shelf::Acked, *number) }).collect()
    }

    /// A record was written, or not.
    pub(super) fn landed(&mut self, number: u32, ok: bool) -> Option<Landed> {
        let kept = self.entries.get_mut(&number)?;
        if kept.stage == OutboxStage::Writing {
            if !ok {
                self.remove(number);
                return Some(Landed::NotStored);
            }
            kept.stage = OutboxStage::Queued;
            self.waiting.push_back(number);
            return Some(Landed::Stored);
        }
        if !core::mem::take(&mut kept.is_planning) {
            return None;
        }
        if ok {
            kept.stage = OutboxStage::Sending;
            Some(Landed::Planned)
        } else {
            Some(Landed::NotPlanned)
        }
    }

    /// The next for the engine.
    pub(super) fn pop(&mut self) -> Option<Next> {
        while !self.full
            && let Some(number) = self.waiting.pop_front()
        {
            if let Some(kept) = self.entries.get_mut(&number) {
                let content = core::mem::take(&mut kept.entry.content);
                let (to, sending, is_cut) = (kept.entry.to.clone(), kept.entry.sending(), kept.entry.is_cut);
                return Some(Next { id: message_of(number), to, sending, is_cut, content, acked: kept.acked.clone() });
            }
        }
        None
    }

    /// The engine had no room for it.
    pub(super) fn put_back(&mut self, next: Next) {
        self.full = true;
        if let Some((number, kept)) =
            number_of(next.id).and_then(|number| Some((number, self.entries.get_mut(&number)?)))
        {
            kept.entry.content = next.content;
            self.waiting.push_front(number);
        }
    }

    /// The engine has it.
    pub(super) fn given(&mut self, id: MessageId) {
        if let Some(kept) = number_of(id).and_then(|number| self.entries.get_mut(&number))
            && kept.entry.is_cut
        {
            kept.stage = OutboxStage::Sending;
        }
    }

    /// It is cut. What to write; `None`: it is not one of these.
    pub(super) fn planned(&mut self, id: MessageId, plan: Vec<u8>) -> Option<Request> {
        let number = number_of(id)?;
        let kept = self.entries.get_mut(&number)?;
        kept.total = Plan::parse(&plan).map_or(0, |plan| u32::try_from(plan.count()).unwrap_or(u32::MAX));
        kept.is_planning = true;
        (kept.entry.is_cut, kept.entry.content) = (true, plan);
        let bytes = kept.entry.to_bytes();
        kept.entry.content = Vec::new();
        Some(Request::Save { record: Record::Page(Shelf::Outbox, number), bytes })
    }

    /// More of it is acknowledged.
    pub(super) fn advanced(&mut self, id: MessageId, acked: u32, total: u32, now: Instant) {
        let Some((number, kept)) = number_of(id).and_then(|number| Some((number, self.entries.get_mut(&number)?)))
        else {
            return;
        };
        let more = acked > kept.acked_count;
        (kept.acked_count, kept.total) = (acked, total);
        if more && acked < total {
            self.changed.insert(number);
            self.due.get_or_insert(now + limits::PAGES_GAP);
        }
    }

    /// It is delivered, and its receipt is to come.
    pub(super) fn delivered(&mut self, id: MessageId, unix: u64) -> Option<Request> {
        let number = number_of(id)?;
        let kept = self.entries.get_mut(&number)?;
        kept.stage = OutboxStage::Delivered;
        kept.acked_count = kept.total;
        kept.acked = alloc::vec![0xff; kept.total.div_ceil(8) as usize];
        self.changed.remove(&number);
        Some(kept.save_acked(number, unix))
    }

    /// What is to be written of what is acknowledged, if it is time.
    pub(super) fn take_acked(
        &mut self,
        bits_of: impl Fn(MessageId) -> Option<Vec<u8>>,
        unix: u64,
        now: Instant,
    ) -> Vec<Request> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.due = None;
        let mut requests = Vec::new();
        for number in core::mem::take(&mut self.changed).iter() {
            let Some(kept) = self.entries.get_mut(number) else { continue };
            if let Some(bits) = bits_of(message_of(*number)) {
                kept.acked = bits;
                requests.push(kept.save_acked(*number, unix));
            }
        }
        requests
    }

    /// One whose time is over.
    pub(super) fn take_expired(&self, unix: u64) -> Option<MessageId> {
        self.ends.first().filter(|(end, _)| *end <= unix).map(|(_, number)| message_of(*number))
    }

    /// The earliest end of one, seconds since 1970.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(end, _)| *end)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// It has ended. What to write; nothing where it is none of these.
    pub(super) fn end(&mut self, id: MessageId) -> Vec<Request> {
        let Some((number, kept)) = number_of(id).and_then(|number| Some((number, self.remove(number)?))) else {
            return Vec::new();
        };
        let mut requests = Vec::from([Request::Forget { record: Record::Page(Shelf::Outbox, number) }]);
        if kept.has_acked_record {
            requests.push(Request::Forget { record: Record::Page(Shelf::Acked, number) });
        }
        requests
    }

    fn remove(&mut self, number: u32) -> Option<Entry> {
        let kept = self.entries.remove(&number)?;
        self.by_id.remove(&kept.entry.id);
        self.changed.remove(&number);
        self.ends.remove(&(kept.entry.expires, number));
        self.bytes -= kept.bytes;
        Some(kept)
    }

    /// How many of its fragments were acknowledged, of how many, and whether it is delivered.
    fn progress(&self, id: MessageId) -> (u32, u32, bool) {
        let kept = number_of(id).and_then(|number| self.entries.get(&number));
        kept.map_or((0, 0, false), |kept| (kept.acked_count, kept.total, kept.stage == OutboxStage::Delivered))
    }

    pub(super) fn states(&self) -> Vec<OutboxState> {
        self.entries
            .iter()
            .map(|(number, kept)| OutboxState {
                number: message_of(*number),
                id: kept.entry.id,
                to: kept.entry.to.clone(),
                len: kept.entry.len,
                created: kept.entry.created,
                expires: kept.entry.expires,
                acked: kept.acked_count,
                total: kept.total,
                stage: kept.stage,
            })
            .collect()
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Entry {
    fn save_acked(&mut self, number: u32, unix: u64) -> Request {
        self.has_acked_record = true;
        let bytes = [&[ACKED_VERSION], &unix.to_be_bytes()[..], &self.acked].concat().into();
        Request::Save { record: Record::Page(Shelf::Acked, number), bytes }
    }
}

fn is_set(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|bits| bits & (1 << (index % 8)) != 0)
}

/// The number in events: pages choose smaller ones.
const fn message_of(number: u32) -> MessageId {
    MessageId(KEPT | number as u64)
}

/// The number of the record of a message of the outbox; `None`: it is none.
pub fn number_of(id: MessageId) -> Option<u32> {
    if id.0 >> 32 == KEPT >> 32 { u32::try_from(id.0 & u64::from(u32::MAX)).ok() } else { None }
}

const KEPT: u64 = 1 << 52;
/// First byte of a record of what is acknowledged.
const ACKED_VERSION: u8 = 1;

impl<P: PacketFormat> Client<P> {
    /// Goes on with a message that an earlier client has cut; see [`Engine::resume`]. What it was is in the plan, also
    /// whether it is to be receipted.
    ///
    /// # Errors
    /// As [`Engine::resume`].
    pub fn resume(
        &mut self,
        id: MessageId,
        to: &Recipient,
        plan: Plan,
        options: &SendOptions,
        now: Instant,
    ) -> Result<bool, SendError> {
        let body = plan.body().unwrap_or_default();
        let envelope_id = match envelope::open(&body) {
            Opened::Envelope(envelope)
                if envelope.kind == Kind::Message && envelope.flags & envelope::WANTS_RECEIPT != 0 =>
            {
                Some(envelope.id)
            }
            _ => None,
        };
        if envelope_id.is_some() && !self.receipts.has_room(body.len()) {
            self.wants_room = true;
            return Err(SendError::QueueFull);
        }
        self.engine.resume(id, to, plan, options, now)?;
        if let Some(envelope_id) = envelope_id {
            let promised = Promised { id: envelope_id, to: to.clone(), bytes: body, options: *options };
            self.receipts.expect(id, promised, now);
        }
        Ok(envelope_id.is_some())
    }

    /// Sends a message that is in the store before it is accepted, and goes on with every client that has the store:
    /// [`Event::Persisted`] or [`Event::NotPersisted`] follows. `key`: what it is called in every run; `expires`: when it is
    /// given up, seconds since 1970, 0: never.
    ///
    /// # Errors
    /// As [`Engine::send`]; [`SendError::QueueFull`] where the outbox is full.
    pub fn persist(
        &mut self,
        (key, expires): (Id, u64),
        to: &Recipient,
        body: &[u8],
        sending: &Sending,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        let id = sending.id;
        if !self.keeps {
            return Err(SendError::NoStore);
        }
        if self.engine.is_closing() {
            return Err(SendError::Closed);
        }
        let envelope = id.unwrap_or_else(|| self.outbox.id());
        let entry = OutboxEntry::new((key, envelope), (self.engine.unix(now), expires), to, body, sending)?;
        if matches!(to, Recipient::Tag(tag) if !self.engine.can_answer(tag)) {
            return Err(SendError::NoSurbs);
        }
        let (number, chore) = self.kept.add(entry)?;
        self.chores.push_back(chore);
        Ok(number)
    }

    /// The messages of the outbox.
    pub fn outbox(&self) -> Vec<OutboxState> {
        self.kept.states()
    }

    /// Whether a receipt is to come for a message.
    pub fn awaits_receipt(&self, id: MessageId) -> bool {
        self.receipts.awaits(id)
    }

    /// Gives the engine what waits, as far as it has room. Whether anything came of it.
    pub(super) fn feed_kept(&mut self, now: Instant) -> bool {
        let orphans = self.kept.take_orphans();
        self.chores.extend(orphans);
        let mut any = false;
        while let Some(next) = self.kept.pop() {
            let Next { id, to, sending, is_cut, content, acked } = &next;
            let plan = if *is_cut { Plan::parse(content) } else { None };
            let given = match plan {
                Some(plan) => self.resume(*id, to, plan.with_acked(acked.clone()), &sending.options, now),
                None => self.send(*id, to, content, sending, now),
            };
            match given {
                Ok(_) => {
                    self.kept.given(*id);
                    self.engine.watch(*id, true, now);
                    any = true;
                }
                Err(SendError::QueueFull) => self.kept.put_back(next),
                // The next client is asked again.
                Err(SendError::Closed) => {}
                Err(error) => self.lose_kept(*id, error.code(), Phase::Queue, now),
            }
        }
        any
    }

    /// A record of the outbox was written, or not.
    pub(super) fn kept_landed(&mut self, number: u32, ok: bool, now: Instant) {
        let id = message_of(number);
        match self.kept.landed(number, ok) {
            Some(Landed::Stored) => self.events.push_back(Event::Persisted { id }),
            Some(Landed::NotStored) => self.events.push_back(Event::NotPersisted { id }),
            Some(Landed::Planned) => self.engine.kept(id, now),
            Some(Landed::NotPlanned) => self.lose_kept(id, Code::StorageQuota, Phase::Storage, now),
            None => {}
        }
    }

    /// Every fragment of a message was acknowledged.
    pub(super) fn kept_delivered(&mut self, id: MessageId, now: Instant) {
        if self.receipts.awaits(id) {
            self.chores.extend(self.kept.delivered(id, self.engine.unix(now)));
        } else {
            self.chores.extend(self.kept.end(id));
        }
    }

    /// Writes what is acknowledged, and gives up what is over.
    pub(super) fn serve_kept(&mut self, now: Instant) {
        let unix = self.engine.unix(now);
        let engine = &self.engine;
        self.chores.extend(self.kept.take_acked(|id| engine.acked(id), unix, now));
        while let Some(id) = self.kept.take_expired(unix) {
            let phase = self.engine.phase(id).unwrap_or(Phase::Queue);
            self.lose_kept(id, Code::Timeout, phase, now);
        }
    }

    /// One of them will not arrive, or not be receipted.
    fn lose_kept(&mut self, id: MessageId, code: Code, phase: Phase, now: Instant) {
        let (acked, total, is_delivered) = self.kept.progress(id);
        self.cancel(id, now);
        self.events.push_back(if is_delivered {
            Event::NotReceipted { id, code }
        } else {
            Event::Engine(engine::Event::Undelivered { id, code, phase, acked, total, retransmissions: 0 })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox_entry::tests::entry;
    use super::*;

    #[test]
    fn what_is_cut_must_be_a_plan() {
        let mut kept = Kept::new();
        let bad = OutboxEntry { is_cut: true, ..entry() }.to_bytes();
        assert!(!kept.restore(Shelf::Outbox, 7, Some(&bad), 0));
        assert!(!kept.restore(Shelf::Acked, 7, Some(&[1, 2]), 0));
        assert!(kept.restore(Shelf::Outbox, 7, Some(&entry().to_bytes()), 0));
        assert!(!kept.restore(Shelf::Outbox, 8, Some(&entry().to_bytes()), 0), "the same id");
        assert_eq!(kept.add(OutboxEntry { id: Id([9; 16]), ..entry() }).unwrap().0, message_of(9));
    }
}
