//! `cc-relay top`: shows a running relay in the terminal.
//!
//! ```text
//! feed (task)     admin API ─▶ Snapshot ─┐
//! events (thread) keys, size of terminal ┼─▶ App ─▶ draw, at most 20 times a second
//! signals         stop, suspend ─────────┘
//! ```
//! Without a terminal, it prints the state once.

mod app;
mod data;
mod draw;
mod error;
mod feed;
mod format;
mod print;
mod signals;
mod terminal;
mod theme;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use ratatui::crossterm::event::Event;
use relay_config::shown_url;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::app::{App, Effect};
use self::data::Snapshot;
pub(crate) use self::error::TopError;
use self::signals::{Signal, Signals};
use self::terminal::Screen;
use self::theme::Theme;
use crate::cli::{Settings, TopArguments};
use crate::output::Output;
use crate::settings::{readable, variable};
use crate::status::client::Client;

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(50);
/// The time after which ages and countdowns are drawn again.
const TICK: Duration = Duration::from_secs(1);
/// The largest answer that is read: the state of 10,000 keys takes about 10 MB.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Shows the relay until a key or a signal ends it. Without a terminal, prints its state once.
pub(crate) fn top(
    arguments: &TopArguments,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, TopError> {
    let client = client(arguments, settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(TopError::Runtime)?;
    // An error is reported before the screen changes.
    let first = runtime.block_on(feed::fetch(&client, ""))?;
    if is_interactive() {
        runtime.block_on(show(client, first)).map_err(TopError::Terminal)?;
    } else {
        print::print(&first, &client.url(), Theme::of_environment(), out)?;
    }
    // The thread that reads events ends with the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Returns `true` if keys can be read and the screen can be controlled.
fn is_interactive() -> bool {
    let is_dumb = variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !(cfg!(unix) && is_dumb)
}

/// A client of the admin API at the given URL, or at the address in the configuration. The token comes from the configuration in
/// both cases.
fn client(arguments: &TopArguments, settings: &Settings) -> Result<Client, TopError> {
    let readable = readable(settings).map_err(TopError::CommandLine)?;
    let admin = &readable.config.admin;
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None if !admin.enabled => return Err(TopError::Off),
        None => {
            let url = crate::status::url_of(&admin.listen);
            readable.warn(&url)?;
            url
        }
    };
    let client = url.parse().ok().and_then(|uri| Client::new(&uri, admin.token.clone()));
    let client = client.ok_or_else(|| TopError::Url { url: shown_url(&url).unwrap_or_default() })?;
    Ok(client.with_answer_limit(ANSWER_LIMIT))
}

async fn show(client: Client, first: Snapshot) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let mut app = App::new(client.url(), first);
    let (wanted, watched) = watch::channel(app.wanted.clone());
    let (sender, mut updates) = mpsc::channel(1);
    tokio::spawn(feed::run(client, watched, sender));
    let mut screen = Screen::enter()?;
    let mut view =
        View { theme: Theme::of_environment(), fetched: Instant::now(), drawn: None, is_stale: true };
    let mut events = terminal::events();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let effect = tokio::select! {
            event = events.recv() => match event {
                Some(event) => handle(&mut app, event, &mut events),
                // The terminal is gone.
                None => Effect::Quit,
            },
            Some(update) = updates.recv() => {
                if update.is_ok() {
                    view.fetched = Instant::now();
                }
                app.update(update);
                Effect::Redraw
            }
            signal = signals.next() => match signal {
                Signal::Stop => Effect::Quit,
                Signal::Suspend => Effect::Suspend,
                Signal::Continue => Effect::Resume,
            },
            _ = tick.tick() => Effect::Redraw,
            () = tokio::time::sleep_until(view.due()), if view.is_stale => {
                view.draw(&mut screen, &mut app)?;
                Effect::None
            }
        };
        match effect {
            Effect::None => {}
            Effect::Redraw => view.is_stale = true,
            Effect::Quit => return Ok(()),
            Effect::Suspend => {
                screen.suspend()?;
                view.is_stale = true;
            }
            Effect::Resume => {
                screen.resume()?;
                view.is_stale = true;
            }
            Effect::Refresh => {
                screen.clear()?;
                view.is_stale = true;
            }
        }
        wanted.send_if_modified(|known| std::mem::replace(known, app.wanted.clone()) != app.wanted);
    }
}

/// Takes in an event and those that wait after it, such as the many sizes of a window that is being dragged. Returns the strongest
/// effect.
fn handle(app: &mut App, event: Event, events: &mut mpsc::Receiver<Event>) -> Effect {
    let mut effect = app.handle(&event);
    while let Ok(event) = events.try_recv() {
        effect = effect.max(app.handle(&event));
    }
    effect
}

/// The facts about the drawing on the screen.
struct View {
    theme: Theme,
    /// The time of the last fetch that succeeded.
    fetched: Instant,
    /// The time of the last drawing.
    drawn: Option<Instant>,
    /// True if something has changed since the last drawing.
    is_stale: bool,
}

impl View {
    /// The time of the next drawing.
    fn due(&self) -> Instant {
        self.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME)
    }

    fn draw(&mut self, screen: &mut Screen, app: &mut App) -> io::Result<()> {
        let age = u64::try_from(self.fetched.elapsed().as_millis()).unwrap_or(u64::MAX);
        let theme = self.theme;
        screen.terminal().draw(|frame| {
            let area = frame.area();
            draw::draw(frame.buffer_mut(), area, app, theme, age);
        })?;
        (self.drawn, self.is_stale) = (Some(Instant::now()), false);
        Ok(())
    }
}
