//! The random data key of a store, and what it is wrapped in.
//!
//! Outside is a key that the browser refuses to export. Inside of that, where the user has set a passphrase, the data key
//! is sealed once more under a key that Argon2id makes of it. So a copied disk is of no use without the passphrase and
//! the browser's own protection, and damage is told from a wrong passphrase: only the outer layer can be damaged.
//!
//! Who has an older copy of the disk may know the passphrase of then, and so the data key. A changed passphrase therefore
//! asks for another data key: it is drawn by whoever next opens the profile for itself alone, before anything is written.
//! Who has the store open meanwhile seals under the old one, and is told when that is over.

use alloc::string::String;
use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use futures_util::future::LocalBoxFuture;
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use rexie::{Transaction, TransactionMode};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AesGcmParams, AesKeyGenParams, CryptoKey, SubtleCrypto};
use zeroize::Zeroizing;

use super::database::{Connection, KEYS, MAIL, RECORDS, StorageError, all_or_nothing, read};
use super::store::{NONCE_LEN, associated_data, bytes, random, seal as seal_record, split, unseal};
use crate::backup::{BackupError, Cost, SALT_LEN};

/// Asks for a passphrase, once it is awaited. `None`: there is none.
pub type Asking<'a> = LocalBoxFuture<'a, Option<Zeroizing<String>>>;

/// What records are sealed under.
pub type DataKey = Zeroizing<[u8; DATA_KEY_LEN]>;

/// The wrapping key, and the data key under it.
pub struct Keys {
    wrapping: CryptoKey,
    wrapped: Vec<u8>,
    /// Which data key it is: drawn with all but the first.
    generation: Vec<u8>,
    is_to_be_renewed: bool,
}

impl Keys {
    /// New keys, not stored yet.
    pub async fn make(subtle: &SubtleCrypto, passphrase: Option<(&str, Cost)>) -> Result<Self, StorageError> {
        let usages = Array::of2(&JsValue::from_str("encrypt"), &JsValue::from_str("decrypt"));
        let algorithm = AesKeyGenParams::new(WRAPPING, 256);
        let wrapping = done(subtle.generate_key_with_object(&algorithm, false, &usages)).await?.unchecked_into();
        let data_key = Zeroizing::new(random()?);
        let mut keys = Self { wrapping, wrapped: Vec::new(), generation: Vec::new(), is_to_be_renewed: false };
        keys.wrapped = keys.wrap(subtle, &data_key, passphrase).await?;
        Ok(keys)
    }

    /// The keys of this database; `None` when it is new.
    pub async fn load(connection: &Connection) -> Result<Option<Self>, StorageError> {
        Self::read(&connection.transaction(ALL, TransactionMode::ReadOnly)?).await
    }

    /// Writes the keys unless another connection was quicker; gives back the keys that are there now.
    pub async fn keep(self, connection: &Connection) -> Result<Self, StorageError> {
        let transaction = connection.transaction(ALL, TransactionMode::ReadWrite)?;
        if let Some(others) = Self::read(&transaction).await? {
            return Ok(others);
        }
        // One without the other would be useless for ever.
        let wrapped = Uint8Array::from(self.wrapped.as_slice());
        let both = [(self.wrapping.clone().into(), WRAPPING_KEY), (wrapped.into(), DATA_KEY)];
        let both = both.into_iter().map(|(value, key)| (value, Some(JsValue::from_str(key))));
        let put = transaction.store(KEYS)?.put_all(both).await.map_err(StorageError::from);
        all_or_nothing(transaction, put).await?;
        Ok(self)
    }

    /// Wraps the data key anew and stores it so, in place of how it was. With `renew` it is to be another one soon.
    pub async fn rewrap(
        &mut self,
        connection: &Connection,
        subtle: &SubtleCrypto,
        data_key: &DataKey,
        passphrase: Option<(&str, Cost)>,
        renew: bool,
    ) -> Result<(), StorageError> {
        let wrapped = self.wrap(subtle, data_key, passphrase).await?;
        let transaction = connection.transaction(&[KEYS], TransactionMode::ReadWrite)?;
        let work = async {
            self.confirm(&transaction).await?;
            put(&transaction, KEYS, DATA_KEY, &wrapped).await?;
            if renew { put(&transaction, KEYS, RENEW, &[RENEW_VERSION]).await } else { Ok(()) }
        }
        .await;
        all_or_nothing(transaction, work).await?;
        self.wrapped = wrapped;
        self.is_to_be_renewed |= renew;
        Ok(())
    }

    /// Draws another data key and seals all records under it: all of it or nothing. A record that does not open under the
    /// old one keeps it from happening, since nothing could read it any more.
    pub async fn renew(
        &mut self,
        connection: &Connection,
        subtle: &SubtleCrypto,
        data_key: &DataKey,
        passphrase: Option<(&str, Cost)>,
    ) -> Result<DataKey, StorageError> {
        let fresh: DataKey = Zeroizing::new(random()?);
        let generation = random::<GENERATION_LEN>()?.to_vec();
        let wrapped = self.wrap(subtle, &fresh, passphrase).await?;
        let transaction = connection.transaction(ALL, TransactionMode::ReadWrite)?;
        let work = async {
            self.confirm(&transaction).await?;
            for name in [RECORDS, MAIL] {
                for key in transaction.store(name)?.get_all_keys(None, None).await? {
                    let key = key.as_string().ok_or(StorageError::Corrupt)?;
                    let sealed = read(&transaction, name, &key).await?.ok_or(StorageError::Corrupt)?;
                    let plain = unseal(data_key, name, &key, &bytes(&sealed)?)?;
                    put(&transaction, name, &key, &seal_record(&fresh, name, &key, &plain)?).await?;
                }
            }
            put(&transaction, KEYS, DATA_KEY, &wrapped).await?;
            put(&transaction, KEYS, GENERATION, &generation).await?;
            transaction.store(KEYS)?.delete(JsValue::from_str(RENEW)).await?;
            Ok(())
        }
        .await;
        all_or_nothing(transaction, work).await?;
        *self = Self { wrapping: self.wrapping.clone(), wrapped, generation, is_to_be_renewed: false };
        Ok(fresh)
    }

    /// Inside a transaction that is to write: whether the data key is still the one in use. What is sealed under another one
    /// nobody could read.
    pub async fn confirm(&self, transaction: &Transaction) -> Result<(), StorageError> {
        if generation(transaction).await? == self.generation { Ok(()) } else { Err(StorageError::Held) }
    }

    /// Whether the passphrase was changed since the data key was drawn.
    pub fn is_to_be_renewed(&self) -> bool {
        self.is_to_be_renewed
    }

    /// Whether a passphrase is needed.
    pub fn is_locked(&self) -> bool {
        self.wrapped.first() == Some(&WITH_PASSPHRASE)
    }

    /// The data key. `ask` is awaited where a passphrase is needed; what it answered comes back with the cost that it has.
    pub async fn unwrap(
        &self,
        subtle: &SubtleCrypto,
        ask: Asking<'_>,
    ) -> Result<(DataKey, Option<(Zeroizing<String>, Cost)>), StorageError> {
        let version = if self.is_locked() { WITH_PASSPHRASE } else { WITHOUT };
        let (iv, ciphertext) = split::<IV_LEN>(&self.wrapped, version)?;
        let ciphertext = Uint8Array::from(ciphertext);
        let opened = done(subtle.decrypt_with_object_and_js_u8_array(&gcm(*iv, version), &self.wrapping, &ciphertext))
            .await
            .map_err(|_| StorageError::Corrupt)?;
        let array = Uint8Array::new(&opened);
        let plain = Zeroizing::new(array.to_vec());
        array.fill(0, 0, array.length());
        if version == WITHOUT {
            let data_key = plain.as_slice().try_into().map_err(|_| StorageError::Corrupt)?;
            return Ok((Zeroizing::new(data_key), None));
        }
        let (head, sealed) = plain.split_at_checked(HEAD_LEN).ok_or(StorageError::Corrupt)?;
        let head = Head::read(head).ok_or(StorageError::Corrupt)?;
        let passphrase = ask.await.ok_or(StorageError::Locked)?;
        let key = head.cost.key(&passphrase, &head.salt).map_err(|_| StorageError::Unsupported)?;
        let head_bytes = head.to_bytes();
        let aad = [&associated_data(KEYS, DATA_KEY, WITH_PASSPHRASE), head_bytes.as_slice()].concat();
        let opened = XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(head.nonce), Payload { msg: sealed, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| StorageError::Passphrase)?;
        let data_key = opened.as_slice().try_into().map_err(|_| StorageError::Corrupt)?;
        Ok((Zeroizing::new(data_key), Some((passphrase, head.cost))))
    }

    async fn wrap(
        &self,
        subtle: &SubtleCrypto,
        data_key: &DataKey,
        passphrase: Option<(&str, Cost)>,
    ) -> Result<Vec<u8>, StorageError> {
        let (version, plain) = match passphrase {
            None => (WITHOUT, Zeroizing::new(data_key.to_vec())),
            Some((passphrase, cost)) => (WITH_PASSPHRASE, seal(data_key, passphrase, cost)?),
        };
        let iv: [u8; IV_LEN] = random()?;
        let array = Uint8Array::from(plain.as_slice());
        let sealed = done(subtle.encrypt_with_object_and_js_u8_array(&gcm(iv, version), &self.wrapping, &array)).await;
        array.fill(0, 0, array.length());
        Ok([&[version], iv.as_slice(), &Uint8Array::new(&sealed?).to_vec()].concat())
    }

    /// Inside one transaction over all stores.
    async fn read(transaction: &Transaction) -> Result<Option<Self>, StorageError> {
        let wrapping = read(transaction, KEYS, WRAPPING_KEY).await?;
        let wrapped = read(transaction, KEYS, DATA_KEY).await?;
        let records = transaction.store(RECORDS)?.get_all_keys(None, Some(1)).await?;
        let mail = transaction.store(MAIL)?.get_all_keys(None, Some(1)).await?;
        match (wrapping, wrapped) {
            (Some(wrapping), Some(wrapped)) => {
                let wrapping = wrapping.dyn_into().map_err(|_| StorageError::Corrupt)?;
                let (wrapped, generation) = (bytes(&wrapped)?, generation(transaction).await?);
                let is_to_be_renewed = read(transaction, KEYS, RENEW).await?.is_some();
                Ok(Some(Self { wrapping, wrapped, generation, is_to_be_renewed }))
            }
            (None, None) if records.is_empty() && mail.is_empty() => Ok(None),
            _ => Err(StorageError::Corrupt),
        }
    }
}

/// Which data key is in use; of the first one nothing is stored.
async fn generation(transaction: &Transaction) -> Result<Vec<u8>, StorageError> {
    let stored = read(transaction, KEYS, GENERATION).await?;
    stored.map_or(Ok(Vec::new()), |stored| bytes(&stored))
}

async fn put(transaction: &Transaction, store: &str, key: &str, value: &[u8]) -> Result<(), StorageError> {
    transaction.store(store)?.put(&Uint8Array::from(value), Some(&JsValue::from_str(key))).await?;
    Ok(())
}

/// What stands before a data key that is sealed under a passphrase: memory in KiB, passes, lanes, salt, nonce.
struct Head {
    cost: Cost,
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
}

impl Head {
    fn to_bytes(&self) -> Vec<u8> {
        let memory = self.cost.memory_kib.to_be_bytes();
        [memory.as_slice(), &[self.cost.passes, LANES], &self.salt, &self.nonce].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (memory, rest) = bytes.split_first_chunk()?;
        let ([passes, LANES], rest) = rest.split_first_chunk()? else { return None };
        let (salt, rest) = rest.split_first_chunk()?;
        let nonce = rest.try_into().ok()?;
        let cost = Cost { memory_kib: u32::from_be_bytes(*memory), passes: *passes };
        Some(Self { cost, salt: *salt, nonce })
    }
}

fn seal(data_key: &DataKey, passphrase: &str, cost: Cost) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let head = Head { cost, salt: random()?, nonce: random()? };
    let key = cost.key(passphrase, &head.salt).map_err(|_: BackupError| StorageError::Unsupported)?;
    let head_bytes = head.to_bytes();
    let aad = [&associated_data(KEYS, DATA_KEY, WITH_PASSPHRASE), head_bytes.as_slice()].concat();
    let sealed = XChaCha20Poly1305::new((&*key).into())
        .encrypt(&XNonce::from(head.nonce), Payload { msg: data_key.as_slice(), aad: &aad })
        .map_err(|_| StorageError::Unsupported)?;
    Ok(Zeroizing::new([head_bytes, sealed].concat()))
}

/// Parameters of the wrapping cipher. Not from a slice: that would hand the browser a view into our memory.
fn gcm(iv: [u8; IV_LEN], version: u8) -> AesGcmParams {
    let params = AesGcmParams::new_with_u8_array(WRAPPING, &Uint8Array::from(iv.as_slice()));
    let aad = associated_data(KEYS, DATA_KEY, version);
    params.set_additional_data_u8_array(&Uint8Array::from(aad.as_slice()));
    params
}

async fn done(promise: Result<Promise, JsValue>) -> Result<JsValue, StorageError> {
    let promise = promise.map_err(|_| StorageError::Unsupported)?;
    JsFuture::from(promise).await.map_err(|_| StorageError::Unsupported)
}

/// WebCrypto of the page or worker we run in; only secure contexts have it.
pub fn subtle() -> Result<SubtleCrypto, StorageError> {
    let member = |object: &Object, name: &str| {
        Reflect::get(object, &JsValue::from_str(name)).ok().and_then(|value| value.dyn_into::<Object>().ok())
    };
    let crypto = member(&js_sys::global(), "crypto").ok_or(StorageError::Unsupported)?;
    member(&crypto, "subtle").map(JsCast::unchecked_into).ok_or(StorageError::Unsupported)
}

/// Key of the wrapping key in [`KEYS`].
pub const WRAPPING_KEY: &str = "wrapping";
/// Key of the wrapped data key in [`KEYS`].
pub const DATA_KEY: &str = "data";
/// Key of the number of the data key in [`KEYS`]; not there for the first one.
pub const GENERATION: &str = "generation";
/// Key in [`KEYS`] of the note that the next one who opens the profile alone is to draw another data key.
pub const RENEW: &str = "renew";
const RENEW_VERSION: u8 = 1;
const GENERATION_LEN: usize = 16;
/// First byte of a data key that is wrapped by the browser's key alone.
const WITHOUT: u8 = 1;
/// First byte of one that is sealed under a passphrase besides.
pub const WITH_PASSPHRASE: u8 = 2;
const ALL: &[&str] = &[KEYS, RECORDS, MAIL];
const WRAPPING: &str = "AES-GCM";
const DATA_KEY_LEN: usize = 32;
const IV_LEN: usize = 12;
const LANES: u8 = 1;
const HEAD_LEN: usize = 4 + 2 + SALT_LEN + NONCE_LEN;
