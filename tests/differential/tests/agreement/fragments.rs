//! Cutting messages up and putting them together.

use mixlet::{
    message::{Budget, Context, Fragment, Fragments, Inserted, Reassembler, fragment_room},
    sphinx::PacketSize,
    time::Instant,
};
use nym_sphinx::{
    chunking::fragment::Fragment as TheirFragment,
    message::NymMessage,
    receiver::{MessageReceiver, SphinxMessageReceiver},
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use super::network::{DATA_SIZES, Network, body};

/// Lengths of whole messages, kind byte included, around the edges of the layout. Messages of several sets only in the
/// smallest size, where they are not megabytes long; the arithmetic is the same in all.
fn lengths(size: PacketSize) -> Vec<usize> {
    let room = fragment_room(size);
    let (unlinked, linked) = (room - 7, room - 10);
    let mut lengths = vec![1, 2, unlinked - 1, unlinked, unlinked + 1, 2 * unlinked - 1, 7 * unlinked + 13];
    if size == PacketSize::Regular {
        let one_set = 255 * unlinked;
        let two_sets = 2 * (one_set - 3);
        lengths.extend([one_set - 1, one_set, one_set - 3 + linked - 1, one_set - 3 + linked]);
        lengths.extend([two_sets - 1, two_sets, two_sets + 3 * unlinked]);
    }
    lengths
}

#[test]
fn the_peer_puts_our_fragments_together() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for (size, _) in DATA_SIZES {
        for len in lengths(size) {
            // A plain message, whose kind is zero.
            let mut message = body(len, &mut rng);
            message[0] = 0;
            let fragments = Fragments::new(message.clone(), size, &mut rng).unwrap();
            let mut receiver = SphinxMessageReceiver::new();
            let mut whole = None;
            for i in shuffled(fragments.count(), &mut rng) {
                let fragment = fragments.fragment(i).unwrap();
                assert_eq!(fragment.len(), fragment_room(size));
                let fragment = receiver.recover_fragment(&fragment).unwrap();
                assert_eq!(fragment.fragment_identifier().to_bytes(), fragments.id(i).unwrap().to_bytes());
                assert!(whole.is_none(), "complete before the last fragment");
                whole = receiver.insert_new_fragment(fragment).unwrap();
            }
            let (whole, set_ids) = whole.expect("complete");
            assert_eq!(whole.into_inner_data(), message[1..]);
            let ours: Vec<_> = fragments.set_ids().iter().map(|id| id.to_u32() as i32).collect();
            assert_eq!(set_ids, ours);
        }
    }
}

#[test]
fn we_put_the_peers_fragments_together() {
    let network = Network::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for (size, their_size) in DATA_SIZES {
        for len in lengths(size) {
            let sent = body(len - 1, &mut rng);
            let mut preparer = network.preparer(&network.alice, len as u64);
            let fragments = preparer.pad_and_split_message(NymMessage::new_plain(sent.clone()), their_size);
            let mut set_ids: Vec<_> = fragments.iter().map(TheirFragment::id).collect();
            set_ids.dedup();

            let mut reassembler = Reassembler::new(Budget::default(), &mut rng);
            let mut whole = None;
            for i in shuffled(fragments.len(), &mut rng) {
                let bytes = fragments[i].clone().into_bytes();
                assert_eq!(bytes.len(), fragment_room(size));
                assert!(whole.is_none(), "complete before the last fragment");
                match reassembler.insert(Context::Unknown, &bytes, Instant::ZERO) {
                    Inserted::Waiting => {}
                    Inserted::Complete { message, set_ids } => whole = Some((message, set_ids)),
                    other => panic!("{other:?}"),
                }
            }
            let (message, ours) = whole.expect("complete");
            assert_eq!((message[0], &message[1..]), (0, &sent[..]));
            assert_eq!(ours.iter().map(|id| id.to_u32() as i32).collect::<Vec<_>>(), set_ids);
        }
    }
}

#[test]
fn both_need_the_same_number_of_fragments() {
    for (size, their_size) in DATA_SIZES {
        for len in lengths(size) {
            let ours = Fragments::new(vec![0; len], size, &mut ChaCha20Rng::seed_from_u64(3)).unwrap();
            let mut preparer = Network::new(1).preparer(&Network::new(1).alice, 1);
            let theirs = preparer.pad_and_split_message(NymMessage::new_plain(vec![0; len - 1]), their_size);
            assert_eq!(ours.count(), theirs.len(), "{len} bytes in {size:?}");
        }
    }
}

/// Headers with every value that may matter in each place.
#[test]
fn the_same_bytes_are_fragments() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut read = 0;
    for total in [0, 1, 2, 254, 255] {
        for current in [0, 1, 2, 3, 253, 254, 255] {
            for set_id in [0x8000_0000_u32, 0x8000_0001, 0x0000_0001, 0xffff_ffff, 0x8123_4567] {
                for linked in [0_u32, 0x8000_0000, 0x8000_0001, 0x0000_0001, 0x00ff_ffff, 0x8123_4567, 0xffff_ffff] {
                    let mut bytes = set_id.to_be_bytes().to_vec();
                    bytes.extend([total, current]);
                    bytes.extend(linked.to_be_bytes());
                    bytes.extend(body(5, &mut rng));
                    for len in [0, 6, 7, 8, 9, 10, 11, 15] {
                        let (ours, theirs) =
                            (Fragment::parse(&bytes[..len]), TheirFragment::try_from_bytes(&bytes[..len]));
                        assert_eq!(ours.is_ok(), theirs.is_ok(), "{:02x?}", &bytes[..len]);
                        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                            assert_eq!(ours.to_bytes(), theirs.into_bytes());
                            read += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(read > 100);
}

fn shuffled(count: usize, rng: &mut ChaCha20Rng) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, rng.next_u32() as usize % (i + 1));
    }
    order
}
