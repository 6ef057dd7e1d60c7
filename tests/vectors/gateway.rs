//! The gateway room's bytes.
