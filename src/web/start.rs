//! What an engine needs before it can start: settings, clock, keys.

use alloc::string::String;
use alloc::vec::Vec;

use futures_channel::mpsc::Receiver;
use futures_util::join;
use zeroize::Zeroizing;

use super::clock::Clock;
use super::convert::{Failure, OpenOptions, Storage};
use super::post::Post;
use super::store::{Page, StorageError, Store};
use super::tally::Tally;
use super::vault::{Asker, unseal};
use crate::backup::{Backup, Cost};
use crate::engine::{Code, Config, Phase, Record, Shelf};
use crate::identity::{Identity, IdentityError, Registration};
use crate::message::ADDRESS_LEN;

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
    /// Pages of an earlier run, in order, but for those of the outbox; `None` where one cannot be read.
    pub pages: Vec<Page>,
    /// Under which address the identity was exported last.
    pub exported: Option<[u8; ADDRESS_LEN]>,
    /// Sums over all visits, where they are kept.
    pub tally: Option<Tally>,
    /// `None`: nothing is kept.
    pub store: Option<Store>,
}

/// Checks the settings and reads the keys. A profile without keys gets new ones, which are saved before anything else
/// happens with them. A passphrase that is needed comes over `answers`.
///
/// # Errors
/// Settings out of range, a store that cannot be used, keys that are there but cannot be read.
pub async fn prepare(
    post: &Post,
    options: &OpenOptions,
    answers: Receiver<Zeroizing<String>>,
) -> Result<Prepared, Failure> {
    let clock = Clock::new();
    let mut config = options.config(clock.unix_zero())?;
    post.progress(Phase::Storage, STORAGE_FRACTION);
    let asker = Asker::new(post, options.has_passphrase, answers);
    if options.storage != Storage::Memory {
        match stored(options, &asker).await {
            Ok(stored) => {
                config.keeps_pages = true;
                let Stored { identity, registration, topology, pages, exported, tally, store } = stored;
                let store = Some(store);
                return Ok(Prepared { clock, config, identity, registration, topology, pages, exported, tally, store });
            }
            Err(Unusable::Nowhere(error)) if options.storage == Storage::Either => post.volatile(&error.into()),
            Err(Unusable::Nowhere(error)) => return Err(error.into()),
            Err(Unusable::Because(failure)) => return Err(failure),
        }
    }
    let (identity, registration) = match &options.imported {
        Some(imported) => {
            let (Backup { identity, registration }, _) = unseal(imported)?;
            (identity, registration)
        }
        None => (generate(), None),
    };
    let (pages, exported) = (Vec::new(), None);
    Ok(Prepared { clock, config, identity, registration, topology: None, pages, exported, tally: None, store: None })
}

/// What the store has.
struct Stored {
    identity: Identity,
    registration: Option<Registration>,
    topology: Option<Zeroizing<Vec<u8>>>,
    pages: Vec<Page>,
    exported: Option<[u8; ADDRESS_LEN]>,
    tally: Option<Tally>,
    store: Store,
}

/// Why there is no store.
enum Unusable {
    /// Nothing can be kept here, and nothing is.
    Nowhere(StorageError),
    /// There is something, or there may be.
    Because(Failure),
}

impl From<StorageError> for Unusable {
    fn from(error: StorageError) -> Self {
        if error.is_nowhere() { Self::Nowhere(error) } else { Self::Because(error.into()) }
    }
}

impl From<Failure> for Unusable {
    fn from(failure: Failure) -> Self {
        Self::Because(failure)
    }
}

async fn stored(options: &OpenOptions, asker: &Asker<'_>) -> Result<Stored, Unusable> {
    let store = Store::unlock(&options.profile, Cost::default(), true, async || asker.ask().await).await?;
    // All at once: most of it is waiting for the browser.
    let (identity, topology, pages, exported, tally) = join!(
        read_identity(&store),
        store.load(Record::Topology),
        store.load_pages(&FIRST_SHELVES),
        store.exported(),
        store.load(Record::Tally)
    );
    let (identity, registration) = identity?;
    let identity = match identity {
        Some(identity) => identity,
        None => {
            let identity = generate();
            store.save(Record::Identity, &identity.to_bytes()).await?;
            identity
        }
    };
    // Damaged or not there is the same: it is fetched.
    let topology = topology.unwrap_or(None);
    // A damaged page stops no start, but where none can be read new ones would be written over them.
    let pages = pages?;
    let tally = if options.keeps_stats {
        Some(Tally::begin(tally, Clock::unix()))
    } else {
        if !matches!(tally, Ok(None)) {
            // What cannot be deleted now is so at the next start.
            let _ = store.forget(Record::Tally).await;
        }
        None
    };
    Ok(Stored { identity, registration, topology, pages, exported, tally, store })
}

/// The keys of a store and where they are registered, as far as they are there.
///
/// # Errors
/// When they are there but cannot be read.
pub async fn read_identity(store: &Store) -> Result<(Option<Identity>, Option<Registration>), Failure> {
    let registration = store.load(Record::Registration).await?;
    let identity = store.load(Record::Identity).await?;
    // A registration of keys that are gone: something has damaged this store.
    if identity.is_none() && registration.is_some() {
        return Err(StorageError::Corrupt.into());
    }
    let identity = identity.map(|bytes| Identity::from_bytes(&bytes)).transpose()?;
    Ok((identity, registration.map(|bytes| Registration::from_bytes(&bytes)).transpose()?))
}

/// New keys.
pub fn generate() -> Identity {
    Identity::generate(&mut rand_core::UnwrapErr(getrandom::SysRng))
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

/// What has to be known before the first packet comes.
const FIRST_SHELVES: [Shelf; 7] =
    [Shelf::Finished, Shelf::Given, Shelf::Seen, Shelf::Used, Shelf::Held, Shelf::Unfinished, Shelf::Inbox];
/// What can wait until the client is connected: messages to be sent.
pub const OUTBOX_SHELVES: [Shelf; 2] = [Shelf::Acked, Shelf::Outbox];

/// How far connecting is, when the store is opened.
const STORAGE_FRACTION: f32 = 0.05;
