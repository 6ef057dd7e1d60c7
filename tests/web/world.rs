//! The engine does the same in a browser as natively, to the last bit.

use mixlet_devnet::sim::short_run;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn a_seeded_run_is_the_same_as_in_the_native_build() {
    let native = NATIVE_TRACE.expect("build these tests with MIXLET_TRACE set to what `mixlet-worlds trace` prints");
    assert_eq!(format!("{:016x}", short_run::trace(1)), native);
}

const NATIVE_TRACE: Option<&str> = option_env!("MIXLET_TRACE");
