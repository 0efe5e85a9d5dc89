//! The tests that `docs/resilience.md` names.

use std::path::Path;

const PAGE: &str = "docs/resilience.md";

/// Returns the names of tests in `markdown` and the paths of their files, from the directory of the page.
fn named_tests(markdown: &str) -> Vec<(&str, &str)> {
    let links = markdown.split("[`").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    links.filter_map(|link| link.split_once("`](")).collect()
}

#[test]
fn every_row_of_the_page_about_resilience_names_tests_that_exist() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(workspace.join(PAGE)).unwrap();
    let (tables, _) = page.split_once("\n## Not applicable\n").unwrap();
    let rows: Vec<_> = tables.lines().filter(|line| line.starts_with("| ")).collect();
    let rows = rows.iter().filter(|row| !row.ends_with("| tests |"));
    let mut count = 0;
    for row in rows {
        let tests = named_tests(row);
        assert!(!tests.is_empty(), "no test: {row}");
        for (name, path) in tests {
            let file = workspace.join("docs").join(path);
            let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
            let line = source.lines().position(|line| line.trim_start().contains(&format!("fn {name}(")));
            let line = line.unwrap_or_else(|| panic!("{path} has no test {name}"));
            let before: Vec<_> = source.lines().take(line).collect();
            let attributes = before.iter().rev().take_while(|line| line.trim_start().starts_with("#["));
            let mut attributes = attributes.map(|line| line.trim());
            assert!(attributes.any(|line| line.contains("test")), "{name} is no test");
            count += 1;
        }
    }
    assert!(count > 100, "{count} tests");
}
