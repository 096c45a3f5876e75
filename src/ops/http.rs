//! The HTTP listener: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever starts and stops the process, and the
//! status page at `/`. Its failing never stops the carrying of changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::page::{self, Page};
use super::shown::Shown;
use crate::machine::Machine;
use crate::ops::repeats::Repeats;

/// Serves until dropped. An address that is taken is tried again.
pub async fn serve(address: SocketAddr, shown: Shown, page: Page, machine: Arc<dyn Machine>) {
    let mut failures = Repeats::default();
    loop {
        let result = match TcpListener::bind(address).await {
            Ok(listener) => {
                if let Ok(bound) = listener.local_addr() {
                    tracing::info!(address = %bound, "serving /metrics, /livez, /readyz and the status page at /");
                }
                axum::serve(listener, router(shown.clone()).merge(page::router(page.clone()))).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result
            && let Some(times) = failures.happened(machine.now())
        {
            tracing::error!(
                times,
                "serve metrics and health at {address}: {error}; choose another address in [http] listen, or \"\" for none"
            );
        }
        machine.sleep(Duration::from_secs(5)).await;
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|State(shown): State<Shown>| async move { answer(shown.health.live()) }))
        .route("/readyz", get(|State(shown): State<Shown>| async move { answer(shown.health.ready()) }))
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], shown.figures())
}

fn answer(health: Result<(), String>) -> (StatusCode, String) {
    match health {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
