//! Prints what the protocol costs on the wire: `cargo run --release --example sizes`.
//!
//! Each line has a name, bytes, and a mark if a bound is exceeded. Names with `stanza`, and
//! `typical` or `presence-signed`, are whole stanzas; the others are the protocol's element alone. `presence-500` is what
//! a log-in with 500 contacts online costs beside plain XMPP, adverts and iqs, each way: with all
//! their keys `known`, or all `new`. Names with `iqs` are numbers of requests and not bytes.

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
