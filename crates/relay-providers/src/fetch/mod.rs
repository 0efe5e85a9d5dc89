//! Images by URL, fetched for upstreams that take base64 alone.
//!
//! ```text
//! Attempt ─images by URL?─▶ Fetcher ─▶ each source becomes a base64 one, for this attempt
//!              none: on      once for a request, whoever asks first
//! ```
//! A URL is a client's word, and the relay stands where the client may not reach: in a private network, beside a cloud's
//! metadata service. So nothing but `https` is asked, at addresses that are checked after the name was looked up and are
//! then the ones connected to, also behind each redirect; without credentials, and within bounds of size, time and count.
//!
//! No proxy is used: it would look the name up itself, behind the check, and in a network of its own.

mod address;
mod client;
mod error;
mod fetched;
mod target;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use relay_messages::{MessagesBody, Node};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::answer::{Answer, AttemptError};
use crate::request::Attempt;
use crate::time_limit::within;
pub use client::Fetcher;
use client::Image;
pub use error::FetchError;
pub(crate) use fetched::FetchedImages;

/// Images by URL in one request. The Messages API takes a hundred images; each is a request that the relay makes for a
/// client.
const MAX_IMAGES: usize = 20;
/// All of a request's images together: what the strictest upstream takes as a body, less the growth by base64.
const MAX_TOTAL: usize = 15 * 1024 * 1024;
/// Images fetched at the same time for one request.
const PARALLEL: usize = 4;

/// Fetches images for one provider, or leaves them as they are.
#[derive(Debug, Clone)]
pub struct FetchLayer {
    fetcher: Option<Fetcher>,
}

impl FetchLayer {
    /// Fetches by `fetcher`, if there is one.
    #[must_use]
    pub fn new(fetcher: Option<Fetcher>) -> Self {
        Self { fetcher }
    }
}

impl<S> Layer<S> for FetchLayer {
    type Service = Fetch<S>;

    fn layer(&self, inner: S) -> Fetch<S> {
        Fetch { inner, fetcher: self.fetcher.clone() }
    }
}

/// See [`FetchLayer`].
#[derive(Debug, Clone)]
pub struct Fetch<S> {
    inner: S,
    fetcher: Option<Fetcher>,
}

impl<S> Service<Attempt> for Fetch<S>
where
    S: Service<Attempt, Response = Answer, Error = AttemptError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, AttemptError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let fetcher =
            self.fetcher.as_ref().filter(|_| attempt.request().body().content_types().has_images_by_url());
        let Some(fetcher) = fetcher.cloned() else { return Box::pin(self.inner.call(attempt)) };
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (limit, since) = (attempt.head_timeout(), Instant::now());
            within(limit, embed(&fetcher, &mut attempt)).await?;
            let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
            ready.call(attempt.with_head_timeout(left)).await
        })
    }
}

/// Puts each image that `attempt` names by its URL into it.
async fn embed(fetcher: &Fetcher, attempt: &mut Attempt) -> Result<(), AttemptError> {
    let request = attempt.request().clone();
    let fetched = request.images().get_or_init(|| fetch_all(fetcher, request.body())).await;
    let images = fetched.as_ref().map_err(|error| AttemptError::Image(Arc::clone(error)))?;
    for source in sources(request.body()) {
        let image = images.iter().find(|(at, _)| *at == source.span().start);
        if let Some((_, image)) = image {
            attempt.edits_mut().replace_at(source, image.clone());
        }
    }
    Ok(())
}

/// The sources of images that are URLs.
fn sources(body: &MessagesBody) -> impl Iterator<Item = Node<'_>> {
    let images = body.blocks().filter(|block| block.get("type").is_some_and(|kind| kind.is("image")));
    let sources = images.filter_map(|image| image.get("source"));
    sources.filter(|source| source.get("type").is_some_and(|kind| kind.is("url")))
}

async fn fetch_all(fetcher: &Fetcher, body: &MessagesBody) -> FetchedImages {
    let found: Vec<(usize, String)> = sources(body)
        .take(MAX_IMAGES + 1)
        .map(|source| {
            let url = source.get("url").and_then(Node::as_str).unwrap_or_default();
            (source.span().start, url.into_owned())
        })
        .collect();
    if found.len() > MAX_IMAGES {
        return Err(Arc::new(FetchError::TooMany { limit: MAX_IMAGES }));
    }
    let turns = Semaphore::new(PARALLEL);
    let fetches = found.iter().map(|(at, url)| {
        let turns = &turns;
        let fetch = async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            fetcher.fetch(url).await.map(|image| (*at, image))
        };
        Box::pin(fetch) as Pin<Box<dyn Future<Output = Result<(usize, Image), FetchError>> + Send + '_>>
    });
    let images = TryAll(fetches.map(Slot::Running).collect()).await?;
    if images.iter().map(|(_, image)| image.data.len()).sum::<usize>() > MAX_TOTAL {
        return Err(Arc::new(FetchError::TooLarge { limit: MAX_TOTAL }));
    }
    Ok(images.into_iter().map(|(at, image)| (at, image.source())).collect())
}

/// Futures that run together until all are done, or one fails.
struct TryAll<F, T>(Vec<Slot<F, T>>);

enum Slot<F, T> {
    Running(F),
    Done(Option<T>),
}

impl<F, T> Future for TryAll<F, T>
where
    F: Future<Output = Result<T, FetchError>> + Unpin,
    T: Unpin,
{
    type Output = Result<Vec<T>, Arc<FetchError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slots = &mut self.get_mut().0;
        let mut is_pending = false;
        for slot in slots.iter_mut() {
            let Slot::Running(future) = slot else { continue };
            match Pin::new(future).poll(cx) {
                Poll::Ready(Ok(done)) => *slot = Slot::Done(Some(done)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Arc::new(error))),
                Poll::Pending => is_pending = true,
            }
        }
        if is_pending {
            return Poll::Pending;
        }
        let done = slots.iter_mut().filter_map(|slot| match slot {
            Slot::Done(done) => done.take(),
            Slot::Running(_) => None,
        });
        Poll::Ready(Ok(done.collect()))
    }
}

#[cfg(test)]
mod tests;
