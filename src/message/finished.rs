//! The memory of finished sets, by which late repeats of their fragments are recognised.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::reassembly::Context;
use super::{FragmentHeader, SetId};
use crate::table::{NODE_LEN, Table};
use crate::time::{Duration, Instant};

/// Finished sets, forgotten by age and, beyond a number of bytes, oldest first.
///
/// A set is known by its identifier, its total and a digest for each position. The identifier alone would not do: it has
/// 31 bits, and a new message that meets an old identifier must not be taken for a repeat.
#[derive(Default)]
pub(super) struct Finished {
    sets: Table<Key, Box<[u64]>>,
    order: VecDeque<(Instant, Key)>,
    bytes: usize,
    next_number: u64,
}

/// The number keeps apart sets that happen to have the same identifier.
type Key = (Context, SetId, u64);

impl Finished {
    /// Whether the fragment is one of a finished set.
    pub(super) fn knows(&self, context: Context, header: &FragmentHeader, digest: u64) -> bool {
        let set = header.id.set;
        let place = usize::from(header.id.position).checked_sub(1);
        let same = |digests: &[u64]| {
            digests.len() == usize::from(header.total) && place.and_then(|place| digests.get(place)) == Some(&digest)
        };
        self.under(context, set).any(same)
    }

    /// Remembers a set by the digests of its fragments, in order, within `bytes_max`.
    ///
    /// Honest sets hardly ever share an identifier. A stranger who gives all his the same one would make every look-up
    /// of it longer; beyond a few they are not remembered.
    pub(super) fn remember(
        &mut self,
        context: Context,
        set: SetId,
        digests: Box<[u64]>,
        now: Instant,
        bytes_max: usize,
    ) {
        if self.under(context, set).count() >= SAME_ID_COUNT_MAX {
            return;
        }
        let key = (context, set, self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        self.bytes = self.bytes.saturating_add(cost(&digests));
        self.sets.insert(key, digests);
        self.order.push_back((now, key));
        while self.bytes > bytes_max && self.forget_oldest() {}
    }

    /// Forgets what is as old as `age`.
    pub(super) fn expire(&mut self, now: Instant, age: Duration) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= age) {
            self.forget_oldest();
        }
    }

    /// The digests of the set that was remembered last under this identifier.
    pub(super) fn digests(&self, context: Context, set: SetId) -> Option<&[u64]> {
        self.under(context, set).last()
    }

    /// Memory in use, bookkeeping included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn under(&self, context: Context, set: SetId) -> impl Iterator<Item = &[u64]> {
        let from = self.sets.iter_from(&(context, set, 0));
        from.take_while(move |(key, _)| (key.0, key.1) == (context, set)).map(|(_, digests)| &**digests)
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_front() else { return false };
        if let Some(digests) = self.sets.remove(&key) {
            self.bytes = self.bytes.saturating_sub(cost(&digests));
        }
        true
    }
}

fn cost(digests: &[u64]) -> usize {
    SET_COST.saturating_add(size_of_val(digests))
}

/// Twice the entries of table and queue, since neither is always full, and what an allocation costs.
const SET_COST: usize = 2 * (size_of::<(Key, Box<[u64]>)>() + NODE_LEN + size_of::<(Instant, Key)>()) + 16;

/// How many sets with the same identifier are remembered.
const SAME_ID_COUNT_MAX: usize = 8;
