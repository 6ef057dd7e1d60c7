//! Every bound of the client in one place: sizes, counts and ages.
//!
//! A table or queue without a name here is a bug. Each name says what happens at the bound.

use crate::time::Duration;

/// The largest body one message may have; more is refused as `too-large`.
pub const MESSAGE_LEN_MAX: usize = 32 << 20;
