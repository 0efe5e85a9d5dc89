//! The kind of provider that serves an endpoint, by its URL.

use relay_config::{Address, BaseUrl, KINDS};

/// The path of the Messages API, which a base URL does not have.
const MESSAGES: &str = "/v1/messages";
/// Hosts that also have an endpoint of the Messages API, which the table of kinds does not name: the kind and the base URL.
const REGIONAL: [(&str, &str, &str); 3] = [
    ("open.bigmodel.cn", "zai", "https://open.bigmodel.cn/api/anthropic"),
    ("api.minimaxi.com", "minimax", "https://api.minimaxi.com/anthropic"),
    ("api.moonshot.cn", "moonshot", "https://api.moonshot.cn/anthropic"),
];
/// The default port of Ollama.
const OLLAMA_PORT: u16 = 11434;

/// A provider's type and address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) kind: &'static str,
    /// `None` if it is that of the kind.
    pub(super) base_url: Option<String>,
    /// True if the endpoint was another one of the same vendor.
    pub(super) is_moved: bool,
}

/// Returns the provider of an endpoint. `None` if it does not have the Messages API, as far as is known. `is_messages` is true if
/// the file says that it has.
pub(super) fn endpoint(url: &str, is_messages: bool) -> Option<Endpoint> {
    let url = url.trim_end_matches('/');
    let base = url.strip_suffix(MESSAGES);
    let parsed = BaseUrl::parse(base.unwrap_or(url)).ok()?;
    let host = parsed.authority().host();
    let is_direct = base.is_some() || is_messages;
    let named = KINDS.iter().find_map(|spec| match spec.address {
        Address::Default(default) => {
            (host_of(default).as_deref() == Some(host)).then_some((spec.name, default))
        }
        _ => None,
    });
    let named = named.filter(|(kind, _)| *kind != "ollama");
    let regional = REGIONAL.iter().find(|(known, ..)| *known == host);
    match (named, regional) {
        (Some((kind, default)), _) => {
            let base_url = is_direct.then(|| base.unwrap_or(url).to_owned()).filter(|base| base != default);
            Some(Endpoint { kind, base_url, is_moved: !is_direct })
        }
        (None, Some((_, kind, base))) => {
            Some(Endpoint { kind, base_url: Some((*base).to_owned()), is_moved: !is_direct })
        }
        (None, None) if parsed.authority().port_u16() == Some(OLLAMA_PORT) => {
            let base_url = format!("{}://{}", parsed.scheme(), parsed.authority());
            Some(Endpoint { kind: "ollama", base_url: Some(base_url), is_moved: !is_direct })
        }
        (None, None) if is_direct => {
            let base_url = Some(base.unwrap_or(url).to_owned());
            Some(Endpoint { kind: "anthropic_compatible", base_url, is_moved: false })
        }
        _ => None,
    }
}

fn host_of(url: &str) -> Option<String> {
    let url = BaseUrl::parse(url).ok()?;
    Some(url.authority().host().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, is_messages: bool, expected: Option<(&str, Option<&str>, bool)>) {
        let found = endpoint(url, is_messages);
        let found = found.as_ref().map(|found| (found.kind, found.base_url.as_deref(), found.is_moved));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn an_endpoint_has_its_kind_by_its_host_and_its_path() {
        check("https://api.anthropic.com/v1/messages", false, Some(("anthropic", None, false)));
        check("https://api.z.ai/api/anthropic/v1/messages", false, Some(("zai", None, false)));
        check("https://api.z.ai/api/paas/v4/chat/completions", false, Some(("zai", None, true)));
        check("https://openrouter.ai/api/v1/chat/completions", false, Some(("openrouter", None, true)));
        check("https://api.deepseek.com/chat/completions", false, Some(("deepseek", None, true)));
        let ollama = ("ollama", Some("http://localhost:11434"), true);
        check("http://localhost:11434/v1/chat/completions", false, Some(ollama));
        let other = ("anthropic_compatible", Some("https://x.example/a"), false);
        check("https://x.example/a/v1/messages/", false, Some(other));
        check("https://x.example/a", true, Some(other));
        let china = ("moonshot", Some("https://api.moonshot.cn/anthropic"), true);
        check("https://api.moonshot.cn/v1/chat/completions", false, Some(china));
    }

    #[test]
    fn an_endpoint_without_the_messages_api_has_no_kind() {
        check("https://api.openai.com/v1/chat/completions", false, None);
        check("https://generativelanguage.googleapis.com/v1beta/models/", false, None);
        check("not a URL", true, None);
    }
}
