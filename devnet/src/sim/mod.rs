//! Virtual time: engines, mix nodes, gateways and a directory in one heap of deliveries.
//!
//! A run of minutes takes as long as its computation and no longer, and is the same run each time for the same seed.
//! The nodes are the ones that the real devnet puts sockets around, so a difference between a simulation and
//! loopback can only be in a driver. What must be so in every run is checked at every step; see `oracle.rs`.
//!
//! [`World`] runs on real packets. [`LargeWorld`] runs on [`Transparent`] ones, for thousands of clients.

#![expect(
    clippy::expect_used,
    reason = "a simulation that is used wrongly cannot go on, and a test wants to know where"
)]

mod faults;
mod oracle;
mod play;
mod run;
mod schedule;
pub mod short_run;
pub mod statistics;
mod strangers;
mod tap;
mod transparent;
pub mod trial;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mixlet::engine::{
    Config, Engine, Event, MessageId, Plan, Recipient, Record, SendError, SendOptions, Sphinx, State,
};
use mixlet::exchange::{self, Client as MixClient, Receipt, Sending};
use mixlet::gateway::IdentityKeypair;
use mixlet::identity::{Identity, Registration};
use mixlet::message::{Address, GatewayId, SenderTag};
use mixlet::sphinx::{NodeAddress, NodeFrame};
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::directory::{Directory, EpochClock, GatewayEntry, MixEntry, Seed};
use crate::format::NodeFormat;
use crate::gateway::{Gateway, Parts};
use crate::keyring::Rotations;
use crate::mix::{MixNode, Peers};
use crate::record::{ConnectionId, NodeName};
use crate::state::Saved;

pub use oracle::Tally;
pub use play::Manner;
pub use transparent::Transparent;
pub use weather::Weather;

use oracle::Oracle;
use play::Script;
use run::Delivery;
use schedule::{Actor, Schedule};

/// A world of real packets.
pub type World = SimWorld<Sphinx>;
/// A world of transparent packets.
pub type LargeWorld = SimWorld<Transparent>;

/// The world.
pub struct SimWorld<F: NodeFormat> {
    now: Instant,
    schedule: Schedule,
    connections: BTreeMap<ConnectionId, usize>,
    next_connection: u64,
    directory: Directory,
    directory_up: bool,
    script: Option<Script>,
    /// When the present epoch ends, and nodes may change their keys.
    epoch_end: Instant,
    /// The mix node with id n at place n − 1.
    mixes: Vec<MixNode<F>>,
    gateways: Vec<GatewayNode<F>>,
    peers: Peers,
    /// The clients, in the order of [`SimWorld::add_client`].
    pub clients: Vec<Client<F>>,
    /// What links do; may be changed at any time.
    pub weather: Weather,
    /// Packets to be lost: the gateway they leave, and how many come before each.
    doomed: Option<(usize, Vec<usize>)>,
    /// Nodes that no packet reaches or leaves.
    cut_off: BTreeSet<NodeName>,
    oracle: Oracle,
    keeping: Keeping,
    /// How long it takes until what a client writes is on disk. What a client was writing when it ended is lost.
    pub write_time: Duration,
    /// A node, and the packets that have left it since it was listened to.
    tapped: Option<(NodeName, Vec<NodeFrame>)>,
    rng: ChaCha20Rng,
}

/// What of a run is kept for looking at it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// All events and all frames of every client.
    Everything,
    /// All frames of every client.
    Frames,
    /// Only what the oracle counts.
    Counts,
}

/// How a network is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Mix nodes in each of the three layers.
    pub mixes_per_layer: u32,
    /// Gateways.
    pub gateways: u32,
    /// Length of an epoch in seconds.
    pub epoch_secs: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self { mixes_per_layer: 2, gateways: 2, epoch_secs: 3_600 }
    }
}

/// One client, and everything it has said.
pub struct Client<F: NodeFormat = Sphinx> {
    inside: Option<MixClient<F>>,
    /// Its application takes messages of a durable inbox, and is done with each at once.
    pub takes: bool,
    /// Its store takes nothing more.
    pub has_no_room: bool,
    /// The latest last. There are several while a client moves to another gateway.
    links: Vec<Open>,
    /// What it has told its user.
    pub events: Vec<(Instant, Event)>,
    /// What its exchange has told: receipts, requests, answers, messages of mixlet peers.
    pub said: Vec<(Instant, exchange::Event)>,
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
    /// When it wrote pages.
    pub writes: Vec<Instant>,
    /// The plans of its messages that whoever asked for them has, whatever has become of the client.
    pub plans: BTreeMap<u64, Vec<u8>>,
    seed: u64,
    /// How often it was ended.
    run: u32,
    /// While it sleeps: what has come for it.
    asleep: Option<Vec<Delivery>>,
}

#[derive(Clone, Copy)]
struct Open {
    link: mixlet::engine::LinkId,
    gateway: usize,
    connection: ConnectionId,
}

struct GatewayNode<F: NodeFormat> {
    state: Gateway<F>,
    entry: GatewayEntry,
    up: bool,
    /// It takes everything in and says nothing.
    silent: bool,
    manner: Manner,
}

impl<F: NodeFormat> Client<F> {
    fn take_link(&mut self, is_it: impl Fn(&Open) -> bool) -> Option<Open> {
        let place = self.links.iter().position(is_it)?;
        Some(self.links.remove(place))
    }

    fn write(&mut self, record: Record, bytes: Option<Vec<u8>>, now: Instant) {
        let ok = !(self.has_no_room && bytes.is_some());
        match bytes {
            Some(_) if !ok => {}
            Some(bytes) => _ = self.store.insert(record, bytes),
            None => _ = self.store.remove(&record),
        }
        if let Some(inside) = &mut self.inside {
            inside.handle_written(&[record], ok, now);
        }
    }

    /// What its store holds.
    pub fn stored(&self) -> &BTreeMap<Record, Vec<u8>> {
        &self.store
    }

    /// The gateways that it has connections to, the latest last.
    pub fn connected_to(&self) -> Vec<usize> {
        self.links.iter().map(|open| open.gateway).collect()
    }
}

impl<F: NodeFormat> SimWorld<F> {
    /// A network with two mix nodes in each layer and so many gateways.
    pub fn new(seed: u64, gateways: u32) -> Self {
        Self::with_layout(seed, Layout { gateways, ..Layout::default() })
    }

    /// A network laid out like this.
    pub fn with_layout(seed: u64, layout: Layout) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let at = |port: u32| SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).expect("few nodes")));
        let mix_count = 3 * layout.mixes_per_layer;
        let mixes: Vec<_> = (0..mix_count)
            .map(|place| MixEntry {
                id: place + 1,
                layer: (place / layout.mixes_per_layer + 1) as u8,
                address: at(1_001 + place),
            })
            .collect();
        let gateways: Vec<_> = (0..layout.gateways)
            .map(|place| GatewayEntry {
                id: mix_count + 1 + place,
                mix_address: at(2_000 + place),
                client_address: at(3_000 + place),
            })
            .collect();
        let mut peers: BTreeMap<NodeAddress, NodeName> =
            mixes.iter().map(|mix| (mix.address.into(), NodeName::Mix(mix.id))).collect();
        for (place, entry) in (0..).zip(&gateways) {
            peers.insert(entry.mix_address.into(), NodeName::Gateway(place));
        }
        let clock = EpochClock::new(UNIX_ZERO, layout.epoch_secs, 24);
        let mut world = Self {
            now: Instant::ZERO,
            schedule: Schedule::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            directory: Directory { seed: Seed::from_bytes(key), mixes, gateways: gateways.clone(), clock },
            directory_up: true,
            script: None,
            epoch_end: Instant::ZERO,
            mixes: Vec::new(),
            gateways: Vec::new(),
            peers: Arc::new(peers),
            clients: Vec::new(),
            weather: Weather::default(),
            doomed: None,
            cut_off: BTreeSet::new(),
            oracle: Oracle::default(),
            keeping: Keeping::Everything,
            write_time: Duration::ZERO,
            tapped: None,
            rng,
        };
        for _ in 0..mix_count {
            world.mixes.push(MixNode::new(Arc::clone(&world.peers)));
        }
        for entry in gateways {
            let state = world.new_gateway(&entry, Saved::default());
            world.gateways.push(GatewayNode { state, entry, up: true, silent: false, manner: Manner::default() });
        }
        world.hand_out_keys();
        world
    }

    /// From now on only so much is kept.
    pub fn keep(&mut self, keeping: Keeping) {
        self.keeping = keeping;
    }

    fn rotations(&self) -> Rotations {
        self.directory.clock.keys_in(self.directory.clock.epoch(self.unix()))
    }

    /// Gives all nodes the keys of the present epoch.
    fn hand_out_keys(&mut self) {
        let rotations = self.rotations();
        let clock = &self.directory.clock;
        let end = clock.start_of(clock.epoch(self.unix()) + 1);
        self.epoch_end = Instant::ZERO + Duration::from_secs(end.saturating_sub(UNIX_ZERO));
        let seed = &self.directory.seed;
        for (id, mix) in (1..).zip(&mut self.mixes) {
            mix.hold_keys(rotations, |rotation| seed.sphinx(id, rotation));
        }
        for node in &mut self.gateways {
            let id = node.entry.id;
            node.state.hold_keys(rotations, |rotation| seed.sphinx(id, rotation));
        }
    }

    fn new_gateway(&mut self, entry: &GatewayEntry, saved: Saved) -> Gateway<F> {
        let signing = self.directory.seed.identity(entry.id);
        let mut gateway = Gateway::new(Parts {
            identity: IdentityKeypair::from_bytes(&signing.to_bytes()),
            protocol_version: mixlet::gateway::VERSION_MAX,
            peers: Arc::clone(&self.peers),
            saved,
            rng: ChaCha20Rng::seed_from_u64(self.rng.next_u64()),
        });
        gateway.hold_keys(self.rotations(), |rotation| self.directory.seed.sphinx(entry.id, rotation));
        gateway
    }

    // ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// The configuration of a client on this gateway.
    pub fn config(&self, gateway: usize) -> Config {
        let url = format!("http://{DIRECTORY}/api");
        let mut config = Config::new(vec![url], Duration::from_secs(UNIX_ZERO)).expect("a valid configuration");
        let id = self.directory.gateway_id(&self.directory.gateways[gateway]);
        config.gateway = Some(GatewayId::parse(&id).expect("a gateway of the directory"));
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
            inside: None,
            takes: true,
            has_no_room: false,
            links: Vec::new(),
            events: Vec::new(),
            said: Vec::new(),
            frames: Vec::new(),
            openings: Vec::new(),
            texts: Vec::new(),
            store: BTreeMap::new(),
            config,
            writes: Vec::new(),
            plans: BTreeMap::new(),
            seed,
            run: 0,
            asleep: None,
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
        let mut inside = MixClient::new(client.config.clone(), identity, registration, Box::new(rng), now);
        if let Some(record) = client.store.get(&Record::Topology) {
            inside.engine_mut().restore_topology(record);
        }
        for (record, bytes) in &client.store {
            inside.restore(*record, Some(bytes.as_slice()), now);
        }
        if client.takes {
            inside.take_messages(true);
        }
        inside.engine_mut().connect(now);
        client.inside = Some(inside);
        self.drain_client(index);
    }

    /// Ends a client without a word, as a crash does.
    pub fn stop_client(&mut self, index: usize) {
        self.kill_client(index);
        self.oracle.may_see_again();
    }

    /// The same for one that keeps pages, so that what it saw is not seen again by the next.
    pub fn kill_client(&mut self, index: usize) {
        self.cut_link(index);
        self.clients[index].inside = None;
        self.clients[index].run += 1;
        self.oracle.stopped(index);
        self.schedule.call(Actor::Client(index), None);
    }

    /// The engine of a client that is running.
    pub fn engine(&self, index: usize) -> &Engine<F> {
        self.inside(index).engine()
    }

    /// The client that is running, engine and exchange.
    pub fn inside(&self, index: usize) -> &MixClient<F> {
        self.clients[index].inside.as_ref().expect("a running client")
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
        let inside = self.clients[index].inside.as_mut().expect("a running client");
        let result = inside.engine_mut().send(MessageId(id), to, body, options, now);
        if result.is_ok() {
            self.oracle.sent(index, id, body, now);
        }
        self.drain_client(index);
        result
    }

    /// Goes on with a message of an earlier run, by its plan.
    ///
    /// # Errors
    /// As [`Engine::resume`].
    pub fn resume(
        &mut self,
        index: usize,
        id: u64,
        to: &Recipient,
        acked: &[u8],
        options: &SendOptions,
    ) -> Result<bool, SendError> {
        let now = self.now;
        let client = &mut self.clients[index];
        let plan = Plan::parse(&client.plans[&id]).expect("a plan").with_acked(acked.to_vec());
        let inside = client.inside.as_mut().expect("a running client");
        let result = inside.resume(MessageId(id), to, plan, options, now);
        if result.is_ok() {
            self.oracle.resumed(index, id);
        }
        self.drain_client(index);
        result
    }

    /// Sends a message through the exchange. Whether its recipient is to receipt it.
    ///
    /// # Errors
    /// As [`Engine::send`].
    pub fn send_receipted(
        &mut self,
        index: usize,
        (id, receipt): (u64, Receipt),
        to: &Recipient,
        body: &[u8],
        options: &SendOptions,
    ) -> Result<bool, SendError> {
        let now = self.now;
        let inside = self.clients[index].inside.as_mut().expect("a running client");
        let sending = Sending { options: *options, receipt, id: None };
        let result = inside.send(MessageId(id), to, body, &sending, now);
        if result.is_ok() {
            self.oracle.sent(index, id, body, now);
        }
        self.drain_client(index);
        result
    }

    /// Cancels a message.
    pub fn cancel(&mut self, index: usize, id: u64) {
        self.oracle.cancelled(index, id);
        self.with_engine(index, |engine, now| engine.cancel(MessageId(id), now));
    }

    /// Calls an engine and does what follows from it.
    pub fn with_engine<T>(&mut self, index: usize, call: impl FnOnce(&mut Engine<F>, Instant) -> T) -> T {
        self.with_client(index, |inside, now| call(inside.engine_mut(), now))
    }

    /// Calls a client and does what follows from it.
    pub fn with_client<T>(&mut self, index: usize, call: impl FnOnce(&mut MixClient<F>, Instant) -> T) -> T {
        let now = self.now;
        let result = call(self.clients[index].inside.as_mut().expect("a running client"), now);
        self.drain_client(index);
        result
    }

    /// The bodies a client has received, in order, with whether they can be answered.
    pub fn received(&self, index: usize) -> Vec<(&[u8], Option<SenderTag>)> {
        self.clients[index]
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Received { body, tag, .. } => Some((body.as_slice(), *tag)),
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

    // ── what the oracle knows ────────────────────────────────────────────────────────────────────────────────────

    /// Counts of messages over all clients.
    pub fn tally(&self) -> Tally {
        self.oracle.tally()
    }

    /// Messages that were accepted and have no end yet.
    pub fn open_messages(&self) -> usize {
        self.oracle.open()
    }

    /// Of each message that arrived its length, and how long it was on its way, from the call to the application.
    pub fn latencies(&self) -> &[(usize, Duration)] {
        self.oracle.latencies()
    }

    /// A hash over all frames that left clients and all their events, with their times.
    pub fn trace(&self) -> u64 {
        self.oracle.trace()
    }

    /// What is seen twice is counted from now on, and does not end the run.
    pub fn tolerate_repeats(&mut self) {
        self.oracle.tolerant = true;
    }

    /// A message was sent by other means than [`SimWorld::send`]: it may arrive.
    pub fn announce(&mut self, body: &[u8]) {
        let id = self.rng.next_u64();
        self.oracle.sent(usize::MAX, id, body, self.now);
        self.oracle.cancelled(usize::MAX, id);
    }

    /// Asserts that everything has come to its end: no message is open, and no engine holds anything of one.
    pub fn assert_quiet(&self) {
        assert_eq!(self.open_messages(), 0, "messages without an end");
        for (index, engine) in
            (0..).zip(&self.clients).filter_map(|(at, client)| Some((at, client.inside.as_ref()?.engine())))
        {
            let stats = engine.stats(self.now);
            let left: (i32, _, _, _) = (index, stats.queued_bytes, stats.in_flight, stats.unfinished_bytes);
            assert_eq!(left, (index, 0, 0, 0), "client, bytes queued, fragments in flight, bytes half received");
        }
    }
}

/// The unix time at which every world begins, at an odd moment of a day.
pub const UNIX_ZERO: u64 = 1_780_000_123;
const DIRECTORY: &str = "127.0.0.1:1";
