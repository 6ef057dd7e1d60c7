//! Directories that misbehave, and starts without any, in virtual time.

mod worlds;

use std::cell::RefCell;
use std::rc::Rc;

use mixlet::engine::{Code, Config, Engine, FetchError, Phase, Record, Request, State};
use mixlet::identity::Identity;
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use mixlet_devnet::directory::{Directory, EpochClock, GatewayEntry, MixEntry, Seed};
use mixlet_devnet::sim::{LargeWorld as World, UNIX_ZERO};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use worlds::{ALICE, BOB, ROLES, arrives, failure, listen, pair, quick, quick_rotations, run_to, secs, states, stop};

// ── directories that misbehave: the rows of the table in docs/RELIABILITY.md ─────────────────────────────────────────

/// What a directory makes of its honest answer to one path.
type Lie = fn(&str, Value) -> Result<Vec<u8>, FetchError>;

#[test]
fn a_lying_directory_fails_the_connecting_and_later_changes_nothing() {
    let rows: [(&str, Lie, Code); 12] = [
        ("does not answer", |_, _| Err(FetchError::TimedOut), Code::DirectoryUnreachable),
        ("answers with an error", |_, _| Err(FetchError::Status(500)), Code::DirectoryInvalid),
        ("answers with a page", |_, _| Ok(b"<!doctype html>".to_vec()), Code::DirectoryInvalid),
        ("answers with another kind of JSON", |_, _| Ok(b"[]".to_vec()), Code::DirectoryInvalid),
        (
            "sends 50 MB and is cut off",
            |path, honest| if path.ends_with(ROLES) { Err(FetchError::TooLarge) } else { text(honest) },
            Code::DirectoryInvalid,
        ),
        (
            "sends 50 MB and is not cut off",
            |path, honest| if path.ends_with(MIXES) { Ok(vec![b' '; 50 << 20]) } else { text(honest) },
            Code::DirectoryInvalid,
        ),
        (
            "has an empty layer",
            |path, honest| edited(path, ROLES, honest, |roles| roles["layer2"] = json!([])),
            Code::DirectoryInvalid,
        ),
        (
            "has a layer of nodes it does not list",
            |path, honest| edited(path, ROLES, honest, |roles| roles["layer2"] = json!([901, 902])),
            Code::DirectoryInvalid,
        ),
        (
            "has no gateway",
            |path, honest| edited(path, ROLES, honest, |roles| roles["entry_gateways"] = json!([])),
            Code::DirectoryInvalid,
        ),
        (
            "has another epoch in each answer",
            |path, honest| {
                edited(path, ROLES, honest, |roles| {
                    roles["epoch_id"] = json!(roles["epoch_id"].as_u64().unwrap_or(0) + 1)
                })
            },
            Code::DirectoryInvalid,
        ),
        (
            "has a rotation that is not the schedule's",
            |path, honest| {
                edited(path, MIXES, honest, |list| list["metadata"]["rotation_id"] = json!(2)).and_then(|body| {
                    edited(path, ENTRIES, parsed(&body), |list| list["metadata"]["rotation_id"] = json!(2))
                })
            },
            Code::DirectoryInvalid,
        ),
        (
            "has a schedule that does not fit",
            |path, honest| {
                edited(path, SCHEDULE, honest, |answer| answer["key_rotation_state"]["initial_epoch_id"] = json!(12))
            },
            Code::DirectoryInvalid,
        ),
    ];
    for (what, lie, code) in rows {
        // At the start.
        let mut world = World::new(1, 2);
        play(&mut world, lie);
        let config = quick(&world, 0);
        let client = world.add_client(config);
        world.run_for(secs(60));
        assert_eq!(failure(&world, client), Some((code, Phase::Topology)), "{what}");
        assert_eq!(world.clients[client].openings.len(), 0);

        // Later.
        let (mut world, bob) = pair(2, quick);
        let (epoch, dropped) = in_use(&world);
        play(&mut world, lie);
        world.run_for(secs(45));
        assert_eq!(states(&world), [(State::Connecting, None), (State::Ready, None)], "{what}");
        assert_eq!(in_use(&world).0, epoch);
        let refused = in_use(&world).1 - dropped;
        assert_eq!(refused > 0, code == Code::DirectoryInvalid, "{what}: {refused} refused");
        assert!(world.engine(ALICE).stats(world.now()).topology_age > Some(secs(30)), "{what}");
        arrives(&mut world, 1, &bob);
        // And it heals.
        world.stop_playing();
        world.run_for(secs(15));
        assert!(world.engine(ALICE).stats(world.now()).topology_age < Some(secs(15)), "{what}");
    }
}

#[test]
fn answers_that_straddle_an_epoch_are_asked_for_once_more_at_once() {
    let (mut world, _) = pair(3, quick);
    let (_, dropped) = in_use(&world);
    let asked = Rc::new(RefCell::new(0));
    let count = Rc::clone(&asked);
    world.play_directory(move |_, path, honest| {
        let honest = honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?;
        *count.borrow_mut() += u32::from(path.ends_with(ROLES));
        if *count.borrow() == 1 {
            return edited(path, ROLES, honest, |roles| roles["epoch_id"] = json!(23));
        }
        text(honest)
    });
    world.run_until(secs(20), |_| *asked.borrow() == 1);
    let first = world.now();
    world.run_until(secs(1), |_| *asked.borrow() == 2);
    assert!(world.now().since(first) < Duration::from_millis(50));
    assert_eq!(in_use(&world).1, dropped);
}

#[test]
fn a_directory_that_goes_back_in_time_is_believed_only_when_it_insists() {
    let (mut world, bob) = pair(4, quick);
    world.advance_epochs(5);
    world.run_for(secs(15));
    let (epoch, dropped) = in_use(&world);
    play(&mut world, |path, honest| other_epoch(path, honest, -3));
    world.run_until(secs(60), |world| in_use(world).1 == dropped + u64::from(limits::TOPOLOGY_REFUSALS_MAX));
    assert_eq!(in_use(&world).0, epoch);
    world.run_until(secs(20), |world| in_use(world).0 != epoch);
    assert_eq!(in_use(&world), (epoch - 3, dropped + 3));
    assert!(world.engine(ALICE).topology().unwrap().warnings().epoch_in_past);
    arrives(&mut world, 1, &bob);
    assert_eq!(states(&world), [(State::Connecting, None), (State::Ready, None)]);
}

#[test]
fn of_two_answers_in_turn_the_later_is_kept() {
    let (mut world, bob) = pair(5, quick);
    let round = Rc::new(RefCell::new(0));
    let count = Rc::clone(&round);
    world.play_directory(move |_, path, honest| {
        let honest = honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?;
        *count.borrow_mut() += u32::from(path.ends_with(ROLES));
        other_epoch(path, honest, if *count.borrow() % 2 == 1 { 2 } else { 0 })
    });
    world.run_until(secs(20), |_| *round.borrow() == 1);
    world.run_for(secs(1));
    let (epoch, dropped) = in_use(&world);
    while *round.borrow() < 12 {
        world.run_for(secs(1));
        assert_eq!(in_use(&world).0, epoch);
    }
    assert!(in_use(&world).1 >= dropped + 5);
    arrives(&mut world, 1, &bob);
    assert_eq!(states(&world), [(State::Connecting, None), (State::Ready, None)]);
}

#[test]
fn a_directory_that_is_ahead_of_time_makes_the_honest_one_wait() {
    let (mut world, bob) = pair(6, quick);
    let honest = in_use(&world).0;
    play(&mut world, |path, honest| other_epoch(path, honest, 7));
    world.run_for(secs(15));
    let (epoch, dropped) = in_use(&world);
    assert_eq!(epoch, honest + 7, "nothing but the directory says what epoch it is");
    world.stop_playing();
    world.run_for(secs(60));
    assert_eq!(in_use(&world), (honest, dropped + u64::from(limits::TOPOLOGY_REFUSALS_MAX)));
    arrives(&mut world, 1, &bob);
}

#[test]
fn a_topology_that_is_mostly_new_is_believed_only_when_it_insists() {
    let (mut world, bob) = pair(7, quick);
    let dropped = in_use(&world).1;
    let before = identities(&world);
    // Five of the eight nodes have other identities. Their keys are the same, so that packets still pass.
    play(&mut world, |path, honest| {
        edited(path, MIXES, honest, |list| {
            let others = stranger();
            for (place, node) in (0..5).zip(list["nodes"]["data"].as_array_mut().into_iter().flatten()) {
                let new = others.gateway_id(&others.gateways[place]);
                node["ed25519_identity_pubkey"] = json!(new);
            }
        })
    });
    world.run_until(secs(60), |world| in_use(world).1 == dropped + u64::from(limits::TOPOLOGY_REFUSALS_MAX));
    assert_eq!(identities(&world), before);
    world.run_until(secs(20), |world| identities(world) != before);
    assert!(world.engine(ALICE).topology().unwrap().warnings().mostly_new);
    arrives(&mut world, 1, &bob);
}

#[test]
fn a_topology_without_our_gateway_is_not_used_and_the_second_is_told() {
    let (mut world, bob) = pair(8, quick);
    let rounds = Rc::new(RefCell::new(0));
    let count = Rc::clone(&rounds);
    world.play_directory(move |_, path, honest| {
        *count.borrow_mut() += u32::from(path.ends_with(SCHEDULE));
        without_gateway(path, honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?, 0)
    });
    world.run_until(secs(20), |_| *rounds.borrow() == 1);
    world.run_for(secs(1));
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    world.run_until(secs(20), |_| *rounds.borrow() == 2);
    world.run_for(secs(1));
    assert_eq!(states(&world).last(), Some(&(State::Degraded, Some(Code::GatewayGone))));
    // The old topology still serves, and the link stays.
    arrives(&mut world, 1, &bob);
    assert_eq!(world.engine(ALICE).state(), State::Degraded);
    // A link lost meanwhile is told of with the reason, and comes back if the gateway does.
    world.cut_link(ALICE);
    world.run_for(secs(3));
    let lost = [(State::Reconnecting, Some(Code::GatewayGone)), (State::Degraded, Some(Code::GatewayGone))];
    assert_eq!(states(&world)[3..], lost);
    world.stop_playing();
    world.run_for(secs(15));
    assert_eq!(states(&world)[5..], [(State::Ready, None)]);
    assert_eq!(world.clients[ALICE].openings.len(), 2);
}

#[test]
fn a_client_whose_gateway_is_gone_at_the_start_links_to_it_and_waits_for_its_return() {
    let (mut world, bob) = pair(9, quick);
    stop(&mut world, ALICE);
    world.store(ALICE).remove(&Record::Topology);
    play(&mut world, |path, honest| without_gateway(path, honest, 0));
    world.start_client(ALICE);
    world.run_for(secs(30));
    assert_eq!(states(&world).last(), Some(&(State::Degraded, Some(Code::GatewayGone))));
    assert_eq!(world.clients[ALICE].openings.len(), 2, "the link is not to blame");
    world.stop_playing();
    world.run_for(secs(15));
    assert_eq!(world.engine(ALICE).state(), State::Ready);
    arrives(&mut world, 1, &bob);

    // A new client has nothing to wait for.
    play(&mut world, |path, honest| without_gateway(path, honest, 0));
    let config = quick(&world, 0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    assert_eq!(failure(&world, client), Some((Code::NoGateway, Phase::Gateway)));
}

#[test]
fn the_next_directory_is_asked_after_one_that_failed() {
    let bases = ["http://127.0.0.1:1/api", "http://127.0.0.1:2/api/"].map(str::to_owned);
    let config = Config::new(bases.to_vec(), secs(UNIX_ZERO)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(27);
    let identity = Identity::generate(&mut rng);
    let mut engine: Engine = Engine::new(config, identity, None, Box::new(rng), Instant::ZERO);
    engine.connect(Instant::ZERO);
    let mut now = Instant::ZERO;
    // Each has three chances, in turn.
    for number in 0..6 {
        let base = bases[number % 2].trim_end_matches('/');
        for path in mixlet::topology::PATHS {
            let Some(Request::Fetch { id, url }) = engine.poll_request() else { panic!("no fetch") };
            assert_eq!(url, format!("{base}/{path}"));
            engine.handle_fetched(id, Err(FetchError::Unreachable), now);
        }
        assert!(engine.poll_request().is_none());
        if let Some(at) = engine.poll_timeout() {
            now = at;
            engine.handle_timeout(now);
        }
    }
    assert_eq!(engine.state(), State::Idle);
    assert!(now.since(Instant::ZERO) < secs(60));
}

// ── starts without a directory ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_second_start_needs_no_directory_and_refreshes_behind_the_scenes() {
    let (mut world, bob) = pair(17, |world, gateway| world.config(gateway));
    world.run_for(secs(2));
    stop(&mut world, ALICE);
    world.set_directory_up(false);
    world.start_client(ALICE);
    let start = world.now();
    world.until_ready(ALICE);
    assert!(world.now().since(start) < secs(1));
    arrives(&mut world, 1, &bob);
    let age = world.engine(ALICE).stats(world.now()).topology_age;
    assert!(age > Some(secs(2)), "its age is that of the answer: {age:?}");

    // One that is overdue is refreshed at once.
    world.set_directory_up(true);
    stop(&mut world, ALICE);
    stop(&mut world, BOB);
    world.run_for(secs(3_000));
    let fetched = listen(&mut world);
    let start = world.now();
    world.start_client(ALICE);
    world.until_ready(ALICE);
    assert_eq!(fetched.borrow().len(), 0, "ready before anybody was asked");
    world.run_for(secs(6));
    assert_eq!(fetched.borrow().len(), 1);
    assert!(fetched.borrow()[0].since(start) <= secs(6));
    assert!(world.engine(ALICE).stats(world.now()).topology_age < Some(secs(6)));
}

#[test]
fn a_second_attempt_of_the_same_client_needs_no_directory_either() {
    let mut world = World::new(24, 2);
    world.set_epochs(60, 3);
    world.kill_gateway(0, false);
    let config = quick(&world, 0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    assert_eq!(failure(&world, client), Some((Code::GatewayRefused, Phase::Gateway)));
    world.set_directory_up(false);
    world.revive_gateway(0);
    world.with_engine(client, |engine, now| engine.connect(now));
    world.until_ready(client);
    // It is refreshed all the same, when the directory is back.
    world.run_for(secs(20));
    world.set_directory_up(true);
    world.run_for(secs(15));
    assert!(world.engine(client).stats(world.now()).topology_age < Some(secs(15)));

    // But not with keys that are gone.
    let mut world = World::new(25, 2);
    world.set_epochs(60, 3);
    world.kill_gateway(0, false);
    let config = quick(&world, 0);
    let client = world.add_client(config);
    world.run_for(secs(5));
    world.set_directory_up(false);
    run_to(&mut world, 245);
    world.clients[client].events.clear();
    world.with_engine(client, |engine, now| engine.connect(now));
    world.run_for(secs(12));
    assert_eq!(failure(&world, client), Some((Code::DirectoryUnreachable, Phase::Topology)));
}

#[test]
fn a_stored_topology_that_cannot_be_used_is_ignored() {
    // Long epochs, so that age alone counts.
    let mut world = World::new(18, 2);
    world.set_epochs(30 * 86_400, 24);
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    stop(&mut world, client);
    let good = world.store(client)[&Record::Topology].clone();
    let config = world.clients[client].config.clone();
    world.set_directory_up(false);
    assert!(starts(&mut world, client));

    // Damaged.
    for at in (0..56).chain((56..good.len()).step_by(61)) {
        world.store(client).get_mut(&Record::Topology).unwrap()[at] ^= 1 << (at % 8);
        assert!(!starts(&mut world, client), "byte {at}");
        world.store(client).insert(Record::Topology, good.clone());
    }
    for len in [0, 1, 2, 9, 10, 41, 42, 43, 51, good.len() / 2, good.len() - 1] {
        world.store(client).insert(Record::Topology, good[..len].to_vec());
        assert!(!starts(&mut world, client), "{len} bytes");
    }
    world.store(client).insert(Record::Topology, vec![1; limits::TOPOLOGY_RECORD_LEN_MAX + 1]);
    assert!(!starts(&mut world, client));
    world.store(client).insert(Record::Topology, good.clone());

    // Of another network, or by another measure, or from the future.
    let refused: [fn(&mut Config); 3] = [
        |config| config.directories = vec!["http://127.0.0.1:2/api".to_owned()],
        |config| config.minimum_performance = 60,
        |config| config.unix_zero = Duration::from_secs(UNIX_ZERO - 86_400),
    ];
    for (number, change) in refused.into_iter().enumerate() {
        change(&mut world.clients[client].config);
        assert!(!starts(&mut world, client), "case {number}");
        world.clients[client].config = config.clone();
    }
    // The same directory among others, written otherwise.
    world.clients[client].config.directories =
        vec!["http://127.0.0.1:2/api".to_owned(), format!("{}/", config.directories[0])];
    assert!(starts(&mut world, client));
    world.clients[client].config = config;

    // Too old.
    let age = world.now().as_micros();
    world.run_for(limits::TOPOLOGY_RECORD_AGE_MAX - secs(60) - Duration::from_micros(age));
    assert!(starts(&mut world, client));
    world.run_for(secs(120));
    assert!(!starts(&mut world, client));
    // Never an error: with a directory it starts as if there were none.
    world.set_directory_up(true);
    assert!(starts(&mut world, client));
    assert_ne!(world.store(client)[&Record::Topology], good);
}

#[test]
fn a_stored_topology_is_not_used_when_its_rotation_is_over_or_nobody_knows() {
    let (mut world, _, _) = quick_rotations(19);
    stop(&mut world, ALICE);
    stop(&mut world, BOB);
    world.set_directory_up(false);
    run_to(&mut world, 222);
    assert!(starts(&mut world, ALICE), "in the epoch of grace");
    run_to(&mut world, 250);
    assert!(!starts(&mut world, ALICE));

    // Without a schedule it is good for an hour.
    let mut world = World::new(20, 1);
    play(&mut world, |path, honest| if path.ends_with(SCHEDULE) { Err(FetchError::Status(404)) } else { text(honest) });
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    stop(&mut world, client);
    world.stop_playing();
    world.set_directory_up(false);
    world.run_for(limits::TOPOLOGY_RECORD_AGE_UNSCHEDULED_MAX - secs(60));
    assert!(starts(&mut world, client));
    world.run_for(secs(120));
    assert!(!starts(&mut world, client));
}

#[test]
fn a_stored_topology_without_the_wanted_gateway_is_not_used() {
    let mut world = World::new(21, 2);
    play(&mut world, |path, honest| without_gateway(path, honest, 1));
    let config = world.config(0);
    let client = world.add_client(config);
    world.until_ready(client);
    stop(&mut world, client);
    world.clients[client].config.gateway = world.config(1).gateway;
    world.set_directory_up(false);
    world.stop_playing();
    assert!(!starts(&mut world, client));
    world.set_directory_up(true);
    assert!(starts(&mut world, client));
}

#[test]
fn a_gateway_that_has_moved_since_is_found_by_the_refresh() {
    let mut world = World::new(22, 2);
    // The directory is wrong about where the gateway listens.
    play(&mut world, |path, honest| {
        edited(path, ENTRIES, honest, |list| list["nodes"]["data"][0]["entry"]["ws_port"] = json!(3_999))
    });
    let config = world.config(0);
    let client = world.add_client(config);
    world.run_for(secs(10));
    assert_eq!(failure(&world, client), Some((Code::GatewayRefused, Phase::Gateway)));
    stop(&mut world, client);
    assert!(world.store(client).contains_key(&Record::Topology));
    world.stop_playing();
    assert!(starts(&mut world, client), "the first failure sends for a new one");
}

// ── what the tests are made of ───────────────────────────────────────────────────────────────────────────────────────

const MIXES: &str = "mixnodes/active";
const ENTRIES: &str = "entry-gateways";
const SCHEDULE: &str = "key-rotation-info";

fn play(world: &mut World, lie: Lie) {
    world.play_directory(move |_, path, honest| {
        lie(path, honest.map(|honest| parsed(honest.as_bytes())).ok_or(FetchError::Unreachable)?)
    });
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

fn text(answer: Value) -> Result<Vec<u8>, FetchError> {
    Ok(answer.to_string().into_bytes())
}

/// The answer, edited if it is the one to this path.
fn edited(path: &str, which: &str, mut answer: Value, edit: impl FnOnce(&mut Value)) -> Result<Vec<u8>, FetchError> {
    if path.ends_with(which) {
        edit(&mut answer);
    }
    text(answer)
}

/// Answers of an epoch so much later, all of them, and with a schedule that makes it the same rotation.
fn other_epoch(path: &str, mut answer: Value, later: i64) -> Result<Vec<u8>, FetchError> {
    let fields: &[&str] = match path {
        path if path.ends_with(ROLES) => &["/epoch_id"],
        path if path.ends_with(SCHEDULE) => &["/current_absolute_epoch_id"],
        _ => &["/metadata/absolute_epoch_id", "/metadata/status/fresh/total_elapsed_epochs"],
    };
    for field in fields {
        if let Some(epoch) = answer.pointer_mut(field) {
            *epoch = json!(epoch.as_i64().unwrap_or_default() + later);
        }
    }
    text(answer)
}

/// The answers without one of the gateways.
fn without_gateway(path: &str, answer: Value, place: usize) -> Result<Vec<u8>, FetchError> {
    edited(path, ENTRIES, answer, |list| {
        let nodes = list["nodes"]["data"].as_array_mut().map(|nodes| {
            nodes.remove(place);
            nodes.len()
        });
        list["nodes"]["pagination"]["total"] = json!(nodes);
    })
}

/// A network that has nothing to do with that of the world.
fn stranger() -> Directory {
    let at = |port: u16| ([127, 0, 0, 1], port).into();
    Directory {
        seed: Seed::from_bytes([9; 32]),
        mixes: vec![MixEntry { id: 1, layer: 1, address: at(1) }],
        gateways: (0..5).map(|id| GatewayEntry { id: 20 + id, mix_address: at(2), client_address: at(3) }).collect(),
        clock: EpochClock::new(UNIX_ZERO, 3_600, 24),
    }
}

/// The epoch of the topology that Alice uses, and how many answers she has refused.
fn in_use(world: &World) -> (u32, u64) {
    let engine = world.engine(ALICE);
    (engine.topology().map_or(0, |topology| topology.epoch()), engine.stats(world.now()).dropped.topology)
}

fn identities(world: &World) -> Vec<String> {
    let topology = world.engine(ALICE).topology();
    let layers = topology.into_iter().flat_map(|topology| (0..3).flat_map(|layer| topology.layer(layer)));
    layers.map(|node| node.id.to_string()).collect()
}

/// Starts a client, says whether it gets ready, and stops it again.
fn starts(world: &mut World, client: usize) -> bool {
    world.start_client(client);
    world.run_for(secs(12));
    let is_ready = world.engine(client).state() == State::Ready;
    assert!(is_ready || world.engine(client).state() == State::Idle, "neither ready nor failed");
    stop(world, client);
    is_ready
}
