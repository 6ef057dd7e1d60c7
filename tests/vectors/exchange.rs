//! The envelopes of mixlet peers, against bytes written down by another program.

use mixlet::exchange::envelope::{Envelope, Opened, open, unpack};
use serde_json::Value;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn vectors() -> Value {
    serde_json::from_str(include_str!("exchange.json")).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn envelopes_are_read_and_written() {
    for vector in vectors()["envelopes"].as_array().unwrap() {
        let bytes = hex(&vector["bytes"]);
        let Opened::Envelope(envelope) = open(&bytes) else { panic!("{}", vector["name"]) };
        assert_eq!(envelope.kind as u64, vector["kind"]);
        assert_eq!(u64::from(envelope.flags), vector["flags"]);
        assert_eq!(envelope.id.0.to_vec(), hex(&vector["id"]));
        assert_eq!(envelope.service, vector["service"].as_str().unwrap());
        assert_eq!(envelope.body, hex(&vector["body"]));
        let Envelope { kind, flags, id, service, body } = envelope;
        assert_eq!(Envelope { kind, flags, id, service, body }.to_bytes(), bytes);
    }
}

#[test]
fn a_pack_holds_whole_requests() {
    let vectors = vectors();
    let pack = vectors["envelopes"].as_array().unwrap().iter().find(|vector| vector["name"] == "pack").unwrap();
    let body = hex(&pack["body"]);
    let items = unpack(&body).unwrap();
    assert_eq!(items.iter().map(|item| (item.service, item.body)).collect::<Vec<_>>(), [("a", &b"1"[..]), ("", &[])]);
    assert_eq!(unpack(&body[..body.len() - 1]), None);
}

#[test]
fn what_does_not_parse_is_bare_bytes() {
    for vector in vectors()["bare"].as_array().unwrap() {
        assert_eq!(open(&hex(&vector["bytes"])), Opened::Bare, "{}", vector["name"]);
    }
}

#[test]
fn later_versions_and_kinds_are_told_apart() {
    for vector in vectors()["unknown"].as_array().unwrap() {
        let bytes = hex(&vector["bytes"]);
        let Opened::Unknown { id, what } = open(&bytes) else { panic!("{}", vector["name"]) };
        assert_eq!((id.0.to_vec(), what.to_vec()), (hex(&vector["id"]), hex(&vector["what"])));
    }
}
