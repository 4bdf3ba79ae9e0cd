//! What the user knows of keys, and thinks of them.

use xmpp_e2e_client::xmpp_e2e::{BareJid, Command as Engine, Decision, Fingerprint, Means, Trust};

use super::App;
use crate::command::{Opinion, Policy};
use crate::line::Line;
use crate::{Stop, words};

impl App {
    /// `/fingerprint`: what is compared by telephone, in person, or by a camera.
    pub(super) fn fingerprint(&mut self, jid: Option<&str>) -> Result<(), Stop> {
        let own = jid.is_none_or(|jid| jid == self.client.account());
        let engine = self.client.engine();
        let (known, changed) = if own {
            (engine.fingerprint().map_err(Stop::error)?, None)
        } else {
            let contact = engine.contact(jid.unwrap_or_default()).map_err(Stop::error)?;
            contact.map_or((None, None), |contact| (contact.fingerprint(), contact.changed_fingerprint()))
        };
        let Some(known) = known else {
            return self.error("there is no key yet that has a fingerprint");
        };
        self.print(&Line::Fingerprint { fingerprint: known, own, changed: false })?;
        changed.map_or(Ok(()), |fingerprint| {
            self.print(&Line::Fingerprint { fingerprint, own: false, changed: true })
        })
    }

    /// `/scanned`: a camera has read the code of somebody's key.
    pub(super) fn scanned(&mut self, text: &str) -> Result<(), Stop> {
        let Ok(code) = Fingerprint::parse_uri(text) else {
            return self.error("that is not the code of a key; it begins with xmpp:");
        };
        let jid = code.jid().as_str().to_owned();
        let known = self.client.engine().contact(&jid).map_err(Stop::error)?;
        let known = known.and_then(|contact| contact.account_key).is_some();
        if !self.does(Engine::Scanned(&code))? || known {
            return Ok(());
        }
        self.ok(&format!("{jid} has shown no key yet. The first one must be that of the code"))
    }

    /// `/trust` with an opinion.
    pub(super) fn set_trust(&mut self, jid: &str, opinion: Opinion) -> Result<(), Stop> {
        let contact = self.client.engine().contact(jid).map_err(Stop::error)?;
        let Some(key) = contact.as_ref().and_then(|contact| contact.account_key) else {
            return self.error(&format!("{jid} has shown no key yet"));
        };
        if contact.is_some_and(|contact| contact.changed_key.is_some()) {
            return self
                .error(&format!("{jid} shows another key; first /accept-key {jid} or /reject-key {jid}"));
        }
        let (trust, means) = match opinion {
            Opinion::Distrusted => (Trust::Distrusted, Means::User),
            Opinion::FirstUse => (Trust::FirstUse, Means::Accepted),
            Opinion::Verified => (Trust::Verified, Means::Fingerprint),
        };
        // What follows is told as an event.
        self.does(Engine::SetTrust { jid, key, trust, means }).map(|_| ())
    }

    /// `/trust`: what holds, and what was thought before.
    pub(super) fn show_trust(&mut self, jid: &str) -> Result<(), Stop> {
        let engine = self.client.engine();
        let past = engine.trust_history(jid).map_err(Stop::error)?;
        let contact = engine.contact(jid).map_err(Stop::error)?;
        let Some((contact, key)) = contact.and_then(|contact| Some((contact.clone(), contact.account_key?)))
        else {
            return self.error(&format!("{jid} has shown no key yet"));
        };
        let fingerprint = |key| BareJid::parse(jid).ok().map(|jid| Fingerprint::new(jid, key).digits());
        let line = |key: [u8; 32], Decision { trust, means, at, .. }: &Decision, past: bool| Line::Trust {
            jid: jid.to_owned(),
            trust: words::trust(*trust),
            means: words::means(*means),
            time: at.as_millis(),
            key: fingerprint(key).unwrap_or_default(),
            past,
        };
        let mut lines: Vec<Line> = past.iter().map(|past| line(past.key, &past.decision, true)).collect();
        lines.push(line(key, &contact.decision, false));
        lines.iter().try_for_each(|line| self.print(line))
    }

    /// `/policy`.
    pub(super) fn policy(&mut self, jid: &str, policy: Option<Policy>) -> Result<(), Stop> {
        if let Some(policy) = policy
            && !self.does(Engine::SetPolicy { jid, policy: policy.to_engine() })?
        {
            return Ok(());
        }
        let contact = self.client.engine().contact(jid).map_err(Stop::error)?;
        let own = contact.and_then(|contact| contact.policy);
        let general = self.client.config().trust;
        let mut sentence = format!("messages to {jid} go {}", words::policy(own.unwrap_or(general)));
        if own.is_none() {
            sentence.push_str(", as to everybody");
        }
        self.ok(&sentence)
    }
}
