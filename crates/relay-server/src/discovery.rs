//! Fetches the model lists of upstreams on demand, and caches them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relay_config::ProviderName;
use relay_providers::{ClientCredential, ListedModel, Listing};
use tokio::sync::watch;
use tokio::time::Instant;

/// The longest time that a client waits for a list. Claude Code aborts `GET /v1/models` after 3 s.
const WAIT: Duration = Duration::from_secs(2);
/// The longest time of a fetch. It goes on after its client was answered, so that the next client finds the list.
const FETCH: Duration = Duration::from_secs(30);
/// The time after which a list is fetched again.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// The time after a failed fetch in which no other is started: not every client has to wait for an upstream that is down.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

type Models = Arc<[ListedModel]>;

/// The models of one provider, as its upstream lists them. Cloning shares the cache.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    provider: ProviderName,
    listing: Listing,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The last list that was fetched; `None` before the first.
    models: Option<Models>,
    /// The time of the next fetch; `None` before the first.
    due: Option<Instant>,
    /// Closed when the fetch in progress ends; `None` if there is none.
    fetching: Option<watch::Receiver<()>>,
}

impl Discovery {
    pub(crate) fn new(provider: ProviderName, listing: Listing) -> Self {
        let state = State { models: None, due: None, fetching: None };
        Self { provider, listing, state: Arc::new(Mutex::new(state)) }
    }

    /// Shares the list and the fetch in progress of `before`, the same upstream under an earlier configuration.
    pub(crate) fn inherit_state(&mut self, before: Option<&Self>) {
        if let Some(before) = before {
            self.state = Arc::clone(&before.state);
        }
    }

    pub(crate) fn provider(&self) -> &ProviderName {
        &self.provider
    }

    /// Returns the list within two seconds. A cached list is returned at once, even while it is fetched again. Without any
    /// list, the result is empty.
    pub(crate) async fn models(&self, client: Option<&ClientCredential>) -> Models {
        if self.listing.is_personal() {
            // Only this client may see the list, so it is not cached.
            let Some(client) = client else { return Arc::default() };
            return match tokio::time::timeout(WAIT, self.listing.fetch(Some(client))).await {
                Ok(Ok(models)) => models.into(),
                _ => Arc::default(),
            };
        }
        let (known, fetching) = self.known_or_fetching();
        if let (None, Some(mut fetching)) = (&known, fetching) {
            // An error means that the fetch has ended. After the timeout it goes on without this client.
            let _ = tokio::time::timeout(WAIT, fetching.changed()).await;
            return self.state().models.clone().unwrap_or_default();
        }
        known.unwrap_or_default()
    }

    /// Returns the cached list and the fetch in progress. Starts a fetch if one is due.
    fn known_or_fetching(&self) -> (Option<Models>, Option<watch::Receiver<()>>) {
        let mut state = self.state();
        if state.fetching.is_none() && state.due.is_none_or(|due| due <= Instant::now()) {
            let (done, fetching) = watch::channel(());
            state.fetching = Some(fetching);
            // The fetch outlives the request that started it: other requests wait for it, or use its result later.
            tokio::spawn(self.clone().fetch(done));
        }
        (state.models.clone(), state.fetching.clone())
    }

    async fn fetch(self, done: watch::Sender<()>) {
        let fetched = tokio::time::timeout(FETCH, self.listing.fetch(None)).await;
        let mut state = self.state();
        let wait = match fetched {
            Ok(Ok(models)) => {
                state.models = Some(models.into());
                FRESH
            }
            Ok(Err(error)) => self.failed(&error),
            Err(late) => self.failed(&late),
        };
        state.due = Some(Instant::now() + wait);
        state.fetching = None;
        drop(done);
    }

    fn failed(&self, error: &dyn std::error::Error) -> Duration {
        tracing::warn!(provider = %self.provider, %error, "cannot list the provider's models");
        AFTER_FAILURE
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
