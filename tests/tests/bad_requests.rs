//! Requests that no well-behaved client sends, on the raw wire: each its own clear status, and the node serves on.

use std::io::Write;
use std::net::TcpStream;

use harness::stub::{self, v1};
use harness::{Cluster, ids};
use tonic::{Code, Status};

const KEY_MAX: usize = 1024;
const VALUE_MAX: usize = 4 << 20;

fn put(addr: &str, key: Vec<u8>, value: Vec<u8>) -> Result<(), Status> {
    let request = v1::PutRequest { key, value, ..v1::PutRequest::default() };
    stub::wait(stub::kv(addr).put(request)).map(|_| ())
}

fn get(addr: &str, key: Vec<u8>) -> Result<Vec<u8>, Status> {
    let answer = stub::wait(stub::kv(addr).get(v1::GetRequest { key, ..v1::GetRequest::default() }))?;
    Ok(answer.into_inner().value)
}

fn delete(addr: &str, key: Vec<u8>) -> Result<(), Status> {
    let request = v1::DeleteRequest { key, ..v1::DeleteRequest::default() };
    stub::wait(stub::kv(addr).delete(request)).map(|_| ())
}

/// Asserts a refusal as `INVALID_ARGUMENT` whose message has all of `parts`.
#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(outcome: Result<T, Status>, parts: &[&str]) {
    let status = outcome.expect_err("this should be refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    for part in parts {
        let message = status.message();
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

#[track_caller]
fn assert_serves_on(addr: &str) {
    put(addr, b"and then".to_vec(), b"all is well".to_vec()).expect("a put");
    let value = get(addr, b"and then".to_vec()).expect("a get");
    assert_eq!(value, b"all is well");
}

#[test]
fn keys_and_values_pass_at_their_limits_and_not_beyond_through_any_node() {
    let mut cluster = Cluster::named("limits").nodes(4).start();
    for addr in cluster.up_addrs() {
        let longest = format!("{addr:x<KEY_MAX$}").into_bytes();
        assert_eq!(longest.len(), KEY_MAX);
        let largest: Vec<u8> = (0..VALUE_MAX).map(|index| (index % 251) as u8).collect();
        put(&addr, longest.clone(), largest.clone()).expect("the limits themselves pass");
        let back = get(&addr, longest.clone()).expect("and come back");
        assert!(back == largest, "another value came back");
        delete(&addr, longest.clone()).expect("and go");
        assert_eq!(get(&addr, longest.clone()).expect_err("deleted").code(), Code::NotFound);

        let too_long = [longest.clone(), b"y".to_vec()].concat();
        assert_invalid(put(&addr, too_long.clone(), vec![1]), &["key", "1024"]);
        assert_invalid(get(&addr, too_long.clone()), &["key", "1024"]);
        assert_invalid(delete(&addr, too_long), &["key", "1024"]);
        let too_large = vec![7; VALUE_MAX + 1];
        assert_invalid(put(&addr, longest, too_large), &["value", "4194304"]);
        put(&addr, b"empty value".to_vec(), Vec::new()).expect("a value may be empty");
        assert_eq!(get(&addr, b"empty value".to_vec()).expect("it"), b"");
        assert_serves_on(&addr);
    }
}

#[test]
fn an_empty_key_is_refused_by_name() {
    let cluster = Cluster::named("empty-key").start();
    let addr = cluster.address(0);
    assert_invalid(put(&addr, Vec::new(), vec![1]), &["key"]);
    assert_invalid(get(&addr, Vec::new()), &["key"]);
    assert_invalid(delete(&addr, Vec::new()), &["key"]);
    assert_serves_on(&addr);
}

#[test]
fn a_message_far_beyond_every_limit_is_refused_and_not_taken_in() {
    let cluster = Cluster::named("flood").start();
    let addr = cluster.address(0);
    let status = put(&addr, b"flood".to_vec(), vec![7; 32 << 20]).expect_err("32 MiB");
    let codes = [Code::InvalidArgument, Code::ResourceExhausted, Code::OutOfRange];
    assert!(codes.contains(&status.code()), "{status}");
    assert_serves_on(&addr);
}

#[test]
fn malformed_identifiers_are_refused_with_the_name_of_their_field() {
    let cluster = Cluster::named("malformed").start();
    let addr = cluster.address(0);
    let lookup = |target: Option<v1::lookup_request::Target>| {
        stub::wait(stub::admin(&addr).lookup(v1::LookupRequest { target }))
    };
    for length in [0, 3, 19, 21, 4000] {
        let id = v1::lookup_request::Target::Id(vec![1; length]);
        assert_invalid(lookup(Some(id)), &["id"]);
    }
    assert_invalid(lookup(None), &["target"]);
    let empty = v1::lookup_request::Target::Key(Vec::new());
    assert_invalid(lookup(Some(empty)), &["key"]);

    let peer = |id: Vec<u8>, addr: &str| v1::Peer { id, addr: addr.to_owned(), incarnation: 1 };
    let step = |from: v1::Peer, target: Vec<u8>| {
        let envelope = v1::Envelope { cluster: "malformed".to_owned(), from: Some(from), to: None, ring: None };
        let request = v1::FindSuccessorRequest { envelope: Some(envelope), target, avoid: Vec::new() };
        stub::wait(stub::chord(&addr).find_successor(request))
    };
    let good = || peer(vec![9; 20], "127.0.0.1:9");
    assert_invalid(step(good(), vec![1; 19]), &["target"]);
    assert_invalid(step(good(), Vec::new()), &["target"]);
    assert_invalid(step(peer(vec![9; 21], "127.0.0.1:9"), vec![1; 20]), &["id"]);
    assert_invalid(step(peer(vec![9; 20], ""), vec![1; 20]), &["addr"]);
    let bare = v1::FindSuccessorRequest { envelope: None, target: vec![1; 20], avoid: Vec::new() };
    let outcome = stub::wait(stub::chord(&addr).find_successor(bare));
    assert_invalid(outcome, &["envelope"]);
    assert_serves_on(&addr);
}

#[test]
fn an_identifier_beyond_a_small_circle_is_malformed_too() {
    let cluster = Cluster::named("beyond").ids(7, &[16]).replicas(1).start();
    let addr = cluster.address(0);
    let lookup = |id: Vec<u8>| {
        let target = Some(v1::lookup_request::Target::Id(id));
        stub::wait(stub::admin(&addr).lookup(v1::LookupRequest { target }))
    };
    assert_invalid(lookup(vec![0x80]), &["id"]);
    let top = lookup(vec![0x7f]).expect("the greatest identifier is one").into_inner();
    let owner = top.owner.expect("an owner");
    assert_eq!(ids::from_wire(&owner.id, 7), "10");
}

#[test]
fn noise_on_the_port_and_unknown_methods_disturb_nobody() {
    let cluster = Cluster::named("noise").start();
    let addr = cluster.address(0);
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xff; 4096]] {
        let mut stream = TcpStream::connect(&addr).expect("it listens");
        // It may well hang up before all is written.
        let _ = stream.write_all(noise);
    }
    let mut raw = tonic::client::Grpc::new(stub::channel(&addr));
    let status = stub::wait(async {
        raw.ready().await.expect("connected");
        let codec = tonic_prost::ProstCodec::<v1::GetRequest, v1::GetResponse>::default();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/dht.v1.Kv/Nonsense");
        let request = tonic::Request::new(v1::GetRequest { key: vec![1], ..v1::GetRequest::default() });
        raw.unary(request, path, codec).await
    })
    .expect_err("no such method");
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    assert_serves_on(&addr);
}
