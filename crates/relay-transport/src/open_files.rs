//! The limit of open files, of this process or of its system.

use std::error::Error;
use std::io;

use relay_messages::error_sources;

/// Returns `true` if the system has opened no socket or file because too many are open (`EMFILE`, `ENFILE`). The upstream is
/// then not at fault.
#[must_use]
pub fn is_about_open_files(error: &(dyn Error + 'static)) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let is_it = |error: &(dyn Error + 'static)| {
        let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        cfg!(unix) && matches!(code, Some(EMFILE | ENFILE))
    };
    is_it(error) || error_sources(error).any(is_it)
}
