//! Properties that hold for all inputs, checked with random ones. Native only.

#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that finds a surprise shall stop")]

#[allow(dead_code, reason = "each of those who share it uses a part")]
mod laws;

#[path = "properties/budgets.rs"]
mod budgets;
#[path = "properties/date.rs"]
mod date;
#[path = "properties/engine.rs"]
mod engine;
#[path = "properties/gateway.rs"]
mod gateway;
#[path = "properties/message.rs"]
mod message;
#[path = "properties/sphinx.rs"]
mod sphinx;
#[path = "properties/topology.rs"]
mod topology;
