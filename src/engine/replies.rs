//! Both sides of answering: SURBs we hold of strangers, and the keys of SURBs we gave out.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::forge::HeldSurb;
use crate::limits;
use crate::message::{Address, KeyDigest, ReplyKey, ReplySurb, SenderTag, SurbList};
use crate::sphinx::RotationTag;
use crate::time::Instant;

/// The stock of SURBs, by the stranger who gave them, and our own reply keys, by whom we gave them to.
#[derive(Default)]
pub(super) struct Replies {
    peers: BTreeMap<SenderTag, Peer>,
    held: usize,
    conversations: BTreeMap<Address, Conversation>,
    by_tag: BTreeMap<SenderTag, Address>,
    keys: BTreeMap<KeyDigest, OwnKey>,
    /// The same keys by age; used ones are skipped when met.
    by_age: VecDeque<(Instant, KeyDigest)>,
}

/// A stranger.
struct Peer {
    surbs: VecDeque<Stocked>,
    /// SURBs asked for and not come yet.
    asked: u32,
    /// Requests in a row without an answer.
    requests: u32,
    /// Not before this is asked again.
    ask_again: Instant,
    heard: Instant,
}

struct Stocked {
    key: ReplyKey,
    surb: crate::sphinx::Surb,
    rotation: RotationTag,
    since: Instant,
}

/// A recipient we write to under a tag of ours.
struct Conversation {
    tag: SenderTag,
    /// SURBs given out and not come back.
    outstanding: u32,
    used: Instant,
}

struct OwnKey {
    key: ReplyKey,
    /// Our tag in the conversation it was given out in.
    tag: SenderTag,
}

/// What there is to send a reply fragment with.
pub(super) enum Stock {
    /// One SURB.
    Surb(Box<HeldSurb>),
    /// None now, but more were asked for or may be.
    Waiting,
    /// None, and none can be had.
    Exhausted,
}

impl Replies {
    // ── SURBs we hold ────────────────────────────────────────────────────────────────────────────────────────────

    /// Files SURBs under their giver's tag. Answers how many had to be dropped for lack of room.
    pub(super) fn stock(&mut self, tag: SenderTag, list: SurbList, now: Instant) -> u32 {
        let mut dropped = 0;
        if !self.peers.contains_key(&tag) && self.peers.len() >= limits::PEERS_COUNT_MAX {
            dropped += self.drop_quietest(None);
        }
        let rotation = list.rotation;
        let arrived = u32::try_from(list.surbs.len()).unwrap_or(u32::MAX);
        let peer = self.peers.entry(tag).or_insert_with(|| Peer {
            surbs: VecDeque::new(),
            asked: 0,
            requests: 0,
            ask_again: Instant::ZERO,
            heard: now,
        });
        peer.heard = now;
        if arrived > 0 {
            peer.asked = peer.asked.saturating_sub(arrived);
            peer.requests = 0;
            peer.ask_again = now;
        }
        for ReplySurb { key, surb } in list.surbs {
            if peer.surbs.len() >= limits::SURBS_PER_PEER_MAX {
                peer.surbs.pop_front();
                self.held -= 1;
                dropped += 1;
            }
            peer.surbs.push_back(Stocked { key, surb, rotation, since: now });
            self.held += 1;
        }
        while self.held > limits::SURBS_HELD_MAX {
            dropped += self.drop_quietest(Some(tag));
        }
        dropped
    }

    /// Takes a SURB of this peer of a rotation that is `usable`. The last ones are kept back for asking for more.
    pub(super) fn take(
        &mut self,
        tag: SenderTag,
        for_request: bool,
        may_ask: bool,
        usable: &dyn Fn(RotationTag) -> bool,
    ) -> Stock {
        let Some(peer) = self.peers.get_mut(&tag) else { return Stock::Exhausted };
        let reserve = if for_request || !may_ask { 0 } else { limits::SURBS_RESERVE_COUNT };
        let mut places = (0..).zip(&peer.surbs).filter(|(_, surb)| usable(surb.rotation)).map(|(place, _)| place);
        let (first, has_more) = (places.next(), reserve == 0 || places.nth(reserve - 1).is_some());
        if let Some(stocked) = first.filter(|_| has_more).and_then(|first| peer.surbs.swap_remove_front(first)) {
            self.held -= 1;
            let Stocked { key, surb, rotation, .. } = stocked;
            return Stock::Surb(Box::new(HeldSurb { key, surb, rotation }));
        }
        // Those that are left wait to be asked with, or for the topology of their rotation.
        let is_waiting = !peer.surbs.is_empty() || (may_ask && peer.asked > 0);
        if is_waiting { Stock::Waiting } else { Stock::Exhausted }
    }

    pub(super) fn stock_of(&self, tag: &SenderTag) -> usize {
        self.peers.get(tag).map_or(0, |peer| peer.surbs.len())
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How many SURBs to ask this peer for now, with so many fragments waiting; 0 for none.
    pub(super) fn request_for(&mut self, tag: SenderTag, waiting: usize, now: Instant) -> u32 {
        let Some(peer) = self.peers.get_mut(&tag) else { return 0 };
        let enough = peer.surbs.len() >= waiting + limits::SURBS_RESERVE_COUNT;
        if enough || peer.surbs.is_empty() || peer.requests >= limits::SURB_REQUESTS_MAX {
            return 0;
        }
        if peer.requests > 0 && now < peer.ask_again {
            return 0;
        }
        let missing = u32::try_from(waiting + limits::SURBS_RESERVE_COUNT - peer.surbs.len()).unwrap_or(u32::MAX);
        let amount = missing.clamp(limits::SURB_REQUEST_MIN, limits::SURB_REQUEST_MAX);
        peer.ask_again = now + limits::SURB_REQUEST_RETRY * (1 << peer.requests);
        peer.requests += 1;
        peer.asked = amount;
        amount
    }

    /// Whether waiting for this peer's SURBs has become pointless.
    pub(super) fn is_exhausted(&self, tag: SenderTag, now: Instant) -> bool {
        self.peers.get(&tag).is_none_or(|peer| {
            let silent = now >= peer.ask_again;
            silent && (peer.requests >= limits::SURB_REQUESTS_MAX || (peer.surbs.is_empty() && peer.requests > 0))
        })
    }

    /// When the next request for this peer may be made.
    pub(super) fn ask_again_at(&self, tag: SenderTag) -> Option<Instant> {
        self.peers.get(&tag).filter(|peer| peer.requests > 0).map(|peer| peer.ask_again)
    }

    /// Whether SURBs of this peer are on their way, so that a reply may wait for them.
    pub(super) fn awaits(&self, tag: &SenderTag) -> bool {
        self.peers.get(tag).is_some_and(|peer| peer.asked > 0 && peer.requests < limits::SURB_REQUESTS_MAX)
    }

    /// A request was due and not made: looked at again later.
    pub(super) fn postpone(&mut self, tag: SenderTag, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&tag).filter(|peer| peer.ask_again <= now) {
            peer.ask_again = now + limits::SURB_REQUEST_RETRY;
        }
    }

    fn drop_quietest(&mut self, except: Option<SenderTag>) -> u32 {
        let quietest = self
            .peers
            .iter()
            .filter(|(tag, _)| Some(**tag) != except)
            .min_by_key(|(_, peer)| peer.heard)
            .or_else(|| self.peers.iter().next())
            .map(|(tag, _)| *tag);
        let Some(peer) = quietest.and_then(|tag| self.peers.remove(&tag)) else { return 0 };
        self.held -= peer.surbs.len();
        u32::try_from(peer.surbs.len()).unwrap_or(u32::MAX)
    }

    // ── SURBs we gave out ────────────────────────────────────────────────────────────────────────────────────────

    /// The tag this recipient knows us by; a new one at the first message.
    pub(super) fn tag_for(&mut self, to: &Address, now: Instant, rng: &mut dyn CryptoRng) -> SenderTag {
        if let Some(conversation) = self.conversations.get_mut(to) {
            conversation.used = now;
            return conversation.tag;
        }
        if self.conversations.len() >= limits::CONVERSATIONS_COUNT_MAX {
            let oldest = self.conversations.iter().min_by_key(|(_, conversation)| conversation.used);
            if let Some(address) = oldest.map(|(address, _)| address.clone())
                && let Some(gone) = self.conversations.remove(&address)
            {
                self.by_tag.remove(&gone.tag);
            }
        }
        let tag = SenderTag::random(rng);
        self.by_tag.insert(tag, to.clone());
        self.conversations.insert(to.clone(), Conversation { tag, outstanding: 0, used: now });
        tag
    }

    /// How many SURBs bring the recipient's estimated stock up to the usual one.
    pub(super) fn refill_for(&self, to: &Address) -> u32 {
        let outstanding = self.conversations.get(to).map_or(0, |conversation| conversation.outstanding);
        limits::SURBS_FIRST.saturating_sub(outstanding)
    }

    /// Remembers the keys of SURBs given to this recipient.
    pub(super) fn gave_out(&mut self, to: &Address, surbs: Vec<ReplySurb>, now: Instant) {
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        conversation.outstanding += u32::try_from(surbs.len()).unwrap_or(u32::MAX);
        let tag = conversation.tag;
        for surb in surbs {
            while self.keys.len() >= limits::REPLY_KEYS_COUNT_MAX {
                let Some((_, digest)) = self.by_age.pop_front() else { break };
                self.forget(&digest);
            }
            let digest = surb.key.digest();
            self.keys.insert(digest, OwnKey { key: surb.key, tag });
            self.by_age.push_back((now, digest));
        }
    }

    /// The key with this digest, which is used up, and our tag in the conversation it had been given out in.
    pub(super) fn take_key(&mut self, digest: &KeyDigest) -> Option<(ReplyKey, SenderTag)> {
        let own = self.keys.remove(digest)?;
        self.came_back(own.tag);
        Some((own.key, own.tag))
    }

    /// How many SURBs to give to a peer that asks, over a SURB of this conversation, for so many to be sent to that
    /// address; `None` when the address is not the one we gave the SURB to.
    pub(super) fn grant(&self, conversation: SenderTag, to: &Address, amount: u32) -> Option<u32> {
        let known = self.by_tag.get(&conversation).filter(|known| *known == to)?;
        let outstanding = self.conversations.get(known)?.outstanding;
        Some(amount.min(limits::SURBS_GRANTED_MAX.saturating_sub(outstanding)))
    }

    fn forget(&mut self, digest: &KeyDigest) {
        if let Some(own) = self.keys.remove(digest) {
            self.came_back(own.tag);
        }
    }

    fn came_back(&mut self, tag: SenderTag) {
        let address = self.by_tag.get(&tag);
        if let Some(conversation) = address.and_then(|address| self.conversations.get_mut(address)) {
            conversation.outstanding = conversation.outstanding.saturating_sub(1);
        }
    }

    // ── age ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// When the oldest of our keys is due.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.by_age.front().map(|(since, _)| *since + limits::SURB_AGE_MAX)
    }

    /// Forgets what is too old, on both sides. Answers how many SURBs of others were dropped.
    pub(super) fn expire(&mut self, now: Instant) -> u32 {
        while self.by_age.front().is_some_and(|(since, _)| now.since(*since) >= limits::SURB_AGE_MAX) {
            if let Some((_, digest)) = self.by_age.pop_front() {
                self.forget(&digest);
            }
        }
        self.drop_stock(|surb| now.since(surb.since) >= limits::SURB_AGE_MAX)
    }

    /// A rotation ended an epoch ago, or with `None` all before the present one: what was made for it leads nowhere.
    /// Answers how many SURBs were dropped.
    pub(super) fn end_rotation(&mut self, ended: Option<RotationTag>) -> u32 {
        for conversation in self.conversations.values_mut() {
            // Our keys stay until their day is over, in case a packet is late; but the peer's stock is gone.
            conversation.outstanding = 0;
        }
        self.drop_stock(|surb| ended.is_none_or(|ended| surb.rotation == ended))
    }

    fn drop_stock(&mut self, dead: impl Fn(&Stocked) -> bool) -> u32 {
        let mut dropped = 0;
        for peer in self.peers.values_mut() {
            let before = peer.surbs.len();
            peer.surbs.retain(|surb| !dead(surb));
            dropped += before - peer.surbs.len();
        }
        self.held -= dropped;
        u32::try_from(dropped).unwrap_or(u32::MAX)
    }

    /// Tags for which fragments may wait, with the time when they may ask again.
    pub(super) fn next_request(&self, waiting: &[SenderTag]) -> Option<Instant> {
        waiting.iter().filter_map(|tag| self.ask_again_at(*tag)).min()
    }
}

/// SURBs of our own, made ahead of need and one at a time, so that a message that carries twenty does not delay the
/// slot it is sealed for.
#[derive(Default)]
pub(super) struct ReadySurbs(Vec<ReplySurb>);

impl ReadySurbs {
    pub(super) fn wants_more(&self) -> bool {
        self.0.len() < limits::SURBS_READY_COUNT
    }

    pub(super) fn push(&mut self, surb: ReplySurb) {
        self.0.push(surb);
    }

    pub(super) fn take(&mut self, count: usize) -> Vec<ReplySurb> {
        self.0.split_off(self.0.len().saturating_sub(count))
    }

    /// A new topology or gateway: routes made for the old one are not used.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
