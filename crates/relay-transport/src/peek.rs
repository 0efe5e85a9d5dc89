//! Reads the start of a body, and returns a body that still contains it.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;

use crate::body::{AnswerBody, AnswerBodyError, with_length};

/// The result of [`read_start`].
#[derive(Debug)]
pub enum Start {
    /// The complete body.
    Whole(Bytes),
    /// The start, and the body from its first byte, the start included.
    Part(Bytes, AnswerBody),
}

/// Reads `body` until it ends or fails, at least `limit` bytes have arrived, or `time` has passed.
pub async fn read_start(mut body: AnswerBody, limit: usize, time: Duration) -> Start {
    if let Some(bytes) = body.as_whole().filter(|bytes| bytes.len() < limit) {
        return Start::Whole(bytes.clone());
    }
    let mut start = Gathered::default();
    let reading = async {
        while start.len() < limit {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        start.add(data);
                    }
                }
                Some(Err(error)) => return End::Failed(error),
                None => return End::Reached,
            }
        }
        End::Ahead
    };
    let end = match time {
        Duration::MAX => reading.await,
        time => tokio::time::timeout(time, reading).await.unwrap_or(End::Ahead),
    };
    let start = start.into_bytes();
    match end {
        End::Reached => Start::Whole(start),
        End::Failed(error) => {
            Start::Part(start.clone(), AnswerBody::new(Resumed::new(start, Some(error), body)))
        }
        End::Ahead if body.is_end_stream() => Start::Part(start.clone(), AnswerBody::from(start)),
        End::Ahead => Start::Part(start.clone(), body.with_start(start)),
    }
}

/// The bytes of a body that have been read. The first frame is not copied: many bodies have only one.
#[derive(Debug, Default)]
pub struct Gathered {
    first: Bytes,
    /// All bytes, from the second frame on.
    all: BytesMut,
}

impl Gathered {
    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    /// Returns `true` if there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the bytes of the next frame.
    pub fn add(&mut self, data: Bytes) {
        if self.is_empty() {
            self.first = data;
        } else {
            self.all.extend_from_slice(&mem::take(&mut self.first));
            self.all.extend_from_slice(&data);
        }
    }

    /// Returns all bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

enum End {
    Reached,
    Ahead,
    Failed(AnswerBodyError),
}

pin_project! {
    /// A body whose start has been read.
    pub struct Resumed<B: Body> {
        start: Option<Bytes>,
        failed: Option<B::Error>,
        #[pin]
        rest: B,
    }
}

impl<B: Body> Resumed<B> {
    /// A body of `start`, then the error that followed it or, without one, `rest`.
    pub fn new(start: Bytes, failed: Option<B::Error>, rest: B) -> Self {
        Self { start: Some(start), failed, rest }
    }
}

impl<B: Body<Data = Bytes>> Body for Resumed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(start) = this.start.take().filter(|start| !start.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(start))));
        }
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        this.rest.poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        with_length(self.rest.size_hint(), self.start.as_ref().map_or(0, Bytes::len))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Channel, channel::Sender};

    use super::*;

    fn channel() -> (Sender<Bytes, AnswerBodyError>, AnswerBody) {
        let (sender, body) = Channel::new(8);
        (sender, AnswerBody::new(body))
    }

    async fn send(sender: &mut Sender<Bytes, AnswerBodyError>, text: &'static str) {
        sender.send_data(Bytes::from_static(text.as_bytes())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_body_is_read_completely() {
        let (mut sender, body) = channel();
        send(&mut sender, "ab").await;
        send(&mut sender, "cd").await;
        drop(sender);
        assert!(
            matches!(read_start(AnswerBody::new(body), 100, Duration::MAX).await, Start::Whole(bytes) if bytes == "abcd")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_or_slow_body_keeps_all_its_bytes() {
        for limit in [2, 100] {
            let (mut sender, body) = channel();
            send(&mut sender, "ab").await;
            let Start::Part(start, body) =
                read_start(AnswerBody::new(body), limit, Duration::from_secs(1)).await
            else {
                panic!("the body has not ended");
            };
            assert_eq!(start, "ab");
            send(&mut sender, "cd").await;
            drop(sender);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "abcd");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_follows_the_bytes_read_before_it() {
        let (mut sender, body) = channel();
        send(&mut sender, "ab").await;
        sender.abort(AnswerBodyError::Scripted);
        let Start::Part(_, mut body) = read_start(AnswerBody::new(body), 100, Duration::MAX).await else {
            panic!("the body has not ended");
        };
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(matches!(body.frame().await, Some(Err(AnswerBodyError::Scripted))));
    }
}
