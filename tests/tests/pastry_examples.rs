//! Pastry on small circles with identifiers given by hand, where anyone can work the answers out; and what `dht table`
//! shows of it.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Cluster, Protocol, Record, eventually, ids};
use serde_json::Value;

const SETTLE: Duration = Duration::from_secs(60);
/// The course's circle; identifiers of whole digits where digits matter.
const BITS: u32 = 7;
const TWO_DIGITS: u32 = 8;
const COURSE: [u64; 6] = [16, 32, 45, 80, 96, 112];

fn number(id: &Value) -> u64 {
    id.as_str().map(|id| u64::from_str_radix(id, 16).expect("an id")).expect("a peer's id")
}

fn owner(cluster: &Cluster, from: usize, target: u64) -> u64 {
    let lookup = cluster.dht(from, &["lookup", "--id", &ids::number(target, BITS)]).json();
    assert_eq!(lookup["protocol"], "pastry", "{lookup}");
    let path = lookup["path"].as_array().expect("a path");
    assert_eq!(lookup["hops"], path.len() - 1, "{lookup}");
    assert_eq!(path[0]["via"], Value::Null, "{lookup}");
    assert_eq!(path[path.len() - 1]["id"], lookup["owner"]["id"], "{lookup}");
    for step in &path[1..] {
        let via = step["via"].as_str().unwrap_or_default();
        assert!(["leaf", "prefix", "rare"].contains(&via), "{lookup}");
    }
    number(&lookup["owner"]["id"])
}

/// One record for each identifier of the circle.
fn one_record_each(bits: u32) -> Vec<Record> {
    (0..1_u64 << bits)
        .map(|id| {
            let wanted = ids::number(id, bits);
            let key = ids::key_whose_id("record", bits, |id| id == wanted);
            Record { key, value: wanted.into_bytes() }
        })
        .collect()
}

#[test]
fn in_a_ring_of_seven_bits_a_key_is_the_numerically_closest_nodes() {
    let mut cluster = Cluster::named("pastry-course").protocol(Protocol::Pastry).ids(BITS, &COURSE).start();
    // 42 lies 3 below 45; 38 lies 6 above 32 and 7 below 45. 24, 88 and 0 lie half way between two: the lower has them,
    // 0 between 112 and 16 around the circle.
    let worked = [(42, 45), (38, 32), (39, 45), (24, 16), (25, 32), (88, 80), (0, 16), (127, 112), (1, 16), (64, 80)];
    for (from, (target, expected)) in worked.into_iter().enumerate() {
        assert_eq!(owner(&cluster, from % 6, target), expected, "the owner of {target}");
    }
    let records = one_record_each(BITS);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    // Every identifier, through every node: owner, way, and the three closest nodes as holders.
    let keys: Vec<String> = records.iter().map(|record| record.key.clone()).collect();
    cluster.await_right_lookups(&keys, SETTLE);

    // 40 joins, and takes what is nearer to it than to 32 and 45: 37 to 42; 36 lies half way and stays.
    cluster.next_id(40);
    cluster.add(&[5]);
    cluster.await_one_ring(SETTLE);
    for (target, expected) in [(36, 32), (37, 40), (42, 40), (43, 45)] {
        assert_eq!(owner(&cluster, 3, target), expected, "the owner of {target}");
    }
    cluster.await_copies(&records, SETTLE);
    cluster.await_right_lookups(&keys, SETTLE);
    cluster.assert_readable(&records);
}

#[test]
fn with_a_leaf_set_of_two_digits_lead_the_way() {
    let nodes = [0x10, 0x18, 0x27, 0x4a, 0x55, 0x7c, 0xa1, 0xad, 0xce, 0xe8];
    let mut cluster = Cluster::named("pastry-digits")
        .protocol(Protocol::Pastry)
        .ids(TWO_DIGITS, &nodes)
        .replicas(1)
        .arg("--leaf-set", "2")
        .start();
    // From 10 to ab: only a neighbour of ad has that in its leaf set, and 10 knows a1 or ad by their first digit.
    let (lookup, _) = eventually("a way by prefixes", SETTLE, || {
        let lookup = cluster.dht(0, &["lookup", "--id", "ab"]).json();
        if lookup["path"][1]["via"] == "prefix" { Ok(lookup) } else { Err(lookup.to_string()) }
    });
    assert_eq!(number(&lookup["owner"]["id"]), 0xad, "{lookup}");
    assert_eq!(number(&lookup["path"][1]["id"]) >> 4, 0xa, "one digit more at the first hop: {lookup}");
    let all: Vec<String> = one_record_each(TWO_DIGITS).into_iter().map(|record| record.key).collect();
    cluster.await_right_lookups(&all, SETTLE);
}

fn ids_of(peers: &Value) -> Vec<u64> {
    let peers = peers.as_array().expect("a list of peers");
    for peer in peers {
        assert!(peer["addr"].is_string() && (peer["rtt_us"].is_u64() || peer["rtt_us"].is_null()), "{peer}");
    }
    peers.iter().map(|peer| number(&peer["id"])).collect()
}

#[test]
fn a_table_shows_leaf_set_rows_and_neighbourhood() {
    let cluster = Cluster::named("pastry-table").protocol(Protocol::Pastry).ids(TWO_DIGITS, &COURSE).start();
    eventually("80's table", SETTLE, || {
        let table = cluster.dht(3, &["table"]).json();
        let smaller = ids_of(&table["leaf_set"]["smaller"]);
        let larger = ids_of(&table["leaf_set"]["larger"]);
        let rows: Vec<(u64, Vec<(u64, u64)>)> = table["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| {
                let entries = row["entries"].as_array().expect("entries").iter();
                let entry = |entry: &Value| (entry["digit"].as_u64().expect("a digit"), number(&entry["node"]["id"]));
                (row["row"].as_u64().expect("a row"), entries.map(entry).collect())
            })
            .collect();
        let neighbourhood: BTreeSet<u64> = ids_of(&table["neighbourhood"]).into_iter().collect();
        assert_eq!(table["id"], "50", "{table}");
        // Nearest first; six nodes are few enough that everybody is a leaf.
        let leaves: BTreeSet<u64> = smaller.iter().chain(&larger).copied().collect();
        let others = BTreeSet::from([16, 32, 45, 96, 112]);
        // First digits are 1, 2, 2, 5, 6, 7 in hexadecimal: one node for each, of 32 and 45 either.
        let row: Vec<u64> =
            rows.first().map(|(_, row)| row.iter().map(|(digit, _)| *digit).collect()).unwrap_or_default();
        let fits = rows.iter().all(|(_, row)| row.iter().all(|(digit, node)| node >> 4 == *digit));
        if (smaller.first(), larger.first()) == (Some(&45), Some(&96))
            && leaves == others
            && row == [1, 2, 6, 7]
            && rows.len() == 1
            && rows[0].0 == 0
            && fits
            && neighbourhood.is_subset(&others)
            && !neighbourhood.is_empty()
        {
            Ok(())
        } else {
            Err(table.to_string())
        }
    });
}
