//! The command line: what all commands share, and the list of commands.

use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Parser, Subcommand, ValueEnum};
use client::{Consistency, Endpoint};

use crate::commands;
use crate::digits::bytes_from_hex;
use crate::exit::{Failure, Result};

/// Put and get, look inside an overlay, run a local cluster, measure it.
///
/// Any node serves any key: the next endpoint is tried when one does not answer.
#[derive(Parser, Debug)]
#[command(name = "dht", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok · 1 failure · 2 usage · 3 not found · 4 unreachable, timed out or outcome \
    unknown · 5 quorum not met, or unhealthy · 6 not allowed · 7 condition failed · 130 interrupted";

/// Apart from what only one command has.
const EVERYWHERE: &str = "Options of every command";

/// What goes before or after any command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Nodes to ask, HOST:PORT, comma-separated, in order of preference
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env = "DHT_ENDPOINTS",
        value_name = "HOST:PORT,…",
        value_delimiter = ',',
        default_value = "127.0.0.1:7160"
    )]
    pub(crate) endpoints: Vec<Endpoint>,
    /// What stdout is for: people or programs
    #[arg(short, long, global = true, help_heading = EVERYWHERE, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// How long to wait for an answer, all endpoints together
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        value_name = "TIME",
        default_value = "5s",
        value_parser = positive_time
    )]
    pub(crate) timeout: Duration,
    /// The greatest message to send or take in, in bytes; follows a cluster that allows greater values
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        value_name = "BYTES",
        default_value_t = client::Config::default().message_bytes_max,
        hide_short_help = true
    )]
    pub(crate) message_limit: usize,
}

/// What stdout is for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Put(commands::put::Put),
    Get(commands::get::Get),
    Delete(commands::delete::Delete),
    Lookup(commands::lookup::Lookup),
    Explain(commands::explain::Explain),
    Status(commands::status::Status),
    Ring(commands::ring::Ring),
    Table(commands::table::Table),
    Check(commands::check::Check),
    Verify(commands::verify::Verify),
    Leave(commands::leave::Leave),
    Join(commands::join::Join),
    Dev(commands::dev::Dev),
    Compare(commands::compare::Compare),
    Demo(commands::demo::Demo),
    Bench(commands::bench::Bench),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

/// A key, as it is written on the command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct KeyArg {
    /// The key: UTF-8, or hexadecimal with --hex
    pub(crate) key: String,
    /// The key is written in hexadecimal digits, two a byte
    #[arg(long)]
    pub(crate) hex: bool,
}

impl KeyArg {
    /// The key's bytes.
    pub(crate) fn bytes(&self) -> Result<Bytes> {
        key_bytes(&self.key, self.hex)
    }
}

/// How many holders have to answer.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ConsistencyArg {
    /// How many of the record's holders have to answer; else the cluster's quorum
    #[arg(long, value_name = "HOLDERS", value_enum)]
    consistency: Option<Holders>,
}

/// How many of a record's holders.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Holders {
    /// The primary alone
    One,
    /// A majority, the primary included
    Quorum,
    /// All
    All,
}

impl ConsistencyArg {
    pub(crate) fn asked(self) -> Option<Consistency> {
        self.consistency.map(|holders| match holders {
            Holders::One => Consistency::One,
            Holders::Quorum => Consistency::Quorum,
            Holders::All => Consistency::All,
        })
    }
}

/// A key's bytes, from what the command line says.
pub(crate) fn key_bytes(key: &str, hex: bool) -> Result<Bytes> {
    if !hex {
        return Ok(Bytes::copy_from_slice(key.as_bytes()));
    }
    bytes_from_hex(key).map(Bytes::from).ok_or_else(|| {
        Failure::usage(format!("`{key}` is not hexadecimal: --hex takes two digits for each byte of the key"))
    })
}

/// A time above zero: `5s`, `250ms`, `1m 30s`.
pub(crate) fn positive_time(text: &str) -> std::result::Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time >= Duration::from_millis(1) => Ok(time),
        Ok(_) => Err("must be at least 1ms".to_owned()),
        Err(error) => Err(format!("{error}; write for instance 5s, 250ms or 2m")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::exit::Exit;

    fn parse(line: &str) -> std::result::Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_before_and_after_the_command() {
        for line in [
            "dht -o json --endpoints a:1,b:2 --timeout 250ms status",
            "dht status --timeout 250ms --endpoints a:1,b:2 -o json",
        ] {
            let global = parse(line).unwrap().global;
            let endpoints: Vec<String> = global.endpoints.iter().map(ToString::to_string).collect();
            assert_eq!(endpoints, ["a:1", "b:2"]);
            assert_eq!(global.timeout, Duration::from_millis(250));
            assert_eq!(global.output, Format::Json);
        }
    }

    #[test]
    fn what_can_not_be_is_a_usage_error() {
        for line in [
            "dht",
            "dht put k",
            "dht put k v --file f",
            "dht put k v --if-absent --if-version 0000000000000001-0000000000000001-0000000000000001",
            "dht put k v --if-version 12",
            "dht put k v --ttl 0s",
            "dht put k v --consistency two",
            "dht get k --consistency",
            "dht delete k --consistency default",
            "dht explain",
            "dht explain k --id 3",
            "dht verify k",
            "dht verify --keys some",
            "dht lookup",
            "dht lookup k --id 3",
            "dht status --endpoints localhost",
            "dht status --timeout soon",
            "dht dev --nodes 0",
            "dht compare",
            "dht compare k --nodes 0",
            "dht bench --read-ratio 1.5",
            "dht completions klingon",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn holders_are_asked_for_by_name_and_else_left_to_the_cluster() {
        let asked = |line: &str| match parse(line).unwrap().command {
            Command::Get(get) => get.consistency.asked(),
            command => panic!("{command:?}"),
        };
        assert_eq!(asked("dht get k"), None);
        assert_eq!(asked("dht get k --consistency one"), Some(Consistency::One));
        assert_eq!(asked("dht get --consistency quorum k"), Some(Consistency::Quorum));
        assert_eq!(asked("dht get k --consistency=all"), Some(Consistency::All));
    }

    #[test]
    fn a_key_is_utf_8_or_hexadecimal() {
        assert_eq!(key_bytes("ключ", false).unwrap(), "ключ".as_bytes());
        assert_eq!(key_bytes("00fF", true).unwrap(), &[0x00, 0xff][..]);
        assert_eq!(key_bytes("0ff", true).unwrap_err().exit, Exit::Usage);
        assert_eq!(key_bytes("zz", true).unwrap_err().exit, Exit::Usage);
    }
}
