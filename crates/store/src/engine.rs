use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use ring::Range;

use crate::head::Head;
use crate::place::Place;
use crate::span::Span;
use crate::{Digest, Put, Record, Stats, StoreError, Version};

/// The answer to a write, some time later.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a [`Store`](crate::Store) keeps its records in: an ordered map from [`Place`] to record that keeps the newest version of each,
/// an index of those that expire, and a few named blobs. Reads answer at once and from any thread; a write
/// is atomic, and answers when it is where [`Engine::is_durable`] says.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Random, made with the store, kept as long as its records are.
    fn number(&self) -> u64;

    /// From the next opening on it is another store.
    fn retire(&self) -> Result<(), StoreError>;

    /// Whether an answered write outlives the process and the machine's power.
    fn is_durable(&self) -> bool;

    fn stats(&self) -> Stats;

    /// An error once writes are refused.
    fn health(&self) -> Result<(), StoreError>;

    /// Write commits since the engine was opened.
    fn commits(&self) -> u64;

    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError>;

    /// Shows the heads of the span in order until `each` wants no more.
    fn scan(&self, span: &Span, each: &mut dyn FnMut(Place, Head) -> bool) -> Result<(), StoreError>;

    /// What the records of a range come to.
    fn digest(&self, range: Range) -> Result<Digest, StoreError>;

    /// All or none, in one commit; an answer for each, in order.
    fn put(&self, records: Vec<Record>) -> Answer<'_, Vec<Put>>;

    /// Forgets what is not newer than the version given; how many there were.
    fn erase(&self, entries: Vec<(Bytes, Version)>) -> Answer<'_, u64>;

    /// Forgets the deletions among these that are of exactly that version; how many there were. From then on the horizon
    /// is `upto` at least.
    fn forget(&self, entries: Vec<(Bytes, Version)>, upto: u64) -> Answer<'_, u64>;

    /// Deletions up to this moment of the clock may have been forgotten.
    fn horizon(&self) -> u64;

    /// Turns up to `limit` records whose time has come into tombstones; how many.
    fn expire(&self, now_ms: u64, limit: usize) -> Answer<'_, u64>;

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Answers when every write before it is where it should be.
    fn flush(&self) -> Answer<'_, ()>;
}
