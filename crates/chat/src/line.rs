//! What is printed: an event with its fields, for programs.

use xmpp_e2e_client::xmpp_e2e::{Coverage, Fingerprint, Outlook, OwnDevice, Timestamp};

use crate::history::{Entry, State};
use crate::text;
use crate::words::{self, Level, Said};

/// What is printed.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the words of the manual in `args`")]
pub enum Line {
    Acknowledged {
        n: i64,
    },
    CaughtUp {
        messages: usize,
    },
    Compare {
        jid: String,
        digits: String,
        words: String,
    },
    Copy {
        n: i64,
        entry: Entry,
    },
    Device(OwnDevice),
    Error(String),
    Failed {
        n: i64,
        word: String,
        sentence: String,
    },
    Fault(String),
    Fingerprint {
        fingerprint: Fingerprint,
        own: bool,
        changed: bool,
    },
    History {
        n: i64,
        entry: Entry,
    },
    In {
        n: i64,
        entry: Entry,
    },
    Offline(String),
    Ok(String),
    Online {
        full_jid: String,
        resumed: bool,
    },
    Presence {
        full_jid: String,
        available: bool,
    },
    Queued {
        n: i64,
        entry: Entry,
        outlook: Option<Outlook>,
    },
    Request {
        jid: String,
    },
    Roster {
        jid: String,
        subscription: &'static str,
        name: Option<String>,
    },
    Said(Said),
    /// Without coverage in clear.
    Sent {
        n: i64,
        coverage: Option<Coverage>,
    },
    Synced,
    Trust {
        jid: String,
        trust: &'static str,
        means: &'static str,
        time: u64,
        key: String,
        past: bool,
    },
    Waiting {
        n: i64,
        word: &'static str,
        sentence: &'static str,
    },
    Who {
        jid: String,
        state: &'static str,
        key: Option<Fingerprint>,
        changed: Option<Fingerprint>,
        devices: Vec<u32>,
    },
}

impl Line {
    /// Its fields, as they are.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let some = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let message = |kind: &str, n: i64, entry: &Entry| {
            let protection = some(entry.protection.map(crate::history::Protection::word));
            vec![kind.to_owned(), entry.jid.clone(), protection, n.to_string(), entry.text.clone()]
        };
        let own = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
        match self {
            Self::Acknowledged { n } => own(&["acknowledged", &n.to_string()]),
            Self::CaughtUp { messages } => own(&["caught-up", &messages.to_string()]),
            Self::Compare { jid, digits, words } => own(&["compare", jid, digits, words]),
            Self::Copy { n, entry } => message("copy", *n, entry),
            Self::Device(device) => {
                let OwnDevice { device, name, this, live, expires, last_seen, .. } = device;
                let time = |time: &Option<Timestamp>| {
                    some(time.map(|time| text::stamp(time.as_millis())).as_deref())
                };
                own(&[
                    "device",
                    &device.to_string(),
                    if *this { "this" } else { "other" },
                    if *live { "live" } else { "retired" },
                    name.as_deref().unwrap_or("-"),
                    &time(expires),
                    &time(last_seen),
                ])
            }
            Self::Error(sentence) => own(&["error", sentence]),
            Self::Failed { n, word, sentence } => own(&["failed", &n.to_string(), word, sentence]),
            Self::Fault(sentence) => own(&["fault", sentence]),
            Self::Fingerprint { fingerprint, changed, .. } => own(&[
                "fingerprint",
                fingerprint.jid().as_str(),
                if *changed { "changed" } else { "known" },
                &fingerprint.digits(),
                &fingerprint.words(),
                &fingerprint.uri(),
            ]),
            Self::History { n, entry } => own(&[
                "history",
                &n.to_string(),
                &text::stamp(entry.time),
                entry.direction.word(),
                &entry.jid,
                entry.protection.map_or("-", crate::history::Protection::word),
                entry.state.as_ref().map_or("-", State::word),
                &entry.text,
            ]),
            Self::In { n, entry } => message("in", *n, entry),
            Self::Offline(why) => own(&["offline", why]),
            Self::Ok(sentence) => own(&["ok", sentence]),
            Self::Online { full_jid, resumed } => {
                own(&["online", full_jid, if *resumed { "resumed" } else { "new" }])
            }
            Self::Presence { full_jid, available } => {
                own(&["presence", full_jid, if *available { "available" } else { "unavailable" }])
            }
            Self::Queued { n, entry, outlook } => {
                let outlook = some(outlook.map(|outlook| words::outlook(outlook).0));
                own(&["queued", &n.to_string(), &entry.jid, &entry.text, &outlook])
            }
            Self::Request { jid } => own(&["request", jid]),
            Self::Roster { jid, subscription, name: _ } => own(&["roster", jid, subscription]),
            Self::Said(Said { level, kind, jid, sentence }) => {
                own(&[level_word(*level), kind, &some(jid.as_deref()), sentence])
            }
            Self::Sent { n, coverage: None } => own(&["sent", &n.to_string(), "clear"]),
            Self::Sent { n, coverage: Some(coverage) } => {
                let Coverage { devices, own_devices, missing, resources_without, .. } = coverage;
                let counts = [devices.len(), own_devices.len(), missing.len(), *resources_without];
                let mut fields: Vec<String> = own(&["sent", &n.to_string(), "encrypted"]);
                fields.extend(counts.map(|count| count.to_string()));
                fields
            }
            Self::Synced => own(&["synced"]),
            Self::Trust { jid, trust, means, time, key, past } => {
                let when = if *past { "past" } else { "now" };
                own(&["trust", jid, when, trust, means, &text::stamp(*time), key])
            }
            Self::Waiting { n, word, sentence } => own(&["waiting", &n.to_string(), word, sentence]),
            Self::Who { jid, state, key, changed, devices } => {
                let print =
                    |key: &Option<Fingerprint>| some(key.as_ref().map(Fingerprint::digits).as_deref());
                let devices: Vec<String> = devices.iter().map(u32::to_string).collect();
                let devices = some(Some(&*devices.join(",")).filter(|devices| !devices.is_empty()));
                own(&["who", jid, state, &print(key), &print(changed), &devices])
            }
        }
    }

    /// As it is printed for programs, without the end of the line.
    #[must_use]
    pub fn piped(&self) -> String {
        let fields: Vec<String> = self.fields().iter().map(|field| text::field(field)).collect();
        fields.join("\t")
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Note => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Protection;

    #[test]
    fn one_line_for_each_event() {
        let mut entry = Entry::incoming("juliet@example.com", "a\tb\nc\x1b", 0);
        entry.protection = Some(Protection::Encrypted);
        let line = Line::In { n: 7, entry: entry.clone() };
        assert_eq!(line.piped(), "in\tjuliet@example.com\tencrypted\t7\ta\\tb\\nc\u{fffd}");
        let line = Line::History { n: 7, entry: entry.clone() };
        assert_eq!(
            line.piped(),
            "history\t7\t1970-01-01T00:00:00.000Z\tin\tjuliet@example.com\tencrypted\t-\ta\\tb\\nc\u{fffd}"
        );
        let line = Line::Queued { n: 8, entry, outlook: Some(Outlook::EncryptedLater) };
        assert_eq!(line.piped(), "queued\t8\tjuliet@example.com\ta\\tb\\nc\u{fffd}\tlater");
        let mut coverage = Coverage::default();
        coverage.devices = vec![5, 6];
        coverage.resources_without = 1;
        assert_eq!(Line::Sent { n: 8, coverage: Some(coverage) }.piped(), "sent\t8\tencrypted\t2\t0\t0\t1");
        assert_eq!(Line::Sent { n: 8, coverage: None }.piped(), "sent\t8\tclear");
        assert_eq!(Line::Synced.piped(), "synced");
        let who =
            Line::Who { jid: "a@x".to_owned(), state: "unknown", key: None, changed: None, devices: vec![] };
        assert_eq!(who.piped(), "who\ta@x\tunknown\t-\t-\t-");
    }
}
