//! Wayleave: questions across many agencies' databases, under their sharing agreements, with nothing copied.
//!
//! The way of a query is in [`engine`]; `ARCHITECTURE.md` names the rooms and what must always hold.

#![cfg_attr(
    test,
    allow(
        clippy::string_slice,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a test stops where it fails"
    )
)]

/// Plans are made of many small parts: a quarter of the time to plan was the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod alert;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod demo;
pub mod diagnostic;
pub mod endpoints;
pub mod engine;
pub mod error;
pub mod execution;
mod expression;
pub mod federate;
mod hexadecimal;
pub mod identity;
pub mod names;
pub mod policy;
mod registry;
pub mod session;
mod statements;
pub mod stewardship;
mod unified;
