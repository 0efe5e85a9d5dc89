//! A run: each workload at each of its peers, in rounds.
//!
//! In each round, every peer of the workload is measured once, in random order, so that a change of the machine's speed
//! affects all of them. Ratios are made of values of the same round.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::arguments::Options;
use crate::peer::{Kind, Lab, Launch, Peer, Spec, start};
use crate::proc::Load as MachineLoad;
use crate::process::Share;
use crate::records::{Record, Records};
use crate::upstream::handle::Upstream;
use crate::workload::Workload;
use crate::workload::load::{Load, measure_start};
use crate::workload::metric::Values;
use crate::workload::open_streams::{HeldStreams, measure_memory, measure_memory_after};
use crate::workload::scale::Scale;
use crate::workload::system_calls;
use crate::{Error, Result};

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) records: Records,
    /// Peers that are not installed.
    pub(crate) absent: BTreeSet<String>,
    /// The error of each workload that failed, by its name. It has no values.
    pub(crate) failures: BTreeMap<&'static str, String>,
    /// The pressure on the CPUs at the start of each round, in percent.
    pub(crate) pressure: Vec<f64>,
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Run {
    lab: Lab,
    scale: Scale,
    /// True if system calls are counted.
    strace: bool,
    /// True if processes are asked to end.
    train: bool,
    /// The directory of the upstream's files.
    directory: TempDir,
    outcome: Outcome,
    /// Peers whose streams have ended, until their memory is measured once more.
    waiting: JoinSet<(&'static str, String, Result<Values>)>,
}

impl Run {
    pub(crate) fn new(lab: Lab, scale: Scale, directory: TempDir, options: &Options) -> Self {
        let Options { strace, train, .. } = *options;
        Self { lab, scale, strace, train, directory, outcome: Outcome::default(), waiting: JoinSet::new() }
    }

    /// Measures all workloads. A workload ends at the first request that fails, or whose answer is not the upstream's: a proxy
    /// that fails does less work. The others are measured all the same.
    /// # Errors
    /// If a task has panicked.
    pub(crate) async fn all(mut self, workloads: &[Workload]) -> Result<Outcome> {
        for (number, workload) in workloads.iter().enumerate() {
            let begin = Instant::now();
            if let Err(error) = self.one(workload).await {
                self.fail(workload.id, &error);
            }
            let (number, count) = (number + 1, workloads.len());
            crate::progress(&format!("[{number}/{count}] {}: {:.1?}", workload.title, begin.elapsed()));
        }
        while let Some(one) = self.waiting.join_next().await {
            let (workload, peer, values) = one?;
            match values {
                Ok(values) if !self.outcome.failures.contains_key(workload) => {
                    self.record(workload, &peer, 0, values);
                }
                Ok(_) => {}
                Err(error) => self.fail(workload, &error),
            }
        }
        Ok(self.outcome)
    }

    /// Drops the values of a workload, and keeps its first error.
    fn fail(&mut self, workload: &'static str, error: &Error) {
        crate::progress(&format!("error: {workload}: {error}"));
        self.outcome.records.remove(workload);
        self.outcome.failures.entry(workload).or_insert_with(|| error.to_string());
    }

    async fn one(&mut self, workload: &Workload) -> Result<()> {
        self.new_upstream(workload).await?;
        match workload.load {
            Load::Start => self.starts(workload).await,
            Load::Held(streams) => self.memory(workload, &streams).await,
            Load::PacedInNewProcess { .. } | Load::Stalled(_) => self.new_process_rounds(workload).await,
            _ => self.rounds(workload).await,
        }
    }

    /// Replaces the upstream, so that connections of earlier peers cannot use up its files.
    async fn new_upstream(&mut self, workload: &Workload) -> Result<()> {
        let share = match workload.load {
            Load::Start => Share::Any,
            _ if workload.on_one_cpu() => Share::BesideTheProxy,
            _ => Share::Load,
        };
        self.lab.placement.place(std::process::id(), share);
        if !self.lab.upstream.has_fixed_port() {
            self.lab.upstream = Upstream::start(self.directory.path(), None).await?;
        }
        self.lab.placement.place(self.lab.upstream.pid(), share);
        self.lab.upstream.set(workload.load.scenario()).await
    }

    async fn rounds(&mut self, workload: &Workload) -> Result<()> {
        let mut peers = Vec::new();
        for spec in &workload.peers {
            peers.extend(self.start(spec).await?);
        }
        let (rounds, time) = match workload.load {
            Load::Json { .. } | Load::Burst { .. } => (self.scale.rounds, self.scale.closed),
            _ => (self.scale.open_rounds, self.scale.open),
        };
        for round in 0..rounds {
            self.outcome.pressure.extend(MachineLoad::now().pressure);
            fastrand::shuffle(&mut peers);
            for peer in &peers {
                self.measure(workload, peer, round, time).await?;
            }
        }
        self.outcome.records.add_added_time(workload.id);
        let traced = if self.strace { peers.as_slice() } else { &[] };
        for peer in traced {
            let values = system_calls::count(workload.load, peer, time).await;
            let values = values.map_err(|error| format!("{}: {error}", peer.name))?;
            self.record(workload.id, &peer.name, 0, values);
        }
        for peer in peers.into_iter().filter(|_| self.train) {
            peer.stop().await?;
        }
        Ok(())
    }

    /// Measures each peer in a new process in each round: the growth of its memory is then that of one load.
    async fn new_process_rounds(&mut self, workload: &Workload) -> Result<()> {
        let mut specs = workload.peers.clone();
        for round in 0..self.scale.new_process_rounds {
            self.outcome.pressure.extend(MachineLoad::now().pressure);
            fastrand::shuffle(&mut specs);
            for spec in &specs {
                let Some(peer) = self.start(spec).await? else { continue };
                self.measure(workload, &peer, round, self.scale.open / 2).await?;
            }
        }
        Ok(())
    }

    async fn measure(
        &mut self,
        workload: &Workload,
        peer: &Peer,
        round: usize,
        time: Duration,
    ) -> Result<()> {
        let values = workload.load.measure(peer, &self.lab, time).await;
        let values = values.map_err(|error| format!("{}: {error}", peer.name))?;
        self.record(workload.id, &peer.name, round, values);
        Ok(())
    }

    async fn starts(&mut self, workload: &Workload) -> Result<()> {
        for round in 0..self.scale.starts {
            for spec in &workload.peers {
                match measure_start(spec, &self.lab).await? {
                    Some(values) => self.record(workload.id, &spec.name, round, values),
                    None => drop(self.outcome.absent.insert(spec.name.clone())),
                }
            }
        }
        Ok(())
    }

    /// Measures each peer in a new process with a new upstream, once. The time after the end of the streams passes while others
    /// are measured.
    async fn memory(&mut self, workload: &Workload, streams: &HeldStreams) -> Result<()> {
        for spec in &workload.peers {
            self.new_upstream(workload).await?;
            let Some(peer) = self.start(spec).await? else { continue };
            let values = measure_memory(&peer, &self.lab, streams).await;
            let values = values.map_err(|error| format!("{}: {error}", peer.name))?;
            self.record(workload.id, &peer.name, 0, values);
            let (id, wait) = (workload.id, streams.wait);
            self.waiting
                .spawn(async move { (id, peer.name.clone(), measure_memory_after(&peer, wait).await) });
        }
        Ok(())
    }

    async fn start(&mut self, spec: &Spec) -> Result<Option<Peer>> {
        // An external peer has its own upstream, which may be stopped.
        if let Kind::External(peer) = &spec.kind {
            crate::proc::cpu_time(peer.pid)
                .map_err(|error| format!("{}: process {}: {error}", spec.name, peer.pid))?;
        }
        let peer = start(spec, &self.lab, Launch::Placed).await?;
        if peer.is_none() {
            self.outcome.absent.insert(spec.name.clone());
        }
        Ok(peer)
    }

    fn record(&mut self, workload: &'static str, peer: &str, round: usize, values: Values) {
        for (metric, value) in values {
            let peer = peer.to_owned();
            self.outcome.records.push(Record { workload, peer, round, metric, value });
        }
    }
}
