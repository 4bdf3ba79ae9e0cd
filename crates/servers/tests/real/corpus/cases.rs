//! The stanzas: those of the repository's `corpus`, and some that are made from a seed.

use std::fmt::Write as _;
use std::path::Path;

use xmpp_e2e_client::minidom::Element;
use xmpp_e2e_client::minidom::rxml::{Namespace, NcName};
use xmpp_e2e_client::xmpp_e2e::{Malformed, Tree};
use xmpp_e2e_minidom::from_tree;

/// A stanza to be sent.
pub(super) struct Case {
    pub(super) name: String,
    /// As the engine reads it, or why it does not.
    pub(super) stanza: Result<Element, Malformed>,
}

impl Case {
    fn new(name: String, xml: &str) -> Self {
        let stanza = Tree::parse(xml).and_then(|tree| from_tree(&tree));
        Self { name, stanza }
    }

    /// Whether it is of a kind that no server keeps for later.
    pub(super) fn is_of_stream(&self) -> bool {
        self.stanza.as_ref().is_ok_and(|stanza| stanza.name() != "message")
    }

    /// The stanza with an id by which it is found where it arrives.
    pub(super) fn with_id(&self, to: &str, id: &str) -> Option<Element> {
        let mut stanza = self.stanza.clone().ok()?;
        for (name, value) in [("to", to), ("id", id)] {
            stanza.set_attr(Namespace::NONE, NcName::try_from(name).expect("a name"), value);
        }
        if stanza.name() == "iq"
            && let Some(payload) = stanza.children_mut().next()
        {
            payload.set_attr(Namespace::NONE, NcName::try_from(MARK).expect("a name"), id);
        }
        Some(stanza)
    }
}

/// Where the id of an iq stands once more: it is handed over under another.
const MARK: &str = "mark";

/// The id that [`Case::with_id`] gave a stanza.
pub(super) fn id_of(stanza: &Element) -> Option<&str> {
    match stanza.name() {
        "iq" => stanza.children().next().and_then(|payload| payload.attr(MARK)),
        _ => stanza.attr("id"),
    }
}

/// All of them, sent by `from` to `to`, both bare.
pub(super) fn all(from: &str, to: &str) -> Vec<Case> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/sent.txt");
    let corpus = std::fs::read_to_string(corpus).expect("the corpus");
    // In its text no line of a stanza begins so.
    let entries = corpus.strip_prefix("--- ").expect("a first name").trim_end_matches('\n').split("\n--- ");
    let recorded = entries.map(|entry| {
        let (name, xml) = entry.split_once('\n').expect("a stanza after the name");
        let xml = xml.replace("FROMBARE", from).replace("TOBARE", to);
        Case::new(name.to_owned(), &xml.replace("='TO'", "='x@y'").replace("=\"TO\"", "='x@y'"))
    });
    let made = made().into_iter().map(|(name, xml)| Case::new(name, &xml));
    recorded.chain(made).collect()
}

/// How many of each kind are made by chance.
const MADE: [(&str, usize); 5] = [("plain", 24), ("lang", 4), ("fragile", 4), ("iq", 4), ("presence", 4)];

fn made() -> Vec<(String, String)> {
    let mut made: Vec<(String, String)> = large()
        .into_iter()
        .map(|(name, inside)| (format!("large-{name}"), format!("<message type='chat'>{inside}</message>")))
        .collect();
    made.extend(known().map(|(name, xml)| (format!("known-{name}"), xml.to_owned())));
    let mut maker = Maker(2_026);
    for (kind, count) in MADE {
        for number in 0..count {
            let inside = maker.children(kind);
            let xml = match kind {
                "iq" => format!("<iq type='set'>{inside}</iq>"),
                "presence" => format!("<presence>{inside}</presence>"),
                "lang" => format!("<message type='chat' xml:lang='de'>{inside}</message>"),
                _ => format!("<message type='chat'>{inside}</message>"),
            };
            made.push((format!("made-{kind}-{number}"), xml));
        }
    }
    made
}

/// What RFC 6121 defines, written in unusual ways.
fn known() -> [(&'static str, &'static str); 9] {
    [
        ("body-language-empty", "<message type='chat'><body xml:lang=''>b</body></message>"),
        ("body-language-case", "<message type='chat'><body xml:lang='EN-us'>b</body></message>"),
        ("subject-empty", "<message type='chat'><subject/><body>b</body></message>"),
        ("thread-empty", "<message type='chat'><thread/><body>b</body></message>"),
        ("thread-parent-empty", "<message type='chat'><thread parent=''>t</thread><body>b</body></message>"),
        ("type-case", "<message type='CHAT'><body>b</body></message>"),
        ("priority-written-otherwise", "<presence><priority>+05</priority></presence>"),
        ("status-empty", "<presence><show>xa</show><status/><status xml:lang='de'/></presence>"),
        ("show-and-status-twice", "<presence><show>xa</show><status>a</status><status>b</status></presence>"),
    ]
}

/// What is large, each in one way.
fn large() -> Vec<(&'static str, String)> {
    let payload = |inside: &str| format!("<payload xmlns='urn:large'>{inside}</payload>");
    let numbered = |count: usize, xml: fn(usize) -> String| (0..count).map(xml).collect::<String>();
    vec![
        ("body", format!("<body>{}</body>", "Guten Morgen, liebe G\u{e4}ste! ".repeat(700))),
        ("text", payload(&"0123456789abcdef".repeat(3_000))),
        ("escaped", payload(&"&lt;'\"&gt;&amp;".repeat(2_000))),
        ("non-bmp", payload(&"\u{1F600}\u{20000}e\u{301}".repeat(1_000))),
        ("siblings", payload(&numbered(300, |n| format!("<a n='{n}'>{n}</a>")))),
        ("children", numbered(60, |n| format!("<x{n} xmlns='urn:x'/>"))),
        ("children-too-many", numbered(80, |n| format!("<x{n} xmlns='urn:x'/>"))),
        ("deep", payload(&format!("{}x{}", "<a>".repeat(50), "</a>".repeat(50)))),
        ("attributes", payload(&format!("<a{}/>", numbered(30, |n| format!(" z{}='{n}'", 97 - n))))),
        ("attribute", payload(&format!("<a b='{}'/>", "x".repeat(8_000)))),
    ]
}

/// Makes XML from a seed.
struct Maker(u64);

impl Maker {
    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a small number") % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// The children of a stanza.
    fn children(&mut self, kind: &str) -> String {
        let mut out = String::new();
        match kind {
            "fragile" => out.push_str(self.of(&[
                "<x xmlns='urn:x'>a&#13;b</x>",
                "<x xmlns='urn:x' y='a&#9;b'/>",
                "<x xmlns='urn:x' y='a&#xA;b'><z y='&#10;'/></x>",
                "<body>a&#xD;&#xA;b</body>",
            ])),
            "presence" => out.push_str("<show>dnd</show><status>\u{1F4A4} &amp; <![CDATA[<away>]]></status>"),
            "iq" => {}
            _ => {
                let languages: &[&str] = if kind == "lang" {
                    &["", " xml:lang='fr'", " xml:lang=''"]
                } else {
                    &["", " xml:lang='de'"]
                };
                for language in languages {
                    if self.below(2) == 0 {
                        _ = write!(out, "<body{language}>{}.</body>", self.text());
                    }
                }
            }
        }
        let count = if kind == "iq" { 1 } else { 1 + self.below(3) };
        for _ in 0..count {
            out.push_str(&self.element(0, true));
        }
        out
    }

    /// An element at this depth; the outermost has a namespace of its own.
    fn element(&mut self, depth: usize, outermost: bool) -> String {
        let name = self.of(&["a", "b", "item", "body", "message", "x-1", "\u{e9}l\u{e9}ment"]);
        let namespace = self.of(&["urn:one", "urn:two", "http://example.org/\u{e9}#three"]);
        let (name, declared) = match self.below(if outermost { 2 } else { 6 }) {
            0 => (name.to_owned(), format!(" xmlns='{namespace}'")),
            1 => (format!("p:{name}"), format!(" xmlns:p='{namespace}'")),
            2 => (name.to_owned(), " xmlns=''".to_owned()),
            3 => (name.to_owned(), " xmlns='jabber:client'".to_owned()),
            _ => (name.to_owned(), String::new()),
        };
        let mut out = format!("<{name}{declared}");
        let mut attributes = vec!["z", "B", "a", "_c", "\u{fc}"];
        for _ in 0..self.below(4) {
            let attribute = attributes.remove(self.below(attributes.len()));
            let value = self.value();
            _ = write!(out, " {attribute}={value}");
        }
        out.push_str(self.of(&["", "", " xml:lang='fr'", " xml:lang=''", " xml:space='preserve'"]));
        if self.below(4) == 0 {
            _ = write!(out, " xmlns:q='{namespace}' q:z='1'");
        }
        if self.below(6) == 0 {
            out.push_str(self.of(&["/>", "  />"]));
            return out;
        }
        out.push('>');
        for _ in 0..self.below(5) {
            let node =
                if depth < 6 && self.below(2) == 0 { self.element(depth + 1, false) } else { self.text() };
            out.push_str(&node);
        }
        _ = write!(out, "</{name}>");
        out
    }

    fn text(&mut self) -> String {
        let pieces = [
            "plain",
            " ",
            "\n  ",
            "\t",
            "&#x41;&#66;",
            "&#10;&#9;",
            "&lt;&amp;&gt;&quot;&apos;",
            "<![CDATA[<a> & ]] >]]>",
            "<![CDATA[]]>",
            "\u{1F600}&#x10FFFF;",
            "e\u{301}\u{e9}\u{202e}\u{200d}\u{feff}",
            "\u{7f}\u{85}\u{2028}",
            "'\"",
        ];
        (0..self.below(4)).map(|_| self.of(&pieces)).collect()
    }

    fn value(&mut self) -> String {
        self.of(&[
            "''",
            "' 1 '",
            "\"it's\"",
            "'say \"hi\"'",
            "'&lt;&amp;&quot;&apos;>'",
            "'&#x43;&#39;'",
            "'\u{1F680}\u{e9}'",
            "'a\tb\nc'",
        ])
        .to_owned()
    }
}
