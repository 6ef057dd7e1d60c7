//! Sends that wait because the engine's queue is full. First come, first served.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::convert::{Outgoing, RequestId};
use crate::engine::MessageId;
use crate::limits;

/// The messages that wait for room, at most [`limits::WAITING_COUNT_MAX`] with [`limits::WAITING_LEN_MAX`] bytes.
#[derive(Default)]
pub struct Waiting {
    queue: VecDeque<(RequestId, Outgoing)>,
    len: usize,
    /// The engine said that there is room, and has not refused since.
    room: bool,
}

impl Waiting {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends a message that found no room, unless too much waits already. Whether it was appended.
    #[must_use]
    pub fn push(&mut self, id: RequestId, outgoing: Outgoing) -> bool {
        let len = self.len + outgoing.body.len();
        if self.queue.len() >= limits::WAITING_COUNT_MAX || len > limits::WAITING_LEN_MAX {
            return false;
        }
        self.len = len;
        self.queue.push_back((id, outgoing));
        true
    }

    /// Notes that the engine has room again.
    pub fn has_room(&mut self) {
        self.room = true;
    }

    /// Takes the first, if there is room for it.
    pub fn next(&mut self) -> Option<(RequestId, Outgoing)> {
        if !self.room {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.len -= next.1.body.len();
        Some(next)
    }

    /// Puts the first back, as there was no room after all.
    pub fn put_back(&mut self, id: RequestId, outgoing: Outgoing) {
        self.room = false;
        self.len += outgoing.body.len();
        self.queue.push_front((id, outgoing));
    }

    /// A message that waits.
    pub fn get_mut(&mut self, message: MessageId) -> Option<&mut Outgoing> {
        self.queue.iter_mut().map(|(_, outgoing)| outgoing).find(|outgoing| outgoing.message == message)
    }

    /// Drops a message; gives back the request that brought it.
    pub fn remove(&mut self, message: MessageId) -> Option<RequestId> {
        let position = self.queue.iter().position(|(_, outgoing)| outgoing.message == message)?;
        let (id, outgoing) = self.queue.remove(position)?;
        self.len -= outgoing.body.len();
        Some(id)
    }

    /// Drops all; gives back the requests that brought them.
    pub fn take_all(&mut self) -> Vec<RequestId> {
        self.len = 0;
        self.queue.drain(..).map(|(id, _)| id).collect()
    }
}
