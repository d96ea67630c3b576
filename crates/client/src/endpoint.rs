use std::fmt;
use std::str::FromStr;

use tonic::transport::Channel;

use crate::Config;

/// Where a node is dialled: `HOST:PORT`, the host a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Endpoint(String);

/// The text is not `HOST:PORT`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not an endpoint: {why}; write HOST:PORT, for instance 127.0.0.1:7160")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// `HOST:PORT`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A channel that connects when it is first used, and again whenever it has to. Less patient when it is not `alone`.
    pub(crate) fn channel(&self, config: &Config, alone: bool) -> Result<Channel, EndpointError> {
        let error = |_| EndpointError { text: self.0.clone(), why: "the host is not one" };
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.0)).map_err(error)?;
        Ok(endpoint
            .connect_timeout(config.connect_timeout())
            .http2_keep_alive_interval(config.ping_interval())
            .keep_alive_timeout(config.ping_timeout(alone))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .tcp_nodelay(true)
            .connect_lazy())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = |why| EndpointError { text: text.to_owned(), why };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("the port is missing"))?;
        match port.parse::<u16>() {
            Ok(0) | Err(_) => return Err(error("the port is not a number from 1 to 65535")),
            Ok(_) => {}
        }
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() {
            return Err(error("the host is missing"));
        }
        if host.contains(':') && !bracketed {
            return Err(error("an IPv6 address goes in brackets"));
        }
        if host.chars().any(|c| c.is_whitespace() || "/@?#,".contains(c)) {
            return Err(error("the host is not one"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_names_and_bracketed_addresses_are_endpoints() {
        for text in ["127.0.0.1:7160", "node1:7160", "[::1]:7160", "a.b.example:1"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_host_and_port_is_refused_with_the_reason() {
        let why = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(why("localhost").contains("port is missing"));
        assert!(why("localhost:0").contains("1 to 65535"));
        assert!(why("localhost:http").contains("1 to 65535"));
        assert!(why(":7160").contains("host is missing"));
        assert!(why("::1:7160").contains("brackets"));
        assert!(why("http://a:1").contains("not one") || why("http://a:1").contains("brackets"));
    }
}
