//! The pages of one shelf: which there are, what is still needed of each, what is to be written.
//!
//! What is new goes into the open page, which is written anew with each writing until it is full: small enough that this
//! costs nothing, and so there are few pages. A page is deleted when nothing in it is needed any more.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::output::{Record, Request};
use super::pages::{PAGE_VERSION, Shelf};
use crate::table::Table;
use crate::time::Instant;

/// Where an entry is: its page, and its place among the things of that page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) page: u32,
    pub(super) at: u32,
}

/// Pages of one shelf.
pub(super) struct Pages {
    shelf: Shelf,
    rules: Rules,
    /// What pages begin with.
    head: Vec<u8>,
    pages: Table<u32, Page>,
    /// The page that takes what is new, and its bytes.
    open: Option<(u32, Zeroizing<Vec<u8>>)>,
    open_changed: bool,
    /// Full pages that are not written yet.
    full: Vec<(u32, Zeroizing<Vec<u8>>)>,
    /// Pages to be deleted.
    gone: Vec<u32>,
    next: u32,
    len: usize,
}

/// Bounds of a shelf.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// A page of this length is full.
    pub(super) page_len: usize,
    /// Bytes of all pages. Beyond it nothing more is kept, or with `rolls` the oldest page is deleted.
    pub(super) len_max: usize,
    /// What is in it is never asked back, only forgotten by age.
    pub(super) rolls: bool,
}

struct Page {
    /// Things in it that are needed.
    needed: u32,
    /// Things in it.
    count: u32,
    len: usize,
    /// When the last thing was put in.
    newest: Instant,
    /// It is in the store, or on its way there.
    written: bool,
}

impl Pages {
    pub(super) fn new(shelf: Shelf, rules: Rules) -> Self {
        Self {
            shelf,
            rules,
            head: Vec::from([PAGE_VERSION]),
            pages: Table::new(),
            open: None,
            open_changed: false,
            full: Vec::new(),
            gone: Vec::new(),
            next: 0,
            len: 0,
        }
    }

    /// What follows the version in pages from now on.
    pub(super) fn set_head(&mut self, head: &[u8]) {
        self.head = [&[PAGE_VERSION], head].concat();
    }

    /// Puts in an entry of so many things. `None`: there is no room.
    pub(super) fn add(&mut self, count: u32, entry: &[u8], now: Instant) -> Option<Place> {
        while self.rules.rolls && self.len + entry.len() > self.rules.len_max {
            let oldest = self.pages.keys().next().copied()?;
            self.delete(oldest);
        }
        if self.len + entry.len() > self.rules.len_max {
            return None;
        }
        let (number, mut bytes) = match self.open.take() {
            Some(open) => open,
            None => (self.number(), Zeroizing::new(self.head.clone())),
        };
        bytes.extend_from_slice(entry);
        self.len += entry.len();
        let new = || Page { needed: 0, count: 0, len: 0, newest: now, written: false };
        let page = self.pages.get_or_insert_with(number, new);
        let place = Place { page: number, at: page.count };
        page.needed += count;
        page.count += count;
        page.len += entry.len();
        page.newest = now;
        if bytes.len() >= self.rules.page_len {
            self.full.push((number, bytes));
        } else {
            self.open = Some((number, bytes));
            self.open_changed = true;
        }
        Some(place)
    }

    /// One thing of this page is not needed any more.
    pub(super) fn release(&mut self, number: u32) {
        let Some(page) = self.pages.get_mut(&number) else { return };
        page.needed = page.needed.saturating_sub(1);
        if page.needed == 0 {
            self.delete(number);
        }
    }

    /// Deletes the pages that nothing was put into since.
    pub(super) fn expire(&mut self, before: Instant) {
        while let Some((number, page)) = self.pages.first_key_value()
            && page.newest < before
        {
            let number = *number;
            self.delete(number);
        }
    }

    /// A page that an earlier run left, with so many things, all of which are needed. False: there is no room for it.
    pub(super) fn restored(&mut self, number: u32, len: usize, count: u32, newest: Instant) -> bool {
        self.next = self.next.max(number.wrapping_add(1));
        if self.len + len > self.rules.len_max || self.pages.contains_key(&number) {
            return false;
        }
        self.len += len;
        self.pages.insert(number, Page { needed: count, count, len, newest, written: true });
        if count == 0 {
            self.delete(number);
        }
        true
    }

    /// A page that cannot be used.
    pub(super) fn unusable(&mut self, number: u32) {
        self.next = self.next.max(number.wrapping_add(1));
        if !self.pages.contains_key(&number) {
            self.gone.push(number);
        }
    }

    /// A number that no page has.
    fn number(&mut self) -> u32 {
        while self.pages.contains_key(&self.next) || self.gone.contains(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.pages.contains_key(&number)
    }

    pub(super) fn has_changed(&self) -> bool {
        (self.open_changed && self.open.is_some()) || !self.full.is_empty() || !self.gone.is_empty()
    }

    /// Asks for everything that is to be written.
    pub(super) fn write(&mut self, requests: &mut VecDeque<Request>) {
        let shelf = self.shelf;
        for (number, bytes) in core::mem::take(&mut self.full) {
            self.write_one(number, bytes, requests);
        }
        if core::mem::take(&mut self.open_changed)
            && let Some((number, bytes)) = &self.open
        {
            let (number, bytes) = (*number, bytes.clone());
            self.write_one(number, bytes, requests);
        }
        let gone = core::mem::take(&mut self.gone).into_iter();
        requests.extend(gone.map(|number| Request::Forget { record: Record::Page(shelf, number) }));
    }

    fn write_one(&mut self, number: u32, bytes: Zeroizing<Vec<u8>>, requests: &mut VecDeque<Request>) {
        if let Some(page) = self.pages.get_mut(&number) {
            page.written = true;
            requests.push_back(Request::Save { record: Record::Page(self.shelf, number), bytes });
        }
    }

    /// Bytes of all pages.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn delete(&mut self, number: u32) {
        let Some(page) = self.pages.remove(&number) else { return };
        self.len -= page.len;
        self.full.retain(|(full, _)| *full != number);
        self.open.take_if(|(open, _)| *open == number);
        if page.written {
            self.gone.push(number);
        }
    }
}
