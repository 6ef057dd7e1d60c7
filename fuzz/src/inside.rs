//! What has no name outside of its crate: the reader of JSON and the ordered tables, held against established ones.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value as Known;

use crate::json::{Json, Value, object};
use crate::laws::input::Input;
use crate::table::Table;

pub fn json(data: &[u8]) {
    // Bytes that are no text are walked over as well.
    let wrapped = [b"[", data, b"]"].concat();
    let mut values = Vec::new();
    let is_list = Json(&wrapped).elements(&mut |value| {
        values.push(value.0.to_vec());
        Some(())
    });
    let _ = Json(data).bytes(100);
    let Ok(text) = core::str::from_utf8(data) else { return };
    // The other reader recurses, and stops at a depth.
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() < 100 {
        let is_json = is_list.is_some() && values.len() == 1;
        assert_eq!(is_json, serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
        // Numbers that are too large for anything are JSON, and the other reader's values cannot hold them.
        if let (true, Ok(known)) = (is_json, serde_json::from_str(text)) {
            compare(Json(text.trim_matches([' ', '\t', '\n', '\r']).as_bytes()), &known);
        }
    }
    let written = object(&[
        ("text", Value::Text(text)),
        (text, Value::Bytes(data)),
        ("number", Value::Unsigned(Input(data).u64())),
        ("signed", Value::Signed(Input(data).u64() as i64)),
        ("true", Value::Boolean(true)),
    ]);
    let known: Known = serde_json::from_str(&written).expect("what we write is JSON");
    if !["text", "number", "signed", "true"].contains(&text) {
        assert_eq!(known["text"], text);
        assert_eq!(known[text], Known::from(data));
        assert_eq!(
            (known["number"].as_u64(), known["signed"].as_i64()),
            (Some(Input(data).u64()), Some(Input(data).u64() as i64))
        );
        let [ours, signed] = Json(written.as_bytes()).fields(["text", "signed"]).expect("and we read it");
        assert_eq!(ours.and_then(Json::text).as_deref(), Some(text));
        assert_eq!(signed.and_then(Json::signed), Some(Input(data).u64() as i64));
    }
}

/// Both readers see the same in the same text.
fn compare(json: Json<'_>, known: &Known) {
    match known {
        Known::Null => assert!(json.is_null()),
        Known::Bool(known) => assert_eq!(json.boolean(), Some(*known)),
        Known::Number(known) => {
            // A zero with a sign is an integer to us and none to the other reader.
            if !json.0.starts_with(b"-0") {
                assert_eq!(json.unsigned::<u64>(), known.as_u64());
                assert_eq!(json.signed(), known.as_i64());
            }
        }
        Known::String(known) => assert_eq!(json.text().as_ref(), Some(known)),
        Known::Array(known) => {
            let mut rest = known.iter();
            let walked = json.elements(&mut |element| {
                compare(element, rest.next()?);
                Some(())
            });
            assert!(walked.is_some() && rest.next().is_none());
        }
        Known::Object(known) => {
            let mut names = BTreeMap::new();
            let walked = json.entries(&mut |name, value| {
                names.insert(name.text()?, value.0);
                Some(())
            });
            // Of a name that is there twice the other reader keeps the last.
            assert!(walked.is_some() && names.len() == known.len());
            for (name, value) in names {
                compare(Json(value), &known[&name]);
            }
        }
    }
}

pub fn table(data: &[u8]) {
    let mut input = Input(data);
    let mut table: Table<u8, u8> = Table::new();
    let mut map: BTreeMap<u8, u8> = BTreeMap::new();
    while !input.is_empty() {
        let [how, key] = input.array();
        let value = key ^ how;
        match how % 8 {
            0..3 => assert_eq!(table.insert(key, value), map.insert(key, value)),
            3 | 4 => assert_eq!(table.remove(&key), map.remove(&key)),
            5 => assert_eq!(table.pop_first(), map.pop_first()),
            6 => *table.get_or_insert_with(key, || value) = *map.entry(key).or_insert(value),
            _ => {
                if let Some(mine) = table.get_mut(&key) {
                    *mine = how;
                }
                if let Some(known) = map.get_mut(&key) {
                    *known = how;
                }
            }
        }
        assert_eq!(table.len(), map.len());
        assert_eq!(table.is_empty(), map.is_empty());
        assert_eq!(table.get(&key), map.get(&key));
        assert_eq!(table.first_key_value(), map.first_key_value());
        assert_eq!(table.iter_from(&key).next(), map.range(key..).next());
    }
    assert!(table.iter().eq(map.iter()));
    let mut places: Vec<_> = table.iter_mut().map(|(key, value)| (*key, *value)).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(map.iter().map(|(key, value)| (*key, *value))));
    assert!(table.into_values().eq(map.into_values()));
}
