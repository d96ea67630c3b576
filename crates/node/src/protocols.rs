//! The overlay protocols of this build: what `--protocol` names, and how each gets its settings.

use overlay::Routing;
use wire::WireProtocol;

use crate::config::Config;
use crate::exit::Fatal;
use crate::run::run;

/// Makes a protocol's own configuration out of the node's.
pub(crate) trait Configured: WireProtocol {
    /// How its lookups find their way unless they are told.
    const ROUTING: Routing = Routing::Iterative;

    /// Its parameters.
    fn configured(config: &Config) -> Self::Config;

    /// What of them must be equal in a whole cluster, by name.
    fn settings(_config: &Config) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The registry: a line for each protocol.
macro_rules! protocols {
    ($($name:literal => $protocol:ty),+ $(,)?) => {
        /// The overlay protocols of this build.
        pub const PROTOCOLS: &[&str] = &[$($name),+];

        /// Runs a node of the configured protocol.
        pub(crate) async fn run_configured(config: Config) -> Result<(), Fatal> {
            match config.protocol.as_str() {
                $($name => run::<$protocol>(config).await,)+
                other => Err(Fatal::config(format!("protocol: `{other}` is not in this build"))),
            }
        }
    };
}

protocols! {
    "chord" => chord::Chord,
    "pastry" => pastry::Pastry,
    "kelips" => kelips::Kelips,
}

impl Configured for chord::Chord {
    fn configured(config: &Config) -> chord::Config {
        config.chord.clone()
    }
}

impl Configured for pastry::Pastry {
    /// Measured to be faster on one machine (0.52 ms against 0.57) as over long links (54 ms against 60). Chord gains more
    /// there (74 against 108) and loses on short ones (0.81 against 0.60), Kelips has but one hop.
    const ROUTING: Routing = Routing::Recursive;

    fn configured(config: &Config) -> pastry::Config {
        config.pastry.clone()
    }

    fn settings(config: &Config) -> Vec<(&'static str, String)> {
        vec![("digit_bits", config.pastry.digit_bits.to_string())]
    }
}

impl Configured for kelips::Kelips {
    fn configured(config: &Config) -> kelips::Config {
        config.kelips.clone()
    }

    fn settings(config: &Config) -> Vec<(&'static str, String)> {
        vec![("groups", config.kelips.groups.to_string())]
    }
}
