//! The demand of the environment for an export of traces.

/// The address for traces, and that for all signals.
pub(crate) const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The exporter of traces.
pub(crate) const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// Returns the variable of OpenTelemetry that demands an export of traces, as `read` returns its value. `None` if no traces are to be
/// exported: unless `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER` is set, and if
/// `OTEL_SDK_DISABLED=true` or `OTEL_TRACES_EXPORTER=none` is. An empty variable counts as one that is not set.
///
/// A program without the feature `otlp` exports nothing. It uses this function to warn that the variable has no effect.
///
/// ```
/// use relay_admin::demanded_traces;
///
/// let variable = demanded_traces(|name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:4318".to_owned()));
/// assert_eq!(variable, Some("OTEL_EXPORTER_OTLP_ENDPOINT"));
/// ```
pub fn demanded_traces(read: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let get = |name: &str| read(name).filter(|value| !value.trim().is_empty());
    if get("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return None;
    }
    match get(EXPORTER) {
        Some(exporter) => (exporter.trim() != "none").then_some(EXPORTER),
        None => ENDPOINTS.into_iter().find(|name| get(name).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_demanded_by_a_variable_unless_another_one_forbids_it() {
        #[track_caller]
        fn check(variables: &[(&str, &str)], expected: Option<&str>) {
            let read = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(demanded_traces(read), expected, "{variables:?}");
        }
        let endpoint = (ENDPOINTS[1], "http://collector:4318");
        check(&[], None);
        check(&[(ENDPOINTS[1], " ")], None);
        check(&[endpoint], Some(ENDPOINTS[1]));
        check(&[endpoint, (ENDPOINTS[0], "http://other:1/spans")], Some(ENDPOINTS[0]));
        check(&[(EXPORTER, "otlp")], Some(EXPORTER));
        check(&[endpoint, (EXPORTER, "zipkin")], Some(EXPORTER));
        check(&[endpoint, (EXPORTER, "none")], None);
        check(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], None);
        check(&[endpoint, ("OTEL_SDK_DISABLED", "0")], Some(ENDPOINTS[1]));
    }
}
