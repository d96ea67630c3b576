//! What is said about sets and records.

use bytes::Bytes;
use prost::Message;
use wire::records::*;
use wire::{CONTROL_PATH, Call, v1};

use super::{here, peer, range, refused, set, storage, version};

/// What is said about a call with this question beside a good one.
fn ask(question: v1::question::Question) -> String {
    let good = v1::Question { question: Some(v1::question::Question::Leaving(v1::Empty {})) };
    let questions = vec![good, v1::Question { question: Some(question) }];
    let message = v1::ControlRequest { envelope: storage(), questions };
    refused::<_, Vec<replica::Request>>(CONTROL_PATH, message, |_| {})
}

#[test]
fn a_malformed_set_is_refused_by_the_field() {
    let learn = |change: &dyn Fn(&mut v1::question::Learn)| {
        let mut learn = v1::question::Learn { range: Some(range()), set: Some(set()) };
        change(&mut learn);
        ask(v1::question::Question::Learn(learn))
    };
    assert_eq!(learn(&|_| {}), "taken");
    assert_eq!(learn(&|m| m.range = None), "questions[1].range is missing");
    assert_eq!(learn(&|m| m.set = None), "questions[1].set is missing");
    assert_eq!(learn(&|m| m.set.as_mut().unwrap().members.clear()), "questions[1].set.members is missing");
    assert_eq!(
        learn(&|m| m.set.as_mut().unwrap().members[0].peer = None),
        "questions[1].set.members[0].peer is missing"
    );
    let twice = |m: &mut v1::question::Learn| {
        let members = &mut m.set.as_mut().unwrap().members;
        members.push(members[0].clone());
    };
    assert_eq!(learn(&twice), "questions[1].set.members names a store twice");
    let many = |m: &mut v1::question::Learn| {
        let member = |store| v1::Member { peer: Some(peer()), store };
        m.set.as_mut().unwrap().members = (0..65).map(member).collect();
    };
    assert_eq!(learn(&many), "questions[1].set.members has 65 entries, the limit is 64");
}

#[test]
fn a_malformed_call_about_sets_is_refused_by_the_field() {
    let call = |change: &dyn Fn(&mut v1::ControlRequest)| {
        let message = v1::ControlRequest { envelope: storage(), questions: Vec::new() };
        refused::<_, Vec<replica::Request>>(CONTROL_PATH, message, |m| change(m))
    };
    assert_eq!(call(&|_| {}), "taken");
    assert_eq!(call(&|m| m.envelope = None), "envelope is missing");
    assert_eq!(call(&|m| m.envelope.as_mut().unwrap().envelope = None), "envelope.envelope is missing");
    assert_eq!(call(&|m| m.questions = vec![v1::Question { question: None }]), "questions[0].question is missing");
    let leaving = v1::Question { question: Some(v1::question::Question::Leaving(v1::Empty {})) };
    assert_eq!(call(&|m| m.questions = vec![leaving.clone(); 257]), "questions has 257 entries, the limit is 256");
}

#[test]
fn a_malformed_piece_is_refused_by_its_place() {
    let good = v1::Piece { range: Some(range()), set: Some(set()), promised: None, accepted: None, synced: true };
    let bad = v1::Piece { accepted: Some(v1::Proposal { ballot: None, set: Some(set()) }), ..good.clone() };
    let sets = |known| ask(v1::question::Question::Sets(v1::question::Sets { range: Some(range()), known }));
    assert_eq!(sets(vec![good.clone()]), "taken");
    assert_eq!(sets(vec![good.clone(), bad]), "questions[1].known[1].accepted.ballot is missing");
    assert_eq!(sets(vec![good; 4097]), "questions[1].known has 4097 entries, the limit is 4096");
}

#[test]
fn a_malformed_record_is_refused_by_the_field() {
    let store = |change: &dyn Fn(&mut v1::Record)| {
        let record = v1::Record { key: "k".into(), version: version(), ..Default::default() };
        let message = v1::StoreRequest { envelope: storage(), number: 1, record: Some(record), holder: 1 };
        refused::<_, Store>(Store::PATH, message, |m| change(m.record.as_mut().unwrap()))
    };
    assert_eq!(store(&|_| {}), "taken");
    assert_eq!(store(&|r| r.key = vec![7; 1024].into()), "taken");
    assert_eq!(store(&|r| r.key = vec![7; 1025].into()), "record.key is 1025 bytes long, the limit is 1024");
    assert_eq!(store(&|r| r.key = Bytes::new()), "record.key is empty, a key has 1 to 1024 bytes");
    assert_eq!(store(&|r| r.version = None), "record.version is missing");
    let value_of_a_tombstone = |r: &mut v1::Record| {
        r.tombstone = true;
        r.value = "v".into();
    };
    assert_eq!(store(&value_of_a_tombstone), "record.value is there although the record is a tombstone");
}

#[test]
fn an_operation_has_one_of_three_forms_and_a_condition_that_means_something() {
    let execute = |operation| {
        let message = v1::ExecuteRequest { envelope: storage(), operation, budget_ms: 5 };
        refused::<_, Execute>(Execute::PATH, message, |_| {})
    };
    let delete = |kind| {
        let condition = Some(v1::Condition { kind });
        execute(Some(v1::execute_request::Operation::Delete(v1::DeleteRequest { key: "k".into(), condition })))
    };
    assert_eq!(execute(None), "operation is missing");
    assert_eq!(delete(None), "operation.condition.kind is missing");
    assert_eq!(delete(Some(v1::condition::Kind::IfAbsent(true))), "taken");
    assert_eq!(
        delete(Some(v1::condition::Kind::IfAbsent(false))),
        "operation.condition.if_absent is false, which is no condition"
    );
}

#[test]
fn a_reason_that_nobody_knows_is_refused() {
    let unavailable = v1::Unavailable { reason: "tired".to_owned(), ..Default::default() };
    let outcome = Some(v1::execute_response::Outcome::Unavailable(unavailable));
    let body = v1::ExecuteResponse { refusal: None, outcome }.encode_to_vec().into();
    let read = Execute::decode_reply(Execute::PATH, body, here().space);
    assert_eq!(read.unwrap_err().to_string(), "outcome.reason is not one that is known here");
}
