//! Stanzas of every kind come out of protection as they went in, whatever servers have made of them on the way.

mod cases;
mod infoset;
mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use xmpp_e2e_client::minidom::Element;
use xmpp_e2e_client::xmpp_e2e::suite::Level;
use xmpp_e2e_client::xmpp_e2e::{Authentication, Event as Security, Need, Protection, Token, Via};
use xmpp_e2e_servers::{Delivered, Heard, Missing, Person, Proxy, Servers};

use crate::conversation::encrypts;
use crate::{Tests, add};
use cases::Case;
use infoset::Infoset;
use table::{Outcome, Table};

pub(crate) fn add_tests(all: &mut Tests) {
    add(all, "the corpus on every path", on_every_path);
}

const CLIENT: &str = "jabber:client";

/// How each stanza is protected: encrypted, with digests, with a copy.
const NEEDS: [char; 3] = ['e', 'd', 'c'];

fn need(letter: char) -> Need {
    let session = Authentication::session(Level::CLASSICAL);
    match letter {
        'e' => Need::Encrypted(Level::CLASSICAL),
        'd' => Need::Authenticated(session),
        _ => Need::Authenticated(session.with_copy()),
    }
}

/// Stanzas handed in at once: fewer than servers keep unacknowledged.
const AT_ONCE: usize = 60;

/// How long a stanza may take that others have overtaken.
const LATE: Duration = Duration::from_secs(20);

/// What comes at all comes by then, after what was said later has come.
const SOON: Duration = Duration::from_millis(500);

/// Path, sender and receiver. Where both have one server, it is tried with more.
const PLACES: [(&str, &str, &str); 4] = [
    ("prosody", "alice@a.test", "bob@a.test"),
    ("ejabberd", "alice@e.test", "bob@e.test"),
    ("prosody-ejabberd", "carol@a.test", "dave@e.test"),
    ("ejabberd-prosody", "carol@e.test", "dave@a.test"),
];

async fn on_every_path() -> Result<(), Missing> {
    let mut table = Table::default();
    let servers = servers_of(31).start()?;
    for (path, from, to) in PLACES {
        let start = Instant::now();
        let local = path == "prosody" || path == "ejabberd";
        let mut pair = Pair::start(&servers, from, to, local).await;
        pair.live(path, &mut table).await;
        if local {
            pair.resumed(&format!("{path}-resumed"), &mut table).await;
            pair.absent(&format!("{path}-archive"), Via::Archive, &mut table).await;
        }
        pair.end().await;
        println!("         {path}: {:.1} s", start.elapsed().as_secs_f64());
    }
    drop(servers);
    let without = servers_of(32).with("XMPP_TEST_PROSODY_DISABLED", "\"mam\";");
    let without = without.with("XMPP_TEST_EJABBERD_WITHOUT", "mod_mam").start()?;
    for (path, from, to) in &PLACES[..2] {
        let start = Instant::now();
        let path = format!("{path}-offline");
        let mut pair = Pair::start(&without, from, to, false).await;
        pair.absent(&path, Via::Stream, &mut table).await;
        pair.end().await;
        println!("         {path}: {:.1} s", start.elapsed().as_secs_f64());
    }
    table.check();
    Ok(())
}

/// Servers at which all know each other.
fn servers_of(number: u8) -> Servers {
    let friends = PLACES.map(|(_, from, to)| (from.to_owned(), to.to_owned()));
    Servers::new(number, &["a", "e"]).with_friends(&friends)
}

/// Alice says everything, Bob is told; Alice's other client reads along if there is one.
struct Pair {
    alice: Person,
    other: Option<Person>,
    bob: Person,
    proxy: Proxy,
    cases: Vec<Case>,
    /// Sets the ids of one time apart from those of others.
    times: usize,
}

/// A stanza that was handed in.
struct Said {
    case: usize,
    need: char,
    token: Token,
    stanza: Element,
}

impl Said {
    fn id(&self) -> &str {
        self.stanza.attr("id").unwrap_or_default()
    }
}

impl Pair {
    async fn start(servers: &Servers, from: &str, to: &str, other: bool) -> Self {
        let cases = cases::all(from, to);
        let address = |account: &str| servers.address(account.rsplit('@').next().unwrap_or_default());
        let proxy = Proxy::start(address(to)).await;
        let mut alice = Person::new(from, &address(from));
        let mut bob = Person::new(to, proxy.address());
        alice.log_in().await;
        let mut other = other.then(|| alice.another_device(&address(from)));
        if let Some(other) = &mut other {
            other.log_in().await;
        }
        bob.log_in().await;
        for (one, other) in [(&alice, &bob), (&bob, &alice)] {
            one.wait("keys", |heard| encrypts(heard, &other.account)).await;
        }
        let pair = Self { alice, other, bob, proxy, cases, times: 0 };
        pair.meet().await;
        pair
    }

    /// Until each reads what the other says, and Alice's other client too.
    async fn meet(&self) {
        let readers = [Some(&self.bob), self.other.as_ref()];
        for n in 0.. {
            assert!(n < 20, "they do not meet");
            let hello = format!("hello {n}");
            self.alice.say(&self.bob.account, &hello);
            self.bob.say(&self.alice.account, &hello);
            let heard = |heard: &Heard, from: &str| {
                heard.messages.iter().any(|(by, text)| by == from && *text == hello)
            };
            self.alice.wait("hello", |by| heard(by, &self.bob.account)).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            if readers.iter().flatten().all(|reader| reader.heard(|by| heard(by, &self.alice.account))) {
                return;
            }
        }
    }

    /// Alice says all of one time, and then a last word, and all is acknowledged.
    async fn say_all(&mut self, of_stream: bool) -> Vec<Said> {
        self.times += 1;
        let full = self.bob.heard(|heard| heard.full_jid.clone());
        let mut said = Vec::new();
        for (number, case) in self.cases.iter().enumerate() {
            if case.is_of_stream() && !of_stream {
                continue;
            }
            for letter in NEEDS {
                let to = if case.is_of_stream() { &full } else { &self.bob.account };
                let id = format!("t{}-{number}{letter}", self.times);
                let Some(stanza) = case.with_id(to, &id) else { continue };
                if table::breaks_streams(&case.name, letter) {
                    continue;
                }
                let token = self.alice.send(stanza.clone(), need(letter));
                said.push(Said { case: number, need: letter, token, stanza });
                if said.len() % AT_ONCE == 0 {
                    self.all_sent(&said).await;
                }
            }
        }
        self.alice.say(&self.bob.account, &self.last_word());
        self.all_sent(&said).await;
        said
    }

    fn last_word(&self) -> String {
        format!("the last of time {}", self.times)
    }

    async fn all_sent(&self, said: &[Said]) {
        let ended = |heard: &Heard| {
            let failed: BTreeSet<Token> = heard.failed.iter().map(|(token, _)| *token).collect();
            said.iter().all(|said| heard.acknowledged.contains(&said.token) || failed.contains(&said.token))
        };
        self.alice.wait("the end of what was said", ended).await;
    }

    /// All has come that is known to, or has had its time.
    async fn all_came(&self, person: &Person, path: &str, said: &[Said]) {
        let last = self.last_word();
        person.wait("the last word", |heard| heard.messages.iter().any(|(_, text)| *text == last)).await;
        let due = said.iter().filter(|said| table::arrives(&self.cases[said.case].name, path, said.need));
        let due: Vec<&str> = due.map(Said::id).collect();
        let start = Instant::now();
        // Servers may send it after the last word.
        while start.elapsed() < LATE {
            let ids = person.heard(|heard| {
                let ids = heard.delivered.iter().filter_map(|delivered| cases::id_of(delivered.inner()));
                ids.map(str::to_owned).collect::<BTreeSet<_>>()
            });
            if due.iter().all(|id| ids.contains(*id)) {
                break;
            }
            tokio::time::sleep(SOON).await;
        }
        // What must not come would come by now.
        tokio::time::sleep(SOON).await;
    }

    async fn live(&mut self, path: &str, table: &mut Table) {
        let said = self.say_all(true).await;
        self.all_came(&self.bob, path, &said).await;
        self.compare(path, &self.bob, &said, Via::Stream, table);
        if let Some(other) = &self.other {
            let messages: Vec<Said> =
                said.into_iter().filter(|said| said.stanza.name() == "message").collect();
            let path = format!("{path}-carbon");
            self.all_came(other, &path, &messages).await;
            self.compare(&path, other, &messages, Via::Carbon, table);
        }
    }

    /// Bob's stream is away, and goes on.
    async fn resumed(&mut self, path: &str, table: &mut Table) {
        self.proxy.close(true);
        self.bob.wait("loss of the stream", |heard| heard.offline > 0).await;
        let said = self.say_all(false).await;
        self.proxy.close(false);
        self.all_came(&self.bob, path, &said).await;
        self.bob.heard(|heard| assert_eq!(heard.sessions, (1, 1), "resumed"));
        self.compare(path, &self.bob, &said, Via::Stream, table);
    }

    /// Bob has logged out, and comes back.
    async fn absent(&mut self, path: &str, via: Via, table: &mut Table) {
        self.bob.close().await;
        let said = self.say_all(false).await;
        self.bob.log_in().await;
        self.all_came(&self.bob, path, &said).await;
        self.compare(path, &self.bob, &said, via, table);
    }

    fn compare(&self, path: &str, person: &Person, said: &[Said], via: Via, table: &mut Table) {
        for case in &self.cases {
            if let Err(malformed) = &case.stanza {
                table.refused(&case.name, *malformed);
            }
        }
        for said in said {
            let outcome = person.heard(|heard| self.outcome(said, heard, via));
            table.enter(&self.cases[said.case].name, path, said.need, outcome);
        }
        person.heard(|heard| {
            for event in &heard.security {
                match event {
                    Security::Rejected { reason, .. } => table.wrong(path, reason),
                    Security::ClearText { .. } => table.wrong(path, event),
                    _ => {}
                }
            }
            heard.faults.iter().for_each(|fault| table.wrong(path, fault));
            heard.clear.iter().for_each(|clear| table.wrong(path, clear));
            let contexts = heard.delivered.iter().filter_map(|delivered| delivered.context.as_ref());
            table.dropped.extend(contexts.flat_map(|context| context.dropped.clone()));
        });
    }

    /// What became of a stanza.
    fn outcome(&self, said: &Said, heard: &Heard, via: Via) -> Outcome {
        let failed = self
            .alice
            .heard(|alice| alice.failed.iter().find(|(token, _)| *token == said.token).map(|(_, why)| *why));
        let came =
            heard.delivered.iter().filter(|delivered| cases::id_of(delivered.inner()) == Some(said.id()));
        let came: Vec<&Delivered> = came.collect();
        let delivered = match (&came[..], failed) {
            ([], Some(why)) => return Outcome::Failed(why),
            ([], None) => return Outcome::Lost,
            ([one], None) => *one,
            _ => return Outcome::Twice,
        };
        let right = match delivered.protection {
            Protection::Encrypted { .. } => said.need == 'e',
            Protection::Authenticated { .. } => said.need != 'e',
            _ => false,
        };
        assert!(right, "{:?} of {}", delivered.protection, self.cases[said.case].name);
        self.check_addresses(said, delivered);
        let sent = Infoset::of(&said.stanza).without_addresses();
        let got = Infoset::of(delivered.inner()).without_addresses();
        let missing = delivered.context.as_ref().map_or(0, |context| context.missing);
        let apart = sent.clone().without(&table::NOT_VOUCHED);
        let outcome = match missing {
            0 if got == sent => Outcome::Equal,
            0 if got == apart => Outcome::Apart,
            0 if said.need == 'd' && got == apart.reduced() => Outcome::Reduced,
            0 if got == sent.clone().untyped() => Outcome::Untyped,
            0 => {
                println!("         sent {}\n         came {}", sent.shown(), got.shown());
                return Outcome::Changed;
            }
            count => return Outcome::Missing(count),
        };
        match &delivered.context {
            Some(context) if context.via != via => Outcome::Elsewhere,
            Some(_) | None => outcome,
        }
    }

    fn check_addresses(&self, said: &Said, delivered: &Delivered) {
        let inner = delivered.inner();
        let from = self.alice.heard(|heard| heard.full_jid.clone());
        assert_eq!(inner.attr("from"), Some(&*from), "{}", said.id());
        let to = inner.attr("to").and_then(|jid| jid.split('/').next());
        assert_eq!(to, Some(&*self.bob.account), "{}", said.id());
        if let Some(context) = &delivered.context {
            assert_eq!(context.sender.as_str(), self.alice.account);
            assert_eq!(context.addressed.as_str(), self.bob.account);
        }
    }

    async fn end(mut self) {
        self.alice.close().await;
        self.bob.close().await;
        if let Some(mut other) = self.other {
            other.close().await;
        }
    }
}
