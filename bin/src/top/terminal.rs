//! The terminal: entered and left, and restored whatever ends the program.

use std::io::{self, Stdout};

use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

/// The number of events of the terminal that wait to be read.
const EVENTS: usize = 256;

/// The alternate screen. Dropping it restores the terminal.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Enters the alternate screen. A panic leaves it before its message is written.
    pub(super) fn enter() -> io::Result<Self> {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            report(panic);
        }));
        let terminal = begin().and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        terminal.map(|terminal| Self { terminal }).inspect_err(|_| leave())
    }

    pub(super) fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.terminal
    }

    /// Stops the process, as Ctrl-Z does in other programs, and comes back when it continues.
    #[cfg(unix)]
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        // Not SIGTSTP, which a handler receives.
        signal_hook::low_level::raise(signal_hook::consts::SIGSTOP)?;
        begin()?;
        self.clear()
    }

    #[cfg(windows)]
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.clear()
    }

    /// Enters the alternate screen again, and clears it. A shell may have changed the terminal while the process was stopped.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        leave();
        begin()?;
        self.clear()
    }

    /// Clears the screen, so that all of it is drawn again.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: it requests the position of the cursor, and the thread that reads events takes the answer.
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        self.terminal.backend_mut().clear_region(ClearType::All)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn begin() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

/// Restores the terminal. It may be gone already.
fn leave() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

/// Reads the events of the terminal in a thread, which ends with the process.
pub(super) fn events() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(EVENTS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}
