//! When the next slot is due: two Poisson clocks, the main stream's and the loop cover's.
//!
//! The clocks have a generator of their own, forked from the injected one at the start. What else the client draws
//! random numbers for, and how many, therefore cannot bend the schedule.

use chacha20::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};

use super::config::Traffic;
use crate::limits;
use crate::time::{Duration, Instant};

/// The two clocks. They stand still while no link is up.
pub(super) struct Pacing {
    main: SlotClock,
    cover: SlotClock,
    running: bool,
}

/// Which of the two streams a slot belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Real fragments, or cover where there are none.
    Main,
    /// Always cover.
    Cover,
}

/// Slots that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// How many leave now.
    pub(super) now: usize,
    /// How many were too old and are forgotten.
    pub(super) forgotten: u64,
}

impl Pacing {
    pub(super) fn new(traffic: &Traffic, rng: &mut dyn CryptoRng) -> Self {
        Self { main: SlotClock::new(traffic.slot, rng), cover: SlotClock::new(traffic.loop_cover, rng), running: false }
    }

    /// New means; the gaps already drawn stay, and what follows has the new distribution.
    pub(super) fn set_traffic(&mut self, traffic: &Traffic) {
        self.main.mean = traffic.slot;
        self.cover.mean = traffic.loop_cover;
    }

    /// Pacing is back: the main stream's first gap is drawn from now, whatever slots there would have been without it.
    pub(super) fn resume_main(&mut self, now: Instant) {
        self.main.restart(now);
    }

    /// Begins to run: the exponential has no memory, so both first gaps are drawn from now.
    pub(super) fn start(&mut self, now: Instant) {
        self.running = true;
        self.main.restart(now);
        self.cover.restart(now);
    }

    pub(super) fn stop(&mut self) {
        self.running = false;
    }

    /// When the next slot of the stream is due.
    pub(super) fn next(&self, stream: Stream) -> Option<Instant> {
        self.running.then_some(match stream {
            Stream::Main => self.main.next,
            Stream::Cover => self.cover.next,
        })
    }

    /// Takes the slots of the stream that are due.
    pub(super) fn take_due(&mut self, stream: Stream, now: Instant) -> Due {
        if !self.running {
            return Due { now: 0, forgotten: 0 };
        }
        match stream {
            Stream::Main => self.main.take_due(now),
            Stream::Cover => self.cover.take_due(now),
        }
    }
}

struct SlotClock {
    mean: Duration,
    /// When the next slot is due, counted from the previous deadline and not from the moment it was served, so that
    /// the mean rate survives coarse timers.
    next: Instant,
    rng: ChaCha20Rng,
}

impl SlotClock {
    fn new(mean: Duration, rng: &mut dyn CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self { mean, next: Instant::ZERO, rng: ChaCha20Rng::from_seed(seed) }
    }

    fn restart(&mut self, now: Instant) {
        self.next = now + self.gap();
    }

    /// A slot more than [`limits::LATE_TOLERANCE`] late is forgotten instead of made up for: a burst after a gap would
    /// show anyone watching the link for how long this machine was asleep.
    fn take_due(&mut self, now: Instant) -> Due {
        let mut due = Due { now: 0, forgotten: 0 };
        while self.next <= now {
            if now.since(self.next) > limits::LATE_TOLERANCE {
                // The process has no memory, so it may be taken up at the edge of what is tolerated: the slots between
                // there and now are as many as they would have been without the gap.
                due.forgotten += 1;
                let edge = now.before(limits::LATE_TOLERANCE);
                self.next = edge + self.gap();
            } else {
                due.now += 1;
                let gap = self.gap();
                self.next += gap;
            }
        }
        due
    }

    /// One draw of the exponential distribution with this mean, in whole microseconds.
    fn gap(&mut self) -> Duration {
        let mean = self.mean.as_micros() as f64;
        // 53 random bits, shifted off zero so that the logarithm is finite.
        let uniform = ((self.rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        Duration::from_micros(libm::round(-libm::log(uniform) * mean) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng as TestRng;

    fn running() -> Pacing {
        let mut rng = TestRng::seed_from_u64(7);
        let mut pacing = Pacing::new(&Traffic::default(), &mut rng);
        pacing.start(Instant::ZERO);
        pacing
    }

    #[test]
    fn mean_gaps_are_as_configured() {
        let mut pacing = running();
        let mut now = Instant::ZERO;
        for _ in 0..20_000 {
            now = pacing.next(Stream::Main).unwrap();
            assert_eq!(pacing.take_due(Stream::Main, now), Due { now: 1, forgotten: 0 });
        }
        let mean = now.as_micros() / 20_000;
        assert!((19_500..20_500).contains(&mean), "mean gap of {mean} µs");
    }

    #[test]
    fn a_long_sleep_brings_no_burst() {
        let mut pacing = running();
        let due = pacing.take_due(Stream::Main, Instant::ZERO + Duration::from_secs(3600));
        assert!(due.now <= 12, "{} slots at once", due.now);
        assert!(due.forgotten >= 1);
    }

    #[test]
    fn a_coarse_timer_does_not_change_the_rate() {
        let mut pacing = running();
        let (mut now, mut left) = (Instant::ZERO, 0);
        while now < Instant::ZERO + Duration::from_secs(200) {
            now += Duration::from_millis(16);
            left += pacing.take_due(Stream::Main, now).now;
        }
        assert!((9_600..10_400).contains(&left), "{left} slots in 200 s");
    }

    #[test]
    fn early_wake_ups_do_nothing() {
        let mut pacing = running();
        assert_eq!(pacing.take_due(Stream::Main, Instant::ZERO), Due { now: 0, forgotten: 0 });
    }
}
