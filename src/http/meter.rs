//! Metrics: the recorder behind `/metrics`, and the counts and times of requests by matched route.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::RwLock;

/// Upper bounds in seconds of the buckets of every histogram whose name ends in `_seconds`.
const SECONDS: [f64; 17] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0];

/// The process's recorder, installed at the first call.
pub fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
        let recorder = builder.unwrap_or_else(|_| PrometheusBuilder::new()).build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed: /metrics stays empty");
        }
        metrics::describe_counter!("fanfare_http_requests_total", "Requests answered, by route, method and status");
        metrics::describe_histogram!("fanfare_http_request_seconds", "Time from a request's head to its answer's");
        metrics::describe_gauge!("fanfare_http_requests_in_flight", "Requests being worked on");
        metrics::describe_counter!("fanfare_shed_total", "What was refused because a bound was reached, by which");
        handle
    };
    HANDLE.get_or_init(install).clone()
}

/// Handles of the request metrics, kept so that a request costs one look-up and no allocation.
#[derive(Default)]
pub(super) struct Meter {
    /// Series by matched route; a handful each. Bounded by the number of routes.
    routes: RwLock<HashMap<String, Vec<Series>>>,
}

struct Series {
    method: &'static str,
    status: u16,
    count: Counter,
    seconds: Histogram,
}

impl Meter {
    /// Counts one answered request.
    pub(super) fn record(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let (method, status) = (method_name(method), status.as_u16());
        let seen = |series: &&Series| series.status == status && series.method == method;
        if let Some(series) = self.routes.read().get(route).and_then(|series| series.iter().find(seen)) {
            series.add(took);
            return;
        }
        let mut routes = self.routes.write();
        let known = routes.entry(route.to_owned()).or_default();
        if !known.iter().any(|series| seen(&series)) {
            known.push(Series::new(route, method, status));
        }
        known.iter().filter(seen).for_each(|series| series.add(took));
    }
}

impl Series {
    fn new(route: &str, method: &'static str, status: u16) -> Self {
        let (route, code) = (route.to_owned(), status.to_string());
        Self {
            method,
            status,
            count: metrics::counter!("fanfare_http_requests_total", "route" => route.clone(), "method" => method, "status" => code),
            seconds: metrics::histogram!("fanfare_http_request_seconds", "route" => route, "method" => method),
        }
    }

    fn add(&self, took: Duration) {
        self.count.increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}

/// The method as a label. Clients can make methods up, so others share one.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
