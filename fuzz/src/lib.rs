//! Fuzz targets: each takes any bytes, gives them to a parser or the engine, and panics where something does not hold that
//! has to hold for all bytes.
//!
//! They are functions, so that the committed inputs can be replayed by a plain test. The engine targets are the steps
//! that the properties take too.

#[allow(missing_docs, dead_code, reason = "shared with tests, which have no use for either")]
#[path = "../../tests/laws/mod.rs"]
mod laws;

extern crate alloc;

#[allow(dead_code, reason = "compiled a second time, since it has no name outside of its crate")]
#[path = "../../src/json.rs"]
#[rustfmt::skip]
mod json;
#[allow(dead_code, reason = "compiled a second time, since it has no name outside of its crate")]
#[path = "../../src/table.rs"]
#[rustfmt::skip]
mod table;

mod exchange;
mod gateway;
mod inside;
mod message;
mod plans;
pub mod seeds;
mod sphinx;
mod stored;
mod topology;

use laws::format::Clear;
use laws::world::{Kind, World};
use mixlet::engine::Sphinx;

/// What takes an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 25] = [
    ("address", message::address),
    ("client_text", gateway::client_text),
    ("content", message::content),
    ("control", gateway::control),
    ("date", stored::date),
    ("directory", topology::directory),
    ("document", topology::document),
    ("engine_gateway", |data| World::<Clear>::run(Kind::Gateway, data)),
    ("engine_raw", |data| World::<Clear>::run(Kind::Raw, data)),
    ("engine_sphinx", |data| World::<Sphinx>::run(Kind::Gateway, data)),
    ("envelope", message::envelope),
    ("exchange", exchange::exchange),
    ("fragment", message::fragment),
    ("handshake", gateway::handshake),
    ("json", inside::json),
    ("packet", sphinx::packet),
    ("peel", sphinx::peel),
    ("plans", plans::plans),
    ("reassembly", message::reassembly),
    ("records", stored::records),
    ("schedule", topology::schedule),
    ("server_text", gateway::server_text),
    ("session", gateway::session),
    ("surb", sphinx::surb),
    ("table", inside::table),
];

/// Gives an input to the target of this name.
///
/// # Panics
///
/// When something does not hold that has to, and when there is no such target.
pub fn run(name: &str, data: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(data),
        None => panic!("there is no target {name}"),
    }
}
