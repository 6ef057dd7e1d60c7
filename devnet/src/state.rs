//! What a gateway keeps over a restart: registrations, login times, bandwidth and inboxes, in one journal file.
//!
//! [`Saved`] is the content as a value; every difference to it is a [`Change`], and [`Saved::apply`] is the only way it
//! moves. A [`Journal`] appends changes to a file and is read back by applying them again, so memory and disk cannot
//! mean different things. A torn tail, as a crash in the middle of a write leaves it, is cut off.
//!
//! The file holds the keys that gateway and clients share, in clear: this is a network for tests.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// How many clients one gateway knows. Further registrations are refused.
pub const CLIENT_COUNT_MAX: usize = 8192;

/// How many bytes of messages wait for one client. Further packets are dropped and not acknowledged.
pub const INBOX_LEN_MAX: usize = 64 << 20;

/// How many bytes of messages wait at one gateway. Further packets are dropped and not acknowledged.
pub const INBOXES_LEN_MAX: usize = 256 << 20;

/// What a message counts for beyond its length, so that empty ones are bounded too.
pub const WAITING_OVERHEAD_LEN: usize = 128;

/// How long messages wait, in seconds. Older ones are forgotten.
pub const INBOX_AGE_MAX: u64 = 24 * 3600;

/// How long the journal may grow before it is written anew, if less than half of it is still needed.
const COMPACT_LEN: u64 = 64 << 20;

/// The longest record: the largest message and some.
const RECORD_LEN_MAX: usize = 64 << 10;

/// Begins every journal; the last byte is its version.
const MAGIC: &[u8; 8] = b"mixlet-\x01";

/// A client's identity key.
pub type ClientId = [u8; 32];

/// What a gateway knows about one client.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// The key that frames are sealed under.
    pub shared: Zeroizing<[u8; 32]>,
    /// The time of the last login as the client signed it, in unix seconds.
    pub last_login: u64,
    /// How many bytes the client may still send.
    pub bandwidth: i64,
    /// When the bandwidth expires, in unix seconds.
    pub bandwidth_expiry: u64,
}

/// A message that waits for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number within the gateway; rises.
    pub sequence: u64,
    /// When it came, in unix seconds.
    pub since: u64,
    /// What will be pushed.
    pub message: Vec<u8>,
}

/// One difference in what is saved.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// A client registered, logged in, or its bandwidth changed.
    Client(ClientId, Client),
    /// All messages up to this number were pushed, or are too old.
    Delivered(ClientId, u64),
    /// A client asked to be forgotten, with its inbox.
    Forgotten(ClientId),
    /// A message began to wait.
    Stored(ClientId, Waiting),
}

/// All that is saved of one gateway.
#[derive(Clone, Default)]
pub struct Saved {
    clients: BTreeMap<ClientId, Client>,
    inboxes: BTreeMap<ClientId, Inbox>,
    /// Bytes in all inboxes.
    waiting_len: usize,
    /// The highest number a message had.
    sequence: u64,
}

/// The messages that wait for one client, oldest first.
#[derive(Clone, Default)]
struct Inbox {
    waiting: VecDeque<Waiting>,
    /// Bytes of all of them.
    len: usize,
}

impl Waiting {
    /// What it counts against the bounds of inboxes.
    fn cost(&self) -> usize {
        self.message.len() + WAITING_OVERHEAD_LEN
    }
}

impl Saved {
    /// What is known about a client.
    pub fn client(&self, id: &ClientId) -> Option<&Client> {
        self.clients.get(id)
    }

    /// All clients that are known.
    pub fn clients(&self) -> impl Iterator<Item = (&ClientId, &Client)> {
        self.clients.iter()
    }

    /// How many clients are known.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// The messages that wait for a client, oldest first.
    pub fn inbox(&self, id: &ClientId) -> impl Iterator<Item = &Waiting> {
        self.inboxes.get(id).into_iter().flat_map(|inbox| &inbox.waiting)
    }

    /// How many messages wait for each client.
    pub fn inbox_counts(&self) -> impl Iterator<Item = (&ClientId, usize)> {
        self.inboxes.iter().map(|(id, inbox)| (id, inbox.waiting.len()))
    }

    /// Whether a message of this length may begin to wait for this client.
    pub fn has_room(&self, id: &ClientId, len: usize) -> bool {
        let own = self.inboxes.get(id).map_or(0, |inbox| inbox.len);
        let len = len + WAITING_OVERHEAD_LEN;
        own + len <= INBOX_LEN_MAX && self.waiting_len + len <= INBOXES_LEN_MAX
    }

    /// The number the next message gets.
    pub fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// The changes that forget what has waited too long at the unix time `now`.
    pub fn expired(&self, now: u64) -> Vec<Change> {
        let oldest = now.saturating_sub(INBOX_AGE_MAX);
        let last_expired = |inbox: &Inbox| inbox.waiting.iter().rfind(|waiting| waiting.since < oldest).cloned();
        self.inboxes
            .iter()
            .filter_map(|(id, inbox)| last_expired(inbox).map(|waiting| Change::Delivered(*id, waiting.sequence)))
            .collect()
    }

    /// Makes a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Client(id, client) => {
                self.clients.insert(id, client);
            }
            Change::Delivered(id, through) => {
                if let Some(inbox) = self.inboxes.get_mut(&id) {
                    while inbox.waiting.front().is_some_and(|waiting| waiting.sequence <= through) {
                        let len = inbox.waiting.pop_front().map_or(0, |waiting| waiting.cost());
                        inbox.len -= len;
                        self.waiting_len -= len;
                    }
                    if inbox.waiting.is_empty() {
                        self.inboxes.remove(&id);
                    }
                }
            }
            Change::Forgotten(id) => {
                self.clients.remove(&id);
                self.waiting_len -= self.inboxes.remove(&id).map_or(0, |inbox| inbox.len);
            }
            Change::Stored(id, waiting) => {
                self.sequence = self.sequence.max(waiting.sequence);
                self.waiting_len += waiting.cost();
                let inbox = self.inboxes.entry(id).or_default();
                inbox.len += waiting.cost();
                inbox.waiting.push_back(waiting);
            }
        }
    }

    /// The changes that lead from nothing to this.
    fn changes(&self) -> impl Iterator<Item = Change> {
        let clients = self.clients.iter().map(|(id, client)| Change::Client(*id, client.clone()));
        let stored = self
            .inboxes
            .iter()
            .flat_map(|(id, inbox)| inbox.waiting.iter().map(|waiting| Change::Stored(*id, waiting.clone())));
        clients.chain(stored)
    }
}

impl Change {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(128));
        let (kind, id) = match self {
            Self::Client(id, _) => (1, id),
            Self::Delivered(id, _) => (2, id),
            Self::Forgotten(id) => (3, id),
            Self::Stored(id, _) => (4, id),
        };
        bytes.push(kind);
        bytes.extend_from_slice(id);
        match self {
            Self::Client(_, client) => {
                bytes.extend_from_slice(client.shared.as_slice());
                bytes.extend_from_slice(&client.last_login.to_be_bytes());
                bytes.extend_from_slice(&client.bandwidth.to_be_bytes());
                bytes.extend_from_slice(&client.bandwidth_expiry.to_be_bytes());
            }
            Self::Delivered(_, through) => bytes.extend_from_slice(&through.to_be_bytes()),
            Self::Forgotten(_) => {}
            Self::Stored(_, waiting) => {
                bytes.extend_from_slice(&waiting.sequence.to_be_bytes());
                bytes.extend_from_slice(&waiting.since.to_be_bytes());
                bytes.extend_from_slice(&waiting.message);
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<32>()?;
        let (change, rest) = match kind {
            1 => {
                let (shared, rest) = rest.split_first_chunk::<32>()?;
                let (last_login, rest) = u64_from(rest)?;
                let (bandwidth, rest) = rest.split_first_chunk::<8>()?;
                let (bandwidth_expiry, rest) = u64_from(rest)?;
                let bandwidth = i64::from_be_bytes(*bandwidth);
                let client = Client { shared: Zeroizing::new(*shared), last_login, bandwidth, bandwidth_expiry };
                (Self::Client(*id, client), rest)
            }
            2 => {
                let (through, rest) = u64_from(rest)?;
                (Self::Delivered(*id, through), rest)
            }
            3 => (Self::Forgotten(*id), rest),
            4 => {
                let (sequence, rest) = u64_from(rest)?;
                let (since, message) = u64_from(rest)?;
                (Self::Stored(*id, Waiting { sequence, since, message: message.to_vec() }), &[][..])
            }
            _ => return None,
        };
        rest.is_empty().then_some(change)
    }
}

/// A file that changes are appended to.
///
/// Layout: eight bytes of magic, then records of `length (u32, big-endian) || checksum (4) || change`.
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Length of the file.
    len: u64,
    /// Length of the file when it was last written anew.
    compacted_len: u64,
}

impl Journal {
    /// Opens or creates a journal and reads what it says. It is written anew on the way, so that it holds no more than
    /// is needed.
    ///
    /// # Errors
    /// The file cannot be read or written, or is something else than a journal.
    pub fn open(path: &Path) -> io::Result<(Self, Saved)> {
        let mut saved = Saved::default();
        match File::open(path) {
            Ok(mut file) => {
                let mut bytes = Zeroizing::new(Vec::new());
                file.read_to_end(&mut bytes)?;
                let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "not a journal of this version"));
                };
                while let Some((change, after)) = next_record(rest) {
                    saved.apply(change);
                    rest = after;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (file, len) = write_anew(path, &saved)?;
        Ok((Self { file, path: path.to_owned(), len, compacted_len: len }, saved))
    }

    /// Appends changes; when this returns they outlive the process, and with `durable` also the machine.
    ///
    /// # Errors
    /// The disk did not take them. The journal is then to be thrown away and opened again.
    pub fn append<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>, durable: bool) -> io::Result<()> {
        let mut bytes = Zeroizing::new(Vec::new());
        for change in changes {
            push_record(&mut bytes, change);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(&bytes)?;
        self.len += bytes.len() as u64;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Writes the file anew if most of it is no longer needed.
    ///
    /// # Errors
    /// The disk did not take it; the old file is still there then.
    pub fn compact(&mut self, saved: &Saved) -> io::Result<()> {
        if self.len > COMPACT_LEN && self.len / 2 > self.compacted_len.max(saved.waiting_len as u64) {
            (self.file, self.len) = write_anew(&self.path, saved)?;
            self.compacted_len = self.len;
        }
        Ok(())
    }
}

/// Writes a journal with what is saved to a file beside `path` and puts it in its place.
fn write_anew(path: &Path, saved: &Saved) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&beside)?;
    let mut bytes = Zeroizing::new(MAGIC.to_vec());
    for change in saved.changes() {
        push_record(&mut bytes, &change);
        if bytes.len() > 1 << 20 {
            file.write_all(&bytes)?;
            bytes.clear();
        }
    }
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let len = file.seek(SeekFrom::End(0))?;
    Ok((file, len))
}

fn push_record(out: &mut Vec<u8>, change: &Change) {
    let body = change.to_bytes();
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&checksum(&body));
    out.extend_from_slice(&body);
}

/// The next whole record and what follows it; nothing at the end or where the file is torn.
fn next_record(bytes: &[u8]) -> Option<(Change, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok().filter(|len| *len <= RECORD_LEN_MAX)?;
    let (body, rest) = rest.split_at_checked(len)?;
    (checksum(body) == *sum).then(|| Change::from_bytes(body).map(|change| (change, rest)))?
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = [0; 4];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..4]);
    sum
}

fn u64_from(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(number, rest)| (u64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(bandwidth: i64) -> Client {
        Client { shared: Zeroizing::new([9; 32]), last_login: 77, bandwidth, bandwidth_expiry: 88 }
    }

    fn waiting(sequence: u64, message: &[u8]) -> Waiting {
        Waiting { sequence, since: 1000, message: message.to_vec() }
    }

    fn journal(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join("gateway.journal")
    }

    #[test]
    fn what_was_appended_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, saved) = Journal::open(&journal(&dir)).unwrap();
        assert_eq!(saved.client_count(), 0);
        let changes = [
            Change::Client([1; 32], client(5)),
            Change::Client([1; 32], client(-6)),
            Change::Client([2; 32], client(7)),
            Change::Stored([1; 32], waiting(1, b"one")),
            Change::Stored([1; 32], waiting(2, b"two")),
            Change::Delivered([1; 32], 1),
            Change::Stored([2; 32], waiting(3, b"gone")),
            Change::Forgotten([2; 32]),
        ];
        first.append(&changes, true).unwrap();
        drop(first);
        for _ in 0..2 {
            let (_, saved) = Journal::open(&journal(&dir)).unwrap();
            assert!(saved.client(&[1; 32]) == Some(&client(-6)) && saved.client(&[2; 32]).is_none());
            assert_eq!(saved.inbox(&[1; 32]).cloned().collect::<Vec<_>>(), [waiting(2, b"two")]);
            assert_eq!(saved.inbox(&[2; 32]).count(), 0);
            assert_eq!(saved.waiting_len, 3 + WAITING_OVERHEAD_LEN);
            assert!(saved.next_sequence() > 2);
        }
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_what_stands_before_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, _) = Journal::open(&journal(&dir)).unwrap();
        first.append(&[Change::Client([1; 32], client(5))], true).unwrap();
        let whole = std::fs::read(journal(&dir)).unwrap();
        first.append(&[Change::Stored([1; 32], waiting(1, b"message"))], false).unwrap();
        drop(first);
        let longer = std::fs::read(journal(&dir)).unwrap();
        for len in whole.len()..longer.len() {
            std::fs::write(journal(&dir), &longer[..len]).unwrap();
            let (_, saved) = Journal::open(&journal(&dir)).unwrap();
            assert_eq!((saved.client_count(), saved.inbox(&[1; 32]).count()), (1, 0));
        }
        let mut bent = longer.clone();
        *bent.last_mut().unwrap() ^= 1;
        std::fs::write(journal(&dir), &bent).unwrap();
        assert_eq!(Journal::open(&journal(&dir)).unwrap().1.inbox(&[1; 32]).count(), 0);
    }

    #[test]
    fn another_kind_of_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(journal(&dir), b"something else").unwrap();
        assert!(Journal::open(&journal(&dir)).is_err());
        assert_eq!(std::fs::read(journal(&dir)).unwrap(), b"something else");
    }

    #[test]
    fn old_messages_expire_and_full_inboxes_have_no_room() {
        let mut saved = Saved::default();
        saved.apply(Change::Stored([1; 32], waiting(1, b"old")));
        saved.apply(Change::Stored([1; 32], Waiting { since: 1000 + INBOX_AGE_MAX, ..waiting(2, b"new") }));
        assert!(saved.expired(1000 + INBOX_AGE_MAX).is_empty());
        for change in saved.expired(1001 + INBOX_AGE_MAX) {
            saved.apply(change);
        }
        assert_eq!(saved.inbox(&[1; 32]).map(|waiting| waiting.sequence).collect::<Vec<_>>(), [2]);
        let room = INBOX_LEN_MAX - 3 - 2 * WAITING_OVERHEAD_LEN;
        assert!(saved.has_room(&[1; 32], room) && !saved.has_room(&[1; 32], room + 1));
    }
}
