//! What may run: one SELECT, and what is sent around it.
//!
//! SQL Server has no read-only transaction. Beside the rights of its login, which are the agency's to give, nothing but a
//! single query leaves here: the generator writes no other, and this looks at every word of the text again.
//!
//! Around it stand two results of one row, which hold a number that no other statement on the connection has. The rows of
//! one statement can so never be taken for another's, and a result is whole only where its last row says how many there
//! were.

use wayleave_connector_api::ConnectorError;

/// What begins a statement that is no query, or makes one write.
const FORBIDDEN: [&str; 32] = [
    "INTO",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "TRUNCATE",
    "CREATE",
    "ALTER",
    "DROP",
    "GRANT",
    "REVOKE",
    "DENY",
    "EXEC",
    "EXECUTE",
    "DECLARE",
    "SET",
    "USE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVE",
    "BACKUP",
    "RESTORE",
    "BULK",
    "OPENROWSET",
    "OPENQUERY",
    "OPENDATASOURCE",
    "WAITFOR",
    "KILL",
    "SHUTDOWN",
    "DBCC",
    "GO",
];

/// The query with its marks, as one batch.
pub(crate) fn marked(sql: &str, mark: u32, query_id: &str) -> String {
    // All that reaches the agency's own log of who asks. The id is not trusted to be one.
    let id: String = query_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!(
        "/* wayleave {id} */ SELECT CAST({mark} AS bigint) AS [mark];\n{sql};\n\
         SELECT ROWCOUNT_BIG() AS [rows], CAST({mark} AS bigint) AS [mark];"
    )
}

/// # Errors
/// [`ConnectorError::Refused`] where the text is anything but one SELECT.
pub(crate) fn refuse_what_is_no_query(sql: &str) -> Result<(), ConnectorError> {
    let mut words = Words { rest: sql }.peekable();
    if !matches!(words.peek(), Some(Ok(word)) if word.eq_ignore_ascii_case("SELECT")) {
        return Err(no_query());
    }
    for word in words {
        let word = word?;
        if FORBIDDEN.iter().any(|forbidden| word.eq_ignore_ascii_case(forbidden)) {
            return Err(no_query());
        }
    }
    Ok(())
}

fn no_query() -> ConnectorError {
    ConnectorError::Refused {
        sqlstate: "25006".to_owned(),
        operator_detail: "only a query may run on this connection".to_owned(),
    }
}

/// The words of a text that are neither quoted nor names in brackets.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = Result<&'a str, ConnectorError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = self.rest.chars().next()?;
            let after = self.rest.get(first.len_utf8()..).unwrap_or_default();
            let closing = match first {
                '\'' => Some('\''),
                '[' => Some(']'),
                '"' => Some('"'),
                _ => None,
            };
            if let Some(closing) = closing {
                let mut inside = after;
                loop {
                    match inside.split_once(closing) {
                        // Doubled it stands for itself.
                        Some((_, rest)) if rest.starts_with(closing) => {
                            inside = rest.get(closing.len_utf8()..).unwrap_or_default();
                        }
                        Some((_, rest)) => {
                            self.rest = rest;
                            break;
                        }
                        None => return Some(Err(no_query())),
                    }
                }
                continue;
            }
            // A second statement, a comment that hides one, or a variable.
            if first == ';' || first == '@' || self.rest.starts_with("--") || self.rest.starts_with("/*") {
                return Some(Err(no_query()));
            }
            let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '#' | '$');
            if is_part(first) {
                let end = self.rest.find(|character| !is_part(character)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at_checked(end)?;
                self.rest = rest;
                return Some(Ok(word));
            }
            self.rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_runs_and_nothing_else_does() {
        for sql in [
            "SELECT 1 AS [c1]",
            "SELECT N'; DROP TABLE t' AS [c1] FROM [dbo].[delete; x]]update] AS [b] WHERE [b].[k] = 'it''s --'",
            "SELECT COUNT_BIG(*) AS [c1] FROM (SELECT TOP (5) [b].[into] AS [c1] FROM [s].[t] AS [b]) AS [t1]",
        ] {
            assert!(refuse_what_is_no_query(sql).is_ok(), "{sql}");
        }
        for sql in [
            "",
            "DELETE FROM t",
            "SELECT 1; DELETE FROM t",
            "SELECT 1 DELETE FROM t",
            "SELECT 1 AS x INTO t",
            "SELECT 1 /* */ ",
            "SELECT 1 -- x",
            "SELECT @@VERSION",
            "SELECT 'open",
            "SELECT [open",
            "WITH x AS (SELECT 1) SELECT 1",
            "EXEC sp_who",
            "SELECT * FROM OPENROWSET('x', 'y', 'z')",
        ] {
            assert!(refuse_what_is_no_query(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn only_an_id_reaches_the_log() {
        let batch = marked("SELECT 1", 7, "q-1 */ DROP TABLE t");
        assert!(batch.starts_with("/* wayleave q-1DROPTABLEt */ SELECT CAST(7 AS bigint) AS [mark];"), "{batch}");
    }
}
