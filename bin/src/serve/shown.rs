//! The listeners that show the observers: metrics, admin API and dashboard.

use std::sync::Arc;

use relay_admin::api::{Admin, ClientCommand, MetricsSite, Reload};
use relay_config::{AdminConfig, Config, ListenAddress, MetricsConfig};
use relay_messages::ErrorChain;
use relay_server::{Listener, Reloadable};

use super::announce::announce_also;
use super::error::ServeError;
use crate::listen::{self, ListenError};
use crate::listener_group::ListenerGroup;
use crate::observers::{Observers, ProcessParts};
use crate::reload::Reloader;
use crate::sockets::{Service, Sockets};

/// The services of the admin listener, for the log.
const ADMIN: &str = if cfg!(feature = "dashboard") { "dashboard and admin" } else { "admin" };

/// The listeners that show the observers.
pub(super) struct Shown {
    admin: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl Shown {
    /// Opens the listeners that `config` enables.
    pub(super) async fn bind(config: &Config, sockets: &mut Sockets) -> Result<Self, ListenError> {
        let admin = bind_admin(&config.admin, sockets).await?;
        Ok(Self { admin, metrics: bind_metrics(&config.metrics, sockets).await? })
    }

    /// Returns `true` if the admin listener is open.
    pub(super) fn has_admin(&self) -> bool {
        !self.admin.is_empty()
    }

    /// Serves the observers on the listeners.
    pub(super) fn serve(
        self,
        observers: Observers,
        relay: Reloadable,
        config: &Config,
        reloader: &Arc<Reloader>,
        client_command: Option<ClientCommand>,
    ) -> Result<ListenerGroup, ServeError> {
        let mut group = ListenerGroup::new();
        if let Some(site) = observers.metrics_site(&relay, config).filter(|_| !self.metrics.is_empty()) {
            announce_also("metrics", &self.metrics, &config.metrics.path)
                .map_err(ServeError::LocalAddress)?;
            let (site, stopped) = (Arc::new(site), group.stopped());
            reloader.set_metrics(&site);
            group.spawn(async move {
                let stopped = async { _ = stopped.await };
                relay_admin::serve::serve_metrics(self.metrics, MetricsSite::clone(&site), stopped).await
            });
        }
        let process = ProcessParts { reload: Arc::clone(reloader) as Arc<dyn Reload>, client_command };
        if let Some(admin) = observers.admin(relay, config, process) {
            announce_also(ADMIN, &self.admin, "").map_err(ServeError::LocalAddress)?;
            let (admin, stopped) = (Arc::new(admin), group.stopped());
            reloader.set_admin(&admin);
            group.spawn(async move {
                let stopped = async { _ = stopped.await };
                relay_admin::serve::serve(self.admin, Admin::clone(&admin), stopped).await
            });
        }
        Ok(group)
    }
}

/// Binds the admin listener if it is enabled. If its address was not chosen and cannot be used, the relay runs without it.
async fn bind_admin(admin: &AdminConfig, sockets: &mut Sockets) -> Result<Vec<Listener>, ListenError> {
    if !admin.enabled {
        return Ok(Vec::new());
    }
    match bind_with_given(std::slice::from_ref(&admin.listen), Service::Admin, sockets).await {
        Err(ListenError::InUse { address, .. }) if !admin.is_explicit => {
            tracing::warn!(
                "{address} is in use, perhaps by another cc-relay: this one runs without metrics, admin API and dashboard; \
                 admin.listen chooses another address"
            );
            Ok(Vec::new())
        }
        Err(error) if !admin.is_explicit => {
            tracing::warn!(error = %ErrorChain(&error), "the relay runs without metrics, admin API and dashboard");
            Ok(Vec::new())
        }
        result => result,
    }
}

/// Binds the listener that serves the metrics alone, if there is one.
async fn bind_metrics(metrics: &MetricsConfig, sockets: &mut Sockets) -> Result<Vec<Listener>, ListenError> {
    match metrics.listen.as_ref().filter(|_| metrics.enabled) {
        Some(address) => bind_with_given(std::slice::from_ref(address), Service::Metrics, sockets).await,
        None => Ok(Vec::new()),
    }
}

/// Opens the addresses of a service, and uses all further sockets that a service manager has opened for it.
async fn bind_with_given(
    addresses: &[ListenAddress],
    service: Service,
    sockets: &mut Sockets,
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = listen::bind(addresses, service, sockets).await?;
    listeners.extend(sockets.take_given(service)?);
    Ok(listeners)
}
