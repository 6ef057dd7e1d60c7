//! What is told now and then, in virtual time: how far messages have come, which packets crossed the link, what is held
//! of SURBs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use mixlet::engine::{Event, Listening, MessageId, Packet, PacketKind, Recipient, Replies, SendOptions};
use mixlet::limits;
use mixlet::message::SenderTag;
use mixlet::time::Instant;
use mixlet_devnet::sim::{LargeWorld as World, Transparent, Weather};
use worlds::{ALICE, BOB, plain, secs, two_clients};

// ── how far a message has come ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_watched_message_is_told_of_at_most_ten_times_a_second_and_at_its_end() {
    let (mut world, _, bob) = two_clients::<Transparent>(1, Weather { loss: 0.05, ..Weather::default() });
    world.send(ALICE, 1, &bob, &[1; 200_000], &plain()).unwrap();
    world.with_engine(ALICE, |engine, now| engine.watch(MessageId(1), true, now));
    world.run_until(secs(120), |world| world.open_messages() == 0);
    let told = fragments(&world, 1);
    assert!(told.len() > 20, "{told:?}");
    let last = told.last().unwrap();
    assert_eq!((last.sent, last.acked, last.total), (125, 125, 125));
    assert!(last.retransmissions > 0);
    for pair in told.windows(2) {
        let [before, after] = pair else { unreachable!() };
        assert!(after.sent >= before.sent && after.acked >= before.acked && after.total == before.total);
        assert!(after.retransmissions >= before.retransmissions);
    }
    // The last is told together with the end, so that it may come sooner.
    for pair in told[..told.len() - 1].windows(2) {
        assert!(pair[1].at.since(pair[0].at) >= limits::REPORT_GAP, "{pair:?}");
    }
    let (at, end) = world.clients[ALICE].events.last().unwrap();
    assert!(matches!(end, Event::Delivered { retransmissions, .. } if *retransmissions == last.retransmissions));
    assert_eq!(*at, last.at);
}

#[test]
fn nothing_is_told_of_messages_that_nobody_watches_or_watches_any_more() {
    let (mut world, _, bob) = two_clients::<Transparent>(2, Weather { loss: 0.1, ..Weather::default() });
    world.send(ALICE, 1, &bob, &[1; 50_000], &plain()).unwrap();
    world.send(ALICE, 2, &bob, &[2; 50_000], &plain()).unwrap();
    world.with_engine(ALICE, |engine, now| {
        engine.watch(MessageId(2), true, now);
        engine.watch(MessageId(77), true, now);
    });
    world.run_until(secs(60), |world| !fragments(world, 2).is_empty());
    world.with_engine(ALICE, |engine, now| engine.watch(MessageId(2), false, now));
    world.run_for(limits::REPORT_GAP);
    let told = fragments(&world, 2).len();
    world.run_until(secs(120), |world| world.open_messages() == 0);
    assert_eq!((fragments(&world, 1).len(), fragments(&world, 2).len()), (0, told));
}

#[test]
fn who_watches_late_is_told_how_far_it_is() {
    let (mut world, _, bob) = two_clients::<Transparent>(3, Weather::default());
    world.cut_off(mixlet_devnet::record::NodeName::Mix(1), true);
    world.cut_off(mixlet_devnet::record::NodeName::Mix(2), true);
    world.send(ALICE, 1, &bob, b"goes nowhere", &plain()).unwrap();
    world.run_for(secs(1));
    world.with_engine(ALICE, |engine, now| engine.watch(MessageId(1), true, now));
    world.run_for(limits::REPORT_GAP);
    let told = fragments(&world, 1);
    assert_eq!((told[0].sent, told[0].acked, told[0].total), (1, 0, 1));
}

#[test]
fn what_goes_again_is_told_of_every_message_when_somebody_listens() {
    let (mut world, _, bob) = two_clients::<Transparent>(4, Weather { loss: 0.2, ..Weather::default() });
    let listening = Listening { retransmissions: true, surbs: false };
    world.with_engine(ALICE, |engine, _| engine.listen(listening));
    for id in 0..30 {
        world.send(ALICE, id, &bob, &[id as u8; 3_000], &plain()).unwrap();
    }
    world.run_until(secs(120), |world| world.open_messages() == 0);
    for id in 0..30 {
        let end = world.clients[ALICE].events.iter().find_map(|(_, event)| match event {
            Event::Delivered { id: of, retransmissions, .. } if of.0 == id => Some(*retransmissions),
            _ => None,
        });
        let told = fragments(&world, id).last().map_or(0, |told| told.retransmissions);
        assert_eq!(Some(told), end, "message {id}");
    }
    assert!((0..30).any(|id| fragments(&world, id).is_empty()), "some were lucky");
}

#[test]
fn watching_changes_nothing_of_what_leaves() {
    let frames = |watched: bool| {
        let (mut world, _, bob) = two_clients::<Transparent>(5, Weather { loss: 0.05, ..Weather::default() });
        world.send(ALICE, 1, &bob, &[1; 100_000], &plain()).unwrap();
        if watched {
            world.with_engine(ALICE, |engine, now| engine.watch(MessageId(1), true, now));
        }
        world.run_for(secs(60));
        world.clients[ALICE].frames.clone()
    };
    assert!(frames(false) == frames(true));
}

#[derive(Debug)]
struct Told {
    at: Instant,
    sent: u32,
    acked: u32,
    total: u32,
    retransmissions: u32,
}

fn fragments(world: &World, message: u64) -> Vec<Told> {
    let events = world.clients[ALICE].events.iter();
    events
        .filter_map(|(at, event)| match event {
            Event::Fragments { id, sent, acked, total, retransmissions } if id.0 == message => {
                Some(Told { at: *at, sent: *sent, acked: *acked, total: *total, retransmissions: *retransmissions })
            }
            _ => None,
        })
        .collect()
}

// ── which packets crossed the link ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn every_packet_is_told_of_where_that_is_wanted_and_none_elsewhere() {
    let mut world = World::new(20, 2);
    let (mut alice, bob) = (world.config(0), world.config(1));
    alice.trace = true;
    world.add_client(alice);
    world.add_client(bob);
    world.until_ready(ALICE);
    let bob = Recipient::Address(world.until_ready(BOB));
    world.weather.loss = 0.1;
    world.send(ALICE, 1, &bob, &[1; 30_000], &SendOptions::default()).unwrap();
    world.run_until(secs(30), |world| !world.received(BOB).is_empty());
    let alice = Recipient::Tag(tag(&world));
    world.send(BOB, 2, &alice, &[2; 5_000], &plain()).unwrap();
    world.run_until(secs(60), |world| world.open_messages() == 0);
    world.run_for(limits::REPORT_GAP);
    let told: Vec<(Instant, Packet)> = packets(&world, ALICE);
    let stats = world.engine(ALICE).stats(world.now());
    let count =
        |kind, outgoing| told.iter().filter(|(_, it)| it.kind == kind && it.outgoing == outgoing).count() as u64;
    // The last ones are told of later.
    let near = |told: u64, counted: u64| told <= counted && counted - told < 20;
    assert_eq!(count(PacketKind::Real, true), stats.sent.real);
    assert!(count(PacketKind::Retransmission, true) > 0);
    assert_eq!(count(PacketKind::Retransmission, true), stats.sent.retransmission);
    assert!(near(count(PacketKind::Cover, true), stats.sent.cover));
    assert_eq!(count(PacketKind::Message, false), stats.received.message);
    assert!(near(count(PacketKind::Ack, false), stats.received.ack));
    assert!(near(count(PacketKind::Cover, false), stats.received.cover));
    assert!(told.windows(2).all(|pair| pair[0].1.at <= pair[1].1.at));
    let frames: Vec<_> = world.clients[ALICE].frames.iter().collect();
    assert!(told.iter().filter(|(_, it)| it.outgoing).all(|(_, it)| frames.contains(&&(it.at, it.size as usize))));
    let mut times: Vec<Instant> = told.iter().map(|(at, _)| *at).collect();
    times.dedup();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= limits::REPORT_GAP));
    assert_eq!((stats.dropped.trace, packets(&world, BOB).len()), (0, 0));
}

#[test]
fn more_packets_than_fit_are_counted() {
    let mut world = World::new(21, 2);
    let mut config = world.config(0);
    (config.trace, config.traffic.danger_no_pacing) = (true, true);
    world.add_client(config);
    let config = world.config(1);
    world.add_client(config);
    world.until_ready(ALICE);
    let bob = Recipient::Address(world.until_ready(BOB));
    for id in 0..8 {
        world.send(ALICE, id, &bob, &vec![id as u8; 3_000_000], &plain()).unwrap();
    }
    world.run_until(secs(120), |world| world.open_messages() == 0);
    world.run_for(limits::REPORT_GAP);
    let stats = world.engine(ALICE).stats(world.now());
    let (sent, received) = (stats.sent, stats.received);
    let all = sent.real + sent.cover + sent.retransmission + received.ack + received.cover + received.unknown;
    let told = packets(&world, ALICE).len() as u64;
    assert!(stats.dropped.trace > 0);
    assert!(all - told - stats.dropped.trace < 20, "{all} = {told} + {}", stats.dropped.trace);
}

fn packets(world: &World, client: usize) -> Vec<(Instant, Packet)> {
    let events = world.clients[client].events.iter();
    events
        .flat_map(|(at, event)| match event {
            Event::Packets { packets } => packets.iter().map(|packet| (*at, *packet)).collect(),
            _ => Vec::new(),
        })
        .collect()
}

// ── what is held of SURBs ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_peer_that_cannot_be_answered_any_more_is_told_of_and_when_it_can_again() {
    let (mut world, alice) = stranger(10, 2, false);
    // The message itself has told that it can be answered.
    world.run_for(secs(1));
    assert_eq!(stocks(&world), []);
    for id in 0..2 {
        world.send(BOB, id, &alice, b"there is no more", &plain()).unwrap();
    }
    world.run_until(secs(10), |world| !stocks(world).is_empty());
    assert_eq!(stocks(&world), [(0, false)]);
    assert!(!world.engine(BOB).can_answer(&tag(&world)));
    give(&mut world, 2, 3);
    world.run_for(secs(10));
    assert_eq!(stocks(&world), [(0, false)], "the message tells it again");
    assert!(world.engine(BOB).can_answer(&tag(&world)));
}

#[test]
fn surbs_that_are_too_old_are_told_of() {
    let (mut world, _) = stranger(11, 5, false);
    world.run_for(limits::SURB_AGE_MAX + limits::SURB_SWEEP_TIME + secs(60));
    assert_eq!(stocks(&world), [(0, false)]);
}

#[test]
fn every_change_is_told_when_somebody_listens() {
    let (mut world, alice) = stranger(12, 8, true);
    world.run_until(secs(10), |world| stocks(world) == [(8, true)]);
    for id in 0..3 {
        world.send(BOB, id, &alice, b"one of them", &plain()).unwrap();
    }
    world.run_until(secs(10), |world| stocks(world).last() == Some(&(5, true)));
    let times: Vec<Instant> =
        world.clients[BOB].events.iter().filter_map(|(at, event)| surbs(event).map(|_| *at)).collect();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= limits::REPORT_GAP), "{times:?}");
}

/// Alice writes to Bob with so many SURBs, and neither asks for more.
fn stranger(seed: u64, surbs: u32, listens: bool) -> (World, Recipient) {
    let mut world = World::new(seed, 2);
    for gateway in 0..2 {
        let mut config = worlds::unhurried(&world, gateway);
        config.ask_for_more = false;
        world.add_client(config);
    }
    world.until_ready(ALICE);
    world.until_ready(BOB);
    world.with_engine(BOB, |engine, _| engine.listen(Listening { retransmissions: false, surbs: listens }));
    give(&mut world, 1, surbs);
    let alice = Recipient::Tag(tag(&world));
    (world, alice)
}

fn give(world: &mut World, id: u64, surbs: u32) {
    let bob = Recipient::Address(world.engine(BOB).address().cloned().unwrap());
    let options = SendOptions { replies: Replies::Exactly(surbs), ..SendOptions::default() };
    let before = world.received(BOB).len();
    world.send(ALICE, id, &bob, format!("message {id}").as_bytes(), &options).unwrap();
    world.run_until(secs(30), |world| world.received(BOB).len() > before);
}

fn tag(world: &World) -> SenderTag {
    world.received(BOB).iter().find_map(|(_, tag)| *tag).unwrap()
}

fn stocks(world: &World) -> Vec<(u32, bool)> {
    world.clients[BOB].events.iter().filter_map(|(_, event)| surbs(event)).collect()
}

fn surbs(event: &Event) -> Option<(u32, bool)> {
    match event {
        Event::Surbs { held, can_answer, .. } => Some((*held, *can_answer)),
        _ => None,
    }
}
