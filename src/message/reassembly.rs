//! Fragments put together in any order, with loss, duplicates and expiry.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{MessageError, SenderTag, SetId};
use crate::limits;
use crate::time::{Duration, Instant};

/// Puts fragments together.
pub struct Reassembler {
    budget: Budget,
}

impl Reassembler {
    /// An empty reassembler. Takes 32 bytes from `rng`, the key that fragments are told apart with.
    pub fn new(budget: Budget, rng: &mut dyn CryptoRng) -> Self {
        let _ = rng;
        Self { budget }
    }

    /// Takes a fragment in.
    pub fn insert(&mut self, context: Context, fragment: &[u8], now: Instant) -> Inserted {
        todo!("{context:?} {fragment:?} {now:?}")
    }

    /// Drops what is too old and says how many unfinished messages that were.
    pub fn expire(&mut self, now: Instant) -> usize {
        todo!("{now:?}")
    }

    /// When to call [`Reassembler::expire`] next.
    pub fn next_deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// What unfinished messages take, bookkeeping included.
    pub fn bytes(&self) -> usize {
        todo!("{:?}", self.budget)
    }
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
#[derive(Debug, PartialEq, Eq)]
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
