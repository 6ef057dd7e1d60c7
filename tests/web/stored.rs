//! Databases that builds of each version have left: `tests/vectors/stored-<version>.json`.

use js_sys::{Array, Uint8Array};
use mixlet::backup::Cost;
use mixlet::engine::{Record, Shelf};
use mixlet::identity::{Identity, Registration};
use mixlet::web::store::{
    DATA_KEY, DATABASE_VERSION, KEYS, MAIL, RECORDS, StorageError, Store, WRAPPING_KEY, database_name,
};
use rexie::{ObjectStore, Rexie, TransactionMode};
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;
use zeroize::Zeroizing;

use crate::fakes::{Replaced, js};
use crate::store::{all_of, fresh, loaded, loaded_pages};

/// Both versions, and the address each has to give.
fn databases() -> [Value; 2] {
    [include_str!("../vectors/stored-1.json"), include_str!("../vectors/stored-2.json")]
        .map(|text| serde_json::from_str(text).unwrap())
}

#[test]
async fn a_database_of_each_version_keeps_its_address_and_what_its_pages_hold() {
    for database in databases() {
        let profile = build(&database, "stored").await;
        check(&database, &profile).await;
        // A second time, as this version has left it.
        check(&database, &profile).await;
        let names = connect(&profile).await;
        assert_eq!(names.version().unwrap(), DATABASE_VERSION);
        assert_eq!(names.store_names(), [KEYS, MAIL, RECORDS]);
        names.close();
    }
}

#[test]
async fn a_change_of_passphrase_gives_them_another_data_key_too() {
    for mut database in databases() {
        let profile = build(&database, "stored-renewed").await;
        let cheap = Cost { memory_kib: 8, passes: 1 };
        let mut store = Store::unlock(&profile, cheap, true, async || passphrase(&database)).await.unwrap();
        store.set_passphrase(Some("another"), cheap).await.unwrap();
        drop(store);
        database["passphrase"] = "another".into();
        let before = all_of(connect(&profile).await).await;
        check(&database, &profile).await;
        let after = all_of(connect(&profile).await).await;
        assert!(before.iter().all(|record| record.0 == KEYS || !after.contains(record)));
        check(&database, &profile).await;
    }
}

#[test]
async fn a_build_of_version_1_says_that_the_database_is_newer() {
    let [_, newest] = databases();
    let profile = build(&newest, "for-the-old").await;
    Store::unlock(&profile, Cost::default(), true, async || passphrase(&newest)).await.unwrap();
    let old =
        Rexie::builder(&database_name(&profile)).version(1).add_object_store(ObjectStore::new(KEYS)).build().await;
    assert_eq!(StorageError::from(old.err().unwrap()), StorageError::Newer);
}

#[test]
async fn a_migration_that_is_cut_short_at_any_point_leaves_the_database_as_it_was() {
    let [old, _] = databases();
    for request_first in [false, true] {
        let profile = build(&old, "cut-short").await;
        let before = raw_of_version_1(&profile).await;
        // The upgrade's transaction is undone right after the new object store was made, or as it is about to end.
        let cut = js(&format!(
            "const real = IDBFactory.prototype.open; \
             return function (...args) {{ \
               const request = real.apply(this, args); \
               request.addEventListener('upgradeneeded', () => {{ \
                 const {{ transaction }} = request; \
                 if ({request_first}) \
                   transaction.objectStore('records').get('identity').onsuccess = () => transaction.abort(); \
                 else queueMicrotask(() => transaction.abort()); \
               }}); \
               return request }}"
        ));
        {
            let _cut = Replaced::member(js("return IDBFactory.prototype").unchecked_into(), "open", &cut);
            assert!(Store::open(&profile).await.is_err(), "{request_first}");
        }
        assert_eq!(raw_of_version_1(&profile).await, before, "{request_first}");
        check(&old, &profile).await;
    }
}

async fn check(database: &Value, profile: &str) {
    let store =
        Store::unlock(profile, Cost { memory_kib: 8, passes: 1 }, true, async || passphrase(database)).await.unwrap();
    let identity = Identity::from_bytes(&loaded(&store, Record::Identity).await.unwrap().unwrap()).unwrap();
    let registration = Registration::from_bytes(&loaded(&store, Record::Registration).await.unwrap().unwrap()).unwrap();
    assert_eq!(identity.address(registration.gateway).unwrap().to_string(), text(database, "address"));
    let pages = loaded_pages(&store).await;
    let mut seen = 0;
    for record in database["records"].as_array().unwrap() {
        let (key, plain) = (text(record, "key"), hex(text(record, "plain")));
        let Some(name) = key.strip_prefix("page/") else { continue };
        let (shelf, number) = name.split_once('/').unwrap();
        let shelf = Shelf::ALL.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(shelf)).unwrap();
        let page = Record::Page(shelf, u32::from_str_radix(number, 16).unwrap());
        assert!(pages.contains(&(page, Some(plain))), "{key}");
        seen += 1;
    }
    assert!(seen > 0 && seen == pages.len());
}

fn passphrase(database: &Value) -> Option<Zeroizing<String>> {
    database["passphrase"].as_str().map(|text| Zeroizing::new(text.to_owned()))
}

/// A database as it was, of its own version.
async fn build(database: &Value, name: &str) -> String {
    let version = database["version"].as_u64().unwrap() as u32;
    let profile = fresh(&format!("{name}-{version}")).await;
    let mut builder = Rexie::builder(&database_name(&profile))
        .version(version)
        .add_object_store(ObjectStore::new(KEYS))
        .add_object_store(ObjectStore::new(RECORDS));
    if version > 1 {
        builder = builder.add_object_store(ObjectStore::new(MAIL));
    }
    let built = builder.build().await.unwrap();
    let wrapping = wrapping_key(&hex(text(database, "wrapping_key"))).await;
    let wrapped = Uint8Array::from(hex(text(database, "wrapped_data_key")).as_slice());
    let mut all = vec![(KEYS, WRAPPING_KEY, wrapping), (KEYS, DATA_KEY, wrapped.into())];
    for record in database["records"].as_array().unwrap() {
        let sealed = Uint8Array::from(hex(text(record, "sealed")).as_slice());
        all.push((text(record, "store"), text(record, "key"), sealed.into()));
    }
    for (store, key, value) in all {
        let transaction = built.transaction(&[store], TransactionMode::ReadWrite).unwrap();
        transaction.store(store).unwrap().put(&value, Some(&key.into())).await.unwrap();
        assert!(transaction.done().await.unwrap().is_committed());
    }
    built.close();
    profile
}

/// As builds make it: one that the browser does not export.
async fn wrapping_key(raw: &[u8]) -> JsValue {
    let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
    let import: js_sys::Function =
        js("return (raw, usages) => crypto.subtle.importKey('raw', raw, 'AES-GCM', false, usages)").unchecked_into();
    let key = import.call2(&JsValue::UNDEFINED, &Uint8Array::from(raw), &usages).unwrap();
    JsFuture::from(key.unchecked_into::<js_sys::Promise>()).await.unwrap()
}

async fn raw_of_version_1(profile: &str) -> Vec<(String, String, Vec<u8>)> {
    let database = connect(profile).await;
    assert_eq!((database.version().unwrap(), database.store_names().len()), (1, 2));
    all_of(database).await
}

/// Whatever version it has.
async fn connect(profile: &str) -> Rexie {
    Rexie::builder(&database_name(profile)).build().await.unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
