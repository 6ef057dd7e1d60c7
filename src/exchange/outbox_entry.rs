//! A message of the outbox as it is stored.

use alloc::vec::Vec;

use zeroize::Zeroizing;

#[cfg(doc)]
use super::client::Client;
use super::envelope::Id;
use super::event::{Receipt, Sending};
use crate::engine::{Priority, Recipient, Replies, SendError, SendOptions};
use crate::limits;
use crate::message::{ADDRESS_LEN, Address, SenderTag};

/// A message as it is stored. `docs/PROTOCOL.md`, section 9.
pub struct OutboxEntry {
    /// What the application calls it, in every run.
    pub id: Id,
    /// The id of its envelope, if it gets one.
    pub envelope: Id,
    /// When it was accepted, seconds since 1970.
    pub created: u64,
    /// When it is given up, seconds since 1970; 0: never.
    pub expires: u64,
    /// SURBs to attach.
    pub replies: Replies,
    /// Which queue.
    pub priority: Priority,
    /// Whether it is to be receipted.
    pub receipt: Receipt,
    /// Whom it is for.
    pub to: Recipient,
    /// Length of the user's bytes.
    pub len: u32,
    /// `content` is a plan.
    pub is_cut: bool,
    /// The user's bytes, or the plan.
    pub content: Vec<u8>,
}

impl OutboxEntry {
    /// A message that was just accepted. The ids are what the application calls it and that of its envelope, the times when
    /// it was accepted and when it is given up.
    ///
    /// # Errors
    /// What can be said of it without a client; see [`Client::persist`].
    pub fn new(
        (id, envelope): (Id, Id),
        (created, expires): (u64, u64),
        to: &Recipient,
        body: &[u8],
        sending: &Sending,
    ) -> Result<Self, SendError> {
        let Sending { options, receipt, .. } = sending;
        if body.len() > limits::MESSAGE_LEN_MAX {
            return Err(SendError::TooLarge);
        }
        if matches!(options.replies, Replies::Exactly(count) if count > limits::SURBS_PER_MESSAGE_MAX) {
            return Err(SendError::TooManyReplies);
        }
        if matches!(to, Recipient::Tag(_)) && body.is_empty() {
            return Err(SendError::EmptyReply);
        }
        Ok(Self {
            id,
            envelope,
            created,
            expires,
            replies: options.replies,
            priority: options.priority,
            receipt: *receipt,
            to: to.clone(),
            len: u32::try_from(body.len()).unwrap_or(u32::MAX),
            is_cut: false,
            content: body.to_vec(),
        })
    }

    /// `version ‖ id[16] ‖ envelope id[16] ‖ created u64 ‖ expires u64 ‖ replies u32 ‖ priority u8 ‖ receipt u8 ‖ to ‖
    /// length u32 ‖ cut u8 ‖ body or plan`, where `to` is `1 ‖ their tag[16]` or `2 ‖ address[96]`.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_LEN_MAX + self.content.len()));
        bytes.push(ENTRY_VERSION);
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.envelope.0);
        bytes.extend_from_slice(&self.created.to_be_bytes());
        bytes.extend_from_slice(&self.expires.to_be_bytes());
        let replies = match self.replies {
            Replies::Auto => AUTO,
            Replies::Exactly(count) => count,
        };
        bytes.extend_from_slice(&replies.to_be_bytes());
        bytes.push(match self.priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Bulk => 2,
        });
        bytes.push(match self.receipt {
            Receipt::Auto => 0,
            Receipt::No => 1,
            Receipt::Yes => 2,
        });
        match &self.to {
            Recipient::Tag(tag) => {
                bytes.push(1);
                bytes.extend_from_slice(&tag.0);
            }
            Recipient::Address(address) => {
                bytes.push(2);
                bytes.extend_from_slice(&address.to_bytes());
            }
        }
        bytes.extend_from_slice(&self.len.to_be_bytes());
        bytes.push(u8::from(self.is_cut));
        bytes.extend_from_slice(&self.content);
        bytes
    }

    /// Reads it. `None`: damaged, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([ENTRY_VERSION], rest) = bytes.split_first_chunk()? else { return None };
        let (id, rest) = rest.split_first_chunk()?;
        let (envelope, rest) = rest.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (replies, rest) = rest.split_first_chunk()?;
        let ([priority, receipt, kind], rest) = rest.split_first_chunk()?;
        let (to, rest) = match kind {
            1 => {
                let (tag, rest) = rest.split_first_chunk()?;
                (Recipient::Tag(SenderTag(*tag)), rest)
            }
            2 => {
                let (address, rest) = rest.split_first_chunk::<ADDRESS_LEN>()?;
                (Recipient::Address(Address::restored(address)), rest)
            }
            _ => return None,
        };
        let (len, rest) = rest.split_first_chunk()?;
        let ([is_cut @ (0 | 1)], content) = rest.split_first_chunk()? else { return None };
        Some(Self {
            id: Id(*id),
            envelope: Id(*envelope),
            created: u64::from_be_bytes(*created),
            expires: u64::from_be_bytes(*expires),
            replies: match u32::from_be_bytes(*replies) {
                AUTO => Replies::Auto,
                count => Replies::Exactly(count),
            },
            priority: match priority {
                0 => Priority::High,
                1 => Priority::Normal,
                2 => Priority::Bulk,
                _ => return None,
            },
            receipt: match receipt {
                0 => Receipt::Auto,
                1 => Receipt::No,
                2 => Receipt::Yes,
                _ => return None,
            },
            to,
            len: u32::from_be_bytes(*len),
            is_cut: *is_cut == 1,
            content: content.to_vec(),
        })
    }

    /// How the engine is to send it. Only the wall clock ends it.
    pub(super) fn sending(&self) -> Sending {
        let options = SendOptions {
            no_deadline: true,
            replies: self.replies,
            priority: self.priority,
            planned: true,
            ..SendOptions::default()
        };
        Sending { options, receipt: self.receipt, id: Some(self.envelope) }
    }
}

const ENTRY_VERSION: u8 = 1;
const AUTO: u32 = u32::MAX;
const HEAD_LEN_MAX: usize = 1 + 16 + 16 + 8 + 8 + 4 + 1 + 1 + 1 + ADDRESS_LEN + 4 + 1;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn entry() -> OutboxEntry {
        OutboxEntry {
            id: Id([1; 16]),
            envelope: Id([2; 16]),
            created: 3,
            expires: 4,
            replies: Replies::Exactly(5),
            priority: Priority::Bulk,
            receipt: Receipt::Yes,
            to: Recipient::Tag(SenderTag([6; 16])),
            len: 2,
            is_cut: false,
            content: b"hi".to_vec(),
        }
    }

    #[test]
    fn exact_bytes() {
        let expected = [
            &[1][..],
            &[1; 16],
            &[2; 16],
            &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 5, 2, 2, 1],
            &[6; 16],
            &[0, 0, 0, 2, 0, b'h', b'i'],
        ]
        .concat();
        assert_eq!(*entry().to_bytes(), expected);
        let read = OutboxEntry::from_bytes(&expected).unwrap();
        assert_eq!(*read.to_bytes(), expected);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let good = entry().to_bytes();
        for len in 0..good.len() - 2 {
            assert!(OutboxEntry::from_bytes(&good[..len]).is_none());
        }
        // Version, priority, receipt, kind of recipient, whether it is cut.
        for at in [0, 53, 54, 55, 76] {
            let mut bad = good.to_vec();
            bad[at] = 9;
            assert!(OutboxEntry::from_bytes(&bad).is_none());
        }
    }
}
