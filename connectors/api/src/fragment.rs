//! The part of a query that one source answers, as a small relational algebra of our own.
//!
//! Columns are positions: of the base table's `columns` inside a [`Scan`], of the input's output elsewhere (a join's left
//! columns come first, then its right ones). Scalar expressions are [`Expr`]s, none of which can fail.

use arrow::datatypes::{DataType, SchemaRef};

use crate::{Collation, Column, Expr, KeyFormat, OutputColumn, TableName};

/// A statement for one source: what to answer, and the Arrow schema in which the answer must arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    pub root: Relation,
    /// Names and types of the result, in the order of the root's outputs.
    pub schema: SchemaRef,
}

/// A relation inside one source.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    Scan(Box<Scan>),
    Filter {
        input: Box<Relation>,
        predicate: Expr,
    },
    Project {
        input: Box<Relation>,
        exprs: Vec<Expr>,
    },
    Join {
        left: Box<Relation>,
        right: Box<Relation>,
        kind: JoinKind,
        /// Over left columns, then right columns; an empty list joins every row with every row.
        on: Vec<Expr>,
    },
    /// Left rows that have (or have not) a match; the output is the left one.
    SemiJoin {
        left: Box<Relation>,
        right: Box<Relation>,
        kind: SemiKind,
        on: Vec<Expr>,
    },
    /// Output: the group expressions, then the aggregates.
    Aggregate {
        input: Box<Relation>,
        groups: Vec<Expr>,
        aggregates: Vec<Aggregate>,
    },
    Sort {
        input: Box<Relation>,
        keys: Vec<SortKey>,
        fetch: Option<u64>,
    },
    Limit {
        input: Box<Relation>,
        fetch: u64,
    },
    /// All rows of every input (`UNION ALL`); the inputs have the same number and types of columns.
    Union {
        inputs: Vec<Relation>,
    },
}

/// One base table, read under one agreement or as a consent register: always one SELECT of its own, so that what policy
/// demands stands in the same WHERE as the table, and can be proven to stand there.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub table: TableName,
    /// The base columns that anything below refers to.
    pub columns: Vec<Column>,
    /// What leaves the scan: released columns with masks and canonical keys applied.
    pub outputs: Vec<Expr>,
    /// What policy demands of a row: row filter, a valid subject key, consent. Each is one conjunct.
    pub policy: Vec<Expr>,
    /// Predicates of the user in the source's written form (a lookup by subject key), beside the policy's.
    pub lookups: Vec<Expr>,
    /// Where join keys arrive at run time.
    pub keys: Option<KeySlot>,
    pub reason: ScanReason,
}

/// Why a base table is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanReason {
    /// Released to the asker under this agreement.
    Released { agreement: String },
    /// Read as a consent register for other agencies' rows.
    Register { register: String },
}

/// The column of a scan that join keys narrow: `column IN (written forms of the keys)`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySlot {
    /// Position in the scan's `columns`.
    pub column: usize,
    /// How that column writes a key; `None` where keys are compared as they are.
    pub format: Option<KeyFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SemiKind {
    /// `EXISTS`
    Matching,
    /// `NOT EXISTS`
    NotMatching,
}

/// An aggregate call. No call can fail on a row: overflow can only show in a sum over released rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub function: AggregateFunction,
    /// `None` counts rows.
    pub argument: Option<Expr>,
    pub distinct: bool,
    /// Only rows for which this is true (SQL's `FILTER (WHERE …)`).
    pub filter: Option<Expr>,
    /// The type in which the result must arrive.
    pub data_type: DataType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    Count,
    Sum,
    Min,
    Max,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    pub expr: Expr,
    pub direction: SortDirection,
    pub nulls: NullsOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortDirection {
    Ascending,
    Descending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NullsOrder {
    First,
    Last,
}

impl Relation {
    /// The output columns, in order.
    pub fn outputs(&self) -> Vec<OutputColumn> {
        match self {
            Self::Scan(scan) => {
                let base = scan.base_columns();
                scan.outputs.iter().map(|expr| expr.output(&base)).collect()
            }
            Self::Filter { input, .. } | Self::Sort { input, .. } | Self::Limit { input, .. } => input.outputs(),
            Self::Project { input, exprs } => {
                let columns = input.outputs();
                exprs.iter().map(|expr| expr.output(&columns)).collect()
            }
            Self::Join { left, right, .. } => {
                let mut columns = left.outputs();
                columns.extend(right.outputs());
                columns
            }
            Self::SemiJoin { left, .. } => left.outputs(),
            Self::Aggregate { input, groups, aggregates } => {
                let columns = input.outputs();
                let mut outputs: Vec<_> = groups.iter().map(|expr| expr.output(&columns)).collect();
                outputs.extend(aggregates.iter().map(|call| OutputColumn {
                    collation: call.argument.as_ref().map_or(Collation::Binary, |expr| expr.output(&columns).collation),
                    ..OutputColumn::computed(call.data_type.clone())
                }));
                outputs
            }
            Self::Union { inputs } => {
                let mut branches = inputs.iter().map(Self::outputs);
                let mut outputs = branches.next().unwrap_or_default();
                for branch in branches {
                    for (output, column) in outputs.iter_mut().zip(branch) {
                        output.collation = output.collation.max(column.collation);
                        output.source_type = None;
                    }
                }
                outputs
            }
        }
    }

    /// Every scan in this relation, in the order of its SQL.
    pub fn scans(&self) -> Vec<&Scan> {
        let mut found = Vec::new();
        self.collect_scans(&mut found);
        found
    }

    fn collect_scans<'a>(&'a self, found: &mut Vec<&'a Scan>) {
        match self {
            Self::Scan(scan) => found.push(scan),
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Aggregate { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. } => input.collect_scans(found),
            Self::Join { left, right, .. } | Self::SemiJoin { left, right, .. } => {
                left.collect_scans(found);
                right.collect_scans(found);
            }
            Self::Union { inputs } => inputs.iter().for_each(|input| input.collect_scans(found)),
        }
    }
}

impl Scan {
    pub fn base_columns(&self) -> Vec<OutputColumn> {
        self.columns.iter().map(OutputColumn::from).collect()
    }
}
