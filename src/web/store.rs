//! Records in IndexedDB, sealed.
//!
//! One database per profile. Its store `keys` holds a random data key and what it is wrapped in; its stores `records` and
//! `mail` hold what the engine keeps, each record sealed under the data key with XChaCha20-Poly1305. So a copy of
//! the database files shows no secret to who cannot run code in this origin; who can, can also ask the browser to
//! decrypt, unless there is a passphrase. What a record is for goes into the associated data: records that were swapped, cut
//! or altered do not open.
//!
//! Nothing that cannot be read is ever replaced: the keys in it may be the only copy of somebody's address.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use futures_util::future::join_all;
use futures_util::future::ready;
use futures_util::join;
use js_sys::Uint8Array;
use rexie::{KeyRange, Transaction, TransactionMode};
use wasm_bindgen::{JsCast, JsValue};
use zeroize::Zeroizing;

use super::data_key::{Asking, DataKey, Keys, subtle};
pub use super::data_key::{DATA_KEY, GENERATION, RENEW, WITH_PASSPHRASE, WRAPPING_KEY};
use super::database::{Connection, all_or_nothing, read};
pub use super::database::{DATABASE_VERSION, KEYS, MAIL, RECORDS, StorageError, database_name};
use crate::backup::Cost;
use crate::engine::{Record, Shelf};
use crate::limits;
use crate::message::{ADDRESS_LEN, Address};

/// The records of one profile.
pub struct Store {
    connection: Connection,
    keys: Keys,
    data_key: DataKey,
}

/// What an identity consists of in the store.
pub struct Kept<'a> {
    /// Its keys.
    pub identity: &'a [u8],
    /// Where it is registered.
    pub registration: Option<&'a [u8]>,
    /// The address under which it was exported.
    pub exported: Option<&'a Address>,
    /// It was here before: what was counted for it stays.
    pub is_same: bool,
}

impl Store {
    /// Opens the database of a profile that has no passphrase. The first opening makes its keys.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub async fn open(profile: &str) -> Result<Self, StorageError> {
        Self::unlock(profile, Cost::default(), true, async || None).await
    }

    /// Opens the database of a profile. The first opening makes its keys, sealed under what `ask` answers, if anything.
    /// Later ones ask only where that is the case. A key that was cheaper to try than `cost` is sealed anew; `is_alone`: so
    /// is everything, under another data key, if the passphrase was changed since that was drawn.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when there are records or keys that cannot be read, [`StorageError::Passphrase`] and
    /// [`StorageError::Locked`] when it was not the right passphrase, or none; all is left as it is.
    pub async fn unlock(
        profile: &str,
        cost: Cost,
        is_alone: bool,
        ask: impl AsyncFnOnce() -> Option<Zeroizing<String>>,
    ) -> Result<Self, StorageError> {
        Self::unlock_with(profile, cost, is_alone, Box::pin(async { ask().await })).await
    }

    /// Compiled once for all who ask.
    async fn unlock_with(profile: &str, cost: Cost, is_alone: bool, ask: Asking<'_>) -> Result<Self, StorageError> {
        let subtle = subtle()?;
        let connection = Connection::open(profile).await?;
        let Some(mut keys) = Keys::load(&connection).await? else {
            let passphrase = ask.await;
            let with = passphrase.as_ref().map(|passphrase| (passphrase.as_str(), cost));
            let keys = Keys::make(&subtle, with).await?.keep(&connection).await?;
            let (data_key, _) = keys.unwrap(&subtle, Box::pin(ready(passphrase))).await?;
            return Ok(Self { connection, keys, data_key });
        };
        let (mut data_key, needed) = keys.unwrap(&subtle, ask).await?;
        let is_cheap = needed.as_ref().is_some_and(|(_, was)| was.is_below(cost));
        let passphrase = needed.as_ref().map(|(passphrase, was)| (passphrase.as_str(), (*was).max(cost)));
        // What fails here is tried again at the next opening.
        if is_alone && keys.is_to_be_renewed() {
            if let Ok(fresh) = keys.renew(&connection, &subtle, &data_key, passphrase).await {
                data_key = fresh;
            }
        } else if is_cheap {
            let _ = keys.rewrap(&connection, &subtle, &data_key, passphrase, false).await;
        }
        Ok(Self { connection, keys, data_key })
    }

    /// Whether the data key is sealed under a passphrase.
    pub fn has_passphrase(&self) -> bool {
        self.keys.is_locked()
    }

    /// Seals the data key under a passphrase, or under none. Whoever opens the store alone the next time draws another one.
    ///
    /// # Errors
    /// When the browser could not write it; the old passphrase is then still the right one.
    pub async fn set_passphrase(&mut self, passphrase: Option<&str>, cost: Cost) -> Result<(), StorageError> {
        let passphrase = passphrase.map(|passphrase| (passphrase, cost));
        self.keys.rewrap(&self.connection, &subtle()?, &self.data_key, passphrase, true).await
    }

    /// The bytes of a record, or `None` when it was never saved.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Newer`] when it is there but cannot be read.
    pub async fn load(&self, record: Record) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        self.load_from(place(record), &record_key(record)).await
    }

    async fn load_from(&self, store: &str, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let transaction = self.connection.transaction(&[store], TransactionMode::ReadOnly)?;
        let sealed = read(&transaction, store, key).await?;
        sealed.map(|sealed| unseal(&self.data_key, store, key, &bytes(&sealed)?)).transpose()
    }

    /// The pages of these shelves, in their order and that of numbers; `None` where one cannot be read.
    ///
    /// # Errors
    /// When the browser could not read them.
    pub async fn load_pages(&self, shelves: &[Shelf]) -> Result<Vec<Page>, StorageError> {
        let transaction = self.connection.transaction(&[RECORDS, MAIL], TransactionMode::ReadOnly)?;
        // All are waited for in any case: a request whose answer comes to nobody is an error of the whole worker.
        let found = join_all(shelves.iter().map(|shelf| sealed_pages(&transaction, *shelf))).await;
        let mut pages = Vec::new();
        for (record, value) in found.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let opened =
                bytes(&value).and_then(|sealed| unseal(&self.data_key, place(record), &record_key(record), &sealed));
            pages.push((record, opened.ok()));
        }
        Ok(pages)
    }

    /// Writes a record over the old one, if there is one.
    ///
    /// # Errors
    /// When the browser could not write it; the old one is then still there.
    pub async fn save(&self, record: Record, bytes: &[u8]) -> Result<(), StorageError> {
        self.write(&[(record, Some(Zeroizing::new(bytes.to_vec())))]).await
    }

    /// Deletes a record; one that is not there is fine.
    ///
    /// # Errors
    /// When the browser could not do it.
    pub async fn forget(&self, record: Record) -> Result<(), StorageError> {
        self.write(&[(record, None)]).await
    }

    /// Writes records over the old ones, or deletes them where there are no bytes: all of them or none.
    ///
    /// # Errors
    /// When the browser could not do it.
    pub async fn write(&self, records: &[(Record, Option<Zeroizing<Vec<u8>>>)]) -> Result<(), StorageError> {
        let mut changes = Vec::new();
        for (record, bytes) in records {
            changes.push(self.change(place(*record), &record_key(*record), bytes.as_ref().map(|bytes| &bytes[..]))?);
        }
        let mut stores: Vec<_> = changes.iter().map(|change| change.store).collect();
        stores.sort_unstable();
        stores.dedup();
        if stores.is_empty() {
            return Ok(());
        }
        self.change_all(&stores, changes).await
    }

    /// All of it or nothing.
    async fn change_all(&self, stores: &[&str], changes: Vec<Change>) -> Result<(), StorageError> {
        let transaction = self.connection.transaction(&[&[KEYS], stores].concat(), TransactionMode::ReadWrite)?;
        let work = async {
            self.keys.confirm(&transaction).await?;
            apply(&transaction, changes).await
        }
        .await;
        all_or_nothing(transaction, work).await
    }

    /// Puts another identity in the place of this one: its keys and registration, and nothing of what belonged to the
    /// other. With `keeps_mail` what was accepted for sending and what was not taken yet stays. All of it or nothing.
    ///
    /// # Errors
    /// When the browser could not do it.
    pub async fn replace_identity(&self, kept: &Kept<'_>, keeps_mail: bool) -> Result<(), StorageError> {
        let exported = kept.exported.map(exported_record);
        let mut changes = Vec::from([
            self.change(RECORDS, &record_key(Record::Identity), Some(kept.identity))?,
            self.change(RECORDS, &record_key(Record::Registration), kept.registration)?,
            self.change(RECORDS, EXPORTED, exported.as_deref())?,
            Change { store: RECORDS, key: names_from(PAGES)?.into(), sealed: None },
        ]);
        if !kept.is_same {
            changes.push(self.change(RECORDS, &record_key(Record::Tally), None)?);
        }
        if !keeps_mail {
            let all = KeyRange::lower_bound(&JsValue::from_str(""), None).map_err(|_| StorageError::Blocked)?;
            changes.push(Change { store: MAIL, key: all.into(), sealed: None });
        }
        self.change_all(&[RECORDS, MAIL], changes).await
    }

    /// Remembers that the identity was exported under this address.
    ///
    /// # Errors
    /// When the browser could not do it.
    pub async fn set_exported(&self, address: &Address) -> Result<(), StorageError> {
        let change = self.change(RECORDS, EXPORTED, Some(&exported_record(address)))?;
        self.change_all(&[RECORDS], Vec::from([change])).await
    }

    /// The address of the last export, as bytes. A note that cannot be read is none.
    pub async fn exported(&self) -> Option<[u8; ADDRESS_LEN]> {
        let record = self.load_from(RECORDS, EXPORTED).await.ok()??;
        record.strip_prefix(&[EXPORTED_VERSION])?.try_into().ok()
    }

    fn change(&self, store: &'static str, key: &str, bytes: Option<&[u8]>) -> Result<Change, StorageError> {
        let sealed = bytes.map(|bytes| seal(&self.data_key, store, key, bytes)).transpose()?;
        Ok(Change { store, key: JsValue::from_str(key), sealed: sealed.map(|sealed| sealed.as_slice().into()) })
    }
}

/// Version byte, nonce, ciphertext with tag.
pub(super) fn seal(data_key: &DataKey, store: &str, key: &str, bytes: &[u8]) -> Result<Vec<u8>, StorageError> {
    let nonce: [u8; NONCE_LEN] = random()?;
    let aad = associated_data(store, key, RECORD_VERSION);
    let ciphertext = XChaCha20Poly1305::new((&**data_key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad: &aad })
        .map_err(|_| StorageError::Blocked)?;
    Ok([&[RECORD_VERSION], nonce.as_slice(), &ciphertext].concat())
}

/// What was sealed for this place.
pub(super) fn unseal(
    data_key: &DataKey,
    store: &str,
    key: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let (nonce, ciphertext) = split::<NONCE_LEN>(sealed, RECORD_VERSION)?;
    let aad = associated_data(store, key, RECORD_VERSION);
    XChaCha20Poly1305::new((&**data_key).into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &aad })
        .map(Zeroizing::new)
        .map_err(|_| StorageError::Corrupt)
}

/// A page and what is in it.
pub type Page = (Record, Option<Zeroizing<Vec<u8>>>);

/// The pages of a shelf, as they are there.
async fn sealed_pages(transaction: &Transaction, shelf: Shelf) -> Result<Vec<(Record, JsValue)>, StorageError> {
    let store = transaction.store(place(Record::Page(shelf, 0)))?;
    let range = || names_from(&format!("{PAGES}/{}", shelf_name(shelf))).map(Some);
    let (keys, values) = join!(store.get_all_keys(range()?, None), store.get_all(range()?, None));
    let records = keys?.into_iter().map(|key| page_of(&key.as_string()?));
    Ok(records.zip(values?).filter_map(|(record, value)| Some((record?, value))).collect())
}

/// A record to be written, or deleted.
struct Change {
    store: &'static str,
    /// Or, to be deleted, a range of them.
    key: JsValue,
    sealed: Option<Uint8Array>,
}

/// Asks for changes inside a transaction, one after the other: of several at once only the last would say what is wrong.
async fn apply(transaction: &Transaction, changes: Vec<Change>) -> Result<(), StorageError> {
    for Change { store, key, sealed } in changes {
        let store = transaction.store(store)?;
        match sealed {
            Some(sealed) => store.put(&sealed, Some(&key)).await.map(drop)?,
            None => store.delete(key).await?,
        }
    }
    Ok(())
}

/// The object store that a record is in.
const fn place(record: Record) -> &'static str {
    match record {
        Record::Page(Shelf::Acked | Shelf::Outbox | Shelf::Inbox, _) => MAIL,
        _ => RECORDS,
    }
}

/// What a record is called in its store.
fn record_key(record: Record) -> Cow<'static, str> {
    match record {
        Record::Identity => "identity".into(),
        Record::Registration => "registration".into(),
        Record::Tally => "tally".into(),
        Record::Topology => "topology".into(),
        Record::Page(shelf, number) => format!("{PAGES}/{}/{number:08x}", shelf_name(shelf)).into(),
    }
}

const fn shelf_name(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Finished => "finished",
        Shelf::Given => "given",
        Shelf::Seen => "seen",
        Shelf::Used => "used",
        Shelf::Held => "held",
        Shelf::Unfinished => "unfinished",
        Shelf::Acked => "acked",
        Shelf::Outbox => "outbox",
        Shelf::Inbox => "inbox",
    }
}

/// The page that has this name.
fn page_of(key: &str) -> Option<Record> {
    let (shelf, number) = key.strip_prefix(PAGES)?.strip_prefix('/')?.split_once('/')?;
    let shelf = Shelf::ALL.into_iter().find(|known| shelf_name(*known) == shelf)?;
    Some(Record::Page(shelf, u32::from_str_radix(number, 16).ok()?))
}

/// All names in this folder.
fn names_from(folder: &str) -> Result<KeyRange, StorageError> {
    // A zero is the digit after the slash.
    let [from, to] = ['/', '0'].map(|end| JsValue::from_str(&format!("{folder}{end}")));
    KeyRange::bound(&from, &to, None, Some(true)).map_err(|_| StorageError::Blocked)
}

fn exported_record(address: &Address) -> Vec<u8> {
    [&[EXPORTED_VERSION], address.to_bytes().as_slice()].concat()
}

/// What a ciphertext is bound to. No name has a zero byte, so no two lists of names give the same bytes.
pub(super) fn associated_data(store: &str, key: &str, version: u8) -> Vec<u8> {
    [b"mixlet", b"\0".as_slice(), store.as_bytes(), b"\0", key.as_bytes(), b"\0", &[version]].concat()
}

/// The nonce and the rest of a record of this version.
pub(super) fn split<const N: usize>(sealed: &[u8], wanted: u8) -> Result<(&[u8; N], &[u8]), StorageError> {
    match sealed.split_first() {
        Some((version, rest)) if *version == wanted => rest.split_first_chunk().ok_or(StorageError::Corrupt),
        Some((version, _)) if *version > wanted => Err(StorageError::Newer),
        _ => Err(StorageError::Corrupt),
    }
}

/// A stored value that should be bytes.
pub(super) fn bytes(value: &JsValue) -> Result<Vec<u8>, StorageError> {
    match value.dyn_ref::<Uint8Array>() {
        Some(array) if array.length() <= limits::RECORD_LEN_MAX => Ok(array.to_vec()),
        _ => Err(StorageError::Corrupt),
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], StorageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StorageError::Unsupported)?;
    Ok(bytes)
}

/// First byte of each sealed record: how the rest is laid out.
pub const RECORD_VERSION: u8 = 1;
/// Under which address the identity was exported last, in [`RECORDS`].
const EXPORTED: &str = "exported";
const EXPORTED_VERSION: u8 = 1;
/// Names of pages begin with this folder.
const PAGES: &str = "page";
pub(super) const NONCE_LEN: usize = 24;
