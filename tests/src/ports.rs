//! Ports that a daemon finds free again when it is restarted.
//!
//! A node's identifier is the hash of its address, so a restart needs its old port. A port that the kernel hands out
//! for `:0` can be taken meanwhile by any outgoing connection, and dozens of daemons make many; so these come from
//! below the ephemeral range.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on the loopback address that nobody listens on, and that no other test of this process is given.
///
/// # Panics
/// When none is free.
#[must_use]
pub fn free_port() -> u16 {
    // Processes begin far apart, so that test binaries that run side by side do not race for the same ones.
    let offset = (process::id().wrapping_mul(7919) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + offset.wrapping_add(step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}
