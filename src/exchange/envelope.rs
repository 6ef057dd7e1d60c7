//! The bytes that mixlet peers wrap what they say in. `docs/PROTOCOL.md`, section 10, has the table.
//!
//! Other clients of the network send bare bytes. What does not begin with the magic, or does not parse, is such bytes and
//! is handed to the user as it came.

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::limits;

/// The first bytes of every envelope: an invitation to nothing else, since a bare message may begin with any bytes.
pub const MAGIC: [u8; 8] = *b"mixlet\xf0\x01";
/// The version that is written.
pub const VERSION: u8 = 1;
/// Magic, version, kind, flags, id and the length of the service: what is always there.
pub const HEADER_LEN: usize = MAGIC.len() + 3 + ID_LEN + 1;
const ID_LEN: usize = 16;

/// Names one thing said: random, and the same when it is said again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; ID_LEN]);

impl Id {
    /// Draws 16 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; ID_LEN];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl core::fmt::Debug for Id {
    // Who knows an id could answer in its place: it does not reach a log.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Id(..)")
    }
}

/// What an envelope is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A message for the application.
    Message = 0,
    /// The message with this id is held whole.
    Receipt = 1,
    /// Asks; the answer has the same id.
    Request = 2,
    /// Answers.
    Response = 3,
    /// There is no answer; the body is one byte, see [`Refusal`].
    Failure = 4,
    /// Asks whether the peer speaks mixlet.
    Probe = 5,
    /// It does.
    Presence = 6,
    /// Version or kind of what had this id is unknown; the body is both.
    Unsupported = 7,
    /// Several requests: each a length in four bytes and an envelope without magic and version.
    Pack = 8,
    /// Opens a stream.
    Open = 16,
    /// Takes it.
    Accept = 17,
    /// A piece of it.
    Data = 18,
    /// What came of it, and how much more may come.
    Credit = 19,
    /// Ends it before its time.
    Reset = 20,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Message,
            1 => Self::Receipt,
            2 => Self::Request,
            3 => Self::Response,
            4 => Self::Failure,
            5 => Self::Probe,
            6 => Self::Presence,
            7 => Self::Unsupported,
            8 => Self::Pack,
            16 => Self::Open,
            17 => Self::Accept,
            18 => Self::Data,
            19 => Self::Credit,
            20 => Self::Reset,
            _ => return None,
        })
    }
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Nobody serves it.
    NoHandler = 1,
    /// Who serves it failed, or had too much to do.
    HandlerFailed = 2,
}

/// The sender wants a receipt for this message.
pub const WANTS_RECEIPT: u8 = 1;
/// Kept free for bodies that travel outside of the message. Never written; what has it is not supported.
const HEAVY_BODY: u8 = 2;

/// One envelope, open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What it is for.
    pub kind: Kind,
    /// [`WANTS_RECEIPT`] or 0.
    pub flags: u8,
    /// What it is about.
    pub id: Id,
    /// Which service is asked, of requests and streams; else empty.
    pub service: &'a str,
    /// The rest.
    pub body: &'a [u8],
}

/// What received bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// An envelope.
    Envelope(Envelope<'a>),
    /// An envelope of a version or kind that is not known here.
    Unknown {
        /// Its id, which every version has at the same place.
        id: Id,
        /// Its version and kind.
        what: [u8; 2],
    },
    /// Bytes of somebody who does not speak mixlet.
    Bare,
}

/// Looks at received bytes.
pub fn open(bytes: &[u8]) -> Opened<'_> {
    let Some(rest) = bytes.strip_prefix(&MAGIC) else { return Opened::Bare };
    let Some(([version, kind, flags], rest)) = rest.split_first_chunk::<3>() else { return Opened::Bare };
    let Some((id, _)) = rest.split_first_chunk::<ID_LEN>() else { return Opened::Bare };
    let unknown = Opened::Unknown { id: Id(*id), what: [*version, *kind] };
    if *version != VERSION || flags & HEAVY_BODY != 0 || Kind::from_byte(*kind).is_none() {
        return unknown;
    }
    // What follows the version is what the items of a pack are.
    match open_item(bytes.get(MAGIC.len() + 1..).unwrap_or_default()) {
        Some(envelope) => Opened::Envelope(envelope),
        None => Opened::Bare,
    }
}

/// Reads an envelope without magic and version, as in a pack.
pub fn open_item(bytes: &[u8]) -> Option<Envelope<'_>> {
    let ([kind, flags], rest) = bytes.split_first_chunk::<2>()?;
    let kind = Kind::from_byte(*kind)?;
    let (id, rest) = rest.split_first_chunk::<ID_LEN>()?;
    let (len, rest) = rest.split_first()?;
    let (service, body) = rest.split_at_checked(usize::from(*len))?;
    let service = core::str::from_utf8(service).ok()?;
    if service.len() > limits::SERVICE_LEN_MAX || flags & HEAVY_BODY != 0 {
        return None;
    }
    Some(Envelope { kind, flags: flags & WANTS_RECEIPT, id: Id(*id), service, body })
}

impl Envelope<'_> {
    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.service.len() + self.body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        self.write_item(&mut bytes);
        bytes
    }

    /// Appends it without magic and version.
    pub fn write_item(&self, bytes: &mut Vec<u8>) {
        // Callers have checked it; a longer one is cut rather than written as something else.
        let service = self.service.get(..limits::SERVICE_LEN_MAX).unwrap_or(self.service);
        bytes.extend_from_slice(&[self.kind as u8, self.flags]);
        bytes.extend_from_slice(&self.id.0);
        bytes.push(u8::try_from(service.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(service.as_bytes());
        bytes.extend_from_slice(self.body);
    }
}

/// An envelope with nothing but a kind, an id and a body.
pub fn simple(kind: Kind, id: Id, body: &[u8]) -> Vec<u8> {
    Envelope { kind, flags: 0, id, service: "", body }.to_bytes()
}

/// The items of a pack. `None`: they do not fit exactly, or there are too many.
pub fn unpack(mut body: &[u8]) -> Option<Vec<Envelope<'_>>> {
    let mut items = Vec::new();
    while !body.is_empty() {
        let (len, rest) = body.split_first_chunk::<4>()?;
        let (item, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        items.push(open_item(item).filter(|item| item.kind == Kind::Request)?);
        if items.len() > limits::PACK_COUNT_MAX {
            return None;
        }
        body = rest;
    }
    Some(items)
}

/// Appends an item to the body of a pack.
pub fn pack_item(body: &mut Vec<u8>, item: &Envelope<'_>) {
    let at = body.len();
    body.extend_from_slice(&[0; 4]);
    item.write_item(body);
    let len = u32::try_from(body.len() - at - 4).unwrap_or(u32::MAX);
    if let Some(place) = body.get_mut(at..at + 4) {
        place.copy_from_slice(&len.to_be_bytes());
    }
}

/// The name of a service: UTF-8, at most [`limits::SERVICE_LEN_MAX`] bytes.
pub fn is_service(name: &str) -> bool {
    name.len() <= limits::SERVICE_LEN_MAX
}

/// A service's name, owned.
pub type Service = String;
