//! Bugs planted on purpose: each has to be found by the test that is there to find it.
//!
//! The crates that the bugs go into are copied to `target/mutants`, with everything that was built of them, so that one
//! mutant after another costs what changes. First every test passes on the copy as it is; then, with each bug, the test
//! that is named has to fail. A bug whose place is not found any more is an error: it is to be planted anew.

mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{Cargo, binary, root, target_dir};
use list::{MUTANTS, Mutant};

/// What is copied.
const CRATES: [&str; 4] = ["ring", "overlay", "store", "replica"];
/// What packages are called beyond their directories.
const PREFIX: &str = "dht-";
/// A target that is no file in `tests`.
const LIBRARY: &str = "the library";
/// In the workspace's manifest.
const MEMBERS: &str = "members = [\"crates/*\", \"tests\"]";
/// A test that takes longer is stopped. With a bug planted that is a failure like any other.
const TEST_TIMEOUT: Duration = Duration::from_secs(180);

/// A test, and how it is run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Check {
    package: &'static str,
    /// The target that it is in: a file in `tests`, or the library itself.
    target: &'static str,
    test: &'static str,
    /// For the simulation: how many seeds it is told with.
    seeds: u32,
}

enum Verdict {
    Passed,
    Failed,
    /// It was stopped.
    Hung,
}

/// All mutants, or those whose names contain one of these words.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    let begun = Instant::now();
    let chosen: Vec<&Mutant> = MUTANTS
        .iter()
        .filter(|mutant| words.is_empty() || words.iter().any(|word| mutant.name.contains(word.as_str())))
        .collect();
    ensure!(!chosen.is_empty(), "no mutant's name contains any of these words");
    let copy = Copy::make()?;
    for mutant in &chosen {
        copy.look_for(mutant)?;
    }
    let checks: BTreeSet<Check> = chosen.iter().map(|mutant| mutant.caught_by).collect();
    let targets: BTreeSet<(&str, &str)> = checks.iter().map(|check| (check.package, check.target)).collect();
    for (package, target) in targets {
        let binary = copy.build(package, target)?;
        for check in checks.iter().filter(|check| (check.package, check.target) == (package, target)) {
            let begun = Instant::now();
            let verdict = copy.test(&binary, check)?;
            ensure!(matches!(verdict, Verdict::Passed), "`{}` does not pass without any bug", check.test);
            println!("{:>6.1} s  passes as it is: {}", begun.elapsed().as_secs_f64(), check.test);
        }
    }
    let mut survivors = 0;
    for mutant in &chosen {
        let begun = Instant::now();
        copy.plant(mutant)?;
        let check = &mutant.caught_by;
        let verdict = copy.build(check.package, check.target).and_then(|binary| copy.test(&binary, check));
        copy.restore(mutant)?;
        let found = match verdict.with_context(|| format!("with `{}`", mutant.name))? {
            Verdict::Passed => "NOT CAUGHT by",
            Verdict::Failed => "caught by",
            Verdict::Hung => "caught (it never ends) by",
        };
        survivors += u32::from(found.starts_with("NOT"));
        println!("{:>6.1} s  {:<66} {found} {}", begun.elapsed().as_secs_f64(), mutant.name, check.test);
    }
    println!("{} mutants, {survivors} not caught, {:.0} s", chosen.len(), begun.elapsed().as_secs_f64());
    Ok(if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The copy that bugs are planted in.
struct Copy {
    dir: PathBuf,
    /// What the files that bugs go into were when they were copied, whatever becomes of them in the workspace meanwhile.
    originals: BTreeMap<&'static str, String>,
}

impl Copy {
    fn make() -> Result<Self> {
        let mut copy = Self { dir: target_dir().join("mutants"), originals: BTreeMap::new() };
        let members: Vec<String> = CRATES.iter().map(|name| format!("\"crates/{name}\"")).collect();
        let manifest = read(&root().join("Cargo.toml"))?;
        ensure!(manifest.contains(MEMBERS), "the workspace's manifest has no line `{MEMBERS}`");
        let manifest = manifest.replace(MEMBERS, &format!("members = [{}]", members.join(", ")));
        write_changed(&copy.dir.join("Cargo.toml"), manifest.as_bytes())?;
        // Cargo leaves out of it what these crates do not need.
        if !copy.dir.join("Cargo.lock").exists() {
            write_changed(&copy.dir.join("Cargo.lock"), read(&root().join("Cargo.lock"))?.as_bytes())?;
        }
        for name in CRATES {
            mirror(&root().join("crates").join(name), &copy.dir.join("crates").join(name))?;
        }
        for (file, ..) in MUTANTS.iter().flat_map(|mutant| mutant.edits) {
            copy.originals.insert(file, read(&copy.dir.join("crates").join(file))?);
        }
        Ok(copy)
    }

    /// The places of a mutant's bugs are there, once each.
    fn look_for(&self, mutant: &Mutant) -> Result<()> {
        for (file, text, _) in mutant.edits {
            let found = read(&self.dir.join("crates").join(file))?.matches(text).count();
            ensure!(
                found == 1,
                "`{}` is to be planted in crates/{file}, where this is found {found} times:\n{text}",
                mutant.name
            );
        }
        Ok(())
    }

    fn plant(&self, mutant: &Mutant) -> Result<()> {
        for (file, text, replacement) in mutant.edits {
            let path = self.dir.join("crates").join(file);
            let planted = read(&path)?.replacen(text, replacement, 1);
            write_changed(&path, planted.as_bytes())?;
        }
        Ok(())
    }

    fn restore(&self, mutant: &Mutant) -> Result<()> {
        for (file, ..) in mutant.edits {
            write_changed(&self.dir.join("crates").join(file), self.originals[file].as_bytes())?;
        }
        Ok(())
    }

    /// Builds a test target, and returns where it is.
    fn build(&self, package: &str, target: &str) -> Result<PathBuf> {
        let manifest = self.dir.join("Cargo.toml");
        let manifest = manifest.to_str().context("the path is no text")?;
        let cargo = match target {
            LIBRARY => Cargo::new(["test", "--manifest-path", manifest, "--package", package, "--lib", "--no-run"]),
            _ => Cargo::new(["test", "--manifest-path", manifest, "-p", package, "--test", target, "--no-run"]),
        };
        // Planted bugs leave things unused.
        let cargo = cargo.env("CARGO_TARGET_DIR", self.dir.join("target")).env("RUSTFLAGS", "--cap-lints=allow");
        let built = cargo.build()?;
        let target = if target == LIBRARY { package.trim_start_matches(PREFIX) } else { target };
        let of_target = |path: &&PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            stem.rsplit_once('-').is_some_and(|(name, _)| name == target)
        };
        built.iter().find(of_target).cloned().map_or_else(|| binary(&built, target).map(Path::to_path_buf), Ok)
    }

    fn test(&self, binary: &Path, check: &Check) -> Result<Verdict> {
        let mut running = Command::new(binary)
            .args([check.test, "--exact", "--include-ignored"])
            .env("SEEDS", check.seeds.to_string())
            .env("RUST_BACKTRACE", "0")
            .current_dir(self.dir.join("crates").join(check.package.trim_start_matches(PREFIX)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let begun = Instant::now();
        while running.try_wait()?.is_none() {
            if begun.elapsed() > TEST_TIMEOUT {
                running.kill()?;
                running.wait()?;
                return Ok(Verdict::Hung);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = running.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        match (output.status.success(), said.contains("1 passed"), said.contains("1 failed")) {
            (true, true, false) => Ok(Verdict::Passed),
            (false, false, true) => Ok(Verdict::Failed),
            _ => bail!("`{}` did not run ({}):\n{said}", check.test, output.status),
        }
    }
}

/// Makes `to` what `from` is, and touches nothing that is that already, so that it need not be built again.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        names.insert(entry.file_name());
        let (here, there) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            mirror(&here, &there)?;
        } else {
            write_changed(&there, &fs::read(&here)?)?;
        }
    }
    for entry in fs::read_dir(to).with_context(|| format!("cannot read {}", to.display()))? {
        let entry = entry?;
        if names.contains(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_place_in_the_sources() {
        for mutant in MUTANTS {
            for (file, text, replacement) in mutant.edits {
                let source = read(&root().join("crates").join(file)).unwrap();
                assert_eq!(source.matches(text).count(), 1, "{}: {text}", mutant.name);
                assert_ne!(text, replacement, "{}", mutant.name);
            }
        }
    }

    #[test]
    fn no_two_mutants_have_the_same_name() {
        let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
    }
}
