mod figures;
mod local;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::figures::{Hops, Latency, Spread, text};
use self::local::Local;
use crate::args::{key_bytes, positive_time};
use crate::cluster::find_dhtd;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::output::note;
use crate::protocols;

/// Look the same keys up over all overlays and measure what it costs, on a local cluster of each in turn
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// The keys to look up: UTF-8, or hexadecimal with --hex
    #[arg(required = true)]
    keys: Vec<String>,
    /// The keys are written in hexadecimal digits, two a byte
    #[arg(long)]
    hex: bool,
    /// How many nodes each overlay has
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    nodes: u16,
    /// From how many different nodes each key is looked up
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    from: u16,
    /// How often each key is looked up from each of them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long to watch what an overlay sends while it is asked nothing
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = positive_time)]
    idle: Duration,
    /// Which overlays; else all of them
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    protocols: Vec<String>,
    /// The daemon to run; else the one beside this binary, or in PATH
    #[arg(long, value_name = "PATH")]
    dhtd: Option<PathBuf>,
    /// Flags for every node of every overlay, after `--`
    #[arg(last = true, value_name = "DHTD FLAGS")]
    flags: Vec<OsString>,
}

/// What was measured, side by side.
#[derive(Serialize, Debug)]
struct Comparison {
    nodes: u16,
    keys: Vec<String>,
    protocols: Vec<Measured>,
}

/// What one overlay needs.
#[derive(Serialize, Debug)]
struct Measured {
    protocol: String,
    hops: Hops,
    latency_us: Latency,
    state_bytes_per_node: f64,
    messages_per_node_s: f64,
    bytes_per_node_s: f64,
    /// Standard deviations of the three figures before: the first over nodes, the others over stretches of time.
    deviation: Deviation,
    lookups: Vec<Looked>,
}

#[derive(Serialize, Debug)]
struct Deviation {
    state_bytes: Option<f64>,
    messages: Option<f64>,
    bytes: Option<f64>,
}

/// One lookup.
#[derive(Serialize, Clone, Debug)]
struct Looked {
    key: String,
    /// The node that was asked.
    from: String,
    owner: String,
    hops: usize,
    latency_us: u64,
}

impl Compare {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let program = find_dhtd(self.dhtd.as_deref())?;
        for key in &self.keys {
            key_bytes(key, self.hex)?;
        }
        let mut measured = Vec::new();
        for protocol in self.chosen()? {
            note(&format!("{protocol}: starting {} nodes", self.nodes));
            measured.push(self.measure(context, program.clone(), &protocol).await?);
        }
        let comparison = Comparison { nodes: self.nodes, keys: self.keys.clone(), protocols: measured };
        context.out.show(&comparison, |comparison, paint| text(comparison, self.from, self.rounds, paint))
    }

    /// The overlays to compare, each once.
    fn chosen(&self) -> Result<Vec<String>> {
        let known: Vec<&str> = protocols::names().collect();
        if self.protocols.is_empty() {
            return Ok(known.into_iter().map(str::to_owned).collect());
        }
        let mut chosen: Vec<String> = Vec::new();
        for name in &self.protocols {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(Failure::usage(format!("--protocols: `{name}` is not one of those known here: {known}")));
            }
            if !chosen.contains(name) {
                chosen.push(name.clone());
            }
        }
        Ok(chosen)
    }

    /// Runs a cluster for as long as it takes. It ends with this function, however that ends.
    async fn measure(&self, context: &Context, program: PathBuf, protocol: &str) -> Result<Measured> {
        let local = Local::start(context, program, protocol, self.nodes, &self.flags).await?;
        note(&format!("{protocol}: waiting until every invariant holds"));
        local.until_settled().await?;
        let idle = humantime::format_duration(self.idle);
        note(&format!("{protocol}: watching it for {idle} while it is asked nothing"));
        let traffic = local.idle_for(self.idle).await?;
        let state = local.state_bytes().await?;
        note(&format!("{protocol}: looking up"));
        let lookups = local.look_up(self).await?;
        local.stop().await;
        Ok(Measured::new(protocol, lookups, &state, &traffic.messages, &traffic.bytes))
    }
}

impl Measured {
    /// From lookups, and from samples of the other three figures.
    fn new(protocol: &str, lookups: Vec<Looked>, state: &[f64], messages: &[f64], bytes: &[f64]) -> Self {
        let [state, messages, bytes] = [state, messages, bytes].map(Spread::of);
        Self {
            protocol: protocol.to_owned(),
            hops: Hops::of(lookups.iter().map(|lookup| lookup.hops)),
            latency_us: Latency::of(lookups.iter().map(|lookup| lookup.latency_us)),
            state_bytes_per_node: state.mean,
            messages_per_node_s: messages.mean,
            bytes_per_node_s: bytes.mean,
            deviation: Deviation { state_bytes: state.deviation, messages: messages.deviation, bytes: bytes.deviation },
            lookups,
        }
    }
}
