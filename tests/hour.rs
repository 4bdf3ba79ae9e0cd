//! The least integration stays small, and does what the manual says.

/// Of code: neither comments nor empty lines.
const MOST_LINES: usize = 150;

#[test]
fn it_is_small() {
    let text = include_str!("../examples/minimal.rs");
    let code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = text.lines().filter(code).count();
    assert!(lines <= MOST_LINES, "{lines} lines");
}

#[test]
fn it_works() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "minimal"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let protected = said.lines().filter(|line| line.contains(": encrypted: "));
    let protected: Vec<_> = protected.collect();
    assert!(
        matches!(protected[..], [one] if one.starts_with("juliet@") && one.contains("Good night")),
        "{said}"
    );
    assert!(!said.lines().any(|line| line.contains(": in clear: ") && line.contains("Good night")));
}
