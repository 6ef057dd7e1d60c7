//! Which gateway a new client gets, and moving to another one, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod worlds;

use mixlet::engine::{Code, Config, Event, FetchError, Phase, State};
use mixlet::message::GatewayId;
use mixlet_devnet::sim::LargeWorld as World;
use worlds::{failure, quick, secs, stop};

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

fn anywhere(world: &World) -> Config {
    Config { gateway: None, ..world.config(0) }
}

fn gateway(world: &World, place: usize) -> GatewayId {
    world.config(place).gateway.unwrap()
}

fn wanted(world: &World, client: usize) -> usize {
    world.clients[client].events.iter().filter(|(_, event)| matches!(event, Event::GatewayWanted)).count()
}
