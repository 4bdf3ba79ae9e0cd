//! What servers made of stanzas, and what a receiver takes of it. The recorded stanzas, and how
//! they were made, are in `corpus`.
//!
//! `cargo test --lib on_every_path -- --nocapture` prints the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::path::Path;

use super::super::parse;
use super::*;

/// What became of a stanza.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// All that was covered came.
    Same,
    /// So many children did not come; the others did.
    Missing(usize),
    /// Never seen: a server is taken for a forger.
    Forged,
    /// What came is refused when it is read.
    Unread,
    /// A sender does not cover it as it stands.
    Fragile,
    /// What was sent is refused when it is read, so no sender with this crate sends it.
    Unsent,
    /// Nothing came.
    Lost,
}

use Outcome::{Forged as TakenForForged, Fragile, Lost, Missing, Same, Unread, Unsent};

/// Every path on which the stanza was sent.
const ALL: &str = "*";
/// Those on which ejabberd sends it to the receiver, or to its other domain, itself.
const FROM_EJABBERD: &str = "ejabberd-carbon ejabberd-local ejabberd-mam ejabberd-muc ejabberd-offline \
     ejabberd-pep ejabberd-presence ejabberd-resume ejabberd-vhost ejabberd-websocket";
/// Those on which a message comes inside another.
const COPIES: &str = "ejabberd-carbon ejabberd-mam ejabberd-pep ejabberd-s2s-prosody-mam \
     prosody-carbon prosody-mam prosody-pep prosody-s2s-ejabberd-mam";
const PEP: &str = "ejabberd-pep prosody-pep";

/// Stanza, what became of it, on which paths, and why. All others are the same on all paths.
const EXCEPTIONS: [(&str, Outcome, &str, &str); 31] = [
    ("12-attr-prefix-declared-on-message", Unread, FROM_EJABBERD, "it loses the declaration"),
    (
        "12-attr-prefix-declared-on-message",
        Lost,
        "ejabberd-muc-prosody ejabberd-s2s-ejabberd ejabberd-s2s-prosody ejabberd-s2s-prosody-mam",
        "so the next server closes its stream",
    ),
    ("21-charref-cr-in-text", Fragile, ALL, "CR in text"),
    ("23-charref-in-attr-tab", Fragile, ALL, "TAB in an attribute"),
    ("24-charref-in-attr-lf", Fragile, ALL, "LF in an attribute"),
    ("25-charref-in-attr-cr", Fragile, ALL, "CR in an attribute"),
    ("42-deep-60", Unread, COPIES, "with what is around it, deeper than the reader goes"),
    ("46-ns-uri-special", Unsent, ALL, "a namespace with & and '"),
    ("50-streams-ns-child", Unsent, ALL, "a prefix of the stream"),
    ("52-known-siblings-top-level", Missing(1), "ejabberd-s2s-prosody-mam prosody-mam", "a chat state"),
    (
        "67-type-headline",
        Lost,
        "ejabberd-carbon ejabberd-s2s-prosody-mam prosody-carbon prosody-mam prosody-offline",
        "no copies of headlines",
    ),
    ("68-type-unknown", Lost, "prosody-carbon", "no carbon of an unknown type"),
    (
        "69-type-error",
        Lost,
        "ejabberd-carbon ejabberd-mam ejabberd-offline prosody-carbon prosody-offline prosody-s2s-ejabberd-mam",
        "no copies of errors",
    ),
    ("74-iq-set", Fragile, ALL, "LF in an attribute"),
    (
        "76-presence-directed",
        Lost,
        "ejabberd-local ejabberd-s2s-ejabberd ejabberd-s2s-prosody ejabberd-vhost ejabberd-websocket \
         prosody-s2s-ejabberd",
        "ejabberd refuses a priority with spaces",
    ),
    ("fatal-81-comment", Unsent, ALL, "a comment"),
    ("fatal-82-pi", Unsent, ALL, "a processing instruction"),
    ("fatal-83-doctype", Unsent, ALL, "a DOCTYPE"),
    ("fatal-84-entity", Unsent, ALL, "an entity"),
    ("fatal-85-charref-nul", Unsent, ALL, "not well-formed"),
    ("fatal-86-charref-ctl", Unsent, ALL, "not well-formed"),
    ("fatal-87-char-ctl", Unsent, ALL, "not well-formed"),
    ("fatal-88-char-fffe", Unsent, ALL, "not well-formed"),
    ("fatal-89-charref-surrogate", Unsent, ALL, "not well-formed"),
    ("fatal-90-unbound-prefix", Unsent, ALL, "not well-formed"),
    ("fatal-91-dup-attr", Unsent, ALL, "not well-formed"),
    ("fatal-92-dup-attr-ns", Unsent, ALL, "not well-formed"),
    ("fatal-93-cdata-end-raw", Unsent, ALL, "not well-formed"),
    ("s-78-prefix-on-stream", Unsent, ALL, "a prefix of the stream"),
    ("s-79-lang-on-stream", Lost, PEP, "the servers refuse an item with two children"),
    ("s-80-lang-on-stream-overridden", Lost, PEP, "the same"),
];

type Table = BTreeMap<String, BTreeMap<String, Outcome>>;

#[test]
fn on_every_path() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    // It is not in the published package.
    let Ok(sent) = read_to_string(directory.join("sent.txt")) else { return };
    let sent = entries(&sent);
    let names = read_dir(&directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let paths: BTreeSet<_> = names.filter_map(|name| Some(name.strip_suffix(".txt")?.to_owned())).collect();
    let read = |path: &str| read_to_string(directory.join(path).with_extension("txt")).unwrap();
    let (mut table, mut dropped) = (Table::new(), BTreeSet::new());
    for path in paths.iter().filter(|path| *path != "sent") {
        for (name, came) in entries(&read(path)) {
            let outcome = outcome(path, sent[name], came, &mut dropped);
            table.entry(name.into()).or_default().insert(path.clone(), outcome);
        }
    }
    print(&table, &paths);
    assert_eq!(table.len(), sent.len());
    assert_eq!(table.values().map(BTreeMap::len).sum::<usize>(), 2056);
    // Whatever these servers add is known to be theirs.
    assert_eq!(dropped, BTreeSet::new());
    let expected = expected(&table);
    for row in table.values_mut() {
        row.retain(|_, outcome| *outcome != Same);
    }
    table.retain(|_, row| !row.is_empty());
    assert_eq!(table, expected);
}

/// The names and stanzas of a file.
fn entries(text: &str) -> BTreeMap<&str, &str> {
    let text = text.strip_prefix("--- ").unwrap().strip_suffix('\n').unwrap();
    text.split("\n--- ").map(|entry| entry.split_once('\n').unwrap()).collect()
}

fn outcome(path: &str, sent: &str, came: &str, dropped: &mut BTreeSet<String>) -> Outcome {
    let Ok(sent) = parse(sent) else { return Unsent };
    let digests: Vec<_> = said(&sent).iter().map(|child| Reduced::of(child).digest()).collect();
    assert!(!digests.is_empty());
    if came.is_empty() {
        return Lost;
    }
    let Ok(came) = parse(came) else { return Unread };
    let uncovered = uncover(inner(path, &came), &digests);
    if cover(&sent) == Err(Uncoverable::Fragile) {
        // If a sender did cover it, it would come folded.
        assert_eq!(uncovered.unwrap().missing, 0);
        return Fragile;
    }
    assert_eq!(cover(&sent), Ok(digests));
    let Ok(uncovered) = uncovered else { return TakenForForged };
    dropped.extend(uncovered.dropped.iter().map(|(ns, name)| format!("{{{ns}}}{name}")));
    if uncovered.missing > 0 { Missing(uncovered.missing) } else { Same }
}

/// The element whose children were sent as those of a stanza.
fn inner<'s, 'a>(path: &str, came: &'s Element<'a>) -> &'s Element<'a> {
    let names: &[&str] = match path.rsplit('-').next() {
        Some("carbon") => &["received", "forwarded", "message"],
        Some("mam") => &["result", "forwarded", "message"],
        Some("pep") => &["event", "items", "item"],
        _ => &[],
    };
    names.iter().fold(came, |element, name| element.elements().find(|child| child.name == *name).unwrap())
}

/// What must be in `table`, but for what is the same.
fn expected(table: &Table) -> Table {
    let mut expected = Table::new();
    for (name, outcome, paths, _) in EXCEPTIONS {
        let Some(row) = table.get(name) else { continue };
        let paths: Vec<_> =
            if paths == ALL { row.keys().map(|path| &**path).collect() } else { paths.split(' ').collect() };
        let new = paths.into_iter().map(|path| (path.to_owned(), outcome));
        expected.entry(name.to_owned()).or_default().extend(new);
    }
    expected
}

/// A line for each stanza, a column for each path.
fn print(table: &Table, paths: &BTreeSet<String>) {
    let paths: Vec<_> = paths.iter().filter(|path| *path != "sent").collect();
    for (column, path) in paths.iter().enumerate() {
        eprintln!("{:35}{}{path}", "", "|".repeat(column));
    }
    for (name, row) in table {
        let mark = |path: &&String| match row.get(*path) {
            Some(Same) => "=".to_owned(),
            Some(Missing(count)) => count.to_string(),
            Some(TakenForForged) => "F".to_owned(),
            Some(Unread) => "r".to_owned(),
            Some(Fragile) => "f".to_owned(),
            Some(Unsent) => "u".to_owned(),
            Some(Lost) => "-".to_owned(),
            None => " ".to_owned(),
        };
        eprintln!("{name:35}{}", paths.iter().map(mark).collect::<String>());
    }
    eprintln!("= same, 1 missing, F forged, r not read, f fragile, u not sent by this crate, - nothing came");
}
