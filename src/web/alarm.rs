//! One timer that can be set again and again, finer than what browsers give.
//!
//! A timer that was set by a timer that was set by a timer, and so on for five times, waits at least 4 ms in every
//! browser. Every fifth slot comes sooner than that after the one before, and would leave together with the next. So a
//! timer that has fired only sends a message to ourselves: what runs for a message was not set by a timer.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};

use gloo_timers::callback::Timeout;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageChannel, MessageEvent, MessagePort};

/// An alarm; each setting replaces the one before.
pub struct Alarm {
    line: Option<Line>,
    state: Rc<State>,
    timeout: Option<Timeout>,
}

/// The way of a message to ourselves.
struct Line {
    near: MessagePort,
    far: MessagePort,
    _heard: Closure<dyn FnMut(MessageEvent)>,
}

#[derive(Default)]
struct State {
    /// Which setting it is, counted, so that a message of an earlier one means nothing.
    setting: Cell<u32>,
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new() -> Self {
        let state = Rc::<State>::default();
        Self { line: Line::new(&state), state, timeout: None }
    }

    /// Rings after so many milliseconds; at 0 as soon as what else waits had its turn.
    pub fn set(&mut self, millis: u32) {
        let setting = self.state.setting.get().wrapping_add(1);
        self.state.setting.set(setting);
        self.state.rung.set(false);
        self.timeout = None;
        let near = self.line.as_ref().map(|line| line.near.clone());
        let state = self.state.clone();
        let fire = move || match near {
            Some(near) => {
                // Only what cannot be cloned is refused.
                let _ = near.post_message(&JsValue::from_f64(f64::from(setting)));
            }
            None => state.ring(setting),
        };
        if millis == 0 && self.line.is_some() {
            fire();
        } else {
            self.timeout = Some(Timeout::new(millis, fire));
        }
    }

    /// Ready once for each setting, when it has rung.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.state.rung.take() {
            return Poll::Ready(());
        }
        *self.state.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// `None` where the browser has no channels; timers then ring by themselves.
    fn new(state: &Rc<State>) -> Option<Self> {
        let channel = MessageChannel::new().ok()?;
        let state = state.clone();
        let heard = Closure::new(move |event: MessageEvent| {
            // Numbers of 32 bits come back as they were.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a u32")]
            if let Some(setting) = event.data().as_f64() {
                state.ring(setting as u32);
            }
        });
        let (near, far) = (channel.port1(), channel.port2());
        far.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        Some(Self { near, far, _heard: heard })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.far.set_onmessage(None);
        self.near.close();
    }
}

impl State {
    fn ring(&self, setting: u32) {
        if setting == self.setting.get() {
            self.rung.set(true);
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}
