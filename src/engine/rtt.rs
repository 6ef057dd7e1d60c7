//! How long to wait for an ack.
//!
//! The delays of a packet and of its ack are chosen by the sender, so they are known; what is estimated is the rest:
//! network, queues, scheduling. Smoothed mean and variance as in RFC 6298, per gateway.

use crate::limits;
use crate::time::Duration;

/// The estimate of the rest.
#[derive(Clone, Copy, Default)]
pub(super) struct RttEstimate {
    smoothed: Option<(Duration, Duration)>,
}

impl RttEstimate {
    /// Learns from a fragment that was sent once and acknowledged. A fragment sent twice teaches nothing: nobody knows
    /// which of the two the ack is for.
    pub(super) fn learn(&mut self, round_trip: Duration, chosen: Duration) {
        let rest = round_trip.saturating_sub(chosen);
        self.smoothed = Some(match self.smoothed {
            None => (rest, rest / 2),
            Some((mean, deviation)) => {
                let error = rest.abs_diff(mean);
                ((mean * 7 + rest) / 8, (deviation * 3 + error) / 4)
            }
        });
    }

    /// How long to wait for the ack of the `attempt`-th sending (from 1) with these delays chosen, there and back.
    pub(super) fn ack_wait(&self, chosen: Duration, attempt: u32, paced: bool) -> Duration {
        let base = match self.smoothed {
            // Nym's own rule, until there is a measurement.
            None => chosen * 3 / 2 + Duration::from_millis(1_500),
            Some((mean, deviation)) => chosen + mean + deviation * 4,
        };
        let mut wait = base.max(limits::ACK_WAIT_MIN);
        for _ in 1..attempt {
            // Paced retransmissions use slots that leave anyway, so backing off is fairness. Without pacing it is what
            // keeps a congested path from collapsing.
            wait = if paced { wait * 3 / 2 } else { wait * 2 };
            if wait >= limits::ACK_WAIT_MAX {
                break;
            }
        }
        // The chosen delays are real time whatever the cap says.
        wait.min(limits::ACK_WAIT_MAX.max(chosen * 2))
    }

    /// The smoothed mean, or one second before the first measurement.
    pub(super) fn mean(&self) -> Duration {
        self.smoothed.map_or(Duration::from_secs(1), |(mean, _)| mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn before_the_first_measurement_the_rule_is_nyms() {
        assert_eq!(RttEstimate::default().ack_wait(ms(90), 1, true), ms(1_635));
    }

    #[test]
    fn a_steady_path_brings_the_wait_down_to_the_floor() {
        let mut rtt = RttEstimate::default();
        (0..100).for_each(|_| rtt.learn(ms(190), ms(90)));
        assert_eq!(rtt.ack_wait(ms(90), 1, true), limits::ACK_WAIT_MIN);
    }

    #[test]
    fn a_slow_path_is_waited_for() {
        let mut rtt = RttEstimate::default();
        (0..100).for_each(|_| rtt.learn(ms(3_090), ms(90)));
        let wait = rtt.ack_wait(ms(90), 1, true);
        assert!(wait >= ms(3_090) && wait < ms(4_000), "{wait:?}");
    }

    #[test]
    fn waits_grow_and_are_capped() {
        let rtt = RttEstimate::default();
        assert!(rtt.ack_wait(ms(90), 2, true) > rtt.ack_wait(ms(90), 1, true));
        assert_eq!(rtt.ack_wait(ms(90), 24, true), limits::ACK_WAIT_MAX);
        assert_eq!(rtt.ack_wait(ms(20_000), 24, true), ms(40_000));
    }
}
