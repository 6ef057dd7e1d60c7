//! A peer made by hand on the same rooms: it makes packets and payloads and reads its mail, and has no engine that
//! would keep it from anything.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "not every test file uses every helper")]

use std::collections::BTreeMap;
use std::marker::PhantomData;

use mixlet::identity::Identity;
use mixlet::message::{
    AckContent, Address, Budget, Content, Context, FragmentId, Fragments, Inserted, KeyDigest, Reassembler, ReplyKey,
    ReplySurb, SenderTag, SurbList, ack_blob, fragment_room,
};
use mixlet::sphinx::{Delay, NodeAddress, NodeFrame, PacketSize, RotationTag};
use mixlet::time::Duration;
use mixlet::topology::Topology;
use mixlet_devnet::format::NodeFormat;
use mixlet_devnet::sim::SimWorld;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub const SIZE: PacketSize = PacketSize::Regular;

/// The peer.
pub struct Stranger<F> {
    pub address: Address,
    pub tag: SenderTag,
    pub rng: ChaCha20Rng,
    identity: Identity,
    gateway: usize,
    topology: Topology,
    keys: BTreeMap<KeyDigest, ReplyKey>,
    reassembler: Reassembler,
    format: PhantomData<F>,
}

/// What came.
pub enum Mail {
    Ack(FragmentId),
    /// A whole message, and whether it came over a SURB of ours.
    Message(Content, bool),
}

impl<F: NodeFormat> Stranger<F> {
    /// A peer on this gateway, with the topology of a client that is up.
    pub fn new(seed: u64, world: &SimWorld<F>, gateway: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5374_7261_6e67);
        let identity = Identity::generate(&mut rng);
        Self {
            address: identity.address(world.config(gateway).gateway.unwrap()).unwrap(),
            tag: SenderTag::random(&mut rng),
            identity,
            gateway,
            topology: world.engine(0).topology().unwrap().clone(),
            keys: BTreeMap::new(),
            reassembler: Reassembler::new(Budget::default(), &mut rng),
            rng,
            format: PhantomData,
        }
    }

    // ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────

    /// SURBs that lead to this peer.
    pub fn surbs(&mut self, count: usize) -> SurbList {
        let surbs = (0..count).map(|_| {
            let route = self.topology.route_to(&self.address.gateway(), &mut self.rng).unwrap();
            let delays = delays(&mut self.rng);
            let surb = F::make_surb(route.hops(), &delays, &self.address.identity(), &mut self.rng).unwrap();
            let key = ReplyKey::random(&mut self.rng);
            self.keys.insert(key.digest(), ReplyKey::from_bytes(*key.as_bytes()));
            ReplySurb { key, surb }
        });
        SurbList { surbs: surbs.collect(), rotation: self.topology.rotation() }
    }

    /// The fragments of a content.
    pub fn cut(&mut self, content: Vec<u8>) -> Vec<(FragmentId, Vec<u8>)> {
        let fragments = Fragments::new(content, SIZE, &mut self.rng).unwrap();
        (0..fragments.count()).map(|index| (fragments.id(index).unwrap(), fragments.fragment(index).unwrap())).collect()
    }

    /// A fragment as a gateway pushes it.
    pub fn seal(&mut self, to: &Address, fragment: &[u8]) -> Vec<u8> {
        F::seal_to(to.encryption_key(), fragment, &mut self.rng).unwrap()
    }

    /// Pushes a whole message to a client at once, without any way through the network.
    pub fn push(&mut self, world: &mut SimWorld<F>, client: usize, content: Vec<u8>) {
        let to = world.engine(client).address().unwrap().clone();
        for (_, fragment) in self.cut(content) {
            let payload = self.seal(&to, &fragment);
            world.push(client, payload);
        }
    }

    /// Pushes one fragment with a header of one's own choice: set, total, position, and the neighbour it links to.
    pub fn push_fragment(&mut self, world: &mut SimWorld<F>, client: usize, header: Header, fill: u8) {
        let to = world.engine(client).address().unwrap().clone();
        let payload = self.seal(&to, &header.fragment(fill));
        world.push(client, payload);
    }

    /// Sends a fragment over a SURB of somebody, with an ack that leads here.
    pub fn send_over(
        &mut self,
        world: &mut SimWorld<F>,
        (surb, rotation): (ReplySurb, RotationTag),
        id: FragmentId,
        fragment: &[u8],
    ) {
        let mut plaintext = self.ack(id);
        plaintext.extend_from_slice(&F::seal_with(&surb.key, fragment));
        let (first_hop, packet) = F::apply_surb(surb.surb, SIZE, &plaintext).unwrap();
        self.inject(world, first_hop, NodeFrame { rotation, packet });
    }

    fn ack(&mut self, id: FragmentId) -> Vec<u8> {
        let sealed = F::seal_ack(&self.identity.ack, AckContent::Fragment(id), &mut self.rng);
        let route = self.topology.route_to(&self.address.gateway(), &mut self.rng).unwrap();
        let delays = delays(&mut self.rng);
        let to = self.address.identity();
        let packet = F::build(PacketSize::Ack, route.hops(), &delays, &to, &sealed, &mut self.rng).unwrap();
        ack_blob(route.hops()[0].address, &packet)
    }

    fn inject(&mut self, world: &mut SimWorld<F>, first_hop: NodeAddress, frame: NodeFrame) {
        world.inject(self.gateway, first_hop, frame);
    }

    // ── what it hears ────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes what has come.
    pub fn mail(&mut self, world: &mut SimWorld<F>) -> Vec<Mail> {
        let now = world.now();
        let mut mail = Vec::new();
        for payload in world.take_inbox(self.gateway, &self.address) {
            if let Some(content) = F::open_ack(&self.identity.ack, &payload) {
                if let AckContent::Fragment(id) = content {
                    mail.push(Mail::Ack(id));
                }
                continue;
            }
            let (head, sealed) = payload.split_first_chunk::<32>().unwrap();
            let (fragment, context) = match self.keys.remove(&KeyDigest(*head)) {
                Some(key) => (F::open_with(&key, sealed), Context::Tag(self.tag)),
                None => (F::open(&self.identity.encryption, &payload).unwrap(), Context::Unknown),
            };
            if let Inserted::Complete { message, .. } = self.reassembler.insert(context, &fragment, now) {
                let content = Content::parse(message).expect("an honest client's message");
                mail.push(Mail::Message(content, context != Context::Unknown));
            }
        }
        mail
    }
}

/// The header of a fragment that somebody made up.
#[derive(Clone, Copy)]
pub struct Header {
    pub set: u32,
    pub total: u8,
    pub position: u8,
    pub link: Option<u32>,
}

impl Header {
    /// A fragment of the usual length with this header, filled with a byte.
    pub fn fragment(&self, fill: u8) -> Vec<u8> {
        let top = 1 << 31;
        let mut bytes = (self.set | top).to_be_bytes().to_vec();
        bytes.extend_from_slice(&[self.total, self.position]);
        match self.link {
            Some(link) => bytes.extend_from_slice(&(link | top).to_be_bytes()),
            None => bytes.push(0),
        }
        bytes.resize(fragment_room(SIZE), fill);
        bytes
    }
}

fn delays(rng: &mut ChaCha20Rng) -> [Delay; 4] {
    std::array::from_fn(|_| Delay::sample(Duration::from_millis(15), rng))
}

/// A body of so many bytes that nobody else sends.
pub fn noise(rng: &mut ChaCha20Rng, len: usize) -> Vec<u8> {
    let mut body = vec![0; len];
    rng.fill_bytes(&mut body);
    body
}
