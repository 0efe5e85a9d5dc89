//! Bounds the bytes of request bodies that the relay holds at one time (`server.max_buffered_bytes`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::error::Error;

/// The largest body that may use the share of the budget kept for small bodies, in bytes.
const SMALL: usize = 1024 * 1024;
/// The divisor of the budget that gives the share kept for small bodies.
const SMALL_SHARE: usize = 8;

/// The bytes of request bodies that all requests may hold together. Cloning shares the budget.
///
/// Bodies of at most 1 MiB may use all of it. Larger bodies leave one eighth free, so that a flood of them does not stop
/// the usual requests. A body that is the only larger one may use all of it, too.
#[derive(Debug, Clone)]
pub(crate) struct BodyBudget {
    limit: usize,
    /// Shared with the budgets before, whose bodies may still be held. Locked for the time of an addition only.
    used: Arc<Mutex<Used>>,
}

/// The bytes that are in use.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    /// The bytes of all bodies.
    total: usize,
    /// The bytes of the bodies that are not small.
    large: usize,
}

/// The bytes that one request holds. Dropping it returns them to the budget.
#[derive(Debug)]
pub(crate) struct BodyPermit {
    budget: BodyBudget,
    bytes: usize,
}

/// A body and its permit, which are dropped together.
struct Held {
    body: Bytes,
    _permit: BodyPermit,
}

impl BodyBudget {
    /// Creates a budget of `limit` bytes. `None` is no limit.
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit: limit.unwrap_or(usize::MAX), used: Arc::default() }
    }

    /// Counts the bytes that bodies hold from `before`, an earlier budget, and the other way around.
    pub(crate) fn inherit_state(mut self, before: &Self) -> Self {
        self.used = Arc::clone(&before.used);
        self
    }

    /// Returns a permit for no bytes, which [`BodyPermit::resize`] enlarges.
    pub(super) fn permit(&self) -> BodyPermit {
        BodyPermit { budget: self.clone(), bytes: 0 }
    }

    /// Returns `true` if a body of `bytes` is not small. In a small budget, a small body fits into the kept share.
    fn is_large(&self, bytes: usize) -> bool {
        bytes > SMALL.min(self.kept())
    }

    /// The share of the budget that is kept for small bodies, in bytes.
    fn kept(&self) -> usize {
        self.limit / SMALL_SHARE
    }

    /// Replaces `from` bytes of one body by `to`. Returns `false`, and changes nothing, if the body grows and does not fit.
    fn replace(&self, from: usize, to: usize) -> bool {
        let mut used = self.used();
        let after = self.after(&used, from, to);
        let fits = after.is_some();
        *used = after.unwrap_or(*used);
        fits
    }

    /// Returns the bytes in use after `from` bytes of one body have been replaced by `to`, or `None` if they do not fit.
    fn after(&self, used: &Used, from: usize, to: usize) -> Option<Used> {
        let large = |bytes| if self.is_large(bytes) { bytes } else { 0 };
        let other_large = used.large - large(from);
        let after = Used {
            total: (used.total - from).saturating_add(to),
            large: other_large.saturating_add(large(to)),
        };
        let is_crowded = self.is_large(to) && other_large > 0 && after.large > self.limit - self.kept();
        (to <= from || after.total <= self.limit && !is_crowded).then_some(after)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyPermit {
    /// Changes the number of bytes that the request holds to `bytes`.
    ///
    /// # Errors
    /// [`Error::BuffersFull`] if the bodies of all requests would exceed the budget. The permit then stays as it is.
    pub(super) fn resize(&mut self, bytes: usize) -> Result<(), Error> {
        if !self.budget.replace(self.bytes, bytes) {
            return Err(Error::BuffersFull { limit: self.budget.limit });
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Checks if the request could hold `bytes` at this moment, without holding them.
    ///
    /// # Errors
    /// [`Error::BuffersFull`] if it could not.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Error> {
        let used = *self.budget.used();
        let after = self.budget.after(&used, self.bytes, bytes);
        after.map(drop).ok_or(Error::BuffersFull { limit: self.budget.limit })
    }

    /// The number of bytes that the request holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ties the permit to `body`: it is returned when the last slice of `body` is dropped, which may be after the request.
    pub(super) fn attach(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Held { body, _permit: self })
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        self.budget.replace(self.bytes, 0);
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    /// Returns a permit for `bytes`, or `None` if the budget does not allow it.
    fn hold(budget: &BodyBudget, bytes: usize) -> Option<BodyPermit> {
        let mut permit = budget.permit();
        permit.resize(bytes).ok().map(|()| permit)
    }

    #[test]
    fn large_bodies_leave_a_share_to_small_ones() {
        let budget = BodyBudget::new(Some(64 * MIB));
        let large: Vec<_> = (0..8).map_while(|_| hold(&budget, 8 * MIB)).collect();
        assert_eq!(large.len(), 7);
        let small: Vec<_> = (0..16).map_while(|_| hold(&budget, MIB)).collect();
        assert_eq!(small.len(), 8);
        assert!(hold(&budget, 1).is_none());
        drop(large);
        assert!(hold(&budget, 32 * MIB).is_some());
    }

    #[test]
    fn a_body_counts_as_large_once_it_has_grown_beyond_the_size_of_a_small_one() {
        let budget = BodyBudget::new(Some(16 * MIB));
        let first = hold(&budget, 13 * MIB).unwrap();
        let mut second = hold(&budget, MIB).unwrap();
        assert!(second.resize(2 * MIB).is_err());
        assert_eq!(second.bytes(), MIB);
        drop(first);
        second.resize(16 * MIB).unwrap();
        second.resize(MIB).unwrap();
        let used = budget.used();
        assert_eq!((used.total, used.large), (MIB, 0));
        drop(used);
    }

    #[test]
    fn a_budget_counts_the_bodies_of_the_one_before() {
        let before = BodyBudget::new(Some(16 * MIB));
        let held = hold(&before, 3 * MIB).unwrap();
        let after = BodyBudget::new(Some(4 * MIB)).inherit_state(&before);
        assert!(hold(&after, 2 * MIB).is_none());
        assert!(hold(&after, MIB).is_none(), "the kept share makes a body above 512 KiB a large one");
        assert!(hold(&after, MIB / 2).is_some());
        drop(held);
        assert!(hold(&after, 4 * MIB).is_some());
        let used = *after.used();
        assert_eq!((used.total, used.large), (0, 0));
    }

    #[test]
    fn a_check_holds_nothing() {
        let budget = BodyBudget::new(Some(1000));
        let permit = hold(&budget, 400).unwrap();
        assert!(permit.check(1000).is_ok());
        assert!(permit.check(1001).is_err());
        assert_eq!((permit.bytes(), budget.used().total), (400, 400));
    }

    #[test]
    fn a_lone_body_may_use_the_whole_budget_and_no_more() {
        let budget = BodyBudget::new(Some(1000));
        assert!(hold(&budget, 1000).is_some());
        assert!(hold(&budget, 1001).is_none());
        assert!(hold(&BodyBudget::new(None), usize::MAX).is_some());
    }

    #[test]
    fn the_bytes_are_returned_with_the_last_slice_of_the_body() {
        let budget = BodyBudget::new(Some(1000));
        let body = hold(&budget, 600).unwrap().attach(Bytes::from(vec![0; 600]));
        let slice = body.slice(100..200);
        drop(body);
        assert!(hold(&budget, 600).is_none());
        drop(slice);
        assert!(hold(&budget, 600).is_some());
        assert_eq!(budget.used().total, 0);
    }
}
