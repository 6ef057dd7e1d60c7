//! Mix nodes and gateways, joined by what is on its way between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mixlet::gateway::IdentityKeypair;
use mixlet::sphinx::{NodeAddress, NodeFrame};
use mixlet::time::{Duration, Instant};
use mixlet_devnet::directory::{Directory, EpochClock, GatewayEntry, MixEntry, Seed};
use mixlet_devnet::faults::{Fate, FaultError, Faults, Position};
use mixlet_devnet::gateway::{Gateway, Output, Parts};
use mixlet_devnet::keyring::Rotations;
use mixlet_devnet::mix::{MixNode, Peers};
use mixlet_devnet::record::{DropReason, NodeName, What};
use mixlet_devnet::state::Saved;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::links::{Frame, LINK_COUNT_MAX, Link, LinkNumber, News};
use crate::schedule::{Arrival, Schedule};

/// How many mix nodes a layer has at most.
const MIXES_PER_LAYER_MAX: u32 = 8;

/// How many gateways there are at most.
const GATEWAY_COUNT_MAX: u32 = 16;

/// How much waits for a gateway that is paused. Packets beyond it are dropped, and a link with more to say is closed.
const PAUSED_COUNT_MAX: usize = 100_000;

/// How long an epoch is announced to be, in seconds.
const EPOCH_SECS: u64 = 3600;

/// How many epochs a key rotation is announced to last: longer than any test, so that a topology stays good.
const ROTATION_EPOCHS: u32 = 100_000;

/// How a network is laid out. Numbers out of range are taken as the nearest that is in it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Gateways.
    pub gateways: u32,
    /// Mix nodes in each of the three layers.
    pub mixes_per_layer: u32,
    /// What keys and faults follow from.
    pub seed: u64,
}

/// How a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it should be.
    Running,
    /// It is not there.
    Down,
    /// It is there and does nothing; what comes for it waits.
    Paused,
}

/// The network.
pub struct Network {
    /// The time of what happened last.
    now: Instant,
    /// The time of the wall clock.
    unix_ms: u64,
    directory: Directory,
    rotations: Rotations,
    peers: Peers,
    /// The mix node with id n at place n − 1.
    mixes: Vec<MixNode>,
    gateways: Vec<GatewayNode>,
    faults: Faults,
    schedule: Schedule,
    /// When the last packet on each link between nodes arrives, so that later ones do not overtake it by chance.
    last_on_link: BTreeMap<(NodeName, NodeName), Instant>,
    links: BTreeMap<LinkNumber, Link>,
    next_link: u32,
    news: VecDeque<(LinkNumber, News)>,
    dropped: BTreeMap<DropReason, u64>,
    rng: ChaCha20Rng,
}

struct GatewayNode {
    state: Gateway,
    mode: Mode,
    /// What came while it was paused.
    held: VecDeque<Arrival>,
}

/// Whose turn it is.
enum Turn {
    Arrival,
    Mix(usize),
    Gateway(usize),
}

impl Network {
    /// A network in which it is `unix_ms` by the wall clock and zero by its own.
    pub fn new(layout: Layout, unix_ms: u64) -> Self {
        let mixes_per_layer = layout.mixes_per_layer.clamp(1, MIXES_PER_LAYER_MAX);
        let gateway_count = layout.gateways.clamp(1, GATEWAY_COUNT_MAX);
        let mut rng = ChaCha20Rng::seed_from_u64(layout.seed);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        // Only names: nothing listens there.
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mixes: Vec<_> = (1u8..=3)
            .flat_map(|layer| (0..mixes_per_layer).map(move |place| (layer, place)))
            .zip(1u16..)
            .map(|((layer, _), id)| MixEntry { id: id.into(), layer, address: at(1000 + id) })
            .collect();
        let first_gateway = 3 * mixes_per_layer + 1;
        let gateways: Vec<_> = (first_gateway..first_gateway + gateway_count)
            .zip(0u16..)
            .map(|(id, place)| GatewayEntry { id, mix_address: at(2000 + place), client_address: at(9001 + place) })
            .collect();
        let mut peers: BTreeMap<NodeAddress, NodeName> =
            mixes.iter().map(|mix| (mix.address.into(), NodeName::Mix(mix.id))).collect();
        for (place, entry) in (0..).zip(&gateways) {
            peers.insert(entry.mix_address.into(), NodeName::Gateway(place));
        }
        let clock = EpochClock::new(unix_ms / 1000, EPOCH_SECS, ROTATION_EPOCHS);
        let rotations = clock.keys_in(clock.epoch(unix_ms / 1000));
        let mut network = Self {
            now: Instant::ZERO,
            unix_ms,
            directory: Directory { seed: Seed::from_bytes(key), mixes, gateways, clock },
            rotations,
            peers: Arc::new(peers),
            mixes: Vec::new(),
            gateways: Vec::new(),
            faults: Faults::default(),
            schedule: Schedule::default(),
            last_on_link: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            news: VecDeque::new(),
            dropped: BTreeMap::new(),
            rng,
        };
        for mix in &network.directory.mixes {
            let mut node = MixNode::new(Arc::clone(&network.peers));
            node.hold_keys(rotations, |rotation| network.directory.seed.sphinx(mix.id, rotation));
            network.mixes.push(node);
        }
        for entry in network.directory.gateways.clone() {
            let state = network.new_gateway(&entry, Saved::default());
            network.gateways.push(GatewayNode { state, mode: Mode::Running, held: VecDeque::new() });
        }
        network
    }

    fn new_gateway(&mut self, entry: &GatewayEntry, saved: Saved) -> Gateway {
        let mut gateway = Gateway::new(Parts {
            identity: IdentityKeypair::from_bytes(&self.directory.seed.identity(entry.id).to_bytes()),
            protocol_version: mixlet::gateway::VERSION_MAX,
            peers: Arc::clone(&self.peers),
            saved,
            rng: ChaCha20Rng::seed_from_u64(self.rng.next_u64()),
        });
        gateway.hold_keys(self.rotations, |rotation| self.directory.seed.sphinx(entry.id, rotation));
        gateway
    }

    // ── what is known about it ───────────────────────────────────────────────────────────────────────────────────

    /// The network as a hard-coded topology.
    pub fn document(&self) -> Value {
        let mut document = self.directory.document(self.unix_ms);
        for (place, gateway) in self.directory.gateways.iter().enumerate() {
            let entry = &mut document["node_details"][gateway.id.to_string()]["entry"];
            entry["hostname"] = json!(hostname(place));
            entry["clients_wss_port"] = entry["clients_ws_port"].clone();
        }
        document
    }

    /// What the directory answers to a GET of `path` with `query` below the API's base; nothing if there is no such
    /// document.
    pub fn answer(&self, path: &str, query: &str, unix_ms: u64) -> Option<Value> {
        let mut answer = self.directory.answer(path, query, unix_ms)?;
        let first = self.directory.gateways.first().map_or(0, |gateway| gateway.id);
        for node in answer.pointer_mut("/nodes/data").and_then(Value::as_array_mut).into_iter().flatten() {
            let place = node["node_id"].as_u64().and_then(|id| id.checked_sub(first.into()));
            if let Some(place) = place {
                node["entry"]["hostname"] = json!(hostname(usize::try_from(place).unwrap_or_default()));
                node["entry"]["wss_port"] = node["entry"]["ws_port"].clone();
            }
        }
        Some(answer)
    }

    /// Where clients reach each gateway, and its identity.
    pub fn gateways(&self) -> Value {
        let entry = |(place, gateway): (usize, &GatewayEntry)| {
            let port = gateway.client_address.port();
            json!({
                "id": self.directory.gateway_id(gateway),
                "url": format!("wss://{}:{port}", hostname(place)),
            })
        };
        self.directory.gateways.iter().enumerate().map(entry).collect()
    }

    /// What was counted: on links, of packets that were dropped, of messages that wait at each gateway.
    pub fn counts(&self) -> Value {
        let links: Vec<Value> = self.links.iter().map(|(number, link)| link.to_json(*number)).collect();
        let dropped: BTreeMap<String, u64> = self
            .dropped
            .iter()
            .map(|(why, count)| (json!(why).as_str().unwrap_or_default().to_owned(), *count))
            .collect();
        let waiting: Vec<usize> = self
            .gateways
            .iter()
            .map(|gateway| gateway.state.saved().inbox_counts().map(|(_, count)| count).sum())
            .collect();
        json!({ "links": links, "dropped": dropped, "waiting": waiting })
    }

    // ── what clients do ──────────────────────────────────────────────────────────────────────────────────────────

    /// A client begins to open a link. Whether it opens comes as news.
    pub fn open(&mut self, gateway: usize, now: Instant) -> LinkNumber {
        let number = LinkNumber(self.next_link);
        self.next_link = self.next_link.wrapping_add(1);
        self.links.insert(number, Link::new(gateway));
        if self.links.len() > LINK_COUNT_MAX {
            let ended = self.links.iter().find(|(_, link)| link.has_ended).map(|(number, _)| *number);
            // All of them in use: the new one has no room.
            self.links.remove(&ended.unwrap_or(number));
        }
        if self.links.contains_key(&number) && gateway < self.gateways.len() {
            self.up(number, Arrival::Opening(number), now);
        } else {
            self.links.remove(&number);
            self.news.push_back((number, News::Closed));
        }
        number
    }

    /// A client writes.
    pub fn write(&mut self, number: LinkNumber, frame: Frame, now: Instant) {
        self.up(number, Arrival::Frame(number, frame), now);
    }

    /// A client closes its link; no news come after this.
    pub fn close(&mut self, number: LinkNumber, now: Instant) {
        self.up(number, Arrival::Closing(number), now);
    }

    /// Puts something on the way to a gateway.
    fn up(&mut self, number: LinkNumber, what: Arrival, now: Instant) {
        let latency = self.faults.latency;
        if let Some(link) = self.links.get_mut(&number) {
            let at = link.up_at(now.max(self.now) + latency);
            self.schedule.push(at, what);
        }
    }

    /// The next news for a client.
    pub fn poll_news(&mut self) -> Option<(LinkNumber, News)> {
        self.news.pop_front()
    }

    // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// What links do from now on. The latency holds for the links of clients too, the rest for those between nodes.
    ///
    /// # Errors
    /// A number out of range; nothing changes then.
    pub fn set_faults(&mut self, faults: Faults) -> Result<(), FaultError> {
        self.faults = faults.checked()?;
        Ok(())
    }

    /// How a gateway is from now on. One that goes down drops its links and keeps what it knows.
    pub fn set_mode(&mut self, place: usize, mode: Mode, now: Instant) {
        self.now = self.now.max(now);
        let Some(gateway) = self.gateways.get_mut(place) else { return };
        gateway.mode = mode;
        let held = std::mem::take(&mut gateway.held);
        if mode == Mode::Down {
            self.drop_links(place);
        }
        for what in held {
            self.schedule.push(self.now, what);
        }
    }

    /// Restarts a gateway, with what it knew or without it. All its links end.
    pub fn restart(&mut self, place: usize, forget: bool, now: Instant) {
        self.set_mode(place, Mode::Down, now);
        let Some(entry) = self.directory.gateways.get(place).copied() else { return };
        let saved = self.gateways.get(place).map(|gateway| gateway.state.saved().clone());
        let state = self.new_gateway(&entry, saved.filter(|_| !forget).unwrap_or_default());
        if let Some(gateway) = self.gateways.get_mut(place) {
            gateway.state = state;
            gateway.mode = Mode::Running;
        }
    }

    fn drop_links(&mut self, place: usize) {
        let open = |(number, link): (&LinkNumber, &Link)| {
            (link.gateway == place && link.is_open && !link.has_ended).then_some(*number)
        };
        let numbers: Vec<_> = self.links.iter().filter_map(open).collect();
        for number in numbers {
            self.end(number);
            if let Some(gateway) = self.gateways.get_mut(place) {
                gateway.state.handle_closed(number.connection(), self.now);
                // It is gone, and says nothing.
                while gateway.state.poll_output().is_some() {}
            }
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Does up to `count` things that are due at `now`, when it is `unix_ms` by the wall clock. Answers when the next
    /// one is due, which may be before `now`.
    pub fn run(&mut self, now: Instant, unix_ms: u64, count: usize) -> Option<Instant> {
        self.unix_ms = unix_ms;
        for _ in 0..count {
            let (at, turn) = self.next_turn()?;
            if at > now {
                break;
            }
            // Each at its own time, so that a caller who comes late changes nothing.
            self.now = self.now.max(at);
            match turn {
                Turn::Arrival => {
                    if let Some(what) = self.schedule.pop() {
                        self.arrive(what);
                    }
                }
                Turn::Mix(place) => self.forward_due(place),
                Turn::Gateway(place) => self.with_gateway(place, |gateway, now| gateway.handle_timeout(now)),
            }
        }
        self.next_turn().map(|(at, _)| at)
    }

    fn next_turn(&self) -> Option<(Instant, Turn)> {
        let arrival = self.schedule.next_at().map(|at| (at, Turn::Arrival));
        let mixes =
            self.mixes.iter().enumerate().filter_map(|(place, mix)| Some((mix.poll_timeout()?, Turn::Mix(place))));
        let gateways = self.gateways.iter().enumerate().filter(|(_, gateway)| gateway.mode == Mode::Running);
        let gateways = gateways.filter_map(|(place, node)| Some((node.state.poll_timeout()?, Turn::Gateway(place))));
        arrival.into_iter().chain(mixes).chain(gateways).min_by_key(|(at, _)| *at)
    }

    fn arrive(&mut self, what: Arrival) {
        match what {
            Arrival::News(number, news) => self.news.push_back((number, news)),
            Arrival::Packet(NodeName::Mix(id), frame) => {
                let place = usize::try_from(id.saturating_sub(1)).unwrap_or(usize::MAX);
                let Some(mix) = self.mixes.get_mut(place) else { return };
                if let Err(why) = mix.handle_frame(frame, self.now) {
                    self.count_drop(why);
                }
            }
            Arrival::Packet(to @ NodeName::Gateway(place), frame) => {
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                match self.gateways.get_mut(place) {
                    Some(gateway) if gateway.mode == Mode::Paused && gateway.held.len() >= PAUSED_COUNT_MAX => {
                        self.count_drop(DropReason::Full);
                    }
                    Some(gateway) if gateway.mode == Mode::Paused => {
                        gateway.held.push_back(Arrival::Packet(to, frame));
                    }
                    Some(gateway) if gateway.mode == Mode::Running => {
                        let mut refused = None;
                        self.with_gateway(place, |gateway, now| refused = gateway.handle_packet(frame, now).err());
                        refused.into_iter().for_each(|why| self.count_drop(why));
                    }
                    _ => self.count_drop(DropReason::Unreachable),
                }
            }
            Arrival::Packet(NodeName::Directory, _) => {}
            Arrival::Opening(number) | Arrival::Frame(number, _) | Arrival::Closing(number) => {
                self.arrive_at_gateway(number, what);
            }
        }
    }

    /// Something that a client did arrives at its gateway.
    fn arrive_at_gateway(&mut self, number: LinkNumber, what: Arrival) {
        let Some(link) = self.links.get_mut(&number).filter(|link| !link.has_ended) else { return };
        let place = link.gateway;
        let Some(gateway) = self.gateways.get_mut(place) else { return };
        match gateway.mode {
            Mode::Running => {}
            Mode::Paused if gateway.held.len() < PAUSED_COUNT_MAX => return gateway.held.push_back(what),
            // Only a link that was never open can arrive at a gateway that is down.
            Mode::Paused | Mode::Down => return self.end(number),
        }
        let connection = number.connection();
        match what {
            Arrival::Opening(_) => {
                let mut taken = false;
                self.with_gateway(place, |gateway, now| taken = gateway.handle_open(connection, now));
                if taken {
                    if let Some(link) = self.links.get_mut(&number) {
                        link.is_open = true;
                    }
                    self.down(number, News::Opened);
                } else {
                    self.end(number);
                }
            }
            Arrival::Frame(_, Frame::Binary(bytes)) => {
                self.with_gateway(place, |gateway, now| gateway.handle_binary(connection, &bytes, now));
            }
            Arrival::Frame(_, Frame::Text(text)) => {
                self.with_gateway(place, |gateway, now| gateway.handle_text(connection, &text, now));
            }
            Arrival::Closing(_) => {
                link.has_ended = true;
                self.with_gateway(place, |gateway, now| gateway.handle_closed(connection, now));
            }
            Arrival::News(..) | Arrival::Packet(..) => {}
        }
    }

    // ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    fn forward_due(&mut self, place: usize) {
        let layer = self.directory.mixes.get(place).map_or(1, |mix| mix.layer);
        let from = NodeName::Mix(u32::try_from(place + 1).unwrap_or(u32::MAX));
        while let Some(departure) = self.mixes.get_mut(place).and_then(|mix| mix.poll_transmit(self.now)) {
            self.travel(from, Position::after_layer(layer), departure.to_name, departure.frame);
        }
    }

    /// A packet crosses a link between nodes, or does not.
    fn travel(&mut self, from: NodeName, position: Position, to: NodeName, frame: NodeFrame) {
        let fate = self.faults.fate(position, &mut self.rng);
        let Fate::Passes { after, overtaken, double } = fate else { return self.count_drop(DropReason::Lost) };
        if let Some(double) = double {
            self.arrive_after(double, to, frame.clone());
        }
        if overtaken {
            return self.arrive_after(after, to, frame);
        }
        let last = self.last_on_link.entry((from, to)).or_default();
        *last = (*last).max(self.now + after);
        let after = last.since(self.now);
        self.arrive_after(after, to, frame);
    }

    fn arrive_after(&mut self, after: Duration, to: NodeName, frame: NodeFrame) {
        if self.schedule.has_room() {
            self.schedule.push(self.now + after, Arrival::Packet(to, frame));
        } else {
            self.count_drop(DropReason::Full);
        }
    }

    fn with_gateway(&mut self, place: usize, call: impl FnOnce(&mut Gateway, Instant)) {
        let Some(gateway) = self.gateways.get_mut(place) else { return };
        gateway.state.set_unix_time(self.unix_ms / 1000);
        call(&mut gateway.state, self.now);
        while let Some(output) = self.gateways.get_mut(place).and_then(|gateway| gateway.state.poll_output()) {
            self.carry_out(place, output);
        }
    }

    fn carry_out(&mut self, place: usize, output: Output) {
        match output {
            // What a restart is made from is in `Gateway::saved`.
            Output::Store(_) | Output::Discard(_) => {}
            Output::Text(id, text) => self.down(LinkNumber::of(id), News::Frame(Frame::Text(text))),
            Output::Binary(id, bytes) => {
                if let Some(link) = self.links.get_mut(&LinkNumber::of(id)) {
                    link.was_pushed(bytes.len());
                }
                self.down(LinkNumber::of(id), News::Frame(Frame::Binary(bytes)));
            }
            // Browsers answer by themselves.
            Output::Ping(id, answer) => self.with_gateway(place, |gateway, now| gateway.handle_pong(id, &answer, now)),
            Output::Close(id) => {
                self.end(LinkNumber::of(id));
                self.with_gateway(place, |gateway, now| gateway.handle_closed(id, now));
            }
            Output::Forward(forward) => {
                let from = NodeName::Gateway(u32::try_from(place).unwrap_or(u32::MAX));
                self.travel(from, Position::First, forward.to_name, forward.frame);
            }
            Output::Note(what) => self.note(place, &what),
        }
    }

    fn note(&mut self, place: usize, what: &What) {
        match *what {
            What::Entered { client, len, .. } => {
                // A client has one link at a time, so the newest of this client is meant.
                let mut links = self.links.values_mut().rev();
                if let Some(link) = links.find(|link| link.gateway == place && link.belongs_to(client)) {
                    link.wrote(len);
                }
            }
            What::LoggedIn { connection, client } | What::Registered { connection, client } => {
                if let Some(link) = self.links.get_mut(&LinkNumber::of(connection)) {
                    link.is_of(client);
                }
            }
            What::Dropped { why, .. } => self.count_drop(why),
            _ => {}
        }
    }

    /// Something is on its way to a client.
    fn down(&mut self, number: LinkNumber, news: News) {
        let latency = self.faults.latency;
        let at = self.now + latency;
        if !self.schedule.has_room() {
            return self.end(number);
        }
        if let Some(link) = self.links.get_mut(&number).filter(|link| !link.has_ended) {
            let at = link.down_at(at);
            self.schedule.push(at, Arrival::News(number, news));
        }
    }

    /// A link ends, and the client hears of it after all that was said before.
    fn end(&mut self, number: LinkNumber) {
        let latency = self.faults.latency;
        if let Some(link) = self.links.get_mut(&number).filter(|link| !link.has_ended) {
            let at = link.down_at(self.now + latency);
            link.has_ended = true;
            self.schedule.push(at, Arrival::News(number, News::Closed));
        }
    }

    fn count_drop(&mut self, why: DropReason) {
        *self.dropped.entry(why).or_default() += 1;
    }
}

/// A name that no resolver knows, so that a client that was given no `webSocket` reaches nobody.
fn hostname(place: usize) -> String {
    format!("gateway-{place}.mixlet.test")
}
