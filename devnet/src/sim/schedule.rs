//! What is to happen next: one heap of deliveries and wake-ups, in the order of time and then of their making.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use mixlet::time::Instant;

use super::run::Delivery;

/// Something with a state machine of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    Client(usize),
    Gateway(usize),
    Mix(usize),
}

/// What happens at some moment.
pub(super) enum Happening {
    Delivery(Delivery),
    /// The time an actor asked to be called at.
    Timeout(Actor),
}

/// The heap, and when each actor wants to be called.
#[derive(Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Entry>,
    made: u64,
    clients: Vec<Option<Instant>>,
    gateways: Vec<Option<Instant>>,
    mixes: Vec<Option<Instant>>,
}

struct Entry {
    at: Instant,
    number: u64,
    what: Happening,
}

impl Schedule {
    pub(super) fn deliver(&mut self, at: Instant, delivery: Delivery) {
        self.push(at, Happening::Delivery(delivery));
    }

    /// An actor wants to be called at this time and at no other.
    pub(super) fn call(&mut self, actor: Actor, at: Option<Instant>) {
        let place = self.place(actor);
        if *place == at {
            return;
        }
        *place = at;
        if let Some(at) = at {
            self.push(at, Happening::Timeout(actor));
        }
    }

    /// The next thing that happens, unless it is after `end`.
    pub(super) fn next(&mut self, end: Instant) -> Option<(Instant, Happening)> {
        loop {
            if self.heap.peek()?.at > end {
                return None;
            }
            let Entry { at, what, .. } = self.heap.pop()?;
            if let Happening::Timeout(actor) = what {
                // An actor that has changed its mind left the earlier entry behind.
                let place = self.place(actor);
                if *place != Some(at) {
                    continue;
                }
                *place = None;
            }
            return Some((at, what));
        }
    }

    fn push(&mut self, at: Instant, what: Happening) {
        self.made += 1;
        self.heap.push(Entry { at, number: self.made, what });
    }

    fn place(&mut self, actor: Actor) -> &mut Option<Instant> {
        let (list, at) = match actor {
            Actor::Client(at) => (&mut self.clients, at),
            Actor::Gateway(at) => (&mut self.gateways, at),
            Actor::Mix(at) => (&mut self.mixes, at),
        };
        if list.len() <= at {
            list.resize(at + 1, None);
        }
        &mut list[at]
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
