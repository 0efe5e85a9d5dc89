//! Log lines that wait until the terminal is free.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::output::Output;

/// The largest amount of held lines in bytes. Later lines are dropped and counted.
const HELD_MAX: usize = 64 * 1024;

/// Holds log lines back. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldLog(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    lines: Vec<u8>,
    dropped: usize,
}

impl HeldLog {
    /// Prints the held lines on standard error.
    pub(super) fn print(&self) -> io::Result<()> {
        let held = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut err = Output::stderr();
        err.write(&held.lines)?;
        match held.dropped {
            0 => Ok(()),
            dropped => {
                err.line(format_args!("{dropped} more log lines were dropped; --log-output keeps all"))
            }
        }
    }
}

impl Write for HeldLog {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.lines.len() + lines.len() > HELD_MAX {
            held.dropped += lines.iter().filter(|byte| **byte == b'\n').count();
        } else {
            held.lines.extend_from_slice(lines);
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
