//! The past that another device of the account has handed over: before all that this device has seen itself.

use std::collections::BTreeSet;

use xmpp_e2e_sqlite::Error;

use super::{Direction, Entry, History, chat};

/// The longest stored entry: a message of a stanza's size, and its names, with every byte escaped.
const MAX_ENTRY: usize = 1_048_576;

/// So many entries are kept at once.
const BATCH: usize = 500;

/// How many bytes tell the length of an entry.
const LENGTH: usize = 4;

/// What was handed over is not a history, or of a later version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Damaged;

/// Reads the entries of a history from pieces of any size.
#[derive(Debug, Default)]
pub struct Reader {
    rest: Vec<u8>,
}

impl Reader {
    /// The next piece. Gives the entries that are whole.
    ///
    /// # Errors
    /// [`Damaged`] if it is no history.
    pub fn read(&mut self, piece: &[u8]) -> Result<Vec<Entry>, Damaged> {
        self.rest.extend_from_slice(piece);
        let (mut entries, mut at) = (Vec::new(), 0);
        while let Some((length, rest)) =
            self.rest.get(at..).and_then(|rest| rest.split_first_chunk::<LENGTH>())
        {
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Damaged)?;
            if length > MAX_ENTRY {
                return Err(Damaged);
            }
            let Some(bytes) = rest.get(..length) else { break };
            entries.push(Entry::decode(bytes).ok_or(Damaged)?);
            at += LENGTH + length;
        }
        self.rest.drain(..at);
        Ok(entries)
    }

    /// There is no more.
    ///
    /// # Errors
    /// [`Damaged`] if it ends within an entry.
    pub fn finish(self) -> Result<(), Damaged> {
        if self.rest.is_empty() { Ok(()) } else { Err(Damaged) }
    }
}

impl History {
    /// All conversations, in pieces for `take`. What is on its way is left out: it has another end yet.
    ///
    /// # Errors
    /// Those of the store, and of `take`.
    pub fn hand_over<E: From<Error>>(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut count = 0;
        for jid in self.chats()? {
            for (_, entry) in self.last(&jid, usize::MAX)? {
                let bytes = entry.encode();
                let open = entry.direction == Direction::Out && !entry.is_done();
                let Some(length) =
                    u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MAX_ENTRY && !open)
                else {
                    continue;
                };
                take(&[&length.to_be_bytes()[..], &bytes].concat())?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Keeps what was handed over and is not here yet. Gives how many entries that were.
    ///
    /// # Errors
    /// Those of the store.
    pub fn take_over(&self, entries: Vec<Entry>) -> Result<usize, Error> {
        let mut count = 0;
        let mut entries = entries.into_iter().peekable();
        // They come by conversation.
        while let Some(jid) = entries.peek().map(|entry| entry.jid.clone()) {
            self.note_chat(&jid)?;
            let known = self.account.entries(&chat(&jid), None, usize::MAX)?;
            let known: BTreeSet<_> =
                known.iter().filter_map(|(_, bytes)| Some(identity(&Entry::decode(bytes)?))).collect();
            while entries.peek().is_some_and(|entry| entry.jid == jid) {
                let mut batch = Vec::new();
                while batch.len() < BATCH
                    && let Some(entry) = entries.next_if(|entry| entry.jid == jid)
                {
                    let identity = identity(&entry);
                    if !known.contains(&identity) {
                        batch.push((identity, as_past(entry).encode()));
                    }
                }
                count += self.account.append_all_once(&past(&jid), &batch)?;
            }
        }
        Ok(count)
    }

    /// Whether another device has handed this entry over.
    pub(super) fn is_past(&self, entry: &Entry) -> Result<bool, Error> {
        self.account.has_entry(&past(&entry.jid), &identity(entry))
    }

    pub(super) fn last_of_past(&self, jid: &str, limit: usize) -> Result<Vec<(i64, Entry)>, Error> {
        let entries = self.account.last_entries(&past(jid), None, limit)?;
        let decoded = entries.into_iter().map(|(id, bytes)| (id, Entry::decode(&bytes)));
        Ok(decoded.map(|(id, entry)| (id, entry.unwrap_or_else(|| Entry::unknown(jid)))).collect())
    }
}

/// The log of what was handed over.
fn past(jid: &str) -> String {
    format!("past:{jid}")
}

/// As this device sees it: what the other one has sent is a copy.
fn as_past(entry: Entry) -> Entry {
    let direction = if entry.direction == Direction::Out { Direction::Copy } else { entry.direction };
    Entry { direction, state: None, token: None, only_encrypted: false, ..entry }
}

/// By what two devices know the same message: its random id, or who has sent it when.
fn identity(entry: &Entry) -> Vec<u8> {
    let own = if entry.direction == Direction::In { "in" } else { "own" };
    let device = entry.device.map(|device| device.to_string()).unwrap_or_default();
    let time = entry.time.to_string();
    // Short ids are those of programs that count.
    let parts = if entry.id.len() >= 8 {
        [own, "id", &entry.id, &entry.text]
    } else {
        [own, &device, &time, &entry.text]
    };
    parts.join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Protection, State};
    use xmpp_e2e_sqlite::Database;

    const JULIET: &str = "juliet@example.com";

    fn history(folder: &tempfile::TempDir, name: &str) -> History {
        History::new(Database::open(folder.path().join(name)).unwrap().account("romeo@example.net").unwrap())
    }

    fn bytes(history: &History) -> Vec<u8> {
        let mut out = Vec::new();
        let take = |piece: &[u8]| -> Result<(), Error> {
            out.extend_from_slice(piece);
            Ok(())
        };
        history.hand_over(take).unwrap();
        out
    }

    fn texts(history: &History, jid: &str, limit: usize) -> Vec<(Direction, String)> {
        let entries = history.last(jid, limit).unwrap().into_iter();
        entries.map(|(_, entry)| (entry.direction, entry.text)).collect()
    }

    fn came(jid: &str, text: &str, time: u64) -> Entry {
        let mut entry = Entry::incoming(jid, text, time);
        (entry.device, entry.protection) = (Some(4), Some(Protection::Encrypted));
        entry
    }

    #[test]
    fn the_past_stands_before_the_rest_and_nothing_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (history(&folder, "old"), history(&folder, "new"));
        for n in 0..5 {
            old.keep(Some(&[n]), &came(JULIET, &n.to_string(), n.into())).unwrap();
        }
        let mut out = old.begin(Entry::outgoing(JULIET, "0123456789", "mine", 7)).unwrap();
        out.entry.state = Some(State::Acknowledged);
        old.finish(&out).unwrap();
        old.begin(Entry::outgoing(JULIET, "9876543210", "open", 8)).unwrap();
        old.keep(None, &came("nurse@example.com", "hello", 3)).unwrap();
        // Both have these already.
        new.keep(Some(b"its own key"), &came(JULIET, "4", 4)).unwrap();
        let mut copy = Entry::incoming(JULIET, "mine", 9);
        (copy.direction, copy.id, copy.device) = (Direction::Copy, "0123456789".to_owned(), Some(1));
        new.keep(Some(b"another"), &copy).unwrap();

        let all = bytes(&old);
        for size in [1, 7, 10_000] {
            let mut reader = Reader::default();
            let mut entries = Vec::new();
            for piece in all.chunks(size) {
                entries.extend(reader.read(piece).unwrap());
            }
            reader.finish().unwrap();
            assert_eq!(entries.len(), 7);
            // The second time all is there.
            assert_eq!(new.take_over(entries).unwrap(), if size == 1 { 5 } else { 0 });
        }
        let own = |text: &str| (Direction::Copy, text.to_owned());
        let her = |text: &str| (Direction::In, text.to_owned());
        assert_eq!(texts(&new, JULIET, 9), [her("0"), her("1"), her("2"), her("3"), her("4"), own("mine")]);
        assert_eq!(texts(&new, JULIET, 3), [her("3"), her("4"), own("mine")]);
        assert_eq!(texts(&new, "nurse@example.com", 9), [her("hello")]);
        assert_eq!(new.chats().unwrap(), [JULIET, "nurse@example.com"]);
        // From the archive they come too late.
        assert_eq!(new.keep(Some(b"late"), &came(JULIET, "2", 2)).unwrap(), None);
        assert!(new.keep(Some(b"new"), &came(JULIET, "2", 12)).unwrap().is_some());
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let entry = came(JULIET, "hello", 1).encode();
        let with = |length: usize| [&u32::try_from(length).unwrap().to_be_bytes()[..], &entry].concat();
        assert_eq!(Reader::default().read(&with(entry.len())).unwrap().len(), 1);
        let mut cut = Reader::default();
        assert!(cut.read(&with(entry.len() + 1)).unwrap().is_empty());
        assert_eq!(cut.finish(), Err(Damaged));
        assert_eq!(Reader::default().read(&with(MAX_ENTRY + 1)).err(), Some(Damaged));
        assert_eq!(Reader::default().read(&with(5)).err(), Some(Damaged));
    }
}
