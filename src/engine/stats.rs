//! Counters: plain integers, bounded memory.

use alloc::collections::VecDeque;

use crate::time::Duration;

/// What an engine has counted since it was made.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Packets that left, by what they carried.
    pub sent: Sent,
    /// Pushes that came in, by what they were.
    pub received: ReceivedCount,
    /// Bytes of all frames that came in.
    pub bytes_in: u64,
    /// Bytes of all frames that left.
    pub bytes_out: u64,
    /// Bytes of the messages that are not finished yet.
    pub queued_bytes: u64,
    /// Fragments sent and not yet acknowledged.
    pub in_flight: u64,
    /// Messages given up.
    pub undelivered: u64,
    /// What was dropped, by reason.
    pub dropped: Dropped,
    /// Median and 95th percentile of the last round trips from leaving to ack.
    pub round_trip: Option<(Duration, Duration)>,
    /// Links lost and opened again.
    pub reconnects: u64,
    /// SURBs held for answering others.
    pub surbs_held: u64,
    /// Age of the topology in use.
    pub topology_age: Option<Duration>,
    /// Bytes of half-received messages.
    pub unfinished_bytes: u64,
}

/// Packets that left, by what they carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Fragments addressed to a client, for the first time.
    pub real: u64,
    /// Fragments over a SURB, for the first time.
    pub reply: u64,
    /// Fragments again.
    pub retransmission: u64,
    /// Loop cover.
    pub cover: u64,
}

/// Pushes that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedCount {
    /// Fragments of messages.
    pub message: u64,
    /// Acks, also those of cover.
    pub ack: u64,
    /// Loop cover come home.
    pub cover: u64,
    /// Anything else.
    pub unknown: u64,
}

/// Bytes from the network that led to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Frames that were malformed or not authentic.
    pub frame: u64,
    /// Acks of nothing we wait for: late, repeated or forged.
    pub ack: u64,
    /// Fragments of messages already finished.
    pub repeat: u64,
    /// Fragments that contradict their set, or do not parse.
    pub fragment: u64,
    /// Messages whose content does not parse.
    pub content: u64,
    /// Unfinished messages that got too old or too many.
    pub expired: u64,
    /// Answers of the directory that were refused.
    pub topology: u64,
    /// Requests for SURBs that were not granted.
    pub surb_request: u64,
    /// SURBs dropped for lack of room or because their rotation is over.
    pub surb: u64,
    /// Slots that passed while the link took nothing, or the machine slept.
    pub slot: u64,
    /// Packets that were not told of, as there were too many.
    pub trace: u64,
    /// Pages of an earlier run that could not be used, and what found no room in those of this one.
    pub page: u64,
}

impl Dropped {
    /// Names and numbers, in the order of the names.
    pub const fn entries(&self) -> [(&'static str, u64); 12] {
        [
            ("ack", self.ack),
            ("content", self.content),
            ("expired", self.expired),
            ("fragment", self.fragment),
            ("frame", self.frame),
            ("page", self.page),
            ("repeat", self.repeat),
            ("slot", self.slot),
            ("surb", self.surb),
            ("surbRequest", self.surb_request),
            ("topology", self.topology),
            ("trace", self.trace),
        ]
    }
}

/// The last round trips.
#[derive(Default)]
pub(super) struct RoundTrips(VecDeque<Duration>);

impl RoundTrips {
    pub(super) fn push(&mut self, round_trip: Duration) {
        if self.0.len() == WINDOW_COUNT {
            self.0.pop_front();
        }
        self.0.push_back(round_trip);
    }

    /// Median and 95th percentile.
    pub(super) fn percentiles(&self) -> Option<(Duration, Duration)> {
        let mut sorted: alloc::vec::Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        Some((*sorted.get(last / 2)?, *sorted.get(last * 95 / 100)?))
    }
}

/// Round trips kept for the percentiles.
const WINDOW_COUNT: usize = 256;
