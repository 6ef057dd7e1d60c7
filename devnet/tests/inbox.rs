//! A durable inbox: messages stay in the store until the application is done with them, whatever happens in between.

#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod worlds;

use std::collections::BTreeMap;

use mixlet::engine::{Config, Recipient, Record, Replies, SendOptions, Shelf, Traffic};
use mixlet::exchange::{Event, InboxEntry, Receipt};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{LargeWorld as World, Weather};
use worlds::{ALICE, BOB, body, plain, replace, secs};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two clients that keep what comes until it is taken.
fn keepers(seed: u64) -> (World, Recipient, Recipient) {
    let mut world = World::new(seed, 2);
    world.write_time = millis(5);
    let configs = [0, 1].map(|gateway| Config { keeps_pages: true, keeps_inbox: true, ..world.config(gateway) });
    let [alice, bob] = configs.map(|config| world.add_client(config));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

/// Bob's application takes no messages, now and in later runs.
fn nobody_takes(world: &mut World) {
    world.clients[BOB].takes = false;
    world.with_client(BOB, |inside, _| inside.take_messages(false));
}

fn receipted() -> SendOptions {
    SendOptions { replies: Replies::Exactly(10), timeout: Some(secs(3_600)), ..SendOptions::default() }
}

/// What the application of a client was told: when, number, id, body.
fn told(world: &World, client: usize) -> Vec<(Instant, u32, [u8; 16], Vec<u8>)> {
    let said = world.clients[client].said.iter();
    said.filter_map(|(at, event)| match event {
        Event::Kept { number, id, body, .. } => Some((*at, *number, id.0, body.clone())),
        _ => None,
    })
    .collect()
}

fn receipts(world: &World, client: usize) -> Vec<(Instant, u64)> {
    let said = world.clients[client].said.iter();
    said.filter_map(|(at, event)| match event {
        Event::Receipted { id, .. } => Some((*at, id.0)),
        _ => None,
    })
    .collect()
}

fn stored(world: &World, client: usize) -> usize {
    let records = world.clients[client].stored().keys();
    records.filter(|record| matches!(record, Record::Page(Shelf::Inbox, _))).count()
}

#[test]
fn messages_stay_until_they_are_done_and_are_told_in_order_by_each_run() {
    let (mut world, _, bob) = keepers(1);
    nobody_takes(&mut world);
    for number in 0..6 {
        let bytes = body(100 + number as usize, number as u8);
        if number % 2 == 0 {
            world.send(ALICE, number, &bob, &bytes, &plain()).unwrap();
        } else {
            world.send_receipted(ALICE, (number, Receipt::Yes), &bob, &bytes, &receipted()).unwrap();
        }
        world.run_until(secs(60), |world| stored(world, BOB) == number as usize + 1);
    }
    world.run_until(secs(60), |world| receipts(world, ALICE).len() == 3);
    // Nobody takes them, so nobody is told.
    assert!(told(&world, BOB).is_empty());
    let mut before = Vec::new();
    for run in 0..3 {
        replace(&mut world, BOB);
        let from = told(&world, BOB).len();
        world.with_client(BOB, |inside, _| inside.take_messages(true));
        let told = told(&world, BOB)[from..].to_vec();
        let bodies: Vec<_> = told.iter().map(|(.., body)| body.clone()).collect();
        let first = run * 2;
        let expected: Vec<_> = (first..6).map(|number| body(100 + number, number as u8)).collect();
        assert!(bodies == expected, "run {run}");
        let ids: Vec<_> = told.iter().map(|(_, _, id, _)| *id).collect();
        if run > 0 {
            assert_eq!(ids, before);
        }
        before = ids[2..].to_vec();
        for (_, number, ..) in &told[..2] {
            world.with_client(BOB, |inside, _| inside.done(*number));
        }
        world.run_for(millis(10));
        assert_eq!(stored(&world, BOB), 4 - run * 2);
    }
    replace(&mut world, BOB);
    let from = told(&world, BOB).len();
    world.with_client(BOB, |inside, _| inside.take_messages(true));
    assert_eq!(told(&world, BOB).len(), from);
}

#[test]
fn who_takes_over_is_told_again_what_was_not_done() {
    let (mut world, _, bob) = keepers(2);
    nobody_takes(&mut world);
    for number in 0..4 {
        world.send(ALICE, number, &bob, &[number as u8], &plain()).unwrap();
    }
    world.run_until(secs(60), |world| stored(world, BOB) == 4);
    world.with_client(BOB, |inside, _| inside.take_messages(true));
    let first = told(&world, BOB);
    assert_eq!(first.len(), 4);
    world.with_client(BOB, |inside, _| inside.done(first[1].1));
    world.with_client(BOB, |inside, _| inside.take_messages(false));
    // Done also while nobody takes any, and by who had it from before.
    world.with_client(BOB, |inside, _| inside.done(first[3].1));
    world.with_client(BOB, |inside, _| inside.done(first[3].1));
    assert_eq!(told(&world, BOB).len(), 4);
    world.with_client(BOB, |inside, _| inside.take_messages(true));
    let numbers: Vec<_> = told(&world, BOB)[4..].iter().map(|told| told.1).collect();
    assert_eq!(numbers, [first[0].1, first[2].1]);
    let window = limits::INBOX_TOLD_COUNT_MAX as u64;
    for number in 10..20 + window {
        world.send(ALICE, number, &bob, &number.to_be_bytes(), &plain()).unwrap();
    }
    world.run_until(secs(300), |world| stored(world, BOB) == 12 + window as usize);
    // The application gets no more at a time than it can be asked to hold.
    assert_eq!(told(&world, BOB).len(), 4 + window as usize);
    let last = told(&world, BOB).last().unwrap().1;
    world.with_client(BOB, |inside, _| inside.done(last));
    assert_eq!(told(&world, BOB).len(), 5 + window as usize);
}

#[test]
fn a_receipt_says_that_the_message_is_in_the_store() {
    let (mut world, _, bob) = keepers(3);
    world.write_time = secs(8);
    world.send_receipted(ALICE, (1, Receipt::Yes), &bob, b"hello", &receipted()).unwrap();
    world.run_until(secs(5), |world| world.ends(ALICE).0 == [1]);
    let delivered = world.now();
    // It came again before it was written, which is no reason to say that it is.
    world.run_until(secs(60), |world| !receipts(world, ALICE).is_empty());
    assert!(world.now().since(delivered) > secs(7), "after {:?}", world.now().since(delivered));
    assert_eq!(told(&world, BOB).len(), 1);
    world.run_for(secs(9));
    // What was not written when the client ended is sent again.
    world.send_receipted(ALICE, (2, Receipt::Yes), &bob, b"again", &receipted()).unwrap();
    world.run_until(secs(5), |world| world.ends(ALICE).0.contains(&2));
    replace(&mut world, BOB);
    assert_eq!(told(&world, BOB).len(), 1);
    world.write_time = millis(5);
    world.run_until(secs(120), |world| receipts(world, ALICE).len() == 2);
    assert_eq!(told(&world, BOB).len(), 2);
}

#[test]
fn every_message_is_told_and_none_again_that_was_done_whenever_the_client_ends() {
    let mut again = 0;
    for seed in 0..30 {
        let (mut world, _, bob) = keepers(100 + seed);
        world.weather = Weather { loss: 0.1, ..Weather::default() };
        world.tolerate_repeats();
        for number in 0..40 {
            let bytes = body(10 + number as usize * 150, number as u8);
            world.send_receipted(ALICE, (number, Receipt::Yes), &bob, &bytes, &receipted()).unwrap();
        }
        let mut ended = Vec::new();
        for run in 0..3 {
            world.run_until(secs(120), |world| told(world, BOB).len() >= run * 10 + 1 + seed as usize % 10);
            world.run_for(millis(seed % 7));
            ended.push(world.now());
            replace(&mut world, BOB);
        }
        world.run_until(secs(600), |world| receipts(world, ALICE).len() == 40);
        world.run_for(secs(30));
        let mut first = BTreeMap::new();
        for (at, _, id, body) in told(&world, BOB) {
            if let Some(before) = first.insert(body, (at, id)) {
                assert_eq!(before.1, id, "under another id");
                // Between being told and being done on disk the client ended.
                let written = before.0 + world.write_time;
                assert!(ended.iter().any(|end| before.0 <= *end && *end <= written), "again, although it was done");
                again += 1;
            }
        }
        assert_eq!(first.len(), 40);
        assert_eq!(stored(&world, BOB), 0);
    }
    assert!(again > 0, "no client ended in such a moment");
}

#[test]
fn bare_messages_that_are_in_the_store_are_told_once() {
    for seed in 0..20 {
        let (mut world, _, bob) = keepers(200 + seed);
        world.weather = Weather { loss: 0.1, ..Weather::default() };
        world.tolerate_repeats();
        for number in 0..40 {
            world.send(ALICE, number, &bob, &body(10 + number as usize * 150, number as u8), &plain()).unwrap();
        }
        world.run_until(secs(60), |world| told(world, BOB).len() >= 5 + seed as usize);
        let had = told(&world, BOB);
        world.run_for(millis(6));
        replace(&mut world, BOB);
        world.run_until(secs(300), |world| world.open_messages() == 0);
        world.run_for(secs(30));
        let mut bodies: Vec<_> = told(&world, BOB).into_iter().map(|(.., body)| body).collect();
        for (.., body) in had {
            assert_eq!(bodies.iter().filter(|other| **other == body).count(), 1);
        }
        bodies.sort_unstable();
        bodies.dedup();
        // Of the last quarter of a second, some dozen packets, nothing was on disk.
        assert!(bodies.len() >= 25, "{}", bodies.len());
    }
}

#[test]
fn a_large_message_is_completed_by_the_next_run() {
    for seed in 0..5 {
        let (mut world, _, bob) = keepers(300 + seed);
        let large = body(1_000_000, seed as u8);
        world.send_receipted(ALICE, (1, Receipt::Yes), &bob, &large, &receipted()).unwrap();
        world.run_for(secs(2 + seed));
        replace(&mut world, BOB);
        world.run_until(secs(300), |world| receipts(world, ALICE).len() == 1);
        let told = told(&world, BOB);
        assert!(told.len() == 1 && told[0].3 == large);
    }
}

#[test]
fn what_there_is_no_room_for_is_told_and_comes_again_where_it_can() {
    let (mut world, _, bob) = keepers(4);
    nobody_takes(&mut world);
    for client in [ALICE, BOB] {
        world.with_engine(client, |engine, now| {
            engine.set_traffic(Traffic { danger_no_pacing: true, ..Traffic::default() }, now).unwrap();
        });
    }
    const PART: usize = limits::INBOX_LEN_MAX / 3 + 1;
    for number in 0..2 {
        world.send(ALICE, number, &bob, &body(PART, number as u8), &plain()).unwrap();
        world.run_until(secs(600), |world| stored(world, BOB) == number as usize + 1);
    }
    world.send_receipted(ALICE, (3, Receipt::Yes), &bob, &body(PART, 3), &receipted()).unwrap();
    let overflows = |world: &World| {
        let said = world.clients[BOB].said.iter();
        let lens = said.filter_map(|(_, event)| match event {
            Event::Overflow { bytes, store, .. } => Some((*bytes, *store)),
            _ => None,
        });
        lens.collect::<Vec<_>>()
    };
    world.run_until(secs(600), |world| !overflows(world).is_empty());
    assert_eq!(overflows(&world)[0], (PART, false));
    assert!(receipts(&world, ALICE).is_empty());
    world.with_client(BOB, |inside, _| inside.take_messages(true));
    let first = told(&world, BOB)[0].1;
    world.with_client(BOB, |inside, _| inside.done(first));
    world.run_until(secs(600), |world| !receipts(world, ALICE).is_empty());
    // Of such long ones the application gets one at a time.
    assert_eq!(told(&world, BOB).len(), 2);
    let second = told(&world, BOB)[1].1;
    world.with_client(BOB, |inside, _| inside.done(second));
    assert_eq!(told(&world, BOB).len(), 3);
}

#[test]
fn without_room_on_the_disk_nothing_is_receipted_and_bare_messages_are_told_all_the_same() {
    let (mut world, _, bob) = keepers(5);
    world.clients[BOB].has_no_room = true;
    world.send(ALICE, 1, &bob, b"bare", &plain()).unwrap();
    world.send_receipted(ALICE, (2, Receipt::Yes), &bob, b"with a receipt", &receipted()).unwrap();
    world.run_until(secs(60), |world| world.ends(ALICE).0.len() == 2);
    world.run_for(secs(10));
    let bodies: Vec<_> = told(&world, BOB).into_iter().map(|(.., body)| body).collect();
    assert_eq!(bodies, [b"bare"]);
    assert!(receipts(&world, ALICE).is_empty());
    let is_full = |(_, event): &(Instant, Event)| matches!(event, Event::Overflow { store: true, bytes: 14, .. });
    assert!(world.clients[BOB].said.iter().any(is_full));
    world.clients[BOB].has_no_room = false;
    world.run_until(secs(300), |world| !receipts(world, ALICE).is_empty());
    assert_eq!(told(&world, BOB).len(), 2);
}

#[test]
fn what_was_left_by_a_durable_inbox_is_told_by_one_that_is_not() {
    let (mut world, _, bob) = keepers(6);
    nobody_takes(&mut world);
    world.send(ALICE, 1, &bob, b"hello", &plain()).unwrap();
    world.run_until(secs(60), |world| stored(world, BOB) == 1);
    world.kill_client(BOB);
    world.clients[BOB].takes = true;
    world.clients[BOB].config.keeps_inbox = false;
    world.start_client(BOB);
    world.until_ready(BOB);
    assert_eq!(told(&world, BOB).len(), 1);
    world.run_for(millis(10));
    assert_eq!(stored(&world, BOB), 0);
    world.send(ALICE, 2, &bob, b"and this", &plain()).unwrap();
    world.run_until(secs(60), |world| world.received(BOB).len() == 1);
    assert_eq!(stored(&world, BOB), 0);
}

#[test]
fn records_that_are_no_messages_are_deleted() {
    let (mut world, _, bob) = keepers(7);
    nobody_takes(&mut world);
    world.send(ALICE, 1, &bob, b"hello", &plain()).unwrap();
    world.run_until(secs(60), |world| stored(world, BOB) == 1);
    world.kill_client(BOB);
    let good = world.clients[BOB].stored().iter().find_map(|(record, bytes)| match record {
        Record::Page(Shelf::Inbox, _) => Some(bytes.clone()),
        _ => None,
    });
    let good = good.unwrap();
    let mut bad: Vec<Vec<u8>> = (0..27).map(|len| good[..len].to_vec()).collect();
    bad.extend([[&[2], &good[1..]].concat(), [&[1, 2], &good[2..]].concat(), [&good[..26], &[3]].concat()]);
    let bad_count = bad.len();
    for (number, bytes) in bad.into_iter().enumerate() {
        world.store(BOB).insert(Record::Page(Shelf::Inbox, 1_000 + number as u32), bytes);
    }
    // The same message twice.
    world.store(BOB).insert(Record::Page(Shelf::Inbox, 2_000), good);
    world.start_client(BOB);
    world.until_ready(BOB);
    assert_eq!(world.engine(BOB).stats(world.now()).dropped.page, bad_count as u64 + 1);
    world.run_for(millis(10));
    assert_eq!(stored(&world, BOB), 1);
}

#[test]
fn an_entry_has_one_form() {
    let entry = |from| InboxEntry {
        id: mixlet::exchange::envelope::Id([7; 16]),
        enveloped: true,
        at: 258,
        from,
        body: vec![9],
    };
    let bytes = entry(None).to_bytes();
    assert_eq!(*bytes, [&[1, 1][..], &[7; 16], &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 9]].concat());
    let tag = mixlet::message::SenderTag([5; 16]);
    let bytes = entry(Some(Recipient::Tag(tag))).to_bytes();
    assert_eq!(bytes[26..], [&[1][..], &[5; 16], &[9]].concat());
    let read = InboxEntry::from_bytes(&bytes).unwrap();
    assert_eq!((read.at, read.body.as_slice(), read.enveloped), (258, &[9][..], true));
    assert!(read.from == Some(Recipient::Tag(tag)));
    assert!(InboxEntry::from_bytes(&[]).is_none());
}
