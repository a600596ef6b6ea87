//! What running a query may use, and operators that keep to it: memory limits, spill files, and a join that spills.
//!
//! In: the limits of a configuration, and operators of DataFusion. Out: a runtime for each query, and operators that go on
//! from disk where memory ends. It must never know an agency or a policy, and never leave a row readable on a disk.

mod join;
mod memory;
mod padded;
mod spill;
mod spool;
mod stopwatch;
mod yielding;

pub use join::{Collected, Collector, SpillingJoinExec, physical_rules};
pub use memory::{Memory, MemoryLimits, MemoryUse, QueryMemory};
pub use padded::physical_rules_as_meant;
pub use spool::{Pace, Spool};
pub use stopwatch::Stopwatch;
