//! What an engine needs before it can start: settings, clock, keys.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::clock::Clock;
use super::convert::{Failure, OpenOptions};
use super::post::Post;
use super::store::{StorageError, Store};
use crate::engine::{Code, Config, Phase, Record};
use crate::identity::{Identity, IdentityError, Registration};

/// All of it.
pub struct Prepared {
    /// Its zero is the engine's.
    pub clock: Clock,
    /// Checked.
    pub config: Config,
    /// Read from the store, or new and already in it.
    pub identity: Identity,
    /// Where it is registered, if anywhere.
    pub registration: Option<Registration>,
    /// The topology of an earlier run, if it can be read.
    pub topology: Option<Zeroizing<Vec<u8>>>,
    /// Pages of an earlier run, in order; `None` where one cannot be read.
    pub pages: Vec<(Record, Option<Zeroizing<Vec<u8>>>)>,
    /// `None`: nothing is kept.
    pub store: Option<Store>,
}

/// Checks the settings and reads the keys. A profile without keys gets new ones, which are saved before anything else
/// happens with them.
///
/// # Errors
/// Settings out of range, a store that cannot be used, keys that are there but cannot be read.
pub async fn prepare(post: &Post, options: &OpenOptions) -> Result<Prepared, Failure> {
    let clock = Clock::new();
    let mut config = options.config(clock.unix_zero())?;
    post.progress(Phase::Storage, STORAGE_FRACTION);
    if options.in_memory {
        let (identity, pages) = (generate(), Vec::new());
        return Ok(Prepared { clock, config, identity, registration: None, topology: None, pages, store: None });
    }
    let store = Store::open(&options.profile).await?;
    let registration = store.load(Record::Registration).await?;
    let identity = match store.load(Record::Identity).await? {
        Some(bytes) => Identity::from_bytes(&bytes)?,
        // A registration of keys that are gone: something has damaged this store.
        None if registration.is_some() => return Err(StorageError::Corrupt.into()),
        None => {
            let identity = generate();
            store.save(Record::Identity, &identity.to_bytes()).await?;
            identity
        }
    };
    let registration = registration.map(|bytes| Registration::from_bytes(&bytes)).transpose()?;
    // Damaged or not there is the same: it is fetched.
    let topology = store.load(Record::Topology).await.unwrap_or(None);
    // Nor does any page stop a start.
    let pages = store.load_pages().await.unwrap_or_default();
    config.keeps_pages = true;
    Ok(Prepared { clock, config, identity, registration, topology, pages, store: Some(store) })
}

fn generate() -> Identity {
    Identity::generate(&mut rand_core::UnwrapErr(getrandom::SysRng))
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::new(error.code()).during(Phase::Storage)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let code = match error {
            IdentityError::Version(_) => Code::StoredByNewerVersion,
            _ => Code::IdentityCorrupt,
        };
        Self::new(code).during(Phase::Storage)
    }
}

/// How far connecting is, when the store is opened.
const STORAGE_FRACTION: f32 = 0.05;
