//! The framing of responses: the connection to the client stays in step, whatever an upstream announces.

use relay_tests::{Call, Client, Coding, End, Http2Client, Relay, Upstream, compress, provider};
use serde_json::json;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const MESSAGE: &str =
    r#"{"type":"message","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":1}}"#;
const ERROR: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;
const STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{}}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// A request of each kind of path that builds a response head: its label, the call, and the upstream's status, content
/// type and body.
fn paths() -> [(&'static str, Call, &'static str, &'static str, &'static str); 7] {
    let count = Call::post("/v1/messages/count_tokens").json(BODY);
    [
        ("message", Call::messages(BODY), "200 OK", "application/json", MESSAGE),
        ("stream", Call::messages(STREAMED), "200 OK", "text/event-stream", STREAM),
        ("count", count, "200 OK", "application/json", r#"{"input_tokens":7}"#),
        ("files", Call::get("/v1/files"), "200 OK", "application/json", r#"{"data":[]}"#),
        (
            "download",
            Call::get("/v1/files/f/content"),
            "200 OK",
            "application/octet-stream",
            "\0\x01\n\r\n\r\n",
        ),
        ("error", Call::messages(BODY), "400 Bad Request", "application/json", ERROR),
        ("API error", Call::get("/v1/files/x"), "404 Not Found", "application/json", ERROR),
    ]
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n0\r\n\r\n");
    out
}

/// A way to frame a body, as the version, the header lines and the bytes after the head.
type Framing = fn(&[u8]) -> (&'static str, String, Vec<u8>);

const FRAMINGS: [(&str, Framing); 10] = [
    ("chunked, with a longer length before it", |body| {
        let lines = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", body.len() + 40);
        ("HTTP/1.1", lines, chunked(body))
    }),
    ("chunked, with a shorter length after it", |body| {
        ("HTTP/1.1", "transfer-encoding: chunked\r\ncontent-length: 3\r\n".to_owned(), chunked(body))
    }),
    ("chunked, with a length that is no number", |body| {
        ("HTTP/1.1", "content-length: x\r\ntransfer-encoding: chunked\r\n".to_owned(), chunked(body))
    }),
    ("chunked, with trailers", |body| {
        let mut bytes = chunked(body);
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(b"content-length: 9\r\nset-cookie: a=b\r\n\r\n");
        ("HTTP/1.1", "trailer: content-length\r\ntransfer-encoding: chunked\r\n".to_owned(), bytes)
    }),
    ("the same length twice", |body| {
        ("HTTP/1.1", format!("content-length: {0}\r\ncontent-length: {0}\r\n", body.len()), body.to_vec())
    }),
    ("a list of the same length", |body| {
        ("HTTP/1.1", format!("content-length: {0}, {0}\r\n", body.len()), body.to_vec())
    }),
    ("one length", |body| ("HTTP/1.1", format!("content-length: {}\r\n", body.len()), body.to_vec())),
    ("until the connection closes", |body| ("HTTP/1.1", "connection: close\r\n".to_owned(), body.to_vec())),
    ("HTTP/1.0 until the connection closes", |body| ("HTTP/1.0", String::new(), body.to_vec())),
    ("HTTP/1.0 with a length", |body| {
        ("HTTP/1.0", format!("content-length: {}\r\n", body.len()), body.to_vec())
    }),
];

/// The header by which a client of these tests selects the answer of the upstream.
const CASE: &str = "x-app";

/// Starts an upstream that gives one of `answers` on each connection, and a relay in front of it.
async fn relay_of(answers: Vec<Vec<u8>>) -> (Upstream, Relay) {
    let upstream = Upstream::builder().allow_chunked();
    let upstream = upstream.scripted(move |mut connection| {
        let answers = answers.clone();
        async move {
            let Some(request) = connection.receive().await else { return };
            let case: usize = request.header(CASE).parse().expect("the number of an answer");
            if connection.try_send(&answers[case]).await.is_ok() {
                connection.finish().await;
            }
        }
    });
    let upstream = upstream.await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    (upstream, relay)
}

/// A call, the bytes of the upstream's answer, and the response that the client has to get.
struct Case {
    label: String,
    call: Call,
    answer: Vec<u8>,
    status: u16,
    body: Vec<u8>,
}

/// Sends each call twice on one connection, each followed by a request that the relay answers itself.
async fn check(cases: Vec<Case>) {
    let (_upstream, relay) = relay_of(cases.iter().map(|case| case.answer.clone()).collect()).await;
    let mut client = Client::connect(relay.address()).await;
    for (number, Case { label, call, status, body, .. }) in cases.iter().enumerate() {
        let call = call.clone().header(CASE, number.to_string());
        for _ in 0..2 {
            client.call(&call).await;
            let response = client.response().await;
            assert_eq!(response.status, *status, "{label}: {:?}", response.body());
            assert_eq!(response.end, End::Complete, "{label}");
            assert_eq!(response.body(), body, "{label}");
            assert!(response.headers.all("content-length").count() <= 1, "{label}");
            assert!(!response.headers.contains("set-cookie"), "{label}");
            client.call(&Call::get("/health")).await;
            assert_eq!(client.response().await.json()["status"], "ok", "{label}");
        }
    }
}

#[tokio::test]
async fn a_response_is_framed_by_its_body_and_not_by_the_upstreams_announcement() {
    let mut cases = Vec::new();
    for (framing, frame) in FRAMINGS {
        for (path, call, status, content_type, body) in paths() {
            let (version, lines, bytes) = frame(body.as_bytes());
            let head = format!("{version} {status}\r\ncontent-type: {content_type}\r\n{lines}\r\n");
            cases.push(Case {
                label: format!("{path}, {framing}"),
                call,
                answer: [head.into_bytes(), bytes].concat(),
                status: status[..3].parse().unwrap(),
                body: body.into(),
            });
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn a_decoded_body_does_not_keep_the_length_of_its_coded_form() {
    let coded = compress(Coding::Gzip, MESSAGE.as_bytes()).await;
    let length = format!("content-length: {}\r\n", coded.len());
    let framings = [
        (length.clone(), coded.clone()),
        (format!("{length}transfer-encoding: chunked\r\n"), chunked(&coded)),
        ("connection: close\r\n".to_owned(), coded),
    ];
    let cases = framings.into_iter().map(|(lines, body)| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n";
        let answer = [format!("{head}{lines}\r\n").into_bytes(), body].concat();
        Case { label: lines, call: Call::messages(BODY), answer, status: 200, body: MESSAGE.into() }
    });
    check(cases.collect()).await;
}

#[tokio::test]
async fn lengths_that_differ_are_an_error_of_the_upstream() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let answer = format!("{head}content-length: {}\r\ncontent-length: 3\r\n\r\n{MESSAGE}", MESSAGE.len());
    let (_upstream, relay) = relay_of(vec![answer.into_bytes()]).await;
    let mut client = Client::connect(relay.address()).await;
    for call in [Call::messages(BODY), Call::get("/v1/files")] {
        client.call(&call.header(CASE, "0")).await;
        let response = client.response().await;
        assert_eq!((response.status, response.end), (502, End::Complete));
        assert_eq!(response.json()["type"], "error");
    }
}

#[tokio::test]
async fn a_response_without_content_leaves_the_connection_in_step() {
    let cases = [
        ("HEAD", "200 OK\r\ncontent-length: 1234", 200, Some("1234")),
        ("HEAD", "200 OK\r\ntransfer-encoding: chunked", 200, None),
        ("HEAD", "200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked", 200, None),
        ("HEAD", "404 Not Found\r\ncontent-length: 72", 404, Some("72")),
        ("DELETE", "204 No Content", 204, None),
        ("DELETE", "204 No Content\r\ncontent-length: 5", 204, None),
        ("GET", "304 Not Modified\r\netag: \"a\"\r\ncontent-length: 77", 304, None),
    ];
    let answers = cases.iter().map(|(_, answer, ..)| format!("HTTP/1.1 {answer}\r\n\r\n").into_bytes());
    let (_upstream, relay) = relay_of(answers.collect()).await;
    let mut client = Client::connect(relay.address()).await;
    for (number, (method, answer, status, length)) in cases.into_iter().enumerate() {
        client.call(&Call::new(method, "/v1/files/f").header(CASE, number.to_string())).await;
        let response = client.response().await;
        assert_eq!((response.status, response.body().len()), (status, 0), "{answer}");
        if status != 304 {
            assert_eq!(response.headers.get("content-length"), length, "{answer}");
        }
        client.call(&Call::get("/health")).await;
        assert_eq!(client.response().await.json()["status"], "ok", "{answer}");
    }
}

#[tokio::test]
async fn a_response_to_head_has_no_content_over_http2() {
    let (_upstream, relay) = relay_of(Vec::new()).await;
    let client = Http2Client::connect(relay.address()).await;
    for path in ["/health", "/v1/models", "/", "/nowhere"] {
        let mut answer = client.request("HEAD", path).await.expect("an answer");
        assert!(answer.head().headers().contains_key("content-length"), "{path}");
        assert_eq!(answer.rest().await.expect("a whole response").len(), 0, "{path}");
    }
}

#[tokio::test]
async fn headers_for_the_origin_of_the_upstream_do_not_reach_a_client() {
    let headers = [
        "access-control-allow-origin: *",
        "access-control-allow-credentials: true",
        "clear-site-data: \"*\"",
        "set-cookie: a=b",
        "set-cookie2: a=b",
        "nel: {}",
        "report-to: {}",
        "reporting-endpoints: a=\"https://elsewhere.example\"",
        "refresh: 0; url=https://elsewhere.example",
        "service-worker-allowed: /",
        "strict-transport-security: max-age=1",
        "alt-svc: h3=\":443\"",
    ];
    let answers = paths().into_iter().map(|(_, _, status, content_type, body)| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nx-other: kept\r\n");
        let rest = format!("{}\r\ncontent-length: {}\r\n\r\n", headers.join("\r\n"), body.len());
        [head, rest, body.to_owned()].concat().into_bytes()
    });
    let (_upstream, relay) = relay_of(answers.collect()).await;
    for (number, (path, call, ..)) in paths().into_iter().enumerate() {
        let response = call.header(CASE, number.to_string()).send(relay.address()).await;
        assert_eq!(response.headers.get("x-other"), Some("kept"), "{path}");
        for header in headers {
            let name = header.split(':').next().unwrap();
            assert!(!response.headers.contains(name), "{path}: {name}");
        }
    }
}
