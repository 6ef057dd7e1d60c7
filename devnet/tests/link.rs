//! The link to the gateway in virtual time: lost, silent, refused, contested, slow, hostile, and out of bandwidth.

mod worlds;

use std::collections::BTreeSet;

use mixlet::engine::{Code, Event, FetchId, Incoming, LinkId, Phase, Recipient, Record, SendOptions, State};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{LargeWorld as World, Manner, UNIX_ZERO};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use worlds::{ALICE, BOB, failure, plain, secs, stop};

// ── lost and found ───────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_closed_link_is_opened_again_at_once_and_a_silent_one_is_degraded_first() {
    let (mut world, _, bob) = pair(1);
    cut(&mut world, ALICE);
    assert_eq!(states(&world, ALICE, 0).last(), Some(&(State::Reconnecting, Some(Code::GatewayRefused))));
    ready(&mut world, ALICE, 2);
    let seen = world.clients[ALICE].events.len();
    world.set_gateway_silent(0, true);
    world.run_for(secs(11));
    world.set_gateway_silent(0, false);
    ready(&mut world, ALICE, 30);
    assert_eq!(
        states(&world, ALICE, seen),
        [
            (State::Degraded, Some(Code::GatewayTimeout)),
            (State::Reconnecting, Some(Code::GatewayTimeout)),
            (State::Ready, None)
        ]
    );
    arrives(&mut world, 1, &bob, 10);
}

#[test]
fn few_packets_and_long_delays_are_no_silence() {
    let mut world = World::new(2, 1);
    let mut config = world.config(0);
    config.traffic.slot = secs(4);
    config.traffic.loop_cover = secs(10);
    config.traffic.hop_delay = secs(5);
    config.traffic.ack_delay = secs(5);
    let client = world.add_client(config);
    world.until_ready(client);
    world.run_for(secs(1_200));
    assert_eq!(states(&world, client, 0), [(State::Connecting, None), (State::Ready, None)]);
    // But a dead one is noticed all the same.
    world.set_gateway_silent(0, true);
    world.run_until(secs(600), |world| world.engine(client).state() == State::Reconnecting);
}

#[test]
fn waits_between_attempts_double_with_jitter_and_end_when_the_network_is_back() {
    let mut world = World::new(3, 1);
    let config = world.config(0);
    let clients = [(); 3].map(|()| world.add_client(config.clone()));
    clients.iter().for_each(|client| _ = world.until_ready(*client));
    world.kill_gateway(0, false);
    let killed = world.now();
    world.run_for(secs(1_200));
    let mut waits = BTreeSet::new();
    for client in &clients {
        let attempts: Vec<Instant> =
            std::iter::once(killed).chain(world.clients[*client].openings[1..].iter().copied()).collect();
        for (number, pair) in (0..).zip(attempts.windows(2)) {
            let (mean, wait) = ((500 << number.min(7)).min(60_000), pair[1].since(pair[0]).as_millis());
            // Being told that nobody listens takes a few milliseconds.
            assert!(wait >= mean / 2 && wait <= mean * 3 / 2 + 20, "attempt {number} after {wait} ms");
            waits.insert(wait * 1_000 / mean);
        }
        assert!(attempts.len() > 20);
    }
    assert!(waits.len() > 40, "waits follow a pattern: {waits:?}");
    // In the middle of a wait of up to a minute.
    world.revive_gateway(0);
    let online = world.now();
    world.with_engine(clients[0], |engine, now| engine.handle_online(now));
    ready(&mut world, clients[0], 1);
    assert_eq!(world.clients[clients[0]].openings.last(), Some(&online));
}

#[test]
fn what_comes_from_an_older_link_or_a_strange_one_changes_nothing() {
    let (mut world, _, _) = pair(4);
    for number in 0..3 {
        cut(&mut world, ALICE);
        let lost = world.now();
        // In every state on the way up again, and in the wait before.
        while world.now().since(lost) < Duration::from_millis(900) {
            assert_stale_changes_nothing(&mut world, number);
            world.run_for(Duration::from_millis(2));
        }
        ready(&mut world, ALICE, 3);
        assert_stale_changes_nothing(&mut world, number);
    }
    assert_eq!(world.clients[ALICE].openings.len(), 4);
}

/// Calls everything that takes a link or a fetch with one that is over.
fn assert_stale_changes_nothing(world: &mut World, newest_stale: u64) {
    world.with_engine(ALICE, |engine, now| {
        let before = (format!("{:?}", engine.stats(now)), engine.state(), engine.poll_timeout());
        let send = r#"{"type":"send","remaining_bandwidth":0,"upgrade_mode":false}"#;
        let refused = r#"{"type":"error","message":"the client is not registered"}"#;
        for link in (0..=newest_stale).chain([u64::MAX]).map(LinkId) {
            engine.handle_link_open(link, now);
            for text in [send, refused, "no json", r#"{"type":"supportedProtocol","version":0}"#] {
                engine.handle_frame(link, Incoming::Text(text), now);
            }
            engine.handle_frame(link, Incoming::Binary(&[1; 1_673]), now);
            engine.handle_frame(link, Incoming::Binary(&vec![1; limits::FRAME_LEN_MAX + 1]), now);
            engine.handle_link_closed(link, now);
        }
        engine.handle_fetched(FetchId(0), Ok(b"{}"), now);
        engine.handle_fetched(FetchId(u64::MAX), Ok(b"{}"), now);
        assert_eq!((format!("{:?}", engine.stats(now)), engine.state(), engine.poll_timeout()), before);
        assert!(engine.poll_request().is_none() && engine.poll_event().is_none());
        assert!(engine.poll_transmit(now).is_none());
    });
}

#[test]
fn a_gateway_that_takes_us_in_and_drops_us_is_met_with_growing_patience() {
    let mut world = World::new(5, 1);
    let config = slow(&world, 0);
    let client = world.add_client(config);
    world.until_ready(client);
    let start = world.now();
    while world.now().since(start) < secs(600) {
        cut(&mut world, client);
        world.run_until(secs(700), |world| world.engine(client).state() == State::Ready);
        // Long enough for something to come back.
        world.run_for(secs(4));
    }
    let count = world.clients[client].openings.len();
    assert!(count <= 25, "{count} attempts in ten minutes");
    // One that lasted makes up for it.
    world.run_for(limits::LINK_STABLE_TIME);
    cut(&mut world, client);
    ready(&mut world, client, 1);
}

// ── login ────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_login_time_that_was_used_is_tried_again() {
    let mut world = World::new(6, 1);
    let config = world.config(0);
    let client = world.add_client(config);
    let address = world.until_ready(client);
    let old = world.store(client).clone();
    stop(&mut world, client);
    world.start_client(client);
    world.until_ready(client);
    // Another copy of the same keys knows nothing of that login, in the same second.
    stop(&mut world, client);
    *world.store(client) = old;
    world.start_client(client);
    assert!(world.until_ready(client) == address);
    assert_eq!(refusals(&world, client, "previously used"), 1);
}

#[test]
fn another_key_leads_to_a_new_registration_under_the_same_address() {
    let mut world = World::new(7, 2);
    let config = world.config(0);
    let client = world.add_client(config);
    let address = world.until_ready(client);
    stop(&mut world, client);
    // Version, gateway, then the shared key.
    world.store(client).get_mut(&Record::Registration).unwrap()[40] ^= 1;
    world.clients[client].config.gateway = None;
    world.start_client(client);
    assert!(world.until_ready(client) == address);
    assert_eq!(refusals(&world, client, "address ciphertext"), 1);
    assert_eq!(world.clients[client].openings.len(), 3, "the two failures cost no wait");
}

#[test]
fn what_only_the_user_can_mend_ends_the_connecting() {
    type Rewrite = fn(&str) -> String;
    let cases: [(Rewrite, Code, Phase); 3] = [
        (|_| r#"{"type":"supportedProtocol","version":3}"#.to_owned(), Code::ProtocolVersion, Phase::Auth),
        (
            |text| match text.contains("supportedProtocol") {
                true => text.to_owned(),
                false => r#"{"type":"error","message":"the time is excessively skewed"}"#.to_owned(),
            },
            Code::ClockSkew,
            Phase::Auth,
        ),
        (
            |text| match text.contains("bandwidth") {
                true => r#"{"type":"bandwidth","available_total":0}"#.to_owned(),
                false => text.to_owned(),
            },
            Code::BandwidthExhausted,
            Phase::Bandwidth,
        ),
    ];
    for (rewrite, code, phase) in cases {
        let mut world = World::new(8, 1);
        world.set_manner(0, Manner { rewrite: Some(rewrite), ..Manner::default() });
        let config = world.config(0);
        let client = world.add_client(config);
        world.run_for(secs(10));
        assert_eq!(failure(&world, client), Some((code, phase)));
        assert_eq!(world.clients[client].openings.len(), 1, "{code:?}");
    }
}

#[test]
fn what_only_the_user_can_mend_is_told_after_a_loss_and_tried_seldom() {
    let (mut world, alice, _) = slow_pair(9);
    let seen = world.clients[ALICE].events.len();
    let old = |text: &str| match text.contains("supportedProtocol") {
        true => r#"{"type":"supportedProtocol","version":3}"#.to_owned(),
        false => text.to_owned(),
    };
    world.set_manner(0, Manner { rewrite: Some(old), ..Manner::default() });
    cut(&mut world, ALICE);
    world.run_for(secs(300));
    assert_eq!(
        states(&world, ALICE, seen),
        [(State::Reconnecting, Some(Code::GatewayRefused)), (State::Reconnecting, Some(Code::ProtocolVersion))]
    );
    assert!(world.clients[ALICE].openings.len() <= 12);
    world.set_manner(0, Manner::default());
    ready(&mut world, ALICE, 100);
    assert!(world.engine(ALICE).address() == address(&alice));
}

#[test]
fn a_clock_that_is_hours_off_is_corrected_by_the_gateways() {
    for hours in [-26, -3, 3, 26] {
        let mut world = World::new(10, 1);
        let mut config = world.config(0);
        config.unix_zero = Duration::from_secs(UNIX_ZERO.saturating_add_signed(hours * 3_600));
        let client = world.add_client(config);
        let address = world.until_ready(client);
        // Registering asks for no time; logging in does.
        cut(&mut world, client);
        ready(&mut world, client, 3);
        assert_eq!(refusals(&world, client, "skewed"), 1, "{hours} h");
        // Once known it is not asked for again.
        world.run_for(secs(2));
        cut(&mut world, client);
        ready(&mut world, client, 3);
        assert_eq!(refusals(&world, client, "skewed"), 1, "{hours} h");
        // And after a reload.
        stop(&mut world, client);
        world.run_for(secs(2));
        world.start_client(client);
        assert!(world.until_ready(client) == address);
        // A clock that is behind goes on from the last login, which is near enough.
        assert_eq!(refusals(&world, client, "skewed"), if hours > 0 { 2 } else { 1 }, "{hours} h");
    }
}

// ── the same identity twice ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_second_client_with_the_same_identity_is_told_so_and_the_first_notices_nothing() {
    let (mut world, alice, _) = slow_pair(11);
    let seen = world.clients[ALICE].events.len();
    let twin = world.add_twin(ALICE);
    world.run_for(secs(20));
    assert_eq!(failure(&world, twin), Some((Code::InUse, Phase::Auth)));
    assert_eq!(world.clients[twin].openings.len(), limits::CONNECT_ATTEMPTS as usize);
    assert_eq!(states(&world, ALICE, seen), []);
    world.send(BOB, 1, &alice, b"to the first", &plain()).unwrap();
    world.run_until(secs(10), |world| !world.received(ALICE).is_empty());
}

#[test]
fn a_client_whose_place_was_taken_says_so_and_comes_back_when_it_is_free() {
    let mut world = World::new(12, 1);
    let config = slow(&world, 0);
    let first = world.add_client(config);
    world.until_ready(first);
    let seen = world.clients[first].events.len();
    cut(&mut world, first);
    let twin = world.add_twin(first);
    world.until_ready(twin);
    world.run_for(secs(120));
    assert_eq!(
        states(&world, first, seen),
        [(State::Reconnecting, Some(Code::GatewayRefused)), (State::Reconnecting, Some(Code::InUse))]
    );
    assert_eq!(world.engine(twin).state(), State::Ready);
    stop(&mut world, twin);
    ready(&mut world, first, 100);
}

#[test]
fn two_clients_that_throw_each_other_out_do_so_ever_more_seldom() {
    let mut world = World::new(13, 1);
    world.set_manner(0, Manner { no_pongs: true, ..Manner::default() });
    let config = slow(&world, 0);
    let first = world.add_client(config);
    world.until_ready(first);
    let twin = world.add_twin(first);
    world.run_for(secs(300));
    let openings = |world: &World| world.clients[first].openings.len() + world.clients[twin].openings.len();
    let before = openings(&world);
    assert!(before <= 40, "{before} attempts in five minutes");
    world.run_for(secs(300));
    assert!(openings(&world) - before <= 20, "{} more", openings(&world) - before);
}

// ── bandwidth ────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn bandwidth_is_claimed_before_the_first_packet() {
    let (mut world, _, _) = pair(14);
    world.run_for(secs(1));
    let claimed = world.clients[ALICE].texts.iter().position(|(_, text)| text.contains(r#""bandwidth""#)).unwrap();
    let at = world.clients[ALICE].texts[claimed].0;
    let packets: Vec<_> = world.clients[ALICE].frames.iter().filter(|(_, len)| *len > 1_000).collect();
    assert!(packets.len() > 20 && packets.iter().all(|(left, _)| *left > at));
    assert_eq!(refusals(&world, ALICE, "out_of_bandwidth"), 0);
}

/// Runs a world without clients until shortly before midnight.
fn before_midnight(seed: u64, gateways: u32) -> (World, Instant) {
    let mut world = World::new(seed, gateways);
    let midnight = secs(86_400 - UNIX_ZERO % 86_400);
    world.run_for(midnight - secs(15));
    (world, Instant::ZERO + midnight)
}

#[test]
fn free_bandwidth_ends_at_midnight_and_not_a_packet_is_lost() {
    let (mut world, midnight) = before_midnight(15, 2);
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    let alice_at = Recipient::Address(world.until_ready(alice));
    let bob_at = Recipient::Address(world.until_ready(bob));
    // Alice's queue is never empty, from before midnight until after.
    world.send(ALICE, 1, &bob_at, &vec![7; 1_500_000], &plain()).unwrap();
    world.send(BOB, 1, &alice_at, &vec![8; 20_000], &plain()).unwrap();
    world.run_for(secs(35));
    for client in [ALICE, BOB] {
        assert_eq!(refusals(&world, client, "out_of_bandwidth"), 0);
        let stats = world.engine(client).stats(world.now());
        assert_eq!(stats.sent.retransmission, 0);
        let claims = world.clients[client].texts.iter().filter(|(_, text)| text.contains(r#""bandwidth""#));
        let claims: Vec<Instant> = claims.map(|(at, _)| *at).collect();
        assert_eq!(claims.len(), 2);
        assert!(claims[1] > midnight && claims[1] < midnight + secs(3));
        // Nothing left in between, and something right before and after.
        let packets: Vec<Instant> =
            world.clients[client].frames.iter().filter(|(_, len)| *len > 1_000).map(|(at, _)| *at).collect();
        let gap = packets.windows(2).max_by_key(|pair| pair[1].since(pair[0])).unwrap();
        assert!(gap[0] < midnight.before(limits::DAY_END_HOLD) && gap[1] > claims[1]);
        assert!(gap[1].since(gap[0]) < secs(5), "{:?}", gap[1].since(gap[0]));
        // The silence is nobody's fault.
        assert_eq!(states(&world, client, 0), [(State::Connecting, None), (State::Ready, None)]);
    }
    world.run_until(secs(20), |world| !world.ends(ALICE).0.is_empty());
    assert_eq!(world.engine(ALICE).stats(world.now()).sent.retransmission, 0);
}

#[test]
fn midnight_looks_the_same_for_who_sends_and_who_does_not() {
    let run = |sends: bool| {
        let (mut world, midnight) = before_midnight(16, 2);
        let (alice, bob) = (world.config(0), world.config(1));
        world.add_client(alice);
        world.add_client(bob);
        world.until_ready(ALICE);
        let bob = Recipient::Address(world.until_ready(BOB));
        world.run_until(secs(20), |world| world.now() > midnight.before(secs(4)));
        let start = world.now();
        if sends {
            world.send(ALICE, 1, &bob, &vec![1; 100_000], &plain()).unwrap();
        }
        world.run_for(secs(10));
        let frames = world.clients[ALICE].frames.iter().copied();
        frames.filter(|(at, _)| *at > start && *at < start + secs(9)).collect::<Vec<_>>()
    };
    let idle = run(false);
    assert!(idle.len() > 100);
    assert!(run(true) == idle);
}

#[test]
fn a_clock_that_is_corrected_knows_midnight_too() {
    let (mut world, _) = before_midnight(17, 1);
    let mut config = world.config(0);
    config.unix_zero += secs(3 * 3_600);
    let client = world.add_client(config);
    world.until_ready(client);
    cut(&mut world, client);
    ready(&mut world, client, 5);
    world.run_for(secs(25));
    assert_eq!(refusals(&world, client, "out_of_bandwidth"), 0);
    assert_eq!(world.clients[client].texts.iter().filter(|(_, text)| text.contains(r#""bandwidth""#)).count(), 2);
}

#[test]
fn a_gateway_whose_clock_is_a_little_off_refuses_packets_and_loses_none() {
    for ahead in [-100, -4, 4, 10] {
        let (mut world, _) = before_midnight(18, 2);
        world.set_manner(0, Manner { clock_ahead: ahead, ..Manner::default() });
        let (alice, bob) = (slow(&world, 0), slow(&world, 1));
        world.add_client(alice);
        world.add_client(bob);
        world.until_ready(ALICE);
        let bob = Recipient::Address(world.until_ready(BOB));
        for id in 0..160 {
            world.send(ALICE, id, &bob, &[id as u8; 100], &plain()).unwrap();
            world.run_for(secs(1));
        }
        world.run_until(secs(30), |world| world.ends(ALICE).0.len() == 160);
        assert_eq!(world.received(BOB).len(), 160);
        let refused = refusals(&world, ALICE, "out_of_bandwidth");
        assert!((1..=3).contains(&refused), "{refused} refused, {ahead} s");
        let stats = world.engine(ALICE).stats(world.now());
        assert!(stats.sent.retransmission <= refused as u64);
        assert_eq!(world.clients[ALICE].openings.len(), 1);
    }
}

#[test]
fn who_sleeps_over_midnight_claims_before_anything_else() {
    let (mut world, midnight) = before_midnight(19, 2);
    let (alice, bob) = (world.config(0), slow(&world, 1));
    world.add_client(alice);
    world.add_client(bob);
    world.until_ready(ALICE);
    let bob = Recipient::Address(world.until_ready(BOB));
    world.stop_client(BOB);
    world.sleep_client(ALICE, secs(3 * 86_400));
    assert!(world.now() > midnight + secs(2 * 86_400));
    world.advance_epochs(0);
    world.start_client(BOB);
    world.until_ready(BOB);
    arrives(&mut world, 1, &bob, 10);
    assert_eq!(refusals(&world, ALICE, "out_of_bandwidth"), 0);
}

#[test]
fn bandwidth_that_runs_out_in_the_middle_of_a_message_costs_no_time_and_no_fragment() {
    let (mut world, _, bob) = pair(20);
    // One attempt for each fragment: it ends undelivered if a refused one counts as sent.
    let once = SendOptions { reliable: false, ..plain() };
    world.send(ALICE, 1, &bob, &vec![6; 100_000], &once).unwrap();
    world.run_for(Duration::from_millis(500));
    // The gateway's day is over although nobody's clock says so.
    world.set_manner(0, Manner { clock_ahead: 86_400, ..Manner::default() });
    let start = world.now();
    world.run_until(secs(10), |world| world.ends(ALICE) != (vec![], vec![]));
    assert!(world.now().since(start) < secs(4), "{:?}", world.now().since(start));
    assert_eq!((world.ends(ALICE), world.received(BOB).len()), ((vec![1], vec![]), 1));
    let refused = refusals(&world, ALICE, "out_of_bandwidth");
    assert!(refused >= 1, "the comparison is to cover refusals");
    let stats = world.engine(ALICE).stats(world.now());
    assert!(stats.sent.retransmission <= refused as u64, "{} of {refused}", stats.sent.retransmission);
    assert_eq!(states(&world, ALICE, 0), [(State::Connecting, None), (State::Ready, None)]);
}

#[test]
fn where_nothing_is_metered_nothing_is_claimed() {
    let (mut world, _) = before_midnight(21, 1);
    world.set_manner(0, Manner { unmetered: true, ..Manner::default() });
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    world.run_for(secs(20));
    let silence = world.clients[client].frames.windows(2).map(|pair| pair[1].0.since(pair[0].0)).max();
    assert!(silence < Some(Duration::from_millis(500)), "midnight means nothing");
    assert!(world.clients[client].texts.iter().all(|(_, text)| !text.contains(r#""bandwidth""#)));
}

#[test]
fn a_gateway_that_wants_tickets_is_left_for_another_only_by_who_named_none_and_has_no_address() {
    let tickets = Manner { wants_tickets: true, ..Manner::default() };
    // Named.
    let mut world = World::new(22, 2);
    world.set_manner(0, tickets);
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    assert_eq!(failure(&world, client), Some((Code::BandwidthExhausted, Phase::Bandwidth)));
    assert_eq!(world.clients[client].openings.len(), 1);

    // Not named, and no address yet. Several, as the first may be the other by chance.
    for _ in 0..4 {
        let mut config = world.config(0);
        config.gateway = None;
        let client = world.add_client(config);
        let address = world.until_ready(client);
        assert!(Some(address.gateway()) == world.config(1).gateway);
    }

    // Not named, but with an address at a gateway that has changed its mind, and forgotten what it gave.
    world.set_manner(0, Manner::default());
    let config = world.config(0);
    let client = world.add_client(config);
    let address = world.until_ready(client);
    stop(&mut world, client);
    world.kill_gateway(0, true);
    world.revive_gateway(0);
    world.set_manner(0, tickets);
    world.clients[client].config.gateway = None;
    world.start_client(client);
    world.run_for(secs(5));
    assert_eq!(failure(&world, client), Some((Code::BandwidthExhausted, Phase::Bandwidth)));
    // Its address is still its own when the gateway gives again.
    world.set_manner(0, Manner::default());
    stop(&mut world, client);
    world.start_client(client);
    assert!(world.until_ready(client) == address);
}

#[test]
fn a_gateway_that_begins_to_want_tickets_is_told_of_and_waited_for() {
    let (mut world, _) = before_midnight(23, 1);
    let config = world.config(0);
    let client = world.add_client(config);
    let address = world.until_ready(client);
    let seen = world.clients[client].events.len();
    world.set_manner(0, Manner { wants_tickets: true, ..Manner::default() });
    world.run_for(secs(120));
    assert_eq!(states(&world, client, seen), [(State::Reconnecting, Some(Code::BandwidthExhausted))]);
    assert!(world.clients[client].openings.len() <= 6);
    world.set_manner(0, Manner::default());
    ready(&mut world, client, 100);
    assert!(world.engine(client).address() == Some(&address));
}

// ── slow, dumb and hostile ───────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_gateway_that_answers_after_eight_seconds_is_a_gateway() {
    let mut world = World::new(24, 2);
    world.set_manner(0, Manner { lag: secs(8), ..Manner::default() });
    let (alice, bob) = (slow(&world, 0), slow(&world, 1));
    world.add_client(alice);
    world.add_client(bob);
    ready(&mut world, ALICE, 60);
    let bob = Recipient::Address(world.until_ready(BOB));
    assert_eq!(world.clients[ALICE].openings.len(), 1);
    arrives(&mut world, 1, &bob, 30);
    world.run_for(secs(15));
    assert_eq!(world.received(BOB).len(), 1);
    cut(&mut world, ALICE);
    ready(&mut world, ALICE, 60);
    assert_eq!(world.clients[ALICE].openings.len(), 2);
}

#[test]
fn a_gateway_that_never_answers_times_out_wherever_it_stops() {
    let dumb = Manner { lag: secs(1_000_000), ..Manner::default() };
    // Before the link is open: nothing more comes of one byte a second either, as no frame is ever whole.
    let mut world = World::new(25, 1);
    world.set_manner(0, Manner { never_opens: true, ..Manner::default() });
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(secs(50));
    assert_eq!(failure(&world, client), Some((Code::GatewayTimeout, Phase::Gateway)));
    assert_eq!(world.clients[client].openings.len(), 3);

    // After it.
    let mut world = World::new(26, 1);
    world.set_manner(0, dumb);
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(secs(50));
    assert_eq!(failure(&world, client), Some((Code::GatewayTimeout, Phase::Auth)));
    assert_eq!(world.clients[client].openings.len(), 3);

    // In the middle of the handshake, however long it goes on repeating what was not asked.
    let mut world = World::new(27, 1);
    world.set_manner(0, dumb);
    let config = world.config(0);
    let client = world.add_client(config);
    for _ in 0..60 {
        world.run_for(secs(1));
        let newest = LinkId(world.clients[client].openings.len() as u64 - 1);
        let version = r#"{"type":"supportedProtocol","version":6}"#;
        world.with_engine(client, |engine, now| engine.handle_frame(newest, Incoming::Text(version), now));
    }
    assert_eq!(failure(&world, client), Some((Code::GatewayTimeout, Phase::Auth)));
}

#[test]
fn one_byte_a_second_is_no_sign_of_life() {
    let (mut world, _, _) = pair(28);
    let seen = world.clients[ALICE].events.len();
    world.set_gateway_silent(0, true);
    for second in 0..11 {
        world.with_engine(ALICE, |engine, now| {
            engine.handle_frame(LinkId(0), Incoming::Binary(&[1]), now);
            engine.handle_frame(LinkId(0), Incoming::Text("{"), now);
        });
        assert!(world.engine(ALICE).stats(world.now()).dropped.frame <= 2 * (second + 1));
        world.run_for(secs(1));
    }
    assert_eq!(
        states(&world, ALICE, seen),
        [(State::Degraded, Some(Code::GatewayTimeout)), (State::Reconnecting, Some(Code::GatewayTimeout))]
    );
    world.set_gateway_silent(0, false);
    ready(&mut world, ALICE, 30);
}

#[test]
fn garbage_ends_a_login_and_is_counted_afterwards() {
    let mut world = World::new(29, 2);
    world.set_manner(0, Manner { lag: secs(1_000_000), ..Manner::default() });
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(Duration::from_millis(50));
    world.with_engine(client, |engine, now| engine.handle_frame(LinkId(0), Incoming::Text("garbage"), now));
    world.run_for(secs(3));
    assert!(world.clients[client].openings.len() >= 2, "the first link was given up at once");

    let (mut world, _, bob) = pair(30);
    let mut rng = ChaCha20Rng::seed_from_u64(30);
    let seen = world.clients[ALICE].events.len();
    for _ in 0..2_000 {
        let mut bytes = vec![0; rng.next_u32() as usize % 2_000];
        rng.fill_bytes(&mut bytes);
        if let Some(kind) = bytes.first_mut() {
            *kind %= 3;
        }
        let text = match rng.next_u32() % 4 {
            0 => format!(r#"{{"type":"send","remaining_bandwidth":{}}}"#, rng.next_u64() as i64),
            1 => r#"{"type":"register","protocol_version":6,"status":true}"#.to_owned(),
            2 => r#"{"type":"error","message":"already an open connection"}"#.to_owned(),
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        };
        world.with_engine(ALICE, |engine, now| {
            engine.handle_frame(LinkId(0), Incoming::Binary(&bytes), now);
            engine.handle_frame(LinkId(0), Incoming::Text(&text), now);
        });
        world.run_for(Duration::from_millis(1));
    }
    assert_eq!(states(&world, ALICE, seen), []);
    assert!(world.engine(ALICE).stats(world.now()).dropped.frame > 2_000);
    arrives(&mut world, 1, &bob, 10);
    // What is too long to be anything ends the link.
    let long = vec![1; limits::FRAME_LEN_MAX + 1];
    world.with_engine(ALICE, |engine, now| engine.handle_frame(LinkId(0), Incoming::Binary(&long), now));
    assert_eq!(world.engine(ALICE).state(), State::Reconnecting);
    ready(&mut world, ALICE, 3);
}

// ── what the tests are made of ───────────────────────────────────────────────────────────────────────────────────────

/// Two clients, each on its own gateway, both ready.
fn pair(seed: u64) -> (World, Recipient, Recipient) {
    let mut world = World::new(seed, 2);
    let (alice, bob) = (world.config(0), world.config(1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

/// The same with few packets.
fn slow_pair(seed: u64) -> (World, Recipient, Recipient) {
    let mut world = World::new(seed, 2);
    let (alice, bob) = (slow(&world, 0), slow(&world, 1));
    let (alice, bob) = (world.add_client(alice), world.add_client(bob));
    let (alice, bob) = (world.until_ready(alice), world.until_ready(bob));
    (world, Recipient::Address(alice), Recipient::Address(bob))
}

/// Settings with so few packets that a run of minutes is quick.
fn slow(world: &World, gateway: usize) -> mixlet::engine::Config {
    let mut config = world.config(gateway);
    config.traffic.slot = Duration::from_millis(500);
    config.traffic.loop_cover = secs(1);
    config
}

/// Cuts a client's link and lets it notice.
fn cut(world: &mut World, client: usize) {
    world.cut_link(client);
    world.run_for(secs(0));
}

fn ready(world: &mut World, client: usize, within: u64) {
    world.run_until(secs(within), |world| world.engine(client).state() == State::Ready);
}

/// Alice sends Bob a message, which arrives once and is acknowledged.
fn arrives(world: &mut World, id: u64, bob: &Recipient, within: u64) {
    let before = world.received(BOB).len();
    assert_eq!(world.send(ALICE, id, bob, b"hello", &plain()), Ok(()));
    world.run_until(secs(within), |world| world.ends(ALICE).0.contains(&id));
    assert_eq!(world.received(BOB).len(), before + 1);
}

/// The states of a client, and why, after so many events.
fn states(world: &World, client: usize, after: usize) -> Vec<(State, Option<Code>)> {
    let events = world.clients[client].events[after..].iter();
    events
        .filter_map(|(_, event)| match event {
            Event::State { state, code } => Some((*state, *code)),
            _ => None,
        })
        .collect()
}

/// How often the gateway said something with these words in it. It says each refusal of a login twice.
fn refusals(world: &World, client: usize, words: &str) -> usize {
    let count = world.clients[client].texts.iter().filter(|(_, text)| text.contains(words)).count();
    if words == "out_of_bandwidth" { count } else { count.div_ceil(2) }
}

fn address(of: &Recipient) -> Option<&mixlet::message::Address> {
    match of {
        Recipient::Address(address) => Some(address),
        Recipient::Tag(_) => None,
    }
}
