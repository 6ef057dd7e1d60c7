//! Inputs that end a client which is not prepared for them: those that end the published one, and those that were found
//! here. Natively and in browsers, since a panic there takes the whole client with it.

#![allow(missing_docs, reason = "tests say what they test by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that finds a surprise shall stop")]

#[allow(dead_code, reason = "each of those who share it uses a part")]
mod laws;

#[path = "panics/found.rs"]
mod found;
#[path = "panics/published.rs"]
mod published;

#[cfg(not(target_arch = "wasm32"))]
use core::prelude::v1::test;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

use laws::input::Input;
use laws::world::World;
use mixlet::engine::Sphinx;

/// A client that is up, and the world around it.
fn up() -> World<Sphinx> {
    let world = World::new(&mut Input(&[0x80, 0, 16]));
    assert!(world.is_up());
    world
}
