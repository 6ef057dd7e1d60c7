//! The store: what it keeps, what can be seen of it from outside, and what it does with damage.

use futures_util::future::join;
use js_sys::{ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use mixlet::engine::pages::{Given, write_page};
use mixlet::engine::{Code, Config, Record, Shelf};
use mixlet::exchange::Client;
use mixlet::identity::Identity;
use mixlet::message::ReplyKey;
use mixlet::time::{Duration, Instant};
use mixlet::web::clock::Clock;
use mixlet::web::store::{
    DATA_KEY, DATABASE_VERSION, KEYS, MAIL, RECORD_VERSION, RECORDS, StorageError, Store, WITH_PASSPHRASE,
    WRAPPING_KEY, database_name,
};
use rexie::{ObjectStore, Rexie, TransactionMode};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;
use web_sys::CryptoKey;

use crate::fakes::{Replaced, js};

#[test]
async fn what_is_saved_is_loaded_by_the_next_connection() {
    let profile = fresh("next-connection").await;
    let store = open(&profile).await;
    assert!(store.load(Record::Identity).await.unwrap().is_none());
    store.save(Record::Identity, b"first").await.unwrap();
    store.save(Record::Identity, b"second").await.unwrap();
    store.save(Record::Registration, &[]).await.unwrap();
    drop(store);

    let store = open(&profile).await;
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"second".to_vec())));
    assert_eq!(loaded(&store, Record::Registration).await, Ok(Some(Vec::new())));
}

#[test]
async fn a_topology_of_the_greatest_length_is_kept_sealed_like_the_rest() {
    let profile = fresh("topology").await;
    let long: Vec<u8> = (0..mixlet::limits::TOPOLOGY_RECORD_LEN_MAX).map(|at| ((at * 7) >> 3) as u8).collect();
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    store.save(Record::Topology, &long).await.unwrap();
    assert!(loaded(&store, Record::Topology).await == Ok(Some(long.clone())));
    assert!(!shows(&raw(&profile).await, &long[..64]));

    // Damaged, it says so, and takes nothing with it.
    let mut damaged = get_bytes(&profile, RECORDS, "topology").await;
    damaged[500_000] ^= 1;
    put(&profile, RECORDS, "topology", &Uint8Array::from(damaged.as_slice())).await;
    assert_eq!(loaded(&store, Record::Topology).await, Err(StorageError::Corrupt));
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn what_is_forgotten_is_gone_and_the_rest_stays() {
    let profile = fresh("forget").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    store.save(Record::Registration, b"gateway").await.unwrap();
    store.forget(Record::Registration).await.unwrap();
    store.forget(Record::Registration).await.unwrap();
    drop(store);

    let store = open(&profile).await;
    assert_eq!(loaded(&store, Record::Registration).await, Ok(None));
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn pages_are_written_together_and_come_back_in_the_order_of_records() {
    let profile = fresh("pages").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    let pages =
        [(Shelf::Unfinished, 3), (Shelf::Held, u32::MAX), (Shelf::Held, 16), (Shelf::Held, 9), (Shelf::Used, 9)];
    let counted = js("const real = IDBDatabase.prototype.transaction; globalThis.transactions = 0; \
         return function (...args) { globalThis.transactions += 1; return real.apply(this, args) }");
    {
        let _counted = Replaced::member(js("return IDBDatabase.prototype").unchecked_into(), "transaction", &counted);
        let batch = pages.map(|(shelf, number)| (Record::Page(shelf, number), Some(vec![number as u8; 40].into())));
        store.write(&batch).await.unwrap();
        assert_eq!(js("return globalThis.transactions").as_f64(), Some(1.0));
    }
    let mut expected = pages.map(|(shelf, number)| (Record::Page(shelf, number), Some(vec![number as u8; 40])));
    expected.sort();
    assert_eq!(loaded_pages(&store).await, expected);
    assert!(!shows(&raw(&profile).await, &[16; 40]), "sealed like the rest");

    store.write(&[(Record::Page(Shelf::Held, 9), None), (Record::Page(Shelf::Used, 9), None)]).await.unwrap();
    let left: Vec<_> = expected.into_iter().filter(|(record, _)| !matches!(record, Record::Page(_, 9))).collect();
    assert_eq!(loaded_pages(&open(&profile).await).await, left);
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn mail_is_kept_apart_and_written_in_one_go_with_the_rest() {
    let profile = fresh("mail").await;
    let store = open(&profile).await;
    let batch: Vec<_> = [Shelf::Given, Shelf::Acked, Shelf::Outbox, Shelf::Inbox]
        .map(|shelf| (Record::Page(shelf, 7), Some(vec![7; 40].into())))
        .into();
    store.write(&batch).await.unwrap();
    assert_eq!(loaded_pages(&store).await.len(), 4);
    let places: Vec<_> = raw(&profile).await.into_iter().map(|(store, key, _)| (store, key)).collect();
    for (place, shelf) in [(RECORDS, "given"), (MAIL, "acked"), (MAIL, "outbox"), (MAIL, "inbox")] {
        assert!(places.contains(&(place.into(), format!("page/{shelf}/00000007"))), "{places:?}");
    }
    // One that stands in the other store is not taken for it, nor opens there.
    let outbox = get(&profile, MAIL, "page/outbox/00000007").await;
    delete(&profile, MAIL, "page/outbox/00000007").await;
    put(&profile, RECORDS, "page/outbox/00000007", &outbox).await;
    assert_eq!(loaded_pages(&store).await.len(), 3);
}

#[test]
async fn a_page_that_cannot_be_read_takes_nothing_with_it() {
    let profile = fresh("bad-pages").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    for number in 0..6 {
        store.save(Record::Page(Shelf::Given, number), &[number as u8]).await.unwrap();
    }
    let name = |number: u32| format!("page/given/{number:08x}");
    let mut flipped = get_bytes(&profile, RECORDS, &name(0)).await;
    flipped[30] ^= 1;
    put(&profile, RECORDS, &name(0), &Uint8Array::from(flipped.as_slice())).await;
    // Under the name of another, of a later version, no bytes, and one of another profile.
    put(&profile, RECORDS, &name(1), &get(&profile, RECORDS, &name(2)).await).await;
    let mut newer = get_bytes(&profile, RECORDS, &name(3)).await;
    newer[0] = RECORD_VERSION + 1;
    put(&profile, RECORDS, &name(3), &Uint8Array::from(newer.as_slice())).await;
    put(&profile, RECORDS, &name(4), &JsValue::from_str("text")).await;
    let other = fresh("other-pages").await;
    open(&other).await.save(Record::Page(Shelf::Given, 5), &[5]).await.unwrap();
    put(&profile, RECORDS, &name(5), &get(&other, RECORDS, &name(5)).await).await;
    // Shelves of later versions, and what only looks like a page.
    for key in ["page/later/00000001", "page/given/xyz", "page/", "page0"] {
        put(&profile, RECORDS, key, &Uint8Array::from(&[1, 2][..])).await;
    }
    let bytes = [None, None, Some(vec![2]), None, None, None];
    let expected: Vec<_> = (0..).map(|number| Record::Page(Shelf::Given, number)).zip(bytes).collect();
    assert_eq!(loaded_pages(&store).await, expected);
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn of_pages_that_find_no_room_none_is_written() {
    let profile = fresh("no-room").await;
    let store = open(&profile).await;
    let page = |number| (Record::Page(Shelf::Held, number), Some(vec![1].into()));
    let full = js("const real = IDBObjectStore.prototype.put; \
         return function (value, key) { \
           const request = real.call(this, value, key); \
           if (key.endsWith('3')) request.addEventListener('success', () => this.transaction.abort()); \
           return request }");
    {
        let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
        assert_eq!(store.write(&[page(1), page(2), page(3)]).await, Err(StorageError::Quota));
    }
    assert_eq!(loaded_pages(&store).await, []);
}

#[test]
async fn ten_thousand_reply_keys_are_taken_up_in_a_moment() {
    let profile = fresh("many-keys").await;
    let store = open(&profile).await;
    // As a client writes them that asks many peers: 20 keys each, about 40 entries to a page of 4 kB and a bit.
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let gateway = Identity::generate(&mut rng).signing.gateway_id();
    let clock = Clock::new();
    let unix = clock.unix_zero() + clock.now().since(Instant::ZERO);
    let given: Vec<_> = (0..500)
        .map(|_| Given {
            tag: mixlet::message::SenderTag::random(&mut rng),
            to: Identity::generate(&mut rng).address(gateway).unwrap(),
            since: unix.as_secs(),
            keys: (0..20).map(|_| ReplyKey::random(&mut rng)).collect(),
        })
        .collect();
    let pages = given.chunks(10).map(|entries| Some(write_page(entries).into()));
    let batch: Vec<_> = (0..).map(|number| Record::Page(Shelf::Given, number)).zip(pages).collect();
    store.write(&batch).await.unwrap();
    drop(store);

    let mut config = Config::with_topology(String::new(), clock.unix_zero());
    config.keeps_pages = true;
    let mut client: Client = Client::new(config, Identity::generate(&mut rng), None, Box::new(rng), clock.now());
    let store = open(&profile).await;
    let start = clock.now();
    let pages = store.load_pages(&Shelf::ALL).await.unwrap();
    let read = clock.now().since(start);
    for (record, bytes) in pages {
        client.restore(record, bytes.as_ref().map(|bytes| bytes.as_slice()), clock.now());
    }
    let took = clock.now().since(start);
    let keys = client.engine().bounds().into_iter().find(|bound| bound.name == "reply keys").unwrap();
    assert_eq!(keys.len, 10_000);
    wasm_bindgen_test::console_log!("10,000 reply keys in {took:?}, of it {read:?} for reading them");
    // As it is shipped it takes a fraction of what it takes unoptimised on a busy machine.
    let most = if cfg!(debug_assertions) { 500 } else { 100 };
    assert!(took < Duration::from_millis(most), "{took:?}");
}

#[test]
async fn two_first_openings_at_once_agree_on_the_keys() {
    let profile = fresh("race").await;
    let (one, other) = join(open(&profile), open(&profile)).await;
    one.save(Record::Identity, b"by one").await.unwrap();
    other.save(Record::Registration, b"by the other").await.unwrap();
    assert_eq!(loaded(&other, Record::Identity).await, Ok(Some(b"by one".to_vec())));
    assert_eq!(loaded(&one, Record::Registration).await, Ok(Some(b"by the other".to_vec())));
}

#[test]
async fn profiles_do_not_share_records() {
    let (alice, bob) = (fresh("alice").await, fresh("bob").await);
    open(&alice).await.save(Record::Identity, b"alice").await.unwrap();
    assert_eq!(loaded(&open(&bob).await, Record::Identity).await, Ok(None));
}

#[test]
async fn no_secret_can_be_read_from_outside() {
    let profile = fresh("secrets").await;
    let (identity, registration) = (secret(0x51), secret(0xa7));
    let store = open(&profile).await;
    store.save(Record::Identity, &identity).await.unwrap();
    store.save(Record::Registration, &registration).await.unwrap();

    // While the store is open, and after.
    assert_sealed(&raw(&profile).await, &[&identity, &registration]);
    drop(store);
    assert_sealed(&raw(&profile).await, &[&identity, &registration]);
}

#[test]
async fn the_search_for_secrets_finds_one_that_is_not_sealed() {
    let profile = fresh("search").await;
    let identity = secret(3);
    open(&profile).await.save(Record::Identity, b"x").await.unwrap();
    let plain: Vec<u8> = [&[7; 5], identity.as_slice(), &[9; 3]].concat();
    put(&profile, RECORDS, "plain", &Uint8Array::from(plain.as_slice())).await;
    assert!(shows(&raw(&profile).await, &identity));
}

#[test]
async fn the_same_record_looks_different_each_time() {
    let profile = fresh("nonces").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"same").await.unwrap();
    let first = get_bytes(&profile, RECORDS, "identity").await;
    store.save(Record::Identity, b"same").await.unwrap();
    assert_ne!(first, get_bytes(&profile, RECORDS, "identity").await);
}

#[test]
async fn the_browser_does_not_export_the_wrapping_key() {
    let profile = fresh("export").await;
    open(&profile).await;
    let key: CryptoKey = get(&profile, KEYS, WRAPPING_KEY).await.dyn_into().unwrap();
    assert!(!key.extractable());
    let crypto = Reflect::get(&js_sys::global(), &"crypto".into()).unwrap().unchecked_into::<web_sys::Crypto>();
    for format in ["raw", "jwk"] {
        let exported: Promise = crypto.subtle().export_key(format, &key).unwrap();
        let error = JsFuture::from(exported).await.unwrap_err();
        assert_eq!(name_of(&error), "InvalidAccessError");
    }
}

#[test]
async fn a_record_with_any_bit_flipped_is_refused_and_left_alone() {
    let profile = fresh("flip").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    let whole = get_bytes(&profile, RECORDS, "identity").await;
    // Every byte after the version, a different bit of each.
    for position in 1..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 1 << (position % 8);
        put(&profile, RECORDS, "identity", &Uint8Array::from(damaged.as_slice())).await;
        assert_eq!(loaded(&store, Record::Identity).await, Err(StorageError::Corrupt), "byte {position}");
        assert_eq!(get_bytes(&profile, RECORDS, "identity").await, damaged);
    }
    put(&profile, RECORDS, "identity", &Uint8Array::from(whole.as_slice())).await;
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn a_record_cut_at_any_length_is_refused() {
    let profile = fresh("cut").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    let whole = get_bytes(&profile, RECORDS, "identity").await;
    for len in 0..whole.len() {
        put(&profile, RECORDS, "identity", &Uint8Array::from(&whole[..len])).await;
        assert_eq!(loaded(&store, Record::Identity).await, Err(StorageError::Corrupt), "{len} bytes");
    }
}

#[test]
async fn records_do_not_open_under_another_name() {
    let profile = fresh("swap").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    store.save(Record::Registration, b"gate").await.unwrap();
    let identity = get(&profile, RECORDS, "identity").await;
    let registration = get(&profile, RECORDS, "registration").await;
    put(&profile, RECORDS, "identity", &registration).await;
    put(&profile, RECORDS, "registration", &identity).await;
    assert_eq!(loaded(&store, Record::Identity).await, Err(StorageError::Corrupt));
    assert_eq!(loaded(&store, Record::Registration).await, Err(StorageError::Corrupt));
}

#[test]
async fn records_do_not_open_in_another_profile() {
    let (alice, bob) = (fresh("from").await, fresh("into").await);
    open(&alice).await.save(Record::Identity, b"alice").await.unwrap();
    let store = open(&bob).await;
    put(&bob, RECORDS, "identity", &get(&alice, RECORDS, "identity").await).await;
    assert_eq!(loaded(&store, Record::Identity).await, Err(StorageError::Corrupt));
}

#[test]
async fn a_record_that_is_no_bytes_or_too_long_is_refused() {
    let profile = fresh("no-bytes").await;
    let store = open(&profile).await;
    let long = Uint8Array::new_with_length(mixlet::limits::RECORD_LEN_MAX + 1);
    long.fill(RECORD_VERSION, 0, 1);
    for value in [JsValue::from_str("text"), JsValue::from_f64(1.0), Object::new().into(), long.into()] {
        put(&profile, RECORDS, "identity", &value).await;
        assert_eq!(loaded(&store, Record::Identity).await, Err(StorageError::Corrupt));
    }
}

#[test]
async fn a_record_of_a_newer_version_says_so() {
    let profile = fresh("newer-record").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"keys").await.unwrap();
    let mut newer = get_bytes(&profile, RECORDS, "identity").await;
    newer[0] = RECORD_VERSION + 1;
    put(&profile, RECORDS, "identity", &Uint8Array::from(newer.as_slice())).await;
    assert_eq!(loaded(&store, Record::Identity).await, Err(StorageError::Newer));
}

#[test]
async fn a_database_of_a_newer_version_says_so_and_is_left_alone() {
    let profile = fresh("newer-database").await;
    open(&profile).await.save(Record::Identity, b"keys").await.unwrap();
    newer_database(&profile).await.close();
    assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Newer));
    let newer = newer_database(&profile).await;
    assert_eq!(newer.store_names(), ["keys", "later", "mail", "records"]);
    newer.close();
}

#[test]
async fn damaged_keys_are_refused_and_nothing_is_replaced() {
    let profile = fresh("damaged-keys").await;
    open(&profile).await.save(Record::Identity, b"keys").await.unwrap();
    let record = get_bytes(&profile, RECORDS, "identity").await;
    let wrapped = get_bytes(&profile, KEYS, DATA_KEY).await;
    let wrapping = get(&profile, KEYS, WRAPPING_KEY).await;

    let mut flipped = wrapped.clone();
    flipped[20] ^= 1;
    let other = fresh("other-keys").await;
    open(&other).await;
    let damages: [(&str, JsValue); 6] = [
        (DATA_KEY, Uint8Array::from(flipped.as_slice()).into()),
        (DATA_KEY, Uint8Array::from(&wrapped[..20]).into()),
        (DATA_KEY, Uint8Array::new_with_length(0).into()),
        (DATA_KEY, get(&other, KEYS, DATA_KEY).await),
        (WRAPPING_KEY, get(&other, KEYS, WRAPPING_KEY).await),
        (WRAPPING_KEY, JsValue::from_str("no key")),
    ];
    for (key, damage) in damages {
        put(&profile, KEYS, key, &damage).await;
        assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Corrupt), "{key}");
        put(&profile, KEYS, DATA_KEY, &Uint8Array::from(wrapped.as_slice())).await;
        put(&profile, KEYS, WRAPPING_KEY, &wrapping).await;
    }
    for key in [DATA_KEY, WRAPPING_KEY] {
        let taken = get(&profile, KEYS, key).await;
        delete(&profile, KEYS, key).await;
        assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Corrupt), "{key} is missing");
        put(&profile, KEYS, key, &taken).await;
    }

    assert_eq!(get_bytes(&profile, RECORDS, "identity").await, record);
    assert_eq!(loaded(&open(&profile).await, Record::Identity).await, Ok(Some(b"keys".to_vec())));
}

#[test]
async fn records_without_any_key_are_not_taken_for_a_new_store() {
    let profile = fresh("keyless").await;
    open(&profile).await.save(Record::Identity, b"keys").await.unwrap();
    delete(&profile, KEYS, DATA_KEY).await;
    delete(&profile, KEYS, WRAPPING_KEY).await;
    assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Corrupt));
    assert!(raw(&profile).await.iter().all(|(store, _, _)| store == RECORDS));
}

#[test]
async fn a_wrapped_key_of_a_newer_version_says_so() {
    let profile = fresh("newer-key").await;
    open(&profile).await;
    let mut newer = get_bytes(&profile, KEYS, DATA_KEY).await;
    newer[0] = WITH_PASSPHRASE + 1;
    put(&profile, KEYS, DATA_KEY, &Uint8Array::from(newer.as_slice())).await;
    assert_eq!(Store::open(&profile).await.err(), Some(StorageError::Newer));
}

#[test]
async fn without_indexed_db_storage_is_blocked() {
    let _none = Replaced::global("indexedDB", &JsValue::UNDEFINED);
    assert_eq!(Store::open("nowhere").await.err(), Some(StorageError::Blocked));
}

#[test]
async fn a_browser_that_refuses_to_open_blocks_storage() {
    let refusal = js("return () => { throw new DOMException('no', 'SecurityError') }");
    let _refusing = Replaced::member(js("return IDBFactory.prototype").unchecked_into(), "open", &refusal);
    assert_eq!(Store::open("nowhere").await.err(), Some(StorageError::Blocked));
}

#[test]
async fn a_browser_that_never_answers_says_that_somebody_holds_the_store() {
    // Behind a tab that holds on, requests stay open for ever. The timer is made quick, so nobody has to wait.
    let _quick = Replaced::global("setTimeout", &js("const real = setTimeout; return handler => real(handler, 0)"));
    let silent = js("return () => { \
         const request = Object.create(IDBOpenDBRequest.prototype); \
         for (const name of ['onsuccess', 'onerror', 'onupgradeneeded']) \
           Object.defineProperty(request, name, { writable: true }); \
         return request }");
    let _silent = Replaced::member(js("return IDBFactory.prototype").unchecked_into(), "open", &silent);
    assert_eq!(Store::open("silent").await.err(), Some(StorageError::Held));
}

#[test]
async fn without_web_crypto_the_runtime_is_unsupported() {
    let profile = fresh("no-crypto").await;
    let _none = Replaced::global("crypto", &Object::new());
    let error = Store::open(&profile).await.err().unwrap();
    assert_eq!(error, StorageError::Unsupported);
    assert_eq!(error.code(), Code::UnsupportedRuntime);
}

#[test]
async fn a_write_without_room_is_reported_and_the_old_record_stays() {
    let profile = fresh("quota").await;
    let store = open(&profile).await;
    store.save(Record::Identity, b"old").await.unwrap();
    {
        let full = js("return () => { throw new DOMException('full', 'QuotaExceededError') }");
        let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
        assert_eq!(store.save(Record::Identity, b"new").await, Err(StorageError::Quota));
    }
    {
        // As a browser does that finds out when it commits.
        let full = js("const real = IDBObjectStore.prototype.put; \
             return function (...args) { \
               const request = real.apply(this, args); \
               request.addEventListener('success', () => this.transaction.abort()); \
               return request }");
        let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
        assert_eq!(store.save(Record::Identity, b"new").await, Err(StorageError::Quota));
    }
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"old".to_vec())));
}

#[test]
fn each_failure_has_the_code_of_the_api() {
    let codes = [
        (StorageError::Blocked, "storage-blocked"),
        (StorageError::Corrupt, "identity-corrupt"),
        (StorageError::Gone, "storage-blocked"),
        (StorageError::Held, "in-use"),
        (StorageError::Locked, "wrong-passphrase"),
        (StorageError::Passphrase, "wrong-passphrase"),
        (StorageError::Newer, "stored-by-newer-version"),
        (StorageError::Quota, "storage-quota"),
        (StorageError::Unsupported, "unsupported-runtime"),
    ];
    for (error, code) in codes {
        assert_eq!(error.code().as_str(), code);
    }
}

/// The name of a profile without a database.
pub async fn fresh(name: &str) -> String {
    let profile = format!("test-{name}");
    Rexie::delete(&database_name(&profile)).await.unwrap();
    profile
}

/// Everything in every store of a profile, over a connection of its own: store, key, bytes.
pub async fn raw(profile: &str) -> Vec<(String, String, Vec<u8>)> {
    all_of(connect(profile).await).await
}

/// The same over this connection, which is closed.
pub async fn all_of(database: Rexie) -> Vec<(String, String, Vec<u8>)> {
    let mut found = Vec::new();
    for store in database.store_names() {
        let transaction = database.transaction(&[&store], TransactionMode::ReadOnly).unwrap();
        for (key, value) in transaction.store(&store).unwrap().scan(None, None, None, None).await.unwrap() {
            found.push((store.clone(), key.as_string().unwrap(), flat(&value)));
        }
    }
    database.close();
    found
}

/// Asserts that no eight bytes in a row of any secret are in any record, and that there are records.
pub fn assert_sealed(records: &[(String, String, Vec<u8>)], secrets: &[&[u8]]) {
    assert!(records.iter().any(|(store, key, _)| store == RECORDS && key == "identity"));
    assert!(records.iter().any(|(store, key, _)| store == RECORDS && key == "registration"));
    assert!(records.iter().any(|(store, key, _)| store == KEYS && key == DATA_KEY));
    for secret in secrets {
        assert!(!shows(records, secret));
    }
}

pub fn shows(records: &[(String, String, Vec<u8>)], secret: &[u8]) -> bool {
    assert!(secret.len() >= 8);
    records.iter().any(|(_, _, bytes)| secret.windows(8).any(|part| bytes.windows(8).any(|window| window == part)))
}

/// Writes a value as it is.
pub async fn put(profile: &str, store: &str, key: &str, value: &JsValue) {
    let database = connect(profile).await;
    let transaction = database.transaction(&[store], TransactionMode::ReadWrite).unwrap();
    transaction.store(store).unwrap().put(value, Some(&key.into())).await.unwrap();
    assert!(transaction.done().await.unwrap().is_committed());
    database.close();
}

/// Reads a value as it is.
pub async fn get(profile: &str, store: &str, key: &str) -> JsValue {
    let database = connect(profile).await;
    let transaction = database.transaction(&[store], TransactionMode::ReadOnly).unwrap();
    let value = transaction.store(store).unwrap().get(key.into()).await.unwrap().unwrap();
    database.close();
    value
}

/// Reads bytes as they are.
pub async fn get_bytes(profile: &str, store: &str, key: &str) -> Vec<u8> {
    get(profile, store, key).await.dyn_into::<Uint8Array>().unwrap().to_vec()
}

pub async fn delete(profile: &str, store: &str, key: &str) {
    let database = connect(profile).await;
    let transaction = database.transaction(&[store], TransactionMode::ReadWrite).unwrap();
    transaction.store(store).unwrap().delete(key.into()).await.unwrap();
    assert!(transaction.done().await.unwrap().is_committed());
    database.close();
}

pub async fn connect(profile: &str) -> Rexie {
    Rexie::builder(&database_name(profile))
        .version(DATABASE_VERSION)
        .add_object_store(ObjectStore::new(KEYS))
        .add_object_store(ObjectStore::new(RECORDS))
        .add_object_store(ObjectStore::new(MAIL))
        .build()
        .await
        .unwrap()
}

async fn newer_database(profile: &str) -> Rexie {
    Rexie::builder(&database_name(profile))
        .version(DATABASE_VERSION + 1)
        .add_object_store(ObjectStore::new(KEYS))
        .add_object_store(ObjectStore::new(RECORDS))
        .add_object_store(ObjectStore::new(MAIL))
        .add_object_store(ObjectStore::new("later"))
        .build()
        .await
        .unwrap()
}

async fn open(profile: &str) -> Store {
    Store::open(profile).await.unwrap()
}

pub async fn loaded_pages(store: &Store) -> Vec<(Record, Option<Vec<u8>>)> {
    let pages = store.load_pages(&Shelf::ALL).await.unwrap().into_iter();
    pages.map(|(record, bytes)| (record, bytes.map(|bytes| bytes.to_vec()))).collect()
}

pub async fn loaded(store: &Store, record: Record) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(store.load(record).await?.map(|bytes| bytes.to_vec()))
}

/// Bytes that do not repeat and that nothing else would contain.
fn secret(seed: u8) -> Vec<u8> {
    (0..160u16).map(|i| seed.wrapping_add((i as u8).wrapping_mul(37)) ^ (i >> 3) as u8).collect()
}

/// All bytes and texts inside a value. A key that the browser keeps to itself has none.
fn flat(value: &JsValue) -> Vec<u8> {
    if let Some(text) = value.as_string() {
        text.into_bytes()
    } else if value.is_instance_of::<ArrayBuffer>() {
        Uint8Array::new(value).to_vec()
    } else if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        bytes.to_vec()
    } else if let Some(object) = value.dyn_ref::<Object>() {
        Object::values(object).iter().flat_map(|member| flat(&member)).collect()
    } else {
        Vec::new()
    }
}

fn name_of(error: &JsValue) -> String {
    Reflect::get(error, &"name".into()).unwrap().as_string().unwrap()
}
