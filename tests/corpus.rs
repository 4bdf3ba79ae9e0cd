//! Replays the corpora of the fuzzers, so that what they once found stays mended everywhere.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

/// The corpora are not in the published package.
fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let Ok(entries) = fs::read_dir(&directory) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "an empty corpus of {target}");
    for path in paths {
        let data = fs::read(&path).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| run(&data)) {
            eprintln!("with {}", path.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn stanza() {
    replay("stanza", xmpp_e2e::fuzzing::stanza);
}

#[test]
fn decoders() {
    replay("decoders", xmpp_e2e::fuzzing::decoders);
}

#[test]
fn engine() {
    replay("engine", xmpp_e2e_testkit::operations::run);
}
