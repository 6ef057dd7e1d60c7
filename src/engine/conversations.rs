//! SURBs we gave out: whom we write to under which tag, the keys that what comes back is opened with, and how many more
//! SURBs a peer gets.
//!
//! How many SURBs a peer has left is an estimate. Peers use them in the order in which they got them, so each one that
//! comes back says that all older ones are gone: used, or lost on the way. Without that rule the lost ones would count
//! for ever, and a peer would be given no more.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use mixlet_ciphers::hkdf_blake3;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::shelf::Place;
use crate::identity::Identity;
use crate::limits;
use crate::message::{Address, KeyDigest, ReplyKey, ReplySurb, SenderTag};
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// Whom we write to under a tag of ours, and the keys of the SURBs they were given.
#[derive(Default)]
pub(super) struct Conversations {
    by_tag: Table<SenderTag, Conversation>,
    by_address: Table<Address, SenderTag>,
    /// By last use: the first makes room.
    quiet: TableSet<(Instant, SenderTag)>,
    /// Where each key is.
    keys: Table<KeyDigest, (SenderTag, u64)>,
    /// Places that all conversations have together.
    places: usize,
    /// SURBs in answers that are not acknowledged.
    answering: u32,
    sweep: Option<Instant>,
    /// Pages of the store in which a key is not needed any more, once for each key.
    released: Vec<u32>,
    /// What tags are made of that are the same in every run.
    pseudonyms: Option<Zeroizing<[u8; 32]>>,
}

/// A recipient we write to under a tag of ours.
struct Conversation {
    address: Address,
    /// Keys by age. The first is there: used ones in front are dropped.
    keys: VecDeque<Kept>,
    /// The number of the first of these.
    first: u64,
    /// From this number on the peer is taken to have them still.
    believed: u64,
    /// SURBs that messages will carry which are not cut yet.
    promised: u32,
    /// SURBs in answers that are not acknowledged.
    answering: u32,
    /// SURBs that may be granted now.
    credit: u32,
    credited: Instant,
    used: Instant,
}

/// The place of a key.
struct Kept {
    since: Instant,
    /// `None`: it was used.
    key: Option<ReplyKey>,
    /// The page of the store it is in.
    page: Option<u32>,
}

impl Conversation {
    /// The number that the next key gets.
    fn next(&self) -> u64 {
        self.first + self.keys.len() as u64
    }

    /// How many SURBs the peer is taken to have, or will be sent.
    fn expected(&self) -> u32 {
        let has = self.next().saturating_sub(self.believed);
        u32::try_from(has).unwrap_or(u32::MAX).saturating_add(self.promised)
    }

    /// Takes the SURBs that were given out before this time to be gone.
    fn doubt(&mut self, before: Instant) {
        self.believed = self.believed.max(self.first);
        while self.at(self.believed).is_some_and(|kept| kept.since < before) {
            self.believed += 1;
        }
    }

    fn at(&self, number: u64) -> Option<&Kept> {
        self.keys.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn earn(&mut self, credit: u32) {
        self.credit = self.credit.saturating_add(credit).min(limits::SURBS_GRANTED_MAX);
    }
}

impl Conversations {
    // ── giving ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// The tag this recipient knows us by; a new one at the first message.
    pub(super) fn tag_for(&mut self, to: &Address, now: Instant, rng: &mut dyn CryptoRng) -> SenderTag {
        if let Some(tag) = self.by_address.get(to).copied() {
            self.touch(tag, now);
            return tag;
        }
        let tag = match &self.pseudonyms {
            Some(key) => kept_tag(key, to),
            None => SenderTag::random(rng),
        };
        // One that is kept may be known from an earlier run.
        if !self.by_tag.contains_key(&tag) {
            self.make_room();
            self.begin(tag, to, now);
        }
        self.by_address.insert(to.clone(), tag);
        self.touch(tag, now);
        tag
    }

    /// From now on recipients know us by the same tag in every run.
    pub(super) fn keep_pseudonyms(&mut self, identity: &Identity) {
        let mut key = Zeroizing::new([0; 32]);
        hkdf_blake3(Some(PSEUDONYMS_SALT), identity.encryption.as_bytes(), &mut *key);
        self.pseudonyms = Some(key);
    }

    /// The tag this recipient knows us by in this run.
    pub(super) fn tag_of(&self, to: &Address) -> Option<SenderTag> {
        self.by_address.get(to).copied()
    }

    fn make_room(&mut self) {
        if self.by_tag.len() >= limits::CONVERSATIONS_COUNT_MAX
            && let Some((_, tag)) = self.quiet.first().copied()
        {
            self.forget(tag);
        }
    }

    fn begin(&mut self, tag: SenderTag, to: &Address, now: Instant) {
        let conversation = Conversation {
            address: to.clone(),
            keys: VecDeque::new(),
            first: 0,
            believed: 0,
            promised: 0,
            answering: 0,
            credit: limits::SURBS_GRANTED_MAX,
            credited: now,
            used: now,
        };
        self.by_tag.insert(tag, conversation);
        self.quiet.insert((now, tag));
    }

    /// Keys that an earlier run gave out, with their page. What is written from now on goes under a new tag, so that
    /// runs cannot be linked; but who holds these SURBs is answered under the old one.
    pub(super) fn restore(
        &mut self,
        (tag, to): (SenderTag, &Address),
        keys: Vec<ReplyKey>,
        page: u32,
        since: Instant,
        now: Instant,
    ) {
        let is_known = self.by_tag.get(&tag).map(|known| known.address == *to);
        if now.since(since) >= limits::SURB_AGE_MAX || is_known == Some(false) {
            self.released.extend(core::iter::repeat_n(page, keys.len()));
            return;
        }
        if is_known.is_none() {
            self.make_room();
            self.begin(tag, to, since);
        }
        for key in keys {
            self.keep(tag, key, since, Some(page));
        }
        self.sweep = self.sweep.or(Some(now + limits::SURB_SWEEP_TIME));
    }

    /// Promises as many SURBs as bring the recipient's estimated stock up to the usual one.
    pub(super) fn promise_refill(&mut self, to: &Address, now: Instant, rng: &mut dyn CryptoRng) -> u32 {
        let tag = self.tag_for(to, now, rng);
        let Some(conversation) = self.by_tag.get_mut(&tag) else { return 0 };
        conversation.doubt(now.before(limits::SURBS_BELIEVED_TIME));
        let missing = limits::SURBS_FIRST.saturating_sub(conversation.expected());
        conversation.promised += missing;
        missing
    }

    /// How many SURBs to give to a peer that asks, over a SURB of this conversation, for so many to be sent to that
    /// address; none when the address is not the one we gave the SURB to. They are promised with that.
    pub(super) fn grant(&mut self, conversation: SenderTag, to: &Address, amount: u32, now: Instant) -> u32 {
        let all = limits::SURBS_ANSWERING_MAX.saturating_sub(self.answering);
        let Some(known) = self.by_tag.get_mut(&conversation).filter(|known| known.address == *to) else { return 0 };
        let seconds = u32::try_from(now.since(known.credited).as_secs()).unwrap_or(u32::MAX);
        known.earn(seconds.saturating_mul(limits::SURBS_GRANTED_PER_SECOND));
        known.credited += Duration::from_secs(seconds.into());
        // Who still has SURBs does not ask.
        known.doubt(now.before(limits::SURBS_USED_AFTER));
        let room = limits::SURBS_GRANTED_MAX.saturating_sub(known.expected().max(known.answering));
        let granted = amount.min(room).min(known.credit).min(all);
        known.credit -= granted;
        known.promised += granted;
        known.answering += granted;
        self.answering += granted;
        granted
    }

    /// Promised SURBs are given out now, or will not be.
    pub(super) fn promise_ended(&mut self, tag: SenderTag, count: u32) {
        if let Some(known) = self.by_tag.get_mut(&tag) {
            known.promised = known.promised.saturating_sub(count);
        }
    }

    /// An answer to a request has ended, so far as it is ours.
    pub(super) fn answer_ended(&mut self, tag: SenderTag, count: u32) {
        if let Some(known) = self.by_tag.get_mut(&tag) {
            let count = count.min(known.answering);
            known.answering -= count;
            self.answering -= count;
        }
    }

    /// Remembers the keys of SURBs given out under this tag, and where the store has them. Answers the number after the
    /// last of them.
    pub(super) fn gave_out(
        &mut self,
        tag: SenderTag,
        surbs: Vec<ReplySurb>,
        place: Option<Place>,
        now: Instant,
    ) -> u64 {
        for surb in surbs {
            self.keep(tag, surb.key, now, place.map(|place| place.page));
        }
        self.sweep = self.sweep.or(Some(now + limits::SURB_SWEEP_TIME));
        self.by_tag.get(&tag).map_or(0, Conversation::next)
    }

    fn keep(&mut self, tag: SenderTag, key: ReplyKey, since: Instant, page: Option<u32>) {
        if self.places >= limits::REPLY_KEYS_COUNT_MAX {
            let has_keys = |tag: &SenderTag| self.by_tag.get(tag).is_some_and(|known| !known.keys.is_empty());
            let quietest = self.quiet.iter().map(|(_, tag)| *tag).find(has_keys);
            self.drop_keys(quietest.unwrap_or(tag), usize::MAX);
        }
        if self.by_tag.get(&tag).is_some_and(|known| known.keys.len() >= limits::REPLY_KEYS_PER_PEER_MAX) {
            self.drop_keys(tag, 1);
        }
        let Some(known) = self.by_tag.get_mut(&tag) else {
            self.released.extend(page);
            return;
        };
        self.keys.insert(key.digest(), (tag, known.next()));
        known.keys.push_back(Kept { since, key: Some(key), page });
        self.places += 1;
    }

    /// Pages of the store in which a key is not needed any more, once for each key.
    pub(super) fn take_released(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.released)
    }

    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// A message with SURBs was not delivered: those before this number, which it had carried, do not count.
    pub(super) fn not_given(&mut self, tag: SenderTag, before: u64) {
        if let Some(known) = self.by_tag.get_mut(&tag) {
            known.believed = known.believed.max(before);
        }
    }

    // ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────

    /// The key with this digest, which is used up, and our tag in the conversation it had been given out in.
    pub(super) fn take_key(&mut self, digest: &KeyDigest, now: Instant) -> Option<(ReplyKey, SenderTag)> {
        let (tag, number) = self.keys.remove(digest)?;
        self.touch(tag, now);
        let known = self.by_tag.get_mut(&tag)?;
        let place = usize::try_from(number.checked_sub(known.first)?).ok()?;
        let kept = known.keys.get_mut(place)?;
        let key = kept.key.take().filter(|_| now.since(kept.since) < limits::SURB_AGE_MAX);
        self.released.extend(kept.page);
        known.believed = known.believed.max(number + 1);
        known.earn(limits::SURBS_GRANTED_PER_RETURN);
        self.drop_used(tag);
        Some((key?, tag))
    }

    /// The nodes have new keys: what was made for the old ones is not worth much longer, and the next message refills.
    /// Our keys stay until their day is over, in case a packet is late.
    pub(super) fn rotated(&mut self) {
        for known in self.by_tag.values_mut() {
            known.believed = known.next();
            known.credit = limits::SURBS_GRANTED_MAX;
        }
    }

    // ── age ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// When keys that are too old are looked for.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.sweep
    }

    /// Forgets keys that are too old, when it is time to look for them.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.sweep.is_none_or(|at| at > now) {
            return;
        }
        let old = |known: &Conversation| {
            known.keys.iter().take_while(|kept| now.since(kept.since) >= limits::SURB_AGE_MAX).count()
        };
        let aged: Vec<_> =
            self.by_tag.iter().map(|(tag, known)| (*tag, old(known))).filter(|(_, count)| *count > 0).collect();
        for (tag, count) in aged {
            self.drop_keys(tag, count);
        }
        self.sweep = (self.places > 0).then(|| now + limits::SURB_SWEEP_TIME);
    }

    // ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Whom we write to under this tag.
    pub(super) fn recipient(&self, tag: SenderTag) -> Option<&Address> {
        self.by_tag.get(&tag).map(|known| &known.address)
    }

    pub(super) fn count(&self) -> usize {
        self.by_tag.len()
    }

    /// Keys, and the places of used ones that are not given up yet.
    pub(super) fn key_count(&self) -> usize {
        self.places
    }

    pub(super) fn answering(&self) -> u32 {
        self.answering
    }

    /// This conversation is in use. False: there is none.
    pub(super) fn touch(&mut self, tag: SenderTag, now: Instant) -> bool {
        let Some(known) = self.by_tag.get_mut(&tag) else { return false };
        self.quiet.remove(&(known.used, tag));
        known.used = now;
        self.quiet.insert((now, tag));
        true
    }

    fn forget(&mut self, tag: SenderTag) {
        self.drop_keys(tag, usize::MAX);
        if let Some(gone) = self.by_tag.remove(&tag) {
            // One of an earlier run has left the address to that of this run.
            if self.by_address.get(&gone.address) == Some(&tag) {
                self.by_address.remove(&gone.address);
            }
            self.quiet.remove(&(gone.used, tag));
            self.answering -= gone.answering;
        }
    }

    /// Drops so many places of a conversation, the oldest first.
    fn drop_keys(&mut self, tag: SenderTag, count: usize) {
        let Some(known) = self.by_tag.get_mut(&tag) else { return };
        for _ in 0..count.min(known.keys.len()) {
            if let Some(Kept { key: Some(key), page, .. }) = known.keys.pop_front() {
                self.keys.remove(&key.digest());
                self.released.extend(page);
            }
            known.first += 1;
            self.places -= 1;
        }
        known.believed = known.believed.max(known.first);
        self.drop_used(tag);
    }

    fn drop_used(&mut self, tag: SenderTag) {
        let Some(known) = self.by_tag.get_mut(&tag) else { return };
        while known.keys.front().is_some_and(|kept| kept.key.is_none()) {
            known.keys.pop_front();
            known.first += 1;
            self.places -= 1;
        }
    }
}

/// The tag that this recipient knows us by in every run. Who does not have our keys cannot tell that two tags are of one
/// client.
fn kept_tag(key: &[u8; 32], to: &Address) -> SenderTag {
    let mut tag = [0; 16];
    hkdf_blake3(Some(key), &to.to_bytes(), &mut tag);
    SenderTag(tag)
}

/// Sets the key of tags apart from everything else that is made of an identity.
const PSEUDONYMS_SALT: &[u8] = b"mixlet pseudonyms 1";

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::engine::replies::tests::surb;
    use crate::identity::Identity;
    use crate::message::GatewayId;

    const START: Instant = Instant::from_micros(1_000_000_000_000);

    struct Giver {
        conversations: Conversations,
        rng: ChaCha20Rng,
    }

    impl Giver {
        fn new() -> Self {
            Self { conversations: Conversations::default(), rng: ChaCha20Rng::seed_from_u64(1) }
        }

        fn address(&mut self) -> Address {
            let gateway = GatewayId(Identity::generate(&mut self.rng).client_id().0);
            Identity::generate(&mut self.rng).address(gateway).unwrap()
        }

        /// Gives so many SURBs, as the message that carries them does, and answers with the digests of their keys.
        fn give(&mut self, to: &Address, count: u32, now: Instant) -> Vec<KeyDigest> {
            let tag = self.conversations.tag_for(to, now, &mut self.rng);
            let surbs: Vec<_> = (0..count).map(|_| surb(&mut self.rng)).collect();
            let digests = surbs.iter().map(|surb| surb.key.digest()).collect();
            self.conversations.promise_ended(tag, count);
            self.conversations.gave_out(tag, surbs, None, now);
            digests
        }

        fn tag(&self, to: &Address) -> SenderTag {
            self.conversations.tag_of(to).unwrap()
        }

        fn refill(&mut self, to: &Address, now: Instant) -> u32 {
            let count = self.conversations.promise_refill(to, now, &mut self.rng);
            self.conversations.promise_ended(self.tag(to), count);
            count
        }
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn surbs_lost_on_the_way_do_not_count_for_ever() {
        let mut giver = Giver::new();
        let to = giver.address();
        let digests = giver.give(&to, 20, START);
        assert_eq!(giver.refill(&to, START), 0);
        // The first fourteen were lost.
        assert!(giver.conversations.take_key(&digests[14], START).is_some());
        assert_eq!(giver.refill(&to, START), 15);
        // A late one changes nothing, a repeat is nothing.
        assert!(giver.conversations.take_key(&digests[3], START).is_some());
        assert!(giver.conversations.take_key(&digests[3], START).is_none());
        assert_eq!(giver.refill(&to, START), 15);
    }

    #[test]
    fn what_a_message_will_bring_counts_and_what_it_failed_to_bring_does_not() {
        let mut giver = Giver::new();
        let to = giver.address();
        assert_eq!(giver.conversations.promise_refill(&to, START, &mut giver.rng), 20);
        assert_eq!(giver.conversations.promise_refill(&to, START, &mut giver.rng), 0, "twenty are promised");
        giver.conversations.promise_ended(giver.tag(&to), 20);
        assert_eq!(giver.refill(&to, START), 20, "cancelled before it was cut");
        giver.give(&to, 20, START);
        giver.conversations.not_given(giver.tag(&to), 20);
        assert_eq!(giver.refill(&to, START), 20, "not delivered");
    }

    #[test]
    fn a_peer_that_was_never_heard_of_again_is_refilled_after_a_while() {
        let mut giver = Giver::new();
        let to = giver.address();
        giver.give(&to, 20, START);
        assert_eq!(giver.refill(&to, START + limits::SURBS_BELIEVED_TIME), 0);
        assert_eq!(giver.refill(&to, START + limits::SURBS_BELIEVED_TIME + secs(1)), 20);
    }

    #[test]
    fn after_a_rotation_the_next_message_refills() {
        let mut giver = Giver::new();
        let to = giver.address();
        let digests = giver.give(&to, 20, START);
        giver.conversations.rotated();
        assert_eq!(giver.refill(&to, START), 20);
        assert!(giver.conversations.take_key(&digests[0], START + secs(60)).is_some(), "a late packet can be read");
    }

    #[test]
    fn a_peer_whose_surbs_were_all_lost_is_granted_more() {
        let mut giver = Giver::new();
        let to = giver.address();
        let tag = giver.conversations.tag_for(&to, START, &mut giver.rng);
        let first = giver.give(&to, 20, START);
        let granted = giver.conversations.grant(tag, &to, 1_000, START);
        assert_eq!(granted, limits::SURBS_GRANTED_MAX - 20);
        giver.give(&to, granted, START);
        giver.conversations.answer_ended(tag, granted);
        // None of them came. The peer asks over one of the first.
        let later = START + limits::SURBS_USED_AFTER + secs(1);
        assert!(giver.conversations.take_key(&first[0], later).is_some());
        assert!(giver.conversations.grant(tag, &to, 50, later) == 50);
    }

    #[test]
    fn asking_over_the_newest_surb_again_and_again_earns_a_few_for_each() {
        let mut giver = Giver::new();
        let to = giver.address();
        let tag = giver.conversations.tag_for(&to, START, &mut giver.rng);
        let mut digests = giver.give(&to, 20, START);
        let (mut granted, mut asked) = (0, 0);
        while let Some(digest) = digests.pop().filter(|_| asked < 2_000) {
            assert!(giver.conversations.take_key(&digest, START).is_some());
            asked += 1;
            let count = giver.conversations.grant(tag, &to, u32::MAX, START);
            granted += count;
            digests.extend(giver.give(&to, count, START));
            giver.conversations.answer_ended(tag, count);
        }
        assert!(granted <= limits::SURBS_GRANTED_MAX + asked * limits::SURBS_GRANTED_PER_RETURN, "{granted}, {asked}");
    }

    #[test]
    fn only_the_one_who_was_given_the_surb_is_granted_more() {
        let mut giver = Giver::new();
        let (to, other) = (giver.address(), giver.address());
        let tag = giver.conversations.tag_for(&to, START, &mut giver.rng);
        giver.conversations.tag_for(&other, START, &mut giver.rng);
        assert_eq!(giver.conversations.grant(tag, &other, 10, START), 0);
        assert_eq!(giver.conversations.grant(SenderTag([1; 16]), &to, 10, START), 0);
        assert_eq!(giver.conversations.grant(tag, &to, 10, START), 10);
    }

    #[test]
    fn answers_on_their_way_are_bounded_over_all_askers() {
        let mut giver = Giver::new();
        let mut granted = 0;
        for _ in 0..100 {
            let to = giver.address();
            let tag = giver.conversations.tag_for(&to, START, &mut giver.rng);
            granted += giver.conversations.grant(tag, &to, u32::MAX, START);
        }
        assert_eq!(granted, limits::SURBS_ANSWERING_MAX);
        assert_eq!(giver.conversations.answering(), granted);
    }

    #[test]
    fn keys_are_bounded_for_each_peer_and_its_oldest_make_room() {
        let mut giver = Giver::new();
        let to = giver.address();
        let mut all = Vec::new();
        for _ in 0..30 {
            all.extend(giver.give(&to, 100, START));
        }
        assert_eq!(giver.conversations.key_count(), limits::REPLY_KEYS_PER_PEER_MAX);
        let oldest_kept = all.len() - limits::REPLY_KEYS_PER_PEER_MAX;
        assert!(giver.conversations.take_key(&all[oldest_kept - 1], START).is_none());
        assert!(giver.conversations.take_key(&all[oldest_kept], START).is_some());
        assert_eq!(giver.conversations.key_count(), limits::REPLY_KEYS_PER_PEER_MAX - 1);
    }

    #[test]
    fn keys_are_bounded_in_all_and_those_of_the_peer_longest_unused_make_room() {
        let mut giver = Giver::new();
        let mut first = None;
        let peers = limits::REPLY_KEYS_COUNT_MAX / 2_000 + 1;
        for number in 0..peers as u64 {
            let (to, now) = (giver.address(), START + secs(number));
            let digests: Vec<_> = (0..20).flat_map(|_| giver.give(&to, 100, now)).collect();
            first.get_or_insert(digests[0]);
        }
        let now = START + secs(1_000);
        assert!(giver.conversations.key_count() <= limits::REPLY_KEYS_COUNT_MAX);
        assert!(first.is_some_and(|first| giver.conversations.take_key(&first, now).is_none()));
        assert_eq!(giver.conversations.count(), peers, "its tag is kept");
    }

    #[test]
    fn keys_of_a_day_ago_are_neither_used_nor_kept() {
        let mut giver = Giver::new();
        let to = giver.address();
        let digests = giver.give(&to, 3, START);
        let (before, after) = (START + (limits::SURB_AGE_MAX - secs(1)), START + limits::SURB_AGE_MAX);
        giver.conversations.expire(before);
        assert!(giver.conversations.take_key(&digests[0], before).is_some());
        assert!(giver.conversations.take_key(&digests[1], after).is_none());
        assert_eq!(giver.conversations.key_count(), 1);
        giver.conversations.expire(after + limits::SURB_SWEEP_TIME);
        assert_eq!((giver.conversations.key_count(), giver.conversations.next_sweep()), (0, None));
    }

    #[test]
    fn the_conversation_longest_unused_makes_room() {
        let mut giver = Giver::new();
        let first = giver.address();
        let tag = giver.conversations.tag_for(&first, START, &mut giver.rng);
        let digests = giver.give(&first, 1, START);
        let gateway = first.gateway();
        for number in 0..limits::CONVERSATIONS_COUNT_MAX as u64 {
            let to = Identity::generate(&mut giver.rng).address(gateway).unwrap();
            giver.conversations.tag_for(&to, START + secs(1 + number), &mut giver.rng);
        }
        assert_eq!(giver.conversations.count(), limits::CONVERSATIONS_COUNT_MAX);
        assert!(giver.conversations.take_key(&digests[0], START).is_none());
        assert!(giver.conversations.tag_for(&first, START + secs(10_000), &mut giver.rng) != tag);
    }
}
