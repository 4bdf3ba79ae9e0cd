//! The example of a suite from outside does what it says.

#[path = "../examples/custom_suite.rs"]
#[expect(dead_code, unreachable_pub, reason = "a program of its own, whose `main` is not run here")]
mod custom_suite;

#[test]
fn engines_with_it_use_it_and_others_fall_back() {
    let mut out = Vec::new();
    custom_suite::run(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let uses = |suite| out.matches(suite).count();
    assert_eq!((uses("suite 0xf001"), uses("suite 0x0001")), (2, 2), "{out}");
}
