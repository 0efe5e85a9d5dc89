use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

/// Checks the text after two new variables, and that their removal restores the text before.
#[track_caller]
fn check(before: &str, expected: &str) {
    let mut edited = document(before);
    let (interior, had_env) = (edited.empty_interior(), edited.env().is_some());
    edited.set("A", r#""1""#);
    edited.set("B", r#""2""#);
    assert_eq!(edited.text(), expected.trim_start_matches('\u{feff}'));
    edited.remove("A");
    edited.remove("B");
    if !had_env {
        edited.remove_env();
    }
    if let Some(interior) = interior {
        edited.set_empty_interior(&interior);
    }
    assert_eq!(String::from_utf8(edited.to_bytes()).unwrap(), before);
}

#[test]
fn new_variables_imitate_the_layout_of_the_file() {
    check("{}", "{\n  \"env\": {\n    \"A\": \"1\",\n    \"B\": \"2\"\n  }\n}");
    check("{ }\n", "{\n  \"env\": {\n    \"A\": \"1\",\n    \"B\": \"2\"\n  }\n}\n");
    check("{\r\n}\r\n", "{\r\n  \"env\": {\r\n    \"A\": \"1\",\r\n    \"B\": \"2\"\r\n  }\r\n}\r\n");
    check("{\"m\":1}", "{\"m\":1,\"env\":{\"A\":\"1\",\"B\":\"2\"}}");
    check("{ \"m\": 1 }", "{ \"m\": 1, \"env\": {\"A\": \"1\",\"B\": \"2\"} }");
    check(
        "{\n\t\"m\": 1\n}\n",
        "{\n\t\"m\": 1,\n\t\"env\": {\n\t\t\"A\": \"1\",\n\t\t\"B\": \"2\"\n\t}\n}\n",
    );
    check(
        "{\r\n    \"env\" : {\r\n        \"x\" : \"y\"\r\n    }\r\n}",
        "{\r\n    \"env\" : {\r\n        \"x\" : \"y\",\r\n        \"A\" : \"1\",\r\n        \"B\" : \"2\"\r\n    }\r\n}",
    );
    check(
        "{\n  \"env\": {},\n  \"z\": [1e999, 12345678901234567890]\n}",
        "{\n  \"env\": {\n    \"A\": \"1\",\n    \"B\": \"2\"\n  },\n  \"z\": [1e999, 12345678901234567890]\n}",
    );
    check("\u{feff}{\"env\":{}}", "\u{feff}{\"env\":{\"A\":\"1\",\"B\":\"2\"}}");
    check(
        "{\n  \"a\": 1,\n\n  \"b\": \"\\u0041\\/,\\\"\"\n}",
        "{\n  \"a\": 1,\n\n  \"b\": \"\\u0041\\/,\\\"\",\n  \"env\": {\n    \"A\": \"1\",\n    \"B\": \"2\"\n  }\n}",
    );
}

#[test]
fn an_empty_file_gets_the_layout_of_claude_code() {
    let mut empty = document("");
    empty.set("A", r#""1""#);
    assert_eq!(empty.text(), "{\n  \"env\": {\n    \"A\": \"1\"\n  }\n}\n");
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let mut repeated = document(r#"{"env":{"A":"0"},"env":{"A":"1","A":"2","B":"\u0031"}}"#);
    assert_eq!(repeated.get("A"), Some(r#""2""#));
    repeated.set("A", r#""3""#);
    assert_eq!(repeated.text(), r#"{"env":{"A":"0"},"env":{"A":"1","A":"3","B":"\u0031"}}"#);
    repeated.remove("A");
    assert_eq!(repeated.text(), r#"{"env":{"A":"0"},"env":{"A":"1","B":"\u0031"}}"#);
}

#[test]
fn a_key_with_escapes_is_the_same_key() {
    let mut escaped = document(r#"{"\u0065nv":{"\u0041":"0"}}"#);
    escaped.set("A", r#""1""#);
    assert_eq!(escaped.text(), r#"{"\u0065nv":{"\u0041":"1"}}"#);
}

#[test]
fn an_invalid_file_is_refused_with_its_place() {
    #[track_caller]
    fn check(text: impl AsRef<[u8]>, line: usize, column: usize, words: &str) {
        let invalid = Document::parse(text.as_ref()).unwrap_err();
        assert_eq!((invalid.line, invalid.column), (line, column), "{invalid}");
        assert!(invalid.to_string().contains(words), "{invalid}");
    }
    check("{\n  \"a\": 1,\n}", 2, 9, "a comma before a closing bracket");
    check("{\n  \"a\": [1,\n ]}", 2, 10, "a comma before a closing bracket");
    check("{\n  // words\n  \"a\": 1\n}", 2, 3, "a comment");
    check("{\n  \"a\": 1 // words\n}", 2, 10, "a comment");
    check("{\"a\": /* words */ 1}", 1, 7, "a comment");
    check("{\"ä\": }", 1, 7, "expected value");
    check("{\"a\": 1", 1, 8, "EOF while parsing an object");
    check("{\"a\": 1} x", 1, 10, "trailing characters");
    check("[]", 1, 1, "found an array, expected an object");
    check("\u{feff}null", 1, 1, "found null, expected an object");
    check("{\n  \"env\": []\n}", 2, 10, "found an array as `env`");
    check("{\"env\": null}", 1, 9, "found null as `env`");
    check(b"{\"a\": \"\xff\"}", 1, 8, "not valid UTF-8");
    check("[".repeat(3000), 1, 128, "recursion limit exceeded");
}

/// White space within a JSON text.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" "), Just("\n  "), Just("\r\n\t"), Just("\n\n    "), Just("\n")]
}

/// A key: one that is edited, one with escapes, or another one.
fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(r#""A""#), Just(r#""\u0041""#), Just(r#""B""#), Just(r#""x,\"{""#), Just(r#""env""#)]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("12345678901234567890.50".to_owned()),
        Just("-1e999".to_owned()),
        Just("null".to_owned()),
        Just(r#""\ud83d,}\\\" \u0000ä""#.to_owned()),
        Just(r#""""#.to_owned()),
    ]
}

/// An object whose members have the given values.
fn object(value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let member = (space(), key(), space(), space(), value, space())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    let members = (space(), prop::collection::vec(member, 0..5));
    let object = members.prop_map(|(space, members)| match members.is_empty() {
        true => format!("{{{space}}}"),
        false => format!("{{{}}}", members.join(",")),
    });
    object.boxed()
}

/// A settings file, with repeated keys, in which every `env` is an object.
fn file() -> impl Strategy<Value = String> {
    let variables = object(scalar().boxed());
    let other = object(prop_oneof![scalar().boxed(), object(scalar().boxed())].boxed());
    let env = (space(), space(), variables).prop_map(|(a, b, object)| format!("{a}\"env\"{b}:{object}"));
    let plain = (space(), other, space()).prop_map(|(a, object, b)| format!("{a}\"other\":{object}{b}"));
    let members = prop::collection::vec(prop_oneof![env, plain], 0..4);
    (any::<bool>(), space(), members, space(), space()).prop_map(|(mark, a, members, inner, b)| {
        let (mark, members) = (if mark { BYTE_ORDER_MARK } else { "" }, members.join(","));
        let inner = if members.is_empty() { inner } else { "" };
        format!("{mark}{a}{{{members}{inner}}}{b}")
    })
}

/// The values of a text as JavaScript reads them, with numbers as their texts.
fn read(node: Node<'_>) -> Value {
    match node.kind() {
        JsonKind::Object => {
            let members =
                node.members().map(|member| (member.name().unwrap_or_default().into_owned(), read(member)));
            Value::Object(members.collect())
        }
        JsonKind::Array => node.elements().map(read).collect(),
        _ => json!(String::from_utf8_lossy(node.text())),
    }
}

proptest! {
    #[test]
    fn a_variable_that_is_set_changes_no_other_value(text in file()) {
        let mut edited = document(&text);
        let mut expected = read(edited.root().unwrap());
        edited.set("A", r#""new""#);
        expected["env"]["A"] = json!(r#""new""#);
        prop_assert_eq!(read(edited.root().unwrap()), expected);
        prop_assert!(Document::parse(&edited.to_bytes()).is_ok());
    }

    #[test]
    fn the_former_values_restore_every_byte(text in file()) {
        let mut edited = document(&text);
        let former: Vec<Option<String>> = ["A", "B"].map(|name| edited.get(name).map(str::to_owned)).to_vec();
        let (interior, had_env) = (edited.empty_interior(), edited.env().is_some());
        edited.set("A", r#""1""#);
        edited.set("B", r#""2""#);
        for (name, former) in ["A", "B"].into_iter().zip(former) {
            match former {
                Some(value) => edited.set(name, &value),
                None => edited.remove(name),
            }
        }
        if !had_env {
            edited.remove_env();
        }
        if let Some(interior) = interior {
            edited.set_empty_interior(&interior);
        }
        prop_assert_eq!(String::from_utf8(edited.to_bytes()).unwrap(), text);
    }

    #[test]
    fn no_text_makes_the_editor_panic(text in "[{}\\[\\]\",:a/env\\n\\\\1 é]{0,40}") {
        if let Ok(mut edited) = Document::parse(text.as_bytes()) {
            edited.set("A", r#""1""#);
            edited.remove("A");
            edited.remove_env();
        }
    }
}
