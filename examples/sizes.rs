//! Prints what the protocol costs on the wire: `cargo run --release --example sizes`.
//!
//! Each line has a name, bytes, and a mark if a bound is exceeded. Names with `stanza`, and
//! `typical`, are whole stanzas; the others are the protocol's element alone.

use std::process::ExitCode;

use xmpp_e2e_testkit::measure::sizes;

fn main() -> ExitCode {
    let mut kept = true;
    for size in sizes::all() {
        match size.bound {
            Some(bound) if !size.is_kept() => println!("{}\t{}\tover {bound}", size.name, size.bytes),
            _ => println!("{}\t{}", size.name, size.bytes),
        }
        kept &= size.is_kept();
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
