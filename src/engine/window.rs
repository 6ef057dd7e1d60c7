//! How much may be in flight.
//!
//! Paced traffic needs no window: the slots are the limit. With pacing off it is what keeps a sender from burying a
//! slow path under retransmissions: slow start, additive increase, halving at a loss, as TCP does it.

use crate::limits;
use crate::time::{Duration, Instant};

/// The number of fragments that may be in flight.
pub(super) struct Window {
    size: f64,
    threshold: f64,
    /// Losses before this belong to a halving that was made already.
    halved: Instant,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { size: FIRST, threshold: MAX, halved: Instant::ZERO }
    }

    pub(super) fn acked(&mut self) {
        let growth = if self.size < self.threshold { 1.0 } else { 1.0 / self.size };
        self.size = (self.size + growth).min(MAX);
    }

    /// One ack was missed. A burst of losses within a round trip counts as one.
    pub(super) fn missed(&mut self, round_trip: Duration, now: Instant) {
        if now.since(self.halved) >= round_trip {
            self.size = (self.size / 2.0).max(MIN);
            self.threshold = self.size;
            self.halved = now;
        }
    }

    pub(super) fn len(&self, paced: bool) -> usize {
        if paced { limits::IN_FLIGHT_COUNT_MAX } else { self.size as usize }
    }
}

const FIRST: f64 = 64.0;
const MIN: f64 = 32.0;
const MAX: f64 = limits::IN_FLIGHT_COUNT_MAX as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_acks_and_halves_once_per_round_trip() {
        let mut window = Window::new();
        (0..136).for_each(|_| window.acked());
        assert_eq!(window.len(false), 200);
        let now = Instant::ZERO + Duration::from_secs(5);
        (0..10).for_each(|_| window.missed(Duration::from_secs(1), now));
        assert_eq!(window.len(false), 100);
        window.acked();
        assert_eq!(window.len(false), 100, "above the threshold it grows slowly");
        assert_eq!(window.len(true), limits::IN_FLIGHT_COUNT_MAX);
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut window = Window::new();
        (0..10_000).for_each(|_| window.acked());
        assert_eq!(window.len(false), limits::IN_FLIGHT_COUNT_MAX);
        (0..100).for_each(|at| window.missed(Duration::ZERO, Instant::from_micros(at)));
        assert_eq!(window.len(false), 32);
    }
}
