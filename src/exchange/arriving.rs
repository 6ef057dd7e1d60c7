//! What arrives: bare bytes and envelopes, sorted by what they are about.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::client::Client;
use super::envelope::{self, Envelope, Id, Kind, Opened, Refusal};
use super::event::Event;
use super::inbox::{Held, InboxEntry, Landed};
use super::peers::{self, Speaks};
use super::requests::Answered;
use crate::engine::{self, Code, PacketFormat, Phase, Recipient};
use crate::message::{Address, SenderTag};
use crate::time::Instant;

impl<P: PacketFormat> Client<P> {
    /// A message has come, whatever is in it.
    pub(super) fn received(&mut self, body: Vec<u8>, tag: Option<SenderTag>, over: Option<Address>, now: Instant) {
        let from = tag.map(Recipient::Tag).or(over.clone().map(Recipient::Address));
        match envelope::open(&body) {
            Opened::Bare => {
                if let Some(from) = &from {
                    self.heard(from, Speaks::Plain, now);
                }
                if self.inbox.is_durable() {
                    let id = self.outbox.id();
                    self.keep_message((id, false), body, from, false, now);
                } else {
                    self.events.push_back(Event::Engine(engine::Event::Received { body, tag, over }));
                }
            }
            Opened::Unknown { id, what } => {
                self.unsupported += 1;
                if let Some(from) = &from {
                    self.outbox.answer(from, Kind::Unsupported, id, &what);
                }
            }
            Opened::Envelope(envelope) => self.opened(&envelope, from, now),
        }
    }

    fn opened(&mut self, envelope: &Envelope<'_>, from: Option<Recipient>, now: Instant) {
        if envelope.kind == Kind::Message {
            self.message(envelope, from, now);
            return;
        }
        // Everything else is about somebody, and who cannot be known cannot be answered.
        let Some(from) = from else {
            self.unsupported += 1;
            return;
        };
        let features = match envelope.kind {
            Kind::Probe | Kind::Presence => envelope.body.first_chunk().map(|features| u32::from_be_bytes(*features)),
            _ => None,
        };
        self.heard_mixlet(&from, features, now);
        match envelope.kind {
            Kind::Receipt => self.receipt(envelope.id, &from, now),
            Kind::Request => self.asked(envelope, &from),
            Kind::Pack => match envelope::unpack(envelope.body) {
                Some(items) => items.iter().for_each(|item| self.asked(item, &from)),
                None => self.unsupported += 1,
            },
            Kind::Probe => {
                let features = peers::FEATURES.to_be_bytes();
                self.outbox.answer(&from, Kind::Presence, envelope.id, &features);
            }
            Kind::Response => self.answered(envelope.id, Ok(envelope.body), from, now),
            Kind::Presence => self.answered(envelope.id, Ok(&[]), from, now),
            Kind::Failure => {
                let is_missing = envelope.body.first() == Some(&(Refusal::NoHandler as u8));
                let code = if is_missing { Code::NoHandler } else { Code::HandlerFailed };
                self.refused(envelope.id, code, from, now);
            }
            Kind::Unsupported => self.refused(envelope.id, Code::PeerUnsupported, from, now),
            Kind::Open => {
                let events = &mut self.events;
                self.streams.opened(&mut self.outbox, &mut |event| events.push_back(event), envelope, &from, now);
            }
            Kind::Accept | Kind::Data | Kind::Credit | Kind::Reset => {
                let events = &mut self.events;
                let push = &mut |event| events.push_back(event);
                let stopped = self.streams.frame(&mut self.outbox, push, envelope, &from, now);
                self.streams.made_room(&mut |event| events.push_back(event));
                self.drop_all(stopped, now);
            }
            // Dealt with above.
            Kind::Message => {}
        }
    }

    /// A request or an opening that the peer does not take.
    fn refused(&mut self, id: Id, code: Code, from: Recipient, now: Instant) {
        let events = &mut self.events;
        let stopped = self.streams.failed(&mut |event| events.push_back(event), id, code, &from, now);
        self.drop_all(stopped, now);
        self.answered(id, Err(code), from, now);
    }

    fn heard(&mut self, from: &Recipient, speaks: Speaks, now: Instant) {
        if let Some(speaks) = self.peers.heard(from, speaks, now) {
            self.events.push_back(Event::Peer { peer: from.clone(), speaks });
        }
    }

    /// An envelope came. `features`: what it says of itself; else what was known before holds, or all there is.
    fn heard_mixlet(&mut self, from: &Recipient, features: Option<u32>, now: Instant) {
        let features = features.or(match self.peers.get(from) {
            Some(Speaks::Mixlet { features }) => Some(features),
            _ => None,
        });
        self.heard(from, Speaks::Mixlet { features: features.unwrap_or(peers::FEATURES) }, now);
    }

    fn message(&mut self, envelope: &Envelope<'_>, from: Option<Recipient>, now: Instant) {
        if let Some(from) = &from {
            self.heard_mixlet(from, None, now);
        }
        let receipt = from.as_ref().filter(|_| envelope.flags & envelope::WANTS_RECEIPT != 0);
        if self.inbox.is_durable() && !self.receipts.has(envelope.id, now) {
            let wanted = receipt.is_some();
            return self.keep_message((envelope.id, true), envelope.body.to_vec(), from, wanted, now);
        }
        // Also for one that came again: the first receipt may be lost.
        if let Some(from) = receipt
            && !matches!(self.inbox.holds(envelope.id, true), Some(Held::Writing))
        {
            self.outbox.answer(from, Kind::Receipt, envelope.id, &[]);
        }
        if self.receipts.is_new(envelope.id, now) {
            self.engine.keep_seen(envelope.id.0, now);
            self.events.push_back(Event::Message { id: envelope.id, body: envelope.body.to_vec(), from });
        }
    }

    /// A message for the store, which the application is told of when it is there.
    fn keep_message(
        &mut self,
        (id, enveloped): (Id, bool),
        body: Vec<u8>,
        from: Option<Recipient>,
        receipt: bool,
        now: Instant,
    ) {
        if !self.inbox.has_room(body.len()) {
            self.events.push_back(Event::Overflow { from, bytes: body.len(), store: false });
            return;
        }
        if enveloped {
            self.receipts.is_new(id, now);
        }
        let at = self.engine.unix(now);
        let chore = self.inbox.add(InboxEntry { id, enveloped, at, from, body }, receipt);
        self.chores.push_back(chore);
        // In one go with the message: either both are there after a crash or none.
        self.engine.write_marks();
    }

    /// A message is in the store, or there was no room.
    pub(super) fn message_landed(&mut self, number: u32, ok: bool, now: Instant) {
        match self.inbox.landed(number, ok) {
            Some(Landed::Stored { id, enveloped, receipt }) => {
                if enveloped {
                    self.engine.keep_seen(id.0, now);
                }
                if let Some(to) = receipt {
                    self.outbox.answer(&to, Kind::Receipt, id, &[]);
                }
            }
            Some(Landed::Refused { id, from, bytes }) => {
                self.receipts.has_not_seen(id);
                self.events.push_back(Event::Overflow { from: Some(from), bytes, store: true });
            }
            Some(Landed::Passed) | None => {}
        }
    }

    fn receipt(&mut self, id: Id, from: &Recipient, now: Instant) {
        let Some(received) = self.receipts.receipt(id, from, now) else { return };
        let (message, mut round_trip) = (received.message, received.round_trip);
        if let Some(copy) = received.copy {
            self.drop_own(copy, now);
        }
        if !received.delivered {
            // The acks are lost or late, and what they would say is known better now.
            let retransmissions = self.engine.retransmissions(message);
            round_trip = self.engine.since_left(message, now);
            self.engine.cancel(message, now);
            let event = engine::Event::Delivered { id: message, round_trip, retransmissions };
            self.events.push_back(Event::Engine(event));
        }
        self.events.push_back(Event::Receipted { id: message, round_trip });
        self.chores.extend(self.kept.end(message));
        self.made_room();
    }

    fn asked(&mut self, envelope: &Envelope<'_>, from: &Recipient) {
        if let Some(handle) = self.serving.asked(&mut self.outbox, envelope.id, envelope.service, from) {
            let (service, body) = (envelope.service.to_string(), envelope.body.to_vec());
            self.events.push_back(Event::Request { handle, service, body, from: from.clone() });
        }
    }

    fn answered(&mut self, id: Id, answer: Result<&[u8], Code>, from: Recipient, now: Instant) {
        let carrier = self.requests.carrier(id);
        match self.requests.answer(id, &from, now) {
            Answered::InTime(caller) => {
                // It has arrived, whatever its acks say.
                if let Some(carrier) = self.requests.leave(id, carrier) {
                    self.drop_own(carrier, now);
                }
                self.events.push_back(match answer {
                    Ok(body) => Event::Response { id: caller, body: body.to_vec(), from },
                    Err(code) => Event::RequestFailed { id: caller, code, phase: Phase::Peer },
                });
                self.made_room();
            }
            Answered::Late { caller, label, elapsed } => {
                let body = answer.ok().map(<[u8]>::to_vec);
                self.events.push_back(Event::Late { id: caller, label, elapsed, body, from });
            }
            Answered::Ignored => {}
        }
    }
}
