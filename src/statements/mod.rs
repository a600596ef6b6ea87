//! SQL as text: its statements, cut at `;`, and the places of its parameters; everything else as it was written.

mod size;

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

pub use size::{check_chains, check_relations};

/// SQL text cut at its semicolons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statements {
    /// Those that end with a semicolon, without it.
    pub complete: Vec<String>,
    /// What follows the last semicolon, where it is more than blanks and comments.
    pub rest: Option<String>,
}

impl Statements {
    /// Cuts at each `;` that is no part of a text, a quoted name, a dollar-quoted text or a comment.
    pub fn split(sql: &str) -> Self {
        let mut tokens = Vec::new();
        // A text or comment that is still open ends the tokens early: what follows the last `;` is then the rest.
        let whole = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location_into_buf(&mut tokens);
        let lines = line_starts(sql);
        let mut complete = Vec::new();
        let mut start = 0;
        let mut has_words = false;
        for TokenWithSpan { token, span } in &tokens {
            match token {
                Token::Whitespace(_) | Token::EOF => {}
                Token::SemiColon => {
                    let Some(end) = offset(sql, &lines, span.start.line, span.start.column) else { continue };
                    if has_words {
                        complete.extend(sql.get(start..end).map(|text| text.trim().to_owned()));
                    }
                    (start, has_words) = (end + 1, false);
                }
                _ => has_words = true,
            }
        }
        let rest = sql.get(start..).unwrap_or_default().trim();
        let open = whole.is_err() && !rest.is_empty();
        Self { complete, rest: (has_words || open).then(|| rest.to_owned()) }
    }

    /// Every statement, the last one with or without its semicolon.
    pub fn all(self) -> Vec<String> {
        let mut all = self.complete;
        all.extend(self.rest);
        all
    }
}

/// A statement's parameters, `$1` and so on, by where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Number, and bytes in the text, in its order.
    places: Vec<(usize, std::ops::Range<usize>)>,
    /// Those that something is compared with each element of: `= ANY($1)`.
    arrays: BTreeSet<usize>,
}

impl Parameters {
    /// Those of a statement; none where it cannot be read, which whoever plans it will say.
    pub fn of(sql: &str) -> Self {
        let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location() else {
            return Self::default();
        };
        let lines = line_starts(sql);
        let number = |token: &Token| match token {
            Token::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
            _ => None,
        };
        let place = |token: &TokenWithSpan| {
            let Token::Placeholder(name) = &token.token else { return None };
            let number = number(&token.token)?;
            let start = offset(sql, &lines, token.span.start.line, token.span.start.column)?;
            let place = start..start + name.len();
            (sql.get(place.clone()) == Some(name.as_str())).then_some((number, place))
        };
        let words: Vec<&Token> =
            tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_))).collect();
        let quantified = words.windows(4).filter_map(|four| match four {
            [Token::Word(word), Token::LParen, parameter, Token::RParen]
                if matches!(word.keyword, Keyword::ANY | Keyword::ALL | Keyword::SOME) =>
            {
                number(parameter)
            }
            _ => None,
        });
        Self { places: tokens.iter().filter_map(place).collect(), arrays: quantified.collect() }
    }

    /// How many values it takes: the greatest number.
    pub fn count(&self) -> usize {
        self.places.iter().map(|(number, _)| *number).max().unwrap_or(0)
    }

    /// Whether a parameter, by its number, is an array whose elements something is compared with.
    pub fn is_array(&self, number: usize) -> bool {
        self.arrays.contains(&number)
    }

    /// The statement with literals in their places, the first for `$1`; `None` where one is missing.
    pub fn bound(&self, sql: &str, literals: &[String]) -> Option<String> {
        let mut bound = String::with_capacity(sql.len());
        let mut after = 0;
        for (number, place) in &self.places {
            bound.push_str(sql.get(after..place.start)?);
            bound.push_str(literals.get(number.checked_sub(1)?)?);
            after = place.end;
        }
        bound.push_str(sql.get(after..)?);
        Some(bound)
    }
}

/// The text behind the first of these words that is one: no part of a text, a quoted name or a comment.
pub fn text_after<'a>(sql: &'a str, word: &str) -> Option<&'a str> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().ok()?;
    let is_word = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
    let end = tokens.iter().find(is_word)?.span.end;
    sql.get(offset(sql, &line_starts(sql), end.line, end.column)?..)
}

/// Byte offsets at which lines begin.
fn line_starts(sql: &str) -> Vec<usize> {
    std::iter::once(0).chain(sql.match_indices('\n').map(|(position, _)| position + 1)).collect()
}

/// The byte offset of a line and column, both counted from 1, columns in characters.
fn offset(sql: &str, lines: &[usize], line: u64, column: u64) -> Option<usize> {
    let start = *lines.get(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let before = usize::try_from(column).ok()?.checked_sub(1)?;
    let bytes: usize = sql.get(start..)?.chars().take(before).map(char::len_utf8).sum();
    Some(start + bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_bound_where_they_stand_and_nowhere_else() {
        let sql = "SELECT '$1', \"$1\", é -- $1\n FROM t WHERE a = $2 AND b = $$ $1 $$ AND c IN ($10,$1)";
        let parameters = Parameters::of(sql);
        assert_eq!(parameters.count(), 10);
        let literals: Vec<String> = (1..=10).map(|number| format!("<{number}>")).collect();
        assert_eq!(
            parameters.bound(sql, &literals).unwrap(),
            "SELECT '$1', \"$1\", é -- $1\n FROM t WHERE a = <2> AND b = $$ $1 $$ AND c IN (<10>,<1>)"
        );
        assert_eq!(parameters.bound(sql, &literals[..9]), None);
        let quantified = Parameters::of("SELECT a = ANY ( $2 ) OR b <> ALL($1) OR c = ANY($3::text[]) OR d IN ($4)");
        assert_eq!([1, 2, 3, 4].map(|number| quantified.is_array(number)), [true, true, false, false]);
        assert_eq!(Parameters::of("SELECT $0").bound("SELECT $0", &literals), None);
        assert_eq!(Parameters::of("SELECT 1").bound("SELECT 1", &[]).unwrap(), "SELECT 1");
    }

    #[test]
    fn the_text_after_a_word_is_as_it_was_written() {
        let sql = "DECLARE \"for\" CURSOR -- for\n FOR SELECT 'for é' FOR";
        assert_eq!(text_after(sql, "for"), Some(" SELECT 'for é' FOR"));
        assert_eq!(text_after("CLOSE x", "for"), None);
    }

    fn split(sql: &str) -> (Vec<String>, Option<String>) {
        let Statements { complete, rest } = Statements::split(sql);
        (complete, rest)
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn statements_come_out_as_written() {
        let (complete, rest) = split("SELECT 1;\n  SELECT\n\t2 ; select 3");
        assert_eq!(complete, owned(&["SELECT 1", "SELECT\n\t2"]));
        assert_eq!(rest.as_deref(), Some("select 3"));
    }

    #[test]
    fn a_semicolon_inside_a_text_a_name_or_a_comment_does_not_cut() {
        for sql in [
            "SELECT 'a;b'",
            "SELECT 'it''s; so'",
            "SELECT \"a;b\"",
            "SELECT 1 -- ; not here\n + 1",
            "SELECT /* ; /* nested ; */ */ 1",
            "SELECT $$a;b$$",
            "SELECT $t$a;$$;b$t$",
        ] {
            assert_eq!(split(&format!("{sql};")), (owned(&[sql]), None), "{sql}");
        }
    }

    #[test]
    fn characters_of_several_bytes_do_not_shift_the_cut() {
        assert_eq!(split("SELECT 'žluť 日本 👩'; SELECT 2;"), (owned(&["SELECT 'žluť 日本 👩'", "SELECT 2"]), None));
        assert_eq!(split("-- é\nSELECT 'é'; SELECT 2").1.as_deref(), Some("SELECT 2"));
    }

    #[test]
    fn blanks_comments_and_empty_statements_are_no_statements() {
        assert_eq!(split(" ;; -- nothing\n ; /* x */ "), (vec![], None));
        assert_eq!(split(""), (vec![], None));
    }

    #[test]
    fn what_is_still_open_is_the_rest() {
        assert_eq!(split("SELECT 1; SELECT 'open; "), (owned(&["SELECT 1"]), Some("SELECT 'open;".to_owned())));
        assert_eq!(split("/* open ;").1.as_deref(), Some("/* open ;"));
        assert_eq!(split("SELECT \"open;").1.as_deref(), Some("SELECT \"open;"));
    }

    #[test]
    fn all_takes_the_last_statement_without_its_semicolon() {
        assert_eq!(Statements::split("SELECT 1; SELECT 2").all(), owned(&["SELECT 1", "SELECT 2"]));
    }
}
