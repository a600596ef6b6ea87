//! The head of an EXPLAIN statement: `EXPLAIN [ANALYZE] [VERBOSE] [FORMAT name]` or PostgreSQL's `EXPLAIN (option, …)`.
//!
//! DataFusion's parser knows formats of its own only, so the head is read here, and the parser gets the query with blanks in
//! the head's place: whatever it finds wrong keeps its line and column.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use crate::error::Error;

/// How a plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExplainFormat {
    /// A tree of words for people.
    #[default]
    Text,
    /// One JSON object, see [`Explanation`](super::Explanation).
    Json,
}

/// Whether the query is run to measure it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Run {
    #[default]
    Planned,
    /// It is run like any query, and its rows are thrown away.
    Analyzed,
}

/// Whether measured times are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    #[default]
    Shown,
    Hidden,
}

/// What an EXPLAIN asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub run: Run,
    pub format: ExplainFormat,
    pub timing: Timing,
    /// The SQL with blanks in the place of the head.
    pub query: String,
}

impl Request {
    /// Reads the head of `sql`; `None` where it is no EXPLAIN.
    ///
    /// # Errors
    /// [`Error::Syntax`] for an option, format or value that EXPLAIN does not know.
    pub fn parse(sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<Self>, Error> {
        let mut head = Head { tokens: tokens.iter().filter(|token| !is_blank(token)).collect(), next: 0 };
        if !head.takes(Keyword::EXPLAIN) {
            return Ok(None);
        }
        let mut request =
            Self { run: Run::Planned, format: ExplainFormat::Text, timing: Timing::Shown, query: String::new() };
        if head.opens_options() {
            request.options(&mut head)?;
        } else {
            request.keywords(&mut head)?;
        }
        let end = head.peek().map_or(sql.len(), |token| offset(sql, token.span.start));
        let (before, query) = sql.split_at_checked(end).unwrap_or((sql, ""));
        request.query = before.chars().map(|c| if c == '\n' { c } else { ' ' }).chain(query.chars()).collect();
        Ok(Some(request))
    }

    /// `ANALYZE VERBOSE FORMAT JSON`, in any order.
    fn keywords(&mut self, head: &mut Head<'_>) -> Result<(), Error> {
        loop {
            if head.takes(Keyword::ANALYZE) || head.takes_word("analyse") {
                self.run = Run::Analyzed;
            } else if head.takes(Keyword::FORMAT) {
                self.format = format(&head.value().unwrap_or_default())?;
            } else if !head.takes(Keyword::VERBOSE) {
                return Ok(());
            }
        }
    }

    /// `(ANALYZE, TIMING off, FORMAT json)`.
    fn options(&mut self, head: &mut Head<'_>) -> Result<(), Error> {
        head.next += 1;
        loop {
            let name = head.value().unwrap_or_default().to_ascii_lowercase();
            match name.as_str() {
                "analyze" | "analyse" => self.run = if head.switch(&name)? { Run::Analyzed } else { Run::Planned },
                "timing" => self.timing = if head.switch(&name)? { Timing::Shown } else { Timing::Hidden },
                // Everything is told already.
                "verbose" => {
                    head.switch(&name)?;
                }
                "format" => self.format = format(&head.value().unwrap_or_default())?,
                _ => {
                    return Err(wrong(format!(
                        "EXPLAIN has no option `{name}`: analyze, verbose, timing and format are"
                    )));
                }
            }
            match head.peek().map(|token| &token.token) {
                Some(Token::Comma) => head.next += 1,
                Some(Token::RParen) => {
                    head.next += 1;
                    return Ok(());
                }
                _ => return Err(wrong(format!("`)` or `,` is missing after option `{name}` of EXPLAIN"))),
            }
        }
    }
}

fn wrong(message: String) -> Error {
    Error::Syntax { message }
}

fn format(name: &str) -> Result<ExplainFormat, Error> {
    match name.to_ascii_lowercase().as_str() {
        // The first is PostgreSQL's, the others are DataFusion's names for what is one to us.
        "text" | "tree" | "indent" => Ok(ExplainFormat::Text),
        "json" => Ok(ExplainFormat::Json),
        other => Err(wrong(format!("EXPLAIN has no format `{other}`: text and json are"))),
    }
}

fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// Where in the text a place counted in lines and characters is.
fn offset(sql: &str, place: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (offset, character) in sql.char_indices() {
        if (line, column) == (place.line, place.column) {
            return offset;
        }
        if character == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    sql.len()
}

struct Head<'a> {
    tokens: Vec<&'a TokenWithSpan>,
    next: usize,
}

impl Head<'_> {
    fn peek(&self) -> Option<&TokenWithSpan> {
        self.tokens.get(self.next).copied()
    }

    fn word(&self) -> Option<&Word> {
        match &self.peek()?.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word),
            _ => None,
        }
    }

    fn takes(&mut self, keyword: Keyword) -> bool {
        let taken = self.word().is_some_and(|word| word.keyword == keyword);
        self.next += usize::from(taken);
        taken
    }

    fn takes_word(&mut self, text: &str) -> bool {
        let taken = self.word().is_some_and(|word| word.value.eq_ignore_ascii_case(text));
        self.next += usize::from(taken);
        taken
    }

    /// A word, text or number.
    fn value(&mut self) -> Option<String> {
        let value = match &self.peek()?.token {
            Token::Word(word) => word.value.clone(),
            Token::SingleQuotedString(text) | Token::Number(text, _) => text.clone(),
            _ => return None,
        };
        self.next += 1;
        Some(value)
    }

    /// Whether an option is on: it is where nothing more is said.
    fn switch(&mut self, name: &str) -> Result<bool, Error> {
        let Some(value) = self.value() else { return Ok(true) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(wrong(format!("option `{name}` of EXPLAIN is on or off"))),
        }
    }

    /// Whether options in parentheses follow, and not a query in parentheses.
    fn opens_options(&self) -> bool {
        let query = [Keyword::SELECT, Keyword::WITH, Keyword::VALUES, Keyword::TABLE, Keyword::FROM];
        match (self.peek().map(|token| &token.token), self.tokens.get(self.next + 1).map(|token| &token.token)) {
            (Some(Token::LParen), Some(Token::Word(word))) => !query.contains(&word.keyword),
            (Some(Token::LParen), Some(Token::LParen)) | (_, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn parse(sql: &str) -> Result<Option<Request>, Error> {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        Request::parse(sql, &tokens)
    }

    fn asked(sql: &str) -> (Run, ExplainFormat, Timing, String) {
        let request = parse(sql).unwrap().unwrap();
        assert_eq!(request.query.chars().count(), sql.chars().count());
        (request.run, request.format, request.timing, request.query.trim().to_owned())
    }

    #[test]
    fn heads_of_both_forms_are_read() {
        let select = |run, format, timing| (run, format, timing, "SELECT 1".to_owned());
        let plain = select(Run::Planned, ExplainFormat::Text, Timing::Shown);
        for sql in [
            "EXPLAIN SELECT 1",
            "explain verbose SELECT 1",
            "/* é */ EXPLAIN -- x\n FORMAT text SELECT 1",
            "EXPLAIN (VERBOSE, ANALYZE off) SELECT 1",
        ] {
            assert_eq!(asked(sql), plain, "{sql}");
        }
        let json = select(Run::Analyzed, ExplainFormat::Json, Timing::Shown);
        for sql in [
            "EXPLAIN ANALYZE FORMAT JSON SELECT 1",
            "EXPLAIN ANALYSE VERBOSE FORMAT 'json' SELECT 1",
            "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1",
            "EXPLAIN (FORMAT json, ANALYZE true) SELECT 1",
        ] {
            assert_eq!(asked(sql), json, "{sql}");
        }
        let quiet = select(Run::Analyzed, ExplainFormat::Text, Timing::Hidden);
        assert_eq!(asked("EXPLAIN (ANALYZE 1, TIMING OFF) SELECT 1"), quiet);
    }

    #[test]
    fn a_query_in_parentheses_is_no_list_of_options() {
        for sql in ["EXPLAIN (SELECT 1)", "EXPLAIN ((SELECT 1))", "EXPLAIN (WITH x AS (SELECT 1) TABLE x)"] {
            assert!(asked(sql).3.starts_with('('), "{sql}");
        }
    }

    #[test]
    fn what_follows_keeps_its_place() {
        let request = parse("EXPLAIN\n (ANALYZE)\n  SELECT é").unwrap().unwrap();
        assert_eq!(request.query, "       \n          \n  SELECT é");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (sql, message) in [
            ("EXPLAIN (COSTS) SELECT 1", "EXPLAIN has no option `costs`: analyze, verbose, timing and format are"),
            ("EXPLAIN (FORMAT xml) SELECT 1", "EXPLAIN has no format `xml`: text and json are"),
            ("EXPLAIN FORMAT graphviz SELECT 1", "EXPLAIN has no format `graphviz`: text and json are"),
            ("EXPLAIN (ANALYZE maybe) SELECT 1", "option `analyze` of EXPLAIN is on or off"),
            ("EXPLAIN (ANALYZE SELECT 1", "option `analyze` of EXPLAIN is on or off"),
            ("EXPLAIN (ANALYZE", "`)` or `,` is missing after option `analyze` of EXPLAIN"),
        ] {
            assert_eq!(parse(sql).unwrap_err().to_string(), message, "{sql}");
        }
    }

    #[test]
    fn other_statements_are_left_alone() {
        for sql in ["SELECT 1", "", "\"EXPLAIN\" SELECT 1", "SHOW TABLES"] {
            assert_eq!(parse(sql).unwrap(), None, "{sql}");
        }
    }
}
