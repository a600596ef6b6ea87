//! Window functions of a fragment.

use arrow::datatypes::DataType;

use crate::{AggregateFunction, Expr, OutputColumn, SortKey, Value};

/// A window function's call: one value a row, made from the rows of its partition.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowCall {
    pub function: WindowFunction,
    /// `None` for what looks at no value: numbers, ranks and `count(*)`.
    pub argument: Option<Expr>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortKey>,
    /// `None` for functions that look at the whole partition whatever the frame.
    pub frame: Option<Frame>,
    /// Of an aggregate, only rows for which this is true.
    pub filter: Option<Expr>,
    /// The type of its value here.
    pub data_type: DataType,
}

#[derive(Clone, Debug, PartialEq)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    Ntile { buckets: u32 },
    Lag { offset: u32, default: Option<Value> },
    Lead { offset: u32, default: Option<Value> },
    FirstValue,
    LastValue,
    NthValue { n: u32 },
    Aggregate(AggregateFunction),
}

/// The rows around the current one that a function looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    pub units: FrameUnits,
    pub start: FrameBound,
    pub end: FrameBound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameUnits {
    Rows,
    /// The current row is all rows that are equal to it in order. Without numbers of its own.
    Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(u64),
    CurrentRow,
    Following(u64),
    UnboundedFollowing,
}

impl WindowCall {
    /// The column that it adds.
    pub fn output(&self, input: &[OutputColumn]) -> OutputColumn {
        let computed = OutputColumn::computed(self.data_type.clone());
        match &self.argument {
            Some(argument) => OutputColumn { collation: argument.output(input).collation, ..computed },
            None => computed,
        }
    }
}

impl Frame {
    pub fn sql(self) -> String {
        let units = match self.units {
            FrameUnits::Rows => "ROWS",
            FrameUnits::Range => "RANGE",
        };
        format!("{units} BETWEEN {} AND {}", self.start.sql(), self.end.sql())
    }
}

impl FrameBound {
    fn sql(self) -> String {
        match self {
            Self::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
            Self::Preceding(rows) => format!("{rows} PRECEDING"),
            Self::CurrentRow => "CURRENT ROW".to_owned(),
            Self::Following(rows) => format!("{rows} FOLLOWING"),
            Self::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
        }
    }
}
