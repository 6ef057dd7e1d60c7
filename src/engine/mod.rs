//! The state machine: everything a client does, without clock, socket or random source of its own.
//!
//! It is told what happened and what time it is (`handle_*`), asked by the user (`send`, `cancel`, `close`), and says
//! what to do next (`poll_*`). Its laws:
//!
//! 1. One thing in, then drain: after any call the driver takes [`Engine::poll_transmit`] until it is empty or the
//!    link is full, then [`Engine::poll_request`], then [`Engine::poll_event`], then reads [`Engine::poll_timeout`].
//! 2. Time enters as `now` and only so; an earlier `now` counts as the last one.
//! 3. Waking early does nothing, waking late is normal.
//! 4. Nothing from the network makes a call fail: it is counted, dropped, perhaps the link is closed.
//! 5. Everything is bounded by a name in [`crate::limits`].
//! 6. Same config, same generator, same calls: same outputs.
//! 7. Size, number and time of the frames that leave depend on the traffic settings and the clock, never on whether
//!    the user has something to say.
//! 8. Frames and closures of a link that was closed change nothing.

mod backlogs;
mod bandwidth;
mod bounds;
mod config;
mod conversations;
mod directory;
mod flights;
mod forge;
mod format;
mod inbound;
mod leaving;
mod link;
mod moving;
mod network;
mod outbound;
mod output;
mod pacing;
pub mod pages;
mod plan;
mod records;
mod recovery;
mod replies;
mod reports;
mod rtt;
mod shelf;
mod stats;
mod traffic;
mod unfinished;
mod window;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use rand_core::CryptoRng;

pub use bounds::Bound;
pub use config::{Config, ConfigError, Reconnect, Traffic};
pub use format::{PacketFormat, Sphinx};
pub use output::{
    Code, Event, FetchError, FetchId, Frame, Incoming, LinkId, Listening, MessageId, Outgoing, Overflow, Packet,
    PacketKind, Phase, Priority, Recipient, Record, Replies, Request, SendError, SendOptions, State, SwitchError,
};
pub use pages::Shelf;
pub use plan::{PLAN_VERSION, Plan};
pub use stats::{Dropped, ReceivedCount, Sent, Stats};

use crate::identity::{Identity, Registration};
use crate::limits;
use crate::message::{Address, Budget, Reassembler, SenderTag};
use crate::time::{Duration, Instant};
use crate::topology::{GatewayNode, Topology};

use directory::Directory;
use link::{Link, Session};
use network::{Grace, Stored};
use outbound::{Missed, Outbound};
use pacing::{Pacing, Stream};
use rtt::RttEstimate;
use stats::RoundTrips;
use traffic::{Ahead, Ready};
use unfinished::{
    Deadline, FRAGMENT_COST, Kind, Message, MessageKey, NewMessage, Parked, SURB_COST, Stage, Target, Wants,
};
use window::Window;

/// One client.
pub struct Engine<P: PacketFormat = Sphinx> {
    config: Config,
    identity: Identity,
    registration: Option<Registration>,
    rng: Box<dyn CryptoRng>,

    // where the client stands
    state: State,
    link: Link,
    /// The gateway we move to, and the link that was left.
    moving: Option<Box<moving::Moving>>,
    leaving: Option<moving::Leaving>,
    /// What was agreed with the gateway, while the link is up.
    session: Option<Session>,
    /// Our address, once there is one.
    own: Option<Address>,
    topology: Option<Topology>,
    directory: Directory,
    /// The topology before, while its keys still work.
    grace: Option<Grace>,
    stored: Stored,
    /// Topologies in a row without our gateway.
    gateway_missing: u32,
    closing: Option<Closing>,
    forgetting: Option<leaving::Forgetting>,

    // what goes out
    pacing: Pacing,
    ahead: Ahead,
    ready_surbs: replies::ReadySurbs,
    /// Sealing failed with this topology; not tried again before the next.
    sealing_failed: bool,
    outgoing: VecDeque<Ready>,
    controls: VecDeque<(LinkId, String)>,
    outbound: Outbound,
    rtt: RttEstimate,
    window: Window,

    // what comes in
    reassembler: Reassembler,
    /// Messages and bytes that had to make room, as far as they were reported.
    pushed_out_reported: (u64, u64),
    replies: replies::Replies,
    conversations: conversations::Conversations,

    // what is kept for whoever goes on with this identity
    records: Option<Box<records::Records>>,

    // what is said
    reports: reports::Reports,
    requests: VecDeque<Request>,
    events: VecDeque<Event>,
    wants_room: bool,
    stats: Stats,
    round_trips: RoundTrips,

    /// The latest time seen.
    now: Instant,
    /// Since when the clocks of acks and messages stand still, because no link is up.
    frozen_since: Option<Instant>,
    /// How long there was none, or the machine slept.
    down: Duration,
    format: PhantomData<fn() -> P>,
}

/// `close` was called.
#[derive(Clone, Copy)]
struct Closing {
    /// When what is left is given up.
    deadline: Instant,
    done: bool,
}

impl<P: PacketFormat> Engine<P> {
    /// A client that is idle until [`Self::connect`]. `registration` is what the store held of an earlier run.
    pub fn new(
        config: Config,
        identity: Identity,
        registration: Option<Registration>,
        mut rng: Box<dyn CryptoRng>,
        now: Instant,
    ) -> Self {
        // A user who names another gateway asks for another address.
        let registration = registration.filter(|known| config.gateway.is_none_or(|wanted| wanted == known.gateway));
        let own = registration.as_ref().and_then(|known| identity.address(known.gateway).ok());
        let pacing = Pacing::new(&config.traffic, &mut *rng);
        let reassembler = Reassembler::new(Budget::default(), &mut *rng);
        let records = config.keeps_pages.then(|| Box::new(records::Records::new(reassembler.digest_key())));
        let mut conversations = conversations::Conversations::default();
        if config.keeps_pseudonyms {
            conversations.keep_pseudonyms(&identity);
        }
        Self {
            config,
            identity,
            registration,
            rng,
            state: State::Idle,
            link: Link::new(),
            moving: None,
            leaving: None,
            session: None,
            own,
            topology: None,
            directory: Directory::new(),
            grace: None,
            stored: Stored::default(),
            gateway_missing: 0,
            closing: None,
            forgetting: None,
            pacing,
            ahead: Ahead::default(),
            ready_surbs: replies::ReadySurbs::default(),
            sealing_failed: false,
            outgoing: VecDeque::new(),
            controls: VecDeque::new(),
            outbound: Outbound::default(),
            rtt: RttEstimate::default(),
            window: Window::new(),
            reassembler,
            pushed_out_reported: (0, 0),
            replies: replies::Replies::default(),
            conversations,
            records,
            reports: reports::Reports::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            wants_room: false,
            stats: Stats::default(),
            round_trips: RoundTrips::default(),
            now,
            frozen_since: Some(now),
            down: Duration::ZERO,
            format: PhantomData,
        }
    }

    // ── what the user wants ──────────────────────────────────────────────────────────────────────────────────────

    /// Begins to connect. Ends in [`Event::Ready`] or [`Event::Failed`]; later losses are mended without a call.
    pub fn connect(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.state != State::Idle || self.closing.is_some() {
            return;
        }
        self.enter(State::Connecting, None);
        self.progress(Phase::Topology);
        self.directory.forgive();
        self.link.forgive();
        if self.config.secure_page && self.config.topology.is_none() && !self.config.has_secure_directory() {
            self.fail(Code::MixedContent, Phase::Topology);
            return;
        }
        self.first_topology(now);
    }

    /// Accepts a message. It is copied; sealing happens at the slots.
    ///
    /// # Errors
    /// Each variant of [`SendError`] is something the caller can do something about.
    pub fn send(
        &mut self,
        id: MessageId,
        to: &Recipient,
        body: &[u8],
        options: &SendOptions,
        now: Instant,
    ) -> Result<(), SendError> {
        let now = self.advance(now);
        if self.is_closing() {
            return Err(SendError::Closed);
        }
        if body.len() > limits::MESSAGE_LEN_MAX {
            return Err(SendError::TooLarge);
        }
        if self.outbound.key_of(id).is_some() {
            return Err(SendError::DuplicateId);
        }
        let (target, kind, wanted, wants) = match to {
            Recipient::Address(address) => {
                let (wanted, wants) = match options.replies {
                    Replies::Auto => (limits::SURBS_FIRST, Wants::Refill),
                    Replies::Exactly(count) if count > limits::SURBS_PER_MESSAGE_MAX => {
                        return Err(SendError::TooManyReplies);
                    }
                    Replies::Exactly(count) => (count, Wants::Exactly),
                };
                let plain = options.replies == Replies::Exactly(0);
                let kind = if plain { Kind::Plain } else { Kind::Repliable };
                (Target::Address(address.clone()), kind, wanted as usize, wants)
            }
            Recipient::Tag(tag) => {
                if body.is_empty() {
                    return Err(SendError::EmptyReply);
                }
                self.check_backlog(tag, body.len())?;
                (Target::Tag(*tag), Kind::Reply, 0, Wants::Exactly)
            }
        };
        self.check_room(body.len() + wanted * SURB_COST)?;
        let stage = Stage::Body { body: body.to_vec(), wanted, surbs: Vec::new(), wants };
        self.accept(id, (target, kind), stage, options, now);
        Ok(())
    }

    /// Goes on with a message that an earlier client has cut. Its recipient sees it once, as it comes under the same set
    /// ids. That it is cut is not told again.
    ///
    /// # Errors
    /// As [`Self::send`]; [`SendError::DuplicateId`] also where an unfinished message has one of its sets.
    pub fn resume(
        &mut self,
        id: MessageId,
        to: &Recipient,
        plan: Plan,
        options: &SendOptions,
        now: Instant,
    ) -> Result<(), SendError> {
        let now = self.advance(now);
        if self.is_closing() {
            return Err(SendError::Closed);
        }
        let (fragments, acked) = plan.into_parts();
        if self.outbound.key_of(id).is_some() || self.outbound.has_any_set(fragments.set_ids()) {
            return Err(SendError::DuplicateId);
        }
        let len = fragments.message().len();
        let (target, kind) = match to {
            // Its SURBs are given out, and their keys are on the store's pages: nothing is to be settled about them.
            Recipient::Address(address) => (Target::Address(address.clone()), Kind::Plain),
            Recipient::Tag(tag) => {
                self.check_backlog(tag, len)?;
                (Target::Tag(*tag), Kind::Reply)
            }
        };
        self.check_room(len)?;
        let key = self.accept(id, (target, kind), Stage::Split(fragments), options, now);
        if self.outbound.resumed(key, &acked, now) {
            self.delivered(key, Duration::ZERO);
        }
        Ok(())
    }

    /// Whoever asked for the plan of a message has it, so that it may leave. Any other message is fine.
    pub fn kept(&mut self, id: MessageId, now: Instant) {
        self.advance(now);
        if let Some(key) = self.outbound.key_of(id) {
            self.outbound.kept(key);
        }
    }

    /// Forgets a message: what was not sealed does not leave, nothing of it goes again, no event tells of it.
    pub fn cancel(&mut self, id: MessageId, now: Instant) {
        let now = self.advance(now);
        if let Some(key) = self.outbound.key_of(id) {
            self.drop_ahead_of(key);
            self.remove(key, false);
        }
        self.close_if_drained(now);
    }

    /// Refuses new work and ends: at once, or when everything accepted is acknowledged or `deadline` is reached. Ends
    /// in [`Event::Closed`].
    pub fn close(&mut self, drain: bool, deadline: Instant, now: Instant) {
        let now = self.advance(now);
        let deadline = if drain && self.state != State::Idle { deadline } else { now };
        // A second call can only shorten the first.
        let deadline = self.closing.map_or(deadline, |closing| closing.deadline.min(deadline));
        let done = self.closing.is_some_and(|closing| closing.done);
        self.closing = Some(Closing { deadline, done });
        self.close_if_drained(now);
    }

    /// New traffic settings: the gaps and packets that begin from now on have them. What has left keeps its delays.
    ///
    /// # Errors
    /// When a value is out of its range; nothing has changed then.
    pub fn set_traffic(&mut self, traffic: Traffic, now: Instant) -> Result<(), ConfigError> {
        let now = self.advance(now);
        if !traffic.is_valid() {
            return Err(ConfigError::Traffic);
        }
        let old = core::mem::replace(&mut self.config.traffic, traffic);
        self.traffic_changed(&old, now);
        Ok(())
    }

    // ── what happened ────────────────────────────────────────────────────────────────────────────────────────────

    /// The link is open.
    pub fn handle_link_open(&mut self, link: LinkId, now: Instant) {
        let now = self.advance(now);
        self.link_opened(link, now);
    }

    /// Something came over the link.
    pub fn handle_frame(&mut self, link: LinkId, frame: Incoming<'_>, now: Instant) {
        let now = self.advance(now);
        self.link_frame(link, frame, now);
        if self.replies.has_much_news() {
            self.report(now);
        }
        self.note_released(now);
        self.close_if_drained(now);
    }

    /// The link is closed, or could not be opened.
    pub fn handle_link_closed(&mut self, link: LinkId, now: Instant) {
        let now = self.advance(now);
        self.link_closed(link, now);
        self.close_if_drained(now);
    }

    /// A fetch is done.
    pub fn handle_fetched(&mut self, id: FetchId, answer: Result<&[u8], FetchError>, now: Instant) {
        let now = self.advance(now);
        if matches!(self.state, State::Idle | State::Closed) {
            return;
        }
        self.directory_answered(id, answer, now);
    }

    /// The time of the last [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        if matches!(self.state, State::Idle | State::Closed) {
            return;
        }
        self.link_timeout(now);
        self.move_timeout(now);
        self.serve_slots(now);
        self.miss_acks(now);
        self.expire(now);
        if self.directory.due().is_some_and(|due| due <= now) {
            self.refresh_topology();
        }
        if self.outgoing.is_empty() {
            // Made after what was due has been handed out, so that the work for the next slot does not delay this one.
            self.prepare(now);
        }
        self.report(now);
        self.note_released(now);
        self.write_due(now);
        self.close_if_drained(now);
    }

    /// The browser says that the network is back: waiting for it is over.
    pub fn handle_online(&mut self, now: Instant) {
        let now = self.advance(now);
        self.link_hurry(now);
        self.directory.hasten(now);
    }

    // ── what to do next ──────────────────────────────────────────────────────────────────────────────────────────

    /// Bytes for the link. The caller writes them, or drops them with the link.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        let now = self.advance(now);
        if let Some((link, text)) = self.controls.pop_front() {
            self.stats.bytes_out += text.len() as u64;
            return Some(Frame { link, data: Outgoing::Text(text) });
        }
        let link = self.link.id().filter(|_| !self.is_held(now))?;
        let ready = self.outgoing.pop_front().or_else(|| self.next_unpaced(now));
        self.note_released(now);
        Some(self.hand_out(ready?, link, now))
    }

    /// A chore for the driver.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// News for the user.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Idle | State::Closed) {
            return None;
        }
        let up = self.session.is_some();
        let prepare = (self.wants_to_prepare() && self.outgoing.is_empty()).then_some(self.now);
        let main = self.pacing.next(Stream::Main).filter(|_| !self.config.traffic.danger_no_pacing);
        let acks = self.outbound.next_ack_deadline().filter(|_| up);
        let peers = self.replies.next_due().filter(|_| up);
        [
            prepare,
            main,
            self.pacing.next(Stream::Cover),
            acks,
            self.outbound.next_message_deadline().filter(|_| up),
            peers,
            self.link.next_timeout(self.silence()),
            self.next_move(),
            self.directory.due(),
            self.reassembler.next_deadline().filter(|_| up),
            self.replies.next_sweep(),
            self.conversations.next_sweep(),
            self.next_report(),
            self.next_write(),
            self.grace.as_ref().map(Grace::until),
            self.next_close(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    // ── what can be asked at any time ────────────────────────────────────────────────────────────────────────────

    /// The counters.
    pub fn stats(&self, now: Instant) -> Stats {
        let mut stats = self.stats.clone();
        stats.queued_bytes = self.outbound.bytes() as u64;
        stats.in_flight = self.outbound.in_flight() as u64;
        stats.surbs_held = self.replies.held() as u64;
        stats.round_trip = self.round_trips.percentiles();
        stats.topology_age = self.directory.age(now);
        stats.unfinished_bytes = self.reassembler.bytes() as u64;
        stats
    }

    /// Where the client stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Where others reach this client, once it has a gateway.
    pub fn address(&self) -> Option<&Address> {
        self.own.as_ref()
    }

    /// The gateway in our address as the topology knows it, and the URL in use.
    pub fn gateway(&self) -> Option<(&GatewayNode, &str)> {
        let node = self.topology.as_ref()?.gateway(&self.own.as_ref()?.gateway())?;
        Some((node, self.link.url()))
    }

    /// The topology in use.
    pub fn topology(&self) -> Option<&Topology> {
        self.topology.as_ref()
    }

    /// What the time of a message that has not ended goes into.
    pub fn phase(&self, id: MessageId) -> Option<Phase> {
        self.outbound.key_of(id).map(|key| self.phase_of(key))
    }

    /// Fragments of a message that went again so far.
    pub fn retransmissions(&self, id: MessageId) -> u32 {
        let message = self.outbound.key_of(id).and_then(|key| self.outbound.message(key));
        message.map_or(0, |message| message.progress().retransmissions)
    }

    /// How long ago a fragment of a message left last; zero where none has, or the message is unknown.
    pub fn since_left(&self, id: MessageId, now: Instant) -> Duration {
        let message = self.outbound.key_of(id).and_then(|key| self.outbound.message(key));
        let left = message.map(|message| message.last_left).filter(|left| *left != Instant::ZERO);
        left.map_or(Duration::ZERO, |left| now.since(left))
    }

    /// Which fragments of a message were acknowledged, one bit for each, the first the lowest of the first byte. `None`: it
    /// is not cut, or unknown.
    pub fn acked(&self, id: MessageId) -> Option<Vec<u8>> {
        self.outbound.acked_bits(self.outbound.key_of(id)?)
    }

    /// `close` was called, or there is nothing left to close.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() || self.state == State::Closed
    }

    /// SURBs held for answering this peer.
    pub fn surbs_of(&self, tag: &SenderTag) -> usize {
        self.replies.stock_of(tag)
    }

    /// How long a link was up so far, give or take the same for all times: what deadlines of messages are counted in.
    pub fn up_time(&self, now: Instant) -> Duration {
        self.link_time(now).since(Instant::ZERO).saturating_sub(self.down)
    }

    // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Moves the clock on and notices a sleep: a wake-up much later than asked for.
    fn advance(&mut self, now: Instant) -> Instant {
        if now <= self.now {
            return self.now;
        }
        if now.since(self.now) >= limits::SLEEP_GAP && self.session.is_some() {
            let late = self.poll_timeout().map_or(Duration::ZERO, |asked| now.since(asked.max(self.now)));
            if late >= limits::SLEEP_GAP {
                self.link.heard_now(now);
                self.drop_ahead();
                self.paused(late);
                self.directory.hasten(now);
            }
        }
        self.now = now;
        now
    }

    /// No link was up for this long, or the machine slept: what waits for acks and fragments gets that time back.
    fn paused(&mut self, pause: Duration) {
        self.down = self.down.saturating_add(pause);
        self.outbound.shift(pause);
        self.replies.shift(pause);
        self.reassembler.note_sleep(pause);
        for key in self.outbound.begin_anew(pause) {
            self.give_up(key, Code::Timeout, Phase::Network);
        }
    }

    /// Whether a message of this length can be taken; if not, the caller is told when there is room.
    fn check_room(&mut self, len: usize) -> Result<(), SendError> {
        if self.outbound.has_room(len) {
            return Ok(());
        }
        self.wants_room = true;
        Err(SendError::QueueFull)
    }

    /// Takes a message of the user's for which there is room.
    fn accept(
        &mut self,
        id: MessageId,
        (target, kind): (Target, Kind),
        stage: Stage,
        options: &SendOptions,
        now: Instant,
    ) -> MessageKey {
        let deadline = self.deadline(options, stage.len(), now);
        if let Target::Tag(tag) = &target {
            self.replies.answer(*tag);
        }
        self.outbound.insert(NewMessage::users(id, target, kind, stage, options, deadline))
    }

    /// Whether a reply of this length can be taken for this peer.
    fn check_backlog(&mut self, tag: &SenderTag, len: usize) -> Result<(), SendError> {
        if self.replies.stock_of(tag) == 0 && !self.replies.awaits(tag) {
            return Err(SendError::NoSurbs);
        }
        if self.outbound.has_room_for(tag, len) {
            return Ok(());
        }
        // A peer that does not give SURBs is not to fill the queue of all others.
        if self.outbound.is_parked(tag) {
            return Err(SendError::NoSurbs);
        }
        self.wants_room = true;
        Err(SendError::QueueFull)
    }

    /// Until when a message of this length is tried.
    fn deadline(&self, options: &SendOptions, len: usize, now: Instant) -> Option<Deadline> {
        match options.timeout {
            _ if options.no_deadline => None,
            Some(timeout) => Some(Deadline { at: self.link_time(now) + timeout, by_pace: false }),
            None => self.default_deadline(len, now),
        }
    }

    /// Time with the link up, and what the fragments before it need at the present pace.
    fn default_deadline(&self, len: usize, now: Instant) -> Option<Deadline> {
        let fragments = self.outbound.waiting_fragments() + len / FRAGMENT_COST + 1;
        let pace = self.config.traffic.slot * u32::try_from(fragments).unwrap_or(u32::MAX);
        Some(Deadline { at: self.link_time(now) + limits::MESSAGE_TIME + pace, by_pace: true })
    }

    /// Now, as messages count it: while their clocks stand still, what has passed already must not count.
    fn link_time(&self, now: Instant) -> Instant {
        self.frozen_since.unwrap_or(now)
    }

    /// What the time of a message goes into.
    fn phase_of(&self, key: MessageKey) -> Phase {
        match self.outbound.message(key) {
            Some(message) if message.parked == Some(Parked::NoSurbs) => Phase::Peer,
            Some(message) if message.progress().all_sent => Phase::Network,
            _ => Phase::Queue,
        }
    }

    fn miss_acks(&mut self, now: Instant) {
        if self.session.is_none() {
            return;
        }
        while let Some(missed) = self.outbound.take_missed(now) {
            self.window.missed(self.rtt.mean(), now);
            if let Missed::GivenUp(key) = missed {
                self.give_up(key, Code::NoAcks, Phase::Network);
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let up = self.session.is_some();
        while let Some(key) = self.outbound.overdue(now).filter(|_| up) {
            self.give_up(key, Code::Timeout, self.phase_of(key));
        }
        if up {
            self.mind_peers(now);
            self.stats.dropped.expired += self.reassembler.expire(now) as u64;
        }
        self.stats.dropped.surb += u64::from(self.replies.expire(now));
        self.conversations.expire(now);
        self.end_grace(now);
        self.report_evictions();
    }

    /// Half-received messages that had to make room are told of, never dropped silently.
    fn report_evictions(&mut self) {
        let total = (self.reassembler.pushed_out(), self.reassembler.pushed_out_bytes());
        let count = total.0 - self.pushed_out_reported.0;
        if count > 0 {
            let bytes = total.1 - self.pushed_out_reported.1;
            self.pushed_out_reported = total;
            self.stats.dropped.expired += count;
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.events.push_back(Event::Overflow { what: Overflow::Unfinished, count, bytes });
        }
    }

    fn delivered(&mut self, key: MessageKey, round_trip: Duration) {
        let Some(message) = self.remove(key, true) else { return };
        if let Some(id) = message.id {
            let progress = message.progress();
            self.last_progress(key, id, message.watched, progress);
            let retransmissions = progress.retransmissions;
            self.events.push_back(Event::Delivered { id, round_trip, retransmissions });
        }
    }

    fn give_up(&mut self, key: MessageKey, code: Code, phase: Phase) {
        self.drop_ahead_of(key);
        let Some(message) = self.remove(key, false) else { return };
        if let Some(id) = message.id {
            self.stats.undelivered += 1;
            let progress = message.progress();
            self.last_progress(key, id, message.watched, progress);
            let unfinished::Progress { acked, total, retransmissions, .. } = progress;
            self.events.push_back(Event::Undelivered { id, code, phase, acked, total, retransmissions });
        }
    }

    fn remove(&mut self, key: MessageKey, delivered: bool) -> Option<Message> {
        let message = self.outbound.remove(key)?;
        self.settle_surbs(key, &message, delivered);
        if self.wants_room {
            self.wants_room = false;
            self.events.push_back(Event::Room);
        }
        Some(message)
    }

    fn close_if_drained(&mut self, now: Instant) {
        let Some(closing) = self.closing.filter(|closing| !closing.done) else { return };
        if self.outbound.holds_user_messages() && now < closing.deadline {
            return;
        }
        for key in self.outbound.keys() {
            self.give_up(key, Code::ClosedBeforeDelivery, Phase::Network);
        }
        if self.is_being_forgotten(now) {
            return;
        }
        self.closing = Some(Closing { done: true, ..closing });
        self.link_shut();
        self.write_all();
        self.enter(State::Closed, None);
        self.events.push_back(Event::Closed);
    }

    /// Connecting failed for good: the engine is idle again, and what it had accepted is undelivered.
    fn fail(&mut self, code: Code, phase: Phase) {
        self.link_shut();
        for key in self.outbound.keys() {
            self.give_up(key, code, phase);
        }
        self.state = State::Idle;
        self.write_all();
        self.events.push_back(Event::Failed { code, phase });
        // A `close` that waited for what has now been given up waits no more.
        self.close_if_drained(self.now);
    }

    fn enter(&mut self, state: State, code: Option<Code>) {
        if self.state != state {
            self.state = state;
            self.events.push_back(Event::State { state, code });
        }
    }

    fn progress(&mut self, phase: Phase) {
        if self.state == State::Connecting {
            let fraction = match phase {
                Phase::Storage => 0.1,
                Phase::Topology => 0.2,
                Phase::Gateway => 0.5,
                Phase::Auth => 0.7,
                Phase::Bandwidth => 0.9,
                Phase::Network | Phase::Peer | Phase::Queue => 1.0,
            };
            self.events.push_back(Event::Progress { phase, fraction });
        }
    }
}
