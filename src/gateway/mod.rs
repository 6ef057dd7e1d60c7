//! The link between a client and its gateway, both halves of it.
//!
//! A websocket carries text frames (JSON, control) and binary frames (sealed packets). [`frame`] reads and writes them
//! and nothing else; [`client`] registers and logs in; [`server`] is the same as seen by a gateway. Nothing here
//! opens a socket, knows the time or remembers anything between two links.
//!
//! Invariants: whatever arrives is untrusted, and reading it never panics and never takes more memory than a frame
//! has bytes, times a small number. A [`SharedKey`] comes out of a registration only when the gateway has signed for
//! it with the identity that was expected. Both directions use one key without counters, so a frame proves no more
//! than that someone who has the key has made it at some time.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

pub mod client;
pub mod frame;
mod keys;
mod sealed;
pub mod server;
#[cfg(test)]
mod tests;

pub use frame::{ClientText, FrameError, ServerText};
pub use keys::{ClientId, IdentityKeypair, SharedKey};
pub use sealed::{ControlReply, ControlRequest, SessionKind, open_push, open_request, seal_push, seal_request};

/// The newest version of the link protocol that we speak, and the one we offer.
///
/// 4 brought the signed login, 5 the key rotation byte on packets, 6 the upgrade mode flag.
pub const VERSION_MAX: u8 = 6;
/// The oldest version in which a client can log in.
pub const VERSION_MIN: u8 = 4;
/// From this version on a packet carries its key rotation.
pub const VERSION_ROTATION: u8 = 5;
/// What a free claim gives: 64 GiB, until the next midnight in UTC.
pub const FREE_BANDWIDTH: i64 = 64 << 30;
/// Below this balance a client claims more before it sends: a fifth of what one ticket gives.
pub const BANDWIDTH_REFILL: i64 = 40_000_000;
