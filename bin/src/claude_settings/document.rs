//! The text of a settings file. Variables under `env` are read and edited in place: every other byte stays as it was.

use std::ops::Range;

use relay_messages::{JsonKind, Node};

use super::invalid::{Fault, Invalid, kind_name};
use super::layout::{self, Member};

/// The byte order mark of UTF-8. Some editors write it, and Claude Code accepts it.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// The name of the object with the environment variables.
const ENV: &str = "env";

/// A valid settings file.
///
/// If a key is repeated, its last value counts, as in the parser of JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// The text without the byte order mark.
    text: String,
    has_mark: bool,
}

impl Document {
    /// Checks the bytes of a file. A file that is empty or only white space has no settings, and is valid.
    ///
    /// # Errors
    /// [`Invalid`] with the place, if the file is not a JSON object, or if its `env` is not an object.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Invalid::at(bytes, error.valid_up_to(), Fault::Utf8))?;
        let (has_mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(text) => (true, text),
            None => (false, text),
        };
        let document = Self { text: text.to_owned(), has_mark };
        if document.is_blank() {
            return Ok(document);
        }
        let bytes = text.as_bytes();
        let root = Node::parse(bytes).ok_or_else(|| Invalid::syntax(bytes))?;
        let is_object = |node: Node<'_>, fault: fn(&'static str) -> Fault| match node.kind() {
            JsonKind::Object => Ok(()),
            kind => Err(Invalid::at(bytes, node.span().start, fault(kind_name(kind)))),
        };
        is_object(root, Fault::NotAnObject)?;
        root.get(ENV).map_or(Ok(()), |env| is_object(env, Fault::Env))?;
        Ok(document)
    }

    /// A file without settings, in one line.
    pub(crate) fn empty() -> Self {
        Self { text: r#"{"env":{}}"#.to_owned(), has_mark: false }
    }

    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mark = if self.has_mark { BYTE_ORDER_MARK } else { "" };
        [mark.as_bytes(), self.text.as_bytes()].concat()
    }

    /// The text without the byte order mark.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns `true` if the file contains only white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim_ascii().is_empty()
    }

    /// Returns `true` if the file has no setting.
    pub(crate) fn is_empty(&self) -> bool {
        self.root().is_none_or(|root| root.members().next().is_none())
    }

    pub(super) fn root(&self) -> Option<Node<'_>> {
        Node::parse(self.text.as_bytes())
    }

    /// The object with the variables, if there is one.
    pub(super) fn env(&self) -> Option<Node<'_>> {
        self.root()?.get(ENV)
    }

    /// Returns the JSON text of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.env()?.get(name).map(|value| &self.text[value.span()])
    }

    /// Sets a variable to a JSON text. A new variable becomes the last one, in the layout of the one before it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if self.is_blank() {
            "{}\n".clone_into(&mut self.text);
        }
        let (range, text) = match self.env() {
            Some(env) => match env.get(name) {
                Some(found) => (found.span(), value.to_owned()),
                None => layout::insertion(&self.text, env, &self.place_of(ENV), name, value),
            },
            None => self.creation(name, value),
        };
        self.text.replace_range(range, &text);
    }

    /// The edit that creates `env` with one variable.
    fn creation(&self, name: &str, value: &str) -> (Range<usize>, String) {
        let Some(root) = self.root() else { return (0..0, String::new()) };
        let style = layout::Style::of(&self.text, root);
        let env = style.object(1, &style.member(name, value));
        layout::insertion(&self.text, root, "", ENV, &env)
    }

    /// The white space before the last member of the root called `name`, on its line.
    fn place_of(&self, name: &str) -> String {
        let members = self.root().map(|root| layout::members(&self.text, root)).unwrap_or_default();
        let member = members.iter().rfind(|member| member.name == name);
        member
            .map(|member| layout::indent_before(&self.text, member.key.start).to_owned())
            .unwrap_or_default()
    }

    /// Removes the last occurrence of a variable. The other occurrences then count again.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(range) = self.env().and_then(|env| self.removal(env, name)) {
            self.text.replace_range(range, "");
        }
    }

    /// Removes `env` itself.
    pub(crate) fn remove_env(&mut self) {
        if let Some(range) = self.root().and_then(|root| self.removal(root, ENV)) {
            self.text.replace_range(range, "");
        }
    }

    fn removal(&self, object: Node<'_>, name: &str) -> Option<Range<usize>> {
        let members = layout::members(&self.text, object);
        let index = members.iter().rposition(|member| member.name == name)?;
        Some(match (index.checked_sub(1), members.get(index + 1)) {
            (Some(before), _) => members[before].value.end..members[index].value.end,
            (None, Some(after)) => members[index].key.start..after.key.start,
            (None, None) => object.span().start + 1..object.span().end - 1,
        })
    }

    /// The white space in the object that the next new variable makes non-empty: `env`, or the root if there is no `env`. `None` if
    /// that object has members.
    pub(crate) fn empty_interior(&self) -> Option<String> {
        let object = self.env().or_else(|| self.root())?;
        let is_empty = object.members().next().is_none();
        is_empty.then(|| self.text[object.span().start + 1..object.span().end - 1].to_owned())
    }

    /// Sets the white space in that object, if it has no members.
    pub(crate) fn set_empty_interior(&mut self, interior: &str) {
        let Some(object) = self.env().or_else(|| self.root()) else { return };
        if object.members().next().is_none() && interior.trim_ascii().is_empty() {
            let span = object.span();
            self.text.replace_range(span.start + 1..span.end - 1, interior);
        }
    }

    /// The members of `env`, each with the place of its value.
    pub(super) fn variables(&self) -> Vec<Member> {
        self.env().map(|env| layout::members(&self.text, env)).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
