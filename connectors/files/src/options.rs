//! What an agency's configuration says of its folder.

use std::path::PathBuf;

/// Where the folder is, how its CSV is written and how hard it may be worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOptions {
    /// The folder; a relative path counts from the working directory of the process.
    pub path: PathBuf,
    /// What stands between two values of a CSV file: one ASCII character.
    pub csv_delimiter: u8,
    pub csv_header: CsvHeader,
    /// Statements that run at once.
    pub max_connections: usize,
    /// How long a statement may run, the time in which its rows are taken included.
    pub statement_timeout_ms: u64,
    /// Bytes that one statement may hold.
    pub memory_bytes: usize,
}

impl FilesOptions {
    pub const DEFAULT_MEMORY_BYTES: usize = 256 << 20;
}

/// Whether the first line of a CSV file names the columns; where it does not, they are `column_1`, `column_2`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsvHeader {
    Present,
    Absent,
}
