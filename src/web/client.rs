//! What JavaScript sees: one class and two functions.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use futures_channel::mpsc;
use js_sys::{ArrayBuffer, Function, WebAssembly};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;

use super::convert::{Command, Failure};
use super::life;
use super::post::Post;
use crate::engine::Code;
use crate::limits;

/// One client: takes the page's messages, posts answers and events. Freeing it ends the client at once.
#[wasm_bindgen]
pub struct MixletClient {
    post: Post,
    /// Borrowed only to append, which calls no JavaScript that could call back.
    commands: RefCell<mpsc::Sender<Command>>,
}

#[wasm_bindgen]
impl MixletClient {
    /// A client that posts through `post(message, transfer)`. It does nothing before the message `open`. Links are
    /// opened with `socket(url)`, which returns a `WebSocket`; without it with the global one.
    #[wasm_bindgen(constructor)]
    pub fn new(post: Function, socket: Option<Function>) -> Self {
        let (sender, receiver) = mpsc::channel(limits::COMMANDS_COUNT_MAX);
        spawn_local(life::run(Post::new(post.clone()), receiver, socket));
        Self { post: Post::new(post), commands: RefCell::new(sender) }
    }

    /// Takes one message of the page; `js/protocol.ts` lists them. What it leads to comes through `post`.
    pub fn handle(&self, message: &JsValue) {
        let command = match Command::from_js(message) {
            Ok(command) => command,
            Err((Some(id), failure)) => return self.post.answer(id, Err(failure)),
            Err((None, failure)) => return self.post.failure(&failure),
        };
        let id = command.id();
        let refused = self.commands.borrow_mut().try_send(command).err();
        if let (Some(error), Some(id)) = (refused, id) {
            let code = if error.is_full() { Code::QueueFull } else { Code::Closed };
            self.post.answer(id, Err(Failure::new(code)));
        }
    }
}

/// All codes an error can have.
#[wasm_bindgen(js_name = errorCodes)]
pub fn error_codes() -> Vec<String> {
    Code::ALL.iter().map(|code| code.as_str().to_string()).collect()
}

/// Size of the wasm's memory, bytes. It only ever grows.
#[wasm_bindgen(js_name = wasmBytes)]
pub fn wasm_bytes() -> f64 {
    let memory: WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    f64::from(memory.buffer().unchecked_into::<ArrayBuffer>().byte_length())
}
