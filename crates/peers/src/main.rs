//! Prints the table that the README describes.

mod olm;

use std::time::{Duration, Instant};

use xmpp_e2e_testkit::measure::heap::Counting;
use xmpp_e2e_testkit::measure::paths::{Chain, Handshake, Healing, Kept, Late, Part, Path, PingPong, Skip};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rounds; a path has its share of the runs in each, so that disturbances meet all alike.
const ROUNDS: u32 = 20;

/// Runs of the fastest path in a round.
const RUNS: u32 = 200;

struct Row {
    name: &'static str,
    ours: usize,
    theirs: Option<usize>,
}

fn main() {
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(1);
    let mut paths: Vec<Box<dyn Path>> = vec![
        Box::new(Chain::new("", Part::Both)),
        Box::new(PingPong::new()),
        Box::new(Handshake::new("", false)),
        Box::new(Handshake::new("", true)),
        Box::new(Skip::new()),
        Box::new(Late::new()),
        Box::new(olm::Chain::new(olm::Around::Nothing)),
        Box::new(olm::Chain::new(olm::Around::Xml)),
        Box::new(olm::Chain::new(olm::Around::XmlAndStore)),
        Box::new(olm::PingPong::new()),
        Box::new(olm::Handshake::new()),
        Box::new(olm::Skip::new()),
        Box::new(olm::Late::new()),
    ];
    let rows = [
        Row { name: "same chain, 64 B", ours: 0, theirs: Some(6) },
        Row { name: "same, text to text", ours: 0, theirs: Some(7) },
        Row { name: "same, and stored", ours: 0, theirs: Some(8) },
        Row { name: "ping-pong, a message", ours: 1, theirs: Some(9) },
        Row { name: "handshake with first message", ours: 2, theirs: Some(10) },
        Row { name: "the same, device online", ours: 3, theirs: None },
        Row { name: "1,000 skipped, then the last", ours: 4, theirs: Some(11) },
        Row { name: "late decrypt of a skipped one", ours: 5, theirs: Some(12) },
    ];
    let mut samples: Vec<Vec<Duration>> = paths.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS * times {
        for (path, samples) in paths.iter_mut().zip(&mut samples) {
            let runs = (RUNS * path.share()).div_ceil(1000);
            samples.extend((0..runs).map(|_| time(path.as_mut())));
        }
    }
    let medians: Vec<f64> =
        paths.iter().zip(&mut samples).map(|(path, s)| median(s, path.messages())).collect();
    let header = ("", "xmpp-e2e", "vodozemac", "ratio");
    println!("{:<34}{:>12}{:>12}{:>8}", header.0, header.1, header.2, header.3);
    for Row { name, ours, theirs } in rows {
        print_row(&format!("{name}, µs"), medians[ours], theirs.map(|theirs| medians[theirs]));
    }
    let kept = Kept::measure();
    let (stored, memory) = olm::kept();
    print_row("stored session, B", count(kept.session), Some(count(stored)));
    print_row("  with an offer outstanding, B", count(kept.offered), None);
    print_row("stored skipped key, B", count(kept.skipped), Some(count(olm::stored_skipped())));
    print_row("idle session in memory, B", count(kept.memory), Some(count(memory)));
    let Healing { dialogue, requested } = Healing::measure();
    print_row("post-quantum healing, round trips", f64::from(dialogue), None);
    print_row("  on request, at most", f64::from(requested[0].max(requested[1])), None);
}

fn time(path: &mut dyn Path) -> Duration {
    path.prepare();
    let start = Instant::now();
    path.run();
    start.elapsed()
}

/// Microseconds for a message.
fn median(samples: &mut [Duration], messages: u32) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64() * 1e6 / f64::from(messages)
}

fn count(bytes: usize) -> f64 {
    u32::try_from(bytes).map_or(f64::NAN, f64::from)
}

fn print_row(name: &str, ours: f64, theirs: Option<f64>) {
    let digits = usize::from(ours < 100.0 && ours.fract() != 0.0);
    let theirs = theirs.map(|theirs| (format!("{theirs:.digits$}"), format!("{:.2}", ours / theirs)));
    let (theirs, ratio) = theirs.unwrap_or_else(|| ("–".into(), String::new()));
    println!("{name:<34}{ours:>12.digits$}{theirs:>12}{ratio:>8}");
}
