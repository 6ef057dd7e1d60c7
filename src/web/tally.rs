//! Sums over all visits of a profile, for users who want them kept.
//!
//! They are one small record of the store. A crash loses what was counted since it was written last. One that cannot be read
//! is worth no error: the sums begin anew.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::store::StorageError;
use crate::engine::{self, Stats};
use crate::exchange::{Client, Event};
use crate::limits;
use crate::time::Instant;

/// When the first visit began, seconds since 1970, and then what is counted; `docs/PROTOCOL.md` has the order.
pub type Sums = [u64; SUMS_COUNT];

/// The sums of earlier visits, and what in this one nobody else counts.
pub struct Tally {
    before: Sums,
    delivered: u64,
    received: u64,
    /// When it is written next.
    next: Instant,
    is_damaged: bool,
}

impl Tally {
    /// Begins a visit with what the last one has left.
    pub fn begin(record: Result<Option<Zeroizing<Vec<u8>>>, StorageError>, unix: u64) -> Self {
        let read = record.map(|record| record.map(|bytes| parse(&bytes)));
        let is_damaged = !matches!(read, Ok(None | Some(Some(_))));
        let mut fresh = [0; SUMS_COUNT];
        fresh[0] = unix;
        let before = read.ok().flatten().flatten().unwrap_or(fresh);
        Self { before, delivered: 0, received: 0, next: Instant::from_micros(0), is_damaged }
    }

    /// Counts messages that have arrived somewhere.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Engine(engine::Event::Delivered { .. }) => self.delivered += 1,
            Event::Engine(engine::Event::Received { .. }) | Event::Message { .. } => self.received += 1,
            _ => {}
        }
    }

    /// A message of a durable inbox, which is told of again and again, is done.
    pub fn count_done(&mut self) {
        self.received += 1;
    }

    /// All visits together, this one included.
    pub fn sums(&self, stats: &Stats) -> Sums {
        let Stats { sent, received, bytes_in, bytes_out, undelivered, reconnects, .. } = stats;
        let mut sums = [
            0,
            1,
            sent.real,
            sent.reply,
            sent.retransmission,
            sent.cover,
            received.message,
            received.ack,
            received.cover,
            received.unknown,
            *bytes_in,
            *bytes_out,
            self.delivered,
            self.received,
            *undelivered,
            *reconnects,
        ];
        for (sum, before) in sums.iter_mut().zip(self.before) {
            *sum = sum.saturating_add(before);
        }
        sums
    }

    /// The record, where it is time to write it: now and then, and at the end.
    pub fn due(&mut self, client: &Client, is_last: bool, now: Instant) -> Option<Zeroizing<Vec<u8>>> {
        if !is_last && now < self.next {
            return None;
        }
        self.next = now + limits::TALLY_INTERVAL;
        Some(Zeroizing::new(write(&self.sums(&client.engine().stats(now)))))
    }

    /// How many records could not be read.
    pub fn damaged(&self) -> u64 {
        self.is_damaged.into()
    }
}

/// The record of these sums.
pub fn write(sums: &Sums) -> Vec<u8> {
    core::iter::once(VERSION).chain(sums.iter().flat_map(|sum| sum.to_be_bytes())).collect()
}

/// What [`write()`] has written.
pub fn parse(record: &[u8]) -> Option<Sums> {
    let (sums, rest) = record.strip_prefix(&[VERSION])?.as_chunks();
    let sums: Vec<_> = sums.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
    if rest.is_empty() { sums.try_into().ok() } else { None }
}

const VERSION: u8 = 1;
const SUMS_COUNT: usize = 16;
