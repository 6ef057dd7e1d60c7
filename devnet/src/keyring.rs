//! A node's Sphinx keys, one per key rotation, and what it remembers in order to drop replays.
//!
//! A node has a primary key and, during the first epoch of a rotation, that of the rotation before. The replay filter
//! belongs to the key: both are forgotten together.

use std::collections::HashSet;

use mixlet::engine::Sphinx;
use mixlet::sphinx::{NodeFrame, NodePrivateKey, Peeled, RotationTag};

use crate::format::{Fault, NodeFormat};
use crate::record::DropReason;

/// How many replay tags are remembered for one key, at least half of them whole. Beyond it the oldest half is
/// forgotten, so that a very old packet could pass once more.
pub const REPLAY_TAG_COUNT_MAX: usize = 1 << 20;

/// The rotations whose keys a node has at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotations {
    /// The current one.
    pub primary: u32,
    /// The one before, while packets made for it may still be on their way.
    pub secondary: Option<u32>,
}

/// The keys of one node.
pub struct KeyRing<F: NodeFormat = Sphinx> {
    /// Primary first.
    keys: Vec<RotationKey<F>>,
}

struct RotationKey<F: NodeFormat> {
    rotation: u32,
    key: F::Key,
    seen: ReplayFilter,
}

impl<F: NodeFormat> Default for KeyRing<F> {
    fn default() -> Self {
        Self { keys: Vec::new() }
    }
}

impl<F: NodeFormat> KeyRing<F> {
    /// Keeps the keys of these rotations, asks `key_of` for those that are missing, and forgets all others.
    pub fn hold(&mut self, rotations: Rotations, key_of: impl Fn(u32) -> NodePrivateKey) {
        let mut had = std::mem::take(&mut self.keys);
        for rotation in [Some(rotations.primary), rotations.secondary].into_iter().flatten() {
            let key = match had.iter().position(|key| key.rotation == rotation) {
                Some(place) => had.swap_remove(place),
                None => RotationKey { rotation, key: F::key(key_of(rotation)), seen: ReplayFilter::default() },
            };
            self.keys.push(key);
        }
    }

    /// Removes this node's layer from a packet, unless it is not for this node or was here before.
    ///
    /// # Errors
    /// [`DropReason::Expired`], [`DropReason::Forged`], [`DropReason::Replay`] or [`DropReason::Malformed`].
    pub fn peel(&mut self, frame: NodeFrame) -> Result<Peeled, DropReason> {
        let NodeFrame { rotation, mut packet } = frame;
        let fits = |key: &RotationKey<F>| match rotation {
            RotationTag::Unknown => true,
            tag => RotationTag::from_rotation_id(key.rotation) == tag,
        };
        let mut why = DropReason::Expired;
        for key in self.keys.iter_mut().filter(|key| fits(key)) {
            match F::peel(packet, &key.key, |tag| key.seen.insert(&tag.0)) {
                Ok(peeled) => return Ok(peeled),
                Err(Fault::Replay) => return Err(DropReason::Replay),
                Err(Fault::Malformed) => return Err(DropReason::Malformed),
                Err(Fault::OtherKey(same)) => (packet, why) = (same, DropReason::Forged),
            }
        }
        Err(why)
    }
}

/// Which replay tags were seen: two halves, of which the older is forgotten when the newer is full.
///
/// Tags are outputs of a key derivation that nobody but sender and node can make, so half of their bits will do.
#[derive(Default)]
struct ReplayFilter {
    newer: HashSet<[u8; 16]>,
    older: HashSet<[u8; 16]>,
}

impl ReplayFilter {
    /// Remembers a tag; false if it was known.
    fn insert(&mut self, tag: &[u8; 32]) -> bool {
        let mut half = [0; 16];
        half.copy_from_slice(&tag[..16]);
        if self.older.contains(&half) || !self.newer.insert(half) {
            return false;
        }
        if self.newer.len() >= REPLAY_TAG_COUNT_MAX / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_knows_a_tag_again_and_stays_bounded() {
        let mut filter = ReplayFilter::default();
        let tag = |number: u32| {
            let mut tag = [0; 32];
            tag[..4].copy_from_slice(&number.to_be_bytes());
            tag
        };
        let count = u32::try_from(REPLAY_TAG_COUNT_MAX).unwrap();
        assert!((0..count + 10).all(|number| filter.insert(&tag(number))));
        assert!((count / 2..count + 10).all(|number| !filter.insert(&tag(number))));
        assert!(filter.newer.len() + filter.older.len() <= REPLAY_TAG_COUNT_MAX);
    }
}
