//! What is told now and then instead of each time: how far messages have come, what is held of peers' SURBs, and which
//! packets crossed the link.
//!
//! A message of 32 MiB has twenty thousand fragments, so its progress is gathered and told at most every
//! [`limits::REPORT_GAP`], and only where somebody asked for it.

use alloc::vec::Vec;

use super::output::{Event, Listening, MessageId, Packet, PacketKind};
use super::stats::{ReceivedCount, Sent};
use super::unfinished::{MessageKey, Progress};
use super::{Engine, PacketFormat};
use crate::limits;
use crate::message::SenderTag;
use crate::table::TableSet;
use crate::time::Instant;

/// What is to be told at the next report.
#[derive(Default)]
pub(super) struct Reports {
    listening: Listening,
    /// Messages that have come further.
    messages: TableSet<MessageKey>,
    packets: Vec<Packet>,
    due: Option<Instant>,
}

impl Reports {
    pub(super) fn packet_count(&self) -> usize {
        self.packets.len()
    }

    fn message(&mut self, key: MessageKey, now: Instant) {
        self.messages.insert(key);
        self.due.get_or_insert(now + limits::REPORT_GAP);
    }
}

impl<P: PacketFormat> Engine<P> {
    /// From now on it is told how far this message comes, or not any more. An unknown message is fine.
    pub fn watch(&mut self, id: MessageId, watched: bool, now: Instant) {
        let now = self.advance(now);
        let Some(key) = self.outbound.key_of(id) else { return };
        let Some(message) = self.outbound.message_mut(key) else { return };
        message.watched = watched;
        if watched && message.progress().total > 0 {
            self.reports.message(key, now);
        }
    }

    /// From now on this is told, and nothing else of what is told only when somebody listens.
    pub fn listen(&mut self, listening: Listening) {
        self.reports.listening = listening;
        self.replies.tell_all(listening.surbs);
    }

    /// Whether a reply to this peer would be accepted: SURBs are held, or on their way.
    pub fn can_answer(&self, tag: &SenderTag) -> bool {
        self.replies.can_answer(tag)
    }

    /// A fragment has left, again if not `first`, or was acknowledged.
    pub(super) fn note_progress(&mut self, key: MessageKey, goes_again: bool, now: Instant) {
        let Some(message) = self.outbound.message(key).filter(|message| message.id.is_some()) else { return };
        if message.watched || (goes_again && self.reports.listening.retransmissions) {
            self.reports.message(key, now);
        }
    }

    /// A packet has left; `before` is what was counted before it.
    pub(super) fn trace_sent(&mut self, before: Sent, size: usize, now: Instant) {
        let sent = self.stats.sent;
        let kind = match before {
            Sent { real, .. } if real != sent.real => PacketKind::Real,
            Sent { reply, .. } if reply != sent.reply => PacketKind::Reply,
            Sent { retransmission, .. } if retransmission != sent.retransmission => PacketKind::Retransmission,
            _ => PacketKind::Cover,
        };
        self.trace(kind, true, size, now);
    }

    /// A packet has come in; `before` is what was counted before it.
    pub(super) fn trace_received(&mut self, before: ReceivedCount, size: usize, now: Instant) {
        let received = self.stats.received;
        let kind = match before {
            ReceivedCount { message, .. } if message != received.message => PacketKind::Message,
            ReceivedCount { ack, .. } if ack != received.ack => PacketKind::Ack,
            ReceivedCount { cover, .. } if cover != received.cover => PacketKind::Cover,
            _ => PacketKind::Unknown,
        };
        self.trace(kind, false, size, now);
    }

    fn trace(&mut self, kind: PacketKind, outgoing: bool, size: usize, now: Instant) {
        if !self.config.trace {
            return;
        }
        if self.reports.packets.len() >= limits::TRACE_BATCH_COUNT_MAX {
            self.stats.dropped.trace += 1;
            return;
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.reports.packets.push(Packet { kind, outgoing, size, at: now });
        self.reports.due.get_or_insert(now + limits::REPORT_GAP);
    }

    /// A message has ended: who follows it is told the last of it before its end.
    pub(super) fn last_progress(&mut self, key: MessageKey, id: MessageId, watched: bool, progress: Progress) {
        if (self.reports.messages.remove(&key) || watched) && progress.total > 0 {
            self.events.push_back(fragments(id, progress));
        }
    }

    /// When there is something to tell.
    pub(super) fn next_report(&self) -> Option<Instant> {
        [self.reports.due, self.replies.news_since().map(|since| since + limits::REPORT_GAP)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Tells what has gathered, if it is time.
    pub(super) fn report(&mut self, now: Instant) {
        if self.reports.due.take_if(|due| *due <= now).is_some() {
            while let Some(key) = self.reports.messages.pop_first() {
                if let Some(message) = self.outbound.message(key)
                    && let Some(id) = message.id
                {
                    self.events.push_back(fragments(id, message.progress()));
                }
            }
        }
        if !self.reports.packets.is_empty() && self.reports.due.is_none() {
            self.events.push_back(Event::Packets { packets: core::mem::take(&mut self.reports.packets) });
        }
        let is_due = |since: Instant| since + limits::REPORT_GAP <= now;
        if self.replies.news_since().is_some_and(is_due) || self.replies.has_much_news() {
            while let Some((tag, held, can_answer)) = self.replies.take_news() {
                self.events.push_back(Event::Surbs { tag, held, can_answer });
            }
        }
    }
}

fn fragments(id: MessageId, progress: Progress) -> Event {
    let Progress { sent, acked, total, retransmissions, .. } = progress;
    Event::Fragments { id, sent, acked, total, retransmissions }
}
