//! What messages were cut into, from the store or from the page, and a client that goes on with them.
//!
//! The law: whatever leaves for somebody else is a fragment of a plan that is kept by then, and of one that was kept
//! before nothing leaves that was acknowledged.

use std::collections::{BTreeSet, VecDeque};

use mixlet::engine::pages::{Held, write_page};
use mixlet::engine::{
    self, Config, Incoming, LinkId, MessageId, Outgoing, PacketFormat, Plan, Recipient, Record, Replies, Request,
    SendOptions, Shelf,
};
use mixlet::exchange::{Client, Event, OutboxEntry};
use mixlet::gateway::server::{Balance, Output};
use mixlet::gateway::{ClientId, SharedKey};
use mixlet::identity::{Identity, Registration};
use mixlet::limits;
use mixlet::message::{Address, Fragments, ReplyKey, SenderTag, SetId, is_cover, split_ack_blob};
use mixlet::sphinx::{MixPacket, PacketSize, RotationTag};
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::laws::format::{Clear, Format};
use crate::laws::gateway::{Account, Gateway};
use crate::laws::input::Input;
use crate::laws::network::Network;
use crate::laws::peer::Peer;

/// How, the fates of packets, what was written of acks as a piece, a plan or a message of the outbox.
pub fn plans(data: &[u8]) {
    let mut input = Input(data);
    let [how, fates] = input.array();
    let acked = input.piece();
    let mut bytes = input.0.to_vec();
    if how & LONG_BODY != 0 {
        // Of several sets, as no input is so long.
        bytes.resize(bytes.len().max(usize::from(u16::from_be_bytes([how, fates])) * 9), fates);
    }
    let plan = Plan::parse(&bytes);
    if let Some(plan) = &plan {
        assert_eq!(plan.to_bytes(), bytes);
        assert_eq!(plan.count(), fragments(&bytes).map_or(0, |fragments| fragments.count()));
        let _ = plan.body();
    }
    if how & FROM_PAGE != 0 {
        if let Some(plan) = plan {
            let to = if how & TO_TAG == 0 { Recipient::Address(peer().address) } else { Recipient::Tag(TAG) };
            let mut world = World::new(how, &to);
            let options = SendOptions { no_deadline: true, ..SendOptions::default() };
            let known = fragments(&bytes).expect("it was read");
            let own = world.client.resume(ID, &to, plan.with_acked(acked.to_vec()), &options, world.now);
            assert!(own.is_ok(), "a client that has nothing to do has room");
            world.plans.push(Kept::new(known, acked.to_vec()));
            let arrives = matches!(to, Recipient::Address(_));
            world.run(fates, arrives);
            world.end(arrives);
        }
        return;
    }
    let Some(entry) = OutboxEntry::from_bytes(&bytes) else { return };
    assert_eq!(*entry.to_bytes(), bytes);
    let known = if entry.is_cut { Plan::parse(&entry.content).and_then(|_| fragments(&entry.content)) } else { None };
    let is_good = !entry.is_cut || known.is_some();
    let mut world = World::new(how, &entry.to);
    world.client.restore(Record::Page(Shelf::Acked, NUMBER), Some(acked), world.now);
    world.client.restore(Record::Page(Shelf::Outbox, NUMBER), Some(&bytes), world.now);
    assert_eq!(world.client.outbox().len(), usize::from(is_good), "what is damaged is not sent");
    if let Some(known) = known {
        let bits = match acked.split_first_chunk::<9>() {
            Some(([1, at @ ..], bits)) => {
                let is_whole = (0..known.count()).all(|index| is_set(bits, index));
                let age = world.unix().saturating_sub(u64::from_be_bytes(*at));
                let holds = is_whole || age < limits::PAUSE_DROPS_UNFINISHED.as_secs();
                if holds { bits.to_vec() } else { Vec::new() }
            }
            _ => Vec::new(),
        };
        world.plans.push(Kept::new(known, bits));
    }
    let arrives =
        is_good && entry.expires == 0 && entry.to == Recipient::Address(peer().address) && can_be_sent(&entry);
    if is_good {
        world.run(fates, arrives);
    }
    world.end(arrives);
}

/// One that was never accepted could be anything.
fn can_be_sent(entry: &OutboxEntry) -> bool {
    entry.is_cut || !matches!(entry.replies, Replies::Exactly(count) if count > limits::SURBS_PER_MESSAGE_MAX)
}

/// The fragments of a plan, read anew.
fn fragments(plan: &[u8]) -> Option<Fragments> {
    let count = usize::from(u16::from_be_bytes(*plan.get(1..)?.first_chunk()?));
    let (ids, message) = plan.get(3..)?.split_at_checked(count * 4)?;
    let ids = ids.as_chunks().0.iter().map(|id| SetId::new(u32::from_be_bytes(*id)));
    Fragments::with_set_ids(message.to_vec(), PacketSize::Regular, ids.collect::<Option<_>>()?).ok()
}

/// What may leave of a message.
struct Kept {
    fragments: Vec<Vec<u8>>,
    acked: Vec<u8>,
    left: BTreeSet<usize>,
}

impl Kept {
    fn new(fragments: Fragments, acked: Vec<u8>) -> Self {
        let fragments = (0..fragments.count()).filter_map(|index| fragments.fragment(index)).collect();
        Self { fragments, acked, left: BTreeSet::new() }
    }
}

/// A client of the exchange with its gateway and everybody else.
struct World {
    client: Client<Clear>,
    gateway: Gateway,
    id: ClientId,
    own: Address,
    peer: Peer<Clear>,
    surb_keys: Vec<[u8; 16]>,
    link: Option<LinkId>,
    plans: Vec<Kept>,
    delivered: bool,
    ended: bool,
    now: Instant,
}

impl World {
    /// A client that knows its gateway and holds SURBs of whom it is to answer.
    fn new(how: u8, to: &Recipient) -> Self {
        let now = Instant::from_micros(5_000_000);
        let mut config = Config::with_topology(Network::get().document().to_owned(), UNIX_ZERO);
        config.keeps_pages = true;
        // Requests for more are the only other thing that it would say to the peer.
        config.ask_for_more = false;
        config.traffic.danger_no_pacing = how & UNPACED != 0;
        let identity = Identity::generate(&mut ChaCha20Rng::seed_from_u64(1));
        let key = Network::gateway(0);
        let (id, own) = (identity.client_id(), identity.address(key.gateway_id()).expect("points"));
        let shared = || SharedKey::from_bytes(&[9; 32]);
        let url = "ws://127.0.0.1:3007".to_owned();
        let registration = Registration { gateway: own.gateway(), url, shared: shared(), last_login: 0 };
        let mut gateway = Gateway::new(key, UNIX_ZERO.as_secs());
        let balance = Balance { bytes: 1 << 40, expires_unix: u64::MAX };
        gateway.books.accounts.insert(id, Account { balance, ..Account::new(shared()) });
        let rng = Box::new(ChaCha20Rng::seed_from_u64(2));
        let mut world = Self {
            client: Client::new(config, identity, Some(registration), rng, now),
            gateway,
            id,
            own,
            peer: peer(),
            surb_keys: Vec::new(),
            link: None,
            plans: Vec::new(),
            delivered: false,
            ended: false,
            now,
        };
        if let Recipient::Tag(tag) = to {
            let surbs: Vec<_> = (0..SURBS).map(|seed| Network::surb::<Clear>(&world.peer.address, 1, seed)).collect();
            world.surb_keys = surbs.iter().map(|surb| *surb.key.as_bytes()).collect();
            let (since, rotation) = (world.unix(), RotationTag::Odd);
            let page = write_page(&[Held { tag: *tag, since, rotation_id: 47, rotation, surbs }]);
            world.client.restore(Record::Page(Shelf::Held, 0), Some(&page), now);
        }
        world
    }

    fn unix(&self) -> u64 {
        (UNIX_ZERO + self.now.since(Instant::ZERO)).as_secs()
    }

    /// Until the message has ended. For one that may not arrive, a while.
    fn run(&mut self, fates: u8, arrives: bool) {
        self.client.engine_mut().connect(self.now);
        // The first packets meet these fates, all others arrive.
        let mut fates: VecDeque<u8> = (0..8).map(|bit| fates >> bit & 1).collect();
        for _ in 0..if arrives { ROUNDS_MAX } else { ROUNDS } {
            self.drain(&mut fates);
            if self.ended {
                return;
            }
            let Some(at) = self.client.poll_timeout() else { return };
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
        }
    }

    /// What holds when it is over. `arrives`: nothing was in its way.
    fn end(&mut self, arrives: bool) {
        for bound in self.client.engine().bounds().into_iter().chain(self.client.bounds()) {
            assert!(bound.len <= bound.limit, "{bound:?}");
        }
        if arrives {
            assert!(self.delivered, "a message that nothing is in the way of does not arrive");
            for plan in &self.plans {
                let missing = |index: &usize| !is_set(&plan.acked, *index) && !plan.left.contains(index);
                assert_eq!((0..plan.fragments.len()).find(missing), None, "delivered without this fragment");
            }
        }
        self.client.close(false, self.now, self.now);
        self.drain(&mut VecDeque::new());
    }

    /// Everything that the client wants happens at once.
    fn drain(&mut self, fates: &mut VecDeque<u8>) {
        loop {
            let mut any = false;
            while let Some(frame) = self.client.poll_transmit(self.now) {
                any = true;
                self.carry(&frame.data, fates);
            }
            while let Some(request) = self.client.poll_request() {
                any = true;
                self.serve(request);
            }
            while let Some(event) = self.client.poll_event(self.now) {
                any = true;
                self.hear(&event);
            }
            if !any {
                return;
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::OpenLink { link, .. } => {
                self.link = Some(link);
                self.gateway.accept();
                self.client.handle_link_open(link, self.now);
            }
            Request::CloseLink { .. } => self.link = None,
            Request::Save { record, bytes } => {
                if let Record::Page(Shelf::Outbox, _) = record
                    && let Some(entry) = OutboxEntry::from_bytes(&bytes)
                    && entry.is_cut
                {
                    let plan = fragments(&entry.content).expect("the client writes what it can read");
                    self.plans.push(Kept::new(plan, Vec::new()));
                }
                self.client.handle_written(&[record], true, self.now);
            }
            Request::Forget { record } => self.client.handle_written(&[record], true, self.now),
            Request::Fetch { .. } => panic!("a client with a topology asks a directory"),
        }
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Engine(engine::Event::Delivered { .. }) => (self.delivered, self.ended) = (true, true),
            Event::Engine(engine::Event::Undelivered { .. } | engine::Event::Closed) => self.ended = true,
            _ => {}
        }
    }

    fn carry(&mut self, frame: &Outgoing, fates: &mut VecDeque<u8>) {
        let Some(link) = self.link else { return };
        self.gateway.books.now_unix = self.unix();
        let outputs = match frame {
            Outgoing::Text(text) => self.gateway.text(text),
            Outgoing::Binary(frame) => self.gateway.binary(frame),
        };
        for output in outputs {
            match output {
                Output::Text(text) => self.client.handle_frame(link, Incoming::Text(&text), self.now),
                Output::Binary(frame) => self.client.handle_frame(link, Incoming::Binary(&frame), self.now),
                Output::Forward(packet) => self.forward(packet, fates),
                Output::Close => panic!("the gateway has nothing against this client"),
            }
        }
    }

    fn forward(&mut self, packet: MixPacket, fates: &mut VecDeque<u8>) {
        let arrived =
            Clear::follow(Network::get(), packet.first_hop, packet.packet).expect("a packet that goes somewhere");
        let (first_hop, ack, rest) = split_ack_blob(&arrived.plaintext).expect("an ack in front");
        let fragment = self.open(rest);
        if is_cover(&fragment) {
            assert!(arrived.destination == self.own.identity());
        } else {
            let place = self
                .plans
                .iter()
                .enumerate()
                .find_map(|(plan, kept)| Some((plan, kept.fragments.iter().position(|known| *known == fragment)?)));
            let (plan, index) = place.expect("a fragment of no plan has left");
            assert!(!is_set(&self.plans[plan].acked, index), "what was acknowledged leaves again");
            if fates.pop_front() == Some(1) {
                return;
            }
            self.plans[plan].left.insert(index);
        }
        let ack = Clear::follow(Network::get(), first_hop, ack).expect("an ack that comes back");
        if let (Some(frame), Some(link)) = (self.gateway.seal(&self.id, &ack.plaintext), self.link) {
            self.client.handle_frame(link, Incoming::Binary(&frame), self.now);
        }
    }

    /// What is in a packet, whether it came over a SURB or not.
    fn open(&self, payload: &[u8]) -> Vec<u8> {
        let (head, sealed) = payload.split_at(32);
        let keys = self.surb_keys.iter().map(|key| ReplyKey::from_bytes(*key));
        match keys.into_iter().find(|key| key.digest().0[..] == *head) {
            Some(key) => Clear::open_with(&key, sealed),
            None => sealed.to_vec(),
        }
    }
}

fn peer() -> Peer<Clear> {
    Peer::new()
}

fn is_set(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|bits| bits & (1 << (index % 8)) != 0)
}

const UNIX_ZERO: Duration = Duration::from_secs(1_779_000_000);
const NUMBER: u32 = 7;
const ID: MessageId = MessageId(7);
/// Whom an answer is for that comes from the page.
const TAG: SenderTag = SenderTag([5; 16]);
/// So many are held of them, enough for what an input can hold.
const SURBS: u64 = 8;
/// Wake-ups: of a message that has to arrive whatever its first packets meet, and of others.
const ROUNDS_MAX: usize = 20_000;
const ROUNDS: usize = 300;
/// It comes from the page, not from the store.
pub const FROM_PAGE: u8 = 1;
/// It is an answer.
pub const TO_TAG: u8 = 2;
/// Without pacing.
pub const UNPACED: u8 = 4;
/// It is stretched.
pub const LONG_BODY: u8 = 0x80;
