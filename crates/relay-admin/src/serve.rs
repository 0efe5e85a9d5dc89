//! Serves the admin API on sockets.

use relay_server::site::Site;
use relay_server::{Drained, Listener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{Admin, MetricsSite};

/// Serves `admin` on `listeners` until `shutdown` completes. Event streams then end at once, and other requests may finish within
/// five seconds.
pub async fn serve(
    listeners: impl IntoIterator<Item = impl Into<Listener>>,
    admin: Admin,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let (stop, serving) = start(listeners, admin.site());
    tokio::select! {
        () = shutdown => {}
        never = admin.add_events() => match never {},
    }
    admin.close_events();
    stop.send_replace(true);
    ended(serving).await
}

/// Serves the metrics alone on `listeners` until `shutdown` completes.
pub async fn serve_metrics(
    listeners: impl IntoIterator<Item = impl Into<Listener>>,
    metrics: MetricsSite,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let (stop, serving) = start(listeners, metrics.site());
    shutdown.await;
    stop.send_replace(true);
    ended(serving).await
}

/// Serves `site` on `listeners` until the value is `true`.
fn start(
    listeners: impl IntoIterator<Item = impl Into<Listener>>,
    site: &Site,
) -> (watch::Sender<bool>, JoinSet<Drained>) {
    let stop = watch::Sender::new(false);
    let mut serving = JoinSet::new();
    for listener in listeners {
        let mut stopping = stop.subscribe();
        let shutdown = async move {
            // An error means that the sender has been dropped.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        serving.spawn(site.clone().serve(Into::<Listener>::into(listener), shutdown));
    }
    (stop, serving)
}

/// Waits for all listeners.
async fn ended(mut serving: JoinSet<Drained>) -> Drained {
    let mut drained = Drained::default();
    while let Some(Ok(ended)) = serving.join_next().await {
        drained.cut += ended.cut;
    }
    drained
}
