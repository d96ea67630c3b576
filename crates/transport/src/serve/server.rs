use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tower::util::MapResponseLayer;
use wire::{Here, WireProtocol};

use super::admin::AdminEdge;
use super::generated::admin_server::AdminServer;
use super::generated::kv_server::KvServer;
use super::kv::KvEdge;
use super::peers::{Membership, Own, PeerEdge, Storage};
use super::too_long::explain_too_long;
use super::{AdminService, Health, KvService, PeerService};
use crate::Limits;
use crate::limits::{CONNECTION_WINDOW, STREAM_WINDOW};

/// Everything a node answers, on one socket: other nodes, users, `dht`, health and reflection.
pub struct Server<P> {
    here: Here,
    limits: Limits,
    protocol: PhantomData<fn() -> P>,
}

/// The server could not begin, or ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket or HTTP/2 failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors do not fit together: a build that went wrong.
    #[error("server reflection could not be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl<P: WireProtocol> Server<P> {
    /// A server of the protocol `P` that takes requests of `here`'s cluster and space only.
    pub fn new(here: Here, limits: Limits) -> Self {
        Self { here, limits, protocol: PhantomData }
    }

    /// Serves on a bound socket until `shutdown` ends; then takes nothing new, and returns when what is under way is done.
    pub async fn serve<S, K, A>(
        self,
        listener: TcpListener,
        peers: Arc<S>,
        kv: Arc<K>,
        admin: Arc<A>,
        health: &Health,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError>
    where
        S: PeerService<P>,
        K: KvService,
        A: AdminService,
    {
        let limits = self.limits.clone();
        let routes = self.routes(peers, kv, admin, health)?;
        let value_len_max = limits.value_len_max;
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(limits.keepalive_interval))
            .http2_keepalive_timeout(Some(limits.keepalive_timeout))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(limits.streams_max)
            // A machine that is too busy to accept calls before their callers give up must not lose the connections too.
            .http2_max_pending_accept_reset_streams(Some(limits.streams_max as usize))
            .layer(MapResponseLayer::new(move |response| explain_too_long(response, value_len_max)))
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
            .await?;
        Ok(())
    }

    fn routes<S, K, A>(self, peers: Arc<S>, kv: Arc<K>, admin: Arc<A>, health: &Health) -> Result<Routes, ServeError>
    where
        S: PeerService<P>,
        K: KvService,
        A: AdminService,
    {
        let limit = self.limits.message_len_max();
        let here = Arc::new(self.here);
        let kv = KvEdge { kv, space: here.space, limits: self.limits };
        let membership = PeerEdge::<Membership, P, S>::new(Arc::clone(&peers), Arc::clone(&here), limit);
        let storage = PeerEdge::<Storage, P, S>::new(Arc::clone(&peers), Arc::clone(&here), limit);
        let own = PeerEdge::<Own<P>, P, S>::new(peers, here, limit);
        Ok(Routes::new(membership)
            .add_service(storage)
            .add_service(own)
            .add_service(KvServer::new(kv).max_decoding_message_size(limit).max_encoding_message_size(limit))
            .add_service(AdminServer::new(AdminEdge(admin)))
            .add_service(health.service())
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?))
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
