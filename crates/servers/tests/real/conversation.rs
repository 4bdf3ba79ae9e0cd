//! What two people do every day, on Prosody, on ejabberd, and from one to the other.

use xmpp_e2e_client::xmpp_e2e::Event as Security;
use xmpp_e2e_servers::{Missing, Person, Proxy, Servers};

use crate::{Tests, add};

/// Nobody but the two may read it: looked for in everything the servers have written.
const MARK: &str = "Kartoffelpuffer";

/// The servers of two people, by domain.
pub(crate) const PLACES: [(&str, &str); 3] =
    [("a.test", "a.test"), ("e.test", "e.test"), ("a.test", "e.test")];

pub(crate) fn add_tests(all: &mut Tests) {
    type Run = fn(Pair) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let tests: [(&str, Run); 6] = [
        ("presence and first words", |pair| Box::pin(first_words(pair))),
        ("first message to a device that is offline", |pair| Box::pin(offline_first(pair))),
        ("two hundred messages, streams cut and resumed", |pair| Box::pin(long(pair))),
        ("sessions that are not resumed", |pair| Box::pin(not_resumed(pair))),
        ("client-state inactive", |pair| Box::pin(inactive(pair))),
        ("server killed and restarted", |pair| Box::pin(server_killed(pair))),
    ];
    for (name, test) in tests {
        for place in PLACES {
            add(all, format!("{name}, {} to {}", place.0, place.1), move || async move {
                test(Pair::start(place).await?).await;
                Ok(())
            });
        }
    }
}

/// Two people and their servers.
pub(crate) struct Pair {
    pub(crate) servers: Servers,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) proxy: Proxy,
}

impl Pair {
    pub(crate) async fn start(place: (&str, &str)) -> Result<Self, Missing> {
        let (alice, bob) = (format!("alice@{}", place.0), format!("bob@{}", place.1));
        let instance = |domain: &str| match domain.as_bytes()[0] {
            b'a' => "a",
            b'b' => "b",
            b'e' => "e",
            _ => "f",
        };
        let mut instances = vec![instance(place.0)];
        if place.0 != place.1 {
            instances.push(instance(place.1));
        }
        let servers = Servers::new(1, &instances);
        let servers = servers
            .with_friends(&[(alice.clone(), bob.clone())])
            .with("XMPP_TEST_LOGLEVEL", "debug")
            .start()?;
        let proxy = Proxy::start(servers.address(place.0)).await;
        let alice = Person::new(&alice, proxy.address());
        let bob = Person::new(&bob, &servers.address(place.1));
        Ok(Self { servers, alice, bob, proxy })
    }

    /// Both are there and know each other's keys.
    pub(crate) async fn meet(&mut self) {
        self.alice.log_in().await;
        self.bob.log_in().await;
        for (one, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            one.wait("keys", |heard| encrypts(heard, &other.account)).await;
        }
    }

    /// Numbered messages from one to the other.
    pub(crate) fn say(&self, alice: bool, numbers: std::ops::Range<usize>) {
        let (from, to) = if alice { (&self.alice, &self.bob) } else { (&self.bob, &self.alice) };
        for n in numbers {
            from.say(&to.account, &text(n));
        }
    }

    /// Waits until all of them have come, and checks that each came once and in order.
    pub(crate) async fn all_came(&self, alice: bool, count: usize) {
        let (from, to) = if alice { (&self.alice, &self.bob) } else { (&self.bob, &self.alice) };
        let sender = from.account.clone();
        to.wait(&format!("message {count} of {sender}"), |heard| {
            heard.messages.iter().filter(|(from, _)| *from == sender).count() >= count
        })
        .await;
        let (came, late) = to.texts_from(&sender);
        let expected: Vec<String> = (0..count).map(text).collect();
        if let Some(wrong) = (0..count.max(came.len())).find(|n| came.get(*n) != expected.get(*n)) {
            let how = to.heard(|heard| heard.how.clone());
            panic!("{}: lost, doubled or out of order at {wrong}: {came:?}\n{how:?}", to.account);
        }
        // ejabberd mixes what it kept with what is new when it resumes a session or ends one.
        if late > 0 {
            println!("         {}: the servers put {late} of {count} messages out of order", to.account);
            assert!(to.account.ends_with("e.test"), "only ejabberd is known to");
        }
    }

    /// The servers have nothing of what was said.
    pub(crate) fn nothing_in_clear(&self) {
        for person in [&self.alice, &self.bob] {
            let clear = person.heard(|heard| heard.clear.clone());
            assert_eq!(clear, [], "{}", person.account);
        }
        let files = self.servers.files_with(MARK);
        assert!(files.is_empty(), "clear text in {files:?}");
        let (up, down) = self.proxy.passed();
        assert!(!up.contains(MARK) && !down.contains(MARK), "clear text on the stream");
        // Were there no protected ones, this would say nothing.
        assert!(up.contains("urn:xmpp:e2e:0") && !self.servers.files_with("urn:xmpp:e2e:0").is_empty());
    }
}

pub(crate) fn encrypts(heard: &xmpp_e2e_servers::Heard, account: &str) -> bool {
    heard
        .security
        .iter()
        .any(|event| matches!(event, Security::Encrypts { peer, .. } if peer.as_str() == account))
}

fn text(n: usize) -> String {
    format!("{MARK} {n}")
}

async fn first_words(mut pair: Pair) {
    // By broadcast, late log-in and probe.
    pair.meet().await;
    pair.say(true, 0..1);
    pair.all_came(true, 1).await;
    pair.say(false, 0..1);
    pair.all_came(false, 1).await;
    for person in [&pair.alice, &pair.bob] {
        person.heard(|heard| {
            let bad = heard
                .security
                .iter()
                .filter(|event| !matches!(event, Security::Encrypts { .. } | Security::NewDevice { .. }));
            assert_eq!(bad.collect::<Vec<_>>(), Vec::<&Security>::new());
            assert!(heard.faults.is_empty(), "{:?}", heard.faults);
            assert!(heard.failed.is_empty());
        });
    }
    pair.nothing_in_clear();
}

async fn offline_first(mut pair: Pair) {
    // Bob has been there once, so that his keys are published.
    pair.bob.log_in().await;
    pair.bob.close().await;
    pair.alice.log_in().await;
    pair.say(true, 0..3);
    pair.alice.wait("sent", |heard| heard.acknowledged.len() == 3).await;
    pair.alice.close().await;
    pair.bob.log_in().await;
    pair.all_came(true, 3).await;
    pair.say(false, 0..3);
    pair.bob.wait("sent", |heard| heard.acknowledged.len() == 3).await;
    pair.alice.log_in().await;
    pair.all_came(false, 3).await;
    pair.nothing_in_clear();
}

async fn long(mut pair: Pair) {
    pair.meet().await;
    for round in 0..10 {
        let numbers = round * 10..round * 10 + 10;
        pair.say(true, numbers.clone());
        pair.say(false, numbers);
        if round % 2 == 1 {
            pair.proxy.cut();
            let resumed = round / 2 + 1;
            pair.alice.wait("resumption", |heard| heard.sessions.1 >= resumed).await;
        }
    }
    pair.all_came(true, 100).await;
    pair.all_came(false, 100).await;
    pair.alice.heard(|heard| assert_eq!(heard.sessions, (1, 5), "all resumed"));
    pair.nothing_in_clear();
}

async fn not_resumed(mut pair: Pair) {
    pair.meet().await;
    for round in 0..4 {
        let numbers = round * 5..round * 5 + 5;
        pair.say(true, numbers.clone());
        // A new process with what the old one stored: it knows of no session to resume.
        pair.alice.kill().await;
        pair.say(false, numbers);
        pair.alice.log_in().await;
    }
    pair.all_came(true, 20).await;
    pair.all_came(false, 20).await;
    pair.nothing_in_clear();
}

async fn inactive(mut pair: Pair) {
    pair.meet().await;
    pair.alice.set_active(false);
    pair.say(false, 0..5);
    pair.all_came(false, 5).await;
    pair.alice.set_active(true);
    pair.say(true, 0..5);
    pair.all_came(true, 5).await;
    pair.nothing_in_clear();
}

async fn server_killed(mut pair: Pair) {
    pair.meet().await;
    let instance = &pair.alice.account[6..7].to_owned();
    for round in 0..2 {
        let numbers = round * 5..round * 5 + 5;
        pair.say(true, numbers.clone());
        pair.say(false, numbers.clone());
        pair.all_came(true, numbers.end).await;
        pair.all_came(false, numbers.end).await;
        pair.servers.run("kill", instance).expect("killed");
        pair.servers.run("start", instance).expect("started");
        let before = round + 2;
        pair.alice
            .wait("a new session", |heard| heard.sessions.0 >= before && heard.caught_up >= before)
            .await;
        if pair.bob.account.ends_with(&pair.alice.account[6..]) {
            pair.bob
                .wait("a new session", |heard| heard.sessions.0 >= before && heard.caught_up >= before)
                .await;
        }
    }
    pair.say(true, 10..15);
    pair.all_came(true, 15).await;
    pair.say(false, 10..15);
    pair.all_came(false, 15).await;
    pair.nothing_in_clear();
}
