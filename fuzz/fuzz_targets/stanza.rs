//! Any text, read as a stanza.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xmpp_e2e::fuzzing::stanza(data));
