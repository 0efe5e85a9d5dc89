//! The base URLs in settings files, the environment and shell files, and the servers that answer there.

use std::collections::BTreeMap;
use std::fs;

use relay_config::shown_url;

use super::shell;
use crate::claude_settings::connection::BASE_URL;
use crate::claude_settings::sources::{self, CERTIFICATES, Rank, Source, in_force};
use crate::doctor::check::Check;
use crate::probe::Server;

const NAME: &str = "base url";
/// The most base URLs that are probed.
const URLS: usize = 16;

/// The places that set a base URL.
pub(super) struct BaseUrls(Vec<Place>);

/// A place that sets a base URL.
struct Place {
    url: String,
    /// The file and line, or the variable.
    name: String,
}

impl BaseUrls {
    /// Reads the settings of every rank and the shell files.
    pub(super) fn read(sources: &[Source]) -> Self {
        let of_source = |source: &Source| {
            let url = source.variables.get(BASE_URL).filter(|url| !url.is_empty())?;
            Some(Place { url: url.clone(), name: place(source) })
        };
        let mut places: Vec<_> = sources.iter().filter_map(of_source).collect();
        places.extend(shell::exports(BASE_URL).into_iter().map(|export| Place {
            name: format!("{}:{}", export.file.display(), export.line),
            url: export.value,
        }));
        places.truncate(URLS);
        Self(places)
    }

    /// Probes each URL once. The first check is about the URL in force.
    pub(super) async fn checks(self, sources: &[Source]) -> Vec<Check> {
        let mut servers = BTreeMap::new();
        for place in &self.0 {
            if !servers.contains_key(&place.url) {
                servers.insert(place.url.clone(), sources::server_at(sources, &place.url).await);
            }
        }
        let active = in_force(sources, BASE_URL);
        let mut checks = Vec::new();
        match active {
            None => checks.push(Check::warn(
                NAME,
                format!("{BASE_URL} is not set: Claude Code calls Anthropic and no relay"),
                "`cc-relay config cc init` sets it, and `cc-relay run -- claude` needs no setting",
            )),
            Some((source, url)) => {
                let server = servers.get(url).unwrap_or(&Server::Unknown);
                checks.push(in_use(url, &place(source), server));
            }
        }
        let active = active.map(|(source, url)| (place(source), url.to_owned()));
        let others = self.0.iter().filter(|other| {
            active.as_ref().is_none_or(|(name, url)| (name, url) != (&other.name, &other.url))
        });
        checks.extend(others.filter_map(|other| left_behind(other, servers.get(&other.url)?)));
        checks
    }
}

/// Returns the check of the URL that Claude Code uses.
fn in_use(url: &str, name: &str, server: &Server) -> Check {
    let url = shown_url(url).unwrap_or_else(|| "***".to_owned());
    match server {
        Server::Relay { version, .. } => {
            Check::ok(NAME, format!("{url} of {name}: cc-relay {version} answers"))
        }
        Server::None => Check::fail(
            NAME,
            format!("{url} of {name}: no server answers, so that Claude Code cannot start a request"),
            format!(
                "start the relay with `cc-relay serve`, or remove {BASE_URL} from {name} (`cc-relay config cc remove`)"
            ),
        ),
        Server::Other => Check::warn(
            NAME,
            format!("{url} of {name}: the server is not cc-relay"),
            format!("to use the relay, change {BASE_URL} in {name}"),
        ),
        Server::Untrusted => Check::fail(
            NAME,
            format!("{url} of {name}: the certificate of the server is not trusted by this machine"),
            format!(
                "set {CERTIFICATES} to a file with the certificate of its authority, for Claude Code too"
            ),
        ),
        Server::Unknown => {
            Check::skip(NAME, format!("{url} of {name}: neither http nor https, or behind a proxy"))
        }
    }
}

/// Returns a failure if no server answers at a URL that is not in force.
fn left_behind(other: &Place, server: &Server) -> Option<Check> {
    let url = shown_url(&other.url).unwrap_or_else(|| "***".to_owned());
    let text = format!("{url} of {}: left behind, no server answers; not in force here", other.name);
    let fix = format!("remove {BASE_URL} from {}", other.name);
    (*server == Server::None).then(|| Check::fail(NAME, text, fix))
}

/// Returns the file and the line in which a source sets the base URL, or the name of the variable.
fn place(source: &Source) -> String {
    let Some(path) = &source.path else {
        return match source.rank {
            Rank::Environment => format!("the variable {BASE_URL}"),
            _ => source.name(),
        };
    };
    let text = fs::read_to_string(path).unwrap_or_default();
    let key = format!("\"{BASE_URL}\"");
    match text.lines().position(|line| line.contains(&key)) {
        Some(line) => format!("{}:{}", path.display(), line + 1),
        None => path.display().to_string(),
    }
}
