//! The same seed gives the same run. That it gives the same run in a browser is tested there, against the hash that
//! `mixlet-worlds trace` prints.

use mixlet_devnet::sim::short_run;

#[test]
fn a_seed_gives_one_run_and_another_seed_another() {
    assert_eq!(short_run::trace(1), short_run::trace(1));
    assert_ne!(short_run::trace(1), short_run::trace(2));
}
