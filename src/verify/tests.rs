use super::*;
use crate::suite::AlgorithmId;

fn party(byte: u8) -> Party {
    Party {
        jid: format!("{byte}@example.org").as_bytes().into(),
        account: AccountKey::new(AlgorithmId(1), &[byte; 32], b""),
        device: u32::from(byte),
        signing_key: PublicKey::new(AlgorithmId(1), &[byte + 1; 32]),
        agreement_keys: vec![PublicKey::new(AlgorithmId(1), &[byte + 2; 32])],
    }
}

/// Changes of one thing in a run.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a change of its own")]
struct Change {
    purpose: bool,
    secret: bool,
    run: bool,
    session: bool,
    exported: bool,
    parties: Option<[Party; 2]>,
    contributions: Option<[u8; 2]>,
    shared: bool,
}

fn outcome(change: Change) -> (String, Vec<u8>, Vec<u8>) {
    let [initiator, responder] = change.parties.unwrap_or([party(10), party(20)]);
    let [a, b] = change.contributions.unwrap_or([1, 2]).map(|byte| [byte; 32]);
    let transcript = Transcript {
        purpose: if change.purpose { "linking" } else { PURPOSE },
        method: if change.secret { Method::Secret } else { Method::ShortString },
        run: RunId([if change.run { 4 } else { 3 }; 16]),
        session: [if change.session { 6 } else { 5 }; 16],
        initiator: &initiator,
        responder: &responder,
        contributions: [&a, &b],
        shared: if change.shared { b"k" } else { b"" },
    };
    let exported = Secret::from(&[if change.exported { 8 } else { 7 }; 32][..]);
    let outcome = transcript.outcome(&exported).ok().unwrap();
    let [first, second] = outcome.confirmations;
    (outcome.string.digits(), first.expose().to_vec(), second.expose().to_vec())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Computed apart from this code, with Python's `hmac` and `hashlib`.
#[test]
fn vectors() {
    let (string, first, second) = outcome(Change::default());
    assert_eq!(string, "17840 82267 62150");
    assert_eq!(hex(&first), "531d40b080a9e90cfa322d4207e5a3d3e8a01ad64cc67e0fc441962b1b9bcdf7");
    assert_eq!(hex(&second), "518550870ed7caa7d401db537d93ef17cd4264a6c12ab5362e87ea459d2dc9a6");
    assert_eq!(
        hex(&commit(PURPOSE, RunId([3; 16]), &[2; 32])),
        "da79dbeb484171bb31e0e6aad8524bd4b6f3faa91853d5cfec81621f4860e3ff"
    );
}

#[test]
fn whatever_differs_gives_another_string_and_other_confirmations() {
    let mut other_account = party(20);
    other_account.account = AccountKey::new(AlgorithmId(2), &[20; 32], b"");
    let mut other_device = party(20);
    other_device.device = 99;
    let mut other_signing = party(20);
    other_signing.signing_key = PublicKey::new(AlgorithmId(1), &[99; 32]);
    let mut other_agreement = party(20);
    other_agreement.agreement_keys.push(PublicKey::new(AlgorithmId(2), &[1; 32]));
    let mut other_jid = party(20);
    other_jid.jid = b"mallory@example.org"[..].into();
    let changed = [other_account, other_device, other_signing, other_agreement, other_jid];
    let mut all = vec![
        outcome(Change::default()),
        outcome(Change { purpose: true, ..Change::default() }),
        outcome(Change { secret: true, ..Change::default() }),
        outcome(Change { run: true, ..Change::default() }),
        outcome(Change { session: true, ..Change::default() }),
        outcome(Change { exported: true, ..Change::default() }),
        outcome(Change { shared: true, ..Change::default() }),
        outcome(Change { contributions: Some([2, 1]), ..Change::default() }),
        outcome(Change { parties: Some([party(20), party(10)]), ..Change::default() }),
    ];
    for responder in changed {
        all.push(outcome(Change { parties: Some([party(10), responder]), ..Change::default() }));
    }
    for (place, one) in all.iter().enumerate() {
        assert_ne!(one.1, one.2);
        for other in &all[place + 1..] {
            assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2);
        }
    }
}

#[test]
fn a_commitment_is_to_one_contribution_in_one_run() {
    let ours = commit("a", RunId([3; 16]), &[1; 32]);
    assert_eq!(ours, commit("a", RunId([3; 16]), &[1; 32]));
    assert_ne!(ours, commit("b", RunId([3; 16]), &[1; 32]));
    assert_ne!(ours, commit("a", RunId([4; 16]), &[1; 32]));
    assert_ne!(ours, commit("a", RunId([3; 16]), &[2; 32]));
}
