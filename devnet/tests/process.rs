//! The program: its line of JSON, its flags, its end, and what a network keeps when its process is killed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use common::Client;
use mixlet::engine::Config;
use mixlet::message::GatewayId;
use mixlet_devnet::net::driver::Records;
use mixlet_devnet::net::http::fetch;
use serde_json::Value;

/// A running program, which ends with the test.
struct Devnet {
    child: Child,
    input: Option<ChildStdin>,
    info: Value,
}

impl Devnet {
    fn start(flags: &[&str]) -> Self {
        let mut child = program(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let input = child.stdin.take();
        Self { child, input, info: serde_json::from_str(&line).unwrap() }
    }

    fn with_state(folder: &Path) -> Self {
        Self::start(&["--with-parent", "--state", folder.to_str().unwrap()])
    }

    fn config(&self, gateway: usize) -> Config {
        let directory = self.info["directory"].as_str().unwrap().to_owned();
        let mut config = Config::new(vec![directory], Duration::ZERO).unwrap();
        config.gateway = Some(GatewayId::parse(self.info["gateways"][gateway]["id"].as_str().unwrap()).unwrap());
        config
    }

    async fn summary(&self) -> Value {
        let control = self.info["control"].as_str().unwrap().trim_start_matches("http://");
        let (_, body) = fetch("GET", control.parse().unwrap(), "/record/summary", b"").await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Waits until a gateway has something waiting for this many clients.
    async fn wait_inboxes(&self, gateway: &str, clients: usize) {
        while self.summary().await["inboxes"][gateway].as_object().unwrap().len() != clients {}
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixlet-devnet"));
    command.args(flags).stderr(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let (alice_records, bob_records) = (Records::default(), Records::default());
    let mut devnet = Devnet::with_state(folder.path());
    let mut alice = Client::with_config(devnet.config(0), &alice_records).await;
    let bob = Client::with_config(devnet.config(1), &bob_records).await;
    let bob_address = bob.address.clone();
    bob.close().await;
    while devnet.summary().await["nodes"]["gateway-1"]["closed"] != 1 {}
    let sent = alice.send(&bob_address, b"kept").await;
    alice.wait_delivered(sent).await;
    devnet.wait_inboxes("gateway-1", 1).await;
    devnet.child.kill().unwrap();
    devnet.child.wait().unwrap();

    let devnet = Devnet::with_state(folder.path());
    let mut bob = Client::with_config(devnet.config(1), &bob_records).await;
    bob.wait_received(1).await;
    assert_eq!(bob.received[0].body, b"kept");
    devnet.wait_inboxes("gateway-1", 0).await;
    assert_eq!(devnet.summary().await["nodes"]["gateway-1"]["registrations"], 0);
}

#[test]
fn it_ends_cleanly_on_a_signal_and_with_its_parent() {
    for signal in ["-INT", "-TERM"] {
        let mut devnet = Devnet::start(&[]);
        let kill = Command::new("kill").args([signal, &devnet.child.id().to_string()]).status().unwrap();
        assert!(kill.success() && devnet.child.wait().unwrap().success());
    }
    let mut devnet = Devnet::start(&["--with-parent"]);
    drop(devnet.input.take());
    assert!(devnet.child.wait().unwrap().success());
}

#[test]
fn its_flags_shape_the_network_and_wrong_ones_are_refused() {
    let flags = ["--seed", "7", "--nodes-per-layer=1", "--gateways", "3", "--loss=0.5", "--rotation-epochs", "3"];
    let devnet = Devnet::start(&flags);
    assert_eq!(devnet.info["mixnodes"].as_array().unwrap().len(), 3);
    assert_eq!(devnet.info["gateways"].as_array().unwrap().len(), 3);
    assert_eq!(devnet.info["seed"], format!("{:064x}", 7));
    let again = Devnet::start(&flags);
    assert_eq!(devnet.info["gateways"][0]["id"], again.info["gateways"][0]["id"], "keys follow from the seed");
    assert_ne!(devnet.info["directory"], again.info["directory"]);
    for wrong in [&["--loss", "2"][..], &["--seed", "x"], &["--gateways", "0"], &["--what", "1"], &["--seed"]] {
        assert!(!program(wrong).output().unwrap().status.success(), "{wrong:?}");
    }
    assert!(program(&["--help"]).output().unwrap().stdout.starts_with(b"A Nym-compatible mixnet"));
}
