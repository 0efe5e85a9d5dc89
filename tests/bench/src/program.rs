//! The program: prepares a run, makes it, and reports it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;
use tokio::process::Command;

use crate::Result;
use crate::arguments::Options;
use crate::facts::facts;
use crate::peer::{Kind, Lab, Spec};
use crate::proc::{self, Load};
use crate::process::{Placement, raise_file_limit};
use crate::run::{Outcome, Run};
use crate::table::markdown;
use crate::upstream::handle::Upstream;
use crate::workload::Workload;
use crate::workload::list::workloads;
use crate::workload::scale::Scale;

/// The pressure on the CPUs, in percent, above which the report warns.
const BUSY: f64 = 10.0;

/// Makes a run and prints its table.
/// # Errors
/// If a program cannot be built, or if a workload has failed, after the report of the others.
pub(crate) async fn run(options: Options) -> Result<()> {
    raise_file_limit();
    let scale = scale(&options);
    let workloads = selected(&options, &scale)?;
    let relay = match &options.relay {
        Some(path) => fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => build_relay().await?,
    };
    let directory = TempDir::new()?;
    let placement =
        if options.unplaced || options.smoke { Placement::inactive() } else { Placement::of_this_machine() };
    let upstream = Upstream::start(directory.path(), options.upstream_port).await?;
    let lab = Lab { relay, envoy: options.envoy.clone(), placement, upstream };
    let facts = facts(&lab);

    let (begin, before) = (Instant::now(), Load::now());
    let outcome = Run::new(lab, scale, directory, &options).all(&workloads).await?;
    let stolen = Load::now().stolen_since(&before);
    let seconds = begin.elapsed().as_secs();

    let mut report = String::new();
    for fact in facts.iter().chain(&circumstances(&outcome, stolen, seconds, &scale)) {
        writeln!(report, "- {fact}")?;
    }
    write!(report, "\n{}", markdown(&workloads, &outcome.records))?;
    if let Some(path) = &options.json {
        let lines: String = outcome.records.lines().map(|line| format!("{line}\n")).collect();
        let head = serde_json::json!({"facts": facts, "stolen": stolen, "pressure": outcome.pressure});
        fs::write(path, format!("{head}\n{lines}"))?;
    }
    crate::print(&report)?;
    match outcome.failures.len() {
        0 => Ok(()),
        count => Err(format!("{count} of {} workloads failed", workloads.len()).into()),
    }
}

fn scale(options: &Options) -> Scale {
    let scale = match (options.smoke, options.quick) {
        (true, _) => Scale::smoke(),
        (_, true) => Scale::quick(),
        _ => Scale::full(),
    };
    let rounds = if options.train { Some(1) } else { options.rounds.map(usize::from) };
    let scale = Scale {
        rounds: rounds.unwrap_or(scale.rounds),
        open_rounds: rounds.unwrap_or(scale.open_rounds),
        new_process_rounds: rounds.unwrap_or(scale.new_process_rounds),
        ..scale
    };
    scale.within_files(proc::file_limit())
}

/// Returns the workloads that the options select, with their peers.
fn selected(options: &Options, scale: &Scale) -> Result<Vec<Workload>> {
    let mut further: Vec<Spec> = options.envoy.iter().map(|_| Spec::new("envoy", Kind::Envoy)).collect();
    further.extend(options.peers.iter().map(|peer| Spec::new(&peer.name, Kind::External(peer.clone()))));
    let mut workloads = workloads(scale, &further);
    if let Some(unknown) =
        options.only.iter().find(|name| workloads.iter().all(|one| one.id != name.as_str()))
    {
        let known: Vec<_> = workloads.iter().map(|one| one.id).collect();
        return Err(format!("`{unknown}` is no workload; the workloads are {}", known.join(", ")).into());
    }
    workloads.retain(|one| match options.only.as_slice() {
        [] => !(options.quick && one.is_long()),
        only => only.iter().any(|name| name == one.id),
    });
    for workload in &mut workloads {
        workload.peers.retain(|peer| match peer.kind {
            Kind::Relay(_) => true,
            Kind::Nginx | Kind::Haproxy => !(options.smoke || options.train),
            _ => !options.train,
        });
    }
    Ok(workloads)
}

/// Builds cc-relay in the release profile and returns the path of the program. It is built alone, since a build together with
/// this program would unite the features of their dependencies.
async fn build_relay() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    crate::progress("building cc-relay");
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "-p", "cc-relay", "--message-format", "json-render-diagnostics"]);
    // Otherwise ring and all that depends on it are compiled again: its build script depends on these variables of `cargo run`.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_"))
        {
            command.env_remove(name);
        }
    }
    let output = command.current_dir(root).stderr(std::process::Stdio::inherit()).output().await?;
    if !output.status.success() {
        return Err("cc-relay could not be built".into());
    }
    let lines = String::from_utf8(output.stdout)?;
    Ok(executable(&lines).ok_or("cargo has not reported the program")?)
}

/// Returns the path of the program `cc-relay` from cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == "cc-relay");
    programs.find_map(|message| Some(message["executable"].as_str()?.into()))
}

/// Returns the circumstances of the run as lines of the report.
fn circumstances(outcome: &Outcome, stolen: f64, seconds: u64, scale: &Scale) -> Vec<String> {
    let most = outcome.pressure.iter().copied().fold(0.0, f64::max);
    let mut lines = vec![
        format!(
            "run: {seconds} s; {} rounds, {} with open streams, {} with new processes",
            scale.rounds, scale.open_rounds, scale.new_process_rounds
        ),
        format!("stolen CPU time: {:.1} %; largest pressure on the CPUs: {most:.0} %", stolen * 100.0),
    ];
    if most > BUSY {
        let text = "the pressure includes this run itself; on a machine with other work, compare ratios only";
        lines.push(text.to_owned());
    }
    lines.extend(outcome.failures.iter().map(|(name, error)| format!("FAILED: {name}: {error}")));
    if !outcome.absent.is_empty() {
        let names: Vec<_> = outcome.absent.iter().map(String::as_str).collect();
        lines.push(format!("not installed, and therefore not measured: {}", names.join("; ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn a_quick_run_has_the_long_workloads_on_request_only() {
        #[track_caller]
        fn check(arguments: &[&str], expected: &[&str]) {
            let all = [&["relay-bench"], arguments].concat();
            let options = Arguments::parse_from(all).options;
            let workloads = selected(&options, &scale(&options)).unwrap();
            let names: Vec<_> = workloads.iter().map(|one| one.id).collect();
            for name in
                ["protocols-1", "protocols-32", "protocols-250", "protocols-2000", "many-streams", "stalled"]
            {
                assert_eq!(names.contains(&name), expected.contains(&name), "{name} in {arguments:?}");
            }
        }
        let long = ["protocols-250", "protocols-2000", "many-streams", "stalled"];
        let short = ["protocols-1", "protocols-32"];
        check(&[], &[short.as_slice(), long.as_slice()].concat());
        check(&["--quick"], &short);
        check(&["--quick", "--only", "stalled,many-streams"], &["stalled", "many-streams"]);
    }

    #[test]
    fn the_program_is_found_in_the_messages_of_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"relay-server"},"executable":null}"#,
            "\nnoise\n",
            r#"{"reason":"compiler-artifact","target":{"name":"cc-relay"},"executable":"/t/release/cc-relay"}"#,
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/cc-relay")));
        assert_eq!(executable("{}"), None);
    }
}
