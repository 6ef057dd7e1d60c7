//! Writes records to the store, one after the other and in order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::store::{StorageError, Store};
use crate::engine::Record;

/// The writes that are not done yet. Bounded by the number of records: a newer write of a record that has not begun
/// replaces the older one.
///
/// Pages are written together, all that wait in one transaction; the engine asks for them a few times a second at most.
/// The other records are written one by one, so that a page for which there is no room takes none of them with it.
pub struct Writer {
    /// `None`: nothing is kept.
    store: Option<Rc<Store>>,
    queue: VecDeque<Write>,
    current: Option<LocalBoxFuture<'static, Result<(), StorageError>>>,
    /// What is being written.
    batch: Vec<Record>,
    /// Pages that could not be.
    lost: u64,
    /// The store was taken away, which is told where it is noticed.
    is_gone: Rc<Cell<bool>>,
}

type Write = (Record, Option<Zeroizing<Vec<u8>>>);

/// Records were written, all of them or none.
pub struct Written {
    /// Which.
    pub records: Vec<Record>,
    /// Whether they were.
    pub ok: bool,
    /// Why they were not.
    pub why: Option<StorageError>,
    /// What the user is to be told, where they were not.
    pub error: Option<StorageError>,
}

impl Writer {
    /// Writes to this store, or nowhere.
    pub fn new(store: Option<Rc<Store>>) -> Self {
        Self { store, queue: VecDeque::new(), current: None, batch: Vec::new(), lost: 0, is_gone: Rc::default() }
    }

    /// Writes a record after all that was asked for before.
    pub fn save(&mut self, record: Record, bytes: Zeroizing<Vec<u8>>) {
        self.push((record, Some(bytes)));
    }

    /// Deletes a record after all that was asked for before.
    pub fn forget(&mut self, record: Record) {
        self.push((record, None));
    }

    /// Whether anything is kept.
    pub fn keeps(&self) -> bool {
        self.store.is_some() && !self.is_gone.get()
    }

    /// What is written to, while anything is kept.
    pub fn store(&self) -> Option<Rc<Store>> {
        self.store.clone().filter(|_| self.keeps())
    }

    /// To be set when the store was taken away.
    pub fn lost_store(&self) -> Rc<Cell<bool>> {
        self.is_gone.clone()
    }

    /// Whether everything is written.
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.queue.is_empty()
    }

    /// Whether everything is written without which the next start would lose the address.
    pub fn is_settled(&self) -> bool {
        let mut records = self.batch.iter().chain(self.queue.iter().map(|(record, _)| record));
        records.all(|record| is_page(record) || matches!(record, Record::Topology | Record::Tally))
    }

    /// Pages that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The end of the next write; pending while there is none.
    pub fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Written> {
        if self.current.is_none() {
            self.current = self.begin();
        }
        let Some(current) = &mut self.current else { return Poll::Pending };
        let Poll::Ready(ended) = current.poll_unpin(context) else { return Poll::Pending };
        self.current = None;
        let records = core::mem::take(&mut self.batch);
        let mut error = ended.err();
        if error.is_some() && records.iter().all(is_page) {
            // Told once: nothing but what is in them is lost, and the next ones are not likely to fare better.
            error = error.filter(|_| self.lost == 0);
            self.lost += records.len() as u64;
        }
        if self.is_gone.get() {
            error = None;
        }
        Poll::Ready(Written { records, ok: ended.is_ok(), why: ended.err(), error })
    }

    /// Lets go of the store. What was not written is not written any more.
    pub fn close(&mut self) {
        self.queue.clear();
        self.current = None;
        self.batch.clear();
        self.store = None;
    }

    fn push(&mut self, write: Write) {
        if self.store.is_some() {
            self.queue.retain(|(queued, _)| *queued != write.0);
            self.queue.push_back(write);
        }
    }

    fn begin(&mut self) -> Option<LocalBoxFuture<'static, Result<(), StorageError>>> {
        let first = self.queue.pop_front()?;
        let store = self.store.clone()?;
        let mut batch = Vec::from([first]);
        if is_page(&batch[0].0) {
            let mut at = 0;
            while let Some((record, _)) = self.queue.get(at) {
                if is_page(record) {
                    batch.extend(self.queue.remove(at));
                } else {
                    at += 1;
                }
            }
        }
        self.batch = batch.iter().map(|(record, _)| *record).collect();
        Some(Box::pin(async move {
            let written = store.write(&batch).await;
            // Records that nobody misses: the next start asks a directory, and sums are written again soon.
            if matches!(batch[0].0, Record::Topology | Record::Tally) { Ok(()) } else { written }
        }))
    }
}

fn is_page(record: &Record) -> bool {
    matches!(record, Record::Page(..))
}
