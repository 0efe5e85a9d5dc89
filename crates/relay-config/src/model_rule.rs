//! Rules that make an upstream's name of a Claude model from the name that a client sends.

use crate::claude_model::ClaudeModel;

/// The releases whose ids at Bedrock and Vertex AI contain a date, with their suffix at Bedrock. Later models have neither,
/// except [`REVISED`].
///
/// # Source
/// Anthropic's pages about Bedrock and Vertex AI.
const DATED: [(&str, &str, &str); 12] = [
    ("claude-3-haiku", "20240307", "v1:0"),
    ("claude-3-sonnet", "20240229", "v1:0"),
    ("claude-3-opus", "20240229", "v1:0"),
    ("claude-3-5-haiku", "20241022", "v1:0"),
    ("claude-3-5-sonnet", "20241022", "v2:0"),
    ("claude-3-7-sonnet", "20250219", "v1:0"),
    ("claude-opus-4", "20250514", "v1:0"),
    ("claude-sonnet-4", "20250514", "v1:0"),
    ("claude-opus-4-1", "20250805", "v1:0"),
    ("claude-sonnet-4-5", "20250929", "v1:0"),
    ("claude-haiku-4-5", "20251001", "v1:0"),
    ("claude-opus-4-5", "20251101", "v1:0"),
];

/// The undated models whose ids at Bedrock have a suffix.
const REVISED: [(&str, &str); 1] = [("claude-opus-4-6", "v1")];

/// The models that Anthropic serves today, for the output of a rule.
const SERVED: [&str; 17] = [
    "claude-fable-5",
    "claude-fable-5-1",
    "claude-fable-5-2",
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-mythos-5-1",
    "claude-mythos-5-2",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
];

/// The first generation for which Bedrock has no profile with the prefix `apac`.
const WITHOUT_APAC: (u32, u32) = (4, 5);

/// A rule that makes an upstream's name of a Claude model. Names that are not Anthropic's own are not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelRule {
    /// The id of an inference profile of Bedrock for this region, such as `us.anthropic.claude-opus-5-5`.
    Bedrock {
        /// The region of the endpoint.
        region: String,
    },
    /// The id at Vertex AI, such as `claude-sonnet-4-5@20250929`.
    Vertex,
    /// The deployment in Azure AI Foundry that fits best.
    Azure {
        /// The deployments of Claude models. If there are none, they are expected to have the names of their models.
        deployments: Vec<Deployment>,
    },
}

/// A deployment of a model in Azure AI Foundry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deployment {
    /// The name of the deployment, which requests contain.
    pub name: String,
    /// The model that is deployed.
    pub model: String,
}

impl Deployment {
    /// Creates a deployment with its name, for the model that is deployed.
    pub fn new(name: impl Into<String>, model: impl Into<String>) -> Self {
        Self { name: name.into(), model: model.into() }
    }
}

impl ModelRule {
    /// Returns today's models with the upstream's names of them.
    pub fn known_names(&self) -> impl Iterator<Item = (&'static str, String)> {
        SERVED.into_iter().filter_map(|model| Some((model, self.name(model)?)))
    }

    /// Returns the upstream's name of `model`. `None` for a name that is not one of Anthropic's.
    #[must_use]
    pub fn name(&self, model: &str) -> Option<String> {
        let claude = Some(model.trim_start()).filter(|model| model.starts_with(['c', 'C']))?;
        let claude = ClaudeModel::parse(claude)?;
        match self {
            Self::Bedrock { region } => Some(bedrock(&claude, region)),
            Self::Vertex => Some(vertex(&claude)),
            Self::Azure { deployments } => Some(deployment(&claude, deployments)),
        }
    }
}

fn bedrock(model: &ClaudeModel, region: &str) -> String {
    let prefix = profile_prefix(model, region);
    let name = model.to_string();
    let revised = || REVISED.iter().find(|(known, _)| *known == name).map(|(_, suffix)| format!("-{suffix}"));
    let suffix = match dated(&name) {
        // The first release of this model has a date of its own, and another suffix.
        Some(_) if model.date() == Some("20240620") => "-20240620-v1:0".to_owned(),
        Some((date, suffix)) => format!("-{date}-{suffix}"),
        None => revised().unwrap_or_default(),
    };
    format!("{prefix}.anthropic.{name}{suffix}")
}

/// Returns the prefix of the inference profiles that can be called in `region`.
fn profile_prefix(model: &ClaudeModel, region: &str) -> &'static str {
    let has_apac = model.version().is_some_and(|version| version < WITHOUT_APAC);
    match region.split('-').next().unwrap_or_default() {
        "us" if region.starts_with("us-gov-") => "us-gov",
        "us" => "us",
        "eu" => "eu",
        "ap" if has_apac => "apac",
        _ => "global",
    }
}

fn vertex(model: &ClaudeModel) -> String {
    let name = model.to_string();
    let date = model.date().or_else(|| dated(&name).map(|(date, _)| date));
    match date {
        Some(date @ "20241022") if name == "claude-3-5-sonnet" => format!("{name}-v2@{date}"),
        Some(date) => format!("{name}@{date}"),
        None => name,
    }
}

fn dated(name: &str) -> Option<(&'static str, &'static str)> {
    DATED.iter().find(|(known, _, _)| *known == name).map(|(_, date, suffix)| (*date, *suffix))
}

/// Returns the deployment of the model, otherwise of the newest model of its family, otherwise of the newest model. Without
/// deployments, it is the name that Azure suggests for one.
fn deployment(model: &ClaudeModel, deployments: &[Deployment]) -> String {
    let rank = |deployment: &Deployment| {
        let deployed = ClaudeModel::parse(&deployment.model);
        let is_same = deployed.as_ref().is_some_and(|deployed| deployed.to_string() == model.to_string());
        let is_family = deployed.as_ref().is_some_and(|deployed| deployed.family() == model.family());
        (is_same, is_family, deployed.and_then(|deployed| deployed.version()))
    };
    let best = deployments.iter().rev().max_by_key(|deployment| rank(deployment));
    best.map_or_else(|| model.to_string(), |deployment| deployment.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: &ModelRule, model: &str, expected: &str) {
        assert_eq!(rule.name(model).unwrap_or_default(), expected, "{model}");
    }

    #[test]
    fn names_become_inference_profiles_of_the_region() {
        for (region, model, expected) in [
            ("us-east-1", "claude-sonnet-4-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("us-west-2", "claude-sonnet-4-5-20250929", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("us-west-2", "claude-sonnet-4-5@20250929", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("us-east-1", "claude-haiku-4-5-20251001", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
            ("us-east-1", "claude-3-5-haiku-latest", "us.anthropic.claude-3-5-haiku-20241022-v1:0"),
            ("us-east-1", "claude-3-5-sonnet-20240620", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
            ("us-east-1", "claude-3-5-sonnet-20241022", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
            ("us-east-1", "claude-opus-4-6", "us.anthropic.claude-opus-4-6-v1"),
            ("eu-central-1", "claude-sonnet-4-6", "eu.anthropic.claude-sonnet-4-6"),
            ("eu-west-1", "claude-opus-5-5", "eu.anthropic.claude-opus-5-5"),
            ("eu-west-1", "claude-opus-5-5-20261001", "eu.anthropic.claude-opus-5-5"),
            ("us-gov-west-1", "claude-sonnet-4-5", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("ap-southeast-1", "claude-sonnet-4-20250514", "apac.anthropic.claude-sonnet-4-20250514-v1:0"),
            ("ap-southeast-1", "claude-opus-5-5", "global.anthropic.claude-opus-5-5"),
            ("ca-central-1", "claude-fable-5-2", "global.anthropic.claude-fable-5-2"),
            ("us-east-1", "claude-fable-5[1m]", "us.anthropic.claude-fable-5"),
            ("us-east-1", "us.anthropic.claude-opus-5", ""),
            ("us-east-1", "anthropic.claude-opus-5", ""),
            ("us-east-1", "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-5", ""),
            ("us-east-1", "amazon.nova-pro-v1:0", ""),
        ] {
            check(&ModelRule::Bedrock { region: region.to_owned() }, model, expected);
        }
    }

    #[test]
    fn names_become_ids_of_vertex_ai() {
        for (model, expected) in [
            ("claude-sonnet-4-5", "claude-sonnet-4-5@20250929"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
            ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-v2@20241022"),
            ("claude-3-5-sonnet-20240620", "claude-3-5-sonnet@20240620"),
            ("claude-opus-4-1", "claude-opus-4-1@20250805"),
            ("claude-opus-5-5", "claude-opus-5-5"),
            ("claude-opus-5-5-20261001", "claude-opus-5-5@20261001"),
            ("gemini-3-pro", ""),
        ] {
            check(&ModelRule::Vertex, model, expected);
        }
    }

    #[test]
    fn names_become_the_deployment_that_fits_best() {
        let deployment =
            |name: &str, model: &str| Deployment { name: name.to_owned(), model: model.to_owned() };
        let deployments = vec![
            deployment("old-sonnet", "claude-sonnet-4-5"),
            deployment("new-sonnet", "claude-sonnet-5-5"),
            deployment("my-opus", "claude-opus-4-8"),
            deployment("second-opus", "claude-opus-4-8"),
        ];
        let rule = ModelRule::Azure { deployments };
        check(&rule, "claude-sonnet-4-5-20250929", "old-sonnet");
        check(&rule, "claude-sonnet-5", "new-sonnet");
        check(&rule, "claude-opus-5-5", "my-opus");
        check(&rule, "claude-haiku-4-5-20251001", "new-sonnet");
        check(&rule, "my-opus", "");
        let rule = ModelRule::Azure { deployments: Vec::new() };
        check(&rule, "claude-haiku-4-5-20251001", "claude-haiku-4-5");
    }
}
