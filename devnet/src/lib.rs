//! A Nym-compatible mixnet in one process on loopback: mix nodes in three layers, gateways, a directory.
//!
//! For tests and demonstrations of clients, also of clients nobody here wrote. Mix node ([`mix`]), gateway
//! ([`gateway`]) and directory ([`directory`]) are state machines without sockets, files or clock; [`net`] puts these
//! around them. Links between nodes can be made as bad as a test wants ([`faults`]), and a record says what passed
//! ([`record`]).
//!
//! This network protects nobody: one process sees every hop.

#![forbid(unsafe_code)]

pub mod directory;
pub mod faults;
pub mod format;
pub mod gateway;
pub mod keyring;
pub mod mix;
#[cfg(not(target_arch = "wasm32"))]
pub mod net;
pub mod record;
pub mod sim;
pub mod state;
pub mod timeline;
