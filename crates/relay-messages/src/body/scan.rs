//! Scans a Messages body in one pass: checks that it is JSON, and locates the fields that the relay reads.
//!
//! The pass builds no tree and copies no value. It checks the full grammar of RFC 8259, so that the upstream's parser reads
//! the body in the same way. It records the places of long values, so that later walks skip them.

use std::ops::Range;

use smallvec::SmallVec;

use super::breakpoints::Breakpoints;
use super::grammar::{JsonKind, ScanError, Scanner, Span, Value};
use super::index::{Index, Recorded, Recorder};
use super::seals::Place as Seal;
use super::type_names::TypeNames;

/// The maximum number of members of the top-level object. The Messages API has about thirty.
pub(super) const MAX_MEMBERS: usize = 1024;

/// A member of the top-level object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The span of the key, quotes included.
    pub(crate) key: Span,
    pub(crate) value: Value,
    /// The long values inside the value, as a range of the index.
    pub(super) inside: Range<u32>,
}

/// The members of the top-level object, and the values that the relay reads.
///
/// If a key is repeated, the last value counts, as in the parsers of Python, JavaScript and serde_json. For
/// `model`, every occurrence is kept, so that an edit can replace all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// All members, in order.
    pub(crate) members: SmallVec<[Member; 16]>,
    pub(crate) model: SmallVec<[Value; 1]>,
    pub(crate) stream: Option<Value>,
    pub(crate) max_tokens: Option<Value>,
    /// `metadata.user_id` of the last `metadata`.
    pub(crate) user_id: Option<Value>,
    pub(crate) system: Option<Value>,
    pub(crate) messages: Option<Value>,
    pub(crate) tools: Option<Value>,
    /// The long values inside the members.
    pub(super) index: Index,
    /// The names of types in all members.
    pub(super) types: TypeNames,
    /// The seals of all thinking blocks, or `None` if some may be missing.
    pub(super) seals: Option<Vec<Seal>>,
    /// The cache breakpoints in all members.
    pub(super) breakpoints: Breakpoints,
}

/// Reads `body` once.
///
/// # Errors
/// Returns [`ScanError`] unless `body` is one JSON object in UTF-8 with at most 1024 levels and 1024 members.
pub(crate) fn scan(body: &[u8]) -> Result<Fields, ScanError> {
    if simdutf8::basic::from_utf8(body).is_err() {
        let offset = simdutf8::compat::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        return Err(ScanError::Utf8 { offset });
    }
    document(Scanner::new(body, Recorder::new(body)))
}

fn document(mut scanner: Scanner<'_, Recorder<'_>>) -> Result<Fields, ScanError> {
    scanner.skip_whitespace();
    match scanner.peek() {
        Some(b'{') => {}
        None => return Err(ScanError::Empty),
        Some(_) => {
            let value = scanner.value(0)?;
            scanner.end()?;
            return Err(ScanError::NotAnObject { found: value.kind.name() });
        }
    }
    let mut fields = Fields::default();
    scanner.members(|scanner, span, key| {
        let from = scanner.recorder.len();
        let value = match key {
            b"metadata" => metadata(scanner, &mut fields.user_id)?,
            _ => scanner.value(1)?,
        };
        if fields.members.len() == MAX_MEMBERS {
            return Err(ScanError::TooManyMembers);
        }
        let inside = scanner.recorder.after(from, value.span.start)..scanner.recorder.len();
        fields.members.push(Member { key: span, value: value.clone(), inside });
        match key {
            b"model" => fields.model.push(value),
            b"stream" => fields.stream = Some(value),
            b"max_tokens" => fields.max_tokens = Some(value),
            b"system" => fields.system = Some(value),
            b"messages" => fields.messages = Some(value),
            b"tools" => fields.tools = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    scanner.end()?;
    Recorded {
        index: fields.index,
        types: fields.types,
        seals: fields.seals,
        breakpoints: fields.breakpoints,
    } = scanner.recorder.finish();
    Ok(fields)
}

/// Reads the value of `metadata`, and the value of `user_id` in it if it is an object.
fn metadata(
    scanner: &mut Scanner<'_, Recorder<'_>>,
    user_id: &mut Option<Value>,
) -> Result<Value, ScanError> {
    *user_id = None;
    if scanner.peek() != Some(b'{') {
        return scanner.value(1);
    }
    let start = scanner.position();
    scanner.members(|scanner, _, key| {
        let value = scanner.value(2)?;
        if key == b"user_id" {
            *user_id = Some(value);
        }
        Ok(())
    })?;
    Ok(Value { kind: JsonKind::Object, span: start..scanner.position() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::super::grammar::MAX_DEPTH;
    use super::*;

    #[track_caller]
    fn check_error(body: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(scan(body.as_ref()).unwrap_err().to_string(), expected);
    }

    #[track_caller]
    fn text<'a>(body: &'a str, value: Option<&Value>) -> &'a str {
        &body[value.expect("the field is found").span.clone()]
    }

    #[test]
    fn fields_are_found_in_any_order() {
        let body = r#"{"messages":[{"role":"user","content":"\"model\":\"no\""}], "model" : "claude-opus-5-5",
            "system":[{"type":"text"}],"tools":[],"metadata":{"a":1,"user_id":"{\"session_id\":\"s\"}"},
            "max_tokens":128000,"thinking":{"model":"nested"},"stream":true}"#;
        let fields = scan(body.as_bytes()).unwrap();
        assert_eq!(fields.model.len(), 1);
        assert_eq!(text(body, fields.model.last()), r#""claude-opus-5-5""#);
        assert_eq!(text(body, fields.stream.as_ref()), "true");
        assert_eq!(text(body, fields.max_tokens.as_ref()), "128000");
        assert_eq!(text(body, fields.user_id.as_ref()), r#""{\"session_id\":\"s\"}""#);
        assert_eq!(text(body, fields.system.as_ref()), r#"[{"type":"text"}]"#);
        assert_eq!(text(body, fields.tools.as_ref()), "[]");
        assert!(text(body, fields.messages.as_ref()).starts_with(r#"[{"role""#));
    }

    #[test]
    fn every_occurrence_of_model_is_kept_but_only_the_last_of_other_fields() {
        let body = r#"{"model":"a","stream":false,"mod\u0065l":7,"stream":true,"metadata":{"user_id":"x"},"metadata":3}"#;
        let fields = scan(body.as_bytes()).unwrap();
        assert_eq!(
            fields.model.iter().map(|value| value.kind).collect::<Vec<_>>(),
            [JsonKind::String, JsonKind::Number]
        );
        assert_eq!(text(body, fields.stream.as_ref()), "true");
        assert_eq!(fields.user_id, None);
    }

    #[test]
    fn a_body_that_is_not_an_object_is_refused_with_the_position() {
        check_error("", "the body is empty");
        check_error(" \n\t", "the body is empty");
        check_error("[1]", "the body is a JSON array, expected an object");
        check_error("\"x\"", "the body is a JSON string, expected an object");
        check_error("hello", "the body is not valid JSON at line 1, column 1 (byte 0): expected a value");
        check_error(b"{\"a\":\"\xff\"}", "the body is not valid UTF-8 at byte 6");
        check_error(
            "\u{feff}{}",
            "the body is not valid JSON at line 1, column 1 (byte 0): expected a value",
        );
        check_error("{\"a\":1", "the body ends at byte 6 in the middle of a JSON object");
        check_error("{\"a\":[1,", "the body ends at byte 8 in the middle of a JSON object or array");
        check_error("{\"a\":\"b", "the body ends at byte 7 in the middle of a JSON string");
        check_error(
            "{\n  \"a\": 1,\n}",
            "the body is not valid JSON at line 3, column 1 (byte 12): expected a key in double quotes",
        );
        check_error(
            "{} {}",
            "the body is not valid JSON at line 1, column 4 (byte 3): expected nothing after the JSON value",
        );
        check_error(
            "{\"a\":\"x\ny\"}",
            "the body is not valid JSON at line 1, column 8 (byte 7): expected no control character inside a string",
        );
        check_error(
            "{\"a\":01}",
            "the body is not valid JSON at line 1, column 7 (byte 6): expected `,` or `}`",
        );
        check_error(
            "{\"a\":[1}",
            "the body is not valid JSON at line 1, column 8 (byte 7): expected `,` or `]`",
        );
    }

    #[test]
    fn nesting_is_limited_and_read_without_recursion() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(scan(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let offset = 5 + MAX_DEPTH - 1;
        check_error(nested(MAX_DEPTH), &format!("the body nests deeper than 1024 levels at byte {offset}"));
        check_error(
            "[".repeat(1_000_000),
            &format!("the body nests deeper than 1024 levels at byte {MAX_DEPTH}"),
        );
    }

    #[test]
    fn the_number_of_top_level_members_is_limited() {
        let members = |count: usize| format!("{{{}}}", vec!["\"a\":1"; count].join(","));
        assert_eq!(scan(members(MAX_MEMBERS).as_bytes()).unwrap().members.len(), MAX_MEMBERS);
        check_error(members(MAX_MEMBERS + 1), "the body has more than 1024 fields");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_object_is_accepted(value in prop::collection::hash_map(any::<String>(), json(), 0..8), pretty: bool) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            prop_assert!(scan(&text).is_ok());
        }

        #[test]
        fn any_bytes_are_accepted_exactly_where_a_parser_accepts_them(
            value in prop::collection::hash_map("[a-z\"\\\\]{0,8}", json(), 0..4), at: prop::sample::Index, byte: u8,
        ) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            // Ignored values are checked only against the grammar, by which 1e999 is a number.
            let parsed = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&text);
            let valid = parsed.is_ok() && std::str::from_utf8(&text).is_ok();
            // The parser also refuses halves of surrogate pairs in a key, which the grammar allows.
            if !String::from_utf8_lossy(&text).contains("\\u") {
                prop_assert_eq!(scan(&text).is_ok(), valid, "{:?}", String::from_utf8_lossy(&text));
            }
        }
    }
}
