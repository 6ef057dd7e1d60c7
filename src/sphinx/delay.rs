//! How long a hop holds a packet.

use rand_core::CryptoRng;

use crate::time::Duration;

/// The delay that a header asks one hop for, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delay(u64);

impl Delay {
    /// No delay at all.
    pub const ZERO: Self = Self(0);
    /// The longest delay that nodes keep to; they shorten what is longer.
    pub const MAX: Duration = Duration::from_secs(10);

    /// A delay of so many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The delay in nanoseconds, as the header holds it.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The delay as nodes keep it: at most [`Delay::MAX`].
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(self.0).min(Self::MAX)
    }

    /// Draws a delay from the exponential distribution with this mean, rounded to whole nanoseconds. A mean of zero
    /// gives zero. Takes eight bytes from `rng`, also for a mean of zero.
    pub fn sample(mean: Duration, rng: &mut dyn CryptoRng) -> Self {
        // 53 random bits make an even number in (0, 1]: zero is left out because it has no logarithm.
        let unit = ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let nanos = -libm::log(unit) * mean.as_nanos() as f64;
        // `as` saturates, so an absurd mean gives a long delay and not a wrapped one.
        Self(libm::round(nanos) as u64)
    }
}
