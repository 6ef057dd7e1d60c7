//! Parts of the browser replaced for the length of a test.

use js_sys::{Function, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

/// A replaced member of an object; dropping it puts the old one back.
pub struct Replaced {
    object: Object,
    name: &'static str,
    /// The old member, where the object itself had one.
    old: JsValue,
}

impl Replaced {
    /// Replaces a member of the global object.
    pub fn global(name: &'static str, value: &JsValue) -> Self {
        Self::member(js_sys::global(), name, value)
    }

    /// Replaces a member of an object.
    pub fn member(object: Object, name: &'static str, value: &JsValue) -> Self {
        let old = Reflect::get_own_property_descriptor(&object, &JsValue::from_str(name)).unwrap();
        let descriptor = Object::new();
        Reflect::set(&descriptor, &"value".into(), value).unwrap();
        Reflect::set(&descriptor, &"configurable".into(), &JsValue::TRUE).unwrap();
        Reflect::set(&descriptor, &"writable".into(), &JsValue::TRUE).unwrap();
        Object::define_property(&object, &name.into(), &descriptor);
        Self { object, name, old }
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        Reflect::delete_property(&self.object, &self.name.into()).unwrap();
        if let Some(old) = self.old.dyn_ref() {
            Object::define_property(&self.object, &self.name.into(), old);
        }
    }
}

/// What a piece of JavaScript returns.
pub fn js(body: &str) -> JsValue {
    Function::new_no_args(body).call0(&JsValue::UNDEFINED).unwrap()
}
