//! The bytes of what the store keeps for whoever goes on with the same identity: reply keys, SURBs, what was finished,
//! what was half received.
//!
//! Such things come in great number, so they are kept in pages: a version byte, then entries one after the other. A page is
//! read whole or not at all. Times are seconds since 1970, numbers big endian.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::message::{ADDRESS_LEN, Address, Context, ReplyKey, ReplySurb, SenderTag, SetId};
use crate::sphinx::{RotationTag, Surb};

/// The first byte of every page.
pub const PAGE_VERSION: u8 = 1;

/// What is in a page, in the order in which pages are to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Sets received whole, so that they are not put together twice.
    Finished,
    /// Keys of SURBs we gave out.
    Given,
    /// Ids of messages that the application has seen.
    Seen,
    /// Which of the SURBs of the page with the same number in [`Shelf::Held`] are used up.
    Used,
    /// SURBs that others gave us.
    Held,
    /// Fragments of messages that are not complete.
    Unfinished,
    /// Which fragments of the message with the same number in [`Shelf::Outbox`] were acknowledged. The exchange's, as are
    /// the following.
    Acked,
    /// Messages that are to be sent whatever happens, one in each.
    Outbox,
    /// Messages that the application has not taken yet, one in each.
    Inbox,
}

impl Shelf {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Finished,
        Self::Given,
        Self::Seen,
        Self::Used,
        Self::Held,
        Self::Unfinished,
        Self::Acked,
        Self::Outbox,
        Self::Inbox,
    ];
}

/// Why a page cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// It is damaged.
    #[error("damaged page")]
    Malformed,
    /// It was written by a newer version of this program.
    #[error("a page of version {0}")]
    Version(u8),
}

/// One thing in a page.
pub trait Entry: Sized {
    /// Appends it to a page.
    fn write(&self, page: &mut Vec<u8>);
    /// Takes it from the front of what is left of a page.
    fn read(rest: &mut &[u8]) -> Option<Self>;
}

/// The entries of a page.
///
/// # Errors
/// When any of it is damaged, or of another version.
pub fn read_page<E: Entry>(page: &[u8]) -> Result<Vec<E>, PageError> {
    read_entries(unversioned(page)?)
}

/// A page with these entries.
pub fn write_page<E: Entry>(entries: &[E]) -> Vec<u8> {
    let mut page = Vec::from([PAGE_VERSION]);
    entries.iter().for_each(|entry| entry.write(&mut page));
    page
}

/// What follows the version.
///
/// # Errors
/// [`PageError::Version`] for another one, [`PageError::Malformed`] when there is none.
pub fn unversioned(page: &[u8]) -> Result<&[u8], PageError> {
    match page {
        [PAGE_VERSION, rest @ ..] => Ok(rest),
        [version, ..] => Err(PageError::Version(*version)),
        [] => Err(PageError::Malformed),
    }
}

/// Keys of SURBs that were given out together: our tag, whom they were given to, when, the keys in the order of the SURBs.
pub struct Given {
    /// Our tag.
    pub tag: SenderTag,
    /// Whom they were given to.
    pub to: Address,
    /// When.
    pub since: u64,
    /// At least one, at most [`u16::MAX`].
    pub keys: Vec<ReplyKey>,
}

impl Entry for Given {
    /// `tag[16] ‖ address[96] ‖ since u64 ‖ count u16 ‖ keys[16 each]`.
    fn write(&self, page: &mut Vec<u8>) {
        write_given(page, (self.tag, &self.to), self.since, &mut self.keys.iter());
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let tag = SenderTag(take(rest)?);
        let to = Address::restored(&take::<ADDRESS_LEN>(rest)?);
        let since = u64::from_be_bytes(take(rest)?);
        let count = count(rest)?;
        let keys = split(rest, usize::from(count) * KEY_LEN)?;
        let keys = keys.as_chunks::<KEY_LEN>().0.iter().map(|key| ReplyKey::from_bytes(*key)).collect();
        Some(Self { tag, to, since, keys })
    }
}

/// As [`Given::write`], without owning the keys.
pub(super) fn write_given(
    page: &mut Vec<u8>,
    (tag, to): (SenderTag, &Address),
    since: u64,
    keys: &mut dyn ExactSizeIterator<Item = &ReplyKey>,
) {
    page.extend_from_slice(&tag.0);
    page.extend_from_slice(&to.to_bytes());
    page.extend_from_slice(&since.to_be_bytes());
    page.extend_from_slice(&u16::try_from(keys.len()).unwrap_or(u16::MAX).to_be_bytes());
    for key in keys {
        page.extend_from_slice(key.as_bytes());
    }
}

/// SURBs that came together.
pub struct Held {
    /// Who gave them.
    pub tag: SenderTag,
    /// When they came.
    pub since: u64,
    /// The rotation we were in then.
    pub rotation_id: u32,
    /// The rotation that they say they were made for.
    pub rotation: RotationTag,
    /// At least one, at most [`u16::MAX`].
    pub surbs: Vec<ReplySurb>,
}

impl Entry for Held {
    /// `tag[16] ‖ since u64 ‖ rotation u32 ‖ rotation tag u8 ‖ count u16 ‖ (key[16] ‖ length u16 ‖ SURB)…`.
    fn write(&self, page: &mut Vec<u8>) {
        write_held(page, self.tag, self.since, self.rotation_id, (self.rotation, &self.surbs));
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let tag = SenderTag(take(rest)?);
        let since = u64::from_be_bytes(take(rest)?);
        let rotation_id = u32::from_be_bytes(take(rest)?);
        let [rotation] = take(rest)?;
        let rotation = RotationTag::from_byte(rotation).ok()?;
        let count = count(rest)?;
        let mut surbs = Vec::new();
        for _ in 0..count {
            let key = ReplyKey::from_bytes(take(rest)?);
            let surb = sized(rest)?;
            // Lengths with seeds and with whole keys have none in common.
            let surb = Surb::from_bytes(surb).or_else(|_| Surb::from_legacy_bytes(surb)).ok()?;
            surbs.push(ReplySurb { key, surb });
        }
        Some(Self { tag, since, rotation_id, rotation, surbs })
    }
}

/// As [`Held::write`], without owning the SURBs.
pub(super) fn write_held(
    page: &mut Vec<u8>,
    tag: SenderTag,
    since: u64,
    rotation_id: u32,
    (rotation, surbs): (RotationTag, &[ReplySurb]),
) {
    page.extend_from_slice(&tag.0);
    page.extend_from_slice(&since.to_be_bytes());
    page.extend_from_slice(&rotation_id.to_be_bytes());
    page.push(rotation.to_byte());
    page.extend_from_slice(&u16::try_from(surbs.len()).unwrap_or(u16::MAX).to_be_bytes());
    for ReplySurb { key, surb } in surbs {
        page.extend_from_slice(key.as_bytes());
        let bytes = Zeroizing::new(surb.to_bytes());
        page.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        page.extend_from_slice(&bytes);
    }
}

/// A set that was received whole. In its page the key of the digests, 32 bytes, follows the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSet {
    /// Who can have sent it.
    pub context: Context,
    /// Its identifier.
    pub set: SetId,
    /// When it was complete.
    pub since: u64,
    /// A keyed digest of each fragment, in order; 1 to 255.
    pub digests: Vec<u64>,
}

impl Entry for FinishedSet {
    /// `context ‖ set u32 ‖ since u64 ‖ count u8 ‖ digests[8 each]`.
    fn write(&self, page: &mut Vec<u8>) {
        write_finished(page, (self.context, self.set), self.since, &self.digests);
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let context = context(rest)?;
        let set = SetId::new(u32::from_be_bytes(take(rest)?))?;
        let since = u64::from_be_bytes(take(rest)?);
        let [count] = take(rest)?;
        let digests = split(rest, usize::from(count) * size_of::<u64>()).filter(|_| count > 0)?;
        let digests = digests.as_chunks().0.iter().map(|digest| u64::from_be_bytes(*digest)).collect();
        Some(Self { context, set, since, digests })
    }
}

/// As [`FinishedSet::write`], without owning the digests.
pub(super) fn write_finished(page: &mut Vec<u8>, (context, set): (Context, SetId), since: u64, digests: &[u64]) {
    write_context(page, context);
    page.extend_from_slice(&set.to_u32().to_be_bytes());
    page.extend_from_slice(&since.to_be_bytes());
    page.push(u8::try_from(digests.len()).unwrap_or(u8::MAX));
    for digest in digests {
        page.extend_from_slice(&digest.to_be_bytes());
    }
}

/// The key of the digests in a page of finished sets, and the sets.
///
/// # Errors
/// As [`read_page`].
pub fn read_finished(page: &[u8]) -> Result<([u8; 32], Vec<FinishedSet>), PageError> {
    let mut rest = unversioned(page)?;
    let key = take(&mut rest).ok_or(PageError::Malformed)?;
    Ok((key, read_entries(rest)?))
}

/// A page of finished sets.
pub fn write_finished_page(key: &[u8; 32], sets: &[FinishedSet]) -> Vec<u8> {
    let mut page = [&[PAGE_VERSION], key.as_slice()].concat();
    sets.iter().for_each(|set| set.write(&mut page));
    page
}

/// The id of a message that the application has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The id.
    pub id: [u8; 16],
    /// When it was.
    pub since: u64,
}

impl Entry for Seen {
    /// `id[16] ‖ since u64`.
    fn write(&self, page: &mut Vec<u8>) {
        page.extend_from_slice(&self.id);
        page.extend_from_slice(&self.since.to_be_bytes());
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        Some(Self { id: take(rest)?, since: u64::from_be_bytes(take(rest)?) })
    }
}

/// A fragment of a message that is not complete.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// Who can have sent it.
    pub context: Context,
    /// When it came.
    pub since: u64,
    /// Header and payload.
    pub fragment: Vec<u8>,
}

impl Entry for Piece {
    /// `context ‖ since u64 ‖ length u16 ‖ fragment`.
    fn write(&self, page: &mut Vec<u8>) {
        write_piece(page, self.context, self.since, &self.fragment);
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let context = context(rest)?;
        let since = u64::from_be_bytes(take(rest)?);
        Some(Self { context, since, fragment: sized(rest)?.to_vec() })
    }
}

/// As [`Piece::write`], without owning the fragment.
pub(super) fn write_piece(page: &mut Vec<u8>, context: Context, since: u64, fragment: &[u8]) {
    write_context(page, context);
    page.extend_from_slice(&since.to_be_bytes());
    page.extend_from_slice(&u16::try_from(fragment.len()).unwrap_or(u16::MAX).to_be_bytes());
    page.extend_from_slice(fragment);
}

// ── small things ─────────────────────────────────────────────────────────────────────────────────────────────────

fn read_entries<E: Entry>(mut rest: &[u8]) -> Result<Vec<E>, PageError> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(E::read(&mut rest).ok_or(PageError::Malformed)?);
    }
    Ok(entries)
}

/// `0`, or `1 ‖ tag[16]`.
fn write_context(page: &mut Vec<u8>, context: Context) {
    match context {
        Context::Unknown => page.push(0),
        Context::Tag(tag) => {
            page.push(1);
            page.extend_from_slice(&tag.0);
        }
    }
}

fn context(rest: &mut &[u8]) -> Option<Context> {
    match take(rest)? {
        [0] => Some(Context::Unknown),
        [1] => Some(Context::Tag(SenderTag(take(rest)?))),
        [_] => None,
    }
}

/// A number of things that is not zero.
fn count(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest)?)).filter(|count| *count > 0)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*taken)
}

fn split<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, others) = rest.split_at_checked(len)?;
    *rest = others;
    Some(taken)
}

/// Bytes after their length.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16::from_be_bytes(take(rest)?);
    split(rest, usize::from(len))
}

const KEY_LEN: usize = 16;
