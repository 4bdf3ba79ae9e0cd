//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use xmpp_e2e_client::xmpp_e2e::TrustPolicy;

/// How long the program waits at its end, in seconds.
const WAIT: u64 = 10;

/// The command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "xmpp-e2e-chat",
    version,
    about = "A chat in the terminal, over XMPP, encrypted from end to end."
)]
#[command(after_long_help = MANUAL, max_term_width = 100)]
#[expect(clippy::exhaustive_structs, reason = "made by its parser")]
#[expect(clippy::struct_excessive_bools, reason = "switches")]
#[expect(clippy::doc_markdown, reason = "the help is no Markdown")]
pub struct Args {
    /// The account, such as romeo@example.net
    #[arg(value_name = "JID", value_parser = account)]
    pub account: String,
    /// Read the password from the first line of FILE; else from XMPP_PASSWORD; else it is asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The server, if it is not the one that the domain's SRV records name
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<String>,
    /// How the connection is encrypted; none is for tests on the own machine
    #[arg(long, value_enum, default_value_t = Tls::Starttls)]
    pub tls: Tls,
    /// Where keys and history are kept, if not in the user's data folder
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// The store is sealed with the key in FILE: 32 bytes as hex or base64
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The resource, if not one made and kept by the program
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub resource: String,
    /// The first conversation
    #[arg(long = "with", value_name = "JID", value_parser = account)]
    pub with: Option<String>,
    /// This is a new device: let another device of the account take it in, instead of making a new key
    #[arg(long)]
    pub link: bool,
    /// The store was put back from a backup: go on as one that has missed what came since
    #[arg(long)]
    pub restored: bool,
    /// To which keys messages go: first-use, until-verified (first-use until one was compared), verified, ask
    #[arg(long, value_name = "POLICY", value_parser = policy, default_value = "first-use")]
    pub policy: TrustPolicy,
    /// Sign the own presence: contacts see that it is not the server's; whoever has it can prove it
    #[arg(long)]
    pub sign_presence: bool,
    /// Keep nothing of what was sent for contacts who could not read it and ask again
    #[arg(long)]
    pub forget_sent: bool,
    /// Accept all requests for subscription
    #[arg(long)]
    pub accept: bool,
    /// Colours; always also means lines for people, although the output is no terminal
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Print what is kept of a conversation, without connecting, and end
    #[arg(long, value_name = "JID", value_parser = account)]
    pub history: Option<String>,
    /// With --history: only the last N messages
    #[arg(long, value_name = "N", requires = "history")]
    pub last: Option<usize>,
    /// At the end, wait so long for the server to acknowledge what was sent
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT)]
    pub wait: u64,
    /// Also tell what nobody needs to act on
    #[arg(long)]
    pub verbose: bool,
}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[non_exhaustive]
pub enum Tls {
    /// After the first bytes, without which nothing is sent.
    Starttls,
    /// From the first byte.
    Direct,
    /// Not at all.
    None,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[non_exhaustive]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn account(text: &str) -> Result<String, &'static str> {
    crate::command::bare(text).filter(|jid| jid.contains('@')).ok_or("no address such as romeo@example.net")
}

fn policy(word: &str) -> Result<TrustPolicy, String> {
    let policy = crate::command::policy(word)?.and_then(crate::command::Policy::to_engine);
    policy.ok_or_else(|| "one of first-use, until-verified, verified and ask".to_owned())
}

macro_rules! commands {
    () => {
        "\
Lines that are read:
  TEXT              a message to the current conversation; // begins one with a slash
  /to JID           change the conversation
  /send JID TEXT    a message to somebody, without changing the conversation
  /history [N]      the last messages of the conversation
  /encrypt on|off   on: nothing goes to this contact in clear. off: as usual, that is encrypted to
                    who encrypts; after such a contact has written in clear: answer in clear
  /who [JID]        a contact's devices and the fingerprint of its key; without JID the own
  /accept-key JID   messages go to the contact's new key; if you have compared it, say then /trust
                    JID verified. Where there is no new key, the one before is taken back
  /reject-key JID   the new key is not the contact's
  /fingerprint [JID]    what to compare by telephone or in person; without JID the own
  /scanned TEXT     what a camera has read from the other's screen
  /verify [JID]     compare a few digits with somebody, or agree to it
  /match, /differ [JID]    they are the same, or not
  /ask QUESTION     instead: ask the contact what only you two know, then /answer it too
  /answer TEXT      the answer, of which nobody learns more than whether both are the same
  /cancel [JID]     end a comparison
  /trust JID [verified|first-use|distrusted]    what you think of a contact's key, and thought so far
  /policy JID [first-use|until-verified|verified|ask|default]    to which keys messages go
  /devices          your devices
  /link             let a new device in, or on the new device ask again; then /match or /differ
  /name TEXT        how your other devices show this one
  /retire DEVICE    shut out one of your devices, such as one that is lost; only where the account's
                    key is
  /history-send DEVICE FILE    write your history into a file that this device can read
  /history-open FILE    read such a file; then delete it
  /begin-anew really    the old key of your account is lost: make another
  /leave really     give up encryption, on all your devices, and forget all keys
  /roster           the contacts
  /add JID          ask to see a contact's presence
  /accept JID       let a contact see yours, and ask for the same
  /away, /back      what contacts see
  /inactive, /active    whether somebody looks at the screen: the server holds back what can wait
  /sync             prints synced when nothing is on its way
  /quit             end, when what was sent is acknowledged, or after --wait; so does the end of
                    the input, after what came in the meantime has been read"
    };
}

/// The list of commands.
pub const COMMANDS: &str = commands!();

/// What stands below the options.
const MANUAL: &str = concat!(
    commands!(),
    "

Marks on a terminal:
  [encrypted] [clear]   how a message is, or in the prompt would be, protected
  [verified]            encrypted, by a key that was compared; [distrusted]: by one not to be used
  [readable]            the sender is certain, but it could be read on the way
  [later]           it will be encrypted, and waits for keys
  [refused]         it would not go out
  ...  ->  ok  !!   on its way, sent, the server has it, failed

Output that is no terminal has one event in each line, its fields separated by TAB. In fields, \\n
is a new line, \\t a TAB, \\\\ a backslash. N is a number that is unique in the store.
  online FULL-JID resumed|new
  offline WHY
  caught-up COUNT
  in JID encrypted|authenticated|clear N TEXT
  copy JID encrypted|authenticated|clear N TEXT      what another program of the account sent to JID
  queued N JID TEXT encrypted|later|clear|refused    kept; what will become of it, as it looks now
  waiting N agent|connection|keys|publication SENTENCE
  sent N encrypted DEVICES OWN MISSING WITHOUT    counts: the contact's devices and own others that
                    can read it; devices that cannot; programs of the contact that see nothing
  sent N clear
  acknowledged N    the server has it
  failed N WORD SENTENCE
  compare JID DIGITS WORDS    to be compared: /match or /differ; with the own JID, a device is let in
  warning KIND JID SENTENCE            - if no JID
  info KIND JID SENTENCE               what need not worry
  note KIND JID SENTENCE               with --verbose
  fault SENTENCE    the server did what it must not; what it says twice only with --verbose
  presence FULL-JID available|unavailable
  roster JID none|to|from|both|removed
  request JID       asks to see the user's presence
  who JID STATE KEY CHANGED-KEY DEVICES      STATE unknown|clear|encrypts|left; - if none; keys as
                    the digits of fingerprints
  fingerprint JID known|changed DIGITS WORDS CODE
  trust JID now|past verified|first-use|distrusted|unknown HOW TIME DIGITS
  device NUMBER this|other live|retired NAME EXPIRES SEEN      - if not known
  history N TIME in|copy|out JID encrypted|authenticated|clear|- STATE TEXT    STATE of one that goes out:
                    queued|waiting|sent|written|acknowledged|failed, else -.
                    Late encrypted ones stand where their device has sent them
  synced
  ok SENTENCE, error SENTENCE          the answer to a command

A message is kept before it is shown or sent. After the program was killed, what was on its way
goes on at the next start with the same N; its queued line is not printed again. What was kept and
not printed when the program was killed is in the history.

Exit codes: 0 ended by the user, 1 error, 2 wrong usage, 3 the server refused the login, 4 another
client took the resource."
);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(arguments: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(format!("xmpp-e2e-chat {arguments}").split_whitespace())
    }

    #[test]
    fn the_options() {
        Args::command().debug_assert();
        let args = read("Romeo@Example.net --tls none --server [::1]:5222 --with j@x --color never").unwrap();
        assert_eq!((&*args.account, args.tls, args.color), ("romeo@example.net", Tls::None, Color::Never));
        assert_eq!((args.with.as_deref(), args.wait), (Some("j@x"), WAIT));
        assert_eq!(read("r@x --history j@x --last 3").unwrap().last, Some(3));
    }

    #[test]
    fn wrong_usage() {
        for arguments in ["", "example.net", "r@x --last 3", "r@x --tls some", "r@x --history", "r@x s@x"] {
            assert_eq!(read(arguments).unwrap_err().exit_code(), 2, "{arguments}");
        }
    }

    #[test]
    fn the_manual_has_the_commands() {
        assert!(MANUAL.starts_with(COMMANDS));
    }
}
