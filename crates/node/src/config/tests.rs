use std::path::Path;

use clap::CommandFactory;

use super::*;
use crate::options::Cli;

fn config(text: &str) -> Result<Config, String> {
    Given::from_toml(Path::new("dhtd.toml"), text).and_then(|given| Config::new(&given)).map_err(|fatal| fatal.message)
}

#[test]
fn nothing_given_means_the_documented_defaults() {
    let config = config("").unwrap();
    assert_eq!((config.listen.as_str(), config.http.as_deref()), ("127.0.0.1:7160", Some("127.0.0.1:7161")));
    assert_eq!((config.replicas, config.chord.successors, config.space.bits()), (3, 8, 160));
    assert_eq!(config.on_sigterm, OnSigterm::Leave);
    assert_eq!((config.routing, config.dev_latency, config.dev_faults), (None, None, None));
    assert_eq!(config.lost_majority_after, Some(Duration::from_secs(5)));
}

#[test]
fn flags_win_over_the_file() {
    let flags = Given::from_matches(&Cli::command().get_matches_from(["dhtd", "--replicas", "5"]));
    let file = Given::from_toml(Path::new("dhtd.toml"), "replicas = 2\nid_bits = 7").unwrap();
    let config = Config::new(&flags.over(file)).unwrap();
    assert_eq!((config.replicas, config.space.bits()), (5, 7));
}

#[test]
fn every_mistake_is_refused_with_its_line_its_value_and_what_it_may_be() {
    for (text, error) in [
        ("id_bits = 2", "dhtd.toml:1: id_bits = 2: expected a number from 3 to 160"),
        ("id_bits = 7\nid = \"80\"", "dhtd.toml:2: id = \"80\": expected a hexadecimal number below 2^7"),
        ("id = 50", "dhtd.toml:1: id = 50: expected a hexadecimal number below 2^160, in quotes"),
        ("replicas = 0", "dhtd.toml:1: replicas = 0: expected a number from 1 to 16"),
        (
            "value_limit = \"65MiB\"",
            "value_limit = \"65MiB\": expected a number of bytes from 1 to 64MiB, such as 4MiB",
        ),
        ("replicas = -1", "dhtd.toml:1: replicas = -1: expected a number from 1 to 16"),
        (
            "replicas = 10",
            "dhtd.toml:1: replicas = 10: copies go to the next nodes of the successor list: for replicas = 10 expected successors = 9 at least, not 8",
        ),
        (
            "listen = \"7160\"",
            "dhtd.toml:1: listen = \"7160\": expected HOST:PORT, such as 127.0.0.1:7160 or [::1]:7160",
        ),
        ("listen = \"[::]:7160\"", "dhtd.toml:1: listen = \"[::]:7160\": nobody can dial [::]:7160"),
        ("http = \"127.0.0.1:7160\"", "dhtd.toml:1: http = \"127.0.0.1:7160\": gRPC (`listen`) and HTTP"),
        ("advertise = \"0.0.0.0:7160\"", "advertise = \"0.0.0.0:7160\": expected auto, or HOST:PORT"),
        ("advertise = \"[::]:7160\"", "advertise = \"[::]:7160\": expected auto, or HOST:PORT"),
        ("join = \"seed\"", "dhtd.toml:1: join = \"seed\": `seed`: expected HOST:PORT"),
        ("join = [\"seed:1\", 2]", "join = [\"seed:1\", 2]: expected a text, or a list of texts"),
        ("cluster = \"\"", "dhtd.toml:1: cluster = \"\": expected a name of 1 to 64 bytes"),
        ("protocol = \"tapestry\"", "protocol = \"tapestry\": expected one of chord, pastry, kelips"),
        ("join_timeout = \"soon\"", "join_timeout = \"soon\": expected a duration from 100ms to 1day, such as 30s"),
        ("join_timeout = 30", "join_timeout = 30: expected a duration from 100ms to 1day, such as 30s, in quotes"),
        (
            "\n\nlost_majority_after = \"0s\"",
            "dhtd.toml:3: lost_majority_after = \"0s\": expected a duration from 1s to 365days, such as 5s; or never",
        ),
        ("write_quorum = \"most\"", "write_quorum = \"most\": expected one, majority, all or a number from 1 to 3"),
        ("write_quorum = 4", "dhtd.toml:1: write_quorum = 4: expected one, majority, all or a number from 1 to 3"),
        ("read_quorum = true", "read_quorum = true: expected one, majority, all or a number from 1 to 3"),
        ("replicas = 1\nread_quorum = 2", "dhtd.toml:2: read_quorum = 2: expected one, majority, all or the number 1"),
        ("repair_bandwidth = \"fast\"", "repair_bandwidth = \"fast\": expected none, or bytes a second, 1KiB at least"),
        ("repair_bandwidth = 10", "repair_bandwidth = 10: expected none, or bytes a second, 1KiB at least"),
        ("repair_period = \"1ms\"", "repair_period = \"1ms\": expected a duration from 1s to 1day, such as 1min"),
        (
            "tombstone_grace = \"0s\"",
            "tombstone_grace = \"0s\": expected a duration from 4s to 3650days, such as 10days",
        ),
        ("clock_drift_max = \"2h\"", "clock_drift_max = \"2h\": expected a duration from 10ms to 1h, such as 1s"),
        (
            "[chord]\nstabilize_period = \"1ms\"",
            "dhtd.toml:2: stabilize_period = \"1ms\": expected a duration from 20ms to 10min, such as 500ms",
        ),
        ("protocol = \"pastry\"\n[pastry]\nleaf_set = 7", "dhtd.toml:3: leaf_set = 7: 7 does not do"),
        ("protocol = \"pastry\"\nreplicas = 10", "dhtd.toml:2: replicas = 10: leaf_set: 16 is too small"),
        ("[pastry]\ndigit_bits = 0", "dhtd.toml:2: digit_bits = 0: expected a number from 1 to 8"),
        ("[kelips]\ngroups = 0", "dhtd.toml:2: groups = 0: expected a number from 1 to 1024"),
        ("protocol = \"kelips\"\nid_bits = 3\n[kelips]\ngroups = 9", "dhtd.toml:4: groups = 9: identifiers of 3 bits"),
        ("[kelips]\ngossip_period = \"1ms\"", "gossip_period = \"1ms\": expected a duration from 20ms to 10min"),
        ("routing = \"random\"", "dhtd.toml:1: routing = \"random\": expected iterative or recursive"),
        ("on_sigterm = \"die\"", "dhtd.toml:1: on_sigterm = \"die\": expected leave or stop"),
        ("log_format = \"xml\"", "dhtd.toml:1: log_format = \"xml\": expected text or json"),
        ("dev_latency = \"/nowhere\"", "dhtd.toml:1: dev_latency = \"/nowhere\": cannot read /nowhere: "),
    ] {
        let said = config(text).expect_err(text);
        assert!(said.contains(error) && said.starts_with("dhtd.toml:"), "{text}: {said}");
    }
}

#[test]
fn quorums_and_bandwidth_are_words_or_numbers() {
    let default = config("").unwrap();
    assert_eq!((default.write_quorum, default.read_quorum), (Need::Majority, Need::Majority));
    assert_eq!(default.repair_bandwidth, None);
    let given = config("write_quorum = 3\nread_quorum = \"1\"\nrepair_bandwidth = \"10MiB\"").unwrap();
    assert_eq!((given.write_quorum, given.read_quorum), (Need::Copies(3), Need::Copies(1)));
    assert_eq!(given.repair_bandwidth, Some(10 << 20));
    assert_eq!(config("value_limit = \"64MiB\"").unwrap().value_limit, 64 << 20);
    assert_eq!(config("value_limit = 1_000").unwrap().value_limit, 1_000);
    assert_eq!(config("repair_bandwidth = 4096").unwrap().repair_bandwidth, Some(4096));
    assert_eq!(config("repair_bandwidth = \"none\"").unwrap().repair_bandwidth, None);
}

#[test]
fn a_quorum_is_what_it_comes_to_however_it_is_put() {
    let quorums = |text: &str| {
        let config = config(text).unwrap();
        (config.write_quorum, config.read_quorum)
    };
    assert_eq!(quorums("write_quorum = 2\nread_quorum = \"majority\""), (Need::Majority, Need::Majority));
    assert_eq!(quorums("write_quorum = \"all\"\nread_quorum = \"one\""), (Need::Copies(3), Need::Copies(1)));
    assert_eq!(quorums("replicas = 5\nwrite_quorum = 2\nread_quorum = 3"), (Need::Copies(2), Need::Majority));
    assert_eq!(quorums("replicas = 2\nwrite_quorum = \"all\""), (Need::Majority, Need::Majority));
}

#[test]
fn what_a_start_would_find_is_looked_at_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("faults");
    let data_dir = file.join("data");
    let check = |text: String| {
        let given = Given::from_toml(Path::new("dhtd.toml"), &text).unwrap();
        Config::new(&given).unwrap().check_surroundings(&given).map_err(|fatal| fatal.message)
    };
    let faults = || check(format!("dev_faults = {file:?}"));
    let data = || check(format!("data_dir = {data_dir:?}"));
    assert_eq!(data(), Ok(()));
    let missing = faults().unwrap_err();
    let place = format!("dhtd.toml:1: dev_faults = {file:?}: ");
    assert!(missing.starts_with(&format!("{place}cannot read {}: ", file.display())), "{missing}");
    std::fs::write(&file, "lose 0.1\nlose everything\n").unwrap();
    let bad = faults().unwrap_err();
    assert!(bad.starts_with(&place) && bad.contains("line 2: `lose everything` does not name a share"), "{bad}");
    assert!(data().unwrap_err().contains("is no directory"));
    std::fs::write(&file, "lose 0.1\n").unwrap();
    assert_eq!(faults(), Ok(()));
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
