//! What the tests of every connector share: real database servers, started for one test process and gone with it.

#![cfg_attr(
    test,
    allow(
        clippy::string_slice,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a test stops where it fails"
    )
)]

mod mariadb_client;
mod mariadb_server;
mod postgres_client;
mod postgres_server;
mod process;

pub use mariadb_client::MariadbClient;
pub use mariadb_server::MariadbServer;
pub use postgres_client::PostgresClient;
pub use postgres_server::PostgresServer;
