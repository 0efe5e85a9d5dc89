//! Images by URL, fetched for upstreams that accept base64 alone.
//!
//! ```text
//! URLs ─▶ Fetcher::fetch_all ─ at most 4 at a time ─▶ lookup ▸ check each address ▸ TCP ▸ TLS ▸ GET ─▶ Image
//!                                                       ▲                                  │
//!                                                       └──────────── redirect ◀───────────┘
//! ```
//! A URL comes from a client, and the relay can reach what the client cannot: a private network, or the metadata service of
//! a cloud. So only `https` URLs are fetched. Each address is checked after the lookup of its name, and the connection goes
//! to a checked address; a redirect is checked again. A request carries no credential. Size, time and count are bounded.
//!
//! No proxy is used: it would look the name up itself, after the check, and in its own network.

mod address;
mod error;
mod fetcher;
mod image;
mod public_hosts;
mod target;

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;

pub use error::FetchError;
pub use fetcher::Fetcher;
pub use image::Image;

/// The largest number of images by URL in one request. The Messages API accepts a hundred images, but each URL makes the
/// relay send a request for a client.
const MAX_IMAGES: usize = 20;
/// The largest size of a request's images together, in bytes: the strictest upstream's body limit, less the growth by
/// base64.
const MAX_TOTAL: usize = 15 * 1024 * 1024;
/// The number of images that are fetched at the same time for one request.
const PARALLEL: usize = 4;

impl Fetcher {
    /// Fetches the images at `urls`, at most 4 at the same time. Returns them in the order of their URLs.
    ///
    /// # Errors
    /// [`FetchError`] of the first image that cannot be fetched; [`FetchError::TooMany`] for more than 20 URLs;
    /// [`FetchError::TooLarge`] if the images have more than 15 MiB together.
    pub async fn fetch_all(&self, urls: &[String]) -> Result<Vec<Image>, FetchError> {
        if urls.len() > MAX_IMAGES {
            return Err(FetchError::TooMany { limit: MAX_IMAGES });
        }
        let turns = Semaphore::new(PARALLEL);
        let fetches = urls.iter().map(|url| {
            let turns = &turns;
            let fetch = async move {
                // The semaphore is never closed.
                let _turn = turns.acquire().await;
                self.fetch(url).await
            };
            Box::pin(fetch) as Pin<Box<dyn Future<Output = Result<Image, FetchError>> + Send + '_>>
        });
        let images = TryAll(fetches.map(Slot::Running).collect()).await?;
        if images.iter().map(Image::len).sum::<usize>() > MAX_TOTAL {
            return Err(FetchError::TooLarge { limit: MAX_TOTAL });
        }
        Ok(images)
    }
}

/// Futures that run concurrently until all are done or one fails.
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
    type Output = Result<Vec<T>, FetchError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slots = &mut self.get_mut().0;
        let mut is_pending = false;
        for slot in slots.iter_mut() {
            let Slot::Running(future) = slot else { continue };
            match Pin::new(future).poll(cx) {
                Poll::Ready(Ok(done)) => *slot = Slot::Done(Some(done)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
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
