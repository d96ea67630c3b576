//! The same ring in containers: `docker-compose.yml` as a user runs it, with the image built from this tree.
//!
//! Where no Docker engine answers there is nothing to test, and it says so aloud.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Binaries, Compose, Gate, Record, eventually, parse_members, records};

const SERVICES: [&str; 5] = ["seed", "node1", "node2", "node3", "node4"];
const HEALTHY: Duration = Duration::from_secs(90);
const HEAL: Duration = Duration::from_secs(60);

/// Waits until all of `services` are healthy.
fn await_healthy(compose: &Compose, services: &[&str]) {
    for service in services {
        eventually(&format!("a healthy {service}"), HEALTHY, || match compose.health(service)?.as_str() {
            "healthy" => Ok(()),
            other => Err(other.to_owned()),
        });
    }
}

/// Waits until each of `services` walks the same ring of as many members, all ready.
fn await_ring(compose: &Compose, services: &[&str]) {
    eventually(&format!("one ring of {}", services.len()), HEAL, || {
        let mut rings = BTreeSet::new();
        for service in services {
            let ring = compose.dht(service, &["-o", "json", "ring"]);
            let value = ring.parse().map_err(|error| format!("{error}: {}", ring.stderr))?;
            let members = parse_members(&value)?;
            if members.iter().any(|member| member.state != "ready") {
                return Err(format!("{service} sees {members:?}"));
            }
            let ids: BTreeSet<String> = members.into_iter().map(|member| member.id).collect();
            rings.insert(ids);
        }
        let sizes: Vec<usize> = rings.iter().map(BTreeSet::len).collect();
        if sizes == [services.len()] { Ok(()) } else { Err(format!("rings of {sizes:?}")) }
    });
}

fn put_all(compose: &Compose, through: &str, records: &[Record]) {
    for record in records {
        let value = String::from_utf8_lossy(&record.value);
        compose.dht(through, &["put", &record.key, &value]).expect_code(0);
    }
}

/// Waits until every record is read through one of `services`, in turn.
fn await_readable(compose: &Compose, services: &[&str], records: &[Record]) {
    for (index, record) in records.iter().enumerate() {
        let service = services[index % services.len()];
        eventually(&format!("{} through {service}", record.key), HEAL, || {
            let got = compose.dht(service, &["get", &record.key]);
            match got.code {
                0 if got.stdout == record.value => Ok(()),
                0 | 3 => panic!("lost or wrong: {got:?}"),
                _ => Err(got.stderr),
            }
        });
    }
}

/// A compose project, or a word on why there is none.
fn engine(name: &str) -> Option<Compose> {
    match Compose::new(name) {
        Ok(compose) => Some(compose),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            println!("skipped: {reason}");
            None
        }
    }
}

#[test]
fn five_containers_are_one_ring_that_survives_a_kill_a_cut_and_a_stop() {
    let Some(compose) = engine("dht-test") else { return };
    let _gate = Gate::exclusive(&Binaries::get().target_dir);
    Compose::build_image();
    compose.compose(&["up", "-d"]).expect_code(0);
    await_healthy(&compose, &SERVICES);
    await_ring(&compose, &SERVICES);
    let mut all = records("first", 20);
    put_all(&compose, "seed", &all);
    await_readable(&compose, &["node1", "node2", "node3", "node4"], &all);

    // A crash.
    Compose::docker(&["kill", &compose.container("node2")]).expect_code(0);
    let left = ["seed", "node1", "node3", "node4"];
    await_readable(&compose, &left, &all);
    await_ring(&compose, &left);
    compose.compose(&["start", "node2"]).expect_code(0);
    await_healthy(&compose, &SERVICES);
    await_ring(&compose, &SERVICES);

    // A cut: routed around, and back in the ring when it ends, though at another address.
    let (network, cut) = (compose.network(), compose.container("node3"));
    let before = compose.address("node3");
    Compose::docker(&["network", "disconnect", &network, &cut]).expect_code(0);
    let left = ["seed", "node1", "node2", "node4"];
    await_ring(&compose, &left);
    let more = records("during-the-cut", 10);
    put_all(&compose, "node4", &more);
    all.extend(more);
    await_readable(&compose, &left, &all);
    compose.occupy_address();
    Compose::docker(&["network", "connect", "--alias", "node3", &network, &cut]).expect_code(0);
    assert_ne!(compose.address("node3"), before, "its address was taken");
    await_healthy(&compose, &SERVICES);
    await_ring(&compose, &SERVICES);
    await_readable(&compose, &SERVICES, &all);

    // All of them stopped and started again.
    compose.compose(&["stop"]).expect_code(0);
    compose.compose(&["start"]).expect_code(0);
    await_healthy(&compose, &SERVICES);
    await_ring(&compose, &SERVICES);
    await_readable(&compose, &SERVICES, &all);
}

/// `PROTOCOL=… docker compose up`, and one crash.
fn five_containers_of(protocol: &'static str) {
    let Some(compose) = engine(&format!("dht-{protocol}")) else { return };
    let compose = compose.protocol(protocol);
    let _gate = Gate::exclusive(&Binaries::get().target_dir);
    Compose::build_image();
    compose.compose(&["up", "-d"]).expect_code(0);
    await_healthy(&compose, &SERVICES);
    await_ring(&compose, &SERVICES);
    let status = compose.dht("node1", &["-o", "json", "status"]).json();
    assert_eq!(status["protocol"], protocol, "{status}");
    let all = records(protocol, 20);
    put_all(&compose, "seed", &all);
    await_readable(&compose, &["node1", "node2", "node3", "node4"], &all);

    Compose::docker(&["kill", &compose.container("node2")]).expect_code(0);
    let left = ["seed", "node1", "node3", "node4"];
    await_readable(&compose, &left, &all);
    await_ring(&compose, &left);
    eventually("a clean check", HEAL, || {
        let check = compose.dht("node4", &["check"]);
        if check.code == 0 { Ok(()) } else { Err(format!("{}{}", check.text(), check.stderr)) }
    });
    compose.compose(&["start", "node2"]).expect_code(0);
    await_healthy(&compose, &SERVICES);
    await_ring(&compose, &SERVICES);
    await_readable(&compose, &SERVICES, &all);
}

#[test]
fn five_containers_run_pastry_and_survive_a_kill() {
    five_containers_of("pastry");
}

#[test]
fn five_containers_run_kelips_and_survive_a_kill() {
    five_containers_of("kelips");
}
