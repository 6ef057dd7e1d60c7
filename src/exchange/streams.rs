//! All streams of a client: who they are with, and their clocks.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Event;
use super::envelope::{self, Envelope, Id, Kind, Refusal};
use super::outbox::{Outbox, repeating};
use super::seen::Remembered;
use super::stream::{Credit, Receiver, Sender, Taken, read_credit};
use crate::engine::{Code, MessageId, Phase, Priority, Recipient, Replies, SendOptions};
use crate::limits;
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// Names a stream. Callers choose numbers below [`StreamId::INCOMING`] for those they open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The first number of a stream that a peer has opened. JavaScript still holds it exactly.
    pub const INCOMING: u64 = 1 << 52;
}

/// How a stream is opened or taken.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// How many bytes may be under way to us: from [`limits::STREAM_WINDOW_MIN`] to [`limits::STREAM_WINDOW_MAX`].
    pub window: u32,
    /// The stream ends when nothing came from the peer for so long with the link up. Zero: never.
    pub idle: Duration,
    /// How long its opening may take. Zero: for ever.
    pub timeout: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { window: limits::STREAM_WINDOW, idle: limits::STREAM_IDLE_TIME, timeout: limits::STREAM_OPEN_TIME }
    }
}

/// Codes with which a stream ends by itself; applications have those from 256 on.
pub mod ending {
    /// Both sides have said all they had to say.
    pub const DONE: u32 = 0;
    /// The peer does not know the stream: its client has started anew.
    pub const UNKNOWN: u32 = 1;
    /// The peer sends more than it may.
    pub const VIOLATION: u32 = 2;
    /// Nothing came for too long.
    pub const IDLE: u32 = 3;
    /// The client was closed.
    pub const CLOSED: u32 = 4;
}

struct Stream {
    wire: Id,
    peer: Recipient,
    /// Which service, until the peer has taken it; then nothing.
    opening: Option<String>,
    /// The message that opens it, under way, and when it goes again.
    open_message: Option<MessageId>,
    open_due: Option<Instant>,
    open_wait: Duration,
    open_deadline: Option<Instant>,
    is_ours: bool,
    sender: Sender,
    receiver: Receiver,
    /// When the peer is told what came.
    credit_due: Option<Instant>,
    /// Pieces since it was told.
    untold: usize,
    /// When the peer is asked how much it takes, since it has told of nothing that waits, and the wait after that.
    ask_due: Option<Instant>,
    ask_wait: Duration,
    idle: Duration,
    heard: Instant,
    /// A writer waits for room.
    is_full: bool,
    /// Where it is in the order of clocks.
    due: Option<Instant>,
}

pub(super) struct Streams {
    streams: Table<StreamId, Stream>,
    by_wire: Table<Id, StreamId>,
    due: TableSet<(Instant, StreamId)>,
    messages: Table<MessageId, (StreamId, Option<u64>)>,
    services: Table<String, StreamOptions>,
    /// With the code they ended with.
    finished: Remembered<u32>,
    windows: u64,
    next: u64,
    pub(super) refused: u64,
    pub(super) repeats: u64,
}

type Events<'a> = &'a mut dyn FnMut(Event);

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            streams: Table::new(),
            by_wire: Table::new(),
            due: TableSet::new(),
            messages: Table::new(),
            services: Table::new(),
            finished: Remembered::new(limits::STREAMS_FINISHED_COUNT_MAX, limits::SEEN_ID_AGE_MAX),
            windows: 0,
            next: StreamId::INCOMING,
            refused: 0,
            repeats: 0,
        }
    }

    // ── what the user wants ──────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn is_in_use(&self, id: StreamId) -> bool {
        self.streams.contains_key(&id)
    }

    pub(super) fn has_room(&self, window: u32) -> bool {
        self.streams.len() < limits::STREAMS_COUNT_MAX
            && self.windows + u64::from(window) <= limits::STREAM_WINDOWS_LEN_MAX
    }

    pub(super) fn open(
        &mut self,
        outbox: &mut Outbox,
        id: StreamId,
        (to, service): (&Recipient, &str),
        options: &StreamOptions,
        now: Instant,
    ) {
        let wire = outbox.id();
        let deadline = (!options.timeout.is_zero()).then(|| now + options.timeout);
        let mut stream = Stream::new(wire, to.clone(), options, now);
        stream.is_ours = true;
        stream.opening = Some(service.to_string());
        stream.open_deadline = deadline;
        self.insert(id, stream);
        self.send_open(outbox, id);
        self.rearm(id);
    }

    /// Streams for this service are taken from now on. False: there are too many services.
    pub(super) fn listen(&mut self, service: String, options: StreamOptions) -> bool {
        let fits = self.services.contains_key(&service) || self.services.len() < limits::SERVICES_COUNT_MAX;
        if fits {
            self.services.insert(service, options);
        }
        fits
    }

    pub(super) fn unlisten(&mut self, service: &String) {
        self.services.remove(service);
    }

    /// Whether there is room for more; if not, [`Event::StreamRoom`] follows. What is given is taken in any case.
    pub(super) fn write(&mut self, outbox: &mut Outbox, id: StreamId, bytes: Vec<u8>, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        stream.sender.write(bytes);
        self.send(outbox, id, now);
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        stream.is_full = stream.sender.waiting_len() >= limits::STREAM_WAITING_LEN;
        let has_room = !stream.is_full;
        self.rearm(id);
        has_room
    }

    pub(super) fn end(&mut self, outbox: &mut Outbox, id: StreamId, now: Instant) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.sender.end();
        }
        self.send(outbox, id, now);
        self.rearm(id);
    }

    /// The application has taken so many bytes.
    pub(super) fn read(&mut self, outbox: &mut Outbox, id: StreamId, len: u64) {
        if self.streams.get_mut(&id).is_some_and(|stream| stream.receiver.read(len)) {
            self.send_credit(outbox, id);
            self.rearm(id);
        }
    }

    /// Ends a stream at once. Answers the messages to be stopped; no event follows.
    pub(super) fn reset(
        &mut self,
        outbox: &mut Outbox,
        id: StreamId,
        code: u32,
        reason: &str,
        now: Instant,
    ) -> Vec<MessageId> {
        let Some(stream) = self.streams.get(&id) else { return Vec::new() };
        let (peer, wire) = (stream.peer.clone(), stream.wire);
        let messages = self.remove(id, code, now);
        send_reset(outbox, &peer, wire, code, reason);
        messages
    }

    // ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn opened(
        &mut self,
        outbox: &mut Outbox,
        events: Events<'_>,
        envelope: &Envelope<'_>,
        from: &Recipient,
        now: Instant,
    ) {
        let wire = envelope.id;
        if let Some(id) = self.by_wire.get(&wire).copied() {
            // Our answer may be lost.
            self.repeats += 1;
            if let Some(stream) = self.streams.get(&id).filter(|stream| stream.peer == *from && !stream.is_ours) {
                outbox.answer(from, Kind::Accept, wire, &stream.window());
            }
            return;
        }
        if self.finished.get_mut(&wire, now).is_some() {
            self.repeats += 1;
            return;
        }
        let Some(window) = envelope.body.first_chunk().map(|window| u32::from_be_bytes(*window)) else {
            self.refused += 1;
            return;
        };
        let known = self.services.iter().find(|(service, _)| *service == envelope.service).map(|(_, options)| *options);
        let Some(options) = known else {
            self.refused += 1;
            outbox.answer(from, Kind::Failure, wire, &[Refusal::NoHandler as u8]);
            return;
        };
        if !self.has_room(options.window) {
            self.refused += 1;
            outbox.answer(from, Kind::Failure, wire, &[Refusal::HandlerFailed as u8]);
            return;
        }
        let id = StreamId(self.next);
        self.next += 1;
        let mut stream = Stream::new(wire, from.clone(), &options, now);
        stream.sender.allow(u64::from(window));
        outbox.answer(from, Kind::Accept, wire, &stream.window());
        self.insert(id, stream);
        self.rearm(id);
        events(Event::StreamOpened { id, service: envelope.service.to_string(), from: from.clone() });
    }

    /// A refusal or an ignorant peer: the stream that was to be opened is not.
    pub(super) fn failed(
        &mut self,
        events: Events<'_>,
        wire: Id,
        code: Code,
        from: &Recipient,
        now: Instant,
    ) -> Vec<MessageId> {
        let Some(id) = self.known(wire, from) else { return Vec::new() };
        if self.streams.get(&id).is_none_or(|stream| stream.opening.is_none()) {
            return Vec::new();
        }
        events(Event::StreamFailed { id, code, phase: Phase::Peer });
        self.remove(id, ending::CLOSED, now)
    }

    /// A frame of a stream. Answers the messages that need not be waited for any more.
    pub(super) fn frame(
        &mut self,
        outbox: &mut Outbox,
        events: Events<'_>,
        envelope: &Envelope<'_>,
        from: &Recipient,
        now: Instant,
    ) -> Vec<MessageId> {
        let Some(id) = self.known(envelope.id, from) else {
            // Of a stream that has ended frames may still come, and pieces tell that our last word was lost. Of one that
            // never was, the sender is told so.
            let ended = self.finished.get_mut(&envelope.id, now).copied();
            self.refused += u64::from(ended.is_none());
            match envelope.kind {
                _ if self.by_wire.contains_key(&envelope.id) => {}
                Kind::Data => send_reset(outbox, from, envelope.id, ended.unwrap_or(ending::UNKNOWN), ""),
                Kind::Accept | Kind::Credit if ended.is_none() => {
                    send_reset(outbox, from, envelope.id, ending::UNKNOWN, "");
                }
                _ => {}
            }
            return Vec::new();
        };
        let Some(stream) = self.streams.get_mut(&id) else { return Vec::new() };
        stream.heard = now;
        let done = match envelope.kind {
            Kind::Accept => self.accepted(id, envelope.body, events),
            Kind::Data => self.data(outbox, events, id, envelope.body, now),
            Kind::Credit => self.credited(id, envelope.body),
            _ => {
                let (code, reason) = read_reset(envelope.body);
                events(Event::StreamClosed { id, code, reason });
                self.remove(id, code, now)
            }
        };
        self.send(outbox, id, now);
        self.rearm(id);
        self.finish(events, id, now);
        done
    }

    fn accepted(&mut self, id: StreamId, body: &[u8], events: Events<'_>) -> Vec<MessageId> {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.is_ours) else { return Vec::new() };
        let Some(window) = body.first_chunk().map(|window| u32::from_be_bytes(*window)) else { return Vec::new() };
        stream.sender.allow(u64::from(window));
        if stream.opening.take().is_none() {
            return Vec::new();
        }
        events(Event::StreamReady { id });
        stream.open_due = None;
        stream.open_message.take().into_iter().inspect(|message| _ = self.messages.remove(message)).collect()
    }

    fn data(
        &mut self,
        outbox: &mut Outbox,
        events: Events<'_>,
        id: StreamId,
        body: &[u8],
        now: Instant,
    ) -> Vec<MessageId> {
        let Some(stream) = self.streams.get_mut(&id) else { return Vec::new() };
        let taken = match body.split_first_chunk::<8>() {
            Some((at, [last, bytes @ ..])) => stream.receiver.take(u64::from_be_bytes(*at), bytes, *last == 1),
            _ => Taken::Refused,
        };
        stream.untold += 1;
        match taken {
            Taken::Pieces(pieces, last) => {
                let count = pieces.len();
                for (place, bytes) in pieces.into_iter().enumerate() {
                    events(Event::StreamData { id, bytes, last: last && place + 1 == count });
                }
                if last && count == 0 {
                    events(Event::StreamData { id, bytes: Vec::new(), last });
                }
                // At the end and now and then at once, else a little later, for several pieces together.
                if last || stream.untold >= limits::STREAM_PIECES_PER_CREDIT {
                    self.send_credit(outbox, id);
                } else {
                    stream.credit_due.get_or_insert(now + limits::STREAM_CREDIT_DELAY);
                }
            }
            Taken::Repeat => {
                self.repeats += 1;
                stream.credit_due.get_or_insert(now + limits::STREAM_CREDIT_DELAY);
            }
            Taken::Refused => {
                self.refused += 1;
                events(Event::StreamClosed { id, code: ending::VIOLATION, reason: String::new() });
                return self.reset(outbox, id, ending::VIOLATION, "", now);
            }
        }
        self.rearm(id);
        Vec::new()
    }

    fn credited(&mut self, id: StreamId, body: &[u8]) -> Vec<MessageId> {
        let Some(stream) = self.streams.get_mut(&id) else { return Vec::new() };
        let Some(Credit { received, limit, ranges }) = read_credit(body) else {
            self.refused += 1;
            return Vec::new();
        };
        stream.sender.allow(limit);
        let messages = stream.sender.credit(received, &ranges);
        for message in &messages {
            self.messages.remove(message);
        }
        messages
    }

    // ── what becomes of messages ─────────────────────────────────────────────────────────────────────────────────

    /// A message has ended, acknowledged or not. Whether it was one of ours.
    pub(super) fn message_ended(
        &mut self,
        outbox: &mut Outbox,
        message: MessageId,
        round_trip: Option<Duration>,
        now: Instant,
    ) -> bool {
        let Some((id, at)) = self.messages.remove(&message) else { return false };
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        let expected = round_trip.unwrap_or_default() * 2 + limits::STREAM_CREDIT_DELAY;
        let first = (expected * limits::RECEIPT_ROUND_TRIPS).max(limits::RECEIPT_WAIT_MIN);
        let wait = |before: Duration| match before.is_zero() {
            true => first,
            false => (before * 2).min(limits::STREAM_WAIT_MAX),
        };
        match at.map(|at| stream.sender.pieces.get_mut(&at)) {
            Some(Some(piece)) => {
                piece.message = None;
                piece.wait = wait(piece.wait);
                piece.due = Some(now + piece.wait);
            }
            Some(None) => {}
            None => {
                stream.open_message = None;
                stream.open_wait = wait(stream.open_wait);
                stream.open_due = Some(now + stream.open_wait);
            }
        }
        self.send(outbox, id, now);
        self.rearm(id);
        true
    }

    // ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Does what is due. Answers the messages to be stopped.
    pub(super) fn serve(&mut self, outbox: &mut Outbox, events: Events<'_>, now: Instant) -> Vec<MessageId> {
        let mut stopped = Vec::new();
        while let Some((_, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            let Some(stream) = self.streams.get_mut(&id) else { return stopped };
            let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
            if stream.opening.is_some() && is_over(stream.open_deadline) {
                let phase = if stream.open_due.is_some() { Phase::Peer } else { Phase::Network };
                events(Event::StreamFailed { id, code: Code::Timeout, phase });
                stopped.extend(self.reset(outbox, id, ending::CLOSED, "", now));
                continue;
            }
            if is_over(stream.idle_deadline()) {
                events(Event::StreamClosed { id, code: ending::IDLE, reason: String::new() });
                stopped.extend(self.reset(outbox, id, ending::IDLE, "", now));
                continue;
            }
            if is_over(stream.open_due) {
                stream.open_due = None;
                self.send_open(outbox, id);
            }
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            if is_over(stream.credit_due) {
                self.send_credit(outbox, id);
            }
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            if is_over(stream.ask_due) {
                stream.ask_wait = (stream.ask_wait * 2).min(limits::STREAM_WAIT_MAX);
                stream.ask_due = Some(now + stream.ask_wait);
                self.send_question(outbox, id);
            }
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let again: Vec<u64> =
                stream.sender.pieces.iter().filter(|(_, piece)| is_over(piece.due)).map(|(at, _)| *at).collect();
            for at in again {
                self.repeats += 1;
                self.send_piece(outbox, id, at, true);
            }
            self.rearm(id);
        }
        stopped
    }

    /// The link is back after so long: nothing could come.
    pub(super) fn shift(&mut self, pause: Duration) {
        let later = |at: &mut Option<Instant>| *at = at.map(|at| at + pause);
        for stream in self.streams.values_mut() {
            later(&mut stream.open_due);
            later(&mut stream.credit_due);
            later(&mut stream.ask_due);
            stream.heard += pause;
            stream.sender.pieces.values_mut().for_each(|piece| later(&mut piece.due));
        }
        let ids: Vec<_> = self.streams.keys().copied().collect();
        ids.into_iter().for_each(|id| self.rearm(id));
    }

    /// All end, without a word to the peers: the client closes or has failed.
    pub(super) fn end_all(&mut self, events: Events<'_>, now: Instant) -> Vec<MessageId> {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        let mut stopped = Vec::new();
        for id in ids {
            events(match self.streams.get(&id).is_some_and(|stream| stream.opening.is_some()) {
                true => Event::StreamFailed { id, code: Code::Closed, phase: Phase::Queue },
                false => Event::StreamClosed { id, code: ending::CLOSED, reason: String::new() },
            });
            stopped.extend(self.remove(id, ending::CLOSED, now));
        }
        stopped
    }

    /// Writers that waited and can go on.
    pub(super) fn made_room(&mut self, events: Events<'_>) {
        for (id, stream) in self.streams.iter_mut() {
            if stream.is_full && stream.sender.waiting_len() < limits::STREAM_WAITING_LEN / 2 {
                stream.is_full = false;
                events(Event::StreamRoom { id: *id });
            }
        }
    }

    pub(super) fn wire_id(&self, id: StreamId) -> Option<Id> {
        self.streams.get(&id).map(|stream| stream.wire)
    }

    pub(super) fn count(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn windows(&self) -> u64 {
        self.windows
    }

    // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    fn known(&self, wire: Id, from: &Recipient) -> Option<StreamId> {
        let id = *self.by_wire.get(&wire)?;
        self.streams.get(&id).filter(|stream| stream.peer == *from).map(|_| id)
    }

    fn insert(&mut self, id: StreamId, stream: Stream) {
        self.windows += stream.receiver.window();
        self.by_wire.insert(stream.wire, id);
        self.streams.insert(id, stream);
    }

    fn remove(&mut self, id: StreamId, code: u32, now: Instant) -> Vec<MessageId> {
        let Some(stream) = self.streams.remove(&id) else { return Vec::new() };
        self.windows -= stream.receiver.window();
        self.by_wire.remove(&stream.wire);
        self.finished.insert(stream.wire, code, now);
        if let Some(due) = stream.due {
            self.due.remove(&(due, id));
        }
        let pieces = stream.sender.pieces.into_values().filter_map(|piece| piece.message);
        let messages: Vec<_> = pieces.chain(stream.open_message).collect();
        for message in &messages {
            self.messages.remove(message);
        }
        messages
    }

    /// Both halves are done: so is the stream.
    fn finish(&mut self, events: Events<'_>, id: StreamId, now: Instant) {
        if self.streams.get(&id).is_some_and(|stream| stream.sender.is_done() && stream.receiver.is_done()) {
            self.remove(id, ending::DONE, now);
            events(Event::StreamClosed { id, code: ending::DONE, reason: String::new() });
        }
    }

    /// Cuts and queues what the peer has room for.
    fn send(&mut self, outbox: &mut Outbox, id: StreamId, now: Instant) {
        while let Some(stream) = self.streams.get_mut(&id)
            && let Some(at) = stream.sender.cut()
        {
            stream.ask_wait = limits::STREAM_ASK_WAIT;
            self.send_piece(outbox, id, at, false);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        // The word that there is room again may be lost, and nothing else would bring it.
        match stream.sender.is_blocked() && stream.opening.is_none() {
            true => _ = stream.ask_due.get_or_insert(now + stream.ask_wait),
            false => stream.ask_due = None,
        }
    }

    /// A piece of nothing, which the peer answers as it answers any piece.
    fn send_question(&mut self, outbox: &mut Outbox, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let mut body = Vec::from(stream.sender.position().to_be_bytes());
        body.push(0);
        let bytes = envelope::simple(Kind::Data, stream.wire, &body);
        outbox.push(stream.peer.clone(), bytes, repeating(sending(Priority::Normal)));
    }

    fn send_piece(&mut self, outbox: &mut Outbox, id: StreamId, at: u64, again: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(piece) = stream.sender.pieces.get_mut(&at) else { return };
        let mut body = Vec::with_capacity(9 + piece.bytes.len());
        body.extend_from_slice(&at.to_be_bytes());
        body.push(u8::from(piece.last));
        body.extend_from_slice(&piece.bytes);
        let bytes = envelope::simple(Kind::Data, stream.wire, &body);
        let options = sending(Priority::Bulk);
        let message = outbox.push(stream.peer.clone(), bytes, if again { repeating(options) } else { options });
        piece.message = Some(message);
        piece.due = None;
        self.messages.insert(message, (id, Some(at)));
    }

    fn send_open(&mut self, outbox: &mut Outbox, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(service) = &stream.opening else { return };
        let window = stream.window();
        let bytes = Envelope { kind: Kind::Open, flags: 0, id: stream.wire, service, body: &window }.to_bytes();
        let options = repeating(sending(Priority::Normal));
        let message = outbox.push(stream.peer.clone(), bytes, options);
        stream.open_message = Some(message);
        self.messages.insert(message, (id, None));
    }

    fn send_credit(&mut self, outbox: &mut Outbox, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.credit_due = None;
        stream.untold = 0;
        let bytes = envelope::simple(Kind::Credit, stream.wire, &stream.receiver.credit());
        outbox.push(stream.peer.clone(), bytes, sending(Priority::Normal));
    }

    /// Puts the stream where its next clock is.
    fn rearm(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let due = stream.next_due();
        if let Some(old) = core::mem::replace(&mut stream.due, due) {
            self.due.remove(&(old, id));
        }
        if let Some(due) = due {
            self.due.insert((due, id));
        }
    }
}

impl Stream {
    fn new(wire: Id, peer: Recipient, options: &StreamOptions, now: Instant) -> Self {
        Self {
            wire,
            peer,
            opening: None,
            open_message: None,
            open_due: None,
            open_wait: Duration::ZERO,
            open_deadline: None,
            is_ours: false,
            sender: Sender::default(),
            receiver: Receiver::new(options.window),
            credit_due: None,
            untold: 0,
            ask_due: None,
            ask_wait: limits::STREAM_ASK_WAIT,
            idle: options.idle,
            heard: now,
            is_full: false,
            due: None,
        }
    }

    fn window(&self) -> [u8; 4] {
        u32::try_from(self.receiver.window()).unwrap_or(u32::MAX).to_be_bytes()
    }

    fn idle_deadline(&self) -> Option<Instant> {
        (!self.idle.is_zero() && self.opening.is_none()).then(|| self.heard + self.idle)
    }

    fn next_due(&self) -> Option<Instant> {
        let open = self.open_deadline.filter(|_| self.opening.is_some());
        let pieces = self.sender.pieces.values().filter_map(|piece| piece.due).min();
        [open, self.open_due, self.credit_due, self.ask_due, pieces, self.idle_deadline()].into_iter().flatten().min()
    }
}

fn sending(priority: Priority) -> SendOptions {
    // A message given up at its engine is sent again by the stream's own clock, until the stream is idle.
    SendOptions { replies: Replies::Auto, priority, ..SendOptions::default() }
}

fn send_reset(outbox: &mut Outbox, to: &Recipient, wire: Id, code: u32, reason: &str) {
    let mut body = Vec::from(code.to_be_bytes());
    let end = (0..=reason.len().min(limits::STREAM_REASON_LEN_MAX)).rev().find(|end| reason.is_char_boundary(*end));
    body.extend_from_slice(reason.get(..end.unwrap_or(0)).unwrap_or_default().as_bytes());
    outbox.answer(to, Kind::Reset, wire, &body);
}

fn read_reset(body: &[u8]) -> (u32, String) {
    let Some((code, reason)) = body.split_first_chunk() else { return (ending::UNKNOWN, String::new()) };
    let reason = reason.get(..reason.len().min(limits::STREAM_REASON_LEN_MAX)).unwrap_or_default();
    (u32::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned())
}
