//! The container image from a static binary: no registry, no base image, no builder beyond docker's oldest.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, Cargo};

const TAG: &str = "dhtd:latest";
const DOCKERFILE: &str = include_str!("Dockerfile.scratch");

pub(crate) fn build() -> Result<ExitCode> {
    docker_is_there()?;
    let target = target_triple();
    let target_dir = cargo::target_dir().join("static");
    let binaries = static_binaries(&target, &target_dir)?;
    let config = cargo::root().join("config").join("docker.toml");
    let context = lay_out_context(&binaries, &config, &target_dir.join("image"))?;
    let status = Command::new("docker")
        .args(["build", "--tag", TAG])
        .arg(&context)
        // Our stdout is for results.
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .context("cannot run docker")?;
    ensure!(status.success(), "docker could not build {TAG} from {} ({status})", context.display());
    println!("{TAG}");
    Ok(ExitCode::SUCCESS)
}

/// Says what is missing before minutes go into a build.
fn docker_is_there() -> Result<()> {
    let output = match Command::new("docker").arg("version").stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("docker is not installed: the image is built with it (https://docs.docker.com/engine/install)")
        }
        Err(error) => return Err(error).context("cannot run docker"),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("docker does not answer: is its daemon running, and may you use it?\n{}", said.trim());
    }
    Ok(())
}

fn target_triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Statically linked, in a directory of their own: other flags would build everything anew each time.
fn static_binaries(target: &str, target_dir: &Path) -> Result<Vec<PathBuf>> {
    eprintln!("building static binaries (a few minutes the first time)");
    let args = ["build", "--release", "--target", target, "--package", "dht-node", "--package", "dht-cli"];
    let cargo = Cargo::new(args).env("RUSTFLAGS", "-C target-feature=+crt-static");
    let binaries = cargo.env("CARGO_TARGET_DIR", target_dir).build()?;
    Ok(vec![cargo::binary(&binaries, "dhtd")?.to_owned(), cargo::binary(&binaries, "dht")?.to_owned()])
}

/// A build context with the two binaries, the configuration and an empty directory for data.
fn lay_out_context(binaries: &[PathBuf], config: &Path, context: &Path) -> Result<PathBuf> {
    let lay_out = || -> std::io::Result<()> {
        if context.exists() {
            std::fs::remove_dir_all(context)?;
        }
        std::fs::create_dir_all(context.join("data"))?;
        std::fs::write(context.join("Dockerfile"), DOCKERFILE)?;
        std::fs::copy(config, context.join("dhtd.toml"))?;
        for binary in binaries {
            if let Some(name) = binary.file_name() {
                std::fs::copy(binary, context.join(name))?;
            }
        }
        Ok(())
    };
    lay_out().with_context(|| format!("cannot lay out {}", context.display()))?;
    Ok(context.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_needs_no_other_and_runs_as_nobody_in_particular() {
        let lines: Vec<&str> =
            DOCKERFILE.lines().filter(|line| line.starts_with("FROM") || line.starts_with("USER")).collect();
        assert_eq!(lines, ["FROM scratch", "USER 65532:65532"]);
    }

    #[test]
    fn the_context_holds_the_binaries_and_nothing_from_before() {
        let directory = std::env::temp_dir().join(format!("xtask-context-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("left over")).unwrap();
        let binary = std::env::current_exe().unwrap();
        let config = cargo::root().join("Cargo.toml");
        let context = lay_out_context(std::slice::from_ref(&binary), &config, &directory).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&context).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let mut expected =
            vec!["Dockerfile".into(), "data".into(), "dhtd.toml".into(), binary.file_name().unwrap().to_owned()];
        expected.sort();
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(names, expected);
    }
}
