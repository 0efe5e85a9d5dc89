//! Moves settings of a provider out of the table that TOML's rules assign them to.
//!
//! ```toml
//! [[providers.keys]]
//! key = "…"
//! models = ["glm-4.7"]    # looks like a setting of the provider, is one of the key
//! ```

use crate::error::{Concern, Fault};
use crate::report::Report;
use crate::schema::{Rule, Schema};
use crate::tree::{Entry, KeyPath, Node};

/// A setting that may be meant for the key: a key cannot be disabled, and its provider must not be disabled by
/// mistake.
const AMBIGUOUS: &str = "enabled";

/// Moves such settings of every provider in `root` to the provider, with a warning.
///
/// A setting that the table itself accepts stays there, such as `priority` of a key. So does one that the provider
/// already has: it is a contradiction, which validation reports.
pub(crate) fn rehome(mut root: Node, schema: &Schema, report: &mut Report) -> Node {
    let Some(own) = schema.table(&["providers"]) else { return root };
    report_bare_mapping(&root, report);
    let path = KeyPath::default().key("providers");
    let Some(providers) = root.get_mut("providers") else { return root };
    for (index, provider) in providers.items_mut().iter_mut().enumerate() {
        let path = path.index(index);
        let mut present: Vec<String> = provider.entries().iter().map(|entry| entry.key.clone()).collect();
        let mut moved = Vec::new();
        for table in ["keys", "model_mapping", "pooling"] {
            let Some(node) = provider.get_mut(table) else { continue };
            let inner = schema.table(&["providers", table]);
            let mut take = |node: &mut Node| {
                for entry in take_misplaced(node, own, inner, &present) {
                    let concern = Concern::Misplaced { table: format!("{path}.{table}") };
                    report.warning(entry.at.clone(), &path.key(&entry.key), concern);
                    present.push(entry.key.clone());
                    moved.push(entry);
                }
            };
            node.items_mut().iter_mut().for_each(&mut take);
            take(node);
        }
        if let Some(entries) = provider.entries_mut() {
            entries.append(&mut moved);
        }
    }
    root
}

/// Reports a bare `[model_mapping]`, which belongs to a provider in TOML's own spelling.
fn report_bare_mapping(root: &Node, report: &mut Report) {
    if let Some(entry) = root.entry("model_mapping") {
        let hint =
            "it belongs to providers[] or routing; write [providers.model_mapping] below its [[providers]]"
                .to_owned();
        report.problem(
            entry.at.clone(),
            &KeyPath::default().key("model_mapping"),
            Fault::UnknownKey { hint },
        );
    }
}

/// Removes and returns the entries of `table` that `provider` accepts, the table itself does not, and `present`
/// does not contain.
fn take_misplaced(table: &mut Node, provider: &Rule, own: Option<&Rule>, present: &[String]) -> Vec<Entry> {
    let Some(entries) = table.entries_mut() else { return Vec::new() };
    let is_misplaced = |entry: &mut Entry| {
        has(provider, &entry.key)
            && !own.is_some_and(|own| has(own, &entry.key) || entry.key == AMBIGUOUS)
            && !present.contains(&entry.key)
    };
    entries.extract_if(.., is_misplaced).collect()
}

fn has(table: &Rule, key: &str) -> bool {
    table.get("properties").is_some_and(|properties| properties.get(key).is_some())
}
