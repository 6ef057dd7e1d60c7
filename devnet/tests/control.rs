//! The control endpoint, used as a test in another language would use it: over HTTP.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Client, network, until};
use mixlet::engine::State;
use mixlet_devnet::net::driver::Records;
use mixlet_devnet::net::http::fetch;
use mixlet_devnet::net::network::Network;
use mixlet_devnet::record::NodeName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_start_matches("ws://").split('/').next().unwrap().parse().unwrap()
}

/// Status and JSON of a call to the control endpoint.
async fn call(network: &Network, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
    let (status, answer) = fetch(method, address(&network.info().control), path, &body).await.unwrap();
    (status, serde_json::from_slice(&answer).unwrap())
}

async fn post(network: &Network, path: &str) -> Value {
    let (status, answer) = call(network, "POST", path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Asks a gateway for a websocket and gives back the first line of its answer; nothing if none comes for a while.
async fn upgrade(network: &Network, gateway: usize) -> Option<String> {
    let mut stream = TcpStream::connect(address(&network.info().gateways[gateway].url)).await.ok()?;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = [0; 512];
    let len = timeout(Duration::from_millis(300), stream.read(&mut answer)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&answer[..len]).lines().next()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_can_be_set_and_read_and_nonsense_is_refused() {
    let network = network().await;
    let (status, faults) = call(&network, "POST", "/loss", json!({"p": 0.25})).await;
    assert_eq!((status, &faults["loss"]), (200, &json!(0.25)));
    let (_, faults) = call(&network, "POST", "/faults", json!({"latency_ms": 20, "duplicate": 1})).await;
    let expected = json!({"loss": 0.25, "duplicate": 1.0, "reorder": 0.0, "latency_ms": 20.0, "jitter_ms": 0.0});
    assert_eq!(faults, expected);
    assert_eq!(call(&network, "GET", "/faults", Value::Null).await, (200, expected));
    for nonsense in [json!({"p": 2}), json!({"p": "x"}), json!({"q": 0.1}), json!([1]), json!({"latency_ms": -1})] {
        assert_eq!(call(&network, "POST", "/loss", nonsense).await.0, 400);
    }
    for path in ["/gateway/2/kill", "/node/0/kill", "/node/7/kill", "/node/1/html", "/gateway/0/explode", "/x"] {
        assert_eq!(call(&network, "POST", path, Value::Null).await.0, 404, "{path}");
    }
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_can_be_silent_frozen_dead_and_alive_again() {
    let network = network().await;
    let open = Some("HTTP/1.1 101 Switching Protocols".to_owned());
    assert_eq!(upgrade(&network, 0).await, open);
    post(&network, "/gateway/0/silence").await;
    assert_eq!(upgrade(&network, 0).await, None);
    assert_eq!(upgrade(&network, 1).await, open, "the other one is not concerned");
    post(&network, "/gateway/0/resume").await;
    assert_eq!(upgrade(&network, 0).await, open);
    post(&network, "/gateway/0/pause").await;
    assert_eq!(upgrade(&network, 0).await, None);
    post(&network, "/gateway/0/resume").await;
    assert_eq!(upgrade(&network, 0).await, open);
    post(&network, "/gateway/0/kill").await;
    assert!(TcpStream::connect(address(&network.info().gateways[0].url)).await.is_err());
    assert_eq!(call(&network, "POST", "/gateway/0/resume", Value::Null).await.0, 500, "it is not running");
    let id = &network.info().gateways[0].id;
    post(&network, &format!("/gateway/{id}/restart")).await;
    assert_eq!(upgrade(&network, 0).await, open);
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_cuts_its_clients_without_a_close_frame() {
    let network = network().await;
    let mut stream = TcpStream::connect(address(&network.info().gateways[0].url)).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 512];
    let len = stream.read(&mut answer).await.unwrap();
    assert!(answer[..len].ends_with(b"\r\n\r\n"));
    post(&network, "/gateway/0/kill").await;
    // End or reset, but nothing to read.
    assert!(matches!(stream.read(&mut answer).await, Ok(0) | Err(_)));
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_comes_back_to_a_restarted_gateway_and_the_record_tells() {
    let network = network().await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    post(&network, "/gateway/0/kill").await;
    alice.wait_state(State::Reconnecting).await;
    post(&network, "/gateway/0/restart").await;
    alice.wait_state(State::Ready).await;
    let sent = alice.send(&alice.address.clone(), b"to myself").await;
    alice.wait_delivered(sent).await;

    let (_, summary) = call(&network, "GET", "/record/summary", Value::Null).await;
    let gateway = &summary["nodes"]["gateway-0"];
    assert_eq!((&gateway["registrations"], &gateway["logins"]), (&json!(1), &json!(1)));
    let (name, counts) = summary["clients"].as_object().unwrap().iter().next().unwrap();
    assert!(counts["frames_in"].as_u64().unwrap() > 0);

    let path = format!("/record?kind=registered,logged-in&node=gateway-0&client={name}");
    let (_, page) = call(&network, "GET", &path, Value::Null).await;
    let kinds: Vec<_> = page["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["registered", "logged-in"]);
    let (_, page) = call(&network, "GET", "/record?kind=control&limit=1", Value::Null).await;
    assert_eq!((&page["entries"][0]["action"], &page["more"]), (&json!("kill"), &json!(true)));
    let next = page["next"].as_u64().unwrap();
    let (_, page) = call(&network, "GET", &format!("/record?kind=control&since={next}"), Value::Null).await;
    assert_eq!(page["entries"][0]["action"], "restart");
    assert_eq!(call(&network, "GET", "/record?colour=red", Value::Null).await.0, 400);

    post(&network, "/record/clear").await;
    let (_, page) = call(&network, "GET", "/record?kind=registered,control", Value::Null).await;
    assert_eq!(page["entries"], json!([]));
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_mix_nodes_hold_up_traffic_and_resumed_ones_let_it_through() {
    let network = network().await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let mut bob = Client::start(&network, 1, &Records::default()).await;
    for id in [3, 4] {
        post(&network, &format!("/node/{id}/silence")).await;
    }
    let sent = alice.send(&bob.address.clone(), b"through").await;
    let arrived = |network: &Network, layer_two: bool| -> u64 {
        let record = network.record();
        let ids = if layer_two { [3, 4] } else { [1, 2] };
        ids.iter().filter_map(|id| record.summary().nodes.get(&NodeName::Mix(*id))).map(|counts| counts.arrived).sum()
    };
    let before = (arrived(&network, false), arrived(&network, true));
    until("layer 1 takes more", || arrived(&network, false) > before.0 + 20).await;
    assert_eq!(arrived(&network, true), before.1, "layer 2 takes nothing");
    for id in [3, 4] {
        post(&network, &format!("/node/{id}/resume")).await;
    }
    bob.wait_received(1).await;
    alice.wait_delivered(sent).await;
    assert_eq!(bob.received.len(), 1);
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_answers_as_clients_expect_and_can_fail_in_every_way() {
    let network = network().await;
    let at = address(&network.info().directory);
    let get = async |path: &str| fetch("GET", at, path, b"").await;
    let json = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    let (_, rewarded) = get("/api/v1/nym-nodes/rewarded-set").await.unwrap();
    let (_, mixes) = get("/api/v2/unstable/nym-nodes/skimmed/mixnodes/active?page=0").await.unwrap();
    let (_, entries) = get("/api/v2/unstable/nym-nodes/skimmed/entry-gateways?page=0&output=bincode").await.unwrap();
    let (_, all) = get("/api/v2/unstable/nym-nodes/skimmed?page=0").await.unwrap();
    let (_, rotation) = get("//api//v1/epoch/key-rotation-info").await.unwrap();
    let (rewarded, mixes, entries, all) = (json(&rewarded), json(&mixes), json(&entries), json(&all));
    let rotation = json(&rotation);
    assert_eq!(mixes["metadata"]["absolute_epoch_id"], rewarded["epoch_id"]);
    assert_eq!(mixes["metadata"]["rotation_id"], 1);
    assert_eq!(rotation["progress"]["current_key_rotation_id"], 1);
    assert_eq!(mixes["metadata"]["status"], entries["metadata"]["status"]);
    assert_eq!(all["metadata"]["status"], Value::Null);
    let count = |list: &Value| list["nodes"]["data"].as_array().unwrap().len();
    assert_eq!((count(&mixes), count(&entries), count(&all)), (6, 2, 8));
    assert_eq!(entries["nodes"]["data"][0]["ed25519_identity_pubkey"], *network.info().gateways[0].id);
    assert_eq!(get("/api/v1/nothing").await.unwrap().0, 404);

    let (_, later) = call(&network, "POST", "/epoch/advance", json!({"epochs": 24})).await;
    assert_eq!(later["rotation"], 2);
    let (_, changed) = get("/api/v2/unstable/nym-nodes/skimmed/mixnodes/active").await.unwrap();
    let key = |list: &Value| list["nodes"]["data"][0]["x25519_sphinx_pubkey"].clone();
    assert_ne!(key(&json(&changed)), key(&mixes));

    post(&network, "/directory/html").await;
    let (status, page) = get("/api/v1/nym-nodes/rewarded-set").await.unwrap();
    assert!(status == 200 && page.starts_with(b"<!doctype html>"));
    post(&network, "/directory/resume").await;
    assert_eq!(get("/api/v1/nym-nodes/rewarded-set").await.unwrap().0, 200);
    post(&network, "/directory/kill").await;
    assert!(get("/api/v1/nym-nodes/rewarded-set").await.is_err());
    post(&network, "/directory/restart").await;
    assert_eq!(get("/api/v1/nym-nodes/rewarded-set").await.unwrap().0, 200);
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_get_through_while_keys_change() {
    let network = network().await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let mut bob = Client::start(&network, 1, &Records::default()).await;
    // The clients still send with the keys of the rotation before, which nodes keep for one epoch.
    let (_, now) = call(&network, "POST", "/epoch/advance", json!({"epochs": 24})).await;
    assert_eq!(now["rotation"], 2);
    let sent = alice.send(&bob.address.clone(), b"late").await;
    bob.wait_received(1).await;
    alice.wait_delivered(sent).await;
    let dropped: usize = network.record().summary().nodes.values().map(|counts| counts.dropped.len()).sum();
    assert_eq!(dropped, 0);
    network.shutdown().await;
}
