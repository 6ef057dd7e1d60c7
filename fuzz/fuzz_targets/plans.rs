//! The target of this name in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mixlet_fuzz::run("plans", data));
