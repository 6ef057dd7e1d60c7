//! What the directory and the control endpoint answer over HTTP.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Request, Response};
use super::network::{Action, Inner};
use crate::faults::Faults;
use crate::record::{Filter, NodeName, What};

/// How many entries of the record one answer holds unless fewer are asked for.
const PAGE_COUNT_MAX: usize = 20_000;

/// Answers a request of a client to the directory.
pub fn answer_directory(inner: &Inner, request: &Request) -> Response {
    if inner.html.load(Ordering::Relaxed) {
        let body = b"<!doctype html><title>Maintenance</title><p>Back soon.".to_vec();
        return Response { status: 200, content_type: "text/html", body };
    }
    let Some(path) = request.path.trim_start_matches('/').strip_prefix("api/") else {
        return Response::error(404, "the API is below /api/");
    };
    let directory = inner.directory.lock().unwrap_or_else(PoisonError::into_inner);
    let now_ms = u64::try_from(inner.shared.clock.unix().as_millis()).unwrap_or(u64::MAX);
    match directory.answer(path, &request.query, now_ms) {
        Some(value) => Response::json(&value),
        None => Response::error(404, "no such document"),
    }
}

/// Answers a request to the control endpoint.
pub async fn answer_control(inner: &Arc<Inner>, request: Request) -> Response {
    let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", []) => Response::json(&inner.info),
        ("GET", ["faults"]) => Response::json(&faults_json(&inner.shared.faults.borrow())),
        ("POST", ["faults" | "loss"]) => set_faults(inner, &request.body),
        ("POST", ["epoch", "advance"]) => advance(inner, &request.body),
        ("GET", ["record"]) => read_record(inner, &request.query),
        ("GET", ["record", "summary"]) => summary(inner),
        ("POST", ["record", "clear"]) => {
            inner.shared.record.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Response::json(&json!({}))
        }
        ("POST", [kind @ ("node" | "gateway"), which, action]) => match inner.find(kind, which) {
            Some(name) => act(inner, name, action).await,
            None => Response::error(404, "no such node"),
        },
        ("POST", ["directory", action]) => act(inner, NodeName::Directory, action).await,
        ("GET" | "POST", _) => Response::error(404, "no such call"),
        _ => Response::error(405, "only GET and POST"),
    }
}

async fn act(inner: &Arc<Inner>, name: NodeName, action: &str) -> Response {
    let Some(action) = Action::parse(action, name) else {
        return Response::error(404, "no such action");
    };
    match inner.act(name, action).await {
        Ok(()) => Response::json(&json!({"node": name.to_string(), "action": action.as_str()})),
        Err(error) => Response::error(500, &error.to_string()),
    }
}

/// Faults as they are given: what is missing stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultsBody {
    #[serde(alias = "p")]
    loss: Option<f64>,
    duplicate: Option<f64>,
    reorder: Option<f64>,
    latency_ms: Option<f64>,
    jitter_ms: Option<f64>,
}

fn set_faults(inner: &Inner, body: &[u8]) -> Response {
    let Ok(given) = serde_json::from_slice::<FaultsBody>(body) else {
        return Response::error(400, "expected an object with p or loss, duplicate, reorder, latency_ms, jitter_ms");
    };
    let before = *inner.shared.faults.borrow();
    let time = |ms: Option<f64>, before| match ms {
        Some(ms) => std::time::Duration::try_from_secs_f64(ms / 1000.0).ok(),
        None => Some(before),
    };
    let (Some(latency), Some(jitter)) = (time(given.latency_ms, before.latency), time(given.jitter_ms, before.jitter))
    else {
        return Response::error(400, "a time is not a number of milliseconds");
    };
    let faults = Faults {
        loss: given.loss.unwrap_or(before.loss),
        duplicate: given.duplicate.unwrap_or(before.duplicate),
        reorder: given.reorder.unwrap_or(before.reorder),
        latency,
        jitter,
    };
    match faults.checked() {
        Ok(faults) => {
            inner.faults.send_replace(faults);
            let faults = faults_json(&faults);
            inner.shared.note(NodeName::Directory, What::Control { action: format!("faults {faults}") });
            Response::json(&faults)
        }
        Err(error) => Response::error(400, &error.to_string()),
    }
}

fn faults_json(faults: &Faults) -> Value {
    json!({
        "loss": faults.loss,
        "duplicate": faults.duplicate,
        "reorder": faults.reorder,
        "latency_ms": faults.latency.as_secs_f64() * 1000.0,
        "jitter_ms": faults.jitter.as_secs_f64() * 1000.0,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceBody {
    epochs: u32,
}

fn advance(inner: &Inner, body: &[u8]) -> Response {
    match serde_json::from_slice::<AdvanceBody>(body) {
        Ok(AdvanceBody { epochs }) => {
            let clock = inner.advance_epochs(epochs);
            let epoch = inner.shared.epoch();
            Response::json(&json!({"epoch": epoch, "rotation": clock.rotation(epoch)}))
        }
        Err(_) => Response::error(400, "expected an object with epochs"),
    }
}

fn read_record(inner: &Inner, query: &str) -> Response {
    let (mut since, mut limit, mut filter) = (0, PAGE_COUNT_MAX, Filter::default());
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "since" => since = value.parse().unwrap_or(0),
            "limit" => limit = value.parse().unwrap_or(PAGE_COUNT_MAX).clamp(1, PAGE_COUNT_MAX),
            "kind" => filter.kinds = value.split(',').map(str::to_owned).collect(),
            "node" => filter.node = Some(value.to_owned()),
            "client" => filter.client = Some(value.to_owned()),
            _ => return Response::error(400, "a record is asked for with since, limit, kind, node and client"),
        }
    }
    let page = inner.shared.record.lock().unwrap_or_else(PoisonError::into_inner).page(since, limit, &filter);
    Response::json(&page)
}

fn summary(inner: &Inner) -> Response {
    let record = inner.shared.record.lock().unwrap_or_else(PoisonError::into_inner);
    let epoch = inner.shared.epoch();
    Response::json(&json!({
        "now_us": inner.shared.clock.now().as_micros(),
        "unix_start_ms": u64::try_from(inner.shared.clock.unix_start().as_millis()).unwrap_or(u64::MAX),
        "epoch": epoch,
        "rotation": inner.shared.epochs.borrow().rotation(epoch),
        "nodes": record.summary().nodes,
        "clients": record.summary().clients,
        "inboxes": *inner.shared.inboxes.lock().unwrap_or_else(PoisonError::into_inner),
    }))
}
