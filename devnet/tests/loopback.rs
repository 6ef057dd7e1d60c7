//! Clients of ours talk through a real network: engines over websockets, packets over TCP.

mod common;

use common::{Client, body, network};
use mixlet_devnet::net::driver::Records;

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_exchange_messages_of_many_sizes_both_ways() {
    let network = network().await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let mut bob = Client::start(&network, 1, &Records::default()).await;
    for (round, len) in [0, 1, 1602, 1603, 10_000].into_iter().enumerate() {
        let sent = alice.send(&bob.address.clone(), &body(len, 1)).await;
        bob.wait_received(round + 1).await;
        alice.wait_delivered(sent).await;
        let back = bob.send(&alice.address.clone(), &body(len, 2)).await;
        alice.wait_received(round + 1).await;
        bob.wait_delivered(back).await;
        assert_eq!(bob.received[round].body, body(len, 1));
        assert_eq!(alice.received[round].body, body(len, 2));
        assert!(bob.received[round].tag.is_none());
    }
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_can_be_answered() {
    let network = network().await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let mut bob = Client::start(&network, 1, &Records::default()).await;
    for round in 0..2 {
        alice.send_repliable(&bob.address.clone(), &[round, 1], 5).await;
        bob.wait_received(1 + usize::from(round)).await;
        let tag = bob.received[usize::from(round)].tag.unwrap();
        let sent = bob.reply(tag, &[round, 2]).await;
        alice.wait_received(1 + usize::from(round)).await;
        bob.wait_delivered(sent).await;
        assert_eq!(alice.received[usize::from(round)].body, [round, 2]);
    }
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_arrives_without_pacing() {
    let network = network().await;
    let mut alice = Client::start_unpaced(&network, 0).await;
    let mut bob = Client::start_unpaced(&network, 1).await;
    let start = std::time::Instant::now();
    let sent = alice.send(&bob.address.clone(), &body(1_000_000, 3)).await;
    bob.wait_received(1).await;
    println!("1 MB after {:?}", start.elapsed());
    alice.wait_delivered(sent).await;
    println!("acknowledged after {:?}", start.elapsed());
    assert!(bob.received[0].body == body(1_000_000, 3));
    network.shutdown().await;
}
