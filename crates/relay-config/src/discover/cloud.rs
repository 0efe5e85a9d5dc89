//! Discovers providers at the three clouds by the variables that their own tools read.

use super::{Discovery, FoundKey, key_in, models};
use crate::cloud::aws_endpoint::EndpointSwitches;
use crate::cloud::{aws, azure, google};
use crate::config::{AzureAuth, AzureConfig, BedrockApi, BedrockConfig, ProviderKind, VertexConfig};
use crate::environment::Environment;
use crate::error::Fault;
use crate::kinds::{Implementation, KindSpec};

/// The location that serves the newest models, which single regions do not.
const VERTEX_REGION: &str = "global";

/// A provider for which the environment contains all that is needed.
struct FoundCloud {
    kind: ProviderKind,
    key: Option<String>,
    /// The variables that it was found by, for the log.
    by: String,
}

/// The reason for which the environment has no provider of a cloud.
enum Absent {
    /// The variables that would add it.
    Missing(String),
    /// A value that cannot be used.
    Faulty(String),
}

impl From<&str> for Absent {
    fn from(missing: &str) -> Self {
        Self::Missing(missing.to_owned())
    }
}

impl From<String> for Absent {
    fn from(missing: String) -> Self {
        Self::Missing(missing)
    }
}

impl Absent {
    /// The fault of the value at `place`.
    fn faulty(place: &str, cloud: &str, fault: &Fault) -> Self {
        Self::Faulty(format!("correct {place} to add {cloud}: {fault}"))
    }
}

impl Discovery {
    /// Adds the provider of a cloud, or a line with the variables to set for it.
    pub(super) fn add_cloud(&mut self, spec: &KindSpec, environment: Environment<'_>) {
        let looked = match spec.implementation {
            Implementation::Bedrock => bedrock(environment),
            Implementation::Azure => foundry(environment),
            Implementation::Vertex => vertex(environment),
            _ => return,
        };
        match looked {
            Ok(FoundCloud { kind, key, by }) => {
                self.found.push(format!("{}: {by}", spec.name));
                let rule = models::rule(&kind);
                self.add(kind, key);
                if let Some(rule) = rule {
                    self.set_rule(spec.name, rule);
                }
            }
            Err(Absent::Missing(line)) => self.missing.push(line),
            Err(Absent::Faulty(line)) => self.faults.push(line),
        }
    }
}

fn bedrock(environment: Environment<'_>) -> Result<FoundCloud, Absent> {
    let credentials = aws::credentials_variable(environment).ok_or(
        "set AWS_REGION, and AWS_PROFILE, AWS_BEARER_TOKEN_BEDROCK or a pair of AWS keys, to add bedrock",
    )?;
    let region = aws::region(environment);
    let (by, region) = region
        .or_else(|| Some(("the profile", aws::profile_region(environment, None)?)))
        .ok_or_else(|| format!("set AWS_REGION to add bedrock with {credentials}"))?;
    aws::check_region(&region).map_err(|fault| Absent::faulty(by, "bedrock", &fault))?;
    let mut wrong = None;
    let switches =
        EndpointSwitches::read(environment, None, &mut |place, fault| wrong = Some((place, fault)));
    if let Some((place, fault)) = wrong {
        return Err(Absent::faulty(place, "bedrock", &fault));
    }
    Ok(FoundCloud {
        by: format!("{credentials}, and the region {region} from {by}"),
        key: None,
        kind: ProviderKind::Bedrock(BedrockConfig {
            base_url: switches.base_url(Some(&region), BedrockApi::Invoke),
            region: Some(region),
            credentials: aws::credentials(environment),
            api: BedrockApi::Invoke,
            guardrail: None,
        }),
    })
}

fn foundry(environment: Environment<'_>) -> Result<FoundCloud, Absent> {
    let (key, resource) = match (azure_key(environment)?, environment.get("AZURE_RESOURCE_NAME")) {
        (Some(key), Some(resource)) => (key, resource),
        (Some(_), None) => return Err("set AZURE_RESOURCE_NAME to add azure with AZURE_API_KEY".into()),
        (None, _) => return Err("set AZURE_API_KEY and AZURE_RESOURCE_NAME to add azure".into()),
    };
    let base_url =
        azure::base_url(&resource).map_err(|fault| Absent::faulty("AZURE_RESOURCE_NAME", "azure", &fault))?;
    Ok(FoundCloud {
        by: format!("AZURE_API_KEY{}, and the resource {resource} from AZURE_RESOURCE_NAME", key.remark),
        key: Some(key.key),
        kind: ProviderKind::Azure(AzureConfig { base_url, api_version: None, auth: AzureAuth::ApiKey }),
    })
}

fn azure_key(environment: Environment<'_>) -> Result<Option<FoundKey>, Absent> {
    key_in(environment, "AZURE_API_KEY").map_err(|fault| Absent::faulty("AZURE_API_KEY", "azure", &fault))
}

fn vertex(environment: Environment<'_>) -> Result<FoundCloud, Absent> {
    let (variable, project) = google::project(environment).ok_or(
        "set GOOGLE_CLOUD_PROJECT, and log in with gcloud auth application-default login, to add vertex",
    )?;
    let correct = |place: &str, fault: Fault| Absent::faulty(place, "vertex", &fault);
    google::check_project(&project).map_err(|fault| correct(variable, fault))?;
    let source = google::credentials_source(environment).ok_or_else(|| {
        format!(
            "log in with gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS, to add vertex \
             with {variable}"
        )
    })?;
    let region = google::region(environment);
    if let Some((variable, region)) = &region {
        google::check_region(region).map_err(|fault| correct(variable, fault))?;
    }
    let region = region.map_or_else(|| VERTEX_REGION.to_owned(), |(_, region)| region);
    let mut wrong = None;
    let mut on_fault = |variable, fault| wrong = Some((variable, fault));
    let credentials = google::credentials(environment, &mut on_fault);
    let quota_project = google::quota_project(environment, &mut on_fault);
    let universe_domain = google::universe_domain(environment, &credentials, &mut on_fault)
        .map_err(|fault| correct("the credentials", fault))?;
    if let Some((variable, fault)) = wrong {
        return Err(correct(variable, fault));
    }
    Ok(FoundCloud {
        by: format!("{source}, and the project {project} from {variable}, in {region}"),
        key: None,
        kind: ProviderKind::Vertex(VertexConfig {
            base_url: None,
            project: Some(project),
            region,
            credentials,
            quota_project,
            universe_domain,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    /// Asserts the lines about the clouds.
    #[track_caller]
    fn check(variables: &[(&str, &str)], found: &[&str], missing: &[&str]) -> Discovery {
        let variable = lookup(variables);
        let discovery = Discovery::from_environment(variable, |_| false);
        let about_clouds = |lines: &[String]| {
            let names = ["bedrock", "azure", "vertex"];
            let lines = lines.iter().filter(|line| names.iter().any(|name| line.contains(name)));
            let lines = lines.filter(|line| !line.contains(" serves "));
            lines.cloned().collect::<Vec<_>>()
        };
        assert_eq!(about_clouds(&discovery.found), found);
        assert_eq!(about_clouds(&[&*discovery.missing, &discovery.faults].concat()), missing);
        discovery
    }

    const NO_BEDROCK: &str =
        "set AWS_REGION, and AWS_PROFILE, AWS_BEARER_TOKEN_BEDROCK or a pair of AWS keys, to add bedrock";
    const NO_AZURE: &str = "set AZURE_API_KEY and AZURE_RESOURCE_NAME to add azure";
    const NO_VERTEX: &str =
        "set GOOGLE_CLOUD_PROJECT, and log in with gcloud auth application-default login, to add vertex";

    #[test]
    fn missing_variables_of_the_clouds_are_listed() {
        check(&[], &[], &[NO_BEDROCK, NO_AZURE, NO_VERTEX]);
        check(
            &[("AWS_PROFILE", "work"), ("AZURE_API_KEY", "k"), ("GOOGLE_CLOUD_PROJECT", "p")],
            &[],
            &[
                "set AWS_REGION to add bedrock with AWS_PROFILE",
                "set AZURE_RESOURCE_NAME to add azure with AZURE_API_KEY",
                "log in with gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS, to add vertex \
                 with GOOGLE_CLOUD_PROJECT",
            ],
        );
    }

    #[test]
    fn clouds_rank_between_hosted_and_local_upstreams() {
        let variables = [
            ("ANTHROPIC_API_KEY", "a"),
            ("ZAI_API_KEY", "z"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "i"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AZURE_API_KEY", " k "),
            ("AZURE_RESOURCE_NAME", "res"),
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
        ];
        let found = [
            "bedrock: AWS_ACCESS_KEY_ID, and the region eu-central-1 from AWS_REGION",
            "azure: AZURE_API_KEY; blanks or line breaks around it were removed, and the resource res from AZURE_RESOURCE_NAME",
            "vertex: GOOGLE_APPLICATION_CREDENTIALS, and the project p from GOOGLE_CLOUD_PROJECT, in global",
        ];
        let discovery = check(&variables, &found, &[]);
        let ranked: Vec<_> =
            discovery.config.providers.iter().map(|p| (p.name.as_str(), p.priority, p.keys.len())).collect();
        assert_eq!(
            ranked,
            [("anthropic", 5, 1), ("zai", 4, 1), ("bedrock", 3, 0), ("azure", 2, 1), ("vertex", 1, 0)]
        );
        assert_eq!(discovery.config.providers[3].keys[0].key.as_ref().unwrap().expose(), "k");
    }

    #[test]
    fn the_region_of_the_profile_is_used_for_discovery() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, "[profile work]\nregion = us-west-2\n").unwrap();
        let variables = [("AWS_PROFILE", "work"), ("AWS_CONFIG_FILE", file.to_str().unwrap())];
        let found = ["bedrock: AWS_PROFILE, and the region us-west-2 from the profile"];
        check(&variables, &found, &[NO_AZURE, NO_VERTEX]);
    }

    #[test]
    fn malformed_variables_add_no_provider() {
        let variables = [
            ("AWS_DEFAULT_REGION", "us east 1"),
            ("AWS_BEARER_TOKEN_BEDROCK", "b"),
            ("AZURE_API_KEY", "k"),
            ("AZURE_RESOURCE_NAME", "res.services.ai.azure.com"),
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("GCE_METADATA_HOST", "metadata.google.internal"),
            ("CLOUD_ML_REGION", "us-east5-a"),
        ];
        let missing = [
            "correct AWS_DEFAULT_REGION to add bedrock: found \"us east 1\", expected the code of a region, as in \
             us-east-1; write us-east-1",
            "correct AZURE_RESOURCE_NAME to add azure: found \"res.services.ai.azure.com\", expected the name of a \
             resource: letters, digits and hyphens; write res",
            "correct CLOUD_ML_REGION to add vertex: found \"us-east5-a\", expected a region, as in us-east5, or global, \
             us, eu; that is a zone; write us-east5",
        ];
        check(&variables, &[], &missing);
    }
}
