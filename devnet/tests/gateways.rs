//! Which gateway a new client gets, and moving to another one, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use mixlet::engine::{
    Code, Config, Event, FetchError, Incoming, LinkId, Phase, Recipient, SendOptions, State, SwitchError,
};
use mixlet::limits;
use mixlet::message::{Address, GatewayId};
use mixlet::time::{Duration, Instant};
use mixlet_devnet::sim::{LargeWorld as World, Manner};
use worlds::{ALICE, BOB, failure, plain, quick, secs, stop};

// ── the choice ───────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_better_a_gateway_is_rated_the_likelier_it_is_drawn() {
    let mut world = World::new(1, 2);
    // All gateways are rated the same; the second appearance is that of the second one.
    world.play_directory(|_, path, honest| {
        let honest = honest.ok_or(FetchError::Unreachable)?;
        let worse = |text: &str| {
            let at = text.rfind(r#""performance":"0.99""#).expect("a rating");
            format!("{}{}{}", &text[..at], r#""performance":"0.09""#, &text[at + 20..])
        };
        Ok(if path.contains("entry-gateways") { worse(&honest) } else { honest }.into_bytes())
    });
    let mut drawn = [0_u32; 2];
    for _ in 0..80 {
        let config = Config { minimum_performance: 0, ..anywhere(&world) };
        let client = world.add_client(config);
        world.until_ready(client);
        let (node, _) = world.engine(client).gateway().unwrap();
        drawn[usize::from(node.performance < 50)] += 1;
        stop(&mut world, client);
    }
    // On average 73 and 7.
    assert!((1..20).contains(&drawn[1]), "{drawn:?}");
}

#[test]
fn who_is_asked_chooses_and_nothing_is_opened_before() {
    let mut world = World::new(2, 3);
    let config = Config { ask_for_gateway: true, ..Config { gateway: None, ..quick(&world, 0) } };
    let client = world.add_client(config);
    world.run_for(secs(60));
    assert_eq!(wanted(&world, client), 1, "asked once, however many topologies come");
    assert_eq!(world.clients[client].openings.len(), 0);
    let chosen = gateway(&world, 2);
    world.with_engine(client, |engine, now| engine.choose_gateway(Some(chosen), now));
    assert_eq!(world.until_ready(client).gateway(), chosen);
    // Later it is of no effect, and a client that has an address is not asked.
    let other = gateway(&world, 0);
    world.with_engine(client, |engine, now| engine.choose_gateway(Some(other), now));
    stop(&mut world, client);
    world.start_client(client);
    assert_eq!(world.until_ready(client).gateway(), chosen);
    assert_eq!(wanted(&world, client), 1);
}

#[test]
fn whoever_does_not_care_gets_any_and_another_where_that_one_fails() {
    let mut world = World::new(3, 2);
    world.kill_gateway(0, false);
    for _ in 0..4 {
        let config = Config { ask_for_gateway: true, ..anywhere(&world) };
        let client = world.add_client(config);
        world.run_until(secs(10), |world| wanted(world, client) == 1);
        world.with_engine(client, |engine, now| engine.choose_gateway(None, now));
        assert_eq!(world.until_ready(client).gateway(), gateway(&world, 1));
    }
}

#[test]
fn a_choice_that_is_not_on_offer_ends_the_connecting() {
    let mut world = World::new(4, 1);
    let config = Config { ask_for_gateway: true, ..anywhere(&world) };
    let client = world.add_client(config);
    world.run_until(secs(10), |world| wanted(world, client) == 1);
    // Another client's identity is a point, and no gateway.
    let somebody = world.add_client(world.config(0));
    let nowhere = GatewayId(world.until_ready(somebody).identity().0);
    world.with_engine(client, |engine, now| engine.choose_gateway(Some(nowhere), now));
    assert_eq!(failure(&world, client), Some((Code::NoGateway, Phase::Gateway)));
    assert_eq!(world.engine(client).state(), State::Idle);
}

// ── moving ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_client_moves_and_what_was_under_way_either_way_arrives_once() {
    let (mut world, old, bob) = movers(10);
    world.weather.loss = 0.05;
    // Both ways, before the move, during it and after it, to the old address and over SURBs that lead to it.
    world.send(ALICE, 0, &bob, b"an introduction", &SendOptions::default()).unwrap();
    world.run_until(secs(30), |world| !world.received(BOB).is_empty());
    let tag = Recipient::Tag(world.received(BOB)[0].1.unwrap());
    for id in 1..=20 {
        world.send(ALICE, id, &bob, &[id as u8; 4_000], &plain()).unwrap();
        world.send(BOB, id, &Recipient::Address(old.clone()), &[id as u8; 4_001], &plain()).unwrap();
        world.send(BOB, 100 + id, &tag, &[id as u8; 400], &plain()).unwrap();
        if id == 10 {
            assert_eq!(switch(&mut world, 1), Ok(true));
        }
        world.run_for(Duration::from_millis(100));
    }
    world.run_until(secs(60), |world| world.open_messages() == 0);
    let tally = world.tally();
    assert_eq!((tally.delivered, tally.undelivered, tally.lost), (61, 0, 0));
    let address = world.engine(ALICE).address().cloned().unwrap();
    assert_eq!((address.gateway(), moves(&world)), (gateway(&world, 1), vec![address.clone()]));
    assert!(address.identity() == old.identity() && address != old);
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    assert_eq!(world.engine(ALICE).stats(world.now()).reconnects, 0);

    // Once all is quiet the old gateway is let go of, and the new address is what counts.
    world.run_for(limits::LEAVING_QUIET_TIME + secs(5));
    assert_eq!(world.clients[ALICE].connected_to(), [1]);
    world.send(BOB, 500, &Recipient::Address(address), b"at your new address", &plain()).unwrap();
    world.send(ALICE, 500, &bob, b"from my new address", &SendOptions::default()).unwrap();
    world.run_until(secs(30), |world| world.open_messages() == 0);
    // SURBs of before the move lead nowhere any more; those of the last message do not.
    let before = world.received(ALICE).len();
    world.send(BOB, 501, &tag, b"an answer", &plain()).unwrap();
    world.run_until(secs(60), |world| world.open_messages() == 0);
    assert_eq!(world.received(ALICE).len(), before + 1);
}

#[test]
fn the_old_link_is_kept_while_something_comes_and_five_minutes_at_most() {
    let (mut world, old, _) = movers(11);
    switch(&mut world, 1).unwrap();
    world.run_until(secs(10), |world| !moves(world).is_empty());
    let moved = world.now();
    for id in 0.. {
        if !world.clients[ALICE].connected_to().contains(&0) {
            break;
        }
        let options = SendOptions { reliable: false, ..plain() };
        world.send(BOB, id, &Recipient::Address(old.clone()), format!("{id}").as_bytes(), &options).unwrap();
        world.run_for(secs(20));
    }
    let kept = world.now().since(moved);
    assert!(kept > limits::LEAVING_TIME_MAX - secs(20) && kept < limits::LEAVING_TIME_MAX + secs(21), "{kept:?}");
    assert!(world.received(ALICE).len() >= 14);

    // And when nothing comes, for half a minute.
    let (mut world, ..) = movers(12);
    switch(&mut world, 1).unwrap();
    world.run_until(secs(10), |world| !moves(world).is_empty());
    world.run_for(limits::LEAVING_QUIET_TIME - secs(1));
    assert_eq!(world.clients[ALICE].connected_to(), [0, 1]);
    world.run_for(secs(10));
    assert_eq!(world.clients[ALICE].connected_to(), [1]);
}

#[test]
fn what_leaves_keeps_its_shape_during_a_move() {
    let (mut world, ..) = movers(13);
    world.run_for(secs(60));
    let start = world.now();
    switch(&mut world, 1).unwrap();
    world.run_until(secs(10), |world| !moves(world).is_empty());
    world.run_for(secs(60));
    let packets: Vec<Instant> = world.clients[ALICE]
        .frames
        .iter()
        .filter(|(at, len)| *at >= start && *len > 2_000)
        .map(|(at, _)| *at)
        .collect();
    let seconds = world.now().since(start).as_millis() as f64 / 1_000.0;
    // One each 200 ms and one each second.
    let rate = packets.len() as f64 / seconds;
    assert!((5.0..7.0).contains(&rate), "{rate} packets a second");
    let pause = packets.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(pause < secs(2), "nothing left for {pause:?}");
}

#[test]
fn a_move_survives_a_reload_and_either_link_may_break() {
    let (mut world, _, bob) = movers(14);
    switch(&mut world, 1).unwrap();
    world.run_until(secs(10), |world| !moves(world).is_empty());
    let address = world.engine(ALICE).address().cloned().unwrap();
    // The one that was left, then both.
    world.stop_gateway(0, false);
    world.run_for(secs(2));
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    world.revive_gateway(0);
    world.cut_link(ALICE);
    world.run_for(secs(5));
    assert!(world.until_ready(ALICE) == address);
    assert_eq!(world.clients[ALICE].connected_to(), [1]);
    stop(&mut world, ALICE);
    // As the page does it that had named a gateway.
    world.clients[ALICE].config.gateway = None;
    world.start_client(ALICE);
    assert!(world.until_ready(ALICE) == address);
    world.send(ALICE, 1, &bob, b"still here", &plain()).unwrap();
    world.run_until(secs(30), |world| world.open_messages() == 0);
    assert_eq!(world.ends(ALICE).1, Vec::<u64>::new());
}

#[test]
fn a_client_whose_link_is_down_moves_too() {
    let (mut world, old, bob) = movers(15);
    world.kill_gateway(0, false);
    world.run_for(secs(20));
    assert_eq!(world.engine(ALICE).state(), State::Reconnecting);
    world.send(ALICE, 1, &bob, b"stuck", &plain()).unwrap();
    switch(&mut world, 1).unwrap();
    world.run_until(secs(10), |world| world.engine(ALICE).state() == State::Ready);
    assert!(moves(&world).len() == 1 && moves(&world)[0] != old);
    world.run_until(secs(30), |world| world.open_messages() == 0);
    assert_eq!((world.ends(ALICE), world.clients[ALICE].connected_to()), ((vec![1], vec![]), vec![1]));
}

#[test]
fn there_and_back_again() {
    let (mut world, old, bob) = movers(16);
    for (place, expected) in [(1, 1), (0, 2), (1, 3)] {
        world.run_for(secs(2));
        assert_eq!(switch(&mut world, place), Ok(true));
        world.run_until(secs(10), |world| moves(world).len() == expected);
        assert_eq!(world.engine(ALICE).address().unwrap().gateway(), gateway(&world, place));
    }
    assert!(moves(&world)[1] == old);
    assert_eq!(world.clients[ALICE].connected_to().len(), 2);
    world.send(ALICE, 1, &bob, b"where am I?", &plain()).unwrap();
    world.run_until(secs(30), |world| world.open_messages() == 0);
    assert_eq!(world.ends(ALICE), (vec![1], vec![]));
}

#[test]
fn a_move_that_fails_leaves_everything_as_it_was() {
    type Spoil = fn(&mut World);
    let cases: [(Spoil, Code, Phase); 5] = [
        (|world| world.kill_gateway(1, false), Code::GatewayRefused, Phase::Gateway),
        (|world| manner(world, |manner| manner.never_opens = true), Code::GatewayTimeout, Phase::Gateway),
        (|world| world.set_gateway_silent(1, true), Code::GatewayTimeout, Phase::Auth),
        (
            |world| {
                manner(world, |manner| manner.rewrite = Some(|_| r#"{"type":"supportedProtocol","version":3}"#.into()))
            },
            Code::ProtocolVersion,
            Phase::Auth,
        ),
        (|world| manner(world, |manner| manner.wants_tickets = true), Code::BandwidthExhausted, Phase::Bandwidth),
    ];
    for (number, (spoil, code, phase)) in (0..).zip(cases) {
        let (mut world, old, bob) = movers(20 + number);
        spoil(&mut world);
        switch(&mut world, 1).unwrap();
        world.run_until(secs(30), |world| failed_move(world).is_some());
        assert_eq!(failed_move(&world), Some((code, phase)));
        world.run_for(secs(5));
        assert_eq!((world.engine(ALICE).state(), world.clients[ALICE].connected_to()), (State::Ready, vec![0]));
        assert!(world.engine(ALICE).address() == Some(&old));
        world.send(ALICE, 1, &bob, b"unmoved", &plain()).unwrap();
        world.run_until(secs(30), |world| world.open_messages() == 0);
        assert_eq!(world.ends(ALICE), (vec![1], vec![]));
    }
}

#[test]
fn a_move_can_be_given_up_at_any_moment() {
    for millis in (0..400).step_by(10) {
        let (mut world, old, _) = movers(30);
        switch(&mut world, 1).unwrap();
        world.run_for(Duration::from_millis(millis));
        let done = !moves(&world).is_empty();
        world.with_engine(ALICE, |engine, now| engine.stay(now));
        world.run_for(secs(60));
        assert_eq!(moves(&world).len(), usize::from(done), "after {millis} ms");
        assert_eq!(world.engine(ALICE).address() == Some(&old), !done);
        assert_eq!((world.engine(ALICE).state(), failed_move(&world)), (State::Ready, None));
        assert_eq!(switch(&mut world, 2), Ok(true), "another move can begin");
    }
}

#[test]
fn nonsense_from_either_gateway_harms_nothing_but_the_move() {
    let texts = [
        "no json",
        "{}",
        r#"{"type":"supportedProtocol","version":255}"#,
        r#"{"type":"handshakePayload","protocol_version":6,"data":[1,2,3]}"#,
        r#"{"type":"handshakeError","message":"no"}"#,
        r#"{"type":"error","message":"there is already an open connection for this client"}"#,
        r#"{"type":"bandwidth","available_total":-1,"upgrade_mode":false}"#,
        r#"{"type":"send","remaining_bandwidth":-1,"upgrade_mode":false}"#,
    ];
    let binaries: [&[u8]; 3] = [&[], &[1; 1_673], &vec![1; limits::FRAME_LEN_MAX + 1]];
    let frames = texts.iter().map(|text| Incoming::Text(text)).chain(binaries.map(Incoming::Binary));
    // In each stage of the move, and after it, to the link that was left.
    for frame in frames {
        for millis in (0..100).step_by(8) {
            let (mut world, _, bob) = movers(33);
            switch(&mut world, 1).unwrap();
            world.run_for(Duration::from_millis(millis));
            let second = if moves(&world).is_empty() { LinkId(1) } else { LinkId(0) };
            world.with_engine(ALICE, |engine, now| engine.handle_frame(second, frame, now));
            world.run_for(secs(30));
            assert_eq!(world.engine(ALICE).state(), State::Ready, "{frame:?} after {millis} ms");
            assert_eq!(moves(&world).len() + usize::from(failed_move(&world).is_some()), 1);
            world.send(ALICE, 1, &bob, b"still there", &plain()).unwrap();
            world.run_until(secs(30), |world| world.open_messages() == 0);
            assert_eq!(world.ends(ALICE), (vec![1], vec![]));
            assert_eq!(switch(&mut world, 2), Ok(true));
        }
    }
}

#[test]
fn closing_closes_all_links() {
    for secs_before in [0, 5] {
        let (mut world, ..) = movers(31);
        switch(&mut world, 1).unwrap();
        world.run_for(secs(secs_before));
        assert_eq!(moves(&world).len(), usize::from(secs_before > 0));
        world.with_engine(ALICE, |engine, now| engine.close(false, now, now));
        world.run_for(secs(5));
        assert_eq!(world.engine(ALICE).state(), State::Closed);
        assert_eq!(world.engine(ALICE).poll_timeout(), None);
        if secs_before > 0 {
            assert_eq!(world.clients[ALICE].connected_to(), Vec::<usize>::new());
        }
    }
}

#[test]
fn what_cannot_begin_says_why() {
    let (mut world, ..) = movers(32);
    assert_eq!(switch(&mut world, 0), Ok(false), "it is there already");
    let nowhere = GatewayId(world.engine(ALICE).address().unwrap().identity().0);
    let begin =
        |world: &mut World, gateway| world.with_engine(ALICE, |engine, now| engine.switch_gateway(gateway, now));
    assert_eq!(begin(&mut world, nowhere), Err(SwitchError::NoGateway));
    assert_eq!(switch(&mut world, 1), Ok(true));
    assert_eq!(switch(&mut world, 2), Err(SwitchError::Moving));
    world.with_engine(ALICE, |engine, now| engine.close(false, now, now));
    assert_eq!(switch(&mut world, 1), Err(SwitchError::NotConnected));
    // A page that was served over https.
    let config = Config { secure_page: true, directories: vec!["http://127.0.0.1:1/api".into()], ..quick(&world, 0) };
    let secure = world.add_client(config);
    world.run_for(secs(1));
    let other = gateway(&world, 1);
    let refused = world.with_engine(secure, |engine, now| engine.switch_gateway(other, now));
    assert_eq!(refused, Err(SwitchError::NotConnected), "it has never been");
}

/// Alice and Bob, she at gateway 0 of three, he at gateway 2.
fn movers(seed: u64) -> (World, Address, Recipient) {
    let mut world = World::new(seed, 3);
    for gateway in [0, 2] {
        let mut config = worlds::unhurried(&world, gateway);
        config.refresh = secs(3_600);
        world.add_client(config);
    }
    let alice = world.until_ready(ALICE);
    let bob = world.until_ready(BOB);
    (world, alice, Recipient::Address(bob))
}

fn switch(world: &mut World, place: usize) -> Result<bool, SwitchError> {
    let gateway = gateway(world, place);
    world.with_engine(ALICE, |engine, now| engine.switch_gateway(gateway, now))
}

fn moves(world: &World) -> Vec<Address> {
    let events = world.clients[ALICE].events.iter();
    events
        .filter_map(|(_, event)| match event {
            Event::Moved { address } => Some(address.clone()),
            _ => None,
        })
        .collect()
}

fn failed_move(world: &World) -> Option<(Code, Phase)> {
    world.clients[ALICE].events.iter().find_map(|(_, event)| match event {
        Event::MoveFailed { code, phase } => Some((*code, *phase)),
        _ => None,
    })
}

fn manner(world: &mut World, change: fn(&mut Manner)) {
    let mut manner = Manner::default();
    change(&mut manner);
    world.set_manner(1, manner);
}

fn anywhere(world: &World) -> Config {
    Config { gateway: None, ..world.config(0) }
}

fn gateway(world: &World, place: usize) -> GatewayId {
    world.config(place).gateway.unwrap()
}

fn wanted(world: &World, client: usize) -> usize {
    world.clients[client].events.iter().filter(|(_, event)| matches!(event, Event::GatewayWanted)).count()
}
