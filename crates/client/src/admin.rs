//! What `dht` looks inside with.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use tonic::Streaming;
use tonic::transport::Channel;
use transport::v1::admin_client::AdminClient;
use wire::v1;

use crate::client::{Resend, timed};
use crate::outcome::Outcome;
use crate::{Attempt, Attempts, Client, Error};

/// What a node finds as it compares the copies of its records, range by range.
#[derive(Debug)]
pub struct Verification {
    endpoint: String,
    ranges: Streaming<v1::VerifyResponse>,
    /// How long all of it may take, and when that is over.
    within: Duration,
    deadline: Instant,
}

impl Verification {
    /// The next range that has been compared; none once all have been.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when the time is over; [`Error::Unreachable`] when the node goes away. What it found until
    /// then stands.
    pub async fn next(&mut self) -> Result<Option<v1::VerifyResponse>, Error> {
        let why = match timeout_at(self.deadline, self.ranges.message()).await {
            Ok(Ok(range)) => return Ok(range),
            Ok(Err(status)) => match Outcome::of(&status) {
                Outcome::Final(error) => return Err(error),
                Outcome::TimedOut(why) => return Err(self.timed_out(why)),
                Outcome::NotDone(why) | Outcome::Unclear(why) => why,
            },
            Err(_) => return Err(self.timed_out("it still compares".to_owned())),
        };
        // The node's own clock may have been the first to say that the time is over.
        if Instant::now() >= self.deadline { Err(self.timed_out(why)) } else { Err(Error::Unreachable(self.of(why))) }
    }

    fn timed_out(&self, why: String) -> Error {
        Error::TimedOut { after: self.within, attempts: self.of(why) }
    }

    fn of(&self, why: String) -> Attempts {
        Attempts(vec![Attempt { endpoint: self.endpoint.clone(), why }])
    }
}

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

    /// All copies of a record and what becomes of them, wherever they are. That there is none is an answer too.
    ///
    /// # Errors
    /// As for [`Client::lookup`].
    pub async fn explain(&self, key: impl Into<Bytes>) -> Result<v1::ExplainResponse, Error> {
        let key = key.into();
        ask!(self.explain(v1::ExplainRequest { key: key.clone() }))
    }

    /// Has the node compare the copies of every record that it is the primary of, and name up to `named_max` of those
    /// that have too few. The client's time-out is for all of it, [`Verification::next`] included.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`].
    pub async fn verify(&self, named_max: u32) -> Result<Verification, Error> {
        let call = |channel, time| {
            let request = timed(v1::VerifyRequest { named_max }, time);
            let deadline = Instant::now() + time;
            async move {
                let answer = self.admin(channel).verify(request).await?;
                Ok(answer.map(|ranges| (ranges, time, deadline)))
            }
        };
        let ((ranges, within, deadline), endpoint) = self.attempt(Resend::Always, call).await?;
        Ok(Verification { endpoint: endpoint.to_string(), ranges, within, deadline })
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
