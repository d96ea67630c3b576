//! Starts that cannot work: each its own message, which says what was wrong and where, and its own exit code.

use std::fs;
use std::time::Duration;

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
