//! The export of traces, an optional part of the program.

#[cfg(feature = "otlp")]
pub(crate) use exporter::{Export, ExportError};
#[cfg(not(feature = "otlp"))]
pub(crate) use nothing::{Export, ExportError};

#[cfg(feature = "otlp")]
mod exporter {
    use std::time::Duration;

    use relay_admin::otlp::{TraceSettings, TraceSettingsError, Traces, TracesError};
    use relay_server::{Builder, Sampling};
    use relay_transport::Proxies;

    /// The time that the last spans have at the stop.
    const SHUTDOWN: Duration = Duration::from_secs(5);

    /// The exporter that the environment demands, if it does.
    pub(crate) struct Export(Option<(Traces, Sampling)>);

    /// A reason for which the traces that the environment demands cannot be exported.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum ExportError {
        #[error(transparent)]
        Settings(#[from] TraceSettingsError),
        #[error(transparent)]
        Start(#[from] TracesError),
    }

    impl Export {
        /// Starts the exporter that the variables of OpenTelemetry demand, on the current runtime.
        pub(crate) fn start() -> Result<Self, ExportError> {
            let Some(settings) = TraceSettings::from_environment(|name| std::env::var(name).ok())? else {
                return Ok(Self(None));
            };
            for warning in settings.warnings() {
                tracing::warn!("{warning}");
            }
            let sampling = settings.sampling();
            tracing::info!("exporting traces");
            let traces = Traces::start(settings, Proxies::from_environment())?;
            Ok(Self(Some((traces, sampling))))
        }

        /// Gives the requests of the relay that `builder` builds traces, which are exported.
        pub(crate) fn subscribe(&self, builder: Builder) -> Builder {
            match &self.0 {
                Some((traces, sampling)) => builder.with_traces(*sampling).on_finished(traces.clone()),
                None => builder,
            }
        }

        /// Exports the last spans.
        pub(crate) async fn shutdown(&self) {
            if let Some((traces, _)) = &self.0 {
                traces.shutdown(SHUTDOWN).await;
            }
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod nothing {
    use relay_server::Builder;

    /// No exporter: the program was built without it.
    pub(crate) struct Export;

    /// No error: nothing is exported.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum ExportError {}

    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        clippy::unused_async,
        reason = "as with the exporter"
    )]
    impl Export {
        /// Warns if the variables of OpenTelemetry demand an export.
        pub(crate) fn start() -> Result<Self, ExportError> {
            if let Some(variable) = relay_admin::demanded_traces(|name| std::env::var(name).ok()) {
                tracing::warn!(
                    "{variable} is set, but no traces are exported: this program was built without the feature otlp; \
                     build it with cargo build --release --features otlp, or unset the variable"
                );
            }
            Ok(Self)
        }

        pub(crate) fn subscribe(&self, builder: Builder) -> Builder {
            builder
        }

        pub(crate) async fn shutdown(&self) {}
    }
}
