//! What goes wrong in a world, on command.

use mixlet::time::Duration;

use super::SimWorld;
use super::run::Delivery;
use super::schedule::Actor;
use crate::format::NodeFormat;
use crate::record::NodeName;
use crate::state::Saved;

impl<F: NodeFormat> SimWorld<F> {
    /// Cuts a client's links; both sides notice. What was on its way is gone.
    pub fn cut_link(&mut self, index: usize) {
        for gateway in self.clients[index].connected_to() {
            self.close_link(index, gateway, Duration::ZERO);
        }
    }

    fn close_link(&mut self, index: usize, gateway: usize, after: Duration) {
        while let Some(open) = self.clients[index].take_link(|open| open.gateway == gateway) {
            self.close_connection(open.gateway, open.connection);
            self.later(after, Delivery::Closed { client: index, link: open.link });
        }
    }

    /// Takes a gateway off the network as a power cut does: what it had written and nobody had read yet is gone. With
    /// `forget` it comes back as if it had never seen anybody.
    pub fn kill_gateway(&mut self, gateway: usize, forget: bool) {
        self.end_gateway(gateway, forget, Duration::ZERO);
    }

    /// Ends a gateway's process: what it had written to its connections still arrives, then they close.
    pub fn stop_gateway(&mut self, gateway: usize, forget: bool) {
        self.end_gateway(gateway, forget, self.weather.latency);
    }

    fn end_gateway(&mut self, gateway: usize, forget: bool, close_after: Duration) {
        let entry = self.gateways[gateway].entry;
        let saved = if forget { Saved::default() } else { self.gateways[gateway].state.saved().clone() };
        for client in 0..self.clients.len() {
            self.close_link(client, gateway, close_after);
        }
        self.gateways[gateway].state = self.new_gateway(&entry, saved);
        self.gateways[gateway].up = false;
        self.schedule.call(Actor::Gateway(gateway), None);
    }

    /// Brings a gateway back.
    pub fn revive_gateway(&mut self, gateway: usize) {
        self.gateways[gateway].up = true;
    }

    /// Lets a gateway go silent, or speak again: connections stay open.
    pub fn set_gateway_silent(&mut self, gateway: usize, silent: bool) {
        self.gateways[gateway].silent = silent;
    }

    /// Of the packets that leave this gateway from now on, those with these places are lost.
    pub fn lose(&mut self, gateway: usize, places: &[usize]) {
        self.doomed = Some((gateway, places.to_vec()));
    }

    /// Whether the packet that leaves a gateway now is one of those.
    pub(super) fn is_doomed(&mut self, gateway: usize) -> bool {
        let Some((_, places)) = self.doomed.as_mut().filter(|(from, _)| *from == gateway) else { return false };
        let doomed = places.contains(&0);
        places.retain(|place| *place > 0);
        places.iter_mut().for_each(|place| *place -= 1);
        doomed
    }

    /// Cuts a node off from all others, or lets it back: packets to it and from it are lost.
    pub fn cut_off(&mut self, node: NodeName, cut: bool) {
        if cut {
            self.cut_off.insert(node);
        } else {
            self.cut_off.remove(&node);
        }
    }

    /// Whether the directory answers.
    pub fn set_directory_up(&mut self, up: bool) {
        self.directory_up = up;
    }

    /// Lets epochs pass at once: nodes and directory have the keys of the new one.
    pub fn advance_epochs(&mut self, epochs: u32) {
        self.directory.clock.advance(epochs);
        self.hand_out_keys();
    }

    /// All of a client's time passes at once for it alone: it sleeps. What comes for it waits in its socket.
    pub fn sleep_client(&mut self, index: usize, time: Duration) {
        self.fall_asleep(index);
        self.run_for(time);
        self.wake_up(index);
    }

    /// A client's machine goes to sleep.
    pub fn fall_asleep(&mut self, index: usize) {
        self.clients[index].asleep.get_or_insert_default();
    }

    /// It wakes up, and everything that came in the meantime comes at once, after the timers that were due.
    pub fn wake_up(&mut self, index: usize) {
        for delivery in self.clients[index].asleep.take().into_iter().flatten() {
            self.later(Duration::ZERO, delivery);
        }
        if self.clients[index].inside.is_some() {
            self.with_client(index, |inside, now| inside.handle_timeout(now));
        }
    }
}
