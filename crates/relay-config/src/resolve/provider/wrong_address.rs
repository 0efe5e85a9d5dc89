//! Base URLs that cannot serve the Messages API, with the right one where it is known.

use crate::config::BedrockApi;
use crate::kinds::{Address, Implementation, KINDS, KindSpec};
use crate::names::BaseUrl;

/// Hosts of vendors beside the one in the table of kinds: the name of the kind, and the host.
const SISTERS: [(&str, &str); 4] = [
    ("zai", "open.bigmodel.cn"),
    ("moonshot", "api.moonshot.cn"),
    ("minimax", "api.minimaxi.com"),
    ("minimax", "api.minimax.chat"),
];

/// Paths of other APIs.
const OPENAI: [&str; 4] = ["/chat/completions", "/completions", "/responses", "/embeddings"];

/// A base URL that cannot serve the Messages API.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongAddress {
    /// The reason, as a clause whose subject is the URL.
    pub(super) reason: &'static str,
    /// The fix, as a clause.
    pub(super) fix: String,
}

fn wrong(reason: &'static str, fix: impl Into<String>) -> WrongAddress {
    WrongAddress { reason, fix: fix.into() }
}

/// Returns the mistake in the base URL of a provider of this kind, if it is a known one.
pub(super) fn find(spec: &KindSpec, api: BedrockApi, url: &BaseUrl) -> Option<WrongAddress> {
    let host = url.authority().host().to_ascii_lowercase();
    let of_kind = match spec.implementation {
        Implementation::Bedrock => bedrock(&host, url, api),
        Implementation::Azure => azure(&host, url),
        Implementation::Ollama => {
            url.path().starts_with("/api").then(|| wrong("is the path of Ollama's own API", write(url, "")))
        }
        Implementation::Vertex => vertex(&host, url),
        _ => vendor(&host, url).or_else(|| website(&host)),
    };
    of_kind.or_else(|| other_api(url))
}

/// Returns the fix: the host of `url` with `path`.
fn write(url: &BaseUrl, path: &str) -> String {
    format!("write {}://{}{path}", url.scheme(), url.authority())
}

/// Returns the base URL of a vendor, if `host` is one of its hosts and the path is another one.
fn vendor(host: &str, url: &BaseUrl) -> Option<WrongAddress> {
    let sister = SISTERS.iter().find(|(_, known)| *known == host).map(|(name, _)| *name);
    let path = KINDS.iter().find_map(|kind| match kind.address {
        Address::Default(default) if kind.implementation != Implementation::Ollama => {
            let default = BaseUrl::parse(default).ok()?;
            let is_vendor = default.authority().host() == host || sister == Some(kind.name);
            is_vendor.then(|| default.path().to_owned())
        }
        _ => None,
    })?;
    if url.scheme().as_str() == "http" {
        let fix = format!("write https://{}{path}", url.authority());
        return Some(wrong("sends credentials unencrypted", fix));
    }
    (url.path() != path).then(|| wrong("is not where this vendor serves the Messages API", write(url, &path)))
}

/// Returns Anthropic's API for the address of one of its websites.
fn website(host: &str) -> Option<WrongAddress> {
    let is_website = matches!(host, "claude.ai" | "anthropic.com")
        || ["console.", "platform.", "www."].iter().any(|start| {
            host.strip_prefix(start)
                .is_some_and(|rest| matches!(rest, "anthropic.com" | "claude.com" | "claude.ai"))
        });
    is_website.then(|| wrong("is a website, not the API", "write https://api.anthropic.com"))
}

fn other_api(url: &BaseUrl) -> Option<WrongAddress> {
    let prefix = OPENAI.iter().find_map(|end| url.path().strip_suffix(end))?;
    let prefix = prefix.strip_suffix("/v1").unwrap_or(prefix);
    let fix = format!(
        "give the upstream's URL for the Messages API, such as {}://{}{prefix}",
        url.scheme(),
        url.authority()
    );
    Some(wrong("is the path of OpenAI's API", fix))
}

fn bedrock(host: &str, url: &BaseUrl, api: BedrockApi) -> Option<WrongAddress> {
    let (service, rest) = host.split_once('.')?;
    let is_aws =
        rest.ends_with("amazonaws.com") || rest.ends_with("amazonaws.com.cn") || rest.ends_with("api.aws");
    if !is_aws {
        return None;
    }
    let path = if api == BedrockApi::Messages { "/anthropic" } else { "" };
    match service {
        "bedrock" | "bedrock-fips" | "bedrock-agent" | "bedrock-agent-runtime" => {
            let fips = if service.ends_with("-fips") { "-fips" } else { "" };
            let fix = format!("write {}://bedrock-runtime{fips}.{rest}{path}", url.scheme());
            Some(wrong("is an API for the administration of Bedrock", fix))
        }
        "bedrock-mantle" if api == BedrockApi::Invoke => {
            Some(wrong("has no InvokeModel", "set bedrock_api: messages, or remove base_url"))
        }
        "bedrock-runtime" | "bedrock-runtime-fips" | "bedrock-mantle"
            if url.path() != path && path.is_empty() =>
        {
            let fix = write(url, path);
            Some(wrong(
                "is not the path of InvokeModel",
                if url.path() == "/anthropic" { format!("{fix}, or set bedrock_api: messages") } else { fix },
            ))
        }
        "bedrock-runtime" | "bedrock-runtime-fips" | "bedrock-mantle" if url.path() != path => {
            Some(wrong("is not the path of the Messages API", write(url, path)))
        }
        _ => None,
    }
}

fn azure(host: &str, url: &BaseUrl) -> Option<WrongAddress> {
    let name = host.split('.').next().unwrap_or_default();
    let is_azure = [".services.ai.azure.com", ".openai.azure.com", ".cognitiveservices.azure.com"];
    if !is_azure.iter().any(|domain| host.ends_with(domain)) || url.path() == "/anthropic" {
        return None;
    }
    let fix = format!("write https://{name}.services.ai.azure.com/anthropic");
    Some(wrong("is not where the resource serves Claude", fix))
}

fn vertex(host: &str, url: &BaseUrl) -> Option<WrongAddress> {
    if host == "generativelanguage.googleapis.com" {
        return Some(wrong(
            "is the Gemini API, which does not serve Claude",
            "remove base_url, and set gcp_region",
        ));
    }
    let at = url.path().find("/v1/projects/").or_else(|| url.path().find("/v1beta1/projects/"))?;
    Some(wrong("contains the path of a model, which cc-relay adds", write(url, &url.path()[..at])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, url: &str, fix: &str) {
        check_api(kind, BedrockApi::Invoke, url, fix);
    }

    #[track_caller]
    fn check_api(kind: &str, api: BedrockApi, url: &str, fix: &str) {
        let spec = KindSpec::named(kind).unwrap();
        let found = find(spec, api, &BaseUrl::parse(url).unwrap());
        assert_eq!(found.map(|found| found.fix).unwrap_or_default(), fix, "{kind} {url}");
    }

    #[test]
    fn addresses_of_other_apis_have_the_right_one() {
        let azure = "write https://res.services.ai.azure.com/anthropic";
        check("azure", "https://res.services.ai.azure.com", azure);
        check("azure", "https://res.services.ai.azure.com/api/projects/p", azure);
        check("azure", "https://res.services.ai.azure.com/models", azure);
        check("azure", "https://res.openai.azure.com/", azure);
        check(
            "azure",
            "https://res.cognitiveservices.azure.com/openai/deployments/x/chat/completions",
            azure,
        );
        check("azure", "https://res.openai.azure.com/anthropic", "");
        check("azure", "https://gateway.example.com/claude", "");
        let zai = "write https://api.z.ai/api/anthropic";
        check("zai", "https://api.z.ai/api/coding/paas/v4", zai);
        check("zai", "https://api.z.ai/api/paas/v4", zai);
        check("zai", "https://api.z.ai", zai);
        check("anthropic_compatible", "https://api.z.ai/api/coding/paas/v4/chat/completions", zai);
        check("anthropic", "https://api.z.ai/api/paas/v4", zai);
        check("zai", "https://open.bigmodel.cn/api/paas/v4", "write https://open.bigmodel.cn/api/anthropic");
        check("zai", "https://open.bigmodel.cn/api/anthropic", "");
        check("deepseek", "https://api.deepseek.com", "write https://api.deepseek.com/anthropic");
        check("moonshot", "https://api.moonshot.cn/v1", "write https://api.moonshot.cn/anthropic");
        check("minimax", "https://api.minimaxi.com/v1", "write https://api.minimaxi.com/anthropic");
        check("openrouter", "https://openrouter.ai/api/v1", "write https://openrouter.ai/api");
        check("anthropic", "https://console.anthropic.com", "write https://api.anthropic.com");
        check("anthropic", "https://claude.ai", "write https://api.anthropic.com");
        check("anthropic", "https://api.anthropic.com", "");
        check("anthropic", "http://api.anthropic.com", "write https://api.anthropic.com");
        check("zai", "http://api.z.ai/api/anthropic", zai);
        let openai = "give the upstream's URL for the Messages API, such as https://llm.example.com";
        check("anthropic_compatible", "https://llm.example.com/v1/chat/completions", openai);
        check("anthropic_compatible", "https://llm.example.com/v1/responses", openai);
        check("anthropic_compatible", "https://llm.example.com/x", "");
        check("ollama", "http://localhost:11434/api", "write http://localhost:11434");
        check("ollama", "http://localhost:11434/api/chat", "write http://localhost:11434");
        check("ollama", "http://localhost:11434", "");
        let host = "https://us-east5-aiplatform.googleapis.com";
        let path = "/v1/projects/p/locations/us-east5/publishers/anthropic/models/m:rawPredict";
        check("vertex", &format!("{host}{path}"), &format!("write {host}"));
        check("vertex", "https://generativelanguage.googleapis.com", "remove base_url, and set gcp_region");
        check("vertex", host, "");
    }

    #[test]
    fn hosts_of_bedrock_must_serve_its_models() {
        use BedrockApi::{Invoke, Messages};
        let runtime = "https://bedrock-runtime.us-east-1.amazonaws.com";
        check("bedrock", "https://bedrock.us-east-1.amazonaws.com", &format!("write {runtime}"));
        check(
            "bedrock",
            "https://bedrock-fips.us-east-1.amazonaws.com",
            "write https://bedrock-runtime-fips.us-east-1.amazonaws.com",
        );
        check_api(
            "bedrock",
            Messages,
            "https://bedrock.us-east-1.amazonaws.com",
            &format!("write {runtime}/anthropic"),
        );
        check_api("bedrock", Messages, runtime, &format!("write {runtime}/anthropic"));
        check_api("bedrock", Messages, &format!("{runtime}/anthropic"), "");
        check_api("bedrock", Messages, "https://bedrock-mantle.us-east-1.api.aws/anthropic", "");
        check_api(
            "bedrock",
            Messages,
            "https://bedrock-mantle.us-east-1.api.aws",
            "write https://bedrock-mantle.us-east-1.api.aws/anthropic",
        );
        check_api(
            "bedrock",
            Invoke,
            "https://bedrock-mantle.us-east-1.api.aws/anthropic",
            "set bedrock_api: messages, or remove base_url",
        );
        check(
            "bedrock",
            &format!("{runtime}/anthropic"),
            &format!("write {runtime}, or set bedrock_api: messages"),
        );
        check("bedrock", &format!("{runtime}/model/m/invoke"), &format!("write {runtime}"));
        check("bedrock", runtime, "");
        check("bedrock", "http://127.0.0.1:8080/bedrock", "");
    }
}
