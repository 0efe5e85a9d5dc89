//! Tokens of OAuth and of metadata services: sources for a [`CredentialCache`](crate::CredentialCache).
//!
//! ```text
//! authorize ─now─▶ CredentialCache ─▶ the token that is valid
//!                       └─ one task at a time ─▶ TokenSource::mint ─TokenClient─▶ token endpoint
//! ```
//! The providers define the source and the type of a token.

mod client;
mod error;
mod secrets;

use std::error::Error;
use std::time::{Duration, SystemTime};

use relay_messages::ErrorChain;

pub use client::{TokenAnswer, TokenClient, bearer, check_url, form, read_file};
pub use error::TokenError;

use crate::credential_cache::{CacheTimes, CredentialSource, Interrupted, Loaded};

/// The time before a token's expiry at which it is renewed. The number is google-auth's: metadata servers return the same
/// token until five minutes before its end, so an earlier renewal would gain nothing.
const RENEW_AHEAD: Duration = Duration::from_secs(225);
/// The time before a token's expiry from which it is no longer used, since the request has to arrive in time.
const LAST_USE: Duration = Duration::from_secs(10);
/// The longest accepted lifetime. The longest in use is a day (Azure's managed identities).
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The time limit of a renewal, which has up to three requests.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The pause after a failed renewal, during which its error is returned.
const FAILURE_PAUSE: Duration = Duration::from_secs(3);
/// The shortest time between two replacements of a rejected token.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// A source of tokens with a lifetime. Every token source is a [`CredentialSource`].
pub trait TokenSource: Send + Sync + 'static {
    /// A token, with what else a request needs of its credentials.
    type Token: Clone + Send + Sync + 'static;

    /// The reason that there is no token.
    type Error: Error + From<TokenError> + Send + Sync + 'static;

    /// Requests a new token.
    fn mint(&self, now: SystemTime) -> impl Future<Output = Result<Minted<Self::Token>, Self::Error>> + Send;
}

/// A new token.
#[derive(Debug)]
#[non_exhaustive]
pub struct Minted<T> {
    /// The token.
    pub token: T,
    /// The lifetime, counted from the start of the request for the token.
    pub lifetime: Duration,
}

impl<T> Minted<T> {
    /// Creates a token with its lifetime, counted from the start of the request for it.
    #[must_use]
    pub const fn new(token: T, lifetime: Duration) -> Self {
        Self { token, lifetime }
    }
}

impl<S: TokenSource> CredentialSource for S {
    type Credential = S::Token;
    type Error = S::Error;

    const TIMES: CacheTimes = CacheTimes::new(TIME_LIMIT, FAILURE_PAUSE).with_after_refusal(REFUSAL_PAUSE);

    async fn load(&self, now: SystemTime) -> Result<Loaded<S::Token>, S::Error> {
        let Minted { token, lifetime } = self.mint(now).await?;
        let lifetime = lifetime.min(LONGEST);
        // A token of one minute is still used for most of it.
        let before_end = |margin: Duration| Some(now + (lifetime - margin.min(lifetime / 4)));
        let (refresh_at, ends_at) = (before_end(RENEW_AHEAD), before_end(LAST_USE));
        Ok(Loaded::new(token).with_refresh_at(refresh_at).with_ends_at(ends_at))
    }

    fn interrupted(reason: Interrupted) -> S::Error {
        let error = match reason {
            Interrupted::Timeout => TokenError::Timeout { after: TIME_LIMIT },
            Interrupted::Abandoned => TokenError::Abandoned,
        };
        error.into()
    }

    fn log(error: &S::Error, _: bool) {
        tracing::warn!(error = %ErrorChain(error), "a token could not be obtained");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::credential_cache::CredentialCache;

    /// Mints `token-1`, `token-2`, …, each when a permit allows it; the listed ones fail.
    struct Script {
        calls: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
        failing: &'static [u32],
        lifetime: Duration,
    }

    impl TokenSource for Script {
        type Token = String;
        type Error = TokenError;

        async fn mint(&self, _: SystemTime) -> Result<Minted<String>, TokenError> {
            let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            self.gate.acquire().await.unwrap().forget();
            match self.failing.contains(&number) {
                true => Err(TokenError::Url { found: String::new() }),
                false => Ok(Minted::new(format!("token-{number}"), self.lifetime)),
            }
        }
    }

    struct Test {
        cache: CredentialCache<Script>,
        calls: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
    }

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        START + Duration::from_secs(seconds)
    }

    fn test(failing: &'static [u32], lifetime: u64, permits: usize) -> Test {
        let (calls, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(permits)));
        let lifetime = Duration::from_secs(lifetime);
        let source = Script { calls: Arc::clone(&calls), gate: Arc::clone(&gate), failing, lifetime };
        Test { cache: CredentialCache::new(source), calls, gate }
    }

    impl Test {
        async fn get(&self, seconds: u64) -> String {
            self.cache.get(at(seconds)).await.unwrap_or_else(|error| format!("error: {error}"))
        }

        fn calls(&self) -> u32 {
            self.calls.load(Ordering::Relaxed)
        }

        /// Waits until a background renewal has ended.
        async fn settle(&self) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_one_renewal() {
        let test = test(&[], 3600, 0);
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let cache = test.cache.clone();
                tokio::spawn(async move { cache.get(START).await.unwrap() })
            })
            .collect();
        test.settle().await;
        test.gate.add_permits(50);
        for caller in callers {
            assert_eq!(caller.await.unwrap(), "token-1");
        }
        assert_eq!(test.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_ahead_of_its_end_and_served_meanwhile() {
        let test = test(&[], 3600, 1);
        for seconds in [0, 1, 3600 - 226] {
            assert_eq!(test.get(seconds).await, "token-1");
        }
        assert_eq!(test.calls(), 1);
        for seconds in [3600 - 225, 3600 - 100, 3600 - 11] {
            assert_eq!(test.get(seconds).await, "token-1");
            test.settle().await;
        }
        assert_eq!(test.calls(), 2, "one renewal, which has not come back yet");
        test.gate.add_permits(1);
        test.settle().await;
        assert_eq!(test.get(3600 - 11).await, "token-2");
        assert_eq!(test.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_token_is_waited_for() {
        let test = test(&[], 3600, 1);
        assert_eq!(test.get(0).await, "token-1");
        test.gate.add_permits(1);
        assert_eq!(test.get(3600 - 10).await, "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_caller_does_not_cancel_the_renewal() {
        let test = test(&[], 3600, 0);
        let leaving = tokio::time::timeout(Duration::from_secs(1), test.get(0)).await;
        assert!(leaving.is_err());
        test.gate.add_permits(1);
        test.settle().await;
        assert_eq!((test.get(1).await.as_str(), test.calls()), ("token-1", 1));
        assert!(test.cache.is_idle(), "nothing is left of the renewal");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_reaches_all_waiting_callers_and_is_returned_during_the_pause() {
        let test = test(&[1], 3600, 0);
        let waiting: Vec<_> = [0, 0, 1, 9]
            .map(|seconds| {
                let cache = test.cache.clone();
                tokio::spawn(async move { cache.get(at(seconds)).await })
            })
            .into();
        test.settle().await;
        test.gate.add_permits(2);
        for caller in waiting {
            assert!(matches!(*caller.await.unwrap().unwrap_err(), TokenError::Url { .. }));
        }
        assert!(test.get(2).await.starts_with("error"));
        assert_eq!(test.calls(), 1);
        assert_eq!(test.get(4).await, "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_outlives_failed_renewals() {
        let test = test(&[2, 3], 3600, 9);
        assert_eq!(test.get(0).await, "token-1");
        for (seconds, calls) in [(3400, 2), (3401, 2), (3404, 3), (3405, 3)] {
            assert_eq!(test.get(seconds).await, "token-1");
            test.settle().await;
            assert_eq!(test.calls(), calls, "at {seconds}");
        }
        assert_eq!(test.get(3408).await, "token-1");
        test.settle().await;
        assert_eq!(test.get(3408).await, "token-4");
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_rejections_cause_one_renewal() {
        let test = test(&[], 3600, 9);
        assert_eq!(test.get(0).await, "token-1");
        for _ in 0..3 {
            test.cache.forget_at(at(1));
            assert_eq!(test.get(1).await, "token-2");
        }
        test.cache.forget_at(at(30));
        assert_eq!((test.get(30).await.as_str(), test.calls()), ("token-3", 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_ends_at_its_time_limit() {
        let test = test(&[], 3600, 0);
        assert_eq!(test.get(0).await, "error: no token came within 30 s");
    }

    #[tokio::test(start_paused = true)]
    async fn extreme_lifetimes_are_clamped() {
        for lifetime in [0, 1, 20, u64::MAX] {
            let test = test(&[], lifetime, 9);
            assert_eq!(test.get(0).await, "token-1", "{lifetime}");
            assert!(test.get(100_000).await.starts_with("token-2"), "{lifetime}");
        }
    }
}
