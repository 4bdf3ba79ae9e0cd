//! Tests against real servers, one after another; the last line counts them.
//!
//! `cargo test -p xmpp-e2e-servers [-- NAME…]` runs those whose names contain one of the words. A test whose server is
//! not installed is skipped with its reason, unless `XMPP_E2E_SERVERS=required`.

mod bad;
mod chat;
mod conversation;
mod corpus;
mod devices;
mod kills;
mod legacy;
mod limits;
mod linking;
mod pep;
mod restoring;
mod tls;
mod verifying;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use xmpp_e2e_servers::Missing;

/// A test: it ends, panics, or lacks a server.
type Test = Pin<Box<dyn Future<Output = Result<(), Missing>> + Send>>;

/// All of them, by name.
type Tests = Vec<(String, Box<dyn Fn() -> Test>)>;

fn tests() -> Tests {
    let mut all: Tests = Vec::new();
    conversation::add_tests(&mut all);
    kills::add_tests(&mut all);
    chat::add_tests(&mut all);
    devices::add_tests(&mut all);
    linking::add_tests(&mut all);
    restoring::add_tests(&mut all);
    verifying::add_tests(&mut all);
    bad::add_tests(&mut all);
    pep::add_tests(&mut all);
    tls::add_tests(&mut all);
    corpus::add_tests(&mut all);
    legacy::add_tests(&mut all);
    limits::add_tests(&mut all);
    all
}

/// Adds a test.
fn add<F: Future<Output = Result<(), Missing>> + Send + 'static>(
    all: &mut Tests,
    name: impl Into<String>,
    test: impl Fn() -> F + 'static,
) {
    all.push((name.into(), Box::new(move || Box::pin(test()))));
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if std::env::args().any(|word| word == "--list") {
        for (name, _) in tests() {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let required = std::env::var("XMPP_E2E_SERVERS").is_ok_and(|value| value == "required");
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for (name, test) in tests() {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let start = Instant::now();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(test())));
        runtime.shutdown_background();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(Ok(())) => {
                passed += 1;
                println!("ok       {name} ({seconds:.1} s)");
            }
            Ok(Err(missing)) if required => {
                println!("FAILED   {name}: {missing}");
                failed.push(name);
            }
            Ok(Err(missing)) => {
                skipped += 1;
                println!("skipped  {name}: {missing}");
            }
            Err(_) => {
                println!("FAILED   {name} ({seconds:.1} s)");
                failed.push(name);
            }
        }
    }
    for name in &failed {
        println!("failed: {name}");
    }
    if skipped > 0 {
        println!("{skipped} skipped");
    }
    println!("{passed} passed, {} failed", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
