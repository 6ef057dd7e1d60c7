//! What a stranger may send, and what must not come of it.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::message::{Fragments, fragment_room};
use crate::sphinx::PacketSize;

const NOW: Instant = Instant::from_micros(1_000_000);
const UNKNOWN: Context = Context::Unknown;

#[test]
fn a_set_that_contradicts_its_total_stays_as_it_began() {
    let mut reassembler = reassembler(Budget::default());
    assert_eq!(reassembler.insert(UNKNOWN, &part(7, 2, 1, None, b"a"), NOW), Inserted::Waiting);
    // The published crates size their table by the first fragment and write behind its end here.
    for (total, position) in [(255, 200), (3, 2), (1, 1), (255, 255)] {
        let found = reassembler.insert(UNKNOWN, &part(7, total, position, None, b"x"), NOW);
        assert_eq!(found, Inserted::Refused(Refusal::Total));
    }
    assert_complete(reassembler.insert(UNKNOWN, &part(7, 2, 2, None, b"b\x01"), NOW), b"ab", &[7]);
}

#[test]
fn sets_that_name_each_other_as_previous_wait_and_expire() {
    let mut reassembler = reassembler(Budget::default());
    // The published crates follow these links for ever.
    assert_eq!(reassembler.insert(UNKNOWN, &part(10, 1, 1, previous(11), b"a\x01"), NOW), Inserted::Waiting);
    assert_eq!(reassembler.insert(UNKNOWN, &part(11, 1, 1, previous(10), b"a\x01"), NOW), Inserted::Waiting);
    assert_eq!(reassembler.unfinished(), 2);
    assert_eq!(reassembler.expire(NOW + limits::REASSEMBLY_AGE_MAX), 2);
    assert_empty(&reassembler);
}

#[test]
fn a_set_that_claims_to_follow_one_which_names_another_waits() {
    let mut reassembler = reassembler(Budget::default());
    for position in 1..255 {
        assert_eq!(reassembler.insert(UNKNOWN, &part(10, 255, position, None, b"a"), NOW), Inserted::Waiting);
    }
    assert_eq!(reassembler.insert(UNKNOWN, &part(10, 255, 255, next(99), b"a"), NOW), Inserted::Waiting);
    // The published crates look up set 99 here, which is not there.
    assert_eq!(reassembler.insert(UNKNOWN, &part(11, 1, 1, previous(10), b"b\x01"), NOW), Inserted::Waiting);
    // The set that was named comes after all.
    let found = reassembler.insert(UNKNOWN, &part(99, 1, 1, previous(10), b"c\x01"), NOW);
    assert_complete(found, &[vec![b'a'; 255], vec![b'c']].concat(), &[10, 99]);
    assert_eq!(reassembler.unfinished(), 1);
}

#[test]
fn a_circle_of_sets_is_refused_where_it_would_close() {
    let mut reassembler = reassembler(Budget::default());
    let ids = [20, 21, 22];
    for (at, id) in ids.into_iter().enumerate() {
        let (before, after) = (ids[(at + 2) % 3], ids[(at + 1) % 3]);
        for position in 2..255 {
            assert_eq!(reassembler.insert(UNKNOWN, &part(id, 255, position, None, b""), NOW), Inserted::Waiting);
        }
        assert_eq!(reassembler.insert(UNKNOWN, &part(id, 255, 1, previous(before), b""), NOW), Inserted::Waiting);
        let found = reassembler.insert(UNKNOWN, &part(id, 255, 255, next(after), b"\x01"), NOW);
        let expected = if at == 2 { Inserted::Refused(Refusal::Link) } else { Inserted::Waiting };
        assert_eq!(found, expected);
    }
    assert_eq!(reassembler.unfinished(), 1);
    assert_eq!(reassembler.expire(NOW + limits::REASSEMBLY_AGE_MAX), 1);
    assert_empty(&reassembler);
}

#[test]
fn a_second_fragment_for_a_place_is_a_repeat_or_refused() {
    let mut reassembler = reassembler(Budget::default());
    assert_eq!(reassembler.insert(UNKNOWN, &part(7, 2, 1, None, b"a"), NOW), Inserted::Waiting);
    assert_eq!(reassembler.insert(UNKNOWN, &part(7, 2, 1, None, b"a"), NOW), Inserted::Repeat);
    for other in [part(7, 2, 1, None, b"b"), part(7, 2, 1, previous(8), b"a")] {
        assert_eq!(reassembler.insert(UNKNOWN, &other, NOW), Inserted::Refused(Refusal::Position));
    }
    assert_complete(reassembler.insert(UNKNOWN, &part(7, 2, 2, None, b"\x01"), NOW), b"a", &[7]);
}

#[test]
fn a_finished_set_is_known_by_identifier_total_and_content() {
    let mut reassembler = reassembler(Budget::default());
    let (first, second) = (part(7, 2, 1, None, b"a"), part(7, 2, 2, None, b"b\x01"));
    assert_eq!(reassembler.insert(UNKNOWN, &first, NOW), Inserted::Waiting);
    assert_complete(reassembler.insert(UNKNOWN, &second, NOW), b"ab", &[7]);
    for repeat in [&first, &second] {
        assert_eq!(reassembler.insert(UNKNOWN, repeat, NOW), Inserted::Repeat);
    }
    assert_empty(&reassembler);

    // The same identifier with another content or another total is another message, and the old one is still known.
    assert_complete(reassembler.insert(UNKNOWN, &part(7, 1, 1, None, b"c\x01"), NOW), b"c", &[7]);
    assert_eq!(reassembler.insert(UNKNOWN, &part(7, 2, 1, None, b"d"), NOW), Inserted::Waiting);
    assert_eq!(reassembler.insert(UNKNOWN, &second, NOW), Inserted::Repeat);
    assert_complete(reassembler.insert(UNKNOWN, &part(7, 2, 2, None, b"e\x01"), NOW), b"de", &[7]);
    for repeat in [first, second, part(7, 1, 1, None, b"c\x01"), part(7, 2, 1, None, b"d")] {
        assert_eq!(reassembler.insert(UNKNOWN, &repeat, NOW), Inserted::Repeat);
    }
}

#[test]
fn a_finished_set_is_remembered_for_an_hour() {
    let mut reassembler = reassembler(Budget::default());
    let only = part(7, 1, 1, None, b"a\x01");
    assert_complete(reassembler.insert(UNKNOWN, &only, NOW), b"a", &[7]);
    let almost = NOW + (limits::FINISHED_SET_AGE_MAX - Duration::from_micros(1));
    assert_eq!(reassembler.insert(UNKNOWN, &only, almost), Inserted::Repeat);
    assert!(reassembler.finished_bytes() > 0);
    reassembler.expire(NOW + limits::FINISHED_SET_AGE_MAX);
    assert_eq!(reassembler.finished_bytes(), 0);
    assert_complete(reassembler.insert(UNKNOWN, &only, NOW + limits::FINISHED_SET_AGE_MAX), b"a", &[7]);
}

#[test]
fn strangers_do_not_push_finished_sets_of_reply_tags_out() {
    let budget = Budget { finished_bytes: 10_000, ..Budget::default() };
    let mut reassembler = reassembler(budget);
    let of_tag = part(1, 1, 1, None, b"reply\x01");
    assert_complete(reassembler.insert(tag(1), &of_tag, NOW), b"reply", &[1]);
    let of_stranger = part(1, 1, 1, None, b"plain\x01");
    assert_complete(reassembler.insert(UNKNOWN, &of_stranger, NOW), b"plain", &[1]);
    for id in 2..1000 {
        assert_complete(reassembler.insert(UNKNOWN, &part(id, 1, 1, None, b"\x01"), NOW), b"", &[id]);
    }
    assert!(reassembler.finished_bytes() <= 20_000);
    assert_eq!(reassembler.insert(tag(1), &of_tag, NOW), Inserted::Repeat);
    assert_complete(reassembler.insert(UNKNOWN, &of_stranger, NOW), b"plain", &[1]);
}

#[test]
fn a_stranger_cannot_make_look_ups_long() {
    let mut reassembler = reassembler(Budget::default());
    for number in 0..1000_u32 {
        let only = part(7, 1, 1, None, &[&number.to_be_bytes()[..], &[1]].concat());
        assert_complete(reassembler.insert(UNKNOWN, &only, NOW), &number.to_be_bytes(), &[7]);
    }
    assert!(reassembler.finished_bytes() < 3_000);
}

#[test]
fn contexts_do_not_mix_their_sets() {
    let mut reassembler = reassembler(Budget::default());
    let first = part(7, 2, 1, None, b"a");
    for context in [UNKNOWN, tag(1), tag(2)] {
        assert_eq!(reassembler.insert(context, &first, NOW), Inserted::Waiting);
    }
    assert_complete(reassembler.insert(tag(1), &part(7, 2, 2, None, b"b\x01"), NOW), b"ab", &[7]);
    assert_complete(reassembler.insert(tag(2), &part(7, 2, 2, None, b"c\x01"), NOW), b"ac", &[7]);
    assert_eq!(reassembler.unfinished(), 1);
}

#[test]
fn malformed_padding_is_refused_and_remembered() {
    let mut reassembler = reassembler(Budget::default());
    for (id, payload) in [(1, &b""[..]), (2, b"\0\0"), (3, b"a\x01\x02")] {
        let only = part(id, 1, 1, None, payload);
        assert_eq!(reassembler.insert(UNKNOWN, &only, NOW), Inserted::Refused(Refusal::Padding));
        assert_eq!(reassembler.insert(UNKNOWN, &only, NOW), Inserted::Repeat);
    }
    assert_eq!(reassembler.insert(UNKNOWN, &part(4, 2, 1, None, b"a"), NOW), Inserted::Waiting);
    let second = part(4, 2, 2, None, b"\x02");
    assert_eq!(reassembler.insert(UNKNOWN, &second, NOW), Inserted::Refused(Refusal::Padding));
    assert_eq!(reassembler.insert(UNKNOWN, &second, NOW), Inserted::Repeat);
    assert_empty(&reassembler);
}

#[test]
fn memory_is_taken_for_what_came_and_not_for_what_is_announced() {
    let mut reassembler = reassembler(Budget::default());
    reassembler.insert(UNKNOWN, &part(1, 255, 200, None, &[0; 1604]), NOW);
    let one = reassembler.bytes();
    assert!((1604..2500).contains(&one), "{one}");
    reassembler.insert(UNKNOWN, &part(1, 255, 100, None, &[0; 1604]), NOW);
    assert!((2 * 1604..one + 1800).contains(&reassembler.bytes()));
    assert_complete(reassembler.insert(UNKNOWN, &part(2, 1, 1, None, b"\x01"), NOW), b"", &[2]);
    assert_eq!(reassembler.expire(NOW + limits::REASSEMBLY_AGE_MAX), 1);
    assert_empty(&reassembler);
}

#[test]
fn strangers_push_out_each_other_longest_idle_first() {
    let budget = Budget { total_bytes: 25_000, unknown_bytes: 20_000, ..Budget::default() };
    let mut reassembler = reassembler(budget);
    assert_eq!(reassembler.insert(tag(1), &part(1, 2, 1, None, b"a"), NOW), Inserted::Waiting);
    for second in 1..=90 {
        let now = NOW + Duration::from_secs(second);
        let id = 1000 + u32::try_from(second).unwrap();
        assert_eq!(reassembler.insert(UNKNOWN, &part(id, 9, 1, None, &[0; 1000]), now), Inserted::Waiting);
        // One message that goes on all the time.
        let position = u8::try_from(second).unwrap();
        assert_eq!(reassembler.insert(UNKNOWN, &part(5, 99, position, None, &[]), now), Inserted::Waiting);
        assert!(reassembler.unknown.bytes <= 20_000);
    }
    assert!(reassembler.pushed_out() > 75);
    // The one of the reply tag and the busy one are still there.
    let later = NOW + Duration::from_secs(200);
    assert_complete(reassembler.insert(tag(1), &part(1, 2, 2, None, b"b\x01"), later), b"ab", &[1]);
    assert_eq!(reassembler.insert(UNKNOWN, &part(5, 99, 1, None, &[]), later), Inserted::Repeat);
}

#[test]
fn a_message_that_fills_the_budget_alone_is_refused_and_keeps_its_place() {
    let budget = Budget { total_bytes: 15_000, unknown_bytes: 5_000, ..Budget::default() };
    let mut reassembler = reassembler(budget);
    let mut refused = 0;
    for position in 1..=9 {
        match reassembler.insert(UNKNOWN, &part(5, 9, position, None, &[1; 1000]), NOW) {
            Inserted::Waiting => assert_eq!(refused, 0),
            Inserted::Refused(Refusal::Budget) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 5 && reassembler.bytes() <= 5_000);
    // What comes over a tag takes the room of strangers, whose message waited longer.
    for position in 1..=9 {
        let now = NOW + Duration::from_secs(1);
        assert_eq!(reassembler.insert(tag(1), &part(5, 10, position, None, &[1; 1000]), now), Inserted::Waiting);
        assert!(reassembler.bytes() <= 15_000);
    }
    assert_complete(reassembler.insert(tag(1), &part(5, 10, 10, None, &[1; 1000]), NOW), &[1; 9999], &[5]);
}

#[test]
fn a_message_beyond_the_greatest_length_is_dropped() {
    let budget = Budget { message_len: 300_000, ..Budget::default() };
    let mut reassembler = reassembler(budget);
    for position in 1..255 {
        assert_eq!(reassembler.insert(UNKNOWN, &part(1, 255, position, None, &[0; 1000]), NOW), Inserted::Waiting);
    }
    for position in 2..255 {
        let found = reassembler.insert(UNKNOWN, &part(2, 255, position, None, &[0; 1000]), NOW);
        assert_eq!(found, Inserted::Waiting);
    }
    assert_eq!(reassembler.insert(UNKNOWN, &part(1, 255, 255, next(2), &[0; 1000]), NOW), Inserted::Waiting);
    // Now the two are found to be one.
    let found = reassembler.insert(UNKNOWN, &part(2, 255, 1, previous(1), &[0; 1000]), NOW);
    assert_eq!(found, Inserted::Refused(Refusal::TooLong));
    assert_empty(&reassembler);
    let found = reassembler.insert(UNKNOWN, &part(3, 1, 1, None, &[1; 300_001]), NOW);
    assert_eq!(found, Inserted::Refused(Refusal::TooLong));
}

#[test]
fn a_fragment_of_any_set_keeps_the_whole_message() {
    let mut reassembler = reassembler(Budget::default());
    let room = 20;
    let ids: Vec<SetId> = [31, 32, 33].into_iter().map(id).collect();
    // There is space left for the marker behind it.
    let message = vec![9; 3 * 255 * 13 - 50];
    let fragments = Fragments::from_padded(message.clone(), room, ids).unwrap();
    let mut now = NOW;
    for index in 0..fragments.count() {
        // The first set is finished long before its age is over for the last one.
        now += Duration::from_secs(10);
        assert_eq!(reassembler.expire(now), 0);
        let found = reassembler.insert(UNKNOWN, &fragments.fragment(index).unwrap(), now);
        if index + 1 == fragments.count() {
            assert_complete(found, &message, &[31, 32, 33]);
        } else {
            assert_eq!(found, Inserted::Waiting);
            assert_eq!(reassembler.next_deadline(), Some(now + limits::REASSEMBLY_AGE_MAX));
        }
    }
    assert_empty(&reassembler);
}

#[test]
fn a_machine_that_slept_loses_nothing_by_it() {
    let mut reassembler = reassembler(Budget::default());
    assert_eq!(reassembler.insert(UNKNOWN, &part(7, 2, 1, None, b"a"), NOW), Inserted::Waiting);
    let night = Duration::from_secs(8 * 3600);
    reassembler.note_sleep(night);
    assert_eq!(reassembler.next_deadline(), Some(NOW + night + limits::REASSEMBLY_AGE_MAX));
    assert_eq!(reassembler.expire(NOW + night), 0);
    assert_complete(reassembler.insert(UNKNOWN, &part(7, 2, 2, None, b"\x01"), NOW + night), b"a", &[7]);
    assert_eq!(reassembler.insert(UNKNOWN, &part(7, 2, 2, None, b"\x01"), NOW + night), Inserted::Repeat);
}

#[test]
fn what_is_no_fragment_is_refused_with_its_reason() {
    let mut reassembler = reassembler(Budget::default());
    let short = Inserted::Refused(Refusal::Fragment(MessageError::Length(6)));
    assert_eq!(reassembler.insert(UNKNOWN, &[0x80; 6], NOW), short);
    let wrong = Inserted::Refused(Refusal::Fragment(MessageError::Header));
    assert_eq!(reassembler.insert(UNKNOWN, &[0; 1611], NOW), wrong);
    assert_eq!(reassembler.next_deadline(), None);
    assert_eq!(reassembler.finished_bytes(), 0);
}

#[test]
fn the_greatest_message_arrives_within_the_bounds() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut reassembler = reassembler(Budget::default());
    let body = vec![7; limits::MESSAGE_LEN_MAX];
    let fragments = Fragments::new(body, PacketSize::Regular, &mut rng).unwrap();
    assert_eq!(fragments.set_ids().len(), 83);
    // The sets come last to first, so that the line of sets grows at its head.
    for index in (0..fragments.count()).rev() {
        let fragment = fragments.fragment(index).unwrap();
        assert_eq!(fragment.len(), fragment_room(PacketSize::Regular));
        match reassembler.insert(UNKNOWN, &fragment, NOW) {
            Inserted::Waiting => assert!(reassembler.bytes() <= limits::REASSEMBLY_UNKNOWN_BYTES_MAX && index > 0),
            Inserted::Complete { message, set_ids } => {
                assert!(index == 0 && message.iter().all(|byte| *byte == 7));
                assert_eq!((message.len(), &set_ids[..]), (limits::MESSAGE_LEN_MAX, fragments.set_ids()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_empty(&reassembler);
    assert!(reassembler.finished_bytes() <= limits::FINISHED_SETS_BYTES_MAX);
}

fn reassembler(budget: Budget) -> Reassembler {
    Reassembler::new(budget, &mut ChaCha20Rng::seed_from_u64(0))
}

fn part(set: u32, total: u8, position: u8, link: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (set | 1 << 31).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[total, position]);
    match link {
        Some(link) => bytes.extend_from_slice(&(link | 1 << 31).to_be_bytes()),
        None => bytes.push(0),
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A link of a first fragment.
fn previous(set: u32) -> Option<u32> {
    Some(set)
}

/// A link of fragment 255.
fn next(set: u32) -> Option<u32> {
    Some(set)
}

fn id(id: u32) -> SetId {
    SetId::new(id).unwrap()
}

fn tag(tag: u8) -> Context {
    Context::Tag(SenderTag([tag; 16]))
}

#[track_caller]
fn assert_complete(found: Inserted, message: &[u8], sets: &[u32]) {
    let set_ids = sets.iter().copied().map(id).collect();
    assert_eq!(found, Inserted::Complete { message: message.to_vec(), set_ids });
}

#[track_caller]
fn assert_empty(reassembler: &Reassembler) {
    assert_eq!((reassembler.bytes(), reassembler.unfinished()), (0, 0));
    assert!(reassembler.sets.is_empty() && reassembler.oldest().is_none());
    assert_eq!(reassembler.next_deadline(), None);
}
