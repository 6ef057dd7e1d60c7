//! What is to happen next: one heap of deliveries and wake-ups, in the order of time and then of their making.

use mixlet::time::Instant;

use super::run::Delivery;
use crate::timeline::Timeline;

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

/// All of it, and when each actor wants to be called.
#[derive(Default)]
pub(super) struct Schedule {
    timeline: Timeline<Happening>,
    clients: Vec<Option<Instant>>,
    gateways: Vec<Option<Instant>>,
    mixes: Vec<Option<Instant>>,
}

impl Schedule {
    pub(super) fn deliver(&mut self, at: Instant, delivery: Delivery) {
        self.timeline.push(at, Happening::Delivery(delivery));
    }

    /// An actor wants to be called at this time and at no other.
    pub(super) fn call(&mut self, actor: Actor, at: Option<Instant>) {
        let place = self.place(actor);
        if *place == at {
            return;
        }
        *place = at;
        if let Some(at) = at {
            self.timeline.push(at, Happening::Timeout(actor));
        }
    }

    /// The next thing that happens, unless it is after `end`.
    pub(super) fn next(&mut self, end: Instant) -> Option<(Instant, Happening)> {
        loop {
            if self.timeline.next_at()? > end {
                return None;
            }
            let (at, what) = self.timeline.pop()?;
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
