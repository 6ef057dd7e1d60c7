//! Parts of a world that behave otherwise than they should: directories that lie, gateways with other clocks, slow ones.

use std::collections::BTreeMap;

use mixlet::engine::{FetchError, Record};
use mixlet::time::{Duration, Instant};

use super::SimWorld;
use crate::directory::EpochClock;
use crate::format::NodeFormat;

/// What a directory answers instead: given the time, the path and its honest answer, if it has one.
pub type Script = Box<dyn FnMut(Instant, &str, Option<String>) -> Result<Vec<u8>, FetchError>>;

/// How a gateway differs from a good one.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// How far its clock is ahead of the world's, in seconds.
    pub clock_ahead: i64,
    /// How long it thinks before everything it says to its clients; then it does not hurry them either.
    pub lag: Duration,
    /// Clients' sockets do not answer its pings, so that the newest of two connections wins.
    pub no_pongs: bool,
    /// It takes connections and never finishes opening them.
    pub never_opens: bool,
    /// It counts no bandwidth.
    pub unmetered: bool,
    /// It gives no bandwidth without a ticket.
    pub wants_tickets: bool,
    /// What it says instead of what it would say in text.
    pub rewrite: Option<fn(&str) -> String>,
}

impl<F: NodeFormat> SimWorld<F> {
    /// Lets the directory answer by a script.
    pub fn play_directory(
        &mut self,
        script: impl FnMut(Instant, &str, Option<String>) -> Result<Vec<u8>, FetchError> + 'static,
    ) {
        self.script = Some(Box::new(script));
    }

    /// Lets the directory be honest again.
    pub fn stop_playing(&mut self) {
        self.script = None;
    }

    /// Gives a gateway a manner.
    pub fn set_manner(&mut self, gateway: usize, manner: Manner) {
        self.gateways[gateway].manner = manner;
        self.with_gateway(gateway, |_, _| {});
    }

    /// Other epochs, counted from now on; the world is in the first epoch of rotation 1.
    pub fn set_epochs(&mut self, epoch_secs: u64, rotation_epochs: u32) {
        self.directory.clock = EpochClock::new(self.unix(), epoch_secs, rotation_epochs);
        self.advance_epochs(0);
    }

    /// Adds a client that has what the store of another holds, and lets it connect.
    pub fn add_twin(&mut self, of: usize) -> usize {
        let twin = self.add_stopped(self.clients[of].config.clone());
        self.clients[twin].store = self.clients[of].store.clone();
        self.start_client(twin);
        twin
    }

    /// What the store of a client holds; may be changed while the client is stopped.
    pub fn store(&mut self, index: usize) -> &mut BTreeMap<Record, Vec<u8>> {
        &mut self.clients[index].store
    }
}
