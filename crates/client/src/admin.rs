//! What `dht` looks inside with.

use bytes::Bytes;
use tonic::transport::Channel;
use transport::v1::admin_client::AdminClient;
use wire::v1;

use crate::client::{Resend, timed};
use crate::{Client, Error};

/// A call that any endpoint may answer.
macro_rules! ask {
    ($client:ident . $method:ident ($request:expr)) => {{
        let call = |channel, time| {
            let request = timed($request, time);
            async move { $client.admin(channel).$method(request).await }
        };
        Ok($client.attempt(Resend::Always, call).await?.0)
    }};
}

impl Client {
    /// The node itself: identifier, protocol, what it holds, how it is.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`].
    pub async fn status(&self) -> Result<v1::StatusResponse, Error> {
        ask!(self.status(v1::StatusRequest {}))
    }

    /// The route to the owner of a key, without touching data.
    ///
    /// # Errors
    /// [`Error::Unreachable`] also when the owner can't be found; [`Error::InvalidArgument`] for an impossible key.
    pub async fn lookup(&self, key: impl Into<Bytes>) -> Result<v1::LookupResponse, Error> {
        let target = v1::lookup_request::Target::Key(key.into());
        ask!(self.lookup(v1::LookupRequest { target: Some(target.clone()) }))
    }

    /// The route to the owner of an identifier, ⌈m/8⌉ bytes.
    ///
    /// # Errors
    /// As for [`Client::lookup`].
    pub async fn lookup_id(&self, id: impl Into<Bytes>) -> Result<v1::LookupResponse, Error> {
        let target = v1::lookup_request::Target::Id(id.into());
        ask!(self.lookup(v1::LookupRequest { target: Some(target.clone()) }))
    }

    /// The node's own routing state.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`].
    pub async fn table(&self) -> Result<v1::TableResponse, Error> {
        ask!(self.table(v1::TableRequest {}))
    }

    /// The members next to the node in the overlay's order, and its own share.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`].
    pub async fn neighbours(&self) -> Result<v1::NeighboursResponse, Error> {
        ask!(self.neighbours(v1::NeighboursRequest {}))
    }

    /// Asks the node at the first endpoint to leave gracefully. Answers once it has begun.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it was asked and did not answer: no other endpoint is asked instead.
    pub async fn leave(&self) -> Result<v1::LeaveResponse, Error> {
        let call = |channel, time| {
            let request = timed(v1::LeaveRequest {}, time);
            async move { self.admin(channel).leave(request).await }
        };
        self.attempt_first(call).await
    }

    /// Asks the node at the first endpoint to meet the ring behind `addr`, and to merge with it.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it was asked and did not answer: no other endpoint is asked instead.
    pub async fn join(&self, addr: impl Into<String>) -> Result<v1::AdminJoinResponse, Error> {
        let request = v1::AdminJoinRequest { addr: addr.into() };
        let call = |channel, time| {
            let request = timed(request.clone(), time);
            async move { self.admin(channel).join(request).await }
        };
        self.attempt_first(call).await
    }

    fn admin(&self, channel: Channel) -> AdminClient<Channel> {
        let limit = self.message_bytes_max();
        AdminClient::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit)
    }
}
