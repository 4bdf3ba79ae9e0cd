//! Somebody at the terminal client: a process that reads lines, writes lines, and can be killed at any point.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use xmpp_e2e_client::xmpp_e2e::LocalAgent;
use xmpp_e2e_client::xmpp_e2e::rand_core::UnwrapErr;
use xmpp_e2e_client::xmpp_e2e::suite::Suites;
use xmpp_e2e_sqlite::Database;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where a client notes its keys.
const AGENT: &str = "agent";

/// The terminal client, beside the program that runs. Cargo builds it if it is not there.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn chat_program() -> PathBuf {
    let own = std::env::current_exe().expect("the own path");
    let name = format!("xmpp-e2e-chat{}", std::env::consts::EXE_SUFFIX);
    // Tests are in a folder of their own below.
    let folders = || own.ancestors().skip(1).take(2);
    let found = || folders().map(|folder| folder.join(&name)).find(|path| path.is_file());
    if let Some(path) = found() {
        return path;
    }
    let profile = folders().find(|folder| !folder.ends_with("deps")).expect("a folder");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "xmpp-e2e-chat", "--target-dir"]);
    build.arg(profile.parent().expect("the target folder")).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "xmpp-e2e-chat is not built");
    found().expect("xmpp-e2e-chat beside this program")
}

/// An entry of the client's history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// `in`, `out` or `copy`.
    pub direction: String,
    /// `encrypted`, `clear` or `-`.
    pub protection: String,
    /// How far it came, if it went out.
    pub state: String,
    /// What it says.
    pub text: String,
}

#[derive(Debug, Default)]
struct Screen {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    readers: Vec<JoinHandle<()>>,
}

/// Somebody at the terminal client.
#[derive(Debug)]
pub struct Terminal {
    /// The account.
    pub account: String,
    program: PathBuf,
    server: String,
    store: PathBuf,
    options: Vec<String>,
    screen: Arc<Screen>,
    /// How many lines there were before the last start.
    begins: usize,
    running: Option<Running>,
}

impl Terminal {
    /// Somebody whose client is not started. Its store is in `folder`.
    #[must_use]
    pub fn new(account: &str, server: &str, folder: &Path) -> Self {
        Self {
            account: account.to_owned(),
            program: chat_program(),
            server: server.to_owned(),
            store: folder.join(format!("{account}.db")),
            options: Vec::new(),
            screen: Arc::default(),
            begins: 0,
            running: None,
        }
    }

    /// The same account on another device, with a store of its own. Its client is not started.
    #[must_use]
    pub fn on_another_device(&self, name: &str) -> Self {
        let mut other = Self::new(&self.account, &self.server, Path::new(""));
        other.store = self.store.with_file_name(format!("{}-{name}.db", self.account));
        other
    }

    /// Gives this device, which was never started, a copy of the account's key and device keys of its own: as from a
    /// backup of the key.
    ///
    /// # Panics
    /// If `from` was never started.
    pub fn copy_account_key(&self, from: &Self) {
        let account = |store: &Path| {
            Database::open(store).expect("a store").account(&self.account).expect("the account")
        };
        let agent = account(&from.store).note(AGENT).expect("the store").expect("the keys");
        let agent = LocalAgent::from_bytes(&agent, &Suites::default()).expect("the keys");
        let agent = agent.for_new_device(&mut UnwrapErr(SysRng));
        account(&self.store).set_note(AGENT, Some(&agent.to_bytes())).expect("the store");
    }

    /// Sets an option for the next starts.
    pub fn set_option(&mut self, option: &str, on: bool) {
        self.options.retain(|set| set != option);
        if on {
            self.options.push(option.to_owned());
        }
    }

    /// Copies what the client, which does not run, has stored.
    ///
    /// # Panics
    /// If there is nothing.
    pub fn back_up(&self) {
        std::fs::copy(&self.store, self.store.with_extension("backup")).expect("a backup");
    }

    /// Puts back what was copied.
    ///
    /// # Panics
    /// If there is nothing.
    pub fn put_back(&self) {
        for extension in ["db-wal", "db-shm"] {
            let _ = std::fs::remove_file(self.store.with_extension(extension));
        }
        std::fs::copy(self.store.with_extension("backup"), &self.store).expect("the backup");
    }

    /// With an option at each start.
    #[must_use]
    pub fn with(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(&self.account).arg("--store").arg(&self.store).args(["--color", "never"]);
        command
    }

    /// Starts the client with what it has stored.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(&mut self) {
        self.begins = self.lines().len();
        let mut command = self.command();
        command.args(["--tls", "none", "--server", &self.server]).args(&self.options);
        command.env("XMPP_PASSWORD", "secret");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the client starts");
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output");
        let errors = child.stderr.take().expect("its errors");
        let readers = vec![self.read(output, ""), self.read(errors, "stderr: ")];
        self.running = Some(Running { child, input, readers });
    }

    fn read(&self, from: impl Read + Send + 'static, mark: &'static str) -> JoinHandle<()> {
        let screen = self.screen.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                screen.lines.lock().expect("the lock").push(format!("{mark}{line}"));
                screen.changed.notify_all();
            }
        })
    }

    /// Types a line. What is typed where nothing runs is lost.
    pub fn say(&mut self, line: &str) {
        if let Some(input) = self.running.as_mut().and_then(|running| running.input.as_mut()) {
            let _ = input.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Kills the client, wherever it is. Says whether one ran.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) -> bool {
        let Some(mut running) = self.running.take() else { return false };
        let ran = running.child.try_wait().expect("a state").is_none();
        running.child.kill().expect("killed");
        running.child.wait().expect("an end");
        running.readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
        ran
    }

    /// Ends the input, and waits for the client's end: its exit code.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(&mut self) -> Option<i32> {
        let mut running = self.running.take()?;
        drop(running.input.take());
        let start = Instant::now();
        let status = loop {
            if let Some(status) = running.child.try_wait().expect("a state") {
                break status;
            }
            if start.elapsed() > PATIENCE {
                let _ = running.child.kill();
                panic!("{} does not end:\n{}", self.account, self.tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        running.readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
        status.code()
    }

    /// All lines that were printed, by all that were started.
    ///
    /// # Panics
    /// If a thread has panicked.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.screen.lines.lock().expect("the lock").clone()
    }

    /// The lines of the client that was started last.
    #[must_use]
    pub fn lines_of_last(&self) -> Vec<String> {
        self.lines().split_off(self.begins)
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Waits until the client that runs has printed a line that begins with these fields.
    ///
    /// # Panics
    /// If it takes longer than a minute.
    pub fn wait(&self, fields: &[&str]) -> String {
        let begin = fields.join("\t");
        let fits = |line: &String| {
            line.strip_prefix(&begin).is_some_and(|rest| matches!(rest.chars().next(), None | Some('\t')))
        };
        let start = Instant::now();
        let mut lines = self.screen.lines.lock().expect("the lock");
        loop {
            if let Some(line) = lines.iter().skip(self.begins).find(|line| fits(line)) {
                return line.clone();
            }
            if start.elapsed() > PATIENCE {
                drop(lines);
                panic!("{}: no {fields:?}:\n{}", self.account, self.tail());
            }
            lines = self.screen.changed.wait_timeout(lines, Duration::from_millis(200)).expect("the lock").0;
        }
    }

    /// Waits for the `count`th such line of the client that runs.
    ///
    /// # Panics
    /// If it takes longer than a minute.
    pub fn wait_again(&self, fields: &[&str], count: usize) -> String {
        let begin = fields.join("\t");
        let start = Instant::now();
        loop {
            let lines = self.lines_of_last();
            let fits = |line: &&String| **line == begin || line.starts_with(&format!("{begin}\t"));
            if let Some(line) = lines.iter().filter(fits).nth(count - 1) {
                return line.clone();
            }
            assert!(start.elapsed() < PATIENCE, "{}: no {fields:?} {count}:\n{}", self.account, self.tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the client's store has of the conversation with `peer`, as another process prints it.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn history(&self, peer: &str) -> Vec<Past> {
        let output = self.command().args(["--history", peer]).output().expect("the client starts");
        assert!(output.status.success(), "{}: {}", self.account, String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let entry = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
            ["history", _, _, direction, jid, protection, state, text] if jid == peer => Past {
                direction: direction.to_owned(),
                protection: protection.to_owned(),
                state: state.to_owned(),
                text: text.to_owned(),
            },
            _ => panic!("no line of a history: {line}"),
        };
        text.lines().map(entry).collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
