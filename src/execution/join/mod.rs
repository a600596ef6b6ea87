//! A hash join that goes on from disk where memory ends.
//!
//! One side is collected. While it fits, DataFusion's own hash join runs over it. Where it does not, both sides are written
//! to disk in partitions by a hash of their join keys, so that equal keys meet in the same partition, and the partitions are
//! joined one after the other (the GRACE hash join: Kitsuregawa, Tanaka, Moto-oka, 1983), each from its smaller side. A
//! partition that is still too large is partitioned again; one that no hash can split, since a single key fills it, is joined
//! in as many passes as memory demands.

mod collect;
mod exec;
mod pairs;
mod partition;
mod run;
#[cfg(test)]
mod tests;

pub use collect::{Collected, Collector};
pub use exec::{SpillingJoinExec, physical_rules};
