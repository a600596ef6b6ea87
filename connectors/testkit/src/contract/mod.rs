//! The contract that every connector passes: one table of cases, run against a real source by each connector's own tests.
//!
//! In: a [`Fixture`], which makes databases of one kind and connectors to them. A case that cannot hold for a kind of database is
//! in the fixture's list of what it [`cannot`](Fixture::cannot) do, with the reason; the suite proves that as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    reason = "the suite is a test: it stops where it fails"
)]

pub mod answer;
mod evaluate;
mod expressions;
mod fixture;
mod kind;
mod moment;
mod prove;
mod random;
mod suite;
mod table;
mod texts;

pub use fixture::{Cannot, Database, Declared, Fixture, Network, OwnType, Settings, Trust};
pub use kind::{Kind, LONG, MONEY, Order, VERY_LONG};
pub use prove::expressions;
pub use random::Random;
pub use table::{ColumnSpec, TableSpec};
pub use texts::nasty;
