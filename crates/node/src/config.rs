//! The settings of one node, checked and with their defaults.

mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use overlay::Routing;
use replica::Need;
use ring::{Id, Space};

use self::values::host_port;
use crate::dev_faults;
use crate::dev_latency::LatencyMatrix;
use crate::exit::Fatal;
use crate::options::{LogFormat, OnSigterm};
use crate::settings::Given;

/// Settings of one node; field by field those of the README's table.
#[derive(Clone, Debug)]
pub struct Config {
    /// Overlay protocol.
    pub protocol: String,
    /// Where to serve gRPC, `HOST:PORT`.
    pub listen: String,
    /// Where to serve health and metrics; `None`: nowhere.
    pub http: Option<String>,
    /// What others dial.
    pub advertise: Advertise,
    /// Members to join through, `HOST:PORT`.
    pub join: Vec<String>,
    /// When to give up joining.
    pub join_timeout: Duration,
    /// Cluster name.
    pub cluster: String,
    /// Where to keep everything; `None`: in memory.
    pub data_dir: Option<PathBuf>,
    /// A chosen identifier.
    pub id: Option<Id>,
    /// The identifier space.
    pub space: Space,
    /// Copies of each record.
    pub replicas: usize,
    /// Largest value in bytes.
    pub value_limit: usize,
    /// How lookups find their way; `None`: as is faster over the protocol.
    pub routing: Option<Routing>,
    /// When survivors go on without a majority; `None`: never.
    pub lost_majority_after: Option<Duration>,
    /// Copies that a write needs unless the call says otherwise.
    pub write_quorum: Need,
    /// Copies that a read asks for unless the call says otherwise.
    pub read_quorum: Need,
    /// Bytes a second that may be moved to bring copies where they belong; `None`: as many as can be.
    pub repair_bandwidth: Option<u64>,
    /// How often copies are compared where nothing asks for it sooner.
    pub repair_period: Duration,
    /// How long a deletion is remembered at least.
    pub tombstone_grace: Duration,
    /// How far off a peer's wall clock may be.
    pub clock_drift_max: Duration,
    /// What a polite signal means.
    pub on_sigterm: OnSigterm,
    /// When to give up leaving.
    pub leave_timeout: Duration,
    /// Form of the log.
    pub log_format: LogFormat,
    /// For development: round trips that are added to calls to other nodes; `None`: none.
    pub dev_latency: Option<Arc<LatencyMatrix>>,
    /// For development: the file of faults that this node suffers; `None`: none.
    pub dev_faults: Option<PathBuf>,
    /// Chord's own.
    pub chord: chord::Config,
    /// Pastry's own.
    pub pastry: pastry::Config,
    /// Kelips' own.
    pub kelips: kelips::Config,
}

/// The address that a node gives to others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Advertise {
    /// The one that it listens on.
    Bound,
    /// This machine's own address on the way to the seed.
    Auto,
    /// This one; port 0 stands for the port that it listens on.
    Fixed(String),
}

/// More copies than this help nobody, and a set has to fit in a message.
const REPLICAS_MAX: usize = 16;
/// The shortest that deletions may be remembered for, in allowed differences of clocks.
const DRIFTS_IN_GRACE: u32 = 4;
/// Longest successor list: it is sent whole.
const SUCCESSORS_MAX: usize = 128;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Of a round of maintenance: faster is busy with nothing else, slower repairs nothing.
const PERIODS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(600));

impl Config {
    /// Checks what was given and fills in the defaults. Every error names the setting, where it was given, and what it
    /// may be.
    pub fn new(given: &Given) -> Result<Self, Fatal> {
        let protocols = crate::PROTOCOLS.join(", ");
        let protocol = given.text("protocol", format_args!("one of {protocols}"), |name| {
            crate::PROTOCOLS.iter().find(|known| **known == name).map(|known| (*known).to_owned())
        })?;
        let protocol = protocol.unwrap_or_else(|| "chord".to_owned());
        let bits = given.number("id_bits", 160, (3, 160))?;
        let space = Space::new(bits).map_err(|error| given.wrong(&["id_bits"], error))?;
        let id_expected = format!("a hexadecimal number below 2^{bits}");
        let id = given.text("id", id_expected, |text| space.parse(text).ok())?;
        let replicas = given.number("replicas", 3, (1, REPLICAS_MAX))?;
        let chord = chord(given, replicas, protocol == "chord")?;
        let pastry = pastry(given, replicas, protocol == "pastry")?;
        let kelips = kelips(given, replicas, space, protocol == "kelips")?;
        let clock_drift_max =
            given.duration("clock_drift_max", Duration::from_secs(1), (Duration::from_millis(10), HOUR))?;
        let data_dir = given.path("data_dir")?;
        let at_signal = if data_dir.is_some() { OnSigterm::Stop } else { OnSigterm::Leave };
        let config = Self {
            protocol,
            listen: host_port(given, "listen")?.unwrap_or_else(|| "127.0.0.1:7160".to_owned()),
            http: values::http(given)?,
            advertise: values::advertise(given)?,
            join: values::join(given)?,
            join_timeout: given.duration("join_timeout", Duration::from_secs(30), (Duration::from_millis(100), DAY))?,
            cluster: values::cluster(given)?,
            data_dir,
            id,
            space,
            replicas,
            value_limit: values::value_limit(given)?,
            routing: given.word("routing", [("iterative", Routing::Iterative), ("recursive", Routing::Recursive)])?,
            lost_majority_after: values::lost_majority_after(given)?,
            write_quorum: values::quorum(given, "write_quorum", replicas)?,
            read_quorum: values::quorum(given, "read_quorum", replicas)?,
            repair_bandwidth: values::bandwidth(given)?,
            repair_period: given.duration("repair_period", MINUTE, (Duration::from_secs(1), DAY))?,
            // Less than clocks may differ by there and back says nothing about who was away.
            tombstone_grace: given.duration(
                "tombstone_grace",
                10 * DAY,
                (clock_drift_max * DRIFTS_IN_GRACE, 3_650 * DAY),
            )?,
            clock_drift_max,
            on_sigterm: given
                .word("on_sigterm", [("leave", OnSigterm::Leave), ("stop", OnSigterm::Stop)])?
                .unwrap_or(at_signal),
            leave_timeout: given.duration("leave_timeout", Duration::from_secs(30), (Duration::ZERO, DAY))?,
            log_format: given
                .word("log_format", [("text", LogFormat::Text), ("json", LogFormat::Json)])?
                .unwrap_or(LogFormat::Text),
            dev_latency: match given.path("dev_latency")? {
                None => None,
                Some(path) => {
                    let matrix = LatencyMatrix::read(&path).map_err(|why| given.wrong(&["dev_latency"], why))?;
                    Some(Arc::new(matrix))
                }
            },
            dev_faults: given.path("dev_faults")?,
            chord,
            pastry,
            kelips,
        };
        config.check_addresses(given)?;
        Ok(config)
    }

    /// What only makes sense together.
    fn check_addresses(&self, given: &Given) -> Result<(), Fatal> {
        if self.advertise == Advertise::Bound && is_unspecified(&self.listen) {
            let why = format!(
                "nobody can dial {}, which would be advertised; say --advertise HOST:PORT with an address that the other nodes reach, or --advertise auto",
                self.listen
            );
            return Err(given.wrong(&["listen"], why));
        }
        if self.http.as_ref() == Some(&self.listen) && !self.listen.ends_with(":0") {
            let why = "gRPC (`listen`) and HTTP (`http`) can't share a port; choose another for one of them, 0 for a free one, or turn http off";
            return Err(given.wrong(&["http", "listen"], why));
        }
        Ok(())
    }

    /// Checks what a start would find, without leaving a trace: for `--check-config`.
    pub fn check_surroundings(&self, given: &Given) -> Result<(), Fatal> {
        if let Some(file) = &self.dev_faults {
            // A running node waits for the file to appear; whoever asks beforehand most likely mistyped its name.
            dev_faults::check(file).map_err(|why| given.wrong(&["dev_faults"], why))?;
        }
        if let Some(dir) = &self.data_dir {
            let there = dir.ancestors().find(|dir| dir.exists());
            if let Some(file) = there.filter(|there| !there.is_dir()) {
                let why = format!("{} is no directory; choose another place", file.display());
                return Err(given.wrong(&["data_dir"], why));
            }
        }
        Ok(())
    }
}

/// Chord's parameters. What has to fit together does where Chord is what runs.
fn chord(given: &Given, replicas: usize, runs: bool) -> Result<chord::Config, Fatal> {
    let default = chord::Config::default();
    let successors = given.number("successors", default.successors, (1, SUCCESSORS_MAX))?;
    if runs && successors + 1 < replicas {
        let why = format!(
            "copies go to the next nodes of the successor list: for replicas = {replicas} expected successors = {} at least, not {successors}",
            replicas - 1
        );
        return Err(given.wrong(&["successors", "replicas"], why));
    }
    Ok(chord::Config {
        successors,
        replicas,
        stabilize_period: given.duration("stabilize_period", default.stabilize_period, PERIODS)?,
        fix_fingers_period: given.duration("fix_fingers_period", default.fix_fingers_period, PERIODS)?,
        ..default
    })
}

fn pastry(given: &Given, replicas: usize, runs: bool) -> Result<pastry::Config, Fatal> {
    let default = pastry::Config::default();
    let config = pastry::Config {
        leaf_set: given.number("leaf_set", default.leaf_set, (2, pastry::Config::LEAF_SET_MAX))?,
        digit_bits: given.number("digit_bits", default.digit_bits, (1, pastry::Config::DIGIT_BITS_MAX))?,
        replicas,
        ..default
    };
    match config.check() {
        Err(why) if runs => Err(of_protocol(given, &why)),
        _ => Ok(config),
    }
}

fn kelips(given: &Given, replicas: usize, space: Space, runs: bool) -> Result<kelips::Config, Fatal> {
    let default = kelips::Config::default();
    let config = kelips::Config {
        space,
        groups: given.number("groups", default.groups, (1, kelips::Config::GROUPS_MAX))?,
        contacts: given.number("contacts", default.contacts, (1, kelips::Config::CONTACTS_MAX))?,
        gossip_period: given.duration("gossip_period", default.gossip_period, PERIODS)?,
        replicas,
        ..default
    };
    match config.validate() {
        Err(why) if runs => Err(of_protocol(given, &why.to_string())),
        _ => Ok(config),
    }
}

/// What an overlay itself finds wrong: it begins with the setting's name. One that was not given does not fit another.
fn of_protocol(given: &Given, why: &str) -> Fatal {
    match why.split_once(": ") {
        Some((name, rest)) if given.is_given(name) => given.wrong(&[name], rest),
        _ => given.wrong(&["replicas", "id_bits"], why),
    }
}

/// Whether this is an address of no machine in particular.
fn is_unspecified(addr: &str) -> bool {
    let ip: Option<IpAddr> = match addr.parse::<SocketAddr>() {
        Ok(socket) => Some(socket.ip()),
        Err(_) => addr.rsplit_once(':').and_then(|(host, _)| host.parse().ok()),
    };
    ip.is_some_and(|ip| ip.is_unspecified())
}

/// Nobody can dial 0.0.0.0.
pub(crate) fn refuse_unspecified(addr: &str) -> Result<(), Fatal> {
    if !is_unspecified(addr) {
        return Ok(());
    }
    Err(Fatal::config(format!(
        "advertise: nobody can dial {addr}; say --advertise HOST:PORT with an address that the other nodes reach, or --advertise auto"
    )))
}

#[cfg(test)]
mod tests;
