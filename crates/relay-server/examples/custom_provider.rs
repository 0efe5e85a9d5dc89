//! A kind of upstream from outside: Anthropic's format, a key in its own header, and its own codes for errors.
//!
//! `ACME_URL=https://acme.example ACME_KEY=secret cargo run -p relay-server --example custom_provider`

use std::error::Error;
use std::time::SystemTime;

use http::{HeaderValue, Request};
use relay_config::{BaseUrl, Config};
use relay_messages::Payload;
use relay_providers::kind::{self, Meaning, Rule, Scope, Wait, When};
use relay_providers::{Attempt, AuthorizeError, Judgement, PrepareError, Provider, UpstreamError};
use relay_server::{CustomProvider, Relay};

/// Acme states a spent quota with status 400, which is no fault of the request.
const ERRORS: &[Rule] = &[Rule::when(&[When::Code(&["QUOTA"])])
    .means(Meaning::Limited(Scope::Key, Wait::Headers))
    .answers(429)
    .says("Acme's quota is used up: {message}")];

type Outgoing = Request<Payload>;

struct Acme {
    base_url: BaseUrl,
    key: HeaderValue,
}

impl Provider for Acme {
    fn prepare(&self, attempt: &Attempt) -> Result<Outgoing, PrepareError> {
        kind::messages_request(&self.base_url, attempt)
    }

    async fn authorize(&self, mut request: Outgoing, _: SystemTime) -> Result<Outgoing, AuthorizeError> {
        request.headers_mut().insert("x-acme-key", self.key.clone());
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    fn judge(&self, error: &UpstreamError, _: &Attempt) -> Judgement {
        kind::judge_by(ERRORS, error)
    }
}

/// Adds Acme, as the provider with the highest priority, to the providers of `config`.
pub(crate) fn relay(config: Config, url: &str, key: &str) -> Result<Relay, Box<dyn Error>> {
    let acme = Acme { base_url: BaseUrl::parse(url)?, key: HeaderValue::from_str(key)? };
    Ok(Relay::builder(config).with_provider(CustomProvider::new("acme").with_priority(10), acme).build()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let relay = relay(Config::default(), &std::env::var("ACME_URL")?, &std::env::var("ACME_KEY")?)?;
    let listener = relay_server::bind(([127, 0, 0, 1], 8787).into())?;
    relay_server::serve(listener, relay, std::future::pending()).await;
    Ok(())
}
