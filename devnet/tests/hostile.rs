//! Nonsense on every port: the connection that sent it ends, everybody else is served as before.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::net::SocketAddr;

use common::{Client, PATIENCE, network};
use futures_util::{SinkExt as _, StreamExt as _};
use mixlet_devnet::net::driver::Records;
use mixlet_devnet::net::network::Network;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// Sends bytes and waits until the other side has had enough.
async fn send_until_closed(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is still listening");
}

async fn still_works(network: &Network) {
    let mut alice = Client::start(network, 0, &Records::default()).await;
    let sent = alice.send(&alice.address.clone(), b"all is well").await;
    alice.wait_received(1).await;
    alice.wait_delivered(sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_close_streams_that_are_no_frames() {
    let network = network().await;
    let mix = network.info().mixnodes[0].address;
    let gateway = network.info().gateways[0].mix;
    let beginnings: [&[u8]; 6] =
        [b"GET / HTTP/1.1\r\n\r\n", &[6, 1, 0, 0], &[9, 1, 0, 0], &[8, 7, 0, 0], &[8, 1, 2, 0], &[8, 1, 0, 3]];
    for bytes in beginnings {
        send_until_closed(mix, bytes).await;
        send_until_closed(gateway, bytes).await;
    }
    // A whole frame with a forged packet is dropped, and the stream goes on.
    let mut stream = TcpStream::connect(mix).await.unwrap();
    let mut forged = vec![8, 2, 0, 1];
    forged.resize(4 + 386, 7);
    for _ in 0..3 {
        stream.write_all(&forged).await.unwrap();
    }
    let forged = || {
        let record = network.record();
        let dropped = record.summary().nodes.values().map(|counts| counts.dropped.values().sum::<u64>());
        dropped.sum::<u64>() == 3
    };
    common::until("forged packets are dropped", forged).await;
    still_works(&network).await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_answer_nonsense_of_strangers_with_an_error_and_drop_them() {
    let network = network().await;
    let url = &network.info().gateways[0].url;
    let nonsense = [
        Message::text("not json"),
        Message::text(r#"{"type":"claimFreeTestnetBandwidth"}"#),
        Message::text(r#"{"type":"handshakePayload","protocol_version":6,"data":[1,2,3]}"#),
        Message::text(r#"{"type":"authenticate","protocol_version":3,"address":"a","enc_address":"b","iv":"c"}"#),
        Message::binary(vec![0; 100]),
    ];
    for message in nonsense {
        let (mut websocket, _) = connect_async(url).await.unwrap();
        websocket.send(message).await.unwrap();
        let mut errors = 0;
        while let Some(Ok(answer)) = timeout(PATIENCE, websocket.next()).await.expect("it is still listening") {
            assert!(answer.is_text(), "no close frame");
            errors += usize::from(answer.into_text().unwrap().contains(r#""type":"error""#));
        }
        assert!((1..=2).contains(&errors));
    }
    let (mut websocket, _) = connect_async(url).await.unwrap();
    // Far longer than anything legal.
    let _ = websocket.send(Message::binary(vec![0; 2 << 20])).await;
    while let Some(Ok(_)) = timeout(PATIENCE, websocket.next()).await.expect("it is still listening") {}
    send_until_closed(url.trim_start_matches("ws://").parse().unwrap(), b"\0\0\0\0\r\n\r\n").await;
    still_works(&network).await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_requests_are_answered_as_often_as_they_are_made() {
    let network = network().await;
    let (mut websocket, _) = connect_async(&network.info().gateways[0].url).await.unwrap();
    for _ in 0..3 {
        websocket.send(Message::text(r#"{"type":"supportedProtocol"}"#)).await.unwrap();
        let answer = timeout(PATIENCE, websocket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.into_text().unwrap(), r#"{"type":"supportedProtocol","version":6}"#);
    }
    network.shutdown().await;
}
