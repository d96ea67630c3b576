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
    match app.shared.is_read_only() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("read-only: {why}\n")),
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

/// Ranges of which this node is a holder and too few others answer, or take writes.
async fn ranges_without_majority(shared: &Shared) -> usize {
    let holdings = shared.holdings.read().await;
    let lacks = |holding: &&replica::Holding| {
        let out = holding.missing.len() + holding.read_only.len();
        holding.role != replica::Role::Outside && holding.set.members.len() < holding.set.majority() + out
    };
    holdings.ranges.iter().filter(lacks).count()
}

async fn exposition(AppState(app): AppState<App>) -> String {
    let shared = &app.shared;
    let (stats, view) = (shared.store.stats(), shared.view());
    metrics::gauge!("dhtd_keys").set(stats.keys as f64);
    metrics::gauge!("dhtd_bytes").set(stats.bytes as f64);
    metrics::gauge!("dhtd_tombstones").set(stats.tombstones as f64);
    metrics::gauge!("dhtd_ready").set(f64::from(u8::from(view.state == State::Ready)));
    metrics::gauge!("dhtd_peers_alive").set(view.known.iter().filter(|known| known.alive).count() as f64);
    metrics::gauge!("dhtd_read_only").set(f64::from(u8::from(shared.is_read_only().is_some())));
    metrics::gauge!("dhtd_ranges_without_majority").set(ranges_without_majority(shared).await as f64);
    metrics::gauge!("dhtd_transfers").set(shared.transfers.shown().len() as f64);
    metrics::gauge!("dhtd_skewed_peers").set(shared.clocks.shown().len() as f64);
    metrics::counter!("dhtd_quarantined_total").absolute(shared.counters.quarantined.load(Ordering::Relaxed));
    metrics::gauge!("dhtd_uptime_seconds").set(shared.time.uptime().as_secs_f64());
    // A total that has not counted anything yet is shown as 0, not left out.
    metrics::counter!("dhtd_lost_majorities_total").absolute(shared.counters.lost_majorities.load(Ordering::Relaxed));
    app.prometheus.render()
}
