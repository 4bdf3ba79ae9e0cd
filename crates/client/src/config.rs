//! What a client is made with.

use std::time::Duration;

use tokio_xmpp::xmlstream::Timeouts;
use xmpp_e2e::{AgentIdentity, Hints, Padding, ResendMemory, TrustPolicy};

use crate::connect::Server;

/// What a client is made with. The fields with a default can be changed before.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The account's bare JID.
    pub account: String,
    /// The account's password at its server.
    pub password: String,
    /// The resource to bind: the same at each login, so that the server ends the session before when the program
    /// was killed. Made and kept by the client if empty.
    pub resource: String,
    /// How the server is reached.
    pub server: Server,
    /// Where the private keys are.
    pub agent: Agent,
    /// To which keys messages go, of contacts without a policy of their own.
    pub trust: TrustPolicy,
    /// What is kept of sent messages for devices of contacts that could not read them.
    pub resend_memory: ResendMemory,
    /// Whether the storage was put back from a backup: said to the engine before all else, each time the client is
    /// opened so.
    pub restored: bool,
    /// Whether each broadcast presence is signed.
    pub sign_presence: bool,
    /// How lengths are hidden.
    pub padding: Padding,
    /// What servers are told about protected messages.
    pub hints: Hints,
    /// When a silent stream is asked, and when it is given up.
    pub timeouts: Timeouts,
    /// The first pause before connecting again; each further one is twice as long, up to
    /// [`Config::MAX_PAUSE`].
    pub pause: Duration,
    /// At most so many messages are read from the archive after an absence.
    pub history: usize,
}

/// Where the private keys of account and device are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Agent {
    /// In the client's storage; those of a new device are made there, a new account key among them.
    #[default]
    Stored,
    /// The same, but for the account key: another device of the account [links](xmpp_e2e::Command::Link) a new one.
    Linked,
    /// Outside: requests come as [`Event::Ask`](crate::Event::Ask).
    Outside(Box<AgentIdentity>),
}

impl Config {
    /// The longest pause before connecting again: a server that was away for an hour is not waited for longer.
    pub const MAX_PAUSE: Duration = Duration::from_mins(1);

    /// The defaults for this account: STARTTLS to the server that the domain's SRV records name.
    #[must_use]
    pub fn new(account: &str, password: &str) -> Self {
        Self {
            account: account.to_owned(),
            password: password.to_owned(),
            resource: String::new(),
            server: Server::of(crate::xml::domain(account)),
            agent: Agent::Stored,
            trust: TrustPolicy::default(),
            resend_memory: ResendMemory::default(),
            restored: false,
            sign_presence: false,
            padding: Padding::default(),
            hints: Hints::default(),
            timeouts: Timeouts::default(),
            pause: Duration::from_secs(1),
            history: 5_000,
        }
    }
}

impl core::fmt::Debug for Config {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Not the password.
        f.debug_struct("Config").field("server", &self.server).finish_non_exhaustive()
    }
}
