//! Federation: which part of a plan each agency answers.
//!
//! In: an optimized [`EnforcedPlan`]. Out: the same plan in which the largest subtrees of one source have become fragments,
//! each one SQL statement for its agency, and in which selective joins send their keys where the agreement discloses them.
//! What spans agencies stays DataFusion's. INVARIANT: nothing reaches a source but a fragment made here, and every fragment's
//! SQL is checked against policy's own obligations before it may run.

mod aggregate;
mod carve;
mod estimate;
mod exact_moments;
mod expand;
mod fragment_exec;
mod grouping_sets;
mod join;
mod join_at_source;
mod joined_here;
mod kept;
mod key_slot;
mod keyed_join_exec;
mod keys;
mod lineage;
mod meter;
mod node;
mod once;
mod one_server;
mod order;
mod physical;
mod piece;
mod proof;
mod rearrange;
mod run;
mod scalar_subquery;
mod window;

pub use carve::{FederatedPlan, PushdownLevel, federate};
pub use fragment_exec::FragmentExec;
pub use kept::Kept;
pub use keyed_join_exec::KeyedJoinExec;
pub use lineage::Disclosing;
pub use meter::Measured;
pub use node::{Counting, FragmentNode, KeyedJoinNode, Origin, SentColumn, Side};
pub use once::SharedReads;
pub use physical::{PlannedFragment, plan_physical, planned_fragments};
pub use run::{Disclosed, QueryRun};
