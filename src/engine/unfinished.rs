//! One message on its way out.

use alloc::vec::Vec;

use super::output::{MessageId, Priority, SendOptions};
use crate::message::{Address, Fragments, ReplySurb, SenderTag};
use crate::time::Instant;

/// Our own number of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageKey(pub(super) u64);

/// One fragment of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentKey {
    pub(super) message: MessageKey,
    pub(super) index: usize,
}

/// Whom a message is for.
#[derive(Clone)]
pub(super) enum Target {
    Address(Address),
    Tag(SenderTag),
}

/// What a message says, apart from its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many SURBs, which a peer asked for that knows us by this tag.
    AdditionalSurbs(u32, SenderTag),
    /// The user's bytes, without a way to answer.
    Plain,
    /// The user's bytes over SURBs.
    Reply,
    /// The user's bytes with a sender tag and SURBs.
    Repliable,
    /// Asking for SURBs, over one of the last.
    SurbRequest(u32),
}

/// Where a message stands before and after it is cut into fragments.
pub(super) enum Stage {
    /// Waiting for its turn and its SURBs.
    Body { body: Vec<u8>, wanted: usize, surbs: Vec<ReplySurb>, wants: Wants },
    /// Cut.
    Split(Fragments),
}

impl Stage {
    /// Not cut, without body and SURBs.
    pub(super) fn empty() -> Self {
        Self::Body { body: Vec::new(), wanted: 0, surbs: Vec::new(), wants: Wants::Exactly }
    }

    /// What it counts for in the send queue's budget.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Body { body, wanted, .. } => body.len() + wanted * SURB_COST,
            Self::Split(fragments) => fragments.message().len(),
        }
    }
}

/// How many SURBs a message is to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// As many as were asked for.
    Exactly,
    /// As many as were promised to its recipient, whose estimate they are part of.
    Promised,
    /// As many as its recipient will need when it has its turn.
    Refill,
}

/// Why a message is not offered slots at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    /// No route with the topology of this generation.
    NoRoute(u64),
    /// No SURB of its peer is free.
    NoSurbs,
    /// Whoever asked for its plan does not have it yet.
    Unkept,
}

/// One message.
pub(super) struct Message {
    pub(super) id: Option<MessageId>,
    pub(super) to: Target,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) reliable: bool,
    /// Its plan is told before any of it leaves.
    pub(super) planned: bool,
    /// Some of it may have left by an earlier client, so that acks of what has not left count too.
    pub(super) resumed: bool,
    /// Somebody follows how far it comes.
    pub(super) watched: bool,
    pub(super) parked: Option<Parked>,
    /// How many newer topologies had no route either.
    pub(super) routeless: u32,
    /// The number after the last of the SURBs it carries, as its conversation counts them.
    pub(super) surbs_until: u64,
    pub(super) class: usize,
    /// It counts among the long messages that are under way: it has begun, is not parked, and not all of it was taken.
    pub(super) under_way: bool,
    /// It is in one of the queues of its class.
    pub(super) queued: bool,
    /// Fragments that go again when it is not parked any more.
    pub(super) shelved: Vec<usize>,
    pub(super) deadline: Option<Deadline>,
    /// What it counts for in the send queue's budget.
    pub(super) len: usize,
    /// About how many fragments it will have.
    pub(super) estimate: usize,
    pub(super) fragments: Vec<FragmentState>,
    /// The first fragment that was never taken.
    pub(super) cursor: usize,
    pub(super) sent: usize,
    pub(super) acked: usize,
    pub(super) retransmissions: u32,
    pub(super) last_left: Instant,
}

/// A message to be accepted.
pub(super) struct NewMessage {
    pub(super) id: Option<MessageId>,
    pub(super) to: Target,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) reliable: bool,
    pub(super) planned: bool,
    /// `None`: one of our own.
    pub(super) priority: Option<Priority>,
    pub(super) deadline: Option<Deadline>,
}

impl NewMessage {
    /// One of the user's.
    pub(super) fn users(
        id: MessageId,
        to: Target,
        kind: Kind,
        stage: Stage,
        options: &SendOptions,
        deadline: Option<Deadline>,
    ) -> Self {
        let SendOptions { reliable, planned, priority, .. } = *options;
        Self { id: Some(id), to, kind, stage, reliable, planned, priority: Some(priority), deadline }
    }

    /// One of our own, that no user asked for.
    pub(super) fn control(to: Target, kind: Kind, stage: Stage, deadline: Option<Deadline>) -> Self {
        Self { id: None, to, kind, stage, reliable: true, planned: false, priority: None, deadline }
    }
}

/// Until when a message is tried, in time with the link up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    /// Reckoned from the pace, so it moves with it; else the user has named it.
    pub(super) by_pace: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct FragmentState {
    /// It has left at least once.
    pub(super) left: bool,
    /// How often it has left since the message began, or began anew after a long pause.
    pub(super) attempts: u8,
    pub(super) acked: bool,
    pub(super) waiting: bool,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) sent: u32,
    pub(super) acked: u32,
    pub(super) total: u32,
    pub(super) retransmissions: u32,
    pub(super) all_sent: bool,
}

impl Message {
    pub(super) fn progress(&self) -> Progress {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Progress {
            sent: count(self.sent),
            acked: count(self.acked),
            total: count(self.fragments.len()),
            retransmissions: self.retransmissions,
            all_sent: !self.fragments.is_empty() && self.sent == self.fragments.len(),
        }
    }

    /// The peer whose SURBs it takes, unless it is a request for such.
    pub(super) fn reply_to(&self) -> Option<SenderTag> {
        match &self.to {
            Target::Tag(tag) if self.kind == Kind::Reply => Some(*tag),
            _ => None,
        }
    }

    /// It does not count among the long messages under way any more.
    pub(super) fn leave_way(&mut self, under_way: &mut [usize]) {
        if core::mem::take(&mut self.under_way)
            && let Some(len) = under_way.get_mut(self.class)
        {
            *len -= self.len;
        }
    }

    /// Fragments that were never sent or go again.
    pub(super) fn waiting(&self) -> usize {
        self.unsent() + self.fragments.iter().filter(|state| state.waiting).count()
    }

    /// Fragments that were never taken; estimated while the message is not cut.
    pub(super) fn unsent(&self) -> usize {
        match &self.stage {
            Stage::Body { .. } => self.estimate,
            Stage::Split(_) => self.fragments.iter().skip(self.cursor).filter(|state| !state.acked).count(),
        }
    }

    /// Passes over what an earlier client's packets have brought there.
    pub(super) fn skip_acked(&mut self) {
        while self.fragments.get(self.cursor).is_some_and(|state| state.acked) {
            self.cursor += 1;
        }
    }
}

/// A SURB with its key on the wire, for four hops.
pub(super) const SURB_COST: usize = 460;
/// The user's bytes in one unlinked fragment of a regular packet.
pub(super) const FRAGMENT_COST: usize = 1_604;
