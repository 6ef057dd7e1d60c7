//! Sends that wait because the engine's queue is full. First come, first served.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::convert::{Outgoing, RequestId};
use crate::engine::MessageId;
use crate::limits;
use crate::time::Duration;

/// The messages that wait for room, at most [`limits::WAITING_COUNT_MAX`] with [`limits::WAITING_LEN_MAX`] bytes.
#[derive(Default)]
pub struct Waiting {
    queue: VecDeque<Entry>,
    len: usize,
    /// The engine said that there is room, and has not refused since.
    room: bool,
}

/// A message that waits, since when in time with the link up.
struct Entry {
    id: RequestId,
    outgoing: Outgoing,
    since: Duration,
}

impl Entry {
    /// When its time is over, where its sender has named one.
    fn deadline(&self) -> Option<Duration> {
        let options = &self.outgoing.sending.options;
        options.timeout.filter(|_| !options.no_deadline).map(|timeout| self.since.saturating_add(timeout))
    }
}

impl Waiting {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends a message that found no room, unless too much waits already. Whether it was appended.
    #[must_use]
    pub fn push(&mut self, id: RequestId, outgoing: Outgoing, since: Duration) -> bool {
        let len = self.len + outgoing.body.len();
        if self.queue.len() >= limits::WAITING_COUNT_MAX || len > limits::WAITING_LEN_MAX {
            return false;
        }
        self.len = len;
        self.queue.push_back(Entry { id, outgoing, since });
        true
    }

    /// Notes that the engine has room again.
    pub fn has_room(&mut self) {
        self.room = true;
    }

    /// Takes the first, if there is room for it. What it has waited does not count once more.
    pub fn next(&mut self, up: Duration) -> Option<(RequestId, Outgoing)> {
        if !self.room {
            return None;
        }
        let Entry { id, mut outgoing, since } = self.queue.pop_front()?;
        self.len -= outgoing.body.len();
        let waited = up.saturating_sub(since);
        if let Some(timeout) = &mut outgoing.sending.options.timeout {
            *timeout = timeout.saturating_sub(waited);
        }
        Some((id, outgoing))
    }

    /// When the first of those is late that have a deadline.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.queue.iter().filter_map(Entry::deadline).min()
    }

    /// Drops those whose time is over; gives back the requests that brought them.
    pub fn take_late(&mut self, up: Duration) -> Vec<RequestId> {
        let mut late = Vec::new();
        self.queue.retain(|entry| {
            let is_late = entry.deadline().is_some_and(|deadline| deadline <= up);
            if is_late {
                late.push(entry.id);
                self.len -= entry.outgoing.body.len();
            }
            !is_late
        });
        late
    }

    /// Puts the first back, as there was no room after all.
    pub fn put_back(&mut self, id: RequestId, outgoing: Outgoing, since: Duration) {
        self.room = false;
        self.len += outgoing.body.len();
        self.queue.push_front(Entry { id, outgoing, since });
    }

    /// A message that waits.
    pub fn get_mut(&mut self, message: MessageId) -> Option<&mut Outgoing> {
        self.queue.iter_mut().map(|entry| &mut entry.outgoing).find(|outgoing| outgoing.message == message)
    }

    /// Drops a message; gives back the request that brought it.
    pub fn remove(&mut self, message: MessageId) -> Option<RequestId> {
        let position = self.queue.iter().position(|entry| entry.outgoing.message == message)?;
        let Entry { id, outgoing, .. } = self.queue.remove(position)?;
        self.len -= outgoing.body.len();
        Some(id)
    }

    /// Drops all; gives back the requests that brought them.
    pub fn take_all(&mut self) -> Vec<RequestId> {
        self.len = 0;
        self.queue.drain(..).map(|entry| entry.id).collect()
    }
}
