//! The Claude Code CLI continues a conversation while one provider after another fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relay_tests::fakes::anthropic::Credential;
use relay_tests::fakes::{Reply, SignatureOwner, anthropic, ollama, zai};
use relay_tests::{
    Answer, ClaudeCode, Connection, PROVIDER_KEY, Relay, Request, Upstream, UpstreamBuilder, provider,
    within_limit,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const MODEL: &str = "claude-opus-5-5";
/// The events of a note up to the middle of its thinking, and up to the middle of the tool's input.
const WITHIN_THINKING: usize = 4;
const WITHIN_INPUT: usize = 10;
const FINAL: &str = "Three tools have run.";

/// The reaction of an upstream to one request.
#[derive(Clone)]
enum Turn {
    /// Sends thinking and a tool call that makes the client write this note to a file.
    Note(&'static str),
    /// Begins the answer of [`Turn::Note`], and stops after this number of events.
    PartOfANote(&'static str, usize),
    /// Ends the conversation.
    Text(&'static str),
}

/// One upstream of the conversation, which reports each completed turn over a channel.
struct Cast {
    signer: SignatureOwner,
    turns: Vec<Turn>,
    next: AtomicUsize,
    done: mpsc::UnboundedSender<()>,
}

impl Cast {
    /// Starts an upstream with these turns in its script, and no others.
    async fn start(
        signer: SignatureOwner,
        builder: UpstreamBuilder,
        turns: &[Turn],
    ) -> (Upstream, mpsc::UnboundedReceiver<()>) {
        let (done, completed) = mpsc::unbounded_channel();
        let cast = Arc::new(Self { signer, turns: turns.to_vec(), next: AtomicUsize::new(0), done });
        let script = move |connection| Arc::clone(&cast).play(connection);
        (builder.scripted(script).await, completed)
    }

    async fn play(self: Arc<Self>, mut connection: Connection) {
        while let Some(request) = connection.receive().await {
            let refusal = self.signer.refusal(&request.json());
            assert_eq!(refusal, None, "a conversation that {:?} would not go on with", self.signer);
            let turn = &self.turns[self.next.fetch_add(1, Ordering::Relaxed)];
            match *turn {
                Turn::Note(note) => self.answer(&mut connection, &request, &self.note(note)).await,
                Turn::Text(text) => self.answer(&mut connection, &request, &self.thought().text(text)).await,
                Turn::PartOfANote(note, count) => {
                    connection.send_head(&Answer::event_stream()).await;
                    connection.send_chunk(&self.note(note).events()[..count].concat()).await;
                }
            }
            // An error means that the test does not wait for a further turn.
            let _ = self.done.send(());
        }
    }

    async fn answer(&self, connection: &mut Connection, request: &Request, reply: &Reply) {
        connection.answer(&anthropic::message(request, reply)).await.expect("the relay listens");
    }

    fn thought(&self) -> Reply {
        self.signer.with_thinking(Reply::new(MODEL))
    }

    fn note(&self, note: &str) -> Reply {
        let input = json!({"command": format!("echo {note} >> notes"), "description": "Notes the answer"});
        self.thought().tool_use(format!("toolu_{note}"), "Bash", input)
    }
}

/// Returns the number of thinking blocks in a request, and the tools whose results it contains.
fn brings(request: &Request) -> (usize, Vec<String>) {
    let body = request.json();
    let messages = body["messages"].as_array().expect("messages");
    let blocks: Vec<&Value> =
        messages.iter().filter_map(|message| message["content"].as_array()).flatten().collect();
    let results = blocks.iter().filter_map(|block| Some(block["tool_use_id"].as_str()?.to_owned()));
    (blocks.iter().filter(|block| block["type"] == "thinking").count(), results.collect())
}

/// A relay that tries Anthropic, then Z.AI, then a local model.
async fn relay(anthropic: &Upstream, zai: &Upstream, ollama: &Upstream) -> Relay {
    let mut first = provider("anthropic", "anthropic", &anthropic.url());
    first["priority"] = json!(2);
    let mut second = provider("zai", "zai", &format!("{}{}", zai.url(), zai::PREFIX));
    second["priority"] = json!(1);
    second["model_mapping"] = json!({"claude-*": "glm-5.3"});
    let third = json!({
        "name": "ollama", "type": "ollama", "base_url": ollama.url(), "priority": 0,
        "model_mapping": {"claude-*": "qwen3-coder:30b"},
    });
    Relay::start(&json!({"providers": [third, second, first]})).await
}

#[tokio::test]
async fn a_conversation_continues_after_the_failure_of_each_provider() {
    // The CLI retries the request without output.
    outlives(WITHIN_THINKING).await;
    // If the thinking is complete before the connection ends, the CLI keeps it, and continues in a new turn.
    outlives(WITHIN_INPUT).await;
}

/// Runs the conversation with a second answer of Anthropic that breaks off after `count` events.
async fn outlives(count: usize) {
    let Some(claude) = ClaudeCode::find() else { return };
    let of_claude = || Upstream::builder().require(anthropic::rules(Credential::Key(PROVIDER_KEY)));
    let of_zai = Upstream::builder().require(zai::rules(PROVIDER_KEY));
    let of_ollama = Upstream::builder().require(ollama::rules());
    let turns = [Turn::Note("one"), Turn::PartOfANote("lost", count)];
    let (first, mut first_done) = Cast::start(SignatureOwner::Claude, of_claude(), &turns).await;
    let (second, mut second_done) = Cast::start(SignatureOwner::Zai, of_zai, &[Turn::Note("two")]).await;
    let (third, mut third_done) =
        Cast::start(SignatureOwner::Ollama, of_ollama, &[Turn::Note("three")]).await;
    let relay = relay(&first, &second, &third).await;

    let keeping = async {
        // Anthropic fails in the middle of its second turn,
        for _ in 0..2 {
            within_limit("turn of Anthropic's", first_done.recv()).await;
        }
        let mut asked = first.requests();
        let gone = first.kill().await;
        // Z.AI fails after its first turn,
        within_limit("turn of Z.AI's", second_done.recv()).await;
        asked.extend(second.requests());
        let second_gone = second.kill().await;
        // and the local model fails when Anthropic is available again.
        within_limit("turn of Ollama's", third_done.recv()).await;
        asked.extend(third.requests());
        let last = [Turn::Text(FINAL)];
        let (back, mut back_done) =
            Cast::start(SignatureOwner::Claude, of_claude().listen_on(gone), &last).await;
        let third_gone = third.kill().await;
        within_limit("last turn", back_done.recv()).await;
        asked.extend(back.requests());
        (asked, back, [second_gone, third_gone])
    };
    let url = relay.url();
    let printing = claude.print(&url, ["note the answers", "--allowedTools", "Bash"]);
    let (finished, (asked, _back, _gone)) = tokio::join!(printing, keeping);

    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), FINAL, "{finished:#?}");
    let notes = std::fs::read_to_string(claude.project().join("notes")).expect("tools have run");
    assert_eq!(notes, "one\ntwo\nthree\n", "each tool must run once, and the one that was cut off never");
    let (one, two, three) = ("toolu_one", "toolu_two", "toolu_three");
    let expected = [
        ("Anthropic", 0, vec![]),
        ("Anthropic", 1, vec![one]),
        ("Z.AI", 0, vec![one]),
        ("Ollama", 0, vec![one, two]),
        ("Anthropic, back again", 1, vec![one, two, three]),
    ];
    assert_eq!(asked.len(), expected.len(), "no upstream must receive a request in vain");
    for (request, (name, thinking, results)) in asked.iter().zip(expected) {
        let (found, of_tools) = brings(request);
        assert_eq!(of_tools, results, "{name}");
        assert!(found == thinking || count == WITHIN_INPUT, "{name}: {found} instead of {thinking}");
    }
}
