//! Refreshing and key rotations in virtual time.

mod worlds;

use mixlet::engine::{Code, Recipient, Record, Replies, SendError, SendOptions, State, Traffic};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::LargeWorld as World;
use worlds::{
    ALICE, BOB, arrives, listen, pair, plain, quick, quick_rotations, retransmissions, rotation, run_to, secs, states,
    stop, unhurried,
};

// ── refreshing ───────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn refreshes_have_no_rhythm_and_the_stored_topology_is_renewed_now_and_then() {
    let mut world = World::new(10, 1);
    let fetched = listen(&mut world);
    let mut config = world.config(0);
    (config.traffic.slot, config.traffic.loop_cover) = (secs(10), secs(10));
    let client = world.add_client(config);
    let mut records = vec![None];
    for _ in 0..4 * 60 {
        world.run_for(secs(60));
        let record = world.store(client).get(&Record::Topology).cloned();
        if record != records[records.len() - 1] {
            records.push(record);
        }
    }
    let gaps: Vec<u128> = fetched.borrow().windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    assert!((40..=58).contains(&gaps.len()), "{} refreshes in four hours", gaps.len());
    // Twenty per cent to either side of five minutes, and the way to the directory.
    assert!(gaps.iter().all(|gap| (240_000..=360_050).contains(gap)), "{gaps:?}");
    let (low, high) =
        (gaps.iter().filter(|gap| **gap < 270_000).count(), gaps.iter().filter(|gap| **gap > 330_000).count());
    assert!(low >= 5 && high >= 5, "{gaps:?}");
    let mut different = gaps.clone();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() > gaps.len() - 3);
    // One for each epoch, which lasts an hour.
    assert!((5..=6).contains(&records.len()), "{} records", records.len());
}

#[test]
fn a_rotation_is_noticed_soon_and_not_by_all_at_once() {
    let mut world = World::new(11, 1);
    world.set_epochs(600, 3);
    let fetched = listen(&mut world);
    for _ in 0..8 {
        let mut config = world.config(0);
        (config.traffic.slot, config.traffic.loop_cover, config.refresh) = (secs(10), secs(10), secs(3_600));
        world.add_client(config);
    }
    world.run_for(secs(1_799));
    let before = fetched.borrow().len();
    assert_eq!(before, 8);
    world.run_for(secs(2) + limits::ROTATION_SPREAD);
    let after: Vec<Instant> = fetched.borrow()[before..].to_vec();
    assert_eq!(after.len(), 8, "one each");
    let spread = after[7].since(after[0]);
    assert!(after[0] >= Instant::ZERO + secs(1_800) && spread > secs(20), "within {spread:?}");
}

// ── rotations ────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn messages_and_answers_cross_rotations_of_both_parities_without_a_fragment_sent_twice() {
    let (mut world, _, bob) = quick_rotations(12);
    let mut answered = 0;
    for id in 0..200 {
        // Now and then one of several fragments.
        let body = vec![id as u8; if id % 10 == 0 { 9_000 } else { 50 }];
        world.send(ALICE, id, &bob, &body, &SendOptions::default()).unwrap();
        run_to(&mut world, 2 * id + 2);
        let waiting: Vec<_> = world.received(BOB)[answered..].iter().map(|(body, tag)| (body.to_vec(), *tag)).collect();
        for (body, tag) in waiting {
            let tag = Recipient::Tag(tag.expect("a tag"));
            world.send(BOB, answered as u64, &tag, &body, &SendOptions::default()).unwrap();
            answered += 1;
        }
    }
    run_to(&mut world, 420);
    assert_eq!((rotation(&world, ALICE), rotation(&world, BOB)), (3, 3), "odd, even, odd");
    assert_eq!(world.ends(ALICE).0.len(), 200);
    assert_eq!(world.ends(BOB).0.len(), answered);
    assert!(answered >= 195 && world.received(ALICE).len() == answered && world.received(BOB).len() == 200);
    assert_eq!((retransmissions(&world, ALICE), retransmissions(&world, BOB)), (0, 0));
}

#[test]
fn reply_blocks_of_the_rotation_before_work_for_its_last_epoch_and_are_dropped_after_it() {
    let (mut world, _, bob) = quick_rotations(13);
    run_to(&mut world, 170);
    world.send(ALICE, 1, &bob, b"answer later", &SendOptions::default()).unwrap();
    run_to(&mut world, 178);
    let tag = Recipient::Tag(world.received(BOB)[0].1.expect("a tag"));
    assert_eq!(world.engine(BOB).stats(world.now()).surbs_held, 20);
    run_to(&mut world, 205);
    assert_eq!((rotation(&world, ALICE), rotation(&world, BOB)), (2, 2));
    for id in 0..5 {
        world.send(BOB, id, &tag, b"in time", &SendOptions::default()).unwrap();
    }
    run_to(&mut world, 215);
    assert_eq!((world.ends(BOB).0.len(), world.received(ALICE).len()), (5, 5));
    assert_eq!(retransmissions(&world, BOB), 0, "acks come back too");
    run_to(&mut world, 239);
    assert_eq!(world.engine(BOB).stats(world.now()).surbs_held, 15);
    run_to(&mut world, 242);
    let stats = world.engine(BOB).stats(world.now());
    assert_eq!((stats.surbs_held, stats.dropped.surb), (0, 15));
    assert_eq!(world.send(BOB, 9, &tag, b"too late", &SendOptions::default()), Err(SendError::NoSurbs));
}

#[test]
fn reply_blocks_of_a_rotation_that_we_do_not_know_yet_wait_for_it() {
    let (mut world, _, _) = quick_rotations(16);
    stop(&mut world, ALICE);
    // Alice learns of the rotation as it begins, Bob some seconds later.
    run_to(&mut world, 180);
    world.advance_epochs(0);
    world.run_for(Duration::from_millis(200));
    world.store(ALICE).remove(&Record::Topology);
    world.start_client(ALICE);
    world.until_ready(ALICE);
    let bob = Recipient::Address(world.engine(BOB).address().unwrap().clone());
    world.send(ALICE, 1, &bob, b"answer at once", &SendOptions::default()).unwrap();
    run_to(&mut world, 184);
    assert_eq!((rotation(&world, ALICE), rotation(&world, BOB)), (2, 1), "another seed is needed");
    let tag = Recipient::Tag(world.received(BOB)[0].1.expect("a tag"));
    world.send(BOB, 1, &tag, b"as soon as I can", &SendOptions::default()).unwrap();
    while rotation(&world, BOB) == 1 {
        assert_eq!(world.received(ALICE).len(), 0);
        let second = world.now().as_micros() / 1_000_000 + 1;
        run_to(&mut world, second);
    }
    run_to(&mut world, 200);
    assert_eq!((world.ends(BOB).0, world.received(ALICE).len()), (vec![1], 1));
    assert_eq!(retransmissions(&world, BOB), 0);
}

#[test]
fn reply_blocks_half_made_when_a_rotation_comes_are_made_anew() {
    let (mut world, bob) = pair(23, |world, gateway| {
        let mut config = quick(world, gateway);
        config.traffic.slot = Duration::from_millis(80);
        config
    });
    let usual = world.clients[ALICE].config.traffic;
    // A hundred take a few slots, which are far apart at first.
    let rare = Traffic { slot: secs(10), ..usual };
    world.with_engine(ALICE, |engine, now| engine.set_traffic(rare, now).unwrap());
    let options = SendOptions { replies: Replies::Exactly(100), ..SendOptions::default() };
    world.send(ALICE, 1, &bob, b"answer at length", &options).unwrap();
    world.run_for(secs(15));
    world.advance_epochs(24);
    world.run_until(secs(15), |world| rotation(world, ALICE) == 2);
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.real, 0, "another seed is needed");
    world.with_engine(ALICE, |engine, now| engine.set_traffic(usual, now).unwrap());
    // Now also who refreshes seldom knows of the rotation, and the nodes have forgotten the keys before.
    world.with_engine(BOB, |engine, now| engine.handle_online(now));
    world.run_until(secs(90), |world| world.ends(ALICE).0 == [1]);
    world.advance_epochs(1);
    assert_eq!(rotation(&world, BOB), 2);
    let tag = Recipient::Tag(world.received(BOB)[0].1.expect("a tag"));
    world.send(BOB, 1, &tag, &vec![5; 97 * 1_580], &SendOptions::default()).unwrap();
    world.run_until(secs(20), |world| world.ends(BOB).0 == [1]);
    assert_eq!((world.received(ALICE).len(), retransmissions(&world, BOB)), (1, 0));
}

#[test]
fn who_sleeps_through_a_rotation_sends_nothing_with_dead_keys() {
    let (mut world, _, bob) = quick_rotations(15);
    run_to(&mut world, 100);
    world.sleep_client(ALICE, secs(430));
    world.advance_epochs(0);
    let before = world.engine(ALICE).stats(world.now()).sent;
    world.send(ALICE, 1, &bob, b"good morning", &plain()).unwrap();
    run_to(&mut world, 605);
    assert_eq!(rotation(&world, ALICE), 4);
    assert_eq!(world.ends(ALICE).0, [1]);
    // Bob, who was awake among nodes without keys, gets it when he is back.
    world.run_until(secs(100), |world| world.received(BOB).len() == 1);
    let sent = world.engine(ALICE).stats(world.now()).sent;
    assert_eq!((sent.real, sent.retransmission), (before.real + 1, 0));
}

#[test]
fn without_a_directory_a_rotation_is_survived_for_an_epoch_and_then_told() {
    let (mut world, _, bob) = quick_rotations(16);
    run_to(&mut world, 100);
    world.set_directory_up(false);
    run_to(&mut world, 225);
    assert_eq!(rotation(&world, ALICE), 1);
    world.send(ALICE, 1, &bob, b"with the old keys", &plain()).unwrap();
    run_to(&mut world, 235);
    assert_eq!(world.ends(ALICE).0, vec![1]);
    assert_eq!(states(&world).last(), Some(&(State::Ready, None)));
    let frames = world.clients[ALICE].frames.len();
    run_to(&mut world, 260);
    assert_eq!(states(&world).last(), Some(&(State::Degraded, Some(Code::DirectoryUnreachable))));
    assert!(world.clients[ALICE].frames.len() > frames + 100, "the traffic keeps its shape");
    world.send(ALICE, 2, &bob, b"waits", &plain()).unwrap();
    run_to(&mut world, 300);
    assert_eq!(world.clients[ALICE].openings.len(), 1, "the link is not to blame");
    assert_eq!(world.received(BOB).len(), 1);
    world.set_directory_up(true);
    world.with_engine(ALICE, |engine, now| engine.handle_online(now));
    run_to(&mut world, 310);
    assert_eq!(states(&world).last(), Some(&(State::Ready, None)));
    assert_eq!((world.ends(ALICE).0, world.received(BOB).len()), (vec![1, 2], 2));
    assert_eq!(retransmissions(&world, ALICE), 0);
}

#[test]
fn a_clock_that_is_ahead_delays_nothing_at_a_rotation() {
    let mut world = World::new(26, 2);
    world.set_epochs(600, 3);
    let (mut alice, bob) = (unhurried(&world, 0), unhurried(&world, 1));
    // So far ahead that the rotation is over by it, in its very beginning; registering does not tell.
    alice.unix_zero += secs(2_400 - 20);
    (alice.traffic.slot, alice.traffic.loop_cover) = (Duration::from_millis(300), secs(2));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    world.until_ready(alice);
    let bob = Recipient::Address(world.until_ready(bob));
    world.run_for(secs(40));
    arrives(&mut world, 1, &bob);
    assert_eq!(retransmissions(&world, ALICE), 0);
}
