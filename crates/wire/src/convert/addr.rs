use overlay::Addr;

/// A host name has at most 253 bytes (RFC 1035); with brackets, colon and port.
const ADDR_LEN_MAX: usize = 253 + 2 + 6;

/// Reads `HOST:PORT`: a host name, an IPv4 address or an IPv6 address in brackets, and a port from 1 to 65535.
///
/// The error is the rest of a sentence that began with the address's name: "has no port: …".
///
/// ```
/// assert!(wire::read_addr("node-1.example:7160").is_ok());
/// assert!(wire::read_addr("[::1]:7160").is_ok());
/// assert_eq!(wire::read_addr("node-1").unwrap_err(), "is `node-1`, not HOST:PORT");
/// ```
pub fn read_addr(text: &str) -> Result<Addr, String> {
    if text.len() > ADDR_LEN_MAX {
        return Err(format!("is {} bytes long, the limit is {ADDR_LEN_MAX}", text.len()));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("is `{}`, not HOST:PORT", text.escape_debug()));
    };
    if !is_host(host) {
        return Err(format!("is `{}`, whose host is not a name or an address", text.escape_debug()));
    }
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    match Addr::new(text) {
        Some(addr) if is_port => Ok(addr),
        _ => Err(format!("is `{}`, whose port is not from 1 to 65535", text.escape_debug())),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}
