//! Directories that say anything.

use mixlet::gateway::IdentityKeypair;
use mixlet::message::GatewayId;
use mixlet::topology::{More, PATHS, Pages, Policy, Schedule, Topology, TopologyError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..300), value in anything()) {
        for body in [bytes, value.to_string().into_bytes()] {
            let _ = Pages::new().add(&body);
            let _ = Schedule::parse(&body);
            let _ = Topology::from_document(&body, &Policy::default());
            let _ = Topology::from_answers(&body, &body, &body, Some(&body), &Policy::default());
        }
    }

    /// One field of one answer, or of the document, is something else. What is still accepted can still be used, and never
    /// leads to a node that was not there.
    #[test]
    fn one_wrong_field_is_survived(answer in 0..5_usize, at: Index, value in anything(), seed: u64) {
        let mut answers = answers();
        let count = places(&answers[answer]);
        *nth(&mut answers[answer], &mut at.index(count)).unwrap() = value;
        let [a, b, c, e, document] = answers.map(|answer| answer.to_string());
        let policy = Policy { public: false, ..Policy::default() };
        let read = if answer == 4 {
            Topology::from_document(document.as_bytes(), &policy)
        } else {
            Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), Some(e.as_bytes()), &policy)
        };
        if let Ok(topology) = read {
            check(&topology, seed)?;
        }
    }

    /// Bytes changed inside the text.
    #[test]
    fn damaged_text_is_survived(answer in 0..5_usize, changes in vec((any::<Index>(), any::<u8>()), 1..4), seed: u64) {
        let mut bodies = answers().map(|answer| answer.to_string().into_bytes());
        for (at, byte) in changes {
            let at = at.index(bodies[answer].len());
            bodies[answer][at] = byte;
        }
        let [a, b, c, e, document] = &bodies;
        let policy = Policy { public: false, ..Policy::default() };
        for topology in [
            Topology::from_answers(a, b, c, Some(e), &policy),
            Topology::from_document(document, &policy),
        ].into_iter().flatten() {
            check(&topology, seed)?;
        }
    }

    /// Records that are whole and say anything: their bytes changed, and the checksum made to fit.
    #[test]
    fn any_record_is_read_without_panic(
        noise in vec(any::<u8>(), 0..300),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        cut: Index,
        seed: u64,
    ) {
        let [a, b, c, e, _] = answers().map(|answer| answer.to_string());
        let policy = Policy { public: false, ..Policy::default() };
        let read = Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), Some(e.as_bytes()), &policy);
        let mut whole = read.unwrap().to_record().split_off(9);
        for (at, byte) in changes {
            let at = at.index(whole.len());
            whole[at] = byte;
        }
        for body in [noise.as_slice(), &whole, &whole[..cut.index(whole.len())]] {
            let record = [&[1], &blake3::hash(body).as_bytes()[..8], body].concat();
            if let Some(topology) = Topology::from_record(&record) {
                check(&topology, seed)?;
                prop_assert_eq!(Topology::from_record(&topology.to_record()).map(|it| it.epoch()), Some(topology.epoch()));
            }
        }
    }

    /// A directory may claim any epoch and rotation; it is believed only where the schedule says the same.
    #[test]
    fn rotations_follow_the_schedule(validity in 1..1000_u32, initial: u32, epoch: u32, rotation: u32, now: u64) {
        let mut answers = answers();
        answers[0]["epoch_id"] = json!(epoch);
        for answer in [1, 2] {
            answers[answer]["metadata"]["absolute_epoch_id"] = json!(epoch);
            answers[answer]["metadata"]["rotation_id"] = json!(rotation);
        }
        answers[3]["key_rotation_state"] = json!({ "validity_epochs": validity, "initial_epoch_id": initial });
        let [a, b, c, e, _] = answers.map(|answer| answer.to_string());
        let schedule = Schedule::parse(e.as_bytes()).unwrap();
        let expected = schedule.rotation_of(epoch);
        prop_assert!(epoch < initial || schedule.rotation_start(expected) <= epoch);
        prop_assert!(schedule.rotation_start(expected.saturating_add(1)) > epoch.max(initial) || epoch == u32::MAX);
        let _ = (schedule.epoch_at(now), schedule.epoch_start(epoch));
        let policy = Policy { public: false, ..Policy::default() };
        let read = Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), Some(e.as_bytes()), &policy);
        if rotation == expected {
            prop_assert_eq!(read.unwrap().rotation_id(), rotation);
        } else {
            prop_assert_eq!(read.unwrap_err(), TopologyError::RotationMismatch(rotation));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A directory that says any totals, gives any nodes again and any number of pages: each page asked for is the next one,
    /// and the list ends.
    #[test]
    fn lists_on_several_pages_end(total: u16, pages in vec(vec(0..12_usize, 0..4), 1..8), cut in any::<Index>()) {
        let whole = answers()[1].clone();
        let nodes = whole["nodes"]["data"].as_array().unwrap().clone();
        let total = u64::from(total % 30);
        let mut list = Pages::new();
        let mut received = 0;
        let mut known = std::collections::BTreeSet::new();
        for (number, picked) in (1..).zip(&pages) {
            let mut page = whole.clone();
            page["nodes"]["pagination"]["total"] = json!(total);
            page["nodes"]["data"] = picked.iter().map(|at| nodes[at % nodes.len()].clone()).collect();
            let text = page.to_string();
            // Half a page is none, and changes nothing.
            prop_assert!(list.add(&text.as_bytes()[..cut.index(text.len())]).is_err());
            received += picked.len() as u64;
            let news = picked.iter().filter(|at| known.insert(*at % nodes.len())).count();
            let ends = received >= total || news == 0;
            prop_assert_eq!(list.add(text.as_bytes()).unwrap(), if ends { More::Nothing } else { More::Page(number) });
            if ends {
                break;
            }
        }
    }
}

/// Whatever was accepted: full layers, routes through known nodes, URLs that are URLs.
fn check(topology: &Topology, seed: u64) -> Result<(), TestCaseError> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    prop_assert!(topology.layer_counts().iter().all(|count| *count >= 1));
    for gateway in topology.gateways() {
        let route = topology.route_to(&gateway.id, &mut rng).unwrap();
        let [mixes @ .., last] = route.hops();
        for (index, hop) in mixes.iter().enumerate() {
            prop_assert!(topology.layer(index).iter().any(|node| node.address == hop.address && &node.key == hop.key));
        }
        prop_assert!(topology.is_first_layer(route.hops()[0].address));
        prop_assert_eq!(last.address, gateway.address);
        for url in [gateway.url(true), gateway.url(false)].into_iter().flatten() {
            let rest = url.strip_prefix("wss://").or(url.strip_prefix("ws://")).unwrap();
            let (host, port) = rest.rsplit_once(':').unwrap();
            prop_assert!(port.parse::<u16>().unwrap() > 0);
            let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
            prop_assert!(plain, "{}", url);
        }
    }
    Ok(())
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..20_u32).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        select(vec!["0.5", "127.0.0.1", "::1", "a.b:80", "no-updates", "2026-05-17T06:40:00Z", "10"])
            .prop_map(Value::from),
        Just(json!(id(10).to_string())),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(
                (select(vec!["metadata", "nodes", "data", "layer1", "epoch_id", "node_id", "entry", "x"]), inner),
                0..6
            )
            .prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// The recorded answers to [`PATHS`], and the recorded document.
fn answers() -> [Value; 5] {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/gateway/topology.json"));
    let file: Value = serde_json::from_str(text).unwrap();
    let answer = |index: usize| file["api"][format!("GET {}", PATHS[index])].clone();
    [answer(0), answer(1), answer(2), answer(3), file["native_topology_json"].clone()]
}

/// How many values there are in a value, itself included.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(fields) => fields.values().map(places).sum(),
        _ => 0,
    }
}

/// The value with this number, counted as [`places`] does.
fn nth<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, number)),
        Value::Object(fields) => fields.values_mut().find_map(|item| nth(item, number)),
        _ => None,
    }
}

fn id(number: u8) -> GatewayId {
    IdentityKeypair::from_bytes(&[number; 32]).gateway_id()
}
