//! The checks of Claude Code on this machine: its settings files, the environment, shell files, and its version.

mod base_url;
mod shell;
mod version;

use std::fs;

use relay_config::{Config, PLACEHOLDER};

use self::base_url::BaseUrls;
use super::check::{Check, Group};
use crate::claude_settings::connection::{AUTH_TOKEN, BASE_URL, Token};
use crate::claude_settings::sources::{
    self, CLOUD_MODES, CREDENTIALS, MANAGED_BY_HOST, Rank, Source, in_force,
};

/// The values that switch a mode of Claude Code on.
const TRUE: [&str; 4] = ["1", "true", "yes", "on"];
/// The settings of an administrator that demand a login.
const FORCED_LOGIN: [&str; 2] = ["forceLoginMethod", "forceLoginOrgUUID"];
/// The names of this machine.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Checks the settings of every rank. `config` is the configuration of the relay, if it can be loaded.
pub(super) async fn check(config: Option<&Config>) -> Group {
    let sources = Source::all();
    let mut checks = files(&sources);
    checks.extend(BaseUrls::read(&sources).checks(&sources).await);
    checks.extend(cloud_modes(&sources));
    checks.extend(forced_logins(&sources));
    checks.extend(config.and_then(|config| credential(config, &sources)));
    checks.extend(proxy(&sources));
    checks.push(version::check());
    Group::new("claude code", checks)
}

/// Returns the settings files that Claude Code ignores, or one line for those that it reads.
fn files(sources: &[Source]) -> Vec<Check> {
    let defect = |source: &Source| {
        let problem = source.problem.as_ref()?;
        Some(Check::fail(
            "settings",
            format!("{}: {problem}", source.name()),
            "correct the file at this place",
        ))
    };
    let mut checks: Vec<_> = sources.iter().filter_map(defect).collect();
    let is_read = |source: &&Source| source.path.is_some() && source.exists && source.problem.is_none();
    let names: Vec<_> = sources.iter().filter(is_read).map(Source::name).collect();
    if !names.is_empty() {
        checks.push(Check::ok("settings", format!("valid: {}", names.join(", "))));
    } else if checks.is_empty() {
        checks.push(Check::ok("settings", "there is no settings file"));
    }
    checks
}

/// Returns the modes in which Claude Code calls a cloud, past the relay.
fn cloud_modes(sources: &[Source]) -> Vec<Check> {
    let is_on = |value: &str| TRUE.contains(&value.trim().to_ascii_lowercase().as_str());
    let active = CLOUD_MODES.into_iter().filter_map(|name| {
        let (source, _) = in_force(sources, name).filter(|(_, value)| is_on(value))?;
        let text = format!("{name} is set in {}: Claude Code calls that cloud and no relay", source.name());
        Some(Check::fail("cloud mode", text, format!("remove {name} from {}", source.name())))
    });
    let mut checks: Vec<_> = active.collect();
    if let Some((source, _)) = in_force(sources, MANAGED_BY_HOST) {
        let text = format!(
            "{MANAGED_BY_HOST} is set in {}: Claude Code ignores the base URL and the credentials in settings files",
            source.name()
        );
        checks.push(Check::warn(
            "cloud mode",
            text,
            "set the base URL where the program that starts Claude Code does",
        ));
    }
    checks
}

/// Returns a failure for each managed file that demands a login: Claude Code then refuses the credential of a gateway at its start.
///
/// # Source
/// Claude Code, "Authentication".
fn forced_logins(sources: &[Source]) -> Vec<Check> {
    let managed = sources.iter().filter(|source| source.rank == Rank::Managed && source.exists);
    let forced = managed.filter_map(|source| {
        let text = fs::read(source.path.as_ref()?).ok()?;
        let settings: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let name = FORCED_LOGIN.into_iter().find(|name| settings.get(name).is_some())?;
        let text = format!("{name} in {}: Claude Code refuses every credential of a gateway", source.name());
        Some(Check::fail("credential", text, "have the administrator of this machine remove it"))
    });
    forced.collect()
}

/// Compares the credential that Claude Code sends with the one that the relay expects.
fn credential(config: &Config, sources: &[Source]) -> Option<Check> {
    in_force(sources, BASE_URL)?;
    let sent = CREDENTIALS.into_iter().find_map(|name| Some((name, in_force(sources, name)?)));
    let helper = sources.iter().find(|source| source.has_key_helper);
    let token = match Token::of(config) {
        Ok(token) => token,
        Err(reason) => {
            return Some(Check::fail("credential", reason, "correct server.auth and providers of the relay"));
        }
    };
    Some(match (token, sent, helper) {
        (Token::Own, Some((name, (source, value))), _) if name == AUTH_TOKEN && value == PLACEHOLDER => {
            let text = format!(
                "{name} in {} is sent in the place of a login: the subscription is not used",
                source.name()
            );
            let fix =
                format!("remove {name} from {} (`cc-relay config cc remove`, then `init`)", source.name());
            match Token::placeholder_works(config) {
                true => Check::warn("credential", text, fix),
                false => Check::fail("credential", text, fix),
            }
        }
        (Token::Own, Some((name, (source, _))), _) if name != "CLAUDE_CODE_OAUTH_TOKEN" => Check::warn(
            "credential",
            format!("{name} in {} is sent in the place of a login, and passed through", source.name()),
            format!("to use a subscription, remove {name} from {}", source.name()),
        ),
        (Token::Key(_), None, None) => Check::fail(
            "credential",
            "clients of the relay need a key, and no setting of Claude Code has one",
            "`cc-relay config cc init` writes it",
        ),
        (_, Some((name, (source, _))), _) => Check::ok("credential", format!("{name} of {}", source.name())),
        (_, None, Some(helper)) => Check::ok("credential", format!("apiKeyHelper of {}", helper.name())),
        (_, None, None) => Check::ok("credential", "the login of Claude Code"),
    })
}

/// Returns a warning if Claude Code would reach a relay on this machine through a proxy.
fn proxy(sources: &[Source]) -> Option<Check> {
    let (_, url) = in_force(sources, BASE_URL)?;
    let host = url.parse::<http::Uri>().ok()?.host()?.to_owned();
    if !LOOPBACK.contains(&host.as_str()) {
        return None;
    }
    let (name, source, is_excepted) = sources::proxy(sources, &host)?;
    Some(match is_excepted {
        true => Check::ok("proxy", format!("{name} of {}, and {host} is excepted", source.name())),
        false => Check::fail(
            "proxy",
            format!(
                "{name} in {} also catches {host}: Claude Code calls the relay through the proxy",
                source.name()
            ),
            format!("add {host} to NO_PROXY"),
        ),
    })
}
