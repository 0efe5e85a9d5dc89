//! The path of a field in a request's body: the one language for the capability table, the configuration and refusals.

use std::fmt;

use super::pattern::Pattern;

/// The largest number of steps in a path. No field of the API is nested deeper.
const MAX_STEPS: usize = 6;

/// The path of a field: `service_tier`, `output_config.effort`, `tools[].defer_loading`, `blocks[image].source[url]`.
///
/// Names are those of members. Brackets choose among the items of a list by their `type`, those of `messages` by their
/// `role`, or by another member: `tools[name=Search]`. Empty brackets choose all items. After the name of an object, brackets
/// require a `type` of the object itself. `blocks` means every block of content: those of `system`, of messages and of tool
/// results, and the tools. `*` alone means any top-level field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    steps: Vec<PathStep>,
}

/// A level of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStep {
    /// The name of a member.
    pub name: String,
    /// The part of the member's value that the path leads to; `None` for the value itself.
    pub select: Option<Select>,
}

impl PathStep {
    /// Creates a level: the member `name`, or the part of its value that `select` chooses.
    pub fn new(name: impl Into<String>, select: Option<Select>) -> Self {
        Self { name: name.into(), select }
    }
}

/// The brackets of a [`PathStep`]: a choice among the items of a list, or a condition on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Select {
    /// All items of a list.
    All,
    /// The items, or the object, whose member `key` is a string that fits `value`.
    Where {
        /// The name of a member; `type`, or `role` for messages, if the brackets name none.
        key: String,
        /// The pattern for its value.
        value: Pattern,
    },
}

/// An error: the text is not a [`FieldPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidFieldPath;

impl fmt::Display for InvalidFieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of a field, such as `speed`, `tools[].strict` or `blocks[image].source[url]`")
    }
}

impl std::error::Error for InvalidFieldPath {}

impl FieldPath {
    /// `*`: any top-level field without a rule of its own.
    pub const ANY: &'static str = "*";

    /// `blocks`: every block of content, wherever it is.
    pub const BLOCKS: &'static str = "blocks";

    /// Creates the path that leads through `steps`, of which there may be any number. Returns
    /// `None` if there is none.
    #[must_use]
    pub fn new(steps: Vec<PathStep>) -> Option<Self> {
        let names = steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        (!steps.is_empty()).then(|| Self { text: names.join("."), steps })
    }

    /// Reads a path as [`Display`](fmt::Display) writes it, of up to six levels.
    ///
    /// # Errors
    /// [`InvalidFieldPath`] for a name with other characters than ASCII letters, digits, `_` and `-`, and for brackets that
    /// are not closed.
    pub fn parse(text: &str) -> Result<Self, InvalidFieldPath> {
        let path = |steps| Ok(Self { text: text.to_owned(), steps });
        if text == Self::ANY {
            return path(vec![PathStep { name: text.to_owned(), select: None }]);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = &rest[..end];
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if name.is_empty() || !name.bytes().all(is_name) || steps.len() == MAX_STEPS {
                return Err(InvalidFieldPath);
            }
            rest = &rest[end..];
            let mut select = None;
            if let Some(inside) = rest.strip_prefix('[') {
                let (inside, after) = inside.split_once(']').ok_or(InvalidFieldPath)?;
                select = Some(Select::parse(inside, name));
                rest = after;
            }
            steps.push(PathStep { name: name.to_owned(), select });
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return path(steps),
                None => return Err(InvalidFieldPath),
            }
        }
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The levels, at least one.
    #[must_use]
    pub fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The name of a top-level field, if the path is only that.
    #[must_use]
    pub fn top_level(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [PathStep { name, select: None }] => Some(name),
            _ => None,
        }
    }

    /// Returns `true` if the path names a kind of content: a kind of blocks, of blocks with a kind of source, or of tools.
    pub(super) fn is_content(&self) -> bool {
        let by_type =
            |step: &PathStep| matches!(&step.select, Some(Select::Where { key, .. }) if key == "type");
        match self.steps.as_slice() {
            [step] => matches!(&*step.name, Self::BLOCKS | "tools") && by_type(step),
            [step, source] => {
                step.name == Self::BLOCKS && by_type(step) && source.name == "source" && by_type(source)
            }
            _ => false,
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.select {
            None => Ok(()),
            Some(Select::All) => f.write_str("[]"),
            Some(Select::Where { key, value }) if key == default_key(&self.name) => {
                write!(f, "[{}]", value.as_str())
            }
            Some(Select::Where { key, value }) => write!(f, "[{key}={}]", value.as_str()),
        }
    }
}

/// The member that brackets after `name` are about, if they name none.
fn default_key(name: &str) -> &'static str {
    if name == "messages" { "role" } else { "type" }
}

impl Select {
    fn parse(text: &str, name: &str) -> Self {
        match text.split_once('=') {
            _ if text.is_empty() => Self::All,
            Some((key, value)) => Self::Where { key: key.to_owned(), value: Pattern::new(value) },
            None => Self::Where { key: default_key(name).to_owned(), value: Pattern::new(text) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_with_brackets() {
        #[track_caller]
        fn check(text: &str, expected: &[(&str, Option<(&str, &str)>)]) {
            let path = FieldPath::parse(text).unwrap();
            let found = path.steps().iter().map(|step| {
                let select = step.select.as_ref().map(|select| match select {
                    Select::All => ("", ""),
                    Select::Where { key, value } => (key.as_str(), value.as_str()),
                });
                (step.name.as_str(), select)
            });
            assert_eq!(found.collect::<Vec<_>>(), expected);
            assert_eq!(path.as_str(), text);
            assert_eq!(FieldPath::new(path.steps().to_vec()), Some(path));
        }
        check("*", &[("*", None)]);
        check("a.b-c.d_1", &[("a", None), ("b-c", None), ("d_1", None)]);
        check("tools[].custom", &[("tools", Some(("", ""))), ("custom", None)]);
        check("messages[system]", &[("messages", Some(("role", "system")))]);
        check(
            "blocks[image].source[url]",
            &[("blocks", Some(("type", "image"))), ("source", Some(("type", "url")))],
        );
        check("system[text=x: a.b*]", &[("system", Some(("text", "x: a.b*")))]);
        for wrong in ["", ".", "a.", ".a", "a[", "a]", "a[]b", "a..b", "a b", "a*", "[x]", "a.b.c.d.e.f.g"] {
            assert_eq!(FieldPath::parse(wrong), Err(InvalidFieldPath), "{wrong}");
        }
    }
}
