//! What an operator may set, and where: flag over environment over TOML file over default.
//!
//! One struct is read from all three places, so that a key means the same everywhere and an unknown one is
//! refused by name. [`crate::config::Config`] is what comes out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::exit::Fatal;

/// One node of a distributed hash table.
#[derive(Parser, Debug)]
#[command(name = "dhtd", version, about, max_term_width = 100)]
pub struct Cli {
    /// TOML file with any of the settings below, `-` written as `_`; flags and environment win over it
    #[arg(long, env = "DHTD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check flags, environment and file, say what is wrong, and exit
    #[arg(long)]
    pub check_config: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "every field has its own help")]
    pub options: Options,
    #[command(subcommand)]
    #[allow(missing_docs, reason = "every variant has its own help")]
    pub command: Option<Command>,
}

/// What else the binary does.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Ask the node on this machine whether it is ready; exit 0 if so, for container health checks
    Healthcheck,
    /// Read all of a data directory that no node has open, and say what is not as it was written; exit 1 if anything is
    VerifyStore {
        /// The data directory
        dir: PathBuf,
    },
}

/// Every setting, each absent unless given.
#[derive(Args, Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Overlay protocol: chord, pastry or kelips [default: chord]
    #[arg(long, env = "DHTD_PROTOCOL", value_name = "NAME")]
    pub protocol: Option<String>,
    /// Address to serve gRPC on; port 0 picks a free one [default: 127.0.0.1:7160]
    #[arg(long, env = "DHTD_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address for health and metrics, or `off`; port 0 picks a free one [default: 127.0.0.1:7161]
    #[arg(long, env = "DHTD_HTTP", value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// What others dial, or `auto`: this machine's own address on the way to the seed [default: the bound address]
    #[arg(long, env = "DHTD_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// A member to join through; repeat or separate by commas. A DNS name may stand for several [default: start a new ring]
    #[arg(long, env = "DHTD_JOIN", value_name = "HOST:PORT", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub join: Option<Vec<String>>,
    /// Give up joining after so long [default: 30s]
    #[arg(long, env = "DHTD_JOIN_TIMEOUT", value_parser = humantime::parse_duration, value_name = "DURATION")]
    #[serde(with = "humantime_serde")]
    pub join_timeout: Option<Duration>,
    /// Cluster name, the same at every node: those of another cluster are refused [default: default]
    #[arg(long, env = "DHTD_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,
    /// Keep records, identity and peers in this directory [default: in memory only]
    #[arg(long, env = "DHTD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The identifier in hexadecimal, for tests and teaching [default: SHA-1 of the advertised address]
    #[arg(long, env = "DHTD_ID", value_name = "HEX")]
    pub id: Option<String>,
    /// Bits of an identifier, 3 to 160; the same at every node of a cluster [default: 160]
    #[arg(long, env = "DHTD_ID_BITS", value_name = "M")]
    pub id_bits: Option<u32>,
    /// Copies of each record; the same at every node of a cluster [default: 3]
    #[arg(long, env = "DHTD_REPLICAS", value_name = "N")]
    pub replicas: Option<usize>,
    /// Largest value in bytes [default: 4194304]
    #[arg(long, env = "DHTD_VALUE_LIMIT", value_name = "BYTES")]
    pub value_limit: Option<usize>,
    /// How lookups find their way: one node asked after the other, or passed on from node to node; nodes may differ [default: recursive over Pastry, else iterative]
    #[arg(long, env = "DHTD_ROUTING", value_name = "HOW")]
    pub routing: Option<Routing>,
    /// After a majority of a record's copies has been gone for so long the survivors go on; or `never` [default: 5s]
    #[arg(long, env = "DHTD_LOST_MAJORITY_AFTER", value_name = "DURATION")]
    pub lost_majority_after: Option<String>,
    /// What SIGTERM and SIGINT do [default: stop with a data directory, else leave]
    #[arg(long, env = "DHTD_ON_SIGTERM", value_name = "WHAT")]
    pub on_sigterm: Option<OnSigterm>,
    /// Give up leaving after so long [default: 30s]
    #[arg(long, env = "DHTD_LEAVE_TIMEOUT", value_parser = humantime::parse_duration, value_name = "DURATION")]
    #[serde(with = "humantime_serde")]
    pub leave_timeout: Option<Duration>,
    /// Form of the log on stderr [default: text]
    #[arg(long, env = "DHTD_LOG_FORMAT", value_name = "FORM")]
    pub log_format: Option<LogFormat>,
    /// For development: delay calls to other nodes by a square matrix of round trips in ms; a node's row is SHA-1 of its advertised address modulo the rows [default: no delay]
    #[arg(long, env = "DHTD_DEV_LATENCY", value_name = "FILE")]
    pub dev_latency: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "every field has its own help")]
    pub chord: ChordOptions,
    #[command(flatten)]
    #[allow(missing_docs, reason = "every field has its own help")]
    pub pastry: PastryOptions,
    #[command(flatten)]
    #[allow(missing_docs, reason = "every field has its own help")]
    pub kelips: KelipsOptions,
}

/// Chord's own settings, a table `[chord]` in the file.
#[derive(Args, Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ChordOptions {
    /// Chord: length of the successor list, at least replicas − 1 [default: 8]
    #[arg(long, env = "DHTD_SUCCESSORS", value_name = "R")]
    pub successors: Option<usize>,
    /// Chord: mean time between two rounds of stabilize [default: 500ms]
    #[arg(long, env = "DHTD_STABILIZE_PERIOD", value_parser = humantime::parse_duration, value_name = "DURATION")]
    #[serde(with = "humantime_serde")]
    pub stabilize_period: Option<Duration>,
    /// Chord: mean time between two refreshed fingers [default: 300ms]
    #[arg(long, env = "DHTD_FIX_FINGERS_PERIOD", value_parser = humantime::parse_duration, value_name = "DURATION")]
    #[serde(with = "humantime_serde")]
    pub fix_fingers_period: Option<Duration>,
}

/// Pastry's own settings, a table `[pastry]` in the file.
#[derive(Args, Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct PastryOptions {
    /// Pastry: nodes in the leaf set, an even number, half of them on either side [default: 16]
    #[arg(long, env = "DHTD_LEAF_SET", value_name = "L")]
    pub leaf_set: Option<usize>,
    /// Pastry: bits of a digit, b in the paper; the same at every node of a cluster [default: 4]
    #[arg(long, env = "DHTD_DIGIT_BITS", value_name = "B")]
    pub digit_bits: Option<u32>,
}

/// Kelips' own settings, a table `[kelips]` in the file.
#[derive(Args, Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct KelipsOptions {
    /// Kelips: affinity groups, about the square root of the number of nodes; fixed when the ring starts [default: 2]
    #[arg(long, env = "DHTD_GROUPS", value_name = "K")]
    pub groups: Option<u32>,
    /// Kelips: contacts kept in each other group [default: 2]
    #[arg(long, env = "DHTD_CONTACTS", value_name = "C")]
    pub contacts: Option<usize>,
    /// Kelips: time between two rounds of gossip [default: 500ms]
    #[arg(long, env = "DHTD_GOSSIP_PERIOD", value_parser = humantime::parse_duration, value_name = "DURATION")]
    #[serde(with = "humantime_serde")]
    pub gossip_period: Option<Duration>,
}

/// How lookups find their way.
#[derive(ValueEnum, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// This node asks one node after the other.
    Iterative,
    /// Each node passes the query on to the next: about half the time over long links.
    Recursive,
}

/// What a polite signal means.
#[derive(ValueEnum, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum OnSigterm {
    /// Hand every record over, then go for good.
    Leave,
    /// Tell the neighbours, keep the disk, come back later.
    Stop,
}

/// Form of the log.
#[derive(ValueEnum, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// `join = "a:1"` and `join = ["a:1", "b:2"]` are both fine.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match OneOrMany::deserialize(from)? {
        OneOrMany::One(one) => one.split(',').map(|part| part.trim().to_owned()).collect(),
        OneOrMany::Many(many) => many,
    }))
}

impl Options {
    /// Reads a TOML file. Errors name the file, the line and the key.
    pub fn from_file(path: &Path) -> Result<Self, Fatal> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Fatal::config(format!("cannot read the configuration {}: {error}", path.display())))?;
        toml::from_str(&text)
            .map_err(|error| Fatal::config(format!("in the configuration {}: {error}", path.display())))
    }

    /// What is set here, else what is set in `below`.
    #[must_use]
    pub fn over(self, below: Options) -> Options {
        macro_rules! first {
            ($($field:ident),*) => { Options {
                $($field: self.$field.or(below.$field),)*
                chord: ChordOptions {
                    successors: self.chord.successors.or(below.chord.successors),
                    stabilize_period: self.chord.stabilize_period.or(below.chord.stabilize_period),
                    fix_fingers_period: self.chord.fix_fingers_period.or(below.chord.fix_fingers_period),
                },
                pastry: PastryOptions {
                    leaf_set: self.pastry.leaf_set.or(below.pastry.leaf_set),
                    digit_bits: self.pastry.digit_bits.or(below.pastry.digit_bits),
                },
                kelips: KelipsOptions {
                    groups: self.kelips.groups.or(below.kelips.groups),
                    contacts: self.kelips.contacts.or(below.kelips.contacts),
                    gossip_period: self.kelips.gossip_period.or(below.kelips.gossip_period),
                },
            } };
        }
        first!(
            protocol,
            listen,
            http,
            advertise,
            join,
            join_timeout,
            cluster,
            data_dir,
            id,
            id_bits,
            replicas,
            value_limit,
            routing,
            lost_majority_after,
            on_sigterm,
            leave_timeout,
            log_format,
            dev_latency
        )
    }
}
