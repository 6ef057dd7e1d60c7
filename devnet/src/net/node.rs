//! What all parts of a network have in common once they have sockets: a mode, a way to be stopped, and frames that
//! come in from other nodes.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use getrandom::SysRng;
use mixlet::sphinx::NodeFrame;
use mixlet::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::clock::Clock;
use crate::directory::EpochClock;
use crate::faults::Faults;
use crate::mix::Peers;
use crate::record::{ClientName, ConnectionId, NodeName, Record, What};

/// How many packets wait between the sockets of a node and the node. Beyond it the sockets are not read.
const ARRIVED_COUNT_MAX: usize = 256;

/// How long to try to listen at an address again after a restart.
const LISTEN_PATIENCE: Duration = Duration::from_secs(5);

/// What every part of a network holds a handle of.
#[derive(Clone)]
pub struct Shared {
    /// The time.
    pub clock: Clock,
    /// When epochs begin.
    pub epochs: watch::Receiver<EpochClock>,
    /// What links do to packets.
    pub faults: watch::Receiver<Faults>,
    /// The addresses of all nodes.
    pub peers: Peers,
    /// What passed.
    pub record: Arc<Mutex<Record>>,
    /// How many messages wait at each gateway for each client.
    pub inboxes: Arc<Mutex<Inboxes>>,
    /// How many clients connected.
    pub connections: Arc<AtomicU64>,
}

/// How many messages wait at each gateway for each client.
pub type Inboxes = BTreeMap<NodeName, BTreeMap<ClientName, usize>>;

impl Shared {
    /// Records what happened at `node` now.
    pub fn note(&self, node: NodeName, what: What) {
        self.note_at(node, self.clock.now(), what);
    }

    /// Records what happened at `node` at `when`.
    pub fn note_at(&self, node: NodeName, when: Instant, what: What) {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).push(node, when, what);
    }

    /// Says how many messages wait at a gateway.
    pub fn set_inbox(&self, gateway: NodeName, counts: BTreeMap<ClientName, usize>) {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(gateway, counts);
    }

    /// A number for a new connection.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// The epoch it is.
    pub fn epoch(&self) -> u32 {
        self.epochs.borrow().epoch(self.clock.unix().as_secs())
    }
}

/// How a part of the network behaves at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Running,
    /// Frozen: sockets stay, nothing is read, no timer runs.
    Paused,
    /// Takes connections and reads, and answers nothing.
    Silent,
}

/// Why a part of the network is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// As if its process had died: nothing is written down any more.
    Crash,
    /// The network ends.
    Orderly,
}

/// A running part of the network.
pub struct Running {
    mode: watch::Sender<Mode>,
    stop: oneshot::Sender<Stop>,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts the task that `run` makes.
    pub fn start<F>(run: impl FnOnce(watch::Receiver<Mode>, oneshot::Receiver<Stop>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (mode, mode_seen) = watch::channel(Mode::Running);
        let (stop, stopped) = oneshot::channel();
        Self { mode, stop, task: tokio::spawn(run(mode_seen, stopped)) }
    }

    /// Changes the mode.
    pub fn switch(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Stops the part; afterwards all its sockets are closed.
    pub async fn stop(self, how: Stop) {
        // A task that ended by itself no longer listens.
        let _ = self.stop.send(how);
        let _ = self.task.await;
    }
}

/// Listens at an address, and keeps trying for a while if it is taken.
///
/// # Errors
/// The address stayed taken or is not ours.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let until = std::time::Instant::now() + LISTEN_PATIENCE;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && std::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// Accepts a connection; waits for ever while the mode says that nothing is accepted.
pub async fn accept(listener: &TcpListener, mode: Mode) -> io::Result<TcpStream> {
    if mode == Mode::Paused {
        return std::future::pending().await;
    }
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits until the mode is running; false if the part has been stopped.
pub async fn running(mode: &mut watch::Receiver<Mode>) -> bool {
    mode.wait_for(|mode| *mode == Mode::Running).await.is_ok()
}

/// A generator seeded by the operating system.
pub fn system_rng() -> ChaCha20Rng {
    let mut system = rand_core::UnwrapErr(SysRng);
    ChaCha20Rng::from_rng(&mut system)
}

/// A packet from another node and when it was read.
pub type Arrival = (NodeFrame, Instant);

/// A channel for packets from other nodes.
pub fn arrivals() -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
    mpsc::channel(ARRIVED_COUNT_MAX)
}

/// Reads frames from another node until the connection ends or what comes is no frame.
pub async fn read_frames(
    mut stream: TcpStream,
    clock: Clock,
    arrivals: mpsc::Sender<Arrival>,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = Vec::new();
    loop {
        let now_mode = *mode.borrow_and_update();
        tokio::select! {
            read = stream.read_buf(&mut buffer), if now_mode != Mode::Paused => match read {
                Ok(len) if len > 0 => {}
                _ => return,
            },
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        let now = clock.now();
        let mut used = 0;
        loop {
            match NodeFrame::decode(buffer.get(used..).unwrap_or_default()) {
                Ok(Some((frame, len))) => {
                    used += len;
                    if now_mode == Mode::Running && arrivals.send((frame, now)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                // The stream cannot be followed any more.
                Err(_) => return,
            }
        }
        buffer.drain(..used);
    }
}

/// The names of the nodes by address.
pub fn peers(nodes: impl IntoIterator<Item = (SocketAddr, NodeName)>) -> Peers {
    Arc::new(nodes.into_iter().map(|(address, name)| (address.into(), name)).collect::<BTreeMap<_, _>>())
}
