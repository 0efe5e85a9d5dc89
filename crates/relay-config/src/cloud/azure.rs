//! Azure: resources, and the credentials of the environment for Microsoft Entra ID.

use std::path::PathBuf;

use super::{OnFault, is_label, misnamed};
use crate::config::EntraConfig;
use crate::environment::Environment;
use crate::error::Fault;
use crate::names::BaseUrl;
use crate::secret::Secret;

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
pub(crate) const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// Returns `https://{resource}.services.ai.azure.com/anthropic`.
pub(crate) fn base_url(resource: &str) -> Result<BaseUrl, Fault> {
    const EXPECTED: &str = "the name of a resource: letters, digits and hyphens";
    if !is_label(&resource.to_ascii_lowercase()) {
        return Err(misnamed(resource, EXPECTED, hint(resource)));
    }
    let url = format!("https://{resource}.services.ai.azure.com/anthropic");
    BaseUrl::parse(&url).map_err(|source| Fault::Url { found: Some(url), source })
}

/// Returns a hint for a text that is more than the name of a resource.
fn hint(resource: &str) -> String {
    let text = resource.trim();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = host.split(['/', ':', '?']).next().unwrap_or_default();
    match host.split_once('.') {
        Some((name, domain)) if domain.contains("azure.") && is_label(&name.to_ascii_lowercase()) => {
            format!("write {name}")
        }
        _ if text.contains("://") => "a URL goes into base_url".to_owned(),
        _ => String::new(),
    }
}

/// Refuses a version with characters that need escaping in a query.
pub(crate) fn check_api_version(version: &str) -> Result<(), Fault> {
    if version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Ok(());
    }
    Err(misnamed(version, "a version, as in 2024-06-01", ""))
}

/// Returns the source of tokens: a client secret, a workload identity, otherwise the managed identity of the
/// machine.
pub(crate) fn entra(environment: Environment<'_>, on_fault: OnFault<'_>) -> EntraConfig {
    let application = environment.get(TENANT).zip(environment.get(CLIENT));
    let Some((tenant_id, client_id)) = application else { return managed_identity(environment, on_fault) };
    let client_secret = environment.secret(CLIENT_SECRET);
    let token_file = environment.get(TOKEN_FILE);
    if client_secret.is_none() && token_file.is_none() {
        return managed_identity(environment, on_fault);
    }
    if !tenant_id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
        on_fault(TENANT, misnamed(&tenant_id, "the id or the domain of a directory", ""));
    }
    let authority = authority(environment, on_fault);
    match (client_secret, token_file) {
        (Some(secret), _) => {
            let client_secret = Secret::new(secret);
            EntraConfig::ClientSecret { authority, tenant_id, client_id, client_secret }
        }
        (None, file) => {
            let token_file = PathBuf::from(file.unwrap_or_default());
            EntraConfig::WorkloadIdentity { authority, tenant_id, client_id, token_file }
        }
    }
}

/// Returns a credential of the environment that is unused, and the variable that it lacks.
pub(crate) fn unused(environment: Environment<'_>) -> Option<(&'static str, &'static str)> {
    let (credential, _) = environment.first(&[CLIENT_SECRET, TOKEN_FILE])?;
    Some((credential, [TENANT, CLIENT].into_iter().find(|variable| !environment.has(variable))?))
}

fn authority(environment: Environment<'_>, on_fault: OnFault<'_>) -> BaseUrl {
    const VARIABLE: &str = "AZURE_AUTHORITY_HOST";
    let Some(host) = environment.get(VARIABLE) else { return EntraConfig::public_authority() };
    // Azure's own libraries accept a bare host too.
    let url = if host.contains("://") { host } else { format!("https://{host}") };
    url_in(VARIABLE, &url, on_fault).unwrap_or_else(EntraConfig::public_authority)
}

fn managed_identity(environment: Environment<'_>, on_fault: OnFault<'_>) -> EntraConfig {
    const ENDPOINT: &str = "IDENTITY_ENDPOINT";
    // One variable without the other indicates another kind of machine, where the metadata service answers.
    let service = environment.get(ENDPOINT).zip(environment.secret("IDENTITY_HEADER"));
    let service =
        service.and_then(|(url, header)| Some((url_in(ENDPOINT, &url, on_fault)?, Secret::new(header))));
    let (endpoint, identity_header) = match service {
        Some((endpoint, header)) => (endpoint, Some(header)),
        None => (EntraConfig::metadata_service(), None),
    };
    EntraConfig::ManagedIdentity { endpoint, identity_header, client_id: environment.get(CLIENT) }
}

fn url_in(variable: &'static str, url: &str, on_fault: OnFault<'_>) -> Option<BaseUrl> {
    BaseUrl::parse(url).map_err(|source| on_fault(variable, Fault::Url { found: None, source })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    #[test]
    fn a_resource_must_be_a_name() {
        #[track_caller]
        fn check(resource: &str, expected: Result<&str, &str>) {
            let found = base_url(resource).map(|url| url.to_string()).map_err(|fault| fault.to_string());
            let expected = expected.map(str::to_owned).map_err(|hint| {
                format!(
                    "found {resource:?}, expected the name of a resource: letters, digits and hyphens{hint}"
                )
            });
            assert_eq!(found, expected);
        }
        check("my-resource", Ok("https://my-resource.services.ai.azure.com/anthropic"));
        check("https://my-resource.services.ai.azure.com/anthropic/", Err("; write my-resource"));
        check("my-resource.openai.azure.com", Err("; write my-resource"));
        check("https://llm.example.com/x", Err("; a URL goes into base_url"));
        check("my resource", Err(""));
        check("a/b", Err(""));
    }

    #[track_caller]
    fn entra_of(variables: &[(&str, &str)]) -> EntraConfig {
        let variable = lookup(variables);
        entra(Environment::new(&variable), &mut |variable, fault| panic!("{variable}: {fault}"))
    }

    #[test]
    fn entra_sources_are_taken_in_order() {
        let application = [(TENANT, "t"), (CLIENT, "c"), (TOKEN_FILE, "/token"), (CLIENT_SECRET, "s")];
        let default = BaseUrl::parse("https://login.microsoftonline.com").unwrap();
        assert_eq!(
            entra_of(&application),
            EntraConfig::ClientSecret {
                authority: default.clone(),
                tenant_id: "t".to_owned(),
                client_id: "c".to_owned(),
                client_secret: Secret::new("s"),
            }
        );
        assert_eq!(
            entra_of(&application[..3]),
            EntraConfig::WorkloadIdentity {
                authority: default,
                tenant_id: "t".to_owned(),
                client_id: "c".to_owned(),
                token_file: "/token".into(),
            }
        );
        let machine = |endpoint: &str, header: Option<&str>| EntraConfig::ManagedIdentity {
            endpoint: BaseUrl::parse(endpoint).unwrap(),
            identity_header: header.map(Secret::new),
            client_id: Some("c".to_owned()),
        };
        let metadata = "http://169.254.169.254/metadata/identity/oauth2/token";
        assert_eq!(entra_of(&application[..2]), machine(metadata, None));
        let service =
            [(CLIENT, "c"), ("IDENTITY_ENDPOINT", "http://localhost:42/msi"), ("IDENTITY_HEADER", "h")];
        assert_eq!(entra_of(&service), machine("http://localhost:42/msi", Some("h")));
        assert_eq!(entra_of(&service[..2]), machine(metadata, None));
    }

    #[test]
    fn the_authority_may_be_a_host_without_a_scheme() {
        let variables = [
            (TENANT, "t"),
            (CLIENT, "c"),
            (CLIENT_SECRET, "s"),
            ("AZURE_AUTHORITY_HOST", "login.example.com/"),
        ];
        assert!(matches!(entra_of(&variables), EntraConfig::ClientSecret { authority, .. }
            if authority.to_string() == "https://login.example.com"));
    }

    #[test]
    fn a_credential_without_its_application_is_reported_as_unused() {
        #[track_caller]
        fn check(variables: &[(&str, &str)], expected: Option<(&str, &str)>) {
            let variable = lookup(variables);
            assert_eq!(unused(Environment::new(&variable)), expected);
        }
        check(&[], None);
        check(&[(CLIENT, "c")], None);
        check(&[(CLIENT_SECRET, "s"), (CLIENT, "c")], Some((CLIENT_SECRET, TENANT)));
        check(&[(TOKEN_FILE, "f"), (TENANT, "t")], Some((TOKEN_FILE, CLIENT)));
        check(&[(CLIENT_SECRET, "s"), (CLIENT, "c"), (TENANT, "t")], None);
    }
}
