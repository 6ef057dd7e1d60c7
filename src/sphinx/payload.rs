//! Padding, and the layers around a payload.
