//! What mixlet peers say to each other on top of messages: receipts, requests and answers, streams.
//!
//! [`Client`] is an [`Engine`] with an exchange above it, driven in the same way: one thing in, then drain. What the
//! engine says passes through; messages that turn out to be envelopes ([`envelope`]) are taken out and dealt with
//! here. Everything leaves as ordinary messages of the engine, so nothing of it shows on the line.
//!
//! The exchange has no clock and no source of randomness of its own either, and every table is bounded by a name in
//! [`crate::limits`]. Who a peer is follows from what it can do: it holds a sender tag, or it answers over SURBs that
//! were given to one address.

mod arriving;
mod client;
pub mod envelope;
mod event;
mod inbox;
mod kept;
mod outbox;
mod outbox_entry;
mod peers;
mod receipts;
mod requests;
mod seen;
mod serving;
mod stored_outbox;
mod stream;
mod streams;

#[cfg(doc)]
use crate::engine::Engine;

pub use client::Client;
pub use event::{Event, Item, Receipt, RequestError, Sending};
pub use inbox::InboxEntry;
pub use kept::{OutboxStage, OutboxState, number_of as kept_number};
pub use outbox_entry::OutboxEntry;
pub use peers::{FEATURES, RECEIPTS, REQUESTS, STREAMS, Speaks};
pub use requests::RequestOptions;
pub use serving::RequestHandle;
pub use stored_outbox::StoredOutbox;
pub use streams::{StreamId, StreamOptions, ending};
