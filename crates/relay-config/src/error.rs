//! What can be wrong with a configuration, and what is merely worth a word.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::names::BaseUrlError;

/// Why no configuration came of what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file's name does not say what it is written in.
    #[error("{}: the name of a configuration file ends in .yaml, .yml or .toml", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// What was read is not a valid configuration; one line for each problem, in the order of the file.
    #[error("{}", lines(problems))]
    Invalid {
        /// Every problem found.
        problems: Vec<Problem>,
    },
}

impl LoadError {
    /// The problems in the configuration itself; none if it could not even be read.
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

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// Nowhere: the default applies.
    Default,
    /// In a file; line and column count from 1, the column in characters.
    File {
        /// The file's name as it was given.
        name: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable.
    Environment {
        /// The variable's name.
        variable: Arc<str>,
    },
    /// On the command line.
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

/// One thing that is wrong: `config.yaml:12:5: providers[2].weigth: unknown key; did you mean `weight`?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The key path; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
}

/// One thing that works but may not be meant: `config.toml:9:1: providers[0].models: …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is.
    pub place: Place,
    /// The key path; empty for the whole.
    pub path: String,
    /// What may not be meant.
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

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file is not well-formed.
    #[error("not valid {format}: {message}")]
    Syntax {
        /// The format's name.
        format: &'static str,
        /// What the parser says.
        message: String,
    },
    /// The format allows it, a configuration does not use it.
    #[error("{what} not supported here; {instead}")]
    Unsupported {
        /// The construct, with its verb.
        what: &'static str,
        /// What to write instead.
        instead: &'static str,
    },
    /// A key is there twice.
    #[error("the key is already set in line {first}")]
    DuplicateKey {
        /// The line of the first one.
        first: usize,
    },
    /// Nothing is known by this name.
    #[error("unknown key{}", clause(hint))]
    UnknownKey {
        /// What may have been meant, as a clause; empty if nothing is near.
        hint: String,
    },
    /// The value has the wrong type, or is out of bounds, or is none of the choices.
    #[error("found {found}, expected {expected}{}", clause(hint))]
    Value {
        /// What is there; never a secret's value.
        found: String,
        /// What is accepted.
        expected: String,
        /// What to write, as a clause; may be empty.
        hint: String,
    },
    /// Something that has to be there is not.
    #[error("missing; {expected}")]
    Missing {
        /// What is accepted, as a clause.
        expected: String,
    },
    /// `${NAME}` names a variable that is not set.
    #[error("the environment variable {variable} is not set; set it, or give a default: ${{{variable}:-…}}")]
    Unset {
        /// The variable.
        variable: String,
    },
    /// A `${` that starts no reference.
    #[error(
        "`${{` starts a reference like ${{NAME}} or ${{NAME:-default}}; write `$${{` for the characters themselves"
    )]
    Reference,
    /// The setting belongs to a feature that this version does not have.
    #[error("{what} not available in this version{}", clause(hint))]
    Unavailable {
        /// The setting or value, with its verb.
        what: String,
        /// What to use instead, as a clause; may be empty.
        hint: String,
    },
    /// Providers of this type do not have the setting.
    #[error("a provider of type {kind} has no such setting; remove it")]
    NotForType {
        /// The type.
        kind: &'static str,
    },
    /// A name that must be unique is taken.
    #[error("{what} is already used by {first}")]
    Taken {
        /// The name; for a secret, a word that stands for it.
        what: String,
        /// The path of the first one.
        first: String,
    },
    /// Not a base URL.
    #[error("{}{source}; expected a URL like https://host/path", quoted(found))]
    Url {
        /// What is there, unless that may hold a credential.
        found: Option<String>,
        /// What about it is not accepted.
        source: BaseUrlError,
    },
    /// It cannot be read as a configuration, although the schema found no fault.
    #[error("{message}")]
    Shape {
        /// What the deserializer says.
        message: String,
    },
    /// A file that a setting names is not there or not what it should be.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

fn clause(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

fn quoted(found: &Option<String>) -> String {
    found.as_ref().map(|text| format!("found {text:?}: ")).unwrap_or_default()
}

/// What may not be meant about a setting that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Concern {
    /// A setting of other relays that means nothing here.
    #[error("has no effect in cc-relay; it can be removed")]
    NoEffect,
    /// By TOML's rules the line belongs to the table before it; it was applied to the provider.
    #[error(
        "by TOML's rules this line belongs to `{table}`; it was applied to the provider. Move it up, above that table"
    )]
    Misplaced {
        /// The table it stands in.
        table: String,
    },
    /// Anybody who reaches the port may spend the configured keys.
    #[error("{address} can be reached from other machines and clients need no key; set server.auth.api_key")]
    OpenListener {
        /// The address.
        address: String,
    },
    /// The file holds a secret and everybody on the machine may read it.
    #[error(
        "the file holds a secret and every user of this machine can read it; chmod 600, or use ${{NAME}}"
    )]
    ReadableByOthers,
    /// Another strategy is in use than the one that reads the setting.
    #[error("has no effect with routing.strategy {strategy}; it is for model_based")]
    OtherStrategy {
        /// The strategy in use.
        strategy: &'static str,
    },
    /// Nothing will be served.
    #[error("no provider is enabled; every request will be refused")]
    NoProvider,
    /// A credential of the environment lacks what belongs to it; another one is used.
    #[error("it is not used, as {missing} is not set")]
    NotUsed {
        /// The variable that is not set.
        missing: String,
    },
    /// The key has characters that no header can carry.
    #[error("holds a line break or another control character, which no HTTP header can carry")]
    UnsendableKey,
    /// Credentials go over the wire in the clear.
    #[error("http:// sends credentials unencrypted to {host}; use https://")]
    Cleartext {
        /// The host.
        host: String,
    },
}
