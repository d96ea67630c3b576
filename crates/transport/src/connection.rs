//! One HTTP/2 connection to a node, and what is known of its health.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};

/// One open connection: a tonic stub's transport, cheap to clone. It never dials again by itself; the
/// [`crate::Pool`] opens another one when this is closed.
#[derive(Clone, Debug)]
pub struct Connection {
    sender: SendRequest<Body>,
    pulse: Arc<Pulse>,
}

impl Connection {
    pub(crate) fn new(sender: SendRequest<Body>, pulse: Arc<Pulse>) -> Self {
        Self { sender, pulse }
    }

    /// Whether the other side is gone, as far as this side has heard.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }
}

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// When a connection was last heard from and used: microseconds since it was opened.
#[derive(Debug)]
pub(crate) struct Pulse {
    opened: Instant,
    heard: AtomicU64,
    /// The first call since it was last heard from.
    asked: AtomicU64,
    used: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            used: AtomicU64::new(0),
        })
    }

    /// A call goes out.
    pub(crate) fn on_call(&self) {
        let now = self.now();
        self.used.store(now, Relaxed);
        if self.asked.load(Relaxed) <= self.heard.load(Relaxed) {
            self.asked.store(now, Relaxed);
        }
    }

    /// For how long a call has been waiting while nothing at all came back.
    pub(crate) fn silence(&self) -> Duration {
        let (asked, heard) = (self.asked.load(Relaxed), self.heard.load(Relaxed));
        let since = if asked > heard { asked } else { self.now() };
        Duration::from_micros(self.now().saturating_sub(since))
    }

    /// For how long nobody has used it.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_micros(self.now().saturating_sub(self.used.load(Relaxed)))
    }

    fn now(&self) -> u64 {
        // Never 0, which stands for "not yet".
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

/// A TCP stream that notes when something arrives.
#[derive(Debug)]
pub(crate) struct Listened {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl Listened {
    pub(crate) fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl AsyncRead for Listened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.heard.store(self.pulse.now(), Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Listened {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
