//! Ids that were met before, bounded in number and age.

use alloc::collections::VecDeque;

use super::envelope::Id;
use crate::table::Table;
use crate::time::{Duration, Instant};

/// Values under ids; the oldest make room, and those of an age are forgotten.
pub(super) struct Remembered<V> {
    values: Table<Id, (Instant, V)>,
    by_age: VecDeque<(Instant, Id)>,
    count_max: usize,
    age_max: Duration,
}

impl<V> Remembered<V> {
    pub(super) fn new(count_max: usize, age_max: Duration) -> Self {
        Self { values: Table::new(), by_age: VecDeque::new(), count_max, age_max }
    }

    /// Remembers a value. Answers those that had to make room.
    pub(super) fn insert(&mut self, id: Id, value: V, now: Instant) {
        self.expire(now);
        if self.values.insert(id, (now, value)).is_none() {
            self.by_age.push_back((now, id));
        }
        while self.values.len() > self.count_max
            && let Some((_, oldest)) = self.by_age.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    pub(super) fn get_mut(&mut self, id: &Id, now: Instant) -> Option<&mut V> {
        self.expire(now);
        self.values.get_mut(id).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, id: &Id) {
        if self.values.remove(id).is_some() {
            self.by_age.retain(|(_, known)| known != id);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    fn expire(&mut self, now: Instant) {
        while let Some((since, id)) = self.by_age.front().copied()
            && now.since(since) >= self.age_max
        {
            self.by_age.pop_front();
            self.values.remove(&id);
        }
    }
}
