//! A future or a body that is polled only when it has been woken.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Polls its future or its body at first, and then only if it has been woken.
    ///
    /// A task that waits for several things is polled for each of them, and polls all of them. A poll of this type costs two
    /// comparisons and a load unless the inner value was woken. Unlike most futures, it may be polled after its completion, if the
    /// future inside may.
    ///
    /// A body has to wake its task after a pending poll, as its contract requires: it is not polled for any other reason. A body
    /// that is never pending allocates nothing.
    /// ```
    /// use std::future::poll_fn;
    /// use std::task::Poll;
    ///
    /// use relay_stream::body::Woken;
    /// use tokio_test::{assert_pending, task};
    ///
    /// let mut polls = 0;
    /// let rare = Woken::new(poll_fn(|_| -> Poll<()> {
    ///     polls += 1;
    ///     Poll::Pending
    /// }));
    /// let mut task = task::spawn(rare);
    /// for _ in 0..10 {
    ///     assert_pending!(task.poll());
    /// }
    /// drop(task);
    /// assert_eq!(polls, 1);
    /// ```
    #[derive(Debug)]
    pub struct Woken<T> {
        #[pin]
        inner: T,
        // `None` before the first poll of a future, and before the first pending poll of a body.
        registered: Option<Registered>,
    }
}

#[derive(Debug)]
struct Registered {
    alarm: Arc<Alarm>,
    /// The task that the alarm wakes.
    task: Waker,
}

impl<T> Woken<T> {
    /// Wraps `inner`, a future or a body.
    pub fn new(inner: T) -> Self {
        Woken { inner, registered: None }
    }

    /// Returns the future or the body.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the future or the body. The next poll polls it.
    pub fn get_mut(&mut self) -> &mut T {
        if let Some(Registered { alarm, .. }) = &self.registered {
            alarm.is_due.store(true, Ordering::Relaxed);
        }
        &mut self.inner
    }

    /// Returns `true` if the last poll was pending, with the same task, and nothing has woken it since.
    #[inline]
    fn is_quiet(&self, cx: &Context<'_>) -> bool {
        self.registered.as_ref().is_some_and(|registered| registered.is_quiet(cx))
    }

    /// Registers the task, and calls `poll` if that is due.
    fn poll_due<O>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<O>,
    ) -> Poll<O> {
        let this = self.project();
        let Registered { alarm, task } = this.registered.get_or_insert_with(|| Registered::new(cx.waker()));
        if !task.will_wake(cx.waker()) {
            task.clone_from(cx.waker());
            alarm.task().clone_from(task);
        }
        // If it is woken during the poll, the alarm sets it again.
        if !alarm.is_due.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(alarm));
        let output = poll(this.inner, &mut Context::from_waker(&waker));
        if output.is_ready() {
            alarm.is_due.store(true, Ordering::Relaxed);
        }
        output
    }
}

impl<F: Future> Woken<F> {
    #[cold]
    fn poll_due_future(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_due(cx, F::poll)
    }
}

impl<F: Future> Future for Woken<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.is_quiet(cx) { Poll::Pending } else { self.poll_due_future(cx) }
    }
}

impl<B: Body> Body for Woken<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.is_quiet(cx) {
            return Poll::Pending;
        }
        if self.registered.is_none() {
            let this = self.project();
            let next = this.inner.poll_frame(cx);
            if next.is_pending() {
                // The next poll registers a waker of its own. This one ends here: a body may be pending only to let its task go on.
                *this.registered = Some(Registered::new(cx.waker()));
            }
            return next;
        }
        self.poll_due(cx, B::poll_frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Registered {
    fn new(task: &Waker) -> Self {
        let alarm = Alarm { is_due: AtomicBool::new(true), task: Mutex::new(task.clone()) };
        Registered { alarm: Arc::new(alarm), task: task.clone() }
    }

    /// Returns `true` if the future has not been woken, and would wake the task of `cx`.
    #[inline]
    fn is_quiet(&self, cx: &Context<'_>) -> bool {
        self.task.will_wake(cx.waker()) && !self.alarm.is_due.load(Ordering::Acquire)
    }
}

/// The waker of the future. It shows that the future has to be polled, and wakes the task.
#[derive(Debug)]
struct Alarm {
    is_due: AtomicBool,
    task: Mutex<Waker>,
}

impl Alarm {
    fn task(&self) -> MutexGuard<'_, Waker> {
        // Every waker is valid, also after a panic in another thread.
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_due.store(true, Ordering::Release);
        // A task that is set later sees that the future is due.
        let task = self.task().clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::pin::pin;

    use bytes::Bytes;
    use futures_util::StreamExt;
    use futures_util::future::join;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use tokio::sync::{mpsc, oneshot};
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn the_future_is_polled_when_it_was_woken_and_at_no_other_time() {
        let (sender, receiver) = oneshot::channel();
        let mut polls = 0;
        let mut receiver = pin!(receiver);
        let counted = poll_fn(|cx| {
            polls += 1;
            receiver.as_mut().poll(cx)
        });
        let mut task = task::spawn(Woken::new(counted));
        for _ in 0..5 {
            assert_pending!(task.poll());
        }
        assert!(!task.is_woken());
        sender.send(1).unwrap();
        assert!(task.is_woken());
        assert_eq!(assert_ready!(task.poll()), Ok(1));
        drop(task);
        assert_eq!(polls, 2);
    }

    #[test]
    fn only_the_task_that_has_polled_last_is_woken() {
        let (sender, receiver) = oneshot::channel();
        let mut future = pin!(Woken::new(receiver));
        let (mut first, mut second) = (task::spawn(()), task::spawn(()));
        assert_pending!(first.enter(|cx, _| future.as_mut().poll(cx)));
        assert_pending!(second.enter(|cx, _| future.as_mut().poll(cx)));
        sender.send(()).unwrap();
        assert!(!first.is_woken() && second.is_woken());
        assert!(assert_ready!(second.enter(|cx, _| future.as_mut().poll(cx))).is_ok());
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_again() {
        let mut polls = 0;
        let yields = poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
        });
        let mut task = task::spawn(Woken::new(yields));
        for _ in 0..2 {
            assert_pending!(task.poll());
            assert!(task.is_woken());
        }
        assert_eq!(assert_ready!(task.poll()), 3);
    }

    /// Returns a body of the data that `poll` returns.
    fn polled(
        poll: impl FnMut(&mut Context<'_>) -> Poll<Option<&'static str>>,
    ) -> impl Body<Data = Bytes, Error = Infallible> {
        StreamBody::new(stream::poll_fn(poll).map(|data| Ok(Frame::data(Bytes::from(data)))))
    }

    #[tokio::test]
    async fn a_body_is_polled_until_it_is_pending_and_then_when_it_was_woken() {
        let polls = Cell::new(0);
        let (sender, mut receiver) = mpsc::channel(2);
        let mut body = pin!(Woken::new(polled(|cx| {
            polls.set(polls.get() + 1);
            receiver.poll_recv(cx)
        })));
        let mut task = task::spawn(());
        let mut poll = |body: &mut Pin<&mut Woken<_>>| {
            let next = task.enter(|cx, _| body.as_mut().poll_frame(cx));
            let next = next.map_ok(|frame| frame.into_data().unwrap()).map(Option::transpose);
            (next, polls.take())
        };
        let data = |text: &'static str| Poll::Ready(Ok(Some(Bytes::from(text))));
        sender.send("1").await.unwrap();
        assert_eq!(poll(&mut body), (data("1"), 1));
        // The poll after the first pending one registers a waker of its own.
        assert_eq!(poll(&mut body), (Poll::Pending, 1));
        assert_eq!(poll(&mut body), (Poll::Pending, 1));
        for _ in 0..5 {
            assert_eq!(poll(&mut body), (Poll::Pending, 0));
        }
        sender.send("2").await.unwrap();
        sender.send("3").await.unwrap();
        assert_eq!(poll(&mut body), (data("2"), 1));
        assert_eq!(poll(&mut body), (data("3"), 1));
        assert_eq!(poll(&mut body), (Poll::Pending, 1));
        assert_eq!(poll(&mut body), (Poll::Pending, 0));
        drop(sender);
        assert_eq!(poll(&mut body), (Poll::Ready(Ok(None)), 1));
    }

    #[test]
    fn a_pending_poll_of_a_body_ends_the_poll_also_if_it_wakes_the_task() {
        let (mut is_pending, mut data) = (false, Some("{}"));
        let mut body = pin!(Woken::new(polled(|cx| {
            is_pending = !is_pending;
            if is_pending {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(data.take())
        })));
        let mut task = task::spawn(());
        for is_end in [false, true] {
            assert_pending!(task.enter(|cx, _| body.as_mut().poll_frame(cx)));
            assert!(task.is_woken());
            let next = assert_ready!(task.enter(|cx, _| body.as_mut().poll_frame(cx)));
            assert_eq!(next.is_none(), is_end);
        }
    }

    #[test]
    fn a_body_that_is_never_pending_registers_nothing() {
        let mut body = pin!(Woken::new(Full::new(Bytes::from("{}"))));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(2), false));
        let mut task = task::spawn(());
        for is_end in [false, true] {
            let next = assert_ready!(task.enter(|cx, _| body.as_mut().poll_frame(cx)));
            assert_eq!(next.is_none(), is_end);
        }
        assert!(body.is_end_stream() && body.registered.is_none());
    }

    #[tokio::test]
    async fn no_wake_from_another_thread_is_lost() {
        for _ in 0..1000 {
            let (first, receiver) = oneshot::channel();
            let (second, other) = oneshot::channel();
            let thread = std::thread::spawn(move || (first.send(1), second.send(2)));
            assert_eq!(join(Woken::new(receiver), Woken::new(other)).await, (Ok(1), Ok(2)));
            thread.join().unwrap().0.unwrap();
        }
    }
}
