//! The network's own record says how packets went: through one node of each layer, held as told, acks as packets too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::{Client, body, network};
use mixlet_devnet::net::driver::Records;
use mixlet_devnet::net::network::Network;
use mixlet_devnet::record::{Entry, Filter, Fingerprint, NodeName, What};

/// How many messages are sent; each is one packet with an ack inside.
const MESSAGES: usize = 150;

/// One step of a packet, as the node that took it wrote it down.
struct Step {
    node: NodeName,
    asked_us: u64,
    held_us: u64,
    leaves_as: Option<Fingerprint>,
}

/// What a record says about packets, by fingerprint.
#[derive(Default)]
struct Ways {
    /// At which node a packet arrived.
    arrived: BTreeMap<Fingerprint, NodeName>,
    /// How what arrived at a node left it: as what, to where, asked and held.
    left: BTreeMap<(NodeName, Fingerprint), (Fingerprint, NodeName, u64, u64)>,
    /// What a packet for a client had inside.
    finals: BTreeMap<Fingerprint, Option<Fingerprint>>,
    /// Data packets as clients gave them to their gateways.
    entered: Vec<Fingerprint>,
}

impl Ways {
    fn of(entries: Vec<Entry>) -> Self {
        let mut ways = Self::default();
        for Entry { node, what, .. } in entries {
            match what {
                What::Arrived { packet, .. } => assert!(ways.arrived.insert(packet, node).is_none()),
                What::Left { arrived, packet, to, asked_us, held_us, .. } => {
                    let before = ways.left.insert((node, arrived), (packet, to, asked_us, held_us));
                    assert!(before.is_none(), "it left twice");
                }
                What::Final { packet, ack, .. } => assert!(ways.finals.insert(packet, ack).is_none()),
                What::Entered { packet, .. } => ways.entered.push(packet),
                _ => {}
            }
        }
        ways
    }

    /// The steps of a packet from the node it first arrives at to the gateway it ends at; nothing while it is under way.
    fn follow(&self, mut packet: Fingerprint) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            let node = *self.arrived.get(&packet)?;
            if self.finals.contains_key(&packet) {
                steps.push(Step { node, asked_us: 0, held_us: 0, leaves_as: None });
                return Some(steps);
            }
            let (leaves_as, to, asked_us, held_us) = *self.left.get(&(node, packet))?;
            steps.push(Step { node, asked_us, held_us, leaves_as: Some(leaves_as) });
            if let Some(reached) = self.arrived.get(&leaves_as) {
                assert_eq!(*reached, to);
            }
            packet = leaves_as;
        }
    }
}

fn layer_of(network: &Network, node: NodeName) -> u8 {
    match node {
        NodeName::Mix(id) => network.info().mixnodes.iter().find(|mix| mix.id == id).unwrap().layer,
        _ => 4,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_packet_crosses_the_layers_in_order_and_is_held_as_told() {
    let network = network().await;
    let mut alice = Client::start(&network, 0, &Records::default()).await;
    let mut bob = Client::start(&network, 1, &Records::default()).await;
    for number in 0..MESSAGES {
        alice.send(&bob.address.clone(), &body(900, number as u8)).await;
    }
    alice.wait_all_delivered(MESSAGES).await;
    bob.wait_received(MESSAGES).await;

    let ways = Ways::of(network.record().page(0, usize::MAX, &Filter::default()).entries);
    let mut uses: BTreeMap<NodeName, u32> = BTreeMap::new();
    let mut late_us = Vec::new();
    let mut acks = 0;
    for entered in &ways.entered {
        // Cover that is still under way at the end is left out.
        let Some(steps) = ways.follow(*entered) else { continue };
        check_steps(&network, &steps, &mut uses, &mut late_us);
        let last = steps[steps.len() - 2].leaves_as.unwrap();
        let ack = ways.finals[&last].expect("a data packet has an ack inside");
        if let Some(steps) = ways.follow(ack) {
            check_steps(&network, &steps, &mut uses, &mut late_us);
            acks += 1;
        }
    }
    assert!(acks >= MESSAGES, "{acks} acks came home as packets");

    // Two nodes in each layer, one degree of freedom each: 10.83 is exceeded once in a thousand runs of a fair choice;
    // three layers and a margin, so 20.
    for layer in 0..3 {
        let ids = [2 * layer + 1, 2 * layer + 2];
        let [first, second] = ids.map(|id| f64::from(uses.get(&NodeName::Mix(id)).copied().unwrap_or(0)));
        let chi_square = (first - second).powi(2) / (first + second);
        assert!(chi_square < 20.0, "layer {}: {first} and {second}", layer + 1);
    }

    // A loaded machine is late now and then, but not as a rule.
    late_us.sort_unstable();
    let median = late_us[late_us.len() / 2];
    println!("{} holds, median {median} us late, worst {} us", late_us.len(), late_us[late_us.len() - 1]);
    assert!(median < 15_000, "the median packet left {median} us late");
    network.shutdown().await;
}

fn check_steps(network: &Network, steps: &[Step], uses: &mut BTreeMap<NodeName, u32>, late_us: &mut Vec<u64>) {
    let layers: Vec<u8> = steps.iter().map(|step| layer_of(network, step.node)).collect();
    assert_eq!(layers, [1, 2, 3, 4]);
    for step in &steps[..3] {
        assert!(step.held_us >= step.asked_us, "held {} of {} us", step.held_us, step.asked_us);
        late_us.push(step.held_us - step.asked_us);
        *uses.entry(step.node).or_default() += 1;
    }
}
