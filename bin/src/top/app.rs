//! The state of the view, and its answers to keys.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::data::{Key, Provider, Request, Snapshot};
use super::error::TopError;
use super::feed::Wanted;

/// The longest text to search for, in bytes.
const SEARCH_MAX: usize = 128;

/// A page of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Traffic,
    Providers,
    Keys,
    Requests,
}

impl Page {
    pub(super) const ALL: [Self; 4] = [Self::Traffic, Self::Providers, Self::Keys, Self::Requests];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Traffic => "Traffic",
            Self::Providers => "Providers",
            Self::Keys => "Keys",
            Self::Requests => "Requests",
        }
    }

    fn after(self, steps: usize) -> Self {
        Self::ALL[(self as usize + steps) % Self::ALL.len()]
    }
}

/// The layer over the page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Layer {
    #[default]
    None,
    Help,
    /// The details of a request, scrolled down by this many lines.
    Details(Box<Request>, u16),
    /// The line in which the search is typed.
    Search(String),
}

/// The effect of an event on the program, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// Nothing changed.
    None,
    Redraw,
    /// Draws the whole screen again.
    Refresh,
    /// Enters the screen again, after the process was stopped.
    Resume,
    Suspend,
    Quit,
}

/// The place in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) row: usize,
    /// The first row that is visible.
    pub(super) top: usize,
    /// The entry in the row, which may move. `None` keeps the cursor at the top of the list.
    entry: Option<String>,
}

/// The state of the view.
#[derive(Debug)]
pub(super) struct App {
    pub(super) url: String,
    pub(super) page: Page,
    pub(super) layer: Layer,
    pub(super) snapshot: Snapshot,
    /// The failure of the last fetch.
    pub(super) trouble: Option<String>,
    pub(super) wanted: Wanted,
    cursors: [Cursor; Page::ALL.len()],
    /// The rows of a page, set when it is drawn.
    pub(super) page_rows: usize,
}

impl App {
    pub(super) fn new(url: String, snapshot: Snapshot) -> Self {
        Self {
            url,
            page: Page::Traffic,
            layer: Layer::None,
            snapshot,
            trouble: None,
            wanted: Wanted::default(),
            cursors: Default::default(),
            page_rows: 1,
        }
    }

    /// Takes in a fetch. The last state stays visible after a failure.
    pub(super) fn update(&mut self, update: Result<Snapshot, TopError>) {
        match update {
            Ok(snapshot) => (self.snapshot, self.trouble) = (snapshot, None),
            Err(error) => self.trouble = Some(error.to_string()),
        }
        for page in Page::ALL {
            self.follow(page);
        }
        if let Layer::Details(request, _) = &mut self.layer
            && let Some(newer) = self.snapshot.requests.iter().find(|newer| newer.id == request.id)
        {
            **request = newer.clone();
        }
    }

    pub(super) fn providers(&self) -> Vec<&Provider> {
        let search = self.search();
        let fits =
            |provider: &&Provider| contains(&[&provider.name, &provider.kind, &provider.state()], &search);
        self.snapshot.state.providers.iter().filter(fits).collect()
    }

    /// The keys, each with its provider.
    pub(super) fn keys(&self) -> Vec<(&Provider, &Key)> {
        let search = self.search();
        let of = |provider| move |key| (provider, key);
        let all = self
            .snapshot
            .state
            .providers
            .iter()
            .flat_map(|provider: &Provider| provider.keys.iter().map(of(provider)));
        all.filter(|(provider, key)| contains(&[&provider.name, &key.name, key.state()], &search)).collect()
    }

    pub(super) fn requests(&self) -> &[Request] {
        &self.snapshot.requests
    }

    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursors[self.page as usize]
    }

    /// Scrolls the list so that the cursor is among `rows` visible rows.
    pub(super) fn scroll(&mut self, rows: usize) {
        self.page_rows = rows.max(1);
        let count = self.count(self.page);
        let cursor = &mut self.cursors[self.page as usize];
        cursor.top = cursor.top.min(count.saturating_sub(rows)).min(cursor.row);
        cursor.top = cursor.top.max((cursor.row + 1).saturating_sub(rows.max(1)));
    }

    pub(super) fn handle(&mut self, event: &Event) -> Effect {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            Event::Resize(..) => Effect::Redraw,
            Event::Paste(text) => self.paste(text),
            _ => Effect::None,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Effect {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Effect::Quit,
                KeyCode::Char('z') => return Effect::Suspend,
                KeyCode::Char('l') => return Effect::Refresh,
                _ => {}
            }
        }
        match std::mem::take(&mut self.layer) {
            Layer::Search(text) => self.search_key(text, key.code),
            Layer::Help => Effect::Redraw,
            Layer::Details(request, line) => self.details_key(request, line, key.code),
            Layer::None => self.page_key(key.code),
        }
    }

    fn page_key(&mut self, code: KeyCode) -> Effect {
        match code {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Esc if self.wanted.search.is_empty() => return Effect::Quit,
            KeyCode::Esc => self.set_search(String::new()),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.layer = Layer::Help,
            KeyCode::Char(digit @ '1'..='4') => self.page = Page::ALL[digit as usize - '1' as usize],
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.page = self.page.after(1),
            KeyCode::BackTab | KeyCode::Left => self.page = self.page.after(Page::ALL.len() - 1),
            KeyCode::Char('/') => self.layer = Layer::Search(self.wanted.search.clone()),
            KeyCode::Char(' ' | 'p') => self.wanted.is_paused = !self.wanted.is_paused,
            KeyCode::Char('r') => self.wanted.turn += 1,
            KeyCode::Enter => self.open(),
            code => return self.move_cursor(code),
        }
        Effect::Redraw
    }

    fn details_key(&mut self, request: Box<Request>, line: u16, code: KeyCode) -> Effect {
        let page = u16::try_from(self.page_rows).unwrap_or(u16::MAX);
        let line = match code {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace => return Effect::Redraw,
            KeyCode::Down | KeyCode::Char('j') => line.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => line.saturating_add(page),
            KeyCode::PageUp => line.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => u16::MAX,
            _ => line,
        };
        self.layer = Layer::Details(request, line);
        Effect::Redraw
    }

    fn search_key(&mut self, mut text: String, code: KeyCode) -> Effect {
        match code {
            KeyCode::Enter => return Effect::Redraw,
            KeyCode::Esc => {
                self.set_search(String::new());
                return Effect::Redraw;
            }
            KeyCode::Backspace => drop(text.pop()),
            KeyCode::Char(c) if !c.is_control() && text.len() < SEARCH_MAX => text.push(c),
            _ => {}
        }
        self.set_search(text.clone());
        self.layer = Layer::Search(text);
        Effect::Redraw
    }

    fn paste(&mut self, pasted: &str) -> Effect {
        let Layer::Search(text) = &mut self.layer else { return Effect::None };
        let room = SEARCH_MAX.saturating_sub(text.len());
        text.extend(pasted.chars().filter(|c| !c.is_control()).take(room / 4));
        let text = text.clone();
        self.set_search(text);
        Effect::Redraw
    }

    fn set_search(&mut self, text: String) {
        self.wanted.search = text;
        self.cursors = Default::default();
    }

    fn search(&self) -> String {
        self.wanted.search.to_lowercase()
    }

    fn open(&mut self) {
        let row = self.cursor().row;
        if self.page == Page::Requests
            && let Some(request) = self.requests().get(row)
        {
            self.layer = Layer::Details(Box::new(request.clone()), 0);
        }
    }

    fn move_cursor(&mut self, code: KeyCode) -> Effect {
        let (row, last) = (self.cursor().row, self.count(self.page).saturating_sub(1));
        let row = match code {
            KeyCode::Down | KeyCode::Char('j') => row + 1,
            KeyCode::Up | KeyCode::Char('k') => row.saturating_sub(1),
            KeyCode::PageDown => row + self.page_rows,
            KeyCode::PageUp => row.saturating_sub(self.page_rows),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => return Effect::None,
        };
        let row = row.min(last);
        let entry = self.entry(self.page, row).filter(|_| row > 0);
        let cursor = &mut self.cursors[self.page as usize];
        (cursor.row, cursor.entry) = (row, entry);
        Effect::Redraw
    }

    /// Moves the cursor of a page to the row in which its entry is now.
    fn follow(&mut self, page: Page) {
        let count = self.count(page);
        let cursor = &self.cursors[page as usize];
        let same = cursor.entry.as_ref().and_then(|entry| {
            // Most entries have not moved, or only a few rows.
            let rows = (cursor.row..count).chain(0..cursor.row.min(count));
            rows.into_iter().find(|row| self.entry(page, *row).as_ref() == Some(entry))
        });
        let row = same.unwrap_or(cursor.row.min(count.saturating_sub(1)));
        self.cursors[page as usize].row = row;
    }

    fn count(&self, page: Page) -> usize {
        match page {
            Page::Traffic => self.snapshot.state.providers.len(),
            Page::Providers => self.providers().len(),
            Page::Keys => self.keys().len(),
            Page::Requests => self.requests().len(),
        }
    }

    /// The name of the entry in a row, if it moves between two fetches.
    fn entry(&self, page: Page, row: usize) -> Option<String> {
        match page {
            Page::Requests => self.requests().get(row).map(|request| request.id.clone()),
            _ => None,
        }
    }
}

/// Returns `true` if one of `texts` contains `search`, which is in lower case.
fn contains(texts: &[&str], search: &str) -> bool {
    search.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(search))
}

impl Provider {
    /// The state in a few words.
    pub(super) fn state(&self) -> String {
        let wait = self.circuit_wait_ms.map(|wait| format!(" {}", super::format::short_duration(wait)));
        match self.circuit.as_str() {
            _ if !self.is_enabled => "disabled".to_owned(),
            _ if self.is_paused => "paused".to_owned(),
            "open" => format!("open{}", wait.unwrap_or_default()),
            "half-open" => "half-open".to_owned(),
            _ if self.unusable.is_some() => "unusable".to_owned(),
            _ if self.last_failure.is_some() => "failing".to_owned(),
            _ => "ready".to_owned(),
        }
    }
}

impl Key {
    /// The state in a word.
    pub(super) fn state(&self) -> &'static str {
        match self {
            _ if self.is_drained => "drained",
            _ if self.is_rejected => "rejected",
            _ if self.cooldown_ms.is_some() => "cooldown",
            _ => "ready",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(requests: &[&str]) -> App {
        App::new("http://x".to_owned(), snapshot(requests))
    }

    fn snapshot(requests: &[&str]) -> Snapshot {
        let request = |id: &&str| Request { id: (*id).to_owned(), ..Request::default() };
        Snapshot { requests: requests.iter().map(request).collect(), ..Snapshot::default() }
    }

    fn press(app: &mut App, codes: &[KeyCode]) -> Effect {
        let press = |code: &KeyCode| app.handle(&Event::Key(KeyEvent::from(*code)));
        codes.iter().map(press).last().unwrap()
    }

    #[test]
    fn the_cursor_stays_on_its_request_while_newer_ones_arrive() {
        let mut app = app(&["c", "b", "a"]);
        press(&mut app, &[KeyCode::Char('4'), KeyCode::Down]);
        assert_eq!(app.cursor().row, 1);
        app.update(Ok(snapshot(&["e", "d", "c", "b", "a"])));
        assert_eq!(app.cursor().row, 3);
        app.update(Ok(snapshot(&["e"])));
        assert_eq!(app.cursor().row, 0);
        press(&mut app, &[KeyCode::Home]);
        app.update(Ok(snapshot(&["f", "e"])));
        assert_eq!(app.cursor().row, 0, "at the top, the newest request is selected");
    }

    #[test]
    fn details_open_scroll_and_close() {
        let mut app = app(&["b", "a"]);
        press(&mut app, &[KeyCode::Char('4'), KeyCode::Down, KeyCode::Enter, KeyCode::Down]);
        assert!(matches!(&app.layer, Layer::Details(request, 1) if request.id == "a"));
        app.update(Ok(snapshot(&[])));
        assert!(matches!(app.layer, Layer::Details(..)), "the request is shown though it is no longer kept");
        assert_eq!(press(&mut app, &[KeyCode::Esc]), Effect::Redraw);
        assert_eq!(app.layer, Layer::None);
        assert_eq!(press(&mut app, &[KeyCode::Esc]), Effect::Quit);
    }

    #[test]
    fn a_search_is_typed_kept_and_cleared() {
        let mut app = app(&[]);
        press(&mut app, &[KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Char('x'), KeyCode::Backspace]);
        assert_eq!((app.wanted.search.as_str(), &app.layer), ("q", &Layer::Search("q".to_owned())));
        press(&mut app, &[KeyCode::Enter]);
        assert_eq!((app.wanted.search.as_str(), &app.layer), ("q", &Layer::None));
        assert_eq!(press(&mut app, &[KeyCode::Esc]), Effect::Redraw);
        assert_eq!(app.wanted.search, "");
        press(&mut app, &[KeyCode::Char('/')]);
        app.handle(&Event::Paste("\u{1b}a\n".repeat(1000)));
        assert!(app.wanted.search.len() <= SEARCH_MAX && app.wanted.search.starts_with("aaa"));
    }

    #[test]
    fn every_key_is_harmless_on_every_page_of_an_empty_relay() {
        for page in '1'..='4' {
            let mut app = app(&[]);
            for code in (0..128u8).map(|byte| KeyCode::Char(char::from(byte))).chain([
                KeyCode::Up,
                KeyCode::Down,
                KeyCode::PageUp,
                KeyCode::PageDown,
                KeyCode::Home,
                KeyCode::End,
                KeyCode::Enter,
                KeyCode::Tab,
                KeyCode::BackTab,
                KeyCode::Left,
                KeyCode::Right,
                KeyCode::Backspace,
                KeyCode::F(12),
            ]) {
                press(&mut app, &[KeyCode::Char(page), code, KeyCode::Esc]);
                app.scroll(0);
            }
        }
    }

    #[test]
    fn ctrl_c_and_q_quit_and_ctrl_z_suspends() {
        let mut app = app(&["a"]);
        for (key, expected) in [('c', Effect::Quit), ('z', Effect::Suspend), ('l', Effect::Refresh)] {
            let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
            assert_eq!(app.handle(&Event::Key(key)), expected);
        }
        assert_eq!(press(&mut app, &[KeyCode::Char('4'), KeyCode::Enter, KeyCode::Char('q')]), Effect::Quit);
    }
}
