//! A statement as text: whether it is one that may be planned at all.

use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use super::explain::Request;
use crate::error::Error;
use crate::statements::{check_chains, check_relations};

/// Reads a statement: what is to be explained of it, if it is an EXPLAIN, and the query.
pub(super) fn parse(sql: &str, state: &SessionState) -> Result<(Option<Request>, Statement), Error> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| Error::Syntax { message: error.to_string() })?;
    check_chains(tokens.iter().map(|token| &token.token))?;
    let request = Request::parse(sql, &tokens)?;
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state
        .sql_to_statement(request.as_ref().map_or(sql, |request| &request.query), &dialect)
        .map_err(|error| Error::Syntax { message: error.strip_backtrace() })?;
    let refused = |statement: &str| Err(Error::NotAQuery { statement: statement.to_owned() });
    if let Statement::Statement(inner) = &statement {
        check_relations(inner)?;
    }
    match &statement {
        Statement::Statement(inner) => match (inner.as_ref(), &request) {
            (ast::Statement::Query(_), _)
            | (ast::Statement::ShowTables { .. } | ast::Statement::ShowColumns { .. }, None) => {}
            (_, Some(_)) => return refused("EXPLAIN of what is no query"),
            (other, None) => {
                let text = other.to_string();
                return refused(text.split_whitespace().next().unwrap_or("this statement"));
            }
        },
        Statement::Explain(_) => return refused("EXPLAIN of what is no query"),
        Statement::CreateExternalTable(_) => return refused("CREATE EXTERNAL TABLE"),
        Statement::CopyTo(_) => return refused("COPY"),
        Statement::Reset(_) => return refused("RESET"),
    }
    Ok((request, statement))
}
