//! End-to-end receipts: messages of ours that wait for one, and ids of messages the application has seen.
//!
//! `Delivered` comes from a gateway, which may lose the message afterwards. A receipt comes from the peer's client, over a
//! SURB or under a tag that only it has. Without one the whole message goes again under the same id, until its deadline.

use alloc::vec::Vec;

use super::Event;
use super::envelope::{self, Envelope, Id, Kind};
use super::outbox::{Outbox, repeating};
use super::seen::Remembered;
use crate::engine::{Code, MessageId, Recipient, SendError, SendOptions};
use crate::limits;
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// A message that its recipient is to receipt, as the engine has taken it.
pub(super) struct Promised {
    pub(super) id: Id,
    pub(super) to: Recipient,
    pub(super) bytes: Vec<u8>,
    pub(super) options: SendOptions,
}

/// A message of ours without its receipt.
struct Awaited {
    id: Id,
    to: Recipient,
    /// The whole envelope, to be sent again.
    bytes: Vec<u8>,
    options: SendOptions,
    /// When it was delivered, and how long that took.
    delivered: Option<(Instant, Duration)>,
    /// When it goes again, and the wait after that.
    due: Option<Instant>,
    wait: Duration,
    deadline: Option<Instant>,
    /// Its last repetition, while that is under way.
    copy: Option<MessageId>,
    /// It was sent again, so its receipt does not tell how long one takes.
    repeated: bool,
}

pub(super) struct Receipts {
    awaited: Table<MessageId, Awaited>,
    by_id: Table<Id, MessageId>,
    /// By the next thing to do about them.
    due: TableSet<(Instant, MessageId)>,
    /// Who sent each repetition.
    copies: Table<MessageId, MessageId>,
    bytes: usize,
    /// From a message's ack to its receipt, smoothed.
    usual: Option<Duration>,
    seen: Remembered<()>,
    /// Messages that came again.
    pub(super) repeats: u64,
    /// Receipts that belong to nothing.
    pub(super) stray: u64,
}

impl Receipts {
    pub(super) fn new() -> Self {
        Self {
            awaited: Table::new(),
            by_id: Table::new(),
            due: TableSet::new(),
            copies: Table::new(),
            bytes: 0,
            usual: None,
            seen: Remembered::new(limits::SEEN_IDS_COUNT_MAX, limits::SEEN_ID_AGE_MAX),
            repeats: 0,
            stray: 0,
        }
    }

    // ── messages of ours ─────────────────────────────────────────────────────────────────────────────────────────

    /// Wraps a message that is to be receipted.
    pub(super) fn wrap(&self, id: Id, body: &[u8]) -> Result<Vec<u8>, SendError> {
        if !self.has_room(body.len()) {
            return Err(SendError::QueueFull);
        }
        Ok(Envelope { kind: Kind::Message, flags: envelope::WANTS_RECEIPT, id, service: "", body }.to_bytes())
    }

    /// Whether one more message of so many bytes can wait for its receipt.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.awaited.len() < limits::RECEIPTS_AWAITED_COUNT_MAX && self.bytes + len <= limits::RECEIPTS_AWAITED_LEN_MAX
    }

    /// The engine has taken it.
    pub(super) fn expect(&mut self, message: MessageId, promised: Promised, now: Instant) {
        let Promised { id, to, bytes, options } = promised;
        let deadline = options.timeout.filter(|_| !options.no_deadline).map(|timeout| now + timeout);
        self.bytes += bytes.len();
        self.by_id.insert(id, message);
        let wait = limits::RECEIPT_WAIT_MIN;
        let awaited =
            Awaited { id, to, bytes, options, delivered: None, due: None, wait, deadline, copy: None, repeated: false };
        self.awaited.insert(message, awaited);
    }

    /// The engine says that every fragment arrived. True: it was a repetition, which is nobody else's concern.
    pub(super) fn delivered(&mut self, message: MessageId, round_trip: Duration, now: Instant) -> bool {
        if let Some(original) = self.copies.remove(&message) {
            if let Some(awaited) = self.awaited.get_mut(&original) {
                awaited.copy = None;
            }
            self.set_due(original, now);
            return true;
        }
        let usual = self.usual;
        if let Some(awaited) = self.awaited.get_mut(&message) {
            awaited.delivered = Some((now, round_trip));
            // A receipt makes the same way back as the ack, and its sender may have to wait for a slot.
            let expected = usual.unwrap_or(round_trip * 2);
            awaited.wait = (expected * limits::RECEIPT_ROUND_TRIPS).max(limits::RECEIPT_WAIT_MIN);
            if awaited.deadline.is_none() && !awaited.options.no_deadline {
                awaited.deadline = Some(now + limits::MESSAGE_TIME);
            }
            self.set_due(message, now);
        }
        false
    }

    /// The engine has given it up. True: it was a repetition, and the next one comes in its time.
    pub(super) fn undelivered(&mut self, message: MessageId, now: Instant) -> bool {
        if self.copies.contains_key(&message) {
            return self.delivered(message, Duration::ZERO, now);
        }
        self.forget(message);
        false
    }

    /// Nothing more is done about it. Answers its repetition that is under way.
    pub(super) fn forget(&mut self, message: MessageId) -> Option<MessageId> {
        let awaited = self.awaited.remove(&message)?;
        self.by_id.remove(&awaited.id);
        self.bytes -= awaited.bytes.len();
        if let Some(due) = awaited.due {
            self.due.remove(&(due, message));
        }
        if let Some(copy) = awaited.copy {
            self.copies.remove(&copy);
        }
        awaited.copy
    }

    /// A receipt came. Answers the message it is for, whether that was known to be delivered, and its repetition.
    pub(super) fn receipt(&mut self, id: Id, from: &Recipient, now: Instant) -> Option<Received> {
        let Some(message) = self.by_id.get(&id).copied() else {
            self.stray += 1;
            return None;
        };
        let awaited = self.awaited.get(&message).filter(|awaited| awaited.to == *from);
        let Some((delivered, repeated)) = awaited.map(|awaited| (awaited.delivered, awaited.repeated)) else {
            self.stray += 1;
            return None;
        };
        let took = delivered.map_or(Duration::ZERO, |(since, _)| now.since(since));
        if !repeated {
            self.usual = Some(self.usual.map_or(took, |usual| (usual * 7 + took) / 8));
        }
        let copy = self.forget(message);
        let round_trip = delivered.map_or(took, |(_, round_trip)| round_trip + took);
        Some(Received { message, delivered: delivered.is_some(), round_trip, copy })
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Sends again what is due, gives up what is over.
    pub(super) fn serve(
        &mut self,
        outbox: &mut Outbox,
        events: &mut dyn FnMut(Event),
        is_known: impl Fn(&Recipient) -> bool,
        now: Instant,
    ) {
        while let Some((due, message)) = self.due.first().copied()
            && due <= now
        {
            self.due.remove(&(due, message));
            let Some(awaited) = self.awaited.get_mut(&message) else { continue };
            awaited.due = None;
            if awaited.deadline.is_some_and(|deadline| deadline <= now) {
                // The peer may be away, or not speak mixlet at all.
                let code = if is_known(&awaited.to) { Code::Timeout } else { Code::NoReceiptSupport };
                self.forget(message);
                events(Event::NotReceipted { id: message, code });
                continue;
            }
            let options = SendOptions { timeout: None, no_deadline: false, planned: false, ..awaited.options };
            let options = repeating(options);
            let copy = outbox.push(awaited.to.clone(), awaited.bytes.clone(), options);
            awaited.copy = Some(copy);
            awaited.repeated = true;
            awaited.wait = (awaited.wait * 2).min(limits::RECEIPT_WAIT_MAX);
            self.copies.insert(copy, message);
        }
    }

    fn set_due(&mut self, message: MessageId, now: Instant) {
        let Some(awaited) = self.awaited.get_mut(&message) else { return };
        let due = now + awaited.wait;
        let due = awaited.deadline.map_or(due, |deadline| due.min(deadline));
        awaited.due = Some(due);
        self.due.insert((due, message));
    }

    /// The link is back after so long: what was waited for could not come, and no deadline runs meanwhile.
    pub(super) fn shift(&mut self, pause: Duration) {
        for awaited in self.awaited.values_mut() {
            awaited.due = awaited.due.map(|due| due + pause);
            awaited.deadline = awaited.deadline.map(|deadline| deadline + pause);
        }
        self.due = TableSet::new();
        for (message, awaited) in self.awaited.iter() {
            if let Some(due) = awaited.due {
                self.due.insert((due, *message));
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.awaited.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    // ── messages of others ───────────────────────────────────────────────────────────────────────────────────────

    /// Whether the application has not seen it; it is taken to have from now on.
    pub(super) fn is_new(&mut self, id: Id, now: Instant) -> bool {
        if self.seen.get_mut(&id, now).is_some() {
            self.repeats += 1;
            return false;
        }
        self.seen.insert(id, (), now);
        true
    }

    /// Whether the application has seen it, or will.
    pub(super) fn has(&mut self, id: Id, now: Instant) -> bool {
        self.seen.get_mut(&id, now).is_some()
    }

    /// The application will not see it after all.
    pub(super) fn has_not_seen(&mut self, id: Id) {
        self.seen.remove(&id);
    }

    /// The application saw it in an earlier run.
    pub(super) fn has_seen(&mut self, id: Id, since: Instant) {
        self.seen.insert(id, (), since);
    }

    pub(super) fn seen_count(&self) -> usize {
        self.seen.len()
    }
}

/// A message of ours has arrived for good.
pub(super) struct Received {
    pub(super) message: MessageId,
    /// The engine had said so before. If not, an ack is lost or late.
    pub(super) delivered: bool,
    pub(super) round_trip: Duration,
    /// A repetition that can be stopped.
    pub(super) copy: Option<MessageId>,
}
