//! A mixnet without sockets, for the tests of apps that use mixlet.
//!
//! [`Network`] joins the devnet's mix nodes and gateways by a heap of what is on its way. It has no clock: whoever runs
//! it says what time it is. On wasm32 `web` is what `js/testing.ts` sees of it.
//!
//! This network protects nobody: one process sees every hop, and its keys follow from a number.

#![forbid(unsafe_code)]

mod links;
mod network;
mod schedule;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use links::{Frame, LINK_COUNT_MAX, LinkNumber, News};
pub use network::{Layout, Mode, Network};
pub use schedule::ON_THE_WAY_COUNT_MAX;
