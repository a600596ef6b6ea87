//! SQLite as an agency's database.
//!
//! In: the path of a database file, statements that the canonical generator wrote. Out: its tables and columns, and rows
//! as Arrow record batches. The file is opened for reading only and never created; no statement but a query runs.
//!
//! SQLite keeps a type per value, not per column. What a column is declared to hold decides its Arrow type
//! (`types`); a value of another kind is an error of decoding (`decode`), never a silent conversion.

#![cfg_attr(
    test,
    allow(
        clippy::string_slice,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a test stops where it fails"
    )
)]

mod connector;
mod decode;
mod dialect;
mod functions;
mod in_turn;
mod introspect;
mod options;
mod pool;
#[cfg(test)]
mod tests;
mod types;

pub use connector::SqliteConnector;
pub use dialect::SqliteDialect;
pub use options::SqliteOptions;
