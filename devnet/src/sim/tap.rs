//! Looking into packets as all nodes together could.

use mixlet::sphinx::header;
use mixlet::sphinx::params::HEADER_LEN;
use mixlet::sphinx::{Checked, NodeFrame, NodePrivateKey, Packet, Peeled};
use mixlet::time::Duration;

use super::{SimWorld, World};
use crate::format::NodeFormat;
use crate::record::NodeName;

impl<F: NodeFormat> SimWorld<F> {
    /// Runs for so long and gives the packets that left a node meanwhile.
    pub fn tap(&mut self, time: Duration, node: NodeName) -> Vec<NodeFrame> {
        self.tapped = Some((node, Vec::new()));
        self.run_for(time);
        self.tapped.take().map(|(_, packets)| packets).unwrap_or_default()
    }
}

impl World {
    /// Removes one layer with the key of whichever node can: the version that the header names, and the next packet or,
    /// at the end, the plaintext. Nothing when no node can.
    pub fn peel_anywhere(&self, packet: &Packet) -> Option<(Result<Packet, Vec<u8>>, u16)> {
        let rotation = self.rotations().primary;
        let nodes = self.directory.mixes.iter().map(|mix| mix.id).chain(self.gateways.iter().map(|node| node.entry.id));
        let keys = nodes.map(|id| self.directory.seed.sphinx(id, rotation));
        keys.into_iter().find_map(|key| Some((peel(packet, &key)?, version(packet, &key)?)))
    }
}

fn peel(packet: &Packet, key: &NodePrivateKey) -> Option<Result<Packet, Vec<u8>>> {
    match Checked::new(packet.clone(), key).ok()?.peel().ok()? {
        Peeled::Forward { packet, .. } => Some(Ok(packet)),
        Peeled::Final { plaintext, .. } => Some(Err(plaintext)),
    }
}

fn version(packet: &Packet, key: &NodePrivateKey) -> Option<u16> {
    let bytes = packet.as_bytes().first_chunk::<HEADER_LEN>()?;
    Some(header::open(bytes, &header::verify(bytes, key).ok()?).ok()?.version.0)
}
