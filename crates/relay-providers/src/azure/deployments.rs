//! Finds the deployments of an Azure resource.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use relay_config::{BaseUrl, ClaudeModel, Deployment, Secret};
use relay_transport::Transport;
use serde::Deserialize;

use crate::answer::AttemptError;
use crate::installed::call;
use crate::listing::ListingError;
use crate::provider::AuthorizeError;

/// The API versions of the list of deployments, in the order to try them: the last two that have one. Not every resource
/// serves both. `GET /openai/v1/models` is no replacement: it lists Azure's whole catalogue.
///
/// # Source
/// `Deployments_List` in `cognitiveservices/data-plane/AzureOpenAI/authoring` of Azure/azure-rest-api-specs.
const DEPLOYMENTS_VERSIONS: [&str; 2] = ["2023-03-15-preview", "2022-12-01"];

#[derive(Deserialize)]
struct Deployments {
    data: Vec<Deployed>,
}

#[derive(Deserialize)]
struct Deployed {
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    status: Option<String>,
}

/// Returns the deployments of Claude models of the Azure resource whose Messages endpoint is `base_url`.
///
/// # Errors
/// [`ListingError`] if the list cannot be read: that of the first version if the resource has none. It may have none.
pub async fn azure_deployments(
    base_url: &BaseUrl,
    key: &Secret,
    transport: &Transport,
) -> Result<Vec<Deployment>, ListingError> {
    let mut value =
        HeaderValue::from_str(key.expose()).map_err(|_| AttemptError::from(AuthorizeError::Malformed))?;
    value.set_sensitive(true);
    let headers = HeaderMap::from_iter([(HeaderName::from_static("api-key"), value)]);
    let root = format!("{}://{}", base_url.scheme(), base_url.authority());
    let root = BaseUrl::parse(&root).map_err(|_| ListingError::Malformed)?;
    let mut listed: Result<Deployments, ListingError> = Err(ListingError::Malformed);
    for (index, version) in DEPLOYMENTS_VERSIONS.into_iter().enumerate() {
        let path = format!("/openai/deployments?api-version={version}");
        let found = call(&root, transport, &path, None, &headers).await;
        let is_final = !matches!(&found, Err(ListingError::Status(status)) if is_missing(*status));
        if is_final || index == 0 {
            listed = found;
        }
        if is_final {
            break;
        }
    }
    let listed = listed?;
    let is_usable = |deployed: &Deployed| {
        let is_ready =
            deployed.status.as_deref().is_none_or(|status| status.eq_ignore_ascii_case("succeeded"));
        is_ready && ClaudeModel::parse(&deployed.model).is_some()
    };
    let usable = listed.data.into_iter().filter(is_usable);
    Ok(usable.map(|deployed| Deployment::new(deployed.id, deployed.model)).collect())
}

/// Returns `true` for the answers to an API version or a path that the resource does not have.
fn is_missing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::GONE
            | StatusCode::NOT_IMPLEMENTED
    )
}
