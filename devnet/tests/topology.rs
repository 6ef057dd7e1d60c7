//! The topology in virtual time: directories that misbehave, rotations, refreshing, and starts without a directory.

use std::cell::RefCell;
use std::rc::Rc;

use mixlet::engine::{
    Code, Config, Engine, Event, FetchError, Phase, Recipient, Record, Replies, Request, SendError, SendOptions, State,
    Traffic,
};
use mixlet::identity::Identity;
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::directory::{Directory, EpochClock, GatewayEntry, MixEntry, Seed};
use mixlet_devnet::sim::{LargeWorld as World, UNIX_ZERO};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

// ── directories that misbehave: the rows of the table in docs/RELIABILITY.md ─────────────────────────────────────────

/// What a directory makes of its honest answer to one path.
type Lie = fn(&str, Value) -> Result<Vec<u8>, FetchError>;

#[test]
fn a_lying_directory_fails_the_connecting_and_later_changes_nothing() {
    let rows: [(&str, Lie, Code); 12] = [
        ("does not answer", |_, _| Err(FetchError::TimedOut), Code::DirectoryUnreachable),
        ("answers with an error", |_, _| Err(FetchError::Status(500)), Code::DirectoryInvalid),
        ("answers with a page", |_, _| Ok(b"<!doctype html>".to_vec()), Code::DirectoryInvalid),
        ("answers with another kind of JSON", |_, _| Ok(b"[]".to_vec()), Code::DirectoryInvalid),
        (
            "sends 50 MB and is cut off",
            |path, honest| if path.ends_with(ROLES) { Err(FetchError::TooLarge) } else { text(honest) },
            Code::DirectoryInvalid,
        ),
        (
            "sends 50 MB and is not cut off",
            |path, honest| if path.ends_with(MIXES) { Ok(vec![b' '; 50 << 20]) } else { text(honest) },
            Code::DirectoryInvalid,
        ),
        (
            "has an empty layer",
            |path, honest| edited(path, ROLES, honest, |roles| roles["layer2"] = json!([])),
            Code::DirectoryInvalid,
        ),
        (
            "has a layer of nodes it does not list",
            |path, honest| edited(path, ROLES, honest, |roles| roles["layer2"] = json!([901, 902])),
            Code::DirectoryInvalid,
        ),
        (
            "has no gateway",
            |path, honest| edited(path, ROLES, honest, |roles| roles["entry_gateways"] = json!([])),
            Code::DirectoryInvalid,
        ),
        (
            "has another epoch in each answer",
            |path, honest| {
                edited(path, ROLES, honest, |roles| {
                    roles["epoch_id"] = json!(roles["epoch_id"].as_u64().unwrap_or(0) + 1)
                })
            },
            Code::DirectoryInvalid,
        ),
        (
            "has a rotation that is not the schedule's",
            |path, honest| {
                edited(path, MIXES, honest, |list| list["metadata"]["rotation_id"] = json!(2)).and_then(|body| {
                    edited(path, ENTRIES, parsed(&body), |list| list["metadata"]["rotation_id"] = json!(2))
                })
            },
            Code::DirectoryInvalid,
        ),
        (
            "has a schedule that does not fit",
            |path, honest| {
                edited(path, SCHEDULE, honest, |answer| answer["key_rotation_state"]["initial_epoch_id"] = json!(12))
            },
            Code::DirectoryInvalid,
        ),
    ];
    for (what, lie, code) in rows {
        // At the start.
        let mut world = World::new(1, 2);
        play(&mut world, lie);
        let config = quick(&world, 0);
        let client = world.add_client(config);
        world.run_for(secs(60));
        assert_eq!(failure(&world, client), Some((code, Phase::Topology)), "{what}");
        assert_eq!(world.clients[client].openings.len(), 0);

        // Later.
        let (mut world, bob) = pair(2, quick);
        let (epoch, dropped) = in_use(&world);
        play(&mut world, lie);
        world.run_for(secs(45));
        assert_eq!(states(&world), [(State::Connecting, None), (State::Ready, None)], "{what}");
        assert_eq!(in_use(&world).0, epoch);
        let refused = in_use(&world).1 - dropped;
        assert_eq!(refused > 0, code == Code::DirectoryInvalid, "{what}: {refused} refused");
        assert!(world.engine(ALICE).stats(world.now()).topology_age > Some(secs(30)), "{what}");
        arrives(&mut world, 1, &bob);
        // And it heals.
        world.stop_playing();
        world.run_for(secs(15));
        assert!(world.engine(ALICE).stats(world.now()).topology_age < Some(secs(15)), "{what}");
    }
}

#[test]
fn answers_that_straddle_an_epoch_are_asked_for_once_more_at_once() {
    let (mut world, _) = pair(3, quick);
    let (_, dropped) = in_use(&world);
    let asked = Rc::new(RefCell::new(0));
    let count = Rc::clone(&asked);
    world.play_directory(move |_, path, honest| {
        let honest = honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?;
        *count.borrow_mut() += u32::from(path.ends_with(ROLES));
        if *count.borrow() == 1 {
            return edited(path, ROLES, honest, |roles| roles["epoch_id"] = json!(23));
        }
        text(honest)
    });
    world.run_until(secs(20), |_| *asked.borrow() == 1);
    let first = world.now();
    world.run_until(secs(1), |_| *asked.borrow() == 2);
    assert!(world.now().since(first) < Duration::from_millis(50));
    assert_eq!(in_use(&world).1, dropped);
}

#[test]
fn a_directory_that_goes_back_in_time_is_believed_only_when_it_insists() {
    let (mut world, bob) = pair(4, quick);
    world.advance_epochs(5);
    world.run_for(secs(15));
    let (epoch, dropped) = in_use(&world);
    play(&mut world, |path, honest| other_epoch(path, honest, -3));
    world.run_until(secs(60), |world| in_use(world).1 == dropped + u64::from(limits::TOPOLOGY_REFUSALS_MAX));
    assert_eq!(in_use(&world).0, epoch);
    world.run_until(secs(20), |world| in_use(world).0 != epoch);
    assert_eq!(in_use(&world), (epoch - 3, dropped + 3));
    assert!(world.engine(ALICE).topology().unwrap().warnings().epoch_in_past);
    arrives(&mut world, 1, &bob);
    assert_eq!(states(&world), [(State::Connecting, None), (State::Ready, None)]);
}

#[test]
fn of_two_answers_in_turn_the_later_is_kept() {
    let (mut world, bob) = pair(5, quick);
    let round = Rc::new(RefCell::new(0));
    let count = Rc::clone(&round);
    world.play_directory(move |_, path, honest| {
        let honest = honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?;
        *count.borrow_mut() += u32::from(path.ends_with(ROLES));
        other_epoch(path, honest, if *count.borrow() % 2 == 1 { 2 } else { 0 })
    });
    world.run_until(secs(20), |_| *round.borrow() == 1);
    world.run_for(secs(1));
    let (epoch, dropped) = in_use(&world);
    while *round.borrow() < 12 {
        world.run_for(secs(1));
        assert_eq!(in_use(&world).0, epoch);
    }
    assert!(in_use(&world).1 >= dropped + 5);
    arrives(&mut world, 1, &bob);
    assert_eq!(states(&world), [(State::Connecting, None), (State::Ready, None)]);
}

#[test]
fn a_directory_that_is_ahead_of_time_makes_the_honest_one_wait() {
    let (mut world, bob) = pair(6, quick);
    let honest = in_use(&world).0;
    play(&mut world, |path, honest| other_epoch(path, honest, 7));
    world.run_for(secs(15));
    let (epoch, dropped) = in_use(&world);
    assert_eq!(epoch, honest + 7, "nothing but the directory says what epoch it is");
    world.stop_playing();
    world.run_for(secs(60));
    assert_eq!(in_use(&world), (honest, dropped + u64::from(limits::TOPOLOGY_REFUSALS_MAX)));
    arrives(&mut world, 1, &bob);
}

#[test]
fn a_topology_that_is_mostly_new_is_believed_only_when_it_insists() {
    let (mut world, bob) = pair(7, quick);
    let dropped = in_use(&world).1;
    let before = identities(&world);
    // Five of the eight nodes have other identities. Their keys are the same, so that packets still pass.
    play(&mut world, |path, honest| {
        edited(path, MIXES, honest, |list| {
            let others = stranger();
            for (place, node) in (0..5).zip(list["nodes"]["data"].as_array_mut().into_iter().flatten()) {
                let new = others.gateway_id(&others.gateways[place]);
                node["ed25519_identity_pubkey"] = json!(new);
            }
        })
    });
    world.run_until(secs(60), |world| in_use(world).1 == dropped + u64::from(limits::TOPOLOGY_REFUSALS_MAX));
    assert_eq!(identities(&world), before);
    world.run_until(secs(20), |world| identities(world) != before);
    assert!(world.engine(ALICE).topology().unwrap().warnings().mostly_new);
    arrives(&mut world, 1, &bob);
}

#[test]
fn a_topology_without_our_gateway_is_not_used_and_the_second_is_told() {
    let (mut world, bob) = pair(8, quick);
    let rounds = Rc::new(RefCell::new(0));
    let count = Rc::clone(&rounds);
    world.play_directory(move |_, path, honest| {
        *count.borrow_mut() += u32::from(path.ends_with(SCHEDULE));
        without_gateway(path, honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?, 0)
    });
    world.run_until(secs(20), |_| *rounds.borrow() == 1);
    world.run_for(secs(1));
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    world.run_until(secs(20), |_| *rounds.borrow() == 2);
    world.run_for(secs(1));
    assert_eq!(states(&world).last(), Some(&(State::Degraded, Some(Code::GatewayGone))));
    // The old topology still serves, and the link stays.
    arrives(&mut world, 1, &bob);
    assert_eq!(world.engine(ALICE).state(), State::Degraded);
    // A link lost meanwhile is told of with the reason, and comes back if the gateway does.
    world.cut_link(ALICE);
    world.run_for(secs(3));
    let lost = [(State::Reconnecting, Some(Code::GatewayGone)), (State::Degraded, Some(Code::GatewayGone))];
    assert_eq!(states(&world)[3..], lost);
    world.stop_playing();
    world.run_for(secs(15));
    assert_eq!(states(&world)[5..], [(State::Ready, None)]);
    assert_eq!(world.clients[ALICE].openings.len(), 2);
}

#[test]
fn a_client_whose_gateway_is_gone_at_the_start_links_to_it_and_waits_for_its_return() {
    let (mut world, bob) = pair(9, quick);
    stop(&mut world, ALICE);
    world.store(ALICE).remove(&Record::Topology);
    play(&mut world, |path, honest| without_gateway(path, honest, 0));
    world.start_client(ALICE);
    world.run_for(secs(30));
    assert_eq!(states(&world).last(), Some(&(State::Degraded, Some(Code::GatewayGone))));
    assert_eq!(world.clients[ALICE].openings.len(), 2, "the link is not to blame");
    world.stop_playing();
    world.run_for(secs(15));
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    arrives(&mut world, 1, &bob);

    // A new client has nothing to wait for.
    play(&mut world, |path, honest| without_gateway(path, honest, 0));
    let config = quick(&world, 0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    assert_eq!(failure(&world, client), Some((Code::NoGateway, Phase::Gateway)));
}

#[test]
fn the_next_directory_is_asked_after_one_that_failed() {
    let bases = ["http://127.0.0.1:1/api", "http://127.0.0.1:2/api/"].map(str::to_owned);
    let config = Config::new(bases.to_vec(), secs(UNIX_ZERO)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(27);
    let identity = Identity::generate(&mut rng);
    let mut engine: Engine = Engine::new(config, identity, None, Box::new(rng), Instant::ZERO);
    engine.connect(Instant::ZERO);
    let mut now = Instant::ZERO;
    // Each has three chances, in turn.
    for number in 0..6 {
        let base = bases[number % 2].trim_end_matches('/');
        for path in mixlet::topology::PATHS {
            let Some(Request::Fetch { id, url }) = engine.poll_request() else { panic!("no fetch") };
            assert_eq!(url, format!("{base}/{path}"));
            engine.handle_fetched(id, Err(FetchError::Unreachable), now);
        }
        assert!(engine.poll_request().is_none());
        if let Some(at) = engine.poll_timeout() {
            now = at;
            engine.handle_timeout(now);
        }
    }
    assert_eq!(engine.state(), State::Idle);
    assert!(now.since(Instant::ZERO) < secs(60));
}

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

/// Rotations of three epochs of a minute each.
fn quick_rotations(seed: u64) -> (World, Recipient, Recipient) {
    let mut world = World::new(seed, 2);
    world.set_epochs(60, 3);
    let (alice, bob) = (unhurried(&world, 0), unhurried(&world, 1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

/// Runs until so many seconds after the beginning; nodes get their keys when epochs begin.
fn run_to(world: &mut World, second: u64) {
    while world.now() < Instant::ZERO + secs(second) {
        let left = (Instant::ZERO + secs(second)).since(world.now());
        world.run_for(left.min(secs(1)));
        world.advance_epochs(0);
    }
}

fn rotation(world: &World, client: usize) -> u32 {
    world.engine(client).topology().map_or(0, |topology| topology.rotation_id())
}

fn retransmissions(world: &World, client: usize) -> u64 {
    world.engine(client).stats(world.now()).sent.retransmission
}

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
    let (mut world, _, _) = quick_rotations(14);
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

// ── starts without a directory ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_second_start_needs_no_directory_and_refreshes_behind_the_scenes() {
    let (mut world, bob) = pair(17, |world, gateway| world.config(gateway));
    world.run_for(secs(2));
    stop(&mut world, ALICE);
    world.set_directory_up(false);
    world.start_client(ALICE);
    let start = world.now();
    world.until_ready(ALICE);
    assert!(world.now().since(start) < secs(1));
    arrives(&mut world, 1, &bob);
    let age = world.engine(ALICE).stats(world.now()).topology_age;
    assert!(age > Some(secs(2)), "its age is that of the answer: {age:?}");

    // One that is overdue is refreshed at once.
    world.set_directory_up(true);
    stop(&mut world, ALICE);
    stop(&mut world, BOB);
    world.run_for(secs(3_000));
    let fetched = listen(&mut world);
    let start = world.now();
    world.start_client(ALICE);
    world.until_ready(ALICE);
    assert_eq!(fetched.borrow().len(), 0, "ready before anybody was asked");
    world.run_for(secs(6));
    assert_eq!(fetched.borrow().len(), 1);
    assert!(fetched.borrow()[0].since(start) <= secs(6));
    assert!(world.engine(ALICE).stats(world.now()).topology_age < Some(secs(6)));
}

#[test]
fn a_second_attempt_of_the_same_client_needs_no_directory_either() {
    let mut world = World::new(24, 2);
    world.set_epochs(60, 3);
    world.kill_gateway(0, false);
    let config = quick(&world, 0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    assert_eq!(failure(&world, client), Some((Code::GatewayRefused, Phase::Gateway)));
    world.set_directory_up(false);
    world.revive_gateway(0);
    world.with_engine(client, |engine, now| engine.connect(now));
    world.until_ready(client);
    // It is refreshed all the same, when the directory is back.
    world.run_for(secs(20));
    world.set_directory_up(true);
    world.run_for(secs(15));
    assert!(world.engine(client).stats(world.now()).topology_age < Some(secs(15)));

    // But not with keys that are gone.
    let mut world = World::new(25, 2);
    world.set_epochs(60, 3);
    world.kill_gateway(0, false);
    let config = quick(&world, 0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    world.set_directory_up(false);
    run_to(&mut world, 245);
    world.clients[client].events.clear();
    world.with_engine(client, |engine, now| engine.connect(now));
    world.run_for(secs(12));
    assert_eq!(failure(&world, client), Some((Code::DirectoryUnreachable, Phase::Topology)));
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

#[test]
fn a_stored_topology_that_cannot_be_used_is_ignored() {
    // Long epochs, so that age alone counts.
    let mut world = World::new(18, 2);
    world.set_epochs(30 * 86_400, 24);
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    stop(&mut world, client);
    let good = world.store(client)[&Record::Topology].clone();
    let config = world.clients[client].config.clone();
    world.set_directory_up(false);
    assert!(starts(&mut world, client));

    // Damaged.
    for at in (0..56).chain((56..good.len()).step_by(61)) {
        world.store(client).get_mut(&Record::Topology).unwrap()[at] ^= 1 << (at % 8);
        assert!(!starts(&mut world, client), "byte {at}");
        world.store(client).insert(Record::Topology, good.clone());
    }
    for len in [0, 1, 2, 9, 10, 41, 42, 43, 51, good.len() / 2, good.len() - 1] {
        world.store(client).insert(Record::Topology, good[..len].to_vec());
        assert!(!starts(&mut world, client), "{len} bytes");
    }
    world.store(client).insert(Record::Topology, vec![1; limits::TOPOLOGY_RECORD_LEN_MAX + 1]);
    assert!(!starts(&mut world, client));
    world.store(client).insert(Record::Topology, good.clone());

    // Of another network, or by another measure, or from the future.
    let refused: [fn(&mut Config); 3] = [
        |config| config.directories = vec!["http://127.0.0.1:2/api".to_owned()],
        |config| config.minimum_performance = 60,
        |config| config.unix_zero = Duration::from_secs(UNIX_ZERO - 86_400),
    ];
    for (number, change) in refused.into_iter().enumerate() {
        change(&mut world.clients[client].config);
        assert!(!starts(&mut world, client), "case {number}");
        world.clients[client].config = config.clone();
    }
    // The same directory among others, written otherwise.
    world.clients[client].config.directories =
        vec!["http://127.0.0.1:2/api".to_owned(), format!("{}/", config.directories[0])];
    assert!(starts(&mut world, client));
    world.clients[client].config = config;

    // Too old.
    let age = world.now().as_micros();
    world.run_for(limits::TOPOLOGY_RECORD_AGE_MAX - secs(60) - Duration::from_micros(age));
    assert!(starts(&mut world, client));
    world.run_for(secs(120));
    assert!(!starts(&mut world, client));
    // Never an error: with a directory it starts as if there were none.
    world.set_directory_up(true);
    assert!(starts(&mut world, client));
    assert_ne!(world.store(client)[&Record::Topology], good);
}

#[test]
fn a_stored_topology_is_not_used_when_its_rotation_is_over_or_nobody_knows() {
    let (mut world, _, _) = quick_rotations(19);
    stop(&mut world, ALICE);
    stop(&mut world, BOB);
    world.set_directory_up(false);
    run_to(&mut world, 222);
    assert!(starts(&mut world, ALICE), "in the epoch of grace");
    run_to(&mut world, 250);
    assert!(!starts(&mut world, ALICE));

    // Without a schedule it is good for an hour.
    let mut world = World::new(20, 1);
    play(&mut world, |path, honest| if path.ends_with(SCHEDULE) { Err(FetchError::Status(404)) } else { text(honest) });
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    stop(&mut world, client);
    world.stop_playing();
    world.set_directory_up(false);
    world.run_for(limits::TOPOLOGY_RECORD_AGE_UNSCHEDULED_MAX - secs(60));
    assert!(starts(&mut world, client));
    world.run_for(secs(120));
    assert!(!starts(&mut world, client));
}

#[test]
fn a_stored_topology_without_the_wanted_gateway_is_not_used() {
    let mut world = World::new(21, 2);
    play(&mut world, |path, honest| without_gateway(path, honest, 1));
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    stop(&mut world, client);
    world.clients[client].config.gateway = world.config(1).gateway;
    world.set_directory_up(false);
    world.stop_playing();
    assert!(!starts(&mut world, client));
    world.set_directory_up(true);
    assert!(starts(&mut world, client));
}

#[test]
fn a_gateway_that_has_moved_since_is_found_by_the_refresh() {
    let mut world = World::new(22, 2);
    // The directory is wrong about where the gateway listens.
    play(&mut world, |path, honest| {
        edited(path, ENTRIES, honest, |list| list["nodes"]["data"][0]["entry"]["ws_port"] = json!(3_999))
    });
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(secs(10));
    assert_eq!(failure(&world, client), Some((Code::GatewayRefused, Phase::Gateway)));
    stop(&mut world, client);
    assert!(world.store(client).contains_key(&Record::Topology));
    world.stop_playing();
    assert!(starts(&mut world, client), "the first failure sends for a new one");
}

// ── what the tests are made of ───────────────────────────────────────────────────────────────────────────────────────

const ALICE: usize = 0;
const BOB: usize = 1;
const ROLES: &str = "rewarded-set";
const MIXES: &str = "mixnodes/active";
const ENTRIES: &str = "entry-gateways";
const SCHEDULE: &str = "key-rotation-info";

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Two clients, each on its own gateway, both ready.
fn pair(seed: u64, config: fn(&World, usize) -> Config) -> (World, Recipient) {
    let mut world = World::new(seed, 2);
    let (alice, mut bob) = (config(&world, 0), config(&world, 1));
    // The directory lies to Alice.
    bob.refresh = secs(3_600);
    world.add_client(alice);
    world.add_client(bob);
    world.until_ready(ALICE);
    let bob = world.until_ready(BOB);
    (world, Recipient::Address(bob))
}

/// Refreshes every ten seconds, and so few packets that a minute is quick.
fn quick(world: &World, gateway: usize) -> Config {
    let mut config = unhurried(world, gateway);
    config.refresh = secs(10);
    config.traffic.slot = Duration::from_millis(300);
    config
}

fn unhurried(world: &World, gateway: usize) -> Config {
    let mut config = world.config(gateway);
    config.traffic.slot = Duration::from_millis(200);
    config.traffic.loop_cover = secs(1);
    config
}

fn plain() -> SendOptions {
    SendOptions { replies: Replies::Exactly(0), ..SendOptions::default() }
}

fn play(world: &mut World, lie: Lie) {
    world.play_directory(move |_, path, honest| {
        lie(path, honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?)
    });
}

/// When the directory was asked for a topology, from now on.
fn listen(world: &mut World) -> Rc<RefCell<Vec<Instant>>> {
    let times = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&times);
    world.play_directory(move |now, path, honest| {
        if path.ends_with(ROLES) {
            heard.borrow_mut().push(now);
        }
        honest.map(String::into_bytes).ok_or(FetchError::Unreachable)
    });
    times
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

fn text(answer: Value) -> Result<Vec<u8>, FetchError> {
    Ok(answer.to_string().into_bytes())
}

/// The answer, edited if it is the one to this path.
fn edited(path: &str, which: &str, mut answer: Value, edit: impl FnOnce(&mut Value)) -> Result<Vec<u8>, FetchError> {
    if path.ends_with(which) {
        edit(&mut answer);
    }
    text(answer)
}

/// Answers of an epoch so much later, all of them, and with a schedule that makes it the same rotation.
fn other_epoch(path: &str, mut answer: Value, later: i64) -> Result<Vec<u8>, FetchError> {
    let fields: &[&str] = match path {
        path if path.ends_with(ROLES) => &["/epoch_id"],
        path if path.ends_with(SCHEDULE) => &["/current_absolute_epoch_id"],
        _ => &["/metadata/absolute_epoch_id", "/metadata/status/fresh/total_elapsed_epochs"],
    };
    for field in fields {
        if let Some(epoch) = answer.pointer_mut(field) {
            *epoch = json!(epoch.as_i64().unwrap_or_default() + later);
        }
    }
    text(answer)
}

/// The answers without one of the gateways.
fn without_gateway(path: &str, answer: Value, place: usize) -> Result<Vec<u8>, FetchError> {
    edited(path, ENTRIES, answer, |list| {
        let nodes = list["nodes"]["data"].as_array_mut().map(|nodes| {
            nodes.remove(place);
            nodes.len()
        });
        list["nodes"]["pagination"]["total"] = json!(nodes);
    })
}

/// A network that has nothing to do with that of the world.
fn stranger() -> Directory {
    let at = |port: u16| ([127, 0, 0, 1], port).into();
    Directory {
        seed: Seed::from_bytes([9; 32]),
        mixes: vec![MixEntry { id: 1, layer: 1, address: at(1) }],
        gateways: (0..5).map(|id| GatewayEntry { id: 20 + id, mix_address: at(2), client_address: at(3) }).collect(),
        clock: EpochClock::new(UNIX_ZERO, 3_600, 24),
    }
}

/// The epoch of the topology that Alice uses, and how many answers she has refused.
fn in_use(world: &World) -> (u32, u64) {
    let engine = world.engine(ALICE);
    (engine.topology().map_or(0, |topology| topology.epoch()), engine.stats(world.now()).dropped.topology)
}

fn identities(world: &World) -> Vec<String> {
    let topology = world.engine(ALICE).topology();
    let layers = topology.into_iter().flat_map(|topology| (0..3).flat_map(|layer| topology.layer(layer)));
    layers.map(|node| node.id.to_string()).collect()
}

/// Starts a client, says whether it gets ready, and stops it again.
fn starts(world: &mut World, client: usize) -> bool {
    world.start_client(client);
    world.run_for(secs(12));
    let is_ready = world.engine(client).state() == State::Ready;
    assert!(is_ready || world.engine(client).state() == State::Idle, "neither ready nor failed");
    stop(world, client);
    is_ready
}

/// Ends a client, and lets its socket close before another begins.
fn stop(world: &mut World, client: usize) {
    world.stop_client(client);
    world.run_for(secs(0));
}

/// Alice sends Bob a message, which arrives once and is acknowledged.
fn arrives(world: &mut World, id: u64, bob: &Recipient) {
    let before = world.received(BOB).len();
    assert_eq!(world.send(ALICE, id, bob, b"hello", &plain()), Ok(()));
    world.run_until(secs(10), |world| world.ends(ALICE).0.contains(&id));
    assert_eq!(world.received(BOB).len(), before + 1);
}

/// The states of Alice, and why.
fn states(world: &World) -> Vec<(State, Option<Code>)> {
    let events = world.clients[ALICE].events.iter();
    events
        .filter_map(|(_, event)| match event {
            Event::State { state, code } => Some((*state, *code)),
            _ => None,
        })
        .collect()
}

fn failure(world: &World, client: usize) -> Option<(Code, Phase)> {
    world.clients[client].events.iter().find_map(|(_, event)| match event {
        Event::Failed { code, phase } => Some((*code, *phase)),
        _ => None,
    })
}
