//! The names of the types and roles in a body, collected while it is scanned: most upstreams support all of them, and neither
//! blocks nor messages need be walked to find that out.
//!
//! The set holds the value of every member called `type` or `role`, wherever it is: besides the types of blocks, sources and
//! tools also those of JSON Schemas and of the inputs of tools. It therefore shows that a name is absent, but not that it is
//! present.

use relay_config::Pattern;
use smallvec::SmallVec;

use super::unescape::is_string;

/// The longest name of a type, in bytes. No type of the API has a longer one, so that longer names are
/// ignored.
pub(super) const MAX_NAME: usize = 64;
/// The longest JSON text of such a name, with quotation marks and an escape of six bytes for each byte.
pub(super) const MAX_WRITTEN: usize = 2 + 6 * MAX_NAME;
/// The maximum number of names. A request of Claude Code has about twenty.
const MAX_NAMES: usize = 64;
/// The number of places in the table of known names.
const SLOTS: usize = 64;
const TYPE: &str = "type";
const TYPE_KEY: &[u8] = b"\"type\"";
const ROLE: &str = "role";
const ROLE_KEY: &[u8] = b"\"role\"";

/// The place of a name in the body, without quotes.
type Place = (u32, u8);

/// The distinct names of types and roles in one body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TypeNames {
    places: SmallVec<[Place; 24]>,
    /// The starts of the names, one bit each.
    starts: u64,
    /// `false` if the body may have names that are not among `places`.
    is_complete: bool,
}

impl TypeNames {
    /// Returns `false` if the body may have names that are not known.
    pub(super) fn are_complete(&self) -> bool {
        self.is_complete
    }
}

/// The names of the types and roles in a body, to compare them with patterns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Types<'a> {
    names: &'a TypeNames,
    body: &'a [u8],
}

/// A pattern of the names of types.
#[derive(Debug, Clone)]
pub(crate) struct TypePattern {
    pattern: Pattern,
    /// The bits of all starts that a matching name can have.
    starts: u64,
}

impl TypePattern {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let of_alternative = |text: &str| {
            let literal = text.split('*').next().unwrap_or_default();
            start(literal.as_bytes()).unwrap_or(u64::MAX)
        };
        let starts = pattern.as_str().split('|').fold(0, |starts, text| starts | of_alternative(text));
        Self { pattern: pattern.clone(), starts }
    }

    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }
}

impl<'a> Types<'a> {
    /// Takes the names in `body`, whose scan has collected `names`.
    pub(super) fn new(names: &'a TypeNames, body: &'a [u8]) -> Self {
        Self { names, body }
    }

    /// Returns `false` if no type in the body matches `wanted`.
    pub(crate) fn may_match(self, wanted: &TypePattern) -> bool {
        let is_possible = wanted.starts == u64::MAX || self.names.starts & wanted.starts != 0;
        let fits = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| wanted.pattern.fits(name));
        !self.names.is_complete || is_possible && self.may_be(fits)
    }

    /// Returns `false` if `fits` is false for every type in the body.
    pub(crate) fn may_be(self, fits: impl Fn(&[u8]) -> bool) -> bool {
        !self.names.is_complete || self.names.places.iter().any(|place| fits(text(self.body, *place)))
    }
}

fn text(body: &[u8], (start, length): Place) -> &[u8] {
    &body[start as usize..][..usize::from(length)]
}

/// Returns one of 64 bits for the first three bytes of `name`. Returns `None` for a shorter name.
///
/// The factors keep apart the types and roles that upstreams refuse and those that all requests have.
fn start(name: &[u8]) -> Option<u64> {
    let [first, second, third] = name.first_chunk()?.map(u32::from);
    Some(1 << ((first + second * 5 + third * 2) % u64::BITS))
}

/// Collects the names from the keys and strings that a scanner reads.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    body: &'a [u8],
    names: TypeNames,
    /// For each hash the index of the name that was added last, plus 1.
    slots: [u8; SLOTS],
    /// `true` if the last key was `type` or `role` and no string followed it.
    is_name: bool,
}

impl<'a> Collector<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        let names = TypeNames { is_complete: u32::try_from(body.len()).is_ok(), ..TypeNames::default() };
        Self { body, names, slots: [0; SLOTS], is_name: false }
    }

    pub(super) fn finish(self) -> TypeNames {
        self.names
    }

    /// Takes a key with its quotes. Returns `true` if it is `type`.
    #[inline]
    pub(super) fn key(&mut self, key: &[u8]) -> bool {
        if may_be_escaped(key) {
            return self.escaped_key(key);
        }
        let is_type = key == TYPE_KEY;
        self.is_name = is_type || key == ROLE_KEY;
        is_type
    }

    #[cold]
    fn escaped_key(&mut self, key: &[u8]) -> bool {
        let is_type = is_string(key, TYPE);
        self.is_name = is_type || is_string(key, ROLE);
        is_type
    }

    /// Takes the string at `start..end` with its quotes.
    #[inline]
    pub(super) fn string(&mut self, start: usize, end: usize) {
        if self.is_name {
            self.is_name = false;
            self.name(start + 1, end - 1);
        }
    }

    #[inline]
    fn name(&mut self, start: usize, end: usize) {
        let name = &self.body[start..end];
        let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
        let hash = (name.len() + 5 * usize::from(first) + 11 * usize::from(last)) % SLOTS;
        let known = usize::from(self.slots[hash]).checked_sub(1).and_then(|at| self.names.places.get(at));
        if known.is_none_or(|known| text(self.body, *known) != name) {
            self.slots[hash] = self.add(start, name);
        }
    }

    /// Adds `name` unless it is known. Returns its index plus 1, or 0 if it is not kept.
    #[cold]
    fn add(&mut self, at: usize, name: &[u8]) -> u8 {
        if !self.names.is_complete || name.len() + 2 > MAX_WRITTEN {
            return 0;
        }
        let mut known = self.names.places.iter();
        if let Some(index) = known.position(|place| text(self.body, *place) == name) {
            return index as u8 + 1;
        }
        let is_escaped = name.contains(&b'\\');
        if !is_escaped && name.len() > MAX_NAME {
            return 0;
        }
        if is_escaped || self.names.places.len() == MAX_NAMES {
            self.names.is_complete = false;
            return 0;
        }
        self.names.places.push((at as u32, name.len() as u8));
        self.names.starts |= start(name).unwrap_or_default();
        self.names.places.len() as u8
    }
}

/// Returns `false` if `key` is neither `type` nor `role` with some of its letters written as escapes of six bytes, such as
/// `\u0074`.
fn may_be_escaped(key: &[u8]) -> bool {
    matches!(key.len(), 11 | 16 | 21 | 26) && matches!(key.get(1), Some(b't' | b'r' | b'\\'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::MessagesBody;
    use super::*;

    fn parse(text: impl Into<bytes::Bytes>) -> MessagesBody {
        MessagesBody::parse(text.into()).unwrap()
    }

    #[track_caller]
    fn check(messages: &str, pattern: &str, expected: bool) {
        let body = parse(format!(r#"{{"model":"m","messages":{messages}}}"#));
        let wanted = TypePattern::new(&Pattern::new(pattern));
        assert_eq!(body.types().may_match(&wanted), expected, "{messages} {pattern}");
    }

    #[test]
    fn an_absent_type_is_known_to_be_absent() {
        let messages = r#"[{"type":"text","text":"image"},{"type":"imagine"},{"type":["a",{"b":"c"}]},"d"]"#;
        for absent in ["image", "document|url", "b*", "tex", "exte*"] {
            check(messages, absent, false);
        }
        for present in ["text", "image|text", "te*", "t*", "*", "*gin*", "imagine"] {
            check(messages, present, true);
        }
    }

    #[test]
    fn an_absent_role_is_known_to_be_absent() {
        check(r#"[{"role":"user","content":"system"},{"role":"assistant","a":"role"}]"#, "system", false);
        for messages in [
            r#"[{"role":"user"},{"role":"system"}]"#,
            r#"[{"r\u006fle":"system"}]"#,
            r#"[{"\u0072\u006f\u006c\u0065":"system"}]"#,
            r#"[{"role":"s\u0079stem"}]"#,
        ] {
            check(messages, "system", true);
        }
    }

    #[test]
    fn a_body_may_have_every_type_if_a_name_is_escaped_or_there_are_too_many() {
        check(r#"[{"type":"im\u0061ge"}]"#, "document", true);
        check(r#"[{"ty\u0070e":"image"}]"#, "image", true);
        check(r#"[{"\u0074\u0079\u0070\u0065":"image"}]"#, "image", true);
        let many =
            |count: usize| json!((0..count).map(|at| json!({"type": format!("t{at}")})).collect::<Vec<_>>());
        check(&many(MAX_NAMES).to_string(), "document", false);
        check(&many(MAX_NAMES + 1).to_string(), "document", true);
    }

    #[test]
    fn a_name_that_is_longer_than_any_type_is_ignored() {
        for length in [MAX_NAME + 1, 300, 100_000] {
            check(&json!([{"type": "x".repeat(length)}]).to_string(), "document", false);
        }
        check(&json!([{"type": "\n".repeat(300)}]).to_string(), "document", false);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), "[a-c\"\\\\]{0,4}".prop_map(Into::into)];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("type|source|content|[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_type_of_content_is_found(system in json(), tools in json(), content in json(), pretty: bool) {
            let body = json!({"model": "m", "system": system, "tools": tools, "messages": [{"content": content}]});
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
            let body = parse(text.unwrap());
            for content in body.content_types().iter() {
                for name in [Some(&content.kind), content.source.as_ref()].into_iter().flatten() {
                    let wanted = TypePattern::new(&Pattern::new(name.replace('*', "")));
                    prop_assert!(name.contains('|') || body.types().may_match(&wanted), "{name}");
                    prop_assert!(body.types().may_be(|found| found == name.as_bytes()) , "{name}");
                }
            }
        }
    }
}
