//! What is wrong with a batch before any name in it is looked up: signs and words that SQL Server's own parser refuses.
//!
//! The rest of the refusals need names and types and are made where those are known, in `binder`.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::SqlError;
use crate::options::Version;

/// The tokens of a batch.
///
/// # Errors
/// 102 for the first that T-SQL does not have.
pub fn check_tokens(text: &str, tokens: &[TokenWithSpan], version: Version) -> Result<(), SqlError> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut previous: Option<&Token> = None;
    for token in tokens {
        let refused = match &token.token {
            Token::EOF
            | Token::Word(_)
            | Token::Number(_, false)
            | Token::SingleQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::Comma
            | Token::Whitespace(_)
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::LParen
            | Token::RParen
            | Token::Period
            | Token::SemiColon
            | Token::Ampersand
            | Token::Pipe
            | Token::Caret
            | Token::Tilde => word_is_refused(previous, &token.token),
            // X'AB' of other dialects has the same token.
            Token::HexStringLiteral(_) => !starts_with_zero_x(&lines, token),
            Token::StringConcat => version < Version::Sql2025,
            _ => true,
        };
        if refused {
            return Err(SqlError::syntax(shown(&token.token)));
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            previous = Some(&token.token);
        }
    }
    Ok(())
}

fn starts_with_zero_x(lines: &[&str], token: &TokenWithSpan) -> bool {
    let start = token.span.start;
    let line = usize::try_from(start.line).ok().and_then(|line| lines.get(line.saturating_sub(1)));
    let column = usize::try_from(start.column).unwrap_or(0).saturating_sub(1);
    line.is_some_and(|line| line.chars().nth(column) == Some('0'))
}

/// Words that would pass as names or aliases in sqlparser's eyes, in the one place where they mean something else.
fn word_is_refused(previous: Option<&Token>, token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    if word.quote_style.is_some() {
        return word.quote_style == Some('`');
    }
    let upper = word.value.to_ascii_uppercase();
    match upper.as_str() {
        // `= TRUE`, `IS TRUE`: TRUE is a name like any other in T-SQL, and no column is called so without brackets here.
        "TRUE" | "FALSE" => true,
        "LIMIT" | "ILIKE" | "QUALIFY" | "RLIKE" | "REGEXP" => !matches!(previous, Some(Token::Period)),
        _ => false,
    }
}

fn shown(token: &Token) -> String {
    token.to_string()
}
