//! What fuzzers and the replay of their corpora need from inside. Not part of the API.
//!
//! Each function takes any bytes, and panics where the code does not keep its word.

use crate::agent::{AgentIdentity, AgentReply, AgentRequest, LocalAgent};
use crate::engine::records::{
    Accepted, Arrival, Ask, Contact, Counters, Device, History, InboxItem, Linking, OneTime, Opening,
    OutboxItem, Own, OwnPrekeys, Request, SessionKey, Verification, WaitingSend,
};
use crate::env::Timestamp;
use crate::error::Malformed;
use crate::history::{Decisions, HistoryMessage};
use crate::identity::{
    CertificateTbs, DeviceCertificate, DeviceList, DeviceRecord, Digest, ListTbs, MAX_LIST, MAX_PREKEY,
    MAX_RECORD, PrekeyTbs, RecordTbs, join, split,
};
use crate::jid::BareJid;
use crate::linking::LinkingMessage;
use crate::presence::{AdvertIn, AdvertTbs, MAX_ADVERT, PresenceMeaning};
use crate::session::header::Header;
use crate::session::{AwaitAa, AwaitEa, AwaitLegs, Flight, Payload, Session, SkippedBlock};
use crate::signed::{MAX_SIGNED, SignedIn, SignedTbs};
use crate::stanza::canonical::{Reduced, is_fragile};
use crate::stanza::covered::{Uncoverable, attach, attached, cover, uncover};
use crate::stanza::envelope::{self, Envelope};
use crate::stanza::{
    Content, Element, MAX_STANZA, Padding, parse, parse_children, write_children, write_stanza,
};
use crate::store::table::{Key, Record};
use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID, Suites};
use crate::verify;
use crate::wire::{self, from_base64, to_base64};

/// The reader: what it takes is written so that it is read equal. What can be covered of it is
/// uncovered, and covered the same after it was written and read.
pub fn stanza(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(element) = parse(text) {
        let written = write_stanza(&element);
        assert!(same(parse(&written), &element), "read, written and read again: another stanza");
        covered(&element);
        if let Some(meaning) = PresenceMeaning::of(&element) {
            assert_eq!(PresenceMeaning::decode(&meaning.encode()), Ok(meaning));
        }
        assert_eq!(write_stanza(&element.into_owned()), written);
    }
    if let Ok(children) = parse_children(text) {
        let mut written = String::new();
        write_children(&children, crate::stanza::CLIENT_NS, &mut written);
        assert!(same(parse_children(&written), &children), "read, written and read again: other children");
    }
}

fn covered(stanza: &Element<'_>) {
    for child in stanza.elements() {
        let reduced = Reduced::of(child).into_element();
        assert!(!is_fragile(&reduced));
        assert!(Reduced::of(&reduced).into_element() == reduced, "reduced twice: another child");
    }
    let digests = match cover(stanza) {
        Ok(digests) => digests,
        Err(Uncoverable::Fragile | Uncoverable::TooMany) => return,
    };
    let complete = |stanza: &Element<'_>| {
        uncover(stanza, &digests).is_ok_and(|uncovered| {
            uncovered.missing == 0
                && uncovered.dropped.is_empty()
                && uncovered.children.len() == digests.len()
        })
    };
    assert!(complete(stanza), "covered and not uncovered");
    // A name that is none, so that no stanza has it already.
    let marked = attach(stanza.clone(), Element::new(crate::NS, "!"));
    assert!(attached(&marked, "!").is_some());
    let authenticated = attach(stanza.clone(), Element::new(crate::NS, "e"));
    match parse(&write_stanza(&authenticated)) {
        Ok(read) => {
            assert_eq!(cover(&read).as_ref(), Ok(&digests), "written and read: other digests");
            assert!(complete(&read));
        }
        Err(malformed) => assert_eq!(malformed, Malformed::TooLarge),
    }
}

/// Whether this was read again as `expected`, unless it was longer, or had more declarations, than
/// the reader takes.
fn same<T: PartialEq>(read: Result<T, Malformed>, expected: &T) -> bool {
    match read {
        Ok(read) => read == *expected,
        Err(malformed) => malformed == Malformed::TooLarge,
    }
}

/// How many kinds of structures [`decoders`] knows; the first byte says which one follows.
pub const DECODERS: u8 = 54;

/// Every decoder of bytes: what it takes is encoded to the same bytes.
#[expect(clippy::too_many_lines, reason = "a list")]
pub fn decoders(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % DECODERS {
        kind @ 0..=7 => signed(kind, bytes),
        8 => sealed(bytes),
        9 => {
            if let Ok((flight, rest)) = Flight::decode_prefix(bytes) {
                assert_eq!([wire::encode(&flight), rest.to_vec()].concat(), bytes);
                let clear = flight.clear_header();
                assert!(bytes.starts_with(&clear));
                let _ = flight.check(&SUITE_HYBRID);
            }
        }
        10 => {
            if let Ok(payload) = Payload::decode(bytes) {
                assert_eq!(wire::encode(&payload), bytes);
            }
        }
        11 => header(bytes),
        12 => content(bytes),
        13 => {
            if let Ok(request) = AgentRequest::from_bytes(bytes) {
                assert_eq!(request.to_bytes(), bytes);
            }
        }
        14 => {
            if let Ok(reply) = AgentReply::from_bytes(bytes) {
                assert_eq!(*reply.to_bytes(), bytes);
            }
        }
        15 => {
            if let Ok(identity) = AgentIdentity::from_bytes(bytes) {
                assert_eq!(identity.to_bytes(), bytes);
            }
        }
        16 => {
            if let Ok(agent) = LocalAgent::from_bytes(bytes, &Suites::default()) {
                assert_eq!(*agent.to_bytes(), bytes);
                let _ = agent.identity();
            }
        }
        17 => {
            if let Ok(text) = core::str::from_utf8(bytes)
                && let Ok(decoded) = from_base64(text, MAX_STANZA)
            {
                assert_eq!(to_base64(&decoded), text);
            }
        }
        18 => {
            if let Ok(state) = AwaitLegs::decode(bytes) {
                assert_eq!(*state.encode(), bytes);
            }
        }
        19 => {
            if let Ok(state) = AwaitEa::decode(bytes) {
                assert_eq!(*state.encode(), bytes);
            }
        }
        20 => {
            if let Ok(state) = AwaitAa::decode(bytes) {
                assert_eq!(*state.encode(), bytes);
            }
        }
        21 => {
            if let Ok(text) = core::str::from_utf8(bytes)
                && let Ok(jid) = BareJid::parse(text)
            {
                assert!(BareJid::parse(jid.as_str()) == Ok(jid), "prepared twice: another JID");
            }
        }
        22 => record::<Own>(bytes),
        23 => record::<Counters>(bytes),
        24 => record::<OwnPrekeys>(bytes),
        25 => record::<Accepted>(bytes),
        26 => record::<OneTime>(bytes),
        27 => record::<Contact>(bytes),
        28 => record::<Device>(bytes),
        29 => record::<Session>(bytes),
        30 => record::<SkippedBlock>(bytes),
        31 => record::<OutboxItem>(bytes),
        32 => record::<InboxItem>(bytes),
        33 => record::<WaitingSend>(bytes),
        34 => record::<Request>(bytes),
        35 => record::<Ask>(bytes),
        36 => record::<Opening>(bytes),
        37 => record::<Arrival>(bytes),
        kind @ 38..=43 => keys(kind, bytes),
        44 => statement(bytes),
        52 => record::<Linking>(bytes),
        53 => {
            if let Ok(message) = LinkingMessage::decode(bytes) {
                assert_eq!(message.encode(), bytes);
            }
        }
        45 => {
            if let Ok(meaning) = PresenceMeaning::decode(bytes) {
                assert_eq!(meaning.encode(), bytes);
            }
        }
        kind @ 46..=49 => history(kind, bytes),
        50 => {
            if let Ok(message) = verify::Message::decode(bytes) {
                assert_eq!(message.encode(), bytes);
            }
        }
        _ => record::<Verification>(bytes),
    }
}

/// Keys of records.
fn keys(kind: u8, bytes: &[u8]) {
    match kind {
        38 => key::<u32>(bytes),
        39 => key::<(u32, Digest)>(bytes),
        40 => key::<([u8; 16], u32, u32)>(bytes),
        41 => key::<String>(bytes),
        42 => key::<(BareJid, u32)>(bytes),
        _ => key::<SessionKey>(bytes),
    }
}

/// What accounts and devices sign; each also as if it had come from a peer.
fn signed(kind: u8, bytes: &[u8]) {
    let (suites, now) = (Suites::default(), Timestamp::from_secs(1_790_000_000));
    match kind {
        0 => {
            if let Ok(parts) = split::<AdvertTbs>(bytes, MAX_ADVERT) {
                assert_eq!(join(&wire::encode(&parts.content), parts.signature.as_ref()), bytes);
            }
            if let Ok(advert) = AdvertIn::decode(bytes) {
                let _ = (advert.device(), advert.record_digest());
            }
        }
        1 => {
            if let Ok(parts) = split::<RecordTbs>(bytes, MAX_RECORD) {
                assert_eq!(join(&parts.content.encode(), parts.signature.as_ref()), bytes);
                let _ = parts.content.check(&suites);
            }
            if let Ok(record) = DeviceRecord::from_store(bytes) {
                assert_eq!(record.bytes(), bytes);
                let _ = DeviceRecord::verify(bytes, record.certificate().jid(), &suites, now);
            }
        }
        2 => {
            if let Ok(parts) = split::<ListTbs>(bytes, MAX_LIST) {
                assert_eq!(join(&parts.content.encode(), parts.signature.as_ref()), bytes);
                let _ = parts.content.check();
            }
            if let Ok(list) = DeviceList::from_store(bytes) {
                assert_eq!(list.bytes(), bytes);
            }
        }
        3 => {
            if let Ok(parts) = split::<CertificateTbs>(bytes, MAX_RECORD) {
                assert_eq!(join(&parts.content.encode(), parts.signature.as_ref()), bytes);
                let _ = parts.content.check(&suites);
            }
            let _ = DeviceCertificate::verify_provisional(bytes, &suites, now);
            if let Ok(certificate) = DeviceCertificate::from_store(bytes) {
                assert_eq!(certificate.bytes(), bytes);
                let _ = DeviceCertificate::verify(bytes, None, &suites, now);
            }
        }
        4 => {
            if let Ok(parts) = split::<PrekeyTbs>(bytes, MAX_PREKEY) {
                assert_eq!(join(&parts.content.encode(), parts.signature.as_ref()), bytes);
                let _ = parts.content.check(&suites);
            }
        }
        5 => {
            if let Ok(content) = RecordTbs::decode(bytes) {
                assert_eq!(content.encode(), bytes);
            }
        }
        6 => {
            if let Ok(content) = ListTbs::decode(bytes) {
                assert_eq!(content.encode(), bytes);
            }
        }
        _ => {
            if let Ok(content) = AdvertTbs::decode(bytes) {
                assert_eq!(content.encode(), bytes);
            }
        }
    }
}

/// A statement over a stanza, as received and as an agent is asked to sign it.
fn statement(bytes: &[u8]) {
    if let Ok(parts) = split::<SignedTbs>(bytes, MAX_SIGNED) {
        assert_eq!(join(&parts.content.encode(), parts.signature.as_ref()), bytes);
    }
    if let Ok(signed) = SignedIn::decode(bytes) {
        let _ = signed.device();
    }
    if let Ok(content) = SignedTbs::decode(bytes) {
        assert_eq!(content.encode(), bytes);
        assert!(content.hashes().is_some() != content.opaque().is_some(), "covered in one form");
    }
}

/// What concerns a file of history, and any bytes as one.
fn history(kind: u8, bytes: &[u8]) {
    match kind {
        46 => record::<History>(bytes),
        47 => {
            if let Ok(Some(message)) = HistoryMessage::decode(bytes) {
                assert_eq!(*wire::encode_secret(&message), bytes);
            }
        }
        48 => {
            if let Ok(decisions) = Decisions::decode(bytes) {
                let again = decisions.encode();
                assert_eq!(again.split_at_checked(4).map(|(_, section)| section), Some(bytes));
            }
        }
        _ => crate::history::read_any(bytes),
    }
}

/// What stands in `<e/>`.
fn sealed(bytes: &[u8]) {
    match Envelope::decode(bytes) {
        Err(_) => {}
        Ok(Envelope::Direct(direct)) => {
            let flight = direct.part.flight.as_ref().map(wire::encode);
            let prefix =
                envelope::direct_prefix(direct.sender, direct.recipient, flight.as_deref(), direct.part.tag);
            assert_eq!(prefix, direct.part.prefix);
            assert_eq!([prefix.as_slice(), direct.part.body].concat(), bytes);
        }
        Ok(Envelope::Wrapped(wrapped)) => {
            let mut entries = Vec::new();
            for (to, part) in &wrapped.entries {
                let flight = part.flight.as_ref().map(wire::encode);
                let head = envelope::entry_head(*to, flight.as_deref(), part.tag);
                assert_eq!(envelope::entry_prefix(wrapped.sender, wrapped.suite, &head), part.prefix);
                entries.push((head, part.body.to_vec()));
            }
            assert_eq!(wrapped.recipients().len(), 4 * entries.len());
            let (commitment, payload) = (wrapped.commitment, wrapped.payload);
            let again = envelope::wrapped(wrapped.sender, wrapped.suite, &entries, commitment, payload);
            assert_eq!(again, bytes);
        }
    }
}

/// A header may have fields of later versions, which are dropped; all else is kept.
fn header(bytes: &[u8]) {
    let Ok((header, exact, ciphertext)) = Header::decode(&SUITE_CLASSICAL, bytes) else { return };
    assert_eq!([exact, ciphertext].concat(), bytes);
    let again = header.encode().unwrap_or_default();
    let Ok((again, _, rest)) = Header::decode(&SUITE_CLASSICAL, &again) else {
        unreachable!("a header written is read");
    };
    assert!(rest.is_empty());
    assert_eq!(again.ratchet_key, header.ratchet_key);
    assert_eq!((again.n, again.pn, again.epoch), (header.n, header.pn, header.epoch));
    let fields = (header.fields.offer, header.fields.answer, header.fields.want);
    assert_eq!((again.fields.offer, again.fields.answer, again.fields.want), fields);
}

/// A content under any padding: what it says is kept, if it still fits.
fn content(bytes: &[u8]) {
    let Ok(content) = Content::decode(bytes) else { return };
    match content.encode(Padding::default()) {
        Ok(again) => {
            // Its children may be written longer than they came.
            assert!(same(Content::decode(&again), &content), "encoded and decoded again: another content");
        }
        Err(malformed) => assert_eq!(malformed, Malformed::TooLarge),
    }
}

fn record<R: Record>(bytes: &[u8]) {
    if let Ok(record) = R::decode(bytes) {
        assert_eq!(*record.encode(), bytes);
        let _ = record.deadline();
    }
}

fn key<K: Key>(bytes: &[u8]) {
    if let Ok(key) = K::decode(bytes) {
        let mut again = Vec::new();
        key.encode(&mut again);
        assert_eq!(again, bytes);
    }
}
