//! The picture of the network: mix nodes by layer, gateways, and routes through them.
//!
//! A [`Topology`] is read from the answers of a directory ([`Topology::from_answers`]) or from a document that someone
//! has written ([`Topology::from_document`]). It is a snapshot: nothing here fetches, caches or keeps state, and a
//! packet is made from one snapshot alone. Keys and rotation in it belong together.
//!
//! Nothing that a directory says is signed, so everything is checked before it becomes part of a snapshot: sizes
//! before parsing, counts while parsing, keys and addresses per node, and the whole against itself and against
//! the snapshot before it ([`Policy`]). A bad node is left out; a contradiction refuses the whole answer, and the caller
//! keeps what it has.

mod answers;
mod build;
mod document;
mod node;
mod policy;
mod record;
mod route;
mod schedule;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use answers::{More, Pages};
pub use node::{Entry, GatewayNode, MixNode};
pub use policy::{Patience, Policy, Warnings};
pub use route::Route;
pub use schedule::Schedule;

use crate::message::GatewayId;
use crate::sphinx::{NodeAddress, RotationTag};
use crate::table::Table;

/// A snapshot of the network.
#[derive(Clone, Debug)]
pub struct Topology {
    layers: [Vec<MixNode>; 3],
    gateways: Table<GatewayId, GatewayNode>,
    epoch: u32,
    rotation_id: u32,
    refreshed_at: Option<u64>,
    schedule: Option<Schedule>,
    warnings: Warnings,
}

impl Topology {
    /// Nodes that are no mix node of this epoch, in the order of their identities. Only those with an
    /// [`entry`](GatewayNode::entry) can be linked to; all of them can be the last hop of a route.
    pub fn gateways(&self) -> impl Iterator<Item = &GatewayNode> {
        self.gateways.values()
    }

    /// The gateway with this identity.
    pub fn gateway(&self, id: &GatewayId) -> Option<&GatewayNode> {
        self.gateways.get(id)
    }

    /// The mix nodes of a layer, 0 to 2.
    pub fn layer(&self, index: usize) -> &[MixNode] {
        self.layers.get(index).map_or(&[], Vec::as_slice)
    }

    /// How many usable mix nodes each layer has. Never zero.
    pub fn layer_counts(&self) -> [usize; 3] {
        self.layers.each_ref().map(Vec::len)
    }

    /// Forgets what was computed ahead for its keys: this snapshot will hardly be used any more.
    pub fn drop_tables(&mut self) {
        let mixes = self.layers.iter_mut().flatten().map(|node| &mut node.key);
        // A copy of a key has no table.
        mixes.chain(self.gateways.values_mut().map(|node| &mut node.key)).for_each(|key| *key = key.clone());
    }

    /// Whether a mix node of the first layer listens at `address`: a packet goes there first, and nowhere else.
    pub fn is_first_layer(&self, address: NodeAddress) -> bool {
        self.layer(0).iter().any(|node| node.address == address)
    }

    /// The number of the epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number of the key rotation that the nodes' keys belong to; `u32::MAX` when it is not known.
    pub fn rotation_id(&self) -> u32 {
        self.rotation_id
    }

    /// What packets made from this snapshot are tagged with.
    pub fn rotation(&self) -> RotationTag {
        RotationTag::from_rotation_id(self.rotation_id)
    }

    /// When the directory made its answer, in seconds since 1970, if it says so in a form that we can read.
    pub fn refreshed_at(&self) -> Option<u64> {
        self.refreshed_at
    }

    /// When epochs and rotations change, if it is known.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// What would have been refused with less patience.
    pub fn warnings(&self) -> Warnings {
        self.warnings
    }
}

/// The paths of a directory, to be put behind its base with exactly one slash: the roles of this epoch, the mix nodes, the
/// gateways, and the schedule of epochs and rotations.
///
/// The second and third list pages; see [`Pages`].
pub const PATHS: [&str; 4] = [
    "v1/nym-nodes/rewarded-set",
    "v2/unstable/nym-nodes/skimmed/mixnodes/active?page=0",
    "v2/unstable/nym-nodes/skimmed/entry-gateways?page=0",
    "v1/epoch/key-rotation-info",
];

/// Why no snapshot can be made, or no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The answers are not of the same epoch and rotation: the epoch has changed between them. Ask once more.
    #[error("the answers contradict each other")]
    Inconsistent,
    /// The epoch is lower than that of the snapshot before.
    #[error("epoch {0} is in the past")]
    EpochInPast(u32),
    /// The last hop of a route would be a mix node of this epoch, which delivers to nobody.
    #[error("the gateway is a mix node in this epoch")]
    EgressIsMixNode,
    /// A layer has fewer usable nodes than is safe.
    #[error("layer {0} has too few usable nodes")]
    LayerTooSmall(u8),
    /// Not JSON, or not of the form that was expected.
    #[error("malformed answer")]
    Malformed,
    /// A list continues on pages that were not given.
    #[error("the list continues on other pages")]
    MorePages,
    /// More than half of the identities were not there before.
    #[error("more than half of the network has changed")]
    MostlyNew,
    /// No node has the role of a gateway.
    #[error("there are no gateways")]
    NoGateways,
    /// A node has two roles.
    #[error("a node has two roles")]
    RolesOverlap,
    /// The rotation is not the one that the epoch has by the schedule.
    #[error("rotation {0} does not belong to this epoch")]
    RotationMismatch(u32),
    /// Longer than any answer may be.
    #[error("an answer of {0} bytes is too long")]
    TooLong(usize),
    /// More nodes, pages, addresses or roles than there may be.
    #[error("an answer with too many elements")]
    TooMany,
    /// No node with this identity is known.
    #[error("the gateway is not known")]
    UnknownGateway,
}
