//! The task that reloads by itself: after SIGHUP, after a change of a file, and by a poll.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::cause::Cause;
use super::places::Places;
use super::reloader::Reloader;
use super::watch::Watch;

/// The time after which the files are compared without an event.
const POLL: Duration = Duration::from_secs(30);
/// The time in which a file that is gone or empty may come back: it is being replaced or written.
const TRANSIT: Duration = Duration::from_secs(1);

/// Reloads after each signal that `hang_up` announces, and after changes of the files, until it is dropped. Signals that arrive during
/// a reload cause one further reload.
pub(crate) async fn run(reloader: Arc<Reloader>, hang_up: Arc<Notify>) {
    tokio::join!(follow_signals(Arc::clone(&reloader), hang_up), follow_files(reloader));
}

async fn follow_signals(reloader: Arc<Reloader>, hang_up: Arc<Notify>) {
    loop {
        hang_up.notified().await;
        let reloader = Arc::clone(&reloader);
        // An error means that the reload has panicked, which the log reports.
        let _ = spawn_blocking(move || reloader.reload(Cause::Signal)).await;
    }
}

async fn follow_files(reloader: Arc<Reloader>) {
    if !reloader.has_file() {
        return;
    }
    let mut watch = Watch::start();
    let mut is_repeated = false;
    loop {
        // The places are watched before the contents are compared, so that no change is missed.
        let places = blocking(&reloader, |reloader| {
            let files = reloader.files();
            Places::of(files.iter().map(PathBuf::as_path))
        });
        let Some(places) = places.await else { return };
        watch.set_places(places);
        if blocking(&reloader, Reloader::is_file_in_transit).await == Some(true) {
            sleep(TRANSIT).await;
        }
        let has_changed = blocking(&reloader, Reloader::reload_if_changed).await == Some(true);
        // The configuration may name other files now, which are watched and compared once at once.
        is_repeated = has_changed && !is_repeated;
        if is_repeated {
            continue;
        }
        // An error means that there was no event.
        let _ = timeout(POLL, watch.changed()).await;
        watch.settled().await;
    }
}

/// Calls `function` in a thread that may block. `None` if it has panicked, or the process ends.
async fn blocking<T: Send + 'static>(
    reloader: &Arc<Reloader>,
    function: impl FnOnce(&Reloader) -> T + Send + 'static,
) -> Option<T> {
    let reloader = Arc::clone(reloader);
    spawn_blocking(move || function(&reloader)).await.ok()
}
