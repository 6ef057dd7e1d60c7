//! A client ends without a word at some moment, and another goes on with what it had written.

#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod worlds;

use std::collections::BTreeMap;

use mixlet::engine::{
    Config, Event, MessageId, Plan, Recipient, Record, Replies, SendError, SendOptions, Shelf, pages,
};
use mixlet::exchange::{self, Client, Receipt};
use mixlet::limits;
use mixlet::message::SenderTag;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{LargeWorld as World, Weather};
use worlds::{ALICE, BOB, body, plain, replace, secs};

const LARGE: usize = 1_000_000;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two clients that keep pages, on gateways of their own.
fn keepers(seed: u64) -> (World, Recipient, Recipient) {
    with(seed, |config| config)
}

fn with(seed: u64, settings: impl Fn(Config) -> Config) -> (World, Recipient, Recipient) {
    let mut world = World::new(seed, 2);
    world.write_time = millis(5);
    let configs = [0, 1].map(|gateway| settings(Config { keeps_pages: true, ..world.config(gateway) }));
    let [alice, bob] = configs.map(|config| world.add_client(config));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

fn surbs(count: u32) -> SendOptions {
    SendOptions { replies: Replies::Exactly(count), ..SendOptions::default() }
}

/// Long enough for everything to be on disk.
fn settle(world: &mut World) {
    world.run_for(limits::PAGES_GAP + millis(20));
}

fn pages_of(world: &World, client: usize, shelf: Shelf) -> usize {
    world.clients[client].stored().keys().filter(|record| matches!(record, Record::Page(on, _) if *on == shelf)).count()
}

/// What a client got, and over which of its own SURBs.
fn answers(world: &World, client: usize) -> Vec<(Vec<u8>, Option<Recipient>)> {
    let events = world.clients[client].events.iter();
    events
        .filter_map(|(_, event)| match event {
            Event::Received { body, over, .. } => Some((body.clone(), over.clone().map(Recipient::Address))),
            _ => None,
        })
        .collect()
}

/// The tag that Bob knows Alice by.
fn tag(world: &World) -> SenderTag {
    world.received(BOB).iter().rev().find_map(|(_, tag)| *tag).expect("a message with SURBs")
}

#[test]
fn an_answer_that_comes_after_the_takeover_is_read_and_attributed() {
    for seed in 1..=5 {
        let (mut world, _, bob) = keepers(seed);
        world.send(ALICE, 1, &bob, b"question", &surbs(20)).unwrap();
        world.run_until(secs(30), |world| !world.received(BOB).is_empty());
        let tag = tag(&world);
        replace(&mut world, ALICE);
        // Longer than the SURBs are good for, so that Bob asks for more over those of the first run.
        let answer = body(60_000, seed as u8);
        world.send(BOB, 1, &Recipient::Tag(tag), &answer, &plain()).unwrap();
        world.run_until(secs(120), |world| world.ends(BOB).0 == [1]);
        world.run_for(secs(2));
        assert!(answers(&world, ALICE) == [(answer, Some(bob))]);
    }
}

#[test]
fn an_answer_under_way_while_nobody_is_there_is_read_too() {
    let (mut world, _, bob) = keepers(7);
    world.send(ALICE, 1, &bob, b"question", &surbs(10)).unwrap();
    world.run_until(secs(30), |world| !world.received(BOB).is_empty());
    let tag = tag(&world);
    world.kill_client(ALICE);
    world.send(BOB, 1, &Recipient::Tag(tag), b"answer", &plain()).unwrap();
    world.run_until(secs(60), |world| world.ends(BOB).0 == [1]);
    world.start_client(ALICE);
    world.run_until(secs(60), |world| !answers(world, ALICE).is_empty());
    assert!(answers(&world, ALICE) == [(b"answer".to_vec(), Some(bob))]);
}

#[test]
fn keys_are_on_disk_before_the_surbs_have_left_where_nothing_else_was_just_written() {
    for seed in 1..=20 {
        let (mut world, _, bob) = keepers(seed);
        settle(&mut world);
        world.send(ALICE, 1, &bob, b"question", &surbs(5)).unwrap();
        world.run_until(secs(30), |world| world.clients[ALICE].events.iter().any(|(_, event)| is_sent(event, 1)));
        let left = world.now();
        let asked = *world.clients[ALICE].writes.last().unwrap();
        assert!(asked <= left, "asked for {:?} after", asked.since(left));
    }
}

fn is_sent(event: &Event, number: u64) -> bool {
    matches!(event, Event::Sent { id } if id.0 == number)
}

#[test]
fn the_next_run_writes_under_a_new_tag() {
    let (mut world, _, bob) = keepers(3);
    world.send(ALICE, 1, &bob, b"one", &surbs(3)).unwrap();
    world.run_until(secs(30), |world| world.received(BOB).len() == 1);
    let first = tag(&world);
    replace(&mut world, ALICE);
    world.send(ALICE, 2, &bob, b"two", &surbs(3)).unwrap();
    world.run_until(secs(30), |world| world.received(BOB).len() == 2);
    assert!(tag(&world) != first);
    for (number, tag) in [(1, first), (2, tag(&world))] {
        world.send(BOB, number, &Recipient::Tag(tag), &[number as u8], &plain()).unwrap();
        world.run_until(secs(30), |world| answers(world, ALICE).len() == number as usize);
    }
}

#[test]
fn surbs_of_others_can_be_used_by_the_next_run() {
    for seed in 1..=5 {
        let (mut world, _, bob) = keepers(seed);
        world.send(ALICE, 1, &bob, b"question", &surbs(20)).unwrap();
        world.run_until(secs(30), |world| !world.received(BOB).is_empty());
        let tag = tag(&world);
        settle(&mut world);
        replace(&mut world, BOB);
        assert_eq!(world.engine(BOB).surbs_of(&tag), 20);
        let can_answer = |(_, event): &(_, Event)| matches!(event, Event::Surbs { can_answer: true, .. });
        world.run_until(secs(1), |world| world.clients[BOB].events.iter().any(can_answer));
        world.send(BOB, 1, &Recipient::Tag(tag), &body(30_000, 1), &plain()).unwrap();
        world.run_until(secs(60), |world| world.ends(BOB).0 == [1]);
        world.run_until(secs(5), |world| answers(world, ALICE).len() == 1);
        // The last answer to the last request for more is there.
        world.run_for(secs(5));
        let left = world.engine(BOB).surbs_of(&tag);
        replace(&mut world, BOB);
        assert_eq!(world.engine(BOB).surbs_of(&tag), left);
    }
}

#[test]
fn a_pseudonym_that_is_kept_is_the_same_in_every_run_and_another_for_each_recipient() {
    for keeps_pages in [true, false] {
        let (mut world, alice, bob) = with(4, |config| Config { keeps_pseudonyms: true, keeps_pages, ..config });
        let mut tags = Vec::new();
        for run in 0..3 {
            let body = [run];
            world.send(ALICE, u64::from(run), &bob, &body, &surbs(3)).unwrap();
            world.run_until(secs(30), |world| world.received(BOB).len() == usize::from(run) + 1);
            tags.push(tag(&world));
            // Over the first SURBs there are, which are those of the run before where they are kept.
            world.send(BOB, u64::from(run), &Recipient::Tag(tags[0]), &body, &plain()).unwrap();
            let is_kept = keeps_pages || run == 0;
            if is_kept {
                world.run_until(secs(30), |world| answers(world, ALICE).len() == usize::from(run) + 1);
            } else {
                world.run_for(secs(5));
            }
            settle(&mut world);
            if run < 2 {
                world.kill_client(ALICE);
                world.start_client(ALICE);
                world.until_ready(ALICE);
            }
        }
        assert!(tags[0] == tags[1] && tags[1] == tags[2]);
        let before = world.received(ALICE).len();
        world.send(ALICE, 10, &alice, b"to myself", &surbs(1)).unwrap();
        world.run_until(secs(30), |world| world.received(ALICE).len() > before);
        let other = world.received(ALICE).last().unwrap().1.unwrap();
        assert!(other != tags[0]);
    }
}

#[test]
fn used_surbs_are_not_held_by_the_next_run() {
    let (mut world, _, bob) = with(2, |config| Config { ask_for_more: false, ..config });
    world.send(ALICE, 1, &bob, b"question", &surbs(20)).unwrap();
    world.run_until(secs(30), |world| !world.received(BOB).is_empty());
    let tag = tag(&world);
    for number in 1..=7 {
        world.send(BOB, number, &Recipient::Tag(tag), &[number as u8], &plain()).unwrap();
        world.run_until(secs(30), |world| world.ends(BOB).0.len() == number as usize);
    }
    settle(&mut world);
    replace(&mut world, BOB);
    assert_eq!(world.engine(BOB).surbs_of(&tag), 13);
    for number in 8..=20 {
        world.send(BOB, number, &Recipient::Tag(tag), &[number as u8], &plain()).unwrap();
        world.run_until(secs(30), |world| world.ends(BOB).0.len() == number as usize);
    }
    assert_eq!(world.clients[BOB].events.iter().filter(|(_, event)| is_end(event)).count(), 20);
    settle(&mut world);
    let left = (pages_of(&world, BOB, Shelf::Held), pages_of(&world, BOB, Shelf::Used));
    assert_eq!((world.engine(BOB).surbs_of(&tag), left), (0, (0, 0)));
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Delivered { .. })
}

#[test]
fn a_surb_that_is_used_twice_costs_a_packet_and_no_message() {
    let (mut world, _, bob) = keepers(4);
    world.send(ALICE, 1, &bob, b"question", &surbs(10)).unwrap();
    world.run_until(secs(30), |world| !world.received(BOB).is_empty());
    let tag = tag(&world);
    settle(&mut world);
    // What is used from now on is not written.
    world.write_time = secs(3_600);
    world.send(BOB, 1, &Recipient::Tag(tag), b"one", &plain()).unwrap();
    world.run_until(secs(30), |world| world.ends(BOB).0 == [1]);
    world.write_time = millis(5);
    replace(&mut world, BOB);
    assert_eq!(world.engine(BOB).surbs_of(&tag), 10, "the used one is there again");
    world.send(BOB, 2, &Recipient::Tag(tag), b"two", &plain()).unwrap();
    world.run_until(secs(60), |world| world.ends(BOB).0 == [1, 2]);
    assert!(world.engine(BOB).stats(world.now()).sent.retransmission > 0, "the first went over the used one");
    world.run_until(secs(5), |world| answers(world, ALICE).len() == 2);
}

#[test]
fn half_a_message_that_is_on_disk_is_completed_by_the_next_run() {
    for seed in 1..=5 {
        let (mut world, _, bob) = keepers(seed);
        let sent = body(LARGE, seed as u8);
        world.send(ALICE, 1, &bob, &sent, &plain()).unwrap();
        // The middle, in which the sender's link breaks: acks come for what has arrived, and nothing of it goes again.
        world.run_until(secs(60), |world| world.engine(BOB).stats(world.now()).received.message > 200 + 50 * seed);
        world.stop_gateway(0, false);
        settle(&mut world);
        world.run_for(secs(1));
        world.kill_client(BOB);
        world.revive_gateway(0);
        // The rest waits at the gateway, or comes later.
        world.run_for(secs(seed));
        world.start_client(BOB);
        world.run_until(secs(120), |world| world.ends(ALICE).0 == [1]);
        world.run_until(secs(5), |world| !world.received(BOB).is_empty());
        assert_eq!(world.received(BOB)[0].0, sent);
        let again = world.engine(ALICE).stats(world.now()).sent.retransmission;
        assert!(again < 200, "{again} of 623 fragments went again");
        settle(&mut world);
        assert_eq!(pages_of(&world, BOB, Shelf::Unfinished), 0);
        world.run_for(secs(60));
        world.assert_quiet();
    }
}

#[test]
fn at_any_moment_what_is_lost_of_a_half_message_is_what_came_in_the_last_quarter_of_a_second() {
    for seed in 1..=8 {
        let (mut world, _, bob) = keepers(100 + seed);
        let sent = body(LARGE, seed as u8);
        world.send(ALICE, 1, &bob, &sent, &plain()).unwrap();
        world.run_until(secs(60), |world| world.engine(BOB).stats(world.now()).received.message > 300);
        world.run_for(millis(37 * seed));
        let held = world.engine(BOB).stats(world.now()).received.message;
        world.kill_client(BOB);
        world.run_for(millis(1));
        let stored: usize = fragments(&world, BOB);
        // 50 a second come in, and some at the same time.
        assert!(held as usize - stored <= 30, "{stored} of {held}");
        assert!(stored >= 270);
        world.start_client(BOB);
        world.run_until(secs(120), |world| world.ends(ALICE).0 == [1]);
    }
}

fn fragments(world: &World, client: usize) -> usize {
    let pages = world.clients[client].stored().iter();
    pages
        .filter(|(record, _)| matches!(record, Record::Page(Shelf::Unfinished, _)))
        .map(|(_, bytes)| pages::read_page::<pages::Piece>(bytes).unwrap().len())
        .sum()
}

#[test]
fn half_an_answer_over_surbs_is_completed_by_the_next_run() {
    let (mut world, _, bob) = keepers(11);
    world.send(ALICE, 1, &bob, b"question", &surbs(100)).unwrap();
    world.run_until(secs(30), |world| !world.received(BOB).is_empty());
    let (tag, answer) = (tag(&world), body(200_000, 3));
    let before = world.engine(ALICE).stats(world.now()).received.message;
    world.send(BOB, 1, &Recipient::Tag(tag), &answer, &plain()).unwrap();
    world.run_until(secs(60), |world| world.engine(ALICE).stats(world.now()).received.message > before + 60);
    world.stop_gateway(1, false);
    settle(&mut world);
    world.run_for(secs(1));
    world.revive_gateway(1);
    replace(&mut world, ALICE);
    world.run_until(secs(200), |world| world.ends(BOB).0 == [1]);
    world.run_until(secs(5), |world| !answers(world, ALICE).is_empty());
    assert!(answers(&world, ALICE) == [(answer, Some(bob))]);
}

#[test]
fn nothing_that_is_on_disk_is_seen_twice_whenever_the_client_ends() {
    let mut twice = 0;
    for seed in 0..30 {
        // Acks get lost, so fragments that had arrived come again.
        let (mut world, _, bob) = keepers(200 + seed);
        world.weather = Weather { loss: 0.1, ..Weather::default() };
        for number in 0..40 {
            let len = 10 + number as usize * 150;
            world.send(ALICE, number, &bob, &body(len, number as u8), &plain()).unwrap();
        }
        world.run_until(secs(60), |world| world.received(BOB).len() >= 5 + seed as usize % 20);
        world.tolerate_repeats();
        let on_disk = world.now().before(limits::PAGES_GAP + world.write_time);
        replace(&mut world, BOB);
        world.run_until(secs(300), |world| world.open_messages() == 0);
        world.run_for(secs(30));
        let mut first = BTreeMap::new();
        for (at, event) in &world.clients[BOB].events {
            if let Event::Received { body, .. } = event
                && let Some(before) = first.insert(body.clone(), *at)
            {
                assert!(before > on_disk, "seen again, although it was on disk");
                twice += 1;
            }
        }
    }
    // A tenth of the acks of the last dozen messages.
    assert!((1..40).contains(&twice), "{twice} messages were seen in the last quarter of a second and again");
}

#[test]
fn a_message_with_a_receipt_arrives_once_whenever_its_recipient_ends() {
    for seed in 0..20 {
        let (mut world, _, bob) = keepers(300 + seed);
        let options = SendOptions { timeout: Some(secs(600)), ..surbs(10) };
        assert_eq!(world.send_receipted(ALICE, (1, Receipt::Yes), &bob, &body(40_000, 1), &options), Ok(true));
        world.run_for(millis(700 + 40 * seed));
        settle_if_seen(&mut world);
        replace(&mut world, BOB);
        world.run_until(secs(300), |world| {
            let mut said = world.clients[ALICE].said.iter();
            said.any(|(_, event)| matches!(event, exchange::Event::Receipted { .. }))
        });
        let seen = world.clients[BOB].said.iter().filter(|(_, event)| matches!(event, exchange::Event::Message { .. }));
        assert_eq!(seen.count(), 1);
        if seed == 0 {
            // What had come of the first copy waits for the rest in vain, and not for ever.
            world.run_for(limits::REASSEMBLY_AGE_MAX + secs(60));
            world.assert_quiet();
        }
    }
}

/// What was seen just now is not on disk yet, and may be seen again.
fn settle_if_seen(world: &mut World) {
    if world.clients[BOB].said.iter().any(|(_, event)| matches!(event, exchange::Event::Message { .. })) {
        settle(world);
    }
}

#[test]
fn a_receipt_that_was_lost_with_the_client_is_given_by_the_next_one() {
    let (mut world, _, bob) = keepers(21);
    let options = SendOptions { timeout: Some(secs(600)), ..surbs(10) };
    world.send_receipted(ALICE, (1, Receipt::Yes), &bob, b"hello", &options).unwrap();
    let is_seen = |world: &World| {
        world.clients[BOB].said.iter().any(|(_, event)| matches!(event, exchange::Event::Message { .. }))
    };
    world.run_until(secs(30), is_seen);
    // The id is on its way to the disk at once; the receipt waits for a slot, which is too far for it.
    world.run_for(millis(6));
    replace(&mut world, BOB);
    world.run_until(secs(60), |world| {
        let mut said = world.clients[ALICE].said.iter();
        said.any(|(_, event)| matches!(event, exchange::Event::Receipted { .. }))
    });
    let repeats = world.inside(BOB).dropped().iter().find(|(name, _)| *name == "messageRepeat").unwrap().1;
    assert!(repeats <= 1);
    assert_eq!(world.clients[BOB].said.iter().filter(|(_, event)| is_message(event)).count(), 1);
}

fn is_message(event: &exchange::Event) -> bool {
    matches!(event, exchange::Event::Message { .. })
}

#[test]
fn a_login_time_is_not_used_twice() {
    // So quick that all of it happens in one second of the gateway's clock.
    let (mut world, _, _) = keepers(31);
    for _ in 0..5 {
        world.run_for(millis(6));
        let refused = world.clients[ALICE].texts.len();
        world.kill_client(ALICE);
        world.run_for(millis(30));
        world.start_client(ALICE);
        world.until_ready(ALICE);
        let texts = &world.clients[ALICE].texts[refused..];
        assert!(!texts.iter().any(is_refusal), "{texts:?}");
    }
    // One that did not get as far as the disk is refused once, and the client takes a later one.
    world.write_time = secs(3_600);
    for _ in 0..2 {
        world.kill_client(ALICE);
        world.run_for(millis(30));
        world.start_client(ALICE);
        world.until_ready(ALICE);
    }
    assert!(world.clients[ALICE].texts.iter().any(is_refusal));
}

fn is_refusal((_, text): &(Instant, String)) -> bool {
    text.contains("rror")
}

#[test]
fn keeping_pages_changes_nothing_that_leaves_or_is_told() {
    let run = |keeps_pages: bool| {
        let (mut world, alice, bob) = with(41, |config| Config { keeps_pages, ..config });
        world.weather = Weather { loss: 0.05, ..Weather::default() };
        world.send(ALICE, 1, &bob, &body(200_000, 1), &surbs(20)).unwrap();
        world.send(BOB, 1, &alice, &body(50_000, 2), &surbs(5)).unwrap();
        for number in 2..20 {
            world.send(ALICE, number, &bob, &body(100 * number as usize, 3), &SendOptions::default()).unwrap();
            world.run_for(millis(333));
        }
        world.run_until(secs(120), |world| !world.received(BOB).is_empty() && world.received(BOB)[0].1.is_some());
        let tag = tag(&world);
        world.send(BOB, 2, &Recipient::Tag(tag), &body(100_000, 4), &plain()).unwrap();
        let options = SendOptions { timeout: Some(secs(60)), ..surbs(10) };
        world.send_receipted(ALICE, (50, Receipt::Yes), &bob, b"with a receipt", &options).unwrap();
        world.run_for(secs(120));
        (world.trace(), world.clients[ALICE].frames.clone(), world.clients[BOB].frames.clone())
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(with.0, without.0);
    assert!(with == without);
}

#[test]
fn pages_are_written_at_most_four_times_a_second_and_never_all_of_them() {
    let (mut world, _, bob) = keepers(51);
    world.send(ALICE, 1, &bob, &body(LARGE, 1), &surbs(20)).unwrap();
    for number in 2..40 {
        world.send(ALICE, number, &bob, &body(3_000, number as u8), &surbs(20)).unwrap();
        world.run_for(millis(250));
    }
    world.run_until(secs(120), |world| world.ends(ALICE).0.len() == 39);
    for client in [ALICE, BOB] {
        let mut times = world.clients[client].writes.clone();
        let written = times.len();
        times.dedup();
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= limits::PAGES_GAP));
        assert!(written < 4 * times.len(), "{written} pages in {} writes", times.len());
    }
}

#[test]
fn what_is_stored_shrinks_as_it_is_used_up_and_ends_with_its_day() {
    let (mut world, _, bob) = with(61, |mut config| {
        config.traffic.slot = millis(500);
        config.traffic.loop_cover = secs(10);
        config
    });
    world.set_epochs(3_600 * 48, 24);
    for number in 0..10 {
        world.send(ALICE, number, &bob, &body(2_000, number as u8), &surbs(10)).unwrap();
    }
    world.run_until(secs(600), |world| world.ends(ALICE).0.len() == 10);
    settle(&mut world);
    assert!(pages_of(&world, ALICE, Shelf::Given) > 0);
    assert!(pages_of(&world, BOB, Shelf::Held) > 0 && pages_of(&world, BOB, Shelf::Finished) > 0);
    world.run_for(limits::SURB_AGE_MAX + limits::SURB_SWEEP_TIME + secs(60));
    // What is finished is looked through when something else is written.
    world.send(ALICE, 20, &bob, b"the next day", &plain()).unwrap();
    world.run_until(secs(60), |world| world.ends(ALICE).0.contains(&20));
    settle(&mut world);
    assert_eq!(pages_of(&world, ALICE, Shelf::Given), 0);
    assert_eq!((pages_of(&world, BOB, Shelf::Held), pages_of(&world, BOB, Shelf::Finished)), (0, 1));
}

#[test]
fn surbs_of_another_rotation_are_not_taken_up() {
    // In the same rotation, in the next one, and in the one after that, whose tag is the same as that of the first.
    for (epochs, left) in [(0, 10), (3, 0), (6, 0)] {
        let (mut world, _, bob) = keepers(71);
        world.set_epochs(60, 3);
        world.clients[BOB].config.refresh = secs(10);
        world.store(BOB).remove(&Record::Topology);
        replace(&mut world, BOB);
        world.send(ALICE, 1, &bob, b"question", &surbs(10)).unwrap();
        world.run_until(secs(30), |world| !world.received(BOB).is_empty());
        let tag = tag(&world);
        settle(&mut world);
        world.kill_client(BOB);
        world.store(BOB).remove(&Record::Topology);
        world.run_for(secs(60 * epochs));
        world.start_client(BOB);
        world.until_ready(BOB);
        assert_eq!(world.engine(BOB).surbs_of(&tag), left);
        settle(&mut world);
        assert_eq!(pages_of(&world, BOB, Shelf::Held), usize::from(left > 0));
    }
}

#[test]
fn pages_that_cannot_be_used_are_counted_and_deleted_and_stop_nothing() {
    let (mut world, _, bob) = keepers(81);
    world.send(ALICE, 1, &bob, &body(300_000, 1), &surbs(20)).unwrap();
    world.run_until(secs(60), |world| world.engine(BOB).stats(world.now()).received.message > 50);
    settle(&mut world);
    for client in [ALICE, BOB] {
        world.kill_client(client);
        let stored = world.store(client);
        let mut bad = 0;
        for shelf in Shelf::ALL {
            for (number, bytes) in
                [vec![], vec![pages::PAGE_VERSION + 1, 2, 3], vec![pages::PAGE_VERSION; 9]].into_iter().enumerate()
            {
                // Any bytes tell what is used, or acknowledged, of a page that is there.
                let is_bad = !matches!(shelf, Shelf::Used | Shelf::Acked) || number < 2;
                bad += u64::from(is_bad);
                stored.insert(Record::Page(shelf, 1_000 + number as u32), bytes);
            }
        }
        world.start_client(client);
        world.until_ready(client);
        assert_eq!(world.engine(client).stats(world.now()).dropped.page, bad);
        settle(&mut world);
        let left = world.clients[client].stored().keys();
        assert_eq!(left.filter(|record| matches!(record, Record::Page(_, 1_000..))).count(), 0);
    }
    world.send(ALICE, 2, &bob, b"hello", &surbs(1)).unwrap();
    world.run_until(secs(60), |world| world.received(BOB).iter().any(|(body, _)| *body == b"hello"));
}

fn planned(options: SendOptions) -> SendOptions {
    SendOptions { planned: true, ..options }
}

#[test]
fn a_bare_message_whose_sender_ends_in_the_middle_goes_on_by_its_plan_and_arrives_once() {
    for (seed, loss) in (0..10).flat_map(|seed| [(seed, 0.0), (seed, 0.1)]) {
        let (mut world, _, bob) = keepers(500 + seed);
        world.weather = Weather { loss, ..Weather::default() };
        let sent = body(LARGE, seed as u8);
        world.send(ALICE, 1, &bob, &sent, &planned(surbs(5))).unwrap();
        // Before it is cut, at the beginning, in the middle, when all has left, when nearly all acks are there.
        let left = [0, 1, 100, 300, 600][seed as usize % 5];
        if left > 0 {
            world.run_until(secs(120), |world| real(world, ALICE) >= left);
        }
        if seed >= 5 {
            // What is in flight arrives meanwhile.
            world.run_for(millis(37 * seed));
        }
        replace(&mut world, ALICE);
        if world.clients[ALICE].plans.contains_key(&1) {
            world.resume(ALICE, 1, &bob, &[], &surbs(5)).unwrap();
        } else {
            assert_eq!(left, 0, "nothing leaves before its plan is kept");
            world.send(ALICE, 1, &bob, &sent, &planned(surbs(5))).unwrap();
        }
        world.run_until(secs(300), |world| world.ends(ALICE).0 == [1]);
        world.run_until(secs(5), |world| world.received(BOB).len() == 1);
        assert_eq!(world.received(BOB)[0].0, sent);
        // It can be answered, under the tag of the run that had cut it.
        world.send(BOB, 1, &Recipient::Tag(tag(&world)), b"answer", &plain()).unwrap();
        world.run_until(secs(60), |world| !answers(world, ALICE).is_empty());
        assert!(answers(&world, ALICE) == [(b"answer".to_vec(), Some(bob))]);
        world.run_for(secs(60));
        world.assert_quiet();
    }
}

/// Fragments that this run of a client has sent.
fn real(world: &World, client: usize) -> u64 {
    let sent = world.engine(client).stats(world.now()).sent;
    sent.real + sent.reply
}

#[test]
fn an_answer_whose_sender_ends_in_the_middle_goes_on_by_its_plan() {
    for seed in 0..5 {
        let (mut world, _, bob) = keepers(600 + seed);
        world.weather = Weather { loss: 0.05, ..Weather::default() };
        world.send(ALICE, 1, &bob, b"question", &surbs(60)).unwrap();
        world.run_until(secs(60), |world| world.received(BOB).len() == 1);
        let (tag, answer) = (tag(&world), body(150_000, seed as u8));
        world.send(BOB, 1, &Recipient::Tag(tag), &answer, &planned(plain())).unwrap();
        world.run_until(secs(60), |world| real(world, BOB) > 10 + 10 * seed);
        replace(&mut world, BOB);
        world.resume(BOB, 1, &Recipient::Tag(tag), &[], &plain()).unwrap();
        world.run_until(secs(300), |world| world.ends(BOB).0 == [1]);
        world.run_until(secs(5), |world| !answers(world, ALICE).is_empty());
        assert!(answers(&world, ALICE) == [(answer, Some(bob))]);
    }
}

#[test]
fn what_is_acknowledged_does_not_leave_again_and_late_acks_count() {
    let (mut world, _, bob) = keepers(700);
    let sent = body(LARGE, 1);
    world.send(ALICE, 1, &bob, &sent, &planned(plain())).unwrap();
    world.run_until(secs(60), |world| real(world, ALICE) >= 300);
    let acked = world.engine(ALICE).stats(world.now()).received.ack.min(250);
    assert!(acked > 100);
    // No longer than a round trip, so that acks of the first run come to the second.
    world.kill_client(ALICE);
    world.start_client(ALICE);
    world.until_ready(ALICE);
    // They leave in order, and without loss they are acknowledged in much the same.
    world.resume(ALICE, 1, &bob, &[255; 12], &plain()).unwrap();
    world.run_until(secs(120), |world| world.ends(ALICE).0 == [1]);
    world.run_until(secs(5), |world| world.received(BOB).len() == 1);
    let all = 1 + LARGE as u64 / 1_600;
    assert!(real(&world, ALICE) <= all - 96);
    assert_eq!(world.received(BOB)[0].0, sent);
    // All of it acknowledged: it is delivered at once, and so is nothing that is in use.
    replace(&mut world, ALICE);
    world.send(ALICE, 2, &bob, &body(5_000, 2), &planned(plain())).unwrap();
    world.run_until(secs(10), |world| world.clients[ALICE].plans.contains_key(&2));
    let plan = Plan::parse(&world.clients[ALICE].plans[&2]).unwrap();
    let again = |client: &mut Client<_>, now| client.resume(MessageId(3), &bob, plan, &plain(), now);
    assert_eq!(world.with_client(ALICE, again), Err(SendError::DuplicateId));
    replace(&mut world, ALICE);
    let before = real(&world, ALICE);
    world.resume(ALICE, 2, &bob, &[255], &plain()).unwrap();
    assert_eq!(world.ends(ALICE).0, [1, 2]);
    world.run_for(secs(5));
    assert_eq!(real(&world, ALICE), before);
}
