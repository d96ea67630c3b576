use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::generated::admin_server::Admin;
use super::kv::timeout_of;
use crate::v1::{
    AdminJoinRequest, AdminJoinResponse, ExplainRequest, ExplainResponse, LeaveRequest, LeaveResponse, LookupRequest,
    LookupResponse, NeighboursRequest, NeighboursResponse, StatusRequest, StatusResponse, TableRequest, TableResponse,
    VerifyRequest, VerifyResponse,
};

/// What `dht` looks inside with. Messages as they are: they are shown, and nothing is decided by them.
pub trait AdminService: Send + Sync + 'static {
    /// This node.
    fn status(&self, request: StatusRequest) -> impl Future<Output = Result<StatusResponse, Status>> + Send;

    /// The route to a key's owner.
    fn lookup(&self, request: LookupRequest) -> impl Future<Output = Result<LookupResponse, Status>> + Send;

    /// The node's own routing state.
    fn table(&self, request: TableRequest) -> impl Future<Output = Result<TableResponse, Status>> + Send;

    /// The members next to this one.
    fn neighbours(&self, request: NeighboursRequest)
    -> impl Future<Output = Result<NeighboursResponse, Status>> + Send;

    /// Leave gracefully.
    fn leave(&self, request: LeaveRequest) -> impl Future<Output = Result<LeaveResponse, Status>> + Send;

    /// Meet the ring behind an address. The address is as the user gave it: see [`wire::read_addr`].
    fn join(&self, request: AdminJoinRequest) -> impl Future<Output = Result<AdminJoinResponse, Status>> + Send;

    /// All copies of one record, wherever they are. `budget` is how long the caller waits, if it said so.
    fn explain(
        &self,
        request: ExplainRequest,
        budget: Option<Duration>,
    ) -> impl Future<Output = Result<ExplainResponse, Status>> + Send;

    /// How far this node's records are from their full number of copies, range by range as each is done. `budget` is how
    /// long the caller waits for all of them, if it said so.
    fn verify(
        &self,
        request: VerifyRequest,
        budget: Option<Duration>,
    ) -> impl Future<Output = Result<Verified, Status>> + Send;
}

/// What [`AdminService::verify`] finds. Dropped when the caller has gone.
pub type Verified = BoxStream<'static, Result<VerifyResponse, Status>>;

/// Puts an [`AdminService`] behind the generated trait.
pub(super) struct AdminEdge<A>(pub(super) Arc<A>);

#[tonic::async_trait]
impl<A: AdminService> Admin for AdminEdge<A> {
    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.0.status(request.into_inner()).await.map(Response::new)
    }

    async fn lookup(&self, request: Request<LookupRequest>) -> Result<Response<LookupResponse>, Status> {
        self.0.lookup(request.into_inner()).await.map(Response::new)
    }

    async fn table(&self, request: Request<TableRequest>) -> Result<Response<TableResponse>, Status> {
        self.0.table(request.into_inner()).await.map(Response::new)
    }

    async fn neighbours(&self, request: Request<NeighboursRequest>) -> Result<Response<NeighboursResponse>, Status> {
        self.0.neighbours(request.into_inner()).await.map(Response::new)
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        self.0.leave(request.into_inner()).await.map(Response::new)
    }

    async fn join(&self, request: Request<AdminJoinRequest>) -> Result<Response<AdminJoinResponse>, Status> {
        self.0.join(request.into_inner()).await.map(Response::new)
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let budget = timeout_of(request.metadata());
        self.0.explain(request.into_inner(), budget).await.map(Response::new)
    }

    type VerifyStream = Verified;

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Verified>, Status> {
        let budget = timeout_of(request.metadata());
        self.0.verify(request.into_inner(), budget).await.map(Response::new)
    }
}
