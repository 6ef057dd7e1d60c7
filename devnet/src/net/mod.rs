//! Sockets, files and tokio around the state machines: a whole network in one process.
//!
//! Nodes share nothing but the clock, the record and the faults that were asked for. What goes from one to the next
//! goes over a TCP connection, also within the process.

pub mod clock;
pub mod driver;
pub mod http;
pub mod network;

mod api;
mod gateway;
mod link;
mod mix;
mod node;
mod ports;
mod state_folder;
