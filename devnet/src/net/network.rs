//! Starts, controls and ends a network.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};
use tokio::task::JoinSet;

use super::api;
use super::clock::Clock;
use super::gateway::{GatewayPlan, GatewayTask};
use super::http::{self, Response};
use super::mix::MixTask;
use super::node::{Mode, Running, Shared, Stop, accept, listen, peers, running};
use super::ports::Ports;
use super::state_folder::StateFolder;
use crate::directory::{
    Directory, EpochClock, GATEWAY_COUNT_MAX, GatewayEntry, MixEntry, NODES_PER_LAYER_MAX, ROTATION_EPOCHS_MIN, Seed,
};
use crate::faults::Faults;
use crate::record::{NodeName, Record, What};

/// How a network is to be.
#[derive(Clone)]
pub struct Options {
    /// Port of the directory; 0 for a free one.
    pub directory_port: u16,
    /// Port of the control endpoint; 0 for a free one.
    pub control_port: u16,
    /// Port of the first gateway for clients, the next ones follow; 0 for free ones.
    pub gateway_port: u16,
    /// What keys follow from; if missing the one in the state folder, or a random one.
    pub seed: Option<Seed>,
    /// How many mix nodes each of the three layers has.
    pub nodes_per_layer: u32,
    /// How many gateways there are.
    pub gateways: u32,
    /// What links do to packets.
    pub faults: Faults,
    /// Where registrations and inboxes are kept; if missing in a new folder that goes when the network ends.
    pub state: Option<std::path::PathBuf>,
    /// Forgets what the state folder holds.
    pub forget: bool,
    /// How long an epoch lasts, in seconds.
    pub epoch_len: u64,
    /// How many epochs a key rotation lasts.
    pub rotation_epochs: u32,
    /// The version of the link protocol that gateways announce.
    pub protocol_version: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            directory_port: 0,
            control_port: 0,
            gateway_port: 0,
            seed: None,
            nodes_per_layer: 2,
            gateways: 2,
            faults: Faults::default(),
            state: None,
            forget: false,
            epoch_len: 3600,
            rotation_epochs: 24,
            protocol_version: PROTOCOL_VERSION,
        }
    }
}

/// The version of the link protocol that gateways announce by themselves.
pub const PROTOCOL_VERSION: u8 = 6;

/// Where everything is; printed as one line when the network is ready.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The base of the directory's API.
    pub directory: String,
    /// The control endpoint.
    pub control: String,
    /// The gateways in order.
    pub gateways: Vec<GatewayInfo>,
    /// The mix nodes in order.
    pub mixnodes: Vec<MixInfo>,
    /// The seed, in hexadecimal digits.
    pub seed: String,
}

/// Where a gateway is.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayInfo {
    /// Its identity in base58.
    pub id: String,
    /// Where it takes clients.
    pub url: String,
    /// Where it takes packets.
    pub mix: SocketAddr,
    /// Its node id.
    pub node_id: u32,
}

/// Where a mix node is.
#[derive(Clone, Debug, Serialize)]
pub struct MixInfo {
    /// Its layer, 1 to 3.
    pub layer: u8,
    /// Where it takes packets.
    pub address: SocketAddr,
    /// Its node id.
    pub id: u32,
}

/// What can be done to a part of a running network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The directory answers every request with a page of HTML, until it is told to resume.
    Html,
    /// All sockets are cut, without a close frame, and nobody listens any more.
    Kill,
    /// Everything freezes.
    Pause,
    /// Kill if need be, then start anew from what is on disk.
    Restart,
    /// The end of pause, silence or HTML.
    Resume,
    /// Connections are taken and read, nothing is answered or sent.
    Silence,
}

impl Action {
    /// The action with this name; nothing if `of` cannot do it.
    pub fn parse(text: &str, of: NodeName) -> Option<Self> {
        let all = [Self::Html, Self::Kill, Self::Pause, Self::Restart, Self::Resume, Self::Silence];
        let action = all.into_iter().find(|action| action.as_str() == text)?;
        (action != Self::Html || of == NodeName::Directory).then_some(action)
    }

    /// The name of this action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Resume => "resume",
            Self::Silence => "silence",
        }
    }
}

/// A running network. It ends with [`Network::shutdown`], or with the process.
pub struct Network {
    inner: Arc<Inner>,
    control: Running,
}

/// What the parts of a network and the control endpoint share.
pub struct Inner {
    /// Where everything is.
    pub info: Info,
    /// What nodes get.
    pub shared: Shared,
    /// What the directory knows.
    pub directory: Mutex<Directory>,
    /// Whether the directory answers with HTML.
    pub html: AtomicBool,
    /// Sets the faults.
    pub faults: watch::Sender<Faults>,
    epochs: watch::Sender<EpochClock>,
    folder: StateFolder,
    ports: BTreeMap<String, u16>,
    protocol_version: u8,
    /// The parts that are not killed.
    parts: AsyncMutex<BTreeMap<NodeName, Running>>,
}

impl Network {
    /// Starts a network; when this returns all its parts listen.
    ///
    /// # Errors
    /// An option is out of its range, a port is taken, or the state folder cannot be used.
    pub async fn start(options: Options) -> io::Result<Self> {
        check(&options)?;
        let clock = Clock::start();
        let folder = StateFolder::open(&options, clock.unix().as_secs())?;
        let mut ports = Ports::new(folder.ports.clone());
        let mut listeners = BTreeMap::new();
        let directory_listener = ports.listen("directory", options.directory_port).await?;
        let control_listener = ports.listen("control", options.control_port).await?;
        let base = format!("http://{}", directory_listener.local_addr()?);
        let control = format!("http://{}", control_listener.local_addr()?);
        listeners.insert(NodeName::Directory, vec![directory_listener]);
        let mut directory =
            Directory { seed: folder.seed.clone(), mixes: vec![], gateways: vec![], clock: folder.epochs };
        for (id, layer) in (1..).zip((1..=3).flat_map(|layer| (0..options.nodes_per_layer).map(move |_| layer))) {
            let name = NodeName::Mix(id);
            let listener = ports.listen(&name.to_string(), 0).await?;
            directory.mixes.push(MixEntry { id, layer, address: listener.local_addr()? });
            listeners.insert(name, vec![listener]);
        }
        for (id, place) in (3 * options.nodes_per_layer + 1..).zip(0..options.gateways) {
            let name = NodeName::Gateway(place);
            let mix = ports.listen(&name.to_string(), 0).await?;
            let wanted = client_port(options.gateway_port, place)?;
            let clients = ports.listen(&format!("{name}-clients"), wanted).await?;
            let (mix_address, client_address) = (mix.local_addr()?, clients.local_addr()?);
            directory.gateways.push(GatewayEntry { id, mix_address, client_address });
            listeners.insert(name, vec![mix, clients]);
        }
        folder.keep(&folder.epochs, ports.used())?;

        let (epochs, epochs_seen) = watch::channel(folder.epochs);
        let (faults, faults_seen) = watch::channel(options.faults.checked().map_err(io::Error::other)?);
        let shared = Shared {
            clock,
            epochs: epochs_seen,
            faults: faults_seen,
            peers: peers(addresses(&directory)),
            record: Arc::default(),
            inboxes: Arc::default(),
            connections: Arc::default(),
        };
        let info = info(&directory, base, control);
        let inner = Arc::new(Inner {
            info,
            shared,
            directory: Mutex::new(directory),
            html: AtomicBool::new(false),
            faults,
            epochs,
            ports: ports.used().clone(),
            folder,
            protocol_version: options.protocol_version,
            parts: AsyncMutex::default(),
        });
        for (name, listeners) in listeners {
            let part = Inner::start_part(&inner, name, listeners)?;
            inner.parts.lock().await.insert(name, part);
        }
        let answering = inner.clone();
        let control = Running::start(move |mode, stop| {
            serve(control_listener, mode, stop, move |request| {
                let inner = answering.clone();
                async move { api::answer_control(&inner, request).await }
            })
        });
        Ok(Self { inner, control })
    }

    /// Where everything is.
    pub fn info(&self) -> &Info {
        &self.inner.info
    }

    /// Sets what links do to packets from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.faults.send_replace(faults);
    }

    /// Moves the clock of epochs on.
    pub fn advance_epochs(&self, epochs: u32) {
        self.inner.advance_epochs(epochs);
    }

    /// Does something to a part of the network.
    ///
    /// # Errors
    /// There is no such part, or it could not start again.
    pub async fn act(&self, name: NodeName, action: Action) -> io::Result<()> {
        self.inner.act(name, action).await
    }

    /// What passed so far.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.inner.shared.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the network; gateways write down what they know.
    pub async fn shutdown(self) {
        self.control.stop(Stop::Orderly).await;
        let parts = std::mem::take(&mut *self.inner.parts.lock().await);
        for part in parts.into_values() {
            part.stop(Stop::Orderly).await;
        }
    }
}

impl Inner {
    /// The part that the control endpoint calls `kind` and `which`.
    pub fn find(&self, kind: &str, which: &str) -> Option<NodeName> {
        let number = || which.parse().ok();
        match kind {
            "node" => number().filter(|id| self.info.mixnodes.iter().any(|mix| mix.id == *id)).map(NodeName::Mix),
            _ => {
                let by_id = || self.info.gateways.iter().position(|gateway| gateway.id == which);
                let place = number().or_else(|| by_id().and_then(|place| u32::try_from(place).ok()))?;
                ((place as usize) < self.info.gateways.len()).then_some(NodeName::Gateway(place))
            }
        }
    }

    /// See [`Network::act`].
    ///
    /// # Errors
    /// As there.
    pub async fn act(self: &Arc<Self>, name: NodeName, action: Action) -> io::Result<()> {
        self.shared.note(name, What::Control { action: action.as_str().to_owned() });
        // Held all the while, so that two actions on one part cannot cross.
        let mut parts = self.parts.lock().await;
        let mode = match action {
            Action::Kill | Action::Restart => {
                if let Some(part) = parts.remove(&name) {
                    part.stop(Stop::Crash).await;
                }
                if action == Action::Restart {
                    let mut listeners = Vec::new();
                    for address in self.addresses_of(name)? {
                        listeners.push(listen(address).await?);
                    }
                    parts.insert(name, Self::start_part(self, name, listeners)?);
                }
                return Ok(());
            }
            Action::Html => {
                self.html.store(true, Ordering::Relaxed);
                return Ok(());
            }
            Action::Pause => Mode::Paused,
            Action::Resume => {
                if name == NodeName::Directory {
                    self.html.store(false, Ordering::Relaxed);
                }
                Mode::Running
            }
            Action::Silence => Mode::Silent,
        };
        parts.get(&name).ok_or_else(|| io::Error::other("it is not running"))?.switch(mode);
        Ok(())
    }

    /// See [`Network::advance_epochs`]; gives back the clock as it is now.
    pub fn advance_epochs(&self, epochs: u32) -> EpochClock {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        directory.clock.advance(epochs);
        self.epochs.send_replace(directory.clock);
        // Without it the next run would begin with an older epoch, which clients can live with.
        let _ = self.folder.keep(&directory.clock, &self.ports);
        self.shared.note(NodeName::Directory, What::Control { action: format!("advance {epochs}") });
        directory.clock
    }

    fn addresses_of(&self, name: NodeName) -> io::Result<Vec<SocketAddr>> {
        let directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |name: NodeName| self.ports.get(&name.to_string()).map(|port| ([127, 0, 0, 1], *port).into());
        let found: Option<Vec<SocketAddr>> = match name {
            NodeName::Gateway(place) => {
                let gateway = directory.gateways.get(place as usize);
                gateway.map(|gateway| vec![gateway.mix_address, gateway.client_address])
            }
            name => of(name).map(|address| vec![address]),
        };
        found.ok_or_else(|| io::Error::other("there is no such part"))
    }

    fn start_part(inner: &Arc<Self>, name: NodeName, listeners: Vec<TcpListener>) -> io::Result<Running> {
        let shared = inner.shared.clone();
        let seed = inner.folder.seed.clone();
        let missing = || io::Error::other("there is no such part");
        let mut listeners = listeners.into_iter();
        let first = listeners.next().ok_or_else(missing)?;
        let directory = inner.directory.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match name {
            NodeName::Directory => {
                let answering = inner.clone();
                Running::start(move |mode, stop| {
                    serve(first, mode, stop, move |request| {
                        let response = api::answer_directory(&answering, &request);
                        async move { response }
                    })
                })
            }
            NodeName::Mix(id) => {
                let entry = *directory.mixes.iter().find(|mix| mix.id == id).ok_or_else(missing)?;
                Running::start(move |mode, stop| MixTask::run(shared, entry, seed, first, mode, stop))
            }
            NodeName::Gateway(place) => {
                let entry = *directory.gateways.get(place as usize).ok_or_else(missing)?;
                let plan = GatewayPlan {
                    place,
                    entry,
                    seed,
                    protocol_version: inner.protocol_version,
                    journal: inner.folder.journal(place),
                    mix_listener: first,
                    client_listener: listeners.next().ok_or_else(missing)?,
                };
                let task = GatewayTask::open(shared, plan)?;
                Running::start(move |mode, stop| task.run(mode, stop))
            }
        })
    }
}

/// Answers requests over HTTP until it is stopped.
async fn serve<A, F>(listener: TcpListener, mode: watch::Receiver<Mode>, mut stop: oneshot::Receiver<Stop>, answer: A)
where
    A: Fn(http::Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let mut tasks = JoinSet::new();
    let mut mode = mode;
    loop {
        let now_mode = *mode.borrow_and_update();
        tokio::select! {
            _ = &mut stop => break,
            Ok(stream) = accept(&listener, now_mode) => {
                let (answer, mode) = (answer.clone(), mode.clone());
                tasks.spawn(async move {
                    // A request that breaks off is its sender's concern.
                    let _ = http::serve(stream, |request| {
                        let (answer, mut mode) = (answer.clone(), mode.clone());
                        async move {
                            running(&mut mode).await;
                            answer(request).await
                        }
                    })
                    .await;
                });
            }
            Ok(()) = mode.changed() => {}
            Some(_) = tasks.join_next() => {}
        }
    }
    tasks.shutdown().await;
}

fn check(options: &Options) -> io::Result<()> {
    let refuse = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text.to_owned()));
    if !(1..=NODES_PER_LAYER_MAX).contains(&options.nodes_per_layer) {
        return refuse("a layer has 1 to 64 nodes");
    }
    if !(1..=GATEWAY_COUNT_MAX).contains(&options.gateways) {
        return refuse("there are 1 to 64 gateways");
    }
    if options.epoch_len == 0 || options.rotation_epochs < ROTATION_EPOCHS_MIN {
        return refuse("an epoch lasts at least a second and a rotation three epochs");
    }
    Ok(())
}

/// The port of the gateway at `place` when the first has `base`; 0 stays 0.
fn client_port(base: u16, place: u32) -> io::Result<u16> {
    if base == 0 {
        return Ok(0);
    }
    let port = u16::try_from(place).ok().and_then(|place| base.checked_add(place));
    port.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "ports end at 65535"))
}

fn addresses(directory: &Directory) -> impl Iterator<Item = (SocketAddr, NodeName)> {
    let mixes = directory.mixes.iter().map(|mix| (mix.address, NodeName::Mix(mix.id)));
    let places = (0..).map(NodeName::Gateway);
    mixes.chain(directory.gateways.iter().map(|gateway| gateway.mix_address).zip(places))
}

fn info(directory: &Directory, base: String, control: String) -> Info {
    let gateway = |gateway: &GatewayEntry| GatewayInfo {
        id: directory.gateway_id(gateway),
        url: format!("ws://{}", gateway.client_address),
        mix: gateway.mix_address,
        node_id: gateway.id,
    };
    let mix = |mix: &MixEntry| MixInfo { layer: mix.layer, address: mix.address, id: mix.id };
    Info {
        directory: format!("{base}/api"),
        control,
        gateways: directory.gateways.iter().map(gateway).collect(),
        mixnodes: directory.mixes.iter().map(mix).collect(),
        seed: directory.seed.to_string(),
    }
}
