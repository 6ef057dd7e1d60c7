//! One row of the table in the documentation: many messages under one kind of trouble, and what became of them.

use mixlet::engine::{Recipient, Replies, SendError, SendOptions};
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::{Keeping, Layout, SimWorld, Tally, Weather};
use crate::format::NodeFormat;

/// What a trial does to its network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trial {
    /// The links, from the beginning to the end.
    pub weather: Weather,
    /// What happens once, in the middle of it all.
    pub troubles: &'static [Trouble],
}

/// Something that happens while messages are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The gateway of all recipients ends and comes back after five seconds; with `true` it has forgotten everything.
    RecipientsGateway(bool),
    /// The machines of all recipients sleep for an hour.
    RecipientsSleep,
    /// The keys of all nodes change.
    Rotation,
    /// The gateway of all senders ends and comes back after five seconds; with `true` it has forgotten everything.
    SendersGateway(bool),
    /// The machines of all senders sleep for an hour.
    SendersSleep,
}

/// How much is sent. All senders together send so many messages.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients that send, each to a client of its own on the other gateway.
    pub pairs: usize,
    /// Messages of 1,000 bytes, spread over [`Self::span`].
    pub small: usize,
    /// Messages of 1,000,000 bytes, all sent at the beginning.
    pub large: usize,
    /// See [`Self::small`].
    pub span: Duration,
}

/// What became of the messages of one trial.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Counts of messages.
    pub tally: Tally,
    /// Fragments that went again, for each fragment that left.
    pub retransmissions: f64,
    /// From the call to the application, small messages only, in order.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency that so many of a thousand messages did not exceed.
    pub fn latency(&self, per_mille: usize) -> Duration {
        let at = (self.latencies.len() * per_mille / 1_000).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Runs a trial until every message has its end.
///
/// # Panics
/// When a law of the engine is broken, or messages without an end are left after two days.
pub fn run<F: NodeFormat>(seed: u64, trial: Trial, load: Load) -> Outcome {
    let mut world = SimWorld::<F>::with_layout(seed, Layout::default());
    world.keep(Keeping::Counts);
    world.oracle.tolerant = true;
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x0074_7269_616c);
    let mut pairs = Vec::new();
    for _ in 0..load.pairs {
        let (sender, recipient) = (world.config(0), world.config(1));
        let (sender, recipient) = (world.add_client(sender), world.add_client(recipient));
        world.until_ready(sender);
        pairs.push((sender, Recipient::Address(world.until_ready(recipient))));
    }
    world.weather = trial.weather;
    let start = world.now();
    let mut calls = calls(start, load, &mut rng);
    let middle = start + load.span / 2;
    let mut troubled = false;
    calls.sort_unstable();
    let mut body = Vec::new();
    for (at, number, len) in calls {
        if at > middle && !troubled {
            world.run_for(middle.since(world.now()));
            trial.troubles.iter().for_each(|trouble| afflict(&mut world, *trouble));
            troubled = true;
        }
        world.run_for(at.since(world.now()));
        body.resize(len, 0);
        rng.fill_bytes(&mut body);
        let (sender, to) = &pairs[number % pairs.len()];
        let options = SendOptions { replies: Replies::Exactly(0), ..SendOptions::default() };
        while world.send(*sender, number as u64, to, &body, &options) == Err(SendError::QueueFull) {
            world.run_for(Duration::from_millis(100));
        }
    }
    let patience = world.now() + Duration::from_secs(48 * 3600);
    while world.open_messages() > 0 {
        assert!(world.now() < patience, "{} messages without an end", world.open_messages());
        world.run_for(Duration::from_secs(1));
    }
    // Late copies still arrive; nothing of them may stay.
    world.run_for(Duration::from_secs(60));
    world.assert_quiet();
    outcome(&world)
}

/// When which message is sent, and how long it is.
fn calls(start: Instant, load: Load, rng: &mut ChaCha20Rng) -> Vec<(Instant, usize, usize)> {
    let span = load.span.as_micros() as u64;
    let large = (0..load.large).map(|number| (start, number, 1_000_000));
    let small = (0..load.small).map(|number| {
        let at = start + Duration::from_micros(rng.next_u64() % span.max(1));
        (at, load.large + number, SMALL_LEN)
    });
    large.chain(small).collect()
}

fn afflict<F: NodeFormat>(world: &mut SimWorld<F>, trouble: Trouble) {
    match trouble {
        Trouble::RecipientsGateway(forget) => restart(world, 1, forget),
        Trouble::SendersGateway(forget) => restart(world, 0, forget),
        Trouble::RecipientsSleep => sleep(world, 1),
        Trouble::SendersSleep => sleep(world, 0),
        Trouble::Rotation => world.advance_epochs(24),
    }
}

fn restart<F: NodeFormat>(world: &mut SimWorld<F>, gateway: usize, forget: bool) {
    world.stop_gateway(gateway, forget);
    world.run_for(Duration::from_secs(5));
    world.revive_gateway(gateway);
}

/// Senders have even places, recipients odd ones.
fn sleep<F: NodeFormat>(world: &mut SimWorld<F>, which: usize) {
    let sleepers: Vec<_> = (0..world.clients.len()).filter(|place| place % 2 == which).collect();
    sleepers.iter().for_each(|place| world.fall_asleep(*place));
    world.run_for(Duration::from_secs(3600));
    sleepers.iter().for_each(|place| world.wake_up(*place));
}

fn outcome<F: NodeFormat>(world: &SimWorld<F>) -> Outcome {
    let (mut fragments, mut again) = (0, 0);
    for place in 0..world.clients.len() {
        let sent = world.engine(place).stats(world.now()).sent;
        fragments += sent.real + sent.reply;
        again += sent.retransmission;
    }
    let mut latencies: Vec<_> =
        world.latencies().iter().filter(|(len, _)| *len == SMALL_LEN).map(|(_, latency)| *latency).collect();
    latencies.sort_unstable();
    Outcome { tally: world.tally(), retransmissions: again as f64 / (fragments as f64).max(1.0), latencies }
}

const SMALL_LEN: usize = 1_000;
