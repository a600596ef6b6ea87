//! Tests of the whole engine, in one binary: linking several costs more than running them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    missing_debug_implementations,
    reason = "a test stops where it fails"
)]

mod adversarial;
mod architecture;
mod break_glass;
mod catalogs;
mod certificate;
mod clients;
mod clock;
mod differential;
mod disclosure;
mod dropped;
mod edits;
mod endpoint;
mod explain;
mod faults;
mod files;
mod fuzz;
mod generator;
mod harness;
mod memory;
mod monotone;
mod one_server;
mod pushed;
mod replay;
mod served;
mod slt;
mod stewardship;
mod tpch;
mod truth_table;
mod withdrawal;
