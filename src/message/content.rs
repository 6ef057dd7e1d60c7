//! What a message says: its kind, attached SURBs, and the user's body.

use core::fmt;

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{ADDRESS_LEN, Address, MessageError, SenderTag};
use crate::sphinx::params::HOPS_MAX;
use crate::sphinx::{RotationTag, SphinxError, Surb};

/// A whole message.
pub enum Content {
    /// A body to a known recipient, who cannot answer.
    Plain(Vec<u8>),
    /// To a known recipient, who can answer to the tag.
    Repliable {
        /// What the recipient knows the sender by.
        tag: SenderTag,
        /// What is in it.
        data: Repliable,
    },
    /// Over SURBs, to a sender known by a tag.
    Reply(Reply),
}

impl Content {
    /// Writes the message.
    ///
    /// # Errors
    ///
    /// [`MessageError::EmptyReply`] for a reply without body; [`MessageError::Surbs`] for more than 65,535 SURBs, for
    /// SURBs of unlike lengths, and for legacy SURBs, which are only ever read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MessageError> {
        match self {
            Self::Plain(body) => Ok(Self::plain(body)),
            Self::Repliable { tag, data: Repliable::Data { surbs, body } } => Self::repliable(tag, surbs, body),
            Self::Repliable { tag, data: Repliable::AdditionalSurbs(surbs) } => {
                Self::list(tag, ADDITIONAL_SURBS, surbs, &[])
            }
            Self::Repliable { tag, data: Repliable::Heartbeat(surbs) } => Self::list(tag, HEARTBEAT, surbs, &[]),
            Self::Reply(Reply::Data(body)) => Self::reply(body),
            Self::Reply(Reply::SurbRequest { address, amount }) => Ok(Self::surb_request(address, *amount)),
        }
    }

    /// A plain message with this body.
    pub fn plain(body: &[u8]) -> Vec<u8> {
        join(&[&[PLAIN], body])
    }

    /// A message with SURBs to answer it with.
    ///
    /// # Errors
    ///
    /// [`MessageError::Surbs`] as [`Content::to_bytes`].
    pub fn repliable(tag: &SenderTag, surbs: &SurbList, body: &[u8]) -> Result<Vec<u8>, MessageError> {
        Self::list(tag, DATA, surbs, body)
    }

    /// A reply with this body.
    ///
    /// # Errors
    ///
    /// [`MessageError::EmptyReply`] without one: recipients refuse it.
    pub fn reply(body: &[u8]) -> Result<Vec<u8>, MessageError> {
        if body.is_empty() {
            return Err(MessageError::EmptyReply);
        }
        Ok(join(&[&[REPLY, REPLY_DATA], body]))
    }

    /// A request for more SURBs, to be sent to `address`.
    pub fn surb_request(address: &Address, amount: u32) -> Vec<u8> {
        join(&[&[REPLY, SURB_REQUEST], &address.to_bytes(), &amount.to_be_bytes()])
    }

    fn list(tag: &SenderTag, content: u8, surbs: &SurbList, body: &[u8]) -> Result<Vec<u8>, MessageError> {
        Ok(join(&[&[REPLIABLE], tag.as_bytes(), &[content], &surbs.to_bytes()?, body]))
    }

    /// Reads a message as the [`Reassembler`](super::Reassembler) gives it. The body is moved, not copied.
    ///
    /// # Errors
    ///
    /// The [`MessageError`] that says which check failed.
    pub fn parse(mut message: Vec<u8>) -> Result<Self, MessageError> {
        let (kind, rest) = message.split_first().ok_or(MessageError::Length(0))?;
        match *kind {
            PLAIN => {
                let body_len = rest.len();
                keep_last(&mut message, body_len);
                Ok(Self::Plain(message))
            }
            REPLIABLE => {
                let too_short = MessageError::Length(message.len());
                let (tag, rest) = rest.split_first_chunk::<16>().ok_or(too_short)?;
                let tag = SenderTag(*tag);
                let (content, rest) = rest.split_first().ok_or(too_short)?;
                let content = *content;
                let (surbs, body) = match content {
                    DATA | ADDITIONAL_SURBS | HEARTBEAT => SurbList::parse(rest)?,
                    LEGACY_DATA | LEGACY_ADDITIONAL_SURBS | LEGACY_HEARTBEAT => SurbList::parse_legacy(rest)?,
                    content => return Err(MessageError::ContentTag(content)),
                };
                let data = match content {
                    DATA | LEGACY_DATA => {
                        let body_len = body.len();
                        keep_last(&mut message, body_len);
                        Repliable::Data { surbs, body: message }
                    }
                    HEARTBEAT | LEGACY_HEARTBEAT => Repliable::Heartbeat(surbs),
                    // Other clients tolerate bytes behind these lists, so they may exist.
                    _ => Repliable::AdditionalSurbs(surbs),
                };
                Ok(Self::Repliable { tag, data })
            }
            REPLY => {
                let (tag, content) = rest.split_first().ok_or(MessageError::Length(message.len()))?;
                match *tag {
                    REPLY_DATA if content.is_empty() => Err(MessageError::EmptyReply),
                    REPLY_DATA => {
                        let body_len = content.len();
                        keep_last(&mut message, body_len);
                        Ok(Self::Reply(Reply::Data(message)))
                    }
                    SURB_REQUEST => parse_surb_request(content).map(Self::Reply),
                    tag => Err(MessageError::ReplyTag(tag)),
                }
            }
            kind => Err(MessageError::Kind(kind)),
        }
    }
}

/// What a repliable message says.
pub enum Repliable {
    /// SURBs and a body.
    Data {
        /// The SURBs to answer with, possibly none.
        surbs: SurbList,
        /// The user's bytes, possibly none.
        body: Vec<u8>,
    },
    /// SURBs only, mostly because they were asked for.
    AdditionalSurbs(SurbList),
    /// SURBs only; defined by the network and not used so far.
    Heartbeat(SurbList),
}

/// What a reply says.
pub enum Reply {
    /// A body of at least one byte.
    Data(Vec<u8>),
    /// The other side, at this address, needs more SURBs to go on answering.
    SurbRequest {
        /// The asking side's own address.
        address: Address,
        /// How many; not bounded by the format.
        amount: u32,
    },
}

/// SURBs that were made for the same rotation and have the same number of hops.
#[derive(Default)]
pub struct SurbList {
    /// The rotation of the keys that the SURBs were made for. Without SURBs it is not sent.
    pub rotation: RotationTag,
    /// The SURBs.
    pub surbs: Vec<ReplySurb>,
}

impl SurbList {
    /// Count, hops, rotation, records.
    fn to_bytes(&self) -> Result<Vec<u8>, MessageError> {
        let Some(first) = self.surbs.first() else { return Ok([0; LIST_HEAD_LEN].to_vec()) };
        let count = u16::try_from(self.surbs.len()).map_err(|_| MessageError::Surbs)?;
        let hops = first.surb.hops();
        let head = [u8::try_from(hops).map_err(|_| MessageError::Surbs)?, self.rotation.to_byte()];
        let records_len = self.surbs.len().saturating_mul(record_len(hops));
        let mut bytes = Vec::with_capacity(records_len.saturating_add(LIST_HEAD_LEN));
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&head);
        for ReplySurb { key, surb } in &self.surbs {
            let surb = surb.to_bytes();
            // One length is told for all, so a SURB of another would make the rest unreadable.
            if surb.len() != Surb::len(hops) {
                return Err(MessageError::Surbs);
            }
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(&surb);
        }
        Ok(bytes)
    }

    /// Reads a list and gives what follows it.
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), MessageError> {
        let ([count_high, count_low, hops, rotation], rest) =
            bytes.split_first_chunk::<LIST_HEAD_LEN>().ok_or(MessageError::Length(bytes.len()))?;
        let count = usize::from(u16::from_be_bytes([*count_high, *count_low]));
        let hops = usize::from(*hops);
        let rotation = RotationTag::from_byte(*rotation).map_err(|_| MessageError::Surbs)?;
        if count == 0 {
            return Ok((Self::default(), rest));
        }
        if !(1..=HOPS_MAX).contains(&hops) {
            return Err(MessageError::Surbs);
        }
        let (surbs, rest) = parse_records(rest, count, record_len(hops), Surb::from_bytes)?;
        Ok((Self { rotation, surbs }, rest))
    }

    /// Reads the list of older clients: four hops, full keys, no rotation.
    fn parse_legacy(bytes: &[u8]) -> Result<(Self, &[u8]), MessageError> {
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(MessageError::Length(bytes.len()))?;
        let count = usize::try_from(u32::from_be_bytes(*count)).map_err(|_| MessageError::Surbs)?;
        let (surbs, rest) = parse_records(rest, count, LEGACY_RECORD_LEN, Surb::from_legacy_bytes)?;
        Ok((Self { rotation: RotationTag::Unknown, surbs }, rest))
    }
}

/// A SURB and the key to seal the one fragment with that travels over it.
pub struct ReplySurb {
    /// Seals the fragment.
    pub key: ReplyKey,
    /// Carries it.
    pub surb: Surb,
}

/// The key that seals one fragment of a reply. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ReplyKey([u8; 16]);

impl ReplyKey {
    /// Takes a key as it came or was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws a key: 16 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What the other side names the key by: the BLAKE3 hash of it.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(*blake3::hash(&self.0).as_bytes())
    }
}

/// The hash of a [`ReplyKey`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyDigest(pub [u8; 32]);

impl fmt::Debug for KeyDigest {
    // It links a reply to who asked for it: it does not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Drops all but the last `len` bytes, in place.
fn keep_last(bytes: &mut Vec<u8>, len: usize) {
    bytes.drain(..bytes.len().saturating_sub(len));
}

/// Reads `count` records from the front, after checking that so many are there, and gives what follows them.
fn parse_records(
    bytes: &[u8],
    count: usize,
    record_len: usize,
    read: impl Fn(&[u8]) -> Result<Surb, SphinxError>,
) -> Result<(Vec<ReplySurb>, &[u8]), MessageError> {
    let len = count.checked_mul(record_len).ok_or(MessageError::Surbs)?;
    let (records, rest) = bytes.split_at_checked(len).ok_or(MessageError::Length(bytes.len()))?;
    let record = |bytes: &[u8]| {
        let (key, surb) = bytes.split_first_chunk::<16>().ok_or(MessageError::Surbs)?;
        let surb = read(surb).map_err(|_| MessageError::Surbs)?;
        Ok(ReplySurb { key: ReplyKey(*key), surb })
    };
    let surbs = records.chunks_exact(record_len).map(record).collect::<Result<_, _>>()?;
    Ok((surbs, rest))
}

fn parse_surb_request(content: &[u8]) -> Result<Reply, MessageError> {
    let wrong = MessageError::Length(content.len());
    let (address, amount) = content.split_first_chunk::<ADDRESS_LEN>().ok_or(wrong)?;
    let amount = u32::from_be_bytes(amount.try_into().map_err(|_| wrong)?);
    Ok(Reply::SurbRequest { address: Address::from_bytes(address)?, amount })
}

/// The length of a reply key and a SURB with so many hops.
const fn record_len(hops: usize) -> usize {
    Surb::len(hops).saturating_add(REPLY_KEY_LEN)
}

const REPLY_KEY_LEN: usize = 16;

const LIST_HEAD_LEN: usize = 4;

/// A reply key and a SURB with four full keys.
const LEGACY_RECORD_LEN: usize = REPLY_KEY_LEN + Surb::legacy_len(4);

// Kinds of messages.
const PLAIN: u8 = 0;
const REPLIABLE: u8 = 1;
const REPLY: u8 = 2;

// Contents of repliable messages; those of older clients are read and never written.
const LEGACY_DATA: u8 = 0;
const LEGACY_ADDITIONAL_SURBS: u8 = 1;
const LEGACY_HEARTBEAT: u8 = 2;
const DATA: u8 = 3;
const ADDITIONAL_SURBS: u8 = 4;
const HEARTBEAT: u8 = 5;

// Contents of replies.
const REPLY_DATA: u8 = 0;
const SURB_REQUEST: u8 = 1;
