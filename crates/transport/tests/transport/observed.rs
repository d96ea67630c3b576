//! Health and reflection, as standard tools ask for them; and the end of a server.

use std::time::Duration;

use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};
use transport::v1::GetRequest;
use transport::v1::kv_client::KvClient;

use crate::fake::Running;

#[tokio::test]
async fn health_says_whether_the_node_serves() {
    let node = Running::start().await;
    let mut health = HealthClient::new(node.channel().await);
    for (serving, expected) in [
        (None, ServingStatus::NotServing),
        (Some(true), ServingStatus::Serving),
        (Some(false), ServingStatus::NotServing),
    ] {
        if let Some(serving) = serving {
            node.health.set_serving(serving).await;
        }
        for service in ["", "dht.v1.Kv"] {
            let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
            assert_eq!(answer.into_inner().status(), expected, "`{service}`");
        }
    }
}

const SERVICES: [&str; 5] = ["dht.v1.Admin", "dht.v1.Chord", "dht.v1.Kv", "dht.v1.Membership", "dht.v1.Storage"];

#[tokio::test]
async fn reflection_lists_the_services() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let node = Running::start().await;
    let mut stub = v1::server_reflection_client::ServerReflectionClient::new(node.channel().await);
    let list = MessageRequest::ListServices(String::new());
    let file = MessageRequest::FileContainingSymbol("dht.v1.Kv.Put".to_owned());
    let requests = [list, file].map(|message_request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    });
    let answers = stub.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap().message_response.unwrap()).collect().await;

    let [MessageResponse::ListServicesResponse(list), MessageResponse::FileDescriptorResponse(file)] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    assert!(!file.file_descriptor_proto.is_empty());
}

#[tokio::test]
async fn the_older_reflection_lists_the_services_as_well() {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let node = Running::start().await;
    let mut stub = v1alpha::server_reflection_client::ServerReflectionClient::new(node.channel().await);
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = stub.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("not a list");
    };
    assert!(SERVICES.iter().all(|name| list.service.iter().any(|service| service.name == *name)));
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_is_under_way() {
    let node = Running::start().await;
    node.answers(|answers| answers.kv_takes = Duration::from_millis(300));
    let mut kv = KvClient::new(node.channel().await);
    let call = tokio::spawn(async move { kv.get(GetRequest { key: "k".into(), ..Default::default() }).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.stop().await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound, "answered, not cut off: {status}");
}
