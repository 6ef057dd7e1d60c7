//! Requests of ours and their answers.
//!
//! A request is registered before it is queued, so that no answer can come too early. Its time has two parts, told apart in
//! the error: until every fragment of it was acknowledged, and from then until the answer. An answer counts only when it
//! comes from the one who was asked.

use alloc::string::String;
use alloc::vec::Vec;

use super::envelope::{self, Envelope, Id, Kind};
use super::outbox::Outbox;
use super::seen::Remembered;
use crate::engine::{Code, MessageId, Phase, Recipient, Replies, SendOptions};
use crate::limits;
use crate::table::{Table, TableSet};
use crate::time::{Duration, Instant};

/// How a request is made.
#[derive(Clone, Debug)]
pub struct RequestOptions {
    /// Which service is asked: at most [`limits::SERVICE_LEN_MAX`] bytes.
    pub service: String,
    /// What a late answer is told by: at most [`limits::LABEL_LEN_MAX`] bytes.
    pub label: String,
    /// For request and answer together. `None`: [`limits::REQUEST_TIME`] and what the lengths add.
    pub timeout: Option<Duration>,
    /// Never give up, whatever `timeout` says.
    pub no_deadline: bool,
    /// For the answer, from the acknowledgement of the request on.
    pub response_timeout: Option<Duration>,
    /// How many bytes the answer may have, for the SURBs that go along.
    pub expected_len: usize,
    /// Ask again when the link is back, instead of failing when it goes.
    pub retry: bool,
    /// Which queue it goes into, and whether fragments go again.
    pub send: SendOptions,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            service: String::new(),
            label: String::new(),
            timeout: None,
            no_deadline: false,
            response_timeout: None,
            expected_len: EXPECTED_LEN,
            retry: true,
            send: SendOptions::default(),
        }
    }
}

impl RequestOptions {
    /// The SURBs that go along with so many requests.
    fn surbs(&self, count: usize) -> Replies {
        let fragments = u32::try_from(self.expected_len.div_ceil(FRAGMENT_LEN)).unwrap_or(u32::MAX);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let surbs = limits::REQUEST_SURBS.saturating_add(fragments.saturating_mul(count));
        Replies::Exactly(surbs.min(limits::SURBS_PER_MESSAGE_MAX))
    }

    fn deadline(&self, len: usize, now: Instant) -> Option<Instant> {
        let len = len.saturating_add(self.expected_len);
        let seconds = u64::try_from(len / limits::REQUEST_LEN_PER_SECOND).unwrap_or(u64::MAX);
        let usual = limits::REQUEST_TIME + Duration::from_secs(seconds);
        (!self.no_deadline).then(|| now + self.timeout.unwrap_or(usual))
    }
}

/// Requests to one peer that differ in nothing but their numbers and bodies.
pub(super) struct Question<'a> {
    pub(super) kind: Kind,
    pub(super) items: Vec<(MessageId, Vec<u8>)>,
    pub(super) to: &'a Recipient,
    pub(super) options: &'a RequestOptions,
}

/// A request without its answer.
struct Asked {
    caller: MessageId,
    to: Recipient,
    kind: Kind,
    body: Vec<u8>,
    options: RequestOptions,
    asked: Instant,
    delivered: bool,
    /// The message it is in, until that is acknowledged.
    carrier: Option<MessageId>,
    /// When to look at it next, and the end of its time.
    due: Option<Instant>,
    deadline: Option<Instant>,
}

/// A request that has ended.
struct Ended {
    caller: MessageId,
    to: Recipient,
    label: String,
    asked: Instant,
    /// With an answer: a further one is a repetition.
    answered: bool,
}

#[derive(Default)]
struct Counts {
    stray: u64,
    repeats: u64,
}

pub(super) struct Requests {
    asked: Table<Id, Asked>,
    by_caller: Table<MessageId, Id>,
    due: TableSet<(Instant, Id)>,
    /// What is in each message that is under way.
    carriers: Table<MessageId, Vec<Id>>,
    ended: Remembered<Ended>,
    bytes: usize,
    counts: Counts,
}

/// What became of an answer.
pub(super) enum Answered {
    /// It is for this request.
    InTime(MessageId),
    /// It is for one that was given up.
    Late { caller: MessageId, label: String, elapsed: Duration },
    /// It is for none, from somebody else, or came before.
    Ignored,
}

/// A request that failed.
pub(super) struct Failed {
    pub(super) caller: MessageId,
    pub(super) code: Code,
    pub(super) phase: Phase,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            asked: Table::new(),
            by_caller: Table::new(),
            due: TableSet::new(),
            carriers: Table::new(),
            ended: Remembered::new(limits::ENDED_REQUESTS_COUNT_MAX, limits::ENDED_REQUEST_AGE_MAX),
            bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Whether there is room for so many requests of so many bytes.
    pub(super) fn has_room(&self, count: usize, len: usize) -> bool {
        self.asked.len() + count <= limits::REQUESTS_COUNT_MAX && self.bytes + len <= limits::REQUESTS_LEN_MAX
    }

    pub(super) fn is_asked(&self, caller: MessageId) -> bool {
        self.by_caller.contains_key(&caller)
    }

    /// Registers requests to one peer and queues them, small ones together.
    pub(super) fn ask(&mut self, outbox: &mut Outbox, question: Question<'_>, now: Instant) {
        let Question { kind, items, to, options } = question;
        let mut ids = Vec::with_capacity(items.len());
        for (caller, body) in items {
            let id = outbox.id();
            self.bytes += body.len();
            self.by_caller.insert(caller, id);
            let deadline = options.deadline(body.len(), now);
            let (to, options) = (to.clone(), options.clone());
            let asked = Asked {
                caller,
                to,
                kind,
                body,
                options,
                asked: now,
                delivered: false,
                carrier: None,
                due: None,
                deadline,
            };
            self.asked.insert(id, asked);
            self.set_due(id, deadline);
            ids.push(id);
        }
        self.dispatch(outbox, &ids);
    }

    /// Queues requests to one peer; small ones share messages.
    fn dispatch(&mut self, outbox: &mut Outbox, ids: &[Id]) {
        let mut pack: Vec<Id> = Vec::new();
        let mut packed = 0;
        for id in ids {
            let Some(asked) = self.asked.get(id) else { continue };
            let len = asked.body.len() + ITEM_COST;
            if len * 4 > limits::PACK_LEN_MAX || asked.kind != Kind::Request {
                self.carry(outbox, &[*id]);
                continue;
            }
            if packed + len > limits::PACK_LEN_MAX || pack.len() >= limits::PACK_COUNT_MAX {
                self.carry(outbox, &core::mem::take(&mut pack));
                packed = 0;
            }
            packed += len;
            pack.push(*id);
        }
        if !pack.is_empty() {
            self.carry(outbox, &pack);
        }
    }

    /// Puts requests into one message.
    fn carry(&mut self, outbox: &mut Outbox, ids: &[Id]) {
        let Some(first) = ids.first().and_then(|id| self.asked.get(id)) else { return };
        let (to, options) = (first.to.clone(), first.options.clone());
        let bytes = if let [id] = ids {
            first.envelope(*id).to_bytes()
        } else {
            let mut body = Vec::new();
            for (id, asked) in ids.iter().filter_map(|id| Some((id, self.asked.get(id)?))) {
                envelope::pack_item(&mut body, &asked.envelope(*id));
            }
            envelope::simple(Kind::Pack, outbox.id(), &body)
        };
        // Its time is kept here, for each request by itself.
        let send = SendOptions { timeout: None, no_deadline: true, replies: options.surbs(ids.len()), ..options.send };
        let carrier = outbox.push(to, bytes, send);
        self.carriers.insert(carrier, ids.to_vec());
        for id in ids {
            if let Some(asked) = self.asked.get_mut(id) {
                asked.carrier = Some(carrier);
            }
        }
    }

    /// The engine says that a message arrived. Whether it was one of ours.
    pub(super) fn delivered(&mut self, carrier: MessageId, now: Instant) -> bool {
        let Some(ids) = self.carriers.remove(&carrier) else { return false };
        for id in ids {
            let Some(asked) = self.asked.get_mut(&id) else { continue };
            asked.carrier = None;
            if !asked.delivered {
                asked.delivered = true;
                let answer = asked.options.response_timeout.map(|time| now + time);
                let due = [asked.deadline, answer].into_iter().flatten().min();
                self.set_due(id, due);
            }
        }
        true
    }

    /// The engine has given a message up: all requests in it fail. `None`: it was not one of ours.
    pub(super) fn undelivered(
        &mut self,
        carrier: MessageId,
        code: Code,
        phase: Phase,
        now: Instant,
    ) -> Option<Vec<Failed>> {
        let ids = self.carriers.remove(&carrier)?;
        Some(ids.into_iter().filter_map(|id| self.fail(id, code, phase, now)).collect())
    }

    /// An answer of any kind came.
    pub(super) fn answer(&mut self, id: Id, from: &Recipient, now: Instant) -> Answered {
        if self.asked.get(&id).is_some_and(|asked| asked.to == *from) {
            return match self.end(id, true, now) {
                Some(asked) => Answered::InTime(asked.caller),
                None => Answered::Ignored,
            };
        }
        match self.ended.get_mut(&id, now).filter(|ended| ended.to == *from) {
            Some(ended) if ended.answered => self.counts.repeats += 1,
            Some(ended) => {
                ended.answered = true;
                let elapsed = now.since(ended.asked);
                return Answered::Late { caller: ended.caller, label: ended.label.clone(), elapsed };
            }
            None => self.counts.stray += 1,
        }
        Answered::Ignored
    }

    /// The caller wants no answer any more. The message to be cancelled, when nothing else is in it.
    pub(super) fn cancel(&mut self, caller: MessageId, now: Instant) -> Option<MessageId> {
        let id = self.by_caller.get(&caller).copied()?;
        let carrier = self.carrier(id);
        self.end(id, false, now);
        self.leave(id, carrier)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A request whose time is over. `phase` tells what a message's time goes into. With it the message to be cancelled.
    pub(super) fn overdue(
        &mut self,
        phase: impl Fn(MessageId) -> Option<Phase>,
        now: Instant,
    ) -> Option<(Failed, Option<MessageId>)> {
        let (due, id) = self.due.first().copied().filter(|(due, _)| *due <= now)?;
        let Some(asked) = self.asked.get(&id) else {
            self.due.remove(&(due, id));
            return self.overdue(phase, now);
        };
        let carrier = asked.carrier;
        let (code, phase) = match asked.delivered {
            true => (Code::ResponseTimeout, Phase::Peer),
            false => (Code::Timeout, carrier.and_then(phase).unwrap_or(Phase::Queue)),
        };
        let failed = self.fail(id, code, phase, now)?;
        Some((failed, self.leave(id, carrier)))
    }

    /// The link is gone: those that are not to be tried again fail. With each the message to be cancelled.
    pub(super) fn link_lost(&mut self, now: Instant) -> Vec<(Failed, Option<MessageId>)> {
        self.fail_those(|asked| !asked.options.retry, Code::NotConnected, now)
    }

    /// The link is back: what had arrived goes again under the same ids, since the answer may be lost with the old link.
    pub(super) fn link_back(&mut self, outbox: &mut Outbox) {
        let mut by_peer: Table<Recipient, Vec<Id>> = Table::new();
        for (id, asked) in self.asked.iter().filter(|(_, asked)| asked.delivered && asked.carrier.is_none()) {
            by_peer.get_or_insert_with(asked.to.clone(), Vec::new).push(*id);
        }
        for ids in by_peer.into_values() {
            self.dispatch(outbox, &ids);
        }
    }

    /// All that are open fail.
    pub(super) fn fail_all(&mut self, code: Code, now: Instant) -> Vec<(Failed, Option<MessageId>)> {
        self.fail_those(|_| true, code, now)
    }

    /// With each the message to be cancelled.
    fn fail_those(
        &mut self,
        which: impl Fn(&Asked) -> bool,
        code: Code,
        now: Instant,
    ) -> Vec<(Failed, Option<MessageId>)> {
        let ids: Vec<_> = self.asked.iter().filter(|(_, asked)| which(asked)).map(|(id, _)| *id).collect();
        ids.into_iter()
            .filter_map(|id| {
                let carrier = self.carrier(id);
                let failed = self.fail(id, code, Phase::Network, now)?;
                Some((failed, self.leave(id, carrier)))
            })
            .collect()
    }

    fn fail(&mut self, id: Id, code: Code, phase: Phase, now: Instant) -> Option<Failed> {
        self.end(id, false, now).map(|asked| Failed { caller: asked.caller, code, phase })
    }

    pub(super) fn count(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn ended_count(&self) -> usize {
        self.ended.len()
    }

    /// Answers that belong to nothing, or came from somebody else.
    pub(super) fn stray(&self) -> u64 {
        self.counts.stray
    }

    /// Answers that came again.
    pub(super) fn repeats(&self) -> u64 {
        self.counts.repeats
    }

    fn end(&mut self, id: Id, answered: bool, now: Instant) -> Option<Asked> {
        let mut asked = self.asked.remove(&id)?;
        self.by_caller.remove(&asked.caller);
        self.bytes -= asked.body.len();
        if let Some(due) = asked.due {
            self.due.remove(&(due, id));
        }
        let label = core::mem::take(&mut asked.options.label);
        let ended = Ended { caller: asked.caller, to: asked.to.clone(), label, asked: asked.asked, answered };
        self.ended.insert(id, ended, now);
        Some(asked)
    }

    /// The message a request is in.
    pub(super) fn carrier(&self, id: Id) -> Option<MessageId> {
        self.asked.get(&id)?.carrier
    }

    /// A request is not in this message any more. Answers the message when nothing is.
    pub(super) fn leave(&mut self, id: Id, carrier: Option<MessageId>) -> Option<MessageId> {
        let carrier = carrier?;
        let ids = self.carriers.get_mut(&carrier)?;
        ids.retain(|other| *other != id);
        if !ids.is_empty() {
            return None;
        }
        self.carriers.remove(&carrier);
        Some(carrier)
    }

    fn set_due(&mut self, id: Id, due: Option<Instant>) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        if let Some(old) = core::mem::replace(&mut asked.due, due) {
            self.due.remove(&(old, id));
        }
        if let Some(due) = due {
            self.due.insert((due, id));
        }
    }
}

impl Asked {
    fn envelope(&self, id: Id) -> Envelope<'_> {
        Envelope { kind: self.kind, flags: 0, id, service: &self.options.service, body: &self.body }
    }
}

/// What an answer is expected to have, where the caller does not say.
const EXPECTED_LEN: usize = 16 << 10;
/// What a fragment carries, about.
const FRAGMENT_LEN: usize = 1_580;
/// What a request in a pack needs beside its body.
const ITEM_COST: usize = 4 + envelope::HEADER_LEN + limits::SERVICE_LEN_MAX;
