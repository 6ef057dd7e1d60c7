//! What the tests in virtual time share: two clients, and what they have been through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, reason = "not every test file uses every helper")]

use std::cell::RefCell;
use std::rc::Rc;

use mixlet::engine::{Code, Config, Event, FetchError, Phase, Recipient, Replies, SendOptions, State};
use mixlet::time::{Duration, Instant};
use mixlet_devnet::format::NodeFormat;
use mixlet_devnet::sim::{LargeWorld as World, SimWorld, Weather};

/// The first client of a pair.
pub const ALICE: usize = 0;
/// The second.
pub const BOB: usize = 1;
/// The answers of a directory end like this.
pub const ROLES: &str = "rewarded-set";

/// Whole seconds.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The client ends now without a word, and another goes on a second later with what it has written.
pub fn replace(world: &mut World, client: usize) {
    world.kill_client(client);
    world.run_for(secs(1));
    world.start_client(client);
    world.until_ready(client);
}

/// Bytes that follow from a seed.
pub fn body(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ seed).collect()
}

/// Two clients, each on its own gateway, both ready, and how to reach them.
pub fn two_clients<F: NodeFormat>(seed: u64, weather: Weather) -> (SimWorld<F>, Recipient, Recipient) {
    let mut world = SimWorld::new(seed, 2);
    world.weather = weather;
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

/// The same with settings of their own; the second asks the directory seldom.
pub fn pair(seed: u64, config: fn(&World, usize) -> Config) -> (World, Recipient) {
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
pub fn quick(world: &World, gateway: usize) -> Config {
    let mut config = unhurried(world, gateway);
    config.refresh = secs(10);
    config.traffic.slot = Duration::from_millis(300);
    config
}

/// Few packets, but enough for a message a second.
pub fn unhurried(world: &World, gateway: usize) -> Config {
    let mut config = world.config(gateway);
    config.traffic.slot = Duration::from_millis(200);
    config.traffic.loop_cover = secs(1);
    config
}

/// Nothing to answer with.
pub fn plain() -> SendOptions {
    SendOptions { replies: Replies::Exactly(0), ..SendOptions::default() }
}

/// When the directory was asked for a topology, from now on.
pub fn listen(world: &mut World) -> Rc<RefCell<Vec<Instant>>> {
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

/// Ends a client, and lets its socket close before another begins.
pub fn stop(world: &mut World, client: usize) {
    world.stop_client(client);
    world.run_for(secs(0));
}

/// Alice sends Bob a message, which arrives once and is acknowledged.
pub fn arrives(world: &mut World, id: u64, bob: &Recipient) {
    let before = world.received(BOB).len();
    assert_eq!(world.send(ALICE, id, bob, b"hello", &plain()), Ok(()));
    world.run_until(secs(10), |world| world.ends(ALICE).0.contains(&id));
    assert_eq!(world.received(BOB).len(), before + 1);
}

/// The states of Alice, and why.
pub fn states(world: &World) -> Vec<(State, Option<Code>)> {
    let events = world.clients[ALICE].events.iter();
    events
        .filter_map(|(_, event)| match event {
            Event::State { state, code } => Some((*state, *code)),
            _ => None,
        })
        .collect()
}

/// How connecting failed, if it did.
pub fn failure(world: &World, client: usize) -> Option<(Code, Phase)> {
    world.clients[client].events.iter().find_map(|(_, event)| match event {
        Event::Failed { code, phase } => Some((*code, *phase)),
        _ => None,
    })
}

/// Rotations of three epochs of a minute each.
pub fn quick_rotations(seed: u64) -> (World, Recipient, Recipient) {
    let mut world = World::new(seed, 2);
    world.set_epochs(60, 3);
    let (alice, bob) = (unhurried(&world, 0), unhurried(&world, 1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

/// Runs until so many seconds after the beginning; nodes get their keys when epochs begin.
pub fn run_to(world: &mut World, second: u64) {
    while world.now() < Instant::ZERO + secs(second) {
        let left = (Instant::ZERO + secs(second)).since(world.now());
        world.run_for(left.min(secs(1)));
        world.advance_epochs(0);
    }
}

/// The rotation of the topology that a client uses.
pub fn rotation(world: &World, client: usize) -> u32 {
    world.engine(client).topology().map_or(0, |topology| topology.rotation_id())
}

/// How many fragments a client has sent again.
pub fn retransmissions(world: &World, client: usize) -> u64 {
    world.engine(client).stats(world.now()).sent.retransmission
}
