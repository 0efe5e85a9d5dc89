//! Calls Z.AI (GLM): Anthropic's format, with the reason for an error in Z.AI's own business code.
//!
//! # Source
//! docs.z.ai/api-reference/api-code, docs.bigmodel.cn/cn/api/api-code, and answers in public reports: typed,
//! `{"type":"error","error":{"type":"rate_limit_error","code":"1308","message":"[1308][…][id]"}}`, or bare,
//! `{"error":{"code":"1210","message":"…"}}`. The code may also be in `error.type`, as in
//! `{"type":"error","error":{"type":"1113","message":"…"}}` (github.com/anthropics/claude-code, issues 9201 and 11345).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{Request, StatusCode};
use relay_config::{BaseUrl, Secret};
use relay_messages::{ApiError, Payload};

use crate::anthropic_format::{self, ApiKey};
use crate::failure::{self, Judgement, Meaning, Rule, Scope, Subject, UpstreamError, Wait, When};
use crate::provider::{AuthorizeError, FreeRequest, PrepareError, Provider};
use crate::request::{Attempt, Endpoint};

/// The time zone of "Your limit will reset at 2026-09-12 00:35:41", for every account: Beijing (a report in
/// can1357/oh-my-pi#11014 compares it with the account's own page).
const BEIJING: Duration = Duration::from_secs(8 * 60 * 60);
/// The pause of a key whose cap is used up, if the message states no time.
const CAP_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Authentication (1000 to 1004); no access (1220). Both may come with status 429 too, but a retry with the same key then
/// fails again.
const REJECTED: When = When::CodeIn(&[(1000, 1004), (1220, 1220)]);
/// Account inactive, absent, locked, in arrears, or in violation of the rules (1110 to 1121); plan expired (1309).
const ACCOUNT: When = When::CodeIn(&[(1110, 1119), (1121, 1121), (1309, 1309)]);
/// "Unable to successfully access your account, please try again later" (1120).
const NOT_REACHED: When = When::CodeIn(&[(1120, 1120)]);
/// Unknown model (1211); a model that is not in the plan (1311).
const NO_MODEL: When = When::CodeIn(&[(1211, 1211), (1311, 1311)]);
/// Concurrency, frequency, usage until a reset, fair use; the cap of a day, a week or a month.
const LIMITED: When = When::CodeIn(&[(1302, 1303), (1308, 1308), (1313, 1313), (1316, 1321)]);
/// The cap of a day or of a plan is used up.
const USED_UP: When = When::CodeIn(&[(1304, 1304), (1310, 1310)]);
/// A traffic limit (1305), and "model busy" (1312). Neither is about the key.
const OVERLOADED: When = When::CodeIn(&[(1305, 1305), (1312, 1312)]);
const TOO_LONG: When = When::CodeIn(&[(1261, 1261)]);
/// Invalid parameters (1210 to 1215); refused content (1301).
const REFUSED: When = When::CodeIn(&[(1210, 1210), (1212, 1215), (1301, 1301)]);

const LIMIT: Meaning = Meaning::Limited(Scope::Key, Wait::DateInMessage { east: BEIJING, otherwise: None });
const CAP: Meaning =
    Meaning::Limited(Scope::Key, Wait::DateInMessage { east: BEIJING, otherwise: Some(CAP_PAUSE) });

const MESSAGE: &str = "{message}";
const CODE: &str = "Z.AI answered with its code {code}";

const RULES: &[Rule] = &[
    Rule::when(&[TOO_LONG])
        .means(Meaning::Refused)
        .answers(400)
        .says("prompt is too long: {message}")
        .or_without_message("prompt is too long"),
    // An error in Anthropic's form passes unchanged, since clients understand it.
    Rule::when(&[REJECTED]).means(Meaning::CredentialRejected),
    Rule::when(&[REJECTED, When::Foreign, When::Status(500, 599)]).answers(403),
    Rule::when(&[REJECTED, When::Foreign]).says(MESSAGE).or_without_message(CODE),
    Rule::when(&[ACCOUNT]).means(Meaning::AccountRejected),
    Rule::when(&[ACCOUNT, When::Foreign, When::Status(500, 599)]).answers(403),
    Rule::when(&[ACCOUNT, When::Foreign]).says(MESSAGE).or_without_message(CODE),
    Rule::when(&[NOT_REACHED]).means(Meaning::Failed),
    Rule::when(&[NOT_REACHED, When::Foreign]).answers(500).says(MESSAGE).or_without_message(CODE),
    Rule::when(&[NO_MODEL]).means(Meaning::ModelUnavailable),
    Rule::when(&[NO_MODEL, When::Foreign]).answers(404).says("model: {message}"),
    Rule::when(&[LIMITED]).means(LIMIT),
    Rule::when(&[LIMITED, When::Foreign]).answers(429).says(MESSAGE).or_without_message(CODE),
    Rule::when(&[USED_UP]).means(CAP),
    Rule::when(&[USED_UP, When::Foreign]).answers(429).says(MESSAGE).or_without_message(CODE),
    Rule::when(&[OVERLOADED]).means(Meaning::Overloaded(Wait::Headers)),
    Rule::when(&[OVERLOADED, When::Foreign]).answers(503).says(MESSAGE).or_without_message(CODE),
    Rule::when(&[REFUSED]).means(Meaning::Refused),
    Rule::when(&[REFUSED, When::Foreign]).answers(400).says(MESSAGE).or_without_message(CODE),
];

/// Z.AI with one key.
#[derive(Debug, Clone)]
pub struct Zai {
    base_url: BaseUrl,
    key: ApiKey,
}

impl Zai {
    /// Creates the provider at `base_url` with `key`, sent as `x-api-key`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn new(base_url: BaseUrl, key: &Secret) -> Result<Self, AuthorizeError> {
        Ok(Self { base_url, key: ApiKey::plain(key)? })
    }
}

impl Provider for Zai {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        anthropic_format::prepare(&self.base_url, attempt)
    }

    async fn authorize(
        &self,
        mut request: Request<Payload>,
        _: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        self.key.write_to(request.headers_mut());
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    fn free_request(&self) -> FreeRequest {
        FreeRequest::Get("/v1/models")
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        let mut judgement =
            failure::judge_own_key(RULES, &Subject::with(error, business_code(error), error.message()));
        let lacks_limit = attempt.request().endpoint() == Endpoint::Messages
            && attempt.request().body().max_tokens().is_none();
        if error.status() == StatusCode::INTERNAL_SERVER_ERROR && lacks_limit {
            // Z.AI answers 500 to a request that other upstreams refuse. The message is Anthropic's.
            judgement.api_error = Some(ApiError::new(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "max_tokens: Field required",
            ));
        }
        judgement
    }
}

/// Returns Z.AI's code, which is in `error.code`, in `error.type`, or at the beginning of the message, as in
/// `[1113][Insufficient balance][id]`. A code has four digits; `error.code` may also contain a status.
fn business_code(error: &UpstreamError) -> Option<Cow<'_, str>> {
    let in_message = || error.message()?.strip_prefix('[')?.split_once(']').map(|(code, _)| code);
    let is_business = |code: &&str| code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit());
    let found = [error.code(), error.kind(), in_message()].into_iter().flatten().find(is_business);
    found.or(error.code()).map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use relay_messages::MessagesBody;

    use super::*;
    use crate::failure::testing;
    use crate::outcome::{LimitScope, Outcome};
    use crate::request::RelayRequest;

    const LIMITED_REQUEST: &str = r#"{"model":"m","max_tokens":1}"#;

    fn zai() -> Zai {
        Zai::new(BaseUrl::parse("https://api.z.ai/api/anthropic").unwrap(), &Secret::new("k")).unwrap()
    }

    fn judged(request: &'static str, status: u16, body: &str) -> Judgement {
        let date = ("date", "Fri, 11 Sep 2026 16:19:04 GMT");
        zai().judge(&testing::error_with(status, &[date], body), &attempt(request))
    }

    fn attempt(body: &'static str) -> Attempt {
        let body = MessagesBody::parse(body.into()).unwrap();
        Attempt::new(RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body))
    }

    #[test]
    fn the_business_code_takes_precedence_over_the_status() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: Outcome) {
            assert_eq!(judged(LIMITED_REQUEST, status, body).outcome, expected, "{status} {body}");
        }
        let limited = |seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            Outcome::RateLimited { retry_after, scope: LimitScope::Key }
        };
        check(429, r#"{"error":{"code":"1113","message":"no balance"}}"#, Outcome::CredentialRejected);
        for body in [
            r#"{"type":"error","error":{"type":"1113","message":"Insufficient balance or no resource package."}}"#,
            r#"{"type":"error","error":{"type":"rate_limit_error","code":"1113","message":"[1113][Insufficient balance][id]"}}"#,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"[1113][Insufficient balance][id]"}}"#,
            r#"{"type":"error","error":{"type":"api_error","code":"500","message":"[1309][Plan expired][id]"}}"#,
        ] {
            for status in [400, 429, 500] {
                check(status, body, Outcome::CredentialRejected);
            }
        }
        let quoted = r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages.0: [1113][x] is invalid"}}"#;
        check(400, quoted, Outcome::Refused);
        check(429, r#"{"error":{"code":"1302","message":"concurrency"}}"#, limited(None));
        check(
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","code":"1308","message":"[1308][Usage limit reached for 5 hour. Your limit will reset at 2026-09-12 00:35:41][20260912001903b4955568412247d7]"}}"#,
            limited(Some(997)),
        );
        check(
            429,
            r#"{"error":{"code":"1310","message":"Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-09-13 00:19:04"}}"#,
            limited(Some(86_400)),
        );
        check(
            429,
            r#"{"error":{"code":"1310","message":"Weekly/Monthly Limit Exhausted"}}"#,
            limited(Some(3600)),
        );
        check(429, r#"{"error":{"code":"1312"}}"#, Outcome::Overloaded { retry_after: None });
        check(400, r#"{"error":{"code":"1211"}}"#, Outcome::ModelUnavailable);
        check(400, r#"{"error":{"code":"1210"}}"#, Outcome::Refused);
        check(400, r#"{"error":{"code":1261}}"#, Outcome::Refused);
        check(500, r#"{"type":"error","error":{"type":"api_error","code":"500"}}"#, Outcome::Failed);
        check(502, "<html>", Outcome::Failed);
    }

    #[test]
    fn an_error_over_money_concerns_the_account() {
        #[track_caller]
        fn check(body: &str, expected: bool) {
            let found = judged(LIMITED_REQUEST, 429, body);
            assert_eq!(found.outcome, Outcome::CredentialRejected, "{body}");
            assert_eq!(found.is_account_rejected, expected, "{body}");
        }
        check(
            r#"{"type":"error","error":{"type":"1113","message":"Insufficient balance or no resource package."}}"#,
            true,
        );
        check(
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"[1113][no money][20261122]"}}"#,
            true,
        );
        check(r#"{"error":{"code":"1112","message":"locked"}}"#, true);
        check(r#"{"error":{"code":"1309","message":"expired"}}"#, true);
        check(r#"{"error":{"code":"1001","message":"token expired"}}"#, false);
        check(r#"{"type":"error","error":{"type":"1001","message":"token expired"}}"#, false);
        check(r#"{"error":{"code":"1220","message":"no access"}}"#, false);
        let later = r#"{"error":{"code":"1120","message":"Unable to successfully access your account"}}"#;
        assert_eq!(judged(LIMITED_REQUEST, 500, later).outcome, Outcome::Failed);
    }

    #[test]
    fn errors_in_another_form_get_a_status_and_a_message_that_clients_understand() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: Option<(u16, &str, &str)>) {
            let found = judged(LIMITED_REQUEST, status, body).api_error;
            let found = found.as_ref().map(|e| (e.status.as_u16(), e.kind, e.message.as_str()));
            assert_eq!(found, expected, "{body}");
        }
        let too_long = "prompt is too long: [1261][Prompt exceeds max length][id]";
        check(
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","code":"1261","message":"[1261][Prompt exceeds max length][id]"}}"#,
            Some((400, "invalid_request_error", too_long)),
        );
        check(
            400,
            r#"{"error":{"code":"1261"}}"#,
            Some((400, "invalid_request_error", "prompt is too long")),
        );
        let busy = r#"{"error":{"code":"1305","message":"Try again later"}}"#;
        check(429, busy, Some((503, "overloaded_error", "Try again later")));
        check(
            400,
            r#"{"error":{"code":"1211","message":"Unknown Model"}}"#,
            Some((404, "not_found_error", "model: Unknown Model")),
        );
        check(
            400,
            r#"{"error":{"code":"1302","message":"Slow down"}}"#,
            Some((429, "rate_limit_error", "Slow down")),
        );
        check(
            401,
            r#"{"error":{"code":"1001","message":"No key"}}"#,
            Some((401, "authentication_error", "No key")),
        );
        check(
            400,
            r#"{"error":{"code":"1210"}}"#,
            Some((400, "invalid_request_error", "Z.AI answered with its code 1210")),
        );
        // An error in Anthropic's form stays as it is. An unknown one is left to the general translation.
        check(
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","code":"1302","message":"x"}}"#,
            None,
        );
        check(500, r#"{"type":"error","error":{"type":"api_error","code":"500","message":"x"}}"#, None);
        check(502, "<html>", None);
    }

    #[test]
    fn a_failure_due_to_a_missing_field_names_the_field() {
        let error = r#"{"type":"error","error":{"type":"api_error","code":"500","message":"[500][x][id]"}}"#;
        let found = judged(r#"{"model":"m"}"#, 500, error).api_error.unwrap();
        assert_eq!((found.status.as_u16(), &*found.message), (400, "max_tokens: Field required"));
    }
}
