//! When epochs and key rotations change.

use crate::time::Duration;

/// The schedule of epochs and rotations.
///
/// A rotation lasts [`validity_epochs`](Self::validity_epochs) epochs. Nodes take packets for the rotation before during
/// its first epoch, and not longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How many epochs a rotation lasts; at least one.
    pub validity_epochs: u32,
    /// The epoch in which rotation 0 began.
    pub initial_epoch: u32,
    /// An epoch whose start is known.
    pub reference_epoch: u32,
    /// That start, in seconds since 1970.
    pub reference_start: u64,
    /// How long an epoch lasts; at least a second.
    pub epoch_duration: Duration,
}

impl Schedule {
    /// The rotation of an epoch; 0 before the first one.
    pub fn rotation_of(&self, epoch: u32) -> u32 {
        epoch.saturating_sub(self.initial_epoch) / self.validity_epochs.max(1)
    }

    /// The first epoch of a rotation.
    pub fn rotation_start(&self, rotation_id: u32) -> u32 {
        self.initial_epoch.saturating_add(self.validity_epochs.saturating_mul(rotation_id))
    }

    /// The epoch that it should be at a time: the clock's opinion, which the directory lags behind when the chain is stuck.
    pub fn epoch_at(&self, now_unix: u64) -> u32 {
        let passed = now_unix.saturating_sub(self.reference_start) / self.epoch_duration.as_secs().max(1);
        self.reference_epoch.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    /// When an epoch begins, in seconds since 1970. Of epochs before the reference only an estimate.
    pub fn epoch_start(&self, epoch: u32) -> u64 {
        let length = self.epoch_duration.as_secs();
        if epoch >= self.reference_epoch {
            let passed = u64::from(epoch - self.reference_epoch).saturating_mul(length);
            self.reference_start.saturating_add(passed)
        } else {
            self.reference_start.saturating_sub(u64::from(self.reference_epoch - epoch).saturating_mul(length))
        }
    }
}
