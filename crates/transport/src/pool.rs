//! One connection to each node that is talked to, opened when it is wanted.
//!
//! A dial that fails is forgotten at once: the next call dials again, there is no back-off here
//! (who is worth calling is decided above). Calls that want the same node at the same moment share
//! one dial. A connection on which calls go unanswered and nothing at all arrives is given up: after a cut network
//! heals, TCP's own retransmissions may be minutes apart, while a new connection works at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use overlay::Addr;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::dial::{DialError, dial};
use crate::{CallError, Connection, Limits};

/// How connections are opened and kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolConfig {
    /// A dial, with the resolution of the name, is given up after this. Default 1 s: one lost SYN costs no more than a new dial.
    pub connect_timeout: Duration,
    /// Connections kept open at most; the one used longest ago goes first. Default 256.
    pub connections_max: usize,
    /// A connection that nobody uses is closed after this. Default 60 s.
    pub idle_max: Duration,
    /// A connection with a call that timed out, on which nothing at all has come for so long, is given up. Default 1 s.
    pub silence_max: Duration,
    /// After so long without a sign of life the other side is asked for one. Default 5 s.
    pub keepalive_interval: Duration,
    /// And after so long without an answer to that the connection is closed. Default 3 s.
    pub keepalive_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connect_timeout: Duration::from_secs(1),
            connections_max: 256,
            idle_max: Duration::from_secs(60),
            silence_max: Duration::from_secs(1),
            keepalive_interval: limits.keepalive_interval,
            keepalive_timeout: limits.keepalive_timeout,
        }
    }
}

/// Connections to other nodes, by address. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: PoolConfig,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    by_addr: HashMap<Addr, Slot>,
    swept: Instant,
    dials: u64,
}

type Dial = Shared<BoxFuture<'static, Result<Connection, DialError>>>;

#[derive(Debug)]
enum Slot {
    Dialing { number: u64, dial: Dial },
    Open(Connection),
}

/// What [`Slots::find`] found.
enum Found {
    Open(Connection),
    /// Under way; `mine`: this caller began it.
    Dialing {
        dial: Dial,
        mine: bool,
    },
}

impl Pool {
    /// No connections yet.
    pub fn new(config: PoolConfig) -> Self {
        let slots = Slots { by_addr: HashMap::new(), swept: Instant::now(), dials: 0 };
        Self { inner: Arc::new(Inner { config, slots: Mutex::new(slots) }) }
    }

    /// A connection to `addr`, and whether it was opened for this (then a round trip over it says
    /// nothing about the network).
    ///
    /// Errors are [`CallError::TimedOut`] and [`CallError::Unreachable`].
    pub async fn connect(&self, addr: &Addr, deadline: Instant) -> Result<(Connection, bool), CallError> {
        loop {
            let (dial, mine) = match self.find(addr) {
                Found::Open(connection) => return Ok((connection, false)),
                Found::Dialing { dial, mine } => (dial, mine),
            };
            match timeout_at(deadline, dial).await {
                Err(_) => return Err(CallError::TimedOut),
                Ok(Ok(connection)) => return Ok((connection, true)),
                Ok(Err(DialError::Refused(text))) => return Err(CallError::Unreachable(text)),
                Ok(Err(DialError::TimedOut)) if mine => return Err(CallError::TimedOut),
                // Somebody else's dial, begun before this call: it says too little about now.
                Ok(Err(DialError::TimedOut)) => {}
            }
        }
    }

    /// Forgets a connection; calls on it go on.
    pub(crate) fn discard(&self, addr: &Addr, connection: &Connection) {
        let mut slots = self.inner.slots.lock();
        if let Some(Slot::Open(open)) = slots.by_addr.get(addr)
            && Arc::ptr_eq(open.pulse(), connection.pulse())
        {
            slots.by_addr.remove(addr);
        }
    }

    /// A call ran into its deadline on this connection.
    pub(crate) fn on_timeout(&self, addr: &Addr, connection: &Connection) {
        if connection.pulse().silence() >= self.inner.config.silence_max {
            tracing::debug!(%addr, "nothing comes over this connection: given up");
            self.discard(addr, connection);
        }
    }

    /// Connections that are open or being opened.
    pub fn len(&self) -> usize {
        self.inner.slots.lock().by_addr.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, addr: &Addr) -> Found {
        let mut slots = self.inner.slots.lock();
        slots.sweep(&self.inner.config);
        match slots.by_addr.get(addr) {
            Some(Slot::Open(connection)) if !connection.is_closed() => {
                return Found::Open(connection.clone());
            }
            Some(Slot::Dialing { dial, .. }) => {
                return Found::Dialing { dial: dial.clone(), mine: false };
            }
            _ => {}
        }
        slots.make_room(self.inner.config.connections_max);
        slots.dials += 1;
        let number = slots.dials;
        let dial = self.begin(addr.clone(), number);
        slots.by_addr.insert(addr.clone(), Slot::Dialing { number, dial: dial.clone() });
        Found::Dialing { dial, mine: true }
    }

    /// Dials in a task of its own: a caller that gives up does not take the others' dial with it.
    fn begin(&self, addr: Addr, number: u64) -> Dial {
        let pool = self.clone();
        let task = tokio::spawn(async move {
            let result = dial(&addr, &pool.inner.config).await;
            pool.end(&addr, number, &result);
            result
        });
        // A task ends without a result only when the runtime shuts down.
        async { task.await.unwrap_or(Err(DialError::TimedOut)) }.boxed().shared()
    }

    fn end(&self, addr: &Addr, number: u64, result: &Result<Connection, DialError>) {
        let mut slots = self.inner.slots.lock();
        match slots.by_addr.get_mut(addr) {
            Some(slot @ Slot::Dialing { .. }) if slot.is_dial(number) => match result {
                Ok(connection) => *slot = Slot::Open(connection.clone()),
                Err(_) => {
                    slots.by_addr.remove(addr);
                }
            },
            _ => {}
        }
    }
}

impl Slot {
    fn is_dial(&self, wanted: u64) -> bool {
        matches!(self, Slot::Dialing { number, .. } if *number == wanted)
    }
}

impl Slots {
    /// Lets go of what is closed or idle, now and then.
    fn sweep(&mut self, config: &PoolConfig) {
        if self.swept.elapsed() < config.idle_max / 8 {
            return;
        }
        self.swept = Instant::now();
        self.by_addr.retain(|_, slot| match slot {
            Slot::Open(connection) => !connection.is_closed() && connection.pulse().idle() < config.idle_max,
            Slot::Dialing { .. } => true,
        });
    }

    /// Lets go of the connection used longest ago when there are as many as there may be.
    fn make_room(&mut self, connections_max: usize) {
        if self.by_addr.len() < connections_max {
            return;
        }
        let idle = self.by_addr.iter().filter_map(|(addr, slot)| match slot {
            Slot::Open(connection) => Some((connection.pulse().idle(), addr)),
            Slot::Dialing { .. } => None,
        });
        if let Some(addr) = idle.max().map(|(_, addr)| addr.clone()) {
            self.by_addr.remove(&addr);
        }
    }
}
