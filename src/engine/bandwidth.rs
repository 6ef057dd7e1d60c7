//! Bandwidth as the gateway counts it: claimed before it runs out, and anew when the gateway's day begins.
//!
//! What a gateway gives for nothing dies at midnight of its clock, whenever it was claimed, and a claim before
//! midnight prolongs nothing. So nothing leaves for a moment around midnight, real or cover, and the claim comes
//! before the first packet of the day.

use alloc::collections::VecDeque;

use rand_core::Rng;

use super::forge;
use super::output::Code;
use super::unfinished::FragmentKey;
use super::{Engine, PacketFormat};
use crate::gateway::client::LoginFailure;
use crate::gateway::server::LOGIN_SKEW_SECS;
use crate::gateway::{self, ClientText};
use crate::limits;
use crate::time::{Duration, Instant};

/// The account of one link.
pub(super) struct Bandwidth {
    /// The gateway refused a packet; nothing leaves until a claim is answered.
    spent: bool,
    /// A claim is under way since.
    claimed: Option<Instant>,
    not_before: Instant,
    /// Nothing is counted at present.
    unmetered: bool,
    /// When the gateway's day ends.
    day_end: Instant,
    /// When to claim after it.
    claim_at: Instant,
    /// The packets that the gateway has not answered yet, in order: it answers each. Cover has no fragment.
    unanswered: VecDeque<Option<FragmentKey>>,
}

impl Bandwidth {
    pub(super) fn new() -> Self {
        Self {
            spent: false,
            claimed: None,
            not_before: Instant::ZERO,
            unmetered: false,
            day_end: Instant::ZERO,
            claim_at: Instant::ZERO,
            unanswered: VecDeque::new(),
        }
    }

    /// Whether packets have to wait: there is no bandwidth, or soon there will be none.
    fn is_held(&self, now: Instant) -> bool {
        self.spent || (!self.unmetered && now + limits::DAY_END_HOLD >= self.day_end)
    }

    /// When a claim is due, or has gone without an answer for too long.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self.claimed {
            Some(since) => Some(since + limits::LINK_ANSWER_TIME),
            None if self.spent => Some(self.not_before),
            None if self.unmetered => None,
            None => Some(self.claim_at),
        }
    }

    /// A packet has left for the gateway.
    pub(super) fn left(&mut self, fragment: Option<FragmentKey>) {
        if self.unanswered.len() >= limits::UNANSWERED_COUNT_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(fragment);
    }
}

impl<P: PacketFormat> Engine<P> {
    /// Whether packets have to wait, real and cover alike.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.link.bandwidth.is_held(now)
    }

    /// A link is up with this much left.
    pub(super) fn begin_bandwidth(&mut self, unmetered: bool, now: Instant) {
        // A day that has just begun by our count may be about to begin by the gateway's.
        let time = self.gateway_time(now);
        let today = Duration::new(time.as_secs() % DAY.as_secs(), time.subsec_nanos());
        let day_end = if today < limits::DAY_END_CLAIM { now.before(today) } else { now + (DAY - today) };
        self.link.bandwidth = Bandwidth { unmetered, ..Bandwidth::new() };
        self.set_day_end(day_end);
    }

    /// Claims are spread over a while, as they come from all clients of a gateway.
    fn set_day_end(&mut self, day_end: Instant) {
        let spread = limits::DAY_END_CLAIM * (self.rng.next_u32() % 1_000) / 1_000;
        self.link.bandwidth.day_end = day_end;
        self.link.bandwidth.claim_at = day_end + limits::DAY_END_CLAIM + spread;
    }

    pub(super) fn bandwidth_timeout(&mut self, now: Instant) {
        let bandwidth = &mut self.link.bandwidth;
        if bandwidth.next_timeout().is_none_or(|at| at > now) {
            return;
        }
        if bandwidth.claimed.is_some() && bandwidth.is_held(now) {
            self.break_link(Code::GatewayTimeout, now);
        } else {
            bandwidth.claimed = None;
            self.claim(now);
        }
    }

    /// The gateway took a packet.
    pub(super) fn packet_taken(&mut self, remaining: i64, unmetered: bool, now: Instant) {
        self.link.bandwidth.unmetered = unmetered;
        self.link.bandwidth.unanswered.pop_front();
        self.bandwidth_seen(remaining, now);
    }

    /// The gateway threw a packet away, since there was no bandwidth for it. It goes again at once: no ack can come.
    pub(super) fn packet_refused(&mut self, now: Instant) {
        let bandwidth = &mut self.link.bandwidth;
        bandwidth.spent = true;
        bandwidth.unmetered = false;
        let refused = bandwidth.unanswered.pop_front().flatten();
        let apart = now.since(bandwidth.day_end).max(bandwidth.day_end.since(now));
        if apart.min(DAY.saturating_sub(apart)) <= CLOCK_TOLERANCE {
            // Its clock is not quite what we believed: its day has ended just now.
            self.set_day_end(now + DAY);
        }
        if let Some(fragment) = refused {
            self.outbound.refused(fragment);
        }
        self.claim_if_allowed(now);
    }

    /// A claim was granted.
    pub(super) fn bandwidth_granted(&mut self, available: i64, unmetered: bool, now: Instant) {
        if !unmetered && available < PACKET_COST {
            self.break_link(Code::BandwidthExhausted, now);
            return;
        }
        let was_held = self.is_held(now);
        let bandwidth = &mut self.link.bandwidth;
        bandwidth.unmetered = unmetered;
        bandwidth.spent = false;
        let day_end = bandwidth.day_end;
        if bandwidth.claimed.take().is_some_and(|at| at >= day_end) {
            let days = now.since(day_end).as_secs() / DAY.as_secs() + 1;
            self.set_day_end(day_end + Duration::from_secs(days * DAY.as_secs()));
        }
        if was_held {
            // Nothing left, so nothing can have come back.
            self.link.heard_now(now);
        }
        self.bandwidth_seen(available, now);
    }

    /// An error that names no request: of a claim, or else of a packet.
    pub(super) fn request_failed(&mut self, message: &str, now: Instant) {
        self.stats.dropped.frame += 1;
        if self.link.bandwidth.claimed.take().is_none() {
            self.link.bandwidth.unanswered.pop_front();
        } else if LoginFailure::from_message(message) == LoginFailure::Credentials {
            self.break_link(Code::BandwidthExhausted, now);
        } else if self.is_held(now) {
            self.break_link(Code::GatewayRefused, now);
        }
    }

    fn bandwidth_seen(&mut self, remaining: i64, now: Instant) {
        if remaining < gateway::BANDWIDTH_REFILL && !self.link.bandwidth.unmetered {
            self.claim_if_allowed(now);
        }
    }

    /// One claim at a time, and not more than one in a while: the gateway's numbers are not to make us hammer it.
    fn claim_if_allowed(&mut self, now: Instant) {
        if self.link.bandwidth.claimed.is_none() && self.link.bandwidth.not_before <= now {
            self.claim(now);
        }
    }

    fn claim(&mut self, now: Instant) {
        self.link.bandwidth.claimed = Some(now);
        self.link.bandwidth.not_before = now + limits::BANDWIDTH_CLAIM_GAP;
        if let Some(id) = self.link.id() {
            self.say(id, &ClientText::ClaimFreeTestnetBandwidth);
        }
    }
}

/// What the gateway counts for each of our packets.
pub(super) const PACKET_COST: i64 = forge::SIZE.packet_len() as i64;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How far a gateway's clock can be from ours without a word at login.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(LOGIN_SKEW_SECS);
