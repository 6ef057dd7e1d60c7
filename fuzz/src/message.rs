//! Addresses, fragments, contents and what is put together from them.

use std::collections::BTreeMap;

use mixlet::limits;
use mixlet::message::{
    ACK_BLOB_LEN, AckKey, Address, Budget, Content, Context, EncryptionKey, Fragment, FragmentHeader, Fragments,
    GatewayId, Inserted, KeyDigest, Layout, Link, MessageError, Pushed, Reassembler, RecipientKey, Refusal, Repliable,
    ReplyKey, SenderTag, SetId, ack_blob, is_cover, open, open_with, seal_to, seal_with, split_ack_blob, unpad,
};
use mixlet::sphinx::keys::x25519;
use mixlet::time::{Duration, Instant};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::laws::input::Input;

/// There is one text and one form in bytes for each address.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(address) = Address::parse(&text) {
        assert_eq!(address.to_string(), text);
        assert!(Address::from_bytes(&address.to_bytes()).as_ref() == Ok(&address));
    }
    if let Ok(gateway) = GatewayId::parse(&text) {
        assert_eq!(gateway.to_string(), text);
        assert!(GatewayId::from_bytes(*gateway.as_bytes()) == Ok(gateway));
    }
    if let Ok(tag) = SenderTag::parse(&text) {
        assert_eq!(tag.to_string(), text);
    }
    let bytes: [u8; 96] = Input(data).array();
    if let Ok(address) = Address::from_bytes(&bytes) {
        assert_eq!(address.to_bytes(), bytes);
        assert!(Address::parse(&address.to_string()) == Ok(address));
    }
}

/// Headers, padding, acks and their blobs; and a message cut as the bytes say.
pub fn fragment(data: &[u8]) {
    if let Ok(fragment) = Fragment::parse(data) {
        let FragmentHeader { id, total, link } = fragment.header;
        assert!(1 <= id.position && id.position <= total);
        assert!(!matches!(link, Some(Link::Previous(_))) || id.position == 1);
        assert!(!matches!(link, Some(Link::Next(_))) || (id.position, total) == (255, 255));
        assert_eq!(fragment.to_bytes(), data);
        assert!(!is_cover(data), "cover is no fragment");
    }
    if let Ok(len) = unpad(data) {
        assert_eq!(data[len], 1);
        assert!(data[len + 1..].iter().all(|byte| *byte == 0));
    }
    let key = AckKey::from_bytes([7; 16]);
    assert!(key.open(data).is_none() || data.len() == 21);
    match split_ack_blob(data) {
        Ok((first_hop, packet, rest)) => {
            let blob = ack_blob(first_hop, &packet);
            assert_eq!((blob.len(), rest), (ACK_BLOB_LEN, &data[ACK_BLOB_LEN..]));
            // Behind a short address there is padding, which is not looked at.
            assert_eq!(blob[..first_hop.encoded_len()], data[..first_hop.encoded_len()]);
            assert_eq!(blob[19..], data[19..ACK_BLOB_LEN]);
        }
        Err(error) => assert!(data.len() < ACK_BLOB_LEN || error == MessageError::Address),
    }
    match Pushed::parse(data) {
        Ok(Pushed::Ack(ack)) => assert_eq!(&ack[..], data),
        Ok(Pushed::Data { head, sealed }) => assert_eq!([&head.0[..], sealed].concat(), data),
        Err(error) => assert_eq!(error, MessageError::Length(data.len())),
    }

    let mut input = Input(data);
    let (len, room) = (usize::from(input.u16()) % 5_000, usize::from(input.byte() % 64));
    let Ok(layout) = Layout::new(len, room) else {
        assert!(len == 0 || room < 11);
        return;
    };
    let padded: Vec<u8> = input.0.iter().copied().cycle().chain(core::iter::repeat(3)).take(len).collect();
    let ids: Vec<_> = (1..=layout.sets() as u32).filter_map(SetId::new).collect();
    let fragments = Fragments::from_padded(padded.clone(), room, ids).expect("as many as there are sets");
    assert_eq!(fragments.count(), layout.fragments());
    let mut joined = Vec::new();
    for index in 0..fragments.count() {
        let bytes = fragments.fragment(index).expect("one of them");
        assert_eq!(bytes.len(), room);
        let fragment = Fragment::parse(&bytes).expect("a fragment");
        assert_eq!(Some(fragment.header.id), fragments.id(index));
        joined.extend_from_slice(fragment.payload);
    }
    assert_eq!(fragments.fragment(fragments.count()), None);
    assert_eq!(joined.len(), len + layout.space_left());
    assert_eq!(joined[..len], padded);
}

/// What is accepted is what we would have written, what other clients are allowed excepted.
pub fn content(data: &[u8]) {
    let Ok(content) = Content::parse(data.to_vec()) else { return };
    let surb_count = match &content {
        Content::Repliable {
            data: Repliable::Data { surbs, .. } | Repliable::AdditionalSurbs(surbs) | Repliable::Heartbeat(surbs),
            ..
        } => surbs.surbs.len(),
        _ => 0,
    };
    // No more is taken up than is there.
    assert!(surb_count * 400 <= data.len());
    match content.to_bytes() {
        Ok(written) => {
            let again = Content::parse(written.clone()).expect("what was written is read");
            assert_eq!(again.to_bytes().as_ref(), Ok(&written));
            // Behind a short address in a SURB is padding that nobody looks at, lists without a body may be followed by
            // anything, and empty ones have fields that say nothing.
            if !matches!(content, Content::Repliable { .. }) {
                assert_eq!(written, data);
            } else if surb_count > 0 && data[17] == 3 {
                assert_eq!(written.len(), data.len());
            }
        }
        // SURBs of older clients are only ever read.
        Err(error) => assert!(error == MessageError::Surbs && data[17] < 3),
    }
}

/// The layer between the two ends, and what it is opened with.
pub fn envelope(data: &[u8]) {
    let mut input = Input(data);
    let own = EncryptionKey::from_bytes([5; 32]);
    let opened = open(&own, data);
    assert_eq!(opened.as_ref().map(Vec::len).ok(), data.len().checked_sub(32));
    let seed = input.byte();
    let rng = || ChaCha20Rng::seed_from_u64(seed.into());
    let recipient: [u8; 32] = input.array();
    let fragment = input.0;

    let sealed = seal_to(&recipient, fragment, &mut rng());
    // A key that gives everybody the same secret, and only such a one, is refused.
    assert_eq!(sealed.is_err(), *x25519(&[9; 32], &recipient) == [0; 32]);
    let kept = RecipientKey::new(recipient);
    for _ in 0..3 {
        assert_eq!(kept.seal(fragment, &mut rng()), sealed);
    }
    let secret = EncryptionKey::from_bytes(recipient);
    let sealed = seal_to(&secret.public(), fragment, &mut rng()).expect("a key of our own");
    assert_eq!(open(&secret, &sealed).as_deref(), Ok(fragment));

    let key = ReplyKey::from_bytes(recipient[..16].try_into().expect("16 bytes"));
    let sealed = seal_with(&key, fragment);
    match Pushed::parse(&sealed) {
        Ok(Pushed::Data { head, sealed }) => {
            assert!(head == key.digest() && head != KeyDigest([0; 32]));
            assert_eq!(open_with(&key, sealed), fragment);
        }
        _ => panic!("32 bytes and more are data"),
    }
}

/// Fragments of few sets in any order, with time passing between them and little room.
pub fn reassembly(data: &[u8]) {
    let mut input = Input(data);
    let budget = Budget {
        total_bytes: input.choose(&[100_000, 6_000, 3_000]),
        unknown_bytes: input.choose(&[50_000, 4_000, 2_000]),
        message_len: input.choose(&[10_000, 300]),
        age: Duration::from_secs(600),
        finished_bytes: input.choose(&[10_000, 400]),
        finished_age: Duration::from_secs(3_600),
    };
    let mut reassembler = Reassembler::new(budget, &mut ChaCha20Rng::seed_from_u64(1));
    let mut now = Instant::ZERO;
    // What was kept, by set and position: what is told to be complete has to be made of it.
    let mut kept = Kept::new();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let context = match input.below(8) {
            0 => {
                now += input.time();
                let unfinished = reassembler.unfinished();
                let due = reassembler.next_deadline().is_some_and(|at| at <= now);
                let dropped = reassembler.expire(now);
                assert_eq!(dropped > 0, due);
                assert_eq!(reassembler.unfinished(), unfinished - dropped);
                assert!(reassembler.next_deadline().is_none_or(|at| at > now), "due for ever");
                continue;
            }
            1 => {
                let slept = input.time();
                now += slept;
                let before = reassembler.next_deadline();
                reassembler.note_sleep(slept);
                assert_eq!(reassembler.next_deadline(), before.map(|at| at + slept));
                continue;
            }
            2 => Context::Tag(SenderTag([input.byte() % 2; 16])),
            _ => Context::Unknown,
        };
        // Whole sets at once, since only full ones can be joined.
        let count = if input.below(8) == 7 { 255 } else { 1 };
        let [set, total, position, link] = input.array();
        let payload = input.piece();
        for at in 1..=count {
            let (total, position) = if count == 255 { (255, at) } else { (total, position) };
            let flag: &[u8] = match (link / 32, position) {
                (1 | 3, 1) | (2 | 4, 255) => &[0x80, 0, 0, 1 + link % 4],
                (5, 1) => &[0x80, 0, 0, set % 4],
                (5, 255) => &[0x80, 0, 0, 2 + set % 4],
                (6, _) if count == 1 => &[link, 0],
                _ => &[0],
            };
            let bytes = [&[0x80, 0, 0, 1 + set % 4, total, position][..], flag, payload].concat();
            insert(&mut reassembler, &mut kept, context, &bytes, now);
            assert!(reassembler.bytes() <= budget.total_bytes);
            assert!(reassembler.finished_bytes() <= 2 * budget.finished_bytes);
        }
    }
    let unfinished = reassembler.unfinished();
    assert_eq!(reassembler.expire(now + Duration::from_secs(1 << 33)), unfinished);
    assert_eq!((reassembler.bytes(), reassembler.unfinished(), reassembler.next_deadline()), (0, 0, None));
    assert_eq!(reassembler.finished_bytes(), 0);
}

fn insert(reassembler: &mut Reassembler, kept: &mut Kept, context: Context, bytes: &[u8], now: Instant) {
    let parsed = Fragment::parse(bytes);
    let before = reassembler.bytes();
    let found = reassembler.insert(context, bytes, now);
    if let (Ok(fragment), Inserted::Waiting | Inserted::Complete { .. }) = (&parsed, &found) {
        let (total, parts) = kept.entry((context, fragment.header.id.set)).or_default();
        *total = fragment.header.total;
        parts.insert(fragment.header.id.position, fragment.payload.to_vec());
    }
    match (parsed, found) {
        (Err(error), found) => assert_eq!(found, Inserted::Refused(Refusal::Fragment(error))),
        (Ok(_), Inserted::Waiting) => {}
        (Ok(fragment), Inserted::Complete { message, set_ids }) => {
            assert!(set_ids.contains(&fragment.header.id.set));
            // A set that was dropped on the way may have left fragments in these books, but only behind its present
            // end: all of its positions came again.
            let part = |set: &SetId| {
                let (total, parts) = kept.remove(&(context, *set)).expect("a set of which something was kept");
                parts.into_values().take(total.into()).flatten()
            };
            let joined: Vec<u8> = set_ids.iter().flat_map(part).collect();
            let len = unpad(&joined).expect("what is complete has its padding");
            assert_eq!(message, joined[..len]);
            assert!(joined.len() <= limits::REASSEMBLED_LEN_MAX);
        }
        (Ok(_), Inserted::Repeat) => assert_eq!(reassembler.bytes(), before),
        (Ok(_), Inserted::Refused(refusal)) => {
            assert!(!matches!(refusal, Refusal::Fragment(_)));
            assert!(reassembler.bytes() <= before, "what was refused takes room");
        }
    }
}

/// The total of each set and what was kept of it, by position.
type Kept = BTreeMap<(Context, SetId), (u8, BTreeMap<u8, Vec<u8>>)>;

const STEPS_MAX: usize = 64;
