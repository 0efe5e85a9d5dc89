//! Fetches images by URL for upstreams that accept only base64.
//!
//! ```text
//! Attempt ─images by URL?─▶ Fetcher ─▶ each source becomes base64, for this attempt
//!              none: on      once for a request, at the first need
//! ```
//! The download itself, with its checks and bounds, is left to [`relay_transport::Fetcher`].

mod fetched;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use relay_messages::{MessagesBody, Node};
use relay_transport::{FetchError, Fetcher, Image};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::answer::{Answer, AttemptError};
use crate::request::Attempt;
use crate::time_limit::within;
pub(crate) use fetched::FetchedImages;

/// A client that downloads images.
pub trait FetchImages: Clone + Send + Sync + 'static {
    /// Returns the images at `urls`, in the order of their URLs.
    ///
    /// # Errors
    /// [`FetchError`] if one of them cannot be fetched.
    fn fetch_all(&self, urls: &[String]) -> impl Future<Output = Result<Vec<Image>, FetchError>> + Send;
}

impl FetchImages for Fetcher {
    async fn fetch_all(&self, urls: &[String]) -> Result<Vec<Image>, FetchError> {
        Fetcher::fetch_all(self, urls).await
    }
}

/// Fetches images for one provider, or leaves them as they are.
#[derive(Debug, Clone)]
pub struct FetchLayer<F = Fetcher> {
    fetcher: Option<F>,
}

impl<F> FetchLayer<F> {
    /// Creates a layer that fetches images with `fetcher`, or leaves them as they are without one.
    #[must_use]
    pub fn new(fetcher: Option<F>) -> Self {
        Self { fetcher }
    }
}

impl<S, F: Clone> Layer<S> for FetchLayer<F> {
    type Service = Fetch<S, F>;

    fn layer(&self, inner: S) -> Fetch<S, F> {
        Fetch { inner, fetcher: self.fetcher.clone() }
    }
}

/// The service of [`FetchLayer`].
#[derive(Debug, Clone)]
pub struct Fetch<S, F = Fetcher> {
    inner: S,
    fetcher: Option<F>,
}

impl<S, F> Service<Attempt> for Fetch<S, F>
where
    F: FetchImages,
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

/// Replaces the URL of each image in `attempt` with the image.
async fn embed<F: FetchImages>(fetcher: &F, attempt: &mut Attempt) -> Result<(), AttemptError> {
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

async fn fetch_all<F: FetchImages>(fetcher: &F, body: &MessagesBody) -> FetchedImages {
    let (positions, urls): (Vec<usize>, Vec<String>) = sources(body)
        .map(|source| {
            let url = source.get("url").and_then(Node::as_str).unwrap_or_default();
            (source.span().start, url.into_owned())
        })
        .unzip();
    let images = fetcher.fetch_all(&urls).await.map_err(Arc::new)?;
    Ok(positions.into_iter().zip(images.iter().map(Image::base64_source)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{HeaderMap, Response};
    use relay_messages::MessagesBody;
    use relay_transport::full;
    use tower::ServiceExt;

    use super::*;
    use crate::outcome::Outcome;
    use crate::request::{Endpoint, RelayRequest};

    const BASE64_PNG: &str =
        r#"{"type":"base64","media_type":"image/png","data":"iVBORw0KGgogYW5kIHNvIG9u"}"#;

    /// Returns the same image for each URL of `images.example`, and records the URLs.
    #[derive(Clone, Default)]
    struct Site(Arc<Mutex<Vec<String>>>);

    impl FetchImages for Site {
        async fn fetch_all(&self, urls: &[String]) -> Result<Vec<Image>, FetchError> {
            if urls.len() > 20 {
                return Err(FetchError::TooMany { limit: 20 });
            }
            self.0.lock().unwrap().extend_from_slice(urls);
            let png = || Image::read(Bytes::from_static(b"\x89PNG\r\n\x1a\n and so on")).unwrap();
            Ok(urls.iter().map(|_| png()).collect())
        }
    }

    impl Site {
        fn fetched(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    fn request(images: usize) -> RelayRequest {
        let image =
            r#"{"type":"image","source":{"type":"url","url":"https://images.example/a.png"},"x":1.50}"#;
        let blocks = vec![image; images].join(" ,");
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"tool_result","content":[{blocks}]}}]}}]}}"#
        );
        let body = MessagesBody::parse(body.into()).unwrap();
        RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body)
    }

    #[tokio::test]
    async fn images_are_fetched_once_for_all_attempts_and_put_into_each() {
        let site = Site::default();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let inner = tower::service_fn(move |attempt: Attempt| {
            let body: Vec<u8> = attempt.payload().pieces().flat_map(|piece| piece.to_vec()).collect();
            seen.lock().unwrap().push(String::from_utf8(body).unwrap());
            async { Ok(Answer::new(Outcome::Success, Response::new(full(Bytes::new())))) }
        });
        let service = FetchLayer::new(Some(site.clone())).layer(inner.clone());
        let request = request(6);
        for _ in 0..2 {
            service.clone().oneshot(Attempt::new(request.clone())).await.unwrap();
        }
        assert_eq!(site.fetched(), 6);
        let without = FetchLayer::<Site>::new(None).layer(inner);
        without.oneshot(Attempt::new(request.clone())).await.unwrap();

        let sent = sent.lock().unwrap();
        let clients = std::str::from_utf8(request.body().bytes()).unwrap();
        let url = r#"{"type":"url","url":"https://images.example/a.png"}"#;
        assert_eq!(sent[0], clients.replace(url, BASE64_PNG));
        assert_eq!((&sent[1], &*sent[2]), (&sent[0], clients));
    }

    #[tokio::test]
    async fn one_image_that_cannot_be_fetched_fails_the_attempt() {
        let site = Site::default();
        let inner = tower::service_fn(|_: Attempt| async { panic!("the upstream is called") });
        let service = FetchLayer::new(Some(site.clone())).layer(inner);
        let error = service.oneshot(Attempt::new(request(21))).await.unwrap_err();
        let AttemptError::Image(error) = error else { panic!("{error}") };
        assert_eq!(error.to_string(), "more than 20 images by URL");
        assert_eq!(site.fetched(), 0);
    }
}
