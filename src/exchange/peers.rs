//! Who speaks mixlet, as far as we have heard.

use crate::engine::Recipient;
use crate::limits;
use crate::table::{Table, TableSet};
use crate::time::Instant;

/// What a peer's client can do, as it says itself.
pub const RECEIPTS: u32 = 1;
/// It answers requests.
pub const REQUESTS: u32 = 2;
/// It takes streams.
pub const STREAMS: u32 = 4;
/// What this client can do.
pub const FEATURES: u32 = RECEIPTS | REQUESTS | STREAMS;

/// What is known of a peer's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Envelopes; its features are a sum of [`RECEIPTS`], [`REQUESTS`] and [`STREAMS`].
    Mixlet {
        /// What it can do.
        features: u32,
    },
    /// It has sent bare bytes and nothing else yet.
    Plain,
}

/// The peers we have heard of. A peer is who holds a tag, or who answers over SURBs that were given to an address: only
/// these can have sent what came.
#[derive(Default)]
pub(super) struct Peers {
    known: Table<Recipient, (Speaks, Instant)>,
    quiet: TableSet<(Instant, Recipient)>,
}

impl Peers {
    /// Something came from this peer. What is known of it now, where that is news.
    pub(super) fn heard(&mut self, from: &Recipient, speaks: Speaks, now: Instant) -> Option<Speaks> {
        let speaks = match (self.known.get(from), speaks) {
            // Its user may send bare bytes all the same.
            (Some((known @ Speaks::Mixlet { .. }, _)), Speaks::Plain) => *known,
            _ => speaks,
        };
        let before = self.known.insert(from.clone(), (speaks, now));
        if let Some((_, since)) = before {
            self.quiet.remove(&(since, from.clone()));
        }
        self.quiet.insert((now, from.clone()));
        if self.known.len() > limits::KNOWN_PEERS_COUNT_MAX
            && let Some((_, quietest)) = self.quiet.pop_first()
        {
            self.known.remove(&quietest);
        }
        (before.map(|(before, _)| before) != Some(speaks)).then_some(speaks)
    }

    /// What is known of it, if anything.
    pub(super) fn get(&self, peer: &Recipient) -> Option<Speaks> {
        self.known.get(peer).map(|(speaks, _)| *speaks)
    }

    /// Whether it is known to have a feature.
    pub(super) fn has(&self, peer: &Recipient, feature: u32) -> bool {
        matches!(self.get(peer), Some(Speaks::Mixlet { features }) if features & feature != 0)
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}
