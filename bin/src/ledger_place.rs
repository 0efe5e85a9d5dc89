//! The place of the usage ledger.

use std::path::PathBuf;

#[cfg(feature = "ledger")]
use relay_admin::ledger::default_path;
use relay_config::UsageConfig;

/// The place of the usage ledger, or the reason for which there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "ledger"),
    expect(dead_code, reason = "a program without a ledger has no place for it")
)]
pub(crate) enum LedgerPlace {
    /// This file.
    File(PathBuf),
    /// A temporary file: the requests of a demonstration do not belong to those of the user.
    Temporary,
    /// None: a setting disables the ledger.
    Disabled,
    /// None: no setting and no variable names a directory.
    Nowhere,
    /// None: the program was built without it.
    #[cfg(not(feature = "ledger"))]
    NotBuilt,
}

impl LedgerPlace {
    /// Determines the place by the configuration and the environment.
    #[cfg(feature = "ledger")]
    pub(crate) fn of(usage: &UsageConfig, is_demo: bool) -> Self {
        match &usage.path {
            _ if !usage.enabled => Self::Disabled,
            _ if is_demo => Self::Temporary,
            Some(path) => Self::File(path.clone()),
            None => default_path(|name| std::env::var_os(name)).map_or(Self::Nowhere, Self::File),
        }
    }

    #[cfg(not(feature = "ledger"))]
    pub(crate) fn of(_: &UsageConfig, _: bool) -> Self {
        Self::NotBuilt
    }

    /// The reason for which there is no ledger; `None` if there is one.
    pub(crate) fn absence(&self) -> Option<&'static str> {
        match self {
            Self::File(_) | Self::Temporary => None,
            Self::Disabled => Some("usage.enabled is false"),
            Self::Nowhere => Some(
                "neither XDG_DATA_HOME nor HOME names an absolute directory for it; usage.path sets a file",
            ),
            #[cfg(not(feature = "ledger"))]
            Self::NotBuilt => Some("this program was built without the feature `ledger`"),
        }
    }
}
