//! A log-in with many contacts whose adverts are new.

use super::*;

/// Who is outstanding: requests to contacts that are not answered yet, and the most there were.
#[derive(Default)]
struct Outstanding {
    seen: usize,
    now: usize,
    most: usize,
}

impl Outstanding {
    fn look(&mut self, world: &World) {
        for crossing in &world.server.log[self.seen..] {
            let fetch = crossing.stanza.starts_with("<iq ") && crossing.stanza.contains("@example.net'");
            match crossing.way {
                _ if !fetch || crossing.client != world.devices[ALICE].full_jid => {}
                Way::Out => self.now += 1,
                Way::In => self.now -= 1,
            }
            self.most = self.most.max(self.now);
        }
        self.seen = world.server.log.len();
    }
}

fn verified(world: &World) -> usize {
    count(world, ALICE, |event| matches!(event, Event::Encrypts { .. }))
}

fn receive_one(world: &mut World, device: usize) -> bool {
    world.with(device, Device::receive)
}

#[test]
fn five_hundred_new_adverts_are_fetched_a_few_at_a_time_and_a_message_does_not_wait_for_them() {
    let mut world = World::new(50);
    world.add("alice@example.com/phone");
    world.add_crowd(ALICE_JID, 500, Some(400));
    world.server.log.clear();
    let mut outstanding = Outstanding::default();
    world.connect(ALICE);
    // Presences come first, answers behind.
    for _ in 0..550 {
        receive_one(&mut world, ALICE);
        outstanding.look(&world);
    }
    assert_eq!(outstanding.most, 8);
    assert!(verified(&world) < 100);
    let token = world.say_with(ALICE, "c400@example.net", "x", Need::Encrypted(Level::HYBRID));
    assert_eq!(sent(&world, ALICE, "to='c400@example.net'").len(), 1, "it is asked at once");
    while ends(&world, ALICE, token).is_empty() {
        assert!(receive_one(&mut world, ALICE) | receive_one(&mut world, BOB));
        outstanding.look(&world);
    }
    assert!(matches!(ends(&world, ALICE, token)[..], [End::Sent(_)]));
    assert!(verified(&world) < 100, "{}", verified(&world));
    while receive_one(&mut world, ALICE) | receive_one(&mut world, BOB) {
        outstanding.look(&world);
    }
    assert_eq!(verified(&world), 500);
    assert_eq!(bodies(&world, BOB), ["x"]);
    assert!(outstanding.most <= 12, "{}", outstanding.most);
    assert_eq!(rejected(&world, ALICE), []);

    // What is known costs nothing.
    world.disconnect(ALICE);
    world.run();
    world.server.log.clear();
    world.connect(ALICE);
    world.run();
    assert!(sent(&world, ALICE, "@example.net'").is_empty());
    assert_eq!(sent(&world, ALICE, "<iq ").len(), 2, "of the own account");
}

#[test]
fn fetches_that_wait_for_their_turn_go_on_after_a_lost_stream_and_silence() {
    let mut world = World::new(51);
    world.add("alice@example.com/phone");
    world.add_crowd(ALICE_JID, 30, None);
    // Nobody answers for the first contacts.
    world.server.tamper = Some(Box::new(|_, stanza| {
        let lost = stanza.starts_with("<iq ") && stanza.contains("from='c00");
        if lost { Vec::new() } else { vec![stanza] }
    }));
    world.connect(ALICE);
    world.run();
    assert_eq!(verified(&world), 0, "the slots are taken");
    world.advance(std::time::Duration::from_mins(2));
    assert_eq!(verified(&world), 20);
    world.server.tamper = None;
    world.disconnect(ALICE);
    world.connect(ALICE);
    for _ in 0..40 {
        receive_one(&mut world, ALICE);
    }
    world.with(ALICE, Device::lose);
    world.with(ALICE, Device::resume);
    world.run();
    assert_eq!(verified(&world), 30);
}
