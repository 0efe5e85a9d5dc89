//! The settings of a Google Vertex AI upstream.

use std::path::PathBuf;

use crate::names::BaseUrl;

/// The settings of a Google Vertex AI upstream.
///
/// ```
/// use relay_config::{GoogleCredentials, ProviderConfig, ProviderKind, VertexConfig};
///
/// let credentials = GoogleCredentials::File("/etc/relay/service-account.json".into());
/// let vertex = VertexConfig::new(credentials).with_project("my-project").with_region("global");
/// let provider = ProviderConfig::new("vertex", ProviderKind::Vertex(vertex));
/// assert_eq!(provider.kind.as_str(), "vertex");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VertexConfig {
    /// The URL in front of `/v1/projects`. `None`: the endpoint of the region.
    pub base_url: Option<BaseUrl>,
    /// The project of the file or of `GOOGLE_CLOUD_PROJECT`. `None`: the project of the credentials file.
    pub project: Option<String>,
    /// A region, or `global`, `us`, `eu`. Default `us-east5`.
    pub region: String,
    /// The source of access tokens.
    pub credentials: GoogleCredentials,
    /// The project whose quota requests count against: `GOOGLE_CLOUD_QUOTA_PROJECT`. `None`: the `quota_project_id` of the
    /// credentials file, if it has one.
    pub quota_project: Option<String>,
    /// The domain of Google's endpoints: `GOOGLE_CLOUD_UNIVERSE_DOMAIN`, otherwise `universe_domain` of the credentials
    /// file, otherwise `googleapis.com`. `None`: the metadata server reports it.
    pub universe_domain: Option<String>,
}

impl VertexConfig {
    /// The region if none is configured.
    pub(crate) const DEFAULT_REGION: &'static str = "us-east5";

    /// Creates the settings for the source of access tokens: the project of the credentials, in the region `us-east5`, at
    /// Google's public endpoints.
    #[must_use]
    pub fn new(credentials: GoogleCredentials) -> Self {
        Self {
            base_url: None,
            project: None,
            region: Self::DEFAULT_REGION.to_owned(),
            credentials,
            quota_project: None,
            universe_domain: None,
        }
    }

    /// Sets the URL in front of `/v1/projects`. Default: the endpoint of the region.
    #[must_use]
    pub fn with_base_url(mut self, url: BaseUrl) -> Self {
        self.base_url = Some(url);
        self
    }

    /// Sets the project. Default: that of the credentials file.
    #[must_use]
    pub fn with_project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Sets the region, or `global`, `us`, `eu`.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Sets the project whose quota requests count against.
    #[must_use]
    pub fn with_quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Sets the domain of Google's endpoints, such as `googleapis.com`.
    #[must_use]
    pub fn with_universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }
}

/// The source of Google's access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoogleCredentials {
    /// A credentials file of any type: `credentials_file`, `GOOGLE_APPLICATION_CREDENTIALS`, or the application
    /// default credentials that gcloud has written.
    File(PathBuf),
    /// The metadata server of the machine.
    MetadataServer {
        /// The host, with or without a port: `GCE_METADATA_HOST`, default `metadata.google.internal`.
        host: String,
    },
}
