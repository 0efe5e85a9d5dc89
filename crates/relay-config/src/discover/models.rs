//! The mappings by which discovered providers serve the models that Claude Code requests.

use super::Discovery;
use crate::config::{BedrockConfig, ProviderConfig, ProviderKind};
use crate::model_rule::{Deployment, ModelRule};
use crate::names::ModelMapping;

/// The models whose mapping the log shows.
const EXAMPLES: [&str; 3] = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"];

/// The names that Claude Code requests.
const CLAUDE: &str = "claude-*";

/// Returns the rule for the models of a provider of `kind` that serves Claude under names of its own.
pub(super) fn rule(kind: &ProviderKind) -> Option<ModelRule> {
    match kind {
        ProviderKind::Bedrock(BedrockConfig { region: Some(region), .. }) => {
            Some(ModelRule::Bedrock { region: region.clone() })
        }
        ProviderKind::Vertex(_) => Some(ModelRule::Vertex),
        ProviderKind::Azure(_) => Some(ModelRule::Azure { deployments: Vec::new() }),
        _ => None,
    }
}

impl Discovery {
    /// Maps the names of Claude models to `model`, the largest model of the discovered Ollama that takes tools. `None` if it
    /// has no such model; Ollama then serves requests under its own names only.
    pub fn set_ollama_model(&mut self, model: Option<&str>) {
        let is_ollama = |kind: &ProviderKind| matches!(kind, ProviderKind::Ollama { .. });
        let Some(provider) = self.config.providers.iter_mut().find(|provider| is_ollama(&provider.kind))
        else {
            return;
        };
        match model {
            Some(model) => {
                provider.model_mapping = [(CLAUDE, model)].into_iter().collect();
                self.found.push(format!("ollama serves {CLAUDE} with {model}"));
            }
            None => self.faults.push(
                "pull a model that takes tools, as in `ollama pull qwen3-coder`, to serve Claude models with ollama"
                    .to_owned(),
            ),
        }
    }

    /// Maps the names of Claude models to the deployments of the discovered Azure resource. `None` if they could not be listed;
    /// they are then expected to have the names of their models.
    pub fn set_azure_deployments(&mut self, deployments: Option<Vec<Deployment>>) {
        let is_azure = |provider: &&ProviderConfig| matches!(provider.kind, ProviderKind::Azure(_));
        let Some(name) =
            self.config.providers.iter().find(is_azure).map(|provider| provider.name.to_string())
        else {
            return;
        };
        let Some(deployments) = deployments else { return };
        let listed: Vec<&str> = deployments.iter().map(|deployment| deployment.name.as_str()).collect();
        if listed.is_empty() {
            self.faults.push("deploy a Claude model to the resource to serve one with azure".to_owned());
        } else {
            self.found.push(format!("azure has the deployments {}", listed.join(", ")));
        }
        self.set_rule(&name, ModelRule::Azure { deployments });
    }

    /// Sets the rule for the models of a discovered provider, with a line that shows it.
    pub(super) fn set_rule(&mut self, provider: &str, rule: ModelRule) {
        let sent = EXAMPLES.iter().filter_map(|model| Some(format!("{model} as {}", rule.name(model)?)));
        let line =
            format!("{provider} serves {}, other Claude models alike", sent.collect::<Vec<_>>().join(", "));
        self.found.retain(|known| !known.starts_with(&format!("{provider} serves ")));
        self.found.push(line);
        let own = self.config.providers.iter_mut().find(|known| known.name.as_str() == provider);
        if let Some(own) = own {
            own.model_mapping = ModelMapping::of_rule(rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    fn discovered() -> Discovery {
        let variables = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_PROFILE", "work"),
            ("AZURE_API_KEY", "k"),
            ("AZURE_RESOURCE_NAME", "res"),
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
        ];
        Discovery::from_environment(lookup(&variables), |_| true)
    }

    /// Asserts the line about the models of a provider, and its names of two models.
    #[track_caller]
    fn check(discovery: &Discovery, provider: &str, line: &str, expected: [&str; 2]) {
        assert!(discovery.found.iter().any(|found| found == line), "{:?}", discovery.found);
        let own = discovery.config.providers.iter().find(|known| known.name.as_str() == provider).unwrap();
        let mapped =
            ["claude-haiku-4-5-20251001", "claude-opus-5-5"].map(|model| own.model_mapping.lookup(model));
        assert_eq!(
            mapped.map(|model| model.map(|model| model.to_string())),
            expected.map(|name| Some(name.to_owned()))
        );
        assert_eq!(own.model_mapping.lookup("glm-4.7"), None);
    }

    #[test]
    fn discovered_providers_serve_the_models_that_claude_code_requests() {
        let discovery = discovered();
        check(
            &discovery,
            "bedrock",
            "bedrock serves claude-opus-5-5 as eu.anthropic.claude-opus-5-5, claude-sonnet-5-5 as \
             eu.anthropic.claude-sonnet-5-5, claude-haiku-4-5 as eu.anthropic.claude-haiku-4-5-20251001-v1:0, other \
             Claude models alike",
            ["eu.anthropic.claude-haiku-4-5-20251001-v1:0", "eu.anthropic.claude-opus-5-5"],
        );
        check(
            &discovery,
            "vertex",
            "vertex serves claude-opus-5-5 as claude-opus-5-5, claude-sonnet-5-5 as claude-sonnet-5-5, claude-haiku-4-5 \
             as claude-haiku-4-5@20251001, other Claude models alike",
            ["claude-haiku-4-5@20251001", "claude-opus-5-5"],
        );
        check(
            &discovery,
            "azure",
            "azure serves claude-opus-5-5 as claude-opus-5-5, claude-sonnet-5-5 as claude-sonnet-5-5, claude-haiku-4-5 as \
             claude-haiku-4-5, other Claude models alike",
            ["claude-haiku-4-5", "claude-opus-5-5"],
        );
    }

    #[test]
    fn listed_deployments_replace_the_names_of_models() {
        let mut discovery = discovered();
        let deployment = Deployment { name: "my-opus".to_owned(), model: "claude-opus-5-5".to_owned() };
        discovery.set_azure_deployments(Some(vec![deployment]));
        let line = "azure serves claude-opus-5-5 as my-opus, claude-sonnet-5-5 as my-opus, claude-haiku-4-5 as my-opus, other \
                    Claude models alike";
        check(&discovery, "azure", line, ["my-opus", "my-opus"]);
        assert_eq!(discovery.found.iter().filter(|found| found.starts_with("azure serves")).count(), 1);
        discovery.set_azure_deployments(Some(Vec::new()));
        assert!(
            discovery
                .faults
                .contains(&"deploy a Claude model to the resource to serve one with azure".to_owned())
        );
    }

    #[test]
    fn ollama_serves_every_claude_model_with_one_model() {
        let mut discovery = discovered();
        discovery.set_ollama_model(None);
        assert!(discovery.faults.last().unwrap().starts_with("pull a model that takes tools"));
        discovery.set_ollama_model(Some("qwen3-coder:30b"));
        let line = "ollama serves claude-* with qwen3-coder:30b";
        check(&discovery, "ollama", line, ["qwen3-coder:30b", "qwen3-coder:30b"]);
    }
}
