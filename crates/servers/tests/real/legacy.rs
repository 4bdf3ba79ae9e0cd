//! Clients that know nothing of ours show a message that is only authenticated as they show any other.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xmpp_e2e_servers::{Missing, Raw, Screen, Servers, need_client, scripts};

use crate::chat::Folder;
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
    let screen = log_in(client, &servers, (&alice, &bob), &folder.0);

    let (_alice, said) = said_by_alice(&servers.address(domain), (&alice, &bob)).await;
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

/// Alice says something ordinary, what is only authenticated, and something ordinary, as soon as Bob is there. She stays
/// until she is dropped: a stream that ends may take what it has sent with it.
async fn said_by_alice(address: &str, (alice, bob): (&str, &str)) -> (Raw, Vec<Said>) {
    let mut raw = Raw::log_in(address, alice, "raw").await;
    raw.send("<presence/>").await;
    raw.until(&format!("from='{bob}/")).await;
    let mut said = Vec::new();
    for (text, element, size) in [
        ("An ordinary message", "", 0),
        ("Guten Morgen, liebe Gäste!", "auth", 200),
        ("A longer one; 1 + 1 = 2 (so far)", "signed", 300),
        // What a client has to say of those before, it has said when it shows this.
        ("That is all", "", 0),
    ] {
        let hidden = STANDARD.encode(noise(size));
        let mut children = format!("<body>{text}</body>");
        if !element.is_empty() {
            children.push_str(&format!(
                "<{element} xmlns='urn:xmpp:e2e:0'>{hidden}</{element}><store xmlns='urn:xmpp:hints'/>"
            ));
        }
        let id = said.len();
        raw.send(&format!("<message to='{bob}' type='chat' id='m{id}'>{children}</message>")).await;
        said.push(Said { text, hidden });
    }
    (raw, said)
}

/// Bytes that look random.
fn noise(count: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(7), next).map(|state| state.to_be_bytes()[0]).take(count).collect()
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
            screen.wait("[_] alice");
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
