//! The environment of the command, and the settings that Claude Code gets, without I/O.
//!
//! A value in a settings file wins over an exported variable. Settings on the command line win over both, and an empty value
//! there cancels a variable.

use std::collections::BTreeMap;

use crate::claude_settings::connection::{AUTH_TOKEN, BASE_URL, Token};
use crate::claude_settings::sources::{
    CERTIFICATES, CLOUD_MODES, PROXIES, PROXY_EXCEPTIONS, Rank, Source, has_credential, in_force,
};

const MODEL: &str = "ANTHROPIC_MODEL";
/// The start of every credential for Anthropic. Such a token may pass through.
const ANTHROPIC_CREDENTIAL: &str = "sk-ant-";

/// The facts that decide about the variables.
pub(super) struct Facts<'a> {
    pub(super) url: &'a str,
    /// The host of the URL.
    pub(super) host: &'a str,
    /// The file with the authority of the relay's certificate, if it has to be trusted in addition.
    pub(super) authorities: Option<&'a str>,
    pub(super) token: Token,
    pub(super) model: Option<&'a str>,
    /// The sources of Claude Code's variables, the highest rank first. Only the environment, if the command is another program.
    pub(super) sources: &'a [Source],
    /// True if the user has logged in to Claude Code, and the command is Claude Code.
    pub(super) has_login: bool,
    /// True if the placeholder is served.
    pub(super) placeholder_works: bool,
}

/// The variables of the command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Variables {
    /// The variables to set.
    pub(super) set: BTreeMap<&'static str, String>,
    /// The variables to remove.
    pub(super) removed: Vec<&'static str>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
    /// True if a settings file sets a token, which only settings on the command line replace.
    must_replace_token: bool,
}

impl Variables {
    /// Determines the variables by the facts.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let mut variables = Self::default();
        variables.set.insert(BASE_URL, facts.url.to_owned());
        let further = [(MODEL, facts.model), (CERTIFICATES, facts.authorities)];
        variables.set.extend(further.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))));
        variables.token(facts);
        variables.clouds(facts);
        variables.proxies(facts);
        let managed = facts
            .sources
            .iter()
            .find(|source| source.rank == Rank::Managed && source.variables.contains_key(BASE_URL));
        if let Some(managed) = managed {
            variables
                .notes
                .push(format!("{BASE_URL} in {} wins: Claude Code does not use the relay", managed.name()));
        }
        let given = facts.sources.iter().find(|source| source.rank == Rank::CommandLine);
        if given.and_then(|given| given.variables.get(BASE_URL)).is_some_and(|url| url != facts.url) {
            variables.notes.push(format!("{BASE_URL} in --settings is replaced by the URL of the relay"));
        }
        variables
    }

    fn token(&mut self, facts: &Facts<'_>) {
        let current = in_force(facts.sources, AUTH_TOKEN);
        let may_pass = current.filter(|(_, value)| value.starts_with(ANTHROPIC_CREDENTIAL));
        if facts.token == Token::Own && may_pass.is_some() {
            return;
        }
        let has_own = facts.has_login || has_credential(facts.sources);
        let token = match &facts.token {
            Token::Own if !has_own && facts.placeholder_works => &Token::Placeholder,
            token => token,
        };
        let is_file =
            |source: &&Source| source.rank != Rank::Environment && source.variables.contains_key(AUTH_TOKEN);
        self.must_replace_token = facts.sources.iter().any(|source| is_file(&source));
        match (token.value(), current) {
            (Some(value), _) => {
                self.set.insert(AUTH_TOKEN, value.to_owned());
            }
            (None, Some((source, _))) => {
                self.removed.push(AUTH_TOKEN);
                self.notes.push(format!(
                    "{AUTH_TOKEN} in {} is not used: Claude Code would send it in the place of your own login",
                    source.name()
                ));
            }
            (None, None) => {}
        }
    }

    /// Removes the variables that would make Claude Code call a cloud.
    fn clouds(&mut self, facts: &Facts<'_>) {
        for name in CLOUD_MODES {
            if let Some((source, _)) = in_force(facts.sources, name) {
                self.removed.push(name);
                self.notes
                    .push(format!("{name} in {} is not used: it would bypass the relay", source.name()));
            }
        }
    }

    /// Makes the host of the relay an exception of the proxies.
    fn proxies(&mut self, facts: &Facts<'_>) {
        if !PROXIES.iter().any(|name| in_force(facts.sources, name).is_some()) {
            return;
        }
        let exceptions = PROXY_EXCEPTIONS.iter().find_map(|name| in_force(facts.sources, name));
        let exceptions = exceptions.map(|(_, value)| value).unwrap_or_default();
        let mut hosts = exceptions.split([',', ' ']).filter(|host| !host.is_empty());
        if hosts.any(|host| host == "*" || host == facts.host) {
            return;
        }
        let exceptions = match exceptions.trim_end_matches([',', ' ']) {
            "" => facts.host.to_owned(),
            exceptions => format!("{exceptions},{}", facts.host),
        };
        self.set.extend(PROXY_EXCEPTIONS.map(|name| (name, exceptions.clone())));
    }

    /// Returns the variables for the settings on the command line, and `true` if one of them is a secret. A secret is among them
    /// only if the environment of the process is not enough.
    pub(super) fn settings(&self) -> (BTreeMap<&'static str, String>, bool) {
        let mut settings = self.set.clone();
        settings.extend(self.removed.iter().map(|name| (*name, String::new())));
        let is_secret = self.set.get(AUTH_TOKEN).is_some_and(|token| token != relay_config::PLACEHOLDER);
        if is_secret && !self.must_replace_token {
            settings.remove(AUTH_TOKEN);
        }
        (settings, is_secret && self.must_replace_token)
    }
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
