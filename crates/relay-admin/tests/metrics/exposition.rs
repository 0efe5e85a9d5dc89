//! A strict reader of both text formats, written from their specifications and independent of the library that writes them.
//!
//! # Source
//! Prometheus, "Exposition formats", version 0.0.4; OpenMetrics 1.0, "Text format"; Prometheus, "Metric and label naming".

use std::collections::HashSet;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Version 0.0.4 of Prometheus.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// A metric family.
#[derive(Debug, Clone, Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
    /// The labels and the value of the exemplar.
    pub(crate) exemplar: Option<(Vec<(String, String)>, f64)>,
}

impl Sample {
    /// Returns the value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// Reads `text` and checks every rule of its format.
/// # Panics
/// If a rule is broken, with the line.
#[track_caller]
pub(crate) fn parse(text: &str, format: Format) -> Vec<Family> {
    let body = match format {
        Format::Prometheus => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("the text ends with # EOF"),
    };
    assert!(body.is_empty() || body.ends_with('\n'), "the last line is not complete");
    let mut families: Vec<Family> = Vec::new();
    for line in body.split_terminator('\n') {
        match line.strip_prefix("# ") {
            Some(comment) => read_comment(comment, &mut families, format),
            None => {
                let sample = read_sample(line, format);
                let family = families.last_mut().unwrap_or_else(|| panic!("no family: {line}"));
                check_suffix(family, &sample.name, format, line);
                family.samples.push(sample);
            }
        }
    }
    let names: HashSet<&str> = families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names.len(), families.len(), "a family occurs twice");
    families.iter().for_each(|family| check_family(family, format));
    families
}

fn read_comment(comment: &str, families: &mut Vec<Family>, format: Format) {
    let (keyword, rest) = comment.split_once(' ').unwrap_or_else(|| panic!("odd comment: {comment}"));
    let (name, text) = rest.split_once(' ').unwrap_or_else(|| panic!("no text: {comment}"));
    check_name(name);
    if keyword == "HELP" {
        check_escapes(text);
        families.push(Family { name: name.into(), help: text.into(), ..Family::default() });
        return;
    }
    let family = families.last_mut().unwrap_or_else(|| panic!("no HELP before: {comment}"));
    assert_eq!(family.name, name, "{comment}");
    assert!(family.samples.is_empty(), "after the samples: {comment}");
    match keyword {
        "TYPE" if family.kind.is_empty() => text.clone_into(&mut family.kind),
        "UNIT" if family.unit.is_none() && format == Format::OpenMetrics => family.unit = Some(text.into()),
        _ => panic!("unexpected: {comment}"),
    }
}

fn read_sample(line: &str, format: Format) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, rest) = line.split_at(end);
    check_name(name);
    let (labels, rest) = read_labels(rest, line);
    let rest = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no space before the value: {line}"));
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => {
            assert_eq!(format, Format::OpenMetrics, "an exemplar: {line}");
            (value, Some(read_exemplar(exemplar, line)))
        }
        None => (rest, None),
    };
    let value = number(value).unwrap_or_else(|| panic!("no number: {line}"));
    let sample = Sample { name: name.into(), labels, value, exemplar };
    if let Some((labels, value)) = &sample.exemplar {
        let length = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        assert!(length.sum::<usize>() <= 128, "the exemplar is too long: {line}");
        assert!(name.ends_with("_bucket") || name.ends_with("_total"), "an exemplar: {line}");
        let bound = sample.label("le").and_then(number);
        assert!(bound.is_none_or(|bound| *value <= bound), "the exemplar is not in its bucket: {line}");
    }
    sample
}

fn read_exemplar(text: &str, line: &str) -> (Vec<(String, String)>, f64) {
    let (labels, rest) = read_labels(text, line);
    let mut parts = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}")).split(' ');
    let value = parts.next().and_then(number).unwrap_or_else(|| panic!("no value of the exemplar: {line}"));
    if let Some(time) = parts.next() {
        assert!(number(time).is_some_and(|time| time > 1e9), "no time of the exemplar: {line}");
    }
    assert_eq!(parts.next(), None, "{line}");
    (labels, value)
}

/// Reads `{name="value",…}`, which may be absent. Returns the labels and the rest.
fn read_labels<'a>(text: &'a str, line: &str) -> (Vec<(String, String)>, &'a str) {
    let mut labels: Vec<(String, String)> = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (labels, text) };
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        assert!(is_identifier(name, "") && !name.starts_with("__"), "label {name:?}: {line}");
        assert!(labels.iter().all(|(other, _)| other != name), "label {name} occurs twice: {line}");
        let (value, after) = read_value(after, line);
        labels.push((name.into(), value));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return (labels, after.strip_prefix('}').unwrap_or_else(|| panic!("no end: {line}"))),
        }
    }
}

/// Reads a value up to its closing quote.
fn read_value<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &text[index + 1..]),
            '\\' => value.push(match characters.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('\\' | '"'))) => escaped,
                other => panic!("escape {other:?}: {line}"),
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote: {line}")
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust would read `inf`, `infinity` and `nan` too, which no format allows.
        _ => text
            .starts_with(|first: char| first.is_ascii_digit() || first == '-')
            .then(|| text.parse().ok())?,
    }
}

fn is_identifier(name: &str, more: &str) -> bool {
    let is_start = |first: char| first.is_ascii_alphabetic() || first == '_' || more.contains(first);
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}

#[track_caller]
fn check_name(name: &str) {
    assert!(is_identifier(name, ":"), "not a metric name: {name:?}");
}

#[track_caller]
fn check_escapes(help: &str) {
    let plain = help.replace("\\\\", "").replace("\\n", "").replace("\\\"", "");
    assert!(!plain.contains('\\'), "an odd escape: {help}");
}

/// Checks that a sample's name belongs to the family before it.
fn check_suffix(family: &Family, name: &str, format: Format, line: &str) {
    let suffix = name.strip_prefix(&family.name).unwrap_or_else(|| panic!("not of {}: {line}", family.name));
    let allowed: &[&str] = match (family.kind.as_str(), format) {
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("counter", Format::OpenMetrics) => &["_total"],
        ("info", Format::OpenMetrics) => &["_info"],
        ("counter" | "gauge", _) => &[""],
        (kind, _) => panic!("type {kind:?}: {line}"),
    };
    assert!(allowed.contains(&suffix), "{line}");
}

/// Checks the samples of a family together, and its name.
fn check_family(family: &Family, format: Format) {
    let Family { name, kind, .. } = family;
    assert!(!family.samples.is_empty(), "{name} has no sample");
    assert!(family.help.len() > 3 && !family.help.ends_with('.'), "{name}: {}", family.help);
    let base = match format {
        Format::Prometheus if kind == "counter" => name.strip_suffix("_total").expect("_total on a counter"),
        _ => name,
    };
    assert!(!base.ends_with("_total"), "{name}");
    if let Some(unit) = &family.unit {
        assert!(base.ends_with(&format!("_{unit}")), "{name} does not end with its unit {unit}");
    }
    for word in ["milliseconds", "ms", "micros", "nanos", "kilobytes", "kib", "mb", "minutes", "percent"] {
        assert!(!base.split('_').any(|part| part == word), "{name} is not in a base unit");
    }
    let mut seen = HashSet::new();
    let names = |sample: &Sample| sample.labels.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let without_bound =
        |sample: &Sample| names(sample).into_iter().filter(|name| name != "le").collect::<Vec<_>>();
    for sample in &family.samples {
        assert!(seen.insert((&sample.name, format!("{:?}", sample.labels))), "twice: {sample:?}");
        assert_eq!(without_bound(sample), without_bound(&family.samples[0]), "labels of {name}");
        if kind != "gauge" {
            assert!(sample.value >= 0.0 && sample.value.is_finite(), "{sample:?}");
        }
    }
    if kind == "histogram" {
        check_histogram(family);
    }
}

/// Checks the buckets of each series: ascending bounds, cumulative counts, and a last bucket that equals the count.
fn check_histogram(family: &Family) {
    let key = |sample: &Sample| -> Vec<(String, String)> {
        sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect()
    };
    let groups: HashSet<_> = family.samples.iter().map(key).collect();
    for group in groups {
        let of = |suffix: &str| {
            let name = format!("{}{suffix}", family.name);
            family.samples.iter().filter(|s| s.name == name && key(s) == group).collect::<Vec<_>>()
        };
        let buckets = of("_bucket");
        let bounds: Vec<f64> =
            buckets.iter().map(|bucket| bucket.label("le").and_then(number).expect("a bound")).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{}: {bounds:?}", family.name);
        assert_eq!(bounds.last(), Some(&f64::INFINITY), "{}", family.name);
        assert!(buckets.is_sorted_by(|a, b| a.value <= b.value), "{}: {group:?}", family.name);
        let (counts, sums) = (of("_count"), of("_sum"));
        assert_eq!((counts.len(), sums.len()), (1, 1), "{}: {group:?}", family.name);
        assert_eq!(
            buckets.last().map(|bucket| bucket.value),
            Some(counts[0].value),
            "{}: {group:?}",
            family.name
        );
    }
}

#[test]
fn faults_are_found() {
    let faults = [
        "a 1\n",
        "# HELP a text here\n# TYPE a gauge\na 1",
        "# HELP a text here\n# TYPE a gauge\n",
        "# HELP a text here\n# TYPE a counter\na 1\n",
        "# HELP a text here\n# TYPE a gauge\na{b=\"c\\t\"} 1\n",
        "# HELP a text here\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n",
        "# HELP a text here\n# TYPE a gauge\na{b=\"c\"} 1\na{b=\"c\"} 2\n",
        "# HELP a text here\n# TYPE a gauge\na{b=\"c\"} 1\na{d=\"c\"} 2\n",
        "# HELP a text here\n# TYPE a gauge\na 1 # {x=\"y\"} 1\n",
        "# HELP a_ms text here\n# TYPE a_ms gauge\na_ms 1\n",
        "# HELP a text here\n# TYPE a gauge\na one\n",
        "# HELP a text here\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# HELP a text here\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
        "# HELP a text here\n# TYPE a gauge\na 1\n# HELP b text here\n# TYPE b gauge\na 2\n",
    ];
    for text in faults {
        let read = std::panic::catch_unwind(|| parse(text, Format::Prometheus));
        assert!(read.is_err(), "{text}");
    }
    let text = "# HELP a_seconds text here\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n";
    let good =
        format!("{text}a_seconds_total{{b=\"\\\"\\\\\\n\"}} 2.5 # {{c=\"d\"}} 1.0 1700000000.5\n# EOF\n");
    let families = parse(&good, Format::OpenMetrics);
    assert_eq!(families[0].samples[0].label("b"), Some("\"\\\n"));
    assert!(std::panic::catch_unwind(|| parse(&format!("{good}\n"), Format::OpenMetrics)).is_err());
    assert!(std::panic::catch_unwind(|| parse(&good, Format::Prometheus)).is_err());
}
