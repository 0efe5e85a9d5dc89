//! Serves the admin API on sockets.

use relay_server::Drained;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::Admin;

/// Serves `admin` on `listeners` until `shutdown` completes. Event streams then end at once, and other requests may finish within
/// five seconds.
pub async fn serve(listeners: Vec<TcpListener>, admin: Admin, shutdown: impl Future<Output = ()>) -> Drained {
    let (stop, stopping) = watch::channel(false);
    let mut serving = JoinSet::new();
    for listener in listeners {
        let mut stopping = stopping.clone();
        let shutdown = async move {
            // An error means that this function has been dropped.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        serving.spawn(admin.site().clone().serve(listener, shutdown));
    }
    tokio::select! {
        () = shutdown => {}
        never = admin.add_events() => match never {},
    }
    admin.close_events();
    stop.send_replace(true);
    let mut drained = Drained::default();
    while let Some(Ok(ended)) = serving.join_next().await {
        drained.cut += ended.cut;
    }
    drained
}
