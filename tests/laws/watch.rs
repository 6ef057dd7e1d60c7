//! An engine whose every call is followed by draining, as its first law wants it, and by a check of the others.

use std::collections::{BTreeMap, BTreeSet};

use mixlet::engine::{
    Code, Config, ConfigError, Engine, Event, FetchError, FetchId, Frame, Incoming, LinkId, MessageId, Outgoing,
    PacketFormat, Plan, Recipient, Record, Request, SendError, SendOptions, State, Traffic,
};
use mixlet::identity::{Identity, Registration};
use mixlet::limits;
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// What the engine said after one call.
#[derive(Default)]
pub struct Said {
    pub frames: Vec<Frame>,
    pub requests: Vec<Request>,
    pub events: Vec<Event>,
}

impl Said {
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.requests.is_empty() && self.events.is_empty()
    }
}

/// The engine, and what has to be known of the past in order to judge it.
pub struct Watched<P: PacketFormat> {
    engine: Engine<P>,
    now: Instant,
    /// So many frames the link takes after each call.
    pub room: usize,
    /// The link that was asked for and is not closed, and whether it is open.
    link: Option<(LinkId, bool)>,
    last_link: Option<LinkId>,
    last_fetch: Option<FetchId>,
    last_login: Option<u64>,
    /// Lengths of the sealed frames on this link.
    lengths: BTreeSet<usize>,
    /// Messages accepted and not ended, by whether they are told to be sent.
    open: BTreeMap<MessageId, bool>,
    /// The state that was last told, and the reason.
    told: State,
    reason: Option<Code>,
    waits_for_room: bool,
    /// Connecting was begun and has ended neither in [`Event::Ready`] nor in [`Event::Failed`].
    connecting: bool,
    /// `close` is to have the gateway forget the client, and may take so much longer.
    forgets_within: Option<Duration>,
    /// `close` was called.
    closing: bool,
    closed: bool,
}

impl<P: PacketFormat> Watched<P> {
    pub fn new(config: Config, identity: Identity, registration: Option<Registration>, now: Instant) -> Self {
        let last_login = registration.as_ref().map(|known| known.last_login);
        let rng = Box::new(ChaCha20Rng::seed_from_u64(1));
        Self {
            engine: Engine::new(config, identity, registration, rng, now),
            now,
            room: usize::MAX,
            link: None,
            last_link: None,
            last_fetch: None,
            last_login,
            lengths: BTreeSet::new(),
            open: BTreeMap::new(),
            told: State::Idle,
            reason: None,
            waits_for_room: false,
            connecting: false,
            forgets_within: None,
            closing: false,
            closed: false,
        }
    }

    pub fn engine(&self) -> &Engine<P> {
        &self.engine
    }

    /// The link that was asked for and is not closed.
    pub fn link(&self) -> Option<LinkId> {
        self.link.map(|(link, _)| link)
    }

    /// Accepted messages without an end.
    pub fn open_messages(&self) -> Vec<MessageId> {
        self.open.keys().copied().collect()
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    // ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn connect(&mut self, now: Instant) -> Said {
        self.connecting |= self.engine.state() == State::Idle && !self.closing;
        self.engine.connect(now);
        self.after(now)
    }

    pub fn send(
        &mut self,
        id: MessageId,
        to: &Recipient,
        body: &[u8],
        options: &SendOptions,
        now: Instant,
    ) -> (Result<(), SendError>, Said) {
        let result = self.engine.send(id, to, body, options, now);
        match result {
            Ok(()) => {
                assert!(!self.closed, "a message is accepted after the end");
                assert_eq!(self.open.insert(id, false), None, "a number is in use twice");
            }
            Err(SendError::QueueFull) => self.waits_for_room = true,
            Err(SendError::DuplicateId) => assert!(self.open.contains_key(&id), "a number of no message is in use"),
            Err(SendError::TooLarge) => assert!(body.len() > limits::MESSAGE_LEN_MAX),
            Err(_) => {}
        }
        (result, self.after(now))
    }

    pub fn cancel(&mut self, id: MessageId, now: Instant) -> Said {
        self.engine.cancel(id, now);
        self.forget(id);
        self.after(now)
    }

    pub fn forget_at_close(&mut self) {
        let within = Duration::from_secs(5);
        self.engine.forget_at_close(within);
        self.forgets_within = Some(within);
    }

    pub fn forgets_within(&self) -> Option<Duration> {
        self.forgets_within
    }

    pub fn close(&mut self, drain: bool, deadline: Instant, now: Instant) -> Said {
        self.engine.close(drain, deadline, now);
        self.closing = true;
        self.after(now)
    }

    pub fn set_traffic(&mut self, traffic: Traffic, now: Instant) -> (Result<(), ConfigError>, Said) {
        let result = self.engine.set_traffic(traffic, now);
        (result, self.after(now))
    }

    pub fn link_opened(&mut self, link: LinkId, now: Instant) -> Said {
        self.engine.handle_link_open(link, now);
        if let Some((known, open)) = &mut self.link
            && *known == link
        {
            *open = true;
        }
        self.after(now)
    }

    pub fn frame(&mut self, link: LinkId, frame: Incoming<'_>, now: Instant) -> Said {
        self.engine.handle_frame(link, frame, now);
        self.after(now)
    }

    pub fn link_closed(&mut self, link: LinkId, now: Instant) -> Said {
        self.engine.handle_link_closed(link, now);
        self.link = self.link.filter(|(known, _)| *known != link);
        self.after(now)
    }

    pub fn fetched(&mut self, id: FetchId, answer: Result<&[u8], FetchError>, now: Instant) -> Said {
        self.engine.handle_fetched(id, answer, now);
        self.after(now)
    }

    pub fn timeout(&mut self, now: Instant) -> Said {
        self.engine.handle_timeout(now);
        self.after(now)
    }

    /// From now on so many frames are taken at a time.
    pub fn make_room(&mut self, room: usize, now: Instant) -> Said {
        self.room = room;
        self.after(now)
    }

    pub fn online(&mut self, now: Instant) -> Said {
        self.engine.handle_online(now);
        self.after(now)
    }

    /// Everything an older link, an early alarm and a clock that goes back can do: nothing. To be called when all was
    /// drained.
    pub fn disturb(&mut self, noise: &[u8], now: Instant) {
        let stats = format!("{:?}", self.engine.stats(now));
        let (state, timeout) = (self.engine.state(), self.engine.poll_timeout());
        let current = self.link().map_or(u64::MAX, |link| link.0);
        let stale = [current.wrapping_sub(1), current.wrapping_add(1)].map(LinkId);
        let text = String::from_utf8_lossy(noise);
        for now in [now, now.before(Duration::from_secs(1)), Instant::ZERO] {
            for link in stale {
                self.engine.handle_link_open(link, now);
                self.engine.handle_frame(link, Incoming::Binary(noise), now);
                self.engine.handle_frame(link, Incoming::Text(&text), now);
                self.engine.handle_frame(link, Incoming::Text(r#"{"type":"supportedProtocol","version":6}"#), now);
                self.engine.handle_link_closed(link, now);
            }
            self.engine.handle_fetched(FetchId(u64::MAX), Ok(noise), now);
            self.engine.cancel(MessageId(u64::MAX), now);
            if timeout.is_none_or(|at| at > self.now) {
                self.engine.handle_timeout(now);
            }
        }
        assert!(self.after(self.now).is_empty(), "what means nothing was answered");
        assert_eq!(format!("{:?}", self.engine.stats(self.now)), stats, "what means nothing was counted");
        assert_eq!((self.engine.state(), self.engine.poll_timeout()), (state, timeout), "and it has changed something");
    }

    // ── what holds after each call ───────────────────────────────────────────────────────────────────────────────

    fn after(&mut self, now: Instant) -> Said {
        self.now = self.now.max(now);
        let was_closed = self.closed;
        let mut said = Said::default();
        loop {
            while said.frames.len() < self.room
                && let Some(frame) = self.engine.poll_transmit(now)
            {
                self.check_frame(&frame);
                said.frames.push(frame);
            }
            while let Some(request) = self.engine.poll_request() {
                self.check_request(&request);
                said.requests.push(request);
            }
            let mut planned = Vec::new();
            while let Some(event) = self.engine.poll_event() {
                self.check_event(&event);
                planned.extend(if let Event::Planned { id, .. } = &event { Some(*id) } else { None });
                said.events.push(event);
            }
            if planned.is_empty() {
                break;
            }
            planned.into_iter().for_each(|id| self.engine.kept(id, now));
        }
        assert!(!was_closed || said.is_empty(), "something is said after the end");
        self.check_standing();
        said
    }

    fn check_frame(&mut self, frame: &Frame) {
        assert_eq!(Some((frame.link, true)), self.link, "a frame for a link that is not open");
        assert!(frame.data.len() <= limits::FRAME_LEN_MAX);
        if let Outgoing::Binary(bytes) = &frame.data {
            assert!(matches!(self.engine.state(), State::Ready | State::Degraded), "a packet before the login");
            self.lengths.insert(bytes.len());
            assert_eq!(self.lengths.len(), 1, "frames differ in length: {:?}", self.lengths);
        }
    }

    fn check_request(&mut self, request: &Request) {
        match request {
            Request::CloseLink { link } => {
                assert!(Some(*link) <= self.last_link, "a link is closed that there never was");
                self.link = self.link.filter(|(known, _)| known != link);
            }
            Request::Fetch { id, url } => {
                assert!(Some(*id) > self.last_fetch, "fetches have rising numbers");
                assert!(url.starts_with("http"));
                self.last_fetch = Some(*id);
            }
            Request::Forget { record } if *record == Record::Registration => self.last_login = None,
            Request::Forget { record } => assert_ne!(*record, Record::Identity, "the identity stays"),
            Request::OpenLink { link, url } => {
                assert!(Some(*link) > self.last_link, "links have rising numbers");
                assert_eq!(self.link, None, "a second link beside the first");
                assert!(url.starts_with("ws"));
                self.last_link = Some(*link);
                self.link = Some((*link, false));
                self.lengths.clear();
            }
            Request::Save { record, bytes } if *record == Record::Registration => {
                let saved = Registration::from_bytes(bytes).expect("a record that can be read");
                assert!(Some(saved.last_login) > self.last_login, "two logins of one second");
                self.last_login = Some(saved.last_login);
            }
            Request::Save { record, .. } => assert_ne!(*record, Record::Identity, "the identity stays"),
        }
    }

    fn check_event(&mut self, event: &Event) {
        assert!(!self.closed, "news after the end");
        match event {
            Event::Closed => {
                assert_eq!(self.open_messages(), [], "messages without an end");
                assert_eq!(self.engine.state(), State::Closed);
                self.closed = true;
            }
            Event::Delivered { id, .. } => assert_eq!(self.forget(*id), Some(true), "delivered and not sent"),
            Event::Undelivered { id, acked, total, .. } => {
                assert!(self.forget(*id).is_some(), "an end of a message that has none to come");
                assert!(acked <= total);
            }
            Event::Sent { id } => assert_eq!(self.open.insert(*id, true), Some(false), "sent twice, or never accepted"),
            Event::Fragments { id, sent, acked, total, .. } => {
                assert!(self.open.contains_key(id), "news of a message that is not under way");
                assert!(acked <= sent && sent <= total && *total > 0);
            }
            Event::GatewayWanted => assert!(self.connecting && self.engine.address().is_none()),
            Event::Moved { .. } | Event::MoveFailed { .. } => panic!("nobody wanted to move"),
            Event::Planned { id, plan } => {
                assert_eq!(self.open.get(id), Some(&false), "cut after it was sent, or never accepted");
                assert!(Plan::parse(plan).is_some_and(|plan| plan.body().is_some()));
            }
            Event::Packets { .. } => panic!("nobody asked for it"),
            Event::Surbs { .. } => {}
            Event::Topology => assert!(self.engine.topology().is_some()),
            Event::Failed { .. } => {
                self.connecting = false;
                assert_eq!(self.open_messages(), [], "messages without an end");
                self.told = State::Idle;
            }
            Event::Overflow { count, .. } => assert!(*count > 0),
            Event::Progress { fraction, .. } => assert!((0.0..=1.0).contains(fraction)),
            Event::Ready { address } => {
                assert!(core::mem::take(&mut self.connecting), "connected for the first time, again");
                assert!(self.engine.address() == Some(address));
            }
            Event::Received { body, .. } => assert!(body.len() <= limits::REASSEMBLED_LEN_MAX),
            Event::Room => assert!(core::mem::take(&mut self.waits_for_room), "room that nobody waits for"),
            Event::State { state, code } => {
                // A state for another reason is news too.
                assert!(*state != self.told || *code != self.reason, "a change of state that is none: {state:?}");
                (self.told, self.reason) = (*state, *code);
            }
        }
    }

    fn check_standing(&self) {
        assert_eq!(self.told, self.engine.state(), "the state is not the one that was told");
        for bound in self.engine.bounds() {
            assert!(bound.len <= bound.limit, "{bound:?}");
        }
        assert!(self.engine.state() != State::Ready || !self.connecting, "connected, and nobody is told");
        assert!(self.engine.state() != State::Idle || !self.closing, "`close` will never end");
        if matches!(self.engine.state(), State::Idle | State::Closed) {
            assert_eq!(self.engine.poll_timeout(), None, "an alarm where nothing can come");
            assert_eq!(self.link, None, "a link where nothing can come");
        }
    }

    fn forget(&mut self, id: MessageId) -> Option<bool> {
        self.open.remove(&id)
    }
}
