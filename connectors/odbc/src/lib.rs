//! Whatever has an ODBC driver and no connector of its own.
//!
//! In: a connection string, statements that the canonical generator wrote. Out: tables, and rows as Arrow record batches. Of
//! the database behind the driver nothing is taken for known: only integers are compared there, and texts narrow what is
//! compared again here. Nothing is ever committed.

#![cfg_attr(
    test,
    allow(
        clippy::string_slice,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a test stops where it fails"
    )
)]

mod cancel;
mod connector;
mod decode;
mod dialect;
mod introspect;
mod options;
mod pool;
mod query;
#[cfg(test)]
mod tests;
mod types;

pub use connector::OdbcConnector;
pub use dialect::OdbcDialect;
pub use options::OdbcOptions;
