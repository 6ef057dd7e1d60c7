//! A chat beside a hundred megabytes: short latency for one, bounded memory for the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use std::collections::BTreeMap;

use mixlet::engine::{Event, MessageId, Priority, Recipient, SendError, SendOptions};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{Keeping, LargeWorld};
use peak_alloc::PeakAlloc;
use worlds::plain;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test, as the memory of the whole process is measured.
#[test]
fn a_chat_beside_four_hundred_large_messages_stays_quick_and_the_engine_small() {
    // The idle run has the same slots, so that what the nodes remember of packets is the same.
    let idle = run(0);
    let busy = run(400);
    assert_eq!(busy.received, idle.received + 400);

    let (before, beside) = (idle.latency, busy.latency);
    println!("chat latency, median and 99 %: {before:?} alone, {beside:?} beside 100 MB");
    assert!(beside.0 <= before.0 * 2 && beside.1 <= before.1 * 2);

    let over_idle = busy.memory.saturating_sub(idle.memory);
    println!("memory: {} kB over idle, of it {} kB handed over", over_idle >> 10, busy.handed_over >> 10);
    assert!(over_idle <= busy.handed_over + ENGINE_MEMORY_MAX);
}

struct Run {
    received: u64,
    /// Median and 99th percentile of the chat.
    latency: (Duration, Duration),
    /// The most memory in use.
    memory: usize,
    /// The most bytes of messages that were accepted and had no end.
    handed_over: usize,
}

/// Half an hour of chat, a line every two seconds, beside so many messages of 256 kB, as fast as they are taken.
fn run(large: u64) -> Run {
    let mut world = LargeWorld::new(1, 2);
    world.keep(Keeping::Counts);
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    world.until_ready(alice);
    let bob = Recipient::Address(world.until_ready(bob));
    MEMORY.reset_peak_usage();

    let (mut sent, mut handed_over) = (0, 0);
    for line in 0..900u64 {
        while sent < large {
            let body = vec![sent as u8; 256_000 + sent as usize];
            match world.send(alice, 1_000 + sent, &bob, &body, &plain()) {
                Ok(()) => sent += 1,
                Err(SendError::QueueFull) => break,
                Err(error) => panic!("{error}"),
            }
        }
        handed_over = handed_over.max(world.engine(alice).stats(world.now()).queued_bytes as usize);
        world.send(alice, line, &bob, format!("line {line}").as_bytes(), &plain()).unwrap();
        world.run_for(Duration::from_millis(1_900 + line % 200));
    }
    world.run_for(Duration::from_secs(60));
    world.assert_quiet();
    let mut chat: Vec<_> =
        world.latencies().iter().filter(|(len, _)| *len < 100).map(|(_, latency)| *latency).collect();
    chat.sort_unstable();
    let latency = (chat[chat.len() / 2], chat[chat.len() * 99 / 100]);
    Run { received: world.tally().received, latency, memory: MEMORY.peak_usage(), handed_over }
}

#[test]
fn priorities_are_kept_and_nobody_starves() {
    let mut world = LargeWorld::new(2, 2);
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    world.until_ready(alice);
    let bob = Recipient::Address(world.until_ready(bob));
    let priorities = [Priority::Bulk, Priority::Normal, Priority::High];
    for (id, priority) in (0..).zip(priorities) {
        let options = SendOptions { priority, ..plain() };
        // Long enough for all to be under way at the same time, and as many short ones beside them.
        world.send(alice, id, &bob, &vec![id as u8; 100_000], &options).unwrap();
        for short in 0..40 {
            world.send(alice, 100 * (id + 1) + short, &bob, &[id as u8, short as u8], &options).unwrap();
        }
    }
    world.run_until(Duration::from_secs(60), |world| world.open_messages() == 0);
    let ends: BTreeMap<MessageId, Instant> = (world.clients[alice].events.iter())
        .filter_map(|(at, event)| match event {
            Event::Delivered { id, .. } => Some((*id, *at)),
            _ => None,
        })
        .collect();
    let end = |id| ends[&MessageId(id)];
    let last_short = |id| (0..40).map(|short| end(100 * (id + 1) + short)).max().unwrap();
    let [bulk, normal, high] = [0, 1, 2];
    assert!(last_short(high) < end(high) && end(high) < end(normal) && end(normal) < end(bulk));
    assert!(last_short(high) < last_short(normal) && last_short(normal) < last_short(bulk));
    // A class that waits has a turn now and then: the first short ones of the lowest class come before the end of the
    // highest.
    assert!(end(100) < end(high));
}

/// What sender and recipient together may need over idle, beyond what the caller handed over.
const ENGINE_MEMORY_MAX: usize = 24 << 20;
const _: () = assert!(limits::SEND_QUEUE_LEN_MAX == 64 << 20);
