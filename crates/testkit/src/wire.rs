//! What somebody on the wire can do: hold stanzas back, change the bytes in them, and put a device
//! back to where it was to try the next change.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xmpp_e2e::store::{MemoryStore, Store};
use xmpp_e2e::{Contact, Event, Timestamp};

use crate::device::{Device, Job, Record};
use crate::server::Server;
use crate::world::World;

/// Stanzas held back. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Catch(Rc<RefCell<Vec<String>>>);

impl Catch {
    /// From now on the stanzas to this client that `which` names are held back.
    pub fn new(server: &mut Server, client: &str, which: impl Fn(&str) -> bool + 'static) -> Self {
        let catch = Self::default();
        let (held, client) = (catch.clone(), client.to_owned());
        server.tamper = Some(Box::new(move |to, stanza| {
            if to == client && which(&stanza) {
                held.0.borrow_mut().push(stanza);
                Vec::new()
            } else {
                vec![stanza]
            }
        }));
        catch
    }

    /// What was held back, in order.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// The only stanza that was held back.
    ///
    /// # Panics
    /// If there is none, or more.
    #[must_use]
    pub fn one(&self) -> String {
        let [stanza] = &self.0.borrow()[..] else { panic!("not one: {self:#?}") };
        stanza.clone()
    }
}

/// Whether a stanza is a message with the protocol's element.
#[must_use]
pub fn is_protected(stanza: &str) -> bool {
    stanza.starts_with("<message") && stanza.contains("<e xmlns='urn:xmpp:e2e:0'>")
}

/// The bytes in the element of this name, the first being number zero.
///
/// # Panics
/// If there is none, or not in base64.
#[must_use]
pub fn bytes_in(stanza: &str, name: &str, number: usize) -> Vec<u8> {
    let place = place(stanza, name, number);
    STANDARD.decode(&stanza[place]).expect("base64")
}

/// The stanza with other bytes in that element.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn with_bytes(stanza: &str, name: &str, number: usize, bytes: &[u8]) -> String {
    with_text(stanza, name, number, &STANDARD.encode(bytes))
}

/// The stanza with another text in that element.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn with_text(stanza: &str, name: &str, number: usize, text: &str) -> String {
    let place = place(stanza, name, number);
    let (before, after) = (&stanza[..place.start], &stanza[place.end..]);
    [before, text, after].concat()
}

/// Where the text of the element is.
fn place(stanza: &str, name: &str, number: usize) -> Range<usize> {
    let tag = format!("<{name}");
    let starts = stanza.match_indices(&tag);
    let mut starts = starts.filter(|(at, _)| stanza[at + tag.len()..].starts_with([' ', '>']));
    let (at, _) = starts.nth(number).unwrap_or_else(|| panic!("no <{name}/> in {stanza}"));
    let start = at + stanza[at..].find('>').expect("a whole tag") + 1;
    let end = start + stanza[start..].find("</").expect("an end tag");
    start..end
}

/// Every damage to a structure: a bit of each byte flipped, each shorter beginning, and one byte
/// more. Of flips and beginnings only each `every`th is made.
pub fn damages(bytes: &[u8], every: usize) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let flips = (0..bytes.len()).step_by(every).map(|at| {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        (format!("byte {at} flipped"), damaged)
    });
    let cuts = (0..bytes.len()).step_by(every).map(|len| (format!("cut to {len}"), bytes[..len].to_vec()));
    let longer = [0, 1].map(|more| (format!("{more} added"), [bytes, &[more]].concat()));
    flips.chain(cuts).chain(longer)
}

/// A device as it once was.
#[derive(Clone, Debug)]
pub struct Snapshot {
    device: usize,
    store: MemoryStore,
    record: Record,
    now: Timestamp,
}

/// Everything that a refused stanza must leave as it was: prekeys, handshakes accepted, devices,
/// sessions, skipped keys, what waits, and whom the device trusts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    records: Vec<(Vec<u8>, Vec<u8>)>,
    contacts: Vec<(String, Option<Contact>)>,
}

impl Snapshot {
    /// The kinds of records compared: own prekeys, accepted, one-time prekeys, devices, sessions,
    /// skipped, inbox, waiting, asks, openings, arrivals. Contacts (6) also hold what nothing
    /// vouches for, so of them only what the engine tells is compared.
    const KINDS: [u8; 11] = [3, 4, 5, 7, 8, 9, 11, 12, 14, 15, 16];

    /// The device as it is now.
    #[must_use]
    pub fn of(world: &World, device: usize) -> Self {
        let Device { store, record, .. } = &world.devices[device];
        Self { device, store: store.clone(), record: record.clone(), now: world.now }
    }

    /// The same, but that by the device's clock it is another time.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// Puts the device back, with its stream up and nothing in its inbox.
    pub fn put_back(&self, world: &mut World) {
        world.now = self.now;
        let device = &mut world.devices[self.device];
        device.store = self.store.clone();
        device.record = self.record.clone();
        device.restore();
        world.step(self.device, Job::Connected(true));
        let record = &mut world.devices[self.device].record;
        record.inbox.clear();
        record.events.clear();
    }

    /// What the device has now of what must stay.
    ///
    /// # Panics
    /// If the engine cannot say.
    #[must_use]
    pub fn kept(&self, world: &World) -> Kept {
        let device = &world.devices[self.device];
        let all = device.store.load().expect("a store in memory").records;
        let all: Vec<(Vec<u8>, Vec<u8>)> =
            all.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
        let jids = all.iter().filter_map(|(key, _)| match key.as_slice() {
            // The JID has a length before it, one byte for those that tests use.
            [6, _, jid @ ..] => Some(String::from_utf8_lossy(jid).into_owned()),
            _ => None,
        });
        let contact = |jid: String| {
            let known = device.engine().contact(&jid).expect("a JID");
            (jid, known)
        };
        let contacts = jids.map(contact).collect();
        let kinds = |key: &[u8]| key.first().is_some_and(|kind| Self::KINDS.contains(kind));
        let records = all.iter().filter(|(key, _)| kinds(key)).cloned().collect();
        Kept { records, contacts }
    }

    /// Hands in a stanza that must be refused: with one event, and nothing changed.
    ///
    /// # Panics
    /// If it is not, with `what` in the message.
    pub fn refuses(&self, world: &mut World, stanza: &str, what: &str) -> Event {
        let before = self.kept(world);
        let already = world.devices[self.device].record.events.len();
        let inbox = world.devices[self.device].inbox().len();
        world.step(self.device, Job::Received(stanza.to_owned()));
        let record = &world.devices[self.device].record;
        let [event] = &record.events[already..] else {
            panic!("{what}: {:?} upon {stanza}", &record.events[already..])
        };
        assert!(matches!(event, Event::Rejected { .. } | Event::Duplicate { .. }), "{what}: {event:?}");
        assert_eq!(record.inbox.len(), inbox, "{what}: delivered");
        let event = event.clone();
        let after = self.kept(world);
        if before != after {
            let news = |kept: &Kept, other: &Kept| -> Vec<(u8, usize)> {
                let news = kept.records.iter().filter(|entry| !other.records.contains(entry));
                news.map(|(key, value)| (key[0], value.len())).collect()
            };
            panic!(
                "{what}: {event:?}; gone {:?}, new {:?}, {:?} {:?}",
                news(&before, &after),
                news(&after, &before),
                before.contacts,
                after.contacts
            );
        }
        event
    }

    /// Lets the servers answer the device, and nobody else, until it asks no more.
    pub fn settle(&self, world: &mut World) {
        for _ in 0..4 {
            while world.with(self.device, Device::receive) {}
            world.now = world.now.after(Duration::from_secs(21));
            world.step(self.device, Job::Tick);
        }
        while world.with(self.device, Device::receive) {}
    }
}
