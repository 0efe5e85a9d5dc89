//! The file as YAML and as TOML.

use relay_config::{Document, Format, TEMPLATE, TEMPLATE_TOML};

use super::entry::Entry;

/// The lines of the YAML template before and after the providers.
const PROVIDERS: &str = "providers:\n";
const ROUTING: &str = "\nrouting:\n";
/// The line of the TOML template in the place of the providers.
const PLACE: &str = "# providers\n";
/// The longest line of a comment.
const WIDTH: usize = 110;

/// Returns the file: a line that names the JSON Schema `schema` beside it, if there is one, the settings, and the providers.
pub(super) fn file(format: Format, schema: Option<&str>, entries: &[Entry]) -> String {
    let providers = providers(format, entries);
    let named = |lead: &str| schema.map(|schema| format!("{lead}./{schema}\n")).unwrap_or_default();
    match format {
        Format::Toml => named("#:schema ") + &TEMPLATE_TOML.replacen(PLACE, &providers, 1),
        _ => {
            let head = TEMPLATE.split(PROVIDERS).next().unwrap_or_default();
            let tail = TEMPLATE.split_once(ROUTING).map_or("", |(_, tail)| tail);
            let schema = named("# yaml-language-server: $schema=");
            format!("{schema}{head}{PROVIDERS}{providers}{ROUTING}{tail}")
        }
    }
}

/// Returns the providers alone.
pub(super) fn providers(format: Format, entries: &[Entry]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| match format {
            Format::Toml => with_comments(entry, "", toml(entry)),
            _ => with_comments(entry, "  ", yaml(entry)),
        })
        .collect();
    entries.join("\n")
}

/// Returns the lines of an entry below its comments. Those of an example are comments too.
fn with_comments(entry: &Entry, indent: &str, lines: Vec<String>) -> String {
    let comments = entry.comments.iter().flat_map(|comment| wrapped(comment));
    let comments = comments.map(|line| format!("{indent}# {line}\n"));
    let mark = if entry.is_active { "" } else { "# " };
    let lines = lines.into_iter().map(|line| format!("{indent}{mark}{line}\n"));
    comments.chain(lines).collect()
}

/// Breaks a text into lines. Control characters are removed, so that no line leaves its comment.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn yaml(entry: &Entry) -> Vec<String> {
    let provider = Document::List(vec![Document::Table(entry.settings.clone())]);
    provider.to_text(Format::Yaml).lines().map(str::to_owned).collect()
}

/// Returns the lines of a provider, with its keys and its mapping on one line each: a setting below a header of their own would
/// belong to them.
fn toml(entry: &Entry) -> Vec<String> {
    let settings = entry.settings.iter().map(|(key, value)| format!("{key} = {}", value.to_toml_value()));
    ["[[providers]]".to_owned()].into_iter().chain(settings).collect()
}

#[cfg(test)]
mod tests {
    use relay_config::Loader;

    use super::*;

    fn entries() -> [Entry; 2] {
        let map = vec![("claude-*".to_owned(), "a ${b}: \"c\"\n".to_owned())];
        [
            Entry::new("first", "ollama", true)
                .with_comment("one\ntwo: \u{1b}three")
                .with("priority", Document::Number("2".to_owned()))
                .with_text("base_url", "http://localhost:1")
                .with_mapping(map),
            Entry::new("second", "zai", false).with_key_of("ZAI_API_KEY"),
        ]
    }

    #[test]
    fn both_formats_have_the_same_settings() {
        let load = |format| {
            let text = file(format, Some("s.json"), &entries());
            let loaded = Loader::new().with_text("init", format, &*text).load();
            (loaded.unwrap_or_else(|error| panic!("{error}\n{text}")), text)
        };
        let ((yaml, yaml_text), (toml, toml_text)) = (load(Format::Yaml), load(Format::Toml));
        assert_eq!(yaml.to_yaml(), toml.to_yaml());
        assert_eq!(yaml.config.providers.len(), 1);
        let target = yaml.config.providers[0].model_mapping.lookup("claude-x");
        assert_eq!(target.as_deref(), Some("a ${b}: \"c\"\n"));
        assert!(yaml_text.starts_with("# yaml-language-server: $schema=./s.json\n"), "{yaml_text}");
        assert!(toml_text.starts_with("#:schema ./s.json\n"), "{toml_text}");
        assert!(yaml_text.contains("  # one two: three\n  - name: first\n"), "{yaml_text}");
        assert!(
            yaml_text.contains(
                "  # - name: second\n  #   type: zai\n  #   keys:\n  #     - key: ${ZAI_API_KEY}\n"
            )
        );
        assert!(toml_text.contains("# [[providers]]\n# name = \"second\"\n"), "{toml_text}");
    }

    #[test]
    fn long_comments_are_wrapped() {
        let lines = wrapped(&"word ".repeat(60));
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
    }
}
