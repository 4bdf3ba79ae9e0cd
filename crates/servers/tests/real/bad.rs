//! What a server, or a stranger through it, must not do: each is one event, and the conversation goes on.

use std::time::Duration;

use xmpp_e2e_client::Fault;
use xmpp_e2e_client::xmpp_e2e::Event as Security;
use xmpp_e2e_servers::Raw;

use crate::conversation::Pair;
use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    type Run = fn(Pair) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let tests: [(&str, Run); 6] = [
        ("a stanza that no parser takes", |pair| Box::pin(unreadable(pair))),
        ("a stanza too deep", |pair| Box::pin(too_deep(pair))),
        ("acknowledgements again and from the future", |pair| Box::pin(acknowledgements(pair))),
        ("an answer from somebody else", |pair| Box::pin(answer_from_elsewhere(pair))),
        ("a roster push from a stranger", |pair| Box::pin(roster_push(pair))),
        ("copies from a stranger", |pair| Box::pin(copies(pair))),
    ];
    for (name, run) in tests {
        // ejabberd lets none of the first two through.
        let places: &[&str] = if name.starts_with("a stanza") { &["a.test"] } else { &["a.test", "e.test"] };
        for place in places {
            add(all, format!("{name}, {place}"), move || async move {
                let mut pair = Pair::start((place, place)).await?;
                pair.meet().await;
                run(pair).await;
                Ok(())
            });
        }
    }
}

/// A stranger, who knows where Alice is.
async fn mallory(pair: &Pair) -> (Raw, String) {
    let domain = &pair.alice.account["alice@".len()..];
    let raw = Raw::log_in(&pair.servers.address(domain), &format!("mallory@{domain}"), "raw").await;
    (raw, pair.alice.heard(|heard| heard.full_jid.clone()))
}

/// The conversation goes on, and there was one event.
async fn goes_on(pair: &Pair, faults: &[Fault], security: usize) {
    pair.say(true, 0..2);
    pair.say(false, 0..2);
    pair.all_came(true, 2).await;
    pair.all_came(false, 2).await;
    // What is wrong would have come by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    pair.alice.heard(|heard| {
        assert_eq!(heard.faults, faults);
        let events = heard.security.iter();
        let events =
            events.filter(|event| !matches!(event, Security::Encrypts { .. } | Security::NewDevice { .. }));
        let events: Vec<_> = events.collect();
        assert_eq!(events.len(), security, "{events:?}");
        assert_eq!(heard.clear, []);
    });
}

async fn unreadable(pair: Pair) {
    let (mut mallory, to) = mallory(&pair).await;
    // Prosody writes the line end raw, and tokio-xmpp's parser takes none in an attribute.
    mallory.send(&format!("<message to='{to}' type='chat'><x xmlns='urn:x' a='1&#13;2'/></message>")).await;
    pair.alice.wait("the fault", |heard| !heard.faults.is_empty()).await;
    pair.alice.wait("a resumption", |heard| heard.sessions.1 == 1).await;
    goes_on(&pair, &[Fault::Unreadable], 0).await;
    pair.alice.heard(|heard| assert_eq!(heard.sessions, (1, 1), "the session goes on behind it"));
}

async fn too_deep(pair: Pair) {
    let (mut mallory, to) = mallory(&pair).await;
    let (open, close) = ("<x xmlns='urn:x'>", "</x>");
    let deep = format!("{}{}", open.repeat(8_000), close.repeat(8_000));
    mallory.send(&format!("<message to='{to}' type='chat'>{deep}</message>")).await;
    pair.alice.wait("the fault", |heard| !heard.faults.is_empty()).await;
    goes_on(&pair, &[Fault::Refused(None)], 0).await;
    pair.alice.heard(|heard| assert_eq!(heard.sessions, (1, 0), "the stream goes on"));
}

async fn acknowledgements(pair: Pair) {
    // Quiet: nothing is asked.
    tokio::time::sleep(Duration::from_millis(500)).await;
    pair.proxy.inject("<a xmlns='urn:xmpp:sm:3' h='4000'/>");
    pair.alice.wait("the first fault", |heard| heard.faults.len() == 1).await;
    let (_, down) = pair.proxy.passed();
    let last = down
        .rsplit("<a ")
        .next()
        .and_then(|rest| rest.split("h='").nth(1))
        .and_then(|rest| rest.split('\'').next());
    let last = last.expect("an acknowledgement").to_owned();
    pair.proxy.inject(format!("<a xmlns='urn:xmpp:sm:3' h='{last}'/>"));
    pair.alice.wait("the second fault", |heard| heard.faults.len() == 2).await;
    goes_on(&pair, &[Fault::AcknowledgedAhead, Fault::AcknowledgedAgain], 0).await;
}

async fn answer_from_elsewhere(pair: Pair) {
    let (mut mallory, to) = mallory(&pair).await;
    let domain = &pair.alice.account["alice@".len()..];
    let mut carol = Raw::log_in(&pair.servers.address(domain), &format!("carol@{domain}"), "raw").await;
    pair.alice.request(&carol.jid, "<query xmlns='urn:x:question'/>");
    let asked = carol.until("urn:x:question").await;
    let id = asked.split("id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("an id").to_owned();
    mallory.send(&format!("<iq type='result' id='{id}' to='{to}'><query xmlns='urn:x:lie'/></iq>")).await;
    pair.alice.wait("the fault", |heard| !heard.faults.is_empty()).await;
    carol.send(&format!("<iq type='result' id='{id}' to='{to}'><query xmlns='urn:x:truth'/></iq>")).await;
    pair.alice.wait("the answer", |heard| heard.answers.len() == 1).await;
    let answer = pair.alice.heard(|heard| heard.answers[&heard.requests[0]].clone()).expect("an answer");
    assert!(answer.has_child("query", "urn:x:truth"));
    goes_on(&pair, &[Fault::AnswerFromElsewhere], 0).await;
}

async fn roster_push(pair: Pair) {
    let (mut mallory, to) = mallory(&pair).await;
    mallory
        .send(&format!(
            "<iq type='set' id='r1' to='{to}'><query xmlns='jabber:iq:roster'>\
             <item jid='{}' subscription='both'/></query></iq>",
            mallory.jid.split('/').next().expect("a JID")
        ))
        .await;
    pair.alice
        .wait("the event", |heard| heard.security.iter().any(|e| matches!(e, Security::Rejected { .. })))
        .await;
    goes_on(&pair, &[], 1).await;
}

async fn copies(pair: Pair) {
    let (mut mallory, to) = mallory(&pair).await;
    let (alice, bob) = (&pair.alice.account, &pair.bob.account);
    let inner = format!(
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{bob}/x' to='{alice}' type='chat'>\
         <body>I never said this</body></message></forwarded>"
    );
    mallory
        .send(&format!(
            "<message to='{to}' type='chat'><received xmlns='urn:xmpp:carbons:2'>{inner}</received></message>"
        ))
        .await;
    mallory
        .send(&format!("<message to='{to}'><result xmlns='urn:xmpp:mam:2' id='1'>{inner}</result></message>"))
        .await;
    let rejected = |event: &&Security| matches!(event, Security::Rejected { .. });
    pair.alice.wait("the events", |heard| heard.security.iter().filter(rejected).count() == 2).await;
    goes_on(&pair, &[], 2).await;
}
