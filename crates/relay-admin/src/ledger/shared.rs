//! The state that the thread of the ledger shares with its handles.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use relay_messages::ErrorChain;
use relay_server::RequestRecord;

use super::error::LedgerError;
use super::settings::LedgerSettings;
use crate::prices::{CurrentPrices, PriceTable};
use crate::prompt_cache::{CacheVerdict, PromptCache};

#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    retention_days: Option<i64>,
    prices: Option<CurrentPrices>,
    prompt_cache: Option<PromptCache>,
    dropped: AtomicU64,
    is_closing: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(settings: LedgerSettings) -> Self {
        Self {
            path: settings.path,
            retention_days: settings.retention_days.map(|days| days.get().into()),
            prices: settings.prices,
            prompt_cache: settings.prompt_cache,
            dropped: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn retention_days(&self) -> Option<i64> {
        self.retention_days
    }

    pub(super) fn prices(&self) -> Option<Arc<PriceTable>> {
        self.prices.as_ref().map(CurrentPrices::table)
    }

    /// The verdict on the prompt cache of a request, and the place at which its prefix broke.
    pub(super) fn verdict(&self, record: &RequestRecord) -> Option<(CacheVerdict, Option<String>)> {
        self.prompt_cache.as_ref()?.verdict(record)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn add_dropped(&self, records: usize) {
        self.dropped.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    pub(super) fn set_closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn error(&self) -> Option<String> {
        lock(&self.error).clone()
    }

    /// Notes a failure. The first one after a success is logged.
    pub(super) fn set_error(&self, error: &LedgerError) {
        let text = ErrorChain(error).to_string();
        let before = lock(&self.error).replace(text.clone());
        if before.is_none() {
            tracing::warn!(
                error = text,
                "the usage ledger is not written; the relay goes on, and tries again"
            );
        }
    }

    pub(super) fn clear_error(&self) {
        if lock(&self.error).take().is_some() {
            tracing::info!(path = %self.path.display(), "the usage ledger is written again");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
