//! How strict to be, and for how long.

use super::{Topology, TopologyError};
use crate::limits;
use crate::time::Instant;

/// What a snapshot is held against.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// Whether the directory is on a public network: its host is no loopback address. Then nodes with addresses that
    /// are not public are left out, and layers need [`limits::LAYER_NODES_MIN`] nodes.
    pub public: bool,
    /// Nodes with a performance below this, in percent, are left out.
    pub minimum_performance: u8,
    /// The last snapshot that was accepted.
    pub previous: Option<&'a Topology>,
    /// Whether to accept, with a [warning](Topology::warnings), what is only suspicious: [`Patience::is_over`].
    pub patience_over: bool,
}

impl Default for Policy<'_> {
    /// Public, half the performance there can be, nothing before, patient.
    fn default() -> Self {
        Self { public: true, minimum_performance: 50, previous: None, patience_over: false }
    }
}

/// For how long suspicious snapshots have been refused. Refusing must not brick a client: a directory that
/// insists is believed in the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    refusals: u32,
    since: Option<Instant>,
}

impl Patience {
    /// A refresh has failed. Only [suspicions](TopologyError::is_suspicion) count.
    pub fn refused(&mut self, error: TopologyError, now: Instant) {
        if error.is_suspicion() {
            self.refusals = self.refusals.saturating_add(1);
            self.since.get_or_insert(now);
        }
    }

    /// A snapshot was accepted.
    pub fn accepted(&mut self) {
        *self = Self::default();
    }

    /// Whether enough was refused: [`limits::TOPOLOGY_REFUSALS_MAX`] times or for [`limits::TOPOLOGY_REFUSAL_AGE_MAX`].
    pub fn is_over(&self, now: Instant) -> bool {
        self.refusals >= limits::TOPOLOGY_REFUSALS_MAX
            || self.since.is_some_and(|since| now.since(since) >= limits::TOPOLOGY_REFUSAL_AGE_MAX)
    }
}

impl TopologyError {
    /// Whether this is only suspicious: possible on an honest network, but also what a poisoned directory looks like.
    pub fn is_suspicion(self) -> bool {
        matches!(self, Self::EpochInPast(_) | Self::MostlyNew)
    }
}

/// What was suspicious about a snapshot that was accepted nevertheless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// Its epoch is lower than that of the snapshot before.
    pub epoch_in_past: bool,
    /// More than half of its identities were not there before.
    pub mostly_new: bool,
}
