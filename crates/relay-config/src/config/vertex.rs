//! The settings of a Google Vertex AI upstream.

use std::path::PathBuf;

use crate::names::BaseUrl;

/// The settings of a Google Vertex AI upstream.
#[derive(Debug, Clone, PartialEq)]
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
