//! What the exchange says, and what its calls can refuse.

use alloc::string::String;
use alloc::vec::Vec;

use super::envelope::Id;
use super::requests::Failed;
use super::{RequestHandle, Speaks, StreamId};
use crate::engine::{self, Code, MessageId, Phase, Recipient, SendError, SendOptions};
use crate::time::Duration;

/// News for the user.
pub enum Event {
    /// From the engine. A message in it is one of bare bytes.
    Engine(engine::Event),
    /// A message that stays in the store until [`super::Client::done`] is called with its number. Whoever begins to take
    /// messages is told of it again.
    Kept {
        /// Its number in the store.
        number: u32,
        /// The same in each run: that of its envelope, or one of our own.
        id: Id,
        /// It came in an envelope, from a mixlet peer.
        enveloped: bool,
        /// When it came, seconds since 1970.
        at: u64,
        /// Whom to answer, if anybody.
        from: Option<Recipient>,
        /// The sender's bytes.
        body: Vec<u8>,
    },
    /// An answer to a request that was given up before.
    Late {
        /// The caller's number of the request.
        id: MessageId,
        /// What the caller called it.
        label: String,
        /// Since it was asked.
        elapsed: Duration,
        /// The answer; `None`: a refusal.
        body: Option<Vec<u8>>,
        /// Who answers.
        from: Recipient,
    },
    /// A message of a mixlet peer, which the application has not seen.
    Message {
        /// Its id, for who has seen it before this client began.
        id: Id,
        /// The sender's bytes.
        body: Vec<u8>,
        /// Whom to answer, if anybody.
        from: Option<Recipient>,
    },
    /// No receipt came until the deadline; the message was delivered all the same.
    NotReceipted {
        /// Which message.
        id: MessageId,
        /// Why.
        code: Code,
    },
    /// A message was not taken, as there was no room for it in the store. If it was to be receipted its sender sends it
    /// again.
    Overflow {
        /// Who had sent it, if that is known.
        from: Option<Recipient>,
        /// Its length.
        bytes: usize,
        /// The store is full, else too much waits for the application.
        store: bool,
    },
    /// What is known of a peer's client has changed.
    Peer {
        /// Which.
        peer: Recipient,
        /// What it speaks.
        speaks: Speaks,
    },
    /// The peer's client has the whole message.
    Receipted {
        /// Which message.
        id: MessageId,
        /// From leaving to the receipt.
        round_trip: Duration,
    },
    /// Somebody asks. Answer with [`super::Client::respond`].
    Request {
        /// Goes back with the answer.
        handle: RequestHandle,
        /// Which service.
        service: String,
        /// The asker's bytes.
        body: Vec<u8>,
        /// Who asks.
        from: Recipient,
    },
    /// A request has failed.
    RequestFailed {
        /// The caller's number of it.
        id: MessageId,
        /// Why.
        code: Code,
        /// What the time was spent on.
        phase: Phase,
    },
    /// An answer came.
    Response {
        /// The caller's number of the request.
        id: MessageId,
        /// The answer.
        body: Vec<u8>,
        /// Who answers.
        from: Recipient,
    },
    /// Our own answer to a request will not arrive, or may not have.
    ResponseLost {
        /// To which request.
        handle: RequestHandle,
        /// Why.
        code: Code,
    },
    /// A stream has ended, in both directions.
    StreamClosed {
        /// Which.
        id: StreamId,
        /// One of [`super::ending`], or the peer's own, from 256 on.
        code: u32,
        /// What the peer says about it.
        reason: String,
    },
    /// Bytes of a stream, in order.
    StreamData {
        /// Which.
        id: StreamId,
        /// The bytes; empty only in front of the end.
        bytes: Vec<u8>,
        /// Nothing comes after them.
        last: bool,
    },
    /// A stream could not be opened.
    StreamFailed {
        /// Which.
        id: StreamId,
        /// Why.
        code: Code,
        /// What the time was spent on.
        phase: Phase,
    },
    /// A peer has opened a stream.
    StreamOpened {
        /// Its number from now on.
        id: StreamId,
        /// For which service.
        service: String,
        /// Who.
        from: Recipient,
    },
    /// The peer has taken the stream.
    StreamReady {
        /// Which.
        id: StreamId,
    },
    /// There is room to write again.
    StreamRoom {
        /// Which.
        id: StreamId,
    },
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sending {
    /// As the engine takes it.
    pub options: SendOptions,
    /// Whether it is to be receipted.
    pub receipt: Receipt,
    /// The id of its envelope, if it gets one, for who may have to send it again from elsewhere. `None`: a new one.
    pub id: Option<Id>,
}

/// One of several requests.
#[derive(Clone, Debug)]
pub struct Item {
    /// The caller's number of it.
    pub number: MessageId,
    /// Its id; `None`: a new one.
    pub id: Option<Id>,
    /// What is asked.
    pub body: Vec<u8>,
}

impl From<(MessageId, Vec<u8>)> for Item {
    fn from((number, body): (MessageId, Vec<u8>)) -> Self {
        Self { number, id: None, body }
    }
}

/// Whether a message is to be receipted by the peer's client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receipt {
    /// Where the peer is known to send receipts.
    #[default]
    Auto,
    /// No: bare bytes, which any client of the network reads.
    No,
    /// Yes, whoever the peer is.
    Yes,
}

/// A caller's mistake with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The label is longer than [`crate::limits::LABEL_LEN_MAX`].
    #[error("the label is too long")]
    LabelTooLong,
    /// As for a message.
    #[error(transparent)]
    Send(SendError),
    /// The name is longer than [`crate::limits::SERVICE_LEN_MAX`].
    #[error("the name of the service is too long")]
    ServiceTooLong,
}

impl RequestError {
    /// The code users see.
    pub const fn code(self) -> Code {
        match self {
            Self::LabelTooLong | Self::ServiceTooLong => Code::ConfigInvalid,
            Self::Send(error) => error.code(),
        }
    }
}

impl From<Failed> for Event {
    fn from(Failed { caller: id, code, phase }: Failed) -> Self {
        Self::RequestFailed { id, code, phase }
    }
}
