//! Messages, fragments and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};

use mixlet::limits::REASSEMBLY_AGE_MAX;
use mixlet::message::{
    ACK_BLOB_LEN, AckContent, AckKey, Address, Budget, Content, Context, EncryptionKey, Fragment, FragmentHeader,
    FragmentId, Fragments, GatewayId, Inserted, Link, Pushed, Reassembler, RecipientKey, Refusal, Repliable, Reply,
    ReplyKey, ReplySurb, SenderTag, SetId, SurbList, ack_blob, fragment_count, fragment_room, is_cover, open,
    open_with, seal_to, seal_with, split_ack_blob, unpad,
};
use mixlet::sphinx::{
    Delay, Destination, Hop, NodeAddress, NodePrivateKey, NodePublicKey, Packet, PacketSize, RotationTag, Surb,
};
use mixlet::time::{Duration, Instant};
use proptest::sample::{Index, select};
use proptest::{collection::vec, prelude::*};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..3000), key: [u8; 32], text: String) {
        let _ = Content::parse(bytes.clone());
        let _ = Fragment::parse(&bytes);
        let _ = Pushed::parse(&bytes);
        let _ = split_ack_blob(&bytes);
        let _ = unpad(&bytes);
        let _ = is_cover(&bytes);
        let _ = open_with(&ReplyKey::from_bytes([1; 16]), &bytes);
        let _ = AckKey::from_bytes([1; 16]).open(&bytes);
        let _ = Address::parse(&text);
        let _ = GatewayId::parse(&text);
        let _ = SenderTag::parse(&text);
        let opened = open(&EncryptionKey::from_bytes(key), &bytes);
        prop_assert_eq!(opened.map(|opened| opened.len()).ok(), bytes.len().checked_sub(32));
    }

    #[test]
    fn no_kind_of_message_panics(
        head in (0_u8..4, any::<[u8; 16]>(), 0_u8..8, 0_u16..4, 0_u8..8, 0_u8..4),
        rest in vec(any::<u8>(), 0..2500),
    ) {
        let (kind, tag, content, count, hops, rotation) = head;
        let repliable = [&[kind][..], &tag, &[content], &count.to_be_bytes(), &[hops, rotation], &rest].concat();
        let reply = [&[kind, content][..], &rest].concat();
        for message in [repliable, reply] {
            if let Ok(parsed) = Content::parse(message.clone()) {
                // What is accepted is what we would have written; lists of older clients, what other clients tolerate
                // behind a list, and the unused fields of an empty list excepted.
                let lenient = matches!(parsed, Content::Repliable { .. }) && (content != 3 || count == 0);
                prop_assert!(lenient || parsed.to_bytes().unwrap() == message);
            }
        }
    }

    #[test]
    fn addresses_and_tags_round_trip(identity: [u8; 32], encryption: [u8; 32], gateway: [u8; 32], tag: [u8; 16]) {
        let gateway = GatewayId(public(gateway));
        let address = Address::new(public(identity), encryption, gateway).unwrap();
        prop_assert!(Address::parse(&address.to_string()).unwrap() == address);
        prop_assert!(Address::from_bytes(&address.to_bytes()).unwrap() == address);
        prop_assert!(GatewayId::parse(&gateway.to_string()).unwrap() == gateway);
        prop_assert!(SenderTag::parse(&SenderTag(tag).to_string()).unwrap() == SenderTag(tag));
        prop_assert_eq!(format!("{address:?}{gateway:?}{:?}", SenderTag(tag)), "Address(..)GatewayId(..)SenderTag(..)");
        // Another text is another address or none.
        let spoilt = format!("1{address}");
        prop_assert!(Address::parse(&spoilt).is_err());
    }

    #[test]
    fn bytes_are_an_address_only_if_they_come_out_again(identity: [u8; 32], encryption: [u8; 32], gateway: [u8; 32]) {
        let bytes: [u8; 96] = [identity, encryption, gateway].concat().try_into().unwrap();
        if let Ok(address) = Address::from_bytes(&bytes) {
            prop_assert_eq!(address.to_bytes(), bytes);
            prop_assert_eq!(Address::parse(&address.to_string()).unwrap().to_bytes(), bytes);
        }
    }

    #[test]
    fn acks_round_trip(key: [u8; 16], seed: u64, set in set_id(), position: u8, other: [u8; 21]) {
        let key = AckKey::from_bytes(key);
        for content in [AckContent::Cover, AckContent::Fragment(FragmentId { set, position })] {
            let sealed = key.seal(content, &mut rng(seed));
            prop_assert_eq!(key.open(&sealed), Some(content));
        }
        // What opens is what its owner would have sealed.
        if let Some(content) = key.open(&other) {
            let mut script = Prefix(&other[..16]);
            prop_assert_eq!(key.seal(content, &mut script), other);
        }
    }

    #[test]
    fn blobs_round_trip(ip: u32, port: u16, fill: u8, rest in vec(any::<u8>(), 0..100)) {
        let address = NodeAddress::V4(ip.into(), port);
        let packet = Packet::from_bytes(vec![fill; PacketSize::Ack.packet_len()]).unwrap();
        let blob = [ack_blob(address, &packet), rest.clone()].concat();
        prop_assert_eq!(blob.len(), ACK_BLOB_LEN + rest.len());
        let (found_address, found_packet, found_rest) = split_ack_blob(&blob).unwrap();
        prop_assert!(found_address == address && found_packet == packet && found_rest == rest);
        prop_assert!(split_ack_blob(&blob[..ACK_BLOB_LEN - 1]).is_err());
    }

    #[test]
    fn sealed_fragments_open(secret: [u8; 32], key: [u8; 16], seed: u64, fragment in vec(any::<u8>(), 0..2000)) {
        let own = EncryptionKey::from_bytes(secret);
        let sealed = seal_to(&own.public(), &fragment, &mut rng(seed)).unwrap();
        prop_assert_eq!(sealed.len(), fragment.len() + 32);
        prop_assert_eq!(open(&own, &sealed).unwrap(), fragment.clone());

        let key = ReplyKey::from_bytes(key);
        let sealed = seal_with(&key, &fragment);
        prop_assert_eq!(&sealed[..32], &key.digest().0);
        prop_assert_eq!(open_with(&key, &sealed[32..]), fragment);
    }

    /// Also for keys on the twist and with a part of low order.
    #[test]
    fn kept_keys_seal_as_others_do(key: [u8; 32], seed: u64, fragment in vec(any::<u8>(), 0..50)) {
        let kept = RecipientKey::new(key);
        prop_assert_eq!(kept.as_bytes(), &key);
        for use_count in 0..3 {
            let seed = seed ^ use_count;
            prop_assert_eq!(kept.seal(&fragment, &mut rng(seed)), seal_to(&key, &fragment, &mut rng(seed)));
        }
    }

    #[test]
    fn fragment_headers_are_a_bijection(bytes in fragment_like()) {
        if let Ok(fragment) = Fragment::parse(&bytes) {
            let FragmentHeader { id, total, link } = fragment.header;
            prop_assert!(1 <= id.position && id.position <= total);
            prop_assert!(link.is_none() || id.position == 1 || (id.position, total) == (255, 255));
            prop_assert_eq!(fragment.to_bytes(), bytes);
        }
    }

    #[test]
    fn padding_is_a_bijection(message in vec(0_u8..3, 0..40), zeros in 0_usize..40, tail in vec(0_u8..3, 0..40)) {
        let padded = [&message[..], &[1], &vec![0; zeros]].concat();
        prop_assert_eq!(unpad(&padded), Ok(message.len()));
        if let Ok(len) = unpad(&tail) {
            prop_assert_eq!([&tail[..len], &[1], &vec![0; tail.len() - len - 1]].concat(), tail);
        }
    }

    #[test]
    fn messages_are_cut_as_the_format_says(
        message in prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..15_000)],
        room in 11_usize..40,
        seed: u64,
    ) {
        let padded = [&message[..], &[1]].concat();
        let expected = naive_split(&padded, room, seed);
        let ids = expected.iter().map(|(id, ..)| *id).collect::<Vec<_>>();
        let mut set_ids = ids;
        set_ids.dedup();
        let fragments = Fragments::from_padded(padded, room, set_ids.clone()).unwrap();
        prop_assert_eq!(fragments.set_ids(), &set_ids[..]);
        prop_assert_eq!(fragments.count(), expected.len());
        for (index, (set, position, bytes)) in expected.into_iter().enumerate() {
            prop_assert_eq!(fragments.id(index), Some(FragmentId { set, position }));
            let mut found = fragments.fragment(index).unwrap();
            prop_assert_eq!(found.len(), room);
            if index + 1 == fragments.count() && bytes != found {
                // The marker is already in the padded bytes; a second one follows where there is space.
                found[bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1] = 0;
            }
            prop_assert_eq!(found, bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_arrive_in_any_order_with_any_repeats_or_expire(
        body in prop_oneof![vec(any::<u8>(), 0..5000), vec(any::<u8>(), 9_000..17_000)],
        room in select(&[11, 20, 24, 64][..]),
        seed: u64,
        order in vec(any::<Index>(), 64),
        repeats in vec(any::<Index>(), 0..20),
        lost in proptest::option::of(any::<Index>()),
    ) {
        // Behind the marker there may be space, which takes another one: the message is then one byte longer.
        let padded = [&body[..], &[1]].concat();
        let sets = naive_split(&padded, room, seed);
        let mut ids: Vec<SetId> = sets.iter().map(|(id, ..)| *id).collect();
        ids.dedup();
        let fragments = Fragments::from_padded(padded.clone(), room, ids.clone()).unwrap();
        let mut arrivals: Vec<usize> = (0..fragments.count()).collect();
        for (at, index) in order.iter().enumerate() {
            let len = arrivals.len();
            arrivals.swap(at % len, index.index(len));
        }
        let lost = lost.map(|lost| arrivals.remove(lost.index(fragments.count())));
        for index in &repeats {
            if !arrivals.is_empty() {
                let repeated = arrivals[index.index(arrivals.len())];
                arrivals.push(repeated);
            }
        }

        let mut reassembler = Reassembler::new(Budget::default(), &mut rng(seed));
        let mut seen = vec![false; fragments.count()];
        let mut complete = None;
        let mut now = Instant::ZERO;
        for index in arrivals {
            now += Duration::from_millis(1);
            let found = reassembler.insert(Context::Unknown, &fragments.fragment(index).unwrap(), now);
            match found {
                Inserted::Repeat => prop_assert!(seen[index]),
                Inserted::Waiting => prop_assert!(!seen[index] && seen.iter().filter(|seen| !**seen).count() > 1),
                Inserted::Complete { message, set_ids } => {
                    prop_assert!(complete.is_none() && lost.is_none());
                    prop_assert_eq!(&set_ids, &ids);
                    complete = Some(message);
                }
                Inserted::Refused(refusal) => prop_assert!(false, "{:?}", refusal),
            }
            seen[index] = true;
        }
        match complete {
            Some(message) => prop_assert!(message == body || message == padded),
            None => {
                prop_assert!(lost.is_some());
                let unfinished = reassembler.unfinished();
                prop_assert_eq!(reassembler.next_deadline().is_some(), unfinished > 0);
                prop_assert_eq!(reassembler.expire(now + REASSEMBLY_AGE_MAX), unfinished);
            }
        }
        prop_assert_eq!((reassembler.bytes(), reassembler.unfinished()), (0, 0));
        prop_assert_eq!(reassembler.next_deadline(), None);
    }

    #[test]
    fn written_messages_go_through_packets_of_any_size(
        body in vec(any::<u8>(), 0..40_000),
        size in select(&[PacketSize::Regular, PacketSize::Extended8, PacketSize::Extended16, PacketSize::Extended32][..]),
        seed: u64,
    ) {
        let message = Content::plain(&body);
        let fragments = Fragments::new(message.clone(), size, &mut rng(seed)).unwrap();
        prop_assert_eq!(fragments.count(), fragment_count(message.len(), size).unwrap());
        let mut reassembler = Reassembler::new(Budget::default(), &mut rng(seed));
        for index in (0..fragments.count()).rev() {
            let fragment = fragments.fragment(index).unwrap();
            prop_assert_eq!(fragment.len(), fragment_room(size));
            prop_assert_eq!(&fragment, &fragments.fragment(index).unwrap());
            prop_assert!(!is_cover(&fragment));
            match reassembler.insert(Context::Unknown, &fragment, Instant::ZERO) {
                Inserted::Complete { message: found, .. } => {
                    prop_assert_eq!((index, &found), (0, &message));
                    let Ok(Content::Plain(found)) = Content::parse(found) else { panic!("no plain message") };
                    prop_assert_eq!(&found, &body);
                }
                found => prop_assert!(found == Inserted::Waiting && index > 0),
            }
        }
        prop_assert!(Fragments::new(message, PacketSize::Ack, &mut rng(seed)).is_err());
    }

    #[test]
    fn contents_round_trip(
        tag: [u8; 16],
        surb_count in 0_usize..4,
        hops in 1_usize..=5,
        rotation in select(&[RotationTag::Unknown, RotationTag::Odd, RotationTag::Even][..]),
        body in vec(any::<u8>(), 0..300),
        amount: u32,
        seed: u64,
    ) {
        let tag = SenderTag(tag);
        let list = || SurbList { rotation, surbs: surbs(surb_count, hops, seed) };
        let address = Address::new(public([1; 32]), [2; 32], GatewayId(public([3; 32]))).unwrap();
        let contents = [
            Content::Plain(body.clone()),
            Content::Repliable { tag, data: Repliable::Data { surbs: list(), body: body.clone() } },
            Content::Repliable { tag, data: Repliable::AdditionalSurbs(list()) },
            Content::Repliable { tag, data: Repliable::Heartbeat(list()) },
            Content::Reply(Reply::Data(body)),
            Content::Reply(Reply::SurbRequest { address, amount }),
        ];
        for content in contents {
            let Ok(bytes) = content.to_bytes() else {
                prop_assert!(matches!(content, Content::Reply(Reply::Data(body)) if body.is_empty()));
                continue;
            };
            let parsed = Content::parse(bytes.clone()).unwrap();
            prop_assert_eq!(core::mem::discriminant(&parsed), core::mem::discriminant(&content));
            prop_assert_eq!(parsed.to_bytes().unwrap(), bytes.clone());
            let expected = if surb_count == 0 { RotationTag::Unknown } else { rotation };
            if let Content::Repliable { data: Repliable::Data { surbs, .. }, .. } = parsed {
                prop_assert_eq!((surbs.rotation, surbs.surbs.len()), (expected, surb_count));
            }
            for cut in 1..bytes.len().min(30) {
                // No prefix of a list or a request is another one; the bodies of the others may be of any length.
                let cut = Content::parse(bytes[..bytes.len() - cut].to_vec());
                if let (Ok(cut), true) = (cut, surb_count > 0 && !matches!(content, Content::Plain(_))) {
                    let has_body = matches!(
                        cut,
                        Content::Repliable { data: Repliable::Data { .. }, .. } | Content::Reply(Reply::Data(_))
                    );
                    prop_assert!(has_body);
                }
            }
        }
    }

    #[test]
    fn lists_of_unlike_surbs_are_not_written(hops in 1_usize..5, seed: u64) {
        let mut unlike = surbs(1, hops, seed);
        unlike.extend(surbs(1, hops + 1, seed));
        let list = SurbList { rotation: RotationTag::Odd, surbs: unlike };
        prop_assert!(Content::repliable(&SenderTag([0; 16]), &list, b"").is_err());
    }

    /// Whatever comes, the reassembler answers as a simple one does that searches all sets each time.
    #[test]
    fn the_reassembler_agrees_with_a_simple_one(steps in vec(step(), 1..30), seed: u64) {
        let mut reassembler = Reassembler::new(Budget::default(), &mut rng(seed));
        let mut model = Model::default();
        for (context, step) in steps {
            for fragment in step.fragments() {
                let found = reassembler.insert(context, &fragment, Instant::ZERO);
                prop_assert_eq!(found, model.insert(context, &fragment));
            }
        }
        let empty = model.sets.is_empty();
        prop_assert_eq!((reassembler.bytes() == 0, reassembler.unfinished() == 0), (empty, empty));
        reassembler.expire(Instant::ZERO + REASSEMBLY_AGE_MAX);
        prop_assert_eq!((reassembler.bytes(), reassembler.unfinished(), reassembler.next_deadline()), (0, 0, None));
    }

    #[test]
    fn no_fragments_exceed_the_budget(
        arrivals in vec((fragment_like(), any::<bool>(), 0_u64..200), 0..200),
        seed: u64,
    ) {
        let budget = Budget {
            total_bytes: 6_000,
            unknown_bytes: 4_000,
            message_len: 2_000,
            finished_bytes: 1_000,
            age: Duration::from_secs(5),
            finished_age: Duration::from_secs(9),
        };
        let mut reassembler = Reassembler::new(budget, &mut rng(seed));
        let mut now = Instant::ZERO;
        for (fragment, unknown, wait) in arrivals {
            now += Duration::from_millis(wait);
            let context = if unknown { Context::Unknown } else { Context::Tag(SenderTag([1; 16])) };
            reassembler.expire(now);
            if let Inserted::Complete { message, .. } = reassembler.insert(context, &fragment, now) {
                prop_assert!(message.len() < 2_000);
            }
            prop_assert!(reassembler.bytes() <= 6_000 && reassembler.finished_bytes() <= 2_000);
            prop_assert_eq!(reassembler.next_deadline().is_some(), reassembler.bytes() > 0);
            prop_assert!(reassembler.next_deadline().is_none_or(|deadline| deadline > now));
        }
        reassembler.expire(now + Duration::from_secs(9));
        prop_assert_eq!((reassembler.bytes(), reassembler.finished_bytes()), (0, 0));
    }
}

/// Fragments as the format describes them, cut one after the other: identifier of the set, position, bytes.
fn naive_split(padded: &[u8], room: usize, seed: u64) -> Vec<(SetId, u8, Vec<u8>)> {
    let (unlinked, linked) = (room - 7, room - 10);
    let mut sets: Vec<Vec<&[u8]>> = Vec::new();
    let mut rest = padded;
    while !rest.is_empty() {
        let mut set = Vec::new();
        let is_first = sets.is_empty();
        // Whether all that is left fits this set, given that it is not followed by another one.
        let last_len = if is_first { 255 * unlinked } else { 255 * unlinked - 3 };
        let is_last = rest.len() <= last_len;
        while set.len() < 255 && !rest.is_empty() {
            let has_link = (!is_first && set.is_empty()) || (!is_last && set.len() == 254);
            let (head, tail) = rest.split_at(rest.len().min(if has_link { linked } else { unlinked }));
            set.push(head);
            rest = tail;
        }
        sets.push(set);
    }
    let ids: Vec<u32> = (0..sets.len() as u32).map(|at| 1 + (seed as u32 >> 8) + at * 77).collect();
    let mut fragments = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        for (position, payload) in set.iter().enumerate() {
            let mut bytes = (ids[at] | 1 << 31).to_be_bytes().to_vec();
            bytes.extend([set.len() as u8, position as u8 + 1]);
            let link = match position {
                0 if at > 0 => Some(ids[at - 1]),
                254 => ids.get(at + 1).copied(),
                _ => None,
            };
            match link {
                Some(link) => bytes.extend((link | 1 << 31).to_be_bytes()),
                None => bytes.push(0),
            }
            bytes.extend(*payload);
            bytes.resize(room, 0);
            fragments.push((SetId::new(ids[at]).unwrap(), position as u8 + 1, bytes));
        }
    }
    fragments
}

/// What may come to a reassembler.
#[derive(Clone, Debug)]
enum Step {
    /// One fragment.
    One { header: FragmentHeader, payload: Vec<u8> },
    /// The fragments of a full set, those at the ends named by links.
    Whole { set: SetId, previous: Option<SetId>, next: Option<SetId> },
    /// Full sets that name each other.
    Line { sets: Vec<SetId>, closed: bool, backwards: bool },
}

impl Step {
    fn fragments(&self) -> Vec<Vec<u8>> {
        match self {
            Self::One { header, payload } => vec![Fragment { header: *header, payload }.to_bytes()],
            Self::Whole { set, previous, next } => {
                let at = |position| {
                    let link = match position {
                        1 => previous.map(Link::Previous),
                        255 => next.map(Link::Next),
                        _ => None,
                    };
                    let header = FragmentHeader { id: FragmentId { set: *set, position }, total: 255, link };
                    Fragment { header, payload: b"\x01" }.to_bytes()
                };
                (1..=255).map(at).collect()
            }
            Self::Line { sets, closed, backwards } => {
                let ends = if *closed { (sets.last(), sets.first()) } else { (None, None) };
                let whole = |(at, set): (usize, &SetId)| {
                    let previous = if at == 0 { ends.0 } else { sets.get(at - 1) };
                    let next = sets.get(at + 1).or(ends.1);
                    Self::Whole { set: *set, previous: previous.copied(), next: next.copied() }.fragments()
                };
                let mut fragments: Vec<_> = sets.iter().enumerate().flat_map(whole).collect();
                if *backwards {
                    fragments.reverse();
                }
                fragments
            }
        }
    }
}

/// Mostly such steps as make and break lines of a few sets.
fn step() -> impl Strategy<Value = (Context, Step)> {
    let set = || select(&[1_u32, 1, 2, 2, 3, 4, 5][..]).prop_map(|id| SetId::new(id).unwrap());
    let neighbour = || proptest::option::weighted(0.7, set());
    let place = select(&[(1_u8, 1_u8), (1, 1), (2, 1), (2, 2), (255, 1), (255, 255), (255, 7)][..]);
    let payload = select(vec![&b"\x01"[..], b"", b"a", b"a\x01", b"b\x01\0"]);
    let one = (set(), place, neighbour(), payload).prop_map(|(set, (total, position), neighbour, payload)| {
        let link = match (position, neighbour.filter(|neighbour| *neighbour != set)) {
            (1, Some(neighbour)) => Some(Link::Previous(neighbour)),
            (255, Some(neighbour)) => Some(Link::Next(neighbour)),
            _ => None,
        };
        Step::One {
            header: FragmentHeader { id: FragmentId { set, position }, total, link },
            payload: payload.to_vec(),
        }
    });
    let whole = (set(), neighbour(), neighbour()).prop_map(|(set, previous, next)| {
        let other = |neighbour: Option<SetId>| neighbour.filter(|neighbour| *neighbour != set);
        Step::Whole { set, previous: other(previous), next: other(next) }
    });
    // Lines of several sets, and circles, whose fragments come from the first on or from the last on.
    let ids = Just((1..6).map(|id| SetId::new(id).unwrap()).collect::<Vec<_>>()).prop_shuffle();
    let line = (ids, 2..5_usize, any::<bool>(), any::<bool>()).prop_map(|(mut sets, len, closed, backwards)| {
        sets.truncate(len);
        Step::Line { sets, closed, backwards }
    });
    let context = select(&[Context::Unknown, Context::Unknown, Context::Unknown, Context::Tag(SenderTag([1; 16]))][..]);
    (context, prop_oneof![4 => one, 3 => whole, 1 => line])
}

/// A reassembler that keeps everything and searches all of it.
#[derive(Default)]
struct Model {
    sets: BTreeMap<(Context, SetId), BTreeMap<u8, Vec<u8>>>,
    finished: BTreeMap<(Context, SetId), Vec<BTreeSet<Vec<u8>>>>,
}

impl Model {
    fn insert(&mut self, context: Context, bytes: &[u8]) -> Inserted {
        let fragment = Fragment::parse(bytes).unwrap();
        let FragmentHeader { id, total, .. } = fragment.header;
        if self.finished.get(&(context, id.set)).is_some_and(|sets| sets.iter().any(|set| set.contains(bytes))) {
            return Inserted::Repeat;
        }
        let set = self.sets.entry((context, id.set)).or_default();
        if set.values().next().is_some_and(|other| other[4] != total) {
            return Inserted::Refused(Refusal::Total);
        }
        if let Some(other) = set.get(&id.position) {
            return if other == bytes { Inserted::Repeat } else { Inserted::Refused(Refusal::Position) };
        }
        set.insert(id.position, bytes.to_vec());

        let mut line = vec![id.set];
        while let Some(before) = self.neighbour(context, line[0], true) {
            if line.contains(&before) {
                self.sets.get_mut(&(context, id.set)).unwrap().remove(&id.position);
                return Inserted::Refused(Refusal::Link);
            }
            line.insert(0, before);
        }
        while let Some(after) = self.neighbour(context, line[line.len() - 1], false) {
            line.push(after);
        }
        let set = |id: &SetId| &self.sets[&(context, *id)];
        let is_full = |id: &SetId| set(id).len() == usize::from(set(id).values().next().unwrap()[4]);
        let open =
            self.link(context, line[0], true).is_some() || self.link(context, line[line.len() - 1], false).is_some();
        if open || !line.iter().all(is_full) {
            return Inserted::Waiting;
        }
        let mut message = Vec::new();
        for id in &line {
            let set: BTreeSet<Vec<u8>> = self.sets.remove(&(context, *id)).unwrap().into_values().collect();
            for bytes in &set {
                message.extend_from_slice(Fragment::parse(bytes).unwrap().payload);
            }
            let finished = self.finished.entry((context, *id)).or_default();
            // No more than these are remembered under one identifier.
            if finished.len() < 8 {
                finished.push(set);
            }
        }
        match unpad(&message) {
            Ok(len) => Inserted::Complete { message: message[..len].to_vec(), set_ids: line },
            Err(_) => Inserted::Refused(Refusal::Padding),
        }
    }

    fn link(&self, context: Context, id: SetId, previous: bool) -> Option<SetId> {
        let set = self.sets.get(&(context, id))?;
        match (Fragment::parse(set.get(if previous { &1 } else { &255 })?).unwrap().header.link, previous) {
            (Some(Link::Previous(other)), true) | (Some(Link::Next(other)), false) => Some(other),
            _ => None,
        }
    }

    fn neighbour(&self, context: Context, id: SetId, previous: bool) -> Option<SetId> {
        self.link(context, id, previous).filter(|other| self.link(context, *other, !previous) == Some(id))
    }
}

/// Bytes that are often a fragment, of few sets and with payloads of many lengths.
fn fragment_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = || select(&[0_u8, 1, 2, 3, 254, 255][..]);
    let head = (select(&[0x80_u8, 0x80, 0x80, 0, 0xff][..]), 0_u8..4, byte(), byte(), byte());
    let flag = select(&[0_u8, 0, 0x80, 1][..]);
    (head, flag, vec(0_u8..4, 0..400)).prop_map(|((top, id, total, position, _), flag, rest)| {
        [&[top, 0, 0, id, total, position, flag][..], &rest].concat()
    })
}

fn set_id() -> impl Strategy<Value = SetId> {
    (1_u32..1 << 31).prop_map(|id| SetId::new(id).unwrap())
}

fn surbs(count: usize, hops: usize, seed: u64) -> Vec<ReplySurb> {
    let mut rng = rng(seed);
    let nodes: Vec<NodePublicKey> = (0..hops).map(|_| NodePrivateKey::random(&mut rng).public()).collect();
    let address = NodeAddress::V4([10, 0, 0, 1].into(), 1789);
    let route: Vec<Hop<'_>> = nodes.iter().map(|key| Hop { address, key }).collect();
    let delays = vec![Delay::ZERO; hops];
    let surb = |rng: &mut ChaCha20Rng| Surb::make(&route, &delays, &Destination([7; 32]), rng).unwrap();
    (0..count).map(|_| ReplySurb { key: ReplyKey::random(&mut rng), surb: surb(&mut rng) }).collect()
}

/// A point of the identity curve.
fn public(seed: [u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes()
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A generator that gives these bytes.
struct Prefix<'a>(&'a [u8]);

impl rand_core::TryRng for Prefix<'_> {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("only bytes are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("only bytes are drawn")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let (head, rest) = self.0.split_at(bytes.len());
        bytes.copy_from_slice(head);
        self.0 = rest;
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Prefix<'_> {}
