//! The part of a query that one source answers, as a small relational algebra of our own.
//!
//! Columns are positions: of the base table's `columns` inside a [`Scan`], of the input's output elsewhere (a join's left
//! columns come first, then its right ones). Scalar expressions are [`Expr`]s, none of which can fail.

use arrow::datatypes::{DataType, SchemaRef};

use crate::{Collation, Column, Expr, KeyFormat, OutputColumn, TableName, WindowCall};

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
    /// Every left row, and whether it has a match.
    MarkJoin {
        left: Box<Relation>,
        right: Box<Relation>,
        on: Vec<Expr>,
    },
    /// Left rows whose key equals none of the right ones, in SQL's three-valued sense (`NOT IN`): a NULL on either side
    /// leaves it open, and the row out.
    NotIn {
        left: Box<Relation>,
        right: Box<Relation>,
        left_key: Expr,
        /// Over the right columns alone.
        right_key: Expr,
    },
    /// Output: the group expressions, then the aggregates.
    Aggregate {
        input: Box<Relation>,
        groups: Vec<Expr>,
        aggregates: Vec<Aggregate>,
    },
    /// One grouping a set, each by those of the group expressions that it names, the others NULL. Output: the group
    /// expressions, a number of which bit n says that the n-th last expression is not grouped by, the aggregates.
    GroupingSets {
        input: Box<Relation>,
        groups: Vec<Expr>,
        sets: Vec<Vec<usize>>,
        aggregates: Vec<Aggregate>,
    },
    /// Output: the input's columns, then one for each call.
    Window {
        input: Box<Relation>,
        calls: Vec<WindowCall>,
    },
    Sort {
        input: Box<Relation>,
        keys: Vec<SortKey>,
        fetch: Option<u64>,
    },
    /// Some of the input's rows: in its order where the input is a sort, perhaps projected or limited, and any otherwise.
    Limit {
        input: Box<Relation>,
        skip: u64,
        fetch: Option<u64>,
    },
    /// Distinct rows that are in both inputs, or in the left alone; NULLs are equal.
    SetOperation {
        left: Box<Relation>,
        right: Box<Relation>,
        kind: SetKind,
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

/// The column of a scan that join keys narrow: `column IN (written forms of the keys)`, or rows whose own key has one of the
/// keys' pseudonyms.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySlot {
    /// Position in the scan's `columns`.
    pub column: usize,
    /// How that column writes a key; `None` where keys are compared as they are.
    pub format: Option<KeyFormat>,
    /// Pseudonyms need a format, and a dialect that has [`crate::Dialect::in_pseudonyms`].
    pub disclosure: KeyDisclosure,
    /// What tells it from the fragment's other slots.
    pub number: u32,
}

/// As what subject keys go to another agency; the lesser disclosure is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyDisclosure {
    /// Under a secret of the one join: the receiver can test keys that it has, and reads no other.
    Pseudonymised,
    /// As they are.
    Plain,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetKind {
    Intersect,
    Except,
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
            Self::SemiJoin { left, .. } | Self::NotIn { left, .. } => left.outputs(),
            Self::MarkJoin { left, .. } => {
                let mut columns = left.outputs();
                columns.push(OutputColumn::computed(DataType::Boolean));
                columns
            }
            Self::Aggregate { input, groups, aggregates } => {
                let columns = input.outputs();
                let mut outputs: Vec<_> = groups.iter().map(|expr| expr.output(&columns)).collect();
                outputs.extend(aggregates.iter().map(|call| call.output(&columns)));
                outputs
            }
            Self::GroupingSets { input, groups, aggregates, .. } => {
                let columns = input.outputs();
                let mut outputs: Vec<_> = groups.iter().map(|expr| expr.output(&columns)).collect();
                outputs.push(OutputColumn::computed(DataType::Int64));
                outputs.extend(aggregates.iter().map(|call| call.output(&columns)));
                outputs
            }
            Self::Window { input, calls } => {
                let columns = input.outputs();
                let added: Vec<_> = calls.iter().map(|call| call.output(&columns)).collect();
                columns.into_iter().chain(added).collect()
            }
            Self::SetOperation { left, right, .. } => united([left.outputs(), right.outputs()]),
            Self::Union { inputs } => united(inputs.iter().map(Self::outputs)),
        }
    }

    /// The relations that it is made of, in the order of its SQL.
    pub fn inputs(&self) -> Vec<&Relation> {
        match self {
            Self::Scan(_) => Vec::new(),
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Aggregate { input, .. }
            | Self::GroupingSets { input, .. }
            | Self::Window { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. } => vec![input],
            Self::Join { left, right, .. }
            | Self::SemiJoin { left, right, .. }
            | Self::MarkJoin { left, right, .. }
            | Self::NotIn { left, right, .. }
            | Self::SetOperation { left, right, .. } => vec![left, right],
            Self::Union { inputs } => inputs.iter().collect(),
        }
    }

    /// The same operation over other inputs, each made from the one in its place.
    #[must_use]
    pub fn map_inputs(&self, replace: &impl Fn(&Relation) -> Relation) -> Relation {
        let boxed = |relation: &Relation| Box::new(replace(relation));
        let mut mapped = self.clone();
        match &mut mapped {
            Self::Scan(_) => {}
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Aggregate { input, .. }
            | Self::GroupingSets { input, .. }
            | Self::Window { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. } => *input = boxed(input),
            Self::Join { left, right, .. }
            | Self::SemiJoin { left, right, .. }
            | Self::MarkJoin { left, right, .. }
            | Self::NotIn { left, right, .. }
            | Self::SetOperation { left, right, .. } => {
                *left = boxed(left);
                *right = boxed(right);
            }
            Self::Union { inputs } => *inputs = inputs.iter().map(replace).collect(),
        }
        mapped
    }

    /// Every scan in this relation, in the order of its SQL.
    pub fn scans(&self) -> Vec<&Scan> {
        let mut found = Vec::new();
        self.collect_scans(&mut found);
        found
    }

    fn collect_scans<'a>(&'a self, found: &mut Vec<&'a Scan>) {
        if let Self::Scan(scan) = self {
            found.push(scan);
        }
        self.inputs().into_iter().for_each(|input| input.collect_scans(found));
    }
}

/// The outputs of relations one below the other: each column as loosely compared as in any of them.
fn united(branches: impl IntoIterator<Item = Vec<OutputColumn>>) -> Vec<OutputColumn> {
    let mut branches = branches.into_iter();
    let mut outputs = branches.next().unwrap_or_default();
    for branch in branches {
        for (output, column) in outputs.iter_mut().zip(branch) {
            output.collation = output.collation.max(column.collation);
            output.source_type = None;
        }
    }
    outputs
}

impl Aggregate {
    /// The column that it makes.
    pub fn output(&self, input: &[OutputColumn]) -> OutputColumn {
        OutputColumn {
            collation: self.argument.as_ref().map_or(Collation::Binary, |expr| expr.output(input).collation),
            ..OutputColumn::computed(self.data_type.clone())
        }
    }
}

impl Scan {
    pub fn base_columns(&self) -> Vec<OutputColumn> {
        self.columns.iter().map(OutputColumn::from).collect()
    }
}
