//! The open spans of the log.
//!
//! tracing-subscriber's registry keeps a place of 160 bytes for each span, and a map of 160 bytes in it, until the process ends: 8000
//! streams at one time would leave 13 MB. Here, an open span has two allocations, which are freed when it closes.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::Metadata;
use tracing::span::Id;

/// The number of locks. A thread adds all of its spans under one of them, so that few threads share one.
const SHARDS: usize = 16;

thread_local! {
    /// The spans that the thread has entered, the innermost last. A process has one log.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
    /// The shard of the thread's new spans.
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of threads that have added a span.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The open spans. It grows with the largest number of spans that were open at one time, by 12 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Spans([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    spans: Vec<Option<Box<OpenSpan>>>,
    /// The indices of the empty places.
    free: Vec<u32>,
}

/// An open span.
#[derive(Debug)]
pub(super) struct OpenSpan {
    pub(super) metadata: &'static Metadata<'static>,
    /// The fields, as text in the format of the log.
    pub(super) fields: Box<str>,
    /// The span around it, of which it is a reference.
    parent: Option<Id>,
    references: usize,
}

impl Spans {
    /// Opens a span with one reference.
    pub(super) fn open(
        &self,
        metadata: &'static Metadata<'static>,
        parent: Option<&Id>,
        fields: Box<str>,
    ) -> Id {
        let parent = parent.filter(|parent| self.retain(parent)).cloned();
        let span = Box::new(OpenSpan { metadata, fields, parent, references: 1 });
        let number = shard_of_this_thread();
        let index = lock(&self.0[number]).add(span);
        id_of(number, index)
    }

    /// Adds a reference to a span. Returns `false` if it is not open.
    pub(super) fn retain(&self, id: &Id) -> bool {
        self.with(id, |span| span.references += 1).is_some()
    }

    /// Removes a reference to a span, and closes it with the last one. Returns `true` if it has closed.
    pub(super) fn release(&self, id: &Id) -> bool {
        let Some(closed) = self.take_unused(id) else { return false };
        let mut parent = closed.parent;
        while let Some(closed) = parent.and_then(|id| self.take_unused(&id)) {
            parent = closed.parent;
        }
        true
    }

    /// Calls `visit` with a span, if it is open. `visit` must not log: it runs under the lock of the span.
    pub(super) fn with<R>(&self, id: &Id, visit: impl FnOnce(&mut OpenSpan) -> R) -> Option<R> {
        let (shard, index) = self.place(id);
        lock(shard).spans.get_mut(index)?.as_deref_mut().map(visit)
    }

    /// Calls `visit` with each span from the outermost one to `id`. `visit` must not log.
    pub(super) fn outermost_first(&self, id: &Id, visit: &mut dyn FnMut(&OpenSpan)) {
        let Some(parent) = self.with(id, |span| span.parent.clone()) else { return };
        if let Some(parent) = parent {
            self.outermost_first(&parent, visit);
        }
        self.with(id, |span| visit(span));
    }

    /// Removes a reference to a span. Returns the span if it was the last one.
    fn take_unused(&self, id: &Id) -> Option<Box<OpenSpan>> {
        let (shard, index) = self.place(id);
        lock(shard).release(index)
    }

    fn place(&self, id: &Id) -> (&Mutex<Shard>, usize) {
        let number = id.into_u64() - 1;
        (&self.0[number as usize % SHARDS], number as usize / SHARDS)
    }
}

impl Shard {
    fn add(&mut self, span: Box<OpenSpan>) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.spans[index as usize] = Some(span);
                index as usize
            }
            None => {
                self.spans.push(Some(span));
                self.spans.len() - 1
            }
        }
    }

    fn release(&mut self, index: usize) -> Option<Box<OpenSpan>> {
        let place = self.spans.get_mut(index)?;
        let span = place.as_deref_mut()?;
        span.references -= 1;
        if span.references > 0 {
            return None;
        }
        self.free.extend(u32::try_from(index));
        place.take()
    }
}

/// Enters a span in this thread.
pub(super) fn enter(id: &Id) {
    // At the end of a thread, its spans are gone before the last values that may log.
    let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(id.clone()));
}

/// Exits a span that this thread has entered.
pub(super) fn exit(id: &Id) {
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if let Some(index) = entered.iter().rposition(|entered| entered == id) {
            entered.remove(index);
        }
    });
}

/// Returns the span that this thread has entered last.
pub(super) fn current() -> Option<Id> {
    ENTERED.try_with(|entered| entered.borrow().last().cloned()).ok().flatten()
}

fn shard_of_this_thread() -> usize {
    let shard = SHARD.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
    SHARD.set(Some(shard));
    shard
}

fn id_of(shard: usize, index: usize) -> Id {
    let number = (index * SHARDS + shard) as u64;
    Id::from_non_zero_u64(NonZeroU64::MIN.saturating_add(number))
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> &'static Metadata<'static> {
        let span = || tracing::error_span!("span").metadata();
        tracing::subscriber::with_default(tracing_subscriber::registry(), span).unwrap()
    }

    fn fields(spans: &Spans, id: &Id) -> Vec<String> {
        let mut all = Vec::new();
        spans.outermost_first(id, &mut |span| all.push(span.fields.to_string()));
        all
    }

    #[test]
    fn a_span_stays_open_while_another_one_is_within_it() {
        let spans = Spans::default();
        let outer = spans.open(metadata(), None, "outer".into());
        let inner = spans.open(metadata(), Some(&outer), "inner".into());
        assert!(!spans.release(&outer));
        assert_eq!(fields(&spans, &inner), ["outer", "inner"]);

        assert!(spans.retain(&inner));
        assert!(!spans.release(&inner));
        assert!(spans.release(&inner));
        assert!(fields(&spans, &outer).is_empty());
        assert!(!spans.retain(&outer) && !spans.release(&outer) && !spans.release(&inner));
    }

    #[test]
    fn a_closed_span_leaves_its_place_to_the_next_one() {
        let spans = Spans::default();
        let open: Vec<_> = (0..100).map(|_| spans.open(metadata(), None, "".into())).collect();
        assert!(open.iter().all(|id| spans.release(id)));
        let again: Vec<_> = (0..100).map(|_| spans.open(metadata(), None, "".into())).collect();
        assert!(again.iter().all(|id| open.contains(id)));
        assert_eq!(size_of::<OpenSpan>(), 40);
    }

    #[test]
    fn spans_may_be_exited_in_any_order() {
        let spans = Spans::default();
        let [first, second] = [(); 2].map(|()| spans.open(metadata(), None, "".into()));
        enter(&first);
        enter(&second);
        exit(&first);
        assert_eq!(current(), Some(second.clone()));
        exit(&second);
        exit(&second);
        assert_eq!(current(), None);
    }
}
