//! What is to happen, in the order of time and then of being put in: the same run each time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use mixlet::time::Instant;

/// A heap of things with a time each.
pub struct Timeline<T> {
    heap: BinaryHeap<Entry<T>>,
    made: u64,
}

struct Entry<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), made: 0 }
    }
}

impl<T> Timeline<T> {
    /// Puts something in.
    pub fn push(&mut self, at: Instant, what: T) {
        self.made += 1;
        self.heap.push(Entry { at, number: self.made, what });
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// The next thing that happens.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Ord for Entry<T> {
    /// The earliest is the greatest, as the heap gives out the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}
