//! Fetches images by URL for upstreams that accept only base64.
//!
//! ```text
//! Attempt ─images by URL?─▶ Fetcher ─▶ each source becomes base64, for this attempt
//!              none: on      once for a request, at the first need
//! ```
//! If an image cannot be fetched, the attempt fails while another provider can be tried. In the last attempt, a text takes the
//! place of the image, so that the conversation can go on.
//!
//! The download itself, with its checks and bounds, is left to [`relay_transport::Fetcher`].

mod fetched;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use relay_messages::{Edits, ErrorChain, MessagesBody, Node};
use relay_transport::{FetchError, Fetcher, Image};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::adapt::with_replaced;
use crate::answer::{Answer, AttemptError};
use crate::attempt_future::AttemptFuture;
use crate::request::Attempt;
use crate::time_limit::within;
pub(crate) use fetched::FetchedImages;

/// A client that downloads images.
pub trait FetchImages: Clone + Send + Sync + 'static {
    /// Returns the images at `urls`, in the order of their URLs. Each that cannot be fetched is an error.
    fn fetch_each(&self, urls: &[String]) -> impl Future<Output = Vec<Result<Image, FetchError>>> + Send;
}

impl FetchImages for Fetcher {
    async fn fetch_each(&self, urls: &[String]) -> Vec<Result<Image, FetchError>> {
        Fetcher::fetch_each(self, urls).await
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
    type Future = AttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let fetcher = self.fetcher.as_ref().filter(|_| attempt.request().body().has_images_by_url());
        let Some(fetcher) = fetcher.cloned() else { return AttemptFuture::inner(self.inner.call(attempt)) };
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        AttemptFuture::further(async move {
            let (limit, since) = (attempt.head_timeout(), Instant::now());
            let replaced = within(limit, embed(&fetcher, &mut attempt)).await?;
            let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
            let answer = ready.call(attempt.with_head_timeout(left)).await?;
            Ok(if replaced > 0 { with_replaced(answer, &format!("image ({replaced})")) } else { answer })
        })
    }
}

/// Replaces the URL of each image in `attempt` with the image. If no other candidate can be tried, puts a text in the place of
/// each image that cannot be fetched. Returns the number of these images.
async fn embed<F: FetchImages>(fetcher: &F, attempt: &mut Attempt) -> Result<usize, AttemptError> {
    let request = attempt.request().clone();
    let images = request.images().get_or_init(|| fetch_all(fetcher, request.body())).await;
    let mut replaced = 0;
    for (image, source) in images_by_url(request.body()) {
        let fetched = images.iter().find(|(at, _)| *at == source.span().start);
        match fetched.map(|(_, fetched)| fetched) {
            None => {}
            Some(Ok(fetched)) => attempt.edits_mut().replace_at(source, fetched.clone()),
            Some(Err(error)) if attempt.has_fallback() => return Err(AttemptError::Image(Arc::clone(error))),
            Some(Err(error)) => {
                let reason = ErrorChain(&**error).to_string();
                tracing::warn!(reason, "an image cannot be fetched; a text takes its place");
                put_text(image, source, attempt.edits_mut());
                replaced += 1;
            }
        }
    }
    Ok(replaced)
}

/// Turns the block `image` into a text block. Its members other than `source` stay.
fn put_text(image: Node<'_>, source: Node<'_>, edits: &mut Edits) {
    let url = source.get("url").and_then(Node::as_str).unwrap_or_default();
    let text = serde_json::Value::from(format!("[an image that could not be loaded] ({url})"));
    if let Some(kind) = image.get("type") {
        edits.replace_at(kind, Bytes::from_static(b"\"text\""));
    }
    edits.remove_at(source);
    edits.unshift_at(image, Bytes::from(format!("\"text\":{text}")));
}

/// The images whose sources are URLs, each with its source.
fn images_by_url(body: &MessagesBody) -> impl Iterator<Item = (Node<'_>, Node<'_>)> {
    let images = body.blocks().filter(|block| block.get("type").is_some_and(|kind| kind.is("image")));
    let with_source = images.filter_map(|image| Some((image, image.get("source")?)));
    with_source.filter(|(_, source)| source.get("type").is_some_and(|kind| kind.is("url")))
}

async fn fetch_all<F: FetchImages>(fetcher: &F, body: &MessagesBody) -> FetchedImages {
    let (positions, urls): (Vec<usize>, Vec<String>) = images_by_url(body)
        .map(|(_, source)| {
            let url = source.get("url").and_then(Node::as_str).unwrap_or_default();
            (source.span().start, url.into_owned())
        })
        .unzip();
    let images = fetcher.fetch_each(&urls).await.into_iter();
    let sources = images.map(|image| image.map(|image| image.base64_source()).map_err(Arc::new));
    positions.into_iter().zip(sources).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{HeaderMap, Response};
    use relay_messages::MessagesBody;
    use tower::ServiceExt;

    use super::*;
    use crate::answer::AnswerBody;
    use crate::outcome::Outcome;
    use crate::request::{Endpoint, RelayRequest};

    const BASE64_PNG: &str =
        r#"{"type":"base64","media_type":"image/png","data":"iVBORw0KGgogYW5kIHNvIG9u"}"#;

    /// Returns the same image for each URL of `images.example`, and records the URLs.
    #[derive(Clone, Default)]
    struct Site(Arc<Mutex<Vec<String>>>);

    impl FetchImages for Site {
        async fn fetch_each(&self, urls: &[String]) -> Vec<Result<Image, FetchError>> {
            self.0.lock().unwrap().extend_from_slice(urls);
            let png = || Image::read(Bytes::from_static(b"\x89PNG\r\n\x1a\n and so on")).unwrap();
            let too_many = urls.len() > 20;
            urls.iter()
                .map(|_| if too_many { Err(FetchError::TooMany { limit: 20 }) } else { Ok(png()) })
                .collect()
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
            async { Ok(Answer::new(Outcome::Success, Response::new(AnswerBody::default()))) }
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
    async fn one_image_that_cannot_be_fetched_fails_the_attempt_while_another_can_be_made() {
        let inner = tower::service_fn(|_: Attempt| async { panic!("the upstream is called") });
        let service = FetchLayer::new(Some(Site::default())).layer(inner);
        let error = service.oneshot(Attempt::new(request(21)).with_has_fallback(true)).await.unwrap_err();
        let AttemptError::Image(error) = error else { panic!("{error}") };
        assert_eq!(error.to_string(), "more than 20 images by URL");
    }

    #[tokio::test]
    async fn images_that_cannot_be_fetched_become_texts_in_the_last_attempt() {
        let inner = tower::service_fn(|attempt: Attempt| async move {
            let body: serde_json::Value = serde_json::from_slice(&attempt.payload().to_bytes()).unwrap();
            let text = "[an image that could not be loaded] (https://images.example/a.png)";
            let block = serde_json::json!({"text": text, "type": "text", "x": 1.5});
            assert_eq!(body["messages"][0]["content"][0]["content"], serde_json::json!(vec![block; 21]));
            Ok(Answer::new(Outcome::Success, Response::new(AnswerBody::default())))
        });
        let service = FetchLayer::new(Some(Site::default())).layer(inner);
        let answer = service.oneshot(Attempt::new(request(21))).await.unwrap();
        assert_eq!(answer.response.headers()["x-cc-relay-replaced"], "image (21)");
    }
}
