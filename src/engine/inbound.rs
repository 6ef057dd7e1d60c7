//! What the gateway pushes: opened, sorted, put together, handed out.

use alloc::vec::Vec;

use super::output::{Event, Overflow};
use super::unfinished::{Kind, NewMessage, SURB_COST, Stage, Target, Wants};
use super::{Engine, PacketFormat};
use crate::limits;
use crate::message::{
    self, ACK_BLOB_LEN, ACK_LEN, AckContent, Content, Context, Inserted, KeyDigest, Repliable, Reply, SenderTag,
};
use crate::sphinx::PacketSize;
use crate::time::Instant;

impl<P: PacketFormat> Engine<P> {
    /// One push, decrypted with the gateway's key. Its length alone says whether it is an ack. `size` is that of its
    /// frame.
    pub(super) fn handle_push(&mut self, payload: &[u8], size: usize, now: Instant) {
        let before = self.stats.received;
        match payload.len() {
            ACK_LEN => self.handle_ack(payload, now),
            len if DATA_LENS.contains(&len) => self.handle_data(payload, now),
            _ => {
                self.stats.received.unknown += 1;
                self.stats.dropped.frame += 1;
            }
        }
        self.trace_received(before, size, now);
    }

    fn handle_ack(&mut self, payload: &[u8], now: Instant) {
        self.stats.received.ack += 1;
        match P::open_ack(&self.identity.ack, payload) {
            Some(AckContent::Cover) => {}
            Some(AckContent::Fragment(id)) => match self.outbound.acked(id, now) {
                Some(acked) => {
                    self.window.acked();
                    if let Some(chosen) = acked.clean {
                        self.rtt.learn(acked.round_trip, chosen);
                        self.round_trips.push(acked.round_trip);
                    }
                    if acked.complete {
                        self.delivered(acked.key, acked.round_trip);
                    } else {
                        self.note_progress(acked.key, false, now);
                    }
                }
                None => self.stats.dropped.ack += 1,
            },
            None => self.stats.dropped.ack += 1,
        }
    }

    fn handle_data(&mut self, payload: &[u8], now: Instant) {
        let Some((head, sealed)) = payload.split_first_chunk::<32>() else { return };
        // A digest of one of our reply keys, or else an ephemeral key. The reply key is used up by the match.
        let (fragment, conversation) = match self.conversations.take_key(&KeyDigest(*head), now) {
            Some((key, conversation)) => (P::open_with(&key, sealed), Some(conversation)),
            None => match P::open(&self.identity.encryption, payload) {
                Ok(fragment) => (fragment, None),
                Err(_) => {
                    self.stats.received.unknown += 1;
                    return;
                }
            },
        };
        if message::is_cover(&fragment) {
            self.stats.received.cover += 1;
            return;
        }
        let context = conversation.map_or(Context::Unknown, Context::Tag);
        match self.reassembler.insert(context, &fragment, now) {
            Inserted::Waiting => {
                self.stats.received.message += 1;
                self.keep_fragment(context, &fragment, now);
            }
            Inserted::Repeat => {
                self.stats.received.message += 1;
                self.stats.dropped.repeat += 1;
            }
            Inserted::Complete { message, set_ids } => {
                self.stats.received.message += 1;
                self.keep_finished(context, &set_ids, now);
                self.handle_message(message, conversation, now);
            }
            Inserted::Refused(_) => {
                self.stats.received.unknown += 1;
                self.stats.dropped.fragment += 1;
            }
        }
        self.report_evictions();
    }

    /// A whole message, kind byte first.
    fn handle_message(&mut self, message: Vec<u8>, conversation: Option<SenderTag>, now: Instant) {
        match Content::parse(message) {
            // Only what came over one of our own SURBs can be a reply, and nothing else can come over one.
            Ok(Content::Plain(body)) if conversation.is_none() => {
                self.events.push_back(Event::Received { body, tag: None, over: None });
            }
            Ok(Content::Repliable { tag, data }) if conversation.is_none() => {
                let (list, body) = match data {
                    Repliable::Data { surbs, body } => (surbs, Some(body)),
                    Repliable::AdditionalSurbs(surbs) | Repliable::Heartbeat(surbs) => (surbs, None),
                };
                let place = self.keep_surbs(tag, &list, now);
                let dropped = self.replies.stock(tag, list, place, now);
                if dropped > 0 {
                    self.stats.dropped.surb += u64::from(dropped);
                    self.events.push_back(Event::Overflow { what: Overflow::Surbs, count: dropped, bytes: 0 });
                }
                self.surbs_came(tag, now);
                if let Some(body) = body {
                    self.replies.told(&tag);
                    self.events.push_back(Event::Received { body, tag: Some(tag), over: None });
                }
            }
            Ok(Content::Reply(reply)) => match (reply, conversation) {
                (Reply::Data(body), Some(conversation)) => {
                    let over = self.conversations.recipient(conversation).cloned();
                    self.events.push_back(Event::Received { body, tag: None, over });
                }
                (Reply::SurbRequest { address, amount }, Some(conversation)) => {
                    self.grant_surbs(conversation, &address, amount, now);
                }
                (_, None) => self.stats.dropped.content += 1,
            },
            Ok(_) | Err(_) => self.stats.dropped.content += 1,
        }
    }

    /// Someone who answers us over SURBs asks for more of them. Granted only to whom they were given, and only so many
    /// that what is outstanding stays bounded.
    fn grant_surbs(&mut self, conversation: SenderTag, address: &message::Address, amount: u32, now: Instant) {
        let mut left = match self.closing {
            None => self.conversations.grant(conversation, address, amount, now),
            Some(_) => 0,
        };
        self.stats.dropped.surb_request += u64::from(left == 0);
        while left > 0 {
            let count = left.min(limits::SURBS_PER_ANSWER);
            left -= count;
            let wanted = count as usize;
            let stage = Stage::Body { body: Vec::new(), wanted, surbs: Vec::new(), wants: Wants::Promised };
            let deadline = self.default_deadline(wanted * SURB_COST, now);
            let target = Target::Address(address.clone());
            self.outbound.insert(NewMessage::control(
                target,
                Kind::AdditionalSurbs(count, conversation),
                stage,
                deadline,
            ));
        }
    }
}

/// What a gateway pushes of a data packet: its plaintext without the ack it carried.
const DATA_LENS: [usize; 4] = [
    PacketSize::Regular.plaintext_len() - ACK_BLOB_LEN,
    PacketSize::Extended8.plaintext_len() - ACK_BLOB_LEN,
    PacketSize::Extended16.plaintext_len() - ACK_BLOB_LEN,
    PacketSize::Extended32.plaintext_len() - ACK_BLOB_LEN,
];
