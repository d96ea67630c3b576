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
        let delete = v1::DeleteRequest { key: "k".into(), condition, consistency: 0 };
        execute(Some(v1::execute_request::Operation::Delete(delete)))
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
fn a_consistency_that_nobody_knows_is_refused() {
    use v1::execute_request::Operation as Form;
    let key = Bytes::from_static(b"k");
    let execute = |operation| {
        let message = v1::ExecuteRequest { envelope: storage(), operation: Some(operation), budget_ms: 5 };
        refused::<_, Execute>(Execute::PATH, message, |_| {})
    };
    for (consistency, said) in [(3, "taken"), (4, "operation.consistency is 4, which is unknown here")] {
        let put = v1::PutRequest { key: key.clone(), consistency, ..Default::default() };
        assert_eq!(execute(Form::Put(put)), said);
        assert_eq!(execute(Form::Get(v1::GetRequest { key: key.clone(), consistency })), said);
        let delete = v1::DeleteRequest { key: key.clone(), condition: None, consistency };
        assert_eq!(execute(Form::Delete(delete)), said);
    }
}

#[test]
fn a_malformed_question_for_digests_is_refused_by_the_field() {
    let digest = |change: &dyn Fn(&mut v1::DigestRequest)| {
        let message = v1::DigestRequest {
            envelope: storage(),
            range: Some(range()),
            set: Some(set()),
            cuts: vec![range()],
            parts: 1,
            holder: 1,
        };
        refused::<_, Digest>(Digest::PATH, message, |m| change(m))
    };
    assert_eq!(digest(&|_| {}), "taken");
    assert_eq!(digest(&|m| m.range = None), "range is missing");
    assert_eq!(digest(&|m| m.set = None), "set is missing");
    assert_eq!(digest(&|m| m.cuts.clear()), "taken");
    let wide = digest(&|m| m.cuts.push(v1::Range { after: vec![0x80].into(), ..range() }));
    assert!(wide.starts_with("cuts[1].after is not an identifier here"), "{wide}");
    assert_eq!(digest(&|m| m.cuts = vec![range(); 4_096]), "taken");
    assert_eq!(digest(&|m| m.cuts = vec![range(); 4_097]), "cuts has 4097 entries, the limit is 4096");
    assert_eq!(digest(&|m| m.parts = 0), "parts is missing");
    assert_eq!(digest(&|m| m.parts = 4_096), "taken");
    assert_eq!(digest(&|m| m.parts = 4_097), "parts is 4097, the limit is 4096");
    let cut = |cuts, parts| {
        digest(&|m| {
            m.cuts = vec![range(); cuts];
            m.parts = parts;
        })
    };
    assert_eq!(cut(16, 4_096), "taken");
    assert_eq!(cut(17, 4_096), "parts is 4096, of 17 cuts that is 69632 digests, the limit is 65536");
    assert_eq!(cut(4_096, 4_096), "parts is 4096, of 4096 cuts that is 16777216 digests, the limit is 65536");
}

/// What is said about a reply.
fn answered<C: Call>(path: &str, message: impl Message) -> String {
    match C::decode_reply(path, message.encode_to_vec().into(), here().space) {
        Ok(_) => "taken".to_owned(),
        Err(malformed) => malformed.to_string(),
    }
}

#[test]
fn a_malformed_digest_is_refused_by_its_place() {
    let digests = |digests| answered::<Digest>(Digest::PATH, v1::DigestResponse { digests, ..Default::default() });
    let digest = |length| v1::Digest { count: 1, sum: vec![7; length].into() };
    assert_eq!(digests(vec![digest(0), digest(16)]), "taken");
    assert_eq!(digests(vec![digest(0), digest(15)]), "digests[1].sum is 15 bytes long, not 16");
    assert_eq!(digests(vec![digest(17)]), "digests[0].sum is 17 bytes long, not 16");
    assert_eq!(digests(vec![digest(0); 65_536]), "taken");
    assert_eq!(digests(vec![digest(0); 65_537]), "digests has 65537 entries, the limit is 65536");
}

#[test]
fn what_is_seen_of_a_key_is_refused_by_the_field() {
    let look = |key: &'static str| {
        refused::<_, Look>(Look::PATH, v1::LookRequest { envelope: storage(), key: key.into() }, |_| {})
    };
    assert_eq!(look("k"), "taken");
    assert_eq!(look(""), "key is empty, a key has 1 to 1024 bytes");

    let seen = |change: &dyn Fn(&mut v1::Sight)| {
        let role = "taking over".to_owned();
        let mut sight = v1::Sight { range: Some(range()), set: Some(set()), role, ..Default::default() };
        change(&mut sight);
        answered::<Look>(Look::PATH, v1::LookResponse { sight: Some(sight), ..Default::default() })
    };
    assert_eq!(seen(&|_| {}), "taken");
    assert_eq!(seen(&|m| m.range = None), "sight.range is missing");
    assert_eq!(seen(&|m| m.set = None), "sight.set is missing");
    assert_eq!(seen(&|m| m.role = "asleep".to_owned()), "sight.role is not one that is known here");
    assert_eq!(seen(&|m| m.learners = vec![v1::Member::default()]), "sight.learners[0].peer is missing");
    let many = || vec![v1::Member { peer: Some(peer()), store: 1 }; 65];
    assert_eq!(seen(&|m| m.learners = many()), "sight.learners has 65 entries, the limit is 64");
    assert_eq!(seen(&|m| m.missing = many()), "sight.missing has 65 entries, the limit is 64");

    let held = |version| {
        let held = v1::Held { version, ..Default::default() };
        answered::<Look>(Look::PATH, v1::LookResponse { held: Some(held), ..Default::default() })
    };
    assert_eq!(held(version()), "taken");
    assert_eq!(held(None), "held.version is missing");
    assert_eq!(answered::<Look>(Look::PATH, v1::LookResponse::default()), "taken");
}

#[test]
fn what_is_to_be_forgotten_is_bounded_and_named() {
    let forget = |entries| {
        let message = v1::ForgetRequest { envelope: storage(), number: 1, entries, horizon: Some(1), holder: 1 };
        refused::<_, Forget>(Forget::PATH, message, |_| {})
    };
    let entry = v1::Listed { key: "k".into(), version: version() };
    assert_eq!(forget(vec![entry.clone()]), "taken");
    let unversioned = v1::Listed { version: None, ..entry.clone() };
    assert_eq!(forget(vec![entry.clone(), unversioned]), "entries[1].version is missing");
    assert_eq!(forget(vec![entry; 65_537]), "entries has 65537 entries, the limit is 65536");

    let held = |held| answered::<Forget>(Forget::PATH, v1::ForgetResponse { held, ..Default::default() });
    assert_eq!(held(vec![1; 65_536]), "taken");
    assert_eq!(held(vec![1; 65_537]), "held has 65537 entries, the limit is 65536");
}

#[test]
fn what_an_offer_is_answered_is_bounded() {
    let offer = |quarantined| answered::<Offer>(Offer::PATH, v1::OfferResponse { quarantined, ..Default::default() });
    assert_eq!(offer(vec![1; 131_072]), "taken");
    assert_eq!(offer(vec![1; 131_073]), "quarantined has 131073 entries, the limit is 131072");
}

#[test]
fn a_reason_that_nobody_knows_is_refused() {
    let unavailable = v1::Unavailable { reason: "tired".to_owned(), ..Default::default() };
    let outcome = Some(v1::execute_response::Outcome::Unavailable(unavailable));
    let body = v1::ExecuteResponse { refusal: None, outcome }.encode_to_vec().into();
    let read = Execute::decode_reply(Execute::PATH, body, here().space);
    assert_eq!(read.unwrap_err().to_string(), "outcome.reason is not one that is known here");
}
