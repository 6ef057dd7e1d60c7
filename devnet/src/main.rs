//! Starts a mixnet on loopback and says in one line of JSON where everything is.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use mixlet_devnet::net::network::{Network, Options};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const HELP: &str = "\
A Nym-compatible mixnet in one process on loopback. Prints one line of JSON when it is ready.

  --directory-port N    port of the directory (0: a free one)
  --control-port N      port of the control endpoint (0: a free one)
  --gateway-port N      port of the first gateway for clients, the others follow (0: free ones)
  --seed S              what all keys follow from: a number or 64 hexadecimal digits
  --nodes-per-layer N   mix nodes in each of the three layers (2)
  --gateways N          gateways (2)
  --loss P              share of packets lost on their way (0)
  --duplicate P         share of packets doubled on their way (0)
  --reorder P           share of packets that others overtake on their way (0)
  --latency-ms N        how long each link between nodes takes (0)
  --jitter-ms N         how much longer it may take (0)
  --state DIR           where seed, ports, registrations and inboxes are kept (a folder that goes at the end)
  --forget              forgets what is kept there
  --epoch-seconds N     length of an epoch (3600)
  --rotation-epochs N   epochs until nodes change their keys, at least 3 (24)
  --ws-gateway-version N  version of the link protocol that gateways announce (6)
  --with-parent         ends when standard input does, so that it does not outlive the program that started it
";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mixlet-devnet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> io::Result<()> {
    let Some((options, with_parent)) = parse(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    // Before anything listens, so that no signal is missed.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let network = Network::start(options).await?;
    let mut line = serde_json::to_vec(network.info())?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    io::stdout().flush()?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = end_of_input(), if with_parent => {}
    }
    network.shutdown().await;
    Ok(())
}

/// Waits for the end of standard input, in a thread of its own: a blocking task would hold up the end of the runtime.
async fn end_of_input() {
    let (sender, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(());
    });
    let _ = ended.await;
}

/// Reads the flags; nothing if help was asked for.
fn parse(arguments: impl Iterator<Item = String>) -> io::Result<Option<(Options, bool)>> {
    let mut options = Options::default();
    let mut with_parent = false;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let (flag, given) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        match flag {
            "--forget" => options.forget = true,
            "--with-parent" => with_parent = true,
            "--help" | "-h" => return Ok(None),
            _ => {
                let value = given.or_else(|| arguments.next());
                let value = value.ok_or_else(|| wrong(format!("{flag} needs a value; see --help")))?;
                set(&mut options, flag, &value)?;
            }
        }
    }
    Ok(Some((options, with_parent)))
}

fn set(options: &mut Options, flag: &str, value: &str) -> io::Result<()> {
    fn number<T: std::str::FromStr>(flag: &str, value: &str) -> io::Result<T> {
        value.parse().map_err(|_| wrong(format!("{flag} does not take {value:?}")))
    }
    let milliseconds = |flag, value| {
        let seconds = number::<f64>(flag, value)? / 1000.0;
        Duration::try_from_secs_f64(seconds).map_err(|_| wrong(format!("{flag} does not take {value:?}")))
    };
    match flag {
        "--directory-port" => options.directory_port = number(flag, value)?,
        "--control-port" => options.control_port = number(flag, value)?,
        "--gateway-port" => options.gateway_port = number(flag, value)?,
        "--seed" => options.seed = Some(number(flag, value)?),
        "--nodes-per-layer" => options.nodes_per_layer = number(flag, value)?,
        "--gateways" => options.gateways = number(flag, value)?,
        "--loss" => options.faults.loss = number(flag, value)?,
        "--duplicate" => options.faults.duplicate = number(flag, value)?,
        "--reorder" => options.faults.reorder = number(flag, value)?,
        "--latency-ms" => options.faults.latency = milliseconds(flag, value)?,
        "--jitter-ms" => options.faults.jitter = milliseconds(flag, value)?,
        "--state" => options.state = Some(value.into()),
        "--epoch-seconds" => options.epoch_len = number(flag, value)?,
        "--rotation-epochs" => options.rotation_epochs = number(flag, value)?,
        "--ws-gateway-version" => options.protocol_version = number(flag, value)?,
        _ => return Err(wrong(format!("unknown flag {flag}; see --help"))),
    }
    Ok(())
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
