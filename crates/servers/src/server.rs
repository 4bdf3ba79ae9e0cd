//! Real servers on loopback, by the scripts of `tests/servers`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of a server is not installed.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of servers with a folder and addresses of its own. They end with it.
#[derive(Debug)]
pub struct Servers {
    state: PathBuf,
    net: String,
    instances: Vec<&'static str>,
    environment: BTreeMap<String, String>,
}

impl Servers {
    /// Servers that are not started yet. `number` tells sets apart that run at once.
    #[must_use]
    pub fn new(number: u8, instances: &[&'static str]) -> Self {
        // Other runs on the same machine must not meet these.
        let process = std::process::id();
        let net = format!("127.{}.{}", 16 + process % 200, number);
        let state = std::env::temp_dir().join(format!("xmpp-e2e-servers-{process}-{number}"));
        let mut environment = BTreeMap::new();
        environment.insert("XMPP_TEST_STATE".to_owned(), state.display().to_string());
        environment.insert("XMPP_TEST_NET".to_owned(), net.clone());
        Self { state, net, instances: instances.to_vec(), environment }
    }

    /// Sets a variable of the scripts.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Who has an account on every domain.
    #[must_use]
    pub fn with_users(self, users: &[String]) -> Self {
        self.with("XMPP_TEST_USERS", users.join(" "))
    }

    /// Who sees whose presence.
    #[must_use]
    pub fn with_friends(self, pairs: &[(String, String)]) -> Self {
        let pairs: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} {b}")).collect();
        self.with("XMPP_TEST_ROSTER", pairs.join(","))
    }

    /// With the module that makes PEP fail, of Prosody.
    #[must_use]
    pub fn with_pep_faults(self) -> Self {
        let plugins = scripts().join("plugins").display().to_string();
        self.with("XMPP_TEST_PROSODY_PLUGINS", plugins).with("XMPP_TEST_PROSODY_MODULES", "\"pep_faults\";")
    }

    /// Starts all.
    ///
    /// # Errors
    /// [`Missing`] if a program is not installed.
    ///
    /// # Panics
    /// If one does not start.
    pub fn start(self) -> Result<Self, Missing> {
        for instance in self.instances.clone() {
            self.run("start", instance)?;
        }
        Ok(self)
    }

    /// Runs a command of the scripts for one instance.
    ///
    /// # Errors
    /// [`Missing`] if the program is not installed.
    ///
    /// # Panics
    /// If it fails otherwise.
    pub fn run(&self, command: &str, instance: &str) -> Result<(), Missing> {
        run(script_of(instance), command, instance, &self.environment)
    }

    /// Where the domain's server listens for clients, without TLS.
    #[must_use]
    pub fn address(&self, domain: &str) -> String {
        let host = match domain.as_bytes().first() {
            Some(b'a') => 11,
            Some(b'b') => 12,
            Some(b'e') => 13,
            _ => 14,
        };
        format!("{}.{host}:5222", self.net)
    }

    /// The certificate that signed those of all servers.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.state.join("ca/ca.pem")
    }

    /// Says what PEP shall do from now on.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn set_pep_fault(&self, instance: &str, fault: &str) {
        std::fs::write(self.state.join(instance).join("pep-faults"), fault).expect("the file");
    }

    /// Files of the servers that contain `text`: logs, spools, archives, databases.
    #[must_use]
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(&self.state, text.as_bytes(), &mut found);
        found
    }

    /// The end of a server's log.
    #[must_use]
    pub fn log(&self, instance: &str) -> String {
        let log = std::fs::read_to_string(self.state.join(instance).join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for instance in self.instances.clone() {
            let _ = Command::new(scripts().join(script_of(instance)))
                .args(["clean", instance])
                .envs(&self.environment)
                .output();
        }
        if std::env::var_os("XMPP_E2E_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}

/// Says whether a client of others is installed, or the terminal for it.
///
/// # Errors
/// [`Missing`] if it is not.
///
/// # Panics
/// If `tests/servers/clients.sh` does not know it.
pub fn need_client(program: &str) -> Result<(), Missing> {
    run("clients.sh", "need", program, &BTreeMap::new())
}

fn run(
    script: &str,
    command: &str,
    what: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), Missing> {
    let output = Command::new(scripts().join(script))
        .args([command, what])
        .envs(environment)
        .output()
        .expect("the script runs");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => Ok(()),
        Some(3) => Err(Missing(said.trim().to_owned())),
        code => panic!("{script} {command} {what}: {code:?}\n{said}"),
    }
}

fn script_of(instance: &str) -> &'static str {
    if matches!(instance, "a" | "b") { "prosody.sh" } else { "ejabberd.sh" }
}

/// The folder with the scripts.
#[must_use]
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers")
}

fn search(folder: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, text, found);
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text)) {
            found.push(path);
        }
    }
}
