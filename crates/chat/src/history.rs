//! What is kept: a log for each conversation, and one of the messages that are on their way.
//!
//! A message that goes out stands in the log `OPEN` first, whose number for it is its token; then in the log of its
//! conversation. Only then the engine gets it. When its fate is known it gets its last state in the conversation and
//! leaves `OPEN`. Whatever happens in between, [`History::open`] finds it.

mod entry;
mod past;

use xmpp_e2e_sqlite::{Account, Error};

pub use entry::{Direction, Entry, Protection, State};
pub use past::{Damaged, Reader};

/// The log of what is on its way.
const OPEN: &str = "open";

/// The log of conversations.
const CHATS: &str = "chats";

/// How far before the entries that are asked for those are looked for that came late.
const LATE: usize = 200;

/// What is kept of an account's conversations.
#[derive(Debug)]
pub struct History {
    account: Account,
}

/// A message on its way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// Its name towards the engine, and towards the user.
    pub token: i64,
    /// Its number in the log of the conversation.
    place: i64,
    /// The rest.
    pub entry: Entry,
}

impl History {
    /// What `account` has.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self { account }
    }

    /// Keeps a message that is to go out.
    ///
    /// # Errors
    /// Those of the store.
    pub fn begin(&self, entry: Entry) -> Result<Outgoing, Error> {
        let token = self.account.append(OPEN, &entry.encode())?;
        self.put_in_place(token, entry)
    }

    fn put_in_place(&self, token: i64, mut entry: Entry) -> Result<Outgoing, Error> {
        entry.token = Some(token);
        let log = chat(&entry.jid);
        let key = key(self.account.name(), Some(&entry.id), None, &entry.text).unwrap_or_default();
        let place = match self.account.append_once(&log, &key, &entry.encode())? {
            Some(place) => place,
            None => self.place(&log, token)?.ok_or(Error::Damaged)?.0,
        };
        self.note_chat(&entry.jid)?;
        Ok(Outgoing { token, place, entry })
    }

    /// Its number in the conversation is greater than the token, and close to it.
    fn place(&self, log: &str, token: i64) -> Result<Option<(i64, Entry)>, Error> {
        let mut after = Some(token);
        loop {
            let page = self.account.entries(log, after, 50)?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            after = Some(*last);
            let decoded = page.iter().filter_map(|(id, bytes)| Some((*id, Entry::decode(bytes)?)));
            for (id, entry) in decoded {
                if entry.token == Some(token) {
                    return Ok(Some((id, entry)));
                }
            }
        }
    }

    /// The messages on their way, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(&self) -> Result<Vec<Outgoing>, Error> {
        let entries = self.account.entries(OPEN, None, usize::MAX)?;
        let decoded = entries.iter().filter_map(|(token, bytes)| Some((*token, Entry::decode(bytes)?)));
        decoded.map(|(token, entry)| self.put_in_place(token, entry)).collect()
    }

    /// Notes how far a message has come.
    ///
    /// # Errors
    /// Those of the store.
    pub fn update(&self, message: &Outgoing) -> Result<(), Error> {
        self.account.replace_entry(message.token, &message.entry.encode()).map(|_| ())
    }

    /// Notes what became of a message.
    ///
    /// # Errors
    /// Those of the store.
    pub fn finish(&self, message: &Outgoing) -> Result<(), Error> {
        let Outgoing { token, place, entry } = message;
        self.account.replace_entry(*place, &entry.encode())?;
        self.account.remove_entry(*token).map(|_| ())
    }

    /// A message that had left already, as after a restart.
    ///
    /// # Errors
    /// Those of the store.
    pub fn find(&self, token: i64) -> Result<Option<Outgoing>, Error> {
        for jid in self.chats()? {
            if let Some((place, entry)) = self.place(&chat(&jid), token)? {
                return Ok(Some(Outgoing { token, place, entry }));
            }
        }
        Ok(None)
    }

    /// Keeps a message that came, unless one with this key is there, or it came with the history of another device. Gives its number.
    ///
    /// # Errors
    /// Those of the store.
    pub fn keep(&self, key: Option<&[u8]>, entry: &Entry) -> Result<Option<i64>, Error> {
        if self.is_past(entry)? {
            return Ok(None);
        }
        self.note_chat(&entry.jid)?;
        let (log, bytes) = (chat(&entry.jid), entry.encode());
        match key {
            Some(key) => self.account.append_once(&log, key, &bytes),
            None => self.account.append(&log, &bytes).map(Some),
        }
    }

    /// The last entries of a conversation with their numbers, in order. What is on its way has the state it has now.
    ///
    /// Servers may deliver late what was sent before. What devices have sent under protection stands in the order in
    /// which each has sent it, all else in the order in which it came.
    ///
    /// # Errors
    /// Those of the store.
    pub fn last(&self, jid: &str, limit: usize) -> Result<Vec<(i64, Entry)>, Error> {
        let mut entries = Vec::new();
        for (id, bytes) in self.account.last_entries(&chat(jid), None, limit.saturating_add(LATE))? {
            let entry = Entry::decode(&bytes).unwrap_or_else(|| Entry::unknown(jid));
            entries.insert(place_by_time(&entries, &entry), (id, entry));
        }
        let mut entries = entries.split_off(entries.len().saturating_sub(limit));
        for (id, entry) in &mut entries {
            if let (Some(token), Some(State::Queued)) = (entry.token, &entry.state) {
                let now = self.account.entries(OPEN, Some(token - 1), 1)?;
                let now = now.first().filter(|(found, _)| *found == token);
                if let Some(now) = now.and_then(|(_, bytes)| Entry::decode(bytes)) {
                    *entry = Entry { token: Some(token), ..now };
                }
            }
            *id = entry.token.unwrap_or(*id);
        }
        let mut all = self.last_of_past(jid, limit.saturating_sub(entries.len()))?;
        all.append(&mut entries);
        Ok(all)
    }

    /// With whom there are conversations.
    ///
    /// # Errors
    /// Those of the store.
    pub fn chats(&self) -> Result<Vec<String>, Error> {
        let entries = self.account.entries(CHATS, None, usize::MAX)?;
        Ok(entries.iter().map(|(_, jid)| String::from_utf8_lossy(jid).into_owned()).collect())
    }

    fn note_chat(&self, jid: &str) -> Result<(), Error> {
        self.account.append_once(CHATS, jid.as_bytes(), jid.as_bytes()).map(|_| ())
    }

    /// Whether nothing may go to `jid` in clear.
    ///
    /// # Errors
    /// Those of the store.
    pub fn only_encrypted(&self, jid: &str) -> Result<bool, Error> {
        Ok(self.account.note(&format!("encrypt:{jid}"))?.is_some())
    }

    /// Sets that.
    ///
    /// # Errors
    /// Those of the store.
    pub fn set_only_encrypted(&self, jid: &str, only: bool) -> Result<(), Error> {
        self.account.set_note(&format!("encrypt:{jid}"), only.then_some(b"on"))
    }
}

/// The log of a conversation.
fn chat(jid: &str) -> String {
    format!("chat:{jid}")
}

/// Where an entry belongs among those that came before it: before what its device has sent later. Only that time is
/// its sender's own word.
fn place_by_time(entries: &[(i64, Entry)], entry: &Entry) -> usize {
    let mut place = entries.len();
    if entry.device.is_none() || entry.direction == Direction::Out {
        return place;
    }
    let same = |other: &Entry| (other.direction, other.device) == (entry.direction, entry.device);
    for (at, (_, other)) in entries.iter().enumerate().rev().filter(|(_, (_, other))| same(other)) {
        if other.time <= entry.time {
            break;
        }
        place = at;
    }
    place
}

/// What a message in clear is known by when it comes again: from the archive, as a copy, or sent again by a program
/// that did not learn that it had arrived. Short ids are those of programs that count, and begin anew each day.
#[must_use]
pub fn key(from: &str, id: Option<&str>, archived: Option<&str>, text: &str) -> Option<Vec<u8>> {
    let long = id.filter(|id| id.len() >= 8);
    let parts = match (long, archived, id) {
        (Some(id), _, _) => ["id", from, id, text],
        (None, Some(archived), _) => ["archive", archived, "", ""],
        (None, None, Some(id)) => ["id", from, id, text],
        (None, None, None) => return None,
    };
    Some(parts.join("\0").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp_e2e_sqlite::Database;

    fn history() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().unwrap();
        let account = Database::open(folder.path().join("db")).unwrap().account("romeo@example.net").unwrap();
        (folder, History::new(account))
    }

    fn texts(history: &History, limit: usize) -> Vec<String> {
        history.last("juliet@example.com", limit).unwrap().into_iter().map(|(_, entry)| entry.text).collect()
    }

    #[test]
    fn a_message_is_open_until_its_fate_is_known() {
        let (_folder, history) = history();
        let mut out = history.begin(Entry::outgoing("juliet@example.com", "12345678", "hello", 7)).unwrap();
        out.entry.state = Some(State::Waiting("keys".to_owned()));
        history.update(&out).unwrap();
        let (n, entry) = history.last("juliet@example.com", 9).unwrap().remove(0);
        assert_eq!((n, entry.state), (out.token, Some(State::Waiting("keys".to_owned()))));

        let again = history.open().unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].token, again[0].place), (out.token, out.place));

        out.entry.state = Some(State::Acknowledged);
        history.finish(&out).unwrap();
        assert!(history.open().unwrap().is_empty());
        assert_eq!(history.last("juliet@example.com", 9).unwrap()[0].1.state, Some(State::Acknowledged));
        assert_eq!(history.find(out.token).unwrap().unwrap().place, out.place);
        assert!(history.find(out.token + 99).unwrap().is_none());
    }

    #[test]
    fn killed_between_the_two_logs() {
        let (_folder, history) = history();
        let entry = Entry::outgoing("juliet@example.com", "12345678", "hello", 7);
        history.account.append(OPEN, &entry.encode()).unwrap();
        assert!(texts(&history, 9).is_empty());
        let token = history.open().unwrap()[0].token;
        // And between its last state and its leaving.
        let mut out = history.open().unwrap().remove(0);
        out.entry.state = Some(State::Acknowledged);
        history.account.replace_entry(out.place, &out.entry.encode()).unwrap();
        assert_eq!(history.open().unwrap()[0].token, token);
        assert_eq!(texts(&history, 9), ["hello"]);
    }

    #[test]
    fn what_comes_twice_is_kept_once_and_the_own_copy_is_known() {
        let (_folder, history) = history();
        history.begin(Entry::outgoing("juliet@example.com", "12345678", "hello", 7)).unwrap();
        let own = key("romeo@example.net", Some("12345678"), Some("archived"), "hello");
        let copy = Entry::incoming("juliet@example.com", "hello", 7);
        assert_eq!(history.keep(own.as_deref(), &copy).unwrap(), None);
        let entry = Entry::incoming("juliet@example.com", "hello", 8);
        assert!(history.keep(Some(b"k"), &entry).unwrap().is_some());
        assert!(history.keep(Some(b"k"), &entry).unwrap().is_none());
        assert!(history.keep(None, &entry).unwrap().is_some());
        assert_eq!(texts(&history, 9).len(), 3);
        assert_eq!(texts(&history, 2).len(), 2);
        assert_eq!(history.chats().unwrap(), ["juliet@example.com"]);
    }

    #[test]
    fn what_came_late_stands_where_its_device_sent_it() {
        let (_folder, history) = history();
        let from = |device: Option<u32>, time: u64| {
            let mut entry = Entry::incoming("juliet@example.com", &format!("{device:?} {time}"), time);
            entry.device = device;
            history.keep(None, &entry).unwrap();
        };
        let answer = |time: u64| {
            let entry = Entry::outgoing("juliet@example.com", &time.to_string(), "answer", time);
            history.begin(entry).unwrap();
        };
        from(Some(1), 10);
        from(Some(1), 30);
        // Of another device with a clock of its own, in clear, and an answer: where they came.
        from(Some(2), 5);
        from(None, 1);
        answer(20);
        from(Some(1), 20);
        from(Some(1), 40);
        let order = ["Some(1) 10", "Some(1) 20", "Some(1) 30", "Some(2) 5", "None 1", "answer", "Some(1) 40"];
        assert_eq!(texts(&history, usize::MAX), order);
        for limit in 0..order.len() {
            assert_eq!(texts(&history, limit), order[order.len() - limit..], "{limit}");
        }
    }

    #[test]
    fn ids_that_are_counted_do_not_hide_messages() {
        let a = key("j@x", Some("1"), Some("archive-1"), "hi");
        assert_ne!(a, key("j@x", Some("1"), Some("archive-2"), "hi"));
        let random = |archived| key("j@x", Some("0123456789"), archived, "hi");
        assert_eq!(random(Some("archive-1")), random(None));
        assert_ne!(random(None), key("k@x", Some("0123456789"), None, "hi"));
        assert_eq!(key("j@x", None, None, "hi"), None);
    }

    #[test]
    fn encryption_is_asked_for_by_conversation() {
        let (_folder, history) = history();
        history.set_only_encrypted("a@x", true).unwrap();
        assert!(history.only_encrypted("a@x").unwrap() && !history.only_encrypted("b@x").unwrap());
        history.set_only_encrypted("a@x", false).unwrap();
        assert!(!history.only_encrypted("a@x").unwrap());
    }
}
