//! Settings from `CC_RELAY_…` environment variables.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Fault, Place};
use crate::report::Report;
use crate::schema::Schema;
use crate::suggest::nearest;
use crate::tree::{Entry, KeyPath, Node, Value};

/// Environment variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// The prefix of variables that are settings.
const PREFIX: &str = "CC_RELAY_";

/// Variables with the prefix that are read by the process and are not settings, with their purpose.
pub const PROCESS_VARIABLES: &[(&str, &str)] = &[
    ("CC_RELAY_CONFIG", "path of the configuration file"),
    ("CC_RELAY_LOG", "log filter, in place of logging.level"),
];

/// Returns the settings of `CC_RELAY_SECTION__KEY` variables as a tree: those of `section`, or of every one.
///
/// Values stay text until they are checked against the schema, and `${…}` in them is not expanded. An unknown
/// variable is a problem unless the file refers to it, so that its name is in `referenced`.
pub(crate) fn settings(
    variables: &Variables,
    section: Option<&str>,
    referenced: &BTreeSet<String>,
    schema: &Schema,
    report: &mut Report,
) -> Node {
    let mut root = Node::new(Place::Default, Value::Map(Vec::new()));
    let known: Vec<String> = schema.scalar_settings().iter().map(|path| variable_of(path)).collect();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let is_other =
            |section: &str| rest.split_once("__").is_none_or(|(own, _)| !own.eq_ignore_ascii_case(section));
        if section.is_some_and(is_other) {
            continue;
        }
        if PROCESS_VARIABLES.iter().any(|(known, _)| known == name) || is_service_link(rest, value) {
            continue;
        }
        let place = Place::Environment { variable: name.as_str().into() };
        if known.contains(name) {
            let path = rest.to_ascii_lowercase().replace("__", ".");
            set(&mut root, &place, &path, Value::Loose(value.clone()));
        } else if !referenced.contains(name) {
            report.problem(place, &KeyPath::default(), Fault::UnknownKey { hint: hint(rest, &known) });
        }
    }
    root
}

/// Returns the variable of a setting: `CC_RELAY_SERVER__LISTEN` for `server.listen`.
fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

fn hint(rest: &str, known: &[String]) -> String {
    if rest.starts_with("PROVIDERS") {
        return "providers are set in the file; a value there may refer to a variable by ${NAME}".to_owned();
    }
    let process = PROCESS_VARIABLES.iter().map(|(name, _)| *name);
    let candidates =
        known.iter().map(String::as_str).chain(process).filter_map(|name| name.strip_prefix(PREFIX));
    match nearest(rest, candidates) {
        Some(near) => format!("did you mean `{PREFIX}{near}`?"),
        None => {
            "no setting has this name; levels are separated by `__`, as in CC_RELAY_SERVER__LISTEN".to_owned()
        }
    }
}

/// Returns `true` if Kubernetes has set the variable for a service named `cc-relay` or `cc-relay-…`. It sets such
/// variables, like `CC_RELAY_SERVICE_HOST` and `CC_RELAY_PORT=tcp://…`, in every pod of the namespace.
fn is_service_link(rest: &str, value: &str) -> bool {
    if rest.contains("__") {
        return false;
    }
    let is_last =
        |word: &str| rest == word || rest.strip_suffix(word).is_some_and(|name| name.ends_with('_'));
    is_last("SERVICE_HOST")
        || rest.contains("SERVICE_PORT")
        || (is_last("PORT") && value.contains("://"))
        || rest.split("PORT_").skip(1).any(|tail| {
            let mut words = tail.split('_');
            words.next().is_some_and(|port| port.parse::<u16>().is_ok())
                && words.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
        })
}

/// Sets `value` at the dotted `path`, and creates the tables on the way.
pub(crate) fn set(root: &mut Node, place: &Place, path: &str, value: Value) {
    let mut node = root;
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        if !matches!(node.value, Value::Map(_)) {
            node.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut node.value else { return };
        let position = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            let node = Node::new(place.clone(), Value::Map(Vec::new()));
            entries.push(Entry { key: key.to_owned(), at: place.clone(), node });
            entries.len() - 1
        });
        node = &mut entries[position].node;
        if keys.peek().is_none() {
            *node = Node::new(place.clone(), value);
            return;
        }
    }
}
