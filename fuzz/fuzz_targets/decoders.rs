//! Any bytes, read by every decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xmpp_e2e::fuzzing::decoders(data));
