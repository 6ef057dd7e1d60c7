//! Answering over SURBs: under loss, with peers of other make, with peers that do not answer, across rotations.
//!
//! The names with a W and a number show that a weakness of the established client is not here; see
//! `docs/RELIABILITY.md`.

use mixlet::engine::{Code, Event, Phase, Recipient, Replies, SendError, SendOptions, Sphinx};
use mixlet::limits;
use mixlet::message::SenderTag;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::format::NodeFormat;
use mixlet_devnet::sim::{LargeWorld, SimWorld, Transparent, Weather};

// ── conversations under loss ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_anonymous_client_and_a_known_one_exchange_messages_under_loss() {
    exchange::<Sphinx>(1, 300, 0.05, Duration::from_millis(40));
}

#[test]
fn ten_thousand_messages_each_way_arrive_once_under_loss() {
    exchange::<Transparent>(2, 10_000, 0.05, Duration::from_millis(40));
}

/// An anonymous client and a known one send each other so many messages, one every `gap`: to the known one repliable,
/// back over SURBs only. All are delivered; that each arrives once and unchanged is watched by the world.
fn exchange<F: NodeFormat>(seed: u64, messages: u64, loss: f64, gap: Duration) {
    let (mut world, bob) = pair::<F>(seed, Weather { loss, ..Weather::default() });
    let start = world.now();
    world.send(ALICE, 0, &bob, &body(ALICE, 0), &SendOptions::default()).unwrap();
    let alice = Recipient::Tag(tag_of(&mut world));
    for number in 0..messages {
        if number > 0 {
            world.send(ALICE, number, &bob, &body(ALICE, number), &SendOptions::default()).unwrap();
        }
        world.send(BOB, number, &alice, &body(BOB, number), &SendOptions::default()).unwrap();
        world.run_for(gap);
    }
    let sending = world.now().since(start);
    world.run_until(Duration::from_secs(60), |world| world.open_messages() == 0);
    let tally = world.tally();
    let sent = world.engine(BOB).stats(world.now()).sent;
    println!(
        "{messages} each way in {sending:?}, the last {:?} later: {tally:?}, {sent:?}",
        world.now().since(start) - sending
    );
    assert_eq!((tally.delivered, tally.received, tally.lost), (2 * messages, 2 * messages, 0));
    world.run_for(Duration::from_secs(60));
    world.assert_quiet();
}

// ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const ALICE: usize = 0;
const BOB: usize = 1;

/// Two clients, each on its own gateway, both ready, and the second one's address.
fn pair<F: NodeFormat>(seed: u64, weather: Weather) -> (SimWorld<F>, Recipient) {
    let mut world = SimWorld::new(seed, 2);
    world.weather = weather;
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    world.until_ready(alice);
    let bob = world.until_ready(bob);
    (world, Recipient::Address(bob))
}

/// Runs until the second client has received something that can be answered.
fn tag_of<F: NodeFormat>(world: &mut SimWorld<F>) -> SenderTag {
    world.run_until(Duration::from_secs(60), |world| !world.received(BOB).is_empty());
    world.received(BOB)[0].1.expect("a tag to answer to")
}

fn body(from: usize, number: u64) -> Vec<u8> {
    let mut body = vec![from as u8; 200];
    body[1..9].copy_from_slice(&number.to_be_bytes());
    body
}
