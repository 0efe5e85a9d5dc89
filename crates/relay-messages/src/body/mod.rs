//! A Messages request body as bytes: reads the fields that the relay needs, and edits the body without
//! serializing it again.
//!
//! ```text
//! Bytes ─scan─▶ MessagesBody ─edit─▶ Edits ─splice─▶ Payload
//! once          spans, model         per attempt     slices of the same Bytes
//! ```
//! Numbers, key order, escapes, unknown fields and thinking blocks reach the upstream byte for byte.

mod blocks;
mod breakpoint;
mod breakpoints;
mod content_types;
mod edits;
mod grammar;
mod index;
mod node;
mod payload;
mod scan;
mod seals;
pub(crate) mod steps;
mod strings;
mod type_names;
mod unescape;

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use blocks::Blocks;
pub(crate) use breakpoint::Breakpoint;
pub(crate) use content_types::ContentType;
pub use content_types::ContentTypes;
pub use edits::Edits;
pub use grammar::ScanError;
use grammar::Value;
pub(crate) use node::IndexedText;
pub use node::{Children, JsonKind, Node};
pub use payload::Payload;
use scan::{Fields, Member, Scan};
pub(crate) use seals::Seals;
pub(crate) use type_names::{TypePattern, Types};

/// The longest name of a model, in bytes. The relay keeps state by model, and this bounds the keys of that state.
const MODEL_MAX: usize = 256;

/// The reason that a body cannot be relayed as a Messages request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is not a JSON object.
    #[error(transparent)]
    Json(#[from] ScanError),
    /// The body has no `model`.
    #[error("model: field required")]
    ModelMissing,
    /// `model` is not a string.
    #[error("model: expected a string, found a JSON {found}")]
    ModelNotAString {
        /// The kind of the JSON value.
        found: &'static str,
    },
    /// `model` is an empty string.
    #[error("model: expected the name of a model, found an empty string")]
    ModelEmpty,
    /// `model` is longer than any name of a model.
    #[error("model: expected a name of at most {MODEL_MAX} bytes, found {found} bytes")]
    ModelTooLong {
        /// The length of the name, in bytes.
        found: usize,
    },
    /// `model` has an escape that is half a surrogate pair, so that it is not valid Unicode.
    #[error("model: the string has a `\\u` escape that is half a surrogate pair")]
    ModelNotText,
}

/// A checked request body with the fields that the relay reads. Clones share it.
///
/// ```
/// use relay_messages::MessagesBody;
///
/// # fn main() -> Result<(), relay_messages::BodyError> {
/// let text = r#"{"model":"claude-opus-5-5","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
/// let body = MessagesBody::parse(text.into())?;
/// assert_eq!(&**body.model(), "claude-opus-5-5");
/// assert!(body.is_stream() && body.max_tokens().is_none());
///
/// // Every value can be viewed in place.
/// let messages = body.view("messages").expect("the body has messages");
/// let role = messages.elements().next().and_then(|message| message.get("role"));
/// assert!(role.is_some_and(|role| role.is("user")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MessagesBody(Arc<Parts>);

/// The bytes of a body, and what has been read of them.
#[derive(Debug)]
struct Parts {
    bytes: Bytes,
    model: Arc<str>,
    stream: bool,
    max_tokens: Option<u64>,
    user_id: Option<String>,
    fields: Fields,
    /// The seals of the thinking blocks.
    seals: Seals,
    /// Filled at the first question about the blocks.
    blocks: OnceLock<Blocks>,
}

impl MessagesBody {
    /// Reads `bytes` in one pass. If a key is repeated, its last value counts.
    ///
    /// # Errors
    /// Returns [`BodyError`] if `bytes` is not a JSON object, or if its `model` is not a string of 1 to 256 bytes.
    /// Nothing else is validated: the upstream decides which values its fields accept.
    pub fn parse(bytes: Bytes) -> Result<Self, BodyError> {
        let mut fields = Fields::default();
        Scan::new(&bytes, &mut fields).finish()?;
        Self::new(bytes, fields)
    }

    /// Reads `bytes` as [`parse`](Self::parse) does, in turns of about `turn` bytes. Awaits a `pause` between two turns, in which
    /// the thread can do other work.
    ///
    /// # Errors
    /// The errors of [`parse`](Self::parse).
    pub async fn parse_in_turns<P>(
        bytes: Bytes,
        turn: NonZeroUsize,
        pause: impl Fn() -> P,
    ) -> Result<Self, BodyError>
    where
        P: Future<Output = ()>,
    {
        let mut fields = Fields::default();
        let mut scan = Scan::new(&bytes, &mut fields);
        while !scan.advance(turn.get())? {
            pause().await;
        }
        Self::new(bytes, fields)
    }

    /// Takes the `fields` of `bytes`, which have been found by a scan.
    fn new(bytes: Bytes, mut fields: Fields) -> Result<Self, BodyError> {
        let seals = Seals::new(&bytes, fields.seals.take());
        let model = fields.model.last().ok_or(BodyError::ModelMissing)?;
        if model.kind != JsonKind::String {
            return Err(BodyError::ModelNotAString { found: model.kind.name() });
        }
        let model = string(&bytes, model).ok_or(BodyError::ModelNotText)?;
        if model.is_empty() {
            return Err(BodyError::ModelEmpty);
        }
        if model.len() > MODEL_MAX {
            return Err(BodyError::ModelTooLong { found: model.len() });
        }
        let at = |value: &Value| &bytes[value.span.clone()];
        Ok(Self(Arc::new(Parts {
            model: (&*model).into(),
            stream: fields.stream.as_ref().is_some_and(|value| at(value) == b"true"),
            max_tokens: fields
                .max_tokens
                .as_ref()
                .and_then(|value| std::str::from_utf8(at(value)).ok()?.parse().ok()),
            user_id: fields.user_id.as_ref().and_then(|value| string(&bytes, value)).map(Cow::into_owned),
            fields,
            seals,
            blocks: OnceLock::new(),
            bytes,
        })))
    }

    /// The bytes as the client sent them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The model that the client requested; never empty.
    #[must_use]
    pub fn model(&self) -> &Arc<str> {
        &self.0.model
    }

    /// Returns `true` if the client requests a stream: `stream` is `true`.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.0.stream
    }

    /// Returns `max_tokens`, if it is a non-negative integer.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u64> {
        self.0.max_tokens
    }

    /// Returns `metadata.user_id`, if it is a string. Claude Code sends a JSON text with `session_id` in it.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.0.user_id.as_deref()
    }

    /// The JSON text of `system`, a string or an array.
    #[must_use]
    pub fn system(&self) -> Option<Bytes> {
        self.slice(self.0.fields.system.as_ref())
    }

    /// The JSON text of `messages`.
    #[must_use]
    pub fn messages(&self) -> Option<Bytes> {
        self.slice(self.0.fields.messages.as_ref())
    }

    /// The JSON text of `tools`.
    #[must_use]
    pub fn tools(&self) -> Option<Bytes> {
        self.slice(self.0.fields.tools.as_ref())
    }

    /// The JSON text of the value of the last top-level member called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Bytes> {
        self.view(name).map(|member| self.0.bytes.slice(member.span()))
    }

    /// The last top-level member called `name`, as a [`Node`] for reading the values inside it.
    #[must_use]
    pub fn view(&self, name: &str) -> Option<Node<'_>> {
        let mut members = self.0.fields.members.iter().rev().map(|member| self.node(member));
        members.find(|member| member.is_called(name))
    }

    /// The top-level members, in order.
    pub fn members(&self) -> impl Iterator<Item = Node<'_>> {
        self.0.fields.members.iter().map(|member| self.node(member))
    }

    /// The blocks of `system`, the tools, the blocks of messages and the blocks of the tool results in these.
    pub fn blocks(&self) -> impl Iterator<Item = Node<'_>> {
        self.blocks_with(None)
    }

    /// The blocks without some of those that have no member called `name`.
    pub(crate) fn blocks_with(&self, name: Option<&str>) -> impl Iterator<Item = Node<'_>> {
        let breakpoints = &self.0.fields.breakpoints;
        // Few blocks have a breakpoint: the others are passed over without a look into them.
        let is_by_breakpoint = name == Some(breakpoints::NAME) && breakpoints.are_complete();
        let kept = (!is_by_breakpoint).then(|| self.all_blocks());
        let kept = kept.and_then(|blocks| blocks.iter(&self.0.bytes, &self.0.fields.index, name));
        let may_have = move |node: &Node<'_>| !is_by_breakpoint || breakpoints.is_any_within(&node.span());
        let walked = kept.is_none().then(|| blocks::walk(|name| self.view(name), may_have));
        kept.into_iter().flatten().chain(walked.into_iter().flatten())
    }

    /// The seals of the thinking blocks.
    pub(crate) fn seals(&self) -> &Seals {
        &self.0.seals
    }

    /// The cache breakpoints in the body, in ascending order; at most 64.
    pub(crate) fn breakpoints(&self) -> impl Iterator<Item = Breakpoint<'_>> {
        self.0.fields.breakpoints.starts().filter_map(|start| Breakpoint::at(&self.0.bytes, start))
    }

    /// The types of content in the body. The first call reads every block; later calls return the cached
    /// value.
    pub fn content_types(&self) -> &ContentTypes {
        self.all_blocks().types()
    }

    /// Returns `true` if an image is given by its URL. The blocks are only walked if the types `image` and `url` occur in the body.
    #[must_use]
    pub fn has_images_by_url(&self) -> bool {
        let may_have = |kind: &[u8]| self.types().may_be(|found| found == kind);
        may_have(b"image") && may_have(b"url") && self.content_types().has_images_by_url()
    }

    /// The names of the types and roles in the body, known without a walk.
    pub(crate) fn types(&self) -> Types<'_> {
        Types::new(&self.0.fields.types, &self.0.bytes)
    }

    fn all_blocks(&self) -> &Blocks {
        self.0.blocks.get_or_init(|| Blocks::of(self.0.bytes.len(), |name| self.view(name)))
    }

    /// The offset of the body's opening brace, the first byte that is not white space.
    fn opening(&self) -> usize {
        self.0.bytes.iter().position(|&byte| byte == b'{').unwrap_or_default()
    }

    fn node(&self, Member { key, value, inside }: &Member) -> Node<'_> {
        let inside = self.0.fields.index.inside(inside.clone());
        Node::new(&self.0.bytes, value.kind, key.clone(), value.span.clone(), inside)
    }

    fn slice(&self, value: Option<&Value>) -> Option<Bytes> {
        value.map(|value| self.0.bytes.slice(value.span.clone()))
    }
}

/// Returns the unescaped text of a JSON string, or `None` for other kinds and for halves of surrogate pairs.
fn string<'a>(bytes: &'a Bytes, value: &Value) -> Option<Cow<'a, str>> {
    let text = &bytes[value.span.clone()];
    let inside = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    match inside.contains(&b'\\') {
        true => serde_json::from_slice(text).ok().map(Cow::Owned),
        // The grammar has been checked: without an escape, it is the text itself.
        false => std::str::from_utf8(inside).ok().map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    use super::*;

    fn parse(body: impl Into<Bytes>) -> Result<MessagesBody, BodyError> {
        MessagesBody::parse(body.into())
    }

    fn with_model(body: &MessagesBody, model: &str) -> Vec<u8> {
        let mut edits = Edits::default();
        edits.set_model(body, model);
        edits.apply(body).pieces().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn a_claude_code_body_is_read() {
        let body = parse(
            r#"{"model":"claude-opus-5-5","messages":[],"system":"s","metadata":{"user_id":"{\"session_id\":\"u\"}"},
               "max_tokens":64000,"stream":true}"#,
        )
        .unwrap();
        assert_eq!(&**body.model(), "claude-opus-5-5");
        assert!(body.is_stream());
        assert_eq!(body.max_tokens(), Some(64000));
        assert_eq!(body.user_id(), Some(r#"{"session_id":"u"}"#));
        assert_eq!(body.system().as_deref(), Some(&b"\"s\""[..]));
        assert_eq!(body.messages().as_deref(), Some(&b"[]"[..]));
        assert_eq!(body.tools(), None);
    }

    #[test]
    fn a_body_without_a_usable_model_is_refused() {
        #[track_caller]
        fn check(body: &'static str, expected: &str) {
            assert_eq!(parse(body).unwrap_err().to_string(), expected);
        }
        check("{}", "model: field required");
        check(r#"{"metadata":{"model":"nested"}}"#, "model: field required");
        check(r#"{"model":null}"#, "model: expected a string, found a JSON null");
        check(r#"{"model":["a"]}"#, "model: expected a string, found a JSON array");
        check(r#"{"model":"a","model":1}"#, "model: expected a string, found a JSON number");
        check(r#"{"model":""}"#, "model: expected the name of a model, found an empty string");
        check(r#"{"model":"\ud800"}"#, "model: the string has a `\\u` escape that is half a surrogate pair");
    }

    #[test]
    fn blocks_are_only_walked_for_images_if_the_types_of_images_by_url_occur() {
        #[track_caller]
        fn check(block: &str, expected: bool, is_walked: bool) {
            let body =
                parse(format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{block}]}}]}}"#))
                    .unwrap();
            assert_eq!(body.has_images_by_url(), expected, "{block}");
            assert_eq!(body.0.blocks.get().is_some(), is_walked, "{block}");
        }
        check(r#"{"type":"image","source":{"type":"url","url":"https://example.com"}}"#, true, true);
        check(r#"{"type":"im\u0061ge","source":{"type":"url","url":"https://example.com"}}"#, true, true);
        check(r#"{"type":"document","source":{"type":"url"}},{"type":"image"}"#, false, true);
        check(r#"{"type":"image","source":{"type":"base64","data":"a"}}"#, false, false);
        check(r#"{"type":"text","text":"image url"}"#, false, false);
    }

    #[test]
    fn invalid_values_of_other_fields_are_not_refused() {
        let body =
            parse(r#"{"model":"m","stream":"yes","max_tokens":-1,"metadata":null,"system":1}"#).unwrap();
        assert!(!body.is_stream());
        assert_eq!((body.max_tokens(), body.user_id()), (None, None));
    }

    #[test]
    fn an_edit_of_the_model_changes_every_occurrence_and_nothing_else() {
        let body =
            parse(r#"{ "mod\u0065l" : "a\u0062", "x":1.50, "model":"b","t":{"model":"kept"} }"#).unwrap();
        assert_eq!(&**body.model(), "b");
        assert_eq!(
            String::from_utf8(with_model(&body, "gl\"m")).unwrap(),
            r#"{ "mod\u0065l" : "gl\"m", "x":1.50, "model":"gl\"m","t":{"model":"kept"} }"#
        );
    }

    #[test]
    fn a_large_string_is_neither_copied_nor_changed() {
        let text = "x\\n".repeat(10 * 1024 * 1024 / 3);
        let body = parse(format!(r#"{{"model":"a","messages":"{text}","stream":true}}"#)).unwrap();
        let mut edits = Edits::default();
        edits.set_model(&body, "b");
        let payload = edits.apply(&body);
        let last = payload.pieces().last().unwrap();
        assert_eq!(last.as_ptr_range().end, body.bytes().as_ptr_range().end);
        assert_eq!(payload.remaining(), body.bytes().len());
    }

    #[test]
    fn a_second_edit_of_the_model_replaces_the_first() {
        let body = parse(r#"{"model":"a"}"#).unwrap();
        let mut edits = Edits::default();
        edits.set_model(&body, "b");
        edits.set_model(&body, "c");
        assert_eq!(
            edits.apply(&body).pieces().flat_map(|piece| piece.to_vec()).collect::<Vec<_>>(),
            br#"{"model":"c"}"#
        );
    }

    proptest! {
        #[test]
        fn an_edited_body_differs_only_in_the_edited_field(
            before in prop::collection::btree_map("[a-z]{1,6}|model|\\PC{1,4}", "\\PC*", 0..4),
            after in prop::collection::btree_map("[a-z]{1,6}|stream", any::<i32>(), 0..4),
            model in "\\PC{1,20}", new in "\\PC{0,20}", pretty: bool,
        ) {
            let mut object = Map::new();
            object.extend(before.into_iter().map(|(key, value)| (key, Json::from(value))));
            object.insert("model".to_owned(), Json::from(model.as_str()));
            object.extend(after.into_iter().filter(|(key, _)| key != "model").map(|(key, value)| (key, Json::from(value))));
            let text = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap();

            let body = parse(text.clone()).unwrap();
            prop_assert_eq!(&**body.model(), model.as_str());
            let edited = with_model(&body, &new);

            object["model"] = Json::from(new.as_str());
            prop_assert_eq!(serde_json::from_slice::<Map<String, Json>>(&edited).unwrap(), object);
            let span = body.0.fields.model[0].span.clone();
            prop_assert_eq!(&edited[..span.start], &text[..span.start]);
            prop_assert!(edited.ends_with(&text[span.end..]));
        }
    }
}
