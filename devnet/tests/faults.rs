//! What a bad network does to messages: nothing, in the end.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::{Client, body, counts, until};
use mixlet::engine::State;
use mixlet_devnet::faults::Faults;
use mixlet_devnet::net::driver::Records;
use mixlet_devnet::net::network::{Action, Network, Options};
use mixlet_devnet::record::{DropReason, NodeName};

async fn network_with(faults: Faults) -> Network {
    Network::start(Options { faults, ..Options::default() }).await.unwrap()
}

/// How many packets all nodes dropped for a reason.
fn dropped(network: &Network, why: DropReason) -> u64 {
    network.record().summary().nodes.values().filter_map(|counts| counts.dropped.get(&why)).sum()
}

/// Sends `count` messages from one gateway to the other and checks that each arrives once.
async fn all_arrive_once(network: &Network, count: usize) {
    let mut alice = Client::start(network, 0, &Records::default()).await;
    let mut bob = Client::start(network, 1, &Records::default()).await;
    for number in 0..count {
        alice.send(&bob.address.clone(), &body(1000, number as u8)).await;
    }
    bob.wait_received(count).await;
    alice.wait_all_delivered(count).await;
    let counts = counts(&bob.received);
    assert!(counts.len() == count && counts.values().all(|count| *count == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_messages_arrive_once_when_a_tenth_of_the_packets_is_lost() {
    let network = network_with(Faults { loss: 0.1, ..Faults::default() }).await;
    all_arrive_once(&network, 150).await;
    let lost = dropped(&network, DropReason::Lost);
    assert!(lost >= 15, "only {lost} packets were lost");
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_packets_are_dropped_as_replays_and_messages_arrive_once() {
    let network = network_with(Faults { duplicate: 1.0, ..Faults::default() }).await;
    all_arrive_once(&network, 20).await;
    let doubled: u64 = network.record().summary().nodes.values().map(|counts| counts.doubled).sum();
    assert!(doubled >= 40, "only {doubled} packets were doubled");
    until("each second copy is dropped", || {
        let record = network.record();
        let nodes = record.summary().nodes.values();
        let (doubled, replays) = nodes.fold((0, 0), |(d, r), counts| (d + counts.doubled, r + counts.replays));
        replays == doubled
    })
    .await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_that_reorders_delivers_everything() {
    let faults = Faults {
        reorder: 0.5,
        latency: Duration::from_millis(30),
        jitter: Duration::from_millis(20),
        ..Faults::default()
    };
    let network = network_with(faults).await;
    all_arrive_once(&network, 20).await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_messages_arrive_once_when_the_senders_gateway_dies_among_them() {
    let network = network_with(Faults::default()).await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let mut bob = Client::start(&network, 1, &Records::default()).await;
    for number in 0..150 {
        alice.send(&bob.address.clone(), &body(1000, number)).await;
    }
    bob.wait_received(40).await;
    network.act(NodeName::Gateway(0), Action::Kill).await.unwrap();
    alice.wait_state(State::Reconnecting).await;
    network.act(NodeName::Gateway(0), Action::Restart).await.unwrap();
    bob.wait_received(150).await;
    alice.wait_all_delivered(150).await;
    assert!(counts(&bob.received).values().all(|count| *count == 1));
    let known = |network: &Network| {
        let record = network.record();
        let counts = &record.summary().nodes[&NodeName::Gateway(0)];
        (counts.registrations, counts.logins)
    };
    assert_eq!(known(&network), (1, 1), "it logs in again with what it has");
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_mix_node_costs_packets_and_not_messages() {
    let network = Network::start(Options { nodes_per_layer: 6, ..Options::default() }).await.unwrap();
    network.act(NodeName::Mix(7), Action::Kill).await.unwrap();
    all_arrive_once(&network, 20).await;
    assert!(dropped(&network, DropReason::Unreachable) > 0);
    network.act(NodeName::Mix(7), Action::Restart).await.unwrap();
    // Its cover goes through all nodes.
    let _alice = Client::start(&network, 0, &Records::default()).await;
    until("it forwards again", || {
        let record = network.record();
        record.summary().nodes.get(&NodeName::Mix(7)).is_some_and(|counts| counts.left > 0)
    })
    .await;
    network.shutdown().await;
}
