//! What this device answers to others: its keys, by iq. And the roster, from the server's pushes.

use crate::NS;
use crate::engine::draft::{Done, Draft};
use crate::engine::own::ONE_TIME_GRACE;
use crate::engine::{Subscription, pep};
use crate::error::{Error, Malformed, Misbehaviour, Misuse};
use crate::identity::MAX_LIST;
use crate::jid::{Address, BareJid};
use crate::stanza::Element;
use crate::wire::from_base64;

const ROSTER: &str = "jabber:iq:roster";

/// One-time prekeys out at any time, given and not yet used: beyond this askers get none, so that
/// nobody can drain them. Each of a hundred contacts may open a session with every suite.
const MAX_GIVEN: usize = 400;

/// Of these, to one account: several of its devices, and handshakes that came to nothing.
const MAX_GIVEN_TO_ONE: usize = 16;

impl Draft<'_> {
    /// Answers a request for keys. Whether it was one.
    pub(super) fn serve(&mut self, iq: &Element<'_>) -> Result<bool, Error> {
        let Some(keys) = iq.child(NS, "keys") else { return Ok(false) };
        let (Some(from), Some(id)) = (iq.attr("from"), iq.attr("id")) else { return Ok(false) };
        let Ok(asker) = Address::parse(from) else { return Ok(false) };
        if !self.is_friend(&asker.bare)? {
            // To others a full JID must not tell that it is there.
            return Ok(false);
        }
        let own = self.own()?;
        if own.left || own.record.as_slice().is_empty() {
            // The application's answer to what it does not know is the right one.
            return Ok(false);
        }
        let (jid, record) = (own.jid.clone(), own.record.as_slice().to_vec());
        if let Some(list) = keys.child(NS, "devices") {
            let taken = match from_base64(&list.text(), MAX_LIST) {
                Ok(bytes) => self.take_list_shown(&jid, &bytes)?,
                Err(_) => Err(Malformed::Encoding.into()),
            };
            if let Err(reason) = taken {
                self.reject(Some(&asker.bare), reason);
            }
        }
        let list = self.contact(&jid)?.map_or_else(Vec::new, |contact| contact.list.as_slice().to_vec());
        let prekeys = self.give(&asker.bare)?;
        let prekeys: Vec<&[u8]> = prekeys.iter().map(Vec::as_slice).collect();
        let stanza = pep::iq("result", id, from, &pep::answer_keys(&record, &list, &prekeys));
        self.send(stanza, None)?;
        self.unsettled = true;
        Ok(true)
    }

    /// One one-time prekey of each algorithm, never to be given again.
    fn give(&mut self, asker: &BareJid) -> Result<Vec<Vec<u8>>, Error> {
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut had = Vec::new();
        let forget_at = self.now.after(ONE_TIME_GRACE);
        let ids = self.state.one_time.all_keys();
        let (mut given, mut to_asker) = (0, 0);
        for id in &ids {
            if let Some(key) = self.state.one_time.get(id)?
                && key.given
            {
                given += 1;
                to_asker += usize::from(key.asker == asker.as_str());
            }
        }
        for id in ids {
            let Some(key) = self.state.one_time.get(&id)? else { continue };
            let kind = (key.kem, key.key.algorithm);
            if given >= MAX_GIVEN
                || to_asker >= MAX_GIVEN_TO_ONE
                || key.given
                || key.signed.as_slice().is_empty()
                || had.contains(&kind)
            {
                continue;
            }
            had.push(kind);
            out.push(key.signed.as_slice().to_vec());
            if let Some(key) = self.state.one_time.get_mut(&id)? {
                key.given = true;
                asker.as_str().clone_into(&mut key.asker);
                key.forget_at = forget_at;
            }
        }
        Ok(out)
    }

    pub(super) fn roster(&mut self, jid: &str, subscription: Subscription) -> Done {
        let jid = Address::parse(jid).map_err(|_| Misuse::Jid)?.bare;
        self.subscribe(&jid, subscription)
    }

    fn subscribe(&mut self, jid: &BareJid, subscription: Subscription) -> Done {
        let friend = matches!(subscription, Subscription::Both | Subscription::From);
        if self.contact(jid)?.is_some_and(|contact| contact.friend) != friend {
            self.contact_mut(jid)?.friend = friend;
        }
        Ok(())
    }

    /// Notes the subscriptions of roster results and pushes. Whether the iq may pass.
    pub(super) fn read_roster(&mut self, iq: &Element<'_>) -> Result<bool, Error> {
        let kind = iq.attr("type");
        let (true, Some(query)) = (matches!(kind, Some("set" | "result")), iq.child(ROSTER, "query")) else {
            return Ok(true);
        };
        let own = self.own()?.jid.clone();
        // Only the own account pushes (RFC 6121, section 2.1.6).
        let mine = match iq.attr("from").map(Address::parse) {
            None => true,
            Some(from) => from.is_ok_and(|from| from.bare == own),
        };
        if !mine {
            self.reject(None, Misbehaviour::WrongSubject);
            return Ok(false);
        }
        for item in query.elements().filter(|item| item.is(ROSTER, "item")) {
            let Some(Ok(jid)) = item.attr("jid").map(Address::parse) else { continue };
            let subscription = match item.attr("subscription") {
                Some("both") => Subscription::Both,
                Some("from") => Subscription::From,
                Some("to") => Subscription::To,
                Some("remove") => Subscription::Remove,
                _ => Subscription::None,
            };
            self.subscribe(&jid.bare, subscription)?;
        }
        Ok(true)
    }
}
