//! Connections are opened when they are wanted, shared, replaced as soon as they are broken, and let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use overlay::{Addr, Failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use transport::{CallError, Pool, PoolConfig};

use crate::fake::{Running, TIMEOUT, client, client_on, here, noted, notify};

async fn listen() -> (TcpListener, Addr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = wire::read_addr(&listener.local_addr().unwrap().to_string()).unwrap();
    (listener, addr)
}

async fn node() -> Running {
    let node = Running::start().await;
    node.answers(|answers| answers.overlay = noted());
    node
}

#[tokio::test]
async fn a_refused_connection_is_unreachable_and_dialled_anew_by_the_next_call() {
    let client = client();
    let (listener, addr) = listen().await;
    drop(listener);
    for _ in 0..3 {
        let begun = Instant::now();
        let (answer, rtt) = notify(&client, &addr, TIMEOUT).await;
        let error = answer.unwrap_err();
        assert!(matches!(&error, CallError::Unreachable(text) if text.contains(addr.as_str())), "{error}");
        assert_eq!(Failure::from(error), Failure::Unreachable);
        assert_eq!(rtt, None);
        assert!(begun.elapsed() < Duration::from_secs(1), "refused at once");
    }
    let node = Running::start_at(addr.as_str().parse().unwrap(), here()).await;
    node.answers(|answers| answers.overlay = noted());
    let begun = Instant::now();
    assert!(notify(&client, &addr, TIMEOUT).await.0.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(1), "no back-off: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_unreachable() {
    let addr = wire::read_addr("no-such-host.invalid:7160").unwrap();
    let (answer, _) = notify(&client(), &addr, TIMEOUT).await;
    // Where a resolver is asked that does not answer, the dial runs into its timeout.
    assert!(matches!(answer, Err(CallError::Unreachable(_) | CallError::TimedOut)), "{answer:?}");
}

#[tokio::test]
async fn a_name_is_resolved_when_it_is_dialled() {
    let node = node().await;
    let addr = wire::read_addr(&format!("localhost:{}", node.socket().port())).unwrap();
    // `localhost` may be ::1 first, where nobody listens: the next address is tried.
    assert!(notify(&client(), &addr, TIMEOUT).await.0.is_ok());
}

#[tokio::test]
async fn a_silent_server_times_out_at_the_deadline() {
    let client = client();
    let (listener, addr) = listen().await;
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    for _ in 0..2 {
        let begun = Instant::now();
        let (answer, rtt) = notify(&client, &addr, Duration::from_millis(300)).await;
        assert_eq!(answer.map(|_| ()), Err(CallError::TimedOut));
        assert_eq!(rtt, None);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(900), "{took:?}");
    }
    held.abort();
}

#[tokio::test]
async fn a_connection_that_breaks_during_a_call_is_unreachable_at_once() {
    let client = client();
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // As much as the preface: the request is on its way.
        let _ = stream.read_exact(&mut [0; 64]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    let begun = Instant::now();
    let (answer, _) = notify(&client, &addr, TIMEOUT).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_server_of_another_kind_is_unreachable() {
    let client = client();
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let (answer, _) = notify(&client, &addr, TIMEOUT).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_restarted_server_is_reached_by_the_next_call() {
    let client = client();
    let first = node().await;
    let (addr, socket) = (first.addr.clone(), first.socket());
    assert!(notify(&client, &addr, TIMEOUT).await.0.is_ok());
    first.stop().await;
    let (answer, _) = notify(&client, &addr, TIMEOUT).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");

    let second = Running::start_at(socket, here()).await;
    second.answers(|answers| answers.overlay = noted());
    let begun = Instant::now();
    let (answer, rtt) = notify(&client, &addr, TIMEOUT).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(rtt, None, "over a new connection");
    assert!(begun.elapsed() < Duration::from_secs(1), "no back-off: {:?}", begun.elapsed());
}

#[tokio::test]
async fn calls_at_the_same_moment_share_one_connection() {
    let node = node().await;
    let (listener, addr) = listen().await;
    let accepted = Arc::new(AtomicUsize::new(0));
    forward(listener, node.socket(), Arc::clone(&accepted), 0);
    let client = client();
    let calls = (0..20).map(|_| notify(&client, &addr, TIMEOUT));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    assert_eq!(client.pool().len(), 1);
}

#[tokio::test]
async fn a_connection_over_which_nothing_comes_is_replaced() {
    let node = node().await;
    let (listener, addr) = listen().await;
    let accepted = Arc::new(AtomicUsize::new(0));
    // The first connection leads nowhere, like one whose way was cut; the next one works.
    forward(listener, node.socket(), Arc::clone(&accepted), 1);
    let silence_max = Duration::from_millis(400);
    let client = client_on(Pool::new(PoolConfig { silence_max, ..PoolConfig::default() }));
    // One call that is short of time proves nothing yet: the connection stays for a while.
    let begun = Instant::now();
    while notify(&client, &addr, Duration::from_millis(100)).await.0.is_err() {
        assert!(begun.elapsed() < TIMEOUT, "never replaced");
    }
    assert!(begun.elapsed() >= silence_max, "{:?}", begun.elapsed());
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_allowed() {
    let nodes = [node().await, node().await, node().await];
    let client = client_on(Pool::new(PoolConfig { connections_max: 2, ..PoolConfig::default() }));
    for node in nodes.iter().chain(&nodes) {
        assert!(notify(&client, &node.addr, TIMEOUT).await.0.is_ok());
        assert!(client.pool().len() <= 2);
    }
    // The one used last is still open: its call has a round trip.
    let (answer, rtt) = notify(&client, &nodes[2].addr, TIMEOUT).await;
    assert!(answer.is_ok() && rtt.is_some());
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_another_is_used() {
    let (idle, busy) = (node().await, node().await);
    let client = client_on(Pool::new(PoolConfig { idle_max: Duration::from_millis(200), ..PoolConfig::default() }));
    assert!(notify(&client, &idle.addr, TIMEOUT).await.0.is_ok());
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(notify(&client, &busy.addr, TIMEOUT).await.0.is_ok());
    }
    assert_eq!(client.pool().len(), 1);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_dial_to_the_others() {
    let node = node().await;
    let client = client();
    let (patient, hasty) = (client.clone(), client);
    let hasty_addr = node.addr.clone();
    let hasty = tokio::spawn(async move { notify(&hasty, &hasty_addr, TIMEOUT).await.0.map(|_| ()) });
    tokio::task::yield_now().await;
    hasty.abort();
    assert!(notify(&patient, &node.addr, TIMEOUT).await.0.is_ok());
}

/// Passes connections on to `target`, except the first `lost`, which are accepted and left alone.
fn forward(listener: TcpListener, target: std::net::SocketAddr, accepted: Arc<AtomicUsize>, lost: usize) {
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut from, _)) = listener.accept().await {
            if accepted.fetch_add(1, Ordering::SeqCst) < lost {
                held.push(from);
                continue;
            }
            tokio::spawn(async move {
                let mut to = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
}
