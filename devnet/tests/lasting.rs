//! What a network keeps: registrations, login times, bandwidth, inboxes, keys and ports.

mod common;

use common::{Client, until};
use mixlet_devnet::net::driver::Records;
use mixlet_devnet::net::network::{Action, Network, Options};
use mixlet_devnet::record::NodeName;

fn options(folder: &tempfile::TempDir) -> Options {
    Options { state: Some(folder.path().to_owned()), ..Options::default() }
}

fn registrations(network: &Network) -> u64 {
    network.record().summary().nodes.values().map(|counts| counts.registrations).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_away_logs_in_and_gets_its_messages_after_a_restart_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let (alice_records, bob_records) = (Records::default(), Records::default());
    let network = Network::start(options(&folder)).await.unwrap();
    let mut alice = Client::start(&network, 0, &alice_records).await;
    let bob = Client::start(&network, 1, &bob_records).await;
    let bob_address = bob.address.clone();
    bob.close().await;
    until("the gateway knows", || network.record().summary().nodes[&NodeName::Gateway(1)].closed > 0).await;
    for number in 0..5 {
        let sent = alice.send(&bob_address, &[number]).await;
        alice.wait_delivered(sent).await;
    }
    alice.close().await;
    let info = network.info().clone();
    network.shutdown().await;

    let network = Network::start(options(&folder)).await.unwrap();
    assert_eq!(network.info().seed, info.seed);
    assert_eq!(network.info().gateways[1].url, info.gateways[1].url);
    let mut bob = Client::start(&network, 1, &bob_records).await;
    assert!(bob.address == bob_address);
    bob.wait_received(5).await;
    let mut bodies: Vec<_> = bob.received.iter().map(|message| message.body.clone()).collect();
    bodies.sort();
    assert_eq!(bodies, [[0], [1], [2], [3], [4]]);
    let mut alice = Client::start(&network, 0, &alice_records).await;
    let sent = alice.send(&bob_address, b"again").await;
    alice.wait_delivered(sent).await;
    assert_eq!(registrations(&network), 0, "both had registered before");
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_crashes_keeps_its_clients_and_what_it_has_acknowledged() {
    let network = common::network().await;
    let bob_records = Records::default();
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let bob = Client::start(&network, 1, &bob_records).await;
    let bob_address = bob.address.clone();
    bob.close().await;
    until("the gateway knows", || network.record().summary().nodes[&NodeName::Gateway(1)].closed > 0).await;
    let sent = alice.send(&bob_address, b"kept").await;
    alice.wait_delivered(sent).await;
    network.act(NodeName::Gateway(1), Action::Kill).await.unwrap();
    network.act(NodeName::Gateway(1), Action::Restart).await.unwrap();
    let mut bob = Client::start(&network, 1, &bob_records).await;
    bob.wait_received(1).await;
    assert_eq!(bob.received[0].body, b"kept");
    assert_eq!(registrations(&network), 2, "once each");
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_forgets_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::default();
    let network = Network::start(options(&folder)).await.unwrap();
    let seed = network.info().seed.clone();
    Client::start(&network, 0, &records).await.close().await;
    network.shutdown().await;

    let forgetful = Options { forget: true, seed: Some(seed.parse().unwrap()), ..options(&folder) };
    let network = Network::start(forgetful).await.unwrap();
    Client::start(&network, 0, &records).await.close().await;
    assert_eq!(registrations(&network), 1, "the gateway no longer knew the client");
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_serves_one_network_at_a_time_and_one_seed() {
    let folder = tempfile::tempdir().unwrap();
    let first = Network::start(Options { seed: Some("1".parse().unwrap()), ..options(&folder) }).await.unwrap();
    assert!(Network::start(options(&folder)).await.is_err());
    first.shutdown().await;
    assert!(Network::start(Options { seed: Some("2".parse().unwrap()), ..options(&folder) }).await.is_err());
    Network::start(options(&folder)).await.unwrap().shutdown().await;
}
