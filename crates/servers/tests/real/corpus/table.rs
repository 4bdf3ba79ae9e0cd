//! What became of each stanza on each path, and what is known not to come as it went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};

use xmpp_e2e_client::xmpp_e2e::{Malformed, SendError};

/// What became of a stanza.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It came as it went.
    Equal,
    /// But for children that no sender can vouch for.
    Apart,
    /// As what is only authenticated is handed over.
    Reduced,
    /// Without its type, which a server has dropped.
    Untyped,
    /// By another way than it was sent for: from the spool, for the archive has not kept it.
    Elsewhere,
    /// So many children did not come.
    Missing(usize),
    /// Otherwise.
    Changed,
    /// More than once, or it failed as well.
    Twice,
    /// It did not come.
    Lost,
    /// It was not sent, or came back.
    Failed(SendError),
}

use Outcome::{Apart, Changed, Elsewhere, Equal, Failed, Lost, Missing, Reduced, Twice, Untyped};
use SendError::{Fragile, NotProtectable, TooLarge};

/// Children that only servers read or write.
pub(super) const NOT_VOUCHED: [(&str, &str); 6] = [
    ("urn:xmpp:delay", "delay"),
    ("urn:xmpp:sid:0", "origin-id"),
    ("urn:xmpp:sid:0", "stanza-id"),
    ("urn:xmpp:mam:tmp", "archived"),
    ("urn:xmpp:eme:0", "encryption"),
    ("urn:xmpp:hints", "store"),
];

/// CR in an attribute: Prosody writes it as it is, and then no client can read its stream. Where it is encrypted it is
/// not seen, and with digests it is not sent.
pub(super) fn breaks_streams(case: &str, need: char) -> bool {
    case.starts_with("25-") && need == 'c'
}

const PATHS: [&str; 12] = [
    "prosody",
    "ejabberd",
    "prosody-ejabberd",
    "ejabberd-prosody",
    "prosody-carbon",
    "ejabberd-carbon",
    "prosody-resumed",
    "ejabberd-resumed",
    "prosody-archive",
    "ejabberd-archive",
    "prosody-offline",
    "ejabberd-offline",
];
const ALL: &str = "*";
const CARBONS: &str = "prosody-carbon ejabberd-carbon";
/// Those on which ejabberd is the sender's server, or the receiver's.
const BY_EJABBERD: &str = "ejabberd prosody-ejabberd ejabberd-prosody ejabberd-carbon ejabberd-resumed ejabberd-archive \
     ejabberd-offline";

/// Stanza, needs, paths, what became of it, and why. A name that ends with `-` is that of all that begin so. What stands
/// later counts.
const EXCEPTIONS: [(&str, &str, &str, Outcome, &str); 35] = [
    ("21-charref-cr-in-text", "d", ALL, Failed(Fragile), "CR in text"),
    ("23-charref-in-attr-tab", "d", ALL, Failed(Fragile), "TAB in an attribute"),
    ("24-charref-in-attr-lf", "d", ALL, Failed(Fragile), "LF in an attribute"),
    ("25-charref-in-attr-cr", "d", ALL, Failed(Fragile), "CR in an attribute"),
    ("36-xmllang-on-message", "d", ALL, Reduced, "the stanza's own language"),
    ("42-deep-60", "edc", ALL, Failed(TooLarge), "too deep for a copy"),
    ("52-known-siblings-top-level", "edc", ALL, Apart, "children that are for servers"),
    ("52-known-siblings-top-level", "d", "prosody-archive", Missing(1), "a chat state"),
    ("55-top-body-attrs", "d", ALL, Reduced, "attributes of a body"),
    ("56-top-body-children", "d", ALL, Reduced, "children of a body"),
    ("58-top-body-empty", "dc", "ejabberd-archive", Elsewhere, "it keeps no empty body"),
    ("60-top-text-between", "d", ALL, Reduced, "text between children"),
    ("62-top-unknown-attrs", "d", ALL, Reduced, "attributes of the stanza"),
    ("64-top-spoofed-stanza-id", "edc", ALL, Apart, "children that are from servers"),
    ("66-type-normal", "e", CARBONS, Lost, "no carbon without a body in clear"),
    ("67-type-headline", "edc", CARBONS, Lost, "no copies of headlines"),
    ("67-type-headline", "edc", "prosody-archive prosody-offline", Lost, "no copies of headlines"),
    ("68-type-unknown", "edc", BY_EJABBERD, Untyped, "it drops an unknown type, which means normal"),
    ("68-type-unknown", "edc", "prosody-carbon", Lost, "no carbon of an unknown type"),
    ("68-type-unknown", "e", "ejabberd-carbon", Lost, "no carbon without a body in clear"),
    ("69-type-error", "edc", ALL, Failed(NotProtectable), "an error"),
    ("74-iq-set", "d", ALL, Failed(Fragile), "LF in an attribute"),
    ("75-iq-result-two-children", "edc", ALL, Failed(NotProtectable), "an answer to no question"),
    ("76-presence-directed", "d", ALL, Reduced, "spaces in a priority"),
    ("76-presence-directed", "dc", BY_EJABBERD, Lost, "it refuses a priority with spaces"),
    ("s-80-lang-on-stream-overridden", "d", ALL, Reduced, "the stanza's own language"),
    ("large-children-too-many", "d", ALL, Failed(TooLarge), "too many children for digests"),
    ("made-fragile-", "d", ALL, Failed(Fragile), "CR in text; TAB or LF in an attribute"),
    ("made-lang-", "d", ALL, Reduced, "the stanza's own language"),
    ("known-body-language-empty", "d", ALL, Reduced, "an empty language"),
    ("known-thread-parent-empty", "d", ALL, Reduced, "an empty parent"),
    ("known-type-case", "edc", BY_EJABBERD, Untyped, "it drops an unknown type, which means normal"),
    ("known-type-case", "edc", "prosody-carbon", Lost, "no carbon of an unknown type"),
    ("known-type-case", "e", "ejabberd-carbon", Lost, "no carbon without a body in clear"),
    ("known-priority-written-otherwise", "d", ALL, Reduced, "the number counts"),
];

/// What the engine does not read, besides what nobody should: namespaces with quotes, prefixes of the stream.
const REFUSED: [&str; 3] = ["46-ns-uri-special", "50-streams-ns-child", "s-78-prefix-on-stream"];

type Row = BTreeMap<(String, char), Outcome>;

/// By stanza, path and need.
#[derive(Default)]
pub(super) struct Table {
    rows: BTreeMap<String, Row>,
    refused: BTreeMap<String, Malformed>,
    wrong: BTreeSet<(String, String)>,
    /// What stood in clear beside what was delivered.
    pub(super) dropped: BTreeSet<String>,
}

impl Table {
    /// The engine does not read the stanza, so nobody sends it.
    pub(super) fn refused(&mut self, case: &str, why: Malformed) {
        self.refused.insert(case.to_owned(), why);
    }

    /// What a receiver complained of.
    pub(super) fn wrong(&mut self, path: &str, what: impl Debug) {
        self.wrong.insert((path.to_owned(), format!("{what:?}")));
    }

    pub(super) fn enter(&mut self, case: &str, path: &str, need: char, outcome: Outcome) {
        self.rows.entry(case.to_owned()).or_default().insert((path.to_owned(), need), outcome);
    }

    /// Prints what is not equal, and compares it with what is known.
    pub(super) fn check(&self) {
        self.print();
        let mut expected = BTreeMap::new();
        for (case, row) in &self.rows {
            let row: Row = row.keys().map(|cell| (cell.clone(), known(case, cell).0)).collect();
            expected.insert(case.clone(), row);
        }
        for (case, row) in &self.rows {
            for (cell, outcome) in row {
                if expected[case][cell] != *outcome {
                    println!("         {case} {cell:?}: {outcome:?}, not {:?}", expected[case][cell]);
                }
            }
        }
        assert!(self.rows == expected, "not as it is known");
        assert_eq!((&self.wrong, &self.dropped), (&BTreeSet::new(), &BTreeSet::new()));
        let refused: Vec<_> = self.refused.keys().filter(|case| !case.starts_with("fatal-")).collect();
        assert_eq!(refused, REFUSED);
    }

    fn print(&self) {
        for (column, path) in PATHS.iter().enumerate() {
            println!("         {:35}{}{path}", "", "|   ".repeat(column));
        }
        let (mut all, mut equal) = (0, 0);
        for (case, row) in &self.rows {
            all += row.len();
            equal += row.values().filter(|outcome| **outcome == Equal).count();
            if row.values().all(|outcome| *outcome == Equal) {
                continue;
            }
            let mut line = String::new();
            for path in PATHS {
                let cell = |need| row.get(&(path.to_owned(), need)).map_or(' ', mark);
                _ = write!(line, "{}{}{} ", cell('e'), cell('d'), cell('c'));
            }
            let why: BTreeSet<_> = row.keys().map(|cell| known(case, cell).1).collect();
            let why: Vec<_> = why.into_iter().filter(|why| !why.is_empty()).collect();
            println!("         {case:35}{line} {}", why.join("; "));
        }
        println!("         of three: encrypted, with digests, with a copy");
        println!(
            "         = equal, a apart, r reduced, u without its type, s from the spool, 1 missing, # changed, T twice, - not come, f fragile, \
             n not protectable, l too large, ! failed otherwise"
        );
        println!("         {equal} of {all} equal; refused when read: {:?}", self.refused);
        println!("         complaints: {:?}; dropped: {:?}", self.wrong, self.dropped);
    }
}

/// What is known to become of a stanza, and why.
fn known(case: &str, (path, need): &(String, char)) -> (Outcome, &'static str) {
    let here = |(name, needs, paths, _, _): &&(&str, &str, &str, Outcome, &str)| {
        let named = *name == case || name.ends_with('-') && case.starts_with(name);
        named && needs.contains(*need) && (*paths == ALL || paths.split(' ').any(|one| one == path))
    };
    EXCEPTIONS.iter().rev().find(here).map_or((Equal, ""), |(_, _, _, outcome, why)| (*outcome, *why))
}

/// Whether it is known to arrive there.
pub(super) fn arrives(case: &str, path: &str, need: char) -> bool {
    !matches!(known(case, &(path.to_owned(), need)).0, Lost | Failed(_))
}

fn mark(outcome: &Outcome) -> char {
    match outcome {
        Equal => '=',
        Apart => 'a',
        Reduced => 'r',
        Untyped => 'u',
        Elsewhere => 's',
        Missing(count) => char::from_digit(u32::try_from(*count).unwrap_or(9), 10).unwrap_or('9'),
        Changed => '#',
        Twice => 'T',
        Lost => '-',
        Failed(Fragile) => 'f',
        Failed(NotProtectable) => 'n',
        Failed(TooLarge) => 'l',
        Failed(_) => '!',
    }
}
