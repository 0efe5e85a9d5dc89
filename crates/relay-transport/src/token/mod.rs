//! A cache of one expiring token, renewed before its end by one request at a time.
//!
//! ```text
//! authorize ─now─▶ TokenCache ─▶ the token that is valid
//!                      └─ one task at a time ─▶ TokenSource::mint ─TokenClient─▶ token endpoint
//! ```
//! Every decision depends on the state and on the caller's `now`; no clock is read here. The providers define the source
//! and the type of a token.

mod client;
mod error;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use relay_messages::ErrorChain;
use tokio::sync::watch;
use tokio::time::Instant;

pub use client::{TokenAnswer, TokenClient, form, read_file};
pub use error::TokenError;

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

/// A source of tokens.
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
pub struct Minted<T> {
    /// The token.
    pub token: T,
    /// The lifetime, counted from the start of the request for the token.
    pub lifetime: Duration,
}

/// The cache of one credential's token. Cloning shares it.
pub struct TokenCache<S: TokenSource>(Arc<Shared<S>>);

struct Shared<S: TokenSource> {
    source: S,
    state: watch::Sender<State<S::Token, S::Error>>,
}

struct State<T, E> {
    token: Option<Held<T>>,
    failure: Option<Failure<E>>,
    is_renewing: bool,
    /// The time at which the upstream last rejected a token.
    refused: Option<SystemTime>,
}

struct Held<T> {
    token: T,
    renew_at: SystemTime,
    unusable_at: SystemTime,
}

/// The error of the last renewal. The next success removes it.
struct Failure<E> {
    error: Arc<E>,
    at: SystemTime,
}

type Answer<T, E> = Result<T, Arc<E>>;

impl<S: TokenSource> TokenCache<S> {
    /// Creates an empty cache. Requests no token yet.
    #[must_use]
    pub fn new(source: S) -> Self {
        let state = State { token: None, failure: None, is_renewing: false, refused: None };
        Self(Arc::new(Shared { source, state: watch::Sender::new(state) }))
    }

    /// Returns the token that is valid at `now`. Waits only if there is none: an early renewal runs in the background.
    ///
    /// The renewal is a task of its own. If a caller is cancelled, the other callers still get the token.
    ///
    /// # Errors
    /// The error of the last renewal, for all callers that waited for it and, for 3 s, for later ones.
    pub async fn get(&self, now: SystemTime) -> Answer<S::Token, S::Error> {
        let mut changes = self.0.state.subscribe();
        loop {
            let mut known = None;
            let mut due = false;
            self.0.state.send_if_modified(|state| {
                (known, due) = state.look(now);
                false
            });
            if due {
                tokio::spawn(Renewal::new(Arc::clone(&self.0), now).run());
            }
            if let Some(known) = known {
                return known;
            }
            // The sender is in `self`, so that the channel cannot be closed.
            let finished = changes.wait_for(|state| !state.is_renewing).await;
            match finished.map_err(|_| Arc::new(TokenError::Abandoned.into()))?.outcome() {
                Some(outcome) => return outcome,
                None => continue, // rejected by the upstream in the meantime
            }
        }
    }

    /// Forgets the token, because the upstream has refused it just now. Requests that are refused together renew it once.
    pub fn forget(&self) {
        self.refuse(SystemTime::now());
    }

    /// Forgets the token, because the upstream has refused it. Requests that are refused together renew it once.
    fn refuse(&self, now: SystemTime) {
        self.0.state.send_if_modified(|state| {
            if !state.refused.is_some_and(|at| is_within(REFUSAL_PAUSE, at, now)) {
                state.refused = Some(now);
                state.token = None;
            }
            false
        });
    }
}

impl<S: TokenSource> Clone for TokenCache<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: TokenSource> std::fmt::Debug for TokenCache<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").finish_non_exhaustive()
    }
}

impl<T: Clone, E> State<T, E> {
    /// Returns the state at `now`, and `true` if the caller has to start a renewal.
    fn look(&mut self, now: SystemTime) -> (Option<Answer<T, E>>, bool) {
        let token = self.token.as_ref().filter(|held| now < held.unusable_at);
        let failure = self.failure.as_ref().filter(|failure| is_within(FAILURE_PAUSE, failure.at, now));
        let wanted = token.is_none_or(|held| now >= held.renew_at);
        let due = wanted && failure.is_none() && !self.is_renewing;
        let known = match (token, failure) {
            (Some(held), _) => Some(Ok(held.token.clone())),
            (None, Some(failure)) if !self.is_renewing => Some(Err(Arc::clone(&failure.error))),
            (None, _) => None,
        };
        self.is_renewing |= due;
        (known, due)
    }

    /// Stores the result of a renewal. All callers that waited for it get this result, also if it arrives late.
    fn outcome(&self) -> Option<Answer<T, E>> {
        match (&self.failure, &self.token) {
            (Some(failure), _) => Some(Err(Arc::clone(&failure.error))),
            (None, token) => Some(Ok(token.as_ref()?.token.clone())),
        }
    }

    fn finish(&mut self, asked: SystemTime, took: Duration, result: Result<Minted<T>, E>) {
        self.is_renewing = false;
        match result {
            Ok(minted) => {
                let lifetime = minted.lifetime.min(LONGEST);
                // A token with a lifetime of a minute is still used for most of it.
                let before_end = |margin: Duration| asked + (lifetime - margin.min(lifetime / 4));
                let (renew_at, unusable_at) = (before_end(RENEW_AHEAD), before_end(LAST_USE));
                self.token = Some(Held { token: minted.token, renew_at, unusable_at });
                self.failure = None;
            }
            Err(error) => self.failure = Some(Failure { error: Arc::new(error), at: asked + took }),
        }
    }
}

/// Returns `true` if `now` is less than `pause` after `at`. If the clock was set back, every pause ends.
fn is_within(pause: Duration, at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|passed| passed < pause)
}

/// A renewal in progress. On drop it notifies the waiting callers, however it ended.
struct Renewal<S: TokenSource> {
    shared: Arc<Shared<S>>,
    asked: SystemTime,
    started: Instant,
    result: Result<Minted<S::Token>, S::Error>,
}

impl<S: TokenSource> Renewal<S> {
    fn new(shared: Arc<Shared<S>>, asked: SystemTime) -> Self {
        Self { shared, asked, started: Instant::now(), result: Err(TokenError::Abandoned.into()) }
    }

    async fn run(mut self) {
        let minting = self.shared.source.mint(self.asked);
        let result = tokio::time::timeout(TIME_LIMIT, minting).await;
        self.result = result.unwrap_or(Err(TokenError::Timeout { after: TIME_LIMIT }.into()));
        if let Err(error) = &self.result {
            tracing::warn!(error = %ErrorChain(error), "a token could not be obtained");
        }
    }
}

impl<S: TokenSource> Drop for Renewal<S> {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(TokenError::Abandoned.into()));
        let took = self.started.elapsed();
        self.shared.state.send_modify(|state| state.finish(self.asked, took, result));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Mints `token-1`, `token-2`, …, each when a permit allows it; the listed ones fail.
    struct Script {
        asked: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
        failing: &'static [u32],
        lifetime: Duration,
    }

    impl TokenSource for Script {
        type Token = String;
        type Error = TokenError;

        async fn mint(&self, _: SystemTime) -> Result<Minted<String>, TokenError> {
            let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            self.gate.acquire().await.unwrap().forget();
            match self.failing.contains(&number) {
                true => Err(TokenError::Url { found: String::new() }),
                false => Ok(Minted { token: format!("token-{number}"), lifetime: self.lifetime }),
            }
        }
    }

    struct Test {
        cache: TokenCache<Script>,
        asked: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
    }

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        START + Duration::from_secs(seconds)
    }

    fn test(failing: &'static [u32], lifetime: u64, permits: usize) -> Test {
        let (asked, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(permits)));
        let lifetime = Duration::from_secs(lifetime);
        let source = Script { asked: Arc::clone(&asked), gate: Arc::clone(&gate), failing, lifetime };
        Test { cache: TokenCache::new(source), asked, gate }
    }

    impl Test {
        async fn get(&self, seconds: u64) -> String {
            self.cache.get(at(seconds)).await.unwrap_or_else(|error| format!("error: {error}"))
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }

        /// Lets a background renewal run to its end.
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
        assert_eq!(test.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_ahead_of_its_end_and_served_meanwhile() {
        let test = test(&[], 3600, 1);
        for seconds in [0, 1, 3600 - 226] {
            assert_eq!(test.get(seconds).await, "token-1");
        }
        assert_eq!(test.asked(), 1);
        for seconds in [3600 - 225, 3600 - 100, 3600 - 11] {
            assert_eq!(test.get(seconds).await, "token-1");
            test.settle().await;
        }
        assert_eq!(test.asked(), 2, "one renewal, which has not come back yet");
        test.gate.add_permits(1);
        test.settle().await;
        assert_eq!(test.get(3600 - 11).await, "token-2");
        assert_eq!(test.asked(), 2);
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
        assert_eq!((test.get(1).await.as_str(), test.asked()), ("token-1", 1));
        assert_eq!(Arc::strong_count(&test.cache.0), 1, "nothing is left of the renewal");
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
        assert_eq!(test.asked(), 1);
        assert_eq!(test.get(4).await, "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_outlives_failed_renewals() {
        let test = test(&[2, 3], 3600, 9);
        assert_eq!(test.get(0).await, "token-1");
        for (seconds, asked) in [(3400, 2), (3401, 2), (3404, 3), (3405, 3)] {
            assert_eq!(test.get(seconds).await, "token-1");
            test.settle().await;
            assert_eq!(test.asked(), asked, "at {seconds}");
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
            test.cache.refuse(at(1));
            assert_eq!(test.get(1).await, "token-2");
        }
        test.cache.refuse(at(30));
        assert_eq!((test.get(30).await.as_str(), test.asked()), ("token-3", 3));
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
