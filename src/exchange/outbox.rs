//! What the exchange wants to be sent, on its way to the engine.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use chacha20::ChaCha20Rng;

use super::envelope::{self, Id, Kind};
use crate::engine::{MessageId, Recipient, Replies, SendOptions};
use crate::limits;

/// A message for the engine.
pub(super) struct Outgoing {
    pub(super) id: MessageId,
    pub(super) to: Recipient,
    pub(super) body: Vec<u8>,
    pub(super) options: SendOptions,
}

/// The messages for the engine, in their order, and what is needed to make them.
pub(super) struct Outbox {
    pub(super) rng: ChaCha20Rng,
    waiting: VecDeque<Outgoing>,
    next: u64,
    /// Answers to strangers that were dropped because too much waited.
    pub(super) dropped: u64,
}

impl Outbox {
    pub(super) fn new(rng: ChaCha20Rng) -> Self {
        Self { rng, waiting: VecDeque::new(), next: 0, dropped: 0 }
    }

    /// A new id.
    pub(super) fn id(&mut self) -> Id {
        Id::random(&mut self.rng)
    }

    /// A new number of our own.
    pub(super) fn number(&mut self) -> MessageId {
        self.next += 1;
        MessageId(OWN | self.next)
    }

    /// Queues a message of our own making. The caller has bounded how many there are.
    pub(super) fn push(&mut self, to: Recipient, body: Vec<u8>, options: SendOptions) -> MessageId {
        let id = self.number();
        self.waiting.push_back(Outgoing { id, to, body, options });
        id
    }

    /// Queues what somebody else made us say. Dropped when too much waits: who asks too much is not answered.
    pub(super) fn answer(&mut self, to: &Recipient, kind: Kind, id: Id, body: &[u8]) {
        self.say(to, envelope::simple(kind, id, body));
    }

    /// Queues the same bytes once more, for somebody who asked twice.
    pub(super) fn again(&mut self, to: &Recipient, bytes: &[u8]) {
        self.say(to, bytes.to_vec());
    }

    fn say(&mut self, to: &Recipient, bytes: Vec<u8>) {
        if self.waiting.len() < limits::ENVELOPES_WAITING_COUNT_MAX {
            self.push(to.clone(), bytes, answering());
        } else {
            self.dropped += 1;
        }
    }

    /// The next for the engine.
    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        self.waiting.pop_front()
    }

    /// The engine had no room for it.
    pub(super) fn put_back(&mut self, outgoing: Outgoing) {
        self.waiting.push_front(outgoing);
    }

    /// Takes it back. Whether it was still here.
    pub(super) fn cancel(&mut self, id: MessageId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|outgoing| outgoing.id != id);
        self.waiting.len() < before
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Whether the number is of our own making; those of callers are smaller.
pub(super) const fn is_own(id: MessageId) -> bool {
    id.0 & OWN != 0
}

/// How small answers are sent. To an address they carry SURBs when the peer runs low, and our tag, without which the
/// peer could not tell who answers.
pub(super) fn answering() -> SendOptions {
    SendOptions { replies: Replies::Auto, ..SendOptions::default() }
}

/// How something is sent again, or for the first time to somebody who may have forgotten us: with SURBs in any case. A
/// peer that has started anew has none, whatever we believe, and could not answer.
pub(super) fn repeating(options: SendOptions) -> SendOptions {
    SendOptions { replies: Replies::Exactly(limits::SURBS_PER_REPEAT), ..options }
}

const OWN: u64 = 1 << 63;
