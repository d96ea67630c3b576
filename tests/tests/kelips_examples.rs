//! Kelips with identifiers given by hand: the remainder names the group. And what `dht table` and `dht lookup` show.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Cluster, Protocol, Record, eventually, ids, records};
use serde_json::Value;

const SETTLE: Duration = Duration::from_secs(60);
const BITS: u32 = 7;
/// Modulo 3 they are 1, 2, 0, 2, 0, 1; modulo 4 they are 0, 0, 1, 0, 0, 0.
const COURSE: [u64; 6] = [16, 32, 45, 80, 96, 112];

fn number(id: &Value) -> u64 {
    id.as_str().map(|id| u64::from_str_radix(id, 16).expect("an id")).expect("a peer's id")
}

fn ids_of(peers: &Value) -> BTreeSet<u64> {
    let peers = peers.as_array().expect("a list of peers");
    for peer in peers {
        assert!(peer["addr"].is_string() && (peer["rtt_us"].is_u64() || peer["rtt_us"].is_null()), "{peer}");
    }
    peers.iter().map(|peer| number(&peer["id"])).collect()
}

#[test]
fn a_table_shows_the_group_its_members_and_contacts_in_every_other_group() {
    const GROUPS: u32 = 3;
    let protocol = Protocol::Kelips { groups: GROUPS };
    let cluster = Cluster::named("kelips-course").protocol(protocol).ids(BITS, &COURSE).start();
    let members = |group: u64| COURSE.into_iter().filter(move |id| id % 3 == group).collect::<BTreeSet<u64>>();
    for (index, id) in COURSE.into_iter().enumerate() {
        eventually(&format!("the table of {id}"), SETTLE, || {
            let table = cluster.dht(index, &["table"]).json();
            let group = id % 3;
            assert_eq!(number(&table["id"]), id, "{table}");
            assert_eq!(table["groups"], GROUPS, "{table}");
            assert_eq!(table["group"], group, "{table}");
            assert_eq!(table["filetuples"], 0, "{table}");
            // Others only: it does not list itself.
            let mates: BTreeSet<u64> = members(group).into_iter().filter(|mate| *mate != id).collect();
            let contacts = table["contacts"].as_object().expect("contacts by group");
            let covered = (0..3)
                .filter(|other| *other != group)
                .all(|other| contacts.get(&other.to_string()).is_some_and(|peers| ids_of(peers) == members(other)));
            if ids_of(&table["members"]) == mates && contacts.len() == 2 && covered {
                Ok(())
            } else {
                Err(table.to_string())
            }
        });
    }
    let status = cluster.dht(0, &["status"]).json();
    assert_eq!((&status["settings"]["groups"], &status["place"]), (&"3".into(), &"group 1".into()), "{status}");
    let ring = cluster.dht(0, &["ring"]).json();
    for member in ring["members"].as_array().expect("members") {
        assert_eq!(member["place"], format!("group {}", number(&member["id"]) % 3), "{ring}");
    }
    // 42 = 0 mod 3: of 45 and 96 one owns it, the same from everywhere, and who is not of the group takes one hop.
    let lookups: Vec<Value> =
        (0..6).map(|from| cluster.dht(from, &["lookup", "--id", &ids::number(42, BITS)]).json()).collect();
    for (lookup, from) in lookups.iter().zip(COURSE) {
        assert_eq!(lookup["protocol"], "kelips", "{lookup}");
        assert_eq!(lookup["owner"], lookups[0]["owner"]);
        assert!([45, 96].contains(&number(&lookup["owner"]["id"])), "{lookup}");
        let path = lookup["path"].as_array().expect("a path");
        assert_eq!(number(&path[0]["id"]), from, "{lookup}");
        assert!([45, 96].contains(&number(&path[path.len() - 1]["id"])), "{lookup}");
        assert_eq!(lookup["hops"], path.len() - 1, "{lookup}");
        match from % 3 {
            0 => assert!(path.len() <= 2, "{lookup}"),
            _ => assert_eq!(path[1]["via"], "contact", "{lookup}"),
        }
    }
}

#[test]
fn the_keys_of_an_empty_group_belong_to_the_next_one_that_has_members() {
    let protocol = Protocol::Kelips { groups: 4 };
    let mut cluster = Cluster::named("kelips-empty").protocol(protocol).ids(BITS, &COURSE).start();
    // Groups 2 and 3 are empty, and 45 is alone in group 1.
    let records: Vec<Record> = (0..1_u64 << BITS)
        .map(|id| {
            let wanted = ids::number(id, BITS);
            let key = ids::key_whose_id("record", BITS, |id| id == wanted);
            Record { key, value: wanted.into_bytes() }
        })
        .collect();
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    let keys: Vec<String> = records.iter().map(|record| record.key.clone()).collect();
    cluster.await_right_lookups(&keys, SETTLE);
    let owner = |target: u64| {
        let lookup = cluster.dht(0, &["lookup", "--id", &ids::number(target, BITS)]).json();
        number(&lookup["owner"]["id"])
    };
    assert_eq!(owner(41), 45);
    for target in [40, 42, 43] {
        assert_eq!(owner(target) % 4, 0, "the owner of {target}");
    }
    // Its first member takes a group over: 42 = 2 mod 4, and so is a key of 126; 3 mod 4 stays empty.
    cluster.next_id(42);
    cluster.add(&[2]);
    cluster.await_one_ring(SETTLE);
    cluster.await_right_lookups(&keys, SETTLE);
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
}

#[test]
fn every_member_of_a_group_knows_of_all_keys_of_its_group() {
    const GROUPS: u32 = 2;
    let mut cluster = Cluster::named("filetuples").protocol(Protocol::Kelips { groups: GROUPS }).nodes(8).start();
    let records = records("tuple", 200);
    cluster.put_all(&records);
    await_filetuples(&mut cluster, &records, GROUPS);
    let (deleted, kept) = records.split_at(50);
    for record in deleted {
        cluster.dht(1, &["delete", &record.key]).json();
    }
    await_filetuples(&mut cluster, kept, GROUPS);
    // Lookups name homes, whether a key is there or not.
    let keys: Vec<String> = records.iter().map(|record| record.key.clone()).collect();
    cluster.await_right_lookups(&keys, SETTLE);
}

/// Waits until the table of every member counts the keys that its group serves, no matter who holds them.
fn await_filetuples(cluster: &mut Cluster, records: &[Record], groups: u32) {
    let nodes = cluster.up_ids();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let served_by = |record: &Record| {
        let id = ids::hash(record.key.as_bytes(), ids::BITS_MAX);
        ids::serving_group(&nodes, &id, groups)
    };
    let served: Vec<Option<u32>> = records.iter().map(served_by).collect();
    for index in cluster.up() {
        let group = ids::group(cluster.nodes[index].id(), groups);
        let expected = served.iter().filter(|served| **served == Some(group)).count();
        eventually(&format!("the filetuples of node{index}"), Duration::from_secs(20), || {
            let table = cluster.dht(index, &["table"]).json();
            assert_eq!(table["group"], group, "{table}");
            if table["filetuples"] == expected { Ok(()) } else { Err(format!("{expected} wanted: {table}")) }
        });
    }
}
