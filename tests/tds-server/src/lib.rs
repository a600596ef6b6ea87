//! A server for tests that speaks TDS 7.4 as SQL Server does and runs its T-SQL on SQLite.
//!
//! In: connections of any client, batches and procedure calls. Out: what SQL Server would send, its refusals included:
//! `validator` and `binder` refuse what Microsoft's documentation does not allow, rather than run what SQLite would take.
//! What is valid T-SQL and is not implemented here fails with error 50001, so that the two are never mixed up.
//! It must never be part of a release: nothing outside of tests depends on it.
//!
//! Source: MS-TDS (the protocol), the Transact-SQL reference (the language).

#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a server of tests: bytes of known width are cut on purpose, and a wrong one fails a test"
)]

mod batch;
mod binder;
mod calendar;
mod catalog;
mod certificate;
mod collation;
mod convert;
mod ddl;
mod decimal;
mod error;
mod execute;
mod faults;
mod functions;
mod guid;
mod insert;
mod log;
mod login;
mod options;
mod packet;
mod prelogin;
mod procedure;
mod reader;
mod reserved;
mod response;
mod rows;
mod server;
mod session;
mod shown;
mod sql_type;
mod system_rows;
mod system_views;
mod token;
mod transaction;
mod transport;
mod typed;
mod validator;
mod wire;

pub use error::SqlError;
pub use faults::{Acknowledgement, Fault, Faults, PacketSplit};
pub use log::{Log, LogEntry, LoginEntry, RequestKind};
pub use options::{Encryption, Options, SnapshotIsolation, Version};
pub use server::Server;
