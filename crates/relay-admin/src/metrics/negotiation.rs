//! The choice of the text format by the header `accept`.

use http::HeaderValue;

/// A text format for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0, with exemplars and units.
    OpenMetrics,
}

impl Format {
    /// Chooses OpenMetrics if the client names its version 1.0.0, or no version, with a weight that is not below that of
    /// `text/plain`. Every other client gets the older format.
    ///
    /// # Source
    /// RFC 9110 section 12.5.1; the `Accept` headers of Prometheus 2 and 3.
    pub(super) fn of(accept: Option<&HeaderValue>) -> Self {
        let Some(accept) = accept.and_then(|value| value.to_str().ok()) else { return Self::Prometheus };
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.split(',').map(Range::parse) {
            match range.media_type {
                "application/openmetrics-text" if matches!(range.version, None | Some("1.0.0")) => {
                    open_metrics = open_metrics.max(range.weight);
                }
                "text/plain" => text = text.max(range.weight),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The value of `content-type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One media range.
#[derive(Debug)]
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    weight: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self { media_type: parts.next().unwrap_or_default(), version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "version" => range.version = Some(value.trim().trim_matches('"')),
                // A malformed weight refuses the range.
                "q" | "Q" => range.weight = value.trim().parse().unwrap_or(0.0),
                _ => {}
            }
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_chosen_by_type_version_and_weight() {
        #[track_caller]
        fn check(accept: &'static str, expected: Format) {
            assert_eq!(Format::of(Some(&HeaderValue::from_static(accept))), expected, "{accept}");
        }
        assert_eq!(Format::of(None), Format::Prometheus);
        check("", Format::Prometheus);
        check("*/*", Format::Prometheus);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus);
        check("application/openmetrics-text", Format::OpenMetrics);
        check("application/openmetrics-text;version=0.0.1", Format::Prometheus);
        check(
            "application/openmetrics-text; version=\"1.0.0\"; q=0.3, text/plain;q=0.2",
            Format::OpenMetrics,
        );
        check("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.3", Format::Prometheus);
        check("application/openmetrics-text;version=1.0.0;q=0", Format::Prometheus);
        check("application/openmetrics-text;q=x", Format::Prometheus);
        // Prometheus 2.42.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        );
        // Prometheus 3.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        );
    }
}
