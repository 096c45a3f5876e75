//! The status page at `/`: what `status` tells, live, with this worker's figures. Files that are part of the program and two
//! JSON answers; the browser does the rest. Nothing on it comes from another host or is run from a string, and
//! the headers hold browsers to that.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::health::Health;
use crate::status::kept::Kept;

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
const JS: &str = include_str!("page/page.js");
const FIGURES_JS: &str = include_str!("page/figures.js");
const WORDS_JS: &str = include_str!("page/words.js");
const ICON: &str = include_str!("page/icon.svg");

/// Only what this listener serves; text never becomes markup or code, and no other site may frame the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What the page shows.
#[derive(Clone)]
pub struct Page {
    /// This worker's id.
    pub worker: Arc<str>,
    pub health: Arc<Health>,
    pub status: Arc<Kept>,
}

/// What this worker says of itself, always with 200: a page that asks every two seconds would else fill the browser's
/// console.
#[derive(Serialize)]
struct WorkerSays<'a> {
    worker: &'a str,
    version: &'a str,
    ready: bool,
    /// The lines of `/readyz`.
    why: Vec<&'a str>,
}

#[derive(Serialize)]
struct NoStatus<'a> {
    error: &'a str,
}

pub fn router(page: Page) -> Router {
    Router::new()
        .route("/", get(|| async { answer(StatusCode::OK, "text/html; charset=utf-8", HTML) }))
        .route("/page.css", get(|| async { answer(StatusCode::OK, "text/css; charset=utf-8", CSS) }))
        .route("/page.js", get(|| async { answer(StatusCode::OK, JAVASCRIPT, JS) }))
        .route("/figures.js", get(|| async { answer(StatusCode::OK, JAVASCRIPT, FIGURES_JS) }))
        .route("/words.js", get(|| async { answer(StatusCode::OK, JAVASCRIPT, WORDS_JS) }))
        .route("/icon.svg", get(|| async { answer(StatusCode::OK, "image/svg+xml", ICON) }))
        .route("/status.json", get(status))
        .route("/worker.json", get(worker))
        .with_state(page)
}

async fn status(State(page): State<Page>) -> Response {
    match page.status.json().await {
        Ok(body) => answer(StatusCode::OK, JSON, body),
        Err(error) => json(StatusCode::SERVICE_UNAVAILABLE, &NoStatus { error: &error }),
    }
}

async fn worker(State(page): State<Page>) -> Response {
    let ready = page.health.ready();
    let why = ready.as_ref().err().map(|why| why.lines().collect()).unwrap_or_default();
    let says =
        WorkerSays { worker: &page.worker, version: env!("CARGO_PKG_VERSION"), ready: ready.is_ok(), why };
    json(StatusCode::OK, &says)
}

const JSON: &str = "application/json";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => answer(status, JSON, body),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl IntoResponse) -> Response {
    let fixed = |name, value| (name, HeaderValue::from_static(value));
    let headers: [(HeaderName, HeaderValue); 6] = [
        fixed(header::CONTENT_TYPE, content_type),
        fixed(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        fixed(header::REFERRER_POLICY, "no-referrer"),
        // The files are another program's after an update, the answers are old after two seconds.
        fixed(header::CACHE_CONTROL, "no-store"),
        fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (status, headers, body).into_response()
}
