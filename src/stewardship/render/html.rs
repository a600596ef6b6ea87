//! One HTML page that needs nothing else: no script, no link, nothing loaded.

use std::fmt::Write as _;

use super::{Block, Document, Grid};
use crate::diagnostic::visible;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}\
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2rem;border-bottom:1px solid #ccc}h3{font-size:1.05rem}\
table{border-collapse:collapse;margin:.75rem 0;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border:1px solid #ccc;overflow-wrap:anywhere}\
th{background:#f2f2f2}@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}";

/// The whole page, every text escaped.
pub fn html(document: &Document) -> String {
    let title = escaped(&document.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n"
    );
    page.push_str(&blocks(document));
    page.push_str("</body>\n</html>\n");
    page
}

fn blocks(document: &Document) -> String {
    let mut text = String::new();
    for block in &document.blocks {
        let _ = match block {
            Block::Heading { level, text: heading } => {
                writeln!(text, "<h{level}>{}</h{level}>", escaped(heading))
            }
            Block::Paragraph(paragraph) => writeln!(text, "<p>{}</p>", escaped(paragraph)),
            Block::List(items) => {
                let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect();
                writeln!(text, "<ul>\n{items}</ul>")
            }
            Block::Table(grid) => writeln!(text, "{}", table(grid)),
        };
    }
    text
}

fn table(grid: &Grid) -> String {
    let row = |cells: &[String], tag: &str, scope: &str| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}{scope}>{}</{tag}>", escaped(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let head = row(grid.headings(), "th", " scope=\"col\"");
    let body: String = grid.rows().iter().map(|cells| row(cells, "td", "")).collect();
    format!("<table>\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>")
}

/// A text that is text, wherever it stands in the page.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let hostile = "</td><script>alert('x')</script>\" & \u{202e}";
        let mut document = Document::new(hostile);
        document.heading(2, hostile);
        document.paragraph(hostile);
        document.list(vec![hostile.to_owned()]);
        let mut grid = Grid::new(&[hostile]);
        grid.push([hostile.to_owned()]);
        document.table(grid);
        let page = html(&document);
        assert!(!page.contains("<script>") && !page.contains('\u{202e}'));
        let shown = "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; &amp; \\u{202e}";
        assert_eq!(page.matches(shown).count(), 7);
    }
}
