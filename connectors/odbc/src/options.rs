//! What an agency's configuration says of its ODBC data source.

use std::fmt;

/// How the data source is reached and how hard it may be worked.
#[derive(Clone, PartialEq, Eq)]
pub struct OdbcOptions {
    /// As the driver manager takes it (`DSN=agency;UID=reader;PWD=…`). It is never shown.
    pub connection_string: String,
    /// Connections that are open at once.
    pub max_connections: usize,
    /// How long a connection may take to be made, and how long a free one is waited for.
    pub connect_timeout_ms: u64,
    /// How long a statement may run, the time in which its rows are taken included.
    pub statement_timeout_ms: u64,
}

impl fmt::Debug for OdbcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OdbcOptions")
            .field("connection_string", &"hidden")
            .field("max_connections", &self.max_connections)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .finish()
    }
}
