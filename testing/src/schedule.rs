//! What is on its way, in the order of arrival and then of leaving.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use mixlet::sphinx::NodeFrame;
use mixlet::time::Instant;
use mixlet_devnet::record::NodeName;

use crate::links::{Frame, LinkNumber, News};

/// How much is on its way at a time. Packets beyond it are dropped, and a link with more to say is closed.
pub const ON_THE_WAY_COUNT_MAX: usize = 200_000;

/// Something that arrives.
pub(crate) enum Arrival {
    /// A client begins to open a link.
    Opening(LinkNumber),
    /// A client's frame at its gateway.
    Frame(LinkNumber, Frame),
    /// A client has closed its link.
    Closing(LinkNumber),
    /// Something for a client.
    News(LinkNumber, News),
    /// A packet at a node.
    Packet(NodeName, NodeFrame),
}

/// The heap.
#[derive(Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Entry>,
    made: u64,
}

struct Entry {
    at: Instant,
    number: u64,
    what: Arrival,
}

impl Schedule {
    /// Whether there is room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.heap.len() < ON_THE_WAY_COUNT_MAX
    }

    pub(crate) fn push(&mut self, at: Instant, what: Arrival) {
        self.made += 1;
        self.heap.push(Entry { at, number: self.made, what });
    }

    /// When the next thing arrives.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// The next thing that arrives.
    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        self.heap.pop().map(|entry| entry.what)
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, as the heap gives out the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}
