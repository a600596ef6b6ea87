//! What a statement asks of the endpoint itself: settings, and the transactions that clients begin out of habit.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::statements::text_after;

/// A statement, by who answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Empty,
    /// A question: to agencies, or to the catalogs.
    Query,
    Begin,
    /// COMMIT or ROLLBACK, by its tag.
    End(&'static str),
    Set {
        name: String,
        /// `None` for DEFAULT.
        value: Option<String>,
    },
    Reset(String),
    Show(String),
    DiscardAll,
    Deallocate(Option<String>),
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    Declare(Declaration),
    Fetch {
        cursor: String,
        /// `None` for all.
        most: Option<usize>,
    },
    /// `None` for all.
    CloseCursor(Option<String>),
}

/// `DECLARE cursor CURSOR FOR query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    pub cursor: String,
    pub query: String,
    /// Whether it outlives its transaction.
    pub is_held: bool,
    pub is_binary: bool,
}

impl Command {
    pub fn of(sql: &str) -> Self {
        let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return Self::Query };
        let tokens: Vec<Token> =
            tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::SemiColon)).collect();
        let word = |at: usize| match tokens.get(at) {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
            _ => String::new(),
        };
        let rest = |from: usize| tokens.get(from..).unwrap_or_default();
        let first = word(0);
        match first.as_str() {
            "" if tokens.is_empty() => Self::Empty,
            "BEGIN" | "START" => Self::Begin,
            "COMMIT" | "END" => Self::End("COMMIT"),
            "ROLLBACK" | "ABORT" => match tokens.iter().position(is_to) {
                Some(at) => Self::RollbackTo(last_name(rest(at + 1))),
                None => Self::End("ROLLBACK"),
            },
            "SAVEPOINT" => Self::Savepoint(name(rest(1))),
            "RELEASE" => Self::Release(last_name(rest(1))),
            "DECLARE" => Self::declare(sql, &tokens).unwrap_or(Self::Query),
            "FETCH" => Self::fetch(&tokens).unwrap_or(Self::Query),
            "CLOSE" => Self::CloseCursor((word(1) != "ALL").then(|| name(rest(1)))),
            "SET" => Self::set(&tokens).unwrap_or(Self::Query),
            "RESET" => Self::Reset(name(rest(1))),
            "SHOW" if word(1) == "TRANSACTION" => Self::Show("transaction_isolation".to_owned()),
            "SHOW" if matches!(word(1).as_str(), "TABLES" | "COLUMNS") => Self::Query,
            "SHOW" => Self::Show(name(rest(1))),
            "DISCARD" => Self::DiscardAll,
            "DEALLOCATE" => {
                let after = if word(1) == "PREPARE" { 2 } else { 1 };
                Self::Deallocate((word(after) != "ALL").then(|| name(rest(after))))
            }
            _ => Self::Query,
        }
    }

    /// `DECLARE name [BINARY] [[NO] SCROLL] CURSOR [{WITH | WITHOUT} HOLD] FOR query`
    fn declare(sql: &str, tokens: &[Token]) -> Option<Self> {
        let until = tokens.iter().position(|token| is_word(token, "FOR"))?;
        let options = tokens.get(2..until)?;
        let has = |word: &str| options.iter().any(|token| is_word(token, word));
        has("CURSOR").then_some(())?;
        Some(Self::Declare(Declaration {
            cursor: name(tokens.get(1..2)?),
            query: text_after(sql, "FOR")?.trim().to_owned(),
            is_held: has("HOLD") && !has("WITHOUT"),
            is_binary: has("BINARY"),
        }))
    }

    /// `FETCH [NEXT | ALL | count | FORWARD [ALL | count]] [{FROM | IN}] name`; cursors go nowhere but forward.
    fn fetch(tokens: &[Token]) -> Option<Self> {
        let (cursor, how) = tokens.get(1..)?.split_last()?;
        let mut most = Some(1);
        for token in how {
            match token {
                Token::Number(number, _) => most = Some(number.parse().ok()?),
                token if is_word(token, "ALL") => most = None,
                token if ["NEXT", "FORWARD", "FROM", "IN"].iter().any(|word| is_word(token, word)) => {}
                _ => return None,
            }
        }
        Some(Self::Fetch { cursor: name(std::slice::from_ref(cursor)), most })
    }

    /// `SET [SESSION | LOCAL] name {= | TO} value`, and the two that have a grammar of their own.
    fn set(tokens: &[Token]) -> Option<Self> {
        let is = |at: usize, expected: &str| tokens.get(at).is_some_and(|token| is_word(token, expected));
        let mut at = 1;
        if is(at, "SESSION") && is(at + 1, "CHARACTERISTICS") || is(at, "TRANSACTION") {
            // Every transaction here reads only, and one statement sees one state.
            return Some(Self::Set { name: "transaction".to_owned(), value: None });
        }
        if is(at, "SESSION") || is(at, "LOCAL") {
            at += 1;
        }
        if is(at, "TIME") && is(at + 1, "ZONE") {
            return Some(Self::Set { name: "timezone".to_owned(), value: value(tokens.get(at + 2..)?) });
        }
        if is(at, "NAMES") {
            return Some(Self::Set { name: "client_encoding".to_owned(), value: value(tokens.get(at + 1..)?) });
        }
        let sign = tokens.iter().position(|token| *token == Token::Eq || is_to(token))?;
        Some(Self::Set { name: name(tokens.get(at..sign)?), value: value(tokens.get(sign + 1..)?) })
    }
}

fn is_to(token: &Token) -> bool {
    is_word(token, "TO")
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

/// A name behind `SAVEPOINT`, or without it.
fn last_name(tokens: &[Token]) -> String {
    name(tokens.split_last().map(|(last, _)| std::slice::from_ref(last)).unwrap_or_default())
}

/// A setting's name, in lower case where it is not quoted.
fn name(tokens: &[Token]) -> String {
    let part = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
        other => other.to_string().to_ascii_lowercase(),
    };
    tokens.iter().map(part).collect()
}

/// A setting's value; several words are a list.
fn value(tokens: &[Token]) -> Option<String> {
    if matches!(tokens, [Token::Word(word)] if word.value.eq_ignore_ascii_case("default")) {
        return None;
    }
    let part = |token: &Token| match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
        Token::Word(word) => word.value.clone(),
        other => other.to_string(),
    };
    Some(tokens.iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Command {
        Command::Set { name: name.to_owned(), value: Some(value.to_owned()) }
    }

    #[test]
    fn settings_are_read_in_every_way_of_writing_them() {
        assert_eq!(
            Command::of("SET wayleave.purpose = 'joint-needs-assessment';"),
            set("wayleave.purpose", "joint-needs-assessment")
        );
        assert_eq!(Command::of("set session Wayleave.Reason to 'it''s urgent'"), set("wayleave.reason", "it's urgent"));
        assert_eq!(Command::of("SET extra_float_digits = 3"), set("extra_float_digits", "3"));
        assert_eq!(Command::of("SET search_path TO a, b"), set("search_path", "a,b"));
        assert_eq!(Command::of("SET TIME ZONE 'UTC'"), set("timezone", "UTC"));
        assert_eq!(Command::of("SET x = DEFAULT"), Command::Set { name: "x".to_owned(), value: None });
        assert!(matches!(
            Command::of("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
            Command::Set { name, value: None } if name == "transaction"
        ));
        assert_eq!(Command::of("SHOW wayleave.purpose"), Command::Show("wayleave.purpose".to_owned()));
        assert_eq!(Command::of("RESET ALL"), Command::Reset("all".to_owned()));
    }

    #[test]
    fn cursors_and_savepoints_are_read() {
        let declared = Command::of("DECLARE \"C 1\" NO SCROLL CURSOR WITH HOLD FOR SELECT 'for' FROM t");
        let expected = Declaration {
            cursor: "C 1".to_owned(),
            query: "SELECT 'for' FROM t".to_owned(),
            is_held: true,
            is_binary: false,
        };
        assert_eq!(declared, Command::Declare(expected));
        let fetch = |most: Option<usize>| Command::Fetch { cursor: "c1".to_owned(), most };
        assert_eq!(Command::of("FETCH 100 FROM c1"), fetch(Some(100)));
        assert_eq!(Command::of("fetch forward all from C1"), fetch(None));
        assert_eq!(Command::of("FETCH c1"), fetch(Some(1)));
        assert_eq!(Command::of("FETCH BACKWARD 1 FROM c1"), Command::Query);
        assert_eq!(Command::of("ROLLBACK TO SAVEPOINT a"), Command::RollbackTo("a".to_owned()));
        assert_eq!(Command::of("RELEASE a"), Command::Release("a".to_owned()));
        assert_eq!(Command::of("CLOSE ALL"), Command::CloseCursor(None));
    }

    #[test]
    fn everything_else_is_a_question() {
        for sql in ["SELECT 1", "SELECT version(), 1", "SHOW TABLES", "DELETE FROM t", "SELECT 'unclosed", "SET"] {
            assert_eq!(Command::of(sql), Command::Query, "{sql}");
        }
        assert_eq!(Command::of(" -- nothing\n;"), Command::Empty);
        assert_eq!(Command::of("BEGIN; "), Command::Begin);
        assert_eq!(Command::of("DEALLOCATE ALL"), Command::Deallocate(None));
    }
}
