//! CSV (RFC 4180) for spreadsheets.
//!
//! A spreadsheet takes a field that begins with `=`, `+`, `-` or `@` for a formula and runs it (OWASP, *CSV Injection*): such
//! a field is written with an apostrophe before it, which the spreadsheet does not show.

use super::Grid;
use crate::diagnostic::visible;

pub fn csv(grid: &Grid) -> String {
    let mut text = String::new();
    for row in std::iter::once(grid.headings()).chain(grid.rows().iter().map(Vec::as_slice)) {
        let fields: Vec<String> = row.iter().map(|field| self::field(field)).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

fn field(text: &str) -> String {
    let shown = visible(text);
    let is_formula = shown.trim_start().starts_with(['=', '+', '-', '@']);
    let shown = if is_formula { format!("'{shown}") } else { shown };
    if shown.contains([',', '"', '\'']) { format!("\"{}\"", shown.replace('"', "\"\"")) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_no_formula_runs() {
        let mut grid = Grid::new(&["a", "b"]);
        grid.push(["plain".to_owned(), "x, \"y\"".to_owned()]);
        grid.push(["=HYPERLINK(\"http://x\")".to_owned(), " @SUM(A1)".to_owned()]);
        grid.push(["two\nlines".to_owned(), String::new()]);
        let expected = "a,b\r\nplain,\"x, \"\"y\"\"\"\r\n\"'=HYPERLINK(\"\"http://x\"\")\",\"' @SUM(A1)\"\r\n\
                        two\\nlines,\r\n";
        assert_eq!(csv(&grid), expected);
    }
}
