//! The containers of `docker-compose.yml` as a project of their own, torn down whatever happens.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command};
use std::time::Duration;

use serde_json::Value;

use crate::binaries::{BIN_DIR, cargo, workspace};
use crate::finished::{Finished, run};

/// Starting and stopping five containers.
const COMPOSE: Duration = Duration::from_secs(180);

/// A single command of the engine.
const ENGINE: Duration = Duration::from_secs(30);

/// A static release build from nothing, on a small machine.
const IMAGE: Duration = Duration::from_secs(20 * 60);

/// A running compose project.
#[derive(Debug)]
pub struct Compose {
    project: String,
    /// `docker compose`, or `docker-compose`.
    command: Vec<String>,
    /// `PROTOCOL` in its environment, if it is set.
    protocol: Option<&'static str>,
}

impl Compose {
    /// A project of its own, if an engine answers and compose is there; else the reason why not.
    ///
    /// # Errors
    /// With that reason.
    pub fn new(name: &str) -> Result<Self, String> {
        let engine = try_run("docker", &["version", "--format", "{{.Server.Version}}"]);
        if !engine {
            return Err("no Docker engine".to_owned());
        }
        let command = if try_run("docker", &["compose", "version"]) {
            vec!["docker".to_owned(), "compose".to_owned()]
        } else if try_run("docker-compose", &["version"]) {
            vec!["docker-compose".to_owned()]
        } else {
            return Err("no docker compose".to_owned());
        };
        let project = format!("{name}-{}", process::id());
        Ok(Self { project, command, protocol: None })
    }

    /// The same with `PROTOCOL` set to this.
    #[must_use]
    pub fn protocol(mut self, name: &'static str) -> Self {
        self.protocol = Some(name);
        self
    }

    /// Builds the image `dhtd:latest` from this source tree, unless binaries are given and so is it.
    #[track_caller]
    pub fn build_image() {
        if env::var_os(BIN_DIR).is_some() {
            return;
        }
        run(cargo().args(["xtask", "image"]), IMAGE).expect_code(0);
    }

    /// `docker compose ARGS…` in this project.
    #[track_caller]
    pub fn compose(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .args(["--project-name", &self.project])
            .args(args)
            .env_remove("PROTOCOL")
            .envs(self.protocol.map(|name| ("PROTOCOL", name)))
            .current_dir(workspace());
        run(&mut command, COMPOSE)
    }

    /// `docker ARGS…`.
    #[track_caller]
    pub fn docker(args: &[&str]) -> Finished {
        run(Command::new("docker").args(args), ENGINE)
    }

    /// A compose command while going out of scope, perhaps by a panic: a second one must not escape.
    fn say(&self, args: &[&str]) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.compose(args)));
        match outcome {
            Ok(done) if done.code == 0 => eprint!("{}", done.text()),
            Ok(done) => eprintln!("{}: {}", done.command, done.stderr),
            Err(_) => eprintln!("{} {args:?} did not work", self.project),
        }
    }

    /// Identifier of a service's container, running or not.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service_label = format!("label=com.docker.compose.service={service}");
        let found =
            Self::docker(&["ps", "-a", "-q", "--filter", &project, "--filter", &service_label]).expect_code(0).text();
        let id = found.trim();
        assert!(!id.is_empty() && !id.contains('\n'), "containers of {service}: {found:?}");
        id.to_owned()
    }

    /// The project's network.
    ///
    /// # Panics
    /// When there is not exactly one.
    #[must_use]
    #[track_caller]
    pub fn network(&self) -> String {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let found = Self::docker(&["network", "ls", "-q", "--filter", &label]).expect_code(0).text();
        let id = found.trim();
        assert!(!id.is_empty() && !id.contains('\n'), "networks: {found:?}");
        id.to_owned()
    }

    /// Takes the next free address of the project's network, so that whoever is connected next gets another one.
    #[track_caller]
    pub fn occupy_address(&self) {
        let network = self.network();
        let args = ["run", "-d", "--name", &self.occupant(), "--network", &network];
        let cluster = ["-e", "DHTD_CLUSTER=occupant", "dhtd:latest"];
        Self::docker(&[&args[..], &cluster].concat()).expect_code(0);
    }

    fn occupant(&self) -> String {
        format!("{}-occupant", self.project)
    }

    /// A container's address in the project's network.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn address(&self, service: &str) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let found = Self::docker(&["inspect", "--format", format, &self.container(service)]);
        let address = found.expect_code(0).text().trim().to_owned();
        assert!(!address.is_empty(), "{service} has no address");
        address
    }

    /// What the engine says of a container's health: starting, healthy, unhealthy; or its state when it has none.
    ///
    /// # Errors
    /// When the engine does not know it.
    #[track_caller]
    pub fn health(&self, service: &str) -> Result<String, String> {
        let inspected = Self::docker(&["inspect", &self.container(service)]);
        let value: Value = inspected.parse().map_err(|error| error.to_string())?;
        let state = &value[0]["State"];
        let running = state["Running"].as_bool() == Some(true);
        let health = state["Health"]["Status"].as_str();
        match (running, health) {
            (true, Some(health)) => Ok(health.to_owned()),
            _ => Ok(state["Status"].as_str().unwrap_or("unknown").to_owned()),
        }
    }

    /// Runs the command line inside a service's container, against the node there.
    #[track_caller]
    pub fn dht(&self, service: &str, args: &[&str]) -> Finished {
        let container = self.container(service);
        let mut all = vec!["exec", &container, "/usr/local/bin/dht"];
        all.extend(args);
        Self::docker(&all)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(&["logs", "--tail", "15"]);
        }
        // It may never have been there.
        let _ = catch_unwind(AssertUnwindSafe(|| Self::docker(&["rm", "--force", "--volumes", &self.occupant()])));
        self.say(&["down", "--volumes", "--remove-orphans", "--timeout", "2"]);
    }
}

fn try_run(program: &str, args: &[&str]) -> bool {
    let known = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    known && run(Command::new(program).args(args), ENGINE).code == 0
}
