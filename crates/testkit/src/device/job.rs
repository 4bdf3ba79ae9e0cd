//! Inputs that borrow nothing, and the moments between them.

use xmpp_e2e::{AgentReply, Command, Effect, InboxId, Input, Need, OutboxId, Subscription, Token};

/// A point of the loop at which a program may crash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// The store is about to apply a batch.
    BeforeStore,
    /// The store has applied it, and the engine does not know yet.
    AfterStore,
    /// The effect of this name is about to be carried out.
    Before(&'static str),
    /// It has been carried out.
    After(&'static str),
}

/// What a [`Fault`] does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fate {
    /// Nothing.
    #[default]
    GoOn,
    /// The program crashes.
    Crash,
    /// The store refuses the batch, and the input is handed in again. Only
    /// [`BeforeStore`](Moment::BeforeStore).
    Refuse,
}

/// Decides what happens at a moment; it gets the moment's number, from zero.
pub type Fault = Box<dyn FnMut(u64, Moment) -> Fate>;

/// An input that borrows nothing.
#[derive(Clone, Debug)]
pub enum Job {
    /// [`Input::Acknowledged`].
    Acknowledged(OutboxId),
    /// [`Input::Agent`].
    Agent(AgentReply),
    /// [`Input::Command`].
    Command(Command<'static>),
    /// [`Input::Connected`]; whether resumed.
    Connected(bool),
    /// [`Input::Disconnected`].
    Disconnected,
    /// [`Input::Outgoing`].
    Outgoing(String, Token, Need),
    /// [`Input::Received`].
    Received(String),
    /// [`Input::Roster`].
    Roster(String, Subscription),
    /// [`Input::Taken`].
    Taken(InboxId),
    /// [`Input::Tick`].
    Tick,
}

impl Job {
    pub(super) fn input<'a>(&'a self, full_jid: &'a str) -> Input<'a> {
        match self {
            Self::Acknowledged(id) => Input::Acknowledged(*id),
            Self::Agent(reply) => Input::Agent(reply),
            Self::Command(command) => Input::Command(command.clone()),
            Self::Connected(resumed) => Input::Connected { full_jid, resumed: *resumed },
            Self::Disconnected => Input::Disconnected,
            Self::Outgoing(stanza, token, need) => {
                Input::Outgoing { stanza, token: *token, need: need.clone() }
            }
            Self::Received(stanza) => Input::Received(stanza),
            Self::Roster(jid, subscription) => Input::Roster { jid, subscription: *subscription },
            Self::Taken(id) => Input::Taken(*id),
            Self::Tick => Input::Tick,
        }
    }
}

pub(super) fn moment(fault: &mut Option<Fault>, moments: &mut u64, now: Moment) -> Fate {
    let number = *moments;
    *moments += 1;
    fault.as_mut().map_or(Fate::GoOn, |fault| fault(number, now))
}

pub(super) fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Ask(_) => "Ask",
        Effect::Deliver { .. } => "Deliver",
        Effect::Failed { .. } => "Failed",
        Effect::Notify(_) => "Notify",
        Effect::Pass => "Pass",
        Effect::PassSigned { .. } => "PassSigned",
        Effect::Send { .. } => "Send",
        Effect::Sent { .. } => "Sent",
        Effect::Waiting { .. } => "Waiting",
        _ => "?",
    }
}
