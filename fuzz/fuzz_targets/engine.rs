//! Operations on three engines under the fake suite.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xmpp_e2e_testkit::operations::run(data));
