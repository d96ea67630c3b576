//! One writer at a time for each key.

use ring::Id;
use tokio::sync::{Mutex, MutexGuard};

/// Two keys that share a stripe wait for each other; so many stripes make that rare.
const STRIPES: usize = 1_024;

/// Orders the writes of each key.
pub(crate) struct KeyLocks {
    stripes: Vec<Mutex<()>>,
}

impl Default for KeyLocks {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect() }
    }
}

impl KeyLocks {
    pub(crate) async fn lock(&self, id: Id) -> MutexGuard<'_, ()> {
        let [.., high, low] = id.to_array();
        let stripe = usize::from(u16::from_be_bytes([high, low])) % STRIPES;
        self.stripes[stripe].lock().await
    }
}
