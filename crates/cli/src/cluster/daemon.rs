use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::exit::{Failure, Result};
use crate::output::note;

/// How to start one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    /// In front of its log lines.
    pub(crate) label: String,
    pub(crate) args: Vec<OsString>,
    pub(crate) logs: Logs,
}

/// Where a daemon's log goes.
#[derive(Clone, Debug)]
pub(crate) enum Logs {
    /// To our stderr, labelled.
    Stderr,
    /// To a file, appended.
    File(PathBuf),
    /// Nowhere; the last lines are kept for when it fails.
    Kept,
}

/// The line that a daemon prints once it serves and has joined.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ready {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) listen: String,
    pub(crate) http: Option<String>,
    pub(crate) advertise: String,
    pub(crate) protocol: String,
    pub(crate) cluster: String,
}

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    label: String,
    child: Child,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    tail: Tail,
    /// Where all of its log is, unless it is shown.
    log: Option<PathBuf>,
}

/// The last lines of a log.
type Tail = Arc<Mutex<VecDeque<String>>>;
const TAIL_LINES: usize = 12;

impl Daemon {
    /// Starts the process. It is in a group of its own: a Ctrl-C at the terminal is ours to handle.
    pub(crate) fn start(launch: &Launch) -> Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.process_group(0);
        // What is meant for a daemon of its own must not steer this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DHTD_")) {
            command.env_remove(name);
        }
        match &launch.logs {
            Logs::File(path) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                command.stderr(file.map_err(|error| Failure::file("write", path.display(), &error))?);
            }
            Logs::Stderr | Logs::Kept => {
                command.stderr(Stdio::piped());
            }
        }
        let start = command.spawn();
        let mut child = start.map_err(|error| Failure::file("start", launch.program.display(), &error))?;
        let tail = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            let echo = matches!(launch.logs, Logs::Stderr).then(|| launch.label.clone());
            tokio::spawn(follow(stderr, Arc::clone(&tail), echo));
        }
        let stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let log = match &launch.logs {
            Logs::File(path) => Some(path.clone()),
            Logs::Stderr | Logs::Kept => None,
        };
        Ok(Self { label: launch.label.clone(), child, stdout, tail, log })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the ready line.
    ///
    /// # Errors
    /// When the process ends first, prints something else, or takes too long: with the end of its log.
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<Ready> {
        let line = match &mut self.stdout {
            Some(stdout) => timeout(patience, stdout.next_line()).await,
            None => Ok(Ok(None)),
        };
        let label = self.label.clone();
        match line {
            Ok(Ok(Some(line))) => {
                let ready = serde_json::from_str(&line);
                ready.map_err(|error| self.failure(format!("{label} said `{line}` instead of being ready: {error}")))
            }
            Ok(Ok(None)) => {
                // Its log is read by a task of its own, which may lag a moment behind the end.
                let status = timeout(Duration::from_secs(1), self.child.wait()).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                let how = match status {
                    Ok(Ok(status)) => format!(" ({status})"),
                    _ => String::new(),
                };
                Err(self.failure(format!("{label} ended before it was ready{how}")))
            }
            Ok(Err(error)) => Err(self.failure(format!("cannot read what {label} says: {error}"))),
            Err(_) => {
                Err(self.failure(format!("{label} was not ready after {}", humantime::format_duration(patience))))
            }
        }
    }

    /// Kills it with SIGKILL, as a crash would.
    pub(crate) async fn crash(mut self) -> Result {
        let killed = self.child.kill().await;
        killed.map_err(|error| Failure::other(format!("cannot kill {}: {error}", self.label)))
    }

    /// Asks it to end, with SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may have ended by itself just now, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end; none if it is still running after `patience`.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        timeout(patience, self.child.wait()).await.ok()?.ok()
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    fn failure(&self, what: String) -> Failure {
        if let Some(log) = &self.log {
            return Failure::other(format!("{what}; its log is {}", log.display()));
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.is_empty() {
            return Failure::other(what);
        }
        let lines: Vec<String> = tail.iter().map(|line| format!("  {line}")).collect();
        Failure::other(format!("{what}; the end of its log:\n{}", lines.join("\n")))
    }
}

/// Passes a log on, or keeps its last lines.
async fn follow(log: impl AsyncRead + Unpin, tail: Tail, echo: Option<String>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(label) = &echo {
            note(&format!("{label} | {line}"));
            continue;
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch {
        let args = ["-c", script].map(OsString::from).to_vec();
        Launch { program: "/bin/sh".into(), label: "node1".into(), args, logs: Logs::Kept }
    }

    const LINE: &str = r#"{"event":"ready","id":"2a","listen":"127.0.0.1:1","http":null,"advertise":"127.0.0.1:1","protocol":"chord","cluster":"default"}"#;

    #[tokio::test]
    async fn a_daemon_is_ready_when_it_says_so_and_can_be_told_to_end() {
        let mut daemon = Daemon::start(&shell(&format!("echo '{LINE}'; exec sleep 60"))).unwrap();
        let ready = daemon.ready(Duration::from_secs(10)).await.unwrap();
        assert_eq!((ready.id.as_str(), ready.http), ("2a", None));
        assert_eq!(daemon.ended(Duration::from_millis(50)).await, None);
        daemon.terminate();
        assert!(daemon.ended(Duration::from_secs(10)).await.is_some());
    }

    #[tokio::test]
    async fn a_daemon_that_ends_early_shows_the_end_of_its_log() {
        let mut daemon = Daemon::start(&shell("echo 'port in use' >&2; exit 4")).unwrap();
        let message = daemon.ready(Duration::from_secs(10)).await.unwrap_err().message.unwrap();
        assert!(message.contains("node1 ended before it was ready") && message.contains("4"), "{message}");
        assert!(message.contains("port in use"), "{message}");
    }

    #[tokio::test]
    async fn a_daemon_that_never_gets_ready_is_given_up() {
        let mut daemon = Daemon::start(&shell("exec sleep 60")).unwrap();
        let message = daemon.ready(Duration::from_millis(50)).await.unwrap_err().message.unwrap();
        assert!(message.contains("not ready after 50ms"), "{message}");
    }
}
