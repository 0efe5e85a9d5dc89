//! Checks the documentation: every configuration in it loads, and its two formats have the same meaning.

use std::path::{Path, PathBuf};

use relay_config::{Address, DiscoverySource, Format, KINDS, KindSpec, Loader};
use relay_tests::{CertificateAuthority, Identity};

/// A fenced block of a Markdown file.
struct Fence {
    format: Format,
    line: usize,
    text: String,
}

/// Returns the `yaml` and `toml` blocks of `markdown`. Blocks of `yaml fragment` and `toml fragment` are files of
/// other programs.
fn fences(markdown: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut lines = markdown.lines().enumerate();
    while let Some((line, text)) = lines.next() {
        let format = match text.trim().strip_prefix("```") {
            Some("yaml" | "yml") => Some(Format::Yaml),
            Some("toml") => Some(Format::Toml),
            Some(_) => None,
            None => continue,
        };
        let body: Vec<&str> =
            lines.by_ref().map(|(_, text)| text).take_while(|text| text.trim() != "```").collect();
        fences.extend(format.map(|format| Fence { format, line: line + 1, text: body.join("\n") }));
    }
    fences
}

/// Returns a different value for each `${NAME}` in `text`.
fn environment(text: &str) -> Vec<(String, String)> {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next());
    names.map(|name| (name.to_owned(), format!("value-of-{name}"))).collect()
}

/// Puts files that exist into the place of those of `server.tls`.
fn with_files(text: &str, identity: &Identity) -> String {
    let (cert, key) = (identity.cert_file().display().to_string(), identity.key_file().display().to_string());
    text.replace("/etc/cc-relay/fullchain.pem", &cert)
        .replace("/etc/cc-relay/clients.pem", &cert)
        .replace("/etc/cc-relay/key.pem", &key)
}

#[track_caller]
fn check(path: &Path, markdown: &str) -> usize {
    let mut previous: Option<(Format, String)> = None;
    let fences = fences(markdown);
    let identity = CertificateAuthority::new().issue(&["relay.example"]);
    for Fence { format, line, text } in &fences {
        let name = format!("{}:{line}", path.display());
        let text = &with_files(text, &identity);
        let loader = Loader::new().with_environment(environment(text)).with_text(
            name.as_str(),
            *format,
            text.as_str(),
        );
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let unexpected: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
        let config = format!("{:#?}", loaded.config);
        previous = match previous {
            Some((Format::Yaml, yaml)) => {
                assert_eq!(*format, Format::Toml, "{name}: an example is YAML, then the same in TOML");
                assert_eq!(config, yaml, "{name}: differs from the YAML before it");
                None
            }
            _ => {
                assert_eq!(*format, Format::Yaml, "{name}: an example is YAML, then the same in TOML");
                Some((*format, config))
            }
        };
    }
    assert!(previous.is_none(), "{}: the last example has no TOML", path.display());
    fences.len()
}

#[test]
fn every_example_loads_and_means_the_same_in_both_formats() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages: Vec<PathBuf> = vec![root.join("README.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut examples = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        // The README may be absent; a listed page exists.
        if let Ok(markdown) = std::fs::read_to_string(page) {
            examples += check(page, &markdown);
        }
    }
    assert!(examples >= 14, "only {examples} examples were found");
}

/// Returns the cells of the rows of `markdown` that document `kind`.
fn rows<'a>(markdown: &'a str, kind: &KindSpec) -> Vec<Vec<&'a str>> {
    let start = format!("| `{}` |", kind.name);
    let rows = markdown.lines().filter(|line| line.starts_with(&start));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_kind_is_documented_with_its_default_base_url() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let markdown = std::fs::read_to_string(page).unwrap();
    for kind in KINDS {
        let rows = rows(&markdown, kind);
        let address = match kind.address {
            Address::Default(url) => format!("`{url}`"),
            Address::Required => "none: required".to_owned(),
            Address::Setting(setting) => format!("by `{setting}`"),
            Address::BuiltIn => "none".to_owned(),
            other => panic!("{other:?} is not documented"),
        };
        assert!(matches!(rows.as_slice(), [row] if row[2] == address), "{}: {rows:?}", kind.name);
    }
}

#[test]
fn every_discovered_kind_is_documented_with_its_variable() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let markdown = std::fs::read_to_string(page).unwrap();
    let (_, section) = markdown.split_once("\n## Without a file\n").unwrap();
    for kind in KINDS {
        let DiscoverySource::Key(variable) = kind.discovery else { continue };
        assert!(section.contains(&format!("| `{variable}` | ")), "{}: {variable}", kind.name);
    }
}

#[test]
fn every_kind_has_its_section_in_the_guide_to_providers() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    let markdown = std::fs::read_to_string(page).unwrap();
    for kind in KINDS {
        assert!(markdown.contains(&format!("\n| [`{}`](#", kind.name)), "{}", kind.name);
    }
}
