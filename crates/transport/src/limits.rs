use std::time::Duration;

/// How far the transport's message limit lies above the value limit, so that a value a little too
/// long still arrives to be refused by its name.
const MESSAGE_MARGIN: usize = 64 * 1024;

/// What a node takes in, and how long it keeps silent connections. The same on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the longest value. Default 4 MiB.
    pub value_len_max: usize,
    /// Requests under way at a time on one connection. Default 1,024.
    pub streams_max: u32,
    /// After so long without a sign of life the other side is asked for one. Default 5 s.
    pub keepalive_interval: Duration,
    /// And after so long without an answer to that the connection is closed. Default 3 s.
    pub keepalive_timeout: Duration,
}

impl Limits {
    /// Bytes of the longest message.
    pub fn message_len_max(&self) -> usize {
        self.value_len_max.saturating_add(MESSAGE_MARGIN)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value_len_max: 4 * 1024 * 1024,
            streams_max: 1024,
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(3),
        }
    }
}

/// Bytes on the way of one request before the other side has to say "go on".
pub(crate) const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for a whole connection.
pub(crate) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
