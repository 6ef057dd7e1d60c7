//! A store whose data key is sealed under a passphrase.

use js_sys::Uint8Array;
use mixlet::backup::Cost;
use mixlet::engine::Record;
use mixlet::web::store::{DATA_KEY, KEYS, RECORDS, StorageError, Store, WITH_PASSPHRASE, WRAPPING_KEY};
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test as test;
use zeroize::Zeroizing;

use crate::fakes::{Replaced, js};
use crate::store::{fresh, get, get_bytes, loaded, put, raw};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };

#[test]
async fn only_the_passphrase_opens_it() {
    let profile = fresh("locked").await;
    let store = unlock(&profile, "first").await.unwrap();
    assert!(store.has_passphrase());
    store.save(Record::Identity, b"keys").await.unwrap();
    drop(store);
    let before = raw(&profile).await;
    for wrong in ["", "First", "first "] {
        assert_eq!(unlock(&profile, wrong).await.err(), Some(StorageError::Passphrase));
    }
    assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Locked));
    assert_eq!(raw(&profile).await, before, "nothing was overwritten");
    let store = unlock(&profile, "first").await.unwrap();
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn nobody_is_asked_where_there_is_none() {
    let profile = fresh("not-asked").await;
    drop(Store::open(&profile).await.unwrap());
    let store = Store::unlock(&profile, CHEAP, true, async || panic!("asked")).await.unwrap();
    assert!(!store.has_passphrase());
}

#[test]
async fn it_is_set_changed_and_removed_and_the_records_stay() {
    let profile = fresh("changed").await;
    let mut store = Store::open(&profile).await.unwrap();
    store.save(Record::Identity, b"keys").await.unwrap();
    let record = get_bytes(&profile, RECORDS, "identity").await;
    store.set_passphrase(Some("one"), CHEAP).await.unwrap();
    assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Locked));
    store.set_passphrase(Some("two"), CHEAP).await.unwrap();
    // Who has it open goes on.
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
    drop(store);
    assert_eq!(unlock(&profile, "one").await.err(), Some(StorageError::Passphrase));
    let mut store = unlock(&profile, "two").await.unwrap();
    store.set_passphrase(None, CHEAP).await.unwrap();
    drop(store);
    let store = Store::open(&profile).await.unwrap();
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
    assert_ne!(get_bytes(&profile, RECORDS, "identity").await, record);
}

#[test]
async fn what_it_costs_to_try_is_raised_at_the_next_opening() {
    let profile = fresh("dearer").await;
    let store = unlock(&profile, "secret").await.unwrap();
    store.save(Record::Identity, b"keys").await.unwrap();
    drop(store);
    let cheap = get_bytes(&profile, KEYS, DATA_KEY).await;
    let dearer = Cost { memory_kib: 64, passes: 2 };
    let ask = async || Some(Zeroizing::new("secret".to_owned()));
    {
        // Where that fails, all is as it was.
        let full = js("return () => { throw new DOMException('full', 'QuotaExceededError') }");
        let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
        let store = Store::unlock(&profile, dearer, true, ask).await.unwrap();
        assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
    }
    assert_eq!(get_bytes(&profile, KEYS, DATA_KEY).await, cheap);
    drop(Store::unlock(&profile, dearer, true, ask).await.unwrap());
    let dear = get_bytes(&profile, KEYS, DATA_KEY).await;
    assert_ne!(dear, cheap);
    // A cheaper wish changes nothing, and it opens as before.
    let store = unlock(&profile, "secret").await.unwrap();
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
    assert_eq!(get_bytes(&profile, KEYS, DATA_KEY).await, dear);
}

#[test]
async fn damage_is_told_from_a_wrong_passphrase() {
    let profile = fresh("locked-damaged").await;
    drop(unlock(&profile, "secret").await.unwrap());
    let whole = get_bytes(&profile, KEYS, DATA_KEY).await;
    assert_eq!(whole[0], WITH_PASSPHRASE);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        put(&profile, KEYS, DATA_KEY, &Uint8Array::from(damaged.as_slice())).await;
        let refused = unlock(&profile, "secret").await.err().unwrap();
        assert!(matches!(refused, StorageError::Corrupt | StorageError::Newer), "{at}: {refused}");
        assert_eq!(get_bytes(&profile, KEYS, DATA_KEY).await, damaged);
    }
    for len in [0, 1, 13, 40, whole.len() - 1] {
        put(&profile, KEYS, DATA_KEY, &Uint8Array::from(&whole[..len])).await;
        assert_eq!(unlock(&profile, "secret").await.err(), Some(StorageError::Corrupt), "{len}");
    }
    // Of another profile with the same passphrase.
    let other = fresh("locked-other").await;
    drop(unlock(&other, "secret").await.unwrap());
    put(&profile, KEYS, DATA_KEY, &get(&other, KEYS, DATA_KEY).await).await;
    assert_eq!(unlock(&profile, "secret").await.err(), Some(StorageError::Corrupt));
    put(&profile, KEYS, DATA_KEY, &Uint8Array::from(whole.as_slice())).await;
    put(&profile, KEYS, WRAPPING_KEY, &get(&other, KEYS, WRAPPING_KEY).await).await;
    assert_eq!(unlock(&profile, "secret").await.err(), Some(StorageError::Corrupt));
}

async fn unlock(profile: &str, passphrase: &str) -> Result<Store, StorageError> {
    Store::unlock(profile, CHEAP, true, async || Some(Zeroizing::new(passphrase.to_owned()))).await
}
