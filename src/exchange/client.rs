//! An engine with the exchange above it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use chacha20::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

use super::envelope::{self, Id, Kind};
use super::inbox::Inbox;
use super::kept::{self, Kept};
use super::outbox::{self, Outbox};
use super::peers::{self, Peers, Speaks};
use super::receipts::{Promised, Receipts};
use super::requests::{Question, Requests};
use super::serving::Serving;
use super::streams::Streams;
use super::{Event, Item, Receipt, RequestError, RequestHandle, RequestOptions, Sending, StreamId, StreamOptions};
use crate::engine::{
    self, Bound, Code, Config, Engine, FetchError, FetchId, Frame, Incoming, LinkId, MessageId, PacketFormat, Phase,
    Recipient, Record, Replies, Request, SendError, SendOptions, Shelf, Sphinx, State,
};
use crate::identity::{Identity, Registration};
use crate::limits;
use crate::table::Table;
use crate::time::Instant;

/// One client.
pub struct Client<P: PacketFormat = Sphinx> {
    pub(super) engine: Engine<P>,
    pub(super) outbox: Outbox,
    pub(super) peers: Peers,
    pub(super) inbox: Inbox,
    pub(super) kept: Kept,
    /// There is a store.
    pub(super) keeps: bool,
    pub(super) receipts: Receipts,
    pub(super) requests: Requests,
    pub(super) serving: Serving,
    pub(super) streams: Streams,
    /// Answers of ours on their way, by the numbers of their messages.
    responses: Table<MessageId, RequestHandle>,
    pub(super) events: VecDeque<Event>,
    /// What the exchange wants of the store.
    pub(super) chores: VecDeque<Request>,
    /// The engine refused a message for lack of room; it says when there is some.
    full: bool,
    /// A caller was refused for lack of room in a table of ours, and is told when there is some.
    pub(super) wants_room: bool,
    /// Since when the link is down.
    down_since: Option<Instant>,
    /// Envelopes of kinds and versions that are not known here.
    pub(super) unsupported: u64,
}

impl<P: PacketFormat> Client<P> {
    /// As [`Engine::new`].
    pub fn new(
        config: Config,
        identity: Identity,
        registration: Option<Registration>,
        mut rng: Box<dyn CryptoRng>,
        now: Instant,
    ) -> Self {
        let own = ChaCha20Rng::from_rng(&mut *rng);
        let keeps = config.keeps_pages;
        let inbox = Inbox::new(config.keeps_inbox && config.keeps_pages);
        Self {
            inbox,
            kept: Kept::new(),
            keeps,
            engine: Engine::new(config, identity, registration, rng, now),
            outbox: Outbox::new(own),
            peers: Peers::default(),
            receipts: Receipts::new(),
            requests: Requests::new(),
            serving: Serving::default(),
            streams: Streams::new(),
            responses: Table::new(),
            events: VecDeque::new(),
            chores: VecDeque::new(),
            full: false,
            wants_room: false,
            down_since: Some(now),
            unsupported: 0,
        }
    }

    /// As [`Engine::restore`].
    pub fn restore(&mut self, record: Record, bytes: Option<&[u8]>, now: Instant) {
        if let Record::Page(Shelf::Inbox, number) = record
            && let Some((id, at)) = bytes.and_then(|bytes| self.inbox.restore(number, bytes))
        {
            if let Some(id) = id {
                self.receipts.has_seen(id, self.engine.instant_of(at, now));
                self.engine.keep_seen(id.0, now);
            }
            return;
        }
        if let Record::Page(shelf @ (Shelf::Acked | Shelf::Outbox), number) = record
            && self.kept.restore(shelf, number, bytes, self.engine.unix(now))
        {
            return;
        }
        if let Record::Page(Shelf::Acked | Shelf::Outbox | Shelf::Inbox, _) = record {
            self.engine.count_bad_page();
            self.chores.push_back(Request::Forget { record });
        }
        for (id, since) in self.engine.restore(record, bytes, now) {
            self.receipts.has_seen(Id(id), since);
        }
    }

    /// The engine, for everything that is no business of the exchange.
    pub fn engine(&self) -> &Engine<P> {
        &self.engine
    }

    /// The same, for its calls. What they lead to is met at the next poll.
    pub fn engine_mut(&mut self) -> &mut Engine<P> {
        &mut self.engine
    }

    // ── what the user wants ──────────────────────────────────────────────────────────────────────────────────────

    /// Sends a message; see [`Engine::send`]. Whether it is to be receipted: an [`Event::Receipted`] or
    /// [`Event::NotReceipted`] follows its delivery.
    ///
    /// # Errors
    /// As [`Engine::send`].
    pub fn send(
        &mut self,
        id: MessageId,
        to: &Recipient,
        body: &[u8],
        sending: &Sending,
        now: Instant,
    ) -> Result<bool, SendError> {
        let Sending { options, receipt, id: chosen } = sending;
        if !self.wants_receipt(to, options, *receipt) {
            // Bare bytes that look like an envelope would be taken for one.
            if body.starts_with(&envelope::MAGIC) {
                let wrapped = envelope::simple(Kind::Message, chosen.unwrap_or_else(|| self.outbox.id()), body);
                self.engine.send(id, to, &wrapped, options, now)?;
            } else {
                self.engine.send(id, to, body, options, now)?;
            }
            return Ok(false);
        }
        if body.len() > limits::MESSAGE_LEN_MAX {
            return Err(SendError::TooLarge);
        }
        let envelope_id = chosen.unwrap_or_else(|| self.outbox.id());
        let bytes = self.receipts.wrap(envelope_id, body).inspect_err(|_| self.wants_room = true)?;
        self.engine.send(id, to, &bytes, options, now)?;
        let promised = Promised { id: envelope_id, to: to.clone(), bytes, options: *options };
        self.receipts.expect(id, promised, now);
        Ok(true)
    }

    /// Forgets a message, or its receipt that is still to come; see [`Engine::cancel`].
    pub fn cancel(&mut self, id: MessageId, now: Instant) {
        if let Some(copy) = self.receipts.forget(id) {
            self.drop_own(copy, now);
        }
        self.engine.cancel(id, now);
        self.chores.extend(self.kept.end(id));
        self.made_room();
    }

    /// Asks a peer, small requests in one message. Each ends by itself: in [`Event::Response`] or
    /// [`Event::RequestFailed`], with the caller's number.
    ///
    /// # Errors
    /// For all of them, and none is asked then.
    pub fn request(
        &mut self,
        items: impl IntoIterator<Item = impl Into<Item>>,
        to: &Recipient,
        options: &RequestOptions,
        now: Instant,
    ) -> Result<(), RequestError> {
        let items = items.into_iter().map(Into::into).collect();
        self.ask(Question { kind: Kind::Request, items, to, options }, now)
    }

    /// Asks whether a peer speaks mixlet. Ends as a request does, with an empty answer.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn probe(
        &mut self,
        id: MessageId,
        to: &Recipient,
        options: &RequestOptions,
        now: Instant,
    ) -> Result<(), RequestError> {
        let items = Vec::from([(id, peers::FEATURES.to_be_bytes().to_vec()).into()]);
        self.ask(Question { kind: Kind::Probe, items, to, options }, now)
    }

    /// Forgets a request. An answer that comes all the same is told as late.
    pub fn cancel_request(&mut self, id: MessageId, now: Instant) {
        if let Some(carrier) = self.requests.cancel(id, now) {
            self.drop_own(carrier, now);
        }
        self.made_room();
    }

    /// Requests for this service become [`Event::Request`]. False: there are too many services.
    pub fn serve(&mut self, service: String) -> bool {
        self.serving.serve(service)
    }

    /// They do not any more; those being handled can still be answered.
    pub fn unserve(&mut self, service: &String) {
        self.serving.unserve(service);
    }

    /// Answers a request; `None`: it could not be handled. An unknown handle is fine: the request was answered.
    ///
    /// # Errors
    /// As [`Engine::send`]; the request can be answered again then.
    pub fn respond(
        &mut self,
        handle: RequestHandle,
        body: Option<&[u8]>,
        options: &SendOptions,
        now: Instant,
    ) -> Result<(), SendError> {
        let Some((to, bytes)) = self.serving.respond(handle, body) else { return Ok(()) };
        if bytes.len() > limits::MESSAGE_LEN_MAX {
            return Err(SendError::TooLarge);
        }
        let id = self.outbox.number();
        self.engine.send(id, &to, &bytes, options, now)?;
        self.responses.insert(id, handle);
        self.serving.responded(handle, bytes);
        Ok(())
    }

    /// Opens a stream. Ends in [`Event::StreamReady`] or [`Event::StreamFailed`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn open_stream(
        &mut self,
        id: StreamId,
        to: &Recipient,
        service: &str,
        options: &StreamOptions,
        now: Instant,
    ) -> Result<(), RequestError> {
        if !envelope::is_service(service) {
            return Err(RequestError::ServiceTooLong);
        }
        if id.0 >= StreamId::INCOMING || self.streams.is_in_use(id) {
            return Err(RequestError::Send(SendError::DuplicateId));
        }
        if self.engine.is_closing() {
            return Err(RequestError::Send(SendError::Closed));
        }
        if !self.streams.has_room(options.window) {
            return Err(RequestError::Send(SendError::QueueFull));
        }
        self.streams.open(&mut self.outbox, id, (to, service), options, now);
        self.pump(now);
        Ok(())
    }

    /// Streams for this service become [`Event::StreamOpened`]. False: there are too many services.
    pub fn listen(&mut self, service: String, options: StreamOptions) -> bool {
        self.streams.listen(service, options)
    }

    /// They do not any more; those that are open go on.
    pub fn unlisten(&mut self, service: &String) {
        self.streams.unlisten(service);
    }

    /// Writes to a stream. Whether there is room for more; if not, [`Event::StreamRoom`] follows. What is given is taken
    /// in any case, so callers give little at a time.
    pub fn write_stream(&mut self, id: StreamId, bytes: Vec<u8>, now: Instant) -> bool {
        self.streams.write(&mut self.outbox, id, bytes, now)
    }

    /// Nothing more is written; the peer may go on.
    pub fn end_stream(&mut self, id: StreamId, now: Instant) {
        self.streams.end(&mut self.outbox, id, now);
    }

    /// The application has taken so many bytes, and the peer may send as many more.
    pub fn read_stream(&mut self, id: StreamId, len: u64) {
        self.streams.read(&mut self.outbox, id, len);
    }

    /// Ends a stream at once, in both directions. No event follows.
    pub fn reset_stream(&mut self, id: StreamId, code: u32, reason: &str, now: Instant) {
        let stopped = self.streams.reset(&mut self.outbox, id, code, reason, now);
        self.drop_all(stopped, now);
    }

    /// What is known of a peer's client.
    pub fn speaks(&self, peer: &Recipient) -> Option<Speaks> {
        self.peers.get(peer)
    }

    /// Somebody takes the messages of a durable inbox from now on, or nobody does any more: all that are not done are told
    /// again to who takes them next.
    pub fn take_messages(&mut self, is_taken: bool) {
        self.inbox.take(is_taken);
    }

    /// The application is done with a message of a durable inbox. One that is done already is fine; whether it was not.
    pub fn done(&mut self, number: u32) -> bool {
        let Some(chore) = self.inbox.done(number) else { return false };
        // What says that it was received goes to the store at the latest with this: else it could be received again.
        self.engine.write_marks();
        self.chores.push_back(chore);
        true
    }

    /// Ends; see [`Engine::close`]. Requests fail.
    pub fn close(&mut self, drain: bool, deadline: Instant, now: Instant) {
        self.fail_requests(Code::Closed, now);
        self.end_streams(now);
        self.serving.forget_handled();
        self.engine.close(drain, deadline, now);
    }

    // ── what happened ────────────────────────────────────────────────────────────────────────────────────────────

    /// As [`Engine::handle_link_open`].
    pub fn handle_link_open(&mut self, link: LinkId, now: Instant) {
        self.engine.handle_link_open(link, now);
    }

    /// As [`Engine::handle_frame`].
    pub fn handle_frame(&mut self, link: LinkId, frame: Incoming<'_>, now: Instant) {
        self.engine.handle_frame(link, frame, now);
    }

    /// As [`Engine::handle_link_closed`].
    pub fn handle_link_closed(&mut self, link: LinkId, now: Instant) {
        self.engine.handle_link_closed(link, now);
    }

    /// As [`Engine::handle_fetched`].
    pub fn handle_fetched(&mut self, id: FetchId, answer: Result<&[u8], FetchError>, now: Instant) {
        self.engine.handle_fetched(id, answer, now);
    }

    /// Records that were asked for are in the store, or deleted; not `ok`: none of them is.
    pub fn handle_written(&mut self, records: &[Record], ok: bool, now: Instant) {
        for record in records {
            match record {
                Record::Page(Shelf::Inbox, number) => self.message_landed(*number, ok, now),
                Record::Page(Shelf::Outbox, number) => self.kept_landed(*number, ok, now),
                _ => {}
            }
        }
    }

    /// The time of the last [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.engine.poll_timeout().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now);
        }
        // What the engine has heard comes before what is overdue.
        self.pump(now);
        self.serve_clocks(now);
        self.serve_kept(now);
    }

    // ── what to do next ──────────────────────────────────────────────────────────────────────────────────────────

    /// As [`Engine::poll_transmit`].
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        self.pump(now);
        self.engine.poll_transmit(now)
    }

    /// As [`Engine::poll_request`]. Records that are asked for in one go, before anything else happens, belong together.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.chores.pop_front().or_else(|| self.engine.poll_request())
    }

    /// News for the user.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.pump(now);
        self.events.pop_front().or_else(|| self.inbox.tell())
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let requests = self.requests.next_due();
        // A receipt cannot come while the link is down.
        let receipts = self.receipts.next_due().filter(|_| self.down_since.is_none());
        let streams = self.streams.next_due().filter(|_| self.down_since.is_none());
        let kept = self.kept.next_end().map(|end| self.engine.instant_at(end));
        [self.engine.poll_timeout(), requests, receipts, streams, kept, self.kept.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What a stream is called on the wire, for tests that forge frames of it.
    pub fn wire_id(&self, id: StreamId) -> Option<Id> {
        self.streams.wire_id(id)
    }

    /// How full the tables of the exchange are; those of the engine are in [`Engine::bounds`].
    pub fn bounds(&self) -> [Bound; 17] {
        let bound = |name, len, limit| Bound { name, len, limit };
        [
            // Requests, receipts and what streams have under way are bounded by tables of their own.
            bound("envelopes", self.outbox.len(), limits::ENVELOPES_WAITING_COUNT_MAX + limits::REQUESTS_COUNT_MAX),
            bound("known peers", self.peers.count(), limits::KNOWN_PEERS_COUNT_MAX),
            bound("receipts awaited", self.receipts.count(), limits::RECEIPTS_AWAITED_COUNT_MAX),
            bound("bytes without receipt", self.receipts.bytes(), limits::RECEIPTS_AWAITED_LEN_MAX + ENVELOPES_LEN),
            bound("outbox", self.kept.count(), limits::OUTBOX_COUNT_MAX),
            bound("bytes of the outbox", self.kept.bytes(), limits::OUTBOX_LEN_MAX),
            bound("messages not taken", self.inbox.count(), limits::INBOX_COUNT_MAX),
            bound("bytes not taken", self.inbox.bytes(), limits::INBOX_LEN_MAX),
            bound("ids seen", self.receipts.seen_count(), limits::SEEN_IDS_COUNT_MAX),
            bound("requests", self.requests.count(), limits::REQUESTS_COUNT_MAX),
            bound("bytes of requests", self.requests.bytes(), limits::REQUESTS_LEN_MAX),
            bound("requests ended", self.requests.ended_count(), limits::ENDED_REQUESTS_COUNT_MAX),
            bound("requests handled", self.serving.handled_count(), limits::SERVING_COUNT_MAX),
            bound("requests served", self.serving.served_count(), limits::SERVED_COUNT_MAX),
            bound("bytes of answers kept", self.serving.kept_len(), limits::SERVED_LEN_MAX),
            bound("streams", self.streams.count(), limits::STREAMS_COUNT_MAX),
            bound("windows of streams", self.streams.windows() as usize, limits::STREAM_WINDOWS_LEN_MAX as usize),
        ]
    }

    /// What led to nothing here, by reason, in the order of the names.
    pub fn dropped(&self) -> [(&'static str, u64); 8] {
        [
            ("answerRepeat", self.requests.repeats()),
            ("answerStray", self.requests.stray() + self.receipts.stray),
            ("envelopeUnsupported", self.unsupported),
            ("messageRepeat", self.receipts.repeats),
            ("requestRefused", self.serving.refused + self.outbox.dropped),
            ("requestRepeat", self.serving.repeats),
            ("streamRefused", self.streams.refused),
            ("streamRepeat", self.streams.repeats),
        ]
    }

    // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes what the engine has said and gives it what waits, until neither has anything for the other.
    fn pump(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.engine.poll_event() {
                self.take(event, now);
            }
            if !self.feed(now) && !self.feed_kept(now) {
                return;
            }
        }
    }

    /// Gives the engine what waits, as far as it has room. Whether anything came of it.
    fn feed(&mut self, now: Instant) -> bool {
        let mut any = false;
        while !self.full
            && let Some(outgoing) = self.outbox.pop()
        {
            match self.engine.send(outgoing.id, &outgoing.to, &outgoing.body, &outgoing.options, now) {
                Ok(()) => any = true,
                Err(SendError::QueueFull) => {
                    self.full = true;
                    self.outbox.put_back(outgoing);
                }
                Err(error) => self.own_undelivered(outgoing.id, error.code(), Phase::Queue, now),
            }
        }
        any
    }

    fn take(&mut self, event: engine::Event, now: Instant) {
        match event {
            engine::Event::Delivered { id, round_trip, .. } => {
                if outbox::is_own(id) {
                    self.own_delivered(id, round_trip, now);
                } else {
                    self.receipts.delivered(id, round_trip, now);
                    self.kept_delivered(id, now);
                    self.events.push_back(Event::Engine(event));
                }
            }
            engine::Event::Undelivered { id, code, phase, .. } => {
                if outbox::is_own(id) {
                    self.own_undelivered(id, code, phase, now);
                } else {
                    self.receipts.undelivered(id, now);
                    // A client that ends leaves them to the next one.
                    if !self.engine.is_closing() && self.engine.state() != State::Idle {
                        self.chores.extend(self.kept.end(id));
                    }
                    self.events.push_back(Event::Engine(event));
                }
            }
            engine::Event::Planned { id, plan } if kept::number_of(id).is_some() => {
                self.chores.extend(self.kept.planned(id, plan));
                // In one go with the plan: its SURBs can be answered over by the next client too.
                self.engine.write_given();
            }
            engine::Event::Sent { id } | engine::Event::Fragments { id, .. } if outbox::is_own(id) => {}
            engine::Event::Received { body, tag, over } => self.received(body, tag, over, now),
            engine::Event::Room => {
                (self.full, self.kept.full) = (false, false);
                self.events.push_back(Event::Engine(event));
            }
            engine::Event::State { state, .. } => {
                self.state_changed(state, now);
                self.events.push_back(Event::Engine(event));
            }
            engine::Event::Failed { code, .. } => {
                self.fail_requests(code, now);
                self.end_streams(now);
                self.events.push_back(Event::Engine(event));
            }
            engine::Event::Fragments { id, acked, total, .. } => {
                self.kept.advanced(id, acked, total, now);
                self.events.push_back(Event::Engine(event));
            }
            event => self.events.push_back(Event::Engine(event)),
        }
    }

    fn own_delivered(&mut self, id: MessageId, round_trip: core::time::Duration, now: Instant) {
        if !self.requests.delivered(id, now)
            && self.responses.remove(&id).is_none()
            && !self.streams.message_ended(&mut self.outbox, id, Some(round_trip), now)
        {
            self.receipts.delivered(id, round_trip, now);
        }
    }

    fn own_undelivered(&mut self, id: MessageId, code: Code, phase: Phase, now: Instant) {
        if let Some(failed) = self.requests.undelivered(id, code, phase, now) {
            for failed in failed {
                self.events.push_back(failed.into());
            }
        } else if let Some(handle) = self.responses.remove(&id) {
            self.events.push_back(Event::ResponseLost { handle, code });
        } else if !self.streams.message_ended(&mut self.outbox, id, None, now) {
            self.receipts.undelivered(id, now);
        }
        self.made_room();
    }

    // ── clocks and the link ──────────────────────────────────────────────────────────────────────────────────────

    fn serve_clocks(&mut self, now: Instant) {
        while let Some((failed, carrier)) = self.requests.overdue(|id| self.engine.phase(id), now) {
            self.events.push_back(failed.into());
            self.drop_carrier(carrier, now);
        }
        if self.down_since.is_none() {
            let peers = &self.peers;
            let is_known = |to: &Recipient| peers.has(to, peers::RECEIPTS);
            let events = &mut self.events;
            self.receipts.serve(&mut self.outbox, &mut |event| events.push_back(event), is_known, now);
            let stopped = self.streams.serve(&mut self.outbox, &mut |event| events.push_back(event), now);
            self.drop_all(stopped, now);
        }
        self.pump(now);
    }

    fn state_changed(&mut self, state: State, now: Instant) {
        let up = matches!(state, State::Ready | State::Degraded);
        match (self.down_since, up) {
            (Some(since), true) => {
                self.down_since = None;
                self.receipts.shift(now.since(since));
                self.streams.shift(now.since(since));
                self.requests.link_back(&mut self.outbox);
            }
            (None, false) => {
                self.down_since = Some(now);
                for (failed, carrier) in self.requests.link_lost(now) {
                    self.events.push_back(failed.into());
                    self.drop_carrier(carrier, now);
                }
            }
            _ => {}
        }
    }

    fn fail_requests(&mut self, code: Code, now: Instant) {
        for (failed, carrier) in self.requests.fail_all(code, now) {
            self.events.push_back(failed.into());
            self.drop_carrier(carrier, now);
        }
    }

    fn end_streams(&mut self, now: Instant) {
        let events = &mut self.events;
        let stopped = self.streams.end_all(&mut |event| events.push_back(event), now);
        self.drop_all(stopped, now);
    }

    // ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    fn ask(&mut self, question: Question<'_>, now: Instant) -> Result<(), RequestError> {
        let Question { items, options, .. } = &question;
        if !envelope::is_service(&options.service) {
            return Err(RequestError::ServiceTooLong);
        }
        if options.label.len() > limits::LABEL_LEN_MAX {
            return Err(RequestError::LabelTooLong);
        }
        let refuse = |error| Err(RequestError::Send(error));
        let room = limits::MESSAGE_LEN_MAX - envelope::HEADER_LEN - limits::SERVICE_LEN_MAX;
        if items.iter().any(|item| item.body.len() > room) {
            return refuse(SendError::TooLarge);
        }
        if items.iter().any(|item| self.requests.is_in_use(item)) {
            return refuse(SendError::DuplicateId);
        }
        if self.engine.is_closing() {
            return refuse(SendError::Closed);
        }
        let len = items.iter().map(|item| item.body.len()).sum();
        if !self.requests.has_room(items.len(), len) {
            self.wants_room = true;
            return refuse(SendError::QueueFull);
        }
        self.requests.ask(&mut self.outbox, question, now);
        self.pump(now);
        Ok(())
    }

    fn wants_receipt(&self, to: &Recipient, options: &SendOptions, receipt: Receipt) -> bool {
        // Without reply blocks the peer could not send one.
        let can = options.replies != Replies::Exactly(0) || matches!(to, Recipient::Tag(_));
        match receipt {
            Receipt::Auto => can && self.peers.has(to, peers::RECEIPTS),
            Receipt::No => false,
            Receipt::Yes => can,
        }
    }

    /// Stops a message of our own making.
    pub(super) fn drop_own(&mut self, id: MessageId, now: Instant) {
        if !self.outbox.cancel(id) {
            self.engine.cancel(id, now);
        }
    }

    pub(super) fn drop_all(&mut self, ids: Vec<MessageId>, now: Instant) {
        for id in ids {
            self.drop_own(id, now);
        }
    }

    fn drop_carrier(&mut self, carrier: Option<MessageId>, now: Instant) {
        if let Some(carrier) = carrier {
            self.drop_own(carrier, now);
        }
    }

    /// Something has ended here, and a caller may wait for room in one of our tables.
    pub(super) fn made_room(&mut self) {
        self.kept.full = false;
        if core::mem::take(&mut self.wants_room) {
            self.events.push_back(Event::Engine(engine::Event::Room));
        }
    }
}

/// What envelopes add to the bodies that are counted.
const ENVELOPES_LEN: usize = limits::RECEIPTS_AWAITED_COUNT_MAX * envelope::HEADER_LEN;
