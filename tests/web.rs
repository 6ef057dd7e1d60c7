//! The browser driver, in real browsers, inside a dedicated worker as in production.
//!
//! Runs under `cargo test --target wasm32-unknown-unknown --test web` with a driver named in the environment. Tests that
//! talk to the devnet read its addresses from `MIXLET_DEVNET` (the directory) and `MIXLET_DEVNET_CONTROL` at build
//! time, and fail without them; so does the one that compares with the native build, without `MIXLET_TRACE`.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics is a test that fails")]

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[path = "web/alarm.rs"]
mod alarm;
#[path = "web/clock.rs"]
mod clock;
#[path = "web/convert.rs"]
mod convert;
#[path = "web/devnet.rs"]
mod devnet;
#[path = "web/driver.rs"]
mod driver;
#[path = "web/fakes.rs"]
mod fakes;
#[path = "web/fetch.rs"]
mod fetch;
#[path = "web/page.rs"]
mod page;
#[path = "web/passphrase.rs"]
mod passphrase;
#[path = "web/renewal.rs"]
mod renewal;
#[path = "web/socket.rs"]
mod socket;
#[path = "web/store.rs"]
mod store;
#[path = "web/stored.rs"]
mod stored;
#[path = "web/tally.rs"]
mod tally;
#[path = "web/tap.rs"]
mod tap;
#[path = "web/vault.rs"]
mod vault;
#[path = "web/world.rs"]
mod world;
