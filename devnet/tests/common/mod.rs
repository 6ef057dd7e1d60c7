//! What the tests over real sockets share: a network, clients on it, and waiting with a limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, reason = "not every test file uses every helper")]

use std::collections::BTreeMap;
use std::time::Duration;

use mixlet::engine::{Config, Event, MessageId, Recipient, Replies, SendOptions, State, Traffic};
use mixlet::message::{Address, GatewayId, SenderTag};
use mixlet_devnet::net::driver::{NativeClient, Records};
use mixlet_devnet::net::network::{Network, Options};
use tokio::time::timeout;

/// How long anything may take; far more than it does.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A network with the defaults.
pub async fn network() -> Network {
    Network::start(Options::default()).await.unwrap()
}

/// A client that is up, and what it was told while something else was waited for.
pub struct Client {
    pub client: NativeClient,
    pub address: Address,
    pub received: Vec<Received>,
    pub delivered: Vec<MessageId>,
    pub undelivered: Vec<MessageId>,
    /// The latest state that was told.
    pub state: State,
    next: u64,
}

/// A message that arrived.
#[derive(Clone)]
pub struct Received {
    pub body: Vec<u8>,
    pub tag: Option<SenderTag>,
}

/// The settings of a client at the gateway with this place.
pub fn config(network: &Network, gateway: usize) -> Config {
    let mut config = Config::new(vec![network.info().directory.clone()], Duration::ZERO).unwrap();
    config.gateway = Some(GatewayId::parse(&network.info().gateways[gateway].id).unwrap());
    config
}

impl Client {
    /// Starts a client at a gateway and waits until it is ready.
    pub async fn start(network: &Network, gateway: usize, records: &Records) -> Self {
        Self::with_config(config(network, gateway), records).await
    }

    /// The same for one that sends as fast as it can.
    pub async fn start_unpaced(network: &Network, gateway: usize) -> Self {
        let mut config = config(network, gateway);
        config.traffic = Traffic { danger_no_pacing: true, ..config.traffic };
        Self::with_config(config, &Records::default()).await
    }

    pub async fn with_config(config: Config, records: &Records) -> Self {
        let mut client = NativeClient::start(config, records).unwrap();
        let mut received = Vec::new();
        let ready = async {
            loop {
                match client.event().await.expect("it ended before it was ready") {
                    Event::Ready { address } => return address,
                    // What was stored comes first.
                    Event::Received { body, tag, .. } => received.push(Received { body, tag }),
                    Event::Failed { code, phase } => panic!("{} during {}", code.as_str(), phase.as_str()),
                    _ => {}
                }
            }
        };
        let address = timeout(PATIENCE, ready).await.expect("not ready in time");
        Self { client, address, received, delivered: vec![], undelivered: vec![], state: State::Ready, next: 0 }
    }

    /// Sends a plain message, which carries nothing to answer with.
    pub async fn send(&mut self, to: &Address, body: &[u8]) -> MessageId {
        self.send_with(Recipient::Address(to.clone()), body, Replies::Exactly(0)).await
    }

    /// Sends a message with blocks to answer with.
    pub async fn send_repliable(&mut self, to: &Address, body: &[u8], surbs: u32) -> MessageId {
        self.send_with(Recipient::Address(to.clone()), body, Replies::Exactly(surbs)).await
    }

    /// Answers a stranger.
    pub async fn reply(&mut self, to: SenderTag, body: &[u8]) -> MessageId {
        self.send_with(Recipient::Tag(to), body, Replies::Exactly(0)).await
    }

    async fn send_with(&mut self, to: Recipient, body: &[u8], replies: Replies) -> MessageId {
        let id = MessageId(self.next);
        self.next += 1;
        let options = SendOptions { replies, ..SendOptions::default() };
        self.client.send(id, to, body.to_vec(), options).await.unwrap();
        id
    }

    /// Takes one event, in time.
    pub async fn step(&mut self) {
        let event = timeout(PATIENCE, self.client.event()).await.expect("nothing happens any more");
        match event.expect("the client has ended") {
            Event::Received { body, tag, .. } => self.received.push(Received { body, tag }),
            Event::Delivered { id, .. } => self.delivered.push(id),
            Event::Undelivered { id, .. } => self.undelivered.push(id),
            Event::State { state, .. } => self.state = state,
            _ => {}
        }
    }

    /// Waits until this many messages have arrived in all.
    pub async fn wait_received(&mut self, count: usize) {
        while self.received.len() < count {
            self.step().await;
        }
    }

    /// Waits until this message is acknowledged.
    pub async fn wait_delivered(&mut self, id: MessageId) {
        while !self.delivered.contains(&id) {
            assert!(!self.undelivered.contains(&id), "{id:?} was given up");
            self.step().await;
        }
    }

    /// Waits until this many messages are acknowledged in all.
    pub async fn wait_all_delivered(&mut self, count: usize) {
        while self.delivered.len() < count {
            assert!(self.undelivered.is_empty(), "{:?} were given up", self.undelivered);
            self.step().await;
        }
    }

    /// Waits until the client is in a state.
    pub async fn wait_state(&mut self, state: State) {
        while self.state != state {
            self.step().await;
        }
    }

    /// Ends the client and waits until its link is closed.
    pub async fn close(mut self) {
        self.client.close(false, Duration::ZERO);
        timeout(PATIENCE, async { while self.client.event().await.is_some() {} }).await.expect("it does not end");
    }
}

/// How often each body arrived.
pub fn counts(received: &[Received]) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    for message in received {
        *counts.entry(message.body.clone()).or_default() += 1;
    }
    counts
}

/// Asks again and again until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let asking = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// Bytes of some length that repeat nowhere soon.
pub fn body(len: usize, salt: u8) -> Vec<u8> {
    (0..len).map(|place| (place * 31 + place / 256 * 7) as u8 ^ salt).collect()
}
