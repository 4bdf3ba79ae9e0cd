//! The file by itself.

use rand_core::SeedableRng as _;

use super::*;
use crate::env::Timestamp;
use crate::history::stream::{CHUNK, SEALED_CHUNK};
use crate::suite::{SUITE_CLASSICAL, SUITE_HYBRID, SUITE_HYBRID_MISUSE_RESISTANT};
use crate::trust::{Decision, Means, Trust};

fn between() -> Between {
    Between { account: BareJid::parse("alice@example.com").unwrap(), from: 1, to: 2 }
}

fn decisions() -> Decisions {
    let decision = Decision { trust: Trust::Verified, means: Means::Code, at: Timestamp::from_secs(1) };
    let one = TrustOf { jid: BareJid::parse("bob@example.org").unwrap(), key: [7; 32], decision };
    Decisions(vec![one])
}

/// A file with this archive, written in pieces of `step`.
fn file(suite: &'static Suite, archive: &[u8], step: usize) -> (Vec<u8>, HistoryFile) {
    let mut rng = chacha20::ChaCha20Rng::from_seed([1; 32]);
    let mut writer = HistoryWriter::new(between(), suite, &decisions(), &mut rng).unwrap();
    let mut sealed = Vec::new();
    for piece in archive.chunks(step) {
        sealed.extend(writer.write(piece).unwrap());
    }
    let (rest, file) = writer.finish().unwrap();
    sealed.extend(rest);
    assert_eq!((file.size, file.digest), (sealed.len() as u64, crate::identity::digest(&sealed)));
    (sealed, file)
}

fn offer(file: &HistoryFile) -> Offer {
    let HistoryFile { id, key, size, digest, .. } = file.clone();
    Offer { id, key, size, digest, name: String::new() }
}

/// The offer of a file that is `sealed`: only the chunks stand between it and the reader.
fn forged(file: &HistoryFile, sealed: &[u8]) -> Offer {
    Offer { size: sealed.len() as u64, digest: crate::identity::digest(sealed), ..offer(file) }
}

fn reader(between: Between, offer: &Offer) -> HistoryReader {
    HistoryReader::new(between, offer, &Suites::default(), Level::CLASSICAL)
}

/// What a file gave before it ended or was refused, and which of the two.
fn read(
    mut reader: HistoryReader,
    sealed: &[u8],
    step: usize,
) -> (Vec<u8>, Result<HistoryRead, HistoryError>) {
    let mut archive = Vec::new();
    for piece in sealed.chunks(step) {
        match reader.read(piece) {
            Ok(plain) => archive.extend(plain),
            Err(why) => {
                assert_eq!(reader.read(piece).unwrap_err(), why, "it stays refused");
                assert_eq!(reader.finish().unwrap_err(), why);
                return (archive, Err(why));
            }
        }
    }
    match reader.finish() {
        Ok((rest, read)) => {
            archive.extend(rest);
            (archive, Ok(read))
        }
        Err(why) => (archive, Err(why)),
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn what_was_written_is_read_in_pieces_of_any_size() {
    let section = decisions().encode().len();
    for suite in [&SUITE_CLASSICAL, &SUITE_HYBRID, &SUITE_HYBRID_MISUSE_RESISTANT] {
        for len in [0, 1, CHUNK - section, CHUNK - section + 1, 2 * CHUNK - section, 3 * CHUNK] {
            let archive = pattern(len);
            let (sealed, file) = file(suite, &archive, 10_000);
            assert_eq!(self::file(suite, &archive, CHUNK).0, sealed, "pieces leave no trace");
            let chunks = (section + len).div_ceil(CHUNK);
            assert_eq!(sealed.len(), HEADER_LEN + section + len + 16 * chunks);
            for step in [1_000, SEALED_CHUNK, 200_000] {
                let (found, end) = read(reader(between(), &offer(&file)), &sealed, step);
                assert!(found == archive, "{len} {step}");
                assert_eq!(end.unwrap().decisions, decisions());
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    let (sealed, file) = file(&SUITE_HYBRID, &pattern(3 * CHUNK), CHUNK);
    let whole = HEADER_LEN + 2 * SEALED_CHUNK;
    for len in [0, 5, HEADER_LEN, HEADER_LEN + 5, whole - 1, whole, whole + 1, sealed.len() - 1] {
        let cut = &sealed[..len];
        let (_, end) = read(reader(between(), &offer(&file)), cut, 7_000);
        assert_eq!(end.unwrap_err(), HistoryError::Truncated, "{len}");
        // Whoever could say that it is all would be refused by the cipher.
        let (_, end) = read(reader(between(), &forged(&file, cut)), cut, 7_000);
        let expected = if len < HEADER_LEN { HistoryError::Truncated } else { HistoryError::Altered };
        assert_eq!(end.unwrap_err(), expected, "{len}");
    }
}

#[test]
fn nothing_of_a_chunk_that_is_not_authentic_is_given_out() {
    let archive = pattern(3 * CHUNK);
    let (sealed, file) = file(&SUITE_HYBRID, &archive, CHUNK);
    let section = decisions().encode().len();
    for (chunk, at) in [(0, 0), (0, SEALED_CHUNK - 1), (1, 0), (1, 100), (2, SEALED_CHUNK - 1), (3, 0)] {
        let mut edited = sealed.clone();
        edited[HEADER_LEN + chunk * SEALED_CHUNK + at] ^= 1;
        let (given, end) = read(reader(between(), &forged(&file, &edited)), &edited, 9_999);
        assert_eq!(end.unwrap_err(), HistoryError::Altered);
        assert!(given == archive[..(chunk * CHUNK).saturating_sub(section)], "{chunk}");
    }
}

#[test]
fn chunks_swapped_repeated_dropped_or_behind_the_last_are_altered() {
    let (sealed, file) = file(&SUITE_HYBRID, &pattern(3 * CHUNK), CHUNK);
    let (head, body) = sealed.split_at(HEADER_LEN);
    let chunks: Vec<&[u8]> = body.chunks(SEALED_CHUNK).collect();
    assert_eq!(chunks.len(), 4);
    for order in
        [&[1, 0, 2, 3][..], &[0, 0, 1, 2, 3], &[0, 2, 3], &[0, 1, 2], &[1, 2, 3], &[0, 1, 2, 2], &[3]]
    {
        let parts: Vec<&[u8]> = order.iter().map(|n| chunks[*n]).collect();
        let mixed = [head, &parts.concat()].concat();
        let (_, end) = read(reader(between(), &forged(&file, &mixed)), &mixed, 50_000);
        assert_eq!(end.unwrap_err(), HistoryError::Altered, "{order:?}");
    }
}

#[test]
fn a_file_is_bound_to_its_devices_account_name_and_header() {
    let (sealed, file) = file(&SUITE_HYBRID, b"archive", 100);
    let other = BareJid::parse("mallory@example.com").unwrap();
    for wrong in [
        Between { from: 3, ..between() },
        Between { to: 3, ..between() },
        Between { from: 2, to: 1, ..between() },
        Between { account: other, ..between() },
    ] {
        let (given, end) = read(reader(wrong, &offer(&file)), &sealed, 100);
        assert_eq!((given, end.unwrap_err()), (Vec::new(), HistoryError::Altered));
    }
    for (at, why) in [
        (0, HistoryError::WrongFile),
        (8, HistoryError::Version),
        (10, HistoryError::Altered),
        (9, HistoryError::Version),
        (11, HistoryError::WrongFile),
    ] {
        let mut edited = sealed.clone();
        edited[at] ^= if at == 10 { 3 } else { 1 };
        let (_, end) = read(reader(between(), &forged(&file, &edited)), &edited, 100);
        assert_eq!(end.unwrap_err(), why, "{at}");
    }
    let renamed = Offer { id: [9; 16], ..offer(&file) };
    assert_eq!(read(reader(between(), &renamed), &sealed, 100).1.unwrap_err(), HistoryError::WrongFile);
    let wrong = Offer { digest: [9; 32], ..offer(&file) };
    assert_eq!(read(reader(between(), &wrong), &sealed, 100).1.unwrap_err(), HistoryError::WrongFile);
    let longer = [&sealed[..], b"x"].concat();
    assert_eq!(read(reader(between(), &offer(&file)), &longer, 100).1.unwrap_err(), HistoryError::WrongFile);
}

/// The classical suite has the same cipher, and a file of it would be read; not where more is asked.
#[test]
fn a_suite_below_the_least_level_is_refused() {
    let (sealed, file) = file(&SUITE_CLASSICAL, b"archive", 100);
    let hybrid = HistoryReader::new(between(), &offer(&file), &Suites::default(), Level::HYBRID);
    assert_eq!(read(hybrid, &sealed, 100).1.unwrap_err(), HistoryError::Version);
}

#[test]
fn no_two_files_have_a_key_in_common() {
    let mut rng = chacha20::ChaCha20Rng::from_seed([2; 32]);
    let mut made =
        || HistoryWriter::new(between(), &SUITE_HYBRID, &decisions(), &mut rng).unwrap().finish().unwrap();
    let (one, other) = (made(), made());
    assert!(!one.1.key.same(&other.1.key) && one.1.id != other.1.id && one.1 != other.1);
    assert!(!format!("{:?}", one.1).contains(&format!("{:?}", one.1.key.expose())));
}

#[test]
fn a_section_that_is_none_is_refused() {
    let mut collector = decisions::Collector::default();
    assert_eq!(collector.strip(&[0xFF; 4]).unwrap_err(), HistoryError::TooLong);
    let mut collector = decisions::Collector::default();
    assert_eq!(collector.strip(&[0, 0, 0, 1, 9]).unwrap_err(), HistoryError::Altered);
    let mut collector = decisions::Collector::default();
    let bytes = [&decisions().encode()[..], b"rest"].concat();
    let mut rest = Vec::new();
    for byte in bytes {
        rest.extend(collector.strip(&[byte]).unwrap());
    }
    assert_eq!((rest.as_slice(), collector.finish().unwrap()), (&b"rest"[..], decisions()));
    assert_eq!(decisions::Collector::default().finish().unwrap_err(), HistoryError::Truncated);
}

#[test]
fn messages() {
    let (_, file) = file(&SUITE_HYBRID, b"archive", 100);
    let long = Offer { name: "n".repeat(255), ..offer(&file) };
    let bytes = wire::encode(&HistoryMessage::Offer(long));
    assert!(matches!(HistoryMessage::decode(&bytes), Ok(Some(HistoryMessage::Offer(_)))));
    assert!(HistoryMessage::decode(&bytes[..bytes.len() - 1]).is_err());
    assert!(HistoryMessage::decode(&[]).is_err());
    assert!(matches!(HistoryMessage::decode(&[4, 1, 2, 3]), Ok(None)), "of a later version");
    for bad in [
        Offer { name: "n".repeat(256), ..offer(&file) },
        Offer { name: "a\nb".to_owned(), ..offer(&file) },
        Offer { key: Secret::from(&[1; 16][..]), ..offer(&file) },
    ] {
        assert!(HistoryMessage::decode(&wire::encode(&HistoryMessage::Offer(bad))).is_err());
    }
}
