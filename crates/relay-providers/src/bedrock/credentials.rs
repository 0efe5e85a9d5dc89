//! Loads AWS credentials as a source for the [`CredentialCache`].

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use relay_messages::error_sources;
use relay_transport::{CacheTimes, CredentialCache, CredentialSource, Interrupted, Loaded};
use tower::BoxError;

/// The time before the expiry of credentials at which they are refreshed. botocore calls a refresh mandatory ten minutes
/// before, and AWS's services return new credentials at least five minutes before.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// The time limit of a load, since a `credential_process` may never end.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a failed load, during which its error is returned.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
/// The time between two refreshes of credentials that are still valid. A source may return the same ones for a while.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);
/// The time after a renewal during which a refusal is about the credentials before it.
const RENEWAL_HOLDS: Duration = Duration::from_secs(5);

/// The cache of the credentials of `S`.
pub(super) type AwsCache<S> = CredentialCache<AwsSource<S>>;

/// Loads AWS credentials.
pub(super) trait Source: Send + Sync + 'static {
    /// Loads the current credentials.
    fn load(&self) -> impl Future<Output = Result<Credentials, BoxError>> + Send;
}

/// A [`Source`] for the cache.
#[derive(Debug)]
pub(super) struct AwsSource<S>(pub(super) S);

/// An error while loading credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The source failed. The message contains all causes, since each member of the provider chain has its own.
    #[error("no AWS credentials could be loaded: {}", in_one_line(&**.0))]
    Source(BoxError),
    #[error("AWS credentials could not be loaded within {} s", LOAD_TIMEOUT.as_secs())]
    Timeout,
    #[error("the AWS credentials that were found have expired")]
    Expired,
    #[error("the load of AWS credentials was abandoned")]
    Abandoned,
}

impl<S: Source> CredentialSource for AwsSource<S> {
    type Credential = Credentials;
    type Error = LoadError;

    const TIMES: CacheTimes = CacheTimes::new(LOAD_TIMEOUT, FAILURE_HOLDS)
        .with_between_refreshes(REFRESH_PAUSE)
        .with_after_refusal(RENEWAL_HOLDS);

    async fn load(&self, now: SystemTime) -> Result<Loaded<Credentials>, LoadError> {
        let credential = self.0.load().await.map_err(LoadError::Source)?;
        let ends_at = credential.expiry();
        if ends_at.is_some_and(|ends_at| ends_at <= now) {
            return Err(LoadError::Expired);
        }
        let refresh_at = ends_at.map(|ends_at| ends_at.checked_sub(AHEAD).unwrap_or(SystemTime::UNIX_EPOCH));
        Ok(Loaded::new(credential).with_refresh_at(refresh_at).with_ends_at(ends_at))
    }

    fn interrupted(reason: Interrupted) -> LoadError {
        match reason {
            Interrupted::Timeout => LoadError::Timeout,
            _ => LoadError::Abandoned,
        }
    }

    fn log(error: &LoadError, is_refresh: bool) {
        if is_refresh {
            tracing::warn!(%error, "AWS credentials could not be refreshed; the old ones are still valid");
        }
    }
}

fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::once(error).chain(error_sources(error));
    // The message of the provider chain has a line for each of its members.
    let in_one_line =
        |cause: &(dyn Error + 'static)| cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    causes.map(in_one_line).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The time at which each test starts. No test reads the clock.
    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
    }

    /// Returns `key-1`, `key-2`, …, each when a permit of `open` allows it. All are valid until `valid` after the start.
    struct Scripted {
        valid: Option<Duration>,
        calls: Arc<AtomicUsize>,
        open: Arc<Semaphore>,
        /// The calls that fail, counted from 1.
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
        cache: Arc<AwsCache<Scripted>>,
        calls: Arc<AtomicUsize>,
        open: Arc<Semaphore>,
    }

    fn test(valid: Option<Duration>, failing: &'static [usize]) -> Test {
        let (calls, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let source = Scripted { valid, calls: Arc::clone(&calls), open: Arc::clone(&open), failing };
        Test { cache: Arc::new(AwsCache::new(AwsSource(source))), calls, open }
    }

    impl Test {
        async fn key(&self, after: Duration) -> String {
            self.cache.get(start() + after).await.unwrap().access_key_id().to_owned()
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::Relaxed)
        }

        /// Runs the other tasks until all of them wait.
        async fn settle(&self) {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn an_error_of_several_lines_is_written_in_one_line() {
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
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let cache = Arc::clone(&test.cache);
            callers.spawn(async move { cache.get(start()).await.unwrap().access_key_id().to_owned() });
        }
        test.settle().await;
        assert_eq!(test.calls(), 1);
        test.open.add_permits(100);
        assert!(callers.join_all().await.iter().all(|key| key == "key-1"));
        assert_eq!(test.key(HOUR - AHEAD - Duration::from_secs(1)).await, "key-1");
        assert_eq!(test.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_whose_caller_leaves_serves_the_next_caller() {
        let test = test(None, &[]);
        let cache = Arc::clone(&test.cache);
        let leaving = tokio::spawn(async move { cache.get(start()).await.map(|_| ()) });
        test.settle().await;
        leaving.abort();
        test.open.add_permits(1);
        assert_eq!((test.key(Duration::ZERO).await.as_str(), test.calls()), ("key-1", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn ageing_credentials_are_served_while_one_refresh_is_under_way() {
        let test = test(Some(HOUR), &[]);
        test.open.add_permits(1);
        assert_eq!(test.key(Duration::ZERO).await, "key-1");
        for _ in 0..10 {
            assert_eq!(test.key(HOUR - AHEAD).await, "key-1");
            test.settle().await;
        }
        assert_eq!(test.calls(), 2);
        test.open.add_permits(1);
        test.settle().await;
        assert_eq!(test.key(HOUR - AHEAD).await, "key-2");
        // The source still returns the same expiry, so it is not called again during the pause.
        test.settle().await;
        assert_eq!(test.calls(), 2);
        test.key(HOUR - AHEAD + REFRESH_PAUSE).await;
        test.settle().await;
        assert_eq!(test.calls(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_ends_with_its_cache() {
        let test = test(Some(AHEAD), &[]);
        test.open.add_permits(1);
        test.key(Duration::ZERO).await;
        test.key(REFRESH_PAUSE).await;
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
        test.key(HOUR - AHEAD).await;
        test.settle().await;
        assert_eq!(test.key(HOUR - Duration::from_secs(1)).await, "key-1");
        let error = test.cache.get(start() + HOUR).await.unwrap_err();
        assert_eq!(error.to_string(), "no AWS credentials could be loaded: the source is out of order");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_reaches_all_waiting_callers_and_the_load_is_repeated_after_a_pause() {
        let test = test(None, &[1]);
        test.open.add_permits(10);
        let all =
            (0..10).map(|_| Arc::clone(&test.cache)).map(|cache| async move { cache.get(start()).await });
        for result in JoinSet::from_iter(all).join_all().await {
            assert!(matches!(*result.unwrap_err(), LoadError::Source(_)));
        }
        assert_eq!(test.calls(), 1);
        assert_eq!(test.key(FAILURE_HOLDS).await, "key-2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_ends_at_its_time_limit_and_expired_credentials_are_refused() {
        let hanging = test(None, &[]);
        assert!(matches!(*hanging.cache.get(start()).await.unwrap_err(), LoadError::Timeout));
        let old = test(Some(HOUR), &[]);
        old.open.add_permits(1);
        assert!(matches!(*old.cache.get(start() + HOUR).await.unwrap_err(), LoadError::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_refusals_cause_one_renewal() {
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
    async fn a_failed_renewal_is_not_repeated_at_once() {
        let test = test(None, &[2]);
        test.open.add_permits(10);
        test.key(Duration::ZERO).await;
        assert!(!test.cache.renew().await);
        assert!(!test.cache.renew().await);
        assert_eq!(test.calls(), 2);
    }
}
