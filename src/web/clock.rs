//! A monotonic clock that also notices a suspended machine.
//!
//! `performance.now()` stands still on some systems while the machine sleeps, so a client that woke up would believe
//! that no time had passed and trust a dead link. The wall clock does not stand still, but may be set at any
//! moment. So time is the monotonic clock, and where the wall clock ran ahead of it by more than
//! [`SUSPENSION_MS`] since the last look, the difference is added once. A wall clock that goes back changes nothing.

use alloc::boxed::Box;
use core::cell::Cell;

use js_sys::{Date, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Performance;

use crate::time::{Duration, Instant};

/// Time for one client, counted from some moment before its making.
pub struct Clock {
    monotonic: Source,
    wall: Source,
    seen: Cell<Seen>,
    unix_zero: Duration,
}

/// A source of time in milliseconds.
pub type Source = Box<dyn Fn() -> f64>;

#[derive(Clone, Copy)]
struct Seen {
    monotonic: f64,
    wall: f64,
    /// Milliseconds since zero, suspensions included.
    elapsed: f64,
}

impl Clock {
    /// The clock of this browser. Its zero is two days ago, so that it has a number for what an earlier run wrote down
    /// and is not too old to matter.
    pub fn new() -> Self {
        let monotonic: Source = match performance() {
            Some(performance) => Box::new(move || performance.now()),
            None => Box::new(Date::now),
        };
        Self::beginning(monotonic, Box::new(Date::now), PAST_MS)
    }

    /// A clock over other sources: milliseconds that never run backwards, and milliseconds of Unix time. Its zero is now.
    pub fn with_sources(monotonic: Source, wall: Source) -> Self {
        Self::beginning(monotonic, wall, 0.0)
    }

    fn beginning(monotonic: Source, wall: Source, elapsed: f64) -> Self {
        let seen = Seen { monotonic: monotonic(), wall: wall(), elapsed };
        let unix_zero = Duration::from_micros(micros(seen.wall - elapsed));
        Self { monotonic, wall, seen: Cell::new(seen), unix_zero }
    }

    /// Unix time now, in seconds.
    pub fn unix() -> u64 {
        Duration::from_micros(micros(Date::now())).as_secs()
    }

    /// Unix time at [`Instant::ZERO`].
    pub fn unix_zero(&self) -> Duration {
        self.unix_zero
    }

    /// Now. Never earlier than what the last call said.
    pub fn now(&self) -> Instant {
        let seen = self.seen.get();
        let monotonic = (self.monotonic)();
        let wall = (self.wall)();
        let advanced = (monotonic - seen.monotonic).max(0.0);
        let ahead = (wall - seen.wall) - advanced;
        let suspended = if ahead > SUSPENSION_MS { ahead } else { 0.0 };
        let elapsed = seen.elapsed + advanced + suspended;
        self.seen.set(Seen { monotonic: monotonic.max(seen.monotonic), wall, elapsed });
        Instant::from_micros(micros(elapsed))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// `performance` of whatever we run in. Not everywhere does its class have a name to compare it with.
fn performance() -> Option<Performance> {
    let performance = Reflect::get(&js_sys::global(), &JsValue::from_str("performance")).ok()?;
    let now = Reflect::get(&performance, &JsValue::from_str("now")).ok()?;
    now.is_function().then(|| performance.unchecked_into())
}

/// Milliseconds as microseconds; `as` turns what is negative or not a number into zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates by definition")]
fn micros(millis: f64) -> u64 {
    (millis * 1000.0) as u64
}

/// Twice as long as anything of an earlier run is kept.
const PAST_MS: f64 = 2.0 * 24.0 * 3_600_000.0;

/// How far the wall clock must have run ahead between two looks to count as a suspension. Corrections by a time
/// server are slews or steps far below it; the driver looks at least once a minute.
pub const SUSPENSION_MS: f64 = 2_000.0;
