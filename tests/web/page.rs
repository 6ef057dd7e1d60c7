//! The page's side of a client: sends requests, collects what is posted.

use std::collections::VecDeque;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Function, JSON, Object, Reflect, Uint8Array};
use mixlet::web::client::MixletClient;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};

use crate::fakes::js;

/// A client and everything it posted that nobody has looked at yet.
pub struct Page {
    client: MixletClient,
    inbox: UnboundedReceiver<JsValue>,
    unseen: VecDeque<JsValue>,
    next_id: u32,
}

/// An error answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub phase: Option<String>,
    pub text: String,
    pub retriable: bool,
}

impl Page {
    pub fn new() -> Self {
        let (sender, inbox) = unbounded();
        // As `postMessage` does it: buffers that are in the list move, the rest is copied.
        let clone: Function =
            js("return (message, transfer) => structuredClone(message, { transfer })").unchecked_into();
        let post = Closure::<dyn Fn(JsValue, JsValue)>::new(move |message: JsValue, transfer: JsValue| {
            let copy = clone.call2(&JsValue::UNDEFINED, &message, &transfer).unwrap();
            let _ = sender.unbounded_send(copy);
        });
        let client = MixletClient::new(post.into_js_value().unchecked_into(), None);
        Self { client, inbox, unseen: VecDeque::new(), next_id: 1 }
    }

    /// A page whose client is open.
    pub async fn open(options: &Object) -> Self {
        let mut page = Self::new();
        page.call("open", &[("options", options.into())]).await.unwrap();
        page
    }

    /// Passes a message on as it is.
    pub fn handle(&self, message: &JsValue) {
        self.client.handle(message);
    }

    /// Sends a request; gives back its number.
    pub fn ask(&mut self, op: &str, fields: &[(&str, JsValue)]) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let message = object(fields);
        set(&message, "id", id.into());
        set(&message, "op", op.into());
        self.handle(&message);
        id
    }

    /// Sends a request and waits for its answer.
    pub async fn call(&mut self, op: &str, fields: &[(&str, JsValue)]) -> Result<JsValue, Refusal> {
        let id = self.ask(op, fields);
        self.answer(id).await
    }

    /// Queues a message; gives back the number of the request.
    pub fn send(&mut self, number: u32, to: &str, body: &[u8], replies: &str) -> u32 {
        self.send_with(number, to, body, replies, JsValue::NULL)
    }

    /// Queues a small message with a deadline; gives back the number of the request.
    pub fn send_within(&mut self, number: u32, to: &str, millis: u32) -> u32 {
        self.send_with(number, to, b"in time?", "0", millis.into())
    }

    fn send_with(&mut self, number: u32, to: &str, body: &[u8], replies: &str, timeout: JsValue) -> u32 {
        let options = object(&[
            ("timeoutMs", timeout),
            ("replies", JSON::parse(replies).unwrap()),
            ("reliable", true.into()),
            ("priority", 1.into()),
            ("watched", false.into()),
        ]);
        self.ask(
            "send",
            &[
                ("message", number.into()),
                ("to", to.into()),
                ("body", Uint8Array::from(body).into()),
                ("options", options.into()),
            ],
        )
    }

    pub async fn close(&mut self) {
        self.call("close", &[("drain", false.into()), ("timeoutMs", 5_000.into())]).await.unwrap();
    }

    /// Waits for the answer to a request.
    pub async fn answer(&mut self, id: u32) -> Result<JsValue, Refusal> {
        let answer =
            self.wait(&format!("the answer to {id}"), |message| number(message, "id") == Some(id.into())).await;
        let error = get(&answer, "error");
        if error.is_undefined() { Ok(get(&answer, "ok")) } else { Err(refusal(&error)) }
    }

    /// Waits for the next event of a kind.
    pub async fn event(&mut self, kind: &str) -> JsValue {
        self.wait(kind, |message| text(message, "event").as_deref() == Some(kind)).await
    }

    /// Waits until the client is in a state; gives back the event.
    pub async fn state(&mut self, state: &str) -> JsValue {
        self.wait(state, |message| {
            text(message, "event").as_deref() == Some("state") && text(message, "state").as_deref() == Some(state)
        })
        .await
    }

    /// Waits for the event of a kind about a message.
    pub async fn about(&mut self, kind: &str, message: u32) -> JsValue {
        self.wait(&format!("{kind} {message}"), |event| {
            text(event, "event").as_deref() == Some(kind) && number(event, "message") == Some(message.into())
        })
        .await
    }

    /// Takes what has been posted so far and not been looked at.
    pub fn so_far(&mut self) -> Vec<JsValue> {
        while let Ok(message) = self.inbox.try_recv() {
            self.unseen.push_back(message);
        }
        self.unseen.drain(..).collect()
    }

    async fn wait(&mut self, what: &str, is_it: impl Fn(&JsValue) -> bool) -> JsValue {
        if let Some(position) = self.unseen.iter().position(&is_it) {
            return self.unseen.remove(position).unwrap();
        }
        let mut deadline = TimeoutFuture::new(PATIENCE_MS);
        loop {
            match select(self.inbox.next(), &mut deadline).await {
                Either::Left((Some(message), _)) if is_it(&message) => return message,
                Either::Left((Some(message), _)) => self.unseen.push_back(message),
                Either::Left((None, _)) => panic!("the client has gone before {what}"),
                Either::Right(_) => panic!("no {what}; posted were {:?}", self.posted()),
            }
        }
    }

    fn posted(&self) -> Vec<String> {
        self.unseen.iter().map(json).collect()
    }
}

/// The options of `open` with the defaults of the API. `network` is a directory's URL, or a topology.
pub fn options(network: &str, profile: &str) -> Object {
    let options: Object = JSON::parse(
        r#"{ "directories": [], "storage": "indexeddb", "slotMs": 20, "loopMs": 200, "hopDelayMs": 15,
             "ackDelayMs": 15, "dangerNoPacing": false, "securePage": false, "askForMore": true, "inbox": "memory", "pseudonym": "fresh",
             "stats": "visit",
             "gatewaySelect": "random", "trace": false,
             "reconnect": { "minMs": 50, "maxMs": 500, "maxAttempts": null } }"#,
    )
    .unwrap()
    .unchecked_into();
    set(&options, "profile", profile.into());
    if network.starts_with('{') {
        set(&options, "topology", network.into());
    } else {
        set(&options, "directories", Array::of1(&network.into()).into());
    }
    options
}

pub fn object(fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        set(&object, name, value.clone());
    }
    object
}

pub fn set(object: &Object, name: &str, value: JsValue) {
    Reflect::set(object, &name.into(), &value).unwrap();
}

pub fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap()
}

pub fn text(object: &JsValue, name: &str) -> Option<String> {
    get(object, name).as_string()
}

pub fn number(object: &JsValue, name: &str) -> Option<f64> {
    get(object, name).as_f64()
}

pub fn bytes(object: &JsValue, name: &str) -> Vec<u8> {
    get(object, name).dyn_into::<Uint8Array>().unwrap().to_vec()
}

pub fn json(value: &JsValue) -> String {
    JSON::stringify(value).unwrap().as_string().unwrap_or_default()
}

fn refusal(error: &JsValue) -> Refusal {
    Refusal {
        code: text(error, "code").unwrap(),
        phase: text(error, "phase"),
        text: text(error, "message").unwrap(),
        retriable: get(error, "retriable").as_bool().unwrap(),
    }
}

/// How long a test waits for what should come at once, on a slow machine.
const PATIENCE_MS: u32 = 40_000;
