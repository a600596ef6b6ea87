//! Fragments that may be read in parts.
//!
//! A large table is read over several connections, each of which takes one slice of it after the other. That is right only
//! where the rows of the whole are those of the parts taken together, which the shape of the fragment decides.

use std::sync::Arc;

use crate::render::render_slice;
use crate::{Dialect, Fragment, JoinKind, Relation, Scan, TableName};

/// Consecutive pages of a base table, as the source lays them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub from_page: u64,
    /// The first page that is no longer in it; `None` reads to the table's end, however far it has grown.
    pub until_page: Option<u64>,
}

impl Slice {
    /// A table's first page alone.
    pub const FIRST_PAGE: Self = Self { from_page: 0, until_page: Some(1) };
}

/// A fragment whose rows are those of its parts, each over one slice of one base table: every row of that table is in
/// exactly one part, and gives there the rows that it gives in the whole.
#[derive(Clone, Debug)]
pub struct Divisible {
    fragment: Arc<Fragment>,
    table: TableName,
}

impl Divisible {
    /// `None` where the fragment's shape or its source does not allow for parts.
    pub fn new(dialect: &dyn Dialect, fragment: &Fragment) -> Option<Self> {
        let table = sliced_scan(&fragment.root)?.table.clone();
        // A narrowed scan is short, and its text would be incomplete without the keys.
        if fragment.root.scans().iter().any(|scan| scan.keys.is_some()) {
            return None;
        }
        dialect.slice(&dialect.quote_identifier("b"), Slice::FIRST_PAGE)?;
        Some(Self { fragment: Arc::new(fragment.clone()), table })
    }

    /// The table by whose slices the fragment is divided.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The fragment's SQL over one slice only.
    pub fn sql(&self, dialect: &dyn Dialect, slice: Slice) -> String {
        render_slice(dialect, &self.fragment, slice)
    }
}

/// The scan each of whose rows leads to rows of its own, whatever the others are. What groups, orders, counts or compares
/// rows with each other has none, nor has the side of an outer join that is filled with NULLs: there a row of the other side
/// that finds no match in one slice may find one in the next.
pub(crate) fn sliced_scan(relation: &Relation) -> Option<&Scan> {
    match relation {
        Relation::Scan(scan) => Some(scan),
        Relation::Filter { input, .. } | Relation::Project { input, .. } => sliced_scan(input),
        Relation::Join { left, right, kind, .. } => match kind {
            JoinKind::Inner => sliced_scan(left).or_else(|| sliced_scan(right)),
            JoinKind::Left => sliced_scan(left),
            JoinKind::Right => sliced_scan(right),
            JoinKind::Full => None,
        },
        Relation::SemiJoin { left, .. } | Relation::MarkJoin { left, .. } | Relation::NotIn { left, .. } => {
            sliced_scan(left)
        }
        Relation::Aggregate { .. }
        | Relation::GroupingSets { .. }
        | Relation::Window { .. }
        | Relation::Sort { .. }
        | Relation::Limit { .. }
        | Relation::SetOperation { .. }
        | Relation::Union { .. } => None,
    }
}
