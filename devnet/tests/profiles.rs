//! Traffic settings that change while a client runs, and what arrives under them, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use mixlet::engine::{ConfigError, Recipient, Replies, SendOptions, State, Traffic};
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::statistics::Fit;
use mixlet_devnet::sim::{LargeWorld, Transparent, Weather};
use worlds::{ALICE, BOB, plain, two_clients};

#[test]
fn after_a_change_the_gaps_are_those_of_the_new_rates_and_there_is_no_burst() {
    for seed in 1..=3 {
        let mut world = LargeWorld::new(seed, 1);
        let config = world.config(0);
        world.add_client(config);
        world.until_ready(ALICE);
        let odd = Traffic { slot: ms(7), loop_cover: ms(31), ..balanced() };
        for traffic in [fast(), balanced(), odd, fast(), strong()] {
            let changed = world.now();
            set(&mut world, ALICE, traffic);
            world.run_for(Duration::from_secs(30));
            let rate = 1.0 / traffic.slot.as_secs_f64() + 1.0 / traffic.loop_cover.as_secs_f64();
            let left: Vec<_> = frames(&world, ALICE, changed).iter().map(|at| at.since(changed)).collect();
            assert_exponential(&left, rate);
            // At most what such a stream has in so short a time but for once in a million.
            let expected = rate * 0.05;
            let at_first = left.iter().filter(|since| **since < ms(50)).count() as f64;
            assert!(at_first <= expected + 5.0 * expected.sqrt() + 3.0, "{at_first} frames in 50 ms");
        }
    }
}

#[test]
fn the_gap_that_is_under_way_stays() {
    let first = |traffic: Traffic| {
        let (mut world, ..) = two_clients::<Transparent>(4, Weather::default());
        let changed = world.now();
        set(&mut world, ALICE, traffic);
        world.run_for(Duration::from_secs(5));
        frames(&world, ALICE, changed)[0]
    };
    assert_eq!(first(fast()), first(balanced()));
    assert_eq!(first(Traffic { slot: ms(10_000), ..strong() }), first(balanced()));
}

#[test]
fn what_leaves_over_changes_does_not_depend_on_what_the_user_does() {
    // The same seeds throughout; only Alice's activity differs.
    let run = |sends: bool, receives: bool| {
        let (mut world, alice, bob) = two_clients::<Transparent>(5, Weather { loss: 0.05, ..Weather::default() });
        let start = world.now();
        if sends {
            world.send(ALICE, 1, &bob, &vec![1; 1_500_000], &plain()).unwrap();
        }
        if receives {
            world.send(BOB, 1, &alice, &vec![2; 1_500_000], &plain()).unwrap();
        }
        for traffic in [fast(), strong(), Traffic { slot: ms(5), hop_delay: ms(0), ..fast() }, balanced()] {
            world.run_for(ms(1_500));
            set(&mut world, ALICE, traffic);
        }
        world.run_for(ms(1_500));
        (frames(&world, ALICE, start), world.engine(ALICE).stats(world.now()))
    };
    let (idle, _) = run(false, false);
    assert!(idle.len() > 700, "{} frames in 7.5 s", idle.len());
    let (sending, stats) = run(true, false);
    assert!(stats.sent.retransmission > 0 && stats.in_flight > 0, "the comparison is to cover all of it");
    assert!(sending == idle);
    assert!(run(true, true).0 == idle);
}

#[test]
fn pacing_that_comes_back_begins_with_a_gap() {
    // Nothing wakes the client while pacing is off: had its slots been counted, eight would be due at once.
    let off = Traffic { slot: ms(1), loop_cover: ms(10_000), danger_no_pacing: true, ..balanced() };
    let run = |sends: bool| {
        let (mut world, _, bob) = two_clients::<Transparent>(6, Weather::default());
        set(&mut world, ALICE, off);
        world.run_for(Duration::from_secs(3));
        if sends {
            world.send(ALICE, 1, &bob, &vec![3; 900_000], &plain()).unwrap();
        }
        world.run_for(ms(40));
        let back = world.now();
        set(&mut world, ALICE, Traffic { danger_no_pacing: false, ..off });
        world.run_for(ms(500));
        let stats = world.engine(ALICE).stats(world.now());
        (frames(&world, ALICE, back).iter().map(|at| at.since(back)).collect::<Vec<_>>(), stats)
    };
    let (idle, stats) = run(false);
    assert!(idle[0] > ms(0), "a frame left at once");
    assert_exponential(&idle, 1_000.1);
    assert_eq!(stats.dropped.slot, 0, "there are no slots while pacing is off");
    let (sending, stats) = run(true);
    assert!(stats.queued_bytes > 0, "it is to be busy before and after");
    assert!(sending == idle, "the schedule knows nothing of what was sent before");
}

#[test]
fn without_pacing_the_window_begins_small_whatever_came_before() {
    let (mut world, _, bob) = two_clients::<Transparent>(7, Weather::default());
    set(&mut world, ALICE, fast());
    world.send(ALICE, 1, &bob, &vec![4; 3_000_000], &plain()).unwrap();
    world.run_for(Duration::from_secs(6));
    assert!(world.engine(ALICE).stats(world.now()).sent.real > 1_200);
    let changed = world.now();
    set(&mut world, ALICE, Traffic { danger_no_pacing: true, ..fast() });
    let at_once = frames(&world, ALICE, changed).len();
    assert!((1..=65).contains(&at_once), "{at_once} frames at once");
    world.run_until(Duration::from_secs(5), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.received(BOB).len(), 1);
}

#[test]
fn everything_arrives_once_through_many_changes() {
    let weather = Weather { loss: 0.05, duplication: 0.05, jitter: ms(10), ..Weather::default() };
    let (mut world, alice, bob) = two_clients::<Transparent>(8, weather);
    let off = Traffic { danger_no_pacing: true, ..balanced() };
    let slow = Traffic { slot: ms(100), hop_delay: ms(200), ack_delay: ms(0), ..balanced() };
    for round in 0..60 {
        let body = vec![round; 500 + usize::from(round) * 400];
        world.send(ALICE, round.into(), &bob, &body, &SendOptions::default()).unwrap();
        world.send(BOB, round.into(), &alice, &[round, 1], &plain()).unwrap();
        set(&mut world, ALICE, [fast(), off, strong(), balanced(), off, slow][usize::from(round) % 6]);
        world.run_for(ms(170));
    }
    world.run_until(Duration::from_secs(300), |world| world.open_messages() == 0);
    assert_eq!((world.ends(ALICE).0.len(), world.ends(BOB).0.len()), (60, 60));
    let tally = world.tally();
    assert_eq!((tally.received, tally.lost, tally.undelivered), (120, 0, 0));
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    world.run_for(Duration::from_secs(1_200));
    world.assert_quiet();
}

#[test]
fn new_delays_are_for_packets_that_have_not_left() {
    let real = |world: &LargeWorld| world.engine(ALICE).stats(world.now()).sent.real;
    let held = Traffic { slot: ms(500), hop_delay: ms(10_000), ..balanced() };
    let (mut world, _, bob) = two_clients::<Transparent>(9, Weather::default());
    set(&mut world, ALICE, held);
    for (id, body) in [(1, b"first"), (2, b"later")] {
        world.send(ALICE, id, &bob, body, &plain()).unwrap();
    }
    world.run_until(Duration::from_secs(20), |world| real(world) == 1);
    // The second is in the frame made ahead by now.
    world.run_for(ms(1));
    set(&mut world, ALICE, Traffic { hop_delay: ms(0), ..held });
    world.run_until(Duration::from_secs(20), |world| real(world) == 2);
    // Six links of 5 ms.
    world.run_for(ms(40));
    let arrived: Vec<_> = world.received(BOB).into_iter().map(|(body, _)| body.to_vec()).collect();
    assert_eq!(arrived, [b"later".to_vec()]);
    let left = world.now();
    world.run_until(Duration::from_secs(60), |world| world.ends(ALICE).0.len() == 2);
    assert!(world.now().since(left) > Duration::from_secs(2), "the first was to be held for long");
    // Its ack was waited for as long as the delays chosen for it need.
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.retransmission, 0);
}

#[test]
fn reply_blocks_made_ahead_have_the_new_delays() {
    let (mut world, _, bob) = two_clients::<Transparent>(16, Weather::default());
    set(&mut world, ALICE, Traffic { hop_delay: ms(10_000), ..balanced() });
    world.run_for(Duration::from_secs(1));
    set(&mut world, ALICE, Traffic { hop_delay: ms(0), ..balanced() });
    let options = SendOptions { replies: Replies::Exactly(5), ..SendOptions::default() };
    world.send(ALICE, 1, &bob, b"answer over these", &options).unwrap();
    world.run_until(Duration::from_secs(20), |world| !world.received(BOB).is_empty());
    let tag = world.received(BOB)[0].1.expect("a tag to answer to");
    let asked = world.now();
    for id in 1..=3 {
        world.send(BOB, id, &Recipient::Tag(tag), &[id as u8], &SendOptions::default()).unwrap();
    }
    world.run_until(Duration::from_secs(60), |world| world.received(ALICE).len() == 3);
    assert!(world.now().since(asked) < Duration::from_secs(1), "{:?}", world.now().since(asked));
}

#[test]
fn no_change_costs_a_reply_block() {
    let off = Traffic { danger_no_pacing: true, ..balanced() };
    for changes in [vec![strong(), balanced()], vec![off, balanced()], vec![off]] {
        let mut world = LargeWorld::new(10, 2);
        let (alice, mut bob) = (world.config(0), world.config(1));
        bob.ask_for_more = false;
        let (alice, bob) = (world.add_client(alice), world.add_client(bob));
        world.until_ready(alice);
        let to = Recipient::Address(world.until_ready(bob));
        let options = SendOptions { replies: Replies::Exactly(6), ..SendOptions::default() };
        world.send(alice, 1, &to, b"six blocks", &options).unwrap();
        world.run_until(Duration::from_secs(20), |world| !world.received(bob).is_empty());
        let tag = world.received(bob)[0].1.expect("a tag to answer to");
        // Six fragments.
        world.send(bob, 1, &Recipient::Tag(tag), &[6; 9_000], &SendOptions::default()).unwrap();
        for traffic in changes.iter().cycle().take(120) {
            world.run_for(ms(3));
            set(&mut world, bob, *traffic);
        }
        world.run_until(Duration::from_secs(20), |world| world.open_messages() == 0);
        assert_eq!(world.ends(bob), (vec![1], vec![]), "{changes:?}");
        assert_eq!(world.received(alice).len(), 1);
    }
}

#[test]
fn a_slower_pace_gives_waiting_messages_the_time_they_need() {
    let quick = Traffic { slot: ms(1), ..balanced() };
    let (mut world, _, bob) = two_clients::<Transparent>(11, Weather::default());
    set(&mut world, ALICE, quick);
    world.send(ALICE, 1, &bob, &vec![7; 2_000_000], &plain()).unwrap();
    world.run_for(ms(50));
    set(&mut world, ALICE, Traffic { slot: ms(1_000), ..quick });
    let start = world.now();
    // More than the quarter of an hour that a message has at the pace it was sent at.
    world.run_until(Duration::from_secs(1_500), |world| world.open_messages() == 0);
    assert!(world.now().since(start) > Duration::from_secs(1_000));
    assert_eq!(world.ends(ALICE), (vec![1], vec![]));
}

#[test]
fn settings_out_of_range_are_refused_and_change_nothing() {
    let run = |wrong: &[Traffic]| {
        let (mut world, _, bob) = two_clients::<Transparent>(12, Weather::default());
        let start = world.now();
        world.send(ALICE, 1, &bob, &[8; 20_000], &plain()).unwrap();
        for traffic in wrong {
            let refused = world.with_engine(ALICE, |engine, now| engine.set_traffic(*traffic, now));
            assert_eq!(refused, Err(ConfigError::Traffic));
        }
        world.run_for(Duration::from_secs(2));
        frames(&world, ALICE, start)
    };
    let wrong = [
        Traffic { slot: ms(0), ..fast() },
        Traffic { slot: Duration::from_micros(999), ..fast() },
        Traffic { loop_cover: ms(10_001), ..fast() },
        Traffic { hop_delay: ms(10_001), ..fast() },
        Traffic { ack_delay: ms(10_001), ..fast() },
    ];
    assert!(run(&wrong) == run(&[]));
}

#[test]
fn settings_given_before_the_link_is_up_hold_once_it_is() {
    let mut world = LargeWorld::new(13, 1);
    let config = world.config(0);
    world.add_client(config);
    set(&mut world, ALICE, fast());
    world.until_ready(ALICE);
    let start = world.now();
    world.run_for(Duration::from_secs(20));
    let rate = frames(&world, ALICE, start).len() as f64 / 20.0;
    assert!((245.0..265.0).contains(&rate), "{rate} frames a second");
}

/// The three numbers of the section "What arrives" in docs/ARCHITECTURE.md.
#[test]
fn what_arrives_depends_on_activity() {
    let mut world = LargeWorld::new(14, 2);
    for gateway in [0, 1, 0] {
        let config = world.config(gateway);
        world.add_client(config);
    }
    let addresses: Vec<_> = (0..3).map(|client| Recipient::Address(world.until_ready(client))).collect();
    world.send(ALICE, 1, &addresses[BOB], &vec![9; 26_000_000], &plain()).unwrap();
    world.run_for(Duration::from_secs(2));
    let stats = |world: &LargeWorld, client| world.engine(client).stats(world.now());
    let before: Vec<_> = (0..3).map(|client| stats(&world, client)).collect();
    world.run_for(Duration::from_secs(MEASURED_SECS));
    let rates = |client: usize| {
        let (now, then) = (stats(&world, client), &before[client]);
        let a_second = |now: u64, then: u64| (now - then) as f64 / MEASURED_SECS as f64;
        let sent = |stats: &mixlet::engine::Stats| {
            let sent = stats.sent;
            sent.real + sent.reply + sent.retransmission + sent.cover
        };
        let data = |stats: &mixlet::engine::Stats| stats.received.message + stats.received.cover;
        [
            a_second(sent(&now), sent(then)),
            a_second(now.received.ack, then.received.ack),
            a_second(data(&now), data(then)),
            a_second(now.bytes_in, then.bytes_in) / 1_000.0,
        ]
    };
    println!("| a client that | packets out | acks in | data packets in | pushes in | kB/s in |");
    println!("|---|---|---|---|---|---|");
    let expected = [("is idle", IDLE, 55.0), ("sends in every slot", ALICE, 5.0), ("receives 50 a second", BOB, 105.0)];
    for (what, client, data_expected) in expected {
        let [out, acks, data, bytes] = rates(client);
        println!("| {what} | {out:.0} | {acks:.0} | {data:.0} | {:.0} | {bytes:.0} |", acks + data);
        assert!((out - 55.0).abs() < 1.5, "{what}: {out} packets leave a second");
        assert!((acks - 55.0).abs() < 1.5, "{what}: {acks} acks a second");
        assert!((data - data_expected).abs() < 2.5, "{what}: {data} data packets a second");
    }
}

/// What one packet costs on the link, there and back, as `privacyReport()` counts it (js/privacy.ts): the frame with
/// the packet, the gateway's word for it, the ack, and the cover that comes home.
#[test]
fn a_slot_of_an_idle_client_costs_what_the_report_says() {
    let mut world = LargeWorld::new(15, 1);
    let config = world.config(0);
    world.add_client(config);
    world.until_ready(ALICE);
    world.run_for(Duration::from_secs(2));
    let before = world.engine(ALICE).stats(world.now());
    world.run_for(Duration::from_secs(600));
    let after = world.engine(ALICE).stats(world.now());
    let packets = after.sent.cover - before.sent.cover;
    assert_eq!(after.bytes_out - before.bytes_out, packets * 2_452);
    // Some were on their way at the beginning and others at the end.
    let back = (after.bytes_in - before.bytes_in) as f64 / packets as f64;
    assert!((back - 1_794.0).abs() < 1.0, "{back} bytes come back for each packet");
}

fn set(world: &mut LargeWorld, client: usize, traffic: Traffic) {
    assert_eq!(world.with_engine(client, |engine, now| engine.set_traffic(traffic, now)), Ok(()));
}

/// When packets left, from some time on.
fn frames(world: &LargeWorld, client: usize, from: Instant) -> Vec<Instant> {
    world.clients[client].frames.iter().filter(|(at, len)| *at >= from && *len > 2_000).map(|(at, _)| *at).collect()
}

/// Refuses frames whose gaps are not those of one stream with this rate a second.
fn assert_exponential(frames: &[Duration], rate: f64) {
    let gaps: Vec<_> = frames.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let fit = Fit::exponential(&gaps, 1.0 / rate);
    assert!(fit.passes_chi_square() && fit.passes_kolmogorov(), "{} gaps, {rate} a second: {fit:?}", gaps.len());
}

/// The profiles of js/options.ts.
fn balanced() -> Traffic {
    Traffic::default()
}

fn strong() -> Traffic {
    Traffic { hop_delay: ms(50), ack_delay: ms(50), ..balanced() }
}

fn fast() -> Traffic {
    Traffic { slot: ms(4), hop_delay: ms(10), ack_delay: ms(10), ..balanced() }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const IDLE: usize = 2;
const MEASURED_SECS: u64 = 300;
