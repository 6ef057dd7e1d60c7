//! Somebody the client talks with: reads what arrives and keeps the SURBs that come with it.

use std::collections::VecDeque;
use std::marker::PhantomData;

use mixlet::engine::PacketFormat;
use mixlet::gateway::IdentityKeypair;
use mixlet::message::{
    Address, Budget, Content, Context, EncryptionKey, Inserted, Pushed, Reassembler, Repliable, Reply, ReplyKey,
};
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::network::Network;

pub struct Peer<P> {
    pub address: Address,
    encryption: EncryptionKey,
    reassembler: Reassembler,
    /// Keys of the client's SURBs, each good for one push to it.
    pub reply_keys: VecDeque<ReplyKey>,
    /// Bodies that arrived.
    pub bodies: Vec<Vec<u8>>,
    /// SURBs the client has asked for.
    pub asked: u32,
    format: PhantomData<P>,
}

impl<P: PacketFormat> Peer<P> {
    pub fn new() -> Self {
        let encryption = EncryptionKey::from_bytes([77; 32]);
        let gateway = Network::gateway(1).gateway_id();
        let identity = IdentityKeypair::from_bytes(&[78; 32]).client_id().0;
        let address = Address::new(identity, encryption.public(), gateway).expect("points of the curve");
        // Never forgets: days pass in these worlds, and a message must not count twice for that.
        let budget = Budget { finished_age: Duration::MAX, ..Budget::default() };
        let reassembler = Reassembler::new(budget, &mut ChaCha20Rng::seed_from_u64(5));
        Self {
            address,
            encryption,
            reassembler,
            reply_keys: VecDeque::new(),
            bodies: Vec::new(),
            asked: 0,
            format: PhantomData,
        }
    }

    /// What its gateway pushes. `keys` are those of the SURBs it has given to the client.
    pub fn receive(&mut self, payload: &[u8], keys: &[[u8; 16]], now: Instant) -> Result<(), String> {
        let Ok(Pushed::Data { head, sealed }) = Pushed::parse(payload) else { return Err("no data".to_owned()) };
        let key = keys.iter().map(|key| ReplyKey::from_bytes(*key)).find(|key| key.digest() == head);
        let fragment = match &key {
            Some(key) => P::open_with(key, sealed),
            None => P::open(&self.encryption, payload).map_err(|error| error.to_string())?,
        };
        let message = match self.reassembler.insert(Context::Unknown, &fragment, now) {
            Inserted::Complete { message, .. } => message,
            Inserted::Waiting | Inserted::Repeat => return Ok(()),
            Inserted::Refused(refusal) => return Err(format!("{refusal:?}")),
        };
        match Content::parse(message).map_err(|error| error.to_string())? {
            Content::Plain(body) if key.is_none() => self.bodies.push(body),
            Content::Repliable { data, .. } if key.is_none() => {
                let (list, body) = match data {
                    Repliable::Data { surbs, body } => (surbs, Some(body)),
                    Repliable::AdditionalSurbs(surbs) | Repliable::Heartbeat(surbs) => (surbs, None),
                };
                self.bodies.extend(body);
                self.reply_keys.extend(list.surbs.into_iter().map(|surb| surb.key));
            }
            Content::Reply(Reply::Data(body)) if key.is_some() => self.bodies.push(body),
            Content::Reply(Reply::SurbRequest { amount, .. }) if key.is_some() => {
                self.asked = self.asked.saturating_add(amount);
            }
            _ => return Err("a content that does not fit the way it came".to_owned()),
        }
        Ok(())
    }
}
