//! The socket over a WebSocket that the test plays.

use std::future::poll_fn;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Function, Object, Uint8Array};
use mixlet::engine::{LinkId, Outgoing};
use mixlet::limits;
use mixlet::web::socket::{Socket, SocketEvent};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::fakes::{Replaced, js};
use crate::page::{get, number, set, text};

#[test]
async fn what_happens_to_it_comes_in_order_and_ends() {
    let mut played = Played::new();
    played.call("open");
    played.message(&"one".into());
    played.message(&Uint8Array::from([2, 2].as_slice()).buffer());
    played.message(&"three".into());
    played.call("die");
    assert_eq!(played.next().await, SocketEvent::Opened);
    assert_eq!(played.next().await, SocketEvent::Text("one".into()));
    assert_eq!(played.next().await, SocketEvent::Binary(vec![2, 2]));
    assert_eq!(played.next().await, SocketEvent::Text("three".into()));
    assert_eq!(played.next().await, SocketEvent::Closed);
    assert!(played.is_silent());
}

#[test]
async fn one_that_never_opens_is_closed_once() {
    let mut played = Played::new();
    played.call("fail");
    assert_eq!(played.next().await, SocketEvent::Closed);
    assert!(played.is_silent());
}

#[test]
async fn waiting_for_it_to_open_is_woken() {
    let mut played = Played::new();
    assert!(played.is_silent());
    set(&js_sys::global(), "playedSocket", played.raw.clone().into());
    js("setTimeout(() => playedSocket.open(), 0)");
    assert_eq!(played.next().await, SocketEvent::Opened);
}

#[test]
async fn one_that_closes_while_it_opens_never_counts_as_open() {
    let mut played = Played::new();
    played.call("open");
    played.call("close");
    played.call("die");
    assert_eq!(played.next().await, SocketEvent::Closed);
}

#[test]
async fn a_frame_that_is_too_large_ends_it() {
    for large in [
        JsValue::from(Uint8Array::new_with_length(limits::FRAME_LEN_MAX as u32 + 1).buffer()),
        JsValue::from("x".repeat(limits::FRAME_LEN_MAX + 1)),
    ] {
        let mut played = Played::new();
        played.call("open");
        played.message(&Uint8Array::new_with_length(limits::FRAME_LEN_MAX as u32).buffer());
        played.message(&large);
        played.message(&"after".into());
        assert_eq!(played.next().await, SocketEvent::Opened);
        assert!(matches!(played.next().await, SocketEvent::Binary(bytes) if bytes.len() == limits::FRAME_LEN_MAX));
        assert_eq!(played.next().await, SocketEvent::Closed);
        assert!(played.is_silent());
        assert_eq!(number(&played.raw, "closes"), Some(1.0));
    }
}

#[test]
async fn frames_are_written_as_they_are() {
    let mut played = Played::new();
    played.call("open");
    played.next().await;
    played.socket.write(&Outgoing::Text("{}".into()));
    played.socket.write(&Outgoing::Binary(vec![1, 2, 3]));
    let sent: Vec<JsValue> = get(&played.raw, "sent").unchecked_into::<js_sys::Array>().iter().collect();
    assert_eq!(sent[0].as_string().unwrap(), "{}");
    assert_eq!(Uint8Array::new(&sent[1]).to_vec(), [1, 2, 3]);
}

#[test]
async fn there_is_room_while_it_is_open_and_the_browser_holds_little() {
    let mut played = Played::new();
    assert!(!played.socket.has_room());
    assert!(!played.socket.is_full());
    played.call("open");
    played.next().await;
    let room = |buffered: u32| {
        set(&played.raw, "bufferedAmount", buffered.into());
        (played.socket.has_room(), played.socket.is_full())
    };
    assert_eq!(room(0), (true, false));
    assert_eq!(room(64 * 1024 - 1), (true, false));
    assert_eq!(room(64 * 1024), (false, true));
    assert_eq!(room(0), (true, false));
    played.call("die");
    played.next().await;
    assert!(!played.socket.has_room());
    assert!(!played.socket.is_full());
}

#[test]
async fn no_subprotocol_is_asked_for() {
    let played = Played::new();
    assert_eq!(number(&played.raw, "argumentsCount"), Some(1.0));
    assert_eq!(text(&played.raw, "url"), Some("ws://played".into()));
    assert_eq!(text(&played.raw, "binaryType"), Some("arraybuffer".into()));
}

#[test]
async fn dropping_it_closes_it() {
    let played = Played::new();
    let raw = played.raw.clone();
    drop(played);
    assert_eq!(number(&raw, "closes"), Some(1.0));
}

#[test]
async fn a_socket_can_be_made_by_javascript_and_is_then_given_copies() {
    let played = Played::new();
    // What reads the bytes later than it was given them.
    let lazy =
        js("return (url) => { const socket = new WebSocket(url); socket.send = (data) => socket.sent.push(data); \
        return socket; }");
    let mut socket = Socket::open(LinkId(2), "ws://other", Some(lazy.unchecked_ref())).unwrap();
    let raw: Object = get(&get(&js_sys::global(), "WebSocket").unchecked_into(), "last").unchecked_into();
    assert_eq!(get(&raw, "url"), JsValue::from_str("ws://other"));
    get(&raw, "open").unchecked_into::<Function>().call0(&raw).unwrap();
    assert_eq!(event(&mut socket).await, SocketEvent::Opened);
    let mut frame = Outgoing::Binary(vec![1, 2, 3]);
    socket.write(&frame);
    if let Outgoing::Binary(bytes) = &mut frame {
        bytes.fill(9);
    }
    let sent = get(&get(&raw, "sent"), "0");
    assert_eq!(Uint8Array::new(&sent).to_vec(), [1, 2, 3]);
    drop(played);
}

#[test]
async fn what_a_maker_refuses_is_none() {
    let refusing = js("return () => { throw new Error('no'); }");
    assert!(Socket::open(LinkId(1), "ws://127.0.0.1/", Some(refusing.unchecked_ref())).is_none());
}

#[test]
async fn what_the_browser_refuses_at_once_is_none() {
    assert!(Socket::open(LinkId(1), "not a url", None).is_none());
    assert!(Socket::open(LinkId(1), "ftp://127.0.0.1/", None).is_none());
}

#[test]
async fn a_port_where_nobody_listens_is_closed() {
    let mut socket = Socket::open(LinkId(9), "ws://127.0.0.1:1/", None)
        .or_else(|| Socket::open(LinkId(9), CLOSED_PORT, None))
        .unwrap();
    assert_eq!(socket.link(), LinkId(9));
    assert_eq!(event(&mut socket).await, SocketEvent::Closed);
}

/// Where the browser itself does not block the port.
const CLOSED_PORT: &str = "ws://127.0.0.1:49151/";

struct Played {
    socket: Socket,
    raw: Object,
    _class: Replaced,
}

impl Played {
    fn new() -> Self {
        let class = js("return class Played extends EventTarget { \
             static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3; \
             constructor(url) { \
               super(); \
               Object.assign(this, { url, argumentsCount: arguments.length, readyState: 0, bufferedAmount: 0, \
                 sent: [], closes: 0 }); \
               Played.last = this; } \
             send(data) { this.sent.push(typeof data === 'string' ? data : data.slice()); } \
             close() { this.closes++; if (this.readyState < 2) this.readyState = 2; } \
             open() { this.readyState = 1; this.dispatchEvent(new Event('open')); } \
             fail() { this.readyState = 3; this.dispatchEvent(new Event('error')); \
               this.dispatchEvent(new CloseEvent('close', { code: 1006 })); } \
             die() { this.readyState = 3; this.dispatchEvent(new CloseEvent('close', { code: 1006 })); } \
             message(data) { this.dispatchEvent(new MessageEvent('message', { data })); } }");
        let replaced = Replaced::global("WebSocket", &class);
        let socket = Socket::open(LinkId(1), "ws://played", None).unwrap();
        Self { socket, raw: get(&class, "last").unchecked_into(), _class: replaced }
    }

    fn call(&self, method: &str) {
        get(&self.raw, method).unchecked_into::<Function>().call0(&self.raw).unwrap();
    }

    fn message(&self, data: &JsValue) {
        get(&self.raw, "message").unchecked_into::<Function>().call1(&self.raw, data).unwrap();
    }

    async fn next(&mut self) -> SocketEvent {
        event(&mut self.socket).await
    }

    fn is_silent(&mut self) -> bool {
        poll_fn(|context| self.socket.poll_event(context)).now_or_never().is_none()
    }
}

/// What happens next. A test that waits in vain fails, instead of holding up the others.
async fn event(socket: &mut Socket) -> SocketEvent {
    match select(poll_fn(|context| socket.poll_event(context)), TimeoutFuture::new(PATIENCE_MS)).await {
        Either::Left((event, _)) => event,
        Either::Right(_) => panic!("nothing happened to the socket"),
    }
}

const PATIENCE_MS: u32 = 10_000;
