//! Names into addresses: seeds again and again, one's own address once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use overlay::Addr;

use crate::config::{Advertise, Config, refuse_unspecified};
use crate::exit::Fatal;

/// A name server that is silent must not hold up the start for longer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Every address that the seeds' names have just now. A name that doesn't resolve stays as it is, since it may later:
/// a node that was given seeds must not take itself for the first of a ring.
pub(crate) async fn seeds(names: &[String]) -> Vec<Addr> {
    let mut found: Vec<Addr> = Vec::new();
    for name in names {
        // An address is its own resolution, and kept as it was written so that it equals what its owner advertises.
        let texts = match name.parse::<SocketAddr>() {
            Ok(_) => vec![name.clone()],
            Err(_) => match lookup(name).await {
                addrs if addrs.is_empty() => vec![name.clone()],
                addrs => addrs.iter().map(ToString::to_string).collect(),
            },
        };
        for addr in texts.iter().filter_map(|text| Addr::new(text)) {
            if !found.contains(&addr) {
                found.push(addr);
            }
        }
    }
    found
}

/// The addresses of one `HOST:PORT`, none if its name is unknown or the name server silent.
pub(crate) async fn lookup(name: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host(name)).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => {
            tracing::debug!(name, %error, "a name does not resolve");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// What this node tells others to dial, given where it is bound.
pub(crate) async fn advertised(config: &Config, bound: SocketAddr) -> Result<Addr, Fatal> {
    let text = match &config.advertise {
        Advertise::Fixed(text) => match text.strip_suffix(":0") {
            Some(host) => format!("{host}:{}", bound.port()),
            None => text.clone(),
        },
        Advertise::Bound => bound.to_string(),
        Advertise::Auto => SocketAddr::new(own_address(&config.join).await?, bound.port()).to_string(),
    };
    refuse_unspecified(&text)?;
    Addr::new(&text).ok_or_else(|| Fatal::config("advertise: an empty address"))
}

/// This machine's own address on the way to the first seed that resolves, else on the way out. Sends nothing.
async fn own_address(seeds: &[String]) -> Result<IpAddr, Fatal> {
    let mut targets = Vec::new();
    for seed in seeds {
        targets.extend(lookup(seed).await);
    }
    // TEST-NET-1 (RFC 5737): any address outside will do to ask the kernel for its route.
    targets.push(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)));
    for target in targets {
        let any: SocketAddr = if target.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let route = UdpSocket::bind(any).and_then(|socket| socket.connect(target).and_then(|()| socket.local_addr()));
        match route {
            Ok(own) if !own.ip().is_unspecified() => return Ok(own.ip()),
            _ => {}
        }
    }
    Err(Fatal::config(
        "advertise: `auto` found no route to a seed nor any other network address; say --advertise HOST:PORT",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_and_an_unknown_name_stay_as_they_were_written() {
        let found = seeds(&["127.0.0.1:1".into(), "no-such-host.invalid:1".into(), "127.0.0.1:1".into()]).await;
        assert_eq!(found, ["127.0.0.1:1", "no-such-host.invalid:1"].map(|text| Addr::new(text).unwrap()));
    }

    #[tokio::test]
    async fn auto_is_the_address_on_the_way_to_the_seed() {
        assert_eq!(own_address(&["127.0.0.1:7160".into()]).await.unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
