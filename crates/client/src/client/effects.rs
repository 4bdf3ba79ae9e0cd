//! A step of the engine, and what its effects do.

use minidom::Element;
use xmpp_e2e::{AgentReply, Effect, Env, Input, Protection, SendError, Token, Waiting};
use xmpp_e2e_minidom::from_tree;

use super::link::{Link, Out};
use super::{Client, MAX_BACKLOG, OWN_TOKENS, Subject, misuse, now};
use crate::event::{Error, Event, Fault};
use crate::sm::Sent;
use crate::storage::Storage;

impl<S: Storage> Client<S> {
    /// Takes inputs as one step, and carries out its effects.
    pub(crate) fn step<'i>(
        &mut self,
        inputs: impl IntoIterator<Item = Input<'i>>,
        subject: Subject<'_>,
    ) -> Result<(), Error<S::Error>> {
        let result = self.try_step(inputs, subject);
        if matches!(result, Err(Error::Storage(_) | Error::Stored(_))) {
            self.link = Link::Closed;
        }
        result
    }

    fn try_step<'i>(
        &mut self,
        inputs: impl IntoIterator<Item = Input<'i>>,
        subject: Subject<'_>,
    ) -> Result<(), Error<S::Error>> {
        let mut inputs = inputs.into_iter();
        let Some(first) = inputs.next() else { return Ok(()) };
        let mut env = Env { now: now(), rng: &mut self.rng };
        let mut step = self.engine.handle(&mut env, first).map_err(misuse)?;
        for input in inputs {
            step = step.also(&mut env, input).map_err(misuse)?;
        }
        let storage = &mut self.storage;
        let effects = step.persist(|batch| storage.apply(batch)).map_err(Error::Storage)?;
        let (mut replies, mut iqs) = (Vec::new(), Vec::new());
        for effect in effects {
            self.carry_out(effect, subject, &mut replies, &mut iqs)?;
        }
        // What they lead to comes after the rest of this step.
        for (stanza, protection) in &iqs {
            self.iq(stanza, Some(*protection))?;
        }
        for reply in &replies {
            self.step([Input::Agent(reply)], Subject::Nothing)?;
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        subject: Subject<'_>,
        replies: &mut Vec<AgentReply>,
        iqs: &mut Vec<(Element, Protection)>,
    ) -> Result<(), Error<S::Error>> {
        let own = |token: Token| token.0 >= OWN_TOKENS;
        match effect {
            Effect::Pass | Effect::PassSigned { .. } => match subject {
                Subject::Came(stanza) => self.passed(stanza)?,
                Subject::HandedIn(stanza, token) => {
                    let became = self.send_clear(stanza.clone(), token);
                    if !own(token) {
                        self.tell(became);
                    } else if stanza.name() == "presence" {
                        self.presence_sent()?;
                    }
                }
                Subject::Nothing => {}
            },
            Effect::Send { id, token, stanza } => {
                let tree = stanza.tree().map_err(|_| Error::Stored("a stanza"))?;
                let stanza = from_tree(&tree).map_err(|_| Error::Stored("a stanza"))?;
                // Without a stream it comes again with the next one.
                if self.is_online() {
                    let present = stanza.name() == "presence" && stanza.attr("to").is_none();
                    let token = token.filter(|token| !own(*token));
                    self.out.push_back(Out::Stanza(Sent { stanza, id: Some(id), token }));
                    if present {
                        self.presence_sent()?;
                    }
                }
            }
            Effect::Deliver { id, stanza, protection, context, again } => {
                match stanza.tree().and_then(|tree| from_tree(&tree)) {
                    // It is of this stream, and nobody stores it.
                    Ok(stanza) if stanza.name() == "iq" => iqs.push((stanza, protection)),
                    Ok(stanza) => self.tell(Event::Delivered { id, stanza, protection, context, again }),
                    // It would come again for ever.
                    Err(malformed) => {
                        self.fault(Fault::Refused(Some(malformed)));
                        self.step([Input::Taken(id)], Subject::Nothing)?;
                    }
                }
            }
            Effect::Ask(request) => match &self.agent {
                Some(agent) => replies.push(agent.answer(&request)),
                None => self.tell(Event::Ask(request)),
            },
            Effect::Notify(event) => self.tell(Event::Security(event)),
            Effect::Sent { token, coverage } if !own(token) => self.tell(Event::Sent { token, coverage }),
            Effect::Waiting { token, why } if !own(token) => self.tell(Event::Waiting { token, why }),
            Effect::Failed { token, why } if !own(token) => self.tell(Event::Failed { token, why }),
            // The answer that says so passes behind it.
            Effect::Failed { why: SendError::Bounced, .. } => {}
            Effect::Failed { token, .. } => self.own_failed(token)?,
            _ => {}
        }
        Ok(())
    }

    /// What became of a stanza that goes out in clear. A message without a stream waits here, and is handed to the
    /// engine again before it is written: the contact may encrypt by then.
    fn send_clear(&mut self, stanza: Element, token: Token) -> Event {
        let message = stanza.name() == "message";
        let sent = Sent { stanza, id: None, token: Some(token).filter(|token| token.0 < OWN_TOKENS) };
        // While the archive is read, what waited for the connection waits still; nothing overtakes it.
        if self.is_online() && (!message || self.backlog.is_empty()) {
            self.out.push_back(Out::Stanza(sent));
            return Event::Clear { token };
        }
        if !message {
            return Event::Failed { token, why: SendError::Cancelled };
        }
        if self.backlog.len() >= MAX_BACKLOG {
            return Event::Failed { token, why: SendError::Full };
        }
        self.backlog.push_back(sent);
        Event::Waiting { token, why: Waiting::Connection }
    }
}
