//! What it costs on the wire to find out where two large stores differ, and to bring them together again.

use overlay::{Addr, Envelope, Peer};
use replica::{Descent, Entry, Look, Member, Set};
use ring::{Id, Range, Space};
use store::{Digest, Record, Store, Version};
use wire::records::{self, Listed};
use wire::{Call, StorageEnvelope};

const RECORDS: u64 = 1_000_000;
const DIFFERING: u64 = 100;
const VALUE_BYTES: usize = 1_024;
const LIMIT: usize = 1 << 20;

/// The bytes of what is asked and answered, as encoded.
#[derive(Default)]
struct Wire {
    bytes: usize,
    calls: usize,
}

impl Wire {
    fn ask<C: Call<Envelope = StorageEnvelope>>(&mut self, call: &C, envelope: &StorageEnvelope, reply: C::Reply) {
        let path = call.path();
        self.bytes += call.encode("default", envelope).len();
        self.bytes += C::encode_reply(path, &Ok(reply)).expect("a reply to it").len();
        self.calls += 1;
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("record-{number:012}").into_bytes()
}

fn version(number: u64, update: u64) -> Version {
    Version::at(1_700_000_000_000 + number / 50 + update, number as u16, 0x5eed_5eed_5eed_5eed).under(12)
}

/// The records' values are left out while they are compared: only keys and versions go over the wire then.
async fn filled() -> Store {
    let store = Store::memory(Space::SHA1);
    for chunk in 0..RECORDS / 10_000 {
        let numbers = chunk * 10_000..(chunk + 1) * 10_000;
        let records = numbers.map(|number| Record::new(key(number), version(number, 0), Vec::new())).collect();
        store.put_many(records).await.expect("put");
    }
    store
}

fn entries(store: &Store, part: Range) -> Vec<Entry<Id, Vec<u8>, Version>> {
    let page = store.list(part, None, 4_096).expect("listed");
    assert!(page.next.is_none(), "parts that are listed are small");
    let entry = |listed: store::Listed| Entry {
        place: part.after.distance_to(listed.id),
        key: listed.key.to_vec(),
        version: listed.version,
    };
    page.entries.into_iter().map(entry).collect()
}

#[tokio::test]
async fn two_replicas_of_a_million_records_that_differ_in_a_hundred_take_less_than_a_mebibyte() {
    let (mine, theirs) = (filled().await, filled().await);
    for turn in 0..DIFFERING {
        let number = turn * (RECORDS / DIFFERING) + 77;
        let newer = Record::new(key(number), version(number, 5), vec![7; VALUE_BYTES]);
        // Either side is behind as often as the other.
        if turn % 2 == 0 { &mine } else { &theirs }.put(newer).await.expect("put");
    }
    let space = Space::SHA1;
    let peer = |name: &str| {
        let addr = Addr::new(&format!("{name}.example.net:7160")).expect("an address");
        Peer { id: space.hash(name.as_bytes()), addr, incarnation: 1_700_000_000_001 }
    };
    let members: Vec<Member> = ["one", "two", "three"].map(|name| Member { peer: peer(name), store: u64::MAX }).into();
    let set = Set { number: 12, members, forced: false };
    let envelope = Envelope { from: peer("one"), to: Some(peer("two")), ring: None };
    let envelope = StorageEnvelope { envelope, store: u64::MAX, wall_ms: 1_700_000_000_000 };
    let range = Range::full(space.zero());
    let (mut descent, mut wire, mut moved) = (Descent::new(range), Wire::default(), 0);
    while let Some(look) = descent.next_look() {
        match look {
            Look::Compare { cuts, parts } => {
                let pieces: Vec<Range> = cuts.iter().flat_map(|cut| cut.cut(parts)).collect();
                let of = |store: &Store| -> Vec<Digest> {
                    pieces.iter().map(|piece| store.digest(*piece).expect("digested")).collect()
                };
                let (here, there) = (of(&mine), of(&theirs));
                let question = records::Digest { holder: u64::MAX, range, set: set.clone(), cuts, parts };
                let reply = records::DigestReply { digests: there.clone(), newer: None, horizon: u64::MAX };
                wire.ask(&question, &envelope, reply);
                for ((piece, here), there) in pieces.into_iter().zip(here).zip(there) {
                    descent.compared(piece, here == there, here.count, there.count);
                }
            }
            Look::List(part) => {
                let (here, there) = (entries(&mine, part), entries(&theirs, part));
                let listed = |entry: &Entry<Id, Vec<u8>, Version>| Listed {
                    key: entry.key.clone().into(),
                    version: entry.version,
                };
                let (after, limit) = (None, 2_048);
                let question = records::List { holder: u64::MAX, range: part, set: set.clone(), after, limit };
                let entries = there.iter().map(listed).collect();
                wire.ask(&question, &envelope, records::ListReply { entries, next: None, newer: None });
                let difference = replica::reconcile(here, there);
                for wanted in difference.fetch {
                    let record = theirs.get(&wanted.key).expect("read").expect("it was listed");
                    let keys = vec![record.key.clone()];
                    let question = records::Fetch { holder: u64::MAX, range: part, number: 12, keys };
                    let reply = records::FetchReply { records: vec![record.clone()], taken: 1, newer: None };
                    wire.ask(&question, &envelope, reply);
                    mine.put(record).await.expect("put");
                    moved += 1;
                }
                for offered in difference.offer {
                    let record = mine.get(&offered.key).expect("read").expect("it was listed");
                    let question = records::Store { holder: u64::MAX, number: 12, record: record.clone() };
                    wire.ask(&question, &envelope, records::StoreReply::Stored { durable: true });
                    theirs.put(record).await.expect("put");
                    moved += 1;
                }
            }
        }
    }
    println!("{} bytes in {} calls for {moved} records", wire.bytes, wire.calls);
    assert_eq!(moved, DIFFERING);
    assert_eq!(mine.digest(range), theirs.digest(range));
    assert!(wire.bytes <= LIMIT, "{} bytes", wire.bytes);
    // And when there is nothing to find, one digest says so.
    let mut again = Descent::new(range);
    again.next_look();
    again.compared(range, true, RECORDS, RECORDS);
    assert_eq!(again.next_look(), None);
}
