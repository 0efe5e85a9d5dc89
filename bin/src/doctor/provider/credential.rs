//! The checks of credentials: source, end, and acceptance by the upstream.

use std::time::SystemTime;

use relay_config::{AwsCredentials, AzureAuth, EntraConfig, ProviderConfig, ProviderKind, Secret};
use relay_messages::ErrorChain;
use relay_server::check::{
    AttemptError, CheckAnswer, CheckReport, CredentialCheck, CredentialFacts, FreeRequest, Outcome,
    ProviderCheck,
};

use super::context::Context;
use crate::doctor::check::{Check, written};
use crate::doctor::source::Sources;

const NAME: &str = "credential";

/// Returns one check for each credential.
pub(super) fn checks(
    context: &Context,
    provider: &ProviderConfig,
    found: &ProviderCheck,
    is_connected: bool,
) -> Vec<Check> {
    let subject = |credential| Subject { context, provider, credential, is_connected };
    found.credentials.iter().map(|credential| subject(credential).check()).collect()
}

/// One credential of a provider.
struct Subject<'a> {
    context: &'a Context,
    provider: &'a ProviderConfig,
    credential: &'a CredentialCheck,
    /// True if the upstream can be reached.
    is_connected: bool,
}

impl Subject<'_> {
    fn check(&self) -> Check {
        if self.credential.name == "client" {
            return Check::skip(NAME, "that of each client is passed through");
        }
        let Some(report) = &self.credential.report else {
            return match self.is_connected {
                true => self.late(),
                false => Check::skip(NAME, format!("{}: not checked without a connection", self.whose(None))),
            };
        };
        match &report.credential {
            Ok(facts) => self.loaded(report, facts),
            Err(error) => {
                let text = ErrorChain(error).to_string();
                Check::fail(NAME, format!("{}: {text}", self.whose(None)), self.renewal())
            }
        }
    }

    fn late(&self) -> Check {
        let seconds = self.context.limit.as_secs();
        let text = format!("{}: no answer within {seconds} s", self.whose(None));
        Check::fail(NAME, text, "check that the upstream works; --timeout allows it more time")
    }

    fn loaded(&self, report: &CheckReport, facts: &CredentialFacts) -> Check {
        let whose = format!("{}{}", self.whose(Some(facts)), end(facts));
        match &report.answer {
            Some(Ok(answer)) => self.answered(&whose, report.request, answer).with_time(answer.latency),
            Some(Err(AttemptError::Connect(_))) if !self.is_connected => {
                Check::skip(NAME, format!("{whose}: not checked without a connection"))
            }
            Some(Err(error @ AttemptError::Authorize(_))) => {
                Check::fail(NAME, format!("{whose}: {}", error.in_one_line()), self.renewal())
            }
            Some(Err(error)) => Check::fail(
                NAME,
                format!("{whose}: {}", error.in_one_line()),
                "check base_url, and that the upstream works",
            ),
            None => Check::ok(NAME, whose),
        }
    }

    fn answered(&self, whose: &str, request: FreeRequest, answer: &CheckAnswer) -> Check {
        let status = answer.status.as_u16();
        let message = answer.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        let text = |verdict: &str| format!("{whose}: {verdict} with {status}{message}");
        match answer.outcome {
            Outcome::Success => Check::ok(NAME, format!("{whose}: accepted")),
            Outcome::CredentialRejected => Check::fail(NAME, text("refused"), self.renewal_after(answer)),
            // A token count with a credential that is not accepted is refused before its model is looked up.
            Outcome::ModelUnavailable | Outcome::Unsupported | Outcome::Refused
                if request == FreeRequest::CountTokens =>
            {
                Check::ok(NAME, format!("{whose}: accepted"))
            }
            Outcome::ModelUnavailable | Outcome::Unsupported | Outcome::Refused => {
                let text = format!(
                    "{whose}: the upstream has no request that costs nothing ({status}); --send checks it"
                );
                Check::skip(NAME, text)
            }
            Outcome::RateLimited { .. } => {
                Check::warn(NAME, text("accepted, and limited"), "wait, or add a key or a provider")
            }
            _ => Check::warn(NAME, text("not known, since the upstream failed"), "run the check again later"),
        }
    }

    /// Returns the name of the key, if there are several, and the source of the credential.
    fn whose(&self, facts: Option<&CredentialFacts>) -> String {
        let source = facts.and_then(|facts| facts.source.clone());
        let source = source.or_else(|| self.configured()).unwrap_or_else(|| "none is needed".to_owned());
        match self.credential.name.as_str() {
            "none" => source,
            name => format!("key {name} from {source}"),
        }
    }

    /// Returns the source of the credential in the configuration.
    fn configured(&self) -> Option<String> {
        let sources = &self.context.sources;
        match &self.provider.kind {
            ProviderKind::Bedrock(config) => Some(match &config.credentials {
                AwsCredentials::Keys { access_key_id, .. } => {
                    format!("keys from {}", sources.name(access_key_id))
                }
                AwsCredentials::BearerToken(token) => {
                    format!("a Bedrock API key from {}", sources.name(token))
                }
                AwsCredentials::Profile(profile) => format!("the AWS profile {profile}"),
                _ => "AWS's provider chain".to_owned(),
            }),
            ProviderKind::Azure(config) => match &config.auth {
                AzureAuth::EntraId(entra) => Some(entra_source(entra, sources)),
                _ => self.secret().map(|secret| sources.name(secret)),
            },
            ProviderKind::Vertex(_) => Some("Google's credentials".to_owned()),
            _ => self.secret().map(|secret| sources.name(secret)),
        }
    }

    /// Returns the key that has the name of the credential.
    fn secret(&self) -> Option<&Secret> {
        let is_it = |id: relay_config::KeyId| id.as_str() == self.credential.name;
        self.provider.keys.iter().find(|key| key.id().is_some_and(is_it))?.key.as_ref()
    }

    /// Returns the way to a credential that is accepted.
    fn renewal(&self) -> String {
        match &self.provider.kind {
            ProviderKind::Bedrock(config) => aws_renewal(&config.credentials, &self.context.sources),
            ProviderKind::Vertex(_) => {
                "log in with `gcloud auth application-default login`, or correct credentials_file".to_owned()
            }
            ProviderKind::Azure(config) if matches!(config.auth, AzureAuth::EntraId(_)) => {
                "check AZURE_TENANT_ID, AZURE_CLIENT_ID and the credential of the application".to_owned()
            }
            _ => match self.secret().map(|secret| (self.context.sources.variable(secret), secret)) {
                Some((Some(variable), _)) => format!("set {variable} to a valid key"),
                Some((None, _)) => format!("replace the key in {}", self.context.sources.file_name()),
                None => "add a valid credential in keys or headers".to_owned(),
            },
        }
    }

    /// Returns the way to a credential that is accepted, after the upstream's refusal.
    fn renewal_after(&self, answer: &CheckAnswer) -> String {
        let message = answer.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        match &self.provider.kind {
            ProviderKind::Bedrock(_) if message.contains("valid region") => {
                "set aws_region to the region of the endpoint".to_owned()
            }
            ProviderKind::Bedrock(_) if message.contains("clock") => {
                "synchronise the clock of this machine".to_owned()
            }
            ProviderKind::Bedrock(_) if message.contains("not authorized") => {
                "allow bedrock:InvokeModel, InvokeModelWithResponseStream and CountTokens in the IAM policy"
                    .to_owned()
            }
            _ => self.renewal(),
        }
    }
}

fn entra_source(entra: &EntraConfig, sources: &Sources) -> String {
    match entra {
        EntraConfig::ClientSecret { client_secret, .. } => {
            format!("a client secret of Entra ID from {}", sources.name(client_secret))
        }
        EntraConfig::WorkloadIdentity { token_file, .. } => {
            format!("the workload identity token {}", token_file.display())
        }
        _ => "the managed identity of this machine".to_owned(),
    }
}

fn aws_renewal(credentials: &AwsCredentials, sources: &Sources) -> String {
    match credentials {
        AwsCredentials::Keys { session_token: Some(token), .. } => {
            format!("renew the session, whose token is in {}", sources.name(token))
        }
        AwsCredentials::Keys { access_key_id, .. } => {
            format!("replace the AWS keys in {}", sources.name(access_key_id))
        }
        AwsCredentials::BearerToken(token) => format!("replace the Bedrock API key in {}", sources.name(token)),
        AwsCredentials::Profile(profile) => {
            format!("renew the session with `aws sso login --profile {profile}`, or correct the profile")
        }
        _ => "renew the session with `aws sso login` or `aws login`, or set AWS_ACCESS_KEY_ID and its companions".to_owned(),
    }
}

/// Returns the end of a credential as a suffix.
fn end(facts: &CredentialFacts) -> String {
    let Some(ends_at) = facts.ends_at else { return String::new() };
    match ends_at.duration_since(SystemTime::now()) {
        Ok(left) => format!(", valid until {} ({} min)", written(ends_at), left.as_secs() / 60),
        Err(_) => format!(", ended {}", written(ends_at)),
    }
}
