//! `dht` as a script sees it: what it prints, and its exit codes; and a daemon's own small doors.

use std::fs;
use std::io::BufReader;
use std::process::Stdio;
use std::time::Duration;

use harness::{Cluster, Finished, Signal, eventually, free_port, http_get, ids};
use rustix::process::{Pid, kill_process, test_kill_process};
use serde_json::Value;

fn dht(cluster: &Cluster, args: &[&str]) -> Finished {
    let addr = cluster.address(0);
    let mut all = vec!["--endpoints", &addr];
    all.extend(args);
    Cluster::dht_plain(&all)
}

#[test]
fn a_record_is_put_read_replaced_and_deleted() {
    let mut cluster = Cluster::named("record").nodes(3).start();
    cluster.await_whole_sets(Duration::from_secs(60));
    let put = cluster.dht(0, &["put", "greeting", "hello"]).json();
    let id = ids::hash(b"greeting", ids::BITS_MAX);
    assert_eq!(put["key"], "greeting", "{put}");
    assert_eq!(put["id"], id.as_str(), "{put}");
    assert!(put["version"].is_string(), "{put}");
    assert!(put["elapsed_us"].is_u64(), "{put}");
    let acks = put["acks"].as_array().expect("acks");
    assert!(acks.len() >= 2, "{put}");
    for ack in acks {
        assert!(ack["id"].is_string() && ack["addr"].is_string(), "{put}");
        assert_eq!(ack["durable"], false, "{put}");
    }

    // Through any node; raw bytes as text, base64 in JSON.
    let got = cluster.dht(2, &["get", "greeting"]).json();
    assert_eq!(got["value"], "aGVsbG8=", "{got}");
    assert_eq!(got["version"], put["version"], "{got}");
    assert_eq!(got["expires_at"], Value::Null, "{got}");
    assert!(got["served_by"].is_object(), "{got}");
    let raw = dht(&cluster, &["get", "greeting"]).expect_code(0);
    assert_eq!(raw.stdout, b"hello", "raw bytes, nothing added");

    cluster.dht(1, &["put", "greeting", "good evening"]).json();
    assert_eq!(dht(&cluster, &["get", "greeting"]).text(), "good evening");
    let deleted = cluster.dht(1, &["delete", "greeting"]).json();
    assert_eq!(deleted["id"], id.as_str(), "{deleted}");
    assert!(deleted["acks"].is_array(), "{deleted}");
    dht(&cluster, &["get", "greeting"]).expect_code(3);
    // Deleting what is not there is fine.
    dht(&cluster, &["delete", "greeting"]).expect_code(0);
    dht(&cluster, &["delete", "never was"]).expect_code(0);
}

#[test]
fn conditions_hold_or_exit_with_7() {
    let cluster = Cluster::named("conditions").nodes(3).start();
    let first = cluster.dht(0, &["put", "once", "1", "--if-absent"]).json();
    dht(&cluster, &["put", "once", "2", "--if-absent"]).expect_code(7);
    let version = first["version"].as_str().expect("a version");
    dht(&cluster, &["put", "once", "3", "--if-version", version]).expect_code(0);
    dht(&cluster, &["put", "once", "4", "--if-version", version]).expect_code(7);
    dht(&cluster, &["delete", "once", "--if-version", version]).expect_code(7);
    assert_eq!(dht(&cluster, &["get", "once"]).text(), "3");
}

#[test]
fn a_record_with_a_ttl_is_gone_when_its_time_is_over() {
    let cluster = Cluster::named("ttl").nodes(3).start();
    dht(&cluster, &["put", "brief", "x", "--ttl", "2s"]).expect_code(0);
    let got = cluster.dht(1, &["get", "brief"]).json();
    assert!(!got["expires_at"].is_null(), "{got}");
    eventually("its end", Duration::from_secs(5), || match dht(&cluster, &["get", "brief"]).code {
        3 => Ok(()),
        code => Err(format!("exit {code}")),
    });
}

#[test]
fn values_come_from_files_and_keys_from_hexadecimal() {
    let cluster = Cluster::named("files").start();
    let value: Vec<u8> = (0..100_000).map(|index| (index % 256) as u8).collect();
    let (input, output) = (cluster.dir().join("in"), cluster.dir().join("out"));
    fs::write(&input, &value).expect("a file");
    let (input, output) = (input.display().to_string(), output.display().to_string());
    dht(&cluster, &["put", "file", "--file", &input]).expect_code(0);
    dht(&cluster, &["get", "file", "--out", &output]).expect_code(0);
    assert!(fs::read(&output).expect("a file") == value);

    let endpoint = cluster.address(0);
    let piped = Cluster::dht_command(&["--endpoints", &endpoint, "put", "piped", "-"])
        .stdin(fs::File::open(&input).expect("a file"))
        .output()
        .expect("it runs");
    assert!(piped.status.success(), "{piped:?}");
    let back = dht(&cluster, &["get", "piped"]).expect_code(0);
    assert!(back.stdout == value, "another value came back");

    dht(&cluster, &["put", "--hex", "00ff", "bytes"]).expect_code(0);
    let got = cluster.dht(0, &["get", "--hex", "00ff"]).json();
    let id = ids::hash(&[0, 0xff], ids::BITS_MAX);
    assert_eq!(got["id"], id.as_str(), "{got}");
    dht(&cluster, &["get", "--hex", "0g"]).expect_code(2);
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let cluster = Cluster::named("codes").start();
    let nobody = format!("127.0.0.1:{}", free_port());
    let here = cluster.address(0);
    dht(&cluster, &["get", "missing"]).expect_code(3);
    dht(&cluster, &["get"]).expect_code(2);
    dht(&cluster, &["frobnicate"]).expect_code(2);
    dht(&cluster, &["--timeout", "soon", "get", "x"]).expect_code(2);
    dht(&cluster, &["lookup", "--id", "xyz"]).expect_code(2);
    let silent = ["--endpoints", &nobody, "--timeout", "2s", "get", "x"];
    let unreachable = Cluster::dht_plain(&silent).expect_code(4);
    assert!(unreachable.stderr.contains(&nobody), "{unreachable:?}");
    assert_eq!(unreachable.text(), "", "messages go to stderr");

    // The next endpoint is tried when one does not answer.
    dht(&cluster, &["put", "x", "1"]).expect_code(0);
    let both = format!("{nobody},{here}");
    let got = Cluster::dht_plain(&["--endpoints", &both, "get", "x"]).expect_code(0);
    assert_eq!(got.text(), "1");
}

#[test]
fn everything_that_looks_inside_prints_one_json_object() {
    let cluster = Cluster::named("inside").nodes(3).start();
    let status = cluster.dht(0, &["status"]).json();
    assert_eq!(status["id"], cluster.nodes[0].id(), "{status}");
    assert_eq!(status["protocol"], "chord", "{status}");
    assert_eq!(status["keys"], 0, "{status}");
    let ring = cluster.dht(0, &["ring"]).json();
    assert_eq!(ring["protocol"], "chord", "{ring}");
    for member in ring["members"].as_array().expect("members") {
        assert_eq!(member["process"], member["id"], "{ring}");
        assert_eq!(member["error"], Value::Null, "{ring}");
    }
    let lookup = cluster.dht(0, &["lookup", "some key"]).json();
    assert_eq!(lookup["key"], "some key", "{lookup}");
    assert_eq!(lookup["protocol"], "chord", "{lookup}");
    eventually("the owner's whole list", Duration::from_secs(10), || {
        let lookup = cluster.dht(0, &["lookup", "some key"]).json();
        match lookup["replicas"].as_array().map(Vec::len) {
            Some(3) => Ok(()),
            _ => Err(lookup.to_string()),
        }
    });
    let check = cluster.dht(0, &["check"]).json();
    assert_eq!(check["ok"], true, "{check}");
    assert_eq!(check["violations"].as_array().map(Vec::len), Some(0));
    for text in [&["status"][..], &["ring"], &["table"], &["check"], &["lookup", "x"]] {
        let printed = dht(&cluster, text).expect_code(0).text();
        assert!(!printed.trim().is_empty(), "{text:?} prints nothing");
        assert!(!printed.contains('\u{1b}'), "{text:?}: colours in a pipe");
    }
}

#[test]
fn a_dead_member_is_listed_as_unreachable_or_not_at_all_and_check_says_5_until_it_heals() {
    let mut cluster = Cluster::named("unhealthy").nodes(5).alone().start();
    cluster.signal_all(&[2], Signal::STOP);
    let check = cluster.dht(0, &["check"]);
    // Asked at once, before anybody can have noticed.
    assert_eq!(check.code, 5, "{check:?}");
    let found = check.parse().expect("JSON all the same");
    assert_eq!(found["ok"], false, "{found}");
    assert!(!found["violations"].as_array().expect("violations").is_empty());
    cluster.await_one_ring(Duration::from_secs(20));
    cluster.signal_all(&[2], Signal::CONT);
    cluster.await_one_ring(Duration::from_secs(20));
}

#[test]
fn a_member_that_does_not_answer_is_missing_even_where_a_majority_is_left() {
    let mut cluster = Cluster::named("missing").nodes(3).arg("--lost-majority-after", "never").start();
    cluster.await_whole_sets(Duration::from_secs(60));
    let status = cluster.dht(0, &["status"]).json();
    assert_eq!(status["read_only"], Value::Null, "{status}");
    for set in status["sets"].as_array().expect("sets") {
        assert_eq!(set["missing"], serde_json::json!([]), "{status}");
        assert_eq!(set["newcomers"], serde_json::json!([]), "{status}");
    }
    let gone = cluster.nodes[2].id().to_owned();
    cluster.nodes[2].kill();
    for node in [0, 1] {
        eventually("it is missing in every set", Duration::from_secs(20), || {
            let status = cluster.dht(node, &["status"]).json();
            let sets = status["sets"].as_array().expect("sets");
            let of_it = |set: &&Value| set["members"].to_string().contains(&gone);
            let named = sets.iter().filter(of_it).all(|set| set["missing"] == serde_json::json!([gone]));
            if named && sets.iter().any(|set| of_it(&set)) { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

#[test]
fn a_daemon_tells_orchestrators_and_prometheus_how_it_is() {
    let cluster = Cluster::named("doors").nodes(3).start();
    let http = cluster.nodes[1].http();
    assert_eq!(http_get(http, "/healthz").expect("an answer").0, 200);
    assert_eq!(http_get(http, "/readyz").expect("an answer").0, 200);
    let (code, metrics) = http_get(http, "/metrics").expect("an answer");
    assert_eq!(code, 200);
    assert!(metrics.contains("# TYPE dht"), "{metrics}");
    assert_eq!(http_get(http, "/nonsense").expect("an answer").0, 404);
    let healthy = ["--http", http, "healthcheck"];
    Cluster::dhtd_plain(&healthy, Duration::from_secs(10)).expect_code(0);
    let nobody = format!("127.0.0.1:{}", free_port());
    let unhealthy = ["--http", &nobody, "healthcheck"];
    Cluster::dhtd_plain(&unhealthy, Duration::from_secs(10)).expect_code(1);
}

#[test]
fn a_node_that_is_still_joining_lives_but_is_not_ready() {
    let mut cluster = Cluster::named("joining").empty();
    let http = format!("127.0.0.1:{}", free_port());
    cluster.declare(&[1]);
    cluster.nodes[0].args.extend(["--http".to_owned(), http.clone()]);
    let args = &mut cluster.nodes[0].args;
    // Given twice is a usage error: the first goes.
    let first = args.iter().position(|arg| arg == "--http").expect("a flag");
    args.drain(first..first + 2);
    cluster.nodes[0].launch();
    let (ready, _) = eventually("an answer", Duration::from_secs(10), || {
        assert_eq!(http_get(&http, "/healthz")?.0, 200);
        http_get(&http, "/readyz")
    });
    assert_eq!(ready.0, 503, "{ready:?}");
    let got = cluster.dht(0, &["--timeout", "2s", "get", "x"]);
    assert_eq!(got.code, 4, "{got:?}");
}

#[test]
fn completions_and_the_manual_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = Cluster::dht_plain(&["completions", shell]).expect_code(0);
        assert!(printed.text().contains("lookup"), "{shell}");
    }
    let manual = Cluster::dht_plain(&["man"]).expect_code(0);
    assert!(manual.text().contains(".TH"), "{}", manual.text());
    Cluster::dht_plain(&["--version"]).expect_code(0);
    Cluster::dht_plain(&["--help"]).expect_code(0);
}

#[test]
fn a_short_bench_reports_its_figures() {
    let cluster = Cluster::named("bench").nodes(3).alone().start();
    let args = ["--keys", "200", "--value-size", "100", "--clients", "2"];
    for ratio in ["0", "0.5", "1"] {
        let mut all = vec!["bench", "--duration", "2s", "--read-ratio", ratio];
        all.extend(args);
        let bench = cluster.dht(0, &all).json();
        assert!(bench["ops"].as_u64().expect("ops") > 0, "{bench}");
        assert_eq!(bench["errors"], 0, "{bench}");
        assert!(bench["ops_per_s"].as_f64().expect("a rate") > 0.0, "{bench}");
        for quantile in ["p50", "p95", "p99", "p99_9"] {
            assert!(bench["latency_us"][quantile].is_number(), "{bench}");
        }
    }
}

#[test]
fn the_demo_shows_the_main_job_and_succeeds() {
    let cluster = Cluster::named("demo").alone().empty();
    for overlay in [&[][..], &["--protocol", "pastry"], &["--protocol", "kelips"]] {
        let demo = Cluster::dht_plain(&[&["demo"], overlay].concat()).expect_code(0);
        println!("{}", demo.text());
        assert!(demo.text().lines().count() > 10, "{}", demo.text());
    }
    drop(cluster);
}

#[test]
fn a_development_cluster_runs_until_it_is_interrupted_and_leaves_nobody_behind() {
    let cluster = Cluster::named("dev").alone().empty();
    let logs = cluster.dir().display().to_string();
    let args = ["-o", "json", "dev", "--nodes", "3", "--logs", &logs];
    let mut dev = Cluster::dht_command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let stdout = BufReader::new(dev.stdout.take().expect("a pipe"));
    let shown: Value =
        serde_json::Deserializer::from_reader(stdout).into_iter().next().expect("an object").expect("JSON");
    let nodes = shown["nodes"].as_array().expect("nodes");
    assert_eq!(nodes.len(), 3, "{shown}");
    let pid = |number: u64| {
        let raw = i32::try_from(number).expect("a process id");
        Pid::from_raw(raw).expect("a process id")
    };
    let daemons: Vec<Pid> = nodes.iter().map(|node| pid(node["pid"].as_u64().expect("a pid"))).collect();
    let through = nodes[1]["advertise"].as_str().expect("an address");
    Cluster::dht_plain(&["--endpoints", through, "put", "x", "1"]).expect_code(0);

    kill_process(pid(dev.id().into()), Signal::INT).expect("it runs");
    let (status, _) = eventually("its end", Duration::from_secs(20), || {
        let status = dev.try_wait().expect("a child of ours");
        status.ok_or_else(|| "it runs on".to_owned())
    });
    assert_eq!(status.code(), Some(0), "{status}");
    for daemon in daemons {
        assert!(test_kill_process(daemon).is_err(), "{daemon:?} was left behind");
    }
}

#[test]
fn a_store_is_verified_while_no_node_has_it_open() {
    let mut cluster = Cluster::named("verified").durable().start();
    for key in ["one", "two"] {
        cluster.dht(0, &["put", key, "value"]).json();
    }
    cluster.dht(0, &["delete", "two"]).json();
    let dir = cluster.data_dir(0).display().to_string();
    let verify = |dir: &str| Cluster::dhtd_plain(&["verify-store", dir], Duration::from_secs(20));
    verify(&dir).expect_code(2).expect_stderr(&["in use", &dir]);
    assert_eq!(cluster.nodes[0].terminate(Duration::from_secs(30)), 0);
    let said = verify(&dir).expect_code(0).text();
    assert!(said.contains("1 records, 1 tombstones") && said.contains("everything is as it was written"), "{said}");
    let nowhere = format!("{dir}/nowhere");
    verify(&nowhere).expect_code(2).expect_stderr(&["there is no store in", &nowhere]);
}

#[test]
fn the_shipped_configurations_are_sound() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut seen = Vec::new();
    for entry in fs::read_dir(config).expect("a directory") {
        let path = entry.expect("an entry").path();
        // A matrix of round trips lies beside them.
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let args = ["--config", &path.display().to_string(), "--check-config"];
        let checked = Cluster::dhtd_plain(&args, Duration::from_secs(10)).expect_code(0);
        assert_eq!(checked.text(), "", "{path:?}");
        seen.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    for protocol in ["chord", "pastry", "kelips"] {
        assert!(seen.iter().any(|name| name == protocol), "{seen:?}");
    }
    // And so does the matrix.
    let matrix = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/latency-sample.txt");
    let args = ["--dev-latency", matrix, "--check-config"];
    assert_eq!(Cluster::dhtd_plain(&args, Duration::from_secs(10)).expect_code(0).text(), "");
}
