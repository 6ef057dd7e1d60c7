//! mixlet: a browser client for mix networks, compatible byte for byte with the Nym mixnet.
//!
//! All behaviour lives in [`engine`], a state machine without clock, socket or random source of its own.
//! Below it lie rooms of pure functions ([`sphinx`], [`message`], [`gateway`], [`topology`]); above it lies a
//! thin driver for browser workers (`web`, only on wasm32). Imports point downwards only:
//! `web → engine → {message, topology, gateway, identity} → sphinx`. `docs/ARCHITECTURE.md` tells the rest.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

// Links the standard library, whose allocator and panic handler a `cdylib` needs, without giving it a name: a
// stray `std::time::Instant` or `HashMap` in a core room is then a compile error.
#[cfg(test)]
extern crate std;
#[cfg(not(any(test, target_os = "none")))]
extern crate std as _;

pub mod date;
mod json;
pub mod limits;
mod table;
pub mod time;

pub mod sphinx;

pub mod message;
pub mod topology;

pub mod gateway;
pub mod identity;

pub mod backup;

pub mod engine;
pub mod exchange;

#[cfg(all(target_arch = "wasm32", feature = "web"))]
pub mod web;
