//! A future that is polled only when it has been woken.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

pin_project! {
    /// Polls its future at first, and then only if the future has been woken.
    ///
    /// A task that waits for several things is polled for each of them, and polls all of them. A poll of this future costs two
    /// comparisons and a load unless the future was woken. Unlike most futures, it may be polled after its completion, if the future
    /// inside may.
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
    pub struct Woken<F> {
        #[pin]
        future: F,
        // `None` before the first poll.
        registered: Option<Registered>,
    }
}

#[derive(Debug)]
struct Registered {
    alarm: Arc<Alarm>,
    /// The task that the alarm wakes.
    task: Waker,
}

impl<F> Woken<F> {
    /// Wraps `future`.
    pub fn new(future: F) -> Self {
        Woken { future, registered: None }
    }

    /// Returns the future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Returns the future. The next poll polls it.
    pub fn get_mut(&mut self) -> &mut F {
        if let Some(Registered { alarm, .. }) = &self.registered {
            alarm.is_due.store(true, Ordering::Relaxed);
        }
        &mut self.future
    }
}

impl<F: Future> Woken<F> {
    /// Registers the task, and polls the future if that is due.
    #[cold]
    fn poll_due(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Registered { alarm, task } = this.registered.get_or_insert_with(|| Registered::new(cx.waker()));
        if !task.will_wake(cx.waker()) {
            task.clone_from(cx.waker());
            alarm.task().clone_from(task);
        }
        // If the future is woken during the poll, the alarm sets it again.
        if !alarm.is_due.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(alarm));
        let output = this.future.poll(&mut Context::from_waker(&waker));
        if output.is_ready() {
            alarm.is_due.store(true, Ordering::Relaxed);
        }
        output
    }
}

impl<F: Future> Future for Woken<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match &self.registered {
            Some(registered) if registered.is_quiet(cx) => Poll::Pending,
            _ => self.poll_due(cx),
        }
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
    use std::future::poll_fn;
    use std::pin::pin;

    use futures_util::future::join;
    use tokio::sync::oneshot;
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
