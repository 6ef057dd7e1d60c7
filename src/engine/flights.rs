//! What has left and waits for its ack: by fragment, and by when the ack counts as missed.

use super::unfinished::FragmentKey;
use crate::message::FragmentId;
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// All fragments in flight.
#[derive(Default)]
pub(super) struct Flights {
    by_id: Table<FragmentId, Flight>,
    deadlines: TableSet<(Instant, FragmentId)>,
}

/// One of them.
pub(super) struct Flight {
    pub(super) key: FragmentKey,
    pub(super) sent_at: Instant,
    /// The delays chosen for packet and ack.
    pub(super) chosen: Duration,
    pub(super) deadline: Instant,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// It has left. Whether it was not in flight already.
    pub(super) fn insert(&mut self, id: FragmentId, flight: Flight) -> bool {
        let deadline = flight.deadline;
        let old = self.by_id.insert(id, flight);
        if let Some(old) = &old {
            self.deadlines.remove(&(old.deadline, id));
        }
        self.deadlines.insert((deadline, id));
        old.is_none()
    }

    /// Its ack has come, or does not matter any more.
    pub(super) fn remove(&mut self, id: FragmentId) -> Option<Flight> {
        let flight = self.by_id.remove(&id)?;
        self.deadlines.remove(&(flight.deadline, id));
        Some(flight)
    }

    /// How many of these were in flight. They are not any more.
    pub(super) fn remove_all(&mut self, ids: impl Iterator<Item = FragmentId>) -> usize {
        ids.filter_map(|id| self.remove(id)).count()
    }

    /// The earliest time at which an ack is missed.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes one whose ack did not come in time.
    pub(super) fn take_missed(&mut self, now: Instant) -> Option<Flight> {
        let (_, id) = *self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.remove(id)
    }

    /// Everything gets so much more time.
    pub(super) fn shift(&mut self, by: Duration) {
        self.deadlines.clear();
        for (id, flight) in self.by_id.iter_mut() {
            flight.deadline += by;
            flight.sent_at += by;
            self.deadlines.insert((flight.deadline, *id));
        }
    }

    /// The deadline of what left since then becomes `at`, where it is later.
    pub(super) fn hurry(&mut self, sent_since: Instant, at: Instant) {
        for (id, flight) in self.by_id.iter_mut() {
            if flight.sent_at >= sent_since && flight.deadline > at {
                self.deadlines.remove(&(flight.deadline, *id));
                flight.deadline = at;
                self.deadlines.insert((at, *id));
            }
        }
    }
}
