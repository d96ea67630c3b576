//! `dht explain` and `dht verify`: what they say of a cluster that is whole, and of one that is not.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Builder, Cluster, Protocol, Signal, eventually, records};
use serde_json::Value;

const SETTLE: Duration = Duration::from_secs(60);
const PROTOCOLS: [Protocol; 3] = [Protocol::Chord, Protocol::Pastry, Protocol::Kelips { groups: 2 }];

fn named(name: &str, protocol: Protocol) -> Builder {
    Cluster::named(&format!("{name}-{}", protocol.name())).protocol(protocol).arg("--lost-majority-after", "never")
}

/// Started, until each range has all of its holders.
fn whole(builder: Builder) -> Cluster {
    let mut cluster = builder.start();
    cluster.await_whole_sets(SETTLE);
    cluster
}

fn strings<'a>(explained: &'a Value, field: &str) -> Vec<&'a str> {
    let copies = explained["copies"].as_array().expect("copies");
    copies.iter().map(|copy| copy[field].as_str().unwrap_or("null")).collect()
}

/// Waits until three holders have the same of a key, in this state, and returns what is said of it then.
#[track_caller]
fn await_copies(cluster: &Cluster, through: usize, key: &str, state: &str) -> Value {
    let what = format!("three copies of {key} that are {state}");
    let (explained, _) = eventually(&what, SETTLE, || {
        let explained = cluster.dht(through, &["explain", key]);
        let explained = explained.parse().map_err(|error| format!("{error}: {}", explained.stderr))?;
        let holders: BTreeSet<&str> = strings(&explained, "addr").into_iter().collect();
        let versions: BTreeSet<&str> = strings(&explained, "version").into_iter().collect();
        let primaries = strings(&explained, "role").into_iter().filter(|role| *role == "primary").count();
        let same = strings(&explained, "state") == [state; 3] && versions.len() == 1;
        if same && holders.len() == 3 && primaries == 1 { Ok(explained) } else { Err(explained.to_string()) }
    });
    explained
}

#[test]
fn each_copy_of_a_record_is_explained_from_its_absence_to_its_deletion() {
    for protocol in PROTOCOLS {
        let cluster = whole(named("explained", protocol).nodes(3));
        let absent = await_copies(&cluster, 0, "fruit", "absent");
        assert_eq!(strings(&absent, "version"), ["null"; 3], "{absent}");
        assert_eq!(absent["next"], serde_json::json!([]), "{absent}");

        let put = cluster.dht(1, &["put", "fruit", "pear"]).json();
        for through in 0..3 {
            let present = await_copies(&cluster, through, "fruit", "present");
            assert_eq!(present["key"], "fruit", "{present}");
            assert_eq!(present["id"], put["id"], "{present}");
            assert_eq!(strings(&present, "version"), [put["version"].as_str().expect("a version"); 3], "{present}");
            assert_eq!(present["set"]["settled"], true, "{present}");
            assert_eq!(present["next"], serde_json::json!([]), "{present}");
            for copy in present["copies"].as_array().expect("copies") {
                assert_eq!(copy["durable"], false, "{present}");
                assert!(copy["age_ms"].as_u64().expect("an age") < 60_000, "{present}");
                assert_eq!(copy["error"], Value::Null, "{present}");
                assert_eq!(copy["role"] == "primary", copy["addr"] == present["primary"]["addr"], "{present}");
            }
            let owner = &cluster.dht(through, &["lookup", "fruit"]).json()["owner"];
            assert_eq!(present["owner"]["id"], owner["id"], "{present}");
        }

        cluster.dht(2, &["put", "fruit", "plum", "--ttl", "1h"]).json();
        let expiring = await_copies(&cluster, 0, "fruit", "present");
        assert!(expiring["next"][0].as_str().expect("a sentence").starts_with("it expires at 2"), "{expiring}");

        cluster.dht(2, &["delete", "fruit"]).json();
        let deleted = await_copies(&cluster, 1, "fruit", "deleted");
        let forgotten = "the deletion is forgotten once it is 10days old and every holder has it";
        assert_eq!(deleted["next"], serde_json::json!([forgotten]), "{deleted}");
    }
}

#[test]
fn a_key_that_can_not_be_is_refused_by_name_and_a_cluster_of_one_says_that_nobody_is_there_to_hold_more() {
    let cluster = whole(named("lonely", Protocol::Chord));
    let explained = cluster.dht(0, &["explain", "fruit"]).json();
    assert_eq!(strings(&explained, "state"), ["absent"], "{explained}");
    let alone = "1 of 3 copies: no further node is there to hold one";
    assert_eq!(explained["next"], serde_json::json!([alone]), "{explained}");
    cluster.dht(0, &["explain", ""]).expect_code(1).expect_stderr(&["key is empty"]);
    let long = "k".repeat(1_025);
    cluster.dht(0, &["explain", &long]).expect_code(1).expect_stderr(&["the limit is 1024"]);
}

/// A cluster of four, `fruit` in it, what is said of that, and one of its holders.
fn holder_of_fruit(protocol: Protocol, is: impl Fn(&Value, &Value) -> bool) -> (Cluster, Value, usize) {
    let cluster = whole(named("killed", protocol).nodes(4).alone());
    cluster.dht(0, &["put", "fruit", "pear"]).json();
    let explained = await_copies(&cluster, 0, "fruit", "present");
    let copies = explained["copies"].as_array().expect("copies");
    let holder = copies.iter().find(|copy| is(copy, &explained)).expect("such a holder");
    let holder = cluster.index_of(holder["addr"].as_str().expect("an address"));
    (cluster, explained, holder)
}

/// Waits until three others than the one that was killed have what was there before.
#[track_caller]
fn await_healed(cluster: &Cluster, killed: usize, before: &Value) {
    let healed = await_copies(cluster, (killed + 1) % 4, "fruit", "present");
    assert!(!strings(&healed, "addr").contains(&cluster.address(killed).as_str()), "{healed}");
    assert_eq!(strings(&healed, "version"), strings(before, "version"), "{healed}");
}

#[test]
fn a_member_that_was_killed_is_unreachable_until_another_node_has_taken_its_place() {
    for protocol in PROTOCOLS {
        // While an arbiter is dead, a lookup takes as long as the others need to take its place.
        let (mut cluster, before, killed) = holder_of_fruit(protocol, |copy, explained| {
            copy["role"] == "member" && copy["addr"] != explained["owner"]["addr"]
        });
        cluster.nodes[killed].kill();
        let addr = cluster.address(killed);
        let after = cluster.dht((killed + 1) % 4, &["explain", "fruit"]).json();
        let copies = after["copies"].as_array().expect("copies");
        let gone = copies.iter().find(|copy| copy["addr"] == addr.as_str()).expect("the one that was killed");
        assert_eq!(gone["state"], "unreachable", "{after}");
        assert!(gone["version"].is_null() && gone["age_ms"].is_null() && gone["error"].is_string(), "{after}");
        let others = copies.iter().filter(|copy| copy["role"] != "newcomer" && copy["addr"] != addr.as_str());
        assert!(others.clone().count() == 2 && others.clone().all(|copy| copy["state"] == "present"), "{after}");
        let replaced = format!("{addr} does not answer: another node takes its place");
        assert!(after["next"].to_string().contains(&replaced), "{after}");
        await_healed(&cluster, killed, &before);
    }
}

#[test]
fn a_record_whose_primary_was_killed_is_explained_by_those_who_are_left() {
    for protocol in PROTOCOLS {
        let (mut cluster, before, killed) = holder_of_fruit(protocol, |copy, _| copy["role"] == "primary");
        cluster.nodes[killed].kill();
        await_healed(&cluster, killed, &before);
    }
}

#[test]
fn copies_are_verified_while_all_are_there_and_named_while_one_is_missing() {
    for protocol in PROTOCOLS {
        let mut cluster = whole(named("verified", protocol).nodes(3));
        let records = records("verified", 300);
        cluster.put_all(&records);
        cluster.dht(0, &["put", "gone", "soon"]).json();
        cluster.dht(1, &["delete", "gone"]).json();
        let (verified, _) = eventually("all copies", SETTLE, || {
            let verified = cluster.dht(1, &["verify"]);
            if verified.code == 0 { Ok(verified.json()) } else { Err(verified.text() + &verified.stderr) }
        });
        assert_eq!(verified["ok"], true, "{verified}");
        assert_eq!(verified["records"], 300, "a deletion is none: {verified}");
        assert_eq!((&verified["below"], &verified["wanted"]), (&0.into(), &3.into()), "{verified}");
        assert_eq!(verified["problems"], serde_json::json!([]), "{verified}");

        cluster.nodes[2].kill();
        // At once, and when it counts as dead: nobody is there to take its place.
        for again in [false, true] {
            if again {
                cluster.await_one_ring(SETTLE);
            }
            let verified =
                cluster.dht(0, &["verify", "--keys", "7"]).expect_code(5).parse().expect("JSON all the same");
            assert_eq!(verified["ok"], false, "{verified}");
            let below = verified["below"].as_u64().expect("a number");
            assert!(below > 0 && below <= 300, "{verified}");
            let keys = verified["keys"].as_array().expect("keys");
            assert_eq!(keys.len(), 7, "{verified}");
            for key in keys {
                let named = key["key"].as_str().expect("a key");
                assert!(records.iter().any(|record| record.key == named), "{verified}");
                assert_eq!(key["copies"], 2, "{verified}");
            }
            let problems = verified["problems"].to_string();
            assert!(problems.contains(&cluster.address(2)), "{verified}");
        }
    }
}

/// Who should be the primaries of the arcs that were not verified.
fn primaries(verified: &Value) -> BTreeSet<&str> {
    let arcs = verified["unverified"].as_array().expect("arcs");
    assert!(arcs.iter().all(|arc| arc["after"].is_string() && arc["upto"].is_string()), "{verified}");
    assert!(arcs.iter().all(|arc| arc["why"].as_str().is_some_and(|why| !why.is_empty())), "{verified}");
    arcs.iter().filter_map(|arc| arc["primary"]["addr"].as_str()).collect()
}

#[test]
fn what_survivors_of_a_lost_majority_hold_alone_is_not_called_whole() {
    for protocol in PROTOCOLS {
        let name = format!("survivors-{}", protocol.name());
        let builder = Cluster::named(&name).protocol(protocol).arg("--lost-majority-after", "2s").nodes(4);
        let mut cluster = whole(builder);
        let records = records("survivors", 60);
        cluster.put_all(&records);
        cluster.await_copies(&records, SETTLE);
        cluster.kill_all(&[2, 3]);
        // Two of four go on, each range with a set of the two, or of the one of them that had a copy and then the other.
        eventually("the survivors' ranges are verified, and not whole", SETTLE, || {
            let verified = cluster.dht(0, &["verify"]);
            let said = verified.parse().map_err(|error| format!("{error}: {}", verified.stderr))?;
            let counted = said["unverified"] == serde_json::json!([]) && said["verified"] == 1.0;
            assert_eq!(said["ok"], false, "{said}");
            assert_eq!(said["wanted"], 3, "{said}");
            assert_eq!(verified.code, 5, "{said}");
            if counted && said["below"] == said["records"] && said["records"] == 60 {
                Ok(())
            } else {
                Err(said.to_string())
            }
        });
    }
}

#[test]
fn the_whole_circle_is_accounted_for_while_parts_of_it_have_no_primary() {
    for protocol in PROTOCOLS {
        let mut cluster = whole(named("no-primary", protocol).nodes(5));
        let records = records("no-primary", 100);
        cluster.put_all(&records);
        cluster.await_copies(&records, SETTLE);
        // The primary of a record, another of its holders, and one that is neither.
        let explained = cluster.dht(0, &["explain", &records[0].key]).json();
        let primary = explained["primary"]["addr"].as_str().expect("an address").to_owned();
        let holders = strings(&explained, "addr");
        let is_primary = |node: &usize| cluster.address(*node) == primary;
        let holds = |node: &usize| holders.contains(&cluster.address(*node).as_str());
        let victims = [
            (0..5).find(is_primary).expect("it runs"),
            (0..5).find(|node| holds(node) && !is_primary(node)).expect("three copies"),
            (0..5).find(|node| !holds(node)).expect("of five nodes"),
        ];
        let dead: BTreeSet<String> = victims.map(|node| cluster.address(node)).into();
        cluster.kill_all(&victims);
        let through = cluster.up()[0];
        let verified = cluster.dht(through, &["verify"]).expect_code(5).parse().expect("JSON all the same");
        assert_eq!(verified["ok"], false, "{verified}");
        let part = verified["verified"].as_f64().expect("a number");
        assert!((0.0..1.0).contains(&part), "{verified}");
        assert!(primaries(&verified).iter().any(|addr| dead.contains(*addr)), "{verified}");
        let counted = verified["records"].as_u64().expect("a number");
        assert!(counted < 100, "{verified}");

        // A key of such an arc: the majority of its holders is gone, which nobody may go on without.
        let lost = records.iter().find_map(|record| {
            let explained = cluster.dht(through, &["explain", &record.key]).parse().ok()?;
            let gone = strings(&explained, "state").into_iter().filter(|state| *state == "unreachable").count();
            (gone >= 2).then_some(explained)
        });
        let lost = lost.expect("a record with two of its three holders dead");
        let until = "nothing is read or written here until a majority is back";
        assert!(lost["next"].to_string().contains(until), "{lost}");
        assert!(!lost["next"].to_string().contains("takes its place"), "{lost}");
    }
}

#[test]
fn holders_that_hang_are_told_of_within_the_time_that_is_allowed() {
    let mut cluster = whole(named("hanging", Protocol::Chord).nodes(3));
    cluster.dht(0, &["put", "fruit", "pear"]).json();
    await_copies(&cluster, 0, "fruit", "present");
    for node in [1, 2] {
        cluster.nodes[node].signal(Signal::STOP);
    }
    let explained = cluster.dht(0, &["--timeout", "4s", "explain", "fruit"]).json();
    let states = strings(&explained, "state");
    assert_eq!(states.iter().filter(|state| **state == "unreachable").count(), 2, "{explained}");
    assert_eq!(states.iter().filter(|state| **state == "present").count(), 1, "{explained}");
    let verified = cluster.dht(0, &["--timeout", "4s", "verify"]).expect_code(5).parse().expect("JSON all the same");
    for node in [1, 2] {
        assert!(verified.to_string().contains(&cluster.address(node)), "{verified}");
    }
    for command in [&["verify"][..], &["explain", "fruit"]] {
        let addr = cluster.address(1);
        let hung =
            Cluster::dht_plain(&[&["--endpoints", &addr, "--timeout", "500ms"], command].concat()).expect_code(4);
        assert!(hung.stdout.is_empty() && hung.stderr.contains(&addr), "{}", hung.stderr);
    }
}

#[test]
fn no_progress_is_drawn_where_nobody_watches() {
    let cluster = whole(named("quiet", Protocol::Chord).nodes(3));
    assert_eq!(cluster.dht(0, &["verify"]).expect_code(0).stderr, "");
    let plain = Cluster::dht_plain(&["--endpoints", &cluster.address(0), "verify"]).expect_code(0);
    assert_eq!(plain.stderr, "");
    assert!(plain.text().starts_with("ok "), "{}", plain.text());
}
