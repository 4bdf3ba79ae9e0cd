//! Contacts that also use another encryption, and rooms.

use xmpp_e2e_testkit::device::Job;

use super::*;

const OMEMO: &str = "eu.siacs.conversations.axolotl";

fn omemo(text: &str) -> String {
    format!(
        "<message to='alice@example.com' type='chat' id='o'><encrypted xmlns='{OMEMO}'><header sid='1'/>\
         <payload>AAAA</payload></encrypted><encryption xmlns='urn:xmpp:eme:0' name='OMEMO' namespace='{OMEMO}'/>\
         <body>{text}</body></message>"
    )
}

fn alarms(world: &World) -> Vec<&Event> {
    let events = world.devices[ALICE].record.events.iter();
    let alarm = |event: &&Event| !matches!(event, Event::Foreign { .. } | Event::Duplicate { .. });
    events.filter(alarm).collect()
}

#[test]
fn c16_a_second_client_that_speaks_omemo_raises_no_alarm_all_day() {
    let mut world = talking(1);
    world.server.carbons = true;
    let other = "bob@example.org/omemo";
    world.server.connect(other);
    for hour in 0..24 {
        world.server.send(other, &format!("<presence><status>{hour}</status></presence>"));
        world.run();
        world.server.send(other, &omemo("I sent you an OMEMO encrypted message"));
        world.say(BOB, ALICE_JID, &format!("desk {hour}"));
        world.say(ALICE, BOB_JID, &format!("phone {hour}"));
        world.run();
        world.server.send(other, "<message to='alice@example.com' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>");
        if hour % 6 == 5 {
            world.server.disconnect(other);
            world.run();
            world.server.connect(other);
        }
        world.advance(std::time::Duration::from_hours(1));
    }
    assert_eq!(alarms(&world), Vec::<&Event>::new());
    let foreign = count(
        &world,
        ALICE,
        |event| matches!(event, Event::Foreign { peer, namespace } if peer.as_str() == BOB_JID && namespace == OMEMO),
    );
    assert_eq!(foreign, 24, "one for each message");
    let protected = world.devices[ALICE].inbox().iter().filter(|letter| letter.device.is_some()).count();
    assert_eq!(protected, 24);
}

#[test]
fn what_is_foreign_passes_and_is_neither_clear_nor_protected() {
    let mut world = talking(2);
    let stanza = omemo("x").replacen("<message ", "<message from='bob@example.org/omemo' ", 1);
    let effects = world.with(ALICE, |device, _, env| apply(device, env, Input::Received(&stanza)));
    assert!(matches!(&effects[..], [Effect::Notify(Event::Foreign { .. }), Effect::Pass]), "{effects:?}");
    // The same without a sign of OMEMO is an alarm.
    let clear =
        "<message from='bob@example.org/omemo' to='alice@example.com' type='chat'><body>x</body></message>";
    let effects = world.with(ALICE, |device, _, env| apply(device, env, Input::Received(clear)));
    assert!(matches!(&effects[..], [Effect::Notify(Event::ClearText { .. }), Effect::Pass]), "{effects:?}");
}

#[test]
fn c9_a_room_is_nobody_and_raises_no_alarm() {
    let mut world = talking(3);
    let room = "room@conference.example.org";
    let from = |what: &str| what.replace("ROOM", room);
    for stanza in [
        "<presence from='ROOM/Bob' to='alice@example.com/phone'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='member' role='participant'/></x></presence>",
        "<message from='ROOM/Bob' to='alice@example.com/phone' type='groupchat'><body>hi</body></message>",
        "<message from='ROOM' to='alice@example.com/phone' type='groupchat'><subject>s</subject></message>",
        "<message from='ROOM/Bob' to='alice@example.com/phone' type='groupchat'><encrypted \
         xmlns='urn:xmpp:omemo:2'/><body>fallback</body></message>",
    ] {
        world.step(ALICE, Job::Received(from(stanza)));
        world.run();
    }
    assert_eq!(world.devices[ALICE].record.events, []);
    let known = world.devices[ALICE].engine().contact(room).unwrap();
    assert!(known.is_none_or(|known| !known.encrypts && known.account_key.is_none()));
}
