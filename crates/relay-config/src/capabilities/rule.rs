//! The rule for a field: what happens to it on the way to an upstream.

use std::fmt;

use super::path::{FieldPath, PathStep, Select};

/// The rule for a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldRule {
    /// The field is sent to the upstream.
    Pass,
    /// The field is removed, together with containers that become empty.
    Drop,
    /// The upstream cannot serve a request with this field, and is not tried.
    Refuse,
    /// The messages become content blocks of an adjacent user turn.
    Fold,
    /// The members of the object move one level up.
    Hoist,
    /// The field moves into an object.
    Move {
        /// The name of the top-level object.
        object: String,
        /// The name of the field in that object.
        name: String,
    },
}

/// An error: the text is not a rule, or not a rule for this field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotARule {
    /// The text is not a rule.
    Unknown,
    /// The rule `refuse` is for top-level fields and content types.
    Refuse,
    /// The rule `fold` is for messages of one role.
    Fold,
    /// The rule `hoist` is for fields of tools.
    Hoist,
    /// A new path is for a top-level field.
    Move,
}

impl fmt::Display for NotARule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => {
                "`pass`, `drop`, `refuse`, `fold`, `hoist`, or a new path such as `output_config.format`"
            }
            Self::Refuse => {
                "`refuse` for a top-level field, or for a kind of content like `blocks[document]`, \
                 `blocks[image].source[url]` or `tools[web_search_*]`"
            }
            Self::Fold => "`fold` for messages of one role, like `messages[system]`",
            Self::Hoist => "`hoist` for a field of tools, like `tools[].custom`",
            Self::Move => "a new path for a top-level field only",
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
                let is_role = |step: &PathStep| matches!(&step.select, Some(Select::Where { key, .. }) if key == "role");
                let is_messages = steps.len() == 1 && steps[0].name == "messages" && is_role(&steps[0]);
                only(is_messages, Self::Fold, NotARule::Fold)
            }
            "hoist" => {
                let of_tools = steps.len() == 2 && steps[0].name == "tools" && steps[0].select.is_some();
                only(of_tools && steps[1].select.is_none(), Self::Hoist, NotARule::Hoist)
            }
            place => match FieldPath::parse(place).as_ref().map(FieldPath::steps) {
                Ok([PathStep { name: object, select: None }, PathStep { name, select: None }]) => {
                    only(own_name, Self::Move { object: object.clone(), name: name.clone() }, NotARule::Move)
                }
                _ => Err(NotARule::Unknown),
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
