//! From a user's bytes to plaintexts that fit one packet, and back.
//!
//! A message is written as a kind and its content ([`Content`]), padded and cut into fragments ([`Fragments`]); each
//! fragment gets an end-to-end layer ([`seal_to`], [`seal_with`]) and, in front of it, the ack that the recipient's
//! gateway sends back ([`ack_blob`]). On the other side [`Pushed`] tells acks from data, [`open`] and [`open_with`]
//! take the layer off, and the [`Reassembler`] puts fragments together in any order.
//!
//! Routes, sockets and queues do not enter; time enters as a number, for expiry. Everything that comes from outside is
//! read by functions that are total: they give a value or an error, and no length, count or link that a stranger
//! writes is believed before it was compared with what is really there.
//!
//! Invariants: a [`SetId`] is never zero and has 31 bits; a parsed [`Fragment`] has `1 <= position <= total` and a link
//! only where one may be; an [`Address`] from others holds two points of the identity curve; what a [`Reassembler`] holds
//! stays within its [`Budget`].

#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests count with small numbers"))]

mod ack;
mod address;
mod content;
mod cover;
mod envelope;
mod finished;
mod fragment;
mod reassembly;

pub use ack::{ACK_BLOB_LEN, ACK_LEN, AckContent, AckKey, ack_blob, split_ack_blob};
pub use address::{ADDRESS_LEN, Address, GatewayId, SenderTag};
pub use content::{Content, KeyDigest, Repliable, Reply, ReplyKey, ReplySurb, SurbList};
pub use cover::{cover_content, is_cover};
pub use envelope::{EncryptionKey, Pushed, RecipientKey, open, open_with, seal_to, seal_with};
pub use fragment::{
    Fragment, FragmentHeader, FragmentId, Fragments, Layout, Link, SET_FRAGMENTS_MAX, SetId, fragment_count,
    fragment_room, unpad,
};
pub use reassembly::{Budget, Context, Inserted, Reassembler, Refusal};

/// Why bytes are not a message of this protocol, or a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The text or bytes are no address.
    #[error("malformed address")]
    Address,
    /// A repliable message with an unknown content tag.
    #[error("unknown content tag {0}")]
    ContentTag(u8),
    /// A reply without content: the protocol cannot say it.
    #[error("a reply must not be empty")]
    EmptyReply,
    /// The text or bytes are no gateway identity.
    #[error("malformed gateway identity")]
    GatewayId,
    /// A fragment header that contradicts itself.
    #[error("malformed fragment header")]
    Header,
    /// A message of an unknown kind.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// A length that cannot be.
    #[error("wrong length {0}")]
    Length(usize),
    /// No marker, or something other than zeros behind it.
    #[error("malformed padding")]
    Padding,
    /// A recipient's key that every shared secret is zero with.
    #[error("unusable recipient key")]
    RecipientKey,
    /// A reply with an unknown tag.
    #[error("unknown reply tag {0}")]
    ReplyTag(u8),
    /// A packet size without room for fragments, or a room too small for a header.
    #[error("no room for fragments")]
    Room,
    /// The text is no sender tag.
    #[error("malformed sender tag")]
    SenderTag,
    /// A set identifier of zero, one that occurs twice, or not as many as there are sets.
    #[error("unusable set identifiers")]
    SetIds,
    /// A SURB of a list is malformed, or the SURBs of a list are not alike.
    #[error("malformed list of SURBs")]
    Surbs,
}
