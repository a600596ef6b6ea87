//! SQL Server, version 2016 and later, and what speaks its language: Azure SQL Database and Managed Instance.
//!
//! In: names to introspect, SQL that the dialect wrote. Out: tables with their columns, and rows as Arrow record batches,
//! decoded while they arrive. It never writes: nothing runs but a single SELECT (`statement`).
//!
//! The driver stands behind a small trait (`driver`), so that it can be exchanged; nothing else knows it.

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
mod driver;
mod introspect;
mod options;
mod pool;
mod reading;
mod session;
mod statement;
#[cfg(test)]
mod tests;
mod types;

pub use connector::SqlServerConnector;
pub use dialect::SqlServerDialect;
pub use options::{Login, SqlServerOptions, TlsMode};
