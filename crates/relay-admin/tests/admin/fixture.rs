//! A relay with mock providers, and its admin API on a socket.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use relay_admin::api::{Admin, AdminParts, Reload};
use relay_admin::events::Events;
#[cfg(feature = "ledger")]
use relay_admin::ledger::{Ledger, LedgerSettings};
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_admin::observers::{LiveParts, ObserverParts};
use relay_admin::prices::{CurrentPrices, PriceTable};
use relay_admin::prompt_cache::PromptCache;
use relay_admin::recent::Recent;
use relay_config::{Config, Format, Loader, Secret};
use relay_server::{Relay, Reloadable};
use relay_tests::{Call, Response, within_limit};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// Two providers with names that need percent-encoding in a path, and a disabled one. The upstream of the first one, which has a
/// key, is another relay with a mock provider of the same name.
pub(crate) fn config() -> Value {
    json!({
        "providers": [
            {
                "name": "first",
                "type": "anthropic_compatible",
                "base_url": "http://first.invalid",
                "auth": "x-api-key",
                "forward_headers": ["x-cc-relay-mock"],
                "keys": [{"key": "secret-of-the-first-key", "name": "team/a%", "priority": 2, "rpm_limit": 600}]
            },
            {"name": "se/c%ond", "type": "mock"},
            {"name": "off", "type": "mock", "enabled": false}
        ],
        "server": {"auth": {"api_keys": [{"name": "laptop", "key": "key-of-the-laptop", "budget_usd": 5, "budget_period": "day"}]}},
        "health": {"circuit_breaker": {"failure_threshold": 1}}
    })
}

pub(crate) fn load(config: &Value) -> Config {
    Loader::new().with_text("test.yaml", Format::Yaml, config.to_string()).load().unwrap().config
}

/// A relay and its admin API, which ends with it.
pub(crate) struct Fixture {
    pub(crate) relay: Reloadable,
    pub(crate) address: SocketAddr,
    pub(crate) events: Events,
    /// The directory of the ledger.
    _directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<usize>,
}

#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) token: Option<&'static str>,
    pub(crate) reload: Option<fn(Reloadable) -> Arc<dyn Reload>>,
    pub(crate) without_ledger: bool,
    pub(crate) allowed_hosts: &'static [&'static str],
    /// The number of requests that are kept.
    pub(crate) capacity: Option<usize>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let config = load(&config());
        let mut observers = ObserverParts::new(CurrentPrices::new(PriceTable::new(&config).unwrap()));
        let mut live = LiveParts::default();
        (live.recent, live.events) = (Recent::new(settings.capacity.unwrap_or(1000)), Events::new(64));
        let metrics = MetricsSettings::default().with_backlog(observers.backlog.clone());
        observers.metrics = Some(Metrics::new(metrics));
        observers.prompt_cache = PromptCache::new(100);
        let directory = tempfile::tempdir().unwrap();
        #[cfg(feature = "ledger")]
        {
            let path = directory.path().join("usage.db");
            observers.ledger = Some(Ledger::open(LedgerSettings::new(path)).unwrap());
        }
        observers.live = Some(live.clone());
        let upstream = json!({"providers": [{"name": "first", "type": "mock"}]});
        let relay =
            Relay::builder(config).with_upstream("first", Relay::builder(load(&upstream)).build().unwrap());
        let relay = Reloadable::new(observers.attach(relay).build().unwrap());
        let LiveParts { recent, series, events, .. } = live;
        let mut parts = AdminParts::new(relay.clone(), recent, series, events.clone());
        parts.backlog = Some(observers.backlog);
        parts.metrics = observers.metrics;
        parts.budgets = Some(observers.budgets);
        parts.prompt_cache = Some(observers.prompt_cache);
        #[cfg(feature = "ledger")]
        {
            parts.ledger = observers.ledger.filter(|_| !settings.without_ledger);
        }
        parts.token = settings.token.map(Secret::new);
        parts.reload = settings.reload.map(|reload| reload(relay.clone()));
        let hosts = settings.allowed_hosts.iter().filter_map(|host| relay_config::HostName::parse(host));
        parts.server.allowed_hosts = hosts.collect();
        let listener = relay_server::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            // An error means that the test has ended.
            let _ = stopped.await;
        };
        let admin = Admin::new(parts);
        let serving =
            tokio::spawn(async move { relay_admin::serve::serve(vec![listener], admin, shutdown).await.cut });
        Self { relay, address, events, _directory: directory, stop: Some(stop), serving }
    }

    /// Stops the API, and returns the number of connections that were cut.
    pub(crate) async fn stop(mut self) -> usize {
        drop(self.stop.take());
        within_limit("the end of the admin API", &mut self.serving).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        Call::get(path).send(self.address).await
    }

    pub(crate) async fn post(&self, path: &str) -> Response {
        Call::post(path).send(self.address).await
    }

    /// Returns the JSON of an answer with status 200.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status, 200, "{path}: {:?}", response.body());
        response.json()
    }

    /// Sends a message to the relay, with faults of the mock providers, and returns the status.
    pub(crate) async fn message(&self, model: &str, fault: &str, client_id: &str) -> StatusCode {
        let body = format!(
            r#"{{"model":"{model}","max_tokens":8,"messages":[{{"role":"user","content":"Hello"}}]}}"#
        );
        let request = Request::post("/v1/messages")
            .header("x-api-key", "key-of-the-laptop")
            .header("x-cc-relay-mock", fault)
            .header("x-client-request-id", client_id)
            .header("x-claude-code-session-id", format!("session-{client_id}"))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = self.relay.clone().oneshot(request).await.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }

    /// Returns the providers as the relay lists them to its clients.
    pub(crate) async fn listed_providers(&self) -> Value {
        let request = Request::get("/v1/providers")
            .header("x-api-key", "key-of-the-laptop")
            .body(Full::<Bytes>::default());
        let response = self.relay.clone().oneshot(request.unwrap()).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}
