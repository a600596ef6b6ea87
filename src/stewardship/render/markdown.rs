//! Markdown, as CommonMark and its tables read it.

use std::fmt::Write as _;

use super::{Block, Document, Grid};
use crate::diagnostic::visible;

pub fn markdown(document: &Document) -> String {
    let mut text = format!("# {}\n", escaped(&document.title));
    for block in &document.blocks {
        let _ = match block {
            Block::Heading { level, text: heading } => {
                writeln!(text, "\n{} {}", "#".repeat(usize::from(*level)), escaped(heading))
            }
            Block::Paragraph(paragraph) => writeln!(text, "\n{}", escaped(paragraph)),
            Block::List(items) => {
                let items: String = items.iter().map(|item| format!("- {}\n", escaped(item))).collect();
                write!(text, "\n{items}")
            }
            Block::Table(grid) => write!(text, "\n{}", table(grid)),
        };
    }
    text
}

fn table(grid: &Grid) -> String {
    let row = |cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!(" {} |", escaped(cell))).collect();
        format!("|{cells}\n")
    };
    let rule = format!("|{}\n", " --- |".repeat(grid.headings().len()));
    let body: String = grid.rows().iter().map(|cells| row(cells)).collect();
    format!("{}{rule}{body}", row(grid.headings()))
}

/// A text that is no markup. A name's underscores stay as they are: between letters they mean nothing.
fn escaped(text: &str) -> String {
    let text = visible(text);
    let mut shown = String::with_capacity(text.len());
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let inside_a_word =
            before.is_some_and(char::is_alphanumeric) && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '_' if inside_a_word => shown.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '>' => shown.extend(['\\', c]),
            '-' | '+' | '=' if before.is_none() => shown.extend(['\\', c]),
            other => shown.push(other),
        }
        before = Some(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_and_no_text_becomes_markup() {
        let mut document = Document::new("A <b>");
        document.heading(3, "# one");
        document.paragraph("nhs_number _x_ `y`\nnext");
        document.list(vec!["- [a](http://x)".to_owned()]);
        let mut grid = Grid::new(&["a", "b"]);
        grid.push(["x | y".to_owned(), "&lt;".to_owned()]);
        document.table(grid);
        let expected = [
            r"# A &lt;b>".replace('>', "\\>").as_str(),
            "",
            r"### \# one",
            "",
            r"nhs_number \_x\_ \`y\`\\nnext",
            "",
            r"- \- \[a\](http://x)",
            "",
            "| a | b |",
            "| --- | --- |",
            r"| x \| y | &amp;lt; |",
            "",
        ]
        .join("\n");
        assert_eq!(markdown(&document), expected);
    }
}
