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
mod arithmetic;
mod behaviour;
pub mod evaluate;
mod expressions;
mod fixture;
mod groups;
mod kind;
mod matrix;
pub mod moment;
mod network;
mod probe;
mod prove;
mod queries;
mod random;
mod suite;
mod table;
mod texts;
mod world;

pub use arithmetic::arithmetic_that_goes_down_never_fails;
pub use behaviour::{
    a_refusal_tells_the_operator_alone, a_server_says_what_it_is, a_statement_that_runs_too_long_is_stopped,
    any_size_arrives, hostile_names_are_only_names, introspection, keyed_joins_at_any_number_of_keys,
    no_query_sees_rows_of_another, nothing_can_be_written, the_budget_of_connections_is_kept,
    the_first_row_comes_before_the_scan_ends_and_a_dropped_result_ends_it, types_are_declared_as_the_fixture_says,
};
pub use fixture::{Cannot, Database, Declared, Fixture, Network, OwnType, Settings, Trust};
pub use kind::{Kind, LONG, MONEY, Order, VERY_LONG};
pub use matrix::matrix;
pub use network::{
    a_connection_lost_in_the_middle_of_a_result_is_an_error, a_server_that_is_not_there_is_unavailable,
    a_wrong_login_is_refused_as_one, encryption_is_verified_or_refused,
};
pub use probe::a_register_is_probed_by_bytes;
pub use prove::expressions;
pub use queries::queries;
pub use random::Random;
pub use table::{ColumnSpec, TableSpec};
pub use texts::nasty;
