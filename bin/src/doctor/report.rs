//! The report of all checks, as lines and as JSON.

use std::io;

use clap::builder::styling::AnsiColor;
use relay_config::Secret;
use serde_json::{Value, json};

use super::check::{Check, Group, Mark};
use crate::logging::Redactor;
use crate::output::{Output, printable};
use crate::settings;

/// The least length of a value in the environment that is kept out of the report. Shorter ones are words such as `true`.
const SECRET_LENGTH: usize = 8;
/// Parts of the names of variables whose values are secrets.
const SECRET_NAMES: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];

/// The checks of every subject.
#[derive(Debug)]
pub(super) struct Report {
    groups: Vec<Group>,
}

impl Report {
    /// Creates a report without the values of secrets: those of the configuration, and those of the environment. An upstream may
    /// repeat a credential in its error.
    pub(super) fn new(groups: Vec<Group>, mut secrets: Vec<Secret>) -> Self {
        secrets.extend(settings::variables().filter_map(|(name, value)| {
            (value.len() >= SECRET_LENGTH && is_secret(&name)).then(|| Secret::new(value))
        }));
        let redactor = Redactor::new(&secrets);
        let clean = |text: String| {
            let redacted = redactor.redact(text.as_bytes());
            printable(&redacted.map_or(text, |bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let cleaned = |check: Check| Check { text: clean(check.text), fix: check.fix.map(clean), ..check };
        let groups = groups.into_iter().map(|group| Group {
            detail: clean(group.detail),
            checks: group.checks.into_iter().map(cleaned).collect(),
            ..group
        });
        Self { groups: groups.collect() }
    }

    fn count(&self, mark: Mark) -> usize {
        self.groups.iter().flat_map(|group| &group.checks).filter(|check| check.mark == mark).count()
    }

    /// Returns `true` if no check fails.
    pub(super) fn is_ok(&self) -> bool {
        self.count(Mark::Fail) == 0
    }

    pub(super) fn print(&self, out: &mut Output) -> io::Result<()> {
        let checks = || self.groups.iter().flat_map(|group| &group.checks);
        let width = checks().map(|check| check.name.len()).max().unwrap_or(0);
        for group in &self.groups {
            print_head(group, out)?;
            group.checks.iter().try_for_each(|check| print_check(check, width, out))?;
            out.line("")?;
        }
        let [ok, warn, fail, skip] =
            [Mark::Ok, Mark::Warn, Mark::Fail, Mark::Skip].map(|mark| self.count(mark));
        out.line(format_args!("{ok} ok, {warn} warn, {fail} fail, {skip} skip"))
    }

    pub(super) fn as_json(&self) -> Value {
        let checks = self.groups.iter().flat_map(|group| {
            group.checks.iter().map(|check| {
                json!({
                    "group": group.name,
                    "provider": group.provider,
                    "check": check.name,
                    "status": check.mark.as_str(),
                    "message": check.text,
                    "fix": check.fix,
                    "milliseconds": check.time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                })
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": self.is_ok(),
            "counts": {
                "ok": self.count(Mark::Ok),
                "warn": self.count(Mark::Warn),
                "fail": self.count(Mark::Fail),
                "skip": self.count(Mark::Skip),
            },
            "checks": checks.collect::<Vec<_>>(),
        })
    }
}

/// Returns `true` if the name of a variable suggests a secret, and not the place of one.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_place = name == "GOOGLE_APPLICATION_CREDENTIALS"
        || ["_FILE", "_PATH", "_DIR", "_URL", "_URI", "_HOST"].iter().any(|end| name.ends_with(end));
    !is_place && SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn print_head(group: &Group, out: &mut Output) -> io::Result<()> {
    let bold = out.style(AnsiColor::White);
    let provider = group.provider.as_ref().map(|name| format!(" {}", printable(name))).unwrap_or_default();
    let detail = if group.detail.is_empty() { String::new() } else { format!("  {}", group.detail) };
    out.line(format_args!("{bold}{}{provider}{bold:#}{detail}", group.name))
}

fn print_check(check: &Check, width: usize, out: &mut Output) -> io::Result<()> {
    let style = match check.mark {
        Mark::Ok => out.style(AnsiColor::Green),
        Mark::Warn => out.style(AnsiColor::Yellow),
        Mark::Fail => out.style(AnsiColor::Red),
        Mark::Skip => out.style(AnsiColor::White),
    };
    let time = check.time.map(|time| format!(" ({} ms)", time.as_millis())).unwrap_or_default();
    let (mark, name, text) = (check.mark.as_str(), check.name, &check.text);
    out.line(format_args!("  {style}{mark:4}{style:#}  {name:width$}  {text}{time}"))?;
    match &check.fix {
        Some(fix) => out.line(format_args!("        {:width$}  fix: {fix}", "")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_variable_suggests_a_secret() {
        for (name, expected) in [
            ("ZAI_API_KEY", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("my_token", true),
            ("AWS_SHARED_CREDENTIALS_FILE", false),
            ("GOOGLE_APPLICATION_CREDENTIALS", false),
            ("HOME", false),
        ] {
            assert_eq!(is_secret(name), expected, "{name}");
        }
    }
}
