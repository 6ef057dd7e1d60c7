//! The engine in virtual time, with real packets through real nodes.

mod worlds;

use mixlet::engine::{Code, Event, MessageId, Recipient, Record, SendOptions, Sphinx, State, Traffic};
use mixlet::identity::Registration;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{Weather, World};
use worlds::{ALICE, BOB, plain, two_clients};

#[test]
fn a_message_arrives_once_and_its_sender_is_told() {
    let (mut world, _, bob) = two_clients::<Sphinx>(1, Weather::default());
    world.send(ALICE, 7, &bob, b"hello", &plain()).unwrap();
    world.run_until(Duration::from_secs(10), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.ends(ALICE), (vec![7], vec![]));
    assert_eq!(received(&world, BOB), vec![b"hello".to_vec()]);
    let sent = world.clients[ALICE].events.iter().position(|(_, event)| matches!(event, Event::Sent { .. }));
    let delivered = world.clients[ALICE].events.iter().position(|(_, event)| matches!(event, Event::Delivered { .. }));
    assert!(sent.is_some() && sent < delivered);
    world.run_for(Duration::from_secs(2));
    let stats = world.engine(ALICE).stats(world.now());
    assert_eq!((stats.queued_bytes, stats.in_flight, stats.sent.real, stats.sent.retransmission), (0, 0, 1, 0));
}

#[test]
fn an_anonymous_message_can_be_answered_and_answered_again() {
    let (mut world, _, bob) = two_clients::<Sphinx>(2, Weather::default());
    world.send(ALICE, 1, &bob, b"who am I?", &SendOptions::default()).unwrap();
    world.run_until(Duration::from_secs(20), |world| !world.received(BOB).is_empty());
    let tag = world.received(BOB)[0].1.expect("a tag to answer to");
    let long = vec![9; 60_000];
    world.send(BOB, 1, &Recipient::Tag(tag), b"somebody", &SendOptions::default()).unwrap();
    world.send(BOB, 2, &Recipient::Tag(tag), &long, &SendOptions::default()).unwrap();
    // 38 fragments need more SURBs than the 20 that came along.
    world.run_until(Duration::from_secs(60), |world| world.ends(BOB).0.len() == 2);
    let mut expected = vec![long, b"somebody".to_vec()];
    expected.sort();
    assert_eq!(received(&world, ALICE), expected);
    assert!(world.received(ALICE).iter().all(|(_, tag)| tag.is_none()));
    assert_eq!(world.ends(BOB).1, Vec::<u64>::new());
}

#[test]
fn a_message_of_many_fragments_survives_loss_and_duplication() {
    let weather = Weather { loss: 0.1, duplication: 0.05, jitter: Duration::from_millis(20), ..Weather::default() };
    let (mut world, _, bob) = two_clients::<Sphinx>(3, weather);
    let mut expected = bodies(40, 1_000);
    expected.push(vec![5; 200_000]);
    for (id, body) in expected.iter().enumerate() {
        world.send(ALICE, id as u64, &bob, body, &plain()).unwrap();
    }
    world.run_until(Duration::from_secs(120), |world| world.ends(ALICE).0.len() == 41);
    world.run_for(Duration::from_secs(5));
    expected.sort();
    assert_eq!(received(&world, BOB), expected);
    assert!(world.engine(ALICE).stats(world.now()).sent.retransmission >= 10);
    assert_eq!(world.engine(BOB).stats(world.now()).unfinished_bytes, 0);
}

#[test]
fn nothing_is_lost_when_the_senders_gateway_restarts() {
    let (mut world, _, bob) = two_clients::<Sphinx>(4, Weather::default());
    let mut expected = bodies(150, 500);
    for (id, body) in expected.iter().enumerate() {
        world.send(ALICE, id as u64, &bob, body, &plain()).unwrap();
    }
    world.run_for(Duration::from_millis(1_500));
    world.kill_gateway(0, false);
    world.run_for(Duration::from_secs(5));
    world.revive_gateway(0);
    world.run_until(Duration::from_secs(60), |world| world.ends(ALICE).0.len() == 150);
    expected.sort();
    assert_eq!(received(&world, BOB), expected);
    assert_eq!(world.engine(ALICE).stats(world.now()).reconnects, 1);
}

#[test]
fn a_gateway_that_forgot_us_is_registered_with_again_under_the_same_address() {
    let (mut world, alice, bob) = two_clients::<Sphinx>(5, Weather::default());
    world.kill_gateway(0, true);
    world.run_for(Duration::from_secs(1));
    world.revive_gateway(0);
    world.run_until(Duration::from_secs(30), |world| world.engine(ALICE).state() == State::Ready);
    assert!(world.engine(ALICE).address() == address(&alice));
    world.send(ALICE, 1, &bob, b"still here", &plain()).unwrap();
    world.send(BOB, 1, &alice, b"me too", &plain()).unwrap();
    world.run_until(Duration::from_secs(20), |world| !world.ends(ALICE).0.is_empty() && !world.ends(BOB).0.is_empty());
}

#[test]
fn a_restarted_client_keeps_its_address_and_gets_what_came_meanwhile() {
    let (mut world, alice, _) = two_clients::<Sphinx>(6, Weather::default());
    world.stop_client(ALICE);
    world.send(BOB, 1, &alice, b"while you were away", &plain()).unwrap();
    world.run_until(Duration::from_secs(20), |world| !world.ends(BOB).0.is_empty());
    world.run_for(Duration::from_secs(1));
    world.start_client(ALICE);
    let again = world.until_ready(ALICE);
    assert!(Some(&again) == address(&alice));
    world.run_for(Duration::from_secs(1));
    assert_eq!(received(&world, ALICE), vec![b"while you were away".to_vec()]);
}

#[test]
fn a_sleep_loses_nothing_and_brings_no_burst() {
    let (mut world, _, bob) = two_clients::<Sphinx>(7, Weather::default());
    for (id, body) in bodies(50, 800).iter().enumerate() {
        world.send(ALICE, id as u64, &bob, body, &plain()).unwrap();
    }
    world.run_for(Duration::from_millis(500));
    world.sleep_client(ALICE, Duration::from_secs(60));
    let woke = world.now();
    world.run_until(Duration::from_secs(60), |world| world.ends(ALICE).0.len() == 50);
    assert_eq!(received(&world, BOB).len(), 50);
    let burst = world.clients[ALICE].frames.iter().filter(|(at, len)| *at == woke && *len > 1_000).count();
    assert!(burst <= 12, "{burst} frames at the moment of waking");
}

#[test]
fn what_leaves_does_not_depend_on_what_the_user_does() {
    // The same seeds throughout; only Alice's activity differs.
    let run = |sends: bool, receives: bool| {
        let (mut world, alice, bob) = two_clients::<Sphinx>(8, Weather { loss: 0.05, ..Weather::default() });
        let start = world.now();
        if sends {
            world.send(ALICE, 1, &bob, &vec![1; 150_000], &plain()).unwrap();
        }
        if receives {
            world.send(BOB, 1, &alice, &vec![2; 150_000], &plain()).unwrap();
        }
        world.run_for(Duration::from_secs(8));
        let within = |at: Instant| at > start && at < start + Duration::from_secs(7);
        let frames: Vec<_> = world.clients[ALICE].frames.iter().copied().filter(|(at, _)| within(*at)).collect();
        (frames, world.engine(ALICE).stats(world.now()))
    };
    let (idle, _) = run(false, false);
    assert!(idle.len() > 300, "{} frames in 7 s", idle.len());
    assert!(idle.iter().all(|(_, len)| *len == idle[0].1), "all frames have one size");
    let (sending, stats) = run(true, false);
    assert!(stats.sent.retransmission > 0, "the comparison is to cover retransmissions");
    assert!(sending == idle);
    assert!(run(true, true).0 == idle);
}

#[test]
fn a_cancelled_message_leaves_no_trace() {
    let (mut world, _, bob) = two_clients::<Sphinx>(9, Weather::default());
    world.send(ALICE, 1, &bob, &vec![3; 100_000], &plain()).unwrap();
    world.run_for(Duration::from_millis(300));
    let before = world.engine(ALICE).stats(world.now()).sent;
    assert!(before.real > 0);
    world.with_engine(ALICE, |engine, now| engine.cancel(MessageId(1), now));
    world.run_for(Duration::from_secs(5));
    let after = world.engine(ALICE).stats(world.now());
    assert_eq!((after.sent.real, after.sent.retransmission), (before.real, before.retransmission));
    assert_eq!((after.queued_bytes, after.in_flight), (0, 0));
    assert_eq!(world.ends(ALICE), (vec![], vec![]));
}

#[test]
fn a_deadline_ends_a_message_for_nobody() {
    let (mut world, _, bob) = two_clients::<Sphinx>(10, Weather::default());
    world.kill_gateway(1, false);
    let options = SendOptions { timeout: Some(Duration::from_secs(4)), ..plain() };
    world.send(ALICE, 1, &bob, b"is anybody there", &options).unwrap();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.ends(ALICE), (vec![], vec![1]));
    assert_eq!(world.engine(ALICE).stats(world.now()).in_flight, 0);
}

#[test]
fn a_deadline_is_time_with_the_link_up_and_a_slower_pace_does_not_move_it() {
    let (mut world, _, bob) = two_clients::<Sphinx>(13, Weather::default());
    world.kill_gateway(1, false);
    let options = SendOptions { timeout: Some(Duration::from_secs(4)), ..plain() };
    world.send(ALICE, 1, &bob, b"sent before the link is lost", &options).unwrap();
    world.run_for(Duration::from_secs(2));
    world.kill_gateway(0, false);
    world.run_for(Duration::from_secs(30));
    world.send(ALICE, 2, &bob, b"sent while it is lost", &options).unwrap();
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.ends(ALICE), (vec![], vec![]));
    world.revive_gateway(0);
    world.with_engine(ALICE, |engine, now| {
        engine.handle_online(now);
        let slow = Traffic { slot: Duration::from_secs(1), ..Traffic::default() };
        engine.set_traffic(slow, now).unwrap();
    });
    world.until_ready(ALICE);
    let up = world.now();
    for (ended, after) in [(1, 2), (2, 4)] {
        world.run_until(Duration::from_secs(10), |world| world.ends(ALICE).1.contains(&ended));
        let time = world.now().since(up).as_millis();
        assert!(time.abs_diff(after * 1_000) < 200, "message {ended} ended after {time} ms");
    }
}

#[test]
fn close_waits_for_the_acks() {
    let (mut world, _, bob) = two_clients::<Sphinx>(11, Weather::default());
    world.send(ALICE, 1, &bob, b"last words", &plain()).unwrap();
    world.with_engine(ALICE, |engine, now| engine.close(true, now + Duration::from_secs(10), now));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.ends(ALICE).0, vec![1]);
    assert!(matches!(world.clients[ALICE].events.last(), Some((_, Event::Closed))));
    assert_eq!(world.engine(ALICE).poll_timeout(), None);
}

#[test]
fn the_gateway_forgets_who_closes_once_all_has_arrived() {
    for is_silent in [false, true] {
        let (mut world, _, bob) = two_clients::<Sphinx>(13, Weather::default());
        world.send(ALICE, 1, &bob, b"last words", &plain()).unwrap();
        world.run_for(Duration::from_secs(5));
        world.set_gateway_silent(0, is_silent);
        let start = world.now();
        world.with_engine(ALICE, |engine, now| {
            engine.forget_at_close(Duration::from_secs(3));
            engine.close(true, now + Duration::from_secs(10), now);
        });
        let is_closed = |world: &World| matches!(world.clients[ALICE].events.last(), Some((_, Event::Closed)));
        world.run_until(Duration::from_secs(10), is_closed);
        let took = world.now().since(start);
        assert!(if is_silent { took.as_millis().abs_diff(3_000) < 10 } else { took.as_millis() < 500 }, "{took:?}");
        assert_eq!(world.ends(ALICE).0, vec![1]);
        assert_eq!(world.engine(ALICE).poll_timeout(), None);
        // Known, a client logs in under the same key; else it registers once more. Silent, it has heard all the same.
        world.set_gateway_silent(0, false);
        let key = |world: &World| {
            let stored = &world.clients[ALICE].stored()[&Record::Registration];
            *Registration::from_bytes(stored).unwrap().shared.as_bytes()
        };
        let before = key(&world);
        world.start_client(ALICE);
        world.until_ready(ALICE);
        assert_ne!(key(&world), before);
    }
}

#[test]
fn without_pacing_a_megabyte_goes_fast_and_whole() {
    let mut world = World::new(12, 2);
    let (mut alice, bob) = (world.config(0), world.config(1));
    alice.traffic.danger_no_pacing = true;
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    world.until_ready(alice);
    let bob_at = Recipient::Address(world.until_ready(bob));
    let body: Vec<u8> = (0..300_000u32).map(|at| (at * 7) as u8).collect();
    let start = world.now();
    world.send(alice, 1, &bob_at, &body, &plain()).unwrap();
    world.run_until(Duration::from_secs(20), |world| !world.ends(ALICE).0.is_empty());
    assert!(world.now().since(start) < Duration::from_secs(2), "{:?}", world.now().since(start));
    assert_eq!(received(&world, BOB), vec![body]);
}

#[test]
fn silence_is_noticed_without_a_closed_connection() {
    let (mut world, _, bob) = two_clients::<Sphinx>(14, Weather::default());
    world.set_gateway_silent(0, true);
    world.run_for(Duration::from_millis(5_500));
    assert_eq!(world.engine(ALICE).state(), State::Degraded);
    world.send(ALICE, 1, &bob, b"in between", &plain()).unwrap();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.engine(ALICE).state(), State::Reconnecting);
    world.set_gateway_silent(0, false);
    world.run_until(Duration::from_secs(60), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    assert_eq!(received(&world, BOB), vec![b"in between".to_vec()]);
}

#[test]
fn a_directory_that_does_not_answer_fails_the_connecting() {
    let mut world = World::new(15, 2);
    world.set_directory_up(false);
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(Duration::from_secs(20));
    let failed = |event: &Event| matches!(event, Event::Failed { code: Code::DirectoryUnreachable, .. });
    assert!(world.clients[client].events.iter().any(|(_, event)| failed(event)));
    assert_eq!(world.engine(client).state(), State::Idle);
}

#[test]
fn a_message_across_a_key_rotation_arrives() {
    let (mut world, _, bob) = two_clients::<Sphinx>(16, Weather::default());
    world.send(ALICE, 1, &bob, &vec![4; 150_000], &plain()).unwrap();
    world.run_for(Duration::from_secs(1));
    // The nodes keep the old keys for one more epoch; the client learns of the new ones at its next refresh.
    world.advance_epochs(24);
    world.run_until(Duration::from_secs(60), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(received(&world, BOB), vec![vec![4; 150_000]]);
}

#[test]
fn a_client_that_named_no_gateway_moves_on_from_one_that_is_dead() {
    let mut world = World::new(13, 2);
    world.kill_gateway(0, false);
    for _ in 0..4 {
        let mut config = world.config(0);
        config.gateway = None;
        let client = world.add_client(config);
        world.run_until(Duration::from_secs(60), |world| world.engine(client).state() == State::Ready);
    }
}

fn address(of: &Recipient) -> Option<&mixlet::message::Address> {
    match of {
        Recipient::Address(address) => Some(address),
        Recipient::Tag(_) => None,
    }
}

fn bodies(count: u64, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|at| (0..len).map(|i| (at as usize * 31 + i * 7) as u8).collect()).collect()
}

fn received(world: &World, client: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = world.received(client).into_iter().map(|(body, _)| body.to_vec()).collect();
    all.sort();
    all
}
