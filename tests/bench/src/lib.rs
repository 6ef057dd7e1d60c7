//! Builds the same packets with mixlet and with the published crate of the network, in one wasm file.
//!
//! Both are compiled by the same compiler with the same flags and called from the same page in turns. The page does the
//! timing, see `scripts/bench-packets.mjs`.

use std::collections::VecDeque;

use mixlet::sphinx::{self, Delay, Destination, Hop, NodeAddress, NodePrivateKey, NodePublicKey, PacketSize};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sphinx_packet::{
    ProcessedPacketData, SphinxPacket, SphinxPacketBuilder,
    header::delays,
    route::{DestinationAddressBytes, Node, NodeAddressBytes},
    version::PAYLOAD_KEYS_SEEDS_VERSION,
};
use wasm_bindgen::prelude::*;
use x25519_dalek::{PublicKey, StaticSecret};

/// A network of which one route is used again and again and others only once.
#[wasm_bindgen]
pub struct Bench {
    rng: ChaCha20Rng,
    plaintext: Vec<u8>,
    destination: [u8; 32],
    secrets: Vec<[u8; 32]>,
    known: Vec<(NodeAddress, NodePublicKey)>,
    peer_known: Vec<Node>,
    /// Keys as a topology brings them, each for one packet.
    unseen: VecDeque<[[u8; 32]; HOPS]>,
}

#[wasm_bindgen]
impl Bench {
    /// Makes nodes, a destination and a plaintext of 2 KiB.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed.into());
        let mut plaintext = vec![0; PacketSize::Regular.plaintext_len()];
        rng.fill_bytes(&mut plaintext);
        let mut bench = Self {
            destination: random(&mut rng),
            secrets: (0..HOPS).map(|_| random(&mut rng)).collect(),
            known: Vec::new(),
            peer_known: Vec::new(),
            unseen: VecDeque::new(),
            plaintext,
            rng,
        };
        for (i, secret) in bench.secrets.iter().enumerate() {
            let key = NodePrivateKey::from_bytes(*secret).public();
            bench.peer_known.push(peer_node(i, *key.as_bytes()));
            bench.known.push((address(i), key));
        }
        bench
    }

    /// Makes keys that no packet was built with yet, for so many packets of each side.
    pub fn make_unseen(&mut self, packets: usize) {
        for _ in 0..2 * packets {
            let keys = [(); HOPS].map(|()| *PublicKey::from(&StaticSecret::from(random(&mut self.rng))).as_bytes());
            self.unseen.push_back(keys);
        }
    }

    /// Builds packets with mixlet for the known route.
    pub fn mixlet_warm(&mut self, packets: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..packets {
            bytes += build(&self.known, &self.destination, &self.plaintext, &mut self.rng);
        }
        bytes
    }

    /// Builds packets with mixlet, each for nodes never seen before; reading their keys is part of it.
    pub fn mixlet_cold(&mut self, packets: usize) -> usize {
        let mut bytes = 0;
        for keys in self.unseen.drain(..packets) {
            let known: Vec<_> = keys
                .into_iter()
                .enumerate()
                .filter_map(|(i, key)| Some((address(i), NodePublicKey::from_bytes(key).ok()?)))
                .collect();
            bytes += build(&known, &self.destination, &self.plaintext, &mut self.rng);
        }
        bytes
    }

    /// Builds packets with the published crate for the known route.
    pub fn peer_warm(&mut self, packets: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..packets {
            bytes += peer_build(&self.peer_known, &self.destination, &self.plaintext, &mut self.rng);
        }
        bytes
    }

    /// Builds packets with the published crate, each for nodes never seen before.
    pub fn peer_cold(&mut self, packets: usize) -> usize {
        let mut bytes = 0;
        for keys in self.unseen.drain(..packets) {
            let route: Vec<_> = keys.into_iter().enumerate().map(|(i, key)| peer_node(i, key)).collect();
            bytes += peer_build(&route, &self.destination, &self.plaintext, &mut self.rng);
        }
        bytes
    }

    /// Whether the published crate peels what mixlet builds and finds the plaintext: else the numbers mean nothing.
    pub fn agrees(&mut self) -> bool {
        let route = hops(&self.known);
        let destination = Destination(self.destination);
        let Ok(packet) = sphinx::build(
            PacketSize::Regular,
            &route,
            &[Delay::ZERO; HOPS],
            &destination,
            &self.plaintext,
            &mut self.rng,
        ) else {
            return false;
        };
        let mut bytes = packet.into_bytes();
        for secret in &self.secrets {
            let Ok(packet) = SphinxPacket::from_bytes(&bytes) else { return false };
            match packet.process(&StaticSecret::from(*secret)).map(|processed| processed.data) {
                Ok(ProcessedPacketData::ForwardHop { next_hop_packet, .. }) => bytes = next_hop_packet.to_bytes(),
                Ok(ProcessedPacketData::FinalHop { payload, .. }) => {
                    return payload.recover_plaintext().is_ok_and(|found| found == self.plaintext);
                }
                Err(_) => return false,
            }
        }
        false
    }
}

fn build(
    known: &[(NodeAddress, NodePublicKey)],
    destination: &[u8; 32],
    plaintext: &[u8],
    rng: &mut ChaCha20Rng,
) -> usize {
    let destination = Destination(*destination);
    sphinx::build(PacketSize::Regular, &hops(known), &[Delay::ZERO; HOPS], &destination, plaintext, rng)
        .map_or(0, |packet| packet.as_bytes().len())
}

fn peer_build(route: &[Node], destination: &[u8; 32], plaintext: &[u8], rng: &mut ChaCha20Rng) -> usize {
    let destination =
        sphinx_packet::route::Destination::new(DestinationAddressBytes::from_bytes(*destination), [0; 16]);
    // The secret is given, so that both sides use the same cheap generator for it.
    let secret = StaticSecret::from(random(rng));
    SphinxPacketBuilder::new()
        .with_version(PAYLOAD_KEYS_SEEDS_VERSION)
        .with_payload_size(PacketSize::Regular.payload_len())
        .with_initial_secret(&secret)
        .build_packet(plaintext, route, &destination, &[delays::Delay::new_from_nanos(0); HOPS])
        .map_or(0, |packet| packet.to_bytes().len())
}

fn hops(known: &[(NodeAddress, NodePublicKey)]) -> Vec<Hop<'_>> {
    known.iter().map(|(address, key)| Hop { address: *address, key }).collect()
}

fn address(i: usize) -> NodeAddress {
    NodeAddress::V4([10, 0, 0, u8::try_from(i).unwrap_or(0)].into(), 1789)
}

fn peer_node(i: usize, key: [u8; 32]) -> Node {
    Node::new(NodeAddressBytes::from_bytes(address(i).to_padded_32()), PublicKey::from(key))
}

fn random(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

const HOPS: usize = 4;
