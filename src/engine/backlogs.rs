//! What is meant for peers who are answered over their SURBs: how much of it there is, and what waits for more of them.

use super::unfinished::{Message, MessageKey};
use crate::limits;
use crate::message::SenderTag;
use crate::table::{Table, TableSet};

/// The replies that are not finished, by peer; requests for SURBs do not count.
#[derive(Default)]
pub(super) struct Backlogs(Table<SenderTag, Backlog>);

#[derive(Default)]
struct Backlog {
    count: usize,
    bytes: usize,
    load: Load,
    /// Messages that wait for SURBs, the oldest first.
    parked: TableSet<MessageKey>,
    /// There was no SURB for the last fragment: the others need not try.
    dry: bool,
}

/// Fragments for one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Never sent, or to be sent again.
    pub(super) waiting: usize,
    pub(super) in_flight: usize,
}

impl Backlogs {
    /// Counts a message that is accepted, if it is a reply.
    pub(super) fn add(&mut self, message: &Message) {
        let Some(tag) = message.reply_to() else { return };
        let backlog = self.0.get_or_insert_with(tag, Backlog::default);
        backlog.count += 1;
        backlog.bytes += message.len;
        backlog.load.waiting += message.unsent();
    }

    /// A message has ended, of which so many fragments were in flight.
    pub(super) fn remove(&mut self, key: MessageKey, message: &Message, in_flight: usize) {
        let Some(tag) = message.reply_to() else { return };
        let Some(backlog) = self.0.get_mut(&tag) else { return };
        backlog.count -= 1;
        backlog.bytes -= message.len;
        backlog.load.waiting -= message.waiting();
        backlog.load.in_flight -= in_flight;
        backlog.parked.remove(&key);
        if backlog.count == 0 {
            self.0.remove(&tag);
        }
    }

    /// Whether one more reply of this length may wait for this peer's SURBs or slots.
    pub(super) fn has_room_for(&self, tag: &SenderTag, len: usize) -> bool {
        self.0.get(tag).is_none_or(|backlog| {
            backlog.count < limits::REPLIES_WAITING_COUNT_MAX && backlog.bytes + len <= limits::REPLIES_WAITING_LEN_MAX
        })
    }

    /// The fragments for this peer.
    pub(super) fn load_of(&self, tag: &SenderTag) -> Load {
        self.0.get(tag).map_or(Load::default(), |backlog| backlog.load)
    }

    /// The load of the peer that this message is a reply to.
    pub(super) fn load_mut(&mut self, message: &Message) -> Option<&mut Load> {
        self.0.get_mut(&message.reply_to()?).map(|backlog| &mut backlog.load)
    }

    /// Has a message wait for SURBs where those before it found none. Whether it does.
    pub(super) fn waits(&mut self, key: MessageKey, message: &Message) -> bool {
        let dry = message.reply_to().and_then(|tag| self.0.get_mut(&tag)).filter(|backlog| backlog.dry);
        dry.is_some_and(|backlog| {
            backlog.parked.insert(key);
            true
        })
    }

    /// There was no SURB for a fragment of this message.
    pub(super) fn ran_dry(&mut self, key: MessageKey, message: &Message) {
        if let Some(backlog) = message.reply_to().and_then(|tag| self.0.get_mut(&tag)) {
            backlog.parked.insert(key);
            backlog.dry = true;
        }
    }

    /// All messages may try again.
    pub(super) fn clear_parked(&mut self) {
        for backlog in self.0.values_mut() {
            backlog.dry = false;
            backlog.parked.clear();
        }
    }

    /// SURBs of this peer came in.
    pub(super) fn refilled(&mut self, tag: &SenderTag) {
        if let Some(backlog) = self.0.get_mut(tag) {
            backlog.dry = false;
        }
    }

    /// Takes the oldest message that waits for SURBs of this peer.
    pub(super) fn take_parked(&mut self, tag: &SenderTag) -> Option<MessageKey> {
        self.0.get_mut(tag)?.parked.pop_first()
    }

    /// Whether messages wait for SURBs of this peer.
    pub(super) fn is_parked(&self, tag: &SenderTag) -> bool {
        self.0.get(tag).is_some_and(|backlog| !backlog.parked.is_empty())
    }
}
