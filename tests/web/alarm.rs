//! The driver's timer.

use std::future::poll_fn;

use mixlet::time::{Duration, Instant};
use mixlet::web::alarm::Alarm;
use mixlet::web::clock::Clock;
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
async fn alarms_set_by_alarms_are_not_held_back() {
    let (clock, mut alarm) = (Clock::new(), Alarm::new());
    let mut shortest = Duration::MAX;
    for round in 0..60 {
        let start = clock.now();
        ring(&mut alarm, 1).await;
        // Browsers begin to hold timers back at the fifth or sixth that was set by another.
        if round >= 10 {
            shortest = shortest.min(clock.now().since(start));
        }
    }
    assert!(shortest < Duration::from_millis(3), "the shortest of fifty took {shortest:?}");
}

#[test]
async fn an_alarm_does_not_ring_early() {
    let (clock, mut alarm) = (Clock::new(), Alarm::new());
    let start = clock.now();
    ring(&mut alarm, 50).await;
    // Clocks of browsers are coarse.
    assert!(clock.now().since(start) >= Duration::from_millis(48));
}

#[test]
async fn a_setting_replaces_the_one_before() {
    let (clock, mut alarm) = (Clock::new(), Alarm::new());
    let start = clock.now();
    alarm.set(0);
    alarm.set(5);
    ring(&mut alarm, 50).await;
    assert!(clock.now().since(start) >= Duration::from_millis(48));
    ring(&mut alarm, 0).await;
    assert!(clock.now() > Instant::ZERO);
}

async fn ring(alarm: &mut Alarm, millis: u32) {
    alarm.set(millis);
    poll_fn(|context| alarm.poll(context)).await;
}
