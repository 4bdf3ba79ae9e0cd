//! A log-in with five hundred contacts, under the limits of traffic that servers ship with.

use std::time::{Duration, Instant};

use xmpp_e2e_client::xmpp_e2e::Event as Security;
use xmpp_e2e_servers::{Missing, Person, Proxy, Servers};

use crate::{Tests, add};

const CONTACTS: usize = 500;

/// Devices that log in at once: the machine is small.
const AT_ONCE: usize = 25;

pub(crate) fn add_tests(all: &mut Tests) {
    for (instance, domain) in [("a", "a.test"), ("e", "e.test")] {
        add(all, format!("log-in with {CONTACTS} contacts under limits, {domain}"), move || {
            crowd(instance, domain)
        });
    }
}

async fn crowd(instance: &'static str, domain: &'static str) -> Result<(), Missing> {
    let names: Vec<String> = (0..CONTACTS).map(|n| format!("u{n}")).collect();
    let mut users = names.clone();
    users.push("alice".to_owned());
    let alice = format!("alice@{domain}");
    let pairs: Vec<_> = names.iter().map(|name| (alice.clone(), format!("{name}@{domain}"))).collect();
    let servers = Servers::new(3, &[instance]).with_users(&users).with_friends(&pairs);
    let servers = servers.with("XMPP_TEST_LIMITS", "1").start()?;
    let address = servers.address(domain);
    let mut contacts: Vec<Person> =
        names.iter().map(|name| Person::new(&format!("{name}@{domain}"), &address)).collect();
    let start = Instant::now();
    for some in contacts.chunks_mut(AT_ONCE) {
        for contact in some.iter_mut() {
            contact.start();
        }
        for contact in some.iter() {
            let there = |heard: &xmpp_e2e_servers::Heard| heard.presence.contains_key(&heard.full_jid);
            contact.wait_for(Duration::from_secs(240), "log-in", there).await;
        }
    }
    println!("         {CONTACTS} contacts logged in: {:.1} s", start.elapsed().as_secs_f64());

    let mut kept = None;
    for (what, patience) in [("all keys new", 600), ("all keys known", 60)] {
        let proxy = Proxy::start(address.clone()).await;
        let mut person = Person::new(&alice, proxy.address());
        if let Some(storage) = kept.take() {
            person.storage = storage;
        }
        let start = Instant::now();
        person.log_in().await;
        let online = start.elapsed();
        // Somebody's keys are wanted at once: they do not wait for everybody's.
        let token = person.say(&contacts[CONTACTS - 100].account, what);
        // A failure is asserted against below.
        let ended =
            |heard: &xmpp_e2e_servers::Heard| heard.acknowledged.contains(&token) || !heard.failed.is_empty();
        person.wait_for(Duration::from_secs(240), "sent", ended).await;
        let sent = start.elapsed();
        let known = |heard: &xmpp_e2e_servers::Heard| {
            heard.security.iter().filter(|event| matches!(event, Security::Encrypts { .. })).count()
        };
        if what == "all keys new" {
            let patience = Duration::from_secs(patience);
            person.wait_for(patience, "all keys", |heard| known(heard) >= CONTACTS).await;
        }
        let done = start.elapsed();
        let (up, down) = proxy.passed();
        println!(
            "         {what}: online {:.1} s, first message {:.1} s, all known {:.1} s; {} bytes out, {} in, {} iqs",
            online.as_secs_f64(),
            sent.as_secs_f64(),
            done.as_secs_f64(),
            up.len(),
            down.len(),
            up.matches("<iq ").count(),
        );
        person.heard(|heard| {
            assert_eq!((heard.offline, heard.sessions.0), (0, 1), "the stream was never lost");
            assert!(
                heard.faults.is_empty() && heard.failed.is_empty(),
                "{:?} {:?}",
                heard.faults,
                heard.failed
            );
        });
        person.close().await;
        kept = Some(person.storage.clone());
    }
    Ok(())
}
