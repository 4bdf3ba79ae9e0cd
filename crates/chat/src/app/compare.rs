//! Keys are compared: with contacts by a short string or a question, and when a device is linked.

use xmpp_e2e_client::Error;
use xmpp_e2e_client::xmpp_e2e::{Command as Engine, RunId, SharedSecret, ShortString};
use xmpp_e2e_sqlite::Error as StoreError;

use super::{App, stop};
use crate::line::Line;
use crate::{Stop, words};

/// A comparison under way. The engine has all that matters of it, and tells it anew after a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Comparison {
    run: Run,
    stage: Stage,
}

/// The engine's name of a comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Run {
    Contact(RunId),
    Linking(RunId),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The other side asks for it.
    Asked,
    /// The other side has been asked, or works on it.
    Begun,
    /// The other side asks a question.
    Question,
    /// The string is on the screen.
    Shown,
}

impl App {
    /// `/verify`: begins a comparison, or agrees to one.
    pub(super) fn verify(&mut self, jid: Option<String>) -> Result<(), Stop> {
        let Some(jid) = jid.or_else(|| self.current.clone()) else { return self.no_conversation() };
        if jid == self.client.account() {
            return self.error("/verify is for contacts; your own devices are let in with /link");
        }
        match self.comparisons.get(&jid) {
            Some(Comparison { run: Run::Contact(run), stage: Stage::Asked }) => {
                let command = Engine::AcceptVerification { jid: &jid, run: *run };
                if self.does(command)? { self.ok(&format!("comparing with {jid}")) } else { Ok(()) }
            }
            Some(Comparison { stage: Stage::Question, .. }) => {
                self.error(&format!("{jid} asks a question; /answer TEXT answers it, /cancel does not"))
            }
            Some(Comparison { stage: Stage::Shown, .. }) => {
                self.error("the digits are on the screen already: /match or /differ")
            }
            Some(_) => self.error(&format!("{jid} has been asked already; /cancel ends that")),
            None => {
                let begun = self.does(Engine::StartVerification { jid: &jid, device: None })?;
                if begun { self.ok(&format!("asking {jid} to compare")) } else { Ok(()) }
            }
        }
    }

    /// `/ask`: keeps the question until its answer is typed.
    pub(super) fn ask_question(&mut self, question: &str) -> Result<(), Stop> {
        let Some(jid) = self.current.clone() else { return self.no_conversation() };
        self.questions.insert(jid, question.to_owned());
        self.ok("now type the answer that you expect: /answer TEXT. It is not sent")
    }

    /// `/answer`: to one's own question, which is asked now, or to the contact's.
    pub(super) fn answer(&mut self, typed: &str) -> Result<(), Stop> {
        let Some(jid) = self.current.clone() else { return self.no_conversation() };
        let secret = SharedSecret::new(typed);
        if let Some(question) = self.questions.remove(&jid) {
            let command = Engine::StartSecret { jid: &jid, device: None, question: &question, secret };
            return if self.does(command)? { self.ok(&format!("asking {jid}")) } else { Ok(()) };
        }
        match self.comparisons.get(&jid) {
            Some(Comparison { run: Run::Contact(run), stage: Stage::Question }) => {
                let command = Engine::AnswerSecret { jid: &jid, run: *run, secret };
                if self.does(command)? { self.ok("answered; it is being compared") } else { Ok(()) }
            }
            _ => self.error("there is no question; /ask QUESTION asks one"),
        }
    }

    /// `/match` and `/differ`.
    pub(super) fn compared(&mut self, jid: Option<&str>, same: bool) -> Result<(), Stop> {
        let mut shown = self.comparisons.iter().filter(|(_, comparison)| comparison.stage == Stage::Shown);
        let found = match jid {
            Some(jid) => shown.find(|(found, _)| *found == jid),
            None => match (shown.next(), shown.next()) {
                (found, None) => found,
                // Which of them the user has looked at nobody can guess.
                (_, Some(_)) => return self.error("more than one is being compared: say with whom"),
            },
        };
        let Some((jid, comparison)) = found.map(|(jid, comparison)| (jid.clone(), *comparison)) else {
            return self.error("nothing is being compared");
        };
        let done = match comparison.run {
            Run::Contact(run) => self.does(Engine::ConfirmVerification { jid: &jid, run, same })?,
            Run::Linking(run) => self.does(Engine::ConfirmLinking { run, same })?,
        };
        if !done {
            return Ok(());
        }
        if let Some(comparison) = self.comparisons.get_mut(&jid) {
            comparison.stage = Stage::Begun;
        }
        self.ok(if same {
            "the same here; it counts when the other side says so too"
        } else {
            "not the same"
        })
    }

    /// `/cancel`.
    pub(super) fn cancel(&mut self, jid: Option<String>) -> Result<(), Stop> {
        let only = |app: &Self| match (app.comparisons.len(), app.comparisons.keys().next()) {
            (1, Some(jid)) => Some(jid.clone()),
            _ => app.current.clone(),
        };
        let Some(jid) = jid.or_else(|| only(self)) else { return self.no_conversation() };
        let question = self.questions.remove(&jid).is_some();
        let Some(Comparison { run, .. }) = self.comparisons.remove(&jid) else {
            let nothing = "there is nothing to cancel";
            return if question { self.ok("cancelled") } else { self.error(nothing) };
        };
        let done = match run {
            Run::Contact(run) => self.does(Engine::CancelVerification { jid: &jid, run })?,
            Run::Linking(run) => self.does(Engine::CancelLinking { run })?,
        };
        if done { self.ok("cancelled") } else { Ok(()) }
    }

    /// `/link`, on a device that has the account's key: a new one is let in.
    pub(super) fn accept_linking(&mut self) -> Result<bool, Stop> {
        let own = self.client.account();
        match self.comparisons.get(own) {
            Some(Comparison { run: Run::Linking(run), stage: Stage::Asked }) => {
                let run = *run;
                self.does(Engine::AcceptLinking { run })
            }
            _ => Ok(false),
        }
    }

    pub(super) fn verification_asked(&mut self, jid: &str, run: RunId, question: bool) {
        let stage = if question { Stage::Question } else { Stage::Asked };
        self.comparisons.insert(jid.to_owned(), Comparison { run: Run::Contact(run), stage });
    }

    pub(super) fn verification_started(&mut self, jid: &str, run: RunId) {
        self.comparisons.insert(jid.to_owned(), Comparison { run: Run::Contact(run), stage: Stage::Begun });
    }

    pub(super) fn verification_shown(
        &mut self,
        jid: &str,
        run: RunId,
        string: ShortString,
    ) -> Result<(), Stop> {
        self.show_digits(jid, Run::Contact(run), string)
    }

    /// The comparison of this name is over; a newer one with the same contact is not.
    pub(super) fn verification_ended(&mut self, jid: &str, run: RunId) {
        self.end_comparison(jid, Run::Contact(run));
    }

    pub(super) fn linking_asked(&mut self, run: RunId) {
        let own = self.client.account().to_owned();
        self.comparisons.insert(own, Comparison { run: Run::Linking(run), stage: Stage::Asked });
    }

    pub(super) fn linking_shown(&mut self, run: RunId, string: ShortString) -> Result<(), Stop> {
        let own = self.client.account().to_owned();
        self.show_digits(&own, Run::Linking(run), string)
    }

    pub(super) fn linking_ended(&mut self, run: Option<RunId>) {
        let own = self.client.account().to_owned();
        match run {
            Some(run) => self.end_comparison(&own, Run::Linking(run)),
            None => _ = self.comparisons.remove(&own),
        }
    }

    fn show_digits(&mut self, jid: &str, run: Run, string: ShortString) -> Result<(), Stop> {
        self.comparisons.insert(jid.to_owned(), Comparison { run, stage: Stage::Shown });
        self.print(&Line::Compare { jid: jid.to_owned(), digits: string.digits(), words: string.words() })
    }

    fn end_comparison(&mut self, jid: &str, run: Run) {
        if self.comparisons.get(jid).is_some_and(|comparison| comparison.run == run) {
            self.comparisons.remove(jid);
        }
    }

    /// Gives the engine a command of the user. Says whether it has taken it; if not, the user has been told why.
    pub(super) fn does(&mut self, command: Engine<'_>) -> Result<bool, Stop> {
        let result: Result<(), Error<StoreError>> = self.client.command(command);
        match result {
            Ok(()) => Ok(true),
            Err(Error::Misuse(misuse)) => self.error(words::misuse(misuse)).map(|()| false),
            Err(error) => Err(stop(error)),
        }
    }
}
