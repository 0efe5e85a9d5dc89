use std::time::UNIX_EPOCH;

use relay_config::ProviderName;
use relay_messages::MessagesBody;
use relay_routing::{CredentialId, Usd};
use serde_json::{Value, json};

use super::session::Place;
use super::verdict::PromptTokens;
use super::*;
use crate::cost::CostSum;

const MINUTE: Duration = Duration::from_secs(60);

/// A session whose turns are one minute apart unless the test waits.
struct Scene {
    cache: PromptCache,
    now: SystemTime,
    provider: &'static str,
    system: &'static str,
    sent: usize,
}

impl Scene {
    fn new() -> Self {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        Self { cache: PromptCache::new(3), now, provider: "a", system: "You are Claude", sent: 0 }
    }

    /// Sends the `turn`th prompt of a conversation, of which the upstream reads and writes these tokens.
    fn turn(&mut self, turn: usize, read: u64, written: u64) -> CacheVerdict {
        self.send("session", &prompt(self.system, "hello", turn), read, written)
    }

    fn send(&mut self, session: &str, prompt: &Value, read: u64, written: u64) -> CacheVerdict {
        self.sent += 1;
        self.now += MINUTE;
        let body = MessagesBody::parse(prompt.to_string().into()).unwrap();
        let request_id = format!("req_{}", self.sent);
        let turn = Turn {
            request_id: &request_id,
            at: self.now,
            place: Place {
                provider: ProviderName::new(self.provider),
                credential: CredentialId::None,
                model: "m".into(),
            },
            model: "m",
            tokens: PromptTokens { input: 100, read, written },
            output_tokens: 7,
            cost: CostSum::known(Usd::from_nanos(1_000_000)),
        };
        let key = SessionKey { client: None, session: session.into() };
        let digest = Arc::new(PromptDigest::of(&body));
        let capacity = self.cache.0.capacity;
        self.cache.0.work().turn(key, digest, &turn, capacity);
        self.last().verdict
    }

    fn last(&self) -> TurnReport {
        self.cache.sessions()[0].recent.last().unwrap().clone()
    }

    fn break_detail(&self) -> Option<String> {
        self.last().broken.map(|broken| broken.detail)
    }
}

fn prompt(system: &str, opening: &str, turns: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": opening})];
    for turn in 1..turns {
        messages.push(
            json!({"role": "assistant", "content": [{"type": "text", "text": format!("answer {turn}")}]}),
        );
        messages
            .push(json!({"role": "user", "content": [{"type": "text", "text": format!("question {turn}")}]}));
    }
    json!({"model": "m", "messages": messages,
           "system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}],
           "cache_control": {"type": "ephemeral"}})
}

#[test]
fn a_growing_conversation_hits_after_its_first_turn() {
    let mut scene = Scene::new();
    assert_eq!(scene.turn(1, 0, 5000), CacheVerdict::First);
    assert_eq!(scene.turn(2, 5000, 300), CacheVerdict::Hit);
    assert_eq!(scene.turn(3, 5300, 300), CacheVerdict::Hit);
    let [session] = &*scene.cache.sessions() else { panic!("one session") };
    assert_eq!((session.turns, session.is_cache_lost), (3, false));
    assert_eq!(
        (session.cache_read_tokens, session.cache_write_tokens, session.input_tokens),
        (10_300, 5600, 300)
    );
    assert_eq!((session.output_tokens, session.cost_usd), (21, Some(Usd::from_nanos(3_000_000))));
    assert_eq!(session.recent[2].cache_read_share, Some(0.9298));
    assert!(
        session
            .recent
            .iter()
            .all(|turn| turn.conversation == 1 && turn.broken.is_none() && turn.detail.is_none())
    );
}

#[test]
fn a_changed_system_prompt_is_named_and_the_next_turn_hits_again() {
    let mut scene = Scene::new();
    for turn in 1..5 {
        scene.turn(turn, turn as u64 * 1000 - 1000, 1000);
    }
    scene.system = "You are Claudf";
    assert_eq!(scene.turn(5, 0, 5000), CacheVerdict::Broken);
    assert_eq!(scene.break_detail().as_deref(), Some("system[0] changed"));
    assert!(scene.cache.sessions()[0].is_cache_lost);
    assert_eq!(scene.turn(6, 5000, 1000), CacheVerdict::Hit);
    assert!(!scene.cache.sessions()[0].is_cache_lost);
}

#[test]
fn an_alarm_is_raised_once_until_the_cache_is_read_again() {
    let mut session = Session::new(UNIX_EPOCH);
    let mut alarms = Vec::new();
    // The system prompt changes with every turn up to the fourth one.
    for (at, (system, read)) in
        [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("d", 9000), ("e", 0)].into_iter().enumerate()
    {
        let body = MessagesBody::parse(prompt(system, "hello", at + 1).to_string().into()).unwrap();
        let place =
            Place { provider: ProviderName::new("a"), credential: CredentialId::None, model: "m".into() };
        let tokens = PromptTokens { input: 1, read, written: 9000 };
        let at_time = UNIX_EPOCH + MINUTE * at as u32;
        let turn = Turn {
            request_id: "r",
            at: at_time,
            place,
            model: "m",
            tokens,
            output_tokens: 0,
            cost: CostSum::default(),
        };
        if session.turn(Arc::new(PromptDigest::of(&body)), &turn).is_some() {
            alarms.push(at);
        }
    }
    assert_eq!(alarms, [1, 5]);
}

#[test]
fn a_pause_and_another_provider_are_told_apart_from_a_changed_prompt() {
    let mut scene = Scene::new();
    scene.turn(1, 0, 5000);
    scene.now += MINUTE * 5;
    assert_eq!(scene.turn(2, 0, 5100), CacheVerdict::Expired);
    assert_eq!(
        scene.last().detail.unwrap(),
        "the turn before was 360 s ago, and the cache keeps it for 300 s"
    );
    scene.provider = "b";
    assert_eq!(scene.turn(3, 0, 5200), CacheVerdict::Moved);
    assert_eq!(
        scene.last().detail.unwrap(),
        "b (key none, model m) answers instead of a (key none, model m)"
    );
    assert_eq!(scene.turn(4, 0, 5300), CacheVerdict::Unexplained);
}

#[test]
fn prompts_that_are_not_cached_are_no_losses() {
    let mut scene = Scene::new();
    assert_eq!(scene.turn(1, 0, 0), CacheVerdict::TooShort);
    let unmarked = |turns| json!({"model": "m", "messages": prompt("", "hi", turns)["messages"]});
    assert_eq!(scene.send("session", &unmarked(1), 0, 0), CacheVerdict::Uncached);
    // An upstream may cache by itself.
    assert_eq!(scene.send("session", &unmarked(2), 4000, 0), CacheVerdict::Hit);
    assert!(!scene.cache.sessions()[0].is_cache_lost);
}

#[test]
fn subagents_and_side_requests_have_conversations_of_their_own() {
    let mut scene = Scene::new();
    scene.turn(1, 0, 5000);
    let subagent = |turns| prompt("You are a subagent", "find it", turns);
    assert_eq!(scene.send("session", &subagent(1), 0, 2000), CacheVerdict::First);
    assert_eq!(scene.turn(2, 5000, 100), CacheVerdict::Hit);
    assert_eq!(scene.send("session", &subagent(2), 2000, 100), CacheVerdict::Hit);
    // A further one has the same tools and system prompt, which are cached.
    assert_eq!(
        scene.send("session", &prompt("You are a subagent", "find more", 1), 1500, 10),
        CacheVerdict::First
    );
    assert_eq!(
        scene.send("session", &prompt("Write a title", "hello, relay", 1), 0, 0),
        CacheVerdict::TooShort
    );
    assert_eq!(scene.turn(3, 5100, 100), CacheVerdict::Hit);
    let conversations: Vec<_> =
        scene.cache.sessions()[0].recent.iter().map(|turn| turn.conversation).collect();
    assert_eq!(conversations, [1, 2, 1, 2, 3, 4, 1]);
}

#[test]
fn a_changed_first_message_is_a_break() {
    let mut scene = Scene::new();
    scene.turn(3, 0, 5000);
    assert_eq!(
        scene.send("session", &prompt(scene.system, "hello, again", 4), 1000, 4000),
        CacheVerdict::Broken
    );
    assert_eq!(scene.break_detail().as_deref(), Some("messages[0] block 0 changed"));
}

#[test]
fn many_blocks_without_a_breakpoint_between_them_are_named() {
    let mut scene = Scene::new();
    scene.turn(1, 0, 5000);
    assert_eq!(scene.turn(12, 0, 9000), CacheVerdict::Lookback);
}

#[test]
fn sessions_turns_and_conversations_are_bounded() {
    let mut scene = Scene::new();
    for turn in 1..100 {
        scene.send("old", &prompt("s", &format!("opening {turn}"), 1), 0, 5000);
    }
    assert_eq!(scene.cache.sessions()[0].recent.len(), 20);
    for session in ["b", "c", "d"] {
        scene.send(session, &prompt("s", "hello", 1), 0, 5000);
    }
    let names: Vec<_> = scene.cache.sessions().iter().map(|session| session.session.clone()).collect();
    assert_eq!(names, ["d", "c", "b"]);
    scene.now += IDLE;
    scene.send("e", &prompt("s", "hello", 1), 0, 5000);
    assert_eq!(scene.cache.session_count(), 1, "idle sessions are dropped");
}

#[test]
fn a_report_has_the_documented_members() {
    let mut scene = Scene::new();
    scene.turn(1, 0, 5000);
    scene.system = "other";
    scene.turn(2, 0, 5000);
    let report = serde_json::to_value(scene.cache.sessions()).unwrap();
    let turn = json!({
        "turn": 2, "conversation": 1, "unix_ms": 1_000_120_000, "request_id": "req_2", "verdict": "broken", "cache_read_share": 0.0,
        "break": {"part": "system", "index": 0, "block": null, "detail": "system[0] changed"},
        "detail": "system[0] changed since the turn before",
    });
    assert_eq!(report[0]["recent"][1], turn);
    assert_eq!(report[0]["cost_usd"], json!(0.002));
    assert_eq!(report[0]["is_cache_lost"], json!(true));
}
