//! A few seconds of real packets with a bit of everything: to compare runs, and machines.

use mixlet::engine::{Recipient, SendOptions};
use mixlet::time::Duration;

use super::{Weather, World};

/// Runs it and gives the hash over everything that happened.
///
/// # Panics
/// When a law of the engine is broken.
pub fn trace(seed: u64) -> u64 {
    let mut world = World::new(seed, 2);
    world.weather = Weather { loss: 0.1, jitter: Duration::from_millis(20), ..Weather::default() };
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    world.until_ready(alice);
    let bob_at = Recipient::Address(world.until_ready(bob));
    for (id, len) in [(1, 5), (2, 3_000), (3, 30_000)] {
        let body: Vec<u8> = (0..len).map(|at| (at * 7 + id) as u8).collect();
        world.send(alice, id, &bob_at, &body, &SendOptions::default()).expect("room for a message");
    }
    world.run_for(Duration::from_secs(2));
    // The tag comes with every message, the reply blocks with one of them.
    let tag = world.received(bob).iter().find_map(|(_, tag)| *tag);
    if let Some(tag) = tag.filter(|tag| world.engine(bob).surbs_of(tag) > 0) {
        world.send(bob, 1, &Recipient::Tag(tag), b"an answer", &SendOptions::default()).expect("room for an answer");
    }
    world.stop_gateway(0, false);
    world.run_for(Duration::from_millis(500));
    world.revive_gateway(0);
    world.run_for(Duration::from_secs(3));
    world.trace()
}
