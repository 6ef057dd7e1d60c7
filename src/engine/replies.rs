//! SURBs we hold of strangers: how many, what they may be used for, and when to ask for more.
//!
//! The last ones of a peer are kept for requests as long as more waits to be sent, since a request that is lost needs
//! another SURB to go again over. A request is a message like others: as long as its ack is missing it goes again, and
//! nothing else is asked. Once it is acknowledged the peer's gateway has it, so what is missing then is the peer's
//! doing, which sends its answer until that is acknowledged in turn: asking again soon would only use up SURBs. It is
//! asked again after [`limits::SURB_REQUEST_RETRY`], doubled each time.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::backlogs::Load;
use super::forge::HeldSurb;
use super::shelf::Place;
use super::unfinished::MessageKey;
use crate::limits;
use crate::message::{ReplyKey, ReplySurb, SenderTag, SurbList};
use crate::sphinx::RotationTag;
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// The stock of SURBs, by the stranger who gave them.
#[derive(Default)]
pub(super) struct Replies {
    peers: Table<SenderTag, Peer>,
    /// In the order in which they make room: those never answered first, then by silence.
    quiet: TableSet<(bool, Instant, SenderTag)>,
    /// When something is to be done about a peer.
    timers: TableSet<(Instant, SenderTag)>,
    held: usize,
    sweep: Option<Instant>,
    /// When the nodes last had new keys.
    rotated: Instant,
    /// Peers that had to make room since the engine last asked.
    gone: Vec<SenderTag>,
    /// Peers of whom it is to be told what is held, and since when.
    news: TableSet<SenderTag>,
    news_since: Option<Instant>,
    /// Every change is told, not only whether a peer can be answered.
    tell_all: bool,
    /// Where the store has SURBs that are not held any more.
    released: Vec<Place>,
}

/// A stranger.
struct Peer {
    surbs: VecDeque<Stocked>,
    /// SURBs asked for and not come yet, by requests that are known to have arrived.
    asked: u32,
    /// The request that is not acknowledged, and how many SURBs it asks for.
    request: Option<(MessageKey, u32)>,
    /// One that was answered before its ack came.
    answered_request: Option<MessageKey>,
    /// Requests in a row that arrived and brought nothing.
    tries: u32,
    /// Its entry among the timers.
    timer: Option<Instant>,
    /// SURBs to ask for because those here will end with their rotation.
    renew: u32,
    /// SURBs used so far.
    used: u32,
    /// The user has answered it.
    answered: bool,
    /// What was told last: it can be answered.
    told: bool,
    heard: Instant,
}

struct Stocked {
    key: ReplyKey,
    surb: crate::sphinx::Surb,
    rotation: RotationTag,
    since: Instant,
    /// Where the store has it.
    place: Option<Place>,
    /// The rotation it came in, until it is known which one it is now: for one of an earlier run.
    came_in: Option<u32>,
}

/// What there is to send a reply fragment with.
pub(super) enum Stock {
    /// One SURB.
    Surb(Box<HeldSurb>),
    /// None that may be used for this now.
    Waiting,
    /// The peer is not known any more.
    Unknown,
}

/// What is to be done about a peer whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask it, if there is need.
    Ask,
    /// What waits for its SURBs waits in vain.
    GiveUp,
}

impl Replies {
    // ── the stock ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Files SURBs under their giver's tag; `place` is where the store has the first of them. Answers how many had to be
    /// dropped for lack of room.
    pub(super) fn stock(&mut self, tag: SenderTag, list: SurbList, place: Option<Place>, now: Instant) -> u32 {
        let held = self.held + list.surbs.len();
        self.admit(tag, now);
        let Some(peer) = self.peers.get_mut(&tag) else { return 0 };
        let SurbList { rotation, surbs } = list;
        if !surbs.is_empty() {
            let arrived = u32::try_from(surbs.len()).unwrap_or(u32::MAX);
            if arrived > peer.asked
                && let Some((key, amount)) = peer.request.take()
            {
                // Requests are answered in order, so the last has arrived too; its ack may be lost.
                peer.asked += amount;
                peer.answered_request = Some(key);
            }
            peer.asked = peer.asked.saturating_sub(arrived);
            peer.renew = peer.renew.saturating_sub(arrived);
            peer.tries = 0;
            let timer = match (peer.request, peer.asked, peer.renew) {
                (Some(_), ..) | (None, 0, 0) => None,
                (None, 0, _) => peer.timer,
                (None, ..) => Some(now + limits::SURB_REQUEST_RETRY),
            };
            set_timer(&mut self.timers, tag, peer, timer);
        }
        for (at, ReplySurb { key, surb }) in (0..).zip(surbs) {
            let place = place.map(|first| Place { at: first.at + at, ..first });
            self.keep(tag, Stocked { key, surb, rotation, since: now, place, came_in: None });
        }
        self.kept(tag, now);
        u32::try_from(held - self.held).unwrap_or(u32::MAX)
    }

    /// SURBs that an earlier run held, in its rotation `came_in`, with where the store has each.
    pub(super) fn restore(
        &mut self,
        tag: SenderTag,
        surbs: impl Iterator<Item = (Place, ReplySurb)>,
        (rotation, came_in): (RotationTag, u32),
        since: Instant,
        now: Instant,
    ) {
        if now.since(since) >= limits::SURB_AGE_MAX {
            self.released.extend(surbs.map(|(place, _)| place));
            return;
        }
        self.admit(tag, since);
        for (place, ReplySurb { key, surb }) in surbs {
            let (place, came_in) = (Some(place), Some(came_in));
            self.keep(tag, Stocked { key, surb, rotation, since, place, came_in });
        }
        self.kept(tag, now);
    }

    /// The first topology of this run is here, and with it the rotation: SURBs of another one are dropped. Those of the
    /// one before may work for a while yet, but their acks need keys that are not there any more. Answers how many.
    pub(super) fn check_restored(&mut self, id: u32, fits: impl Fn(RotationTag) -> bool, now: Instant) -> u32 {
        let dead = |surb: &Stocked| {
            surb.came_in.is_some_and(|came_in| match surb.rotation {
                RotationTag::Unknown => came_in != id,
                tag => came_in.abs_diff(id) > 1 || !fits(tag),
            })
        };
        let dropped = self.drop_stock(dead, now);
        for surb in self.peers.values_mut().flat_map(|peer| &mut peer.surbs) {
            surb.came_in = None;
        }
        dropped
    }

    fn admit(&mut self, tag: SenderTag, heard: Instant) {
        if !self.peers.contains_key(&tag) {
            if self.peers.len() >= limits::PEERS_COUNT_MAX {
                self.drop_quietest(None, heard);
            }
            let peer = Peer {
                surbs: VecDeque::new(),
                asked: 0,
                request: None,
                answered_request: None,
                tries: 0,
                timer: None,
                renew: 0,
                used: 0,
                answered: false,
                told: false,
                heard,
            };
            self.peers.insert(tag, peer);
        }
        if let Some(peer) = self.peers.get_mut(&tag) {
            self.quiet.remove(&(peer.answered, peer.heard, tag));
            peer.heard = heard;
            self.quiet.insert((peer.answered, heard, tag));
        }
    }

    fn keep(&mut self, tag: SenderTag, stocked: Stocked) {
        let Some(peer) = self.peers.get_mut(&tag) else { return };
        if peer.surbs.len() >= limits::SURBS_PER_PEER_MAX
            && let Some(oldest) = peer.surbs.pop_front()
        {
            self.released.extend(oldest.place);
            self.held -= 1;
        }
        peer.surbs.push_back(stocked);
        self.held += 1;
    }

    /// SURBs of this peer were filed.
    fn kept(&mut self, tag: SenderTag, now: Instant) {
        while self.held > limits::SURBS_HELD_MAX {
            self.drop_quietest(Some(tag), now);
        }
        self.note(tag, now);
        self.sweep = self.sweep.or(Some(now + limits::SURB_SWEEP_TIME));
    }

    /// Where the store has SURBs that are not held any more.
    pub(super) fn take_released(&mut self) -> Vec<Place> {
        core::mem::take(&mut self.released)
    }

    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Takes a SURB of this peer of a rotation that is `usable`, if so many are left then.
    pub(super) fn take(
        &mut self,
        tag: SenderTag,
        reserve: usize,
        usable: impl Fn(RotationTag) -> bool,
        now: Instant,
    ) -> Stock {
        let Some(peer) = self.peers.get_mut(&tag) else { return Stock::Unknown };
        while peer.surbs.front().is_some_and(|surb| now.since(surb.since) >= limits::SURB_AGE_MAX)
            && let Some(old) = peer.surbs.pop_front()
        {
            self.released.extend(old.place);
            self.held -= 1;
        }
        let mut places = (0..).zip(&peer.surbs).filter(|(_, surb)| usable(surb.rotation)).map(|(place, _)| place);
        let (first, has_more) = (places.next(), reserve == 0 || places.nth(reserve - 1).is_some());
        let Some(stocked) = first.filter(|_| has_more).and_then(|first| peer.surbs.remove(first)) else {
            self.note(tag, now);
            return Stock::Waiting;
        };
        self.held -= 1;
        peer.used = peer.used.saturating_add(1);
        self.note(tag, now);
        let Stocked { key, surb, rotation, place, .. } = stocked;
        self.released.extend(place);
        Stock::Surb(Box::new(HeldSurb { key, surb, rotation }))
    }

    /// How many of the fragments that wait the stock is good for.
    pub(super) fn room(&self, tag: &SenderTag, load: Load, may_ask: bool) -> usize {
        let reserve = if may_ask { reserve_for(load.waiting + load.in_flight) } else { 0 };
        self.stock_of(tag).saturating_sub(reserve)
    }

    pub(super) fn stock_of(&self, tag: &SenderTag) -> usize {
        self.peers.get(tag).map_or(0, |peer| peer.surbs.len())
    }

    /// The user answers this peer: it keeps its place before those that were never answered.
    pub(super) fn answer(&mut self, tag: SenderTag) {
        if let Some(peer) = self.peers.get_mut(&tag).filter(|peer| !peer.answered) {
            self.quiet.remove(&(false, peer.heard, tag));
            peer.answered = true;
            self.quiet.insert((true, peer.heard, tag));
        }
    }

    /// A peer that had to make room, of those not told of yet.
    pub(super) fn take_gone(&mut self) -> Option<SenderTag> {
        self.gone.pop()
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    fn drop_quietest(&mut self, except: Option<SenderTag>, now: Instant) {
        let quietest = self.quiet.iter().find(|(_, _, tag)| Some(*tag) != except).or(self.quiet.first()).copied();
        let Some((answered, heard, tag)) = quietest else { return };
        self.quiet.remove(&(answered, heard, tag));
        if let Some(mut peer) = self.peers.remove(&tag) {
            self.held -= peer.surbs.len();
            self.released.extend(peer.surbs.iter().filter_map(|surb| surb.place));
            set_timer(&mut self.timers, tag, &mut peer, None);
            self.gone.push(tag);
            if peer.told || self.tell_all {
                self.add_news(tag, now);
            } else {
                self.news.remove(&tag);
            }
        }
    }

    // ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// How many SURBs to ask this peer for now, with so much waiting and under way; 0 for none.
    pub(super) fn missing(&self, tag: &SenderTag, load: Load) -> u32 {
        let Some(peer) = self.peers.get(tag) else { return 0 };
        let Load { waiting, in_flight } = load;
        // After a request that brought nothing only the timer asks, and only for what is needed now.
        let patient = peer.tries > 0 && (peer.asked > 0 || (waiting == 0 && peer.renew == 0));
        if peer.request.is_some() || patient || peer.surbs.is_empty() {
            return 0;
        }
        // Who was sent more than a few fragments will be sent still more: asked before the last are needed, for what is
        // used until the answer comes.
        let (least, ahead) = if peer.used as usize >= limits::SURBS_RESERVE_COUNT {
            (limits::SURBS_RESERVE_COUNT + in_flight * 2, in_flight * 2)
        } else {
            (reserve_for(waiting + in_flight), 0)
        };
        let least = (waiting + least).min(limits::SURBS_WANTED_MAX);
        // A few more than that, since requests take some too: else each would lead to the next.
        let aim = (least + ahead + limits::SURB_REQUEST_MIN as usize).min(limits::SURBS_WANTED_MAX);
        let has = peer.surbs.len() + peer.asked as usize;
        let missing = if has < least { aim - has } else { 0 };
        let missing = u32::try_from(missing).unwrap_or(u32::MAX).max(peer.renew.saturating_sub(peer.asked));
        if missing == 0 {
            return 0;
        }
        missing.clamp(limits::SURB_REQUEST_MIN, limits::SURB_REQUEST_MAX)
    }

    // ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Whether a reply to this peer would be accepted.
    pub(super) fn can_answer(&self, tag: &SenderTag) -> bool {
        self.stock_of(tag) > 0 || self.awaits(tag)
    }

    /// From now on every change is told, or only whether a peer can be answered.
    pub(super) fn tell_all(&mut self, tell_all: bool) {
        self.tell_all = tell_all;
    }

    /// It is known to whoever listens that this peer can be answered.
    pub(super) fn told(&mut self, tag: &SenderTag) {
        let can_answer = self.can_answer(tag);
        if let Some(peer) = self.peers.get_mut(tag) {
            peer.told = can_answer;
        }
    }

    /// What is held of this peer, or on its way, may have changed.
    fn note(&mut self, tag: SenderTag, now: Instant) {
        let can_answer = self.can_answer(&tag);
        if self.peers.get(&tag).is_some_and(|peer| self.tell_all || peer.told != can_answer) {
            self.add_news(tag, now);
        }
    }

    fn add_news(&mut self, tag: SenderTag, now: Instant) {
        self.news.insert(tag);
        self.news_since.get_or_insert(now);
    }

    /// Since when there is something to tell.
    pub(super) fn news_since(&self) -> Option<Instant> {
        self.news_since
    }

    pub(super) fn news_count(&self) -> usize {
        self.news.len()
    }

    /// Whether what is to be told should not wait.
    pub(super) fn has_much_news(&self) -> bool {
        self.news.len() >= limits::SURB_NEWS_COUNT_MAX / 2
    }

    /// Takes one peer of which something is to be told: how many SURBs are held of it, and whether it can be answered.
    pub(super) fn take_news(&mut self) -> Option<(SenderTag, u32, bool)> {
        loop {
            let Some(tag) = self.news.pop_first() else {
                self.news_since = None;
                return None;
            };
            let (held, can_answer) = (self.stock_of(&tag), self.can_answer(&tag));
            let peer = self.peers.get_mut(&tag);
            let is_news = peer.is_none_or(|peer| core::mem::replace(&mut peer.told, can_answer) != can_answer);
            if is_news || self.tell_all {
                return Some((tag, u32::try_from(held).unwrap_or(u32::MAX), can_answer));
            }
        }
    }

    /// A request for so many is on its way.
    pub(super) fn requested(&mut self, tag: SenderTag, request: MessageKey, amount: u32) {
        if let Some(peer) = self.peers.get_mut(&tag) {
            peer.request = Some((request, amount));
            set_timer(&mut self.timers, tag, peer, None);
        }
    }

    /// A request whose answer has come, so that it need not go again.
    pub(super) fn take_answered(&mut self, tag: &SenderTag) -> Option<MessageKey> {
        self.peers.get_mut(tag)?.answered_request.take()
    }

    /// A request has ended: it arrived at the peer's gateway, or could not be sent any more.
    pub(super) fn request_ended(&mut self, tag: SenderTag, request: MessageKey, arrived: bool, now: Instant) {
        let Some(peer) = self.peers.get_mut(&tag) else { return };
        let Some((_, amount)) = peer.request.take_if(|(key, _)| *key == request) else { return };
        peer.asked += amount;
        let wait = if arrived { limits::SURB_REQUEST_RETRY * (1 << peer.tries) } else { limits::SURBS_NONE_TIME };
        set_timer(&mut self.timers, tag, peer, Some(now + wait));
        self.note(tag, now);
    }

    /// Something waits for SURBs of this peer. If nothing was asked for, nor can be, it does not wait for ever.
    pub(super) fn wait_for(&mut self, tag: SenderTag, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&tag).filter(|peer| peer.request.is_none() && peer.timer.is_none()) {
            set_timer(&mut self.timers, tag, peer, Some(now + limits::SURBS_NONE_TIME));
        }
    }

    /// Whether SURBs of this peer are on their way, so that a reply may wait for them.
    pub(super) fn awaits(&self, tag: &SenderTag) -> bool {
        self.peers.get(tag).is_some_and(|peer| peer.asked > 0 || peer.request.is_some())
    }

    /// When something is to be done about a peer.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes one peer about which something is to be done.
    pub(super) fn take_due(&mut self, may_ask: bool, now: Instant) -> Option<(SenderTag, Due)> {
        let (_, tag) = *self.timers.first().filter(|(at, _)| *at <= now)?;
        let peer = self.peers.get_mut(&tag)?;
        set_timer(&mut self.timers, tag, peer, None);
        if peer.asked > 0 {
            peer.asked = 0;
            peer.tries += 1;
            self.note(tag, now);
        }
        let peer = self.peers.get_mut(&tag)?;
        if may_ask && !peer.surbs.is_empty() && peer.tries < limits::SURB_REQUESTS_MAX {
            return Some((tag, Due::Ask));
        }
        // What is sent to this peer later begins anew.
        peer.tries = 0;
        peer.renew = 0;
        Some((tag, Due::GiveUp))
    }

    /// No link was up for so long, or the machine slept: peers get that time back.
    pub(super) fn shift(&mut self, by: Duration) {
        self.timers.clear();
        for (tag, peer) in self.peers.iter_mut() {
            if let Some(timer) = &mut peer.timer {
                *timer += by;
                self.timers.insert((*timer, *tag));
            }
        }
    }

    // ── age ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// When SURBs that are too old are looked for.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.sweep
    }

    /// Drops SURBs that are too old, when it is time to look for them. Answers how many.
    pub(super) fn expire(&mut self, now: Instant) -> u32 {
        if self.sweep.is_none_or(|at| at > now) {
            return 0;
        }
        let dropped = self.drop_stock(|surb| now.since(surb.since) >= limits::SURB_AGE_MAX, now);
        self.sweep = (self.held > 0).then(|| now + limits::SURB_SWEEP_TIME);
        dropped
    }

    /// The nodes have new keys. The SURBs that are here work for a while yet; peers in conversation are asked for new
    /// ones in the first half of that time, at times of our own choosing and not all at once.
    pub(super) fn rotated(&mut self, lasts: Duration, may_ask: bool, now: Instant, rng: &mut dyn CryptoRng) {
        self.rotated = now;
        for (tag, peer) in self.peers.iter_mut() {
            if !may_ask || !peer.answered || peer.surbs.is_empty() {
                continue;
            }
            peer.renew = u32::try_from(peer.surbs.len()).unwrap_or(u32::MAX).min(limits::SURBS_FIRST);
            if peer.timer.is_none() && peer.request.is_none() {
                let at = now + lasts / 2 * (rng.next_u32() % 1_000) / 1_000;
                set_timer(&mut self.timers, *tag, peer, Some(at));
            }
        }
    }

    /// A rotation is over, or with `None` all before the present one: what was made for it leads nowhere, nor does what
    /// came before it ended and does not say what it was made for. Answers how many SURBs were dropped.
    pub(super) fn end_rotation(&mut self, ended: Option<RotationTag>, now: Instant) -> u32 {
        for peer in self.peers.values_mut() {
            peer.renew = 0;
        }
        let rotated = self.rotated;
        // The next rotation with the same tag begins long after this.
        let dead = |surb: &Stocked| match (ended, surb.rotation) {
            (None, _) => true,
            (Some(_), RotationTag::Unknown) => surb.since < rotated,
            (Some(ended), rotation) => rotation == ended,
        };
        self.drop_stock(dead, now)
    }

    fn drop_stock(&mut self, dead: impl Fn(&Stocked) -> bool, now: Instant) -> u32 {
        let mut dropped = 0;
        for (tag, peer) in self.peers.iter_mut() {
            let before = peer.surbs.len();
            self.released.extend(peer.surbs.iter().filter(|surb| dead(surb)).filter_map(|surb| surb.place));
            peer.surbs.retain(|surb| !dead(surb));
            dropped += before - peer.surbs.len();
            if peer.surbs.len() < before && (self.tell_all || peer.surbs.is_empty()) {
                self.news.insert(*tag);
                self.news_since.get_or_insert(now);
            }
        }
        self.held -= dropped;
        u32::try_from(dropped).unwrap_or(u32::MAX)
    }
}

/// How many of a peer's SURBs are for requests only, with so many fragments not acknowledged. A single one may have the
/// last: were it kept, all that could be sent is a request.
pub(super) fn reserve_for(unacknowledged: usize) -> usize {
    unacknowledged.saturating_sub(1).min(limits::SURBS_RESERVE_COUNT)
}

/// Sets, moves or ends a peer's timer.
fn set_timer(timers: &mut TableSet<(Instant, SenderTag)>, tag: SenderTag, peer: &mut Peer, at: Option<Instant>) {
    if let Some(old) = peer.timer {
        timers.remove(&(old, tag));
    }
    peer.timer = at;
    if let Some(at) = at {
        timers.insert((at, tag));
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

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A new topology or gateway: routes made for the old one are not used.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::sphinx::Surb;

    const START: Instant = Instant::from_micros(1_000_000_000_000);

    /// A SURB of the usual length that leads nowhere.
    pub(in crate::engine) fn surb(rng: &mut dyn CryptoRng) -> ReplySurb {
        let mut bytes = alloc::vec![0; Surb::len(4)];
        // An IPv4 address in front of its padding.
        let at = Surb::len(4) - 4 * 16 - 32;
        bytes[at..at + 7].copy_from_slice(&[4, 0, 80, 127, 0, 0, 1]);
        ReplySurb { key: ReplyKey::random(rng), surb: Surb::from_bytes(&bytes).unwrap() }
    }

    fn list(count: usize, rotation: RotationTag, rng: &mut dyn CryptoRng) -> SurbList {
        SurbList { rotation, surbs: (0..count).map(|_| surb(rng)).collect() }
    }

    fn tag(number: u32) -> SenderTag {
        let mut tag = [0; 16];
        tag[..4].copy_from_slice(&number.to_be_bytes());
        SenderTag(tag)
    }

    fn take(replies: &mut Replies, tag: SenderTag, reserve: usize, now: Instant) -> bool {
        matches!(replies.take(tag, reserve, |_| true, now), Stock::Surb(_))
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const fn load(waiting: usize, in_flight: usize) -> Load {
        Load { waiting, in_flight }
    }

    #[test]
    fn a_million_sender_tags_push_out_only_those_never_answered() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(1));
        for number in 0..10 {
            replies.stock(tag(number), list(20, RotationTag::Odd, &mut rng), None, START);
            replies.answer(tag(number));
        }
        let mut gone = 0;
        for number in 10..1_000_010 {
            let count = usize::from(number % 16 == 0);
            let now = START + Duration::from_millis(u64::from(number));
            replies.stock(tag(number), list(count, RotationTag::Odd, &mut rng), None, now);
            while replies.take_gone().is_some() {
                gone += 1;
            }
        }
        assert_eq!(replies.peer_count(), limits::PEERS_COUNT_MAX);
        assert_eq!(gone, 1_000_010 - limits::PEERS_COUNT_MAX);
        assert!((0..10).all(|number| replies.stock_of(&tag(number)) == 20));
        assert!(replies.held() < 10 * 20 + limits::PEERS_COUNT_MAX);
    }

    #[test]
    fn the_stock_of_all_is_bounded_and_the_one_silent_longest_makes_room() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(2));
        let mut dropped = 0;
        for number in 0..50 {
            let now = START + secs(u64::from(number));
            dropped += replies.stock(tag(number), list(600, RotationTag::Odd, &mut rng), None, now);
        }
        assert_eq!(replies.held(), limits::SURBS_HELD_MAX);
        assert_eq!(dropped as usize, 50 * 600 - limits::SURBS_HELD_MAX);
        assert_eq!((replies.stock_of(&tag(0)), replies.stock_of(&tag(49))), (0, limits::SURBS_PER_PEER_MAX));
    }

    #[test]
    fn the_last_are_for_requests_while_more_waits() {
        assert_eq!([0, 1, 2, 5, 11, 500].map(reserve_for), [0, 0, 1, 4, 10, 10]);
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(3));
        replies.stock(tag(1), list(3, RotationTag::Odd, &mut rng), None, START);
        assert!(take(&mut replies, tag(1), 2, START) && !take(&mut replies, tag(1), 2, START));
        assert!(take(&mut replies, tag(1), 0, START));
        assert!(matches!(replies.take(tag(2), 0, |_| true, START), Stock::Unknown));
    }

    #[test]
    fn surbs_that_cannot_travel_now_are_passed_over() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(4));
        replies.stock(tag(1), list(2, RotationTag::Even, &mut rng), None, START);
        replies.stock(tag(1), list(2, RotationTag::Odd, &mut rng), None, START);
        let odd = |rotation| rotation == RotationTag::Odd;
        assert!(matches!(replies.take(tag(1), 0, odd, START), Stock::Surb(held) if held.rotation == RotationTag::Odd));
        assert!(matches!(replies.take(tag(1), 1, odd, START), Stock::Waiting));
        assert!(matches!(replies.take(tag(1), 0, odd, START), Stock::Surb(_)));
        assert!(matches!(replies.take(tag(1), 0, odd, START), Stock::Waiting));
        assert_eq!(replies.stock_of(&tag(1)), 2);
    }

    #[test]
    fn a_request_is_followed_by_another_when_it_arrived_and_brought_nothing() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(5));
        let mut now = START;
        replies.stock(tag(1), list(20, RotationTag::Odd, &mut rng), None, now);
        let mut waits = Vec::new();
        for number in 0..limits::SURB_REQUESTS_MAX {
            assert_eq!(replies.missing(&tag(1), load(300, 0)), limits::SURB_REQUEST_MAX);
            let request = MessageKey(number.into());
            replies.requested(tag(1), request, 100);
            assert_eq!(replies.missing(&tag(1), load(300, 0)), 0, "one at a time");
            assert_eq!(replies.next_due(), None, "it goes again by itself until it is acknowledged");
            replies.request_ended(tag(1), request, true, now);
            let due = replies.next_due().unwrap();
            waits.push(due.since(now).as_secs());
            assert_eq!(replies.take_due(true, due.before(secs(1))), None);
            let what = if number + 1 == limits::SURB_REQUESTS_MAX { Due::GiveUp } else { Due::Ask };
            assert_eq!(replies.take_due(true, due), Some((tag(1), what)));
            now = due;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160]);
    }

    #[test]
    fn surbs_that_come_begin_the_count_anew_and_confirm_a_request_whose_ack_was_lost() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(6));
        replies.stock(tag(1), list(20, RotationTag::Odd, &mut rng), None, START);
        replies.requested(tag(1), MessageKey(1), 30);
        replies.request_ended(tag(1), MessageKey(1), true, START);
        let due = replies.next_due().unwrap();
        assert_eq!(replies.take_due(true, due), Some((tag(1), Due::Ask)));
        replies.requested(tag(1), MessageKey(2), 30);
        replies.stock(tag(1), list(10, RotationTag::Odd, &mut rng), None, due);
        assert_eq!(replies.take_answered(&tag(1)), Some(MessageKey(2)));
        assert_eq!(replies.next_due(), Some(due + limits::SURB_REQUEST_RETRY), "twenty are still to come");
        replies.request_ended(tag(1), MessageKey(2), false, due);
        assert_eq!(replies.next_due(), Some(due + limits::SURB_REQUEST_RETRY), "it has ended before");
        replies.stock(tag(1), list(20, RotationTag::Odd, &mut rng), None, due);
        assert_eq!((replies.next_due(), replies.awaits(&tag(1))), (None, false));
    }

    #[test]
    fn time_without_a_link_is_given_back() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(7));
        replies.stock(tag(1), list(20, RotationTag::Odd, &mut rng), None, START);
        replies.wait_for(tag(1), START);
        replies.shift(secs(3_600));
        assert_eq!(replies.next_due(), Some(START + limits::SURBS_NONE_TIME + secs(3_600)));
    }

    #[test]
    fn surbs_of_a_day_ago_are_neither_used_nor_kept() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(8));
        replies.stock(tag(1), list(3, RotationTag::Odd, &mut rng), None, START);
        let (before, after) = (START + (limits::SURB_AGE_MAX - secs(1)), START + limits::SURB_AGE_MAX);
        assert!(take(&mut replies, tag(1), 0, before) && !take(&mut replies, tag(1), 0, after));
        replies.stock(tag(2), list(3, RotationTag::Odd, &mut rng), None, START);
        assert_eq!(replies.expire(after + limits::SURB_SWEEP_TIME), 3);
        assert_eq!((replies.held(), replies.next_sweep()), (0, None));
    }

    #[test]
    fn w17_an_ended_rotation_leaves_nothing_behind() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(9));
        replies.stock(tag(1), list(4, RotationTag::Odd, &mut rng), None, START);
        replies.stock(tag(1), list(4, RotationTag::Unknown, &mut rng), None, START);
        replies.rotated(secs(3_600), true, START + secs(1), &mut rng);
        // Some of the old rotation come late, others are new.
        let later = START + secs(2);
        replies.stock(tag(1), list(4, RotationTag::Odd, &mut rng), None, later);
        replies.stock(tag(1), list(4, RotationTag::Even, &mut rng), None, later);
        replies.stock(tag(1), list(4, RotationTag::Unknown, &mut rng), None, later);
        assert_eq!(replies.end_rotation(Some(RotationTag::Odd), later), 12);
        assert_eq!((replies.held(), replies.stock_of(&tag(1))), (8, 8));
        assert_eq!(replies.end_rotation(None, later), 8);
    }

    #[test]
    fn a_rotation_has_peers_in_conversation_asked_at_different_times() {
        let (mut replies, mut rng) = (Replies::default(), ChaCha20Rng::seed_from_u64(10));
        for number in 0..100 {
            replies.stock(tag(number), list(20, RotationTag::Odd, &mut rng), None, START);
            if number < 50 {
                replies.answer(tag(number));
            }
        }
        replies.rotated(secs(3_600), false, START, &mut rng);
        assert_eq!(replies.next_due(), None, "without leave to ask");
        replies.rotated(secs(3_600), true, START, &mut rng);
        let mut times = Vec::new();
        while let Some(due) = replies.next_due() {
            let Some((tag, Due::Ask)) = replies.take_due(true, due) else { panic!("nothing else is due") };
            assert_eq!(replies.missing(&tag, load(0, 0)), 20);
            times.push(due);
        }
        assert_eq!(times.len(), 50);
        assert!(times.iter().all(|at| at.since(START) <= secs(1_800)));
        times.dedup();
        assert!(times.len() > 40);
    }
}
