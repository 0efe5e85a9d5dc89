use std::fs;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use relay_server::Relay;
use tempfile::TempDir;

use super::*;
use crate::reload::part::Commit;

const ONE: &str = "providers: [{ name: a, type: mock }]";
const TWO: &str = "providers: [{ name: a, type: mock }, { name: b, type: mock }]";

/// A relay whose configuration is a file in a directory of its own.
struct Fixture {
    directory: TempDir,
    relay: Reloadable,
}

impl Fixture {
    fn new(text: &str) -> (Self, Reloader) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        fs::write(&path, text).unwrap();
        let source = Source::file(&path);
        let loaded = read_file(&Settings::default(), &path).unwrap();
        let relay = Reloadable::new(Relay::builder(loaded.config.clone()).build().unwrap());
        let prices = CurrentPrices::new(PriceTable::new(&loaded.config).unwrap());
        let (secrets, level) = (LogSecrets::unused(), Level::unused());
        let reloads = Reloads::new();
        let targets = Targets { relay: relay.clone(), prices, secrets, reloads, level };
        let reloader = Reloader::new(Settings::default(), source, &loaded, targets);
        (Self { directory, relay }, reloader)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    fn providers(&self) -> usize {
        self.relay.relay().config().providers.len()
    }
}

#[test]
fn a_changed_file_comes_into_use_and_an_unchanged_one_changes_nothing() {
    let (fixture, reloader) = Fixture::new(ONE);
    assert_eq!(reloader.reload(Cause::Signal).outcome, Outcome::Unchanged);
    assert_eq!(fixture.relay.relay().state().configuration.generation, 1);
    fixture.write(TWO);
    let report = reloader.reload(Cause::Signal);
    assert_eq!(
        (report.outcome, &*report.differences),
        (Outcome::Applied, &["providers[b]: added".to_owned()][..])
    );
    assert_eq!(fixture.providers(), 2);
    assert!(!reloader.reload_if_changed(), "the file was read already");
}

#[test]
fn an_invalid_file_changes_nothing_and_is_reported_by_the_state_until_it_is_mended() {
    let (fixture, reloader) = Fixture::new(ONE);
    fixture.write("providers: [{ name: a, type: moc }]\nrouting: { max_attemps: 3 }");
    assert!(reloader.reload_if_changed());
    assert!(!reloader.reload_if_changed(), "the same contents are not read again");
    let warnings = Reload::warnings(&reloader);
    for expected in
        ["is not in use", "config.yaml:1:30: providers[0].type", "config.yaml:2:12: routing.max_attemps"]
    {
        assert!(warnings[0].contains(expected), "no {expected:?} in {warnings:?}");
    }
    assert_eq!(fixture.providers(), 1);
    fixture.write(ONE);
    assert!(reloader.reload_if_changed());
    assert_eq!(Reload::warnings(&reloader), [""; 0]);
}

#[test]
fn a_file_that_is_gone_or_empty_changes_nothing() {
    let (fixture, reloader) = Fixture::new(ONE);
    fixture.write("\n");
    assert!(reloader.is_file_in_transit());
    let report = reloader.reload(Cause::FileChange);
    assert!(report.to_string().contains("config.yaml: the file is empty"), "{report}");
    fs::remove_file(fixture.path()).unwrap();
    assert_eq!(reloader.reload(Cause::FileChange).outcome, Outcome::Missing(fixture.path()));
    assert_eq!(fixture.providers(), 1);
    assert!(!reloader.reload_if_changed());
    fixture.write(TWO);
    assert!(reloader.reload_if_changed());
    assert_eq!(fixture.providers(), 2);
}

#[test]
fn settings_that_need_a_restart_are_named_each_time_until_they_are_in_use() {
    let (fixture, reloader) = Fixture::new(ONE);
    fixture.write(&format!("server: {{ listen: '127.0.0.1:9', max_concurrent: 2 }}\n{ONE}"));
    let report = reloader.reload(Cause::Signal);
    assert_eq!(report.differences, ["server.max_concurrent: 0 -> 2"]);
    let restart = [r#"server.listen: ["127.0.0.1:8787"] -> ["127.0.0.1:9"]"#];
    assert_eq!(report.restart, restart);
    let report = reloader.reload(Cause::Signal);
    assert_eq!((report.outcome, &*report.restart), (Outcome::Unchanged, &restart.map(str::to_owned)[..]));
    assert!(Reload::warnings(&reloader)[0].contains("need a restart"));
    fixture.write(ONE);
    assert_eq!(reloader.reload(Cause::Signal).restart, [""; 0]);
}

#[test]
fn a_token_comes_into_use_and_no_listener_for_other_machines_loses_its_token() {
    let admin = |listen: &str, token: &str| format!("admin: {{ listen: '{listen}', token: {token} }}\n{ONE}");
    let (fixture, reloader) = Fixture::new(&admin("0.0.0.0:1", "first-token"));
    fixture.write(&admin("0.0.0.0:1", "second-token"));
    assert_eq!(reloader.reload(Cause::Signal).differences, ["admin.token: changed"]);
    fixture.write(&format!("admin: {{ listen: '127.0.0.1:1' }}\n{ONE}"));
    let report = reloader.reload(Cause::Signal);
    assert_eq!(report.restart, ["admin.listen: \"0.0.0.0:1\" -> \"127.0.0.1:1\"", "admin.token: changed"]);
    let token = fixture.relay.relay().config().admin.token.clone();
    assert_eq!(token.unwrap().expose(), "second-token");
}

#[test]
fn a_file_that_the_configuration_names_is_followed() {
    let (fixture, reloader) = Fixture::new(ONE);
    let ca_file = fixture.directory.path().join("ca.pem");
    let config = format!("providers: [{{ name: a, type: ollama, ca_file: {} }}]", ca_file.display());
    fixture.write(&config);
    let report = reloader.reload(Cause::Signal);
    assert!(report.to_string().contains("ca.pem: No such file"), "{report}");
    assert!(reloader.files().contains(&ca_file), "the file may appear later");

    let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
    fs::write(&ca_file, certificate).unwrap();
    assert!(reloader.reload_if_changed());
    assert_eq!(fixture.relay.relay().config().providers[0].ca_file.as_ref(), Some(&ca_file));
    let other = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap().cert.pem();
    fs::write(&ca_file, other).unwrap();
    let report = reloader.reload(Cause::FileChange);
    assert_eq!(report.differences, [format!("providers[a]: {} has other contents", ca_file.display())]);
    fs::write(&ca_file, "no certificate").unwrap();
    assert!(matches!(reloader.reload(Cause::FileChange).outcome, Outcome::Rejected(_)));
}

/// A part that records its calls, and waits for a permit before it is prepared.
struct Slow {
    permits: Mutex<mpsc::Receiver<()>>,
    prepared: Arc<AtomicUsize>,
}

impl Part for Slow {
    fn files(&self, _: &Config) -> Vec<PathBuf> {
        Vec::new()
    }

    fn prepare(&self, _: &Config) -> Result<Option<Commit>, Box<dyn Error + Send + Sync>> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        // Once the sender is dropped, there is no wait.
        let _ = self.permits.lock().unwrap().recv();
        Ok(None)
    }
}

#[test]
fn reloads_that_are_requested_during_one_are_answered_together() {
    let (fixture, reloader) = Fixture::new(ONE);
    let (permit, permits) = mpsc::channel();
    let prepared = Arc::new(AtomicUsize::new(0));
    let part = Slow { permits: Mutex::new(permits), prepared: Arc::clone(&prepared) };
    let reloader = reloader.with_part(part);
    fixture.write(TWO);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| reloader.reload(Cause::Signal));
        while prepared.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let others: Vec<_> = (0..50).map(|_| scope.spawn(|| reloader.reload(Cause::AdminApi))).collect();
        while reloader.requested.load(Ordering::SeqCst) < 51 {
            std::thread::yield_now();
        }
        drop(permit);
        assert_eq!(first.join().unwrap().outcome, Outcome::Applied);
        for other in others {
            assert_eq!(other.join().unwrap().outcome, Outcome::Unchanged);
        }
    });
    assert_eq!(prepared.load(Ordering::SeqCst), 2);
}

/// A part that cannot be made, or is made.
struct Certificate {
    is_valid: bool,
    applied: Arc<AtomicUsize>,
}

impl Part for Certificate {
    fn files(&self, _: &Config) -> Vec<PathBuf> {
        vec!["/nowhere/certificate.pem".into()]
    }

    fn prepare(&self, _: &Config) -> Result<Option<Commit>, Box<dyn Error + Send + Sync>> {
        if !self.is_valid {
            return Err("server.tls.cert: no certificate".into());
        }
        let applied = Arc::clone(&self.applied);
        let apply = Box::new(move || _ = applied.fetch_add(1, Ordering::SeqCst));
        Ok(Some(Commit { difference: "server.tls: the files have other contents".to_owned(), apply }))
    }
}

#[test]
fn a_part_is_put_into_use_with_the_configuration_or_not_at_all() {
    for is_valid in [false, true] {
        let (fixture, reloader) = Fixture::new(ONE);
        let applied = Arc::new(AtomicUsize::new(0));
        let reloader = reloader.with_part(Certificate { is_valid, applied: Arc::clone(&applied) });
        assert!(reloader.files().contains(&"/nowhere/certificate.pem".into()));
        fixture.write(TWO);
        let report = reloader.reload(Cause::FileChange);
        let expected = if is_valid { "server.tls: the files have other contents" } else { "no certificate" };
        assert!(report.to_string().contains(expected), "{report}");
        assert_eq!((fixture.providers() == 2, applied.load(Ordering::SeqCst) == 1), (is_valid, is_valid));
    }
}

/// Hooks that write down their calls.
struct Calls(Arc<Mutex<Vec<&'static str>>>);

impl Hooks for Calls {
    fn started(&self) {
        self.0.lock().unwrap().push("started");
    }

    fn ended(&self) {
        self.0.lock().unwrap().push("ended");
    }
}

#[test]
fn the_hooks_surround_each_reload() {
    let (fixture, reloader) = Fixture::new(ONE);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let reloader = reloader.with_hooks(Calls(Arc::clone(&calls)));
    reloader.reload(Cause::Signal);
    fixture.write("no: configuration");
    reloader.reload(Cause::Signal);
    assert_eq!(*calls.lock().unwrap(), ["started", "ended", "started", "ended"]);
}
