//! Large runs in virtual time.
//!
//! ```text
//! mixlet-worlds table [--seeds 3] [--row TEXT]     the table of docs/RELIABILITY.md
//! mixlet-worlds large [--clients 1000] [--seconds 60]
//! mixlet-worlds trace                              the hash of a short run, which a browser must give too
//! ```

use std::time::Instant as Clock;

use mixlet::engine::{Recipient, SendOptions};
use mixlet::time::Duration;
use mixlet_devnet::sim::trial::{self, Load, Outcome, Trial, Trouble};
use mixlet_devnet::sim::{Keeping, LargeWorld, Layout, Transparent, Weather, short_run};

const USAGE: &str = "mixlet-worlds table [--seeds N] [--row TEXT] | large [--clients N] [--seconds N] | trace";

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["table", ref options @ ..] => table(options),
        ["large", ref options @ ..] => large(options),
        ["trace"] => {
            println!("{:016x}", short_run::trace(1));
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

/// The value behind an option.
fn option<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    options.iter().position(|word| *word == name).and_then(|place| options.get(place + 1)).copied()
}

fn number(options: &[&str], name: &str, default: u64) -> Result<u64, String> {
    option(options, name).map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name} takes a number")))
}

// ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

fn table(options: &[&str]) -> Result<(), String> {
    let seeds = number(options, "--seeds", 3)?;
    let wanted = option(options, "--row").unwrap_or("");
    let load = Load { pairs: 10, small: 1_000, large: 20, span: Duration::from_secs(40) };
    println!(
        "| trouble | sent | delivered | undelivered | seen twice | lost | sent again per fragment | median | 99 % |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, trial) in rows().into_iter().filter(|(name, _)| name.contains(wanted)) {
        let outcomes: Vec<_> = (1..=seeds).map(|seed| trial::run::<Transparent>(seed, trial, load)).collect();
        println!("{}", row(name, &outcomes));
    }
    Ok(())
}

fn rows() -> Vec<(&'static str, Trial)> {
    let weather = |weather| Trial { weather, troubles: &[] };
    let trouble = |troubles| Trial { weather: Weather::default(), troubles };
    let loss = |loss| weather(Weather { loss, ..Weather::default() });
    let link_loss = |link_loss| weather(Weather { link_loss, ..Weather::default() });
    let rough = Weather { loss: 0.1, duplication: 0.1, reordering: 0.1, ..Weather::default() };
    vec![
        ("none", loss(0.0)),
        ("loss 5 %", loss(0.05)),
        ("loss 10 %", loss(0.1)),
        ("loss 20 %", loss(0.2)),
        ("loss 30 %", loss(0.3)),
        ("loss 5 % on each link", link_loss(0.05)),
        ("loss 10 % on each link", link_loss(0.1)),
        ("10 % sent twice", weather(Weather { duplication: 0.1, ..Weather::default() })),
        ("20 % on each link held back 0.5 s", weather(Weather { reordering: 0.2, ..Weather::default() })),
        ("senders' gateway restarts", trouble(&[Trouble::SendersGateway(false)])),
        ("senders' gateway forgets its clients", trouble(&[Trouble::SendersGateway(true)])),
        ("recipients' gateway restarts", trouble(&[Trouble::RecipientsGateway(false)])),
        ("recipients' gateway forgets its clients", trouble(&[Trouble::RecipientsGateway(true)])),
        ("key rotation", trouble(&[Trouble::Rotation])),
        ("senders sleep for an hour", trouble(&[Trouble::SendersSleep])),
        ("recipients sleep for an hour", trouble(&[Trouble::RecipientsSleep])),
        ("loss, sent twice, held back 10 %", weather(rough)),
        (
            "the same, both gateways restart, key rotation",
            Trial {
                weather: rough,
                troubles: &[Trouble::SendersGateway(false), Trouble::RecipientsGateway(false), Trouble::Rotation],
            },
        ),
        (
            "loss 20 %, senders sleep, their gateway forgets",
            Trial {
                weather: Weather { loss: 0.2, ..Weather::default() },
                troubles: &[Trouble::SendersSleep, Trouble::SendersGateway(true)],
            },
        ),
    ]
}

fn row(name: &str, outcomes: &[Outcome]) -> String {
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let mut latencies: Vec<_> = outcomes.iter().flat_map(|outcome| outcome.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let all = Outcome { latencies, ..outcomes[0].clone() };
    let again = outcomes.iter().map(|outcome| outcome.retransmissions).sum::<f64>() / outcomes.len() as f64;
    format!(
        "| {name} | {} | {} | {} | {} | {} | {again:.3} | {:.2} s | {:.2} s |",
        sum(|outcome| outcome.tally.accepted),
        sum(|outcome| outcome.tally.delivered),
        sum(|outcome| outcome.tally.undelivered),
        sum(|outcome| outcome.tally.twice),
        sum(|outcome| outcome.tally.lost),
        all.latency(500).as_secs_f64(),
        all.latency(990).as_secs_f64(),
    )
}

// ── many clients ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Clients at the default rates, each of which sends a message of 1 kB to another one every ten seconds or so.
fn large(options: &[&str]) -> Result<(), String> {
    let clients = usize::try_from(number(options, "--clients", 1_000)?).map_err(|_| "too many clients")?;
    let seconds = number(options, "--seconds", 60)?;
    let gateways = (clients / 250).clamp(2, 40);
    let clock = Clock::now();
    let layout = Layout { mixes_per_layer: 8, gateways: gateways as u32, ..Layout::default() };
    let mut world = LargeWorld::with_layout(1, layout);
    world.keep(Keeping::Counts);
    for place in 0..clients {
        let config = world.config(place % gateways);
        world.add_client(config);
    }
    let addresses: Vec<_> = (0..clients).map(|place| Recipient::Address(world.until_ready(place))).collect();
    println!("{clients} clients on {gateways} gateways are ready after {:.1} s", clock.elapsed().as_secs_f64());

    let clock = Clock::now();
    let start = world.now();
    let mut id = 0;
    while world.now().since(start) < Duration::from_secs(seconds) {
        for _ in 0..clients / 100 {
            id += 1;
            let (from, to) = (id as usize * 7_919 % clients, id as usize * 104_729 % clients);
            let mut body = vec![id as u8; 1_000];
            body[..8].copy_from_slice(&u64::to_be_bytes(id));
            let options = SendOptions { replies: mixlet::engine::Replies::Exactly(0), ..SendOptions::default() };
            world.send(from, id, &addresses[to], &body, &options).map_err(|error| error.to_string())?;
        }
        world.run_for(Duration::from_millis(100));
    }
    // What is under way comes to its end.
    world.run_for(Duration::from_secs(5));
    let (took, tally) = (clock.elapsed().as_secs_f64(), world.tally());
    let packets = |place| {
        let sent = world.engine(place).stats(world.now()).sent;
        sent.real + sent.reply + sent.retransmission + sent.cover
    };
    let frames: u64 = (0..clients).map(packets).sum();
    println!("{seconds} s of their time took {took:.1} s: {frames} packets left clients, {tally:?}");
    println!("at most {:.0} MB of memory", peak_memory_mb());
    Ok(())
}

/// The most memory this process ever had, as the system counts it.
fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes / 1_000.0)
}
