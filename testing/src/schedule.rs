//! What is on its way, in the order of arrival and then of leaving.

use mixlet::sphinx::NodeFrame;
use mixlet::time::Instant;
use mixlet_devnet::record::NodeName;
use mixlet_devnet::timeline::Timeline;

use crate::links::{Frame, LinkNumber, News};

/// How much is on its way at a time. Packets beyond it are dropped, and a link with more to say is closed.
pub const ON_THE_WAY_COUNT_MAX: usize = 200_000;

/// Something that arrives.
pub(crate) enum Arrival {
    /// A client begins to open a link.
    Opening(LinkNumber),
    /// A client's frame at its gateway.
    Frame(LinkNumber, Frame),
    /// A client has closed its link.
    Closing(LinkNumber),
    /// Something for a client.
    News(LinkNumber, News),
    /// A packet at a node.
    Packet(NodeName, NodeFrame),
}

/// All of it.
#[derive(Default)]
pub(crate) struct Schedule(Timeline<Arrival>);

impl Schedule {
    /// Whether there is room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < ON_THE_WAY_COUNT_MAX
    }

    pub(crate) fn push(&mut self, at: Instant, what: Arrival) {
        self.0.push(at, what);
    }

    /// When the next thing arrives.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.0.next_at()
    }

    /// The next thing that arrives.
    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        self.0.pop().map(|(_, what)| what)
    }
}
