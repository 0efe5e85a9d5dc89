//! Errors, problems and warnings of loading a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::names::BaseUrlError;

/// An error that leaves no usable configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file has no extension that names its format.
    #[error("{}: a configuration file must end in .yaml, .yml or .toml", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// The configuration is invalid. The message has one line for each problem, in the order of the file.
    #[error("{}", lines(problems))]
    Invalid {
        /// All problems that were found.
        problems: Vec<Problem>,
    },
}

impl LoadError {
    /// Returns the problems of an invalid configuration; none if the file could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            _ => &[],
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The place where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// The built-in defaults: the setting was not made.
    Default,
    /// A position in a file. Line and column count from 1, the column in characters.
    File {
        /// The name of the file as it was given.
        name: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// The variable's name.
        variable: Arc<str>,
    },
    /// The command line.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("defaults"),
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment { variable } => f.write_str(variable),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A problem, such as `config.yaml:12:5: providers[2].weigth: unknown key; did you mean `weight`?`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The place of the setting.
    pub place: Place,
    /// The path of the key; empty for the whole configuration.
    pub path: String,
    /// The fault of the setting.
    pub fault: Fault,
}

/// A setting that is accepted but may be a mistake, such as `config.toml:9:1: providers[0].models: …`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The place of the setting.
    pub place: Place,
    /// The path of the key; empty for the whole configuration.
    pub path: String,
    /// The possible mistake.
    pub concern: Concern,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.place, &self.path, &self.fault)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.place, &self.path, &self.concern)
    }
}

fn line(f: &mut fmt::Formatter<'_>, place: &Place, path: &str, what: &dyn fmt::Display) -> fmt::Result {
    match path {
        "" => write!(f, "{place}: {what}"),
        path => write!(f, "{place}: {path}: {what}"),
    }
}

/// The fault of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file is not well-formed.
    #[error("not valid {format}: {message}")]
    Syntax {
        /// The format's name.
        format: &'static str,
        /// The mistake and its fix.
        message: String,
    },
    /// The file is not in UTF-8.
    #[error(
        "found {found}, expected a text in UTF-8; save the file as UTF-8, as an editor offers under \"Save as\" or \"Encoding\""
    )]
    Encoding {
        /// The encoding or the byte that was found.
        found: String,
    },
    /// The format allows the construct, but a configuration cannot use it.
    #[error("{what} not supported here; {instead}")]
    Unsupported {
        /// The construct, with its verb, as the start of a sentence.
        what: &'static str,
        /// The alternative, as a clause.
        instead: &'static str,
    },
    /// A key occurs twice in the same table.
    #[error("the key is already set in line {first}")]
    DuplicateKey {
        /// The line of the first occurrence.
        first: usize,
    },
    /// The key is unknown.
    #[error("unknown key{}", clause(hint))]
    UnknownKey {
        /// A hint, as a clause; may be empty.
        hint: String,
    },
    /// The value has the wrong type, is out of bounds, or is none of the choices.
    #[error("found {found}, expected {expected}{}", clause(hint))]
    Value {
        /// The value that was found; never the value of a secret.
        found: String,
        /// The values that are accepted.
        expected: String,
        /// A hint, as a clause; may be empty.
        hint: String,
    },
    /// A required setting is missing.
    #[error("missing; {expected}")]
    Missing {
        /// The values that are accepted, as a clause.
        expected: String,
    },
    /// A reference `${NAME}` names a variable that is not set.
    #[error("the environment variable {variable} is not set; {}", unset_fix(variable, *is_optional))]
    Unset {
        /// The name of the variable.
        variable: String,
        /// True if the setting can be removed.
        is_optional: bool,
    },
    /// The characters `${` do not start a valid reference.
    #[error(
        "`${{` starts a reference like ${{NAME}} or ${{NAME:-default}}; write `$${{` for the characters themselves"
    )]
    Reference,
    /// The setting belongs to a feature that this version does not implement.
    #[error("{what} not available in this version{}", clause(hint))]
    Unavailable {
        /// The setting or value, with its verb, as the start of a sentence.
        what: String,
        /// The alternative, as a clause; may be empty.
        hint: String,
    },
    /// A provider of this type does not accept the setting.
    #[error("a provider of type {kind} has no such setting; remove it")]
    NotForType {
        /// The type of the provider.
        kind: &'static str,
    },
    /// A name or key that must be unique is already used.
    #[error("{what} is already used by {first}")]
    Taken {
        /// The name, or a description of a secret.
        what: String,
        /// The path of the first use.
        first: String,
    },
    /// The value is not a base URL.
    #[error("{}{source}; expected a URL like https://host/path", quoted(found))]
    Url {
        /// The value that was found, unless it may contain a credential.
        found: Option<String>,
        /// The reason.
        source: BaseUrlError,
    },
    /// The configuration cannot be deserialized although it matches the schema.
    #[error("{message}")]
    Shape {
        /// The message of the deserializer.
        message: String,
    },
    /// A file that a setting names cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

impl Fault {
    /// Returns `true` if the setting has a value of its type that further checks can examine.
    pub(crate) fn has_value(&self) -> bool {
        matches!(self, Self::Value { .. } | Self::Taken { .. } | Self::File { .. } | Self::Url { .. })
    }
}

fn unset_fix(variable: &str, is_optional: bool) -> String {
    match is_optional {
        true => format!("set it, give a default: ${{{variable}:-…}}, or remove the line"),
        false => format!("set it, or give a default: ${{{variable}:-…}}"),
    }
}

fn clause(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

fn quoted(found: &Option<String>) -> String {
    found.as_ref().map(|text| format!("found {text:?}: ")).unwrap_or_default()
}

/// A possible mistake in a setting that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Concern {
    /// The setting exists in other relays and has no effect in cc-relay.
    #[error("has no effect in cc-relay; it can be removed")]
    NoEffect,
    /// TOML assigns the line to the preceding table; it was applied to the provider.
    #[error(
        "by TOML's rules this line belongs to `{table}`; it was applied to the provider. Move it up, above that table"
    )]
    Misplaced {
        /// The table that TOML assigns it to.
        table: String,
    },
    /// Every machine that can reach the listener can use the configured keys.
    #[error("{address} can be reached from other machines and clients need no key; set server.auth.api_key")]
    OpenListener {
        /// The address.
        address: String,
    },
    /// The bytes held for all request bodies are fewer than those of one body.
    #[error(
        "{buffered} bytes hold no body of server.max_body_bytes ({body}), which gets 503 whenever it is sent: raise this \
         setting, or lower server.max_body_bytes"
    )]
    BufferBelowBody {
        /// `server.max_buffered_bytes`.
        buffered: usize,
        /// `server.max_body_bytes`.
        body: usize,
    },
    /// Clients may send a subscription token, and no provider receives it.
    #[error(
        "no enabled provider receives a client's subscription token: add one of type anthropic at its own address, or set \
         passthrough: true for an anthropic provider that may receive it"
    )]
    NoPassThrough,
    /// A made-up subscription token can use the configured keys.
    #[error(
        "any text in the form of a subscription token can use the configured keys, because only Anthropic can check such a \
         token; remove the setting, unless only trusted clients can reach the relay"
    )]
    SubscriptionOpensKeys,
    /// The file contains a secret and is readable by every user of the machine.
    #[error(
        "the file contains a secret and every user of this machine can read it; chmod 600, or use ${{NAME}}"
    )]
    ReadableByOthers,
    /// The private key of the relay is readable by every user of the machine.
    #[error("every user of this machine can read the private key; chmod 600")]
    KeyReadableByOthers,
    /// Users other than the owner of the file can change it.
    #[error("other users of this machine can change the file, and with it the use of every key; chmod go-w")]
    WritableByOthers,
    /// The strategy in use does not read the setting.
    #[error("has no effect with routing.strategy {strategy}; it is for model_based")]
    OtherStrategy {
        /// The name of the strategy in use.
        strategy: &'static str,
    },
    /// The end of a client's key has passed.
    #[error("the key has expired; requests with it are answered with 401")]
    Expired,
    /// Neither of the listeners that can serve the metrics is opened.
    #[error("nothing serves the metrics, because admin.enabled is false; set metrics.listen")]
    MetricsNowhere,
    /// Without the ledger, the relay does not know after a restart how much its clients have spent.
    #[error("budgets of server.auth.api_keys begin anew with each start of the relay; set it to true")]
    ForgottenBudgets,
    /// No provider is enabled.
    #[error("no provider is enabled; every request will be refused")]
    NoProvider,
    /// Another setting has precedence.
    #[error("it has no effect, because {by} is set")]
    Overridden {
        /// The name of the other setting.
        by: &'static str,
    },
    /// The URL does not serve the Messages API.
    #[error("{url} {reason}; {fix}")]
    WrongAddress {
        /// The URL that was found.
        url: String,
        /// The reason, as a clause whose subject is the URL.
        reason: &'static str,
        /// The fix, as a clause.
        fix: String,
    },
    /// A proxy cannot be used.
    #[error(
        "a proxy at {scheme}:// cannot be used, so that no https upstream can be reached; give the URL of an http:// proxy"
    )]
    Proxy {
        /// The scheme of the proxy.
        scheme: String,
    },
    /// A variable names a proxy that does not serve an upstream on plain `http`.
    #[error(
        "no proxy is used for http:// upstreams such as {host}, which are reached directly; use https://, or add the host \
         to NO_PROXY"
    )]
    NoProxyForHttp {
        /// The host of the upstream.
        host: String,
    },
    /// The URL names another region than the setting.
    #[error(
        "the URL is that of the region {named}, and {setting} is {region}; write the same region in both"
    )]
    OtherRegion {
        /// The region of the URL.
        named: String,
        /// The name of the setting.
        setting: &'static str,
        /// The region of the setting.
        region: String,
    },
    /// A variable of another tool requests a feature that cc-relay does not have.
    #[error("cc-relay does not use it; {instead}")]
    NotHonoured {
        /// The alternative, as a clause.
        instead: &'static str,
    },
    /// A credential of the environment is incomplete; another one is used.
    #[error("it is not used, because {missing} is not set")]
    NotUsed {
        /// The name of the missing variable.
        missing: String,
    },
    /// Characters around a secret were removed.
    #[error("{removed} around the secret were removed; correct the value")]
    SecretTrimmed {
        /// A description of the removed text.
        removed: String,
    },
    /// The value is probably not the secret itself.
    #[error("{reason}")]
    DoubtfulSecret {
        /// The reason and the correction, without any part of the value.
        reason: &'static str,
    },
    /// Characters around the URL of a proxy, or around its user or password, were removed.
    #[error("{removed} around the URL, its user or its password were removed; correct the value")]
    ProxyTrimmed {
        /// A description of the removed text.
        removed: String,
    },
    /// Credentials are sent without encryption.
    #[error("http:// sends credentials unencrypted to {host}; use https://")]
    Cleartext {
        /// The host.
        host: String,
    },
}
