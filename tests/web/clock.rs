//! The clock, over sources that the test moves.

use std::cell::Cell;
use std::rc::Rc;

use mixlet::time::{Duration, Instant};
use mixlet::web::clock::Clock;
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn time_is_the_monotonic_clock() {
    let world = World::new();
    let clock = world.clock();
    assert_eq!(clock.now(), Instant::ZERO);
    world.pass(12.5);
    assert_eq!(clock.now(), Instant::from_micros(12_500));
}

#[test]
fn a_suspension_is_noticed_once() {
    let world = World::new();
    let clock = world.clock();
    world.pass(1_000.0);
    clock.now();
    world.sleep(3_600_000.0);
    assert_eq!(clock.now(), Instant::from_micros(3_601_000_000));
    assert_eq!(clock.now(), Instant::from_micros(3_601_000_000));
    world.pass(1.0);
    assert_eq!(clock.now(), Instant::from_micros(3_601_001_000));
}

#[test]
fn a_wall_clock_set_back_changes_nothing() {
    let world = World::new();
    let clock = world.clock();
    world.pass(5_000.0);
    clock.now();
    world.sleep(-3_600_000.0);
    assert_eq!(clock.now(), Instant::from_micros(5_000_000));
    world.pass(10.0);
    assert_eq!(clock.now(), Instant::from_micros(5_010_000));
}

#[test]
fn a_suspension_after_the_wall_clock_was_set_back_is_noticed() {
    let world = World::new();
    let clock = world.clock();
    world.sleep(-3_600_000.0);
    clock.now();
    world.sleep(60_000.0);
    assert_eq!(clock.now(), Instant::from_micros(60_000_000));
}

#[test]
fn small_corrections_of_the_wall_clock_are_not_suspensions() {
    let world = World::new();
    let clock = world.clock();
    for _ in 0..100 {
        world.sleep(1_500.0);
        world.pass(1.0);
        clock.now();
    }
    assert_eq!(clock.now(), Instant::from_micros(100_000));
}

#[test]
fn time_never_runs_backwards() {
    let world = World::new();
    let clock = world.clock();
    world.pass(50.0);
    let before = clock.now();
    world.monotonic.set(10.0);
    assert_eq!(clock.now(), before);
    world.monotonic.set(f64::NAN);
    assert!(clock.now() >= before);
}

#[test]
fn unix_time_is_that_of_the_start() {
    let world = World::new();
    let clock = world.clock();
    world.pass(5_000.0);
    clock.now();
    assert_eq!(clock.unix_zero(), Duration::from_millis(1_800_000_000_000));
}

#[test]
fn the_clock_of_this_browser_runs() {
    let clock = Clock::new();
    let first = clock.now();
    // 2026, so that a clock in the wrong unit shows.
    assert!(clock.unix_zero() > Duration::from_secs(1_767_225_600));
    assert!(clock.unix_zero() < Duration::from_secs(10_000_000_000));
    while clock.now() == first {}
    assert!(clock.now().since(first) < Duration::from_secs(5));
}

struct World {
    monotonic: Rc<Cell<f64>>,
    wall: Rc<Cell<f64>>,
}

impl World {
    fn new() -> Self {
        Self { monotonic: Rc::new(Cell::new(777.0)), wall: Rc::new(Cell::new(1_800_000_000_000.0)) }
    }

    fn clock(&self) -> Clock {
        let (monotonic, wall) = (self.monotonic.clone(), self.wall.clone());
        Clock::with_sources(Box::new(move || monotonic.get()), Box::new(move || wall.get()))
    }

    fn pass(&self, millis: f64) {
        self.monotonic.set(self.monotonic.get() + millis);
        self.sleep(millis);
    }

    /// Only the wall clock goes on.
    fn sleep(&self, millis: f64) {
        self.wall.set(self.wall.get() + millis);
    }
}
