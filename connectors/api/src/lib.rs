//! What a connector is.
//!
//! A connector reads one agency's database. It takes a [`Fragment`] (the part of a query that one source can answer),
//! writes it as that database's SQL through its [`Dialect`], and streams the answer as Arrow record batches.
//!
//! In: names to introspect, fragments to run. Out: [`Table`]s, SQL text, record batches, [`ConnectorError`]s.
//! This crate imports nothing of Wayleave: it knows no policy and no planner, and no driver either.

#![cfg_attr(
    test,
    allow(
        clippy::string_slice,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a test stops where it fails"
    )
)]

mod catalog;
mod connector;
mod dialect;
mod divisible;
mod error;
mod expr;
mod fragment;
mod function;
mod pseudonym;
mod range;
mod render;
mod rows;
mod subject;
mod value;
mod window;

pub use catalog::{Collation, Column, ColumnType, Table, TableKind, TableName, TableSummary};
pub use connector::{BatchStream, Connector, ServerInfo, SourceIdentity, Statement};
pub use dialect::{
    Calculation, Comparison, Cut, CutSql, Dialect, GroupingSets, KeyProbe, LONGEST_PATTERN_BYTES, NotIn, Operand,
    Support, TextPart, TextUse, Unknown,
};
pub use divisible::{Divisible, Slice};
pub use error::ConnectorError;
pub use expr::{ArithmeticOp, CompareOp, Existence, Expr, Mask, OutputColumn, Probe};
pub use fragment::{
    Aggregate, AggregateFunction, Fragment, JoinKind, KeyDisclosure, KeySlot, NullsOrder, Relation, Scan, ScanReason,
    SemiKind, SetKind, SortDirection, SortKey,
};
pub use function::{DatePart, DateUnit, TextFunction, TrimSide, widens};
pub use pseudonym::Pseudonymiser;
pub use range::{Range, arithmetic_support};
pub use render::{
    AWAITED_KEYS, AWAITED_PSEUDONYMS, Audience, render_fragment, render_keyed_fragment, render_policy_conjuncts,
};
pub use rows::Rows;
pub use subject::{Form, KeyFormat, Scheme};
pub use value::Value;
pub use window::{Frame, FrameBound, FrameUnits, WindowCall, WindowFunction};
