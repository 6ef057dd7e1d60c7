//! The fetch: against the devnet's directory, and over a `fetch` that the test plays.

use js_sys::Object;
use mixlet::engine::FetchError;
use mixlet::limits;
use mixlet::web::fetch::fetch;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::devnet;
use crate::fakes::{Replaced, js};
use crate::page::{get, json};

#[test]
async fn the_directory_of_the_devnet_answers() {
    let url = format!("{}/{}", devnet::directory(), mixlet::topology::PATHS[0]);
    let body = fetch(&url).await.unwrap();
    assert!(body.starts_with(b"{"), "{url}");
}

#[test]
async fn a_status_is_reported() {
    assert_eq!(fetch(&format!("{}/nothing/here", devnet::directory())).await, Err(FetchError::Status(404)));
}

#[test]
async fn a_server_that_is_not_there_is_unreachable() {
    assert_eq!(fetch("http://127.0.0.1:49151/api").await, Err(FetchError::Unreachable));
    assert_eq!(fetch("no url").await, Err(FetchError::Unreachable));
}

#[test]
async fn nothing_is_sent_along() {
    let _fetch = played("return new Response('{}')");
    assert_eq!(fetch("http://one.example/api").await, Ok(b"{}".to_vec()));
    let seen = js("const { method, mode, credentials, redirect, headers } = playedFetch.init; \
         return { url: playedFetch.url, method, mode, credentials, redirect, headers: [...headers] }");
    assert_eq!(
        json(&seen),
        concat!(
            r#"{"url":"http://one.example/api","method":"GET","mode":"cors","credentials":"omit","#,
            r#""redirect":"follow","headers":[["accept","application/json"]]}"#
        )
    );
}

#[test]
async fn an_answer_of_another_origin_is_refused() {
    let _fetch = played(
        "const answer = new Response('{}'); \
         Object.defineProperty(answer, 'url', { value: 'http://two.example/api' }); return answer",
    );
    assert_eq!(fetch("http://one.example/api").await, Err(FetchError::Unreachable));
    assert!(aborted());
}

#[test]
async fn a_redirect_within_the_origin_is_followed() {
    let _fetch = played(
        "const answer = new Response('{}'); \
         Object.defineProperty(answer, 'url', { value: 'http://one.example/v2/api' }); return answer",
    );
    assert_eq!(fetch("http://one.example/api").await, Ok(b"{}".to_vec()));
}

#[test]
async fn a_body_of_the_greatest_length_is_taken_and_a_longer_one_cut_off() {
    let pieces = limits::DIRECTORY_BODY_MAX >> 20;
    let _fetch = played(&format!("return new Response(playedFetch.pieces({pieces}))"));
    assert_eq!(fetch("http://one.example/api").await.map(|body| body.len()), Ok(limits::DIRECTORY_BODY_MAX));
    assert!(!aborted());
    drop(_fetch);

    let _fetch = played("return new Response(playedFetch.pieces(Infinity))");
    assert_eq!(fetch("http://one.example/api").await, Err(FetchError::TooLarge));
    assert!(aborted());
    let given = js("return playedFetch.given").as_f64().unwrap();
    assert!(given <= pieces as f64 + 3.0, "{given} pieces were read");
}

#[test]
async fn silence_is_given_up() {
    let _fetch = played("return new Promise(() => {})");
    let _quick = Replaced::global("setTimeout", &js("const real = setTimeout; return handler => real(handler, 0)"));
    assert_eq!(fetch("http://one.example/api").await, Err(FetchError::TimedOut));
    assert!(aborted());
}

#[test]
async fn a_body_that_never_ends_is_given_up() {
    let _fetch = played("return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }))");
    let _quick = Replaced::global("setTimeout", &js("const real = setTimeout; return handler => real(handler, 50)"));
    assert_eq!(fetch("http://one.example/api").await, Err(FetchError::TimedOut));
}

#[test]
async fn a_body_that_breaks_off_is_unreachable() {
    let _fetch = played("return new Response(new ReadableStream({ pull: c => c.error(new TypeError('cut')) }))");
    assert_eq!(fetch("http://one.example/api").await, Err(FetchError::Unreachable));
}

#[test]
async fn an_empty_body_is_empty() {
    let _fetch = played("return new Response(null)");
    assert_eq!(fetch("http://one.example/api").await, Ok(Vec::new()));
}

/// A `fetch` with this body. An answer without a URL gets that of the request.
fn played(body: &str) -> Replaced {
    let fetch = js(&format!(
        "globalThis.playedFetch = {{ given: 0, pieces: count => new ReadableStream({{ pull(controller) {{ \
           if (playedFetch.given === count) return controller.close(); \
           playedFetch.given++; controller.enqueue(new Uint8Array(1 << 20)); }} }}) }}; \
         return async (url, init) => {{ \
           playedFetch.url = url; playedFetch.init = init; playedFetch.signal = init.signal; \
           const answer = await (() => {{ {body} }})(); \
           if (!answer.url) Object.defineProperty(answer, 'url', {{ value: url }}); \
           return answer; }}"
    ));
    Replaced::global("fetch", &fetch)
}

fn aborted() -> bool {
    let played: Object = get(&js_sys::global(), "playedFetch").into();
    get(&get(&played, "signal"), "aborted") == JsValue::TRUE
}
