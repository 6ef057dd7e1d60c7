//! The data key that is drawn anew after a change of the passphrase.

use js_sys::Uint8Array;
use mixlet::backup::Cost;
use mixlet::engine::{Record, Shelf};
use mixlet::web::store::{DATA_KEY, GENERATION, KEYS, MAIL, RECORDS, RENEW, StorageError, Store};
use wasm_bindgen_test::wasm_bindgen_test as test;
use zeroize::Zeroizing;

use crate::fakes::js;
use crate::store::{delete, fresh, get_bytes, loaded, put, raw};
use crate::vault::cut_short;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };
const KEPT: [(Record, &[u8]); 4] = [
    (Record::Identity, b"keys"),
    (Record::Page(Shelf::Given, 3), b"given"),
    (Record::Page(Shelf::Outbox, 4), b"outbox"),
    (Record::Page(Shelf::Inbox, 5), &[5; 100_000]),
];

#[test]
async fn an_old_copy_and_its_passphrase_open_nothing_that_is_there_later() {
    for (before, after) in [(None, Some("new")), (Some("old"), Some("new")), (Some("old"), None)] {
        let profile = filled("renewed", before).await;
        let copy = raw(&profile).await;
        let mut store = unlock(&profile, before, true).await.unwrap();
        store.set_passphrase(after, CHEAP).await.unwrap();
        drop(store);
        assert_eq!(get_bytes(&profile, RECORDS, "identity").await, found(&copy, RECORDS, "identity"));
        expect_all(&unlock(&profile, after, true).await.unwrap()).await;
        let names: Vec<_> = copy.iter().filter(|(store, ..)| store != KEYS).collect();
        assert_eq!(names.len(), KEPT.len());
        for (store, key, sealed) in names {
            assert_ne!(&get_bytes(&profile, store, key).await, sealed, "{key}");
        }
        // A second opening has nothing to draw.
        let now = raw(&profile).await;
        expect_all(&unlock(&profile, after, true).await.unwrap()).await;
        assert_eq!(raw(&profile).await, now);

        // What the copy gives away is the old data key.
        let wrapped = Uint8Array::from(found(&copy, KEYS, DATA_KEY).as_slice());
        put(&profile, KEYS, DATA_KEY, &wrapped).await;
        let thief = unlock(&profile, before, true).await.unwrap();
        for (record, _) in KEPT {
            assert_eq!(loaded(&thief, record).await, Err(StorageError::Corrupt));
        }
    }
}

#[test]
async fn who_has_the_store_open_goes_on_until_the_key_is_another() {
    let profile = filled("beside", Some("old")).await;
    let mut open = unlock(&profile, Some("old"), true).await.unwrap();
    let mut beside = unlock(&profile, Some("old"), false).await.unwrap();
    beside.set_passphrase(Some("new"), CHEAP).await.unwrap();
    drop(beside);
    open.save(Record::Identity, b"written later").await.unwrap();
    // Beside the other nothing is drawn.
    let beside = unlock(&profile, Some("new"), false).await.unwrap();
    assert_eq!(loaded(&beside, Record::Identity).await, Ok(Some(b"written later".to_vec())));
    assert!(!has(&profile, GENERATION).await);

    // Somebody whose lock was stolen, as while its page was frozen: what it writes nobody could read.
    let next = unlock(&profile, Some("new"), true).await.unwrap();
    let before = raw(&profile).await;
    assert_eq!(open.save(Record::Identity, b"too late").await, Err(StorageError::Held));
    assert_eq!(open.set_passphrase(Some("other"), CHEAP).await, Err(StorageError::Held));
    assert_eq!(raw(&profile).await, before);
    assert_eq!(loaded(&next, Record::Identity).await, Ok(Some(b"written later".to_vec())));
    next.save(Record::Identity, b"in time").await.unwrap();
}

#[test]
async fn cut_short_at_any_write_it_leaves_the_old_key_or_the_new_and_every_record() {
    cut_short(
        async || {
            let profile = filled("cut-renewal", Some("old")).await;
            let mut store = unlock(&profile, Some("old"), true).await.unwrap();
            store.set_passphrase(Some("new"), CHEAP).await.unwrap();
            profile
        },
        // It opens in any case.
        async |profile| expect_all(&unlock(profile, Some("new"), true).await.unwrap()).await,
        async |profile| {
            let failed = js("return globalThis.failed").is_truthy();
            assert_eq!(has(profile, GENERATION).await, !failed);
            assert_eq!(has(profile, RENEW).await, failed);
            // The next opening does it.
            expect_all(&unlock(profile, Some("new"), true).await.unwrap()).await;
            assert!(!has(profile, RENEW).await);
        },
    )
    .await;
}

#[test]
async fn a_record_that_does_not_open_keeps_the_key_and_is_left_alone() {
    let profile = filled("unreadable", None).await;
    let mut damaged = get_bytes(&profile, MAIL, "page/inbox/00000005").await;
    damaged[50] ^= 1;
    put(&profile, MAIL, "page/inbox/00000005", &Uint8Array::from(damaged.as_slice())).await;
    let mut store = unlock(&profile, None, true).await.unwrap();
    store.set_passphrase(Some("new"), CHEAP).await.unwrap();
    drop(store);
    let before = raw(&profile).await;
    let store = unlock(&profile, Some("new"), true).await.unwrap();
    assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
    assert_eq!(raw(&profile).await, before);
    drop(store);
    delete(&profile, MAIL, "page/inbox/00000005").await;
    drop(unlock(&profile, Some("new"), true).await.unwrap());
    assert!(!has(&profile, RENEW).await);
}

async fn filled(name: &str, passphrase: Option<&str>) -> String {
    let profile = fresh(name).await;
    let store = unlock(&profile, passphrase, true).await.unwrap();
    for (record, bytes) in KEPT {
        store.save(record, bytes).await.unwrap();
    }
    profile
}

async fn expect_all(store: &Store) {
    for (record, bytes) in KEPT {
        assert_eq!(loaded(store, record).await, Ok(Some(bytes.to_vec())));
    }
}

async fn has(profile: &str, key: &str) -> bool {
    raw(profile).await.iter().any(|(store, name, _)| store == KEYS && name == key)
}

fn found(records: &[(String, String, Vec<u8>)], store: &str, key: &str) -> Vec<u8> {
    records.iter().find(|(place, name, _)| place == store && name == key).unwrap().2.clone()
}

async fn unlock(profile: &str, passphrase: Option<&str>, is_alone: bool) -> Result<Store, StorageError> {
    Store::unlock(profile, CHEAP, is_alone, async || Some(Zeroizing::new(passphrase?.to_owned()))).await
}
