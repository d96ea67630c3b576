//! The settings of one node, checked and with their defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use overlay::Routing;
use ring::{Id, Space};

use crate::dev_latency::LatencyMatrix;
use crate::exit::Fatal;
use crate::options::{self, ChordOptions, KelipsOptions, LogFormat, OnSigterm, Options, PastryOptions};

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
    /// What a polite signal means.
    pub on_sigterm: OnSigterm,
    /// When to give up leaving.
    pub leave_timeout: Duration,
    /// Form of the log.
    pub log_format: LogFormat,
    /// For development: round trips that are added to calls to other nodes; `None`: none.
    pub dev_latency: Option<Arc<LatencyMatrix>>,
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

/// Longest cluster name in bytes: it travels with every call.
const CLUSTER_NAME_MAX: usize = 64;
/// Largest value that a message can be configured to carry.
const VALUE_LIMIT_MAX: usize = 64 << 20;
/// More copies than this help nobody, and a set has to fit in a message.
const REPLICAS_MAX: usize = 16;
/// Longest successor list: it is sent whole.
const SUCCESSORS_MAX: usize = 128;

impl Config {
    /// Checks `options` and fills in the defaults. Every error names the setting and what it may be.
    pub fn new(options: Options) -> Result<Self, Fatal> {
        let protocol = options.protocol.unwrap_or_else(|| "chord".to_owned());
        if !crate::PROTOCOLS.contains(&protocol.as_str()) {
            let known = crate::PROTOCOLS.join(", ");
            return Err(Fatal::config(format!("protocol: `{protocol}` is not one of those in this build: {known}")));
        }
        let space =
            Space::new(options.id_bits.unwrap_or(160)).map_err(|error| Fatal::config(format!("id_bits: {error}")))?;
        let id = match options.id {
            None => None,
            Some(text) => Some(space.parse(&text).map_err(|error| Fatal::config(format!("id: {error}")))?),
        };
        let replicas = within("replicas", options.replicas.unwrap_or(3), 1, REPLICAS_MAX)?;
        let chord = chord(&options.chord, replicas, protocol == "chord")?;
        let pastry = pastry(&options.pastry, replicas, protocol == "pastry")?;
        let kelips = kelips(&options.kelips, replicas, space, protocol == "kelips")?;
        let durable = options.data_dir.is_some();
        Ok(Self {
            protocol,
            listen: host_port("listen", options.listen.unwrap_or_else(|| "127.0.0.1:7160".to_owned()))?,
            http: match options.http.as_deref() {
                Some("off") => None,
                Some(addr) => Some(host_port("http", addr.to_owned())?),
                None => Some("127.0.0.1:7161".to_owned()),
            },
            advertise: advertise(options.advertise)?,
            join: joins(options.join.unwrap_or_default())?,
            join_timeout: options.join_timeout.unwrap_or(Duration::from_secs(30)),
            cluster: cluster(options.cluster.unwrap_or_else(|| "default".to_owned()))?,
            data_dir: options.data_dir,
            id,
            space,
            replicas,
            value_limit: within("value_limit", options.value_limit.unwrap_or(4 << 20), 1, VALUE_LIMIT_MAX)?,
            routing: options.routing.map(|routing| match routing {
                options::Routing::Iterative => Routing::Iterative,
                options::Routing::Recursive => Routing::Recursive,
            }),
            lost_majority_after: lost_majority_after(options.lost_majority_after.as_deref())?,
            on_sigterm: options.on_sigterm.unwrap_or(if durable { OnSigterm::Stop } else { OnSigterm::Leave }),
            leave_timeout: options.leave_timeout.unwrap_or(Duration::from_secs(30)),
            log_format: options.log_format.unwrap_or(LogFormat::Text),
            dev_latency: match options.dev_latency {
                None => None,
                Some(path) => Some(Arc::new(LatencyMatrix::read(&path)?)),
            },
            chord,
            pastry,
            kelips,
        })
    }
}

/// Chord's parameters. What has to fit together does where Chord is what runs.
fn chord(options: &ChordOptions, replicas: usize, runs: bool) -> Result<chord::Config, Fatal> {
    let default = chord::Config::default();
    let successors = within("successors", options.successors.unwrap_or(default.successors), 1, SUCCESSORS_MAX)?;
    if runs && successors + 1 < replicas {
        return Err(Fatal::config(format!(
            "successors: {successors} is too few for replicas = {replicas}: copies go to the next nodes of the list, so it takes at least {}",
            replicas - 1
        )));
    }
    Ok(chord::Config {
        successors,
        replicas,
        stabilize_period: period("stabilize_period", options.stabilize_period, default.stabilize_period)?,
        fix_fingers_period: period("fix_fingers_period", options.fix_fingers_period, default.fix_fingers_period)?,
        ..default
    })
}

fn pastry(options: &PastryOptions, replicas: usize, runs: bool) -> Result<pastry::Config, Fatal> {
    let default = pastry::Config::default();
    let config = pastry::Config {
        leaf_set: options.leaf_set.unwrap_or(default.leaf_set),
        digit_bits: options.digit_bits.unwrap_or(default.digit_bits),
        replicas,
        ..default
    };
    match config.check() {
        Err(why) if runs => Err(Fatal::config(why)),
        _ => Ok(config),
    }
}

fn kelips(options: &KelipsOptions, replicas: usize, space: Space, runs: bool) -> Result<kelips::Config, Fatal> {
    let default = kelips::Config::default();
    let config = kelips::Config {
        space,
        groups: options.groups.unwrap_or(default.groups),
        contacts: options.contacts.unwrap_or(default.contacts),
        gossip_period: period("gossip_period", options.gossip_period, default.gossip_period)?,
        replicas,
        ..default
    };
    match config.validate() {
        Err(why) if runs => Err(Fatal::config(why.to_string())),
        _ => Ok(config),
    }
}

fn within(name: &str, value: usize, min: usize, max: usize) -> Result<usize, Fatal> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Fatal::config(format!("{name}: {value} is out of range, it may be {min} to {max}")))
}

fn period(name: &str, given: Option<Duration>, default: Duration) -> Result<Duration, Fatal> {
    match given {
        Some(period) if !(Duration::from_millis(20)..=Duration::from_secs(600)).contains(&period) => {
            let period = humantime::format_duration(period);
            Err(Fatal::config(format!("{name}: {period} is out of range, it may be 20ms to 10min")))
        }
        given => Ok(given.unwrap_or(default)),
    }
}

/// `HOST:PORT`, with a host; the host is resolved when it is used.
fn host_port(name: &str, text: String) -> Result<String, Fatal> {
    let bad = || Fatal::config(format!("{name}: `{text}` is not HOST:PORT, for instance 127.0.0.1:7160 or [::1]:7160"));
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    if host.is_empty() || port.parse::<u16>().is_err() || (host.contains(':') && !host.starts_with('[')) {
        return Err(bad());
    }
    Ok(text)
}

fn advertise(given: Option<String>) -> Result<Advertise, Fatal> {
    let text = match given.as_deref() {
        None => return Ok(Advertise::Bound),
        Some("auto") => return Ok(Advertise::Auto),
        Some(text) => host_port("advertise", text.to_owned())?,
    };
    refuse_unspecified(&text)?;
    Ok(Advertise::Fixed(text))
}

/// Nobody can dial 0.0.0.0.
pub(crate) fn refuse_unspecified(addr: &str) -> Result<(), Fatal> {
    let ip: Option<IpAddr> = match addr.parse::<SocketAddr>() {
        Ok(socket) => Some(socket.ip()),
        Err(_) => addr.rsplit_once(':').and_then(|(host, _)| host.parse().ok()),
    };
    match ip {
        Some(ip) if ip.is_unspecified() => Err(Fatal::config(format!(
            "advertise: nobody can dial {addr}; say --advertise HOST:PORT with an address that the other nodes reach, or --advertise auto"
        ))),
        _ => Ok(()),
    }
}

fn joins(given: Vec<String>) -> Result<Vec<String>, Fatal> {
    let mut seeds = Vec::new();
    for text in given.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let seed = host_port("join", text.to_owned())?;
        if seed.ends_with(":0") {
            return Err(Fatal::config(format!("join: `{seed}` has port 0, which nobody listens on")));
        }
        if !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    Ok(seeds)
}

fn cluster(name: String) -> Result<String, Fatal> {
    if name.is_empty() || name.len() > CLUSTER_NAME_MAX || name.chars().any(char::is_control) {
        return Err(Fatal::config(format!(
            "cluster: a name has 1 to {CLUSTER_NAME_MAX} bytes and no control characters"
        )));
    }
    Ok(name)
}

fn lost_majority_after(given: Option<&str>) -> Result<Option<Duration>, Fatal> {
    match given {
        None => Ok(Some(Duration::from_secs(5))),
        Some("never") => Ok(None),
        Some(text) => humantime::parse_duration(text).map(Some).map_err(|error| {
            Fatal::config(format!(
                "lost_majority_after: `{text}` is neither `never` nor a duration such as 5s: {error}"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, String> {
        let options: Options = toml::from_str(text).map_err(|error| error.to_string())?;
        Config::new(options).map_err(|fatal| fatal.message)
    }

    #[test]
    fn nothing_given_means_the_documented_defaults() {
        let config = config("").unwrap();
        assert_eq!((config.listen.as_str(), config.http.as_deref()), ("127.0.0.1:7160", Some("127.0.0.1:7161")));
        assert_eq!((config.replicas, config.chord.successors, config.space.bits()), (3, 8, 160));
        assert_eq!(config.on_sigterm, OnSigterm::Leave);
        assert_eq!((config.routing, config.dev_latency), (None, None));
        assert_eq!(config.lost_majority_after, Some(Duration::from_secs(5)));
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Options { replicas: Some(5), ..Options::default() };
        let file = Options { replicas: Some(2), id_bits: Some(7), ..Options::default() };
        let config = Config::new(flags.over(file)).unwrap();
        assert_eq!((config.replicas, config.space.bits()), (5, 7));
    }

    #[test]
    fn every_mistake_is_refused_by_name() {
        for (text, name) in [
            ("id_bits = 2", "id_bits"),
            ("id_bits = 7\nid = \"80\"", "id"),
            ("replicas = 0", "replicas"),
            ("replicas = 10", "successors"),
            ("listen = \"7160\"", "listen"),
            ("advertise = \"0.0.0.0:7160\"", "advertise"),
            ("advertise = \"[::]:7160\"", "advertise"),
            ("join = \"seed\"", "join"),
            ("cluster = \"\"", "cluster"),
            ("protocol = \"tapestry\"", "tapestry"),
            ("lost_majority_after = \"soon\"", "lost_majority_after"),
            ("[chord]\nstabilize_period = \"1ms\"", "stabilize_period"),
            ("replica = 3", "replica"),
            ("protocol = \"pastry\"\n[pastry]\nleaf_set = 7", "leaf_set"),
            ("protocol = \"pastry\"\n[pastry]\ndigit_bits = 0", "digit_bits"),
            ("protocol = \"kelips\"\n[kelips]\ngroups = 0", "groups"),
            ("protocol = \"kelips\"\nid_bits = 3\n[kelips]\ngroups = 9", "groups"),
            ("[kelips]\ngossip_period = \"1ms\"", "gossip_period"),
            ("routing = \"random\"", "random"),
            ("dev_latency = \"/nowhere\"", "dev_latency"),
        ] {
            let error = config(text).expect_err(text);
            assert!(error.contains(name), "{text}: {error}");
        }
    }

    #[test]
    fn routing_is_either_way() {
        assert_eq!(config("routing = \"recursive\"").unwrap().routing, Some(Routing::Recursive));
        assert_eq!(config("routing = \"iterative\"").unwrap().routing, Some(Routing::Iterative));
    }

    #[test]
    fn several_seeds_are_read_from_a_list_and_from_commas() {
        assert_eq!(config("join = \"a:1, b:2,a:1\"").unwrap().join, ["a:1", "b:2"]);
        assert_eq!(config("join = [\"a:1\", \"b:2\"]").unwrap().join, ["a:1", "b:2"]);
    }
}
