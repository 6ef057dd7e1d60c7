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
        let layout = Layout::new(message.len().saturating_add(1), fragment_room(size))?;
        Self { message, layout, set_ids }.checked()
    }

    /// Cuts bytes that are padded already into fragments of any room, for comparing with recorded ones.
    #[doc(hidden)]
    pub fn from_padded(padded: Vec<u8>, room: usize, set_ids: Vec<SetId>) -> Result<Self, MessageError> {
        let layout = Layout::new(padded.len(), room)?;
        Self { message: padded, layout, set_ids }.checked()
    }

    fn checked(self) -> Result<Self, MessageError> {
        let mut ids = self.set_ids.clone();
        ids.sort_unstable();
        ids.dedup();
        let fit = ids.len() == self.set_ids.len() && ids.len() == self.layout.sets();
        if fit { Ok(self) } else { Err(MessageError::SetIds) }
    }

    /// The number of fragments, at least one.
    pub fn count(&self) -> usize {
        self.layout.fragments()
    }

    /// The message as it was written, without padding.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The identifiers of the sets, in order.
    pub fn set_ids(&self) -> &[SetId] {
        &self.set_ids
    }

    /// The identifier of the fragment at `index`, counted from zero over all sets; `None` behind the last one.
    pub fn id(&self, index: usize) -> Option<FragmentId> {
        Some(FragmentId {
            set: *self.set_ids.get(index / SET_FRAGMENTS_MAX)?,
            position: self.layout.place(index)?.position,
        })
    }

    /// The identifiers of all fragments, in order.
    pub fn ids(&self) -> impl Iterator<Item = FragmentId> + '_ {
        (0..self.count()).filter_map(|index| self.id(index))
    }

    /// The fragment at `index`, counted from zero over all sets: header and payload, exactly as long as the packet has
    /// room. `None` behind the last one.
    pub fn fragment(&self, index: usize) -> Option<Vec<u8>> {
        let Place { position, total, start, len } = self.layout.place(index)?;
        let set = index / SET_FRAGMENTS_MAX;
        let link = match usize::from(position) {
            1 => set.checked_sub(1).and_then(|set| self.set_ids.get(set)).copied().map(Link::Previous),
            SET_FRAGMENTS_MAX => self.set_ids.get(set.saturating_add(1)).copied().map(Link::Next),
            _ => None,
        };
        let id = FragmentId { set: *self.set_ids.get(set)?, position };

        let mut bytes = Vec::with_capacity(self.layout.room);
        FragmentHeader { id, total, link }.write(&mut bytes);
        let rest = self.message.get(start..).unwrap_or_default();
        bytes.extend_from_slice(rest.get(..len).unwrap_or(rest));
        if (start..start.saturating_add(len)).contains(&self.message.len()) {
            bytes.push(MARKER);
        }
        bytes.resize(self.layout.room, 0);
        Some(bytes)
    }
}

/// How a padded message is spread over sets and fragments.
///
/// All sets but the last are full. What a place in it holds follows from arithmetic alone, so nothing is stored for each
/// fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The length of a fragment with its header.
    room: usize,
    sets: usize,
    /// The number of fragments in the last set.
    last_set: usize,
    /// The length without padding, the marker counted.
    len: usize,
}

impl Layout {
    /// The layout of `len` bytes, the marker counted, in fragments of `room` bytes, the header counted.
    ///
    /// # Errors
    ///
    /// [`MessageError::Room`] when `room` leaves nothing for a payload, [`MessageError::Length`] for no bytes or too many.
    pub fn new(len: usize, room: usize) -> Result<Self, MessageError> {
        let linked = room.checked_sub(LINKED_HEADER_LEN).filter(|linked| *linked > 0).ok_or(MessageError::Room)?;
        let mut layout = Self { room, sets: 1, last_set: 0, len };
        let unlinked = layout.unlinked();
        if len == 0 || len.checked_add(room).is_none() {
            return Err(MessageError::Length(len));
        }
        if len <= SET_FRAGMENTS_MAX.saturating_mul(unlinked) {
            layout.last_set = len.div_ceil(unlinked);
            return Ok(layout);
        }
        // The first and the last of several sets have one link, those between them two.
        let outer = layout.first_set_len();
        let inner = outer.saturating_sub(LINK_LEN);
        let between = len.saturating_sub(outer.saturating_mul(2));
        layout.sets = between.div_ceil(inner).saturating_add(2);
        let rest = len.saturating_sub(layout.set_start(layout.sets.saturating_sub(1)));
        layout.last_set = rest.saturating_sub(linked).div_ceil(unlinked).saturating_add(1);
        Ok(layout)
    }

    /// The number of fragments in all sets.
    pub fn fragments(&self) -> usize {
        self.sets.saturating_sub(1).saturating_mul(SET_FRAGMENTS_MAX).saturating_add(self.last_set)
    }

    /// The number of sets.
    pub fn sets(&self) -> usize {
        self.sets
    }

    /// How many bytes of the last fragment are padding, the marker not counted.
    pub fn space_left(&self) -> usize {
        let last = self.place(self.fragments().saturating_sub(1));
        last.map_or(0, |last| last.start.saturating_add(last.len).saturating_sub(self.len))
    }

    /// Where the fragment at `index` belongs; `None` behind the last one.
    fn place(&self, index: usize) -> Option<Place> {
        let (set, before) = (index / SET_FRAGMENTS_MAX, index % SET_FRAGMENTS_MAX);
        let is_last_set = set.saturating_add(1) == self.sets;
        let total = if is_last_set { self.last_set } else { SET_FRAGMENTS_MAX };
        if set >= self.sets || before >= total {
            return None;
        }
        let position = before.saturating_add(1);
        let has_previous = set > 0;
        let has_next = !is_last_set;
        // The first fragment of a set pays for its link, those behind it begin so much earlier.
        let shift = if has_previous && before > 0 { LINK_LEN } else { 0 };
        let is_linked = (has_previous && before == 0) || (has_next && position == SET_FRAGMENTS_MAX);
        let start = self.set_start(set).saturating_add(before.saturating_mul(self.unlinked())).saturating_sub(shift);
        Some(Place {
            position: u8::try_from(position).ok()?,
            total: u8::try_from(total).ok()?,
            start,
            len: if is_linked { self.unlinked().saturating_sub(LINK_LEN) } else { self.unlinked() },
        })
    }

    /// Where the payload of a set begins in the padded message.
    fn set_start(&self, set: usize) -> usize {
        let Some(inner) = set.checked_sub(1) else { return 0 };
        let first = self.first_set_len();
        first.saturating_add(inner.saturating_mul(first.saturating_sub(LINK_LEN)))
    }

    /// The payload of a full set with one link.
    fn first_set_len(&self) -> usize {
        SET_FRAGMENTS_MAX.saturating_mul(self.unlinked()).saturating_sub(LINK_LEN)
    }

    /// The payload of a fragment without link.
    fn unlinked(&self) -> usize {
        self.room.saturating_sub(HEADER_LEN)
    }
}

/// A fragment's place in its set and in the padded message.
struct Place {
    position: u8,
    total: u8,
    start: usize,
    len: usize,
}

/// The identifier of a set: 31 random bits, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(u32);

impl SetId {
    /// Takes an identifier; `None` for zero and for 32 bits.
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 || id & TOP_BIT != 0 { None } else { Some(Self(id)) }
    }

    /// Draws an identifier: four bytes from `rng`, again when it would be zero.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        loop {
            if let Some(id) = Self::new(rng.next_u32() & !TOP_BIT) {
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
        let too_short = MessageError::Length(bytes.len());
        let ([a, b, c, d, total, position, flag], payload) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(too_short)?;
        let set = parse_set_id([*a, *b, *c, *d])?;
        if *position == 0 || position > total {
            return Err(MessageError::Header);
        }
        let id = FragmentId { set, position: *position };
        if *flag == 0 {
            return Ok(Self { header: FragmentHeader { id, total: *total, link: None }, payload });
        }
        // The flag is the first byte of the neighbour's identifier.
        let ([b, c, d], payload) = payload.split_first_chunk::<LINK_LEN>().ok_or(too_short)?;
        let neighbour = parse_set_id([*flag, *b, *c, *d])?;
        let link = match usize::from(*position) {
            _ if neighbour == set => return Err(MessageError::Header),
            1 => Link::Previous(neighbour),
            SET_FRAGMENTS_MAX => Link::Next(neighbour),
            _ => return Err(MessageError::Header),
        };
        Ok(Self { header: FragmentHeader { id, total: *total, link: Some(link) }, payload })
    }

    /// Header and payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len().saturating_add(LINKED_HEADER_LEN));
        self.header.write(&mut bytes);
        bytes.extend_from_slice(self.payload);
        bytes
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

impl FragmentHeader {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&flagged(self.id.set));
        bytes.extend_from_slice(&[self.total, self.id.position]);
        match self.link {
            None => bytes.push(0),
            Some(Link::Next(set) | Link::Previous(set)) => bytes.extend_from_slice(&flagged(set)),
        }
    }
}

/// The neighbour of a set in a message of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The set after this one, named by fragment 255.
    Next(SetId),
    /// The set before this one, named by the first fragment.
    Previous(SetId),
}

/// How much of a padded message stands before the padding.
///
/// # Errors
///
/// [`MessageError::Padding`] when there is no marker or something other than zeros behind it.
pub fn unpad(padded: &[u8]) -> Result<usize, MessageError> {
    // An honest sender writes zeros behind the marker, so the last byte that is none is the marker.
    match padded.iter().rposition(|byte| *byte != 0) {
        Some(at) if padded.get(at) == Some(&MARKER) => Ok(at),
        _ => Err(MessageError::Padding),
    }
}

/// An identifier as headers have it, with the top bit set. That bit tells fragments from cover.
fn flagged(set: SetId) -> [u8; 4] {
    (set.0 | TOP_BIT).to_be_bytes()
}

fn parse_set_id(bytes: [u8; 4]) -> Result<SetId, MessageError> {
    let id = u32::from_be_bytes(bytes);
    if id & TOP_BIT == 0 {
        return Err(MessageError::Header);
    }
    SetId::new(id & !TOP_BIT).ok_or(MessageError::Header)
}

const TOP_BIT: u32 = 1 << 31;

/// Set identifier, total, position, and a zero for "no link".
const HEADER_LEN: usize = 7;

/// What a link adds to a header: its first byte stands in place of the zero.
const LINK_LEN: usize = 3;

const LINKED_HEADER_LEN: usize = HEADER_LEN + LINK_LEN;

/// The first byte of the padding; zeros follow.
const MARKER: u8 = 1;

/// What stands in front of a sealed fragment: an ephemeral key or the digest of a reply key.
const ENVELOPE_LEN: usize = 32;
