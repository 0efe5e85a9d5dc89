//! Completes the discovery of providers with the models that they list themselves.

use std::future::Future;
use std::time::Duration;

use relay_config::{Deployment, Discovery, ProviderConfig, ProviderKind};
use relay_messages::ErrorChain;
use relay_providers::{ListingError, largest_ollama_model};
use relay_transport::{Proxies, Transport, TransportSettings, TrustRoots};

/// The limit of one list. The relay starts only after it.
const LIMIT: Duration = Duration::from_secs(3);

/// Maps the names of Claude models for the discovered Ollama and the discovered Azure resource: to the largest installed model
/// that takes tools, and to the deployments that exist. The latter need the feature `azure`.
///
/// Requires a tokio runtime. If a list does not arrive within 3 s, the provider stays as it is, and
/// [`Discovery::faults`] has the reason.
pub async fn discover_models(discovery: &mut Discovery) {
    let config = &discovery.config;
    let is_ollama = |known: &&ProviderConfig| matches!(known.kind, ProviderKind::Ollama { .. });
    let is_azure = |known: &&ProviderConfig| matches!(known.kind, ProviderKind::Azure(_));
    let (ollama, azure) = (config.providers.iter().find(is_ollama), config.providers.iter().find(is_azure));
    let (model, deployments) = tokio::join!(
        within_limit(async {
            let Some((base_url, transport)) = ollama.and_then(connect) else { return Ok(None) };
            largest_ollama_model(&base_url, &transport).await.map(Some)
        }),
        within_limit(deployments(azure)),
    );
    match model {
        Ok(None) => {}
        Ok(Some(model)) => discovery.set_ollama_model(model.as_deref()),
        Err(reason) => discovery.faults.push(format!("the models of ollama cannot be listed: {reason}")),
    }
    match deployments {
        Ok(deployments) => discovery.set_azure_deployments(deployments),
        Err(reason) => discovery.faults.push(format!(
            "the deployments of azure cannot be listed ({reason}), so that each request goes to the deployment with the \
             name of its model; if yours have other names, write a file with providers[].model_mapping for azure"
        )),
    }
}

/// Returns the deployments of `azure`, or `None` if there is no such provider, or none with a key.
#[cfg(feature = "azure")]
async fn deployments(azure: Option<&ProviderConfig>) -> Result<Option<Vec<Deployment>>, ListingError> {
    let key = azure.and_then(|known| known.keys.first()?.key.as_ref());
    let (Some((base_url, transport)), Some(key)) = (azure.and_then(connect), key) else { return Ok(None) };
    relay_providers::azure_deployments(&base_url, key, &transport).await.map(Some)
}

/// Returns no deployments: no relay can be built with the provider.
#[cfg(not(feature = "azure"))]
async fn deployments(_: Option<&ProviderConfig>) -> Result<Option<Vec<Deployment>>, ListingError> {
    Ok(None)
}

/// Returns the address of `provider` with a transport to it. `None` if it has no address.
fn connect(provider: &ProviderConfig) -> Option<(relay_config::BaseUrl, Transport)> {
    let settings = TransportSettings::default()
        .with_connect_timeout(LIMIT)
        .with_idle_timeout(LIMIT)
        .with_ca_file(provider.ca_file.clone());
    let transport = Transport::new(&settings, &TrustRoots::on_demand(), Proxies::from_environment()).ok()?;
    Some((provider.kind.base_url()?.clone(), transport))
}

async fn within_limit<T>(
    list: impl Future<Output = Result<Option<T>, ListingError>>,
) -> Result<Option<T>, String> {
    match tokio::time::timeout(LIMIT, list).await {
        Ok(listed) => listed.map_err(|error| ErrorChain(&error).to_string()),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}
