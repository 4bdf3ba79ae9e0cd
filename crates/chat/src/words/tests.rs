use super::*;
use xmpp_e2e_client::xmpp_e2e::{
    LinkFault, Malformed, Means, Misbehaviour, NotCovered, RunId, ScanOutcome, Uncovered, VerificationFault,
};

/// Words that nobody needs to know who wants to talk to somebody.
const JARGON: [&str; 14] = [
    "ratchet",
    "prekey",
    "stanza",
    "advert",
    "suite",
    "pep",
    "session",
    "handshake",
    "epoch",
    "iq ",
    "xml",
    "token",
    "digest",
    "kem",
];

const OWN: &str = "romeo@example.net";

fn check(sentence: &str) {
    let small = sentence.to_lowercase();
    for word in JARGON {
        assert!(!small.contains(word), "{word}: {sentence}");
    }
    assert!(!sentence.is_empty() && !sentence.contains(['{', '}', '\n', '\t']), "{sentence}");
}

fn events() -> Vec<Event> {
    let peer = BareJid::parse("juliet@example.com").unwrap();
    let known = BareJid::parse("nurse@example.com").unwrap();
    let (device, digest) = (7, [0xab; 32]);
    let p = || peer.clone();
    let mut all = vec![
        Event::AdvertMissing { peer: p() },
        Event::Duplicate { peer: p(), device },
        Event::RolledBack { peer: p() },
        Event::Unchained { peer: p(), device },
        Event::Superseded { peer: p(), device },
        Event::KeyChanged { peer: p(), digest, verified_elsewhere: false },
        Event::KeyChanged { peer: p(), digest, verified_elsewhere: true },
        Event::KeyReused { peer: p(), known },
        Event::Scanned { peer: p(), outcome: ScanOutcome::Mismatch },
        Event::Scanned { peer: p(), outcome: ScanOutcome::Expected },
        Event::Scanned { peer: p(), outcome: ScanOutcome::Verified },
        Event::DeviceRetired { peer: p(), device: 7 },
        Event::TrustChanged { peer: p(), trust: Trust::Verified, means: Means::Code },
        Event::TrustChanged { peer: p(), trust: Trust::Distrusted, means: Means::User },
        Event::Encrypts { peer: p(), digest },
        Event::Left { peer: p() },
        Event::NewDevice { peer: p(), device },
        Event::Published,
        Event::SuitesShrank { peer: p(), device },
        Event::ListWithheld { peer: p() },
        Event::Retired,
        Event::TooManyDevices,
        Event::AgentFailed,
    ];
    let faults = [
        PublishFault::Absent,
        PublishFault::Refused,
        PublishFault::AccessModel,
        PublishFault::Lost,
        PublishFault::NoAnswer,
    ];
    all.extend(faults.map(|why| Event::PublishFailed { why }));
    let ends = [HistoryEnd::Dropped, HistoryEnd::Expired, HistoryEnd::Replaced, HistoryEnd::Taken];
    all.extend(ends.map(|why| Event::HistoryEnded { id: [1; 16], device, why }));
    let unreadable = [
        Unreadable::Bounced,
        Unreadable::NotForThisDevice,
        Unreadable::NoSession,
        Unreadable::NoPrekey,
        Unreadable::NoRecord,
        Unreadable::UnknownAlgorithm,
        Unreadable::Agent,
    ];
    let reasons = unreadable.map(Reason::Unreadable).into_iter().chain([
        Reason::Unauthentic,
        Reason::Malformed(Malformed::Xml),
        Reason::Misbehaved(Misbehaviour::RolledBack),
    ]);
    for reason in reasons {
        for recoverable in [false, true] {
            all.push(Event::Rejected { peer: Some(p()), device: Some(7), reason, recoverable });
            all.push(Event::Rejected { peer: None, device: None, reason, recoverable });
        }
    }
    all.push(Event::Cloned);
    all.push(Event::Foreign { peer: p(), namespace: "urn:xmpp:omemo:2".to_owned() });
    all.push(Event::Recovering { peer: p(), device: 7 });
    all.push(Event::Resent { peer: p(), device: 7, count: 3 });
    all
}

#[test]
fn every_event_has_a_sentence() {
    // Its consent cannot be made here.
    check(&CLEAR_TEXT.replace("{}", "juliet@example.com"));
    for event in events() {
        let said = security(&event, OWN);
        check(&said.sentence);
        assert_ne!(said.kind, "other", "{event:?}");
        if let Some(jid) = &said.jid {
            assert!(said.sentence.contains(jid.as_str()) || said.kind == "no-keys", "{event:?}");
        }
    }
}

#[test]
fn what_nobody_can_act_on_is_no_warning() {
    let peer = BareJid::parse("juliet@example.com").unwrap();
    assert_eq!(security(&Event::Duplicate { peer: peer.clone(), device: 1 }, OWN).level, Level::Note);
    let reason = Reason::Unreadable(Unreadable::NotForThisDevice);
    assert_eq!(
        security(
            &Event::Rejected { peer: Some(peer.clone()), device: None, reason, recoverable: false },
            OWN
        )
        .level,
        Level::Note
    );
    let event = Event::KeyChanged { peer, digest: [0; 32], verified_elsewhere: false };
    assert_eq!(security(&event, OWN).level, Level::Warning);
}

#[test]
fn a_new_device_of_the_own_account_is_a_warning() {
    let new = |jid: &str| Event::NewDevice { peer: BareJid::parse(jid).unwrap(), device: 7 };
    let said = security(&new("juliet@example.com"), OWN);
    assert_eq!((said.level, said.kind), (Level::Info, "new-device"));
    let said = security(&new(OWN), OWN);
    assert_eq!((said.level, said.kind), (Level::Warning, "new-device"));
    check(&said.sentence);
    assert!(said.sentence.contains(OWN) && said.sentence.contains("/retire 7"));
}

#[test]
fn every_fate_has_a_word_and_a_sentence() {
    let waits = [Waiting::Agent, Waiting::Connection, Waiting::Keys, Waiting::Publication];
    let failures = [
        SendError::Agent,
        SendError::Distrusted,
        SendError::Incomplete,
        SendError::Untrusted,
        SendError::Bounced,
        SendError::Cancelled,
        SendError::Full,
        SendError::KeyChanged,
        SendError::Left,
        SendError::Level,
        SendError::NoKeys,
        SendError::NotForRooms,
        SendError::NotProtectable,
        SendError::OtherAccountKey,
        SendError::TooLarge,
    ];
    let said = waits.map(waiting).into_iter().chain(failures.map(failed));
    for (word, sentence) in said {
        check(sentence);
        assert!(word != "other" && !word.contains(' '), "{sentence}");
    }
    for now in
        [Outlook::Clear, Outlook::Encrypted, Outlook::EncryptedLater, Outlook::Refused(SendError::NoKeys)]
    {
        check(&outlook(now).1);
    }
}

#[test]
fn coverage_says_who_sees_nothing() {
    let mut all = Coverage::default();
    all.devices = vec![1];
    assert_eq!(coverage(&all), "encrypted for 1 device");
    all.devices = vec![1, 2];
    all.own_devices = vec![3];
    all.missing = [4, 5].map(|device| NotCovered::new(device, false, Uncovered::NoRecord)).to_vec();
    all.resources_without = 1;
    let words = coverage(&all);
    check(&words);
    assert_eq!(
        words,
        "encrypted for 2 devices and 1 other of yours; 2 devices cannot read it; \
        1 other program of the contact sees nothing of it"
    );
}

#[test]
fn comparing_and_linking_have_words() {
    let peer = BareJid::parse("juliet@example.com").unwrap();
    let p = || peer.clone();
    let (run, device) = (RunId::from_bytes([1; 16]), 7);
    let mut all = vec![
        Event::VerificationAsked { peer: p(), device, run, question: None },
        Event::VerificationStarted { peer: p(), device, run },
        Event::VerificationDone { peer: p(), run },
        Event::Linked { device },
        Event::LinkingAsked { device, run },
        Event::OtherAccountKey { digest: [1; 32] },
    ];
    let faults = [
        VerificationFault::Busy,
        VerificationFault::Cancelled,
        VerificationFault::Gone,
        VerificationFault::KeyChanged,
        VerificationFault::Malformed,
        VerificationFault::Mismatch,
        VerificationFault::NoSession,
        VerificationFault::SessionChanged,
        VerificationFault::Superseded,
        VerificationFault::TimedOut,
        VerificationFault::TooMany,
        VerificationFault::WrongSecret,
    ];
    all.extend(faults.map(|why| Event::VerificationFailed { peer: p(), run, why }));
    let faults = [
        LinkFault::AccountChanged,
        LinkFault::Agent,
        LinkFault::Cancelled,
        LinkFault::Elsewhere,
        LinkFault::Invalid,
        LinkFault::Mismatch,
        LinkFault::Refused,
        LinkFault::TimedOut,
        LinkFault::TooMany,
    ];
    all.extend(faults.map(|why| Event::LinkingFailed { run, why }));
    let mut sentences = std::collections::BTreeSet::new();
    for event in all {
        let said = security(&event, OWN);
        check(&said.sentence);
        assert_ne!(said.kind, "other", "{event:?}");
        assert!(sentences.insert(said.sentence), "{event:?}");
    }
}
