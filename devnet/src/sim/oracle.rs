//! What must be so in every run, checked at every step.
//!
//! Every message reaches the application at most once, unchanged, and none is invented; each accepted message has
//! exactly one end; all packet frames of clients have one size; no table of an engine is above its limit. A hash over
//! everything that happened makes two runs comparable.

use std::collections::BTreeMap;

use mixlet::engine::Event;
use mixlet::time::{Duration, Instant};

/// The model of what was asked for, and what came of it.
#[derive(Default)]
pub(super) struct Oracle {
    /// By the hash of its body: who sent what, and what arrived of it.
    bodies: BTreeMap<u128, Body>,
    /// Messages by client and id.
    messages: BTreeMap<(usize, u64), Message>,
    frame_len: Option<usize>,
    trace: Trace,
    tally: Tally,
    /// Counts what is seen twice instead of ending the run.
    pub(super) tolerant: bool,
    /// The lengths of messages, and how long they were on their way, from the call to the application.
    latencies: Vec<(usize, Duration)>,
}

struct Body {
    sent: u32,
    received: u32,
    first_sent: Instant,
}

struct Message {
    body: u128,
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nobody is left who could be told.
    Abandoned,
    Cancelled,
    Delivered,
    Undelivered,
}

/// Numbers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that engines accepted.
    pub accepted: u64,
    /// Messages that applications saw.
    pub received: u64,
    /// Messages whose sender was told `delivered`.
    pub delivered: u64,
    /// Messages whose sender was told `undelivered`.
    pub undelivered: u64,
    /// Messages that never arrived although nobody was told `undelivered`.
    pub lost: u64,
    /// Messages that applications saw once more. Only a trial counts them; any other run ends with the first.
    pub twice: u64,
}

impl Oracle {
    pub(super) fn sent(&mut self, client: usize, id: u64, body: &[u8], now: Instant) {
        let key = hash(body);
        let known = self.bodies.entry(key).or_insert(Body { sent: 0, received: 0, first_sent: now });
        known.sent += 1;
        let earlier = self.messages.insert((client, id), Message { body: key, end: None });
        assert!(earlier.is_none_or(|earlier| earlier.end.is_some()), "an id that is in use was accepted again");
        self.tally.accepted += 1;
    }

    /// A message that ended with its client is under way again, and is to be seen no more often than if it had not.
    pub(super) fn resumed(&mut self, client: usize, id: u64) {
        let message = self.messages.get_mut(&(client, id)).expect("a message that was accepted");
        assert!(message.end == Some(End::Abandoned), "a message that is under way was resumed");
        message.end = None;
    }

    pub(super) fn cancelled(&mut self, client: usize, id: u64) {
        if let Some(message) = self.messages.get_mut(&(client, id)).filter(|message| message.end.is_none()) {
            message.end = Some(End::Cancelled);
        }
    }

    /// A client is gone with everything it had not written down: nobody is told of what it had accepted.
    pub(super) fn stopped(&mut self, client: usize) {
        for message in self.messages.range_mut((client, 0)..=(client, u64::MAX)).map(|(_, message)| message) {
            message.end.get_or_insert(End::Abandoned);
        }
    }

    /// Nor what it saw, and may see that again.
    pub(super) fn may_see_again(&mut self) {
        self.bodies.values_mut().for_each(|body| body.received = 0);
    }

    pub(super) fn event(&mut self, client: usize, event: &Event, now: Instant) {
        match event {
            Event::Received { body, .. } => self.seen(client, body, now),
            Event::Delivered { id, .. } => self.end(client, id.0, End::Delivered),
            Event::Undelivered { id, .. } => self.end(client, id.0, End::Undelivered),
            _ => {}
        }
        let (kind, number) = match event {
            Event::Received { .. } => return,
            Event::Delivered { id, .. } => (2, id.0),
            Event::Undelivered { id, .. } => (3, id.0),
            Event::Sent { id } => (4, id.0),
            Event::State { state, .. } => (5, *state as u64),
            _ => (6, 0),
        };
        self.trace.add(&[now.as_micros(), client as u64, kind, number]);
    }

    /// An application has seen a message.
    pub(super) fn seen(&mut self, client: usize, body: &[u8], now: Instant) {
        let known = self.bodies.get_mut(&hash(body)).expect("a message that nobody sent");
        known.received += 1;
        if known.received > known.sent {
            assert!(self.tolerant, "a message of {} bytes was seen twice", body.len());
            self.tally.twice += 1;
        }
        self.tally.received += 1;
        self.latencies.push((body.len(), now.since(known.first_sent)));
        self.trace.add(&[now.as_micros(), client as u64, 1, body.len() as u64]);
    }

    fn end(&mut self, client: usize, id: u64, end: End) {
        let message = self.messages.get_mut(&(client, id)).expect("the end of a message that was never accepted");
        assert!(message.end.is_none(), "message {id} of client {client} has ended twice");
        message.end = Some(end);
        match end {
            End::Delivered => self.tally.delivered += 1,
            _ => self.tally.undelivered += 1,
        }
    }

    /// A packet frame has left a client.
    pub(super) fn frame(&mut self, client: usize, len: usize, now: Instant) {
        let known = *self.frame_len.get_or_insert(len);
        assert_eq!(len, known, "all packet frames have one size");
        self.trace.add(&[now.as_micros(), client as u64, 0, len as u64]);
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.0
    }

    /// Messages that have no end yet.
    pub(super) fn open(&self) -> usize {
        self.messages.values().filter(|message| message.end.is_none()).count()
    }

    pub(super) fn tally(&self) -> Tally {
        let mut told_undelivered: BTreeMap<u128, u32> = BTreeMap::new();
        for message in self.messages.values() {
            if !matches!(message.end, Some(End::Delivered) | None) {
                *told_undelivered.entry(message.body).or_default() += 1;
            }
        }
        let lost = |(key, body): (&u128, &Body)| {
            let told = told_undelivered.get(key).copied().unwrap_or(0);
            u64::from(body.sent.saturating_sub(body.received).saturating_sub(told))
        };
        Tally { lost: self.bodies.iter().map(lost).sum(), ..self.tally }
    }

    pub(super) fn latencies(&self) -> &[(usize, Duration)] {
        &self.latencies
    }
}

/// A hash over everything that happened, FNV-1a over numbers.
struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    fn add(&mut self, numbers: &[u64]) {
        for byte in numbers.iter().flat_map(|number| number.to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn hash(body: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(body).as_bytes()[..16]);
    u128::from_le_bytes(first)
}
