//! Z.AI (GLM): Anthropic's format, with the reason of an error in a business code of its own.

use std::time::SystemTime;

use http::{Request, response};
use relay_config::{BaseUrl, Secret};
use serde_json::Value;

use crate::answer::{LimitScope, Outcome};
use crate::body::Payload;
use crate::messages::{self, ApiKey};
use crate::provider::{AuthorizeError, PrepareError, Provider};
use crate::request::Attempt;

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

    fn classify(&self, head: &response::Parts, error: &[u8]) -> Outcome {
        let by_status = messages::classify(head);
        match business_code(error) {
            Some(code) => by_code(code, head).unwrap_or(by_status),
            None => by_status,
        }
    }
}

/// `error.code`, a string of four digits.
fn business_code(error: &[u8]) -> Option<u16> {
    let body: Value = serde_json::from_slice(error).ok()?;
    body.get("error")?.get("code")?.as_str()?.parse().ok()
}

/// docs.z.ai, "Error codes". A 429 may also mean that there is no money left: another try with the same key is
/// useless then.
fn by_code(code: u16, head: &response::Parts) -> Option<Outcome> {
    let retry_after = messages::retry_after(&head.headers);
    Some(match code {
        // Authentication; account locked, in arrears, out of balance; no access; plan expired.
        1001..=1004 | 1110..=1121 | 1220 | 1309 => Outcome::CredentialRejected,
        // No such model; model not in the plan.
        1211 | 1311 => Outcome::ModelUnavailable,
        // Concurrency, frequency, daily cap, usage until a reset, weekly or monthly cap, fair use.
        1302..=1304 | 1308 | 1310 | 1313 => Outcome::RateLimited { retry_after, scope: LimitScope::Key },
        // Traffic limit and "model busy": not the key's.
        1305 | 1312 => Outcome::Overloaded { retry_after },
        // Parameters, prompt too long, content.
        1210 | 1212..=1215 | 1261 | 1301 => Outcome::Refused,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    #[test]
    fn the_business_code_says_more_than_the_status() {
        let zai =
            Zai::new(BaseUrl::parse("https://api.z.ai/api/anthropic").unwrap(), &Secret::new("k")).unwrap();
        #[track_caller]
        fn check(zai: &Zai, status: u16, body: &str, expected: Outcome) {
            let head = Response::builder().status(status).body(()).unwrap().into_parts().0;
            assert_eq!(zai.classify(&head, body.as_bytes()), expected, "{status} {body}");
        }
        let limited = Outcome::RateLimited { retry_after: None, scope: LimitScope::Key };
        check(&zai, 429, r#"{"error":{"code":"1113","message":"no balance"}}"#, Outcome::CredentialRejected);
        check(&zai, 429, r#"{"error":{"code":"1302","message":"concurrency"}}"#, limited);
        check(&zai, 429, r#"{"error":{"code":"1312"}}"#, Outcome::Overloaded { retry_after: None });
        check(&zai, 400, r#"{"error":{"code":"1211"}}"#, Outcome::ModelUnavailable);
        check(&zai, 400, r#"{"error":{"code":"1210"}}"#, Outcome::Refused);
        check(&zai, 500, r#"{"type":"error","error":{"type":"api_error","code":"500"}}"#, Outcome::Failed);
        check(&zai, 502, "<html>", Outcome::Failed);
    }
}
