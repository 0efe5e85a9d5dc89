//! Ollama: Anthropic's format, no credential, and a server of one's own to set right.
//!
//! # Source
//! ollama `server/routes.go`, `anthropic/anthropic.go` and `middleware/anthropic.go`.

use std::time::SystemTime;

use http::{Request, StatusCode, response};
use relay_config::BaseUrl;

use crate::answer::Outcome;
use crate::body::Payload;
use crate::failure::{Form, Reason};
use crate::headers;
use crate::messages;
use crate::provider::{ApiError, AuthorizeError, PrepareError, Provider};
use crate::request::Attempt;

/// An Ollama server.
#[derive(Debug, Clone)]
pub struct Ollama {
    base_url: BaseUrl,
}

impl Ollama {
    /// The server at `base_url`.
    #[must_use]
    pub fn new(base_url: BaseUrl) -> Self {
        Self { base_url }
    }

    fn refuses_host(head: &response::Parts, reason: &Reason) -> bool {
        head.status == StatusCode::FORBIDDEN && reason.form == Form::Nothing
    }
}

impl Provider for Ollama {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        messages::prepare(&self.base_url, attempt)
    }

    async fn authorize(
        &self,
        mut request: Request<Payload>,
        _: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        headers::remove_oauth_beta(request.headers_mut());
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    fn classify(&self, head: &response::Parts, error: &[u8]) -> Outcome {
        match messages::classify(head, error) {
            // No credential was sent that it could mean.
            Outcome::CredentialRejected => Outcome::Failed,
            outcome => outcome,
        }
    }

    fn translate_error(&self, attempt: &Attempt, head: &response::Parts, error: &[u8]) -> Option<ApiError> {
        let reason = Reason::read(error);
        let message = if Self::refuses_host(head, &reason) {
            format!(
                "Ollama listens on loopback alone and refuses requests that call it `{}`: set base_url to an address \
                 or a name of this machine, or OLLAMA_HOST=0.0.0.0 where Ollama runs",
                self.base_url.authority()
            )
        } else if head.status == StatusCode::NOT_FOUND && reason.form == Form::Text {
            format!(
                "Ollama has no {} here: it takes Ollama 0.14 or newer, and base_url without a path",
                attempt.request().endpoint().path()
            )
        } else {
            return None;
        };
        Some(ApiError { status: head.status, kind: messages::error_type(head.status), message })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Response};

    use super::*;
    use crate::body::MessagesBody;
    use crate::request::{Endpoint, RelayRequest};

    fn ollama() -> Ollama {
        Ollama::new(BaseUrl::parse("http://gpu.example:11434").unwrap())
    }

    #[test]
    fn what_is_set_up_wrong_is_named() {
        #[track_caller]
        fn check(status: u16, body: &str, outcome: Outcome, message: Option<&str>) {
            let head = Response::builder().status(status).body(()).unwrap().into_parts().0;
            assert_eq!(ollama().classify(&head, body.as_bytes()), outcome, "{body}");
            let request = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
            let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), request);
            let found = ollama().translate_error(&Attempt::new(request), &head, body.as_bytes());
            let found = found.map(|error| error.message);
            match message {
                Some(part) => assert!(found.as_ref().is_some_and(|found| found.contains(part)), "{found:?}"),
                None => assert_eq!(found, None, "{body}"),
            }
        }
        check(403, "", Outcome::Failed, Some("`gpu.example:11434`"));
        check(404, "404 page not found", Outcome::ModelUnavailable, Some("0.14 or newer"));
        let error = r#"{"type":"error","error":{"type":"not_found_error","message":"model 'x' not found"}}"#;
        check(404, error, Outcome::ModelUnavailable, None);
        check(401, r#"{"error":"unauthorized"}"#, Outcome::Failed, None);
        check(500, "llama runner process has terminated", Outcome::Failed, None);
    }
}
