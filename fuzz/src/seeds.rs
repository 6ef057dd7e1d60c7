//! The first inputs of each target, made from the recorded bytes and from what a step of a target looks like.
//!
//! They are committed in `seeds/`; `cargo run --example seeds` writes them anew, and a test compares.

use std::path::PathBuf;

use mixlet::engine::{Priority, Recipient, Replies, Sphinx};
use mixlet::exchange::envelope::{Envelope, Id, Kind, pack_item, simple};
use mixlet::exchange::{InboxEntry, OutboxEntry, Receipt};
use mixlet::gateway::{IdentityKeypair, SharedKey};
use mixlet::identity::{Identity, Registration};
use mixlet::message::{Content, Repliable, Reply, SenderTag, SurbList};
use mixlet::sphinx::RotationTag;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::laws::input::LONG;
use crate::laws::network::Network;
use crate::laws::peer::Peer;
use crate::laws::world::{CARRY, LIVE, MESSAGE, REPLY, RUN, SEND};
use crate::plans::{FROM_PAGE, LONG_BODY, TO_TAG, UNPACED};

/// One input.
pub struct Seed {
    /// The target it is for.
    pub target: &'static str,
    /// Its place among the target's.
    pub number: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        folder().join(self.target).join(format!("{:02}", self.number))
    }
}

/// Where all of them lie.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// All of them.
///
/// # Panics
///
/// When the recorded bytes are not where they should be.
pub fn all() -> Vec<Seed> {
    let groups: [(&'static str, Vec<Vec<u8>>); 25] = [
        ("address", addresses()),
        ("client_text", texts("requests", "lenient_requests", "client")),
        ("content", contents()),
        ("control", controls()),
        (
            "date",
            lines(&["2026-05-17T06:40:00.123456789Z", "2026-05-17 6:40:00.0 +00:00:00", "2026-05-17T08:40:00+02:00"]),
        ),
        ("directory", directories()),
        ("document", documents()),
        ("engine_gateway", [users(), strangers()].concat()),
        ("engine_raw", users()),
        ("engine_sphinx", [users(), strangers()].concat()),
        ("envelope", vec![noise(33, 1), noise(80, 2), vec![0; 64], noise(1_643, 3)]),
        ("exchange", envelopes()),
        ("fragment", fragments()),
        ("handshake", handshakes()),
        ("json", jsons()),
        ("packet", packets()),
        ("peel", peels()),
        ("plans", plans()),
        ("reassembly", reassemblies()),
        ("records", records()),
        ("schedule", schedules()),
        ("server_text", texts("responses", "lenient_responses", "gateway")),
        ("session", sessions()),
        ("surb", surbs()),
        ("table", vec![noise(60, 1), noise(200, 2), vec![3; 30]]),
    ];
    let numbered = |(target, group): (&'static str, Vec<Vec<u8>>)| {
        group.into_iter().enumerate().map(move |(number, bytes)| Seed { target, number, bytes })
    };
    groups.into_iter().flat_map(numbered).collect()
}

// ── from the recorded bytes ──────────────────────────────────────────────────────────────────────────────────────────

fn addresses() -> Vec<Vec<u8>> {
    let file = vectors("packets/addressing.json");
    let mut seeds: Vec<Vec<u8>> = list(&file, "recipient_text_other").map(|case| text(case, "text")).collect();
    seeds.extend(list(&file, "recipients").take(2).map(|case| bytes(case, "bytes")));
    let file = vectors("gateway/recipient.json");
    seeds.extend([text(&file, "text"), text(&file, "gateway_b58"), b"5Hq".to_vec()]);
    seeds.push(SenderTag([7; 16]).to_string().into_bytes());
    seeds
}

/// The recorded frames of one side; `by` is who has sent them in the recorded handshakes.
fn texts(strict: &str, lenient: &str, by: &str) -> Vec<Vec<u8>> {
    let file = vectors("gateway/control_messages.json");
    let mut seeds: Vec<Vec<u8>> =
        list(&file, strict).chain(list(&file, lenient)).map(|case| text(case, "text")).collect();
    let sealed = if by == "client" { "encrypted_requests" } else { "encrypted_responses" };
    seeds.extend(list(&file, sealed).take(1).map(|case| text(case, "text")));
    let handshakes = vectors("gateway/handshake.json");
    let frames = list(&handshakes, "cases").take(1).flat_map(|case| list(case, "frames"));
    seeds.extend(frames.filter(|frame| frame["from"] == by).map(|frame| text(frame, "text")));
    if by == "client" {
        seeds.extend(list(&vectors("gateway/authenticate.json"), "v2").take(1).map(|case| text(case, "text")));
    } else {
        let skew = "the login time is excessively skewed: it is 2026-05-17T06:40:00Z, that of the server 2026-05-17 6:50:00.0 +00:00:00";
        seeds.push(format!(r#"{{"type":"error","message":"{skew}"}}"#).into_bytes());
    }
    seeds
}

/// The recorded envelopes of both ends, and a pack of two.
fn envelopes() -> Vec<Vec<u8>> {
    let file = vectors("exchange.json");
    let lists = ["envelopes", "bare", "unknown"].into_iter().flat_map(|name| list(&file, name));
    let mut seeds: Vec<Vec<u8>> = lists.map(|case| bytes(case, "bytes")).collect();
    let mut body = Vec::new();
    for (service, text) in [("", "one"), ("time", "two")] {
        let item = Envelope { kind: Kind::Request, flags: 0, id: Id([3; 16]), service, body: text.as_bytes() };
        pack_item(&mut body, &item);
    }
    seeds.push(simple(Kind::Pack, Id([4; 16]), &body));
    seeds.push(body);
    seeds
}

fn jsons() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"a":[1,-2,3.5e-7,true,false,null],"b":{"c":"\u00e4\ud83d\ude00\n\"/"},"d":{}}"#,
        r#" [ [ ] , { } , "" , 0 , 18446744073709551615 , -9223372036854775808 ] "#,
        r#"{"type":"send","remaining_bandwidth":5,"type":"x"}"#,
    ];
    [lines(&texts), vec![Network::get().answers()[3].clone().into_bytes()]].concat()
}

fn controls() -> Vec<Vec<u8>> {
    let file = vectors("gateway/control_messages.json");
    let plain = list(&file, "encrypted_requests").chain(list(&file, "encrypted_responses"));
    let with_key = |plain: Vec<u8>| [&[9; 33][..], &plain].concat();
    let mut seeds: Vec<Vec<u8>> = plain.map(|case| with_key(text(case, "plaintext"))).collect();
    let framing = vectors("packets/framing.json");
    let packets: Vec<_> = list(&framing, "mix_packets").take(1).collect();
    seeds.extend(packets.iter().flat_map(|case| ["v1", "v2"].map(|form| with_key(bytes(case, form)))));
    seeds.push(with_key(vec![4; 21]));
    seeds
}

fn contents() -> Vec<Vec<u8>> {
    let file = vectors("packets/messages_reply.json");
    let parsed = list(&file, "repliable_parse").chain(list(&file, "reply_parse"));
    let mut seeds: Vec<Vec<u8>> = parsed.map(|case| bytes(case, "bytes")).filter(|bytes| !bytes.is_empty()).collect();
    // The recorded bodies come without the byte that says what kind they are.
    seeds.extend(["additional_surbs_body", "repliable_body"].map(|name| [&[1][..], &bytes(&file, name)].concat()));
    let peer = Peer::<Sphinx>::new().address;
    let list = |count: u64| SurbList {
        rotation: RotationTag::Odd,
        surbs: (0..count).map(|seed| Network::surb::<Sphinx>(&peer, 1, seed)).collect(),
    };
    let tag = SenderTag([7; 16]);
    let written = [
        Content::Plain(b"hello".to_vec()),
        Content::Repliable { tag, data: Repliable::Data { surbs: list(1), body: b"hello".to_vec() } },
        Content::Repliable { tag, data: Repliable::Heartbeat(list(2)) },
        Content::Reply(Reply::Data(b"hello".to_vec())),
        Content::Reply(Reply::SurbRequest { address: peer.clone(), amount: 10 }),
    ];
    seeds.extend(written.iter().filter_map(|content| content.to_bytes().ok()));
    // SURBs of older clients: four hops with whole keys.
    let mut legacy = [&[1][..], &[7; 16], &[0, 0, 0, 0, 1]].concat();
    legacy.extend([3; 16 + 348]);
    legacy.extend([4, 6, 0xfd, 10, 0, 0, 1]);
    legacy.resize(22 + 16 + 348 + 32 + 4 * 192, 5);
    seeds.push([&legacy[..], b"hello"].concat());
    seeds
}

fn directories() -> Vec<Vec<u8>> {
    let file = vectors("gateway/topology.json");
    let recorded = mixlet::topology::PATHS.map(|path| file["api"][format!("GET {path}")].to_string());
    let joined = |options: u8, answers: &[String; 4]| [&[options][..], answers.join("\0").as_bytes()].concat();
    vec![joined(0, &recorded), joined(2, &recorded), joined(8, Network::get().answers())]
}

fn documents() -> Vec<Vec<u8>> {
    let native = vectors("gateway/topology.json")["native_topology_json"].to_string();
    let spelt = native
        .replace("rewarded_set", "rewardedSet")
        .replace("node_details", "nodeDetails")
        .replace("node_id", "nodeId")
        .replace("mix_host", "mixHost")
        .replace("identity_key", "identityKey");
    [native, spelt, Network::get().document().to_owned()].map(|json| [&[0][..], json.as_bytes()].concat()).to_vec()
}

fn schedules() -> Vec<Vec<u8>> {
    let json = &Network::get().answers()[3];
    vec![
        [&[0, 0, 4, 106, 0, 0, 0, 0, 106, 9, 86, 0][..], json.as_bytes()].concat(),
        [&[255; 12][..], json.replace("3600", "1").as_bytes()].concat(),
        [&[0; 12][..], json.replace(":24", ":1").as_bytes()].concat(),
    ]
}

fn fragments() -> Vec<Vec<u8>> {
    let file = vectors("packets/fragments.json");
    let mut seeds: Vec<Vec<u8>> = list(&file, "parse").map(|case| bytes(case, "bytes")).collect();
    let file = vectors("packets/hostile.json");
    seeds.extend(list(&file, "ack_contents").map(|case| bytes(case, "content")));
    seeds.extend(list(&file, "message_padding").map(|case| bytes(case, "padded")));
    let file = vectors("packets/ack.json");
    seeds.push(bytes(&file["surb_ack"], "blob"));
    // A message of several sets: its length and the room of a fragment in front.
    seeds.push([&[15, 160, 20][..], &noise(30, 1)].concat());
    seeds
}

fn packets() -> Vec<Vec<u8>> {
    let file = vectors("packets/framing.json");
    let mut seeds: Vec<Vec<u8>> = list(&file, "frame_decode").map(|case| bytes(case, "bytes")).collect();
    seeds.extend(list(&file, "frames").take(2).map(|case| bytes(case, "frame")));
    seeds.extend(list(&file, "mix_packets").take(2).flat_map(|case| ["v1", "v2"].map(|form| bytes(case, form))));
    let file = vectors("packets/addressing.json");
    seeds.extend(list(&file, "node_addresses").flat_map(|case| ["unpadded", "padded32"].map(|form| bytes(case, form))));
    let file = vectors("packets/hostile.json");
    seeds.extend(list(&file, "sphinx_padding").map(|case| bytes(case, "payload")));
    seeds.retain(|seed| !seed.is_empty());
    seeds
}

fn surbs() -> Vec<Vec<u8>> {
    let surb = Network::surb::<Sphinx>(&Peer::<Sphinx>::new().address, 1, 0).surb.to_bytes();
    let with_size = |size: u8, len: u16, surb: &[u8]| [&[size][..], &len.to_be_bytes(), surb].concat();
    let mut legacy = surb[..380].to_vec();
    legacy.resize(380 + 192, 7);
    vec![
        with_size(1, 2_048, &surb),
        with_size(0, 22, &surb),
        with_size(0, 21, &surb[..surb.len() - 48]),
        with_size(1, 5, &legacy),
    ]
}

fn records() -> Vec<Vec<u8>> {
    let identity = Identity::generate(&mut ChaCha20Rng::seed_from_u64(1));
    let registration = Registration {
        gateway: IdentityKeypair::from_bytes(&[7; 32]).gateway_id(),
        url: "wss://gateway.example.org:9001".to_owned(),
        shared: SharedKey::from_bytes(&[9; 32]),
        last_login: 1_779_000_000,
    };
    let pages = vectors("pages.json");
    let mut seeds = vec![identity.to_bytes().to_vec(), registration.to_bytes().to_vec()];
    seeds.extend(["given", "held", "finished", "seen", "unfinished"].map(|shelf| bytes(&pages[shelf], "page")));
    let from = Some(Recipient::Tag(SenderTag([5; 16])));
    let entry = InboxEntry { id: Id([7; 16]), enveloped: true, at: 1_780_000_000, from, body: b"hello".to_vec() };
    seeds.push(entry.to_bytes().to_vec());
    seeds.push(outbox(Recipient::Tag(SenderTag([5; 16])), false, b"hello".to_vec()));
    seeds.push(outbox(Recipient::Address(Peer::<Sphinx>::new().address), true, plan(&[7], &Content::plain(b"hello"))));
    seeds.push(acked(&[3]));
    seeds
}

/// A message of the outbox, as it is stored.
fn outbox(to: Recipient, is_cut: bool, content: Vec<u8>) -> Vec<u8> {
    let entry = OutboxEntry {
        id: Id([8; 16]),
        envelope: Id([9; 16]),
        created: 1_779_000_000,
        expires: 0,
        replies: Replies::Exactly(2),
        priority: Priority::Normal,
        receipt: Receipt::Auto,
        to,
        len: 5,
        is_cut,
        content,
    };
    entry.to_bytes().to_vec()
}

/// What a message was cut into, as the engine writes it.
fn plan(sets: &[u32], message: &[u8]) -> Vec<u8> {
    let sets: Vec<_> = sets.iter().flat_map(|set| set.to_be_bytes()).collect();
    [&[1, 0, (sets.len() / 4) as u8][..], &sets, message].concat()
}

/// What was acknowledged of one, as it is stored.
fn acked(bits: &[u8]) -> Vec<u8> {
    [&[1][..], &1_779_000_000_u64.to_be_bytes(), bits].concat()
}

/// Messages that an earlier client has begun: from the page and from the store, some of them acknowledged, some in part.
fn plans() -> Vec<Vec<u8>> {
    let piece = |bytes: &[u8]| [&[bytes.len() as u8][..], bytes].concat();
    let with = |how: u8, fates: u8, acked: &[u8], rest: &[u8]| [&[how, fates][..], &piece(acked), rest].concat();
    let peer = || Recipient::Address(Peer::<Sphinx>::new().address);
    let tag = || Recipient::Tag(SenderTag([5; 16]));
    let three = Content::plain(&noise(4_000, 4));
    let envelope = Envelope { kind: Kind::Message, flags: 1, id: Id([3; 16]), service: "", body: b"hello" };
    let receipted = Content::plain(&envelope.to_bytes());
    let reply = Content::Reply(Reply::Data(b"hello".to_vec())).to_bytes().expect("short");
    vec![
        with(FROM_PAGE, 0, &[], &plan(&[7], &Content::plain(b"hello"))),
        with(FROM_PAGE | UNPACED, 5, &[2], &plan(&[9], &three)),
        with(FROM_PAGE | TO_TAG, 1, &[], &plan(&[7], &reply)),
        with(FROM_PAGE | LONG_BODY | 0x60, 3, &[255, 255], &plan(&[7, 3], &three)),
        with(FROM_PAGE, 0, &[1], &plan(&[7], &receipted)),
        with(0, 2, &[], &outbox(peer(), false, b"hello".to_vec())),
        with(0, 9, &[], &outbox(tag(), false, b"hello".to_vec())),
        with(UNPACED, 0, &acked(&[5]), &outbox(peer(), true, plan(&[7], &three))),
        with(0, 6, &acked(&[]), &outbox(tag(), true, plan(&[7], &reply))),
        with(0, 0, &acked(&[255]), &outbox(peer(), true, plan(&[7], &receipted))),
    ]
}

// ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────

fn peels() -> Vec<Vec<u8>> {
    let forward =
        [&[1, 0, 1, 3, 4, 6, 0xfd, 10, 0, 0, 2][..], &[0; 25], &[0, 0, 0, 0, 0, 15, 66, 64], &[8; 16]].concat();
    let end = [&[2, 0, 1, 3][..], &[7; 32], &[0; 16]].concat();
    // Kind, secret, size, whether there is padding, then what the node reads.
    let authentic = |said: &[u8], padded: u8| [&[1][..], &[6; 32], &[0, padded], said].concat();
    let mut delivered = authentic(&end, 1);
    delivered.resize(1 + 34 + 300, 0);
    delivered.extend(b"an ack");
    vec![
        [&[0, 0][..], &noise(386, 1)].concat(),
        authentic(&forward, 0),
        authentic(&end, 0),
        delivered,
        [&[3, 4, 2, 1, 1, 100][..], &noise(70, 1)].concat(),
        [&[3, 2, 2, 1, 1, 120][..], &noise(70, 2)].concat(),
        [&[3, 2, 0, 0x80, 0, 31][..], &noise(70, 3)].concat(),
    ]
}

fn reassemblies() -> Vec<Vec<u8>> {
    // One fragment: who it is from, how many, set, total, position, link, payload.
    let one = |set: u8, total: u8, position: u8, link: u8, payload: &[u8]| {
        [&[3, 0, set, total, position, link, payload.len() as u8], payload].concat()
    };
    let whole = |set: u8, link: u8| vec![3, 7, set, 255, 1, link, 1, 1];
    let head = [0; 4];
    vec![
        [&head[..], &one(1, 2, 1, 0, b"a"), &one(1, 2, 2, 0, b"b\x01")].concat(),
        // The total changes inside of a set.
        [&head[..], &one(1, 2, 1, 0, b"a"), &one(1, 255, 200, 0, b"b")].concat(),
        // Two sets that name each other as the one before.
        [&head[..], &one(1, 1, 1, 34, b"a"), &one(2, 1, 1, 33, b"b")].concat(),
        // A full set, and one that claims to follow it.
        [&head[..], &whole(0, 65), &one(1, 1, 1, 160, b"b\x01")].concat(),
        [&head[..], &one(1, 3, 1, 0, b"a"), &[0, 13, 7, 0], &one(1, 3, 2, 0, b"b"), &[1, 5, 0, 0]].concat(),
    ]
}

fn handshakes() -> Vec<Vec<u8>> {
    let pass = [7; 12];
    let head = [0, 0, 0];
    vec![
        [&head[..], &pass].concat(),
        [&[2, 0, 1][..], &pass].concat(),
        [&head[..], &[3, 0, 60, 7], &pass].concat(),
        [&head[..], &[7, 4, 7, 7, 7]].concat(),
        [&head[..], &[7, 1, 6, 1, 1, 2, 6, 1], &pass].concat(),
    ]
}

fn sessions() -> Vec<Vec<u8>> {
    let login = [3, 5, 0, 0];
    let register = [4, 0, 5];
    let packet = |size: u8| [6, 3, 0, 2, 4, 1, size, 1];
    vec![
        [&[1][..], &login, &[7, 1], &packet(1), &packet(3)].concat(),
        [&[0][..], &register, &[7, 1], &packet(1), &[7, 0, 1, 1]].concat(),
        [&[1][..], &[8, 3, 0, 0, 0, 0], &login, &packet(3), &[9, 0, 0, 0, 0, 0, 0, 0, 9]].concat(),
        [&[0][..], &[4, 0, 2, 5]].concat(),
    ]
}

/// What users do, on a link that comes up.
fn users() -> Vec<Vec<u8>> {
    // Options, pace, how far the client has come.
    let up = [0x80, 0, 16];
    let send = |to: u8, how: u8, len: u16| [&[SEND, to, how, 0][..], &len.to_be_bytes()].concat();
    let live = |fate: u8| vec![LIVE, 23, fate];
    let text = |text: &str| {
        let len = (text.len() as u16).to_be_bytes();
        [&[5, 2, LONG][..], &len, text.as_bytes()].concat()
    };
    vec![
        [&up[..], &send(1, 2, 100), &live(0), &live(0)].concat(),
        [&up[..], &send(1, 0, 5_000), &live(0), &live(4), &live(0)].concat(),
        [&[0x81, 1, 16][..], &send(1, 0x82, 3_000), &live(3), &[RUN, 7], &live(0)].concat(),
        [&[0, 0, 16][..], &live(0), &send(0, 2, 9), &live(0), &[7, 2], &live(0)].concat(),
        [&[1, 0, 4][..], &[8, 1, 1, 2, 0, 9, 9], &live(0), &[9, 12]].concat(),
        [&[0x80, 224, 16][..], &send(2, 0, 2_000), &send(3, 0x92, 30_000), &live(0), &[10, 0], &live(0)].concat(),
        [
            &[0x80, 0, 3][..],
            &text(r#"{"type":"supportedProtocol","version":6}"#),
            &text(r#"{"type":"error","message":"client is not registered"}"#),
            &live(0),
        ]
        .concat(),
        [&up[..], &send(1, 2, 10), &[11, 1, 4, 0, 0], &live(0), &[0, 11, 0, 0]].concat(),
    ]
}

/// Who else may say something to a client that is up.
fn strangers() -> Vec<Vec<u8>> {
    let up = [0x80, 0, 16];
    let live = |fate: u8| vec![LIVE, 23, fate];
    // Kind, tag, SURBs, length of the body; then what is spoilt, the size, the sets, the order and what is missing.
    let message = |kind: u8, tag: u8, surbs: u8| vec![MESSAGE, kind, tag, surbs, 0, 60, 0, 0, 0, 0, 1, 0, 0, 255];
    let answer = [SEND, 6 + 8, 0, 0, 0, 60];
    let long = [SEND, 6 + 8, 0x80, 0, 4, 0];
    let send = [SEND, 1, 0, 0, 0, 60];
    let request = [REPLY, 3, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 255];
    vec![
        [&up[..], &message(0, 0, 0), &message(1, 1, 5), &answer, &live(0)].concat(),
        [&up[..], &message(1, 1, 11), &long, &live(0), &live(0), &message(4, 1, 11), &live(0)].concat(),
        [&up[..], &send, &live(0), &live(0), &request, &request, &live(0)].concat(),
        [&up[..], &send, &live(0), &live(0), &[REPLY, 0, 0, 60, 0, 0, 0, 0, 2, 0, 0, 255], &[20, 0, 0, 0, 0], &live(0)]
            .concat(),
        // Fragments by hand: a set whose total changes, and sets that name each other.
        [
            &up[..],
            &[17, 1, 1, 2, 1, 0, 1, 7],
            &[17, 1, 1, 255, 200, 0, 1, 7],
            &[17, 1, 1, 1, 1, 22, 0],
            &[17, 1, 2, 1, 1, 14, 0],
        ]
        .concat(),
        // Acks of nothing, pushes of nothing, cover.
        [
            &up[..],
            &send,
            &[RUN, 3],
            &[23, 0, 0, 0, 9, 0, 0],
            &[23, 0, 0, 0, 9, 1, 1],
            &[16, 1, 3, 1, 2, 3, 0],
            &[24],
            &live(0),
        ]
        .concat(),
        // The gateway forgets the client, wants to be paid, is another version.
        [
            &up[..],
            &send,
            &[22, 0],
            &[7, 2],
            &live(0),
            &[22, 1],
            &[22, 7, 0, 0, 0, 1],
            &live(0),
            &[22, 4, 5],
            &[7, 2],
            &live(0),
        ]
        .concat(),
        [&up[..], &send, &[CARRY, 4, 3, 4, 5, 3], &[0, 7, 0, 0], &live(4), &[0, 10, 0, 0], &live(0)].concat(),
    ]
}

// ── small things ─────────────────────────────────────────────────────────────────────────────────────────────────────

fn vectors(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name}")).iter()
}

fn text(value: &Value, name: &str) -> Vec<u8> {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}")).as_bytes().to_vec()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex(value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}")))
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}
