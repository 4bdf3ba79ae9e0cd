//! The demonstration holds what it claims, whatever the seed, and shows everything.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../examples/demo/main.rs"]
#[expect(dead_code, unreachable_pub, reason = "a program of its own, whose `main` is not run here")]
mod demo;

fn shown(seed: u64) -> String {
    let mut out = Vec::new();
    demo::run(&mut out, false, seed).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_claim_holds_for_several_seeds() {
    for seed in 1..=5 {
        let shown = shown(seed);
        assert!(shown.contains("KEM epochs begun: 1"), "{shown}");
        assert_eq!(shown.matches("✓").count(), 22, "{shown}");
    }
}

#[test]
fn the_same_seed_shows_the_same() {
    assert_eq!(shown(1), shown(1));
    assert_ne!(shown(1), shown(2));
}

#[test]
fn without_colour_there_are_no_escapes() {
    assert!(!shown(1).contains('\u{1b}'));
    let mut out = Vec::new();
    demo::run(&mut out, true, 1).unwrap();
    assert!(String::from_utf8(out).unwrap().contains('\u{1b}'));
}

#[test]
fn an_output_that_fails_is_an_error() {
    let mut full = [0; 100];
    assert!(demo::run(&mut full.as_mut_slice(), false, 1).is_err());
}
