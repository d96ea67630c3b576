//! One call of a client, and what its answer means.

use std::error::Error;
use std::time::{Duration, Instant};

use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, ConnectError, Request, Status};

use crate::history::{Asked, Call, Condition, Told, Version, key_name, read_value, value_of};
use crate::stub::{self, KvClient, v1};

/// A node that does not even say that it is out of time says nothing any more.
const PATIENCE: Duration = Duration::from_millis(500);

/// A client of every node, and the clock that all calls are recorded by.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    nodes: Vec<KvClient<Channel>>,
    start: Instant,
}

/// Who asks what of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) key: u32,
    pub(super) client: u32,
    pub(super) through: usize,
    pub(super) asked: Asked,
    /// How long a value is put.
    pub(super) length: usize,
    /// It is one of the reads when all is over.
    pub(super) last: bool,
}

impl Asker {
    pub(super) fn new(addrs: &[String]) -> Self {
        Self { nodes: addrs.iter().map(|addr| stub::kv(addr)).collect(), start: Instant::now() }
    }

    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Since the beginning, in microseconds.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Asks, and waits so long for the answer.
    pub(super) async fn ask(&self, question: Question, within: Duration) -> Call {
        let Question { key, client, through, asked, length, last } = question;
        let node = self.nodes[through].clone();
        let begun = self.now();
        let answered = tokio::time::timeout(within + PATIENCE, answer(node, key, asked, length, within)).await;
        let ended = self.now();
        let through = u32::try_from(through).unwrap_or(u32::MAX);
        let (told, said) = match answered {
            Ok(Ok(told)) => (told, String::new()),
            Ok(Err(status)) => (of_status(asked, &status), in_short(&status)),
            Err(_) => (Told::Unknown, "no answer at all".to_owned()),
        };
        Call { key, client, through, begun, ended, asked, told, last, said }
    }
}

async fn answer(
    mut node: KvClient<Channel>,
    key: u32,
    asked: Asked,
    length: usize,
    within: Duration,
) -> Result<Told, Status> {
    let name = key_name(key).into_bytes();
    match asked {
        Asked::Put(id, condition) => {
            let (value, condition) = (value_of(key, id, length), condition.map(of_wire));
            let put = v1::PutRequest { key: name, value, condition, ..v1::PutRequest::default() };
            let answer = node.put(timed(put, within)).await?.into_inner();
            Ok(Told::Done(version(answer.version)))
        }
        Asked::Delete(condition) => {
            let condition = condition.map(of_wire);
            let delete = v1::DeleteRequest { key: name, condition, ..v1::DeleteRequest::default() };
            let answer = node.delete(timed(delete, within)).await?.into_inner();
            Ok(Told::Done(version(answer.version)))
        }
        Asked::Get => {
            let get = v1::GetRequest { key: name, ..v1::GetRequest::default() };
            let answer = node.get(timed(get, within)).await?.into_inner();
            Ok(Told::Value(version(answer.version), read_value(key, &answer.value)))
        }
    }
}

fn timed<T>(message: T, within: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(within);
    request
}

fn of_wire(condition: Condition) -> v1::Condition {
    use v1::condition::Kind;
    let kind = match condition {
        Condition::IfAbsent => Kind::IfAbsent(true),
        Condition::IfVersion(Version { term, clock, store }) => Kind::IfVersion(v1::Version { term, clock, store }),
    };
    v1::Condition { kind: Some(kind) }
}

fn version(version: Option<v1::Version>) -> Version {
    let v1::Version { term, clock, store } = version.unwrap_or_default();
    Version { term, clock, store }
}

/// Only what the API promises not to have been carried out was not.
fn of_status(asked: Asked, status: &Status) -> Told {
    if let Some(cause) = status.source() {
        let mut chain = std::iter::successors(Some(cause), |error| (*error).source());
        return if chain.any(|error| error.is::<ConnectError>()) { Told::NotDone } else { Told::Unknown };
    }
    let has = |trailer: &str| status.metadata().contains_key(trailer);
    match (asked, status.code()) {
        (Asked::Get, Code::NotFound) => Told::Absent,
        (Asked::Get, _) | (_, Code::InvalidArgument) => Told::NotDone,
        (_, Code::FailedPrecondition) => Told::ConditionFailed(current(status)),
        (_, Code::Unavailable) if has("dht-reason") && !has("dht-outcome") => Told::NotDone,
        _ => Told::Unknown,
    }
}

/// Nothing for what is an answer.
fn in_short(status: &Status) -> String {
    match status.code() {
        Code::NotFound | Code::FailedPrecondition => String::new(),
        code => format!("{code:?}, {}", status.message()),
    }
}

fn current(status: &Status) -> Option<Version> {
    let bytes = status.metadata().get_bin("dht-version-bin")?.to_bytes().ok()?;
    v1::Version::decode(bytes).ok().map(|current| version(Some(current)))
}
