//! Sums over all visits of a profile.

use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Object, Uint8Array};
use mixlet::web::store::{RECORDS, StorageError};
use mixlet::web::tally::{Sums, Tally, parse, write};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::devnet;
use crate::fakes::{Replaced, js};
use crate::page::{Page, get, number, options, set, text};
use crate::store::{fresh, get_bytes, put, raw};
use crate::vault::errand;

const DELIVERED: u32 = 12;
const RECEIVED: u32 = 13;

#[test]
fn the_record_is_a_version_and_the_sums_one_after_the_other() {
    let sums: Sums = core::array::from_fn(|place| if place == 0 { 1_764_000_000 } else { place as u64 });
    let mut expected = vec![1, 0, 0, 0, 0, 0x69, 0x24, 0x81, 0];
    for place in 1..16 {
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, place]);
    }
    assert_eq!(write(&sums), expected);
    assert_eq!(parse(&expected), Some(sums));
    let mut newer = expected.clone();
    newer[0] = 2;
    let long = [expected.as_slice(), &[0; 8]].concat();
    for damaged in [&[][..], &expected[..1], &expected[..expected.len() - 1], &long, &newer] {
        assert_eq!(parse(damaged), None);
    }
}

#[test]
fn what_cannot_be_read_begins_anew_and_is_counted() {
    let stats = mixlet::engine::Stats { bytes_in: 7, ..Default::default() };
    let full = write(&[u64::MAX; 16]);
    let records = [
        (Ok(None), 0, 1),
        (Ok(Some(full.clone().into())), 0, u64::MAX),
        (Ok(Some(full[1..].to_vec().into())), 1, 1),
        (Err(StorageError::Corrupt), 1, 1),
    ];
    for (record, damaged, visits) in records {
        let tally = Tally::begin(record, 5);
        let sums = tally.sums(&stats);
        assert_eq!((tally.damaged(), sums[1]), (damaged, visits));
        // Nothing overflows.
        let expected = if visits == 1 { (5, 7) } else { (u64::MAX, u64::MAX) };
        assert_eq!((sums[0], sums[10]), expected);
    }
}

#[test]
async fn each_visit_adds_to_the_sums_until_they_are_not_wanted_any_more() {
    let profile = fresh("tally").await;
    let options = kept(&profile);
    let mut page = Page::new();
    let opened = page.call("open", &[("options", (&options).into())]).await.unwrap();
    let me = text(&opened, "address").unwrap();
    page.send(1, &me, b"to myself", "0");
    page.about("delivered", 1).await;
    page.event("received").await;
    let first = sums(&mut page).await.unwrap();
    assert_eq!((first[1], first[DELIVERED as usize], first[RECEIVED as usize]), (1.0, 1.0, 1.0));
    assert!(first[2] == 1.0 && first[5] > 0.0 && first[10] > 1_000.0 && first[11] > 1_000.0, "{first:?}");
    page.close().await;

    // This one ends without a word.
    let before = get_bytes(&profile, RECORDS, "tally").await;
    let mut page = Page::open(&options).await;
    let second = sums(&mut page).await.unwrap();
    assert_eq!((second[0], second[1], second[DELIVERED as usize]), (first[0], 2.0, 1.0));
    assert!(second.iter().zip(&first).all(|(now, before)| now >= before), "{second:?} {first:?}");
    // Written once it is connected.
    while get_bytes(&profile, RECORDS, "tally").await == before {}
    drop(page);
    let mut page = Page::open(&options).await;
    assert_eq!(sums(&mut page).await.unwrap()[1], 3.0);
    page.close().await;

    set(&options, "stats", "visit".into());
    assert!(is_stored(&profile).await);
    let mut page = Page::open(&options).await;
    assert_eq!(sums(&mut page).await, None);
    page.close().await;
    assert!(!is_stored(&profile).await);
    set(&options, "stats", "kept".into());
    set(&options, "storage", "memory".into());
    let mut page = Page::open(&options).await;
    assert_eq!(sums(&mut page).await, None);
    page.close().await;
    assert!(!is_stored(&profile).await);
}

#[test]
async fn they_are_written_every_ten_seconds_and_no_more() {
    let profile = fresh("tally-often").await;
    let counting = js("const real = IDBObjectStore.prototype.put; globalThis.tallies = 0; \
         return function (value, key) { \
           if (key === 'tally') globalThis.tallies += 1; \
           return real.call(this, value, key) }");
    let _counting = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &counting);
    let tallies = || js("return globalThis.tallies").as_f64().unwrap();
    let start = js("return performance.now()").as_f64().unwrap();
    let mut page = Page::open(&kept(&profile)).await;
    // Cover alone wakes the worker dozens of times a second.
    while tallies() < 2.0 {
        TimeoutFuture::new(5).await;
        assert!(js("return performance.now()").as_f64().unwrap() - start < 30_000.0);
    }
    let took = js("return performance.now()").as_f64().unwrap() - start;
    assert!(took > 9_900.0, "{took}");
    page.close().await;
    assert_eq!(tallies(), 3.0);
}

#[test]
async fn they_belong_to_the_identity_and_damage_is_no_harm() {
    let profile = fresh("tally-rotated").await;
    let options = kept(&profile);
    Page::open(&options).await.close().await;
    let mut damaged = get_bytes(&profile, RECORDS, "tally").await;
    damaged[40] ^= 1;
    put(&profile, RECORDS, "tally", &Uint8Array::from(damaged.as_slice())).await;
    let mut page = Page::open(&options).await;
    assert_eq!(sums(&mut page).await.unwrap()[1], 1.0);
    assert_eq!(number(&get(&page.call("stats", &[]).await.unwrap(), "dropped"), "page"), Some(1.0));
    page.close().await;
    assert!(is_stored(&profile).await);
    errand(&profile, "rotate", &[]).await.unwrap();
    assert!(!is_stored(&profile).await);
}

fn kept(profile: &str) -> Object {
    let options = options(devnet::directory(), profile);
    set(&options, "stats", "kept".into());
    options
}

async fn sums(page: &mut Page) -> Option<Vec<f64>> {
    let kept = get(&page.call("stats", &[]).await.unwrap(), "kept");
    kept.dyn_into().ok().map(|sums: Array| sums.iter().map(|sum: JsValue| sum.as_f64().unwrap()).collect())
}

async fn is_stored(profile: &str) -> bool {
    raw(profile).await.iter().any(|(store, key, _)| store == RECORDS && key == "tally")
}
