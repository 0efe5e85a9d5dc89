//! Upstreams that are reached through a proxy from the environment.

use std::net::SocketAddr;

use relay_tests::fakes::{anthropic, google, vertex};
use relay_tests::{Answer, Call, CertificateAuthority, Response, Upstream, rule, within_limit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::process::{Process, User};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// A proxy that returns one answer to every `CONNECT`. After a 200 it connects to one upstream, whatever the name.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    heads: watch::Receiver<Vec<String>>,
    accepting: AbortHandle,
}

impl Proxy {
    pub(crate) async fn before(upstream: &Upstream) -> Self {
        Self::answering("HTTP/1.1 200 Connection established\r\n\r\n", upstream).await
    }

    async fn answering(answer: &'static str, upstream: &Upstream) -> Self {
        let upstream = upstream.address();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heads) = watch::channel(Vec::new());
        let accepting = tokio::spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let sender = sender.clone();
                running.spawn(async move {
                    let mut client = BufReader::new(client);
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if client.read_line(&mut head).await.unwrap() == 0 {
                            break;
                        }
                    }
                    sender.send_modify(|heads| heads.push(head));
                    client.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains(" 200 ") {
                        let mut upstream = TcpStream::connect(upstream).await.unwrap();
                        // Errors show at the two ends of the tunnel.
                        let _ = copy_bidirectional(&mut client, &mut upstream).await;
                    }
                });
            }
        });
        Self { address, heads, accepting: accepting.abort_handle() }
    }

    /// The heads of all requests, as received.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.borrow().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An upstream with the API's answers. It records every header that is meant for a proxy.
async fn upstream(authority: Option<&CertificateAuthority>, host: Option<&'static str>) -> Upstream {
    let builder = Upstream::builder().require(anthropic::rules(anthropic::Credential::Key("sk-upstream")));
    let builder = builder.require([rule::without("proxy-authorization"), rule::without("proxy-connection")]);
    let builder = match authority {
        Some(authority) => builder.tls(authority).name("localhost"),
        None => builder,
    };
    match host {
        Some(host) => builder.host(host).answering(anthropic::answer).await,
        None => builder.answering(anthropic::answer).await,
    }
}

/// Starts a relay with one provider and the given variables.
fn serve(
    variables: &[(&'static str, String)],
    url: &str,
    authority: &CertificateAuthority,
) -> (User, Process, SocketAddr) {
    let user = variables.iter().fold(User::new(), |user, (name, value)| user.with_variable(name, value));
    let ca_file = authority.ca_file().display();
    user.write(
        "config.yaml",
        &format!(
            "providers: [{{ name: far, type: anthropic, base_url: '{url}', ca_file: '{ca_file}', \
             keys: [{{ key: sk-upstream, name: team }}] }}]\n"
        ),
    );
    let (process, address) = user.serve(&[]);
    (user, process, address)
}

async fn request(relay: SocketAddr) -> Response {
    within_limit("answer", Call::messages(BODY).send(relay)).await
}

#[track_caller]
fn assert_complete(response: &Response) {
    assert_eq!(response.status, 200, "{:?}", response.body());
    assert_eq!(response.events().last().map(|event| event.name.as_str()), Some("message_stop"));
}

#[track_caller]
fn assert_reported(response: &Response, part: &str) {
    let body = response.json();
    assert_eq!((response.status, body["error"]["type"].as_str()), (502, Some("api_error")), "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("`far`") && message.contains(part), "no {part:?} in {message:?}");
}

#[tokio::test]
async fn an_upstream_on_https_is_reached_through_a_tunnel() {
    let authority = CertificateAuthority::for_names(&["far.invalid"]);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        // Only the proxy can resolve this name.
        let upstream = upstream(Some(&authority), Some("far.invalid")).await;
        let proxy = Proxy::before(&upstream).await;
        let variables = [(name, format!("http://{}", proxy.address))];
        let (_user, _process, relay) = serve(&variables, "https://far.invalid", &authority);
        assert_complete(&request(relay).await);
        assert_complete(&request(relay).await);
        let expected = "CONNECT far.invalid:443 HTTP/1.1\r\nHost: far.invalid:443\r\n\r\n";
        assert_eq!(proxy.heads(), [expected], "one tunnel for both requests");
        assert_eq!((upstream.connections(), upstream.requests().len()), (1, 2));
    }
}

#[tokio::test]
async fn the_credential_of_the_proxy_is_sent_only_to_the_proxy() {
    let authority = CertificateAuthority::new();
    let upstream = upstream(Some(&authority), None).await;
    let proxy = Proxy::before(&upstream).await;
    let variables = [("HTTPS_PROXY", format!("http://user:p%40ss@{}", proxy.address))];
    let (_user, process, relay) = serve(&variables, &upstream.url(), &authority);
    assert_complete(&request(relay).await);
    let [head] = proxy.heads().try_into().unwrap();
    assert!(head.starts_with(&format!("CONNECT localhost:{} ", upstream.address().port())), "{head}");
    // `user:p@ss`
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
    assert!(!head.contains("sk-upstream"), "{head}");
    assert!(!process.seen().contains("p%40ss") && !process.seen().contains("p@ss"), "{}", process.seen());
}

#[tokio::test]
async fn slips_around_the_url_of_the_proxy_and_its_credential_are_not_sent() {
    let authority = CertificateAuthority::new();
    let upstream = upstream(Some(&authority), None).await;
    for (text, is_slip) in [
        ("http://user:pa%20ss@PROXY", false),
        ("http://user:pa%20ss@PROXY\n", true),
        ("\u{feff}http://user:pa%20ss@PROXY\u{a0}", true),
        ("\"http://user:pa%20ss@PROXY\"", true),
        ("http://user:'pa%20ss'@PROXY", true),
        ("http://user:pa%20ss%0A@PROXY", true),
    ] {
        let proxy = Proxy::before(&upstream).await;
        let variables = [("HTTPS_PROXY", text.replace("PROXY", &proxy.address.to_string()))];
        let (_user, process, relay) = serve(&variables, &upstream.url(), &authority);
        assert_complete(&request(relay).await);
        let [head] = proxy.heads().try_into().unwrap();
        // `user:pa ss`
        assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwYSBzcw==\r\n"), "{text:?}: {head}");
        let seen = process.seen();
        assert_eq!(seen.contains("correct the value"), is_slip, "{seen}");
        assert!(!seen.contains("pa%20ss") && !seen.contains("pa ss"), "{seen}");
    }
}

/// Answers like the metadata server of a machine in this universe; like an older one, without the path, for `None`.
async fn metadata_server(universe: Option<&'static str>) -> Upstream {
    Upstream::answering(move |request| match (request.path(), universe) {
        ("/computeMetadata/v1/universe/universe-domain", Some(universe)) => {
            Answer::text(200, "application/text", universe).with_header("metadata-flavor", "Google")
        }
        _ => google::answer(request, "ya29.token", 3600),
    })
    .await
}

#[tokio::test]
async fn the_universe_domain_of_the_metadata_server_names_the_host_of_vertex() {
    // No name can be resolved, so that the proxy shows the host.
    for (region, universe, variable, expected) in [
        ("global", Some("example.goog"), None, "aiplatform.example.goog"),
        ("europe-west1", Some("example.goog\n"), None, "europe-west1-aiplatform.example.goog"),
        ("eu", Some("example.goog"), None, "aiplatform.eu.rep.example.goog"),
        ("global", Some("googleapis.com"), None, "aiplatform.googleapis.com"),
        ("global", Some(""), None, "aiplatform.googleapis.com"),
        ("global", None, None, "aiplatform.googleapis.com"),
        ("global", Some("example.goog"), Some("own.goog"), "aiplatform.own.goog"),
    ] {
        let metadata = metadata_server(universe).await;
        let authority = CertificateAuthority::for_names(&[expected]);
        let upstream = Upstream::builder().tls(&authority).host(expected);
        let upstream = upstream.require(vertex::rules()).answering(vertex::answer).await;
        let proxy = Proxy::before(&upstream).await;
        let mut user = User::new()
            .with_variable("HTTPS_PROXY", format!("http://{}", proxy.address))
            .with_variable("GCE_METADATA_HOST", metadata.address().to_string());
        if let Some(variable) = variable {
            user = user.with_variable("GOOGLE_CLOUD_UNIVERSE_DOMAIN", variable);
        }
        let ca_file = authority.ca_file().display();
        user.write(
            "config.yaml",
            &format!(
                "providers: [{{ name: v, type: vertex, gcp_region: {region}, ca_file: '{ca_file}' }}]\n"
            ),
        );
        let (_process, relay) = user.serve(&[]);
        assert_eq!(request(relay).await.status, 200, "{universe:?}");
        let [head] = proxy.heads().try_into().unwrap();
        assert!(head.starts_with(&format!("CONNECT {expected}:443 ")), "{universe:?}: {head}");
        // It may come before the connection of the first request is free again, and open another one.
        assert_eq!(request(relay).await.status, 200, "{universe:?}");
        assert!(proxy.heads().iter().all(|other| *other == head), "{universe:?}: {:?}", proxy.heads());
        let lookups =
            metadata.requests().iter().filter(|request| request.path().contains("universe")).count();
        assert_eq!(lookups, usize::from(variable.is_none()), "once with each token");
    }
}

#[tokio::test]
async fn a_universe_domain_that_is_no_domain_is_reported() {
    let metadata = metadata_server(Some("evil.example/path?")).await;
    let user = User::new().with_variable("GCE_METADATA_HOST", metadata.address().to_string());
    user.write("config.yaml", "providers: [{ name: far, type: vertex, gcp_region: global }]\n");
    let (_process, relay) = user.serve(&[]);
    assert_reported(&request(relay).await, "is no universe domain; set GOOGLE_CLOUD_UNIVERSE_DOMAIN");
}

#[tokio::test]
async fn hosts_in_no_proxy_are_reached_directly() {
    let authority = CertificateAuthority::new();
    for exception in ["localhost", "elsewhere.example, localhost", "*"] {
        let upstream = upstream(Some(&authority), None).await;
        let proxy = Proxy::before(&upstream).await;
        let url = format!("http://{}", proxy.address);
        let variables = [("HTTPS_PROXY", url), ("NO_PROXY", exception.to_owned())];
        let (_user, _process, relay) = serve(&variables, &upstream.url(), &authority);
        assert_complete(&request(relay).await);
        assert_eq!((proxy.heads().len(), upstream.connections()), (0, 1), "{exception}");
    }
}

#[tokio::test]
async fn an_upstream_on_plain_http_is_reached_directly() {
    let upstream = upstream(None, None).await;
    let proxy = Proxy::before(&upstream).await;
    let url = format!("http://{}", proxy.address);
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, url.clone()));
    let (_user, _process, relay) = serve(&variables, &upstream.url(), &CertificateAuthority::new());
    assert_complete(&request(relay).await);
    assert_eq!((proxy.heads().len(), upstream.connections()), (0, 1));
}

#[tokio::test]
async fn a_refusal_by_the_proxy_is_reported_as_one() {
    let authority = CertificateAuthority::new();
    let upstream = upstream(Some(&authority), None).await;
    for (answer, expected) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy authorization required"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "tunnel error"),
    ] {
        let proxy = Proxy::answering(answer, &upstream).await;
        let variables = [("HTTPS_PROXY", format!("http://{}", proxy.address))];
        let (_user, _process, relay) = serve(&variables, &upstream.url(), &authority);
        assert_reported(&request(relay).await, expected);
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_proxy_of_another_protocol_is_not_called() {
    let authority = CertificateAuthority::new();
    let upstream = upstream(Some(&authority), None).await;
    let proxy = Proxy::before(&upstream).await;
    for scheme in ["https", "socks5", "socks5h"] {
        let variables = [("HTTPS_PROXY", format!("{scheme}://user:secret@{}", proxy.address))];
        let (_user, _process, relay) = serve(&variables, &upstream.url(), &authority);
        assert_reported(&request(relay).await, &format!("{scheme}://"));
    }
    assert!(proxy.heads().is_empty(), "a credential went out unencrypted: {:?}", proxy.heads());
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn tokens_of_google_come_through_the_proxy_from_googles_own_endpoint() {
    const HOST: &str = "oauth2.googleapis.com";
    let authority = CertificateAuthority::for_names(&[HOST]);
    for mut credentials in [google::authorized_user(""), google::service_account("")] {
        credentials.as_object_mut().unwrap().remove("token_uri");
        let tokens = Upstream::builder().tls(&authority).host(HOST);
        let tokens = tokens.answering(|request| google::answer(request, "ya29.token", 3600)).await;
        let upstream = Upstream::builder().require(vertex::rules()).answering(vertex::answer).await;
        let proxy = Proxy::before(&tokens).await;
        let user = User::new().with_variable("HTTPS_PROXY", format!("http://{}", proxy.address));
        user.write("credentials.json", &credentials.to_string());
        let (url, ca_file) = (upstream.url(), authority.ca_file().display());
        user.write(
            "config.yaml",
            &format!(
                "providers: [{{ name: far, type: vertex, base_url: '{url}', ca_file: '{ca_file}', \
                 gcp_project_id: my-project, credentials_file: credentials.json }}]\n"
            ),
        );
        let (_process, relay) = user.serve(&[]);
        assert_complete(&request(relay).await);
        let expected = format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n");
        assert_eq!((proxy.heads(), tokens.requests().len()), (vec![expected], 1));
    }
}
