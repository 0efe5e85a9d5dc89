//! A cache of one expiring credential, loaded by one task at a time and refreshed before its end.
//!
//! ```text
//! get(now) ─▶ fresh        returned
//!             ageing       returned, and refreshed in the background ──┐  one load at a time
//!             none, ended  waits for the load ◀────────────────────────┴─▶ CredentialSource::load
//! ```
//! A refresh that fails leaves a valid credential in use. Every decision of [`CredentialCache::get`] depends on the state
//! and on the caller's `now`.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A source of credentials.
pub trait CredentialSource: Send + Sync + 'static {
    /// The credential, with everything else from the source that a request needs.
    type Credential: Clone + Send + Sync + 'static;
    /// The reason that there is no credential.
    type Error: Error + Send + Sync + 'static;

    /// The time limits of this source.
    const TIMES: CacheTimes;

    /// Loads a credential that is valid at `now`.
    fn load(
        &self,
        now: SystemTime,
    ) -> impl Future<Output = Result<Loaded<Self::Credential>, Self::Error>> + Send;

    /// Returns the error of a load that did not end by itself.
    fn interrupted(reason: Interrupted) -> Self::Error;

    /// Logs the error of a load. `is_refresh` is `true` if a valid credential stays in use.
    fn log(error: &Self::Error, is_refresh: bool);
}

/// The time limits of a [`CredentialCache`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CacheTimes {
    /// The limit of one load.
    pub load: Duration,
    /// The pause after a failed load, during which its error is returned.
    pub after_failure: Duration,
    /// The pause after a load before a credential that is still valid is refreshed.
    pub between_refreshes: Duration,
    /// The pause after a replacement of a refused credential, during which a refusal is about the credential before it.
    pub after_refusal: Duration,
}

impl CacheTimes {
    /// Creates limits with the given limit of one load, and with `pause` as each of the three pauses.
    #[must_use]
    pub const fn new(load: Duration, pause: Duration) -> Self {
        Self { load, after_failure: pause, between_refreshes: pause, after_refusal: pause }
    }

    /// Sets [`between_refreshes`](Self::between_refreshes).
    #[must_use]
    pub const fn with_between_refreshes(mut self, pause: Duration) -> Self {
        self.between_refreshes = pause;
        self
    }

    /// Sets [`after_refusal`](Self::after_refusal).
    #[must_use]
    pub const fn with_after_refusal(mut self, pause: Duration) -> Self {
        self.after_refusal = pause;
        self
    }
}

/// A credential and its times. `None` is never.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded<T> {
    /// The credential.
    pub credential: T,
    /// The time from which it is refreshed.
    pub refresh_at: Option<SystemTime>,
    /// The time from which it is no longer used.
    pub ends_at: Option<SystemTime>,
}

impl<T> Loaded<T> {
    /// Creates a credential that does not end and is not refreshed.
    #[must_use]
    pub fn new(credential: T) -> Self {
        Self { credential, refresh_at: None, ends_at: None }
    }

    /// Sets [`refresh_at`](Self::refresh_at).
    #[must_use]
    pub fn with_refresh_at(mut self, time: impl Into<Option<SystemTime>>) -> Self {
        self.refresh_at = time.into();
        self
    }

    /// Sets [`ends_at`](Self::ends_at).
    #[must_use]
    pub fn with_ends_at(mut self, time: impl Into<Option<SystemTime>>) -> Self {
        self.ends_at = time.into();
        self
    }
}

/// The reason that a load did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interrupted {
    /// The load took longer than [`CacheTimes::load`].
    Timeout,
    /// The task of the load was dropped: the runtime shut down, or the source panicked.
    Abandoned,
}

/// The cache of one source. Cloning shares it. A load that is under way ends with the last clone.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use relay_transport::{CacheTimes, CredentialCache, CredentialSource, Interrupted, Loaded};
///
/// /// Issues a session key that is valid for an hour.
/// struct Sessions;
///
/// impl CredentialSource for Sessions {
///     type Credential = String;
///     type Error = std::io::Error;
///
///     const TIMES: CacheTimes = CacheTimes::new(Duration::from_secs(10), Duration::from_secs(5));
///
///     async fn load(&self, now: SystemTime) -> std::io::Result<Loaded<String>> {
///         let refresh_at = now + Duration::from_secs(55 * 60);
///         let ends_at = now + Duration::from_secs(60 * 60);
///         Ok(Loaded::new("key-1".to_owned()).with_refresh_at(refresh_at).with_ends_at(ends_at))
///     }
///
///     fn interrupted(reason: Interrupted) -> std::io::Error {
///         std::io::Error::other(format!("the load was interrupted: {reason:?}"))
///     }
///
///     fn log(error: &std::io::Error, is_refresh: bool) {
///         eprintln!("{error} (is a valid key still in use: {is_refresh})");
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let cache = CredentialCache::new(Sessions);
/// let now = SystemTime::now();
/// assert_eq!(cache.get(now).await.expect("the source has a key"), "key-1");
/// # Ok(())
/// # }
/// ```
pub struct CredentialCache<S: CredentialSource>(Arc<Inner<S>>);

struct Inner<S: CredentialSource> {
    shared: Arc<Shared<S>>,
    /// The load that is under way, if any.
    tasks: Mutex<JoinSet<()>>,
}

struct Shared<S: CredentialSource> {
    source: S,
    state: watch::Sender<State<S::Credential, S::Error>>,
}

struct State<T, E> {
    current: Option<Loaded<T>>,
    /// The error of the last load. The next success removes it.
    failure: Option<Arc<E>>,
    /// The end of the last load.
    loaded_at: Option<SystemTime>,
    is_loading: bool,
    /// The time at which a credential was last forgotten.
    forgotten_at: Option<SystemTime>,
    /// The last renewal, and whether it brought another credential.
    renewal: Option<(Instant, bool)>,
}

/// The purpose of a load.
enum Purpose<T> {
    /// There is no valid credential.
    Load,
    /// A valid credential is close to its end.
    Refresh,
    /// A credential was refused. The function compares it with the new one.
    Renewal(fn(&T, &T) -> bool),
}

type Answer<T, E> = Result<T, Arc<E>>;

impl<S: CredentialSource> CredentialCache<S> {
    /// Creates an empty cache. Loads nothing yet.
    #[must_use]
    pub fn new(source: S) -> Self {
        let state = State {
            current: None,
            failure: None,
            loaded_at: None,
            is_loading: false,
            forgotten_at: None,
            renewal: None,
        };
        let shared = Shared { source, state: watch::Sender::new(state) };
        Self(Arc::new(Inner { shared: Arc::new(shared), tasks: Mutex::default() }))
    }

    /// Returns the credential that is valid at `now`. Waits only if there is none: a refresh runs in the background.
    ///
    /// A load is a separate task. If a caller is cancelled, the other callers still get the credential.
    ///
    /// # Errors
    /// The error of the last load, for all callers that waited for it and for those of the next moment
    /// ([`CacheTimes::after_failure`]).
    pub async fn get(&self, now: SystemTime) -> Result<S::Credential, Arc<S::Error>> {
        let mut changes = self.0.shared.state.subscribe();
        loop {
            let mut known = None;
            let mut due = None;
            self.0.shared.state.send_if_modified(|state| {
                (known, due) = state.look(now, &S::TIMES);
                false
            });
            if let Some(purpose) = due {
                self.spawn(purpose, now);
            }
            if let Some(known) = known {
                return known;
            }
            // The sender lives in `self`, so the error is not reachable.
            let finished = changes.wait_for(|state| !state.is_loading).await;
            let state = finished.map_err(|_| Arc::new(S::interrupted(Interrupted::Abandoned)))?;
            match state.outcome() {
                Some(outcome) => return outcome,
                None => continue, // forgotten meanwhile
            }
        }
    }

    /// Returns the time from which the credential in use is no longer used. `None` if there is no credential, or it does not
    /// end.
    #[must_use]
    pub fn ends_at(&self) -> Option<SystemTime> {
        self.0.shared.state.borrow().current.as_ref()?.ends_at
    }

    /// Forgets the credential, because the upstream has refused it just now. The next caller waits for another one.
    /// Requests that are refused together replace it once.
    pub fn forget(&self) {
        self.forget_at(SystemTime::now());
    }

    pub(crate) fn forget_at(&self, now: SystemTime) {
        self.0.shared.state.send_if_modified(|state| {
            if !state.forgotten_at.is_some_and(|at| is_within(S::TIMES.after_refusal, at, now)) {
                state.forgotten_at = Some(now);
                state.current = None;
            }
            false
        });
    }

    /// Loads a credential in the place of one that the upstream has refused just now. Returns `true` if another one is
    /// there. Other callers use the refused one meanwhile, and it stays if the load fails. Requests that are refused
    /// together load once.
    pub async fn renew(&self) -> bool
    where
        S::Credential: PartialEq,
    {
        let (refused, now) = (Instant::now(), SystemTime::now());
        let mut changes = self.0.shared.state.subscribe();
        loop {
            let mut known = None;
            let mut due = false;
            self.0.shared.state.send_if_modified(|state| {
                known = state.renewal.filter(|(at, _)| *at + S::TIMES.after_refusal > refused);
                due = known.is_none() && !state.is_loading;
                state.is_loading |= due;
                false
            });
            if let Some((_, changed)) = known {
                return changed;
            }
            if due {
                self.spawn(Purpose::Renewal(PartialEq::eq), now);
            }
            if changes.wait_for(|state| !state.is_loading).await.is_err() {
                return false; // not reachable: the sender lives in `self`
            }
        }
    }

    /// Starts the load that the state has been marked for.
    fn spawn(&self, purpose: Purpose<S::Credential>, now: SystemTime) {
        let load = Load::new(Arc::clone(&self.0.shared), purpose, now);
        // The guarded set is valid even if a thread panicked with it.
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(load.run());
    }

    /// Returns `true` if no load holds the source.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0.shared) == 1
    }
}

impl<S: CredentialSource> Clone for CredentialCache<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: CredentialSource> fmt::Debug for CredentialCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialCache").finish_non_exhaustive()
    }
}

impl<T: Clone, E> State<T, E> {
    /// Returns the result for a caller at `now`, if it is known, and the load that the caller has to start.
    fn look(&mut self, now: SystemTime, times: &CacheTimes) -> (Option<Answer<T, E>>, Option<Purpose<T>>) {
        let has_passed = |time: Option<SystemTime>| time.is_some_and(|time| now >= time);
        let is_recent = |pause| self.loaded_at.is_some_and(|at| is_within(pause, at, now));
        let valid = self.current.as_ref().filter(|current| !has_passed(current.ends_at));
        let failure = self.failure.as_ref().filter(|_| is_recent(times.after_failure));
        let (known, due) = match (valid, failure) {
            (Some(current), _) => {
                let is_ageing = has_passed(current.refresh_at) && !is_recent(times.between_refreshes);
                (Some(Ok(current.credential.clone())), is_ageing.then_some(Purpose::Refresh))
            }
            (None, Some(failure)) if !self.is_loading => (Some(Err(Arc::clone(failure))), None),
            (None, Some(_)) => (None, None),
            (None, None) => (None, Some(Purpose::Load)),
        };
        let due = due.filter(|_| !self.is_loading);
        self.is_loading |= due.is_some();
        (known, due)
    }

    /// Returns the result of the last load. A caller that waited for it gets it even if it is late.
    fn outcome(&self) -> Option<Answer<T, E>> {
        match (&self.failure, &self.current) {
            (Some(failure), _) => Some(Err(Arc::clone(failure))),
            (None, current) => Some(Ok(current.as_ref()?.credential.clone())),
        }
    }

    fn finish(&mut self, ended: SystemTime, purpose: &Purpose<T>, result: Result<Loaded<T>, E>) {
        self.is_loading = false;
        self.loaded_at = Some(ended);
        let mut changed = false;
        match result {
            Ok(loaded) => {
                if let Purpose::Renewal(is_same) = purpose {
                    let is_same = |old: &Loaded<T>| is_same(&old.credential, &loaded.credential);
                    changed = !self.current.as_ref().is_some_and(is_same);
                }
                self.current = Some(loaded);
                self.failure = None;
            }
            Err(error) => self.failure = Some(Arc::new(error)),
        }
        if let Purpose::Renewal(_) = purpose {
            self.renewal = Some((Instant::now(), changed));
        }
    }
}

/// Returns `true` if `now` is less than `pause` after `at`. A clock that was set back ends every pause.
fn is_within(pause: Duration, at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|passed| passed < pause)
}

/// A load that is under way. Callers that wait are woken in any case: on drop, the state is updated.
struct Load<S: CredentialSource> {
    shared: Arc<Shared<S>>,
    purpose: Purpose<S::Credential>,
    requested_at: SystemTime,
    started: Instant,
    /// `None` until the load ends.
    result: Option<Result<Loaded<S::Credential>, S::Error>>,
}

impl<S: CredentialSource> Load<S> {
    fn new(shared: Arc<Shared<S>>, purpose: Purpose<S::Credential>, requested_at: SystemTime) -> Self {
        Self { shared, purpose, requested_at, started: Instant::now(), result: None }
    }

    async fn run(mut self) {
        let loading = self.shared.source.load(self.requested_at);
        let result = tokio::time::timeout(S::TIMES.load, loading).await;
        let result = result.unwrap_or_else(|_| Err(S::interrupted(Interrupted::Timeout)));
        if let Err(error) = &result {
            S::log(error, matches!(self.purpose, Purpose::Refresh));
        }
        self.result = Some(result);
    }
}

impl<S: CredentialSource> Drop for Load<S> {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| Err(S::interrupted(Interrupted::Abandoned)));
        let ended = self.requested_at + self.started.elapsed();
        self.shared.state.send_modify(|state| state.finish(ended, &self.purpose, result));
    }
}
