//! Reports as text for a terminal.

use super::super::table::{printable, width};
use crate::stewardship::render::{Block, Document, Grid};

/// The report's title, then its blocks, a blank line between them.
pub fn text(document: &Document) -> String {
    let mut parts = vec![format!("{}\n", printable(&document.title))];
    parts.extend(document.blocks.iter().map(|block| match block {
        Block::Heading { text, .. } => {
            let text = printable(text);
            format!("{text}\n{}\n", "-".repeat(width(&text)))
        }
        Block::Paragraph(text) => format!("{}\n", printable(text)),
        Block::List(items) => items.iter().map(|item| format!("- {}\n", printable(item))).collect(),
        Block::Table(grid) => table(grid),
    }));
    parts.join("\n")
}

/// Columns side by side, as wide as their widest text; no trailing blanks.
pub fn table(grid: &Grid) -> String {
    let headings: Vec<String> = grid.headings().iter().map(|heading| printable(heading)).collect();
    let rows: Vec<Vec<String>> =
        grid.rows().iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| width(heading)).collect();
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, widest)| format!("{cell}{}", " ".repeat(widest.saturating_sub(width(cell)))))
            .collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let rule: Vec<String> = widths.iter().map(|widest| "-".repeat(*widest)).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}{body}", line(&headings), line(&rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_steer_no_terminal() {
        let mut document = Document::new("T");
        document.heading(2, "one");
        let mut grid = Grid::new(&["a", "bb"]);
        grid.push(["日本".to_owned(), "\u{1b}[2J".to_owned()]);
        grid.push(["x".to_owned(), String::new()]);
        document.table(grid);
        let expected = "T\n\none\n---\n\n  a     bb\n  ----  ---------\n  日本  \\u{1b}[2J\n  x\n".to_owned();
        assert_eq!(text(&document), expected);
    }
}
