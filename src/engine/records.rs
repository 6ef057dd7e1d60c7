//! What is kept for whoever goes on with this identity, after a reload, a worker's death or a closed tab: written as it
//! changes, a few times a second, and given back at the next start.
//!
//! Nothing here decides what leaves or when, and nothing is drawn at random, so a client that keeps pages behaves as one
//! that does not.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::output::{Record, Request};
use super::pages::{self, Given, Held, PageError, Piece, Seen, Shelf};
use super::shelf::{Pages, Place, Rules};
use super::{Engine, PacketFormat};
use crate::limits;
use crate::message::{Context, Inserted, ReplySurb, SenderTag, SetId, SurbList};
use crate::table::Table;
use crate::time::{Duration, Instant};

/// The shelves of a client.
pub(super) struct Records {
    finished: Pages,
    given: Pages,
    seen: Pages,
    held: Pages,
    /// Which SURBs of a page are used up.
    used: Table<u32, Used>,
    unfinished: Pages,
    /// Since when something is to be written, and whether that should not wait.
    changed: Option<Instant>,
    is_urgent: bool,
    written: Option<Instant>,
    /// A page of finished sets was given back, and with it the key of their digests.
    has_digest_key: bool,
}

#[derive(Default)]
struct Used {
    /// One bit for each SURB of the page, the first the lowest of the first byte.
    bits: Vec<u8>,
    has_changed: bool,
    is_written: bool,
}

impl Records {
    pub(super) fn new(digest_key: &[u8; 32]) -> Self {
        let pages = |shelf, page_len, len_max, rolls| Pages::new(shelf, Rules { page_len, len_max, rolls });
        let mut finished = pages(Shelf::Finished, limits::PAGE_LEN, limits::PAGES_FINISHED_LEN_MAX, true);
        finished.set_head(digest_key);
        Self {
            finished,
            given: pages(Shelf::Given, limits::PAGE_LEN, limits::PAGES_GIVEN_LEN_MAX, false),
            seen: pages(Shelf::Seen, limits::PAGE_LEN, limits::PAGES_SEEN_LEN_MAX, true),
            held: pages(Shelf::Held, limits::PAGE_LARGE_LEN, limits::PAGES_HELD_LEN_MAX, false),
            used: Table::new(),
            unfinished: pages(Shelf::Unfinished, limits::PAGE_LARGE_LEN, limits::PAGES_UNFINISHED_LEN_MAX, false),
            changed: None,
            is_urgent: false,
            written: None,
            has_digest_key: false,
        }
    }

    /// Something is to be written. What is urgent is written at once, unless something just was; the rest together with
    /// what follows it.
    fn change(&mut self, is_urgent: bool, now: Instant) {
        if is_urgent && !self.is_urgent {
            self.is_urgent = true;
            self.changed = Some(now);
        }
        self.changed.get_or_insert(now);
    }

    fn next_write(&self) -> Option<Instant> {
        let changed = self.changed?;
        let wanted = if self.is_urgent { changed } else { changed + limits::PAGES_GAP };
        Some(self.written.map_or(wanted, |written| wanted.max(written + limits::PAGES_GAP)))
    }

    /// A SURB is not held any more, so that it is not used again after the next start.
    fn release_held(&mut self, place: Place) {
        self.held.release(place.page);
        if !self.held.contains(place.page) {
            return;
        }
        let used = self.used.get_or_insert_with(place.page, Used::default);
        let at = place.at as usize;
        if used.bits.len() <= at / 8 {
            used.bits.resize(at / 8 + 1, 0);
        }
        if let Some(bits) = used.bits.get_mut(at / 8) {
            *bits |= 1 << (at % 8);
        }
        used.has_changed = true;
    }

    /// Asks for what is to be written of what is used of each page of SURBs.
    fn write_used(&mut self, requests: &mut VecDeque<Request>) {
        let mut over = Vec::new();
        for (number, used) in self.used.iter_mut() {
            let record = Record::Page(Shelf::Used, *number);
            if !self.held.contains(*number) {
                over.push(*number);
                if used.is_written {
                    requests.push_back(Request::Forget { record });
                }
            } else if core::mem::take(&mut used.has_changed) {
                used.is_written = true;
                let bytes = [&[pages::PAGE_VERSION], used.bits.as_slice()].concat().into();
                requests.push_back(Request::Save { record, bytes });
            }
        }
        for number in over {
            self.used.remove(&number);
        }
    }
}

impl<P: PacketFormat> Engine<P> {
    // ── what the layer above has handed out ──────────────────────────────────────────────────────────────────────

    /// The application has seen the message with this id; [`Self::restore`] tells of it in the next run.
    pub fn keep_seen(&mut self, id: [u8; 16], now: Instant) {
        let now = self.advance(now);
        let since = self.unix(now);
        let Some(records) = &mut self.records else { return };
        let mut entry = Vec::new();
        pages::Entry::write(&Seen { id, since }, &mut entry);
        records.seen.add(1, &entry, now);
        records.change(true, now);
    }

    // ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Keys of SURBs that are given out now. Where the store has the first of them.
    pub(super) fn keep_keys(&mut self, tag: SenderTag, surbs: &[ReplySurb], now: Instant) -> Option<Place> {
        let since = self.unix(now);
        let to = self.conversations.recipient(tag)?;
        let records = self.records.as_mut().filter(|_| !surbs.is_empty())?;
        let mut entry = Zeroizing::new(Vec::new());
        pages::write_given(&mut entry, (tag, to), since, &mut surbs.iter().map(|surb| &surb.key));
        let place = records.given.add(count(surbs.len()), &entry, now);
        records.change(true, now);
        self.stats.dropped.page += u64::from(place.is_none());
        place
    }

    /// SURBs that came. Where the store has the first of them.
    pub(super) fn keep_surbs(&mut self, tag: SenderTag, list: &SurbList, now: Instant) -> Option<Place> {
        let since = self.unix(now);
        let rotation_id = self.topology.as_ref().map_or(0, |topology| topology.rotation_id());
        let records = self.records.as_mut().filter(|_| !list.surbs.is_empty())?;
        let mut entry = Zeroizing::new(Vec::new());
        pages::write_held(&mut entry, tag, since, rotation_id, (list.rotation, &list.surbs));
        let place = records.held.add(count(list.surbs.len()), &entry, now);
        records.change(true, now);
        self.stats.dropped.page += u64::from(place.is_none());
        place
    }

    /// Sets that are complete.
    pub(super) fn keep_finished(&mut self, context: Context, sets: &[SetId], now: Instant) {
        let since = self.unix(now);
        let Some(records) = &mut self.records else { return };
        for set in sets {
            if let Some(digests) = self.reassembler.finished_digests(context, *set) {
                let mut entry = Vec::new();
                pages::write_finished(&mut entry, (context, *set), since, digests);
                records.finished.add(1, &entry, now);
            }
        }
        records.change(true, now);
    }

    /// A fragment that waits for the rest of its message.
    pub(super) fn keep_fragment(&mut self, context: Context, fragment: &[u8], now: Instant) {
        let since = self.unix(now);
        let Some(records) = &mut self.records else { return };
        let mut entry = Vec::new();
        pages::write_piece(&mut entry, context, since, fragment);
        match records.unfinished.add(1, &entry, now) {
            Some(place) => self.reassembler.file(context, fragment, place.page),
            None => self.stats.dropped.page += 1,
        }
        records.change(false, now);
    }

    /// What has gone is not kept any more.
    pub(super) fn note_released(&mut self, now: Instant) {
        let Some(records) = &mut self.records else { return };
        if !self.conversations.has_released() && !self.replies.has_released() && !self.reassembler.has_released() {
            return;
        }
        for page in self.conversations.take_released() {
            records.given.release(page);
        }
        for page in self.reassembler.take_released() {
            records.unfinished.release(page);
        }
        let places = self.replies.take_released();
        // A SURB that is used twice costs a packet.
        records.change(!places.is_empty(), now);
        places.into_iter().for_each(|place| records.release_held(place));
    }

    // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Bytes of the pages of each shelf, in the order of shelves.
    pub(super) fn page_lens(&self) -> [usize; 5] {
        self.records.as_ref().map_or([0; 5], |records| {
            [&records.finished, &records.given, &records.seen, &records.held, &records.unfinished].map(Pages::len)
        })
    }

    /// When pages are to be written.
    pub(super) fn next_write(&self) -> Option<Instant> {
        self.records.as_ref()?.next_write()
    }

    /// Writes now what says that something was received: sets that are complete, ids that were seen.
    pub fn write_marks(&mut self) {
        let Some(records) = &mut self.records else { return };
        for shelf in [&mut records.finished, &mut records.seen].into_iter().filter(|shelf| shelf.has_changed()) {
            shelf.write(&mut self.requests);
        }
    }

    /// Writes the pages that have changed, if it is time.
    pub(super) fn write_due(&mut self, now: Instant) {
        if self.next_write().is_some_and(|at| at <= now) {
            self.write_all();
        }
    }

    /// Writes the pages that have changed.
    pub(super) fn write_all(&mut self) {
        let now = self.now;
        self.note_released(now);
        let Some(records) = &mut self.records else { return };
        records.finished.expire(now.before(limits::FINISHED_SET_AGE_MAX));
        records.seen.expire(now.before(limits::SEEN_ID_AGE_MAX));
        let shelves =
            [&mut records.finished, &mut records.given, &mut records.seen, &mut records.held, &mut records.unfinished];
        for shelf in shelves.into_iter().filter(|shelf| shelf.has_changed()) {
            shelf.write(&mut self.requests);
        }
        records.write_used(&mut self.requests);
        (records.changed, records.is_urgent, records.written) = (None, false, Some(now));
    }

    // ── at the start ─────────────────────────────────────────────────────────────────────────────────────────────

    /// A page that an earlier run had saved, as it came from the store; `None` where the store cannot read it. To be
    /// called before [`Self::connect`], in the order of records. What cannot be used is counted and deleted. Answers the
    /// ids of messages that the application has seen, if they are in this page, and when it was.
    pub fn restore(&mut self, record: Record, bytes: Option<&[u8]>, now: Instant) -> Vec<([u8; 16], Instant)> {
        let now = self.advance(now);
        let Record::Page(shelf, number) = record else { return Vec::new() };
        if self.records.is_none() {
            return Vec::new();
        }
        let restored = match (shelf, bytes) {
            // Nothing of the engine's.
            (Shelf::Acked | Shelf::Outbox | Shelf::Inbox, _) => return Vec::new(),
            (_, None) => Err(PageError::Malformed),
            (Shelf::Finished, Some(bytes)) => self.restore_finished(number, bytes, now).map(|()| Vec::new()),
            (Shelf::Given, Some(bytes)) => self.restore_given(number, bytes, now).map(|()| Vec::new()),
            (Shelf::Seen, Some(bytes)) => self.restore_seen(number, bytes, now),
            (Shelf::Used, Some(bytes)) => self.restore_used(number, bytes).map(|()| Vec::new()),
            (Shelf::Held, Some(bytes)) => self.restore_held(number, bytes, now).map(|()| Vec::new()),
            (Shelf::Unfinished, Some(bytes)) => self.restore_unfinished(number, bytes, now).map(|()| Vec::new()),
        };
        if restored.is_err() {
            self.stats.dropped.page += 1;
            if let Some(records) = &mut self.records {
                match shelf {
                    Shelf::Finished => records.finished.unusable(number),
                    Shelf::Given => records.given.unusable(number),
                    Shelf::Seen => records.seen.unusable(number),
                    Shelf::Used => records.forget_used(number),
                    Shelf::Held => records.held.unusable(number),
                    Shelf::Unfinished => records.unfinished.unusable(number),
                    Shelf::Acked | Shelf::Outbox | Shelf::Inbox => {}
                }
            }
        }
        if let Some(records) = &mut self.records {
            records.change(false, now);
        }
        restored.unwrap_or_default()
    }

    /// A time in the store, as seconds since 1970; what lies ahead counts as now.
    pub fn instant_of(&self, unix: u64, now: Instant) -> Instant {
        instant(self.config.unix_zero, unix, now)
    }

    /// A page of the exchange's could not be used.
    pub fn count_bad_page(&mut self) {
        self.stats.dropped.page += 1;
    }

    fn restore_finished(&mut self, number: u32, bytes: &[u8], now: Instant) -> Result<(), PageError> {
        let (key, sets) = pages::read_finished(bytes)?;
        let Some(records) = &mut self.records else { return Ok(()) };
        if !core::mem::replace(&mut records.has_digest_key, true) {
            self.reassembler.set_digest_key(key);
            records.finished.set_head(&key);
        } else if *self.reassembler.digest_key() != key {
            return Err(PageError::Malformed);
        }
        let times: Vec<_> = sets.iter().map(|set| instant(self.config.unix_zero, set.since, now)).collect();
        let newest = times.iter().copied().max().unwrap_or(Instant::ZERO);
        if !records.finished.restored(number, bytes.len(), count(sets.len()), newest) {
            return Err(PageError::Malformed);
        }
        for (set, since) in sets.into_iter().zip(times) {
            self.reassembler.restore_finished(set.context, set.set, set.digests, since);
        }
        Ok(())
    }

    fn restore_given(&mut self, number: u32, bytes: &[u8], now: Instant) -> Result<(), PageError> {
        let entries = pages::read_page::<Given>(bytes)?;
        let Some(records) = &mut self.records else { return Ok(()) };
        let keys = count(entries.iter().map(|entry| entry.keys.len()).sum());
        if !records.given.restored(number, bytes.len(), keys, now) {
            return Err(PageError::Malformed);
        }
        for Given { tag, to, since, keys } in entries {
            let since = instant(self.config.unix_zero, since, now);
            self.conversations.restore((tag, &to), keys, number, since, now);
        }
        self.note_released(now);
        Ok(())
    }

    fn restore_seen(&mut self, number: u32, bytes: &[u8], now: Instant) -> Result<Vec<([u8; 16], Instant)>, PageError> {
        let zero = self.config.unix_zero;
        let seen = pages::read_page::<Seen>(bytes)?.into_iter();
        let seen: Vec<_> = seen.map(|Seen { id, since }| (id, instant(zero, since, now))).collect();
        let newest = seen.iter().map(|(_, since)| *since).max().unwrap_or(Instant::ZERO);
        let Some(records) = &mut self.records else { return Ok(seen) };
        let has_room = records.seen.restored(number, bytes.len(), count(seen.len()), newest);
        if has_room { Ok(seen) } else { Err(PageError::Malformed) }
    }

    fn restore_used(&mut self, number: u32, bytes: &[u8]) -> Result<(), PageError> {
        let bits = pages::unversioned(bytes)?.to_vec();
        let Some(records) = self.records.as_mut().filter(|_| bits.len() <= limits::PAGE_LARGE_LEN) else {
            return Err(PageError::Malformed);
        };
        records.used.insert(number, Used { bits, has_changed: false, is_written: true });
        Ok(())
    }

    fn restore_held(&mut self, number: u32, bytes: &[u8], now: Instant) -> Result<(), PageError> {
        let entries = pages::read_page::<Held>(bytes)?;
        let Some(records) = &mut self.records else { return Ok(()) };
        let surbs = count(entries.iter().map(|entry| entry.surbs.len()).sum());
        if !records.held.restored(number, bytes.len(), surbs, now) {
            return Err(PageError::Malformed);
        }
        let bits = records.used.get(&number).map_or(&[][..], |used| &used.bits);
        let is_used = |at: u32| bits.get(at as usize / 8).is_some_and(|byte| byte & (1 << (at % 8)) != 0);
        let mut at = 0;
        let mut gone = Vec::new();
        for Held { tag, since, rotation_id, rotation, surbs } in entries {
            let since = instant(self.config.unix_zero, since, now);
            let mut left = Vec::new();
            for surb in surbs {
                let place = Place { page: number, at };
                at += 1;
                if is_used(place.at) {
                    gone.push(place);
                } else {
                    left.push((place, surb));
                }
            }
            if !left.is_empty() {
                self.replies.restore(tag, left.into_iter(), (rotation, rotation_id), since, now);
            }
        }
        gone.into_iter().for_each(|place| records.release_held(place));
        self.note_released(now);
        Ok(())
    }

    fn restore_unfinished(&mut self, number: u32, bytes: &[u8], now: Instant) -> Result<(), PageError> {
        let pieces = pages::read_page::<Piece>(bytes)?;
        let Some(records) = &mut self.records else { return Ok(()) };
        let all = count(pieces.len());
        if !records.unfinished.restored(number, bytes.len(), all, now) {
            return Err(PageError::Malformed);
        }
        for Piece { context, since, fragment } in pieces {
            let is_old = now.since(instant(self.config.unix_zero, since, now)) >= limits::PAGES_UNFINISHED_AGE_MAX;
            // The last fragment of a message is never stored, so none is complete here.
            if !is_old && self.reassembler.insert(context, &fragment, now) == Inserted::Waiting {
                self.reassembler.file(context, &fragment, number);
            } else {
                records.unfinished.release(number);
            }
        }
        self.note_released(now);
        Ok(())
    }

    /// The first topology is here: SURBs of an earlier run that are of another rotation are dropped.
    pub(super) fn check_restored(&mut self, now: Instant) {
        let Some(id) = self.topology.as_ref().map(|topology| topology.rotation_id()) else { return };
        let fits = self.usable_rotations();
        self.stats.dropped.surb += u64::from(self.replies.check_restored(id, fits, now));
        self.note_released(now);
    }
}

impl Records {
    /// What is used of a page that is not there.
    fn forget_used(&mut self, number: u32) {
        self.used.insert(number, Used { bits: Vec::new(), has_changed: false, is_written: true });
    }
}

/// A time of an earlier run. The clock may have been set since: what lies ahead counts as now.
fn instant(zero: Duration, unix: u64, now: Instant) -> Instant {
    let micros = Duration::from_secs(unix).saturating_sub(zero).as_micros();
    Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).min(now)
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
