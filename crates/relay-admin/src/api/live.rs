//! Events that are made by the passing of time: changes of the state, and complete points.

use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::app::App;
use crate::series::STEP;

/// The shortest time between two events about the state.
const INTERVAL: Duration = Duration::from_secs(1);
/// The pause after the state was compared, as a multiple of the time that it took: a relay with thousands of keys spends at most
/// a fiftieth of one processor on it.
const PAUSE: u32 = 50;

/// Adds events, until it is dropped.
pub(super) async fn add_events(app: &App) -> Infallible {
    tokio::join!(add_states(app), add_points(app)).0
}

/// Adds an event when the state has changed, while some client reads events.
async fn add_states(app: &App) -> Infallible {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Value::Null;
    loop {
        ticks.tick().await;
        if app.parts.events.readers() == 0 {
            continue;
        }
        let start = Instant::now();
        app.flush().await;
        let Ok(mut state) = serde_json::to_value(app.state()) else { continue };
        let text = state.to_string();
        remove_clocks(&mut state);
        if state != before {
            before = state;
            app.parts.events.add("state", text.into());
        }
        sleep(start.elapsed() * PAUSE).await;
    }
}

/// Replaces every time by `true`: that it passes is no change.
fn remove_clocks(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                if key.ends_with("_ms") && value.is_number() {
                    *value = Value::Bool(true);
                } else {
                    remove_clocks(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(remove_clocks),
        _ => {}
    }
}

/// Adds an event for each point that is complete.
async fn add_points(app: &App) -> Infallible {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = Duration::from_nanos((now.as_nanos() % STEP.as_nanos()) as u64);
        sleep(STEP.saturating_sub(since)).await;
        app.flush().await;
        if let Ok(point) = serde_json::to_string(&*app.parts.series.last_complete()) {
            app.parts.events.add("point", point.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_passing_of_time_is_no_change_of_the_state() {
        let state = |wait, cooldown: Value| {
            let mut state = json!({
                "now_unix_ms": wait,
                "providers": [{"circuit_wait_ms": wait, "keys": [{"cooldown_ms": cooldown, "limits": [{"remaining": 3}]}]}]
            });
            remove_clocks(&mut state);
            state
        };
        assert_eq!(state(1, json!(5)), state(2, json!(4)));
        assert_ne!(state(1, json!(1)), state(2, Value::Null), "the cooldown has ended");
    }
}
