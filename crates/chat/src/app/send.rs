//! Messages on their way out, through any end of the program.

use std::collections::BTreeSet;

use xmpp_e2e_client::Error;
use xmpp_e2e_client::xmpp_e2e::suite::Level;
use xmpp_e2e_client::xmpp_e2e::{Coverage, Need, Outlook, Pending, SendError, Token, Waiting};

use super::{App, stop};
use crate::history::{Entry, Outgoing, Protection, State};
use crate::line::Line;
use crate::{Stop, stanza, text, words};

/// What `/encrypt on` asks for: the strongest there is today.
const LEVEL: Level = Level::HYBRID;

impl App {
    /// Takes up what was on its way when the program ended, before anything else happens: so the engine knows what
    /// it has of it already.
    pub(super) fn resume(&mut self) -> Result<(), Stop> {
        let known: BTreeSet<u64> = self.pending()?;
        let mut behind = BTreeSet::new();
        for mut out in self.history.open().map_err(Stop::from)? {
            let known = token(&out).is_some_and(|token| known.contains(&token.0));
            if out.entry.state == Some(State::Sent) && !known {
                // The engine lets go only of what is acknowledged; nobody was there to hear it.
                out.entry.state = Some(State::Acknowledged);
                self.history.finish(&out)?;
                continue;
            }
            // In clear nobody but the archive knows whether it went out. What follows it waits, to stay behind it.
            let held = !known && (out.entry.state == Some(State::Written) || behind.contains(&out.entry.jid));
            let n = out.token;
            if held {
                behind.insert(out.entry.jid.clone());
                self.ids.insert(out.entry.id.clone(), n);
                self.held.push(n);
                self.open.insert(n, out);
            } else {
                self.open.insert(n, out);
                self.hand_in(n)?;
            }
        }
        Ok(())
    }

    fn pending(&self) -> Result<BTreeSet<u64>, Stop> {
        let pending = self.client.engine().pending().map_err(Stop::error)?;
        let tokens = pending.into_iter().filter_map(|pending| match pending {
            Pending::Unacknowledged(token) | Pending::Waiting(token) => Some(token.0),
            _ => None,
        });
        Ok(tokens.collect())
    }

    /// The archive has been read: what it did not have goes out.
    pub(super) fn release(&mut self) -> Result<(), Stop> {
        for n in core::mem::take(&mut self.held) {
            self.hand_in(n)?;
        }
        Ok(())
    }

    /// The protection that a message to `jid` needs.
    fn need(&self, jid: &str) -> Result<Need, Stop> {
        // Whom the engine does not know to encrypt it would answer in clear, although the user is told that nothing
        // goes out before the new key is decided on.
        let contact = self.client.engine().contact(jid).ok().flatten();
        let undecided = contact.is_some_and(|contact| contact.changed_key.is_some());
        if undecided || self.history.only_encrypted(jid)? {
            return Ok(Need::Encrypted(LEVEL));
        }
        let consent = self.consents.get(jid).filter(|_| self.in_clear.contains(jid));
        Ok(consent.map_or(Need::Policy, |consent| Need::Clear(consent.clone())))
    }

    /// What would become of a message to `jid`.
    pub(super) fn outlook(&self, jid: &str) -> Result<Option<Outlook>, Stop> {
        Ok(self.client.outlook(jid, &self.need(jid)?).ok())
    }

    /// A message of the user.
    pub(super) fn say(&mut self, jid: &str, said: &str) -> Result<(), Stop> {
        let said = text::sendable(said);
        if said.is_empty() {
            return self.print(&Line::Error("there is nothing to send".to_owned()));
        }
        let outlook = self.outlook(jid)?;
        let mut entry = Entry::outgoing(jid, &random_id()?, &said, text::now());
        entry.only_encrypted = self.history.only_encrypted(jid)?;
        let out = self.history.begin(entry)?;
        let n = out.token;
        self.print(&Line::Queued { n, entry: out.entry.clone(), outlook })?;
        let behind = self.held.iter().any(|held| self.open.get(held).is_some_and(|out| out.entry.jid == jid));
        self.open.insert(n, out);
        if behind {
            self.held.push(n);
            return Ok(());
        }
        self.hand_in(n)
    }

    /// Gives the engine a message that is kept.
    fn hand_in(&mut self, n: i64) -> Result<(), Stop> {
        let Some(out) = self.open.get(&n) else { return Ok(()) };
        let Entry { jid, id, text, only_encrypted, .. } = out.entry.clone();
        let Some(token) = token(out) else { return Ok(()) };
        // What was asked for when it was written holds, though the user may have changed it since.
        let need = if only_encrypted { Need::Encrypted(LEVEL) } else { self.need(&jid)? };
        self.ids.insert(id.clone(), n);
        match self.client.send(&stanza::chat(&jid, &id, &text), token, need) {
            Ok(()) => Ok(()),
            Err(Error::Misuse(misuse)) => self.fail(n, "refused", &misuse.to_string()),
            Err(error) => Err(stop(error)),
        }
    }

    pub(super) fn waiting(&mut self, token: Token, why: Waiting) -> Result<(), Stop> {
        let (word, sentence) = words::waiting(why);
        let state = State::Waiting(word.to_owned());
        let Some(n) = self.advance(token, state, None)? else { return Ok(()) };
        self.print(&Line::Waiting { n, word, sentence })
    }

    pub(super) fn sent(&mut self, token: Token, coverage: Coverage) -> Result<(), Stop> {
        let protection = if coverage.clear { Protection::Clear } else { Protection::Encrypted };
        let Some(n) = self.advance(token, State::Sent, Some(protection))? else { return Ok(()) };
        let coverage = Some(coverage).filter(|coverage| !coverage.clear);
        self.print(&Line::Sent { n, coverage })
    }

    pub(super) fn clear(&mut self, token: Token) -> Result<(), Stop> {
        let Some(n) = self.advance(token, State::Written, Some(Protection::Clear))? else { return Ok(()) };
        self.print(&Line::Sent { n, coverage: None })
    }

    /// Notes how far a message has come. None if that is no news.
    fn advance(
        &mut self,
        token: Token,
        state: State,
        protection: Option<Protection>,
    ) -> Result<Option<i64>, Stop> {
        let Some(out) = number(token).and_then(|n| self.open.get_mut(&n)) else { return Ok(None) };
        if out.entry.state.as_ref() == Some(&state) && out.entry.protection == protection {
            return Ok(None);
        }
        out.entry.state = Some(state);
        out.entry.protection = protection;
        self.history.update(out)?;
        Ok(Some(out.token))
    }

    pub(super) fn acknowledged(&mut self, token: Token) -> Result<(), Stop> {
        match number(token) {
            Some(n) => self.arrived(n),
            None => Ok(()),
        }
    }

    fn arrived(&mut self, n: i64) -> Result<(), Stop> {
        let Some(mut out) = self.open.remove(&n) else { return Ok(()) };
        out.entry.state = Some(State::Acknowledged);
        self.history.finish(&out)?;
        self.print(&Line::Acknowledged { n })
    }

    /// The own archive has a message in clear that this program has sent.
    pub(super) fn found_in_archive(&mut self, id: &str) -> Result<(), Stop> {
        let Some(n) = self.ids.get(id).copied() else { return Ok(()) };
        if !self.held.contains(&n) {
            return Ok(());
        }
        self.held.retain(|held| *held != n);
        self.arrived(n)
    }

    pub(super) fn failed(&mut self, token: Token, why: SendError) -> Result<(), Stop> {
        let (word, sentence) = words::failed(why);
        match number(token) {
            Some(n) => self.fail(n, word, sentence),
            None => Ok(()),
        }
    }

    /// A message in clear came back.
    pub(super) fn returned(&mut self, from: &str, id: &str) -> Result<(), Stop> {
        let Some(n) = self.ids.get(id).copied() else { return Ok(()) };
        let out = match self.open.get(&n) {
            Some(out) => Some(out.clone()),
            None => self.history.find(n)?,
        };
        // Errors come from anybody; that of a sealed message the engine tells.
        let right = |out: &Outgoing| out.entry.jid == from && out.entry.protection == Some(Protection::Clear);
        if !out.is_some_and(|out| right(&out)) {
            return Ok(());
        }
        let (word, sentence) = words::failed(SendError::Bounced);
        self.fail(n, word, sentence)
    }

    fn fail(&mut self, n: i64, word: &str, sentence: &str) -> Result<(), Stop> {
        let out = match self.open.remove(&n) {
            Some(out) => Some(out),
            None => self.history.find(n)?,
        };
        let Some(mut out) = out else { return Ok(()) };
        out.entry.state = Some(State::Failed(word.to_owned()));
        self.history.finish(&out)?;
        self.print(&Line::Failed { n, word: word.to_owned(), sentence: sentence.to_owned() })
    }
}

/// The engine's name of a message.
fn token(out: &Outgoing) -> Option<Token> {
    u64::try_from(out.token).ok().map(Token)
}

/// The number of a message that is kept.
fn number(token: Token) -> Option<i64> {
    i64::try_from(token.0).ok().filter(|_| token.0 < super::OTHER_TOKENS)
}

fn random_id() -> Result<String, Stop> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Stop::error)?;
    Ok(text::hex(&bytes))
}
