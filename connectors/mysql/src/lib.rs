//! MariaDB, version 10.6 and later, and MySQL, version 8.0.31 and later.
//!
//! In: names to introspect, SQL that the dialect wrote. Out: tables with their columns, and rows as Arrow record batches,
//! decoded from the binary protocol while they arrive. It never writes: every session and every transaction is read-only.

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
mod pool;
mod reading;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod types;

pub use connector::MysqlConnector;
pub use dialect::MysqlDialect;
pub use options::{MysqlOptions, TlsMode};
