//! One GET, bounded in time and size.

use alloc::string::String;
use alloc::vec::Vec;

use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestCredentials, RequestInit, RequestMode,
    RequestRedirect, Response, Url,
};

use crate::engine::FetchError;
use crate::limits;

/// Fetches a URL: no credentials, no header that would need a preflight, no answer from another origin.
///
/// # Errors
/// See [`FetchError`]. A server that is down and one that forbids this page to read look the same to a page.
pub async fn fetch(url: &str) -> Result<Vec<u8>, FetchError> {
    let controller = AbortController::new().map_err(|_| FetchError::Unreachable)?;
    let answer = core::pin::pin!(answer(url, &controller));
    let time = TimeoutFuture::new(FETCH_MS);
    let result = match select(answer, time).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(FetchError::TimedOut),
    };
    if result.is_err() {
        // Also stops the rest of a body nobody reads.
        controller.abort();
    }
    result
}

async fn answer(url: &str, controller: &AbortController) -> Result<Vec<u8>, FetchError> {
    let headers = Headers::new().map_err(unreachable)?;
    headers.set("Accept", "application/json").map_err(unreachable)?;
    let init = RequestInit::new();
    init.set_method("GET");
    init.set_headers(&headers);
    init.set_mode(RequestMode::Cors);
    init.set_credentials(RequestCredentials::Omit);
    init.set_redirect(RequestRedirect::Follow);
    init.set_signal(Some(&controller.signal()));

    let response: Response = JsFuture::from(start(url, &init)?).await.map_err(unreachable)?.unchecked_into();
    if origin(&response.url()) != origin(url) {
        return Err(FetchError::Unreachable);
    }
    if !response.ok() {
        return Err(FetchError::Status(response.status()));
    }
    match response.body() {
        Some(body) => read(body.get_reader().unchecked_into()).await,
        None => Ok(Vec::new()),
    }
}

/// The body, no more than [`limits::DIRECTORY_BODY_MAX`] of it.
async fn read(reader: ReadableStreamDefaultReader) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    loop {
        let piece = JsFuture::from(reader.read()).await.map_err(unreachable)?;
        let field = |name: &str| Reflect::get(&piece, &JsValue::from_str(name)).map_err(unreachable);
        if field("done")?.is_truthy() {
            return Ok(body);
        }
        let bytes: Uint8Array = field("value")?.dyn_into().map_err(unreachable)?;
        if body.len() + bytes.length() as usize > limits::DIRECTORY_BODY_MAX {
            return Err(FetchError::TooLarge);
        }
        body.extend(bytes.to_vec());
    }
}

/// `fetch` of the page or worker we run in.
fn start(url: &str, init: &RequestInit) -> Result<Promise, FetchError> {
    let global = js_sys::global();
    let fetch: Function =
        Reflect::get(&global, &JsValue::from_str("fetch")).and_then(|fetch| fetch.dyn_into()).map_err(unreachable)?;
    fetch.call2(&global, &JsValue::from_str(url), init).map(JsCast::unchecked_into).map_err(unreachable)
}

fn origin(url: &str) -> Option<String> {
    Url::new(url).ok().map(|url| url.origin())
}

fn unreachable<E>(_: E) -> FetchError {
    FetchError::Unreachable
}

/// How long an answer may take, its body included.
const FETCH_MS: u32 = 10_000;
