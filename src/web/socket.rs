//! One WebSocket: frames in, frames out, and how much of it the browser still holds.
//!
//! What the browser tells is queued in order. The listener belongs to JavaScript and is never taken back: a socket that is
//! let go of before it has closed may still tell something, and not every class that stands for `WebSocket` lets go of
//! listeners. It finds nobody then.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::task::{Context, Poll, Waker};

use js_sys::{ArrayBuffer, Function, Uint8Array};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, MessageEvent};

use crate::engine::{LinkId, Outgoing};
use crate::limits;

/// A WebSocket that carries one link.
pub struct Socket {
    link: LinkId,
    /// The browser's object, for writing and asking.
    raw: web_sys::WebSocket,
    heard: Rc<RefCell<Heard>>,
    /// Made by JavaScript's own means, so it may not copy what it is given to write.
    is_foreign: bool,
    phase: Phase,
    /// Nobody wants it any more.
    dismissed: bool,
}

/// What the browser has told and nobody has asked for yet.
#[derive(Default)]
struct Heard {
    events: VecDeque<SocketEvent>,
    waker: Option<Waker>,
    /// Nobody will ask.
    is_deaf: bool,
}

/// What happened to a socket.
#[derive(Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// A binary message came.
    Binary(Vec<u8>),
    /// It is closed, or never opened; nothing comes after this.
    Closed,
    /// It can be written to.
    Opened,
    /// A text message came.
    Text(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Closed,
}

impl Socket {
    /// Begins to open a link, without a subprotocol. `make` makes the socket of a URL; without it the browser does.
    ///
    /// `None` when that is refused at once: not a WebSocket URL, a blocked port, mixed content.
    pub fn open(link: LinkId, url: &str, make: Option<&Function>) -> Option<Self> {
        // Browsers take other URLs too, relative to the page.
        if !url.starts_with("ws://") && !url.starts_with("wss://") {
            return None;
        }
        let raw = match make {
            Some(make) => make.call1(&JsValue::UNDEFINED, &JsValue::from_str(url)).ok()?.unchecked_into(),
            None => web_sys::WebSocket::new(url).ok()?,
        };
        raw.set_binary_type(BinaryType::Arraybuffer);
        let heard = Rc::<RefCell<Heard>>::default();
        let listener = listener(heard.clone());
        for kind in ["open", "message", "error", "close"] {
            raw.add_event_listener_with_callback(kind, &listener).ok()?;
        }
        Some(Self { link, raw, heard, is_foreign: make.is_some(), phase: Phase::Connecting, dismissed: false })
    }

    /// The link this socket carries.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Whether there is room for another frame.
    pub fn has_room(&self) -> bool {
        self.phase == Phase::Open && self.raw.buffered_amount() < limits::SOCKET_BUFFER_LEN_MAX
    }

    /// Whether it is open and the browser holds as much as it may.
    pub fn is_full(&self) -> bool {
        self.phase == Phase::Open && !self.has_room()
    }

    /// Writes one frame. A frame for a socket that is closing is lost, as it would be one moment later on the line;
    /// the engine learns of the closure and sends again what was not acknowledged.
    pub fn write(&self, data: &Outgoing) {
        let _ = match data {
            // A view of our memory must not be kept, and a socket that is not the browser's may keep it.
            Outgoing::Binary(bytes) if self.is_foreign => {
                self.raw.send_with_array_buffer(&Uint8Array::from(bytes.as_slice()).buffer())
            }
            Outgoing::Binary(bytes) => self.raw.send_with_u8_array(bytes),
            Outgoing::Text(text) => self.raw.send_with_str(text),
        };
    }

    /// What happened next, in order. After [`SocketEvent::Closed`] it stays pending for ever.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<SocketEvent> {
        if self.phase == Phase::Closed {
            return Poll::Pending;
        }
        let mut heard = self.heard.borrow_mut();
        loop {
            match heard.events.front() {
                None => {
                    heard.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Some(SocketEvent::Closed) => {
                    heard.events.clear();
                    heard.is_deaf = true;
                    break;
                }
                // One that closes already is never open.
                Some(SocketEvent::Opened) => {
                    heard.events.pop_front();
                    if self.raw.ready_state() == web_sys::WebSocket::OPEN {
                        self.phase = Phase::Open;
                        return Poll::Ready(SocketEvent::Opened);
                    }
                }
                // What speaks is open.
                Some(_) if self.phase == Phase::Connecting => {
                    self.phase = Phase::Open;
                    return Poll::Ready(SocketEvent::Opened);
                }
                Some(_) => return heard.events.pop_front().map_or(Poll::Pending, Poll::Ready),
            }
        }
        drop(heard);
        self.phase = Phase::Closed;
        self.close();
        Poll::Ready(SocketEvent::Closed)
    }

    /// Starts to close as one that nobody wants any more.
    pub fn dismiss(&mut self) {
        self.dismissed = true;
        self.close();
    }

    /// Whether nobody wants it any more.
    pub fn is_dismissed(&self) -> bool {
        self.dismissed
    }

    /// Starts to close, after what was written; [`SocketEvent::Closed`] follows.
    pub fn close(&self) {
        let _ = self.raw.close();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut heard = self.heard.borrow_mut();
        heard.is_deaf = true;
        heard.events.clear();
        drop(heard);
        self.close();
    }
}

/// Queues what it is told.
fn listener(heard: Rc<RefCell<Heard>>) -> Function {
    let listener = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let event = match event.type_().as_str() {
            "open" => SocketEvent::Opened,
            "message" => frame(&event.data()),
            // An error or a closure: both end the link.
            _ => SocketEvent::Closed,
        };
        let waker = {
            let mut heard = heard.borrow_mut();
            if heard.is_deaf {
                return;
            }
            heard.events.push_back(event);
            heard.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    listener.into_js_value().unchecked_into()
}

/// A message. One that is too large, or neither bytes nor text, ends the link.
fn frame(data: &JsValue) -> SocketEvent {
    if let Some(buffer) = data.dyn_ref::<ArrayBuffer>() {
        let fits = buffer.byte_length() as usize <= limits::FRAME_LEN_MAX;
        return if fits { SocketEvent::Binary(Uint8Array::new(buffer).to_vec()) } else { SocketEvent::Closed };
    }
    match data.as_string() {
        Some(text) if text.len() <= limits::FRAME_LEN_MAX => SocketEvent::Text(text),
        _ => SocketEvent::Closed,
    }
}
