//! Nodes of another cluster, width or protocol, and messages that make no sense: told so, and the server goes on.

use overlay::{Envelope, Failure, Hello, HelloState, Peer, Refusal, Settings};
use ring::Space;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use transport::{CallError, Here, Limits, PeerClient, Pool, PoolConfig, v1};

use crate::fake::{Asked, Running, STORE, TIMEOUT, asker, client, noted, notify};

/// A client of another kind of node.
fn stranger(cluster: &str, bits: u32) -> (PeerClient, Peer) {
    let space = Space::new(bits).unwrap();
    let me = Peer { id: space.zero(), ..asker() };
    let here = Here { cluster: cluster.to_owned(), space };
    let client = PeerClient::new(Pool::new(PoolConfig::default()), here, me.clone(), STORE, &Limits::default(), || 7);
    (client, me)
}

async fn hello(client: &PeerClient, me: Peer, node: &Running) -> Asked {
    let hello = Hello { settings: Settings::default(), state: HelloState::Searching, disk_ring: None };
    let envelope = Envelope { from: me, to: None, ring: None };
    client.call(&node.addr, &envelope, overlay::Request::Hello(hello), TIMEOUT).await
}

/// Sends any message to any path.
async fn raw<M: prost::Message + Default + 'static>(
    node: &Running,
    path: &'static str,
    message: M,
) -> Result<(), Status> {
    let mut stub = tonic::client::Grpc::new(node.channel().await);
    stub.ready().await.unwrap();
    let codec = ProstCodec::<M, v1::Empty>::default();
    stub.unary(Request::new(message), PathAndQuery::from_static(path), codec).await.map(|_| ())
}

#[tokio::test]
async fn a_node_of_another_cluster_is_told_both_names() {
    let node = Running::start().await;
    let (client, me) = stranger("staging", 7);
    let (answer, _) = hello(&client, me, &node).await;
    let error = answer.unwrap_err();
    assert_eq!(error.mismatch(), Some("cluster: it is `default` there, `staging` here"));
    let told = "cluster: it is `default` there, `staging` here".to_owned();
    assert_eq!(Failure::from(error), Failure::Refused(Refusal::Malformed(told)));

    let refused = client.control(&node.peer(), None, vec![replica::Request::Leaving], TIMEOUT).await;
    assert!(matches!(refused, Err(CallError::Mismatch(_))), "{refused:?}");
    assert!(node.fake.take_arrived().is_empty(), "nothing of this reached the node");
}

#[tokio::test]
async fn a_node_with_identifiers_of_another_width_is_told_both_widths() {
    let node = Running::start().await;
    let (client, me) = stranger("default", 160);
    let (answer, _) = hello(&client, me, &node).await;
    assert_eq!(answer.unwrap_err().mismatch(), Some("id_bits: it is 7 there, 160 here"));
    assert!(node.fake.take_arrived().is_empty(), "nothing of this reached the node");
}

#[tokio::test]
async fn a_malformed_identifier_on_the_wire_is_refused_by_the_field() {
    let node = Running::start().await;
    node.answers(|answers| answers.overlay = noted());
    let from = v1::Peer { id: vec![1, 2, 3].into(), addr: "127.0.0.1:1".to_owned(), incarnation: 1 };
    let envelope = v1::Envelope { cluster: "default".to_owned(), from: Some(from), to: None, ring: None };
    let request = v1::NotifyRequest { envelope: Some(envelope) };
    let status = raw(&node, "/dht.v1.Chord/Notify", request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let text = "envelope.from.id is not an identifier here: an identifier of 7 bits is 1 bytes long, not 3";
    assert_eq!(status.message(), text);
    assert!(notify(&client(), &node.addr, TIMEOUT).await.0.is_ok(), "the node goes on serving");
}

#[tokio::test]
async fn an_empty_message_is_refused_everywhere() {
    let node = Running::start().await;
    let paths = [
        "/dht.v1.Membership/Hello",
        "/dht.v1.Membership/Depart",
        "/dht.v1.Chord/FindSuccessor",
        "/dht.v1.Chord/GetNeighbours",
        "/dht.v1.Chord/Join",
        "/dht.v1.Chord/Notify",
        "/dht.v1.Chord/Stabilize",
        "/dht.v1.Storage/Control",
        "/dht.v1.Storage/Execute",
        "/dht.v1.Storage/Store",
        "/dht.v1.Storage/Read",
        "/dht.v1.Storage/Look",
        "/dht.v1.Storage/Digest",
        "/dht.v1.Storage/Forget",
        "/dht.v1.Storage/Hint",
        "/dht.v1.Storage/List",
        "/dht.v1.Storage/Fetch",
        "/dht.v1.Storage/Offer",
    ];
    for path in paths {
        let status = raw(&node, path, v1::Empty {}).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "envelope is missing"), "{path}");
    }
    assert!(node.fake.take_arrived().is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_caller_s_mistake() {
    let node = Running::start().await;
    // Field 1 as a number, where every request has a message or bytes.
    let garbage = v1::RingId { started_ms: 7, ..Default::default() };
    for path in ["/dht.v1.Chord/Notify", "/dht.v1.Storage/Read", "/dht.v1.Kv/Put"] {
        let status = raw(&node, path, garbage.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{path}: {status}");
        assert!(status.message().starts_with("the message can't be read"), "{path}: {status}");
    }
}

#[tokio::test]
async fn methods_and_protocols_that_are_not_here_are_unimplemented() {
    let node = Running::start().await;
    for path in ["/dht.v1.Chord/Sing", "/dht.v1.Storage/Sing", "/dht.v1.Membership/Sing", "/dht.v1.Pastry/Join"] {
        let status = raw(&node, path, v1::Empty {}).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status}");
    }
}
