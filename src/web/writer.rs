//! Writes records to the store, one after the other and in order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::store::{StorageError, Store};
use crate::engine::Record;

/// The writes that are not done yet. Bounded by the number of records: a newer write of a record that has not begun
/// replaces the older one.
pub struct Writer {
    /// `None`: nothing is kept.
    store: Option<Rc<Store>>,
    queue: VecDeque<Write>,
    current: Option<LocalBoxFuture<'static, Result<(), StorageError>>>,
}

struct Write {
    record: Record,
    /// `None`: delete it.
    bytes: Option<Zeroizing<Vec<u8>>>,
}

impl Writer {
    /// Writes to this store, or nowhere.
    pub fn new(store: Option<Rc<Store>>) -> Self {
        Self { store, queue: VecDeque::new(), current: None }
    }

    /// Writes a record after all that was asked for before.
    pub fn save(&mut self, record: Record, bytes: Zeroizing<Vec<u8>>) {
        self.push(Write { record, bytes: Some(bytes) });
    }

    /// Deletes a record after all that was asked for before.
    pub fn forget(&mut self, record: Record) {
        self.push(Write { record, bytes: None });
    }

    /// Whether everything is written.
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.queue.is_empty()
    }

    /// The end of the next write; pending while there is none.
    pub fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StorageError>> {
        if self.current.is_none() {
            self.current = self.begin();
        }
        match &mut self.current {
            Some(current) => {
                let result = current.poll_unpin(context);
                if result.is_ready() {
                    self.current = None;
                }
                result
            }
            None => Poll::Pending,
        }
    }

    /// Lets go of the store. What was not written is not written any more.
    pub fn close(&mut self) {
        self.queue.clear();
        self.current = None;
        self.store = None;
    }

    fn push(&mut self, write: Write) {
        if self.store.is_some() {
            self.queue.retain(|queued| queued.record != write.record);
            self.queue.push_back(write);
        }
    }

    fn begin(&mut self) -> Option<LocalBoxFuture<'static, Result<(), StorageError>>> {
        let Write { record, bytes } = self.queue.pop_front()?;
        let store = self.store.clone()?;
        Some(Box::pin(async move {
            let written = match bytes {
                Some(bytes) => store.save(record, &bytes).await,
                None => store.forget(record).await,
            };
            // The one record that nobody misses: the next start asks a directory.
            if record == Record::Topology { Ok(()) } else { written }
        }))
    }
}
