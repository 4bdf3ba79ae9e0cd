//! Two people talk over servers in memory, and every stanza is shown. No network, the same run for
//! the same seed. `cargo run --release --example demo -- [--seed N]`
//!
//! Each chapter checks what it claims; the program ends with an error if one does not hold.

mod screen;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use screen::{Screen, Traffic};
use xmpp_e2e::suite::Level;
use xmpp_e2e::{Command, Event, Need, Protection, Reason};
use xmpp_e2e_testkit::World;
use xmpp_e2e_testkit::device::{End, Fate, Moment};

/// What the demonstration does with a claim that does not hold.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const ALICE: usize = World::ALICE;
const BOB: usize = World::BOB;
const ALICE_JID: &str = "alice@example.com";
const BOB_JID: &str = "bob@example.org";

/// What an offer or answer of the KEM ratchet makes of a stanza, and nothing else in a dialogue.
const KEM_STANZA: usize = 1_500;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let seed = match (args.next().as_deref(), args.next().map(|seed| seed.parse()), args.next()) {
        (None, None, None) => 1,
        (Some("--seed"), Some(Ok(seed)), None) => seed,
        _ => {
            eprintln!("usage: demo [--seed N]");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match run(&mut out, colour, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole demonstration.
///
/// # Errors
/// The first claim that does not hold, or that `out` cannot be written.
pub fn run(out: &mut dyn Write, colour: bool, seed: u64) -> Outcome {
    let mut screen = Screen::new(out, colour, seed);
    meet(&mut screen)?;
    first_message(&mut screen)?;
    conversation(&mut screen)?;
    lost_and_repeated(&mut screen)?;
    epoch(&mut screen)?;
    stripped(&mut screen)?;
    forged(&mut screen)?;
    crash(&mut screen)?;
    screen.table()
}

fn meet(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "Two people come online",
        "Each program makes keys, publishes the public ones at its server, and puts a signed advert into its \
         presence. Whoever sees the advert fetches the record it names, once.",
    )?;
    for jid in ["alice@example.com/phone", "bob@example.org/desk"] {
        screen.world.add(jid);
    }
    screen.world.server.befriend(ALICE_JID, BOB_JID);
    for device in [ALICE, BOB] {
        screen.world.connect(device);
        screen.go()?;
    }
    for device in [ALICE, BOB] {
        let known = screen.events(device, |event| matches!(event, Event::Encrypts { .. }))?;
        screen.claim(known == 1, "the other's advert was verified through its record, once")?;
    }
    let adverts = screen.adverts();
    let longest = adverts.iter().max().copied().unwrap_or_default();
    screen.claim(
        !adverts.is_empty() && longest <= 250,
        &format!("an advert takes {longest} bytes, at most 250"),
    )
}

fn first_message(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "The first message",
        "Alice asks Bob's device for one-time keys, and her message carries a whole handshake, ML-KEM included. \
         Bob's empty answer tells her device to stop repeating it.",
    )?;
    screen.talk(ALICE, "Hello Bob, is anybody listening?")?;
    let Some(Protection::Encrypted { level, one_time: true, .. }) = screen.last_letter(BOB)?.protection
    else {
        return screen.claim(false, "the message used one-time keys");
    };
    screen.claim(level >= Level::HYBRID, "it is safe from a quantum computer from its first byte on")?;
    let first = screen.count(Traffic::First);
    screen.claim(first.0 == 1 && first.1 <= 2_800, &format!("the one first message took {} bytes", first.1))
}

fn conversation(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "A conversation",
        "From now on a message costs little, and each has a key of its own that is gone once it is read.",
    )?;
    let before = screen.count(Traffic::Message);
    let texts = [
        (BOB, "Everybody is. Nobody can hear."),
        (ALICE, "Shall we meet?"),
        (BOB, "At the old mill, at eight."),
        (ALICE, "And if it rains?"),
        (ALICE, "I bring an umbrella :-)"),
        (BOB, "<xml> & \"quotes\" are welcome, too."),
    ];
    for (device, text) in texts {
        screen.talk(device, text)?;
    }
    let after = screen.count(Traffic::Message);
    let (messages, bytes) = (after.0 - before.0, after.1 - before.1);
    let each = bytes / messages.max(1);
    screen.claim(messages == texts.len() && each < 400, &format!("{messages} messages, {each} bytes each"))
}

fn lost_and_repeated(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "A message is lost, another comes twice",
        "The server keeps one message back, delivers the next one twice, and then finds the first again.",
    )?;
    let (before, duplicates) = (screen.letters(BOB)?, screen.duplicates(BOB)?);
    let held = screen.intercept(|to, stanza, number| match number {
        _ if !(to.starts_with(BOB_JID) && stanza.starts_with("<message")) => (vec![stanza], None),
        0 => (Vec::new(), Some(stanza)),
        _ => (vec![stanza.clone(), stanza], None),
    });
    screen.write(ALICE, BOB_JID, "This one is late.")?;
    screen.remark("the server keeps it back")?;
    screen.write(ALICE, BOB_JID, "This one is in time, twice.")?;
    screen.world.server.tamper = None;
    let late = held.borrow_mut().take().ok_or("the message never came by")?;
    screen.remark("the server finds what it had kept back")?;
    screen.world.server.inject("bob@example.org/desk", late);
    screen.go()?;
    let read = screen.bodies(BOB, before)?;
    screen.claim(
        read == ["This one is in time, twice.", "This one is late."],
        "Bob has read each of the two once, the late one too",
    )?;
    let duplicates = screen.duplicates(BOB)? - duplicates;
    screen.claim(duplicates == 1, "the repeated one was an event, not an error")
}

fn epoch(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "A new KEM epoch",
        "Alice's telephone lay on a table for a while. She asks for a new epoch: a fresh ML-KEM key goes one way, a \
         secret for it comes back, and whoever copied her keys is shut out, with a quantum computer or without.",
    )?;
    let (old, kem) = (screen.epoch, screen.count(Traffic::Kem));
    screen.remark("Alice asks for a new epoch")?;
    screen.world.command(ALICE, Command::Heal { jid: BOB_JID });
    screen.go()?;
    let words = ["Have you seen my telephone?", "It lay here.", "Alone?", "I did look away once."];
    for (device, text) in [ALICE, BOB].into_iter().cycle().zip(words.into_iter().cycle()).take(8) {
        if screen.epoch != old {
            break;
        }
        screen.talk(device, text)?;
    }
    screen.claim(screen.epoch == old + 1, &format!("the messages are in epoch {} now", old + 1))?;
    let sent = screen.count(Traffic::Kem).0 - kem.0;
    screen.claim(sent >= 2, &format!("{sent} stanzas carried the offer and the answer"))?;
    let size = screen.count(Traffic::Message);
    screen.talk(BOB, "Never mind, it has forgotten.")?;
    let size = screen.count(Traffic::Message).1 - size.1;
    screen.claim(size < 400, "and the next message is small again")
}

fn stripped(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "The server takes an advert away",
        "Bob's status changes, and the server cuts the advert out of it, so that Alice might believe he cannot \
         encrypt any more.",
    )?;
    screen.intercept(|to, stanza, _| {
        let advert = stanza.find("<e2e ").zip(stanza.find("</e2e>"));
        match advert.filter(|_| to.starts_with(ALICE_JID)) {
            Some((from, end)) => {
                let rest = stanza.get(end + "</e2e>".len()..).unwrap_or_default();
                (vec![format!("{}{rest}", stanza.get(..from).unwrap_or_default())], None)
            }
            None => (vec![stanza], None),
        }
    });
    screen.hand_in(BOB, "<presence><show>away</show></presence>")?;
    screen.world.server.tamper = None;
    let missing = screen.events(ALICE, |event| matches!(event, Event::AdvertMissing { .. }))?;
    screen.claim(missing == 1, "Alice's program has noticed")?;
    let token = screen.talk(ALICE, "Somebody cut something out of your status.")?;
    let sent = screen.device(ALICE)?.record.handed.get(&token).map(|handed| handed.ends.clone());
    screen.claim(
        matches!(sent.as_deref(), Some([End::Sent(coverage)]) if !coverage.clear),
        "and it encrypts all the same: only Bob's signed word can end that",
    )
}

fn forged(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "The server forges messages",
        "It changes one letter of a message from Bob, and then writes one itself, in clear and in Bob's name.",
    )?;
    let (letters, rejected) = (screen.letters(ALICE)?, screen.rejected(ALICE)?.len());
    let held = screen.intercept(|to, stanza, _| {
        if !(to.starts_with(ALICE_JID) && stanza.starts_with("<message")) {
            return (vec![stanza], None);
        }
        let forged = screen::edited(&stanza);
        (vec![forged], Some(stanza))
    });
    screen.write(BOB, ALICE_JID, "The password is swordfish.")?;
    screen.world.server.tamper = None;
    let refused = screen.rejected(ALICE)?.get(rejected..).unwrap_or_default().to_vec();
    screen.claim(refused == [Reason::Unauthentic], "exactly one event: refused, not authentic")?;
    screen.claim(screen.letters(ALICE)? == letters, "and Alice has seen nothing of it")?;
    let honest = held.borrow_mut().take().ok_or("the message never came by")?;
    screen.remark("the server delivers the message as Bob wrote it after all")?;
    screen.world.server.inject("alice@example.com/phone", honest);
    screen.go()?;
    screen.claim(
        screen.letters(ALICE)? == letters + 1,
        "the forgery has used up nothing: the true one is read",
    )?;
    let clear = "<message from='bob@example.org/desk' to='alice@example.com' type='chat'>\
                 <body>Send it to my new address.</body></message>";
    screen.world.server.inject("alice@example.com/phone", clear.to_owned());
    screen.go()?;
    let warned = screen.events(ALICE, |event| matches!(event, Event::ClearText { .. }))?;
    let unprotected = screen.last_letter(ALICE)?.protection.is_none();
    screen
        .claim(warned == 1 && unprotected, "clear text in Bob's name is a warning, and never looks protected")
}

fn crash(screen: &mut Screen<'_>) -> Outcome {
    screen.chapter(
        "Both programs crash",
        "Bob's dies when a message is stored but not yet on his screen, Alice's when one is sent but not yet \
         acknowledged. What they had stored is enough to go on.",
    )?;
    let before = screen.letters(BOB)?;
    screen.crash_at(BOB, Moment::Before("Deliver"))?;
    screen.write(ALICE, BOB_JID, "Careful, this crashes you.")?;
    let down = !screen.device(BOB)?.runs();
    screen.claim(down && screen.letters(BOB)? == before, "Bob's program is down and has shown nothing")?;
    screen.crash_at(ALICE, Moment::After("Send"))?;
    screen.write(ALICE, BOB_JID, "And this crashes me.")?;
    screen.claim(!screen.device(ALICE)?.runs(), "Alice's program is down as well")?;
    for device in [ALICE, BOB] {
        screen.restart(device)?;
    }
    let read = screen.bodies(BOB, before)?;
    screen.claim(
        read == ["Careful, this crashes you.", "And this crashes me."],
        "after the restart Bob has read both, each once and in order",
    )?;
    let (sent, copies) = screen.last_message_of(ALICE);
    screen.claim(
        sent && copies >= 2,
        "Alice's device sent the very same bytes again, and sealed nothing twice",
    )?;
    screen.talk(BOB, "Still here.")?;
    screen.talk(ALICE, "So am I. Good night!")?;
    let open = screen.open_tokens()?;
    screen.claim(open == 0, "nothing is left unsent or unexplained")
}

/// No crash unless this moment comes.
fn fate_at(moment: Moment) -> impl FnMut(u64, Moment) -> Fate {
    move |_, now| if now == moment { Fate::Crash } else { Fate::GoOn }
}

/// The need of all messages here: the policy's.
const NEED: Need = Need::Policy;
