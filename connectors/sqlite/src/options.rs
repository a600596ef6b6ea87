//! What an agency's configuration says of its SQLite file.

use std::path::PathBuf;

/// Where the file is and how hard it may be worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database file; a relative path counts from the working directory of the process.
    pub path: PathBuf,
    /// Connections open at once, and so statements running at once.
    pub max_connections: usize,
    /// How long a statement may hold its read transaction, the time in which its rows are taken included.
    pub statement_timeout_ms: u64,
}
