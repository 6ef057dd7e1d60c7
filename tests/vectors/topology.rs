//! The topology room's bytes.
