//! The place of a field in a request's body, and what becomes of it.

use std::fmt;

use super::pattern::Pattern;

/// No field of the API lies deeper.
const MAX_STEPS: usize = 6;

/// Where a field is: `service_tier`, `output_config.effort`, `tools[].defer_loading`, `blocks[image].source[url]`.
///
/// Names are those of members. Brackets choose among a list's items by their `type`, those of `messages` by their `role`,
/// or by another member: `tools[name=Search]`; nothing in them chooses all. Behind the name of an object they ask for its
/// own `type`. `blocks` stands for every block of content: those of `system`, of messages, of tool results, and the tools.
/// `*` alone is any top-level field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    steps: Vec<Step>,
}

/// One level of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A member's name.
    pub name: String,
    /// What its value has to be.
    pub select: Option<Select>,
}

/// Items of a list, or an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// All items of a list.
    All,
    /// Those whose member `key` is a string that fits `value`.
    Where {
        /// `type`, but for the roles of messages, and where another is named.
        key: String,
        /// What it fits.
        value: Pattern,
    },
}

/// A text that is no [`FieldPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAPath;

impl fmt::Display for NotAPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place of a field, like `speed`, `tools[].strict` or `blocks[image].source[url]`")
    }
}

impl FieldPath {
    /// `*`: any top-level field of which nothing else is said.
    pub const ANY: &'static str = "*";

    pub(crate) fn parse(text: &str) -> Result<Self, NotAPath> {
        let path = |steps| Ok(Self { text: text.to_owned(), steps });
        if text == Self::ANY {
            return path(vec![Step { name: text.to_owned(), select: None }]);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = &rest[..end];
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if name.is_empty() || !name.bytes().all(is_name) || steps.len() == MAX_STEPS {
                return Err(NotAPath);
            }
            rest = &rest[end..];
            let mut select = None;
            if let Some(inside) = rest.strip_prefix('[') {
                let (inside, behind) = inside.split_once(']').ok_or(NotAPath)?;
                select = Some(Select::parse(inside, name));
                rest = behind;
            }
            steps.push(Step { name: name.to_owned(), select });
            match rest.strip_prefix('.') {
                Some(behind) => rest = behind,
                None if rest.is_empty() => return path(steps),
                None => return Err(NotAPath),
            }
        }
    }

    /// The path as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its levels, one at least.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The name of a top-level field, where the path is no more than that.
    #[must_use]
    pub fn top_level(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step { name, select: None }] => Some(name),
            _ => None,
        }
    }

    /// Whether the path names a kind of content: a kind of blocks, of blocks with a kind of source, or of tools.
    fn is_content(&self) -> bool {
        let by_type = |step: &Step| matches!(&step.select, Some(Select::Where { key, .. }) if key == "type");
        match self.steps.as_slice() {
            [step] => matches!(&*step.name, "blocks" | "tools") && by_type(step),
            [step, source] => {
                step.name == "blocks" && by_type(step) && source.name == "source" && by_type(source)
            }
            _ => false,
        }
    }
}

impl Select {
    fn parse(text: &str, name: &str) -> Self {
        let default = if name == "messages" { "role" } else { "type" };
        match text.split_once('=') {
            _ if text.is_empty() => Self::All,
            Some((key, value)) => Self::Where { key: key.to_owned(), value: Pattern::new(value) },
            None => Self::Where { key: default.to_owned(), value: Pattern::new(text) },
        }
    }
}

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldRule {
    /// It goes upstream.
    Pass,
    /// It does not; what it leaves empty goes with it.
    Drop,
    /// An upstream without it cannot serve the request.
    Refuse,
    /// Messages become blocks of a neighbouring turn of the user.
    Fold,
    /// Its members go one level up.
    Hoist,
    /// It goes into this object, under this name.
    Move {
        /// A top-level object.
        object: String,
        /// The name in it.
        name: String,
    },
}

/// A text that is no rule, or none for this field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotARule {
    /// It is no rule at all.
    Unknown,
    /// `refuse` is for top-level fields and kinds of content.
    Refuse,
    /// `fold` is for messages of one role.
    Fold,
    /// `hoist` is for fields of tools.
    Hoist,
    /// A new place is for a top-level field.
    Move,
}

impl fmt::Display for NotARule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => {
                "`pass`, `drop`, `refuse`, `fold`, `hoist`, or a new place like `output_config.format`"
            }
            Self::Refuse => {
                "`refuse` for a top-level field, or for a kind of content like `blocks[document]`, \
                 `blocks[image].source[url]` or `tools[web_search_*]`"
            }
            Self::Fold => "`fold` for messages of one role, like `messages[system]`",
            Self::Hoist => "`hoist` for a field of tools, like `tools[].custom`",
            Self::Move => "a new place for a top-level field alone",
        })
    }
}

impl FieldRule {
    pub(crate) fn parse(text: &str, path: &FieldPath) -> Result<Self, NotARule> {
        let steps = path.steps();
        let only = |holds: bool, rule: Self, wrong: NotARule| if holds { Ok(rule) } else { Err(wrong) };
        let own_name = path.top_level().is_some_and(|name| name != FieldPath::ANY);
        match text {
            "pass" => Ok(Self::Pass),
            "drop" => Ok(Self::Drop),
            "refuse" => only(own_name || path.is_content(), Self::Refuse, NotARule::Refuse),
            "fold" => {
                let is_role =
                    |step: &Step| matches!(&step.select, Some(Select::Where { key, .. }) if key == "role");
                let is_messages = steps.len() == 1 && steps[0].name == "messages" && is_role(&steps[0]);
                only(is_messages, Self::Fold, NotARule::Fold)
            }
            "hoist" => {
                let of_tools = steps.len() == 2 && steps[0].name == "tools" && steps[0].select.is_some();
                only(of_tools && steps[1].select.is_none(), Self::Hoist, NotARule::Hoist)
            }
            place => match FieldPath::parse(place).map(|place| place.steps) {
                Ok(place) => match <[Step; 2]>::try_from(place) {
                    Ok([Step { name: object, select: None }, Step { name, select: None }]) => {
                        only(own_name, Self::Move { object, name }, NotARule::Move)
                    }
                    _ => Err(NotARule::Unknown),
                },
                Err(NotAPath) => Err(NotARule::Unknown),
            },
        }
    }
}

impl fmt::Display for FieldRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Drop => f.write_str("drop"),
            Self::Refuse => f.write_str("refuse"),
            Self::Fold => f.write_str("fold"),
            Self::Hoist => f.write_str("hoist"),
            Self::Move { object, name } => write!(f, "{object}.{name}"),
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
            assert_eq!(FieldPath::parse(wrong), Err(NotAPath), "{wrong}");
        }
    }

    #[test]
    fn rules_fit_their_fields() {
        #[track_caller]
        fn check(path: &str, rule: &str, expected: Result<(), NotARule>) {
            let found = FieldRule::parse(rule, &FieldPath::parse(path).unwrap());
            assert_eq!(
                found.as_ref().map(ToString::to_string).map_err(|wrong| *wrong),
                expected.map(|()| rule.to_owned())
            );
        }
        check("a.b", "pass", Ok(()));
        check("*", "drop", Ok(()));
        for refused in ["speed", "blocks[document]", "blocks[image].source[url]", "tools[web_*]"] {
            check(refused, "refuse", Ok(()));
        }
        for other in ["*", "a.b", "blocks[]", "tools[name=x]", "messages[user]", "blocks[image].x[url]"] {
            check(other, "refuse", Err(NotARule::Refuse));
        }
        check("messages[system]", "fold", Ok(()));
        check("messages[]", "fold", Err(NotARule::Fold));
        check("tools[].custom", "hoist", Ok(()));
        check("custom", "hoist", Err(NotARule::Hoist));
        check("output_format", "output_config.format", Ok(()));
        check("a.b", "c.d", Err(NotARule::Move));
        check("a", "dropp", Err(NotARule::Unknown));
        check("a", "b.c.d", Err(NotARule::Unknown));
    }
}
