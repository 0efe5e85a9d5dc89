//! What upstreams list of their models, asked when somebody wants to know and kept for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relay_config::ProviderName;
use relay_providers::{ClientCredential, ListedModel, Listing};
use tokio::sync::watch;
use tokio::time::Instant;

/// Claude Code gives `GET /v1/models` 3 s.
const WAIT: Duration = Duration::from_secs(2);
/// An upstream may take longer for the next one to find its list.
const FETCH: Duration = Duration::from_secs(30);
const FRESH: Duration = Duration::from_secs(5 * 60);
/// An upstream that is not there is not waited for by each who asks.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

type Models = Arc<[ListedModel]>;

/// The models of one provider, as its upstream lists them. Cloning shares what is known.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    provider: ProviderName,
    listing: Listing,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The last list that came; none before the first one.
    models: Option<Models>,
    /// When the upstream is asked again.
    due: Option<Instant>,
    /// Ends with the fetch that is under way.
    fetching: Option<watch::Receiver<()>>,
}

impl Discovery {
    pub(crate) fn new(provider: ProviderName, listing: Listing) -> Self {
        let state = State { models: None, due: None, fetching: None };
        Self { provider, listing, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn provider(&self) -> &ProviderName {
        &self.provider
    }

    /// The list, within two seconds: a known one at once, though it may be renewed meanwhile. Empty where none has come.
    pub(crate) async fn models(&self, client: Option<&ClientCredential>) -> Models {
        if self.listing.is_personal() {
            // Nobody else may see it, so that it is not kept.
            let Some(client) = client else { return Arc::default() };
            return match tokio::time::timeout(WAIT, self.listing.fetch(Some(client))).await {
                Ok(Ok(models)) => models.into(),
                _ => Arc::default(),
            };
        }
        let (known, fetching) = self.look();
        if let (None, Some(mut fetching)) = (&known, fetching) {
            // An error says that the fetch has ended, as does the time.
            let _ = tokio::time::timeout(WAIT, fetching.changed()).await;
            return self.state().models.clone().unwrap_or_default();
        }
        known.unwrap_or_default()
    }

    /// What is known, and the fetch that is under way: one is begun if it is time for it.
    fn look(&self) -> (Option<Models>, Option<watch::Receiver<()>>) {
        let mut state = self.state();
        if state.fetching.is_none() && state.due.is_none_or(|due| due <= Instant::now()) {
            let (done, fetching) = watch::channel(());
            state.fetching = Some(fetching);
            // It outlives the request that has caused it: others wait for it as well, or come next.
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
            Ok(Err(error)) => self.fails(&error),
            Err(late) => self.fails(&late),
        };
        state.due = Some(Instant::now() + wait);
        state.fetching = None;
        drop(done);
    }

    fn fails(&self, error: &dyn std::error::Error) -> Duration {
        tracing::warn!(provider = %self.provider, %error, "a provider's models cannot be listed");
        AFTER_FAILURE
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
