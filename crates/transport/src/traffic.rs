use std::sync::atomic::{AtomicU64, Ordering};

use wire::records::{Digest, Execute, Fetch, Forget, Hint, List, Look, Offer, Read, Store};

const ABOUT_RECORDS: [&str; 10] = [
    Execute::PATH,
    Store::PATH,
    Hint::PATH,
    Read::PATH,
    Look::PATH,
    Digest::PATH,
    Forget::PATH,
    List::PATH,
    Fetch::PATH,
    Offer::PATH,
];

/// Counts what a node's upkeep costs: calls about the overlay and about who holds what, not those about records.
///
/// A call counts once at the node that made it and once at the node that answered it, with the bytes of request and reply as
/// encoded, without what HTTP/2 and TCP put around them.
#[derive(Debug, Default)]
pub struct Traffic {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// Calls made or answered.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, path: &str, bytes: usize) {
        if !ABOUT_RECORDS.contains(&path) {
            self.messages.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}
