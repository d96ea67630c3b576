//! What users ask, and how it is answered: values, statuses, trailers, limits.

use std::time::Duration;

use bytes::Bytes;
use store::Version;
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use transport::v1::admin_client::AdminClient;
use transport::v1::kv_client::KvClient;
use transport::v1::{self, DeleteRequest, GetRequest, PutRequest};
use transport::{KvError, Pool, PoolConfig, reason};
use wire::records::{Ack, Outcome, Reason};

use crate::fake::{Running, TIMEOUT, space};

const VALUE_LEN_MAX: usize = 4 * 1024 * 1024;

fn version() -> Version {
    Version::at(1_700_000_000_000, 1, 9)
}

fn stored() -> Outcome {
    let addr = wire::read_addr("10.0.0.1:7160").unwrap();
    let ack = Ack { id: space().id(9).unwrap(), addr, durable: true };
    Outcome::Put { version: version(), acks: vec![ack], id: space().id(3).unwrap() }
}

fn put(key: usize, value: usize) -> PutRequest {
    PutRequest { key: vec![b'k'; key].into(), value: vec![b'v'; value].into(), ..Default::default() }
}

fn get() -> GetRequest {
    GetRequest { key: "k".into(), ..Default::default() }
}

#[tokio::test]
async fn a_value_is_put_read_and_deleted() {
    let node = Running::start().await;
    let mut kv = KvClient::new(node.channel().await);

    node.answers(|answers| answers.kv = Some(Ok(stored())));
    let answer = kv.put(put(1, 2)).await.unwrap().into_inner();
    assert_eq!(answer.acks.len(), 1);
    assert_eq!((&answer.acks[0].id[..], answer.acks[0].durable), (&[9][..], true));
    assert_eq!(&answer.id[..], [3]);
    assert_eq!(node.fake.take_arrived(), ["kv put 1 2"]);

    let found = Outcome::Get {
        value: "v".into(),
        version: version(),
        expires_at_ms: None,
        served_by: node.peer(),
        id: space().id(3).unwrap(),
    };
    node.answers(|answers| answers.kv = Some(Ok(found)));
    let answer = kv.get(get()).await.unwrap().into_inner();
    assert_eq!((answer.value, answer.expires_at_ms), (Bytes::from("v"), 0));
    assert_eq!(answer.served_by.unwrap().addr, node.addr.as_str());

    let deleted = Outcome::Delete { version: version(), acks: vec![], id: space().id(3).unwrap() };
    node.answers(|answers| answers.kv = Some(Ok(deleted)));
    let answer = kv.delete(DeleteRequest { key: "k".into(), ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(answer.version.unwrap().store, 9);
}

#[tokio::test]
async fn every_other_outcome_is_a_status_of_its_own() {
    let node = Running::start().await;
    let mut kv = KvClient::new(node.channel().await);
    let unavailable = |reason| Outcome::Unavailable { reason, message: "why".to_owned(), outcome_unknown: false };
    let cases = [
        (Ok(Outcome::Absent), Code::NotFound, None),
        (Ok(Outcome::ConditionFailed { current: None }), Code::FailedPrecondition, None),
        (Ok(unavailable(Reason::Joining)), Code::Unavailable, Some(Reason::Joining)),
        (Ok(unavailable(Reason::Quorum)), Code::Unavailable, Some(Reason::Quorum)),
        (Ok(unavailable(Reason::Unreachable)), Code::Unavailable, Some(Reason::Unreachable)),
        (Ok(unavailable(Reason::Leaving)), Code::Unavailable, Some(Reason::Leaving)),
        (Err(KvError::Exhausted("the disk is full".to_owned())), Code::ResourceExhausted, None),
        (Err(KvError::TimedOut { outcome_unknown: false }), Code::DeadlineExceeded, None),
        (Err(KvError::Invalid("ttl".to_owned())), Code::InvalidArgument, None),
        // An answer to another question is this node's own fault.
        (Ok(stored()), Code::Internal, None),
    ];
    for (outcome, code, because) in cases {
        node.answers(|answers| answers.kv = Some(outcome.clone()));
        let status = kv.get(get()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (code, because), "{outcome:?}: {status}");
    }
}

#[tokio::test]
async fn a_failed_condition_tells_the_present_version() {
    let node = Running::start().await;
    let mut kv = KvClient::new(node.channel().await);
    node.answers(|answers| answers.kv = Some(Ok(Outcome::ConditionFailed { current: Some(version()) })));
    let status = kv.put(put(1, 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains(&version().to_string()), "{status}");
    let trailer = status.metadata().get_bin("dht-version-bin").unwrap().to_bytes().unwrap();
    let told = <v1::Version as prost::Message>::decode(trailer).unwrap();
    assert_eq!((told.clock, told.store), (version().clock, version().store));
}

#[tokio::test]
async fn a_write_that_may_have_been_done_says_so() {
    let node = Running::start().await;
    let mut kv = KvClient::new(node.channel().await);
    let error = KvError::Unavailable { reason: Reason::Quorum, message: "1 of 2".to_owned(), outcome_unknown: true };
    node.answers(|answers| answers.kv = Some(Err(error)));
    let status = kv.put(put(1, 1)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "1 of 2"));
    assert_eq!(status.metadata().get("dht-outcome").unwrap(), "unknown");
}

#[tokio::test]
async fn a_caller_s_deadline_reaches_the_node_and_is_answered_as_such() {
    let node = Running::start().await;
    // Over a plain connection: a channel has a timer of its own, which would answer for the server.
    let deadline = Instant::now() + TIMEOUT;
    let opened = Pool::new(PoolConfig::default()).connect(&node.addr, deadline).await;
    let origin = format!("http://{}", node.addr).parse().unwrap();
    let mut kv = KvClient::with_origin(opened.unwrap().0, origin);
    node.answers(|answers| answers.kv_takes = Duration::from_secs(30));
    let mut request = Request::new(put(1, 1));
    request.metadata_mut().insert("grpc-timeout", "250m".parse().unwrap());
    let status = kv.put(request).await.unwrap_err();
    assert_eq!(*node.fake.budget.lock(), Some(Duration::from_millis(250)));
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(status.metadata().get("dht-outcome").unwrap(), "unknown");
}

fn invalid(result: Result<impl Sized, Status>) -> String {
    let Err(status) = result else {
        return "taken".to_owned();
    };
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    status.message().to_owned()
}

#[tokio::test]
async fn keys_and_values_up_to_the_limits_pass_and_longer_ones_are_refused_by_name() {
    let node = Running::start().await;
    let mut kv = KvClient::new(node.channel().await);
    node.answers(|answers| answers.kv = Some(Ok(stored())));

    assert_eq!(invalid(kv.put(put(1, 0)).await), "taken");
    assert_eq!(invalid(kv.put(put(1024, VALUE_LEN_MAX)).await), "taken");
    assert_eq!(node.fake.take_arrived(), ["kv put 1 0", "kv put 1024 4194304"]);

    assert_eq!(invalid(kv.put(put(0, 1)).await), "key is empty, a key has 1 to 1024 bytes");
    assert_eq!(invalid(kv.put(put(1025, 1)).await), "key is 1025 bytes long, the limit is 1024");
    let long = GetRequest { key: vec![0; 1025].into(), ..Default::default() };
    assert_eq!(invalid(kv.get(long).await), "key is 1025 bytes long, the limit is 1024");
    let long = DeleteRequest { key: vec![0; 5000].into(), ..Default::default() };
    assert_eq!(invalid(kv.delete(long).await), "key is 5000 bytes long, the limit is 1024");
    let text = invalid(kv.put(put(1, VALUE_LEN_MAX + 1)).await);
    assert_eq!(text, "value is 4194305 bytes long, the limit is 4194304");
    let unclear = v1::Condition { kind: None };
    let request = PutRequest { condition: Some(unclear), ..put(1, 1) };
    assert_eq!(invalid(kv.put(request).await), "condition.kind is missing");
    let request = GetRequest { consistency: 4, ..get() };
    assert_eq!(invalid(kv.get(request).await), "consistency is 4, which is unknown here");
    assert!(node.fake.take_arrived().is_empty(), "nothing of this reached the node");

    assert_eq!(invalid(kv.put(put(1, 1)).await), "taken");
}

#[tokio::test]
async fn a_message_far_beyond_the_limit_is_refused_with_the_limit() {
    let node = Running::start().await;
    let mut kv = KvClient::new(node.channel().await);
    node.answers(|answers| answers.kv = Some(Ok(stored())));
    for value in [VALUE_LEN_MAX + 100 * 1024, 40 * 1024 * 1024] {
        let text = invalid(kv.put(put(1, value)).await);
        assert!(text.starts_with("the request is too long, the limit of a value is 4194304 bytes"), "{text}");
        assert_eq!(invalid(kv.put(put(1, 1)).await), "taken");
    }
}

#[tokio::test]
async fn every_question_of_the_admin_service_is_answered() {
    let node = Running::start().await;
    let mut admin = AdminClient::new(node.channel().await);
    assert_eq!(admin.status(v1::StatusRequest {}).await.unwrap().into_inner().protocol, "chord");
    assert!(admin.table(v1::TableRequest {}).await.is_ok());
    assert_eq!(admin.neighbours(v1::NeighboursRequest {}).await.unwrap().into_inner().keys, 3);
    assert!(admin.leave(v1::LeaveRequest {}).await.is_ok());
    let join = v1::AdminJoinRequest { addr: "a:1".to_owned() };
    assert_eq!(admin.join(join).await.unwrap().into_inner().outcome, "met a:1");
    let target = Some(v1::lookup_request::Target::Key("k".into()));
    assert_eq!(admin.lookup(v1::LookupRequest { target }).await.unwrap().into_inner().elapsed_us, 42);
    assert_eq!(admin.lookup(v1::LookupRequest { target: None }).await.unwrap_err().code(), Code::InvalidArgument);
    let explain = v1::ExplainRequest { key: "k".into() };
    assert_eq!(admin.explain(explain).await.unwrap().into_inner().id, "k");
}

#[tokio::test]
async fn a_verification_comes_range_by_range_and_its_end_is_told() {
    let node = Running::start().await;
    let mut admin = AdminClient::new(node.channel().await);
    let mut found = admin.verify(v1::VerifyRequest { named_max: 7 }).await.unwrap().into_inner();
    for done in 1..=2 {
        let range = found.message().await.unwrap().unwrap();
        assert_eq!((range.done, range.ranges), (done, 7));
    }
    let status = found.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "the store failed"));
}
