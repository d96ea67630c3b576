//! Starts that cannot work: each its own message, which says what was wrong and where, and its own exit code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use harness::{Cluster, Finished, Protocol, free_port};

const USAGE: i32 = 2;
const NOT_JOINED: i32 = 4;
const FAILURE: i32 = 1;

/// `dhtd` with these arguments and free ports; it is expected to end by itself.
#[track_caller]
fn start(args: &[&str]) -> Finished {
    let mut all = vec!["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    for flag in args {
        if let Some(at) = all.iter().position(|known| known == flag) {
            all.drain(at..at + 2);
        }
    }
    all.extend(args);
    let ended = Cluster::dhtd_plain(&all, Duration::from_secs(30));
    assert_eq!(ended.text(), "", "stdout is for the ready line alone");
    assert!(!ended.stderr.contains("panicked"), "{}: {}", ended.command, ended.stderr);
    ended
}

#[test]
fn a_node_of_another_cluster_or_with_other_settings_is_refused_with_both_values() {
    let cluster = Cluster::named("ours").start();
    let seed = cluster.address(0);
    let join = |args: &[&str]| {
        let mut all = vec!["--join", &seed, "--join-timeout", "20s"];
        all.extend(args);
        let ended = start(&all).expect_code(NOT_JOINED);
        assert!(ended.took < Duration::from_secs(15), "a refusal is final, but it took {:?}", ended.took);
        ended
    };
    join(&["--cluster", "theirs"]).expect_stderr(&["ours", "theirs", &seed]);
    let ours = ["--cluster", "ours"];
    join(&[&ours[..], &["--id-bits", "32"]].concat()).expect_stderr(&["160", "32"]);
    join(&[&ours[..], &["--replicas", "2"]].concat()).expect_stderr(&["replicas", "2", "3"]);
    let taken = cluster.nodes[0].id().to_owned();
    join(&[&ours[..], &["--id", &taken]].concat()).expect_stderr(&[&taken, &seed]);
    cluster.check(0).expect("nobody got in");
}

#[test]
fn a_node_of_another_overlay_or_with_other_settings_of_the_same_is_refused_with_both_values() {
    let refused = |ours: Protocol, args: &[&str], values: &[&str]| {
        let cluster = Cluster::named("ours").protocol(ours).start();
        let seed = cluster.address(0);
        let mut all = vec!["--cluster", "ours", "--join", &seed, "--join-timeout", "20s"];
        all.extend(args);
        let ended = start(&all).expect_code(NOT_JOINED).expect_stderr(values);
        assert!(ended.took < Duration::from_secs(15), "a refusal is final, but it took {:?}", ended.took);
        cluster.check(0).expect("nobody got in");
    };
    refused(Protocol::Chord, &["--protocol", "pastry"], &["chord", "pastry"]);
    refused(Protocol::Pastry, &["--protocol", "kelips"], &["pastry", "kelips"]);
    refused(Protocol::Kelips { groups: 2 }, &[], &["kelips", "chord"]);
    refused(Protocol::Pastry, &["--protocol", "pastry", "--digit-bits", "2"], &["digit_bits", "4", "2"]);
    refused(Protocol::Kelips { groups: 5 }, &["--protocol", "kelips", "--groups", "3"], &["groups", "5", "3"]);
}

#[test]
fn an_old_data_directory_is_refused_with_another_number_of_groups_or_another_overlay() {
    let mut cluster = Cluster::named("regrouped").protocol(Protocol::Kelips { groups: 5 }).durable().start();
    let data_dir = cluster.data_dir(0).display().to_string();
    cluster.nodes[0].terminate(Duration::from_secs(30));
    let again = |args: &[&str]| {
        let all = [&["--cluster", "regrouped", "--data-dir", &data_dir], args].concat();
        start(&all).expect_code(USAGE).expect_stderr(&[&data_dir])
    };
    again(&["--protocol", "kelips", "--groups", "3"]).expect_stderr(&["groups", "5", "3"]);
    // In an overlay without groups, records lie elsewhere.
    again(&["--protocol", "pastry"]).expect_stderr(&["groups", "5", "1"]);
    // With the old number it is as it was.
    cluster.launch_all([0]);
}

#[test]
fn an_unknown_protocol_is_named_with_those_there_are() {
    let known = ["gnutella", "chord", "pastry", "kelips"];
    start(&["--protocol", "gnutella"]).expect_code(USAGE).expect_stderr(&known);
}

#[test]
fn a_seed_that_does_not_answer_is_named_when_the_join_timeout_is_over() {
    let seed = format!("127.0.0.1:{}", free_port());
    let ended = start(&["--join", &seed, "--join-timeout", "2s"]).expect_code(NOT_JOINED).expect_stderr(&[&seed]);
    assert!(ended.took >= Duration::from_secs(2), "{:?}", ended.took);
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
}

#[test]
fn a_port_in_use_is_named() {
    let cluster = Cluster::named("port").start();
    let taken = cluster.address(0);
    start(&["--listen", &taken]).expect_code(FAILURE).expect_stderr(&[&taken]);
    let http = cluster.nodes[0].http().to_owned();
    start(&["--http", &http]).expect_code(FAILURE).expect_stderr(&[&http]);
}

#[test]
fn a_data_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").expect("a file");
    // Under a file nobody makes a directory, not even root.
    let data_dir = file.join("data").display().to_string();
    start(&["--data-dir", &data_dir]).expect_code(USAGE).expect_stderr(&[&data_dir]);
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let cluster = Cluster::named("in-use").durable().start();
    let data_dir = cluster.data_dir(0).display().to_string();
    let ended = start(&["--data-dir", &data_dir]).expect_stderr(&[&data_dir]);
    assert!([FAILURE, USAGE].contains(&ended.code), "{ended:?}");
}

/// Every file and directory: when it was changed, and what is in it.
fn state(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Option<Vec<u8>>)> {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).expect("a time");
    let mut found = BTreeMap::from([(dir.to_owned(), (modified(dir), None))]);
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(state(&path)),
            false => drop(found.insert(path.clone(), (modified(&path), Some(fs::read(&path).expect("read"))))),
        }
    }
    found
}

#[test]
fn a_data_directory_that_is_not_sound_is_told_by_its_files_and_not_touched() {
    let mut cluster = Cluster::named("unsound").durable().start();
    for key in ["one", "two", "three"] {
        cluster.dht(0, &["put", key, "value"]).json();
    }
    let dir = cluster.data_dir(0);
    let data_dir = dir.display().to_string();
    let verify = |code: i32, said: &[&str]| {
        let before = state(&dir);
        let ended = Cluster::dhtd_plain(&["verify-store", &data_dir], Duration::from_secs(30)).expect_code(code);
        assert!(state(&dir) == before, "{} wrote to it", ended.command);
        let told = format!("{}{}", ended.text(), ended.stderr);
        assert!(said.iter().all(|what| told.contains(what)), "{said:?}: {told}");
        let debug = ["Error:", "Error(", "Io(", "Os {", "Mismatch", "panicked"];
        assert!(!debug.iter().any(|name| told.contains(name)), "{told}");
    };
    // What a running node writes meanwhile is its own.
    let running = Cluster::dhtd_plain(&["verify-store", &data_dir], Duration::from_secs(30));
    running.expect_code(USAGE).expect_stderr(&["in use", &data_dir]);
    assert_eq!(cluster.nodes[0].terminate(Duration::from_secs(30)), 0);
    verify(0, &["3 records", "everything is as it was written"]);

    let journal = dir.join("engine/0.jnl");
    let whole = fs::read(&journal).expect("a journal");
    let start_refused = |named: &str| {
        start(&["--cluster", "unsound", "--data-dir", &data_dir])
            .expect_code(USAGE)
            .expect_stderr(&[named, "move it away"]);
    };
    let mut rotten = whole.clone();
    rotten[30] ^= 0x10;
    fs::write(&journal, rotten).expect("written");
    verify(FAILURE, &["engine/0.jnl` is damaged", "not sound"]);
    start_refused("engine/0.jnl");
    fs::write(&journal, &whole).expect("written");

    let aside = cluster.dir().join("aside");
    for (gone, told) in
        [("engine/0.jnl", "has no journal"), ("engine", "engine` is missing"), ("FORMAT", "FORMAT is missing")]
    {
        fs::rename(dir.join(gone), &aside).expect("taken away");
        verify(FAILURE, &[told]);
        if gone == "engine/0.jnl" {
            start_refused("has no journal");
        }
        fs::rename(&aside, dir.join(gone)).expect("put back");
    }
    fs::remove_file(dir.join("LOCK")).expect("removed");
    verify(0, &["3 records", "everything is as it was written"]);
    // Nothing was lost by looking.
    cluster.launch_all([0]);
    assert_eq!(cluster.dht(0, &["get", "three"]).json()["value"], "dmFsdWU=");
}

#[test]
fn records_that_were_set_aside_are_counted_from_the_start() {
    let mut cluster = Cluster::named("aside").durable().start();
    assert_eq!(cluster.nodes[0].terminate(Duration::from_secs(30)), 0);
    let lines = "{\"key\":\"b25l\",\"value\":\"MQ==\"}\n{\"key\":\"dHdv\",\"value\":\"Mg==\"}\n{\"key\":\"dG";
    fs::write(cluster.data_dir(0).join("quarantine.jsonl"), lines).expect("written");
    cluster.launch_all([0]);
    assert_eq!(cluster.dht(0, &["status"]).json()["quarantined"], 2, "and a torn line is none");
}

#[test]
fn an_unknown_or_misspelt_configuration_key_is_named_with_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("dhtd.toml");
    let path = file.display().to_string();
    let config = |text: &str| {
        fs::write(&file, text).expect("a file");
        start(&["--config", &path]).expect_code(USAGE)
    };
    config("replicas = 3\nsuccesors = 8\n").expect_stderr(&["succesors", &path]);
    config("[chord]\nperiod = \"1s\"\n").expect_stderr(&["period", &path]);
    config("replicas = \"three\"\n").expect_stderr(&["replicas", &path]);
    config("join_timeout = \"soon\"\n").expect_stderr(&["soon", &path]);
    config("= nonsense\n").expect_stderr(&[&path]);
    let missing = dir.path().join("missing.toml").display().to_string();
    start(&["--config", &missing]).expect_code(USAGE).expect_stderr(&[&missing]);
}

#[test]
fn an_address_that_nobody_can_dial_is_not_advertised() {
    for advertise in ["0.0.0.0:7160", "[::]:7160"] {
        start(&["--advertise", advertise]).expect_code(USAGE).expect_stderr(&[advertise, "advertise"]);
    }
    start(&["--listen", "0.0.0.0:0"]).expect_code(USAGE).expect_stderr(&["--advertise"]);
}

#[test]
fn values_out_of_their_range_are_refused_with_the_range() {
    start(&["--id-bits", "2"]).expect_code(USAGE).expect_stderr(&["3", "160"]);
    start(&["--id-bits", "161"]).expect_code(USAGE).expect_stderr(&["3", "160"]);
    start(&["--id-bits", "7", "--id", "80"]).expect_code(USAGE).expect_stderr(&["80", "7"]);
    start(&["--id", "xyz"]).expect_code(USAGE).expect_stderr(&["xyz"]);
    start(&["--replicas", "0"]).expect_code(USAGE).expect_stderr(&["replicas"]);
    // A list must reach every other holder.
    start(&["--replicas", "4", "--successors", "2"]).expect_code(USAGE).expect_stderr(&["successors", "replicas"]);
    start(&["--listen", "here"]).expect_code(USAGE).expect_stderr(&["here"]);
    start(&["--no-such-flag"]).expect_code(USAGE).expect_stderr(&["--no-such-flag"]);
}

#[test]
fn a_setting_that_differs_is_told_once_with_both_values_and_the_node() {
    let cluster = Cluster::named("settings").nodes(1).start();
    let seed = cluster.address(0);
    for (flag, setting, ours, theirs) in [
        ("--replicas", "replicas", "2", "3"),
        ("--write-quorum", "write_quorum", "all", "majority"),
        ("--tombstone-grace", "tombstone_grace", "1day", "10days"),
        ("--clock-drift-max", "clock_drift_max", "2s", "1s"),
    ] {
        let args = ["--cluster", "settings", "--join", &seed, "--join-timeout", "20s", flag, ours];
        let ended = start(&args).expect_code(NOT_JOINED);
        let shown = if ours == "all" { "3" } else { ours };
        let said = format!("dhtd: join: {seed} has {setting} = {theirs}, this node {shown}: it has to be the same");
        assert!(ended.stderr.contains(&said), "{ended:?}");
        assert_eq!(ended.stderr.matches(setting).count(), 1, "it is told once: {ended:?}");
        assert!(!ended.stderr.contains("another cluster:"), "{ended:?}");
    }
}

#[test]
fn quorums_that_come_to_the_same_go_together() {
    let mut cluster = Cluster::named("same-quorums").empty();
    for (index, quorum) in ["2", "majority"].into_iter().enumerate() {
        cluster.declare(if index == 0 { &[] } else { &[0] });
        let own = ["--write-quorum", quorum, "--read-quorum", quorum].map(str::to_owned);
        cluster.nodes[index].args.splice(0..0, own);
        cluster.launch_all([index]);
    }
    cluster.await_one_ring(Duration::from_secs(20));
}

#[test]
fn a_bad_setting_is_told_with_the_place_that_it_came_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("dhtd.toml");
    fs::write(&file, "# A comment.\njoin_timeout = \"later\"\n").expect("a file");
    let path = file.display().to_string();
    let expected = "expected a duration from 100ms to 1day, such as 30s";
    let told = |command: &mut std::process::Command| {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(USAGE), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let dhtd = || Cluster::dhtd_command(&["--config", &path, "--check-config"]);
    assert_eq!(told(&mut dhtd()), format!("dhtd: {path}:2: join_timeout = \"later\": {expected}\n"));
    let by_variable = format!("dhtd: DHTD_JOIN_TIMEOUT=soon: {expected}\n");
    assert_eq!(told(dhtd().env("DHTD_JOIN_TIMEOUT", "soon")), by_variable);
    let by_flag = format!("dhtd: --join-timeout now: {expected}\n");
    assert_eq!(told(dhtd().env("DHTD_JOIN_TIMEOUT", "soon").args(["--join-timeout", "now"])), by_flag);
    fs::write(&file, "").expect("a file");
    let misnamed = "dhtd: DHTD_JION: no setting is called so; see `dhtd --help`\n";
    assert_eq!(told(dhtd().env("DHTD_JION", "localhost:7160")), misnamed);
}

#[test]
fn a_check_of_the_configuration_looks_at_the_paths_in_it_and_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("a directory");
    let check = |args: &[&str]| start(&[args, &["--check-config"]].concat());
    let faults = dir.path().join("faults").display().to_string();
    check(&["--dev-faults", &faults]).expect_code(USAGE).expect_stderr(&["--dev-faults", &faults]);
    fs::write(&faults, "lose much\n").expect("a file");
    check(&["--dev-faults", &faults]).expect_code(USAGE).expect_stderr(&["line 1", "lose much"]);
    let beneath = format!("{faults}/data");
    check(&["--data-dir", &beneath]).expect_code(USAGE).expect_stderr(&["--data-dir", &beneath]);
    check(&["--lost-majority-after", "0s"]).expect_code(USAGE).expect_stderr(&["--lost-majority-after 0s", "never"]);
    let data_dir = dir.path().join("data").display().to_string();
    check(&["--data-dir", &data_dir]).expect_code(0);
    assert!(!std::path::Path::new(&data_dir).exists(), "nothing is made");
}
