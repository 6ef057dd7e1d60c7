//! Time passes: the next happening, who it is for, and what follows from it.

use mixlet::engine::{Event, FetchError, FetchId, Incoming, LinkId, MessageId, Outgoing, Record, Request};
use mixlet::exchange;
use mixlet::sphinx::NodeFrame;
use mixlet::time::{Duration, Instant};
use rand_core::Rng;

use super::schedule::{Actor, Happening};
use super::{GatewayNode, Keeping, Open, SimWorld, UNIX_ZERO};
use crate::format::NodeFormat;
use crate::gateway::{Gateway, Output};
use crate::record::{ConnectionId, NodeName};

/// Something on its way.
pub(super) enum Delivery {
    ToGateway {
        gateway: usize,
        connection: ConnectionId,
        frame: Outgoing,
    },
    ToClient {
        client: usize,
        link: LinkId,
        frame: Outgoing,
    },
    Opened {
        client: usize,
        link: LinkId,
        gateway: usize,
    },
    Closed {
        client: usize,
        link: LinkId,
    },
    Packet {
        to: NodeName,
        frame: NodeFrame,
    },
    Fetched {
        client: usize,
        id: FetchId,
        path: String,
    },
    /// A record, or its deletion, has reached the disk.
    Written {
        client: usize,
        run: u32,
        record: Record,
        bytes: Option<Vec<u8>>,
    },
    /// Whoever asked for the plan of a message has it.
    Planned {
        client: usize,
        run: u32,
        id: MessageId,
        plan: Vec<u8>,
    },
}

impl Delivery {
    /// The client it is for, if it is for one.
    fn client(&self) -> Option<usize> {
        match self {
            Self::ToClient { client, .. }
            | Self::Opened { client, .. }
            | Self::Closed { client, .. }
            | Self::Fetched { client, .. }
            | Self::Written { client, .. }
            | Self::Planned { client, .. } => Some(*client),
            Self::ToGateway { .. } | Self::Packet { .. } => None,
        }
    }
}

impl<F: NodeFormat> SimWorld<F> {
    /// What time it is.
    pub fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn unix(&self) -> u64 {
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

    /// The earliest thing that is to happen, if it is not after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let Some((at, happening)) = self.schedule.next(end) else { return false };
        self.now = self.now.max(at);
        let now = self.now;
        if now >= self.epoch_end {
            self.hand_out_keys();
        }
        match happening {
            Happening::Delivery(delivery) => self.deliver(delivery),
            Happening::Timeout(Actor::Mix(place)) => {
                while let Some(departure) = self.mixes[place].poll_transmit(now) {
                    self.travel(NodeName::Mix(place as u32 + 1), departure.to_name, departure.frame);
                }
                self.call_mix(place);
            }
            Happening::Timeout(Actor::Gateway(at)) => self.with_gateway(at, |gateway, now| gateway.handle_timeout(now)),
            Happening::Timeout(Actor::Client(index)) => {
                let client = &self.clients[index];
                if client.inside.is_some() && client.asleep.is_none() {
                    self.with_client(index, |inside, now| inside.handle_timeout(now));
                }
            }
        }
        true
    }

    // ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn later(&mut self, after: Duration, delivery: Delivery) {
        self.schedule.deliver(self.now + after, delivery);
    }

    fn delay(&mut self) -> Duration {
        let jitter = self.weather.jitter.as_micros() as u64;
        self.weather.latency + Duration::from_micros(if jitter == 0 { 0 } else { self.rng.next_u64() % jitter })
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (self.rng.next_u64() >> 11) as f64 / ((1u64 << 53) as f64) < probability
    }

    /// A packet crosses one link.
    fn travel(&mut self, from: NodeName, to: NodeName, frame: NodeFrame) {
        if let Some((_, packets)) = self.tapped.as_mut().filter(|(node, _)| *node == from) {
            packets.push(frame.clone());
        }
        if self.cut_off.contains(&from) || self.cut_off.contains(&to) || self.chance(self.weather.link_loss) {
            return;
        }
        let mut delay = self.delay();
        if self.chance(self.weather.reordering) {
            delay += self.weather.detour;
        }
        self.later(delay, Delivery::Packet { to, frame });
    }

    fn deliver(&mut self, delivery: Delivery) {
        if let Some(client) = delivery.client() {
            let client = &mut self.clients[client];
            if client.inside.is_none() {
                return;
            }
            if let Some(waiting) = &mut client.asleep {
                waiting.push(delivery);
                return;
            }
        }
        match delivery {
            Delivery::ToGateway { gateway, connection, frame } => {
                self.with_gateway(gateway, |state, now| match frame {
                    Outgoing::Binary(bytes) => state.handle_binary(connection, &bytes, now),
                    Outgoing::Text(text) => state.handle_text(connection, &text, now),
                })
            }
            Delivery::ToClient { client, link, frame } => self.with_engine(client, |engine, now| match &frame {
                Outgoing::Binary(bytes) => engine.handle_frame(link, Incoming::Binary(bytes), now),
                Outgoing::Text(text) => engine.handle_frame(link, Incoming::Text(text), now),
            }),
            Delivery::Opened { client, link, gateway } => self.open_connection(client, link, gateway),
            Delivery::Closed { client, link } => {
                self.with_engine(client, |engine, now| engine.handle_link_closed(link, now));
            }
            Delivery::Packet { to: NodeName::Mix(id), frame } => {
                let (now, place) = (self.now, id as usize - 1);
                // What a node drops is its own affair; the sender's acks tell.
                let _ = self.mixes[place].handle_frame(frame, now);
                self.call_mix(place);
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
            Delivery::Written { client, run, record, bytes } => {
                if self.clients[client].run == run {
                    self.clients[client].write(record, bytes, self.now);
                    self.drain_client(client);
                }
            }
            Delivery::Planned { client, run, id, plan } => {
                if self.clients[client].run == run {
                    self.clients[client].plans.insert(id.0, plan);
                    self.with_engine(client, |engine, now| engine.kept(id, now));
                }
            }
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
        self.with_engine(client, |engine, now| {
            engine.handle_fetched(id, answer.as_deref().map_err(|error| *error), now);
        });
    }

    // ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    fn call_mix(&mut self, place: usize) {
        self.schedule.call(Actor::Mix(place), self.mixes[place].poll_timeout());
    }

    fn open_connection(&mut self, client: usize, link: LinkId, gateway: usize) {
        if !self.gateways[gateway].up {
            self.later(Duration::ZERO, Delivery::Closed { client, link });
            return;
        }
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(connection, client);
        self.clients[client].links.push(Open { link, gateway, connection });
        self.with_gateway(gateway, |state, now| {
            state.handle_open(connection, now);
        });
        self.with_engine(client, |engine, now| engine.handle_link_open(link, now));
    }

    pub(super) fn close_connection(&mut self, gateway: usize, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.with_gateway(gateway, |state, now| state.handle_closed(connection, now));
    }

    pub(super) fn with_gateway(&mut self, gateway: usize, call: impl FnOnce(&mut Gateway<F>, Instant)) {
        let (now, unix) = (self.now, self.unix());
        let node = &mut self.gateways[gateway];
        node.state.set_unix_time(unix.saturating_add_signed(node.manner.clock_ahead));
        node.state.set_metering(!node.manner.unmetered, !node.manner.wants_tickets);
        call(&mut node.state, now);
        while let Some(output) = self.gateways[gateway].state.poll_output() {
            self.gateway_output(gateway, output);
        }
        let node = &self.gateways[gateway];
        let timeout = node.state.poll_timeout().filter(|_| node.manner.lag.is_zero());
        self.schedule.call(Actor::Gateway(gateway), timeout);
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
                    let open = self.clients[client].take_link(|open| open.connection == connection);
                    self.with_gateway(gateway, |state, now| state.handle_closed(connection, now));
                    if let Some(open) = open {
                        let delay = self.delay();
                        self.later(delay, Delivery::Closed { client, link: open.link });
                    }
                }
            }
            Output::Forward(forward) => {
                if self.is_doomed(gateway) || self.chance(self.weather.loss) {
                    return;
                }
                let from = NodeName::Gateway(gateway as u32);
                if self.chance(self.weather.duplication) {
                    self.travel(from, forward.to_name, forward.frame.clone());
                }
                self.travel(from, forward.to_name, forward.frame);
            }
        }
    }

    fn send_to_client(&mut self, connection: ConnectionId, frame: Outgoing) {
        let Some(client) = self.connections.get(&connection).copied() else { return };
        let open = self.clients[client].links.iter().find(|open| open.connection == connection).copied();
        let Some(open) = open else { return };
        if let Outgoing::Text(text) = &frame
            && self.keeping == Keeping::Everything
            && !text.contains("remaining_bandwidth")
        {
            self.clients[client].texts.push((self.now, text.clone()));
        }
        // A link keeps the order of frames: no jitter.
        let lag = self.gateways[open.gateway].manner.lag;
        self.later(self.weather.latency + lag, Delivery::ToClient { client, link: open.link, frame });
    }

    // ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Does everything an engine asks for, in the order of its laws.
    pub(super) fn drain_client(&mut self, index: usize) {
        let now = self.now;
        loop {
            let client = &mut self.clients[index];
            let Some(inside) = client.inside.as_mut() else { return };
            if let Some(frame) = inside.poll_transmit(now) {
                let len = frame.data.len();
                if matches!(frame.data, Outgoing::Binary(_)) {
                    self.oracle.frame(index, len, now);
                }
                if self.keeping != Keeping::Counts {
                    client.frames.push((now, len));
                }
                if let Some(open) = client.links.iter().find(|open| open.link == frame.link).copied() {
                    let Open { gateway, connection, .. } = open;
                    let latency = self.weather.latency;
                    self.later(latency, Delivery::ToGateway { gateway, connection, frame: frame.data });
                }
            } else if let Some(request) = inside.poll_request() {
                self.do_request(index, request);
            } else if let Some(event) = inside.poll_event(now) {
                let is_kept = self.keeping == Keeping::Everything;
                match event {
                    exchange::Event::Engine(event) => {
                        self.oracle.event(index, &event, now);
                        if let Event::Planned { id, plan } = &event {
                            let (run, id, plan) = (client.run, *id, plan.clone());
                            self.schedule
                                .deliver(now + self.write_time, Delivery::Planned { client: index, run, id, plan });
                        }
                        if is_kept {
                            client.events.push((now, event));
                        }
                    }
                    event => {
                        match &event {
                            exchange::Event::Message { body, .. } => self.oracle.seen(index, body, now),
                            exchange::Event::Kept { number, body, .. } if client.takes => {
                                self.oracle.seen(index, body, now);
                                inside.done(*number);
                            }
                            _ => {}
                        }
                        if is_kept {
                            client.said.push((now, event));
                        }
                    }
                }
            } else {
                for bound in inside.engine().bounds().into_iter().chain(inside.bounds()) {
                    assert!(bound.len <= bound.limit, "client {index}: {bound:?}");
                }
                let timeout = inside.poll_timeout().map(|at| at.max(now));
                self.schedule.call(Actor::Client(index), timeout);
                return;
            }
        }
    }

    fn do_request(&mut self, index: usize, request: Request) {
        match request {
            Request::CloseLink { link } => {
                if let Some(open) = self.clients[index].take_link(|open| open.link == link) {
                    self.close_connection(open.gateway, open.connection);
                }
            }
            Request::Fetch { id, url } => {
                let path = url.split_once("/api/").map_or("", |(_, path)| path).to_owned();
                let delay = self.delay();
                self.later(delay, Delivery::Fetched { client: index, id, path });
            }
            Request::Forget { record } => self.write_record(index, record, None),
            Request::OpenLink { link, url } => {
                if self.keeping != Keeping::Counts {
                    self.clients[index].openings.push(self.now);
                }
                let wanted = |node: &GatewayNode<F>| url.ends_with(&format!(":{}", node.entry.client_address.port()));
                let delay = self.delay();
                let delivery = match self.gateways.iter().position(wanted) {
                    Some(gateway) if self.gateways[gateway].manner.never_opens => return,
                    Some(gateway) => Delivery::Opened { client: index, link, gateway },
                    None => Delivery::Closed { client: index, link },
                };
                self.later(delay, delivery);
            }
            Request::Save { record, bytes } => self.write_record(index, record, Some(bytes.to_vec())),
        }
    }

    fn write_record(&mut self, index: usize, record: Record, bytes: Option<Vec<u8>>) {
        if let Record::Page(..) = record {
            self.clients[index].writes.push(self.now);
        }
        if self.write_time.is_zero() {
            return self.clients[index].write(record, bytes, self.now);
        }
        let run = self.clients[index].run;
        self.later(self.write_time, Delivery::Written { client: index, run, record, bytes });
    }
}
