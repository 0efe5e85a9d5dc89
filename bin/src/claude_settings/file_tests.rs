use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

#[test]
fn every_hop_of_a_symbolic_link_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("dotfiles/claude")).unwrap();
    fs::create_dir(root.join("home")).unwrap();
    let real = root.join("dotfiles/claude/real.json");
    fs::write(&real, "{}").unwrap();
    symlink("claude/real.json", root.join("dotfiles/link.json")).unwrap();
    symlink("../dotfiles", root.join("home/linked")).unwrap();
    symlink("linked/link.json", root.join("home/settings.json")).unwrap();
    assert_eq!(resolve(&root.join("home/settings.json")).unwrap(), real);
    // The file that a link names need not exist.
    fs::remove_file(&real).unwrap();
    assert_eq!(resolve(&root.join("home/settings.json")).unwrap(), real);
    symlink("b", root.join("a")).unwrap();
    symlink("a", root.join("b")).unwrap();
    assert!(matches!(resolve(&root.join("a")), Err(Error::LinkLoop { .. })));
}

#[test]
fn a_file_keeps_its_mode_and_leaves_no_temporary_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.json");
    fs::write(&path, "a").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(replace(&path, Some(b"a"), Some(b"b")).unwrap(), Written::Yes);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert_ne!(metadata.ino(), inode, "the file was written in place");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_has_changed_meanwhile_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.json");
    fs::write(&path, "newer").unwrap();
    for after in [Some(&b"b"[..]), None] {
        assert_eq!(replace(&path, Some(b"older"), after).unwrap(), Written::Changed);
        assert_eq!(replace(&path, None, after).unwrap(), Written::Changed);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_read_only_file_or_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.json");
    fs::write(&path, "a").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = replace(&path, Some(b"a"), Some(b"b")).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { what: "file", .. }), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = replace(&path, Some(b"a"), Some(b"b")).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { what: "directory", .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a");
    // So that the directory can be removed.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_file_without_an_end_is_refused() {
    let error = read(Path::new("/dev/zero")).unwrap_err();
    assert!(
        matches!(&error, Error::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge),
        "{error}"
    );
}
