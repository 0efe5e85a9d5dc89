//! The commands that point Claude Code at the relay, by the clients that `server.auth` admits.

use relay_config::{ClientAuth, Config, PLACEHOLDER, ProviderConfig};

/// The reason if keys admit clients, and each provider needs a client's own credential.
const ONLY_PASS_THROUGH: &str = "no provider has a key, and with client keys (server.auth) only a subscription token of a \
     client passes through; add a key to a provider, or set server.auth.allow_subscription";
/// The reason if only subscription tokens admit clients, and no provider may serve them.
const ONLY_KEYS: &str = "only a subscription token admits a client, no provider receives it, and it may not use keys; add a \
     provider of type anthropic, a client key (server.auth.api_keys), or server.auth.subscription_may_use_keys";

/// A way to use the relay with Claude Code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A command works.
    Command {
        /// The value of `ANTHROPIC_AUTH_TOKEN`: the placeholder, or a description of a secret. `None`: Claude Code sends
        /// its own credential.
        token: Option<&'static str>,
        /// A remark on the credential; may be empty.
        remark: &'static str,
    },
    /// No command works, for this reason.
    Unusable(&'static str),
}

impl Hint {
    /// Returns the command for a relay at `url`. A secret is described by its setting.
    pub(crate) fn command(&self, url: &str) -> String {
        let Self::Command { token, remark } = self else { return String::new() };
        let token = token.map(|token| format!(" ANTHROPIC_AUTH_TOKEN={token}")).unwrap_or_default();
        format!("ANTHROPIC_BASE_URL={url}{token} claude{remark}")
    }
}

/// Returns the simplest command that points Claude Code at a relay at `url` with this configuration. `None` if no client can be
/// served.
pub(crate) fn command(config: &Config, url: &str) -> Option<String> {
    let hints = of(config);
    let hint = hints.iter().find(|hint| matches!(hint, Hint::Command { .. }))?;
    Some(hint.command(url))
}

/// Returns every way to use a relay with this configuration, the simplest first. Without an enabled provider there is
/// none, which the loader reports.
pub(crate) fn of(config: &Config) -> Vec<Hint> {
    let enabled = || config.providers.iter().filter(|provider| provider.enabled);
    if enabled().next().is_none() {
        return Vec::new();
    }
    let auth = &config.server.auth;
    let passes_through = enabled().any(|provider| provider.kind.passes_through());
    let serves_without_own = enabled().any(serves_without_own);
    let own = Hint::Command { token: None, remark: own_remark(auth) };
    if !auth.is_required() {
        let placeholder = Hint::Command { token: Some(PLACEHOLDER), remark: "" };
        return [(passes_through, own), (serves_without_own, placeholder)]
            .into_iter()
            .filter_map(|(works, hint)| works.then_some(hint))
            .collect();
    }
    let serves_subscription = passes_through
        || config.server.subscription_may_use_keys()
        || enabled().any(|provider| provider.kind.needs_no_credential());
    let key = Hint::Command { token: Some(client_key(auth)), remark: "" };
    let mut hints = Vec::new();
    hints.extend((auth.has_keys() && serves_without_own).then_some(key));
    hints.extend((auth.allow_subscription && serves_subscription).then_some(own));
    if hints.is_empty() {
        hints.push(Hint::Unusable(if auth.has_keys() { ONLY_PASS_THROUGH } else { ONLY_KEYS }));
    }
    hints
}

/// Returns `true` if the provider can serve a client that sends no credential for an upstream.
fn serves_without_own(provider: &ProviderConfig) -> bool {
    !provider.kind.passes_through() || !provider.keys.is_empty()
}

/// Returns the description of a key that admits a client. The loader names the key of `api_key` `default`.
fn client_key(auth: &ClientAuth) -> &'static str {
    match auth.keys.as_slice() {
        [] => "<server.auth.bearer_secret>",
        [only] if only.name == "default" => "<server.auth.api_key>",
        _ => "<one of server.auth.api_keys>",
    }
}

fn own_remark(auth: &ClientAuth) -> &'static str {
    match auth.is_required() {
        true => " (with your own Claude subscription)",
        false => " (with your own Claude login or ANTHROPIC_API_KEY)",
    }
}
