//! What a client is told, and what can go wrong.

use core::fmt;

use minidom::Element;
use xmpp_e2e::{Context, Coverage, InboxId, Malformed, Misuse, Protection, SendError, Token, Waiting};

use crate::connect::ConnectError;
use crate::roster::Item;

/// Something that happened. It counts as dealt with when [`Client::next`](crate::Client::next) is called again:
/// only then is the stanza it came with acknowledged to the server, so what is stored before is never lost.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The stream is ready.
    Online {
        /// The full JID that the server gave.
        full_jid: String,
        /// Whether the session goes on where it stopped (XEP-0198). If not, contacts have seen it leave.
        resumed: bool,
    },
    /// There is no stream. A new one is tried by itself.
    Offline(Offline),
    /// What the archive had of the time away has been handed over, and presence is sent.
    CaughtUp {
        /// How many messages.
        messages: usize,
    },
    /// A stanza that is not under end-to-end protection. An iq of type `get` or `set` wants an answer, at least
    /// [`Client::refuse`](crate::Client::refuse).
    Stanza(Element),
    /// A stanza that was protected, as if it had come in the wrapper's place. To be stored, then
    /// [taken](crate::Client::taken).
    Delivered {
        /// Its name until it is taken.
        id: InboxId,
        /// The stanza.
        stanza: Element,
        /// How it was protected.
        protection: Protection,
        /// What is known of it besides.
        context: Context,
        /// Whether it may have been delivered before: then it has the same `id`.
        again: bool,
    },
    /// A stanza is protected, stored, and goes out; it survives crashes from here on.
    Sent {
        /// The stanza's token.
        token: Token,
        /// Who can read it.
        coverage: Coverage,
    },
    /// A stanza waits.
    Waiting {
        /// The stanza's token.
        token: Token,
        /// For what.
        why: Waiting,
    },
    /// A stanza was not sent, or came back.
    Failed {
        /// The stanza's token.
        token: Token,
        /// Why.
        why: SendError,
    },
    /// A stanza goes out in clear on this stream, as the policy allows: nobody could have read it otherwise. It may be
    /// told again, if the stream was lost and the stanza goes out anew.
    Clear {
        /// The stanza's token.
        token: Token,
    },
    /// The other side's server, or the own, has a stanza.
    Acknowledged {
        /// The stanza's token.
        token: Token,
    },
    /// Something about keys and people that the user should know.
    Security(xmpp_e2e::Event),
    /// A roster entry is new or changed.
    Roster(Item),
    /// A roster entry is gone.
    RosterRemoved {
        /// The contact's JID.
        jid: String,
    },
    /// The answer to a [request](crate::Client::request), or none came.
    Answer {
        /// The request's id.
        id: String,
        /// The iq of type `result` or `error`.
        answer: Option<Element>,
        /// How it was protected. An error without protection is a server's word, or anybody's on the way.
        protection: Option<Protection>,
    },
    /// An iq that was protected, and answers no [request](crate::Client::request). One of type `get` or `set` wants an
    /// answer, handed to [`Client::send`](crate::Client::send) or at least [`Client::refuse`](crate::Client::refuse): it
    /// goes back encrypted, or to a signed one in clear.
    Iq {
        /// The iq.
        stanza: Element,
        /// How it was protected.
        protection: Protection,
    },
    /// The key agent is asked, where it is outside: the answer comes back with
    /// [`Client::answered`](crate::Client::answered).
    Ask(xmpp_e2e::AgentRequest),
    /// The server, or somebody through it, did what it must not. The stream goes on.
    Fault(Fault),
}

/// Why there is no stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offline {
    /// No connection was made.
    Connect(ConnectError),
    /// The stream broke or was closed; `None` if the server closed it without a word.
    Lost(Option<String>),
}

/// What the server, or somebody through it, did wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// An acknowledgement for more stanzas than were sent.
    AcknowledgedAhead,
    /// An acknowledgement that nobody asked for and that says nothing new, or takes back what was said.
    AcknowledgedAgain,
    /// An answer to a request, from somebody else than was asked.
    AnswerFromElsewhere,
    /// The archive does not know the last message seen: some may be missing.
    HistoryGap,
    /// A stanza that XMPP does not allow, or too large or too deep to be read.
    Refused(Option<Malformed>),
    /// Bytes that are no XML. The stream was opened anew behind them.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AcknowledgedAhead => "the server acknowledged more than was sent",
            Self::AcknowledgedAgain => "the server acknowledged the same again",
            Self::AnswerFromElsewhere => "an answer came from somebody who was not asked",
            Self::HistoryGap => "the archive has forgotten where it was left: messages may be missing",
            Self::Refused(_) => "the server sent a stanza that cannot be read",
            Self::Unreadable => "the server sent what is no XML; connecting again",
        })
    }
}

/// Why a client stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: core::error::Error> {
    /// Another client has taken the resource; going on would take it back, and so on.
    #[error("another client has logged in with this resource")]
    Replaced,
    /// The server refused the user's name or password.
    #[error("the server refused the login")]
    Credentials,
    /// The storage failed or was written by another process. Only opening the client anew helps.
    #[error("storage: {0}")]
    Storage(E),
    /// A mistake of the calling program.
    #[error("{0}")]
    Misuse(Misuse),
    /// What was stored does not decode.
    #[error("what is stored of {0} does not decode")]
    Stored(&'static str),
    /// The client has been closed.
    #[error("closed")]
    Closed,
}
