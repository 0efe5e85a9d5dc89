//! Scans a Messages body in one pass: checks that it is JSON, and locates the fields that the relay reads.
//!
//! The pass builds no tree and copies no value. It checks the full grammar of RFC 8259, so that the upstream's parser reads
//! the body in the same way. It records the places of long values, so that later walks skip them.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use smallvec::SmallVec;

use super::breakpoints::Breakpoints;
use super::grammar::{EndAt, ScanError, Scanner, Skip, Span, Value};
use super::index::{Index, Recorded, Recorder};
use super::node::Node;
use super::seals::Place as Seal;
use super::type_names::TypeNames;
use super::unescape::unescaped;

/// The maximum number of members of the top-level object. The Messages API has about thirty.
pub(super) const MAX_MEMBERS: usize = 1024;
/// The number of bytes whose encoding is checked before they are scanned. They are then in the first-level cache.
const WINDOW: usize = 16 * 1024;

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

/// A scan of a body, which may be interrupted.
///
/// # Errors
/// [`ScanError`] unless the body is one JSON object in UTF-8 with at most 1024 levels and 1024 members.
pub(super) struct Scan<'a> {
    body: &'a [u8],
    /// The number of bytes that are known to be UTF-8.
    checked: usize,
    scanner: Scanner<'a, Recorder<'a>>,
    /// The fields that have been found. They are too large to be moved.
    fields: &'a mut Fields,
    /// The last member called `metadata`, as its index.
    metadata: Option<usize>,
    next: Next,
}

/// The part of the body that is read next.
enum Next {
    Opening,
    /// A member of the top-level object.
    Member,
    /// The rest of a member's value. The places in it start with the one of this number.
    Value {
        key: Span,
        from: u32,
        skip: Skip,
    },
    /// The rest of a body that is no object.
    Other(Skip),
}

impl<'a> Scan<'a> {
    /// Starts a scan that adds its findings to `fields`, which are empty.
    pub(super) fn new(body: &'a [u8], fields: &'a mut Fields) -> Self {
        let scanner = Scanner::new(body, Recorder::new(body));
        Self { body, checked: 0, scanner, fields, metadata: None, next: Next::Opening }
    }

    /// Reads the whole body.
    pub(super) fn finish(mut self) -> Result<(), ScanError> {
        while !self.advance(usize::MAX)? {}
        Ok(())
    }

    /// Reads about `turn` further bytes, or all that are left. Returns `true` once the whole body has been read, after which there
    /// must be no further call.
    pub(super) fn advance(&mut self, turn: usize) -> Result<bool, ScanError> {
        let end = self.scanner.position().saturating_add(turn);
        loop {
            let window = self.scanner.position().saturating_add(WINDOW).min(end);
            self.check_encoding(window)?;
            let result = self.advance_to(EndAt(window));
            if !matches!(result, Ok(false)) {
                // A body that is not UTF-8 is refused for that, whatever else is wrong, so that the reason does not depend on turns.
                self.check_encoding(self.body.len())?;
            } else if window < end {
                continue;
            }
            return result;
        }
    }

    fn advance_to(&mut self, end: EndAt) -> Result<bool, ScanError> {
        loop {
            match &mut self.next {
                Next::Opening => {
                    if self.opens_and_closes()? {
                        return self.complete();
                    }
                }
                Next::Member => {
                    let key = self.scanner.key()?;
                    let (from, skip) = (self.scanner.recorder.len(), self.scanner.begin(1));
                    self.next = Next::Value { key, from, skip };
                }
                Next::Value { key, from, skip } => {
                    let Some(value) = self.scanner.skip(skip, end)? else { return Ok(false) };
                    let (key, from) = (key.clone(), *from);
                    self.add(key, value, from)?;
                    if self.closes()? {
                        return self.complete();
                    }
                    self.next = Next::Member;
                }
                Next::Other(skip) => {
                    let Some(value) = self.scanner.skip(skip, end)? else { return Ok(false) };
                    self.scanner.end()?;
                    return Err(ScanError::NotAnObject { found: value.kind.name() });
                }
            }
        }
    }

    /// Checks that the bytes before `end` are UTF-8, and up to three more.
    fn check_encoding(&mut self, end: usize) -> Result<(), ScanError> {
        let is_start = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
        // The last bytes of a part may be the start of a character. It has at most three more.
        let end = self.body.get(end..).map_or(self.body.len(), |after| {
            end + after.iter().take(3).position(is_start).unwrap_or(after.len().min(3))
        });
        let part = self.body.get(self.checked..end).unwrap_or_default();
        if simdutf8::basic::from_utf8(part).is_err() {
            let offset = simdutf8::compat::from_utf8(part).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(ScanError::Utf8 { offset: self.checked + offset });
        }
        self.checked = end.max(self.checked);
        Ok(())
    }

    /// Reads the start of the body. Returns `true` if it is that of an object without members, whose end is then read too.
    fn opens_and_closes(&mut self) -> Result<bool, ScanError> {
        self.scanner.skip_whitespace();
        match self.scanner.peek() {
            None => return Err(ScanError::Empty),
            Some(b'{') => self.scanner.separator(),
            Some(_) => {
                self.next = Next::Other(self.scanner.begin(0));
                return Ok(false);
            }
        }
        self.next = Next::Member;
        let is_empty = self.scanner.peek() == Some(b'}');
        if is_empty {
            self.scanner.separator();
        }
        Ok(is_empty)
    }

    /// Reads what follows a member of the top-level object. Returns `true` if it is the end of the object.
    fn closes(&mut self) -> Result<bool, ScanError> {
        self.scanner.skip_whitespace();
        let is_end = match self.scanner.peek() {
            Some(b',') => false,
            Some(b'}') => true,
            _ => return Err(self.scanner.unexpected("`,` or `}`", "object")),
        };
        self.scanner.separator();
        Ok(is_end)
    }

    /// Adds a member of the top-level object. The places in its value start with the one of number `from`.
    fn add(&mut self, key: Span, value: Value, from: u32) -> Result<(), ScanError> {
        let fields = &mut *self.fields;
        if fields.members.len() == MAX_MEMBERS {
            return Err(ScanError::TooManyMembers);
        }
        let recorder = &self.scanner.recorder;
        let inside = recorder.after(from, value.span.start)..recorder.len();
        match &*unescaped_key(&self.body[key.clone()]) {
            b"model" => fields.model.push(value.clone()),
            b"stream" => fields.stream = Some(value.clone()),
            b"max_tokens" => fields.max_tokens = Some(value.clone()),
            b"metadata" => self.metadata = Some(fields.members.len()),
            b"system" => fields.system = Some(value.clone()),
            b"messages" => fields.messages = Some(value.clone()),
            b"tools" => fields.tools = Some(value.clone()),
            _ => {}
        }
        fields.members.push(Member { key, value, inside });
        Ok(())
    }

    /// Checks that the body ends, and completes the fields. Returns `true`.
    fn complete(&mut self) -> Result<bool, ScanError> {
        self.scanner.end()?;
        let recorder = mem::replace(&mut self.scanner.recorder, Recorder::new(self.body));
        let fields = &mut *self.fields;
        Recorded {
            index: fields.index,
            types: fields.types,
            seals: fields.seals,
            breakpoints: fields.breakpoints,
        } = recorder.finish();
        let metadata = self.metadata.and_then(|at| fields.members.get(at));
        fields.user_id = metadata.and_then(|member| user_id(self.body, member, &fields.index));
        Ok(true)
    }
}

/// The text of a key without its quotes. A key with half a surrogate pair is empty: the relay reads no field of such a name.
fn unescaped_key(key: &[u8]) -> Cow<'_, [u8]> {
    let inside = &key[1..key.len() - 1];
    match inside.contains(&b'\\') {
        true => Cow::Owned(unescaped(key).unwrap_or_default().into_owned().into_bytes()),
        false => Cow::Borrowed(inside),
    }
}

/// The value of the last `user_id` in `metadata`, if that is an object.
fn user_id(body: &[u8], metadata: &Member, index: &Index) -> Option<Value> {
    let Member { key, value, inside } = metadata;
    let metadata = Node::new(body, value.kind, key.clone(), value.span.clone(), index.inside(inside.clone()));
    let user_id = metadata.get("user_id")?;
    Some(Value { kind: user_id.kind(), span: user_id.span() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::super::grammar::{JsonKind, MAX_DEPTH};
    use super::*;

    /// Scans `body` in one turn.
    fn scan(body: &[u8]) -> Result<Fields, ScanError> {
        let mut fields = Fields::default();
        Scan::new(body, &mut fields).finish()?;
        Ok(fields)
    }

    fn scan_in_turns(body: &[u8], turn: usize) -> Result<Fields, ScanError> {
        let mut fields = Fields::default();
        let mut scan = Scan::new(body, &mut fields);
        // Each turn reads one byte at least.
        for _ in 0..2 * body.len() + 2 {
            if scan.advance(turn)? {
                return Ok(fields);
            }
        }
        panic!("the scan does not end")
    }

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

    /// Counts the pauses of a scan in turns of `turn` bytes.
    fn pauses(body: &[u8], turn: usize) -> usize {
        let mut fields = Fields::default();
        let mut scan = Scan::new(body, &mut fields);
        (0..).find(|_| !matches!(scan.advance(turn), Ok(false))).unwrap()
    }

    #[test]
    fn no_turn_reads_much_more_than_its_bytes() {
        const TURN: usize = 1000;
        let object = |inside: &str| format!(r#"{{"model":"m","messages":{inside}}}"#);
        for inside in [
            format!("\"{}\"", "x".repeat(100_000)),
            format!("\"{}\"", "\\n".repeat(50_000)),
            format!("\"{}\"", "\\u00e9".repeat(16_666)),
            format!("\"{}\"", "ß".repeat(50_000)),
            format!("[{}]", vec!["\"xxxxx\""; 12_500].join(",")),
            format!("[{}]", vec!["{\"a\":[1]}"; 10_000].join(",")),
        ] {
            let start: String = inside.chars().take(9).collect();
            for body in [object(&inside), inside] {
                let found = pauses(body.as_bytes(), TURN);
                assert!((95..=125).contains(&found), "{start}: {found}");
            }
        }
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
        fn a_scan_in_turns_finds_the_same_as_one_without_a_pause(
            value in prop::collection::hash_map("[a-z\"ß\\\\]{0,8}|model|metadata|messages", json(), 0..8),
            turn in 1..80usize, at: prop::sample::Index, byte: u8, pretty: bool,
        ) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
            let mut text = text.unwrap();
            prop_assert_eq!(scan_in_turns(&text, turn), scan(&text));
            let at = at.index(text.len());
            text[at] = byte;
            prop_assert_eq!(scan_in_turns(&text, turn), scan(&text));
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
