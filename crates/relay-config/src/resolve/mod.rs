//! From the file's shape to the configuration: defaults, precise types, and what the schema cannot say.

mod health;
mod logging;
mod provider;
mod routing;
mod server;

use std::time::Duration;

use crate::cloud::Ambient;
use crate::config::{Config, ProviderConfig};
use crate::error::{Concern, Fault, Place};
use crate::layer::Layers;
use crate::raw;
use crate::report::Report;
use crate::tree::Path;

/// Resolves `raw`; `defaults` are the providers if it has none. What comes out is a configuration to use only if the
/// report has no problems.
pub(crate) fn resolve(
    raw: raw::Root,
    defaults: &[ProviderConfig],
    layers: &Layers,
    ambient: Ambient<'_>,
    report: &mut Report,
) -> Config {
    let root = Path::default();
    let mut to = Reporter { layers, ambient, report };
    // Taken before resolving, so that a provider with a fault of its own is not reported as missing elsewhere.
    let mut names: Vec<_> = raw.providers.iter().filter_map(|provider| provider.name.clone()).collect();
    if raw.providers.is_empty() {
        names.extend(defaults.iter().map(|provider| provider.name.to_string()));
    }
    Config {
        server: server::resolve(raw.server, &root.key("server"), &mut to),
        providers: provider::resolve_all(raw.providers, &root.key("providers"), &mut to),
        routing: routing::resolve(raw.routing, &names, &root.key("routing"), &mut to),
        health: health::resolve(raw.health),
        logging: logging::resolve(raw.logging),
    }
}

/// The report, with the place of every path at hand, and the variables of the clouds' own tools.
struct Reporter<'a> {
    layers: &'a Layers,
    ambient: Ambient<'a>,
    report: &'a mut Report,
}

impl Reporter<'_> {
    fn problem(&mut self, path: &Path, fault: Fault) {
        self.report.problem(self.layers.place_of(path), path, fault);
    }

    fn warning(&mut self, path: &Path, concern: Concern) {
        self.report.warning(self.layers.place_of(path), path, concern);
    }

    /// A problem with what a variable of another tool says about the setting at `path`.
    fn problem_in_variable(&mut self, variable: &str, path: &Path, fault: Fault) {
        self.report.problem(Place::Environment { variable: variable.into() }, path, fault);
    }

    /// The same for what works all the same.
    fn warning_in_variable(&mut self, variable: &str, path: &Path, concern: Concern) {
        self.report.warning(Place::Environment { variable: variable.into() }, path, concern);
    }
}

fn millis(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_millis)
}

/// A value that is not accepted.
fn value_fault(found: impl Into<String>, expected: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::Value { found: found.into(), expected: expected.into(), hint: hint.into() }
}
