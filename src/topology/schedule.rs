//! When epochs and key rotations change.

use super::TopologyError;
use super::answers::checked;
use crate::date;
use crate::json::Json;
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
    /// How long an epoch lasts; at least a millisecond.
    pub epoch_duration: Duration,
}

impl Schedule {
    /// Reads the answer of a directory.
    ///
    /// # Errors
    ///
    /// [`TopologyError::TooLong`], and [`TopologyError::Malformed`] also when a rotation would last no epoch or an epoch no
    /// time.
    pub fn parse(body: &[u8]) -> Result<Self, TopologyError> {
        Self::read(checked(body)?).ok_or(TopologyError::Malformed)
    }

    fn read(json: Json<'_>) -> Option<Self> {
        let names = ["key_rotation_state", "current_absolute_epoch_id", "current_epoch_start", "epoch_duration"];
        let [state, reference_epoch, reference_start, duration] = json.fields(names)?;
        let [validity, initial_epoch] = state?.fields(["validity_epochs", "initial_epoch_id"])?;
        let [secs, nanos] = duration?.fields(["secs", "nanos"])?;
        let epoch_duration = Duration::from_secs(secs?.unsigned()?)
            .checked_add(Duration::from_nanos(u64::from(nanos?.unsigned::<u32>()?)))
            .filter(|duration| *duration >= Duration::from_millis(1))?;
        Some(Self {
            validity_epochs: validity?.unsigned().filter(|epochs| *epochs > 0)?,
            initial_epoch: initial_epoch?.unsigned()?,
            reference_epoch: reference_epoch?.unsigned()?,
            reference_start: date::parse_unix(&reference_start?.text()?)?,
            epoch_duration,
        })
    }

    /// The rotation of an epoch; 0 before the first one.
    pub fn rotation_of(&self, epoch: u32) -> u32 {
        epoch.saturating_sub(self.initial_epoch) / self.validity_epochs.max(1)
    }

    /// The first epoch of a rotation.
    pub fn rotation_start(&self, rotation_id: u32) -> u32 {
        self.initial_epoch.saturating_add(self.validity_epochs.saturating_mul(rotation_id))
    }

    /// The epoch that it should be at a time: the clock's opinion, which the directory lags behind when the chain is stuck.
    /// Never before the reference.
    pub fn epoch_at(&self, now_unix: u64) -> u32 {
        let passed = u128::from(now_unix.saturating_sub(self.reference_start)) * 1000;
        let epochs = passed / self.epoch_duration.as_millis().max(1);
        self.reference_epoch.saturating_add(u32::try_from(epochs).unwrap_or(u32::MAX))
    }

    /// When an epoch begins, in seconds since 1970, fractions dropped. Of epochs before the reference only an estimate.
    pub fn epoch_start(&self, epoch: u32) -> u64 {
        let length = self.epoch_duration.as_millis();
        let apart = u128::from(epoch.abs_diff(self.reference_epoch)).saturating_mul(length) / 1000;
        let apart = u64::try_from(apart).unwrap_or(u64::MAX);
        if epoch >= self.reference_epoch {
            self.reference_start.saturating_add(apart)
        } else {
            self.reference_start.saturating_sub(apart)
        }
    }
}
