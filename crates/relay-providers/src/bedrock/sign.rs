//! Signs a request with AWS Signature Version 4, over exactly the bytes and the path that are sent.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_request};
use aws_sigv4::sign::v4;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request};
use relay_messages::Payload;

use crate::provider::AuthorizeError;

/// The prefix of the names of AWS's own headers, including those of guardrails.
const SIGNED_PREFIX: &str = "x-amz";

/// The credentials, the scope and the time of a signature.
#[derive(Debug)]
pub(super) struct Signer<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) region: &'a str,
    /// The service in the scope of the signature.
    pub(super) service: &'a str,
    pub(super) now: SystemTime,
}

impl Signer<'_> {
    /// Adds `authorization`, `x-amz-date` and, with temporary credentials, `x-amz-security-token`.
    ///
    /// The signature covers these headers, `host`, `content-type` and every `x-amz…` header, as SigV4 requires. The exception
    /// is `x-amzn-trace-id`, which AWS's own load balancers change. It stays valid if a gateway, a proxy or the transport
    /// adds, changes or removes any other header. The signed host is that of the URI, as HTTP clients write it. An
    /// `x-amz…` header with other characters than visible ASCII is removed.
    ///
    /// `digest` is the SHA-256 of the request's body, in hexadecimal.
    pub(super) fn sign(&self, request: &mut Request<Payload>, digest: String) -> Result<(), AuthorizeError> {
        let is_signed =
            |name: &&HeaderName| **name == CONTENT_TYPE || name.as_str().starts_with(SIGNED_PREFIX);
        let signed: Vec<_> = request.headers().keys().filter(is_signed).cloned().collect();
        // A signature covers visible ASCII only, and AWS refuses an unsigned header of its own.
        let is_signable =
            |name: &HeaderName| request.headers().get_all(name).iter().all(|value| value.to_str().is_ok());
        let (signed, unsignable): (Vec<_>, Vec<_>) = signed.into_iter().partition(is_signable);
        for name in unsignable {
            request.headers_mut().remove(name);
        }
        for (name, value) in self.headers(request, digest, &signed)? {
            let mut value = HeaderValue::try_from(value).map_err(|_| AuthorizeError::Malformed)?;
            value.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(())
    }

    fn headers(
        &self,
        request: &Request<Payload>,
        digest: String,
        signed: &[HeaderName],
    ) -> Result<Vec<(&'static str, String)>, AuthorizeError> {
        let failed = |error: aws_sigv4::http_request::SigningError| AuthorizeError::Sign(error.into());
        let values = |name: &'_ HeaderName| request.headers().get_all(name).into_iter();
        let signed = signed
            .iter()
            .flat_map(|name| values(name).filter_map(|value| Some((name.as_str(), value.to_str().ok()?))));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            signed,
            SignableBody::Precomputed(digest),
        )
        .map_err(failed)?;
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| AuthorizeError::Sign(error.into()))?
            .into();
        let (instructions, _) = sign_request(signable, &parameters).map_err(failed)?.into_parts();
        let (headers, _) = instructions.into_parts();
        Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::header::ACCEPT;
    use relay_messages::{Edits, MessagesBody};
    use serde_json::Value;

    use super::super::digest::digest;
    use super::*;

    /// Requests with the signatures that botocore computes for them. `testdata/README.md` describes their origin.
    const VECTORS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/sigv4.json"));

    /// `20260921T141320Z`.
    const SEPTEMBER: Duration = Duration::from_secs(1_790_000_000);

    /// Returns the headers that sign `request` with the credentials and the scope of `vector`.
    async fn headers(request: &Request<Payload>, vector: &Value) -> Vec<(&'static str, String)> {
        let text = |name: &str| vector[name].as_str().unwrap();
        assert_eq!(text("x_amz_date"), "20260921T141320Z");
        let token = vector["session_token"].as_str().map(str::to_owned);
        let credentials = Credentials::new(text("access_key"), text("secret_key"), token, None, "test");
        let now = SystemTime::UNIX_EPOCH + SEPTEMBER;
        Signer { credentials: &credentials, region: text("region"), service: text("service"), now }
            .headers(request, digest(request.body()).await, &[CONTENT_TYPE, ACCEPT])
            .unwrap()
    }

    fn request(vector: &Value, body: Payload) -> Request<Payload> {
        let text = |name: &str| vector[name].as_str().unwrap();
        Request::builder()
            .method(text("method"))
            .uri(format!("https://{}{}", text("host"), text("path")))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            // This header is not signed.
            .header("user-agent", "claude-cli")
            .body(body)
            .unwrap()
    }

    #[tokio::test]
    async fn signatures_equal_those_of_botocore() {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let body = vector["body"].as_str().unwrap().to_owned();
            let mut expected = vec![
                ("authorization", vector["authorization"].as_str().unwrap().to_owned()),
                ("x-amz-date", "20260921T141320Z".to_owned()),
            ];
            if let Some(token) = vector["session_token"].as_str() {
                expected.push(("x-amz-security-token", token.to_owned()));
            }
            let mut found = headers(&request(&vector, Bytes::from(body).into()), &vector).await;
            found.sort();
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn a_body_in_pieces_has_the_signature_of_the_joined_body() {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        let whole = format!(r#"{{"model":"claude","system":"{}"}}"#, "x".repeat(4096));
        let body = MessagesBody::parse(whole.into()).unwrap();
        let mut edits = Edits::default();
        edits.set_model(&body, "m");
        let pieces = edits.apply(&body);
        assert!(pieces.pieces().count() > 1);
        let joined: Vec<u8> = pieces.pieces().flat_map(|piece| piece.to_vec()).collect();
        let joined = request(&vectors[0], Bytes::from(joined).into());
        let of_pieces = headers(&request(&vectors[0], pieces), &vectors[0]).await;
        assert_eq!(of_pieces, headers(&joined, &vectors[0]).await);
    }

    #[test]
    fn a_session_token_that_is_not_a_valid_header_value_is_an_error() {
        let credentials = Credentials::new("id", "secret", Some("line\nbreak".to_owned()), None, "test");
        let mut request = Request::post("https://bedrock-runtime.us-east-1.amazonaws.com/x")
            .body(Payload::default())
            .unwrap();
        let signer = Signer {
            credentials: &credentials,
            region: "us-east-1",
            service: "bedrock",
            now: SystemTime::UNIX_EPOCH,
        };
        assert!(signer.sign(&mut request, String::new()).is_err());
        assert!(!request.headers().contains_key("authorization"));
    }
}
