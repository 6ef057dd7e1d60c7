//! Every bound of the client in one place: sizes, counts and ages.
//!
//! A table or queue without a name here is a bug. Each name says what happens at the bound.

use crate::time::Duration;

/// The largest body one message may have; more is refused as `too-large`.
pub const MESSAGE_LEN_MAX: usize = 32 << 20;

/// The longest message put together from fragments: a body of the greatest length, and a mebibyte for SURBs, tags and
/// padding around it. What grows beyond is dropped.
pub const REASSEMBLED_LEN_MAX: usize = MESSAGE_LEN_MAX + (1 << 20);

/// Memory for unfinished messages, bookkeeping included. At the bound the one that waited longest is dropped.
pub const REASSEMBLY_BYTES_MAX: usize = 96 << 20;

/// As [`REASSEMBLY_BYTES_MAX`], for unfinished messages of unknown senders: they can push out only each other.
pub const REASSEMBLY_UNKNOWN_BYTES_MAX: usize = 64 << 20;

/// How long an unfinished message is kept after its last fragment; then it is dropped.
pub const REASSEMBLY_AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// Memory for recognising repeats of finished sets: so much for unknown senders and so much for reply tags. At the bound
/// the oldest set is forgotten.
pub const FINISHED_SETS_BYTES_MAX: usize = 4 << 20;

/// How long a finished set is remembered, since its sender may still repeat fragments whose acks were lost.
pub const FINISHED_SET_AGE_MAX: Duration = Duration::from_secs(60 * 60);

// ── browser driver ───────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes the browser may hold for the link; above it frames stay in the engine.
pub const SOCKET_BUFFER_LEN_MAX: u32 = 64 << 10;
/// A body of the directory; a longer one is cut off and refused.
pub const FETCH_LEN_MAX: usize = 8 << 20;
/// A sealed record of the store; a longer one counts as damaged.
pub const RECORD_LEN_MAX: u32 = 64 << 10;
/// Requests of the page not looked at yet; more are answered `queue-full`.
pub const COMMANDS_COUNT_MAX: usize = 4_096;
/// Sends waiting for room in the engine's queue; more are answered `queue-full`.
pub const WAITING_COUNT_MAX: usize = 1_024;
/// Bytes of those; beyond it sends are answered `queue-full`.
pub const WAITING_LEN_MAX: usize = 64 << 20;

/// The longest text or binary frame of the link that is looked at. The longest legal one has 33 184 bytes.
pub const FRAME_LEN_MAX: usize = 64 << 10;
/// The longest handshake step, in bytes; the gateway's is the longest.
pub const FRAME_HANDSHAKE_MAX: usize = 124;
/// The longest sealed control request or reply, in bytes.
pub const FRAME_CIPHERTEXT_MAX: usize = 4 << 10;
/// The longest sealed ticket that a gateway of ours reads, in bytes.
pub const FRAME_CREDENTIAL_MAX: usize = 16 << 10;
/// How much of a gateway's prose is kept, in bytes; the rest is cut off.
pub const FRAME_PROSE_MAX: usize = 512;

/// The longest URL of a gateway that is kept: a hostname has at most 253 characters.
pub const GATEWAY_URL_LEN_MAX: usize = 512;
/// The longest answer of a directory, in bytes; a longer one is refused before it is parsed.
pub const DIRECTORY_BODY_MAX: usize = 8 << 20;
/// The most nodes of one list of a directory, over all its pages; a longer list is refused.
pub const DIRECTORY_NODES_MAX: usize = 10_000;
/// The most pages of one list of a directory; more are refused.
pub const DIRECTORY_PAGES_MAX: u32 = 100;
/// The most IP addresses of one node; an answer with more is refused.
pub const DIRECTORY_IPS_MAX: usize = 64;
/// The most node ids with one role; an answer with more is refused.
pub const DIRECTORY_ROLE_MAX: usize = 10_000;
/// The fewest usable nodes of a layer on a public network; with fewer a topology is refused.
pub const LAYER_NODES_MIN: usize = 3;
/// How often a suspicious topology is refused before it is taken with a warning.
pub const TOPOLOGY_REFUSALS_MAX: u32 = 3;
/// How long suspicious topologies are refused before one is taken with a warning.
pub const TOPOLOGY_REFUSAL_AGE_MAX: Duration = Duration::from_secs(30 * 60);
