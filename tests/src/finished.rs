//! A command that ran to its end within its time.

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a command left behind.
#[derive(Debug)]
pub struct Finished {
    /// The command, for messages.
    pub command: String,
    /// Exit code; −1 when a signal ended it.
    pub code: i32,
    /// Everything on its standard output.
    pub stdout: Vec<u8>,
    /// Everything on its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Finished {
    /// Asserts the exit code, and passes the outcome on.
    ///
    /// # Panics
    /// When it is another one: with everything that the command said.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "{} exited with {} instead of {code}\nstdout: {}\nstderr: {}",
            self.command,
            self.code,
            self.text(),
            self.stderr
        );
        self
    }

    /// Asserts success and a standard output of exactly one JSON document, which it returns.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn json(self) -> Value {
        let this = self.expect_code(0);
        this.parse().unwrap_or_else(|error| panic!("{}: {error}: {}", this.command, this.text()))
    }

    /// Standard output as JSON, whatever the exit code.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.stdout)
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts that standard error contains every one of `parts`, and passes the outcome on.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn expect_stderr(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{}: no {part:?} in what it said:\n{}", self.command, self.stderr);
        }
        self
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or still runs after `within` (it is killed first).
#[track_caller]
pub fn run(command: &mut Command, within: Duration) -> Finished {
    let name = format!("{command:?}");
    let mut stdout = tempfile::tempfile().expect("a temporary file for stdout");
    let mut stderr = tempfile::tempfile().expect("a temporary file for stderr");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("a second handle"))
        .stderr(stderr.try_clone().expect("a second handle"))
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break Some(status);
        }
        if start.elapsed() > within {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    for (file, bytes) in [(&mut stdout, &mut out), (&mut stderr, &mut err)] {
        file.rewind().expect("a temporary file rewinds");
        file.read_to_end(bytes).expect("a temporary file reads");
    }
    let stderr = String::from_utf8_lossy(&err).into_owned();
    let Some(status) = status else {
        panic!("{name} still ran after {within:?}\nstdout: {}\nstderr: {stderr}", String::from_utf8_lossy(&out));
    };
    Finished { command: name, code: status.code().unwrap_or(-1), stdout: out, stderr, took }
}
