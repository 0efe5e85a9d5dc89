//! `cc-relay man`: the manual pages, made from the definition of the command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Directory that gets a page for each command, as cc-relay-COMMAND.1. Existing pages are replaced. Without it, the page of
    /// cc-relay itself is printed.
    directory: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ManualError {
    #[error("the manual pages cannot be written to {}", directory.display())]
    Write { directory: PathBuf, source: io::Error },
    #[error(transparent)]
    Output(#[from] io::Error),
}

pub(crate) fn man(arguments: &ManArguments, command: Command, out: &mut Output) -> Result<(), ManualError> {
    match &arguments.directory {
        Some(directory) => write_to(directory, command)
            .map_err(|source| ManualError::Write { directory: directory.clone(), source }),
        None => Ok(out.write(&page(command)?)?),
    }
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

fn write_to(directory: &Path, command: Command) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}
