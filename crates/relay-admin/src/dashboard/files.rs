//! The files of the dashboard, embedded in the program.

/// A file with its path on the admin listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) bytes: &'static [u8],
}

/// Lists files of `assets/js` by their names.
macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$(File {
            path: concat!("/assets/js/", $name),
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/js/", $name)),
        }),*]
    };
}

/// The page, its styles and its icon.
pub(super) const PAGE: [File; 4] = [
    File { path: "/", bytes: include_bytes!("../../assets/index.html") },
    File { path: "/assets/base.css", bytes: include_bytes!("../../assets/base.css") },
    File { path: "/assets/parts.css", bytes: include_bytes!("../../assets/parts.css") },
    File { path: "/assets/icon.svg", bytes: include_bytes!("../../assets/icon.svg") },
];

/// The modules of the script.
pub(super) const SCRIPTS: [File; 28] = scripts![
    "actions.js",
    "api.js",
    "chart.js",
    "csv.js",
    "dialog.js",
    "dom.js",
    "format.js",
    "health.js",
    "icons.js",
    "main.js",
    "parts.js",
    "router.js",
    "scale.js",
    "shell.js",
    "store.js",
    "stream.js",
    "table.js",
    "theme.js",
    "timeline.js",
    "views/first_steps.js",
    "views/overview.js",
    "views/providers.js",
    "views/request.js",
    "views/request_table.js",
    "views/requests.js",
    "views/sessions.js",
    "views/sign_in.js",
    "views/usage.js",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files_below(directory: &Path) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_file_of_the_assets_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let on_disk: BTreeSet<_> = files_below(&root)
            .into_iter()
            .map(|path| format!("/assets/{}", path.strip_prefix(&root).expect("below the root").display()))
            .collect();
        let path = |file: &File| if file.path == "/" { "/assets/index.html" } else { file.path }.to_owned();
        let listed: BTreeSet<_> = PAGE.iter().chain(&SCRIPTS).map(path).collect();
        assert_eq!(listed, on_disk);
    }

    #[test]
    fn no_script_parses_text_as_html_or_as_code() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "eval(",
            "new Function",
        ];
        for file in SCRIPTS {
            let text = std::str::from_utf8(file.bytes).expect("UTF-8");
            for word in forbidden {
                assert!(!text.contains(word), "{} contains {word}", file.path);
            }
        }
    }
}
