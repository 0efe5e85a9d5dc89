//! `cc-relay config cc init` and `remove`: change a settings file and the record of its former values.

use std::path::{Path, PathBuf};

use relay_config::PLACEHOLDER;

use super::arguments::{FileArguments, InitArguments, RemoveArguments};
use super::change::{self, After, Change, ChangeKind, Edited, Wanted};
use super::connection::{self, AUTH_TOKEN, BASE_URL, MODEL_DISCOVERY, Token};
use super::document::Document;
use super::error::ClaudeSettingsError as Error;
use super::file::{self, Written};
use super::record::Record;
use super::store::Store;
use super::{diff, location, mask, report};
use crate::cli::Settings;
use crate::output::Output;
use crate::settings::Start;

/// The number of tries to change a file that another program writes at the same time.
const TRIES: usize = 5;

/// Points Claude Code at the relay.
pub(super) fn init(arguments: &InitArguments, settings: &Settings, out: &mut Output) -> Result<(), Error> {
    let config = Start::read(settings)?.loaded.config;
    let url = match &arguments.url {
        Some(url) => connection::checked_url(url)?,
        None => connection::url_of(&config)?,
    };
    let token = Token::of(&config).map_err(Error::Unusable)?;
    let target = Target::of(&arguments.file)?;
    if matches!(token, Token::Key(_)) && arguments.file.project {
        return Err(Error::SharedKey { path: target.path });
    }
    let mut wanted = vec![Wanted { name: BASE_URL, value: url.clone() }];
    wanted.extend(token.value().map(|value| Wanted { name: AUTH_TOKEN, value: value.to_owned() }));
    wanted.extend(arguments.model_discovery.then(|| Wanted { name: MODEL_DISCOVERY, value: "1".to_owned() }));
    let edit = |document: &mut Document, exists: bool, record: Option<Record>| {
        let (record, mut changes) = change::init(document, exists, record, &wanted);
        if token == Token::Own {
            changes.extend(remove_placeholder(document));
        }
        Edited { after: After::Written(document.to_bytes()), record: Some(record), changes }
    };
    let edited = target.edit(arguments.dry_run, out, edit)?;
    report::init(&target.path, &edited, arguments.dry_run, out)?;
    match arguments.dry_run {
        true => Ok(()),
        false => report::after_init(&url, &token, Token::placeholder_works(&config), out),
    }
}

/// Removes the placeholder, if it stands alone: it would stop the login of the user.
fn remove_placeholder(document: &mut Document) -> Option<Change> {
    let value = document.get(AUTH_TOKEN).and_then(change::text_of);
    (value.as_deref() == Some(PLACEHOLDER)).then(|| {
        document.remove(AUTH_TOKEN);
        Change { name: AUTH_TOKEN.to_owned(), kind: ChangeKind::Removed }
    })
}

/// Restores the values before `init`.
pub(super) fn remove(arguments: &RemoveArguments, out: &mut Output) -> Result<(), Error> {
    let target = Target::of(&arguments.file)?;
    let mut is_known = false;
    let edit = |document: &mut Document, _: bool, record: Option<Record>| {
        is_known = record.is_some();
        let (after, changes) = match record {
            Some(record) => change::remove(document, &record),
            None => (After::Written(document.to_bytes()), Vec::new()),
        };
        Edited { after, record: None, changes }
    };
    let edited = target.edit(arguments.dry_run, out, edit)?;
    if !is_known {
        return report::unknown(&target.path, &target.real, out);
    }
    report::remove(&target.path, &edited, arguments.dry_run, out)
}

/// A settings file to change.
struct Target {
    /// The path that the user knows.
    path: PathBuf,
    /// The path of the file itself, without symbolic links.
    real: PathBuf,
}

impl Target {
    fn of(arguments: &FileArguments) -> Result<Self, Error> {
        let path = location::named_by(arguments)?;
        Ok(Self { real: file::resolve(&path)?, path })
    }

    /// Changes the file and its record. A dry run prints the difference and changes neither.
    fn edit(
        &self,
        is_dry_run: bool,
        out: &mut Output,
        mut edit: impl FnMut(&mut Document, bool, Option<Record>) -> Edited,
    ) -> Result<Edited, Error> {
        let mut store = if is_dry_run { Store::read()? } else { Store::lock()? };
        for _ in 0..TRIES {
            let before = file::read(&self.real)?;
            let parsed = Document::parse(before.as_deref().unwrap_or_default());
            let document = parsed.map_err(|invalid| Error::Invalid { path: self.path.clone(), invalid })?;
            let mut changed = document.clone();
            let edited = edit(&mut changed, before.is_some(), store.get(&self.real));
            if is_dry_run {
                self.print(&document, before.is_some(), &edited.after, out)?;
                return Ok(edited);
            }
            if self.write(&mut store, before.as_deref(), &edited)? == Written::Yes {
                return Ok(edited);
            }
        }
        Err(Error::Busy { path: self.path.clone() })
    }

    /// Writes the file and its record, in an order in which no former value is lost if the process ends in between.
    fn write(&self, store: &mut Store, before: Option<&[u8]>, edited: &Edited) -> Result<Written, Error> {
        let after = match &edited.after {
            After::Written(bytes) => Some(bytes.as_slice()),
            After::Deleted => None,
        };
        // An absent file that stays without settings is not created.
        let is_same = before == after
            || (before.is_none() && edited.changes.iter().all(|change| !change.kind.is_edit()));
        let Some(record) = &edited.record else {
            let former = store.get(&self.real);
            let written = if is_same { Written::Yes } else { file::replace(&self.real, before, after)? };
            if written == Written::Yes {
                store.set(&self.real, None)?;
                if after.is_none() && former.is_some_and(|former| former.created_directory) {
                    remove_directory(&self.real);
                }
            }
            return Ok(written);
        };
        let mut record = record.clone();
        let has_directory = self.real.parent().is_none_or(Path::exists);
        record.created_directory |= !has_directory;
        let former = store.get(&self.real);
        store.set(&self.real, Some(&record))?;
        if is_same {
            return Ok(Written::Yes);
        }
        let written =
            file::create_directory(&self.real).and_then(|()| file::replace(&self.real, before, after));
        if !matches!(written, Ok(Written::Yes)) {
            // Nothing was changed, so that there is nothing to restore.
            store.set(&self.real, former.as_ref())?;
        }
        written
    }

    fn print(&self, document: &Document, exists: bool, after: &After, out: &mut Output) -> Result<(), Error> {
        let after = match after {
            After::Written(bytes) => Document::parse(bytes).ok(),
            After::Deleted => None,
        };
        let path = self.path.display().to_string();
        let name = |exists: bool| if exists { path.clone() } else { "/dev/null".to_owned() };
        let (before_name, after_name) = (name(exists), name(after.is_some()));
        let after_text = after.as_ref().map(Document::text).unwrap_or_default();
        let after_shown = after.as_ref().map(mask::masked).unwrap_or_default();
        let before = diff::Side { name: &before_name, text: document.text(), shown: &mask::masked(document) };
        let after = diff::Side { name: &after_name, text: after_text, shown: &after_shown };
        Ok(out.write(diff::unified(before, after).as_bytes())?)
    }
}

/// Removes the directory that `init` has created, if nothing else is in it.
fn remove_directory(path: &Path) {
    if let Some(directory) = path.parent() {
        let _ = std::fs::remove_dir(directory);
    }
}
