//! `dhtd healthcheck`: asks the node on this machine whether it is ready. For containers, whose image has nothing else to ask with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::config::Config;
use crate::exit::Fatal;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds if `/readyz` of the configured `http` address answers 200.
pub fn healthcheck(config: &Config) -> Result<(), Fatal> {
    let Some(http) = &config.http else {
        return Err(Fatal::config("healthcheck: http is `off`, there is nothing to ask"));
    };
    let failed = |error: std::io::Error| Fatal::other(format!("healthcheck: {http} does not answer: {error}"));
    let addr = http.to_socket_addrs().map_err(failed)?.next().map(reachable);
    let addr = addr.ok_or_else(|| Fatal::config(format!("healthcheck: {http} has no address")))?;
    let answer = ask(addr).map_err(failed)?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    let said = answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim();
    Err(Fatal::other(format!("healthcheck: not ready: {said}")))
}

/// A server that listens everywhere is asked on the loopback.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        let loopback = if addr.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        addr.set_ip(loopback);
    }
    addr
}

fn ask(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
