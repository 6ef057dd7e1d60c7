//! One WebSocket: frames in, frames out, and how much of it the browser still holds.
//!
//! gloo-net turns the browser's callbacks into a stream, in order. Writing goes to the same socket directly: the stream
//! would wrap each frame in a blob, which the browser copies through another process first. The socket is never
//! split, since only the whole one can be asked what is buffered.

use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use gloo_net::websocket::Message;
use gloo_net::websocket::futures::WebSocket;
use js_sys::{Function, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::engine::{LinkId, Outgoing};
use crate::limits;

/// A WebSocket that carries one link.
pub struct Socket {
    link: LinkId,
    /// The browser's object, for writing and asking.
    raw: web_sys::WebSocket,
    /// The same object as a stream of what happens to it.
    events: Option<WebSocket>,
    /// Made by JavaScript's own means, so it may not copy what it is given to write.
    is_foreign: bool,
    phase: Phase,
    /// Nobody wants it any more.
    dismissed: bool,
    /// A frame that came before anybody had looked whether it is open.
    early: Option<SocketEvent>,
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
        let events = Some(WebSocket::try_from(raw.clone()).ok()?);
        Some(Self {
            link,
            raw,
            events,
            is_foreign: make.is_some(),
            phase: Phase::Connecting,
            dismissed: false,
            early: None,
        })
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
        let Some(stream) = self.events.as_mut().filter(|_| self.phase != Phase::Closed) else { return Poll::Pending };
        if let Some(event) = self.early.take() {
            return Poll::Ready(event);
        }
        if self.phase == Phase::Connecting {
            // Registers the waker for the open event. Ready also means failed, which the stream reports.
            let settled = Sink::<Message>::poll_ready(Pin::new(&mut *stream), context).is_ready();
            if settled && self.raw.ready_state() == web_sys::WebSocket::OPEN {
                self.phase = Phase::Open;
                return Poll::Ready(SocketEvent::Opened);
            }
        }
        let event = match ready!(Pin::new(stream).poll_next(context)) {
            Some(Ok(Message::Bytes(bytes))) if bytes.len() <= limits::FRAME_LEN_MAX => SocketEvent::Binary(bytes),
            Some(Ok(Message::Text(text))) if text.len() <= limits::FRAME_LEN_MAX => SocketEvent::Text(text),
            // An error, a closure, the end, or a frame that is too large: all end the link.
            _ => {
                self.phase = Phase::Closed;
                self.close();
                return Poll::Ready(SocketEvent::Closed);
            }
        };
        if self.phase == Phase::Connecting {
            self.phase = Phase::Open;
            self.early = Some(event);
            return Poll::Ready(SocketEvent::Opened);
        }
        Poll::Ready(event)
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
    /// A browser's socket is closed and forgets our callbacks. Others may have no means to forget the last one, which must
    /// not be called when it is gone: one that has not closed yet keeps them.
    fn drop(&mut self) {
        if self.is_foreign && self.raw.ready_state() != web_sys::WebSocket::CLOSED {
            self.close();
            core::mem::forget(self.events.take());
        }
    }
}
