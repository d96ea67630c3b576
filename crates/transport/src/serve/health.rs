use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// What the standard gRPC health service says about this node. Cheap to clone; begins with "not serving".
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    /// The services that are named beside the node as a whole, which is named "".
    names: Vec<&'static str>,
}

impl Health {
    /// Not serving yet.
    pub async fn new() -> Self {
        let health = Self { reporter: HealthReporter::new(), names: vec!["", "dht.v1.Kv"] };
        health.set_serving(false).await;
        health
    }

    /// Whether this node serves users now.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in &self.names {
            self.reporter.set_service_status(*name, status).await;
        }
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
