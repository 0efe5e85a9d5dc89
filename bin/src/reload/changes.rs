//! The part of a configuration that a running process can use, and the description of the changes.

use std::collections::HashSet;

use relay_config::{Config, LoadError, ProviderName};
use relay_messages::ErrorChain;
use relay_server::Changes;

use super::part::Commit;
use crate::settings::SettingsError;

/// Returns `config` with the settings that a running process cannot change.
pub(super) fn usable(config: &Config, in_use: &Config) -> Config {
    let mut used = config.clone().with_process_settings_of(in_use);
    // Without its token, a listener that other machines reach would be open to all of them.
    if used.admin.token.is_none() && !in_use.admin.listen.is_loopback() {
        used.admin.token.clone_from(&in_use.admin.token);
    }
    used
}

/// Describes the changes, one text for each.
pub(super) fn differences(
    before: &Config,
    used: &Config,
    changes: &Changes,
    commits: &[Commit],
) -> Vec<String> {
    let settings = before.differences(used);
    let described: HashSet<&str> = settings.iter().map(|difference| item(&difference.path)).collect();
    let is_described = |provider: &&ProviderName| described.contains(&*format!("providers[{provider}]"));
    let others = changes.changed.iter().filter(|provider| !is_described(provider));
    let mut texts: Vec<_> = settings.iter().map(ToString::to_string).collect();
    texts.extend(others.map(|provider| format!("providers[{provider}]: changed")));
    texts.extend(
        changes
            .files
            .iter()
            .map(|(provider, file)| format!("providers[{provider}]: {} has other contents", file.display())),
    );
    texts.extend(changes.is_reordered.then(|| "providers: in another order".to_owned()));
    texts.extend(commits.iter().map(|commit| commit.difference.clone()));
    texts
}

/// Returns the path of the item of a list at the start of `path`.
fn item(path: &str) -> &str {
    path.find("].").map_or(path, |end| &path[..=end])
}

/// The problems of a configuration that cannot be loaded, each with its place.
pub(super) fn problems(error: &SettingsError) -> Vec<String> {
    match error {
        SettingsError::Load(LoadError::Invalid { problems }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        error => lines(&ErrorChain(error).to_string()),
    }
}

pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
