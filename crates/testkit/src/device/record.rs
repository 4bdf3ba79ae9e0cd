//! What an application records durably.

use std::collections::BTreeMap;

use xmpp_e2e::{
    Context, Coverage, Effect, Event, InboxId, Need, Protection, Reason, SendError, Token, Waiting,
};

use crate::server::bare;
use crate::xml::Element;

/// What an application has stored, apart from its engine's store.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Stanzas handed in that are handed in again after a crash, until they have an end.
    pub handed: BTreeMap<Token, Handed>,
    /// Messages delivered or passed, in order.
    pub inbox: Vec<Letter>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// Stanzas that were refused, in order, and why.
    pub rejected: Vec<(Reason, String)>,
    /// Presences that were signed, in order: account, device, stanza.
    pub signed: Vec<(String, u32, String)>,
    /// What stanzas waited for, in order.
    pub waited: Vec<(Token, Waiting)>,
    /// What each stanza that came has led to, in order, if anybody asks.
    pub heard: Option<Vec<Heard>>,
    /// Tokens given out.
    pub tokens: u64,
    /// Whether what happens now is due to the last of `heard`.
    pub(super) hearing: bool,
    /// What the library let pass and no stream was there for.
    pub(super) clear: Vec<String>,
}

/// What a stanza that came has led to, the key agent's answers included.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The stanza.
    pub stanza: String,
    /// What was delivered, by its place in the inbox.
    pub delivered: Vec<usize>,
    /// Why it was refused, each time.
    pub rejected: Vec<Reason>,
    /// How often it was called a duplicate.
    pub duplicates: usize,
    /// How often it was let pass.
    pub passed: usize,
}

impl Heard {
    /// How often something was said of the stanza itself.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        self.delivered.len() + self.rejected.len() + self.duplicates + self.passed
    }
}

/// A stanza handed in.
#[derive(Clone, Debug)]
pub struct Handed {
    /// As handed in.
    pub stanza: String,
    /// The protection it needs.
    pub need: Need,
    /// What became of it: empty at first, one when all is well. The same said again, as after a
    /// restart, is recorded once.
    pub ends: Vec<End>,
}

/// The end of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// It went out as it was.
    Pass,
    /// It went out protected.
    Sent(Coverage),
    /// It did not go out, or came back.
    Failed(SendError),
}

/// A message that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// The account that sent it.
    pub from: String,
    /// The text of its body.
    pub body: Option<String>,
    /// The stanza.
    pub stanza: String,
    /// How it was protected; `None` for clear text.
    pub protection: Option<Protection>,
    /// The device that sent it, if protected.
    pub device: Option<u32>,
    /// The engine's name for it, if protected.
    pub id: Option<InboxId>,
    /// What is known of it besides, if protected.
    pub context: Option<Context>,
}

impl Record {
    /// A new token.
    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// The bodies of the protected messages, in order.
    #[must_use]
    pub fn bodies(&self) -> Vec<&str> {
        let protected = self.inbox.iter().filter(|letter| letter.protection.is_some());
        protected.filter_map(|letter| letter.body.as_deref()).collect()
    }

    /// What has no end yet.
    #[must_use]
    pub fn open(&self) -> Vec<(Token, Handed)> {
        let open = self.handed.iter().filter(|(_, handed)| handed.ends.is_empty());
        open.map(|(token, handed)| (*token, handed.clone())).collect()
    }

    pub(super) fn end(&mut self, token: Token, end: End) {
        // Presences have no record.
        let Some(handed) = self.handed.get_mut(&token) else { return };
        match (handed.ends.last(), &end) {
            (None, _) | (Some(End::Sent(_)), End::Failed(SendError::Bounced)) => handed.ends.push(end),
            (Some(last), _) if *last == end => {}
            (Some(last), _) => panic!("{token:?} ends with {end:?} after {last:?}"),
        }
    }

    /// Begins to note what a stanza leads to.
    pub(super) fn hear(&mut self, stanza: &str) {
        if let Some(heard) = &mut self.heard {
            heard.push(Heard { stanza: stanza.to_owned(), ..Heard::default() });
            self.hearing = true;
        }
    }

    /// Notes an effect of the stanza heard last.
    pub(super) fn note(&mut self, effect: &Effect) {
        let (true, Some(heard)) = (self.hearing, self.heard.as_mut().and_then(|heard| heard.last_mut()))
        else {
            return;
        };
        match effect {
            Effect::Deliver { .. } => heard.delivered.push(self.inbox.len()),
            Effect::Notify(Event::Rejected { reason, .. }) => heard.rejected.push(*reason),
            Effect::Notify(Event::Duplicate { .. }) => heard.duplicates += 1,
            Effect::Pass | Effect::PassSigned { .. } => heard.passed += 1,
            _ => {}
        }
    }

    /// A stanza delivered again is recorded once; one delivered as new is recorded.
    pub(super) fn deliver(
        &mut self,
        id: InboxId,
        stanza: &str,
        protection: Protection,
        context: &Context,
        again: bool,
    ) {
        if again && self.inbox.iter().rev().any(|letter| letter.id == Some(id)) {
            return;
        }
        let body = Element::parse(stanza).as_ref().and_then(body);
        self.inbox.push(Letter {
            from: context.sender.as_str().to_owned(),
            body,
            stanza: stanza.to_owned(),
            protection: Some(protection),
            device: Some(context.device),
            id: Some(id),
            context: Some(context.clone()),
        });
    }

    pub(super) fn clear_letter(&mut self, stanza: &str, element: &Element<'_>) {
        let Some(body) = body(element) else { return };
        self.inbox.push(Letter {
            from: bare(element.attr("from").unwrap_or_default()).to_owned(),
            body: Some(body),
            stanza: stanza.to_owned(),
            protection: None,
            device: None,
            id: None,
            context: None,
        });
    }

    /// The clear stanzas to be sent now, if there is a stream.
    pub(super) fn unsent(&mut self, connected: bool) -> Vec<String> {
        if connected { std::mem::take(&mut self.clear) } else { Vec::new() }
    }
}

fn body(element: &Element<'_>) -> Option<String> {
    let body = element.child("body")?;
    quick_xml::escape::unescape(body.inner).ok().map(Into::into)
}
