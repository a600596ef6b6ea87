//! What the demo writes on: text of one width, SQL laid out by its clauses, bold and colour on a terminal only.

use std::io::{self, IsTerminal, Write};

use crate::cli::Failure;
use crate::session::Session;

/// Columns of text on the page.
const WIDTH: usize = 96;

/// What the demo writes on: bold and dim on a terminal, plain text elsewhere.
pub(super) struct Page {
    out: Box<dyn Write + Send>,
    styled: bool,
}

impl Page {
    pub(super) fn on_standard_output() -> Self {
        let out = io::stdout();
        let styled = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { out: Box::new(out), styled }
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> (Self, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
        struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = std::sync::Arc::default();
        (Self { out: Box::new(Shared(std::sync::Arc::clone(&written))), styled: false }, written)
    }

    fn put(&mut self, style: &str, text: &str) -> Result<(), Failure> {
        match (self.styled, style) {
            (false, _) | (_, "") => writeln!(self.out, "{text}")?,
            (true, style) => writeln!(self.out, "\x1b[{style}m{text}\x1b[0m")?,
        }
        Ok(())
    }

    pub(super) fn gap(&mut self) -> Result<(), Failure> {
        self.put("", "")
    }

    pub(super) fn title(&mut self, text: &str) -> Result<(), Failure> {
        self.put("1", text)?;
        self.put("", &"=".repeat(text.chars().count()))?;
        self.gap()
    }

    pub(super) fn heading(&mut self, text: &str) -> Result<(), Failure> {
        self.gap()?;
        self.put("1;36", text)?;
        self.put("36", &"-".repeat(text.chars().count()))
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        for line in wrapped(text, WIDTH) {
            self.put("", &line)?;
        }
        self.gap()
    }

    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        for (place, line) in wrapped(text, WIDTH - 4).iter().enumerate() {
            self.put("", &format!("{}{line}", if place == 0 { "  " } else { "    " }))?;
        }
        Ok(())
    }

    pub(super) fn strong(&mut self, text: &str) -> Result<(), Failure> {
        for line in wrapped(text, WIDTH - 2) {
            self.put("1;33", &format!("  {line}"))?;
        }
        Ok(())
    }

    pub(super) fn asks(&mut self, session: &Session) -> Result<(), Failure> {
        let Session { user, organisation, role, purpose, .. } = session;
        self.put("2", &format!("  as {user}@{organisation}/{role}, for {purpose}"))
    }

    pub(super) fn code(&mut self, text: &str) -> Result<(), Failure> {
        self.block("32", text)?;
        self.gap()
    }

    pub(super) fn block(&mut self, style: &str, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.put(style, &format!("  {line}")))
    }

    pub(super) fn sent(&mut self, agency: &str, sql: &str) -> Result<(), Failure> {
        self.put("1", &format!("  {agency}"))?;
        for line in laid_out(sql, WIDTH - 4) {
            self.put("2", &format!("    {line}"))?;
        }
        Ok(())
    }
}

/// SQL with a line a clause and a conjunct, indented by the SELECT that it belongs to. Only blanks change.
fn laid_out(sql: &str, width: usize) -> Vec<String> {
    const CLAUSES: [&str; 12] =
        ["FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "UNION", "HAVING", "LEFT", "INNER", "CROSS", "JOIN", "AND"];
    // The depths in parentheses at which the SELECTs around the current word began.
    let mut selects = vec![0];
    let mut depth = 0_usize;
    let mut before = "";
    let mut lines: Vec<(usize, String)> = vec![(0, String::new())];
    for word in words(sql) {
        let bare = word.trim_start_matches('(');
        let opened = word.len() - bare.len();
        if bare == "SELECT" && opened > 0 {
            selects.push(depth + opened);
            lines.push((2 * (selects.len() - 1), String::new()));
        } else if CLAUSES.contains(&word)
            && selects.last() == Some(&depth)
            && !(word == "JOIN" && ["LEFT", "INNER", "CROSS"].contains(&before))
        {
            let within = if word == "AND" { 2 } else { 0 };
            lines.push((2 * (selects.len() - 1) + within, String::new()));
        }
        if let Some((_, line)) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        depth = depth_after(word, depth);
        while selects.len() > 1 && selects.last().is_some_and(|select| depth < *select) {
            selects.pop();
        }
        before = word;
    }
    let mut indented = Vec::new();
    for (indent, line) in lines {
        for (place, part) in wrapped(&line, width.saturating_sub(indent + 4).max(40)).iter().enumerate() {
            let indent = if place == 0 { indent } else { indent + 4 };
            indented.push(format!("{:indent$}{part}", ""));
        }
    }
    indented
}

/// The depth in parentheses after a word; those inside quotes are text.
fn depth_after(word: &str, depth: usize) -> usize {
    let mut quote = None;
    word.chars().fold(depth, |depth, character| match (quote, character) {
        (Some(open), _) => {
            if character == open {
                quote = None;
            }
            depth
        }
        (None, '\'' | '"') => {
            quote = Some(character);
            depth
        }
        (None, '(') => depth + 1,
        (None, ')') => depth.saturating_sub(1),
        (None, _) => depth,
    })
}

/// Breaks a text at blanks so that no line is longer than `width` where it can be helped. Blanks inside SQL's quotes are
/// kept as they are.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in words(paragraph) {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The parts of a text between blanks that stand outside single and double quotes. An apostrophe inside a word of prose
/// opens no quote: SQL never has a quote right after a letter that is followed by another.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote, mut before) = (0, None, ' ');
    for (place, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') && !before.is_alphanumeric() => quote = Some(character),
            None if character == ' ' => {
                words.push(text.get(start..place).unwrap_or_default());
                start = place + 1;
            }
            None => {}
        }
        before = character;
    }
    words.push(text.get(start..).unwrap_or_default());
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_outside_quotes_only() {
        let sql = "SELECT \"full name\" FROM t WHERE nhs_number = '999 201 9441' AND x = 1";
        assert_eq!(wrapped(sql, 24), ["SELECT \"full name\" FROM", "t WHERE nhs_number =", "'999 201 9441' AND x = 1"]);
        assert_eq!(wrapped(sql, 24).join(" "), sql);
        assert_eq!(wrapped("the agency's own index serves it", 20), ["the agency's own", "index serves it"]);
        assert_eq!(wrapped("one\n\ntwo", 20), ["one", "", "two"]);
    }

    #[test]
    fn sql_is_laid_out_by_clause_and_stays_the_same_sql() {
        let sql = "SELECT \"t1\".\"c1\" AS \"c1\" FROM (SELECT \"b\".\"name\" AS \"c1\" FROM \"main\".\"patients\" AS \"b\" \
                   WHERE (\"b\".\"x\" = ') AND FROM (' AND \"b\".\"y\" = 1) AND NOT EXISTS (SELECT 1 FROM \"main\".\"consents\" \
                   AS \"p1\" WHERE (\"p1\".\"z\" = 2)) AND (\"b\".\"w\" = 3)) AS \"t1\" LEFT JOIN \"u\" ON (1 = 1)";
        let lines = laid_out(sql, 90);
        assert_eq!(
            lines,
            [
                "SELECT \"t1\".\"c1\" AS \"c1\"",
                "FROM",
                "  (SELECT \"b\".\"name\" AS \"c1\"",
                "  FROM \"main\".\"patients\" AS \"b\"",
                "  WHERE (\"b\".\"x\" = ') AND FROM (' AND \"b\".\"y\" = 1)",
                "    AND NOT EXISTS",
                "    (SELECT 1",
                "    FROM \"main\".\"consents\" AS \"p1\"",
                "    WHERE (\"p1\".\"z\" = 2))",
                "    AND (\"b\".\"w\" = 3)) AS \"t1\"",
                "LEFT JOIN \"u\" ON (1 = 1)",
            ]
        );
        assert_eq!(lines.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join(" "), sql);
    }
}
