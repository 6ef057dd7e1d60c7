//! Messages that are in the store until the application has taken them.
//!
//! A message is written first; once it is in the store its sender gets the receipt and the application gets the message.
//! It stays until the application says that it is done with it. Who begins to take messages gets all that are not done,
//! in the order in which they came, also those that somebody else had been given before.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::Event;
use super::envelope::Id;
use crate::engine::{Recipient, Record, Request, Shelf};
use crate::limits;
use crate::message::{ADDRESS_LEN, Address, SenderTag};
use crate::table::Table;

/// A message as it is stored. `docs/PROTOCOL.md`, section 9.
pub struct InboxEntry {
    /// That of its envelope; one of our own for bare bytes.
    pub id: Id,
    /// It came in an envelope.
    pub enveloped: bool,
    /// When it was complete, seconds since 1970.
    pub at: u64,
    /// Whom to answer, if anybody.
    pub from: Option<Recipient>,
    /// The sender's bytes.
    pub body: Vec<u8>,
}

impl InboxEntry {
    /// `version ‖ enveloped u8 ‖ id[16] ‖ at u64 ‖ from ‖ body`, where `from` is `0`, `1 ‖ tag[16]` or `2 ‖ address[96]`.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_LEN_MAX + self.body.len()));
        bytes.extend_from_slice(&[ENTRY_VERSION, u8::from(self.enveloped)]);
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.at.to_be_bytes());
        match &self.from {
            None => bytes.push(0),
            Some(Recipient::Tag(tag)) => {
                bytes.push(1);
                bytes.extend_from_slice(&tag.0);
            }
            Some(Recipient::Address(address)) => {
                bytes.push(2);
                bytes.extend_from_slice(&address.to_bytes());
            }
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads it. `None`: damaged, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([ENTRY_VERSION, enveloped @ (0 | 1)], rest) = bytes.split_first_chunk()? else { return None };
        let (id, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let (from, body) = match kind {
            0 => (None, rest),
            1 => {
                let (tag, rest) = rest.split_first_chunk()?;
                (Some(Recipient::Tag(SenderTag(*tag))), rest)
            }
            2 => {
                let (address, rest) = rest.split_first_chunk::<ADDRESS_LEN>()?;
                (Some(Recipient::Address(Address::restored(address))), rest)
            }
            _ => return None,
        };
        let at = u64::from_be_bytes(*at);
        Some(Self { id: Id(*id), enveloped: *enveloped == 1, at, from, body: body.to_vec() })
    }
}

/// Those of one client.
pub(super) struct Inbox {
    is_durable: bool,
    entries: Table<u32, Entry>,
    by_id: Table<Id, u32>,
    /// In the store, and not with the application, the oldest first.
    untold: VecDeque<u32>,
    /// With the application.
    told: Size,
    all: Size,
    next: u32,
    /// Somebody takes messages.
    is_taken: bool,
}

struct Entry {
    message: InboxEntry,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On its way to the store; whether its sender wants a receipt.
    Writing {
        receipt: bool,
    },
    Stored,
    Told,
}

#[derive(Clone, Copy, Default)]
struct Size {
    count: usize,
    bytes: usize,
}

/// What has become of the writing of a message.
pub(super) enum Landed {
    /// It is in the store. Its id, and who is to get a receipt.
    Stored { id: Id, enveloped: bool, receipt: Option<Recipient> },
    /// It is not, and its sender will send it again.
    Refused { id: Id, from: Recipient, bytes: usize },
    /// It is not, and nobody would send it again: the application gets it all the same.
    Passed,
}

impl Inbox {
    pub(super) fn new(is_durable: bool) -> Self {
        Self {
            is_durable,
            entries: Table::new(),
            by_id: Table::new(),
            untold: VecDeque::new(),
            told: Size::default(),
            all: Size::default(),
            next: 0,
            is_taken: !is_durable,
        }
    }

    /// Messages are to be stored.
    pub(super) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Whether a message of this length can be stored.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.all.count < limits::INBOX_COUNT_MAX && self.all.bytes + len <= limits::INBOX_LEN_MAX
    }

    /// Whether the message with this id is here. If it is not in the store yet, its receipt follows when it is.
    pub(super) fn holds(&mut self, id: Id, receipt: bool) -> Option<Held> {
        let entry = self.entries.get_mut(self.by_id.get(&id)?)?;
        Some(match &mut entry.stage {
            Stage::Writing { receipt: wanted } => {
                *wanted |= receipt;
                Held::Writing
            }
            Stage::Stored | Stage::Told => Held::Stored,
        })
    }

    /// Takes a message that has room. What is to be written.
    pub(super) fn add(&mut self, message: InboxEntry, receipt: bool) -> Request {
        let number = self.number();
        let bytes = message.to_bytes();
        self.insert(number, message, Stage::Writing { receipt });
        Request::Save { record: Record::Page(Shelf::Inbox, number), bytes }
    }

    /// The writing has ended.
    pub(super) fn landed(&mut self, number: u32, ok: bool) -> Option<Landed> {
        let entry = self.entries.get_mut(&number)?;
        let Stage::Writing { receipt } = entry.stage else { return None };
        let from = entry.message.from.clone().filter(|_| receipt);
        let InboxEntry { id, enveloped, .. } = entry.message;
        if !ok && let Some(from) = from {
            let bytes = self.remove(number)?.message.body.len();
            return Some(Landed::Refused { id, from, bytes });
        }
        entry.stage = Stage::Stored;
        self.untold.push_back(number);
        Some(if ok { Landed::Stored { id, enveloped, receipt: from } } else { Landed::Passed })
    }

    /// One of an earlier run: the id of its envelope, if it had one, and when it came. `None`: it cannot be used.
    pub(super) fn restore(&mut self, number: u32, bytes: &[u8]) -> Option<(Option<Id>, u64)> {
        self.next = self.next.max(number.wrapping_add(1));
        let message = InboxEntry::from_bytes(bytes)?;
        if !self.has_room(message.body.len()) || self.by_id.contains_key(&message.id) {
            return None;
        }
        let known = (Some(message.id).filter(|_| message.enveloped), message.at);
        self.insert(number, message, Stage::Stored);
        self.untold.push_back(number);
        Some(known)
    }

    /// Somebody takes messages from now on, or nobody does any more.
    pub(super) fn take(&mut self, is_taken: bool) {
        self.is_taken = is_taken;
        for (number, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.stage == Stage::Told) {
            entry.stage = Stage::Stored;
            self.untold.push_back(*number);
        }
        self.told = Size::default();
        self.untold.make_contiguous().sort_unstable();
    }

    /// The next message for the application, while it has few.
    pub(super) fn tell(&mut self) -> Option<Event> {
        let has_room = self.told.count < limits::INBOX_TOLD_COUNT_MAX && self.told.bytes < limits::INBOX_TOLD_LEN_MAX;
        if !self.is_taken || !has_room {
            return None;
        }
        let number = self.untold.pop_front()?;
        let entry = self.entries.get_mut(&number)?;
        entry.stage = Stage::Told;
        self.told.count += 1;
        self.told.bytes += entry.message.body.len();
        let InboxEntry { id, enveloped, at, from, body } = &entry.message;
        Some(Event::Kept { number, id: *id, enveloped: *enveloped, at: *at, from: from.clone(), body: body.clone() })
    }

    /// The application is done with it. What is to be deleted.
    pub(super) fn done(&mut self, number: u32) -> Option<Request> {
        let entry = self.remove(number)?;
        if entry.stage != Stage::Told {
            self.untold.retain(|untold| *untold != number);
        }
        Some(Request::Forget { record: Record::Page(Shelf::Inbox, number) })
    }

    /// How many messages there are.
    pub(super) fn count(&self) -> usize {
        self.all.count
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.all.bytes
    }

    fn insert(&mut self, number: u32, message: InboxEntry, stage: Stage) {
        self.all.count += 1;
        self.all.bytes += message.body.len();
        self.by_id.insert(message.id, number);
        self.entries.insert(number, Entry { message, stage });
    }

    fn remove(&mut self, number: u32) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        let len = entry.message.body.len();
        self.by_id.remove(&entry.message.id);
        self.all.count -= 1;
        self.all.bytes -= len;
        if entry.stage == Stage::Told {
            self.told.count -= 1;
            self.told.bytes -= len;
        }
        Some(entry)
    }

    /// A number that no message has.
    fn number(&mut self) -> u32 {
        while self.entries.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }
}

/// Where a message is that came again.
pub(super) enum Held {
    Writing,
    Stored,
}

const ENTRY_VERSION: u8 = 1;
/// All before the body.
const HEAD_LEN_MAX: usize = 2 + 16 + 8 + 1 + ADDRESS_LEN;
