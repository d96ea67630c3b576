//! Both engines do what a plain map does.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use ring::{Id, Range, Space};
use store::{Cursor, Digest, Listed, Put, Record, Stats, Store, Version};

/// What one handler may ask of a store. Keys are numbers of a small pool, so that they meet often.
#[derive(Clone, Debug)]
enum Step {
    Put(Vec<Written>),
    Erase(Vec<(u8, u64)>),
    Forget(Vec<(u8, u64, u64)>),
    RaiseHorizon(u64),
    Expire { now_ms: u64, limit: usize },
    List { after: u16, upto: u16, page: usize },
    SetMeta(u8, Vec<u8>),
    Reopen,
}

#[derive(Clone, Debug)]
struct Written {
    key: u8,
    clock: u64,
    store: u64,
    value: Option<Vec<u8>>,
    expires_at_ms: Option<u64>,
}

const KEYS: u8 = 24;

fn written() -> impl Strategy<Value = Written> {
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..40));
    let expiry = proptest::option::of(0u64..50);
    (0..KEYS, 0u64..12, 0u64..3, value, expiry).prop_map(|(key, clock, store, value, expires_at_ms)| Written {
        key,
        clock,
        store,
        value,
        expires_at_ms,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => proptest::collection::vec(written(), 1..6).prop_map(Step::Put),
        2 => proptest::collection::vec((0..KEYS, 0u64..12), 1..4).prop_map(Step::Erase),
        2 => proptest::collection::vec((0..KEYS, 0u64..12, 0u64..3), 1..6).prop_map(Step::Forget),
        1 => (0u64..15).prop_map(Step::RaiseHorizon),
        2 => (0u64..60, 0usize..8).prop_map(|(now_ms, limit)| Step::Expire { now_ms, limit }),
        3 => (any::<u16>(), any::<u16>(), 0usize..9).prop_map(|(after, upto, page)| Step::List { after, upto, page }),
        1 => (0u8..3, proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(name, blob)| Step::SetMeta(name, blob)),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The key of a number: of several lengths, the empty one among them.
fn key(number: u8) -> Bytes {
    Bytes::from(vec![number % 7; usize::from(number)])
}

fn record(written: &Written) -> Record {
    let version = Version { term: written.clock / 4, clock: written.clock, store: written.store };
    let value = written.value.clone().map(Bytes::from);
    Record { key: key(written.key), version, expires_at_ms: written.expires_at_ms, value }
}

/// The plain map, and the store that must not differ from it.
struct Trial {
    space: Space,
    dir: Option<tempfile::TempDir>,
    store: Option<Store>,
    number: u64,
    model: BTreeMap<Bytes, Record>,
    meta: BTreeMap<String, Vec<u8>>,
    horizon: u64,
}

impl Trial {
    fn new(space: Space, durable: bool) -> Self {
        let dir = durable.then(|| tempfile::tempdir().expect("a directory"));
        let store = match &dir {
            Some(dir) => Store::open(dir.path(), space).expect("opens"),
            None => Store::memory(space),
        };
        let number = store.number();
        Self { space, dir, store: Some(store), number, model: BTreeMap::new(), meta: BTreeMap::new(), horizon: 0 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Put(written) => self.put(written).await,
            Step::Erase(entries) => self.erase(entries).await,
            Step::Forget(entries) => self.forget(entries).await,
            Step::RaiseHorizon(clock) => {
                self.store().raise_horizon(*clock).await.expect("raised");
                self.horizon = self.horizon.max(*clock);
            }
            Step::Expire { now_ms, limit } => self.expire(*now_ms, *limit).await,
            Step::List { after, upto, page } => {
                let id = |number: &u16| self.space.hash(&number.to_be_bytes());
                self.list(Range::new(id(after), id(upto)), *page);
            }
            Step::SetMeta(name, blob) => {
                let name = format!("blob {name}");
                self.store().set_meta(&name, blob).expect("set");
                self.meta.insert(name, blob.clone());
            }
            Step::Reopen => self.reopen(),
        }
    }

    async fn put(&mut self, written: &[Written]) {
        let records: Vec<Record> = written.iter().map(record).collect();
        let expected: Vec<Put> = records.iter().map(|record| self.put_in_model(record.clone())).collect();
        assert_eq!(self.store().put_many(records).await, Ok(expected));
    }

    fn put_in_model(&mut self, mut record: Record) -> Put {
        record.expires_at_ms = record.expires_at_ms.filter(|_| record.value.is_some());
        let stored = Put::Stored { durable: self.dir.is_some() };
        match self.model.get(&record.key) {
            Some(present) if present.version > record.version => Put::Superseded(present.version),
            Some(present) if present.version == record.version => stored,
            _ => {
                self.model.insert(record.key.clone(), record);
                stored
            }
        }
    }

    async fn erase(&mut self, entries: &[(u8, u64)]) {
        let entries: Vec<(Bytes, Version)> = entries
            .iter()
            .map(|(number, clock)| (key(*number), Version { term: clock / 4, clock: *clock, store: 1 }))
            .collect();
        let mut expected = 0;
        for (key, upto) in &entries {
            if self.model.get(key).is_some_and(|record| record.version <= *upto) {
                self.model.remove(key);
                expected += 1;
            }
        }
        assert_eq!(self.store().erase(entries).await, Ok(expected));
    }

    async fn forget(&mut self, entries: &[(u8, u64, u64)]) {
        let version = |clock, store| Version { term: clock / 4, clock, store };
        let entries: Vec<(Bytes, Version)> =
            entries.iter().map(|(number, clock, store)| (key(*number), version(*clock, *store))).collect();
        let mut expected = 0;
        for (key, version) in &entries {
            self.horizon = self.horizon.max(version.clock);
            if self.model.get(key).is_some_and(|record| record.is_tombstone() && record.version == *version) {
                self.model.remove(key);
                expected += 1;
            }
        }
        assert_eq!(self.store().forget(entries).await, Ok(expected));
    }

    /// Which records a limited sweep takes is the engine's affair, how many is not; the next one takes the rest.
    async fn expire(&mut self, now_ms: u64, limit: usize) {
        let due: Vec<&mut Record> =
            self.model.values_mut().filter(|record| !record.is_tombstone() && !record.is_live(now_ms)).collect();
        let first = due.len().min(limit);
        let rest = due.len() - first;
        due.into_iter().for_each(|record| (record.value, record.expires_at_ms) = (None, None));
        assert_eq!(self.store().expire(now_ms, limit).await, Ok(first as u64));
        assert_eq!(self.store().expire(now_ms, usize::MAX).await, Ok(rest as u64));
        assert_eq!(self.store().expire(now_ms, usize::MAX).await, Ok(0));
    }

    fn list(&self, range: Range, page: usize) {
        // In the spec's own words: by distance from the start (the start itself being last), then by key.
        let distance = |id: Id| range.after.distance_to(id).minus(self.space.zero().plus_power(0));
        let mut expected: Vec<Listed> = self
            .model
            .values()
            .map(|record| listed(self.space, record))
            .filter(|listed| range.contains(listed.id))
            .collect();
        expected.sort_by_key(|listed| (distance(listed.id), listed.key.clone()));

        let (mut found, mut after): (Vec<Listed>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let got = self.store().list(range, after.as_ref(), page).expect("listed");
            assert!(got.entries.len() <= page.max(1));
            assert!(got.next.is_none() || got.entries.len() == page.max(1), "only the last page is short");
            found.extend(got.entries);
            after = got.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
        let sum = |sum: Digest, listed: &Listed| sum.plus(Digest::of(&listed.key, listed.version));
        assert_eq!(self.store().digest(range), Ok(expected.iter().fold(Digest::default(), sum)));
    }

    fn reopen(&mut self) {
        if let Some(dir) = &self.dir {
            drop(self.store.take());
            self.store = Some(Store::open(dir.path(), self.space).expect("opens again"));
        }
    }

    fn check(&self) {
        let store = self.store();
        assert_eq!(store.number(), self.number);
        assert_eq!(store.horizon(), self.horizon);
        for number in 0..KEYS {
            assert_eq!(store.get(&key(number)), Ok(self.model.get(&key(number)).cloned()));
        }
        for name in ["blob 0", "blob 1", "blob 2", "blob"] {
            assert_eq!(store.meta(name), Ok(self.meta.get(name).cloned()));
        }
        let live = || self.model.values().filter(|record| !record.is_tombstone());
        let expected = Stats {
            keys: live().count() as u64,
            bytes: live().map(|record| record.byte_len() as u64).sum(),
            tombstones: self.model.values().filter(|record| record.is_tombstone()).count() as u64,
        };
        assert_eq!(store.stats(), expected);
        self.list(Range::full(self.space.zero()), 5);
    }
}

fn listed(space: Space, record: &Record) -> Listed {
    Listed {
        id: space.hash(&record.key),
        key: record.key.clone(),
        version: record.version,
        tombstone: record.is_tombstone(),
        bytes: record.byte_len() as u32,
    }
}

fn follow(space: Space, durable: bool, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut trial = Trial::new(space, durable);
        for step in steps {
            trial.step(step).await;
        }
        trial.check();
        trial.reopen();
        trial.check();
    });
}

/// Few bits, so that keys share identifiers; few more than shards; all.
fn spaces() -> impl Strategy<Value = Space> {
    prop_oneof![Just(3), Just(5), Just(8), Just(160)].prop_map(|bits| Space::new(bits).expect("a width"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_memory_engine_is_a_plain_map(space in spaces(), steps in steps()) {
        follow(space, false, &steps);
    }
}

proptest! {
    // Each opens and closes a directory, with real fsyncs.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_durable_engine_is_a_plain_map(space in spaces(), steps in steps()) {
        follow(space, true, &steps);
    }
}
