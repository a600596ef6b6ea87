//! A folder of files as an agency's database: Parquet, CSV and JSON lines, as an agency drops them.
//!
//! In: the path of a folder, statements that the canonical generator wrote. Out: its files as tables, and rows as Arrow record
//! batches. Statements run in a DataFusion session of their own, which knows this folder's tables and nothing else, and runs
//! no statement but a query. A file of the folder's top is a table; a folder in it is one table of all its files.
//!
//! Every file is opened by this crate, once a query, and read through that handle: a link that leads out of the folder is
//! refused, and a name is never taken apart.

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
mod infer;
mod introspect;
mod options;
mod pausing;
mod pool;
mod rename;
mod session;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use connector::FilesConnector;
pub use dialect::FilesDialect;
pub use options::{CsvHeader, FilesOptions};
