//! The engine under any calls and any frames.

use mixlet::engine::Sphinx;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::laws::format::Clear;
use crate::laws::input::Input;
use crate::laws::world::{CARRY, Kind, LIVE, MESSAGE, REPLY, RUN, SEND, STEPS_MAX, World};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Calls of the user, frames of no meaning, links and answers that come and go.
    #[test]
    fn the_laws_hold_whatever_is_called(start: [u8; 3], steps in steps(Kind::Raw)) {
        World::<Clear>::run(Kind::Raw, &[&start[..], &steps].concat());
    }

    /// Also with a gateway that has the right key and pushes what it likes.
    #[test]
    fn the_laws_hold_whatever_is_pushed(start: [u8; 3], steps in steps(Kind::Gateway)) {
        World::<Clear>::run(Kind::Gateway, &[&start[..], &steps].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With real packets, and from a client that is up.
    #[test]
    fn the_laws_hold_while_messages_travel(pace in 0..4_u8, first in 0..2_u8, steps in steps(Kind::Gateway)) {
        World::<Sphinx>::run(Kind::Gateway, &[&[0x80 | first, pace, 16][..], &steps].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The same calls give the same outputs, and in between an older link, an early alarm or a clock that goes back
    /// change nothing.
    #[test]
    fn what_means_nothing_changes_nothing(start: [u8; 3], steps in steps(Kind::Gateway)) {
        let bytes = [&start[..], &steps].concat();
        let run = |noise: bool| {
            let mut input = Input(&bytes);
            let mut world = World::<Clear>::new(&mut input);
            (world.trace, world.noise) = (Some(Vec::new()), noise);
            for _ in 0..STEPS_MAX {
                if input.is_empty() {
                    break;
                }
                world.step(Kind::Gateway, &mut input);
            }
            world.end(&mut input);
            world.trace
        };
        let quiet = run(false);
        prop_assert_eq!(&run(false), &quiet);
        prop_assert_eq!(&run(true), &quiet);
    }
}

/// Steps with few bytes each, so that one of them can be left out. Those that lead somewhere come more often.
fn steps(kind: Kind) -> impl Strategy<Value = Vec<u8>> {
    let busy: &[u8] = match kind {
        Kind::Raw => &[RUN, SEND, SEND, LIVE],
        Kind::Gateway => &[RUN, SEND, SEND, LIVE, LIVE, MESSAGE, MESSAGE, REPLY, CARRY, CARRY],
    };
    let step = prop_oneof![2 => select(busy), 1 => 0..kind.steps()];
    let step = (step, vec(any::<u8>(), 0..12)).prop_map(|(step, rest)| [&[step][..], &rest].concat());
    vec(step, 0..40).prop_map(|steps| steps.concat())
}
