//! The loader, from sources to a [`Config`]: read, locate, expand, check, merge, resolve.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, ProviderConfig};
use crate::env_settings::{self, Variables};
use crate::environment::Environment;
use crate::error::{Concern, Fault, LoadError, Place, Warning};
use crate::interpolate;
use crate::layer::{Layer, Layers};
use crate::raw;
use crate::report::Report;
use crate::resolve::resolve;
use crate::schema::Schema;
use crate::text::decode;
use crate::toml_rehome;
use crate::tree::{KeyPath, Node, Value};
use crate::validate::validate;
use crate::{toml, yaml};

/// The mode bit that lets users outside of owner and group read a file.
const OTHERS_READ: u32 = 0o004;
/// The mode bits that let the group and other users write a file.
const OTHERS_WRITE: u32 = 0o022;

/// The format of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// TOML 1.
    Toml,
}

impl Format {
    /// Returns the format of the extension of `path`, if it is a known one.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// Loads a configuration from a file, `CC_RELAY_*` variables and overrides, in ascending order of precedence.
///
/// ```
/// use relay_config::{Format, Loader};
///
/// let text = "providers: [{ name: zai, type: zai, keys: [{ key: '${ZAI_API_KEY}' }] }]";
/// let loaded = Loader::new()
///     .with_text("example.yaml", Format::Yaml, text)
///     .with_environment([("ZAI_API_KEY".to_owned(), "secret".to_owned())])
///     .with_override("server.listen", "127.0.0.1:9000")
///     .load()?;
/// assert_eq!(loaded.config.server.listen[0].port, 9000);
/// # Ok::<(), relay_config::LoadError>(())
/// ```
#[derive(Clone, Default)]
pub struct Loader {
    file: Option<Source>,
    variables: Variables,
    overrides: Vec<(String, String)>,
    providers: Vec<ProviderConfig>,
    added: Vec<String>,
    /// The section that alone is read; `None` reads all.
    section: Option<String>,
}

/// The configuration file, or a text in its place.
#[derive(Clone)]
enum Source {
    Path(PathBuf),
    Text { name: Arc<str>, format: Format, text: String },
}

impl fmt::Debug for Loader {
    /// Prints the name of the file only, since its text and the environment hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|source| match source {
            Source::Path(path) => path.display().to_string(),
            Source::Text { name, .. } => name.to_string(),
        });
        f.debug_struct("Loader").field("file", &file).finish_non_exhaustive()
    }
}

/// A valid configuration, with warnings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The warnings for the operator, in the order of the file.
    pub warnings: Vec<Warning>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Returns the effective configuration, defaults included, as YAML. Every secret is `***`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        self.config.to_yaml()
    }
}

impl Loader {
    /// Returns a loader without a file and with an empty environment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `${NAME}` values and `CC_RELAY_*` settings from `environment`.
    #[must_use]
    pub fn with_environment(mut self, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(environment);
        self
    }

    /// Reads the file at `path` on [`load`](Self::load), in the format that its extension names.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(Source::Path(path.into()));
        self
    }

    /// Uses `text` in place of a file; `name` is its name in messages.
    #[must_use]
    pub fn with_text(mut self, name: impl Into<Arc<str>>, format: Format, text: impl Into<String>) -> Self {
        self.file = Some(Source::Text { name: name.into(), format, text: text.into() });
        self
    }

    /// Overrides the setting at a dotted path, such as `server.listen`, in file and environment. Items of a list
    /// are separated by commas; references to variables are not expanded.
    #[must_use]
    pub fn with_override(mut self, key_path: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.push((key_path.into(), value.into()));
        self
    }

    /// Sets the providers of a configuration that has none, such as those of a [`Discovery`](crate::Discovery).
    #[must_use]
    pub fn with_default_providers(mut self, providers: Vec<ProviderConfig>) -> Self {
        self.providers = providers;
        self
    }

    /// Accepts `names` where a setting names a provider, such as `routing.default_provider`: the providers that the program
    /// adds in code.
    #[must_use]
    pub fn with_added_providers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.added.extend(names.into_iter().map(Into::into));
        self
    }

    /// Reads this section alone, such as `server`, and ignores every other one with its problems: a running relay can be found by its
    /// listeners although its file is invalid.
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    ///
    /// let text = "server: { listen: '127.0.0.1:9000' }\nproviders: [{ nam: zai }]";
    /// let loader = Loader::new().with_text("example.yaml", Format::Yaml, text);
    /// assert!(loader.load().is_err());
    /// assert_eq!(loader.with_section("server").load()?.config.server.listen[0].port, 9000);
    /// # Ok::<(), relay_config::LoadError>(())
    /// ```
    #[must_use]
    pub fn with_section(mut self, name: impl Into<String>) -> Self {
        self.section = Some(name.into());
        self
    }

    /// Reads and checks all sources. It can be called again to read a changed file.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] with every problem, or another [`LoadError`] if the file cannot be read at all.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let schema = Schema::shared();
        let mut report = Report::default();
        let mut layers = Layers::default();
        let mut referenced = BTreeSet::new();
        if let Some(source) = &self.file
            && let Some(mut root) = source.parse(schema, &mut report)?
        {
            self.retain_section(&mut root);
            referenced = interpolate::expand(&mut root, &self.variables, schema, &mut report);
            let has_secrets = validate(&mut root, schema, &mut report);
            let mode = source.mode();
            if has_secrets && mode & OTHERS_READ != 0 {
                report.warning(root.at.clone(), &KeyPath::default(), Concern::ReadableByOthers);
            }
            if mode & OTHERS_WRITE != 0 {
                report.warning(root.at.clone(), &KeyPath::default(), Concern::WritableByOthers);
            }
            layers.push(Layer::new("file", root));
        }
        let section = self.section.as_deref();
        let mut variables =
            env_settings::settings(&self.variables, section, &referenced, schema, &mut report);
        validate(&mut variables, schema, &mut report);
        layers.push(Layer::new("environment", variables));
        let mut overrides = self.override_tree();
        self.retain_section(&mut overrides);
        validate(&mut overrides, schema, &mut report);
        layers.push(Layer::new("command line", overrides));
        self.resolve(&layers, report)
    }

    /// Removes the sections that are not read.
    fn retain_section(&self, root: &mut Node) {
        if let (Some(section), Value::Map(entries)) = (&self.section, &mut root.value) {
            entries.retain(|entry| entry.key == *section);
        }
    }

    fn override_tree(&self) -> Node {
        let mut root = Node::new(Place::Default, Value::Map(Vec::new()));
        for (path, value) in &self.overrides {
            env_settings::set(&mut root, &Place::CommandLine, path, Value::Loose(value.clone()));
        }
        root
    }

    fn resolve(&self, layers: &Layers, mut report: Report) -> Result<Loaded, LoadError> {
        let mut config = match layers.extract::<raw::Root>() {
            Ok(raw) => {
                let variable = |name: &str| self.variables.get(name).cloned();
                resolve(raw, &self.providers, &self.added, layers, Environment::new(&variable), &mut report)
            }
            Err(error) => {
                let path = KeyPath::dotted(&error.path.join("."));
                let message = error.kind.to_string();
                report.problem(layers.place_of(&path), &path, Fault::Shape { message });
                Config::default()
            }
        };
        if config.providers.is_empty() {
            config.providers.clone_from(&self.providers);
        }
        if self.file.is_some()
            && self.added.is_empty()
            && !config.providers.iter().any(|provider| provider.enabled)
        {
            let path = KeyPath::default().key("providers");
            report.warning(layers.place_of(&path), &path, Concern::NoProvider);
        }
        let file = match &self.file {
            Some(Source::Path(path)) => Some(path.clone()),
            _ => None,
        };
        let (problems, warnings) = report.finish();
        if problems.is_empty() {
            Ok(Loaded { config, warnings, file })
        } else {
            Err(LoadError::Invalid { problems })
        }
    }
}

impl Source {
    /// Returns the file as a tree, or `None` if it is not well-formed and the report has the problem.
    fn parse(&self, schema: &Schema, report: &mut Report) -> Result<Option<Node>, LoadError> {
        let (name, format, bytes) = self.read()?;
        let text = match decode(&name, bytes) {
            Ok(text) => text,
            Err((place, fault)) => {
                report.problem(place, &KeyPath::default(), fault);
                return Ok(None);
            }
        };
        Ok(match format {
            Format::Yaml => yaml::parse(&name, &text, report),
            Format::Toml => {
                toml::parse(&name, &text, report).map(|root| toml_rehome::rehome(root, schema, report))
            }
        })
    }

    fn read(&self) -> Result<(Arc<str>, Format, Vec<u8>), LoadError> {
        match self {
            Self::Text { name, format, text } => Ok((name.clone(), *format, text.clone().into_bytes())),
            Self::Path(path) => {
                let format = Format::of(path).ok_or_else(|| LoadError::Extension { path: path.clone() })?;
                let bytes =
                    read_bounded(path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
                Ok((path.display().to_string().into(), format, bytes))
            }
        }
    }

    /// Returns the permission bits of the file; 0 for a text, and where files have none.
    #[cfg(unix)]
    fn mode(&self) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        let Self::Path(path) = self else { return 0 };
        std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode())
    }

    #[cfg(not(unix))]
    fn mode(&self) -> u32 {
        0
    }
}

/// Reads a file of at most 8 MiB, which is more than any configuration needs.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    const LIMIT: u64 = 8 * 1024 * 1024;
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if read as u64 > LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 8 MiB"));
    }
    Ok(bytes)
}
