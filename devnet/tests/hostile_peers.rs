//! Peers who know an address and wish it ill. Whatever they do, tables stay within their bounds, nothing panics, and an
//! honest conversation beside them goes on.
//!
//! That no table of any engine is above its limit is watched by the world after every step; here it is shown that the
//! attacks reach the limits, and what is left of the honest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod stranger;

use mixlet::engine::{Bound, Code, Event, Overflow, Recipient, Replies, SendOptions, Sphinx};
use mixlet::limits;
use mixlet::message::{ACK_LEN, Content, Repliable, Reply, ReplySurb, SenderTag, SurbList, fragment_room};
use mixlet::sphinx::{NodeAddress, RotationTag, Surb};
use mixlet::time::Duration;
use mixlet_devnet::format::NodeFormat;
use mixlet_devnet::sim::{SimWorld, Transparent, Weather};
use stranger::{Header, Mail, SIZE, Stranger, noise};

// ── unfinished messages ──────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn endless_unfinished_sets_push_out_only_each_other() {
    let mut scene = Scene::<Transparent>::new(1);
    // Replies have a space of their own, which nothing of this reaches.
    let reply = scene.begin_reply();
    for set in 1..=40_000 {
        scene.push_fragment(Header { set, total: 255, position: 1 + (set % 254) as u8, link: None });
        if set % 2_000 == 0 {
            scene.world.run_for(Duration::from_millis(20));
        }
    }
    scene.world.run_for(Duration::from_millis(100));
    let bound = scene.bound("unfinished bytes of unknown senders");
    assert!(bound.len > bound.limit - 4_096, "the limit is reached: {bound:?}");
    assert!(scene.overflows(Overflow::Unfinished) > 1_000);
    scene.finish_reply(reply);
    scene.honest_talk();
    // Nothing of it is kept for longer than its time.
    scene.world.run_for(limits::REASSEMBLY_AGE_MAX);
    assert_eq!(scene.bound("unfinished bytes of unknown senders").len, 0);
}

#[test]
fn a_message_without_end_is_dropped_at_the_greatest_length() {
    let mut scene = Scene::<Transparent>::new(2);
    let mut most = 0;
    for set in 1..=100 {
        for position in 1..=255 {
            let link = match position {
                1 => Some(set - 1).filter(|previous| *previous > 0),
                255 => Some(set + 1),
                _ => None,
            };
            scene.push_fragment(Header { set, total: 255, position, link });
        }
        scene.world.run_for(Duration::from_millis(10));
        most = most.max(scene.bound("unfinished bytes of unknown senders").len);
    }
    assert!(most > limits::REASSEMBLED_LEN_MAX / 2, "{most}");
    assert!(most < limits::REASSEMBLED_LEN_MAX + limits::REASSEMBLED_LEN_MAX / 4, "{most}");
    let left = scene.bound("unfinished bytes of unknown senders").len;
    assert!(left < most / 2, "{left} of {most} are left");
    scene.honest_talk();
}

#[test]
fn contradicting_totals_and_contents_are_refused_one_by_one() {
    let mut scene = Scene::<Transparent>::new(3);
    // A set of two, then every other total, position and content for it.
    scene.push_fragment(Header { set: 7, total: 2, position: 1, link: None });
    scene.world.run_for(Duration::from_millis(20));
    let before = scene.bound("unfinished bytes").len;
    for total in (1..=255).filter(|total| *total != 2) {
        scene.push_fragment(Header { set: 7, total, position: total.min(254), link: None });
    }
    for fill in 2..=255 {
        let header = Header { set: 7, total: 2, position: 1, link: None };
        scene.stranger.push_fragment(&mut scene.world, BOB, header, fill);
    }
    // Headers that contradict themselves.
    for (total, position, link) in [(0, 0, None), (1, 2, None), (0, 1, None), (9, 3, Some(8)), (9, 1, Some(7))] {
        scene.push_fragment(Header { set: 7, total, position, link });
    }
    scene.push_fragment(Header { set: 0, total: 1, position: 1, link: None });
    scene.world.run_for(Duration::from_millis(20));
    assert_eq!(scene.bound("unfinished bytes").len, before);
    assert_eq!(scene.stats().dropped.fragment, 254 + 254 + 6);
    scene.honest_talk();
}

#[test]
fn link_loops_are_refused() {
    let mut scene = Scene::<Transparent>::new(4);
    let mut link = |set, total, position, to| {
        scene.push_fragment(Header { set, total, position, link: Some(to) });
    };
    // Two sets of one fragment that name each other as the one before.
    link(1, 1, 1, 2);
    link(2, 1, 1, 1);
    // A circle of two full sets, and one of three.
    link(11, 255, 255, 12);
    link(12, 255, 1, 11);
    link(12, 255, 255, 11);
    link(11, 255, 1, 12);
    for set in 21..24 {
        let (next, previous) = ((set - 20) % 3 + 21, (set - 19) % 3 + 21);
        link(set, 255, 255, next);
        link(set, 255, 1, previous);
    }
    // A line so long that walking it by calls would end a stack.
    for set in 100..5_100 {
        link(set, 255, 255, set + 1);
        link(set, 255, 1, set - 1);
    }
    scene.world.run_for(Duration::from_millis(100));
    assert!(scene.stats().dropped.fragment >= 2, "the fragment that would close a circle is not taken");
    scene.honest_talk();
}

// ── SURBs and tags ───────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_surb_flood_of_one_peer_drops_its_own() {
    let mut scene = Scene::<Transparent>::new(5);
    let tag = scene.stranger.tag;
    for _ in 0..5 {
        let surbs = scene.stranger.surbs(1_000);
        scene.push(Content::repliable(&tag, &surbs, b"take these").unwrap(), b"take these");
    }
    assert_eq!(scene.world.engine(BOB).surbs_of(&tag), limits::SURBS_PER_PEER_MAX);
    assert_eq!(scene.overflows(Overflow::Surbs), 5 * 1_000 - limits::SURBS_PER_PEER_MAX as u64);
    scene.honest_talk();
}

#[test]
fn a_surb_flood_of_many_peers_drops_those_never_answered() {
    let mut scene = Scene::<Transparent>::new(6);
    let held = scene.world.engine(BOB).surbs_of(&scene.alice);
    assert!(held > 0);
    for _ in 0..60 {
        let tag = SenderTag::random(&mut scene.stranger.rng);
        let surbs = scene.stranger.surbs(limits::SURBS_PER_PEER_MAX);
        scene.push(Content::repliable(&tag, &surbs, b"and these").unwrap(), b"and these");
    }
    let bound = scene.bound("SURBs held");
    assert!(bound.len > bound.limit - limits::SURBS_PER_PEER_MAX, "the limit is reached: {bound:?}");
    assert_eq!(scene.world.engine(BOB).surbs_of(&scene.alice), held);
    scene.honest_talk();
}

#[test]
fn thousands_of_sender_tags_push_out_those_never_answered() {
    let mut scene = Scene::<Transparent>::new(7);
    let held = scene.world.engine(BOB).surbs_of(&scene.alice);
    for number in 0..20_000 {
        let tag = SenderTag::random(&mut scene.stranger.rng);
        let surbs = if number % 10 == 0 { scene.stranger.surbs(1) } else { SurbList::default() };
        let body = u32::to_be_bytes(number);
        scene.push(Content::repliable(&tag, &surbs, &body).unwrap(), &body);
    }
    let bound = scene.bound("peers");
    assert_eq!(bound.len, bound.limit);
    assert_eq!(scene.world.engine(BOB).surbs_of(&scene.alice), held);
    scene.honest_talk();
}

#[test]
fn surbs_that_lead_anywhere_but_into_the_mixnet_are_not_used() {
    let mut scene = Scene::<Transparent>::new(8);
    let tag = scene.stranger.tag;
    let elsewhere = NodeAddress::from(std::net::SocketAddr::from(([10, 0, 0, 1], 80))).to_padded_32();
    let mut list = scene.stranger.surbs(100);
    for ReplySurb { surb, .. } in &mut list.surbs {
        let mut bytes = surb.to_bytes();
        bytes[surb.header().len()..][..32].copy_from_slice(&elsewhere);
        *surb = Surb::from_bytes(&bytes).unwrap();
    }
    scene.push(Content::repliable(&tag, &list, b"answer me").unwrap(), b"answer me");
    let before = scene.stats();
    scene.world.send(BOB, 500, &Recipient::Tag(tag), b"an answer", &SendOptions::default()).unwrap();
    scene.world.run_until(Duration::from_secs(60), |world| world.ends(BOB).1 == [500]);
    let after = scene.stats();
    assert_eq!(after.dropped.surb - before.dropped.surb, 100);
    assert_eq!(after.sent.reply, before.sent.reply);
    scene.honest_talk();
}

#[test]
fn a_peer_that_answers_each_request_with_one_surb_is_not_asked_without_end() {
    let mut scene = Scene::<Transparent>::new(9);
    let tag = scene.stranger.tag;
    let surbs = scene.stranger.surbs(3);
    scene.push(Content::repliable(&tag, &surbs, b"tell me all").unwrap(), b"tell me all");
    let options = SendOptions { timeout: Some(Duration::from_secs(300)), ..SendOptions::default() };
    scene.world.send(BOB, 500, &Recipient::Tag(tag), &[1; 100_000], &options).unwrap();
    let mut requests = 0;
    for _ in 0..3_050 {
        for mail in scene.stranger.mail(&mut scene.world) {
            if let Mail::Message(Content::Reply(Reply::SurbRequest { .. }), true) = mail {
                requests += 1;
                let data = Repliable::AdditionalSurbs(scene.stranger.surbs(1));
                scene.push(Content::Repliable { tag, data }.to_bytes().unwrap(), b"");
            }
        }
        scene.world.run_for(Duration::from_millis(100));
    }
    // One each time that nothing more has come for a while.
    let most = 300 / limits::SURB_REQUEST_RETRY.as_secs() + 1;
    assert!(requests > 10 && requests <= most, "{requests} requests");
    let timeout = |event: &Event| matches!(event, Event::Undelivered { code: Code::Timeout, .. });
    assert!(scene.world.clients[BOB].events.iter().any(|(_, event)| timeout(event)));
    scene.honest_talk();
}

#[test]
fn surb_demands_cost_the_one_who_makes_them() {
    for (seed, gap) in [(10, Duration::from_millis(20)), (17, Duration::from_millis(500))] {
        let mut scene = Scene::<Transparent>::new(seed);
        let surbs = scene.surbs_of_alice(0);
        let (alone, ..) = scene.demands(0, Vec::new(), gap);
        let (beside, asked, given) = scene.demands(1, surbs, gap);
        println!("{asked} demands brought {given} SURBs; a megabyte took {alone:?} alone and {beside:?} beside them");
        let secs = beside.as_secs() as u32 + 1;
        let earned = limits::SURBS_GRANTED_MAX
            + asked * limits::SURBS_GRANTED_PER_RETURN
            + secs * limits::SURBS_GRANTED_PER_SECOND;
        assert!(asked > 20 && given > 400 && given <= earned, "{given} SURBs for {asked} demands in {secs} s");
        assert!(beside < alone * 5 / 2, "our own messages have half of the slots at least");
        scene.honest_talk();
    }
}

// ── contents ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn forged_answers_change_nothing() {
    let mut scene = Scene::<Transparent>::new(11);
    let mut other = Stranger::new(111, &scene.world, 0);
    let (mut mine, mut theirs) = (scene.surbs_of_alice(0), Vec::new());
    std::mem::swap(&mut scene.stranger, &mut other);
    theirs.append(&mut scene.surbs_of_alice(1));
    std::mem::swap(&mut scene.stranger, &mut other);
    let before = scene.world.received(ALICE).len();
    let stats = |scene: &Scene<Transparent>| scene.world.engine(ALICE).stats(scene.world.now()).dropped;
    let start = stats(&scene);

    // Garbage, and no fragment, under the digest of a key.
    let garbage = noise(&mut scene.stranger.rng, fragment_room(SIZE));
    scene.over(&mut mine, &garbage);
    scene.over(&mut mine, &[0; 100]);
    assert_eq!(stats(&scene).fragment - start.fragment, 1, "and what has no legal length is not looked at");

    // A reply without a SURB, and over a SURB what cannot be a reply.
    let reply = Content::reply(b"I am your friend").unwrap();
    scene.stranger.push(&mut scene.world, ALICE, reply);
    let own = scene.stranger.surbs(1);
    let (tag, address) = (scene.stranger.tag, scene.stranger.address.clone());
    for content in [Content::plain(b"hello"), Content::repliable(&tag, &own, b"a bomb").unwrap(), vec![2, 9], vec![2]] {
        scene.message_over(&mut mine, content);
    }
    assert_eq!(stats(&scene).content - start.content, 5);

    // A demand for SURBs, to be sent to somebody else, and one without a SURB.
    let bob = scene.world.engine(BOB).address().unwrap().clone();
    scene.message_over(&mut mine, Content::surb_request(&bob, 100));
    assert_eq!(stats(&scene).surb_request - start.surb_request, 1);
    scene.stranger.push(&mut scene.world, ALICE, Content::surb_request(&address, 100));
    scene.world.run_for(Duration::from_millis(200));
    assert_eq!(stats(&scene).content - start.content, 6);

    // Two peers cannot make one message: each writes in a space of its own.
    let fragments = scene.stranger.cut(Content::reply(&[5; 3_000]).unwrap());
    scene.over(&mut mine, &fragments[0].1);
    scene.over(&mut theirs, &fragments[1].1);
    assert_eq!(scene.world.received(ALICE).len(), before);
    scene.world.announce(&[5; 3_000]);
    scene.over(&mut mine, &fragments[1].1);
    assert_eq!(scene.world.received(ALICE).len(), before + 1, "the honest rest still fits");
    scene.honest_talk();
}

#[test]
fn bombs_of_nested_content_are_read_for_what_is_there() {
    let mut scene = Scene::<Transparent>::new(12);
    let tag = [7; 16];
    let lists: [&[u8]; 8] = [
        // Counts without SURBs, in the present form and in the legacy one.
        &[3, 0xff, 0xff, 4, 1],
        &[4, 0xff, 0xff, 4, 1],
        &[0, 0xff, 0xff, 0xff, 0xff],
        &[1, 0xff, 0xff, 0xff, 0xff],
        // No hops, too many, a rotation that is none.
        &[3, 0, 1, 0, 1],
        &[3, 0, 1, 255, 1],
        &[3, 0, 0, 4, 9],
        // A content that is none.
        &[77],
    ];
    for list in lists {
        let content = [&[1][..], &tag, list].concat();
        scene.push(content.clone(), b"");
        // The same once more in front of a mebibyte, so that the count could be meant.
        scene.push([content, vec![0xff; 1 << 20]].concat(), b"");
    }
    for content in [vec![], vec![1], vec![2], vec![3], vec![0xff; 100_000]] {
        scene.push(content, b"");
    }
    let stats = scene.stats();
    assert_eq!(stats.dropped.content, 2 * 8 + 5);
    assert_eq!(stats.surbs_held as usize, scene.world.engine(BOB).surbs_of(&scene.alice));
    // The most SURBs that a list can have, each of them whole.
    let own = SenderTag(tag);
    let surbs = scene.stranger.surbs(65_535);
    scene.push(Content::repliable(&own, &surbs, b"many").unwrap(), b"many");
    assert_eq!(scene.world.engine(BOB).surbs_of(&own), limits::SURBS_PER_PEER_MAX);
    scene.honest_talk();
}

#[test]
fn repeats_of_finished_sets_with_another_digest_are_messages_of_their_own() {
    let mut scene = Scene::<Transparent>::new(13);
    let to = scene.world.engine(BOB).address().unwrap().clone();
    let before = (scene.world.received(BOB).len(), scene.stats().dropped.repeat);
    let payloads: Vec<_> = (0..2_000_u32)
        .map(|number| {
            let mut fragment = Header { set: 99, total: 1, position: 1, link: None }.fragment(0);
            // Kind, body, marker of the padding.
            fragment[8..12].copy_from_slice(&number.to_be_bytes());
            fragment[12] = 1;
            scene.world.announce(&number.to_be_bytes());
            scene.stranger.seal(&to, &fragment)
        })
        .collect();
    for payload in payloads {
        scene.world.push(BOB, payload);
    }
    scene.world.run_for(Duration::from_millis(100));
    assert_eq!(scene.world.received(BOB).len() - before.0, 2_000, "none was taken for another");
    assert_eq!(scene.stats().dropped.repeat, before.1);
    // Only a few sets under one number are looked through for each fragment.
    assert!(scene.bound("finished bytes").len < 20_000);
    scene.honest_talk();
}

#[test]
fn finished_sets_are_remembered_within_their_budget() {
    let mut scene = Scene::<Transparent>::new(14);
    for number in 0..60_000_u32 {
        let body = number.to_be_bytes();
        scene.push(Content::plain(&body), &body);
    }
    let bound = scene.bound("finished bytes");
    assert!(bound.len > limits::FINISHED_SETS_BYTES_MAX - 1_024 && bound.len < bound.limit, "{bound:?}");
    scene.honest_talk();
}

#[test]
fn acks_for_nothing_acknowledge_nothing() {
    let mut scene = Scene::<Sphinx>::new(15);
    let body = noise(&mut scene.stranger.rng, 20_000);
    let bob = scene.bob.clone();
    scene.world.kill_gateway(1, false);
    scene.world.send(ALICE, 500, &bob, &body, &SendOptions::default()).unwrap();
    scene.world.run_for(Duration::from_millis(500));
    let before = scene.world.engine(ALICE).stats(scene.world.now());
    assert!(before.in_flight > 0);
    for _ in 0..20_000 {
        let ack = noise(&mut scene.stranger.rng, ACK_LEN);
        scene.world.push(ALICE, ack);
    }
    scene.world.run_for(Duration::from_millis(100));
    let after = scene.world.engine(ALICE).stats(scene.world.now());
    // Half of all strings name some fragment, the others none.
    assert!(after.dropped.ack - before.dropped.ack > 19_000, "{:?}", after.dropped);
    assert!(after.in_flight >= before.in_flight);
    assert!(scene.world.ends(ALICE).0.iter().all(|id| *id != 500));
    scene.world.revive_gateway(1);
    scene.world.run_until(Duration::from_secs(120), |world| world.ends(ALICE).0.contains(&500));
}

#[test]
fn payloads_of_any_length_are_counted_and_dropped() {
    let mut scene = Scene::<Sphinx>::new(16);
    let before = scene.stats();
    let legal = fragment_room(SIZE) + 32;
    for len in (0..200).chain(legal - 3..legal + 4).chain([5_000, 33_000, 40_000]) {
        if len != ACK_LEN {
            let payload = noise(&mut scene.stranger.rng, len);
            scene.world.push(BOB, payload);
        }
    }
    scene.world.run_for(Duration::from_millis(100));
    let after = scene.stats();
    assert_eq!(after.dropped.frame - before.dropped.frame, 199 + 6 + 3, "no legal length");
    assert_eq!(after.received.unknown - before.received.unknown, 1, "a legal length, and nothing in it");
    scene.honest_talk();
}

// ── the scene ────────────────────────────────────────────────────────────────────────────────────────────────────────

const ALICE: usize = 0;
const BOB: usize = 1;

/// Two honest clients in conversation, and a stranger.
struct Scene<F: NodeFormat> {
    world: SimWorld<F>,
    bob: Recipient,
    /// By which the second knows the first.
    alice: SenderTag,
    stranger: Stranger<F>,
    next_id: u64,
}

impl<F: NodeFormat> Scene<F> {
    fn new(seed: u64) -> Self {
        let mut world = SimWorld::<F>::new(seed, 2);
        world.weather = Weather::default();
        for gateway in 0..2 {
            let config = world.config(gateway);
            world.add_client(config);
        }
        world.until_ready(ALICE);
        let bob = Recipient::Address(world.until_ready(BOB));
        world.send(ALICE, 0, &bob, b"the first message", &SendOptions::default()).unwrap();
        world.run_until(Duration::from_secs(10), |world| !world.received(BOB).is_empty());
        let alice = world.received(BOB)[0].1.unwrap();
        let stranger = Stranger::new(seed, &world, 1);
        let mut scene = Self { world, bob, alice, stranger, next_id: 1 };
        scene.honest_talk();
        scene
    }

    /// Both send something, one of it long, and get it whole.
    fn honest_talk(&mut self) {
        let (mut rng, id) = (self.stranger.rng.clone(), self.next_id);
        self.next_id += 2;
        let already = (self.world.received(ALICE).len(), self.world.received(BOB).len());
        let long = noise(&mut rng, 10_000);
        self.world.send(ALICE, id, &self.bob, &long, &SendOptions::default()).unwrap();
        let short = id.to_be_bytes();
        self.world.send(ALICE, id + 1, &self.bob, &short, &SendOptions::default()).unwrap();
        let answer = noise(&mut rng, 5_000);
        self.world.send(BOB, id, &Recipient::Tag(self.alice), &answer, &SendOptions::default()).unwrap();
        self.world.run_until(Duration::from_secs(20), |world| world.open_messages() == 0);
        self.world.run_for(Duration::from_millis(500));
        let received = (self.world.received(ALICE).len(), self.world.received(BOB).len());
        assert_eq!(received, (already.0 + 1, already.1 + 2), "an honest conversation beside it");
        let lost = self.world.ends(ALICE).1.len() + self.world.ends(BOB).1.iter().filter(|at| **at < 500).count();
        assert_eq!(lost, 0);
    }

    /// A reply of which a part has arrived.
    fn begin_reply(&mut self) -> Vec<u8> {
        let reply = noise(&mut self.stranger.rng, 30_000);
        // Bob asks in turn, so that what comes to him over SURBs is under way during the attack.
        let alice = self.world.engine(ALICE).address().unwrap().clone();
        let options = SendOptions { replies: Replies::Exactly(40), ..SendOptions::default() };
        let known = self.world.received(ALICE).len();
        self.world.send(BOB, 900, &Recipient::Address(alice), b"tell me", &options).unwrap();
        self.world.run_until(Duration::from_secs(10), |world| world.received(ALICE).len() > known);
        let tag = self.world.received(ALICE)[known].1.unwrap();
        self.world.send(ALICE, 900, &Recipient::Tag(tag), &reply, &SendOptions::default()).unwrap();
        let unfinished = |world: &SimWorld<F>| world.engine(BOB).stats(world.now()).unfinished_bytes;
        self.world.run_until(Duration::from_secs(10), |world| unfinished(world) > 10_000);
        reply
    }

    fn finish_reply(&mut self, reply: Vec<u8>) {
        self.world.run_until(Duration::from_secs(20), |world| world.ends(ALICE).0.contains(&900));
        self.world.run_for(Duration::from_millis(200));
        assert!(self.world.received(BOB).iter().any(|(body, _)| *body == reply), "it arrived whole");
    }

    /// Pushes a message of the stranger's to the second client, whose application may see this body.
    fn push(&mut self, content: Vec<u8>, body: &[u8]) {
        self.world.announce(body);
        self.stranger.push(&mut self.world, BOB, content);
        self.world.run_for(Duration::from_millis(6));
    }

    fn push_fragment(&mut self, header: Header) {
        self.stranger.push_fragment(&mut self.world, BOB, header, 1);
    }

    fn stats(&self) -> mixlet::engine::Stats {
        self.world.engine(BOB).stats(self.world.now())
    }

    fn bound(&self, name: &str) -> Bound {
        self.world.engine(BOB).bounds().into_iter().find(|bound| bound.name == name).unwrap()
    }

    /// How many of these the second client was told of.
    fn overflows(&self, wanted: Overflow) -> u64 {
        let count = |event: &Event| match event {
            Event::Overflow { what, count, .. } if *what == wanted => u64::from(*count),
            _ => 0,
        };
        self.world.clients[BOB].events.iter().map(|(_, event)| count(event)).sum()
    }

    // ── a stranger whom the first client has written to ──────────────────────────────────────────────────────────

    /// The first client writes to the stranger, with twenty SURBs.
    fn surbs_of_alice(&mut self, number: u64) -> Vec<(ReplySurb, RotationTag)> {
        let to = Recipient::Address(self.stranger.address.clone());
        self.world.send(ALICE, 700 + number, &to, &(700 + number).to_be_bytes(), &SendOptions::default()).unwrap();
        self.world.run_until(Duration::from_secs(10), |world| world.open_messages() == 0);
        self.surbs_in_mail()
    }

    fn surbs_in_mail(&mut self) -> Vec<(ReplySurb, RotationTag)> {
        let list_of = |mail| match mail {
            Mail::Message(Content::Repliable { data, .. }, false) => Some(data),
            _ => None,
        };
        let lists = self.stranger.mail(&mut self.world).into_iter().filter_map(list_of);
        let surbs = |data| match data {
            Repliable::Data { surbs, .. } | Repliable::AdditionalSurbs(surbs) | Repliable::Heartbeat(surbs) => surbs,
        };
        lists.flat_map(|data| with_rotation(surbs(data))).collect()
    }

    /// Sends a fragment over one of these SURBs and waits until it has arrived.
    fn over(&mut self, surbs: &mut Vec<(ReplySurb, RotationTag)>, fragment: &[u8]) {
        let id = self.stranger.cut(vec![0])[0].0;
        self.stranger.send_over(&mut self.world, surbs.pop().unwrap(), id, fragment);
        self.world.run_for(Duration::from_secs(1));
    }

    fn message_over(&mut self, surbs: &mut Vec<(ReplySurb, RotationTag)>, content: Vec<u8>) {
        for (_, fragment) in self.stranger.cut(content) {
            self.over(surbs, &fragment);
        }
    }

    /// The first client sends a megabyte to the second, while the stranger demands SURBs each `gap`, over the newest that
    /// it has. Answers how long the megabyte took, how many demands were made, and how many SURBs they brought.
    fn demands(
        &mut self,
        number: u64,
        mut surbs: Vec<(ReplySurb, RotationTag)>,
        gap: Duration,
    ) -> (Duration, u32, u32) {
        let (mut asked, mut given) = (0, 0);
        let start = self.world.now();
        let body = noise(&mut self.stranger.rng, 1_000_000);
        let id = 800 + number;
        let plain = SendOptions { replies: Replies::Exactly(0), ..SendOptions::default() };
        self.world.send(ALICE, id, &self.bob, &body, &plain).unwrap();
        let demand = Content::surb_request(&self.stranger.address, u32::MAX);
        while !self.world.ends(ALICE).0.contains(&id) {
            if let Some(surb) = surbs.pop() {
                let (id, fragment) = self.stranger.cut(demand.clone()).remove(0);
                self.stranger.send_over(&mut self.world, surb, id, &fragment);
                asked += 1;
            }
            self.world.run_for(gap);
            let new = self.surbs_in_mail();
            given += new.len() as u32;
            surbs.extend(new);
        }
        (self.world.now().since(start), asked, given)
    }
}

fn with_rotation(list: SurbList) -> Vec<(ReplySurb, RotationTag)> {
    list.surbs.into_iter().map(|surb| (surb, list.rotation)).collect()
}
