//! What drivers ask after every call takes no memory, however much waits. A process of its own: it counts the memory
//! of all that runs in it.

use mixlet::engine::{Recipient, Replies, SendOptions};
use mixlet::time::Duration;
use mixlet_devnet::sim::LargeWorld;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn asking_for_the_next_timeout_takes_no_memory() {
    let mut world = LargeWorld::new(1, 2);
    let config = world.config(1);
    let bob = world.add_client(config);
    let to = Recipient::Address(world.until_ready(bob));
    // Twenty peers who give one SURB each, and whose gateway is then gone.
    let one = SendOptions { replies: Replies::Exactly(1), ..SendOptions::default() };
    for number in 1..=20 {
        let config = world.config(0);
        let client = world.add_client(config);
        world.until_ready(client);
        world.send(client, 0, &to, &[number], &one).unwrap();
    }
    world.run_until(Duration::from_secs(30), |world| world.open_messages() == 0);
    world.kill_gateway(0, false);
    let tags: Vec<_> = world.received(bob).iter().filter_map(|(_, tag)| *tag).collect();
    assert_eq!(tags.len(), 20);
    for id in 0..4_000 {
        let tag = tags[id as usize % tags.len()];
        world.send(bob, id, &Recipient::Tag(tag), &id.to_be_bytes(), &SendOptions::default()).unwrap();
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.open_messages(), 4_000);
    let engine = world.engine(bob);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    for _ in 0..100 {
        assert!(engine.poll_timeout().is_some());
        assert!(engine.bounds().iter().all(|bound| bound.len <= bound.limit));
    }
    assert_eq!(MEMORY.peak_usage(), before);
}
