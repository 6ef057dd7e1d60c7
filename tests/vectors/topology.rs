//! The topology room's bytes: the answers of a directory, the document, and what is made of them.

use mixlet::message::GatewayId;
use mixlet::sphinx::{NodeAddress, NodePublicKey, RotationTag};
use mixlet::topology::{MixNode, PATHS, Policy, Schedule, Topology, TopologyError};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

use crate::support::{Fields, test, vectors};

#[test]
fn the_answers_make_the_recorded_topology() {
    let file = file();
    let topology = read(&file, &lenient()).unwrap();
    assert_eq!(topology.epoch(), 1130);
    assert_eq!(topology.rotation_id(), 47);
    assert_eq!(topology.rotation(), RotationTag::Odd);
    assert_eq!(topology.refreshed_at(), Some(1_779_000_000));

    let expected = file.field("expected");
    let mut known: Vec<u64> = (1..=13).filter(|id| is_known(&topology, *id)).collect();
    known.sort_unstable();
    let recorded: Vec<u64> = expected.list("known_node_ids").iter().map(|id| id.as_u64().unwrap()).collect();
    assert_eq!(recorded.len(), 8);
    assert_eq!(known, recorded);
}

#[test]
fn routes_take_the_recorded_candidates() {
    let file = file();
    let topology = read(&file, &lenient()).unwrap();
    let expected = file.field("expected");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let candidates = expected.list("route_candidates_layer1_2_3_egress");
    assert_eq!(candidates.len(), 4);
    for _ in 0..50 {
        let route = topology.route_to(&id_of(10), &mut rng).unwrap();
        for (hop, candidates) in route.hops().iter().zip(candidates) {
            let keys: Vec<_> = candidates.as_array().unwrap().iter().map(|id| key_of(id.as_u64().unwrap())).collect();
            assert!(keys.contains(hop.key));
        }
    }
    let mut count = 0;
    for host in expected.list("mix_hosts") {
        let address = address(host.text("mix_host"));
        let layer = usize::try_from(host.number("node_id")).unwrap() - 1;
        assert_eq!(topology.layer(layer).iter().map(|node| node.address).collect::<Vec<_>>(), [address]);
        assert_eq!(topology.is_first_layer(address), layer == 0);
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn the_recorded_nodes_can_be_the_last_hop() {
    let file = file();
    let topology = read(&file, &lenient()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut count = 0;
    for case in file.field("expected").list("egress") {
        let result = topology.route_to(&id_of(case.number("node_id")), &mut rng).map(|_| ());
        let expected = match case.text("normal") {
            "ok" => Ok(()),
            text if text.contains("valid role") => Err(TopologyError::EgressIsMixNode),
            text if text.contains("is known") => Err(TopologyError::UnknownGateway),
            text => panic!("{text} is new"),
        };
        assert_eq!(result, expected);
        count += 1;
    }
    assert_eq!(count, 10);
}

/// As recorded, except that an IPv6 address has its brackets, and that TLS is taken wherever it is offered.
#[test]
fn gateways_have_the_recorded_urls() {
    let file = file();
    let topology = read(&file, &lenient()).unwrap();
    let mut count = 0;
    for case in file.field("expected").list("entry_addresses") {
        let gateway = topology.gateway(&id_of(case.number("node_id"))).unwrap();
        assert_eq!(gateway.address, address(case.text("mix_host")));
        let any = case.text("any").replace("ws://2001:db8::12:9000", "ws://[2001:db8::12]:9000");
        assert_eq!(gateway.url(false), Some(any));
        assert_eq!(gateway.url(true).as_deref(), case.field("tls").as_str());
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn rotations_have_the_recorded_tags_and_epochs() {
    let file = file();
    let mut count = 0;
    for case in file.list("rotation_tags") {
        let tag = RotationTag::from_rotation_id(small(case, "rotation_id"));
        assert_eq!(u64::from(tag.to_byte()), case.number("tag"));
        count += 1;
    }
    assert_eq!(count, 9);
    for case in file.list("rotation_math") {
        let mut answer = answer(&file, 3);
        answer["key_rotation_state"] =
            json!({ "validity_epochs": case["validity_epochs"], "initial_epoch_id": case["initial_epoch_id"] });
        let schedule = Schedule::parse(answer.to_string().as_bytes()).unwrap();
        let rotation = schedule.rotation_of(small(case, "epoch"));
        assert_eq!(rotation, small(case, "rotation_id"));
        assert_eq!(schedule.rotation_start(rotation), small(case, "start_epoch"));
        assert_eq!(schedule.rotation_start(rotation + 1), small(case, "next_start_epoch"));
        count += 1;
    }
    assert_eq!(count, 9 + 10);
    let schedule = *read(&file, &lenient()).unwrap().schedule().unwrap();
    assert_eq!(schedule.epoch_at(1_778_997_600 + 3600), 1131);
    assert_eq!(schedule.epoch_start(1128), 1_778_997_600 - 2 * 3600);
}

#[test]
fn performance_is_rounded_down_as_recorded() {
    let file = file();
    let mut count = 0;
    for case in file.list("performance") {
        let mut entries = answer(&file, 2);
        entries["nodes"]["data"][0]["performance"] = case["json"].clone();
        let topology = with_answer(&file, 2, &entries, &Policy { minimum_performance: 0, ..lenient() }).unwrap();
        assert_eq!(u64::from(topology.gateway(&id_of(10)).unwrap().performance), case.number("percent"));
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn the_document_makes_the_same_topology_as_the_answers() {
    let file = file();
    let answers = read(&file, &lenient()).unwrap();
    let native = file.field("native_topology_json");
    for document in [native.clone(), in_javascript_spelling(native)] {
        let topology = Topology::from_document(document.to_string().as_bytes(), &lenient()).unwrap();
        for layer in 0..3 {
            assert_eq!(topology.layer(layer), answers.layer(layer));
        }
        assert_eq!((topology.epoch(), topology.rotation_id()), (1130, 47));
        assert_eq!(topology.refreshed_at(), answers.refreshed_at());
        assert_eq!(topology.gateways().count(), 5);
        for (made, answered) in topology.gateways().zip(answers.gateways()) {
            assert_eq!((made.id, made.address, &made.key), (answered.id, answered.address, &answered.key));
            assert_eq!(made.entry, answered.entry);
        }
    }
    let mut unknown = native.clone();
    unknown.as_object_mut().unwrap().remove("metadata");
    let topology = Topology::from_document(unknown.to_string().as_bytes(), &lenient()).unwrap();
    assert_eq!(u64::from(topology.rotation_id()), file.field("expected").number("rotation_when_metadata_missing"));
    assert_eq!(topology.rotation(), RotationTag::Unknown);
}

#[test]
fn an_answer_without_news_makes_no_topology() {
    let file = file();
    let mut empty = file.field("api").field("no-updates answer").clone();
    assert_eq!(with_answer(&file, 2, &empty, &lenient()).unwrap_err(), TopologyError::Inconsistent);
    empty["metadata"] = answer(&file, 1)["metadata"].clone();
    assert_eq!(with_answer(&file, 1, &empty, &lenient()).unwrap_err(), TopologyError::LayerTooSmall(1));
}

fn file() -> Value {
    vectors!("gateway/topology.json")
}

/// The recorded network is smaller than a public one may be.
fn lenient() -> Policy<'static> {
    Policy { public: false, ..Policy::default() }
}

fn answer(file: &Value, index: usize) -> Value {
    file.field("api").field(&format!("GET {}", PATHS[index])).clone()
}

fn read(file: &Value, policy: &Policy<'_>) -> Result<Topology, TopologyError> {
    with_answer(file, 0, &answer(file, 0), policy)
}

/// The recorded answers with one replaced.
fn with_answer(file: &Value, index: usize, other: &Value, policy: &Policy<'_>) -> Result<Topology, TopologyError> {
    let [a, b, c, e] = [0, 1, 2, 3].map(|i| if i == index { other.to_string() } else { answer(file, i).to_string() });
    Topology::from_answers(a.as_bytes(), b.as_bytes(), c.as_bytes(), Some(e.as_bytes()), policy)
}

/// The identity of a recorded node: the seed is its number 32 times.
fn id_of(node: u64) -> GatewayId {
    mixlet::gateway::IdentityKeypair::from_bytes(&[u8::try_from(node).unwrap(); 32]).gateway_id()
}

fn key_of(node: u64) -> NodePublicKey {
    NodePublicKey::from_bytes(mixlet::sphinx::keys::x25519_public(&[u8::try_from(node).unwrap() + 100; 32])).unwrap()
}

fn is_known(topology: &Topology, node: u64) -> bool {
    let mixes = |mix: &MixNode| u64::from(mix.node_id) == node && mix.id == id_of(node);
    (0..3).any(|layer| topology.layer(layer).iter().any(mixes)) || topology.gateway(&id_of(node)).is_some()
}

fn address(text: &str) -> NodeAddress {
    text.parse::<core::net::SocketAddr>().unwrap().into()
}

fn small(case: &Value, name: &str) -> u32 {
    u32::try_from(case.number(name)).unwrap()
}

/// camelCase at the outer two levels, keys in base58.
fn in_javascript_spelling(native: &Value) -> Value {
    let nodes = native.field("node_details").as_object().unwrap().iter().map(|(id, node)| {
        let key = |name: &str| {
            let bytes: [u8; 32] = serde_json::from_value(node.field(name).clone()).unwrap();
            GatewayId(bytes).to_string()
        };
        let node = json!({
            "nodeId": node["node_id"], "mixHost": node["mix_host"], "entry": node["entry"],
            "identityKey": key("identity_key"), "sphinxKey": key("sphinx_key"),
            "supportedRoles": node["supported_roles"],
        });
        (id.clone(), node)
    });
    json!({
        "metadata": native["metadata"],
        "rewardedSet": native["rewarded_set"],
        "nodeDetails": nodes.collect::<serde_json::Map<_, _>>(),
    })
}
