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

/// How long a finished set is remembered, since its sender may still repeat fragments whose acks were lost: its machine
/// may have slept in between.
pub const FINISHED_SET_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

// ── browser driver ───────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes the browser may hold for the link; above it frames stay in the engine.
pub const SOCKET_BUFFER_LEN_MAX: u32 = 64 << 10;
/// A sealed record of the store; a longer one counts as damaged. The longest is a message of the inbox or the outbox.
pub const RECORD_LEN_MAX: u32 = (33 << 20) + (64 << 10);
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

// ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────────────

/// The longest file of an exported identity that is looked at.
pub const BACKUP_LEN_MAX: usize = 4 << 10;
/// The most memory that the key of a passphrase may take, and how often it is gone through at most: a file says what its
/// key costs, and must not stop whoever opens it.
pub const KDF_MEMORY_KIB_MAX: u32 = 256 << 10;
/// See [`KDF_MEMORY_KIB_MAX`].
pub const KDF_PASSES_MAX: u8 = 16;

// ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of messages accepted and not finished; above it `send` answers "full".
pub const SEND_QUEUE_LEN_MAX: usize = 64 << 20;
/// Messages accepted and not finished; above it `send` answers "full".
pub const SEND_QUEUE_COUNT_MAX: usize = 16_384;
/// Bytes of long messages of one priority that are on their way at the same time, or one message. The others wait for their
/// turn, as many half-received ones would fill their recipient's memory.
pub const LONG_UNDER_WAY_LEN_MAX: usize = 4 << 20;
/// Messages of one kind that are cut and wait until their plans are kept; the next are cut when one of them goes on.
pub const PLANS_AHEAD_COUNT: usize = 32;
/// SURBs one message may carry; more is refused.
pub const SURBS_PER_MESSAGE_MAX: u32 = 100;
/// SURBs a peer is meant to hold: the first message brings them, later ones refill.
pub const SURBS_FIRST: u32 = 20;
/// SURBs of our own made ahead of need, so that no slot has to wait for several.
pub const SURBS_READY_COUNT: usize = 24;
/// Times a fragment is sent before its message is undelivered.
pub const ATTEMPTS_MAX: u32 = 24;
/// Least and greatest time an ack is waited for.
pub const ACK_WAIT_MIN: Duration = Duration::from_secs(1);
/// See [`ACK_WAIT_MIN`].
pub const ACK_WAIT_MAX: Duration = Duration::from_secs(10);
/// A pause after which recipients may have dropped what they had half received: unfinished messages go again whole.
/// Half of [`REASSEMBLY_AGE_MAX`], since the last fragment may have arrived well before the pause began.
pub const PAUSE_DROPS_UNFINISHED: Duration = Duration::from_secs(5 * 60);
/// A pause after which recipients may have forgotten what they had finished: a message that may have arrived whole is
/// undelivered, as it would be seen twice otherwise. Half of [`FINISHED_SET_AGE_MAX`].
pub const PAUSE_FORGETS_FINISHED: Duration = Duration::from_secs(12 * 60 * 60);
/// Fragments in flight; above it slots carry cover until acks come in.
pub const IN_FLIGHT_COUNT_MAX: usize = 1_024;
/// Frames waiting for the link to take them; slots that find it full are skipped, real and cover alike.
pub const OUTGOING_COUNT_MAX: usize = 8;
/// How late a slot may leave and still count; older ones are forgotten.
pub const LATE_TOLERANCE: Duration = Duration::from_millis(40);
/// How far a message has come, and what is held of a peer's SURBs, is told at most once in this time.
pub const REPORT_GAP: Duration = Duration::from_millis(100);
/// Packets told of at a time; more are counted only.
pub const TRACE_BATCH_COUNT_MAX: usize = 1_024;
/// Time with the link up after which a message without a deadline of its own is given up.
pub const MESSAGE_TIME: Duration = Duration::from_secs(15 * 60);

// ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Strangers whose SURBs are held. One makes room that was never answered, the one silent longest; only where all were
/// answered, one of these.
pub const PEERS_COUNT_MAX: usize = 1_024;
/// Strangers of whom it is to be told what is held; at the bound it is told at once.
pub const SURB_NEWS_COUNT_MAX: usize = 2 * PEERS_COUNT_MAX;
/// SURBs held of one stranger; the oldest make room.
pub const SURBS_PER_PEER_MAX: usize = 500;
/// SURBs held in all; peers make room as at [`PEERS_COUNT_MAX`].
pub const SURBS_HELD_MAX: usize = 20_000;
/// SURBs of a peer that are kept for requests while more waits to be sent over them: a request that is lost goes again
/// over another one.
pub const SURBS_RESERVE_COUNT: usize = 10;
/// SURBs asked for at a time, at least and at most.
pub const SURB_REQUEST_MIN: u32 = 10;
/// See [`SURB_REQUEST_MIN`].
pub const SURB_REQUEST_MAX: u32 = 100;
/// SURBs of one peer held and asked for together; above it no more are asked for.
pub const SURBS_WANTED_MAX: usize = 200;
/// First wait for SURBs after a request is known to have arrived, doubled each time; then it is asked again.
pub const SURB_REQUEST_RETRY: Duration = Duration::from_secs(5);
/// Requests in a row that arrived and brought nothing before the replies that wait are given up.
pub const SURB_REQUESTS_MAX: u32 = 6;
/// The longest wait for the ack of a request, which doubles with each sending after the first few, so that a peer out of
/// reach is not hammered and its last SURBs last for minutes.
pub const SURB_REQUEST_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long replies wait when there is no SURB left to ask with.
pub const SURBS_NONE_TIME: Duration = Duration::from_secs(30);
/// Replies to one peer accepted and not finished; above it `send` answers "no SURBs" while they wait for such, else
/// "full".
pub const REPLIES_WAITING_COUNT_MAX: usize = 4_096;
/// Bytes of those.
pub const REPLIES_WAITING_LEN_MAX: usize = MESSAGE_LEN_MAX;
/// SURBs that a peer which asks may have in hand, as far as we can tell, and as many on their way to it; requests beyond
/// it are not granted.
pub const SURBS_GRANTED_MAX: u32 = 500;
/// SURBs on their way to all who asked; requests beyond it are not granted.
pub const SURBS_ANSWERING_MAX: u32 = 8_000;
/// SURBs that a peer may be granted for each one that comes back: asking is to cost the one who asks.
pub const SURBS_GRANTED_PER_RETURN: u32 = 4;
/// SURBs that a peer may be granted each second without any coming back, since SURBs get lost too.
pub const SURBS_GRANTED_PER_SECOND: u32 = 10;
/// SURBs in one message that answers a request: as many as fill three fragments. Each message serves the peer for
/// itself, so one lost fragment does not hold up the rest.
pub const SURBS_PER_ANSWER: u32 = 10;
/// A peer that asks does not have the SURBs any more that were given to it this long ago.
pub const SURBS_USED_AFTER: Duration = Duration::from_secs(30);
/// After this time without an answer over them SURBs given out no longer count when a message refills the peer's stock.
pub const SURBS_BELIEVED_TIME: Duration = Duration::from_secs(10 * 60);
/// Keys of SURBs given to one peer; its oldest make room.
pub const REPLY_KEYS_PER_PEER_MAX: usize = 2_048;
/// Keys of SURBs given out; those of the peer longest unused make room.
pub const REPLY_KEYS_COUNT_MAX: usize = 65_536;
/// Age at which SURBs are dropped, given out or held, whatever the rotation says.
pub const SURB_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often SURBs and keys of that age are looked for. Until they are found they are not used either.
pub const SURB_SWEEP_TIME: Duration = Duration::from_secs(10 * 60);
/// Recipients we keep a sender tag for; the one longest unused makes room, and its keys are forgotten.
pub const CONVERSATIONS_COUNT_MAX: usize = 4_096;
/// Messages of our own in the send queue, beside the user's: a request to each peer, and the answers to requests.
pub const CONTROL_COUNT_MAX: usize = PEERS_COUNT_MAX + SURBS_ANSWERING_MAX as usize;

// ── between mixlet peers ─────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of a service's name; longer ones are refused.
pub const SERVICE_LEN_MAX: usize = 64;
/// Services served at a time; more are refused.
pub const SERVICES_COUNT_MAX: usize = 256;
/// Peers remembered to speak mixlet or not; the one longest silent makes room.
pub const KNOWN_PEERS_COUNT_MAX: usize = 4_096;
/// What waits to be given to the engine, of our own making; what answers strangers is dropped above it.
pub const ENVELOPES_WAITING_COUNT_MAX: usize = 4_096;
/// Messages that wait for a receipt; above it `send` answers "full".
pub const RECEIPTS_AWAITED_COUNT_MAX: usize = 4_096;
/// Bytes of those, kept to be sent again.
pub const RECEIPTS_AWAITED_LEN_MAX: usize = 64 << 20;
/// A message goes again when no receipt came within so many round trips.
pub const RECEIPT_ROUND_TRIPS: u32 = 3;
/// The least wait for a receipt.
pub const RECEIPT_WAIT_MIN: Duration = Duration::from_secs(2);
/// The longest wait for a receipt, which doubles each time: the peer may be away.
pub const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// SURBs in what is sent again, since the peer may have started anew without any.
pub const SURBS_PER_REPEAT: u32 = 3;
/// Ids of messages the application has seen; the oldest are forgotten.
pub const SEEN_IDS_COUNT_MAX: usize = 65_536;
/// How long they are remembered.
pub const SEEN_ID_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Requests without an answer; above it `request` answers "full".
pub const REQUESTS_COUNT_MAX: usize = 16_384;
/// Bytes of those, kept to be sent again after the link was lost.
pub const REQUESTS_LEN_MAX: usize = 64 << 20;
/// Requests that have ended and whose late answers are still recognised; the oldest are forgotten.
pub const ENDED_REQUESTS_COUNT_MAX: usize = 1_024;
/// How long they are.
pub const ENDED_REQUEST_AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// Bytes of the text a caller may give a request, to know a late answer by.
pub const LABEL_LEN_MAX: usize = 256;
/// Time for a request, before what its length adds.
pub const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Each so many bytes of a request and of its expected answer add a second.
pub const REQUEST_LEN_PER_SECOND: usize = 64 << 10;
/// SURBs a request carries beside those for the expected answer.
pub const REQUEST_SURBS: u32 = 10;
/// Requests that share one message; larger ones go alone.
pub const PACK_COUNT_MAX: usize = 64;
/// Bytes of such a message, and of one request in it at most a quarter.
pub const PACK_LEN_MAX: usize = 12 << 10;
/// Requests of others that are being handled; more are refused as failed.
pub const SERVING_COUNT_MAX: usize = 4_096;
/// Requests of others whose repeats are recognised.
pub const SERVED_COUNT_MAX: usize = 16_384;
/// Bytes of answers kept for those; the oldest are dropped, and repeats of their requests are not answered.
pub const SERVED_LEN_MAX: usize = 4 << 20;

/// Streams at a time, ours and others'; more are refused.
pub const STREAMS_COUNT_MAX: usize = 256;
/// Streams that have ended and whose late frames are still recognised.
pub const STREAMS_FINISHED_COUNT_MAX: usize = 4_096;
/// Windows of all streams together: what peers may send without anybody having read it.
pub const STREAM_WINDOWS_LEN_MAX: u64 = 64 << 20;
/// How much a peer may send ahead of what was read, where the caller does not say.
pub const STREAM_WINDOW: u32 = 256 << 10;
/// The least and greatest window.
pub const STREAM_WINDOW_MIN: u32 = 16 << 10;
/// See [`STREAM_WINDOW_MIN`].
pub const STREAM_WINDOW_MAX: u32 = 4 << 20;
/// Bytes in one message of a stream: with its header eight fragments, which go before long messages.
pub const STREAM_PIECE_LEN: usize = 11 << 10;
/// Pieces that came before their turn; with more the stream ends.
pub const STREAM_EARLY_COUNT_MAX: usize = 4_096;
/// Ranges of those a peer is told of at a time.
pub const STREAM_RANGES_COUNT_MAX: usize = 32;
/// Bytes written and not cut into pieces; at this many the writer waits.
pub const STREAM_WAITING_LEN: usize = 128 << 10;
/// Pieces after which the peer is told at once what came.
pub const STREAM_PIECES_PER_CREDIT: usize = 6;
/// It is told so long after a piece at the latest.
pub const STREAM_CREDIT_DELAY: Duration = Duration::from_millis(300);
/// The longest wait, doubled each time, before a piece that the peer does not tell of goes again.
pub const STREAM_WAIT_MAX: Duration = Duration::from_secs(60);
/// A stream ends when nothing came for so long, where the caller does not say.
pub const STREAM_IDLE_TIME: Duration = Duration::from_secs(5 * 60);
/// How long opening may take, where the caller does not say.
pub const STREAM_OPEN_TIME: Duration = Duration::from_secs(60);
/// The first wait, doubled each time, before a peer that takes nothing is asked whether it does again.
pub const STREAM_ASK_WAIT: Duration = Duration::from_secs(5);
/// Bytes of the reason a stream is ended with; the rest is cut off.
pub const STREAM_REASON_LEN_MAX: usize = 256;

// ── link ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Wait for the WebSocket to open.
pub const LINK_OPEN_TIME: Duration = Duration::from_secs(10);
/// Wait for each of the gateway's answers on the way to registration or login, and for bandwidth.
pub const LINK_ANSWER_TIME: Duration = Duration::from_secs(10);
/// Wait for a login whose stored messages keep coming; then the link is closed and opened again.
pub const LINK_LOGIN_TIME: Duration = Duration::from_secs(120);
/// A link that was up for less counts as a failed attempt: a gateway that takes us in and drops us, or another client
/// with our identity, is met with growing patience.
pub const LINK_STABLE_TIME: Duration = Duration::from_secs(30);
/// Nothing came back for this long, or for as long as the traffic settings make likely: `degraded`.
pub const SILENCE_DEGRADED: Duration = Duration::from_secs(5);
/// Nothing came back for twice as long as makes `degraded`: the link is closed and opened again.
pub const SILENCE_DEAD_FACTOR: u32 = 2;
/// A wake-up later than this counts as sleep: clocks of acks stand still for its length.
pub const SLEEP_GAP: Duration = Duration::from_secs(2);
/// Attempts to come online before `connect` fails, with each directory or gateway.
pub const CONNECT_ATTEMPTS: u32 = 3;
/// Gateways tried before `connect` fails, where the user named none.
pub const GATEWAYS_TRIED_MAX: u32 = 4;
/// Least time between two claims.
pub const BANDWIDTH_CLAIM_GAP: Duration = Duration::from_secs(10);
/// Around midnight of the gateway's clock nothing leaves: from so long before, since that clock is known to a second
/// and packets take a while.
pub const DAY_END_HOLD: Duration = Duration::from_millis(1_500);
/// So long after its midnight bandwidth is claimed again, at the earliest; at the latest twice as long.
pub const DAY_END_CLAIM: Duration = Duration::from_secs(1);
/// Packets whose answer by the gateway is waited for; at the bound the oldest is taken to be answered.
pub const UNANSWERED_COUNT_MAX: usize = 2_048;

/// After a move to another gateway the old link is closed when nothing has come over it for this long.
pub const LEAVING_QUIET_TIME: Duration = Duration::from_secs(30);
/// After a move to another gateway the old link is closed at the latest.
pub const LEAVING_TIME_MAX: Duration = Duration::from_secs(5 * 60);

// ── topology ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Wait before the directory is asked again after a failure, doubled each time up to the refresh interval.
pub const TOPOLOGY_RETRY: Duration = Duration::from_secs(1);
/// What left within this time before a link broke is taken to be lost with it.
pub const LOST_TAIL: Duration = Duration::from_secs(1);
/// Topologies in a row without our gateway before the user is told.
pub const GATEWAY_MISSING_MAX: u32 = 2;
/// After a rotation the topology is fetched within this time, or a quarter of an epoch where that is shorter: soon, but
/// not with all others.
pub const ROTATION_SPREAD: Duration = Duration::from_secs(60);
/// The record of a topology; a longer one is not kept.
pub const TOPOLOGY_RECORD_LEN_MAX: usize = (1 << 20) - 64;
/// A stored topology that is older is not used. One whose rotation is over is not used at any age.
pub const TOPOLOGY_RECORD_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// The same where the directory told no schedule: keys outlive their rotation by an epoch, and an epoch is an hour.
pub const TOPOLOGY_RECORD_AGE_UNSCHEDULED_MAX: Duration = Duration::from_secs(3600);
/// How often the stored topology is renewed.
pub const TOPOLOGY_RECORD_GAP: Duration = Duration::from_secs(3600);

// ── what is kept for whoever goes on with the same identity ──────────────────────────────────────────────────────────

/// Pages are written at most once in this time, all that have changed together. What a client learns in it is lost when
/// it ends without a word.
pub const PAGES_GAP: Duration = Duration::from_millis(250);
/// Sums over all visits are written so often, and lost by a crash for so long.
pub const TALLY_INTERVAL: Duration = Duration::from_secs(10);
/// A page of small things of this length is full.
pub const PAGE_LEN: usize = 4 << 10;
/// A page of SURBs or fragments of this length is full. With the last entry it is far below [`RECORD_LEN_MAX`].
pub const PAGE_LARGE_LEN: usize = 32 << 10;
/// Bytes in the store for keys of SURBs given out; further ones are not kept.
pub const PAGES_GIVEN_LEN_MAX: usize = 4 << 20;
/// Bytes in the store for SURBs of others; further ones are not kept.
pub const PAGES_HELD_LEN_MAX: usize = 12 << 20;
/// Bytes in the store for the digests of finished sets; the oldest make room.
pub const PAGES_FINISHED_LEN_MAX: usize = 2 << 20;
/// Bytes in the store for ids of messages the application has seen; the oldest make room.
pub const PAGES_SEEN_LEN_MAX: usize = 2 << 20;
/// Bytes in the store for fragments of half-received messages; further ones are not kept.
pub const PAGES_UNFINISHED_LEN_MAX: usize = 16 << 20;
/// Messages of ours in the store that have not arrived; further ones are refused as `queue-full`.
pub const OUTBOX_COUNT_MAX: usize = 1_024;
/// Bytes of them.
pub const OUTBOX_LEN_MAX: usize = 64 << 20;
/// Messages in the store that the application has not taken; further ones are refused.
pub const INBOX_COUNT_MAX: usize = 16_384;
/// Bytes of them.
pub const INBOX_LEN_MAX: usize = 64 << 20;
/// Messages of the store that the application has and is not done with; the next are told when there are fewer.
pub const INBOX_TOLD_COUNT_MAX: usize = 256;
/// Bytes of them, but for the last.
pub const INBOX_TOLD_LEN_MAX: usize = 8 << 20;
/// A half-received message that was stored this long ago is not gone on with.
pub const PAGES_UNFINISHED_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

// ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// How many node keys may have a table of multiples, 8 kB each. Further keys are used without: three times slower, the
/// same result.
pub const NODE_TABLES_MAX: usize = 128;
