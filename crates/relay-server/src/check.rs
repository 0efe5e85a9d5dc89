//! Checks of the providers of a relay, on the way that its requests take: connection and credentials.
//!
//! ```text
//! Relay::check ─┬─▶ connection   name ▸ TCP, through a proxy ▸ TLS
//!               └─▶ credentials  for each: load ▸ a request that costs nothing
//! ```
//! A check sends no prompt of a client, and no state of the relay changes. [`Relay::check`] is the entry.

use std::time::Duration;

use futures_util::future::join_all;
use http::Uri;
use relay_config::ProviderConfig;

pub use relay_providers::{
    AttemptError, AuthorizeError, CheckAnswer, CheckReport, CredentialFacts, FreeRequest, Outcome,
};
pub use relay_transport::{CertificateFacts, Diagnosis, Step, StepError, TlsFacts, TlsFault, Validity};

use crate::assemble::BuiltProvider;
use crate::relay::Relay;

/// The model of a request that costs nothing, if the configuration names none.
const MODEL: &str = "claude-haiku-4-5";

/// The result of the checks of one provider.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderCheck {
    /// The URL of the upstream. `None` if it is built in, or unknown before the first request.
    pub url: Option<String>,
    /// The connection. `None` without a URL, or if a program makes the connections.
    pub connection: Option<Diagnosis>,
    /// The credentials, in the order of the configuration.
    pub credentials: Vec<CredentialCheck>,
    /// The models for which tokens were counted with a credential that the upstream accepts: the targets of the configuration, at
    /// most [`MODELS_CHECKED`]. Empty if the upstream has a list of models, or no request that costs nothing.
    pub models: Vec<ModelCheck>,
}

/// The largest number of models of one provider for which tokens are counted.
pub const MODELS_CHECKED: usize = 8;

/// The result of the check of one model.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModelCheck {
    /// The upstream's name of the model.
    pub model: String,
    /// `true` if the configuration names the model.
    pub is_configured: bool,
    /// The answer to a count of tokens, or the reason that there is none.
    pub answer: Result<CheckAnswer, AttemptError>,
}

/// The result of the check of one credential.
#[derive(Debug)]
#[non_exhaustive]
pub struct CredentialCheck {
    /// The name or the digits of a key, `client` for the credential of a client, `none` for a credential that is not a key.
    pub name: String,
    /// The report. `None` if it was not complete within the time limit.
    pub report: Option<CheckReport>,
}

impl Relay {
    /// Checks the provider `name`: its connection, and each of its credentials by a request that costs nothing. The checks run at
    /// the same time, each within `limit`. `None` if no provider that is enabled has the name.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use relay_config::{Format, Loader};
    /// use relay_server::Relay;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let config = "providers: [{ name: local, type: ollama, base_url: 'http://127.0.0.1:1' }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config).build()?;
    /// let check = relay.check("local", Duration::from_secs(5)).await.expect("the provider is enabled");
    /// let connection = check.connection.expect("it has a URL");
    /// assert!(connection.connect.is_some_and(|step| step.result.is_err()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn check(&self, name: &str, limit: Duration) -> Option<ProviderCheck> {
        let built = self.providers().providers.iter().find(|built| built.name().as_str() == name)?;
        let url = built.checks().iter().find_map(|(_, probe)| probe.url());
        let uri: Option<Uri> = url.and_then(|url| url.parse().ok());
        let connection = async { built.transport().diagnose(uri.as_ref()?, limit).await };
        let targets = Targets::of(built.config());
        let credentials = credentials(built, &targets, limit);
        let (connection, credentials) = tokio::join!(connection, credentials);
        let models = models(built, targets, &credentials, limit).await;
        Some(ProviderCheck { url: url.map(str::to_owned), connection, credentials, models })
    }
}

async fn credentials(built: &BuiltProvider, targets: &Targets, limit: Duration) -> Vec<CredentialCheck> {
    let checks = built.checks().iter().map(|(credential, probe)| async move {
        let run = probe.run(targets.first());
        let report = tokio::time::timeout(limit, run).await.ok();
        CredentialCheck { name: credential.as_str().to_owned(), report }
    });
    join_all(checks).await
}

/// Counts tokens for each target, with the first credential that the upstream accepts.
async fn models(
    built: &BuiltProvider,
    targets: Targets,
    credentials: &[CredentialCheck],
    limit: Duration,
) -> Vec<ModelCheck> {
    let Some(accepted) = credentials.iter().position(CredentialCheck::counts_tokens) else {
        return Vec::new();
    };
    let Some((_, probe)) = built.checks().get(accepted) else { return Vec::new() };
    let is_configured = targets.is_configured;
    let checks = targets.names.into_iter().map(|model| async move {
        let report = tokio::time::timeout(limit, probe.run(model.clone())).await.ok()?;
        Some(ModelCheck { model, is_configured, answer: report.answer? })
    });
    join_all(checks).await.into_iter().flatten().collect()
}

impl CredentialCheck {
    /// Returns `true` if the upstream has counted tokens, or has refused the model and not the credential.
    fn counts_tokens(&self) -> bool {
        let Some(report) = &self.report else { return false };
        let is_rejected =
            |answer: &CheckAnswer| matches!(answer.outcome, Outcome::CredentialRejected | Outcome::Failed);
        report.request == FreeRequest::CountTokens
            && matches!(&report.answer, Some(Ok(answer)) if !is_rejected(answer))
    }
}

/// The upstream's names of the models that a provider serves.
struct Targets {
    /// At least one and at most [`MODELS_CHECKED`] names.
    names: Vec<String>,
    is_configured: bool,
}

impl Targets {
    /// Returns the targets of the mapping and the listed models, or else the name of a model that Claude Code requests.
    fn of(provider: &ProviderConfig) -> Self {
        let mapping = &provider.model_mapping;
        let mapped = |model: &str| mapping.lookup(model).map(|target| target.to_string());
        let listed = provider.models.iter().filter(|model| !model.contains('*'));
        let listed = listed.map(|model| mapped(model).unwrap_or_else(|| model.clone()));
        let mut names: Vec<String> = Vec::new();
        for name in mapping.entries().map(|(_, target)| target.to_owned()).chain(listed) {
            if !names.contains(&name) && names.len() < MODELS_CHECKED {
                names.push(name);
            }
        }
        let is_configured = !names.is_empty();
        if names.is_empty() {
            names.push(mapped(MODEL).unwrap_or_else(|| MODEL.to_owned()));
        }
        Self { names, is_configured }
    }

    fn first(&self) -> String {
        self.names.first().cloned().unwrap_or_default()
    }
}
