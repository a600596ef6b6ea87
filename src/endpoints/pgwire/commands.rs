//! What a statement asks of the endpoint itself: settings, and the transactions that clients begin out of habit.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// A statement, by who answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Empty,
    /// For the engine.
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
    /// One row of one text: what clients ask of any server before they begin.
    Constant {
        column: &'static str,
        of: Constant,
    },
}

/// What there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    Version,
    Database,
    Schema,
    User,
}

const CONSTANTS: [(&str, &str, Constant); 5] = [
    ("version()", "version", Constant::Version),
    ("current_database()", "current_database", Constant::Database),
    ("current_schema()", "current_schema", Constant::Schema),
    ("current_user", "current_user", Constant::User),
    ("session_user", "session_user", Constant::User),
];

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
            "ROLLBACK" | "ABORT" => Self::End("ROLLBACK"),
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
            "SELECT" => Self::constant(rest(1)).unwrap_or(Self::Query),
            _ => Self::Query,
        }
    }

    /// `SET [SESSION | LOCAL] name {= | TO} value`, and the two that have a grammar of their own.
    fn set(tokens: &[Token]) -> Option<Self> {
        let is = |at: usize, expected: &str| matches!(tokens.get(at), Some(Token::Word(word)) if word.value.eq_ignore_ascii_case(expected));
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

    fn constant(tokens: &[Token]) -> Option<Self> {
        let written: String = tokens.iter().map(ToString::to_string).collect::<String>().to_ascii_lowercase();
        let asked = written.strip_prefix("pg_catalog.").unwrap_or(&written);
        let (_, column, of) = CONSTANTS.iter().find(|(text, ..)| *text == asked)?;
        Some(Self::Constant { column, of: *of })
    }
}

fn is_to(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("to"))
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
    fn everything_else_is_the_engines() {
        for sql in ["SELECT 1", "SELECT version(), 1", "SHOW TABLES", "DELETE FROM t", "SELECT 'unclosed", "SET"] {
            assert_eq!(Command::of(sql), Command::Query, "{sql}");
        }
        assert_eq!(Command::of(" -- nothing\n;"), Command::Empty);
        assert!(matches!(Command::of("select pg_catalog.version()"), Command::Constant { of: Constant::Version, .. }));
        assert_eq!(Command::of("BEGIN; "), Command::Begin);
        assert_eq!(Command::of("DEALLOCATE ALL"), Command::Deallocate(None));
    }
}
