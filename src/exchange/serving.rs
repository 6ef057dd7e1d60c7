//! Requests of others: who handles which, and what they were answered.
//!
//! A request that comes again is not handled again: it waits for the same answer, or gets the one that was kept.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::envelope::{self, Id, Kind, Refusal};
use super::outbox::Outbox;
use crate::engine::Recipient;
use crate::limits;
use crate::table::{Table, TableSet};

/// Names a request that is being handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestHandle(pub u64);

enum Served {
    Handled,
    /// With the answer, as long as it is kept.
    Answered(Option<Vec<u8>>),
}

#[derive(Default)]
pub(super) struct Serving {
    services: TableSet<String>,
    handled: Table<RequestHandle, (Id, Recipient)>,
    served: Table<Id, (Recipient, Served)>,
    by_age: VecDeque<Id>,
    /// Those whose answer is kept, oldest first.
    kept: VecDeque<Id>,
    kept_len: usize,
    next: u64,
    pub(super) repeats: u64,
    pub(super) refused: u64,
}

impl Serving {
    /// Requests for this service are handled from now on. False: there are too many services.
    pub(super) fn serve(&mut self, service: String) -> bool {
        let fits = self.services.contains(&service) || self.services.len() < limits::SERVICES_COUNT_MAX;
        if fits {
            self.services.insert(service);
        }
        fits
    }

    pub(super) fn unserve(&mut self, service: &String) {
        self.services.remove(service);
    }

    /// A request came. `Some`: it is new and somebody has to handle it.
    pub(super) fn asked(
        &mut self,
        outbox: &mut Outbox,
        id: Id,
        service: &str,
        from: &Recipient,
    ) -> Option<RequestHandle> {
        match self.served.get(&id) {
            // Somebody else's id can only be a guess, or stolen.
            Some((asker, _)) if asker != from => {
                self.refused += 1;
                return None;
            }
            Some((_, served)) => {
                self.repeats += 1;
                if let Served::Answered(Some(bytes)) = served {
                    outbox.again(from, bytes);
                }
                return None;
            }
            None => {}
        }
        if !self.services.iter().any(|known| known == service) {
            self.refused += 1;
            outbox.answer(from, Kind::Failure, id, &[Refusal::NoHandler as u8]);
            return None;
        }
        if self.handled.len() >= limits::SERVING_COUNT_MAX {
            self.refused += 1;
            outbox.answer(from, Kind::Failure, id, &[Refusal::HandlerFailed as u8]);
            return None;
        }
        let handle = RequestHandle(self.next);
        self.next += 1;
        self.handled.insert(handle, (id, from.clone()));
        self.served.insert(id, (from.clone(), Served::Handled));
        self.by_age.push_back(id);
        if self.served.len() > limits::SERVED_COUNT_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.drop_kept(oldest);
            self.served.remove(&oldest);
        }
        Some(handle)
    }

    /// The answer to a request, ready to be sent, and to whom. `None` as the body: the handler failed.
    pub(super) fn respond(&mut self, handle: RequestHandle, body: Option<&[u8]>) -> Option<(Recipient, Vec<u8>)> {
        let (id, from) = self.handled.get(&handle)?;
        let bytes = match body {
            Some(body) => envelope::simple(Kind::Response, *id, body),
            None => envelope::simple(Kind::Failure, *id, &[Refusal::HandlerFailed as u8]),
        };
        Some((from.clone(), bytes))
    }

    /// The answer is on its way.
    pub(super) fn responded(&mut self, handle: RequestHandle, bytes: Vec<u8>) {
        let Some((id, _)) = self.handled.remove(&handle) else { return };
        let Some((_, served)) = self.served.get_mut(&id) else { return };
        let keep = bytes.len() <= limits::SERVED_LEN_MAX / 16;
        if keep {
            self.kept_len += bytes.len();
            self.kept.push_back(id);
        }
        *served = Served::Answered(keep.then_some(bytes));
        while self.kept_len > limits::SERVED_LEN_MAX
            && let Some(oldest) = self.kept.pop_front()
        {
            self.drop_kept(oldest);
        }
    }

    /// Whoever handled requests is gone.
    pub(super) fn forget_handled(&mut self) {
        self.handled.clear();
    }

    pub(super) fn handled_count(&self) -> usize {
        self.handled.len()
    }

    pub(super) fn served_count(&self) -> usize {
        self.served.len()
    }

    pub(super) fn kept_len(&self) -> usize {
        self.kept_len
    }

    fn drop_kept(&mut self, id: Id) {
        if let Some((_, Served::Answered(kept))) = self.served.get_mut(&id)
            && let Some(bytes) = kept.take()
        {
            self.kept_len -= bytes.len();
        }
    }
}
