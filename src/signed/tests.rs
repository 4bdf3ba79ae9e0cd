use super::*;
use crate::identity::fixture::{Device, NOW, damaged, now};
use crate::presence::ADVERT_LABEL;

const DAY: u32 = 24 * 60 * 60;
const HASHES: [Digest; 2] = [[1; 32], [2; 32]];
const SAID: Statement<'static> = Statement {
    kind: StatementKind::Message,
    audience: None,
    subject: "chat",
    inner_id: "a1",
    covered: Covered::Hashes(&HASHES),
};

fn tbs(device: &Device, said: &Statement<'_>) -> SignedTbs {
    SignedTbs::new(said, device.id, 9, now(), Timestamp::from_secs(NOW + DAY))
}

fn signed_as(label: &str, device: &Device, tbs: &[u8]) -> Vec<u8> {
    let jid = wire::encode(&spelled(&device.jid));
    join(tbs, &device.signature(label, &[tbs, &jid]))
}

fn signed(device: &Device, tbs: &SignedTbs) -> Vec<u8> {
    signed_as(SIGNED_LABEL, device, &tbs.encode())
}

fn verify(bytes: &[u8], device: &Device) -> Result<Signed, Reason> {
    SignedIn::decode(bytes)?.verify(&device.jid, &device.certificate(), &Suites::default(), now())
}

#[test]
fn round_trip_and_size() {
    let device = Device::new("alice@example.com", 1);
    let bob = BareJid::parse("bob@example.org").unwrap();
    let opaque = Covered::Opaque("<body>\u{263A}</body>");
    let all = [
        SAID,
        Statement { audience: Some(&bob), ..SAID },
        Statement { kind: StatementKind::Presence, subject: "", inner_id: "", ..SAID },
        Statement { kind: StatementKind::Iq, subject: "set", covered: opaque, ..SAID },
        Statement { kind: StatementKind::Item, subject: "urn:xmpp:microblog:0", ..SAID },
        Statement { covered: Covered::Hashes(&[]), ..SAID },
    ];
    for said in all {
        let bytes = signed(&device, &tbs(&device, &said));
        let whole = verify(&bytes, &device).unwrap();
        assert_eq!(whole.statement(), said);
        assert_eq!((whole.sequence(), whole.time()), (9, now()));
        assert_eq!(whole.bytes(), bytes);
        assert!(whole.is_for(&bob));
        assert_eq!(whole.is_for(&device.jid), said.audience.is_none());
        let (content, signature) = bytes.split_at(bytes.len() - 66);
        let (certificate, suites) = (device.certificate(), Suites::default());
        let issue = |jid| Signed::issue(content, &signature[2..], jid, certificate.signing_key(), &suites);
        assert_eq!(issue(&device.jid).unwrap().bytes(), bytes);
        assert_eq!(issue(&bob).err(), Some(Reason::Unauthentic));
    }
    assert_eq!(signed(&device, &tbs(&device, &SAID)).len(), 168);
}

#[test]
fn a_message_without_type_is_a_normal_one() {
    let device = Device::new("alice@example.com", 1);
    let without = tbs(&device, &Statement { subject: "", ..SAID });
    assert_eq!(verify(&signed(&device, &without), &device).unwrap().statement().subject, "normal");
    let empty = SignedTbs { subject: String::new(), ..without };
    assert_eq!(verify(&signed(&device, &empty), &device).err(), Some(Malformed::Encoding.into()));
}

#[test]
fn nothing_damaged_is_accepted() {
    let device = Device::new("alice@example.com", 1);
    let bytes = signed(&device, &tbs(&device, &SAID));
    for bytes in damaged(&bytes) {
        assert!(verify(&bytes, &device).is_err());
    }
    let version = SignedIn::decode(&[&[1], &bytes[1..]].concat()).err();
    assert_eq!(version, Some(Malformed::Version.into()));
    assert_eq!(SignedIn::decode(&[]).err(), Some(Malformed::Encoding.into()));
}

#[test]
fn lengths_are_minimal_and_kinds_known() {
    let device = Device::new("alice@example.com", 1);
    let good = tbs(&device, &SAID).encode();
    // After version, kind, device, sequence, time and expiry: the length of the audience.
    let (head, tail) = good.split_at(1 + 1 + 4 + 8 + 8 + 4);
    assert_eq!(tail[..6], *b"\0\x04chat");
    let refused = |tbs: &[u8]| {
        assert!(SignedTbs::decode(tbs).is_err());
        verify(&signed_as(SIGNED_LABEL, &device, tbs), &device).err()
    };
    let encoding = Some(Malformed::Encoding.into());
    assert_eq!(refused(&[head, &[0x40], tail].concat()), encoding);
    assert_eq!(refused(&[head, &[0, 0x40], &tail[1..]].concat()), encoding);
    assert!(SignedTbs::decode(&[&good[..], &[0]].concat()).is_err());
    for kind in [0, 5] {
        assert_eq!(refused(&[&good[..1], &[kind], &good[2..]].concat()), encoding);
    }
    let form = good.len() - 2 - 64 - 1;
    for unknown in [0, 3] {
        assert_eq!(refused(&[&good[..form], &[unknown], &good[form + 1..]].concat()), encoding);
    }
    // Not UTF-8.
    assert_eq!(refused(&[head, b"\0\x04\xFFhat", &tail[6..]].concat()), encoding);
}

#[test]
fn of_its_account_device_and_label_only() {
    let (alice, bob) = (Device::new("alice@example.com", 1), Device::new("bob@example.com", 2));
    let good = tbs(&alice, &SAID);
    let bytes = signed(&alice, &good);
    let wrong = Some(Misbehaviour::WrongSubject.into());
    assert_eq!(verify(&bytes, &bob).err(), wrong);
    let decoded = SignedIn::decode(&bytes).ok().unwrap();
    assert_eq!(decoded.device(), alice.id);
    let (certificate, suites) = (alice.certificate(), Suites::default());
    assert_eq!(decoded.verify(&bob.jid, &certificate, &suites, now()).err(), wrong);
    let second = SignedTbs { device: alice.id ^ 1, ..good.clone() };
    assert_eq!(verify(&signed(&alice, &second), &alice).err(), wrong);
    // The same bytes by another device, for another account, under another label, without the JID.
    let unauthentic = Some(Reason::Unauthentic);
    assert_eq!(verify(&signed(&bob, &good), &alice).err(), unauthentic);
    let of_bob = [good.encode(), wire::encode(&spelled(&bob.jid))];
    let signature = alice.signature(SIGNED_LABEL, &[&of_bob[0], &of_bob[1]]);
    assert_eq!(verify(&join(&of_bob[0], &signature), &alice).err(), unauthentic);
    assert_eq!(verify(&signed_as(ADVERT_LABEL, &alice, &good.encode()), &alice).err(), unauthentic);
    assert_eq!(verify(&alice.sign_as_device(SIGNED_LABEL, &good.encode()), &alice).err(), unauthentic);
}

#[test]
fn time_is_checked_apart() {
    let device = Device::new("alice@example.com", 1);
    let at = |time, expiry| {
        let tbs = SignedTbs { time: Timestamp::from_secs(time), expiry, ..tbs(&device, &SAID) };
        verify(&signed(&device, &tbs), &device).and_then(|signed| signed.check_time(now()))
    };
    let expired = Err(Misbehaviour::Expired.into());
    assert_eq!(at(NOW - 9 * DAY, NOW - DAY), Ok(()));
    assert_eq!(at(NOW - 9 * DAY, NOW - DAY - 1), expired);
    assert_eq!(at(NOW + DAY, NOW + DAY), Ok(()));
    assert_eq!(at(NOW + DAY + 1, NOW + 9 * DAY), expired);
    assert_eq!(at(NOW, NOW + 31 * DAY), Ok(()));
    assert_eq!(at(NOW, NOW + 31 * DAY + 1), expired);
    assert_eq!(at(NOW, u32::MAX), expired);
    // From an archive it still says what it said.
    let old =
        SignedTbs { time: Timestamp::from_secs(NOW - 9 * DAY), expiry: NOW - 8 * DAY, ..tbs(&device, &SAID) };
    assert!(verify(&signed(&device, &old), &device).is_ok());
    let backwards = SignedTbs { expiry: NOW - 1, ..tbs(&device, &SAID) };
    assert_eq!(verify(&signed(&device, &backwards), &device).err(), Some(Misbehaviour::Expired.into()));
    // The certificate ends with a day of tolerance.
    let later = Timestamp::from_secs(NOW + 1_000_000 + DAY + 1);
    let decoded = SignedIn::decode(&signed(&device, &tbs(&device, &SAID))).ok().unwrap();
    let late = decoded.verify(&device.jid, &device.certificate(), &Suites::default(), later).err();
    assert_eq!(late, Some(Misbehaviour::Expired.into()));
}

#[test]
fn bounds() {
    let device = Device::new("alice@example.com", 1);
    let taken = |said: &Statement<'_>| verify(&signed(&device, &tbs(&device, said)), &device).is_ok();
    let text = |len| "x".repeat(len);
    assert!(taken(&Statement { covered: Covered::Hashes(&[[7; 32]; MAX_COVERED]), ..SAID }));
    assert!(!taken(&Statement { covered: Covered::Hashes(&[[7; 32]; MAX_COVERED + 1]), ..SAID }));
    assert!(!taken(&Statement { covered: Covered::Opaque(&text(MAX_OPAQUE + 1)), ..SAID }));
    assert!(!taken(&Statement { subject: &text(MAX_NAME + 1), ..SAID }));
    assert!(!taken(&Statement { inner_id: &text(MAX_NAME + 1), ..SAID }));
    let (name, xml) = (text(MAX_NAME), text(MAX_OPAQUE));
    assert!(taken(&Statement { subject: &name, inner_id: &name, covered: Covered::Opaque(&xml), ..SAID }));
    let refused = |change: fn(&mut SignedTbs)| {
        let mut tbs = tbs(&device, &SAID);
        change(&mut tbs);
        verify(&signed(&device, &tbs), &device).err()
    };
    let encoding = Some(Malformed::Encoding.into());
    assert_eq!(refused(|tbs| tbs.device = 0), encoding);
    assert_eq!(refused(|tbs| tbs.covered = vec![0; 33].into()), encoding);
    assert_eq!(refused(|tbs| (tbs.form, tbs.covered) = (Form::Opaque, vec![0xFF].into())), encoding);
    assert_eq!(refused(|tbs| tbs.audience = b"bob@example.org/desk"[..].into()), Some(Malformed::Jid.into()));
    assert_eq!(refused(|tbs| tbs.audience = b"Bob@example.org"[..].into()), Some(Malformed::Jid.into()));
}
