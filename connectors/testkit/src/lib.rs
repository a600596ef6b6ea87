//! What the tests of every connector share: the contract that each must pass, and real database servers, started for one test
//! process and gone with it.

#![cfg_attr(
    test,
    allow(
        clippy::string_slice,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a test stops where it fails"
    )
)]

pub mod contract;
mod postgres_client;
mod postgres_server;
mod proxy;

pub use postgres_client::PostgresClient;
pub use postgres_server::PostgresServer;
pub use proxy::Proxy;
