//! The check of one credential, whatever its kind of provider.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use relay_providers::{CheckReport, Provider, Upstream};

type Checking = Pin<Box<dyn Future<Output = CheckReport> + Send>>;

/// Checks one credential at its upstream.
#[derive(Clone)]
pub(crate) struct CredentialProbe {
    url: Option<Arc<str>>,
    run: Arc<dyn Fn(String) -> Checking + Send + Sync>,
}

impl CredentialProbe {
    pub(crate) fn new<P: Provider>(upstream: Upstream<P>) -> Self {
        let url = upstream.base_url().map(|url| url.to_string().into());
        let run = move |model: String| -> Checking {
            let upstream = upstream.clone();
            Box::pin(async move { upstream.check(&model).await })
        };
        Self { url, run: Arc::new(run) }
    }

    /// The base URL of the upstream. `None` if it is unknown before the first request.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Checks the credential by a request that costs nothing, for `model` if it names one.
    pub(crate) fn run(&self, model: String) -> Checking {
        (self.run)(model)
    }
}

impl fmt::Debug for CredentialProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialProbe").field("url", &self.url).finish_non_exhaustive()
    }
}
