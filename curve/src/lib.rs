//! Curve25519 for senders of packets, on the 32-bit arithmetic that suits WebAssembly.
//!
//! Everything here multiplies by eight times a number below the order of the group, the way X25519 does after clamping.
//! What can be multiplied without preparation costs a [`ladder`]; what is multiplied often gets a table, an
//! [`KeyTable`], after which a multiplication costs a third. A table costs about as much as two multiplications:
//! its points are brought to affine form with one inversion in all, which the curve crate does not offer.
//!
//! The curve crate and X25519 as the standard has it are the test oracle of this crate, which is one of its own so that it
//! can be compiled for speed and the client for size. That is also why its tables are concrete types: generic code is
//! compiled where it is used.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod edwards;
mod field;
mod montgomery;

pub use edwards::{BaseTable, KeyTable, Point};
pub use montgomery::ladder;

#[cfg(test)]
mod tests;
