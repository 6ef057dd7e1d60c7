//! An engine under watch, and a small world around it: the properties run it, and so do the fuzz targets.
//!
//! [`watch`] checks after every call what holds whatever happens; [`world`] turns any bytes into calls, with the real
//! gateway half, a peer and nodes whose keys are known around the engine.

pub mod format;
pub mod gateway;
pub mod input;
pub mod network;
pub mod peer;
pub mod watch;
pub mod world;
