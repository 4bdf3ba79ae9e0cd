//! Histories of accounts with several devices, on servers that do what servers and attackers do, made from a seed and
//! compared with a model of what may and must come.
//!
//! A history has a [plan](Plan): people, devices, and what happens to them. It is run in virtual time, and after each
//! input the [observer] compares what the devices say, store and send with what it knows. When the plan is
//! done, the faults end, and all devices that are left must talk with each other again. What must hold is listed at
//! [`Violation`]. A plan that shows a violation is [shrunk](shrink) to the actions needed.

mod ending;
mod figures;
mod history;
mod model;
pub mod observer;
mod perform;
mod plan;
mod shrink;
mod suite;

pub use figures::Figures;
pub use history::{Outcome, run};
pub use model::{Rule, Violation};
pub use plan::{Action, Plan, Shape};
pub use shrink::shrink;
pub use suite::SIMULATED_SUITE;

/// Whether the user of a device that ran twice, or was set back in secret, says so in the end. If not, the engines must
/// find out by themselves.
pub const DECLARED: bool = true;

/// Which suites a history runs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cryptography {
    /// [`SIMULATED_SUITE`].
    Fake,
    /// Those that the library has by default.
    Real,
}

/// Runs many histories on all processors. Gives what happened in all, and the seeds that failed with what was wrong, the
/// lowest seed first.
#[must_use]
pub fn run_many(
    seeds: core::ops::Range<u64>,
    cryptography: Cryptography,
    threads: usize,
) -> (Figures, Vec<(u64, Violation)>) {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let worker = || {
        let (mut figures, mut failed) = (Figures::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds.end {
                return (figures, failed);
            }
            let outcome = run(&Plan::new(seed), cryptography, false);
            figures.add(&outcome.figures);
            failed.extend(outcome.violation.map(|violation| (seed, violation)));
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("panics are caught")).collect()
    });
    let (mut figures, mut failed) = (Figures::default(), Vec::new());
    for (more, wrong) in results {
        figures.add(&more);
        failed.extend(wrong);
    }
    failed.sort_by_key(|(seed, _)| *seed);
    (figures, failed)
}
