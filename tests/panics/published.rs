//! What ends, or is known to have ended, the published client, once for the function that reads it and, where it comes in
//! from outside, once for a whole engine.

use mixlet::message::{
    ACK_BLOB_LEN, AckContent, AckKey, Budget, Content, Context, Fragment, FragmentId, Inserted, MessageError, Pushed,
    Reassembler, Refusal, SetId, split_ack_blob, unpad,
};
use mixlet::sphinx::keys::PayloadKey;
use mixlet::sphinx::{
    Checked, Delay, Destination, Hop, NodeAddress, NodeFrame, NodePrivateKey, Packet, PacketSize, Peeled, SphinxError,
    build, payload, wide_block,
};
use mixlet::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::laws::world::World;
use super::{test, up};

// ── pushes and acks ──────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_push_too_short_for_a_key_is_dropped() {
    let mut world = up();
    for len in (0..32).filter(|len| *len != 21) {
        assert!(matches!(Pushed::parse(&vec![7; len]), Err(MessageError::Length(found)) if found == len));
        world.push(&vec![7; len]);
    }
    assert_eq!(dropped(&world).frame, 31);
    works(&mut world);
}

#[test]
fn an_ack_longer_than_an_ack_is_none() {
    let key = AckKey::from_bytes([7; 16]);
    for len in [0, 5, 20, 22, 26, 1_000] {
        assert_eq!(key.open(&vec![0; len]), None);
    }
    let mut world = up();
    world.push(&[0; 22]);
    assert_eq!(dropped(&world).frame, 1);
    works(&mut world);
}

#[test]
fn an_ack_of_a_set_number_with_its_top_bit_set_is_none() {
    for set in [1 << 31, u32::MAX] {
        let [a, b, c, d] = u32::to_be_bytes(set);
        assert_eq!(FragmentId::from_bytes(&[a, b, c, d, 1]), None);
        assert_eq!(SetId::new(set), None);
    }
}

#[test]
fn an_ack_of_a_fragment_that_was_never_sent_is_counted_and_forgotten() {
    let mut world = up();
    for position in [0, 1, 255] {
        let id = FragmentId { set: SetId::new(7).unwrap(), position };
        world.push_ack(AckContent::Fragment(id));
    }
    assert_eq!(dropped(&world).ack, 3);
    works(&mut world);
}

// ── fragments ────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_fragment_beyond_the_total_that_its_set_began_with_is_refused() {
    let begun = part(7, 2, 1, None, b"a");
    let mut reassembler = reassembler();
    assert_eq!(insert(&mut reassembler, &begun), Inserted::Waiting);
    for (total, position) in [(255, 200), (3, 3), (200, 1), (1, 1)] {
        assert_eq!(insert(&mut reassembler, &part(7, total, position, None, b"b")), Inserted::Refused(Refusal::Total));
    }
    // The set goes on as it began.
    let Inserted::Complete { message, .. } = insert(&mut reassembler, &part(7, 2, 2, None, b"b\x01")) else {
        panic!("not complete")
    };
    assert_eq!(message, b"ab");

    let mut world = up();
    world.push_to_key(padded(begun));
    world.push_to_key(padded(part(7, 255, 200, None, b"b")));
    assert_eq!(dropped(&world).fragment, 1);
    works(&mut world);
}

#[test]
fn a_fragment_of_a_set_of_none_or_behind_the_last_is_none() {
    let mut world = up();
    for (total, position) in [(0, 0), (0, 1), (1, 0), (255, 0), (1, 2), (254, 255)] {
        let bytes = part(7, total, position, None, b"a");
        assert_eq!(Fragment::parse(&bytes), Err(MessageError::Header));
        world.push_to_key(padded(bytes));
    }
    assert_eq!(dropped(&world).fragment, 6);
    works(&mut world);
}

#[test]
fn a_link_where_none_may_be_is_refused() {
    let mut world = up();
    // In the middle of a set, to the set itself, to none, without the top bit.
    let odd = [(3, 2, 8 | 1 << 31), (1, 1, 7 | 1 << 31), (1, 1, 1 << 31), (1, 1, 0x0100_0000)];
    for (total, position, link) in odd {
        let bytes = part(7, total, position, Some(link), b"a");
        assert_eq!(Fragment::parse(&bytes), Err(MessageError::Header));
        world.push_to_key(padded(bytes));
    }
    assert_eq!(Fragment::parse(&[0x80, 0, 0, 7, 1, 1, 0x80, 0]), Err(MessageError::Length(8)));
    assert_eq!(dropped(&world).fragment, 4);
    works(&mut world);
}

#[test]
fn two_sets_that_each_name_the_other_as_the_one_before_wait() {
    let (a, b) = (part(10, 1, 1, Some(named(11)), b"a"), part(11, 1, 1, Some(named(10)), b"b"));
    let mut reassembler = reassembler();
    assert_eq!(insert(&mut reassembler, &a), Inserted::Waiting);
    assert_eq!(insert(&mut reassembler, &b), Inserted::Waiting);

    let mut world = up();
    for bytes in [a, b] {
        world.push_to_key(padded(bytes));
    }
    works(&mut world);
}

#[test]
fn a_circle_of_sets_is_refused_or_waits() {
    // Each names the next as the one before it.
    let previous: Vec<_> =
        [(10, 12), (11, 10), (12, 11)].map(|(set, before)| part(set, 1, 1, Some(named(before)), b"a")).to_vec();
    // Full sets whose ends name each other, all the way round.
    let full: Vec<_> =
        [(20, 21), (21, 20)].iter().flat_map(|(set, other)| whole(*set, Some(*other), Some(*other))).collect();
    let mut world = up();
    let mut reassembler = reassembler();
    for bytes in previous.into_iter().chain(full) {
        let found = insert(&mut reassembler, &bytes);
        assert!(matches!(found, Inserted::Waiting | Inserted::Refused(Refusal::Link)), "{found:?}");
        world.push_to_key(padded(bytes));
    }
    works(&mut world);
}

#[test]
fn a_set_that_claims_to_follow_one_whose_next_is_missing_waits() {
    let mut world = up();
    let mut reassembler = reassembler();
    let fragments = whole(10, None, Some(99)).into_iter().chain([part(30, 1, 1, Some(named(10)), b"b\x01")]);
    for bytes in fragments {
        assert_eq!(insert(&mut reassembler, &bytes), Inserted::Waiting);
        world.push_to_key(padded(bytes));
    }
    works(&mut world);
}

// ── contents ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_message_of_nothing_but_zeros_has_no_padding() {
    for bytes in [&[][..], &[0], &[0; 1_604], b"ab"] {
        assert_eq!(unpad(bytes), Err(MessageError::Padding));
    }
    let mut world = up();
    world.push_to_key(padded(part(7, 1, 1, None, b"")));
    assert_eq!(dropped(&world).fragment, 1);
    works(&mut world);
}

#[test]
fn a_message_without_content_is_none() {
    let mut world = up();
    let repliable_too_short = [&[1][..], &[7; 16]].concat();
    for content in [&[][..], &[1], &[2], &[2, 0], &[2, 1], &[2, 1, 7], &[9], &repliable_too_short] {
        assert!(Content::parse(content.to_vec()).is_err());
        let set = number(&world);
        world.push_to_key(padded(part(set, 1, 1, None, &[content, &[1]].concat())));
    }
    assert_eq!(dropped(&world).content, 8);
    works(&mut world);
}

#[test]
fn a_list_of_more_surbs_than_there_are_bytes_takes_no_memory() {
    let mut world = up();
    let lists: [(u8, &[u8]); 8] = [
        // As many as can be written, of each number of hops, and of numbers that there are not.
        (3, &[255, 255, 4, 1]),
        (3, &[255, 255, 5, 1]),
        (4, &[0, 1, 0, 1]),
        (5, &[0, 1, 6, 1]),
        (3, &[0, 1, 4, 3]),
        // The lists of older clients, whose length does not fit 32 bits.
        (0, &[255, 255, 255, 255]),
        (1, &[0, 56, 80, 128]),
        (2, &[0, 0, 0, 1]),
    ];
    for (tag, list) in lists {
        let content = [&[1][..], &[7; 16], &[tag], list, &[7; 100]].concat();
        assert!(matches!(Content::parse(content.clone()), Err(MessageError::Surbs | MessageError::Length(_))));
        let set = number(&world);
        world.push_to_key(padded(part(set, 1, 1, None, &[&content[..], &[1]].concat())));
    }
    assert_eq!((dropped(&world).content, world.watched.engine().stats(world.now()).surbs_held), (8, 0));
    works(&mut world);
}

// ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_plaintext_too_short_for_the_ack_in_front_of_it_is_refused() {
    for len in [0, 1, 18, 19, 386, ACK_BLOB_LEN - 1] {
        assert_eq!(split_ack_blob(&vec![4; len]).err(), Some(MessageError::Length(len)));
    }
    assert_eq!(split_ack_blob(&[5; 2_048]).err(), Some(MessageError::Address));
    assert!(split_ack_blob(&[4; 2_048]).is_ok());
}

#[test]
fn a_payload_that_is_no_payload_is_refused() {
    for bytes in [&[][..], &[0; 15], &[0; 16], &[0; 2_065], &[1; 2_065]] {
        assert_eq!(payload::unpad(bytes), Err(SphinxError::Payload));
    }
}

#[test]
fn a_block_not_longer_than_its_key_stays_as_it_is() {
    let key = PayloadKey::from_seed(&[7; 16]);
    for len in 0..=32 {
        let mut block = vec![9; len];
        wide_block::encrypt(&key, &mut block);
        wide_block::decrypt(&key, &mut block);
        assert_eq!(block, vec![9; len]);
    }
}

#[test]
fn a_delay_of_six_hundred_years_is_ten_seconds() {
    let node = NodePrivateKey::from_bytes([7; 32]);
    let (key, address) = (node.public(), NodeAddress::V4([10, 0, 0, 1].into(), 1_789));
    let hop = Hop { address, key: &key };
    let delays = [Delay::from_nanos(u64::MAX); 2];
    let packet = build(PacketSize::Ack, &[hop, hop], &delays, &Destination([1; 32]), b"", &mut rng()).unwrap();
    let Ok(Peeled::Forward { delay, .. }) = Checked::new(packet, &node).unwrap().peel() else { panic!("no forward") };
    assert_eq!(delay, Delay::from_nanos(u64::MAX));
    assert_eq!(delay.to_duration(), Delay::MAX);
}

#[test]
fn a_group_element_that_is_no_honest_one_is_refused() {
    let node = NodePrivateKey::from_bytes([7; 32]);
    let order_eight = hex_literal::hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    let above_the_field = hex_literal::hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    for element in [[0; 32], [255; 32], order_eight, above_the_field] {
        let mut bytes = element.to_vec();
        bytes.resize(PacketSize::Ack.packet_len(), 9);
        let refused = Checked::new(Packet::from_bytes(bytes).unwrap(), &node).err();
        assert!(matches!(refused, Some(SphinxError::SharedSecret | SphinxError::Authentication)));
    }
}

#[test]
fn a_frame_of_an_unknown_kind_ends_its_stream() {
    let heads = [[6, 1, 0, 0], [9, 1, 0, 0], [8, 0, 0, 0], [8, 6, 0, 0], [8, 1, 1, 0], [8, 1, 0, 3], [7, 9, 0, 0]];
    for head in heads {
        assert!(NodeFrame::decode(&head).is_err(), "{head:?}");
    }
}

// ── small things ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// After all that: an honest message still arrives, and one is still sent.
fn works(world: &mut World<mixlet::engine::Sphinx>) {
    assert!(world.is_up());
    let before = world.received.len();
    world.push_to_key(padded(part(1_000_000, 1, 1, None, b"\0hello\x01")));
    assert_eq!(world.received.len(), before + 1);
    assert_eq!(world.received[before].0, b"hello");
}

fn dropped(world: &World<mixlet::engine::Sphinx>) -> mixlet::engine::Dropped {
    world.watched.engine().stats(world.now()).dropped
}

/// Another one each time.
fn number(world: &World<mixlet::engine::Sphinx>) -> u32 {
    100 + dropped(world).content as u32
}

fn part(set: u32, total: u8, position: u8, link: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = named(set).to_be_bytes().to_vec();
    bytes.extend([total, position]);
    match link {
        Some(link) => bytes.extend(link.to_be_bytes()),
        None => bytes.push(0),
    }
    bytes.extend(payload);
    bytes
}

/// All fragments of a full set.
fn whole(set: u32, previous: Option<u32>, next: Option<u32>) -> Vec<Vec<u8>> {
    let link = |position| match position {
        1 => previous.map(named),
        255 => next.map(named),
        _ => None,
    };
    (1..=255).map(|position| part(set, 255, position, link(position), b"a")).collect()
}

/// A set number as headers have it.
fn named(set: u32) -> u32 {
    set | 1 << 31
}

/// As long as a packet carries it.
fn padded(mut fragment: Vec<u8>) -> Vec<u8> {
    fragment.resize(1_611, 0);
    fragment
}

fn insert(reassembler: &mut Reassembler, bytes: &[u8]) -> Inserted {
    reassembler.insert(Context::Unknown, bytes, Instant::ZERO)
}

fn reassembler() -> Reassembler {
    Reassembler::new(Budget::default(), &mut rng())
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}
