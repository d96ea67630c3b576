//! The binaries under test, built once a test run.
//!
//! Cargo builds a package's own binaries for its own integration tests only, and these tests are a package of their
//! own. So the first test of each test process asks cargo for `dhtd` and `dht`, in the profile and the target
//! directory that it was itself built in; from the second time on that is a look at time stamps.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Where the binaries lie.
#[derive(Debug)]
pub struct Binaries {
    /// The daemon.
    pub dhtd: PathBuf,
    /// The command line.
    pub dht: PathBuf,
    /// The target directory that they were built in.
    pub target_dir: PathBuf,
}

/// Names a directory that already holds `dhtd` and `dht`: they are taken as they are and nothing is built, the image
/// included.
pub(crate) const BIN_DIR: &str = "DHT_TEST_BIN_DIR";

impl Binaries {
    /// The binaries, built if need be.
    ///
    /// # Panics
    /// When they do not compile: with what the compiler said.
    pub fn get() -> &'static Self {
        static BINARIES: OnceLock<Binaries> = OnceLock::new();
        BINARIES.get_or_init(Self::build)
    }

    fn build() -> Self {
        let (target_dir, profile) = own_build();
        if let Some(dir) = env::var_os(BIN_DIR) {
            let dir = PathBuf::from(dir);
            return Self { dhtd: dir.join("dhtd"), dht: dir.join("dht"), target_dir };
        }
        let output = cargo()
            // All of the workspace, so that dependencies have the features that the tests' own build gave them and
            // need not be compiled twice.
            .args(["build", "--workspace", "--bins"])
            .args(["--message-format", "json-render-diagnostics"])
            .args(["--profile", &profile])
            .arg("--target-dir")
            .arg(&target_dir)
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "dhtd and dht do not build:\n{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8_lossy(&output.stdout);
        let executable = |name: &str| -> PathBuf {
            messages
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .filter(|message| message["target"]["name"] == name)
                .find_map(|message| message["executable"].as_str().map(PathBuf::from))
                .unwrap_or_else(|| panic!("cargo built no {name}"))
        };
        Self { dhtd: executable("dhtd"), dht: executable("dht"), target_dir }
    }
}

/// Cargo, run in the workspace as the tests themselves were.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// The workspace's root directory.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of a workspace")
}

/// Target directory and profile of the running test, which lies in `TARGET/PROFILE/deps/`, or of the running binary,
/// which lies in `TARGET/PROFILE/`.
fn own_build() -> (PathBuf, String) {
    let program = env::current_exe().expect("a running program has a path");
    let dir = program.parent().expect("a program lies in a directory");
    let profile_dir = if dir.ends_with("deps") { dir.parent().expect("TARGET/PROFILE/deps") } else { dir };
    let target_dir = profile_dir.parent().expect("a profile lies in TARGET");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        // The dev profile is the one whose directory has another name.
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    (target_dir.to_owned(), profile.to_owned())
}
