//! What the tests of every connector share: real database servers, started for one test process and gone with it.

mod postgres_server;

pub use postgres_server::PostgresServer;
