//! Archives (XEP-0313).

use crate::server::{Server, bare, date_time};
use crate::xml::{Element, escaped};

/// How many messages an account's archive keeps.
const KEPT: usize = 300;

impl Server {
    /// Puts a chat message into the archives of both accounts.
    pub(super) fn archive(&mut self, element: &Element<'_>) {
        if !self.archives || element.attr("type") != Some("chat") {
            return;
        }
        let accounts = ["from", "to"].map(|name| element.attr(name).map(|jid| bare(jid).to_owned()));
        let [from, to] = accounts;
        let to = to.filter(|to| from.as_ref() != Some(to));
        let mut inside = element.clone();
        inside.set("xmlns", "jabber:client");
        let (now, stanza) = (self.now, inside.write(""));
        for account in from.into_iter().chain(to) {
            if let Some(account) = self.accounts.get_mut(&account) {
                account.archive.push_back((now, stanza.clone()));
                let surplus = account.archive.len().saturating_sub(KEPT);
                account.archive.drain(..surplus);
            }
        }
    }

    /// Sends a client the last messages of its account's archive: the oldest first, or as one who pages backwards gets
    /// them, by tens.
    pub fn catch_up(&mut self, full: &str, last: usize, backwards: bool) {
        let account = bare(full);
        let archive = &self.account(account).archive;
        let first = archive.len().saturating_sub(last);
        let mut results: Vec<(usize, (u64, String))> =
            archive.iter().cloned().enumerate().skip(first).collect();
        if backwards {
            results = results.rchunks(10).flatten().cloned().collect();
        }
        for (number, (at, stanza)) in results {
            let result = format!(
                "<message from='{}' to='{}'><result xmlns='urn:xmpp:mam:2' queryid='q' id='{number}'>\
                 <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{}'/>{stanza}\
                 </forwarded></result></message>",
                escaped(account),
                escaped(full),
                date_time(at),
            );
            self.deliver(full, result);
        }
    }
}
