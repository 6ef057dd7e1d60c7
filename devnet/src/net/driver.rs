//! The native driver: the client's engine over a websocket and HTTP on loopback.
//!
//! The engine is not made for more than one thread, so each client has a thread of its own with a small runtime. What
//! is kept between runs of a client are three records in memory ([`Records`]).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use mixlet::engine::{
    Config, Engine, Event, FetchError, FetchId, Incoming, LinkId, MessageId, Outgoing, Recipient, Record, Request,
    SendError, SendOptions, Stats,
};
use mixlet::identity::{Identity, Registration};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use zeroize::Zeroizing;

use super::clock::Clock;
use super::http;
use super::node::system_rng;

/// How many frames wait for the socket. What comes later stays in the engine.
const WRITING_COUNT_MAX: usize = 32;

/// How many frames wait for the engine. Beyond it the socket is not read.
const READ_COUNT_MAX: usize = 256;

/// How long one document of the directory may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client keeps between two runs. Clones are the same store.
#[derive(Clone, Default)]
pub struct Records(Arc<Mutex<BTreeMap<Record, Zeroizing<Vec<u8>>>>>);

impl Records {
    fn load(&self, record: Record) -> Option<Zeroizing<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&record).cloned()
    }

    fn save(&self, record: Record, bytes: Zeroizing<Vec<u8>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(record, bytes);
    }

    fn forget(&self, record: Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&record);
    }

    /// Whether the client has registered at a gateway.
    pub fn is_registered(&self) -> bool {
        self.load(Record::Registration).is_some()
    }
}

/// A client that runs. When it is dropped its thread ends, its link without a close frame.
pub struct NativeClient {
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Event>,
}

enum Command {
    Close { drain: bool, timeout: Duration },
    Send { id: MessageId, to: Recipient, body: Vec<u8>, options: SendOptions, answer: oneshot::Sender<Sent> },
    Stats(oneshot::Sender<Stats>),
}

type Sent = Result<(), SendError>;

impl NativeClient {
    /// Starts a client and lets it connect. The driver sets the time in `config` that its clock begins at.
    ///
    /// # Errors
    /// A record cannot be read, or there is no thread to be had.
    pub fn start(config: Config, records: &Records) -> io::Result<Self> {
        let unreadable = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let identity = match records.load(Record::Identity) {
            Some(bytes) => Identity::from_bytes(&bytes).map_err(unreadable)?,
            None => {
                let identity = Identity::generate(&mut system_rng());
                records.save(Record::Identity, identity.to_bytes());
                identity
            }
        };
        let registration = records.load(Record::Registration);
        let registration =
            registration.map(|bytes| Registration::from_bytes(&bytes)).transpose().map_err(unreadable)?;
        let (commands, commanded) = mpsc::unbounded_channel();
        let (news, events) = mpsc::unbounded_channel();
        let topology = records.load(Record::Topology);
        let records = records.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("native client".to_owned()).spawn(move || {
            let clock = Clock::start();
            let config = Config { unix_zero: clock.unix_start(), ..config };
            let mut engine = Engine::new(config, identity, registration, Box::new(system_rng()), clock.now());
            if let Some(record) = topology {
                engine.restore_topology(&record);
            }
            let (inputs, happened) = mpsc::channel(READ_COUNT_MAX);
            let driver = Driver { clock, engine, records, news, inputs, link: None, tasks: JoinSet::new() };
            runtime.block_on(driver.run(commanded, happened));
        })?;
        Ok(Self { commands, events })
    }

    /// The next news; nothing once the client has ended.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Hands over a message.
    ///
    /// # Errors
    /// What the engine has against it; [`SendError::Closed`] also when the client has ended.
    pub async fn send(&self, id: MessageId, to: Recipient, body: Vec<u8>, options: SendOptions) -> Sent {
        let (answer, answered) = oneshot::channel();
        let command = Command::Send { id, to, body, options, answer };
        self.commands.send(command).map_err(|_| SendError::Closed)?;
        answered.await.unwrap_or(Err(SendError::Closed))
    }

    /// The counters; nothing once the client has ended.
    pub async fn stats(&self) -> Option<Stats> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Stats(answer)).ok()?;
        answered.await.ok()
    }

    /// Lets the client end, after all is acknowledged if `drain`; [`Event::Closed`] says that it has.
    pub fn close(&self, drain: bool, timeout: Duration) {
        // One that has ended is closed.
        let _ = self.commands.send(Command::Close { drain, timeout });
    }
}

/// Something that happened outside the engine.
enum Input {
    Closed(LinkId),
    Fetched(FetchId, Result<Vec<u8>, FetchError>),
    Frame(LinkId, Message),
    Opened(LinkId),
}

/// The link there is.
struct Link {
    id: LinkId,
    /// Dropping it closes the socket.
    writer: mpsc::Sender<Message>,
}

struct Driver {
    clock: Clock,
    engine: Engine,
    records: Records,
    news: mpsc::UnboundedSender<Event>,
    inputs: mpsc::Sender<Input>,
    link: Option<Link>,
    /// Sockets and fetches.
    tasks: JoinSet<()>,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>, mut inputs: mpsc::Receiver<Input>) {
        self.engine.connect(self.clock.now());
        loop {
            let (is_full, has_ended) = self.drain();
            if has_ended {
                break;
            }
            let deadline = self.engine.poll_timeout();
            let alarm = self.clock.deadline(deadline.unwrap_or_default());
            let writer = self.link.as_ref().map(|link| link.writer.clone()).filter(|_| is_full);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                Some(input) = inputs.recv() => self.feed(input),
                () = room(writer) => {}
                () = sleep_until(alarm), if deadline.is_some() => {
                    self.engine.handle_timeout(self.clock.now().max(deadline.unwrap_or_default()));
                }
                Some(_) = self.tasks.join_next() => {}
            }
        }
        drop(self.link.take());
        self.tasks.shutdown().await;
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Close { drain, timeout } => self.engine.close(drain, now + timeout, now),
            // Whoever no longer waits for an answer needs none.
            Command::Send { id, to, body, options, answer } => {
                let _ = answer.send(self.engine.send(id, &to, &body, &options, now));
            }
            Command::Stats(answer) => {
                let _ = answer.send(self.engine.stats(now));
            }
        }
    }

    fn feed(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Closed(id) => {
                self.link.take_if(|link| link.id == id);
                self.engine.handle_link_closed(id, now);
            }
            Input::Fetched(id, answer) => {
                self.engine.handle_fetched(id, answer.as_deref().map_err(|error| *error), now);
            }
            Input::Frame(id, Message::Text(text)) => self.engine.handle_frame(id, Incoming::Text(text.as_str()), now),
            Input::Frame(id, Message::Binary(bytes)) => self.engine.handle_frame(id, Incoming::Binary(&bytes), now),
            Input::Frame(..) => {}
            Input::Opened(id) => self.engine.handle_link_open(id, now),
        }
    }

    /// Carries away all the engine has to say: whether the socket had no room for more, and whether all is over.
    fn drain(&mut self) -> (bool, bool) {
        let is_full = self.transmit();
        while let Some(request) = self.engine.poll_request() {
            self.start(request);
        }
        let mut has_ended = false;
        while let Some(event) = self.engine.poll_event() {
            has_ended |= matches!(event, Event::Closed | Event::Failed { .. });
            // Nobody may be listening any more.
            let _ = self.news.send(event);
        }
        (is_full, has_ended)
    }

    fn transmit(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        loop {
            let room = match link.writer.try_reserve() {
                Ok(room) => room,
                Err(mpsc::error::TrySendError::Full(())) => return true,
                Err(mpsc::error::TrySendError::Closed(())) => return false,
            };
            let Some(frame) = self.engine.poll_transmit(self.clock.now()) else { return false };
            if frame.link == link.id {
                room.send(match frame.data {
                    Outgoing::Binary(bytes) => Message::binary(bytes),
                    Outgoing::Text(text) => Message::text(text),
                });
            }
        }
    }

    /// Starts a chore without waiting for it.
    fn start(&mut self, request: Request) {
        let inputs = self.inputs.clone();
        match request {
            Request::CloseLink { link } => drop(self.link.take_if(|it| it.id == link)),
            Request::Fetch { id, url } => {
                self.tasks.spawn(async move {
                    let _ = inputs.send(Input::Fetched(id, fetch(&url).await)).await;
                });
            }
            Request::Forget { record } => self.records.forget(record),
            Request::OpenLink { link, url } => {
                let (writer, frames) = mpsc::channel(WRITING_COUNT_MAX);
                self.link = Some(Link { id: link, writer });
                self.tasks.spawn(async move {
                    serve_link(link, &url, frames, &inputs).await;
                    let _ = inputs.send(Input::Closed(link)).await;
                });
            }
            Request::Save { record, bytes } => self.records.save(record, bytes),
        }
    }
}

/// Waits until a writer has room; for ever without one.
async fn room(writer: Option<mpsc::Sender<Message>>) {
    match writer {
        // A link that has closed says so in its own way.
        Some(writer) => drop(writer.reserve().await),
        None => std::future::pending().await,
    }
}

/// Opens a link and passes on what comes and goes, until either side closes it.
async fn serve_link(id: LinkId, url: &str, mut frames: mpsc::Receiver<Message>, inputs: &mpsc::Sender<Input>) {
    let Ok((websocket, _)) = connect_async(url).await else { return };
    if inputs.send(Input::Opened(id)).await.is_err() {
        return;
    }
    let (mut sink, mut source) = websocket.split();
    let write = async {
        while let Some(frame) = frames.recv().await {
            if sink.send(frame).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        while let Some(Ok(message)) = source.next().await {
            if inputs.send(Input::Frame(id, message)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

/// Fetches a document of a directory on loopback.
async fn fetch(url: &str) -> Result<Vec<u8>, FetchError> {
    let rest = url.strip_prefix("http://").ok_or(FetchError::Unreachable)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address: SocketAddr = authority.parse().map_err(|_| FetchError::Unreachable)?;
    let target = if path.is_empty() { "/" } else { path };
    match timeout(FETCH_TIMEOUT, http::fetch("GET", address, target, b"")).await {
        Ok(Ok((200, body))) => Ok(body),
        Ok(Ok((status, _))) => Err(FetchError::Status(status)),
        Ok(Err(_)) => Err(FetchError::Unreachable),
        Err(_) => Err(FetchError::TimedOut),
    }
}
