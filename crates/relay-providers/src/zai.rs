//! Z.AI (GLM): Anthropic's format, with the reason of an error in a business code of its own.
//!
//! # Source
//! docs.z.ai, "Error codes", and answers in public reports: typed,
//! `{"type":"error","error":{"type":"rate_limit_error","code":"1308","message":"[1308][…][id]"}}`, or bare,
//! `{"error":{"code":"1210","message":"…"}}`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, StatusCode, response};
use relay_config::{BaseUrl, Secret};
use relay_messages::{ApiError, Payload, error_type, retry_after};

use crate::answer::{LimitScope, Outcome};
use crate::failure::{self, Form, Reason};
use crate::messages::{self, ApiKey};
use crate::provider::{AuthorizeError, PrepareError, Provider};
use crate::request::{Attempt, Endpoint};

/// "Your limit will reset at 2026-09-12 00:35:41" is the time in Beijing, whoever asks (a report in
/// can1357/oh-my-pi#11014 compares it with the account's own page).
const BEIJING: Duration = Duration::from_secs(8 * 60 * 60);
/// When a key is looked at again whose cap is used up, where the message does not tell.
const CAP_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Z.AI with one key.
#[derive(Debug, Clone)]
pub struct Zai {
    base_url: BaseUrl,
    key: ApiKey,
}

impl Zai {
    /// The upstream at `base_url`, asked with `key` as `x-api-key`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] where no header can carry the key.
    pub fn new(base_url: BaseUrl, key: &Secret) -> Result<Self, AuthorizeError> {
        Ok(Self { base_url, key: ApiKey::plain(key)? })
    }
}

impl Provider for Zai {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        messages::prepare(&self.base_url, attempt)
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

    fn classify(&self, head: &response::Parts, error: &[u8]) -> Outcome {
        let reason = Reason::read(error);
        match Meaning::of(&reason) {
            _ if head.status.is_success() => Outcome::Success,
            Some(meaning) => meaning.outcome(&head.headers, &reason),
            None => messages::classify(head, error),
        }
    }

    fn translate_error(&self, attempt: &Attempt, head: &response::Parts, error: &[u8]) -> Option<ApiError> {
        let lacks_limit = attempt.request().endpoint() == Endpoint::Messages
            && attempt.request().body().max_tokens().is_none();
        if head.status == StatusCode::INTERNAL_SERVER_ERROR && lacks_limit {
            // It fails over what others refuse; the words are Anthropic's.
            let message = "max_tokens: Field required".to_owned();
            return Some(ApiError {
                status: StatusCode::BAD_REQUEST,
                kind: "invalid_request_error",
                message,
            });
        }
        let reason = Reason::read(error);
        let meaning = Meaning::of(&reason)?;
        let message = reason.message.unwrap_or_default();
        let status = match meaning {
            Meaning::TooLong => return Some(failure::too_long(&message)),
            _ if reason.form == Form::Anthropic => return None,
            Meaning::Rejected if head.status.is_client_error() => head.status,
            Meaning::Rejected => StatusCode::FORBIDDEN,
            Meaning::NoModel => StatusCode::NOT_FOUND,
            Meaning::Limited | Meaning::UsedUp => StatusCode::TOO_MANY_REQUESTS,
            Meaning::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Meaning::Refused => StatusCode::BAD_REQUEST,
        };
        let message = match (meaning, &reason.code) {
            (Meaning::NoModel, _) => format!("model: {message}"),
            (_, Some(code)) if message.is_empty() => format!("Z.AI answered with its code {code}"),
            _ => message,
        };
        Some(ApiError { status, kind: error_type(status), message })
    }
}

/// What a business code means. A 429 may also be said where there is no money left: another try with the same key is
/// useless then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Rejected,
    NoModel,
    Limited,
    UsedUp,
    Overloaded,
    TooLong,
    Refused,
}

impl Meaning {
    fn of(reason: &Reason) -> Option<Self> {
        Some(match reason.code.as_deref()?.parse().ok()? {
            // Authentication; account locked, in arrears, out of balance; no access; plan expired.
            1001..=1004 | 1110..=1121 | 1220 | 1309 => Self::Rejected,
            // No such model; model not in the plan.
            1211 | 1311 => Self::NoModel,
            // Concurrency, frequency, usage until a reset, fair use; a day's, a week's or a month's cap.
            1302 | 1303 | 1308 | 1313 | 1316..=1321 => Self::Limited,
            1304 | 1310 => Self::UsedUp,
            // Traffic limit and "model busy": not the key's.
            1305 | 1312 => Self::Overloaded,
            1261 => Self::TooLong,
            // Parameters, content.
            1210 | 1212..=1215 | 1301 => Self::Refused,
            _ => return None,
        })
    }

    fn outcome(self, headers: &HeaderMap, reason: &Reason) -> Outcome {
        match self {
            Self::Rejected => Outcome::CredentialRejected,
            Self::NoModel => Outcome::ModelUnavailable,
            Self::Limited => {
                let retry_after = retry_after(headers, reason);
                Outcome::RateLimited { retry_after, scope: LimitScope::Key }
            }
            Self::UsedUp => {
                let retry_after = retry_after(headers, reason).or(Some(CAP_PAUSE));
                Outcome::RateLimited { retry_after, scope: LimitScope::Key }
            }
            Self::Overloaded => Outcome::Overloaded { retry_after: retry_after::from_headers(headers) },
            Self::TooLong | Self::Refused => Outcome::Refused,
        }
    }
}

/// No header tells; the message does.
fn retry_after(headers: &HeaderMap, reason: &Reason) -> Option<Duration> {
    let in_message = || retry_after::from_time_in(reason.message.as_deref()?, BEIJING, headers);
    retry_after::from_headers(headers).or_else(in_message)
}

#[cfg(test)]
mod tests {
    use http::Response;
    use relay_messages::MessagesBody;

    use super::*;
    use crate::request::RelayRequest;

    fn zai() -> Zai {
        Zai::new(BaseUrl::parse("https://api.z.ai/api/anthropic").unwrap(), &Secret::new("k")).unwrap()
    }

    fn head(status: u16) -> response::Parts {
        let response = Response::builder().status(status).header("date", "Fri, 11 Sep 2026 16:19:04 GMT");
        response.body(()).unwrap().into_parts().0
    }

    fn attempt(body: &'static str) -> Attempt {
        let body = MessagesBody::parse(body.into()).unwrap();
        Attempt::new(RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body))
    }

    #[test]
    fn the_business_code_says_more_than_the_status() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: Outcome) {
            assert_eq!(zai().classify(&head(status), body.as_bytes()), expected, "{status} {body}");
        }
        let limited = |seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            Outcome::RateLimited { retry_after, scope: LimitScope::Key }
        };
        check(429, r#"{"error":{"code":"1113","message":"no balance"}}"#, Outcome::CredentialRejected);
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
        check(200, "", Outcome::Success);
    }

    #[test]
    fn its_words_become_those_that_clients_understand() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: Option<(u16, &str, &str)>) {
            let found = zai().translate_error(
                &attempt(r#"{"model":"m","max_tokens":1}"#),
                &head(status),
                body.as_bytes(),
            );
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
        // What is in Anthropic's form, and clear, stays as it is; what is unknown is for others to read.
        check(
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","code":"1302","message":"x"}}"#,
            None,
        );
        check(500, r#"{"type":"error","error":{"type":"api_error","code":"500","message":"x"}}"#, None);
        check(502, "<html>", None);
    }

    #[test]
    fn a_failure_over_a_missing_field_names_the_field() {
        let error = br#"{"type":"error","error":{"type":"api_error","code":"500","message":"[500][x][id]"}}"#;
        let found = zai().translate_error(&attempt(r#"{"model":"m"}"#), &head(500), error).unwrap();
        assert_eq!((found.status.as_u16(), &*found.message), (400, "max_tokens: Field required"));
    }
}
