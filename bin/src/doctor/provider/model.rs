//! The checks of the models that requests are mapped to.

use relay_config::{ProviderConfig, ProviderKind};
use relay_server::check::{CheckAnswer, ModelCheck, Outcome, ProviderCheck};

use crate::doctor::check::Check;

const NAME: &str = "model";
/// The number of models of the upstream that a message names.
const NAMED: usize = 5;

/// Compares the models of the configuration with the list of the upstream, or with its answers to token counts.
pub(super) fn checks(provider: &ProviderConfig, found: &ProviderCheck) -> Vec<Check> {
    if !found.models.is_empty() {
        return found.models.iter().map(|model| counted(provider, model)).collect();
    }
    let reports = found.credentials.iter().filter_map(|credential| credential.report.as_ref());
    let answers = reports.filter_map(|report| report.answer.as_ref()?.as_ref().ok());
    match answers.filter_map(|answer| answer.models.as_ref()).next() {
        Some(models) => listed(provider, models),
        None => vec![Check::skip(NAME, "not checked: the upstream has returned no list of models")],
    }
}

fn counted(provider: &ProviderConfig, check: &ModelCheck) -> Check {
    let model = &check.model;
    let answer = match &check.answer {
        Ok(answer) => answer,
        Err(error) => {
            return Check::warn(NAME, format!("{model}: {}", error.in_one_line()), "run the check again");
        }
    };
    let message = message(answer);
    match answer.outcome {
        Outcome::Success => Check::ok(NAME, format!("{model}: known")).with_time(answer.latency),
        Outcome::ModelUnavailable if check.is_configured => {
            Check::fail(NAME, format!("{model}: {message}"), unavailable(provider))
        }
        Outcome::ModelUnavailable => {
            let text = format!("{model}: {message}; the configuration names no model");
            Check::warn(NAME, text, "map the names of Claude models in model_mapping")
        }
        _ => Check::skip(NAME, format!("{model}: the upstream counts no tokens for it; --send checks it")),
    }
}

fn message(answer: &CheckAnswer) -> String {
    answer.message.clone().unwrap_or_else(|| format!("the upstream answered {}", answer.status.as_u16()))
}

fn unavailable(provider: &ProviderConfig) -> String {
    match &provider.kind {
        ProviderKind::Bedrock(config) => {
            let region = config.region.as_deref().unwrap_or("its region");
            format!(
                "map it to an id or an inference profile that the account may use in {region} \
                 (`aws bedrock list-inference-profiles --region {region}`), or change aws_region"
            )
        }
        ProviderKind::Vertex(config) => {
            format!(
                "enable the model in the Model Garden of the project, or change gcp_region ({})",
                config.region
            )
        }
        ProviderKind::Azure(_) => {
            "map it to the name of a deployment of the resource in model_mapping".to_owned()
        }
        _ => "correct its name in model_mapping".to_owned(),
    }
}

/// Compares the targets of the configuration with the models in the list of the upstream.
fn listed(provider: &ProviderConfig, models: &[String]) -> Vec<Check> {
    let is_ollama = matches!(provider.kind, ProviderKind::Ollama { .. });
    if models.is_empty() && is_ollama {
        let text = "no model is installed";
        return vec![Check::fail(NAME, text, "install one that takes tools: `ollama pull qwen3-coder`")];
    }
    let targets = targets(provider);
    if targets.is_empty() && is_ollama {
        let text = format!("{} installed, and none is mapped to the names of Claude models", models.len());
        let fix = format!("model_mapping: {{ \"claude-*\": \"{}\" }}", models[0]);
        return vec![Check::warn(NAME, text, fix)];
    }
    let missing: Vec<_> = targets.iter().filter(|target| !has(models, target)).collect();
    if missing.is_empty() {
        let configured = if targets.is_empty() { "" } else { ", with all that the configuration names" };
        return vec![Check::ok(NAME, format!("{} listed{configured}", models.len()))];
    }
    missing.into_iter().map(|target| unknown(provider, target, models)).collect()
}

fn unknown(provider: &ProviderConfig, target: &str, models: &[String]) -> Check {
    let known: Vec<_> = models.iter().take(NAMED).map(String::as_str).collect();
    let known = known.join(", ");
    match &provider.kind {
        ProviderKind::Ollama { .. } => {
            Check::fail(NAME, format!("{target}: not installed"), format!("ollama pull {target}"))
        }
        ProviderKind::Anthropic { .. } => {
            let fix = format!("correct its name in model_mapping or models; the upstream has {known}, …");
            Check::fail(NAME, format!("{target}: not in the list of the upstream"), fix)
        }
        _ => {
            let fix = format!("check its name in model_mapping or models; the upstream lists {known}, …");
            Check::warn(NAME, format!("{target}: not in the list of the upstream"), fix)
        }
    }
}

/// Returns the upstream's names of the models that the configuration names.
fn targets(provider: &ProviderConfig) -> Vec<String> {
    let mapping = &provider.model_mapping;
    let listed = provider.models.iter().filter(|model| !model.contains('*'));
    let listed =
        listed.map(|model| mapping.lookup(model).map_or_else(|| model.clone(), |target| target.to_string()));
    let mut targets: Vec<String> =
        mapping.entries().map(|(_, target)| target.to_owned()).chain(listed).collect();
    targets.sort();
    targets.dedup();
    targets
}

/// Returns `true` if the upstream has `target`: under this name, with Ollama's default tag, or with a date.
fn has(models: &[String], target: &str) -> bool {
    models.iter().any(|model| {
        let rest = model.strip_prefix(target);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest == ":latest" || rest.strip_prefix('-').is_some_and(is_date)
        })
    })
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_may_be_listed_with_a_tag_or_a_date() {
        let models = ["qwen3-coder:latest", "claude-haiku-4-5-20251001", "a"].map(str::to_owned);
        for (target, expected) in [
            ("qwen3-coder", true),
            ("qwen3-coder:latest", true),
            ("qwen3", false),
            ("claude-haiku-4-5", true),
            ("claude-haiku", false),
            ("a", true),
        ] {
            assert_eq!(has(&models, target), expected, "{target}");
        }
    }
}
