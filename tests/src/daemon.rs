//! One `dhtd` process: started, paused, killed, restarted, and never left behind.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use serde_json::Value;

use crate::binaries::Binaries;

pub use rustix::process::Signal;

/// What a daemon says on standard output once it serves and has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its identifier.
    pub id: String,
    /// Where it listens for gRPC.
    pub listen: String,
    /// What others dial.
    pub advertise: String,
    /// Where it answers HTTP, unless that is off.
    pub http: Option<String>,
}

/// A daemon that was started, whatever became of it.
#[derive(Debug)]
pub struct Daemon {
    /// What its files are called.
    pub name: String,
    /// What it is started with, every time.
    pub args: Vec<String>,
    stdout: PathBuf,
    stderr: PathBuf,
    child: Option<Child>,
    paused: bool,
    ready: Option<Ready>,
}

impl Daemon {
    /// A daemon that keeps its output in `dir`. Nothing runs before [`Daemon::launch`].
    #[must_use]
    pub fn new(dir: &std::path::Path, name: &str, args: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            args,
            stdout: dir.join(format!("{name}.stdout")),
            stderr: dir.join(format!("{name}.log")),
            child: None,
            paused: false,
            ready: None,
        }
    }

    /// Starts the process and does not wait for it. Its log goes on where an earlier run's ended.
    ///
    /// # Panics
    /// When it runs already, or cannot be started.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(!self.is_running(), "{} runs already", self.name);
        self.ready = None;
        let stdout = File::create(&self.stdout).expect("a file for stdout");
        let stderr = OpenOptions::new().create(true).append(true).open(&self.stderr).expect("a file for stderr");
        let child = dhtd()
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        self.child = Some(child);
    }

    /// Waits for its ready line.
    ///
    /// # Panics
    /// When it exits instead, or is not ready `within` this time.
    #[track_caller]
    pub fn wait_ready(&mut self, within: Duration) -> Ready {
        let start = Instant::now();
        loop {
            if let Some(ready) = self.poll_ready() {
                return ready;
            }
            if let Some(status) = self.poll_exit() {
                panic!("{} ended with {status} instead of becoming ready\n{}", self.name, self.log_tail(20));
            }
            if start.elapsed() > within {
                panic!("{} is not ready after {within:?}\n{}", self.name, self.log_tail(20));
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Its ready line, if it has printed it yet.
    ///
    /// # Panics
    /// When there is anything else on standard output.
    #[track_caller]
    pub fn poll_ready(&mut self) -> Option<Ready> {
        if self.ready.is_none() {
            let printed = fs::read_to_string(&self.stdout).expect("stdout is in a file");
            let (line, rest) = printed.split_once('\n')?;
            assert_eq!(rest, "", "{}: more than one line on stdout", self.name);
            self.ready = Some(
                parse_ready(line).unwrap_or_else(|reason| panic!("{}: {reason} in its ready line {line:?}", self.name)),
            );
        }
        self.ready.clone()
    }

    /// What it last said when it became ready.
    ///
    /// # Panics
    /// When it never did.
    #[must_use]
    #[track_caller]
    pub fn ready(&self) -> &Ready {
        self.ready.as_ref().unwrap_or_else(|| panic!("{} was not waited for", self.name))
    }

    /// Its identifier.
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> &str {
        &self.ready().id
    }

    /// What others, and `dht`, dial.
    #[must_use]
    #[track_caller]
    pub fn addr(&self) -> String {
        self.ready().advertise.clone()
    }

    /// Where it answers HTTP.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[track_caller]
    pub fn http(&self) -> &str {
        self.ready().http.as_deref().expect("HTTP is on")
    }

    /// The process lives and is not paused.
    #[must_use]
    pub fn is_up(&mut self) -> bool {
        self.is_running() && !self.paused
    }

    /// How it ended, if it was started and has ended by itself.
    #[must_use]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.poll_exit()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.is_some() && self.poll_exit().is_none()
    }

    fn poll_exit(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("a child of ours"))
    }

    /// Process identifier.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        let pid = Pid::from_raw(pid).expect("a process id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
        match signal {
            Signal::STOP => self.paused = true,
            Signal::CONT => self.paused = false,
            _ => {}
        }
    }

    /// `kill -9`, and gone when this returns.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.kill_and_reap();
    }

    /// Waits for its end, and returns the exit code.
    ///
    /// # Panics
    /// When it still runs after this time, or was ended by a signal.
    #[track_caller]
    pub fn wait_exit(&mut self, within: Duration) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.poll_exit() {
                self.child = None;
                return status.code().unwrap_or_else(|| panic!("{} was ended by {status}", self.name));
            }
            if start.elapsed() > within {
                panic!("{} still runs after {within:?}\n{}", self.name, self.log_tail(20));
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM, and its exit code.
    ///
    /// # Panics
    /// As [`Daemon::wait_exit`].
    #[track_caller]
    pub fn terminate(&mut self, within: Duration) -> i32 {
        self.signal(Signal::TERM);
        self.wait_exit(within)
    }

    /// Everything that it logged, over all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        let from = all.len().saturating_sub(lines);
        format!("--- {} ({} lines before) ---\n{}", self.name, from, all[from..].join("\n"))
    }

    pub(crate) fn kill_and_reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.paused = false;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill_and_reap();
    }
}

/// The daemon's binary, with nothing of the caller's own settings in its environment.
pub(crate) fn dhtd() -> Command {
    without_settings(Command::new(&Binaries::get().dhtd))
}

/// The command line's binary, likewise.
pub(crate) fn dht() -> Command {
    without_settings(Command::new(&Binaries::get().dht))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("DHTD_") || text.starts_with("DHT_") {
            command.env_remove(&name);
        }
    }
    command
}

fn parse_ready(line: &str) -> Result<Ready, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if value["event"] != "ready" {
        return Err("no \"event\":\"ready\"".to_owned());
    }
    let text = |field: &str| value[field].as_str().map(str::to_owned).ok_or_else(|| format!("no {field:?}"));
    for field in ["protocol", "cluster"] {
        text(field)?;
    }
    Ok(Ready { id: text("id")?, listen: text("listen")?, advertise: text("advertise")?, http: text("http").ok() })
}
