//! A reassembler with little room, under fragments of any kind.

use mixlet::message::{
    Budget, Context, Fragment, FragmentHeader, FragmentId, Inserted, Link, Reassembler, Refusal, SenderTag, SetId,
};
use mixlet::time::{Duration, Instant};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What it holds stays within its budget, what it refuses takes no room, and in the end everything is let go.
    #[test]
    fn a_reassembler_stays_within_its_budget(
        room in select(&[(100_000, 50_000, 10_000), (6_000, 4_000, 2_000), (3_000, 2_000, 300)][..]),
        steps in vec(step(), 0..120),
    ) {
        let (total_bytes, unknown_bytes, message_len) = room;
        let budget = Budget { total_bytes, unknown_bytes, message_len, finished_bytes: 1_000, ..Budget::default() };
        let mut reassembler = Reassembler::new(budget, &mut ChaCha20Rng::seed_from_u64(1));
        let mut now = Instant::ZERO;
        for step in steps {
            match step {
                Step::Wait(time) => {
                    now += time;
                    let (unfinished, due) = (reassembler.unfinished(), reassembler.next_deadline());
                    let dropped = reassembler.expire(now);
                    prop_assert_eq!(dropped > 0, due.is_some_and(|at| at <= now));
                    prop_assert_eq!(reassembler.unfinished(), unfinished - dropped);
                    prop_assert!(reassembler.next_deadline().is_none_or(|at| at > now));
                }
                Step::Sleep(time) => {
                    now += time;
                    let due = reassembler.next_deadline();
                    reassembler.note_sleep(time);
                    prop_assert_eq!(reassembler.next_deadline(), due.map(|at| at + time));
                }
                Step::Fragment(context, header, payload_len) => {
                    let before = reassembler.bytes();
                    let payload = vec![1; payload_len];
                    let bytes = Fragment { header, payload: &payload }.to_bytes();
                    match reassembler.insert(context, &bytes, now) {
                        Inserted::Repeat => prop_assert_eq!(reassembler.bytes(), before),
                        Inserted::Refused(Refusal::Fragment(error)) => prop_assert!(false, "{:?}", error),
                        Inserted::Refused(_) => prop_assert!(reassembler.bytes() <= before),
                        Inserted::Complete { message, .. } => prop_assert!(message.len() < message_len),
                        Inserted::Waiting => prop_assert!(reassembler.unfinished() > 0),
                    }
                    prop_assert!(reassembler.bytes() <= total_bytes);
                    prop_assert!(context != Context::Unknown || reassembler.unknown_bytes() <= unknown_bytes);
                    prop_assert!(reassembler.finished_bytes() <= 2 * budget.finished_bytes);
                }
            }
        }
        let unfinished = reassembler.unfinished();
        prop_assert_eq!(reassembler.expire(now + Duration::from_secs(1 << 33)), unfinished);
        prop_assert_eq!((reassembler.bytes(), reassembler.finished_bytes(), reassembler.next_deadline()), (0, 0, None));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fragment(Context, FragmentHeader, usize),
    Sleep(Duration),
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let set = || (1..6_u32).prop_map(|id| SetId::new(id).unwrap());
    let place = select(&[(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (255, 1), (255, 255), (255, 9)][..]);
    let context = select(&[Context::Unknown, Context::Unknown, Context::Tag(SenderTag([1; 16]))][..]);
    let fragment = (context, set(), place, proptest::option::of(set()), select(&[0, 1, 40, 400, 2_500][..])).prop_map(
        |(context, set, (total, position), neighbour, len)| {
            let link = match (position, neighbour.filter(|neighbour| *neighbour != set)) {
                (1, Some(neighbour)) => Some(Link::Previous(neighbour)),
                (255, Some(neighbour)) => Some(Link::Next(neighbour)),
                _ => None,
            };
            Step::Fragment(context, FragmentHeader { id: FragmentId { set, position }, total, link }, len)
        },
    );
    let time = || (0..2_000_u64).prop_map(Duration::from_secs);
    prop_oneof![12 => fragment, 1 => time().prop_map(Step::Sleep), 1 => time().prop_map(Step::Wait)]
}
