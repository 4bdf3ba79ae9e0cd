//! Histories of several people with several devices, on bad networks and hostile servers, with all that can go wrong
//! with a device: in memory, in virtual time, the same for the same seed.
//!
//! ```text
//! cargo run --release --example simulate -- --histories 1000 --seed 1 [--suite fake|real] [--threads N]
//! cargo run --release --example simulate -- --replay 17 [--keep 3,5,9] [--log]
//! ```
//!
//! Prints what happened in figures. A history in which something is wrong is shrunk to the actions needed, and printed
//! with the command that runs it again; the program then ends with an error.

use std::process::ExitCode;

use xmpp_e2e_testkit::simulation::{Cryptography, Plan, Rule, run, run_many, shrink};

/// How many failed histories are shown.
const SHOWN: usize = 3;

struct Options {
    histories: u64,
    seed: u64,
    cryptography: Cryptography,
    threads: usize,
    replay: Option<u64>,
    keep: Option<Vec<usize>>,
    log: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    // Panics are a history's outcome, and said there.
    std::panic::set_hook(Box::new(|_| {}));
    match options.replay {
        Some(seed) => replay(seed, &options),
        None => many(&options),
    }
}

fn many(options: &Options) -> ExitCode {
    let seeds = options.seed..options.seed.saturating_add(options.histories);
    let (figures, failed) = run_many(seeds, options.cryptography, options.threads);
    print!("{figures}");
    for (seed, violation) in failed.iter().take(SHOWN) {
        println!("\nseed {seed}: {violation}");
        let small = shrink(&Plan::new(*seed), options.cryptography);
        let numbers: Vec<String> = small.numbers().iter().map(ToString::to_string).collect();
        for (number, action) in &small.actions {
            println!("  {number}: {action:?}");
        }
        if let Some(violation) = run(&small, options.cryptography, false).violation {
            println!("  {violation}");
        }
        println!("  --replay {seed} --keep {} --log{}", numbers.join(","), suite(options.cryptography));
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} of {} histories failed:", failed.len(), options.histories);
    let mut rules: Vec<Rule> = failed.iter().map(|(_, violation)| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    for rule in rules {
        let seeds = failed.iter().filter(|(_, violation)| violation.rule == rule);
        let seeds: Vec<String> = seeds.map(|(seed, _)| seed.to_string()).collect();
        println!("  {rule:?}: {}", seeds.join(" "));
    }
    ExitCode::FAILURE
}

fn replay(seed: u64, options: &Options) -> ExitCode {
    let whole = Plan::new(seed);
    let plan = options.keep.as_ref().map_or(whole.clone(), |numbers| whole.keep(numbers));
    println!("{:?}", plan.shape);
    let outcome = run(&plan, options.cryptography, options.log);
    for line in &outcome.log {
        println!("{line}");
    }
    print!("{}", outcome.figures);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
    }
}

fn suite(cryptography: Cryptography) -> &'static str {
    match cryptography {
        Cryptography::Fake => "",
        Cryptography::Real => " --suite real",
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        histories: 100,
        seed: 1,
        cryptography: Cryptography::Fake,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        replay: None,
        keep: None,
        log: false,
    };
    while let Some(name) = args.next() {
        if name == "--log" {
            options.log = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"));
        match &*name {
            "--histories" => options.histories = number()?,
            "--seed" => options.seed = number()?,
            "--replay" => options.replay = Some(number()?),
            "--threads" => options.threads = usize::try_from(number()?).map_err(|wrong| wrong.to_string())?,
            "--keep" => {
                let numbers = value.split(',').filter(|number| !number.is_empty()).map(str::parse);
                let numbers = numbers.collect::<Result<_, _>>();
                options.keep = Some(numbers.map_err(|_| format!("{value} is no list of numbers"))?);
            }
            "--suite" => {
                options.cryptography = match &*value {
                    "fake" => Cryptography::Fake,
                    "real" => Cryptography::Real,
                    _ => return Err(format!("{value} is no suite: fake or real")),
                };
            }
            _ => return Err(format!("{name} is no option")),
        }
    }
    Ok(options)
}
