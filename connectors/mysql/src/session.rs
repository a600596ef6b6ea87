//! What a server is, and what every session with it is set to.
//!
//! The dialect relies on it: literals and `CAST(… AS CHAR)` have the session's collation, which compares code points and
//! no trailing blanks away; `\` is a character like any other; the clock is UTC; long texts are sorted to their end.

use wayleave_connector_api::ConnectorError;

/// Sorting and grouping look at so many bytes of a text; what may be longer is sorted and grouped here.
pub(crate) const LONGEST_SORTED_BYTES: u64 = 131_072;

/// The server refuses to sort what is longer than a fifteenth of its buffer; so much for each column of a sort key. It takes no
/// more of it than the rows need.
const SORT_BUFFER_BYTES: u64 = 2_097_152;

/// Not seconds of a statement but of a client that does not take what it is sent: the statement's own limit counts.
const PATIENCE_SECONDS: u64 = 31_536_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    MariaDb,
    MySql,
}

/// A server that is read, as `SELECT version()` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) product: Product,
    pub(crate) version: String,
}

impl Product {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        }
    }

    /// The collation in which two texts of UTF-8 are equal only where they are the same, and in our order.
    pub(crate) fn collation(self) -> &'static str {
        match self {
            Self::MariaDb => "utf8mb4_nopad_bin",
            Self::MySql => "utf8mb4_0900_bin",
        }
    }
}

impl Server {
    /// # Errors
    /// [`ConnectorError::Configuration`] for a server that is too old.
    pub(crate) fn parse(version: &str) -> Result<Self, ConnectorError> {
        let product = if version.contains("MariaDB") { Product::MariaDb } else { Product::MySql };
        let numbers: Vec<u32> =
            version.split(|c: char| !c.is_ascii_digit()).take(3).map(|number| number.parse().unwrap_or(0)).collect();
        let (least, shown) = match product {
            Product::MariaDb => (vec![10, 6, 0], "10.6"),
            Product::MySql => (vec![8, 0, 31], "8.0.31"),
        };
        if numbers < least {
            return Err(ConnectorError::Configuration {
                reason: format!("the server is {} before version {shown}", product.name()),
            });
        }
        Ok(Self { product, version: version.to_owned() })
    }

    /// The statements that begin a transaction for this one.
    ///
    /// MariaDB joins by hashing and finds by keys that it makes itself only what it has put aside as a table: computed
    /// columns of two derived tables that it takes apart are compared row against row. What is no join streams.
    pub(crate) fn begin_sql(&self, statement: &str) -> String {
        let begin = format!(
            "SET SESSION sort_buffer_size = greatest(@@global.sort_buffer_size, {}); \
             START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            SORT_BUFFER_BYTES * most_sort_keys(statement)
        );
        let joins = [" JOIN (", "EXISTS (SELECT 1 FROM (SELECT `"].iter().any(|sign| statement.contains(sign))
            || statement.contains("EXISTS (SELECT 1 FROM (SELECT CAST(");
        let computes = ["AS CHAR) AS `", "END) AS `", ") AS `c1`"].iter().any(|sign| statement.contains(sign));
        match self.product {
            Product::MySql => begin,
            Product::MariaDb => {
                let merge = if joins && computes { "off" } else { "on" };
                format!("SET SESSION optimizer_switch = 'derived_merge={merge}'; {begin}")
            }
        }
    }

    /// The statements that begin a session.
    pub(crate) fn session_sql(&self, statement_timeout_ms: u64) -> String {
        let of_product = match self.product {
            // Joins by hashing rather than row against row, and long lists as they are written.
            Product::MariaDb => format!(
                "max_statement_time = {}.{:03}, join_cache_level = 4, in_predicate_conversion_threshold = 0",
                statement_timeout_ms / 1_000,
                statement_timeout_ms % 1_000
            ),
            Product::MySql => format!("max_execution_time = {statement_timeout_ms}"),
        };
        format!(
            "SET NAMES utf8mb4 COLLATE {collation}; \
             SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION', time_zone = '+00:00', autocommit = 1, \
             sql_select_limit = 18446744073709551615, max_sort_length = {LONGEST_SORTED_BYTES}, \
             div_precision_increment = 4, \
             net_write_timeout = {PATIENCE_SECONDS}, {of_product}; \
             SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET SESSION TRANSACTION READ ONLY",
            collation = self.product.collation()
        )
    }
}

/// How many columns a statement sorts or groups by at once, at most: rather too many than too few.
fn most_sort_keys(statement: &str) -> u64 {
    let (mut most, mut keys, mut distinct_calls) = (1, 0, 0);
    let mut quote = None;
    let mut words = statement.chars();
    while let Some(character) = words.next() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '`') => quote = Some(character),
            (None, ' ') if ["BY ", "DISTINCT "].iter().any(|word| words.as_str().starts_with(word)) => keys += 1,
            (None, ',') if keys > 0 => keys += 1,
            (None, '(') if words.as_str().starts_with("DISTINCT ") => distinct_calls += 1,
            // The next query of a statement begins anew.
            (None, '(') if words.as_str().starts_with("SELECT ") => keys = 0,
            (None, _) => {}
        }
        most = most.max(keys);
    }
    most + distinct_calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_sort_has_its_place() {
        assert_eq!(most_sort_keys("SELECT `a`, `b`, 'x BY y, z' FROM `t BY u`"), 1);
        assert_eq!(most_sort_keys("SELECT `a`, `b` FROM `t` GROUP BY `a`, `b`, `c` LIMIT 5"), 3);
        let window = "SELECT row_number() OVER (PARTITION BY `a`, `b` ORDER BY `c` DESC) AS `c1` FROM `t`";
        assert!(most_sort_keys(window) >= 3);
        assert!(most_sort_keys("SELECT `a`, count(DISTINCT `b`) FROM `t` GROUP BY `a`") >= 2);
        assert!(most_sort_keys("SELECT `a` FROM (SELECT `b` FROM `t` ORDER BY `b`, `c`) ORDER BY `a`") >= 2);
    }

    #[test]
    fn a_server_that_is_too_old_is_refused() {
        let parse = |version: &str| Server::parse(version).map(|server| server.product);
        assert_eq!(parse("10.11.19-MariaDB-0+deb12u1").unwrap(), Product::MariaDb);
        assert!(parse("5.5.5-10.6.1-MariaDB").is_err());
        assert_eq!(parse("11.4.2-MariaDB").unwrap(), Product::MariaDb);
        assert!(parse("10.5.27-MariaDB").is_err());
        assert_eq!(parse("8.0.31").unwrap(), Product::MySql);
        assert_eq!(parse("8.4.3-0ubuntu1").unwrap(), Product::MySql);
        assert!(parse("8.0.30").is_err());
        assert!(parse("5.7.44-log").is_err());
    }
}
