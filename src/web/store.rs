//! Records in IndexedDB, sealed.
//!
//! One database per profile. Its store `keys` holds a wrapping key that the browser refuses to export and, encrypted
//! under it, a random data key; its store `records` holds what the engine keeps, each record sealed under the
//! data key with XChaCha20-Poly1305. So a copy of the database files shows no secret to who cannot run code in this
//! origin; who can, can also ask the browser to decrypt. What a record is for goes into the associated data: records
//! that were swapped, cut or altered do not open.
//!
//! Nothing that cannot be read is ever replaced: the keys in it may be the only copy of somebody's address.
//!
//! An IndexedDB transaction ends as soon as nothing of it is under way, so no WebCrypto call is awaited inside one.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::error::Error as _;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use rexie::{KeyRange, ObjectStore, Rexie, Transaction, TransactionMode};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AesGcmParams, AesKeyGenParams, CryptoKey, SubtleCrypto};
use zeroize::Zeroizing;

use crate::engine::{Code, Record, Shelf};
use crate::limits;

/// The records of one profile.
pub struct Store {
    connection: Connection,
    data_key: Zeroizing<[u8; DATA_KEY_LEN]>,
}

impl Store {
    /// Opens the database of a profile. The first opening makes its keys.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when there are records or keys that cannot be read; they are left as they are.
    pub async fn open(profile: &str) -> Result<Self, StorageError> {
        let subtle = subtle()?;
        let connection = Connection::open(profile).await?;
        let keys = match connection.keys().await? {
            Some(keys) => keys,
            None => connection.keep_keys(Keys::make(&subtle).await?).await?,
        };
        let data_key = keys.unwrap(&subtle).await?;
        Ok(Self { connection, data_key })
    }

    /// The bytes of a record, or `None` when it was never saved.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Newer`] when it is there but cannot be read.
    pub async fn load(&self, record: Record) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let transaction = self.connection.transaction(&[RECORDS], TransactionMode::ReadOnly)?;
        let sealed = read(&transaction, RECORDS, &record_key(record)).await?;
        sealed.map(|sealed| self.unseal(record, &bytes(&sealed)?)).transpose()
    }

    /// All pages, in the order of records; `None` where one cannot be read. Those on shelves that are not known here are
    /// left alone.
    ///
    /// # Errors
    /// When the browser could not read them.
    pub async fn load_pages(&self) -> Result<Vec<(Record, Option<Zeroizing<Vec<u8>>>)>, StorageError> {
        let transaction = self.connection.transaction(&[RECORDS], TransactionMode::ReadOnly)?;
        let store = transaction.store(RECORDS)?;
        let range = || {
            let (from, to) = (JsValue::from_str(PAGES_FROM), JsValue::from_str(PAGES_TO));
            KeyRange::bound(&from, &to, None, Some(true)).map_err(|_| StorageError::Blocked)
        };
        let keys = store.get_all_keys(Some(range()?), None).await?;
        let values = store.get_all(Some(range()?), None).await?;
        let records: Vec<_> = keys.iter().map(|key| page_of(&key.as_string()?)).collect();
        let mut pages = Vec::new();
        // By names they come in another order.
        for wanted in Shelf::ALL {
            for (record, value) in records.iter().zip(&values) {
                let Some(record @ Record::Page(shelf, _)) = *record else { continue };
                if shelf == wanted {
                    pages.push((record, bytes(value).and_then(|sealed| self.unseal(record, &sealed)).ok()));
                }
            }
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
        let mut sealed = Vec::new();
        let mut gone = Vec::new();
        for (record, bytes) in records {
            let key = JsValue::from_str(&record_key(*record));
            match bytes {
                Some(bytes) => {
                    let bytes = self.seal(*record, bytes)?;
                    sealed.push((Uint8Array::from(bytes.as_slice()), key));
                }
                None => gone.push(key),
            }
        }
        let transaction = self.connection.transaction(&[RECORDS], TransactionMode::ReadWrite)?;
        let store = transaction.store(RECORDS)?;
        // One after the other: of several at once only the last would say what is wrong.
        for (bytes, key) in sealed {
            store.put(&bytes, Some(&key)).await?;
        }
        for key in gone {
            store.delete(key).await?;
        }
        finish(transaction).await
    }

    /// Version byte, nonce, ciphertext with tag.
    fn seal(&self, record: Record, bytes: &[u8]) -> Result<Vec<u8>, StorageError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let aad = associated_data(RECORDS, &record_key(record), RECORD_VERSION);
        let ciphertext = XChaCha20Poly1305::new((&*self.data_key).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad: &aad })
            .map_err(|_| StorageError::Blocked)?;
        Ok([&[RECORD_VERSION], nonce.as_slice(), &ciphertext].concat())
    }

    fn unseal(&self, record: Record, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let (nonce, ciphertext) = split::<NONCE_LEN>(sealed)?;
        let aad = associated_data(RECORDS, &record_key(record), RECORD_VERSION);
        XChaCha20Poly1305::new((&*self.data_key).into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| StorageError::Corrupt)
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no IndexedDB, or the browser does not let us use it, or another tab does not let go of it.
    #[error("the browser does not allow storage here; a private window or a site setting may block it")]
    Blocked,
    /// What is stored cannot be read. It is left as it is.
    #[error("the stored keys cannot be read; use another profile, or delete this site's data to get a new address")]
    Corrupt,
    /// Stored by a version of mixlet after this one.
    #[error("the stored keys were written by a newer mixlet; reload the page to get the new version")]
    Newer,
    /// No room.
    #[error("the browser has no room left for this site; free some and try again")]
    Quota,
    /// The page has no WebCrypto, so it is no secure context.
    #[error("keys can only be kept on pages served over https or from localhost")]
    Unsupported,
}

impl StorageError {
    /// The code users see.
    pub const fn code(self) -> Code {
        match self {
            Self::Blocked => Code::StorageBlocked,
            Self::Corrupt => Code::IdentityCorrupt,
            Self::Newer => Code::StoredByNewerVersion,
            Self::Quota => Code::StorageQuota,
            Self::Unsupported => Code::UnsupportedRuntime,
        }
    }
}

impl From<rexie::Error> for StorageError {
    /// Only the name of the browser's exception says what is wrong, and only the text of the error has it.
    fn from(error: rexie::Error) -> Self {
        let text = error.source().map(ToString::to_string).unwrap_or_default();
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
struct Connection(Option<Rexie>);

impl Connection {
    async fn open(profile: &str) -> Result<Self, StorageError> {
        let building = Rexie::builder(&database_name(profile))
            .version(DATABASE_VERSION)
            .add_object_store(ObjectStore::new(KEYS))
            .add_object_store(ObjectStore::new(RECORDS))
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
            Either::Left((Err(_), _)) | Either::Right(_) => Err(StorageError::Blocked),
        }
    }

    fn transaction(&self, stores: &[&str], mode: TransactionMode) -> Result<Transaction, StorageError> {
        let database = self.0.as_ref().ok_or(StorageError::Blocked)?;
        Ok(database.transaction(stores, mode)?)
    }

    /// The keys of this database; `None` when it is new.
    async fn keys(&self) -> Result<Option<Keys>, StorageError> {
        Keys::read(&self.transaction(&[KEYS, RECORDS], TransactionMode::ReadOnly)?).await
    }

    /// Writes the keys unless another connection was quicker; gives back the keys that are there now.
    async fn keep_keys(&self, keys: Keys) -> Result<Keys, StorageError> {
        let transaction = self.transaction(&[KEYS, RECORDS], TransactionMode::ReadWrite)?;
        if let Some(others) = Keys::read(&transaction).await? {
            return Ok(others);
        }
        // Both are asked for before anything is awaited: one without the other would be useless for ever.
        let wrapped = Uint8Array::from(keys.wrapped.as_slice());
        let both = [(keys.wrapping.clone().into(), WRAPPING_KEY), (wrapped.into(), DATA_KEY)];
        let both = both.into_iter().map(|(value, key)| (value, Some(JsValue::from_str(key))));
        transaction.store(KEYS)?.put_all(both).await?;
        finish(transaction).await?;
        Ok(keys)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(database) = self.0.take() {
            database.close();
        }
    }
}

/// The wrapping key, and the data key under it.
struct Keys {
    wrapping: CryptoKey,
    wrapped: Vec<u8>,
}

impl Keys {
    async fn make(subtle: &SubtleCrypto) -> Result<Self, StorageError> {
        let usages = Array::of2(&JsValue::from_str("encrypt"), &JsValue::from_str("decrypt"));
        let algorithm = AesKeyGenParams::new(WRAPPING, 256);
        let wrapping: CryptoKey =
            done(subtle.generate_key_with_object(&algorithm, false, &usages)).await?.unchecked_into();
        let data_key: Zeroizing<[u8; DATA_KEY_LEN]> = Zeroizing::new(random()?);
        let iv: [u8; IV_LEN] = random()?;
        let plain = Uint8Array::from(data_key.as_slice());
        let sealed = done(subtle.encrypt_with_object_and_js_u8_array(&gcm(iv), &wrapping, &plain)).await;
        plain.fill(0, 0, plain.length());
        let wrapped = [&[RECORD_VERSION], iv.as_slice(), &Uint8Array::new(&sealed?).to_vec()].concat();
        Ok(Self { wrapping, wrapped })
    }

    /// Inside one transaction over both stores.
    async fn read(transaction: &Transaction) -> Result<Option<Self>, StorageError> {
        let wrapping = read(transaction, KEYS, WRAPPING_KEY).await?;
        let wrapped = read(transaction, KEYS, DATA_KEY).await?;
        let records = transaction.store(RECORDS)?.get_all_keys(None, Some(1)).await?;
        match (wrapping, wrapped) {
            (Some(wrapping), Some(wrapped)) => {
                let wrapping = wrapping.dyn_into().map_err(|_| StorageError::Corrupt)?;
                Ok(Some(Self { wrapping, wrapped: bytes(&wrapped)? }))
            }
            (None, None) if records.is_empty() => Ok(None),
            _ => Err(StorageError::Corrupt),
        }
    }

    async fn unwrap(&self, subtle: &SubtleCrypto) -> Result<Zeroizing<[u8; DATA_KEY_LEN]>, StorageError> {
        let (iv, ciphertext) = split::<IV_LEN>(&self.wrapped)?;
        let ciphertext = Uint8Array::from(ciphertext);
        let opened = done(subtle.decrypt_with_object_and_js_u8_array(&gcm(*iv), &self.wrapping, &ciphertext))
            .await
            .map_err(|_| StorageError::Corrupt)?;
        let plain = Uint8Array::new(&opened);
        let mut data_key = Zeroizing::new([0; DATA_KEY_LEN]);
        if plain.length() as usize != DATA_KEY_LEN {
            return Err(StorageError::Corrupt);
        }
        plain.copy_to(data_key.as_mut_slice());
        plain.fill(0, 0, plain.length());
        Ok(data_key)
    }
}

/// Name of the database of a profile.
pub fn database_name(profile: &str) -> String {
    format!("mixlet-{profile}")
}

/// What a record is called in its store.
fn record_key(record: Record) -> Cow<'static, str> {
    match record {
        Record::Identity => "identity".into(),
        Record::Registration => "registration".into(),
        Record::Topology => "topology".into(),
        Record::Page(shelf, number) => format!("{PAGES_FROM}{}/{number:08x}", shelf_name(shelf)).into(),
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
    let (shelf, number) = key.strip_prefix(PAGES_FROM)?.split_once('/')?;
    let shelf = Shelf::ALL.into_iter().find(|known| shelf_name(*known) == shelf)?;
    Some(Record::Page(shelf, u32::from_str_radix(number, 16).ok()?))
}

/// What a ciphertext is bound to. No name has a zero byte, so no two lists of names give the same bytes.
fn associated_data(store: &str, key: &str, version: u8) -> Vec<u8> {
    [b"mixlet", b"\0".as_slice(), store.as_bytes(), b"\0", key.as_bytes(), b"\0", &[version]].concat()
}

/// Parameters of the wrapping cipher. Not from a slice: that would hand the browser a view into our memory.
fn gcm(iv: [u8; IV_LEN]) -> AesGcmParams {
    let params = AesGcmParams::new_with_u8_array(WRAPPING, &Uint8Array::from(iv.as_slice()));
    let aad = associated_data(KEYS, DATA_KEY, RECORD_VERSION);
    params.set_additional_data_u8_array(&Uint8Array::from(aad.as_slice()));
    params
}

/// The nonce and the rest of a record of this version.
fn split<const N: usize>(sealed: &[u8]) -> Result<(&[u8; N], &[u8]), StorageError> {
    match sealed.split_first() {
        Some((&RECORD_VERSION, rest)) => rest.split_first_chunk().ok_or(StorageError::Corrupt),
        Some((&version, _)) if version > RECORD_VERSION => Err(StorageError::Newer),
        _ => Err(StorageError::Corrupt),
    }
}

/// A stored value that should be bytes.
fn bytes(value: &JsValue) -> Result<Vec<u8>, StorageError> {
    match value.dyn_ref::<Uint8Array>() {
        Some(array) if array.length() <= limits::RECORD_LEN_MAX => Ok(array.to_vec()),
        _ => Err(StorageError::Corrupt),
    }
}

async fn read(transaction: &Transaction, store: &str, key: &str) -> Result<Option<JsValue>, StorageError> {
    let value = transaction.store(store)?.get(JsValue::from_str(key)).await?;
    Ok(value.filter(|value| !value.is_undefined()))
}

/// Waits until the transaction is on disk, as far as the browser tells. One that is undone after each of its requests
/// went well had no room.
async fn finish(transaction: Transaction) -> Result<(), StorageError> {
    match transaction.done().await?.is_committed() {
        true => Ok(()),
        false => Err(StorageError::Quota),
    }
}

async fn done(promise: Result<Promise, JsValue>) -> Result<JsValue, StorageError> {
    let promise = promise.map_err(|_| StorageError::Unsupported)?;
    JsFuture::from(promise).await.map_err(|_| StorageError::Unsupported)
}

/// WebCrypto of the page or worker we run in; only secure contexts have it.
fn subtle() -> Result<SubtleCrypto, StorageError> {
    let member = |object: &Object, name: &str| {
        Reflect::get(object, &JsValue::from_str(name)).ok().and_then(|value| value.dyn_into::<Object>().ok())
    };
    let crypto = member(&js_sys::global(), "crypto").ok_or(StorageError::Unsupported)?;
    member(&crypto, "subtle").map(JsCast::unchecked_into).ok_or(StorageError::Unsupported)
}

fn random<const N: usize>() -> Result<[u8; N], StorageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StorageError::Unsupported)?;
    Ok(bytes)
}

/// Version of the layout: which object stores there are.
pub const DATABASE_VERSION: u32 = 1;
/// First byte of each sealed value: how the rest is laid out.
pub const RECORD_VERSION: u8 = 1;
/// Object store of the wrapping key and the wrapped data key.
pub const KEYS: &str = "keys";
/// Object store of the sealed records.
pub const RECORDS: &str = "records";
/// Key of the wrapping key in [`KEYS`].
pub const WRAPPING_KEY: &str = "wrapping";
/// Key of the wrapped data key in [`KEYS`].
pub const DATA_KEY: &str = "data";
/// Names of pages begin with this.
const PAGES_FROM: &str = "page/";
/// The first name after those, since a zero follows the slash.
const PAGES_TO: &str = "page0";
const WRAPPING: &str = "AES-GCM";
const DATA_KEY_LEN: usize = 32;
const IV_LEN: usize = 12;
const NONCE_LEN: usize = 24;
/// Opening takes milliseconds; only another tab that holds on makes it long.
const OPEN_MS: u32 = 5_000;
