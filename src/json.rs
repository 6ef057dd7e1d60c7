//! JSON from the network, read where it lies, and the little JSON that we write.
//!
//! A [`Json`] is a piece of text. Asked for its fields or its elements it walks over the text and gives pieces of it;
//! nothing is built that nobody asked for, and no reader is compiled for each type. What is not asked for is skipped,
//! but has to be JSON too. Nothing here recurses, so depth costs nothing. `None` always means: malformed.

use core::fmt::Write;

use alloc::string::String;
use alloc::vec::Vec;

/// Text that should be one JSON value.
#[derive(Clone, Copy)]
pub(crate) struct Json<'a>(pub &'a [u8]);

impl<'a> Json<'a> {
    /// The fields of an object that have these names, in their order. Other fields may be there; a name twice may not.
    pub(crate) fn fields<const N: usize>(self, names: [&str; N]) -> Option<[Option<Json<'a>>; N]> {
        let mut fields = [None; N];
        self.pick(&names, &mut fields)?;
        Some(fields)
    }

    fn pick(self, names: &[&str], fields: &mut [Option<Json<'a>>]) -> Option<()> {
        self.entries(&mut |key, value| {
            let mut known = names.iter().zip(&mut *fields).filter(|(name, _)| key.is(name));
            match known.next() {
                Some((_, field)) if field.is_some() => return None,
                Some((_, field)) => *field = Some(value),
                None => {}
            }
            Some(())
        })
    }

    /// The only field of an object, which has to have one of these names.
    pub(crate) fn only<'n>(self, names: &[&'n str]) -> Option<(&'n str, Json<'a>)> {
        let mut only = None;
        self.entries(&mut |key, value| {
            let name = names.iter().find(|name| key.is(name))?;
            only.replace((*name, value)).is_none().then_some(())
        })?;
        only
    }

    /// All fields of an object, its names as text.
    pub(crate) fn entries(self, each: &mut dyn FnMut(Json<'a>, Json<'a>) -> Option<()>) -> Option<()> {
        self.walk(b'{', each)
    }

    /// The elements of an array.
    pub(crate) fn elements(self, each: &mut dyn FnMut(Json<'a>) -> Option<()>) -> Option<()> {
        self.walk(b'[', &mut |_, element| each(element))
    }

    /// What `read` makes of the elements of an array, of which there may be so many.
    ///
    /// Further ones only have to be JSON; whether there were any is told too.
    pub(crate) fn list<T>(self, max: usize, read: impl Fn(Json<'a>) -> Option<T>) -> Option<(Vec<T>, bool)> {
        let (mut list, mut overflown) = (Vec::new(), false);
        self.elements(&mut |element| {
            if list.len() < max {
                list.push(read(element)?);
            } else {
                overflown = true;
            }
            Some(())
        })?;
        Some((list, overflown))
    }

    /// An array of at most `max` integers from 0 to 255.
    pub(crate) fn bytes(self, max: usize) -> Option<Vec<u8>> {
        let (bytes, overflown) = self.list(max, Json::unsigned)?;
        if overflown { None } else { Some(bytes) }
    }

    /// As [`Json::bytes`], of exactly `N` of them.
    pub(crate) fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// An integer that is not negative and fits.
    pub(crate) fn unsigned<T: TryFrom<u64>>(self) -> Option<T> {
        let number: u64 = core::str::from_utf8(self.0).ok()?.parse().ok()?;
        T::try_from(number).ok()
    }

    /// An integer.
    pub(crate) fn signed(self) -> Option<i64> {
        core::str::from_utf8(self.0).ok()?.parse().ok()
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// A string.
    pub(crate) fn text(self) -> Option<String> {
        let mut rest = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let mut text = Vec::with_capacity(rest.len());
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            text.extend_from_slice(rest.get(..at)?);
            let (escape, behind) = rest.get(at + 1..)?.split_first()?;
            rest = behind;
            let char = match escape {
                b'b' => '\x08',
                b'f' => '\x0c',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let first = code_unit(&mut rest)?;
                    // Beyond the first plane there are two of them.
                    let units = match first {
                        0xd800..0xdc00 => {
                            rest = rest.strip_prefix(b"\\u")?;
                            [first, code_unit(&mut rest)?]
                        }
                        _ => [first, 0],
                    };
                    char::decode_utf16(units).next()?.ok()?
                }
                // A quote, a slash or a backslash: others are no JSON.
                other => char::from(*other),
            };
            text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        text.extend_from_slice(rest);
        String::from_utf8(text).ok()
    }

    /// Whether it is this string.
    fn is(self, text: &str) -> bool {
        let between = self.0.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        between == Some(text.as_bytes()) || (self.0.contains(&b'\\') && self.text().is_some_and(|own| own == text))
    }

    /// Goes over an object or an array. The elements of an array come with an empty name.
    fn walk(self, open: u8, each: &mut dyn FnMut(Json<'a>, Json<'a>) -> Option<()>) -> Option<()> {
        let mut text = Text { text: self.0, at: 0 };
        text.skip_space();
        text.take(open)?;
        let close = closing(open);
        text.skip_space();
        let mut more = text.peek()? != close;
        if !more {
            text.at += 1;
        }
        while more {
            let key = if close == b'}' { text.key()? } else { Json(&[]) };
            each(key, text.value()?)?;
            text.skip_space();
            more = text.peek()? == b',';
            if !more && text.peek()? != close {
                return None;
            }
            text.at += 1;
        }
        text.skip_space();
        if text.peek().is_none() { Some(()) } else { None }
    }
}

/// What an optional field holds; `None` inside when it is missing or null.
pub(crate) fn optional<'a, T>(field: Option<Json<'a>>, read: impl FnOnce(Json<'a>) -> Option<T>) -> Option<Option<T>> {
    match field {
        Some(value) if !value.is_null() => read(value).map(Some),
        _ => Some(None),
    }
}

/// What a field holds that may be missing, but not be null.
pub(crate) fn or_default<'a, T: Default>(
    field: Option<Json<'a>>,
    read: impl FnOnce(Json<'a>) -> Option<T>,
) -> Option<T> {
    field.map_or_else(|| Some(T::default()), read)
}

/// The bracket that closes this one: two further in ASCII, both kinds of them.
fn closing(open: u8) -> u8 {
    open + 2
}

/// Text and a place in it.
struct Text<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_next = self.peek()? == byte;
        self.at += usize::from(is_next);
        is_next.then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A name and the colon behind it.
    fn key(&mut self) -> Option<Json<'a>> {
        self.skip_space();
        let start = self.at;
        self.string()?;
        let key = self.text.get(start..self.at)?;
        self.skip_space();
        self.take(b':')?;
        Some(Json(key))
    }

    /// Steps over a value, however deep, and gives its text.
    fn value(&mut self) -> Option<Json<'a>> {
        self.skip_space();
        let start = self.at;
        // The brackets that are still to be closed.
        let mut open = Vec::new();
        loop {
            self.skip_space();
            match self.peek()? {
                b'"' => self.string()?,
                bracket @ (b'[' | b'{') => {
                    self.at += 1;
                    self.skip_space();
                    let close = closing(bracket);
                    if self.take(close).is_none() {
                        open.push(close);
                        if close == b'}' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number()?,
            }
            // A value has ended; so may what it is in.
            while let Some(&close) = open.last() {
                self.skip_space();
                if self.take(b',').is_some() {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                self.take(close)?;
                open.pop();
            }
            if open.is_empty() {
                return Some(Json(self.text.get(start..self.at)?));
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(()),
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            code_unit(&mut self.text.get(self.at..)?)?;
                            self.at += 4;
                        }
                        _ => return None,
                    }
                }
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// Four hexadecimal digits.
fn code_unit(rest: &mut &[u8]) -> Option<u16> {
    let (digits, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

/// What is written into a field.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Boolean(bool),
    /// An array of integers.
    Bytes(&'a [u8]),
    /// JSON that is ready.
    Json(&'a str),
    Signed(i64),
    Text(&'a str),
    /// A number with three digits behind the point.
    #[cfg(any(test, all(target_arch = "wasm32", feature = "web")))]
    Thousandths(u64),
    Unsigned(u64),
}

/// An object with these fields.
pub(crate) fn object(fields: &[(&str, Value<'_>)]) -> String {
    let mut text = String::new();
    let mut before = '{';
    for (name, value) in fields {
        text.push(before);
        before = ',';
        push_text(&mut text, name);
        text.push(':');
        // Writing to a string does not fail.
        let _ = match *value {
            Value::Boolean(value) => write!(text, "{value}"),
            Value::Bytes(bytes) => {
                let mut before = '[';
                for byte in bytes {
                    text.push(before);
                    before = ',';
                    let _ = write!(text, "{byte}");
                }
                text.push_str(if bytes.is_empty() { "[]" } else { "]" });
                Ok(())
            }
            Value::Json(json) => {
                text.push_str(json);
                Ok(())
            }
            Value::Signed(value) => write!(text, "{value}"),
            Value::Text(value) => {
                push_text(&mut text, value);
                Ok(())
            }
            #[cfg(any(test, all(target_arch = "wasm32", feature = "web")))]
            Value::Thousandths(value) => write!(text, "{}.{:03}", value / 1000, value % 1000),
            Value::Unsigned(value) => write!(text, "{value}"),
        };
    }
    text.push_str(if fields.is_empty() { "{}" } else { "}" });
    text
}

fn push_text(text: &mut String, value: &str) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' | '\\' => {
                text.push('\\');
                text.push(char);
            }
            '\0'..' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(char));
            }
            _ => text.push(char),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests;
