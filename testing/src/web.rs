//! What `js/testing.ts` sees: one class. It calls nothing back but `deliver`, and that only from [`WebNetwork::run`].
//!
//! Times are milliseconds: `now` since the network was made, `unix` since 1970.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "JavaScript has no integers; casts saturate"
)]

use js_sys::{Function, Uint8Array};
use mixlet::time::{Duration, Instant};
use mixlet_devnet::faults::Faults;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::links::{Frame, LinkNumber, News};
use crate::network::{Layout, Mode, Network};

/// A network and the way to the sockets of its clients.
#[wasm_bindgen(js_name = Network)]
pub struct WebNetwork {
    network: Network,
    deliver: Function,
}

#[wasm_bindgen(js_class = Network)]
impl WebNetwork {
    /// A network whose news go to `deliver(link, news)`: `true` when the link is open, `false` when it has ended, else a
    /// frame.
    #[wasm_bindgen(constructor)]
    pub fn new(gateways: u32, mixes_per_layer: u32, seed: f64, unix: f64, deliver: Function) -> Self {
        let layout = Layout { gateways, mixes_per_layer, seed: seed as u64 };
        Self { network: Network::new(layout, unix as u64), deliver }
    }

    /// The network as a hard-coded topology, in JSON.
    pub fn document(&self) -> String {
        self.network.document().to_string()
    }

    /// What the directory answers, in JSON; nothing if there is no such document.
    pub fn answer(&self, path: &str, query: &str, unix: f64) -> Option<String> {
        self.network.answer(path, query, unix as u64).map(|answer| answer.to_string())
    }

    /// The gateways' identities and URLs, in JSON.
    pub fn gateways(&self) -> String {
        self.network.gateways().to_string()
    }

    /// What was counted, in JSON.
    pub fn counts(&self) -> String {
        self.network.counts().to_string()
    }

    /// A client opens a link to the gateway with this place; answers the number of the link.
    pub fn open(&mut self, gateway: u32, now: f64) -> u32 {
        self.network.open(gateway as usize, instant(now)).0
    }

    /// A client writes a binary frame.
    pub fn binary(&mut self, link: u32, bytes: Vec<u8>, now: f64) {
        self.network.write(LinkNumber(link), Frame::Binary(bytes), instant(now));
    }

    /// A client writes a text frame.
    pub fn text(&mut self, link: u32, text: String, now: f64) {
        self.network.write(LinkNumber(link), Frame::Text(text), instant(now));
    }

    /// A client closes a link. There are no news of it after this.
    pub fn close(&mut self, link: u32, now: f64) {
        self.network.close(LinkNumber(link), instant(now));
    }

    /// Does up to `count` things that are due, hands out the news, and answers when the next one is due.
    pub fn run(&mut self, now: f64, unix: f64, count: u32) -> Result<f64, JsValue> {
        let next = self.network.run(instant(now), unix as u64, count as usize);
        while let Some((LinkNumber(link), news)) = self.network.poll_news() {
            let news = match news {
                News::Opened => JsValue::TRUE,
                News::Closed => JsValue::FALSE,
                News::Frame(Frame::Binary(bytes)) => Uint8Array::from(bytes.as_slice()).buffer().into(),
                News::Frame(Frame::Text(text)) => text.into(),
            };
            self.deliver.call2(&JsValue::UNDEFINED, &link.into(), &news)?;
        }
        Ok(next.map_or(f64::INFINITY, |at| at.as_micros() as f64 / 1000.0))
    }

    /// How a gateway is from now on: `running`, `paused`, or anything else for down.
    #[wasm_bindgen(js_name = setMode)]
    pub fn set_mode(&mut self, gateway: u32, mode: &str, now: f64) {
        let mode = match mode {
            "running" => Mode::Running,
            "paused" => Mode::Paused,
            _ => Mode::Down,
        };
        self.network.set_mode(gateway as usize, mode, instant(now));
    }

    /// Restarts a gateway, with what it knew or without it.
    pub fn restart(&mut self, gateway: u32, forget: bool, now: f64) {
        self.network.restart(gateway as usize, forget, instant(now));
    }

    /// What links do from now on. Whether the numbers are in their ranges; if not, nothing changes.
    #[wasm_bindgen(js_name = setFaults)]
    pub fn set_faults(&mut self, loss: f64, duplicate: f64, reorder: f64, latency: f64, jitter: f64) -> bool {
        let (latency, jitter) = (duration(latency), duration(jitter));
        self.network.set_faults(Faults { loss, duplicate, reorder, latency, jitter }).is_ok()
    }
}

fn instant(millis: f64) -> Instant {
    Instant::from_micros((millis * 1000.0) as u64)
}

fn duration(millis: f64) -> Duration {
    Duration::from_micros((millis * 1000.0) as u64)
}
