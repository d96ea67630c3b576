//! Records that a primary comes to hold while newcomers are registered, and that one of them may miss: [`replica::Doubts`].

use bytes::Bytes;
use parking_lot::Mutex;
use replica::Holdings;
use ring::Id;
use store::{Put, Record, StoreError, Version};

use crate::shared::Shared;

#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<replica::Doubts<Bytes, Version>>);

impl Doubts {
    /// Whether a newcomer may be without what this primary has of the key. Asked under the holdings that the record was
    /// read under, and after it was.
    pub(crate) fn any_about(&self, key: &Bytes) -> bool {
        self.0.lock().any_about(key)
    }

    /// This version is about to be put, under these holdings.
    pub(crate) fn raise(&self, holdings: &Holdings, place: Id, key: &Bytes, version: Version) {
        if holdings.find(place).is_some_and(|holding| !holding.learners().is_empty()) {
            // A slice would keep the whole buffer that it was received in.
            self.0.lock().raise(Bytes::copy_from_slice(key), version);
        }
    }

    /// This version is on a majority and every newcomer that it was to be sent to.
    pub(crate) fn settle(&self, key: &Bytes, version: Version) {
        self.0.lock().settle(key, &version);
    }

    /// These holdings are about to be published, and nobody acts by any others.
    pub(crate) fn on_publish(&self, holdings: &Holdings) {
        if holdings.ranges.iter().all(|holding| holding.learners().is_empty()) {
            self.0.lock().clear();
        }
    }
}

/// Puts what came from elsewhere.
pub(crate) async fn put(shared: &Shared, record: Record) -> Result<Put, StoreError> {
    let holdings = shared.holdings.read().await;
    shared.doubts.raise(&holdings, shared.place_of(&record.key), &record.key, record.version);
    shared.store.put(record).await
}

/// Puts what came from elsewhere.
pub(crate) async fn put_many(shared: &Shared, records: Vec<Record>) -> Result<(), StoreError> {
    let holdings = shared.holdings.read().await;
    for record in &records {
        shared.doubts.raise(&holdings, shared.place_of(&record.key), &record.key, record.version);
    }
    shared.store.put_many(records).await.map(drop)
}
