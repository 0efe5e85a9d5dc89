//! The result for the client after every attempt has failed.

use std::time::Duration;

use relay_config::ProviderName;
use relay_providers::{Answer, AttemptError, Outcome};

use crate::candidate::CredentialId;
use crate::error::RouteErrorKind;
use crate::plan::{Blocked, FailingProvider};

/// The failures of one request. Keeps only the answers that may become the final one.
#[derive(Default)]
pub(crate) struct Failures {
    /// The rate limit that ends first, with its answer.
    limited: Option<(Option<Duration>, Answer)>,
    /// `Some` after an overload, with the shortest reported time.
    overloaded: Option<Option<Duration>>,
    /// The last failure other than a limit or a rejected credential, and its provider.
    last: Option<(ProviderName, Result<Answer, AttemptError>)>,
    /// The last rejection of a credential of the relay.
    rejected: Option<RouteErrorKind>,
}

impl Failures {
    /// Adds the failure of one attempt.
    pub(crate) fn add(
        &mut self,
        provider: &ProviderName,
        credential: &CredentialId,
        failure: Result<Answer, AttemptError>,
    ) {
        let provider = provider.clone();
        let answer = match failure {
            Ok(answer) => answer,
            Err(source) => {
                self.last = Some((provider, Err(source)));
                return;
            }
        };
        match answer.outcome {
            Outcome::CredentialRejected if *credential != CredentialId::Client => {
                let status = answer.response.status().as_u16();
                self.rejected = Some(RouteErrorKind::CredentialRejected { provider, status });
            }
            Outcome::RateLimited { retry_after, .. } => {
                let is_sooner = match &self.limited {
                    None => true,
                    Some((soonest, _)) => {
                        retry_after.is_some_and(|new| soonest.is_none_or(|soonest| new < soonest))
                    }
                };
                if is_sooner {
                    self.limited = Some((retry_after, answer));
                }
            }
            Outcome::Overloaded { retry_after } => {
                let soonest = self.overloaded.flatten().into_iter().chain(retry_after).min();
                self.overloaded = Some(soonest);
                self.last = Some((provider, Ok(answer)));
            }
            _ => self.last = Some((provider, Ok(answer))),
        }
    }

    /// Returns the failure that helps the client most.
    ///
    /// A rate limit comes first, because waiting will help. Then come an overload, circuits that are open,
    /// and the last failure, if it is in Anthropic's form. If there was a single candidate, its own answer is
    /// returned unless a limit is known to end sooner. `blocked` describes the candidates that were not
    /// tried.
    pub(crate) fn most_useful(
        self,
        single: bool,
        blocked: Blocked,
        timeout: Option<Duration>,
    ) -> Result<Answer, RouteErrorKind> {
        match (self.limited, blocked.limited) {
            (Some((Some(reported), _)), Some(retry_after)) if retry_after < reported => {
                return Err(RouteErrorKind::Limited { retry_after });
            }
            (Some((_, answer)), _) => return Ok(answer),
            (None, Some(retry_after)) => return Err(RouteErrorKind::Limited { retry_after }),
            (None, None) => {}
        }
        if let (Some(retry_after), false) = (self.overloaded, single) {
            return Err(RouteErrorKind::Overloaded { retry_after });
        }
        if let (None, None, Some(failing)) = (&self.last, &self.rejected, blocked.failing) {
            let FailingProvider { provider, reason, retry_after } = failing;
            return Err(RouteErrorKind::Failing { provider, reason, retry_after });
        }
        match (timeout, self.last, self.rejected) {
            (_, Some((provider, Ok(answer))), _) if answer.is_foreign_error && !single => {
                let status = answer.response.status().as_u16();
                Err(RouteErrorKind::Foreign { provider, status })
            }
            (_, Some((_, Ok(answer))), _) => Ok(answer),
            (Some(after), _, _) => Err(RouteErrorKind::Timeout { after }),
            (None, Some((provider, Err(source))), _) => Err(RouteErrorKind::Attempt { provider, source }),
            (None, None, Some(rejected)) => Err(rejected),
            (None, None, None) if blocked.is_withheld => Err(RouteErrorKind::Withheld),
            // A plan is never empty, so an attempt has failed. If none was started, the deadline had passed
            // before.
            (None, None, None) => Err(RouteErrorKind::Timeout { after: Duration::ZERO }),
        }
    }
}
