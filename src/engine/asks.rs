//! Requests to the key agent, and what its answers change.

use core::time::Duration;

use crate::agent::{AgentReply, AgentRequest, Answer, Operation};
use crate::engine::draft::{Done, Draft};
use crate::engine::own::{AGENT_RETRY, PREKEY_GRACE, PREKEY_ROTATION, RECORD_LIFE};
use crate::engine::records::{Ask, Purpose};
use crate::error::{Error, Misuse};
use crate::identity::{DeviceCertificate, DeviceList, DeviceRecord, OneTimePrekey};
use crate::jid::BareJid;
use crate::presence::{ADVERT_LIFE, Advert, PresenceMeaning};
use crate::step::{Effect, Event};
use crate::wire::to_base64;

/// An agent may have to ask its user.
const AGENT_TIMEOUT: Duration = Duration::from_mins(5);

impl Draft<'_> {
    /// The agent's answer to a request that is outstanding.
    pub(super) fn agent_answered(&mut self, reply: &AgentReply) -> Done {
        // A late answer, or a second one after a restart, is nobody's mistake.
        let Some(ask) = self.state.asks.get(&reply.id())?.cloned() else { return Ok(()) };
        self.state.asks.remove(&reply.id());
        let request = AgentRequest::from_bytes(ask.request.as_slice()).map_err(|_| Misuse::Record)?;
        let taken = match reply.result() {
            Ok(answer) if reply.fits(&request) => {
                self.take_answer(reply.id(), &ask, request.operation(), answer)?
            }
            Ok(_) | Err(_) => false,
        };
        if taken { Ok(()) } else { self.agent_failed(reply.id(), &ask) }
    }

    /// Whether the answer was what was asked for.
    fn take_answer(
        &mut self,
        id: u64,
        ask: &Ask,
        operation: &Operation,
        answer: &Answer,
    ) -> Result<bool, Error> {
        let suites = &self.config.suites;
        let all = operation.tbs();
        let tbs = all.first().copied().unwrap_or_default();
        match (ask.purpose, answer) {
            (Purpose::Open | Purpose::Accept, Answer::Legs(legs)) => {
                let jid = BareJid::parse(&ask.jid).map_err(|_| Misuse::Record)?;
                match ask.purpose {
                    Purpose::Open => self.opening_answered(id, &jid, ask.device, legs),
                    Purpose::Accept => self.arrival_answered(id, &jid, ask.device, legs),
                    Purpose::Certificate
                    | Purpose::List
                    | Purpose::Record
                    | Purpose::Advert
                    | Purpose::Prekeys
                    | Purpose::Statement
                    | Purpose::Provisional
                    | Purpose::LinkCertificate
                    | Purpose::Renewal
                    | Purpose::Tombstone => Ok(false),
                }
            }
            (Purpose::Certificate, Answer::Signature(signature)) => {
                let Ok(certificate) = DeviceCertificate::issue(tbs, signature, suites) else {
                    return Ok(false);
                };
                let key = *certificate.account_digest();
                let own = self.own_mut()?;
                own.certificate = certificate.bytes().to_vec().into();
                own.serial = certificate.serial();
                let jid = own.jid.clone();
                self.contact_mut(&jid)?.account_key = Some(key);
                Ok(true)
            }
            (Purpose::Provisional, Answer::Signature(signature)) => self.provisional_signed(tbs, signature),
            (Purpose::LinkCertificate, Answer::Signature(signature)) => {
                self.linked_certified(ask.device, tbs, signature)
            }
            (Purpose::Renewal, Answer::Signature(signature)) => {
                self.renewal_signed(ask.device, tbs, signature)
            }
            (Purpose::List, Answer::Signature(signature)) => {
                let Some(certificate) = self.own_certificate()? else { return Ok(false) };
                let key = certificate.account();
                let Ok(list) = DeviceList::issue(tbs, signature, key, suites) else {
                    return Ok(false);
                };
                self.list_signed(&list)
            }
            (Purpose::Record, Answer::Signature(signature)) => {
                let Ok(record) = DeviceRecord::issue(tbs, signature, suites) else {
                    return Ok(false);
                };
                self.record_signed(&record)?;
                Ok(true)
            }
            (Purpose::Tombstone, Answer::Signature(signature)) => {
                if !self.own()?.leaving {
                    return Ok(false);
                }
                let Some(certificate) = self.own_certificate()? else { return Ok(false) };
                let key = certificate.account();
                let Ok(list) = DeviceList::issue(tbs, signature, key, suites) else { return Ok(false) };
                self.tombstone_signed(&list)?;
                Ok(true)
            }
            (Purpose::Advert, Answer::Signature(signature)) => self.advert_signed(operation, tbs, signature),
            (Purpose::Statement, Answer::Signature(signature)) => {
                self.statement_signed(ask.order, tbs, signature)
            }
            (Purpose::Prekeys, Answer::Signatures(signatures)) => {
                let Some(certificate) = self.own_certificate()? else { return Ok(false) };
                if all.len() != signatures.len() {
                    return Ok(false);
                }
                for (tbs, signature) in all.iter().zip(signatures) {
                    let suites = &self.config.suites;
                    let Ok(prekey) = OneTimePrekey::issue(tbs, signature, &certificate, suites) else {
                        return Ok(false);
                    };
                    if let Some(key) = self.state.one_time.get_mut(&prekey.id())? {
                        key.signed = prekey.bytes().to_vec().into();
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn advert_signed(&mut self, operation: &Operation, tbs: &[u8], signature: &[u8]) -> Result<bool, Error> {
        let Operation::SignAdvert(asked) = operation else { return Ok(false) };
        let suites = &self.config.suites;
        let meaning = asked.presence().map(PresenceMeaning::digest);
        let (account, key) = (&self.own()?.jid, self.config.identity.signing_key());
        let Ok(advert) = Advert::issue(tbs, signature, account, key, meaning.as_ref(), suites) else {
            return Ok(false);
        };
        let now = self.now;
        let own = self.own_mut()?;
        own.advert = to_base64(advert.bytes());
        own.advert_sequence = advert.sequence();
        own.advert_record = *advert.record_digest();
        own.advert_list = advert.list_version();
        own.advert_meaning = meaning;
        // Counted from when it was asked for: a device may have been off since.
        own.readvertise_at = now.after(advert.expiry().since(now).saturating_sub(ADVERT_LIFE / 2));
        if own.leaving {
            self.ask_for_tombstone()?;
        }
        Ok(true)
    }

    fn record_signed(&mut self, record: &DeviceRecord) -> Done {
        let now = self.now;
        let own = self.own_mut()?;
        let old = own.record_sequence;
        own.record = record.bytes().to_vec().into();
        own.record_sequence = record.sequence();
        // Counted from when it was asked for: a device may have been off since.
        own.rotate_at =
            now.after(record.expiry().since(now).saturating_sub(RECORD_LIFE.saturating_sub(PREKEY_ROTATION)));
        own.record_published = false;
        self.publish_anew(true)?;
        if let Some(keys) = self.state.prekeys.get_mut(&record.sequence())? {
            keys.digest = *record.digest();
        }
        if let Some(keys) = self.state.prekeys.get_mut(&old)? {
            keys.retire = true;
            keys.retire_at = now.after(PREKEY_GRACE);
        }
        Ok(())
    }

    /// The agent refused, or gave no answer in time.
    pub(super) fn agent_failed(&mut self, id: u64, ask: &Ask) -> Done {
        self.notify(Event::AgentFailed);
        match ask.purpose {
            Purpose::Open => {
                let jid = BareJid::parse(&ask.jid).map_err(|_| Misuse::Record)?;
                self.opening_failed(id, &jid, ask.device)
            }
            Purpose::Accept => {
                let jid = BareJid::parse(&ask.jid).map_err(|_| Misuse::Record)?;
                self.arrival_failed(id, &jid, ask.device)
            }
            Purpose::Statement => self.statement_failed(ask.order),
            Purpose::LinkCertificate => self.certifying_failed(Some(ask.device)),
            // The device asks again.
            Purpose::Renewal => Ok(()),
            Purpose::Provisional => self.linking_without_agent(),
            // It says so without.
            Purpose::Advert if self.own()?.leaving => self.ask_for_tombstone(),
            Purpose::Certificate
            | Purpose::List
            | Purpose::Record
            | Purpose::Advert
            | Purpose::Prekeys
            | Purpose::Tombstone => {
                if ask.purpose == Purpose::List {
                    self.certifying_failed(None)?;
                }
                let retry = self.now.after(AGENT_RETRY);
                self.own_mut()?.agent_retry_at = Some(retry.as_millis());
                Ok(())
            }
        }
    }

    pub(super) fn asked(&self, purpose: Purpose) -> Result<bool, Error> {
        for key in self.state.asks.all_keys() {
            if self.state.asks.get(&key)?.is_some_and(|ask| ask.purpose == purpose) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn ask_once(
        &mut self,
        purpose: Purpose,
        operation: impl FnOnce() -> Result<Operation, Error>,
    ) -> Done {
        if !self.asked(purpose)? {
            self.ask(purpose, None, operation()?)?;
        }
        Ok(())
    }

    /// Asks the agent and notes what for.
    pub(super) fn ask(
        &mut self,
        purpose: Purpose,
        pair: Option<(&BareJid, u32)>,
        operation: Operation,
    ) -> Result<u64, Error> {
        let id = self.count(|counters| &mut counters.ask)?;
        let request = AgentRequest::new(id, operation);
        let ask = Ask {
            request: request.to_bytes().into(),
            purpose,
            jid: pair.map_or_else(String::new, |(jid, _)| jid.as_str().to_owned()),
            device: pair.map_or(0, |(_, device)| device),
            order: 0,
            deadline: self.now.after(AGENT_TIMEOUT),
        };
        self.state.asks.put(id, ask);
        self.effects.push(Effect::Ask(request));
        Ok(id)
    }
}

/// What the engine asks of its own agent is well-formed unless the agent's identity is not.
pub(super) fn operation(built: Result<Operation, crate::error::Reason>) -> Result<Operation, Error> {
    built.map_err(|_| Misuse::Identity.into())
}
