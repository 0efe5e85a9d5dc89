//! The reload of the configuration.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use relay_admin::api::{Admin, MetricsSite, Reload, ReloadError, Reloaded};
use relay_admin::metrics::Reloads;
use relay_admin::prices::{CurrentPrices, PriceTable};
use relay_config::{Config, Fault, Loaded, ProviderConfig};
use relay_messages::ErrorChain;
use relay_server::Reloadable;

use super::cause::Cause;
use super::changes::{differences, lines, problems, usable};
use super::contents::{Content, Contents};
use super::hooks::{Hooks, Running};
use super::part::Part;
use super::report::{Outcome, ReloadReport};
use super::source::{Origin, Source};
use crate::cli::Settings;
use crate::logging::{Level, LogSecrets};
use crate::settings::{SettingsError, read_file};

/// The parts of the process that a reload changes.
pub(crate) struct Targets {
    pub(crate) relay: Reloadable,
    pub(crate) prices: CurrentPrices,
    pub(crate) secrets: LogSecrets,
    pub(crate) reloads: Reloads,
    pub(crate) level: Level,
}

/// Reads the configuration again and puts it into use.
pub(crate) struct Reloader {
    settings: Settings,
    origin: Origin,
    targets: Targets,
    /// The listeners of the observers, once they exist. They own this reloader.
    admin: OnceLock<Weak<Admin>>,
    metrics: OnceLock<Weak<MetricsSite>>,
    parts: Vec<Box<dyn Part>>,
    hooks: Box<dyn Hooks>,
    /// The number of requests for a reload.
    requested: AtomicU64,
    /// Held for the time of a reload.
    last: Mutex<Last>,
    shown: Mutex<Shown>,
}

/// The last reload.
#[derive(Debug, Default)]
struct Last {
    /// The number of requests that it has answered, those of earlier reloads included.
    answered: u64,
    report: Option<ReloadReport>,
    /// The contents of the files, as they were before it read them.
    contents: Contents,
}

/// The facts that the state of the relay shows.
#[derive(Debug, Default)]
struct Shown {
    /// The warnings of the configuration in use.
    warnings: Vec<String>,
    /// The reason that the file is not in use.
    trouble: Option<String>,
}

impl Reloader {
    /// Creates a reloader of the configuration that was `loaded` from `source`, with the flags and the environment of the process.
    pub(crate) fn new(settings: Settings, source: Source, loaded: &Loaded, targets: Targets) -> Self {
        let Source { origin, before } = source;
        let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        let mut reloader = Self {
            settings,
            origin,
            targets,
            admin: OnceLock::new(),
            metrics: OnceLock::new(),
            parts: Vec::new(),
            hooks: Box::new(()),
            requested: AtomicU64::new(0),
            last: Mutex::new(Last { contents: before, ..Last::default() }),
            shown: Mutex::new(Shown { warnings, trouble: None }),
        };
        reloader.read_contents(&loaded.config);
        reloader
    }

    /// Adds a part of the process.
    pub(crate) fn with_part(mut self, part: impl Part + 'static) -> Self {
        self.parts.push(Box::new(part));
        let config = self.targets.relay.relay().config().clone();
        self.read_contents(&config);
        self
    }

    /// Sets the calls at the start and at the end of each reload.
    pub(crate) fn with_hooks(mut self, hooks: impl Hooks + 'static) -> Self {
        self.hooks = Box::new(hooks);
        self
    }

    /// Applies further configurations to the admin listener, as long as it exists.
    pub(crate) fn set_admin(&self, admin: &Arc<Admin>) {
        self.admin.get_or_init(|| Arc::downgrade(admin));
    }

    /// Applies further configurations to the metrics listener, as long as it exists.
    pub(crate) fn set_metrics(&self, metrics: &Arc<MetricsSite>) {
        self.metrics.get_or_init(|| Arc::downgrade(metrics));
    }

    /// Returns `true` if there is a file to watch.
    pub(crate) fn has_file(&self) -> bool {
        matches!(self.origin, Origin::File(_))
    }

    /// The files that a change of the configuration may come from: the configuration file and those that it names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.last().contents.files().map(Path::to_owned).collect()
    }

    /// Returns `true` if the configuration file is gone, or has become empty, since it was read. Both may be a moment in which it is
    /// being written.
    pub(super) fn is_file_in_transit(&self) -> bool {
        let Origin::File(path) = &self.origin else { return false };
        let is_whole = |content: Content| !matches!(content, Content::Missing | Content::Empty);
        self.last().contents.get(path).is_some_and(is_whole) && !is_whole(Content::of(path))
    }

    /// Reloads if the contents of a file have changed since they were read. Returns `true` if they have.
    pub(super) fn reload_if_changed(&self) -> bool {
        let has_changed = self.last().contents.have_changed();
        if has_changed {
            self.reload(Cause::FileChange);
        }
        has_changed
    }

    /// Reads the configuration again and puts it into use as a whole, or changes nothing. It blocks while files are read and a relay
    /// is built, and while another reload runs. A reload that has begun after this call answers it as well.
    pub(crate) fn reload(&self, cause: Cause) -> ReloadReport {
        let request = self.requested.fetch_add(1, Ordering::AcqRel) + 1;
        let mut last = self.last();
        if last.answered >= request
            && let Some(report) = &last.report
        {
            return report.clone();
        }
        last.answered = self.requested.load(Ordering::Acquire);
        let running = Running::start(&*self.hooks);
        let report = self.run(&mut last.contents);
        drop(running);
        if let Some(result) = report.outcome.result() {
            self.targets.reloads.count(result);
        }
        let mut shown = self.shown();
        report.log(cause, &shown.warnings);
        shown.trouble = report.trouble();
        if matches!(report.outcome, Outcome::Applied | Outcome::Unchanged) {
            shown.warnings.clone_from(&report.warnings);
        }
        last.report = Some(report.clone());
        report
    }

    fn run(&self, contents: &mut Contents) -> ReloadReport {
        let path = match &self.origin {
            Origin::File(path) => path,
            Origin::None(reason) => return ReloadReport::new(Outcome::NoFile(reason.clone())),
        };
        // Before the files are read: a change in the meantime is noticed afterwards.
        *contents = Contents::of(contents.files());
        let problem = match contents.get(path) {
            Some(Content::Missing) => return ReloadReport::new(Outcome::Missing(path.clone())),
            Some(Content::Empty) => "the file is empty",
            Some(Content::Special) => "it is no longer a file",
            _ => "",
        };
        if !problem.is_empty() {
            let problem = format!("{}: {problem}", path.display());
            return ReloadReport::new(Outcome::Rejected(vec![problem]));
        }
        let result = read_file(&self.settings, path);
        self.follow(contents, result.as_ref().map(|loaded| &loaded.config));
        let rejected = |problems| ReloadReport::new(Outcome::Rejected(problems));
        match result {
            Ok(loaded) => {
                let applied = self.apply(loaded);
                applied.unwrap_or_else(|problem| rejected(lines(&format!("{}: {problem}", path.display()))))
            }
            Err(error) => rejected(problems(&error)),
        }
    }

    /// Puts a configuration into use.
    ///
    /// # Errors
    /// The reason that it stays as it was.
    fn apply(&self, loaded: Loaded) -> Result<ReloadReport, String> {
        let text = |error: &dyn Error| ErrorChain(error).to_string();
        let relay = &self.targets.relay;
        let before = relay.relay().config().clone();
        let used = usable(&loaded.config, &before);
        let prices = PriceTable::new(&used).map_err(|error| text(&error))?;
        let prepared = self.parts.iter().filter_map(|part| part.prepare(&used).transpose());
        let commits = prepared.collect::<Result<Vec<_>, _>>().map_err(|error| text(&*error))?;
        // Before the first request can use one of them.
        self.targets.secrets.add(used.secrets());
        let changes = relay.replace(used.clone()).map_err(|error| text(&error))?;
        let mut report = ReloadReport::new(Outcome::Unchanged);
        report.warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        report.restart = used.differences(&loaded.config).iter().map(ToString::to_string).collect();
        if changes.is_empty() && commits.is_empty() {
            return Ok(report);
        }
        report.outcome = Outcome::Applied;
        report.differences = differences(&before, &used, &changes, &commits);
        self.targets.prices.replace(prices);
        self.targets.level.replace(used.logging.level);
        if let Some(admin) = self.admin.get().and_then(Weak::upgrade) {
            admin.apply(&used.server, used.admin.token.as_ref());
        }
        if let Some(metrics) = self.metrics.get().and_then(Weak::upgrade) {
            metrics.apply(&used.server);
        }
        commits.into_iter().for_each(|commit| (commit.apply)());
        Ok(report)
    }

    /// Reads the files that `config` names for the first time.
    fn read_contents(&mut self, config: &Config) {
        if self.has_file() {
            let mut contents = std::mem::take(&mut self.last().contents);
            self.follow(&mut contents, Ok(config));
            self.last().contents = contents;
        }
    }

    /// Follows the files that the configuration names, or that it cannot be used without, beside those of the configuration in use.
    fn follow(&self, contents: &mut Contents, config: Result<&Config, &SettingsError>) {
        let Origin::File(path) = &self.origin else { return };
        let in_use = self.targets.relay.relay();
        let mut files = BTreeSet::from([path.clone()]);
        for config in [Some(in_use.config()), config.ok()].into_iter().flatten() {
            files.extend(config.providers.iter().flat_map(ProviderConfig::files).map(Path::to_owned));
            files.extend(self.parts.iter().flat_map(|part| part.files(config)));
        }
        if let Err(SettingsError::Load(error)) = config {
            files.extend(error.problems().iter().filter_map(|problem| match &problem.fault {
                Fault::File { path, .. } => Some(path.clone()),
                _ => None,
            }));
        }
        contents.keep_and_add(files);
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reload for Reloader {
    fn reload(&self) -> Result<Reloaded, ReloadError> {
        Self::reload(self, Cause::AdminApi).into()
    }

    fn warnings(&self) -> Vec<String> {
        let shown = self.shown();
        shown.trouble.iter().chain(&shown.warnings).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
