//! The outbox of a client that does not run.

use alloc::vec::Vec;

use super::envelope::Id;
use super::event::Sending;
use super::kept::{Kept, OutboxState};
use super::outbox_entry::OutboxEntry;
use crate::engine::{Recipient, Record, Request, SendError, Shelf};

/// What the store has of an outbox, to be looked at and changed while no client uses it. The next client that has the
/// store sends what is in it.
pub struct StoredOutbox {
    kept: Kept,
    changes: Vec<Request>,
    /// Seconds since 1970.
    unix: u64,
}

impl StoredOutbox {
    /// From the pages of the outbox, in the order of records. Those that cannot be read are left alone. `unix`: what time
    /// it is, seconds since 1970.
    pub fn new<'a>(pages: impl IntoIterator<Item = (Record, Option<&'a [u8]>)>, unix: u64) -> Self {
        let mut kept = Kept::new();
        for (record, bytes) in pages {
            if let Record::Page(shelf @ (Shelf::Acked | Shelf::Outbox), number) = record {
                kept.restore(shelf, number, bytes, unix);
            }
        }
        Self { kept, changes: Vec::new(), unix }
    }

    /// Takes a message; as [`Client::persist`](super::Client::persist). Whether there are reply blocks for a tag is
    /// seen by the client that sends it.
    ///
    /// # Errors
    /// As there.
    pub fn persist(
        &mut self,
        (key, envelope, expires): (Id, Id, u64),
        to: &Recipient,
        body: &[u8],
        sending: &Sending,
    ) -> Result<(), SendError> {
        let entry = OutboxEntry::new((key, envelope), (self.unix, expires), to, body, sending)?;
        let (message, change) = self.kept.add(entry)?;
        self.kept.stored(message);
        self.changes.push(change);
        Ok(())
    }

    /// Forgets a message; one that is not there is fine.
    pub fn cancel(&mut self, key: Id) {
        if let Some(message) = self.kept.find(key) {
            self.changes.extend(self.kept.end(message));
        }
    }

    /// What is to be written, all in one go.
    pub fn take_changes(&mut self) -> Vec<Request> {
        core::mem::take(&mut self.changes)
    }

    /// The messages in it.
    pub fn states(&self) -> Vec<OutboxState> {
        self.kept.states()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Receipt;
    use super::super::outbox_entry::tests::entry;
    use super::super::{OutboxStage, kept};
    use super::*;
    use crate::engine::{Replies, SendOptions};
    use crate::limits;
    use crate::message::SenderTag;

    fn sending() -> Sending {
        Sending { options: SendOptions::default(), receipt: Receipt::Auto, id: None }
    }

    fn to() -> Recipient {
        Recipient::Tag(SenderTag([1; 16]))
    }

    fn page(number: u32) -> Record {
        Record::Page(Shelf::Outbox, number)
    }

    #[test]
    fn what_is_added_is_what_the_next_client_finds() {
        let stored = entry().to_bytes();
        let mut outbox =
            StoredOutbox::new([(page(4), Some(&stored[..])), (page(5), Some(&[1, 2])), (page(6), None)], 77);
        outbox.persist((Id([8; 16]), Id([9; 16]), 99), &to(), b"hello", &sending()).unwrap();
        let states = outbox.states();
        assert_eq!(states.iter().map(|state| state.id).collect::<Vec<_>>(), [Id([1; 16]), Id([8; 16])]);
        assert!(states.iter().all(|state| state.stage == OutboxStage::Queued && state.total == 0));
        let changes = outbox.take_changes();
        // What cannot be read keeps its number: nothing is written over it.
        let [Request::Save { record, bytes }] = &changes[..] else { panic!("{}", changes.len()) };
        assert_eq!(*record, page(7));
        let read = OutboxEntry::from_bytes(bytes).unwrap();
        assert_eq!((read.id, read.envelope, read.created, read.expires), (Id([8; 16]), Id([9; 16]), 77, 99));
        assert_eq!((read.len, &read.content[..], read.is_cut), (5, &b"hello"[..], false));
        assert!(outbox.take_changes().is_empty());
        assert_eq!(kept::number_of(states[1].number), Some(7));
    }

    #[test]
    fn what_is_cancelled_goes_with_what_is_acknowledged_of_it() {
        let stored = entry().to_bytes();
        let mut outbox = StoredOutbox::new([(page(4), Some(&stored[..]))], 0);
        outbox.cancel(Id([7; 16]));
        assert!(outbox.take_changes().is_empty());
        outbox.cancel(Id([1; 16]));
        assert!(outbox.states().is_empty());
        assert!(matches!(outbox.take_changes()[..], [Request::Forget { record }] if record == page(4)));
    }

    #[test]
    fn what_no_client_would_take_is_refused() {
        let mut outbox = StoredOutbox::new([], 0);
        let mut add = |key: u8, body: &[u8], sending: &Sending| {
            outbox.persist((Id([key; 16]), Id([0; 16]), 0), &to(), body, sending)
        };
        assert_eq!(add(1, &[], &sending()), Err(SendError::EmptyReply));
        assert_eq!(add(1, &alloc::vec![0; limits::MESSAGE_LEN_MAX + 1], &sending()), Err(SendError::TooLarge));
        let options =
            SendOptions { replies: Replies::Exactly(limits::SURBS_PER_MESSAGE_MAX + 1), ..SendOptions::default() };
        assert_eq!(add(1, b"x", &Sending { options, ..sending() }), Err(SendError::TooManyReplies));
        assert_eq!(add(1, b"x", &sending()), Ok(()));
        assert_eq!(add(1, b"x", &sending()), Err(SendError::DuplicateId));
        let mut ids = (1..).map(u128::to_be_bytes).map(Id);
        let mut add = || outbox.persist((ids.next().unwrap(), Id([0; 16]), 0), &to(), b"x", &sending());
        let full = core::iter::repeat_with(&mut add).position(|added| added == Err(SendError::QueueFull));
        assert_eq!(full, Some(limits::OUTBOX_COUNT_MAX - 1));
    }
}
