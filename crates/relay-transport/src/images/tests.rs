//! Images from a local site, under names that only the test's lookup resolves.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::address::is_public;
use super::public_hosts::Rules;
use super::*;
use crate::roots::TrustRoots;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

/// Accepts the local site in addition to public addresses.
fn is_site_or_public(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST) || is_public(address)
}

/// A site that answers by path, under every name except those of private hosts, and counts its requests.
struct Site {
    fetcher: Fetcher,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (client, server) = tls();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, noted) = (TlsAcceptor::from(Arc::clone(&server)), Arc::clone(&noted));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    noted.lock().unwrap().push(head);
                    // A client may close the connection early.
                    let _ = stream.write_all(&answer(&path)).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        let lookup =
            move |host: &str, _| -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
                let (host, at) = (host.to_owned(), |address: &str| address.parse::<IpAddr>().unwrap());
                let found = match &*host {
                    "private.example" => vec![at("10.0.0.1")],
                    "metadata.example" => vec![at("169.254.169.254"), at("fd00:ec2::254")],
                    "both.example" => vec![at("192.168.0.1"), at("127.0.0.1")],
                    "silent.example" => return Box::pin(std::future::pending()),
                    _ => vec![at("127.0.0.1")],
                };
                Box::pin(async move { Ok(found.into_iter().map(|address| (address, port).into()).collect()) })
            };
        let rules = Rules { lookup: Box::new(lookup), is_allowed: is_site_or_public };
        Self { fetcher: Fetcher::with_rules(client, rules), heads }
    }

    async fn check(&self, url: &str, expected: Result<&str, &str>) {
        let found = self
            .fetcher
            .fetch(url)
            .await
            .map(|image| image.base64_source())
            .map_err(|error| error.to_string());
        let found = found.as_ref().map(|source| std::str::from_utf8(source).unwrap()).map_err(String::as_str);
        assert_eq!(found, expected, "{url}");
    }

    fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

fn tls() -> (ClientConfig, Arc<ServerConfig>) {
    let new_key = || KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, new_key()).unwrap();
    let key = new_key();
    let names = ["images.example", "both.example", "private.example"].map(str::to_owned);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (client, Arc::new(server))
}

fn answer(path: &str) -> Vec<u8> {
    let image = |media_type: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let to = |location: &str| {
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into()
    };
    match path {
        "/a.png" => image("image/png", PNG),
        "/a.webp" => image("Image/WebP; q=1", b"RIFF\0\0\0\0WEBPVP8 "),
        "/mislabelled" => image("image/jpeg", b"GIF89a"),
        "/page" => image("text/html", b"<html>"),
        "/lie" => image("image/png", b"<html>"),
        "/riff" => image("image/webp", b"RIFF\0\0\0\0WAVE"),
        "/large" => image("image/png", &[PNG, &vec![0; 5 * 1024 * 1024]].concat()),
        "/nearly-5-mib" => image("image/png", &[PNG, &vec![0; 5 * 1024 * 1024 - PNG.len()]].concat()),
        "/endless" => {
            let chunk = [b"100000\r\n".as_slice(), &vec![0; 0x10_0000], b"\r\n"].concat();
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n";
            [head.as_slice(), &chunk.repeat(8)].concat()
        }
        "/cut" => b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 99\r\n\r\n\x89PNG".to_vec(),
        "/interim" => {
            [&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(500)[..], &image("image/png", PNG)].concat()
        }
        "/only-interim" => b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000),
        "/to/relative" => to("../a.png"),
        "/1" => to("/2"),
        "/2" => to("https://images.example/3"),
        "/3" => to("//both.example/a.png"),
        "/0" => to("/1"),
        "/to-private" => to("https://private.example/a.png"),
        "/to-metadata" => to("https://metadata.example/latest/meta-data/"),
        "/to-http" => to("http://images.example/a.png"),
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    }
}

const BASE64_PNG: &str = r#"{"type":"base64","media_type":"image/png","data":"iVBORw0KGgogYW5kIHNvIG9u"}"#;

#[tokio::test]
async fn an_image_becomes_base64_of_the_kind_that_it_is() {
    let site = Site::new().await;
    site.check("https://images.example/a.png", Ok(BASE64_PNG)).await;
    site.check("https://both.example/a.png#top", Ok(BASE64_PNG)).await;
    site.check("https://images.example/interim", Ok(BASE64_PNG)).await;
    let gif = r#"{"type":"base64","media_type":"image/gif","data":"R0lGODlh"}"#;
    site.check("https://images.example/mislabelled", Ok(gif)).await;
    let webp = r#"{"type":"base64","media_type":"image/webp","data":"UklGRgAAAABXRUJQVlA4IA=="}"#;
    site.check("https://images.example/a.webp", Ok(webp)).await;
    let heads = site.heads.lock().unwrap();
    assert_eq!(
        heads[0],
        format!(
            "GET /a.png HTTP/1.1\r\nhost: images.example\r\nuser-agent: cc-relay/{}\r\n\
             accept: image/png, image/jpeg, image/gif, image/webp\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[tokio::test]
async fn data_of_another_type_is_refused() {
    let site = Site::new().await;
    let no_image = Err("what `images.example` sends is no PNG, JPEG, GIF or WebP image");
    for path in ["page", "lie", "riff"] {
        site.check(&format!("https://images.example/{path}"), no_image).await;
    }
    site.check("https://images.example/none", Err("`images.example` answers with status 404 Not Found"))
        .await;
    site.check("https://images.example/large", Err("more than 5 MiB")).await;
    site.check("https://images.example/endless", Err("more than 5 MiB")).await;
    site.check("https://images.example/only-interim", Err("`images.example` broke off")).await;
    site.check("https://images.example/cut", Err("`images.example` broke off")).await;
    site.check("https://other.example/a.png", Err("no connection to `other.example`")).await;
}

#[tokio::test]
async fn redirects_are_followed_and_checked_again() {
    let site = Site::new().await;
    site.check("https://images.example/1", Ok(BASE64_PNG)).await;
    site.check("https://images.example/0", Err("more than 3 redirects")).await;
    let no_url = Err("an image's URL is https://, with a host and without a user name");
    site.check("https://images.example/to-http", no_url).await;
    for host in ["private", "metadata"] {
        let error =
            format!("the host `{host}.example` has no public address, and images are fetched from no other");
        site.check(&format!("https://images.example/to-{host}"), Err(&error)).await;
        let before = site.requests();
        site.check(&format!("https://{host}.example/a.png"), Err(&error)).await;
        assert_eq!(site.requests(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_ends_at_its_time_limit() {
    let site = Site::new().await;
    site.check("https://silent.example/a.png", Err("not there within 10 s")).await;
}

#[tokio::test]
async fn the_default_rules_refuse_local_addresses() {
    let fetcher = Fetcher::new(&TrustRoots::load()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0x7f.0.0.1", "0"]
    {
        let error = fetcher.fetch(&format!("https://{host}:{port}/a.png")).await.unwrap_err();
        let is_refused = matches!(error, FetchError::NotPublic { .. } | FetchError::Lookup { .. });
        assert!(is_refused, "{host}: {error}");
    }
    let accepted = tokio::time::timeout(std::time::Duration::from_millis(20), listener.accept()).await;
    assert!(accepted.is_err(), "a connection was made");
}

/// Returns the media type of each image, or the error.
async fn each(site: &Site, urls: &[String]) -> Vec<Result<&'static str, String>> {
    let images = site.fetcher.fetch_each(urls).await;
    let media_type = |image: Image| image.media_type();
    images.into_iter().map(|image| image.map(media_type).map_err(|error| error.to_string())).collect()
}

#[tokio::test]
async fn images_are_fetched_together_in_the_order_of_their_urls() {
    let site = Site::new().await;
    let url = |path: &str| format!("https://images.example/{path}");
    let images = each(&site, &[url("a.png"), url("a.webp"), url("1")]).await;
    assert_eq!(images, [Ok("image/png"), Ok("image/webp"), Ok("image/png")]);
    assert_eq!(site.requests(), 6, "the last image needs three redirects");
    let images = site.fetcher.fetch_each(&[url("page"), url("a.png")]).await;
    assert!(matches!(&images[..], [Err(FetchError::NotAnImage { .. }), Ok(_)]), "{images:?}");
}

#[tokio::test]
async fn too_many_images_are_refused_before_one_is_fetched() {
    let site = Site::new().await;
    let urls = vec!["https://images.example/a.png".to_owned(); 21];
    assert_eq!(each(&site, &urls[1..]).await, vec![Ok("image/png"); 20]);
    let before = site.requests();
    assert_eq!(each(&site, &urls).await, vec![Err("more than 20 images by URL".to_owned()); 21]);
    assert_eq!(site.requests(), before);
}

#[tokio::test]
async fn the_earliest_of_images_that_are_too_large_together_is_refused() {
    let site = Site::new().await;
    let urls = vec!["https://images.example/nearly-5-mib".to_owned(); 4];
    assert!(each(&site, &urls[1..]).await.iter().all(Result::is_ok));
    let images = each(&site, &urls).await;
    assert_eq!(images[0], Err("more than 15 MiB".to_owned()));
    assert!(images[1..].iter().all(Result::is_ok));
}
