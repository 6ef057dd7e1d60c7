//! Real WebSockets that are watched, and closed at a chosen moment.

use js_sys::{Object, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::fakes::{Replaced, js};
use crate::page::{get, number, set};

/// While it lives, all new WebSockets are watched.
pub struct Tap {
    tap: Object,
    _class: Replaced,
}

impl Tap {
    /// Watches.
    pub fn new() -> Self {
        let tap = js("const Real = WebSocket; \
             const tap = { sockets: [], steps: 0, closeAt: -1, written: 0, held: null }; \
             tap.Tapped = class extends Real { \
               constructor(url) { \
                 super(url); \
                 tap.sockets.push(this); \
                 this.closed = new Promise(done => this.addEventListener('close', done)); \
                 this.addEventListener('open', () => this.step()); \
                 this.addEventListener('message', () => this.step()); \
                 this.step(); } \
               step() { if (this === tap.sockets[0] && tap.steps++ === tap.closeAt) this.close(); } \
               send(data) { super.send(data); tap.written++; this.step(); } \
               get bufferedAmount() { return tap.held ?? super.bufferedAmount; } }; \
             return tap");
        let class = Replaced::global("WebSocket", &get(&tap, "Tapped"));
        Self { tap: tap.unchecked_into(), _class: class }
    }

    /// Closes the first socket at this step: 0 when it is made, then each time it opens, sends or receives.
    pub fn closing_at(step: u32) -> Self {
        let tap = Self::new();
        set(&tap.tap, "closeAt", step.into());
        tap
    }

    /// Steps of the first socket so far.
    pub fn steps(&self) -> u32 {
        self.count("steps")
    }

    /// Frames written so far.
    pub fn written(&self) -> u32 {
        self.count("written")
    }

    /// Sockets made so far.
    pub fn sockets(&self) -> u32 {
        self.list().length()
    }

    /// Says that the browser holds so many bytes; `None`: what it really holds.
    pub fn hold(&self, bytes: Option<u32>) {
        set(&self.tap, "held", bytes.map_or(JsValue::NULL, JsValue::from));
    }

    /// Closes the latest socket.
    pub fn close_last(&self) {
        self.last().unchecked_into::<web_sys::WebSocket>().close().unwrap();
    }

    /// Waits until the latest socket is closed.
    pub async fn last_closed(&self) {
        JsFuture::from(get(&self.last(), "closed").unchecked_into::<Promise>()).await.unwrap();
    }

    /// Whether there were sockets and all are closed.
    pub fn all_closed(&self) -> bool {
        let states: Vec<_> = self.list().iter().map(|socket| number(&socket, "readyState")).collect();
        !states.is_empty() && states.iter().all(|state| *state == Some(3.0))
    }

    fn last(&self) -> JsValue {
        self.list().get(self.list().length() - 1)
    }

    fn list(&self) -> js_sys::Array {
        get(&self.tap, "sockets").unchecked_into()
    }

    fn count(&self, name: &str) -> u32 {
        number(&self.tap, name).unwrap() as u32
    }
}
