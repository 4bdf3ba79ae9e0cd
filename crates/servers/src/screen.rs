//! A program of others on a screen of its own: its keys are typed, and what it shows is read.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// So wide that no line of a test wraps, and so high that none leaves it.
const SIZE: [&str; 4] = ["-x", "160", "-y", "50"];

/// A tmux server with one program. Both end with it.
#[derive(Debug)]
pub struct Screen {
    folder: PathBuf,
}

impl Screen {
    /// Starts a program, whose home is `folder`. It inherits no variable but `PATH`.
    ///
    /// # Panics
    /// If tmux does not start.
    #[must_use]
    pub fn start(command: &[&str], folder: &Path) -> Self {
        let screen = Self { folder: folder.to_owned() };
        let output = screen.tmux(&[&["new-session", "-d"][..], &SIZE, command].concat());
        assert!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("tmux runs")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        // A server of its own, without anybody's settings.
        command.arg("-S").arg(self.folder.join("tmux")).args(["-u", "-f", "/dev/null"]).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LANG", "C.UTF-8").env("HOME", &self.folder);
        command.env("XDG_CONFIG_HOME", self.folder.join("config"));
        command.env("XDG_DATA_HOME", self.folder.join("data"));
        command
    }

    /// Types a line.
    ///
    /// # Panics
    /// If the program has ended.
    pub fn type_line(&self, line: &str) {
        let typed = line.is_empty() || self.tmux(&["send-keys", "-l", line]).status.success();
        assert!(typed && self.tmux(&["send-keys", "Enter"]).status.success(), "the program has ended");
    }

    /// What is on the screen; nothing if the program has ended.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Waits until `mark` is on the screen, and the screen rests: all that is there then.
    ///
    /// # Panics
    /// If it takes longer than a minute, or the program ends.
    pub fn wait(&self, mark: &str) -> String {
        let start = Instant::now();
        let mut last = String::new();
        loop {
            let text = self.text();
            // What is just drawn may be half there.
            if text.contains(mark) && text == last {
                return text;
            }
            assert!(!text.is_empty(), "the program has ended before {mark:?}:\n{last}");
            assert!(start.elapsed() < PATIENCE, "no {mark:?} on the screen:\n{text}");
            last = text;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may not care that its terminal goes.
        if let Ok(pid) = self.command(&["list-panes", "-F", "#{pane_pid}"]).output()
            && let Some(pid) = String::from_utf8_lossy(&pid.stdout).lines().next()
        {
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        }
        let _ = self.command(&["kill-server"]).output();
    }
}
