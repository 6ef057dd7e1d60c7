//! What links do to packets.

use mixlet::time::Duration;

/// How good the links between machines are. May be changed while a world runs.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// From one machine to the next.
    pub latency: Duration,
    /// Up to so much more, uniformly and anew for each packet, so that packets overtake each other. The link between a
    /// client and its gateway keeps its order and has no jitter.
    pub jitter: Duration,
    /// Each Sphinx packet, data or ack, is dropped once with this probability on its way between gateways.
    pub loss: f64,
    /// Each Sphinx packet is dropped with this probability on each of the four links between gateways.
    pub link_loss: f64,
    /// Each Sphinx packet is sent twice with this probability at the start of its way.
    pub duplication: f64,
    /// Each Sphinx packet is held back with this probability by [`Self::detour`] on each link.
    pub reordering: f64,
    /// See [`Self::reordering`].
    pub detour: Duration,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(5),
            jitter: Duration::ZERO,
            loss: 0.0,
            link_loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            detour: Duration::from_millis(500),
        }
    }
}
