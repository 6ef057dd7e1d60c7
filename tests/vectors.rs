//! Replays the recorded bytes of the protocol, natively and in browsers: the same functions, the same files.

#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that finds a surprise shall stop")]

#[path = "vectors/support.rs"]
mod support;

#[path = "vectors/backup.rs"]
mod backup;
#[path = "vectors/exchange.rs"]
mod exchange;
#[path = "vectors/gateway.rs"]
mod gateway;
#[path = "vectors/mail.rs"]
mod mail;
#[path = "vectors/message.rs"]
mod message;
#[path = "vectors/pages.rs"]
mod pages;
#[path = "vectors/sphinx.rs"]
mod sphinx;
#[path = "vectors/topology.rs"]
mod topology;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
