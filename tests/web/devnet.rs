//! The devnet these tests were built for.

use js_sys::{Function, JSON, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::page::{get, text};

/// The URL of its directory.
pub fn directory() -> &'static str {
    DIRECTORY.expect("build these tests with MIXLET_DEVNET set to the URL of the devnet's directory")
}

/// What its control endpoint answers to a GET.
pub async fn ask(path: &str) -> JsValue {
    call("GET", path).await
}

/// Has its control endpoint do something.
pub async fn order(path: &str) {
    call("POST", path).await;
}

/// The path of a gateway below the control endpoint.
pub async fn gateway(id: &str) -> String {
    let gateways: js_sys::Array = get(&ask("/").await, "gateways").unchecked_into();
    let place = gateways.iter().position(|gateway| text(&gateway, "id").as_deref() == Some(id)).unwrap();
    format!("/gateway/{place}")
}

/// A count the record keeps for the client with this address.
pub async fn count(address: &str, what: &str) -> f64 {
    let (client, _) = address.split_once('.').unwrap();
    get(&get(&get(&ask("/record/summary").await, "clients"), client), what).as_f64().unwrap()
}

async fn call(method: &str, path: &str) -> JsValue {
    let control =
        CONTROL.expect("build these tests with MIXLET_DEVNET_CONTROL set to the URL of the devnet's control endpoint");
    let ask = Function::new_with_args(
        "url, method",
        "return fetch(url, { method }).then(async answer => { \
           const text = await answer.text(); \
           if (!answer.ok) throw new Error(`${url}: ${text}`); \
           return text; })",
    );
    let url = format!("{control}{path}");
    let answer: Promise = ask.call2(&JsValue::UNDEFINED, &url.into(), &method.into()).unwrap().unchecked_into();
    JSON::parse(&JsFuture::from(answer).await.unwrap().as_string().unwrap()).unwrap()
}

// Read when the tests are built, as a browser has no environment.
const DIRECTORY: Option<&str> = option_env!("MIXLET_DEVNET");
const CONTROL: Option<&str> = option_env!("MIXLET_DEVNET_CONTROL");
