//! What the client gets when every attempt has failed.

use std::time::Duration;

use relay_config::ProviderName;
use relay_providers::{Answer, AttemptError, Outcome};

use crate::candidate::Credential;
use crate::error::RouteErrorKind;
use crate::plan::{Blocked, FailingProvider};

/// What went wrong so far, as far as the client might be told of it. Keeps the few answers that may become final.
#[derive(Default)]
pub(crate) struct Failures {
    /// The rate limit that ends soonest.
    limited: Option<(Option<Duration>, Answer)>,
    /// Whether there was an overload, and when the soonest one ends.
    overloaded: Option<Option<Duration>>,
    /// The last failure of any kind but the credential's, and whose it was.
    last: Option<(ProviderName, Result<Answer, AttemptError>)>,
    /// The last refusal of a credential of ours.
    rejected: Option<RouteErrorKind>,
}

impl Failures {
    pub(crate) fn add(
        &mut self,
        provider: &ProviderName,
        credential: &Credential,
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
            Outcome::CredentialRejected if *credential != Credential::Client => {
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

    /// What the client gets: with a single candidate its own answer; else a limit, since waiting will help; else an
    /// overload, or those that are left alone for a while; else what came last, if it is in Anthropic's form. `blocked` are
    /// those that were not asked.
    pub(crate) fn most_useful(
        self,
        single: bool,
        blocked: Blocked,
        timeout: Option<Duration>,
    ) -> Result<Answer, RouteErrorKind> {
        match (self.limited, blocked.limited) {
            (Some((Some(asked), _)), Some(retry_after)) if retry_after < asked => {
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
            // A plan is never empty, so that something failed; if nothing was started, time was over from the start.
            (None, None, None) => Err(RouteErrorKind::Timeout { after: Duration::ZERO }),
        }
    }
}
