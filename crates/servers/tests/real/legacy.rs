//! Clients that know nothing of ours show a message that is only authenticated as they show any other.

use std::path::Path;

use xmpp_e2e_client::xmpp_e2e::suite::Level;
use xmpp_e2e_client::xmpp_e2e::{Authentication, Need, Protection};
use xmpp_e2e_servers::{Heard, Missing, Person, Proxy, Raw, Screen, Servers, need_client, scripts};

use crate::chat::Folder;
use crate::conversation::encrypts;
use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    for (instance, domain) in [("a", "a.test"), ("e", "e.test")] {
        for client in ["profanity", "mcabber", "slixmpp"] {
            add(all, format!("authentication only, shown by {client}, {domain}"), move || {
                shown(client, instance, domain)
            });
        }
    }
}

/// What programs say when something is wrong, in lower case.
const COMPLAINTS: [&str; 7] = ["error", "fail", "warning", "invalid", "unsupported", "unable", "traceback"];

/// So much of base64 in a row is never there by chance.
const PIECE: usize = 8;

async fn shown(client: &'static str, instance: &'static str, domain: &'static str) -> Result<(), Missing> {
    need_client("tmux")?;
    need_client(client)?;
    let (alice, bob) = (format!("alice@{domain}"), format!("bob@{domain}"));
    let servers = Servers::new(21, &[instance]).with_friends(&[(alice.clone(), bob.clone())]).start()?;
    let folder = Folder::new("legacy");
    let mut pair = Pair::start(&servers.address(domain), &alice, &bob).await;
    let screen = log_in(client, &servers, (&alice, &bob), &folder.0);
    let said = pair.said_by_alice().await;
    let lines: Vec<String> = said.iter().map(|message| line_with(&screen, message.text)).collect();
    for line in &lines {
        assert_eq!(*line, lines[0], "shown otherwise than an ordinary message:\n{}", screen.text());
    }
    let mut seen = screen.text();
    if client == "profanity" {
        // Its complaints may be in its first window.
        screen.type_line("/win 1");
        seen.push_str(&screen.wait("logged in successfully"));
    }
    let complaint = COMPLAINTS.iter().find(|complaint| seen.to_lowercase().contains(**complaint));
    assert_eq!(complaint, None, "on the screen:\n{seen}");
    for message in said {
        let pieces = message.hidden.as_bytes().windows(PIECE);
        let piece = pieces.map(String::from_utf8_lossy).find(|piece| seen.contains(&**piece));
        assert_eq!(piece, None, "of the authentication, on the screen:\n{seen}");
    }
    Ok(())
}

struct Said {
    text: &'static str,
    /// What no screen may show.
    hidden: String,
}

/// Alice, at a client of this protocol and at one that sends what a test wants, and Bob, at a client of this protocol
/// beside that of others.
struct Pair {
    alice: Person,
    proxy: Proxy,
    raw: Raw,
    bob: Person,
}

impl Pair {
    async fn start(address: &str, alice: &str, bob: &str) -> Self {
        let proxy = Proxy::start(address.to_owned()).await;
        let mut bob = Person::new(bob, address);
        bob.log_in().await;
        // As far as the lines on a screen go, at one place.
        let raw = Raw::log_in(address, alice, "at1").await;
        let mut alice = Person::new(alice, proxy.address());
        "at2".clone_into(&mut alice.config().resource);
        alice.log_in().await;
        for (one, other) in [(&alice, &bob), (&bob, &alice)] {
            one.wait("keys", |heard| encrypts(heard, &other.account)).await;
        }
        Self { alice, proxy, raw, bob }
    }

    /// Alice says something ordinary, what is only authenticated, and something ordinary, as soon as Bob's other client
    /// is there. She stays until she is dropped: a stream that ends may take what it has sent with it.
    async fn said_by_alice(&mut self) -> Vec<Said> {
        let bob = self.bob.account.clone();
        let own = self.bob.heard(|heard| heard.full_jid.clone());
        let other = |jid: &String| jid.starts_with(&format!("{bob}/")) && *jid != own;
        self.alice.wait("the other client", |heard| heard.presence.keys().any(other)).await;
        vec![
            self.say("An ordinary message").await,
            self.say_verified("Guten Morgen, liebe Gäste!", Authentication::session(Level::CLASSICAL)).await,
            self.say_verified("A longer one; 1 + 1 = 2 (so far)", Authentication::signed()).await,
            // What a client has to say of those before, it has said when it shows this.
            self.say("That is all").await,
        ]
    }

    /// In clear.
    async fn say(&mut self, text: &'static str) -> Said {
        let to = &self.bob.account;
        let message =
            format!("<message to='{to}' type='chat' id='{}'><body>{text}</body></message>", text.len());
        self.raw.send(&message).await;
        let came = |heard: &Heard| heard.clear.iter().any(|(_, came)| came == text);
        self.bob.wait("what is in clear", came).await;
        Said { text, hidden: String::new() }
    }

    /// As the engine does; Bob's own client has verified it.
    async fn say_verified(&mut self, text: &'static str, authentication: Authentication) -> Said {
        self.alice.say_with(&self.bob.account, text, Need::Authenticated(authentication));
        let came = |heard: &Heard| heard.messages.iter().any(|(_, came)| came == text);
        self.bob.wait("what is authenticated", came).await;
        self.bob.heard(|heard| {
            let last = heard.delivered.last().map(|delivered| delivered.protection);
            let verified = matches!(last, Some(Protection::Authenticated { .. } | Protection::Signed { .. }));
            assert!(verified, "{last:?}");
        });
        let (sent, _) = self.proxy.passed();
        let elements = ["<auth xmlns='urn:xmpp:e2e:0'", "<signed xmlns='urn:xmpp:e2e:0'"];
        let last = elements.iter().filter_map(|element| sent.rfind(element)).max();
        let hidden = content(&sent[last.expect("the authentication")..]).to_owned();
        assert!(hidden.len() > 100, "{hidden}");
        Said { text, hidden }
    }
}

/// What an element has as its text.
fn content(element: &str) -> &str {
    element.split(['<', '>']).nth(2).unwrap_or_default()
}

/// Waits for the line with the text. What surrounds it comes back, with each digit as 0, since time passes.
fn line_with(screen: &Screen, text: &str) -> String {
    let seen = screen.wait(text);
    let lines: Vec<&str> = seen.lines().filter(|line| line.contains(text)).collect();
    let [line] = lines[..] else { panic!("{text:?} is shown more than once:\n{seen}") };
    // mcabber has its roster on the left.
    let line = line.rsplit('│').next().unwrap_or(line).trim_end().replace(text, "TEXT");
    line.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect()
}

/// Bob at a client of others, which has logged in and shows what Alice says.
fn log_in(client: &str, servers: &Servers, (alice, bob): (&str, &str), folder: &Path) -> Screen {
    let domain = bob.trim_start_matches("bob@");
    let address = servers.address(domain);
    let (host, port) = address.split_once(':').expect("an address");
    let write = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    match client {
        "profanity" => {
            write("config/profanity/profrc", "[ui]\nsplash=false\nvercheck=false\n");
            let account = format!(
                "[{bob}]\nenabled=true\njid={bob}\npassword=secret\nresource=screen\nserver={host}\nport={port}\n\
                 tls.policy=disable\n"
            );
            write("data/profanity/accounts", &account);
            let screen = Screen::start(&["profanity", "--account", bob], folder);
            screen.wait("logged in successfully");
            screen.type_line(&format!("/msg {alice}"));
            // The title of a conversation.
            screen.wait("[unencrypted]");
            screen
        }
        "mcabber" => {
            // It takes STARTTLS where it is offered.
            let authority = servers.authority();
            let settings = format!(
                "set jid = {bob}\nset password = secret\nset server = {host}\nset port = {port}\nset tls = 1\n\
                 set ssl_ca = {}\n",
                authority.display()
            );
            let settings = write("mcabberrc", &settings);
            let screen = Screen::start(&["mcabber", "-f", &settings], folder);
            // The roster has come, of which ejabberd knows names.
            screen.wait("] alice");
            screen.type_line(&format!("/roster search {alice}"));
            screen.wait("Buddy: alice");
            // Opens the conversation.
            screen.type_line("");
            screen
        }
        _ => {
            let script = scripts().join("show.py").display().to_string();
            let screen = Screen::start(&["/usr/bin/python3", &script, bob, "secret", host, port], folder);
            screen.wait(&format!("online {bob}"));
            screen
        }
    }
}
