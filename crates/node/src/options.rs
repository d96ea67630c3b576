//! What an operator may set: the flags, and so the environment variables and the keys of the TOML file, which are named
//! alike.
//!
//! The command line only tells them apart. What they may be is one matter wherever they come from:
//! [`crate::settings::Given`] remembers their places, [`crate::config::Config`] is what comes out.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

/// One node of a distributed hash table.
#[derive(Parser, Debug)]
#[command(name = "dhtd", version, about, max_term_width = 100)]
pub struct Cli {
    /// TOML file with any of the settings below, `-` written as `_`; flags and environment win over it
    #[arg(long, env = "DHTD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check flags, environment, file and the paths that they name, say what is wrong, and exit; changes nothing
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

/// Every setting, as it is written.
#[derive(Args, Debug)]
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
    #[arg(long, env = "DHTD_JOIN", value_name = "HOST:PORT", action = ArgAction::Append)]
    pub join: Option<Vec<String>>,
    /// Give up joining after so long [default: 30s]
    #[arg(long, env = "DHTD_JOIN_TIMEOUT", value_name = "DURATION")]
    pub join_timeout: Option<String>,
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
    pub id_bits: Option<String>,
    /// Copies of each record; the same at every node of a cluster [default: 3]
    #[arg(long, env = "DHTD_REPLICAS", value_name = "N")]
    pub replicas: Option<String>,
    /// Largest value in bytes [default: 4194304]
    #[arg(long, env = "DHTD_VALUE_LIMIT", value_name = "BYTES")]
    pub value_limit: Option<String>,
    /// How lookups find their way: `iterative`, one node asked after the other, or `recursive`, passed on from node to node; nodes may differ [default: recursive over Pastry, else iterative]
    #[arg(long, env = "DHTD_ROUTING", value_name = "HOW")]
    pub routing: Option<String>,
    /// After a majority of a record's copies has been gone for so long the survivors go on; or `never` [default: 5s]
    #[arg(long, env = "DHTD_LOST_MAJORITY_AFTER", value_name = "DURATION")]
    pub lost_majority_after: Option<String>,
    /// Copies that a write needs unless the call says otherwise: `one`, `majority`, `all` or a number; the same at every node of a cluster. Fewer than a majority may be lost [default: majority]
    #[arg(long, env = "DHTD_WRITE_QUORUM", value_name = "N")]
    pub write_quorum: Option<String>,
    /// Copies that a read asks for unless the call says otherwise: `one`, `majority`, `all` or a number; the same at every node of a cluster [default: majority]
    #[arg(long, env = "DHTD_READ_QUORUM", value_name = "N")]
    pub read_quorum: Option<String>,
    /// Bytes a second that this node fetches, or sends, at most to bring copies where they belong, for instance 10MiB; or `none` [default: none]
    #[arg(long, env = "DHTD_REPAIR_BANDWIDTH", value_name = "BYTES")]
    pub repair_bandwidth: Option<String>,
    /// How often copies are compared where nothing asks for it sooner [default: 1m]
    #[arg(long, env = "DHTD_REPAIR_PERIOD", value_name = "DURATION")]
    pub repair_period: Option<String>,
    /// How long a deletion is remembered at least; a store that was away for longer brings nothing back. The same at every node of a cluster [default: 10days]
    #[arg(long, env = "DHTD_TOMBSTONE_GRACE", value_name = "DURATION")]
    pub tombstone_grace: Option<String>,
    /// A peer whose wall clock is further off is reported, and does not pull this node's along [default: 1s]
    #[arg(long, env = "DHTD_CLOCK_DRIFT_MAX", value_name = "DURATION")]
    pub clock_drift_max: Option<String>,
    /// What SIGTERM and SIGINT do: `leave` or `stop` [default: stop with a data directory, else leave]
    #[arg(long, env = "DHTD_ON_SIGTERM", value_name = "WHAT")]
    pub on_sigterm: Option<String>,
    /// Give up leaving after so long [default: 30s]
    #[arg(long, env = "DHTD_LEAVE_TIMEOUT", value_name = "DURATION")]
    pub leave_timeout: Option<String>,
    /// Form of the log on stderr: `text` or `json` [default: text]
    #[arg(long, env = "DHTD_LOG_FORMAT", value_name = "FORM")]
    pub log_format: Option<String>,
    /// For development: delay calls to other nodes by a square matrix of round trips in ms; a node's row is SHA-1 of its advertised address modulo the rows [default: no delay]
    #[arg(long, env = "DHTD_DEV_LATENCY", value_name = "FILE")]
    pub dev_latency: Option<PathBuf>,
    /// For development: lose and delay calls to other nodes, and set the clock wrong, as the file's lines say: `cut HOST:PORT`, `lose 0.05`, `delay 50ms`, `clock +1500ms`; read again whenever it changes [default: no faults]
    #[arg(long, env = "DHTD_DEV_FAULTS", value_name = "FILE")]
    pub dev_faults: Option<PathBuf>,
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
#[derive(Args, Debug)]
pub struct ChordOptions {
    /// Chord: length of the successor list, at least replicas − 1 [default: 8]
    #[arg(long, env = "DHTD_SUCCESSORS", value_name = "R")]
    pub successors: Option<String>,
    /// Chord: mean time between two rounds of stabilize [default: 500ms]
    #[arg(long, env = "DHTD_STABILIZE_PERIOD", value_name = "DURATION")]
    pub stabilize_period: Option<String>,
    /// Chord: mean time between two refreshed fingers [default: 300ms]
    #[arg(long, env = "DHTD_FIX_FINGERS_PERIOD", value_name = "DURATION")]
    pub fix_fingers_period: Option<String>,
}

/// Pastry's own settings, a table `[pastry]` in the file.
#[derive(Args, Debug)]
pub struct PastryOptions {
    /// Pastry: nodes in the leaf set, an even number, half of them on either side [default: 16]
    #[arg(long, env = "DHTD_LEAF_SET", value_name = "L")]
    pub leaf_set: Option<String>,
    /// Pastry: bits of a digit, b in the paper; the same at every node of a cluster [default: 4]
    #[arg(long, env = "DHTD_DIGIT_BITS", value_name = "B")]
    pub digit_bits: Option<String>,
}

/// Kelips' own settings, a table `[kelips]` in the file.
#[derive(Args, Debug)]
pub struct KelipsOptions {
    /// Kelips: affinity groups, about the square root of the number of nodes; fixed when the ring starts [default: 2]
    #[arg(long, env = "DHTD_GROUPS", value_name = "K")]
    pub groups: Option<String>,
    /// Kelips: contacts kept in each other group [default: 2]
    #[arg(long, env = "DHTD_CONTACTS", value_name = "C")]
    pub contacts: Option<String>,
    /// Kelips: time between two rounds of gossip [default: 500ms]
    #[arg(long, env = "DHTD_GOSSIP_PERIOD", value_name = "DURATION")]
    pub gossip_period: Option<String>,
}

/// What a polite signal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnSigterm {
    /// Hand every record over, then go for good.
    Leave,
    /// Tell the neighbours, keep the disk, come back later.
    Stop,
}

/// Form of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
