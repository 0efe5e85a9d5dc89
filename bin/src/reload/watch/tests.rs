use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::*;
use crate::reload::contents::Contents;

/// The time in which every event arrives.
const LIMIT: Duration = Duration::from_secs(20);

/// A watch of `mount/config.yaml` in `root`.
struct Watched {
    watch: Watch,
    contents: Contents,
}

impl Watched {
    fn new(root: &Path) -> Self {
        let file = root.join("mount/config.yaml");
        let mut watch = Watch::start();
        watch.set_places(Places::of([file.as_path()]));
        Self { watch, contents: Contents::of([file.as_path()]) }
    }

    /// Waits for a change, and asserts that the contents have changed.
    async fn assert_changed(&mut self) {
        let is_in_time = timeout(LIMIT, self.watch.changed()).await.is_ok();
        self.watch.settled().await;
        assert!(is_in_time && self.contents.have_changed());
    }
}

/// A directory with `mount/config.yaml`.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("mount")).unwrap();
    fs::write(directory.path().join("mount/config.yaml"), "before").unwrap();
    directory
}

/// Asserts that `change`, which receives the directory of the file, is noticed.
async fn check(change: impl FnOnce(&Path)) {
    let directory = directory();
    let mut watched = Watched::new(directory.path());
    change(&directory.path().join("mount"));
    watched.assert_changed().await;
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_noticed() {
    check(|mount| fs::write(mount.join("config.yaml"), "after").unwrap()).await;
}

#[tokio::test]
async fn a_file_that_is_replaced_by_a_rename_is_noticed() {
    check(|mount| {
        fs::write(mount.join(".config.yaml.tmp"), "after").unwrap();
        fs::rename(mount.join(".config.yaml.tmp"), mount.join("config.yaml")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_temporary_files_of_an_editor_do_not_hide_the_change() {
    check(|mount| {
        // In the manner of Vim.
        fs::write(mount.join("4913"), "").unwrap();
        fs::remove_file(mount.join("4913")).unwrap();
        fs::rename(mount.join("config.yaml"), mount.join("config.yaml~")).unwrap();
        fs::write(mount.join("config.yaml"), "after").unwrap();
        fs::remove_file(mount.join("config.yaml~")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_removed_and_created_is_noticed() {
    check(|mount| {
        fs::remove_file(mount.join("config.yaml")).unwrap();
        fs::write(mount.join("config.yaml"), "after").unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_noticed_and_watched_again() {
    let directory = directory();
    let root = directory.path();
    let mut watched = Watched::new(root);
    fs::create_dir(root.join("next")).unwrap();
    fs::write(root.join("next/config.yaml"), "after").unwrap();
    fs::rename(root.join("mount"), root.join("former")).unwrap();
    fs::rename(root.join("next"), root.join("mount")).unwrap();
    watched.assert_changed().await;

    let file = root.join("mount/config.yaml");
    watched.watch.set_places(Places::of([file.as_path()]));
    watched.contents = Contents::of([file.as_path()]);
    fs::write(&file, "later").unwrap();
    watched.assert_changed().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_version_of_a_mounted_config_map_is_noticed_each_time() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().unwrap();
    let mount = directory.path().join("mount");
    let version = |name: &str| {
        fs::create_dir_all(mount.join(name)).unwrap();
        fs::write(mount.join(name).join("config.yaml"), name).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version("..2026_1");
    symlink("..data/config.yaml", mount.join("config.yaml")).unwrap();
    let file = mount.join("config.yaml");
    let mut watched = Watched::new(directory.path());
    for (before, after) in [("..2026_1", "..2026_2"), ("..2026_2", "..2026_3")] {
        version(after);
        fs::remove_dir_all(mount.join(before)).unwrap();
        watched.assert_changed().await;
        watched.watch.set_places(Places::of([file.as_path()]));
        watched.contents = Contents::of([file.as_path()]);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_is_not_read_while_it_is_being_written() {
    let directory = directory();
    let path = directory.path().join("mount/config.yaml");
    let mut watched = Watched::new(directory.path());
    let mut file = File::create(&path).unwrap();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(QUIET * 2);
        file.write_all(b"the whole text").unwrap();
    });
    watched.assert_changed().await;
    assert_eq!(fs::read(&path).unwrap(), b"the whole text");
    writer.join().unwrap();
}

#[tokio::test]
async fn to_read_the_file_and_to_write_others_is_no_change() {
    let directory = directory();
    let mount = directory.path().join("mount");
    let mut watched = Watched::new(directory.path());
    fs::write(mount.join("relay.log"), "a line").unwrap();
    assert!(!watched.contents.have_changed());
    let quiet = timeout(QUIET * 2, watched.watch.changed()).await;
    assert!(quiet.is_err(), "an event of another file, or of reading");
}

#[tokio::test]
async fn a_file_in_a_directory_that_did_not_exist_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mut watched = Watched::new(directory.path());
    fs::create_dir(directory.path().join("mount")).unwrap();
    fs::write(directory.path().join("mount/config.yaml"), "after").unwrap();
    watched.assert_changed().await;
}
