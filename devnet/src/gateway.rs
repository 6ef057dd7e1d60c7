//! A gateway without I/O: clients that register and log in, mailboxes, and the last hop of packets.
//!
//! What happened goes in through `handle_*`, what is to be done comes out of [`Gateway::poll_output`], in order. Two
//! kinds of output are about the disk: a [`Output::Store`] must be on disk before any other output is done, so that an
//! ack is released only for what is stored, and a registration confirmed only when it will last; an
//! [`Output::Discard`] may be written only after the outputs before it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::marker::PhantomData;

use mixlet::engine::Sphinx;
use mixlet::gateway::server::{self, Balance, HANDSHAKE_TIMEOUT, LOGIN_TIMEOUT, Registry, Session};
use mixlet::gateway::{ClientId, ClientText, FrameError, IdentityKeypair, SharedKey};
use mixlet::message::split_ack_blob;
use mixlet::sphinx::{Destination, NodeAddress, NodeFrame, NodePrivateKey, PacketSize, Peeled};
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng as _};
use zeroize::Zeroizing;

use crate::format::NodeFormat;
use crate::keyring::{KeyRing, Rotations};
use crate::mix::Peers;
use crate::record::{ClientName, ConnectionId, DropReason, Fingerprint, NodeName, What};
use crate::state::{CLIENT_COUNT_MAX, Change, Client, Saved, Waiting};

/// How many connections a gateway has at a time. Further ones are dropped without a word.
pub const CONNECTION_COUNT_MAX: usize = 8192;

/// How long an earlier connection of the same client has to answer a ping before a newer one takes its place.
const PONG_TIMEOUT: Duration = Duration::from_secs(1);

/// How often balances that changed are written down. What was spent since is forgotten in a crash.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// How often messages that have waited too long are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// What a gateway wants done.
pub enum Output {
    /// To be on disk before any other output is done.
    Store(Change),
    /// To be written once the outputs before it are done.
    Discard(Change),
    /// Send a text frame.
    Text(ConnectionId, String),
    /// Send a binary frame.
    Binary(ConnectionId, Vec<u8>),
    /// Send a ping.
    Ping(ConnectionId, [u8; 8]),
    /// Drop the connection without a close frame.
    Close(ConnectionId),
    /// Send a packet to a node.
    Forward(Forward),
    /// Something for the record.
    Note(What),
}

/// A packet for a node.
pub struct Forward {
    /// Where to.
    pub to: NodeAddress,
    /// The same as a name.
    pub to_name: NodeName,
    /// What to send.
    pub frame: NodeFrame,
    /// The packet it was taken out of; for a packet from a client that packet itself.
    pub arrived: Fingerprint,
    /// When that came.
    pub since: Instant,
}

/// What a gateway is made of.
pub struct Parts {
    /// Its long-term key.
    pub identity: IdentityKeypair,
    /// The newest version of the link protocol it speaks.
    pub protocol_version: u8,
    /// All nodes by address.
    pub peers: Peers,
    /// What it knew before.
    pub saved: Saved,
    /// For handshakes and nonces.
    pub rng: ChaCha20Rng,
}

/// One gateway.
pub struct Gateway<F: NodeFormat = Sphinx> {
    keys: KeyRing<F>,
    peers: Peers,
    rng: ChaCha20Rng,
    clients: Clients<F>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Logins that wait for the answer of an earlier connection, by that connection.
    contested: BTreeMap<ConnectionId, Contest>,
    outputs: VecDeque<Output>,
    next_flush: Option<Instant>,
    next_expiry: Instant,
}

/// One open connection.
struct Connection {
    session: Session,
    /// When the client has been silent for too long; only before it is in.
    deadline: Option<Instant>,
}

/// A login while the client is connected elsewhere.
struct Contest {
    newcomer: ConnectionId,
    login: String,
    ping: [u8; 8],
    deadline: Instant,
}

impl<F: NodeFormat> Gateway<F> {
    /// A gateway without Sphinx keys; give it some with [`Gateway::hold_keys`].
    pub fn new(parts: Parts) -> Self {
        let Parts { identity, protocol_version, peers, saved, rng } = parts;
        let keys = saved.clients().map(|(id, client)| (ClientId(*id), SharedKey::from_bytes(&client.shared))).collect();
        let clients = Clients {
            identity,
            protocol_version,
            now_unix: 0,
            metered: true,
            free_claims: true,
            saved,
            keys,
            live: BTreeMap::new(),
            verdict: None,
            ousted: None,
            stored: Vec::new(),
            discarded: Vec::new(),
            unsaved: BTreeSet::new(),
            notes: Vec::new(),
            format: PhantomData,
        };
        Self {
            keys: KeyRing::default(),
            peers,
            rng,
            clients,
            connections: BTreeMap::new(),
            contested: BTreeMap::new(),
            outputs: VecDeque::new(),
            next_flush: None,
            next_expiry: Instant::ZERO,
        }
    }

    /// Says which keys the gateway has from now on, see [`KeyRing::hold`].
    pub fn hold_keys(&mut self, rotations: Rotations, key_of: impl Fn(u32) -> NodePrivateKey) {
        self.keys.hold(rotations, key_of);
    }

    /// Says what time it is, in unix seconds. To be called before anything that depends on it.
    pub fn set_unix_time(&mut self, now: u64) {
        self.clients.now_unix = now;
    }

    /// Says whether bandwidth is counted and whether it can be claimed for nothing; at first both.
    pub fn set_metering(&mut self, metered: bool, free_claims: bool) {
        self.clients.metered = metered;
        self.clients.free_claims = free_claims;
    }

    /// Who is on a connection, once logged in.
    pub fn client(&self, id: ConnectionId) -> Option<ClientName> {
        self.connections.get(&id)?.session.client().map(|client| ClientName(client.0))
    }

    /// What is to be kept over a restart.
    pub fn saved(&self) -> &Saved {
        &self.clients.saved
    }

    /// A client's connection is open; false if there are too many.
    pub fn handle_open(&mut self, id: ConnectionId, now: Instant) -> bool {
        if self.connections.len() >= CONNECTION_COUNT_MAX {
            return false;
        }
        self.connections.insert(id, Connection { session: Session::new(), deadline: Some(now + LOGIN_TIMEOUT) });
        self.outputs.push_back(Output::Note(What::Opened { connection: id }));
        true
    }

    /// A text frame came.
    pub fn handle_text(&mut self, id: ConnectionId, text: &str, now: Instant) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.session.client().is_none() {
            let frame = ClientText::parse(text);
            if let Ok(ClientText::AuthenticateV2(request)) = &frame
                && let Some(earlier) = self.clients.live.get(&request.client).copied()
            {
                self.contest(earlier, id, text, now);
                return;
            }
            let patience = match frame {
                Ok(ClientText::SupportedProtocol) => LOGIN_TIMEOUT,
                _ => HANDSHAKE_TIMEOUT,
            };
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.deadline = Some(now + patience);
            }
        }
        self.feed(id, now, |session, clients, rng| session.handle_text(text, clients, rng));
    }

    /// A binary frame came.
    pub fn handle_binary(&mut self, id: ConnectionId, frame: &[u8], now: Instant) {
        self.feed(id, now, |session, clients, _| session.handle_binary(frame, clients));
    }

    /// The answer to a ping came.
    pub fn handle_pong(&mut self, id: ConnectionId, answer: &[u8], now: Instant) {
        if self.contested.get(&id).is_some_and(|contest| contest.ping == *answer) {
            self.decide(id, false, now);
        }
    }

    /// A connection has ended.
    pub fn handle_closed(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.remove(&id) {
            let client = connection.session.client();
            if let Some(client) = client
                && self.clients.live.get(&client) == Some(&id)
            {
                self.clients.live.remove(&client);
            }
            let client = client.map(|client| ClientName(client.0));
            self.outputs.push_back(Output::Note(What::Closed { connection: id, client }));
        }
        self.decide(id, true, now);
        self.flush();
    }

    /// A packet came from another node.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_packet(&mut self, frame: NodeFrame, now: Instant) -> Result<(), DropReason> {
        let arrived = F::fingerprint(&frame.packet);
        let rotation = frame.rotation;
        let Peeled::Final { destination, size, plaintext, .. } = self.keys.peel(frame)? else {
            return Err(DropReason::WrongRole);
        };
        let (message, ack) = match size {
            PacketSize::Ack => (plaintext, None),
            _ => {
                let (to, ack, message) = split_ack_blob(&plaintext).map_err(|_| DropReason::Malformed)?;
                (message.to_vec(), Some((to, NodeFrame { rotation, packet: ack })))
            }
        };
        let stored = self.deliver(&destination, message)?;
        self.outputs.push_back(Output::Note(What::Final {
            packet: arrived,
            len: size.packet_len(),
            client: ClientName(destination.0),
            stored,
            ack: ack.as_ref().map(|(_, frame)| F::fingerprint(&frame.packet)),
        }));
        if let Some((to, frame)) = ack {
            self.forward(to, frame, arrived, now);
        }
        Ok(())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let silent = |connection: &Connection| connection.deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<_> = self.connections.iter().filter(|(_, it)| silent(it)).map(|(id, _)| *id).collect();
        for id in late {
            self.feed(id, now, |session, _, _| session.handle_timeout());
        }
        let unanswered = |contest: &Contest| contest.deadline <= now;
        let lost: Vec<_> = self.contested.iter().filter(|(_, it)| unanswered(it)).map(|(id, _)| *id).collect();
        for id in lost {
            self.decide(id, true, now);
        }
        if self.next_flush.is_some_and(|flush| flush <= now) {
            self.flush();
        }
        if self.next_expiry <= now {
            self.next_expiry = now + EXPIRY_INTERVAL;
            for change in self.clients.saved.expired(self.clients.now_unix) {
                self.clients.saved.apply(change.clone());
                self.outputs.push_back(Output::Discard(change));
            }
        }
    }

    /// Writes down the balances that changed; also to be called before an orderly end.
    pub fn flush(&mut self) {
        self.next_flush = None;
        for client in std::mem::take(&mut self.clients.unsaved) {
            if let Some(known) = self.clients.saved.client(&client.0) {
                self.outputs.push_back(Output::Discard(Change::Client(client.0, known.clone())));
            }
        }
    }

    /// When [`Gateway::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silent = self.connections.values().filter_map(|connection| connection.deadline).min();
        let unanswered = self.contested.values().map(|contest| contest.deadline).min();
        [silent, unanswered, self.next_flush, Some(self.next_expiry)].into_iter().flatten().min()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Lets a session handle something and takes up what comes of it.
    fn feed(
        &mut self,
        id: ConnectionId,
        now: Instant,
        handle: impl FnOnce(&mut Session, &mut Clients<F>, &mut ChaCha20Rng) -> Vec<server::Output>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let outputs = handle(&mut connection.session, &mut self.clients, &mut self.rng);
        let client = connection.session.client();
        if let Some(client) = client
            && connection.deadline.take().is_some()
        {
            self.clients.live.insert(client, id);
        }
        if self.next_flush.is_none() && !self.clients.unsaved.is_empty() {
            self.next_flush = Some(now + FLUSH_INTERVAL);
        }
        self.outputs.extend(self.clients.stored.drain(..).map(Output::Store));
        for note in std::mem::take(&mut self.clients.notes) {
            self.outputs.push_back(Output::Note(note.into_what(id)));
        }
        if let Some(earlier) = self.clients.ousted.take() {
            self.outputs.push_back(Output::Close(earlier));
        }
        for output in outputs {
            match output {
                server::Output::Text(text) => self.outputs.push_back(Output::Text(id, text)),
                server::Output::Binary(bytes) => self.outputs.push_back(Output::Binary(id, bytes)),
                server::Output::Close => {
                    self.outputs.push_back(Output::Note(What::Refused { connection: id }));
                    self.outputs.push_back(Output::Close(id));
                }
                server::Output::Forward(mix_packet) => {
                    let packet = F::fingerprint(&mix_packet.packet);
                    let len = mix_packet.packet.as_bytes().len();
                    if let Some(client) = client {
                        let client = ClientName(client.0);
                        self.outputs.push_back(Output::Note(What::Entered { client, packet, len }));
                    }
                    let frame = NodeFrame { rotation: mix_packet.rotation, packet: mix_packet.packet };
                    self.forward(mix_packet.first_hop, frame, packet, now);
                }
            }
        }
        self.outputs.extend(self.clients.discarded.drain(..).map(Output::Discard));
    }

    /// A client that is connected logs in again: the earlier connection stays if it still answers.
    fn contest(&mut self, earlier: ConnectionId, newcomer: ConnectionId, login: &str, now: Instant) {
        if self.contested.contains_key(&earlier) {
            // It is being asked already, which counts as an answer.
            self.settle(newcomer, login, false, now);
            return;
        }
        let mut ping = [0; 8];
        self.rng.fill_bytes(&mut ping);
        let deadline = now + PONG_TIMEOUT;
        self.contested.insert(earlier, Contest { newcomer, login: login.to_owned(), ping, deadline });
        self.outputs.push_back(Output::Ping(earlier, ping));
    }

    fn decide(&mut self, earlier: ConnectionId, newcomer_wins: bool, now: Instant) {
        if let Some(contest) = self.contested.remove(&earlier) {
            self.settle(contest.newcomer, &contest.login, newcomer_wins, now);
        }
    }

    fn settle(&mut self, newcomer: ConnectionId, login: &str, wins: bool, now: Instant) {
        self.clients.verdict = Some(wins);
        self.feed(newcomer, now, |session, clients, rng| session.handle_text(login, clients, rng));
        self.clients.verdict = None;
    }

    /// A packet is to go to a node, as if a client had sent it.
    pub fn send_packet(&mut self, to: NodeAddress, frame: NodeFrame, now: Instant) {
        let fingerprint = F::fingerprint(&frame.packet);
        self.forward(to, frame, fingerprint, now);
    }

    /// Empties the inbox of a client that is not connected, the oldest message first.
    pub fn take_inbox(&mut self, client: &ClientId) -> Vec<Vec<u8>> {
        let messages = self.clients.take_stored(client);
        // They are about a connection, and there is none.
        self.clients.notes.clear();
        self.outputs.extend(self.clients.discarded.drain(..).map(Output::Discard));
        messages
    }

    /// Pushes a message to a client or stores it; says whether it was stored.
    ///
    /// # Errors
    /// [`DropReason::InboxFull`].
    pub fn deliver(&mut self, destination: &Destination, message: Vec<u8>) -> Result<bool, DropReason> {
        let client = ClientId(destination.0);
        let live = self.clients.live.get(&client).and_then(|id| Some((*id, self.connections.get(id)?)));
        if let Some((id, connection)) = live
            && let Some(frame) = connection.session.push(&message, &self.clients, &mut self.rng)
        {
            self.outputs.push_back(Output::Binary(id, frame));
            return Ok(false);
        }
        let saved = &mut self.clients.saved;
        if !saved.has_room(&destination.0, message.len()) {
            return Err(DropReason::InboxFull);
        }
        let waiting = Waiting { sequence: saved.next_sequence(), since: self.clients.now_unix, message };
        let change = Change::Stored(destination.0, waiting);
        saved.apply(change.clone());
        self.outputs.push_back(Output::Store(change));
        Ok(true)
    }

    fn forward(&mut self, to: NodeAddress, frame: NodeFrame, arrived: Fingerprint, since: Instant) {
        let output = match self.peers.get(&to) {
            Some(to_name) => Output::Forward(Forward { to, to_name: *to_name, frame, arrived, since }),
            None => {
                let (packet, len) = (F::fingerprint(&frame.packet), frame.packet.as_bytes().len());
                Output::Note(What::Dropped { packet, len, why: DropReason::UnknownNextHop })
            }
        };
        self.outputs.push_back(output);
    }
}

/// The clients of a gateway, as sessions see them.
struct Clients<F> {
    identity: IdentityKeypair,
    protocol_version: u8,
    now_unix: u64,
    metered: bool,
    free_claims: bool,
    saved: Saved,
    /// The shared keys of all that are saved, ready for use.
    keys: BTreeMap<ClientId, SharedKey>,
    /// On which connection each client is that is logged in.
    live: BTreeMap<ClientId, ConnectionId>,
    /// What was decided about a contested login.
    verdict: Option<bool>,
    /// The connection that lost a contest.
    ousted: Option<ConnectionId>,
    stored: Vec<Change>,
    discarded: Vec<Change>,
    /// Clients whose balance changed since it was written down.
    unsaved: BTreeSet<ClientId>,
    notes: Vec<ClientNote>,
    format: PhantomData<fn() -> F>,
}

/// Something for the record that lacks the connection.
enum ClientNote {
    Delivered(ClientName, usize),
    LoggedIn(ClientName),
    Registered(ClientName),
}

impl ClientNote {
    fn into_what(self, connection: ConnectionId) -> What {
        match self {
            Self::Delivered(client, len) => What::Delivered { client, len },
            Self::LoggedIn(client) => What::LoggedIn { connection, client },
            Self::Registered(client) => What::Registered { connection, client },
        }
    }
}

impl<F> Clients<F> {
    /// Changes what is known about a client and gives back the change.
    fn change(&mut self, id: &ClientId, change: impl FnOnce(&mut Client)) -> Change {
        let mut client = self.saved.client(&id.0).cloned().unwrap_or_else(|| Client {
            shared: Zeroizing::new([0; 32]),
            last_login: 0,
            bandwidth: 0,
            bandwidth_expiry: 0,
        });
        change(&mut client);
        let change = Change::Client(id.0, client);
        self.saved.apply(change.clone());
        change
    }
}

impl<F: NodeFormat> Registry for Clients<F> {
    fn identity(&self) -> &IdentityKeypair {
        &self.identity
    }

    fn now_unix(&self) -> u64 {
        self.now_unix
    }

    fn version(&self) -> u8 {
        self.protocol_version
    }

    fn free_claims(&self) -> bool {
        self.free_claims
    }

    fn upgrade_mode(&self) -> bool {
        !self.metered
    }

    fn shared_key(&self, client: &ClientId) -> Option<&SharedKey> {
        self.keys.get(client)
    }

    fn set_shared_key(&mut self, client: &ClientId, shared: SharedKey) {
        let change = self.change(client, |known| known.shared = Zeroizing::new(*shared.as_bytes()));
        self.stored.push(change);
        self.keys.insert(*client, shared);
        self.notes.push(ClientNote::Registered(ClientName(client.0)));
    }

    fn forget(&mut self, client: &ClientId) {
        let change = Change::Forgotten(client.0);
        self.saved.apply(change.clone());
        self.stored.push(change);
        self.keys.remove(client);
        self.unsaved.remove(client);
    }

    fn last_login(&self, client: &ClientId) -> u64 {
        self.saved.client(&client.0).map_or(0, |known| known.last_login)
    }

    fn set_last_login(&mut self, client: &ClientId, unix_seconds: u64) {
        let change = self.change(client, |known| known.last_login = unix_seconds);
        self.stored.push(change);
        self.notes.push(ClientNote::LoggedIn(ClientName(client.0)));
    }

    fn balance(&self, client: &ClientId) -> Balance {
        let known = self.saved.client(&client.0);
        known.map_or_else(Balance::default, |known| Balance {
            bytes: known.bandwidth,
            expires_unix: known.bandwidth_expiry,
        })
    }

    fn set_balance(&mut self, client: &ClientId, balance: Balance) {
        let claimed = balance.bytes > self.balance(client).bytes;
        let change = self.change(client, |known| {
            known.bandwidth = balance.bytes;
            known.bandwidth_expiry = balance.expires_unix;
        });
        // What is given is written down before the client is told, what is spent only now and then.
        if claimed {
            self.stored.push(change);
        } else {
            self.unsaved.insert(*client);
        }
    }

    fn take_over(&mut self, client: &ClientId) -> bool {
        let earlier = self.live.get(client).copied();
        match (earlier, self.verdict) {
            // A registration while the client is connected is refused without asking.
            (Some(_), None | Some(false)) => false,
            (Some(earlier), Some(true)) => {
                self.ousted = Some(earlier);
                true
            }
            (None, Some(false)) => false,
            (None, _) => self.keys.contains_key(client) || self.keys.len() < CLIENT_COUNT_MAX,
        }
    }

    fn open_request(&self, client: &ClientId, frame: &[u8]) -> Option<Result<(u8, Vec<u8>), FrameError>> {
        Some(F::open_request(self.keys.get(client)?, frame))
    }

    fn seal_push(&self, client: &ClientId, payload: &[u8], rng: &mut dyn CryptoRng) -> Option<Vec<u8>> {
        Some(F::seal_push(self.keys.get(client)?, payload, rng))
    }

    fn take_stored(&mut self, client: &ClientId) -> Vec<Vec<u8>> {
        let messages: Vec<Vec<u8>> = self.saved.inbox(&client.0).map(|waiting| waiting.message.clone()).collect();
        if let Some(last) = self.saved.inbox(&client.0).last() {
            let change = Change::Delivered(client.0, last.sequence);
            self.saved.apply(change.clone());
            self.discarded.push(change);
        }
        let delivered = messages.iter().map(|message| ClientNote::Delivered(ClientName(client.0), message.len()));
        self.notes.extend(delivered);
        messages
    }
}
