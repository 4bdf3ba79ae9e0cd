//! Reading the archive after an absence (XEP-0313), page by page from the last message seen.

use std::collections::BTreeSet;

use minidom::Element;

use crate::xml::{FORMS, MAM, RSM, SID, bare, element, with, with_text};

/// Messages in a page: a few kilobytes each, well within what servers send at once.
const PAGE: usize = 50;

/// How far the archive has been read.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    /// Whether the server has one.
    pub(crate) offered: bool,
    /// The archive's id of the last message dealt with; empty if all are new, none if all are older than this
    /// device.
    pub(crate) last: Option<String>,
    /// Whether [`last`](Self::last) is newer than what is stored.
    pub(crate) unsaved: usize,
    /// Whether the last reading ended before the archive did.
    pub(crate) failed: bool,
    /// The queries of one reading have this id.
    pub(crate) reading: Option<Reading>,
}

/// A reading under way.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) query: String,
    /// Messages of it that were handed over.
    pub(crate) messages: usize,
    /// Only the last id is asked for: what is older is not for this device.
    pub(crate) probe: bool,
    /// The archive's names of them, for some come from the stream too.
    pub(crate) ids: BTreeSet<String>,
}

impl Archive {
    /// The next query of the reading.
    pub(crate) fn query(&self) -> Option<Element> {
        let reading = self.reading.as_ref()?;
        let mut page = Element::bare("set", RSM);
        let max = if reading.probe { 1 } else { PAGE };
        page.append_child(with_text(Element::bare("max", RSM), &max.to_string()));
        match self.last.as_deref() {
            _ if reading.probe => {
                page.append_child(Element::bare("before", RSM));
            }
            None | Some("") => {}
            Some(last) => {
                page.append_child(with_text(Element::bare("after", RSM), last));
            }
        }
        let kind = with_text(Element::bare("value", FORMS), MAM);
        let field = with(element(FORMS, "field", &[("var", "FORM_TYPE"), ("type", "hidden")]), kind);
        let form = with(element(FORMS, "x", &[("type", "submit")]), field);
        Some(with(with(element(MAM, "query", &[("queryid", &reading.query)]), form), page))
    }

    /// A message has been dealt with that the archive calls so.
    pub(crate) fn seen(&mut self, id: String) {
        self.last = Some(id);
        self.unsaved += 1;
    }
}

/// The archive's own name of a message: of a result of the query, or of one that came by itself.
pub(crate) enum Name {
    Result { query: String, id: String },
    Live(String),
}

/// What the own archive calls `message`, if the own server says so.
pub(crate) fn name(message: &Element, account: &str) -> Option<Name> {
    let own = message.attr("from").is_none_or(|from| from == account);
    if let Some(result) = message.get_child("result", MAM) {
        let (query, id) = (result.attr("queryid")?.to_owned(), result.attr("id")?.to_owned());
        return own.then_some(Name::Result { query, id });
    }
    // Servers append theirs; one that the sender forged stands before it.
    let ids = message.children().filter(|child| child.is("stanza-id", SID));
    let id = ids.filter(|id| id.attr("by").is_some_and(|by| bare(by) == account)).last()?;
    id.attr("id").map(|id| Name::Live(id.to_owned()))
}

/// Whether the answer to a query says that there is more.
pub(crate) fn has_more(answer: &Element) -> bool {
    let fin = answer.get_child("fin", MAM);
    fin.is_some_and(|fin| {
        let last = fin.get_child("set", RSM).and_then(|set| set.get_child("last", RSM));
        !matches!(fin.attr("complete"), Some("true" | "1")) && last.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(xml: &str) -> Element {
        xml.replacen(' ', " xmlns='jabber:client' ", 1).parse().unwrap()
    }

    #[test]
    fn only_the_own_server_names_messages() {
        let result = |from: &str| {
            parse(&format!("<message {from}><result xmlns='urn:xmpp:mam:2' queryid='q' id='7'/></message>"))
        };
        assert!(matches!(name(&result(""), "a@x"), Some(Name::Result { .. })));
        assert!(matches!(name(&result("from='a@x'"), "a@x"), Some(Name::Result { .. })));
        assert!(name(&result("from='m@x'"), "a@x").is_none());
        let live = parse(
            "<message from='b@x'><stanza-id xmlns='urn:xmpp:sid:0' by='a@x' id='forged'/>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='b@x' id='theirs'/><stanza-id xmlns='urn:xmpp:sid:0' by='a@x' id='9'/></message>",
        );
        assert!(matches!(name(&live, "a@x"), Some(Name::Live(id)) if id == "9"));
        assert!(name(&live, "c@x").is_none());
    }

    #[test]
    fn asks_for_what_follows_or_only_for_the_end() {
        let mut archive = Archive { last: Some("7".to_owned()), ..Archive::default() };
        assert!(archive.query().is_none());
        archive.reading =
            Some(Reading { query: "q".to_owned(), messages: 0, probe: false, ids: BTreeSet::new() });
        assert!(String::from(&archive.query().unwrap()).contains(">7</after>"));
        archive.reading =
            Some(Reading { query: "q".to_owned(), messages: 0, probe: true, ids: BTreeSet::new() });
        let probe = String::from(&archive.query().unwrap());
        assert!(probe.contains(">1</max>") && probe.contains("<before/>"), "{probe}");
    }

    #[test]
    fn the_end_is_said_or_empty() {
        let fin = |attributes: &str, set: &str| {
            parse(&format!(
                "<iq type='result'><fin xmlns='urn:xmpp:mam:2' {attributes}>\
                <set xmlns='http://jabber.org/protocol/rsm'>{set}</set></fin></iq>"
            ))
        };
        assert!(has_more(&fin("", "<last>7</last>")));
        assert!(!has_more(&fin("complete='true'", "<last>7</last>")));
        assert!(!has_more(&fin("", "<count>0</count>")));
        assert!(!has_more(&parse("<iq type='result'/>")));
    }
}
