//! The folder that outlives a network: its seed, its epochs, its ports, and a journal for each gateway.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rand_core::Rng as _;
use serde::{Deserialize, Serialize};

use super::network::Options;
use super::node::system_rng;
use crate::directory::{EpochClock, Seed};

/// An open state folder. No other process can open it meanwhile.
pub struct StateFolder {
    path: PathBuf,
    /// Whether the folder goes when this does.
    temporary: bool,
    /// Holds the lock.
    _lock: File,
    /// The seed of the network.
    pub seed: Seed,
    /// The epochs of the network.
    pub epochs: EpochClock,
    /// The ports of the run before, by name of the listener.
    pub ports: BTreeMap<String, u16>,
}

/// What stands in `network.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    seed: String,
    epoch_zero: u64,
    epoch_len: u64,
    rotation_epochs: u32,
    ports: BTreeMap<String, u16>,
}

impl StateFolder {
    /// Opens the folder that the options name, or a new one, at the unix time `now`.
    ///
    /// # Errors
    /// The folder cannot be used, is in use, or belongs to a network with another seed.
    pub fn open(options: &Options, now: u64) -> io::Result<Self> {
        let (path, temporary) = match &options.state {
            Some(path) => (path.clone(), false),
            None => {
                let name = format!("mixlet-devnet-{}-{:08x}", std::process::id(), system_rng().next_u32());
                (std::env::temp_dir().join(name), true)
            }
        };
        std::fs::create_dir_all(&path)?;
        let lock = File::create(path.join("lock"))?;
        if lock.try_lock().is_err() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the state folder is used by another process"));
        }
        if options.forget {
            forget(&path)?;
        }
        let kept = read_kept(&path)?;
        let kept_seed = kept.as_ref().map(|kept| kept.seed.parse::<Seed>()).transpose().map_err(io::Error::other)?;
        let seed = match (&options.seed, kept_seed) {
            (Some(wanted), Some(kept)) if *wanted != kept => {
                let text = "the state folder belongs to a network with another seed; tell it to forget";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            (Some(seed), _) => seed.clone(),
            (None, Some(seed)) => seed,
            (None, None) => random_seed(),
        };
        let mut epochs = EpochClock::new(now, options.epoch_len, options.rotation_epochs);
        if let Some(kept) = &kept
            && (kept.epoch_len, kept.rotation_epochs) == (epochs.epoch_len, epochs.rotation_epochs)
        {
            epochs.zero = kept.epoch_zero;
        }
        let ports = kept.map(|kept| kept.ports).unwrap_or_default();
        Ok(Self { path, temporary, _lock: lock, seed, epochs, ports })
    }

    /// Writes down what the next run is to know.
    ///
    /// # Errors
    /// The disk did not take it.
    pub fn keep(&self, epochs: &EpochClock, ports: &BTreeMap<String, u16>) -> io::Result<()> {
        let kept = Kept {
            seed: self.seed.to_string(),
            epoch_zero: epochs.zero,
            epoch_len: epochs.epoch_len,
            rotation_epochs: epochs.rotation_epochs,
            ports: ports.clone(),
        };
        let beside = self.path.join("network.new");
        std::fs::write(&beside, serde_json::to_vec_pretty(&kept)?)?;
        std::fs::rename(beside, self.path.join(NETWORK_FILE))
    }

    /// Where the journal of a gateway lies.
    pub fn journal(&self, place: u32) -> PathBuf {
        self.path.join(format!("gateway-{place}.journal"))
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing can be done about a folder that stays.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

const NETWORK_FILE: &str = "network.json";

/// Removes the files of an earlier network, and nothing else that may lie in the folder.
fn forget(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == NETWORK_FILE || (name.starts_with("gateway-") && name.ends_with(".journal")) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn read_kept(path: &Path) -> io::Result<Option<Kept>> {
    match std::fs::read(path.join(NETWORK_FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn random_seed() -> Seed {
    let mut bytes = [0; 32];
    system_rng().fill_bytes(&mut bytes);
    Seed::from_bytes(bytes)
}
