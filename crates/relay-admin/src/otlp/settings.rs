//! The settings of the traces, from the standard variables of OpenTelemetry.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;
use relay_server::Sampling;

use crate::trace_demand::{ENDPOINTS, EXPORTER, demanded_traces};

/// The address of a collector on this machine, with OTLP over HTTP.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// The settings of [`Traces`](super::Traces).
#[derive(Debug, Clone)]
pub struct TraceSettings {
    pub(super) endpoint: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) resource: Vec<(String, String)>,
    pub(super) delay: Duration,
    pub(super) queue: usize,
    pub(super) batch: usize,
    sampling: Sampling,
    warnings: Vec<String>,
}

/// A setting with which no traces can be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceSettingsError {
    /// The variable names a protocol that is not supported.
    #[error(
        "{variable}={found} is not supported: cc-relay exports traces by http/protobuf only; set {variable}=http/protobuf, and use \
         the collector's port for HTTP (4318 by default, in place of 4317 for gRPC)"
    )]
    Protocol {
        /// The name of the variable.
        variable: &'static str,
        /// Its value.
        found: String,
    },
    /// The variable names an exporter that is not supported.
    #[error("OTEL_TRACES_EXPORTER={found} is not supported: set it to otlp or none")]
    Exporter {
        /// The value of the variable.
        found: String,
    },
    /// The address of the collector is not a URL.
    #[error("{variable} is not an http or https URL")]
    Endpoint {
        /// The name of the variable.
        variable: &'static str,
    },
}

impl TraceSettings {
    /// Reads the variables by `read`. Returns `None` if no traces are to be exported: unless `OTEL_EXPORTER_OTLP_ENDPOINT`,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER=otlp` is set, and if `OTEL_SDK_DISABLED=true` or
    /// `OTEL_TRACES_EXPORTER=none` is. An empty variable counts as one that is not set.
    ///
    /// # Errors
    /// [`TraceSettingsError`] for a protocol, an exporter or an address that cannot be used. Every other value that cannot be used is
    /// replaced by its default, as the specification demands: see [`warnings`](Self::warnings).
    pub fn from_environment(
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TraceSettingsError> {
        let environment = Environment { read: &read, warnings: Vec::new() };
        if environment.is_disabled()? {
            return Ok(None);
        }
        environment.settings().map(Some)
    }

    /// The rule by which traces are recorded, for [`Builder::with_traces`](relay_server::Builder::with_traces).
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// The values that were replaced by defaults, each as a sentence.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The variables, and the warnings about them.
struct Environment<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.read)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Returns the value for traces, or else that for all signals, with its name.
    fn of_traces(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.get(name)?)))
    }

    fn is_disabled(&self) -> Result<bool, TraceSettingsError> {
        if demanded_traces(self.read).is_none() {
            return Ok(true);
        }
        match self.get(EXPORTER) {
            Some(found) if found != "otlp" => Err(TraceSettingsError::Exporter { found }),
            _ => Ok(false),
        }
    }

    fn settings(mut self) -> Result<TraceSettings, TraceSettingsError> {
        let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        if let Some((variable, found)) =
            self.of_traces(protocols).filter(|(_, value)| value != "http/protobuf")
        {
            return Err(TraceSettingsError::Protocol { variable, found });
        }
        let headers = self.of_traces(["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]);
        let ca_file =
            self.of_traces(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]);
        Ok(TraceSettings {
            endpoint: self.endpoint()?,
            headers: headers
                .map(|(name, list)| self.pairs(name, &list))
                .unwrap_or_default()
                .into_iter()
                .collect(),
            timeout: self.millis(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"], 10_000),
            ca_file: ca_file.map(|(_, path)| path.into()),
            resource: self.resource(),
            delay: self.millis(["OTEL_BSP_SCHEDULE_DELAY"; 2], 5000),
            queue: self.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048_usize).clamp(1, 1 << 20),
            batch: self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512_usize).clamp(1, 1 << 16),
            sampling: self.sampling(),
            warnings: self.warnings,
        })
    }

    /// The path `/v1/traces` is added to an address for all signals only.
    fn endpoint(&self) -> Result<String, TraceSettingsError> {
        let [of_traces, of_all] = ENDPOINTS;
        let (variable, endpoint) = match (self.get(of_traces), self.get(of_all)) {
            (Some(endpoint), _) => (of_traces, endpoint),
            (None, Some(base)) => (of_all, format!("{}/v1/traces", base.trim_end_matches('/'))),
            (None, None) => (of_all, format!("{DEFAULT_ENDPOINT}/v1/traces")),
        };
        let uri = Uri::try_from(&endpoint).ok();
        let is_usable = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        is_usable.then_some(endpoint).ok_or(TraceSettingsError::Endpoint { variable })
    }

    /// The attributes of the resource. A name in `OTEL_SERVICE_NAME` comes before one among them.
    fn resource(&mut self) -> Vec<(String, String)> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let mut attributes = self.get(name).map(|list| self.pairs(name, &list)).unwrap_or_default();
        match (self.get("OTEL_SERVICE_NAME"), attributes.iter().any(|(key, _)| key == "service.name")) {
            (Some(service), _) => {
                attributes.retain(|(key, _)| key != "service.name");
                attributes.push(("service.name".into(), service));
            }
            (None, false) => attributes.push(("service.name".into(), "cc-relay".into())),
            (None, true) => {}
        }
        if attributes.iter().all(|(key, _)| key != "service.version") {
            attributes.push(("service.version".into(), env!("CARGO_PKG_VERSION").into()));
        }
        attributes
    }

    fn sampling(&mut self) -> Sampling {
        let sampler = self.get("OTEL_TRACES_SAMPLER");
        match sampler.as_deref() {
            None | Some("parentbased_always_on") => Sampling::default(),
            Some("always_on") => Sampling::ratio(1.0),
            Some("always_off") => Sampling::NONE,
            Some("parentbased_always_off") => Sampling::NONE.with_parent(),
            Some("traceidratio") => self.ratio(),
            Some("parentbased_traceidratio") => self.ratio().with_parent(),
            Some(_) => {
                self.warn("OTEL_TRACES_SAMPLER", "parentbased_always_on");
                Sampling::default()
            }
        }
    }

    fn ratio(&mut self) -> Sampling {
        let share = self.number("OTEL_TRACES_SAMPLER_ARG", 1.0_f64);
        if !(0.0..=1.0).contains(&share) {
            self.warn("OTEL_TRACES_SAMPLER_ARG", "1");
            return Sampling::ratio(1.0);
        }
        Sampling::ratio(share)
    }

    fn millis(&mut self, names: [&'static str; 2], default: u64) -> Duration {
        let name = self.of_traces(names).map_or(names[1], |(name, _)| name);
        Duration::from_millis(self.number(name, default))
    }

    fn number<T: FromStr + ToString>(&mut self, name: &'static str, default: T) -> T {
        match self.get(name).map(|text| text.parse()) {
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                self.warn(name, &default.to_string());
                default
            }
            None => default,
        }
    }

    /// Reads `key=value` pairs, separated by commas, whose values are percent-encoded.
    fn pairs(&mut self, name: &'static str, list: &str) -> Vec<(String, String)> {
        let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let read = pairs.map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.into_owned()))
        });
        read.collect::<Option<Vec<_>>>().unwrap_or_else(|| {
            self.warn(name, "no value");
            Vec::new()
        })
    }

    /// The value is not part of the warning: it may be a credential.
    fn warn(&mut self, name: &str, default: &str) {
        self.warnings.push(format!("{name} has a value that cannot be used: {default} is used in its place"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, TraceSettingsError> {
        TraceSettings::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn settings(variables: &[(&str, &str)]) -> TraceSettings {
        read(variables).unwrap().unwrap()
    }

    #[test]
    fn traces_are_exported_only_if_a_variable_demands_it() {
        #[track_caller]
        fn check(variables: &[(&str, &str)], is_on: bool) {
            assert_eq!(read(variables).unwrap().is_some(), is_on, "{variables:?}");
        }
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        check(&[], false);
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false);
        check(&[endpoint], true);
        check(&[("OTEL_TRACES_EXPORTER", "otlp")], true);
        check(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false);
        check(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false);
        check(&[endpoint, ("OTEL_SDK_DISABLED", "0")], true);
    }

    #[test]
    fn the_path_is_added_to_an_address_for_all_signals_only() {
        let of_all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/base/");
        assert_eq!(settings(&[of_all]).endpoint, "https://collector/base/v1/traces");
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:1/spans");
        assert_eq!(settings(&[of_all, of_traces]).endpoint, "http://other:1/spans");
        assert_eq!(settings(&[("OTEL_TRACES_EXPORTER", "otlp")]).endpoint, "http://localhost:4318/v1/traces");
    }

    #[test]
    fn grpc_and_unknown_exporters_are_refused_with_the_way_out() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let error = read(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err().to_string();
        assert!(
            error.contains("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf") && error.contains("4318"),
            "{error}"
        );
        let error = read(&[("OTEL_TRACES_EXPORTER", "zipkin")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_TRACES_EXPORTER=zipkin"), "{error}");
        let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_the_service_has_a_name() {
        let settings = settings(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, x-a=1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=ignored,deployment.environment.name=dev%2C1"),
            ("OTEL_SERVICE_NAME", "relay-1"),
        ]);
        assert_eq!(settings.headers["authorization"], "Bearer x");
        assert_eq!(settings.headers["x-a"], "1");
        let get =
            |key| settings.resource.iter().filter(|(name, _)| name == key).map(|(_, v)| v.as_str()).collect();
        let values: [Vec<&str>; 2] = [get("service.name"), get("deployment.environment.name")];
        assert_eq!(values, [vec!["relay-1"], vec!["dev,1"]]);
        assert!(settings.warnings().is_empty());
    }

    #[test]
    fn unusable_values_are_replaced_by_defaults_and_not_shown() {
        let settings = settings(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ]);
        assert_eq!((settings.delay, settings.sampling()), (Duration::from_secs(5), Sampling::default()));
        assert_eq!(settings.warnings().len(), 3);
        assert!(settings.warnings().iter().all(|warning| !warning.contains("secret")));
    }

    #[test]
    fn every_sampler_of_the_specification_is_known() {
        for (sampler, expected) in [
            ("always_on", Sampling::ratio(1.0)),
            ("always_off", Sampling::NONE),
            ("traceidratio", Sampling::ratio(0.25)),
            ("parentbased_always_on", Sampling::ratio(1.0).with_parent()),
            ("parentbased_always_off", Sampling::NONE.with_parent()),
            ("parentbased_traceidratio", Sampling::ratio(0.25).with_parent()),
        ] {
            let variables = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
                ("OTEL_TRACES_SAMPLER", sampler),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ];
            assert_eq!(settings(&variables).sampling(), expected, "{sampler}");
        }
    }
}
