//! The whole client in a worker, against the devnet.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Object, Uint8Array};
use mixlet::engine::Record;
use mixlet::limits;
use mixlet::message::Address;
use mixlet::web::client::MixletClient;
use mixlet::web::store::{RECORDS, Store};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::fakes::{Replaced, js};
use crate::page::{Page, Refusal, bytes, get, number, object, options, set, text};
use crate::store::{assert_sealed, fresh, get_bytes, put, raw};
use crate::{devnet, tap::Tap};

// ── connecting ───────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
async fn connecting_passes_its_phases_and_ends_with_an_address() {
    let profile = fresh("connect").await;
    let mut page = Page::new();
    let opened = page.call("open", &[("options", options(devnet::directory(), &profile).into())]).await.unwrap();
    Address::parse(&text(&opened, "address").unwrap()).unwrap();
    let gateway = get(&opened, "gateway");
    assert!(text(&gateway, "url").unwrap().starts_with("ws://127.0.0.1:"));
    assert_eq!(format!("ws://{}", text(&gateway, "host").unwrap()), text(&gateway, "url").unwrap());
    assert_eq!((get(&gateway, "secure"), get(&gateway, "usable")), (JsValue::FALSE, JsValue::TRUE));

    let posted = page.so_far();
    let progress: Vec<_> = posted.iter().filter(|event| text(event, "event").as_deref() == Some("progress")).collect();
    let phases: Vec<String> = progress.iter().map(|event| text(event, "phase").unwrap()).collect();
    assert_eq!(phases, ["storage", "topology", "gateway", "auth", "bandwidth"]);
    let fractions: Vec<f64> = progress.iter().map(|event| number(event, "fraction").unwrap()).collect();
    assert!(fractions.is_sorted() && fractions[0] >= 0.0 && fractions[4] <= 1.0, "{fractions:?}");
    let states: Vec<String> = posted.iter().filter_map(|event| text(event, "state")).collect();
    assert_eq!(states, ["connecting", "ready"]);
    page.close().await;
}

#[test]
async fn a_message_of_a_durable_inbox_is_done_when_the_store_does_not_have_it_any_more() {
    let profile = fresh("done").await;
    let options = options(devnet::directory(), &profile);
    set(&options, "inbox", "durable".into());
    let mut page = Page::new();
    let opened = page.call("open", &[("options", (&options).into())]).await.unwrap();
    let me = text(&opened, "address").unwrap();
    page.handle(&object(&[("op", "take".into()), ("taking", true.into())]));
    let stored = async || {
        let all = raw(&profile).await;
        all.iter().filter(|(_, key, _)| key.starts_with("page/inbox/")).count()
    };
    for round in 0..3 {
        let id = page.send(round, &me, &[7; 100], "0");
        page.answer(id).await.unwrap();
        let kept = get(&page.event("received").await, "kept");
        assert_eq!(stored().await, 1);
        page.call("done", &[("kept", kept.clone())]).await.unwrap();
        assert_eq!(stored().await, 0);
        // Once more is fine.
        page.call("done", &[("kept", kept)]).await.unwrap();
    }
    page.close().await;
}

#[test]
async fn a_reload_keeps_the_address_and_logs_in_without_registering() {
    let profile = fresh("reload").await;
    let options = options(devnet::directory(), &profile);
    let first = address(&mut Page::new(), &options).await;
    // The page is gone without a word, as in a reload.
    let second = address(&mut Page::new(), &options).await;
    assert_eq!(first, second);
    // Who has just registered is in already: the one login is that of the reload.
    assert_eq!(devnet::count(&first, "registrations").await, 1.0);
    assert_eq!(devnet::count(&first, "logins").await, 1.0);
}

#[test]
async fn a_second_start_needs_no_directory() {
    let profile = fresh("no-directory").await;
    let options = options(devnet::directory(), &profile);
    let mut page = Page::new();
    let first = address(&mut page, &options).await;
    page.close().await;
    let _silent = Replaced::global("fetch", &js("return () => new Promise(() => {})"));
    let mut page = Page::new();
    let second = address(&mut page, &options).await;
    assert_eq!(first, second);
    talks_to_itself(&mut page, &second).await;
    page.close().await;
}

#[test]
async fn a_stored_topology_that_cannot_be_read_or_written_is_no_harm() {
    let profile = fresh("topology-damaged").await;
    let options = options(devnet::directory(), &profile);
    let mut page = Page::new();
    let first = address(&mut page, &options).await;
    page.close().await;
    let whole = get_bytes(&profile, RECORDS, "topology").await;
    for damage in [whole[..whole.len() - 1].to_vec(), vec![200; 80], Vec::new()] {
        put(&profile, RECORDS, "topology", &Uint8Array::from(damage.as_slice())).await;
        let mut page = Page::new();
        assert_eq!(address(&mut page, &options).await, first);
        page.close().await;
        assert_ne!(get_bytes(&profile, RECORDS, "topology").await, damage, "a new one is kept");
    }

    let full = js("const real = IDBObjectStore.prototype.put; \
         return function (value, key) { \
           if (key === 'topology') throw new DOMException('full', 'QuotaExceededError'); \
           return real.call(this, value, key) }");
    let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
    let profile = fresh("topology-unsaved").await;
    let mut page = Page::new();
    let options = crate::page::options(devnet::directory(), &profile);
    address(&mut page, &options).await;
    assert!(page.so_far().iter().all(|event| text(event, "event").as_deref() != Some("error")));
    page.close().await;
}

#[test]
async fn what_is_kept_of_a_real_client_shows_no_secret() {
    let profile = fresh("sealed").await;
    let options = options(devnet::directory(), &profile);
    let mut page = Page::open(&options).await;
    let while_open = raw(&profile).await;
    page.close().await;
    let afterwards = raw(&profile).await;

    let store = Store::open(&profile).await.unwrap();
    let identity = store.load(Record::Identity).await.unwrap().unwrap();
    let registration = store.load(Record::Registration).await.unwrap().unwrap();
    // Seed, encryption key and ack key; and the shared key among what belongs to the gateway.
    assert_eq!(identity.len(), 81);
    assert!(registration.len() > 73);
    assert_sealed(&while_open, &[&identity, &registration]);
    assert_sealed(&afterwards, &[&identity, &registration]);
}

#[test]
async fn in_memory_nothing_is_kept_and_no_database_is_needed() {
    let options = options(devnet::directory(), "nowhere");
    set(&options, "storage", "memory".into());
    let _none = Replaced::global("indexedDB", &JsValue::UNDEFINED);
    let (mut one, mut other) = (Page::new(), Page::new());
    assert_ne!(address(&mut one, &options).await, address(&mut other, &options).await);
    one.close().await;
    other.close().await;
}

#[test]
async fn the_named_gateway_is_taken() {
    let gateways: js_sys::Array = get(&devnet::ask("/").await, "gateways").unchecked_into();
    for gateway in gateways.iter() {
        let id = text(&gateway, "id").unwrap();
        let options = in_memory();
        set(&options, "gatewayId", id.as_str().into());
        let mut page = Page::new();
        assert!(address(&mut page, &options).await.ends_with(&format!("@{id}")));
        page.close().await;
    }
}

// ── failing to connect ───────────────────────────────────────────────────────────────────────────────────────────────

#[test]
async fn without_storage_opening_is_refused() {
    let _none = Replaced::global("indexedDB", &JsValue::UNDEFINED);
    let refused = refusal(&options(devnet::directory(), "blocked")).await;
    assert_eq!((refused.code.as_str(), refused.phase.as_deref()), ("storage-blocked", Some("storage")));
}

#[test]
async fn keys_that_cannot_be_read_are_refused_and_left_alone() {
    let profile = fresh("unreadable").await;
    let options = options(devnet::directory(), &profile);
    let mut page = Page::open(&options).await;
    page.close().await;
    let whole = get_bytes(&profile, RECORDS, "identity").await;
    let mut damaged = whole.clone();
    damaged[30] ^= 4;
    put(&profile, RECORDS, "identity", &Uint8Array::from(damaged.as_slice())).await;
    let refused = refusal(&options).await;
    assert_eq!((refused.code.as_str(), refused.retriable), ("identity-corrupt", false));
    assert_eq!(get_bytes(&profile, RECORDS, "identity").await, damaged);
}

#[test]
async fn a_registration_without_keys_is_no_new_client() {
    let profile = fresh("keys-gone").await;
    let options = options(devnet::directory(), &profile);
    Page::open(&options).await.close().await;
    Store::open(&profile).await.unwrap().forget(Record::Identity).await.unwrap();
    assert_eq!(refusal(&options).await.code, "identity-corrupt");
}

#[test]
async fn keys_of_a_newer_version_say_so() {
    let profile = fresh("newer-keys").await;
    let store = Store::open(&profile).await.unwrap();
    store.save(Record::Identity, &[200; 81]).await.unwrap();
    drop(store);
    assert_eq!(refusal(&options(devnet::directory(), &profile)).await.code, "stored-by-newer-version");
}

#[test]
async fn keys_that_cannot_be_saved_are_not_used() {
    let profile = fresh("unsaved").await;
    let tap = Tap::new();
    // Only records: the keys of the store itself are written before.
    let full = js("const real = IDBObjectStore.prototype.put; \
         return function (...args) { \
           if (this.name === 'records') throw new DOMException('full', 'QuotaExceededError'); \
           return real.apply(this, args) }");
    let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
    let refused = refusal(&options(devnet::directory(), &profile)).await;
    assert_eq!((refused.code.as_str(), refused.retriable), ("storage-quota", true));
    assert_eq!(tap.sockets(), 0);
}

#[test]
async fn a_registration_that_cannot_be_saved_is_reported_and_used() {
    let profile = fresh("unsaved-registration").await;
    let full = js("const real = IDBObjectStore.prototype.put; \
         return function (value, key) { \
           if (key === 'registration') throw new DOMException('full', 'QuotaExceededError'); \
           return real.call(this, value, key) }");
    let _full = Replaced::member(js("return IDBObjectStore.prototype").unchecked_into(), "put", &full);
    let mut page = Page::new();
    let to = address(&mut page, &options(devnet::directory(), &profile)).await;
    let error = get(&page.event("error").await, "error");
    assert_eq!(text(&error, "code").as_deref(), Some("storage-quota"));
    talks_to_itself(&mut page, &to).await;
    page.close().await;
}

#[test]
async fn a_database_deleted_under_way_is_reported_and_the_client_goes_on() {
    let profile = fresh("deleted").await;
    let tap = Tap::new();
    let mut page = Page::new();
    let to = address(&mut page, &options(devnet::directory(), &profile)).await;
    page.state("ready").await;
    // Would wait for ever if the client held on.
    fresh("deleted").await;
    tap.close_last();
    page.state("ready").await;
    let error = get(&page.event("volatile").await, "error");
    assert_eq!(text(&error, "code").as_deref(), Some("storage-blocked"));
    talks_to_itself(&mut page, &to).await;
    page.close().await;
}

#[test]
async fn a_directory_that_is_down_is_unreachable() {
    let options = in_memory();
    set(&options, "directories", js_sys::Array::of1(&"http://127.0.0.1:49151/api".into()).into());
    let refused = refusal(&options).await;
    assert_eq!((refused.code.as_str(), refused.phase.as_deref()), ("directory-unreachable", Some("topology")));
    assert!(refused.retriable);
}

#[test]
async fn a_directory_that_sends_html_is_invalid() {
    let html = js("return async url => { \
         const answer = new Response('<!doctype html><p>Back soon.', { headers: { 'content-type': 'text/html' } }); \
         Object.defineProperty(answer, 'url', { value: url }); \
         return answer }");
    let _html = Replaced::global("fetch", &html);
    let refused = refusal(&in_memory()).await;
    assert_eq!((refused.code.as_str(), refused.phase.as_deref()), ("directory-invalid", Some("topology")));
}

#[test]
async fn a_gateway_where_nobody_listens_fails_with_a_code() {
    let refusing = js("const Real = WebSocket; \
         return class extends Real { constructor() { super('ws://127.0.0.1:49151/'); } }");
    let _refusing = Replaced::global("WebSocket", &refusing);
    let refused = refusal(&in_memory()).await;
    assert!(["gateway-refused", "gateway-timeout"].contains(&refused.code.as_str()), "{refused:?}");
    assert_eq!(refused.phase.as_deref(), Some("gateway"));
}

#[test]
async fn a_browser_that_refuses_the_link_at_once_fails_with_a_code() {
    let refusing = js("return class { constructor() { throw new DOMException('mixed content', 'SecurityError') } }");
    let _refusing = Replaced::global("WebSocket", &refusing);
    let refused = refusal(&in_memory()).await;
    assert!(["gateway-refused", "gateway-timeout"].contains(&refused.code.as_str()), "{refused:?}");
}

#[test]
async fn options_out_of_range_are_refused_before_anything_is_stored() {
    let profile = fresh("bad-options").await;
    let options = options(devnet::directory(), &profile);
    set(&options, "slotMs", 0.into());
    let refused = refusal(&options).await;
    assert_eq!(refused.code, "config-invalid");
    assert!(refused.text.contains("slot"), "{refused:?}");
}

// ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
async fn a_plain_message_is_queued_sent_delivered_and_received() {
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    let queued = page.send(1, &to, b"to myself", "0");
    page.answer(queued).await.unwrap();
    page.about("sent", 1).await;
    let delivered = page.about("delivered", 1).await;
    assert!(number(&delivered, "roundTripMs").unwrap() > 0.0);
    let received = page.event("received").await;
    assert_eq!(bytes(&received, "body"), b"to myself");
    assert_eq!((get(&received, "tag"), get(&received, "canReply")), (JsValue::NULL, JsValue::FALSE));
    page.close().await;
}

#[test]
async fn two_clients_talk_and_the_stranger_is_answered_by_its_tag() {
    let (mut alice, mut bob) = (Page::new(), Page::new());
    address(&mut alice, &in_memory()).await;
    let to = address(&mut bob, &in_memory()).await;
    alice.send(1, &to, b"who am I?", "\"auto\"");
    let received = bob.event("received").await;
    assert_eq!(bytes(&received, "body"), b"who am I?");
    assert_eq!(get(&received, "canReply"), JsValue::TRUE);
    let tag = text(&received, "tag").unwrap();
    bob.send(7, &tag, b"a stranger", "0");
    assert_eq!(bytes(&alice.event("received").await, "body"), b"a stranger");
    bob.about("delivered", 7).await;
    bob.handle(&object(&[("op", "listen".into()), ("retransmissions", false.into()), ("surbs", true.into())]));
    bob.send(8, &tag, b"a stranger still", "0");
    let stock = bob.event("surbs").await;
    assert_eq!((text(&stock, "tag"), get(&stock, "canReply")), (Some(tag), JsValue::TRUE));
    assert!((15.0..20.0).contains(&number(&stock, "held").unwrap()));
    alice.close().await;
    bob.close().await;
}

#[test]
async fn a_large_message_arrives_whole_with_pacing_off() {
    let options = in_memory();
    set(&options, "dangerNoPacing", true.into());
    let mut page = Page::new();
    let to = address(&mut page, &options).await;
    let body: Vec<u8> = (0..100_000u32).map(|i| ((i * 31) >> 3) as u8).collect();
    page.send(1, &to, &body, "0");
    assert!(bytes(&page.event("received").await, "body") == body);
    page.about("delivered", 1).await;
    page.close().await;
}

#[test]
async fn who_asks_is_told_how_far_a_message_comes() {
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    let queued = page.send(1, &to, &[7; 20_000], "0");
    page.answer(queued).await.unwrap();
    page.handle(&object(&[("op", "watch".into()), ("message", 1.into()), ("watched", true.into())]));
    let first = page.about("fragments", 1).await;
    let total = number(&first, "total").unwrap();
    assert_eq!(total, 13.0);
    page.about("delivered", 1).await;
    let posted = page.so_far();
    let told: Vec<_> = posted.iter().filter(|event| text(event, "event").as_deref() == Some("fragments")).collect();
    let last = told.last().expect("more than one");
    assert_eq!((number(last, "sent"), number(last, "acked")), (Some(total), Some(total)));
    page.close().await;
}

#[test]
async fn a_message_can_be_watched_while_it_waits_for_room() {
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    let half = vec![0; limits::MESSAGE_LEN_MAX];
    page.send(1, &some_address(), &half, "0");
    page.send(2, &some_address(), &half, "0");
    let waiting = page.send(3, &to, b"waits", "0");
    page.handle(&object(&[("op", "watch".into()), ("message", 3.into()), ("watched", true.into())]));
    for message in [1, 2] {
        page.call("cancel", &[("message", message.into())]).await.unwrap();
    }
    page.answer(waiting).await.unwrap();
    assert_eq!(number(&page.about("fragments", 3).await, "total"), Some(1.0));
    page.close().await;
}

#[test]
async fn a_reply_to_nobody_is_refused() {
    let mut page = Page::open(&in_memory()).await;
    let tag = mixlet::message::SenderTag([3; 16]).to_string();
    let id = page.send(1, &tag, b"hello?", "0");
    assert_eq!(page.answer(id).await.unwrap_err().code, "no-surbs");
    page.close().await;
}

#[test]
async fn two_messages_of_one_number_are_refused() {
    let _hanging = hanging_fetch();
    let mut page = Page::new();
    let opening = page.ask("open", &[("options", in_memory().into())]);
    let to = some_address();
    let first = page.send(1, &to, b"one", "0");
    let second = page.send(1, &to, b"two", "0");
    page.answer(first).await.unwrap();
    assert_eq!(page.answer(second).await.unwrap_err().code, "config-invalid");
    page.close().await;
    assert_eq!(page.answer(opening).await.unwrap_err().code, "closed");
}

#[test]
async fn what_finds_no_room_waits_for_it() {
    let _hanging = hanging_fetch();
    let mut page = Page::new();
    page.ask("open", &[("options", in_memory().into())]);
    let to = some_address();
    let half = vec![0; limits::MESSAGE_LEN_MAX];
    let first = page.send(1, &to, &half, "0");
    let second = page.send(2, &to, &half, "0");
    let third = page.send(3, &to, b"waits", "0");
    let fourth = page.send(4, &to, b"waits behind it", "0");
    page.answer(first).await.unwrap();
    page.answer(second).await.unwrap();
    page.call("stats", &[]).await.unwrap();
    assert!(page.so_far().iter().all(|message| number(message, "id").is_none()));

    // A message that waits can be dropped as well.
    page.call("cancel", &[("message", 3.into())]).await.unwrap();
    page.answer(third).await.unwrap();
    page.call("cancel", &[("message", 1.into())]).await.unwrap();
    page.answer(fourth).await.unwrap();
    page.event("room").await;
    page.close().await;
}

#[test]
async fn what_waits_for_room_too_long_is_refused() {
    let mut page = Page::open(&in_memory()).await;
    page.state("ready").await;
    let half = vec![0; limits::MESSAGE_LEN_MAX];
    page.send(1, &some_address(), &half, "0");
    page.send(2, &some_address(), &half, "0");
    let (patient, late) = (page.send(3, &some_address(), b"waits", "0"), page.send_within(4, &some_address(), 300));
    let refused = page.answer(late).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.phase.as_deref()), ("timeout", Some("queue")));
    page.call("cancel", &[("message", 1.into())]).await.unwrap();
    page.answer(patient).await.unwrap();
    page.close().await;
}

#[test]
async fn what_waits_for_room_is_refused_by_a_close_that_does_not_wait() {
    let _hanging = hanging_fetch();
    let mut page = Page::new();
    page.ask("open", &[("options", in_memory().into())]);
    let to = some_address();
    let half = vec![0; limits::MESSAGE_LEN_MAX];
    page.send(1, &to, &half, "0");
    page.send(2, &to, &half, "0");
    let waiting = page.send(3, &to, b"waits", "0");
    page.close().await;
    assert_eq!(page.answer(waiting).await.unwrap_err().code, "closed-before-delivery");
    for message in [1, 2] {
        let undelivered = page.about("undelivered", message).await;
        assert_eq!(text(&get(&undelivered, "error"), "code").as_deref(), Some("closed-before-delivery"));
    }
}

#[test]
async fn too_many_requests_at_once_are_refused() {
    let _hanging = hanging_fetch();
    let mut page = Page::new();
    let opening = page.ask("open", &[("options", in_memory().into())]);
    // All before the client gets to run.
    let last = (0..limits::COMMANDS_COUNT_MAX + 8).map(|_| page.ask("stats", &[])).last().unwrap();
    assert_eq!(page.answer(last).await.unwrap_err().code, "queue-full");
    page.answer(opening + 1).await.unwrap();
    page.close().await;
}

// ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
async fn a_link_that_closes_in_any_state_of_a_registration_is_opened_again() {
    let tap = Tap::new();
    let mut page = Page::new();
    address(&mut page, &in_memory()).await;
    page.close().await;
    // Made, opened, and each frame either way until the client was ready.
    let steps = tap.steps();
    assert!(steps >= 6, "{steps}");
    drop(tap);
    for step in 0..steps {
        let tap = Tap::closing_at(step);
        let mut page = Page::new();
        let to = address(&mut page, &in_memory()).await;
        assert!(tap.sockets() >= 2 || step + 2 >= steps, "step {step} closed nothing");
        talks_to_itself(&mut page, &to).await;
        page.close().await;
    }
}

#[test]
async fn a_link_that_closes_in_any_state_of_a_login_is_opened_again_without_registering() {
    let profile = fresh("login-steps").await;
    let options = options(devnet::directory(), &profile);
    let known = address(&mut Page::new(), &options).await;
    let tap = Tap::new();
    let mut page = Page::open(&options).await;
    page.close().await;
    let steps = tap.steps();
    drop(tap);
    for step in 0..steps {
        let _tap = Tap::closing_at(step);
        let mut page = Page::new();
        assert_eq!(address(&mut page, &options).await, known, "step {step}");
        page.close().await;
    }
    assert_eq!(devnet::count(&known, "registrations").await, 1.0);
}

#[test]
async fn a_link_that_closes_under_way_comes_back_and_nothing_is_lost() {
    let tap = Tap::new();
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    page.state("ready").await;
    for number in 1..=3 {
        page.send(number, &to, format!("message {number}").as_bytes(), "0");
    }
    page.about("sent", 1).await;
    tap.close_last();
    let worse = page.state("reconnecting").await;
    assert_eq!(text(&get(&worse, "error"), "code").as_deref(), Some("gateway-refused"));
    page.state("ready").await;
    let mut bodies = Vec::new();
    for number in 1..=3 {
        page.about("delivered", number).await;
        bodies.push(String::from_utf8(bytes(&page.event("received").await, "body")).unwrap());
    }
    bodies.sort();
    assert_eq!(bodies, ["message 1", "message 2", "message 3"]);
    assert_eq!(number(&page.call("stats", &[]).await.unwrap(), "reconnects"), Some(1.0));
    page.close().await;
}

#[test]
async fn a_gateway_that_is_killed_and_comes_back_is_used_again() {
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    let gateway = devnet::gateway(to.split_once('@').unwrap().1).await;
    devnet::order(&format!("{gateway}/kill")).await;
    page.state("reconnecting").await;
    page.send(1, &to, b"meanwhile", "0");
    devnet::order(&format!("{gateway}/restart")).await;
    page.handle(&object(&[("op", "online".into())]));
    page.state("ready").await;
    assert_eq!(bytes(&page.event("received").await, "body"), b"meanwhile");
    page.close().await;
}

#[test]
async fn a_client_moves_to_another_gateway_and_a_reload_finds_it_there() {
    let profile = fresh("moving").await;
    let tap = Tap::new();
    let options = options(devnet::directory(), &profile);
    let mut page = Page::new();
    let old = address(&mut page, &options).await;
    let gateways: js_sys::Array = page.call("gateways", &[]).await.unwrap().unchecked_into();
    let other = gateways.iter().filter_map(|gateway| text(&gateway, "id")).find(|id| !old.ends_with(id)).unwrap();
    page.send(1, &old, b"to the old address", "0");
    let switched = page.call("switch", &[("gatewayId", other.as_str().into())]).await.unwrap();
    let new = text(&switched, "address").unwrap();
    assert!(new != old && new.ends_with(&format!("@{other}")));
    assert_eq!(text(&get(&switched, "gateway"), "id"), Some(other.clone()));
    let moved = page.event("moved").await;
    assert_eq!(text(&moved, "address"), Some(new.clone()));
    page.about("delivered", 1).await;
    assert_eq!(bytes(&page.event("received").await, "body"), b"to the old address");
    talks_to_itself(&mut page, &old).await;
    talks_to_itself(&mut page, &new).await;
    assert_eq!(tap.sockets(), 2);
    // A second move while one is under way is refused; the first can be given up.
    let back = old.split_once('@').unwrap().1;
    let moving = page.ask("switch", &[("gatewayId", back.into())]);
    let again = page.call("switch", &[("gatewayId", back.into())]).await.unwrap_err();
    assert_eq!(again.code, "config-invalid");
    page.handle(&object(&[("op", "stay".into())]));
    assert_eq!(page.answer(moving).await.unwrap_err().code, "timeout");
    talks_to_itself(&mut page, &new).await;
    page.close().await;
    assert!(tap.all_closed());
    assert_eq!(address(&mut Page::new(), &options).await, new);
}

#[test]
async fn a_gateway_that_is_chosen_by_the_page_is_taken() {
    let gateways: js_sys::Array = get(&devnet::ask("/").await, "gateways").unchecked_into();
    let chosen = text(&gateways.get(0), "id").unwrap();
    let options = in_memory();
    set(&options, "gatewaySelect", "ask".into());
    set(&options, "trace", true.into());
    let mut page = Page::new();
    let opening = page.ask("open", &[("options", options.into())]);
    let offered: js_sys::Array = get(&page.event("choose-gateway").await, "gateways").unchecked_into();
    assert_eq!(offered.length(), gateways.length());
    page.handle(&object(&[("op", "choose".into()), ("gatewayId", chosen.as_str().into())]));
    let opened = page.answer(opening).await.unwrap();
    assert!(text(&opened, "address").unwrap().ends_with(&chosen));
    let topology = get(&page.event("topology").await, "topology");
    assert_eq!(number(&topology, "gateways"), Some(gateways.length().into()));
    let packets: js_sys::Array = get(&page.event("packets").await, "packets").unchecked_into();
    let first = packets.get(0);
    assert_eq!((text(&first, "direction").as_deref(), text(&first, "kind").as_deref()), (Some("out"), Some("cover")));
    let (at, now) = (number(&first, "at").unwrap(), js_sys::Date::now());
    assert!(at <= now + 100.0 && at > now - 60_000.0, "{at} at {now}");
    page.close().await;
}

#[test]
async fn nothing_is_written_while_the_browser_holds_much() {
    let tap = Tap::new();
    let options = in_memory();
    set(&options, "dangerNoPacing", true.into());
    let mut page = Page::new();
    let to = address(&mut page, &options).await;
    tap.hold(Some(limits::SOCKET_BUFFER_LEN_MAX));
    let before = tap.written();
    let queued = page.send(1, &to, &[7; 20_000], "0");
    page.answer(queued).await.unwrap();
    // Time for many slots: the cover of a paced client would have gone on.
    page.call("stats", &[]).await.unwrap();
    pause(200).await;
    assert_eq!(tap.written(), before);
    tap.hold(None);
    page.about("delivered", 1).await;
    assert!(tap.written() > before);
    page.close().await;
}

// ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
async fn closing_lets_go_of_link_and_database() {
    let tap = Tap::new();
    let profile = fresh("closing").await;
    let mut page = Page::open(&options(devnet::directory(), &profile)).await;
    page.close().await;
    assert!(tap.all_closed());
    page.state("closed").await;
    // Waits for ever while anybody has it open.
    fresh("closing").await;
    page.close().await;
    assert_eq!(page.call("stats", &[]).await.unwrap_err().code, "closed");
    let id = page.send(1, &some_address(), b"late", "0");
    assert_eq!(page.answer(id).await.unwrap_err().code, "closed");
}

#[test]
async fn closing_waits_for_what_was_accepted() {
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    page.send(1, &to, b"last words", "0");
    let closing = page.ask("close", &[("drain", true.into()), ("timeoutMs", 20_000.into())]);
    let late = page.send(2, &to, b"too late", "0");
    assert_eq!(page.answer(late).await.unwrap_err().code, "closed");
    page.answer(closing).await.unwrap();
    assert!(page.so_far().iter().any(|event| text(event, "event").as_deref() == Some("delivered")));
}

#[test]
async fn letting_go_of_the_client_closes_its_link() {
    let tap = Tap::new();
    let page = Page::open(&in_memory()).await;
    drop(page);
    tap.last_closed().await;
}

#[test]
async fn what_comes_before_open_is_answered() {
    let mut page = Page::new();
    for op in ["stats", "topology", "gateways"] {
        assert_eq!(page.call(op, &[]).await.unwrap_err().code, "not-connected");
    }
    let id = page.send(1, &some_address(), b"early", "0");
    assert_eq!(page.answer(id).await.unwrap_err().code, "not-connected");
    page.close().await;
}

#[test]
async fn a_second_open_is_refused() {
    let mut page = Page::open(&in_memory()).await;
    let again = page.call("open", &[("options", in_memory().into())]).await;
    assert_eq!(again.unwrap_err().code, "config-invalid");
    page.close().await;
}

#[test]
async fn a_close_while_connecting_answers_both() {
    let _hanging = hanging_fetch();
    let mut page = Page::new();
    let opening = page.ask("open", &[("options", in_memory().into())]);
    page.event("progress").await;
    page.close().await;
    assert_eq!(page.answer(opening).await.unwrap_err().code, "closed");
}

#[test]
async fn a_request_that_makes_no_sense_without_a_number_is_an_error_event() {
    let mut page = Page::new();
    page.handle(&object(&[("op", 5.into())]));
    let error = get(&page.event("error").await, "error");
    assert_eq!(text(&error, "code").as_deref(), Some("config-invalid"));
}

#[test]
async fn the_page_may_call_in_from_inside_an_event() {
    // As a page does that asks for the statistics when it is told of a state.
    let client: Rc<RefCell<Option<MixletClient>>> = Rc::default();
    let (sender, mut answers) = futures_channel::mpsc::unbounded();
    let inside = client.clone();
    let post = Closure::<dyn Fn(JsValue, JsValue)>::new(move |message: JsValue, _: JsValue| {
        if text(&message, "event").as_deref() == Some("state") {
            let request = object(&[("id", 2.into()), ("op", "stats".into())]);
            inside.borrow().as_ref().unwrap().handle(&request);
        }
        if number(&message, "id") == Some(2.0) {
            let _ = sender.unbounded_send(message);
        }
    });
    *client.borrow_mut() = Some(MixletClient::new(post.into_js_value().unchecked_into(), None));
    let open = object(&[("id", 1.into()), ("op", "open".into()), ("options", in_memory().into())]);
    client.borrow().as_ref().unwrap().handle(&open);
    let answer = futures_util::StreamExt::next(&mut answers).await.unwrap();
    assert!(number(&get(&answer, "ok"), "wasmBytes").unwrap() > 0.0);
    client.borrow_mut().take();
}

// ── what can be asked ────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
async fn statistics_topology_and_gateways_are_reported() {
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    talks_to_itself(&mut page, &to).await;
    let stats = page.call("stats", &[]).await.unwrap();
    assert_eq!(number(&get(&stats, "out"), "real"), Some(1.0));
    assert_eq!(number(&get(&stats, "in"), "message"), Some(1.0));
    assert!(number(&stats, "bytesOut").unwrap() > 2_000.0);
    assert!(number(&get(&stats, "roundTripMs"), "p50").unwrap() > 0.0);

    let topology = page.call("topology", &[]).await.unwrap();
    assert_eq!(get(&topology, "layers").unchecked_into::<js_sys::Array>().length(), 3);
    let gateways: js_sys::Array = page.call("gateways", &[]).await.unwrap().unchecked_into();
    assert_eq!(number(&topology, "gateways"), Some(gateways.length().into()));
    assert!(gateways.iter().all(|gateway| get(&gateway, "usable") == JsValue::TRUE));
    page.close().await;
}

#[test]
async fn frames_leave_at_the_pace_of_the_options() {
    let tap = Tap::new();
    let mut page = Page::open(&in_memory()).await;
    let (before, clock) = (tap.written(), mixlet::web::clock::Clock::new());
    let start = clock.now();
    pause(4_000).await;
    let rate = f64::from(tap.written() - before) / clock.now().since(start).as_secs_f64();
    // One each 20 ms and one each 200 ms. Slots that a busy machine is late for are forgotten, so less is possible.
    assert!((28.0..72.0).contains(&rate), "{rate} frames a second");
    page.close().await;
}

#[test]
async fn a_change_of_the_traffic_is_taken_and_frames_leave_by_it() {
    let tap = Tap::new();
    let mut page = Page::new();
    let to = address(&mut page, &in_memory()).await;
    let traffic = in_memory();
    let set_to = |slot: f64| {
        set(&traffic, "slotMs", slot.into());
        [("traffic", JsValue::from(&traffic))]
    };
    let refused = page.call("traffic", &set_to(0.0)).await.unwrap_err();
    assert_eq!(refused.code, "config-invalid");
    page.call("traffic", &set_to(1_000.0)).await.unwrap();
    let (before, clock) = (tap.written(), mixlet::web::clock::Clock::new());
    let start = clock.now();
    pause(4_000).await;
    let rate = f64::from(tap.written() - before) / clock.now().since(start).as_secs_f64();
    // One each second and one each 200 ms, instead of 55.
    assert!((1.0..15.0).contains(&rate), "{rate} frames a second");
    page.call("traffic", &set_to(5.0)).await.unwrap();
    talks_to_itself(&mut page, &to).await;
    page.close().await;
    assert_eq!(page.call("traffic", &set_to(20.0)).await.unwrap_err().code, "closed");
}

async fn address(page: &mut Page, options: &Object) -> String {
    let opened = page.call("open", &[("options", options.into())]).await.unwrap();
    text(&opened, "address").unwrap()
}

async fn refusal(options: &Object) -> Refusal {
    Page::new().call("open", &[("options", options.into())]).await.unwrap_err()
}

async fn talks_to_itself(page: &mut Page, to: &str) {
    page.send(77, to, b"still there?", "0");
    page.about("delivered", 77).await;
    assert_eq!(bytes(&page.event("received").await, "body"), b"still there?");
}

fn in_memory() -> Object {
    let options = options(devnet::directory(), "memory");
    set(&options, "storage", "memory".into());
    options
}

/// A directory that takes the question and never answers.
fn hanging_fetch() -> Replaced {
    Replaced::global("fetch", &js("return () => new Promise(() => {})"))
}

/// An address of nobody.
fn some_address() -> String {
    let identity = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes();
    let gateway = mixlet::message::GatewayId(identity);
    Address::new(
        identity,
        x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from([9; 32])).to_bytes(),
        gateway,
    )
    .unwrap()
    .to_string()
}

async fn pause(millis: u32) {
    gloo_timers::future::TimeoutFuture::new(millis).await;
}
