//! The IndexedDB database of a profile: its versions, connections and transactions.
//!
//! Version 1 has the object stores `keys` and `records`; version 2 has `mail` beside them. The upgrade happens in one
//! transaction of the browser, so a database is of the old version or of the new one. A build refuses a database of a
//! version after its own.
//!
//! An IndexedDB transaction ends as soon as nothing of it is under way, so no WebCrypto call is awaited inside one.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use rexie::{ObjectStore, Rexie, Transaction, TransactionMode};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::engine::Code;

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no IndexedDB, or the browser does not let us use it.
    #[error("the browser does not allow storage here; a private window or a site setting may block it")]
    Blocked,
    /// What is stored cannot be read. It is left as it is.
    #[error("the stored keys cannot be read; use another profile, or delete this site's data to get a new address")]
    Corrupt,
    /// The database was deleted, or is to be, while it was open here.
    #[error("the stored data was deleted while in use; connect again, or import an exported identity")]
    Gone,
    /// Another tab has the database open and does not let go of it.
    #[error("another tab, perhaps with an older version of this page, holds the stored data; close it and try again")]
    Held,
    /// A passphrase is needed, and there was none.
    #[error("this profile is protected by a passphrase; give the option passphrase")]
    Locked,
    /// Stored by a version of mixlet after this one.
    #[error("the stored keys were written by a newer mixlet; reload the page to get the new version")]
    Newer,
    /// The passphrase is another one.
    #[error("the passphrase is wrong; nothing was changed")]
    Passphrase,
    /// No room.
    #[error("the browser has no room left for this site; free some and try again")]
    Quota,
    /// The page has no WebCrypto, so it is no secure context; or there is not enough memory for the key of a passphrase.
    #[error("keys can only be kept on pages served over https or from localhost")]
    Unsupported,
}

impl StorageError {
    /// The code users see.
    pub const fn code(self) -> Code {
        match self {
            Self::Blocked | Self::Gone => Code::StorageBlocked,
            Self::Corrupt => Code::IdentityCorrupt,
            Self::Held => Code::InUse,
            Self::Locked | Self::Passphrase => Code::WrongPassphrase,
            Self::Newer => Code::StoredByNewerVersion,
            Self::Quota => Code::StorageQuota,
            Self::Unsupported => Code::UnsupportedRuntime,
        }
    }

    /// Whether there is no identity that memory would hide: nothing can be kept here at all.
    pub const fn is_nowhere(self) -> bool {
        matches!(self, Self::Blocked | Self::Quota | Self::Unsupported)
    }
}

impl From<rexie::Error> for StorageError {
    /// Only the name of the browser's exception says what is wrong, and only the text of the error has it.
    fn from(error: rexie::Error) -> Self {
        let text = match error {
            rexie::Error::IdbError(error) => error.to_string(),
            _ => String::new(),
        };
        if text.contains("QuotaExceededError") {
            Self::Quota
        } else if text.contains("VersionError") {
            Self::Newer
        } else {
            Self::Blocked
        }
    }
}

/// An open database that is closed when dropped, so that it never stands in the way of another tab.
pub struct Connection(Option<Rexie>);

impl Connection {
    /// Opens the database of a profile; makes it, or brings it to this version.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn open(profile: &str) -> Result<Self, StorageError> {
        let building = Rexie::builder(&database_name(profile))
            .version(DATABASE_VERSION)
            .add_object_store(ObjectStore::new(KEYS))
            .add_object_store(ObjectStore::new(RECORDS))
            .add_object_store(ObjectStore::new(MAIL))
            .build();
        // A tab with another version that does not let go would make this wait for ever. The browser still opens the
        // database once it can, so the task that waits for it lives on and closes what nobody wants any more.
        let (sender, receiver) = oneshot::channel();
        spawn_local(async move {
            let opened = building.await.map(|database| Self(Some(database)));
            let _ = sender.send(opened);
        });
        match select(receiver, TimeoutFuture::new(OPEN_MS)).await {
            Either::Left((Ok(opened), _)) => Ok(opened?),
            Either::Left((Err(_), _)) | Either::Right(_) => Err(StorageError::Held),
        }
    }

    /// Deletes the database of a profile, whatever is in it. Other connections are asked to let go of it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete(profile: &str) -> Result<(), StorageError> {
        let name = database_name(profile);
        let deleting = Box::pin(Rexie::delete(&name));
        match select(deleting, TimeoutFuture::new(OPEN_MS)).await {
            Either::Left((deleted, _)) => Ok(deleted?),
            Either::Right(_) => Err(StorageError::Held),
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the browser refuses it.
    pub fn transaction(&self, stores: &[&str], mode: TransactionMode) -> Result<Transaction, StorageError> {
        let database = self.0.as_ref().ok_or(StorageError::Blocked)?;
        Ok(database.transaction(stores, mode)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(database) = self.0.take() {
            database.close();
        }
    }
}

/// Notices that the database is taken away: another tab deletes it or brings it to a newer version, or the user clears
/// the data of the site. It is let go of at once, so that nobody has to wait.
///
/// A connection of its own, since rexie keeps to itself what the browser says of its one.
pub struct Watch(idb::Database);

impl Watch {
    /// Calls `on_gone` at most once.
    pub async fn begin(profile: &str, on_gone: impl Fn() + 'static) -> Option<Self> {
        let factory = idb::Factory::new().ok()?;
        let mut database = factory.open(&database_name(profile), Some(DATABASE_VERSION)).ok()?.await.ok()?;
        let on_gone = Rc::new(on_gone);
        let told = on_gone.clone();
        database.on_version_change(move |event| {
            if let Ok(database) = idb::DatabaseEvent::database(&event) {
                database.close();
            }
            told();
        });
        database.on_close(move |_| on_gone());
        Some(Self(database))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// One value of a transaction's store.
///
/// # Errors
/// When the browser could not read it.
pub async fn read(transaction: &Transaction, store: &str, key: &str) -> Result<Option<JsValue>, StorageError> {
    let value = transaction.store(store)?.get(JsValue::from_str(key)).await?;
    Ok(value.filter(|value| !value.is_undefined()))
}

/// Ends a transaction in which `work` was asked for: waits until it is on disk, as far as the browser tells. Where
/// something went wrong nothing of it is done, also what went well before. One that is undone after each of its requests
/// went well had no room.
///
/// # Errors
/// What went wrong.
pub async fn all_or_nothing(transaction: Transaction, work: Result<(), StorageError>) -> Result<(), StorageError> {
    if let Err(error) = work {
        // Undone already, where the browser refused a request.
        let _ = transaction.abort().await;
        return Err(error);
    }
    match transaction.done().await?.is_committed() {
        true => Ok(()),
        false => Err(StorageError::Quota),
    }
}

/// Name of the database of a profile.
pub fn database_name(profile: &str) -> String {
    format!("mixlet-{profile}")
}

/// Version of the layout: which object stores there are.
pub const DATABASE_VERSION: u32 = 2;
/// Object store of the wrapping key and the wrapped data key.
pub const KEYS: &str = "keys";
/// Object store of the sealed records, but those of [`MAIL`].
pub const RECORDS: &str = "records";
/// Object store of what the application has accepted or not taken yet.
pub const MAIL: &str = "mail";
/// Opening takes milliseconds; only another tab that holds on makes it long.
const OPEN_MS: u32 = 5_000;
