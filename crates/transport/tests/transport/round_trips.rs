//! Every request between nodes reaches the node as it was asked, and its answer comes back as it was given.

use std::fmt::Debug;
use std::time::Duration;

use chord::{Chord, Neighbours};
use overlay::{
    Departure, Envelope, Forward, Found, Hello, HelloReply, HelloState, Located, QueryId, Refusal, RingId, Settings,
    Step, Via,
};
use replica::{Answer, Member, Set};
use ring::Range;
use store::{Cursor, Record, Version};
use transport::CallError;
use wire::records::*;

use crate::fake::{Running, STORE, TIMEOUT, asker, client, envelope, noted, notify, peer, space};

fn ring() -> RingId {
    RingId { started_ms: 17, starter: space().zero() }
}

fn text(value: impl Debug) -> String {
    format!("{value:?}")
}

/// What a storage request arrives as.
fn storage(kind: &str, node: &Running, request: impl Debug) -> Vec<String> {
    let from = Member { peer: asker(), store: STORE };
    let envelope = Envelope { from: asker(), to: Some(node.peer()), ring: Some(ring()) };
    vec![format!("{kind} {from:?} {envelope:?} {request:?}")]
}

fn version() -> Version {
    Version::at(1_700_000_000_000, 1, 9)
}

fn set(node: &Running) -> Set {
    Set { number: 4, members: vec![Member { peer: node.peer(), store: 8 }], forced: false }
}

fn range() -> Range {
    Range::full(space().zero())
}

#[tokio::test]
async fn a_hello_is_answered() {
    let (node, client) = (Running::start().await, client());
    let settings = Settings(vec![("replicas".to_owned(), "3".to_owned())]);
    let reply = HelloReply {
        me: node.peer(),
        state: HelloState::Ready,
        ring: Some(ring()),
        disk_ring: None,
        settings: settings.clone(),
        members: vec![peer(3, &node.addr)],
    };
    node.answers(|answers| answers.overlay = Some(Ok(overlay::Response::Hello(reply.clone()))));
    let hello = Hello { settings, state: HelloState::Searching, disk_ring: Some(ring()) };
    let request = overlay::Request::<Chord>::Hello(hello);
    let (answer, _) = client.call(&node.addr, &envelope(), request.clone(), TIMEOUT).await;
    assert_eq!(text(answer), text(Ok::<_, ()>(overlay::Response::<Chord>::Hello(reply))));
    assert_eq!(node.fake.take_arrived(), [format!("overlay {:?} {request:?}", envelope())]);
}

#[tokio::test]
async fn a_departure_is_answered() {
    let (node, client) = (Running::start().await, client());
    node.answers(|answers| answers.overlay = Some(Ok(overlay::Response::Departed)));
    let request = overlay::Request::<Chord>::Depart(Departure::Stop);
    let (answer, _) = client.call(&node.addr, &envelope(), request.clone(), TIMEOUT).await;
    assert!(matches!(answer, Ok(overlay::Response::Departed)));
    assert_eq!(node.fake.take_arrived(), [format!("overlay {:?} {request:?}", envelope())]);
}

#[tokio::test]
async fn a_query_that_is_passed_on_and_its_answer_are_acknowledged() {
    let (node, client) = (Running::start().await, client());
    let (query, target) = (QueryId(7), space().hash(b"k"));
    let step = |via| Step { peer: node.peer(), rtt: Some(Duration::from_micros(350)), via };
    let path = vec![step(Some(Via::Finger))];
    let forward = Forward { origin: asker(), query, target, path, avoid: vec![space().zero()] };
    let path = vec![step(None), step(Some(Via::Successor))];
    let (owners, holders) = (vec![node.peer()], vec![node.peer(), asker()]);
    let found = Found { query, located: Located { target, owners, holders, path, arc: Some(range()) } };
    let calls = [
        (overlay::Request::<Chord>::Forward(forward), overlay::Response::<Chord>::Forwarded),
        (overlay::Request::Found(found), overlay::Response::Noted),
    ];
    for (request, reply) in calls {
        node.answers(|answers| answers.overlay = Some(Ok(reply.clone())));
        let (answer, _) = client.call(&node.addr, &envelope(), request.clone(), TIMEOUT).await;
        assert_eq!(text(answer), text(Ok::<_, ()>(reply)));
        assert_eq!(node.fake.take_arrived(), [format!("overlay {:?} {request:?}", envelope())]);
    }
}

#[tokio::test]
async fn a_protocol_request_is_answered_and_measured_once_the_connection_is_open() {
    let (node, client) = (Running::start().await, client());
    let neighbours = Neighbours { predecessor: Some(node.peer()), successors: vec![chord::Entry::Peer(node.peer())] };
    let reply = overlay::Response::Protocol(chord::Response::Neighbours(neighbours));
    node.answers(|answers| answers.overlay = Some(Ok(reply.clone())));
    let ask = || {
        let request = overlay::Request::<Chord>::Protocol(chord::Request::GetNeighbours);
        let envelope = Envelope { from: asker(), to: Some(node.peer()), ring: Some(ring()) };
        let (client, addr) = (client.clone(), node.addr.clone());
        async move { client.call(&addr, &envelope, request, TIMEOUT).await }
    };
    let (answer, rtt) = ask().await;
    assert_eq!(text(answer), text(Ok::<_, ()>(reply)));
    assert_eq!(rtt, None, "the call that opens the connection says nothing about the network");
    let (_, rtt) = ask().await;
    assert!(rtt.is_some_and(|rtt| rtt > Duration::ZERO && rtt < TIMEOUT), "{rtt:?}");
}

#[tokio::test]
async fn a_refusal_comes_back_as_it_was_given() {
    let (node, client) = (Running::start().await, client());
    for refusal in [Refusal::Gone, Refusal::OtherRing(Some(ring())), Refusal::Malformed("avoid".to_owned())] {
        node.answers(|answers| answers.overlay = Some(Err(refusal.clone())));
        let (answer, _) = notify(&client, &node.addr, TIMEOUT).await;
        assert_eq!(answer.unwrap_err(), CallError::Refused(refusal));
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_no_answer() {
    let (node, client) = (Running::start().await, client());
    node.answers(|answers| answers.overlay = Some(Ok(overlay::Response::Departed)));
    let (answer, _) = notify(&client, &node.addr, TIMEOUT).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");
    node.answers(|answers| answers.overlay = noted());
    assert!(notify(&client, &node.addr, TIMEOUT).await.0.is_ok());
}

#[tokio::test]
async fn questions_about_sets_are_answered_together() {
    let (node, client) = (Running::start().await, client());
    let me = Member { peer: node.peer(), store: 8 };
    let reply = replica::Response {
        me,
        leaving: true,
        read_only: true,
        answers: vec![Answer::Learnt { number: 3 }, Answer::Done],
    };
    node.answers(|answers| answers.control = Some(Ok(reply.clone())));
    let learn = replica::Request::Learn { range: range(), set: set(&node) };
    let requests = vec![learn, replica::Request::Register { range: range(), number: 3 }];
    let answer = client.control(&node.peer(), Some(ring()), requests.clone(), TIMEOUT).await;
    assert_eq!(answer, Ok(reply));
    assert_eq!(node.fake.take_arrived(), storage("control", &node, requests));
}

#[tokio::test]
async fn an_operation_is_carried_out_elsewhere() {
    let (node, client) = (Running::start().await, client());
    let reply = Outcome::ConditionFailed { current: Some(version()) };
    node.answers(|answers| answers.execute = Some(Ok(reply.clone())));
    let operation = Operation::Put {
        key: "k".into(),
        value: "v".into(),
        ttl_ms: Some(60_000),
        condition: Some(Condition::IfAbsent),
        consistency: Consistency::All,
    };
    let request = Execute { operation, budget: Duration::from_millis(700) };
    assert_eq!(client.execute(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(reply));
    assert_eq!(node.fake.take_arrived(), storage("execute", &node, request));
}

#[tokio::test]
async fn copies_are_stored_and_read() {
    let (node, client) = (Running::start().await, client());
    let record = Record::new("k", version(), "v").expiring(5);
    node.answers(|answers| {
        answers.store = Some(Ok(StoreReply::Stored { durable: true }));
        answers.read = Some(Ok(ReadReply::Record(record.clone())));
    });
    let request = Store { holder: 8, number: 4, record: record.clone() };
    let stored = client.store(&node.peer(), Some(ring()), &request, TIMEOUT).await;
    assert_eq!(stored, Ok(StoreReply::Stored { durable: true }));
    assert_eq!(node.fake.take_arrived(), storage("store", &node, request));

    let request = Read { holder: 8, number: 4, key: "k".into(), have: Some(version()) };
    let read = client.read(&node.peer(), Some(ring()), &request, TIMEOUT).await;
    assert_eq!(read, Ok(ReadReply::Record(record)));
    assert_eq!(node.fake.take_arrived(), storage("read", &node, request));
}

#[tokio::test]
async fn a_copy_is_left_with_a_stand_in() {
    let (node, client) = (Running::start().await, client());
    node.answers(|answers| answers.hint = Some(Ok(true)));
    let member = Member { peer: node.peer(), store: 8 };
    let request = Hint { member, number: 4, record: Record::new("k", version(), "v") };
    assert_eq!(client.hint(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(true));
    assert_eq!(node.fake.take_arrived(), storage("hint", &node, request));
}

#[tokio::test]
async fn what_a_node_holds_and_is_to_a_range_is_shown() {
    let (node, client) = (Running::start().await, client());
    let (set, member) = (set(&node), Member { peer: node.peer(), store: 8 });
    let sight = Sight {
        range: range(),
        set,
        part: Part::Primary,
        settled: true,
        fenced: false,
        learners: vec![member.clone()],
        missing: vec![member],
    };
    let held = Held { version: version(), tombstone: false, expires_at_ms: Some(5) };
    let seen = LookReply { sight: Some(sight), held: Some(held), durable: true, store: 8, read_only: true };
    node.answers(|answers| answers.look = Some(Ok(seen.clone())));
    let request = Look { key: "k".into() };
    assert_eq!(client.look(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(seen));
    assert_eq!(node.fake.take_arrived(), storage("look", &node, request));
}

#[tokio::test]
async fn records_are_listed_fetched_and_offered() {
    let (node, client) = (Running::start().await, client());
    let cursor = Cursor { id: space().zero(), key: "k".into() };
    let entries = vec![Listed { key: "k".into(), version: version() }];
    let listed = ListReply {
        entries: entries.clone(),
        next: Some(cursor.clone()),
        newer: Some(NewerSet { range: range(), set: set(&node) }),
    };
    let fetched = FetchReply { records: vec![Record::tombstone("k", version())], taken: 1, newer: None };
    let not_primary = NotPrimary { primary: Some(node.peer()), range: Some(range()) };
    let (wanted, confirmed, quarantined) = (vec![0], vec![1], vec![2]);
    let offered = OfferReply { wanted, confirmed, not_primary: Some(not_primary), quarantined };
    node.answers(|answers| {
        answers.list = Some(Ok(listed.clone()));
        answers.fetch = Some(Ok(fetched.clone()));
        answers.offer = Some(Ok(offered.clone()));
    });

    let request = List { holder: 8, range: range(), set: set(&node), after: Some(cursor), limit: 100 };
    assert_eq!(client.list(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(listed));
    assert_eq!(node.fake.take_arrived(), storage("list", &node, request));

    let request = Fetch { holder: 8, range: range(), number: 4, keys: vec!["k".into()] };
    assert_eq!(client.fetch(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(fetched));
    assert_eq!(node.fake.take_arrived(), storage("fetch", &node, request));

    let request = Offer { entries, records: vec![Record::new("k", version(), "v")], held_at: 12 };
    assert_eq!(client.offer(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(offered));
    assert_eq!(node.fake.take_arrived(), storage("offer", &node, request));
}

#[tokio::test]
async fn ranges_are_compared_and_deletions_forgotten() {
    let (node, client) = (Running::start().await, client());
    let newer = Some(NewerSet { range: range(), set: set(&node) });
    let digested =
        DigestReply { digests: vec![store::Digest { count: 2, sum: 1 << 100 }], newer: newer.clone(), horizon: 11 };
    let forgotten = ForgetReply { held: vec![0], newer };
    node.answers(|answers| {
        answers.digest = Some(Ok(digested.clone()));
        answers.forget = Some(Ok(forgotten.clone()));
    });

    let request = Digest { holder: 8, range: range(), set: set(&node), cuts: vec![range()], parts: 16 };
    assert_eq!(client.digest(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(digested));
    assert_eq!(node.fake.take_arrived(), storage("digest", &node, request));

    let entries = vec![Listed { key: "k".into(), version: version() }];
    let request = Forget { holder: 8, number: 4, entries, horizon: Some(9) };
    assert_eq!(client.forget(&node.peer(), Some(ring()), &request, TIMEOUT).await, Ok(forgotten));
    assert_eq!(node.fake.take_arrived(), storage("forget", &node, request));
}

#[tokio::test]
async fn a_new_incarnation_is_told_in_storage_calls() {
    let (node, client) = (Running::start().await, client());
    let reborn = overlay::Peer { incarnation: 3, ..asker() };
    client.set_me(reborn.clone());
    let refused = client.control(&node.peer(), None, vec![replica::Request::Leaving], TIMEOUT).await;
    assert_eq!(refused, Err(CallError::Refused(Refusal::NotReady)));
    let from = Member { peer: reborn, store: STORE };
    assert!(node.fake.take_arrived()[0].starts_with(&format!("control {from:?}")));
}

#[tokio::test]
async fn the_largest_value_travels_between_nodes() {
    let (node, client) = (Running::start().await, client());
    let record = Record::new(vec![b'k'; 1024], version(), vec![b'v'; 4 * 1024 * 1024]);
    node.answers(|answers| {
        answers.store = Some(Ok(StoreReply::Stored { durable: false }));
        answers.read = Some(Ok(ReadReply::Record(record.clone())));
    });
    let request = Store { holder: 8, number: 4, record: record.clone() };
    let stored = client.store(&node.peer(), None, &request, TIMEOUT).await;
    assert_eq!(stored, Ok(StoreReply::Stored { durable: false }));
    let request = Read { holder: 8, number: 4, key: record.key.clone(), have: None };
    assert_eq!(client.read(&node.peer(), None, &request, TIMEOUT).await, Ok(ReadReply::Record(record)));
}
