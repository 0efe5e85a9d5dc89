//! Renders the price table from `prices.toml`.

use std::fmt::Write;

use toml_edit::{DocumentMut, Item, Table, TableLike};

pub(super) const TOML: &str = include_str!("prices.toml");

const HEAD: &str = r#"//! The built-in prices: `prices.toml` as constants, so that a start of the program parses nothing.
//!
//! The test `the_table_has_the_prices_of_the_toml_file` writes this file if `UPDATE_PRICES` is set.

use super::entry::Entry;
use super::tools::ToolRates;

/// The day on which the prices were compared with their sources.
"#;
/// The factors in a price, and the methods of `Entry` that set them.
const FACTORS: [(&str, &str); 6] = [
    ("batch_factor", "batch"),
    ("us_factor", "us"),
    ("regional_factor", "regional"),
    ("gov_factor", "gov"),
    ("fast_factor", "fast"),
    ("off_peak_factor", "off_peak"),
];

/// Returns the text of `table.rs`.
pub(super) fn render() -> String {
    let toml: DocumentMut = TOML.parse().expect("prices.toml is TOML");
    let mut text = HEAD.to_owned();
    writeln!(text, "pub(super) const AS_OF: &str = \"{}\";\n", toml["as_of"].as_datetime().unwrap()).unwrap();
    text +=
        "/// The prices of each model. The entries of a kind of provider are neighbours.\n#[rustfmt::skip]\n";
    text += "pub(super) static ENTRIES: &[Entry] = &[\n";
    tables(&toml, "price").for_each(|price| text += &entry(price));
    text += "];\n\n/// The prices of tool calls at each kind of provider.\n#[rustfmt::skip]\n";
    text += "pub(super) static TOOLS: &[(&str, ToolRates)] = &[\n";
    tools(&toml).for_each(|line| text += &line);
    text + "];\n"
}

pub(super) fn tables<'a>(toml: &'a DocumentMut, name: &str) -> impl Iterator<Item = &'a Table> {
    toml[name].as_array_of_tables().unwrap().iter()
}

fn entry(price: &Table) -> String {
    let models =
        price["models"].as_array().unwrap().iter().map(|model| format!("{:?}", model.as_str().unwrap()));
    let mut line = format!(
        "    Entry::new(\"{}\", &[{}], {})",
        text_of(price, "provider"),
        models.collect::<Vec<_>>().join(", "),
        rates(price)
    );
    if let Some(tier) = price.get("tier").and_then(Item::as_table_like) {
        let over = grouped(tier.get("over").unwrap().as_integer().unwrap().unsigned_abs());
        write!(line, ".tier({over}, {})", rates(tier)).unwrap();
    }
    for (key, method) in FACTORS {
        if let Some(factor) = number(price, key) {
            write!(line, ".{method}({})", exact(factor * 1e3)).unwrap();
        }
    }
    line + ",\n"
}

/// The prices of tokens, with those that are missing filled in.
fn rates(price: &dyn TableLike) -> String {
    let input = number(price, "input").unwrap();
    let five_minutes = number(price, "cache_write_5m").unwrap_or(input);
    let prices = [
        input,
        number(price, "output").unwrap(),
        number(price, "cache_read").unwrap_or(input),
        five_minutes,
        number(price, "cache_write_1h").unwrap_or(five_minutes),
    ];
    format!("[{}]", prices.map(|dollars| grouped(exact(dollars * 1e6))).join(", "))
}

fn tools(toml: &DocumentMut) -> impl Iterator<Item = String> + '_ {
    let mut kinds: Vec<&str> = Vec::new();
    let counted = || tables(toml, "server_tool").filter(|tool| tool.contains_key("per_1000"));
    counted().map(|tool| text_of(tool, "provider")).for_each(|kind| {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    });
    kinds.into_iter().map(move |kind| {
        let price = |name| {
            let found =
                counted().find(|tool| text_of(tool, "provider") == kind && text_of(tool, "tool") == name);
            grouped(found.map_or(0, |tool| exact(number(tool, "per_1000").unwrap() * 1e9)))
        };
        let (search, fetch) = (price("web_search"), price("web_fetch"));
        format!("    (\"{kind}\", ToolRates {{ web_search: {search}, web_fetch: {fetch} }}),\n")
    })
}

fn text_of<'a>(table: &'a Table, key: &str) -> &'a str {
    table[key].as_str().unwrap()
}

fn number(table: &dyn TableLike, key: &str) -> Option<f64> {
    table.get(key).map(|value| value.as_float().expect("a number"))
}

/// Returns the whole number that `amount` is, up to errors of floating point.
#[track_caller]
fn exact(amount: f64) -> u64 {
    assert!((amount - amount.round()).abs() < 1e-3, "{amount} has too many decimals");
    amount.round() as u64
}

/// Writes a number with `_` between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
