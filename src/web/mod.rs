//! The browser driver around the engine; the one room that knows JavaScript.
//!
//! It carries things: commands and bytes in, frames, chores and events out, time. It decides nothing: no retry, no
//! protocol, no parsing of what came over the network. One task owns engine, socket and timer ([`driver`]); the
//! exported class ([`client`]) holds only the queue of commands to it. So nothing is shared, nothing is borrowed across
//! an `await`, and JavaScript that calls in from inside one of our calls out just appends to the queue.

extern crate std;

pub mod alarm;
pub mod client;
pub mod clock;
pub mod convert;
pub mod convert_exchange;
pub mod data_key;
pub mod database;
pub mod driver;
pub mod fetch;
pub mod life;
pub mod post;
pub mod socket;
pub mod start;
pub mod store;
pub mod tally;
pub mod vault;
mod waiting;
mod writer;

/// Makes panics readable in the console.
#[cfg(feature = "panic-hook")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
fn panics() {
    console_error_panic_hook::set_once();
}
