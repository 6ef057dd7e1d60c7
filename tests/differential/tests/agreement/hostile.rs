//! Inputs that make the published crates panic. Each test shows that they still do, and that we do not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mixlet::{
    message::{AckKey, Budget, Context, Inserted, Reassembler, Refusal},
    time::Instant,
};
use nym_sphinx::{
    acknowledgements::{self, identifier::recover_identifier},
    chunking::{fragment::Fragment, reconstruction::MessageReconstructor},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

#[test]
fn an_ack_that_is_too_long() {
    for len in [0, 20, 22, 23, 100] {
        let pushed = vec![7; len];
        assert_eq!(AckKey::from_bytes([1; 16]).open(&pushed), None);
        let key = acknowledgements::AckKey::try_from_bytes(&[1; 16]).unwrap();
        let theirs = catch_unwind(|| recover_identifier(&key, &pushed));
        assert_eq!(theirs.is_err(), len > 21, "{len} bytes");
    }
}

#[test]
fn a_total_that_grows() {
    let fragments = [fragment(12345, 2, 1, None), fragment(12345, 255, 200, None)];
    assert!(peer_panics(&fragments));
    assert_eq!(ours(&fragments), [Inserted::Waiting, Inserted::Refused(Refusal::Total)]);
}

#[test]
fn a_chain_whose_next_set_never_came() {
    // A full set that names a successor which does not exist, then a set that names the full one as its predecessor.
    let mut fragments: Vec<_> = (1..255).map(|current| fragment(1, 255, current, None)).collect();
    fragments.push(fragment(1, 255, 255, Some(999)));
    fragments.push(fragment(2, 1, 1, Some(1)));
    assert!(peer_panics(&fragments));
    for inserted in ours(&fragments) {
        assert!(!matches!(inserted, Inserted::Complete { .. }), "a message was made up");
    }
}

/// Two sets that name each other as predecessor send the peer into a recursion without end, which cannot be caught: only
/// our side is run.
#[test]
fn sets_in_a_circle() {
    let fragments = [fragment(1, 1, 1, Some(2)), fragment(2, 1, 1, Some(1))];
    for inserted in ours(&fragments) {
        assert!(!matches!(inserted, Inserted::Complete { .. }), "a message was made up");
    }
    // A circle of three, closed by the last.
    let fragments = [fragment(1, 1, 1, Some(3)), fragment(2, 1, 1, Some(1)), fragment(3, 1, 1, Some(2))];
    for inserted in ours(&fragments) {
        assert!(!matches!(inserted, Inserted::Complete { .. }), "a message was made up");
    }
}

fn ours(fragments: &[Vec<u8>]) -> Vec<Inserted> {
    let mut reassembler = Reassembler::new(Budget::default(), &mut ChaCha20Rng::seed_from_u64(1));
    fragments.iter().map(|fragment| reassembler.insert(Context::Unknown, fragment, Instant::ZERO)).collect()
}

fn peer_panics(fragments: &[Vec<u8>]) -> bool {
    let mut reconstructor = MessageReconstructor::default();
    catch_unwind(AssertUnwindSafe(|| {
        for fragment in fragments {
            reconstructor.insert_new_fragment(Fragment::try_from_bytes(fragment).unwrap());
        }
    }))
    .is_err()
}

/// A fragment with a payload of zeros.
fn fragment(set: u32, total: u8, current: u8, linked: Option<u32>) -> Vec<u8> {
    let mut bytes = (set | 1 << 31).to_be_bytes().to_vec();
    bytes.extend([total, current]);
    match linked {
        Some(linked) => bytes.extend((linked | 1 << 31).to_be_bytes()),
        None => bytes.push(0),
    }
    bytes.extend([0; 20]);
    bytes
}
