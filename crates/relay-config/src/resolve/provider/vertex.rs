//! Resolves the settings of type `vertex`.

use super::fallback::own_or_environment;
use crate::cloud::google;
use crate::config::{GoogleCredentials, VertexConfig};
use crate::error::Concern;
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::reporter::Reporter;
use crate::tree::KeyPath;

pub(super) fn resolve(
    raw: &mut raw::Provider,
    base_url: Option<BaseUrl>,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> VertexConfig {
    let region = raw.gcp_region.take().unwrap_or_else(|| VertexConfig::DEFAULT_REGION.to_owned());
    if let Err(fault) = google::check_region(&region) {
        to.problem(&path.key("gcp_region"), fault);
    }
    let credentials = match raw.credentials_file.take() {
        Some(file) => {
            to.check_path(&file, &path.key("credentials_file"));
            GoogleCredentials::File(file)
        }
        None => google::credentials(to.environment, &mut |variable, fault| {
            if enabled {
                to.problem_in_variable(variable, &path.key("credentials_file"), fault);
            }
        }),
    };
    let place = path.key("credentials_file");
    let mut faults = Vec::new();
    let mut on_fault = |variable: &'static str, fault| faults.push((variable, fault));
    let quota_project = google::quota_project(to.environment, &mut on_fault);
    let universe_domain = google::universe_domain(to.environment, &credentials, &mut on_fault);
    let universe_domain = universe_domain.unwrap_or_else(|fault| {
        if enabled {
            to.problem(&place, fault);
        }
        None
    });
    for (variable, fault) in faults.into_iter().filter(|_| enabled) {
        to.problem_in_variable(variable, &place, fault);
    }
    let project = project(raw, &credentials, enabled, path, to);
    if let Some(url) = &base_url
        && enabled
        && let Some(named) = google::region_of(url).filter(|named| *named != region)
    {
        let concern = Concern::OtherRegion { named, setting: "gcp_region", region: region.clone() };
        to.warning(&path.key("base_url"), concern);
    }
    VertexConfig { base_url, project, region, credentials, quota_project, universe_domain }
}

/// Returns the project of the file, otherwise of the environment.
fn project(
    raw: &mut raw::Provider,
    credentials: &GoogleCredentials,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<String> {
    let environment =
        google::project(to.environment).or_else(|| google::gcloud_project(to.environment, credentials));
    own_or_environment(
        raw.gcp_project_id.take(),
        environment,
        google::check_project,
        enabled,
        &path.key("gcp_project_id"),
        to,
    )
}
