//! The two logical nodes that federation adds: a fragment of one source, and a join that sends its keys.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use datafusion::common::{DFSchemaRef, DataFusionError, plan_err};
use datafusion::logical_expr::{Expr, Extension, Join, LogicalPlan, UserDefinedLogicalNodeCore};
use wayleave_connector_api::{Fragment, KeyDisclosure, NullsOrder, SortDirection};

use super::key_slot::Waiting;
use super::lineage::Disclosing;
use crate::catalog::Agency;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Atomic::Relaxed)
}

/// A released table that takes part in a fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub agency: String,
    /// `schema.table`.
    pub table: String,
    pub agreement: String,
    /// Agencies to which the agreement lets this table's keys be sent, and as what.
    pub disclose_keys_to: BTreeMap<String, KeyDisclosure>,
    /// Agencies with whose tables the agreement lets this one be joined inside one server.
    pub join_at_source_with: BTreeSet<String>,
}

/// The agencies of these tables, the one that runs the statement first.
pub(super) fn agencies_of(runs: &str, origins: &[Origin]) -> Vec<String> {
    let mut agencies = vec![runs.to_owned()];
    for origin in origins {
        if !agencies.contains(&origin.agency) {
            agencies.push(origin.agency.clone());
        }
    }
    agencies
}

/// Whether the asker may be told how many rows a fragment has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    Shown,
    /// Its rows are not all released: some are withheld here, or few persons stand behind them.
    Withheld,
}

impl Counting {
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Shown, Self::Shown) => Self::Shown,
            _ => Self::Withheld,
        }
    }
}

/// The order in which a fragment's rows arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedBy {
    pub column: usize,
    pub direction: SortDirection,
    pub nulls: NullsOrder,
}

/// A subtree that one source answers.
#[derive(Clone, Debug)]
pub struct FragmentNode {
    pub(super) id: u64,
    pub agency: Arc<Agency>,
    pub fragment: Fragment,
    pub schema: DFSchemaRef,
    /// Rows as far as the shape of the query tells.
    pub rows: f64,
    /// How much larger than assumed its largest table is, by the source's own statistics.
    pub scale: f64,
    /// Where it is a join as it stands: rows to expect of its two sides, by the source's statistics.
    pub sides: Option<[f64; 2]>,
    pub ordering: Vec<OrderedBy>,
    pub origins: Vec<Origin>,
    pub counting: Counting,
    /// In how many places of the plan it stands, under this one id: it is read once for all of them.
    pub places: usize,
}

impl FragmentNode {
    pub fn new(agency: Arc<Agency>, fragment: Fragment, schema: DFSchemaRef, rows: f64) -> Self {
        Self {
            id: next_id(),
            agency,
            fragment,
            schema,
            rows,
            scale: 1.0,
            sides: None,
            ordering: Vec::new(),
            origins: Vec::new(),
            counting: Counting::Withheld,
            places: 1,
        }
    }

    /// Every agency whose tables it reads, the one that runs it first.
    pub fn agencies(&self) -> Vec<String> {
        agencies_of(&self.agency.name, &self.origins)
    }

    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The fragment that a plan is, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }
}

/// Which input of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    Left,
    Right,
}

/// A join whose one side is read first, so that its keys narrow the other.
#[derive(Clone, Debug)]
pub struct KeyedJoinNode {
    pub(super) id: u64,
    pub join: Join,
    /// The side that receives keys: somewhere in it are the fragments that wait for them.
    pub receiver: Side,
    /// What is sent; at least one.
    pub sent: Vec<SentColumn>,
}

/// A column whose keys one side of a join sends to the other.
#[derive(Clone, Debug)]
pub struct SentColumn {
    /// Position in `join.on` of the pair whose values are sent.
    pub pair: usize,
    /// The id of the [`FragmentNode`] that waits for them.
    pub slot: u64,
    /// The number of its key slot.
    pub number: u32,
    /// The agency of that fragment.
    pub receives: String,
    /// Whose keys are sent, and as what.
    pub told: Disclosing,
}

impl SentColumn {
    pub(super) fn new(pair: usize, waiting: &Waiting) -> Self {
        Self {
            pair,
            slot: waiting.fragment,
            number: waiting.number,
            receives: waiting.agency.clone(),
            told: waiting.disclosing.clone(),
        }
    }

    /// In words: `keys of social go to police`.
    pub fn words(&self) -> String {
        let to = &self.receives;
        if self.told.agencies.is_empty() {
            // What an agency has told may be said to it again.
            return format!("the first's keys narrow what {to} is asked");
        }
        let from: Vec<&str> = self.told.agencies.keys().map(String::as_str).collect();
        let keys = match self.told.disclosure {
            KeyDisclosure::Plain => "keys",
            KeyDisclosure::Pseudonymised => "pseudonymised keys",
        };
        format!("{keys} of {} go to {to}", from.join(", "))
    }
}

impl KeyedJoinNode {
    /// The join whose side `receiver` already stands over the plan that waits.
    pub(super) fn new(join: Join, receiver: Side, sent: Vec<SentColumn>) -> Self {
        Self { id: next_id(), join, receiver, sent }
    }

    /// What is sent, each thing said once.
    pub fn words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for said in self.sent.iter().map(SentColumn::words) {
            if !words.contains(&said) {
                words.push(said);
            }
        }
        words.join(", ")
    }

    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The keyed join that a plan is, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    pub fn giver_plan(&self) -> &LogicalPlan {
        match self.receiver {
            Side::Left => &self.join.right,
            Side::Right => &self.join.left,
        }
    }

    pub fn receiver_plan(&self) -> &LogicalPlan {
        match self.receiver {
            Side::Left => &self.join.left,
            Side::Right => &self.join.right,
        }
    }
}

macro_rules! identified_by_id {
    ($node:ty) => {
        impl $node {
            /// What this node is known by among all others of this process.
            pub fn id(&self) -> u64 {
                self.id
            }
        }
        impl PartialEq for $node {
            fn eq(&self, other: &Self) -> bool {
                self.id == other.id
            }
        }
        impl Eq for $node {}
        impl PartialOrd for $node {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                self.id.partial_cmp(&other.id)
            }
        }
        impl Hash for $node {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.id.hash(state);
            }
        }
    };
}
identified_by_id!(FragmentNode);
identified_by_id!(KeyedJoinNode);

impl UserDefinedLogicalNodeCore for FragmentNode {
    fn name(&self) -> &str {
        "Fragment"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fragment: agency={}", self.agencies().join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self, DataFusionError> {
        if exprs.is_empty() && inputs.is_empty() { Ok(self.clone()) } else { plan_err!("a fragment has no inputs") }
    }
}

impl UserDefinedLogicalNodeCore for KeyedJoinNode {
    fn name(&self) -> &str {
        "KeyedJoin"
    }

    /// The giver, which is read first, then the receiver.
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![self.giver_plan(), self.receiver_plan()]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.join.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyedJoin: {}, {}", self.join.join_type, self.words())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self, DataFusionError> {
        let mut inputs = inputs.into_iter();
        let (Some(giver), Some(receiver), None, true) = (inputs.next(), inputs.next(), inputs.next(), exprs.is_empty())
        else {
            return plan_err!("a keyed join has two inputs");
        };
        let (giver, receiver) = (Arc::new(giver), Arc::new(receiver));
        let mut node = self.clone();
        (node.join.left, node.join.right) = match node.receiver {
            Side::Left => (receiver, giver),
            Side::Right => (giver, receiver),
        };
        Ok(node)
    }
}
