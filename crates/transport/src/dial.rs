//! Opening a connection: the name is resolved anew each time, and every address it has is tried.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use overlay::Addr;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::connection::{Listened, Pulse};
use crate::limits::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::{Connection, PoolConfig};

/// Why there is no connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum DialError {
    /// Nothing was heard from there.
    TimedOut,
    /// The name is unknown, nothing listens, there is no way: for people.
    Refused(String),
}

/// Opens a connection within `connect_timeout`.
pub(crate) async fn dial(addr: &Addr, config: &PoolConfig) -> Result<Connection, DialError> {
    let deadline = Instant::now() + config.connect_timeout;
    let refused = |error: std::io::Error| DialError::Refused(format!("{addr} can't be reached: {error}"));
    let resolved = timeout_at(deadline, lookup_host(addr.as_str())).await.map_err(|_| DialError::TimedOut)?;
    let sockets: Vec<SocketAddr> = resolved.map_err(refused)?.collect();
    let stream = connect(addr, &sockets, deadline).await?;
    stream.set_nodelay(true).map_err(refused)?;

    let pulse = Pulse::new();
    let (sender, driver) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(Listened::new(stream, Arc::clone(&pulse))))
        .await
        .map_err(|error| DialError::Refused(format!("{addr} does not speak HTTP/2: {error}")))?;
    let shown = addr.clone();
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(addr = %shown, %error, "a connection broke");
        }
    });
    Ok(Connection::new(sender, pulse))
}

/// Tries one address after the other; each gets its share of the time that is left.
async fn connect(addr: &Addr, sockets: &[SocketAddr], deadline: Instant) -> Result<TcpStream, DialError> {
    let mut failed = DialError::Refused(format!("{addr} has no address"));
    for (tried, socket) in sockets.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(sockets.len() - tried).unwrap_or(u32::MAX);
        failed = match timeout_at(Instant::now() + share, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => DialError::Refused(format!("{addr} can't be reached: {error}")),
            Err(_) => DialError::TimedOut,
        };
    }
    Err(failed)
}
