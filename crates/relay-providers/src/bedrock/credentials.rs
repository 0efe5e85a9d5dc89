//! AWS credentials, loaded once for all callers and refreshed before they expire.
//!
//! ```text
//!   fresh ── served
//!  ageing ── served, and refreshed behind it      one load at a time
//! nothing ── loaded; further callers wait         for all callers
//! ```
//! The one task there is belongs to the cache and ends with it.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use relay_messages::error_sources;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::BoxError;

/// Credentials are refreshed this long before they end: what botocore calls mandatory is ten minutes, and AWS's services
/// give new ones at least five minutes ahead.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// The time limit of a load: a `credential_process` may never end by itself.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which a failure is returned to all callers, above all to those that waited for it.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
/// Between two refreshes of credentials that are still valid: a source may give the same ones for a while.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);
/// Refusals that come so soon after a renewal are of the credentials before it.
const RENEWAL_HOLDS: Duration = Duration::from_secs(5);

/// A source of credentials.
pub(super) trait Source: Send + Sync + 'static {
    /// Asks for credentials anew.
    fn load(&self) -> impl Future<Output = Result<Credentials, BoxError>> + Send;
}

/// An error while loading credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// With every cause in one line: each way of the chain has its own, and the last one alone would tell nothing.
    #[error("no AWS credentials could be loaded: {}", in_one_line(&**.0))]
    Source(BoxError),
    #[error("AWS credentials could not be loaded within {} s", LOAD_TIMEOUT.as_secs())]
    Timeout,
    #[error("the AWS credentials that were found have expired")]
    Expired,
}

fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::once(error).chain(error_sources(error));
    // The chain's own account of itself has a line for each way.
    let in_one_line =
        |cause: &(dyn Error + 'static)| cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    causes.map(in_one_line).collect::<Vec<_>>().join(": ")
}

/// Credentials of one source.
#[derive(Debug)]
pub(super) struct Cache<S> {
    shared: Arc<Shared<S>>,
    /// The refresh that is under way, if any.
    refresh: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared<S> {
    source: S,
    state: Mutex<State>,
    /// Locked by the caller that loads.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Credentials>,
    /// The end of the last load.
    tried: Option<Instant>,
    failure: Option<Arc<LoadError>>,
    /// The last renewal, and whether it brought other credentials.
    renewal: Option<(Instant, bool)>,
}

/// The credentials that the cache holds, by their remaining lifetime.
enum Held {
    Fresh(Credentials),
    Ageing(Credentials),
    Nothing,
}

impl<S: Source> Cache<S> {
    /// An empty cache. Loads nothing yet.
    pub(super) fn new(source: S) -> Self {
        let shared = Shared { source, state: Mutex::default(), turn: Arc::default() };
        Self { shared: Arc::new(shared), refresh: Mutex::default() }
    }

    /// Credentials that are valid at `now`.
    pub(super) async fn get(&self, now: SystemTime) -> Result<Credentials, Arc<LoadError>> {
        match self.shared.held(now) {
            Held::Fresh(credentials) => Ok(credentials),
            Held::Ageing(credentials) => {
                self.refresh();
                Ok(credentials)
            }
            Held::Nothing => self.shared.load_in_turn(now).await,
        }
    }

    /// Loads credentials in the place of refused ones; says whether others are there now.
    pub(super) async fn renew(&self) -> bool {
        let asked = Instant::now();
        let _turn = self.shared.turn.lock().await;
        let renewal = lock(&self.shared.state).renewal;
        if let Some((at, changed)) = renewal
            && at + RENEWAL_HOLDS > asked
        {
            return changed;
        }
        let before = lock(&self.shared.state).current.clone();
        let changed = self.shared.load().await.is_ok_and(|loaded| Some(loaded) != before);
        lock(&self.shared.state).renewal = Some((Instant::now(), changed));
        changed
    }

    /// Starts a load, unless one is running or has just ended.
    fn refresh(&self) {
        let Ok(turn) = Arc::clone(&self.shared.turn).try_lock_owned() else { return };
        let tried = lock(&self.shared.state).tried;
        if tried.is_some_and(|at| at.elapsed() < REFRESH_PAUSE) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut tasks = lock(&self.refresh);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _turn = turn;
            if let Err(error) = shared.load().await {
                tracing::warn!(%error, "AWS credentials could not be refreshed; the old ones are still valid");
            }
        });
    }
}

impl<S: Source> Shared<S> {
    fn held(&self, now: SystemTime) -> Held {
        let Some(credentials) = lock(&self.state).current.clone() else { return Held::Nothing };
        match credentials.expiry() {
            None => Held::Fresh(credentials),
            Some(expiry) if expiry > now + AHEAD => Held::Fresh(credentials),
            Some(expiry) if expiry > now => Held::Ageing(credentials),
            Some(_) => Held::Nothing,
        }
    }

    async fn load_in_turn(&self, now: SystemTime) -> Result<Credentials, Arc<LoadError>> {
        let _turn = self.turn.lock().await;
        if let Held::Fresh(credentials) | Held::Ageing(credentials) = self.held(now) {
            return Ok(credentials);
        }
        {
            let state = lock(&self.state);
            if let Some(failure) = &state.failure
                && state.tried.is_some_and(|at| at.elapsed() < FAILURE_HOLDS)
            {
                return Err(Arc::clone(failure));
            }
        }
        let loaded = self.load().await?;
        match loaded.expiry().is_some_and(|expiry| expiry <= now) {
            true => Err(self.fail(LoadError::Expired)),
            false => Ok(loaded),
        }
    }

    /// Asks the source. The caller holds the turn.
    async fn load(&self) -> Result<Credentials, Arc<LoadError>> {
        match tokio::time::timeout(LOAD_TIMEOUT, self.source.load()).await {
            Err(_) => Err(self.fail(LoadError::Timeout)),
            Ok(Err(error)) => Err(self.fail(LoadError::Source(error))),
            Ok(Ok(loaded)) => {
                let mut state = lock(&self.state);
                state.tried = Some(Instant::now());
                state.failure = None;
                state.current = Some(loaded.clone());
                Ok(loaded)
            }
        }
    }

    fn fail(&self, error: LoadError) -> Arc<LoadError> {
        let error = Arc::new(error);
        let mut state = lock(&self.state);
        state.tried = Some(Instant::now());
        state.failure = Some(Arc::clone(&error));
        error
    }
}

/// Nothing panics while it holds one of these locks; if it did, what they guard would be whole all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A time to count from; nothing here reads the clock.
    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
    }

    /// Gives `key-1`, `key-2`, …, each once the test lets it, all valid for `valid` from the start on.
    struct Scripted {
        valid: Option<Duration>,
        calls: Arc<AtomicUsize>,
        open: Arc<Semaphore>,
        /// Calls that fail, counted from 1.
        failing: &'static [usize],
    }

    impl Source for Scripted {
        async fn load(&self) -> Result<Credentials, BoxError> {
            let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            self.open.acquire().await.unwrap().forget();
            if self.failing.contains(&call) {
                return Err("the source is out of order".into());
            }
            let end = self.valid.map(|valid| start() + valid);
            Ok(Credentials::new(format!("key-{call}"), "secret", None, end, "test"))
        }
    }

    struct Test {
        cache: Arc<Cache<Scripted>>,
        calls: Arc<AtomicUsize>,
        open: Arc<Semaphore>,
    }

    fn test(valid: Option<Duration>, failing: &'static [usize]) -> Test {
        let (calls, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let source = Scripted { valid, calls: Arc::clone(&calls), open: Arc::clone(&open), failing };
        Test { cache: Arc::new(Cache::new(source)), calls, open }
    }

    impl Test {
        async fn key(&self, after: Duration) -> String {
            self.cache.get(start() + after).await.unwrap().access_key_id().to_owned()
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::Relaxed)
        }

        /// Lets other tasks run until they wait for something.
        async fn settle(&self) {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn an_error_of_many_lines_is_told_in_one() {
        let error = LoadError::Source(
            "no credentials in chain. Attempted:\n  Environment: not set\n  Profile".into(),
        );
        assert_eq!(
            error.to_string(),
            "no AWS credentials could be loaded: no credentials in chain. Attempted: Environment: not set Profile"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_load() {
        let test = test(Some(HOUR), &[]);
        let mut asking = JoinSet::new();
        for _ in 0..100 {
            let cache = Arc::clone(&test.cache);
            asking.spawn(async move { cache.get(start()).await.unwrap().access_key_id().to_owned() });
        }
        test.settle().await;
        assert_eq!(test.calls(), 1);
        test.open.add_permits(100);
        assert!(asking.join_all().await.iter().all(|key| key == "key-1"));
        assert_eq!(test.key(HOUR - AHEAD - Duration::from_secs(1)).await, "key-1");
        assert_eq!(test.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_whose_caller_leaves_is_taken_up_by_the_next() {
        let test = test(None, &[]);
        let cache = Arc::clone(&test.cache);
        let leaving = tokio::spawn(async move { cache.get(start()).await.map(|_| ()) });
        test.settle().await;
        leaving.abort();
        test.open.add_permits(1);
        assert_eq!(test.key(Duration::ZERO).await, "key-2");
    }

    #[tokio::test(start_paused = true)]
    async fn ageing_credentials_are_served_while_one_refresh_is_under_way() {
        let test = test(Some(HOUR), &[]);
        test.open.add_permits(1);
        assert_eq!(test.key(Duration::ZERO).await, "key-1");
        tokio::time::advance(HOUR - AHEAD).await;
        for _ in 0..10 {
            assert_eq!(test.key(HOUR - AHEAD).await, "key-1");
            test.settle().await;
        }
        assert_eq!(test.calls(), 2);
        test.open.add_permits(1);
        test.settle().await;
        assert_eq!(test.key(HOUR - AHEAD).await, "key-2");
        // The source still gives the same end: it is left alone for a while.
        test.settle().await;
        assert_eq!(test.calls(), 2);
        tokio::time::advance(REFRESH_PAUSE).await;
        test.key(HOUR - AHEAD).await;
        test.settle().await;
        assert_eq!(test.calls(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_ends_with_its_cache() {
        let test = test(Some(AHEAD), &[]);
        test.open.add_permits(1);
        test.key(Duration::ZERO).await;
        tokio::time::advance(REFRESH_PAUSE).await;
        test.key(Duration::ZERO).await;
        test.settle().await;
        assert_eq!(test.calls(), 2);
        let Test { cache, open, .. } = test;
        assert_eq!(Arc::strong_count(&open), 2);
        drop(cache);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&open), 1, "no caller waits for the source any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_fails_leaves_valid_credentials_in_use_until_they_end() {
        let test = test(Some(HOUR), &[2, 3]);
        test.open.add_permits(10);
        test.key(Duration::ZERO).await;
        tokio::time::advance(HOUR - AHEAD).await;
        test.key(HOUR - AHEAD).await;
        test.settle().await;
        assert_eq!(test.key(HOUR - Duration::from_secs(1)).await, "key-1");
        tokio::time::advance(AHEAD).await;
        let error = test.cache.get(start() + HOUR).await.unwrap_err();
        assert_eq!(error.to_string(), "no AWS credentials could be loaded: the source is out of order");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_answers_those_who_waited_for_it_and_is_tried_again_later() {
        let test = test(None, &[1]);
        test.open.add_permits(10);
        let all =
            (0..10).map(|_| Arc::clone(&test.cache)).map(|cache| async move { cache.get(start()).await });
        for result in JoinSet::from_iter(all).join_all().await {
            assert!(matches!(*result.unwrap_err(), LoadError::Source(_)));
        }
        assert_eq!(test.calls(), 1);
        tokio::time::advance(FAILURE_HOLDS).await;
        assert_eq!(test.key(Duration::ZERO).await, "key-2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_is_given_up_and_one_that_gives_old_credentials_is_not_believed() {
        let hanging = test(None, &[]);
        assert!(matches!(*hanging.cache.get(start()).await.unwrap_err(), LoadError::Timeout));
        let old = test(Some(HOUR), &[]);
        old.open.add_permits(1);
        assert!(matches!(*old.cache.get(start() + HOUR).await.unwrap_err(), LoadError::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_renewed_once_for_all_that_were_refused() {
        let test = test(None, &[]);
        test.open.add_permits(10);
        test.key(Duration::ZERO).await;
        let all = (0..10).map(|_| Arc::clone(&test.cache)).map(|cache| async move { cache.renew().await });
        assert_eq!(JoinSet::from_iter(all).join_all().await, [true; 10]);
        assert_eq!((test.calls(), test.key(Duration::ZERO).await), (2, "key-2".to_owned()));
        tokio::time::advance(RENEWAL_HOLDS).await;
        assert!(test.cache.renew().await);
        assert_eq!(test.calls(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_is_no_reason_to_ask_again() {
        let test = test(None, &[2]);
        test.open.add_permits(10);
        test.key(Duration::ZERO).await;
        assert!(!test.cache.renew().await);
        assert!(!test.cache.renew().await);
        assert_eq!(test.calls(), 2);
    }
}
