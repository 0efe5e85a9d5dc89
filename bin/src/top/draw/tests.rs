use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use serde_json::{Value, json};

use super::*;
use crate::top::data::{Request, Series, Snapshot, State};
use crate::top::print;

const NOW: u64 = 1_764_191_494_000;

/// The answers of the admin API of a relay with a provider in each state.
fn snapshot() -> Snapshot {
    let limits = json!([
        {"name": "requests", "per_minute": 50, "remaining": 48, "is_configured": true},
        {"name": "input_tokens", "per_minute": 40_000, "remaining": 3_100, "is_configured": false},
    ]);
    let key = |name: &str| json!({"credential": name, "is_rejected": false, "is_drained": false, "cooldown_ms": null, "limits": []});
    let mut keys = vec![key("work"), key("spare"), key("old"), key("hidden")];
    keys[0]["limits"] = limits;
    keys[1]["cooldown_ms"] = json!(42_000);
    keys[2]["is_rejected"] = json!(true);
    keys[3]["is_drained"] = json!(true);
    let provider = |name: &str, kind: &str, keys: Vec<Value>| json!({"name": name, "type": kind, "is_enabled": true, "circuit": "closed", "in_flight": 2, "keys": keys, "unusable": null, "last_failure": null, "resting_models": []});
    let mut providers = vec![
        provider("anthropic", "anthropic", keys),
        provider("bedrock-eu", "bedrock", vec![key("none")]),
        provider("zai", "zai", vec![key("z")]),
        provider("中文提供商", "ollama", vec![]),
    ];
    providers[1]["circuit"] = json!("open");
    providers[1]["circuit_wait_ms"] = json!(12_900);
    providers[1]["open_reason"] = json!("5 of 5 attempts failed: cannot connect to the upstream");
    providers[2]["is_paused"] = json!(true);
    providers[3]["is_enabled"] = json!(false);
    let state = json!({"version": "0.1.0", "is_ready": true, "now_unix_ms": NOW, "started_unix_ms": NOW - 11_520_000,
        "in_flight": 3, "sessions": 7, "warnings": [], "providers": providers});
    Snapshot {
        state: State::of(&state).unwrap(),
        requests: requests().iter().map(Request::of).collect(),
        series: series(),
    }
}

fn requests() -> Vec<Value> {
    let usage = json!({"input_tokens": 120, "output_tokens": 512, "cache_read_tokens": 48_000, "cache_write_tokens": 900});
    vec![
        json!({"id": "req_4", "model_requested": "claude-opus-5-5", "status": null, "end": null, "started_unix_ms": NOW - 2500, "attempts": [{}]}),
        json!({"id": "req_3", "client": "laptop", "model_served": "claude-opus-5-5", "provider": "anthropic", "status": 200,
               "end": "complete", "started_unix_ms": NOW - 61_000, "total_ms": 12_345, "usage": usage, "cost_usd": 0.0421,
               "client_request_id": "client_1", "session": "5f0c1c8e", "head_ms": 810, "stop_reason": "end_turn",
               "attempts": [
                   {"provider": "bedrock-eu", "credential": "none", "model": "anthropic.claude", "result": "connect", "error": "cannot connect", "started_ms": 1, "latency_ms": 30},
                   {"provider": "anthropic", "credential": "work", "model": "claude-opus-5-5", "status": 200, "result": "success", "started_ms": 32, "latency_ms": 778}]}),
        json!({"id": "req_2", "model_requested": "evil\u{1b}[2J", "status": 529, "end": "complete", "started_unix_ms": NOW - 7_200_000, "total_ms": 90}),
        json!({"id": "req_1", "model_requested": "claude-haiku-5-5", "provider": "zai", "status": 200, "end": "broken", "started_unix_ms": NOW - 90_000_000, "total_ms": 190_000}),
    ]
}

fn series() -> Series {
    let point = |at: u64| {
        json!({"unix_ms": NOW, "requests": at % 8, "errors": at / 88, "rate_limited": 0, "head_p50_ms": 700, "head_p95_ms": 1800 + at,
               "content_p50_ms": 900, "content_p95_ms": null, "input_tokens": 1200, "output_tokens": at * 100, "cache_read_tokens": 40_000,
               "cache_write_tokens": 800, "cost_usd": 0.05, "by_provider": {"anthropic": at % 8, "zai": 1}})
    };
    Series::of(&json!({"step_ms": 10_000, "points": (0..90).map(point).collect::<Vec<_>>()}))
}

fn app() -> App {
    App::new("http://127.0.0.1:8788".to_owned(), snapshot())
}

fn press(app: &mut App, keys: &[KeyCode]) {
    for key in keys {
        app.handle(&Event::Key(KeyEvent::from(*key)));
    }
}

/// Draws the view on a terminal of this size, and returns its lines.
fn draw_on(width: u16, height: u16, app: &mut App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let theme = Theme::new(true, true);
    terminal
        .draw(|frame| {
            let area = frame.area();
            draw(frame.buffer_mut(), area, app, theme, 0);
        })
        .unwrap();
    print::text(terminal.backend().buffer())
}

#[track_caller]
fn check(width: u16, height: u16, keys: &[KeyCode], expected: &str) {
    let mut app = app();
    press(&mut app, keys);
    let found = draw_on(width, height, &mut app);
    assert_eq!(found.trim_end(), expected.trim_end(), "found:\n{found}");
}

#[test]
fn the_traffic_fits_into_80_by_24() {
    check(80, 24, &[], include_str!("snapshots/traffic-80x24.txt"));
}

#[test]
fn the_providers_fit_into_80_by_24() {
    check(80, 24, &[KeyCode::Char('2'), KeyCode::Down], include_str!("snapshots/providers-80x24.txt"));
}

#[test]
fn the_keys_fit_into_80_by_24() {
    check(80, 24, &[KeyCode::Char('3')], include_str!("snapshots/keys-80x24.txt"));
}

#[test]
fn the_requests_fit_into_80_by_24() {
    check(80, 24, &[KeyCode::Char('4')], include_str!("snapshots/requests-80x24.txt"));
}

#[test]
fn the_details_of_a_request_fit_into_80_by_24() {
    let keys = [KeyCode::Char('4'), KeyCode::Down, KeyCode::Enter];
    check(80, 24, &keys, include_str!("snapshots/details-80x24.txt"));
}

#[test]
fn the_help_fits_into_80_by_24() {
    check(80, 24, &[KeyCode::Char('?')], include_str!("snapshots/help-80x24.txt"));
}

#[test]
fn a_small_terminal_shows_the_most_important_columns() {
    check(40, 10, &[KeyCode::Char('2')], include_str!("snapshots/providers-40x10.txt"));
    check(40, 10, &[KeyCode::Char('4')], include_str!("snapshots/requests-40x10.txt"));
}

#[test]
fn a_large_terminal_shows_every_column() {
    let mut app = app();
    press(&mut app, &[KeyCode::Char('4')]);
    let text = draw_on(200, 60, &mut app);
    for column in lists::REQUESTS {
        assert!(text.contains(column.title), "{text}");
    }
    assert!(text.contains("laptop"), "{text}");
}

#[test]
fn every_page_can_be_drawn_at_every_size() {
    let pages = ["1", "2", "3", "4", "4\n", "?", "/"];
    for (width, height) in [(1, 1), (1, 60), (200, 1), (2, 2), (3, 3), (40, 4), (200, 60)] {
        for page in pages {
            for mut app in [app(), App::new(String::new(), Snapshot::default())] {
                app.trouble = (width % 2 == 0).then(|| "no admin API".to_owned());
                let keys = page.chars().map(|c| if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) });
                press(&mut app, &keys.collect::<Vec<_>>());
                draw_on(width, height, &mut app);
                press(&mut app, &[KeyCode::End, KeyCode::PageDown, KeyCode::Char('G')]);
                draw_on(width, height, &mut app);
            }
        }
    }
}

#[test]
fn the_selected_row_is_visible_among_many() {
    let mut app = app();
    let provider = app.snapshot.state.providers[0].clone();
    app.snapshot.state.providers = vec![provider; 2500];
    for (index, provider) in app.snapshot.state.providers.iter_mut().enumerate() {
        provider.name = format!("provider-{index:04}-{}", "x".repeat(300));
    }
    press(&mut app, &[KeyCode::Char('3'), KeyCode::End]);
    let text = draw_on(80, 24, &mut app);
    assert!(text.contains("\n> provider-2499"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    press(&mut app, &[KeyCode::Home, KeyCode::PageDown, KeyCode::Up]);
    let text = draw_on(80, 24, &mut app);
    assert!(text.contains("\n> provider-0004"), "{text}");
    app.snapshot.state.providers.truncate(1);
    app.update(Ok(app.snapshot.clone()));
    assert!(draw_on(80, 24, &mut app).contains("\n> provider-0000"));
}

#[test]
fn a_lost_connection_is_shown_beside_the_last_state() {
    let mut app = app();
    app.trouble = Some("no admin API answers at http://127.0.0.1:8788".to_owned());
    let text = draw_on(80, 24, &mut app);
    assert!(text.starts_with("cc-relay 0.1.0  no connection"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("! no admin API answers at"), "{text}");
    assert!(text.contains("Last minute"));
}

#[test]
fn every_state_has_a_word() {
    let mut app = app();
    press(&mut app, &[KeyCode::Char('2')]);
    let providers = draw_on(80, 24, &mut app);
    press(&mut app, &[KeyCode::Char('3')]);
    let keys = draw_on(80, 24, &mut app);
    for word in ["ready", "open 12s", "paused", "disabled"] {
        assert!(providers.contains(word), "{providers}");
    }
    for word in ["ready", "cooldown 42s", "rejected", "drained"] {
        assert!(keys.contains(word), "{keys}");
    }
}

#[test]
fn without_utf_8_only_ascii_is_drawn() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
    let area = buffer.area;
    let mut app = app();
    app.snapshot.state.providers.pop();
    for page in ['1', '2', '3'] {
        press(&mut app, &[KeyCode::Char(page)]);
        buffer.reset();
        draw(&mut buffer, area, &mut app, Theme::new(false, false), 0);
        assert!(print::text(&buffer).is_ascii(), "{}", print::text(&buffer));
        let is_plain = |cell: &ratatui::buffer::Cell| cell.fg == ratatui::style::Color::Reset;
        assert!(buffer.content.iter().all(is_plain));
    }
}
