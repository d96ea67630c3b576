use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use futures::future::join_all;
use serde::Serialize;

use super::interrupted;
use crate::cluster::{Daemon, Launch, Logs, Ready, find_dhtd, start_all};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::output::note;
use crate::progress;

/// Run a local cluster of real `dhtd` processes until Ctrl-C
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1024))]
    nodes: u16,
    /// Which overlay, by its name; else the one that `dhtd` runs by default
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// Keep records on disk, each node in a directory of its own below this one; else in memory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write each node's log to a file in this directory, not to stderr
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The daemon to run; else the one beside this binary, or in PATH
    #[arg(long, value_name = "PATH")]
    dhtd: Option<PathBuf>,
    /// Flags for every node, after `--`: `dht dev --protocol kelips -- --groups 3`
    #[arg(last = true, value_name = "DHTD FLAGS")]
    flags: Vec<OsString>,
}

/// How long the nodes get to end by themselves.
const END_WITHIN: Duration = Duration::from_secs(15);

#[derive(Serialize, Debug)]
struct Cluster {
    nodes: Vec<Node>,
}

#[derive(Serialize, Debug)]
struct Node {
    #[serde(flatten)]
    ready: Ready,
    pid: Option<u32>,
}

impl Dev {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let program = find_dhtd(self.dhtd.as_deref())?;
        for directory in self.logs.iter().chain(&self.data_dir) {
            let made = std::fs::create_dir_all(directory);
            made.map_err(|error| Failure::file("make", directory.display(), &error))?;
        }
        let start = Instant::now();
        let (daemons, cluster) = tokio::select! {
            cluster = self.start(program) => cluster?,
            exit = interrupted() => return Err(Failure::silent(exit)),
        };
        context.out.show(&cluster, |cluster, _| {
            let addrs: Vec<&str> = cluster.nodes.iter().map(|node| node.ready.advertise.as_str()).collect();
            format!("export DHT_ENDPOINTS={}\n", addrs.join(","))
        })?;
        let nodes = cluster.nodes.len();
        note(&format!("{nodes} nodes ready after {:.1} s", start.elapsed().as_secs_f64()));
        if !context.out.is_json() {
            note("paste the line above into another terminal and try `dht ring` there; Ctrl-C ends the nodes");
        }
        run_until_told(daemons).await
    }

    async fn start(&self, program: PathBuf) -> Result<(Vec<Daemon>, Cluster)> {
        let bar = progress::counting(u64::from(self.nodes), "starting nodes");
        let launch = |number, seed: Option<&str>| self.launch(program.clone(), number, seed);
        let all = start_all(self.nodes, launch, &bar).await?;
        bar.finish_and_clear();
        let (daemons, nodes) = all
            .into_iter()
            .map(|(daemon, ready)| (Node { ready, pid: daemon.pid() }, daemon))
            .map(|(node, daemon)| (daemon, node))
            .unzip();
        Ok((daemons, Cluster { nodes }))
    }

    fn launch(&self, program: PathBuf, number: u16, seed: Option<&str>) -> Launch {
        let label = format!("node{number}");
        let mut args: Vec<OsString> = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"].map(OsString::from).to_vec();
        if let Some(protocol) = &self.protocol {
            args.extend(["--protocol".into(), OsString::from(protocol)]);
        }
        if let Some(seed) = seed {
            args.extend(["--join".into(), OsString::from(seed)]);
        }
        if let Some(data_dir) = &self.data_dir {
            args.extend(["--data-dir".into(), data_dir.join(&label).into_os_string()]);
        }
        // They all end together: nobody is left to hand records over to.
        if !self.flags.iter().any(|flag| flag.to_string_lossy().starts_with("--on-sigterm")) {
            args.extend(["--on-sigterm", "stop"].map(OsString::from));
        }
        args.extend(self.flags.iter().cloned());
        let logs = match &self.logs {
            Some(directory) => Logs::File(directory.join(format!("{label}.log"))),
            None => Logs::Stderr,
        };
        Launch { program, label, args, logs }
    }
}

/// Lets the nodes run until Ctrl-C or until none is left, then ends them all; a second Ctrl-C kills what is left at once.
async fn run_until_told(mut daemons: Vec<Daemon>) -> Result {
    let watch = daemons.iter_mut().map(|daemon| async {
        let status = daemon.ended(Duration::MAX).await;
        let how = status.map_or_else(String::new, |status| format!(" ({status})"));
        note(&format!("{} has ended{how}", daemon.label()));
    });
    tokio::select! {
        _ = join_all(watch) => return Err(Failure::other("no node is left")),
        _ = interrupted() => {}
    }
    note("stopping the nodes");
    for daemon in &daemons {
        daemon.terminate();
    }
    let end = join_all(daemons.iter_mut().map(|daemon| async {
        if daemon.ended(END_WITHIN).await.is_none() {
            note(&format!("{} does not end: killed", daemon.label()));
        }
    }));
    tokio::select! {
        _ = end => Ok(()),
        exit = interrupted() => Err(Failure::silent(exit)),
    }
}
