//! The variables of Claude Code that concern a relay, in every settings file and in the environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::change::text_of;
use super::document::Document;
use super::error::ClaudeSettingsError as Error;
pub(crate) use super::location::Rank;
use super::location::{self, Location};
use super::{connection, file};
use crate::probe::Server;
use crate::settings::variable;
use crate::status::trust::{Authorities, RelayTrust};

/// The variables that make Claude Code call a cloud, past any base URL.
pub(crate) const CLOUD_MODES: [&str; 5] = [
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
];
/// The variables with a proxy. Claude Code uses it for a relay on this machine too.
pub(crate) const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// The variables with the exceptions of a proxy.
pub(crate) const PROXY_EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// The variable with a file of certificates that Claude Code trusts.
pub(crate) const CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";
/// The variables with a credential, the strongest first.
pub(crate) const CREDENTIALS: [&str; 3] =
    [connection::AUTH_TOKEN, "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"];
/// The variable that makes Claude Code ignore the base URL and the credentials in settings files.
pub(crate) const MANAGED_BY_HOST: &str = "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST";

/// Returns all names that are read.
fn names() -> impl Iterator<Item = &'static str> {
    [connection::BASE_URL]
        .into_iter()
        .chain(CREDENTIALS)
        .chain(CLOUD_MODES)
        .chain([MANAGED_BY_HOST, CERTIFICATES, connection::MODEL_DISCOVERY])
        .chain(PROXIES)
        .chain(PROXY_EXCEPTIONS)
}

/// A source of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) rank: Rank,
    /// The settings file. `None` for the environment.
    pub(crate) path: Option<PathBuf>,
    pub(crate) exists: bool,
    /// The reason that the file cannot be read, or is ignored by Claude Code.
    pub(crate) problem: Option<String>,
    /// The variables that are set. An empty value cancels those of lower ranks.
    pub(crate) variables: BTreeMap<&'static str, String>,
    /// True if the file names a command that prints a key.
    pub(crate) has_key_helper: bool,
}

impl Source {
    /// Reads every source, the highest rank first.
    pub(crate) fn all() -> Vec<Self> {
        location::all().into_iter().map(Self::of).chain([Self::environment()]).collect()
    }

    /// Reads every source and adds settings on the command line of Claude Code, the highest rank first.
    pub(crate) fn all_with(command_line: Self) -> Vec<Self> {
        let mut sources = Self::all();
        let managed = sources.iter().take_while(|source| source.rank == Rank::Managed).count();
        sources.insert(managed, command_line);
        sources
    }

    /// The settings on the command line of Claude Code.
    pub(crate) fn of_command_line(document: &Document) -> Self {
        let mut source = Self::new(Rank::CommandLine, None);
        source.take(document);
        source
    }

    fn new(rank: Rank, path: Option<PathBuf>) -> Self {
        Self { rank, path, exists: true, problem: None, variables: BTreeMap::new(), has_key_helper: false }
    }

    fn of(Location { rank, path }: Location) -> Self {
        let mut source = Self::new(rank, Some(path.clone()));
        match file::read(&path) {
            Ok(None) => source.exists = false,
            Ok(Some(bytes)) => match Document::parse(&bytes) {
                Ok(document) => source.take(&document),
                Err(invalid) => {
                    source.problem = Some(format!("{invalid}; Claude Code ignores the whole file"));
                }
            },
            Err(Error::Read { source: error, .. }) => {
                source.problem = Some(format!("the file cannot be read: {error}"));
            }
            Err(error) => source.problem = Some(error.to_string()),
        }
        source
    }

    fn take(&mut self, document: &Document) {
        let value = |name| {
            let json = document.get(name)?;
            // Claude Code takes a number as its text.
            Some((name, text_of(json).unwrap_or_else(|| json.to_owned())))
        };
        self.variables = names().filter_map(value).collect();
        self.has_key_helper = document.root().is_some_and(|root| root.get("apiKeyHelper").is_some());
    }

    /// The environment of this process.
    pub(crate) fn environment() -> Self {
        let value = |name| Some((name, variable(name).filter(|value| !value.is_empty())?));
        Self { variables: names().filter_map(value).collect(), ..Self::new(Rank::Environment, None) }
    }

    /// The name of the source in a message.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None if self.rank == Rank::CommandLine => "--settings".to_owned(),
            None => "the environment".to_owned(),
        }
    }
}

/// Returns the value of a variable that Claude Code uses, with its source. `None` if no source sets it, or if the highest one
/// cancels it with an empty value.
pub(crate) fn in_force<'a>(sources: &'a [Source], name: &str) -> Option<(&'a Source, &'a str)> {
    let (source, value) = sources.iter().find_map(|source| Some((source, source.variables.get(name)?)))?;
    (!value.is_empty()).then_some((source, value))
}

/// Returns the variable with the proxy that Claude Code would use for `host`, with its source, and `true` if the host is an exception.
pub(crate) fn proxy<'a>(sources: &'a [Source], host: &str) -> Option<(&'static str, &'a Source, bool)> {
    let (name, (source, _)) = PROXIES.into_iter().find_map(|name| Some((name, in_force(sources, name)?)))?;
    let bare = |text: &str| text.trim_matches(['[', ']']).to_owned();
    let mut exceptions = PROXY_EXCEPTIONS.into_iter().filter_map(|name| in_force(sources, name));
    let is_excepted = exceptions
        .any(|(_, value)| value.split([',', ' ']).any(|entry| entry == "*" || bare(entry) == bare(host)));
    Some((name, source, is_excepted))
}

/// Determines the server at a base URL, with the certificates that Claude Code trusts. A server behind a proxy is not called.
pub(crate) async fn server_at(sources: &[Source], url: &str) -> Server {
    let host =
        url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let is_proxied = proxy(sources, &host).is_some_and(|(.., is_excepted)| !is_excepted);
    if url.starts_with("https:") && is_proxied {
        return Server::Unknown;
    }
    let further = in_force(sources, CERTIFICATES).map(|(_, file)| PathBuf::from(file));
    let trust = RelayTrust { own: None, authorities: Authorities::System { further } };
    Server::at_trusted(url, None, &trust).await
}

/// Returns `true` if Claude Code has a credential of its own in one of the sources, other than `ANTHROPIC_AUTH_TOKEN`.
pub(crate) fn has_credential(sources: &[Source]) -> bool {
    let mut others = CREDENTIALS.iter().filter(|name| **name != connection::AUTH_TOKEN);
    others.any(|name| in_force(sources, name).is_some()) || sources.iter().any(|source| source.has_key_helper)
}

/// Returns `true` if the user has logged in to Claude Code. Its state is only read.
pub(crate) fn has_login() -> bool {
    let Ok(directory) = location::user_directory() else { return false };
    // Without $CLAUDE_CONFIG_DIR, the state is beside the directory.
    let beside = directory.with_extension("json");
    let state = [directory.join(".claude.json"), beside].into_iter().find_map(|path| fs::read(path).ok());
    let state: Option<Value> = state.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    directory.join(".credentials.json").exists()
        || state.is_some_and(|state| state.get("oauthAccount").is_some_and(Value::is_object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(rank: Rank, variables: &[(&'static str, &str)]) -> Source {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Source { variables, ..Source::new(rank, None) }
    }

    #[test]
    fn the_highest_rank_decides_and_an_empty_value_cancels() {
        let sources = [
            source(Rank::Managed, &[]),
            source(Rank::User, &[("ANTHROPIC_BASE_URL", "http://file"), ("ANTHROPIC_API_KEY", "")]),
            source(
                Rank::Environment,
                &[("ANTHROPIC_BASE_URL", "http://shell"), ("ANTHROPIC_API_KEY", "key")],
            ),
        ];
        let (source, value) = in_force(&sources, "ANTHROPIC_BASE_URL").unwrap();
        assert_eq!((source.rank, value), (Rank::User, "http://file"));
        assert_eq!(in_force(&sources, "ANTHROPIC_API_KEY"), None);
        assert_eq!(in_force(&sources, "ANTHROPIC_AUTH_TOKEN"), None);
    }
}
