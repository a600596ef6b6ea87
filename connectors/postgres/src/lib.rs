//! PostgreSQL, version 12 and later.
//!
//! In: names to introspect, SQL that the dialect wrote. Out: tables with their columns, and rows as Arrow record batches,
//! decoded from binary `COPY` while they arrive. It never writes: every session and every transaction is read-only.

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
mod introspect;
mod options;
mod parts;
mod pool;
mod reading;
#[cfg(test)]
mod tests;
mod tls;
mod types;

pub use connector::PostgresConnector;
pub use dialect::PostgresDialect;
pub use options::{PostgresOptions, TlsMode};
