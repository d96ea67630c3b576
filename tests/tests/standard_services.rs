//! What tools that know nothing of this project rely on: the standard gRPC health and reflection services, spoken to
//! with messages written down here from their published definitions.

use harness::{Cluster, stub};
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`; 1 is SERVING.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `grpc.reflection.v1.ServerReflectionRequest`, as far as listing goes.
#[derive(Clone, PartialEq, Message)]
struct ReflectionRequest {
    #[prost(string, tag = "7")]
    list_services: String,
}

/// `grpc.reflection.v1.ServerReflectionResponse`, likewise.
#[derive(Clone, PartialEq, Message)]
struct ReflectionResponse {
    #[prost(message, optional, tag = "6")]
    services: Option<ListServiceResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct ListServiceResponse {
    #[prost(message, repeated, tag = "1")]
    service: Vec<ServiceResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceResponse {
    #[prost(string, tag = "1")]
    name: String,
}

fn health(addr: &str, service: &str) -> Result<i32, Status> {
    let mut raw = tonic::client::Grpc::new(stub::channel(addr));
    let request = HealthCheckRequest { service: service.to_owned() };
    stub::wait(async {
        raw.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let answer = raw.unary(Request::new(request), path, codec).await?;
        Ok(answer.into_inner().status)
    })
}

#[test]
fn the_standard_health_service_says_serving_for_the_whole_and_for_kv() {
    let cluster = Cluster::named("health").nodes(2).start();
    for addr in [cluster.address(0), cluster.address(1)] {
        for service in ["", "dht.v1.Kv"] {
            assert_eq!(health(&addr, service).expect("an answer"), 1, "{service:?}");
        }
        let unknown = health(&addr, "dht.v1.Nonsense").expect_err("no such service");
        assert_eq!(unknown.code(), tonic::Code::NotFound);
    }
}

#[test]
fn reflection_lists_every_service() {
    let cluster = Cluster::named("reflection").start();
    let mut raw = tonic::client::Grpc::new(stub::channel(&cluster.address(0)));
    let request = ReflectionRequest { list_services: "*".to_owned() };
    let answer = stub::wait(async {
        raw.ready().await.expect("connected");
        let codec = ProstCodec::<ReflectionRequest, ReflectionResponse>::default();
        let path = PathAndQuery::from_static("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        let requests = Request::new(tokio_stream::once(request));
        let mut answers = raw.streaming(requests, path, codec).await.expect("a stream").into_inner();
        answers.message().await.expect("an answer").expect("one")
    });
    let listed: Vec<String> =
        answer.services.into_iter().flat_map(|list| list.service).map(|service| service.name).collect();
    for service in ["Kv", "Admin", "Membership", "Storage", "Chord"] {
        let name = format!("dht.v1.{service}");
        assert!(listed.contains(&name), "{name} is not in {listed:?}");
    }
}
