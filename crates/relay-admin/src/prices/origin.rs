//! The facts about a provider that decide about its prices.

use relay_config::{BaseUrl, Implementation, KINDS, KindSpec, ProviderConfig, ProviderKind};

use super::entry::{Entry, Place, Prices};
use super::find::{find, of_kind};
use super::model_name::split_bedrock;
use super::rates::Rates;
use super::table::{ENTRIES, TOOLS};
use super::tools::ToolRates;

/// Hosts at which vendors sell at the prices of mainland China, which the table does not have.
///
/// # Source
/// The gaps in `prices.toml`.
const OTHER_PRICE_LISTS: [&str; 4] =
    ["open.bigmodel.cn", "api.minimaxi.com", "api.moonshot.cn", "platform.moonshot.cn"];

/// A provider with the entries of its price list.
#[derive(Debug)]
pub(super) struct Origin {
    /// The kind in the configuration.
    pub(super) kind: &'static str,
    entries: &'static [Entry],
    pub(super) tools: ToolRates,
    place: Place,
    is_bedrock: bool,
    is_mock: bool,
}

impl Origin {
    pub(super) fn new(provider: &ProviderConfig) -> Self {
        let list = price_list(&provider.kind);
        let tools = TOOLS.iter().find(|(kind, _)| *kind == list).map(|(_, tools)| *tools);
        Self {
            kind: provider.kind.as_str(),
            entries: of_kind(ENTRIES, list),
            tools: tools.unwrap_or_default(),
            place: place(&provider.kind),
            is_bedrock: matches!(provider.kind, ProviderKind::Bedrock(_)),
            is_mock: matches!(provider.kind, ProviderKind::Mock),
        }
    }

    /// Returns the prices of the built-in upstream, which bills nothing. A rule of the configuration replaces all of them.
    pub(super) fn free(&self) -> Option<Prices> {
        self.is_mock.then(|| Prices::new(Rates::new([0; 5])))
    }

    /// Finds the entry of the model with this plain name, and the place in which it runs.
    pub(super) fn find(&self, name: &str) -> (Option<&'static Entry>, Place) {
        if !self.is_bedrock {
            return (find(self.entries, name), self.place);
        }
        let (place, id) = split_bedrock(name);
        // An answer names its model without the vendor.
        let entry = find(self.entries, id).or_else(|| {
            id.starts_with("claude-").then(|| find(self.entries, &format!("anthropic.{id}"))).flatten()
        });
        (entry, if self.place == Place::Gov { Place::Gov } else { place })
    }
}

/// Returns the kind whose prices apply: that of the vendor at whose address the provider is, or else that of its configuration.
fn price_list(kind: &ProviderKind) -> &'static str {
    let Some(url) = kind.base_url() else { return kind.as_str() };
    let host = url.authority().host();
    if OTHER_PRICE_LISTS.iter().any(|other| host.eq_ignore_ascii_case(other)) {
        return "";
    }
    let vendor = KINDS.iter().filter(|spec| spec.implementation != Implementation::Ollama);
    vendor.into_iter().find(|spec| is_at(spec, url)).map_or(kind.as_str(), |spec| spec.name)
}

/// Returns `true` if `url` has the host of this kind of provider.
fn is_at(spec: &KindSpec, url: &BaseUrl) -> bool {
    let own = spec.default_base_url();
    own.is_some_and(|own| own.authority().host().eq_ignore_ascii_case(url.authority().host()))
}

/// Returns the place in which the provider runs models, unless their names decide about it.
fn place(kind: &ProviderKind) -> Place {
    match kind {
        ProviderKind::Bedrock(bedrock) => {
            let is_gov = bedrock.region.as_deref().is_some_and(|region| region.starts_with("us-gov-"));
            if is_gov { Place::Gov } else { Place::Regional }
        }
        ProviderKind::Vertex(vertex) if vertex.region != "global" => Place::Regional,
        _ => Place::Global,
    }
}
