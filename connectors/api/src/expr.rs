//! Scalar expressions of a fragment.
//!
//! INVARIANT: no [`Expr`] can raise an error or run user code in any source, whatever rows it meets. A database may
//! evaluate predicates in any order, so an expression that could fail on a hidden row would tell of it. What can fail
//! (casts that narrow, functions off the list) has no variant here and stays in the engine, above the release. Arithmetic
//! has one, and goes to a source only where [`crate::arithmetic_support`] shows that no row's result is too large.

use arrow::datatypes::DataType;

use crate::{Collation, Column, DatePart, DateUnit, KeyFormat, TableName, TextFunction, Value};

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
    /// A cast that cannot fail and loses nothing; see [`crate::widens`].
    Widen {
        expr: Box<Expr>,
        to: DataType,
    },
    /// Numbers of one kind. Integers are divided toward zero; decimals too, at the scale of `data_type`.
    Arithmetic {
        op: ArithmeticOp,
        left: Box<Expr>,
        right: Box<Expr>,
        data_type: DataType,
    },
    /// Texts one after the other, NULL where one of them is.
    Concat(Vec<Expr>),
    OfText {
        function: TextFunction,
        expr: Box<Expr>,
    },
    /// A part of a date or timestamp as Int32, NULL where it lies beyond every calendar.
    DatePart {
        part: DatePart,
        expr: Box<Expr>,
    },
    /// The moment at which a timestamp's year, month, day … began.
    Truncate {
        to: DateUnit,
        expr: Box<Expr>,
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
    /// A released value that policy computes from what the asker may not see, and of which an asker is told the released
    /// column's name alone.
    Released {
        column: String,
        value: Box<Expr>,
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
pub enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// The remainder has the sign of the left side.
    Modulo,
}

impl ArithmeticOp {
    pub fn sql(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
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
            // A text that stands in the statement takes the database's own order.
            Self::Literal(value) => Self::made_text(value.data_type()),
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
            Self::Widen { to, .. } => Self::made_text(to.clone()),
            Self::Arithmetic { data_type, .. } => OutputColumn::computed(data_type.clone()),
            Self::Concat(exprs) => {
                let collation = Self::common_output(exprs.iter(), input).collation.max(Collation::EqualityOnly);
                OutputColumn { collation, ..OutputColumn::computed(DataType::Utf8) }
            }
            Self::OfText { function, expr } => match function {
                TextFunction::Length | TextFunction::Position(_) => OutputColumn::computed(DataType::Int32),
                TextFunction::Substring { .. }
                | TextFunction::Left(_)
                | TextFunction::Right(_)
                | TextFunction::Trim(_)
                | TextFunction::Replace { .. }
                | TextFunction::Upper
                | TextFunction::Lower => {
                    OutputColumn { source_type: None, data_type: DataType::Utf8, ..expr.output(input) }
                }
            },
            Self::DatePart { .. } => OutputColumn::computed(DataType::Int32),
            Self::Truncate { expr, .. } => OutputColumn { source_type: None, ..expr.output(input) },
            Self::CanonicalKey { expr, .. } | Self::WrittenKey { expr, .. } => {
                OutputColumn { source_type: None, data_type: DataType::Utf8, ..expr.output(input) }
            }
            Self::Released { value, .. } => OutputColumn { source_type: None, ..value.output(input) },
            Self::Mask { expr, mask } => match mask {
                Mask::OutwardPostcode | Mask::LastCharacters(_) => {
                    OutputColumn { source_type: None, data_type: DataType::Utf8, ..expr.output(input) }
                }
                Mask::YearOfDate => OutputColumn::computed(DataType::Int32),
            },
            Self::DateOf(_) => OutputColumn::computed(DataType::Date32),
        }
    }

    /// A value made by the source of no column; a text of this kind is in no order of ours.
    fn made_text(data_type: DataType) -> OutputColumn {
        let collation = if data_type == DataType::Utf8 { Collation::EqualityOnly } else { Collation::Binary };
        OutputColumn { collation, ..OutputColumn::computed(data_type) }
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
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => vec![left, right],
            Self::And(exprs) | Self::Or(exprs) | Self::Coalesce(exprs) | Self::Concat(exprs) => exprs.iter().collect(),
            Self::Not(expr)
            | Self::IsNull(expr)
            | Self::IsNotNull(expr)
            | Self::InList { expr, .. }
            | Self::Like { expr, .. }
            | Self::Widen { expr, .. }
            | Self::OfText { expr, .. }
            | Self::DatePart { expr, .. }
            | Self::Truncate { expr, .. }
            | Self::CanonicalKey { expr, .. }
            | Self::WrittenKey { expr, .. }
            | Self::Mask { expr, .. }
            | Self::Released { value: expr, .. }
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
            Self::Concat(exprs) => Self::Concat(all(exprs)),
            Self::Arithmetic { op, left, right, data_type } => {
                Self::Arithmetic { op: *op, left: boxed(left), right: boxed(right), data_type: data_type.clone() }
            }
            Self::OfText { function, expr } => Self::OfText { function: function.clone(), expr: boxed(expr) },
            Self::DatePart { part, expr } => Self::DatePart { part: *part, expr: boxed(expr) },
            Self::Truncate { to, expr } => Self::Truncate { to: *to, expr: boxed(expr) },
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
            Self::Released { column, value } => Self::Released { column: column.clone(), value: boxed(value) },
            Self::DateOf(expr) => Self::DateOf(boxed(expr)),
        }
    }
}
