//! The state of the relay.

use relay_routing::{KeyState, LimitLevel, ModelTime, RestingModel};
use relay_server::{ProviderState, RelayState};
use serde::Serialize;
use utoipa::ToSchema;

use super::millis;

/// The state of the relay.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct StateBody {
    /// The version of cc-relay.
    pub version: &'static str,
    /// The configuration in use.
    pub configuration: ConfigurationBody,
    /// True once a shutdown has begun.
    pub is_draining: bool,
    /// True if the relay accepts requests and some provider may answer one.
    pub is_ready: bool,
    /// The start of the process.
    pub started_unix_ms: u64,
    /// The time of this answer.
    pub now_unix_ms: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Sessions with a turn that is remembered.
    pub sessions: u64,
    /// The warnings of the configuration, and of parts that do not work.
    pub warnings: Vec<String>,
    /// The usage ledger.
    pub ledger: LedgerBody,
    /// A shell command that starts Claude Code with this relay; null if no client can be served.
    pub client_command: Option<String>,
    /// The providers in the order of the configuration, disabled ones included.
    pub providers: Vec<ProviderBody>,
}

/// The configuration that the relay uses.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ConfigurationBody {
    /// The number of the configuration: 1 for the first one, and 1 more after each reload.
    pub generation: u64,
    /// The time at which the relay began to use it.
    pub since_unix_ms: u64,
}

/// The state of the usage ledger.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[non_exhaustive]
pub struct LedgerBody {
    /// True if the ledger records requests.
    pub enabled: bool,
    /// Records that were dropped, since the queue was full or the database failed.
    pub dropped: u64,
    /// The reason for which the ledger does not record.
    pub error: Option<String>,
}

/// The state of one provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ProviderBody {
    /// The name in the configuration.
    pub name: String,
    /// The type in the configuration.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// True if the configuration enables the provider. A disabled one has no keys and no circuit.
    pub is_enabled: bool,
    /// True if an operator has paused the provider: it gets no requests.
    pub is_paused: bool,
    /// `closed`, `open` or `half-open`; null if the provider is disabled.
    pub circuit: Option<&'static str>,
    /// The time since the circuit changed its state; null if it has been closed from the start.
    pub circuit_since_ms: Option<u64>,
    /// The time until an open circuit admits a request; null if it admits one now.
    pub circuit_wait_ms: Option<u64>,
    /// The reason for which the circuit opened last; null if it is closed.
    pub open_reason: Option<String>,
    /// Requests under way.
    pub in_flight: u32,
    /// The reason for which no request can succeed at the provider now.
    pub unusable: Option<String>,
    /// The failure of the last attempt; null if it did not fail.
    pub last_failure: Option<String>,
    /// The models that rest at the provider.
    pub resting_models: Vec<RestingModelBody>,
    /// The average times to the first content of an answer, if the strategy compares them.
    pub content_times: Vec<ContentTimeBody>,
    /// The credentials, in the order in which they are tried.
    pub keys: Vec<KeyBody>,
}

/// A model that is not requested at a provider for a time.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct RestingModelBody {
    /// The client's name of the model.
    pub model: String,
    /// The reason.
    pub reason: String,
    /// The time until the expected end.
    pub remaining_ms: u64,
}

/// The average time to the first content of a model's answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ContentTimeBody {
    /// The client's name of the model.
    pub model: String,
    /// True for streamed answers.
    pub is_stream: bool,
    /// The average, in which recent answers have more influence.
    pub average_ms: u64,
}

/// The state of one credential of a provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct KeyBody {
    /// The name of the key, or its short id; `client` for the client's own credential, `none` without one.
    pub credential: String,
    /// True if the upstream has recently rejected the credential or its account.
    pub is_rejected: bool,
    /// True if an operator drains the key: it gets no further requests.
    pub is_drained: bool,
    /// The remaining cooldown after a limit; null if none is running.
    pub cooldown_ms: Option<u64>,
    /// The limits that are known, configured or learned.
    pub limits: Vec<LimitBody>,
}

/// One limit of a key.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct LimitBody {
    /// `requests`, `tokens`, `input_tokens` or `output_tokens`.
    pub name: &'static str,
    /// The amount per minute.
    pub per_minute: u64,
    /// The amount that is left now.
    pub remaining: u64,
    /// True if the configuration states the limit, false if it was learned from responses.
    pub is_configured: bool,
}

/// The facts about the process beside the relay's own state.
pub(crate) struct ProcessFacts {
    pub(crate) started_unix_ms: u64,
    pub(crate) now_unix_ms: u64,
    pub(crate) in_flight: u64,
    pub(crate) sessions: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) ledger: LedgerBody,
    pub(crate) client_command: Option<String>,
}

impl StateBody {
    pub(crate) fn new(relay: RelayState, process: ProcessFacts) -> Self {
        let configuration = ConfigurationBody {
            generation: relay.configuration.generation,
            since_unix_ms: relay.configuration.since_unix_ms,
        };
        Self {
            version: relay.version,
            configuration,
            is_draining: relay.is_draining,
            is_ready: relay.is_ready,
            started_unix_ms: process.started_unix_ms,
            now_unix_ms: process.now_unix_ms,
            in_flight: process.in_flight,
            sessions: process.sessions,
            warnings: process.warnings,
            ledger: process.ledger,
            client_command: process.client_command,
            providers: relay.providers.into_iter().map(ProviderBody::from).collect(),
        }
    }
}

impl From<ProviderState> for ProviderBody {
    fn from(provider: ProviderState) -> Self {
        let ProviderState { name, kind, is_enabled, pool, .. } = provider;
        let Some(pool) = pool else { return Self::without_pool(name, kind, is_enabled) };
        Self {
            name,
            kind,
            is_enabled,
            is_paused: pool.is_paused,
            circuit: Some(pool.circuit.as_str()),
            circuit_since_ms: pool.circuit_since.map(millis),
            circuit_wait_ms: pool.circuit_wait.map(millis),
            open_reason: pool.open_reason,
            in_flight: pool.in_flight,
            unusable: pool.unusable,
            last_failure: pool.last_failure,
            resting_models: pool.resting_models.into_iter().map(RestingModelBody::from).collect(),
            content_times: pool.content_times.into_iter().map(ContentTimeBody::from).collect(),
            keys: pool.keys.into_iter().map(KeyBody::from).collect(),
        }
    }
}

impl ProviderBody {
    /// Creates the state of a provider that the configuration disables.
    fn without_pool(name: String, kind: &'static str, is_enabled: bool) -> Self {
        Self {
            name,
            kind,
            is_enabled,
            is_paused: false,
            circuit: None,
            circuit_since_ms: None,
            circuit_wait_ms: None,
            open_reason: None,
            in_flight: 0,
            unusable: Some("the configuration disables it".to_owned()),
            last_failure: None,
            resting_models: Vec::new(),
            content_times: Vec::new(),
            keys: Vec::new(),
        }
    }
}

impl From<RestingModel> for RestingModelBody {
    fn from(model: RestingModel) -> Self {
        Self { model: model.model, reason: model.reason, remaining_ms: millis(model.remaining) }
    }
}

impl From<ModelTime> for ContentTimeBody {
    fn from(time: ModelTime) -> Self {
        Self { model: time.model, is_stream: time.is_stream, average_ms: millis(time.average) }
    }
}

impl From<KeyState> for KeyBody {
    fn from(key: KeyState) -> Self {
        Self {
            credential: key.credential,
            is_rejected: key.is_rejected,
            is_drained: key.is_drained,
            cooldown_ms: key.cooldown.map(millis),
            limits: key.limits.into_iter().map(LimitBody::from).collect(),
        }
    }
}

impl From<LimitLevel> for LimitBody {
    fn from(limit: LimitLevel) -> Self {
        let LimitLevel { name, per_minute, remaining, is_configured, .. } = limit;
        Self { name, per_minute, remaining, is_configured }
    }
}
