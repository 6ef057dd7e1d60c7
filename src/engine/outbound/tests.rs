//! What is in flight, and acks that mean nothing.

use alloc::vec;

use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};

use super::*;
use crate::engine::unfinished::{Kind, Target, Wants};
use crate::message::{Address, GatewayId};
use crate::sphinx::PacketSize;

#[test]
fn a_fragment_that_leaves_twice_is_waited_for_once() {
    let mut outbound = Outbound::default();
    let key = message(&mut outbound, 10, &[7]);
    let fragment = FragmentKey { message: key, index: 0 };
    let id = outbound.id_of(fragment).unwrap();
    outbound.left(fragment, Duration::ZERO, SECOND, at(0));
    outbound.left(fragment, Duration::ZERO, SECOND, at(500));
    assert_eq!((outbound.in_flight(), outbound.next_ack_deadline()), (1, Some(at(1_500))));
    // The time of the first sending is over and means nothing; that of the second counts, once.
    assert_eq!(outbound.take_missed(at(1_000)), None);
    assert_eq!(outbound.take_missed(at(1_500)), Some(Missed::Again));
    assert_eq!((outbound.take_missed(at(9_000)), outbound.next_ack_deadline(), outbound.in_flight()), (None, None, 0));
    // A late ack still counts, a second one does not.
    assert!(outbound.acked(id, at(2_000)).is_some_and(|acked| acked.complete));
    assert!(outbound.acked(id, at(2_000)).is_none());
}

#[test]
fn a_set_number_that_is_in_use_is_not_given_to_a_second_message() {
    let mut outbound = Outbound::default();
    let first = message(&mut outbound, 10, &[7]);
    // The generator gives the number that is in use first, and then one twice.
    let mut rng = Numbers(vec![9, 8, 8, 7]);
    let ids = outbound.draw_sets(2, &mut rng);
    assert_eq!(ids.iter().map(|id| id.to_u32()).collect::<Vec<_>>(), [8, 9]);
    let second = message(&mut outbound, 10, &[8]);
    for message in [first, second] {
        outbound.left(FragmentKey { message, index: 0 }, Duration::ZERO, SECOND, at(0));
    }
    assert_eq!(outbound.in_flight(), 2);
    // The end of one leaves the other in flight.
    outbound.remove(first);
    assert_eq!(outbound.in_flight(), 1);
    let acked = outbound.acked(fragment_id(8, 1), at(1)).unwrap();
    assert_eq!((acked.key, acked.complete), (second, true));
}

#[test]
fn an_ack_of_position_zero_does_not_stand_for_the_last_fragment_of_the_set_before() {
    let mut outbound = Outbound::default();
    let key = message(&mut outbound, 256 * 1_604, &[7, 8]);
    for index in 0..257 {
        outbound.left(FragmentKey { message: key, index }, Duration::ZERO, SECOND, at(0));
    }
    assert!(outbound.acked(fragment_id(8, 0), at(1)).is_none());
    assert!(outbound.acked(fragment_id(7, 0), at(1)).is_none());
    assert!(outbound.acked(fragment_id(8, 3), at(1)).is_none());
    assert_eq!((outbound.in_flight(), outbound.message(key).unwrap().progress().acked), (257, 0));
    assert!(outbound.acked(fragment_id(7, 255), at(1)).is_some());
    assert!(outbound.acked(fragment_id(8, 1), at(1)).is_some());
    assert_eq!((outbound.in_flight(), outbound.message(key).unwrap().progress().acked), (255, 2));
}

/// A message of so many bytes, cut under these numbers.
fn message(outbound: &mut Outbound, len: usize, sets: &[u32]) -> MessageKey {
    let point = |seed| ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let to = Target::Address(Address::new(point(1), [2; 32], GatewayId(point(3))).unwrap());
    let stage = Stage::Body { body: Vec::new(), wanted: 0, surbs: Vec::new(), wants: Wants::Exactly };
    let key = outbound.insert(NewMessage {
        id: None,
        to,
        kind: Kind::Plain,
        stage,
        planned: false,
        reliable: true,
        priority: Some(Priority::Normal),
        deadline: None,
    });
    let ids = sets.iter().filter_map(|id| SetId::new(*id)).collect();
    outbound.split(key, Fragments::with_set_ids(vec![5; len], PacketSize::Regular, ids).unwrap());
    key
}

fn fragment_id(set: u32, position: u8) -> FragmentId {
    FragmentId { set: SetId::new(set).unwrap(), position }
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

const SECOND: Duration = Duration::from_secs(1);

/// These numbers, the last one first, and then random ones.
struct Numbers(Vec<u32>);

impl TryRng for Numbers {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        match self.0.pop() {
            Some(number) => Ok(number),
            None => ChaCha20Rng::seed_from_u64(1).try_next_u32(),
        }
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.try_next_u32().map(u64::from)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(1);
        Ok(())
    }
}

impl TryCryptoRng for Numbers {}
