//! A world around one engine, driven by bytes: each step is a call of the user, something the network does, or something
//! it should not do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

use mixlet::engine::{
    Config, Event, FetchError, FetchId, Incoming, LinkId, MessageId, Outgoing, Priority, Recipient, Replies, Request,
    SendOptions, State, Traffic,
};
use mixlet::gateway::frame::TypedError;
use mixlet::gateway::server::{Balance, Output};
use mixlet::gateway::{ClientId, ServerText, SharedKey};
use mixlet::identity::{Identity, Registration};
use mixlet::message::{
    AckContent, AckKey, Address, Content, FragmentId, Fragments, Repliable, Reply, ReplyKey, ReplySurb, SenderTag,
    SetId, SurbList, cover_content, fragment_count, split_ack_blob,
};
use mixlet::sphinx::{MixPacket, PacketSize, RotationTag, Surb};
use mixlet::time::{Duration, Instant};
use mixlet::topology::PATHS;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::format::Format;
use super::gateway::{Account, Gateway};
use super::input::Input;
use super::network::Network;
use super::peer::Peer;
use super::watch::{Said, Watched};

/// What a world may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Calls of the user and bytes of no meaning, before the login and after it.
    Raw,
    /// Also what a gateway with the right key can push.
    Gateway,
}

impl Kind {
    /// How many kinds of steps there are.
    pub const fn steps(self) -> u8 {
        match self {
            Self::Raw => 16,
            Self::Gateway => 25,
        }
    }
}

/// The engine and what is around it.
pub struct World<P: Format> {
    pub watched: Watched<P>,
    network: &'static Network,
    gateway: Gateway,
    /// What the client said and the gateway did not hear yet.
    wire: VecDeque<Outgoing>,
    pub fetches: VecDeque<(FetchId, usize)>,
    pub peer: Peer<P>,
    /// The client as the world knows it.
    client: ClientId,
    own: Address,
    ack_key: AckKey,
    /// Keys of SURBs given to the client.
    surb_keys: Vec<[u8; 16]>,
    /// SURBs may have been changed on their way to the client, so that they lead nowhere.
    spoilt: bool,
    /// What was pushed before, to be pushed again.
    past: VecDeque<Vec<u8>>,
    sent: BTreeMap<MessageId, Vec<u8>>,
    /// Bodies that the client was told of, with the tags to answer to.
    pub received: Vec<(Vec<u8>, Option<SenderTag>)>,
    /// How often each kind of event was told that ends something.
    pub told: Told,
    next_id: u64,
    now: Instant,
    rng: ChaCha20Rng,
    /// Everything that was said, where two runs are to be compared.
    pub trace: Option<Vec<String>>,
    /// Steps are followed by what should change nothing.
    pub noise: bool,
}

impl<P: Format> World<P> {
    /// A world whose beginning the first bytes choose: what the client knows, and how far it has come.
    pub fn new(input: &mut Input<'_>) -> Self {
        let [options, pace, progress] = input.array();
        let network = Network::get();
        let now = Instant::from_micros(5_000_000);
        let mut config = if options & 1 == 0 {
            Config::with_topology(network.document().to_owned(), UNIX_ZERO)
        } else {
            Config::new(vec![DIRECTORY.to_owned(), format!("{DIRECTORY}/2/")], UNIX_ZERO).expect("valid")
        };
        let gateway_key = Network::gateway(0);
        config.gateway = (options & 2 != 0).then(|| gateway_key.gateway_id());
        config.ask_for_more = options & 4 == 0;
        config.secure_page = options & 0x70 == 0x70;
        config.reconnect.max_attempts = (options & 8 != 0).then_some(3);
        config.traffic = traffic(pace);
        let identity = Identity::from_bytes(&IDENTITY).expect("a record");
        let (client, own) = (identity.client_id(), identity.address(gateway_key.gateway_id()).expect("points"));
        let mut gateway = Gateway::new(gateway_key, UNIX_ZERO.as_secs());
        let shared = || SharedKey::from_bytes(&[9; 32]);
        let registration = (options & 0x80 != 0).then(|| {
            let balance = Balance { bytes: 1 << 40, expires_unix: u64::MAX };
            gateway.books.accounts.insert(client, Account { balance, ..Account::new(shared()) });
            let url = "ws://127.0.0.1:3007".to_owned();
            Registration { gateway: own.gateway(), url, shared: shared(), last_login: 0 }
        });
        let mut world = Self {
            watched: Watched::new(config, identity, registration, now),
            network,
            gateway,
            wire: VecDeque::new(),
            fetches: VecDeque::new(),
            peer: Peer::new(),
            client,
            own,
            ack_key: AckKey::from_bytes(*IDENTITY.last_chunk().expect("it ends in the ack key")),
            surb_keys: Vec::new(),
            spoilt: false,
            past: VecDeque::new(),
            sent: BTreeMap::new(),
            received: Vec::new(),
            told: Told::default(),
            next_id: 0,
            now,
            rng: ChaCha20Rng::seed_from_u64(2),
            trace: None,
            noise: false,
        };
        // From nothing to a client that is up, which takes about ten rounds.
        if progress > 0 {
            let said = world.watched.connect(now);
            world.hear(said);
            for _ in 1..progress.min(16) {
                world.cooperate(Fate::Arrives);
            }
        }
        world
    }

    /// Runs all steps, then brings the client to its end.
    pub fn run(kind: Kind, bytes: &[u8]) {
        let mut input = Input(bytes);
        let mut world = Self::new(&mut input);
        for _ in 0..STEPS_MAX {
            if input.is_empty() {
                break;
            }
            world.step(kind, &mut input);
        }
        world.end(&mut input);
    }

    /// One step.
    pub fn step(&mut self, kind: Kind, input: &mut Input<'_>) {
        match input.below(kind.steps()) {
            0 => {
                self.now += input.time();
                self.wake();
            }
            RUN => {
                for _ in 0..=input.below(8) {
                    self.run_to_alarm();
                }
            }
            SEND => self.send(input),
            3 => {
                let id = MessageId(input.byte().into());
                let said = self.watched.cancel(id, self.now);
                self.hear(said);
            }
            4 => {
                let link = self.some_link(input);
                let said = self.watched.frame(link, Incoming::Binary(input.piece()), self.now);
                self.hear(said);
            }
            5 => {
                let link = self.some_link(input);
                let text = String::from_utf8_lossy(input.piece());
                let said = self.watched.frame(link, Incoming::Text(&text), self.now);
                self.hear(said);
            }
            6 => {
                let link = self.some_link(input);
                let said = self.watched.link_opened(link, self.now);
                self.hear(said);
            }
            7 => {
                let link = self.some_link(input);
                self.cut(link);
            }
            8 => self.answer_fetch(input),
            9 => {
                let said = self.watched.online(self.now);
                self.hear(said);
            }
            10 => {
                let (_, said) = self.watched.set_traffic(traffic(input.byte()), self.now);
                self.hear(said);
            }
            11 => {
                // After it nothing much happens, so it comes less often than the rest.
                let (how, time) = (input.below(64), input.time());
                if how > 4 && how < 8 {
                    self.watched.forget_at_close();
                }
                if how < 8 {
                    let said = self.watched.close(how > 0, self.now + time, self.now);
                    self.hear(said);
                }
            }
            12 => {
                let said = self.watched.connect(self.now);
                self.hear(said);
            }
            13 => {
                let text = server_text(input).to_text();
                let link = self.some_link(input);
                let said = self.watched.frame(link, Incoming::Text(&text), self.now);
                self.hear(said);
            }
            LIVE => {
                let (rounds, fate) = (input.below(24), input.choose(&FATES));
                for _ in 0..=rounds {
                    self.cooperate(fate);
                }
            }
            15 => {
                // What waited for room leaves now, as a driver would have it.
                let said =
                    self.watched.make_room(input.choose(&[0, 1, 2, usize::MAX, usize::MAX, usize::MAX]), self.now);
                self.hear(said);
            }
            16 => {
                let len = input.choose(&PUSH_LENS);
                let mut payload = input.piece().to_vec();
                payload.resize(len, input.byte());
                self.push(&payload);
            }
            17 => {
                let fragment = fragment(input);
                self.push_to_key(fragment);
            }
            MESSAGE => {
                let content = self.content(input);
                self.push_message(&content, None, input);
            }
            REPLY => {
                let Some(key) = self.peer.reply_keys.pop_front() else { return };
                let content = self.reply(input);
                self.push_message(&content, Some(key), input);
            }
            20 => {
                let at = usize::from(input.byte()) % self.past.len().max(1);
                let Some(mut payload) = self.past.get(at).cloned() else { return };
                let (place, bits) = (usize::from(input.u16()) % payload.len(), input.byte());
                payload[place] ^= bits;
                self.spoilt |= bits != 0;
                self.push(&payload);
            }
            CARRY => {
                for _ in 0..=input.below(4) {
                    let fate = input.choose(&FATES);
                    self.carry(fate);
                }
            }
            22 => self.change_books(input),
            23 => {
                let set = SetId::new(input.u32() >> 1).unwrap_or(SetId::random(&mut self.rng));
                let id = FragmentId { set, position: input.byte() };
                self.push_ack(if input.flag() { AckContent::Cover } else { AckContent::Fragment(id) });
            }
            _ => {
                let cover = self.cover();
                self.push(&cover);
            }
        }
        if self.noise && self.watched.room == usize::MAX {
            self.watched.disturb(&input.0[..input.0.len().min(9)], self.now);
        }
    }

    /// Brings everything to its end: alarms come to rest, `close` is kept within its time.
    pub fn end(&mut self, input: &mut Input<'_>) {
        self.watched.room = usize::MAX;
        self.settle();
        let drain = input.flag();
        let deadline = self.now + Duration::from_secs(10);
        let said = self.watched.close(drain, deadline, self.now);
        self.hear(said);
        if drain && !self.watched.is_closed() {
            self.now = deadline;
            self.wake();
        }
        if let Some(within) = self.watched.forgets_within()
            && !self.watched.is_closed()
        {
            self.now += within;
            self.wake();
        }
        assert!(self.watched.is_closed(), "not closed within its time");
        assert_eq!(self.watched.open_messages(), []);
        let said = self.watched.connect(self.now);
        assert!(said.is_empty(), "a client begins anew after its end");
        self.check_peer();
    }

    fn check_peer(&self) {
        let mut seen = BTreeSet::new();
        for body in &self.peer.bodies {
            assert!(seen.insert(body), "the peer has a message twice");
            assert!(self.sent.values().any(|sent| sent == body), "the peer has a message that nobody sent");
        }
    }

    // ── the user ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn send(&mut self, input: &mut Input<'_>) {
        let [to, how, more] = input.array();
        let len = usize::from(input.u16());
        // Mostly small, sometimes of several sets.
        let len = if how & 0x80 == 0 { len % 4_000 } else { len * 9 };
        let to = match to % 8 {
            0 => Recipient::Address(self.own.clone()),
            1..5 => Recipient::Address(self.peer.address.clone()),
            5 => Recipient::Address(self.nowhere()),
            _ => Recipient::Tag(tag_of(to / 8)),
        };
        let options = SendOptions {
            planned: how & 0x40 != 0,
            timeout: (more & 1 == 1).then(|| input.time()),
            no_deadline: more & 2 != 0,
            replies: match how % 4 {
                0 | 1 => Replies::Auto,
                2 => Replies::Exactly(0),
                _ => Replies::Exactly(u32::from(more % 128)),
            },
            reliable: how & 8 == 0,
            priority: [Priority::Bulk, Priority::Normal, Priority::High][usize::from(how / 16 % 3)],
        };
        // Each body occurs once, so that the peer can tell repeats.
        let mut body = self.next_id.to_be_bytes().to_vec();
        body.resize(len.max(8), how);
        // Sometimes a number that is in use, or was.
        let id = if how & 4 == 0 { MessageId(self.next_id) } else { MessageId(u64::from(more % 16)) };
        self.next_id += 1;
        let (result, said) = self.watched.send(id, &to, &body, &options, self.now);
        if result.is_ok() {
            self.sent.insert(MessageId(self.next_id), body);
        }
        self.hear(said);
    }

    /// An address at a gateway that does not exist.
    fn nowhere(&self) -> Address {
        Address::new(self.own.identity().0, *self.own.encryption_key(), self.peer_identity()).expect("points")
    }

    fn peer_identity(&self) -> mixlet::message::GatewayId {
        mixlet::message::GatewayId(self.peer.address.identity().0)
    }

    /// A plain message to the peer.
    pub fn send_to_peer(&mut self, body: &[u8]) -> MessageId {
        let (id, to) = (MessageId(self.next_id), Recipient::Address(self.peer.address.clone()));
        self.next_id += 1;
        let options = SendOptions { replies: Replies::Exactly(0), ..SendOptions::default() };
        let (result, said) = self.watched.send(id, &to, body, &options, self.now);
        result.expect("a message that can be sent");
        self.sent.insert(id, body.to_vec());
        self.hear(said);
        id
    }

    /// Closes when all is delivered, or after so long.
    pub fn close(&mut self, at_most: Duration) {
        let said = self.watched.close(true, self.now + at_most, self.now);
        self.hear(said);
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn wake(&mut self) {
        let said = self.watched.timeout(self.now);
        self.hear(said);
    }

    /// Until the next alarm, as a driver would.
    pub fn run_to_alarm(&mut self) {
        if let Some(at) = self.watched.engine().poll_timeout() {
            self.now = self.now.max(at);
            self.settle();
        }
    }

    /// Wakes the engine until its next alarm lies ahead, as a driver would: it has work to do in advance.
    pub fn settle(&mut self) {
        let mut rounds = 0;
        while self.watched.engine().poll_timeout().is_some_and(|at| at <= self.now) {
            self.wake();
            rounds += 1;
            assert!(rounds < ROUNDS_MAX, "an alarm that is due for ever");
        }
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    // ── what the engine said ─────────────────────────────────────────────────────────────────────────────────────

    pub fn hear(&mut self, said: Said) {
        if let Some(trace) = &mut self.trace {
            let at = self.now.as_micros();
            trace.extend(said.frames.iter().map(|frame| format!("{at} {}", digest(&frame.data))));
            trace.extend(said.requests.iter().map(|request| format!("{at} {}", told(request))));
            trace.extend(said.events.iter().map(|event| format!("{at} {:?}", core::mem::discriminant(event))));
        }
        for event in said.events {
            match event {
                Event::Closed => self.told.closed += 1,
                Event::Delivered { .. } => self.told.delivered += 1,
                Event::Failed { .. } => self.told.failed += 1,
                Event::Ready { .. } => self.told.ready += 1,
                Event::Received { body, tag, .. } => self.received.push((body, tag)),
                Event::Undelivered { .. } => self.told.undelivered += 1,
                _ => {}
            }
        }
        for frame in said.frames {
            self.wire.push_back(frame.data);
        }
        // What nobody carries is lost in the end, the oldest first.
        while self.wire.len() > WIRE_MAX {
            self.wire.pop_front();
        }
        for request in said.requests {
            match request {
                Request::CloseLink { .. } => self.wire.clear(),
                Request::Fetch { id, url } => {
                    let path = PATHS.iter().position(|path| url.ends_with(path)).expect("a path of a directory");
                    self.fetches.push_back((id, path));
                }
                Request::OpenLink { url, .. } => {
                    self.wire.clear();
                    self.gateway.accept();
                    // Both gateways are this one, each with its own name.
                    self.gateway.books.identity = Network::gateway(u8::from(url.ends_with("3008")));
                }
                Request::Save { .. } | Request::Forget { .. } => {}
            }
        }
    }

    /// The link there is, or one of before.
    fn some_link(&self, input: &mut Input<'_>) -> LinkId {
        match (input.below(8), self.watched.link()) {
            (0, Some(link)) => LinkId(link.0.wrapping_sub(1)),
            (1, _) | (_, None) => LinkId(input.byte().into()),
            (_, Some(link)) => link,
        }
    }

    pub fn cut(&mut self, link: LinkId) {
        let said = self.watched.link_closed(link, self.now);
        if self.watched.link().is_none() {
            self.wire.clear();
        }
        self.hear(said);
    }

    // ── the network ──────────────────────────────────────────────────────────────────────────────────────────────

    /// What comes next if everybody does what they should: links open, answers come, packets meet their fate.
    pub fn cooperate(&mut self, fate: Fate) {
        if let Some((id, path)) = self.fetches.pop_front() {
            let said = self.watched.fetched(id, Ok(self.network.answers()[path].as_bytes()), self.now);
            return self.hear(said);
        }
        match self.watched.link() {
            None => self.run_to_alarm(),
            Some(link) if self.wire.is_empty() => {
                // Opening twice changes nothing.
                let said = self.watched.link_opened(link, self.now);
                self.hear(said);
                if self.wire.is_empty() {
                    self.run_to_alarm();
                }
            }
            Some(_) => self.carry(fate),
        }
    }

    /// So many rounds of it, with nothing lost.
    pub fn live(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.cooperate(Fate::Arrives);
        }
    }

    fn answer_fetch(&mut self, input: &mut Input<'_>) {
        let (id, path) = match self.fetches.pop_front() {
            Some(fetch) if input.below(8) > 0 => fetch,
            _ => (FetchId(input.byte().into()), 0),
        };
        let mut body = self.network.answers()[path].clone().into_bytes();
        let answer = match input.below(8) {
            0 => Err(input.choose(&[
                FetchError::Status(404),
                FetchError::TimedOut,
                FetchError::TooLarge,
                FetchError::Unreachable,
            ])),
            1 => Ok(input.piece().to_vec()),
            2 | 3 => {
                let at = usize::from(input.u16()) % body.len();
                body[at] = input.byte();
                Ok(body)
            }
            _ => Ok(body),
        };
        let said = self.watched.fetched(id, answer.as_deref().map_err(|error| *error), self.now);
        self.hear(said);
    }

    /// Lets one frame of the client's reach its gateway, and what follows from it happen.
    pub fn carry(&mut self, fate: Fate) {
        self.gateway.books.now_unix = (UNIX_ZERO + self.now.since(Instant::ZERO)).as_secs();
        let outputs = match self.wire.pop_front() {
            Some(Outgoing::Text(text)) => self.gateway.text(&text),
            Some(Outgoing::Binary(frame)) => self.gateway.binary(&frame),
            None => return,
        };
        let Some(link) = self.watched.link() else { return };
        for output in outputs {
            match output {
                Output::Text(text) => {
                    let said = self.watched.frame(link, Incoming::Text(&text), self.now);
                    self.hear(said);
                }
                Output::Binary(frame) => {
                    let said = self.watched.frame(link, Incoming::Binary(&frame), self.now);
                    self.hear(said);
                }
                Output::Forward(packet) => self.forward(packet, fate),
                Output::Close => self.cut(link),
            }
        }
    }

    fn forward(&mut self, packet: MixPacket, fate: Fate) {
        if fate == Fate::Lost {
            return;
        }
        // Elsewhere a SURB of a stranger must not lead our gateway, whatever the stranger wrote.
        assert!(Network::is_first_layer(packet.first_hop), "a packet to no mix node of the first layer");
        let Some(arrived) = P::follow(self.network, packet.first_hop, packet.packet) else {
            assert!(self.spoilt, "a packet that goes nowhere");
            return;
        };
        assert_eq!(arrived.size, PacketSize::Regular);
        let (first_hop, ack, rest) = split_ack_blob(&arrived.plaintext).expect("an ack in front");
        let times = if fate == Fate::Twice { 2 } else { 1 };
        for _ in 0..times {
            if arrived.destination == self.own.identity() {
                self.push(rest);
            } else if arrived.destination == self.peer.address.identity() {
                let read = self.peer.receive(rest, &self.surb_keys, self.now);
                assert!(read.is_ok() || self.spoilt, "{read:?}");
            } else {
                panic!("a packet to a stranger");
            }
            if fate != Fate::AckLost {
                let ack = P::follow(self.network, first_hop, ack.clone()).expect("an ack that comes back");
                assert_eq!(ack.destination, self.own.identity());
                self.push(&ack.plaintext);
            }
        }
    }

    /// The gateway pushes this, sealed as it should be.
    pub fn push(&mut self, payload: &[u8]) {
        let (Some(frame), Some(link)) = (self.gateway.seal(&self.client, payload), self.watched.link()) else { return };
        let said = self.watched.frame(link, Incoming::Binary(&frame), self.now);
        self.hear(said);
        self.past.push_back(payload.to_vec());
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
    }

    /// An ack, forged by whoever has the key.
    pub fn push_ack(&mut self, content: AckContent) {
        let sealed = P::seal_ack(&self.ack_key, content, &mut self.rng);
        self.push(&sealed);
    }

    pub fn push_to_key(&mut self, fragment: Vec<u8>) {
        let payload = P::seal_to(self.own.encryption_key(), &fragment, &mut self.rng).expect("a good key");
        self.push(&payload);
    }

    fn cover(&mut self) -> Vec<u8> {
        let content = cover_content(PacketSize::Regular);
        P::seal_to(self.own.encryption_key(), &content, &mut self.rng).expect("a good key")
    }

    /// A message, cut into fragments, of which some are missing, in a wrong order or there twice.
    fn push_message(&mut self, content: &[u8], key: Option<ReplyKey>, input: &mut Input<'_>) {
        let size = input.choose(&[PacketSize::Regular, PacketSize::Regular, PacketSize::Extended8]);
        let sets = fragment_count(content.len(), size).expect("a data packet").div_ceil(255);
        // Few identifiers, so that they meet again.
        let first = u32::from(input.byte() % 8) + 1;
        let ids = (first..).filter_map(SetId::new).take(sets).collect();
        let fragments = Fragments::with_set_ids(content.to_vec(), size, ids).expect("as many as there are sets");
        let count = fragments.count().min(FRAGMENTS_MAX);
        let (start, backwards, missing) = (usize::from(input.byte()), input.flag(), usize::from(input.byte()));
        let (over_surbs, mut key) = (key.is_some(), key);
        for at in 0..count {
            let at = (if backwards { count - 1 - at } else { at } + start) % count;
            let Some(fragment) = fragments.fragment(at).filter(|_| at != missing) else { continue };
            if !over_surbs {
                self.push_to_key(fragment);
            } else if let Some(key) = key.take().or_else(|| self.peer.reply_keys.pop_front()) {
                self.push(&P::seal_with(&key, &fragment));
            }
        }
    }

    /// What anyone can write to the client: any kind, also ones that do not fit, with a byte changed.
    fn content(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let [kind, tag, count] = input.array();
        let tag = tag_of(tag);
        let body = vec![kind; usize::from(input.u16()) % 3_000];
        let surbs = |world: &mut Self| SurbList {
            rotation: RotationTag::from_byte(count % 3).expect("below three"),
            surbs: (0..count % 12).map(|at| world.surb(at.wrapping_add(kind))).collect(),
        };
        let content = match kind % 8 {
            0 => Content::Plain(body),
            1..4 => Content::Repliable { tag, data: Repliable::Data { surbs: surbs(self), body } },
            4 => Content::Repliable { tag, data: Repliable::AdditionalSurbs(surbs(self)) },
            5 => Content::Repliable { tag, data: Repliable::Heartbeat(surbs(self)) },
            6 => Content::Reply(Reply::Data(body)),
            _ => Content::Reply(Reply::SurbRequest { address: self.peer.address.clone(), amount: input.u32() }),
        };
        self.spoil(content.to_bytes().unwrap_or_default(), input)
    }

    /// What the peer can answer over a SURB of ours.
    fn reply(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let content = match input.below(4) {
            0 => Content::Reply(Reply::Data(vec![1; 1 + usize::from(input.u16()) % 3_000])),
            1 => return self.content(input),
            _ => {
                let address = if input.below(4) == 0 { self.own.clone() } else { self.peer.address.clone() };
                let amount = if input.flag() { input.u32() } else { u32::from(input.byte()) };
                Content::Reply(Reply::SurbRequest { address, amount })
            }
        };
        self.spoil(content.to_bytes().unwrap_or_default(), input)
    }

    /// The bytes, mostly as they are, sometimes with one changed or with the end cut off.
    fn spoil(&mut self, mut bytes: Vec<u8>, input: &mut Input<'_>) -> Vec<u8> {
        let (how, at) = (input.byte(), usize::from(input.u16()));
        if !bytes.is_empty() && how >= 128 {
            self.spoilt = true;
            let at = at % bytes.len();
            if how >= 224 { bytes.truncate(at) } else { bytes[at] ^= how }
        }
        bytes
    }

    /// A SURB to the peer; every fourth one leads to no node of the first layer.
    fn surb(&mut self, number: u8) -> ReplySurb {
        let pool = P::pool();
        let (key, mut surb) = pool[usize::from(number) % pool.len()].clone();
        if number % 4 == 3 {
            surb[FIRST_HOP] ^= 1;
        }
        if !self.surb_keys.contains(&key) {
            self.surb_keys.push(key);
        }
        ReplySurb { key: ReplyKey::from_bytes(key), surb: Surb::from_bytes(&surb).expect("a SURB") }
    }

    fn change_books(&mut self, input: &mut Input<'_>) {
        let books = &mut self.gateway.books;
        match input.below(8) {
            0 => books.accounts.clear(),
            1 => books.free_claims = !books.free_claims,
            2 => books.upgrade_mode = !books.upgrade_mode,
            3 => books.occupied = !books.occupied,
            4 => books.version = input.byte(),
            5 => self.gateway.accept(),
            6 => {
                let outputs = self.gateway.timeout();
                let Some(link) = self.watched.link() else { return };
                for output in outputs {
                    match output {
                        Output::Text(text) => {
                            let said = self.watched.frame(link, Incoming::Text(&text), self.now);
                            self.hear(said);
                        }
                        _ => self.cut(link),
                    }
                }
            }
            _ => {
                let balance = Balance { bytes: i64::from(input.u32()), expires_unix: u64::MAX };
                if let Some(account) = books.accounts.get_mut(&self.client) {
                    account.balance = balance;
                }
            }
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.watched.engine().state(), State::Ready | State::Degraded)
    }
}

/// Counts of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub closed: u32,
    pub delivered: u32,
    pub failed: u32,
    pub ready: u32,
    pub undelivered: u32,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    AckLost,
    Lost,
    Twice,
}

fn traffic(pace: u8) -> Traffic {
    let pick = |times: [u64; 4], at: u8| Duration::from_millis(times[usize::from(at % 4)]);
    Traffic {
        slot: pick([20, 1, 100, 10_000], pace),
        loop_cover: pick([200, 1, 1_000, 10_000], pace / 4),
        hop_delay: pick([15, 0, 50, 10_000], pace / 16),
        ack_delay: pick([15, 0, 50, 10_000], pace / 64),
        danger_no_pacing: pace >= 224,
    }
}

fn server_text(input: &mut Input<'_>) -> ServerText {
    let [kind, version] = input.array();
    let (number, flag) = (input.u64() as i64, version & 0x80 != 0);
    let version = version % 8;
    let message = match number % 10 {
        0 => "the client is not registered",
        1 => "there is already an open connection for this client",
        2 => "the login time is stale",
        3 => "the login time is smaller or equal to one previously used",
        4 => "failed to verify provided address ciphertext",
        5 => "incompatible protocol version",
        6 => "This gateway is only accepting coconut credentials for bandwidth",
        7 => {
            "the login time is excessively skewed: it is 2026-05-17T06:40:00Z, that of the server 2126-05-17T06:40:00Z"
        }
        8 => "the login time is excessively skewed: that of the server 9999-12-31T23:59:59Z",
        _ => "Ä",
    };
    match kind % 10 {
        0 => ServerText::Authenticate {
            protocol_version: version,
            status: flag,
            bandwidth_remaining: number,
            upgrade_mode: flag,
        },
        1 => ServerText::Bandwidth { available_total: number, upgrade_mode: flag },
        2 => ServerText::Error { message: message.to_owned() },
        3 => ServerText::HandshakeError { message: message.to_owned() },
        4 => ServerText::HandshakePayload { protocol_version: version, data: input.piece().to_vec() },
        5 => ServerText::Register { protocol_version: version, status: flag, upgrade_mode: flag },
        6 => ServerText::Send { remaining_bandwidth: number, upgrade_mode: flag },
        7 => ServerText::SupportedProtocol { version },
        8 => ServerText::TypedError { error: TypedError::OutOfBandwidth { required: number, available: number } },
        _ => ServerText::TypedError { error: TypedError::TicketReplay },
    }
}

/// A fragment as anyone can write it, of few sets.
fn fragment(input: &mut Input<'_>) -> Vec<u8> {
    let top = if input.below(16) == 0 { input.byte() } else { 0x80 };
    let [set, total, position, link] = input.array();
    let flag = match link % 8 {
        0..5 => vec![0],
        5 => vec![link],
        _ => vec![0x80, 0, 0, link / 8 % 8],
    };
    let payload = input.piece();
    let mut bytes = [&[top, 0, 0, set % 8, total, position][..], &flag, payload].concat();
    bytes.resize(1_611, 0);
    bytes
}

fn tag_of(number: u8) -> SenderTag {
    SenderTag([number % 3; 16])
}

/// A frame, short enough to be kept.
fn digest(frame: &Outgoing) -> String {
    match frame {
        Outgoing::Binary(bytes) => {
            let mut hasher = std::hash::DefaultHasher::new();
            bytes.hash(&mut hasher);
            format!("{} bytes, {:x}", bytes.len(), hasher.finish())
        }
        Outgoing::Text(text) => text.clone(),
    }
}

fn told(request: &Request) -> String {
    match request {
        Request::CloseLink { link } => format!("close {}", link.0),
        Request::Fetch { id, url } => format!("fetch {} {url}", id.0),
        Request::Forget { record } => format!("forget {record:?}"),
        Request::OpenLink { link, url } => format!("open {} {url}", link.0),
        Request::Save { record, bytes } => format!("save {record:?} {bytes:?}"),
    }
}

/// A record of keys that are as good as any.
const IDENTITY: [u8; 81] = {
    let mut record = [11; 81];
    record[0] = 1;
    record
};
const UNIX_ZERO: Duration = Duration::from_secs(1_779_000_000);
const DIRECTORY: &str = "http://127.0.0.1:8080/api";
/// Where a SURB's first hop has its port.
const FIRST_HOP: usize = 348 + 2;
const FATES: [Fate; 6] = [Fate::Arrives, Fate::Arrives, Fate::Arrives, Fate::AckLost, Fate::Lost, Fate::Twice];
const PUSH_LENS: [usize; 6] = [21, 1_643, 1_643, 7_787, 15_979, 32_363];
/// Time passes up to the next alarms.
pub const RUN: u8 = 1;
/// The user sends.
pub const SEND: u8 = 2;
/// Everybody does what they should for a while.
pub const LIVE: u8 = 14;
/// Somebody writes to the client.
pub const MESSAGE: u8 = 18;
/// The peer answers.
pub const REPLY: u8 = 19;
/// Frames of the client's are carried, and some lost.
pub const CARRY: u8 = 21;
/// Bounds of a run, so that it ends soon.
pub const STEPS_MAX: usize = 128;
const ROUNDS_MAX: usize = 500;
const WIRE_MAX: usize = 256;
const PAST_MAX: usize = 8;
const FRAGMENTS_MAX: usize = 16;
