//! Errands: what is done with the store of a profile that is not open.

use std::cell::Cell;

use js_sys::{Array, Object, Uint8Array};
use mixlet::engine::{Record, Shelf};
use mixlet::web::store::{RECORDS, StorageError, Store, database_name};
use rexie::Rexie;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::devnet;
use crate::fakes::{Replaced, js};
use crate::page::{Page, Refusal, bytes, get, json, object, options, set, text};
use crate::store::{fresh, get_bytes, loaded, put};

const SECRET: &str = "correct horse battery staple";

#[test]
async fn an_exported_identity_brings_its_address_into_another_profile() {
    let (from, to) = (connected("export-from").await, fresh("import-into").await);
    let exported = errand(&from.profile, "export", &[("secret", SECRET.into())]).await.unwrap();
    assert_eq!(text(&exported, "address"), Some(from.address.clone()));
    let file = bytes(&exported, "file");
    let wrong = import(&to, &file, "another", false).await.unwrap_err();
    assert_eq!(wrong.code, "wrong-passphrase");
    let imported = import(&to, &file, SECRET, false).await.unwrap();
    assert_eq!(text(&imported, "address"), Some(from.address.clone()));
    let mut page = Page::new();
    let opened = page.call("open", &[("options", options(devnet::directory(), &to).into())]).await.unwrap();
    assert_eq!(text(&opened, "address"), Some(from.address.clone()));
    assert_eq!(get(&opened, "exported"), JsValue::TRUE);
    page.close().await;
    assert_eq!(devnet::count(&from.address, "registrations").await, 1.0);
}

#[test]
async fn another_identity_is_replaced_only_where_that_is_wanted() {
    let (one, other) = (connected("conflict-one").await, connected("conflict-other").await);
    let exported = errand(&one.profile, "export", &[("secret", SECRET.into())]).await.unwrap();
    let file = bytes(&exported, "file");
    let refused = import(&other.profile, &file, SECRET, false).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.phase.as_deref()), ("identity-conflict", Some("storage")));
    assert_eq!(reopened(&other.profile).await, other.address);
    import(&other.profile, &file, SECRET, true).await.unwrap();
    assert_eq!(reopened(&other.profile).await, one.address);
    // The same once more is no conflict.
    import(&other.profile, &file, SECRET, false).await.unwrap();
    assert_eq!(reopened(&other.profile).await, one.address);
}

#[test]
async fn files_that_are_none_are_refused_before_anything_is_stored() {
    let profile = fresh("no-file").await;
    for file in [&[][..], b"mixletid", &[0; 5_000]] {
        assert_eq!(import(&profile, file, SECRET, true).await.unwrap_err().code, "identity-file-invalid");
    }
    assert_eq!(import(&profile, b"mixletid\x09", SECRET, true).await.unwrap_err().code, "stored-by-newer-version");
}

#[test]
async fn without_an_address_there_is_nothing_to_export() {
    let profile = fresh("nothing-to-export").await;
    let refused = errand(&profile, "export", &[("secret", SECRET.into())]).await.unwrap_err();
    assert_eq!(refused.code, "not-connected");
}

#[test]
async fn a_rotated_identity_is_another_one_with_the_mail_of_the_old() {
    let old = connected("rotate").await;
    let store = Store::open(&old.profile).await.unwrap();
    store.save(Record::Page(Shelf::Given, 900), b"old").await.unwrap();
    store.save(Record::Page(Shelf::Inbox, 900), b"mail").await.unwrap();
    drop(store);
    errand(&old.profile, "rotate", &[]).await.unwrap();
    let store = Store::open(&old.profile).await.unwrap();
    assert_eq!(loaded(&store, Record::Page(Shelf::Given, 900)).await, Ok(None));
    assert_eq!(loaded(&store, Record::Registration).await, Ok(None));
    assert_eq!(loaded(&store, Record::Page(Shelf::Inbox, 900)).await, Ok(Some(b"mail".to_vec())));
    drop(store);
    assert_ne!(reopened(&old.profile).await, old.address);
}

#[test]
async fn the_outbox_of_a_client_that_does_not_run_is_listed_filled_and_thinned_out() {
    let kept = connected("early").await;
    let listed = |answer: &JsValue| {
        let list: Array = get(answer, "outbox").unchecked_into();
        list.iter().map(|one| (text(&one, "id").unwrap(), text(&one, "state").unwrap())).collect::<Vec<_>>()
    };
    let id = |key: u8| format!("{key:02x}").repeat(16);
    assert_eq!(listed(&change_outbox(&kept.profile, &[], &[]).await.unwrap()), []);
    let letters = [letter(1, &kept.address, b"one"), letter(2, &kept.address, b"two"), letter(3, &kept.address, b"")];
    let answer = change_outbox(&kept.profile, &letters, &[]).await.unwrap();
    assert_eq!(listed(&answer), [1, 2, 3].map(|key| (id(key), "queued".to_owned())));
    assert_eq!(json(&get(&answer, "refused")), "[]");
    // One that is there, one that cannot be, and one that goes.
    let large = vec![0; mixlet::limits::MESSAGE_LEN_MAX + 1];
    let letters =
        [letter(1, &kept.address, b"again"), letter(4, &kept.address, &large), letter(5, &kept.address, b"five")];
    let answer = change_outbox(&kept.profile, &letters, &[3, 9]).await.unwrap();
    assert_eq!(listed(&answer), [1, 2, 5].map(|key| (id(key), "queued".to_owned())));
    let refused: Array = get(&answer, "refused").unchecked_into();
    let refused: Vec<_> = refused.iter().map(|one| (text(&one, "id"), text(&get(&one, "error"), "code"))).collect();
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(refused, [(Some(id(1)), code("config-invalid")), (Some(id(4)), code("too-large"))]);

    let mut page = Page::open(&options(devnet::directory(), &kept.profile)).await;
    let mut arrived = Vec::new();
    for _ in 0..3 {
        arrived.push(bytes(&page.event("received").await, "body"));
    }
    arrived.sort();
    assert_eq!(arrived, [&b"five"[..], b"one", b"two"]);
    page.close().await;
}

#[test]
async fn what_is_no_letter_is_refused() {
    let Kept { profile, address } = connected("no-letter").await;
    for spoil in ["key", "wire", "expiresAt", "to", "body", "options"] {
        let letter = letter(1, &address, b"x");
        set(&letter, spoil, JsValue::NULL);
        assert_eq!(change_outbox(&profile, &[letter], &[]).await.unwrap_err().code, "config-invalid", "{spoil}");
    }
    let stranger = change_outbox(&profile, &[letter(1, "nobody", b"x")], &[]).await.unwrap_err();
    assert_eq!(stranger.code, "address-invalid");
    let fields = [("letters", Array::new().into()), ("cancelled", Array::of1(&1.into()).into())];
    assert_eq!(errand(&profile, "outbox", &fields).await.unwrap_err().code, "config-invalid");
}

#[test]
async fn what_cannot_be_read_is_not_rotated_but_can_be_replaced_and_destroyed() {
    let (one, other) = (connected("damaged-one").await, connected("damaged-other").await);
    let file = bytes(&errand(&one.profile, "export", &[("secret", SECRET.into())]).await.unwrap(), "file");
    let mut damaged = get_bytes(&other.profile, RECORDS, "identity").await;
    damaged[30] ^= 1;
    put(&other.profile, RECORDS, "identity", &Uint8Array::from(damaged.as_slice())).await;
    assert_eq!(errand(&other.profile, "rotate", &[]).await.unwrap_err().code, "identity-corrupt");
    assert_eq!(import(&other.profile, &file, SECRET, false).await.unwrap_err().code, "identity-corrupt");
    assert_eq!(get_bytes(&other.profile, RECORDS, "identity").await, damaged);
    import(&other.profile, &file, SECRET, true).await.unwrap();
    assert_eq!(reopened(&other.profile).await, one.address);
    errand(&other.profile, "destroy", &[]).await.unwrap();
    assert_ne!(reopened(&other.profile).await, one.address);
}

#[test]
async fn a_passphrase_is_asked_for_when_it_is_needed_and_only_then() {
    let kept = connected("asked").await;
    let options = options(devnet::directory(), &kept.profile);
    set(&options, "passphrase", true.into());
    let mut page = Page::open(&options).await;
    assert!(page.so_far().iter().all(|message| text(message, "event").as_deref() != Some("passphrase-wanted")));
    page.close().await;
    errand(&kept.profile, "protect", &[("secret", "one".into())]).await.unwrap();

    let mut page = Page::new();
    let id = page.ask("open", &[("options", (&options).into())]);
    answer(&mut page, "two").await;
    let refused = page.answer(id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.phase.as_deref()), ("wrong-passphrase", Some("storage")));
    let mut page = Page::new();
    let id = page.ask("open", &[("options", (&options).into())]);
    answer(&mut page, "one").await;
    assert_eq!(text(&page.answer(id).await.unwrap(), "address"), Some(kept.address));
    page.close().await;

    set(&options, "passphrase", false.into());
    let refused = Page::new().call("open", &[("options", (&options).into())]).await.unwrap_err();
    assert_eq!(refused.code, "wrong-passphrase");
    assert!(refused.text.contains("passphrase"), "{refused:?}");
    // Who has forgotten it can still destroy.
    errand(&kept.profile, "destroy", &[]).await.unwrap();
    Page::open(&options).await.close().await;
}

#[test]
async fn the_gateway_forgets_who_asks_for_it() {
    let profile = fresh("forget-me").await;
    let mut page = Page::new();
    let opened = page.call("open", &[("options", options(devnet::directory(), &profile).into())]).await.unwrap();
    let address = text(&opened, "address").unwrap();
    page.call("close", &[("drain", false.into()), ("timeoutMs", 5_000.into()), ("forgetMs", 5_000.into())])
        .await
        .unwrap();
    // The old key is unknown now, so the next connection registers the same keys anew.
    assert_eq!(reopened(&profile).await, address);
    assert_eq!(devnet::count(&address, "registrations").await, 2.0);
}

#[test]
async fn in_memory_an_identity_is_exported_and_comes_back() {
    let options = options(devnet::directory(), "nowhere");
    set(&options, "storage", "memory".into());
    let mut page = Page::new();
    let opened = page.call("open", &[("options", (&options).into())]).await.unwrap();
    assert!(get(&opened, "exported").is_undefined());
    let exported = page.call("export", &[("secret", SECRET.into())]).await.unwrap();
    page.close().await;
    let imported = object(&[("file", get(&exported, "file")), ("secret", SECRET.into())]);
    set(&options, "imported", imported.into());
    let again = Page::new().call("open", &[("options", (&options).into())]).await.unwrap();
    assert_eq!(text(&again, "address"), text(&opened, "address"));
}

#[test]
async fn where_nothing_can_be_kept_memory_is_used_only_if_that_was_chosen() {
    let profile = fresh("fall-back").await;
    let options = options(devnet::directory(), &profile);
    let full = "return function () { throw new DOMException('full', 'QuotaExceededError') }";
    let blocked = "return function () { throw new DOMException('no', 'SecurityError') }";
    for (on, name, body) in [("IDBObjectStore", "put", full), ("IDBFactory", "open", blocked)] {
        let prototype: Object = js(&format!("return {on}.prototype")).unchecked_into();
        let _broken = Replaced::member(prototype, name, &js(body));
        set(&options, "storage", "indexeddb".into());
        let code = if name == "put" { "storage-quota" } else { "storage-blocked" };
        assert_eq!(Page::new().call("open", &[("options", (&options).into())]).await.unwrap_err().code, code);
        set(&options, "storage", "indexeddb-or-memory".into());
        let mut page = Page::new();
        let opened = page.call("open", &[("options", (&options).into())]).await.unwrap();
        assert!(get(&opened, "exported").is_undefined());
        let told: Vec<_> =
            page.so_far().into_iter().filter(|event| text(event, "event").as_deref() == Some("volatile")).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(text(&get(&told[0], "error"), "code").as_deref(), Some(code));
        page.close().await;
    }
}

#[test]
async fn an_identity_that_cannot_be_read_is_never_replaced_by_one_in_memory() {
    let kept = connected("no-fall-back").await;
    let whole = get_bytes(&kept.profile, RECORDS, "identity").await;
    put(&kept.profile, RECORDS, "identity", &Uint8Array::from(&whole[..40])).await;
    let options = options(devnet::directory(), &kept.profile);
    set(&options, "storage", "indexeddb-or-memory".into());
    let refused = Page::new().call("open", &[("options", (&options).into())]).await.unwrap_err();
    assert_eq!(refused.code, "identity-corrupt");
}

#[test]
async fn a_store_that_is_taken_away_is_let_go_of_and_that_is_told_once() {
    let profile = fresh("taken-away").await;
    let mut page = Page::open(&options(devnet::directory(), &profile)).await;
    // Would wait for ever if anybody held on.
    Rexie::delete(&database_name(&profile)).await.unwrap();
    let gone = get(&page.event("volatile").await, "error");
    assert_eq!(text(&gone, "code").as_deref(), Some("storage-blocked"));
    page.close().await;
    let others = page.so_far();
    assert!(others.iter().all(|event| !matches!(text(event, "event").as_deref(), Some("volatile" | "error"))));
}

// ── cut short ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Does `work` again and again, each time with another write that fails, by throwing or by undoing its transaction,
/// until none is left to fail. After each the store is looked at.
pub async fn cut_short(prepare: impl AsyncFn() -> String, work: impl AsyncFn(&str), check: impl AsyncFn(&str)) {
    for undoes in [false, true] {
        let failed = Cell::new(true);
        let mut nth = 0;
        while failed.get() {
            let profile = prepare().await;
            js("globalThis.writes = 0; globalThis.failed = false");
            {
                let _put = Replaced::member(store_prototype(), "put", &failing("put", nth, undoes));
                let _delete = Replaced::member(store_prototype(), "delete", &failing("delete", nth, undoes));
                let _clear = Replaced::member(store_prototype(), "clear", &failing("clear", nth, undoes));
                work(&profile).await;
            }
            failed.set(js("return globalThis.failed").is_truthy());
            check(&profile).await;
            nth += 1;
            assert!(nth < 100);
        }
        assert!(nth > 1, "no write was cut short");
    }
}

fn store_prototype() -> Object {
    js("return IDBObjectStore.prototype").unchecked_into()
}

fn failing(name: &str, nth: u32, undoes: bool) -> JsValue {
    js(&format!(
        "const real = IDBObjectStore.prototype.{name}; \
         return function (...args) {{ \
           if (globalThis.writes++ !== {nth}) return real.apply(this, args); \
           globalThis.failed = true; \
           if (!{undoes}) throw new DOMException('full', 'QuotaExceededError'); \
           const request = real.apply(this, args); \
           request.addEventListener('success', () => this.transaction.abort()); \
           return request }}"
    ))
}

#[test]
async fn a_first_opening_cut_short_at_any_write_leaves_a_usable_store() {
    cut_short(
        async || fresh("cut-first").await,
        async |profile| {
            let mut page = Page::new();
            // A registration that was not kept is used all the same, and told of.
            if page.call("open", &[("options", options(devnet::directory(), profile).into())]).await.is_ok() {
                page.close().await;
            }
        },
        async |profile| {
            let first = reopened(profile).await;
            assert_eq!(reopened(profile).await, first);
        },
    )
    .await;
}

#[test]
async fn a_change_of_passphrase_cut_short_leaves_the_old_one_or_the_new() {
    cut_short(
        async || {
            let profile = fresh("cut-protect").await;
            Store::open(&profile).await.unwrap().save(Record::Identity, b"keys").await.unwrap();
            profile
        },
        async |profile| drop(errand(profile, "protect", &[("secret", SECRET.into())]).await),
        async |profile| {
            let none = Store::open(profile).await;
            let failed = js("return globalThis.failed").is_truthy();
            assert_eq!(none.is_ok(), failed);
            let store = match none {
                Ok(store) => store,
                Err(error) => {
                    assert_eq!(error, StorageError::Locked);
                    let ask = async || Some(SECRET.to_owned().into());
                    Store::unlock(profile, mixlet::backup::Cost { memory_kib: 8, passes: 1 }, true, ask).await.unwrap()
                }
            };
            assert_eq!(loaded(&store, Record::Identity).await, Ok(Some(b"keys".to_vec())));
        },
    )
    .await;
}

#[test]
async fn a_rotation_or_an_import_cut_short_leaves_the_one_identity_or_the_other_whole() {
    let (old, new) = (connected("cut-old").await, connected("cut-new").await);
    let export =
        async |profile: &str| bytes(&errand(profile, "export", &[("secret", SECRET.into())]).await.unwrap(), "file");
    let (old_file, new_file) = (export(&old.profile).await, export(&new.profile).await);
    let prepare = async || {
        let profile = fresh("cut-replace").await;
        import(&profile, &old_file, SECRET, false).await.unwrap();
        let store = Store::open(&profile).await.unwrap();
        store.save(Record::Page(Shelf::Given, 1), b"given").await.unwrap();
        store.save(Record::Page(Shelf::Inbox, 1), b"inbox").await.unwrap();
        profile
    };
    let old_keys = identity_of(&old.profile).await;
    let check = async |profile: &str| {
        let failed = js("return globalThis.failed").is_truthy();
        let is_old = identity_of(profile).await == old_keys;
        assert_eq!(is_old, failed);
        let store = Store::open(profile).await.unwrap();
        let given = loaded(&store, Record::Page(Shelf::Given, 1)).await.unwrap();
        assert_eq!(given.is_some(), failed, "what belongs to an identity goes and stays with it");
        assert!(loaded(&store, Record::Identity).await.unwrap().is_some());
    };
    cut_short(prepare, async |profile| drop(errand(profile, "rotate", &[]).await), check).await;
    cut_short(prepare, async |profile| drop(import(profile, &new_file, SECRET, true).await), check).await;
}

#[test]
async fn a_change_of_the_outbox_cut_short_leaves_all_of_it_or_nothing() {
    let kept = connected("cut-outbox").await;
    let prepare = async || {
        let profile = fresh("cut-outbox-now").await;
        change_outbox(&profile, &[letter(1, &kept.address, b"one")], &[]).await.unwrap();
        profile
    };
    let work = async |profile: &str| {
        let letters = [letter(2, &kept.address, b"two"), letter(3, &kept.address, b"three")];
        drop(change_outbox(profile, &letters, &[1]).await);
    };
    let check = async |profile: &str| {
        let failed = js("return globalThis.failed").is_truthy();
        let answer = change_outbox(profile, &[], &[]).await.unwrap();
        let list: Array = get(&answer, "outbox").unchecked_into();
        assert_eq!(list.length(), if failed { 1 } else { 2 });
    };
    cut_short(prepare, work, check).await;
}

/// A profile that has been connected, and its address.
struct Kept {
    profile: String,
    address: String,
}

async fn connected(name: &str) -> Kept {
    let profile = fresh(name).await;
    let address = reopened(&profile).await;
    Kept { profile, address }
}

/// Connects once more and says under which address.
async fn reopened(profile: &str) -> String {
    let mut page = Page::new();
    let opened = page.call("open", &[("options", options(devnet::directory(), profile).into())]).await.unwrap();
    page.close().await;
    text(&opened, "address").unwrap()
}

async fn identity_of(profile: &str) -> Vec<u8> {
    loaded(&Store::open(profile).await.unwrap(), Record::Identity).await.unwrap().unwrap()
}

pub async fn errand(profile: &str, task: &str, more: &[(&str, JsValue)]) -> Result<JsValue, Refusal> {
    let (no, yes) = (JsValue::FALSE, JsValue::TRUE);
    let fields = [("profile", profile.into()), ("passphrase", no), ("alone", yes), ("task", task.into())];
    Page::new().call("vault", &[&fields[..], more].concat()).await
}

async fn import(profile: &str, file: &[u8], secret: &str, replace: bool) -> Result<JsValue, Refusal> {
    let file = Uint8Array::from(file).into();
    errand(profile, "import", &[("file", file), ("secret", secret.into()), ("replace", replace.into())]).await
}

/// A message for the outbox, as a page writes it.
fn letter(key: u8, to: &str, body: &[u8]) -> Object {
    let id = |byte: u8| JsValue::from(Uint8Array::from(&[byte; 16][..]));
    let options = object(&[
        ("timeoutMs", JsValue::NULL),
        ("replies", 0.into()),
        ("reliable", true.into()),
        ("priority", 1.into()),
        ("receipt", JsValue::NULL),
        ("watched", false.into()),
    ]);
    object(&[
        ("message", 0.into()),
        ("key", id(key)),
        ("wire", id(key + 100)),
        ("expiresAt", 0.into()),
        ("to", to.into()),
        ("body", Uint8Array::from(body).into()),
        ("options", options.into()),
    ])
}

async fn change_outbox(profile: &str, letters: &[Object], cancelled: &[u8]) -> Result<JsValue, Refusal> {
    let cancelled: Array = cancelled.iter().map(|key| Uint8Array::from(&[*key; 16][..])).collect();
    let letters: Array = letters.iter().collect();
    errand(profile, "outbox", &[("letters", letters.into()), ("cancelled", cancelled.into())]).await
}

async fn answer(page: &mut Page, secret: &str) {
    page.event("passphrase-wanted").await;
    page.handle(&object(&[("op", "passphrase".into()), ("secret", secret.into())]));
}
