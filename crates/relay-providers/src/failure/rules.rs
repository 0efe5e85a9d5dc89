//! Evaluates the tables in which each kind of upstream lists its errors.
//!
//! ```text
//! UpstreamError ─▶ Subject { code, message, facts } ─▶ &[Rule] of the kind ─▶ outcome, ApiError
//!                  as the kind names its errors
//! ```
//! A rule has conditions and sets some properties: the outcome, the status and type for the client, the message for the
//! client. Each property comes from the first rule that applies and sets it. A rule for a message can therefore precede
//! the rule for the code of the error and leave the status to it.

use std::borrow::Cow;

use http::StatusCode;
use relay_messages::{ApiError, error_type};

use super::meaning::Meaning;
use super::{Form, Judgement, UpstreamError};

/// A line of a kind's table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    when: &'static [When],
    meaning: Option<Meaning>,
    answer: Option<Answer>,
    words: Option<Words>,
}

/// A condition of a rule.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum When {
    /// The status lies between these two, both included.
    Status(u16, u16),
    /// The code is one of these, in upper or lower case.
    Code(&'static [&'static str]),
    /// The code is a number in one of these ranges, both ends included.
    CodeIn(&'static [(u32, u32)]),
    /// The upstream states a code.
    HasCode,
    /// `error.type` is one of these.
    Type(&'static [&'static str]),
    /// The message begins with one of these texts, which are in lower case; the message may be in any. A text of the
    /// conversation that the upstream quotes is never at the beginning.
    Begins(&'static [&'static str]),
    /// The message holds this text, which is in lower case; the message may be in any.
    Says(&'static str),
    /// The message holds one of these texts, which are in lower case; the message may be in any.
    SaysOne(&'static [&'static str]),
    /// The fact of this name has this value.
    Fact(&'static str, &'static str),
    /// The upstream states a message.
    HasMessage,
    /// The body has this form.
    Form(Form),
    /// The body has another form than the Messages API's own.
    Foreign,
}

/// The status and `error.type` for the client.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// `None` keeps the status of the failure.
    status: Option<u16>,
    /// `None` takes the type that goes with the status.
    kind: Option<&'static str>,
}

/// A template of the message for the client. `{message}`, `{code}`, `{status}` and the names of the subject's facts are
/// filled in.
#[derive(Debug, Clone, Copy)]
struct Words {
    with_message: &'static str,
    without: &'static str,
}

impl Rule {
    /// A rule that applies if all of `conditions` hold.
    #[must_use]
    pub const fn when(conditions: &'static [When]) -> Self {
        Self { when: conditions, meaning: None, answer: None, words: None }
    }

    /// States the outcome.
    #[must_use]
    pub const fn means(mut self, meaning: Meaning) -> Self {
        self.meaning = Some(meaning);
        self
    }

    /// States the status for the client, and with it `error.type`.
    #[must_use]
    pub const fn answers(mut self, status: u16) -> Self {
        self.answer = Some(Answer { status: Some(status), kind: None });
        self
    }

    /// States `error.type` for the client, who gets the status of the failure.
    #[must_use]
    pub const fn answers_type(mut self, kind: &'static str) -> Self {
        self.answer = Some(Answer { status: None, kind: Some(kind) });
        self
    }

    /// States the message for the client.
    #[must_use]
    pub const fn says(mut self, words: &'static str) -> Self {
        self.words = Some(Words { with_message: words, without: words });
        self
    }

    /// States another message for an error in which the upstream states none.
    #[must_use]
    pub const fn or_without_message(mut self, words: &'static str) -> Self {
        if let Some(stated) = &mut self.words {
            stated.without = words;
        }
        self
    }

    fn applies_to(&self, subject: &Subject<'_>) -> bool {
        self.when.iter().all(|condition| condition.holds(subject))
    }
}

impl When {
    fn holds(self, subject: &Subject<'_>) -> bool {
        let error = subject.error;
        match self {
            Self::Status(first, last) => (first..=last).contains(&error.status().as_u16()),
            Self::Code(codes) => {
                subject.code().is_some_and(|code| codes.iter().any(|known| known.eq_ignore_ascii_case(code)))
            }
            Self::CodeIn(ranges) => {
                let number = subject.code().and_then(|code| code.parse::<u32>().ok());
                number.is_some_and(|code| ranges.iter().any(|(first, last)| (*first..=*last).contains(&code)))
            }
            Self::HasCode => subject.code.is_some(),
            Self::Type(kinds) => error.kind().is_some_and(|kind| kinds.contains(&kind)),
            Self::Begins(texts) => texts.iter().any(|text| subject.lower.starts_with(text)),
            Self::Says(text) => subject.lower.contains(text),
            Self::SaysOne(texts) => texts.iter().any(|text| subject.lower.contains(text)),
            Self::Fact(name, value) => subject.fact(name) == Some(value),
            Self::HasMessage => subject.message.is_some(),
            Self::Form(form) => error.form() == form,
            Self::Foreign => error.form() != Form::Anthropic,
        }
    }
}

/// An error as the rules of one kind see it: with the code and the message from the places where this kind states them.
pub(crate) struct Subject<'a> {
    error: &'a UpstreamError,
    code: Option<Cow<'a, str>>,
    message: Option<&'a str>,
    lower: String,
    facts: &'a [(&'static str, &'a str)],
}

impl<'a> Subject<'a> {
    /// The error with the code and the message that [`UpstreamError`] finds.
    pub(crate) fn new(error: &'a UpstreamError) -> Self {
        Self::with(error, error.code().map(Cow::Borrowed), error.message())
    }

    /// The error with a code and a message from other places. An empty message counts as none.
    pub(crate) fn with(
        error: &'a UpstreamError,
        code: Option<Cow<'a, str>>,
        message: Option<&'a str>,
    ) -> Self {
        let message = message.filter(|message| !message.is_empty());
        let lower = message.unwrap_or_default().to_ascii_lowercase();
        Self { error, code, message, lower, facts: &[] }
    }

    /// Adds facts for the messages of the table, by name.
    pub(crate) fn with_facts(self, facts: &'a [(&'static str, &'a str)]) -> Self {
        Self { facts, ..self }
    }

    /// The error itself.
    pub(super) fn error(&self) -> &'a UpstreamError {
        self.error
    }

    fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| *value)
    }

    fn fill(&self, words: Words) -> String {
        let status = self.error.status();
        fill(if self.message.is_some() { words.with_message } else { words.without }, |name| match name {
            "message" => Some(self.message.unwrap_or_default()),
            "code" => Some(self.code().unwrap_or_default()),
            "status" => Some(status.as_str()),
            name => self.fact(name),
        })
    }
}

/// Judges an error by the first of `rules` that applies and states an outcome; `None` if there is none. The words for the
/// client are left to [`api_error`].
pub(super) fn outcome(rules: &[Rule], subject: &Subject<'_>) -> Option<Judgement> {
    let meaning = applying(rules, subject).find_map(|rule| rule.meaning)?;
    let mut judgement = Judgement::new(meaning.outcome(subject.error));
    judgement.is_account_rejected = matches!(meaning, Meaning::AccountRejected);
    if meaning.is_own_pause() {
        judgement.retry_after = None;
    }
    Some(judgement)
}

/// Returns the words for the client, if one of `rules` applies and states some.
pub(super) fn api_error(rules: &[Rule], subject: &Subject<'_>) -> Option<ApiError> {
    let words = applying(rules, subject).find_map(|rule| rule.words)?;
    let answer = applying(rules, subject).find_map(|rule| rule.answer);
    let status = answer.and_then(|answer| StatusCode::from_u16(answer.status?).ok());
    let status = status.unwrap_or(subject.error.status());
    let kind = answer.and_then(|answer| answer.kind).unwrap_or_else(|| error_type(status));
    Some(ApiError::new(status, kind, subject.fill(words)))
}

fn applying<'a>(rules: &'a [Rule], subject: &Subject<'_>) -> impl Iterator<Item = &'a Rule> {
    rules.iter().filter(|rule| rule.applies_to(subject))
}

/// Replaces each `{name}` for which `value` returns a text, in one pass: that text is not searched for names.
fn fill<'a>(template: &'a str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, tail)| Some((value(name)?, tail))) {
            Some((value, tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::super::testing::error;
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn each_property_comes_from_the_first_rule_that_applies_and_states_it() {
        const RULES: &[Rule] = &[
            Rule::when(&[When::Says("no such model")])
                .means(Meaning::ModelUnavailable)
                .says("model: {message}"),
            Rule::when(&[When::Code(&["Bad"])]).means(Meaning::Refused).answers(422),
            Rule::when(&[When::HasCode])
                .answers(418)
                .says("{message}")
                .or_without_message("{name} returned {code}"),
        ];
        #[track_caller]
        fn check(body: &str, outcome: Option<Outcome>, expected: Option<(u16, &str, &str)>) {
            let error = error(400, body);
            let facts = [("name", "Upstream")];
            let subject = Subject::new(&error).with_facts(&facts);
            assert_eq!(super::outcome(RULES, &subject).map(|found| found.outcome), outcome, "{body}");
            let found = api_error(RULES, &subject);
            let found = found.as_ref().map(|e| (e.status.as_u16(), e.kind, e.message.as_str()));
            assert_eq!(found, expected, "{body}");
        }
        let kind = "invalid_request_error";
        check(
            r#"{"code":"bad","message":"No such MODEL x"}"#,
            Some(Outcome::ModelUnavailable),
            Some((422, kind, "model: No such MODEL x")),
        );
        check(r#"{"code":"bad","message":"no"}"#, Some(Outcome::Refused), Some((422, kind, "no")));
        check(r#"{"code":"new"}"#, None, Some((418, kind, "Upstream returned new")));
        check(r#"{"message":"no"}"#, None, None);
    }

    #[test]
    fn a_value_is_not_searched_for_names() {
        let value = |name: &str| (name == "model").then_some("{model}{x}");
        assert_eq!(fill("a {model} {other} {", value), "a {model}{x} {other} {");
    }
}
