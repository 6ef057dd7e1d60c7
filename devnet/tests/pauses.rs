//! Long pauses: half-received messages are dropped by their recipients, and nothing may be lost or seen twice for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use mixlet::engine::{Code, Event};
use mixlet::limits;
use mixlet::time::Duration;
use mixlet_devnet::sim::{Transparent, Weather};
use worlds::{ALICE, BOB, plain, two_clients};

#[test]
fn a_message_half_sent_before_a_sleep_of_an_hour_arrives_whole() {
    let (mut world, _, bob) = two_clients::<Transparent>(1, Weather::default());
    world.send(ALICE, 1, &bob, &body(1), &plain()).unwrap();
    world.run_for(Duration::from_secs(2));
    world.sleep_client(ALICE, Duration::from_secs(3_600));
    world.run_until(Duration::from_secs(60), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.tally().received, 1);
    world.run_for(limits::REASSEMBLY_AGE_MAX);
    world.assert_quiet();
}

#[test]
fn a_message_whose_last_ack_was_lost_before_a_sleep_is_seen_once() {
    let (mut world, _, bob) = two_clients::<Transparent>(2, Weather::default());
    world.send(ALICE, 1, &bob, b"once", &plain()).unwrap();
    world.run_until(Duration::from_secs(5), |world| world.tally().received == 1);
    // The ack is on its way back; it comes to a closed link and is dropped with it.
    world.fall_asleep(ALICE);
    world.cut_link(ALICE);
    world.fall_asleep(BOB);
    world.run_for(Duration::from_secs(3 * 3_600));
    world.wake_up(BOB);
    world.wake_up(ALICE);
    world.run_until(Duration::from_secs(60), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!((world.tally().received, world.tally().delivered), (1, 1));
    assert!(world.engine(ALICE).stats(world.now()).sent.retransmission > 0, "the fragment has gone again");
}

#[test]
fn what_may_have_arrived_and_may_be_forgotten_is_undelivered_rather_than_seen_twice() {
    let (mut world, _, bob) = two_clients::<Transparent>(3, Weather::default());
    world.send(ALICE, 1, &bob, b"once", &plain()).unwrap();
    world.send(ALICE, 2, &bob, &body(3), &plain()).unwrap();
    world.run_until(Duration::from_secs(5), |world| world.tally().received == 1);
    world.cut_link(ALICE);
    // Both sleep, so that a day costs nothing.
    world.fall_asleep(ALICE);
    world.fall_asleep(BOB);
    world.run_for(limits::FINISHED_SET_AGE_MAX);
    world.wake_up(BOB);
    world.wake_up(ALICE);
    world.run_until(Duration::from_secs(60), |world| !world.ends(ALICE).0.is_empty());
    // The one that had not left whole goes again; the other may or may not have arrived.
    assert_eq!(world.ends(ALICE), (vec![2], vec![1]));
    let timeout = |event: &Event| matches!(event, Event::Undelivered { code: Code::Timeout, .. });
    assert!(world.clients[ALICE].events.iter().any(|(_, event)| timeout(event)));
    assert_eq!(world.tally().received, 2);
}

#[test]
fn a_gateway_that_is_gone_for_twenty_minutes_loses_nothing() {
    let (mut world, _, bob) = two_clients::<Transparent>(4, Weather::default());
    world.send(ALICE, 1, &bob, &body(4), &plain()).unwrap();
    world.run_for(Duration::from_secs(2));
    world.kill_gateway(0, false);
    world.run_for(Duration::from_secs(1_200));
    world.revive_gateway(0);
    world.run_until(Duration::from_secs(120), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.tally().received, 1);
}

#[test]
fn a_short_pause_repeats_nothing_that_was_acknowledged() {
    let (mut world, _, bob) = two_clients::<Transparent>(5, Weather::default());
    world.send(ALICE, 1, &bob, &body(5), &plain()).unwrap();
    world.run_for(Duration::from_secs(2));
    world.sleep_client(ALICE, Duration::from_secs(120));
    world.run_until(Duration::from_secs(60), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.retransmission, 0);
}

/// 250 fragments, five seconds of slots.
fn body(seed: u8) -> Vec<u8> {
    (0..400_000u32).map(|at| (at >> 8) as u8 ^ at as u8 ^ seed).collect()
}
