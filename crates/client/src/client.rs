use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use transport::v1::kv_client::KvClient;
use wire::v1;

use crate::kv::consistency;
use crate::outcome::Outcome;
use crate::{Attempt, Attempts, Config, DeleteOptions, Endpoint, Error, GetOptions, Peer, PutOptions, Receipt, Record};

/// Talks to a cluster through a few of its nodes.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoints: Vec<(Endpoint, Channel)>,
    /// The endpoint that served last: it is asked first.
    preferred: AtomicUsize,
    config: Config,
}

/// Whether a call that was sent may be sent again, to somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resend {
    /// Doing it twice is no harm.
    Always,
    /// Only if it is certain that nothing was done.
    Unsent,
}

impl Client {
    /// A client of the nodes at these endpoints, `HOST:PORT` each, tried in this order. Connects to none of them yet,
    /// but has to be made inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Endpoint`] for what is not an endpoint; [`Error::InvalidArgument`] when there is none.
    pub fn new<E: AsRef<str>>(endpoints: impl IntoIterator<Item = E>) -> Result<Self, Error> {
        Self::with_config(endpoints, Config::default())
    }

    /// The same, with time-outs and limits of one's own.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn with_config<E: AsRef<str>>(endpoints: impl IntoIterator<Item = E>, config: Config) -> Result<Self, Error> {
        let parse = |text: E| Ok(text.as_ref().parse()?);
        let endpoints = endpoints.into_iter().map(parse).collect::<Result<Vec<Endpoint>, Error>>()?;
        let alone = endpoints.len() == 1;
        let dial = |endpoint: Endpoint| {
            let channel = endpoint.channel(&config, alone)?;
            Ok((endpoint, channel))
        };
        let endpoints = endpoints.into_iter().map(dial).collect::<Result<Vec<_>, Error>>()?;
        if endpoints.is_empty() {
            return Err(Error::InvalidArgument("no endpoint was given".to_owned()));
        }
        Ok(Self { inner: Arc::new(Inner { endpoints, preferred: AtomicUsize::new(0), config }) })
    }

    /// The endpoints, in the order given.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.inner.endpoints.iter().map(|(endpoint, _)| endpoint)
    }

    /// Stores a value under a key. Done when as many of the key's holders have it as the options ask for.
    ///
    /// # Errors
    /// [`Error::ConditionFailed`], [`Error::QuorumNotMet`], [`Error::InvalidArgument`] for a key or value past the
    /// limits; [`Error::OutcomeUnknown`] for a conditional write that was sent and not answered.
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Receipt, Error> {
        let request = v1::PutRequest {
            key: key.into(),
            value: value.into(),
            ttl_ms: options.ttl.map(ttl_ms).transpose()?.unwrap_or(0),
            condition: options.condition.map(Into::into),
            consistency: consistency(options.consistency),
        };
        self.within_limit(request.key.len() + request.value.len())?;
        let resend = if options.condition.is_some() { Resend::Unsent } else { Resend::Always };
        let call = |channel, time| {
            let request = timed(request.clone(), time);
            async move { self.kv(channel).put(request).await }
        };
        let (answer, endpoint) = self.attempt(resend, call).await?;
        receipt(answer.id, answer.version, answer.acks, endpoint)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::QuorumNotMet`] when too few holders answer to be sure.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Record, Error> {
        self.get_with(key, GetOptions::default()).await
    }

    /// Reads a record, as the options say.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn get_with(&self, key: impl Into<Bytes>, options: GetOptions) -> Result<Record, Error> {
        let request = v1::GetRequest { key: key.into(), consistency: consistency(options.consistency) };
        self.within_limit(request.key.len())?;
        let call = |channel, time| {
            let request = timed(request.clone(), time);
            async move { self.kv(channel).get(request).await }
        };
        let (answer, endpoint) = self.attempt(Resend::Always, call).await?;
        let expires_at = match answer.expires_at_ms {
            0 => None,
            ms => UNIX_EPOCH.checked_add(Duration::from_millis(ms)),
        };
        Ok(Record {
            id: answer.id,
            value: answer.value,
            version: answer.version.ok_or_else(|| incomplete(endpoint, "version"))?.into(),
            expires_at,
            served_by: answer.served_by.map(Peer::from),
        })
    }

    /// Removes all copies of a record. Deleting what is not there is fine.
    ///
    /// # Errors
    /// As for [`Client::put`].
    pub async fn delete(&self, key: impl Into<Bytes>, options: DeleteOptions) -> Result<Receipt, Error> {
        let request = v1::DeleteRequest {
            key: key.into(),
            condition: options.condition.map(Into::into),
            consistency: consistency(options.consistency),
        };
        self.within_limit(request.key.len())?;
        let resend = if options.condition.is_some() { Resend::Unsent } else { Resend::Always };
        let call = |channel, time| {
            let request = timed(request.clone(), time);
            async move { self.kv(channel).delete(request).await }
        };
        let (answer, endpoint) = self.attempt(resend, call).await?;
        receipt(answer.id, answer.version, answer.acks, endpoint)
    }

    /// One call, at one endpoint after the other until one serves it or the time is over.
    pub(crate) async fn attempt<T, F, Fut>(&self, resend: Resend, call: F) -> Result<(T, &Endpoint), Error>
    where
        F: Fn(Channel, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let (total, first) = (self.inner.endpoints.len(), self.inner.preferred.load(Ordering::Relaxed));
        let order = (0..total).map(|step| (first + step) % total);
        let (answer, place) = self.attempt_in(order, resend, call).await?;
        self.inner.preferred.store(place, Ordering::Relaxed);
        Ok((answer, &self.inner.endpoints[place].0))
    }

    /// One call that is meant for the first endpoint, and for no other.
    pub(crate) async fn attempt_first<T, F, Fut>(&self, call: F) -> Result<T, Error>
    where
        F: Fn(Channel, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        Ok(self.attempt_in(0..1, Resend::Unsent, call).await?.0)
    }

    async fn attempt_in<T, F, Fut>(
        &self,
        order: impl Iterator<Item = usize>,
        resend: Resend,
        call: F,
    ) -> Result<(T, usize), Error>
    where
        F: Fn(Channel, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let after = self.inner.config.timeout;
        let deadline = Instant::now() + after;
        let mut attempts = Attempts::default();
        for place in order {
            // `order` runs over the list's own places.
            let (endpoint, channel) = &self.inner.endpoints[place];
            let left = deadline.saturating_duration_since(Instant::now());
            let outcome = match timeout_at(deadline, call(channel.clone(), left)).await {
                Ok(Ok(answer)) => return Ok((answer.into_inner(), place)),
                Ok(Err(status)) => Outcome::of(&status),
                Err(_) => Outcome::TimedOut("no answer".to_owned()),
            };
            let mut tried = |why| attempts.0.push(Attempt { endpoint: endpoint.to_string(), why });
            match outcome {
                Outcome::Final(error) => return Err(error),
                Outcome::NotDone(why) => tried(why),
                Outcome::Unclear(why) | Outcome::TimedOut(why) if resend == Resend::Unsent => {
                    return Err(Error::OutcomeUnknown(format!("{endpoint}: {why}")));
                }
                Outcome::Unclear(why) => tried(why),
                Outcome::TimedOut(why) => {
                    tried(why);
                    return Err(Error::TimedOut { after, attempts });
                }
            }
        }
        Err(Error::Unreachable(attempts))
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.inner.config.message_bytes_max
    }

    fn kv(&self, channel: Channel) -> KvClient<Channel> {
        let limit = self.message_bytes_max();
        KvClient::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit)
    }

    /// Says in plain words what the transport would say in its own.
    fn within_limit(&self, bytes: usize) -> Result<(), Error> {
        // Room for tags, lengths and the condition.
        let limit = self.message_bytes_max().saturating_sub(64);
        if bytes <= limit {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "key and value are {bytes} bytes together, more than a message can carry ({limit} bytes)"
        )))
    }
}

/// A request that tells the node how long the caller will wait.
pub(crate) fn timed<M>(message: M, time: Duration) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

fn ttl_ms(ttl: Duration) -> Result<u64, Error> {
    match u64::try_from(ttl.as_millis()) {
        Ok(ms @ 1..) => Ok(ms),
        _ => Err(Error::InvalidArgument("ttl: at least one millisecond".to_owned())),
    }
}

fn receipt(id: Bytes, version: Option<v1::Version>, acks: Vec<v1::Ack>, endpoint: &Endpoint) -> Result<Receipt, Error> {
    let version = version.ok_or_else(|| incomplete(endpoint, "version"))?.into();
    Ok(Receipt { id, version, acks: acks.into_iter().map(Into::into).collect() })
}

fn incomplete(endpoint: &Endpoint, field: &str) -> Error {
    Error::Other(format!("{endpoint} answered without `{field}`: is it a node of this version?"))
}

#[cfg(test)]
mod tests;
