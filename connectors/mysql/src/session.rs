//! What a server is, and what every session with it is set to.
//!
//! The dialect relies on it: literals and `CAST(… AS CHAR)` have the session's collation, which compares code points and
//! no trailing blanks away; `\` is a character like any other; the clock is UTC; long texts are sorted to their end.

use wayleave_connector_api::ConnectorError;

/// Sorting and grouping look at so many bytes of a text; what may be longer is sorted and grouped here.
pub(crate) const LONGEST_SORTED_BYTES: u64 = 131_072;

/// The server takes no sort key longer than a fifteenth of this.
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
             sort_buffer_size = greatest(@@sort_buffer_size, {SORT_BUFFER_BYTES}), div_precision_increment = 4, \
             net_write_timeout = {PATIENCE_SECONDS}, {of_product}; \
             SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET SESSION TRANSACTION READ ONLY",
            collation = self.product.collation()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_refused() {
        let parse = |version: &str| Server::parse(version).map(|server| server.product);
        assert_eq!(parse("10.11.19-MariaDB-0+deb12u1").unwrap(), Product::MariaDb);
        assert_eq!(parse("5.5.5-10.6.1-MariaDB").is_err(), true);
        assert_eq!(parse("11.4.2-MariaDB").unwrap(), Product::MariaDb);
        assert!(parse("10.5.27-MariaDB").is_err());
        assert_eq!(parse("8.0.31").unwrap(), Product::MySql);
        assert_eq!(parse("8.4.3-0ubuntu1").unwrap(), Product::MySql);
        assert!(parse("8.0.30").is_err());
        assert!(parse("5.7.44-log").is_err());
    }
}
