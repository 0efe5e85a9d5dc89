//! Images by URL, fetched for upstreams that accept base64 alone.
//!
//! ```text
//! URLs ─▶ Fetcher::fetch_each ─ at most 4 at a time ─▶ lookup ▸ check each address ▸ TCP ▸ TLS ▸ GET ─▶ Image
//!                                                       ▲                                  │
//!                                                       └──────────── redirect ◀───────────┘
//! ```
//! A URL comes from a client, and the relay can reach what the client cannot: a private network, or the metadata service of
//! a cloud. So only `https` URLs are fetched. Each address is checked after the lookup of its name, and the connection goes
//! to a checked address; a redirect is checked again. A request carries no credential. Size, time and count are bounded.
//!
//! No proxy is used: it would look the name up itself, after the check, and in its own network.

mod address;
mod fetcher;
mod image;
mod public_hosts;
mod target;

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;

use crate::image_error::FetchError;
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
    /// Fetches the images at `urls`, at most 4 at the same time. Returns the result for each, in the order of the URLs:
    /// [`FetchError::TooMany`] for each of more than 20 URLs, and [`FetchError::TooLarge`] for the earlier ones of images
    /// that have more than 15 MiB together.
    pub async fn fetch_each(&self, urls: &[String]) -> Vec<Result<Image, FetchError>> {
        if urls.len() > MAX_IMAGES {
            return urls.iter().map(|_| Err(FetchError::TooMany { limit: MAX_IMAGES })).collect();
        }
        let turns = Semaphore::new(PARALLEL);
        let fetches = urls.iter().map(|url| {
            let turns = &turns;
            let fetch = async move {
                // The semaphore is never closed.
                let _turn = turns.acquire().await;
                self.fetch(url).await
            };
            Slot::Running(Box::pin(fetch) as Pin<Box<dyn Future<Output = _> + Send + '_>>)
        });
        let mut images = JoinAll(fetches.collect()).await;
        refuse_more_than(MAX_TOTAL, &mut images);
        images
    }
}

/// Replaces the images before the last `limit` bytes by errors: the end of a conversation matters most.
fn refuse_more_than(limit: usize, images: &mut [Result<Image, FetchError>]) {
    let mut total = 0;
    for result in images.iter_mut().rev() {
        let Ok(image) = result else { continue };
        total += image.len();
        if total > limit {
            *result = Err(FetchError::TooLarge { limit });
        }
    }
}

/// Futures that run concurrently until all are done.
struct JoinAll<F, T>(Vec<Slot<F, T>>);

enum Slot<F, T> {
    Running(F),
    Done(Option<T>),
}

impl<F: Future<Output = T> + Unpin, T: Unpin> Future for JoinAll<F, T> {
    type Output = Vec<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slots = &mut self.get_mut().0;
        let mut is_pending = false;
        for slot in slots.iter_mut() {
            let Slot::Running(future) = slot else { continue };
            match Pin::new(future).poll(cx) {
                Poll::Ready(done) => *slot = Slot::Done(Some(done)),
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
        Poll::Ready(done.collect())
    }
}

#[cfg(test)]
mod tests;
