//! A conversation of the Claude Code CLI during which one provider after the other fails.

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
/// The number of events of a note up to the middle of its thinking.
const WITHIN_THINKING: usize = 4;
/// The number of events of a note up to the middle of the tool's input.
const WITHIN_INPUT: usize = 10;
const FINAL: &str = "Three tools have run.";

/// The answer of an upstream to one request.
#[derive(Clone)]
enum Turn {
    /// Thinking, and a tool call that appends this note to a file.
    Note(&'static str),
    /// The first events of such an answer. Then the stream stalls.
    PartialNote(&'static str, usize),
    /// A text that ends the conversation.
    Text(&'static str),
}

/// The script of an upstream. It signals each turn that it has answered.
struct Script {
    signer: SignatureOwner,
    turns: Vec<Turn>,
    next: AtomicUsize,
    done: mpsc::UnboundedSender<()>,
}

impl Script {
    /// Starts an upstream that answers exactly these turns.
    async fn start(
        signer: SignatureOwner,
        builder: UpstreamBuilder,
        turns: &[Turn],
    ) -> (Upstream, mpsc::UnboundedReceiver<()>) {
        let (done, turns_done) = mpsc::unbounded_channel();
        let script = Arc::new(Self { signer, turns: turns.to_vec(), next: AtomicUsize::new(0), done });
        let run = move |connection| Arc::clone(&script).run(connection);
        (builder.scripted(run).await, turns_done)
    }

    async fn run(self: Arc<Self>, mut connection: Connection) {
        while let Some(request) = connection.receive().await {
            let refusal = self.signer.refusal(&request.json());
            assert_eq!(refusal, None, "{:?} refuses the conversation", self.signer);
            let turn = &self.turns[self.next.fetch_add(1, Ordering::Relaxed)];
            match *turn {
                Turn::Note(note) => self.answer(&mut connection, &request, &self.note(note)).await,
                Turn::Text(text) => self.answer(&mut connection, &request, &self.thinking().text(text)).await,
                Turn::PartialNote(note, count) => {
                    connection.send_head(&Answer::event_stream()).await;
                    connection.send_chunk(&self.note(note).events()[..count].concat()).await;
                }
            }
            // An error means that the test waits for no further turn.
            let _ = self.done.send(());
        }
    }

    async fn answer(&self, connection: &mut Connection, request: &Request, reply: &Reply) {
        connection.answer(&anthropic::message(request, reply)).await.expect("the relay listens");
    }

    fn thinking(&self) -> Reply {
        self.signer.with_thinking(Reply::new(MODEL))
    }

    fn note(&self, note: &str) -> Reply {
        let input = json!({"command": format!("echo {note} >> notes"), "description": "Note the upstream"});
        self.thinking().tool_use(format!("toolu_{note}"), "Bash", input)
    }
}

/// Returns the number of thinking blocks in a request, and the ids of the tool calls whose results it contains.
fn summary(request: &Request) -> (usize, Vec<String>) {
    let body = request.json();
    let messages = body["messages"].as_array().expect("messages");
    let blocks: Vec<&Value> =
        messages.iter().filter_map(|message| message["content"].as_array()).flatten().collect();
    let results = blocks.iter().filter_map(|block| Some(block["tool_use_id"].as_str()?.to_owned()));
    (blocks.iter().filter(|block| block["type"] == "thinking").count(), results.collect())
}

/// Starts a relay that prefers Anthropic to Z.AI and Z.AI to Ollama.
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
async fn a_conversation_continues_when_each_provider_fails_in_turn() {
    // The CLI repeats the request.
    conversation_continues(WITHIN_THINKING).await;
    // If the CLI has received the end of the thinking, it keeps the thinking and continues in a new turn.
    conversation_continues(WITHIN_INPUT).await;
}

/// Checks a conversation in which Anthropic's second answer breaks after `count` events.
async fn conversation_continues(count: usize) {
    let Some(claude) = ClaudeCode::find() else { return };
    let of_claude = || Upstream::builder().require(anthropic::rules(Credential::Key(PROVIDER_KEY)));
    let of_zai = Upstream::builder().require(zai::rules(PROVIDER_KEY));
    let of_ollama = Upstream::builder().require(ollama::rules());
    let turns = [Turn::Note("one"), Turn::PartialNote("lost", count)];
    let (first, mut first_done) = Script::start(SignatureOwner::Claude, of_claude(), &turns).await;
    let (second, mut second_done) = Script::start(SignatureOwner::Zai, of_zai, &[Turn::Note("two")]).await;
    let (third, mut third_done) =
        Script::start(SignatureOwner::Ollama, of_ollama, &[Turn::Note("three")]).await;
    let relay = relay(&first, &second, &third).await;

    let outages = async {
        // Anthropic fails in the middle of its second turn.
        for _ in 0..2 {
            within_limit("turn of Anthropic", first_done.recv()).await;
        }
        let mut requests = first.requests();
        let first_socket = first.kill().await;
        // Z.AI fails after its first turn.
        within_limit("turn of Z.AI", second_done.recv()).await;
        requests.extend(second.requests());
        let second_socket = second.kill().await;
        // Ollama fails after its first turn, when Anthropic is available again.
        within_limit("turn of Ollama", third_done.recv()).await;
        requests.extend(third.requests());
        let last = [Turn::Text(FINAL)];
        let (back, mut back_done) =
            Script::start(SignatureOwner::Claude, of_claude().listen_on(first_socket), &last).await;
        let third_socket = third.kill().await;
        within_limit("last turn", back_done.recv()).await;
        requests.extend(back.requests());
        (requests, back, [second_socket, third_socket])
    };
    let url = relay.url();
    let printing = claude.print(&url, ["note each upstream", "--allowedTools", "Bash"]);
    let (finished, (requests, _back, _sockets)) = tokio::join!(printing, outages);

    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), FINAL, "{finished:#?}");
    let notes = std::fs::read_to_string(claude.project().join("notes")).expect("tools have run");
    assert_eq!(notes, "one\ntwo\nthree\n", "each complete tool call ran once, and the truncated one never");
    let (one, two, three) = ("toolu_one", "toolu_two", "toolu_three");
    let expected = [
        ("Anthropic", 0, vec![]),
        ("Anthropic", 1, vec![one]),
        ("Z.AI", 0, vec![one]),
        ("Ollama", 0, vec![one, two]),
        ("Anthropic again", 1, vec![one, two, three]),
    ];
    assert_eq!(requests.len(), expected.len(), "no upstream received an unnecessary request");
    for (request, (name, thinking, results)) in requests.iter().zip(expected) {
        let (found, tool_results) = summary(request);
        assert_eq!(tool_results, results, "{name}");
        assert!(found == thinking || count == WITHIN_INPUT, "{name}: {found} instead of {thinking}");
    }
}
