//! Sockets, files and time around a gateway.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use mixlet::gateway::IdentityKeypair;
use mixlet::time::Instant;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::clock::Clock;
use super::link::Links;
use super::node::{Arrival, Mode, Shared, Stop, accept, arrivals, read_frames, running, system_rng};
use crate::directory::{GatewayEntry, Seed};
use crate::faults::Position;
use crate::gateway::{Forward, Gateway, Output, Parts};
use crate::record::{ClientName, ConnectionId, Fingerprint, NodeName, Way, What};
use crate::state::{Change, INBOX_LEN_MAX, Journal};

/// How long a client may take from connecting to an open websocket.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest message a client may send; legal ones are far shorter.
const MESSAGE_LEN_MAX: usize = 1 << 20;

/// How many events of clients wait for the gateway. Beyond it the clients' sockets are not read.
const EVENT_COUNT_MAX: usize = 1024;

/// How many bytes wait for one client's socket; room for a whole inbox. Beyond it the connection is dropped.
const QUEUE_LEN_MAX: usize = INBOX_LEN_MAX + (INBOX_LEN_MAX / 2);

/// How many things are handled before what comes of them is written to disk and sockets.
const BATCH_COUNT: usize = 32;

/// What a gateway is started with.
pub struct GatewayPlan {
    /// Its place in the list of gateways.
    pub place: u32,
    /// What the directory says about it.
    pub entry: GatewayEntry,
    /// What its keys follow from.
    pub seed: Seed,
    /// The version of the link protocol it announces.
    pub protocol_version: u8,
    /// Where its journal lies.
    pub journal: PathBuf,
    /// Takes packets.
    pub mix_listener: TcpListener,
    /// Takes clients.
    pub client_listener: TcpListener,
}

/// A gateway with sockets.
pub struct GatewayTask {
    shared: Shared,
    own: NodeName,
    plan: GatewayPlan,
    gateway: Gateway,
    /// Missing while it is being written, and for good once that has failed.
    journal: Option<Journal>,
    queues: BTreeMap<ConnectionId, Queue>,
    tasks: JoinSet<()>,
    /// The epoch whose keys the gateway has.
    epoch: Option<u32>,
}

/// The way to a client's socket.
struct Queue {
    messages: mpsc::UnboundedSender<Message>,
    /// Bytes that wait in it.
    len: Arc<AtomicUsize>,
}

/// Something a client did.
enum Event {
    Binary(Vec<u8>),
    Closed,
    Opened(Queue),
    Pong(Vec<u8>),
    Text(String),
}

type Events = mpsc::Sender<(ConnectionId, Instant, Event)>;

impl GatewayTask {
    /// Reads what the gateway knew before.
    ///
    /// # Errors
    /// The journal cannot be used.
    pub fn open(shared: Shared, plan: GatewayPlan) -> io::Result<Self> {
        let (journal, saved) = Journal::open(&plan.journal)?;
        let gateway = Gateway::new(Parts {
            identity: IdentityKeypair::from_bytes(&plan.seed.identity(plan.entry.id).to_bytes()),
            protocol_version: plan.protocol_version,
            peers: shared.peers.clone(),
            saved,
            rng: system_rng(),
        });
        Ok(Self {
            own: NodeName::Gateway(plan.place),
            gateway,
            journal: Some(journal),
            queues: BTreeMap::new(),
            tasks: JoinSet::new(),
            epoch: None,
            shared,
            plan,
        })
    }

    /// Runs the gateway until it is stopped or its disk fails.
    pub async fn run(mut self, mut mode: watch::Receiver<Mode>, mut stop: oneshot::Receiver<Stop>) {
        let mut links = Links::new(self.shared.clone(), self.own, Position::First, mode.clone());
        let (arrived, mut packets) = arrivals();
        let (clients, mut events) = mpsc::channel(EVENT_COUNT_MAX);
        self.show_inboxes();
        let how = loop {
            let now_mode = *mode.borrow_and_update();
            let due = self.gateway.poll_timeout().filter(|_| now_mode == Mode::Running);
            let deadline = self.shared.clock.deadline(due.unwrap_or_default());
            tokio::select! {
                how = &mut stop => break how.unwrap_or(Stop::Crash),
                Ok(stream) = accept(&self.plan.mix_listener, now_mode) => {
                    self.tasks.spawn(read_frames(stream, self.shared.clock, arrived.clone(), mode.clone()));
                }
                Ok(stream) = accept(&self.plan.client_listener, now_mode) => {
                    let id = self.shared.next_connection();
                    self.tasks.spawn(serve_client(stream, id, self.shared.clock, clients.clone(), mode.clone()));
                }
                Some(arrival) = packets.recv(), if now_mode != Mode::Paused => self.take_packet(arrival, now_mode),
                Some((id, when, event)) = events.recv(), if now_mode != Mode::Paused => {
                    self.take_event(id, when, event, now_mode);
                }
                () = sleep_until(deadline), if due.is_some() => self.gateway.handle_timeout(self.shared.clock.now()),
                Ok(()) = mode.changed() => {}
                Some(_) = self.tasks.join_next() => {}
            }
            if now_mode == Mode::Running {
                for _ in 0..BATCH_COUNT {
                    match (packets.try_recv(), events.try_recv()) {
                        (Err(_), Err(_)) => break,
                        (packet, event) => {
                            packet.into_iter().for_each(|packet| self.take_packet(packet, now_mode));
                            event.into_iter().for_each(|(id, when, event)| self.take_event(id, when, event, now_mode));
                        }
                    }
                }
            }
            if let Err(error) = self.carry_out(&mut links).await {
                eprintln!("mixlet-devnet: {}: {}: {error}", self.own, self.plan.journal.display());
                break Stop::Crash;
            }
        };
        if how == Stop::Orderly {
            self.gateway.flush();
            // It ends anyway; what could not be written is lost as in a crash.
            let _ = self.carry_out(&mut links).await;
        }
        self.tasks.shutdown().await;
    }

    fn take_packet(&mut self, (frame, when): Arrival, mode: Mode) {
        if mode != Mode::Running {
            return;
        }
        let epoch = self.shared.epoch();
        if self.epoch != Some(epoch) {
            let rotations = self.shared.epochs.borrow().keys_in(epoch);
            let (seed, id) = (&self.plan.seed, self.plan.entry.id);
            self.gateway.hold_keys(rotations, |rotation| seed.sphinx(id, rotation));
            self.epoch = Some(epoch);
        }
        let bytes = frame.packet.as_bytes();
        let (packet, len, rotation) = (Fingerprint::of(bytes), bytes.len(), frame.rotation.to_byte());
        self.shared.note_at(self.own, when, What::Arrived { packet, len, rotation });
        self.gateway.set_unix_time(self.shared.clock.unix().as_secs());
        if let Err(why) = self.gateway.handle_packet(frame, when) {
            self.shared.note(self.own, What::Dropped { packet, len, why });
        }
    }

    fn take_event(&mut self, id: ConnectionId, when: Instant, event: Event, mode: Mode) {
        self.gateway.set_unix_time(self.shared.clock.unix().as_secs());
        match event {
            Event::Closed => {
                self.queues.remove(&id);
                self.gateway.handle_closed(id, when);
            }
            _ if mode != Mode::Running => {}
            Event::Opened(queue) => {
                if self.gateway.handle_open(id, when) {
                    self.queues.insert(id, queue);
                }
            }
            Event::Text(text) => {
                self.note_frame(id, when, Way::In, false, text.len());
                self.gateway.handle_text(id, &text, when);
            }
            Event::Binary(frame) => {
                self.note_frame(id, when, Way::In, true, frame.len());
                self.gateway.handle_binary(id, &frame, when);
            }
            Event::Pong(answer) => self.gateway.handle_pong(id, &answer, when),
        }
    }

    /// Does all the gateway wants done: first what must be on disk before anything else, then the rest in order.
    async fn carry_out(&mut self, links: &mut Links) -> io::Result<()> {
        let (mut stored, mut discarded, mut others) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Store(change) => stored.push(change),
                Output::Discard(change) => discarded.push(change),
                other => others.push(other),
            }
        }
        let inbox_changed = stored.iter().chain(&discarded).any(|change| !matches!(change, Change::Client(..)));
        if !stored.is_empty() {
            self.append(stored, true).await?;
        }
        for output in others {
            match output {
                Output::Text(id, text) => {
                    self.note_frame(id, self.shared.clock.now(), Way::Out, false, text.len());
                    self.queue(id, Message::text(text));
                }
                Output::Binary(id, bytes) => {
                    self.note_frame(id, self.shared.clock.now(), Way::Out, true, bytes.len());
                    self.queue(id, Message::binary(bytes));
                }
                Output::Ping(id, bytes) => self.queue(id, Message::Ping(bytes.to_vec().into())),
                // What was queued before is still sent.
                Output::Close(id) => drop(self.queues.remove(&id)),
                Output::Forward(forward) => self.forward(links, forward),
                Output::Note(what) => self.shared.note(self.own, what),
                Output::Store(_) | Output::Discard(_) => {}
            }
        }
        if !discarded.is_empty() {
            self.append(discarded, false).await?;
        }
        if inbox_changed {
            self.show_inboxes();
        }
        Ok(())
    }

    fn show_inboxes(&self) {
        let counts = self.gateway.saved().inbox_counts().map(|(id, count)| (ClientName(*id), count));
        self.shared.set_inbox(self.own, counts.collect());
    }

    /// Appends to the journal, away from the tasks that must not wait for a disk.
    async fn append(&mut self, changes: Vec<Change>, durable: bool) -> io::Result<()> {
        let mut journal = self.journal.take().ok_or_else(|| io::Error::other("the journal is broken"))?;
        let (mut journal, written) = spawn_blocking(move || {
            let written = journal.append(&changes, durable);
            (journal, written)
        })
        .await?;
        written?;
        journal.compact(self.gateway.saved())?;
        self.journal = Some(journal);
        Ok(())
    }

    fn queue(&mut self, id: ConnectionId, message: Message) {
        let Some(queue) = self.queues.get(&id) else { return };
        let waiting = queue.len.fetch_add(message.len(), Ordering::Relaxed);
        if waiting > QUEUE_LEN_MAX || queue.messages.send(message).is_err() {
            self.queues.remove(&id);
        }
    }

    fn forward(&mut self, links: &mut Links, forward: Forward) {
        let Forward { to, to_name, frame, arrived, since } = forward;
        let packet = links.send(&mut self.tasks, to, &frame);
        let now = self.shared.clock.now();
        let held_us = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        let len = frame.packet.as_bytes().len();
        self.shared.note_at(self.own, now, What::Left { arrived, packet, to: to_name, len, asked_us: 0, held_us });
    }

    fn note_frame(&self, connection: ConnectionId, when: Instant, way: Way, binary: bool, len: usize) {
        let client = self.gateway.client(connection);
        self.shared.note_at(self.own, when, What::Frame { connection, client, way, binary, len });
    }
}

/// Opens the websocket of a client and passes on what comes and goes, until one side has enough.
async fn serve_client(
    mut stream: TcpStream,
    id: ConnectionId,
    clock: Clock,
    events: Events,
    mut mode: watch::Receiver<Mode>,
) {
    if *mode.borrow() == Mode::Silent {
        swallow(&mut stream, &mut mode).await;
        return;
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_LEN_MAX))
        .max_frame_size(Some(MESSAGE_LEN_MAX));
    let Ok(Ok(websocket)) = timeout(UPGRADE_TIMEOUT, accept_async_with_config(stream, Some(config))).await else {
        return;
    };
    let (messages, mut queued) = mpsc::unbounded_channel::<Message>();
    let len = Arc::new(AtomicUsize::new(0));
    let queue = Queue { messages, len: len.clone() };
    if events.send((id, clock.now(), Event::Opened(queue))).await.is_err() {
        return;
    }
    let (mut sink, mut source) = websocket.split();
    let mut writing_mode = mode.clone();
    let write = async {
        while let Some(message) = queued.recv().await {
            let message_len = message.len();
            if !running(&mut writing_mode).await || sink.send(message).await.is_err() {
                return;
            }
            len.fetch_sub(message_len, Ordering::Relaxed);
        }
    };
    let read = async {
        loop {
            let now_mode = *mode.borrow_and_update();
            let message = tokio::select! {
                message = source.next(), if now_mode != Mode::Paused => message,
                changed = mode.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let event = match message {
                Some(Ok(Message::Text(text))) => Event::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => Event::Binary(bytes.to_vec()),
                Some(Ok(Message::Pong(bytes))) => Event::Pong(bytes.to_vec()),
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
                // A close frame is not answered.
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            };
            if now_mode == Mode::Running && events.send((id, clock.now(), event)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    // A gateway that has ended needs no news.
    let _ = events.send((id, clock.now(), Event::Closed)).await;
}

/// Reads what comes and answers nothing, until the other side closes or the mode changes.
async fn swallow(stream: &mut TcpStream, mode: &mut watch::Receiver<Mode>) {
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(len) if len > 0 => {}
                _ => return,
            },
            changed = mode.changed() => {
                if changed.is_err() || *mode.borrow() != Mode::Silent {
                    return;
                }
            }
        }
    }
}
