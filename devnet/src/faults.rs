//! Faults on the links between nodes: loss, duplicates, latency, jitter, reordering.
//!
//! A Sphinx packet, data or ack, crosses four links after its sender's gateway has it: gateway to layer 1, layer 1 to
//! 2, layer 2 to 3, layer 3 to gateway. A node knows which of these it sends on, nothing else. So that the whole way
//! loses a share `p` of the packets, each link equally likely to be the one, the link at position `k` (counted from
//! zero) drops with probability `(p / 4) / (1 - k p / 4)`: the share that is to be lost here, among those still there.
//! No memory of single packets is needed and no packet can be lost twice. Duplicates follow the same arithmetic.

use core::time::Duration;

use rand_core::Rng;

/// How many links between nodes a packet crosses.
pub const LINK_COUNT: u32 = 4;

/// How much later than usual a packet that is to be overtaken leaves, at least and at most.
const REORDER_HOLD: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(60));

/// The longest latency or jitter that is accepted.
const LATENCY_MAX: Duration = Duration::from_secs(10);

/// Which of the four links of a packet's way a node sends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// From a gateway to layer 1.
    First,
    /// From layer 1 to layer 2.
    Second,
    /// From layer 2 to layer 3.
    Third,
    /// From layer 3 to a gateway.
    Fourth,
}

impl Position {
    /// The position of what a mix node of `layer` (1 to 3) sends.
    pub fn after_layer(layer: u8) -> Self {
        match layer {
            1 => Self::Second,
            2 => Self::Third,
            _ => Self::Fourth,
        }
    }

    fn index(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Second => 1,
            Self::Third => 2,
            Self::Fourth => 3,
        }
    }
}

/// What the links between nodes do to packets. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Faults {
    /// Share of packets lost on their way, 0 to 1.
    pub loss: f64,
    /// Share of packets doubled on their way, 0 to 1.
    pub duplicate: f64,
    /// Share of packets held back on one link so that later ones overtake them, 0 to 1.
    pub reorder: f64,
    /// How long each link takes.
    pub latency: Duration,
    /// How much longer a link may take, drawn uniformly.
    pub jitter: Duration,
}

/// Why a set of faults was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A share was not between 0 and 1.
    #[error("a share must lie between 0 and 1")]
    Share,
    /// Latency or jitter was too long.
    #[error("latency and jitter must be at most ten seconds")]
    Latency,
}

impl Faults {
    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// A share outside 0 to 1, or a latency or jitter above ten seconds.
    pub fn checked(self) -> Result<Self, FaultError> {
        if [self.loss, self.duplicate, self.reorder].iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(FaultError::Share);
        }
        if self.latency > LATENCY_MAX || self.jitter > LATENCY_MAX {
            return Err(FaultError::Latency);
        }
        Ok(self)
    }

    /// Decides what happens to one packet on the link at `position`.
    ///
    /// Draws, in this order and always all five: loss, duplicate, reorder, jitter of the packet, jitter of its double.
    pub fn fate(&self, position: Position, rng: &mut dyn Rng) -> Fate {
        let draws = [unit(rng), unit(rng), unit(rng), unit(rng), unit(rng)];
        let [loss, duplicate, reorder, jitter, jitter_of_double] = draws;
        if loss < share_here(self.loss, position) {
            return Fate::Lost;
        }
        let overtaken = reorder < share_here(self.reorder, position);
        let (least, most) = REORDER_HOLD;
        let held = if overtaken { least + (most - least).mul_f64(jitter) } else { Duration::ZERO };
        Fate::Passes {
            after: self.latency + self.jitter.mul_f64(jitter) + held,
            overtaken,
            double: (duplicate < share_here(self.duplicate, position))
                .then(|| self.latency + self.jitter.mul_f64(jitter_of_double)),
        }
    }
}

/// What a link does to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives.
    Passes {
        /// How long the link takes.
        after: Duration,
        /// Whether it may arrive after packets that left later; others keep their order on a link.
        overtaken: bool,
        /// When a second copy arrives, if one does.
        double: Option<Duration>,
    },
}

/// The share of the packets arriving at this position that meets its fate here, see the head of this file.
fn share_here(share: f64, position: Position) -> f64 {
    let each = share / f64::from(LINK_COUNT);
    each / (1.0 - f64::from(position.index()) * each)
}

/// A number in `[0, 1)` with 53 random bits.
fn unit(rng: &mut dyn Rng) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    let bits = (rng.next_u64() >> 11) as f64;
    bits / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const WAY: [Position; 4] = [Position::First, Position::Second, Position::Third, Position::Fourth];

    #[test]
    fn a_tenth_is_lost_over_the_whole_way_and_every_link_loses_the_same() {
        let faults = Faults { loss: 0.1, ..Faults::default() };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut lost = [0u32; 4];
        for _ in 0..100_000 {
            for (link, position) in WAY.into_iter().enumerate() {
                if faults.fate(position, &mut rng) == Fate::Lost {
                    lost[link] += 1;
                    break;
                }
            }
        }
        // 2500 expected at each link, standard deviation 49; five of these to each side.
        assert!(lost.iter().all(|count| (2250..=2750).contains(count)), "{lost:?}");
    }

    #[test]
    fn everything_is_lost_when_the_share_is_one() {
        let faults = Faults { loss: 1.0, ..Faults::default() };
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for _ in 0..1000 {
            assert!(WAY.into_iter().any(|position| faults.fate(position, &mut rng) == Fate::Lost));
        }
    }

    #[test]
    fn without_faults_everything_passes_at_once() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let untouched = Fate::Passes { after: Duration::ZERO, overtaken: false, double: None };
        assert!(WAY.into_iter().all(|position| Faults::default().fate(position, &mut rng) == untouched));
    }

    #[test]
    fn shares_and_times_out_of_range_are_refused() {
        let none = Faults::default();
        assert_eq!(Faults { loss: 1.1, ..none }.checked(), Err(FaultError::Share));
        assert_eq!(Faults { duplicate: -0.1, ..none }.checked(), Err(FaultError::Share));
        assert_eq!(Faults { reorder: f64::NAN, ..none }.checked(), Err(FaultError::Share));
        assert_eq!(Faults { jitter: Duration::from_secs(11), ..none }.checked(), Err(FaultError::Latency));
        assert_eq!(none.checked(), Ok(none));
    }
}
