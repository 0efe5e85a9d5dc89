//! The last requests, and those that are under way.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use relay_server::{RecordHandle, RecordSubscriber, RequestId, RequestRecord};

use crate::fast_map::FastMap;

/// The most requests under way that are listed. Further ones are listed once they have ended.
const RUNNING: usize = 10_000;

/// The most requests whose memory waits for the next requests to free it.
const SPENT: usize = 1024;

/// The paths that machines request again and again. Their requests are not listed.
const PROBES: [&str; 5] = ["/health", "/healthz", "/readyz", "/", "/api/hello"];

/// The last requests that have ended, and those that are under way. Clones share them.
///
/// It keeps the records themselves: at most `capacity` of requests that have ended, the oldest of which makes room for a new one, and at
/// most 10,000 of requests under way. Those of [`ObserverParts`](crate::observers::ObserverParts) keep
/// [detached](RequestRecord::detached) copies from the first second without a request on. Requests for `/`, `/api/hello`, `/health`,
/// `/healthz` and `/readyz` are not listed.
///
/// ```
/// use relay_admin::recent::Recent;
/// use relay_config::Config;
/// use relay_server::Relay;
///
/// let recent = Recent::new(1000);
/// let relay = Relay::builder(Config::default()).allow_no_provider().on_finished(recent.clone()).build()?;
/// assert!(recent.newest_first().is_empty());
/// # let _ = relay;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Recent(Arc<Shared>);

struct Shared {
    capacity: usize,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    /// The number of the last request.
    last: u64,
    /// By the [`address`] of the id, of which the handle has a clone.
    running: FastMap<usize, (u64, RecordHandle)>,
    /// In the order in which they ended.
    ended: VecDeque<Listed>,
    /// The number of the last ones of them whose records are not copies.
    loose: usize,
    /// Left by the thread that takes in records, for the next requests to free: an allocator is fastest if the threads that allocate
    /// also free.
    spent: Vec<Spent>,
}

/// The parts of a request, and of an older one that has made room for it, that are not needed any more.
type Spent = (Option<Listed>, Option<(u64, RecordHandle)>);

/// A request with its place in the order in which requests began.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The number of the request: the larger one began later.
    pub number: u64,
    /// The record. It is final if its [`end`](RequestRecord::end) is set.
    pub record: Arc<RequestRecord>,
}

impl Recent {
    /// Creates an empty list that keeps `capacity` requests that have ended, at least 1.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared { capacity: capacity.max(1), requests: Mutex::default() }))
    }

    /// The largest number of requests that have ended and are kept.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// The number of requests under way, at most 10,000.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lock().running.len()
    }

    /// Returns the requests, the one that began last first. Those under way are copies of this moment.
    #[must_use]
    pub fn newest_first(&self) -> Vec<Listed> {
        let requests = self.lock();
        let running: Vec<_> = requests.running.values().cloned().collect();
        let mut listed: Vec<_> = requests.ended.iter().cloned().collect();
        drop(requests);
        // A copy of a record takes its lock, which is not to be waited for here.
        let running =
            running.into_iter().map(|(number, record)| Listed { number, record: record.snapshot() });
        listed.extend(running.filter(|listed| !is_probe(&listed.record)));
        listed.sort_by_key(|listed| std::cmp::Reverse(listed.number));
        // A request may have ended between the two steps.
        listed.dedup_by_key(|listed| listed.number);
        listed
    }

    /// Takes in the end of a request in a thread that does not serve requests.
    pub(crate) fn take_in(&self, record: &Arc<RequestRecord>) {
        let mut requests = self.lock();
        let spent = requests.end(record, self.0.capacity);
        if requests.spent.len() < SPENT {
            requests.spent.push(spent);
        }
    }

    /// Replaces the records of requests that have ended by copies, and frees what is not needed any more. Among the memory of many
    /// requests at one time, that of the last thousand would keep most pages from being returned.
    pub(crate) fn compact(&self) {
        let mut requests = self.lock();
        let (spent, loose) = (mem::take(&mut requests.spent), requests.take_loose());
        let running = requests.running.len();
        requests.running.shrink_to(2 * running);
        drop(requests);
        drop(spent);
        let copy = |listed: &Listed| (Arc::as_ptr(&listed.record).addr(), Arc::new(listed.record.detached()));
        let mut copies = loose.iter().map(copy).collect();
        self.lock().exchange(&mut copies);
        // The records that were replaced are freed without the lock.
        drop((loose, copies));
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    /// Lists a request among those that have ended, of which `capacity` are kept.
    fn end(&mut self, record: &Arc<RequestRecord>, capacity: usize) -> Spent {
        let running = self.running.remove(&address(&record.id));
        if is_probe(record) {
            return (None, running);
        }
        let number = match &running {
            Some((number, _)) => *number,
            None => {
                self.last += 1;
                self.last
            }
        };
        let oldest = match self.ended.len() < capacity {
            true => None,
            false => self.ended.pop_front(),
        };
        self.ended.push_back(Listed { number, record: Arc::clone(record) });
        self.loose = (self.loose + 1).min(capacity);
        (oldest, running)
    }

    /// Returns the requests whose records are not copies. They count as copied.
    fn take_loose(&mut self) -> Vec<Listed> {
        let copied = self.ended.len() - mem::take(&mut self.loose);
        self.ended.range(copied..).cloned().collect()
    }

    /// Exchanges the records that are still listed for their copies, which are found by the address of the record.
    fn exchange(&mut self, copies: &mut FastMap<usize, Arc<RequestRecord>>) {
        for listed in &mut self.ended {
            if let Some(copy) = copies.get_mut(&Arc::as_ptr(&listed.record).addr()) {
                mem::swap(copy, &mut listed.record);
            }
        }
    }
}

impl RecordSubscriber for Recent {
    fn started(&self, record: &RecordHandle) {
        let mut requests = self.lock();
        requests.last += 1;
        if requests.running.len() < RUNNING {
            let number = requests.last;
            requests.running.insert(address(record.id()), (number, record.clone()));
        }
        let spent = requests.spent.pop();
        // Memory is freed without the lock.
        drop(requests);
        drop(spent);
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        let mut requests = self.lock();
        let spent = requests.end(record, self.0.capacity);
        drop(requests);
        drop(spent);
    }
}

/// Returns the address of the text of an id. All clones of an id share it, and no other id has it meanwhile.
fn address(id: &RequestId) -> usize {
    id.as_str().as_ptr().addr()
}

/// Returns `true` for a request by which a machine checks the relay.
pub(crate) fn is_probe(record: &RequestRecord) -> bool {
    record.endpoint.is_none() && PROBES.contains(&&*record.path)
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.lock();
        f.debug_struct("Recent")
            .field("capacity", &self.0.capacity)
            .field("running", &requests.running.len())
            .field("ended", &requests.ended.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backlog::tests::record_of;

    /// Returns the addresses of the records that have ended, the oldest first.
    fn addresses(recent: &Recent) -> Vec<usize> {
        recent.lock().ended.iter().map(|listed| Arc::as_ptr(&listed.record).addr()).collect()
    }

    #[tokio::test]
    async fn records_are_copied_once_and_keep_their_place_and_their_facts() {
        let recent = Recent::new(3);
        let records =
            [record_of("/1").await, record_of("/2").await, record_of("/3").await, record_of("/4").await];
        records[..2].iter().for_each(|record| recent.take_in(record));
        recent.compact();
        let copies = addresses(&recent);
        assert!(records.iter().all(|record| Arc::strong_count(record) == 1), "no original is kept");

        records[2..].iter().for_each(|record| recent.take_in(record));
        recent.compact();
        let later = addresses(&recent);
        assert_eq!(later[0], copies[1], "it was copied before");
        let listed: Vec<_> = recent.newest_first().into_iter().rev().map(|listed| listed.record).collect();
        for (listed, record) in listed.iter().zip(&records[1..]) {
            assert_eq!(format!("{listed:?}"), format!("{record:?}"));
            assert_ne!(listed.id.as_str().as_ptr(), record.id.as_str().as_ptr());
        }
        assert!(records.iter().all(|record| Arc::strong_count(record) == 1), "no original is kept");
    }

    #[tokio::test]
    async fn a_record_that_makes_room_while_it_is_copied_stays_away() {
        let recent = Recent::new(1);
        let [first, second] = [record_of("/1").await, record_of("/2").await];
        recent.take_in(&first);
        let loose = recent.lock().take_loose();
        let mut copies = FastMap::default();
        copies.insert(Arc::as_ptr(&loose[0].record).addr(), Arc::new(loose[0].record.detached()));
        recent.take_in(&second);
        recent.lock().exchange(&mut copies);
        assert_eq!(addresses(&recent), [Arc::as_ptr(&second).addr()]);
        assert_eq!(recent.lock().take_loose().len(), 1);
    }
}
