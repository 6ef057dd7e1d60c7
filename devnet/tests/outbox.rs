//! Messages that are in the store until they have arrived, whatever happens to their sender.

#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod worlds;

use std::collections::BTreeMap;

use mixlet::engine::{Code, Config, Event, MessageId, Recipient, Record, Replies, SendError, SendOptions, Shelf};
use mixlet::exchange::envelope::Id;
use mixlet::exchange::{self, OutboxStage, Receipt, Sending};
use mixlet::limits;
use mixlet::time::Duration;
use mixlet_devnet::sim::{LargeWorld as World, Weather};
use worlds::{ALICE, BOB, plain, secs};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn keepers(seed: u64) -> (World, Recipient) {
    let mut world = World::new(seed, 2);
    world.write_time = millis(5);
    let configs = [0, 1].map(|gateway| Config { keeps_pages: true, ..world.config(gateway) });
    let [alice, bob] = configs.map(|config| world.add_client(config));
    world.until_ready(alice);
    let bob = world.until_ready(bob);
    (world, Recipient::Address(bob))
}

/// Alice ends now, and another goes on.
fn replace(world: &mut World, after: Duration) {
    world.kill_client(ALICE);
    world.run_for(after);
    world.start_client(ALICE);
    world.until_ready(ALICE);
}

fn sending(replies: u32, receipt: Receipt) -> Sending {
    let options = SendOptions { replies: Replies::Exactly(replies), ..SendOptions::default() };
    Sending { options, receipt, id: None }
}

fn body(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(31) ^ seed ^ (at >> 8)) as u8).chain(seed.to_be_bytes()).collect()
}

fn pages(world: &World, shelf: Shelf) -> usize {
    world.clients[ALICE].stored().keys().filter(|record| matches!(record, Record::Page(on, _) if *on == shelf)).count()
}

/// How often Bob has seen each message.
fn seen(world: &World) -> BTreeMap<Vec<u8>, usize> {
    let bare = world.received(BOB).into_iter().map(|(body, _)| body.to_vec());
    let mixlet = world.clients[BOB].said.iter().filter_map(|(_, event)| match event {
        exchange::Event::Message { body, .. } => Some(body.clone()),
        _ => None,
    });
    let mut seen = BTreeMap::new();
    for body in bare.chain(mixlet) {
        *seen.entry(body).or_default() += 1;
    }
    seen
}

fn is_empty(world: &World) -> bool {
    world.inside(ALICE).outbox().is_empty()
}

/// Forty small messages and a large one, and Alice ends three times.
fn kill_three_times(seed: u64, loss: f64, receipt: Receipt) {
    let (mut world, bob) = keepers(seed);
    world.weather = Weather { loss, ..Weather::default() };
    let mut bodies = Vec::new();
    for number in 0..41 {
        let len = if number == 20 { 300_000 } else { 10 + 150 * number as usize };
        bodies.push(body(len, number));
        let replies = if number % 3 == 0 || receipt == Receipt::Yes { 5 } else { 0 };
        world.persist(ALICE, (number.into(), 0), &bob, &bodies[number as usize], &sending(replies, receipt)).unwrap();
    }
    world.run_for(millis(20));
    let persisted = |(_, event): &&(_, exchange::Event)| matches!(event, exchange::Event::Persisted { .. });
    assert_eq!(world.clients[ALICE].said.iter().filter(persisted).count(), 41);
    for round in 0..3 {
        world.run_for(millis(300 + 417 * seed + 1_300 * round));
        // The last one comes so late that acks do not count any more.
        replace(&mut world, if round == 2 { limits::PAUSE_DROPS_UNFINISHED } else { millis(200 * seed) });
    }
    world.run_until(secs(900), is_empty);
    world.run_for(secs(10));
    let expected: BTreeMap<_, _> = bodies.into_iter().map(|body| (body, 1)).collect();
    assert!(seen(&world) == expected, "each is seen once");
    assert_eq!((pages(&world, Shelf::Outbox), pages(&world, Shelf::Acked)), (0, 0));
    // What had come of a first copy waits for the rest in vain, and not for ever.
    world.run_for(limits::REASSEMBLY_AGE_MAX + secs(60));
    world.assert_quiet();
}

#[test]
fn bare_messages_arrive_once_whenever_their_sender_ends() {
    for seed in 1..=6 {
        kill_three_times(seed, if seed % 2 == 0 { 0.1 } else { 0.0 }, Receipt::No);
    }
}

#[test]
fn messages_with_a_receipt_arrive_once_whenever_their_sender_ends() {
    for seed in 11..=15 {
        kill_three_times(seed, if seed % 2 == 0 { 0.1 } else { 0.0 }, Receipt::Yes);
    }
}

#[test]
fn what_is_acknowledged_is_on_disk_a_quarter_of_a_second_later_and_does_not_leave_again() {
    let (mut world, bob) = keepers(21);
    let id = world.persist(ALICE, (1, 0), &bob, &body(500_000, 1), &sending(0, Receipt::No)).unwrap();
    world.run_until(secs(60), |world| world.inside(ALICE).outbox()[0].acked > 150);
    world.run_for(limits::PAGES_GAP + millis(20));
    replace(&mut world, millis(10));
    let state = world.inside(ALICE).outbox().remove(0);
    assert_eq!((state.number, state.id, state.len), (MessageId(id), Id(1_u128.to_be_bytes()), 500_008));
    assert!(state.acked > 150 && state.total == 312 && state.stage == OutboxStage::Sending);
    world.run_until(secs(60), is_empty);
    assert!(world.engine(ALICE).stats(world.now()).sent.real <= 312 - 150);
    assert_eq!(seen(&world).len(), 1);
}

#[test]
fn an_answer_to_what_an_ended_client_had_sent_is_read() {
    for seed in 31..=40 {
        let (mut world, bob) = keepers(seed);
        world.persist(ALICE, (1, 0), &bob, b"question", &sending(3, Receipt::No)).unwrap();
        world.run_until(secs(30), |world| !world.received(BOB).is_empty());
        let tag = world.received(BOB)[0].1.unwrap();
        // Keys are on disk before the first fragment has left.
        replace(&mut world, millis(1));
        world.send(BOB, 1, &Recipient::Tag(tag), b"answer", &plain()).unwrap();
        world.run_until(secs(30), |world| !world.received(ALICE).is_empty());
    }
}

#[test]
fn nothing_leaves_before_it_is_on_disk() {
    let (mut world, bob) = keepers(41);
    world.write_time = secs(3);
    world.persist(ALICE, (1, 0), &bob, b"later", &sending(0, Receipt::No)).unwrap();
    // Once for the message, once for its plan.
    world.run_for(millis(5_900));
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.real, 0);
    world.run_until(secs(5), |world| world.engine(ALICE).stats(world.now()).sent.real == 1);
}

#[test]
fn without_room_on_the_disk_it_is_not_accepted() {
    let (mut world, bob) = keepers(51);
    world.clients[ALICE].has_no_room = true;
    let id = world.persist(ALICE, (1, 0), &bob, b"no", &sending(0, Receipt::No)).unwrap();
    world.run_for(millis(20));
    let refused =
        |(_, event): &(_, exchange::Event)| matches!(event, exchange::Event::NotPersisted { id: of } if of.0 == id);
    assert!(world.clients[ALICE].said.iter().any(refused));
    assert!(is_empty(&world));
    world.run_for(secs(5));
    assert!(seen(&world).is_empty());
}

#[test]
fn where_its_plan_finds_no_room_it_fails_and_nothing_leaves() {
    let (mut world, bob) = keepers(52);
    let id = world.persist(ALICE, (1, 0), &bob, b"no", &sending(0, Receipt::No)).unwrap();
    world.run_for(millis(6));
    world.clients[ALICE].has_no_room = true;
    world.run_until(secs(5), is_empty);
    assert_eq!(world.ends(ALICE).1, [id]);
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.real, 0);
}

#[test]
fn the_wall_clock_ends_it_also_while_nobody_is_there() {
    let (mut world, bob) = keepers(61);
    world.run_for(millis(1));
    let now = world.inside(ALICE).engine().unix(world.now());
    world.cut_off(mixlet_devnet::record::NodeName::Gateway(1), true);
    let ids: Vec<_> = (0..2)
        .map(|key| {
            let expires = now + 30 + 60 * key as u64;
            world.persist(ALICE, (key, expires), &bob, &body(10, key as u64), &sending(0, Receipt::No)).unwrap()
        })
        .collect();
    world.run_for(secs(31));
    let code = |(_, event): &(_, Event)| match event {
        Event::Undelivered { code, .. } => Some(*code),
        _ => None,
    };
    assert_eq!(world.clients[ALICE].events.iter().filter_map(code).collect::<Vec<_>>(), [Code::Timeout]);
    assert_eq!(world.ends(ALICE).1, [ids[0]]);
    replace(&mut world, secs(100));
    world.run_for(secs(1));
    assert!(is_empty(&world));
    assert_eq!(pages(&world, Shelf::Outbox), 0);
}

#[test]
fn a_client_that_is_closed_leaves_them_to_the_next_one() {
    let (mut world, bob) = keepers(71);
    world.persist(ALICE, (1, 0), &bob, &body(200_000, 1), &sending(0, Receipt::No)).unwrap();
    world.run_until(secs(10), |world| world.inside(ALICE).outbox()[0].acked > 20);
    let now = world.now();
    world.with_client(ALICE, |client, _| client.close(false, now, now));
    world.run_for(millis(20));
    replace(&mut world, secs(1));
    world.run_until(secs(60), is_empty);
    assert_eq!(seen(&world).len(), 1);
}

#[test]
fn what_is_cancelled_is_forgotten_for_good() {
    let (mut world, bob) = keepers(81);
    let id = world.persist(ALICE, (1, 0), &bob, &body(200_000, 1), &sending(0, Receipt::No)).unwrap();
    world.run_until(secs(10), |world| pages(world, Shelf::Acked) == 1);
    world.with_client(ALICE, |client, now| client.cancel(MessageId(id), now));
    world.run_for(millis(20));
    assert_eq!((pages(&world, Shelf::Outbox), pages(&world, Shelf::Acked)), (0, 0));
    replace(&mut world, millis(1));
    world.run_for(secs(30));
    assert!(is_empty(&world) && seen(&world).is_empty());
}

#[test]
fn the_outbox_is_bounded_and_names_are_used_once() {
    let (mut world, bob) = keepers(91);
    world.write_time = secs(3_600);
    let sending = sending(0, Receipt::No);
    for key in 0..limits::OUTBOX_COUNT_MAX as u128 {
        world.persist(ALICE, (key, 0), &bob, &body(1, key as u64), &sending).unwrap();
    }
    assert_eq!(world.persist(ALICE, (5_000, 0), &bob, b"x", &sending), Err(SendError::QueueFull));
    assert_eq!(world.persist(ALICE, (7, 0), &bob, b"x", &sending), Err(SendError::DuplicateId));
}
