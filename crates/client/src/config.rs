use std::time::Duration;

/// How a [`Client`](crate::Client) behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// For a whole operation, over all the endpoints that are tried. Default: 5 s.
    pub timeout: Duration,
    /// For opening one connection. Default: a quarter of `timeout`, at most 2 s.
    pub connect_timeout: Option<Duration>,
    /// The greatest message sent or taken in, in bytes: the greatest value and 64 KiB for what is around it.
    /// Default: 4 MiB + 64 KiB.
    pub message_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), connect_timeout: None, message_bytes_max: (4 << 20) + (64 << 10) }
    }
}

impl Config {
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or((self.timeout / 4).min(Duration::from_secs(2)))
    }

    /// While an answer is awaited, the other side is pinged this often…
    pub(crate) fn ping_interval(&self) -> Duration {
        (self.timeout / 5).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// …and given up when it is silent for this long. A stopped process keeps its connections open and answers
    /// nothing: this is how the next endpoint, if there is one, gets its turn before the time is over.
    pub(crate) fn ping_timeout(&self, alone: bool) -> Duration {
        let patience = if alone { self.timeout } else { (self.timeout / 4).min(Duration::from_secs(2)) };
        patience.max(Duration::from_millis(100))
    }
}
