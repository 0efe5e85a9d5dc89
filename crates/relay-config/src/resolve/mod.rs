//! The resolver, from the shape of the file to the configuration: defaults, precise types, and checks that a schema
//! cannot express.

mod clients;
mod health;
mod listen;
mod logging;
mod observe;
mod own_address;
mod pem;
mod prices;
mod provider;
mod reporter;
mod routing;
mod server;
mod tls;
mod tool_variables;
mod unix_socket;

use crate::config::{Config, ProviderConfig};
use crate::environment::Environment;
use crate::layer::Layers;
use crate::raw;
use crate::report::Report;
use crate::tree::KeyPath;

use reporter::Reporter;

/// Resolves `raw`; `defaults` are the providers that apply if it has none, and `added` the names of those that the program
/// adds in code. The result is usable only if the report
/// has no problems.
pub(crate) fn resolve(
    raw: raw::Root,
    defaults: &[ProviderConfig],
    added: &[String],
    layers: &Layers,
    environment: Environment<'_>,
    report: &mut Report,
) -> Config {
    let root = KeyPath::default();
    let mut to = Reporter { layers, environment, report };
    // Collected before resolving, so that a provider with a fault of its own is not reported as missing elsewhere.
    let mut names: Vec<_> = raw.providers.iter().filter_map(|provider| provider.name.clone()).collect();
    if raw.providers.is_empty() {
        names.extend(defaults.iter().map(|provider| provider.name.to_string()));
    }
    names.extend_from_slice(added);
    let server = server::resolve(raw.server, &root.key("server"), &mut to);
    let providers = provider::resolve_all(raw.providers, &root.key("providers"), &mut to);
    let effective = if providers.is_empty() { defaults } else { &providers };
    let (metrics, admin) = observe::listeners(raw.metrics, raw.admin, &server, &root, &mut to);
    let usage = observe::usage(raw.usage, &server, &root, &mut to);
    let own = own_address::addresses(&server, &metrics, &admin);
    own_address::check(&own, effective, &root.key("providers"), &mut to);
    tool_variables::check(effective, &root.key("providers"), &mut to);
    server::check_subscription(&server, effective, &root.key("server").key("auth"), &mut to);
    Config {
        server,
        providers,
        routing: routing::resolve(raw.routing, &names, &root.key("routing"), &mut to),
        health: health::resolve(raw.health),
        logging: logging::resolve(raw.logging, &root.key("logging"), &mut to),
        metrics,
        admin,
        usage,
        prices: prices::resolve(raw.prices, &names, &root.key("prices"), &mut to),
    }
}
