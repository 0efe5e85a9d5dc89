//! The tables in which each kind of upstream lists its errors, and the one function that evaluates them.
//!
//! ```text
//! UpstreamError ─▶ Subject { code, message, facts } ─▶ &[Rule] of the kind ─▶ outcome, ApiError
//!                  as the kind names its errors
//! ```
//! A rule has conditions and states some properties: the outcome, the status and type for the client, the words for the
//! client. Each property comes from the first rule that applies and states it. So a rule for a wording can stand before
//! the rule for the error's code and leave the status to it.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, RETRY_AFTER};
use relay_messages::retry_after::{self, RETRY_AFTER_MS};
use relay_messages::{ApiError, RateLimits, error_type};

use super::{Form, Judgement, UpstreamError};
use crate::outcome::{LimitScope, Outcome};

/// `false` if a retry is of no use, `true` if it may succeed at once.
pub(super) const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A line of a kind's table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    when: &'static [When],
    meaning: Option<Meaning>,
    answer: Option<Answer>,
    words: Option<Words>,
}

/// A condition of a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// The status lies between these two, both included.
    Status(u16, u16),
    /// The code is one of these, in upper or lower case.
    Code(&'static [&'static str]),
    /// The code is a number in one of these ranges, both ends included.
    CodeIn(&'static [(u32, u32)]),
    /// The upstream states a code.
    HasCode,
    /// `error.type` is this.
    Type(&'static str),
    /// The message holds this text, which is in lower case; the message may be in any.
    Says(&'static str),
    /// The upstream states a message.
    HasMessage,
    /// The body has this form.
    Form(Form),
    /// The body has another form than the Messages API's own.
    Foreign,
}

/// The outcome that a rule states. A time to wait is still to be read from the error.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    Refused,
    Limited(Scope, Wait),
    Overloaded(Wait),
    ModelUnavailable,
    CredentialRejected,
    Failed,
    Unsupported,
}

/// The extent of a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    Key,
    Request,
    /// The key if the upstream states a time to wait, or else the request.
    KeyIfTimed,
    /// The key if some header or a time to wait names a limit, unless the upstream states that a retry is fine.
    AsStated,
}

/// The places that state the time to wait. A header always comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// `retry-after-ms` and `retry-after`.
    Headers,
    /// `google.rpc.RetryInfo` among the details.
    RetryInfo,
    /// The rate-limit headers of a limit that is used up, then a duration in the message.
    LimitsOrMessage,
    /// A date and time in the message, in the time zone so far east of UTC; or else `otherwise`.
    DateInMessage { east: Duration, otherwise: Option<Duration> },
    /// The relay's own pause, whatever the upstream states. The client does not get it.
    Pause(Duration),
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
    pub(crate) const fn when(conditions: &'static [When]) -> Self {
        Self { when: conditions, meaning: None, answer: None, words: None }
    }

    /// States the outcome.
    pub(crate) const fn means(mut self, meaning: Meaning) -> Self {
        self.meaning = Some(meaning);
        self
    }

    /// States the status for the client, and with it `error.type`.
    pub(crate) const fn answers(mut self, status: u16) -> Self {
        self.answer = Some(Answer { status: Some(status), kind: None });
        self
    }

    /// States `error.type` for the client, who gets the status of the failure.
    pub(crate) const fn answers_type(mut self, kind: &'static str) -> Self {
        self.answer = Some(Answer { status: None, kind: Some(kind) });
        self
    }

    /// States the message for the client.
    pub(crate) const fn says(mut self, words: &'static str) -> Self {
        self.words = Some(Words { with_message: words, without: words });
        self
    }

    /// States another message for an error without a message of its own.
    pub(crate) const fn or_without_message(mut self, words: &'static str) -> Self {
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
            Self::Type(kind) => error.kind() == Some(kind),
            Self::Says(text) => subject.lower.contains(text),
            Self::HasMessage => subject.message.is_some(),
            Self::Form(form) => error.form() == form,
            Self::Foreign => error.form() != Form::Anthropic,
        }
    }
}

impl Meaning {
    fn outcome(self, error: &UpstreamError) -> Outcome {
        match self {
            Self::Refused => Outcome::Refused,
            Self::Limited(scope, wait) => {
                let retry_after = wait.read(error);
                Outcome::RateLimited { retry_after, scope: scope.read(error, retry_after) }
            }
            Self::Overloaded(wait) => Outcome::Overloaded { retry_after: wait.read(error) },
            Self::ModelUnavailable => Outcome::ModelUnavailable,
            Self::CredentialRejected => Outcome::CredentialRejected,
            Self::Failed => Outcome::Failed,
            Self::Unsupported => Outcome::Unsupported,
        }
    }

    /// Returns `true` if the time to wait is the relay's own choice.
    fn is_own_pause(self) -> bool {
        matches!(self, Self::Limited(_, Wait::Pause(_)) | Self::Overloaded(Wait::Pause(_)))
    }
}

impl Scope {
    fn read(self, error: &UpstreamError, retry_after: Option<Duration>) -> LimitScope {
        let headers = error.headers();
        let is_of_key = match self {
            Self::Key => true,
            Self::Request => false,
            Self::KeyIfTimed => retry_after.is_some(),
            Self::AsStated => {
                let names_limit = retry_after.is_some()
                    || headers.contains_key(RETRY_AFTER)
                    || headers.contains_key(RETRY_AFTER_MS)
                    || headers.keys().any(|name| name.as_str().starts_with("anthropic-ratelimit-"));
                names_limit && headers.get(X_SHOULD_RETRY).is_none_or(|value| value != "true")
            }
        };
        if is_of_key { LimitScope::Key } else { LimitScope::Request }
    }
}

impl Wait {
    fn read(self, error: &UpstreamError) -> Option<Duration> {
        let headers = error.headers();
        if let Self::Pause(pause) = self {
            return Some(pause);
        }
        retry_after::from_headers(headers).or_else(|| match self {
            Self::Headers | Self::Pause(_) => None,
            Self::RetryInfo => retry_info(error),
            Self::LimitsOrMessage => RateLimits::read(headers)
                .exhausted_for()
                .or_else(|| retry_after::from_phrase(error.message()?)),
            Self::DateInMessage { east, otherwise } => {
                let stated =
                    error.message().and_then(|message| retry_after::from_time_in(message, east, headers));
                stated.or(otherwise)
            }
        })
    }
}

/// Reads `retryDelay`, such as `1.5s`, of a `google.rpc.RetryInfo`.
fn retry_info(error: &UpstreamError) -> Option<Duration> {
    let details = error.member_in_list(&["error", "details"])?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'))?;
    Duration::try_from_secs_f64(delay.parse().ok()?).ok()
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

    fn fill(&self, words: Words) -> String {
        let status = self.error.status();
        fill(if self.message.is_some() { words.with_message } else { words.without }, |name| match name {
            "message" => Some(self.message.unwrap_or_default()),
            "code" => Some(self.code().unwrap_or_default()),
            "status" => Some(status.as_str()),
            name => self.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| *value),
        })
    }
}

/// Judges an error by the first of `rules` that applies and states an outcome; `None` if there is none. The words for the
/// client are left to [`api_error`].
pub(super) fn outcome(rules: &[Rule], subject: &Subject<'_>) -> Option<Judgement> {
    let meaning = applying(rules, subject).find_map(|rule| rule.meaning)?;
    let mut judgement = Judgement::new(meaning.outcome(subject.error));
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
    Some(ApiError { status, kind, message: subject.fill(words) })
}

fn applying<'a>(rules: &'a [Rule], subject: &Subject<'_>) -> impl Iterator<Item = &'a Rule> {
    rules.iter().filter(|rule| rule.applies_to(subject))
}

/// Replaces each `{name}` that `value` knows, in one pass: a value is not searched for names.
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
                .or_without_message("{name} said {code}"),
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
        check(r#"{"code":"new"}"#, None, Some((418, kind, "Upstream said new")));
        check(r#"{"message":"no"}"#, None, None);
    }

    #[test]
    fn a_value_is_not_searched_for_names() {
        let value = |name: &str| (name == "model").then_some("{model}{x}");
        assert_eq!(fill("a {model} {other} {", value), "a {model}{x} {other} {");
    }
}
