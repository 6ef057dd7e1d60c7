//! The message room's bytes.
