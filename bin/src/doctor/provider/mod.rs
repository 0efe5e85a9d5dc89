//! The checks of one provider.

mod clock;
mod connection;
mod context;
mod credential;
mod model;
mod send;

use relay_config::{Config, ProviderConfig, ProviderKind};
use relay_messages::ErrorChain;
use relay_server::Relay;
use relay_server::check::ProviderCheck;

pub(super) use self::context::Context;
use super::check::{Check, Group, Mark};
use crate::compose;

/// Checks the provider by a relay that has no other one.
pub(super) async fn check(context: &Context, provider: &ProviderConfig) -> Group {
    let (detail, checks) = match compose::relay(alone(&context.config, provider), None, None) {
        Err(error) => {
            let text = ErrorChain(&error).to_string();
            (None, vec![Check::fail("settings", text, "change the setting that the message names")])
        }
        Ok(relay) => match relay.check(provider.name.as_str(), context.limit).await {
            None => (None, Vec::new()),
            Some(found) => {
                let checks = made(context, provider, &relay, &found).await;
                (found.url, checks)
            }
        },
    };
    let kind = provider.kind.as_str();
    let detail = detail.map_or_else(|| kind.to_owned(), |url| format!("{kind}, {url}"));
    Group { name: "provider", provider: Some(provider.name.to_string()), detail, checks }
}

/// Returns a configuration in which `provider` is the only one, without failover, and serves every client.
fn alone(config: &Config, provider: &ProviderConfig) -> Config {
    let mut alone = Config::new([provider.clone()]);
    alone.routing.restore_model_name = config.routing.restore_model_name;
    alone.routing.max_attempts = std::num::NonZeroU32::MIN;
    alone.server.timeout = config.server.timeout;
    alone
}

async fn made(
    context: &Context,
    provider: &ProviderConfig,
    relay: &Relay,
    found: &ProviderCheck,
) -> Vec<Check> {
    if matches!(provider.kind, ProviderKind::Mock) {
        let mut checks = vec![Check::ok("connection", "built in: there is no upstream")];
        checks.extend(send::check(context, provider, relay, found).await);
        return checks;
    }
    let mut checks = connection::checks(provider, found);
    let is_connected = !checks.iter().any(|check| check.mark == Mark::Fail);
    checks.push(clock::check(provider, found));
    checks.extend(credential::checks(context, provider, found, is_connected));
    checks.extend(model::checks(provider, found));
    match is_connected {
        true => checks.extend(send::check(context, provider, relay, found).await),
        false if context.sends => checks.push(Check::skip("request", "not sent without a connection")),
        false => {}
    }
    checks
}
