//! The programs whose files are read, and the recognition of a file.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;
use relay_config::{Document, Format};

use super::error::ImportError;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// The most items of a list, and entries of a table. Each of them may become a provider, which the loader compares with all others.
const ITEMS: usize = 1000;

/// A program whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// The cc-relay that is written in Go.
    #[value(name = "cc-relay-go")]
    CcRelay,
    /// claude-code-router.
    #[value(name = "claude-code-router")]
    Router,
    /// LiteLLM's proxy.
    #[value(name = "litellm")]
    LiteLlm,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CcRelay => "the Go cc-relay",
            Self::Router => "claude-code-router",
            Self::LiteLlm => "LiteLLM",
        })
    }
}

/// Reads a file, and recognizes its program unless `from` names it.
pub(super) fn read(path: &Path, from: Option<Source>) -> Result<(Source, Document), ImportError> {
    let document = parse(path, &text(path)?)?;
    let source = from.or_else(|| recognize(&document));
    let source = source.ok_or_else(|| ImportError::Unknown { path: path.to_owned() })?;
    match is_too_long(&document) {
        true => Err(ImportError::TooLong { path: path.to_owned(), limit: ITEMS }),
        false => Ok((source, document)),
    }
}

/// Returns `true` if a list or a table in the document has more than [`ITEMS`] values.
fn is_too_long(document: &Document) -> bool {
    let (items, entries) = (document.items(), document.entries());
    items.len().max(entries.len()) > ITEMS
        || items.iter().chain(entries.iter().map(|(_, value)| value)).any(is_too_long)
}

fn text(path: &Path) -> Result<String, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LIMIT {
        return Err(ImportError::TooLarge { path: path.to_owned(), limit: LIMIT });
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Parses a text in the format of its extension. claude-code-router reads its file as JSON5.
fn parse(path: &Path, text: &str) -> Result<Document, ImportError> {
    let json = |source| ImportError::Json { path: path.to_owned(), source };
    match Format::of(path) {
        Some(format) => Document::read(path.display().to_string(), format, text).map_err(ImportError::Syntax),
        None => json5::from_str(text).map_err(json),
    }
}

fn recognize(document: &Document) -> Option<Source> {
    let has = |key| document.get(key).is_some();
    if has("model_list") || has("litellm_settings") {
        Some(Source::LiteLlm)
    } else if has("Providers") || has("Router") {
        Some(Source::Router)
    } else if has("providers") || has("server") {
        Some(Source::CcRelay)
    } else {
        None
    }
}
