//! What is not acknowledged goes again, exactly that, and not for ever.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use mixlet::engine::{Code, Event, SendOptions, Sphinx, Traffic};
use mixlet::limits;
use mixlet::time::Duration;
use mixlet_devnet::record::NodeName;
use mixlet_devnet::sim::Weather;
use worlds::{ALICE, plain, two_clients};

#[test]
fn of_a_hundred_packets_with_five_lost_five_go_again_and_each_message_is_seen_once() {
    let (mut world, _, bob) = two_clients::<Sphinx>(1, Weather::default());
    // Without pacing and with hardly any cover all packets that leave are messages.
    let traffic = Traffic { danger_no_pacing: true, loop_cover: Duration::from_secs(10), ..Traffic::default() };
    world.with_engine(ALICE, |engine, now| engine.set_traffic(traffic, now)).unwrap();
    world.run_for(Duration::from_secs(1));
    world.lose(0, &[0, 1, 41, 70, 99]);
    for id in 0..100 {
        world.send(ALICE, id, &bob, &[id as u8; 500], &plain()).unwrap();
    }
    world.run_until(Duration::from_secs(60), |world| world.open_messages() == 0);
    let sent = world.engine(ALICE).stats(world.now()).sent;
    assert_eq!((sent.real, sent.retransmission), (100, 5));
    assert_eq!((world.tally().received, world.tally().delivered, world.tally().lost), (100, 100, 0));
}

#[test]
fn a_fragment_that_nobody_acknowledges_ends_after_a_named_number_of_attempts() {
    let (mut world, _, bob) = two_clients::<Sphinx>(2, Weather::default());
    world.cut_off(NodeName::Gateway(1), true);
    world.send(ALICE, 1, &bob, b"into the void", &SendOptions { no_deadline: true, ..plain() }).unwrap();
    world.run_until(Duration::from_secs(600), |world| world.open_messages() == 0);
    let no_acks = |event: &Event| matches!(event, Event::Undelivered { code: Code::NoAcks, .. });
    assert_eq!(world.clients[ALICE].events.iter().filter(|(_, event)| no_acks(event)).count(), 1);
    let sent = world.engine(ALICE).stats(world.now()).sent;
    assert_eq!(sent.real + sent.retransmission, u64::from(limits::ATTEMPTS_MAX));
    // The deadlines grow: the last attempts are ten seconds apart.
    assert!(world.now().as_micros() > 120_000_000);
    world.run_for(Duration::from_secs(30));
    world.assert_quiet();
}

#[test]
fn what_need_not_be_reliable_is_sent_once() {
    let (mut world, _, bob) = two_clients::<Sphinx>(3, Weather::default());
    let options = SendOptions { reliable: false, ..plain() };
    world.weather = Weather { loss: 0.3, ..Weather::default() };
    for id in 0..100 {
        world.send(ALICE, id, &bob, &[id as u8; 100], &options).unwrap();
    }
    world.run_until(Duration::from_secs(60), |world| world.open_messages() == 0);
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.retransmission, 0);
    let tally = world.tally();
    assert!(tally.delivered > 20 && tally.undelivered > 20 && tally.lost == 0, "{tally:?}");
}

#[test]
fn late_and_repeated_acks_change_nothing() {
    let (mut world, _, bob) = two_clients::<Sphinx>(4, Weather::default());
    world.weather = Weather { reordering: 0.3, detour: Duration::from_secs(3), duplication: 0.3, ..Weather::default() };
    for id in 0..100 {
        world.send(ALICE, id, &bob, &[id as u8; 100], &plain()).unwrap();
    }
    world.run_until(Duration::from_secs(120), |world| world.open_messages() == 0);
    world.run_for(Duration::from_secs(30));
    assert_eq!((world.tally().received, world.tally().delivered), (100, 100));
    let stats = world.engine(ALICE).stats(world.now());
    assert!(stats.dropped.ack > 0, "acks came twice or late");
    world.assert_quiet();
}
