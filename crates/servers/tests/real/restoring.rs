//! An old backup is put back, and an account leaves, at the terminal client.

use xmpp_e2e_servers::Missing;

use crate::devices::{MARK, expect, meet, say};
use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    for (number, domain) in [(50, "a.test"), (51, "e.test")] {
        add(
            all,
            format!("c2 an old backup put back, {domain}"),
            move || async move { put_back(number, domain) },
        );
    }
    add(all, "c23 an account leaves, a.test", || async { leaves() });
}

fn put_back(number: u8, domain: &str) -> Result<(), Missing> {
    let (servers, _folder, mut alice, mut bob) = meet("restoring", number, domain)?;
    let (alice_jid, bob_jid) = (alice.account.clone(), bob.account.clone());
    let mut of_alice = say(&mut alice, "alice", 0..5);
    let mut of_bob = say(&mut bob, "bob", 0..5);
    expect(&bob, &alice_jid, "in", &of_alice);
    expect(&alice, &bob_jid, "in", &of_bob);
    assert_eq!(alice.end(), Some(0), "{}", alice.tail());
    alice.back_up();
    // They go on for a while, so that many keys are used.
    alice.start();
    alice.wait(&["caught-up"]);
    for round in 1..4 {
        of_alice.extend(say(&mut alice, "alice", 5 * round..5 * round + 5));
        expect(&bob, &alice_jid, "in", &of_alice);
        of_bob.extend(say(&mut bob, "bob", 5 * round..5 * round + 5));
        expect(&alice, &bob_jid, "in", &of_bob);
    }
    assert_eq!(alice.end(), Some(0), "{}", alice.tail());
    // And while it is away.
    of_bob.extend(say(&mut bob, "bob", 20..25));
    alice.put_back();
    alice.set_option("--restored", true);
    alice.start();
    alice.wait(&["caught-up"]);
    alice.set_option("--restored", false);
    of_alice.extend(say(&mut alice, "alice", 20..23));
    expect(&bob, &alice_jid, "in", &of_alice);
    of_bob.extend(say(&mut bob, "bob", 25..28));
    // What came since the backup is in the archive, under keys that are gone: it is asked for again.
    expect(&alice, &bob_jid, "in", &of_bob);
    of_alice.extend(say(&mut alice, "alice", 23..25));
    expect(&bob, &alice_jid, "in", &of_alice);
    for who in [&mut alice, &mut bob] {
        assert_eq!(who.end(), Some(0), "{}", who.tail());
    }
    let files = servers.files_with(MARK);
    assert!(files.is_empty(), "clear text in {files:?}");
    Ok(())
}

fn leaves() -> Result<(), Missing> {
    let (_servers, _folder, mut alice, mut bob) = meet("restoring", 52, "a.test")?;
    let of_alice = say(&mut alice, "alice", 0..3);
    expect(&bob, &alice.account, "in", &of_alice);
    alice.say("/leave");
    alice.wait(&["error"]);
    alice.say("/leave really");
    bob.wait(&["warning", "left", &alice.account]);
    // In clear, as the user was told.
    bob.say("in clear now");
    bob.wait(&["queued"]);
    alice.wait(&["in", &bob.account, "clear"]);
    for who in [&mut alice, &mut bob] {
        assert_eq!(who.end(), Some(0), "{}", who.tail());
    }
    Ok(())
}
