//! What may be sent to a driver at all.

use wayleave_connector_api::ConnectorError;

/// Words that write or lock where they stand in a query, and that the generator never writes.
const REFUSED_WORDS: [&str; 3] = ["into", "for", "lock"];

/// Refuses what is no single SELECT. It stands beside the transaction that is never committed.
pub(crate) fn refuse_what_is_no_query(sql: &str) -> Result<(), ConnectorError> {
    let words = words(sql).ok_or_else(no_query)?;
    let reads = words.first().is_some_and(|word| word == "select");
    if reads && !words.iter().any(|word| REFUSED_WORDS.contains(&word.as_str())) { Ok(()) } else { Err(no_query()) }
}

fn no_query() -> ConnectorError {
    ConnectorError::Refused { sqlstate: "25006".to_owned(), operator_detail: "only a query may run here".to_owned() }
}

/// The words outside quotes in lower case; `None` where there is more than one statement, a quote without end or a comment.
fn words(sql: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut previous = ' ';
    for character in sql.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(character),
            (None, '[') => quote = Some(']'),
            (None, ';') => return None,
            (None, '-') if previous == '-' => return None,
            (None, '*') if previous == '/' => return None,
            (None, _) if character.is_alphanumeric() || character == '_' => {
                words.last_mut()?.extend(character.to_lowercase());
            }
            (None, _) => words.push(String::new()),
        }
        previous = if quote.is_some() { ' ' } else { character };
    }
    quote.is_none().then(|| words.into_iter().filter(|word| !word.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_select_goes_out() {
        for sql in ["SELECT 1", " select \"for\".\"into\" AS c1 FROM t WHERE x = 'a; INTO ''--'", "SELECT information"]
        {
            assert!(refuse_what_is_no_query(sql).is_ok(), "{sql}");
        }
        for sql in [
            "",
            "DELETE FROM kept",
            "WITH gone AS (DELETE FROM kept RETURNING id) SELECT id FROM gone",
            "SELECT 1; DELETE FROM kept",
            "SELECT id INTO other FROM kept",
            "SELECT id FROM kept FOR UPDATE",
            "SELECT 1 -- x",
            "SELECT 1 /* x */",
            "SELECT 'x",
            "EXPLAIN SELECT 1",
        ] {
            assert!(refuse_what_is_no_query(sql).is_err(), "{sql}");
        }
    }
}
