//! The `model_list` of LiteLLM: entries of one upstream become one provider with their keys and models.

use relay_config::Document;

use super::report::Report;
use super::tables::{Table, edit, set, set_default, text, whole};
use super::vendors::endpoint;

/// The prefix of a reference to an environment variable there.
const VARIABLE: &str = "os.environ/";
/// The prefixes of a model, each with the kind that serves it. The first one that fits counts.
const PREFIXES: [(&str, &str); 10] = [
    ("anthropic/", "anthropic"),
    ("bedrock/converse/", "bedrock"),
    ("bedrock/invoke/", "bedrock"),
    ("bedrock/", "bedrock"),
    ("vertex_ai/", "vertex"),
    ("azure_ai/", "azure"),
    ("ollama_chat/", "ollama"),
    ("ollama/", "ollama"),
    ("deepseek/", "deepseek"),
    ("openrouter/", "openrouter"),
];
/// Parameters that are provider settings here under another name.
const SETTINGS: [(&str, &str); 8] = [
    ("aws_region_name", "aws_region"),
    ("aws_access_key_id", "aws_access_key_id"),
    ("aws_secret_access_key", "aws_secret_access_key"),
    ("aws_session_token", "aws_session_token"),
    ("aws_profile_name", "aws_profile"),
    ("vertex_project", "gcp_project_id"),
    ("vertex_location", "gcp_region"),
    ("vertex_credentials", "credentials_file"),
];
/// Parameters of an entry that are read elsewhere.
const READ: [&str; 11] = [
    "model",
    "api_key",
    "api_base",
    "base_url",
    "rpm",
    "tpm",
    "weight",
    "order",
    "timeout",
    "stream_timeout",
    "extra_headers",
];

/// An entry of the list in the form of a provider with one key.
struct Entry {
    /// The settings of the provider, without name, keys and models.
    settings: Table,
    key: Table,
    /// The name that clients send, and the upstream's name.
    model: (String, String),
}

/// Converts the list to providers.
pub(super) fn providers(list: &Document, report: &mut Report) -> Vec<Document> {
    let entries = list.items().iter().enumerate();
    let entries: Vec<Entry> = entries.filter_map(|(index, entry)| convert(index, entry, report)).collect();
    let mut providers: Vec<Table> = Vec::new();
    for group in grouped(entries) {
        let kind = text(&group.settings, "type").unwrap_or("provider").to_owned();
        let count = providers.iter().filter(|provider| text(provider, "type") == Some(&kind)).count();
        let name = if count == 0 { kind } else { format!("{kind}-{}", count + 1) };
        providers.push(group.into_provider(name));
    }
    providers.into_iter().map(Document::Table).collect()
}

/// A provider under construction.
struct Group {
    settings: Table,
    keys: Vec<Table>,
    models: Vec<(String, String)>,
}

impl Group {
    fn into_provider(self, name: String) -> Table {
        let mut provider = vec![("name".to_owned(), Document::Text(name))];
        provider.extend(self.settings);
        edit(&mut provider, "model_mapping", |mapping| {
            self.models.into_iter().for_each(|(from, to)| set(mapping, &from, to));
        });
        let keys: Vec<_> = self.keys.into_iter().filter(|key| !key.is_empty()).map(Document::Table).collect();
        if !keys.is_empty() {
            set(&mut provider, "keys", Document::List(keys));
        }
        provider
    }
}

/// Joins entries: first those with the same settings and key, whose models are added, then those with the same settings and
/// models, whose keys are added.
fn grouped(entries: Vec<Entry>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for Entry { settings, key, model } in entries {
        let is_same = |group: &&mut Group| {
            let has_room = group.models.iter().all(|(from, to)| *from != model.0 || *to == model.1);
            group.settings == settings && group.keys[0] == key && has_room
        };
        match groups.iter_mut().find(is_same) {
            Some(group) if group.models.contains(&model) => {}
            Some(group) => group.models.push(model),
            None => groups.push(Group { settings, keys: vec![key], models: vec![model] }),
        }
    }
    let mut joined: Vec<Group> = Vec::new();
    for group in groups {
        match joined.iter_mut().find(|known| known.settings == group.settings && known.models == group.models)
        {
            Some(known) => known.keys.extend(group.keys),
            None => joined.push(group),
        }
    }
    joined
}

fn convert(index: usize, entry: &Document, report: &mut Report) -> Option<Entry> {
    let at = format!("model_list[{index}]");
    let name = entry.get("model_name").and_then(Document::as_str);
    let params = entry.get("litellm_params");
    let model = params.and_then(|params| params.get("model")).and_then(Document::as_str);
    let (Some(name), Some(params), Some(model)) = (name, params, model) else {
        report.skipped(at, "it has no model_name or no litellm_params.model");
        return None;
    };
    let mut settings = Table::new();
    let Some(upstream) = upstream(model, params, &mut settings) else {
        report.skipped(at, format_args!("`{model}` is not served by the Messages API"));
        return None;
    };
    for (from, to) in SETTINGS {
        if let Some(value) = params.get(from) {
            match value
                .as_str()
                .is_some_and(|value| from == "vertex_credentials" && value.trim_start().starts_with('{'))
            {
                true => report.skipped(
                    format!("{at}.litellm_params.{from}"),
                    "write the credentials to a file, and its path as credentials_file",
                ),
                false => set(&mut settings, to, reference(value)),
            }
        }
    }
    timeout(&at, params, &mut settings, report);
    if let Some(Document::Table(headers)) = params.get("extra_headers") {
        let headers = headers.iter().map(|(name, value)| (name.clone(), reference(value))).collect();
        set(&mut settings, "headers", Document::Table(headers));
    }
    let known = |key: &str| READ.contains(&key) || SETTINGS.iter().any(|(from, _)| *from == key);
    for (key, _) in params.entries().iter().filter(|(key, _)| !known(key)) {
        report.skipped(format!("{at}.litellm_params.{key}"), "no counterpart");
    }
    let key = key(params, &settings);
    rank(&key, &mut settings, params);
    Some(Entry { settings, key, model: (name.to_owned(), upstream) })
}

/// Sets type and address, and returns the upstream's name of the model. `None` if no kind serves it.
fn upstream(model: &str, params: &Document, settings: &mut Table) -> Option<String> {
    let prefixed = PREFIXES.iter().find_map(|(prefix, kind)| Some((model.strip_prefix(prefix)?, *kind)));
    let bare = model.starts_with("claude-").then_some((model, "anthropic"));
    let (name, mut kind) = prefixed.or(bare)?;
    if kind == "vertex" && !name.contains("claude") {
        return None;
    }
    let base = params.get("api_base").or_else(|| params.get("base_url")).and_then(Document::as_str);
    set(settings, "type", kind);
    let mut name = name;
    if kind == "bedrock"
        && let Some((region, rest)) = name.split_once('/')
        && !region.starts_with("arn:")
    {
        // A region in the middle: bedrock/us-west-2/MODEL.
        set(settings, "aws_region", region);
        name = rest;
    }
    let mut base_url = base.map(str::to_owned);
    if kind == "anthropic"
        && let Some(base) = base.filter(|base| !base.starts_with(VARIABLE))
    {
        let found = endpoint(base, true)?;
        (kind, base_url) = (found.kind, found.base_url);
    }
    set(settings, "type", kind);
    if let Some(base_url) = base_url {
        set(settings, "base_url", reference(&Document::Text(base_url)));
    }
    Some(name.to_owned())
}

fn timeout(at: &str, params: &Document, settings: &mut Table, report: &mut Report) {
    let seconds = ["stream_timeout", "timeout"].iter().find_map(|key| params.get(key));
    let Some(Document::Number(seconds)) = seconds else { return };
    // Whole milliseconds without a loss: the decimals are those of the text.
    let millis = seconds.parse::<f64>().ok().map(|seconds| format!("{:.0}", seconds * 1000.0));
    if let Some(millis) = millis {
        set(settings, "first_byte_timeout_ms", Document::Number(millis));
        report.changed(
            format!("{at}.litellm_params.timeout"),
            "is first_byte_timeout_ms: a stream that flows is not cut",
        );
    }
}

/// Returns the key of an entry; empty if its kind takes none.
fn key(params: &Document, settings: &Table) -> Table {
    let mut key = Table::new();
    let takes_none = matches!(text(settings, "type"), Some("bedrock" | "vertex" | "ollama"));
    match params.get("api_key") {
        Some(value) if !takes_none => set(&mut key, "key", reference(value)),
        _ => return key,
    }
    for (from, to) in [("rpm", "rpm_limit"), ("tpm", "tpm_limit"), ("weight", "weight")] {
        if let Some(number) = params.get(from).and_then(whole) {
            set(&mut key, to, Document::Number(number.to_string()));
        }
    }
    if let Some(order) = params.get("order").and_then(whole) {
        set(&mut key, "priority", priority(order));
    }
    key
}

/// Gives a provider without keys the rank of its entry.
fn rank(key: &Table, settings: &mut Table, params: &Document) {
    if !key.is_empty() {
        return;
    }
    if let Some(order) = params.get("order").and_then(whole) {
        set_default(settings, "priority", priority(order));
    }
    if let Some(weight) = params.get("weight").and_then(whole) {
        set_default(settings, "weight", Document::Number(weight.to_string()));
    }
}

/// Lower orders come first there, higher priorities here.
fn priority(order: u64) -> Document {
    let order = i64::try_from(order).unwrap_or(i64::from(i32::MAX));
    Document::Number((100 - order).max(i64::from(i32::MIN)).to_string())
}

/// Returns a value with the references of this program.
pub(super) fn reference(value: &Document) -> Document {
    match value {
        Document::Text(text) => match text.strip_prefix(VARIABLE) {
            Some(name) => format!("${{{name}}}").into(),
            // The other program knows no `${NAME}`.
            None => Document::literal(text),
        },
        value => value.clone(),
    }
}
