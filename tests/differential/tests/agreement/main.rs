//! Each side reads what the other writes.

#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that finds a surprise shall stop")]

mod network;

mod contents;
mod fragments;
mod framing;
mod hostile;
mod messages;
mod packets;
mod replies;
