//! The time as the network's parts see it.

use std::time::{SystemTime, UNIX_EPOCH};

use mixlet::time::{Duration, Instant};

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
    unix_start: Duration,
}

impl Clock {
    /// A clock at zero.
    pub fn start() -> Self {
        let unix_start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: std::time::Instant::now(), unix_start }
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// The unix time at the start.
    pub fn unix_start(&self) -> Duration {
        self.unix_start
    }

    /// The unix time, running as evenly as [`Clock::now`].
    pub fn unix(&self) -> Duration {
        self.unix_start + self.start.elapsed()
    }

    /// The same moment for tokio's timers.
    pub fn deadline(&self, when: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + when.since(Instant::ZERO))
    }
}
