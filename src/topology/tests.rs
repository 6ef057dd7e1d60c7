//! Hostile and odd directories, one at a time.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::IpAddr;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

use super::*;
use crate::gateway::IdentityKeypair;
use crate::limits;
use crate::sphinx::keys::x25519_public;
use crate::time::{Duration, Instant};

#[test]
fn a_public_network_is_read() {
    let topology = Network::new().read(&Policy::default()).unwrap();
    assert_eq!(topology.layer_counts(), [3; 3]);
    assert_eq!(topology.gateways().count(), 3);
    assert_eq!(topology.warnings(), Warnings::default());
}

#[test]
fn routes_are_uniform_and_independent() {
    let topology = Network::new().read(&Policy::default()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut counts = [[[0_u32; 3]; 3]; 3];
    let place = |layer: usize, hop: &crate::sphinx::Hop<'_>| {
        topology.layer(layer).iter().position(|node| node.address == hop.address && &node.key == hop.key).unwrap()
    };
    let egress = id(10);
    for _ in 0..27_000 {
        let route = topology.route_to(&egress, &mut rng).unwrap();
        let [a, b, c, last] = route.hops();
        counts[place(0, a)][place(1, b)][place(2, c)] += 1;
        assert_eq!(last.address, topology.gateway(&egress).unwrap().address);
    }
    // A thousand each, give or take five standard deviations.
    assert!(counts.as_flattened().as_flattened().iter().all(|count| (840..1160).contains(count)), "{counts:?}");
}

#[test]
fn answers_of_different_epochs_or_rotations_are_refused() {
    for (answer, path, value) in [
        (0, "/epoch_id", json!(1131)),
        (1, "/metadata/absolute_epoch_id", json!(1129)),
        (2, "/metadata/absolute_epoch_id", json!(1131)),
        (2, "/metadata/rotation_id", json!(48)),
        (2, "/metadata/status", Value::Null),
        (2, "/metadata/status/fresh/total_elapsed_epochs", json!(1)),
    ] {
        let mut network = Network::new();
        *network.0[answer].pointer_mut(path).unwrap() = value;
        assert_eq!(network.refusal(), TopologyError::Inconsistent, "{path}");
    }
    // When the answers were made need not agree.
    let mut network = Network::new();
    network.0[2]["metadata"]["refreshed_at"] = json!("2026-05-17T06:41:00Z");
    network.read(&Policy::default()).unwrap();
}

#[test]
fn the_rotation_has_to_be_that_of_the_schedule() {
    let mut network = Network::new();
    for answer in [1, 2] {
        network.0[answer]["metadata"]["rotation_id"] = json!(46);
    }
    assert_eq!(network.refusal(), TopologyError::RotationMismatch(46));
    // Without the schedule nobody can tell.
    let [a, b, c, _] = network.0.each_ref().map(Value::to_string);
    let topology = Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), None, &Policy::default()).unwrap();
    assert_eq!(topology.schedule(), None);
}

#[test]
fn the_schedule_of_before_holds_until_it_is_wrong() {
    let first = Network::new().read(&Policy::default()).unwrap();
    let policy = Policy { previous: Some(&first), ..Policy::default() };
    let read = |network: &Network| {
        let [a, b, c, _] = network.0.each_ref().map(Value::to_string);
        Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), None, &policy).unwrap()
    };
    assert_eq!(read(&Network::new()).schedule(), first.schedule());
    let mut network = Network::new();
    for answer in [1, 2] {
        network.0[answer]["metadata"]["rotation_id"] = json!(48);
    }
    assert_eq!(read(&network).schedule(), None);
}

#[test]
fn a_broken_schedule_is_refused() {
    for (path, value) in [
        ("/key_rotation_state/validity_epochs", json!(0)),
        ("/epoch_duration/secs", json!(0)),
        ("/epoch_duration/secs", json!(-1)),
        ("/current_epoch_start", json!("soon")),
        ("/current_absolute_epoch_id", json!("1130")),
        ("/key_rotation_state", json!([24, 0])),
    ] {
        let mut network = Network::new();
        *network.0[3].pointer_mut(path).unwrap() = value;
        assert_eq!(network.refusal(), TopologyError::Malformed, "{path}");
    }
    let mut network = Network::new();
    network.0[3]["epoch_duration"] = json!({ "secs": u64::MAX, "nanos": u32::MAX });
    assert_eq!(network.refusal(), TopologyError::Malformed);
}

#[test]
fn far_epochs_do_not_overflow() {
    let mut network = Network::new();
    network.0[3]["epoch_duration"] = json!({ "secs": u64::MAX, "nanos": 0 });
    let schedule = Schedule::parse(network.0[3].to_string().as_bytes()).unwrap();
    assert_eq!(schedule.epoch_start(u32::MAX), u64::MAX);
    assert_eq!(schedule.epoch_start(0), 0);
    assert_eq!(schedule.epoch_at(u64::MAX), 1130);
    assert_eq!(schedule.rotation_start(u32::MAX), u32::MAX);
    let quick = Schedule { epoch_duration: Duration::from_millis(500), ..schedule };
    assert_eq!(quick.epoch_at(quick.reference_start + 3), 1136);
    assert_eq!(quick.epoch_at(u64::MAX), u32::MAX);
    assert_eq!(quick.epoch_start(1136), quick.reference_start + 3);
    assert_eq!(quick.epoch_at(0), 1130);
}

#[test]
fn suspicion_is_patient_only_for_a_while() {
    let first = Network::new().read(&Policy::default()).unwrap();
    let policy = Policy { previous: Some(&first), ..Policy::default() };
    let over = Policy { patience_over: true, ..policy };

    let mut past = Network::new();
    past.set_epoch(1129);
    assert_eq!(past.read(&policy).unwrap_err(), TopologyError::EpochInPast(1129));
    assert_eq!(past.read(&over).unwrap().warnings(), Warnings { epoch_in_past: true, mostly_new: false });

    // Six of twelve identities new is half, and still believed.
    let mut half = Network::new();
    half.replace_identities(6);
    assert_eq!(half.read(&policy).unwrap().warnings(), Warnings::default());
    let mut mostly = Network::new();
    mostly.replace_identities(7);
    assert_eq!(mostly.read(&policy).unwrap_err(), TopologyError::MostlyNew);
    assert_eq!(mostly.read(&over).unwrap().warnings(), Warnings { epoch_in_past: false, mostly_new: true });

    let minutes = |count: u64| Instant::ZERO + Duration::from_secs(60 * count);
    let mut patience = Patience::default();
    for count in 0..3 {
        assert!(!patience.is_over(minutes(count)));
        patience.refused(TopologyError::Inconsistent, minutes(count));
        patience.refused(TopologyError::MostlyNew, minutes(count));
    }
    assert!(patience.is_over(minutes(3)));
    patience.accepted();
    patience.refused(TopologyError::EpochInPast(1), minutes(3));
    patience.refused(TopologyError::EpochInPast(1), minutes(20));
    assert!(!patience.is_over(minutes(32)));
    assert!(patience.is_over(minutes(33)));
    patience.accepted();
    assert!(!patience.is_over(minutes(99)));
}

#[test]
fn nodes_that_cannot_be_used_are_left_out() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 14] = [
        ("slow", |node| node["performance"] = json!("0.4999")),
        ("performance as a number", |node| node["performance"] = json!(0.99)),
        ("performance with an exponent", |node| node["performance"] = json!("99e-2")),
        ("performance above one", |node| node["performance"] = json!("1.01")),
        ("no performance", |node| drop(node.as_object_mut().unwrap().remove("performance"))),
        ("no address", |node| node["ip_addresses"] = json!([])),
        ("no such address", |node| node["ip_addresses"] = json!(["198.51.100.256"])),
        ("a name for an address", |node| node["ip_addresses"] = json!(["example.org"])),
        ("no port", |node| node["mix_port"] = json!(0)),
        ("identity no point", |node| node["ed25519_identity_pubkey"] = json!(bs58(&[2; 32]))),
        ("identity too short", |node| node["ed25519_identity_pubkey"] = json!(bs58(&[1; 31]))),
        ("identity too long", |node| node["ed25519_identity_pubkey"] = json!(bs58(&[1; 33]))),
        ("key of low order", |node| node["x25519_sphinx_pubkey"] = json!(bs58(&[0; 32]))),
        ("key no base58", |node| node["x25519_sphinx_pubkey"] = json!("0OIl")),
    ];
    for (what, change) in changes {
        let mut network = Network::new();
        change(network.node(10));
        let topology = network.read(&Policy::default()).unwrap();
        assert!(topology.gateway(&id(10)).is_none(), "{what}");
        assert_eq!(topology.gateways().count(), 2, "{what}");
        // The same with a mix node leaves its layer too small for a public network.
        let mut network = Network::new();
        change(network.node(1));
        assert_eq!(network.refusal(), TopologyError::LayerTooSmall(1), "{what}");
        assert_eq!(network.read(&private()).unwrap().layer_counts(), [2, 3, 3], "{what}");
    }
}

#[test]
fn private_addresses_belong_to_private_networks() {
    for ip in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "ff02::1",
        "::ffff:127.0.0.1",
    ] {
        let mut network = Network::new();
        network.node(10)["ip_addresses"] = json!([ip]);
        assert!(network.read(&Policy::default()).unwrap().gateway(&id(10)).is_none(), "{ip}");
        assert!(network.read(&private()).unwrap().gateway(&id(10)).is_some(), "{ip}");
        // As a second address it is only not used.
        network.node(10)["ip_addresses"] = json!(["198.51.100.10", ip]);
        let topology = network.read(&Policy::default()).unwrap();
        let entry = topology.gateway(&id(10)).unwrap().entry.clone().unwrap();
        assert_eq!(entry.ips, ["198.51.100.10".parse::<IpAddr>().unwrap()]);
    }
    for ip in ["2001:db8::1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "223.255.255.255", "::ffff:198.51.100.1"] {
        let mut network = Network::new();
        network.node(10)["ip_addresses"] = json!([ip]);
        assert!(network.read(&Policy::default()).unwrap().gateway(&id(10)).is_some(), "{ip}");
    }
}

#[test]
fn nodes_that_contradict_each_other_are_left_out() {
    // One number, two keys.
    let mut network = Network::new();
    let mut twin = network.node(10).clone();
    twin["x25519_sphinx_pubkey"] = json!(bs58(&x25519_public(&[77; 32])));
    network.add_gateway(twin);
    assert!(network.read(&Policy::default()).unwrap().gateway(&id(10)).is_none());
    // One identity, two numbers.
    let mut network = Network::new();
    let mut twin = network.node(10).clone();
    twin["node_id"] = json!(77);
    network.add_gateway(twin);
    assert!(network.read(&Policy::default()).unwrap().gateway(&id(10)).is_none());
    // The same once more, also in the other list, is no contradiction; the list of gateways knows more.
    let mut network = Network::new();
    let mut twin = network.node(10).clone();
    network.add_gateway(twin.clone());
    twin["entry"] = Value::Null;
    let mixes = network.0[1]["nodes"]["data"].as_array_mut().unwrap();
    mixes.push(twin);
    network.0[1]["nodes"]["pagination"]["total"] = json!(10);
    let topology = network.read(&Policy::default()).unwrap();
    assert!(topology.gateway(&id(10)).unwrap().entry.is_some());
}

#[test]
fn roles_are_disjoint_and_somebody_is_a_gateway() {
    for (list, node) in [("layer2", 1), ("standby", 1), ("entry_gateways", 1), ("exit_gateways", 10)] {
        let mut network = Network::new();
        network.0[0][list].as_array_mut().unwrap().push(json!(node));
        assert_eq!(network.refusal(), TopologyError::RolesOverlap, "{list}");
    }
    // Twice in one list is once.
    let mut network = Network::new();
    network.0[0]["layer1"] = json!([1, 1, 2, 3, 3, 3, 3]);
    assert_eq!(network.read(&Policy::default()).unwrap().layer_counts(), [3; 3]);
    // Numbers without nodes are ignored, but do not make a layer large enough.
    network.0[0]["layer1"] = json!([1, 2, 91, 92]);
    assert_eq!(network.refusal(), TopologyError::LayerTooSmall(1));
    network.0[0]["layer1"] = json!([]);
    assert_eq!(network.read(&private()).unwrap_err(), TopologyError::LayerTooSmall(1));

    let mut network = Network::new();
    network.0[0]["entry_gateways"] = json!([]);
    network.0[0]["exit_gateways"] = json!([]);
    assert_eq!(network.refusal(), TopologyError::NoGateways);
}

#[test]
fn the_last_hop_has_to_be_known_and_no_mix_node() {
    let topology = Network::new().read(&Policy::default()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut error = |node| topology.route_to(&id(node), &mut rng).map(|_| ()).unwrap_err();
    assert_eq!(error(1), TopologyError::EgressIsMixNode);
    assert_eq!(error(99), TopologyError::UnknownGateway);
}

#[test]
fn only_names_are_taken_for_names() {
    for (name, is_public) in [("gw.example.org", true), ("GW-1.Example.ORG", true), ("xn--bcher-kva.example", true)] {
        assert_eq!(entry_hostname(name, is_public), Some(name.to_ascii_lowercase()));
    }
    // Fine on a private network only.
    for name in ["localhost", "gw", "gw.localhost", "printer.local", "gw.internal"] {
        assert_eq!(entry_hostname(name, true), None, "{name}");
        assert_eq!(entry_hostname(name, false), Some(name.into()), "{name}");
    }
    let long = format!("{}.org", "a".repeat(64));
    let longer = format!("{}org", "a.".repeat(126));
    for name in [
        "",
        ".",
        "gw.example.org.",
        "gw..example.org",
        "gw.example.org:80",
        "gw.example.org/path",
        "user@gw.example.org",
        "gw.example.org?",
        "gw.example.org#",
        "gw example.org",
        "-gw.example.org",
        "gw-.example.org",
        "gw_1.example.org",
        "bücher.example",
        "gw.example.org\\",
        "gw%2eexample.org",
        "198.51.100.1",
        "0x7f.1",
        "a.0x7f",
        "a.1",
        "[::1]",
        "::1",
        &long,
        &longer,
    ] {
        assert_eq!(entry_hostname(name, false), None, "{name}");
    }
}

#[test]
fn urls_are_such_that_browsers_open_them() {
    let url = |hostname: Option<&str>, ip: &str, ws_port: u16, wss_port: Option<u16>, secure: bool| {
        let mut network = Network::new();
        network.node(10)["ip_addresses"] = json!([ip]);
        network.node(10)["entry"] = json!({ "hostname": hostname, "ws_port": ws_port, "wss_port": wss_port });
        network.read(&private()).unwrap().gateway(&id(10)).unwrap().url(secure)
    };
    let name = Some("gw.example.org");
    assert_eq!(url(name, "198.51.100.1", 9000, Some(9001), true).unwrap(), "wss://gw.example.org:9001");
    assert_eq!(url(name, "198.51.100.1", 9000, Some(9001), false).unwrap(), "wss://gw.example.org:9001");
    assert_eq!(url(name, "198.51.100.1", 9000, None, false).unwrap(), "ws://gw.example.org:9000");
    assert_eq!(url(None, "198.51.100.1", 9000, Some(9001), false).unwrap(), "ws://198.51.100.1:9000");
    assert_eq!(url(None, "2001:db8::1", 9000, None, false).unwrap(), "ws://[2001:db8::1]:9000");
    assert_eq!(url(None, "198.51.100.1", 9000, Some(9001), true), None);
    assert_eq!(url(name, "198.51.100.1", 9000, None, true), None);
    // Blocked ports.
    assert_eq!(url(name, "198.51.100.1", 9000, Some(6000), false).unwrap(), "ws://gw.example.org:9000");
    assert_eq!(url(name, "198.51.100.1", 9000, Some(0), false).unwrap(), "ws://gw.example.org:9000");
    assert_eq!(url(name, "198.51.100.1", 10_080, None, false), None);
    assert_eq!(url(name, "198.51.100.1", 0, None, false), None);
}

#[test]
fn a_mix_node_takes_no_clients_whatever_it_says() {
    let mut network = Network::new();
    network.node(10)["supported_roles"]["mixnode"] = json!(true);
    let topology = network.read(&Policy::default()).unwrap();
    let gateway = topology.gateway(&id(10)).unwrap();
    assert_eq!((gateway.entry.as_ref(), gateway.url(false)), (None, None));
}

#[test]
fn lists_are_followed_page_by_page() {
    let network = Network::new();
    let all = network.0[1]["nodes"]["data"].as_array().unwrap().clone();
    let page = |nodes: &[Value], total: usize| {
        let mut page = network.0[1].clone();
        page["nodes"]["data"] = json!(nodes);
        page["nodes"]["pagination"]["total"] = json!(total);
        page.to_string()
    };
    let mut pages = Pages::new();
    assert_eq!(pages.add(page(&all[..4], 9).as_bytes()), Ok(More::Page(1)));
    let [a, _, c, e] = network.0.each_ref().map(Value::to_string);
    let mut entries = Pages::new();
    assert_eq!(entries.add(c.as_bytes()), Ok(More::Nothing));
    let read =
        |mixes: &Pages| Topology::from_pages(a.as_bytes(), mixes, &entries, Some(e.as_bytes()), &Policy::default());
    assert_eq!(read(&pages).unwrap_err(), TopologyError::MorePages);
    assert_eq!(pages.add(page(&all[4..8], 9).as_bytes()), Ok(More::Page(2)));
    assert_eq!(pages.add(page(&all[8..], 9).as_bytes()), Ok(More::Nothing));
    assert_eq!(read(&pages).unwrap().layer_counts(), [3; 3]);
    assert_eq!(
        Topology::from_answers(a.as_bytes(), page(&all[..4], 9).as_bytes(), c.as_bytes(), None, &Policy::default())
            .unwrap_err(),
        TopologyError::MorePages
    );

    // A directory that repeats itself has ended, whatever it promises.
    let mut pages = Pages::new();
    pages.add(page(&all, 100).as_bytes()).unwrap();
    assert_eq!(pages.add(page(&all, 100).as_bytes()), Ok(More::Nothing));
    // One that changes its mind between pages is refused.
    let mut pages = Pages::new();
    pages.add(page(&all[..4], 9).as_bytes()).unwrap();
    let other = page(&all[4..], 9).replace("\"rotation_id\":47", "\"rotation_id\":48");
    assert_eq!(pages.add(other.as_bytes()), Err(TopologyError::Inconsistent));
}

#[test]
fn answers_have_caps() {
    let long = vec![b' '; limits::DIRECTORY_BODY_MAX + 1];
    let error = TopologyError::TooLong(long.len());
    assert_eq!(Pages::new().add(&long), Err(error));
    assert_eq!(Schedule::parse(&long).unwrap_err(), error);
    assert_eq!(Topology::from_document(&long, &Policy::default()).unwrap_err(), error);

    let mut network = Network::new();
    network.0[1]["nodes"]["pagination"]["total"] = json!(limits::DIRECTORY_NODES_MAX + 1);
    assert_eq!(network.refusal(), TopologyError::TooMany);
    let mut network = Network::new();
    let node = network.node(1).clone();
    network.0[1]["nodes"]["data"] = json!(vec![node; limits::DIRECTORY_NODES_MAX + 1]);
    assert_eq!(network.refusal(), TopologyError::TooMany);
    let mut network = Network::new();
    network.node(1)["ip_addresses"] = json!(vec!["198.51.100.1"; limits::DIRECTORY_IPS_MAX + 1]);
    assert_eq!(network.refusal(), TopologyError::TooMany);
    let mut network = Network::new();
    network.0[0]["standby"] = json!(vec![5; limits::DIRECTORY_ROLE_MAX + 1]);
    assert_eq!(network.refusal(), TopologyError::TooMany);

    let network = Network::new();
    let mut pages = Pages::new();
    for number in 0..limits::DIRECTORY_PAGES_MAX {
        let mut page = network.0[1].clone();
        let mut node = page["nodes"]["data"][0].clone();
        node["node_id"] = json!(number);
        page["nodes"] = json!({ "pagination": { "total": 1000 }, "data": [node] });
        assert_eq!(pages.add(page.to_string().as_bytes()), Ok(More::Page(number + 1)));
    }
    assert_eq!(pages.add(network.0[1].to_string().as_bytes()), Err(TopologyError::TooMany));
}

#[test]
fn types_are_exact_and_unknown_fields_ignored() {
    for (answer, path, value) in [
        (0, "/layer1", json!({})),
        (0, "/layer1", json!(["1"])),
        (0, "/layer1", json!([-1])),
        (0, "/layer1", json!([1.5])),
        (0, "/layer1", json!([4_294_967_296_u64])),
        (1, "/nodes", json!([])),
        (1, "/nodes/data", json!({})),
        (1, "/nodes/data/0", json!([1])),
        (1, "/nodes/data/0/mix_port", json!(65_536)),
        (1, "/nodes/data/0/ip_addresses", json!("198.51.100.1")),
        (1, "/nodes/data/0/supported_roles", json!([true, false, false, false])),
        (1, "/metadata/rotation_id", json!("47")),
        (1, "/metadata/status", json!("stale")),
    ] {
        let mut network = Network::new();
        *network.0[answer].pointer_mut(path).unwrap() = value;
        assert_eq!(network.refusal(), TopologyError::Malformed, "{path}");
    }
    let mut network = Network::new();
    for (answer, path) in
        [(0, ""), (1, ""), (1, "/metadata"), (1, "/nodes/data/0"), (2, "/nodes/data/0/entry"), (3, "")]
    {
        network.0[answer].pointer_mut(path).unwrap()["novelty"] = json!({ "deep": [1, [2, [3]]] });
    }
    // The role in a node's own entry is a copy that nobody reads.
    network.node(1)["role"] = json!("Inactive");
    network.read(&Policy::default()).unwrap();
}

#[test]
fn a_document_is_checked_like_an_answer() {
    let read = |document: &Value, policy: &Policy<'_>| Topology::from_document(document.to_string().as_bytes(), policy);
    let document = document();
    assert_eq!(read(&document, &private()).unwrap().layer_counts(), [1; 3]);
    assert_eq!(read(&document, &Policy::default()).unwrap_err(), TopologyError::LayerTooSmall(1));
    for (path, value) in [
        ("/node_details/1/node_id", json!(2)),
        ("/node_details/1/mix_host", json!("localhost:1789")),
        ("/node_details/1/mix_host", json!("127.0.0.1")),
        ("/node_details/1/identity_key", json!([1, 2, 3])),
        ("/node_details/1/identity_key", json!(vec![1; 33])),
        ("/node_details/1/sphinx_key", json!(bs58(&[1; 31]))),
        ("/node_details/10/entry", json!([])),
        ("/node_details", json!([])),
        ("/rewarded_set", Value::Null),
        ("/metadata/key_rotation_id", json!("1")),
    ] {
        let mut broken = document.clone();
        *broken.pointer_mut(path).unwrap() = value;
        assert_eq!(read(&broken, &private()).unwrap_err(), TopologyError::Malformed, "{path}");
    }
    let mut crowded = document.clone();
    crowded["node_details"]["10"]["entry"]["ip_addresses"] = json!(vec!["127.0.0.1"; limits::DIRECTORY_IPS_MAX + 1]);
    assert_eq!(read(&crowded, &private()).unwrap_err(), TopologyError::TooMany);
    let mut both = document.clone();
    both["rewardedSet"] = both["rewarded_set"].clone();
    assert_eq!(read(&both, &private()).unwrap_err(), TopologyError::Malformed);
    // An unusable key is refused by what is missing then.
    let mut weak = document;
    weak["node_details"]["1"]["sphinx_key"] = json!(vec![0; 32]);
    assert_eq!(read(&weak, &private()).unwrap_err(), TopologyError::LayerTooSmall(1));
}

#[test]
fn a_record_says_the_same_as_the_answers() {
    let mut network = Network::new();
    network.node(2)["ip_addresses"] = json!(["2001:db8::2", "198.51.100.2"]);
    network.node(10)["entry"] = json!({ "hostname": "Gate.example.org", "ws_port": 9000, "wss_port": 9001 });
    network.node(11)["ip_addresses"] = json!(["198.51.100.11", "2001:db8::11"]);
    let mut no_schedule = network.read(&Policy::default()).unwrap();
    no_schedule.schedule = None;
    no_schedule.refreshed_at = None;
    no_schedule.rotation_id = u32::MAX;
    let hand_made = Topology::from_document(document().to_string().as_bytes(), &private()).unwrap();
    for topology in [network.read(&Policy::default()).unwrap(), no_schedule, hand_made] {
        let read = Topology::from_record(&topology.to_record()).unwrap();
        assert_eq!((read.epoch, read.rotation_id, read.refreshed_at), {
            (topology.epoch, topology.rotation_id, topology.refreshed_at)
        });
        assert_eq!((read.schedule, &read.layers), (topology.schedule, &topology.layers));
        assert!(read.gateways.iter().eq(topology.gateways.iter()));
    }
    // About a hundred bytes for each node.
    assert!(network.read(&Policy::default()).unwrap().to_record().len() < 12 * 110);
}

#[test]
fn a_record_with_any_bit_flipped_or_cut_off_is_none() {
    let whole = Network::new().read(&Policy::default()).unwrap().to_record();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Topology::from_record(&damaged).is_none(), "byte {at}");
        assert!(Topology::from_record(&whole[..at]).is_none(), "{at} bytes");
    }
    assert!(Topology::from_record(&[whole.as_slice(), &[0]].concat()).is_none());
}

/// The four answers of a directory with nine mix nodes, 1 to 9, and three gateways, 10 to 12.
struct Network([Value; 4]);

impl Network {
    fn new() -> Self {
        let page = |nodes: Vec<Value>| {
            json!({
                "metadata": {
                    "status": { "fresh": {
                        "id": 1, "epochs_in_interval": 720, "current_epoch_start": "2026-05-17T06:00:00Z",
                        "current_epoch_id": 410, "epoch_length": { "secs": 3600, "nanos": 0 },
                        "total_elapsed_epochs": 1130,
                    } },
                    "absolute_epoch_id": 1130, "rotation_id": 47, "refreshed_at": "2026-05-17 06:40:00.0 +00:00:00",
                },
                "nodes": { "pagination": { "total": nodes.len(), "page": 0, "size": nodes.len() }, "data": nodes },
            })
        };
        Self([
            json!({
                "epoch_id": 1130, "entry_gateways": [10, 11], "exit_gateways": [12],
                "layer1": [1, 2, 3], "layer2": [4, 5, 6], "layer3": [7, 8, 9], "standby": [],
            }),
            page((1..=9).map(|node| node_json(node, Value::Null)).collect()),
            page(
                (10..=12)
                    .map(|node| node_json(node, json!({ "hostname": null, "ws_port": 9000, "wss_port": null })))
                    .collect(),
            ),
            json!({
                "key_rotation_state": { "validity_epochs": 24, "initial_epoch_id": 0 },
                "current_absolute_epoch_id": 1130, "current_epoch_start": "2026-05-17T06:00:00Z",
                "epoch_duration": { "secs": 3600, "nanos": 0 },
            }),
        ])
    }

    fn read(&self, policy: &Policy<'_>) -> Result<Topology, TopologyError> {
        let [a, b, c, e] = self.0.each_ref().map(Value::to_string);
        Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), Some(e.as_bytes()), policy)
    }

    fn refusal(&self) -> TopologyError {
        self.read(&Policy::default()).unwrap_err()
    }

    fn node(&mut self, number: usize) -> &mut Value {
        let (answer, index) = if number < 10 { (1, number - 1) } else { (2, number - 10) };
        &mut self.0[answer]["nodes"]["data"][index]
    }

    fn add_gateway(&mut self, node: Value) {
        let nodes = self.0[2]["nodes"]["data"].as_array_mut().unwrap();
        nodes.push(node);
        let total = nodes.len();
        self.0[2]["nodes"]["pagination"]["total"] = json!(total);
    }

    fn set_epoch(&mut self, epoch: u32) {
        self.0[0]["epoch_id"] = json!(epoch);
        for answer in [1, 2] {
            self.0[answer]["metadata"]["absolute_epoch_id"] = json!(epoch);
        }
    }

    fn replace_identities(&mut self, count: usize) {
        for number in 1..=count {
            let new = id(u8::try_from(number).unwrap() + 100);
            self.node(number)["ed25519_identity_pubkey"] = json!(new.to_string());
        }
    }
}

fn node_json(number: u8, entry: Value) -> Value {
    let is_gateway = !entry.is_null();
    json!({
        "node_id": number, "ed25519_identity_pubkey": id(number).to_string(),
        "ip_addresses": [format!("198.51.100.{number}")], "mix_port": 1789,
        "x25519_sphinx_pubkey": bs58(&x25519_public(&[number + 100; 32])),
        "role": if is_gateway { json!("EntryGateway") } else { json!({ "Mixnode": { "layer": 1 } }) },
        "supported_roles": { "mixnode": !is_gateway, "entry": is_gateway, "exit_nr": false, "exit_ipr": false },
        "entry": entry, "performance": "0.99",
    })
}

fn document() -> Value {
    let node = |number: u8, entry: Value| {
        json!({
            "node_id": number, "mix_host": format!("127.0.0.1:{}", 10_000 + u16::from(number)), "entry": entry,
            "identity_key": id(number).0, "sphinx_key": x25519_public(&[number + 100; 32]),
            "supported_roles": { "mixnode": entry.is_null(), "mixnet_entry": !entry.is_null(), "mixnet_exit": false },
        })
    };
    let entry = json!({
        "ip_addresses": ["127.0.0.1"], "clients_ws_port": 9000, "hostname": null, "clients_wss_port": null,
    });
    json!({
        "metadata": { "key_rotation_id": 1, "absolute_epoch_id": 24, "refreshed_at": "2026-05-17T06:40:00Z" },
        "rewarded_set": {
            "epoch_id": 24, "entry_gateways": [10], "exit_gateways": [], "layer1": [1], "layer2": [2], "layer3": [3],
            "standby": [],
        },
        "node_details": {
            "1": node(1, Value::Null), "2": node(2, Value::Null), "3": node(3, Value::Null), "10": node(10, entry),
        },
    })
}

fn private() -> Policy<'static> {
    Policy { public: false, ..Policy::default() }
}

fn entry_hostname(name: &str, public: bool) -> Option<String> {
    let mut network = Network::new();
    network.node(10)["entry"]["hostname"] = json!(name);
    let topology = network.read(&Policy { public, ..Policy::default() }).unwrap();
    topology.gateway(&id(10)).unwrap().entry.as_ref().unwrap().hostname.clone()
}

fn id(number: u8) -> GatewayId {
    IdentityKeypair::from_bytes(&[number; 32]).gateway_id()
}

fn bs58(bytes: &[u8]) -> String {
    ::bs58::encode(bytes).into_string()
}
