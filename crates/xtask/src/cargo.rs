//! Running the cargo that runs us.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// One call of cargo, in the workspace's root.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

impl Cargo {
    pub(crate) fn new<const N: usize>(args: [&str; N]) -> Self {
        // Set by the `cargo run` that we stand behind, so that it is the same toolchain.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(args).current_dir(root());
        Self { command, shown: format!("cargo {}", args.join(" ")) }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Runs it, its output being ours.
    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("$ {}", self.shown);
        let status = self.command.status().with_context(|| format!("cannot run `{}`", self.shown))?;
        ensure!(status.success(), "`{}` failed ({status})", self.shown);
        Ok(())
    }

    /// Builds, showing progress on a terminal and what goes wrong anywhere, and returns the binaries' paths.
    pub(crate) fn build(mut self) -> Result<Vec<PathBuf>> {
        if !std::io::stderr().is_terminal() {
            self.command.arg("--quiet");
        }
        self.command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot run `{}`", self.shown))?;
        ensure!(output.status.success(), "`{}` failed ({})", self.shown, output.status);
        Ok(executables(&output.stdout))
    }
}

/// The part that we read of what cargo tells.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

fn executables(messages: &[u8]) -> Vec<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok()?.executable).collect()
}

/// The binary of this name among those that were built.
pub(crate) fn binary<'a>(binaries: &'a [PathBuf], name: &str) -> Result<&'a Path> {
    let found = binaries.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
    found.map(PathBuf::as_path).with_context(|| format!("cargo built no binary called `{name}`"))
}

/// Runs a command to its end; its exit code becomes ours.
pub(crate) fn pass_on(command: &mut Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => Ok(ExitCode::from(code)),
        _ => bail!("{program} was ended ({status})"),
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    // `cargo run` tells where our manifest is now; the path at compile time would be wrong after a move.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.ancestors().nth(2).map_or(manifest.clone(), Path::to_path_buf)
}

/// Where builds go.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_are_found_in_what_cargo_tells() {
        let told = br#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/release/dhtd"}
not json
{"reason":"compiler-artifact","executable":"/t/release/dht"}
{"reason":"build-finished","success":true}
"#;
        let binaries = executables(told);
        assert_eq!(binary(&binaries, "dht").unwrap(), Path::new("/t/release/dht"));
        assert_eq!(binary(&binaries, "dhtd").unwrap(), Path::new("/t/release/dhtd"));
        assert!(binary(&binaries, "dht-sim").is_err());
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }
}
