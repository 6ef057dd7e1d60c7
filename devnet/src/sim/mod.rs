//! Virtual time: engines, mix nodes, gateways and a directory in one heap of deliveries.
//!
//! A run of minutes takes as long as its computation and no longer, and is the same run each time for the same seed.
//! The nodes are the ones that the real devnet puts sockets around, so a difference between a simulation and
//! loopback can only be in a driver.

#![expect(
    clippy::expect_used,
    reason = "a simulation that is used wrongly cannot go on, and a test wants to know where"
)]

mod play;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mixlet::engine::{
    Config, Engine, Event, FetchError, FetchId, Incoming, LinkId, MessageId, Outgoing, Recipient, Record, Request,
    SendError, SendOptions, State,
};
use mixlet::gateway::IdentityKeypair;
use mixlet::identity::{Identity, Registration};
use mixlet::message::Address;
use mixlet::sphinx::{NodeAddress, NodeFrame};
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::directory::{Directory, EpochClock, GatewayEntry, MixEntry, Seed};
use crate::gateway::{Gateway, Output, Parts};
use crate::mix::{MixNode, Peers};
use crate::record::{ConnectionId, NodeName};
use crate::state::Saved;

pub use play::Manner;
use play::Script;

/// What links do.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// From one machine to the next.
    pub latency: Duration,
    /// Up to so much more, uniformly.
    pub jitter: Duration,
    /// Each Sphinx packet, data or ack, is dropped once with this probability on its way between gateways.
    pub loss: f64,
    /// Each Sphinx packet is sent twice with this probability at the start of its way.
    pub duplication: f64,
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0.0, duplication: 0.0 }
    }
}

/// One client, and everything it has said.
pub struct Client {
    engine: Option<Engine>,
    link: Option<Open>,
    /// What it has told its user.
    pub events: Vec<(Instant, Event)>,
    /// When frames of which size left.
    pub frames: Vec<(Instant, usize)>,
    /// When it began to open links.
    pub openings: Vec<Instant>,
    /// What gateways said to it, apart from taking packets.
    pub texts: Vec<(Instant, String)>,
    /// What its store holds.
    store: BTreeMap<Record, Vec<u8>>,
    /// Its settings, from the next start on.
    pub config: Config,
    seed: u64,
}

#[derive(Clone, Copy)]
struct Open {
    link: LinkId,
    gateway: usize,
    connection: ConnectionId,
}

enum Delivery {
    ToGateway { gateway: usize, connection: ConnectionId, frame: Outgoing },
    ToClient { client: usize, link: LinkId, frame: Outgoing },
    Opened { client: usize, link: LinkId, gateway: usize },
    Closed { client: usize, link: LinkId },
    Packet { to: NodeName, frame: NodeFrame },
    Fetched { client: usize, id: FetchId, path: String },
}

struct GatewayNode {
    state: Gateway,
    entry: GatewayEntry,
    up: bool,
    /// It takes everything in and says nothing.
    silent: bool,
    manner: Manner,
}

/// The world.
pub struct World {
    now: Instant,
    heap: BTreeMap<(Instant, u64), Delivery>,
    deliveries: u64,
    connections: BTreeMap<ConnectionId, usize>,
    next_connection: u64,
    directory: Directory,
    directory_up: bool,
    script: Option<Script>,
    mixes: BTreeMap<u32, MixNode>,
    gateways: Vec<GatewayNode>,
    peers: Peers,
    /// The clients, in the order of [`World::add_client`].
    pub clients: Vec<Client>,
    /// What links do; may be changed at any time.
    pub weather: Weather,
    rng: ChaCha20Rng,
}

impl World {
    /// A network with two mix nodes in each layer and so many gateways.
    pub fn new(seed: u64, gateways: u32) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mixes: Vec<_> = (1..=6)
            .map(|id| MixEntry { id, layer: ((id - 1) / 2 + 1) as u8, address: at(1_000 + id as u16) })
            .collect();
        let entries: Vec<_> = (0..gateways)
            .map(|place| GatewayEntry {
                id: 7 + place,
                mix_address: at(2_000 + place as u16),
                client_address: at(3_000 + place as u16),
            })
            .collect();
        let directory = Directory {
            seed: Seed::from_bytes(key),
            mixes,
            gateways: entries.clone(),
            clock: EpochClock::new(UNIX_ZERO, 3_600, 24),
        };
        let mut peers: BTreeMap<NodeAddress, NodeName> =
            directory.mixes.iter().map(|mix| (mix.address.into(), NodeName::Mix(mix.id))).collect();
        for (place, entry) in entries.iter().enumerate() {
            peers.insert(entry.mix_address.into(), NodeName::Gateway(place as u32));
        }
        let mut world = Self {
            now: Instant::ZERO,
            heap: BTreeMap::new(),
            deliveries: 0,
            connections: BTreeMap::new(),
            next_connection: 0,
            directory,
            directory_up: true,
            script: None,
            mixes: BTreeMap::new(),
            gateways: Vec::new(),
            peers: Arc::new(peers),
            clients: Vec::new(),
            weather: Weather::default(),
            rng,
        };
        for mix in world.directory.mixes.clone() {
            let mut node = MixNode::new(Arc::clone(&world.peers));
            node.hold_keys(world.rotations(), |rotation| world.directory.seed.sphinx(mix.id, rotation));
            world.mixes.insert(mix.id, node);
        }
        for entry in entries {
            let state = world.new_gateway(&entry, Saved::default());
            world.gateways.push(GatewayNode { state, entry, up: true, silent: false, manner: Manner::default() });
        }
        world
    }

    fn rotations(&self) -> crate::keyring::Rotations {
        self.directory.clock.keys_in(self.directory.clock.epoch(self.unix()))
    }

    fn new_gateway(&mut self, entry: &GatewayEntry, saved: Saved) -> Gateway {
        let signing = self.directory.seed.identity(entry.id);
        let mut gateway = Gateway::new(Parts {
            identity: IdentityKeypair::from_bytes(&signing.to_bytes()),
            protocol_version: mixlet::gateway::VERSION_MAX,
            peers: Arc::clone(&self.peers),
            saved,
            rng: ChaCha20Rng::seed_from_u64(self.rng.next_u64()),
        });
        let rotations = self.rotations();
        gateway.hold_keys(rotations, |rotation| self.directory.seed.sphinx(entry.id, rotation));
        gateway
    }

    // ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// The configuration of a client on this gateway.
    pub fn config(&self, gateway: usize) -> Config {
        let url = format!("http://{DIRECTORY}/api");
        let mut config = Config::new(vec![url], Duration::from_secs(UNIX_ZERO)).expect("a valid configuration");
        let id = self.directory.gateway_id(&self.directory.gateways[gateway]);
        config.gateway = Some(mixlet::message::GatewayId::parse(&id).expect("a gateway of the directory"));
        config
    }

    /// Adds a client and lets it connect.
    pub fn add_client(&mut self, config: Config) -> usize {
        let index = self.add_stopped(config);
        self.start_client(index);
        index
    }

    fn add_stopped(&mut self, config: Config) -> usize {
        let index = self.clients.len();
        let seed = self.rng.next_u64();
        let client = Client {
            engine: None,
            link: None,
            events: Vec::new(),
            frames: Vec::new(),
            openings: Vec::new(),
            texts: Vec::new(),
            store: BTreeMap::new(),
            config,
            seed,
        };
        self.clients.push(client);
        index
    }

    /// Starts a client from what its store holds, as a page does after a reload.
    pub fn start_client(&mut self, index: usize) {
        let now = self.now;
        let client = &mut self.clients[index];
        let mut rng = ChaCha20Rng::seed_from_u64(client.seed);
        client.seed = client.seed.wrapping_add(1);
        let identity = match client.store.get(&Record::Identity) {
            Some(bytes) => Identity::from_bytes(bytes).expect("what was stored"),
            None => {
                let identity = Identity::generate(&mut rng);
                client.store.insert(Record::Identity, identity.to_bytes().to_vec());
                identity
            }
        };
        let registration = client
            .store
            .get(&Record::Registration)
            .map(|bytes| Registration::from_bytes(bytes).expect("what was stored"));
        let mut engine = Engine::new(client.config.clone(), identity, registration, Box::new(rng), now);
        if let Some(record) = client.store.get(&Record::Topology) {
            engine.restore_topology(record);
        }
        engine.connect(now);
        client.engine = Some(engine);
        self.drain_client(index);
    }

    /// Ends a client without a word, as a crash does.
    pub fn stop_client(&mut self, index: usize) {
        self.cut_link(index);
        self.clients[index].engine = None;
    }

    /// The engine of a client that is running.
    pub fn engine(&self, index: usize) -> &Engine {
        self.clients[index].engine.as_ref().expect("a running client")
    }

    /// Runs until the client is ready.
    pub fn until_ready(&mut self, index: usize) -> Address {
        self.run_until(Duration::from_secs(30), |world| world.engine(index).state() == State::Ready);
        self.engine(index).address().cloned().expect("a client that is ready has an address")
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As [`Engine::send`].
    pub fn send(
        &mut self,
        index: usize,
        id: u64,
        to: &Recipient,
        body: &[u8],
        options: &SendOptions,
    ) -> Result<(), SendError> {
        let now = self.now;
        let engine = self.clients[index].engine.as_mut().expect("a running client");
        let result = engine.send(MessageId(id), to, body, options, now);
        self.drain_client(index);
        result
    }

    /// Calls an engine and does what follows from it.
    pub fn with_engine<T>(&mut self, index: usize, call: impl FnOnce(&mut Engine, Instant) -> T) -> T {
        let now = self.now;
        let result = call(self.clients[index].engine.as_mut().expect("a running client"), now);
        self.drain_client(index);
        result
    }

    /// The bodies a client has received, in order, with whether they can be answered.
    pub fn received(&self, index: usize) -> Vec<(&[u8], Option<mixlet::message::SenderTag>)> {
        self.clients[index]
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Received { body, tag } => Some((body.as_slice(), *tag)),
                _ => None,
            })
            .collect()
    }

    /// The ids of messages that ended, delivered and undelivered.
    pub fn ends(&self, index: usize) -> (Vec<u64>, Vec<u64>) {
        let (mut delivered, mut undelivered) = (Vec::new(), Vec::new());
        for (_, event) in &self.clients[index].events {
            match event {
                Event::Delivered { id, .. } => delivered.push(id.0),
                Event::Undelivered { id, .. } => undelivered.push(id.0),
                _ => {}
            }
        }
        (delivered, undelivered)
    }

    // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Cuts a client's link; both sides notice.
    pub fn cut_link(&mut self, index: usize) {
        if let Some(open) = self.clients[index].link.take() {
            self.close_connection(open.gateway, open.connection);
            self.later(Duration::ZERO, Delivery::Closed { client: index, link: open.link });
        }
    }

    /// Takes a gateway off the network; with `forget` it comes back as if it had never seen anybody.
    pub fn kill_gateway(&mut self, gateway: usize, forget: bool) {
        let entry = self.gateways[gateway].entry;
        let saved = if forget { Saved::default() } else { self.gateways[gateway].state.saved().clone() };
        for client in 0..self.clients.len() {
            if self.clients[client].link.is_some_and(|open| open.gateway == gateway) {
                self.cut_link(client);
            }
        }
        self.gateways[gateway].state = self.new_gateway(&entry, saved);
        self.gateways[gateway].up = false;
    }

    /// Brings a gateway back.
    pub fn revive_gateway(&mut self, gateway: usize) {
        self.gateways[gateway].up = true;
    }

    /// Lets a gateway go silent, or speak again: connections stay open.
    pub fn set_gateway_silent(&mut self, gateway: usize, silent: bool) {
        self.gateways[gateway].silent = silent;
    }

    /// Whether the directory answers.
    pub fn set_directory_up(&mut self, up: bool) {
        self.directory_up = up;
    }

    /// Lets epochs pass at once: nodes and directory have the keys of the new one.
    pub fn advance_epochs(&mut self, epochs: u32) {
        self.directory.clock.advance(epochs);
        let rotations = self.rotations();
        let seed = &self.directory.seed;
        for (id, mix) in &mut self.mixes {
            mix.hold_keys(rotations, |rotation| seed.sphinx(*id, rotation));
        }
        for node in &mut self.gateways {
            let id = node.entry.id;
            node.state.hold_keys(rotations, |rotation| seed.sphinx(id, rotation));
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.now
    }

    fn unix(&self) -> u64 {
        UNIX_ZERO + self.now.as_micros() / 1_000_000
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until something is the case.
    ///
    /// # Panics
    /// When it is not within this time.
    pub fn run_until(&mut self, at_most: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + at_most;
        while !done(self) {
            assert!(self.step(end), "not within {at_most:?}");
        }
    }

    /// All of a client's time passes at once for it alone: it slept.
    pub fn sleep_client(&mut self, index: usize, time: Duration) {
        // While the client hears nothing the rest of the world goes on.
        let engine = self.clients[index].engine.take();
        self.run_for(time);
        self.clients[index].engine = engine;
    }

    /// The earliest thing that is to happen, if it is not after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let delivery = self.heap.first_key_value().map(|((at, _), _)| *at);
        let client = self
            .clients
            .iter()
            .enumerate()
            .filter_map(|(index, client)| Some((client.engine.as_ref()?.poll_timeout()?.max(self.now), index)))
            .min();
        let mix = self.mixes.iter().filter_map(|(id, mix)| Some((mix.poll_timeout()?, *id))).min();
        let gateway = self.gateways.iter().enumerate().filter(|(_, node)| node.manner.lag.is_zero());
        let gateway = gateway.filter_map(|(at, node)| Some((node.state.poll_timeout()?, at))).min();
        let next = [delivery, client.map(|next| next.0), mix.map(|next| next.0), gateway.map(|next| next.0)];
        let Some(at) = next.into_iter().flatten().min().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        let now = self.now;
        if delivery.is_some_and(|due| due <= now) {
            if let Some((_, delivery)) = self.heap.pop_first() {
                self.deliver(delivery);
            }
        } else if let Some((_, id)) = mix.filter(|next| next.0 <= now) {
            while let Some(departure) = self.mixes.get_mut(&id).and_then(|mix| mix.poll_transmit(now)) {
                self.travel(departure.to_name, departure.frame);
            }
        } else if let Some((_, at)) = gateway.filter(|next| next.0 <= now) {
            self.with_gateway(at, |gateway, now| gateway.handle_timeout(now));
        } else if let Some((_, index)) = client {
            self.with_engine(index, |engine, now| engine.handle_timeout(now));
        }
        true
    }

    // ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────

    fn later(&mut self, after: Duration, delivery: Delivery) {
        self.deliveries += 1;
        self.heap.insert((self.now + after, self.deliveries), delivery);
    }

    fn delay(&mut self) -> Duration {
        let jitter = self.weather.jitter.as_micros() as u64;
        self.weather.latency + Duration::from_micros(if jitter == 0 { 0 } else { self.rng.next_u64() % jitter })
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (self.rng.next_u64() >> 11) as f64 / ((1u64 << 53) as f64) < probability
    }

    fn travel(&mut self, to: NodeName, frame: NodeFrame) {
        let delay = self.delay();
        self.later(delay, Delivery::Packet { to, frame });
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::ToGateway { gateway, connection, frame } => {
                self.with_gateway(gateway, |state, now| match frame {
                    Outgoing::Binary(bytes) => state.handle_binary(connection, &bytes, now),
                    Outgoing::Text(text) => state.handle_text(connection, &text, now),
                })
            }
            Delivery::ToClient { client, link, frame } => {
                if self.clients[client].engine.is_some() {
                    self.with_engine(client, |engine, now| match &frame {
                        Outgoing::Binary(bytes) => engine.handle_frame(link, Incoming::Binary(bytes), now),
                        Outgoing::Text(text) => engine.handle_frame(link, Incoming::Text(text), now),
                    });
                }
            }
            Delivery::Opened { client, link, gateway } => self.open_connection(client, link, gateway),
            Delivery::Closed { client, link } => {
                if self.clients[client].engine.is_some() {
                    self.with_engine(client, |engine, now| engine.handle_link_closed(link, now));
                }
            }
            Delivery::Packet { to: NodeName::Mix(id), frame } => {
                let now = self.now;
                if let Some(mix) = self.mixes.get_mut(&id) {
                    // What a node drops is its own affair; the sender's acks tell.
                    let _ = mix.handle_frame(frame, now);
                }
            }
            Delivery::Packet { to: NodeName::Gateway(place), frame } => {
                if self.gateways[place as usize].up {
                    self.with_gateway(place as usize, |gateway, now| {
                        let _ = gateway.handle_packet(frame, now);
                    });
                }
            }
            Delivery::Packet { to: NodeName::Directory, .. } => {}
            Delivery::Fetched { client, id, path } => self.answer_fetch(client, id, &path),
        }
    }

    fn answer_fetch(&mut self, client: usize, id: FetchId, path: &str) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let now_ms = UNIX_ZERO * 1_000 + self.now.as_micros() / 1_000;
        let honest = self.directory.answer(path, query, now_ms).filter(|_| self.directory_up);
        let honest = honest.map(|answer| answer.to_string());
        let answer = match &mut self.script {
            Some(script) => script(self.now, path, honest),
            None => honest.map(String::into_bytes).ok_or(FetchError::Unreachable),
        };
        if self.clients[client].engine.is_some() {
            self.with_engine(client, |engine, now| {
                engine.handle_fetched(id, answer.as_deref().map_err(|error| *error), now);
            });
        }
    }

    fn open_connection(&mut self, client: usize, link: LinkId, gateway: usize) {
        if !self.gateways[gateway].up || self.clients[client].engine.is_none() {
            self.later(Duration::ZERO, Delivery::Closed { client, link });
            return;
        }
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(connection, client);
        self.clients[client].link = Some(Open { link, gateway, connection });
        self.with_gateway(gateway, |state, now| {
            state.handle_open(connection, now);
        });
        self.with_engine(client, |engine, now| engine.handle_link_open(link, now));
    }

    fn close_connection(&mut self, gateway: usize, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.with_gateway(gateway, |state, now| state.handle_closed(connection, now));
    }

    fn with_gateway(&mut self, gateway: usize, call: impl FnOnce(&mut Gateway, Instant)) {
        let (now, unix) = (self.now, self.unix());
        let node = &mut self.gateways[gateway];
        node.state.set_unix_time(unix.saturating_add_signed(node.manner.clock_ahead));
        node.state.set_metering(!node.manner.unmetered, !node.manner.wants_tickets);
        call(&mut node.state, now);
        while let Some(output) = self.gateways[gateway].state.poll_output() {
            self.gateway_output(gateway, output);
        }
    }

    fn gateway_output(&mut self, gateway: usize, output: Output) {
        if self.gateways[gateway].silent {
            return;
        }
        match output {
            // What is to be on disk is in `Gateway::saved`, which a restart is made from.
            Output::Store(_) | Output::Discard(_) | Output::Note(_) => {}
            Output::Text(connection, text) => {
                let text = self.gateways[gateway].manner.rewrite.map_or(text.clone(), |rewrite| rewrite(&text));
                self.send_to_client(connection, Outgoing::Text(text));
            }
            Output::Binary(connection, bytes) => self.send_to_client(connection, Outgoing::Binary(bytes)),
            Output::Ping(connection, answer) => {
                if self.connections.contains_key(&connection) && !self.gateways[gateway].manner.no_pongs {
                    self.with_gateway(gateway, |state, now| state.handle_pong(connection, &answer, now));
                }
            }
            Output::Close(connection) => {
                if let Some(client) = self.connections.remove(&connection) {
                    let open = self.clients[client].link.take_if(|open| open.connection == connection);
                    self.with_gateway(gateway, |state, now| state.handle_closed(connection, now));
                    if let Some(open) = open {
                        let delay = self.delay();
                        self.later(delay, Delivery::Closed { client, link: open.link });
                    }
                }
            }
            Output::Forward(forward) => {
                if self.chance(self.weather.loss) {
                    return;
                }
                if self.chance(self.weather.duplication) {
                    self.travel(forward.to_name, forward.frame.clone());
                }
                self.travel(forward.to_name, forward.frame);
            }
        }
    }

    fn send_to_client(&mut self, connection: ConnectionId, frame: Outgoing) {
        let Some(client) = self.connections.get(&connection).copied() else { return };
        let Some(open) = self.clients[client].link.filter(|open| open.connection == connection) else { return };
        if let Outgoing::Text(text) = &frame
            && !text.contains("remaining_bandwidth")
        {
            self.clients[client].texts.push((self.now, text.clone()));
        }
        // A link keeps the order of frames: no jitter.
        let lag = self.gateways[open.gateway].manner.lag;
        self.later(self.weather.latency + lag, Delivery::ToClient { client, link: open.link, frame });
    }

    fn drain_client(&mut self, index: usize) {
        let now = self.now;
        loop {
            let client = &mut self.clients[index];
            let Some(engine) = client.engine.as_mut() else { return };
            if let Some(frame) = engine.poll_transmit(now) {
                client.frames.push((now, frame.data.len()));
                if let Some(open) = client.link.filter(|open| open.link == frame.link) {
                    let Open { gateway, connection, .. } = open;
                    let latency = self.weather.latency;
                    self.later(latency, Delivery::ToGateway { gateway, connection, frame: frame.data });
                }
            } else if let Some(request) = engine.poll_request() {
                self.do_request(index, request);
            } else if let Some(event) = engine.poll_event() {
                client.events.push((now, event));
            } else {
                return;
            }
        }
    }

    fn do_request(&mut self, index: usize, request: Request) {
        match request {
            Request::CloseLink { link } => {
                if let Some(open) = self.clients[index].link.take_if(|open| open.link == link) {
                    self.close_connection(open.gateway, open.connection);
                }
            }
            Request::Fetch { id, url } => {
                let path = url.split_once("/api/").map_or("", |(_, path)| path).to_owned();
                let delay = self.delay();
                self.later(delay, Delivery::Fetched { client: index, id, path });
            }
            Request::Forget { record } => _ = self.clients[index].store.remove(&record),
            Request::OpenLink { link, url } => {
                self.clients[index].openings.push(self.now);
                let wanted = |node: &GatewayNode| url.ends_with(&format!(":{}", node.entry.client_address.port()));
                let delay = self.delay();
                let delivery = match self.gateways.iter().position(wanted) {
                    Some(gateway) if self.gateways[gateway].manner.never_opens => return,
                    Some(gateway) => Delivery::Opened { client: index, link, gateway },
                    None => Delivery::Closed { client: index, link },
                };
                self.later(delay, delivery);
            }
            Request::Save { record, bytes } => _ = self.clients[index].store.insert(record, bytes.to_vec()),
        }
    }
}

/// The unix time at which every world begins, at an odd moment of a day.
pub const UNIX_ZERO: u64 = 1_780_000_123;
const DIRECTORY: &str = "127.0.0.1:1";
