//! The dashboard, the alert rules and the table of metrics name what a relay really exports.

use std::collections::{BTreeMap, BTreeSet};

use relay_admin::metrics::{Metrics, MetricsSettings, Reloads};
use serde_json::{Value, json};

use crate::exposition::{Family, Format};
use crate::served::{Served, config, serve_some, upstream};

/// The labels of each sample name that a relay exports after requests of every kind.
type Exported = BTreeMap<String, BTreeSet<String>>;

async fn families() -> Vec<Family> {
    let upstream = upstream().await;
    let settings = MetricsSettings::default().with_dropped_log_lines(|| 0).with_dropped_usage_records(|| 0);
    let settings = settings.with_reloads(Reloads::new());
    let served = Served::with_metrics(&config(&upstream), Metrics::new(settings), None);
    serve_some(&served).await;
    served.families(Format::Prometheus)
}

fn exported(families: &[Family]) -> Exported {
    let mut exported = Exported::new();
    for sample in families.iter().flat_map(|family| &family.samples) {
        let labels = sample.labels.iter().map(|(name, _)| name.clone());
        exported.entry(sample.name.clone()).or_default().extend(labels);
    }
    exported
}

/// The path of a document of the repository.
pub(crate) fn document(name: &str) -> String {
    format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    let path = document(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of a query, each with the labels of its matchers, and the labels by which the query groups and joins.
#[derive(Debug, Default, PartialEq)]
struct Names {
    metrics: Vec<(String, Vec<String>)>,
    grouped: Vec<String>,
}

/// Reads the names in a PromQL query. An identifier before `(` is a function; one that is no keyword is a metric.
fn names(query: &str) -> Names {
    const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    const KEYWORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "inf"];
    let (mut names, mut rest) = (Names::default(), query);
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '"' | '$' | '['))
    {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').expect("a closing quote").1;
            continue;
        }
        if let Some(range) = rest.strip_prefix('[') {
            rest = range.split_once(']').expect("a closing bracket").1;
            continue;
        }
        let rest_of_name = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$'));
        let (name, after) = rest.split_at(rest.find(rest_of_name).unwrap_or(rest.len()));
        let after = after.trim_start();
        rest = after;
        if GROUPINGS.contains(&name) {
            let list = after.strip_prefix('(').and_then(|list| list.split_once(')'));
            if let Some((list, after)) = list {
                names
                    .grouped
                    .extend(list.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()));
                rest = after;
            }
        } else if let Some(matchers) = after.strip_prefix('{') {
            let (labels, after) = matchers_of(matchers);
            names.metrics.push((name.to_owned(), labels));
            rest = after;
        } else if !is_function(after) && !KEYWORDS.contains(&name) && !name.starts_with('$') {
            names.metrics.push((name.to_owned(), Vec::new()));
        }
    }
    names
}

/// Returns `true` if the name before `after` is that of a function or an aggregation.
fn is_function(after: &str) -> bool {
    ["(", "by ", "by(", "without ", "without("].iter().any(|start| after.starts_with(start))
}

/// Reads the labels up to `}`, and returns them and the rest.
fn matchers_of(mut text: &str) -> (Vec<String>, &str) {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return (labels, rest);
        }
        let (label, rest) = text.split_once(['=', '!']).expect("a matcher");
        labels.push(label.trim().to_owned());
        let value = rest.split_once('"').expect("an opening quote").1;
        text = value.split_once('"').expect("a closing quote").1;
    }
}

#[test]
fn names_are_read_from_queries() {
    let query = "sum by (provider, le) (rate(a_total{status=~\"5..|529\", client!=\"x\"}[$__rate_interval])) / on (key) b_c > 0.5 and c";
    let metric =
        |name: &str, labels: &[&str]| (name.to_owned(), labels.iter().map(|l| (*l).to_owned()).collect());
    assert_eq!(
        names(query).metrics,
        [metric("a_total", &["status", "client"]), metric("b_c", &[]), metric("c", &[])]
    );
    assert_eq!(names(query).grouped, ["provider", "le", "key"]);
}

/// Checks that a query names only exported metrics, and only labels that they have.
#[track_caller]
fn check(query: &str, exported: &Exported) {
    let names = names(query);
    assert!(!names.metrics.is_empty(), "no metric: {query}");
    // Prometheus adds these two to each sample.
    let mut known = BTreeSet::from(["instance".to_owned(), "job".to_owned()]);
    for (metric, labels) in &names.metrics {
        let found = exported.get(metric).unwrap_or_else(|| panic!("{metric} is not exported: {query}"));
        for label in labels {
            assert!(found.contains(label), "{metric} has no label {label}: {query}");
        }
        known.extend(found.iter().cloned());
    }
    for label in &names.grouped {
        assert!(known.contains(label), "no metric has the label {label}: {query}");
    }
}

#[tokio::test]
async fn every_query_of_the_dashboard_names_exported_metrics_and_labels() {
    let exported = exported(&families().await);
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let rows: Vec<_> =
        panels.iter().filter(|panel| panel["type"] == "row").map(|row| &row["title"]).collect();
    assert_eq!(
        rows,
        [
            "Traffic",
            "Errors",
            "Latency",
            "Upstreams",
            "Keys and limits",
            "Tokens and cost",
            "The relay itself"
        ]
    );
    let mut queries = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        check_panel(panel);
        let title = panel["title"].as_str().expect("a title");
        assert!(
            panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{title} is described"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has a unit");
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            check(query, &exported);
            check_legend(target["legendFormat"].as_str().unwrap_or_default(), query, &exported);
            queries += 1;
        }
    }
    assert!(queries >= 25, "{queries} queries");
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let arguments = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = arguments.and_then(|text| text.rsplit_once(", ")).expect("label_values");
        check(metric, &exported);
        assert!(exported[&names(metric).metrics[0].0].contains(label), "{query}");
    }
    check_places(panels);
}

/// Checks the parts of a panel that Grafana reads: its type, its data source, the names of its queries and, for the types that
/// colour by thresholds, the mode of the colours. Without it, a state timeline has a gradient from green to red.
#[track_caller]
fn check_panel(panel: &Value) {
    let (title, kind) = (&panel["title"], panel["type"].as_str().expect("a type"));
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    assert_eq!(panel["datasource"], source, "{title}");
    let targets = panel["targets"].as_array().expect("targets");
    let names: BTreeSet<_> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
    assert_eq!(names.len(), targets.len(), "each query of {title} has its own name");
    for target in targets {
        assert_eq!(target["datasource"], source, "{title}");
        assert_ne!(target["range"], target["instant"], "a query of {title} is one or the other");
    }
    let defaults = &panel["fieldConfig"]["defaults"];
    match kind {
        "timeseries" | "stat" => {}
        "state-timeline" | "bargauge" => {
            assert_eq!(defaults["color"]["mode"], "thresholds", "{title}");
            assert!(
                defaults["thresholds"]["steps"][0]["value"].is_null(),
                "{title}: the first step has no bound"
            );
        }
        _ => panic!("{title}: Grafana 10 has no panel {kind} of its own"),
    }
    let unit = defaults["unit"].as_str().unwrap_or_default();
    const UNITS: [&str; 7] = ["short", "reqps", "percentunit", "s", "bytes", "Bps", "currencyUSD"];
    assert!(UNITS.contains(&unit), "{title}: {unit}");
}

/// The queries of the dashboard, with values for its variables and those of Grafana.
pub(crate) fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("the dashboard is JSON");
    let list = dashboard["templating"]["list"].as_array().expect("variables");
    let own = list.iter().filter_map(|variable| variable["name"].as_str());
    let own: Vec<_> = own.map(|name| (format!("${name}"), ".*")).collect();
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let query = |target: &Value| {
        let query = target["expr"].as_str().expect("a query");
        let query = query.replace("$__rate_interval", "5m").replace("$__range", "1h");
        let query = own.iter().fold(query, |query, (name, value)| query.replace(name.as_str(), value));
        assert!(!query.contains('$'), "an unknown variable: {query}");
        query
    };
    targets.map(query).collect()
}

/// Checks that a legend shows only labels that the result of the query has.
#[track_caller]
fn check_legend(legend: &str, query: &str, exported: &Exported) {
    let names = names(query);
    for part in legend.split("{{").skip(1) {
        let label = part.split_once("}}").expect("a closing brace").0.trim();
        let is_grouped = names.grouped.iter().any(|name| name == label);
        let is_known = |metric: &str| label == "instance" || exported[metric].contains(label);
        let is_plain = names.grouped.is_empty() && names.metrics.iter().any(|(metric, _)| is_known(metric));
        assert!(is_grouped || is_plain, "{query} has no label {label}");
    }
}

/// Checks that no two panels overlap, and that none is wider than the grid.
#[track_caller]
fn check_places(panels: &[Value]) {
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} overlaps another panel", panel["title"]);
            }
        }
        assert!(
            ids.insert(panel["id"].as_u64().expect("an id")),
            "the id of {} is not its own",
            panel["title"]
        );
    }
}

#[tokio::test]
async fn every_alert_rule_names_exported_metrics_and_explains_itself() {
    let exported = exported(&families().await);
    let rules = read("alerts.yml");
    let mut alerts = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default();
        let value = |key: &str| {
            let line = rule.lines().find_map(|line| line.trim_start().strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name} has no {key}")).trim()
        };
        check(value("expr:"), &exported);
        assert!(matches!(value("severity:"), "critical" | "warning" | "info"), "{name}");
        assert!(value("summary:").len() > 20 && value("description:").len() > 60, "{name}");
        let for_time = value("for:");
        assert!(for_time.ends_with('m') || for_time.ends_with('h'), "{name}");
        let labels = names(value("expr:"));
        for part in rule.split("$labels.").skip(1) {
            let label = part.split([' ', '}']).next().unwrap_or_default();
            let is_known = labels.grouped.iter().any(|known| known == label)
                || (labels.grouped.is_empty()
                    && labels.metrics.iter().any(|(m, _)| exported[m].contains(label)));
            assert!(is_known, "{name} has no label {label}");
        }
        alerts += 1;
    }
    assert!(alerts >= 12, "{alerts} alerts");
}

#[tokio::test]
async fn the_table_of_metrics_has_each_metric_with_its_type_and_its_labels() {
    let families = families().await;
    let mut documented = BTreeMap::new();
    for line in read("metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `cc_relay_") || line.starts_with("| `process_"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells.as_slice() else { panic!("four cells: {line}") };
        assert!(meaning.len() > 10, "{line}");
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels: BTreeSet<String> = labels.filter(|label| !label.is_empty()).collect();
        let before = documented.insert(name.trim_matches('`').to_owned(), ((*kind).to_owned(), labels));
        assert!(before.is_none(), "twice: {line}");
    }
    let mut real = BTreeMap::new();
    for family in &families {
        let labels =
            family.samples.iter().flat_map(|sample| sample.labels.iter().map(|(name, _)| name.clone()));
        let labels = labels.filter(|label| label != "le").collect::<BTreeSet<_>>();
        real.insert(family.name.clone(), (family.kind.clone(), labels));
    }
    let missing: Vec<_> = real.keys().filter(|name| !documented.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in docs/metrics.md: {missing:?}");
    for (name, described) in &documented {
        // A system may lack some figures of the process.
        match real.get(name) {
            Some(found) => assert_eq!(found, described, "{name}"),
            None => assert!(name.starts_with("process_"), "{name} is not exported"),
        }
    }
}
