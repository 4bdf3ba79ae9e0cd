//! PEP that refuses, is absent, has another access model, or loses items: messages flow, the event says what is wrong,
//! and it mends itself.

use std::time::Duration;

use xmpp_e2e_client::minidom::Element;
use xmpp_e2e_client::xmpp_e2e::{Authentication, Event as Security, Need, PublishFault, Reason};
use xmpp_e2e_servers::{Heard, Missing, Person, Servers};

use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    let faults = [
        ("refuse", PublishFault::Refused),
        ("absent", PublishFault::Absent),
        ("precondition", PublishFault::AccessModel),
        ("lose", PublishFault::Lost),
    ];
    for (fault, expected) in faults {
        add(all, format!("PEP that says {fault}, a.test"), move || faulty(fault, expected));
    }
    add(all, "signed items, a.test", || signed_items("a", "a.test"));
    add(all, "signed items, e.test", || signed_items("e", "e.test"));
    add(all, "no PEP, e.test", without);
    add(all, "an item lost later, a.test", lost_later);
    add(all, "another access model before, a.test", || model_before("a.test"));
    add(all, "another access model before, e.test", || model_before("e.test"));
}

const MODEL: &str = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='NODE'><item id='current'>\
    <x xmlns='urn:x'/></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>\
    <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
    <field var='pubsub#access_model'><value>whitelist</value></field></x></publish-options></pubsub>";

fn faults(heard: &Heard) -> Vec<PublishFault> {
    let faults = heard.security.iter().filter_map(|event| match event {
        Security::PublishFailed { why } => Some(*why),
        _ => None,
    });
    faults.collect()
}

async fn people(servers: &Servers, domain: &str) -> (Person, Person) {
    let person = |name: &str| Person::new(&format!("{name}@{domain}"), &servers.address(domain));
    (person("alice"), person("bob"))
}

fn friends(domain: &str) -> Vec<(String, String)> {
    vec![(format!("alice@{domain}"), format!("bob@{domain}"))]
}

/// Both ways, under protection.
async fn talk(alice: &Person, bob: &Person, round: usize) {
    for (from, to) in [(alice, bob), (bob, alice)] {
        from.say(&to.account, &format!("round {round}"));
        to.wait("the message", |heard| heard.messages.len() == round).await;
    }
}

async fn faulty(fault: &'static str, expected: PublishFault) -> Result<(), Missing> {
    let servers = Servers::new(2, &["a"]).with_friends(&friends("a.test")).with_pep_faults().start()?;
    servers.set_pep_fault("a", fault);
    let (mut alice, mut bob) = people(&servers, "a.test").await;
    alice.log_in().await;
    bob.log_in().await;
    for person in [&alice, &bob] {
        person.wait("the event", |heard| !faults(heard).is_empty()).await;
    }
    talk(&alice, &bob, 1).await;
    for person in [&alice, &bob] {
        person.heard(|heard| assert_eq!(faults(heard), [expected], "one event"));
    }
    servers.set_pep_fault("a", "off");
    // The next try is at the next log-in at the latest.
    for person in [&mut alice, &mut bob] {
        person.close().await;
        person.log_in().await;
        person.wait("mended", |heard| heard.security.contains(&Security::Published)).await;
        person.heard(|heard| assert_eq!(faults(heard), [expected]));
    }
    talk(&alice, &bob, 2).await;
    Ok(())
}

async fn without() -> Result<(), Missing> {
    let servers = Servers::new(2, &["e"]).with_friends(&friends("e.test"));
    let servers = servers.with("XMPP_TEST_EJABBERD_WITHOUT", "mod_pubsub").start()?;
    let (mut alice, mut bob) = people(&servers, "e.test").await;
    alice.log_in().await;
    bob.log_in().await;
    talk(&alice, &bob, 1).await;
    for person in [&alice, &bob] {
        person.heard(|heard| assert_eq!(faults(heard), [PublishFault::Absent]));
    }
    Ok(())
}

async fn lost_later() -> Result<(), Missing> {
    let servers = Servers::new(2, &["a"]).with_friends(&friends("a.test")).start()?;
    let (mut alice, mut bob) = people(&servers, "a.test").await;
    alice.log_in().await;
    alice.request(&alice.account.clone(), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
    alice.wait("an answer", |heard| heard.answers.len() == 1).await;
    alice.close().await;
    // The server forgets.
    let mut raw = xmpp_e2e_servers::Raw::log_in(&servers.address("a.test"), "alice@a.test", "raw").await;
    raw.send(
        "<iq type='set' id='d'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
         <delete node='urn:xmpp:e2e:0:device'/></pubsub></iq>",
    )
    .await;
    raw.until("id='d'").await;
    bob.log_in().await;
    alice.log_in().await;
    talk(&alice, &bob, 1).await;
    let mut raw = xmpp_e2e_servers::Raw::log_in(&servers.address("a.test"), "carol@a.test", "raw").await;
    // Published again, and open to everybody.
    raw.send(
        "<iq type='get' id='g' to='alice@a.test'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <items node='urn:xmpp:e2e:0:device'/></pubsub></iq>",
    )
    .await;
    assert!(raw.until("</iq>").await.contains("<device "));
    Ok(())
}

async fn model_before(domain: &'static str) -> Result<(), Missing> {
    let instance = if domain == "a.test" { "a" } else { "e" };
    let servers = Servers::new(2, &[instance]).with_friends(&friends(domain)).start()?;
    let (mut alice, mut bob) = people(&servers, domain).await;
    let mut raw = xmpp_e2e_servers::Raw::log_in(&servers.address(domain), &alice.account, "raw").await;
    for (i, node) in ["urn:xmpp:e2e:0:device", "urn:xmpp:e2e:0:devices"].into_iter().enumerate() {
        raw.send(&format!("<iq type='set' id='p{i}'>{}</iq>", MODEL.replace("NODE", node))).await;
        let answer = raw.until("</iq>").await;
        assert!(answer.contains("type='result'"), "{answer}");
    }
    drop(raw);
    alice.log_in().await;
    bob.log_in().await;
    talk(&alice, &bob, 1).await;
    // Configured anew, so that nobody need know.
    alice.heard(|heard| assert_eq!(faults(heard), []));
    let mut raw =
        xmpp_e2e_servers::Raw::log_in(&servers.address(domain), &format!("carol@{domain}"), "raw").await;
    raw.send(&format!(
        "<iq type='get' id='g' to='{}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <items node='urn:xmpp:e2e:0:device'/></pubsub></iq>",
        alice.account
    ))
    .await;
    assert!(raw.until("</iq>").await.contains("<device "));
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(())
}

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// What is published, with what servers change in their own way.
const PAYLOADS: [&str; 4] = [
    "<tune xmlns='urn:tune'><artist>Yes</artist></tune>",
    "<p:tune xmlns:p='urn:tune' a='1' xml:lang='de'>x<q xmlns=''/><![CDATA[<&]]>&#x1F600;</p:tune>",
    "<entry xmlns='http://www.w3.org/2005/Atom'><title type='text'>1 &lt; 2 \"'</title>\n\t</entry>",
    "<x xmlns='jabber:x:data' type='result'><field var='v'><value/></field></x>",
];

/// Items that a device has signed are verified as the server shows them.
async fn signed_items(instance: &'static str, domain: &'static str) -> Result<(), Missing> {
    let servers = Servers::new(2, &[instance]).with_friends(&friends(domain)).start()?;
    let (mut alice, mut bob) = people(&servers, domain).await;
    alice.log_in().await;
    bob.log_in().await;
    bob.wait("keys", |heard| crate::conversation::encrypts(heard, &alice.account)).await;
    let needs = [Authentication::signed(), Authentication::signed().with_copy()];
    for (number, (payload, authentication)) in
        PAYLOADS.iter().flat_map(|payload| needs.map(|need| (payload, need))).enumerate()
    {
        let node = format!("urn:x:signed:{number}");
        let iq = format!(
            "<iq xmlns='jabber:client' type='set' id='p{number}'><pubsub xmlns='{PUBSUB}'><publish node='{node}'>\
             <item id='current'>{payload}</item></publish></pubsub></iq>"
        );
        let token = alice.send(iq.parse().expect("an iq"), Need::Authenticated(authentication));
        alice.wait("the publication", |heard| heard.acknowledged.contains(&token)).await;
        bob.request(&alice.account, &format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>"));
        bob.wait("the item", |heard| heard.answers.len() > number).await;
        let answer = bob.heard(|heard| heard.answers[&heard.requests[number]].clone()).expect("an answer");
        let items = answer.get_child("pubsub", PUBSUB).and_then(|pubsub| pubsub.get_child("items", PUBSUB));
        let item = items.and_then(|items| items.children().next()).expect("an item");
        let shown = item.children().next().expect("a payload").clone();
        let altered = {
            let mut altered = shown.clone();
            altered.append_text("forged");
            altered
        };
        for payload in [shown, altered] {
            bob.verify(&alice.account, &node, "current", payload);
        }
        bob.wait("the verification", |heard| heard.items.len() == 2 * (number + 1)).await;
        let verified = bob.heard(|heard| heard.items[2 * number..].to_vec());
        let expected: Element = payload.parse().expect("a payload");
        assert_eq!(verified[0], Ok(expected.clone()), "{payload}");
        // Of a copy nothing is taken from what is in clear.
        let copy = authentication == needs[1];
        assert_eq!(verified[1], if copy { Ok(expected) } else { Err(Reason::Altered) }, "{payload}");
    }
    Ok(())
}
