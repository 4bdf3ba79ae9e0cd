//! Somebody with a client: it runs in a task, keeps what an application keeps, and can be killed at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use xmpp_e2e_client::minidom::Element;
use xmpp_e2e_client::tokio_xmpp::connect::DnsConfig;
use xmpp_e2e_client::xmpp_e2e::rand_core::UnwrapErr;
use xmpp_e2e_client::xmpp_e2e::store::{Batch, Conflict, Store, Stored};
use xmpp_e2e_client::xmpp_e2e::suite::Suites;
use xmpp_e2e_client::xmpp_e2e::{self, Context, InboxId, LocalAgent, Need, Protection, SendError, Token};
use xmpp_e2e_client::{Client, Config, Event, Fault, MemoryStorage, Server, Storage};
use xmpp_e2e_minidom::to_tree;
use zeroize::Zeroizing;

/// Storage that outlives the client, as a file does.
#[derive(Clone, Debug, Default)]
pub struct SharedStorage(Arc<Mutex<MemoryStorage>>);

impl Store for SharedStorage {
    type Error = Conflict;

    fn apply(&mut self, batch: &Batch) -> Result<(), Conflict> {
        self.0.lock().expect("the lock").apply(batch)
    }

    fn load(&self) -> Result<Stored, Conflict> {
        self.0.lock().expect("the lock").load()
    }
}

impl Storage for SharedStorage {
    fn note(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Conflict> {
        self.0.lock().expect("the lock").note(name)
    }

    fn set_note(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Conflict> {
        self.0.lock().expect("the lock").set_note(name, value)
    }
}

/// A stanza that came under protection.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The stanza: a carbon or an archive's result, if it came so.
    pub stanza: Element,
    /// How it was protected.
    pub protection: Protection,
    /// What is known of it besides; nothing of an iq.
    pub context: Option<Context>,
}

impl Delivered {
    /// The stanza itself, or the message in a carbon or archive result.
    #[must_use]
    pub fn inner(&self) -> &Element {
        inner(&self.stanza)
    }
}

/// What a person has seen and done: what an application stores.
#[derive(Debug, Default)]
pub struct Heard {
    /// Protected messages: sender and text, in the order in which they came, each once.
    pub messages: Vec<(String, String)>,
    /// All that came under protection, in the same way.
    pub delivered: Vec<Delivered>,
    /// When the sender sent each.
    pub times: Vec<xmpp_e2e::Timestamp>,
    /// How each of them came, and in which session.
    pub how: Vec<String>,
    /// The same in clear.
    pub clear: Vec<(String, String)>,
    /// Presence stanzas that came, by full JID.
    pub presence: BTreeMap<String, String>,
    /// Security events.
    pub security: Vec<xmpp_e2e::Event>,
    /// Faults.
    pub faults: Vec<Fault>,
    /// Sessions that were new, and that were resumed.
    pub sessions: (usize, usize),
    /// How often the stream was lost.
    pub offline: usize,
    /// How often the archive had been read.
    pub caught_up: usize,
    /// Stanzas sent under protection.
    pub sent: BTreeSet<Token>,
    /// In clear.
    pub sent_clear: BTreeSet<Token>,
    /// Acknowledged.
    pub acknowledged: BTreeSet<Token>,
    /// Failed.
    pub failed: Vec<(Token, SendError)>,
    /// Answers to requests.
    pub answers: BTreeMap<String, Option<Element>>,
    /// Items verified, or why not.
    pub items: Vec<Result<Element, xmpp_e2e::Reason>>,
    /// Why the client ended.
    pub ended: Option<String>,
    /// The full JID.
    pub full_jid: String,
    taken: BTreeSet<InboxId>,
    /// Handed in and without an end.
    outgoing: BTreeMap<Token, (Element, Need)>,
    next_token: u64,
    /// Requests in order.
    pub requests: Vec<String>,
}

enum Order {
    Say(Token),
    Active(bool),
    Request(String, Element),
    Verify { jid: String, node: String, id: String, payload: Element },
    Close,
}

/// Somebody with a client.
#[derive(Debug)]
pub struct Person {
    /// The account.
    pub account: String,
    config: Config,
    /// What outlives the client.
    pub storage: SharedStorage,
    heard: Arc<Mutex<Heard>>,
    changed: Arc<Notify>,
    task: Option<(JoinHandle<()>, mpsc::UnboundedSender<Order>)>,
}

const CARBONS: &str = "urn:xmpp:carbons:2";

/// Where a client notes its keys.
const AGENT: &str = "agent";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(2);

impl Person {
    /// Somebody whose client is not started.
    #[must_use]
    pub fn new(account: &str, address: &str) -> Self {
        let mut config = Config::new(account, "secret");
        config.server = Server::Plain(DnsConfig::addr(address));
        config.pause = Duration::from_millis(100);
        Self {
            account: account.to_owned(),
            config,
            storage: SharedStorage::default(),
            heard: Arc::default(),
            changed: Arc::default(),
            task: None,
        }
    }

    /// The same account with another device, whose client is not started.
    ///
    /// # Panics
    /// If this one was never started.
    #[must_use]
    pub fn another_device(&self, address: &str) -> Self {
        let mut other = Self::new(&self.account, address);
        let agent = self.storage.note(AGENT).expect("the storage").expect("the keys");
        let agent = LocalAgent::from_bytes(&agent, &Suites::default()).expect("the keys");
        let agent = agent.for_new_device(&mut UnwrapErr(SysRng));
        other.storage.set_note(AGENT, Some(&agent.to_bytes())).expect("the storage");
        other
    }

    /// The client's settings, for the next start.
    pub fn config(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Starts the client: what it was killed with is handed in again.
    ///
    /// # Panics
    /// If it does not open.
    pub fn start(&mut self) {
        let mut client = Client::open(self.config.clone(), self.storage.clone()).expect("a client");
        let (orders, received) = mpsc::unbounded_channel();
        let (heard, changed) = (self.heard.clone(), self.changed.clone());
        let outgoing = heard.lock().expect("the lock").outgoing.clone();
        for (token, (stanza, need)) in outgoing {
            client.send(&stanza, token, need).expect("handed in again");
        }
        let task = tokio::spawn(live(client, received, heard, changed));
        self.task = Some((task, orders));
    }

    /// Starts the client and waits until it has read the archive, and its presence has come back: its keys are
    /// published by then.
    ///
    /// # Panics
    /// If a task has panicked.
    pub async fn log_in(&mut self) {
        let before = {
            let mut heard = self.heard.lock().expect("the lock");
            heard.presence.clear();
            heard.caught_up
        };
        self.start();
        self.wait("log-in", |heard| heard.caught_up > before && heard.presence.contains_key(&heard.full_jid))
            .await;
    }

    /// Kills the client, wherever it is.
    pub async fn kill(&mut self) {
        if let Some((task, _)) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Ends the client.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn close(&mut self) {
        if let Some((task, orders)) = self.task.take() {
            let _ = orders.send(Order::Close);
            tokio::time::timeout(PATIENCE, task).await.expect("it ends").expect("without panic");
        }
    }

    /// Says something under protection.
    ///
    /// # Panics
    /// If a task has panicked.
    pub fn say(&self, to: &str, text: &str) -> Token {
        self.say_with(to, text, Need::Encrypted(xmpp_e2e::suite::Level::CLASSICAL))
    }

    /// Says something.
    ///
    /// # Panics
    /// If a task has panicked.
    pub fn say_with(&self, to: &str, text: &str, need: Need) -> Token {
        self.hand_in(need, |Token(number)| {
            let xml = format!(
                "<message xmlns='jabber:client' to='{to}' type='chat' id='m{number}'><body>{text}</body></message>"
            );
            xml.parse().expect("a message")
        })
    }

    /// Sends a stanza.
    ///
    /// # Panics
    /// If a task has panicked.
    pub fn send(&self, stanza: Element, need: Need) -> Token {
        self.hand_in(need, |_| stanza)
    }

    fn hand_in(&self, need: Need, make: impl FnOnce(Token) -> Element) -> Token {
        let mut heard = self.heard.lock().expect("the lock");
        heard.next_token += 1;
        let token = Token(heard.next_token);
        heard.outgoing.insert(token, (make(token), need));
        drop(heard);
        self.order(Order::Say(token));
        token
    }

    /// Says whether somebody looks.
    pub fn set_active(&self, active: bool) {
        self.order(Order::Active(active));
    }

    /// Asks somebody something, in clear.
    pub fn request(&self, to: &str, payload: &str) {
        self.order(Order::Request(to.to_owned(), payload.parse().expect("a payload")));
    }

    /// Verifies an item of a pubsub node. What is good of it is in [`Heard::items`].
    pub fn verify(&self, jid: &str, node: &str, id: &str, payload: Element) {
        let (jid, node, id) = (jid.to_owned(), node.to_owned(), id.to_owned());
        self.order(Order::Verify { jid, node, id, payload });
    }

    fn order(&self, order: Order) {
        // Without a client it is done at the next start.
        if let Some((_, orders)) = &self.task {
            let _ = orders.send(order);
        }
    }

    /// Looks at what was heard.
    ///
    /// # Panics
    /// If a task has panicked.
    pub fn heard<R>(&self, look: impl FnOnce(&Heard) -> R) -> R {
        look(&self.heard.lock().expect("the lock"))
    }

    /// Waits until `enough`.
    ///
    /// # Panics
    /// If it takes longer than two minutes.
    pub async fn wait(&self, what: &str, enough: impl Fn(&Heard) -> bool) {
        self.wait_for(PATIENCE, what, enough).await;
    }

    /// Waits until `enough`.
    ///
    /// # Panics
    /// If it takes longer.
    pub async fn wait_for(&self, patience: Duration, what: &str, enough: impl Fn(&Heard) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if self.heard(&enough) {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(200), changed).await;
            }
        };
        if tokio::time::timeout(patience, waiting).await.is_err() {
            let summary = self.heard(summary);
            panic!("{}: {what} has not come: {summary}", self.account);
        }
    }

    /// The texts of protected messages from `sender`, in the order of its time, as an application shows them; and
    /// how many came after a later one.
    #[must_use]
    pub fn texts_from(&self, sender: &str) -> (Vec<String>, usize) {
        self.heard(|heard| {
            let messages = heard.times.iter().zip(&heard.messages).filter(|(_, (from, _))| from == sender);
            let mut messages: Vec<_> = messages.map(|(time, (_, text))| (*time, text.clone())).collect();
            let late =
                messages.windows(2).filter(|pair| matches!(pair, [one, other] if one.0 > other.0)).count();
            messages.sort();
            (messages.into_iter().map(|(_, text)| text).collect(), late)
        })
    }
}

fn summary(heard: &Heard) -> String {
    let last: Vec<_> = heard.messages.iter().rev().take(3).collect();
    let security: Vec<_> = heard.security.iter().rev().take(10).collect();
    format!(
        "{} messages (last {last:?}), {} clear, security {} (last {security:?}), faults {:?}, \
         sessions {:?}, offline {}, caught up {}, sent {}, acknowledged {}, failed {:?}, open {}, ended {:?}",
        heard.messages.len(),
        heard.clear.len(),
        heard.security.len(),
        heard.faults,
        heard.sessions,
        heard.offline,
        heard.caught_up,
        heard.sent.len(),
        heard.acknowledged.len(),
        heard.failed,
        heard.outgoing.len(),
        heard.ended,
    )
}

async fn live(
    mut client: Client<SharedStorage>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    heard: Arc<Mutex<Heard>>,
    changed: Arc<Notify>,
) {
    let ended = loop {
        tokio::select! {
            event = client.next() => match event {
                Ok(event) => {
                    let taken = note(&mut heard.lock().expect("the lock"), event, &mut client);
                    if let Some(id) = taken
                        && let Err(error) = client.taken(id)
                    {
                        break error.to_string();
                    }
                }
                Err(error) => break error.to_string(),
            },
            order = orders.recv() => match order {
                Some(Order::Say(token)) => {
                    let stanza = heard.lock().expect("the lock").outgoing.get(&token).cloned();
                    if let Some((stanza, need)) = stanza
                        && let Err(error) = client.send(&stanza, token, need)
                    {
                        break error.to_string();
                    }
                }
                Some(Order::Active(active)) => client.set_active(active),
                Some(Order::Request(to, payload)) => {
                    let id = match client.request("get", Some(&to), payload, Need::Policy) {
                        Ok(id) => id,
                        Err(error) => break error.to_string(),
                    };
                    heard.lock().expect("the lock").requests.push(id);
                }
                Some(Order::Verify { jid, node, id, payload }) => {
                    let tree = to_tree(&payload).expect("a payload");
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
                    let now = xmpp_e2e::Timestamp::from_secs(u32::try_from(now).expect("a time"));
                    let item = client.engine().item(now, &jid, &node, &id, &tree).expect("a JID");
                    let item = item.map(|item| item.payload.as_str().parse().expect("a payload"));
                    heard.lock().expect("the lock").items.push(item);
                }
                Some(Order::Close) | None => {
                    let _ = client.close().await;
                    return;
                }
            },
        }
        changed.notify_waiters();
    };
    heard.lock().expect("the lock").ended = Some(ended);
    changed.notify_waiters();
}

fn note(heard: &mut Heard, event: Event, client: &mut Client<SharedStorage>) -> Option<InboxId> {
    match event {
        Event::Online { resumed, full_jid } => {
            heard.full_jid = full_jid;
            let count = if resumed { &mut heard.sessions.1 } else { &mut heard.sessions.0 };
            *count += 1;
        }
        Event::Offline(_) => heard.offline += 1,
        Event::CaughtUp { .. } => heard.caught_up += 1,
        Event::Delivered { id, stanza, protection, context, .. } => {
            if heard.taken.insert(id) {
                let text = inner(&stanza).get_child("body", "jabber:client").map(Element::text);
                heard.messages.push((context.sender.as_str().to_owned(), text.unwrap_or_default()));
                heard.times.push(context.sent);
                let delayed =
                    if inner(&stanza).has_child("delay", "urn:xmpp:delay") { " delayed" } else { "" };
                heard.how.push(format!("{:?} in session {}{delayed}", context.via, heard.sessions.0));
                heard.delivered.push(Delivered { stanza, protection, context: Some(context) });
            }
            return Some(id);
        }
        Event::Stanza(stanza) => match stanza.name() {
            "presence" => {
                let from = stanza.attr("from").unwrap_or_default().to_owned();
                heard.presence.insert(from, stanza.attr("type").unwrap_or("available").to_owned());
            }
            "message" => {
                let message = inner(&stanza);
                let from = message.attr("from").unwrap_or_default().to_owned();
                if let Some(body) = message.get_child("body", "jabber:client") {
                    heard.clear.push((from, body.text()));
                }
            }
            _ if matches!(stanza.attr("type"), Some("get" | "set")) => {
                client.refuse(&stanza).expect("refused");
            }
            _ => {}
        },
        Event::Sent { token, .. } => {
            heard.outgoing.remove(&token);
            heard.sent.insert(token);
        }
        Event::Clear { token } => {
            heard.outgoing.remove(&token);
            heard.sent_clear.insert(token);
        }
        Event::Failed { token, why } => {
            heard.outgoing.remove(&token);
            heard.failed.push((token, why));
        }
        Event::Acknowledged { token } => {
            heard.acknowledged.insert(token);
        }
        Event::Security(event) => heard.security.push(event),
        Event::Fault(fault) => heard.faults.push(fault),
        Event::Iq { stanza, protection } => {
            if matches!(stanza.attr("type"), Some("get" | "set")) {
                client.refuse(&stanza).expect("refused");
            }
            heard.delivered.push(Delivered { stanza, protection, context: None });
        }
        Event::Answer { id, answer, .. } => {
            heard.answers.insert(id, answer);
        }
        _ => {}
    }
    None
}

/// The message itself, or the one in a carbon or archive result.
fn inner(stanza: &Element) -> &Element {
    let copies = stanza.children().filter(|child| {
        child.is("result", "urn:xmpp:mam:2")
            || matches!(child.name(), "received" | "sent") && child.has_ns(CARBONS)
    });
    let mut messages = copies.filter_map(|copy| {
        copy.get_child("forwarded", "urn:xmpp:forward:0")?.get_child("message", "jabber:client")
    });
    messages.next().unwrap_or(stanza)
}
