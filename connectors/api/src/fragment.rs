//! The part of a query that one source answers, as a small relational algebra of our own.
//!
//! INVARIANT: no [`Expr`] can raise an error or run user code in any source, whatever rows it meets. A database may
//! evaluate predicates in any order, so an expression that could fail on a hidden row would tell of it. What can fail
//! (division, casts that narrow, functions off the list) has no variant here and stays in the engine, above the release.
//!
//! Columns are positions: of the base table's `columns` inside a [`Scan`], of the input's output elsewhere (a join's left
//! columns come first, then its right ones).

use arrow::datatypes::{DataType, SchemaRef};

use crate::{Collation, Column, KeyFormat, TableName, Value};

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

/// A scalar expression. See the module's invariant: nothing here can fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Column(usize),
    /// A column of the enclosing scan or probe, one level up, inside a [`Probe`].
    Outer(usize),
    Literal(Value),
    /// Both sides have the same type.
    Compare {
        op: CompareOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    IsNotNull(Box<Expr>),
    InList {
        expr: Box<Expr>,
        list: Vec<Value>,
        negated: bool,
    },
    /// `%` and `_` are wildcards; `\` escapes; the pattern is a constant.
    Like {
        expr: Box<Expr>,
        pattern: String,
        negated: bool,
    },
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Coalesce(Vec<Expr>),
    /// A cast that cannot fail and loses nothing: integers to wider integers, floats to wider floats.
    Widen {
        expr: Box<Expr>,
        to: DataType,
    },
    /// A written key in canonical form, NULL where it is no key.
    CanonicalKey {
        expr: Box<Expr>,
        format: KeyFormat,
    },
    /// A canonical key as another column would write it. `format` is of a single form.
    WrittenKey {
        expr: Box<Expr>,
        format: KeyFormat,
    },
    Mask {
        expr: Box<Expr>,
        mask: Mask,
    },
    /// A date or timestamp that a register keeps, as a date, NULL where the source holds something that is no date.
    DateOf(Box<Expr>),
    /// Whether another table of the same source has a matching row.
    Exists {
        probe: Box<Probe>,
        existence: Existence,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOp {
    pub fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether only equality of values matters, not their order.
    pub fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Existence {
    Required,
    Forbidden,
}

/// A correlated look into a register of the same source.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub table: TableName,
    pub columns: Vec<Column>,
    /// Over the probe's own columns, and [`Expr::Outer`] for the enclosing ones. Each is one conjunct.
    pub predicates: Vec<Expr>,
}

/// A mask that a source can compute. Null and constant masks are literals; a pseudonym is computed in the engine, so that
/// its key never reaches a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// The outward part of a United Kingdom postcode, NULL where the text is not shaped like one.
    OutwardPostcode,
    /// The calendar year of a date or timestamp, as Int32.
    YearOfDate,
    /// `***` and the last n characters; only `***` where the text has n characters or fewer.
    LastCharacters(u32),
}

/// One column of a relation's output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    pub data_type: DataType,
    pub collation: Collation,
    /// The source's own type, where the column is a base table's column unchanged.
    pub source_type: Option<String>,
}

impl OutputColumn {
    pub fn computed(data_type: DataType) -> Self {
        Self { data_type, collation: Collation::Binary, source_type: None }
    }
}

impl From<&Column> for OutputColumn {
    fn from(column: &Column) -> Self {
        Self {
            data_type: column.column_type.readable().cloned().unwrap_or(DataType::Null),
            collation: column.collation,
            source_type: Some(column.source_type.clone()),
        }
    }
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

impl Expr {
    pub fn compare(op: CompareOp, left: Expr, right: Expr) -> Self {
        Self::Compare { op, left: Box::new(left), right: Box::new(right) }
    }

    pub fn equal(left: Expr, right: Expr) -> Self {
        Self::compare(CompareOp::Equal, left, right)
    }

    pub fn text(value: impl Into<String>) -> Self {
        Self::Literal(Value::Text(value.into()))
    }

    /// The type and text order of this expression's value over these input columns.
    pub fn output(&self, input: &[OutputColumn]) -> OutputColumn {
        match self {
            Self::Column(index) => input.get(*index).cloned().unwrap_or(OutputColumn::computed(DataType::Null)),
            // A probe's own columns are checked where it is built; the outer side is only ever compared for equality.
            Self::Outer(_) => OutputColumn::computed(DataType::Utf8),
            Self::Literal(value) => OutputColumn::computed(value.data_type()),
            Self::Compare { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::IsNull(_)
            | Self::IsNotNull(_)
            | Self::InList { .. }
            | Self::Like { .. }
            | Self::Exists { .. } => OutputColumn::computed(DataType::Boolean),
            Self::Case { branches, otherwise } => {
                let values = branches.iter().map(|(_, value)| value).chain(otherwise.as_deref());
                Self::common_output(values, input)
            }
            Self::Coalesce(exprs) => Self::common_output(exprs.iter(), input),
            Self::Widen { to, .. } => OutputColumn::computed(to.clone()),
            Self::CanonicalKey { expr, .. } | Self::WrittenKey { expr, .. } => {
                OutputColumn { source_type: None, data_type: DataType::Utf8, ..expr.output(input) }
            }
            Self::Mask { expr, mask } => match mask {
                Mask::OutwardPostcode | Mask::LastCharacters(_) => {
                    OutputColumn { source_type: None, data_type: DataType::Utf8, ..expr.output(input) }
                }
                Mask::YearOfDate => OutputColumn::computed(DataType::Int32),
            },
            Self::DateOf(_) => OutputColumn::computed(DataType::Date32),
        }
    }

    fn common_output<'a>(values: impl Iterator<Item = &'a Expr>, input: &[OutputColumn]) -> OutputColumn {
        let outputs: Vec<_> = values.map(|value| value.output(input)).collect();
        let collation = outputs.iter().map(|output| output.collation).max().unwrap_or(Collation::Binary);
        let data_type = outputs.into_iter().map(|output| output.data_type).find(|t| *t != DataType::Null);
        OutputColumn { collation, ..OutputColumn::computed(data_type.unwrap_or(DataType::Null)) }
    }

    /// The direct parts of this expression (a probe's predicates are not parts: they speak of other columns).
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Self::Column(_) | Self::Outer(_) | Self::Literal(_) | Self::Exists { .. } => Vec::new(),
            Self::Compare { left, right, .. } => vec![left, right],
            Self::And(exprs) | Self::Or(exprs) | Self::Coalesce(exprs) => exprs.iter().collect(),
            Self::Not(expr)
            | Self::IsNull(expr)
            | Self::IsNotNull(expr)
            | Self::InList { expr, .. }
            | Self::Like { expr, .. }
            | Self::Widen { expr, .. }
            | Self::CanonicalKey { expr, .. }
            | Self::WrittenKey { expr, .. }
            | Self::Mask { expr, .. }
            | Self::DateOf(expr) => vec![expr],
            Self::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
        }
    }

    /// The same expression with every [`Expr::Column`] replaced.
    pub fn map_columns(&self, replace: &impl Fn(usize) -> Expr) -> Expr {
        let boxed = |expr: &Expr| Box::new(expr.map_columns(replace));
        let all = |exprs: &[Expr]| exprs.iter().map(|expr| expr.map_columns(replace)).collect();
        match self {
            Self::Column(index) => replace(*index),
            Self::Outer(_) | Self::Literal(_) | Self::Exists { .. } => self.clone(),
            Self::Compare { op, left, right } => Self::Compare { op: *op, left: boxed(left), right: boxed(right) },
            Self::And(exprs) => Self::And(all(exprs)),
            Self::Or(exprs) => Self::Or(all(exprs)),
            Self::Coalesce(exprs) => Self::Coalesce(all(exprs)),
            Self::Not(expr) => Self::Not(boxed(expr)),
            Self::IsNull(expr) => Self::IsNull(boxed(expr)),
            Self::IsNotNull(expr) => Self::IsNotNull(boxed(expr)),
            Self::InList { expr, list, negated } => {
                Self::InList { expr: boxed(expr), list: list.clone(), negated: *negated }
            }
            Self::Like { expr, pattern, negated } => {
                Self::Like { expr: boxed(expr), pattern: pattern.clone(), negated: *negated }
            }
            Self::Case { branches, otherwise } => Self::Case {
                branches: branches
                    .iter()
                    .map(|(when, then)| (when.map_columns(replace), then.map_columns(replace)))
                    .collect(),
                otherwise: otherwise.as_deref().map(boxed),
            },
            Self::Widen { expr, to } => Self::Widen { expr: boxed(expr), to: to.clone() },
            Self::CanonicalKey { expr, format } => Self::CanonicalKey { expr: boxed(expr), format: *format },
            Self::WrittenKey { expr, format } => Self::WrittenKey { expr: boxed(expr), format: *format },
            Self::Mask { expr, mask } => Self::Mask { expr: boxed(expr), mask: *mask },
            Self::DateOf(expr) => Self::DateOf(boxed(expr)),
        }
    }
}
