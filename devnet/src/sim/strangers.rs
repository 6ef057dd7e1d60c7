//! Peers that are no engines: a test makes their packets and reads their mail, and can so do what no engine would.

use mixlet::gateway::ClientId;
use mixlet::message::Address;
use mixlet::sphinx::{NodeAddress, NodeFrame};

use super::SimWorld;
use crate::format::NodeFormat;

impl<F: NodeFormat> SimWorld<F> {
    /// Hands a payload to a client as the plaintext of a packet that has just come for it.
    pub fn push(&mut self, index: usize, payload: Vec<u8>) {
        let client = &self.clients[index];
        let (Some(open), Some(inside)) = (client.links.last().copied(), client.inside.as_ref()) else { return };
        let Some(destination) = inside.engine().address().map(Address::identity) else { return };
        self.with_gateway(open.gateway, |gateway, _| {
            let _ = gateway.deliver(&destination, payload);
        });
    }

    /// Sends a packet from a gateway into the network, under the same weather as those of clients.
    pub fn inject(&mut self, gateway: usize, first_hop: NodeAddress, frame: NodeFrame) {
        self.with_gateway(gateway, |gateway, now| gateway.send_packet(first_hop, frame, now));
    }

    /// Takes what a gateway keeps for somebody who is not connected, the oldest first.
    pub fn take_inbox(&mut self, gateway: usize, of: &Address) -> Vec<Vec<u8>> {
        let mut inbox = Vec::new();
        let client = ClientId(of.identity().0);
        self.with_gateway(gateway, |gateway, _| inbox = gateway.take_inbox(&client));
        inbox
    }
}
