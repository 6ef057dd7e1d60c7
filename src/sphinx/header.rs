//! The routing header: built from the last hop to the first, peeled from the first to the last.
//!
//! A header is a group element, a MAC and the routing information; the MAC covers the routing information. Each node
//! decrypts the routing information with 60 zero bytes behind it, takes its own 60 bytes from the front and finds the next
//! node's header in what follows. The sender knows what those zero bytes will have become at the last hop, the filler, and
//! computes the MACs over it.

use core::ops::Range;

use alloc::vec::Vec;

use mixlet_ciphers::{aes128_ctr, hmac_sha256};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keys::{HopKeys, NodePrivateKey, PayloadKey, SenderChain, x25519};
use super::params::{
    ADDRESS_LEN, BLOCK_LEN, FINAL_BLOCK_LEN, GROUP_ELEMENT_LEN, HEADER_LEN, HOPS_MAX, IDENTIFIER_LEN, KEY_STREAM_LEN,
    MAC_LEN, ROUTING_LEN,
};
use super::{Delay, Destination, Hop, SphinxError, Version};

/// A new header, and what its maker needs for the payload.
pub struct Header {
    bytes: [u8; HEADER_LEN],
    keys: [HopKeys; HOPS_MAX],
    hops: usize,
}

impl Header {
    /// Makes a header for `route`. Draws from `rng` what [`build`](super::build) says.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Route`] without hops or with more than five, [`SphinxError::Delays`] when their number differs from
    /// that of the hops.
    pub fn build(
        version: Version,
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, SphinxError> {
        let hops = route.len();
        if hops == 0 || hops > HOPS_MAX {
            return Err(SphinxError::Route(hops));
        }
        if delays.len() != hops {
            return Err(SphinxError::Delays);
        }
        let last = hops - 1;
        // The last hop's block ends where the filler begins.
        let filler_start = ROUTING_LEN - BLOCK_LEN * last;

        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        let mut chain = SenderChain::new(&secret);
        let group_element = chain.group_element();
        let mut keys = [const { HopKeys::EMPTY }; HOPS_MAX];
        // One key stream per hop serves its own encryption and the filler of the hops behind it.
        let mut streams = Zeroizing::new([[0; KEY_STREAM_LEN]; HOPS_MAX]);
        for (i, hop) in route.iter().enumerate() {
            keys[i] = HopKeys::for_sender(&chain.shared_secret(hop.key));
            let needed = if i < last { KEY_STREAM_LEN } else { filler_start };
            apply_key_stream(&keys[i].stream_key, &mut streams[i][..needed]);
            if i < last {
                chain.blind(&keys[i].blinding_factor);
            }
        }

        let mut routing = [0; ROUTING_LEN];
        for (i, stream) in streams[..last].iter().enumerate() {
            let filler_len = BLOCK_LEN * (i + 1);
            xor(&mut routing[filler_start..][..filler_len], &stream[KEY_STREAM_LEN - filler_len..]);
        }
        let (block, _) = routing.split_at_mut(filler_start);
        block[0] = FLAG_FINAL;
        block[VERSION].copy_from_slice(&version.to_bytes());
        block[ADDRESS].copy_from_slice(&destination.0);
        // Zeros here would tell the last hop how long the route is, so the rest of the block is random.
        rng.fill_bytes(&mut block[FINAL_BLOCK_LEN..]);
        xor(block, &streams[last][..filler_start]);

        for i in (0..last).rev() {
            let mac = mac(&keys[i + 1].mac_key, &routing);
            routing.copy_within(..ROUTING_LEN - BLOCK_LEN, BLOCK_LEN);
            routing[0] = FLAG_FORWARD;
            routing[VERSION].copy_from_slice(&version.to_bytes());
            routing[ADDRESS].copy_from_slice(&route[i + 1].address.to_padded_32());
            routing[DELAY].copy_from_slice(&delays[i].nanos().to_be_bytes());
            routing[NEXT_MAC].copy_from_slice(&mac);
            xor(&mut routing, &streams[i][..ROUTING_LEN]);
        }
        let mac = mac(&keys[0].mac_key, &routing);
        Ok(Self { bytes: join(&group_element, &mac, &routing), keys, hops })
    }

    /// The header as it leaves.
    pub fn as_bytes(&self) -> &[u8; HEADER_LEN] {
        &self.bytes
    }

    /// The payload keys of each hop, from the first to the last.
    pub fn payload_keys(&self, version: Version) -> Vec<PayloadKey> {
        self.keys().iter().map(|keys| keys.payload_key(version)).collect()
    }

    /// The keys of each hop, from the first to the last.
    pub fn keys(&self) -> &[HopKeys] {
        &self.keys[..self.hops]
    }
}

/// Derives a node's keys for a header and verifies the MAC.
///
/// # Errors
///
/// [`SphinxError::SharedSecret`] when the group element is of low order, [`SphinxError::Authentication`] when the MAC does
/// not match.
pub fn verify(header: &[u8; HEADER_LEN], key: &NodePrivateKey) -> Result<HopKeys, SphinxError> {
    let (group_element, mac_found, routing) = split(header);
    let keys = HopKeys::for_node(&*key.shared_secret(&group_element)?);
    if bool::from(mac(&keys.mac_key, &routing).ct_eq(&mac_found)) { Ok(keys) } else { Err(SphinxError::Authentication) }
}

/// What a header tells one node.
pub struct Step {
    /// The version, which decides about the payload key.
    pub version: Version,
    /// What to do with the packet.
    pub action: Action,
}

/// What a header asks a node to do.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it was made")]
pub enum Action {
    /// Send the packet on.
    Forward {
        /// The next node's address, padded; not parsed yet.
        next: [u8; ADDRESS_LEN],
        /// How long to hold the packet.
        delay: Delay,
        /// The header for the next node.
        header: [u8; HEADER_LEN],
    },
    /// Deliver the payload.
    Final {
        /// The client it is for.
        destination: Destination,
        /// Zero in packets of this network.
        identifier: [u8; IDENTIFIER_LEN],
    },
}

/// Decrypts a header that [`verify`] found authentic.
///
/// # Errors
///
/// [`SphinxError::Flag`] when the flag is unknown.
pub fn open(header: &[u8; HEADER_LEN], keys: &HopKeys) -> Result<Step, SphinxError> {
    let (group_element, _, routing) = split(header);
    let mut buffer = Zeroizing::new([0; KEY_STREAM_LEN]);
    buffer[..ROUTING_LEN].copy_from_slice(&routing);
    apply_key_stream(&keys.stream_key, &mut *buffer);

    let version = Version(u16::from_be_bytes(array_at(&buffer[..], VERSION.start + 1)));
    let address = array_at(&buffer[..], ADDRESS.start);
    let action = match buffer[0] {
        FLAG_FORWARD => Action::Forward {
            next: address,
            delay: Delay::from_nanos(u64::from_be_bytes(array_at(&buffer[..], DELAY.start))),
            header: join(
                &x25519(&keys.blinding_factor, &group_element),
                &array_at(&buffer[..], NEXT_MAC.start),
                &array_at(&buffer[..], BLOCK_LEN),
            ),
        },
        FLAG_FINAL => {
            Action::Final { destination: Destination(address), identifier: array_at(&buffer[..], ADDRESS.end) }
        }
        flag => return Err(SphinxError::Flag(flag)),
    };
    Ok(Step { version, action })
}

/// AES-128-CTR from a counter of zero. The reference counts in the last eight bytes only, which from zero is the same.
fn apply_key_stream(key: &[u8; 16], buffer: &mut [u8]) {
    aes128_ctr(key, &[0; 16], buffer);
}

fn mac(key: &[u8; 16], routing: &[u8; ROUTING_LEN]) -> [u8; MAC_LEN] {
    array_at(&hmac_sha256(key, routing), 0)
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

/// The parts of a header in the order in which they are sent.
fn join(group_element: &[u8; GROUP_ELEMENT_LEN], mac: &[u8; MAC_LEN], routing: &[u8; ROUTING_LEN]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..GROUP_ELEMENT_LEN].copy_from_slice(group_element);
    header[GROUP_ELEMENT_LEN..][..MAC_LEN].copy_from_slice(mac);
    header[GROUP_ELEMENT_LEN + MAC_LEN..].copy_from_slice(routing);
    header
}

fn split(header: &[u8; HEADER_LEN]) -> ([u8; GROUP_ELEMENT_LEN], [u8; MAC_LEN], [u8; ROUTING_LEN]) {
    (array_at(header, 0), array_at(header, GROUP_ELEMENT_LEN), array_at(header, GROUP_ELEMENT_LEN + MAC_LEN))
}

/// The `N` bytes from `start` on. All callers pass constants that lie inside.
fn array_at<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[start..][..N]);
    array
}

const FLAG_FORWARD: u8 = 1;
const FLAG_FINAL: u8 = 2;
const VERSION: Range<usize> = 1..4;
const ADDRESS: Range<usize> = 4..4 + ADDRESS_LEN;
const DELAY: Range<usize> = ADDRESS.end..ADDRESS.end + 8;
const NEXT_MAC: Range<usize> = DELAY.end..BLOCK_LEN;
