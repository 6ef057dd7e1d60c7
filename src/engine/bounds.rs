//! How full each table is, and the name in [`crate::limits`] that holds it.

use super::unfinished::SURB_COST;
use super::{Engine, PacketFormat};
use crate::limits;

/// A table or queue of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What is in it.
    pub name: &'static str,
    /// How much is in it now: entries, or bytes where the name says so.
    pub len: usize,
    /// The most there can be.
    pub limit: usize,
}

impl<P: PacketFormat> Engine<P> {
    /// All tables and queues that strangers or the user can fill, with their limits. Cheap enough to be called after
    /// every step of a simulation.
    ///
    /// What is not listed is emptied by the driver after each call: frames of control, requests and events.
    pub fn bounds(&self) -> [Bound; 20] {
        let bound = |name, len, limit| Bound { name, len, limit };
        let answers = limits::SURBS_ANSWERING_MAX as usize;
        let [finished, given, seen, held, unfinished] = self.page_lens();
        [
            bound("messages", self.outbound.count(), limits::SEND_QUEUE_COUNT_MAX + limits::CONTROL_COUNT_MAX),
            bound("message bytes", self.outbound.bytes(), limits::SEND_QUEUE_LEN_MAX + answers * SURB_COST),
            bound("in flight", self.outbound.in_flight(), limits::IN_FLIGHT_COUNT_MAX),
            bound("outgoing frames", self.outgoing.len(), limits::OUTGOING_COUNT_MAX),
            bound("packets to tell of", self.reports.packet_count(), limits::TRACE_BATCH_COUNT_MAX),
            bound("SURBs made ahead", self.ready_surbs.len(), limits::SURBS_READY_COUNT),
            bound("peers", self.replies.peer_count(), limits::PEERS_COUNT_MAX),
            bound("peers with news", self.replies.news_count(), limits::SURB_NEWS_COUNT_MAX),
            bound("SURBs held", self.replies.held(), limits::SURBS_HELD_MAX),
            bound("conversations", self.conversations.count(), limits::CONVERSATIONS_COUNT_MAX),
            bound("reply keys", self.conversations.key_count(), limits::REPLY_KEYS_COUNT_MAX),
            bound("SURBs on their way to askers", self.conversations.answering() as usize, answers),
            bound("unfinished bytes", self.reassembler.bytes(), limits::REASSEMBLY_BYTES_MAX),
            bound(
                "unfinished bytes of unknown senders",
                self.reassembler.unknown_bytes(),
                limits::REASSEMBLY_UNKNOWN_BYTES_MAX,
            ),
            bound("finished bytes", self.reassembler.finished_bytes(), 2 * limits::FINISHED_SETS_BYTES_MAX),
            bound("stored bytes of finished sets", finished, limits::PAGES_FINISHED_LEN_MAX),
            bound("stored bytes of reply keys", given, limits::PAGES_GIVEN_LEN_MAX),
            bound("stored bytes of ids seen", seen, limits::PAGES_SEEN_LEN_MAX),
            bound("stored bytes of SURBs", held, limits::PAGES_HELD_LEN_MAX),
            bound("stored bytes of fragments", unfinished, limits::PAGES_UNFINISHED_LEN_MAX),
        ]
    }
}
