//! The browser driver, in real browsers, inside a dedicated worker as in production.
//!
//! Runs under `cargo test --target wasm32-unknown-unknown --test web` with a driver named in the environment.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[path = "web/clock.rs"]
mod clock;
#[path = "web/fakes.rs"]
mod fakes;
#[path = "web/store.rs"]
mod store;
