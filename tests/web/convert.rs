//! What crosses between page and worker, as JavaScript sees it.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, JSON, Object, Uint8Array};
use mixlet::engine::{
    Code, Event, Listening, MessageId, Overflow, Phase, Priority, Recipient, Replies, SendError, State, Stats, Traffic,
};
use mixlet::message::SenderTag;
use mixlet::time::Duration;
use mixlet::web::client::{error_codes, wasm_bytes};
use mixlet::web::convert::{Command, Failure, RequestId, Storage};
use mixlet::web::post::{self, Post};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::page::{bytes, get, json, object, options, set};

const DIRECTORY: &str = "http://127.0.0.1:1/api";

#[test]
fn the_codes_are_those_of_the_engine_and_each_is_there_once() {
    let codes = error_codes();
    assert_eq!(codes.len(), Code::ALL.len());
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1] || pair[0] == "stored-by-newer-version"));
    assert!(codes.contains(&"storage-blocked".to_owned()));
}

#[test]
fn the_memory_has_a_size() {
    assert!(wasm_bytes() >= 65_536.0);
    assert_eq!(wasm_bytes() % 65_536.0, 0.0);
}

#[test]
fn the_documented_options_become_a_config() {
    let options = full_options();
    let Command::Open { id, options } = command("open", &[("options", options.into())]) else { panic!() };
    assert_eq!(id, RequestId(7.0));
    assert_eq!((options.profile.as_str(), options.storage, options.secure_page()), ("alice", Storage::Memory, true));
    let config = options.config(Duration::from_secs(1)).unwrap();
    assert_eq!(config.directories, [DIRECTORY]);
    assert_eq!(config.unix_zero, Duration::from_secs(1));
    assert_eq!(config.gateway.unwrap().to_string(), gateway_id());
    assert_eq!(config.traffic.slot, Duration::from_millis(4));
    assert_eq!(config.traffic.loop_cover, Duration::from_millis(300));
    assert_eq!(config.traffic.hop_delay, Duration::from_micros(2_500));
    assert_eq!(config.traffic.ack_delay, Duration::ZERO);
    assert!(config.traffic.danger_no_pacing);
    assert_eq!(config.minimum_performance, 70);
    assert_eq!(config.refresh, Duration::from_secs(60));
    assert_eq!(config.reconnect.min, Duration::from_millis(50));
    assert_eq!(config.reconnect.max, Duration::from_millis(500));
    assert_eq!(config.reconnect.max_attempts, Some(3));
    assert!(config.secure_page);
    assert!(!config.ask_for_more);
    assert!(config.keeps_inbox && config.keeps_pseudonyms && options.keeps_stats);
    assert!(config.ask_for_gateway && config.trace);
}

#[test]
fn options_that_are_left_out_get_the_defaults_of_the_engine() {
    let options = options(DIRECTORY, "alice");
    for name in ["gatewayId", "topology", "minPerformance", "refreshMs"] {
        set(&options, name, JsValue::UNDEFINED);
    }
    let Command::Open { options, .. } = command("open", &[("options", options.into())]) else { panic!() };
    let config = options.config(Duration::ZERO).unwrap();
    assert_eq!(config.minimum_performance, 50);
    assert_eq!(config.refresh, Duration::from_secs(300));
    assert_eq!(config.reconnect.max_attempts, None);
    assert_eq!(config.gateway, None);
    assert!(!config.ask_for_gateway && !config.trace);
    assert_eq!(options.storage, Storage::IndexedDb);
}

#[test]
fn an_unknown_option_is_named() {
    let options = full_options();
    set(&options, "slotms", 20.into());
    assert_invalid(command_error("open", &[("options", options.into())]), "slotms");

    let options = full_options();
    set(&get(&options, "reconnect").unchecked_into(), "retries", 3.into());
    assert_invalid(command_error("open", &[("options", options.into())]), "retries");

    let send = send_fields();
    set(&get(&object(&send), "options").unchecked_into(), "persist", true.into());
    assert_invalid(command_error("send", &send), "persist");
}

#[test]
fn options_of_a_wrong_type_or_out_of_range_are_refused() {
    let wrong: [(&str, JsValue); 17] = [
        ("directories", DIRECTORY.into()),
        ("topology", 5.into()),
        ("profile", JsValue::UNDEFINED),
        ("storage", "disk".into()),
        ("slotMs", "20".into()),
        ("slotMs", (-1).into()),
        ("slotMs", f64::NAN.into()),
        ("slotMs", f64::INFINITY.into()),
        ("slotMs", 0.into()),
        ("loopMs", 1e9.into()),
        ("dangerNoPacing", JsValue::NULL),
        ("minPerformance", 101.into()),
        ("minPerformance", 1000.into()),
        ("gatewayId", "not-base58-0OIl".into()),
        ("reconnect", JsValue::NULL),
        ("gatewaySelect", "nearest".into()),
        ("trace", 1.into()),
    ];
    for (name, value) in wrong {
        let options = full_options();
        set(&options, name, value.clone());
        let fields = [("options", options.into())];
        let error = match Command::from_js(&request("open", &fields)) {
            Ok(Command::Open { options, .. }) => options.config(Duration::ZERO).err(),
            Ok(_) => None,
            Err((id, failure)) => {
                assert_eq!(id, Some(RequestId(7.0)));
                Some(failure)
            }
        };
        assert_eq!(error.map(|error| error.code), Some(Code::ConfigInvalid), "{name}: {value:?}");
    }
}

#[test]
fn new_traffic_is_read() {
    let command = command("traffic", &[("traffic", full_options().into())]);
    assert_eq!(command.id(), Some(RequestId(7.0)));
    let Command::Traffic { traffic, .. } = command else { panic!() };
    let expected = Traffic {
        slot: Duration::from_millis(4),
        loop_cover: Duration::from_millis(300),
        hop_delay: Duration::from_micros(2_500),
        ack_delay: Duration::ZERO,
        danger_no_pacing: true,
    };
    assert_eq!(traffic, expected);
    let wrong: [(&str, JsValue); 5] = [
        ("slotMs", "4".into()),
        ("loopMs", f64::NAN.into()),
        ("hopDelayMs", (-1).into()),
        ("ackDelayMs", JsValue::UNDEFINED),
        ("dangerNoPacing", 1.into()),
    ];
    for (name, value) in wrong {
        let options = full_options();
        set(&options, name, value);
        assert_invalid(command_error("traffic", &[("traffic", options.into())]), name);
    }
    assert_invalid(command_error("traffic", &[]), "object");
}

#[test]
fn a_send_is_read() {
    let Command::Send { outgoing, .. } = command("send", &send_fields()) else { panic!() };
    assert_eq!(outgoing.message, MessageId(9_007_199_254_740_991));
    assert_eq!(outgoing.body, b"hello");
    assert!(matches!(outgoing.to, Recipient::Tag(tag) if tag == SenderTag([1; 16])));
    assert_eq!(outgoing.sending.options.replies, Replies::Auto);
    assert_eq!(outgoing.sending.options.timeout, Some(Duration::from_millis(1_500)));
    assert!(!outgoing.sending.options.no_deadline);
    assert!(!outgoing.sending.options.reliable);
    assert_eq!(outgoing.sending.options.priority, Priority::High);
}

#[test]
fn a_send_without_a_time_limit_is_told_from_one_with_the_default() {
    let timeout = |value: JsValue| {
        let fields = send_fields();
        set(&get(&object(&fields), "options").unchecked_into(), "timeoutMs", value);
        let Command::Send { outgoing, .. } = command("send", &fields) else { panic!() };
        (outgoing.sending.options.timeout, outgoing.sending.options.no_deadline)
    };
    assert_eq!(timeout(JsValue::NULL), (None, false));
    assert_eq!(timeout(0.into()), (None, true));
    assert_eq!(timeout(20.into()), (Some(Duration::from_millis(20)), false));
}

#[test]
fn replies_are_a_word_or_a_count() {
    let replies = |value: JsValue| {
        let fields = send_fields();
        set(&get(&object(&fields), "options").unchecked_into(), "replies", value);
        match Command::from_js(&request("send", &fields)) {
            Ok(Command::Send { outgoing, .. }) => Some(outgoing.sending.options.replies),
            _ => None,
        }
    };
    assert_eq!(replies(0.into()), Some(Replies::Exactly(0)));
    assert_eq!(replies(100.into()), Some(Replies::Exactly(100)));
    for wrong in [JsValue::from_f64(1.5), (-1).into(), "many".into(), JsValue::NULL, 1e10.into(), f64::NAN.into()] {
        assert_eq!(replies(wrong), None);
    }
}

#[test]
fn text_that_is_no_address_and_no_tag_is_refused() {
    for wrong in ["", "hello", "a.b@c", "alice.example@gateway", "1111111111111111111", "\u{1f600}"] {
        let mut fields = send_fields();
        fields[1].1 = wrong.into();
        let (_, failure) = command_error("send", &fields);
        assert_eq!(failure.code, Code::AddressInvalid, "{wrong}");
    }
}

#[test]
fn requests_that_make_no_sense_are_answered() {
    let (id, failure) = command_error("fly", &[]);
    assert_eq!(id, Some(RequestId(7.0)));
    assert_invalid((id, failure), "fly");
    for wrong in [JsValue::NULL, JsValue::UNDEFINED, 5.into(), "text".into(), Object::new().into(), Array::new().into()]
    {
        let Err((id, failure)) = Command::from_js(&wrong) else { panic!("{wrong:?}") };
        assert_eq!((id, failure.code), (None, Code::ConfigInvalid));
    }
    for (position, wrong) in
        [(0, 1.5.into()), (0, (-1).into()), (0, "1".into()), (2, "text".into()), (3, JsValue::NULL)]
    {
        let mut fields = send_fields();
        fields[position].1 = wrong;
        let (id, failure) = command_error("send", &fields);
        assert_eq!((id, failure.code), (Some(RequestId(7.0)), Code::ConfigInvalid));
    }
}

#[test]
fn the_other_requests_are_read() {
    assert!(matches!(command("cancel", &[("message", 5.into())]), Command::Cancel { message: MessageId(5), .. }));
    assert!(matches!(command("stats", &[]), Command::Stats { id: RequestId(7.0) }));
    assert!(matches!(command("topology", &[]), Command::Topology { .. }));
    assert!(matches!(command("gateways", &[]), Command::Gateways { .. }));
    assert!(matches!(Command::from_js(&object(&[("op", "online".into())])), Ok(Command::Online)));
    let listen = object(&[("op", "listen".into()), ("retransmissions", true.into()), ("surbs", false.into())]);
    let listening = Listening { retransmissions: true, surbs: false };
    assert!(matches!(Command::from_js(&listen), Ok(Command::Listen { listening: read }) if read == listening));
    let watch = object(&[("op", "watch".into()), ("message", 5.into()), ("watched", true.into())]);
    assert!(matches!(Command::from_js(&watch), Ok(Command::Watch { message: MessageId(5), watched: true })));
    let choose = object(&[("op", "choose".into()), ("gatewayId", gateway_id().into())]);
    assert!(
        matches!(Command::from_js(&choose), Ok(Command::Choose { gateway: Some(id) }) if id.to_string() == gateway_id())
    );
    set(&choose, "gatewayId", JsValue::NULL);
    assert!(matches!(Command::from_js(&choose), Ok(Command::Choose { gateway: None })));
    assert!(matches!(Command::from_js(&object(&[("op", "stay".into())])), Ok(Command::Stay)));
    let switch = command("switch", &[("gatewayId", gateway_id().into())]);
    assert!(matches!(switch, Command::Switch { id: RequestId(7.0), gateway } if gateway.to_string() == gateway_id()));
    assert_invalid(command_error("switch", &[("gatewayId", "somewhere".into())]), "identity of a gateway");
    set(&watch, "message", "5".into());
    assert!(matches!(Command::from_js(&watch), Err((None, failure)) if failure.text.contains("message")));
    let close = |timeout: u32| command("close", &[("drain", true.into()), ("timeoutMs", timeout.into())]);
    assert!(matches!(close(0), Command::Close { drain: true, timeout: None, .. }));
    assert!(matches!(close(5), Command::Close { timeout: Some(timeout), .. } if timeout.as_millis() == 5));
}

#[test]
fn events_have_the_documented_shape() {
    let id = MessageId(5);
    let cases = [
        (
            Event::Fragments { id, sent: 4, acked: 1, total: 9, retransmissions: 2 },
            r#"{"event":"fragments","message":5,"sent":4,"acked":1,"total":9,"retransmissions":2}"#,
        ),
        (
            Event::Surbs { tag: SenderTag([1; 16]), held: 3, can_answer: true },
            r#"{"event":"surbs","tag":"8C2kCzsB2fJy9MiZos1mS","held":3,"canReply":true}"#,
        ),
        (
            Event::Overflow { what: Overflow::Unfinished, count: 3, bytes: 1 << 40 },
            r#"{"event":"overflow","reason":"unfinished","messages":3,"bytes":1099511627776}"#,
        ),
        (
            Event::Overflow { what: Overflow::Surbs, count: 1, bytes: 0 },
            r#"{"event":"overflow","reason":"surbs","messages":1,"bytes":0}"#,
        ),
        (
            Event::Progress { phase: Phase::Auth, fraction: 0.5 },
            r#"{"event":"progress","phase":"auth","fraction":0.5}"#,
        ),
        (Event::Room, r#"{"event":"room"}"#),
        (Event::Sent { id }, r#"{"event":"sent","message":5}"#),
        (Event::State { state: State::Ready, code: None }, r#"{"event":"state","state":"ready"}"#),
        (
            Event::State { state: State::Reconnecting, code: Some(Code::GatewayRefused) },
            concat!(
                r#"{"event":"state","state":"reconnecting","#,
                r#""error":{"code":"gateway-refused","message":"","retriable":true}}"#
            ),
        ),
        (
            Event::Undelivered {
                id,
                code: Code::NoAcks,
                phase: Phase::Network,
                acked: 1,
                total: 4,
                retransmissions: 9,
            },
            concat!(
                r#"{"event":"undelivered","message":5,"#,
                r#""error":{"code":"no-acks","message":"","phase":"network","retriable":true},"#,
                r#""acked":1,"total":4,"retransmissions":9}"#
            ),
        ),
    ];
    for (event, expected) in cases {
        let (post, posted) = collector();
        post.event(event, |_| false);
        assert_eq!(posted.borrow().len(), 1);
        assert_eq!(json(&posted.borrow()[0].0), expected);
        assert_eq!(posted.borrow()[0].1.length(), 0);
    }
    // The exchange knows whether a receipt follows.
    let (post, posted) = collector();
    post.delivered(id, Duration::from_micros(1_500), 2, true);
    let expected = r#"{"event":"delivered","message":5,"roundTripMs":1.5,"retransmissions":2,"receipt":true}"#;
    assert_eq!(json(&posted.borrow()[0].0), expected);
}

#[test]
fn events_that_are_answers_are_not_posted() {
    let (post, posted) = collector();
    post.event(Event::Closed, |_| false);
    post.event(Event::Failed { code: Code::NoGateway, phase: Phase::Gateway }, |_| false);
    assert!(posted.borrow().is_empty());
}

#[test]
fn a_received_body_moves_with_its_buffer() {
    let (post, posted) = collector();
    post.event(Event::Received { body: vec![1, 2, 3], tag: Some(SenderTag([1; 16])), over: None }, |tag| {
        *tag == SenderTag([1; 16])
    });
    post.event(Event::Received { body: Vec::new(), tag: None, over: None }, |_| true);
    let posted = posted.borrow();

    let (message, transfer) = &posted[0];
    assert_eq!(bytes(message, "body"), [1, 2, 3]);
    let body: Uint8Array = get(message, "body").unchecked_into();
    assert_eq!(body.buffer().byte_length(), 3);
    assert!(js_sys::Object::is(&transfer.get(0), &body.buffer()));
    assert_eq!(get(message, "tag").as_string(), Some(SenderTag([1; 16]).to_string()));
    assert_eq!(get(message, "canReply"), JsValue::TRUE);

    let (message, _) = &posted[1];
    assert_eq!(
        json(message),
        r#"{"event":"received","via":"plain","wire":null,"tag":null,"address":null,"canReply":false,"body":{}}"#
    );
}

#[test]
fn answers_and_failures_have_the_documented_shape() {
    let (post, posted) = collector();
    post.done(RequestId(3.0));
    post.answer(RequestId(4.0), Err(Failure::new(Code::QueueFull)));
    post.answer(RequestId(5.0), Err(SendError::TooManyReplies.into()));
    post.failure(&Failure::new(Code::StorageQuota).during(Phase::Storage));
    let texts: Vec<String> = posted.borrow().iter().map(|(message, _)| json(message)).collect();
    assert_eq!(texts[0], r#"{"id":3,"ok":{}}"#);
    assert_eq!(texts[1], r#"{"id":4,"error":{"code":"queue-full","message":"","retriable":true}}"#);
    assert!(texts[2].starts_with(r#"{"id":5,"error":{"code":"config-invalid","message":"too many"#), "{}", texts[2]);
    assert_eq!(
        texts[3],
        r#"{"event":"error","error":{"code":"storage-quota","message":"","phase":"storage","retriable":true}}"#
    );
}

#[test]
fn stats_are_one_flat_object_of_numbers() {
    let mut stats = Stats { bytes_in: 1 << 40, round_trip: None, ..Stats::default() };
    stats.sent.real = 3;
    stats.received.unknown = 4;
    stats.dropped.surb_request = 5;
    let object = post::stats(&stats, &[("requestRefused", 3)], None);
    assert_eq!(get(&object, "roundTripMs"), JsValue::NULL);
    stats.round_trip = Some((Duration::from_micros(1_500), Duration::from_millis(20)));
    let object = post::stats(&stats, &[("requestRefused", 3)], Some(core::array::from_fn(|place| place as u64)));
    set(&object.clone().unchecked_into(), "wasmBytes", 0.into());
    assert_eq!(
        json(&object),
        concat!(
            r#"{"out":{"real":3,"reply":0,"retransmission":0,"cover":0},"#,
            r#""in":{"message":0,"ack":0,"cover":0,"unknown":4},"bytesIn":1099511627776,"bytesOut":0,"#,
            r#""queuedBytes":0,"inFlight":0,"undelivered":0,"#,
            r#""dropped":{"ack":0,"content":0,"expired":0,"fragment":0,"frame":0,"page":0,"repeat":0,"slot":0,"surb":0,"#,
            r#""surbRequest":5,"topology":0,"trace":0,"requestRefused":3},"roundTripMs":{"p50":1.5,"p95":20},"reconnects":0,"surbsHeld":0,"#,
            r#""topologyAgeMs":0,"wasmBytes":0,"kept":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}"#
        )
    );
}

#[test]
fn what_the_page_throws_stays_there() {
    let throwing = Function::new_no_args("throw new Error('busy')");
    Post::new(throwing).done(RequestId(1.0));
}

fn full_options() -> Object {
    let options = options(DIRECTORY, "alice");
    set(&options, "storage", "memory".into());
    set(&options, "gatewayId", gateway_id().as_str().into());
    for (name, value) in [("slotMs", 4.0), ("loopMs", 300.0), ("hopDelayMs", 2.5), ("ackDelayMs", 0.0)] {
        set(&options, name, value.into());
    }
    set(&options, "dangerNoPacing", true.into());
    set(&options, "minPerformance", 70.into());
    set(&options, "refreshMs", 60_000.into());
    set(&options, "securePage", true.into());
    set(&options, "askForMore", false.into());
    set(&options, "inbox", "durable".into());
    set(&options, "pseudonym", "kept".into());
    set(&options, "stats", "kept".into());
    set(&options, "gatewaySelect", "fastest".into());
    set(&options, "trace", true.into());
    set(&options, "reconnect", JSON::parse(r#"{ "minMs": 50, "maxMs": 500, "maxAttempts": 3 }"#).unwrap());
    options
}

/// Some point of the curve.
fn gateway_id() -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    mixlet::message::GatewayId(key.verifying_key().to_bytes()).to_string()
}

fn send_fields() -> Vec<(&'static str, JsValue)> {
    let options = object(&[
        ("timeoutMs", 1_500.into()),
        ("replies", "auto".into()),
        ("reliable", false.into()),
        ("priority", 0.into()),
        ("watched", true.into()),
    ]);
    vec![
        ("message", JsValue::from_f64(9_007_199_254_740_991.0)),
        ("to", SenderTag([1; 16]).to_string().into()),
        ("body", Uint8Array::from(b"hello".as_slice()).into()),
        ("options", options.into()),
    ]
}

fn request(op: &str, fields: &[(&str, JsValue)]) -> JsValue {
    let message = object(fields);
    set(&message, "id", 7.into());
    set(&message, "op", op.into());
    message.into()
}

fn command(op: &str, fields: &[(&str, JsValue)]) -> Command {
    Command::from_js(&request(op, fields)).map_err(|(_, failure)| failure.text).unwrap()
}

fn command_error(op: &str, fields: &[(&str, JsValue)]) -> (Option<RequestId>, Failure) {
    Command::from_js(&request(op, fields)).err().unwrap()
}

fn assert_invalid((id, failure): (Option<RequestId>, Failure), named: &str) {
    assert_eq!((id, failure.code), (Some(RequestId(7.0)), Code::ConfigInvalid));
    assert!(failure.text.contains(named), "{}", failure.text);
}

type Posted = Rc<RefCell<Vec<(JsValue, Array)>>>;

fn collector() -> (Post, Posted) {
    let posted: Posted = Rc::default();
    let kept = posted.clone();
    let post =
        Closure::<dyn Fn(JsValue, Array)>::new(move |message, transfer| kept.borrow_mut().push((message, transfer)));
    (Post::new(post.into_js_value().unchecked_into()), posted)
}
