//! A batch of T-SQL into statements. Those of T-SQL alone are read here, the others by sqlparser.

use std::time::Duration;

use sqlparser::ast::{DataType, Expr, Query, Statement as Parsed};
use sqlparser::dialect::MsSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::SqlError;
use crate::options::Version;
use crate::validator;

#[derive(Clone, Debug)]
pub enum Statement {
    Parsed(Box<Parsed>),
    /// SET of an option that changes nothing here.
    Set,
    SetImplicitTransactions(bool),
    SetIsolation(Isolation),
    SetLockTimeout(i64),
    SetNoCount(bool),
    SetFormatOnly(bool),
    Declare(Vec<(String, DataType, Option<Expr>)>),
    Assign(String, Expr),
    BeginTransaction,
    Commit,
    Rollback,
    Use(String),
    Print(Expr),
    WaitFor(Duration),
    If {
        condition: Expr,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    Raise {
        number: i32,
        class: u8,
        state: u8,
        message: Expr,
    },
    Execute {
        procedure: String,
        arguments: Vec<(Option<String>, Expr)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Snapshot,
    Serializable,
}

/// Options of SET that take ON or OFF and that drivers send.
const SWITCHES: &[&str] = &[
    "ANSI_DEFAULTS",
    "ANSI_NULL_DFLT_OFF",
    "ANSI_NULL_DFLT_ON",
    "ANSI_NULLS",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ARITHABORT",
    "ARITHIGNORE",
    "CONCAT_NULL_YIELDS_NULL",
    "CURSOR_CLOSE_ON_COMMIT",
    "NOEXEC",
    "NUMERIC_ROUNDABORT",
    "PARSEONLY",
    "QUOTED_IDENTIFIER",
    "REMOTE_PROC_TRANSACTIONS",
    "XACT_ABORT",
    "FORCEPLAN",
];
const SETTINGS: &[&str] =
    &["TEXTSIZE", "ROWCOUNT", "DATEFIRST", "DATEFORMAT", "LANGUAGE", "DEADLOCK_PRIORITY", "QUERY_GOVERNOR_COST_LIMIT"];

pub fn parse(text: &str, version: Version) -> Result<Vec<Statement>, SqlError> {
    let dialect = MsSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
        SqlError::new(105, 15, 1, format!("Unclosed quotation mark or unreadable text: {}", error.message))
    })?;
    validator::check_tokens(text, &tokens, version)?;
    let mut parser = Parser::new(&dialect).with_recursion_limit(400).with_tokens_with_locations(tokens);
    let mut reader = BatchReader { parser: &mut parser };
    let mut statements = Vec::new();
    loop {
        while reader.parser.consume_token(&Token::SemiColon) {}
        if reader.parser.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        statements.push(reader.statement()?);
    }
}

/// The text of a view.
pub fn parse_query(text: &str) -> Result<Query, SqlError> {
    match parse(text, Version::Sql2025)?.pop() {
        Some(Statement::Parsed(parsed)) => match *parsed {
            Parsed::Query(query) => Ok(*query),
            other => Err(SqlError::syntax(other)),
        },
        _ => Err(SqlError::syntax(text)),
    }
}

/// `@a int, @b nvarchar(20) OUTPUT`
pub fn parse_declarations(text: &str) -> Result<Vec<(String, DataType)>, SqlError> {
    let dialect = MsSqlDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(syntax)?;
    let mut declared = Vec::new();
    while parser.peek_token_ref().token != Token::EOF {
        let name = parser.parse_identifier().map_err(syntax)?.value;
        let _as = parser.parse_keyword(sqlparser::keywords::Keyword::AS);
        let data_type = parser.parse_data_type().map_err(syntax)?;
        let reader = BatchReader { parser: &mut parser };
        if reader.word().is_some_and(|word| matches!(word.as_str(), "OUTPUT" | "OUT" | "READONLY")) {
            reader.parser.advance_token();
        }
        declared.push((name, data_type));
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    Ok(declared)
}

fn syntax(error: ParserError) -> SqlError {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return SqlError::new(
                191,
                15,
                1,
                "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.",
            );
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    // "Expected: …, found: word at Line: 1, Column: 8"
    let near = text.split_once("found: ").map_or(text.as_str(), |(_, found)| found);
    let near = near.split_once(" at Line").map_or(near, |(word, _)| word);
    SqlError::syntax(near)
}

struct BatchReader<'a, 'p> {
    parser: &'a mut Parser<'p>,
}

impl BatchReader<'_, '_> {
    /// The next token in capitals, where it is a word without quotes.
    fn word(&self) -> Option<String> {
        match &self.parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            _ => None,
        }
    }

    fn take(&mut self, expected: &[&str]) -> bool {
        let found = self.word().is_some_and(|word| expected.contains(&word.as_str()));
        if found {
            self.parser.advance_token();
        }
        found
    }

    fn expect(&mut self, expected: &str) -> Result<(), SqlError> {
        if self.take(&[expected]) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> SqlError {
        SqlError::syntax(&self.parser.peek_token_ref().token)
    }

    fn next_word(&mut self) -> Result<String, SqlError> {
        let word = self.word().ok_or_else(|| self.unexpected())?;
        self.parser.advance_token();
        Ok(word)
    }

    fn expr(&mut self) -> Result<Expr, SqlError> {
        self.parser.parse_expr().map_err(syntax)
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        let Some(word) = self.word() else {
            return self.parsed();
        };
        match word.as_str() {
            "SET" => {
                self.parser.advance_token();
                self.set()
            }
            "DECLARE" => {
                self.parser.advance_token();
                self.declare()
            }
            "BEGIN" => {
                self.parser.advance_token();
                if self.take(&["TRAN", "TRANSACTION"]) {
                    self.transaction_name();
                    return Ok(Statement::BeginTransaction);
                }
                Err(crate::binder::not_run("BEGIN … END"))
            }
            "COMMIT" | "ROLLBACK" => {
                self.parser.advance_token();
                if self.take(&["TRAN", "TRANSACTION"]) {
                    self.transaction_name();
                } else {
                    self.take(&["WORK"]);
                }
                Ok(if word == "COMMIT" { Statement::Commit } else { Statement::Rollback })
            }
            "USE" => {
                self.parser.advance_token();
                Ok(Statement::Use(self.parser.parse_identifier().map_err(syntax)?.value))
            }
            "PRINT" => {
                self.parser.advance_token();
                Ok(Statement::Print(self.expr()?))
            }
            "WAITFOR" => {
                self.parser.advance_token();
                self.expect("DELAY")?;
                match self.parser.next_token().token {
                    Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => {
                        let read = crate::calendar::parse(&text).ok_or_else(|| {
                            SqlError::new(148, 15, 1, "Incorrect time syntax in time string used with WAITFOR.")
                        })?;
                        Ok(Statement::WaitFor(Duration::from_micros(u64::try_from(read.ticks / 10).unwrap_or(0))))
                    }
                    other => Err(SqlError::syntax(other)),
                }
            }
            "IF" => {
                self.parser.advance_token();
                let condition = self.expr()?;
                let then = vec![self.statement()?];
                while self.parser.peek_token_ref().token == Token::SemiColon && self.else_follows() {
                    self.parser.advance_token();
                }
                let otherwise = if self.take(&["ELSE"]) { vec![self.statement()?] } else { Vec::new() };
                Ok(Statement::If { condition, then, otherwise })
            }
            "RAISERROR" => {
                self.parser.advance_token();
                self.raise_error()
            }
            "THROW" => {
                self.parser.advance_token();
                let number = self.integer()?;
                self.parser.expect_token(&Token::Comma).map_err(syntax)?;
                let message = self.expr()?;
                self.parser.expect_token(&Token::Comma).map_err(syntax)?;
                let state = self.integer()?;
                Ok(Statement::Raise { number, class: 16, state: u8::try_from(state).unwrap_or(1), message })
            }
            "EXEC" | "EXECUTE" => {
                self.parser.advance_token();
                self.execute()
            }
            "SELECT" | "WITH" | "INSERT" | "CREATE" | "DROP" | "DELETE" | "TRUNCATE" | "UPDATE" | "ALTER" => {
                self.parsed()
            }
            _ => Err(SqlError::syntax(word)),
        }
    }

    fn parsed(&mut self) -> Result<Statement, SqlError> {
        let starts_with_parenthesis = self.parser.peek_token_ref().token == Token::LParen;
        if self.word().is_none() && !starts_with_parenthesis {
            return Err(self.unexpected());
        }
        let statement = self.parser.parse_statement().map_err(syntax)?;
        Ok(Statement::Parsed(Box::new(statement)))
    }

    fn else_follows(&self) -> bool {
        matches!(&self.parser.peek_nth_token_ref(1).token, Token::Word(word) if word.value.eq_ignore_ascii_case("ELSE"))
    }

    fn transaction_name(&mut self) {
        const STARTS: &[&str] = &[
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "SET",
            "EXEC",
            "EXECUTE",
            "IF",
            "CREATE",
            "DROP",
            "COMMIT",
            "ROLLBACK",
            "BEGIN",
            "WITH",
            "DECLARE",
            "PRINT",
            "WAITFOR",
            "USE",
            "ELSE",
            "RAISERROR",
            "THROW",
            "TRUNCATE",
        ];
        if self.word().is_some_and(|word| !STARTS.contains(&word.as_str())) {
            self.parser.advance_token();
        }
    }

    fn integer(&mut self) -> Result<i32, SqlError> {
        let negative = self.parser.consume_token(&Token::Minus);
        match self.parser.next_token().token {
            Token::Number(digits, false) => {
                let number: i32 = digits.parse().map_err(|_| SqlError::syntax(&digits))?;
                Ok(if negative { -number } else { number })
            }
            other => Err(SqlError::syntax(other)),
        }
    }

    fn switch(&mut self) -> Result<bool, SqlError> {
        match self.next_word()?.as_str() {
            "ON" => Ok(true),
            "OFF" => Ok(false),
            other => Err(SqlError::syntax(other)),
        }
    }

    fn set(&mut self) -> Result<Statement, SqlError> {
        let word = self.next_word()?;
        if word.starts_with('@') {
            self.parser.expect_token(&Token::Eq).map_err(syntax)?;
            return Ok(Statement::Assign(word, self.expr()?));
        }
        match word.as_str() {
            "TRANSACTION" => {
                self.expect("ISOLATION")?;
                self.expect("LEVEL")?;
                let isolation = match self.next_word()?.as_str() {
                    "SNAPSHOT" => Isolation::Snapshot,
                    "SERIALIZABLE" => Isolation::Serializable,
                    "REPEATABLE" => {
                        self.expect("READ")?;
                        Isolation::RepeatableRead
                    }
                    "READ" => match self.next_word()?.as_str() {
                        "COMMITTED" => Isolation::ReadCommitted,
                        "UNCOMMITTED" => Isolation::ReadUncommitted,
                        other => return Err(SqlError::syntax(other)),
                    },
                    other => return Err(SqlError::syntax(other)),
                };
                Ok(Statement::SetIsolation(isolation))
            }
            "IMPLICIT_TRANSACTIONS" => Ok(Statement::SetImplicitTransactions(self.switch()?)),
            "NOCOUNT" => Ok(Statement::SetNoCount(self.switch()?)),
            "FMTONLY" => Ok(Statement::SetFormatOnly(self.switch()?)),
            "LOCK_TIMEOUT" => Ok(Statement::SetLockTimeout(i64::from(self.integer()?))),
            "STATISTICS" => {
                self.next_word()?;
                self.switch()?;
                Ok(Statement::Set)
            }
            setting if SETTINGS.contains(&setting) => {
                let _sign = self.parser.consume_token(&Token::Minus);
                self.parser.advance_token();
                Ok(Statement::Set)
            }
            switch if SWITCHES.contains(&switch) => {
                while self.parser.consume_token(&Token::Comma) {
                    let another = self.next_word()?;
                    if !SWITCHES.contains(&another.as_str()) {
                        return Err(unknown_option(&another));
                    }
                }
                self.switch()?;
                Ok(Statement::Set)
            }
            other => Err(unknown_option(other)),
        }
    }

    fn declare(&mut self) -> Result<Statement, SqlError> {
        let mut declared = Vec::new();
        loop {
            let name = self.parser.parse_identifier().map_err(syntax)?.value;
            if !name.starts_with('@') {
                return Err(SqlError::syntax(name));
            }
            self.take(&["AS"]);
            let data_type = self.parser.parse_data_type().map_err(syntax)?;
            let value = if self.parser.consume_token(&Token::Eq) { Some(self.expr()?) } else { None };
            declared.push((name, data_type, value));
            if !self.parser.consume_token(&Token::Comma) {
                return Ok(Statement::Declare(declared));
            }
        }
    }

    fn raise_error(&mut self) -> Result<Statement, SqlError> {
        self.parser.expect_token(&Token::LParen).map_err(syntax)?;
        let message = self.expr()?;
        self.parser.expect_token(&Token::Comma).map_err(syntax)?;
        let class = self.integer()?;
        self.parser.expect_token(&Token::Comma).map_err(syntax)?;
        let state = self.integer()?;
        self.parser.expect_token(&Token::RParen).map_err(syntax)?;
        if self.take(&["WITH"]) {
            self.next_word()?;
        }
        Ok(Statement::Raise {
            number: 50000,
            class: u8::try_from(class).unwrap_or(16),
            state: u8::try_from(state).unwrap_or(1),
            message,
        })
    }

    fn execute(&mut self) -> Result<Statement, SqlError> {
        let procedure = self.parser.parse_object_name(false).map_err(syntax)?;
        let mut arguments = Vec::new();
        loop {
            match &self.parser.peek_token_ref().token {
                Token::EOF | Token::SemiColon => break,
                _ => {}
            }
            let named = match (&self.parser.peek_token_ref().token, &self.parser.peek_nth_token_ref(1).token) {
                (Token::Word(word), Token::Eq) => Some(word.value.clone()),
                _ => None,
            };
            if named.is_some() {
                self.parser.advance_token();
                self.parser.advance_token();
            }
            arguments.push((named, self.expr()?));
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        let procedure =
            procedure.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()).unwrap_or_default();
        Ok(Statement::Execute { procedure, arguments })
    }
}

fn unknown_option(name: &str) -> SqlError {
    SqlError::new(195, 15, 5, format!("'{name}' is not a recognized SET option."))
}
