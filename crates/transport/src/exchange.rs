//! One request and its reply, as bytes, over a pooled connection.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use overlay::Addr;
use tokio::time::{Instant, timeout_at};
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

use crate::codec::Plain;
use crate::{CallError, Connection, Pool};

/// A reply's bytes, or why there is none; with the round trip, unless the call opened its connection.
pub(crate) type Exchanged = (Result<Bytes, CallError>, Option<Duration>);

/// Sends `body` to `path` at `addr` and waits for the reply until `deadline`.
///
/// A connection that turns out closed before the request left is replaced, once, within the same call.
pub(crate) async fn exchange(
    pool: &Pool,
    addr: &Addr,
    path: &'static str,
    body: Bytes,
    message_len_max: usize,
    deadline: Instant,
) -> Exchanged {
    let Ok(origin) = Uri::builder().scheme("http").authority(addr.as_str()).path_and_query("/").build() else {
        return (Err(CallError::Unreachable(format!("`{addr}` is not an address that can be dialled"))), None);
    };
    let mut retried = false;
    loop {
        let (connection, opened) = match pool.connect(addr, deadline).await {
            Ok(connected) => connected,
            Err(error) => return (Err(error), None),
        };
        let begun = Instant::now();
        connection.pulse().on_call();
        let sent = send(connection.clone(), origin.clone(), path, body.clone(), message_len_max);
        let error = match timeout_at(deadline, sent).await {
            Ok(Ok(reply)) => return (Ok(reply), (!opened).then(|| begun.elapsed())),
            Ok(Err(status)) => status,
            Err(_) => {
                pool.on_timeout(addr, &connection);
                return (Err(CallError::TimedOut), None);
            }
        };
        if was_never_sent(&error) && !opened && !retried {
            pool.discard(addr, &connection);
            retried = true;
            continue;
        }
        return (Err(CallError::from_status(addr, path, &error)), None);
    }
}

async fn send(
    connection: Connection,
    origin: Uri,
    path: &'static str,
    body: Bytes,
    message_len_max: usize,
) -> Result<Bytes, Status> {
    let mut stub = tonic::client::Grpc::with_origin(connection, origin).max_decoding_message_size(message_len_max);
    stub.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let reply = stub.unary(Request::new(body), PathAndQuery::from_static(path), Plain).await?;
    Ok(reply.into_inner())
}

/// The request was still waiting for its turn when the connection closed.
fn was_never_sent(status: &Status) -> bool {
    let source = status.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    source.is_some_and(|error| error.is_canceled() || error.is_closed())
}
