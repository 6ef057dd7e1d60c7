//! What mixlet peers say to each other: receipts, requests and answers, streams, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use std::collections::BTreeMap;

use mixlet::engine::{self, Code, MessageId, Phase, Recipient, SendOptions};
use mixlet::exchange::{
    Event, Receipt, RequestHandle, RequestOptions, Speaks, StreamId, StreamOptions, ending, envelope,
};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{LargeWorld as World, Weather};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use worlds::{ALICE, BOB, secs, stop, two_clients};

// ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_receipt_comes_after_the_acks_and_the_message_is_seen_once() {
    let (mut world, bob) = pair(1, Weather::default());
    assert_eq!(world.send_receipted(ALICE, (1, Receipt::Yes), &bob, b"hello", &SendOptions::default()), Ok(true));
    world.run_until(secs(10), |world| receipted(world).contains(&1));
    assert_eq!(world.ends(ALICE).0, [1]);
    assert_eq!(messages(&world, BOB), [b"hello".to_vec()]);
    world.run_for(secs(30));
    world.assert_quiet();
}

#[test]
fn receipts_are_asked_of_those_who_are_known_to_give_them() {
    let (mut world, bob) = pair(2, Weather::default());
    let auto = |world: &mut World, id| {
        world.send_receipted(
            ALICE,
            (id, Receipt::Auto),
            &bob,
            format!("number {id}").as_bytes(),
            &SendOptions::default(),
        )
    };
    world.with_client(ALICE, |client, _| assert_eq!(client.speaks(&bob), None));
    assert_eq!(auto(&mut world, 1), Ok(false));
    world.run_for(secs(5));
    let id = MessageId(2);
    world.with_client(ALICE, |client, now| client.probe(id, &bob, &RequestOptions::default(), now)).unwrap();
    world.run_until(secs(5), |world| answer(world, 2).is_some());
    assert!(matches!(world.inside(ALICE).speaks(&bob), Some(Speaks::Mixlet { .. })));
    assert_eq!(auto(&mut world, 3), Ok(true));
    world.run_until(secs(5), |world| receipted(world).contains(&3));
}

#[test]
fn what_a_dying_gateway_of_the_recipient_lost_goes_again_and_is_seen_once() {
    for seed in 10..16 {
        let (mut world, bob) = pair(seed, Weather::default());
        for id in 0..150 {
            let body = format!("message {id}");
            world.send_receipted(ALICE, (id, Receipt::Yes), &bob, body.as_bytes(), &SendOptions::default()).unwrap();
        }
        world.run_for(secs(1));
        world.kill_gateway(1, false);
        world.run_for(secs(2));
        world.revive_gateway(1);
        world.run_until(secs(200), |world| receipted(world).len() == 150);
        assert_eq!(messages(&world, BOB).len(), 150);
        world.run_for(secs(60));
        world.assert_quiet();
    }
}

#[test]
fn under_loss_each_receipted_message_is_seen_once() {
    let (mut world, bob) = pair(3, Weather { loss: 0.1, duplication: 0.05, ..Weather::default() });
    for id in 0..1_000 {
        world
            .send_receipted(
                ALICE,
                (id, Receipt::Yes),
                &bob,
                format!("message {id}").as_bytes(),
                &SendOptions::default(),
            )
            .unwrap();
    }
    world.run_until(secs(300), |world| receipted(world).len() == 1_000);
    assert_eq!(messages(&world, BOB).len(), 1_000);
    // Also where acks were lost and the receipt came first.
    let round_trips = world.clients[ALICE].said.iter().filter_map(|(_, event)| match event {
        Event::Engine(engine::Event::Delivered { round_trip, .. }) | Event::Receipted { round_trip, .. } => {
            Some(*round_trip)
        }
        _ => None,
    });
    assert!(round_trips.min() > Some(Duration::ZERO));
}

#[test]
fn a_recipient_that_stays_away_is_told_at_the_deadline() {
    let (mut world, bob) = pair(4, Weather::default());
    stop(&mut world, BOB);
    let options = SendOptions { timeout: Some(secs(60)), ..SendOptions::default() };
    world.send_receipted(ALICE, (1, Receipt::Yes), &bob, b"are you there", &options).unwrap();
    world.run_for(secs(70));
    assert_eq!(world.ends(ALICE).0, [1], "its gateway has it");
    assert!(said(&world, ALICE, |event| matches!(
        event,
        Event::NotReceipted { id: MessageId(1), code: Code::NoReceiptSupport }
    )));
    world.run_for(secs(60));
    world.assert_quiet();
}

#[test]
fn the_deadline_of_a_receipt_stands_still_without_a_link() {
    let (mut world, bob) = pair(9, Weather::default());
    world.stop_gateway(0, false);
    world.run_for(secs(1));
    let options = SendOptions { timeout: Some(secs(30)), ..SendOptions::default() };
    world.send_receipted(ALICE, (1, Receipt::Yes), &bob, b"from the tunnel", &options).unwrap();
    world.run_for(secs(120));
    world.revive_gateway(0);
    world.run_until(secs(90), |world| receipted(world).contains(&1));
}

#[test]
fn a_recipient_that_comes_back_sees_a_repeated_message_once() {
    let (mut world, bob) = pair(5, Weather::default());
    stop(&mut world, BOB);
    world.send_receipted(ALICE, (1, Receipt::Yes), &bob, b"are you there", &SendOptions::default()).unwrap();
    // Enough for several repetitions, all of which its gateway keeps.
    world.run_for(secs(120));
    world.start_client(BOB);
    world.run_until(secs(60), |world| receipted(world).contains(&1));
    world.run_for(secs(30));
    assert_eq!(messages(&world, BOB).len(), 1);
    let repeats = world.inside(BOB).dropped().into_iter().find(|(name, _)| *name == "messageRepeat").unwrap().1;
    assert!(repeats >= 2, "{repeats} repetitions came");
}

/// What was sent again does not tell how long a receipt takes: else each loss would make the next one wait longer.
#[test]
fn a_recipient_that_starts_anew_again_and_again_gets_each_message_as_soon() {
    let (mut world, bob) = unpaced(8, Weather::default());
    for id in 0..12 {
        world
            .send_receipted(ALICE, (id, Receipt::Yes), &bob, &vec![id as u8; 300_000], &SendOptions::default())
            .unwrap();
        world.run_for(Duration::from_millis(600));
        stop(&mut world, BOB);
        world.start_client(BOB);
        world.run_until(secs(15), |world| receipted(world).contains(&id));
    }
    assert_eq!(messages(&world, BOB).len(), 12);
}

#[test]
fn bare_bytes_that_look_like_an_envelope_arrive_as_they_are() {
    let (mut world, bob) = pair(6, Weather::default());
    let mut body = envelope::MAGIC.to_vec();
    body.extend_from_slice(&[9; 40]);
    world.send_receipted(ALICE, (1, Receipt::Auto), &bob, &body, &worlds::plain()).unwrap();
    world.run_until(secs(5), |world| !messages(world, BOB).is_empty());
    assert_eq!(messages(&world, BOB), [body]);
}

#[test]
fn envelopes_of_a_later_version_are_answered_and_counted() {
    let (mut world, bob) = pair(7, Weather::default());
    let mut bytes = envelope::simple(envelope::Kind::Request, envelope::Id([7; 16]), b"?");
    bytes[envelope::MAGIC.len()] = 2;
    world.send(ALICE, 1, &bob, &bytes, &SendOptions::default()).unwrap();
    world.run_for(secs(5));
    let unsupported = world.inside(BOB).dropped().into_iter().find(|(name, _)| *name == "envelopeUnsupported").unwrap();
    assert_eq!(unsupported.1, 1);
    assert!(matches!(world.inside(ALICE).speaks(&bob), Some(Speaks::Mixlet { .. })), "its answer tells");
}

// ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_request_is_answered_by_whom_it_went_to() {
    let (mut world, bob) = pair(20, Weather::default());
    world.with_client(BOB, |client, _| assert!(client.serve("echo".into())));
    ask(&mut world, 1, &bob, "echo", b"hello", &RequestOptions::default());
    serve_until(&mut world, secs(10), |world| answer(world, 1).is_some());
    assert_eq!(answer(&world, 1), Some(Ok(b"hello".to_vec())));
    world.run_for(secs(5));
    world.assert_quiet();
}

#[test]
fn a_request_over_a_tag_is_answered_too() {
    let (mut world, bob) = pair(21, Weather::default());
    world.with_client(ALICE, |client, _| assert!(client.serve(String::new())));
    world.send(ALICE, 0, &bob, b"here I am", &SendOptions::default()).unwrap();
    world.run_until(secs(5), |world| !world.received(BOB).is_empty());
    let alice = Recipient::Tag(world.received(BOB)[0].1.unwrap());
    let items = vec![(MessageId(5), b"what do you think".to_vec())];
    world.with_client(BOB, |client, now| client.request(items, &alice, &RequestOptions::default(), now)).unwrap();
    world.run_for(secs(3));
    respond_all(&mut world, ALICE);
    world.run_for(secs(3));
    assert!(said(
        &world,
        BOB,
        |event| matches!(event, Event::Response { id: MessageId(5), from, .. } if *from == alice)
    ));
}

#[test]
fn a_service_nobody_serves_and_a_handler_that_fails_are_told_at_once() {
    let (mut world, bob) = pair(22, Weather::default());
    world.with_client(BOB, |client, _| client.serve("broken".into()));
    ask(&mut world, 1, &bob, "missing", b"?", &RequestOptions::default());
    ask(&mut world, 2, &bob, "broken", b"?", &RequestOptions::default());
    world.run_for(secs(3));
    for handle in handles(&world, BOB) {
        world.with_client(BOB, |client, now| client.respond(handle, None, &SendOptions::default(), now)).unwrap();
    }
    world.run_for(secs(3));
    assert_eq!(answer(&world, 1), Some(Err((Code::NoHandler, Phase::Peer))));
    assert_eq!(answer(&world, 2), Some(Err((Code::HandlerFailed, Phase::Peer))));
}

#[test]
fn the_error_tells_which_time_ran_out_and_a_late_answer_comes_with_its_label() {
    let (mut world, bob) = pair(23, Weather::default());
    world.with_client(BOB, |client, _| client.serve(String::new()));
    let options =
        RequestOptions { response_timeout: Some(secs(3)), label: "the slow one".into(), ..RequestOptions::default() };
    ask(&mut world, 1, &bob, "", b"take your time", &options);
    world.run_for(secs(10));
    assert_eq!(answer(&world, 1), Some(Err((Code::ResponseTimeout, Phase::Peer))));
    respond_all(&mut world, BOB);
    world.run_for(secs(3));
    let late = |event: &Event| matches!(event, Event::Late { id: MessageId(1), label, .. } if label == "the slow one");
    assert!(said(&world, ALICE, late));

    // Nothing leaves: its time is spent in the queue.
    world.stop_gateway(0, false);
    world.run_for(secs(1));
    ask(&mut world, 2, &bob, "", b"?", &RequestOptions { timeout: Some(secs(5)), ..RequestOptions::default() });
    world.run_for(secs(6));
    assert_eq!(answer(&world, 2), Some(Err((Code::Timeout, Phase::Queue))));
    world.revive_gateway(0);
    world.run_for(secs(60));
    world.assert_quiet();
}

#[test]
fn a_deadline_holds_to_the_microsecond() {
    let micros = |micros| Duration::from_micros(micros);
    for (early, fails) in [(1, false), (0, true)] {
        let (mut world, bob) = pair(24, Weather::default());
        ask(&mut world, 1, &bob, "", b"?", &RequestOptions { timeout: Some(secs(7)), ..RequestOptions::default() });
        stop(&mut world, BOB);
        world.run_for(secs(7) - micros(early));
        assert_eq!(answer(&world, 1).is_some(), fails, "{early} µs before");
    }
}

#[test]
fn small_requests_share_packets_and_fail_alone() {
    let (mut world, bob) = pair(25, Weather::default());
    world.with_client(BOB, |client, _| client.serve("echo".into()));
    let before = world.engine(ALICE).stats(world.now()).sent.real;
    let items = (0..100).map(|id| (MessageId(id), format!("item {id}").into_bytes()));
    let options = RequestOptions { service: "echo".into(), expected_len: 100, ..RequestOptions::default() };
    world.with_client(ALICE, |client, now| client.request(items, &bob, &options, now)).unwrap();
    world.with_client(ALICE, |client, now| client.cancel_request(MessageId(50), now));
    let answered = |world: &World| (0..100).filter(|id| answer(world, *id).is_some()).count();
    serve_until(&mut world, secs(60), |world| answered(world) == 99);
    let sent = world.engine(ALICE).stats(world.now()).sent.real - before;
    assert!(sent < 60, "{sent} packets for a hundred requests and their reply blocks");
    assert!(
        (0..100).filter(|id| *id != 50).all(|id| { answer(&world, id) == Some(Ok(format!("item {id}").into_bytes())) })
    );
}

#[test]
fn when_the_link_goes_requests_fail_or_are_asked_again_and_handled_once() {
    let (mut world, bob) = pair(26, Weather::default());
    world.with_client(BOB, |client, _| client.serve(String::new()));
    ask(&mut world, 1, &bob, "", b"once", &RequestOptions { retry: false, ..RequestOptions::default() });
    ask(&mut world, 2, &bob, "", b"again", &RequestOptions::default());
    world.run_for(secs(3));
    // The answers reach the gateway and no further.
    world.set_gateway_silent(0, true);
    respond_all(&mut world, BOB);
    world.run_for(secs(3));
    world.set_gateway_silent(0, false);
    world.kill_gateway(0, true);
    world.run_for(Duration::from_millis(10));
    world.revive_gateway(0);
    let gone = answer(&world, 1);
    assert!(matches!(gone, Some(Err((Code::NotConnected, Phase::Network)))), "{gone:?}");
    serve_until(&mut world, secs(60), |world| answer(world, 2).is_some());
    assert_eq!(answer(&world, 2), Some(Ok(b"again".to_vec())));
    assert_eq!(handles(&world, BOB).len(), 2, "each was handled once");
}

/// How full a table of a client's exchange is.
fn len_of(world: &World, client: usize, name: &str) -> usize {
    world.inside(client).bounds().into_iter().find(|bound| bound.name == name).unwrap().len
}

#[test]
fn a_thousand_requests_answered_in_random_order_get_their_own_answers() {
    let (mut world, bob) = pair(27, Weather { loss: 0.05, ..Weather::default() });
    world.with_client(BOB, |client, _| client.serve(String::new()));
    let options = RequestOptions { timeout: Some(secs(600)), expected_len: 200, ..RequestOptions::default() };
    let items = (0..1_000).map(|id| (MessageId(id), format!("number {id}").into_bytes()));
    world.with_client(ALICE, |client, now| client.request(items, &bob, &options, now)).unwrap();
    world.run_for(secs(20));
    let mut waiting = requests(&world, BOB);
    assert_eq!(waiting.len(), 1_000);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    while !waiting.is_empty() {
        let at = rng.next_u64() as usize % waiting.len();
        let (handle, body) = waiting.swap_remove(at);
        let options = SendOptions::default();
        world.with_client(BOB, |client, now| client.respond(handle, Some(&body), &options, now)).unwrap();
    }
    world.run_until(secs(300), |world| len_of(world, ALICE, "requests") == 0);
    assert!((0..1_000).all(|id| answer(&world, id) == Some(Ok(format!("number {id}").into_bytes()))));
}

#[test]
fn a_hundred_thousand_requests_to_a_silent_peer_leave_nothing_behind() {
    let (mut world, bob) = pair(28, Weather::default());
    stop(&mut world, BOB);
    world.keep(mixlet_devnet::sim::Keeping::Counts);
    let options = RequestOptions { timeout: Some(secs(5)), expected_len: 0, ..RequestOptions::default() };
    let mut tables = Vec::new();
    for round in 0..100u64 {
        let items = (0..1_000).map(|id| (MessageId(round * 1_000 + id), vec![0_u8; 64]));
        world.with_client(ALICE, |client, now| client.request(items, &bob, &options, now)).unwrap();
        world.run_for(secs(6));
        if round == 9 || round == 99 {
            let bounds = world.inside(ALICE).bounds().map(|bound| (bound.name, bound.len));
            tables.push((bounds, world.engine(ALICE).bounds().map(|bound| bound.len)));
        }
    }
    assert_eq!(tables[0].0, tables[1].0);
    assert_eq!(len_of(&world, ALICE, "requests"), 0);
    assert_eq!(tables[0].1[0], tables[1].1[0], "messages of the engine");
}

#[test]
fn answers_of_somebody_else_touch_nothing() {
    let mut world = World::new(29, 2);
    let configs = [world.config(0), world.config(1), world.config(1)];
    let [alice, bob, mallory] = configs.map(|config| world.add_client(config));
    let address = world.until_ready(alice);
    let to_bob = Recipient::Address(world.until_ready(bob));
    world.until_ready(mallory);
    world.with_client(BOB, |client, _| client.serve(String::new()));
    ask(&mut world, 1, &to_bob, "", b"?", &RequestOptions::default());
    world.run_for(secs(2));
    // Mallory has seen the id somehow, and knows the address.
    let forged = (0..=255).map(|byte| envelope::simple(envelope::Kind::Response, envelope::Id([byte; 16]), b"forged"));
    for (id, bytes) in (100..).zip(forged) {
        world.send(mallory, id, &Recipient::Address(address.clone()), &bytes, &SendOptions::default()).unwrap();
    }
    world.run_for(secs(10));
    assert_eq!(answer(&world, 1), None);
    let stray = world.inside(ALICE).dropped().into_iter().find(|(name, _)| *name == "answerStray").unwrap().1;
    assert_eq!(stray, 256);
    respond_all(&mut world, BOB);
    world.run_for(secs(3));
    assert_eq!(answer(&world, 1), Some(Ok(b"?".to_vec())));
}

// ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn ten_megabytes_each_way_through_loss_arrive_intact() {
    let (mut world, bob) = unpaced(40, Weather { loss: 0.1, ..Weather::default() });
    let mut pipes = open(&mut world, &bob);
    let (there, back) = (random(1, 10 << 20), random(2, 10 << 20));
    pipes.pour(ALICE, &there);
    pipes.pour(BOB, &back);
    pipes.run(&mut world, secs(1_200));
    assert!(pipes.got(BOB) == there, "there");
    assert!(pipes.got(ALICE) == back, "back");
    assert_eq!(pipes.closed, BTreeMap::from([(ALICE, ending::DONE), (BOB, ending::DONE)]));
    forget_halves(&mut world);
    world.assert_quiet();
}

#[test]
fn a_stream_outlives_gateways_that_lose_what_they_have_acknowledged() {
    for seed in 41..45 {
        let (mut world, bob) = unpaced(seed, Weather::default());
        let mut pipes = open(&mut world, &bob);
        let (there, back) = (random(1, 400_000), random(2, 400_000));
        pipes.pour(ALICE, &there);
        pipes.pour(BOB, &back);
        for gateway in [0, 1, 0] {
            pipes.step(&mut world, Duration::from_millis(400));
            world.kill_gateway(gateway, false);
            pipes.step(&mut world, secs(1));
            world.revive_gateway(gateway);
        }
        pipes.run(&mut world, secs(300));
        assert!(pipes.got(BOB) == there && pipes.got(ALICE) == back);
    }
}

#[test]
fn one_side_can_end_while_the_other_goes_on() {
    let (mut world, bob) = pair(46, Weather::default());
    let mut pipes = open(&mut world, &bob);
    pipes.pour(ALICE, b"");
    pipes.step(&mut world, secs(3));
    assert!(pipes.ended.contains(&BOB) && pipes.closed.is_empty());
    pipes.pour(BOB, &[7; 5_000]);
    pipes.run(&mut world, secs(30));
    assert_eq!(pipes.got(ALICE), [7; 5_000]);
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer() {
    let (mut world, bob) = unpaced(47, Weather::default());
    let mut pipes = open(&mut world, &bob);
    pipes.reads = false;
    pipes.pour(ALICE, &vec![1; 3 << 20]);
    pipes.step(&mut world, secs(60));
    let window = limits::STREAM_WINDOW as usize;
    assert_eq!(pipes.got(BOB).len(), window);
    assert!(world.engine(ALICE).stats(world.now()).queued_bytes < 1 << 20);
    pipes.reads = true;
    pipes.read_all(&mut world);
    pipes.pour(BOB, b"");
    pipes.run(&mut world, secs(120));
    assert_eq!(pipes.got(BOB).len(), 3 << 20);
}

#[test]
fn a_reset_carries_its_code_and_reason() {
    let (mut world, bob) = pair(48, Weather::default());
    let mut pipes = open(&mut world, &bob);
    pipes.pour(ALICE, &vec![1; 100_000]);
    pipes.step(&mut world, Duration::from_millis(300));
    let id = pipes.ids[&ALICE];
    world.with_client(ALICE, |client, now| client.reset_stream(id, 300, "never mind", now));
    pipes.step(&mut world, secs(5));
    assert!(said(&world, BOB, |event| matches!(
        event,
        Event::StreamClosed { code: 300, reason, .. } if reason == "never mind"
    )));
    forget_halves(&mut world);
    world.assert_quiet();
}

#[test]
fn streams_nobody_listens_for_and_peers_that_started_anew_are_told() {
    let (mut world, bob) = pair(49, Weather::default());
    let options = StreamOptions::default();
    world.with_client(ALICE, |client, now| client.open_stream(StreamId(1), &bob, "none", &options, now)).unwrap();
    world.run_for(secs(3));
    assert!(said(&world, ALICE, |event| matches!(event, Event::StreamFailed { code: Code::NoHandler, .. })));

    let mut pipes = open(&mut world, &bob);
    pipes.step(&mut world, secs(3));
    stop(&mut world, BOB);
    world.start_client(BOB);
    world.run_for(secs(5));
    let id = pipes.ids[&ALICE];
    let restarted =
        |world: &mut World| world.with_client(ALICE, |client, now| client.write_stream(id, vec![1; 10], now));
    assert!(restarted(&mut world));
    world.run_for(secs(10));
    assert!(said(&world, ALICE, |event| matches!(event, Event::StreamClosed { code: ending::UNKNOWN, .. })));
}

#[test]
fn a_silent_stream_ends_after_its_time() {
    let (mut world, bob) = pair(50, Weather::default());
    let mut pipes = open_with(&mut world, &bob, StreamOptions { idle: secs(20), ..StreamOptions::default() });
    pipes.step(&mut world, secs(30));
    assert_eq!(pipes.closed, BTreeMap::from([(ALICE, ending::IDLE), (BOB, ending::IDLE)]));
}

#[test]
fn a_stream_that_is_not_taken_fails_at_its_deadline() {
    let (mut world, bob) = pair(51, Weather::default());
    stop(&mut world, BOB);
    let options = StreamOptions { timeout: secs(10), ..StreamOptions::default() };
    world.with_client(ALICE, |client, now| client.open_stream(StreamId(1), &bob, "", &options, now)).unwrap();
    world.run_for(secs(11));
    assert!(said(&world, ALICE, |event| matches!(
        event,
        Event::StreamFailed { code: Code::Timeout, phase: Phase::Peer, .. }
    )));
    assert_eq!(len_of(&world, ALICE, "streams"), 0);
}

#[test]
fn a_peer_that_sends_more_than_it_may_is_cut_off() {
    let (mut world, bob) = pair(52, Weather::default());
    let pipes = open(&mut world, &bob);
    let id = pipes.ids[&BOB];
    let wire = world.inside(BOB).wire_id(id).unwrap();
    let mut body = (u64::from(limits::STREAM_WINDOW)).to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 2, 3]);
    let bytes = envelope::simple(envelope::Kind::Data, wire, &body);
    world.send(ALICE, 900, &bob, &bytes, &SendOptions::default()).unwrap();
    world.run_for(secs(3));
    assert!(said(&world, BOB, |event| matches!(event, Event::StreamClosed { code: ending::VIOLATION, .. })));
    assert!(said(&world, ALICE, |event| matches!(event, Event::StreamClosed { code: ending::VIOLATION, .. })));
}

// ── hostile peers ────────────────────────────────────────────────────────────────────────────────────────────────────

/// Alice and a stranger, on Bob's network; Bob serves and listens.
fn with_stranger(seed: u64) -> (World, Recipient, usize) {
    let (mut world, bob) = unpaced(seed, Weather::default());
    let config = world.config(0);
    let stranger = world.add_client(config);
    world.until_ready(stranger);
    let mut traffic = world.clients[stranger].config.traffic;
    traffic.danger_no_pacing = true;
    world.with_engine(stranger, |engine, now| engine.set_traffic(traffic, now)).unwrap();
    world.with_client(BOB, |client, _| {
        assert!(client.serve("echo".into()) && client.listen("pipe".into(), StreamOptions::default()));
    });
    (world, bob, stranger)
}

/// An honest conversation goes on.
fn is_still_served(world: &mut World, bob: &Recipient, id: u64) {
    ask(world, id, bob, "echo", b"still there", &RequestOptions::default());
    serve_until(world, secs(60), |world| answer(world, id).is_some());
    assert_eq!(answer(world, id), Some(Ok(b"still there".to_vec())));
}

#[test]
fn random_envelopes_of_a_stranger_change_nothing() {
    for seed in 60..64 {
        let (mut world, bob, stranger) = with_stranger(seed);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        for id in 0..4_000 {
            // Few ids, so that frames meet streams and requests that are there.
            let kind = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 19, 20, 99][rng.next_u32() as usize % 15];
            let mut bytes = envelope::MAGIC.to_vec();
            bytes.extend_from_slice(&[1, kind, (rng.next_u32() % 4) as u8]);
            bytes.extend_from_slice(&[(rng.next_u32() % 8) as u8; 16]);
            let service: &[u8] = [&b"echo"[..], b"pipe", b"", b"none"][rng.next_u32() as usize % 4];
            bytes.push(service.len() as u8);
            bytes.extend_from_slice(service);
            let len = rng.next_u32() as usize % 40;
            let small = rng.next_u32() % 2 == 0;
            bytes.extend((0..len).map(|at| if small && at < 8 { 0 } else { rng.next_u32() as u8 }));
            if let envelope::Opened::Envelope(opened) = envelope::open(&bytes) {
                world.announce(opened.body);
            }
            let _ = world.send(stranger, id, &bob, &bytes, &SendOptions::default());
            if id % 50 == 0 {
                world.run_for(Duration::from_millis(50));
            }
        }
        world.run_for(secs(30));
        is_still_served(&mut world, &bob, 1);
    }
}

#[test]
fn requests_that_are_never_handled_are_bounded() {
    let (mut world, bob, stranger) = with_stranger(64);
    for round in 0..100 {
        let items: Vec<_> = (0..60).map(|id| (MessageId(round * 60 + id), vec![1; 40])).collect();
        let options = RequestOptions { service: "echo".into(), expected_len: 0, ..RequestOptions::default() };
        let _ = world.with_client(stranger, |client, now| client.request(items, &bob, &options, now));
        world.run_for(Duration::from_millis(500));
    }
    world.run_for(secs(10));
    let handled = world.inside(BOB).bounds().into_iter().find(|bound| bound.name == "requests handled").unwrap();
    assert_eq!(handled.len, limits::SERVING_COUNT_MAX);
}

#[test]
fn streams_without_end_are_bounded() {
    let (mut world, bob, stranger) = with_stranger(65);
    let options = StreamOptions::default();
    for (client, first) in [(ALICE, 0), (stranger, 1_000)] {
        for id in first..first + 200 {
            let to = bob.clone();
            world
                .with_client(client, |inside, now| inside.open_stream(StreamId(id), &to, "pipe", &options, now))
                .unwrap();
        }
    }
    world.run_for(secs(30));
    let streams = world.inside(BOB).bounds().into_iter().find(|bound| bound.name == "streams").unwrap();
    assert_eq!(streams.len, limits::STREAMS_COUNT_MAX);
    let refused = |world: &World, client: usize| {
        let said = world.clients[client].said.iter();
        said.filter(|(_, event)| matches!(event, Event::StreamFailed { code: Code::HandlerFailed, .. })).count()
    };
    assert_eq!(refused(&world, ALICE) + refused(&world, stranger), 400 - limits::STREAMS_COUNT_MAX);
    is_still_served(&mut world, &bob, 1);
}

// ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

fn pair(seed: u64, weather: Weather) -> (World, Recipient) {
    let (world, _, bob) = two_clients(seed, weather);
    (world, bob)
}

/// As fast as the link takes it, on both sides.
fn unpaced(seed: u64, weather: Weather) -> (World, Recipient) {
    let (mut world, _, bob) = two_clients(seed, weather);
    for client in [ALICE, BOB] {
        let mut traffic = world.clients[client].config.traffic;
        traffic.danger_no_pacing = true;
        world.with_engine(client, |engine, now| engine.set_traffic(traffic, now)).unwrap();
    }
    (world, bob)
}

fn said(world: &World, client: usize, is_it: impl Fn(&Event) -> bool) -> bool {
    world.clients[client].said.iter().any(|(_, event)| is_it(event))
}

fn receipted(world: &World) -> Vec<u64> {
    let said = world.clients[ALICE].said.iter();
    said.filter_map(|(_, event)| match event {
        Event::Receipted { id, .. } => Some(id.0),
        _ => None,
    })
    .collect()
}

/// Messages of mixlet peers that a client's application has seen.
fn messages(world: &World, client: usize) -> Vec<Vec<u8>> {
    let said = world.clients[client].said.iter();
    said.filter_map(|(_, event)| match event {
        Event::Message { body, .. } => Some(body.clone()),
        _ => None,
    })
    .collect()
}

fn ask(world: &mut World, id: u64, to: &Recipient, service: &str, body: &[u8], options: &RequestOptions) {
    let options = RequestOptions { service: service.into(), ..options.clone() };
    let items = vec![(MessageId(id), body.to_vec())];
    world.with_client(ALICE, |client, now| client.request(items, to, &options, now)).unwrap();
}

/// How a request of Alice has ended.
fn answer(world: &World, request: u64) -> Option<Result<Vec<u8>, (Code, Phase)>> {
    world.clients[ALICE].said.iter().find_map(|(_, event)| match event {
        Event::Response { id, body, .. } if id.0 == request => Some(Ok(body.clone())),
        Event::RequestFailed { id, code, phase } if id.0 == request => Some(Err((*code, *phase))),
        _ => None,
    })
}

fn requests(world: &World, client: usize) -> Vec<(RequestHandle, Vec<u8>)> {
    let said = world.clients[client].said.iter();
    said.filter_map(|(_, event)| match event {
        Event::Request { handle, body, .. } => Some((*handle, body.clone())),
        _ => None,
    })
    .collect()
}

fn handles(world: &World, client: usize) -> Vec<RequestHandle> {
    requests(world, client).into_iter().map(|(handle, _)| handle).collect()
}

/// Answers each request with its own body.
fn respond_all(world: &mut World, client: usize) {
    for (handle, body) in requests(world, client) {
        let options = SendOptions::default();
        world.with_client(client, |inside, now| inside.respond(handle, Some(&body), &options, now)).unwrap();
    }
}

/// Bob answers what comes, until something is so.
fn serve_until(world: &mut World, at_most: Duration, done: impl Fn(&World) -> bool) {
    let end = world.now() + at_most;
    while !done(world) {
        assert!(world.now() < end, "not within {at_most:?}");
        world.run_for(Duration::from_millis(100));
        respond_all(world, BOB);
    }
}

/// What was cancelled half sent is dropped by its recipient after a while.
fn forget_halves(world: &mut World) {
    world.run_for(limits::REASSEMBLY_AGE_MAX + secs(60));
}

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A stream between Alice and Bob, with an application at both ends.
struct Pipes {
    ids: BTreeMap<usize, StreamId>,
    /// What is still to be written, and whether the end is.
    left: BTreeMap<usize, (Vec<u8>, bool)>,
    full: BTreeMap<usize, bool>,
    got: BTreeMap<usize, Vec<u8>>,
    ended: Vec<usize>,
    closed: BTreeMap<usize, u32>,
    /// How many events were looked at.
    looked: BTreeMap<usize, usize>,
    reads: bool,
}

fn open(world: &mut World, bob: &Recipient) -> Pipes {
    open_with(world, bob, StreamOptions::default())
}

fn open_with(world: &mut World, bob: &Recipient, options: StreamOptions) -> Pipes {
    world.with_client(BOB, |client, _| assert!(client.listen("pipe".into(), options)));
    let id = StreamId(7);
    world.with_client(ALICE, |client, now| client.open_stream(id, bob, "pipe", &options, now)).unwrap();
    world.run_until(secs(20), |world| said(world, ALICE, |event| matches!(event, Event::StreamReady { .. })));
    let theirs = world.clients[BOB].said.iter().find_map(|(_, event)| match event {
        Event::StreamOpened { id, .. } => Some(*id),
        _ => None,
    });
    Pipes {
        ids: BTreeMap::from([(ALICE, id), (BOB, theirs.unwrap())]),
        left: BTreeMap::new(),
        full: BTreeMap::new(),
        got: BTreeMap::from([(ALICE, Vec::new()), (BOB, Vec::new())]),
        ended: Vec::new(),
        closed: BTreeMap::new(),
        looked: BTreeMap::new(),
        reads: true,
    }
}

impl Pipes {
    /// This side writes all of it and then ends.
    fn pour(&mut self, side: usize, bytes: &[u8]) {
        self.left.insert(side, (bytes.to_vec(), false));
    }

    fn got(&self, side: usize) -> &[u8] {
        &self.got[&side]
    }

    /// Until both sides are closed.
    fn run(&mut self, world: &mut World, at_most: Duration) {
        let end = world.now() + at_most;
        while self.closed.len() < 2 {
            assert!(
                world.now() < end,
                "not within {at_most:?}: {:?}",
                self.got.values().map(Vec::len).collect::<Vec<_>>()
            );
            self.step(world, Duration::from_millis(50));
        }
    }

    fn step(&mut self, world: &mut World, time: Duration) {
        let end: Instant = world.now() + time;
        loop {
            for side in [ALICE, BOB] {
                self.write(world, side);
                self.look(world, side);
            }
            if world.now() >= end {
                return;
            }
            world.run_for(Duration::from_millis(20).min(end.since(world.now())));
        }
    }

    fn write(&mut self, world: &mut World, side: usize) {
        let id = self.ids[&side];
        let Some((bytes, ended)) = self.left.get_mut(&side) else { return };
        while !*ended && !self.full.get(&side).copied().unwrap_or(false) {
            if bytes.is_empty() {
                *ended = true;
                world.with_client(side, |client, now| client.end_stream(id, now));
                break;
            }
            let piece: Vec<u8> = bytes.drain(..bytes.len().min(30_000)).collect();
            let has_room = world.with_client(side, |client, now| client.write_stream(id, piece, now));
            self.full.insert(side, !has_room);
        }
    }

    fn look(&mut self, world: &mut World, side: usize) {
        let mut read = 0;
        let from = self.looked.entry(side).or_default();
        for (_, event) in &world.clients[side].said[*from..] {
            match event {
                Event::StreamData { bytes, last, .. } => {
                    self.got.get_mut(&side).unwrap().extend_from_slice(bytes);
                    read += bytes.len() as u64;
                    if *last {
                        self.ended.push(side);
                    }
                }
                Event::StreamRoom { .. } => _ = self.full.insert(side, false),
                Event::StreamClosed { code, .. } => _ = self.closed.insert(side, *code),
                _ => {}
            }
        }
        *from = world.clients[side].said.len();
        if self.reads && read > 0 {
            let id = self.ids[&side];
            world.with_client(side, |client, _| client.read_stream(id, read));
        }
    }

    fn read_all(&mut self, world: &mut World) {
        for side in [ALICE, BOB] {
            let (id, read) = (self.ids[&side], self.got[&side].len() as u64);
            world.with_client(side, |client, _| client.read_stream(id, read));
        }
    }
}
