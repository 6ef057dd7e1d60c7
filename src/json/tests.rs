//! What is JSON and what is not, held against an established reader.

use alloc::{format, vec};

use super::*;

/// Whether the text is a value, with nothing behind it.
fn is_json(text: &[u8]) -> bool {
    let wrapped = [b"[", text, b"]"].concat();
    let mut count = 0;
    let read = Json(&wrapped).elements(&mut |_| {
        count += 1;
        Some(())
    });
    read.is_some() && count == 1
}

#[test]
fn both_readers_agree_on_what_is_json() {
    let texts = [
        "null",
        "true",
        "false",
        "nul",
        "nulll",
        "True",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1.5",
        "-1.5e9",
        "1e",
        "1e+",
        "1E-7",
        "0x1",
        "1a",
        "\"\"",
        "\"",
        "\"a",
        "\"\\\"\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\\ud83d\\ude00\"",
        "\"\n\"",
        "\"\t\"",
        "\"\u{7f}ä😀\"",
        "[]",
        "[ ]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2",
        "]",
        "[1}",
        "{]",
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\" : [ { } , 2 ] }",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\"}",
        "{1:2}",
        "{\"a\":{\"b\":[[[]]]}}",
        "{\"a\":[}]",
        "'a'",
        "//",
        " 1 ",
        "\u{a0}1",
        "1,",
        "",
        " ",
        "[[1],[2,[3]],{\"x\":[{}]}]",
        "{\"a\":{},\"b\":[],\"c\":\"\"}",
        "[\"\\\\\"]",
    ];
    for text in texts {
        let known: Result<serde_json::Value, _> = serde_json::from_str(text);
        assert_eq!(is_json(text.as_bytes()), known.is_ok(), "{text}");
    }
}

#[test]
fn strings_are_read_as_by_others() {
    for text in [
        r#""""#,
        r#""plain""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""aäb""#,
        r#""\u0041\u00e4\u20ac""#,
        r#""x\ud83d\ude00y""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83dx""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\n""#,
        r#""\u0000""#,
        "5",
    ] {
        let known: Option<String> = serde_json::from_str(text).ok();
        assert_eq!(Json(text.as_bytes()).text(), known, "{text}");
    }
    assert_eq!(Json(b"\"\xff\"").text(), None);
    // Where nobody looks it does not matter.
    assert!(is_json(b"\"\xff\""));
}

#[test]
fn numbers_are_exact() {
    let unsigned = |text: &str| Json(text.as_bytes()).unsigned::<u8>();
    assert_eq!((unsigned("0"), unsigned("255")), (Some(0), Some(255)));
    for text in ["256", "-1", "-0", "1.0", "1e1", "\"1\"", "null", "18446744073709551616"] {
        assert_eq!(unsigned(text), None, "{text}");
    }
    assert_eq!(Json(b"18446744073709551615").unsigned(), Some(u64::MAX));
    assert_eq!(Json(b"-9223372036854775808").signed(), Some(i64::MIN));
    assert_eq!(Json(b"9223372036854775808").signed(), None);
    assert_eq!((Json(b"true").boolean(), Json(b"1").boolean()), (Some(true), None));
}

#[test]
fn fields_are_found_by_name_and_only_once() {
    let text = br#" { "b" : [1, {"a": 3}], "\u0061" : 2 , "unknown" : {"a":[]}, "unknown" : 0 } "#;
    let [a, b, c] = Json(text).fields(["a", "b", "c"]).unwrap();
    assert_eq!((a.unwrap().unsigned(), b.unwrap().0), (Some(2_u8), br#"[1, {"a": 3}]"#.as_slice()));
    assert!(c.is_none());
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, r#"{"a":1} x"#, r#"{"a":1}}"#, r#"["a"]"#, "1", ""] {
        assert!(Json(text.as_bytes()).fields(["a"]).is_none(), "{text}");
    }
    assert_eq!(optional(Some(Json(b"null")), Json::boolean), Some(None));
    assert_eq!(optional(None, Json::boolean), Some(None));
    assert_eq!(optional(Some(Json(b"1")), Json::boolean), None);
    assert_eq!(or_default(None, Json::boolean), Some(false));
    assert_eq!(or_default(Some(Json(b"null")), Json::boolean), None);
    let only = |text: &'static str| Json(text.as_bytes()).only(&["a", "b"]).map(|(name, value)| (name, value.0));
    assert_eq!(only(r#"{"b":[1]}"#), Some(("b", b"[1]".as_slice())));
    for text in ["{}", r#"{"c":1}"#, r#"{"a":1,"b":1}"#, r#"{"a":1,"a":1}"#, r#"{"a":1,"c":1}"#] {
        assert_eq!(only(text), None, "{text}");
    }
}

#[test]
fn lists_have_bounds() {
    let list = Json(b"[1, 2, 3]");
    assert_eq!(list.list(3, Json::unsigned::<u8>), Some((vec![1, 2, 3], false)));
    assert_eq!(list.list(2, Json::unsigned::<u8>), Some((vec![1, 2], true)));
    assert_eq!(Json(b"[1, 2, []]").list(2, Json::unsigned::<u8>), Some((vec![1, 2], true)));
    assert_eq!(Json(b"[1, 2, ]").list(2, Json::unsigned::<u8>), None);
    assert_eq!(Json(b"[]").bytes(0), Some(vec![]));
    assert_eq!((list.bytes(2), list.array::<2>(), list.array::<4>()), (None, None, None));
    assert_eq!(list.array(), Some([1, 2, 3]));
}

#[test]
fn depth_costs_nothing() {
    let deep = format!("{}1{}", "[{\"a\":".repeat(100_000), "}]".repeat(100_000));
    assert!(is_json(deep.as_bytes()));
    assert!(!is_json(deep.replace("1}", "1").as_bytes()));
}

#[test]
fn what_is_written_can_be_read() {
    let text = object(&[
        ("flag", Value::Boolean(true)),
        ("bytes", Value::Bytes(&[0, 255])),
        ("none", Value::Bytes(&[])),
        ("object", Value::Json("{}")),
        ("signed", Value::Signed(-5)),
        ("text", Value::Text("\"\\\n\u{1f}ä😀")),
        ("time", Value::Thousandths(1_050)),
        ("unsigned", Value::Unsigned(u64::MAX)),
    ]);
    let expected = serde_json::json!({
        "flag": true, "bytes": [0, 255], "none": [], "object": {}, "signed": -5, "text": "\"\\\n\u{1f}ä😀", "time": 1.05,
        "unsigned": u64::MAX,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    assert_eq!(object(&[]), "{}");
    let cut: Vec<_> = (0..text.len()).filter(|at| is_json(&text.as_bytes()[..*at])).collect();
    assert_eq!(cut, [0; 0], "{text}");
}

#[test]
fn both_readers_agree_on_texts_of_random_pieces() {
    // No exponents: numbers that fit nothing are JSON to us and none to the other reader.
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\"",
        "\"\\u00e4\"",
        "\"\\ud83d\\ude00\"",
        "1",
        "-0.5",
        "0",
        "true",
        "null",
        " ",
        "\n",
        "\"a\":",
        "ä",
        "{}",
        "[]",
    ];
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut valid = 0;
    for _ in 0..60_000 {
        let text: String = (0..draw(9)).map(|_| pieces[draw(pieces.len())]).collect();
        let known = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        valid += usize::from(known);
        assert_eq!(is_json(text.as_bytes()), known, "{text}");
    }
    assert!(valid > 1_000, "{valid} of them are JSON");
}
