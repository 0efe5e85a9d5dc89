//! The watch of directories for changes of files.
//!
//! Events only say that it is time to compare the contents. An event that is lost, as with a network file system, delays that until
//! the next poll.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use relay_messages::ErrorChain;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::places::{Identity, Places};

/// The time without an event after which the contents are compared. Editors and `kubectl` finish within it.
const QUIET: Duration = Duration::from_millis(250);
/// The longest time for which events delay a comparison.
const LONGEST: Duration = Duration::from_secs(2);
/// The longest time for which a file that is open for writing delays a comparison.
const WRITING: Duration = Duration::from_secs(5);

/// Watches the directories of files.
pub(super) struct Watch {
    /// `None` if the system offers no watch. The poll remains.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeMap<PathBuf, Identity>,
    events: mpsc::Receiver<()>,
    seen: Arc<Mutex<Seen>>,
    /// True once a failure was reported.
    has_failed: bool,
}

/// The facts that events are compared with.
#[derive(Debug, Default)]
struct Seen {
    /// The paths whose events matter.
    paths: BTreeSet<PathBuf>,
    /// The paths that have been written to, and not been closed since.
    written: BTreeSet<PathBuf>,
}

impl Watch {
    /// Starts a watch of nothing.
    pub(super) fn start() -> Self {
        let (sender, events) = mpsc::channel(1);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let known = Arc::clone(&seen);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is a reason to look. A full channel has an event already.
            if event.map_or(true, |event| lock(&known).concerns(&event)) {
                let _ = sender.try_send(());
            }
        });
        let mut watch = Self { watcher: None, directories: BTreeMap::new(), events, seen, has_failed: false };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.failed(&error),
        }
        watch
    }

    /// Watches `places`, in place of the ones before.
    pub(super) fn set_places(&mut self, places: Places) {
        let Places { paths, directories } = places;
        lock(&self.seen).paths = paths;
        if directories == self.directories {
            return;
        }
        let before = std::mem::take(&mut self.directories);
        let Some(watcher) = &mut self.watcher else { return };
        for (directory, _) in
            before.iter().filter(|(path, identity)| directories.get(*path) != Some(identity))
        {
            // The directory may be gone, and its watch with it.
            let _ = watcher.unwatch(directory);
        }
        let mut failure = None;
        for (directory, identity) in directories {
            if before.get(&directory) != Some(&identity)
                && let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive)
            {
                failure = Some(error);
                continue;
            }
            self.directories.insert(directory, identity);
        }
        if let Some(error) = failure {
            self.failed(&error);
        }
    }

    /// Waits for a change of one of the places.
    pub(super) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the changes have come to rest, and no file is open for writing.
    pub(super) async fn settled(&mut self) {
        let start = Instant::now();
        loop {
            let is_quiet = match timeout(QUIET, self.events.recv()).await {
                Ok(Some(())) => false,
                // There is no watch.
                Ok(None) => return,
                Err(_) => true,
            };
            let is_whole = lock(&self.seen).written.is_empty();
            let limit = if is_whole { LONGEST } else { WRITING };
            if is_quiet && is_whole || start.elapsed() >= limit {
                lock(&self.seen).written.clear();
                return;
            }
        }
    }

    fn failed(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!(
                error = %ErrorChain(error),
                "a directory of the configuration cannot be watched; changes of its files are noticed by a poll every 30 s"
            );
        }
    }
}

impl Seen {
    /// Returns `true` if `event` may mean that the contents of a file have changed.
    fn concerns(&mut self, event: &Event) -> bool {
        let is_close = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
        // To read a file is an event too, also by this process.
        if event.kind.is_access() && !is_close {
            return false;
        }
        let mut paths = event.paths.iter().filter(|path| self.paths.contains(*path)).peekable();
        if paths.peek().is_none() {
            return event.need_rescan();
        }
        for path in paths {
            match event.kind {
                // Only the watch of Linux reports that a file was closed.
                EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => {
                    self.written.insert(path.clone());
                }
                EventKind::Modify(ModifyKind::Metadata(_)) => {}
                _ => _ = self.written.remove(path),
            }
        }
        true
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
