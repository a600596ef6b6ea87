//! The connector, its texts and its server.

mod dialect;
mod fragments;

use sqlparser::dialect::MsSqlDialect;
use sqlparser::parser::Parser;

/// Another parser's opinion of a statement.
fn parses(sql: &str) {
    if let Err(error) = Parser::parse_sql(&MsSqlDialect {}, sql) {
        panic!("{error}: {sql}");
    }
}
