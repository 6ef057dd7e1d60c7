//! One stream: what goes, what comes, and the credit for both. Positions are bytes since its beginning.
//!
//! Messages have no order and can be lost by a gateway that has acknowledged them, so pieces carry their position, and are
//! kept until the peer's client says that it has them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::engine::MessageId;
use crate::limits;
use crate::table::Table;
use crate::time::{Duration, Instant};

/// A piece that the peer is not known to have.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) last: bool,
    /// The message it is in, until that is acknowledged.
    pub(super) message: Option<MessageId>,
    /// When it goes again unless the peer tells of it.
    pub(super) due: Option<Instant>,
    pub(super) wait: Duration,
}

/// The sending half.
#[derive(Default)]
pub(super) struct Sender {
    /// Accepted and not cut yet.
    waiting: VecDeque<Vec<u8>>,
    waiting_len: usize,
    /// The position of the next piece.
    next: u64,
    /// Up to where the peer takes something.
    limit: u64,
    pub(super) pieces: Table<u64, Piece>,
    /// Nothing more is written.
    ending: bool,
    /// The last piece is cut.
    ended: bool,
}

impl Sender {
    pub(super) fn allow(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(super) fn write(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() && !self.ending {
            self.waiting_len += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    pub(super) fn end(&mut self) {
        self.ending = true;
    }

    /// Accepted bytes that are not cut into pieces.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting_len
    }

    /// Something waits and nothing is under way: only the peer's word can help.
    pub(super) fn is_blocked(&self) -> bool {
        self.waiting_len > 0 && self.pieces.is_empty()
    }

    /// The position of the next piece.
    pub(super) fn position(&self) -> u64 {
        self.next
    }

    /// The peer has everything there was and ever will be.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.pieces.is_empty()
    }

    /// Cuts the next piece, as far as the peer has room. Small ones wait as long as others are under way, so that many
    /// short writes do not become many packets.
    pub(super) fn cut(&mut self) -> Option<u64> {
        let room = usize::try_from(self.limit.saturating_sub(self.next)).unwrap_or(usize::MAX);
        let len = self.waiting_len.min(limits::STREAM_PIECE_LEN).min(room);
        let last = self.ending && len == self.waiting_len;
        if self.ended || (len == 0 && !last) {
            return None;
        }
        if len < limits::STREAM_PIECE_LEN && !last && self.pieces.values().any(|piece| piece.message.is_some()) {
            return None;
        }
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len
            && let Some(mut front) = self.waiting.pop_front()
        {
            let rest = len - bytes.len();
            if front.len() > rest {
                let tail = front.split_off(rest);
                self.waiting.push_front(tail);
            }
            bytes.append(&mut front);
        }
        self.waiting_len -= bytes.len();
        let at = self.next;
        self.next += bytes.len() as u64;
        self.ended = last;
        self.pieces.insert(at, Piece { bytes, last, message: None, due: None, wait: Duration::ZERO });
        Some(at)
    }

    /// The peer has everything below `received` and what is in these ranges. Answers the messages that need not be
    /// waited for.
    pub(super) fn credit(&mut self, received: u64, ranges: &[(u64, u64)]) -> Vec<MessageId> {
        // An empty last piece lies at its own end: it is told apart by one position more.
        let has = |at: u64, piece: &Piece| {
            let end = at + piece.bytes.len() as u64 + u64::from(piece.last);
            end <= received || ranges.iter().any(|(from, to)| *from <= at && end <= *to)
        };
        let had: Vec<u64> = self.pieces.iter().filter(|(at, piece)| has(**at, piece)).map(|(at, _)| *at).collect();
        had.iter().filter_map(|at| self.pieces.remove(at)?.message).collect()
    }
}

/// The receiving half.
pub(super) struct Receiver {
    /// Everything below was handed out.
    next: u64,
    /// How much the application has taken of it.
    read: u64,
    window: u64,
    /// What came too early.
    early: Table<u64, (Vec<u8>, bool)>,
    early_len: u64,
    ended: bool,
    /// The limit the peer was told last.
    told: u64,
}

/// What became of a piece.
pub(super) enum Taken {
    /// To be handed out; `true`: nothing comes after it.
    Pieces(Vec<Vec<u8>>, bool),
    /// It was there already.
    Repeat,
    /// The peer sends more than it may, or contradicts itself.
    Refused,
}

impl Receiver {
    pub(super) fn new(window: u32) -> Self {
        let window = u64::from(window);
        Self { next: 0, read: 0, window, early: Table::new(), early_len: 0, ended: false, told: window }
    }

    pub(super) fn window(&self) -> u64 {
        self.window
    }

    pub(super) fn is_done(&self) -> bool {
        self.ended
    }

    pub(super) fn take(&mut self, at: u64, bytes: &[u8], last: bool) -> Taken {
        let Some(end) = at.checked_add(bytes.len() as u64).filter(|end| *end <= self.told) else {
            return Taken::Refused;
        };
        if end < self.next || (end == self.next && (!last || self.ended)) || self.early.contains_key(&at) {
            return Taken::Repeat;
        }
        // Pieces are sent again as they were cut.
        if at < self.next || (bytes.is_empty() && !last) || self.ended {
            return Taken::Refused;
        }
        if self.early.len() >= limits::STREAM_EARLY_COUNT_MAX || self.early_len + bytes.len() as u64 > self.window {
            return Taken::Refused;
        }
        self.early_len += bytes.len() as u64;
        self.early.insert(at, (bytes.to_vec(), last));
        let mut pieces = Vec::new();
        while let Some((bytes, last)) = self.early.remove(&self.next) {
            self.early_len -= bytes.len() as u64;
            self.next += bytes.len() as u64;
            self.ended |= last;
            if !bytes.is_empty() {
                pieces.push(bytes);
            }
            if last {
                break;
            }
        }
        Taken::Pieces(pieces, self.ended)
    }

    /// The application has taken so many bytes. Whether the peer should be told.
    pub(super) fn read(&mut self, len: u64) -> bool {
        self.read = (self.read + len).min(self.next);
        self.read + self.window - self.told >= self.window / 2 && !self.ended
    }

    /// What the peer is to be told: up to where all is here, how far it may send, and what else is here.
    pub(super) fn credit(&mut self) -> Vec<u8> {
        self.told = self.told.max(self.read + self.window);
        // The end counts as one position more.
        let received = self.next + u64::from(self.ended);
        let mut body = Vec::from(received.to_be_bytes());
        body.extend_from_slice(&self.told.to_be_bytes());
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (at, (bytes, last)) in self.early.iter() {
            let end = at + bytes.len() as u64 + u64::from(*last);
            match ranges.last_mut() {
                Some(range) if range.1 == *at => range.1 = end,
                _ => ranges.push((*at, end)),
            }
        }
        for (from, to) in ranges.into_iter().take(limits::STREAM_RANGES_COUNT_MAX) {
            body.extend_from_slice(&from.to_be_bytes());
            body.extend_from_slice(&to.to_be_bytes());
        }
        body
    }
}

/// What a peer tells of what came.
pub(super) struct Credit {
    /// All below is there.
    pub(super) received: u64,
    /// Up to here it takes something.
    pub(super) limit: u64,
    /// This is there too.
    pub(super) ranges: Vec<(u64, u64)>,
}

/// Reads what [`Receiver::credit`] wrote.
pub(super) fn read_credit(body: &[u8]) -> Option<Credit> {
    let (received, rest) = body.split_first_chunk::<8>()?;
    let (limit, mut rest) = rest.split_first_chunk::<8>()?;
    let mut ranges = Vec::new();
    while let Some((from, more)) = rest.split_first_chunk::<8>() {
        let (to, more) = more.split_first_chunk::<8>()?;
        if ranges.len() >= limits::STREAM_RANGES_COUNT_MAX {
            return None;
        }
        ranges.push((u64::from_be_bytes(*from), u64::from_be_bytes(*to)));
        rest = more;
    }
    let (received, limit) = (u64::from_be_bytes(*received), u64::from_be_bytes(*limit));
    rest.is_empty().then_some(Credit { received, limit, ranges })
}
