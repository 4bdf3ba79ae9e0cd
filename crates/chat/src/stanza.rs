//! Stanzas: the message in one, wherever it stands, and those that this program makes.

use xmpp_e2e_client::minidom::Element;
use xmpp_e2e_client::minidom::rxml::{Namespace, NcName};

use crate::command::bare;
use crate::text;

const CLIENT: &str = "jabber:client";
const CARBONS: &str = "urn:xmpp:carbons:2";
const DELAY: &str = "urn:xmpp:delay";
const FORWARD: &str = "urn:xmpp:forward:0";
const MAM: &str = "urn:xmpp:mam:2";
const ROSTER: &str = "jabber:iq:roster";
const SID: &str = "urn:xmpp:sid:0";

/// A message that says something.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The account that sent it.
    pub from: String,
    /// The account it was sent to.
    pub to: String,
    /// Its id, by its sender.
    pub id: Option<String>,
    /// Its id, by the own archive.
    pub archived: Option<String>,
    /// When it was sent, as a server says.
    pub time: Option<u64>,
    /// Its type.
    pub kind: String,
    /// What it says.
    pub text: String,
}

/// The message in a stanza, or in the copy that it is if the own server made it.
#[must_use]
pub fn message(stanza: &Element, account: &str) -> Option<Message> {
    if !stanza.is("message", CLIENT) {
        return None;
    }
    let wrapper = stanza
        .children()
        .find(|child| child.is("received", CARBONS) || child.is("sent", CARBONS) || child.is("result", MAM));
    let Some(wrapper) = wrapper else { return read(stanza, account, None, None) };
    // Anybody can send such an element.
    let from = stanza.attr("from").map_or(Some(account.to_owned()), bare)?;
    if from != account {
        return None;
    }
    let forwarded = wrapper.get_child("forwarded", FORWARD)?;
    let archived = wrapper.attr("id").filter(|_| wrapper.is("result", MAM));
    read(forwarded.get_child("message", CLIENT)?, account, archived, delay(forwarded))
}

fn read(message: &Element, account: &str, archived: Option<&str>, time: Option<u64>) -> Option<Message> {
    let address = |name: &str| message.attr(name).map_or(Some(account.to_owned()), bare);
    let ids = message.children().filter(|child| child.is("stanza-id", SID));
    let named = ids.filter(|id| id.attr("by").and_then(bare).as_deref() == Some(account)).last();
    let archived = archived.or_else(|| named.and_then(|id| id.attr("id")));
    Some(Message {
        from: address("from")?,
        to: address("to")?,
        id: message.attr("id").filter(|id| !id.is_empty()).map(str::to_owned),
        archived: archived.map(str::to_owned),
        time: time.or_else(|| delay(message)),
        kind: message.attr("type").unwrap_or("normal").to_owned(),
        text: message.get_child("body", CLIENT).map(Element::text).filter(|text| !text.is_empty())?,
    })
}

fn delay(of: &Element) -> Option<u64> {
    of.get_child("delay", DELAY).and_then(|delay| delay.attr("stamp")).and_then(text::parse_time)
}

/// The account and id of a message of ours that came back as an error.
#[must_use]
pub fn returned(stanza: &Element) -> Option<(String, &str)> {
    let error = stanza.is("message", CLIENT) && stanza.attr("type") == Some("error");
    Some((stanza.attr("from").and_then(bare)?, stanza.attr("id")?)).filter(|_| error)
}

/// A message to be sent.
#[must_use]
pub fn chat(to: &str, id: &str, text: &str) -> Element {
    let mut body = Element::bare("body", CLIENT);
    body.append_text(text::sendable(text));
    let mut message = element(CLIENT, "message", &[("to", to), ("type", "chat"), ("id", id)]);
    message.append_child(body);
    message
}

/// A presence for somebody.
#[must_use]
pub fn directed(to: &str, kind: &str) -> Element {
    element(CLIENT, "presence", &[("to", to), ("type", kind)])
}

/// The own presence.
#[must_use]
pub fn presence(show: Option<&str>) -> Element {
    let mut presence = Element::bare("presence", CLIENT);
    if let Some(show) = show {
        let mut child = Element::bare("show", CLIENT);
        child.append_text(show);
        presence.append_child(child);
    }
    presence
}

/// The payload that puts somebody on the roster.
#[must_use]
pub fn roster_item(jid: &str) -> Element {
    let mut query = Element::bare("query", ROSTER);
    query.append_child(element(ROSTER, "item", &[("jid", jid)]));
    query
}

fn element(ns: &str, name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::bare(name, ns);
    for (name, value) in attributes {
        if let Ok(name) = NcName::try_from(*name) {
            element.set_attr(Namespace::NONE, name, *value);
        }
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "romeo@example.net";

    fn parse(xml: &str) -> Option<Message> {
        message(&xml.replacen(' ', " xmlns='jabber:client' ", 1).parse().unwrap(), OWN)
    }

    fn forwarded(wrapper: &str, end: &str, outer: &str, inner: &str) -> Option<Message> {
        parse(&format!(
            "<message {outer} to='{OWN}/a'><{wrapper}><forwarded xmlns='urn:xmpp:forward:0'>\
            <delay xmlns='urn:xmpp:delay' stamp='2027-01-15T08:00:00Z'/>\
            <message xmlns='jabber:client' {inner} id='i'><body>hi</body></message></forwarded></{end}></message>"
        ))
    }

    #[test]
    fn a_message_by_itself() {
        let message = parse(
            "<message from='Juliet@example.com/b' to='romeo@example.net' type='chat' id='i'><body>a &lt; b</body>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net' id='s'/></message>",
        );
        let message = message.unwrap();
        assert_eq!((&*message.from, &*message.to, &*message.text), ("juliet@example.com", OWN, "a < b"));
        assert_eq!((message.archived.as_deref(), message.id.as_deref()), (Some("s"), Some("i")));
        assert!(parse("<message from='j@x'/>").is_none());
        assert!(parse("<presence from='j@x'/>").is_none());
    }

    #[test]
    fn copies_of_the_own_server_alone() {
        let archive = ("result xmlns='urn:xmpp:mam:2' id='a'", "result");
        let carbon = ("sent xmlns='urn:xmpp:carbons:2'", "sent");
        let inner = "from='juliet@example.com/b' to='romeo@example.net'";
        let message = forwarded(archive.0, archive.1, "", inner).unwrap();
        assert_eq!((&*message.from, message.archived.as_deref()), ("juliet@example.com", Some("a")));
        assert_eq!(message.time, Some(1_800_000_000_000));
        let own = "from='romeo@example.net/z' to='juliet@example.com'";
        let message = forwarded(carbon.0, carbon.1, "from='romeo@example.net'", own).unwrap();
        assert_eq!((&*message.from, &*message.to), (OWN, "juliet@example.com"));
        assert!(forwarded(carbon.0, carbon.1, "from='mallory@x'", own).is_none());
        assert!(forwarded(archive.0, archive.1, "from='mallory@x'", inner).is_none());
    }

    #[test]
    fn what_is_sent_can_be_read() {
        let stanza = chat("juliet@example.com", "i", "a\0<b>\u{1b}&");
        assert!(String::from(&stanza).parse::<Element>().is_ok());
        assert_eq!(message(&stanza, OWN).unwrap().text, "a<b>&");
        let error =
            "<message xmlns='jabber:client' type='error' from='juliet@example.com/b' id='i'/>".parse();
        assert_eq!(returned(&error.unwrap()), Some(("juliet@example.com".to_owned(), "i")));
        assert_eq!(returned(&stanza), None);
    }
}
