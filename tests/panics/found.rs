//! What was found here by properties and fuzzing. None of it was a panic; each was a promise not kept.

use mixlet::engine::{FetchError, State};
use mixlet::time::Duration;

use super::laws::input::Input;
use super::laws::world::{Told, World};
use super::{test, up};

#[test]
fn a_close_that_waits_ends_when_connecting_fails() {
    // A client that asks a directory, and a message that waits for it.
    let mut world: World<mixlet::engine::Sphinx> = World::new(&mut Input(&[1, 0, 1]));
    world.send_to_peer(b"hello");
    world.close(Duration::from_secs(3_600));
    assert_eq!(world.told, Told::default());
    for _ in 0..40 {
        while let Some((id, _)) = world.fetches.pop_front() {
            let said = world.watched.fetched(id, Err(FetchError::Unreachable), world.now());
            world.hear(said);
        }
        world.run_to_alarm();
    }
    assert_eq!(world.told, Told { closed: 1, failed: 1, undelivered: 1, ..Told::default() });
    assert_eq!(world.watched.engine().poll_timeout(), None);
}

#[test]
fn a_close_that_waits_ends_with_the_cancellation_of_what_it_waits_for() {
    let mut world = up();
    let id = world.send_to_peer(b"hello");
    world.close(Duration::from_secs(3_600));
    assert!(!world.watched.is_closed());
    let said = world.watched.cancel(id, world.now());
    world.hear(said);
    assert_eq!((world.watched.is_closed(), world.told.closed), (true, 1));
}

#[test]
fn a_second_attempt_to_connect_ends_in_ready_as_the_first_did() {
    // At most three attempts to get a lost link back.
    let mut world: World<mixlet::engine::Sphinx> = World::new(&mut Input(&[0x88, 0, 16]));
    assert_eq!((world.watched.engine().state(), world.told.ready), (State::Ready, 1));
    while let Some(link) = world.watched.link() {
        world.cut(link);
        world.run_to_alarm();
    }
    assert_eq!((world.watched.engine().state(), world.told.failed), (State::Idle, 1));
    let said = world.watched.connect(world.now());
    world.hear(said);
    world.live(30);
    assert_eq!((world.watched.engine().state(), world.told.ready), (State::Ready, 2));
}

#[test]
fn a_message_half_received_outlives_a_link_that_is_down_for_long() {
    let mut world = up();
    let fragment = |position: u8, payload: &[u8]| {
        let mut bytes = [&[0x80, 0, 0, 9, 2, position, 0][..], payload].concat();
        bytes.resize(1_611, 0);
        bytes
    };
    world.push_to_key(fragment(1, &[b"\0he", &[b'l'; 1_601][..]].concat()));
    let link = world.watched.link().unwrap();
    world.cut(link);
    // Long enough to have been dropped, were the link up all the time.
    world.pass(Duration::from_secs(1_200));
    world.wake();
    world.live(30);
    assert!(world.is_up());
    world.push_to_key(fragment(2, b"o\x01"));
    assert_eq!(world.received.len(), 1);
    assert_eq!(world.received[0].0, [b"he", &[b'l'; 1_601][..], b"o"].concat());
}
