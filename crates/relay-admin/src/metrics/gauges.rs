//! Gauges of the state of a relay, at the time of the scrape.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use relay_routing::{CircuitState, KeyState, LimitLevel, PoolState};
use relay_server::{ProviderState, RelayState};

use super::encode::{NO_LABELS, family, gauge};

/// The state of a relay.
#[derive(Debug)]
pub(super) struct StateGauges(pub(super) RelayState);

/// The states of a circuit, each a value of the label `state`.
const CIRCUIT_STATES: [CircuitState; 3] = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];

type ProviderLabels<'a> = [(&'static str, &'a str); 1];
type KeyLabels<'a> = [(&'static str, &'a str); 2];
type LimitLabels<'a> = [(&'static str, &'a str); 3];

impl Collector for StateGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_relay(&mut encoder)?;
        self.encode_providers(&mut encoder)?;
        self.encode_circuits(&mut encoder)?;
        self.encode_keys(&mut encoder)
    }
}

impl StateGauges {
    fn encode_relay(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self(state) = self;
        let labels =
            [("version", state.version), ("os", std::env::consts::OS), ("arch", std::env::consts::ARCH)];
        family(e, ("build", "The program", None), MetricType::Info, [()], |encoder, ()| {
            encoder.encode_info(&labels)
        })?;
        gauge(
            e,
            "ready",
            "1 if some provider may answer a request",
            None,
            &[(NO_LABELS, u32::from(state.is_ready))],
        )?;
        gauge(
            e,
            "draining",
            "1 once a shutdown has begun",
            None,
            &[(NO_LABELS, u32::from(state.is_draining))],
        )?;
        let configuration = &state.configuration;
        let help = "The number of the configuration in use: 1 more after each reload";
        gauge(e, "config_generation", help, None, &[(NO_LABELS, configuration.generation)])?;
        let since = Duration::from_millis(configuration.since_unix_ms).as_secs_f64();
        let help = "The time at which the configuration came into use, since the Unix epoch";
        gauge(e, "config_loaded_timestamp", help, Some(&Unit::Seconds), &[(NO_LABELS, since)])
    }

    fn encode_providers(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "The type of a provider";
        family(e, ("provider", help, None), MetricType::Info, &self.0.providers, |encoder, provider| {
            encoder.encode_info(&[("provider", provider.name.as_str()), ("type", provider.kind)])
        })?;
        let enabled: Vec<_> =
            self.0.providers.iter().map(|provider| (of(provider), u32::from(provider.is_enabled))).collect();
        gauge(e, "provider_enabled", "1 if the configuration enables the provider", None, &enabled)?;
        let usable = self.pools(|pool| u32::from(pool.unusable.is_none()));
        gauge(
            e,
            "provider_usable",
            "1 if some candidate of the provider may serve a request",
            None,
            &usable,
        )?;
        let paused = self.pools(|pool| u32::from(pool.is_paused));
        gauge(e, "provider_paused", "1 if an operator has paused the provider", None, &paused)?;
        let in_flight = self.pools(|pool| pool.in_flight);
        let help = "Attempts at the provider whose answers have not ended";
        gauge(e, "provider_in_flight_requests", help, None, &in_flight)?;
        let resting = self.pools(|pool| pool.resting_models.len());
        gauge(
            e,
            "provider_resting_models",
            "Models that the provider is not called for at present",
            None,
            &resting,
        )
    }

    fn encode_circuits(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let states = self.pools(|pool| pool.circuit).into_iter().flat_map(|([(_, provider)], circuit)| {
            CIRCUIT_STATES.map(|state| {
                let labels: KeyLabels<'_> = [("provider", provider), ("state", state.as_str())];
                (labels, u32::from(circuit == state))
            })
        });
        let help = "1 for the state of the provider's circuit breaker, 0 for the other states";
        gauge(e, "circuit_state", help, None, &states.collect::<Vec<_>>())?;
        let wait = self.pools(|pool| pool.circuit_wait.unwrap_or_default().as_secs_f64());
        let help = "The time until an open circuit admits a request; 0 if it admits one now";
        gauge(e, "circuit_wait", help, Some(&Unit::Seconds), &wait)
    }

    fn encode_keys(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let rejected = self.keys(|key| u32::from(key.is_rejected));
        gauge(
            e,
            "key_rejected",
            "1 if the upstream has recently rejected the key or its account",
            None,
            &rejected,
        )?;
        let drained = self.keys(|key| u32::from(key.is_drained));
        gauge(e, "key_drained", "1 if an operator has drained the key", None, &drained)?;
        let cooldown = self.keys(|key| key.cooldown.unwrap_or_default().as_secs_f64());
        let help = "The remaining cooldown of a key after a limit; 0 if none is running";
        gauge(e, "key_cooldown", help, Some(&Unit::Seconds), &cooldown)?;
        let limits = self.limits(|limit| limit.per_minute);
        gauge(
            e,
            "key_limit",
            "Amount per minute that a key may use: configured, or learned from responses",
            None,
            &limits,
        )?;
        let remaining = self.limits(|limit| limit.remaining);
        gauge(e, "key_limit_remaining", "Amount of a limit that a key has left at present", None, &remaining)
    }

    fn pools<V>(&self, value: impl Fn(&PoolState) -> V) -> Vec<(ProviderLabels<'_>, V)> {
        let pools =
            self.0.providers.iter().filter_map(|provider| Some((of(provider), provider.pool.as_ref()?)));
        pools.map(|(labels, pool)| (labels, value(pool))).collect()
    }

    fn keys<V>(&self, value: impl Fn(&KeyState) -> V) -> Vec<(KeyLabels<'_>, V)> {
        let pools =
            self.0.providers.iter().filter_map(|provider| Some((&*provider.name, provider.pool.as_ref()?)));
        let keys = pools.flat_map(|(provider, pool)| pool.keys.iter().map(move |key| (provider, key)));
        keys.map(|(provider, key)| ([("provider", provider), ("key", &*key.credential)], value(key)))
            .collect()
    }

    fn limits(&self, value: impl Fn(&LimitLevel) -> u64) -> Vec<(LimitLabels<'_>, u64)> {
        let levels = self.keys(|_| ()).into_iter().map(|(labels, ())| labels);
        let pools = self.0.providers.iter().filter_map(|provider| provider.pool.as_ref());
        let keys = levels.zip(pools.flat_map(|pool| &pool.keys));
        let limits = keys.flat_map(|([provider, key], state)| {
            state.limits.iter().map(move |limit| ([provider, key, ("limit", limit.name)], limit))
        });
        limits.map(|(labels, limit)| (labels, value(limit))).collect()
    }
}

fn of(provider: &ProviderState) -> ProviderLabels<'_> {
    [("provider", &provider.name)]
}
