//! The loop: one task that owns engine, socket and timer.
//!
//! It waits for one thing, feeds it to the engine, then carries away all the engine has to say: frames while the socket
//! has room, chores, news. News are collected first and posted when the engine is let go.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use futures_channel::mpsc::Receiver;
use futures_util::future::{LocalBoxFuture, ready, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use gloo_timers::future::TimeoutFuture;
use js_sys::Function;

use super::alarm::Alarm;
use super::clock::Clock;
use super::convert::{Command, Failure, RequestId};
use super::database::Watch;
use super::fetch::fetch;
use super::life::refuse_all;
use super::post::{self, Post};
use super::socket::{Socket, SocketEvent};
use super::start::{OUTBOX_SHELVES, Prepared};
use super::store::{Page, StorageError};
use super::tally::Tally;
use super::waiting::Waiting;
use super::writer::{Writer, Written};
use crate::engine::{
    self, Code, FetchError, FetchId, Incoming, LinkId, MessageId, Phase, Record, Request, Shelf, State,
};
use crate::exchange::{Client, Event};
use crate::message::{ADDRESS_LEN, Address};
use crate::table::Table;
use crate::time::{Duration, Instant};

mod commands;

/// A client that is being opened, or is open.
pub(super) struct Driver {
    pub(super) post: Post,
    pub(super) commands: Receiver<Command>,
    clock: Clock,
    client: Client,
    /// For [`Socket::open`].
    pub(super) make_socket: Option<Function>,
    /// One, and up to two more while the client moves to another gateway. Dismissed ones are dropped when the next is
    /// opened.
    sockets: Vec<Socket>,
    chores: FuturesUnordered<LocalBoxFuture<'static, Chore>>,
    writer: Writer,
    /// Notices that the store is taken away.
    watch: Option<Watch>,
    /// Under which address the identity in the store was exported last.
    exported: Option<[u8; ADDRESS_LEN]>,
    /// Sums over all visits, where they are kept.
    tally: Option<Tally>,
    /// Sends the engine had no room for.
    waiting: Waiting,
    /// Messages of the outbox on their way to the store, with who waits for that.
    persisting: Table<MessageId, RequestId>,
    outbox: Outbox,
    /// Messages of a durable inbox that are done and still in the store, with who waits for that.
    finishing: Vec<(u32, RequestId)>,
    /// Why the last records could not be written.
    not_written: Code,
    alarm: Alarm,
    /// The moment it is set for.
    alarm_at: Option<Instant>,
    /// The `open` that is not answered yet.
    opening: Option<RequestId>,
    /// The `switch` that is not answered yet, and whether the move is done.
    switching: Option<RequestId>,
    moved: bool,
    /// Our address, once the link is up.
    address: Option<Address>,
    closing: Option<Closing>,
    /// The engine has nothing more to do.
    ended: bool,
    secure_page: bool,
    /// Which source is asked first at the next wait.
    turn: usize,
}

/// A `close` that is under way.
struct Closing {
    ids: Vec<RequestId>,
    drain: bool,
    deadline: Instant,
    /// The engine has been told. Before, sends are still waiting for room in it.
    begun: bool,
}

/// The messages to be sent that are in the store. They are read when the client is connected, as there can be many.
enum Outbox {
    /// Not yet. What has to wait for it, and whether it has begun.
    Unread(VecDeque<Command>, bool),
    Read,
    /// They cannot be, and are left alone.
    Unreadable(StorageError),
}

/// A finished chore.
enum Chore {
    Fetched(FetchId, Result<Vec<u8>, FetchError>),
    NotOpened(LinkId),
    Outbox(Result<Vec<Page>, StorageError>),
}

/// The first of what can happen.
enum Input {
    Alarm(Instant),
    Chore(Chore),
    Command(Option<Command>),
    Socket(LinkId, SocketEvent),
    /// Records were written, or not.
    Written(Written),
}

impl Driver {
    /// `opening`: the `open` to answer.
    pub(super) fn new(
        post: Post,
        commands: Receiver<Command>,
        opening: RequestId,
        prepared: Prepared,
        secure_page: bool,
    ) -> Self {
        let Prepared { clock, config, identity, registration, topology, pages, exported, tally, store } = prepared;
        let rng = Box::new(rand_core::UnwrapErr(getrandom::SysRng));
        let mut client = Client::new(config, identity, registration, rng, clock.now());
        if let Some(record) = topology {
            client.engine_mut().restore_topology(&record);
        }
        restore(&mut client, pages, clock.now());
        let outbox = if store.is_some() { Outbox::Unread(VecDeque::new(), false) } else { Outbox::Read };
        Self {
            post,
            commands,
            clock,
            client,
            make_socket: None,
            sockets: Vec::new(),
            chores: FuturesUnordered::new(),
            writer: Writer::new(store.map(Rc::new)),
            watch: None,
            exported,
            tally,
            waiting: Waiting::default(),
            persisting: Table::new(),
            outbox,
            finishing: Vec::new(),
            not_written: Code::StorageBlocked,
            alarm: Alarm::new(),
            alarm_at: None,
            opening: Some(opening),
            switching: None,
            moved: false,
            address: None,
            closing: None,
            ended: false,
            secure_page,
            turn: 0,
        }
    }

    /// Lets go of the store as soon as somebody takes it away, and says so.
    pub(super) async fn watch(&mut self, profile: &str) {
        if self.writer.keeps() {
            let (post, lost) = (self.post.clone(), self.writer.lost_store());
            self.watch = Watch::begin(profile, move || {
                if !lost.replace(true) {
                    post.volatile(&StorageError::Gone.into());
                }
            })
            .await;
        }
    }

    /// Connects and runs until the client is closed, has failed, or nobody holds it any more.
    pub(super) async fn serve(&mut self, held: VecDeque<Command>) {
        self.client.engine_mut().connect(self.clock.now());
        self.drain();
        for command in held {
            self.command(command);
            self.drain();
        }
        while !self.ended {
            match self.next().await {
                Input::Command(None) => return,
                input => self.feed(input),
            }
            self.drain();
        }
        self.finish().await;
    }

    /// Feeds one thing to the engine.
    fn feed(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Alarm(at) => {
                // The clock may lag behind the timer; believing it would wake us again and again.
                let now = now.max(at);
                if self.client.poll_timeout().is_some_and(|deadline| deadline <= now) {
                    self.client.handle_timeout(now);
                }
                if self.closing.as_ref().is_some_and(|closing| closing.deadline <= now) {
                    self.begin_close(now);
                }
                self.refuse_late(self.client.engine().up_time(now));
            }
            Input::Chore(Chore::Fetched(id, answer)) => {
                self.client.handle_fetched(id, answer.as_deref().map_err(|error| *error), now);
            }
            Input::Chore(Chore::NotOpened(link)) => self.client.handle_link_closed(link, now),
            Input::Chore(Chore::Outbox(pages)) => self.outbox_read(pages, now),
            Input::Command(command) => {
                if let Some(command) = command {
                    self.command(command);
                }
            }
            Input::Socket(link, event) => match event {
                SocketEvent::Binary(bytes) => self.client.handle_frame(link, Incoming::Binary(&bytes), now),
                SocketEvent::Closed => {
                    self.sockets.retain(|socket| socket.link() != link);
                    self.client.handle_link_closed(link, now);
                }
                SocketEvent::Opened => self.client.handle_link_open(link, now),
                SocketEvent::Text(text) => self.client.handle_frame(link, Incoming::Text(&text), now),
            },
            Input::Written(Written { records, ok, why, error }) => {
                self.not_written = why.map_or(self.not_written, StorageError::code);
                self.client.handle_written(&records, ok, now);
                // What could not be deleted comes again, and nobody could help it by waiting longer.
                let written = |kept: u32| records.contains(&Record::Page(Shelf::Inbox, kept));
                for (_, id) in self.finishing.extract_if(.., |(kept, _)| written(*kept)) {
                    self.post.done(id);
                }
                if let Some(error) = error {
                    self.post.failure(&error.into());
                }
            }
        }
    }

    /// Carries away all the engine has to say.
    fn drain(&mut self) {
        if self.opening.is_some() {
            // Packets of what waits take long to make: that we are connected is not told after them.
            self.tell();
        }
        loop {
            self.transmit();
            if !self.tell() && !self.refill() {
                break;
            }
        }
    }

    /// Starts what the engine asks for and passes its news on. Whether there were any.
    fn tell(&mut self) -> bool {
        let now = self.clock.now();
        let events: Vec<Event> = core::iter::from_fn(|| self.client.poll_event(now)).collect();
        while let Some(request) = self.client.poll_request() {
            self.start(request);
        }
        let any = !events.is_empty();
        // A receipt that overtakes the last acks says both at once, and is awaited no more when that is told.
        let is_receipt = |event: &Event| match event {
            Event::Receipted { id, .. } | Event::NotReceipted { id, .. } => Some(*id),
            _ => None,
        };
        let receipted: Vec<MessageId> = events.iter().filter_map(is_receipt).collect();
        for event in events {
            self.tally.iter_mut().for_each(|tally| tally.count(&event));
            self.deliver(event, &receipted);
        }
        self.answer_written();
        self.keep_tally(false);
        any
    }

    /// Has the sums written where it is time, once we are connected.
    fn keep_tally(&mut self, is_last: bool) {
        if let Some(tally) = self.tally.as_mut().filter(|_| self.address.is_some())
            && let Some(record) = tally.due(&self.client, is_last, self.clock.now())
        {
            self.writer.save(Record::Tally, record);
        }
    }

    /// Frames leave while the browser holds few of them; the others stay in the engine, which is bounded.
    fn transmit(&mut self) {
        loop {
            // Over the other links only control frames leave, which are few.
            let link = self.client.engine().link();
            if self.sockets.iter().any(|socket| Some(socket.link()) == link && socket.is_full()) {
                return;
            }
            let Some(frame) = self.client.poll_transmit(self.clock.now()) else { return };
            if let Some(socket) = self.sockets.iter().find(|socket| socket.link() == frame.link) {
                socket.write(&frame.data);
            }
        }
    }

    /// Starts a chore without waiting for it.
    fn start(&mut self, request: Request) {
        match request {
            Request::CloseLink { link } => {
                self.sockets.iter_mut().filter(|socket| socket.link() == link).for_each(Socket::dismiss);
            }
            Request::Fetch { id, url } => {
                let chore = async move { Chore::Fetched(id, fetch(&url).await) };
                self.chores.push(chore.boxed_local());
            }
            Request::Forget { record } => self.writer.forget(record),
            Request::OpenLink { link, url } => {
                self.sockets.retain(|socket| !socket.is_dismissed());
                match Socket::open(link, &url, self.make_socket.as_ref()) {
                    Some(socket) => self.sockets.push(socket),
                    None => self.chores.push(ready(Chore::NotOpened(link)).boxed_local()),
                }
            }
            Request::Save { record, bytes } => self.writer.save(record, bytes),
        }
    }

    /// `receipted`: of which messages the receipt is told right after it.
    fn deliver(&mut self, event: Event, receipted: &[MessageId]) {
        match event {
            Event::Engine(engine::Event::Closed) => self.ended = true,
            Event::Engine(engine::Event::Failed { code, phase }) => {
                let failure = Failure::new(code).during(phase);
                match self.opening.take() {
                    Some(id) => self.post.answer(id, Err(failure)),
                    None => self.post.failure(&failure),
                }
                self.ended = true;
            }
            Event::Engine(engine::Event::GatewayWanted) => {
                if let Some(topology) = self.client.engine().topology() {
                    self.post.gateway_wanted(topology, self.secure_page);
                }
            }
            Event::Engine(engine::Event::Moved { address }) => {
                self.post.moved(&address, self.client.engine().gateway());
                self.address = Some(address);
                self.moved = true;
            }
            Event::Engine(engine::Event::MoveFailed { code, phase }) => {
                if let Some(id) = self.switching.take() {
                    self.post.answer(id, Err(Failure::new(code).during(phase)));
                }
            }
            Event::Engine(engine::Event::Packets { packets }) => {
                self.post.packets(&packets, self.clock.unix_zero());
            }
            Event::Engine(engine::Event::Ready { address }) => self.address = Some(address),
            Event::Engine(engine::Event::Topology) => {
                let age = self.client.engine().stats(self.clock.now()).topology_age;
                if let Some(topology) = self.client.engine().topology() {
                    self.post.topology(topology, age);
                }
            }
            Event::Engine(engine::Event::Delivered { id, round_trip, retransmissions }) => {
                let receipt = self.client.awaits_receipt(id) || receipted.contains(&id);
                self.post.delivered(id, round_trip, retransmissions, receipt);
            }
            Event::Persisted { id } => {
                if let Some(request) = self.persisting.remove(&id) {
                    self.post.answer(request, Ok(post::persisted(id)));
                }
            }
            Event::NotPersisted { id } => {
                if let Some(request) = self.persisting.remove(&id) {
                    self.post.answer(request, Err(Failure::new(self.not_written).during(Phase::Storage)));
                }
            }
            Event::Engine(event) => {
                if let engine::Event::Undelivered { id, code, phase, .. } = &event
                    && let Some(request) = self.persisting.remove(id)
                {
                    self.post.answer(request, Err(Failure::new(*code).during(*phase)));
                }
                if matches!(event, engine::Event::Room) {
                    self.waiting.has_room();
                }
                self.post.event(event, |tag| self.client.engine().can_answer(tag));
            }
            event => self.post.exchanged(event, |tag| self.client.engine().can_answer(tag)),
        }
    }

    /// Gives the engine the next message that waited for room. Whether there was one.
    fn refill(&mut self) -> bool {
        let up = self.client.engine().up_time(self.clock.now());
        self.refuse_late(up);
        let Some((id, outgoing)) = self.waiting.next(up) else { return false };
        if let Some(outgoing) = self.try_send(id, outgoing) {
            self.waiting.put_back(id, outgoing, up);
            return false;
        }
        if self.waiting.is_empty() {
            // A close that waited for this.
            self.begin_close(self.clock.now());
        }
        true
    }

    /// What waited for room until its time was over.
    fn refuse_late(&mut self, up: Duration) {
        for id in self.waiting.take_late(up) {
            self.post.answer(id, Err(Failure::new(Code::Timeout).during(Phase::Queue)));
        }
    }

    /// `open` and `switch` are answered when the link is up and the address is on disk.
    fn answer_written(&mut self) {
        let Some(address) = self.address.as_ref().filter(|_| self.writer.is_settled()) else { return };
        if self.opening.is_some()
            && let Outbox::Unread(_, begun) = &mut self.outbox
            && let Some(store) = self.writer.store()
        {
            *begun = true;
            let chore = async move { Chore::Outbox(store.load_pages(&OUTBOX_SHELVES).await) };
            self.chores.push(chore.boxed_local());
        }
        let switched = self.switching.take_if(|_| self.moved);
        for id in self.opening.take().into_iter().chain(switched) {
            let exported = self.writer.keeps().then(|| self.exported == Some(address.to_bytes()));
            self.post.answer(id, Ok(post::opened(address, self.client.engine().gateway(), exported)));
        }
    }

    /// Waits for the first thing to happen. Sources take turns, so that none can starve another.
    async fn next(&mut self) -> Input {
        self.arm();
        self.turn = (self.turn + 1) % SOURCES_COUNT;
        poll_fn(|context| {
            for source in self.turn..self.turn + SOURCES_COUNT {
                if let Poll::Ready(input) = self.poll_source(source % SOURCES_COUNT, context) {
                    return Poll::Ready(input);
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll_source(&mut self, source: usize, context: &mut Context<'_>) -> Poll<Input> {
        match source {
            0 => {
                let first = self.turn % self.sockets.len().max(1);
                let (before, after) = self.sockets.split_at_mut(first);
                for socket in after.iter_mut().chain(before) {
                    if let Poll::Ready(event) = socket.poll_event(context) {
                        return Poll::Ready(Input::Socket(socket.link(), event));
                    }
                }
                Poll::Pending
            }
            1 => match self.alarm_at {
                Some(at) => self.alarm.poll(context).map(|()| {
                    self.alarm_at = None;
                    Input::Alarm(at)
                }),
                None => Poll::Pending,
            },
            2 => match Pin::new(&mut self.chores).poll_next(context) {
                Poll::Ready(Some(chore)) => Poll::Ready(Input::Chore(chore)),
                // None under way. The next one is started before the next wait.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            },
            3 => self.commands.poll_next_unpin(context).map(Input::Command),
            _ => self.writer.poll_done(context).map(Input::Written),
        }
    }

    /// Arms the timer for the earliest moment at which there is something to do.
    ///
    /// Also for a moment that is past: each wait goes through the browser's loop, else messages could not arrive.
    fn arm(&mut self) {
        let now = self.clock.now();
        // Looking at the clock now and then notices a suspension.
        let mut at = now + Duration::from_millis(LOOK_MS);
        if self.sockets.iter().any(Socket::is_full) {
            // The browser does not say when it has written.
            at = now + Duration::from_millis(BUFFER_MS);
        }
        if let Some(deadline) = self.client.poll_timeout() {
            at = at.min(deadline);
        }
        if let Some(closing) = self.closing.as_ref().filter(|closing| !closing.begun) {
            at = at.min(closing.deadline);
        }
        let engine = self.client.engine();
        if matches!(engine.state(), State::Ready | State::Degraded)
            && let Some(deadline) = self.waiting.next_deadline()
        {
            at = at.min(now + deadline.saturating_sub(engine.up_time(now)));
        }
        // One that fires too early costs a look. Setting it anew for each later deadline could go on for ever.
        if self.alarm_at.is_none_or(|set| at < set) {
            self.alarm.set(millis_up(at.since(now)));
            self.alarm_at = Some(at);
        }
    }

    /// Waits until records are written and the link is closed, then answers whoever asked to close.
    async fn finish(&mut self) {
        for id in self.opening.take().into_iter().chain(self.switching.take()) {
            self.post.answer(id, Err(Failure::new(Code::Closed)));
        }
        for (_, id) in self.finishing.drain(..) {
            self.post.done(id);
        }
        if let Outbox::Unread(waiting, begun) = core::mem::replace(&mut self.outbox, Outbox::Read) {
            refuse_all(&self.post, waiting, Code::Closed);
            if begun {
                // Whoever comes next finds the store free, and the store's answer finds somebody.
                select(pin!(outbox_chore(&mut self.chores)), TimeoutFuture::new(FLUSH_MS)).await;
            }
        }
        let persisting = core::mem::take(&mut self.persisting);
        for id in self.waiting.take_all().into_iter().chain(persisting.values().copied()) {
            self.post.answer(id, Err(Failure::new(Code::ClosedBeforeDelivery)));
        }
        self.keep_tally(true);
        let flushed = poll_fn(|context| {
            while let Poll::Ready(written) = self.writer.poll_done(context) {
                if let Some(error) = written.error {
                    self.post.failure(&error.into());
                }
            }
            if self.writer.is_idle() { Poll::Ready(()) } else { Poll::Pending }
        });
        select(pin!(flushed), TimeoutFuture::new(FLUSH_MS)).await;
        self.sockets.iter_mut().for_each(Socket::dismiss);
        let closed = poll_fn(|context| {
            self.sockets.retain_mut(|socket| {
                loop {
                    match socket.poll_event(context) {
                        Poll::Ready(SocketEvent::Closed) => return false,
                        Poll::Ready(_) => {}
                        Poll::Pending => return true,
                    }
                }
            });
            if self.sockets.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        select(pin!(closed), TimeoutFuture::new(UNLINK_MS)).await;
        self.sockets.clear();
        // Closes the database, so that whoever is told that we are closed finds it free.
        self.writer.close();
        self.watch = None;
        for id in self.closing.take().map(|closing| closing.ids).unwrap_or_default() {
            self.post.done(id);
        }
    }
}

/// Takes up pages of an earlier run.
fn restore(client: &mut Client, pages: Vec<Page>, now: Instant) {
    for (record, bytes) in pages {
        client.restore(record, bytes.as_ref().map(|bytes| bytes.as_slice()), now);
    }
}

/// Waits until nothing of the outbox is being read.
async fn outbox_chore(chores: &mut FuturesUnordered<LocalBoxFuture<'static, Chore>>) {
    while let Some(chore) = chores.next().await {
        if matches!(chore, Chore::Outbox(_)) {
            return;
        }
    }
}

/// Whole milliseconds, rounded up: a timer that fires early would only have to be set again.
fn millis_up(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u32::MAX >> 1)
}

/// What a wait can end with; see `Driver::poll_source`.
const SOURCES_COUNT: usize = 5;
/// A look at a socket whose buffer is full.
const BUFFER_MS: u64 = 2;
/// The longest wait.
const LOOK_MS: u64 = 30_000;
/// The longest wait for the store at the end.
const FLUSH_MS: u32 = 5_000;
/// The longest wait for the gateway to agree that the link is closed.
const UNLINK_MS: u32 = 1_000;
