//! Stored databases of each version: `tests/vectors/stored-<version>.json`.

use js_sys::{JSON, Object, Reflect, Uint8Array};
use rexie::{Rexie, TransactionMode};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;
use web_sys::CryptoKey;

use crate::devnet;
use crate::fakes::{Replaced, js};
use crate::page::{Page, options, text};
use crate::store::fresh;

#[test]
async fn dump_fixture() {
    let profile = fresh("fixture").await;
    let options = options(devnet::directory(), &profile);
    let open = js("const real = SubtleCrypto.prototype.generateKey; \
         return function (algorithm, _, usages) { return real.call(this, algorithm, true, usages) }");
    let address = {
        let _open = Replaced::member(js("return SubtleCrypto.prototype").unchecked_into(), "generateKey", &open);
        let mut page = Page::new();
        let opened = page.call("open", &[("options", (&options).into())]).await.unwrap();
        let address = text(&opened, "address").unwrap();
        page.state("ready").await;
        page.send(1, &address, b"hello", "3");
        page.event("received").await;
        page.about("delivered", 1).await;
        gloo_timers::future::TimeoutFuture::new(1000).await;
        page.close().await;
        address
    };
    let database = Rexie::builder(&mixlet::web::store::database_name(&profile)).build().await.unwrap();
    let all = Object::new();
    for store in database.store_names() {
        let transaction = database.transaction(&[&store], TransactionMode::ReadOnly).unwrap();
        let records = Object::new();
        for (key, value) in transaction.store(&store).unwrap().scan(None, None, None, None).await.unwrap() {
            let value = match value.dyn_ref::<CryptoKey>() {
                Some(key) => {
                    let crypto =
                        Reflect::get(&js_sys::global(), &"crypto".into()).unwrap().unchecked_into::<web_sys::Crypto>();
                    let raw = JsFuture::from(crypto.subtle().export_key("raw", key).unwrap()).await.unwrap();
                    format!("AES-GCM {}", hex(&Uint8Array::new(&raw).to_vec()))
                }
                None => hex(&value.dyn_into::<Uint8Array>().unwrap().to_vec()),
            };
            Reflect::set(&records, &key, &value.into()).unwrap();
        }
        Reflect::set(&all, &store.into(), &records).unwrap();
    }
    database.close();
    Reflect::set(&all, &"address".into(), &address.into()).unwrap();
    wasm_bindgen_test::console_log!("FIXTURE {}", JSON::stringify(&all).unwrap().as_string().unwrap());
    let _: JsValue = JsValue::NULL;
    panic!("to see the log");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
