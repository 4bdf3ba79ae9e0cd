//! Times the main paths: `cargo bench --bench main_paths`, or those with a word in their name:
//! `cargo bench --bench main_paths -- chain`. Without `--bench`, as in tests, each path runs once
//! and nothing is timed.
//!
//! Both sides run on one thread, agents in the process, and every step's batch goes into a store in
//! memory. Medians, as other programs on the machine only add time; the mean has what happens now
//! and then, such as KEM epochs.

use std::time::{Duration, Instant};

use xmpp_e2e_testkit::measure::heap::Counting;
use xmpp_e2e_testkit::measure::paths::{self, Healing, Kept, Path};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs of the fastest paths.
const RUNS: u32 = 4000;

fn main() {
    let timed = std::env::args().any(|argument| argument == "--bench");
    let word = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut paths = paths::all();
    paths.retain(|path| word.as_ref().is_none_or(|word| path.name().contains(word)));
    if timed {
        println!("{:<44}{:>12}{:>12}", "microseconds", "median", "mean");
    }
    for path in &mut paths {
        let runs = if timed { (RUNS * path.share() / 1000).max(1) } else { 1 };
        let mut samples: Vec<Duration> = (0..runs).map(|_| time(path.as_mut())).collect();
        samples.sort_unstable();
        let messages = path.messages();
        let median = samples.get(samples.len() / 2).copied().unwrap_or_default() / messages;
        let mean = samples.iter().sum::<Duration>() / (runs * messages);
        if timed {
            println!("{:<44}{:>12.2}{:>12.2}", path.name(), micros(median), micros(mean));
        }
    }
    if timed && word.is_none() {
        let Kept { session, classical, offered, answered, skipped, memory, .. } = Kept::measure();
        println!("stored session, bytes: {session} hybrid, {classical} classical");
        println!("  with a KEM offer outstanding {offered}, with an answer {answered}");
        println!("stored skipped key, bytes: {skipped}");
        println!("idle session in memory, bytes: {memory}");
        let Healing { dialogue, requested } = Healing::measure();
        println!("round trips until healed: {dialogue} in a dialogue, {requested:?} on request");
    }
}

#[expect(clippy::disallowed_methods, reason = "time is what is measured")]
fn time(path: &mut dyn Path) -> Duration {
    path.prepare();
    let start = Instant::now();
    path.run();
    start.elapsed()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
