//! The names under which vendors serve Claude models.

use std::fmt;

/// A Claude model, read from any vendor's spelling of its name.
///
/// ```
/// use relay_config::ClaudeModel;
///
/// let names = [
///     "claude-sonnet-4-5",
///     "claude-sonnet-4-5@20250929",
///     "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
///     "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
/// ];
/// for name in names {
///     assert_eq!(ClaudeModel::parse(name).unwrap().to_string(), "claude-sonnet-4-5");
/// }
/// assert_eq!(ClaudeModel::parse("glm-4.7"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeModel {
    /// `opus`, `sonnet`, `haiku`, `fable`, … in lower case.
    family: String,
    /// Major and minor. `None` for a model without a number, such as `claude-mythos-preview`.
    version: Option<(u32, u32)>,
    /// The release in the form `YYYYMMDD`, if the name contains one.
    date: Option<String>,
}

/// The last generation whose names have the family after the version, as in `claude-3-5-haiku`.
const LAST_WITH_FAMILY_AT_THE_END: u32 = 3;

impl ClaudeModel {
    /// Reads `name`: a name of Anthropic's with or without a date, of Vertex AI with `@`, of Bedrock with the prefix of a
    /// vendor or of an inference profile and with the suffix of a version, or the ARN of a foundation model or of an
    /// inference profile. `[1m]`, upper case and a version with a dot are accepted too.
    ///
    /// Returns `None` for any other name. A name of the operator's own, such as `my-claude-sonnet`, is none of these.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let (prefix, name) = name.split_at(name.find("claude-")?);
        if !(prefix.is_empty() || prefix.ends_with(['.', '/']))
            || prefix.contains("application-inference-profile")
        {
            return None;
        }
        let name = name.strip_prefix("claude-")?.trim_end_matches("[1m]");
        let (name, release) = name.split_once('@').unwrap_or((name, ""));
        let name = name.split(':').next().unwrap_or_default().replace('.', "-");
        let mut parts: Vec<&str> = name.split('-').collect();
        let mut date = Some(release).filter(|release| is_date(release));
        while let Some(last) = parts.last().filter(|last| is_suffix(last)) {
            date = date.or(Some(last).filter(|last| is_date(last)).copied());
            parts.pop();
        }
        Self::of_parts(&parts, date.map(str::to_owned))
    }

    /// Reads the parts of a name without its suffixes: the family before the version, or after it.
    fn of_parts(parts: &[&str], date: Option<String>) -> Option<Self> {
        let leading = parts.iter().take_while(|part| number(part).is_some()).count();
        let trailing = parts.iter().rev().take_while(|part| number(part).is_some()).count();
        let (numbers, words) = match leading {
            0 => (&parts[parts.len() - trailing..], &parts[..parts.len() - trailing]),
            _ => parts.split_at(leading),
        };
        let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        if words.is_empty() || words.len() > 2 || !words.iter().all(is_word) {
            return None;
        }
        let version = match numbers {
            [] => None,
            [major] => Some((number(major)?, 0)),
            [major, minor] => Some((number(major)?, number(minor)?)),
            _ => return None,
        };
        Some(Self { family: words.join("-"), version, date })
    }

    /// Returns major and minor, such as (4, 5). `None` for a model without a number.
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32)> {
        self.version
    }

    /// Returns the family, such as `sonnet`.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.family
    }

    /// Returns the date of the release in the form `YYYYMMDD`, if the name contained one.
    #[must_use]
    pub fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }
}

/// The name of the model at Anthropic, without a date. A minor version of 0 is omitted.
impl fmt::Display for ClaudeModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = &self.family;
        match self.version {
            None => write!(f, "claude-{family}"),
            Some((major @ ..=LAST_WITH_FAMILY_AT_THE_END, 0)) => write!(f, "claude-{major}-{family}"),
            Some((major @ ..=LAST_WITH_FAMILY_AT_THE_END, minor)) => {
                write!(f, "claude-{major}-{minor}-{family}")
            }
            Some((major, 0)) => write!(f, "claude-{family}-{major}"),
            Some((major, minor)) => write!(f, "claude-{family}-{major}-{minor}"),
        }
    }
}

/// Returns `true` for a part at the end of a name that says nothing about the model: a date, a version of Bedrock's such as
/// `v1`, or `latest`.
fn is_suffix(part: &str) -> bool {
    let is_revision = part
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    is_date(part) || is_revision || part == "latest"
}

fn is_date(part: &str) -> bool {
    part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the number of a version. Longer numbers are dates.
fn number(part: &str) -> Option<u32> {
    (1..=2).contains(&part.len()).then(|| part.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    type Version = Option<(u32, u32)>;

    /// The models with their canonical names, versions, and the dates that their names contain.
    const MODELS: [(&str, Version, &str); 22] = [
        ("claude-3-haiku", Some((3, 0)), "20240307"),
        ("claude-3-opus", Some((3, 0)), "20240229"),
        ("claude-3-5-haiku", Some((3, 5)), "20241022"),
        ("claude-3-5-sonnet", Some((3, 5)), "20241022"),
        ("claude-3-7-sonnet", Some((3, 7)), "20250219"),
        ("claude-opus-4", Some((4, 0)), "20250514"),
        ("claude-sonnet-4", Some((4, 0)), "20250514"),
        ("claude-opus-4-1", Some((4, 1)), "20250805"),
        ("claude-sonnet-4-5", Some((4, 5)), "20250929"),
        ("claude-haiku-4-5", Some((4, 5)), "20251001"),
        ("claude-opus-4-6", Some((4, 6)), "20260205"),
        ("claude-sonnet-4-6", Some((4, 6)), "20260217"),
        ("claude-opus-4-8", Some((4, 8)), "20260501"),
        ("claude-sonnet-5", Some((5, 0)), "20260701"),
        ("claude-opus-5-5", Some((5, 5)), "20261001"),
        ("claude-haiku-5-5", Some((5, 5)), "20261001"),
        ("claude-fable-5", Some((5, 0)), "20260601"),
        ("claude-fable-5-2", Some((5, 2)), "20261101"),
        ("claude-mythos-5-1", Some((5, 1)), "20260901"),
        ("claude-mythos-preview", None, "20260401"),
        ("claude-opus-5-10", Some((5, 10)), "20270101"),
        ("claude-opus-10", Some((10, 0)), "20290101"),
    ];

    const PREFIXES: [&str; 14] = [
        "",
        "anthropic.",
        "anthropic/",
        "us.anthropic.",
        "eu.anthropic.",
        "apac.anthropic.",
        "jp.anthropic.",
        "global.anthropic.",
        "us-gov.anthropic.",
        "US.Anthropic.",
        "publishers/anthropic/models/",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.",
        "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.",
        "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.anthropic.",
    ];

    const SUFFIXES: [&str; 9] =
        ["", "-v1", "-v2:0", "-v1:0", "-v1:0:200k", ":0", "[1m]", "-latest", "@latest"];

    #[test]
    fn every_spelling_of_a_model_is_the_same_model() {
        for (canonical, version, date) in MODELS {
            for date in [String::new(), format!("-{date}"), format!("@{date}")] {
                for prefix in PREFIXES {
                    for suffix in SUFFIXES.iter().filter(|suffix| !date.starts_with('@') || suffix.is_empty())
                    {
                        let name = format!("{prefix}{canonical}{date}{suffix}");
                        let model =
                            ClaudeModel::parse(&name).unwrap_or_else(|| panic!("{name} was not read"));
                        assert_eq!(
                            (model.to_string().as_str(), model.version()),
                            (canonical, version),
                            "{name}"
                        );
                        assert_eq!(model.date(), date.get(1..), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn aliases_are_read() {
        for (name, canonical) in [
            ("claude-opus-4-0", "claude-opus-4"),
            ("claude-sonnet-4.5", "claude-sonnet-4-5"),
            ("anthropic/claude-3.5-haiku", "claude-3-5-haiku"),
            ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
            ("Claude-Opus-5", "claude-opus-5"),
        ] {
            let found = ClaudeModel::parse(name).map(|model| model.to_string()).unwrap_or_default();
            assert_eq!(found, canonical, "{name}");
        }
    }

    #[test]
    fn other_names_are_no_claude_models() {
        for name in [
            "",
            "claude-",
            "claude",
            "claude-5",
            "claude-opus-5-5-fast",
            "glm-4.7",
            "my-claude-sonnet-4-5",
            "claude-sonnet-4-5-6",
            "claude-4-sonnet-5",
            "claude-sonnet--5",
            "claude-é-5",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/claude-opus-5",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123",
        ] {
            assert_eq!(ClaudeModel::parse(name), None, "{name}");
        }
    }
}
