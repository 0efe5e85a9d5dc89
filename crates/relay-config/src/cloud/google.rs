//! Google Cloud: projects, regions, and application default credentials.

use std::path::PathBuf;

use http::uri::Authority;

use super::{OnFault, as_label, google_file, is_label, misnamed};
use crate::config::GoogleCredentials;
use crate::describe::shown_url;
use crate::environment::Environment;
use crate::error::Fault;
use crate::names::BaseUrl;

const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const METADATA_HOST: &str = "GCE_METADATA_HOST";

/// The domain of Google's own endpoints.
pub(crate) const UNIVERSE: &str = "googleapis.com";
const UNIVERSE_DOMAIN: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
const QUOTA_PROJECT: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";

/// Returns the project of `GOOGLE_CLOUD_QUOTA_PROJECT`. `on_fault` receives an unusable one.
pub(crate) fn quota_project(environment: Environment<'_>, on_fault: OnFault<'_>) -> Option<String> {
    let project = environment.get(QUOTA_PROJECT)?;
    if let Err(fault) = check_project(&project) {
        on_fault(QUOTA_PROJECT, fault);
    }
    Some(project)
}

/// Returns the domain of the endpoints: the variable's, otherwise that of the credentials file. `None`: the metadata server
/// reports it.
///
/// # Errors
/// The fault of a credentials file that cannot be used.
pub(crate) fn universe_domain(
    environment: Environment<'_>,
    credentials: &GoogleCredentials,
    on_fault: OnFault<'_>,
) -> Result<Option<String>, Fault> {
    let of_credentials = match credentials {
        GoogleCredentials::File(path) => {
            Some(google_file::universe_domain(path)?.unwrap_or_else(|| UNIVERSE.to_owned()))
        }
        GoogleCredentials::MetadataServer { .. } => None,
    };
    const EXPECTED: &str = "a domain, as in googleapis.com";
    let is_domain = |domain: &str| domain.contains('.') && domain.split('.').all(is_label);
    let own = environment.get(UNIVERSE_DOMAIN);
    if let Some(domain) = own.as_deref().filter(|domain| !is_domain(domain)) {
        on_fault(UNIVERSE_DOMAIN, misnamed(domain, EXPECTED, ""));
    } else if let (None, Some(domain)) = (&own, of_credentials.as_deref().filter(|domain| !is_domain(domain)))
    {
        return Err(misnamed(domain, EXPECTED, "correct universe_domain in the credentials file"));
    }
    Ok(own.or(of_credentials))
}

/// Returns the project of the environment, with the variable that names it.
///
/// # Source
/// google-auth 2.62, `environment_vars.py`: `GCLOUD_PROJECT` is the previous name, which App Engine still sets.
pub(crate) fn project(environment: Environment<'_>) -> Option<(&'static str, String)> {
    environment.first(&["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"])
}

/// Returns the project of gcloud's own setting, with its variable, if neither [`project`] nor the credentials file names one.
/// At the metadata server, the project of the machine applies.
///
/// # Source
/// google-auth 2.62, `_default.py`: a file without a project is followed by `gcloud config get project`, which this variable
/// overrides.
pub(crate) fn gcloud_project(
    environment: Environment<'_>,
    credentials: &GoogleCredentials,
) -> Option<(&'static str, String)> {
    let GoogleCredentials::File(path) = credentials else { return None };
    environment.first(&["CLOUDSDK_CORE_PROJECT"]).filter(|_| !google_file::names_project(path))
}

/// Returns the region of the variable that Claude Code and Anthropic's libraries read, with its name.
pub(crate) fn region(environment: Environment<'_>) -> Option<(&'static str, String)> {
    environment.first(&["CLOUD_ML_REGION"])
}

/// Returns the region in one of Google's own host names: `REGION-aiplatform.googleapis.com`, or that of a regional endpoint,
/// `aiplatform.REGION.rep.googleapis.com`.
pub(crate) fn region_of(url: &BaseUrl) -> Option<String> {
    let host = url.authority().host().to_ascii_lowercase();
    let multi = host.strip_prefix("aiplatform.").and_then(|rest| rest.strip_suffix(".rep.googleapis.com"));
    let region = multi.or_else(|| host.strip_suffix("-aiplatform.googleapis.com"))?;
    Some(region.to_owned()).filter(|region| is_label(region))
}

/// Refuses a text that cannot be part of a URL path, such as a project's display name.
pub(crate) fn check_project(project: &str) -> Result<(), Fault> {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':');
    if !project.is_empty() && project.bytes().all(is_inner) {
        return Ok(());
    }
    let hint = match project.strip_prefix("projects/") {
        Some(id) => format!("write {id}"),
        None => "it is not the project's name; gcloud projects list shows both".to_owned(),
    };
    Err(misnamed(project, "the id of a project, as in my-project-123456", hint))
}

/// Refuses a text that cannot be part of a host name, and a zone.
pub(crate) fn check_region(region: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "a region, as in us-east5, or global, us, eu";
    if !is_label(region) {
        let hint = as_label(region).map(|label| format!("write {label}")).unwrap_or_default();
        return Err(misnamed(region, EXPECTED, hint));
    }
    match region.rsplit_once('-') {
        Some((region_of, zone)) if zone.len() == 1 && region_of.ends_with(|c: char| c.is_ascii_digit()) => {
            Err(misnamed(region, EXPECTED, format!("that is a zone; write {region_of}")))
        }
        _ => Ok(()),
    }
}

/// Returns the source of tokens if the configuration file names none, in the order of Google's own libraries.
pub(crate) fn credentials(environment: Environment<'_>, on_fault: OnFault<'_>) -> GoogleCredentials {
    let file = environment.get(FILE).map(PathBuf::from).or_else(|| gcloud_file(environment));
    file.map_or_else(|| metadata_server(environment, on_fault), GoogleCredentials::File)
}

/// Returns a description of the application default credentials, if there are any.
pub(crate) fn credentials_source(environment: Environment<'_>) -> Option<&'static str> {
    if environment.has(FILE) {
        return Some(FILE);
    }
    if gcloud_file(environment).is_some() {
        return Some("gcloud's application default credentials");
    }
    environment.has(METADATA_HOST).then_some(METADATA_HOST)
}

/// Returns the file that `gcloud auth application-default login` writes, if it exists.
fn gcloud_file(environment: Environment<'_>) -> Option<PathBuf> {
    let own = environment.get("CLOUDSDK_CONFIG").map(PathBuf::from);
    let directory =
        own.or_else(|| Some(PathBuf::from(environment.get("HOME")?).join(".config").join("gcloud")))?;
    Some(directory.join("application_default_credentials.json")).filter(|file| file.is_file())
}

fn metadata_server(environment: Environment<'_>, on_fault: OnFault<'_>) -> GoogleCredentials {
    let host = environment.get(METADATA_HOST).unwrap_or_else(|| "metadata.google.internal".to_owned());
    if host.contains('@') || host.parse::<Authority>().is_err() {
        let shown = shown_url(&host).unwrap_or_default();
        on_fault(METADATA_HOST, misnamed(&shown, "a host, with or without a port", ""));
    }
    GoogleCredentials::MetadataServer { host }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    #[test]
    fn projects_and_regions_must_be_names() {
        #[track_caller]
        fn check(checked: Result<(), Fault>, expected: Option<&str>) {
            assert_eq!(checked.err().map(|fault| fault.to_string()).as_deref(), expected);
        }
        check(check_project("my-project-1"), None);
        check(check_project("example.com:old"), None);
        let expected = "expected the id of a project, as in my-project-123456";
        check(check_project("projects/a"), Some(&format!("found \"projects/a\", {expected}; write a")));
        let hint = "it is not the project's name; gcloud projects list shows both";
        check(check_project("My Project"), Some(&format!("found \"My Project\", {expected}; {hint}")));
        for region in ["us-east5", "europe-west1", "global", "us", "eu"] {
            check(check_region(region), None);
        }
        let expected = "expected a region, as in us-east5, or global, us, eu";
        let zone = format!("found \"us-east5-a\", {expected}; that is a zone; write us-east5");
        check(check_region("us-east5-a"), Some(&zone));
        check(check_region("us east5"), Some(&format!("found \"us east5\", {expected}; write us-east5")));
        check(check_region("us/x"), Some(&format!("found \"us/x\", {expected}")));
    }

    #[test]
    fn credentials_are_searched_in_the_order_of_googles_libraries() {
        #[track_caller]
        fn check(variables: &[(&str, &str)], expected: &GoogleCredentials, source: Option<&str>) {
            let variable = lookup(variables);
            let environment = Environment::new(&variable);
            let found = credentials(environment, &mut |variable, fault| panic!("{variable}: {fault}"));
            assert_eq!(&found, expected);
            assert_eq!(credentials_source(environment), source);
        }
        let machine = |host: &str| GoogleCredentials::MetadataServer { host: host.to_owned() };
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let home_name = home.to_str().unwrap();
        let gcloud = Some("gcloud's application default credentials");
        check(&[("HOME", home_name)], &machine("metadata.google.internal"), None);
        check(&[(METADATA_HOST, "127.0.0.1:8080")], &machine("127.0.0.1:8080"), Some(METADATA_HOST));

        std::fs::create_dir_all(home.join(".config/gcloud")).unwrap();
        let own = home.join(".config/gcloud/application_default_credentials.json");
        std::fs::write(&own, "{}").unwrap();
        check(&[("HOME", home_name)], &GoogleCredentials::File(own.clone()), gcloud);
        let elsewhere = home.join("elsewhere");
        let elsewhere_name = elsewhere.to_str().unwrap();
        let both = [("CLOUDSDK_CONFIG", elsewhere_name), ("HOME", home_name)];
        check(&both, &machine("metadata.google.internal"), None);
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("application_default_credentials.json"), "{}").unwrap();
        let file = elsewhere.join("application_default_credentials.json");
        check(&both, &GoogleCredentials::File(file), gcloud);
        let named = [(FILE, "/nonexistent/key.json"), ("HOME", home_name)];
        check(&named, &GoogleCredentials::File("/nonexistent/key.json".into()), Some(FILE));
    }

    #[test]
    fn a_url_is_refused_as_the_metadata_host() {
        let variable = lookup(&[(METADATA_HOST, "http://169.254.169.254/x")]);
        let mut faults = Vec::new();
        credentials(Environment::new(&variable), &mut |variable, fault| {
            faults.push(format!("{variable}: {fault}"));
        });
        let expected = "found \"http://169.254.169.254/x\", expected a host, with or without a port";
        assert_eq!(faults, [format!("{METADATA_HOST}: {expected}")]);
    }
}
