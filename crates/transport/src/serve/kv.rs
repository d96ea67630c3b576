//! The users' API at its edge: what comes in is checked, what goes out becomes a status.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ring::Space;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};
use wire::WireForm;
use wire::records::{Operation, Outcome, Reason};

use super::generated::kv_server::Kv;
use crate::Limits;
use crate::v1::execute_request::Operation as Asked;
use crate::v1::execute_response::Outcome as Answered;
use crate::v1::{DeleteRequest, DeleteResponse, GetRequest, GetResponse, PutRequest, PutResponse};

/// The trailer that tells the kinds of UNAVAILABLE apart.
const REASON: &str = "dht-reason";
/// The trailer that is there, with the value `unknown`, when a write may or may not have been carried out.
const OUTCOME: &str = "dht-outcome";
/// The trailer with the present version of a record whose condition did not hold: a `dht.v1.Version`.
const VERSION: &str = "dht-version-bin";

/// What users ask of a node.
pub trait KvService: Send + Sync + 'static {
    /// Carries out an operation whose key and value are within the limits. `budget` is how long the
    /// caller waits, if it said so; after that it is answered DEADLINE_EXCEEDED and this is dropped.
    fn execute(
        &self,
        operation: Operation,
        budget: Option<Duration>,
    ) -> impl Future<Output = Result<Outcome, KvError>> + Send;
}

/// Why a node could not say how an operation ended, beyond what [`Outcome`] says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KvError {
    /// INVALID_ARGUMENT: names the field and the limit.
    #[error("{0}")]
    Invalid(String),
    /// DEADLINE_EXCEEDED.
    #[error("not done in time")]
    TimedOut {
        /// A write may or may not have been carried out.
        outcome_unknown: bool,
    },
    /// RESOURCE_EXHAUSTED: too much at a time, or the disk is full.
    #[error("{0}")]
    Exhausted(String),
    /// UNAVAILABLE, with the trailer `dht-reason`.
    #[error("{message}")]
    Unavailable {
        /// What kind of trouble it is.
        reason: Reason,
        /// For people.
        message: String,
        /// A write may or may not have been carried out.
        outcome_unknown: bool,
    },
    /// INTERNAL: this node's own fault.
    #[error("{0}")]
    Internal(String),
}

impl From<KvError> for Status {
    fn from(error: KvError) -> Status {
        let text = error.to_string();
        match error {
            KvError::Invalid(_) => Status::invalid_argument(text),
            KvError::TimedOut { outcome_unknown } => marked(Status::deadline_exceeded(text), outcome_unknown),
            KvError::Exhausted(_) => Status::resource_exhausted(text),
            KvError::Unavailable { reason, outcome_unknown, .. } => {
                let mut status = Status::unavailable(text);
                status.metadata_mut().insert(REASON, MetadataValue::from_static(reason.as_str()));
                marked(status, outcome_unknown)
            }
            KvError::Internal(_) => Status::internal(text),
        }
    }
}

fn marked(mut status: Status, outcome_unknown: bool) -> Status {
    if outcome_unknown {
        status.metadata_mut().insert(OUTCOME, MetadataValue::from_static("unknown"));
    }
    status
}

/// The reason that came with a status, on the users' side.
pub fn reason(status: &Status) -> Option<Reason> {
    Reason::parse(status.metadata().get(REASON)?.to_str().ok()?)
}

/// Puts a [`KvService`] behind the generated trait.
pub(super) struct KvEdge<K> {
    pub(super) kv: Arc<K>,
    pub(super) space: Space,
    pub(super) limits: Limits,
}

impl<K: KvService> KvEdge<K> {
    async fn execute(&self, asked: Asked, metadata: &MetadataMap) -> Result<Answered, Status> {
        let operation = Operation::from_message(asked, self.space);
        let operation = operation.map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.check_value(&operation)?;
        let outcome_unknown = operation.is_write();
        let budget = timeout_of(metadata);
        let executed = self.kv.execute(operation, budget);
        let outcome = match budget {
            None => executed.await?,
            Some(budget) => match tokio::time::timeout(ahead_of(budget), executed).await {
                Ok(outcome) => outcome?,
                Err(_) => return Err(KvError::TimedOut { outcome_unknown }.into()),
            },
        };
        answer(&outcome)
    }

    fn check_value(&self, operation: &Operation) -> Result<(), Status> {
        let limit = self.limits.value_len_max;
        match operation {
            Operation::Put { value, .. } if value.len() > limit => {
                Err(Status::invalid_argument(format!("value is {} bytes long, the limit is {limit}", value.len())))
            }
            _ => Ok(()),
        }
    }
}

/// The message of an outcome that is one, or its status.
fn answer(outcome: &Outcome) -> Result<Answered, Status> {
    match outcome {
        Outcome::Put { .. } | Outcome::Get { .. } | Outcome::Delete { .. } => Ok(outcome.to_message()),
        Outcome::Absent => Err(Status::not_found("no such key")),
        Outcome::ConditionFailed { current: None } => {
            Err(Status::failed_precondition("the condition does not hold: there is no such record"))
        }
        Outcome::ConditionFailed { current: Some(version) } => {
            let text = format!("the condition does not hold: the record's version is {version}");
            let mut status = Status::failed_precondition(text);
            let bytes = prost::Message::encode_to_vec(&version.to_message());
            status.metadata_mut().insert_bin(VERSION, MetadataValue::from_bytes(&bytes));
            Err(status)
        }
        Outcome::NotPrimary(_) => Err(KvError::Unavailable {
            reason: Reason::Unreachable,
            message: "the key's primary could not be found: try again".to_owned(),
            outcome_unknown: false,
        }
        .into()),
        Outcome::Unavailable { reason, message, outcome_unknown } => {
            Err(KvError::Unavailable { reason: *reason, message: message.clone(), outcome_unknown: *outcome_unknown }
                .into())
        }
    }
}

/// How long the caller waits: `grpc-timeout`, up to eight digits and a unit (gRPC over HTTP/2, "Requests").
pub(super) fn timeout_of(metadata: &MetadataMap) -> Option<Duration> {
    let header: &MetadataValue<Ascii> = metadata.get("grpc-timeout")?;
    let text = header.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u32 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(u64::from(amount) * 3600),
        "M" => Duration::from_secs(u64::from(amount) * 60),
        "S" => Duration::from_secs(amount.into()),
        "m" => Duration::from_millis(amount.into()),
        "u" => Duration::from_micros(amount.into()),
        "n" => Duration::from_nanos(amount.into()),
        _ => return None,
    })
}

/// A little earlier than the server's own timeout, which answers CANCELLED.
fn ahead_of(budget: Duration) -> Duration {
    budget.saturating_sub(Duration::from_millis(5)).max(budget / 2)
}

fn unfit() -> Status {
    Status::new(Code::Internal, "this node answered something else than what was asked")
}

#[tonic::async_trait]
impl<K: KvService> Kv for KvEdge<K> {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        match self.execute(Asked::Put(message), &metadata).await? {
            Answered::Put(answer) => Ok(Response::new(answer)),
            _ => Err(unfit()),
        }
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        match self.execute(Asked::Get(message), &metadata).await? {
            Answered::Get(answer) => Ok(Response::new(answer)),
            _ => Err(unfit()),
        }
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        match self.execute(Asked::Delete(message), &metadata).await? {
            Answered::Delete(answer) => Ok(Response::new(answer)),
            _ => Err(unfit()),
        }
    }
}
