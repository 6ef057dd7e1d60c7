//! Messages cut into fragments: identifiers, headers, where each fragment begins, and padding.
//!
//! A set has at most 255 fragments under one identifier. A longer message is several sets: the last fragment of each
//! names the next set, the first fragment of each names the previous one. A fragment with such a link has three bytes
//! less of payload.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{ACK_BLOB_LEN, MessageError};
use crate::sphinx::PacketSize;

/// The most fragments one set can have.
pub const SET_FRAGMENTS_MAX: usize = 255;

/// How many bytes of a fragment, header included, fit a packet of this size; none fit an ack.
pub const fn fragment_room(size: PacketSize) -> usize {
    size.plaintext_len().saturating_sub(ACK_BLOB_LEN).saturating_sub(ENVELOPE_LEN)
}

/// How many fragments a written message of `len` bytes is cut into.
///
/// # Errors
///
/// [`MessageError::Room`] for [`PacketSize::Ack`].
pub fn fragment_count(len: usize, size: PacketSize) -> Result<usize, MessageError> {
    Ok(Layout::new(len.saturating_add(1), fragment_room(size))?.fragments())
}

/// A written message that is cut into fragments when they are asked for.
///
/// It holds the message once. Asking for a fragment again gives the same bytes, which is what a retransmission needs.
pub struct Fragments {
    message: Vec<u8>,
    layout: Layout,
    set_ids: Vec<SetId>,
}

impl Fragments {
    /// Draws identifiers, four bytes each, and is ready to cut.
    ///
    /// # Errors
    ///
    /// [`MessageError::Room`] for [`PacketSize::Ack`].
    pub fn new(message: Vec<u8>, size: PacketSize, rng: &mut dyn CryptoRng) -> Result<Self, MessageError> {
        let layout = Layout::new(message.len().saturating_add(1), fragment_room(size))?;
        let mut set_ids: Vec<SetId> = Vec::with_capacity(layout.sets());
        while set_ids.len() < layout.sets() {
            let id = SetId::random(rng);
            // A set must not name itself as its neighbour.
            if !set_ids.contains(&id) {
                set_ids.push(id);
            }
        }
        Ok(Self { message, layout, set_ids })
    }

    /// As [`Fragments::new`] with identifiers chosen by the caller, one for each set.
    ///
    /// # Errors
    ///
    /// Also [`MessageError::SetIds`] when they are too few, too many, or one occurs twice.
    pub fn with_set_ids(message: Vec<u8>, size: PacketSize, set_ids: Vec<SetId>) -> Result<Self, MessageError> {
        todo!("{message:?} {size:?} {set_ids:?}")
    }

    /// The number of fragments, at least one.
    pub fn count(&self) -> usize {
        self.layout.fragments()
    }

    /// The identifiers of the sets, in order.
    pub fn set_ids(&self) -> &[SetId] {
        &self.set_ids
    }

    /// The identifier of the fragment at `index`, counted from zero over all sets; `None` behind the last one.
    pub fn id(&self, index: usize) -> Option<FragmentId> {
        todo!("{index}")
    }

    /// The fragment at `index`, counted from zero over all sets: header and payload, exactly as long as the packet has
    /// room. `None` behind the last one.
    pub fn fragment(&self, index: usize) -> Option<Vec<u8>> {
        todo!("{index} {:?}", self.message)
    }
}

/// How a padded message is spread over sets and fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    room: usize,
    sets: usize,
    last_set: usize,
}

impl Layout {
    /// The layout of `len` bytes, the marker counted, in fragments of `room` bytes, the header counted.
    ///
    /// # Errors
    ///
    /// [`MessageError::Room`] when `room` leaves nothing for a payload, [`MessageError::Length`] for no bytes or too many.
    pub fn new(len: usize, room: usize) -> Result<Self, MessageError> {
        todo!("{len} {room}")
    }

    /// The number of fragments in all sets.
    pub fn fragments(&self) -> usize {
        todo!("{} {} {}", self.room, self.sets, self.last_set)
    }

    /// The number of sets.
    pub fn sets(&self) -> usize {
        self.sets
    }
}

/// The identifier of a set: 31 random bits, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(u32);

impl SetId {
    /// Takes an identifier; `None` for zero and for 32 bits.
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 || id & LINK_BIT != 0 { None } else { Some(Self(id)) }
    }

    /// Draws an identifier: four bytes from `rng`, again when it would be zero.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        loop {
            if let Some(id) = Self::new(rng.next_u32() & !LINK_BIT) {
                return id;
            }
        }
    }

    /// The number.
    pub const fn to_u32(self) -> u32 {
        self.0
    }
}

/// What a fragment goes by in acks: its set and its position, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentId {
    /// The set.
    pub set: SetId,
    /// The position in the set, from one to 255. Acks of strangers may say zero.
    pub position: u8,
}

impl FragmentId {
    /// The length of the form in acks.
    pub const LEN: usize = 5;

    /// The form in acks: the set and the position.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.set.0.to_be_bytes();
        [a, b, c, d, self.position]
    }

    /// Reads the form in acks; `None` when the set is zero or has its top bit set.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [a, b, c, d, position] = *bytes;
        Some(Self { set: SetId::new(u32::from_be_bytes([a, b, c, d]))?, position })
    }
}

/// A fragment as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Where it belongs.
    pub header: FragmentHeader,
    /// Its part of the padded message.
    pub payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads a fragment. Any length will do: only senders must fill their packets.
    ///
    /// # Errors
    ///
    /// [`MessageError::Length`] when the header does not fit, [`MessageError::Header`] when it contradicts itself.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MessageError> {
        todo!("{bytes:?}")
    }
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Its set and position.
    pub id: FragmentId,
    /// The number of fragments in the set, from one to 255.
    pub total: u8,
    /// The neighbour of the set, named by the first and by the last fragment.
    pub link: Option<Link>,
}

/// The neighbour of a set in a message of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The set after this one, named by fragment 255.
    Next(SetId),
    /// The set before this one, named by the first fragment.
    Previous(SetId),
}

/// Removes the padding: the length of what stands before the marker.
///
/// # Errors
///
/// [`MessageError::Padding`] when there is no marker or something other than zeros behind it.
pub fn unpad(padded: &[u8]) -> Result<usize, MessageError> {
    todo!("{padded:?}")
}

const LINK_BIT: u32 = 1 << 31;

/// What stands in front of a sealed fragment: an ephemeral key or the digest of a reply key.
const ENVELOPE_LEN: usize = 32;
