//! Servers of several domains in memory, for tests: no sockets, no clock, every run the same.
//!
//! They do to stanzas what Prosody and ejabberd do, and nothing else: `from` is stamped, what is
//! inside stays as it was written, errors echo the stanza.

mod archive;
mod iq;
mod message;
mod presence;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::xml::{Element, escaped};

use iq::Node;
pub use iq::Pep;

/// Called with the full JID a stanza goes to and the stanza; what it returns is delivered instead.
pub type Tamper = Box<dyn FnMut(&str, String) -> Vec<String>>;

/// What the default configurations of Prosody and ejabberd accept.
const MAX_STANZA: usize = 262_144;

/// The namespace of the conditions of RFC 6120, section 8.3.3.
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The servers of all domains: an account exists as soon as it is registered or connects.
#[derive(Default)]
pub struct Server {
    /// Milliseconds since the Unix epoch, for what servers stamp. Whoever runs the test moves it.
    pub now: u64,
    /// Applied to every stanza that is delivered to a client.
    pub tamper: Option<Tamper>,
    /// Whether every resource has message carbons (XEP-0280) on.
    pub carbons: bool,
    /// Whether the servers keep chat messages in archives (XEP-0313).
    pub archives: bool,
    /// Everything that crossed a client's stream, in order, unless [`Server::silent`].
    pub log: Vec<Crossing>,
    /// Keeps no log: for long runs.
    pub silent: bool,
    accounts: BTreeMap<String, Account>,
    /// By full JID.
    connections: BTreeMap<String, Connection>,
    /// For what the servers name themselves.
    count: u64,
}

/// A stanza on the stream between a client and its server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Crossing {
    /// Which way it went.
    pub way: Way,
    /// The full JID of the client.
    pub client: String,
    /// The bytes.
    pub stanza: String,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.way {
            Way::In => "<-",
            Way::Out => "->",
        };
        write!(f, "{} {arrow} {:>6} bytes  {}", self.client, self.stanza.len(), self.stanza)
    }
}

/// A direction, as the client sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From the server.
    In,
    /// To the server.
    Out,
}

#[derive(Default)]
struct Account {
    /// Accounts whose presence it sees.
    watches: BTreeSet<String>,
    /// Messages for when it comes back.
    offline: Vec<String>,
    pep: Pep,
    nodes: BTreeMap<String, Node>,
    /// What is shown to those who fetch, in the place of `nodes`.
    shown: Option<BTreeMap<String, Node>>,
    /// Messages with the time they came, the oldest first.
    archive: VecDeque<(u64, String)>,
}

#[derive(Default)]
struct Connection {
    queue: VecDeque<String>,
    /// Received, but not yet counted as handled (XEP-0198).
    unhandled: VecDeque<String>,
    /// The last available presence.
    presence: Option<String>,
    /// The stream is gone, and may be resumed (XEP-0198).
    suspended: bool,
}

impl Server {
    /// Servers without accounts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes sure that there is an account.
    pub fn register(&mut self, account: &str) {
        self.accounts.entry(account.to_owned()).or_default();
    }

    /// Binds a full JID. A session that had it is closed.
    ///
    /// # Panics
    /// If there is no resource.
    pub fn connect(&mut self, full: &str) {
        let account = bare(full);
        assert_ne!(account, full, "a full JID is connected");
        self.disconnect(full);
        self.register(account);
        self.connections.insert(full.to_owned(), Connection::default());
    }

    /// Closes a session. Messages that the client has not handled go on as if it had not been there.
    pub fn disconnect(&mut self, full: &str) {
        let Some(connection) = self.connections.get_mut(full) else { return };
        let available = connection.presence.take().is_some();
        if available {
            self.unavailable(full, "");
        }
        if let Some(connection) = self.connections.remove(full) {
            for stanza in connection.unhandled.into_iter().chain(connection.queue) {
                self.reroute(&stanza);
            }
        }
    }

    /// Cuts a stream; the session and its presence stay until it is resumed or disconnected.
    pub fn suspend(&mut self, full: &str) {
        self.connection(full).suspended = true;
    }

    /// Resumes a session (XEP-0198): what was not handled comes again. `false` if it is gone.
    pub fn resume(&mut self, full: &str) -> bool {
        let Some(connection) = self.connections.get_mut(full) else { return false };
        connection.suspended = false;
        while let Some(stanza) = connection.unhandled.pop_back() {
            connection.queue.push_front(stanza);
        }
        true
    }

    /// Whether a session exists and its stream is up.
    #[must_use]
    pub fn is_connected(&self, full: &str) -> bool {
        self.connections.get(full).is_some_and(|connection| !connection.suspended)
    }

    /// Takes a stanza from a client.
    ///
    /// # Panics
    /// If a real server would close the stream: no session, not well-formed, or too large.
    pub fn send(&mut self, from: &str, stanza: &str) {
        assert!(self.is_connected(from), "{from} sends without a stream: {stanza}");
        assert!(stanza.len() <= MAX_STANZA, "{from} sends {} bytes", stanza.len());
        let Some(mut element) = Element::parse(stanza) else {
            panic!("{from} sends what is not well-formed: {stanza}")
        };
        self.note(Way::Out, from, stanza);
        element.set("from", from);
        match element.name {
            "message" => self.message(from, &mut element),
            "presence" => self.presence(from, &mut element),
            "iq" => self.iq(from, &element),
            name => panic!("{from} sends <{name}/>, which is no stanza"),
        }
    }

    /// The next stanza for a client. It counts as handled with [`handled`](Self::handled).
    pub fn receive(&mut self, full: &str) -> Option<String> {
        let connection = self.connections.get_mut(full).filter(|connection| !connection.suspended)?;
        let stanza = connection.queue.pop_front()?;
        connection.unhandled.push_back(stanza.clone());
        self.note(Way::In, full, &stanza);
        Some(stanza)
    }

    /// The client has handled all it received (XEP-0198).
    pub fn handled(&mut self, full: &str) {
        if let Some(connection) = self.connections.get_mut(full) {
            connection.unhandled.clear();
        }
    }

    /// Delivers a stanza as it is, past [`tamper`](Self::tamper). `false` if nobody is there.
    pub fn inject(&mut self, to: &str, stanza: String) -> bool {
        let Some(connection) = self.connections.get_mut(to) else { return false };
        connection.queue.push_back(stanza);
        true
    }

    /// How many stanzas clients have still to receive, in memory and offline.
    #[must_use]
    pub fn pending(&self) -> usize {
        let queued = self.connections.values().map(|connection| connection.queue.len());
        let offline = self.accounts.values().map(|account| account.offline.len());
        queued.chain(offline).sum()
    }

    fn note(&mut self, way: Way, client: &str, stanza: &str) {
        if !self.silent {
            let (client, stanza) = (client.to_owned(), stanza.to_owned());
            self.log.push(Crossing { way, client, stanza });
        }
    }

    fn connection(&mut self, full: &str) -> &mut Connection {
        self.connections.get_mut(full).unwrap_or_else(|| panic!("{full} is not connected"))
    }

    /// The full JIDs of an account, those available only or all.
    fn resources(&self, account: &str, available: bool) -> Vec<String> {
        let resources = self.connections.iter().filter(|(full, _)| bare(full) == account);
        let resources = resources.filter(|(_, connection)| !available || connection.presence.is_some());
        resources.map(|(full, _)| full.clone()).collect()
    }

    /// Puts a stanza on the stream to a client, if it is there.
    fn deliver(&mut self, to: &str, stanza: String) {
        let stanzas = match &mut self.tamper {
            Some(tamper) => tamper(to, stanza),
            None => vec![stanza],
        };
        for stanza in stanzas {
            self.inject(to, stanza);
        }
    }

    /// Returns a stanza to its sender, as it was, with an error.
    fn refuse(&mut self, stanza: &Element<'_>, kind: &str, condition: &str) {
        let (Some(from), false) = (stanza.attr("from"), stanza.attr("type") == Some("error")) else {
            return;
        };
        // This one is of XEP-0060, behind one that every client knows.
        let error = if condition == "precondition-not-met" {
            format!(
                "<error type='{kind}'><conflict xmlns='{STANZAS}'/>\
                 <{condition} xmlns='http://jabber.org/protocol/pubsub#errors'/></error>"
            )
        } else {
            format!("<error type='{kind}'><{condition} xmlns='{STANZAS}'/></error>")
        };
        let mut answer = stanza.clone();
        answer.set("type", "error");
        answer.set("from", stanza.attr("to").unwrap_or(bare(from)));
        answer.set("to", from);
        self.deliver(from, answer.write(&error));
    }

    /// The mark of a stanza that was kept (XEP-0203).
    fn delay(&self, account: &str) -> String {
        let from = escaped(domain(account));
        format!("<delay xmlns='urn:xmpp:delay' from='{from}' stamp='{}'/>", date_time(self.now))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (full, connection) in &self.connections {
            let state = (connection.presence.is_some(), connection.suspended);
            map.entry(full, &(state, &connection.queue));
        }
        for (account, state) in self.accounts.iter().filter(|(_, state)| !state.offline.is_empty()) {
            map.entry(account, &state.offline);
        }
        map.finish()
    }
}

/// The account of a JID.
#[must_use]
pub fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

fn domain(jid: &str) -> &str {
    let bare = bare(jid);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}

/// A time as XEP-0082 writes it.
fn date_time(millis: u64) -> String {
    let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
    // Years from March on have their leap day at the end; 719,468 days lie before 1970-01-01.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}
