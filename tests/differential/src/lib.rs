//! mixlet against the published crates of the network.
//!
//! All of it is in `tests/agreement`: `cargo test --manifest-path tests/differential/Cargo.toml`. The two sides talk in
//! bytes only. The versions of the peer's crates are pinned: `sphinx-packet` 0.8.0, `nym-sphinx` 2.0.0. They write header
//! version 259 when asked to, and read 258 and 259.
