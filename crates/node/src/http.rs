//! Health and metrics over HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use overlay::State;
use tokio::net::TcpListener;

use crate::shared::Shared;

#[derive(Clone)]
struct App {
    shared: Arc<Shared>,
    prometheus: PrometheusHandle,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, prometheus: PrometheusHandle) {
    let app = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(App { shared, prometheus });
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "health and metrics are not served any more");
    }
}

/// The process lives, and its store takes writes.
async fn healthz(AppState(app): AppState<App>) -> (StatusCode, String) {
    match app.shared.store.health() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("the store failed: {error}\n")),
    }
}

/// It is a member, and its neighbours answer.
async fn readyz(AppState(app): AppState<App>) -> (StatusCode, String) {
    let (ready, text) = readiness(&app.shared);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{text}\n"))
}

/// Whether the node is ready, and how that is said to people.
pub(crate) fn readiness(shared: &Shared) -> (bool, &'static str) {
    match shared.view().state {
        State::Searching => (false, "searching: no ready member has been found yet"),
        State::Joining => (false, "joining: the neighbours have not confirmed this node yet"),
        State::Ready => (true, "ready"),
        State::Leaving => (false, "leaving: records are being handed over"),
        State::Left => (false, "left"),
    }
}

async fn exposition(AppState(app): AppState<App>) -> String {
    let shared = &app.shared;
    let (stats, view) = (shared.store.stats(), shared.view());
    metrics::gauge!("dhtd_keys").set(stats.keys as f64);
    metrics::gauge!("dhtd_bytes").set(stats.bytes as f64);
    metrics::gauge!("dhtd_tombstones").set(stats.tombstones as f64);
    metrics::gauge!("dhtd_ready").set(f64::from(u8::from(view.state == State::Ready)));
    metrics::gauge!("dhtd_peers_alive").set(view.known.iter().filter(|known| known.alive).count() as f64);
    metrics::gauge!("dhtd_uptime_seconds").set(shared.time.uptime().as_secs_f64());
    // A total that has not counted anything yet is shown as 0, not left out.
    metrics::counter!("dhtd_lost_majorities_total").absolute(shared.counters.lost_majorities.load(Ordering::Relaxed));
    app.prometheus.render()
}
